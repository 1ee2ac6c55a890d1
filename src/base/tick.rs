//! [`Tick`]: a moment on the worker's clock, and the arithmetic of deadlines.
//!
//! Time is an argument everywhere above `sys`: the loop reads the clock once a turn and passes the
//! reading down. A `Tick` knows no clock and no calendar.

use std::time::Duration;

/// A moment: nanoseconds since the process's clock began. Never runs backwards; ends after 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// Later than every deadline: "never".
    pub const NEVER: Self = Self(u64::MAX);
    /// When the clock began.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after the clock began.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `millis` milliseconds after the clock began; saturates at [`Tick::NEVER`].
    #[inline]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock began.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `wait` after this one; saturates at [`Tick::NEVER`].
    #[inline]
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero if it is not.
    #[inline]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Tick::from_millis(1_000);
        assert_eq!(second.after(Duration::from_millis(500)), Tick::from_millis(1_500));
        assert_eq!(Tick::NEVER.after(Duration::from_secs(1)), Tick::NEVER);
        assert_eq!(second.after(Duration::MAX), Tick::NEVER);
        assert_eq!(second.since(Tick::ZERO), Duration::from_secs(1));
        assert_eq!(Tick::ZERO.since(second), Duration::ZERO);
    }
}
