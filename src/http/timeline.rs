//! [`Timeline`]: when an exchange passed through the four stages.
//!
//! ```text
//!  accepted ──► received ──► parsed ──► handled ──► responded ──► finished
//!    (slot)      (bytes)     (head)    (answer)   (first bytes)  (last bytes taken by the kernel)
//! ```
//! A moment that was not measured is [`Tick::ZERO`]: clocks are read only where somebody will look.

use std::time::Duration;

use crate::base::Tick;

/// Moments of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The connection got its slot.
    pub accepted: Tick,
    /// The bytes that completed the head were read.
    pub received: Tick,
    /// The head was parsed.
    pub parsed: Tick,
    /// The handler returned, or its late answer arrived.
    pub handled: Tick,
    /// The kernel took the head of the answer.
    pub responded: Tick,
    /// The kernel took the last of the answer.
    pub finished: Tick,
}

impl Timeline {
    /// The same, of an answer whose last bytes have left at `at`.
    #[must_use]
    #[inline]
    pub const fn left(self, at: Tick) -> Self {
        let responded = if self.responded.as_nanos() == 0 { at } else { self.responded };
        Self { responded, finished: at, ..self }
    }

    /// Those that were measured, up to the answer: accept, parse and handle, in nanoseconds.
    #[inline]
    pub const fn nanos_handled(&self) -> [Option<u64>; 3] {
        [
            nanos_between(self.accepted, self.received),
            nanos_between(self.received, self.parsed),
            nanos_between(self.parsed, self.handled),
        ]
    }

    /// From the slot to the first whole head's bytes: waiting for the client included.
    pub fn accept(&self) -> Option<Duration> {
        between(self.accepted, self.received)
    }

    /// Bytes to head.
    pub fn parse(&self) -> Option<Duration> {
        between(self.received, self.parsed)
    }

    /// Head to answer.
    pub fn handle(&self) -> Option<Duration> {
        between(self.parsed, self.handled)
    }

    /// Answer to the kernel.
    pub fn respond(&self) -> Option<Duration> {
        between(self.handled, self.responded)
    }

    /// From the bytes that completed the head to the last of the answer.
    pub fn total(&self) -> Option<Duration> {
        between(self.received, self.finished)
    }
}

fn between(from: Tick, to: Tick) -> Option<Duration> {
    nanos_between(from, to).map(Duration::from_nanos)
}

#[inline]
const fn nanos_between(from: Tick, to: Tick) -> Option<u64> {
    let is_measured = from.as_nanos() != 0 && to.as_nanos() != 0;
    if is_measured { Some(to.as_nanos().saturating_sub(from.as_nanos())) } else { None }
}
