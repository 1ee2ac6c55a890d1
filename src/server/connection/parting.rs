//! THE END of a connection, or of one of its exchanges, before its time: what the client is still told, and
//! how it gets to read that. RFC 9112 §9.6, RFC 9113 §5.4.

use std::io;

use super::super::caller::Caller;
use super::super::scratch::Pending;
use super::super::stats::{Cause, CloseReason};
use super::{Connection, Desk, Verdict};
use crate::app::Presence;
use crate::base::Key;
use crate::http::{Phase, Reason, StreamId};
use crate::net::{Arrived, InTheClear, Transport};
use crate::wire::Output;

impl<T: Transport> Connection<T> {
    /// Answers a peer that broke a rule or was too slow, and lets it read that.
    pub(in crate::server) fn refuse(&mut self, key: Key, reason: Reason, desk: &mut Desk<'_>) -> Verdict {
        if let Some(carry) = self.carry.take() {
            self.dialogue.give_up_head(&carry.bytes);
            desk.scratch.carries.give(carry);
        }
        self.with_output(key, desk, |connection, key, output, desk| {
            let peer = Caller::of(key, &connection.transport, desk.peers);
            let mut call = desk.call(key, &mut output.output, &peer);
            connection.dialogue.refuse(reason, &mut call);
            connection.work(key, output, desk)
        })
    }

    /// Answers one request of many whose body comes too slowly.
    #[cold]
    pub(in crate::server) fn refuse_stream(
        &mut self,
        key: Key,
        stream: StreamId,
        reason: Reason,
        desk: &mut Desk<'_>,
    ) -> Verdict {
        self.with_output(key, desk, |connection, key, output, desk| {
            let peer = Caller::of(key, &connection.transport, desk.peers);
            let mut call = desk.call(key, &mut output.output, &peer);
            connection.dialogue.refuse_open(stream, reason, &mut call);
            connection.work(key, output, desk)
        })
    }

    /// Answers in the place of handlers that have not done so in time.
    #[cold]
    pub(in crate::server) fn answer_overdue(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        self.with_output(key, desk, |connection, key, output, desk| {
            let peer = Caller::of(key, &connection.transport, desk.peers);
            let mut call = desk.call(key, &mut output.output, &peer);
            connection.dialogue.answer_overdue(&mut call);
            connection.work(key, output, desk)
        })
    }

    /// Writes down what is open: it ends for `cause`, without an answer or within it.
    #[cold]
    pub(in crate::server) fn end_open(&mut self, key: Key, cause: Cause, desk: &mut Desk<'_>) {
        if let Some(pending) = &mut self.pending {
            desk.end_doubts(pending, cause);
        }
        let unsent_bytes = self.pending.as_ref().map_or(0, |pending| pending.output.unsent_bytes());
        let peer = Caller::of(key, &self.transport, desk.peers);
        let mut output = Output::default();
        let mut call = desk.call(key, &mut output, &peer);
        self.dialogue.end_open(cause, unsent_bytes, &mut call);
    }

    /// Says good-bye to a client that has nothing to ask.
    #[cold]
    pub(in crate::server) fn part(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        self.with_output(key, desk, |connection, _, output, desk| {
            connection.dialogue.part(&mut output.output);
            connection.flush(output, desk)
        })
    }

    /// Nothing could be read: not yet, or not any more.
    pub(super) fn read_failed(
        &mut self,
        key: Key,
        error: &io::Error,
        output: &mut Output,
        desk: &mut Desk<'_>,
    ) -> Verdict {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.readable = false;
                Verdict::Rest
            }
            io::ErrorKind::Interrupted => Verdict::Again,
            // The alert that says so is on its way.
            io::ErrorKind::InvalidData => {
                log::debug!("connection {key}: {error}");
                desk.env.stats.tls_failed(error, self.transport.handshake());
                self.dialogue.abandon(Presence::Gone);
                Verdict::Close(CloseReason::TlsFailed)
            }
            io::ErrorKind::InvalidInput => {
                log::debug!("connection {key}: PROXY protocol: {error}");
                Verdict::Close(CloseReason::ProxyRefused)
            }
            io::ErrorKind::Unsupported => self.refuse_plain_http(key, error, output, desk),
            _ => {
                self.dialogue.abandon(Presence::Gone);
                Verdict::Close(CloseReason::PeerReset)
            }
        }
    }

    /// Answers a request in the clear on a port that is not; `error` has its beginning.
    #[cold]
    fn refuse_plain_http(
        &mut self,
        key: Key,
        error: &io::Error,
        output: &mut Output,
        desk: &mut Desk<'_>,
    ) -> Verdict {
        let peer = Caller::of(key, &self.transport, desk.peers);
        let preset = desk.scratch.blank.presets.clear().clone();
        let mut call = desk.call(key, output, &peer);
        call.preset = &preset;
        if let Some(clear) = error.get_ref().and_then(|inner| inner.downcast_ref::<InTheClear>()) {
            self.dialogue.give_up_head(&clear.beginning);
        }
        self.dialogue.refuse(Reason::PlainHttp, &mut call);
        Verdict::Rest
    }

    /// Why a connection ends on which nothing more can be sent: no further event would tell. One that
    /// lingers reads to the end.
    #[cold]
    pub(super) fn broken_off(&self) -> Option<CloseReason> {
        match self.dialogue.phase() {
            // An answer is owed, and nobody is left to read it.
            Phase::Handling | Phase::Sending => Some(CloseReason::Abandoned),
            Phase::Idle | Phase::Head | Phase::Body => Some(CloseReason::PeerReset),
            Phase::Lingering | Phase::Closed => None,
        }
    }

    /// Why a connection ends that its client breaks while `pending` waits: of HTTP/1 that is an answer.
    #[cold]
    pub(super) fn broken_within(&self, pending: &Pending) -> CloseReason {
        if pending.doubts.is_some() || !self.dialogue.is_multiplexed() {
            return CloseReason::Abandoned;
        }
        self.broken_off().unwrap_or(CloseReason::PeerReset)
    }

    /// Reads and forgets, so that the client can read our last answer before its bytes meet a closed
    /// socket. RFC 9112 §9.6.
    pub(super) fn discard(&mut self, output: &mut Output, desk: &mut Desk<'_>) -> Verdict {
        if let Some(carry) = self.carry.take() {
            desk.scratch.carries.give(carry);
        }
        if !self.readable {
            return Verdict::Rest;
        }
        match self.transport.read(&mut desk.scratch.input, output) {
            Ok(Arrived { bytes: 0, .. }) => {
                self.fin = true;
                Verdict::Close(if self.dialogue.refused() {
                    CloseReason::Refused
                } else {
                    CloseReason::Answered
                })
            }
            Ok(Arrived { bytes, is_all }) => {
                desk.env.stats.bytes_received.add(bytes as u64);
                self.readable = !is_all || self.read_closed;
                if self.readable { Verdict::Again } else { Verdict::Rest }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Verdict::Rest
                }
                io::ErrorKind::Interrupted => Verdict::Again,
                _ => Verdict::Close(CloseReason::PeerReset),
            },
        }
    }
}
