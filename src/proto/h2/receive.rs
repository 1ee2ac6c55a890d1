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
//! An even number is idle for ever; one that was passed over is no stream (conn PROTOCOL); one that is used
//! behind the end of the connection (RFC 9113 §6.8) is as if reset by us. What HEADERS and the frames without
//! content do is said in `headers` and `control`.

use super::aside::Aside;
use super::error::{Broken, code};
use super::flow::ReceiveWindow;
use super::frame::{self, ACK, END_STREAM, FrameHead, HEAD_BYTES, Kind, PADDED, PAYLOAD_BYTES, PREFACE};
use super::streams::Absent;
use super::{Drain, Reading, Server, settings};
use crate::http::{Arrival, FieldTable, Reason};
use crate::proto::hpack::FieldList;
use crate::wire::{Input, Output};

/// What came out of the input.
#[derive(Debug)]
pub(super) enum Step<'i> {
    /// A request; the frame that it came in, if that was one.
    Head {
        id: u32,
        body: Arrival<'i>,
        frame: &'i [u8],
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

/// What came of looking at the input.
pub(super) enum Found<'i> {
    Step(Step<'i>),
    /// Something that only the machine wants to know.
    Nothing,
    /// The rest is missing.
    Partial,
}

/// An error and the stream that it is about.
pub(super) type Fault = (u32, Broken);

pub(super) const fn connection(reason: Reason) -> Fault {
    (0, Broken::Connection(reason))
}

pub(super) const fn stream(id: u32, reason: Reason) -> Fault {
    (id, Broken::Stream(reason))
}

impl Server {
    /// Whether what the connection takes for unused is kept for its streams, or on its way for one that is
    /// over.
    pub(super) fn is_balanced(&self) -> bool {
        let kept: u32 = self.streams.iter().map(|stream| stream.receive_window.unused()).sum();
        match self.reading {
            Reading::Over | Reading::Closed => true,
            Reading::Content(content) if self.streams.iter().all(|stream| stream.id != content.id) => {
                self.receive_window.unused() == kept + content.on_its_way(content.id)
            }
            _ => self.receive_window.unused() == kept,
        }
    }

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
            if self.aside.block_of().is_none() && !matches!(found, Ok(Found::Partial)) {
                self.wholes = self.wholes.wrapping_add(1);
            }
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
        self.aside = Aside::default();
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
        let frame = input.take(whole);
        let payload = &frame[HEAD_BYTES..];
        match head.kind {
            Kind::Headers => return self.headers(&head, frame, table, list),
            Kind::Continuation => return self.continuation(&head, payload, table, list),
            Kind::WindowUpdate => self.window_update(&head, payload)?,
            Kind::RstStream => return self.rst_stream(&head, payload, output),
            Kind::Settings => self.settings(&head, payload, output)?,
            Kind::Ping => self.ping(&head, payload, output)?,
            Kind::Priority => self.priority(&head, payload)?,
            Kind::PriorityUpdate => self.priority_update(&head, payload)?,
            Kind::GoAway => self.go_away(&head, output)?,
            Kind::PushPromise => return Err(connection(Reason::H2Push)),
            Kind::Unknown => self.glitch()?,
            Kind::Data => {}
        }
        Ok(Found::Nothing)
    }

    /// What holds for every frame.
    #[inline]
    fn may_come(&self, head: &FrameHead) -> Result<(), Fault> {
        // RFC 9113 §4.2.
        if head.length > PAYLOAD_BYTES {
            return Err(connection(Reason::H2FrameSize));
        }
        // RFC 9113 §3.4.
        if !self.is_greeted && (head.kind != Kind::Settings || head.has(ACK)) {
            return Err(connection(Reason::H2FirstFrame));
        }
        // RFC 9113 §4.3, §6.10: nothing stands within a header block.
        let block = self.aside.block_of();
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
                None => return Err(connection(Reason::H2FrameSize)),
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
            self.give_back_of_stream(head.stream, 1, 0, output);
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
            return match self.absent(id) {
                Absent::Reset => self.late_content(content).map(|()| false),
                Absent::Closed => Err(connection(Reason::H2StreamClosed)),
                Absent::Idle | Absent::Skipped => Err(connection(Reason::H2StreamIdle)),
            };
        };
        if open.is_received {
            return Err(stream(id, Reason::H2StreamClosed));
        }
        // RFC 9113 §8.1.1: content is as long as was said.
        if let Some(missing) = &mut open.missing {
            *missing = missing.checked_sub(u64::from(content)).ok_or_else(|| stream(id, Reason::H2Length))?;
            if head.has(END_STREAM) && *missing > 0 {
                return Err(stream(id, Reason::H2Length));
            }
        }
        open.receive_window.take(head.length).map_err(|broken| (id, broken))?;
        open.awaits_continue = false;
        Ok(true)
    }

    /// RFC 9113 §5.1: what was on its way when its stream was reset is no fault. What comes beyond that, or
    /// is nothing, is of no use.
    fn late_content(&mut self, content: u32) -> Result<(), Fault> {
        match self.late_bytes.checked_sub(content) {
            Some(left) if content > 0 => self.late_bytes = left,
            _ => self.glitch()?,
        }
        Ok(())
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
        let count = u32::try_from(count).unwrap_or(0);
        self.give_back(0, count, output);
        self.give_back_of_stream(id, count, 0, output);
        Found::Nothing
    }

    /// So many bytes of the content of `id` were used: what the peer may send for them. 0: of nobody's, for
    /// which no window grows.
    pub(super) fn give_back(&mut self, id: u32, bytes: u32, output: &mut Output) {
        if bytes == 0 {
            return;
        }
        let size_max = if id == 0 { 0 } else { self.window_bytes_max() };
        self.give_back_of_connection(bytes, size_max, output);
        self.give_back_of_stream(id, bytes, self.limits.stream_window_bytes_max, output);
    }

    /// Lets the window of the connection grow by what its streams hold, if little else is left of it.
    pub(super) fn make_room(&mut self, output: &mut Output) {
        let (before, size_max) = (self.receive_window, self.window_bytes_max());
        let increment = self.receive_window.make_room(self.limits.connection_window_bytes, size_max);
        self.tell_window(before, increment, output);
    }

    fn give_back_of_connection(&mut self, bytes: u32, size_max: u32, output: &mut Output) {
        let before = self.receive_window;
        let increment = self.receive_window.give(bytes, before.unused().saturating_sub(bytes), size_max);
        self.tell_window(before, increment, output);
    }

    /// Says by how much more the peer may send than before, which counts as far as the window has grown.
    fn tell_window(&mut self, before: ReceiveWindow, increment: Option<u32>, output: &mut Output) {
        if let Some(increment) = increment {
            self.growth_bytes_left -= self.receive_window.grown(before.grown(0));
            frame::window_update(output.inline(), 0, increment);
        }
    }

    /// What the window of the connection may grow to now, as far as the others are concerned.
    fn window_bytes_max(&self) -> u32 {
        self.receive_window.size_max(self.growth_bytes_left, self.limits.connection_window_bytes_max)
    }

    fn give_back_of_stream(&mut self, id: u32, bytes: u32, size_max: u32, output: &mut Output) {
        let Some(open) = self.streams.get(id) else { return };
        open.receive_window.keep(bytes);
        if let Some(increment) = open.take_credit(size_max) {
            frame::window_update(output.inline(), id, increment);
        }
    }

    /// What it means that `id` is not open.
    pub(super) fn absent(&self, id: u32) -> Absent {
        match self.streams.absent(id) {
            // RFC 9113 §6.8: the client knows, or will know, that nobody looks at what it opens now.
            Absent::Idle if self.drain == Drain::Final && !id.is_multiple_of(2) => Absent::Reset,
            absent => absent,
        }
    }

    pub(super) fn glitch(&mut self) -> Result<(), Fault> {
        self.calm.glitch().map_err(|_| connection(Reason::H2Calm))
    }
}
