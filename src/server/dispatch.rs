//! [`Dialogue`]: a protocol machine and its open exchange; the only caller of handlers.
//!
//! ```text
//!   Event ──► route ──► body rule ──► handler ──► Outcome ──► respond
//!                          │             ▲          ├ Again ────► (mail) ─► handler
//!                          │             │          ├ Deferred ─► (mail) ─┐
//!                          └ collect / sink ─chunks─┘                     └► respond
//! ```
//! Knows no socket and no buffer: bytes come as events and leave through the [`Call`]'s output.

use std::net::SocketAddr;

use crate::app::{BodyRule, Match, Origin, Outcome, Presence, Request, Route, RouteId, Rule, Sink, Take};
use crate::base::{Key, Tick};
use crate::http::{
    Arrival, Event, ExchangeId, FieldTable, Head, OwnedHead, Path, Phase, Reason, Rendered, Response,
    StreamId, Timeline,
};
use crate::proto::{Encoding, Gone, Protocol, Pumped, h1};
use crate::wire::Input;

mod late;

use super::call::{Call, Env, connection_number};
use super::exchange::{Exchange, Intake, Pace, Sent};
use super::stats::CloseReason;

/// The conversation with one client.
#[derive(Debug)]
pub(crate) struct Dialogue {
    machine: h1::Server,
    exchange: Option<Box<Exchange>>,
    accepted: Tick,
    /// Requests so far.
    requests: u32,
    /// Stages are measured: on every connection until its first route says that nobody looks.
    timed: bool,
    /// The machine gave up on the peer.
    refused: bool,
    /// The body of the last answer could not be completed.
    cut: Option<CloseReason>,
    /// The next answer is the last.
    draining: bool,
}

impl Dialogue {
    pub(crate) fn new(machine: h1::Server, accepted: Tick) -> Self {
        Self {
            machine,
            exchange: None,
            accepted,
            requests: 0,
            timed: true,
            refused: false,
            cut: None,
            draining: false,
        }
    }

    /// Requests so far.
    #[inline]
    pub(crate) const fn requests(&self) -> u32 {
        self.requests
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

    /// What the machine waits for.
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// The open exchange.
    #[inline]
    pub(crate) fn exchange(&mut self) -> Option<&mut Exchange> {
        self.exchange.as_deref_mut()
    }

    /// Whether nothing may be read for now: a sink asked to wait.
    #[inline]
    pub(crate) fn paused(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.paused)
    }

    /// Whether more bytes of the client would be looked at now.
    #[inline]
    pub(crate) fn wants_bytes(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Head | Phase::Body) && !self.paused()
    }

    /// No further exchanges. A client whose first request is still on its way is served once.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        // A machine that rests would close at once.
        if self.requests > 0 || self.machine.phase() != Phase::Idle {
            self.machine.drain();
        }
    }

    /// Takes the next event out of `input` and acts on it; false when there is none.
    #[inline]
    pub(crate) fn step(
        &mut self,
        input: &mut Input<'_>,
        table: &mut FieldTable,
        call: &mut Call<'_>,
    ) -> bool {
        let unread = input.bytes();
        let event = self.machine.poll(input, table);
        match &event {
            // Not moved out: a copy that is wider than the stores before it would wait for them.
            Ok(Some(Event::Head { stream, head, body })) => self.head(*stream, head, *body, call),
            &Ok(Some(Event::Chunk { stream, bytes, end })) => {
                self.chunk(stream, bytes, end, call);
                if end {
                    // A trailer is placed in what was unread when its end was polled.
                    self.end(stream, Some(&Head::new(unread, table)), call);
                }
            }
            Ok(Some(Event::Reset { .. })) => self.abandon(Presence::Gone),
            Ok(None) => return false,
            Err(reason) => self.refuse(*reason, call),
        }
        true
    }

    /// Moves what is due of the answer's body.
    pub(crate) fn pump(&mut self, call: &mut Call<'_>) -> Pumped {
        let Some(exchange) = &mut self.exchange else { return Pumped::Nothing };
        if !exchange.answered {
            return Pumped::Nothing;
        }
        let before = call.output.queued_bytes();
        let pumped = self.machine.pump(&mut Encoding {
            output: &mut *call.output,
            preset: call.preset,
            timeline: &exchange.timeline,
        });
        exchange.sent.body_bytes += call.output.queued_bytes().saturating_sub(before) as u64;
        match pumped {
            Pumped::Full => {}
            Pumped::Waiting(wait) => exchange.wake_at = wait.map_or(Tick::NEVER, |wait| call.now.after(wait)),
            Pumped::Nothing | Pumped::Cut | Pumped::Panicked => {
                self.cut = match pumped {
                    Pumped::Cut => Some(CloseReason::BodyCut),
                    Pumped::Panicked => Some(failed(call.env, exchange)),
                    _ => None,
                };
                if let Some(exchange) = self.exchange.take() {
                    self.record_open(&exchange, call);
                }
            }
        }
        pumped
    }

    /// Refuses what came: the last answer of this connection.
    #[cold]
    pub(crate) fn refuse(&mut self, reason: Reason, call: &mut Call<'_>) {
        self.refused = true;
        call.response.reset();
        call.response.refuse(reason);
        count(call.env, call.response);
        let timeline = Timeline::default();
        self.machine.refuse(
            call.response,
            &mut Encoding { output: &mut *call.output, preset: call.preset, timeline: &timeline },
        );
        let mut exchange =
            self.exchange.take().unwrap_or_else(|| Box::new(Exchange::new(StreamId(0), timeline)));
        exchange.timeline = timeline;
        exchange.sent = Sent::of(call.response);
        self.record_open(&exchange, call);
    }

    #[inline]
    fn head(&mut self, stream: StreamId, head: &Head<'_>, body: Arrival<'_>, call: &mut Call<'_>) {
        self.requests = self.requests.saturating_add(1);
        if self.draining {
            self.machine.drain();
        }
        let mut timeline = Timeline::default();
        if self.timed {
            // The accept belongs to the first request: the others cost none.
            timeline.accepted = if self.requests == 1 { self.accepted } else { Tick::ZERO };
            timeline.received = call.received;
            timeline.parsed = (call.env.stopwatch)();
        }
        let env = call.env;
        let path = match Path::of_head(head, &mut *call.path) {
            Ok(path) => path,
            Err(reason) => return self.refuse(reason, call),
        };
        let id = match env.app.find(head, path, &mut *call.params) {
            Match::Route(id) => id,
            other => {
                call.response.reset();
                env.app.answer_without_route(&other, call.response);
                return self.respond(stream, Some(head), None, &timeline, call);
            }
        };
        let route = env.app.route_of(id);
        let rule = route.rule();
        self.timed = rule.timed || (self.timed && self.requests > 1);
        if let (Some(rendered), Arrival::Empty) = (route.fixed(), body) {
            return self.respond_fixed(stream, head, route, rendered, &mut timeline, call);
        }
        let bytes = match body {
            Arrival::Empty => &[][..],
            Arrival::Whole(bytes)
                if rule.body == BodyRule::Collect && bytes.len() as u64 <= bytes_max(rule, env) =>
            {
                bytes
            }
            _ => {
                let path = path.as_str().to_owned();
                return self.open(stream, head, id, path, body, &timeline, call);
            }
        };
        if rule.body == BodyRule::Stream && !matches!(body, Arrival::Empty) {
            let path = path.as_str().to_owned();
            return self.open(stream, head, id, path, body, &timeline, call);
        }
        call.response.reset();
        let origin = self.origin(stream, timeline, (call.key, call.now, env, call.peer));
        let request = Request::new(*head, path, route, call.params, bytes, None, &origin);
        match route.call(&request, call.response) {
            Outcome::Ready => self.respond(stream, Some(head), Some(id), &timeline, call),
            Outcome::Rendered(text) => self.respond_fixed(stream, head, route, &text, &mut timeline, call),
            outcome => {
                let path = path.as_str().to_owned();
                self.freeze(stream, head, id, path, &timeline, call);
                if let (Outcome::Again(_), Some(exchange)) = (&outcome, self.exchange()) {
                    exchange.intake = Intake::Collect(bytes.to_vec());
                }
                self.conclude(outcome, call);
            }
        }
    }

    /// A request with a body that the handler does not get at once.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each borrowed from elsewhere")]
    fn open(
        &mut self,
        stream: StreamId,
        head: &Head<'_>,
        id: RouteId,
        path: String,
        body: Arrival<'_>,
        timeline: &Timeline,
        call: &mut Call<'_>,
    ) {
        let rule = call.env.app.route_of(id).rule();
        let bytes_max = bytes_max(rule, call.env);
        let declared = match body {
            Arrival::Empty => Some(0),
            Arrival::Whole(bytes) => Some(bytes.len() as u64),
            Arrival::Follows { length, .. } => length,
        };
        self.freeze(stream, head, id, path, timeline, call);
        if declared.is_some_and(|length| length > bytes_max) {
            // RFC 9110 §15.5.14: refused before the body is read.
            call.response.reset();
            call.response.refuse(Reason::BodyBytes);
            return self.respond_open(call);
        }
        let Some(exchange) = self.exchange() else { return };
        exchange.ended = false;
        exchange.is_chunked = matches!(body, Arrival::Follows { length: None, .. });
        exchange.pace = Pace::new(bytes_max, &call.env.config.timeouts, call.now);
        let whole = if let Arrival::Whole(bytes) = body { Some(bytes) } else { None };
        match rule.body {
            BodyRule::Collect => {
                let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
                exchange.intake = Intake::Collect(Vec::with_capacity(expected.min(64 * 1024)));
                self.begin_body(stream, whole, call);
            }
            BodyRule::Stream => self.begin_stream(stream, whole, call),
        }
    }

    /// The handler decides at the head of the open exchange; `whole`: its body, if that came with the head.
    fn begin_stream(&mut self, stream: StreamId, whole: Option<&[u8]>, call: &mut Call<'_>) {
        call.response.reset();
        let outcome = self.ask(&[], None, call);
        self.conclude(outcome, call);
        match self.exchange() {
            // Nothing is invited and nothing is read until it has decided: TCP holds the client back.
            Some(exchange) if exchange.suspended => {
                exchange.intake = Intake::Undecided(whole.map(<[u8]>::to_vec));
                exchange.paused = true;
            }
            _ => self.begin_body(stream, whole, call),
        }
    }

    /// The body of the open exchange is wanted, unless it was answered already.
    fn begin_body(&mut self, stream: StreamId, whole: Option<&[u8]>, call: &mut Call<'_>) {
        if self.exchange.as_ref().is_none_or(|exchange| exchange.answered || exchange.ended) {
            return;
        }
        self.machine.want_body(stream, call.output);
        if let Some(bytes) = whole {
            self.chunk(stream, bytes, true, call);
            self.end(stream, None, call);
        }
    }

    /// The next bytes of a body.
    fn chunk(&mut self, stream: StreamId, bytes: &[u8], end: bool, call: &mut Call<'_>) {
        let Some(exchange) = self.exchange.as_deref_mut().filter(|exchange| exchange.stream == stream) else {
            return;
        };
        if !exchange.pace.take(bytes.len(), call.now) {
            exchange.intake = Intake::Nothing;
            call.response.reset();
            call.response.refuse(Reason::BodyBytes);
            return self.respond_open(call);
        }
        let take = match &mut exchange.intake {
            Intake::Nothing | Intake::Undecided(_) => Take::More,
            Intake::Collect(body) => {
                body.extend_from_slice(bytes);
                Take::More
            }
            Intake::Sink(sink) if !bytes.is_empty() => match exchange.route {
                Some(id) => call.env.app.route_of(id).chunk(sink.as_mut(), bytes),
                None => Take::More,
            },
            Intake::Sink(_) => Take::More,
        };
        exchange.ended = end;
        match take {
            Take::More => {}
            Take::Wait => exchange.paused = true,
            Take::Answer(response) => {
                exchange.intake = Intake::Nothing;
                call.response.replace(*response);
                self.respond_open(call);
            }
        }
    }

    /// The last chunk was taken; with a chunked body `trailer` holds what came behind it.
    fn end(&mut self, stream: StreamId, trailer: Option<&Head<'_>>, call: &mut Call<'_>) {
        let Some(exchange) = self.exchange.as_deref_mut().filter(|exchange| exchange.stream == stream) else {
            return;
        };
        if let Some(trailer) = trailer.filter(|trailer| exchange.is_chunked && !trailer.table().is_empty()) {
            exchange.trailer = Some(OwnedHead::freeze(trailer));
        }
        if !exchange.paused {
            self.body_complete(call);
        }
    }

    /// The body is there: the handler, or the end of its sink, decides.
    fn body_complete(&mut self, call: &mut Call<'_>) {
        let Some(exchange) = self.exchange() else { return };
        if exchange.answered {
            return;
        }
        call.response.reset();
        let outcome = match std::mem::replace(&mut exchange.intake, Intake::Nothing) {
            Intake::Collect(body) => {
                let outcome = self.ask(&body, None, call);
                if let (Outcome::Again(_), Some(exchange)) = (&outcome, self.exchange()) {
                    exchange.intake = Intake::Collect(body);
                }
                outcome
            }
            Intake::Sink(sink) => self.ask(&[], Some(sink), call),
            Intake::Nothing | Intake::Undecided(_) => return,
        };
        self.conclude(outcome, call);
    }

    /// Calls the handler of the open exchange, or the end of its sink.
    fn ask(&self, body: &[u8], sink: Option<Box<dyn Sink>>, call: &mut Call<'_>) -> Outcome {
        let Some(exchange) = self.exchange.as_deref() else { return Outcome::Ready };
        let (Some(head), Some(id)) = (&exchange.head, exchange.route) else { return Outcome::Ready };
        let env = call.env;
        let route = env.app.route_of(id);
        let origin = self.origin(exchange.stream, exchange.timeline, (call.key, call.now, env, call.peer));
        let request = Request::new(
            head.head(),
            Path::normalised(&exchange.path),
            route,
            &exchange.params,
            body,
            exchange.trailer.as_ref().map(OwnedHead::head),
            &origin,
        );
        match sink {
            Some(sink) => route.end(sink, &request, call.response),
            None => route.call(&request, call.response),
        }
    }

    /// Acts on what a handler of the open exchange decided.
    fn conclude(&mut self, outcome: Outcome, call: &mut Call<'_>) {
        let Some(exchange) = self.exchange() else { return };
        match outcome {
            Outcome::Ready => self.respond_open(call),
            Outcome::Rendered(text) => {
                text.fill(call.response);
                self.respond_open(call);
            }
            Outcome::Deferred(mut ticket) => exchange.wait_for(&mut ticket),
            Outcome::Again(mut ticket) => {
                exchange.wait_for(&mut ticket);
                exchange.suspended = true;
            }
            Outcome::Receive(sink) => {
                exchange.intake = Intake::Sink(sink);
                if exchange.ended {
                    self.body_complete(call);
                }
            }
        }
    }

    /// Keeps what a later turn needs of this request.
    fn freeze(
        &mut self,
        stream: StreamId,
        head: &Head<'_>,
        id: RouteId,
        path: String,
        timeline: &Timeline,
        call: &Call<'_>,
    ) {
        let mut exchange = Exchange::new(stream, *timeline);
        exchange.head = Some(OwnedHead::freeze(head));
        exchange.route = Some(id);
        exchange.path = path;
        exchange.params = call.params.clone();
        self.exchange = Some(Box::new(exchange));
    }

    /// Answers the open exchange.
    fn respond_open(&mut self, call: &mut Call<'_>) {
        let Some(mut exchange) = self.exchange.take() else { return };
        let head = exchange.head.take();
        let (route, timeline) = (exchange.route, exchange.timeline);
        self.respond(exchange.stream, head.as_ref().map(OwnedHead::head).as_ref(), route, &timeline, call);
        if let Some(open) = &mut self.exchange {
            open.head = head;
        }
    }

    /// Answers `stream` with what its route always answers.
    #[inline]
    fn respond_fixed(
        &mut self,
        stream: StreamId,
        head: &Head<'_>,
        route: &Route,
        rendered: &Rendered,
        timeline: &mut Timeline,
        call: &mut Call<'_>,
    ) {
        mark_handled(timeline, call);
        let status = rendered.status().as_u16();
        call.env.stats.answered(status);
        let encoding = &mut Encoding { output: &mut *call.output, preset: call.preset, timeline };
        if self.machine.respond_rendered(stream, rendered, encoding) == Err(Gone) {
            return call.env.stats.late_answers.add(1);
        }
        if call.ring.is_some() {
            let sent = Sent { status, body_bytes: rendered.body().len() as u64, reason: None };
            call.record(self.requests, Some(head), route.pattern(), timeline, sent);
        }
    }

    /// Answers `stream` with the response at hand.
    #[inline]
    fn respond(
        &mut self,
        stream: StreamId,
        head: Option<&Head<'_>>,
        route: Option<RouteId>,
        timeline: &Timeline,
        call: &mut Call<'_>,
    ) {
        let mut timeline = *timeline;
        mark_handled(&mut timeline, call);
        count(call.env, call.response);
        let sent = Sent::of(call.response);
        let encoding = &mut Encoding { output: &mut *call.output, preset: call.preset, timeline: &timeline };
        if self.machine.respond(stream, call.response, encoding) == Err(Gone) {
            return call.env.stats.late_answers.add(1);
        }
        if self.machine.phase() == Phase::Sending {
            let mut exchange = Exchange::new(stream, timeline);
            exchange.answered = true;
            exchange.sent = Sent { body_bytes: 0, ..sent };
            exchange.route = route;
            exchange.head = head.filter(|_| call.ring.is_some()).map(OwnedHead::freeze);
            self.exchange = Some(Box::new(exchange));
        } else if call.ring.is_some() {
            let pattern = route.map_or("", |id| call.env.app.route_of(id).pattern());
            call.record(self.requests, head, pattern, &timeline, sent);
        }
    }

    /// Where the request of `stream` came from.
    fn origin<'o>(
        &self,
        stream: StreamId,
        timeline: Timeline,
        (key, now, env, peer): (Key, Tick, &'o Env, &'o dyn Fn() -> Option<SocketAddr>),
    ) -> Origin<'o> {
        Origin {
            exchange: ExchangeId { connection: key, stream },
            post: &env.post,
            pool: &env.pool,
            worker: env.worker,
            connection_number: connection_number(env.worker, key),
            request_number: self.requests,
            now,
            unix_seconds: env.unix_millis / 1000,
            timeline,
            peer,
        }
    }

    /// One line of the log for an exchange that took more than its turn.
    fn record_open(&self, exchange: &Exchange, call: &mut Call<'_>) {
        let head = exchange.head.as_ref().map(OwnedHead::head);
        let pattern = exchange.route.map_or("", |id| call.env.app.route_of(id).pattern());
        call.record(self.requests, head.as_ref(), pattern, &exchange.timeline, exchange.sent);
    }
}

/// The answer is made: the next request's bytes are looked at from here.
#[inline]
fn mark_handled(timeline: &mut Timeline, call: &mut Call<'_>) {
    if timeline.parsed != Tick::ZERO {
        timeline.handled = (call.env.stopwatch)();
        call.received = timeline.handled;
    }
}

/// The most bytes that a route's body may have.
fn bytes_max(rule: &Rule, env: &Env) -> u64 {
    rule.body_bytes_max.unwrap_or(env.config.limits.body_bytes_max)
}

/// A source panicked while its body was sent.
#[cold]
fn failed(env: &Env, exchange: &Exchange) -> CloseReason {
    log::error!("the source of an answer panicked; its connection is cut (path {:?})", exchange.path);
    env.stats.handler_panics.add(1);
    CloseReason::Failed
}

/// Counts an answer.
#[inline]
fn count(env: &Env, response: &Response) {
    env.stats.answered(response.status().as_u16());
    if let Some(reason) = response.reason() {
        env.stats.refused(reason);
        env.stats.handler_panics.add(u64::from(reason == Reason::HandlerPanic));
    }
}
