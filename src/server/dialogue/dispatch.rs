//! WHO DECIDES: from a head to its route, its body and its handler. The only caller of handlers.
//!
//! ```text
//!   Event ──► route ──► body rule ──► handler ──► Outcome ──► respond
//!                          │             ▲          ├ Again ────► (mail) ─► handler
//!                          │             │          ├ Deferred ─► (mail) ─┐
//!                          └ collect / sink ─chunks─┘                     └► respond
//! ```

use crate::app::{BodyRule, Match, Outcome, Request, RouteId, Rule, Sink, Take};
use crate::base::Tick;
use crate::http::{Arrival, Head, OwnedHead, Path, Reason, Response, StreamId, Timeline};

use super::Dialogue;
use super::collected::{Collected, TooMuch};
use super::exchange::{Exchange, Intake, Pace};
use super::respond::Asked;
use crate::server::call::{Call, Env};

/// A sink that goes on is given so much of what was kept for it at a time, in bytes.
const BACKLOG_BYTES_PER_CHUNK: usize = 16 * 1024;

impl Dialogue {
    #[inline]
    pub(super) fn head(&mut self, stream: StreamId, head: &Head<'_>, body: Arrival<'_>, call: &mut Call<'_>) {
        self.requests = self.requests.saturating_add(1);
        if self.draining {
            self.speech.machine().drain();
        }
        let mut asked = Asked { stream, number: self.requests, timeline: Timeline::default() };
        if self.timed {
            // The accept belongs to the first request: the others cost none.
            asked.timeline.accepted = if self.requests == 1 { self.accepted } else { Tick::ZERO };
            asked.timeline.received = call.received;
            asked.timeline.parsed = (call.env.stopwatch)();
        }
        let env = call.env;
        let path = match Path::of_head(head, &mut *call.path) {
            Ok(path) => path,
            Err(reason) => return self.refuse_path(&asked, head, reason, call),
        };
        if self.tells_hosts_apart && !call.peer.means(head.host().unwrap_or_default()) {
            return self.answer_refusal(&asked, head, Reason::Misdirected, call);
        }
        let id = match env.app.find(head, path, &mut *call.params) {
            Match::Route(id) => id,
            other => {
                call.response.reset();
                env.app.answer_without_route(&other, call.response);
                return self.respond(&asked, Some(head), None, call);
            }
        };
        let route = env.app.route_of(id);
        let rule = route.rule();
        self.timed = rule.timed || (self.timed && self.requests > 1);
        if let (Some(rendered), Arrival::Empty) = (route.fixed(), body) {
            return self.respond_fixed(&mut asked, head, id, rendered, call);
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
                return self.open(&asked, head, (id, path), body, call);
            }
        };
        if rule.body == BodyRule::Stream && !matches!(body, Arrival::Empty) {
            let path = path.as_str().to_owned();
            return self.open(&asked, head, (id, path), body, call);
        }
        call.response.reset();
        let origin = Self::origin(&asked, (call.key, call.now, env, call.peer));
        let request = Request::new(*head, path, route, call.params, bytes, None, &origin);
        match route.call(&request, call.response) {
            Outcome::Ready => self.respond(&asked, Some(head), Some(id), call),
            Outcome::Rendered(text) => self.respond_fixed(&mut asked, head, id, &text, call),
            outcome => {
                let path = path.as_str().to_owned();
                self.freeze(&asked, head, (id, path), call);
                if let (Outcome::Again(_), Some(exchange)) = (&outcome, self.speech.exchange(stream)) {
                    let mut body = Collected::new(bytes.len(), &env.stats);
                    if body.extend(bytes, u64::MAX).is_ok() {
                        exchange.intake = Intake::Collect(body);
                    }
                }
                self.conclude(stream, outcome, call);
            }
        }
    }

    /// A path that must not be served.
    #[cold]
    fn refuse_path(&mut self, asked: &Asked, head: &Head<'_>, reason: Reason, call: &mut Call<'_>) {
        if !self.is_multiplexed() {
            return self.refuse(reason, call);
        }
        self.answer_refusal(asked, head, reason, call);
    }

    /// A request that is answered and not handled; the connection lives on.
    #[cold]
    fn answer_refusal(&mut self, asked: &Asked, head: &Head<'_>, reason: Reason, call: &mut Call<'_>) {
        call.response.reset();
        call.response.refuse(reason);
        self.respond(asked, Some(head), None, call);
    }

    /// A request with a body that the handler does not get at once.
    fn open(
        &mut self,
        asked: &Asked,
        head: &Head<'_>,
        (id, path): (RouteId, String),
        body: Arrival<'_>,
        call: &mut Call<'_>,
    ) {
        let stream = asked.stream;
        let rule = call.env.app.route_of(id).rule();
        let bytes_max = bytes_max(rule, call.env);
        let declared = match body {
            Arrival::Empty => Some(0),
            Arrival::Whole(bytes) => Some(bytes.len() as u64),
            Arrival::Follows { length, .. } => length,
        };
        self.freeze(asked, head, (id, path), call);
        if declared.is_some_and(|length| length > bytes_max) {
            // RFC 9110 §15.5.14: refused before the body is read.
            call.response.reset();
            call.response.refuse(Reason::BodyBytes);
            return self.respond_open(stream, call);
        }
        let Some(exchange) = self.speech.exchange(stream) else { return };
        exchange.ended = false;
        exchange.pace = Pace::new(bytes_max, &call.env.config.timeouts, call.now);
        let whole = if let Arrival::Whole(bytes) = body { Some(bytes) } else { None };
        match rule.body {
            BodyRule::Collect => {
                let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
                let body = Collected::new(expected.min(64 * 1024), &call.env.stats);
                exchange.intake = Intake::Collect(body);
                self.begin_body(stream, whole, call);
            }
            BodyRule::Stream => self.begin_stream(stream, whole, call),
        }
    }

    /// The handler decides at the head of an open exchange; `whole`: its body, if that came with the head.
    pub(super) fn begin_stream(&mut self, stream: StreamId, whole: Option<&[u8]>, call: &mut Call<'_>) {
        call.response.reset();
        let outcome = self.ask(stream, &[], None, call);
        self.conclude(stream, outcome, call);
        match self.speech.exchange(stream) {
            // Nothing is invited and nothing is read until it has decided: TCP holds the client back, or its
            // window does.
            Some(exchange) if exchange.suspended => {
                exchange.intake = Intake::Undecided(whole.map(<[u8]>::to_vec));
                exchange.paused = true;
            }
            _ => self.begin_body(stream, whole, call),
        }
    }

    /// The body of an open exchange is wanted, unless it was answered already.
    fn begin_body(&mut self, stream: StreamId, whole: Option<&[u8]>, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        if exchange.answered || exchange.ended {
            return;
        }
        self.speech.machine().want_body(stream, call.output);
        if let Some(bytes) = whole {
            self.chunk(stream, bytes, true, None, call);
        }
    }

    /// The next bytes of a body; behind the last ones its trailer.
    pub(super) fn chunk(
        &mut self,
        stream: StreamId,
        bytes: &[u8],
        end: bool,
        trailer: Option<&Head<'_>>,
        call: &mut Call<'_>,
    ) {
        let Some(exchange) = self.speech.exchange(stream) else {
            return self.speech.consume(stream, bytes.len(), call.output);
        };
        exchange.trailer = trailer.map(OwnedHead::freeze);
        exchange.ended = end;
        if !exchange.pace.take(bytes.len(), call.now) {
            exchange.intake = Intake::Nothing;
            call.response.reset();
            call.response.refuse(Reason::BodyBytes);
            return self.respond_open(stream, call);
        }
        if exchange.paused {
            exchange.backlog.extend_from_slice(bytes);
            return;
        }
        self.take_in(stream, bytes, call);
        let is_complete = end && self.speech.exchange(stream).is_some_and(|exchange| !exchange.paused);
        if is_complete {
            self.body_complete(stream, call);
        }
    }

    /// Gives bytes of a body to whom they are for.
    fn take_in(&mut self, stream: StreamId, bytes: &[u8], call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        // One body may always come to what its route allows.
        let bodies_bytes_max = call.env.config.limits.bodies_bytes_max.max(exchange.pace.bytes_max());
        let take = match &mut exchange.intake {
            Intake::Nothing | Intake::Undecided(_) => Take::More,
            Intake::Collect(body) => match body.extend(bytes, bodies_bytes_max) {
                Ok(()) => Take::More,
                Err(TooMuch) => Take::Answer(Box::new(Response::refusal(Reason::Bodies))),
            },
            Intake::Sink(sink) if !bytes.is_empty() => match exchange.route {
                Some(id) => call.env.app.route_of(id).chunk(sink.as_mut(), bytes),
                None => Take::More,
            },
            Intake::Sink(_) => Take::More,
        };
        match take {
            Take::More => self.speech.consume(stream, bytes.len(), call.output),
            Take::Wait => {
                exchange.paused = true;
                exchange.held_bytes = bytes.len();
            }
            Take::Answer(response) => {
                exchange.intake = Intake::Nothing;
                call.response.replace(*response);
                self.respond_open(stream, call);
            }
        }
    }

    /// A body that waited goes on: what was kept of it first.
    pub(super) fn resume(&mut self, stream: StreamId, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        exchange.paused = false;
        exchange.pace.resume(call.now);
        let held = std::mem::take(&mut exchange.held_bytes);
        self.speech.consume(stream, held, call.output);
        loop {
            let Some(exchange) = self.speech.exchange(stream) else { return };
            if exchange.paused || exchange.answered {
                return;
            }
            if exchange.backlog.is_empty() {
                break;
            }
            let bytes = exchange.backlog.len().min(BACKLOG_BYTES_PER_CHUNK);
            let bytes = exchange.backlog.split_to(bytes);
            self.take_in(stream, &bytes, call);
        }
        if self.speech.exchange(stream).is_some_and(|exchange| exchange.ended) {
            self.body_complete(stream, call);
        }
    }

    /// The body is there: the handler, or the end of its sink, decides.
    pub(super) fn body_complete(&mut self, stream: StreamId, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        if exchange.answered {
            return;
        }
        call.response.reset();
        let outcome = match std::mem::replace(&mut exchange.intake, Intake::Nothing) {
            Intake::Collect(body) => {
                let outcome = self.ask(stream, body.bytes(), None, call);
                if let (Outcome::Again(_), Some(exchange)) = (&outcome, self.speech.exchange(stream)) {
                    exchange.intake = Intake::Collect(body);
                }
                outcome
            }
            Intake::Sink(sink) => self.ask(stream, &[], Some(sink), call),
            Intake::Nothing | Intake::Undecided(_) => return,
        };
        self.conclude(stream, outcome, call);
    }

    /// Calls the handler of an open exchange, or the end of its sink.
    fn ask(
        &mut self,
        stream: StreamId,
        body: &[u8],
        sink: Option<Box<dyn Sink>>,
        call: &mut Call<'_>,
    ) -> Outcome {
        let Some(exchange) = self.speech.exchange(stream) else { return Outcome::Ready };
        call.response.give_holds(std::mem::take(&mut exchange.holds));
        let (Some(head), Some(id)) = (&exchange.head, exchange.route) else { return Outcome::Ready };
        let env = call.env;
        let route = env.app.route_of(id);
        let asked = exchange.asked();
        let origin = Self::origin(&asked, (call.key, call.now, env, call.peer));
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

    /// Acts on what a handler of an open exchange decided.
    fn conclude(&mut self, stream: StreamId, outcome: Outcome, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        exchange.holds = call.response.take_holds();
        match outcome {
            Outcome::Ready => self.respond_open(stream, call),
            Outcome::Rendered(text) => {
                text.fill(call.response);
                self.respond_open(stream, call);
            }
            Outcome::Deferred(mut ticket) => exchange.wait_for(&mut ticket),
            Outcome::Again(mut ticket) => {
                exchange.wait_for(&mut ticket);
                exchange.suspended = true;
            }
            Outcome::Receive(sink) => {
                exchange.intake = Intake::Sink(sink);
                // What was kept of the body comes before its end.
                if exchange.ended && !exchange.paused {
                    self.body_complete(stream, call);
                }
            }
        }
    }

    /// Keeps what a later turn needs of this request.
    fn freeze(&mut self, asked: &Asked, head: &Head<'_>, (id, path): (RouteId, String), call: &Call<'_>) {
        let mut exchange = Exchange::new(asked.stream, asked.number, asked.timeline);
        exchange.head = Some(OwnedHead::freeze(head));
        exchange.route = Some(id);
        exchange.path = path;
        exchange.params = call.params.clone();
        self.speech.keep(exchange);
    }
}

/// The most bytes that a route's body may have.
fn bytes_max(rule: &Rule, env: &Env) -> u64 {
    rule.body_bytes_max.unwrap_or(env.config.limits.body_bytes_max)
}
