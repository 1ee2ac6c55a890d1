//! Frames → frames: the whole machine of HTTP/2, from bytes to bytes, a turn at a time on one connection.
//!
//! The client is what real ones are after their first request: its fields stand in the table, its windows are
//! as large as `h2load` makes them, and the numbers of its streams go up. The client writing these numbers,
//! and forgetting the answers, is part of the times.
//!
//! `SCENE=load_32 COUNT=1000` plays so many turns of one scene and ends, for counts that do not depend on the
//! machine's mood: `machine.rs` says how.

use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{HeaderName, HeaderValue, header};
use kolk::Response;
use kolk::base::Tick;
use kolk::http::{Arrival, Event, FieldTable, Rendered, StreamId, Timeline};
use kolk::proto::h2::{Limits, Room, Server};
use kolk::proto::hpack::{Encoder, FieldList, TABLE_BYTES};
use kolk::proto::{Encoding, Preset, Protocol, Slate};
use kolk::wire::{Front, Input, Output};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
const MIB: usize = 1024 * 1024;
const PAYLOAD_BYTES: usize = 16 * 1024;
const PINGS: usize = 256;

// Kinds and flags: RFC 9113 §6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What `h2load` sends.
const LOAD: [(&str, &str); 4] = [
    (":scheme", "http"),
    (":method", "GET"),
    (":authority", "127.0.0.1:8080"),
    ("user-agent", "h2load nghttp2/1.52.0"),
];
/// Twelve fields, beside what every request has.
const BROWSER: [(&str, &str); 15] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "www.example.org"),
    ("sec-ch-ua", "\"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
];
const UPLOAD: [(&str, &str); 4] = [
    (":scheme", "http"),
    (":method", "POST"),
    (":authority", "127.0.0.1:8080"),
    ("user-agent", "h2load nghttp2/1.52.0"),
];
/// What a page may say beside its type and length.
const ANSWER: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    (header::ETAG, HeaderValue::from_static("\"9f86d081884c7d65\"")),
    (header::LAST_MODIFIED, HeaderValue::from_static("Mon, 21 Oct 2013 20:13:21 GMT")),
    (header::VARY, HeaderValue::from_static("accept-encoding")),
    (header::CONTENT_LANGUAGE, HeaderValue::from_static("en")),
];

/// How requests are answered.
enum Answer {
    /// With what was rendered before.
    Rendered(Rendered),
    /// With fields that are put together each time.
    Fields,
    /// With a body that all answers share.
    Shared(Bytes),
}

/// What a client sends in each turn.
struct Scene {
    name: &'static str,
    /// The same in each turn, but for the numbers of its streams.
    bytes: Vec<u8>,
    /// Where a frame tells its stream, and of which request of the turn it is.
    numbers: Vec<(usize, u32)>,
    requests: u32,
    /// What one turn is counted as.
    throughput: Throughput,
    answer: Answer,
    /// What the client's table is filled with: the fields of the first request.
    fields: &'static [(&'static str, &'static str)],
}

impl Scene {
    fn new(name: &'static str, throughput: Throughput, answer: Answer) -> Self {
        Self { name, bytes: Vec::new(), numbers: Vec::new(), requests: 0, throughput, answer, fields: &LOAD }
    }

    /// With so many requests for `path` that repeat their `fields`; the first flags say what follows.
    fn requests(
        mut self,
        count: u32,
        path: &str,
        fields: &'static [(&'static str, &'static str)],
        flags: u8,
    ) -> Self {
        let mut encoder = Encoder::new(TABLE_BYTES);
        let [_, repeated] = [(); 2].map(|()| block(&mut encoder, path, fields));
        for request in 0..count {
            self.frame(HEADERS, flags | END_HEADERS, Some(request), &repeated);
        }
        Self { requests: count, fields, ..self }
    }

    fn frame(&mut self, kind: u8, flags: u8, request: Option<u32>, payload: &[u8]) {
        self.numbers.extend(request.map(|request| (self.bytes.len() + FRAME_HEAD_BYTES - 4, request)));
        frame(&mut self.bytes, kind, flags, payload);
    }

    /// Preface, large windows, and a first request whose fields the table keeps.
    fn greeting(&self, path: &str) -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        // RFC 9113 §6.5.2: SETTINGS_INITIAL_WINDOW_SIZE.
        frame(&mut bytes, SETTINGS, 0, &[0, 4, 0x3f, 0xff, 0xff, 0xff]);
        frame(&mut bytes, SETTINGS, ACK, &[]);
        frame(&mut bytes, WINDOW_UPDATE, 0, &(i32::MAX - 65_535).to_be_bytes());
        let first = block(&mut Encoder::new(TABLE_BYTES), path, self.fields);
        let at = bytes.len() + FRAME_HEAD_BYTES - 4;
        frame(&mut bytes, HEADERS, END_HEADERS | END_STREAM, &first);
        bytes[at..at + 4].copy_from_slice(&1_u32.to_be_bytes());
        bytes
    }
}

fn block(encoder: &mut Encoder, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = encoder.block(&mut out);
    block.sensitive(b":path", path.as_bytes());
    for (name, value) in fields {
        block.field(name.as_bytes(), value.as_bytes());
    }
    out
}

/// A frame for the connection, until it has a number.
fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("24 bits");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
}

const PATH: &str = "/plaintext";

fn scenes() -> Vec<Scene> {
    let hello = || Rendered::of(&Response::text("Hello, World!")).expect("it never changes");
    let rendered = || Answer::Rendered(hello());
    let one = Throughput::Elements(1);
    let mib = || Throughput::Bytes(MIB as u64);
    let shared = Answer::Shared(vec![b'x'; MIB].into());
    let mut upload = Scene::new("upload_1_mib", mib(), rendered()).requests(1, PATH, &UPLOAD, 0);
    for left in (0..MIB / PAYLOAD_BYTES).rev() {
        let flags = if left == 0 { END_STREAM } else { 0 };
        upload.frame(DATA, flags, Some(0), &[b'x'; PAYLOAD_BYTES]);
    }
    let mut pings = Scene::new("pings", Throughput::Elements(PINGS as u64), rendered());
    (0..PINGS).for_each(|_| pings.frame(PING, 0, None, b"are you?"));
    let load = |name, count, answer| {
        Scene::new(name, Throughput::Elements(u64::from(count)), answer)
            .requests(count, PATH, &LOAD, END_STREAM)
    };
    vec![
        load("load_32", 32, rendered()),
        load("load_1", 1, rendered()),
        Scene::new("browser", one, rendered()).requests(1, PATH, &BROWSER, END_STREAM),
        load("fields", 1, Answer::Fields),
        Scene::new("shared_1_mib", mib(), shared).requests(1, PATH, &LOAD, END_STREAM),
        upload,
        pings,
    ]
}

/// What a worker has, for one connection.
struct Machine {
    server: Server,
    room: Room,
    table: FieldTable,
    list: FieldList,
    output: Output,
    response: Response,
    preset: Preset,
    timeline: Timeline,
    now: Tick,
    /// What of the answers was looked at: nothing, if this is not wanted.
    taken: Option<Vec<u8>>,
}

impl Machine {
    fn new() -> Self {
        // Each turn takes a second, and so any number of PINGs is forgiven.
        let limits = Limits { glitches_max: 1_000, glitches_per_second: 1_000, ..Limits::DEFAULT };
        Self {
            server: Server::new(limits),
            room: Room::new(limits.worker_growth_bytes_max),
            table: FieldTable::new(),
            list: FieldList::new(),
            output: Output::with_capacity(64 * 1024),
            response: Response::default(),
            preset: Preset::new(Some("kolk"), 784_111_777),
            timeline: Timeline::default(),
            now: Tick::from_millis(1_000),
            taken: None,
        }
    }

    /// What a worker's turn does for what has arrived.
    #[inline]
    fn turn(&mut self, bytes: &[u8], answer: &Answer) {
        self.now = self.now.after(Duration::from_secs(1));
        self.server.begin_turn(self.now, 0, &mut self.room);
        let mut input = Input::new(bytes, false);
        loop {
            let slate = Slate { table: &mut self.table, list: &mut self.list };
            let done = match self.server.poll(&mut input, slate, &mut self.output).expect("no rule is broken")
            {
                None => break,
                Some(Event::Head { stream, body: Arrival::Empty, .. }) => Some(stream),
                Some(Event::Chunk { stream, bytes, end, .. }) => {
                    let count = bytes.len();
                    self.server.consume(stream, count, &mut self.output);
                    end.then_some(stream)
                }
                Some(_) => None,
            };
            if let Some(stream) = done {
                self.answer(stream, answer);
            }
        }
        while let Some(stream) = self.server.due(&self.output) {
            let mut encoding =
                Encoding { output: &mut self.output, preset: &self.preset, timeline: &self.timeline };
            self.server.pump(stream, &mut encoding);
            self.flush();
        }
        self.server.attend(&mut self.output);
        self.server.end_turn(&mut self.room, &mut self.output);
        self.flush();
    }

    #[inline]
    fn answer(&mut self, stream: StreamId, answer: &Answer) {
        let mut encoding =
            Encoding { output: &mut self.output, preset: &self.preset, timeline: &self.timeline };
        let answered = match answer {
            Answer::Rendered(rendered) => self.server.respond_rendered(stream, rendered, &mut encoding),
            Answer::Fields => {
                self.response.reset();
                self.response.set_content_type("text/html; charset=utf-8");
                ANSWER.iter().for_each(|(name, value)| self.response.append(name, value));
                self.response.set_body("Hello, World!");
                self.server.respond(stream, &mut self.response, &mut encoding)
            }
            Answer::Shared(body) => {
                self.response.reset();
                self.response.set_content_type("text/plain");
                self.response.set_body(body.clone());
                self.server.respond(stream, &mut self.response, &mut encoding)
            }
        };
        answered.expect("the client waits for it");
    }

    /// The kernel takes everything.
    #[inline]
    fn flush(&mut self) {
        if let Some(taken) = &mut self.taken {
            while let Some(Front::Bytes(run, _)) = self.output.front() {
                taken.extend_from_slice(run);
                let count = run.len();
                self.output.consume(count);
            }
        }
        self.output.consume(self.output.queued_bytes());
    }
}

/// A connection on which one scene is played.
struct Stage {
    scene: Scene,
    machine: Machine,
    next_stream: u32,
    turns: u32,
    /// All content that the client has had when it last opened its window.
    read_bytes: u32,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        let mut machine = Machine::new();
        machine.turn(&scene.greeting(PATH), &scene.answer);
        let mut stage = Self { scene, machine, next_stream: 3, turns: 0, read_bytes: 0 };
        stage.is_whole();
        stage
    }

    #[inline]
    fn turn(&mut self) {
        for (at, request) in &self.scene.numbers {
            let stream = self.next_stream + 2 * request;
            self.scene.bytes[*at..*at + 4].copy_from_slice(&stream.to_be_bytes());
        }
        self.next_stream += 2 * self.scene.requests;
        if self.turns.is_multiple_of(512) {
            self.open_window();
        }
        self.turns += 1;
        self.machine.turn(&self.scene.bytes, &self.scene.answer);
    }

    /// The client has read everything, and says so before it is needed.
    fn open_window(&mut self) {
        let mut bytes = Vec::new();
        let sent = self.machine.server.content_bytes_sent();
        let growth = sent.wrapping_sub(std::mem::replace(&mut self.read_bytes, sent));
        if growth > 0 {
            frame(&mut bytes, WINDOW_UPDATE, 0, &growth.to_be_bytes());
            self.machine.turn(&bytes, &self.scene.answer);
        }
    }

    /// Plays a turn in which each request is answered to its end, and each PING.
    fn is_whole(&mut self) {
        self.machine.taken = Some(Vec::new());
        self.turn();
        let taken = self.machine.taken.take().expect("it was wanted");
        let (mut ends, mut pongs, mut at) = (0, 0, 0);
        while let Some(head) = taken.get(at..at + FRAME_HEAD_BYTES) {
            ends += u32::from(matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0);
            pongs += usize::from(head[3] == PING && head[4] == ACK);
            at += FRAME_HEAD_BYTES + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        }
        assert_eq!((ends, at), (self.scene.requests, taken.len()), "{}", self.scene.name);
        assert_eq!(pongs, if self.scene.requests == 0 { PINGS } else { 0 }, "{}", self.scene.name);
    }
}

fn main() {
    let count = std::env::var("COUNT").ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(count) = count {
        let wanted = std::env::var("SCENE").unwrap_or_else(|_| "load_32".into());
        for scene in scenes().into_iter().filter(|scene| scene.name == wanted) {
            let mut stage = Stage::new(scene);
            (0..count).for_each(|_| stage.turn());
        }
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("h2");
    for scene in scenes() {
        let mut stage = Stage::new(scene);
        group.throughput(stage.scene.throughput.clone());
        group.bench_function(stage.scene.name, |bencher| bencher.iter(|| stage.turn()));
        // It has not been refused meanwhile.
        stage.is_whole();
    }
    group.finish();
    criterion.final_summary();
}
