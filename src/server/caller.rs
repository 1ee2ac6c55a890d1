//! [`Caller`]: what a transport knows of its client, as handlers ask for it. [`Remembered`]: what it knew.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::app::Visitor;
use crate::base::Certificate;
use crate::net::{Handshake, Peer, Transport};

/// The client behind a transport.
pub(super) struct Caller<'t, T>(pub(super) &'t T);

impl<T: Transport> Visitor for Caller<'_, T> {
    fn address(&self) -> Option<SocketAddr> {
        match self.0.peer() {
            Peer::Ip(address) => Some(address),
            Peer::Unix | Peer::Unknown => None,
        }
    }

    fn is_unix(&self) -> bool {
        self.0.peer() == Peer::Unix
    }

    fn is_gone(&self) -> bool {
        self.0.peer() == Peer::Unknown
    }

    fn means(&self, host: &str) -> bool {
        self.0.is_meant_for(host)
    }

    fn is_encrypted(&self) -> bool {
        self.0.handshake() != Handshake::None
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.0.certificate()
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
