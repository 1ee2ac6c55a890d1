//! HTTP/2 on real sockets, where the machine meets handlers that take their time, timeouts, and the end of a
//! connection. What the frames mean, `h2` asks.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "frames/frame.rs"]
mod frame;
#[path = "memory/lane.rs"]
mod lane;
#[path = "frames/speaker.rs"]
mod speaker;
mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use kolk::access_log::{Destination, Format, Log};
use kolk::app::{
    App, Handler, HandlerExt, InFlight, Outcome, Reply, Request, Rule, Sink, Take, deferred, receiving,
};
use kolk::base::{Key, Tick};
use kolk::reactor::Readiness;
use kolk::server::Shard;
use kolk::server::stats::CloseReason;
use kolk::{Body, Config, Pull, Pulled, Response, Source};

use lane::{Lane, Near};

use frame::{DATA, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, bytes_of};
use speaker::Speaker;
use support::scratch::Scratch;
use support::sinks::Failing;
use support::{PATIENCE, address, alone, dawdle, quick, start, until};

const PAUSE: Duration = Duration::from_millis(50);
/// RFC 7541 §6.1: entry 14 of the static table.
const STATUS_500: u8 = 0x8e;

/// Decides when it is called a second time, after a while.
struct Later<H>(H, AtomicBool);

impl<H: Handler> Handler for Later<H> {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        if self.1.swap(true, Relaxed) {
            return self.0.handle(request, response);
        }
        let (recall, outcome) = request.suspend();
        thread::spawn(move || {
            dawdle(2 * PAUSE);
            recall.call();
        });
        outcome
    }

    fn rule(&self) -> Rule {
        self.0.rule()
    }
}

struct Collected(Vec<u8>);

impl Sink for Collected {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.0.extend_from_slice(bytes);
        Take::More
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(Response::text(self.0));
        Outcome::Ready
    }
}

#[test]
fn a_body_that_is_whole_before_its_handler_has_decided_is_not_lost() {
    let sink = receiving(|_| Ok(Box::new(Collected(Vec::new()))));
    let server = start(alone(App::new().post("/", Later(sink, AtomicBool::new(false)))));
    let mut client = Speaker::to(&server);
    client.say("HEADERS 1 END_HEADERS POST=/ | DATA 1 \"abc\" | DATA 1 END_STREAM \"def\"");
    assert_eq!(client.until(|frame| frame.kind == DATA).payload, b"abcdef");
}

#[test]
fn a_frame_that_was_cut_long_ago_is_no_reason_at_the_end_of_an_idle_connection() {
    let app = App::new().post("/", Response::text("ok"));
    let server = start(alone(app).config(Config { timeouts: quick(), ..Config::default() }));
    let mut client = Speaker::to(&server);
    let ping = bytes_of("PING \"12345678\"");
    client.say("HEADERS 1 END_HEADERS POST=/");
    client.stream.write_all(&ping[..5]).unwrap();
    dawdle(PAUSE);
    client.stream.write_all(&ping[5..]).unwrap();
    client.say("DATA 1 END_STREAM \"abc\"");
    client.until(|frame| frame.kind == DATA && frame.is(END_STREAM));
    assert_eq!(client.until(|frame| frame.kind == GOAWAY).to_string(), "GOAWAY STREAM=1 NO_ERROR");
}

#[test]
fn who_is_always_within_a_frame_but_never_for_long_is_not_too_slow() {
    let app = App::new().get("/", Response::text("ok"));
    let server = start(alone(app).config(Config { timeouts: quick(), ..Config::default() }));
    let mut client = Speaker::to(&server);
    let pings = bytes_of("12x PING \"12345678\"");
    for piece in pings.chunks(17 - 1) {
        client.stream.write_all(piece).unwrap();
        dawdle(PAUSE);
    }
    client.say("HEADERS 1 END_STREAM END_HEADERS GET=/");
    assert_eq!(client.until(|frame| matches!(frame.kind, DATA | GOAWAY)).kind, DATA);
}

#[test]
fn what_is_on_its_way_at_the_end_meets_no_closed_socket() {
    let app = App::new().get("/", |_: &Request<'_>| Response::text("bye").with_close());
    let server = start(alone(app));
    let mut client = Speaker::to(&server);
    client.say("HEADERS 1 END_STREAM END_HEADERS GET=/");
    client.until(|frame| frame.kind == PING);
    client.say("PING ACK \"farewell\"");
    client.until(|frame| frame.kind == GOAWAY);
    // Nothing but this waits for the server's side to be closed.
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    for _ in 0..3 {
        client.say("WINDOW_UPDATE 0 +3");
        dawdle(PAUSE);
    }
}

/// One stalls at its window, the other waits for a handler that never answers.
#[test]
fn an_exchange_that_is_reset_leaves_its_seat() {
    let seats = InFlight::new(2);
    let (late, replies) = std::sync::mpsc::channel();
    let never = deferred(move |_: &Request<'_>, reply: Reply| late.send(reply).unwrap());
    let large = |_: &Request<'_>| Response::text("x".repeat(1_000_000));
    let large = large.layer(seats.clone());
    let server = start(alone(App::new().get("/never", never.layer(seats.clone())).get("/large", large)));
    let mut client = Speaker::to(&server);
    client.say("HEADERS 1 END_STREAM END_HEADERS GET=/large | HEADERS 3 END_STREAM END_HEADERS GET=/never");
    until("both are in flight", || seats.requests() == 2);
    client.say("RST_STREAM 1 CANCEL");
    until("the reader has left", || seats.requests() == 1);
    client.say("RST_STREAM 3 CANCEL");
    until("both have left", || seats.requests() == 0);
    drop(replies);
}

/// A handler, a sink, and a source within its body.
#[test]
fn whoever_fails_ends_a_stream_and_neither_the_others_nor_the_connection() {
    struct Fuse(bool);
    impl Source for Fuse {
        fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
            assert!(!std::mem::replace(&mut self.0, true), "a source fails");
            pull.write(b"half");
            Pulled::More
        }
    }
    let (late, replies) = std::sync::mpsc::channel();
    let app = App::new()
        .get("/late", deferred(move |_: &Request<'_>, reply: Reply| late.send(reply).unwrap()))
        .get("/panic", |_: &Request<'_>| -> String { panic!("a handler fails") })
        .post("/sink", receiving(|_| Ok(Box::new(Failing))))
        .get("/source", |_: &Request<'_>| Response::stream("text/plain", Fuse(false)));
    let server = start(alone(app));
    let mut client = Speaker::to(&server);
    client.say("HEADERS 1 END_STREAM END_HEADERS GET=/late");
    let reply = replies.recv_timeout(PATIENCE).unwrap();
    client.say("HEADERS 3 END_STREAM END_HEADERS GET=/panic");
    client.say("HEADERS 5 END_HEADERS POST=/sink | DATA 5 END_STREAM \"boom\"");
    for stream in [3, 5] {
        let head = client.until(|frame| frame.stream == stream && frame.kind == HEADERS);
        assert!(head.payload.contains(&STATUS_500), "{head}");
        assert!(client.content(stream).contains("handler.panic"));
    }
    client.say("HEADERS 7 END_STREAM END_HEADERS GET=/source");
    assert_eq!(client.until(|frame| frame.stream == 7 && frame.kind == DATA).payload, b"half");
    let reset = client.until(|frame| frame.stream == 7);
    assert_eq!((reset.kind, &reset.payload[..]), (RST_STREAM, &[0, 0, 0, 2][..]), "INTERNAL_ERROR");
    reply.send("late");
    assert_eq!(client.content(1), "late");
    let snapshot = server.snapshot();
    assert_eq!((snapshot.connections(), snapshot.accepts, snapshot.handler_panics), (1, 1, 3));
}

/// A fixed answer of three frames, and a file of seven: neither the frames' heads nor their number show.
#[test]
fn the_log_tells_the_content_and_the_route_of_an_answer_in_many_frames() {
    let folder = Scratch::new("multiplexed-log");
    let (log, content) = (folder.join("access.log"), folder.join("content"));
    std::fs::write(&content, vec![b'x'; 100_000]).unwrap();
    let file = move |_: &Request<'_>| {
        let file = Arc::new(File::open(&content).unwrap());
        Response::text(Body::File { file, offset: 0, length: 100_000 })
    };
    let app = App::new().get("/fixed", Response::text("x".repeat(40_000))).get("/file/{name}", file);
    let to = Log::new(Format::Json, Destination::File(log.clone())).without_parameter("token");
    let server = start(alone(app).access_logs([to]));
    let mut client = Speaker::to(&server);
    client.say("WINDOW_UPDATE 0 1000000 | SETTINGS INITIAL_WINDOW_SIZE=200000");
    for (stream, path) in [(1, "/fixed?token=SECRET"), (3, "/file/a?token=SECRET")] {
        client.say(&format!("HEADERS {stream} END_STREAM END_HEADERS GET={path}"));
        client.until(|frame| frame.kind == DATA && frame.flags & END_STREAM != 0);
    }
    drop(client);
    server.drain(PATIENCE);
    server.join().unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    for (line, bytes, route) in [(lines[0], 40_000, "/fixed"), (lines[1], 100_000, "/file/{name}")] {
        assert!(line.contains(&format!("\"bytes\":{bytes},")), "{line}");
        assert!(line.contains(&format!("\"route\":\"{route}\"")), "{line}");
        assert!(line.contains("?token=***\",\"version\":\"HTTP/2\""), "{line}");
        assert!(line.contains(",\"host\":\"x\",\"method\":\"GET\""), "{line}");
    }
}

#[test]
fn a_file_that_is_shorter_than_was_promised_cuts_its_connection_and_is_counted_as_that() {
    let folder = Scratch::new("multiplexed-short");
    let content = folder.join("content");
    std::fs::write(&content, vec![b'x'; 30_000]).unwrap();
    let file = move |_: &Request<'_>| {
        let file = Arc::new(File::open(&content).unwrap());
        Response::text(Body::File { file, offset: 0, length: 50_000 })
    };
    let server = start(alone(App::new().get("/", file)));
    let cuts = || server.snapshot().closes[CloseReason::BodyCut.index()];
    let mut client = Speaker::to(&server);
    client.say("HEADERS 1 END_STREAM END_HEADERS GET=/");
    let mut rest = Vec::new();
    // Bytes of the request that nobody reads may make it a reset.
    let _ = client.stream.read_to_end(&mut rest);
    until("a cut body of HTTP/2", || cuts() == 1);
    let mut stream = TcpStream::connect(address(&server)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut rest);
    until("a cut body of HTTP/1.1", || cuts() == 2);
    assert_eq!(server.snapshot().closes[CloseReason::WriteFailed.index()], 0);
}

/// A client that has had an answer, and of whom nothing was heard for as long as is borne, while the kernel
/// takes nothing, for this reason.
fn idle_and_stuck(why: ErrorKind) -> (Lane, Shard<Near>, Key) {
    let mut shard = lane::shard(App::new().get("/", Response::text("ok")), 1);
    let now = Tick::from_millis(1);
    let lane =
        Lane::new(&bytes_of("PREFACE | SETTINGS | SETTINGS ACK | HEADERS 1 END_STREAM END_HEADERS GET=/"));
    let key = shard.accept(lane.transport(), now).unwrap();
    lane.refill();
    shard.ready(key, Readiness::READABLE, now);
    assert!(lane.heard().ends_with(b"ok"));
    lane.forget();
    lane.stick(Some(why));
    shard.expire(now.after(Config::default().timeouts.keepalive + PAUSE));
    assert_eq!(lane.heard(), b"");
    (lane, shard, key)
}

/// RFC 9113 §6.8.
#[test]
fn a_good_bye_that_the_kernel_does_not_take_yet_is_said_later() {
    let (lane, mut shard, key) = idle_and_stuck(ErrorKind::WouldBlock);
    assert_eq!(shard.len(), 1, "it has something to say");
    let now = Tick::from_millis(100_000);
    lane.stick(None);
    shard.ready(key, Readiness::WRITABLE, now);
    let frame = Frame::parse(&lane.heard()).unwrap();
    assert_eq!((frame.kind, &frame.payload[..]), (GOAWAY, &[0, 0, 0, 1, 0, 0, 0, 0][..]));
    lane.close();
    shard.ready(key, Readiness::READABLE, now);
    assert!(shard.is_empty());
}

#[test]
fn a_good_bye_that_cannot_be_said_is_a_write_that_failed() {
    let (_lane, shard, _) = idle_and_stuck(ErrorKind::OutOfMemory);
    assert!(shard.is_empty());
    let closed = |why: CloseReason| shard.stats().closes[why.index()].get();
    assert_eq!((closed(CloseReason::WriteFailed), closed(CloseReason::TimedOut)), (1, 0));
    // Where it is the client's side that takes nothing any more, that is why.
    let (_lane, shard, _) = idle_and_stuck(ErrorKind::BrokenPipe);
    assert_eq!(shard.stats().closes[CloseReason::PeerReset.index()].get(), 1);
}
