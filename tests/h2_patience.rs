//! HTTP/2 AND THE CLOCK: how long a server waits for what, seen by clients that owe it something, and what
//! still counts when its client has given it up.
//!
//! The client is that of `h2.rs`; the timeouts are those of [`quick`], so that a test can wait for them.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "h2/client.rs"]
#[expect(dead_code, reason = "`h2.rs` uses all of it")]
mod client;
#[path = "h2/frame.rs"]
#[expect(dead_code, reason = "`h2.rs` uses all of it")]
mod frame;
mod support;
#[path = "h2/target.rs"]
#[expect(dead_code, reason = "each test has a server of its own")]
mod target;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use kolk::proto::h2::Limits;
use kolk::server::stats::Timeout;
use kolk::{
    App, Body, Config, HandlerExt, Outcome, Pull, Pulled, Reply, Request, Response, RouteTimeouts, Running,
    Server, Sink, Source, Take, Timeouts, Wakeup, Workers, deferred, receiving,
};

use client::Peer;
use frame::*;
use support::sinks::Counted;
use support::{Gate, address, alone, dawdle, now, quick, start, until};

const SETTINGS_TIMEOUT: u32 = 0x4;
/// Longer than every patience of [`quick`].
const LONG: Duration = Duration::from_millis(1_200);
const LARGE_BYTES: usize = 1 << 20;

fn site() -> App {
    let large: bytes::Bytes = vec![b'x'; LARGE_BYTES].into();
    App::new()
        .get("/", |_: &Request<'_>| Response::text("hello\n"))
        .get("/large", move |_: &Request<'_>| Response::typed("text/plain", Body::Shared(large.clone())))
        .post("/echo", |request: &Request<'_>| String::from_utf8_lossy(request.body()).into_owned())
}

/// All short, but for a client that rests.
fn patient_with_idlers() -> Timeouts {
    Timeouts { keepalive: Duration::from_secs(20), ..quick() }
}

fn greeted(server: &Running, list: &[(u16, u32)]) -> Peer {
    let mut peer = Peer::at(address(server));
    peer.greet(list);
    peer
}

fn timeouts(server: &Running, timeout: Timeout) -> u64 {
    server.snapshot().timeouts[timeout.index()]
}

impl Peer {
    /// The connection ends with this code, and then is closed.
    #[track_caller]
    fn is_left_with(&mut self, code: u32) {
        self.until(&format!("GOAWAY with {code}"), |peer| peer.goaways.iter().any(|(_, said)| *said == code));
        self.until("the end of the connection", |peer| peer.closed);
    }

    #[track_caller]
    fn is_answered(&mut self, stream: u32, status: u16) {
        self.until(&format!("{status} on {stream}"), |peer| {
            peer.answers.get(&stream).is_some_and(|answer| answer.ended && answer.status() == Some(status))
        });
    }
}

/// A GET of `path`.
fn ask(stream: u32, path: &str) -> Frame {
    headers(stream, &with(GET, ":path", path)).end()
}

// ── What a client owes ──────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_5_3_settings_that_are_never_acknowledged() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = Peer::at(address(&server));
    peer.write(PREFACE).send(settings(&[])).send(ask(1, "/"));
    // Whoever reads nothing acknowledges nothing; that it asks changes nothing.
    for stream in [3, 5, 7, 9] {
        dawdle(Duration::from_millis(100));
        peer.send(ask(stream, "/"));
    }
    dawdle(Duration::from_millis(200));
    peer.is_left_with(SETTINGS_TIMEOUT);
    assert_eq!(peer.answer(1).status(), Some(200), "what was asked before is answered");
    assert_eq!(timeouts(&server, Timeout::Header), 1);
}

#[test]
fn a_header_block_without_an_end() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    for beats in [0, 5] {
        let mut peer = greeted(&server, &[]);
        peer.send(ask(1, "/")).is_answered(1, 200);
        let since = now();
        peer.send(headers(3, GET).open());
        for _ in 0..beats {
            dawdle(Duration::from_millis(100));
            peer.send(continuation(3, []).open());
        }
        peer.is_left_with(ENHANCE_YOUR_CALM);
        let took = since.elapsed();
        assert!(took >= Duration::from_millis(280) && took < Duration::from_secs(2), "{took:?}");
    }
    assert_eq!(timeouts(&server, Timeout::Header), 2);
}

#[test]
fn a_frame_without_an_end_beside_an_open_exchange() {
    let (gate, _keeper) = Gate::new();
    let server = start(alone(site().get("/gated", gated(&gate, &Arc::default()))).timeouts(quick()));
    let mut peer = greeted(&server, &[]);
    peer.send(ask(1, "/gated"));
    peer.write(&ping([0; 8]).bytes()[..12]);
    peer.is_left_with(ENHANCE_YOUR_CALM);
    assert_eq!(timeouts(&server, Timeout::Header), 1);
}

#[test]
fn frames_that_always_come_in_two_halves_are_no_fault() {
    let (gate, _keeper) = Gate::new();
    let app = site().get("/gated", gated(&gate, &Arc::default()));
    let server = start(alone(app).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send(ask(1, "/gated"));
    let frame = ping([7; 8]).bytes();
    let (begin, rest) = frame.split_at(9);
    peer.write(begin);
    let end = now() + LONG;
    while now() < end {
        dawdle(Duration::from_millis(50));
        peer.write(&[rest, begin].concat());
    }
    peer.write(rest);
    gate.open();
    peer.is_answered(1, 200);
    assert_eq!(peer.goaways, []);
}

#[test]
fn half_a_preface() {
    let server = start(alone(site()).timeouts(quick()));
    for bytes in [&PREFACE[..3], &PREFACE[..18], PREFACE] {
        let mut peer = Peer::at(address(&server));
        peer.write(bytes);
        let mut client = support::Client::over(peer.stream.try_clone().unwrap());
        client.stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        client.is_cut();
    }
    until("all are gone", || server.snapshot().connections() == 0);
}

#[test]
fn who_asks_nothing_more_is_told_to_go() {
    let server = start(alone(site()).timeouts(quick()));
    let mut peer = greeted(&server, &[]);
    peer.send(ask(1, "/")).is_answered(1, 200);
    peer.is_left_with(NO_ERROR);
    assert_eq!(timeouts(&server, Timeout::Keepalive), 1);
    let mut never = greeted(&server, &[]);
    never.is_left_with(NO_ERROR);
    until("both are gone", || server.snapshot().connections() == 0);
}

#[test]
fn a_drain_does_not_wait_for_a_client_that_does_not_answer() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send(ask(1, "/")).is_answered(1, 200);
    let since = now();
    server.drain(Duration::from_secs(20));
    // It reads nothing, and so says nothing, until the server has given it its time.
    until("it is gone", || server.snapshot().connections() == 0);
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    peer.until("the last GOAWAY", |peer| peer.goaways.last() == Some(&(1, NO_ERROR)));
    server.join().unwrap();
}

// ── Bodies ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn bodies_that_stop_end_alone() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send_all(&[headers(1, POST), data(1, "begun"), headers(3, POST), headers(5, POST), data(5, "x")]);
    let mut stream = 7;
    let end = now() + LONG;
    while now() < end {
        peer.send(ask(stream, "/")).is_answered(stream, 200);
        peer.send(ask(stream + 2, "/large"));
        peer.send_all(&[window_update(0, 1 << 20), window_update(stream + 2, 1 << 20)]);
        peer.is_answered(stream + 2, 200);
        stream += 4;
        dawdle(Duration::from_millis(20));
    }
    for id in [1, 3, 5] {
        peer.is_answered(id, 408);
        assert_eq!(peer.reset_of(id), Some(NO_ERROR), "nobody reads the rest");
    }
    assert_eq!(timeouts(&server, Timeout::Body), 3);
    assert_eq!(peer.goaways, []);
    // What was on its way is no fault.
    peer.send(data(1, "late").end()).send(ask(stream, "/")).is_answered(stream, 200);
}

#[test]
fn a_body_has_the_patience_of_its_route() {
    let hasty = RouteTimeouts { body: Some(Duration::from_millis(150)), ..RouteTimeouts::default() };
    let calm = RouteTimeouts {
        body: Some(Duration::from_secs(60)),
        body_rate_bytes_min: Some(0),
        ..RouteTimeouts::default()
    };
    let echo = |request: &Request<'_>| String::from_utf8_lossy(request.body()).into_owned();
    let app = || site().post("/hasty", echo.timeouts(hasty)).post("/calm", echo.timeouts(calm));
    let server = start(alone(app()));
    let mut peer = greeted(&server, &[]);
    peer.send_all(&[headers(1, POST), headers(3, &with(POST, ":path", "/hasty")), data(3, "begun")]);
    peer.is_answered(3, 408);
    assert_eq!(timeouts(&server, Timeout::Body), 1);
    peer.send(data(1, "whole").end()).is_answered(1, 200);

    let server = start(alone(app()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send_all(&[headers(1, &with(POST, ":path", "/calm")), headers(3, POST)]);
    peer.is_answered(3, 408);
    peer.send(data(1, "whole").end()).is_answered(1, 200);
    assert_eq!(peer.goaways, []);
}

#[test]
fn a_body_that_drips_ends_alone() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send(headers(1, POST)).send(headers(3, POST));
    let end = now() + LONG;
    while now() < end {
        // One is slow, the other slow enough to be borne.
        peer.send(data(1, "x")).send(data(3, vec![b'y'; 100]));
        peer.comes_true(Duration::from_millis(50), |_| false);
    }
    peer.is_answered(1, 408);
    peer.send(data(3, "end").end()).is_answered(3, 200);
    assert_eq!(timeouts(&server, Timeout::BodyRate), 1);
}

/// Takes a first piece, and the next when it is woken.
struct Held(mpsc::Sender<Wakeup>, Wakeup);

impl Sink for Held {
    fn chunk(&mut self, _: &[u8]) -> Take {
        let _ = self.0.send(self.1.clone());
        Take::Wait
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace("held".into());
        Outcome::Ready
    }
}

/// Whoever may not send is not slow: here others, whom nobody reads, use up the connection's window.
#[test]
fn a_body_that_the_server_holds_back_is_not_late() {
    let (wakes, woken) = mpsc::channel();
    let held = receiving(move |request| Ok(Box::new(Held(wakes.clone(), request.wakeup()))));
    let app = site().post("/held", held.body_limit(1 << 20));
    let connection_window_bytes_max = Limits::DEFAULT.connection_window_bytes;
    let mut config = Config { timeouts: patient_with_idlers(), ..Config::default() };
    config.limits.http2 = Limits { connection_window_bytes_max, ..Limits::DEFAULT }.into();
    let server = start(Server::new(app).config(config).workers(Workers::Exactly(1)));
    let mut peer = greeted(&server, &[]);
    let window = |peer: &Peer| 65_535 + peer.credits.get(&0).copied().unwrap_or(0);
    let before = window(&peer);
    let mut left = usize::try_from(before).unwrap();
    let mut stream = 1;
    while left > 0 {
        let bytes = left.min(65_535);
        peer.send(headers(stream, &with(POST, ":path", "/held")));
        for piece in vec![b'h'; bytes].chunks(16_384) {
            peer.send(data(stream, piece));
        }
        left -= bytes;
        stream += 2;
    }
    peer.send(headers(stream, POST));
    assert!(!peer.comes_true(LONG, |peer| peer.answers.contains_key(&stream)), "{:?}", peer.answer(stream));
    // Read at last, they give the window back, and from then on it is the client's time.
    thread::spawn(move || woken.into_iter().for_each(|wakeup: Wakeup| wakeup.wake()));
    peer.until("credit", |peer| window(peer) > before);
    assert!(!peer.comes_true(Duration::from_millis(150), |peer| peer.answers.contains_key(&stream)));
    peer.is_answered(stream, 408);
}

/// Each of them has a whole window of its stream unread.
#[test]
fn uploads_that_are_held_back_hold_up_nobody_else() {
    const UPLOAD_BYTES: u64 = 4 << 20;
    const HELD_MAX: u32 = 24;
    let held = receiving(|_| Ok(Box::new(Asleep)));
    let app = site().post("/held", held.body_limit(1 << 20));
    let app = app.post("/counted", receiving(|_| Ok(Box::new(Counted::default()))).body_limit(UPLOAD_BYTES));
    let server = start(alone(app));
    for count in [1, 2, 3, 4, 5, 6, HELD_MAX] {
        let mut peer = greeted(&server, &[]);
        let window = |peer: &Peer, stream| 65_535 + peer.credits.get(&stream).copied().unwrap_or(0);
        let mut sent = 0;
        for at in 0..count {
            peer.send(headers(2 * at + 1, &with(POST, ":path", "/held")));
            for piece in [b'h'; 65_535].chunks(16_384) {
                sent += piece.len() as u64;
                peer.until("room for a held body", |peer| window(peer, 0) >= sent);
                peer.send(data(2 * at + 1, piece));
            }
        }
        let stream = 2 * count + 1;
        peer.send(headers(stream, &with(POST, ":path", "/counted")));
        let mut uploaded = 0;
        while uploaded < UPLOAD_BYTES {
            peer.until(&format!("a window beside {count} others, {uploaded} bytes on"), |peer| {
                window(peer, 0) > sent && window(peer, stream) > uploaded
            });
            let room = (window(&peer, 0) - sent).min(window(&peer, stream) - uploaded);
            let bytes = room.min(16_384).min(UPLOAD_BYTES - uploaded);
            peer.send(data(stream, vec![b'u'; usize::try_from(bytes).unwrap()]));
            (sent, uploaded) = (sent + bytes, uploaded + bytes);
        }
        peer.send(data(stream, "").end()).is_answered(stream, 200);
        assert_eq!(peer.answer(stream).body, UPLOAD_BYTES.to_string().as_bytes());
        let unread = u64::from(count) * 65_535;
        let limit = u64::from(Limits::DEFAULT.connection_window_bytes_max);
        assert!(window(&peer, 0) - sent <= limit - unread, "no more is let in than may be kept");
    }
}

/// Takes a first piece, and no other.
struct Asleep;

impl Sink for Asleep {
    fn chunk(&mut self, _: &[u8]) -> Take {
        Take::Wait
    }

    fn end(self: Box<Self>, _: &Request<'_>, _: &mut Response) -> Outcome {
        Outcome::Ready
    }
}

// ── Windows ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn windows_that_are_never_opened() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    let since = now();
    peer.send_all(&(0..100).map(|at| ask(2 * at + 1, "/large")).collect::<Vec<_>>());
    peer.is_left_with(ENHANCE_YOUR_CALM);
    assert!(since.elapsed() >= Duration::from_millis(280), "{:?}", since.elapsed());
    assert_eq!(peer.answers.len(), 100);
    assert_eq!(timeouts(&server, Timeout::Write), 1);
}

#[test]
fn windows_that_are_opened_byte_by_byte() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send_all(&(0..100).map(|at| ask(2 * at + 1, "/large")).collect::<Vec<_>>());
    let since = now();
    while !peer.closed && since.elapsed() < LONG {
        peer.send(window_update(1, 1)).send(window_update(51, 1));
        peer.comes_true(Duration::from_millis(20), |peer| peer.closed);
    }
    peer.is_left_with(ENHANCE_YOUR_CALM);
    assert_eq!(timeouts(&server, Timeout::WriteRate), 1);
}

/// One window is shut, but the client reads: it is only busy.
#[test]
fn one_window_may_stay_shut_while_the_others_are_used() {
    let server = start(alone(site()).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send(ask(1, "/large"));
    peer.until("a first part", |peer| peer.answers.get(&1).is_some_and(|answer| answer.body.len() == 65_535));
    let mut stream = 3;
    let end = now() + LONG;
    while now() < end {
        peer.send_all(&[ask(stream, "/large"), window_update(0, 1 << 20), window_update(stream, 1 << 20)]);
        peer.is_answered(stream, 200);
        stream += 2;
        dawdle(Duration::from_millis(50));
    }
    peer.send_all(&[window_update(0, 1 << 20), window_update(1, 1 << 20)]).is_answered(1, 200);
    assert_eq!(peer.answer(1).body.len(), LARGE_BYTES);
}

/// The answers of a route have their own patience with windows, and end alone.
#[test]
fn the_windows_of_a_hasty_route() {
    let hasty = RouteTimeouts { write: Some(Duration::from_millis(150)), ..RouteTimeouts::default() };
    let large = |_: &Request<'_>| Response::typed("text/plain", Body::Static(&[b'x'; 4096]));
    let server = start(alone(site().get("/hasty", large.timeouts(hasty))));
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send_all(&[ask(1, "/hasty"), ask(3, "/large"), ask(5, "/hasty")]);
    for stream in [1, 5] {
        peer.until("an end", |peer| peer.reset_of(stream) == Some(ENHANCE_YOUR_CALM));
    }
    assert_eq!(timeouts(&server, Timeout::Write), 2);
    peer.send_all(&[window_update(0, 1 << 20), window_update(3, 1 << 20)]).is_answered(3, 200);
    peer.send(ask(7, "/hasty")).send(window_update(7, 4096)).is_answered(7, 200);
    assert_eq!(peer.goaways, []);
}

#[test]
fn the_windows_of_a_calm_route() {
    let calm = RouteTimeouts { write: Some(Duration::from_secs(60)), ..RouteTimeouts::default() };
    let answer = |_: &Request<'_>| Response::typed("text/plain", Body::Static(&[b'x'; 4096]));
    let server = start(alone(site().get("/calm", answer.timeouts(calm))).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send_all(&[ask(1, "/calm"), ask(3, "/large")]);
    assert!(!peer.comes_true(LONG, |peer| peer.closed), "{:?}", peer.goaways);
    peer.send(window_update(1, 4096)).is_answered(1, 200);
    peer.is_left_with(ENHANCE_YOUR_CALM);
}

// ── Sources ─────────────────────────────────────────────────────────────────────────────────────────

/// Gives more than a frame, then waits, and then ends.
struct Slow(Pulled, bool);

const SLOW_BYTES: usize = 40_000;

impl Source for Slow {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        if std::mem::replace(&mut self.1, true) {
            pull.write(b"end");
            return Pulled::End;
        }
        pull.write(&[b's'; SLOW_BYTES]);
        self.0
    }
}

#[test]
fn a_source_that_gives_more_than_a_frame_is_not_asked_before_its_time() {
    const WAIT: Duration = Duration::from_millis(400);
    let slow = |_: &Request<'_>| Response::stream("text/plain", Slow(Pulled::After(WAIT), false));
    let server = start(alone(site().get("/slow", slow)).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    let since = now();
    peer.send(ask(1, "/slow")).is_answered(1, 200);
    assert!(since.elapsed() >= WAIT, "{:?}", since.elapsed());
    assert_eq!(peer.answer(1).body.len(), SLOW_BYTES + 3);
}

/// A wakeup is not lost while the client has yet to take what was given before.
#[test]
fn a_source_that_is_woken_while_its_bytes_wait_goes_on() {
    let (wakes, woken) = mpsc::channel();
    let slow = move |request: &Request<'_>| {
        wakes.send(request.wakeup()).unwrap();
        Response::stream("text/plain", Slow(Pulled::Waiting, false))
    };
    let server = start(alone(site().get("/slow", slow)).timeouts(patient_with_idlers()));
    for window in [20_000, 65_535] {
        let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, window)]);
        peer.send(ask(1, "/slow"));
        let is_ended = |peer: &Peer| peer.answers.get(&1).is_some_and(|answer| answer.ended);
        assert!(!peer.comes_true(Duration::from_millis(100), is_ended));
        woken.recv_timeout(support::PATIENCE).unwrap().wake();
        peer.comes_true(Duration::from_millis(50), is_ended);
        peer.send(window_update(1, 1 << 20)).is_answered(1, 200);
        assert_eq!(peer.answer(1).body.len(), SLOW_BYTES + 3);
    }
}

// ── Work for nobody ─────────────────────────────────────────────────────────────────────────────────

/// A handler that counts its calls, and whose answers wait for the gate.
fn gated(gate: &Gate, calls: &Arc<AtomicUsize>) -> impl kolk::Handler + use<> {
    let (gate, calls) = (gate.clone(), Arc::clone(calls));
    deferred(move |_: &Request<'_>, reply: Reply| {
        calls.fetch_add(1, SeqCst);
        let gate = gate.clone();
        thread::spawn(move || {
            gate.pass();
            reply.send("at last");
        });
    })
}

#[test]
fn a_stream_that_was_reset_counts_until_its_handler_has_ended() {
    let (gate, _keeper) = Gate::new();
    let calls = Arc::default();
    let server = start(alone(site().get("/gated", gated(&gate, &calls))).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    for at in 0..100 {
        peer.send_all(&[ask(2 * at + 1, "/gated"), rst_stream(2 * at + 1, CANCEL)]);
        dawdle(Duration::from_millis(1));
    }
    peer.send(ask(201, "/"));
    peer.until("a refusal", |peer| peer.reset_of(201) == Some(REFUSED_STREAM));
    assert_eq!(calls.load(SeqCst), 100);
    let mut other = greeted(&server, &[]);
    other.send(ask(1, "/")).is_answered(1, 200);
    gate.open();
    finds_room_again(&mut peer, 203);
}

/// Asks on `stream` and those behind it until one is answered, on the same connection.
fn finds_room_again(peer: &mut Peer, mut stream: u32) {
    until("there is room again", || {
        peer.send(ask(stream, "/"));
        stream += 2;
        let last = stream - 2;
        peer.comes_true(Duration::from_millis(50), |peer| peer.answers.get(&last).is_some_and(|a| a.ended))
    });
    assert_eq!(peer.goaways, []);
}

#[test]
fn a_stream_that_was_answered_for_counts_until_its_handler_has_ended() {
    let (gate, _keeper) = Gate::new();
    let calls = Arc::default();
    let short = RouteTimeouts { handler: Some(Duration::from_millis(100)), ..RouteTimeouts::default() };
    let app = site().get("/gated", gated(&gate, &calls).timeouts(short));
    let server = start(alone(app).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    peer.send_all(&(0..100).map(|at| ask(2 * at + 1, "/gated")).collect::<Vec<_>>());
    (0..100).for_each(|at| peer.is_answered(2 * at + 1, 504));
    assert_eq!((calls.load(SeqCst), timeouts(&server, Timeout::Handler)), (100, 100));
    peer.send(ask(201, "/"));
    peer.until("a refusal", |peer| peer.reset_of(201) == Some(REFUSED_STREAM));
    gate.open();
    finds_room_again(&mut peer, 203);
}

#[test]
fn resets_within_one_turn_count_at_once() {
    let (gate, _keeper) = Gate::new();
    let calls = Arc::default();
    let server = start(alone(site().get("/gated", gated(&gate, &calls))).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    let flood = (0..400).flat_map(|at| [ask(2 * at + 1, "/gated"), rst_stream(2 * at + 1, CANCEL)]);
    peer.send_all(&flood.collect::<Vec<_>>());
    peer.send(ping([1; 8]));
    peer.until("an answer to the PING", |peer| !peer.pongs.is_empty());
    assert_eq!(calls.load(SeqCst), 100);
}

#[test]
fn a_flood_of_requests_that_are_reset_runs_few_handlers() {
    let calls: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&calls);
    let app = site().get("/counted", move |_: &Request<'_>| {
        count.fetch_add(1, SeqCst);
        "counted"
    });
    let server = start(alone(app).timeouts(patient_with_idlers()));
    let mut peer = greeted(&server, &[]);
    let flood = (0..20_000).flat_map(|at| [ask(2 * at + 1, "/counted"), rst_stream(2 * at + 1, CANCEL)]);
    let bytes: Vec<u8> = flood.flat_map(|frame| frame.bytes()).collect();
    let mut writer = peer.stream.try_clone().unwrap();
    let since = now();
    let writing = thread::spawn(move || writer.write_all(&bytes).is_ok());
    peer.until("GOAWAY", |peer| peer.goaways.iter().any(|(_, code)| *code == ENHANCE_YOUR_CALM));
    let calls = calls.load(SeqCst);
    // The budget, what each second adds to it, and the request that was one too many.
    let calls_max = 1_001 + 100 * usize::try_from(since.elapsed().as_secs() + 1).unwrap();
    println!("{calls} calls");
    assert!(calls <= calls_max, "{calls} of {calls_max}");
    let _ = peer.stream.shutdown(std::net::Shutdown::Both);
    writing.join().unwrap();
}
