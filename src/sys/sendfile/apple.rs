//! Apple's systems: the length is wish and answer in one, beside an error too.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::system_offset;

pub(super) fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
) -> io::Result<usize> {
    let offset: libc::off_t = system_offset(offset)?;
    let mut sent = libc::off_t::try_from(length).unwrap_or(libc::off_t::MAX);
    // SAFETY: both descriptors are open while they are borrowed, `sent` outlives the call, and NULL means
    // that neither a header nor a trailer goes along.
    let result = unsafe {
        libc::sendfile(file.as_raw_fd(), socket.as_raw_fd(), offset, &raw mut sent, ptr::null_mut(), 0)
    };
    if result == 0 {
        return Ok(usize::try_from(sent).unwrap_or(0));
    }
    // With EAGAIN and EINTR `sent` is what went before; with another error it may still be the wish.
    let error = io::Error::last_os_error();
    match usize::try_from(sent) {
        Ok(sent) if sent > 0 && matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(sent),
        _ => Err(error),
    }
}
