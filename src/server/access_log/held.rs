//! [`Held`]: lines of answers that have yet to leave.
//!
//! ```text
//!  record ──► …,"handle_us":4.100▢,"worker":0…   ▢: a hole, until the turn's flush
//!  leave  ──► …,"handle_us":4.100,"respond_us":9.001,"total_us":13.144,"worker":0…   ──► the batch
//! ```
//! A line is made when its answer is, since then all is at hand that it says; how long the answer takes to
//! the kernel is known only once the flush has come back. Invariant: lines leave in the order in which they
//! came, each once, whatever becomes of the connection. Knows no batch.

use super::Record;
use super::format::{Formatter, Late};
use crate::base::Tick;
use crate::http::Timeline;

/// So many bytes are held at most, and one line more: whatever one turn answers fits, as long as its lines
/// are not all of the longest.
const HELD_BYTES_MAX: usize = 256 * 1024;
/// What is kept of that memory, in bytes.
const HELD_BYTES_KEPT: usize = 64 * 1024;

/// A place in a line for what is known later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) at: usize,
    pub(super) what: Late,
}

/// Lines that wait, one after the other.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    /// Where it, and where its holes end.
    ends: (usize, usize),
    second: u64,
    timeline: Timeline,
}

impl Held {
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether nothing more may be held.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= HELD_BYTES_MAX
    }

    /// Holds the line of `record`.
    pub(super) fn hold(&mut self, formatter: &mut Formatter, record: &Record<'_>) {
        formatter.line_with_holes(record, &mut self.bytes, &mut self.holes);
        let ends = (self.bytes.len(), self.holes.len());
        self.lines.push(Line { ends, second: record.unix_seconds, timeline: *record.timeline });
    }

    /// Gives all lines away; `at`: when their answers have left, if that is known. `take` says where a line
    /// is to be written, if anywhere, and is told when it is, with its second.
    pub(super) fn leave(&mut self, at: Option<Tick>, mut take: impl FnMut(u64, &dyn Fn(&mut Vec<u8>))) {
        let (mut start, mut first) = (0, 0);
        for Line { ends: (end, last), second, timeline } in &self.lines {
            let timeline = at.filter(|_| is_measured(timeline)).map_or(*timeline, |at| timeline.left(at));
            let (bytes, holes) = (&self.bytes, &self.holes[first..*last]);
            take(*second, &|line| {
                let mut from = start;
                for hole in holes {
                    line.extend_from_slice(&bytes[from..hole.at]);
                    hole.what.write(line, &timeline);
                    from = hole.at;
                }
                line.extend_from_slice(&bytes[from..*end]);
            });
            (start, first) = (*end, *last);
        }
        self.bytes.clear();
        self.bytes.shrink_to(HELD_BYTES_KEPT);
        self.holes.clear();
        self.lines.clear();
    }
}

/// Whether somebody has looked when the answer was made.
#[inline]
pub(super) const fn is_measured(timeline: &Timeline) -> bool {
    timeline.handled.as_nanos() != 0
}
