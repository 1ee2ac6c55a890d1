//! Systems with `accept4`, which sets both flags in the one call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::sys::check;

#[inline]
pub(super) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: accept4(2) takes NULL for "no address, please"; the descriptor is open while it is borrowed.
    let socket = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            ptr::null_mut(),
            ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    })?;
    // SAFETY: the kernel has just opened this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}
