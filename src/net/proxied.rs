//! [`Proxied`]: a connection on which a proxy may say first for whom it comes; and [`ProxyProtocol`]: who is
//! believed.
//!
//! ```text
//!             │ may tell        │ must tell       │ must not         a header
//!   header    │ it is believed  │ it is believed  │ refused
//!   foreign   │ the peer counts │ refused         │ the peer counts
//! ```
//! The header comes before everything else, also before TLS. It is looked at before it is taken, and not a
//! byte behind it is taken: whatever speaks next finds all that is its own. Knows no time: whoever waits for
//! the first request, or for TLS, waits for this, too.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::proxy_protocol::{Announced, Opening, PROXY_HEADER_BYTES_MAX, opening};
use super::tls::TlsStream;
use super::{Agreed, Arrived, Handshake, Peer, Progress, Stream, Transport};
use crate::base::{Certificate, canonical};
use crate::wire::Output;

/// Who may announce clients to a listener, and whether somebody must.
///
/// ```
/// use kolk::ProxyProtocol;
///
/// let from_balancers = ProxyProtocol::required().network("10.0.0.0/8")?;
/// # let _ = from_balancers;
/// # Ok::<(), kolk::net::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    is_required: bool,
    networks: Vec<IpNet>,
    unix: bool,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    text: String,
}

/// Whether a header is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    May,
    Must,
    /// A stranger's is refused.
    MustNot,
    /// Nothing that it says would help.
    Stranger,
}

/// A connection whose first bytes may be a proxy's.
#[derive(Debug)]
pub struct Proxied {
    /// Until the first bytes are understood: what is expected of them, and those that were taken already.
    opening: Option<(Expect, Vec<u8>)>,
    announced: Announced,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Plain(Stream),
    Tls(Box<TlsStream>),
}

impl ProxyProtocol {
    /// Whoever is trusted must announce each client; strangers are turned away. Trusts nobody yet.
    pub const fn required() -> Self {
        Self { is_required: true, networks: Vec::new(), unix: false }
    }

    /// Whoever is trusted may announce its client; everybody else may come without. Trusts nobody yet.
    pub const fn optional() -> Self {
        Self { is_required: false, networks: Vec::new(), unix: false }
    }

    /// Trusts the proxies of this network, too: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`.
    ///
    /// # Errors
    /// [`NetworkError`], if it is none.
    pub fn network(mut self, network: &str) -> Result<Self, NetworkError> {
        let one = || network.parse::<IpAddr>().map(IpNet::from);
        let parsed = network.parse::<IpNet>().or_else(|_| one());
        let network = parsed.map_err(|_| NetworkError { text: network.to_owned() })?;
        self.networks.push(canonical(network).trunc());
        Ok(self)
    }

    /// Trusts whoever comes through a socket file: processes of this machine.
    #[must_use]
    pub const fn unix_sockets(mut self) -> Self {
        self.unix = true;
        self
    }

    pub(super) fn expect_of(&self, peer: Peer) -> Expect {
        let is_trusted = match peer {
            Peer::Ip(peer) => {
                let peer = peer.ip().to_canonical();
                self.networks.iter().any(|network| network.contains(&peer))
            }
            Peer::Unix => self.unix,
            Peer::Unknown => false,
        };
        match (is_trusted, self.is_required) {
            (true, true) => Expect::Must,
            (true, false) => Expect::May,
            (false, true) => Expect::Stranger,
            (false, false) => Expect::MustNot,
        }
    }
}

impl Proxied {
    pub(super) fn plain(stream: Stream, expect: Expect) -> Self {
        Self::new(Inner::Plain(stream), expect)
    }

    pub(super) fn tls(stream: Box<TlsStream>, expect: Expect) -> Self {
        Self::new(Inner::Tls(stream), expect)
    }

    const fn new(inner: Inner, expect: Expect) -> Self {
        Self { opening: Some((expect, Vec::new())), announced: Announced::Nothing, inner }
    }

    #[inline]
    pub(super) const fn socket(&mut self) -> &mut Stream {
        match &mut self.inner {
            Inner::Plain(stream) => stream,
            Inner::Tls(stream) => stream.socket(),
        }
    }

    /// Whether its client is known, as far as it will be.
    pub(super) const fn is_announced(&self) -> bool {
        self.opening.is_none()
    }

    fn transport(&self) -> &dyn Transport {
        match &self.inner {
            Inner::Plain(stream) => stream,
            Inner::Tls(stream) => &**stream,
        }
    }

    fn transport_mut(&mut self) -> &mut dyn Transport {
        match &mut self.inner {
            Inner::Plain(stream) => stream,
            Inner::Tls(stream) => &mut **stream,
        }
    }

    /// Understands the first bytes, as far as they are there; the socket's end if that is all there is.
    fn open(&mut self) -> io::Result<Option<Arrived>> {
        let Some((expect, mut taken)) = self.opening.take() else { return Ok(None) };
        let opened = read_opening(self.socket(), expect, &mut taken);
        match opened {
            Ok(Some(announced)) => {
                self.announced = announced;
                // Who keeps accounts by client looks at it now.
                Err(io::ErrorKind::Interrupted.into())
            }
            Ok(None) => {
                self.opening = Some((expect, taken));
                Ok(Some(Arrived { bytes: 0, is_all: true }))
            }
            Err(error) => {
                self.opening = Some((expect, taken));
                Err(error)
            }
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no network, as in 10.0.0.0/8 or 192.0.2.1", self.text)
    }
}

impl Error for NetworkError {}

/// What is announced, once that is known; `None` at the socket's end.
fn read_opening(socket: &mut Stream, expect: Expect, taken: &mut Vec<u8>) -> io::Result<Option<Announced>> {
    if expect == Expect::Stranger {
        return Err(refused("a stranger came in place of a proxy"));
    }
    let mut room = [0; 512];
    loop {
        let kept = taken.len();
        let wanted = room.len().min(PROXY_HEADER_BYTES_MAX - kept);
        let seen = socket.peek(&mut room[..wanted])?;
        if seen == 0 {
            return Ok(None);
        }
        taken.extend_from_slice(&room[..seen]);
        let opening = opening(taken).map_err(refused)?;
        match (opening, expect) {
            (Opening::Foreign, Expect::Must) => return Err(refused("no proxy has announced its client")),
            (Opening::Foreign, _) => return Ok(Some(Announced::Nothing)),
            (Opening::Undecided, _) => {
                // It may be somebody else's: it is left where it is.
                taken.truncate(kept);
                return Err(socket.await_more());
            }
            (_, Expect::MustNot) => return Err(refused("a stranger announces a client")),
            (Opening::Begun, _) => socket.skip(seen)?,
            (Opening::Header(announced, length), _) => {
                socket.skip(length - kept)?;
                return Ok(Some(announced));
            }
        }
    }
}

impl Transport for Proxied {
    fn read(&mut self, into: &mut [u8], output: &mut Output) -> io::Result<Arrived> {
        match self.open()? {
            Some(end) => Ok(end),
            None => self.transport_mut().read(into, output),
        }
    }

    fn write(&mut self, output: &mut Output) -> io::Result<Progress> {
        self.transport_mut().write(output)
    }

    fn shutdown_write(&mut self) {
        self.transport_mut().shutdown_write();
    }

    fn reset(&mut self) {
        self.transport_mut().reset();
    }

    fn peer(&self) -> Peer {
        match self.announced {
            Announced::Nothing | Announced::Hidden => self.transport().peer(),
            Announced::Ip { client, .. } => Peer::Ip(client),
        }
    }

    fn is_client_hidden(&self) -> bool {
        self.announced == Announced::Hidden
    }

    fn is_peer_known(&self) -> bool {
        self.is_announced()
    }

    fn is_meant_for(&self, host: &str) -> bool {
        self.transport().is_meant_for(host)
    }

    fn tells_hosts_apart(&self) -> bool {
        self.transport().tells_hosts_apart()
    }

    fn agreed(&self) -> Agreed {
        self.transport().agreed()
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.transport().certificate()
    }

    fn handshake(&self) -> Handshake {
        self.transport().handshake()
    }
}

fn refused(why: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
