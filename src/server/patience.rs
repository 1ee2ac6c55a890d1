//! PATIENCE: how long a [`Connection`] waits for what, and what happens then.
//!
//! ```text
//!  handshake absolute, from the accept; counted when it is over
//!  idle      keep-alive, from the last answer
//!  head      absolute, from its first byte; the first of a connection from the accept or the handshake
//!  body      silence, and a rate by windows
//!  handling  none: that is the handler's; or the moment that a layer named; or as long as its route says
//!  sending   a rate by windows, or the moment that its source named
//!  linger    absolute
//! ```
//! Deadlines are lazy: a turn stores one field, and the wheel looks at it when it fires. Knows no clock.

use crate::app::Mail;
use crate::base::{Key, Tick};
use crate::http::{ExchangeId, Phase, Reason};
use crate::net::{Handshake, Transport};

use super::config::Timeouts;
use super::connection::{Connection, Desk, Verdict};
use super::dialogue::Due;
use super::stats::{Cause, CloseReason, Timeout};

impl<T: Transport> Connection<T> {
    /// The deadline has passed.
    pub(crate) fn expired(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        if let Some(stream) = self.dialogue.has_waited(desk.now) {
            let to = ExchangeId { connection: key, stream };
            return self.deliver(key, Mail::Again { to }, desk).unwrap_or(Verdict::Rest);
        }
        if desk.now >= self.dialogue.answer_by() {
            return self.answer_overdue(key, desk);
        }
        if self.waits_for_many() {
            return self.expired_among_many(key, desk);
        }
        let stats = &desk.env.stats;
        let timeout = match self.phase {
            _ if self.handshaking => Timeout::Handshake,
            Phase::Idle if self.dialogue.requests() > 0 && self.dialogue.is_draining() => {
                return Verdict::Close(CloseReason::Drained);
            }
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
                if let Some(exchange) = self.dialogue.only_exchange() {
                    exchange.wake_at = Tick::NEVER;
                }
                return self.turn(key, desk);
            }
            Phase::Lingering | Phase::Closed => Timeout::Linger,
        };
        stats.timed_out(timeout);
        if self.has_open() {
            self.end_open(key, Cause::Timeout(timeout), desk);
        }
        Verdict::Close(CloseReason::TimedOut)
    }

    /// One field for the common case; the wheel looks at it when it fires. `requests`: how many there were
    /// when the turn began.
    #[inline]
    pub(super) fn set_deadline(&mut self, requests: u32, desk: &Desk<'_>) {
        let (now, timeouts, env) = (desk.now, &desk.env.edition.config.timeouts, desk.env);
        let same = self.dialogue.requests() == requests;
        let before = self.phase;
        let phase = self.outer_phase();
        self.deadline = match phase {
            _ if self.handshaking => self.deadline,
            _ if self.waits_for_many() => {
                let multiplex = self.dialogue.multiplexed();
                multiplex.map_or(Tick::NEVER, |multiplex| multiplex.deadline(now, timeouts))
            }
            Phase::Idle if self.dialogue.requests() > 0 && !self.dialogue.is_draining() => {
                now.after(timeouts.keepalive)
            }
            // The first head's time runs already, or that of the last.
            Phase::Idle => self.deadline,
            // Absolute: not restarted by bytes.
            Phase::Head if self.dialogue.requests() == 0 || (before == phase && same) => self.deadline,
            Phase::Head => now.after(timeouts.header),
            Phase::Body if self.dialogue.only_exchange().is_none() => {
                if before == phase && same {
                    self.deadline
                } else {
                    now.after(timeouts.linger)
                }
            }
            Phase::Body => self.exchange_deadline(timeouts),
            // Of the handler nothing is asked, unless its route does; a layer may have named a moment.
            Phase::Handling => self.exchange_deadline(timeouts),
            Phase::Sending if self.pending.is_some() => match &self.pending {
                Some(pending) => {
                    let reader = pending.window_from.after(pending.reader.unwrap_or(timeouts.write));
                    reader.min(self.dialogue.answer_by())
                }
                None => Tick::NEVER,
            },
            Phase::Sending => self.exchange_deadline(timeouts),
            Phase::Lingering if before == phase => self.deadline,
            Phase::Lingering | Phase::Closed => now.after(timeouts.linger),
        };
        if before != phase {
            env.stats.moved(before, phase);
            self.phase = phase;
        }
    }

    /// When the one exchange is looked at next.
    fn exchange_deadline(&mut self, timeouts: &Timeouts) -> Tick {
        self.dialogue.only_exchange().map_or(Tick::NEVER, |exchange| exchange.deadline(timeouts))
    }

    /// Whether several exchanges, not the kernel and not the end, are what is waited for.
    #[inline]
    fn waits_for_many(&self) -> bool {
        self.dialogue.is_multiplexed()
            && self.pending.is_none()
            && !matches!(self.outer_phase(), Phase::Lingering | Phase::Closed)
    }

    /// Counts the handshake if it is over; then the time for the first head begins.
    #[cold]
    pub(super) fn note_handshake(&mut self, desk: &Desk<'_>) {
        let handshake = self.transport.handshake();
        if handshake != Handshake::Begun {
            self.handshaking = false;
            self.deadline = desk.now.after(desk.env.edition.config.timeouts.header);
            desk.env.stats.shook_hands(handshake);
        }
    }

    /// A body is silent, or its rate is due to be judged.
    fn body_expired(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        let timeouts = &desk.env.edition.config.timeouts;
        let Some(exchange) = self.dialogue.only_exchange() else {
            desk.env.stats.timed_out(Timeout::Linger);
            return Verdict::Close(CloseReason::TimedOut);
        };
        let Some((timeout, reason)) = exchange.body_is_late(desk.now, timeouts) else {
            self.set_deadline(self.dialogue.requests(), desk);
            return Verdict::Rest;
        };
        desk.env.stats.timed_out(timeout);
        self.refuse(key, reason, desk)
    }

    /// The same where there are many exchanges.
    fn expired_among_many(&mut self, key: Key, desk: &mut Desk<'_>) -> Verdict {
        let Some(multiplex) = self.dialogue.multiplexed() else { return Verdict::Rest };
        let stats = &desk.env.stats;
        match multiplex.expired(desk.now, &desk.env.edition.config.timeouts) {
            Due::Turn => self.turn(key, desk),
            Due::Connection(timeout, reason) => {
                stats.timed_out(timeout);
                self.refuse(key, reason, desk)
            }
            Due::Stream(stream, timeout, reason) => {
                stats.timed_out(timeout);
                self.refuse_stream(key, stream, reason, desk)
            }
            Due::Idle => {
                stats.timed_out(Timeout::Keepalive);
                match self.part(key, desk) {
                    Verdict::Rest if self.pending.is_none() => Verdict::Close(CloseReason::TimedOut),
                    // What the kernel did not take yet is still said.
                    verdict => verdict,
                }
            }
        }
    }

    /// Whether the client took enough since the last look; begins a new window.
    fn reader_is_alive(&mut self, desk: &Desk<'_>) -> bool {
        let timeouts = &desk.env.edition.config.timeouts;
        let Some(pending) = &mut self.pending else { return true };
        if pending.window_bytes < timeouts.write_cost(pending.reader.unwrap_or(timeouts.write)) {
            return false;
        }
        pending.window_from = desk.now;
        pending.window_bytes = 0;
        self.set_deadline(self.dialogue.requests(), desk);
        true
    }
}
