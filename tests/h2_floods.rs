//! WHAT A FLOOD OF HTTP/2 COSTS: memory, handlers, and those who are served beside it.
//!
//! Alone in its process, whose memory is measured: that of the clients is in it, so that they keep
//! nothing. The first flood comes once more than it is measured: it makes whatever is made once.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "h2/client.rs"]
#[expect(dead_code, reason = "`h2.rs` uses all of it")]
mod client;
#[path = "h2/frame.rs"]
#[expect(dead_code, reason = "`h2.rs` uses all of it")]
mod frame;
mod support;
#[path = "h2/target.rs"]
#[expect(dead_code, reason = "the server here is one of its own")]
mod target;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use kolk::{App, Body, Pull, Pulled, Request, Response, Running, Source, StaticDir, Timeouts};

use client::Peer;
use frame::*;
use support::scratch::Scratch;
use support::{PATIENCE, address, alone, dawdle, now, start, until};

/// What each may take, in bytes.
const GROWTH_BYTES_MAX: usize = 256 * 1024;
/// Handlers that a flood of requests may have run: at once, and for each second.
const CALLS_MAX: usize = 1_001;
const CALLS_PER_SECOND: usize = 100;
const ROUNDS: u32 = 20_000;
const LONG: u32 = 100_000;
const LARGE_BYTES: usize = 1 << 20;

const FIRST: &str = "rapid reset";

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Gives for ever.
struct Endless;

impl Source for Endless {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        pull.write(&[b'e'; 4096]);
        Pulled::More
    }
}

fn site(files: &Scratch) -> App {
    let large: bytes::Bytes = vec![b'x'; LARGE_BYTES].into();
    App::new()
        .get("/", |_: &Request<'_>| {
            CALLS.fetch_add(1, SeqCst);
            Response::text("hello\n")
        })
        .get("/beside", |_: &Request<'_>| Response::text("beside\n"))
        .get("/large", move |_: &Request<'_>| Response::typed("text/plain", Body::Shared(large.clone())))
        .get("/source", |_: &Request<'_>| Response::stream("text/plain", Endless))
        .get("/files/{*path}", StaticDir::new(&**files))
        .post("/echo", |request: &Request<'_>| String::from_utf8_lossy(request.body()).into_owned())
}

const fn id(round: u32) -> u32 {
    2 * round + 1
}

fn ask(stream: u32, path: &str) -> Frame {
    headers(stream, &with(GET, ":path", path)).end()
}

/// A flood: its settings, its rounds, and how many of them.
struct Flood {
    name: &'static str,
    settings: Vec<(u16, u32)>,
    rounds: u32,
    round: fn(u32) -> Vec<Frame>,
}

fn flood(name: &'static str, rounds: u32, round: fn(u32) -> Vec<Frame>) -> Flood {
    Flood { name, settings: Vec::new(), rounds, round }
}

fn floods() -> Vec<Flood> {
    let mut all = vec![
        flood(FIRST, ROUNDS, |at| vec![headers(id(at), GET).end(), rst_stream(id(at), CANCEL)]),
        flood("reset of open requests", ROUNDS, |at| vec![headers(id(at), POST), rst_stream(id(at), CANCEL)]),
        flood("reset of bodies", ROUNDS, |at| {
            vec![headers(id(at), POST), data(id(at), [b'x'; 200]), rst_stream(id(at), CANCEL)]
        }),
        flood("increments of nothing", ROUNDS, |at| vec![headers(id(at), POST), window_update(id(at), 0)]),
        flood("windows that overflow", ROUNDS, |at| {
            vec![headers(id(at), POST), window_update(id(at), i32::MAX.cast_unsigned())]
        }),
        flood("requests that are malformed", ROUNDS, |at| {
            vec![headers(id(at), &and(GET, &[("connection", "close")])).end()]
        }),
        flood("streams beyond the limit", ROUNDS, |at| vec![headers(id(at), POST)]),
        flood("PING", LONG, |at| vec![ping([at.to_le_bytes()[0]; 8])]),
        flood("SETTINGS", LONG, |_| vec![settings(&[(HEADER_TABLE_SIZE, 4096)])]),
        flood("PRIORITY", LONG, |at| vec![priority(id(at), 0)]),
        flood("unknown frames", LONG, |_| vec![raw(0x42, 0, 0, [0; 10])]),
        flood("WINDOW_UPDATE", LONG, |_| vec![window_update(0, 1)]),
        flood("empty DATA", LONG, |at| if at == 0 { vec![headers(1, POST)] } else { vec![data(1, [])] }),
        flood("a header block without an end", 200, |at| {
            if at == 0 { vec![headers(1, GET).open()] } else { vec![continuation(1, [0; 1000]).open()] }
        }),
        flood("empty CONTINUATION", LONG, |at| {
            if at == 0 { vec![headers(1, GET).open()] } else { vec![continuation(1, []).open()] }
        }),
        flood("one field, referred to again and again", 100, |at| {
            let long = "x".repeat(3_000);
            let first = [block(GET), indexed_literal("x-long", &long)].concat();
            let again = [block(GET), vec![0xBE; 4_000]].concat();
            vec![headers_of(id(at), if at == 0 { first } else { again }).end()]
        }),
    ];
    for (name, window, round) in [
        ("shut windows", 0, (|at| vec![ask(id(at), "/large")]) as fn(u32) -> Vec<Frame>),
        ("windows of one byte", 1, |at| vec![ask(id(at), "/large")]),
        ("shut windows of files", 0, |at| vec![ask(id(at), "/files/large.bin")]),
        ("shut windows of sources", 0, |at| vec![ask(id(at), "/source")]),
    ] {
        all.push(Flood { settings: vec![(INITIAL_WINDOW_SIZE, window)], ..flood(name, 100, round) });
    }
    all
}

/// Writes it all, and reads, or does not, until the server has had enough. What it says is forgotten.
fn suffer(server: &Running, flood: &Flood, bytes: &[u8], reads: bool) {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(700))).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&settings(&flood.settings).bytes()).unwrap();
    stream.write_all(&settings_ack().bytes()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        let reading = reads.then(|| {
            scope.spawn(move || {
                let mut buffer = [0; 8 * 1024];
                while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
            })
        });
        let has_written = stream.write_all(bytes).is_ok();
        if reading.is_none() && has_written {
            dawdle(Duration::from_millis(100));
        }
        // The end of the flood, if it was borne, or of the connection.
        let _ = stream.shutdown(if reads && has_written { Shutdown::Write } else { Shutdown::Both });
    });
    until(flood.name, || server.snapshot().connections() <= 1);
}

/// Asks and asks, and counts what is answered.
fn beside(server: &Running, is_over: &AtomicBool) -> usize {
    let mut peer = Peer::at(address(server));
    peer.greet(&[]);
    let mut stream = 1;
    while !is_over.load(SeqCst) {
        peer.send(ask(stream, "/beside"));
        peer.until("an answer beside the flood", |peer| {
            peer.answers.get(&stream).is_some_and(|answer| answer.ended && answer.status() == Some(200))
        });
        // What was heard is forgotten, as it would count as the server's.
        peer.answers.clear();
        peer.blocks.clear();
        stream += 2;
        dawdle(Duration::from_millis(2));
    }
    (stream / 2) as usize
}

/// What this process has in memory.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = status.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// The highest that `resident_bytes` was while `act` ran, above what it was before.
fn growth(act: impl FnOnce()) -> usize {
    let before = resident_bytes();
    let (is_over, highest) = (AtomicBool::new(false), AtomicUsize::new(before));
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            while !is_over.load(SeqCst) {
                highest.fetch_max(resident_bytes(), SeqCst);
                dawdle(Duration::from_millis(1));
            }
        });
        act();
        is_over.store(true, SeqCst);
        watching.join().unwrap();
    });
    highest.into_inner() - before
}

#[test]
fn floods_cost_little_and_nobody_else_notices() {
    static FILES: OnceLock<Scratch> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let folder = Scratch::new("floods");
        folder.put("large.bin", vec![b'f'; LARGE_BYTES]);
        folder
    });
    let timeouts = Timeouts { write: Duration::from_millis(300), ..Timeouts::default() };
    let server = Arc::new(start(alone(site(files)).timeouts(timeouts)));
    let is_over = Arc::new(AtomicBool::new(false));
    let other = {
        let (server, is_over) = (Arc::clone(&server), Arc::clone(&is_over));
        thread::spawn(move || beside(&server, &is_over))
    };
    let mut complaints = Vec::new();
    for flood in floods() {
        let bytes: Vec<u8> =
            (0..flood.rounds).flat_map(flood.round).flat_map(|frame| frame.bytes()).collect();
        if flood.name == FIRST {
            suffer(&server, &flood, &bytes, true);
        }
        for reads in [true, false] {
            let (calls, since) = (CALLS.load(SeqCst), now());
            let grown = growth(|| suffer(&server, &flood, &bytes, reads));
            let calls = CALLS.load(SeqCst) - calls;
            println!("{:<40} reads {reads:<5} {:>4} KiB {calls:>5} calls", flood.name, grown / 1024);
            let seconds = usize::try_from(since.elapsed().as_secs()).unwrap() + 1;
            if grown > GROWTH_BYTES_MAX || calls > CALLS_MAX + CALLS_PER_SECOND * seconds {
                complaints.push(format!("{}, reads: {reads}: {grown} bytes, {calls} calls", flood.name));
            }
        }
    }
    is_over.store(true, SeqCst);
    println!("{} answers beside them", other.join().expect("whoever is beside a flood is served"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
