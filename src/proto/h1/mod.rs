//! HTTP/1.0 and 1.1: the machine of one connection. RFC 9110, RFC 9112.
//!
//! ```text
//!   recv                                      send
//!   Head ──head──► Body ──end──► Done         Idle ──head──► Owed ──respond──► Sending ──end──► Answered
//!     ▲      └───no body or whole──▲           ▲                 └──whole answer at once───────────▲
//!     │                            │           │                                                   │
//!     └────────────────────────────┴──settle───┴───────────────────────────────────────────────────┘
//!
//!   an answer that closes:  (Done, Answered)            ──► Closed
//!   a body nobody reads:    (Body, answer begun)        ──► drained if short, else Lingering
//!   a broken peer:          (Lingering, Idle or Owed)   ──refuse──► (Lingering, Answered)
//! ```
//! Control flow only; what the bytes mean is said in the rooms behind it:
//!
//! | file | question |
//! | --- | --- |
//! | `parse`, `scan` | which lines are whole, and where do their parts begin? |
//! | `request_line`, `fields` | which lines are well-formed? |
//! | `framing` | where does the body end, does the connection persist? |
//! | `body`, `chunk` | which bytes are the body's? |
//! | `encode` | how does an answer begin? |
//! | `limits` | how much may a client ask for? |
//!
//! One request is answered at a time: the next head is parsed when the answer is complete and the body
//! before it was taken (RFC 9112 §9.3.2). Knows no clock, no socket and no route.

mod body;
mod chunk;
mod encode;
mod fields;
mod framing;
mod limits;
mod parse;
mod request_line;

pub use limits::Limits;

use std::sync::Arc;

use body::{Decoder, Encoder, Outgoing};
use bytes::Bytes;
use encode::Plan;
use framing::{Exchange, Framing};
use parse::Progress;

use super::{Encoding, Gone, Protocol, Pumped, Slate};
use crate::http::{Arrival, Body, Event, FieldTable, Head, Phase, Reason, Rendered, Response, StreamId};
use crate::wire::{Input, Output};

/// The rest of an unread body that is worth reading to keep the connection, in bytes.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;

/// Whether these bytes may be the beginning of a request: of a method.
pub fn may_be(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

/// The server's side of one connection. Owns no buffer; a box only while a body is on its way.
#[derive(Debug)]
pub struct Server {
    limits: Arc<Limits>,
    bodies: Option<Box<Bodies>>,
    /// The number of the current exchange, or of the one before.
    serial: u32,
    recv: Recv,
    send: Send,
    exchange: Exchange,
    is_draining: bool,
    /// What both halves together wait for: asked much more often than it changes.
    phase: Phase,
}

/// What the incoming half waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recv {
    /// The rest of a head.
    Head(Progress),
    /// The rest of a body: its decoder is among the [`Bodies`].
    Body,
    /// The answer: the request is complete.
    Done,
    /// The end of bytes that nobody reads.
    Lingering,
    /// Nothing.
    Closed,
}

/// What the outgoing half owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Send {
    /// Nothing: there is no exchange.
    Idle,
    /// An answer.
    Owed,
    /// The rest of an answer's body: its encoder is among the [`Bodies`].
    Sending,
    /// Nothing more in this exchange.
    Answered,
}

/// The bodies on their way.
#[derive(Debug, Default)]
struct Bodies {
    incoming: Option<Incoming>,
    outgoing: Option<Encoder>,
}

#[derive(Debug)]
struct Incoming {
    decoder: Decoder,
    /// The client holds the body back, and was not told to go on.
    awaits_continue: bool,
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
            limits,
            bodies: None,
            serial: 0,
            recv: Recv::Head(Progress::NONE),
            send: Send::Idle,
            exchange: Exchange::NONE,
            is_draining: false,
            phase: Phase::Idle,
        }
    }

    /// Other limits, for what has not begun yet.
    ///
    /// # Panics
    /// As [`Server::new`]; and if a request has begun (debug builds).
    pub fn limit(&mut self, limits: Arc<Limits>) {
        debug_assert!(limits.are_sound() && self.phase == Phase::Idle);
        self.limits = limits;
    }

    /// Whether there is a request: its head was read, and it is not over.
    pub fn has_request(&self) -> bool {
        self.send != Send::Idle
    }

    /// Whether the answer has begun, and there is more of it.
    #[inline]
    pub fn is_sending(&self) -> bool {
        self.send == Send::Sending
    }

    /// A head that begins with these bytes is read no further: a refusal follows. It has no content if that
    /// much says HEAD (RFC 9110 §9.3.2).
    #[cold]
    pub fn give_up(&mut self, head: &[u8]) {
        if matches!(self.recv, Recv::Head(_)) {
            let is_head = head.strip_prefix(b"\r\n").unwrap_or(head).starts_with(b"HEAD ");
            self.exchange = Exchange { is_head, ..Exchange::NONE };
            self.recv = Recv::Lingering;
            self.phase = self.judge_phase();
        }
    }

    /// Whether the present request, or the last one, is a HEAD.
    pub const fn is_head(&self) -> bool {
        self.exchange.is_head
    }

    #[inline]
    fn stream(&self) -> StreamId {
        StreamId(u64::from(self.serial))
    }

    /// Every transition that both halves have a part in, and the phase that they are in then.
    #[inline]
    fn settle(&mut self) {
        if self.recv == Recv::Done
            && self.send == Send::Answered
            && self.exchange.persists
            && self.bodies.is_none()
        {
            (self.recv, self.send) = (Recv::Head(Progress::NONE), Send::Idle);
            self.phase = Phase::Idle;
        } else {
            self.settle_unusual();
        }
    }

    #[inline(never)]
    fn settle_unusual(&mut self) {
        match (self.recv, self.send) {
            (Recv::Done, Send::Answered) if self.exchange.persists => {
                (self.recv, self.send) = (Recv::Head(Progress::NONE), Send::Idle);
                self.bodies = None;
            }
            (Recv::Done, Send::Answered) => self.recv = Recv::Closed,
            // The answer has begun, so nobody waits for the body.
            (Recv::Body, Send::Sending | Send::Answered) if !self.exchange.persists => {
                self.recv = Recv::Lingering;
            }
            // The peer left within a body: nobody waits for the answer.
            (Recv::Closed, Send::Idle | Send::Owed) => self.send = Send::Answered,
            _ => {}
        }
        if matches!(self.recv, Recv::Lingering | Recv::Closed) && self.send != Send::Sending {
            self.bodies = None;
        }
        self.phase = self.judge_phase();
    }

    #[inline]
    fn poll_head<'h, 'i: 'h>(
        &mut self,
        input: &mut Input<'i>,
        table: &'h mut FieldTable,
    ) -> Result<Option<Event<'h>>, Reason> {
        let Recv::Head(progress) = &mut self.recv else { return Ok(None) };
        let length = match parse::head(progress, input, table, &self.limits) {
            Ok(length) => length,
            Err(reason) => return Err(self.refused(input.bytes(), reason)),
        };
        let Some(length) = length else {
            self.phase = if progress.is_fresh() { Phase::Idle } else { Phase::Head };
            if input.fin() {
                self.recv = Recv::Closed;
                self.settle();
            }
            return Ok(None);
        };
        let (framing, exchange) = match framing::judge(&input.bytes()[..length], table) {
            Ok(judged) => judged,
            Err(reason) => return Err(self.refused(input.bytes(), reason)),
        };
        let head = Head::new(input.take(length), table);
        self.serial = self.serial.wrapping_add(1);
        self.exchange = exchange;
        self.send = Send::Owed;
        let body = self.arrival(framing, &head, input);
        Ok(Some(Event::Head { stream: self.stream(), head, body }))
    }

    /// A head is refused: an answer to HEAD has no content all the same (RFC 9110 §9.3.2).
    #[cold]
    fn refused(&mut self, head: &[u8], reason: Reason) -> Reason {
        self.give_up(head);
        reason
    }

    /// How the body of a new request arrives.
    #[inline]
    fn arrival<'i>(&mut self, framing: Framing, head: &Head<'_>, input: &mut Input<'i>) -> Arrival<'i> {
        (self.recv, self.phase) = (Recv::Done, Phase::Handling);
        let (length, decoder) = match framing {
            Framing::Length(0) => return Arrival::Empty,
            Framing::Length(length) => match usize::try_from(length) {
                Ok(count) if count <= input.bytes().len() => return Arrival::Whole(input.take(count)),
                _ => (Some(length), Decoder::Length(length)),
            },
            Framing::Chunked => (None, Decoder::Chunked(body::Chunked::default())),
        };
        let expects_continue = framing::expects_continue(head);
        let incoming = Some(Incoming { decoder, awaits_continue: expects_continue });
        self.bodies = Some(Box::new(Bodies { incoming, outgoing: None }));
        self.recv = Recv::Body;
        self.phase = self.judge_phase();
        Arrival::Follows { length, expects_continue }
    }

    #[inline(never)]
    fn poll_body<'h, 'i: 'h>(
        &mut self,
        input: &mut Input<'i>,
        table: &'h mut FieldTable,
    ) -> Result<Option<Event<'h>>, Reason> {
        let stream = self.stream();
        while let Some(incoming) = self.bodies.as_mut().and_then(|bodies| bodies.incoming.as_mut()) {
            let unread = input.bytes();
            let Some(piece) = incoming.decoder.next(input, table, &self.limits)? else { break };
            let has_trailer = piece.end && incoming.decoder.missing().is_none() && !table.is_empty();
            // RFC 9110 §10.1.1: no need to invite a body that is already coming.
            incoming.awaits_continue = false;
            let is_wanted = self.send == Send::Owed;
            if piece.end {
                self.recv = Recv::Done;
                if let Some(bodies) = &mut self.bodies {
                    bodies.incoming = None;
                }
            }
            self.settle();
            if is_wanted {
                let trailer = has_trailer.then(|| Head::new(unread, table));
                return Ok(Some(Event::Chunk { stream, bytes: piece.bytes, end: piece.end, trailer }));
            }
            if piece.end {
                // Drained: what follows may be the next head.
                return self.poll(input, table);
            }
        }
        if !input.fin() {
            self.settle();
            return Ok(None);
        }
        let is_wanted = self.send == Send::Owed;
        self.recv = Recv::Closed;
        self.settle();
        Ok(is_wanted.then_some(Event::Reset { stream, reason: None }))
    }

    /// Drops what nobody reads.
    #[inline(never)]
    fn poll_nothing(&mut self, input: &mut Input<'_>) {
        input.take(input.bytes().len());
        if input.fin() {
            self.recv = Recv::Closed;
            self.settle();
        }
    }

    /// Encodes `response` and moves its body out; the exchange is answered, or on its way to be.
    #[inline]
    fn answer(&mut self, response: &mut Response, encoding: &mut Encoding<'_>) {
        let plan = Plan::new(response, self.exchange);
        let persists = self.persists() && !response.closes() && !plan.needs_close();
        self.exchange.persists = persists;
        encode::head(encoding.output.inline(), response, encoding.preset, plan, self.exchange, persists);
        self.send = Send::Answered;
        if !plan.has_body {
            return;
        }
        match encode::inline(response) {
            Some(bytes) => encoding.output.copy(bytes),
            None => self.move_body(response.take_body(), plan.outgoing(), encoding.output),
        }
    }

    /// Whether the connection lives on after an answer that has nothing against it.
    #[inline]
    fn persists(&self) -> bool {
        self.exchange.persists && !self.is_draining && (self.recv == Recv::Done || self.can_drain())
    }

    /// Moves in a body that is too large to be copied.
    fn move_body(&mut self, body: Body, framing: Outgoing, output: &mut Output) {
        match body {
            // These are always copied.
            Body::Empty | Body::Arena => {}
            Body::Static(bytes) => output.share(Bytes::from_static(bytes)),
            Body::Shared(bytes) => output.share(bytes),
            Body::File { file, offset, length } => output.file(file, offset, length),
            Body::Source(source) => {
                self.bodies.get_or_insert_default().outgoing = Some(Encoder::new(source, framing));
                self.send = Send::Sending;
            }
        }
    }

    /// Whether what is missing of the request's body is worth waiting for. RFC 9112 §9.3: else close.
    #[inline]
    fn can_drain(&self) -> bool {
        match self.recv {
            Recv::Body => {
                self.bodies.as_ref().and_then(|bodies| bodies.incoming.as_ref()).is_some_and(|body| {
                    !body.awaits_continue
                        && body.decoder.missing().is_some_and(|missing| missing <= DRAIN_BYTES_MAX)
                })
            }
            Recv::Head(_) | Recv::Done | Recv::Lingering | Recv::Closed => false,
        }
    }
}

impl Server {
    /// [`Protocol::poll`] with what of a slate is written to here.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn poll<'h, 'i: 'h>(
        &mut self,
        input: &mut Input<'i>,
        table: &'h mut FieldTable,
    ) -> Result<Option<Event<'h>>, Reason> {
        let result = match self.recv {
            Recv::Head(_) => self.poll_head(input, table),
            Recv::Done => return Ok(None),
            Recv::Body => self.poll_body(input, table),
            Recv::Lingering | Recv::Closed => {
                self.poll_nothing(input);
                Ok(None)
            }
        };
        if result.is_err() {
            self.recv = Recv::Lingering;
            self.settle();
        }
        result
    }
}

impl Protocol for Server {
    #[inline]
    fn poll<'h, 'i: 'h>(
        &mut self,
        input: &mut Input<'i>,
        slate: Slate<'h>,
        _: &mut Output,
    ) -> Result<Option<Event<'h>>, Reason> {
        self.poll(input, slate.table)
    }

    fn want_body(&mut self, stream: StreamId, output: &mut Output) {
        let incoming = self.bodies.as_mut().and_then(|bodies| bodies.incoming.as_mut());
        if let Some(incoming) = incoming.filter(|incoming| incoming.awaits_continue)
            && stream == StreamId(u64::from(self.serial))
            && self.send == Send::Owed
        {
            incoming.awaits_continue = false;
            output.copy(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.phase = self.judge_phase();
        }
    }

    #[inline]
    fn respond(
        &mut self,
        stream: StreamId,
        response: &mut Response,
        encoding: &mut Encoding<'_>,
    ) -> Result<(), Gone> {
        if self.send != Send::Owed || stream != self.stream() {
            return Err(Gone);
        }
        self.answer(response, encoding);
        self.settle();
        Ok(())
    }

    #[inline]
    fn respond_rendered(
        &mut self,
        stream: StreamId,
        rendered: &Rendered,
        encoding: &mut Encoding<'_>,
    ) -> Result<(), Gone> {
        if self.send != Send::Owed || stream != self.stream() {
            return Err(Gone);
        }
        let exchange = Exchange { persists: self.persists() && !rendered.closes(), ..self.exchange };
        self.exchange = exchange;
        self.send = Send::Answered;
        encode::rendered(encoding.output, rendered, encoding.preset, exchange);
        self.settle();
        Ok(())
    }

    fn refuse(&mut self, response: &mut Response, encoding: &mut Encoding<'_>) {
        if self.send == Send::Idle && self.recv != Recv::Lingering {
            // No head was looked at to its end: the answer suits everybody.
            self.exchange = Exchange::NONE;
        }
        if matches!(self.send, Send::Idle | Send::Owed) && self.recv != Recv::Closed {
            self.recv = Recv::Lingering;
            self.answer(response, encoding);
            self.settle();
        }
    }

    #[inline]
    fn due(&self, _: &Output) -> Option<StreamId> {
        self.is_sending().then(|| self.stream())
    }

    fn pump(&mut self, _: StreamId, encoding: &mut Encoding<'_>) -> (Pumped, u64) {
        let Some(encoder) = self.bodies.as_mut().and_then(|bodies| bodies.outgoing.as_mut()) else {
            return (Pumped::Nothing, 0);
        };
        let (pumped, body_bytes) = encoder.pump(encoding);
        if matches!(pumped, Pumped::Nothing | Pumped::Cut | Pumped::Panicked) {
            if let Some(bodies) = &mut self.bodies {
                bodies.outgoing = None;
            }
            self.send = Send::Answered;
            if pumped != Pumped::Nothing {
                self.recv = Recv::Closed;
            }
            self.settle();
        }
        (pumped, body_bytes)
    }

    #[inline]
    fn phase(&self) -> Phase {
        debug_assert_eq!(self.phase, self.judge_phase(), "a transition without a new phase");
        self.phase
    }

    fn drain(&mut self) {
        self.is_draining = true;
        if matches!(self.recv, Recv::Head(progress) if progress.is_fresh()) {
            self.recv = Recv::Closed;
            self.settle();
        }
    }
}

impl Server {
    #[inline]
    fn judge_phase(&self) -> Phase {
        match (self.recv, self.send) {
            (_, Send::Sending) => Phase::Sending,
            (Recv::Head(progress), _) if progress.is_fresh() => Phase::Idle,
            (Recv::Head(_), _) => Phase::Head,
            (Recv::Body, Send::Owed) if !self.can_come() => Phase::Handling,
            (Recv::Body, _) => Phase::Body,
            (Recv::Done, _) => Phase::Handling,
            (Recv::Lingering, _) => Phase::Lingering,
            (Recv::Closed, _) => Phase::Closed,
        }
    }

    /// Whether the client sends its body now, without waiting for an invitation.
    fn can_come(&self) -> bool {
        let incoming = self.bodies.as_ref().and_then(|bodies| bodies.incoming.as_ref());
        incoming.is_some_and(|incoming| !incoming.awaits_continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Pulled, Timeline};
    use crate::proto::{Preset, scan};

    static LIMITS: Limits = Limits::DEFAULT;

    /// A connection with a client that sends what it is told.
    struct Peer {
        server: Server,
        table: FieldTable,
        unread: Vec<u8>,
        output: Output,
        fin: bool,
    }

    impl Peer {
        fn new() -> Self {
            Self {
                server: Server::new(LIMITS),
                table: FieldTable::new(),
                unread: Vec::new(),
                output: Output::default(),
                fin: false,
            }
        }

        /// Sends `bytes` and polls once: the event in one line.
        fn send(&mut self, bytes: &str) -> String {
            self.unread.extend_from_slice(bytes.as_bytes());
            let mut input = Input::new(&self.unread, self.fin);
            let event = match self.server.poll(&mut input, &mut self.table) {
                Ok(None) => "none".to_owned(),
                Ok(Some(Event::Head { stream, head, body })) => {
                    format!("head {} {:?} {body:?}", stream.0, head.target().path)
                }
                Ok(Some(Event::Chunk { stream, bytes, end, .. })) => {
                    format!("chunk {} {:?} {end}", stream.0, String::from_utf8_lossy(bytes))
                }
                Ok(Some(Event::Reset { stream, .. } | Event::Refused { stream, .. })) => {
                    format!("reset {}", stream.0)
                }
                Err(reason) => format!("error {}", reason.code()),
            };
            let left = input.bytes().len();
            self.unread.drain(..self.unread.len() - left);
            event
        }

        fn close(&mut self) -> String {
            self.fin = true;
            self.send("")
        }

        fn with<T>(&mut self, call: impl FnOnce(&mut Server, &mut Encoding<'_>) -> T) -> T {
            let preset = Preset::new(None, 0);
            let mut encoding =
                Encoding { output: &mut self.output, preset: &preset, timeline: &Timeline::default() };
            call(&mut self.server, &mut encoding)
        }

        /// Answers exchange `stream`: what is sent, without the date.
        fn answer(&mut self, stream: u64, mut response: Response) -> String {
            match self.with(|server, encoding| server.respond(StreamId(stream), &mut response, encoding)) {
                Ok(()) => self.sent(),
                Err(Gone) => "gone".to_owned(),
            }
        }

        fn sent(&mut self) -> String {
            let mut text = String::new();
            while let Some(front) = self.output.front() {
                let count = match front {
                    crate::wire::Front::Bytes(run, _) => {
                        text.push_str(std::str::from_utf8(run).unwrap());
                        run.len()
                    }
                    crate::wire::Front::File { offset, length, .. } => {
                        text.push_str(&format!("[file {offset} {length}]"));
                        usize::try_from(length).unwrap()
                    }
                };
                self.output.consume(count);
            }
            text.replace("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", "")
        }

        fn pump(&mut self) -> Pumped {
            let stream = self.server.stream();
            self.with(|server, encoding| server.pump(stream, encoding)).0
        }

        fn phase(&self) -> Phase {
            self.server.phase()
        }
    }

    #[test]
    fn a_connection_stays_tiny() {
        assert!(size_of::<Server>() <= 32, "{}", size_of::<Server>());
    }

    #[test]
    fn one_exchange_after_the_other() {
        let mut peer = Peer::new();
        assert_eq!(peer.phase(), Phase::Idle);
        assert_eq!(peer.send("GET /a HTTP/1.1\r\nHost: x\r\n"), "none");
        assert_eq!(peer.phase(), Phase::Head);
        assert_eq!(peer.send("\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"), "head 1 \"/a\" Empty");
        assert_eq!(peer.phase(), Phase::Handling);
        assert_eq!(peer.send(""), "none", "an answer is owed");
        assert_eq!(
            peer.answer(1, Response::text("hi")),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert_eq!(peer.answer(1, Response::text("again")), "gone");
        assert_eq!(peer.send(""), "head 2 \"/b\" Empty");
        peer.answer(2, Response::default());
        assert_eq!(peer.phase(), Phase::Idle);
        assert_eq!(peer.close(), "none");
        assert_eq!(peer.phase(), Phase::Closed);
    }

    #[test]
    fn every_byte_is_examined_at_most_twice() {
        for (name, head) in [
            ("one long field", format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(6_960))),
            (
                "many fields",
                format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "Name: value\t; q=1\r\n".repeat(97)),
            ),
            ("a long target", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(7_000))),
        ] {
            let mut server = Server::new(LIMITS);
            let mut table = FieldTable::new();
            scan::EXAMINED.set(0);
            for end in 1..=head.len() {
                let mut input = Input::new(&head.as_bytes()[..end], false);
                let event = server.poll(&mut input, &mut table).unwrap();
                assert_eq!(event.is_some(), end == head.len(), "{name}");
            }
            let examined = scan::EXAMINED.get();
            assert!(examined >= head.len() - 64, "{name}: {examined} is too few to be true");
            assert!(examined <= 2 * head.len(), "{name}: {examined} of {}", head.len());
        }
    }

    #[test]
    fn a_chunk_that_drips_in_is_examined_at_most_twice() {
        let mut server = Server::new(LIMITS);
        let mut table = FieldTable::new();
        server.poll(&mut Input::new(CHUNKED.as_bytes(), false), &mut table).unwrap();
        let line = format!("5;{}\r\n", "a".repeat(250));
        scan::EXAMINED.set(0);
        for end in 1..=line.len() {
            let mut input = Input::new(&line.as_bytes()[..end], false);
            assert!(server.poll(&mut input, &mut table).unwrap().is_none());
            assert_eq!(input.is_empty(), end == line.len(), "a size line is taken as a whole");
        }
        assert!((line.len()..=2 * line.len()).contains(&scan::EXAMINED.get()));
    }

    const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const GET: &str = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn rfc_9110_10_1_1_a_body_that_waits_is_invited_once() {
        let mut peer = Peer::new();
        let head = UPLOAD.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        let event = peer.send(&head);
        assert_eq!(event, "head 1 \"/\" Follows { length: Some(10), expects_continue: true }");
        assert_eq!(peer.phase(), Phase::Handling, "the client waits for us");
        for expected in ["HTTP/1.1 100 Continue\r\n\r\n", ""] {
            peer.with(|server, encoding| server.want_body(StreamId(1), encoding.output));
            assert_eq!(peer.sent(), expected);
        }
        assert_eq!(peer.phase(), Phase::Body);
        assert_eq!(peer.send("0123456789"), "chunk 1 \"0123456789\" true");
    }

    #[test]
    fn a_body_that_came_by_itself_is_not_invited() {
        let mut peer = Peer::new();
        peer.send(&UPLOAD.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
        assert_eq!(peer.send("01"), "chunk 1 \"01\" false");
        peer.with(|server, encoding| server.want_body(StreamId(1), encoding.output));
        assert_eq!(peer.sent(), "");
    }

    #[test]
    fn an_early_answer_to_a_short_body_keeps_the_connection() {
        let mut peer = Peer::new();
        peer.send(UPLOAD);
        peer.send("01");
        assert!(!peer.answer(1, Response::text("no")).contains("Connection"));
        assert_eq!(peer.phase(), Phase::Body, "the rest is drained");
        assert_eq!(
            peer.send(&format!("GET / HTT{GET}")),
            "head 2 \"/next\" Empty",
            "drained bytes are no request"
        );
    }

    #[test]
    fn an_early_answer_closes_where_draining_is_not_cheap() {
        let large = UPLOAD.replace("10", "65537");
        let waiting = UPLOAD.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        for head in [large.as_str(), waiting.as_str(), CHUNKED] {
            let mut peer = Peer::new();
            peer.send(head);
            assert!(peer.answer(1, Response::text("no")).contains("\r\nConnection: close\r\n"), "{head}");
            assert_eq!(peer.phase(), Phase::Lingering);
            assert_eq!(peer.send(GET), "none", "bytes of an unread body are never a request");
            assert_eq!(peer.close(), "none");
            assert_eq!(peer.phase(), Phase::Closed);
        }
    }

    #[test]
    fn a_refusal_is_the_last_answer() {
        let mut peer = Peer::new();
        assert_eq!(peer.send(&format!("GET /\0 HTTP/1.1\r\n\r\n{GET}")), "error parse.nul");
        let mut refusal = Response::refusal(Reason::Nul);
        peer.with(|server, encoding| server.refuse(&mut refusal, encoding));
        assert!(peer.sent().starts_with("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"));
        assert_eq!(peer.phase(), Phase::Lingering);
        peer.with(|server, encoding| server.refuse(&mut refusal, encoding));
        assert_eq!(peer.sent(), "", "one refusal is enough");
        assert_eq!(peer.send(GET), "none");
    }

    #[test]
    fn a_broken_body_is_refused_in_place_of_the_answer() {
        let mut peer = Peer::new();
        peer.send(CHUNKED);
        assert_eq!(peer.send("x\r\n"), "error parse.chunk_size");
        let mut refusal = Response::refusal(Reason::ChunkSize);
        peer.with(|server, encoding| server.refuse(&mut refusal, encoding));
        assert!(peer.sent().starts_with("HTTP/1.1 400 "));
        assert_eq!(peer.answer(1, Response::text("late")), "gone");
    }

    #[test]
    fn a_half_closed_client_gets_its_answers() {
        let mut peer = Peer::new();
        peer.fin = true;
        assert_eq!(peer.send(&format!("{GET}{GET}")), "head 1 \"/next\" Empty");
        assert!(peer.answer(1, Response::text("1")).ends_with('1'));
        assert_eq!(peer.send(""), "head 2 \"/next\" Empty");
        assert!(peer.answer(2, Response::text("2")).ends_with('2'));
        assert_eq!(peer.send(""), "none");
        assert_eq!(peer.phase(), Phase::Closed);
    }

    #[test]
    fn a_client_that_leaves_within_its_body_is_gone() {
        let mut peer = Peer::new();
        peer.send(UPLOAD);
        assert_eq!(peer.close(), "reset 1");
        assert_eq!(peer.answer(1, Response::text("late")), "gone");
        assert_eq!(peer.phase(), Phase::Closed);
    }

    #[test]
    fn draining_ends_with_the_running_exchange() {
        let mut peer = Peer::new();
        peer.send(GET);
        peer.server.drain();
        assert!(peer.answer(1, Response::text("bye")).contains("\r\nConnection: close\r\n"));
        assert_eq!(peer.phase(), Phase::Closed);
        let mut idle = Peer::new();
        idle.server.drain();
        assert_eq!(idle.phase(), Phase::Closed);
    }

    #[test]
    fn rfc_9110_6_4_1_answers_without_a_body() {
        let get = GET.to_owned();
        let head = GET.replace("GET", "HEAD");
        let status = |code| ::http::StatusCode::from_u16(code).unwrap();
        for (request, response, expected) in [
            (
                &head,
                Response::typed("a/b", "hello".into()),
                "200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\n",
            ),
            (&get, Response::new(status(204)), "204 No Content\r\n\r\n"),
            (&get, Response::new(status(204)).with_body("x"), "204 No Content\r\n\r\n"),
            (&get, Response::new(status(304)), "304 Not Modified\r\n\r\n"),
            (
                &get,
                Response::new(status(304)).with_body("four"),
                "304 Not Modified\r\nContent-Length: 4\r\n\r\n",
            ),
            (&get, Response::new(status(404)), "404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            (&get, Response::new(status(599)), "599 \r\nContent-Length: 0\r\n\r\n"),
        ] {
            let mut peer = Peer::new();
            peer.send(request);
            assert_eq!(peer.answer(1, response), format!("HTTP/1.1 {expected}"));
            assert_eq!(peer.phase(), Phase::Idle);
        }
    }

    /// Gives out its steps, one a pull: writes, with `|` between them.
    struct Steps(std::vec::IntoIter<(&'static str, Pulled)>, Option<u64>);

    impl crate::http::Source for Steps {
        fn pull(&mut self, pull: &mut crate::http::Pull<'_>) -> Pulled {
            let (text, pulled) = self.0.next().unwrap_or(("", Pulled::End));
            for write in text.split('|') {
                if let Some(shared) = write.strip_prefix("shared ") {
                    pull.share(Bytes::from_static(shared.as_bytes()));
                } else if let Some(range) = write.strip_prefix("file ") {
                    let (offset, length) = range.split_once(' ').unwrap();
                    let file = std::fs::File::open("/dev/null").unwrap();
                    pull.file(Arc::new(file), offset.parse().unwrap(), length.parse().unwrap());
                } else {
                    pull.write(write.as_bytes());
                }
            }
            pulled
        }

        fn length(&self) -> Option<u64> {
            self.1
        }

        fn trailers(&mut self, fields: &mut crate::http::Fields) {
            fields.append(&::http::HeaderName::from_static("x-sum"), &::http::HeaderValue::from_static("1"));
        }
    }

    /// What a source gives to `request`, what the last pump said, and the phase after it.
    fn streamed(
        request: &str,
        length: Option<u64>,
        steps: Vec<(&'static str, Pulled)>,
    ) -> (String, Pumped, Phase) {
        let mut peer = Peer::new();
        peer.send(request);
        let mut text = peer.answer(1, Response::stream("a/b", Steps(steps.into_iter(), length)));
        let pumped = loop {
            let pumped = peer.pump();
            text.push_str(&peer.sent());
            if pumped != Pumped::Full {
                break pumped;
            }
        };
        (text.split_once("Content-Type: a/b\r\n").unwrap().1.to_owned(), pumped, peer.phase())
    }

    #[test]
    fn rfc_9112_7_1_a_body_of_unknown_length_is_chunked() {
        let steps = vec![("hello", Pulled::More), ("shared  world", Pulled::More), ("", Pulled::End)];
        let (text, pumped, phase) = streamed(GET, None, steps.clone());
        assert_eq!(
            text,
            "Transfer-Encoding: chunked\r\n\r\n00000005\r\nhello\r\n00000006\r\n world\r\n0\r\n\r\n"
        );
        assert_eq!((pumped, phase), (Pumped::Nothing, Phase::Idle));
        let with_trailers = GET.replace("\r\n\r\n", "\r\nTE: gzip, trailers\r\n\r\n");
        let (text, ..) = streamed(&with_trailers, None, steps.clone());
        assert!(text.ends_with("\r\n0\r\nX-Sum: 1\r\n\r\n"), "{text}");
        let (text, pumped, phase) = streamed("GET / HTTP/1.0\r\n\r\n", None, steps.clone());
        assert_eq!((text.as_str(), pumped, phase), ("\r\nhello world", Pumped::Nothing, Phase::Closed));
        let (text, _, phase) = streamed(&GET.replace("GET", "HEAD"), None, steps);
        assert_eq!((text.as_str(), phase), ("Transfer-Encoding: chunked\r\n\r\n", Phase::Idle));
    }

    #[test]
    fn a_source_keeps_its_promise_or_the_connection_is_cut() {
        let exact = vec![("hello", Pulled::More), ("", Pulled::End)];
        assert_eq!(
            streamed(GET, Some(5), exact.clone()),
            ("Content-Length: 5\r\n\r\nhello".to_owned(), Pumped::Nothing, Phase::Idle)
        );
        for length in [4, 6] {
            let (_, pumped, phase) = streamed(GET, Some(length), exact.clone());
            assert_eq!((pumped, phase), (Pumped::Cut, Phase::Closed), "{length} were promised");
        }
        let (text, pumped, phase) = streamed(GET, None, vec![("a", Pulled::Failed)]);
        assert!(!text.contains("0\r\n\r\n"), "a cut body must not look complete");
        assert_eq!((pumped, phase), (Pumped::Cut, Phase::Closed));
    }

    #[test]
    fn a_source_moves_file_ranges_in_every_framing() {
        let steps = vec![
            ("head|file 7 300", Pulled::More),
            ("file 9 5000000000", Pulled::More),
            ("shared a|shared b|file 0 1", Pulled::More),
            ("file 3 0|tail", Pulled::End),
        ];
        let (length, pieces) = (4 + 300 + 5_000_000_000 + 2 + 1 + 4, "head[file 7 300][file 9 5000000000]");
        let (text, pumped, phase) = streamed(GET, Some(length), steps.clone());
        assert_eq!(text, format!("Content-Length: {length}\r\n\r\n{pieces}ab[file 0 1]tail"));
        assert_eq!((pumped, phase), (Pumped::Nothing, Phase::Idle));
        let (text, pumped, phase) = streamed("GET / HTTP/1.0\r\n\r\n", None, steps.clone());
        assert_eq!(text, format!("\r\n{pieces}ab[file 0 1]tail"));
        assert_eq!((pumped, phase), (Pumped::Nothing, Phase::Closed));
        let (text, pumped, phase) = streamed(GET, None, steps.clone());
        assert_eq!(
            text,
            "Transfer-Encoding: chunked\r\n\r\n\
             00000004\r\nhead\r\n12c\r\n[file 7 300]\r\n\
             12a05f200\r\n[file 9 5000000000]\r\n\
             00000002\r\nab\r\n1\r\n[file 0 1]\r\n\
             00000004\r\ntail\r\n0\r\n\r\n"
        );
        assert_eq!((pumped, phase), (Pumped::Nothing, Phase::Idle));
        let (text, ..) = streamed(&GET.replace("GET", "HEAD"), Some(length), steps);
        assert_eq!(text, format!("Content-Length: {length}\r\n\r\n"));
    }

    #[test]
    fn a_file_range_counts_against_the_promised_length() {
        let exact = vec![("abc|file 0 5", Pulled::More), ("", Pulled::End)];
        let whole = "Content-Length: 8\r\n\r\nabc[file 0 5]".to_owned();
        assert_eq!(streamed(GET, Some(8), exact.clone()), (whole, Pumped::Nothing, Phase::Idle));
        let (text, pumped, _) = streamed(GET, Some(7), exact.clone());
        assert_eq!((text.as_str(), pumped), ("Content-Length: 7\r\n\r\n", Pumped::Cut), "too much: nothing");
        let (text, pumped, _) = streamed(GET, Some(9), exact);
        assert_eq!((text.as_str(), pumped), ("Content-Length: 9\r\n\r\nabc[file 0 5]", Pumped::Cut));
        // 2^64 - 1 and one more.
        let over = vec![("a|file 0 18446744073709551615", Pulled::End)];
        for (request, length) in [(GET, Some(u64::MAX)), (GET, None), ("GET / HTTP/1.0\r\n\r\n", None)] {
            assert_eq!(streamed(request, length, over.clone()).1, Pumped::Cut);
        }
    }

    #[test]
    fn a_waiting_file_range_leaves_no_room_for_the_next_pull() {
        let mut peer = Peer::new();
        peer.send(GET);
        let steps = vec![("file 0 5", Pulled::More), ("x", Pulled::End)];
        peer.answer(1, Response::stream("a/b", Steps(steps.into_iter(), Some(6))));
        assert_eq!(peer.pump(), Pumped::Full);
        assert_eq!(peer.pump(), Pumped::Full);
        assert_eq!((peer.sent().as_str(), peer.phase()), ("[file 0 5]", Phase::Sending));
        assert_eq!(peer.pump(), Pumped::Nothing);
        assert_eq!((peer.sent().as_str(), peer.phase()), ("x", Phase::Idle));
    }

    #[test]
    fn nothing_follows_a_file_range_within_one_pull() {
        for step in ["file 0 5|x", "file 0 5|shared x", "file 0 5|file 0 5"] {
            let (text, pumped, phase) = streamed(GET, Some(100), vec![(step, Pulled::End)]);
            assert_eq!((text.as_str(), pumped), ("Content-Length: 100\r\n\r\n", Pumped::Panicked), "{step}");
            assert_eq!(phase, Phase::Closed);
        }
    }

    #[test]
    fn a_source_that_waits_is_asked_again() {
        let wait = std::time::Duration::from_secs(1);
        for (pulled, expected) in [
            (Pulled::Waiting, Pumped::Waiting(None)),
            (Pulled::After(wait), Pumped::Waiting(Some(wait))),
            (Pulled::More, Pumped::Waiting(Some(std::time::Duration::ZERO))),
        ] {
            let (text, pumped, phase) = streamed(GET, None, vec![("", pulled), ("a", Pulled::End)]);
            assert_eq!(text, "Transfer-Encoding: chunked\r\n\r\n", "no empty chunk");
            assert_eq!((pumped, phase), (expected, Phase::Sending));
        }
    }

    #[test]
    fn large_bodies_are_moved_and_not_copied() {
        static LARGE: [u8; encode::INLINE_BYTES_MAX + 1] = [b'a'; encode::INLINE_BYTES_MAX + 1];
        let mut peer = Peer::new();
        peer.send(GET);
        let mut response = Response::typed("a/b", Body::Static(&LARGE));
        peer.with(|server, encoding| server.respond(StreamId(1), &mut response, encoding).unwrap());
        let Some(crate::wire::Front::Bytes(_, Some(body))) = peer.output.front() else {
            panic!("a head and a piece are expected");
        };
        assert_eq!(body.as_ptr(), LARGE.as_ptr());
        assert_eq!(peer.phase(), Phase::Idle);
    }
}
