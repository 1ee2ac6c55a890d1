//! [`Client`]: a client and a handler for the machine: bytes in, a readable trace out.
//!
//! The words of a path say what the handler does. Where none says otherwise it answers "ok" when the request
//! is complete, and uses a body as it comes.
//!
//! | word | the handler |
//! | --- | --- |
//! | `early`, `late` | answers at once, or when it is ordered to |
//! | `hold` | uses the content when it is ordered to |
//! | `patient` | wants the content when it is ordered to |
//! | `body`, a number | answers with so many bytes |
//! | `stream`, `asleep`, `fails`, `panics` | with a source: two pieces and a trailer; one piece, and one when it is woken; none |
//! | `empty`, `close` | with 204; with the last answer of the connection |
//!
//! What may differ between two splits of the same bytes is in the trace only if asked for: how content was
//! cut, and when a window was opened. Everything else is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use kolk::base::Tick;
use kolk::http::{Arrival, Event, FieldTable, Fields, Head, Phase, Pull, Pulled, Source, StreamId, Timeline};
use kolk::proto::h2::{Limits, Room, Server};
use kolk::proto::hpack::FieldList;
use kolk::proto::{Encoding, Preset, Protocol, Pumped, Slate};
use kolk::wire::{Front, Input, Output};
use kolk::{HeaderName, HeaderValue, Response, StatusCode};

use super::frame::*;
use super::witness::{self, Witness};

/// A turn that moves more than this would never end.
const PUMPS_MAX: usize = 20_000;

/// One connection whose events are written down.
pub(crate) struct Client {
    pub(crate) server: Server,
    room: Room,
    pub(crate) witness: Witness,
    pub(crate) trace: String,
    pub(crate) answers: BTreeMap<u32, Answer>,
    /// Windows, and each piece of content, are part of the trace.
    pub(crate) shows_windows: bool,
    pub(crate) is_broken: bool,
    /// Every piece of content, in order: its stream and its length.
    pub(crate) pieces: Vec<(u32, usize)>,
    /// The output fills before it is looked at.
    pub(crate) hears_late: bool,
    /// Long values, and such with spaces, are in the trace as they are.
    pub(crate) spells_out: bool,
    /// An answer had to wait for a window.
    pub(crate) was_held_up: bool,
    /// How often content came.
    pub(crate) chunks: usize,
    table: FieldTable,
    list: FieldList,
    unread: Vec<u8>,
    output: Output,
    preset: Preset,
    asked: BTreeMap<u32, Asked>,
    /// The last stream that had a head.
    last: u32,
    now: Tick,
    content: Content,
}

/// The content at the end of the trace, which frames of the same stream go on with.
#[derive(Default)]
struct Content {
    stream: u32,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// What was asked, and not answered in full.
#[derive(Debug, Default)]
struct Asked {
    path: String,
    /// None where it is in the trace.
    body: Option<Vec<u8>>,
    /// Of the body, so much was not used.
    held: usize,
    is_complete: bool,
    is_answered: bool,
}

/// What a client got on a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) ends: usize,
    pub(crate) is_reset: bool,
}

/// An event, in owned words.
enum Told {
    Head { stream: u32, text: String, path: String, body: Arrival<'static> },
    Chunk { stream: u32, bytes: Vec<u8>, end: bool, trailer: String },
    Reset { stream: u32, text: String },
    Refused { stream: u32, reason: kolk::http::Reason },
    Broken(kolk::http::Reason),
    Nothing,
}

impl Client {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut server = Server::new(limits);
        let now = Tick::from_millis(1_000);
        let mut room = Room::new(limits.worker_growth_bytes_max);
        server.begin_turn(now, 0, &mut room);
        Self {
            server,
            room,
            witness: Witness::new(&limits),
            trace: String::new(),
            answers: BTreeMap::new(),
            shows_windows: false,
            is_broken: false,
            pieces: Vec::new(),
            hears_late: false,
            spells_out: false,
            was_held_up: false,
            chunks: 0,
            table: FieldTable::new(),
            list: FieldList::new(),
            unread: Vec::new(),
            output: Output::default(),
            preset: Preset::new(Some("kolk"), 0),
            asked: BTreeMap::new(),
            last: 0,
            now,
            content: Content::default(),
        }
    }

    /// Preface, settings, and their acknowledgement; what the machine says to that is not in the trace.
    pub(crate) fn greet(&mut self) {
        self.send(&bytes_of("PREFACE | SETTINGS | SETTINGS ACK"), false);
        assert!(self.trace.starts_with("SETTINGS MAX_CONCURRENT_STREAMS="), "{}", self.trace);
        assert!(self.trace.ends_with("SETTINGS ACK\n"), "{}", self.trace);
        self.trace.clear();
    }

    /// Sends bytes, or closes behind them: a turn.
    pub(crate) fn send(&mut self, bytes: &[u8], fin: bool) {
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let mut input = Input::new(&unread, fin);
        while self.step(&mut input) {}
        let left = input.bytes().len();
        assert!(left < 17 * 1024, "{left} bytes are left");
        self.pump();
        self.server.attend(&mut self.output);
        self.hear();
        unread.drain(..unread.len() - left);
        self.unread = unread;
        if fin {
            self.end();
        } else if self.unread.is_empty() && !self.is_broken && self.server.wants_bytes() {
            self.witness.at_rest();
        }
    }

    /// The peer has said everything.
    fn end(&mut self) {
        // Once more, behind the last answer.
        let mut input = Input::new(&[], true);
        while self.step(&mut input) {}
        self.hear();
        let phase = self.server.phase().name();
        let waits = self.asked.values().any(|asked| !asked.is_answered || self.server.has_due());
        assert!(phase == "closed" || !self.asked.is_empty() || waits, "{phase}\n{}", self.trace);
        let _ = writeln!(self.trace, "{phase}");
        if self.is_broken {
            assert_eq!(self.server.phase(), Phase::Closed);
        }
    }

    /// Does what a line that begins with `>` says.
    pub(crate) fn order(&mut self, order: &str) {
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        let number: u32 = rest.parse().unwrap_or(0);
        match verb {
            "answer" => self.answer(number),
            "wake" => self.server.wake(StreamId(number.into())),
            "use" => {
                let asked = self.asked.get_mut(&number).unwrap();
                let held = std::mem::take(&mut asked.held);
                self.server.consume(StreamId(number.into()), held, &mut self.output);
            }
            "want" => self.server.want_body(StreamId(number.into()), &mut self.output),
            "drain" => self.server.drain(),
            "leave" => self.server.leave(&mut self.output),
            "part" => {
                self.server.part(&mut self.output);
                self.asked.clear();
            }
            "seconds" => {
                self.now = self.now.after(Duration::from_secs(number.into()));
                self.server.begin_turn(self.now, 0, &mut self.room);
            }
            "ghosts" => self.server.begin_turn(self.now, number as usize, &mut self.room),
            other => panic!("no order: {other}"),
        }
        self.send(&[], false);
    }

    /// Whether an order means something now.
    pub(crate) fn can(&self, order: &str) -> bool {
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        let asked = rest.parse().ok().and_then(|stream: u32| self.asked.get(&stream));
        match verb {
            "answer" => asked.is_some_and(|asked| !asked.is_answered),
            "use" => asked.is_some(),
            _ => true,
        }
    }

    /// Those that were asked and not answered in full.
    pub(crate) fn streams(&self) -> impl Iterator<Item = u32> {
        self.asked.keys().copied()
    }

    /// Takes one event; whether there may be more.
    fn step(&mut self, input: &mut Input<'_>) -> bool {
        let bytes = input.bytes();
        let was_broken = self.is_broken;
        let told = self.poll(input);
        if !was_broken {
            self.witness.client(&bytes[..bytes.len() - input.bytes().len()]);
        }
        self.hear();
        match told {
            Told::Nothing => {
                self.account();
                return false;
            }
            Told::Broken(reason) => {
                assert!(!was_broken, "nothing is read behind {reason:?}");
                self.is_broken = true;
                self.asked.clear();
                let _ = writeln!(self.trace, "broken: {} {}", reason.status(), reason.code());
                let timeline = Timeline::default();
                let mut encoding =
                    Encoding { output: &mut self.output, preset: &self.preset, timeline: &timeline };
                self.server.refuse(&mut Response::refusal(reason), &mut encoding);
                self.hear();
                assert!(self.witness.is_over(), "a broken connection gets a GOAWAY");
            }
            Told::Head { stream, text, path, body } => self.head(stream, &text, path, body),
            Told::Chunk { stream, bytes, end, trailer } => self.chunk(stream, &bytes, end, &trailer),
            Told::Reset { stream, text } => {
                self.note_body(stream);
                let _ = writeln!(self.trace, "{stream}: reset{text}");
                self.asked.remove(&stream);
            }
            Told::Refused { stream, reason } => {
                assert!(stream > self.last, "{stream} is new");
                self.last = stream;
                let _ = writeln!(self.trace, "{stream}: refused {} {}", reason.status(), reason.code());
                self.asked.insert(stream, Asked::default());
                self.respond(stream, &mut Response::refusal(reason));
            }
        }
        self.account();
        true
    }

    fn poll(&mut self, input: &mut Input<'_>) -> Told {
        let slate = Slate { table: &mut self.table, list: &mut self.list };
        let number = |stream: StreamId| u32::try_from(stream.0).unwrap();
        match self.server.poll(input, slate, &mut self.output) {
            Ok(None) => Told::Nothing,
            Ok(Some(Event::Head { stream, head, body })) => {
                let shown = if self.spells_out { spelt } else { shortened };
                let mut text = format!("{} {}", head.method_name(), shown(head.target_bytes()));
                note_fields(&mut text, &head, shown);
                let path = String::from_utf8(head.target_bytes().to_vec()).unwrap();
                let body = match body {
                    Arrival::Whole(_) => panic!("content comes in frames of its own"),
                    Arrival::Empty => Arrival::Empty,
                    Arrival::Follows { length, expects_continue } => {
                        Arrival::Follows { length, expects_continue }
                    }
                };
                Told::Head { stream: number(stream), text, path, body }
            }
            Ok(Some(Event::Chunk { stream, bytes, end, trailer })) => {
                assert!(end || !bytes.is_empty(), "a chunk says something");
                let mut text = String::new();
                trailer.iter().for_each(|trailer| note_fields(&mut text, trailer, shortened));
                Told::Chunk { stream: number(stream), bytes: bytes.to_vec(), end, trailer: text }
            }
            Ok(Some(Event::Reset { stream, reason })) => {
                let text = reason.map_or_else(String::new, |reason| format!(": {}", reason.code()));
                Told::Reset { stream: number(stream), text }
            }
            Ok(Some(Event::Refused { stream, reason })) => Told::Refused { stream: number(stream), reason },
            Err(reason) => Told::Broken(reason),
        }
    }

    fn head(&mut self, stream: u32, text: &str, path: String, body: Arrival<'_>) {
        assert!(stream > self.last, "{stream} is new");
        self.last = stream;
        let _ = writeln!(self.trace, "{stream}: {text}");
        let is_complete = body == Arrival::Empty;
        let does = |word: &str| path.split('/').any(|other| other == word);
        let (is_early, is_late, is_patient) = (does("early"), does("late"), does("patient"));
        let body_so_far = (!is_complete).then(Vec::new);
        self.asked.insert(stream, Asked { path, is_complete, body: body_so_far, ..Asked::default() });
        if let Arrival::Follows { expects_continue: true, .. } = body
            && !is_early
            && !is_patient
        {
            self.server.want_body(StreamId(stream.into()), &mut self.output);
            self.hear();
        }
        if is_early || (is_complete && !is_late) {
            self.answer(stream);
        }
    }

    fn chunk(&mut self, stream: u32, bytes: &[u8], end: bool, trailer: &str) {
        let asked = self.asked.get_mut(&stream).unwrap_or_else(|| panic!("{stream} is over"));
        assert!(!asked.is_complete && !asked.is_answered, "{stream} wants nothing");
        asked.body.get_or_insert_default().extend_from_slice(bytes);
        self.chunks += usize::from(!bytes.is_empty());
        asked.is_complete = end;
        if asked.path.contains("/hold") {
            asked.held += bytes.len();
        } else {
            self.server.consume(StreamId(stream.into()), bytes.len(), &mut self.output);
        }
        if end {
            let is_late = asked.path.contains("/late");
            self.note_body(stream);
            if !trailer.is_empty() {
                let _ = writeln!(self.trace, "{stream}: trailer{trailer}");
            }
            if !is_late {
                self.answer(stream);
            }
        }
    }

    fn note_body(&mut self, stream: u32) {
        let Some(asked) = self.asked.get_mut(&stream) else { return };
        if let Some(body) = asked.body.take().filter(|body| asked.is_complete || !body.is_empty()) {
            let text = if self.spells_out { format!("\"{}\"", body.escape_ascii()) } else { shown(&body) };
            let _ = writeln!(self.trace, "{stream}: body {text}");
        }
    }

    fn answer(&mut self, stream: u32) {
        let path = self.asked.get(&stream).unwrap_or_else(|| panic!("{stream} is over")).path.clone();
        let words: Vec<&str> = path.split('/').collect();
        let mut response = match words[1..] {
            [.., "body", bytes] => Response::text("x".repeat(bytes.parse().unwrap_or(0).min(200_000))),
            [.., "stream"] => Response::stream("text/plain", Pieces { left: 2, kind: "stream" }),
            [.., "asleep"] => Response::stream("text/plain", Pieces { left: 2, kind: "asleep" }),
            [.., "fails"] => Response::stream("text/plain", Pieces { left: 2, kind: "fails" }),
            [.., "panics"] => Response::stream("text/plain", Pieces { left: 2, kind: "panics" }),
            [.., "empty"] => Response::new(StatusCode::NO_CONTENT),
            [.., "close"] => Response::text("ok").with_close(),
            _ => Response::text("ok"),
        };
        self.respond(stream, &mut response);
    }

    /// Answers a stream that is owed an answer.
    pub(crate) fn respond(&mut self, stream: u32, response: &mut Response) {
        let timeline = Timeline::default();
        let mut encoding = Encoding { output: &mut self.output, preset: &self.preset, timeline: &timeline };
        let id = StreamId(stream.into());
        self.server.respond(id, response, &mut encoding).expect("an answer is owed");
        let again = self.server.respond(id, &mut Response::text("again"), &mut encoding);
        assert!(again.is_err(), "one answer is enough");
        if self.server.is_sending(id) {
            let asked = self.asked.get_mut(&stream).unwrap();
            asked.is_answered = true;
        } else {
            self.asked.remove(&stream);
        }
        self.hear();
        self.pump();
    }

    /// Moves what is due of the bodies.
    fn pump(&mut self) {
        for _ in 0..PUMPS_MAX {
            self.was_held_up |= self.server.is_held_up();
            let Some(stream) = self.server.due(&self.output) else {
                if self.output.is_empty() {
                    return;
                }
                self.hear();
                continue;
            };
            let timeline = Timeline::default();
            let mut encoding =
                Encoding { output: &mut self.output, preset: &self.preset, timeline: &timeline };
            let (pumped, _) = self.server.pump(stream, &mut encoding);
            if !self.hears_late {
                self.hear();
            }
            let number = u32::try_from(stream.0).unwrap();
            match pumped {
                Pumped::Full | Pumped::Waiting(None) => {}
                Pumped::Waiting(Some(_)) => self.server.wake(stream),
                Pumped::Nothing => {
                    self.asked.remove(&number);
                }
                Pumped::Cut | Pumped::Panicked => {
                    let _ = writeln!(self.trace, "{number}: {pumped:?}");
                    self.asked.remove(&number);
                }
            }
        }
        panic!("the bodies never end\n{}", self.trace);
    }

    /// Takes what is in the output.
    fn hear(&mut self) {
        let mut sent = Vec::new();
        loop {
            let count = match self.output.front() {
                None => break,
                Some(Front::Bytes(run, _)) => {
                    sent.extend_from_slice(run);
                    run.len() as u64
                }
                Some(Front::File { file, offset, length }) => {
                    let at = sent.len();
                    sent.resize(at + usize::try_from(length).unwrap(), 0);
                    std::os::unix::fs::FileExt::read_exact_at(file, &mut sent[at..], offset).unwrap();
                    length
                }
            };
            self.output.consume(usize::try_from(count).unwrap());
        }
        for (frame, fields) in self.witness.machine(&sent) {
            self.note(&frame, fields);
        }
    }

    fn note(&mut self, frame: &Frame, fields: Option<witness::Fields>) {
        let answer = self.answers.entry(frame.stream).or_default();
        if frame.kind == DATA {
            answer.body.extend_from_slice(&frame.payload);
            self.pieces.push((frame.stream, frame.payload.len()));
        }
        answer.ends += usize::from(matches!(frame.kind, DATA | HEADERS) && frame.is(END_STREAM));
        answer.is_reset |= frame.kind == RST_STREAM;
        if frame.kind == WINDOW_UPDATE && !self.shows_windows {
            return;
        }
        if frame.kind == DATA && !self.shows_windows {
            return self.note_content(frame);
        }
        let _ = write!(self.trace, "{frame}");
        if let Some(fields) = fields {
            let of_every_answer: [&[u8]; 3] = [b"server", b"date", b"content-type"];
            for (name, value) in fields.iter().filter(|(name, _)| !of_every_answer.contains(&&name[..])) {
                let _ = write!(self.trace, " {}={}", name.escape_ascii(), shortened(value));
            }
        }
        self.trace.push('\n');
    }

    /// How content was cut depends on how windows were opened.
    fn note_content(&mut self, frame: &Frame) {
        let content = &mut self.content;
        if (content.stream, content.end) == (frame.stream, self.trace.len()) {
            self.trace.truncate(content.start);
        } else {
            (content.stream, content.start) = (frame.stream, self.trace.len());
            content.bytes.clear();
        }
        content.bytes.extend_from_slice(&frame.payload);
        let _ = writeln!(self.trace, "{}", Frame { payload: content.bytes.clone(), ..frame.clone() });
        content.end = self.trace.len();
    }

    /// What was used comes back, as soon as it is half of the window.
    fn account(&self) {
        if self.is_broken || !self.server.wants_bytes() {
            return;
        }
        let held: usize = self.asked.values().map(|asked| asked.held).sum();
        let unused = held + self.witness.on_its_way();
        self.witness.sees_windows_return(unused);
    }
}

/// A body in pieces, and what becomes of it.
struct Pieces {
    left: usize,
    kind: &'static str,
}

impl Source for Pieces {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        self.left -= 1;
        match (self.kind, self.left) {
            ("fails", 0) => return Pulled::Failed,
            ("panics", 0) => panic!("a source that panics"),
            _ => pull.write(b"piece"),
        }
        match (self.kind, self.left) {
            (_, 0) => Pulled::End,
            ("asleep", _) => Pulled::Waiting,
            _ => Pulled::More,
        }
    }

    fn trailers(&mut self, fields: &mut Fields) {
        fields.append(&HeaderName::from_static("checksum"), &HeaderValue::from_static("abc"));
    }
}

fn note_fields(text: &mut String, head: &Head<'_>, shown: fn(&[u8]) -> String) {
    for (name, value) in head.fields() {
        let _ = write!(text, " {name}={}", shown(value));
    }
}

/// A value as it is.
fn spelt(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Long values are told by their length; those with spaces stand in quotes.
fn shortened(bytes: &[u8]) -> String {
    if bytes.len() <= 60 && !bytes.contains(&b' ') {
        return bytes.escape_ascii().to_string();
    }
    if bytes.len() <= 60 {
        format!("\"{}\"", bytes.escape_ascii())
    } else {
        format!("({} bytes)", bytes.len())
    }
}
