//! Without the feature `tls`: there are no certificates, and so no connection is encrypted.

use std::io;
use std::sync::Arc;

use super::{Arrived, Handshake, Peer, Progress, Stream, Transport, Versions};
use crate::base::{Certificate, Tick};
use crate::wire::Output;

/// Certificates of which there are none.
#[derive(Clone, Debug)]
pub enum Tls {}

impl Tls {
    /// Whether both are the same.
    pub const fn is(&self, _: &Self) -> bool {
        match *self {}
    }

    /// How often certificates could not be read again.
    pub const fn reloads_failed(&self) -> u64 {
        match *self {}
    }
}

/// A connection of which there is none.
#[derive(Debug)]
pub enum TlsStream {}

/// A thread begins another turn.
#[inline]
pub const fn begin_turn(_: Tick) {}

impl TlsStream {
    /// The connection over a socket, which needs a certificate.
    ///
    /// # Errors
    /// None: nobody can call it.
    pub fn new(_: Stream, tls: &Tls, _: Versions) -> io::Result<Self> {
        match *tls {}
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "as with TLS")]
    pub(super) const fn socket(&mut self) -> &mut Stream {
        match *self {}
    }
}

impl Transport for TlsStream {
    fn read(&mut self, _: &mut [u8], _: &mut Output) -> io::Result<Arrived> {
        match *self {}
    }

    fn write(&mut self, _: &mut Output) -> io::Result<Progress> {
        match *self {}
    }

    fn shutdown_write(&mut self) {
        match *self {}
    }

    fn reset(&mut self) {
        match *self {}
    }

    fn peer(&self) -> Peer {
        match *self {}
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        match *self {}
    }

    fn handshake(&self) -> Handshake {
        match *self {}
    }
}
