//! [`Desk`]: what a shard lends to a connection for its turn.

use crate::base::Tick;
use crate::server::access_log::Rings;
use crate::server::call::Env;
use crate::server::scratch::Scratch;
use crate::server::stats::Stage;

/// What a shard lends to a connection for its turn.
pub(crate) struct Desk<'d> {
    pub(crate) env: &'d Env,
    pub(crate) scratch: &'d mut Scratch,
    pub(crate) rings: Option<&'d mut Rings>,
    pub(crate) now: Tick,
}

impl Desk<'_> {
    /// Counts how long the answers of this turn took to the kernel.
    #[cold]
    pub(super) fn measure_respond(&mut self) {
        let (count, nanos) = self.scratch.blank.answered.leave((self.env.stopwatch)());
        self.env.stats.stages[Stage::Respond.index()].record_all(count, nanos);
    }
}
