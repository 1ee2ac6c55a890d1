//! [`Multiplex`]: what must be known of a connection with many exchanges: those that are open, who still
//! works on those that are gone, and since when the client owes what.
//!
//! ```text
//!  greeted ──► SETTINGS acknowledged        within `header`
//!  frame begun ──► whole                    within `header`
//!  window closed ──► opened, and used       `write`, by its rate
//!  end announced ──► known                  within a second
//! ```
//! Invariant: the exchanges stand in the order of their streams.

use std::sync::Arc;
use std::time::Duration;

use crate::app::Watch;
use crate::base::Tick;
use crate::http::{Phase, Reason, StreamId};
use crate::proto::{Protocol, h2};
use crate::wire::Output;

use super::exchange::Exchange;
use crate::server::config::Timeouts;
use crate::server::stats::Timeout;

/// A client that does not answer the PING behind a GOAWAY knows of it after this time.
const FAREWELL: Duration = Duration::from_secs(1);

/// The machine of HTTP/2, and the exchanges on it.
#[derive(Debug)]
pub(crate) struct Multiplex {
    pub(super) machine: h2::Server,
    #[expect(clippy::vec_box, reason = "they come and go as boxes, and are several hundred bytes")]
    pub(super) exchanges: Vec<Box<Exchange>>,
    /// Handlers that still work on exchanges that are gone: the last owner of a watch has ended.
    #[expect(clippy::box_collection, reason = "there are none but under attack")]
    ghosts: Option<Box<Vec<Arc<Watch>>>>,
    /// The last stream on which a request came.
    pub(super) newest: StreamId,
    greeted_at: Tick,
    /// Since when a frame, or a header block, is not whole; [`Tick::NEVER`]: it is.
    partial_from: Tick,
    /// How many came whole before it.
    wholes_before: u16,
    /// The client may send no content at all: others have not used what came.
    is_full: bool,
    /// Since when the windows are watched; [`Tick::NEVER`]: nothing waits for one.
    held_up_from: Tick,
    /// What had been sent by then.
    sent_before: u32,
    /// Since when the end is announced; [`Tick::NEVER`]: it is not.
    leaving_from: Tick,
}

/// What is due when the deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The connection has broken a rule of time.
    Connection(Timeout, Reason),
    /// A body has, or a reader.
    Stream(StreamId, Timeout, Reason),
    /// There was no request for long.
    Idle,
    /// Nothing but time had to pass.
    Turn,
}

impl Multiplex {
    pub(super) const fn new(machine: h2::Server, now: Tick) -> Self {
        Self {
            machine,
            exchanges: Vec::new(),
            ghosts: None,
            newest: StreamId(0),
            greeted_at: now,
            partial_from: Tick::NEVER,
            wholes_before: 0,
            is_full: false,
            held_up_from: Tick::NEVER,
            sent_before: 0,
            leaving_from: Tick::NEVER,
        }
    }

    /// Where the exchange of `stream` stands, or would stand.
    #[inline]
    pub(super) fn place(&self, stream: StreamId) -> Result<usize, usize> {
        self.exchanges.binary_search_by_key(&stream, |exchange| exchange.stream())
    }

    #[inline]
    pub(super) fn begin_turn(&mut self, now: Tick, room: &mut h2::Room) {
        let ghosts = match &mut self.ghosts {
            None => 0,
            Some(ghosts) => {
                ghosts.retain(|watch| Arc::strong_count(watch) > 1);
                ghosts.len()
            }
        };
        self.machine.begin_turn(now, ghosts, room);
    }

    /// Nobody waits for this exchange any more; whoever works on it learns that, and still counts.
    pub(super) fn bury(&mut self, exchange: Box<Exchange>) {
        if let Some(watch) = exchange.watch.as_ref().filter(|_| !exchange.answered) {
            self.haunt(Arc::clone(watch));
        }
    }

    /// Whoever has this watch works for nobody any more, and still counts.
    pub(super) fn haunt(&mut self, watch: Arc<Watch>) {
        self.ghosts.get_or_insert_default().push(watch);
        self.machine.note_ghost();
    }

    /// The last of a turn: whatever the machine has to say goes with the answers.
    pub(super) fn end_turn(&mut self, now: Tick, output: &mut Output, room: &mut h2::Room) {
        if self.exchanges.is_empty() && self.exchanges.capacity() > 0 {
            self.exchanges = Vec::new();
        }
        if now >= self.leaving_from.after(FAREWELL) {
            self.machine.leave(output);
        }
        self.machine.attend(output);
        self.machine.end_turn(room, output);
    }

    /// When the client, or a source, is looked at next.
    pub(crate) fn deadline(&mut self, now: Tick, timeouts: &Timeouts) -> Tick {
        let mut deadline = match self.machine.phase() {
            Phase::Idle => now.after(timeouts.keepalive),
            _ => Tick::NEVER,
        };
        if self.machine.awaits_acknowledgement() {
            deadline = deadline.min(self.greeted_at.after(timeouts.header));
        }
        if std::mem::replace(&mut self.wholes_before, self.machine.wholes()) != self.machine.wholes() {
            // What is not whole now is another one.
            self.partial_from = Tick::NEVER;
        }
        since(&mut self.partial_from, self.machine.is_within_head(), now);
        deadline = deadline.min(self.partial_from.after(timeouts.header));
        let was_held_up = self.held_up_from != Tick::NEVER;
        since(&mut self.held_up_from, self.machine.is_held_up(), now);
        if !was_held_up {
            self.sent_before = self.machine.content_bytes_sent();
        }
        if self.held_up_from != Tick::NEVER {
            deadline = deadline.min(self.held_up_from.after(self.write(timeouts)));
        }
        since(&mut self.leaving_from, self.machine.is_leaving(), now);
        deadline = deadline.min(self.leaving_from.after(FAREWELL));
        let was_full = std::mem::replace(&mut self.is_full, self.machine.is_full());
        for exchange in &mut self.exchanges {
            if self.is_full || was_full {
                exchange.pace.resume(now);
            }
            deadline = deadline.min(exchange.deadline(timeouts));
            if exchange.answered
                && let Some(term) = &mut exchange.term
            {
                let is_held_up = self.machine.holds_up(exchange.asked.stream);
                deadline = deadline.min(term.hold_up(is_held_up, exchange.sent.body_bytes, now));
            }
        }
        deadline
    }

    /// How long windows may stay closed: as long as the most patient of the answers waits for its reader.
    fn write(&self, timeouts: &Timeouts) -> Duration {
        let answers = self.exchanges.iter().filter(|exchange| exchange.answered);
        let own = answers.filter_map(|exchange| exchange.term.as_ref()?.write());
        own.fold(timeouts.write, Duration::max)
    }

    /// The deadline has passed: what for. What only time had to pass for is done.
    pub(crate) fn expired(&mut self, now: Tick, timeouts: &Timeouts) -> Due {
        if self.machine.awaits_acknowledgement() && now >= self.greeted_at.after(timeouts.header) {
            return Due::Connection(Timeout::Header, Reason::H2SettingsTimeout);
        }
        if now >= self.partial_from.after(timeouts.header) {
            return Due::Connection(Timeout::Header, Reason::HeaderTimeout);
        }
        let write = self.write(timeouts);
        if now >= self.held_up_from.after(write) {
            let sent = self.machine.content_bytes_sent().wrapping_sub(self.sent_before);
            if u64::from(sent) < timeouts.write_cost(write) {
                let timeout = if sent > 0 { Timeout::WriteRate } else { Timeout::Write };
                return Due::Connection(timeout, Reason::H2Stalled);
            }
            self.held_up_from = Tick::NEVER;
        }
        for exchange in &mut self.exchanges {
            if now >= exchange.wake_at {
                exchange.wake_at = Tick::NEVER;
                self.machine.wake(exchange.stream());
            }
            if exchange.answered
                && let Some(term) = &mut exchange.term
                && let Some(taken) = term.stalled(exchange.sent.body_bytes, now)
            {
                let timeout = if taken > 0 { Timeout::WriteRate } else { Timeout::Write };
                return Due::Stream(exchange.stream(), timeout, Reason::H2Stalled);
            }
            // Whoever may not send is not late.
            if !self.is_full
                && let Some((timeout, reason)) = exchange.body_is_late(now, timeouts)
            {
                return Due::Stream(exchange.stream(), timeout, reason);
            }
        }
        match self.machine.phase() {
            Phase::Idle if !self.machine.is_leaving() => Due::Idle,
            _ => Due::Turn,
        }
    }
}

/// Notes since when something holds.
fn since(from: &mut Tick, holds: bool, now: Tick) {
    *from = if holds { now.min(*from) } else { Tick::NEVER };
}
