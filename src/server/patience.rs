//! PATIENCE: how long a [`Connection`] waits for what, and what happens then.
//!
//! ```text
//!  idle      keep-alive, from the last answer
//!  head      absolute, from its first byte; the first of a connection from the accept
//!  body      silence, and a rate by windows
//!  handling  none: that is the handler's
//!  sending   a rate by windows, or the moment that its source named
//!  linger    absolute
//! ```
//! Deadlines are lazy: a turn stores one field, and the wheel looks at it when it fires. Knows no clock.

use crate::base::{Key, Tick};
use crate::http::{Phase, Reason};
use crate::net::Transport;

use super::config::Timeouts;
use super::connection::{Connection, Desk, Verdict};
use super::stats::{CloseReason, Timeout};

impl<T: Transport> Connection<T> {
    /// The deadline has passed.
    pub(crate) fn expired(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        let stats = &desk.env.stats;
        let timeout = match self.phase {
            Phase::Idle if self.dialogue.requests() > 0 => Timeout::Keepalive,
            Phase::Idle => Timeout::Header,
            Phase::Head => {
                stats.timed_out(Timeout::Header);
                return self.refuse(key, Reason::HeaderTimeout, desk);
            }
            Phase::Body => return self.body_expired(key, desk),
            Phase::Sending if self.pending.is_some() => {
                if self.reader_is_alive(desk) {
                    return Verdict::Rest;
                }
                let took_some = self.pending.as_ref().is_some_and(|pending| pending.window_bytes > 0);
                if took_some { Timeout::WriteRate } else { Timeout::Write }
            }
            Phase::Sending | Phase::Handling => {
                if let Some(exchange) = self.dialogue.exchange() {
                    exchange.wake_at = Tick::NEVER;
                }
                return self.turn(key, desk);
            }
            Phase::Lingering | Phase::Closed => Timeout::Linger,
        };
        stats.timed_out(timeout);
        Verdict::Close(CloseReason::TimedOut)
    }

    /// One field for the common case; the wheel looks at it when it fires. `requests`: how many there were
    /// when the turn began.
    #[inline]
    pub(super) fn set_deadline(&mut self, requests: u32, desk: &Desk<'_>) {
        let (now, timeouts, env) = (desk.now, &desk.env.config.timeouts, desk.env);
        let same = self.dialogue.requests() == requests;
        let before = self.phase;
        let phase = self.outer_phase();
        self.deadline = match phase {
            Phase::Idle if self.dialogue.requests() > 0 => now.after(timeouts.keepalive),
            // The first head's time runs from the accept.
            Phase::Idle => self.deadline,
            // Absolute: not restarted by bytes.
            Phase::Head if self.dialogue.requests() == 0 || (before == phase && same) => self.deadline,
            Phase::Head => now.after(timeouts.header),
            Phase::Body if self.dialogue.exchange().is_none() => {
                if before == phase && same {
                    self.deadline
                } else {
                    now.after(timeouts.linger)
                }
            }
            Phase::Body => self.body_deadline(timeouts),
            Phase::Handling => Tick::NEVER,
            Phase::Sending if self.pending.is_some() => match &self.pending {
                Some(pending) => pending.window_from.after(timeouts.write),
                None => Tick::NEVER,
            },
            Phase::Sending => self.dialogue.exchange().map_or(Tick::NEVER, |exchange| exchange.wake_at),
            Phase::Lingering if before == phase => self.deadline,
            Phase::Lingering | Phase::Closed => now.after(timeouts.linger),
        };
        if before != phase {
            env.stats.moved(before, phase);
            self.phase = phase;
        }
    }

    /// When silence, or the rate, is looked at next.
    fn body_deadline(&mut self, timeouts: &Timeouts) -> Tick {
        let Some(exchange) = self.dialogue.exchange() else { return Tick::NEVER };
        if exchange.paused {
            return Tick::NEVER;
        }
        let pace = &exchange.pace;
        pace.seen_at.after(timeouts.body).min(pace.window_from.after(timeouts.body_rate_window))
    }

    /// A body is silent, or its rate is due to be judged.
    fn body_expired(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        let timeouts = &desk.env.config.timeouts;
        let now = desk.now;
        let Some(exchange) = self.dialogue.exchange() else {
            desk.env.stats.timed_out(Timeout::Linger);
            return Verdict::Close(CloseReason::TimedOut);
        };
        let pace = &mut exchange.pace;
        let (timeout, reason) = if now >= pace.seen_at.after(timeouts.body) {
            (Timeout::Body, Reason::BodyTimeout)
        } else {
            if pace.pay(timeouts.body_rate_cost(), now) {
                self.set_deadline(self.dialogue.requests(), desk);
                return Verdict::Rest;
            }
            (Timeout::BodyRate, Reason::BodyRate)
        };
        desk.env.stats.timed_out(timeout);
        self.refuse(key, reason, desk)
    }

    /// Whether the client took enough since the last look; begins a new window.
    fn reader_is_alive(&mut self, desk: &Desk<'_>) -> bool {
        let timeouts = &desk.env.config.timeouts;
        let Some(pending) = &mut self.pending else { return true };
        if pending.window_bytes < timeouts.write_cost() {
            return false;
        }
        pending.window_from = desk.now;
        pending.window_bytes = 0;
        self.set_deadline(self.dialogue.requests(), desk);
        true
    }
}
