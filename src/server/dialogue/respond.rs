//! WHAT BECOMES OF AN ANSWER: it is counted, encoded, logged, and kept while there is more of it.

use std::sync::Arc;

use crate::app::{Attributes, Origin, RouteId, Scope, Visitor};
use crate::base::Tick;
use crate::http::{ExchangeId, Head, Holds, OwnedHead, Reason, Rendered, StreamId, Timeline};
use crate::proto::{Encoding, Gone, Protocol};

use super::Dialogue;
use super::exchange::{Exchange, Sent};
use super::speech::Speech;
use super::term::Term;
use crate::server::call::{Call, Env, connection_number};
use crate::server::caller::Remembered;
use crate::server::edition::Edition;
use crate::server::stats::{Cause, CloseReason, Stage};

/// Which request is answered, when it passed through the stages so far, and what was found out about it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) stream: StreamId,
    /// Its number on the connection.
    pub(crate) number: u32,
    pub(crate) timeline: Timeline,
    /// What layers and the handler have found out about it.
    pub(crate) attributes: Attributes,
    /// The path that it was routed with, if that is not its own.
    pub(crate) rewritten: Option<Arc<str>>,
}

impl Asked {
    /// Nothing else is known yet.
    #[inline]
    pub(super) fn new(stream: StreamId, number: u32) -> Self {
        let (timeline, attributes) = (Timeline::default(), Attributes::default());
        Self { stream, number, timeline, attributes, rewritten: None }
    }

    /// The same for an [`Exchange`] that lives on: here is left which request it was, and when.
    pub(super) fn take(&mut self) -> Self {
        let &mut Self { stream, number, timeline, .. } = self;
        let (attributes, rewritten) = (std::mem::take(&mut self.attributes), self.rewritten.take());
        Self { stream, number, timeline, attributes, rewritten }
    }
}

impl Dialogue {
    /// Answers an open exchange with the response at hand.
    pub(super) fn respond_open(&mut self, stream: StreamId, call: &mut Call<'_>) {
        let Some(mut exchange) = self.speech.take(stream) else { return };
        match exchange.edition_beside(call.edition) {
            None => self.respond_taken(&mut exchange, call),
            Some(own) => self.respond_taken(&mut exchange, &mut call.within(&own)),
        }
    }

    fn respond_taken(&mut self, exchange: &mut Exchange, call: &mut Call<'_>) {
        let head = exchange.head.take();
        if !exchange.params.is_empty() {
            call.params.clone_from(&exchange.params);
        }
        call.response.give_holds(std::mem::take(&mut exchange.holds));
        let (asked, scope) = (&mut exchange.asked, exchange.scope);
        self.respond(asked, head.as_ref().map(OwnedHead::head).as_ref(), scope, call);
        if let Some(open) = self.speech.exchange(exchange.stream()) {
            open.head = head;
        }
    }

    /// Answers with what the route always answers.
    #[inline]
    pub(super) fn respond_fixed(
        &mut self,
        asked: &mut Asked,
        head: &Head<'_>,
        route: RouteId,
        rendered: &Rendered,
        call: &mut Call<'_>,
    ) {
        mark_handled(&mut asked.timeline, call);
        let holds = call.response.take_holds();
        let status = rendered.status().as_u16();
        call.env.stats.answered(status);
        count_by_name(call.edition, call.env, Some(Scope::Route(route)), (status, None));
        call.note_answer(Some(Scope::Route(route)));
        let (stream, timeline) = (asked.stream, &asked.timeline);
        let encoding = &mut Encoding { output: &mut *call.output, preset: call.preset, timeline };
        let answered = match &mut self.speech {
            Speech::Http1 { machine, .. } => machine.respond_rendered(stream, rendered, encoding),
            Speech::Http2(multiplex) => multiplex.machine.respond_rendered(stream, rendered, encoding),
        };
        if answered == Err(Gone) {
            return call.env.stats.late_answers.add(1);
        }
        let sent = Sent { status, body_bytes: rendered.body_bytes() as u64, reason: None, is_cut: false };
        if self.is_multiplexed() && self.speech.is_sending(stream) {
            self.keep_answered(asked, Some(head), Some(Scope::Route(route)), (sent, holds), call);
        } else if call.records() {
            call.record(asked, Some(head), Some(Scope::Route(route)), sent);
        }
    }

    /// Answers with the response at hand.
    #[inline]
    pub(super) fn respond(
        &mut self,
        asked: &mut Asked,
        head: Option<&Head<'_>>,
        scope: Option<Scope>,
        call: &mut Call<'_>,
    ) {
        mark_handled(&mut asked.timeline, call);
        match (head, scope) {
            (Some(head), Some(scope)) if call.edition.app.chain(scope).looks_at_answers() => {
                self.dress(asked, head, scope, call);
            }
            (head, None) => Self::identify(asked, head, call),
            _ => {}
        }
        // Let go where nobody keeps them.
        let holds = call.response.take_holds();
        count(call, &asked.attributes);
        let stream = asked.stream;
        let mut sent = Sent::of(call.response);
        if head.is_none() && self.speech.is_head(stream) {
            sent.body_bytes = 0;
        }
        count_by_name(call.edition, call.env, scope, (sent.status, call.response.reason()));
        call.note_answer(scope);
        let encoding =
            &mut Encoding { output: &mut *call.output, preset: call.preset, timeline: &asked.timeline };
        let answered = match &mut self.speech {
            Speech::Http1 { machine, .. } => machine.respond(stream, call.response, encoding),
            Speech::Http2(multiplex) => multiplex.machine.respond(stream, call.response, encoding),
        };
        if answered == Err(Gone) {
            return call.env.stats.late_answers.add(1);
        }
        if self.speech.is_sending(stream) {
            self.keep_answered(asked, head, scope, (sent, holds), call);
        } else if call.records() {
            call.record(asked, head, scope, sent);
        }
    }

    /// The answer has begun, and there is more of it.
    fn keep_answered(
        &mut self,
        asked: &mut Asked,
        head: Option<&Head<'_>>,
        scope: Option<Scope>,
        (sent, holds): (Sent, Holds),
        call: &Call<'_>,
    ) {
        let mut exchange = Exchange::new(asked.take());
        exchange.answered = true;
        exchange.holds = holds;
        exchange.sent = Sent { body_bytes: 0, ..sent };
        exchange.edition = call.former_edition();
        exchange.scope = scope;
        if call.edition.app.has_own_writes() {
            exchange.term = Term::of(scope, call.edition, call.now);
        }
        if call.records() {
            exchange.head = head.map(OwnedHead::freeze);
            exchange.peer = call.peer.address();
        }
        self.speech.keep(exchange);
    }

    /// Refuses one request; the connection lives on.
    #[cold]
    pub(super) fn refuse_request(&mut self, stream: StreamId, reason: Reason, call: &mut Call<'_>) {
        self.speech.hear(stream);
        self.requests = self.requests.saturating_add(1);
        call.response.reset();
        call.response.refuse(reason);
        let mut asked = Asked::new(stream, self.requests);
        self.respond(&mut asked, None, None, call);
    }

    /// Answers an open exchange of many with a refusal; one whose answer has begun is given up.
    #[cold]
    pub(crate) fn refuse_open(&mut self, stream: StreamId, reason: Reason, call: &mut Call<'_>) {
        if let Some(open) = self.speech.exchange(stream).filter(|open| open.answered) {
            open.sent.is_cut = true;
            self.speech.give_up(stream, reason, call.output);
            return self.reset(stream, Some(reason), call);
        }
        call.response.reset();
        call.response.refuse(reason);
        self.respond_open(stream, call);
    }

    /// An exchange is over without an answer; `reason`: the rule that its client broke.
    #[cold]
    pub(super) fn reset(&mut self, stream: StreamId, reason: Option<Reason>, call: &mut Call<'_>) {
        let open = self.speech.take(stream);
        if let Some(reason) = reason {
            call.env.stats.refused(reason);
            let mut exchange = match open {
                Some(open) => open,
                None if self.is_unheard(stream) => self.unread(stream, call),
                // Of one that is over there is nothing more to say.
                None => return,
            };
            if !exchange.answered {
                exchange.sent = Sent { status: reason.status(), ..Sent::default() };
                Self::count_end(&exchange, Some(reason), call);
            }
            exchange.sent.is_cut = exchange.answered;
            exchange.sent.reason = Some(reason.into());
            self.record_open(&exchange, call);
            return self.bury(exchange);
        }
        call.env.stats.streams_reset.add(1);
        self.abandoned |= !self.is_multiplexed();
        if let Some(mut exchange) = open {
            self.record_cut(&mut exchange, CloseReason::Abandoned.into(), call);
            self.bury(exchange);
        }
    }

    /// The connection ends for `cause`: so do all exchanges that are open. So many bytes of their answers
    /// wait for a kernel that will not take them.
    #[cold]
    pub(crate) fn end_open(&mut self, cause: Cause, mut unsent_bytes: u64, call: &mut Call<'_>) {
        while let Some(mut exchange) = self.speech.take_any() {
            let unsent = unsent_bytes.min(exchange.sent.body_bytes);
            unsent_bytes -= unsent;
            if exchange.answered {
                exchange.sent.body_bytes -= unsent;
            }
            self.record_cut(&mut exchange, cause, call);
        }
    }

    /// Whether the client of HTTP/2 has not opened this stream before.
    fn is_unheard(&self, stream: StreamId) -> bool {
        matches!(&self.speech, Speech::Http2(multiplex) if stream > multiplex.newest)
    }

    /// What could not be read is a request, too: it has a number, and an id if requests have any.
    pub(super) fn unread(&mut self, stream: StreamId, call: &mut Call<'_>) -> Box<Exchange> {
        self.speech.hear(stream);
        self.requests = self.requests.saturating_add(1);
        let asked = Asked::new(stream, self.requests);
        Self::identify(&asked, None, call);
        Exchange::new(asked)
    }

    /// Counts an exchange that ends without an answer by the status that stands for one.
    fn count_end(exchange: &Exchange, reason: Option<Reason>, call: &Call<'_>) {
        let own = exchange.edition_beside(call.edition);
        let edition = own.as_ref().unwrap_or(call.edition);
        call.env.stats.answered(exchange.sent.status);
        count_by_name(edition, call.env, exchange.scope, (exchange.sent.status, reason));
    }

    /// An exchange ends before its end. An answer that has begun was counted then.
    fn record_cut(&self, exchange: &mut Exchange, cause: Cause, call: &mut Call<'_>) {
        if !exchange.answered {
            let status = cause.status_of_none();
            exchange.sent = Sent { status, ..Sent::default() };
            Self::count_end(exchange, None, call);
        }
        exchange.sent.is_cut = true;
        exchange.sent.reason = Some(cause);
        self.record_open(exchange, call);
    }

    /// Lets an exchange go that nobody waits for.
    fn bury(&mut self, exchange: Box<Exchange>) {
        if let Speech::Http2(multiplex) = &mut self.speech {
            multiplex.bury(exchange);
        }
    }

    /// Where the request came from.
    pub(super) fn origin<'o, 'c: 'o>(asked: &'o Asked, call: &Call<'c>) -> Origin<'o> {
        let &Call { key, now, env, edition, peer, .. } = call;
        Origin {
            exchange: ExchangeId { connection: key, stream: asked.stream },
            post: &env.post,
            pool: &env.pool,
            worker: env.worker,
            connection_number: connection_number(env.worker, key),
            request_number: asked.number,
            now,
            unix_seconds: env.unix_millis / 1000,
            timeline: asked.timeline,
            peer,
            trust: edition.config.trust.as_deref(),
            attributes: &asked.attributes,
        }
    }

    /// One line of the log for an exchange that took more than its turn.
    pub(super) fn record_open(&self, exchange: &Exchange, call: &mut Call<'_>) {
        if !call.records() {
            return;
        }
        let head = exchange.head.as_ref().map(OwnedHead::head);
        let own = exchange.edition_beside(call.edition);
        let (edition, present) = (call.edition, call.peer);
        let remembered = exchange.peer.map(|address| Remembered { address, present });
        let mut call = call.within(own.as_ref().unwrap_or(edition));
        call.peer = remembered.as_ref().map_or(present, |remembered| remembered as &dyn Visitor);
        call.record(&exchange.asked, head.as_ref(), exchange.scope, exchange.sent);
    }
}

const _: () = assert!(size_of::<Asked>() <= 120, "there is one for each request");

/// The answer is made: the next request's bytes are looked at from here.
#[inline]
fn mark_handled(timeline: &mut Timeline, call: &mut Call<'_>) {
    if timeline.parsed != Tick::ZERO {
        timeline.handled = (call.env.stopwatch)();
        call.received = timeline.handled;
        if call.edition.config.stages {
            measure(timeline, call);
        }
    }
}

/// Counts how long the stages took so far; the last one follows when the kernel has the answer.
fn measure(timeline: &Timeline, call: &mut Call<'_>) {
    let record = |stage: Stage, nanos: Option<u64>| {
        if let Some(nanos) = nanos {
            call.env.stats.stages[stage.index()].record(nanos);
        }
    };
    // One by one: a loop over pairs costs more than what it does.
    let [accept, parse, handle] = timeline.nanos_handled();
    record(Stage::Accept, accept);
    record(Stage::Parse, parse);
    record(Stage::Handle, handle);
    call.answered.note(timeline.handled);
}

/// A source panicked while its body was sent.
#[cold]
pub(super) fn failed(env: &Env, exchange: &Exchange) -> CloseReason {
    log::error!("the source of an answer panicked, which is cut short (path {:?})", exchange.path);
    env.stats.handler_panics.add(1);
    CloseReason::Failed
}

/// Counts an answer among those of its route, or of its site.
#[inline]
pub(super) fn count_by_name(
    edition: &Edition,
    env: &Env,
    scope: Option<Scope>,
    answer: (u16, Option<Reason>),
) {
    if let (Some(routes), Some(scope)) = (&edition.routes, scope) {
        routes.answered((&edition.app, scope), env.worker, answer);
    }
}

/// Counts the answer to a request with these `attributes`. What a rate has refused is counted there, where
/// rates are counted by name.
#[inline]
pub(super) fn count(call: &Call<'_>, attributes: &Attributes) {
    let (env, response) = (call.env, &*call.response);
    env.stats.answered(response.status().as_u16());
    if let Some(reason) = response.reason() {
        let refuser = call.edition.routes.as_ref().and_then(|_| attributes.rate());
        if refuser.is_none_or(|rate| rate.refuser(reason).is_none()) {
            env.stats.refused(reason);
        }
        env.stats.handler_panics.add(u64::from(reason == Reason::HandlerPanic));
    }
}
