//! Bytes into and out of a connected socket, one call each.
//!
//! On Linux the calls go around the C library's `recv` and `send`: those are cancellation points, and in a
//! program of several threads each costs two atomic exchanges that nobody here needs (87 instructions of a
//! request's 2,800).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Reads what is there, once; 0 when the peer has closed its sending side.
///
/// # Errors
/// `WouldBlock` when nothing is there yet, `Interrupted`, and whatever ends the connection.
#[inline]
pub fn receive(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open while it is borrowed, and `into` is writable for its whole length.
    let count = unsafe { system::recv(socket.as_raw_fd(), into.as_mut_ptr(), into.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// As [`receive`], but leaves the bytes where they are.
///
/// # Errors
/// As [`receive`].
pub fn peek(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open while it is borrowed, and `into` is writable for its whole length.
    let count =
        unsafe { libc::recv(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), libc::MSG_PEEK) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Sends from the front of `bytes`, once; how many were taken. A closed connection is an error, no signal.
///
/// # Errors
/// `WouldBlock` when the kernel is full, `Interrupted`, and whatever ends the connection.
#[inline]
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open while it is borrowed, and `bytes` is readable for its whole length.
    let count = unsafe { system::send(socket.as_raw_fd(), bytes.as_ptr(), bytes.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::ptr::null_mut;

    /// # Safety
    /// As for recv(2).
    #[inline]
    pub(super) unsafe fn recv(socket: libc::c_int, into: *mut u8, length: usize) -> libc::c_long {
        // SAFETY: the caller's; the kernel writes nothing but the bytes, since no address is asked for.
        unsafe {
            libc::syscall(libc::SYS_recvfrom, socket, into, length, 0, null_mut::<u8>(), null_mut::<u8>())
        }
    }

    /// # Safety
    /// As for send(2).
    #[inline]
    pub(super) unsafe fn send(socket: libc::c_int, bytes: *const u8, length: usize) -> libc::c_long {
        // SAFETY: the caller's; no address is given.
        unsafe {
            libc::syscall(libc::SYS_sendto, socket, bytes, length, libc::MSG_NOSIGNAL, null_mut::<u8>(), 0)
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    /// Apple has no such flag; a Rust program ignores `SIGPIPE` from its start.
    #[cfg(target_vendor = "apple")]
    const NO_SIGNAL: libc::c_int = 0;
    #[cfg(not(target_vendor = "apple"))]
    const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

    /// # Safety
    /// As for recv(2).
    pub(super) unsafe fn recv(socket: libc::c_int, into: *mut u8, length: usize) -> libc::ssize_t {
        // SAFETY: the caller's.
        unsafe { libc::recv(socket, into.cast(), length, 0) }
    }

    /// # Safety
    /// As for send(2).
    pub(super) unsafe fn send(socket: libc::c_int, bytes: *const u8, length: usize) -> libc::ssize_t {
        // SAFETY: the caller's.
        unsafe { libc::send(socket, bytes.cast(), length, NO_SIGNAL) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_pass_in_both_directions() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut into = [0; 8];
        assert_eq!(receive(ours.as_fd(), &mut into).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.write_all(b"hello").unwrap();
        assert_eq!(peek(ours.as_fd(), &mut into[..3]).unwrap(), 3);
        assert_eq!(receive(ours.as_fd(), &mut into).unwrap(), 5);
        assert_eq!(&into[..5], b"hello");
        assert_eq!(send(ours.as_fd(), b"world").unwrap(), 5);
        theirs.read_exact(&mut into[..5]).unwrap();
        assert_eq!(&into[..5], b"world");
        drop(theirs);
        assert_eq!(receive(ours.as_fd(), &mut into).unwrap(), 0);
        assert_eq!(send(ours.as_fd(), b"!").unwrap_err().kind(), io::ErrorKind::BrokenPipe, "and no signal");
    }

    #[test]
    fn a_full_kernel_takes_a_part() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let bytes = vec![7; 16 << 20];
        let sent = send(ours.as_fd(), &bytes).unwrap();
        assert!((1..bytes.len()).contains(&sent), "{sent}");
        assert_eq!(send(ours.as_fd(), &bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
