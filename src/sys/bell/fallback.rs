//! kevent(2) has bells of its own, and mio makes one for poll(2): they are that poll's.

use std::convert::Infallible;
use std::io;
use std::os::fd::RawFd;

#[derive(Debug)]
pub(super) struct Bell(Infallible);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn ring(&self) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        match self.0 {}
    }
}
