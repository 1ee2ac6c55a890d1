//! [`RateCounts`]: how often a rate let a request pass, held it back, or refused it.
//!
//! ```text
//!  worker 0 ─► stripe 0 ─┐
//!  worker 1 ─► stripe 1 ─┼─► sums, for whoever looks
//! ```
//! Each worker counts on a cache line of its own. Any thread may count anywhere: a rate may be shared by
//! several servers. Knows no name.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a rate did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RateVerdict {
    /// It went on.
    Passed,
    /// It went on after a while.
    Delayed,
    /// It did not go on.
    Refused,
    /// It went on, since this is a dry run, and would not have.
    WouldRefuse,
}

/// How often each [`RateVerdict`] was given.
///
/// ```
/// use kolk::app::{RateCounts, RateVerdict};
///
/// let counts = RateCounts::new(2);
/// counts.note(0, RateVerdict::Passed);
/// counts.note(1, RateVerdict::Passed);
/// assert_eq!(counts.sum(RateVerdict::Passed), 2);
/// ```
#[derive(Debug)]
pub struct RateCounts(Box<[Stripe]>);

/// Neither on another's cache line, nor on the one that the prefetcher takes along.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; RateVerdict::ALL.len()]);

impl RateVerdict {
    /// All of them, in the order of their discriminants.
    pub const ALL: &'static [Self] = &[Self::Passed, Self::Delayed, Self::Refused, Self::WouldRefuse];

    /// The label in metrics: never reused for another meaning.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Delayed => "delayed",
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
        }
    }

    /// Its place in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl RateCounts {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Stripe::default()).collect())
    }

    /// Counts what became of a request that `worker` serves.
    #[inline]
    pub fn note(&self, worker: usize, verdict: RateVerdict) {
        let Stripe(counts) = &self.0[worker % self.0.len()];
        counts[verdict.index()].fetch_add(1, Relaxed);
    }

    /// How often that was so.
    pub fn sum(&self, verdict: RateVerdict) -> u64 {
        self.0.iter().map(|Stripe(counts)| counts[verdict.index()].load(Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_is_counted_by_itself_whoever_counts() {
        let counts = RateCounts::new(2);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let counts = &counts;
                scope.spawn(move || {
                    for (times, verdict) in (1_usize..).zip(RateVerdict::ALL) {
                        (0..times * 1_000).for_each(|_| counts.note(worker, *verdict));
                    }
                });
            }
        });
        let sums = RateVerdict::ALL.iter().map(|verdict| counts.sum(*verdict)).collect::<Vec<_>>();
        assert_eq!(sums, [4_000, 8_000, 12_000, 16_000]);
        assert!(RateVerdict::ALL.iter().enumerate().all(|(place, verdict)| verdict.index() == place));
    }
}
