//! [`Patience`]: how a poll learns that a moment has come.
//!
//! ```text
//!  soon   the poll's own timeout
//!  later  an alarm among the poll's events; the poll itself has no timeout
//! ```
//! On Linux each epoll_wait(2) with a timeout reads the kernel's clock twice before it looks at anything:
//! 60 ns of a turn. The deadlines of a busy server are far away and move further all the time, so an alarm
//! is set once and then left alone until it rings. Invariant: `rings_at` is never later than the alarm.

use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::token;
use crate::base::Tick;
use crate::sys::alarm::Alarm;

/// What comes sooner than this is not worth a call that sets an alarm.
const SOON: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Patience {
    /// None where the system has none.
    alarm: Option<Alarm>,
    rings_at: Tick,
}

impl Patience {
    /// The patience of a poll with this registry.
    pub(super) fn new(registry: &Registry) -> Self {
        let alarm = Alarm::new().ok().filter(|alarm| {
            registry.register(&mut SourceFd(&alarm.as_raw_fd()), token::ALARM, Interest::READABLE).is_ok()
        });
        Self { alarm, rings_at: Tick::NEVER }
    }

    /// The timeout of a poll that begins `now` and must end at `until`, or before.
    #[inline]
    pub(super) fn timeout(&mut self, now: Tick, until: Tick) -> Option<Duration> {
        if until == Tick::NEVER {
            return None;
        }
        let wait = until.since(now);
        if wait >= SOON && (self.rings_at <= until || self.set(wait, until)) { None } else { Some(wait) }
    }

    /// The alarm has rung.
    pub(super) const fn rung(&mut self) {
        self.rings_at = Tick::NEVER;
    }

    #[cold]
    fn set(&mut self, wait: Duration, until: Tick) -> bool {
        let is_set = self.alarm.as_ref().is_some_and(|alarm| alarm.set(wait).is_ok());
        if is_set {
            self.rings_at = until;
        }
        is_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_set_once_for_what_is_far_away() {
        let poll = mio::Poll::new().unwrap();
        let mut patience = Patience::new(poll.registry());
        let has_alarm = patience.alarm.is_some();
        let at = Tick::from_millis;
        let later = |wait| if has_alarm { None } else { Some(Duration::from_millis(wait)) };
        assert_eq!(patience.timeout(at(0), Tick::NEVER), None);
        assert_eq!(patience.timeout(at(5), at(3)), Some(Duration::ZERO));
        assert_eq!(patience.timeout(at(0), at(49)), Some(Duration::from_millis(49)));
        assert_eq!(patience.timeout(at(0), at(60_000)), later(60_000));
        assert_eq!(patience.timeout(at(1), at(70_000)), later(69_999), "it rings before that");
        assert_eq!(patience.rings_at, if has_alarm { at(60_000) } else { Tick::NEVER });
        assert_eq!(patience.timeout(at(2), at(50_002)), later(50_000), "it would ring too late");
        assert_eq!(patience.rings_at, if has_alarm { at(50_002) } else { Tick::NEVER });
        patience.rung();
        assert_eq!(patience.timeout(at(50_002), at(60_002)), later(10_000));
        assert_eq!(patience.timeout(at(60_000), at(60_002)), Some(Duration::from_millis(2)));
    }
}
