//! [`Held`]: what is missing in lines of answers that have yet to leave.
//!
//! ```text
//!  record ──► …,"handle_us":4.100▢,"worker":0…   ▢: a hole in the batch, until the turn's flush
//!  leave  ──► …,"handle_us":4.100,"respond_us":9.001,"total_us":13.144,"worker":0…
//! ```
//! A line is made when its answer is, since then all is at hand that it says; how long the answer takes to
//! the kernel is known only once the flush has come back. A hole has no width: what stands behind it moves
//! when it is filled, which for the usual line is its end. Invariant: a batch with holes is not handed over.

use super::format::Late;
use crate::base::Tick;
use crate::http::Timeline;

/// What is kept of the memory for what moves, in bytes.
const REST_BYTES_KEPT: usize = 64 * 1024;

/// The holes in a batch, from the first to the last.
#[derive(Debug, Default)]
pub(super) struct Held {
    holes: Vec<Hole>,
    /// What stands behind the first one, while they are filled.
    rest: Vec<u8>,
}

/// A place in a batch for what is known later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) at: usize,
    pub(super) what: Late,
    pub(super) timeline: Timeline,
}

impl Held {
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.holes.is_empty()
    }

    /// `what` belongs there, for an exchange of this timeline.
    #[inline]
    pub(super) fn leave_open(&mut self, at: usize, what: Late, timeline: &Timeline) {
        self.holes.push(Hole { at, what, timeline: *timeline });
    }

    /// Takes out the holes from `from` on.
    pub(super) fn split_off(&mut self, from: usize) -> Vec<Hole> {
        let first = self.holes.partition_point(|hole| hole.at < from);
        self.holes.split_off(first)
    }

    /// Fills all holes in `lines`; `at`: when the answers have left, if that is known.
    pub(super) fn leave(&mut self, lines: &mut Vec<u8>, at: Option<Tick>) {
        let Some(start) = self.holes.first().map(|first| first.at) else { return };
        let end = lines.len();
        self.rest.extend_from_slice(&lines[start..]);
        lines.truncate(start);
        let ends = self.holes.iter().skip(1).map(|next| next.at).chain([end]);
        for (hole, end) in self.holes.iter().zip(ends) {
            let timeline = at.map_or(hole.timeline, |at| hole.timeline.left(at));
            hole.what.write(lines, &timeline);
            lines.extend_from_slice(&self.rest[hole.at - start..end - start]);
        }
        self.holes.clear();
        self.rest.clear();
        self.rest.shrink_to(REST_BYTES_KEPT);
    }
}

/// Whether somebody has looked when the answer was made.
#[inline]
pub(super) const fn is_measured(timeline: &Timeline) -> bool {
    timeline.handled.as_nanos() != 0
}
