//! TRANSPORTS: they move bytes between a socket and an `Input` or `Output`; they know no HTTP.
//!
//! ```text
//!  ListenAddr ──► Listener ◄── Acceptor (one per worker) ──► Link: Transport
//! ```
//!
//! | file | what lives there |
//! | --- | --- |
//! | `address` | [`ListenAddr`]: where to listen, as a person writes it |
//! | `alert` | [`Alert`]: what the two sides of TLS say before they part |
//! | `listener` | [`Listener`], [`Acceptor`]: connections come in |
//! | `link` | [`Link`]: what workers hold: a stream, plain or encrypted |
//! | `proxy_protocol` | [`opening`]: what a proxy says before its client's first byte |
//! | `proxied` | [`Proxied`]: a connection that may begin so; [`ProxyProtocol`]: who is believed |
//! | `tcp` | [`Stream`]: a TCP or Unix connection |
//! | `tls` | [`Tls`](tls::Tls), [`TlsStream`](tls::TlsStream): the same, encrypted |

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::Certificate;
use crate::wire::Output;

mod address;
mod alert;
mod link;
mod listener;
mod proxied;
mod proxy_protocol;
mod tcp;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;

pub use address::{AddressError, ListenAddr};
pub use alert::{Alarm, Alert};
pub use link::Link;
pub use listener::{Acceptor, Leaving, Listener, Terms};
pub use proxied::{NetworkError, Proxied, ProxyProtocol};
pub use proxy_protocol::{Announced, Opening, PROXY_HEADER_BYTES_MAX, ProxyHeaderError, opening};
pub use tcp::{Family, SHORT_READ_DRAINS, Stream};

pub use crate::sys::accept::AcceptError;
pub use crate::sys::socket::{Listening, TcpOptions};

/// One connection's way to its peer. Never blocks.
pub trait Transport {
    /// Reads what is there, once. What the transport itself has to tell the peer goes to the end of what is
    /// [sealed](Output::sealed) in `output`.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet, `Interrupted` when others should have their turn first;
    /// anything else ends the connection.
    fn read(&mut self, into: &mut [u8], output: &mut Output) -> io::Result<Arrived>;

    /// Sends from the front of `output` and consumes what was sent, until one of [`Progress`] is reached.
    ///
    /// # Errors
    /// `UnexpectedEof` when a file is shorter than was promised, and whatever the system reports: the
    /// connection is at its end. Never `WouldBlock`.
    fn write(&mut self, output: &mut Output) -> io::Result<Progress>;

    /// Closes the sending side: the peer reads to the end of what was sent and then sees it. A connection
    /// that is gone already is left at that.
    fn shutdown_write(&mut self);

    /// Has the close, which comes next, tell the peer that something is missing. A regular end would pass for
    /// the end of a body that has no length (RFC 9112 §8).
    fn reset(&mut self);

    /// Who is at the other end. Asks the system each time.
    fn peer(&self) -> Peer;

    /// Whether [`Transport::peer`] will not change: a proxy may have yet to say for whom it comes.
    #[inline]
    fn is_peer_known(&self) -> bool {
        true
    }

    /// Whether [`Transport::peer`] is a proxy that comes for somebody else, and does not say for whom.
    #[inline]
    fn is_client_hidden(&self) -> bool {
        false
    }

    /// Whether it was set up for this host, or shows the same to everybody. Else the request belongs to
    /// another connection (RFC 9110 §7.4, §15.5.20).
    fn is_meant_for(&self, _host: &str) -> bool {
        true
    }

    /// Whether [`Transport::is_meant_for`] depends on the host.
    fn tells_hosts_apart(&self) -> bool {
        false
    }

    /// What both sides have agreed to speak over it. Asked once there was something to read.
    fn agreed(&self) -> Agreed {
        Agreed::Nothing
    }

    /// The certificate that the peer has shown and that was found to be its own.
    fn certificate(&self) -> Option<Arc<Certificate>> {
        None
    }

    /// How far the two sides came with their keys.
    #[inline]
    fn handshake(&self) -> Handshake {
        Handshake::None
    }
}

/// What both sides of a connection have agreed to speak over it (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// Nothing was said: the first bytes tell, if there is a choice.
    Nothing,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Which versions of HTTP are spoken on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// All.
    #[default]
    All,
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Versions {
    /// Every choice, in the order of their discriminants.
    pub const EACH: [Self; 3] = [Self::All, Self::Http1, Self::Http2];

    /// Its place in [`Versions::EACH`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A client speaks in the clear where TLS is spoken: inside the error of a [`Transport::read`].
#[derive(Debug)]
pub struct InTheClear {
    /// What has come of it, as far as it tells the method of a request.
    pub beginning: Box<[u8]>,
}

impl InTheClear {
    /// No method that is answered otherwise is longer, in bytes.
    const BEGINNING_BYTES_MAX: usize = 8;

    /// Of a client that begins with `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self { beginning: bytes[..bytes.len().min(Self::BEGINNING_BYTES_MAX)].into() }
    }
}

impl fmt::Display for InTheClear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client speaks no TLS")
    }
}

impl Error for InTheClear {}

/// What a [`Transport::read`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// So many bytes; none when the peer has closed its sending side.
    pub bytes: usize,
    /// Nothing more is there, as far as is known: the next event tells.
    pub is_all: bool,
}

impl Arrived {
    /// What one system call has read into a buffer of this size.
    #[inline]
    pub const fn in_one_call(bytes: usize, buffer_bytes: usize) -> Self {
        Self { bytes, is_all: SHORT_READ_DRAINS && bytes < buffer_bytes }
    }
}

/// How far a [`Transport::write`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Everything was sent.
    Done,
    /// The kernel takes no more: wait until the connection is writable.
    Blocked,
    /// This call's budget is used up and no event will come: call again after the others had their turn.
    Budget,
}

/// What comes before the first byte of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Nothing: it speaks in the clear.
    None,
    /// It is under way, or awaited.
    Begun,
    /// It is over, with certificates and all.
    Full,
    /// It was cut short by what a former one has left. RFC 8446 §2.2, RFC 5077.
    Resumed,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Gone before it was asked.
    Unknown,
    /// A host and its port.
    Ip(SocketAddr),
    /// A process of this machine.
    Unix,
}
