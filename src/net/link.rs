//! [`Link`]: a connection as workers hold it, plain or encrypted.

use std::io;
use std::sync::Arc;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::tls::TlsStream;
use super::{Agreed, Arrived, Handshake, Peer, Progress, Proxied, Stream, Transport};
use crate::base::Certificate;
use crate::wire::Output;

/// A connection.
#[derive(Debug)]
pub enum Link {
    /// In the clear.
    Plain(Stream),
    /// Over TLS.
    Tls(Box<TlsStream>),
    /// Either, behind a proxy that may say for whom it comes.
    Proxied(Box<Proxied>),
}

impl Link {
    #[inline]
    fn socket(&mut self) -> &mut Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.socket(),
            Self::Proxied(stream) => stream.socket(),
        }
    }
}

impl Transport for Link {
    #[inline]
    fn read(&mut self, into: &mut [u8], output: &mut Output) -> io::Result<Arrived> {
        match self {
            Self::Plain(stream) => stream.read(into, output),
            Self::Tls(stream) => stream.read(into, output),
            Self::Proxied(stream) => stream.read(into, output),
        }
    }

    #[inline]
    fn write(&mut self, output: &mut Output) -> io::Result<Progress> {
        match self {
            Self::Plain(stream) => stream.write(output),
            Self::Tls(stream) => stream.write(output),
            Self::Proxied(stream) => stream.write(output),
        }
    }

    fn shutdown_write(&mut self) {
        match self {
            Self::Plain(stream) => stream.shutdown_write(),
            Self::Tls(stream) => stream.shutdown_write(),
            Self::Proxied(stream) => stream.shutdown_write(),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Plain(stream) => stream.reset(),
            Self::Tls(stream) => stream.reset(),
            Self::Proxied(stream) => stream.reset(),
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Plain(stream) => stream.peer(),
            Self::Tls(stream) => stream.peer(),
            Self::Proxied(stream) => stream.peer(),
        }
    }

    fn is_peer_known(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Tls(_) => true,
            Self::Proxied(stream) => stream.is_peer_known(),
        }
    }

    fn is_client_hidden(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Tls(_) => false,
            Self::Proxied(stream) => stream.is_client_hidden(),
        }
    }

    fn is_meant_for(&self, host: &str) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(stream) => stream.is_meant_for(host),
            Self::Proxied(stream) => stream.is_meant_for(host),
        }
    }

    fn tells_hosts_apart(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.tells_hosts_apart(),
            Self::Proxied(stream) => stream.tells_hosts_apart(),
        }
    }

    fn agreed(&self) -> Agreed {
        match self {
            Self::Plain(stream) => stream.agreed(),
            Self::Tls(stream) => stream.agreed(),
            Self::Proxied(stream) => stream.agreed(),
        }
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.certificate(),
            Self::Proxied(stream) => stream.certificate(),
        }
    }

    #[inline]
    fn handshake(&self) -> Handshake {
        match self {
            Self::Plain(_) => Handshake::None,
            Self::Tls(stream) => stream.handshake(),
            Self::Proxied(stream) => stream.handshake(),
        }
    }
}

impl Source for Link {
    #[inline]
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket().register(registry, token, interests)
    }

    #[inline]
    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket().reregister(registry, token, interests)
    }

    #[inline]
    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket().deregister(registry)
    }
}
