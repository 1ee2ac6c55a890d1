//! Handlers that decide in two steps, and the passwords that make them: on real sockets.
//!
//! A handler that suspends is called again on its own thread, with nothing read of the body in between. What
//! a password check means is settled in `src/app/auth/`; here is shown that it delays nobody.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

mod support;

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use kolk::http::Body;
use kolk::{
    App, BasicAuth, BodyRule, Handler, HandlerExt, Layer, Outcome, Presence, Recall, Reply, Request,
    Response, Rewrite, Rule, deferred, header, receiving,
};

use support::sinks::Counted;
use support::{Client, PATIENCE, address, alone, get, post, start, until};

/// Of `password`, and cheap.
const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
/// `ada:password`, and `ada:wrong`.
const RIGHT: &str = "Authorization: Basic YWRhOnBhc3N3b3Jk\r\n";
const WRONG: &str = "Authorization: Basic YWRhOndyb25n\r\n";

/// Suspends each request once, and hands its recall to the test.
struct Twice<H> {
    calls: AtomicUsize,
    recalls: mpsc::SyncSender<Recall>,
    inner: H,
}

impl<H: Handler> Handler for Twice<H> {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        if self.calls.fetch_add(1, SeqCst) % 2 == 1 {
            return self.inner.handle(request, response);
        }
        let (recall, outcome) = request.suspend();
        self.recalls.send(recall).expect("somebody recalls");
        outcome
    }

    fn rule(&self) -> Rule {
        self.inner.rule()
    }
}

fn twice<H: Handler>(inner: H) -> (Twice<H>, mpsc::Receiver<Recall>) {
    let (recalls, recalled) = mpsc::sync_channel(16);
    (Twice { calls: AtomicUsize::new(0), recalls, inner }, recalled)
}

fn echo(request: &Request<'_>) -> String {
    let thread = thread::current().name().unwrap_or_default().to_owned();
    format!("{} {} {thread}", request.path(), String::from_utf8_lossy(request.body()))
}

fn next(recalled: &mpsc::Receiver<Recall>) -> Recall {
    recalled.recv_timeout(PATIENCE).expect("the handler suspends")
}

/// The head of a request with a body of `length` bytes.
fn put(target: &str, fields: &str, length: usize) -> String {
    format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n")
}

#[test]
fn a_suspended_handler_is_called_again_on_its_own_thread() {
    let (handler, recalled) = twice(echo);
    let server = start(alone(App::new().any("/{*path}", handler)));
    let mut client = Client::to(&server);
    // With and without a body; what is pipelined behind it waits.
    client.send(get("/a") + &post("/b", "body") + &get("/c"));
    let mut threads = Vec::new();
    for expected in ["/a ", "/b body", "/c "] {
        let recall = next(&recalled);
        assert!(client.hears_nothing_for(Duration::from_millis(20)));
        thread::spawn(move || recall.call()).join().unwrap();
        let answer = client.answer().text().to_owned();
        let thread = answer.strip_prefix(expected).expect(&answer).trim().to_owned();
        threads.push(thread);
    }
    assert!(threads.iter().all(|thread| *thread == threads[0]), "{threads:?}");
}

#[test]
fn a_recall_may_answer_itself_and_a_lost_one_is_a_500() {
    let (handler, recalled) = twice(echo);
    let server = start(alone(App::new().get("/", handler)));
    let mut client = Client::to(&server);
    client.send(get("/"));
    next(&recalled).send("instead");
    assert_eq!(client.answer().text(), "instead");
    // The count is odd now: this one goes through.
    assert_eq!(client.get("/").status, 200);
    client.send(get("/"));
    drop(next(&recalled));
    assert_eq!(client.answer().status, 500);
}

#[test]
fn nothing_of_a_body_is_read_or_invited_before_the_decision() {
    const LENGTH: usize = 8 << 20;
    let (handler, recalled) =
        twice(receiving(|_| Ok(Box::new(Counted::default()))).body_limit(LENGTH as u64));
    assert_eq!(handler.rule().body, BodyRule::Stream);
    let server = start(alone(App::new().put("/", handler)));

    // The client asks first.
    let mut client = Client::to(&server);
    client.send(put("/", "Expect: 100-continue\r\n", 4));
    let recall = next(&recalled);
    assert!(client.hears_nothing_for(Duration::from_millis(50)));
    recall.call();
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(client.answer().text(), "4");

    // The client does not: TCP holds it back.
    let mut writer = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        std::io::Write::write_all(&mut writer, put("/", "", LENGTH).as_bytes())?;
        std::io::Write::write_all(&mut writer, &vec![7; LENGTH])
    });
    let recall = next(&recalled);
    let received = server.snapshot().bytes_received;
    assert!(received < LENGTH as u64 / 2, "{received} bytes were read");
    assert!(client.hears_nothing_for(Duration::from_millis(100)));
    assert!(server.snapshot().bytes_received - received < 1 << 20);
    recall.call();
    assert_eq!(client.answer().text(), LENGTH.to_string());
    sender.join().unwrap().unwrap();

    // The whole body comes with the head; then in chunks.
    client.send(put("/", "", 5) + "whole");
    next(&recalled).call();
    assert_eq!(client.answer().text(), "5");
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let recall = next(&recalled);
    client.send("4\r\ndefg\r\n0\r\n\r\n");
    recall.call();
    assert_eq!(client.answer().text(), "7");

    // A client that leaves meanwhile; whoever closes may still read, so its handler is called.
    client.send(put("/", "", 50));
    let recall = next(&recalled);
    drop(client);
    until("it is noticed", || recall.client() == Presence::HalfClosed);
    recall.call();
    until("the connection is gone", || server.snapshot().connections() == 0);
    let mut client = Client::to(&server);
    client.send(put("/", "", 1) + "1");
    next(&recalled).call();
    assert_eq!(client.answer().text(), "1");
}

fn guarded() -> (App, BasicAuth) {
    let auth = BasicAuth::new("tests").user("ada", HASH).unwrap();
    let file = Arc::new(File::open("Cargo.toml").unwrap());
    let length = file.metadata().unwrap().len();
    let file = move |_: &Request<'_>| {
        Response::typed("text/plain", Body::File { file: Arc::clone(&file), offset: 0, length })
    };
    let app = App::new()
        .get("/open", Response::text("open"))
        .get("/file", auth.guard(file))
        .put("/echo", auth.guard(echo));
    (app, auth)
}

fn with(field: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{field}\r\n")
}

#[test]
fn a_guarded_file_is_sent_by_the_worker_itself() {
    let (app, auth) = guarded();
    // A late answer with a file would be refused there.
    let server = start(alone(app).private_descriptors(true));
    let mut client = Client::to(&server);
    for _ in 0..3 {
        client.send(with(RIGHT, "/file"));
        assert_eq!(client.answer().body, std::fs::read("Cargo.toml").unwrap());
    }
    assert!(format!("{auth:?}").contains("computed: 1"), "{auth:?}");
    client.send(with(WRONG, "/file"));
    let refusal = client.answer();
    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.field("www-authenticate"), Some("Basic realm=\"tests\", charset=\"UTF-8\""));
    assert!(!refusal.closes());
    assert_eq!(client.get("/file").status, 401);
    // A body that is refused is not invited.
    client.send(put("/echo", &format!("Expect: 100-continue\r\n{WRONG}"), 4));
    assert_eq!(client.answer().status, 401);
    let mut client = Client::to(&server);
    client.send(put("/echo", RIGHT, 4) + "body");
    assert!(client.answer().text().starts_with("/echo body"));
}

/// What a layer has suspended, and lets pass later, is still a preflight: no handler is asked.
#[test]
fn a_preflight_passes_the_layers_of_its_route_and_not_the_handler() {
    let (app, auth) = guarded();
    let server = start(alone(app));
    let mut client = Client::to(&server);
    let preflight = |password: &str| {
        let method = "Access-Control-Request-Method: PUT\r\n";
        format!("OPTIONS /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://a\r\n{method}{password}\r\n")
    };
    client.send(preflight(RIGHT));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("allow")), (204, Some("PUT, OPTIONS")));
    assert!(format!("{auth:?}").contains("computed: 1"), "{auth:?}");
    client.send(preflight(WRONG));
    assert_eq!(client.answer().status, 401);
}

#[test]
fn wrong_passwords_delay_nobody_who_needs_none() {
    // Some milliseconds for each.
    let slow = kolk::PasswordHash::of(b"password", kolk::HashAlgorithm::Argon2).unwrap();
    let auth = BasicAuth::new("tests").user("ada", &slow.to_string()).unwrap();
    // All of them have one address.
    let auth = auth.failures(0, Duration::ZERO);
    let app =
        App::new().get("/open", Response::text("open")).get("/", auth.guard(|_: &Request<'_>| "secret"));
    let server = start(alone(app));
    let address = address(&server);
    let guesses = Arc::new(AtomicUsize::new(0));
    let guessers: Vec<_> = (0..8)
        .map(|_| {
            let guesses = Arc::clone(&guesses);
            thread::spawn(move || {
                let mut client = Client::at(address);
                for _ in 0..4 {
                    client.send(with(WRONG, "/"));
                    assert_eq!(client.answer().status, 401);
                    guesses.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    // On the one worker that all of them share.
    let mut client = Client::to(&server);
    let mut answered = 0;
    while guesses.load(SeqCst) < 32 {
        assert_eq!(client.get("/open").text(), "open");
        answered += 1;
        if guessers.iter().all(thread::JoinHandle::is_finished) {
            break;
        }
    }
    for guesser in guessers {
        guesser.join().unwrap();
    }
    assert!(answered > 32, "{answered} open answers while 32 passwords were checked");
    client.send(with("Authorization: Basic YWRhOnBhc3N3b3Jk\r\n", "/"));
    assert_eq!(client.answer().text(), "secret");
}

/// Tells with which path, and which part of it, an answer was found.
struct Routed;

impl Layer for Routed {
    fn after(&self, request: &Request<'_>, response: &mut Response) {
        let told = format!("{} {}", request.path(), request.param("name").unwrap_or("nobody"));
        response.append(&header::HeaderName::from_static("x-routed"), &told.parse().unwrap());
    }
}

#[test]
fn who_looks_at_an_answer_sees_the_path_that_it_was_found_with() {
    let later = deferred(|_: &Request<'_>, reply: Reply| {
        thread::spawn(move || reply.send("later"));
    });
    let app = App::new()
        .layer(Routed)
        .get("/now/{name}", |_: &Request<'_>| "now")
        .get("/later/{name}", later)
        .any("/a/long/way/{*rest}", Rewrite::strip_prefix("/a/long/way"));
    let server = start(alone(app));
    let mut client = Client::to(&server);
    for (target, told) in [
        ("/a/long/way/now/ada", "/now/ada ada"),
        ("/a/long/way/later/bob", "/later/bob bob"),
        ("/now/x/../eve", "/now/eve eve"),
        ("/a/long/way/none", "/none nobody"),
    ] {
        assert_eq!(client.get(target).field("x-routed"), Some(told), "{target}");
    }
}
