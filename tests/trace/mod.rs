//! A client and a handler for the HTTP/1 machine: bytes in, a readable trace out.
//!
//! The handler answers each request when its body is complete. What may differ between two splits of the
//! same bytes (how a body was cut into pieces) is not in the trace; everything else is.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::fmt::Write as _;

use kolk::Response;
use kolk::http::{Arrival, Event, FieldTable, Head, Phase, StreamId, Timeline};
use kolk::proto::h1::{Limits, Server};
use kolk::proto::{Encoding, Preset, Protocol};
use kolk::wire::{Front, Input, Output};

/// The usual limits.
pub(crate) static LIMITS: Limits = Limits::DEFAULT;

/// What is longer is not shown whole.
const BYTES_SHOWN_MAX: usize = 512;

/// A connection whose events are written down.
struct Client {
    server: Server,
    table: FieldTable,
    unread: Vec<u8>,
    output: Output,
    preset: Preset,
    body: Option<Vec<u8>>,
    trace: String,
}

/// What is sent in the pieces that `cuts` make of it, and then closed: the trace.
pub(crate) fn trace(limits: &'static Limits, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> String {
    let mut client = Client::new(limits);
    let mut at = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        let cut = cut.clamp(at, bytes.len());
        client.send(&bytes[at..cut], false);
        at = cut;
    }
    client.send(&[], true);
    client.trace
}

impl Client {
    fn new(limits: &'static Limits) -> Self {
        Self {
            server: Server::new(*limits),
            table: FieldTable::new(),
            unread: Vec::new(),
            output: Output::default(),
            preset: Preset::new(Some("kolk"), 0),
            body: None,
            trace: String::new(),
        }
    }

    fn send(&mut self, bytes: &[u8], fin: bool) {
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let mut input = Input::new(&unread, fin);
        while self.step(&mut input) {}
        let left = input.bytes().len();
        assert!(left < 64 * 1024 || self.server.phase() == Phase::Handling, "{left} bytes are left");
        unread.drain(..unread.len() - left);
        self.unread = unread;
        if fin {
            assert_eq!(self.server.phase(), Phase::Closed, "{}", self.trace);
            self.trace.push_str("closed\n");
        }
    }

    /// Takes one event; whether there may be more.
    fn step(&mut self, input: &mut Input<'_>) -> bool {
        let mut trailers = String::new();
        let done = match self.server.poll(input, &mut self.table) {
            Ok(None) => return false,
            Ok(Some(Event::Head { stream, head, body })) => {
                note_head(&mut self.trace, stream, &head);
                match body {
                    Arrival::Empty => Some(stream),
                    Arrival::Whole(bytes) => {
                        self.body = Some(bytes.to_vec());
                        Some(stream)
                    }
                    Arrival::Follows { .. } => {
                        self.body = Some(Vec::new());
                        None
                    }
                }
            }
            Ok(Some(Event::Chunk { stream, bytes, end, trailer })) => {
                assert!(end || !bytes.is_empty());
                self.body.get_or_insert_default().extend_from_slice(bytes);
                for (name, value) in trailer.iter().flat_map(Head::fields) {
                    let _ = writeln!(trailers, "  trailer {name}: {}", shortened(value));
                }
                end.then_some(stream)
            }
            Ok(Some(Event::Reset { .. } | Event::Refused { .. })) => {
                self.note_body();
                self.trace.push_str("reset\n");
                return true;
            }
            Err(reason) => {
                self.note_body();
                let _ = writeln!(self.trace, "refused: {} {}", reason.status(), reason.code());
                let mut encoding = Encoding {
                    output: &mut self.output,
                    preset: &self.preset,
                    timeline: &Timeline::default(),
                };
                self.server.refuse(&mut Response::refusal(reason), &mut encoding);
                assert!(self.sent().contains("Connection: close\r\n"), "a refusal is an answer");
                return true;
            }
        };
        let Some(stream) = done else { return true };
        self.note_body();
        self.trace.push_str(&trailers);
        self.answer(stream);
        true
    }

    fn note_body(&mut self) {
        if let Some(body) = self.body.take() {
            let _ = writeln!(self.trace, "  body \"{}\"", shortened(&body));
        }
    }

    fn answer(&mut self, stream: StreamId) {
        let mut encoding =
            Encoding { output: &mut self.output, preset: &self.preset, timeline: &Timeline::default() };
        self.server.respond(stream, &mut Response::text("ok"), &mut encoding).unwrap();
        let sent = self.sent();
        let heads = sent.matches("HTTP/1.1 200 OK\r\nServer: kolk\r\nDate: ").count();
        assert_eq!(heads, 1, "one answer for one request: {sent}");
        if sent.contains("Connection: close\r\n") {
            self.trace.push_str("  answered, closing\n");
        }
    }

    fn sent(&mut self) -> String {
        let mut sent = Vec::new();
        while let Some(Front::Bytes(run, _)) = self.output.front() {
            sent.extend_from_slice(run);
            let count = run.len();
            self.output.consume(count);
        }
        String::from_utf8(sent).unwrap()
    }
}

fn note_head(trace: &mut String, stream: StreamId, head: &Head<'_>) {
    let target = shortened(head.target_bytes());
    let _ = writeln!(trace, "{}: {} {target} {}", stream.0, head.method_name(), head.version().name());
    for (name, value) in head.fields() {
        let _ = writeln!(trace, "  {name}: {}", shortened(value));
    }
}

/// Long values are told by their length.
fn shortened(bytes: &[u8]) -> String {
    match bytes.get(..BYTES_SHOWN_MAX) {
        Some(start) => format!("{}... ({} bytes)", start.escape_ascii(), bytes.len()),
        None => bytes.escape_ascii().to_string(),
    }
}
