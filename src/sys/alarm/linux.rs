//! timerfd_create(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::sys::check;

#[derive(Debug)]
pub(super) struct Alarm(OwnedFd);

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let number =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        // SAFETY: the kernel has just opened this descriptor for nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(check(number)?) }))
    }

    pub(super) fn set(&self, after: Duration) -> io::Result<()> {
        // Zero would switch it off.
        let after = after.max(Duration::from_nanos(1));
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let time = libc::itimerspec {
            it_interval: never,
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: after.subsec_nanos().into(),
            },
        };
        // SAFETY: `time` outlives the call, and nobody asks for the old value.
        check(unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const time, ptr::null_mut()) })?;
        Ok(())
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings_within(alarm: &Alarm, millis: i32) -> bool {
        let mut poll = libc::pollfd { fd: alarm.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, which outlives the call.
        check(unsafe { libc::poll(&raw mut poll, 1, millis) }).unwrap() == 1
    }

    #[test]
    fn the_last_time_counts() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Duration::from_millis(1)).unwrap();
        alarm.set(Duration::from_secs(3600)).unwrap();
        assert!(!rings_within(&alarm, 30));
        alarm.set(Duration::ZERO).unwrap();
        assert!(rings_within(&alarm, 10_000));
        alarm.set(Duration::from_secs(3600)).unwrap();
        assert!(!rings_within(&alarm, 0));
    }
}
