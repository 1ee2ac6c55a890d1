//! [`Calm`]: how much useless work a peer may make. RFC 9113 §10.5.
//!
//! | what the peer does | costs |
//! | --- | --- |
//! | PING, SETTINGS, PRIORITY, PRIORITY_UPDATE, unknown frames | 1 |
//! | DATA without content that does not end its stream | 1 |
//! | a reset, in either direction, and a header block for a stream that we have reset | 1 |
//! | a stream beyond the limit | 1 |
//! | DATA for a stream that we have reset | nothing, as far as it may have been on its way; 1 beyond, or empty |
//! | WINDOW_UPDATE | 1 of another purse, which each DATA frame that is sent fills with 2 |
//!
//! Two purses that time fills again. Whoever empties one is told to calm down. Knows no clock: the time comes
//! with the turn.

use crate::base::Tick;

use super::limits::Limits;

/// What a peer has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calm {
    glitches: u16,
    updates: u16,
    /// The second in which the purses were filled last.
    filled_at: u32,
}

/// The peer makes more work than it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// How many updates of a window a DATA frame is worth: of its stream's, and of the connection's.
const UPDATES_PER_DATA: u16 = 2;

impl Calm {
    /// A peer that has done nothing yet.
    pub(super) const fn new(limits: &Limits) -> Self {
        Self { glitches: limits.glitches_max, updates: limits.glitches_max, filled_at: 0 }
    }

    /// Something of no use.
    #[inline]
    pub(super) fn glitch(&mut self) -> Result<(), TooMuch> {
        self.glitches = self.glitches.checked_sub(1).ok_or(TooMuch)?;
        Ok(())
    }

    /// A window has grown.
    #[inline]
    pub(super) fn update(&mut self) -> Result<(), TooMuch> {
        match self.updates.checked_sub(1) {
            Some(left) => self.updates = left,
            None => self.glitch()?,
        }
        Ok(())
    }

    /// A DATA frame was sent: updates of its windows are to be expected.
    #[inline]
    pub(super) fn sent_data(&mut self, limits: &Limits) {
        if self.updates < limits.glitches_max {
            self.updates = self.updates.saturating_add(UPDATES_PER_DATA);
        }
    }

    /// Gives back what the time since the last turn is worth.
    #[inline]
    pub(super) fn fill(&mut self, now: Tick, limits: &Limits) {
        let second = u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX);
        let seconds = second - self.filled_at.min(second);
        if seconds > 0 {
            let seconds = if self.filled_at == 0 { 0 } else { u16::try_from(seconds).unwrap_or(u16::MAX) };
            self.filled_at = second;
            let gift = limits.glitches_per_second.saturating_mul(seconds);
            self.glitches = self.glitches.saturating_add(gift).min(limits.glitches_max);
            self.updates = self.updates.saturating_add(gift).min(limits.glitches_max.max(self.updates));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_forgives_and_the_burst_is_bounded() {
        let limits = Limits { glitches_max: 3, glitches_per_second: 2, ..Limits::DEFAULT };
        let mut calm = Calm::new(&limits);
        let mut now = Tick::ZERO.after(Duration::from_secs(9));
        calm.fill(now, &limits);
        assert_eq!([(); 4].map(|()| calm.glitch()), [Ok(()), Ok(()), Ok(()), Err(TooMuch)]);
        now = now.after(Duration::from_millis(1_100));
        calm.fill(now, &limits);
        assert_eq!([(); 3].map(|()| calm.glitch()), [Ok(()), Ok(()), Err(TooMuch)]);
        calm.fill(now.after(Duration::from_secs(1_000_000)), &limits);
        assert_eq!([(); 4].map(|()| calm.glitch()), [Ok(()), Ok(()), Ok(()), Err(TooMuch)]);
    }

    #[test]
    fn updates_are_paid_by_data() {
        let limits = Limits { glitches_max: 2, ..Limits::DEFAULT };
        let mut calm = Calm::new(&limits);
        for _ in 0..100 {
            calm.sent_data(&limits);
            assert_eq!((calm.update(), calm.update()), (Ok(()), Ok(())));
        }
        // What was saved, and then what glitches may cost.
        let left = std::iter::from_fn(|| calm.update().ok()).count();
        assert!((2..=5).contains(&left), "{left}");
        assert_eq!(calm.glitch(), Err(TooMuch));
    }
}
