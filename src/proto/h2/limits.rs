//! [`Limits`]: how much a client of HTTP/2 may ask for, each number with its unit.

use crate::proto::hpack;

/// How much is read, kept and forgiven. One value serves all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one connection at a time: RFC 9113 §5.1.2. One whose stream was reset counts until its
    /// handler has ended. More are refused and may be sent again.
    pub streams_max: u16,
    /// Names and values of a request's fields, with the four bytes that HTTP/1 has around each: 431 beyond.
    pub head_bytes_max: u16,
    /// What is kept of a header block, counted as RFC 9113 §10.5.1 does: 431 beyond. Clients are told.
    pub fields: hpack::Limits,
    /// Fields of a head, at most [`FIELDS_MAX`](crate::http::FIELDS_MAX), cookies counted once; more get 431.
    pub fields_max: u16,
    /// A path with its query; longer ones get 414.
    pub path_bytes_max: u16,
    /// A header block on the wire, in all its frames; more ends the connection.
    pub block_bytes_max: u32,
    /// CONTINUATION frames of a header block; more end the connection.
    pub continuations_max: u8,
    /// What a stream may send before its content was used, at first and at most.
    pub stream_window_bytes: u32,
    /// See [`Limits::stream_window_bytes`].
    pub stream_window_bytes_max: u32,
    /// The same for all streams of a connection together. It grows with use, and by what its streams hold
    /// that nobody reads at present: until that comes to the maximum, uploads that wait hold up no others.
    pub connection_window_bytes: u32,
    /// See [`Limits::connection_window_bytes`].
    pub connection_window_bytes_max: u32,
    /// What the windows of all connections of a worker may grow by, beyond what each has at first.
    pub worker_growth_bytes_max: u32,
    /// Frames that are allowed but of no use (PING, SETTINGS, PRIORITY, empty DATA, resets in either
    /// direction …): so many at once; more end the connection.
    pub glitches_max: u16,
    /// So many more are forgiven each second.
    pub glitches_per_second: u16,
}

impl Limits {
    /// What holds where nothing else is said.
    pub const DEFAULT: Self = Self {
        streams_max: 100,
        head_bytes_max: 32 * 1024,
        fields: hpack::Limits::DEFAULT,
        fields_max: 100,
        path_bytes_max: 8 * 1024,
        block_bytes_max: 48 * 1024,
        continuations_max: 8,
        stream_window_bytes: 65_535,
        stream_window_bytes_max: 1024 * 1024,
        // Two windows of streams that nobody reads, and as much again for the others.
        connection_window_bytes: 256 * 1024,
        connection_window_bytes_max: 2 * 1024 * 1024,
        worker_growth_bytes_max: 64 * 1024 * 1024,
        glitches_max: 1_000,
        glitches_per_second: 100,
    };

    /// The same, with so much for the head of a request; no more than [`LIST_BYTES_MAX`] is kept of one.
    #[must_use]
    pub fn with_head_bytes_max(mut self, head_bytes_max: u16) -> Self {
        self.head_bytes_max = head_bytes_max;
        let counted_bytes = u32::from(self.fields.fields_max) * COUNTED_BYTES;
        let list_bytes_max = (u32::from(head_bytes_max) + counted_bytes).min(u32::from(LIST_BYTES_MAX));
        self.fields.list_bytes_max = u16::try_from(list_bytes_max).unwrap_or(LIST_BYTES_MAX);
        self
    }

    /// Whether the limits fit each other, and what the standard lets be said.
    pub const fn are_sound(&self) -> bool {
        self.streams_max > 0
            && self.fields_max as usize <= crate::http::FIELDS_MAX
            // Cookies are joined behind the list: both have offsets of 16 bits.
            && self.fields.list_bytes_max <= LIST_BYTES_MAX
            && self.stream_window_bytes <= self.stream_window_bytes_max
            && self.connection_window_bytes >= WINDOW_BYTES
            && self.connection_window_bytes <= self.connection_window_bytes_max
            && self.stream_window_bytes_max <= i32::MAX as u32 / 2
            && self.connection_window_bytes_max <= i32::MAX as u32 / 2
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The most that is kept of a header block, in bytes.
pub const LIST_BYTES_MAX: u16 = 32 * 1024;
/// What each field counts beside its name and value: RFC 9113 §10.5.1.
const COUNTED_BYTES: u32 = 32;

/// Every window where nothing else was agreed on: RFC 9113 §6.9.2.
pub(super) const WINDOW_BYTES: u32 = 65_535;

const _: () = assert!(Limits::DEFAULT.are_sound());
