//! The time: the only place that reads a clock. Everything above is given a reading.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{check, count};

#[cfg_attr(all(target_arch = "x86_64", not(miri)), path = "clock/cycles.rs")]
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), path = "clock/fallback.rs")]
mod stopwatch;

/// Nanoseconds since the first call in this process. Never runs backwards; all threads agree.
#[inline]
pub fn now_nanos() -> u64 {
    monotonic::now_nanos()
}

/// The same to within the scheduler's tick, some milliseconds late, for a fifth of the price: it never runs
/// ahead of [`now_nanos`]. Where there is no such clock, the exact one.
#[inline]
pub fn coarse_nanos() -> u64 {
    monotonic::coarse_nanos()
}

/// The same, usually to within a microsecond and never more than a millisecond off, for a third of the price
/// where the processor helps: for whoever asks several times for each request. Never runs backwards for the
/// thread that asks.
#[inline]
pub fn stopwatch_nanos() -> u64 {
    stopwatch::now_nanos()
}

#[cfg(target_os = "linux")]
mod monotonic {
    use std::sync::OnceLock;

    static BEGINNING: OnceLock<u64> = OnceLock::new();

    #[inline]
    pub(super) fn now_nanos() -> u64 {
        since_beginning(read(libc::CLOCK_MONOTONIC))
    }

    #[inline]
    pub(super) fn coarse_nanos() -> u64 {
        since_beginning(read(libc::CLOCK_MONOTONIC_COARSE))
    }

    #[inline]
    fn since_beginning(now: u64) -> u64 {
        now.saturating_sub(*BEGINNING.get_or_init(|| read(libc::CLOCK_MONOTONIC)))
    }

    #[inline]
    fn read(clock: libc::clockid_t) -> u64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is writable. Both clocks exist on every Linux, so the call cannot fail.
        unsafe { libc::clock_gettime(clock, &raw mut now) };
        super::count(now.tv_sec) * 1_000_000_000 + super::count(now.tv_nsec)
    }
}

#[cfg(not(target_os = "linux"))]
mod monotonic {
    use std::sync::OnceLock;
    use std::time::Instant;

    static BEGINNING: OnceLock<Instant> = OnceLock::new();

    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn now_nanos() -> u64 {
        let now = Instant::now();
        let since = now.saturating_duration_since(*BEGINNING.get_or_init(|| now));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    #[inline]
    pub(super) fn coarse_nanos() -> u64 {
        now_nanos()
    }
}

/// The calendar time, which an administrator may set back.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_time() -> SystemTime {
    SystemTime::now()
}

/// Whole seconds since 1970-01-01 00:00:00 UTC; 0 before that.
#[inline]
pub fn unix_seconds() -> u64 {
    unix_time().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What `CLOCK_MONOTONIC` reads, for whoever compares it with readings of other processes.
///
/// # Errors
/// The system has no such clock.
pub fn monotonic() -> io::Result<Duration> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that outlives the call.
    check(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) })?;
    Ok(Duration::from_secs(count(now.tv_sec)) + Duration::from_nanos(count(now.tv_nsec)))
}

/// Nanoseconds of CPU time that the calling thread has used, in user space and in the kernel.
///
/// # Errors
/// `Unsupported` where the system keeps no such clock.
#[cfg(not(target_os = "netbsd"))]
pub fn thread_cpu_nanos() -> io::Result<u64> {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `used` is a timespec that outlives the call.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut used) })?;
    Ok(count(used.tv_sec) * 1_000_000_000 + count(used.tv_nsec))
}

/// Nanoseconds of CPU time that the calling thread has used.
///
/// # Errors
/// `Unsupported`: this system keeps no such clock.
#[cfg(target_os = "netbsd")]
pub fn thread_cpu_nanos() -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_and_all_threads_agree() {
        let before = now_nanos();
        let elsewhere = std::thread::spawn(now_nanos).join().unwrap();
        assert!(before <= elsewhere && elsewhere <= now_nanos());
    }

    #[test]
    fn the_stopwatch_goes_with_the_clock() {
        let (mut before, mut reading) = (now_nanos(), 0);
        let until = before + 100_000_000;
        while before < until {
            let next = stopwatch_nanos();
            let after = now_nanos();
            assert!(reading <= next, "{next} behind {reading}");
            assert!(before <= next + 50_000 && next <= after + 50_000, "{next} not in {before}..{after}");
            (before, reading) = (now_nanos(), next);
        }
    }

    #[test]
    fn the_calendar_is_past_the_year_2024() {
        assert!(unix_seconds() > 1_704_067_200);
    }

    #[test]
    fn work_uses_cpu_time() {
        let before = thread_cpu_nanos().unwrap();
        while thread_cpu_nanos().unwrap() < before + 1_000_000 {}
    }
}
