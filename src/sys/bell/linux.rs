//! eventfd(2): a sum, whose every growth is an edge. It has room for a ring each nanosecond of 500 years.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use crate::sys::check;

#[derive(Debug)]
pub(super) struct Bell(File);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let number = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: the kernel has just opened this descriptor for nobody else.
        Ok(Self(unsafe { File::from_raw_fd(number) }))
    }

    pub(super) fn ring(&self) -> io::Result<()> {
        (&self.0).write_all(&1_u64.to_ne_bytes())
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
