//! [`Caller`]: what is known of the client of a connection, as handlers ask for it. [`Remembered`]: what was.

use std::net::SocketAddr;
use std::sync::Arc;

use super::peers::Peers;
use crate::app::Visitor;
use crate::base::{Certificate, Key};
use crate::net::{Handshake, Peer, Transport};

/// The client of a connection: what its transport knows, and what it need not be asked again.
pub(super) struct Caller<'t, T> {
    transport: &'t T,
    connection: Key,
    peers: &'t Peers,
}

impl<'t, T: Transport> Caller<'t, T> {
    #[inline]
    pub(super) const fn of(connection: Key, transport: &'t T, peers: &'t Peers) -> Self {
        Self { transport, connection, peers }
    }

    fn peer(&self) -> Peer {
        if !self.transport.is_peer_known() {
            // A proxy has yet to say who it is.
            return self.transport.peer();
        }
        self.peers.of(self.connection, || self.transport.peer())
    }
}

impl<T: Transport> Visitor for Caller<'_, T> {
    fn address(&self) -> Option<SocketAddr> {
        match self.peer() {
            Peer::Ip(address) => Some(address),
            Peer::Unix | Peer::Unknown => None,
        }
    }

    fn is_unix(&self) -> bool {
        self.peer() == Peer::Unix
    }

    fn is_hidden(&self) -> bool {
        self.transport.is_client_hidden()
    }

    fn is_gone(&self) -> bool {
        self.peer() == Peer::Unknown
    }

    fn means(&self, host: &str) -> bool {
        self.transport.is_meant_for(host)
    }

    fn is_encrypted(&self) -> bool {
        self.transport.handshake() != Handshake::None
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.transport.certificate()
    }
}

/// A client whose connection may have been cut since: where it was.
pub(super) struct Remembered<'c> {
    pub(super) address: SocketAddr,
    /// What is known of it now.
    pub(super) present: &'c dyn Visitor,
}

impl Visitor for Remembered<'_> {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn is_hidden(&self) -> bool {
        self.present.is_hidden()
    }

    fn means(&self, host: &str) -> bool {
        self.present.means(host)
    }

    fn is_encrypted(&self) -> bool {
        self.present.is_encrypted()
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.present.certificate()
    }
}
