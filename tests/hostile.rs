//! What slow, greedy, malformed and malicious clients do to a whole server on real sockets: nothing.
//!
//! Each class of attack is held with its default limit, which `the_defaults` states, and tried with one
//! so short that a test can wait for it. "Well" means: other clients are served meanwhile.

mod support;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use http::HeaderValue;
use kolk::http::{Phase, Pull, Pulled, Reason, Source};
use kolk::server::INPUT_BYTES;
use kolk::server::stats::{CloseReason, Timeout};
use kolk::sys::clock::thread_cpu_nanos;
use kolk::{
    App, Config, HandlerExt, Limits, Outcome, Reply, Request, Response, Running, Server, Sink, StatusCode,
    Take, Timeouts, Workers, deferred, receiving,
};

#[cfg(feature = "config")]
use support::configured::configuration;
#[cfg(feature = "config")]
use support::scratch::Scratch;
use support::{
    Answer, Client, Gate, PATIENCE, address, alone, dawdle, get, lossy, now, post, quick, start, until,
};

const MILLIS: Duration = Duration::from_millis(1);

/// A site that counts what must not happen.
fn site() -> (App, Arc<AtomicU64>) {
    let smuggled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&smuggled);
    let app = App::new()
        .get("/", |_: &Request<'_>| Response::text("hello\n"))
        .post("/echo", |request: &Request<'_>| lossy(request.body()))
        .post("/limited", (|request: &Request<'_>| lossy(request.body())).body_limit(8))
        .get("/host", |request: &Request<'_>| request.host().unwrap_or_default().to_owned())
        .any("/smuggled", move |_: &Request<'_>| {
            count.fetch_add(1, SeqCst);
            Response::text("smuggled\n")
        });
    (app, smuggled)
}

fn is_well(server: &Running) {
    for _ in 0..10 {
        assert_eq!(Client::to(server).get("/").text(), "hello\n");
    }
}

fn all_gone(server: &Running) {
    until("every connection is gone", || server.snapshot().connections() == 0);
}

#[test]
fn the_defaults() {
    let Config { limits, timeouts, connections_max, .. } = Config::default();
    assert_eq!(connections_max, None, "derived from the descriptor limit");
    assert_eq!(timeouts.header, 10_000 * MILLIS);
    assert_eq!(timeouts.keepalive, 75_000 * MILLIS);
    assert_eq!(timeouts.body, 30_000 * MILLIS);
    assert_eq!((timeouts.body_rate_bytes_min, timeouts.body_rate_window), (512, 5_000 * MILLIS));
    assert_eq!((timeouts.write_rate_bytes_min, timeouts.write), (512, 30_000 * MILLIS));
    assert_eq!(timeouts.linger, 5_000 * MILLIS);
    assert_eq!(limits.body_bytes_max, 16 * 1024 * 1024);
    let http1 = &limits.http1;
    assert_eq!(
        (http1.request_line_bytes_max, http1.head_bytes_max, http1.fields_max),
        (8 * 1024, 32 * 1024, 100)
    );
    assert_eq!((http1.trailer_bytes_max, http1.chunk_extension_bytes_max), (8 * 1024, 256));
    assert_eq!(kolk::server::ACCEPTS_PER_TURN_MAX, 64);
    assert_eq!(kolk::server::TURN_REQUESTS_MAX, 32);
    assert_eq!(kolk::wire::QUEUED_BYTES_HIGH, 64 * 1024);
}

// ── Slow clients ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_head_that_drips_is_given_up_however_it_drips() {
    const CLIENTS: u64 = 20;
    let server = start(alone(site().0).timeouts(quick()));
    let begun = now();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::to(&server)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ");
    }
    // Bytes do not restart the clock: it ends while they still come.
    until("all are refused", || {
        for client in &mut clients {
            client.try_send("z");
        }
        is_well(&server);
        dawdle(20 * MILLIS);
        server.snapshot().timeouts[Timeout::Header.index()] == CLIENTS
    });
    assert!(begun.elapsed() >= quick().header);
    for client in &mut clients {
        assert_refused(client, Reason::HeaderTimeout);
    }
    drop(clients);
    all_gone(&server);
}

#[test]
fn a_client_that_never_speaks_is_closed_in_silence() {
    let server = start(alone(site().0).timeouts(quick()));
    let mut client = Client::to(&server);
    client.ends();
    assert_eq!(server.snapshot().timeouts[Timeout::Header.index()], 1);
}

#[test]
fn the_head_of_a_later_request_has_its_time_too() {
    let server = start(alone(site().0).timeouts(quick()));
    let mut client = Client::to(&server);
    client.get("/");
    client.send("GET / HT");
    assert_refused(&mut client, Reason::HeaderTimeout);
}

#[test]
fn a_body_that_drips_is_refused_and_a_slow_honest_one_is_not() {
    // Silence alone is no defence: none of these is ever silent for long.
    let timeouts = Timeouts { body: PATIENCE, ..quick() };
    let server = start(alone(site().0).timeouts(timeouts));
    let slow = |bytes: usize| {
        let mut client = Client::to(&server);
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n");
        client.stream.set_nonblocking(true).unwrap();
        let piece = vec![b'x'; bytes];
        let mut sent = 0;
        // Until it is done, or the server says something.
        while sent < 4096 && client.stream.peek(&mut [0]).is_err() && client.try_send(&piece) {
            sent += bytes;
            dawdle(10 * MILLIS);
        }
        client.stream.set_nonblocking(false).unwrap();
        (client.answer(), sent)
    };
    thread::scope(|scope| {
        let drip = scope.spawn(|| slow(1));
        // Some twelve times the least rate, so that a busy machine does not make it a drip.
        let honest = scope.spawn(|| slow(64));
        let (answer, sent) = drip.join().unwrap();
        assert_eq!((answer.status, sent < 1024), (408, true));
        assert!(answer.text().contains(Reason::BodyRate.sentence()));
        let (answer, sent) = honest.join().unwrap();
        assert_eq!((answer.status, answer.body.len(), sent), (200, 4096, 4096));
    });
    assert_eq!(server.snapshot().timeouts[Timeout::BodyRate.index()], 1);
    is_well(&server);
}

#[test]
fn a_body_that_falls_silent_is_refused() {
    let timeouts = Timeouts { body_rate_window: PATIENCE, ..quick() };
    let server = start(alone(site().0).timeouts(timeouts));
    for framing in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf"] {
        let mut client = Client::to(&server);
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}"));
        assert_refused(&mut client, Reason::BodyTimeout);
    }
    assert_eq!(server.snapshot().timeouts[Timeout::Body.index()], 2);
}

/// Endless; counts what was pulled.
struct Endless(Arc<AtomicU64>);

impl Source for Endless {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        self.0.fetch_add(16 * 1024, SeqCst);
        pull.write(&[b'x'; 16 * 1024]);
        Pulled::More
    }
}

#[test]
fn readers_that_do_not_read_are_closed_and_cost_bounded_memory() {
    const READERS: u64 = 8;
    let pulled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pulled);
    let (app, _) = site();
    let big: &'static [u8] = vec![b'y'; 32 * 1024 * 1024].leak();
    let app = app
        .get("/endless", move |_: &Request<'_>| Response::stream("text/plain", Endless(Arc::clone(&count))))
        .get("/big", Response::text(big));
    let server = start(alone(app).timeouts(quick()));
    let mut readers: Vec<Client> = (0..READERS).map(|_| Client::to(&server)).collect();
    for (number, reader) in readers.iter_mut().enumerate() {
        reader.send(get(if number % 2 == 0 { "/endless" } else { "/big" }));
    }
    until("all were given up", || {
        is_well(&server);
        server.snapshot().timeouts[Timeout::Write.index()] == READERS
    });
    let held = pulled.load(SeqCst).saturating_sub(server.snapshot().bytes_sent);
    assert!(held <= READERS / 2 * 2 * kolk::wire::QUEUED_BYTES_HIGH as u64, "{held} bytes are held");
    all_gone(&server);
    for reader in &mut readers {
        assert!(!reader.is_cut().ends_with(b"0\r\n\r\n"), "a body that is cut must not look complete");
    }
}

#[test]
fn a_client_that_asks_without_end_and_reads_nothing_is_held_back_and_closed() {
    let (app, _) = site();
    let app = app.get("/page", Response::text(vec![b'p'; 4096]));
    let server = start(alone(app).timeouts(quick()));
    let mut client = Client::to(&server);
    let burst = get("/page").repeat(1_000);
    let mut sent = 0;
    while client.try_send(&burst) {
        sent += burst.len();
        assert!(sent < 64 * 1024 * 1024, "nothing holds it back");
    }
    until("it is given up", || server.snapshot().timeouts[Timeout::Write.index()] == 1);
    let snapshot = server.snapshot();
    // Of each answer that was made, all but a bounded rest was sent.
    assert!(snapshot.requests() * 4096 <= snapshot.bytes_sent + 256 * 1024);
    all_gone(&server);
    is_well(&server);
}

#[test]
fn a_client_whose_last_request_was_answered_can_read_that_whatever_it_sends_behind_it() {
    let (app, smuggled) = site();
    let timeouts = Timeouts { linger: PATIENCE, ..quick() };
    let server = start(alone(app).timeouts(timeouts));
    for last in ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = Client::to(&server);
        client.send(last.to_owned() + &get("/smuggled"));
        assert_eq!(client.answer().text(), "hello\n");
        for _ in 0..10 {
            client.send(get("/smuggled"));
        }
        client.ends();
    }
    all_gone(&server);
    assert_eq!(smuggled.load(SeqCst), 0);
}

#[test]
fn a_last_request_that_fills_the_input_to_the_byte_hides_nothing_behind_it() {
    let (gate, _keeper) = Gate::new();
    let blocked = gate.clone();
    let app = site().0.get("/block", move |_: &Request<'_>| {
        blocked.pass();
        "through\n"
    });
    let server = start(alone(app));
    // While the worker is held up, more than one read takes gathers in the kernel.
    let mut blocker = Client::to(&server);
    blocker.send(get("/block"));
    until("the worker is held up", || server.snapshot().accepts == 1);
    let mut client = Client::to(&server);
    let head = |length: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length:05}\r\n\r\n")
    };
    let length = INPUT_BYTES - head(0).len();
    client.send(head(length) + &"x".repeat(length) + &"y".repeat(64 * 1024));
    gate.open();
    assert_eq!(client.answer().text(), "hello\n");
    client.ends();
}

#[test]
fn whoever_was_refused_and_does_not_go_is_closed() {
    let server = start(alone(site().0).timeouts(quick()));
    let mut client = Client::to(&server);
    client.send("nonsense\r\n\r\n");
    assert_refused(&mut client, Reason::RequestLine);
    // It has been told, and its end of the connection stays open.
    all_gone(&server);
    assert_eq!(server.snapshot().timeouts[Timeout::Linger.index()], 1);
}

// ── Too many clients ────────────────────────────────────────────────────────────────────────────────

#[test]
fn at_the_connection_cap_whoever_is_idle_gives_way() {
    let server = start(alone(site().0).max_connections(4));
    let mut idle: Vec<Client> = (0..4).map(|_| Client::to(&server)).collect();
    for client in &mut idle {
        client.get("/");
    }
    let shed = || server.snapshot().closes[CloseReason::Shed.index()];
    assert_eq!((server.snapshot().connections(), shed()), (4, 0), "nobody gives way before somebody comes");
    for count in 1..=3 {
        let mut newcomer = Client::to(&server);
        assert_eq!(newcomer.get("/").text(), "hello\n");
        assert_eq!((server.snapshot().connections(), shed()), (4, count));
        idle.push(newcomer);
    }
}

#[test]
fn at_the_connection_cap_the_queue_waits_without_a_spin() {
    let (gate, _keeper) = Gate::new();
    let (app, _) = site();
    let pass = gate.clone();
    let app = app.get(
        "/gated",
        deferred(move |_: &Request<'_>, reply: Reply| {
            let pass = pass.clone();
            thread::spawn(move || {
                pass.pass();
                reply.send(Response::text("done").with_close());
            });
        }),
    );
    let server = start(alone(app).max_connections(4));
    let mut busy: Vec<Client> = (0..4).map(|_| Client::to(&server)).collect();
    for client in &mut busy {
        client.send(get("/gated"));
    }
    until("all are served", || server.snapshot().phases[Phase::Handling as usize] == 4);
    let mut queued = Client::to(&server);
    queued.send(get("/"));
    until("accepting pauses", || server.snapshot().accept_pauses > 0);
    let before = server.snapshot();
    assert!(queued.hears_nothing_for(300 * MILLIS));
    let turns = server.snapshot().turns - before.turns;
    assert!(turns < 60, "{turns} turns in 300 ms are a spin");
    assert_eq!(server.snapshot().connections(), 4);
    gate.open();
    assert_eq!(queued.answer().text(), "hello\n");
    for client in &mut busy {
        assert_eq!(client.answer().text(), "done");
    }
}

/// The server of `a_process_without_descriptors_survives`, in a process of its own.
#[test]
#[ignore = "started by another test, in a process with few descriptors"]
fn a_process_with_few_descriptors() {
    let server = start(alone(site().0));
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.truncate(files.len() - 4);
    // Everything that needs a descriptor is there already.
    let mut orders = io::stdin().lines();
    println!("\nport {}", address(&server).port());
    while let Some(Ok(order)) = orders.next() {
        if order == "release" {
            files.clear();
        }
        println!("turns {} {}", server.snapshot().turns, server.snapshot().accept_pauses);
    }
}

#[test]
fn a_process_without_descriptors_survives() {
    let mut child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 64 && exec \"$0\" --exact a_process_with_few_descriptors --ignored --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut numbers = |word: &str| -> Vec<u64> {
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(word)).expect("it speaks");
        line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect()
    };
    let port = u16::try_from(numbers("port")[0]).unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let mut counters = |order: &str| -> Vec<u64> {
        writeln!(orders, "{order}").unwrap();
        numbers("turns")
    };
    let mut held: Vec<Client> = (0..40).map(|_| Client::at(at)).collect();
    for client in &mut held {
        client.try_send(get("/"));
    }
    assert_eq!(held[0].answer().text(), "hello\n", "whoever came first is served");
    until("accepting pauses", || counters("look")[1] > 0);
    let before = counters("look")[0];
    dawdle(400 * MILLIS);
    let turns = counters("look")[0] - before;
    assert!(turns < 80, "{turns} turns in 400 ms are a spin");
    counters("release");
    let begun = now();
    assert_eq!(Client::at(at).get("/").text(), "hello\n");
    assert!(begun.elapsed() < PATIENCE / 4, "service is back soon: {:?}", begun.elapsed());
    drop(orders);
    assert!(child.wait().unwrap().success());
}

#[test]
fn neither_a_flood_of_requests_nor_of_connections_starves_a_third_client() {
    let server = start(alone(site().0));
    let at = address(&server);
    let over = AtomicBool::new(false);
    let mut waits: Vec<Duration> = Vec::new();
    thread::scope(|scope| {
        let pipelining = Client::at(at);
        let mut reading = pipelining.stream.try_clone().unwrap();
        let mut writing = pipelining.stream.try_clone().unwrap();
        scope.spawn(move || {
            let burst = get("/").repeat(200);
            while writing.write_all(burst.as_bytes()).is_ok() {}
        });
        scope.spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            while reading.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
        scope.spawn(|| {
            while !over.load(SeqCst) {
                drop(TcpStream::connect_timeout(&at, PATIENCE));
            }
        });
        let mut third = Client::at(at);
        for _ in 0..100 {
            let begun = now();
            assert_eq!(third.get("/").text(), "hello\n");
            waits.push(begun.elapsed());
        }
        over.store(true, SeqCst);
        pipelining.stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    waits.sort();
    assert!(waits[98] < 250 * MILLIS, "the slowest of a hundred: {:?}", &waits[90..]);
}

// ── Costly requests ─────────────────────────────────────────────────────────────────────────────────

/// A site whose handler tells the worker's CPU time so far, in nanoseconds.
fn clockwork() -> Running {
    start(alone(App::new().get("/", |request: &Request<'_>| {
        // Looks at every field, as a handler does that knows what it wants.
        let found = (0..100).filter(|n| request.header(format!("x-{n}")).is_some()).count();
        format!("{} {found}", thread_cpu_nanos().unwrap_or_default())
    })))
}

fn cpu(client: &mut Client) -> u64 {
    let answer = client.get("/");
    answer.text().split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a time")
}

#[test]
fn a_head_byte_by_byte_costs_the_same_for_each_byte() {
    let server = clockwork();
    let mut client = Client::to(&server);
    let mut cost_per_byte = |bytes: u64| {
        let mut head = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        while (head.len() as u64) < bytes {
            head.push_str(
                "X-Filling: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
            );
        }
        head.push_str("\r\n");
        let mut measure = || {
            let before = cpu(&mut client);
            let mut received = server.snapshot().bytes_received;
            for byte in head.bytes() {
                // Each byte is read for itself: bytes that arrive together would cost less.
                client.send([byte]);
                received += 1;
                while server.snapshot().bytes_received < received {
                    thread::yield_now();
                }
            }
            assert_eq!(client.answer().status, 200);
            (cpu(&mut client) - before) / head.len() as u64
        };
        // The least of three: whatever disturbs adds.
        (0..3).map(|_| measure()).min().unwrap()
    };
    let (short, long) = (cost_per_byte(1_000), cost_per_byte(7_000));
    assert!(long <= short * 5 / 2, "{short} ns for a byte of a short head, {long} of a long one");
}

#[test]
fn field_names_that_collide_cost_like_others() {
    let server = clockwork();
    let mut client = Client::to(&server);
    let mut cost = |name: &dyn Fn(usize) -> String| {
        let mut head = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        for n in 0..99 {
            write!(head, "{}: 1\r\n", name(n)).unwrap();
        }
        head.push_str("\r\n");
        let mut measure = || {
            let before = cpu(&mut client);
            for _ in 0..20 {
                client.send(&head);
                assert_eq!(client.answer().status, 200);
            }
            cpu(&mut client) - before
        };
        (0..3).map(|_| measure()).min().unwrap()
    };
    // The same length, the same beginning and the same end, as a weak hash would see them.
    let others = cost(&|n| format!("{:07}-{n:05}-{:07}", n * 7_919 % 9_999_991, n * 104_729 % 9_999_991));
    let alike = cost(&|n| format!("content-{n:05}-lengths"));
    let same = cost(&|_| "accept-encoding-length".to_owned());
    let known = cost(&|_| "connection".to_owned());
    for (name, cost) in [("alike", alike), ("the same", same), ("known", known)] {
        assert!(cost <= others * 3, "{name}: {cost} ns, against {others} ns");
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let server = start(alone(site().0));
    let fields = |count: usize| {
        let more: String = (1..count).map(|n| format!("x-{n}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n")
    };
    let line = |bytes: usize| {
        let rest = "GET /? HTTP/1.1\r\n".len();
        format!("GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n", "q".repeat(bytes - rest))
    };
    let head = |bytes: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "v".repeat(bytes - rest))
    };
    for (request, status) in [
        (fields(100), 200),
        (fields(101), 431),
        (line(8 * 1024), 200),
        (line(8 * 1024 + 1), 414),
        (head(32 * 1024), 200),
        (head(32 * 1024 + 1), 431),
        (post("/limited", "12345678"), 200),
        (post("/limited", "123456789"), 413),
    ] {
        let mut client = Client::to(&server);
        client.send(&request);
        assert_eq!(client.answer().status, status, "{} bytes: {:.40}", request.len(), request);
    }
}

// ── Refusals ────────────────────────────────────────────────────────────────────────────────────────

/// The answer names `reason`, and the connection ends behind it in order.
fn assert_refused(client: &mut Client, reason: Reason) {
    let answer = client.answer();
    assert_named(&answer, reason);
    assert!(answer.closes(), "{}", answer.head);
    client.ends();
}

fn assert_named(answer: &Answer, reason: Reason) {
    assert_eq!(
        (answer.status, answer.text().trim_end()),
        (reason.status(), named(reason).as_str()),
        "{reason:?}"
    );
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
}

/// What the client reads.
fn named(reason: Reason) -> String {
    let answer = Response::refusal(reason);
    let text = lossy(answer.arena_bytes()).trim_end().to_owned();
    assert!(text.contains(reason.sentence()) && text.len() < 200, "{text}");
    text
}

/// Byte sequences and why they are refused: everything that a client can do wrong.
fn refusals() -> Vec<(Reason, String)> {
    use Reason::*;
    let request = |fields: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let chunks = |body: &str| request("Transfer-Encoding: chunked\r\n") + body;
    let long = |count: usize| "x".repeat(count);
    vec![
        (FirstByte, "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned()),
        (EmptyLine, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (RequestLine, "nonsense\r\n\r\n".to_owned()),
        (RequestLine, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (MethodToken, format!("{} / HTTP/1.1\r\n\r\n", long(25))),
        (Target, "GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (Target, "GET ../secret HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (Path, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (Path, "GET /%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (VersionSyntax, "GET / HTTPS/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (VersionUnsupported, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (BareLf, "GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned()),
        (BareCr, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n".to_owned()),
        (Nul, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".to_owned()),
        (FieldColon, "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n".to_owned()),
        (FieldName, "GET / HTTP/1.1\r\nHost: a\r\nb(c): d\r\n\r\n".to_owned()),
        (FieldSpace, "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned()),
        (FieldFolding, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n".to_owned()),
        (FieldValue, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n".to_owned()),
        (HostMissing, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (HostRepeated, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned()),
        (HostInvalid, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n".to_owned()),
        (LengthSyntax, request("Content-Length: 0x10\r\n")),
        (LengthSyntax, request("Content-Length: 18446744073709551616\r\n")),
        (LengthConflict, request("Content-Length: 1\r\nContent-Length: 2\r\n")),
        (LengthRequired, "POST /echo HTTP/1.0\r\n\r\n".to_owned()),
        (CodingWithLength, request("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")),
        (CodingRepeated, request("Transfer-Encoding: chunked, chunked\r\n")),
        (CodingInHttp10, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        (CodingUnknown, request("Transfer-Encoding: gzip\r\n")),
        (ChunkSize, chunks("xyz\r\n")),
        (ChunkLine, chunks("4\nbody\r\n0\r\n\r\n")),
        (ChunkExtension, chunks("4;a=\x01\r\nbody\r\n0\r\n\r\n")),
        (ChunkExtension, chunks(&format!("4;{}\r\nbody\r\n0\r\n\r\n", long(300)))),
        (ChunkEnd, chunks("4\r\nbodies\r\n0\r\n\r\n")),
        (TrailerField, chunks("0\r\nno field\r\n\r\n")),
        (Expectation, request("Content-Length: 4\r\nExpect: miracles\r\n")),
        (RequestLineBytes, format!("GET /{} HTTP/1.1\r\n\r\n", long(9_000))),
        (HeadBytes, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(33_000))),
        (FieldCount, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(101))),
        (TrailerBytes, chunks(&format!("0\r\nX: {}\r\n\r\n", long(9_000)))),
        (BodyBytes, request("Content-Length: 999999999\r\n")),
        (BodyBytes, "POST /limited HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n".to_owned()),
        (
            BodyBytes,
            "POST /limited HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n"
                .to_owned(),
        ),
        (HeaderTimeout, "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned()),
        (BodyTimeout, request("Content-Length: 4\r\n") + "bo"),
    ]
}

#[test]
fn every_refusal_can_be_read() {
    let (app, smuggled) = site();
    let server = start(alone(app).timeouts(quick()));
    let mut seen = BTreeSet::new();
    for (reason, bytes) in refusals() {
        let mut client = Client::to(&server);
        client.send(&bytes);
        assert_refused(&mut client, reason);
        seen.insert(reason);
    }
    // Whatever a client's bytes can bring about is in the table, or ends no connection.
    let elsewhere = |reason: &Reason| {
        use Reason::*;
        reason.status() >= 500 && ![501, 505].contains(&reason.status())
            // Answers to well-formed requests.
            || ["route.", "handler."].iter().any(|stage| reason.code().starts_with(stage))
            // `a_request_within_a_refused_body_is_never_run`.
            || *reason == AuthFailures
            // `a_body_that_drips_is_refused_and_a_slow_honest_one_is_not`.
            || *reason == BodyRate
            // How often clients come: `limits`.
            || *reason == Rate
            // Where clients are: `app::networks`.
            || *reason == Network
            || *reason == ClientUnknown
            // Where TLS is spoken: `tls`.
            || *reason == PlainHttp
            // Where HTTP/2 alone is: `spoken`.
            || *reason == Http2Only
            // Frames: `h2`.
            || reason.code().contains(".h2_")
    };
    let missing: Vec<_> =
        Reason::ALL.iter().filter(|reason| !seen.contains(reason) && !elsewhere(reason)).collect();
    assert!(missing.is_empty(), "no byte sequence brings about {missing:?}");
    let statuses: BTreeSet<u16> = seen.iter().map(|reason| reason.status()).collect();
    assert_eq!(statuses, BTreeSet::from([400, 408, 411, 413, 414, 417, 431, 501, 505]));
    all_gone(&server);
    assert_eq!(smuggled.load(SeqCst), 0);
    is_well(&server);
}

/// RFC 9112 §9.6: closing with bytes unread is a reset, and a reset takes the answer away.
#[test]
fn a_client_that_keeps_sending_can_read_its_refusal() {
    let (app, smuggled) = site();
    let timeouts = Timeouts { linger: PATIENCE, ..quick() };
    let server = start(alone(app).timeouts(timeouts));
    let more = get("/smuggled").repeat(2_000);
    for (reason, bytes) in refusals() {
        if matches!(reason, Reason::HeaderTimeout | Reason::BodyTimeout) {
            // Whoever goes on sending is not silent.
            continue;
        }
        let mut client = Client::to(&server);
        client.send(&bytes);
        for _ in 0..4 {
            client.send(&more);
        }
        // By now the server has closed its side, and still takes what comes.
        let answer = client.answer();
        assert_named(&answer, reason);
        client.send(&more);
        client.ends();
        client.send("the last word");
    }
    all_gone(&server);
    assert_eq!(smuggled.load(SeqCst), 0, "what follows a refusal is not a request");
}

#[test]
fn a_client_that_never_stops_sending_is_closed_in_the_end() {
    let server = start(alone(site().0).timeouts(quick()));
    let mut client = Client::to(&server);
    client.send("nonsense\r\n\r\n");
    let begun = now();
    while client.try_send([b'x'; 4096]) {
        assert!(begun.elapsed() < PATIENCE, "it is read for ever");
        dawdle(MILLIS);
    }
    all_gone(&server);
    is_well(&server);
}

// ── Smuggling ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn no_framing_hides_a_second_request() {
    let (app, smuggled) = site();
    let server = start(alone(app).timeouts(quick()));
    let hidden = get("/smuggled");
    let attacks = [codings(&hidden), lengths(&hidden), chunks(&hidden), heads(&hidden)].concat();
    for attack in attacks {
        let mut client = Client::to(&server);
        client.send(&attack);
        let answer = client.answer();
        assert!(matches!(answer.status, 400 | 405 | 501), "{} for {attack:?}", answer.status);
        assert!(answer.closes(), "{attack:?} does not end the connection");
        client.ends();
        assert_eq!(smuggled.load(SeqCst), 0, "{attack:?}");
    }
    all_gone(&server);
}

fn echo(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

/// CL.TE, TE.CL, and TE.TE: codings that one reader understands and another does not.
fn codings(hidden: &str) -> Vec<String> {
    let behind = format!("0\r\n\r\n{hidden}");
    let within = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let fields = [
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: \r\n chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
    ];
    let mut attacks: Vec<String> = fields.iter().map(|fields| echo(fields, &behind)).collect();
    attacks.push(echo("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", &within));
    attacks.push(format!("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{behind}"));
    attacks
}

/// Lengths that one reader takes for another number.
fn lengths(hidden: &str) -> Vec<String> {
    let values = [
        "+0",
        "-0",
        "0x0",
        "0 0",
        "0,1",
        "0;",
        "1_0",
        "",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "0\r\nContent-Length: 1",
        "\u{0660}",
    ];
    values.iter().map(|value| echo(&format!("Content-Length: {value}\r\n"), hidden)).collect()
}

/// Chunks: sizes, line ends, extensions, ends, trailers.
fn chunks(hidden: &str) -> Vec<String> {
    let beginnings = [
        "0x0\r\n\r\n",
        "+0\r\n\r\n",
        "-1\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "0\n\n",
        "0\r\r\n\r\n",
        "0;\n\r\n\r\n",
        "0;a\n0\r\n\r\n",
        "0 \r\n\r\n",
        "1\r\nxx0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx\r\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nX: a\nY: b\r\n\r\n",
    ];
    let chunked = |body: &&str| echo("Transfer-Encoding: chunked\r\n", &format!("{body}{hidden}"));
    beginnings.iter().map(chunked).collect()
}

/// Heads that end where another reader sees no end, and a tunnel that was not opened.
fn heads(hidden: &str) -> Vec<String> {
    let heads = [
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    ];
    heads.iter().map(|head| format!("{head}{hidden}")).collect()
}

/// CVE-2025-4366: an early answer, and then the body is read as the next request.
#[test]
fn the_body_of_a_refused_request_never_runs_as_one() {
    struct Enough;
    impl Sink for Enough {
        fn chunk(&mut self, _: &[u8]) -> Take {
            Take::Answer(Box::new(Response::text("enough")))
        }
        fn end(self: Box<Self>, _: &Request<'_>, _: &mut Response) -> Outcome {
            Outcome::Ready
        }
    }
    let (app, smuggled) = site();
    let moved = HeaderValue::from_static("/");
    let app = app
        .post("/enough", receiving(|_| Ok(Box::new(Enough))))
        .post("/at-once", receiving(|_| Err(Response::new(StatusCode::UNAUTHORIZED))))
        .post("/panic", (|_: &Request<'_>| -> String { panic!("a handler fails") }).streaming())
        .post("/moved", (move |_: &Request<'_>| Response::redirect(StatusCode::FOUND, &moved)).streaming());
    let server = start(alone(app).timeouts(quick()));
    for target in ["/enough", "/at-once", "/panic", "/moved", "/limited", "/none", "/", "/host"] {
        let is_refused = |status| status != 200 || target == "/enough";
        a_body_runs_as_no_request(&server, target, is_refused, &|| smuggled.load(SeqCst));
    }
}

/// The same where a file says who is refused, and why.
#[cfg(feature = "config")]
#[test]
fn the_body_of_a_request_that_a_file_refuses_never_runs_as_one() {
    let folder = Scratch::new("hostile-file");
    // Nobody sends the token whose hash this is.
    folder.put("tokens", format!("ci:sha256:{}\n", "0".repeat(64)));
    let text = r#"
        [auth.robots]
        kind = "bearer"
        tokens = "tokens"
        [rate.once]
        rate = "1/d"
        [[site]]
        hosts = "*"
        [[site.route]]
        path = "/host"
        respond = { text = "test" }
        [[site.route]]
        path = "/smuggled"
        respond = { text = "smuggled" }
        [[site.route]]
        path = "/unknown"
        auth = "robots"
        respond = 200
        [[site.route]]
        path = "/often"
        rate = "once"
        respond = 200
        [[site.route]]
        path = "/elsewhere"
        deny = ["127.0.0.0/8"]
        respond = 200
        [[site.route]]
        path = "/later"
        maintenance = true
        respond = 200
        [[site.route]]
        path = "/moved"
        redirect = { to = "/host", status = 302 }
    "#;
    let app = configuration(&folder, text).app().unwrap();
    let server = start(alone(app).timeouts(quick()));
    assert_eq!(Client::to(&server).get("/often").status, 200);
    for (target, status) in
        [("/unknown", 401), ("/often", 429), ("/elsewhere", 403), ("/later", 503), ("/moved", 302)]
    {
        // One that ran would be answered before the next request is.
        a_body_runs_as_no_request(&server, target, |answered| answered == status, &|| 0);
    }
}

/// Sends bodies that look like a request to `target`, which answers with a status that `is_refused`, and
/// another request behind it. `/host` says `test`; `smuggled` counts what has run.
fn a_body_runs_as_no_request(
    server: &Running,
    target: &str,
    is_refused: impl Fn(u16) -> bool,
    smuggled: &dyn Fn() -> u64,
) {
    let hidden = get("/smuggled");
    let large = hidden.repeat(2_000);
    for body in [&hidden, &large] {
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        for (framing, content) in [
            (format!("Content-Length: {}", body.len()), body),
            (format!("Content-Length: {}\r\nExpect: 100-continue", body.len()), body),
            ("Transfer-Encoding: chunked".to_owned(), &chunked),
        ] {
            for split in [0, 1, content.len() / 2, content.len()] {
                let (first, second) = content.split_at(split);
                let mut client = Client::to(server);
                client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{first}"));
                dawdle(MILLIS);
                // An answer may already stand, and the server may have closed: that is the point.
                let whole = client.try_send(second) && client.try_send(get("/host"));
                let mut answer = client.answer();
                while answer.status == 100 {
                    answer = client.answer();
                }
                assert!(is_refused(answer.status), "{target} {framing}: {}", answer.head);
                if answer.closes() {
                    client.ends();
                } else {
                    assert!(whole);
                    let next = client.answer();
                    assert_eq!(next.text(), "test", "{target} {framing}: what follows the body");
                }
                assert_eq!(smuggled(), 0, "{target} {framing} split at {split}");
            }
        }
    }
}

#[test]
fn a_host_is_a_host() {
    let server = start(alone(site().0));
    for host in [
        "",
        "a:b",
        "a:65536",
        "user@a",
        "user:pass@a",
        "a,b",
        "a b",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "[::1",
        "::1",
        "[a]",
        "a\"",
        "<a>",
        "a%0d%0ab",
        "\u{e9}",
    ] {
        let mut client = Client::to(&server);
        client.send(format!("GET /host HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.answer();
        // RFC 9112 §3.2: an empty Host is what a target without an authority has.
        let expected = if host.is_empty() || host == "a%0d%0ab" { 200 } else { 400 };
        assert_eq!(answer.status, expected, "{host:?}");
        assert!(!lossy(&answer.body).contains('\r'));
    }
    for (target, host, expected) in [
        ("http://b/host", "a", "b"),
        ("http://b:80/host", "a:81", "b"),
        ("HTTP://[::1]:80/host", "a", "[::1]"),
    ] {
        // RFC 9112 §3.2.2: what stands in the target wins.
        let mut client = Client::to(&server);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.answer().text(), expected, "{target}");
    }
    for target in
        ["http://user@b/host", "http:///host", "http://b\\c/host", "ftp://b/host", "b/host", "//b@c"]
    {
        let mut client = Client::to(&server);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.answer();
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
    }
}

#[test]
fn nothing_that_is_reflected_becomes_a_field() {
    // Handlers that believe every word: only the types stand between them and a split answer.
    let app = App::new()
        .get("/to/{*rest}", |request: &Request<'_>| {
            let to = format!("/new/{}", request.param("rest").unwrap_or_default());
            match HeaderValue::from_str(&to) {
                Ok(location) => Response::redirect(StatusCode::MOVED_PERMANENTLY, &location),
                Err(_) => Response::new(StatusCode::BAD_REQUEST),
            }
        })
        .get("/query", |request: &Request<'_>| {
            let to = request.query_param("to").unwrap_or_default().into_owned();
            match HeaderValue::from_str(&to) {
                Ok(location) => Response::redirect(StatusCode::FOUND, &location),
                Err(_) => Response::new(StatusCode::BAD_REQUEST),
            }
        })
        .get("/raw", |request: &Request<'_>| {
            let to = HeaderValue::from_str(request.target()).unwrap_or(HeaderValue::from_static("/"));
            Response::redirect(StatusCode::FOUND, &to)
        });
    let server = start(alone(app));
    for payload in [
        "%0d%0aInjected:%20yes",
        "%0D%0A%0D%0A<html>",
        "%0aInjected:yes",
        "%0dInjected:yes",
        "%00",
        "%E5%98%8D%E5%98%8AInjected:yes",
    ] {
        for target in [
            format!("/to/{payload}"),
            format!("/query?to={payload}"),
            format!("/raw?{payload}"),
            format!("/{payload}"),
        ] {
            // The reader refuses control bytes in heads by itself.
            let answer = Client::to(&server).get(&target);
            assert!(answer.field("injected").is_none(), "{target}: {}", answer.head);
            assert!(matches!(answer.status, 301 | 302 | 400 | 404), "{target}: {}", answer.head);
            assert!(!lossy(&answer.body).contains('<'), "{target}");
        }
    }
}

/// A client that asks and leaves, again and again, leaves nothing behind.
#[test]
fn whoever_leaves_at_any_moment_leaves_nothing_behind() {
    let (app, _) = site();
    let app = app.get("/endless", |_: &Request<'_>| Response::stream("text/plain", Endless(Arc::default())));
    let server = start(alone(app));
    let request = post("/echo", "some content");
    for cut in 0..request.len() {
        let mut client = Client::to(&server);
        client.send(&request[..cut]);
        if cut % 3 == 0 {
            client.send(get("/endless"));
            let _ = client
                .stream
                .read(&mut [0; 64])
                .map_err(|error| assert_eq!(error.kind(), ErrorKind::TimedOut));
        }
        drop(client);
    }
    all_gone(&server);
    let snapshot = server.snapshot();
    assert_eq!((snapshot.carry_buffers, snapshot.pending_buffers), (0, 0));
    is_well(&server);
}

thread_local! {
    /// What the logger fails with on this thread, until the loop itself has spoken.
    static DOOM: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// What a program's logger has heard; it fails where a test wants that: in the loop's own code.
static FRAIL: Frail = Frail(Mutex::new(Vec::new()));

struct Frail(Mutex<Vec<String>>);

impl log::Log for Frail {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if let Some(doom) = DOOM.get() {
            if line.contains("failed within its turn") {
                DOOM.set(None);
            }
            panic!("{doom}");
        }
        self.0.lock().expect("nobody panics with it").push(line);
    }

    fn flush(&self) {}
}

/// The lines of workers that have failed with `doom`.
fn failures(doom: &str) -> Vec<String> {
    let lines = FRAIL.0.lock().expect("nobody panics with it");
    lines.iter().filter(|line| line.contains(&format!("it panicked: {doom};"))).cloned().collect()
}

/// Two workers, of which one fails when somebody asks for `/doom`: what is said of it has `doom` in it.
fn frail(doom: &'static str, app: App) -> Server {
    struct Bomb;
    impl Source for Bomb {
        fn pull(&mut self, _: &mut Pull<'_>) -> Pulled {
            panic!("a source fails, and then whoever says so")
        }
    }
    if log::set_logger(&FRAIL).is_ok() {
        log::set_max_level(log::LevelFilter::Error);
    }
    let app = app
        .get("/worker", |_: &Request<'_>| thread::current().name().unwrap_or_default().to_owned())
        .any("/doom", move |_: &Request<'_>| {
            DOOM.set(Some(doom));
            Response::stream("text/plain", Bomb)
        });
    Server::new(app).workers(Workers::Exactly(2)).max_connections(256)
}

#[test]
fn a_worker_that_fails_begins_anew_on_its_sockets() {
    begins_anew("one of two", false);
}

/// As a process of its own: what other tests close here would stay open in the tables of its workers.
#[test]
#[ignore = "started by another test, in a process of its own"]
fn a_worker_with_a_descriptor_table_of_its_own_fails() {
    begins_anew("one with a table of its own", true);
}

#[test]
fn so_does_a_worker_with_a_descriptor_table_of_its_own() {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_worker_with_a_descriptor_table_of_its_own_fails", "--ignored"])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", lossy(&ended.stdout));
    assert!(lossy(&ended.stdout).contains("1 passed"), "{}", lossy(&ended.stdout));
}

#[expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]
fn begins_anew(doom: &'static str, private_descriptors: bool) {
    const CLIENTS_MAX: u32 = 8;
    let limits = Limits { connections_per_address_max: Some(CLIENTS_MAX), ..Limits::default() };
    let (hand_in, replies) = mpsc::channel();
    let late = deferred(move |_: &Request<'_>, reply: Reply| hand_in.send(reply).unwrap());
    let server = frail(doom, App::new().get("/late", late)).private_descriptors(private_descriptors);
    let server = start(server.limits(limits).admin("127.0.0.1:0").unwrap());
    let admin = server.admin_addr().unwrap().socket_addr().unwrap();
    let enter = || {
        let mut client = Client::to(&server);
        let worker = client.get("/worker").text().to_owned();
        (worker, client)
    };
    // As many as one address may have. No worker gets all of them: the quieter one is left the next.
    let mut clients: Vec<_> = (0..CLIENTS_MAX).map(|_| enter()).collect();
    let before = server.snapshot();
    let doomed = clients[0].0.clone();
    clients[0].1.send(get("/doom"));
    until("a worker has begun anew", || server.snapshot().worker_restarts == 1);
    let (lost, mut left): (Vec<_>, Vec<_>) = clients.into_iter().partition(|(worker, _)| *worker == doomed);
    assert!(!left.is_empty(), "all clients came to {doomed}");
    for (_, client) in &mut left {
        assert_ne!(client.get("/worker").text(), doomed, "the other worker goes on");
    }
    let lost_of_them = lost.len();
    for (_, mut client) in lost {
        client.is_cut();
    }
    // Their seats are free again, and who comes to the socket of the one that failed is served.
    let mut again: Vec<_> = (0..lost_of_them).map(|_| enter()).collect();
    let served = again.iter_mut().find(|(worker, _)| *worker == doomed);
    let (_, client) = served.unwrap_or_else(|| panic!("{doomed} serves again"));
    // It sleeps when another thread has its answer, and is rung.
    client.send(get("/late"));
    replies.recv_timeout(PATIENCE).unwrap().send("late");
    assert_eq!(client.answer().text(), "late");

    let after = server.snapshot();
    assert_eq!(after.closes[CloseReason::Failed.index()], lost_of_them as u64);
    assert_eq!(after.connections(), u64::from(CLIENTS_MAX), "no gauge counts the dead");
    assert_eq!(after.accepts, before.accepts + lost_of_them as u64, "no counter goes back");
    assert!(after.requests() > before.requests());
    assert_eq!(after.workers_down, 0);
    assert_eq!(Client::at(admin).get("/readyz").status, 200);
    let page = Client::at(admin).get("/_kolk/metrics");
    assert!(page.text().contains("\nkolk_worker_restarts_total 1\n"), "{}", page.text());
    let said = failures(doom);
    let number = doomed.strip_prefix("kolk-").unwrap();
    assert!(said.len() == 1 && said[0].starts_with(&format!("worker {number} failed: ")), "{said:?}");
}

/// What is under way at the other one is answered to the end, and that is an orderly one.
#[test]
fn a_worker_that_fails_while_the_server_drains_holds_nobody_up() {
    let (hand_in, replies) = mpsc::channel();
    let late = deferred(move |_: &Request<'_>, reply: Reply| hand_in.send(reply).unwrap());
    let server = start(frail("within a drain", App::new().get("/late", late)));
    let handle = server.handle();
    let mut clients: Vec<_> = (0..8).map(|_| Client::to(&server)).collect();
    let workers: Vec<_> = clients.iter_mut().map(|client| client.get("/worker").text().to_owned()).collect();
    let other = workers.iter().position(|worker| *worker != workers[0]).expect("no worker gets all of them");
    clients[other].send(get("/late"));
    let reply = replies.recv_timeout(PATIENCE).unwrap();
    // Who is within a request may end it.
    clients[0].send("POST /doom HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhal");
    until("both are under way", || {
        let phases = handle.snapshot().phases;
        (phases[Phase::Body as usize], phases[Phase::Handling as usize]) == (1, 1)
    });
    server.drain(PATIENCE);
    until("all others are sent away", || handle.snapshot().connections() == 2);
    clients[0].send("f");
    clients[0].is_cut();
    until("it has begun anew", || handle.snapshot().worker_restarts == 1);
    reply.send("late");
    let answer = clients[other].answer();
    assert_eq!((answer.text(), answer.closes()), ("late", true));
    server.join().unwrap();
}

#[test]
fn a_worker_that_fails_again_and_again_ends_the_server() {
    let server = start(frail("again and again", App::new()));
    let to = address(&server);
    let mut tries = 0;
    // Five times each begins anew: one of the two fails a sixth time.
    while !server.handle().is_ending() {
        assert!(tries < 11, "{:?}", failures("again and again"));
        let failed = failures("again and again").len();
        let mut client = Client::at(to);
        client.send(get("/doom"));
        client.is_cut();
        until("it is told", || failures("again and again").len() > failed);
        tries += 1;
    }
    assert!(!server.handle().is_whole());
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(server.join()));
    let error = end.recv_timeout(PATIENCE).expect("the other worker drains").unwrap_err().to_string();
    assert!(error.ends_with(" failed: it panicked: again and again"), "{error}");
    let said = failures("again and again");
    assert!(said.last().unwrap().ends_with("it is given up, and the server ends"), "{said:?}");
}

#[test]
fn a_sink_that_fails_in_its_end_is_its_connection_s_alone() {
    struct Bomb;
    impl Sink for Bomb {
        fn chunk(&mut self, _: &[u8]) -> Take {
            Take::More
        }
        fn end(self: Box<Self>, _: &Request<'_>, _: &mut Response) -> Outcome {
            Outcome::Ready
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a sink fails in its end")
        }
    }
    let server = start(alone(site().0.post("/sink", receiving(|_| Ok(Box::new(Bomb))))));
    let mut bystander = Client::to(&server);
    assert_eq!(bystander.get("/").text(), "hello\n");
    let mut client = Client::to(&server);
    client.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    until("it receives", || server.snapshot().phases[Phase::Body as usize] == 1);
    drop(client);
    until("its end is seen", || server.snapshot().handler_panics == 1);
    assert_eq!(bystander.get("/").text(), "hello\n");
    assert_eq!((server.snapshot().connections(), server.snapshot().worker_restarts), (1, 0));
}
