//! WHAT EACH FRAME DOES, with the error that each rule names. RFC 9113 §4 to §6, §8.1.
//!
//! | frame | stream 0 | idle | open | half closed (remote) | closed | reset by us |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | DATA | conn PROTOCOL | conn PROTOCOL | content | stream STREAM_CLOSED | conn STREAM_CLOSED | dropped |
//! | HEADERS | conn PROTOCOL | opens | trailer | stream STREAM_CLOSED | conn STREAM_CLOSED | dropped |
//! | RST_STREAM | conn PROTOCOL | conn PROTOCOL | closes | closes | – | – |
//! | WINDOW_UPDATE | grows | conn PROTOCOL | grows | grows | – | – |
//! | PRIORITY | conn PROTOCOL | – | – | – | – | – |
//!
//! An even number is idle for ever; one that was passed over is no stream (conn PROTOCOL). A header block is
//! decoded wherever it stands, since both tables of HPACK must stay the same.

use super::error::{Broken, code};
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{
    self, ACK, END_HEADERS, END_STREAM, FrameHead, HEAD_BYTES, Kind, PADDED, PAYLOAD_BYTES, PREFACE, PRIORITY,
};
use super::priority::Priority;
use super::request::{self, Meaning, Unfit};
use super::settings;
use super::streams::{Absent, Stream};
use super::{Drain, FAREWELL, Reading, Server};
use crate::http::{Arrival, FieldTable, Reason};
use crate::proto::hpack::{self, FieldList, Fit};
use crate::wire::{Input, Output};

/// What came out of the input.
#[derive(Debug)]
pub(super) enum Step<'i> {
    Head {
        id: u32,
        body: Arrival<'i>,
    },
    Chunk {
        id: u32,
        bytes: &'i [u8],
        end: bool,
        has_trailer: bool,
    },
    /// The stream is over; the reason, unless the peer wanted it.
    Reset {
        id: u32,
        reason: Option<Reason>,
    },
    /// The stream is to be answered with this.
    Refused {
        id: u32,
        reason: Reason,
    },
}

/// The rest of a DATA frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// 0: nobody's.
    id: u32,
    left: u32,
    padding: u32,
    /// It ends its stream, and that was not said yet.
    end: bool,
}

impl Content {
    /// What of the frame's payload has not come yet, if it is this stream's.
    pub(super) const fn on_its_way(self, id: u32) -> u32 {
        if self.id == id { self.left + self.padding } else { 0 }
    }
}

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

/// What came of looking at the input.
enum Found<'i> {
    Step(Step<'i>),
    /// Something that only the machine wants to know.
    Nothing,
    /// The rest is missing.
    Partial,
}

/// An error and the stream that it is about.
type Fault = (u32, Broken);

const fn connection(reason: Reason) -> Fault {
    (0, Broken::Connection(reason))
}

const fn stream(id: u32, reason: Reason) -> Fault {
    (id, Broken::Stream(reason))
}

impl Server {
    /// Takes frames until there is something to say, or nothing whole is left.
    pub(super) fn receive<'i>(
        &mut self,
        input: &mut Input<'i>,
        table: &mut FieldTable,
        list: &mut FieldList,
        output: &mut Output,
    ) -> Result<Option<Step<'i>>, Reason> {
        loop {
            let found = match self.reading {
                Reading::Frames => self.frame(input, table, list, output),
                Reading::Content(content) => Ok(self.content(content, input, output)),
                Reading::Preface => self.preface(input, output),
                Reading::Over | Reading::Closed => {
                    input.take(input.bytes().len());
                    if input.fin() {
                        self.reading = Reading::Closed;
                    }
                    return Ok(None);
                }
            };
            match found {
                Ok(Found::Step(step)) => return Ok(Some(step)),
                Ok(Found::Nothing) => {}
                Ok(Found::Partial) => {
                    self.is_partial = !input.is_empty();
                    return Ok(if input.fin() { self.end_of_input(output) } else { None });
                }
                Err((_, Broken::Connection(reason))) => return Err(reason),
                Err((id, Broken::Stream(reason))) => {
                    self.glitch().map_err(|_| Reason::H2Calm)?;
                    self.give_up(id, code(reason), output);
                    return Ok(Some(Step::Reset { id, reason: Some(reason) }));
                }
            }
        }
    }

    /// The peer sends nothing more: what is not complete never will be, the rest is answered.
    fn end_of_input<'i>(&mut self, output: &mut Output) -> Option<Step<'i>> {
        let incomplete = self.streams.iter().find(|stream| !stream.is_received).map(|stream| stream.id);
        if let Some(id) = incomplete {
            self.retire(id, output);
            return Some(Step::Reset { id, reason: None });
        }
        self.drain = Drain::Final;
        self.is_partial = false;
        self.block = None;
        self.reading = Reading::Closed;
        None
    }

    fn preface<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Result<Found<'i>, Fault> {
        if !input.is_empty() && !super::is_preface(input.bytes()) {
            return Err(connection(Reason::H2Preface));
        }
        if input.bytes().len() < PREFACE.len() {
            return Ok(Found::Partial);
        }
        input.take(PREFACE.len());
        settings::greet(output.inline(), &self.limits);
        self.reading = Reading::Frames;
        Ok(Found::Nothing)
    }

    /// Takes the next frame, if it is whole; of DATA its head is enough.
    fn frame<'i>(
        &mut self,
        input: &mut Input<'i>,
        table: &mut FieldTable,
        list: &mut FieldList,
        output: &mut Output,
    ) -> Result<Found<'i>, Fault> {
        let bytes = input.bytes();
        let Some(head) = FrameHead::parse(bytes) else { return Ok(Found::Partial) };
        self.may_come(&head)?;
        if head.kind == Kind::Data {
            return self.data(&head, input, output);
        }
        let whole = HEAD_BYTES + head.length as usize;
        if bytes.len() < whole {
            return Ok(Found::Partial);
        }
        let payload = &input.take(whole)[HEAD_BYTES..];
        match head.kind {
            Kind::Headers => return self.headers(&head, payload, table, list),
            Kind::Continuation => return self.continuation(&head, payload, table, list),
            Kind::WindowUpdate => self.window_update(&head, payload)?,
            Kind::RstStream => return self.rst_stream(&head, payload, output),
            Kind::Settings => self.settings(&head, payload, output)?,
            Kind::Ping => self.ping(&head, payload, output)?,
            Kind::Priority => self.priority(&head, payload)?,
            Kind::PriorityUpdate => self.priority_update(&head, payload)?,
            Kind::GoAway => self.go_away(&head)?,
            Kind::PushPromise => return Err(connection(Reason::H2Push)),
            Kind::Unknown => self.glitch()?,
            Kind::Data => {}
        }
        Ok(Found::Nothing)
    }

    /// What holds for every frame.
    #[inline]
    fn may_come(&mut self, head: &FrameHead) -> Result<(), Fault> {
        // RFC 9113 §4.2.
        if head.length > PAYLOAD_BYTES {
            return Err(connection(Reason::H2FrameSize));
        }
        // RFC 9113 §3.4.
        if !self.is_greeted && (head.kind != Kind::Settings || head.has(ACK)) {
            return Err(connection(Reason::H2FirstFrame));
        }
        // RFC 9113 §4.3, §6.10: nothing stands within a header block.
        let block = self.block.as_ref().map(|block| block.opening.id);
        if block != (head.kind == Kind::Continuation).then_some(head.stream) {
            return Err(connection(Reason::H2Continuation));
        }
        Ok(())
    }

    /// RFC 9113 §6.1.
    fn data<'i>(
        &mut self,
        head: &FrameHead,
        input: &mut Input<'i>,
        output: &mut Output,
    ) -> Result<Found<'i>, Fault> {
        if head.stream == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        let padding = if head.has(PADDED) {
            let first = input.bytes().get(HEAD_BYTES).filter(|_| head.length > 0);
            match first {
                Some(&padding) if u32::from(padding) < head.length => 1 + u32::from(padding),
                None if head.length > 0 => return Ok(Found::Partial),
                _ => return Err(connection(Reason::H2Padding)),
            }
        } else {
            0
        };
        input.take(HEAD_BYTES + usize::from(head.has(PADDED)));
        self.receive_window.take(head.length).map_err(|broken| (0, broken))?;
        // The length of the padding is padding, too, and was taken.
        let (left, padding_left) = (head.length - padding, padding.saturating_sub(1));
        let end = head.has(END_STREAM);
        self.reading = Reading::Content(Content { id: 0, left, padding: padding_left, end: false });
        self.give_back(0, u32::from(head.has(PADDED)), output);
        let is_wanted = self.content_may_come(head, left)?;
        if head.has(PADDED) {
            self.give_back_of_stream(head.stream, 1, output);
        }
        if left == 0 && !end {
            self.glitch()?;
        }
        if is_wanted {
            self.reading = Reading::Content(Content { id: head.stream, left, padding: padding_left, end });
        }
        Ok(Found::Nothing)
    }

    /// Whether somebody may want the content of this frame; an error where it must not come.
    fn content_may_come(&mut self, head: &FrameHead, content: u32) -> Result<bool, Fault> {
        let id = head.stream;
        let Some(open) = self.streams.get(id) else {
            return match self.streams.absent(id) {
                Absent::Reset => Ok(false),
                Absent::Closed => Err(connection(Reason::H2StreamClosed)),
                Absent::Idle | Absent::Skipped => Err(connection(Reason::H2StreamIdle)),
            };
        };
        if open.is_received {
            return Err(stream(id, Reason::H2StreamClosed));
        }
        open.receive_window.take(head.length).map_err(|broken| (id, broken))?;
        // RFC 9113 §8.1.1: content is as long as was said.
        if let Some(missing) = &mut open.missing {
            *missing = missing.checked_sub(u64::from(content)).ok_or(stream(id, Reason::H2Length))?;
            if head.has(END_STREAM) && *missing > 0 {
                return Err(stream(id, Reason::H2Length));
            }
        }
        open.awaits_continue = false;
        Ok(true)
    }

    /// The next bytes of a DATA frame, and then its padding.
    fn content<'i>(&mut self, mut content: Content, input: &mut Input<'i>, output: &mut Output) -> Found<'i> {
        let count = input.bytes().len().min(content.left as usize);
        let bytes = input.take(count);
        content.left -= u32::try_from(count).unwrap_or(0);
        if content.left == 0 {
            let padding = input.take(input.bytes().len().min(content.padding as usize)).len();
            let padding = u32::try_from(padding).unwrap_or(0);
            content.padding -= padding;
            self.give_back(content.id, padding, output);
        }
        let end = content.left == 0 && std::mem::take(&mut content.end);
        let is_whole = content.left == 0 && content.padding == 0;
        self.reading = if is_whole { Reading::Frames } else { Reading::Content(content) };
        let id = content.id;
        if bytes.is_empty() && !end {
            return if is_whole { Found::Nothing } else { Found::Partial };
        }
        let is_wanted = self.streams.get(id).is_some_and(|stream| {
            stream.is_received |= end;
            stream.outgoing.is_none()
        });
        if is_wanted {
            return Found::Step(Step::Chunk { id, bytes, end, has_trailer: false });
        }
        // The answer has begun, or the stream is gone: nobody reads this.
        self.give_back(id, u32::try_from(count).unwrap_or(0), output);
        Found::Nothing
    }

    /// RFC 9113 §6.2.
    fn headers<'i>(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        table: &mut FieldTable,
        list: &mut FieldList,
    ) -> Result<Found<'i>, Fault> {
        if head.stream == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if head.stream.is_multiple_of(2) {
            return Err(connection(Reason::H2StreamId));
        }
        let mut block = unpadded(head, payload)?;
        let mut depends_on_itself = false;
        if head.has(PRIORITY) {
            let (dependency, rest) = block.split_at_checked(5).ok_or(connection(Reason::H2FrameSize))?;
            depends_on_itself = depends_on(dependency) == head.stream;
            block = rest;
        }
        let end_stream = head.has(END_STREAM);
        let opening = Opening { id: head.stream, end_stream, depends_on_itself };
        if head.has(END_HEADERS) {
            return self.fields(opening, block, table, list);
        }
        self.block = Some(Box::new(Block { opening, bytes: block.to_vec(), frames: 0 }));
        Ok(Found::Nothing)
    }

    /// RFC 9113 §6.10.
    fn continuation<'i>(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        table: &mut FieldTable,
        list: &mut FieldList,
    ) -> Result<Found<'i>, Fault> {
        let mut block = self.block.take().ok_or(connection(Reason::H2Continuation))?;
        block.bytes.extend_from_slice(payload);
        block.frames += 1;
        if block.bytes.len() > self.limits.block_bytes_max as usize
            || block.frames > self.limits.continuations_max
        {
            return Err(connection(Reason::H2BlockBytes));
        }
        if head.has(END_HEADERS) {
            return self.fields(block.opening, &block.bytes, table, list);
        }
        self.block = Some(block);
        Ok(Found::Nothing)
    }

    /// A whole header block.
    fn fields<'i>(
        &mut self,
        opening: Opening,
        block: &[u8],
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
        match self.streams.absent(id) {
            Absent::Idle => self.request(opening, fit, table, list),
            Absent::Reset => Ok(Found::Nothing),
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
        fit: Fit,
        table: &mut FieldTable,
        list: &mut FieldList,
    ) -> Result<Found<'i>, Fault> {
        let id = opening.id;
        if self.drain == Drain::Final {
            // RFC 9113 §6.8: the client knows, or will know, that it was not looked at.
            return Ok(Found::Nothing);
        }
        self.streams.note(id);
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
            Err(Unfit::Refused(reason)) => (Meaning::UNKNOWN, Some(reason)),
        };
        if opening.end_stream && meaning.length.is_some_and(|length| length > 0) {
            return Err(stream(id, Reason::H2Length));
        }
        self.streams.open(Stream {
            id,
            is_received: opening.end_stream,
            outgoing: None,
            send_window: SendWindow::new(self.peer.window_bytes),
            receive_window: ReceiveWindow::new(self.limits.stream_window_bytes),
            missing: meaning.length,
            priority: meaning.priority,
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
        Ok(Found::Step(Step::Head { id, body }))
    }

    /// RFC 9113 §6.9.
    fn window_update(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let increment = frame::number(payload).ok_or(connection(Reason::H2FrameSize))? & 0x7FFF_FFFF;
        let id = head.stream;
        self.calm.update().map_err(|_| connection(Reason::H2Calm))?;
        if id == 0 {
            return match increment {
                0 => Err(connection(Reason::H2WindowZero)),
                _ => self.send_window.grow(i64::from(increment)).map_err(connection),
            };
        }
        match self.streams.get(id) {
            Some(_) if increment == 0 => Err(stream(id, Reason::H2WindowZero)),
            Some(open) => open.send_window.grow(i64::from(increment)).map_err(|reason| stream(id, reason)),
            None => self.may_be_late(id),
        }
    }

    /// RFC 9113 §6.4.
    fn rst_stream<'i>(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<Found<'i>, Fault> {
        let id = head.stream;
        if payload.len() != 4 {
            return Err(connection(Reason::H2FrameSize));
        }
        if id == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        self.glitch()?;
        if self.streams.get(id).is_none() {
            self.may_be_late(id)?;
            return Ok(Found::Nothing);
        }
        self.retire(id, output);
        Ok(Found::Step(Step::Reset { id, reason: None }))
    }

    /// A frame for a stream that is not open, where that is no fault if it was.
    fn may_be_late(&mut self, id: u32) -> Result<(), Fault> {
        match self.streams.absent(id) {
            Absent::Idle | Absent::Skipped => Err(connection(Reason::H2StreamIdle)),
            Absent::Reset | Absent::Closed => Ok(()),
        }
    }

    /// RFC 9113 §6.5.
    fn settings(&mut self, head: &FrameHead, payload: &[u8], output: &mut Output) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if head.has(ACK) {
            if !payload.is_empty() {
                return Err(connection(Reason::H2FrameSize));
            }
            return if std::mem::replace(&mut self.is_acknowledged, true) { self.glitch() } else { Ok(()) };
        }
        if std::mem::replace(&mut self.is_greeted, true) {
            self.glitch()?;
        }
        let before = self.peer;
        self.peer.update(payload).map_err(|broken| (0, broken))?;
        if self.peer.window_bytes != before.window_bytes {
            // RFC 9113 §6.9.2: the windows of all streams move with it.
            let change = i64::from(self.peer.window_bytes) - i64::from(before.window_bytes);
            for open in self.streams.iter_mut() {
                open.send_window.grow(change).map_err(connection)?;
            }
        }
        if self.peer.table_bytes_max != before.table_bytes_max {
            self.encoder.set_peer_bytes_max(self.peer.table_bytes_max);
        }
        frame::settings_ack(output.inline());
        Ok(())
    }

    /// RFC 9113 §6.7.
    fn ping(&mut self, head: &FrameHead, payload: &[u8], output: &mut Output) -> Result<(), Fault> {
        if payload.len() != 8 {
            return Err(connection(Reason::H2FrameSize));
        }
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if !head.has(ACK) {
            self.glitch()?;
            frame::ping(output.inline(), ACK, payload);
        } else if self.drain == Drain::Announced && payload == FAREWELL {
            self.leave(output);
            self.settle();
        } else {
            self.glitch()?;
        }
        Ok(())
    }

    /// RFC 9113 §6.3: the tree of RFC 7540 is not kept.
    fn priority(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        if id == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        self.glitch()?;
        let is_known = id <= self.streams.last() && !id.is_multiple_of(2);
        // A stream that was never opened cannot be reset.
        let fault = |reason| if is_known { stream(id, reason) } else { connection(reason) };
        if payload.len() != 5 {
            return Err(fault(Reason::H2FrameSize));
        }
        if depends_on(payload) == id { Err(fault(Reason::H2Priority)) } else { Ok(()) }
    }

    /// RFC 9218 §7.1.
    fn priority_update(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        let (id, text) = payload.split_at_checked(4).ok_or(connection(Reason::H2FrameSize))?;
        let id = depends_on(id);
        if id == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        self.glitch()?;
        if let Some(open) = self.streams.get(id) {
            open.priority = Priority::parse(text);
        }
        Ok(())
    }

    /// RFC 9113 §6.8: the client opens no more streams; those that are open are answered.
    fn go_away(&mut self, head: &FrameHead) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if (head.length as usize) < 8 {
            return Err(connection(Reason::H2FrameSize));
        }
        self.glitch()
    }

    /// So many bytes of the content of `id` were used: what the peer may send for them. 0: of nobody's.
    pub(super) fn give_back(&mut self, id: u32, bytes: u32, output: &mut Output) {
        if bytes == 0 {
            return;
        }
        if let Some(increment) = self.receive_window.give(bytes, self.limits.connection_window_bytes_max) {
            frame::window_update(output.inline(), 0, increment);
        }
        self.give_back_of_stream(id, bytes, output);
    }

    fn give_back_of_stream(&mut self, id: u32, bytes: u32, output: &mut Output) {
        if id == 0 {
            return;
        }
        let size_max = self.limits.stream_window_bytes_max;
        let Some(open) = self.streams.get(id).filter(|stream| !stream.is_received) else { return };
        if let Some(increment) = open.receive_window.give(bytes, size_max) {
            frame::window_update(output.inline(), id, increment);
        }
    }

    fn glitch(&mut self) -> Result<(), Fault> {
        self.calm.glitch().map_err(|_| connection(Reason::H2Calm))
    }
}

/// The payload without its padding: RFC 9113 §6.1, §6.2.
fn unpadded<'i>(head: &FrameHead, payload: &'i [u8]) -> Result<&'i [u8], Fault> {
    if !head.has(PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(connection(Reason::H2FrameSize))?;
    let length = rest.len().checked_sub(usize::from(padding)).ok_or(connection(Reason::H2Padding))?;
    Ok(&rest[..length])
}

/// The number of the stream at the beginning of a payload.
fn depends_on(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) & 0x7FFF_FFFF)
}
