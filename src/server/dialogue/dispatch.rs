//! WHO DECIDES: from a head to its route, its body and its handler. The only caller of handlers.
//!
//! ```text
//!   Event ──► route ──► body rule ──► handler ──► Outcome ──► respond
//!                          │             ▲          ├ Again ────► (mail) ─► handler
//!                          │             │          ├ Deferred ─► (mail) ─┐
//!                          └ collect / sink ─chunks─┘                     └► respond
//! ```

use std::sync::Arc;

use crate::app::{BodyRule, Match, Outcome, Request, RouteId, Rule, Scope, Sink, Take};
use crate::base::Tick;
use crate::http::{Arrival, Head, OwnedHead, Path, Reason, Response, StreamId};

use super::Dialogue;
use super::collected::{Collected, TooMuch};
use super::exchange::{Exchange, Intake};
use super::respond::Asked;
use super::term::Term;
use crate::server::call::Call;
use crate::server::edition::Edition;

/// A sink that goes on is given so much of what was kept for it at a time, in bytes.
const BACKLOG_BYTES_PER_CHUNK: usize = 16 * 1024;

impl Dialogue {
    #[inline]
    pub(super) fn head(&mut self, stream: StreamId, head: &Head<'_>, body: Arrival<'_>, call: &mut Call<'_>) {
        self.speech.hear(stream);
        self.requests = self.requests.saturating_add(1);
        if self.draining {
            self.speech.machine().drain();
        }
        let mut asked = Asked::new(stream, self.requests);
        if self.timed {
            // The accept belongs to the first request: the others cost none.
            asked.timeline.accepted = if self.requests == 1 { self.accepted } else { Tick::ZERO };
            asked.timeline.received = call.received;
            asked.timeline.parsed = (call.env.stopwatch)();
        }
        // Lent apart: what is found in it is used together with the rest of the call.
        let mut scratch = std::mem::take(call.path);
        self.route(&mut asked, head, body, &mut scratch, call);
        *call.path = scratch;
    }

    /// Finds who answers, and asks.
    #[inline]
    fn route(
        &mut self,
        asked: &mut Asked,
        head: &Head<'_>,
        body: Arrival<'_>,
        scratch: &mut String,
        call: &mut Call<'_>,
    ) {
        let app = &call.edition.app;
        let path = match Path::of_head(head, scratch) {
            Ok(path) => path,
            Err(reason) => return self.refuse_path(asked, head, reason, call),
        };
        if self.tells_hosts_apart && app.misdirects(head, call.peer) {
            return self.answer_refusal(asked, head, Reason::Misdirected, call);
        }
        let asker = call.asker();
        let mut found = app.find(head, path, &mut *call.params, asker);
        let rewritten;
        let path = if app.rewrites(found) {
            (found, rewritten) = Self::follow(asked, found, (head, path), call);
            Path::normalised(&rewritten)
        } else {
            path
        };
        let scope = found.scope();
        if app.chain(scope).looks_at_requests() && !self.passes(asked, (head, path, body), scope, call) {
            return;
        }
        match found {
            Match::Route(id) => self.handle(asked, (head, path, body), id, call),
            Match::Missing(_, missing) => {
                call.response.reset();
                app.answer_without_route(missing, call.peer.is_encrypted(), call.response);
                self.respond(asked, Some(head), Some(scope), call);
            }
        }
    }

    /// Who answers where `found` has others asked, and with which path.
    #[cold]
    #[inline(never)]
    pub(super) fn follow(
        asked: &mut Asked,
        found: Match,
        (head, path): (&Head<'_>, Path<'_>),
        call: &mut Call<'_>,
    ) -> (Match, Arc<str>) {
        let origin = Self::origin(asked, call);
        let app = &call.edition.app;
        let (found, path) = app.follow(found, (head, path), &mut *call.params, &origin, |_, _| {});
        asked.rewritten = Some(Arc::clone(&path));
        (found, path)
    }

    /// Asks the handler, now or when the body is there.
    #[inline]
    fn handle(
        &mut self,
        asked: &mut Asked,
        (head, path, body): (&Head<'_>, Path<'_>, Arrival<'_>),
        id: RouteId,
        call: &mut Call<'_>,
    ) {
        let (env, edition, stream) = (call.env, call.edition, asked.stream);
        let route = edition.app.route_of(id);
        self.timed = route.is_timed() || call.edition.config.stages || (self.timed && self.requests > 1);
        if let (Some(rendered), Arrival::Empty) = (route.fixed(), body) {
            return self.respond_fixed(asked, head, id, rendered, call);
        }
        let (scope, rule) = (Scope::Route(id), route.rule());
        let bytes = match body {
            Arrival::Empty => &[][..],
            Arrival::Whole(bytes)
                if rule.body == BodyRule::Collect && bytes.len() as u64 <= bytes_max(rule, edition) =>
            {
                bytes
            }
            _ => return self.open(asked, (head, path, body), id, call),
        };
        if !matches!(body, Arrival::Empty) && rule.body == BodyRule::Stream {
            return self.open(asked, (head, path, body), id, call);
        }
        // What its layers hold is held until it is answered.
        call.response.renew();
        let origin = Self::origin(asked, call);
        let pattern = route.shared_pattern();
        let request = Request::new(*head, path, pattern, call.params, bytes, None, &origin);
        let outcome = route.call(&request, call.response);
        match outcome {
            Outcome::Ready => self.respond(asked, Some(head), Some(scope), call),
            Outcome::Rendered(text) if route.chain().looks_at_answers() => {
                text.fill(call.response);
                self.respond(asked, Some(head), Some(scope), call);
            }
            Outcome::Rendered(text) => self.respond_fixed(asked, head, id, &text, call),
            outcome => {
                self.freeze(asked, head, (scope, path.as_str().to_owned()), call);
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
    fn refuse_path(&mut self, asked: &mut Asked, head: &Head<'_>, reason: Reason, call: &mut Call<'_>) {
        if !self.is_multiplexed() {
            return self.refuse(reason, call);
        }
        self.answer_refusal(asked, head, reason, call);
    }

    /// A request that is answered and not handled; the connection lives on.
    #[cold]
    fn answer_refusal(&mut self, asked: &mut Asked, head: &Head<'_>, reason: Reason, call: &mut Call<'_>) {
        call.response.reset();
        call.response.refuse(reason);
        self.respond(asked, Some(head), None, call);
    }

    /// A request with a body that the handler does not get at once.
    fn open(
        &mut self,
        asked: &mut Asked,
        (head, path, body): (&Head<'_>, Path<'_>, Arrival<'_>),
        id: RouteId,
        call: &mut Call<'_>,
    ) {
        self.freeze(asked, head, (Scope::Route(id), path.as_str().to_owned()), call);
        self.admit_body(asked.stream, body, call);
        let whole = if let Arrival::Whole(bytes) = body { Some(bytes) } else { None };
        self.receive(asked.stream, id, whole, call);
    }

    /// The body of an open exchange may come, if it is not too long; `whole`: all of it, if it is there.
    pub(super) fn receive(
        &mut self,
        stream: StreamId,
        id: RouteId,
        whole: Option<&[u8]>,
        call: &mut Call<'_>,
    ) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        let declared = exchange.declared_bytes;
        if declared.is_some_and(|length| length > exchange.body_bytes_max(call.edition)) {
            // RFC 9110 §15.5.14: refused before the body is read.
            call.response.reset();
            call.response.refuse(Reason::BodyBytes);
            return self.respond_open(stream, call);
        }
        match call.edition.app.route_of(id).rule().body {
            BodyRule::Collect => {
                let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
                let body = Collected::new(expected.min(64 * 1024), &call.env.stats);
                exchange.intake = Intake::Collect(body);
                if exchange.ended && !exchange.paused {
                    return self.body_complete(stream, call);
                }
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
        if let Some(own) = exchange.edition_beside(call.edition) {
            return self.chunk(stream, bytes, end, trailer, &mut call.within(&own));
        }
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
        exchange.note_progress(call.now);
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
        let bodies_bytes_max = call.edition.config.limits.bodies_bytes_max.max(exchange.pace.bytes_max());
        let route = exchange.route();
        let take = match &mut exchange.intake {
            Intake::Nothing | Intake::Undecided(_) => Take::More,
            Intake::Collect(body) => match body.extend(bytes, bodies_bytes_max) {
                Ok(()) => Take::More,
                Err(TooMuch) => Take::Answer(Box::new(Response::refusal(Reason::Bodies))),
            },
            Intake::Sink(sink) if !bytes.is_empty() => match route {
                Some(id) => call.edition.app.route_of(id).chunk(sink.as_mut(), bytes),
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
        exchange.note_progress(call.now);
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
        let (Some(head), Some(id)) = (&exchange.head, exchange.route()) else { return Outcome::Ready };
        let route = call.edition.app.route_of(id);
        let origin = Self::origin(&exchange.asked, call);
        let request = Request::new(
            head.head(),
            Path::normalised(&exchange.path),
            route.shared_pattern(),
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
    pub(super) fn conclude(&mut self, stream: StreamId, outcome: Outcome, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        exchange.holds.append(call.response.take_holds());
        match outcome {
            Outcome::Ready => self.respond_open(stream, call),
            Outcome::Rendered(text) => {
                text.fill(call.response);
                self.respond_open(stream, call);
            }
            Outcome::Deferred(ticket) => exchange.wait_for(&ticket),
            Outcome::Again(ticket) => {
                exchange.wait_for(&ticket);
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
    pub(super) fn freeze(
        &mut self,
        asked: &mut Asked,
        head: &Head<'_>,
        (scope, path): (Scope, String),
        call: &mut Call<'_>,
    ) {
        let mut exchange = Exchange::new(asked.take());
        exchange.edition = call.former_edition();
        exchange.head = Some(OwnedHead::freeze(head));
        exchange.peer = if call.records() { call.peer.address() } else { None };
        exchange.scope = Some(scope);
        exchange.path = path;
        exchange.params = call.params.clone();
        exchange.holds = call.response.take_holds();
        exchange.term = Term::of(exchange.scope, call.edition, call.now);
        self.speech.keep(exchange);
    }
}

/// The most bytes that a route's body may have.
fn bytes_max(rule: &Rule, edition: &Edition) -> u64 {
    rule.body_bytes_max.unwrap_or(edition.config.limits.body_bytes_max)
}
