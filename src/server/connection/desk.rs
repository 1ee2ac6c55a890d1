//! [`Desk`]: what a shard lends to a connection for its turn.

use crate::app::Visitor;
use crate::base::{Key, Tick};
use crate::server::access_log::Rings;
use crate::server::call::{Call, Env};
use crate::server::peers::Peers;
use crate::server::scratch::{Pending, Scratch};
use crate::server::stats::{Cause, Stage};
use crate::wire::Output;

/// What a shard lends to a connection for its turn.
pub(crate) struct Desk<'d> {
    pub(crate) env: &'d Env,
    pub(crate) scratch: &'d mut Scratch,
    pub(crate) rings: Option<&'d mut Rings>,
    /// Who is at the other end of the connections that were served last.
    pub(crate) peers: &'d Peers,
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

    /// A flush is over, and what it has left is in `pending`: so this turn's answers are whole, or not yet.
    #[inline]
    pub(super) fn settle(&mut self, pending: &mut Pending) {
        if !self.scratch.blank.answered.is_empty() || pending.doubts.is_some() {
            self.settle_answers(pending, true);
        }
    }

    /// The turn is over. If some of its answers came to no flush, the kernel has taken nothing of them.
    #[inline]
    pub(super) fn settle_rest(&mut self, pending: &mut Pending) {
        if !self.scratch.blank.answered.is_empty() {
            self.settle_answers(pending, false);
        }
    }

    /// Counts how long the answers of this turn took to the kernel, if that was measured, and has it written
    /// down.
    #[inline(never)]
    fn settle_answers(&mut self, pending: &mut Pending, is_flushed: bool) {
        let Self { env, scratch, rings, .. } = self;
        let (answered, recorder) = (&mut scratch.blank.answered, env.recorder.as_deref());
        let is_timed = answered.is_timed() || pending.doubts.is_some();
        let at = if is_timed { (env.stopwatch)() } else { Tick::ZERO };
        if !pending.output.is_empty() {
            let doubts = pending.doubts.get_or_insert_default();
            doubts.take_back(pending.output.taken(), answered.kept(), rings.as_deref_mut(), recorder);
        }
        if let Some(rings) = rings {
            rings.leave_at(at);
        }
        if let Some(recorder) = recorder.filter(|_| answered.is_awaited()) {
            recorder.leave_at(at);
        }
        if let Some(mut doubts) = pending.doubts.take() {
            doubts.settle(pending.output.taken(), at, rings.as_deref_mut(), recorder);
            pending.doubts = Some(doubts).filter(|doubts| !doubts.is_empty());
        }
        let (count, nanos) = answered.leave(at);
        if is_flushed {
            env.stats.stages[Stage::Respond.index()].record_all(count, nanos);
        }
    }

    /// What has not become whole of a connection's answers never will, for `cause`.
    #[cold]
    pub(super) fn end_doubts(&mut self, pending: &mut Pending, cause: Cause) {
        if let Some(doubts) = pending.doubts.take() {
            let (at, rings) = ((self.env.stopwatch)(), self.rings.as_deref_mut());
            doubts.end(pending.output.taken(), (cause, at), rings, self.env.recorder.as_deref());
        }
    }
}
