//! [`Datagrams`]: each line as one datagram to a Unix socket, as it is or as the log of the system has it.
//!
//! ```text
//!  <190>kolk[4242]: 192.0.2.1 - - [22/Nov/2026:15:00:00 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8"
//!  └─┬─┘└──┬──────┘
//!  local7, info    the tag: what programs tell the daemon of their own machine (RFC 3164 §4.1.1, §4.1.3)
//! ```
//! The daemons that listen at `/dev/log` (systemd-journald, rsyslog, syslog-ng, busybox) read this form
//! there and not that of RFC 5424, which is for messages between machines. They add the time and the host
//! themselves, and trust neither of a program. A line has no control characters: what is sent is one
//! message.
//!
//! A reader that is gone is looked for once with each write: it may have come back.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

/// Facility local7 and severity info, as one number: 23 × 8 + 6.
const PRIORITY: u8 = 190;
/// How long one line waits for a reader that is behind. The writer asks again.
const WAIT: Duration = Duration::from_millis(10);

/// The sending end.
#[derive(Debug)]
pub(super) struct Datagrams {
    path: PathBuf,
    socket: UnixDatagram,
    /// What stands before each line, and behind it the line at hand.
    datagram: Vec<u8>,
    prefix_bytes: usize,
}

impl Datagrams {
    /// Lines as they are.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn plain(path: PathBuf) -> io::Result<Self> {
        Self::connect(path, Vec::new())
    }

    /// Lines for the log of the system.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn syslog(path: PathBuf) -> io::Result<Self> {
        Self::connect(path, format!("<{PRIORITY}>kolk[{}]: ", std::process::id()).into_bytes())
    }

    fn connect(path: PathBuf, datagram: Vec<u8>) -> io::Result<Self> {
        let (socket, prefix_bytes) = (socket()?, datagram.len());
        socket.connect(&path)?;
        Ok(Self { path, socket, datagram, prefix_bytes })
    }
}

impl Write for Datagrams {
    /// Takes one line, whole or not at all.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(bytes.len()) };
        self.datagram.truncate(self.prefix_bytes);
        self.datagram.extend_from_slice(&bytes[..end]);
        match self.socket.send(&self.datagram) {
            Ok(_) => {}
            Err(error) if is_gone(&error) => {
                self.socket.connect(&self.path)?;
                self.socket.send(&self.datagram)?;
            }
            Err(error) => return Err(error),
        }
        Ok(end + 1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits, but not for ever.
fn socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(WAIT))?;
    Ok(socket)
}

/// Whether the reader has closed its socket.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    fn heard(socket: &UnixDatagram) -> String {
        let mut datagram = [0; 200];
        let length = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_a_datagram() {
        let folder = Scratch::new("datagrams");
        let path = folder.join("socket");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut plain = Datagrams::plain(path.clone()).unwrap();
        plain.write_all(b"one\ntwo\n\n").unwrap();
        assert_eq!([heard(&daemon), heard(&daemon), heard(&daemon)], ["one", "two", ""]);
        let mut syslog = Datagrams::syslog(path).unwrap();
        syslog.write_all(b"one\ntwo\n").unwrap();
        for line in ["one", "two"] {
            assert_eq!(heard(&daemon), format!("<190>kolk[{}]: {line}", std::process::id()));
        }
    }

    #[test]
    fn a_reader_that_comes_back_is_found() {
        let folder = Scratch::new("datagrams-back");
        let path = folder.join("socket");
        assert!(Datagrams::plain(path.clone()).is_err(), "nobody is there");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut plain = Datagrams::plain(path.clone()).unwrap();
        plain.write_all(b"one\n").unwrap();
        assert_eq!(heard(&daemon), "one");
        drop(daemon);
        assert!(plain.write(b"two\n").is_err(), "it is gone");
        std::fs::remove_file(&path).unwrap();
        assert!(plain.write(b"three\n").is_err(), "so is its name");
        let daemon = UnixDatagram::bind(&path).unwrap();
        plain.write_all(b"four\n").unwrap();
        assert_eq!(heard(&daemon), "four");
    }

    #[test]
    fn a_reader_that_is_behind_is_not_waited_for_for_ever() {
        let folder = Scratch::new("datagrams-behind");
        let path = folder.join("socket");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut plain = Datagrams::plain(path).unwrap();
        let mut sent = 0;
        let refused = loop {
            match plain.write(b"line\nnext\n") {
                Ok(taken) => assert_eq!(taken, 5, "one line"),
                Err(error) => break error,
            }
            sent += 1;
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        for _ in 0..sent {
            assert_eq!(heard(&daemon), "line");
        }
        plain.write_all(b"more\n").unwrap();
        assert_eq!(heard(&daemon), "more");
    }
}
