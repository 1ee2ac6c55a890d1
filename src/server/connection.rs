//! [`Connection`]: a transport, a [`Dialogue`], and what a turn left over.
//!
//! ```text
//!  turn:   flush what waits ─► pump the answer ─► one read ─► events, answers ─► pump ─► flush
//! ```
//! Laws: a turn always ends in a flush; whoever stops early says [`Verdict::Again`]; while bytes wait for
//! the kernel nothing is read; at rest there is neither a carry nor a queue. Knows no poll and no slot
//! but its own key.

mod desk;
mod parting;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{Mail, Presence};
use crate::base::{Key, Tick};
use crate::http::{FieldTable, Phase, Reason, Response};
use crate::net::{Arrived, Handshake, Progress, Transport};
use crate::proto::hpack::FieldList;
use crate::proto::{Pumped, Slate, h1};
use crate::reactor::Readiness;
use crate::wire::{Input, Output, QUEUED_BYTES_HIGH};

use super::call::Call;
use super::caller::Caller;
use super::config::{TURN_REQUESTS_MAX, TURN_STREAMS_MAX, Timeouts};
use super::dialogue::Dialogue;
use super::edition::Edition;
use super::scratch::{Carry, Pending, Scratch};
use super::stats::CloseReason;

pub(crate) use desk::Desk;

/// While the server drains, a connection that was used just now is waited for so long: its client is told
/// with the next answer.
const QUIET_FOR: Duration = Duration::from_secs(1);

/// What becomes of a connection after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It waits for an event, mail or its deadline.
    Rest,
    /// It could go on: another turn, after the others.
    Again,
    /// It is over.
    Close(CloseReason),
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection<T> {
    pub(super) transport: T,
    pub(super) dialogue: Dialogue,
    carry: Option<Box<Carry>>,
    pub(super) pending: Option<Box<Pending>>,
    pub(super) deadline: Tick,
    /// The phase that the deadline and the gauges were made for.
    pub(super) phase: Phase,
    /// The kernel may have bytes for us.
    readable: bool,
    /// The kernel may have room for us.
    writable: bool,
    /// An event said that the peer closed its sending side: only a read of nothing is the end.
    read_closed: bool,
    /// A read of nothing was seen.
    fin: bool,
    /// An event said that nothing can be sent any more.
    broken: bool,
    /// TLS has no keys yet.
    pub(super) handshaking: bool,
    /// Our sending side is closed.
    shut: bool,
    /// The poll tells about room, too.
    pub(crate) watches_writes: bool,
    /// It stands in the run queue.
    pub(crate) queued: bool,
    /// It came where visitors are sent to https.
    pub(crate) to_https: bool,
}

impl<T: Transport> Connection<T> {
    /// A connection that was just accepted.
    pub(crate) fn new(transport: T, machine: h1::Server, now: Tick, timeouts: &Timeouts) -> Self {
        let handshaking = transport.handshake() == Handshake::Begun;
        Self {
            transport,
            dialogue: Dialogue::new(machine, now),
            carry: None,
            pending: None,
            deadline: now.after(if handshaking { timeouts.handshake } else { timeouts.header }),
            phase: Phase::Idle,
            readable: true,
            writable: true,
            read_closed: false,
            fin: false,
            broken: false,
            handshaking,
            shut: false,
            watches_writes: false,
            queued: false,
            to_https: false,
        }
    }

    /// The socket.
    pub(crate) const fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// When something must have happened.
    #[inline]
    pub(crate) const fn deadline(&self) -> Tick {
        self.deadline
    }

    /// The phase that it is counted in.
    #[inline]
    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it owns no buffer.
    pub(crate) const fn owns_nothing(&self) -> bool {
        self.carry.is_none() && self.pending.is_none()
    }

    /// Whether the end of the connection is something to write down: some answer is not whole.
    pub(crate) fn has_open(&self) -> bool {
        self.dialogue.has_open() || self.pending.as_ref().is_some_and(|pending| pending.doubts.is_some())
    }

    /// How many carries and queues it owns.
    pub(crate) fn buffers(&self) -> (usize, usize) {
        (usize::from(self.carry.is_some()), usize::from(self.pending.is_some()))
    }

    /// Whether it needs to hear about room in the kernel and does not yet.
    #[inline]
    pub(crate) const fn wants_writes(&self) -> bool {
        !self.writable && !self.watches_writes
    }

    /// Notes what an event said.
    #[inline]
    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.readable |= readiness.is_readable() | readiness.is_read_closed();
        self.writable |= readiness.is_writable();
        if readiness.is_read_closed() {
            self.read_closed = true;
            self.dialogue.abandon(Presence::HalfClosed);
        }
        if readiness.is_broken() {
            self.dialogue.abandon(Presence::Gone);
            self.broken = true;
            self.readable = true;
            // If bytes wait, the next write shows the error.
            self.writable = true;
        }
    }

    /// No further exchanges but one: its answer says so. Whether it can be closed at once.
    pub(crate) fn drain(&mut self, now: Tick, timeouts: &Timeouts) -> bool {
        self.dialogue.drain();
        // A client of HTTP/2 is told first, and a connection without a request yet has one on its way.
        if self.dialogue.is_multiplexed() || !self.owns_nothing() || self.dialogue.requests() == 0 {
            return false;
        }
        match self.dialogue.phase() {
            Phase::Closed => true,
            Phase::Idle => {
                // Whoever asked just now may have its next request on its way.
                let asked_for = timeouts.keepalive.saturating_sub(self.deadline.since(now));
                let quiet_at = now.after(QUIET_FOR.saturating_sub(asked_for));
                self.deadline = self.deadline.min(quiet_at);
                now >= self.deadline
            }
            _ => false,
        }
    }

    /// New requests are answered by `edition` from now on, and what is open by `former`.
    pub(crate) fn replace(&mut self, former: &Arc<Edition>, edition: &Edition) {
        self.dialogue.keep_edition(former);
        // A head that waits may be half read.
        if self.carry.is_none() {
            self.dialogue.limit(&edition.config.limits.http1);
        }
    }

    /// Does what can be done now.
    #[inline]
    pub(crate) fn turn(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        self.with_output(key, desk, Self::work)
    }

    /// Takes a letter; `None` if its exchange is over.
    pub(crate) fn deliver(&mut self, key: Key, mail: Mail, desk: &mut Desk<'_>) -> Option<Verdict> {
        let mut taken = false;
        let verdict = self.with_output(key, desk, |connection, key, output, desk| {
            taken = connection.letter(key, mail, output, desk);
            if taken { connection.work(key, output, desk) } else { Verdict::Rest }
        });
        taken.then_some(verdict)
    }

    /// Lends the shard's output, or the queue that waits already, and keeps what is left of it.
    #[inline]
    fn with_output(
        &mut self,
        key: Key,
        desk: &mut Desk<'_>,
        act: impl FnOnce(&mut Self, Key, &mut Pending, &mut Desk<'_>) -> Verdict,
    ) -> Verdict {
        let requests = self.dialogue.requests();
        let verdict = match self.pending.take() {
            None => {
                let mut output = match desk.scratch.output.take() {
                    Some(output) => output,
                    None => desk.scratch.queues.take(),
                };
                let verdict = act(self, key, &mut output, desk);
                desk.settle_rest(&mut output);
                if output.output.is_empty() {
                    desk.scratch.output = Some(output);
                } else {
                    output.window_from = desk.now;
                    output.window_bytes = 0;
                    output.reader = desk.scratch.blank.reader;
                    output.output.shrink();
                    self.pending = Some(output);
                }
                verdict
            }
            Some(mut output) => {
                let verdict = act(self, key, &mut output, desk);
                desk.settle_rest(&mut output);
                if output.output.is_empty() {
                    desk.scratch.queues.give(output);
                } else {
                    output.reader = output.reader.max(desk.scratch.blank.reader);
                    output.output.shrink();
                    self.pending = Some(output);
                }
                verdict
            }
        };
        desk.scratch.blank.reader = None;
        if self.handshaking {
            self.note_handshake(desk);
        }
        if !matches!(verdict, Verdict::Close(_)) {
            self.set_deadline(requests, desk);
        }
        verdict
    }

    fn work(&mut self, key: Key, output: &mut Pending, desk: &mut Desk<'_>) -> Verdict {
        if !output.output.is_empty() {
            match self.flush(output, desk) {
                Verdict::Rest if output.output.is_empty() => {}
                verdict => return verdict,
            }
        }
        self.dialogue.begin_turn(desk.now, &mut desk.scratch.room);
        let mut verdict = self.serve(key, &mut output.output, desk);
        if let Verdict::Close(CloseReason::PeerReset | CloseReason::Abandoned) = verdict {
            return verdict;
        }
        if self.dialogue.is_multiplexed() {
            verdict = self.finish_turn(key, verdict, &mut output.output, desk);
        }
        let flushed = self.flush(output, desk);
        match (flushed, verdict) {
            (Verdict::Rest, verdict) if output.output.is_empty() => self.settle(verdict),
            // Bytes wait: nothing else matters until the kernel has taken them.
            (flushed, _) => flushed,
        }
    }

    /// What is to be done next, once everything was sent.
    #[inline]
    fn settle(&mut self, verdict: Verdict) -> Verdict {
        if let Some(reason) = self.dialogue.cut() {
            self.transport.reset();
            return Verdict::Close(reason);
        }
        match self.dialogue.phase() {
            Phase::Closed if matches!(verdict, Verdict::Close(_)) => verdict,
            Phase::Closed if self.dialogue.refused() => Verdict::Close(CloseReason::Refused),
            Phase::Closed if self.dialogue.is_abandoned() => Verdict::Close(CloseReason::Abandoned),
            Phase::Closed if self.fin => Verdict::Close(CloseReason::PeerClosed),
            // Nothing is unread, as far as is known: a plain close is no reset. Of HTTP/2 there is always
            // something on its way: the windows that the last answer has used up.
            Phase::Closed
                if self.carry.is_none()
                    && !self.shut
                    && self.is_drained()
                    && !self.dialogue.is_multiplexed() =>
            {
                Verdict::Close(CloseReason::Answered)
            }
            Phase::Lingering | Phase::Closed => {
                if !std::mem::replace(&mut self.shut, true) {
                    self.transport.shutdown_write();
                }
                if self.fin {
                    return Verdict::Close(CloseReason::Refused);
                }
                if self.readable && verdict == Verdict::Rest { Verdict::Again } else { verdict }
            }
            _ => verdict,
        }
    }

    /// Whether the last read took all that was there, as far as is known (on mio's `poll` back-end it never
    /// is); behind a client's FIN nothing can follow.
    #[inline]
    const fn is_drained(&self) -> bool {
        !self.readable || self.read_closed
    }

    /// The answer in progress, then one read, then whatever it brought.
    #[inline]
    fn serve(&mut self, key: Key, output: &mut Output, desk: &mut Desk<'_>) -> Verdict {
        if self.broken
            && let Some(reason) = self.broken_off()
        {
            return Verdict::Close(reason);
        }
        if !self.dialogue.is_multiplexed()
            && self.dialogue.phase() == Phase::Sending
            && let Some(verdict) = self.pump(key, output, desk)
        {
            return verdict;
        }
        match self.dialogue.phase() {
            _ if self.dialogue.wants_bytes() => {}
            Phase::Lingering => return self.discard(output, desk),
            Phase::Closed if self.shut => return self.discard(output, desk),
            // An answer is owed: TCP holds the client back. Its leaving is still noticed.
            _ => return Verdict::Rest,
        }
        let carry = self.carry.take();
        if carry.as_ref().is_some_and(|carry| !carry.hungry) {
            return self.converse(key, carry, 0, output, desk);
        }
        if !self.readable {
            self.carry = carry;
            return Verdict::Rest;
        }
        match self.transport.read(&mut desk.scratch.input, output) {
            Ok(Arrived { bytes: 0, .. }) => {
                self.fin = true;
                self.readable = false;
                self.dialogue.abandon(Presence::HalfClosed);
                self.converse(key, carry, 0, output, desk)
            }
            Ok(Arrived { bytes, is_all }) => {
                desk.env.stats.bytes_received.add(bytes as u64);
                // Data and FIN can arrive as one event with none after it, so a short read drains
                // only while no event has said that the peer closed.
                self.readable = !is_all || self.read_closed;
                self.converse(key, carry, bytes, output, desk)
            }
            Err(error) => {
                self.carry = carry;
                self.read_failed(key, &error, output, desk)
            }
        }
    }

    /// Feeds the machine with what is unread, and answers.
    #[inline]
    fn converse(
        &mut self,
        key: Key,
        mut carry: Option<Box<Carry>>,
        count: usize,
        output: &mut Output,
        desk: &mut Desk<'_>,
    ) -> Verdict {
        let mut is_spoken = true;
        if self.dialogue.is_new() {
            is_spoken = self.dialogue.agree(self.transport.agreed(), desk.env, desk.now);
            self.dialogue.tell_hosts_apart(self.transport.tells_hosts_apart());
        }
        let Scratch { input, table: fresh, list, blank, carries, .. } = &mut *desk.scratch;
        let (bytes, table) = match &mut carry {
            Some(carry) => {
                carry.bytes.extend_from_slice(&input[..count]);
                (&carry.bytes[..], &mut carry.table)
            }
            None => (&input[..count], &mut *fresh),
        };
        let mut unread = Input::new(bytes, self.fin);
        let peer = Caller::of(key, &self.transport, desk.peers);
        let mut call = Call::new(key, desk.env, desk.now, blank, output, desk.rings.as_deref_mut(), &peer);
        if self.dialogue.timed() {
            call.received = (desk.env.stopwatch)();
        }
        if !is_spoken {
            self.dialogue.refuse_http1(unread.bytes(), &mut call);
        }
        let verdict = talk(&mut self.dialogue, &mut unread, table, list, &mut call);
        // Nobody will look at what a refused peer sends.
        let rest = if self.dialogue.phase() == Phase::Lingering { 0 } else { unread.bytes().len() };
        let wants = self.dialogue.wants_bytes();
        let hungry = verdict == Verdict::Rest && wants;
        if carry.is_none() && rest > 0 {
            carry = Some(carries.take().begun(&input[count - rest..count], fresh));
        }
        self.carry = match carry {
            Some(carry) if rest == 0 => {
                carries.give(carry);
                None
            }
            carry => carry.map(|carry| carry.cut_to(rest, hungry)),
        };
        let more = self.carry.as_ref().is_some_and(|carry| !carry.hungry) || self.readable;
        if verdict == Verdict::Rest && more && wants { Verdict::Again } else { verdict }
    }

    /// Where there are many exchanges: whatever is due of their answers, and of the version's own words.
    fn finish_turn(
        &mut self,
        key: Key,
        verdict: Verdict,
        output: &mut Output,
        desk: &mut Desk<'_>,
    ) -> Verdict {
        let peer = Caller::of(key, &self.transport, desk.peers);
        let pumped = self.dialogue.pump(&mut desk.call(key, output, &peer));
        self.dialogue.end_turn(desk.now, output, &mut desk.scratch.room);
        match verdict {
            Verdict::Rest if pumped == Pumped::Full => Verdict::Again,
            Verdict::Rest if self.dialogue.is_deserted() => Verdict::Close(CloseReason::Abandoned),
            verdict => verdict,
        }
    }

    /// Moves the body of the answer; `None` when it is complete and the connection can go on.
    fn pump(&mut self, key: Key, output: &mut Output, desk: &mut Desk<'_>) -> Option<Verdict> {
        let peer = Caller::of(key, &self.transport, desk.peers);
        match self.dialogue.pump(&mut desk.call(key, output, &peer)) {
            Pumped::Nothing => None,
            Pumped::Full => Some(Verdict::Again),
            Pumped::Waiting(_) | Pumped::Cut | Pumped::Panicked => Some(Verdict::Rest),
        }
    }

    fn letter(&mut self, key: Key, mail: Mail, output: &mut Pending, desk: &mut Desk<'_>) -> bool {
        let peer = Caller::of(key, &self.transport, desk.peers);
        let mut call = desk.call(key, &mut output.output, &peer);
        match mail {
            Mail::Answer { to, response } => self.dialogue.answer(to.stream, *response, &mut call),
            Mail::Abandoned { to } => {
                self.dialogue.answer(to.stream, Response::refusal(Reason::HandlerDropped), &mut call)
            }
            Mail::Again { to } => self.dialogue.again(to.stream, &mut call),
            Mail::Wakeup { to } => self.dialogue.wake(to.stream, &mut call),
        }
    }

    /// Sends what waits: one call for everything of this turn.
    #[inline]
    fn flush(&mut self, pending: &mut Pending, desk: &mut Desk<'_>) -> Verdict {
        if pending.output.is_empty() || !self.writable {
            return Verdict::Rest;
        }
        let before = pending.output.unsent_bytes();
        let progress = self.transport.write(&mut pending.output);
        let sent = match progress {
            Ok(Progress::Done) => before,
            // What is sealed has become longer.
            _ => before.saturating_sub(pending.output.unsent_bytes()),
        };
        desk.env.stats.bytes_sent.add(sent);
        pending.window_bytes += sent;
        desk.settle(pending);
        match progress {
            Ok(Progress::Done) => {
                self.dialogue.mark_responded(desk.env.stopwatch);
                Verdict::Rest
            }
            Ok(Progress::Blocked) => {
                if sent > 0 {
                    // A head is less than what a kernel takes of more.
                    self.dialogue.mark_responded(desk.env.stopwatch);
                }
                self.writable = false;
                Verdict::Rest
            }
            Ok(Progress::Budget) => Verdict::Again,
            Err(error) => {
                self.dialogue.abandon(Presence::Gone);
                Verdict::Close(match error.kind() {
                    // The head of what is missing was sent: nothing else can follow it.
                    io::ErrorKind::UnexpectedEof => CloseReason::BodyCut,
                    // The client's side has; its reset may be seen here before the poll tells of it.
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => self.broken_within(pending),
                    _ => CloseReason::WriteFailed,
                })
            }
        }
    }

    /// The phase as the outside sees it: bytes that wait for the kernel come before all else.
    #[inline]
    pub(super) fn outer_phase(&self) -> Phase {
        match self.dialogue.phase() {
            _ if self.pending.is_some() => Phase::Sending,
            Phase::Closed if self.shut => Phase::Lingering,
            phase => phase,
        }
    }

    /// Gives back what it owns.
    pub(crate) fn give_back(&mut self, scratch: &mut Scratch) {
        if let Some(carry) = self.carry.take() {
            scratch.carries.give(carry);
        }
        if let Some(pending) = self.pending.take() {
            scratch.queues.give(pending);
        }
        self.dialogue.leave_room(&mut scratch.room);
    }
}

/// Takes event after event out of what is unread and answers, until bytes, room or this turn's budget end.
#[inline]
fn talk(
    dialogue: &mut Dialogue,
    unread: &mut Input<'_>,
    table: &mut FieldTable,
    list: &mut FieldList,
    call: &mut Call<'_>,
) -> Verdict {
    let first = dialogue.requests();
    loop {
        if !dialogue.step(unread, Slate { table, list }, call) {
            return Verdict::Rest;
        }
        if dialogue.is_multiplexed() {
            let answered = dialogue.requests() - first;
            if answered as usize >= TURN_STREAMS_MAX || call.output.queued_bytes() >= QUEUED_BYTES_HIGH {
                return Verdict::Again;
            }
            continue;
        }
        match dialogue.phase() {
            Phase::Sending => match dialogue.pump(call) {
                Pumped::Nothing => {}
                Pumped::Cut | Pumped::Panicked => return Verdict::Rest,
                Pumped::Full => return Verdict::Again,
                Pumped::Waiting(_) => return Verdict::Rest,
            },
            Phase::Handling | Phase::Lingering | Phase::Closed => return Verdict::Rest,
            Phase::Idle | Phase::Head | Phase::Body => {}
        }
        let answered = dialogue.requests() - first;
        if answered as usize >= TURN_REQUESTS_MAX || call.output.queued_bytes() >= QUEUED_BYTES_HIGH {
            return Verdict::Again;
        }
        if dialogue.paused() {
            return Verdict::Rest;
        }
    }
}
