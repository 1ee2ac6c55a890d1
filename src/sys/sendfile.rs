//! Bytes from a file into a socket, without a visit to user space where the system can do that.

use std::io;
use std::os::fd::BorrowedFd;

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "sendfile/linux.rs")]
#[cfg_attr(any(target_os = "freebsd", target_os = "dragonfly"), path = "sendfile/freebsd.rs")]
#[cfg_attr(target_vendor = "apple", path = "sendfile/apple.rs")]
#[cfg_attr(
    not(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_vendor = "apple"
    )),
    path = "sendfile/fallback.rs"
)]
mod system;

// So that the tests of a system with sendfile(2) know the fallback too.
#[cfg(all(test, target_os = "linux"))]
mod fallback;

/// Sends up to `length` bytes of `file` from `offset` into the non-blocking `socket`; returns how many the
/// kernel took, which may be fewer. `Ok(0)` for a `length` above zero: the file ends at `offset`.
///
/// # Errors
/// `WouldBlock` when the socket took nothing; whatever the socket or the file reports.
/// `InvalidInput` for an offset beyond what the system can express.
pub fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
) -> io::Result<usize> {
    if length == 0 {
        return Ok(0);
    }
    system::send_file(socket, file, offset, length)
}

/// A file offset as this system writes it.
fn system_offset<T: TryFrom<u64>>(offset: u64) -> io::Result<T> {
    T::try_from(offset).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "file offset out of range"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::scratch::file_of;

    type SendFile = fn(BorrowedFd<'_>, BorrowedFd<'_>, u64, usize) -> io::Result<usize>;

    fn ways() -> Vec<SendFile> {
        vec![
            send_file,
            #[cfg(target_os = "linux")]
            fallback::send_file,
        ]
    }

    #[test]
    fn a_range_arrives_whole_and_the_end_is_zero() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let file = file_of(&content);
        for send in ways() {
            let (socket, mut peer) = UnixStream::pair().unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut sent = 0;
            let mut received = vec![0; 65_000];
            while sent < received.len() {
                let count =
                    send(socket.as_fd(), file.as_fd(), 7 + sent as u64, received.len() - sent).unwrap();
                peer.read_exact(&mut received[sent..sent + count]).unwrap();
                sent += count;
            }
            assert_eq!(received, content[7..65_007]);
            assert_eq!(send(socket.as_fd(), file.as_fd(), 100_000, 10).unwrap(), 0);
            assert_eq!(send(socket.as_fd(), file.as_fd(), 99_990, 100).unwrap(), 10);
        }
    }

    #[test]
    fn a_full_socket_would_block() {
        let file = file_of(&vec![b'x'; 1 << 20]);
        for send in ways() {
            let (socket, _peer) = UnixStream::pair().unwrap();
            socket.set_nonblocking(true).unwrap();
            let refusal = (0..10_000).find_map(|_| send(socket.as_fd(), file.as_fd(), 0, 1 << 20).err());
            assert_eq!(refusal.unwrap().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn an_offset_beyond_the_system_is_refused() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let refusal = send_file(socket.as_fd(), file_of(b"x").as_fd(), u64::MAX, 1).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::InvalidInput);
    }
}
