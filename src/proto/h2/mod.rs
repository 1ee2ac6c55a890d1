//! HTTP/2: the machine of one connection. RFC 9113, RFC 9218.
//!
//! ```text
//!  reading   Preface ──24 bytes──► Frames ◄──────────► Content        ──broken──► Over
//!                                    │ ▲    DATA │ all of it
//!                                    ▼ │
//!                                   Block (HEADERS … CONTINUATION: nothing else in between)
//!
//!  drain     No ──► Wanted ──GOAWAY 2³¹-1, PING──► Announced ──its answer──► Final: GOAWAY last
//! ```
//! Control flow only; what the bytes mean is said in the rooms behind it:
//!
//! | file | question |
//! | --- | --- |
//! | `frame`, `settings` | how does a frame look, and what may it say? |
//! | `streams`, `flow`, `priority` | which exchanges are open, how much may be sent, and whose turn is it? |
//! | `request` | which request do these fields make? |
//! | `receive`, `headers`, `control` | what does each frame do? |
//! | `encode`, `outgoing` | how does an answer leave? |
//! | `aside` | what do few connections need? |
//! | `error`, `calm`, `limits` | what is refused, and how far does that reach? |
//!
//! Frames are taken whole, DATA as it comes; everything is written straight into the output. A connection
//! that rests owns its two tables of HPACK, as far as they were used, and nothing else. Knows no clock, no
//! socket and no route.

mod aside;
mod calm;
mod control;
mod encode;
mod error;
mod flow;
mod frame;
mod headers;
mod limits;
mod outgoing;
mod priority;
mod receive;
mod request;
mod settings;
mod streams;

pub use limits::{LIST_BYTES_MAX, Limits};
pub use streams::Room;

use std::sync::Arc;

use aside::Aside;
use calm::Calm;
use encode::{Place, Plan};
use error::{ErrorCode, code};
use flow::{ReceiveWindow, SendWindow};
use frame::{END_STREAM, Kind, PAYLOAD_BYTES_MAX, PREFACE};
use limits::WINDOW_BYTES;
use outgoing::{Allowance, Outgoing, Sent};
use receive::{Content, Step};
use settings::PeerSettings;
use streams::Streams;

use super::{Encoding, Gone, Protocol, Pumped, Slate, hpack};
use crate::base::Tick;
use crate::http::{Body, Event, Head, Phase, Reason, Rendered, Response, StreamId};
use crate::wire::{Input, Output, QUEUED_BYTES_HIGH};

/// The server's side of one connection.
#[derive(Debug)]
pub struct Server {
    limits: Arc<Limits>,
    reading: Reading,
    aside: Aside,
    streams: Streams,
    decoder: hpack::Decoder,
    encoder: hpack::Encoder,
    peer: PeerSettings,
    send_window: SendWindow,
    receive_window: ReceiveWindow,
    calm: Calm,
    drain: Drain,
    content_bytes_sent: u32,
    /// Content that may be on its way for streams that were reset: RFC 9113 §5.1.
    late_bytes: u32,
    /// What the window may grow by in this turn, as far as the other connections are concerned.
    growth_bytes_left: u32,
    /// What it has grown by, as far as the others know.
    growth_bytes_taken: u32,
    /// Handlers at work on streams that are gone: each counts as one.
    ghosts: u16,
    /// The peer's first frame, SETTINGS, has come; ours was answered.
    is_greeted: bool,
    is_acknowledged: bool,
    /// The beginning of a frame is here, and the rest is not.
    is_partial: bool,
    /// Frames that came whole, and header blocks in several as one.
    wholes: u16,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The 24 bytes that every connection begins with.
    Preface,
    /// A frame.
    Frames,
    /// The rest of a DATA frame.
    Content(Content),
    /// Bytes that nobody reads.
    Over,
    /// Nothing.
    Closed,
}

/// How far the end was announced: RFC 9113 §6.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    No,
    Wanted,
    Announced,
    Final,
}

/// What a PING says whose answer shows that the peer knows of the end.
const FAREWELL: &[u8; 8] = b"farewell";

/// Whether these bytes begin as a connection of HTTP/2 does, as far as they go.
pub fn is_preface(bytes: &[u8]) -> bool {
    let length = bytes.len().min(PREFACE.len());
    length > 0 && bytes[..length] == PREFACE[..length]
}

impl Server {
    /// A connection on which nothing has arrived.
    ///
    /// # Panics
    /// If the limits do not fit each other ([`Limits::are_sound`], debug builds).
    pub fn new(limits: impl Into<Arc<Limits>>) -> Self {
        let limits = limits.into();
        debug_assert!(limits.are_sound());
        Self {
            reading: Reading::Preface,
            aside: Aside::default(),
            streams: Streams::default(),
            decoder: hpack::Decoder::new(),
            encoder: hpack::Encoder::new(hpack::TABLE_BYTES),
            peer: PeerSettings::DEFAULT,
            send_window: SendWindow::new(WINDOW_BYTES),
            receive_window: ReceiveWindow::new(limits.connection_window_bytes),
            calm: Calm::new(&limits),
            drain: Drain::No,
            content_bytes_sent: 0,
            late_bytes: 0,
            growth_bytes_left: 0,
            growth_bytes_taken: 0,
            ghosts: 0,
            is_greeted: false,
            is_acknowledged: false,
            is_partial: false,
            wholes: 0,
            limits,
        }
    }

    /// A turn begins, with what its shard's connections share. `ghosts`: handlers that still work for streams
    /// that are gone.
    #[inline]
    pub fn begin_turn(&mut self, now: Tick, ghosts: usize, room: &mut Room) {
        self.streams.take_room(room);
        self.growth_bytes_left = room.growth_bytes_left;
        self.ghosts = u16::try_from(ghosts).unwrap_or(u16::MAX);
        self.calm.fill(now, &self.limits);
    }

    /// The handler of a stream that is gone still works.
    pub const fn note_ghost(&mut self) {
        self.ghosts = self.ghosts.saturating_add(1);
    }

    /// A turn ends: a connection without streams gives back the room for them, and what the others hold does
    /// not hold up who reads.
    #[inline]
    pub fn end_turn(&mut self, room: &mut Room, output: &mut Output) {
        if self.streams.is_empty() {
            self.streams.give_room(room);
        } else {
            self.make_room(output);
        }
        let grown = self.receive_window.grown(self.limits.connection_window_bytes);
        // Between turns letters may let it grow: no more is taken, or given back, than there was.
        let taken = (grown - self.growth_bytes_taken).min(room.growth_bytes_left);
        room.growth_bytes_left -= taken;
        self.growth_bytes_taken += taken;
    }

    /// The connection ends, and its windows with it.
    pub fn leave_room(&mut self, room: &mut Room) {
        room.growth_bytes_left += std::mem::take(&mut self.growth_bytes_taken);
    }

    /// Whether the client has yet to acknowledge our settings: RFC 9113 §6.5.3.
    #[inline]
    pub const fn awaits_acknowledgement(&self) -> bool {
        !self.is_acknowledged && !matches!(self.reading, Reading::Over | Reading::Closed)
    }

    /// Whether more bytes of the client would be looked at.
    #[inline]
    pub const fn wants_bytes(&self) -> bool {
        !matches!(self.reading, Reading::Over | Reading::Closed)
    }

    /// Whether the rest of a frame, or of a header block, is missing.
    #[inline]
    pub fn is_within_head(&self) -> bool {
        self.is_partial || self.aside.block_of().is_some() || matches!(self.reading, Reading::Preface)
    }

    /// How many frames came whole, header blocks in several counted as one; it begins anew after the last.
    #[inline]
    pub const fn wholes(&self) -> u16 {
        self.wholes
    }

    /// Whether the end was announced, and the client may not know of it yet.
    #[inline]
    pub fn is_leaving(&self) -> bool {
        self.drain == Drain::Announced
    }

    /// The client has had time enough to know of the end.
    pub fn leave(&mut self, output: &mut Output) {
        if self.drain == Drain::Announced {
            self.drain = Drain::Final;
            frame::go_away(output.inline(), self.streams.last(), ErrorCode::NoError, "");
            self.settle();
        }
    }

    /// Ends a connection that has nothing open.
    pub fn part(&mut self, output: &mut Output) {
        self.break_off(None, output);
    }

    /// Whether an answer waits for the client to open a window.
    pub fn is_held_up(&self) -> bool {
        self.streams.iter().any(|stream| stream.is_held_up(self.send_window))
    }

    /// Whether that of `stream` does.
    pub fn holds_up(&mut self, stream: StreamId) -> bool {
        let connection = self.send_window;
        self.streams.get(number(stream)).is_some_and(|stream| stream.is_held_up(connection))
    }

    /// Whether all answers wait for a client that can open no window any more: it has closed its side.
    pub fn is_deserted(&self) -> bool {
        self.reading == Reading::Closed
            && !self.streams.is_empty()
            && self.streams.iter().all(|stream| stream.is_held_up(self.send_window))
    }

    /// Whether the answer of `stream` has begun, and there is more of it.
    #[inline]
    pub fn is_sending(&mut self, stream: StreamId) -> bool {
        let open = if self.streams.is_empty() { None } else { self.streams.get(number(stream)) };
        open.is_some_and(|stream| stream.outgoing.is_some())
    }

    /// Whether the request of an open stream is a HEAD.
    pub fn is_head(&mut self, stream: StreamId) -> bool {
        self.streams.get(number(stream)).is_some_and(|stream| stream.is_head)
    }

    /// Whether an answer could go on if the output had room.
    pub fn has_due(&self) -> bool {
        self.streams.due(self.send_window.left() > 0).is_some()
    }

    /// All content that was ever sent, in bytes; begins anew behind 4 GiB.
    #[inline]
    pub const fn content_bytes_sent(&self) -> u32 {
        self.content_bytes_sent
    }

    /// Whether the client may send no content until some of what it has sent was used.
    pub const fn is_full(&self) -> bool {
        self.receive_window.left() == 0
    }

    /// Gives `stream` up, and tells its client why.
    pub fn reset(&mut self, stream: StreamId, reason: Reason, output: &mut Output) {
        let id = number(stream);
        if self.streams.get(id).is_some() {
            self.give_up(id, code(reason), output);
        }
    }

    /// Ends the connection: RFC 9113 §5.4.1.
    fn break_off(&mut self, reason: Option<Reason>, output: &mut Output) {
        if !matches!(self.reading, Reading::Over | Reading::Closed) {
            let (code, why) = reason.map_or((ErrorCode::NoError, ""), |reason| (code(reason), reason.code()));
            frame::go_away(output.inline(), self.streams.last(), code, why);
        }
        self.reading = Reading::Over;
        // Nothing is said behind it.
        self.drain = Drain::Final;
        self.aside = Aside::default();
        self.streams = Streams::default();
    }

    /// Transitions that no single frame makes.
    #[inline]
    fn settle(&mut self) {
        if self.drain == Drain::Final && self.streams.is_empty() && !matches!(self.reading, Reading::Over) {
            self.reading = Reading::Closed;
        }
    }

    /// Says what is due of an announced end.
    fn announce(&mut self, output: &mut Output) {
        if self.drain != Drain::Wanted || matches!(self.reading, Reading::Preface) {
            return;
        }
        self.drain = Drain::Announced;
        let out = output.inline();
        frame::go_away(out, i32::MAX.cast_unsigned(), ErrorCode::NoError, "");
        frame::ping(out, 0, FAREWELL);
    }

    /// The answer to a stream has ended; the request may not have.
    #[inline]
    fn close(&mut self, id: u32, is_received: bool, output: &mut Output) {
        if is_received {
            self.retire(id, output);
        } else {
            // RFC 9113 §8.1: nobody reads the rest.
            self.give_up(id, ErrorCode::NoError, output);
        }
    }

    /// Resets a stream, whether it is open or not.
    fn give_up(&mut self, id: u32, code: ErrorCode, output: &mut Output) {
        frame::rst_stream(output.inline(), id, code);
        self.streams.note_reset(id);
        let late_bytes = match self.streams.get(id) {
            Some(stream) if stream.is_received => 0,
            Some(stream) => stream.receive_window.left(),
            None => self.limits.stream_window_bytes + self.unknown_shrinkage(),
        };
        let late_bytes = self.late_bytes.saturating_add(late_bytes);
        self.late_bytes = late_bytes.min(self.receive_window.left());
        self.retire(id, output);
    }

    /// The stream is over. What was received of it and not used is used now.
    #[inline]
    fn retire(&mut self, id: u32, output: &mut Output) {
        if let Some(stream) = self.streams.close(id) {
            let on_its_way = match self.reading {
                Reading::Content(content) => content.on_its_way(id),
                _ => 0,
            };
            let unused = stream.receive_window.unused().saturating_sub(on_its_way);
            self.give_back(0, unused, output);
        }
        self.settle();
    }

    /// Sends a small body behind its head, if it can leave at once; whether it did.
    #[inline]
    fn send_inline(&mut self, id: u32, body: &[u8], output: &mut Output) -> bool {
        let has_room = output.unsent_bytes() < QUEUED_BYTES_HIGH as u64;
        let Some(stream) = self.streams.get(id) else { return true };
        let window = stream.send_window.left().min(self.send_window.left());
        if body.len() > window.min(PAYLOAD_BYTES_MAX) || !has_room {
            return false;
        }
        stream.send_window.take(body.len());
        self.send_window.take(body.len());
        add(&mut self.content_bytes_sent, body.len());
        let is_received = stream.is_received;
        let out = output.inline();
        out.extend_from_slice(&frame::head(body.len(), Kind::Data, END_STREAM, id));
        out.extend_from_slice(body);
        self.calm.sent_data(&self.limits);
        self.close(id, is_received, output);
        true
    }
}

impl Protocol for Server {
    #[inline]
    fn poll<'h, 'i: 'h>(
        &mut self,
        input: &mut Input<'i>,
        slate: Slate<'h>,
        output: &mut Output,
    ) -> Result<Option<Event<'h>>, Reason> {
        let Slate { table, list } = slate;
        let step = self.receive(input, table, list, output)?;
        debug_assert!(self.is_balanced(), "a window of the connection that is not given back");
        let Some(step) = step else { return Ok(None) };
        Ok(Some(match step {
            Step::Head { id, body, frame } => {
                let head = Head::new(list.bytes(), table).in_frame(frame);
                Event::Head { stream: StreamId(u64::from(id)), head, body }
            }
            Step::Chunk { id, bytes, end, has_trailer } => Event::Chunk {
                stream: StreamId(u64::from(id)),
                bytes,
                end,
                trailer: has_trailer.then(|| Head::new(list.bytes(), table)),
            },
            Step::Reset { id, reason } => Event::Reset { stream: StreamId(u64::from(id)), reason },
            Step::Refused { id, reason } => Event::Refused { stream: StreamId(u64::from(id)), reason },
        }))
    }

    fn want_body(&mut self, stream: StreamId, output: &mut Output) {
        let Some(stream) = self.streams.get(number(stream)) else { return };
        if std::mem::take(&mut stream.awaits_continue) && !stream.is_received {
            let (out, stream) = (output.inline(), stream.id);
            Place { out, encoder: &mut self.encoder, stream }.go_on();
        }
    }

    fn consume(&mut self, stream: StreamId, bytes: usize, output: &mut Output) {
        // Of a stream that is over everything was given back.
        if self.streams.get(number(stream)).is_some() {
            self.give_back(number(stream), u32::try_from(bytes).unwrap_or(u32::MAX), output);
        }
    }

    fn respond(
        &mut self,
        stream: StreamId,
        response: &mut Response,
        encoding: &mut Encoding<'_>,
    ) -> Result<(), Gone> {
        let id = number(stream);
        let stream = self.streams.get(id).filter(|stream| stream.outgoing.is_none()).ok_or(Gone)?;
        let (is_received, plan) = (stream.is_received, Plan::new(response, stream.is_head));
        let out = encoding.output.inline();
        let mut place = Place { out, encoder: &mut self.encoder, stream: id };
        place.head(response, encoding.preset, plan);
        // RFC 9113 §8.2.2: there is no such field here, but what it means can be said.
        if response.closes() && response.reason().is_none() {
            self.drain();
        }
        if !plan.has_body {
            self.close(id, is_received, encoding.output);
            return Ok(());
        }
        let is_sent = match response.body() {
            Body::Arena => self.send_inline(id, response.arena_bytes(), encoding.output),
            Body::Static(bytes) => self.send_inline(id, bytes, encoding.output),
            Body::Shared(bytes) => self.send_inline(id, bytes, encoding.output),
            Body::Empty | Body::File { .. } | Body::Source(_) => false,
        };
        if !is_sent {
            let length = response.length();
            self.move_body(id, response.take_body(), length);
        }
        Ok(())
    }

    #[inline]
    fn respond_rendered(
        &mut self,
        stream: StreamId,
        rendered: &Rendered,
        encoding: &mut Encoding<'_>,
    ) -> Result<(), Gone> {
        let id = number(stream);
        let stream = self.streams.get(id).filter(|stream| stream.outgoing.is_none()).ok_or(Gone)?;
        let (is_received, has_body) = (stream.is_received, !stream.is_head && rendered.body_bytes() > 0);
        let out = encoding.output.inline();
        Place { out, encoder: &mut self.encoder, stream: id }.rendered(rendered, encoding.preset, has_body);
        if rendered.closes() {
            self.drain();
        }
        if !has_body {
            self.close(id, is_received, encoding.output);
        } else if !self.send_inline(id, rendered.body(), encoding.output) {
            self.move_body(id, Body::Shared(rendered.shared_body()), None);
        }
        Ok(())
    }

    fn refuse(&mut self, response: &mut Response, encoding: &mut Encoding<'_>) {
        self.break_off(response.reason(), encoding.output);
    }

    fn due(&self, output: &Output) -> Option<StreamId> {
        if self.streams.is_empty() || output.unsent_bytes() >= QUEUED_BYTES_HIGH as u64 {
            return None;
        }
        self.streams.due(self.send_window.left() > 0).map(|id| StreamId(u64::from(id)))
    }

    fn wake(&mut self, stream: StreamId) {
        let outgoing = self.streams.get(number(stream)).and_then(|stream| stream.outgoing.as_mut());
        if let Some(outgoing) = outgoing {
            outgoing.wake();
        }
    }

    fn pump(&mut self, stream: StreamId, encoding: &mut Encoding<'_>) -> (Pumped, u64) {
        let id = number(stream);
        let Some(stream) = self.streams.get(id) else { return (Pumped::Nothing, 0) };
        let Some(outgoing) = &mut stream.outgoing else { return (Pumped::Nothing, 0) };
        let queued = usize::try_from(encoding.output.unsent_bytes()).unwrap_or(usize::MAX);
        let allowance = Allowance {
            stream: &mut stream.send_window,
            connection: &mut self.send_window,
            takes_trailers: stream.takes_trailers,
        };
        let room = QUEUED_BYTES_HIGH.saturating_sub(queued);
        let before = allowance.connection.left();
        let sent = outgoing.send(id, allowance, room, encoding.output, encoding.timeline);
        let is_received = stream.is_received;
        let moved = before - self.send_window.left();
        add(&mut self.content_bytes_sent, moved);
        let body_bytes = moved as u64;
        self.calm.sent_data(&self.limits);
        match sent {
            Sent::Part => {
                self.streams.served(id);
                return (Pumped::Full, body_bytes);
            }
            Sent::Asleep(wait) => return (Pumped::Waiting(wait), body_bytes),
            Sent::Failed(pumped) => {
                self.reset(StreamId(u64::from(id)), Reason::HandlerDropped, encoding.output);
                return (pumped, body_bytes);
            }
            Sent::AllButTrailer => {
                let out = encoding.output.inline();
                Place { out, encoder: &mut self.encoder, stream: id }.trailer(outgoing.trailer());
            }
            Sent::Whole => {}
        }
        self.close(id, is_received, encoding.output);
        (Pumped::Nothing, body_bytes)
    }

    fn phase(&self) -> Phase {
        match self.reading {
            Reading::Over => return Phase::Lingering,
            Reading::Closed if self.streams.is_empty() => return Phase::Closed,
            _ => {}
        }
        if self.streams.is_empty() {
            return if self.is_within_head() { Phase::Head } else { Phase::Idle };
        }
        if self.streams.iter().any(|stream| stream.outgoing.is_some()) {
            Phase::Sending
        } else if self.streams.iter().any(|stream| !stream.is_received && !stream.awaits_continue) {
            Phase::Body
        } else {
            Phase::Handling
        }
    }

    fn drain(&mut self) {
        if self.drain == Drain::No {
            self.drain = Drain::Wanted;
        }
    }

    fn attend(&mut self, output: &mut Output) {
        self.announce(output);
    }
}

impl Server {
    /// What is left of a body waits for its turn.
    fn move_body(&mut self, id: u32, body: Body, length: Option<u64>) {
        if let Some(stream) = self.streams.get(id) {
            stream.outgoing = Some(Box::new(Outgoing::new(body, length)));
        }
    }
}

/// Counts bytes of a frame, which are few.
#[inline]
fn add(sum: &mut u32, bytes: usize) {
    *sum = sum.wrapping_add(u32::try_from(bytes).unwrap_or(u32::MAX));
}

/// The number on the wire: 31 bits.
#[inline]
fn number(stream: StreamId) -> u32 {
    u32::try_from(stream.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FieldTable;
    use crate::proto::hpack::FieldList;

    #[test]
    fn a_connection_that_rests_stays_small() {
        assert!(size_of::<Server>() <= 272, "{}", size_of::<Server>());
    }

    /// A client whose content is used at once, if it is wanted, in frames of 10,000 bytes, on a connection of
    /// the room; so many bytes arrive at a time.
    fn upload(server: &mut Server, room: &mut Room, frames: usize, is_wanted: bool, piece: usize) {
        let (mut table, mut list, mut output) = (FieldTable::new(), FieldList::new(), Output::default());
        let mut bytes = PREFACE.to_vec();
        frame::settings(&mut bytes, &[]);
        let at = frame::begin(&mut bytes);
        bytes.extend_from_slice(b"\x83\x86\x84\x41\x01x");
        frame::finish(&mut bytes, at, Kind::Headers, frame::END_HEADERS, 1);
        for _ in 0..frames {
            bytes.extend_from_slice(&frame::head(10_000, Kind::Data, 0, 1));
            bytes.resize(bytes.len() + 10_000, b'x');
        }
        let (mut from, mut to) = (0, 0);
        while to < bytes.len() {
            to = bytes.len().min(to.saturating_add(piece));
            let mut input = Input::new(&bytes[from..to], false);
            server.begin_turn(Tick::from_millis(1), 0, room);
            loop {
                let slate = Slate { table: &mut table, list: &mut list };
                match server.poll(&mut input, slate, &mut output) {
                    Ok(None) => break,
                    Ok(Some(Event::Chunk { stream, bytes, .. })) => {
                        let count = bytes.len();
                        server.consume(stream, count, &mut output);
                    }
                    Ok(Some(Event::Head { .. })) if is_wanted => {}
                    Ok(Some(Event::Head { stream, .. })) => {
                        server.reset(stream, Reason::HandlerDropped, &mut output);
                    }
                    other => panic!("{other:?}"),
                }
            }
            from = to - input.bytes().len();
            server.end_turn(room, &mut output);
        }
    }

    #[test]
    fn a_window_grows_with_use_however_the_bytes_arrive() {
        let grown = [usize::MAX, 65_536, 10_000, 999].map(|piece| {
            let (mut room, mut server) = (Room::new(u32::MAX), Server::new(Limits::DEFAULT));
            upload(&mut server, &mut room, 30, true, piece);
            server.receive_window.grown(Limits::DEFAULT.connection_window_bytes)
        });
        assert_eq!(grown, [256 * 1024; 4]);
    }

    #[test]
    fn windows_grow_with_use_within_what_all_connections_share() {
        let growth_bytes_max = 300_000;
        let mut room = Room::new(growth_bytes_max);
        let mut servers = [(); 3].map(|()| Server::new(Limits::DEFAULT));
        let mut grown = Vec::new();
        for server in &mut servers {
            upload(server, &mut room, 30, true, usize::MAX);
            grown.push(server.receive_window.grown(Limits::DEFAULT.connection_window_bytes));
        }
        assert_eq!(grown.iter().sum::<u32>() + room.growth_bytes_left(), growth_bytes_max);
        assert!(grown[0] > 200_000 && room.growth_bytes_left() == 0, "{grown:?}");
        for server in &mut servers {
            server.leave_room(&mut room);
        }
        assert_eq!(room.growth_bytes_left(), growth_bytes_max, "who leaves gives back what it had");
    }

    #[test]
    fn no_window_grows_for_what_nobody_reads() {
        let (mut room, mut server) = (Room::new(u32::MAX), Server::new(Limits::DEFAULT));
        upload(&mut server, &mut room, 300, false, usize::MAX);
        assert_eq!(server.receive_window.grown(Limits::DEFAULT.connection_window_bytes), 0);
    }
}
