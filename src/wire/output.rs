//! [`Output`]: what is to be sent, in order: inline bytes, shared pieces and file ranges.
//!
//! ```text
//!  sealed  ┌────────sent───────┬──── as it goes out ────┐       before all else
//!
//!  inline  ┌────────sent───────┬──── head ────┬─ head ─┐
//!          └───────────────────┴──────┬───────┴────┬───┘
//!  pieces                       Shared(Bytes)   File(range)     each knows the inline offset before it
//! ```
//! Invariant: `sent <= pieces[0].before <= pieces[1].before <= … <= inline.len()`.
//! A transport that encrypts seals what stands at the front, and what the kernel refuses of it stays here.
//! One `Output` serves a whole shard, turn after turn; only what a kernel refuses stays with its connection.
//! Knows no HTTP and no socket.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::base::Reusable;

/// Above this much queued memory a producer should wait for the kernel, in bytes.
pub const QUEUED_BYTES_HIGH: usize = 64 * 1024;
/// A smaller inline buffer is not worth shrinking, in bytes.
const SHRINK_BYTES_MIN: usize = 4 * 1024;
/// An inline buffer that grew beyond this is given back on reset, in bytes.
const INLINE_BYTES_KEPT: usize = 128 * 1024;

/// A queue of bytes to send.
#[derive(Debug, Default)]
pub struct Output {
    sealed: Vec<u8>,
    sealed_sent: usize,
    inline: Vec<u8>,
    sent: usize,
    pieces: VecDeque<Piece>,
    shared_bytes: usize,
    file_bytes: u64,
    /// How many bytes were sent, or sealed, since it was made or reset.
    consumed_bytes: u64,
}

/// What stands at the front of an [`Output`].
#[derive(Debug)]
pub enum Front<'o> {
    /// A run of bytes, and the run directly behind it if there is one.
    Bytes(&'o [u8], Option<&'o [u8]>),
    /// A range of a file.
    File {
        /// The open file.
        file: &'o File,
        /// Where the range begins.
        offset: u64,
        /// How long it is, never zero.
        length: u64,
    },
}

#[derive(Debug)]
struct Piece {
    /// The inline offset that this piece stands before.
    before: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Shared(Bytes),
    File { file: Arc<File>, offset: u64, length: u64 },
}

impl Output {
    /// An empty queue whose inline buffer holds `inline_bytes` without growing.
    pub fn with_capacity(inline_bytes: usize) -> Self {
        Self { inline: Vec::with_capacity(inline_bytes), ..Self::default() }
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sent == self.inline.len() && self.pieces.is_empty() && self.sealed.is_empty()
    }

    /// Bytes of memory that wait (file ranges wait on disk and do not count).
    #[inline]
    pub const fn queued_bytes(&self) -> usize {
        self.sealed.len() - self.sealed_sent + self.inline.len() - self.sent + self.shared_bytes
    }

    /// All bytes that wait, those of files too.
    #[inline]
    pub const fn unsent_bytes(&self) -> u64 {
        self.queued_bytes() as u64 + self.file_bytes
    }

    /// Where what was appended so far ends: a place that counts all bytes since the output was reset, as they
    /// were before they were sealed.
    #[inline]
    pub const fn end(&self) -> u64 {
        let queued = self.inline.len() - self.sent + self.shared_bytes;
        self.consumed_bytes + queued as u64 + self.file_bytes
    }

    /// The place before which all was sent. Where bytes are sealed, no more than that: of what is sealed and
    /// was not sent nothing counts.
    #[inline]
    pub const fn taken(&self) -> u64 {
        self.consumed_bytes.saturating_sub((self.sealed.len() - self.sealed_sent) as u64)
    }

    /// How many more bytes a body may queue before it should wait for the kernel.
    #[inline]
    pub fn room(&self) -> usize {
        if self.holds_file() { 0 } else { QUEUED_BYTES_HIGH.saturating_sub(self.queued_bytes()) }
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.inline.extend_from_slice(bytes);
    }

    /// The inline buffer, for encoders that write in place. Only append.
    #[inline]
    pub const fn inline(&mut self) -> &mut Vec<u8> {
        &mut self.inline
    }

    /// Appends `bytes` without copying them.
    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.shared_bytes += bytes.len();
            self.pieces.push_back(Piece { before: self.inline.len(), content: Content::Shared(bytes) });
        }
    }

    /// Appends `length` bytes of `file` from `offset`.
    pub fn file(&mut self, file: Arc<File>, offset: u64, length: u64) {
        if length > 0 {
            self.file_bytes += length;
            let content = Content::File { file, offset, length };
            self.pieces.push_back(Piece { before: self.inline.len(), content });
        }
    }

    /// What goes out as it is, before all else.
    #[inline]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed[self.sealed_sent..]
    }

    /// The same, for who seals. Only append.
    #[inline]
    pub const fn seal(&mut self) -> &mut Vec<u8> {
        &mut self.sealed
    }

    /// Forgets the next `count` sealed bytes: they were sent.
    ///
    /// # Panics
    /// If fewer wait (debug builds).
    #[inline]
    pub fn consume_sealed(&mut self, count: usize) {
        self.sealed_sent += count;
        debug_assert!(self.sealed_sent <= self.sealed.len(), "more was sent than was sealed");
        if self.sealed_sent == self.sealed.len() {
            self.sealed.clear();
            self.sealed_sent = 0;
        }
    }

    /// The next thing to send, or to seal; `None` when there is none.
    #[inline]
    pub fn front(&self) -> Option<Front<'_>> {
        let Some(piece) = self.pieces.front() else {
            let run = &self.inline[self.sent..];
            return (!run.is_empty()).then_some(Front::Bytes(run, None));
        };
        let run = &self.inline[self.sent..piece.before];
        Some(match &piece.content {
            Content::Shared(bytes) if run.is_empty() => Front::Bytes(bytes, self.inline_after_first()),
            Content::Shared(bytes) => Front::Bytes(run, Some(bytes)),
            Content::File { .. } if !run.is_empty() => Front::Bytes(run, None),
            Content::File { file, offset, length } => Front::File { file, offset: *offset, length: *length },
        })
    }

    /// Everything that waits, if that is one run of bytes.
    #[inline]
    pub fn single_run(&self) -> Option<&[u8]> {
        debug_assert!(self.sealed.is_empty(), "who seals does not send as it is");
        if self.pieces.is_empty() { self.inline.get(self.sent..).filter(|run| !run.is_empty()) } else { None }
    }

    /// Forgets the next `count` bytes: they were sent.
    ///
    /// # Panics
    /// If fewer wait (debug builds).
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.consumed_bytes += count as u64;
        if self.pieces.is_empty() && count == self.inline.len() - self.sent {
            self.inline.clear();
            self.sent = 0;
        } else {
            self.consume_part(count);
        }
    }

    fn consume_part(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let run = (piece.before - self.sent).min(count);
            self.sent += run;
            count -= run;
            if count == 0 {
                return self.rewind();
            }
            let (taken, done) = piece.content.advance(count);
            match piece.content {
                Content::Shared(_) => self.shared_bytes -= taken,
                Content::File { .. } => self.file_bytes -= taken as u64,
            }
            count -= taken;
            if !done {
                return;
            }
            self.pieces.pop_front();
        }
        debug_assert!(count <= self.inline.len() - self.sent, "more was sent than was queued");
        self.sent += count;
        self.rewind();
    }

    /// Gives back memory that nothing waits in, if that is nearly all: what follows is a long wait.
    pub fn shrink(&mut self) {
        if self.sealed.capacity() >= SHRINK_BYTES_MIN {
            self.sealed.drain(..self.sealed_sent);
            self.sealed.shrink_to_fit();
            self.sealed_sent = 0;
        }
        let live = self.inline.len() - self.sent;
        if self.inline.capacity() < SHRINK_BYTES_MIN || live * 4 > self.inline.capacity() {
            return;
        }
        self.inline.drain(..self.sent);
        self.inline.shrink_to_fit();
        for piece in &mut self.pieces {
            piece.before -= self.sent;
        }
        self.sent = 0;
    }

    /// Whether a file range waits: the kernel, not memory, is then what a producer waits for.
    #[inline]
    fn holds_file(&self) -> bool {
        self.pieces.back().is_some_and(|piece| matches!(piece.content, Content::File { .. }))
    }

    /// The inline run directly behind the first piece, if there is one.
    fn inline_after_first(&self) -> Option<&[u8]> {
        let end = self.pieces.get(1).map_or(self.inline.len(), |next| next.before);
        let run = &self.inline[self.sent..end];
        (!run.is_empty()).then_some(run)
    }

    /// Starts over at the buffer's beginning once everything inline was sent.
    #[inline]
    fn rewind(&mut self) {
        if self.pieces.is_empty() && self.sent == self.inline.len() {
            self.inline.clear();
            self.sent = 0;
        }
    }
}

impl Content {
    /// Moves up to `count` bytes ahead: how many, and whether nothing is left.
    fn advance(&mut self, count: usize) -> (usize, bool) {
        match self {
            Self::Shared(bytes) => {
                let taken = count.min(bytes.len());
                bytes.advance(taken);
                (taken, bytes.is_empty())
            }
            Self::File { offset, length, .. } => {
                let taken = usize::try_from(*length).map_or(count, |length| count.min(length));
                *offset += taken as u64;
                *length -= taken as u64;
                (taken, *length == 0)
            }
        }
    }
}

impl Reusable for Output {
    fn reset(&mut self) {
        self.pieces.clear();
        self.shared_bytes = 0;
        self.file_bytes = 0;
        self.consumed_bytes = 0;
        self.sent = 0;
        self.sealed_sent = 0;
        for buffer in [&mut self.inline, &mut self.sealed] {
            buffer.clear();
            if buffer.capacity() > INLINE_BYTES_KEPT {
                *buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(front) = output.front() {
            let count = match front {
                Front::Bytes(first, second) => {
                    let mut run = first.to_vec();
                    run.extend_from_slice(second.unwrap_or_default());
                    run.truncate(step);
                    sent.extend_from_slice(&run);
                    run.len()
                }
                Front::File { length, .. } => {
                    let count = step.min(usize::try_from(length).unwrap());
                    sent.extend(std::iter::repeat_n(b'#', count));
                    count
                }
            };
            output.consume(count);
        }
        sent
    }

    #[test]
    fn a_place_is_reached_when_all_before_it_was_sent() {
        let mut output = Output::default();
        output.copy(b"head one ");
        output.share(Bytes::from_static(b"body one "));
        let first = output.end();
        output.file(Arc::new(File::open("/dev/null").unwrap()), 7, 5);
        assert_eq!((first, output.end(), output.taken()), (18, 23, 0));
        output.consume(20);
        assert_eq!((output.end(), output.taken()), (23, 20));
        // What is sealed and waits was not sent.
        output.consume(3);
        output.seal().extend_from_slice(b"sealed");
        assert_eq!((output.end(), output.taken()), (23, 17));
        output.consume_sealed(4);
        assert_eq!(output.taken(), 21);
        output.consume_sealed(2);
        assert_eq!((output.end(), output.taken()), (23, 23));
    }

    #[test]
    fn order_is_kept_whatever_the_kernel_takes_at_a_time() {
        for step in 1..40 {
            let mut output = Output::with_capacity(64);
            output.copy(b"head one ");
            output.share(Bytes::from_static(b"body one "));
            output.copy(b"head two ");
            output.share(Bytes::from_static(b"body two "));
            output.share(Bytes::from_static(b"and more "));
            output.file(Arc::new(File::open("/dev/null").unwrap()), 7, 5);
            output.copy(b" tail");
            assert_eq!(
                drain(&mut output, step),
                b"head one body one head two body two and more ##### tail",
                "in steps of {step}"
            );
            assert!(output.is_empty());
            assert_eq!((output.queued_bytes(), output.unsent_bytes()), (0, 0));
            assert_eq!(output.room(), QUEUED_BYTES_HIGH);
        }
    }

    #[test]
    fn what_waits_for_long_takes_no_more_than_it_needs() {
        let mut output = Output::with_capacity(8 * 1024);
        output.copy(b"head one ");
        output.share(Bytes::from_static(b"body one "));
        output.copy(b"head two ");
        output.share(Bytes::from_static(b"body two"));
        output.consume(12);
        output.shrink();
        assert!(output.inline.capacity() < 64, "{}", output.inline.capacity());
        assert_eq!(drain(&mut output, 5), b"y one head two body two");
        output.copy(&[7; 5_000]);
        output.shrink();
        assert_eq!(output.queued_bytes(), 5_000, "all of it waits");
    }

    #[test]
    fn what_is_sealed_waits_until_it_was_sent() {
        let mut output = Output::default();
        output.copy(b"plain");
        output.seal().extend_from_slice(b"sealed");
        output.consume(5);
        assert_eq!((output.is_empty(), output.queued_bytes(), output.front().is_none()), (false, 6, true));
        output.consume_sealed(2);
        output.shrink();
        assert_eq!((output.sealed(), output.unsent_bytes()), (&b"aled"[..], 4));
        output.consume_sealed(4);
        assert!(output.is_empty());
    }

    #[test]
    fn empty_pieces_leave_no_trace() {
        let mut output = Output::default();
        output.share(Bytes::new());
        output.file(Arc::new(File::open("/dev/null").unwrap()), 0, 0);
        assert!(output.is_empty() && output.front().is_none());
    }

    #[test]
    fn a_waiting_file_leaves_no_room_for_bodies() {
        let mut output = Output::default();
        output.file(Arc::new(File::open("/dev/null").unwrap()), 0, 1);
        assert_eq!(output.room(), 0);
        assert_eq!(output.queued_bytes(), 0);
    }
}
