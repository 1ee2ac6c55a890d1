//! Welch's t of two [`Sample`]s, the slowest part of them left out. Knows no clock.

use super::dice::Dice;

/// From here on two samples differ.
pub(crate) const T_MAX: f64 = 4.5;
/// Interruptions say nothing, and hide what does: so much of both samples together is kept, in per cent.
const KEPT: [usize; 3] = [50, 90, 99];

/// Nanoseconds, in order.
pub(crate) struct Sample(Vec<u32>);

impl Sample {
    pub(crate) fn new(mut nanos: Vec<u32>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    pub(crate) fn median(&self) -> u32 {
        self.0[self.0.len() / 2]
    }

    /// The mean of those up to `limit`, and the square of its standard error.
    fn below(&self, limit: u32) -> (f64, f64) {
        let kept = &self.0[..self.0.partition_point(|nanos| *nanos <= limit)];
        let count = kept.iter().fold(0.0, |count, _| count + 1.0);
        let mean = kept.iter().map(|nanos| f64::from(*nanos)).sum::<f64>() / count;
        let squares = kept.iter().map(|nanos| (f64::from(*nanos) - mean).powi(2)).sum::<f64>();
        (mean, squares / (count - 1.0) / count)
    }
}

/// The t that is farthest from zero.
pub(crate) fn worst_t(one: &Sample, other: &Sample) -> f64 {
    let mut both = [&one.0[..], &other.0[..]].concat();
    both.sort_unstable();
    let values = KEPT.map(|per_cent| {
        let limit = both[both.len() * per_cent / 100];
        let ((mean, error), (other_mean, other_error)) = (one.below(limit), other.below(limit));
        let t = (mean - other_mean) / (error + other_error).sqrt();
        // One of them is left out nearly whole.
        if t.is_nan() { f64::INFINITY } else { t }
    });
    values.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default()
}

#[test]
fn a_difference_is_found_and_nothing_else() {
    let mut dice = Dice::new(7);
    let mut sample = |slower: u64| {
        // With a tail, as clocks have it.
        let nanos = |dice: &mut Dice| 500 + slower + dice.below(100) + dice.below(1_000) / 990 * 50_000;
        Sample::new((0..10_000).map(|_| u32::try_from(nanos(&mut dice)).unwrap()).collect())
    };
    let [same, equal, slower] = [0, 0, 4].map(&mut sample);
    assert!(worst_t(&same, &equal).abs() < T_MAX, "{}", worst_t(&same, &equal));
    assert!(worst_t(&slower, &equal) > T_MAX, "{}", worst_t(&slower, &equal));
    assert!(worst_t(&equal, &slower) < -T_MAX);
    let far = Sample::new(vec![9_000; 10_000]);
    assert!(worst_t(&far, &equal) > 100.0);
}
