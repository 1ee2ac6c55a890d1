//! [`Rings`]: one worker's ends of all logs.
//!
//! ```text
//!  new requests ──► LogId ──► rings  ──┬── flush ──► writers
//!  older ones ──► former ──► LogId ──► rings ─┘
//!                  └─ gone with the last edition that has their set
//! ```
//! The rings of new requests are found by their number alone. Whoever began before another set took over is
//! rare, and pays for it. What found no room is told to the log at each turn's end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::doubt::{Cut, Doubt};
use super::logs::LogSet;
use super::ring::{Home, Ring};
use crate::app::LogId;
use crate::base::Tick;

/// While there are former rings, it is looked so often whether somebody still needs them.
const FORMER_LOOK: Duration = Duration::from_millis(100);

/// One worker's ends of all logs.
#[derive(Debug)]
pub struct Rings {
    /// By [`LogId`].
    rings: Box<[Told]>,
    set: Weak<LogSet>,
    /// Of requests that began with other logs.
    former: Vec<Self>,
    /// Of rings that are gone: where their last batches come back to.
    homes: Vec<Arc<Home>>,
    /// Lines that those have lost.
    lost: u64,
}

/// A ring, and of how many lines without room its log was told. What its writer loses, that tells.
#[derive(Debug)]
struct Told {
    ring: Ring,
    lines: u64,
}

impl Rings {
    /// The rings of one more worker.
    pub fn new(set: &Arc<LogSet>) -> Self {
        let rings = set.logs().iter().map(|log| Told::of(Ring::new(log, set.batches()))).collect();
        Self { rings, set: Arc::downgrade(set), former: Vec::new(), homes: Vec::new(), lost: 0 }
    }

    /// The same, if there is any log at all.
    pub fn of_any(set: &Arc<LogSet>) -> Option<Self> {
        (!set.is_empty()).then(|| Self::new(set))
    }

    /// The ring of `log`, if it has a line for a request that was answered with `status`. A log that the
    /// server does not have is [`LogId::MAIN`].
    #[inline]
    pub fn wanting(&mut self, log: LogId, status: u16) -> Option<&mut Ring> {
        if log == LogId::NONE {
            return None;
        }
        let index = if log.index() < self.rings.len() { log.index() } else { LogId::MAIN.index() };
        let ring = &mut self.rings.get_mut(index)?.ring;
        ring.takes(status).then_some(ring)
    }

    /// Those of requests that began with `set`; none, if nothing was written down then.
    #[cold]
    pub fn of(&mut self, set: &Arc<LogSet>) -> Option<&mut Self> {
        if self.are_of(set) {
            return Some(self);
        }
        self.former.iter_mut().find(|former| former.are_of(set))
    }

    /// New requests are written down in `set` from now on. The rings of logs that are in it, too, go on, with
    /// what they hold; for requests that began before, those logs have others.
    pub fn renew(&mut self, set: &Arc<LogSet>) {
        if self.are_of(set) {
            return;
        }
        let mut before: Vec<Option<Told>> = std::mem::take(&mut self.rings).into_iter().map(Some).collect();
        let logs: Vec<_> = before.iter().flatten().map(|told| Arc::clone(told.ring.log())).collect();
        let kept = set.logs().iter().map(|log| {
            let same = |told: &&mut Option<Told>| {
                told.as_ref().is_some_and(|told| Arc::ptr_eq(told.ring.log(), log))
            };
            let ring = before.iter_mut().find(same).and_then(Option::take);
            ring.unwrap_or_else(|| Told::of(Ring::new(log, set.batches())))
        });
        self.rings = kept.collect();
        let former = std::mem::replace(&mut self.set, Arc::downgrade(set));
        let batches = former.upgrade().map_or(0, |former| former.batches());
        let rings = before.into_iter().zip(&logs);
        let rings = rings.map(|(ring, log)| ring.unwrap_or_else(|| Told::of(Ring::new(log, batches))));
        let rings = rings.collect();
        self.former.push(Self { rings, set: former, former: Vec::new(), homes: Vec::new(), lost: 0 });
    }

    /// The answers of a connection's turn have left at `at`: see [`Ring::leave_at`].
    #[inline]
    pub fn leave_at(&mut self, at: Tick) {
        self.rings.iter_mut().for_each(|told| told.ring.leave_at(at));
        self.former.iter_mut().for_each(|former| former.leave_at(at));
    }

    /// Takes back this turn's lines of answers that end behind `taken`: see [`Ring::take_back`].
    #[cold]
    pub(in crate::server) fn take_back(&mut self, taken: u64, doubts: &mut Vec<Doubt>) {
        let known = doubts.len();
        self.rings.iter_mut().for_each(|told| told.ring.take_back(taken, doubts));
        for doubt in &mut doubts[known..] {
            doubt.keep(self.set.upgrade());
        }
        self.former.iter_mut().for_each(|former| former.take_back(taken, doubts));
    }

    /// Writes a line that was taken back: see [`Ring::put`].
    #[cold]
    pub(in crate::server) fn put(&mut self, doubt: &Doubt, at: Tick, cut: Option<Cut>) {
        let former = self.former.iter_mut().flat_map(|former| &mut former.rings);
        let mut rings = self.rings.iter_mut().chain(former);
        match rings.find(|told| Arc::ptr_eq(told.ring.log(), doubt.log())) {
            Some(told) => told.ring.put(doubt, at, cut),
            None => {
                self.lost += 1;
                doubt.log().losses.add(1);
            }
        }
    }

    /// At a turn's end: see [`Ring::flush`]. When the next lines are due.
    #[inline]
    pub fn flush(&mut self, now: Tick) -> Option<Tick> {
        let due = self.rings.iter_mut().filter_map(|told| told.flush(now)).min();
        if self.former.is_empty() && self.homes.is_empty() {
            return due;
        }
        due.into_iter().chain(self.flush_former(now)).min()
    }

    /// How many lines were lost, in all logs.
    #[inline]
    pub fn dropped(&self) -> u64 {
        let own: u64 = self.rings.iter().map(|told| told.ring.dropped()).sum();
        own + self.lost
            + self.former.iter().map(Self::dropped).sum::<u64>()
            + self.homes.iter().map(|home| home.lost.get()).sum::<u64>()
    }

    /// The ring of the only log.
    #[cfg(test)]
    pub(super) fn only(mut self) -> Ring {
        let mut rings = Vec::from(std::mem::take(&mut self.rings));
        assert_eq!(rings.len(), 1, "one log");
        rings.swap_remove(0).ring
    }

    /// Whether nothing of former rings is left.
    #[cfg(test)]
    pub(super) const fn flush_is_over(&self) -> bool {
        self.former.is_empty() && self.homes.is_empty()
    }

    fn are_of(&self, set: &Arc<LogSet>) -> bool {
        self.set.as_ptr() == Arc::as_ptr(set)
    }

    /// The same for former rings. Whoever is not needed any more hands over its last lines and is gone.
    #[cold]
    fn flush_former(&mut self, now: Tick) -> Option<Tick> {
        let (needed, left) =
            std::mem::take(&mut self.former).into_iter().partition(|former| former.set.strong_count() > 0);
        self.former = needed;
        for former in left {
            self.leave(former);
        }
        let mut lost = 0;
        // A batch that is on its way keeps its home.
        self.homes.retain_mut(|home| match Arc::get_mut(home) {
            Some(home) => {
                lost += home.lost.get();
                false
            }
            None => true,
        });
        self.lost += lost;
        let due = self.former.iter_mut().filter_map(|former| former.flush(now)).min();
        // A batch whose writer is stuck wakes nobody: its home is looked for when there is a turn.
        let look = (!self.former.is_empty()).then(|| now.after(FORMER_LOOK));
        due.into_iter().chain(look).min()
    }

    fn leave(&mut self, mut former: Self) {
        for mut told in std::mem::take(&mut former.rings) {
            told.leave();
            self.homes.push(told.ring.home());
            self.lost += told.lines;
        }
    }
}

impl Told {
    const fn of(ring: Ring) -> Self {
        Self { ring, lines: 0 }
    }

    #[inline]
    fn flush(&mut self, now: Tick) -> Option<Tick> {
        self.tell();
        self.ring.flush(now)
    }

    /// Hands over all lines, and tells the rest.
    fn leave(&mut self) {
        self.ring.hand_over();
        self.tell();
    }

    #[inline]
    fn tell(&mut self) {
        let lost = self.ring.without_room();
        if lost != self.lines {
            self.ring.log().losses.add(lost - self.lines);
            self.lines = lost;
        }
    }
}

impl Drop for Rings {
    /// A worker that ends, or begins anew, has lost nothing that is not counted.
    fn drop(&mut self) {
        self.rings.iter_mut().for_each(Told::leave);
    }
}
