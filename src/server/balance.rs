//! [`Balance`]: how crowded each worker is: whom accept tickets go to that even it out. They are counted
//! by the listener (see `doors`).
//!
//! The kernel spreads connections over the listeners of a port by a hash, blind to load. A worker that is
//! crowded leaves a connection in its listener's queue and gives the quietest worker a *ticket* to take it
//! from there:
//!
//! ```text
//!   A (crowded): event on its listener ─► ticket for B, ring B ─► looks again after 1 ms
//!   B (quietest): rung ─► takes its tickets ─► accepts from A's listener
//! ```
//! Nothing is handed over but permission: a lost race is an empty queue, and a worker that is stuck strands
//! nobody, since A takes what is still there when it looks again. If A itself is stuck in a handler that
//! blocks, the others see its *turn* last, and take what is in its queues meanwhile.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A worker may hold so many connections more than the quietest one before it gives tickets.
const LEAD_MIN: u32 = 4;
/// Or one part in so many of its own.
const LEAD_SHARE: u32 = 8;

/// The loads of all workers.
#[derive(Debug)]
pub(crate) struct Balance {
    workers: Box<[Load]>,
}

/// One worker's line: nobody else's stores share its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Load {
    connections: AtomicU32,
    /// Twice the number of its turns so far, and one more within a turn.
    turn: AtomicU64,
}

impl Balance {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let load = || Load { connections: AtomicU32::new(0), turn: AtomicU64::new(0) };
        Self { workers: (0..workers).map(|_| load()).collect() }
    }

    /// `worker` holds so many connections now.
    #[inline]
    pub(crate) fn report(&self, worker: usize, connections: usize) {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        let load = &self.workers[worker].connections;
        if load.load(Relaxed) != connections {
            load.store(connections, Relaxed);
        }
    }

    /// `worker` begins a turn, or ends one.
    #[inline]
    pub(crate) fn turn_over(&self, worker: usize) {
        // One writer: no read-modify-write is needed.
        let turn = &self.workers[worker].turn;
        turn.store(turn.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// `worker` is in no turn and holds no connection, whatever it has said last.
    pub(crate) fn begin_anew(&self, worker: usize) {
        if self.turn_of(worker).is_some() {
            self.turn_over(worker);
        }
        self.report(worker, 0);
    }

    /// The number of the turn that `worker` is in; `None` while it sleeps.
    pub(crate) fn turn_of(&self, worker: usize) -> Option<u64> {
        let turn = self.workers[worker].turn.load(Relaxed);
        (turn % 2 == 1).then_some(turn)
    }

    /// Whether a worker other than `worker` holds connections.
    pub(crate) fn others_serve(&self, worker: usize) -> bool {
        let mut others = self.workers.iter().enumerate().filter(|(number, _)| *number != worker);
        others.any(|(_, load)| load.connections.load(Relaxed) > 0 || load.turn.load(Relaxed) % 2 == 1)
    }

    /// The quietest worker, if `worker` holds so many connections more that a new one should go there.
    pub(crate) fn quieter_than(&self, worker: usize, connections: usize) -> Option<usize> {
        let (quietest, lead) = self.quietest(worker, connections)?;
        let own = u32::try_from(connections).unwrap_or(u32::MAX);
        (lead > LEAD_MIN.max(own / LEAD_SHARE)).then_some(quietest)
    }

    /// The quietest worker, if it holds fewer connections than `worker`, and how many fewer.
    pub(crate) fn quietest(&self, worker: usize, connections: usize) -> Option<(usize, u32)> {
        let own = u32::try_from(connections).unwrap_or(u32::MAX);
        let loads = self.workers.iter().map(|load| load.connections.load(Relaxed));
        let (quietest, least) = loads.enumerate().min_by_key(|(_, connections)| *connections)?;
        (quietest != worker && own > least).then(|| (quietest, own - least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_worker_finds_the_quietest() {
        let balance = Balance::new(3);
        balance.report(0, 10);
        balance.report(1, 7);
        balance.report(2, 5);
        assert_eq!(balance.quieter_than(0, 10), Some(2), "5 more than the quietest");
        assert_eq!(balance.quieter_than(0, 9), None, "4 more are within the hash's luck");
        assert_eq!(balance.quieter_than(2, 5), None);
        balance.report(0, 800);
        balance.report(1, 701);
        balance.report(2, 701);
        assert_eq!(balance.quieter_than(0, 800), None, "an eighth more is within it, too");
        assert_eq!(balance.quieter_than(0, 802), Some(1));
    }

    #[test]
    fn a_turn_is_seen_while_it_lasts() {
        let balance = Balance::new(2);
        assert_eq!(balance.turn_of(1), None);
        balance.turn_over(1);
        let first = balance.turn_of(1);
        assert!(first.is_some() && balance.others_serve(0) && !balance.others_serve(1));
        balance.turn_over(1);
        assert_eq!(balance.turn_of(1), None);
        balance.turn_over(1);
        assert_ne!(balance.turn_of(1), first, "another turn is not the same turn");
    }

    #[test]
    fn who_begins_anew_is_in_no_turn() {
        let balance = Balance::new(2);
        balance.report(1, 7);
        for turns in 0..4 {
            balance.begin_anew(1);
            assert!(balance.turn_of(1).is_none() && !balance.others_serve(0), "after {turns} half turns");
            balance.turn_over(1);
        }
    }

    #[test]
    fn one_worker_alone_is_never_crowded() {
        let balance = Balance::new(1);
        balance.report(0, 1_000_000);
        assert_eq!(balance.quieter_than(0, 1_000_000), None);
    }
}
