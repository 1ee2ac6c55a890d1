//! [`Stream`]: a TCP or Unix connection, non-blocking.
//!
//! All I/O goes through mio's types, so that its `poll` back-end can re-arm what would block. This is the
//! one place that knows when a short transfer means "drained" or "full" without asking a second time.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::{Arrived, Peer, Progress, Transport};
use crate::sys::sendfile::send_file;
use crate::sys::socket::{EDGES_ARE_THE_KERNELS, reset_on_close};
use crate::sys::stream::{peek, receive, send};
use crate::wire::{Front, Output};

/// Whether a read that did not fill its buffer has emptied the socket, so that a second one, which would
/// only say "would block" for 350 ns, can be left out. It holds for epoll and kqueue, whose next event
/// announces whatever comes later; mio's `poll` back-end re-arms a socket only after "would block".
///
/// An event that says "read closed" announces the end too, and no other will: read on after that one.
pub const SHORT_READ_DRAINS: bool = EDGES_ARE_THE_KERNELS && !cfg!(mio_unsupported_force_poll_poll);

/// How much of a file one system call may send: the kernel reads it from the disk meanwhile.
const FILE_BYTES_PER_CALL: u64 = 1024 * 1024;
/// How much one [`Transport::write`] may send before others have their turn.
const BYTES_PER_WRITE: usize = 1024 * 1024;

/// A connection: 8 bytes in release builds, one half of which is the descriptor.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
}

// Debug builds of mio remember the selector, its `poll` back-end the registration.
const _: () = assert!(size_of::<Stream>() <= 8 || cfg!(debug_assertions) || !SHORT_READ_DRAINS);

/// Which kind of socket a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// TCP over IPv4 or IPv6.
    Ip,
    /// A Unix stream socket.
    Unix,
}

impl Stream {
    /// The connection behind `socket`, a non-blocking stream socket of this family.
    #[inline]
    pub fn from_fd(socket: OwnedFd, family: Family) -> Self {
        match family {
            Family::Ip => Self::Tcp(TcpStream::from_std(socket.into())),
            Family::Unix => Self::Unix(UnixStream::from_std(socket.into())),
        }
    }

    /// Reads what is there, once.
    #[inline]
    pub(super) fn read_socket(&mut self, into: &mut [u8]) -> io::Result<Arrived> {
        loop {
            match self.receive(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(Arrived::in_one_call(result?, into.len())),
            }
        }
    }

    #[inline]
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_io(|| receive(stream.as_fd(), into)),
            Self::Unix(stream) => stream.try_io(|| receive(stream.as_fd(), into)),
        }
    }

    /// Looks at what is there, once, and leaves it there.
    pub(super) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let seen = match self {
                Self::Tcp(stream) => stream.try_io(|| peek(stream.as_fd(), into)),
                Self::Unix(stream) => stream.try_io(|| peek(stream.as_fd(), into)),
            };
            match seen {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                seen => return seen,
            }
        }
    }

    /// Takes so many bytes, which are there, and forgets them.
    pub(super) fn skip(&mut self, mut bytes: usize) -> io::Result<()> {
        let mut room = [0; 512];
        while bytes > 0 {
            let wanted = bytes.min(room.len());
            let taken = self.read_socket(&mut room[..wanted])?.bytes;
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes -= taken;
        }
        Ok(())
    }

    /// Asks to be told of more than what was looked at. Where the kernel tells of each arrival, it does so.
    pub(super) fn await_more(&self) -> io::Error {
        let nothing = || io::Error::from(io::ErrorKind::WouldBlock);
        if !SHORT_READ_DRAINS {
            // mio's `poll` back-end watches again what would block.
            let _ = match self {
                Self::Tcp(stream) => stream.try_io(|| Err::<(), _>(nothing())),
                Self::Unix(stream) => stream.try_io(|| Err::<(), _>(nothing())),
            };
        }
        nothing()
    }

    /// Sends what the kernel takes now, which may be nothing.
    #[cfg(feature = "tls")]
    pub(super) fn send_some(&mut self, run: &[u8]) -> io::Result<usize> {
        loop {
            match self.send(run) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }

    #[inline]
    fn send(&mut self, run: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_io(|| send(stream.as_fd(), run)),
            Self::Unix(stream) => stream.try_io(|| send(stream.as_fd(), run)),
        }
    }

    fn send_two(&mut self, runs: &[IoSlice<'_>; 2]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(runs),
            Self::Unix(stream) => stream.write_vectored(runs),
        }
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_io(|| send_file(stream.as_fd(), file, offset, length)),
            Self::Unix(stream) => stream.try_io(|| send_file(stream.as_fd(), file, offset, length)),
        }
    }

    /// Sends what stands at the front, once: how much, and whether the kernel is known to be full.
    #[inline]
    fn send_front(&mut self, front: &Front<'_>) -> io::Result<(usize, bool)> {
        let (sent, wanted) = match *front {
            Front::Bytes(run, None) => (self.send(run)?, run.len()),
            Front::Bytes(run, Some(behind)) => {
                (self.send_two(&[IoSlice::new(run), IoSlice::new(behind)])?, run.len() + behind.len())
            }
            Front::File { file, offset, length } => {
                let length = usize::try_from(length.min(FILE_BYTES_PER_CALL)).unwrap_or(usize::MAX);
                let sent = self.send_file(file.as_fd(), offset, length)?;
                if sent == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
                }
                // A short count may also be the page cache's or the kernel's own portion.
                return Ok((sent, false));
            }
        };
        Ok((sent, SHORT_READ_DRAINS && sent < wanted))
    }

    /// Sends piece after piece.
    #[inline(never)]
    fn write_on(&mut self, output: &mut Output) -> io::Result<Progress> {
        let mut budget = BYTES_PER_WRITE;
        while let Some(front) = output.front() {
            if budget == 0 {
                return Ok(Progress::Budget);
            }
            match self.send_front(&front) {
                Ok((sent, full)) => {
                    output.consume(sent);
                    if full {
                        return Ok(Progress::Blocked);
                    }
                    budget = budget.saturating_sub(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Done)
    }
}

impl Transport for Stream {
    #[inline]
    fn read(&mut self, into: &mut [u8], _: &mut Output) -> io::Result<Arrived> {
        self.read_socket(into)
    }

    #[inline]
    fn write(&mut self, output: &mut Output) -> io::Result<Progress> {
        // Nearly always one run of bytes waits, and the kernel takes it whole.
        if let Some(run) = output.single_run() {
            match self.send(run) {
                Ok(sent) if sent == run.len() => {
                    output.consume(sent);
                    return Ok(Progress::Done);
                }
                Ok(sent) => {
                    output.consume(sent);
                    if SHORT_READ_DRAINS {
                        return Ok(Progress::Blocked);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.write_on(output)
    }

    fn shutdown_write(&mut self) {
        // ENOTCONN: the peer has reset it, which the next read tells.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    fn reset(&mut self) {
        if let Self::Tcp(stream) = self {
            reset_on_close(stream.as_fd());
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map_or(Peer::Unknown, Peer::Ip),
            Self::Unix(_) => Peer::Unix,
        }
    }
}

impl Source for Stream {
    #[inline]
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interests),
            Self::Unix(stream) => stream.register(registry, token, interests),
        }
    }

    #[inline]
    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, interests),
            Self::Unix(stream) => stream.reregister(registry, token, interests),
        }
    }

    #[inline]
    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream as Client};
    use std::os::unix::net::UnixStream as UnixClient;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::sys::scratch::file_of;

    fn tcp_pair() -> (Stream, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Stream::from_fd(socket.into(), Family::Ip), client)
    }

    fn unix_pair() -> (Stream, UnixClient) {
        let (socket, client) = UnixClient::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Stream::from_fd(socket.into(), Family::Unix), client)
    }

    fn read_soon(stream: &mut Stream, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match stream.read_socket(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                result => return result.map(|arrived| arrived.bytes),
            }
        }
    }

    /// Writes until done; which kinds of progress that took.
    fn write_all(stream: &mut Stream, output: &mut Output) -> Vec<Progress> {
        let mut seen = Vec::new();
        loop {
            let progress = stream.write(output).unwrap();
            seen.push(progress);
            if progress == Progress::Done {
                return seen;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn reads_what_is_there_then_blocks_then_sees_the_end() {
        let (mut stream, mut client) = tcp_pair();
        let mut buffer = [0; 64];
        assert_eq!(stream.read_socket(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"GET /").unwrap();
        assert_eq!(read_soon(&mut stream, &mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"GET /");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_soon(&mut stream, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn mixed_output_arrives_in_order() {
        let file = Arc::new(file_of(b"0123456789"));
        let (mut tcp, mut tcp_client) = tcp_pair();
        let (mut unix, mut unix_client) = unix_pair();
        for (stream, client) in
            [(&mut tcp, &mut tcp_client as &mut dyn Read), (&mut unix, &mut unix_client as &mut dyn Read)]
        {
            let mut output = Output::default();
            output.copy(b"head ");
            output.share(Bytes::from_static(b"body "));
            output.copy(b"then ");
            output.file(Arc::clone(&file), 2, 5);
            output.copy(b" end");
            assert_eq!(stream.write(&mut output).unwrap(), Progress::Done);
            assert!(output.is_empty());
            stream.shutdown_write();
            let mut received = String::new();
            client.read_to_string(&mut received).unwrap();
            assert_eq!(received, "head body then 23456 end");
        }
    }

    #[test]
    fn a_slow_reader_blocks_and_gets_everything_in_the_end() {
        let (mut stream, mut client) = tcp_pair();
        let body: Vec<u8> = (0..16_u32 << 20).map(|n| n.to_le_bytes()[1]).collect();
        let mut output = Output::default();
        output.share(Bytes::from(body.clone()));
        // Nobody reads: at some point the kernel has enough.
        while stream.write(&mut output).unwrap() != Progress::Blocked {}
        assert!(!output.is_empty());
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            received
        });
        write_all(&mut stream, &mut output);
        drop(stream);
        assert!(reader.join().unwrap() == body);
    }

    #[test]
    fn a_large_file_is_sent_a_budget_at_a_time() {
        let content: Vec<u8> = (0..5_u32 << 20).map(|n| n.to_le_bytes()[2]).collect();
        let file = Arc::new(file_of(&content));
        let (mut stream, mut client) = tcp_pair();
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            received
        });
        let mut output = Output::default();
        output.file(file, 0, content.len() as u64);
        let progress = write_all(&mut stream, &mut output);
        assert!(progress.len() >= 5, "{} MiB in {} calls", content.len() >> 20, progress.len());
        drop(stream);
        assert!(reader.join().unwrap() == content);
    }

    #[test]
    fn a_file_that_became_shorter_ends_the_connection() {
        let (mut stream, _client) = tcp_pair();
        let mut output = Output::default();
        output.file(Arc::new(file_of(b"short")), 0, 100);
        let error = stream.write(&mut output).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_peer_that_reset_is_an_error_of_the_write() {
        let (mut stream, client) = unix_pair();
        drop(client);
        let mut output = Output::default();
        output.copy(b"anybody there?");
        // A copy of the client may live on for a while in another test's private descriptor table.
        while let Ok(Progress::Done | Progress::Blocked) = stream.write(&mut output) {
            output.copy(b"hello?");
        }
        stream.shutdown_write();
    }

    #[test]
    fn the_peer_is_asked_for() {
        let (stream, client) = tcp_pair();
        assert_eq!(stream.peer(), Peer::Ip(client.local_addr().unwrap()));
        assert_eq!(unix_pair().0.peer(), Peer::Unix);
    }
}
