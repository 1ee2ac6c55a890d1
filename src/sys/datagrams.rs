//! [`Datagrams`]: messages to a daemon that listens at a Unix socket.
//!
//! A reader that is gone is looked for once with each message: it may have come back. Knows no line and no
//! form of a message.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use super::at;

/// The sending end.
#[derive(Debug)]
pub struct Datagrams {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Datagrams {
    /// Sends to the socket `path`, and waits so long for a reader that is behind; `None`: not at all.
    ///
    /// # Errors
    /// Nobody listens there; with the path.
    pub fn connect(path: PathBuf, patience: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        match patience {
            Some(patience) => socket.set_write_timeout(Some(patience))?,
            None => socket.set_nonblocking(true)?,
        }
        socket.connect(&path).map_err(|error| at(&path, &error))?;
        Ok(Self { path, socket })
    }

    /// Sends one message, whole or not at all.
    ///
    /// # Errors
    /// `WouldBlock` if the reader is behind; that it is gone; that the message is too long.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        match self.socket.send(message) {
            Err(error) if is_gone(&error) => {
                self.socket.connect(&self.path)?;
                self.socket.send(message)
            }
            sent => sent,
        }
        .map(drop)
        .map_err(|error| if is_behind(&error) { ErrorKind::WouldBlock.into() } else { error })
    }
}

/// Whether the reader has no room: macOS and the BSDs have a word of their own for that.
fn is_behind(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
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
    use super::super::scratch::Scratch;
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut datagram = [0; 200];
        let length = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_reader_that_comes_back_is_found() {
        let folder = Scratch::new("datagrams-back");
        let path = folder.join("socket");
        let nobody = Datagrams::connect(path.clone(), None).unwrap_err().to_string();
        assert!(nobody.starts_with(&format!("{}: ", path.display())), "{nobody}");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let datagrams = Datagrams::connect(path.clone(), None).unwrap();
        datagrams.send(b"one").unwrap();
        assert_eq!(heard(&daemon), "one");
        drop(daemon);
        assert!(datagrams.send(b"two").is_err(), "it is gone");
        std::fs::remove_file(&path).unwrap();
        assert!(datagrams.send(b"three").is_err(), "so is its name");
        let daemon = UnixDatagram::bind(&path).unwrap();
        datagrams.send(b"four").unwrap();
        assert_eq!(heard(&daemon), "four");
    }

    #[test]
    fn a_reader_that_is_behind_is_not_waited_for_for_ever() {
        for patience in [None, Some(Duration::from_millis(10))] {
            let folder = Scratch::new("datagrams-behind");
            let path = folder.join("socket");
            let daemon = UnixDatagram::bind(&path).unwrap();
            let datagrams = Datagrams::connect(path, patience).unwrap();
            let mut sent = 0;
            let refused = loop {
                match datagrams.send(b"line") {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(refused.kind(), ErrorKind::WouldBlock);
            (0..sent).for_each(|_| assert_eq!(heard(&daemon), "line"));
            datagrams.send(b"more").unwrap();
            assert_eq!(heard(&daemon), "more");
        }
    }
}
