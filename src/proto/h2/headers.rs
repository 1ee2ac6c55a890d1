//! HEADER BLOCKS: HEADERS and CONTINUATION, and whether they open a stream or end its content.
//! RFC 9113 §4.3, §6.2, §6.10, §8.1.
//!
//! ```text
//!  HEADERS ──END_HEADERS──► block ──HPACK──► fields ─┬─► idle stream: a request
//!     └──► CONTINUATION … ──► ▲                      ├─► open stream: its trailer
//!          no more than is borne                     └─► reset by us: nothing
//! ```
//! A block is decoded wherever it stands, since both tables of HPACK must stay the same.

use super::Server;
use super::control::depends_on;
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{END_HEADERS, END_STREAM, FrameHead, HEAD_BYTES, PADDED, PRIORITY};
use super::receive::{Fault, Found, Step, connection, stream};
use super::request::{self, Unfit};
use super::streams::{Absent, Stream};
use crate::http::{Arrival, FieldTable, Reason};
use crate::proto::hpack::{self, FieldList, Fit};

/// A header block that goes on in the next frame.
#[derive(Debug)]
pub(super) struct Block {
    opening: Opening,
    bytes: Vec<u8>,
    frames: u8,
}

/// What the frame says that a header block begins with.
#[derive(Clone, Copy, Debug)]
struct Opening {
    id: u32,
    end_stream: bool,
    depends_on_itself: bool,
}

impl Block {
    /// The stream that it is about.
    pub(super) const fn stream(&self) -> u32 {
        self.opening.id
    }
}

impl Server {
    /// RFC 9113 §6.2.
    pub(super) fn headers<'i>(
        &mut self,
        head: &FrameHead,
        frame: &'i [u8],
        table: &mut FieldTable,
        list: &mut FieldList,
    ) -> Result<Found<'i>, Fault> {
        if head.stream == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if head.stream.is_multiple_of(2) {
            return Err(connection(Reason::H2StreamId));
        }
        let (block, dependency) = block_of(head, &frame[HEAD_BYTES..])?;
        let depends_on_itself = dependency == Some(head.stream);
        let end_stream = head.has(END_STREAM);
        let opening = Opening { id: head.stream, end_stream, depends_on_itself };
        if head.has(END_HEADERS) {
            return self.fields(opening, (block, frame), table, list);
        }
        self.aside.keep_block(Block { opening, bytes: block.to_vec(), frames: 0 });
        Ok(Found::Nothing)
    }

    /// RFC 9113 §6.10.
    pub(super) fn continuation<'i>(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        table: &mut FieldTable,
        list: &mut FieldList,
    ) -> Result<Found<'i>, Fault> {
        let mut block = self.aside.take_block().ok_or(connection(Reason::H2Continuation))?;
        block.bytes.extend_from_slice(payload);
        block.frames += 1;
        if block.bytes.len() > self.limits.block_bytes_max as usize
            || block.frames > self.limits.continuations_max
        {
            return Err(connection(Reason::H2BlockBytes));
        }
        if head.has(END_HEADERS) {
            return self.fields(block.opening, (&block.bytes, &[]), table, list);
        }
        self.aside.keep_block(block);
        Ok(Found::Nothing)
    }

    /// A whole header block, and its frame if it is all in one.
    fn fields<'i>(
        &mut self,
        opening: Opening,
        (block, frame): (&[u8], &'i [u8]),
        table: &mut FieldTable,
        list: &mut FieldList,
    ) -> Result<Found<'i>, Fault> {
        let id = opening.id;
        let fit = match self.decoder.decode(block, &self.limits.fields, request::judge, list) {
            Ok(fit) => fit,
            Err(hpack::Error::Expansion) => return Err(connection(Reason::H2Calm)),
            Err(_) => return Err(connection(Reason::H2Compression)),
        };
        if let Some(open) = self.streams.get(id) {
            if open.is_received {
                return Err(stream(id, Reason::H2StreamClosed));
            }
            return self.trailer(opening, fit, table, list);
        }
        match self.absent(id) {
            Absent::Idle => self.request(opening, frame, fit, (table, list)),
            Absent::Reset => self.glitch().map(|()| Found::Nothing),
            Absent::Closed => Err(connection(Reason::H2StreamClosed)),
            Absent::Skipped => Err(connection(Reason::H2StreamId)),
        }
    }

    /// The fields behind the content: RFC 9113 §8.1.
    fn trailer<'i>(
        &mut self,
        opening: Opening,
        fit: Fit,
        table: &mut FieldTable,
        list: &FieldList,
    ) -> Result<Found<'i>, Fault> {
        let id = opening.id;
        if !opening.end_stream {
            return Err(stream(id, Reason::H2TrailerEnd));
        }
        if fit != Fit::Whole {
            return Err(stream(id, Reason::TrailerBytes));
        }
        match request::trailer(list, table, &self.limits) {
            Ok(()) => {}
            Err(Unfit::Malformed(reason) | Unfit::Refused(reason)) => return Err(stream(id, reason)),
        }
        let Some(open) = self.streams.get(id) else { return Ok(Found::Nothing) };
        if open.missing.is_some_and(|missing| missing > 0) {
            return Err(stream(id, Reason::H2Length));
        }
        open.is_received = true;
        if open.outgoing.is_some() {
            return Ok(Found::Nothing);
        }
        let has_trailer = !table.is_empty();
        Ok(Found::Step(Step::Chunk { id, bytes: &[], end: true, has_trailer }))
    }

    /// The head of a request: RFC 9113 §8.3.
    fn request<'i>(
        &mut self,
        opening: Opening,
        frame: &'i [u8],
        fit: Fit,
        (table, list): (&mut FieldTable, &mut FieldList),
    ) -> Result<Found<'i>, Fault> {
        let id = opening.id;
        self.streams.note(id);
        let early = self.aside.take_priority(id);
        if self.streams.len() + usize::from(self.ghosts) >= usize::from(self.limits.streams_max) {
            return Err(stream(id, Reason::H2Streams));
        }
        if opening.depends_on_itself {
            return Err(stream(id, Reason::H2Priority));
        }
        let meaning = match fit {
            Fit::Whole => request::head(list, table, &self.limits),
            Fit::TooLarge => Err(Unfit::Refused(Reason::HeadBytes)),
            Fit::TooMany => Err(Unfit::Refused(Reason::FieldCount)),
        };
        let (meaning, refused) = match meaning {
            Ok(meaning) => (meaning, None),
            Err(Unfit::Malformed(reason)) => return Err(stream(id, reason)),
            Err(Unfit::Refused(reason)) => (request::refused(list), Some(reason)),
        };
        if opening.end_stream && meaning.length.is_some_and(|length| length > 0) {
            return Err(stream(id, Reason::H2Length));
        }
        self.streams.open(Stream {
            id,
            is_received: opening.end_stream,
            outgoing: None,
            send_window: SendWindow::new(self.peer.window_bytes),
            receive_window: ReceiveWindow::new(self.limits.stream_window_bytes + self.unknown_shrinkage()),
            missing: meaning.length,
            // RFC 9218 §7.1: a frame overrides the field.
            priority: early.unwrap_or(meaning.priority),
            is_head: meaning.is_head,
            takes_trailers: meaning.takes_trailers,
            awaits_continue: meaning.expects_continue && !opening.end_stream,
        });
        if let Some(reason) = refused {
            return Ok(Found::Step(Step::Refused { id, reason }));
        }
        let body = if opening.end_stream {
            Arrival::Empty
        } else {
            Arrival::Follows { length: meaning.length, expects_continue: meaning.expects_continue }
        };
        Ok(Found::Step(Step::Head { id, body, frame }))
    }
}

/// What of a payload of HEADERS is the header block, and which stream is depended on: RFC 9113 §6.2.
fn block_of<'i>(head: &FrameHead, mut payload: &'i [u8]) -> Result<(&'i [u8], Option<u32>), Fault> {
    let mut padding = 0;
    if head.has(PADDED) {
        let (&length, rest) = payload.split_first().ok_or(connection(Reason::H2FrameSize))?;
        (padding, payload) = (usize::from(length), rest);
    }
    let mut dependency = None;
    if head.has(PRIORITY) {
        let (place, rest) = payload.split_at_checked(5).ok_or(connection(Reason::H2FrameSize))?;
        (dependency, payload) = (Some(depends_on(place)), rest);
    }
    let length = payload.len().checked_sub(padding).ok_or(connection(Reason::H2Padding))?;
    Ok((&payload[..length], dependency))
}
