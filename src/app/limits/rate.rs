//! [`Rate`]: the generic cell rate algorithm (ITU-T I.371), the arithmetic of one key.
//!
//! ```text
//!              now               tat
//!   ───────────┼──────────────────┼──────────► time    each admitted request moves `tat` one interval on
//!              │◄── what is due ─►│                    none is admitted while more than the burst is due
//! ```
//! One number is kept for a key: the moment `tat` at which its budget is whole again. Admitted is exactly
//! what a queue would take that has room for `burst` and serves one request an interval. Whole numbers only:
//! a sixteenth of a nanosecond is the unit, and what does not divide is rounded against the client. Knows no
//! clock and no table.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::base::Tick;

/// So many units make a nanosecond; 64 bits of them last 36 years.
const UNITS_PER_NANO: u64 = 16;
/// The longest time that a quota or a whole burst may stand for.
const PER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    requests: u32,
    per: Duration,
}

/// What one key may have, and what happens beyond.
///
/// ```
/// use kolk::app::{Quota, Rate};
/// use std::time::Duration;
///
/// let rate = Rate::new(Quota::per_second(10)?, 20)?;
/// let patient = rate.delaying(Duration::from_secs(2));
/// assert_eq!((rate.burst(), patient.quota().requests()), (20, 10));
/// # Ok::<(), kolk::app::RateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    quota: Quota,
    burst: u32,
    mode: Mode,
    dry_run: bool,
    /// How long one request is paid for, in units.
    interval: u64,
    /// How much may be due when a request comes, in units: the burst but for itself.
    tolerance: u64,
}

/// What happens to a request beyond the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Refuse,
    /// It waits until it is within the rate, if that is no longer than this; else it is refused.
    Delay(Duration),
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// It goes on.
    Admitted {
        /// So many more could follow at once.
        remaining: u32,
        /// Until the budget is whole again.
        reset: Duration,
    },
    /// It goes on after this time.
    Delayed {
        /// So long it has to wait.
        wait: Duration,
        /// Until the budget is whole again.
        reset: Duration,
    },
    /// It does not go on, and has cost nothing.
    Refused {
        /// After this time one would be taken.
        retry_after: Duration,
        /// Until the budget is whole again.
        reset: Duration,
    },
}

/// Why there is no such rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateError {
    /// A quota of no requests, or a burst of none.
    Nothing,
    /// No time, or so little that a nanosecond would have to be divided.
    TooFast,
    /// The quota's time, or that of the whole burst, is longer than a year.
    TooLong,
    /// The name of a policy is not 1 to 64 letters, digits, `_`, `-` and `.`.
    Name,
}

impl Quota {
    /// `requests` in each `per`.
    ///
    /// # Errors
    /// [`RateError`], if it is no time, no request, or out of all proportion.
    pub fn new(requests: u32, per: Duration) -> Result<Self, RateError> {
        match per {
            _ if requests == 0 => Err(RateError::Nothing),
            per if per.as_nanos() < u128::from(requests) => Err(RateError::TooFast),
            per if per > PER_MAX => Err(RateError::TooLong),
            per => Ok(Self { requests, per }),
        }
    }

    /// So many a second.
    ///
    /// # Errors
    /// As [`Quota::new`].
    pub fn per_second(requests: u32) -> Result<Self, RateError> {
        Self::new(requests, Duration::from_secs(1))
    }

    /// So many a minute.
    ///
    /// # Errors
    /// As [`Quota::new`].
    pub fn per_minute(requests: u32) -> Result<Self, RateError> {
        Self::new(requests, Duration::from_secs(60))
    }

    /// How many requests.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// In how much time.
    pub const fn per(&self) -> Duration {
        self.per
    }
}

impl Rate {
    /// `quota` in the long run, `burst` at once; beyond that requests are refused.
    ///
    /// # Errors
    /// [`RateError::Nothing`] for a burst of none, [`RateError::TooLong`] if it takes more than a year to pay
    /// for.
    pub fn new(quota: Quota, burst: u32) -> Result<Self, RateError> {
        let units = units(quota.per);
        let interval = units.div_ceil(u64::from(quota.requests));
        let tolerance = u64::from(burst).checked_sub(1).ok_or(RateError::Nothing)?.checked_mul(interval);
        let tolerance = tolerance.filter(|due| *due <= self::units(PER_MAX)).ok_or(RateError::TooLong)?;
        Ok(Self { quota, burst, mode: Mode::Refuse, dry_run: false, interval, tolerance })
    }

    /// The same, but a request beyond it waits if that takes no longer than `delay_max`.
    #[must_use]
    pub fn delaying(self, delay_max: Duration) -> Self {
        Self { mode: Mode::Delay(delay_max.min(PER_MAX)), ..self }
    }

    /// The same, but it is only found out what would happen: whoever asks lets the request go on.
    #[must_use]
    pub const fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// What there is in the long run.
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// How many requests may come at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// What happens beyond it.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether requests go on whatever is decided.
    pub const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// How many more requests would be taken at `now` whose budget is whole again at `tat`, and how long it
    /// is until then. In units.
    pub(super) fn left(&self, tat: u64, now: u64) -> (u32, Duration) {
        let due = tat.saturating_sub(now);
        let more = self.tolerance.checked_sub(due).map_or(0, |left| left / self.interval + 1);
        (u32::try_from(more).unwrap_or(u32::MAX), duration(due))
    }

    /// What a request gets at `now` whose budget is whole again at `tat`, which moves on if it is taken.
    /// Both in units.
    #[inline]
    pub(super) fn decide(&self, tat: &mut u64, now: u64) -> Decision {
        let due = tat.saturating_sub(now);
        if due <= self.tolerance {
            *tat = now.max(*tat).saturating_add(self.interval);
            let left = self.tolerance - due;
            let remaining = u32::try_from(left / self.interval).unwrap_or(u32::MAX);
            return Decision::Admitted { remaining, reset: duration(due + self.interval) };
        }
        let early = due - self.tolerance;
        match self.mode {
            Mode::Delay(longest) if early <= units(longest) => {
                *tat = tat.saturating_add(self.interval);
                Decision::Delayed { wait: duration(early), reset: duration(due + self.interval) }
            }
            Mode::Delay(longest) => {
                let retry_after = duration(early - units(longest));
                Decision::Refused { retry_after, reset: duration(due) }
            }
            Mode::Refuse => Decision::Refused { retry_after: duration(early), reset: duration(due) },
        }
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "a rate of nothing: at least one request must be allowed",
            Self::TooFast => "more than one request a nanosecond",
            Self::TooLong => "a rate is counted over at most a year",
            Self::Name => "a name has 1 to 64 letters, digits, `_`, `-` and `.`",
        })
    }
}

impl Error for RateError {}

/// A moment in units.
#[inline]
pub(super) const fn moment(tick: Tick) -> u64 {
    tick.as_nanos().saturating_mul(UNITS_PER_NANO)
}

/// A time in units.
#[inline]
fn units(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(UNITS_PER_NANO)
}

/// Units as a time, rounded up.
#[inline]
const fn duration(units: u64) -> Duration {
    Duration::from_nanos(units.div_ceil(UNITS_PER_NANO))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000 * UNITS_PER_NANO;

    fn rate(requests: u32, per_millis: u64, burst: u32) -> Rate {
        Rate::new(Quota::new(requests, Duration::from_millis(per_millis)).unwrap(), burst).unwrap()
    }

    #[test]
    fn three_at_once_and_then_one_a_second() {
        let rate = rate(1, 1_000, 3);
        let mut tat = 0;
        let mut at = |millis: u64| rate.decide(&mut tat, 10 * SECOND + millis * SECOND / 1_000);
        let seconds = Duration::from_secs;
        assert_eq!(at(0), Decision::Admitted { remaining: 2, reset: seconds(1) });
        assert_eq!(at(0), Decision::Admitted { remaining: 1, reset: seconds(2) });
        assert_eq!(at(0), Decision::Admitted { remaining: 0, reset: seconds(3) });
        assert_eq!(at(0), Decision::Refused { retry_after: seconds(1), reset: seconds(3) });
        let (retry_after, reset) = (Duration::from_millis(1), Duration::from_millis(2_001));
        assert_eq!(at(999), Decision::Refused { retry_after, reset });
        assert_eq!(at(1_000), Decision::Admitted { remaining: 0, reset: seconds(3) });
        assert_eq!(at(60_000), Decision::Admitted { remaining: 2, reset: seconds(1) });
    }

    #[test]
    fn who_is_early_waits_and_who_is_too_early_is_refused() {
        let rate = rate(1, 1_000, 1).delaying(Duration::from_secs(2));
        let mut tat = 0;
        let mut next = || rate.decide(&mut tat, SECOND);
        let seconds = Duration::from_secs;
        assert_eq!(next(), Decision::Admitted { remaining: 0, reset: seconds(1) });
        assert_eq!(next(), Decision::Delayed { wait: seconds(1), reset: seconds(2) });
        assert_eq!(next(), Decision::Delayed { wait: seconds(2), reset: seconds(3) });
        assert_eq!(next(), Decision::Refused { retry_after: seconds(1), reset: seconds(3) });
        assert_eq!(
            rate.decide(&mut tat, 2 * SECOND),
            Decision::Delayed { wait: seconds(2), reset: seconds(3) }
        );
    }

    #[test]
    fn a_clock_that_stands_still_or_lags_breaks_nothing() {
        let rate = rate(1, 1_000, 1);
        let mut tat = 0;
        let _ = rate.decide(&mut tat, 100 * SECOND);
        let wait = Duration::from_secs(51);
        let lagging = rate.decide(&mut tat, 50 * SECOND);
        assert_eq!(lagging, Decision::Refused { retry_after: wait, reset: wait });
        let _ = rate.decide(&mut tat, u64::MAX);
        assert!(
            matches!(rate.decide(&mut tat, u64::MAX), Decision::Admitted { .. }),
            "it ends, and not in a panic"
        );
    }

    #[test]
    fn rates_out_of_proportion_do_not_exist() {
        let quota = |requests, nanos| Quota::new(requests, Duration::from_nanos(nanos));
        assert_eq!(quota(0, 1_000), Err(RateError::Nothing));
        assert_eq!(quota(2, 1), Err(RateError::TooFast));
        assert_eq!(Quota::new(1, Duration::MAX), Err(RateError::TooLong));
        let hourly = Quota::new(1, Duration::from_secs(3_600)).unwrap();
        assert_eq!(Rate::new(hourly, 0), Err(RateError::Nothing));
        assert_eq!(Rate::new(hourly, u32::MAX), Err(RateError::TooLong));
        assert!(Rate::new(Quota::per_second(u32::from(u16::MAX)).unwrap(), u32::MAX).is_ok());
    }

    /// A queue with room for `burst` that serves one request an interval, kept request by request.
    struct Queue {
        departures: VecDeque<u64>,
        last: u64,
    }

    impl Queue {
        fn takes(&mut self, rate: &Rate, now: u64) -> bool {
            while self.departures.front().is_some_and(|departure| *departure <= now) {
                self.departures.pop_front();
            }
            let takes = self.departures.len() < rate.burst as usize;
            if takes {
                self.last = self.last.max(now) + rate.interval;
                self.departures.push_back(self.last);
            }
            takes
        }
    }

    fn waits() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 0_u64..3_000_000, 0_u64..2_000_000_000]
    }

    fn takes_it(decision: Decision) -> bool {
        matches!(decision, Decision::Admitted { .. })
    }

    proptest! {
        #[test]
        fn exactly_what_a_queue_would_take(
            (requests, per_millis, burst) in (1_u32..50, 1_u64..2_000, 1_u32..30),
            waits in prop::collection::vec(waits(), 1..300),
        ) {
            let rate = rate(requests, per_millis, burst);
            let mut queue = Queue { departures: VecDeque::new(), last: 0 };
            let (mut tat, mut now) = (0, SECOND);
            for wait in waits {
                now += wait * UNITS_PER_NANO;
                let decision = rate.decide(&mut tat, now);
                let takes = queue.takes(&rate, now);
                prop_assert_eq!(takes_it(decision), takes);
                let (left, whole) = rate.left(tat, now);
                prop_assert_eq!(left as usize, burst as usize - queue.departures.len());
                let reset = match decision {
                    Decision::Admitted { reset, .. } | Decision::Refused { reset, .. } => reset,
                    Decision::Delayed { .. } => unreachable!(),
                };
                prop_assert_eq!(whole, reset);
                match decision {
                    Decision::Admitted { remaining, .. } => {
                        prop_assert_eq!(remaining as usize, burst as usize - queue.departures.len());
                    }
                    // Who waits as long as it is told is taken.
                    Decision::Refused { retry_after, .. } => {
                        let mut later = tat;
                        let then = now + units(retry_after);
                        prop_assert!(takes_it(rate.decide(&mut later, then)));
                        let mut sooner = tat;
                        let before = then - 2 * UNITS_PER_NANO;
                        prop_assert!(!takes_it(rate.decide(&mut sooner, before)));
                    }
                    Decision::Delayed { .. } => unreachable!(),
                }
            }
        }
    }
}
