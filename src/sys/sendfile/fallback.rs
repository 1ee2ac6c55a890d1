//! Systems without a `sendfile` of their own: a read and a send. What the socket does not take is read
//! again by the next call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::system_offset;

/// How much one call reads, and sends at most.
const CHUNK_BYTES: usize = 32 * 1024;

pub(super) fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
) -> io::Result<usize> {
    let offset: libc::off_t = system_offset(offset)?;
    let mut chunk = [0_u8; CHUNK_BYTES];
    let wanted = length.min(CHUNK_BYTES);
    // SAFETY: `chunk` has room for `wanted` bytes, and the descriptor is open while it is borrowed.
    let read = unsafe { libc::pread(file.as_raw_fd(), chunk.as_mut_ptr().cast(), wanted, offset) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    if read == 0 {
        return Ok(0);
    }
    // SAFETY: pread(2) has just filled `read` bytes of `chunk`.
    let sent = unsafe { libc::send(socket.as_raw_fd(), chunk.as_ptr().cast(), read, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
