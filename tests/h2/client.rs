//! A client of one connection: says any frame, hears every frame, and forgets none.
//!
//! What was heard is kept by meaning (answers by stream, resets, goaways, windows, acknowledgements), and an
//! expectation reads until it is met or can no longer be. A failure prints the trace of the connection. What
//! the server sends is held to the RFC as well: it panics here if a frame is none a server may send.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::frame::*;
use crate::target::address;

/// For what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// For what must not.
pub(crate) const SILENCE: Duration = Duration::from_millis(150);

const TRACE_LINES_MAX: usize = 40;
/// RFC 9113 §6.5.2: what this client never raises.
const FRAME_BYTES_MAX: usize = 16_384;

/// What came on one stream.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Each header section, trailers last.
    pub(crate) sections: Vec<Vec<(String, String)>>,
    pub(crate) body: Vec<u8>,
    /// The length of each DATA frame.
    pub(crate) pieces: Vec<usize>,
    pub(crate) ended: bool,
    pub(crate) reset: Option<u32>,
}

impl Answer {
    /// The final status, once it is there.
    pub(crate) fn status(&self) -> Option<u16> {
        self.statuses().into_iter().find(|status| *status >= 200)
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        let first = self.sections.iter().filter_map(|section| section.first());
        first.filter(|(name, _)| name == ":status").map(|(_, code)| code.parse().unwrap()).collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.sections.iter().flatten();
        fields.into_iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    /// How much of `unread` was taken already.
    taken: usize,
    decoder: loona_hpack::Decoder<'static>,
    /// A header section whose end did not come yet, and its stream.
    open_block: Option<(u32, u8, Vec<u8>)>,
    /// The header blocks as they came.
    pub(crate) blocks: Vec<Vec<u8>>,
    pub(crate) answers: BTreeMap<u32, Answer>,
    /// `(last stream, code)`.
    pub(crate) goaways: Vec<(u32, u32)>,
    pub(crate) settings: BTreeMap<u16, u32>,
    pub(crate) settings_frames: usize,
    pub(crate) settings_acks: usize,
    pub(crate) pongs: Vec<[u8; 8]>,
    /// Credit by stream.
    pub(crate) credits: BTreeMap<u32, u64>,
    pub(crate) closed: bool,
    pings: u64,
    trace: VecDeque<Line>,
}

/// A line of the trace.
#[derive(Debug)]
enum Line {
    Said(Frame),
    Heard(Frame),
    Section(Vec<(String, String)>),
    End(String),
}

impl Peer {
    /// Connects and says nothing.
    pub(crate) fn silent() -> Self {
        Self::at(address())
    }

    pub(crate) fn at(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it connects");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        Self {
            stream,
            unread: Vec::new(),
            taken: 0,
            decoder: loona_hpack::Decoder::new(),
            open_block: None,
            blocks: Vec::new(),
            answers: BTreeMap::new(),
            goaways: Vec::new(),
            settings: BTreeMap::new(),
            settings_frames: 0,
            settings_acks: 0,
            pongs: Vec::new(),
            credits: BTreeMap::new(),
            closed: false,
            pings: 0,
            trace: VecDeque::new(),
        }
    }

    /// Connects and shakes hands.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// Connects and shakes hands with these settings.
    pub(crate) fn with(list: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent();
        peer.greet(list);
        peer
    }

    /// Preface and settings, and those of the server.
    pub(crate) fn greet(&mut self, list: &[(u16, u32)]) {
        self.write(PREFACE);
        self.send(settings(list));
        self.until("settings and their acknowledgement", |peer| {
            peer.settings_frames > 0 && peer.settings_acks > 0
        });
    }

    // ── Saying ──────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn send(&mut self, frame: Frame) -> &mut Self {
        let bytes = frame.bytes();
        self.note(Line::Said(frame));
        self.write(&bytes)
    }

    /// Several frames in one write.
    pub(crate) fn send_all(&mut self, frames: &[Frame]) -> &mut Self {
        frames.iter().for_each(|frame| self.note(Line::Said(frame.clone())));
        self.write(&frames.iter().flat_map(Frame::bytes).collect::<Vec<u8>>())
    }

    /// Bytes as they are. Whoever has had enough does not read them; what it says instead is expected next.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.stream.write_all(bytes);
        self
    }

    // ── Hearing ─────────────────────────────────────────────────────────────────────────────────────

    /// Reads until it is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl FnMut(&Self) -> bool) -> &mut Self {
        if !self.comes_true(PATIENCE, is_so) {
            self.fail(what);
        }
        self
    }

    /// Reads for at most `time` until it is so; whether it came to be.
    pub(crate) fn comes_true(&mut self, time: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let end = now() + time;
        loop {
            while self.take_frame() {}
            if is_so(self) {
                return true;
            }
            let left = end.saturating_duration_since(now());
            if self.closed || left.is_zero() {
                return false;
            }
            self.fill(left);
        }
    }

    /// Reads to the end before it looks at any of it.
    pub(crate) fn hear_out(&mut self) {
        let end = now() + PATIENCE;
        while !self.closed && now() < end {
            self.fill(PATIENCE);
        }
    }

    #[track_caller]
    pub(crate) fn fail(&self, what: &str) -> ! {
        let line = |line: &Line| match line {
            Line::Said(frame) => format!("→ {frame:?}"),
            Line::Heard(frame) => format!("← {frame:?}"),
            Line::Section(fields) => format!("  {fields:?}"),
            Line::End(how) => format!("← {how}"),
        };
        let trace: Vec<String> = self.trace.iter().map(line).collect();
        panic!("this never came: {what}\n{}\n(closed: {})", trace.join("\n"), self.closed);
    }

    pub(crate) fn answer(&mut self, stream: u32) -> &Answer {
        self.answers.entry(stream).or_default()
    }

    pub(crate) fn reset_of(&self, stream: u32) -> Option<u32> {
        self.answers.get(&stream).and_then(|answer| answer.reset)
    }

    /// Eight bytes that no PING had before.
    pub(crate) fn next_ping(&mut self) -> [u8; 8] {
        self.pings += 1;
        (self.pings << 32 | 0x6B6F_6C6B).to_be_bytes()
    }

    fn note(&mut self, line: Line) {
        if self.trace.len() == TRACE_LINES_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn fill(&mut self, time: Duration) {
        self.unread.drain(..std::mem::take(&mut self.taken));
        self.stream.set_read_timeout(Some(time)).expect("a TCP socket");
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended("end".to_owned()),
            Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => self.ended(error.to_string()),
            },
        }
    }

    fn ended(&mut self, how: String) {
        self.note(Line::End(how));
        self.closed = true;
    }

    /// Takes one whole frame from what was read.
    fn take_frame(&mut self) -> bool {
        let unread = &self.unread[self.taken..];
        let Some(header) = unread.first_chunk::<9>() else { return false };
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) & 0x7FFF_FFFF;
        assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes: {:?}", self.trace);
        let Some(payload) = unread.get(9..9 + length) else { return false };
        let frame = Frame { kind, flags, stream, payload: payload.to_vec() };
        self.taken += 9 + length;
        self.note(Line::Heard(frame.clone()));
        self.hear(frame);
        true
    }

    /// Keeps what a frame means.
    fn hear(&mut self, frame: Frame) {
        let Frame { kind, flags, stream, payload } = frame;
        if let Some((open, _, _)) = self.open_block {
            assert!(kind == CONTINUATION && stream == open, "{kind} within a header section");
        }
        if self.settings_frames == 0 {
            // RFC 9113 §3.4: the server's preface is a SETTINGS frame; one that was refused may miss it.
            assert!(kind == SETTINGS || kind == GOAWAY, "frame {kind} before SETTINGS");
        }
        match kind {
            DATA => self.hear_data(flags, stream, payload),
            HEADERS => self.hear_block(stream, flags, unpadded(flags, payload)),
            CONTINUATION => {
                let (_, first, mut block) = self.open_block.take().expect("CONTINUATION without HEADERS");
                block.extend(payload);
                self.hear_block(stream, first | (flags & END_HEADERS), block);
            }
            RST_STREAM => {
                let answer = self.answers.entry(stream).or_default();
                answer.reset = Some(number(&payload));
            }
            SETTINGS if flags & ACK != 0 => {
                assert!(payload.is_empty(), "SETTINGS with ACK has no payload");
                self.settings_acks += 1;
            }
            SETTINGS => {
                assert!(stream == 0 && payload.len().is_multiple_of(6), "SETTINGS of {}", payload.len());
                let entry = |six: &[u8]| (u16::from_be_bytes([six[0], six[1]]), number(&six[2..]));
                self.settings.extend(payload.chunks(6).map(entry));
                self.settings_frames += 1;
                self.send(settings_ack());
            }
            PING if flags & ACK == 0 => {
                assert_eq!(stream, 0);
                self.send(raw(PING, ACK, 0, payload));
            }
            PING => {
                assert_eq!(stream, 0);
                self.pongs.push(payload.try_into().expect("eight bytes"));
            }
            GOAWAY => {
                assert_eq!(stream, 0);
                self.goaways.push((number(&payload), number(&payload[4..])));
            }
            WINDOW_UPDATE => {
                assert_ne!(number(&payload), 0, "an increment of nothing");
                *self.credits.entry(stream).or_default() += u64::from(number(&payload));
            }
            PUSH_PROMISE => panic!("nobody wants a push"),
            _ => {}
        }
    }

    fn hear_data(&mut self, flags: u8, stream: u32, payload: Vec<u8>) {
        let length = payload.len();
        let answer = self.answers.entry(stream).or_default();
        assert!(!answer.ended && answer.reset.is_none(), "DATA on stream {stream} behind its end");
        assert!(answer.status().is_some(), "DATA on stream {stream} before a status");
        answer.pieces.push(length);
        answer.body.extend(unpadded(flags, payload));
        answer.ended = flags & END_STREAM != 0;
    }

    fn hear_block(&mut self, stream: u32, flags: u8, block: Vec<u8>) {
        if flags & END_HEADERS == 0 {
            self.open_block = Some((stream, flags, block));
            return;
        }
        let fields = self.decoder.decode(&block).expect("a header block");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let section: Vec<_> = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
        self.note(Line::Section(section.clone()));
        let answer = self.answers.entry(stream).or_default();
        assert!(!answer.ended && answer.reset.is_none(), "HEADERS on stream {stream} behind its end");
        for (name, _) in &section {
            let forbidden = ["connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"];
            assert!(!forbidden.contains(&name.as_str()), "{name} in an answer");
            assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name} in an answer");
        }
        answer.sections.push(section);
        answer.ended = flags & END_STREAM != 0;
        self.blocks.push(block);
    }
}

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "a client of the server under test has a clock of its own")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"))
}

fn unpadded(flags: u8, mut payload: Vec<u8>) -> Vec<u8> {
    if flags & PADDED != 0 {
        let padding = usize::from(payload.remove(0));
        payload.truncate(payload.len().checked_sub(padding).expect("padding within its frame"));
    }
    payload
}
