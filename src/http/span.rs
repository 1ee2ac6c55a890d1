//! [`Span`]: a place inside a head, as two offsets. Knows no bytes.

/// Half-open range of offsets into a head (heads are at most 65,535 bytes).
///
/// One word, which is written as a whole: two halves, read together soon after, would make the processor wait
/// for its own stores.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Span(u32);

impl Span {
    /// From `start` up to `end`.
    #[inline]
    pub const fn new(start: u16, end: u16) -> Self {
        debug_assert!(start <= end);
        Self(start as u32 | (end as u32) << 16)
    }

    /// The first byte.
    #[inline]
    pub const fn start(self) -> usize {
        (self.0 & 0xFFFF) as usize
    }

    /// One past the last byte; never before [`Span::start`].
    #[inline]
    pub const fn end(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// How many bytes.
    #[inline]
    pub const fn len(self) -> usize {
        self.end() - self.start()
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.start() == self.end()
    }

    /// The bytes that this span names in `bytes`.
    ///
    /// # Panics
    /// If it lies outside.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start()..self.end()]
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start(), self.end())
    }
}
