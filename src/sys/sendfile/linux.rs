//! Linux: `sendfile(out, in, &offset, count)` answers with the count.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::system_offset;

pub(super) fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
) -> io::Result<usize> {
    let mut offset: libc::off64_t = system_offset(offset)?;
    // SAFETY: both descriptors are open while they are borrowed, and `offset` outlives the call.
    let sent = unsafe { libc::sendfile64(socket.as_raw_fd(), file.as_raw_fd(), &raw mut offset, length) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
