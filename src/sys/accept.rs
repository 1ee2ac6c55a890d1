//! The next connection of a listener, and what a failure to get one means for the loop.
//!
//! The peer's address is not asked for (a NULL address saves the copy): whoever needs it asks the socket.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

#[cfg_attr(not(target_vendor = "apple"), path = "accept/accept4.rs")]
#[cfg_attr(target_vendor = "apple", path = "accept/apple.rs")]
mod system;

/// Why there is no connection.
#[derive(Debug)]
pub enum AcceptError {
    /// The queue is empty: wait for the listener's next event.
    Empty,
    /// This process or the machine is out of descriptors or memory. The connection is still queued and no
    /// event will announce it again: shed one through [`Reserve`](super::descriptors::Reserve), pause, retry.
    Exhausted(io::Error),
    /// The connection died in the queue, or the network refused it: go on with the next.
    Aborted,
    /// The listener itself is broken.
    Fatal(io::Error),
}

/// Takes the next connection from `listener`'s queue: non-blocking, closed on exec.
///
/// # Errors
/// See [`AcceptError`]. A call that a signal interrupted is repeated.
#[inline]
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, AcceptError> {
    loop {
        match system::accept(listener) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Self::Empty;
        }
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Self::Exhausted(error),
            // accept(2): errors of the connection's network, and of a firewall, arrive here too.
            Some(
                libc::ECONNABORTED
                | libc::EPROTO
                | libc::EPERM
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ETIMEDOUT
                | libc::EOPNOTSUPP,
            ) => Self::Aborted,
            // It was shut down: nobody waits, and nobody will.
            Some(libc::EINVAL) => Self::Empty,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Some(libc::ENONET) => Self::Aborted,
            _ => Self::Fatal(error),
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no connection is waiting"),
            Self::Exhausted(error) => write!(f, "out of descriptors or memory: {error}"),
            Self::Aborted => f.write_str("the connection was aborted while it waited"),
            Self::Fatal(error) => write!(f, "the listener is broken: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;

    fn listener() -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    /// The queue may lag behind the client's connect by a moment.
    fn accept_soon(listener: &TcpListener) -> OwnedFd {
        loop {
            match accept(listener.as_fd()) {
                Ok(socket) => return socket,
                Err(AcceptError::Empty) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn an_empty_queue_is_not_an_error_of_the_listener() {
        assert!(matches!(accept(listener().as_fd()), Err(AcceptError::Empty)));
    }

    #[test]
    fn a_connection_arrives_non_blocking_and_closed_on_exec() {
        let listener = listener();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = accept_soon(&listener);
        // SAFETY: F_GETFL and F_GETFD read flags of an open descriptor.
        let (status, flags) = unsafe {
            (libc::fcntl(socket.as_raw_fd(), libc::F_GETFL), libc::fcntl(socket.as_raw_fd(), libc::F_GETFD))
        };
        assert_ne!(status & libc::O_NONBLOCK, 0);
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    }

    #[test]
    fn errors_are_told_apart_by_what_the_loop_should_do() {
        let verdict = |code| AcceptError::from(io::Error::from_raw_os_error(code));
        assert!(matches!(verdict(libc::EAGAIN), AcceptError::Empty));
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(matches!(verdict(code), AcceptError::Exhausted(_)), "{code}");
        }
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::ENETDOWN, libc::EHOSTUNREACH] {
            assert!(matches!(verdict(code), AcceptError::Aborted), "{code}");
        }
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(accept(null.as_fd()), Err(AcceptError::Fatal(_))));
    }
}
