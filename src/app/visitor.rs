//! [`Visitor`]: the client's side of a request's connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::app::App;
use crate::base::Certificate;
use crate::http::Head;

/// Who is at the other end. Asked only when a handler asks: an answer may take a system call.
pub trait Visitor {
    /// Its address; `None` if it came through a socket of the file system, or is gone.
    fn address(&self) -> Option<SocketAddr>;

    /// Whether it came through a socket of the file system.
    fn is_unix(&self) -> bool {
        false
    }

    /// Whether this is a proxy that comes for somebody else, and has not said for whom: the address is its
    /// own.
    fn is_hidden(&self) -> bool {
        false
    }

    /// Whether nobody can tell any more where it is: a connection that was cut has no other end.
    fn is_gone(&self) -> bool {
        false
    }

    /// Whether its connection was set up for this host.
    fn means(&self, _host: &str) -> bool {
        true
    }

    /// Whether nobody in between reads along.
    fn is_encrypted(&self) -> bool;

    /// The certificate that it has shown and that was found to be its own.
    fn certificate(&self) -> Option<Arc<Certificate>>;
}

impl App {
    /// Whether a request has to come over another connection, which is for its host. No other one helps where
    /// nobody has that host.
    pub(crate) fn misdirects(&self, head: &Head<'_>, peer: &dyn Visitor) -> bool {
        !peer.means(head.host().unwrap_or_default()) && !self.is_nobodys(self.site_of(head))
    }
}

/// Nobody in particular: for requests that came over no connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody {
    /// What [`Visitor::is_encrypted`] says.
    pub is_encrypted: bool,
}

impl Visitor for Nobody {
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        None
    }
}

/// Somebody at an address: for requests that came over no connection.
#[derive(Clone, Copy, Debug)]
pub struct Somebody {
    /// Where it is.
    pub address: IpAddr,
    /// What [`Visitor::is_encrypted`] says.
    pub is_encrypted: bool,
}

impl Visitor for Somebody {
    fn address(&self) -> Option<SocketAddr> {
        Some((self.address, 0).into())
    }

    fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        None
    }
}
