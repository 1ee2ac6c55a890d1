//! [`Body`]: what a response carries; and [`Source`]: a body that is made while it is sent.
//!
//! Bodies are pulled, never pushed: a protocol machine asks for bytes when its peer has room for
//! them, so a slow reader costs no memory and a source knows neither windows nor chunks.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::fields::Fields;
use super::timeline::Timeline;

/// The content of a response.
#[derive(Default)]
pub enum Body {
    /// None; `Content-Length: 0`.
    #[default]
    Empty,
    /// Bytes of the program.
    Static(&'static [u8]),
    /// Bytes that are shared by reference.
    Shared(Bytes),
    /// The bytes in the response's own arena ([`Response::arena`](super::Response::arena)).
    Arena,
    /// A range of an open file.
    File {
        /// The file.
        file: Arc<File>,
        /// Where the range begins, in bytes.
        offset: u64,
        /// How long it is, in bytes. A file that turns out shorter ends the connection.
        length: u64,
    },
    /// Made while it is sent.
    Source(Box<dyn Source>),
}

/// A body that is made while it is sent, on the loop's thread: it must not block.
///
/// Dropped when the body is complete or the client has gone.
pub trait Source: Send {
    /// Writes what is ready into `pull`.
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled;

    /// The exact number of bytes that all pulls together will write, if it is known. Without it
    /// the body is chunked (HTTP/1.0: ended by closing).
    fn length(&self) -> Option<u64> {
        None
    }

    /// Called after [`Pulled::End`] where the version and the client can take trailers.
    fn trailers(&mut self, _fields: &mut Fields) {}
}

/// What a [`Source`] says after a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// There is more: ask again when there is room.
    More,
    /// Send what there is; ask again after this time, or when woken.
    After(Duration),
    /// Send what there is; ask again when woken.
    Waiting,
    /// The body is complete.
    End,
    /// The body cannot be completed: the connection is cut, so that the client notices.
    Failed,
}

/// Where a [`Source`] writes.
///
/// ```text
///  bytes that were written │ at most one piece that is not copied: shared bytes, or a range of a file
/// ```
#[derive(Debug)]
pub struct Pull<'p> {
    inline: &'p mut Vec<u8>,
    tail: Option<Tail>,
    room: usize,
    timeline: &'p Timeline,
}

impl<'p> Pull<'p> {
    /// Writes go behind `inline`, `room` bytes are wanted.
    pub const fn new(inline: &'p mut Vec<u8>, room: usize, timeline: &'p Timeline) -> Self {
        Self { inline, tail: None, room, timeline }
    }

    /// How many more bytes are wanted. More are taken, but should be rare: they cost memory.
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Appends a copy of `bytes`.
    ///
    /// # Panics
    /// Behind a file range.
    pub fn write(&mut self, bytes: &[u8]) {
        self.copy_tail();
        self.inline.extend_from_slice(bytes);
        self.room = self.room.saturating_sub(bytes.len());
    }

    /// Appends `bytes` without copying them, if this is the last write of the pull.
    ///
    /// # Panics
    /// Behind a file range.
    pub fn share(&mut self, bytes: Bytes) {
        if self.tail.is_some() {
            return self.write(&bytes);
        }
        self.room = self.room.saturating_sub(bytes.len());
        self.tail = Some(Tail::Shared(bytes));
    }

    /// Appends `length` bytes of `file` from `offset` on, which are read when they are sent. The last of a
    /// pull: what follows belongs into the next one, and there is no room until the range was sent.
    ///
    /// A file that turns out shorter ends the connection.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// use kolk::{App, Pull, Pulled, Request, Response, Source};
    ///
    /// /// A file between two lines.
    /// struct Framed(Option<Arc<File>>);
    ///
    /// impl Source for Framed {
    ///     fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
    ///         match self.0.take() {
    ///             Some(file) => {
    ///                 pull.write(b"-- begin --\n");
    ///                 pull.file(file, 0, 11);
    ///                 Pulled::More
    ///             }
    ///             None => {
    ///                 pull.write(b"\n-- end --\n");
    ///                 Pulled::End
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let app = App::new().get("/", |_: &Request<'_>| {
    ///     let file = File::open("LICENSE-MIT").unwrap();
    ///     Response::stream("text/plain", Framed(Some(Arc::new(file))))
    /// });
    /// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
    /// assert_eq!(answer.body(), "-- begin --\nMIT License\n-- end --\n");
    /// ```
    ///
    /// # Panics
    /// Behind another file range.
    pub fn file(&mut self, file: Arc<File>, offset: u64, length: u64) {
        self.copy_tail();
        if length > 0 {
            self.room = 0;
            self.tail = Some(Tail::File { file, offset, length });
        }
    }

    /// When this exchange passed through its stages, as far as it was measured.
    pub const fn timeline(&self) -> &Timeline {
        self.timeline
    }

    /// What was appended last without a copy, for the machine that pulled.
    pub fn into_tail(self) -> Option<Tail> {
        self.tail
    }

    /// Something follows what was thought to be the last: shared bytes are copied after all.
    fn copy_tail(&mut self) {
        match self.tail.take() {
            None => {}
            Some(Tail::Shared(bytes)) => self.inline.extend_from_slice(&bytes),
            Some(Tail::File { .. }) => panic!("nothing may follow a file range within one pull"),
        }
    }
}

/// What a [`Pull`] ends with: a piece that was not copied.
#[derive(Debug)]
pub enum Tail {
    /// Bytes that are shared by reference.
    Shared(Bytes),
    /// A range of an open file.
    File {
        /// The file.
        file: Arc<File>,
        /// Where the range begins, in bytes.
        offset: u64,
        /// How long it is, in bytes; never zero.
        length: u64,
    },
}

impl Body {
    /// Its length in bytes where it is known beforehand; `arena` is the length of the response's arena.
    pub fn length(&self, arena: usize) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Static(bytes) => Some(bytes.len() as u64),
            Self::Shared(bytes) => Some(bytes.len() as u64),
            Self::Arena => Some(arena as u64),
            Self::File { length, .. } => Some(*length),
            Self::Source(source) => source.length(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Static(bytes) => f.debug_tuple("Static").field(&bytes.len()).finish(),
            Self::Shared(bytes) => f.debug_tuple("Shared").field(&bytes.len()).finish(),
            Self::Arena => f.write_str("Arena"),
            Self::File { offset, length, .. } => f.debug_tuple("File").field(offset).field(length).finish(),
            Self::Source(source) => f.debug_tuple("Source").field(&source.length()).finish(),
        }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Static(text.as_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Static(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(bytes.into())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::Empty
    }
}
