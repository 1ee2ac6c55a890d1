//! FreeBSD and DragonFly: the count comes back through a pointer, beside an error too.

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
    let mut sent: libc::off_t = 0;
    // SAFETY: both descriptors are open while they are borrowed, `sent` outlives the call, and NULL means
    // that neither a header nor a trailer goes along.
    let result = unsafe {
        libc::sendfile(
            file.as_raw_fd(),
            socket.as_raw_fd(),
            offset,
            length,
            ptr::null_mut(),
            &raw mut sent,
            0,
        )
    };
    // EAGAIN and EINTR may come with bytes that were sent already.
    match usize::try_from(sent) {
        Ok(sent) if sent > 0 || result == 0 => Ok(sent),
        _ => Err(io::Error::last_os_error()),
    }
}
