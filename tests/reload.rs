//! ANOTHER APP WHILE THE SERVER RUNS: nobody's request is lost, and what has begun ends as it began; and the
//! drain, in which nobody's is, either.
//!
//! ```text
//!  "one" ──── begun ──────────────────► answered by "one", dressed by its layers, within its limits
//!         replace │
//!  "two"          └─ the next request of the same connection ─► answered by "two"
//! ```
//! The route's numbers differ between the two apps: whoever mixes them up finds another route, or none.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "frames/frame.rs"]
mod frame;
#[path = "frames/speaker.rs"]
mod speaker;
mod support;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use kolk::access_log::{Destination, Format, Log, Template};
use kolk::app::{Handler, HandlerExt, Outcome, Recall, Reply, Sink, Take};
use kolk::http::Phase;
use kolk::server::Limits;
use kolk::server::stats::{CloseReason, RouteShare};
use kolk::{
    App, Config, HeaderName, HeaderValue, Headers, LogId, Request, Response, Running, Workers, channel,
    deferred, receiving,
};

use speaker::Speaker;
use support::scratch::Scratch;
use support::{Client, Gate, PATIENCE, address, alone, dawdle, get, start, until};

/// What the handlers of an app hand out to the test.
struct Hands {
    replies: mpsc::Receiver<Reply>,
    writers: mpsc::Receiver<kolk::app::BodyWriter>,
    recalls: mpsc::Receiver<Recall>,
    /// Bytes of uploads that its sinks have seen.
    received: Arc<AtomicU64>,
    /// Gone as soon as the app is.
    app: std::sync::Weak<()>,
}

/// Counts what comes, for an app of this name.
struct Scale {
    name: &'static str,
    bytes: u64,
    received: Arc<AtomicU64>,
}

impl Sink for Scale {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.bytes += bytes.len() as u64;
        self.received.fetch_add(bytes.len() as u64, SeqCst);
        Take::More
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(Response::text(format!("{} {}\n", self.name, self.bytes)));
        Outcome::Ready
    }
}

/// Decides when it is called a second time.
struct Twice {
    name: &'static str,
    called: AtomicBool,
    recalls: Mutex<mpsc::Sender<Recall>>,
}

impl Handler for Twice {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        if self.called.swap(true, SeqCst) {
            response.replace(Response::text(format!("{}\n", self.name)));
            return Outcome::Ready;
        }
        let (recall, outcome) = request.suspend();
        self.recalls.lock().unwrap().send(recall).unwrap();
        outcome
    }
}

/// An app that says its name at `/`, in `x-app` and in whatever else it answers. `others`: so many routes
/// come first.
fn app(name: &'static str, others: usize) -> (App, Hands) {
    let (reply, replies) = mpsc::channel();
    let (writer, writers) = mpsc::channel();
    let (recall, recalls) = mpsc::channel();
    let (writer, reply) = (Mutex::new(writer), Mutex::new(reply));
    let (life, received) = (Arc::new(()), Arc::new(AtomicU64::new(0)));
    let hands =
        Hands { replies, writers, recalls, received: Arc::clone(&received), app: Arc::downgrade(&life) };
    let signed = HeaderValue::from_static(name);
    let signed = Headers::new().set(HeaderName::from_static("x-app"), signed).unwrap();
    let mut app = App::new().layer(signed);
    for number in 0..others {
        app = app.get(&format!("/other/{number}"), Response::text("another\n"));
    }
    let app = app
        .get("/", move |_: &Request<'_>| {
            let _kept = &life;
            Response::text(format!("{name}\n"))
        })
        .get("/fixed", Response::text(name))
        .get("/late", deferred(move |_: &Request<'_>, late: Reply| reply.lock().unwrap().send(late).unwrap()))
        .get("/stream", move |request: &Request<'_>| {
            let (body, response) = channel(request, 4_096);
            writer.lock().unwrap().send(body).unwrap();
            response
        })
        .get("/twice", Twice { name, called: AtomicBool::new(false), recalls: Mutex::new(recall) })
        .post("/sum", move |request: &Request<'_>| {
            Response::text(format!("{name} {}\n", request.body().len()))
        })
        .put(
            "/upload",
            receiving(move |_| Ok(Box::new(Scale { name, bytes: 0, received: Arc::clone(&received) })))
                .body_limit(1_000),
        );
    (app, hands)
}

/// The second one: nothing but its name.
fn two() -> App {
    let answer = |_: &Request<'_>| Response::text("two\n");
    App::new().get("/", answer).get("/late", answer).get("/stream", answer)
}

/// It answers, and is not dressed by anybody else.
fn is_two(client: &mut Client) {
    let answer = client.get("/");
    assert_eq!((answer.text(), answer.field("x-app")), ("two\n", None));
}

/// The second app takes over; the worker may have to end a turn first.
fn replaced(server: &Running) {
    server.handle().replace(two()).unwrap();
    is_taken(server);
}

fn is_taken(server: &Running) {
    until("the second app answers", || Client::to(server).get("/").text() == "two\n");
}

// ── HTTP/1.1 ────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_upload_goes_to_the_app_that_it_began_with_and_the_next_request_to_the_new_one() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one));
    let mut client = Client::to(&server);
    client.send("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    until("half of it is there", || hands.received.load(SeqCst) == 3);
    replaced(&server);
    client.send("def");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("x-app")), ("one 6\n", Some("one")));
    is_two(&mut client);
}

#[test]
fn a_body_that_is_collected_is_for_the_handler_that_it_began_with() {
    let server = start(alone(app("one", 5).0));
    let mut client = Client::to(&server);
    client.send("POST /sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    until("its head is there", || server.snapshot().phases[Phase::Body as usize] == 1);
    let config = Config { limits: Limits { body_bytes_max: 1, ..Limits::default() }, ..Config::default() };
    server.handle().replace_with(two(), config).unwrap();
    is_taken(&server);
    client.send("3\r\ndef\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("x-app")), ("one 6\n", Some("one")));
}

#[test]
fn a_late_answer_is_dressed_by_the_layers_that_let_its_request_in() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one));
    let mut client = Client::to(&server);
    client.send(get("/late"));
    let late = hands.replies.recv_timeout(PATIENCE).unwrap();
    replaced(&server);
    late.send("one, late\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("x-app")), ("one, late\n", Some("one")));
    is_two(&mut client);
}

#[test]
fn a_stream_flows_on_and_its_app_goes_with_it() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one));
    let mut client = Client::to(&server);
    client.send(get("/stream"));
    let mut body = hands.writers.recv_timeout(PATIENCE).unwrap();
    body.try_write("a".into()).unwrap();
    let mut answer = client.head();
    replaced(&server);
    assert!(hands.app.upgrade().is_some(), "it is still needed");
    body.try_write("b".into()).unwrap();
    drop(body);
    client.body_of(&mut answer);
    assert_eq!((answer.text(), answer.field("x-app")), ("ab", Some("one")));
    until("nobody holds it any more", || hands.app.upgrade().is_none());
    is_two(&mut client);
}

#[test]
fn a_handler_that_asked_to_be_called_again_is() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one));
    let mut client = Client::to(&server);
    client.send(get("/twice"));
    let recall = hands.recalls.recv_timeout(PATIENCE).unwrap();
    replaced(&server);
    // Another one in between changes nothing.
    server.handle().replace(App::new()).unwrap();
    until("it has taken over", || Client::to(&server).get("/").status == 404);
    recall.call();
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("x-app")), ("one\n", Some("one")));
    assert_eq!(client.get("/").status, 404);
}

#[test]
fn a_body_that_is_too_long_for_its_own_app_is_refused_by_that() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one));
    let mut client = Client::to(&server);
    client.send("PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    until("it has begun", || hands.received.load(SeqCst) == 3);
    replaced(&server);
    client.send(format!("3e8\r\n{}\r\n", "x".repeat(1_000)));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("x-app")), (413, Some("one")));
}

#[test]
fn an_idle_connection_costs_nothing_and_the_old_app_is_gone_at_once() {
    let (one, hands) = app("one", 0);
    let server = start(alone(one).workers(Workers::Exactly(2)));
    let mut idle: Vec<Client> = (0..8).map(|_| Client::to(&server)).collect();
    for client in &mut idle {
        assert_eq!(client.get("/fixed").text(), "one");
    }
    server.handle().replace(two()).unwrap();
    until("the first app is dropped", || hands.app.upgrade().is_none());
    idle.iter_mut().for_each(is_two);
    assert_eq!((server.snapshot().accepts, server.snapshot().replacements), (8, 1));
}

/// Also where the app itself holds the handle.
#[test]
fn a_handle_keeps_no_app_alive_when_the_server_has_ended() {
    let (one, hands) = app("one", 0);
    let (two, others) = app("two", 0);
    let server = start(alone(one));
    let handle = server.handle();
    let holds = handle.clone();
    let ends = move |_: &Request<'_>| {
        holds.drain(PATIENCE);
        Response::text("bye\n")
    };
    handle.replace(two.get("/end", ends)).unwrap();
    until("it is there", || Client::to(&server).get("/end").status == 200);
    server.join().unwrap();
    assert!(handle.is_ending());
    until("both are gone", || hands.app.upgrade().is_none() && others.app.upgrade().is_none());
}

/// Under its name: the numbers of routes are others in another app.
#[test]
fn what_is_counted_of_a_route_goes_on_and_what_is_gone_is_forgotten() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one).admin("127.0.0.1:0").unwrap());
    let counted = || {
        let routes = server.snapshot().routes.into_iter();
        let count =
            |share: RouteShare| (share.route.to_string(), share.requests_by_class.iter().sum::<u64>());
        routes.map(count).collect::<Vec<_>>()
    };
    let are = |expected: &[(&str, u64)]| {
        let expected: Vec<_> = expected.iter().map(|(route, count)| ((*route).to_owned(), *count)).collect();
        until("they are counted", || counted() == expected);
    };
    are(&[]);
    let mut client = Client::to(&server);
    assert_eq!(client.get("/").text(), "one\n");
    assert_eq!((client.get("/fixed").text(), client.get("/fixed").text()), ("one", "one"));
    assert_eq!(client.get("/none/at/all").status, 404);
    are(&[("(none)", 1), ("/", 1), ("/fixed", 2)]);
    client.send(get("/late"));
    let late = hands.replies.recv_timeout(PATIENCE).unwrap();
    server.handle().replace(two()).unwrap();
    until("it is served", || Client::to(&server).get("/fixed").status == 404);
    let missed = server.snapshot().requests_by_class[3];
    are(&[("(none)", missed), ("/", 1)]);
    late.send("one, late\n");
    assert_eq!(client.answer().text(), "one, late\n");
    assert_eq!(client.get("/").text(), "two\n");
    let mut many = Speaker::to(&server);
    many.say("HEADERS 1 END_STREAM END_HEADERS GET=/");
    assert_eq!(many.content(1), "two\n");
    are(&[("(none)", missed), ("/", 3), ("/late", 1)]);
}

// ── HTTP/2 ──────────────────────────────────────────────────────────────────────────────────────────

/// One connection, five streams that began before and end afterwards, in another order.
#[test]
fn the_streams_of_a_connection_keep_their_app_beside_those_of_the_new_one() {
    let (one, hands) = app("one", 5);
    let server = start(alone(one));
    let mut client = Speaker::to(&server);
    client.say(
        "HEADERS 1 END_HEADERS PUT=/upload | DATA 1 \"abc\" | HEADERS 3 END_STREAM END_HEADERS GET=/late",
    );
    client.say("HEADERS 5 END_STREAM END_HEADERS GET=/stream | HEADERS 7 END_STREAM END_HEADERS GET=/twice");
    client.say("HEADERS 9 END_HEADERS POST=/sum | DATA 9 \"abc\"");
    let late = hands.replies.recv_timeout(PATIENCE).unwrap();
    let mut body = hands.writers.recv_timeout(PATIENCE).unwrap();
    let recall = hands.recalls.recv_timeout(PATIENCE).unwrap();
    until("half of it is there", || hands.received.load(SeqCst) == 3);
    until("that, too", || server.snapshot().body_bytes == 3);
    replaced(&server);
    client.say("HEADERS 11 END_STREAM END_HEADERS GET=/late");
    assert_eq!(client.content(11), "two\n");
    client.say("DATA 9 END_STREAM \"defg\"");
    assert_eq!(client.content(9), "one 7\n");
    recall.call();
    assert_eq!(client.content(7), "one\n");
    body.try_write("ab".into()).unwrap();
    drop(body);
    assert_eq!(client.content(5), "ab");
    late.send("one, late\n");
    assert_eq!(client.content(3), "one, late\n");
    assert!(hands.app.upgrade().is_some(), "one of them is still open");
    client.say("DATA 1 END_STREAM \"def\"");
    assert_eq!(client.content(1), "one 6\n");
    until("nobody holds it any more", || hands.app.upgrade().is_none());
    client.say("HEADERS 13 END_STREAM END_HEADERS GET=/");
    assert_eq!(client.content(13), "two\n");
    assert_eq!(server.snapshot().http2_connections, 1);
}

// ── What changes beside the app ─────────────────────────────────────────────────────────────────────

#[test]
fn what_can_change_of_the_configuration_does_and_the_rest_is_named() {
    let server = start(alone(app("one", 1).0));
    let mut client = Client::to(&server);
    assert_eq!(client.get("/").field("server"), Some("kolk"));
    let mut config = Config { workers: Workers::Exactly(7), backlog: 1, ..Config::default() };
    config.server_name = Some("whirl".to_owned());
    config.limits.http1 = Arc::new(kolk::proto::h1::Limits { fields_max: 2, ..*config.limits.http1 });
    config.hsts = Some(Duration::from_secs(1));
    let stay = server.handle().replace_with(two(), config).unwrap();
    assert_eq!(stay, ["workers", "backlog", "connections_max"]);
    is_taken(&server);
    let answer = client.get("/");
    assert_eq!(answer.field("server"), Some("whirl"));
    assert_eq!(answer.field("strict-transport-security"), None, "nothing is encrypted here");
    client.send("GET / HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\n\r\n");
    assert_eq!(client.answer().status, 431, "the connection is older than the limit, the request is not");
    assert_eq!(server.workers(), 1);
}

#[test]
fn an_app_is_not_replaced_where_its_files_would_be_others() {
    let server = start(alone(app("one", 1).0).private_descriptors(true));
    let error = server.handle().replace(two()).unwrap_err().to_string();
    assert!(error.starts_with("cannot replace the app: each worker has a descriptor table"), "{error}");
    server.handle().note_refused_replacement();
    assert_eq!((server.snapshot().replacements, server.snapshot().replacements_refused), (0, 1));
    assert_eq!(Client::to(&server).get("/").text(), "one\n");
}

// ── Where requests are written down ─────────────────────────────────────────────────────────────────

/// A log of targets.
fn targets(file: PathBuf) -> Log {
    let format = Format::Template(Template::parse("{target}").unwrap());
    Log::new(format, Destination::File(file))
}

/// Whether this process has a file open; on systems that do not say, it has none.
fn is_open(path: &Path) -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    descriptors.filter_map(|found| fs::read_link(found.path()).ok()).any(|found| found == path)
}

fn lines(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_request_is_written_down_where_it_would_have_been_when_it_began() {
    let folder = Scratch::new("reload-logs");
    let folder = fs::canonicalize(&*folder).unwrap();
    let (old, new) = (folder.join("old"), folder.join("new"));
    let (one, hands) = app("one", 5);
    let server = start(alone(one).access_logs([targets(old.clone())]));
    let mut client = Client::to(&server);
    client.send(get("/late"));
    let late = hands.replies.recv_timeout(PATIENCE).unwrap();
    let mut many = Speaker::to(&server);
    many.say(
        "HEADERS 1 END_STREAM END_HEADERS GET=/stream | HEADERS 3 END_HEADERS PUT=/upload | DATA 3 \"abc\"",
    );
    let mut body = hands.writers.recv_timeout(PATIENCE).unwrap();
    until("half of it is there", || hands.received.load(SeqCst) == 3);
    server.handle().replace_logged(two(), Config::default(), [targets(new.clone())]).unwrap();
    is_taken(&server);
    assert!(!cfg!(target_os = "linux") || (is_open(&old) && is_open(&new)), "both are needed");
    late.send("late\n");
    assert_eq!(client.answer().text(), "late\n");
    is_two(&mut client);
    many.say("DATA 3 END_STREAM \"def\"");
    assert_eq!(many.content(3), "one 6\n");
    body.try_write("a".into()).unwrap();
    drop(body);
    assert_eq!(many.content(1), "a");
    until("its last line is written, and the first log closed", || !is_open(&old) && lines(&old).len() == 3);
    assert_eq!(lines(&old), ["/late", "/stream", "/upload"]);
    server.stop();
    server.join().unwrap();
    assert_eq!(lines(&old), ["/late", "/stream", "/upload"]);
    assert!(lines(&new).iter().all(|target| target == "/"), "{:?}", lines(&new));
}

/// Another program has renamed it meanwhile: whoever opened it again would find another file.
#[test]
fn a_file_that_is_still_named_is_not_opened_anew() {
    let folder = Scratch::new("reload-kept");
    let (path, renamed) = (folder.join("a"), folder.join("a.1"));
    let server = start(alone(app("one", 0).0).access_logs([targets(path.clone())]));
    assert_eq!(Client::to(&server).get("/").text(), "one\n");
    fs::rename(&path, &renamed).unwrap();
    // As it was, behind another one; and with lines of another form.
    let other = Log::new(Format::Combined, Destination::File(folder.join("b")));
    let replace = |logs: Vec<Log>, log: u16, answers: &'static str| {
        let app = App::new().get("/", (move |_: &Request<'_>| answers).logged(LogId::new(log)));
        server.handle().replace_logged(app, Config::default(), logs).unwrap();
        until("it answers", || Client::to(&server).get("/").text() == answers);
    };
    replace(vec![other, targets(path.clone())], 1, "two");
    let format = Format::Template(Template::parse("{status} {target}").unwrap());
    replace(vec![Log::new(format, Destination::File(path.clone()))], 0, "three");
    server.stop();
    server.join().unwrap();
    assert!(!path.exists());
    let lines = lines(&renamed);
    let of = |form: &str| lines.iter().filter(|line| *line == form).count();
    assert!(of("/") >= 2 && of("200 /") >= 1 && of("/") + of("200 /") == lines.len(), "{lines:?}");
    assert_eq!(fs::read_to_string(folder.join("b")).unwrap(), "", "nobody was to be written down there");
}

#[test]
fn a_server_without_logs_gets_some_and_loses_them_again() {
    let folder = Scratch::new("reload-some");
    let path = fs::canonicalize(&*folder).unwrap().join("log");
    let server = start(alone(app("one", 0).0).workers(Workers::Exactly(2)));
    let mut client = Client::to(&server);
    let mut replace = |logs: Vec<Log>, answers: &'static str| {
        let app = App::new().get("/", move |_: &Request<'_>| answers);
        server.handle().replace_logged(app, Config::default(), logs).unwrap();
        until("it answers", || client.get("/").text() == answers);
    };
    replace(vec![targets(path.clone())], "written");
    replace(Vec::new(), "forgotten");
    until("its last line is written, and nobody has it open", || !is_open(&path) && !lines(&path).is_empty());
    let before = lines(&path).len();
    replace(vec![targets(path.clone())], "written again");
    server.stop();
    server.join().unwrap();
    assert!(lines(&path).len() > before && lines(&path).iter().all(|target| target == "/"));
}

// ── Load ────────────────────────────────────────────────────────────────────────────────────────────

/// Four clients that never stop, two workers, three hundred apps one after the other.
#[test]
fn three_hundred_apps_under_load_lose_no_request_and_leave_nothing_behind() {
    let alive = Arc::new(AtomicU64::new(0));
    let server = start(alone(numbered(0, &alive)).workers(Workers::Exactly(2)));
    let (handle, at, ended) = (server.handle(), address(&server), AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut last, mut asked) = (Client::at(at), 0, 0);
                    while !ended.load(SeqCst) {
                        let answer = client.get("/");
                        let number: u64 = answer.text().parse().unwrap();
                        assert!(answer.status == 200 && number >= last, "{last} and then {number}");
                        (last, asked) = (number, asked + 1);
                    }
                    asked
                })
            })
            .collect();
        for number in 1..=300 {
            handle.replace(numbered(number, &alive)).unwrap();
            until("somebody was answered by it", || server.snapshot().requests() > number);
        }
        ended.store(true, SeqCst);
        let asked: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert_eq!(server.snapshot().requests(), asked, "each of them was answered once");
    });
    until("only the last one is left", || alive.load(SeqCst) == 1);
    assert_eq!((server.snapshot().replacements, server.snapshot().accepts), (300, 4));
}

/// Says its number, and is counted as long as it lives.
fn numbered(number: u64, alive: &Arc<AtomicU64>) -> App {
    struct Guest(Arc<AtomicU64>);
    impl Drop for Guest {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    alive.fetch_add(1, SeqCst);
    let guest = Guest(Arc::clone(alive));
    App::new().get("/", move |_: &Request<'_>| {
        let _kept = &guest;
        number.to_string()
    })
}

// ── The end ─────────────────────────────────────────────────────────────────────────────────────────

/// Status and text of an answer of the admin site.
fn admin(server: &Running, path: &str) -> (u16, String) {
    let at = server.admin_addr().unwrap().socket_addr().unwrap();
    let answer = Client::at(at).get(path);
    (answer.status, answer.text().to_owned())
}

#[test]
fn a_server_is_not_ready_before_it_turns_anybody_away() {
    let (gate, _keeper) = Gate::new();
    let passed = gate.clone();
    let app = App::new().get("/", Response::text("hello\n")).get(
        "/gated",
        kolk::blocking(move |_: &Request<'_>| {
            passed.pass();
            Response::text("at last\n")
        }),
    );
    let server = start(alone(app).admin("127.0.0.1:0").unwrap());
    let mut client = Client::to(&server);
    client.get("/");
    let mut waiting = Client::to(&server);
    waiting.send(get("/gated"));
    until("it is handled", || server.snapshot().phases[Phase::Handling as usize] == 1);
    assert_eq!(admin(&server, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(admin(&server, "/livez"), (200, "alive\n".to_owned()));
    let delay = Duration::from_secs(2);
    let ordered = support::now();
    server.drain_after(delay, PATIENCE);
    assert_eq!(admin(&server, "/readyz"), (503, "draining\n".to_owned()));
    let turns = server.snapshot().turns;
    dawdle(delay / 8);
    assert!(server.snapshot().turns - turns < 20, "nobody spins while nothing is to be done");
    let answer = client.get("/");
    assert!(answer.status == 200 && !answer.closes(), "as before");
    assert_eq!(Client::to(&server).get("/").status, 200, "newcomers, too");
    assert!(ordered.elapsed() < delay, "the machine is too slow for this test");
    let at = address(&server);
    until("nobody comes in any more", || TcpStream::connect(at).is_err());
    assert!(ordered.elapsed() >= delay);
    assert_eq!(admin(&server, "/livez"), (200, "alive\n".to_owned()));
    gate.open();
    assert_eq!(waiting.answer().text(), "at last\n");
    client.ends();
    server.join().unwrap();
}

/// Whoever asks again and again is told before it is sent away.
#[test]
fn a_drain_under_load_loses_no_request_of_http_1() {
    for _ in 0..20 {
        let server =
            start(alone(App::new().get("/", Response::text("hello\n"))).workers(Workers::Exactly(2)));
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let mut client = Client::to(&server);
                thread::spawn(move || {
                    for asked in 1.. {
                        let answer = client.get("/");
                        assert_eq!(answer.text(), "hello\n");
                        if answer.closes() {
                            client.ends();
                            return asked;
                        }
                    }
                    0
                })
            })
            .collect();
        until("they are all there", || server.snapshot().requests() > 100);
        server.drain(PATIENCE);
        let asked: u64 = asked.into_iter().map(|client| client.join().unwrap()).sum();
        let answered = server.snapshot().requests();
        server.join().unwrap();
        assert_eq!(answered, asked, "each of them was heard");
    }
}

#[test]
fn a_drain_does_not_wait_for_those_who_are_silent() {
    let server = start(alone(App::new().get("/", Response::text("hello\n"))));
    let mut idle = Client::to(&server);
    idle.get("/");
    let begun = support::now();
    server.drain(PATIENCE);
    idle.ends();
    assert!(begun.elapsed() < PATIENCE / 2);
    until("it is counted", || server.snapshot().closes[CloseReason::Drained.index()] == 1);
    server.join().unwrap();
}
