//! [`Input`]: the unread bytes of one lane, and whether more can follow.
//!
//! Borrowed from the shard's scratch (or a connection's carry) for one turn; a machine consumes from
//! the front. Knows no HTTP and no socket.

/// Received bytes that a machine has not taken yet.
#[derive(Debug)]
pub struct Input<'i> {
    bytes: &'i [u8],
    fin: bool,
}

impl<'i> Input<'i> {
    /// The unread `bytes`; `fin` when the peer has closed its sending side behind them.
    #[inline]
    pub const fn new(bytes: &'i [u8], fin: bool) -> Self {
        Self { bytes, fin }
    }

    /// What is still unread.
    #[inline]
    pub const fn bytes(&self) -> &'i [u8] {
        self.bytes
    }

    /// Whether nothing is unread.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the peer sends nothing behind these bytes.
    #[inline]
    pub const fn fin(&self) -> bool {
        self.fin
    }

    /// Takes the next `count` bytes.
    ///
    /// # Panics
    /// If fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize) -> &'i [u8] {
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }
}
