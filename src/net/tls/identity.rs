//! [`Tls`]: who the server is: certificates with their keys, and who gets which (RFC 6066 §3); and who its
//! clients must be (RFC 8446 §4.3.2).
//!
//! ```text
//!  the name that a client asks for ─► www.example.org ─► *.example.org ─► the first certificate
//! ```
//! All workers share one of these, its session tickets included; it can be replaced while they run, and who
//! is connected stays with what it began with. Knows no connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, CipherSuite, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::pem::{Pair, Pem, described};
use crate::base::{Certificate, Moment};
use crate::net::Versions;

/// Certificates and keys of a server.
///
/// Clones are the same: what one of them [reloads](Tls::reload), all have.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<CryptoProvider>,
    /// The keys change by themselves, and stay when certificates do, unless clients have some, too.
    tickets: Arc<dyn ProducesTickets>,
    plan: Plan,
    config: RwLock<Configured>,
    reloads_failed: Arc<AtomicU64>,
}

/// What is to be read, and how it is used.
#[derive(Clone, Default, PartialEq, Eq)]
struct Plan {
    pairs: Vec<Pair>,
    clients: Option<Clients>,
    is_tls13_only: bool,
}

/// What was read of the files last.
#[derive(Clone)]
struct Configured {
    /// By [`Versions::index`].
    configs: [Configs; Versions::EACH.len()],
    names: Arc<Certificates>,
    certificates: Arc<[Certificate]>,
}

/// With our order of ciphers, and with the client's.
#[derive(Clone)]
struct Configs {
    ours: Arc<ServerConfig>,
    theirs: Arc<ServerConfig>,
}

/// What a new connection begins with.
pub(super) struct Current {
    pub(super) ours: Arc<ServerConfig>,
    pub(super) theirs: Arc<ServerConfig>,
    pub(super) names: Option<Arc<Certificates>>,
}

/// Which clients are let in by their certificates.
#[derive(Clone, PartialEq, Eq)]
struct Clients {
    authorities: Pem,
    auth: ClientAuth,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They may, and one that is not of a known authority ends the handshake.
    Optional,
    /// They must.
    Required,
}

impl Tls {
    /// A certificate in PEM, with the chain behind it, and its private key.
    ///
    /// # Errors
    /// If one of them cannot be read or is not valid now, or if they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let pair = Pair::new(Pem::Text("the chain", chain.to_vec()), Pem::Text("the key", key.to_vec()));
        Self::of(Plan { pairs: vec![pair], ..Plan::default() })
    }

    /// The same from files, which [`Tls::reload`] reads again.
    ///
    /// # Errors
    /// If one of them cannot be read or is not valid now, or if they do not belong together.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::of(Plan { pairs: vec![Pair::new(Pem::file(chain), Pem::file(key))], ..Plan::default() })
    }

    /// Another certificate, for clients that ask for one of its names.
    ///
    /// # Errors
    /// As [`Tls::from_files`].
    pub fn and_files(&self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let mut plan = self.shared.plan.clone();
        plan.pairs.push(Pair::new(Pem::file(chain), Pem::file(key)));
        Self::of(plan)
    }

    /// The certificate that was named last is for clients that ask for one of these hosts, whatever names are
    /// in it. `*.` in front of a host: for all names one label longer (RFC 6125 §6.4.3).
    ///
    /// # Errors
    /// As [`Tls::from_files`].
    ///
    /// ```no_run
    /// let tls = kolk::Tls::from_files("a.pem", "a.key")?.and_files("b.pem", "b.key")?.for_hosts(["b.internal"])?;
    /// # Ok::<(), kolk::net::tls::TlsError>(())
    /// ```
    pub fn for_hosts(&self, hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, TlsError> {
        let mut plan = self.shared.plan.clone();
        let hosts = hosts.into_iter().map(|host| host.as_ref().to_ascii_lowercase()).collect();
        if let Some(last) = plan.pairs.last_mut() {
            last.hosts = Some(hosts);
        }
        Self::of(plan)
    }

    /// Speaks TLS 1.3 alone: whoever does not is sent away with `protocol_version`.
    ///
    /// # Errors
    /// As [`Tls::from_files`].
    pub fn tls13_only(&self) -> Result<Self, TlsError> {
        Self::of(Plan { is_tls13_only: true, ..self.shared.plan.clone() })
    }

    /// Asks clients for a certificate of one of these authorities, in PEM. Handlers find it in
    /// [`Request::client_certificate`](crate::Request::client_certificate).
    ///
    /// # Errors
    /// If no authority can be read.
    pub fn client_auth(&self, authorities: &[u8], auth: ClientAuth) -> Result<Self, TlsError> {
        self.with_clients(Pem::Text("the authorities", authorities.to_vec()), auth)
    }

    /// The same from a file, which [`Tls::reload`] reads again: who was let in by what stood there before has
    /// to show its certificate anew when it connects the next time.
    ///
    /// # Errors
    /// As [`Tls::client_auth`].
    pub fn client_auth_file(
        &self,
        authorities: impl AsRef<Path>,
        auth: ClientAuth,
    ) -> Result<Self, TlsError> {
        self.with_clients(Pem::file(authorities), auth)
    }

    fn with_clients(&self, authorities: Pem, auth: ClientAuth) -> Result<Self, TlsError> {
        Self::of(Plan { clients: Some(Clients { authorities, auth }), ..self.shared.plan.clone() })
    }

    /// The same in the place of `former`: whoever has been there comes back without a whole handshake,
    /// unless one of the two asks clients for certificates; and what [`Tls::reloads_failed`] counts is
    /// counted on.
    #[must_use]
    pub fn after(&self, former: &Self) -> Self {
        let Shared { provider, plan, .. } = &*self.shared;
        let (mut configured, mut tickets) = (self.configured().clone(), Arc::clone(&self.shared.tickets));
        // A ticket lets in whomever the former one let in.
        if plan.clients.is_none() && former.shared.plan.clients.is_none() {
            tickets = Arc::clone(&former.shared.tickets);
            let all = configured.configs.iter_mut();
            for config in all.flat_map(|configs| [&mut configs.ours, &mut configs.theirs]) {
                Arc::make_mut(config).ticketer = Arc::clone(&tickets);
            }
        }
        let shared = Shared {
            provider: Arc::clone(provider),
            tickets,
            plan: plan.clone(),
            config: RwLock::new(configured),
            reloads_failed: Arc::clone(&former.shared.reloads_failed),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether both are made of the same files, and ask the same of clients.
    pub fn is_made_like(&self, other: &Self) -> bool {
        self.shared.plan == other.shared.plan
    }

    /// The files that [`Tls::reload`] reads.
    pub fn files(&self) -> Vec<PathBuf> {
        let Plan { pairs, clients, .. } = &self.shared.plan;
        let of_pairs = pairs.iter().flat_map(|pair| pair.sources());
        let authorities = clients.iter().map(|clients| &clients.authorities);
        of_pairs.chain(authorities).filter_map(Pem::path).map(Path::to_owned).collect()
    }

    /// Reads the files again. New connections have what is in them; if one cannot be used, all stays as it
    /// is.
    ///
    /// # Errors
    /// As [`Tls::from_files`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let shared = &*self.shared;
        let read = match &shared.plan.clients {
            None => configure(&shared.provider, &shared.tickets, &shared.plan),
            // A ticket lets in whomever an authority let in that is no longer here.
            Some(_) => tickets().and_then(|tickets| configure(&shared.provider, &tickets, &shared.plan)),
        };
        let read = read.inspect_err(|_| _ = shared.reloads_failed.fetch_add(1, Relaxed))?;
        *shared.config.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Whether both are clones of one another.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What new connections are shown, without the chains behind: one certificate for each pair, in their
    /// order.
    pub fn certificates(&self) -> Arc<[Certificate]> {
        Arc::clone(&self.configured().certificates)
    }

    /// How often [`Tls::reload`] failed.
    pub fn reloads_failed(&self) -> u64 {
        self.shared.reloads_failed.load(Relaxed)
    }

    /// What new connections have; and who is shown what, unless all are shown the same.
    pub(super) fn current(&self, versions: Versions) -> Current {
        let configured = self.configured();
        let configs = &configured.configs[versions.index()];
        Current {
            ours: Arc::clone(&configs.ours),
            theirs: Arc::clone(&configs.theirs),
            names: configured.names.is_many.then(|| Arc::clone(&configured.names)),
        }
    }

    /// Whether who connects for `host` is shown the same as who connects for `other`. If not, a request for
    /// the one is misdirected on a connection for the other (RFC 9110 §7.4).
    pub fn shows_alike(&self, host: &str, other: &str) -> bool {
        let names = Arc::clone(&self.configured().names);
        Arc::ptr_eq(names.for_name(Some(host)), names.for_name(Some(other)))
    }

    fn configured(&self) -> RwLockReadGuard<'_, Configured> {
        self.shared.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(plan: Plan) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let tickets = tickets()?;
        let config = RwLock::new(configure(&provider, &tickets, &plan)?);
        let reloads_failed = Arc::default();
        let shared = Shared { provider, tickets, plan, config, reloads_failed };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.shared.plan.pairs.len()).finish_non_exhaustive()
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
    /// The certificate in this is not valid since then.
    Expired(String, Moment),
    /// The certificate in this is valid from then on.
    NotYetValid(String, Moment),
    /// The library refuses it.
    Refused(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let path = path.display();
                write!(f, "{path}: this user may not read it: let a group of that user, or give it an ACL")
            }
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
            Self::Expired(place, at) => write!(f, "{place}: the certificate expired at {at}: renew it"),
            Self::NotYetValid(place, at) => {
                write!(f, "{place}: the certificate is not valid before {at}: is the clock right?")
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

const TLS13_ONLY: &[&SupportedProtocolVersion] = &[&TLS13];

thread_local! {
    /// What the handshake at hand is shown: rustls's unbuffered connections do not tell the name that was
    /// asked for.
    static SHOWN: RefCell<Option<Arc<CertifiedKey>>> = const { RefCell::new(None) };
}

/// What a connection was shown, where others are shown something else.
pub(super) struct Shown {
    certificates: Arc<Certificates>,
    shown: Arc<CertifiedKey>,
}

impl Shown {
    /// Whether a client that asks for `host` is shown the same.
    pub(super) fn is_for(&self, host: &str) -> bool {
        Arc::ptr_eq(self.certificates.for_name(Some(host)), &self.shown)
    }
}

/// Who gets which certificate.
#[derive(Debug)]
pub(super) struct Certificates {
    first: Arc<CertifiedKey>,
    /// By name in lower case, `*.` in front of all names below one.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// There is more than one.
    is_many: bool,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = Arc::clone(self.for_name(hello.server_name()));
        if self.is_many {
            SHOWN.set(Some(Arc::clone(&shown)));
        }
        Some(shown)
    }
}

impl Certificates {
    /// What was shown to the client whose greeting was read last on this thread, if others are shown
    /// something else.
    pub(super) fn shown(self: &Arc<Self>) -> Option<Shown> {
        SHOWN.take().map(|shown| Shown { certificates: Arc::clone(self), shown })
    }

    /// Case and a final dot mean nothing, as where sites are told apart.
    fn for_name(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let name = name.map(|name| name.strip_suffix('.').unwrap_or(name));
        name.and_then(|name| self.find(&name.to_ascii_lowercase())).unwrap_or(&self.first)
    }

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
    plan: &Plan,
) -> Result<Configured, TlsError> {
    let (mut by_name, mut certificates) = (HashMap::new(), Vec::new());
    let mut first = None;
    for pair in &plan.pairs {
        let certified = pair.read(provider)?;
        for name in pair.hosts.clone().unwrap_or_else(|| names_of(&certified)) {
            by_name.entry(name).or_insert_with(|| Arc::clone(&certified));
        }
        certificates.extend(certified.cert.first().and_then(described));
        first.get_or_insert(certified);
    }
    let first = first.ok_or_else(|| TlsError::NoCertificate("nothing".into()))?;
    let refused = |error: rustls::Error| TlsError::Refused(error.to_string());
    let verifier = match &plan.clients {
        Some(clients) => clients.verifier(provider)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let names = Arc::new(Certificates { first, by_name, is_many: plan.pairs.len() > 1 });
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(if plan.is_tls13_only { TLS13_ONLY } else { ALL_VERSIONS })
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&names) as Arc<dyn ResolvesServerCert>);
    config.ticketer = Arc::clone(tickets);
    // RFC 8446 §4.6.1: a connection lives long and carries many requests, so that who comes again needs one;
    // each costs a full handshake 3 % more.
    config.send_tls13_tickets = 1;
    let configs = Versions::EACH.map(|versions| Configs::speaking(versions, config.clone()));
    Ok(Configured { configs, names, certificates: certificates.into() })
}

impl Configs {
    /// `config` for connections on which these versions are spoken: RFC 7301 §3.1.
    fn speaking(versions: Versions, mut config: ServerConfig) -> Self {
        let names: &[&[u8]] = match versions {
            Versions::All => &[b"h2", b"http/1.1"],
            Versions::Http1 => &[b"http/1.1"],
            Versions::Http2 => &[b"h2"],
        };
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        let theirs = Arc::new(config.clone());
        config.ignore_client_order = true;
        Self { ours: Arc::new(config), theirs }
    }
}

/// AES with 128 bits first: of a full handshake with 256 bits a sixth is SHA-384, with which processors do
/// not help as they do with SHA-256.
fn provider() -> CryptoProvider {
    let is_costly = |suite: CipherSuite| {
        matches!(
            suite,
            CipherSuite::TLS13_AES_256_GCM_SHA384
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        )
    };
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|supported| is_costly(supported.suite()));
    provider
}

fn tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    Ticketer::new().map_err(|error| TlsError::Refused(error.to_string()))
}

impl Clients {
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let refused =
            |why: &dyn fmt::Display| TlsError::Refused(format!("{}: {why}", self.authorities.place()));
        let mut roots = RootCertStore::empty();
        for authority in self.authorities.certificates()? {
            roots.add(authority).map_err(|error| refused(&error))?;
        }
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
        let clients = match self.auth {
            ClientAuth::Optional => clients.allow_unauthenticated(),
            ClientAuth::Required => clients,
        };
        clients.build().map_err(|error| refused(&error))
    }
}

fn names_of(certified: &CertifiedKey) -> Vec<String> {
    let parsed =
        certified.cert.first().and_then(|certificate| webpki::EndEntityCert::try_from(certificate).ok());
    parsed.iter().flat_map(|parsed| parsed.valid_dns_names()).map(str::to_ascii_lowercase).collect()
}
