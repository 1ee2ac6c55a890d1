//! [`Term`]: how long an exchange may take, where its route says something of that.
//!
//! ```text
//!  head ─► layers, handler │ the client's body │ handler ─► answer │ held up by its reader
//!          └─ answer_by ───┘ └ starts it anew ─┘ answer_by ┘       └ held_up_from
//! ```
//! An exchange whose route says nothing has none. Knows no clock.

use std::time::Duration;

use crate::app::{RouteTimeouts, Scope};
use crate::base::Tick;
use crate::server::config::Timeouts;
use crate::server::edition::Edition;

/// How long an exchange may take.
#[derive(Debug)]
pub(crate) struct Term {
    own: RouteTimeouts,
    /// Those of the server, with what the route says otherwise.
    timeouts: Timeouts,
    /// When there must be an answer, unless something of the request is awaited.
    answer_by: Tick,
    /// Since when the client lets the answer wait; [`Tick::NEVER`]: it does not.
    held_up_from: Tick,
    /// How much of it had been sent by then, in bytes.
    sent_before: u64,
}

impl Term {
    /// That of an exchange that begins now with `edition`.
    pub(super) fn of(scope: Option<Scope>, edition: &Edition, now: Tick) -> Option<Box<Self>> {
        let own = scope.map(|scope| edition.app.timeouts_of(scope)).unwrap_or_default();
        if own == RouteTimeouts::default() {
            return None;
        }
        Some(Box::new(Self {
            own,
            timeouts: edition.config.timeouts.of_route(&own),
            answer_by: own.handler.map_or(Tick::NEVER, |wait| now.after(wait)),
            held_up_from: Tick::NEVER,
            sent_before: 0,
        }))
    }

    /// How long is waited for what.
    pub(super) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// When there must be an answer.
    pub(super) const fn answer_by(&self) -> Tick {
        self.answer_by
    }

    /// What was awaited is there at `from`: the handler's time begins.
    pub(super) fn begin(&mut self, from: Tick) {
        self.answer_by = self.own.handler.map_or(Tick::NEVER, |wait| from.after(wait));
    }

    /// How long the reader of the answer may take nothing, if the route says that.
    pub(super) const fn write(&self) -> Option<Duration> {
        self.own.write
    }

    /// Notes whether the answer waits for its reader, who was sent so many bytes of it: when that is looked
    /// at next.
    pub(super) fn hold_up(&mut self, is_held_up: bool, sent_bytes: u64, now: Tick) -> Tick {
        let Some(write) = self.own.write.filter(|_| is_held_up) else {
            self.held_up_from = Tick::NEVER;
            return Tick::NEVER;
        };
        if self.held_up_from == Tick::NEVER {
            (self.held_up_from, self.sent_before) = (now, sent_bytes);
        }
        self.held_up_from.after(write)
    }

    /// What the reader took while the answer waited for longer than it may, if that is too little. A time
    /// that was used well begins anew.
    pub(super) fn stalled(&mut self, sent_bytes: u64, now: Tick) -> Option<u64> {
        if now < self.held_up_from.after(self.timeouts.write) {
            return None;
        }
        self.held_up_from = Tick::NEVER;
        let taken = sent_bytes.saturating_sub(self.sent_before);
        (taken < self.timeouts.write_cost(self.timeouts.write)).then_some(taken)
    }
}
