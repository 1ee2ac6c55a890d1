//! [`Outgoing`]: the rest of an answer's body, and the frames that it leaves in. RFC 9113 §6.1, §8.1.
//!
//! ```text
//!  source ──pull──► bytes │ range of a file ──► DATA DATA DATA ─┬─► END_STREAM with the last
//!                                                               └─► trailer: HEADERS, END_STREAM
//! ```
//! One frame a call, no larger than both windows and the peer allow. Memory is copied into the output, so
//! that one run of bytes leaves; a file's range stays one.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::flow::SendWindow;
use super::frame::{self, END_STREAM, HEAD_BYTES, Kind, PAYLOAD_BYTES_MAX};
use crate::http::{Body, Fields, Pull, Pulled, Source, Tail, Timeline};
use crate::proto::Pumped;
use crate::wire::Output;

/// The rest of an answer's body.
pub(super) struct Outgoing {
    bytes: Bytes,
    /// A file, where its range begins, and how long it is: never empty.
    file: Option<(Arc<File>, u64, u64)>,
    source: Option<Box<dyn Source>>,
    /// What the source has promised to give.
    missing: Option<u64>,
    /// The source has nothing at present.
    is_asleep: bool,
    /// It will have nothing when the rest of what it gave was sent, for so long.
    sleeps_next: Option<Option<Duration>>,
    trailer: Fields,
}

/// What one frame may be sent with.
pub(super) struct Allowance<'a> {
    pub(super) stream: &'a mut SendWindow,
    pub(super) connection: &'a mut SendWindow,
    pub(super) takes_trailers: bool,
}

/// What became of a stream's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// A frame, and more follows.
    Part,
    /// The last one.
    Whole,
    /// Everything but the trailer, which ends the stream.
    AllButTrailer,
    /// Nothing for now.
    Asleep(Option<Duration>),
    Failed(Pumped),
}

impl Allowance<'_> {
    fn bytes(&self, room: usize) -> usize {
        self.stream.left().min(self.connection.left()).min(PAYLOAD_BYTES_MAX).min(room)
    }

    fn take(&mut self, bytes: usize) {
        self.stream.take(bytes);
        self.connection.take(bytes);
    }
}

impl Outgoing {
    /// All of `body`; `length`: what it has promised.
    pub(super) fn new(body: Body, length: Option<u64>) -> Self {
        let mut outgoing = Self {
            bytes: Bytes::new(),
            file: None,
            source: None,
            missing: length,
            is_asleep: false,
            sleeps_next: None,
            trailer: Fields::new(),
        };
        match body {
            Body::Empty | Body::Arena => {}
            Body::Static(bytes) => outgoing.bytes = Bytes::from_static(bytes),
            Body::Shared(bytes) => outgoing.bytes = bytes,
            Body::File { file, offset, length } => {
                outgoing.file = (length > 0).then_some((file, offset, length));
            }
            Body::Source(source) => outgoing.source = Some(source),
        }
        outgoing
    }

    /// Its source has nothing until it is woken.
    #[inline]
    pub(super) const fn is_asleep(&self) -> bool {
        self.is_asleep
    }

    pub(super) const fn wake(&mut self) {
        self.is_asleep = false;
        self.sleeps_next = None;
    }

    /// Whether there is something left that counts against a window, as far as is known.
    #[inline]
    pub(super) fn needs_window(&self) -> bool {
        // A source that has kept its promise has only its end to tell.
        let gives_more = self.source.is_some() && self.missing != Some(0);
        !self.bytes.is_empty() || self.file.is_some() || gives_more
    }

    /// The fields behind the body.
    pub(super) const fn trailer(&self) -> &Fields {
        &self.trailer
    }

    /// Sends the next frame of `stream`; `room`: what the output may still take.
    pub(super) fn send(
        &mut self,
        stream: u32,
        mut allowance: Allowance<'_>,
        room: usize,
        output: &mut Output,
        timeline: &Timeline,
    ) -> Sent {
        let bytes_max = allowance.bytes(room);
        if !self.bytes.is_empty() {
            let piece = self.bytes.split_to(bytes_max.min(self.bytes.len()));
            allowance.take(piece.len());
            let out = output.inline();
            out.extend_from_slice(&frame::head(piece.len(), Kind::Data, self.end_flag(), stream));
            out.extend_from_slice(&piece);
            return self.sent();
        }
        if let Some((file, offset, length)) = &mut self.file {
            let bytes = usize::try_from(*length).unwrap_or(usize::MAX).min(bytes_max);
            let (file, from) = (Arc::clone(file), *offset);
            *offset += bytes as u64;
            *length -= bytes as u64;
            if *length == 0 {
                self.file = None;
            }
            allowance.take(bytes);
            output.copy(&frame::head(bytes, Kind::Data, self.end_flag(), stream));
            output.file(file, from, bytes as u64);
            return self.sent();
        }
        match self.source.take() {
            Some(source) => self.pull(stream, source, allowance, bytes_max, (output, timeline)),
            None => {
                output.copy(&frame::head(0, Kind::Data, END_STREAM, stream));
                Sent::Whole
            }
        }
    }

    /// Has the source write straight into the output, behind the head of a frame.
    fn pull(
        &mut self,
        stream: u32,
        mut source: Box<dyn Source>,
        mut allowance: Allowance<'_>,
        bytes_max: usize,
        (output, timeline): (&mut Output, &Timeline),
    ) -> Sent {
        let out = output.inline();
        let at = frame::begin(out);
        let mut pull = Pull::new(out, bytes_max, timeline);
        let pulled = catch_unwind(AssertUnwindSafe(|| source.pull(&mut pull)));
        let tail = pull.into_tail();
        let (pulled, is_kept) = match pulled {
            Ok(pulled) => (pulled, self.keep(out, at, bytes_max, tail)),
            Err(_) => {
                out.truncate(at);
                return Sent::Failed(Pumped::Panicked);
            }
        };
        if !is_kept || pulled == Pulled::Failed {
            out.truncate(at);
            return Sent::Failed(Pumped::Cut);
        }
        if pulled == Pulled::End {
            if self.missing.is_some_and(|missing| missing > 0) {
                out.truncate(at);
                return Sent::Failed(Pumped::Cut);
            }
            if allowance.takes_trailers {
                source.trailers(&mut self.trailer);
            }
        } else {
            self.source = Some(source);
        }
        let written = out.len() - at - HEAD_BYTES;
        allowance.take(written);
        let end_flag = self.end_flag();
        if written > 0 || end_flag != 0 {
            frame::finish(out, at, Kind::Data, end_flag, stream);
        } else {
            out.truncate(at);
        }
        let has_rest = !self.bytes.is_empty() || self.file.is_some();
        self.sleeps_next = match pulled {
            // A source that has more, but gives nothing, waits its turn.
            Pulled::More if written == 0 && !has_rest => Some(Some(Duration::ZERO)),
            Pulled::After(wait) => Some(Some(wait)),
            Pulled::Waiting => Some(None),
            _ => None,
        };
        self.sent()
    }

    /// Keeps what a pull gave beyond `bytes_max`, and what it did not copy; false if that is more than was
    /// promised.
    fn keep(&mut self, out: &mut Vec<u8>, at: usize, bytes_max: usize, tail: Option<Tail>) -> bool {
        let content = at + HEAD_BYTES;
        let copied = out.len() - content;
        let mut written = copied as u64;
        if copied > bytes_max {
            self.bytes = Bytes::copy_from_slice(&out[content + bytes_max..]);
            out.truncate(content + bytes_max);
        }
        match tail {
            None => {}
            Some(Tail::Shared(shared)) => {
                written = written.saturating_add(shared.len() as u64);
                self.bytes =
                    if self.bytes.is_empty() { shared } else { [&self.bytes[..], &shared].concat().into() };
            }
            Some(Tail::File { file, offset, length }) => {
                written = written.saturating_add(length);
                self.file = Some((file, offset, length));
            }
        }
        match &mut self.missing {
            None => written < u64::MAX,
            Some(missing) => missing.checked_sub(written).map(|rest| *missing = rest).is_some(),
        }
    }

    /// What is said with the frame at hand of those behind it.
    fn end_flag(&self) -> u8 {
        if self.has_more() || !self.trailer.is_empty() { 0 } else { END_STREAM }
    }

    fn has_more(&self) -> bool {
        !self.bytes.is_empty() || self.file.is_some() || self.source.is_some()
    }

    fn sent(&mut self) -> Sent {
        if self.bytes.is_empty()
            && self.file.is_none()
            && let Some(wait) = self.sleeps_next.take()
        {
            self.is_asleep = true;
            return Sent::Asleep(wait);
        }
        match (self.has_more(), self.trailer.is_empty()) {
            (true, _) => Sent::Part,
            (false, true) => Sent::Whole,
            (false, false) => Sent::AllButTrailer,
        }
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("bytes", &self.bytes.len())
            .field("file", &self.file)
            .field("has_source", &self.source.is_some())
            .field("is_asleep", &self.is_asleep)
            .finish_non_exhaustive()
    }
}
