//! FLOW CONTROL: how much either side may send. RFC 9113 §5.2, §6.9.
//!
//! ```text
//!  SendWindow      WINDOW_UPDATE ──► grows      our DATA ──► shrinks      SETTINGS ──► moves, below 0 too
//!
//!  ReceiveWindow   ┌──── left ────┬─ taken, not used ─┬─ credit ─┐
//!                  └──────────────┴───────────────────┴──────────┘ size
//!                   peer's DATA ──►        use ──►       as much as is left: WINDOW_UPDATE
//! ```
//! A receive window that is used up and given back whole doubles, up to its largest size: who sends much is
//! not held up by the length of the way. That of a connection makes room for what its streams hold: who reads
//! is not held up by who does not.

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

    /// So many of them were used, and `held` are not to be used soon: what the peer is to be told now, if
    /// anything.
    #[inline]
    pub(super) fn give(&mut self, bytes: u32, held: u32, size_max: u32) -> Option<u32> {
        self.keep(bytes);
        if self.credit == 0 || self.credit < self.size.saturating_sub(held).div_ceil(2) {
            return None;
        }
        // The peer has sent half of it since the last time: it can use more.
        Some(self.open(self.size, size_max))
    }

    /// Makes room for what is held, where that leaves the peer less than half of `bytes`: what it is to be
    /// told, if anything.
    #[inline]
    pub(super) fn make_room(&mut self, bytes: u32, size_max: u32) -> Option<u32> {
        let held = self.unused();
        if self.size.saturating_sub(held) >= bytes / 2 || self.size >= size_max {
            return None;
        }
        Some(self.open(held, size_max))
    }

    /// Gives back all that was used, and as much more as may be.
    fn open(&mut self, more: u32, size_max: u32) -> u32 {
        let more = more.min(size_max.saturating_sub(self.size));
        self.size += more;
        let increment = std::mem::take(&mut self.credit) + more;
        self.left += increment.cast_signed();
        increment
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
            window.give(all, 0, 350).unwrap();
            assert_eq!((window.unused(), window.left), (0, window.size.cast_signed()));
            sizes.push(window.size);
        }
        assert_eq!(sizes, [200, 350, 350, 350, 350, 350]);
    }

    #[test]
    fn rfc_9113_6_9_3_who_did_not_know_of_a_smaller_window_may_have_sent_more() {
        let mut window = ReceiveWindow::new(100);
        window.take(30).unwrap();
        assert_eq!(window.give(20, 0, 10), None);
        window.shrink(90);
        assert_eq!((window.left, window.unused()), (-20, 10));
        assert_eq!(window.take(0), Ok(()), "what is empty needs no window");
        assert!(window.take(1).is_err());
        assert_eq!(window.give(0, 0, 10), Some(20));
        assert_eq!(window.give(10, 0, 10), Some(10));
        assert_eq!((window.left, window.unused()), (10, 0));
    }

    #[test]
    fn updates_are_saved_up() {
        let mut window = ReceiveWindow::new(100);
        window.take(60).unwrap();
        assert_eq!(window.give(49, 0, 100), None);
        assert_eq!(window.give(1, 0, 100), Some(50));
        assert_eq!(window.unused(), 10);
    }

    #[test]
    fn what_some_hold_is_not_waited_for() {
        let mut window = ReceiveWindow::new(100);
        window.take(90).unwrap();
        // 80 are held: of the 20 others, half is used.
        assert_eq!(window.give(9, 81, 100), None);
        assert_eq!(window.give(1, 80, 100), Some(10));
        assert_eq!((window.size, window.left, window.unused()), (100, 20, 80));
    }

    #[test]
    fn room_is_made_for_what_is_held_as_far_as_it_goes() {
        let mut window = ReceiveWindow::new(100);
        window.take(50).unwrap();
        assert_eq!(window.make_room(100, 400), None, "half is left");
        window.take(50).unwrap();
        assert_eq!(window.make_room(100, 100), None, "it may not grow");
        assert_eq!(window.make_room(100, 400), Some(100));
        window.take(100).unwrap();
        assert_eq!(window.make_room(100, 350), Some(150), "as far as it may");
        assert_eq!((window.size, window.left, window.unused()), (350, 150, 200));
    }
}
