//! [`Identity`]: a certificate that is its own authority, and a client that trusts it, over a socket that
//! writes and reads as little at a time as a test wants.
#![allow(dead_code, reason = "each file of tests uses its part of this")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type Encrypted = StreamOwned<ClientConnection, Wire>;

/// A certificate of its own authority.
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Identity {
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).expect("names");
        Self { chain: cert.pem(), key: signing_key.serialize_pem(), der: cert.der().clone() }
    }

    /// One that is valid in the beginning of a year.
    pub(crate) fn valid_in(year: i32) -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(year, 1, 2);
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        Self { chain: cert.pem(), key: key.serialize_pem(), der: cert.der().clone() }
    }

    /// A client that trusts nobody else.
    pub(crate) fn trusted_by(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        self.trusted_by_client(versions, None)
    }

    /// A client that trusts nobody else and is somebody itself.
    pub(crate) fn trusted_by_client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        client: Option<&Member>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let config = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let mut config = match client {
            Some(Member { der, key }) => {
                config.with_client_auth_cert(vec![der.clone()], key.clone_key()).expect("a pair")
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// An authority that says who clients are.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate of an [`Authority`].
pub(crate) struct Member {
    pub(crate) der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn admit(&self, name: &str) -> Member {
        let key = KeyPair::generate().expect("a key");
        let der = named(name).signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        Member { der, key: PrivateKeyDer::try_from(key.serialize_der()).expect("a key") }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A socket that takes and gives at most so many bytes at a time.
pub(crate) struct Wire {
    pub(crate) socket: TcpStream,
    bytes_max: usize,
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(self.bytes_max);
        self.socket.read(&mut into[..count])
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(&bytes[..bytes.len().min(self.bytes_max)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection to `address` that expects `name` there.
pub(crate) fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &'static str,
    bytes_max: usize,
) -> Encrypted {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("it connects");
    socket.set_nodelay(true).expect("a TCP socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
    let name = ServerName::try_from(name).expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("a configuration");
    StreamOwned::new(session, Wire { socket, bytes_max })
}
