//! [`Dialogue`]: the conversation with one client: a protocol machine and its open exchanges.
//!
//! ```text
//!   bytes ─► machine ─► Event ─► dispatch: route, handler ─► Outcome ─► respond ─► machine ─► bytes
//!                                   ▲                           └► kept as an Exchange
//!                                   └─── late: mail of other threads ◄──┘
//! ```
//! | file | question |
//! | --- | --- |
//! | `speech` | which version is spoken, and which exchanges are open? |
//! | `multiplex` | what must be known where there are many? |
//! | `dispatch` | who decides, and when? |
//! | `gate` | what stands before a handler, and behind every answer? |
//! | `respond` | what becomes of an answer? |
//! | `late` | what do other threads' letters do? |
//! | `exchange`, `collected`, `term` | what is kept of a request that outlives its turn? |
//!
//! Knows no socket and no buffer: bytes come as events and leave through the [`Call`]'s output.

mod collected;
mod dispatch;
pub(super) mod exchange;
mod gate;
mod late;
mod multiplex;
mod respond;
mod speech;
mod term;

use std::sync::Arc;

use crate::app::{Attributes, Presence};
use crate::base::Tick;
use crate::http::{Event, Phase, Reason, StreamId, Timeline};
use crate::net::{Agreed, Versions};
use crate::proto::{Encoding, Protocol, Pumped, Slate, h1, h2};
use crate::wire::{Input, Output};

use super::call::{Call, Env};
use super::edition::Edition;
use super::stats::{Cause, CloseReason};
use exchange::{Exchange, Sent};
pub(super) use multiplex::{Due, Multiplex};
pub(super) use respond::Asked;
use speech::Speech;

/// The conversation with one client.
#[derive(Debug)]
pub(crate) struct Dialogue {
    speech: Speech,
    accepted: Tick,
    /// Requests so far.
    requests: u32,
    /// Stages are measured: on every connection until its first route says that nobody looks.
    timed: bool,
    /// The machine gave up on the peer.
    refused: bool,
    /// The body of the last answer could not be completed.
    cut: Option<CloseReason>,
    /// The client of HTTP/1 left within an exchange.
    abandoned: bool,
    /// The next answer is the last.
    draining: bool,
    /// Nothing was heard yet.
    is_new: bool,
    /// What begins as HTTP/2 may be that.
    may_multiplex: bool,
    /// And nothing else.
    is_http2_only: bool,
    /// Another host may be another server's (RFC 9110 §7.4).
    tells_hosts_apart: bool,
}

impl Dialogue {
    pub(crate) fn new(machine: h1::Server, accepted: Tick) -> Self {
        Self {
            speech: Speech::Http1 { machine, exchange: None },
            accepted,
            requests: 0,
            timed: true,
            refused: false,
            cut: None,
            abandoned: false,
            draining: false,
            is_new: true,
            may_multiplex: true,
            is_http2_only: false,
            tells_hosts_apart: false,
        }
    }

    /// Requests so far.
    #[inline]
    pub(crate) const fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether the next answer is the last.
    #[inline]
    pub(crate) const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether stages are measured.
    #[inline]
    pub(crate) const fn timed(&self) -> bool {
        self.timed
    }

    /// Whether the peer broke a rule.
    #[inline]
    pub(crate) const fn refused(&self) -> bool {
        self.refused
    }

    /// Whether the last answer ends too early.
    #[inline]
    pub(crate) const fn cut(&self) -> Option<CloseReason> {
        self.cut
    }

    /// Whether the client of HTTP/1 left within its last exchange.
    #[inline]
    pub(crate) const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether nothing was heard yet: the caller then says what was agreed on.
    #[inline]
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Which versions are spoken here.
    #[inline]
    pub(crate) const fn speak(&mut self, versions: Versions) {
        self.may_multiplex = !matches!(versions, Versions::Http1);
        self.is_http2_only = matches!(versions, Versions::Http2);
    }

    /// What the transport and its peer have agreed to speak; whether that is spoken here.
    #[cold]
    pub(crate) fn agree(&mut self, agreed: Agreed, env: &Env, now: Tick) -> bool {
        self.is_new = false;
        match agreed {
            Agreed::Nothing if self.is_http2_only => self.multiplex(env, now),
            Agreed::Nothing => {}
            Agreed::Http1 => {
                self.may_multiplex = false;
                return !self.is_http2_only;
            }
            Agreed::Http2 => {
                self.is_http2_only = false;
                self.multiplex(env, now);
            }
        }
        true
    }

    /// Whether the transport was set up for some hosts, and not for others.
    #[cold]
    pub(crate) const fn tell_hosts_apart(&mut self, apart: bool) {
        self.tells_hosts_apart = apart;
    }

    /// What the machine waits for.
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match &self.speech {
            Speech::Http1 { machine, .. } => machine.phase(),
            Speech::Http2(multiplex) => multiplex.machine.phase(),
        }
    }

    /// Whether there may be many exchanges at a time: what is read does not wait for what is sent.
    #[inline]
    pub(crate) const fn is_multiplexed(&self) -> bool {
        matches!(self.speech, Speech::Http2(_))
    }

    /// What is kept where there are many exchanges.
    #[inline]
    pub(super) fn multiplexed(&mut self) -> Option<&mut Multiplex> {
        match &mut self.speech {
            Speech::Http1 { .. } => None,
            Speech::Http2(multiplex) => Some(multiplex),
        }
    }

    /// The open exchange, where there is one at most.
    #[inline]
    pub(crate) fn only_exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.speech {
            Speech::Http1 { exchange, .. } => exchange.as_deref_mut(),
            Speech::Http2(_) => None,
        }
    }

    /// Whether some exchange is open.
    #[inline]
    pub(crate) fn has_open(&self) -> bool {
        match &self.speech {
            Speech::Http1 { exchange, .. } => exchange.is_some(),
            Speech::Http2(multiplex) => !multiplex.exchanges.is_empty(),
        }
    }

    /// Whether nothing may be read for now: a sink asked to wait, and nothing else holds the client back.
    #[inline]
    pub(crate) fn paused(&self) -> bool {
        match &self.speech {
            Speech::Http1 { exchange, .. } => exchange.as_ref().is_some_and(|exchange| exchange.paused),
            Speech::Http2(_) => false,
        }
    }

    /// Whether more bytes of the client would be looked at now.
    #[inline]
    pub(crate) fn wants_bytes(&self) -> bool {
        match &self.speech {
            Speech::Http1 { machine, .. } => {
                matches!(machine.phase(), Phase::Idle | Phase::Head | Phase::Body) && !self.paused()
            }
            Speech::Http2(multiplex) => multiplex.machine.wants_bytes(),
        }
    }

    /// Whether nobody can read what is still to be sent.
    pub(crate) fn is_deserted(&self) -> bool {
        matches!(&self.speech, Speech::Http2(multiplex) if multiplex.machine.is_deserted())
    }

    /// A turn begins.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Tick, room: &mut h2::Room) {
        if let Speech::Http2(multiplex) = &mut self.speech {
            multiplex.begin_turn(now, room);
        }
    }

    /// A turn ends: whatever the version has to say goes with the answers.
    #[inline]
    pub(crate) fn end_turn(&mut self, now: Tick, output: &mut Output, room: &mut h2::Room) {
        if let Speech::Http2(multiplex) = &mut self.speech {
            multiplex.end_turn(now, output, room);
        }
    }

    /// The connection ends: what it shared with the others is theirs.
    pub(crate) fn leave_room(&mut self, room: &mut h2::Room) {
        if let Speech::Http2(multiplex) = &mut self.speech {
            multiplex.machine.leave_room(room);
        }
    }

    /// New requests are answered by something else from now on: what is open keeps `former`.
    pub(crate) fn keep_edition(&mut self, former: &Arc<Edition>) {
        for exchange in self.speech.exchanges_mut() {
            exchange.edition.get_or_insert_with(|| Arc::clone(former));
        }
    }

    /// Where no request has begun, the next one has these limits. HTTP/2 has told its own, and keeps them.
    pub(crate) fn limit(&mut self, limits: &Arc<h1::Limits>) {
        if let Speech::Http1 { machine, .. } = &mut self.speech
            && machine.phase() == Phase::Idle
        {
            machine.limit(Arc::clone(limits));
        }
    }

    /// No further exchanges. A client whose request is still on its way is served once.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        // A machine of HTTP/1 that rests would close at once.
        if self.is_multiplexed() || self.phase() != Phase::Idle {
            self.speech.machine().drain();
        }
    }

    /// Takes the next event out of `input` and acts on it; false when there is none.
    #[inline]
    pub(crate) fn step(&mut self, input: &mut Input<'_>, slate: Slate<'_>, call: &mut Call<'_>) -> bool {
        let unread = input.bytes();
        let event = match &mut self.speech {
            Speech::Http1 { machine, .. } => machine.poll(input, slate.table),
            Speech::Http2(multiplex) => multiplex.machine.poll(input, slate, call.output),
        };
        match &event {
            // Not moved out: a copy that is wider than the stores before it would wait for them.
            Ok(Some(Event::Head { stream, head, body })) => self.head(*stream, head, *body, call),
            Ok(Some(Event::Chunk { stream, bytes, end, trailer })) => {
                self.chunk(*stream, bytes, *end, trailer.as_ref(), call);
            }
            &Ok(Some(Event::Reset { stream, reason })) => self.reset(stream, reason, call),
            &Ok(Some(Event::Refused { stream, reason })) => self.refuse_request(stream, reason, call),
            Ok(None) => return false,
            Err(_) if self.is_preface(unread) => {
                *input = Input::new(unread, input.fin());
                self.multiplex(call.env, call.now);
            }
            Err(Reason::H2Preface) if self.is_http2_only && h1::may_be(unread) => {
                self.refuse_http1(unread, call);
            }
            Err(reason) => self.refuse(*reason, call),
        }
        true
    }

    /// Moves what is due of the answers' bodies, until there is nothing more or no room.
    pub(crate) fn pump(&mut self, call: &mut Call<'_>) -> Pumped {
        while let Some(stream) = self.speech.due(call.output) {
            let pumped = match self.speech.take(stream) {
                Some(exchange) => self.pump_one(exchange, call),
                None => self.speech.give_up(stream, Reason::HandlerDropped, call.output),
            };
            if !self.is_multiplexed() {
                return pumped;
            }
        }
        match &self.speech {
            // Whoever is still due has no room.
            Speech::Http2(multiplex) if multiplex.machine.has_due() => Pumped::Full,
            _ => Pumped::Nothing,
        }
    }

    fn pump_one(&mut self, mut exchange: Box<Exchange>, call: &mut Call<'_>) -> Pumped {
        let stream = exchange.stream();
        if exchange.term.is_some() || call.edition.app.has_own_writes() {
            call.note_reader(exchange.term.as_ref().and_then(|term| term.write()));
        }
        let timeline = &exchange.asked.timeline;
        let encoding = &mut Encoding { output: &mut *call.output, preset: call.preset, timeline };
        let (pumped, body_bytes) = self.speech.pump(stream, encoding);
        exchange.sent.body_bytes += body_bytes;
        match pumped {
            Pumped::Full => {}
            Pumped::Waiting(wait) => exchange.wake_at = wait.map_or(Tick::NEVER, |wait| call.now.after(wait)),
            Pumped::Nothing | Pumped::Cut | Pumped::Panicked => {
                let why = match pumped {
                    Pumped::Cut => Some(CloseReason::BodyCut),
                    Pumped::Panicked => Some(respond::failed(call.env, &exchange)),
                    _ => None,
                };
                exchange.sent.is_cut = why.is_some();
                exchange.sent.reason = why.map(Cause::Close).or(exchange.sent.reason);
                // Where there are many, the others go on.
                if !self.is_multiplexed() {
                    self.cut = why;
                }
                self.record_open(&exchange, call);
                return pumped;
            }
        }
        self.speech.keep(exchange);
        pumped
    }

    /// Refuses what came: the last answer of this connection.
    #[cold]
    pub(crate) fn refuse(&mut self, reason: Reason, call: &mut Call<'_>) {
        self.refused = true;
        call.response.reset();
        call.response.refuse(reason);
        if self.is_multiplexed() && self.has_open() {
            // It is none of a request of its own: those that are open end with it.
            call.env.stats.refused(reason);
            let timeline = &Timeline::default();
            let encoding = &mut Encoding { output: &mut *call.output, preset: call.preset, timeline };
            self.speech.machine().refuse(call.response, encoding);
            return self.end_open(reason.into(), call.output.unsent_bytes(), call);
        }
        respond::count(call, &Attributes::default());
        let is_unread = !matches!(&self.speech, Speech::Http1 { machine, .. } if machine.has_request());
        let mut exchange = match self.only_taken() {
            Some(open) => open,
            None if is_unread => self.unread(StreamId(0), call),
            None => Exchange::new(Asked::new(StreamId(0), self.requests)),
        };
        exchange.asked.timeline = Timeline::default();
        if !is_unread {
            Self::identify(&exchange.asked, None, call);
        }
        let timeline = &exchange.asked.timeline;
        let encoding = &mut Encoding { output: &mut *call.output, preset: call.preset, timeline };
        self.speech.machine().refuse(call.response, encoding);
        exchange.sent = Sent::of(call.response);
        if self.is_multiplexed() || self.speech.is_head(exchange.stream()) {
            // The code of a frame's error is all that leaves; an answer to HEAD is without content.
            exchange.sent.body_bytes = 0;
        }
        let own = exchange.edition_beside(call.edition);
        let answer = (exchange.sent.status, Some(reason));
        respond::count_by_name(own.as_ref().unwrap_or(call.edition), call.env, exchange.scope, answer);
        self.record_open(&exchange, call);
    }

    /// A head of HTTP/1 that begins with these bytes is read no further: a refusal follows.
    #[cold]
    pub(crate) fn give_up_head(&mut self, unread: &[u8]) {
        if let Speech::Http1 { machine, .. } = &mut self.speech {
            machine.give_up(unread);
        }
    }

    /// Refuses HTTP/1, which begins with these bytes, in words that its client can read. RFC 9113 §3.4.
    #[cold]
    pub(crate) fn refuse_http1(&mut self, unread: &[u8], call: &mut Call<'_>) {
        let machine = h1::Server::new(Arc::clone(&call.edition.config.limits.http1));
        self.speech = Speech::Http1 { machine, exchange: None };
        self.give_up_head(unread);
        self.refuse(Reason::Http2Only, call);
    }

    /// Says good-bye, where the version has a word for it.
    #[cold]
    pub(crate) fn part(&mut self, output: &mut Output) {
        if let Speech::Http2(multiplex) = &mut self.speech {
            multiplex.machine.part(output);
        }
    }

    /// The client has closed its sending side, or is gone: whoever works on an answer learns that.
    pub(crate) fn abandon(&mut self, presence: Presence) {
        for watch in self.speech.exchanges_mut().filter_map(|exchange| exchange.watch.as_ref()) {
            watch.set(presence);
        }
    }

    /// Notes when the kernel had the heads of the answers.
    #[inline]
    pub(crate) fn mark_responded(&mut self, stopwatch: fn() -> Tick) {
        match &mut self.speech {
            Speech::Http1 { exchange: None, .. } => {}
            Speech::Http1 { exchange: Some(exchange), .. } => exchange.mark_responded(stopwatch),
            Speech::Http2(multiplex) => {
                for exchange in &mut multiplex.exchanges {
                    exchange.mark_responded(stopwatch);
                }
            }
        }
    }

    fn only_taken(&mut self) -> Option<Box<Exchange>> {
        match &mut self.speech {
            Speech::Http1 { exchange, .. } => exchange.take(),
            Speech::Http2(_) => None,
        }
    }

    /// Whether what the machine of HTTP/1 could not make sense of is the beginning of HTTP/2.
    #[cold]
    fn is_preface(&self, unread: &[u8]) -> bool {
        self.may_multiplex && self.requests == 0 && !self.is_multiplexed() && h2::is_preface(unread)
    }

    /// From now on HTTP/2 is spoken.
    #[cold]
    fn multiplex(&mut self, env: &Env, now: Tick) {
        let mut machine = h2::Server::new(Arc::clone(&env.edition.config.limits.http2));
        if self.draining {
            machine.drain();
        }
        env.stats.http2_connections.add(1);
        self.speech = Speech::Http2(Box::new(Multiplex::new(machine, now)));
    }
}
