//! [`Choices`]: bytes as decisions, one for each byte, so that whoever changes a byte changes a decision.

/// A run of decisions.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything is decided.
    pub(crate) fn are_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Less than `limit`, which is at most 256.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % limit
    }

    /// Whether it happens, which it does in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }
}
