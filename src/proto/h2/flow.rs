//! FLOW CONTROL: how much either side may send. RFC 9113 §5.2, §6.9.
//!
//! ```text
//!  SendWindow      WINDOW_UPDATE ──► grows      our DATA ──► shrinks      SETTINGS ──► moves, below 0 too
//!
//!  ReceiveWindow   ┌──── left ────┬─ taken, not used ─┬─ credit ─┐
//!                  └──────────────┴───────────────────┴──────────┘ size
//!                   peer's DATA ──►        use ──►       half of the size: WINDOW_UPDATE
//! ```
//! A receive window that is used up and given back whole doubles, up to its largest size: who sends much is
//! not held up by the length of the way.

use super::error::Broken;
use crate::http::Reason;

/// The largest window: RFC 9113 §6.9.1.
const WINDOW_BYTES_MAX: i64 = i32::MAX as i64;

/// How much we may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SendWindow(i32);

impl SendWindow {
    pub(super) const fn new(bytes: u32) -> Self {
        Self(if bytes > i32::MAX as u32 { i32::MAX } else { bytes.cast_signed() })
    }

    /// How many bytes may be sent.
    #[inline]
    pub(super) const fn left(self) -> usize {
        if self.0 > 0 { self.0.cast_unsigned() as usize } else { 0 }
    }

    /// So many bytes were sent.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.left());
        self.0 -= i32::try_from(bytes).unwrap_or(0);
    }

    /// Grows, or shrinks where SETTINGS took something back; an error where it would be too large.
    #[inline]
    pub(super) fn grow(&mut self, bytes: i64) -> Result<(), Reason> {
        let grown = i64::from(self.0) + bytes;
        if grown > WINDOW_BYTES_MAX {
            return Err(Reason::H2WindowOverflow);
        }
        // Settings are at most 2^31 - 1, and so is what was sent: the difference fits.
        self.0 = i32::try_from(grown).unwrap_or(i32::MIN);
        Ok(())
    }
}

/// How much the peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiveWindow {
    size: u32,
    /// Below zero where the peer sent more before it knew that the window is smaller.
    left: i32,
    /// Used, and not yet given back.
    credit: u32,
}

impl ReceiveWindow {
    pub(super) const fn new(bytes: u32) -> Self {
        Self { size: bytes, left: bytes.cast_signed(), credit: 0 }
    }

    /// The peer has sent so many bytes.
    #[inline]
    pub(super) fn take(&mut self, bytes: u32) -> Result<(), Broken> {
        // Frames are far shorter than 2^31.
        let left = self.left - bytes.cast_signed();
        if bytes > 0 && left < 0 {
            return Err(Broken::Connection(Reason::H2WindowExceeded));
        }
        self.left = left;
        Ok(())
    }

    /// The peer knows from now on that the window is so much smaller.
    pub(super) fn shrink(&mut self, bytes: u32) {
        self.size -= bytes;
        self.left -= bytes.cast_signed();
    }

    /// So many of them were used: what the peer is to be told now, if anything.
    #[inline]
    pub(super) fn give(&mut self, bytes: u32, size_max: u32) -> Option<u32> {
        self.keep(bytes);
        if self.credit < self.size.div_ceil(2) {
            return None;
        }
        // The peer has sent half of it since the last time: it can use more.
        let more = self.size.min(size_max.saturating_sub(self.size));
        self.size += more;
        let increment = std::mem::take(&mut self.credit) + more;
        self.left += increment.cast_signed();
        Some(increment)
    }

    /// What it may grow to, if it may grow by so many bytes now.
    #[inline]
    pub(super) fn size_max(&self, growth: u32, size_max: u32) -> u32 {
        self.size.saturating_add(growth).min(size_max)
    }

    /// By how many bytes it is larger than one of this size.
    pub(super) const fn grown(&self, size: u32) -> u32 {
        self.size.saturating_sub(size)
    }

    /// The same where the peer sends nothing more.
    #[inline]
    pub(super) fn keep(&mut self, bytes: u32) {
        self.credit += bytes;
        debug_assert!(self.credit <= self.taken(), "more was used than was sent");
    }

    /// How many bytes the peer may send.
    pub(super) const fn left(&self) -> u32 {
        if self.left > 0 { self.left.cast_unsigned() } else { 0 }
    }

    /// What the peer has sent and nobody has used.
    pub(super) const fn unused(&self) -> u32 {
        self.taken() - self.credit
    }

    const fn taken(&self) -> u32 {
        self.size.wrapping_add_signed(-self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9113_6_9_1_a_window_has_31_bits() {
        let mut window = SendWindow::new(65_535);
        assert_eq!(window.grow(i64::from(i32::MAX)), Err(Reason::H2WindowOverflow));
        assert_eq!(window.grow(i64::from(i32::MAX) - 65_535), Ok(()));
        assert_eq!(window.left(), i32::MAX as usize);
    }

    #[test]
    fn rfc_9113_6_9_2_settings_can_make_a_window_negative() {
        let mut window = SendWindow::new(10);
        window.take(10);
        window.grow(-8).unwrap();
        assert_eq!(window.left(), 0);
        window.grow(9).unwrap();
        assert_eq!(window.left(), 1);
    }

    #[test]
    fn a_window_that_is_used_grows_and_is_bounded() {
        let mut window = ReceiveWindow::new(100);
        let mut sizes = Vec::new();
        for _ in 0..6 {
            let all = window.left.cast_unsigned();
            window.take(all).unwrap();
            assert_eq!(window.take(1), Err(Broken::Connection(Reason::H2WindowExceeded)));
            assert_eq!(window.unused(), all);
            window.give(all, 350).unwrap();
            assert_eq!((window.unused(), window.left), (0, window.size.cast_signed()));
            sizes.push(window.size);
        }
        assert_eq!(sizes, [200, 350, 350, 350, 350, 350]);
    }

    #[test]
    fn rfc_9113_6_9_3_who_did_not_know_of_a_smaller_window_may_have_sent_more() {
        let mut window = ReceiveWindow::new(100);
        window.take(30).unwrap();
        assert_eq!(window.give(20, 10), None);
        window.shrink(90);
        assert_eq!((window.left, window.unused()), (-20, 10));
        assert_eq!(window.take(0), Ok(()), "what is empty needs no window");
        assert!(window.take(1).is_err());
        assert_eq!(window.give(0, 10), Some(20));
        assert_eq!(window.give(10, 10), Some(10));
        assert_eq!((window.left, window.unused()), (10, 0));
    }

    #[test]
    fn updates_are_saved_up() {
        let mut window = ReceiveWindow::new(100);
        window.take(60).unwrap();
        assert_eq!(window.give(49, 100), None);
        assert_eq!(window.give(1, 100), Some(50));
        assert_eq!(window.unused(), 10);
    }
}
