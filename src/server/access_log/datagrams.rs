//! [`Lines`]: each line as one message to a Unix socket, as it is or as the log of the system has it.
//!
//! A line has no control characters: what is sent is one message. It goes whole or not at all, so that the
//! writer, which asks again, never sends one twice.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::sys::datagrams::Datagrams;
use crate::sys::syslog::{Facility, Severity};

/// How long one line waits for a reader that is behind. The writer asks again.
const WAIT: Duration = Duration::from_millis(10);

/// The sending end.
#[derive(Debug)]
pub(super) struct Lines {
    datagrams: Datagrams,
    /// What stands before each line, and behind it the line at hand.
    message: Vec<u8>,
    tag_bytes: usize,
}

impl Lines {
    /// Lines as they are.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn plain(path: PathBuf) -> io::Result<Self> {
        Self::behind(String::new(), path)
    }

    /// Lines for the log of the system.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn syslog(path: PathBuf, facility: Facility) -> io::Result<Self> {
        Self::behind(facility.tag(Severity::Info), path)
    }

    fn behind(tag: String, path: PathBuf) -> io::Result<Self> {
        let datagrams = Datagrams::connect(path, Some(WAIT))?;
        Ok(Self { datagrams, tag_bytes: tag.len(), message: tag.into_bytes() })
    }
}

impl Write for Lines {
    /// Takes one line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(bytes.len()) };
        self.message.truncate(self.tag_bytes);
        self.message.extend_from_slice(&bytes[..end]);
        self.datagrams.send(&self.message)?;
        Ok(end + 1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::sys::scratch::Scratch;

    fn heard(socket: &UnixDatagram) -> String {
        let mut datagram = [0; 200];
        let length = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_a_datagram() {
        let folder = Scratch::new("lines");
        let path = folder.join("socket");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut plain = Lines::plain(path.clone()).unwrap();
        plain.write_all(b"one\ntwo\n\n").unwrap();
        assert_eq!([heard(&daemon), heard(&daemon), heard(&daemon)], ["one", "two", ""]);
        for (facility, priority) in [(Facility::Local7, 190), (Facility::Local3, 158), (Facility::User, 14)] {
            let mut syslog = Lines::syslog(path.clone(), facility).unwrap();
            syslog.write_all(b"one\ntwo\n").unwrap();
            for line in ["one", "two"] {
                assert_eq!(heard(&daemon), format!("<{priority}>kolk[{}]: {line}", std::process::id()));
            }
        }
    }

    #[test]
    fn of_what_is_not_taken_each_line_comes_once() {
        let folder = Scratch::new("lines-behind");
        let path = folder.join("socket");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut plain = Lines::plain(path).unwrap();
        let mut sent = 0;
        let refused = loop {
            match plain.write(b"line\nnext\n") {
                Ok(taken) => assert_eq!(taken, 5, "one line"),
                Err(error) => break error,
            }
            sent += 1;
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        (0..sent).for_each(|_| assert_eq!(heard(&daemon), "line"));
        plain.write_all(b"more\n").unwrap();
        assert_eq!(heard(&daemon), "more");
    }
}
