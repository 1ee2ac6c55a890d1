//! [`Desk`]: what a shard lends to a connection for its turn.

use crate::app::Visitor;
use crate::base::{Key, Tick};
use crate::server::access_log::Rings;
use crate::server::call::{Call, Env};
use crate::server::scratch::{Answered, Scratch};
use crate::server::stats::Stage;
use crate::wire::Output;

/// What a shard lends to a connection for its turn.
pub(crate) struct Desk<'d> {
    pub(crate) env: &'d Env,
    pub(crate) scratch: &'d mut Scratch,
    pub(crate) rings: Option<&'d mut Rings>,
    pub(crate) now: Tick,
}

impl Desk<'_> {
    /// A call into the dialogue of connection `key`, which is that of `peer`.
    #[inline]
    pub(super) fn call<'s>(
        &'s mut self,
        key: Key,
        output: &'s mut Output,
        peer: &'s dyn Visitor,
    ) -> Call<'s> {
        let rings = self.rings.as_deref_mut();
        Call::new(key, self.env, self.now, &mut self.scratch.blank, output, rings, peer)
    }

    /// Counts how long the answers of this turn took to the kernel, and has it written down.
    #[cold]
    pub(super) fn measure_respond(&mut self) {
        let now = (self.env.stopwatch)();
        self.note_left(now);
        let (count, nanos) = self.scratch.blank.answered.leave(now);
        self.env.stats.stages[Stage::Respond.index()].record_all(count, nanos);
    }

    /// The kernel took nothing of this turn's answers: what is written down of them has the turn's end.
    #[cold]
    pub(super) fn give_up_respond(&mut self) {
        self.note_left((self.env.stopwatch)());
        self.scratch.blank.answered = Answered::default();
    }

    fn note_left(&mut self, at: Tick) {
        if !self.scratch.blank.answered.is_awaited() {
            return;
        }
        if let Some(rings) = &mut self.rings {
            rings.leave_at(at);
        }
        if let Some(recorder) = &self.env.recorder {
            recorder.leave_at(at);
        }
    }
}
