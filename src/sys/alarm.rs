//! An alarm: a descriptor that becomes readable after a while, so that a poll need not watch the time.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

#[cfg_attr(all(target_os = "linux", not(mio_unsupported_force_poll_poll)), path = "alarm/linux.rs")]
#[cfg_attr(not(all(target_os = "linux", not(mio_unsupported_force_poll_poll))), path = "alarm/fallback.rs")]
mod system;

/// A timer that is a descriptor. For a poll that reports edges: each ring is one, and nothing is read.
#[derive(Debug)]
pub struct Alarm(system::Alarm);

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// `Unsupported` where the system has none, or where its poll watches the time for nothing;
    /// whatever timerfd_create(2) reports.
    pub fn new() -> io::Result<Self> {
        system::Alarm::new().map(Self)
    }

    /// Rings once `after` has passed, and no more at the time that was set before.
    ///
    /// # Errors
    /// Whatever timerfd_settime(2) reports.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        self.0.set(after)
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
