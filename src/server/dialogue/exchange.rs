//! [`Exchange`]: a request that outlives the turn in which its head came.
//!
//! ```text
//!                    ┌─ collects its body ─┐
//!   head ─ frozen ───┼─ feeds a sink ──────┼──► asked ──► answered ──► (body pulled) ──► gone
//!                    ├─ waits for a Reply ─┘
//!                    └─ waits for a Recall ─► (its handler is called again, from the left)
//! ```
//! Boxed, and made only when needed: an exchange that is answered in its own turn has none.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;

use crate::app::{Params, Presence, RouteId, Scope, Sink, Ticket, Watch};
use crate::base::Tick;
use crate::http::{Holds, OwnedHead, Reason, Response, StreamId};

use super::collected::Collected;
use super::respond::Asked;
use super::term::Term;
use crate::server::config::Timeouts;
use crate::server::edition::Edition;
use crate::server::stats::{Cause, Timeout};

/// An open exchange.
pub(crate) struct Exchange {
    /// Which request it is.
    pub(crate) asked: Asked,
    /// The frozen head, where somebody will look at it again.
    pub(crate) head: Option<OwnedHead>,
    /// Who is at the other end, where somebody will write that down: a connection that was cut has none.
    pub(crate) peer: Option<SocketAddr>,
    /// What it began with, if new requests are answered by something else by now.
    pub(crate) edition: Option<Arc<Edition>>,
    /// Whose layers stand around the answer.
    pub(crate) scope: Option<Scope>,
    pub(crate) path: String,
    pub(crate) params: Params,
    pub(crate) intake: Intake,
    /// The fields behind the body, if there are any.
    pub(crate) trailer: Option<OwnedHead>,
    /// The request's body is complete.
    pub(crate) ended: bool,
    /// How long the body is, if its head says so.
    pub(crate) declared_bytes: Option<u64>,
    /// The sink asked to wait, or nobody has decided yet: nothing is read until it is woken, or what was
    /// promised to the client (its window) is kept here.
    pub(crate) paused: bool,
    pub(crate) backlog: BytesMut,
    /// Bytes that the sink took when it asked to wait: the client may send as many more once it goes on.
    pub(crate) held_bytes: usize,
    /// The answer has begun.
    pub(crate) answered: bool,
    /// The handler, or the layer that holds it, asked to be called again.
    pub(crate) suspended: bool,
    /// The layer that looks at it next; `None`: it has passed all.
    pub(crate) held_at: Option<usize>,
    /// What the answer's owner watches.
    pub(crate) watch: Option<Arc<Watch>>,
    /// When a waiting source is asked again.
    pub(crate) wake_at: Tick,
    /// How the request's body arrives.
    pub(crate) pace: Pace,
    /// How long it may take, if its route says something of that.
    pub(crate) term: Option<Box<Term>>,
    /// What it has until it is over.
    pub(crate) holds: Holds,
    /// What was answered.
    pub(crate) sent: Sent,
}

/// What the log says of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// Why kolk made it itself, or why it ends too early.
    pub(crate) reason: Option<Cause>,
    /// It ends before its end.
    pub(crate) is_cut: bool,
}

/// Where the bytes of a request's body go.
pub(crate) enum Intake {
    /// None is expected.
    Nothing,
    /// Into memory, until the handler can be called.
    Collect(Collected),
    /// To a handler's sink.
    Sink(Box<dyn Sink>),
    /// Nowhere yet: the handler has not decided at the head and is called again. What came with the head, if
    /// that was the whole body.
    Undecided(Option<Vec<u8>>),
}

/// How fast a request's body arrives: a bucket of bytes that fills as they come and pays for time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// The most bytes the body may have.
    bytes_max: u64,
    /// What came so far.
    bytes: u64,
    /// When the last byte came.
    seen_at: Tick,
    /// When the rate was judged last.
    window_from: Tick,
    /// Bytes to pay with, and how many are kept at most.
    credit: u64,
    credit_max: u64,
}

impl Sent {
    /// What it says of `response`.
    #[inline]
    pub(crate) fn of(response: &Response) -> Self {
        Self {
            status: response.status().as_u16(),
            body_bytes: response.length().unwrap_or(0),
            reason: response.reason().map(Cause::Reason),
            is_cut: false,
        }
    }

    /// The status that decides whether it has a line: an answer that was cut is an error, whatever its head
    /// has said.
    pub(crate) const fn sampled_as(&self) -> u16 {
        if self.is_cut && self.status < 400 { 500 } else { self.status }
    }
}

impl Exchange {
    /// An exchange that waits for an answer.
    pub(super) fn new(asked: Asked) -> Box<Self> {
        Box::new(Self {
            asked,
            head: None,
            peer: None,
            edition: None,
            scope: None,
            path: String::new(),
            params: Params::default(),
            intake: Intake::Nothing,
            trailer: None,
            ended: true,
            declared_bytes: Some(0),
            paused: false,
            backlog: BytesMut::new(),
            held_bytes: 0,
            answered: false,
            holds: Holds::NONE,
            suspended: false,
            held_at: None,
            watch: None,
            wake_at: Tick::NEVER,
            pace: Pace::default(),
            term: None,
            sent: Sent::default(),
        })
    }

    /// The stream that carries it.
    #[inline]
    pub(crate) const fn stream(&self) -> StreamId {
        self.asked.stream
    }

    /// Somebody else works on the answer.
    pub(crate) fn wait_for(&mut self, ticket: &Ticket) {
        self.watch = Some(ticket.presence());
    }

    /// The route, if there is one.
    pub(crate) fn route(&self) -> Option<RouteId> {
        self.scope.and_then(Scope::route)
    }

    /// The edition that it began with, unless that is the one `at_hand`.
    #[inline]
    pub(super) fn edition_beside(&self, at_hand: &Arc<Edition>) -> Option<Arc<Edition>> {
        self.edition.as_ref().filter(|own| !Arc::ptr_eq(own, at_hand)).map(Arc::clone)
    }

    /// The most bytes that its body may have in `edition`, which is its own.
    pub(super) fn body_bytes_max(&self, edition: &Edition) -> u64 {
        let rule = self.route().and_then(|id| edition.app.route_of(id).rule().body_bytes_max);
        rule.unwrap_or(edition.config.limits.body_bytes_max)
    }

    /// When it is looked at next: its source is asked again, its body is judged, or its answer is due.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Tick {
        let timeouts = self.own_timeouts(timeouts);
        let body = if self.awaits_body() { self.pace.deadline(timeouts) } else { Tick::NEVER };
        self.wake_at.min(body).min(self.answer_by())
    }

    /// When there must be an answer: not while it is the client who has to send something.
    pub(crate) fn answer_by(&self) -> Tick {
        let is_with_client = self.answered || (self.awaits_body() && self.wants_body());
        match &self.term {
            Some(term) if !is_with_client => term.answer_by(),
            _ => Tick::NEVER,
        }
    }

    /// Something of the body came that was wanted, or its sink takes more: the handler's time begins anew.
    pub(super) fn note_progress(&mut self, now: Tick) {
        if self.wants_body()
            && let Some(term) = &mut self.term
        {
            term.begin(now);
        }
    }

    /// Whether the client is too slow with its body. A window that was paid for begins anew.
    pub(crate) fn body_is_late(&mut self, now: Tick, timeouts: &Timeouts) -> Option<(Timeout, Reason)> {
        if !self.awaits_body() {
            return None;
        }
        let own = self.own_timeouts(timeouts);
        let (looked_at, silent_at) = (self.pace.deadline(own), self.pace.seen_at.after(own.body));
        let cost = own.body_rate_cost();
        if now < looked_at {
            return None;
        }
        if now >= silent_at {
            return Some((Timeout::Body, Reason::BodyTimeout));
        }
        let is_paid = self.pace.pay(cost, now);
        (!is_paid).then_some((Timeout::BodyRate, Reason::BodyRate))
    }

    /// Those of its route, and else those that it began with; `current`: those of new requests.
    fn own_timeouts<'t>(&'t self, current: &'t Timeouts) -> &'t Timeouts {
        match (&self.term, &self.edition) {
            (Some(term), _) => term.timeouts(),
            (None, Some(edition)) => &edition.config.timeouts,
            (None, None) => current,
        }
    }

    /// Whether the client is to send more of the body now.
    fn awaits_body(&self) -> bool {
        !self.ended && !self.paused && !self.answered
    }

    /// Whether somebody waits for the body.
    const fn wants_body(&self) -> bool {
        matches!(self.intake, Intake::Collect(_) | Intake::Sink(_))
    }

    /// Notes when the kernel had the head of the answer.
    #[inline]
    pub(crate) fn mark_responded(&mut self, stopwatch: fn() -> Tick) {
        let timeline = &mut self.asked.timeline;
        if self.answered && timeline.handled != Tick::ZERO && timeline.responded == Tick::ZERO {
            timeline.responded = stopwatch();
        }
    }
}

impl Pace {
    /// A body of at most `bytes_max` begins now. Its first window is free.
    pub(crate) fn new(bytes_max: u64, timeouts: &Timeouts, now: Tick) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            seen_at: now,
            window_from: now,
            credit: timeouts.body_rate_cost(),
            credit_max: timeouts.body_credit_max(),
        }
    }

    /// The most bytes that the body may have.
    pub(crate) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Counts `bytes` more; false when the body has become too long.
    pub(crate) fn take(&mut self, bytes: usize, now: Tick) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.credit = self.credit.saturating_add(bytes as u64).min(self.credit_max);
        self.seen_at = now;
        self.bytes <= self.bytes_max
    }

    /// When silence, or the rate, is looked at next.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Tick {
        self.seen_at.after(timeouts.body).min(self.window_from.after(timeouts.body_rate_window))
    }

    /// The client was made to wait until now: that time is not its own.
    pub(crate) const fn resume(&mut self, now: Tick) {
        self.seen_at = now;
        self.window_from = now;
    }

    /// Pays for the window that has passed; false when too little came.
    pub(crate) const fn pay(&mut self, cost: u64, now: Tick) -> bool {
        self.window_from = now;
        match self.credit.checked_sub(cost) {
            Some(credit) => {
                self.credit = credit;
                true
            }
            None => false,
        }
    }
}

impl Drop for Exchange {
    /// However it ended, whoever still works on an answer learns that nobody waits for it.
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.set(Presence::Gone);
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("stream", &self.stream())
            .field("path", &self.path)
            .field("ended", &self.ended)
            .field("paused", &self.paused)
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}
