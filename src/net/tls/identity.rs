//! [`Tls`]: who the server is: certificates with their keys, and who gets which. RFC 6066 §3.
//!
//! ```text
//!  the name that a client asks for ─► www.example.org ─► *.example.org ─► the first certificate
//! ```
//! All workers share one of these, its session tickets included; it can be replaced while they run, and who
//! is connected stays with what it began with. Knows no connection.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates and keys of a server.
///
/// Clones are the same: what one of them [reloads](Tls::reload), all have.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<CryptoProvider>,
    /// The keys change by themselves, and stay when certificates do.
    tickets: Arc<dyn ProducesTickets>,
    sources: Vec<Source>,
    config: RwLock<Arc<ServerConfig>>,
    reloads_failed: AtomicU64,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug)]
enum Source {
    Pem { chain: Vec<u8>, key: Vec<u8> },
    Files { chain: PathBuf, key: PathBuf },
}

impl Tls {
    /// A certificate in PEM, with the chain behind it, and its private key.
    ///
    /// # Errors
    /// If one of them cannot be read, or if they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::of(vec![Source::Pem { chain: chain.to_vec(), key: key.to_vec() }])
    }

    /// The same from files, which [`Tls::reload`] reads again.
    ///
    /// # Errors
    /// If one of them cannot be read, or if they do not belong together.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::of(vec![Source::Files { chain: chain.as_ref().into(), key: key.as_ref().into() }])
    }

    /// Another certificate, for clients that ask for one of its names.
    ///
    /// # Errors
    /// As [`Tls::from_files`].
    pub fn and_files(&self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let mut sources = self.shared.sources.clone();
        sources.push(Source::Files { chain: chain.as_ref().into(), key: key.as_ref().into() });
        Self::of(sources)
    }

    /// Reads the files again. New connections have what is in them; if one cannot be used, all stays as it
    /// is.
    ///
    /// # Errors
    /// As [`Tls::from_files`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let Shared { provider, tickets, sources, config, reloads_failed } = &*self.shared;
        let read = configure(provider, tickets, sources);
        let read = read.inspect_err(|_| _ = reloads_failed.fetch_add(1, Relaxed))?;
        *config.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// How often [`Tls::reload`] failed.
    pub fn reloads_failed(&self) -> u64 {
        self.shared.reloads_failed.load(Relaxed)
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn of(sources: Vec<Source>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tickets = aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Refused(error.to_string()))?;
        let config = RwLock::new(configure(&provider, &tickets, &sources)?);
        let reloads_failed = AtomicU64::new(0);
        Ok(Self { shared: Arc::new(Shared { provider, tickets, sources, config, reloads_failed }) })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.shared.sources.len()).finish_non_exhaustive()
    }
}

/// Why a server cannot be who it wants to be.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    File(PathBuf, io::Error),
    /// There is no certificate in this.
    NoCertificate(String),
    /// There is no private key in this.
    NoKey(String),
    /// The key is not that of the certificate.
    Mismatch(String, String),
    /// The library refuses it.
    Refused(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoCertificate(place) => {
                write!(f, "{place}: no certificate: PEM begins with -----BEGIN CERTIFICATE-----")
            }
            Self::NoKey(place) => {
                write!(f, "{place}: no private key: PEM begins with -----BEGIN PRIVATE KEY-----")
            }
            Self::Mismatch(chain, key) => {
                write!(f, "the key in {key} is not that of the certificate in {chain}")
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Who gets which certificate.
#[derive(Debug)]
struct Certificates {
    first: Arc<CertifiedKey>,
    /// By name in lower case, `*.` in front of all names below one.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(&name.to_ascii_lowercase()));
        Some(Arc::clone(named.unwrap_or(&self.first)))
    }
}

impl Certificates {
    /// RFC 6125 §6.4.3: the star stands for one label.
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.by_name.get(name).or_else(|| {
            let (_, above) = name.split_once('.')?;
            self.by_name.get(&format!("*.{above}"))
        })
    }
}

fn configure(
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
    sources: &[Source],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut by_name = HashMap::new();
    let mut first = None;
    for source in sources {
        let certified = Arc::new(source.read(provider)?);
        for name in names_of(&certified) {
            by_name.entry(name).or_insert_with(|| Arc::clone(&certified));
        }
        first.get_or_insert(certified);
    }
    let first = first.ok_or_else(|| TlsError::NoCertificate("nothing".into()))?;
    let refused = |error: rustls::Error| TlsError::Refused(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Certificates { first, by_name }));
    config.ticketer = Arc::clone(tickets);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn names_of(certified: &CertifiedKey) -> Vec<String> {
    let parsed =
        certified.cert.first().and_then(|certificate| webpki::EndEntityCert::try_from(certificate).ok());
    parsed.iter().flat_map(|parsed| parsed.valid_dns_names()).map(str::to_ascii_lowercase).collect()
}

impl Source {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::File(path.to_owned(), error));
        match self {
            Self::Pem { chain, key } => certified(chain, key, provider, "the chain", "the key"),
            Self::Files { chain, key } => {
                let (chain_place, key_place) = (chain.display().to_string(), key.display().to_string());
                certified(&read(chain)?, &read(key)?, provider, &chain_place, &key_place)
            }
        }
    }
}

fn certified(
    chain: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
    chain_place: &str,
    key_place: &str,
) -> Result<CertifiedKey, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsError::NoCertificate(chain_place.to_owned()))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(key_place.to_owned()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch(chain_place.to_owned(), key_place.to_owned())
        }
        error => TlsError::Refused(format!("{chain_place}, {key_place}: {error}")),
    })
}
