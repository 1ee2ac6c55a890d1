//! [`Doubt`]: the line of an answer that is made, and that the kernel has not taken whole.
//!
//! ```text
//!  batch ──take back──► Doubt ──┬─ taken ─► …,"bytes":13,…,"total_us":13.144,…             ──► the batch
//!                               └─ left ──► …,"bytes":7,…,"reason":"close.abandoned",…     ──► the batch
//! ```
//! A line is written as that of a whole answer, which it nearly always is: where it would say something else
//! is all that is noted. Only what the kernel refuses is taken back, and written once it is known what became
//! of it. Invariant: each line that was taken back is written once, unless the turn of its connection panics.
//! Knows no connection.

use std::sync::Arc;

use super::format::Formatter;
use super::held::Hole;
use super::logs::{LiveLog, LogSet};
use crate::base::Tick;
use crate::http::Timeline;
use crate::server::stats::Cause;

/// A place in a batch that says something else where the answer was cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) what: Amended,
}

/// What stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amended {
    /// The bytes of the body.
    Bytes,
    /// The same in the column of the pretty format.
    Size,
    /// The reason, or a dash.
    Reason,
    /// The member of JSON that says it, if there is one.
    Member,
    /// What stands of it at the end of a line of the pretty format.
    Remark {
        /// With ANSI colours.
        colour: bool,
    },
}

/// How an answer ended before its end.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Cut {
    /// Why.
    pub(in crate::server) cause: Cause,
    /// So much of its body was not sent, in bytes.
    pub(in crate::server) missing_bytes: u64,
}

/// A line of the turn at hand, in its batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// Where it begins, and its first spot.
    pub(super) start: usize,
    pub(super) spots: usize,
    /// Where its answer ends; zero: nobody asks.
    pub(super) until: u64,
    pub(super) body_bytes: u64,
    pub(super) second: u64,
}

/// A line that was taken back.
#[derive(Debug)]
pub(in crate::server) struct Doubt {
    made: Made,
    text: Vec<u8>,
    holes: Vec<Hole>,
    spots: Vec<Spot>,
    log: Arc<LiveLog>,
    /// As long as somebody has it, its log has a ring.
    set: Option<Arc<LogSet>>,
}

impl Doubt {
    /// The line that was `made`, with its holes and spots, which are counted from where it began in its
    /// batch.
    pub(super) fn new(
        made: Made,
        text: &[u8],
        (holes, spots): (&[Hole], &[Spot]),
        log: &Arc<LiveLog>,
    ) -> Self {
        let start = made.start;
        let holes = holes.iter().map(|hole| Hole { at: hole.at - start, ..*hole }).collect();
        let spots = spots.iter().map(|spot| Spot { at: spot.at - start, end: spot.end - start, ..*spot });
        Self { made, text: text.to_vec(), holes, spots: spots.collect(), log: Arc::clone(log), set: None }
    }

    /// Has its log live on.
    pub(super) fn keep(&mut self, set: Option<Arc<LogSet>>) {
        self.set = set;
    }

    pub(super) const fn log(&self) -> &Arc<LiveLog> {
        &self.log
    }

    pub(super) const fn second(&self) -> u64 {
        self.made.second
    }

    /// Where its answer ends, among all that was ever put into the output.
    pub(in crate::server) const fn until(&self) -> u64 {
        self.made.until
    }

    /// Notes that the kernel has taken all before `taken` by `at`: the head of the answer, perhaps.
    pub(in crate::server) fn note_taken(&mut self, taken: u64, at: Tick) {
        if taken > self.made.until.saturating_sub(self.made.body_bytes) {
            let unseen = self.holes.iter_mut().filter(|hole| hole.timeline.responded == Tick::ZERO);
            unseen.for_each(|hole| hole.timeline.responded = at);
        }
    }

    /// Appends the line of an answer that ended at `at`: whole, or not.
    pub(super) fn write(&self, line: &mut Vec<u8>, at: Tick, cut: Option<Cut>) {
        let amended = if cut.is_some() { &self.spots[..] } else { &[] };
        let (mut holes, mut spots) = (self.holes.iter().peekable(), amended.iter().peekable());
        let mut from = 0;
        loop {
            let next_hole = holes.peek().map_or(usize::MAX, |hole| hole.at);
            if let Some(spot) = spots.next_if(|spot| spot.at <= next_hole) {
                line.extend_from_slice(&self.text[from..spot.at]);
                if let Some(cut) = cut {
                    let bytes = self.made.body_bytes.saturating_sub(cut.missing_bytes);
                    Formatter::amend(line, spot.what, bytes, cut.cause);
                }
                from = spot.end;
            } else if let Some(hole) = holes.next() {
                line.extend_from_slice(&self.text[from..hole.at]);
                let timeline = match cut {
                    None => hole.timeline.left(at),
                    // Its head may never have left.
                    Some(_) => Timeline { finished: at, ..hole.timeline },
                };
                hole.what.write(line, &timeline);
                from = hole.at;
            } else {
                break;
            }
        }
        line.extend_from_slice(&self.text[from..]);
    }
}
