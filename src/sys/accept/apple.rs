//! Apple's systems: no `accept4`, so the flags follow in calls of their own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use socket2::SockRef;

use crate::sys::check;

#[inline]
pub(super) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: accept(2) takes NULL for "no address, please"; the descriptor is open while it is borrowed.
    let socket = check(unsafe { libc::accept(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut()) })?;
    // SAFETY: the kernel has just opened this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let options = SockRef::from(&socket);
    options.set_nonblocking(true)?;
    options.set_cloexec(true)?;
    // EINVAL when the peer has gone already: the first read will tell.
    let _ = options.set_nosigpipe(true);
    drop(options);
    Ok(socket)
}
