//! [`Records`]: one TLS connection without its socket: ciphertext in, plaintext out, and the reverse.
//!
//! ```text
//!  ciphertext ──open──► plaintext        the handshake, alerts and tickets go to what is sealed
//!  Output ─────seal───► ciphertext       small records first, so that a browser can begin with the first
//!                                        segment; full ones once a transfer is on its way
//! ```
//! Owns no buffer but for what is incomplete. rustls remembers places in that: it is lent the same bytes
//! each time, also where nothing is to be read. RFC 8446 §5.1, §6.1.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{AlertDescription, Error, HandshakeKind, ServerConfig};

use super::pem::described;
use crate::base::{Certificate, Tick};
use crate::net::{Alarm, Alert, Handshake};
use crate::wire::{Front, Output};

/// The largest plaintext of a record, in bytes. RFC 8446 §5.1.
pub(super) const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What a record has beside its plaintext at most, in bytes.
pub(super) const RECORD_BYTES_MORE: usize = 64;
/// A record that fits one segment with its own heads and those of TCP and IPv6, in bytes.
const SMALL_RECORD_BYTES: usize = 1_300;
/// So much goes out in small records behind a pause; in bytes.
const SMALL_UNTIL_BYTES: usize = 16 * 1024;
/// A pause: what TCP has learnt of the way does not count any more.
const PAUSE: Duration = Duration::from_secs(1);

/// The TLS of one connection.
pub(super) struct Records {
    tls: UnbufferedServerConnection,
    /// Ciphertext that is not whole yet.
    kept: Vec<u8>,
    /// Sent since the last pause, as far as it matters; and when something was sent.
    sent_bytes: usize,
    sent_at: Tick,
    /// The client broke a rule and was told. rustls must not be asked again.
    is_failed: bool,
}

/// What came of some ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// So much plaintext.
    pub(super) plain: usize,
    /// The client has said that this is all.
    pub(super) is_closed: bool,
}

impl Records {
    /// # Errors
    /// If the configuration cannot be used.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(config)?,
            kept: Vec::new(),
            sent_bytes: 0,
            sent_at: Tick::ZERO,
            is_failed: false,
        })
    }

    /// Whether the handshake goes on.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// What both sides have agreed to speak: RFC 7301.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// How far the handshake came.
    pub(super) fn handshake(&self) -> Handshake {
        match self.tls.handshake_kind() {
            _ if self.tls.is_handshaking() => Handshake::Begun,
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            _ => Handshake::Full,
        }
    }

    /// What the client has shown.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        described(self.tls.peer_certificates()?.first()?)
    }

    /// Whether the client broke a rule: nothing more is read.
    pub(super) const fn is_failed(&self) -> bool {
        self.is_failed
    }

    /// Puts what is not whole yet to the front of `ciphertext`: so many bytes, behind which more is to be
    /// read. `None` if there is no room.
    pub(super) fn resume(&self, ciphertext: &mut [u8]) -> Option<usize> {
        let kept = self.kept.len();
        ciphertext.get_mut(..kept)?.copy_from_slice(&self.kept);
        (kept < ciphertext.len()).then_some(kept)
    }

    /// Takes the records out of `ciphertext`, which begins with what was [resumed](Records::resume). Their
    /// plaintext goes to the front of `into`, which is not smaller, and what the client is to be told to the
    /// end of `sealed`.
    ///
    /// # Errors
    /// The client broke a rule; the alert that says so is sealed.
    pub(super) fn open(
        &mut self,
        ciphertext: &mut [u8],
        into: &mut [u8],
        sealed: &mut Vec<u8>,
    ) -> Result<Opened, Alarm> {
        let (mut opened, mut consumed) = (Opened { plain: 0, is_closed: false }, 0);
        loop {
            let rest = &mut ciphertext[consumed..];
            let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(rest);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| alarm(&error, &[]))?;
                        let end = opened.plain + record.payload.len();
                        into[opened.plain..end].copy_from_slice(record.payload);
                        opened.plain = end;
                        discard += record.discard;
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, sealed);
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    opened.is_closed = true;
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    let start = sealed.len();
                    self.fail(&mut ciphertext[consumed + discard..], sealed);
                    return Err(alarm(&error, &sealed[start..]));
                }
            };
            consumed += discard;
            if !goes_on {
                self.kept = ciphertext[consumed..].to_vec();
                return Ok(opened);
            }
        }
    }

    /// Encrypts what stands at the front of `output` into `ciphertext`, which has room for a record at least,
    /// and consumes it: how many bytes there are then. `plain` is for what has to be read from files.
    ///
    /// # Errors
    /// If a file is shorter than was promised or cannot be read, or if nothing can be sent yet, or any more.
    pub(super) fn seal(
        &mut self,
        output: &mut Output,
        ciphertext: &mut [u8],
        plain: &mut [u8],
        now: Tick,
    ) -> io::Result<usize> {
        let mut late = Vec::new();
        if now.since(self.sent_at) >= PAUSE {
            self.sent_bytes = 0;
        }
        self.sent_at = now;
        while !self.is_failed {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.kept);
            match state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let mut length = late.len();
                    ciphertext[..length].copy_from_slice(&late);
                    while ciphertext.len() - length >= RECORD_BYTES_MAX + RECORD_BYTES_MORE {
                        let size = record_bytes(self.sent_bytes);
                        let room = &mut ciphertext[length..];
                        let Some((count, written)) = seal_one(&mut traffic, output, size, room, plain)?
                        else {
                            break;
                        };
                        output.consume(count);
                        self.sent_bytes = self.sent_bytes.saturating_add(count);
                        length += written;
                    }
                    self.kept.drain(..discard);
                    return Ok(length);
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut late),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => {}
                _ => return Err(io::ErrorKind::NotConnected.into()),
            }
            self.kept.drain(..discard);
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Says that nothing follows; how many bytes of `into` that takes. RFC 8446 §6.1.
    pub(super) fn close(&mut self, into: &mut [u8]) -> usize {
        if self.is_failed {
            return 0;
        }
        match self.tls.process_tls_records(&mut self.kept).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(into).unwrap_or(0),
            _ => 0,
        }
    }

    /// Seals what the client is told about the rule that it broke.
    fn fail(&mut self, mut rest: &mut [u8], sealed: &mut Vec<u8>) {
        self.is_failed = true;
        // Asked for more than there is, it would read on.
        while self.tls.wants_write() {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(rest);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            encode(&mut data, sealed);
            rest = &mut rest[discard..];
        }
    }
}

/// Who told whom: what was `sealed` says it as long as it is in the clear, and then the error.
fn alarm(error: &Error, sealed: &[u8]) -> Alarm {
    let said = match error {
        Error::AlertReceived(said) => *said,
        // RFC 8446 §5.1, §6: type, version, length; level, description.
        _ if matches!(sealed, [21, 3, _, 0, 2, _, _]) => AlertDescription::from(sealed[6]),
        Error::InvalidMessage(error) => (*error).into(),
        Error::InvalidCertificate(error) => error.clone().into(),
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Error::NoCertificatesPresented => AlertDescription::CertificateRequired,
        Error::PeerIncompatible(_) => AlertDescription::HandshakeFailure,
        Error::PeerMisbehaved(_) => AlertDescription::IllegalParameter,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            AlertDescription::UnexpectedMessage
        }
        _ => AlertDescription::InternalError,
    };
    let is_received = matches!(error, Error::AlertReceived(_));
    let is_said = is_received || !sealed.is_empty();
    Alarm { alert: is_said.then(|| Alert::of_code(said.into())), is_received, why: error.to_string() }
}

const fn record_bytes(sent_bytes: usize) -> usize {
    if sent_bytes < SMALL_UNTIL_BYTES { SMALL_RECORD_BYTES } else { RECORD_BYTES_MAX }
}

/// One record of what stands at the front: how much of it, and how much that is then; `None` if there is
/// nothing.
fn seal_one<D>(
    traffic: &mut WriteTraffic<'_, D>,
    output: &Output,
    size: usize,
    into: &mut [u8],
    plain: &mut [u8],
) -> io::Result<Option<(usize, usize)>> {
    let run = match output.front() {
        None => return Ok(None),
        Some(Front::Bytes(run, behind)) if run.len() < size && behind.is_some() => {
            // A head and the body behind it leave in one record, if they are small.
            let behind = behind.unwrap_or_default();
            let more = behind.len().min(size - run.len());
            plain[..run.len()].copy_from_slice(run);
            plain[run.len()..run.len() + more].copy_from_slice(&behind[..more]);
            &plain[..run.len() + more]
        }
        Some(Front::Bytes(run, _)) => &run[..run.len().min(size)],
        Some(Front::File { file, offset, length }) => {
            let wanted = usize::try_from(length).map_or(size, |length| length.min(size));
            let count = read_some(file, &mut plain[..wanted], offset)?;
            &plain[..count]
        }
    };
    match traffic.encrypt(run, into) {
        Ok(written) => Ok(Some((run.len(), written))),
        Err(EncryptError::InsufficientSize(_)) => Err(io::ErrorKind::StorageFull.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn read_some(file: &std::fs::File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, offset) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, sealed: &mut Vec<u8>) {
    let start = sealed.len();
    let mut room = 0;
    loop {
        sealed.resize(start + room, 0);
        match data.encode(&mut sealed[start..]) {
            Ok(written) => return sealed.truncate(start + written),
            Err(EncodeError::InsufficientSize(error)) => room = error.required_size,
            Err(EncodeError::AlreadyEncoded) => return sealed.truncate(start),
        }
    }
}
