//! [`Complaints`]: what every request may bring about is said once, and then ever more rarely: a client that
//! asks on and on fills no log.
//!
//! ```text
//!  1, 2, 4, 8, 16 … times: said, with how often it was so far
//! ```
//! Whoever wants each of them has the reason in the access log. Knows no clock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often there was something to complain of.
#[derive(Debug, Default)]
pub(super) struct Complaints(AtomicU64);

/// What a complaint that is due says of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times(u64);

impl Complaints {
    /// Counts one more; something if it is to be said.
    pub(super) fn add(&self) -> Option<Times> {
        let times = self.0.fetch_add(1, Relaxed) + 1;
        times.is_power_of_two().then_some(Times(times))
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => Ok(()),
            times => write!(f, " (and such for {times} requests so far)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_become_rare() {
        let complaints = Complaints::default();
        let said: Vec<String> =
            (0..1_000).filter_map(|_| complaints.add()).map(|one| one.to_string()).collect();
        assert_eq!((said.len(), &*said[0], &*said[9]), (10, "", " (and such for 512 requests so far)"));
    }
}
