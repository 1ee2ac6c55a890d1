//! [`Sample`]: how many requests have a line; [`Sampler`]: which ones.
//!
//! Each request is drawn on its own, so that what comes in a rhythm is neither always chosen nor never.
//! Draws are cheap, and none is made where all or nothing is written. Guessing them gains nothing, so they
//! are not secret.

use std::hash::{BuildHasher, RandomState};

/// The first status that is an error.
const ERROR: u16 = 400;
/// A draw is below this.
const ALL: u64 = 1 << 32;

/// Parts of [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    ok: u64,
    error: u64,
}

/// Draws for one worker.
#[derive(Debug)]
pub(super) struct Sampler {
    sample: Sample,
    /// Never 0.
    state: u64,
}

impl Sample {
    /// Every request.
    pub(super) const ALL: Self = Self { ok: ALL, error: ALL };

    /// Of those answered with less than 400, and of the others: from 0.0, none, to 1.0, all.
    pub(super) fn new(ok: f64, error: f64) -> Self {
        Self { ok: part(ok), error: part(error) }
    }
}

impl Sampler {
    pub(super) fn new(sample: Sample) -> Self {
        Self { sample, state: RandomState::new().hash_one(0) | 1 }
    }

    /// Whether a request that is answered with `status` has a line.
    #[inline]
    pub(super) fn takes(&mut self, status: u16) -> bool {
        let part = if status < ERROR { self.sample.ok } else { self.sample.error };
        part == ALL || (part > 0 && self.draw() < part)
    }

    /// Marsaglia's xorshift64*: its upper half.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }
}

/// What is more than nothing is never rounded to it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 2^32")]
fn part(fraction: f64) -> u64 {
    (fraction.clamp(0.0, 1.0) * ALL as f64).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(ok: f64, error: f64, status: u16) -> u32 {
        let mut sampler = Sampler::new(Sample::new(ok, error));
        (0..100_000).map(|_| u32::from(sampler.takes(status))).sum()
    }

    #[test]
    fn a_tenth_is_about_a_tenth() {
        for (ok, error, status) in [(0.1, 1.0, 200), (0.1, 0.0, 399), (1.0, 0.1, 400), (0.0, 0.1, 503)] {
            let taken = taken(ok, error, status);
            assert!((9_000..11_000).contains(&taken), "{status}: {taken}");
        }
    }

    #[test]
    fn all_is_all_and_nothing_is_nothing() {
        for (fraction, expected) in [(1.0, 100_000), (2.0, 100_000), (0.0, 0), (-1.0, 0), (f64::NAN, 0)] {
            assert_eq!(taken(fraction, 0.5, 200), expected, "{fraction}");
            assert_eq!(taken(0.5, fraction, 500), expected, "{fraction}");
        }
        assert_eq!(Sample::new(1.0, 1.0), Sample::ALL);
        assert_eq!(part(f64::MIN_POSITIVE), 1, "more than nothing");
    }

    #[test]
    fn two_workers_draw_apart() {
        let sample = Sample::new(0.5, 0.5);
        let (mut one, mut other) = (Sampler::new(sample), Sampler::new(sample));
        assert!((0..1_000).any(|_| one.takes(200) != other.takes(200)));
    }
}
