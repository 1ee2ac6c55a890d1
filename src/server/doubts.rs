//! [`Doubts`]: what is written down of answers that are made, and that the kernel has not taken whole.
//!
//! ```text
//!  turn ─► line, entry ─► flush ─┬─ all taken ──────────────────────────────► they stay where they are
//!                                └─ not all ─► Doubts, with what waits ─┬─ taken later ─► as they were
//!                                                                       └─ never ───────► as cut
//! ```
//! A moment is known by its place in the output: an answer is whole when all before its end was taken.

use super::access_log::{self, Cut, Rings};
use super::recorder::{self, Recorder};
use super::stats::Cause;
use crate::base::Tick;

/// Lines and entries of one connection, in the order of their answers.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    lines: Vec<access_log::Doubt>,
    entries: Vec<recorder::Doubt>,
}

impl Doubts {
    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.entries.is_empty()
    }

    /// Takes back what this turn has written of answers that end behind `taken`. `kept`: where those end
    /// that the recorder has of this turn.
    pub(crate) fn take_back(
        &mut self,
        taken: u64,
        kept: &[u64],
        rings: Option<&mut Rings>,
        recorder: Option<&Recorder>,
    ) {
        if let Some(rings) = rings {
            rings.take_back(taken, &mut self.lines);
        }
        if let Some(recorder) = recorder {
            recorder.take_back(taken, kept, &mut self.entries);
        }
    }

    /// Writes down what has become whole: all before `taken` was taken by `at`.
    pub(crate) fn settle(
        &mut self,
        taken: u64,
        at: Tick,
        mut rings: Option<&mut Rings>,
        recorder: Option<&Recorder>,
    ) {
        self.lines.retain_mut(|line| {
            line.note_taken(taken, at);
            let is_whole = line.until() <= taken;
            if is_whole && let Some(rings) = &mut rings {
                rings.put(line, at, None);
            }
            !is_whole
        });
        let entries = std::mem::take(&mut self.entries);
        let (whole, rest): (Vec<_>, _) = entries.into_iter().partition(|entry| entry.until() <= taken);
        self.entries = rest;
        if let Some(recorder) = recorder {
            whole.into_iter().for_each(|entry| recorder.put(entry, at, None));
        }
    }

    /// Writes down the others: they end here, for `cause`.
    pub(crate) fn end(
        self,
        taken: u64,
        (cause, at): (Cause, Tick),
        mut rings: Option<&mut Rings>,
        recorder: Option<&Recorder>,
    ) {
        let cut = |until: u64| Some(Cut { cause, missing_bytes: until.saturating_sub(taken) });
        for line in &self.lines {
            if let Some(rings) = &mut rings {
                rings.put(line, at, cut(line.until()));
            }
        }
        for entry in self.entries {
            if let Some(recorder) = recorder {
                let cut = cut(entry.until());
                recorder.put(entry, at, cut);
            }
        }
    }
}
