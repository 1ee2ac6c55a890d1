//! TLS: a [`Stream`] whose bytes are encrypted. The only room behind which rustls is known.
//!
//! ```text
//!  socket ─► the thread's buffer ─► Records ─► plaintext     a record that is not whole stays in Records
//!  socket ◄─ the thread's buffer ◄─ Records ◄─ Output        what the kernel refuses is sealed in Output
//! ```
//! A connection that rests owns no buffer of ours. A handshake costs as much as a hundred requests, so that
//! only some are begun in a turn. RFC 8446, RFC 5246.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `hello` | what a client would rather have |
//! | `identity` | [`Tls`]: certificates and keys, who gets which, and who may come |
//! | `pem` | certificates and keys as files have them |
//! | `records` | the TLS of one connection, without its socket |
//! | `served` | which pairs are in use, and what their files looked like |

mod hello;
mod identity;
mod pem;
mod records;
mod served;

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::sync::Arc;

use self::records::{RECORD_BYTES_MAX, RECORD_BYTES_MORE, Records};
use super::{
    Agreed, Arrived, Handshake, InTheClear, Peer, Progress, SHORT_READ_DRAINS, Stream, Transport, Versions,
};
use crate::base::{Certificate, Tick};
use crate::wire::Output;

use rustls::ServerConfig;

use identity::{Certificates, Current, Shown};
pub use identity::{ClientAuth, Tls, TlsError};

/// So many handshakes are worked on in one turn of a worker; the others wait for the next.
const HANDSHAKES_PER_TURN: u32 = 4;
/// So often is read in one call without any plaintext: then others have their turn.
const READS_PER_CALL: u32 = 8;
/// What is read or encrypted at a time, in bytes.
const CIPHERTEXT_BYTES: usize = 64 * 1024 + RECORD_BYTES_MORE * 64;
/// How much one [`Transport::write`] may send before others have their turn.
const BYTES_PER_WRITE: usize = 1024 * 1024;

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers::NONE) };
    /// Of this turn.
    static HANDSHAKES: Cell<u32> = const { Cell::new(0) };
    /// When this turn began.
    static NOW: Cell<Tick> = const { Cell::new(Tick::ZERO) };
}

/// What all TLS connections of a thread use in turn.
struct Buffers {
    ciphertext: Vec<u8>,
    plain: Vec<u8>,
}

impl Buffers {
    const NONE: Self = Self { ciphertext: Vec::new(), plain: Vec::new() };
}

/// Handshakes may go on: the thread begins another turn.
#[inline]
pub fn begin_turn(now: Tick) {
    HANDSHAKES.set(0);
    NOW.set(now);
}

/// A connection over TLS.
pub struct TlsStream {
    socket: Stream,
    records: Records,
    speech: Speech,
    /// The client has said that nothing follows.
    is_closed: bool,
    /// What was sent is not whole: an end now is no regular one, and is not announced.
    is_cut: bool,
    /// For a client whose own order of ciphers counts; until its first words.
    theirs: Option<Arc<ServerConfig>>,
    /// Who is shown what, where that differs; and what this client was shown.
    names: Option<Arc<Certificates>>,
    shown: Option<Shown>,
    /// The client's, once somebody asked for it.
    certificate: OnceCell<Option<Arc<Certificate>>>,
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// It said nothing yet.
    Unheard,
    Tls,
    /// Letters: a request, in the clear.
    Plain,
}

impl TlsStream {
    /// The connection over `socket` to somebody who has said nothing yet, and may choose one of `versions`.
    ///
    /// # Errors
    /// If rustls refuses the configuration.
    pub fn new(socket: Stream, tls: &Tls, versions: Versions) -> io::Result<Self> {
        let Current { ours, theirs, names } = tls.current(versions);
        let records = Records::new(ours).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            records,
            speech: Speech::Unheard,
            is_closed: false,
            is_cut: false,
            theirs: Some(theirs),
            names,
            shown: None,
            certificate: OnceCell::new(),
        })
    }

    pub(super) const fn socket(&mut self) -> &mut Stream {
        &mut self.socket
    }

    /// Reads once, and again as long as no plaintext came of it and there is more: bytes and the end may be
    /// one event, and none comes after it.
    fn read_records(
        &mut self,
        buffers: &mut Buffers,
        into: &mut [u8],
        output: &mut Output,
    ) -> io::Result<Arrived> {
        let ciphertext = &mut buffers.ciphertext[..into.len().min(CIPHERTEXT_BYTES)];
        for _ in 0..READS_PER_CALL {
            let Some(kept) = self.records.resume(ciphertext) else {
                return Err(invalid("a message of the handshake is too long"));
            };
            let arrived = self.socket.read_socket(&mut ciphertext[kept..])?;
            if arrived.bytes == 0 {
                return Ok(arrived);
            }
            HANDSHAKES.set(HANDSHAKES.get() + u32::from(self.records.is_handshaking()));
            let filled = kept + arrived.bytes;
            if self.speech == Speech::Unheard {
                self.hear(&ciphertext[..filled])?;
            }
            let opened = self.records.open(&mut ciphertext[..filled], into, output.seal());
            let opened = opened.map_err(invalid)?;
            if let Some(shown) = self.names.as_ref().and_then(Certificates::shown) {
                (self.names, self.shown) = (None, Some(shown));
            }
            self.is_closed |= opened.is_closed;
            if opened.plain > 0 {
                return Ok(Arrived { bytes: opened.plain, is_all: arrived.is_all && !self.is_closed });
            }
            if self.is_closed {
                return Ok(Arrived { bytes: 0, is_all: true });
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// What the client's first bytes say.
    fn hear(&mut self, first: &[u8]) -> io::Result<()> {
        if first[0].is_ascii_uppercase() {
            self.speech = Speech::Plain;
            return Err(io::Error::new(io::ErrorKind::Unsupported, InTheClear::new(first)));
        }
        self.speech = Speech::Tls;
        let theirs = self.theirs.take().filter(|_| hello::prefers_chacha20(first));
        if let Some(config) = theirs {
            self.records = Records::new(config).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Encrypts and sends, until nothing is left or the kernel takes no more.
    fn write_records(&mut self, buffers: &mut Buffers, output: &mut Output) -> io::Result<Progress> {
        let Buffers { ciphertext, plain } = buffers;
        let mut budget = BYTES_PER_WRITE;
        loop {
            // What is sealed leaves with what follows, if it is little.
            let mut length = 0;
            if !output.sealed().is_empty() && output.sealed().len() < RECORD_BYTES_MAX {
                length = output.sealed().len();
                ciphertext[..length].copy_from_slice(output.sealed());
                output.consume_sealed(length);
            }
            if output.sealed().is_empty() && output.front().is_some() {
                length += self.records.seal(output, &mut ciphertext[length..], plain, NOW.get())?;
            }
            let run = if length > 0 { &ciphertext[..length] } else { output.sealed() };
            if run.is_empty() {
                return Ok(Progress::Done);
            }
            let (sent, wanted) = (self.socket.send_some(run)?, run.len());
            if length > 0 {
                output.seal().extend_from_slice(&ciphertext[sent..length]);
            } else {
                output.consume_sealed(sent);
            }
            // Where events are asked for anew, only a refusal does that.
            if sent < wanted && (SHORT_READ_DRAINS || sent == 0) {
                return Ok(Progress::Blocked);
            }
            budget = budget.saturating_sub(sent);
            if budget == 0 && !output.is_empty() {
                return Ok(Progress::Budget);
            }
        }
    }

    /// Tells the client that nothing follows, if it can be told at once.
    fn say_goodbye(&mut self) {
        let mut bytes = [0; 2 * RECORD_BYTES_MORE];
        if self.speech == Speech::Tls && !self.records.is_handshaking() {
            let length = self.records.close(&mut bytes);
            // The connection ends anyway.
            let _ = self.socket.send_some(&bytes[..length]);
        }
    }
}

impl Transport for TlsStream {
    fn read(&mut self, into: &mut [u8], output: &mut Output) -> io::Result<Arrived> {
        match self.speech {
            Speech::Plain => return self.socket.read(into, output),
            _ if self.is_closed => return Ok(Arrived { bytes: 0, is_all: true }),
            _ if self.records.is_failed() => return Err(invalid("the client broke a rule before")),
            _ if self.records.is_handshaking() && HANDSHAKES.get() >= HANDSHAKES_PER_TURN => {
                return Err(io::ErrorKind::Interrupted.into());
            }
            _ => {}
        }
        with_buffers(|buffers| self.read_records(buffers, into, output))
    }

    fn write(&mut self, output: &mut Output) -> io::Result<Progress> {
        match self.speech {
            Speech::Plain => self.socket.write(output),
            _ => {
                let progress = with_buffers(|buffers| self.write_records(buffers, output));
                self.is_cut = !matches!(progress, Ok(Progress::Done));
                progress
            }
        }
    }

    fn shutdown_write(&mut self) {
        self.say_goodbye();
        self.socket.shutdown_write();
    }

    fn reset(&mut self) {
        self.is_cut = true;
        self.socket.reset();
    }

    fn peer(&self) -> Peer {
        self.socket.peer()
    }

    fn is_meant_for(&self, host: &str) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.is_for(host))
    }

    fn tells_hosts_apart(&self) -> bool {
        self.shown.is_some()
    }

    fn agreed(&self) -> Agreed {
        match self.records.alpn() {
            Some(b"h2") => Agreed::Http2,
            // RFC 9113 §3.2: HTTP/2 over TLS is agreed on, or not spoken.
            _ => Agreed::Http1,
        }
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.get_or_init(|| self.records.certificate().map(Arc::new)).clone()
    }

    fn handshake(&self) -> Handshake {
        match self.speech {
            Speech::Plain => Handshake::None,
            _ => self.records.handshake(),
        }
    }
}

impl Drop for TlsStream {
    /// RFC 8446 §6.1: whoever closes says so, else what was cut would look complete.
    fn drop(&mut self) {
        if !self.is_cut {
            self.say_goodbye();
        }
    }
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream")
            .field("socket", &self.socket)
            .field("speech", &self.speech)
            .field("is_handshaking", &self.records.is_handshaking())
            .finish_non_exhaustive()
    }
}

fn with_buffers<T>(act: impl FnOnce(&mut Buffers) -> T) -> T {
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.ciphertext.is_empty() {
            buffers.ciphertext = vec![0; CIPHERTEXT_BYTES];
            buffers.plain = vec![0; RECORD_BYTES_MAX];
        }
        act(buffers)
    })
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Client;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;
    use crate::net::{AcceptError, Link, Listener, Listening, Terms};

    fn hello() -> Vec<u8> {
        let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    /// A connection whose client has sent its hello.
    fn accepted(listener: &Listener, clients: &mut Vec<Client>) -> Link {
        let mut client = Client::connect(listener.local_addr().socket_addr().unwrap()).unwrap();
        io::Write::write_all(&mut client, &hello()).unwrap();
        clients.push(client);
        loop {
            match listener.accept() {
                Ok(link) => return link,
                Err(AcceptError::Empty) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn four_handshakes_are_worked_on_in_a_turn_and_the_others_in_the_next() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls =
            Tls::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes()).unwrap();
        let listener = Listener::open(&"127.0.0.1:0".parse().unwrap(), 1, &Listening::default()).unwrap();
        let listener = [listener[0].on(Terms { tls: Some(tls), ..Terms::default() })];
        let (mut clients, mut into) = (Vec::new(), vec![0; CIPHERTEXT_BYTES]);
        let mut waiting: Vec<Link> = (0..9).map(|_| accepted(&listener[0], &mut clients)).collect();
        for answered_in_turn in [4, 4, 1, 0] {
            begin_turn(Tick::ZERO);
            let before = waiting.len();
            waiting.retain_mut(|link| {
                let mut output = Output::default();
                let kind = link.read(&mut into, &mut output).unwrap_err().kind();
                // Who is not worked on is asked to come again, and nothing of it is read.
                assert_eq!(kind == io::ErrorKind::Interrupted, output.sealed().is_empty());
                output.sealed().is_empty()
            });
            assert_eq!(before - waiting.len(), answered_in_turn);
        }
    }
}
