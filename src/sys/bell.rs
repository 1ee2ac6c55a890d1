//! A bell: a descriptor that any thread rings and a poll hears.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll)),
    path = "bell/linux.rs"
)]
#[cfg_attr(
    not(all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll))),
    path = "bell/fallback.rs"
)]
mod system;

/// A bell that is a descriptor. For a poll that reports edges: each ring is one, and nothing is read.
#[derive(Debug)]
pub struct Bell(system::Bell);

impl Bell {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// `Unsupported` where the system has none, or has a poll that reports no edges; whatever eventfd(2)
    /// reports.
    pub fn new() -> io::Result<Self> {
        system::Bell::new().map(Self)
    }

    /// Rings: at every poll that hears it, and at each that begins to, once.
    ///
    /// # Errors
    /// Whatever write(2) reports: somebody else has closed the descriptor.
    pub fn ring(&self) -> io::Result<()> {
        self.0.ring()
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
