//! [`Span`]: a place inside a head, as two offsets. Knows no bytes.

/// Half-open range of offsets into a head (heads are at most 65,535 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u16,
    /// One past the last byte; never before `start`.
    pub end: u16,
}

impl Span {
    /// From `start` up to `end`.
    #[inline]
    pub const fn new(start: u16, end: u16) -> Self {
        debug_assert!(start <= end);
        Self { start, end }
    }

    /// How many bytes.
    #[inline]
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The bytes that this span names in `bytes`.
    ///
    /// # Panics
    /// If it lies outside.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[usize::from(self.start)..usize::from(self.end)]
    }
}
