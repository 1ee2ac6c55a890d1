//! [`Histogram`]: how long something took, how often; [`Spread`]: the same summed over workers.
//!
//! ```text
//!   ≤ 1 µs │ ≤ 2.5 µs │ ≤ 5 µs │ …      │ ≤ 10 s │ more
//!  ────────┴──────────┴────────┴────────┴────────┴──────    each in one bucket
//! ```
//! The bounds are the same for everything that is measured. Knows no clock.

use std::time::Duration;

use super::{Counter, Row};

/// A histogram of durations with fixed bounds.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: Row<Counter, { Self::BUCKETS }>,
    nanos: Counter,
}

/// The sum of histograms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many were so long, by bucket.
    pub counts: Row<u64, { Histogram::BUCKETS }>,
    /// How long all of them took together.
    pub sum: Duration,
}

impl Histogram {
    /// The upper bounds of all buckets but the last, which has none; in nanoseconds, inclusive.
    pub const BOUNDS_NANOS: [u64; 16] = [
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        10_000_000,
        50_000_000,
        250_000_000,
        1_000_000_000,
        10_000_000_000,
    ];
    /// How many buckets there are.
    pub const BUCKETS: usize = Self::BOUNDS_NANOS.len() + 1;

    /// Counts one duration.
    #[inline]
    pub fn record(&self, nanos: u64) {
        self.record_all(1, nanos);
    }

    /// Counts `times` of the same duration.
    #[inline]
    pub fn record_all(&self, times: u64, nanos: u64) {
        // Most durations belong into the first buckets: a search from the left is the shortest.
        let bucket = Self::BOUNDS_NANOS.iter().position(|bound| nanos <= *bound);
        self.counts[bucket.unwrap_or(Self::BOUNDS_NANOS.len())].add(times);
        self.nanos.add(nanos * times);
    }
}

impl Spread {
    /// With those of `histogram`.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        super::add_row(&mut self.counts, &histogram.counts, Counter::get);
        self.sum += Duration::from_nanos(histogram.nanos.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_bucket_below_whose_bound_it_lies() {
        let histogram = Histogram::default();
        let bounds = Histogram::BOUNDS_NANOS;
        assert!(bounds.is_sorted());
        for bound in bounds {
            histogram.record(bound);
        }
        histogram.record_all(3, bounds[bounds.len() - 1] + 1);
        histogram.record(0);
        let mut sum = Spread::default();
        sum.add(&histogram);
        sum.add(&Histogram::default());
        assert_eq!((sum.counts[0], sum.counts[1], sum.counts[Histogram::BUCKETS - 1]), (2, 1, 3));
        let nanos = bounds.iter().sum::<u64>() + 3 * (bounds[bounds.len() - 1] + 1);
        assert_eq!(sum.sum, Duration::from_nanos(nanos));
    }
}
