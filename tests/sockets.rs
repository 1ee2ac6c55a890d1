//! The outermost ring: a whole server on real sockets, seen by real clients.
//!
//! What a byte sequence means is settled elsewhere, without sockets; here the kernel, the threads and the
//! clock take part: order, keep-alive, half-close, shutdown, other threads' answers, slow clients, and two
//! workers that share the work. What hostile clients do is in `hostile.rs`.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use kolk::http::{Phase, Pull, Pulled, Source};
use kolk::server::access_log::{Destination, Format};
use kolk::server::stats::{CloseReason, Timeout};
use kolk::{
    App, Config, FlightRecorder, HandlerExt, Outcome, Presence, Reply, Request, Response, Server, Sink,
    StatusCode, Take, Timeouts, Wakeup, Workers, blocking, channel, deferred, receiving,
};

use support::scratch::Scratch;
use support::sinks::Failing;
use support::{Client, Gate, PATIENCE, address, alone, dawdle, get, now, post, quick, start, until};

/// `connection request worker`, each a number.
fn whereabouts(request: &Request<'_>) -> String {
    format!("{} {} {}", request.connection_number(), request.request_number(), request.worker())
}

fn site() -> App {
    App::new()
        .get("/", |_: &Request<'_>| Response::text("hello\n"))
        .get("/where", whereabouts)
        .get("/number/{n}", |request: &Request<'_>| request.param("n").unwrap_or_default().to_owned())
        .get(
            "/later/{n}",
            deferred(|request: &Request<'_>, reply: Reply| {
                let number = request.param("n").unwrap_or_default().to_owned();
                thread::spawn(move || reply.send(number));
            }),
        )
        .post("/echo", |request: &Request<'_>| String::from_utf8_lossy(request.body()).into_owned())
}

// ── Connections ─────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_connection_serves_request_after_request() {
    let server = start(alone(site()));
    let mut client = Client::to(&server);
    let first = client.get("/where").text().to_owned();
    let connection = first.split(' ').next().unwrap().to_owned();
    assert_eq!(first, format!("{connection} 1 0"));
    assert_eq!(client.get("/where").text(), format!("{connection} 2 0"));
    client.send(post("/echo", "content"));
    assert_eq!(client.answer().text(), "content");
    assert_eq!(client.get("/where").text(), format!("{connection} 4 0"));
    assert_eq!(server.snapshot().accepts, 1);
}

#[test]
fn pipelined_requests_are_answered_in_order_whoever_answers_them() {
    let server = start(alone(site()));
    let mut client = Client::to(&server);
    // More than one turn's budget, and every third answer comes from another thread.
    let target = |n: usize| if n.is_multiple_of(3) { format!("/later/{n}") } else { format!("/number/{n}") };
    client.send((0..200).map(|n| get(&target(n))).collect::<String>());
    for n in 0..200 {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, n.to_string().as_str()));
    }
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let server = start(alone(site()));
    let mut client = Client::to(&server);
    for byte in post("/echo", "drip").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "drip");
}

#[test]
fn a_half_closed_client_still_gets_its_answers() {
    let server = start(alone(site()));
    let mut client = Client::to(&server);
    client.send(get("/number/1") + &get("/later/2") + &get("/number/3"));
    client.finish();
    for expected in ["1", "2", "3"] {
        assert_eq!(client.answer().text(), expected);
    }
    client.ends();
    until("the connection is gone", || server.snapshot().connections() == 0);
}

#[test]
fn a_connection_ends_when_either_side_says_so() {
    let server = start(alone(site().get("/last", |_: &Request<'_>| Response::text("bye").with_close())));
    for (request, persists) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET /last HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
    ] {
        let mut client = Client::to(&server);
        client.send(request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (200, !persists), "{request:?}");
        if persists {
            assert_eq!(client.get("/number/2").text(), "2");
        } else {
            client.ends();
        }
    }
}

#[test]
fn methods_and_paths_that_are_not_there() {
    let server = start(alone(site()));
    let mut client = Client::to(&server);
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.answer_to_head();
    assert_eq!((head.status, head.field("content-length")), (200, Some("6")));
    for (line, status, allow) in [
        ("OPTIONS / HTTP/1.1", 204, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS * HTTP/1.1", 204, Some("GET, HEAD, POST, OPTIONS")),
        ("POST / HTTP/1.1", 405, Some("GET, HEAD, OPTIONS")),
        ("DELETE /echo HTTP/1.1", 405, Some("POST, OPTIONS")),
        ("GET /none HTTP/1.1", 404, None),
        ("BREW / HTTP/1.1", 501, None),
        ("GET / HTTP/1.1", 200, None),
    ] {
        client.send(format!("{line}\r\nHost: a\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{line}");
        assert!(!answer.closes(), "{line} breaks no rule of the protocol");
    }
}

#[test]
fn an_idle_connection_is_closed_in_silence() {
    let server = start(alone(site()).timeouts(quick()));
    let mut client = Client::to(&server);
    client.get("/");
    client.ends();
    assert_eq!(server.snapshot().timeouts[Timeout::Keepalive.index()], 1);
}

// ── Listeners ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_socket_file_is_served_and_goes_away() {
    let folder = Scratch::new("socket-file");
    let path = folder.join("site.sock");
    let server = alone(site()).listen(&format!("unix:{}", path.display())).unwrap().start().unwrap();
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client::over(stream);
    assert_eq!(client.get("/").text(), "hello\n");
    client.send(get("/later/1") + &get("/number/2"));
    assert_eq!((client.answer().text(), client.answer().text()), ("1", "2"));
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
    client.ends();
}

#[test]
fn one_server_listens_at_several_places() {
    let folder = Scratch::new("several");
    let path = folder.join("site.sock");
    let mut server = alone(site()).listen("127.0.0.1:0").unwrap().listen("localhost:0").unwrap();
    server = server.listen(&format!("unix:{}", path.display())).unwrap();
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if has_ipv6 {
        server = server.listen("[::1]:0").unwrap();
    }
    let server = server.start().unwrap();
    assert_eq!(server.addrs().len(), if has_ipv6 { 4 } else { 3 });
    for place in server.addrs() {
        match place.socket_addr() {
            Some(at) => {
                assert_ne!(at.port(), 0, "the system has chosen");
                assert_eq!(Client::at(at).get("/").text(), "hello\n", "{place}");
            }
            None => assert_eq!(Client::over(UnixStream::connect(&path).unwrap()).get("/").text(), "hello\n"),
        }
    }
    if has_ipv6 {
        assert!(server.addrs()[3].to_string().starts_with("http://[::1]:"));
    }
}

#[test]
fn an_address_in_use_is_refused_in_words() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let error = alone(site()).listen(&at).unwrap().start().unwrap_err();
    assert!(matches!(error, kolk::Error::Listen(_)), "{error:?}");
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(alone(site()).listen("nowhere").is_err());
}

// ── The end of a server ─────────────────────────────────────────────────────────────────────────────

/// A handler whose answers wait for `gate`.
fn gated(gate: &Gate) -> impl kolk::Handler + use<> {
    let gate = gate.clone();
    deferred(move |_: &Request<'_>, reply: Reply| {
        let gate = gate.clone();
        thread::spawn(move || {
            gate.pass();
            reply.send("at last");
        });
    })
}

#[test]
fn draining_closes_who_is_idle_and_answers_who_waits() {
    let (gate, _keeper) = Gate::new();
    let server = start(alone(site().get("/gated", gated(&gate))));
    let mut idle = Client::to(&server);
    idle.get("/");
    let mut waiting = Client::to(&server);
    waiting.send(get("/gated"));
    let mut begun = Client::to(&server);
    begun.send("GET / HTTP/1.1\r\nHo");
    until("all three are there", || {
        let phases = server.snapshot().phases;
        phases[Phase::Handling as usize] == 1 && phases[Phase::Head as usize] == 1
    });
    let at = address(&server);
    server.drain(PATIENCE);
    idle.ends();
    begun.send("st: a\r\n\r\n");
    let answer = begun.answer();
    assert_eq!((answer.status, answer.closes()), (200, true), "a request that has begun is served");
    begun.ends();
    until("nobody comes in any more", || std::net::TcpStream::connect(at).is_err());
    gate.open();
    let answer = waiting.answer();
    assert_eq!((answer.text(), answer.closes()), ("at last", true));
    waiting.ends();
    server.join().unwrap();
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let (gate, _keeper) = Gate::new();
    let server = start(alone(App::new().get("/gated", gated(&gate))));
    let mut client = Client::to(&server);
    client.send(get("/gated"));
    until("it is handled", || server.snapshot().phases[Phase::Handling as usize] == 1);
    let begun = now();
    let handle = server.handle();
    server.drain(Duration::from_millis(200));
    assert_eq!(client.is_cut(), b"");
    server.join().unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(200) && took < PATIENCE / 2, "{took:?}");
    let counted = handle.snapshot();
    assert_eq!(counted.closes[CloseReason::TimedOut.index()], 1);
    assert_eq!(counted.timeouts[Timeout::Drain.index()], 1);
    assert_eq!(counted.requests_by_class[4], 1, "as it has not been answered");
}

#[test]
fn an_order_to_a_worker_that_only_just_starts_is_obeyed() {
    for delay in (0..400).map(|step| Duration::from_micros(step % 100)) {
        let server = start(alone(site()));
        let begun = now();
        while begun.elapsed() < delay {
            std::hint::spin_loop();
        }
        server.drain(PATIENCE);
        server.join().unwrap();
        assert!(begun.elapsed() < PATIENCE / 2, "ordered after {delay:?}");
    }
}

#[test]
fn a_client_in_the_queue_is_served_before_the_door_closes() {
    let (gate, _keeper) = Gate::new();
    let blocked = gate.clone();
    let server = start(alone(site().get("/block", move |_: &Request<'_>| {
        blocked.pass();
        Response::text("unblocked")
    })));
    let mut blocker = Client::to(&server);
    blocker.get("/");
    let before = server.snapshot().bytes_received;
    blocker.send(get("/block"));
    until("the handler runs", || server.snapshot().bytes_received > before);
    // The only worker is busy: this one is in the kernel's queue when the order to drain comes.
    let mut queued = Client::to(&server);
    queued.send(get("/"));
    server.drain(PATIENCE);
    gate.open();
    assert_eq!(blocker.answer().text(), "unblocked");
    let answer = queued.answer();
    assert_eq!((answer.text(), answer.closes()), ("hello\n", true));
    server.join().unwrap();
}

/// Whether a new connection to `at` has an answer; nothing, if there is no connection.
///
/// Whoever finds nobody is not heard, and asks again after a second: the door is closed then, which says so.
#[cfg(target_os = "linux")]
fn come_and_go(at: std::net::SocketAddr) -> Option<bool> {
    let mut stream = std::net::TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
    let mut answer = Vec::new();
    let heard = stream
        .write_all(get("/").as_bytes())
        .and_then(|()| stream.shutdown(std::net::Shutdown::Write))
        .and_then(|()| stream.read_to_end(&mut answer));
    Some(heard.is_ok() && answer.ends_with(b"hello\n"))
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_queue_is_served_and_nobody_is_let_in_while_the_door_closes_and_then_reset() {
    let (first, _first_keeper) = Gate::new();
    let (second, _second_keeper) = Gate::new();
    let begun = Arc::new(AtomicUsize::new(0));
    let block = |gate: &Gate| {
        let (gate, begun) = (gate.clone(), Arc::clone(&begun));
        move |_: &Request<'_>| {
            begun.fetch_add(1, SeqCst);
            gate.pass();
            Response::text("unblocked")
        }
    };
    let app = site().get("/first", block(&first)).get("/second", block(&second));
    let server = alone(app).listen("127.0.0.1:0").unwrap().listen("127.0.0.1:0").unwrap().start().unwrap();
    let [one, two] = [0, 1].map(|at| server.addrs()[at].socket_addr().unwrap());
    let mut blocker = Client::at(one);
    blocker.send(get("/first"));
    until("the only worker is busy", || begun.load(SeqCst) == 1);
    // More than a turn lets in.
    let mut waiting: Vec<Client> = (0..200).map(|_| Client::at(one)).collect();
    waiting.iter_mut().for_each(|client| client.send(get("/")));
    let mut queued = Client::at(two);
    queued.send(get("/second"));
    server.drain(PATIENCE);
    first.open();
    until("it looks for the last time who waits at the second door", || begun.load(SeqCst) == 2);
    // Nobody looks at the first one again.
    let late = [(); 8].map(|()| thread::spawn(move || come_and_go(one)));
    dawdle(Duration::from_millis(200));
    second.open();
    assert_eq!((blocker.answer().text(), queued.answer().text()), ("unblocked", "unblocked"));
    assert!(waiting.iter_mut().all(|client| client.answer().text() == "hello\n"));
    let late = late.map(|late| late.join().unwrap());
    assert_eq!(late, [None; 8], "none was let in, and then reset");
    server.join().unwrap();
}

#[test]
fn stopping_and_dropping_end_everything_now() {
    let (gate, _keeper) = Gate::new();
    for drops in [false, true] {
        let server = start(Server::new(site().get("/gated", gated(&gate))).workers(Workers::Exactly(2)));
        assert_eq!(server.workers(), 2);
        let at = address(&server);
        let mut idle = Client::to(&server);
        idle.get("/");
        let mut waiting = Client::to(&server);
        waiting.send(get("/gated"));
        until("it is handled", || server.snapshot().phases[Phase::Handling as usize] == 1);
        if drops {
            drop(server);
        } else {
            server.handle().stop();
            server.join().unwrap();
        }
        assert_eq!(idle.is_cut(), b"");
        assert_eq!(waiting.is_cut(), b"");
        assert!(std::net::TcpStream::connect(at).is_err());
    }
}

// ── Answers that come later ─────────────────────────────────────────────────────────────────────────

#[test]
fn a_reply_may_be_dropped_or_late() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let app = site()
        .get("/dropped", deferred(|_: &Request<'_>, reply: Reply| drop(reply)))
        .get(
            "/failing",
            deferred(|_: &Request<'_>, reply: Reply| {
                thread::spawn(move || {
                    let _reply = reply;
                    panic!("this thread ends before it answers");
                });
            }),
        )
        .get("/kept", deferred(move |_: &Request<'_>, reply: Reply| *keep.lock().unwrap() = Some(reply)));
    let server = start(alone(app));
    let mut client = Client::to(&server);
    assert_eq!(client.get("/dropped").status, 500);
    assert_eq!(client.get("/failing").status, 500);
    assert_eq!(client.get("/").status, 200, "the connection lives on");

    client.send(get("/kept"));
    until("the reply is kept", || kept.lock().unwrap().is_some());
    let reply = kept.lock().unwrap().take().unwrap();
    assert_eq!(reply.client(), Presence::Here);
    client.finish();
    until("the half-close is noticed", || reply.client() == Presence::HalfClosed);
    reply.send("still");
    assert_eq!(client.answer().text(), "still");
    client.ends();
}

#[test]
fn whoever_answers_learns_that_the_client_is_gone() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let app = site()
        .get("/kept", deferred(move |_: &Request<'_>, reply: Reply| *keep.lock().unwrap() = Some(reply)));
    let server = start(alone(app));
    let mut client = Client::to(&server);
    client.send(get("/") + &get("/kept"));
    until("the reply is kept", || kept.lock().unwrap().is_some());
    // A first byte of the answer to `/` has come. Leaving the rest unread makes the close a reset.
    assert_eq!(client.stream.peek(&mut [0]).unwrap(), 1);
    drop(client);
    let reply = kept.lock().unwrap().take().unwrap();
    until("its leaving is noticed", || reply.client() == Presence::Gone);
    reply.send("to nobody");
    until("the connection is gone", || server.snapshot().connections() == 0);
    assert_eq!(Client::to(&server).get("/").status, 200);
}

#[test]
fn a_full_blocking_pool_is_a_503_that_says_when_to_come_back() {
    let (gate, _keeper) = Gate::new();
    let pass = gate.clone();
    let app = site().get(
        "/slow",
        blocking(move |_: &Request<'_>| {
            pass.pass();
            "done".to_owned()
        }),
    );
    let server = start(alone(app).blocking(1, 1));
    let mut clients: Vec<Client> = (0..3).map(|_| Client::to(&server)).collect();
    for client in &mut clients[..2] {
        client.send(get("/slow"));
    }
    let handling = Phase::Handling as usize;
    until("one runs and one waits", || server.snapshot().phases[handling] == 2);
    let refused = clients[2].get("/slow");
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_eq!(clients[2].get("/").status, 200, "and the loop goes on");
    gate.open();
    for client in &mut clients[..2] {
        assert_eq!(client.answer().text(), "done");
    }
    assert_eq!(clients[2].get("/slow").text(), "done", "there is room again");
}

#[test]
fn a_blocking_pool_grows_while_the_server_runs() {
    let (gate, _keeper) = Gate::new();
    let begun = Arc::new(AtomicUsize::new(0));
    let app = || {
        let (pass, begun) = (gate.clone(), Arc::clone(&begun));
        let slow = move |_: &Request<'_>| {
            begun.fetch_add(1, SeqCst);
            pass.pass();
            "done".to_owned()
        };
        site().get("/slow", blocking(slow))
    };
    let server = start(alone(app()).blocking(1, 1));
    let mut clients: Vec<Client> = (0..3).map(|_| Client::to(&server)).collect();
    clients[..2].iter_mut().for_each(|client| client.send(get("/slow")));
    let handling = Phase::Handling as usize;
    until("one waits", || server.snapshot().phases[handling] == 2);
    until("and one runs", || begun.load(SeqCst) == 1);
    assert_eq!(clients[2].get("/slow").status, 503);
    let config = Config {
        workers: Workers::Exactly(1),
        connections_max: Some(256),
        blocking_threads: 3,
        blocking_queue_max: 0,
        ..Config::default()
    };
    assert!(server.handle().replace_with(app(), config).unwrap().is_empty());
    until("whoever waited does not any more", || begun.load(SeqCst) == 2);
    clients[2].send(get("/slow"));
    until("and there is a third thread", || begun.load(SeqCst) == 3);
    assert_eq!(Client::to(&server).get("/slow").status, 503, "but no fourth");
    gate.open();
    assert!(clients.iter_mut().all(|client| client.answer().text() == "done"));
}

#[test]
fn a_panic_is_a_500_and_costs_nobody_else_anything() {
    struct Bomb;
    impl Source for Bomb {
        fn pull(&mut self, _: &mut Pull<'_>) -> Pulled {
            panic!("a source fails")
        }
    }
    let app = site()
        .get("/panic", |_: &Request<'_>| -> String { panic!("a handler fails") })
        .get("/pool", blocking(|_: &Request<'_>| -> String { panic!("a job fails") }))
        .post("/sink", receiving(|_| Ok(Box::new(Failing))))
        .get("/source", |_: &Request<'_>| Response::stream("text/plain", Bomb));
    let server = start(alone(app));
    let mut bystander = Client::to(&server);
    let mut client = Client::to(&server);
    for _ in 0..3 {
        assert_eq!(client.get("/panic").status, 500);
        assert_eq!(client.get("/pool").status, 500);
        client.send(post("/sink", "boom"));
        assert_eq!(client.answer().status, 500);
        assert_eq!(bystander.get("/").text(), "hello\n");
    }
    let mut cut = Client::to(&server);
    cut.send(get("/source"));
    let rest = cut.is_cut();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a body that is cut must not look complete");
    let mut cut = Client::to(&server);
    cut.send("GET /source HTTP/1.0\r\n\r\n");
    assert!(cut.is_reset(), "nor may one without a length, which ends with the connection");
    assert_eq!(bystander.get("/").text(), "hello\n");
    assert_eq!(server.snapshot().closes[CloseReason::Failed.index()], 2);
}

#[test]
fn a_handler_finds_the_trailer_of_a_chunked_request_however_it_comes() {
    let app = App::new().post("/", |request: &Request<'_>| {
        let digest = request.trailer("digest").unwrap_or("none").to_owned();
        format!("{} {digest}", support::lossy(request.body()))
    });
    let server = start(alone(app));
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nDigest: 7\r\n\r\n";
    let mut client = Client::to(&server);
    client.send(chunked);
    assert_eq!(client.answer().text(), "abc 7");
    for byte in chunked.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "abc 7");
    client.send(chunked.replace("Digest: 7\r\n", ""));
    assert_eq!(client.answer().text(), "abc none");
    // The fields of a head are no trailer.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nDigest: 8\r\nContent-Length: 3\r\n\r\n");
    client.send("abc");
    assert_eq!(client.answer().text(), "abc none");
}

// ── Bodies that are streamed ────────────────────────────────────────────────────────────────────────

const PIECE: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// So many pieces; counts the bytes that were pulled.
struct Tape {
    pieces: usize,
    pulled: Arc<AtomicU64>,
}

impl Source for Tape {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        if self.pieces == 0 {
            return Pulled::End;
        }
        self.pieces -= 1;
        pull.write(&PIECE);
        self.pulled.fetch_add(PIECE.len() as u64, SeqCst);
        Pulled::More
    }
}

#[test]
fn a_slow_reader_costs_bounded_memory_and_delays_nobody() {
    const PIECES: usize = 2048;
    let pulled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pulled);
    let app = site().get("/tape", move |_: &Request<'_>| {
        Response::stream("text/plain", Tape { pieces: PIECES, pulled: Arc::clone(&count) })
    });
    let server = start(alone(app));
    let mut slow = Client::to(&server);
    slow.send(get("/tape"));
    let mut other = Client::to(&server);
    let mut seen = 0;
    until("the kernel takes no more", || {
        for _ in 0..20 {
            assert_eq!(other.get("/").text(), "hello\n");
        }
        dawdle(Duration::from_millis(20));
        let before = std::mem::replace(&mut seen, pulled.load(SeqCst));
        before > 0 && before == seen
    });
    let (made, sent) = (pulled.load(SeqCst), server.snapshot().bytes_sent);
    assert!(made < (PIECES * PIECE.len()) as u64, "it does not wait for its reader");
    assert!(made.saturating_sub(sent) <= 128 * 1024, "{made} bytes were made and {sent} sent");
    let answer = slow.answer();
    assert_eq!(answer.body.len(), PIECES * PIECE.len());
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
    assert_eq!(slow.get("/").text(), "hello\n", "and the connection lives on");
}

#[test]
fn a_body_is_written_by_another_thread_at_the_readers_pace() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let app = App::new().get("/channel", move |request: &Request<'_>| {
        let (mut body, response) = channel(request, 64 * 1024);
        let count = Arc::clone(&count);
        thread::spawn(move || {
            for _ in 0..1024 {
                if body.write_all(&PIECE).is_err() {
                    return;
                }
                count.fetch_add(1, SeqCst);
            }
        });
        response
    });
    let server = start(alone(app));
    let mut client = Client::to(&server);
    client.send(get("/channel"));
    let mut answer = client.head();
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    let mut seen = 0;
    until("the writer waits", || {
        dawdle(Duration::from_millis(20));
        let before = std::mem::replace(&mut seen, written.load(SeqCst));
        before > 0 && before == seen
    });
    client.body_of(&mut answer);
    assert_eq!(answer.body.len(), 1024 * PIECE.len());

    // A client that leaves is noticed by the writer.
    client.send(get("/channel"));
    client.head();
    let before = written.load(SeqCst);
    drop(client);
    until("the connection is gone", || server.snapshot().connections() == 0);
    assert!(written.load(SeqCst) < before + 1024);
}

#[test]
fn a_source_that_waits_is_asked_again_in_time() {
    struct Clock(u8);
    impl Source for Clock {
        fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
            if self.0 == 3 {
                return Pulled::End;
            }
            self.0 += 1;
            pull.write(b"tick\n");
            Pulled::After(Duration::from_millis(50))
        }
    }
    let app = site().get("/ticks", |_: &Request<'_>| Response::event_stream(Clock(0)));
    let server = start(alone(app));
    let mut client = Client::to(&server);
    let begun = now();
    let answer = client.get("/ticks");
    assert_eq!(answer.text(), "tick\ntick\ntick\n");
    assert!(begun.elapsed() >= Duration::from_millis(150));
    // RFC 9112 §6.3: without chunks, only the end of the connection ends the body.
    client.send("GET /ticks HTTP/1.0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.closes()), ("tick\ntick\ntick\n", true));
}

/// Counts what it gets; every `wait_every` pieces it waits for another thread.
struct Scale {
    bytes: u64,
    sum: u64,
    pieces: u64,
    wait_every: Option<u64>,
    wakes: mpsc::Sender<Wakeup>,
    wakeup: Wakeup,
}

impl Sink for Scale {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.bytes += bytes.len() as u64;
        self.sum =
            bytes.iter().fold(self.sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        self.pieces += 1;
        if self.wait_every.is_some_and(|every| self.pieces.is_multiple_of(every)) {
            self.wakes.send(self.wakeup.clone()).expect("somebody wakes");
            return Take::Wait;
        }
        Take::More
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(format!("{} {}", self.bytes, self.sum).into());
        Outcome::Ready
    }
}

fn scale(wait_every: Option<u64>) -> impl kolk::Handler {
    let (wakes, woken) = mpsc::channel::<Wakeup>();
    thread::spawn(move || {
        for wakeup in woken {
            wakeup.wake();
        }
    });
    receiving(move |request| {
        let wakeup = request.wakeup();
        Ok(Box::new(Scale { bytes: 0, sum: 0, pieces: 0, wait_every, wakes: wakes.clone(), wakeup }))
    })
    .body_limit(64 * 1024 * 1024)
}

#[test]
fn large_uploads_arrive_whole_through_sinks() {
    let app = site().put("/scale", scale(None)).put("/waiting", scale(Some(2)));
    let server = start(alone(app));
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let sum = body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let expected = format!("{} {sum}", body.len());
    let mut client = Client::to(&server);
    for target in ["/scale", "/waiting"] {
        client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert_eq!(client.answer().text(), expected, "{target}, by length");
        client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for piece in body.chunks(100_001) {
            client.send(format!("{:x}\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send("0\r\nTrailer-Field: dropped\r\n\r\n");
        assert_eq!(client.answer().text(), expected, "{target}, in chunks");
    }
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_sink_that_waits_holds_its_client_back() {
    struct Never(Arc<AtomicU64>);
    impl Sink for Never {
        fn chunk(&mut self, bytes: &[u8]) -> Take {
            self.0.fetch_add(bytes.len() as u64, SeqCst);
            Take::Wait
        }
        fn end(self: Box<Self>, _: &Request<'_>, _: &mut Response) -> Outcome {
            Outcome::Ready
        }
    }
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let app = site()
        .put("/never", receiving(move |_| Ok(Box::new(Never(Arc::clone(&count))))).body_limit(u64::MAX));
    let server = start(alone(app).timeouts(quick()));
    let mut client = Client::to(&server);
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    client.send("PUT /never HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let mut sent = 0;
    // The kernel's buffers fill, and then the client feels it.
    while sent < 256 * 1024 * 1024 && client.try_send(PIECE) {
        sent += PIECE.len();
    }
    assert!(sent < 256 * 1024 * 1024, "nothing holds the client back");
    assert!(taken.load(SeqCst) <= 64 * 1024, "one read is the most that came in");
    assert_eq!(Client::to(&server).get("/").status, 200);
    until("the other has left", || server.snapshot().connections() == 1);
    let timeouts = server.snapshot().timeouts;
    let slow = timeouts[Timeout::Body.index()] + timeouts[Timeout::BodyRate.index()];
    assert_eq!(slow, 0, "a client that is held back is not slow itself");
}

#[test]
fn time_that_a_sink_makes_its_client_wait_is_not_the_clients() {
    let (wakes, woken) = mpsc::channel();
    let app = App::new().put(
        "/waiting",
        receiving(move |request| {
            let wakeup = request.wakeup();
            Ok(Box::new(Scale {
                bytes: 0,
                sum: 0,
                pieces: 0,
                wait_every: Some(1),
                wakes: wakes.clone(),
                wakeup,
            }))
        }),
    );
    let timeouts = Timeouts { body: Duration::from_millis(600), body_rate_window: PATIENCE, ..quick() };
    let server = start(alone(app).timeouts(timeouts));
    let mut client = Client::to(&server);
    client.send("PUT /waiting HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    let wakeup: Wakeup = woken.recv_timeout(PATIENCE).unwrap();
    dawdle(Duration::from_millis(800));
    wakeup.wake();
    dawdle(Duration::from_millis(50));
    client.send("b");
    woken.recv_timeout(PATIENCE).unwrap().wake();
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().split(' ').next()), (200, Some("2")));
}

#[test]
fn a_client_that_asks_is_told_to_go_on_only_when_its_body_is_wanted() {
    let app =
        site().post("/small", (|request: &Request<'_>| request.body().len().to_string()).body_limit(10));
    let server = start(alone(app));
    let mut client = Client::to(&server);
    let asking = |target: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    client.send(asking("/small", 10));
    assert_eq!(client.head().status, 100);
    client.send("0123456789");
    assert_eq!(client.answer().text(), "10");
    // A body that comes unasked needs no invitation.
    client.send(asking("/small", 4) + "body");
    assert_eq!(client.answer().text(), "4");
    // RFC 9110 §10.1.1: a final status at once, and whatever follows is not a request.
    for (target, status) in [("/small", 413), ("/none", 404)] {
        let mut client = Client::to(&server);
        client.send(asking(target, 11));
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (status, true), "{target}");
        client.ends();
    }
}

// ── Another's client ────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_foreign_client_is_served() {
    let server = start(alone(site()));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = |path: &str| format!("http://{}{path}", address(&server));
    let read = |mut answer: http::Response<ureq::Body>| {
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    assert_eq!(read(agent.get(url("/")).call().unwrap()), (200, "hello\n".to_owned()));
    let echoed = read(agent.post(url("/echo")).send("from afar").unwrap());
    assert_eq!(echoed, (200, "from afar".to_owned()));
    let reader = &mut &PIECE[..];
    let chunked = agent.post(url("/echo")).send(ureq::SendBody::from_reader(reader)).unwrap();
    assert_eq!(read(chunked).1.len(), PIECE.len());
    assert_eq!(read(agent.get(url("/none")).call().unwrap()).0, 404);
    assert_eq!(agent.head(url("/")).call().unwrap().headers()["content-length"], "6");
    let (_, last) = read(agent.get(url("/where")).call().unwrap());
    assert_eq!(last.split(' ').nth(1), Some("6"), "all on one connection: {last}");
    assert_eq!(server.snapshot().accepts, 1);
}

// ── Several workers ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn no_worker_stands_idle_while_another_is_crowded() {
    let server = start(Server::new(site()).workers(Workers::Exactly(2)));
    let mut clients: Vec<Client> = (0..64)
        .map(|_| {
            let mut client = Client::to(&server);
            assert_eq!(client.get("/").status, 200);
            client
        })
        .collect();
    let loads: Vec<u64> = server.snapshot().workers.iter().map(|worker| worker.connections).collect();
    assert_eq!(loads.iter().sum::<u64>(), 64);
    assert!(loads.iter().all(|load| *load >= 16), "{loads:?}");
    let mut served = [0; 2];
    for client in &mut clients {
        let answer = client.get("/where");
        served[usize::from(answer.text().ends_with('1'))] += 1;
    }
    assert_eq!(served.map(u64::try_from).map(Result::unwrap).as_slice(), loads);
}

#[test]
fn a_full_worker_leaves_the_rest_to_one_that_has_room() {
    let (gate, _keeper) = Gate::new();
    let app = App::new().get("/gated", gated(&gate));
    let server = start(Server::new(app).workers(Workers::Exactly(2)).max_connections(8));
    // The kernel deals by a hash: one worker gets more than its four. All ask at once: whoever is idle where
    // there is no room gives way.
    let ask = |_| {
        let mut client = Client::to(&server);
        client.send(get("/gated"));
        client
    };
    let mut clients: Vec<Client> = (0..8).map(ask).collect();
    until("all are served", || server.snapshot().phases[Phase::Handling as usize] == 8);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "at last");
    }
}

/// Threads that a worker starts would stay on its CPU.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_may_block_are_pinned_to_no_worker_s_cpu() {
    let cpus = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap().to_owned()
    };
    let app = site().get("/cpus", blocking(move |_: &Request<'_>| Response::text(cpus())));
    let server = start(alone(app).pin(true));
    let mut client = Client::to(&server);
    for _ in 0..8 {
        assert_eq!(client.get("/cpus").text(), cpus());
    }
}

#[test]
fn a_worker_that_is_blocked_strands_nobody() {
    let (gate, _keeper) = Gate::new();
    let pass = gate.clone();
    let app = site().get("/block", move |_: &Request<'_>| {
        pass.pass();
        Response::text("unblocked")
    });
    let server = start(Server::new(app).workers(Workers::Exactly(2)).max_connections(256));
    let mut blocker = Client::to(&server);
    blocker.send(get("/block"));
    until("the handler runs", || server.snapshot().bytes_received > 0);
    // The kernel deals some of these to the worker that cannot take them.
    let begun = now();
    for _ in 0..32 {
        assert_eq!(Client::to(&server).get("/").text(), "hello\n");
    }
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    gate.open();
    assert_eq!(blocker.answer().text(), "unblocked");
}

// ── Looking at it ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_admin_site_counts_along() {
    let app = site().get("/panic", |_: &Request<'_>| -> String { panic!("a handler fails") });
    let server = start(alone(app).admin("127.0.0.1:0").unwrap());
    let admin = server.admin_addr().unwrap().socket_addr().unwrap();
    let value = |sample: &str| -> f64 {
        let page = Client::at(admin).get("/_kolk/metrics");
        assert!(page.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
        let line =
            page.text().lines().find(|line| line.starts_with(sample)).unwrap_or_else(|| panic!("{sample}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("kolk_accepts_total"), 0.0);
    let mut client = Client::to(&server);
    client.get("/");
    client.get("/none");
    client.get("/panic");
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    client.ends();
    let mut begun = Client::to(&server);
    begun.send("GET / HT");
    until("half a head is there", || server.snapshot().phases[Phase::Head as usize] == 1);
    for (sample, expected) in [
        ("kolk_accepts_total", 2.0),
        ("kolk_connections{phase=\"head\"}", 1.0),
        ("kolk_requests_total{class=\"2xx\"}", 1.0),
        ("kolk_requests_total{class=\"4xx\"}", 2.0),
        ("kolk_requests_total{class=\"5xx\"}", 1.0),
        ("kolk_refusals_total{reason=\"route.none\"}", 1.0),
        ("kolk_refusals_total{reason=\"parse.request_line\"}", 1.0),
        ("kolk_handler_panics_total", 1.0),
        ("kolk_route_requests_total{site=\"*\",route=\"/\",class=\"2xx\"}", 1.0),
        ("kolk_route_requests_total{site=\"*\",route=\"/panic\",class=\"5xx\"}", 1.0),
        ("kolk_route_requests_total{site=\"*\",route=\"(none)\",class=\"4xx\"}", 1.0),
        ("kolk_carry_buffers", 1.0),
        ("kolk_pending_buffers", 0.0),
    ] {
        assert_eq!(value(sample), expected, "{sample}");
    }
    assert!(value("kolk_received_bytes_total") > 0.0 && value("kolk_sent_bytes_total") > 0.0);
    drop(client);
    until("the close is counted", || value("kolk_closes_total{reason=\"close.refused\"}") == 1.0);
    assert_eq!(Client::to(&server).get("/_kolk/metrics").status, 404, "the public site does not tell");
}

/// A page of the web whose name has come to stand for 127.0.0.1 asks by that name.
#[test]
fn the_admin_site_tells_nothing_to_who_has_a_name_in_the_dns() {
    let recorder = FlightRecorder::new(64 * 1024);
    let server = alone(site()).flight_recorder(recorder).admin("127.0.0.1:0").unwrap();
    let server = start(server);
    let mut admin = Client::at(server.admin_addr().unwrap().socket_addr().unwrap());
    let mut status = |path: &str, host: &str| {
        admin.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        admin.answer().status
    };
    for path in ["/_kolk/metrics", "/_kolk/recent", "/_kolk/why/x", "/_kolk/reload"] {
        for host in ["evil.example", "evil.example:9100", "127.0.0.1.evil.example", "localhost.", "1.2.3.4.5"]
        {
            assert_eq!(status(path, host), 403, "{path} of {host}");
        }
        for host in
            ["localhost", "localhost:9100", "127.0.0.1:9100", "[::1]:9100", "[::ffff:127.0.0.1]", "metrics"]
        {
            assert_ne!(status(path, host), 403, "{path} of {host}");
        }
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(status(path, "evil.example"), 200, "{path}");
    }
}

#[test]
fn each_request_has_its_line_in_the_log() {
    let folder = Scratch::new("log");
    let path = folder.join("access.log");
    let server = start(alone(site()).access_log(Format::Json, Destination::File(path.clone())));
    let mut client = Client::to(&server);
    client.get("/number/7");
    client.get("/later/8");
    client.get("/none?a=\"b\"");
    client.send(post("/echo", "four"));
    client.answer();
    client.send("GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.answer().status, 505);
    client.ends();
    drop(client);
    server.drain(PATIENCE);
    server.join().unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    for (line, parts) in [
        &[
            "\"target\":\"/number/7\"",
            "\"status\":200,\"bytes\":1",
            "\"route\":\"/number/{n}\"",
            "\"request\":1",
        ][..],
        &[
            "\"target\":\"/later/8\"",
            "\"status\":200,\"bytes\":1",
            "\"route\":\"/later/{n}\"",
            "\"request\":2",
        ],
        &[
            "\"target\":\"/none?a=\\u0022b\\u0022\"",
            "\"status\":404",
            "\"reason\":\"route.none\"",
            "\"request\":3",
        ],
        &["\"method\":\"POST\"", "\"status\":200,\"bytes\":4", "\"version\":\"HTTP/1.1\"", "\"request\":4"],
        &["\"status\":505", "\"reason\":\"parse.version_unsupported\"", "\"peer\":\"127.0.0.1:"],
    ]
    .iter()
    .enumerate()
    {
        let text = lines.get(line).unwrap_or_else(|| panic!("line {line} is missing in {log}"));
        for part in *parts {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    assert_eq!(lines.len(), 5);
}

#[test]
fn a_status_of_any_kind_keeps_the_framing_right() {
    let app = App::new().get("/status/{code}", |request: &Request<'_>| {
        let code = request.param("code").and_then(|code| code.parse().ok()).unwrap_or(400_u16);
        Response::text("body\n").with_status(StatusCode::from_u16(code).unwrap())
    });
    let server = start(alone(app));
    let mut client = Client::to(&server);
    for code in [200_u16, 204, 304, 404, 418, 500, 299] {
        client.send(get(&format!("/status/{code}")));
        let answer = client.answer();
        let expected = if matches!(code, 204 | 304) { "" } else { "body\n" };
        assert_eq!((answer.status, answer.text()), (code, expected));
    }
    let mut rest = [0; 1];
    client.stream.set_nonblocking(true).unwrap();
    assert!(client.stream.read(&mut rest).is_err(), "no byte too many");
}
