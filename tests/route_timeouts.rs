//! HOW LONG A ROUTE WAITS, on real sockets and HTTP/1.1: for its handler, for bodies, for readers. What is
//! the same in every version, `versions` holds; the windows of HTTP/2, `h2_patience`.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use kolk::http::Reason;
use kolk::server::stats::Timeout;
use kolk::{
    App, Body, Handler, HandlerExt, Layer, Passage, Presence, RateLimit, Recall, Reply, Request, Response,
    RouteTimeouts, Running, Timeouts, blocking, deferred,
};

use support::{Client, Gate, alone, dawdle, get, post, quick, start, until};

/// Long enough for what answers at once on a busy machine, and short enough to be waited for.
const SHORT: Duration = Duration::from_millis(150);
/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);

fn within(handler: Duration) -> RouteTimeouts {
    RouteTimeouts { handler: Some(handler), ..RouteTimeouts::default() }
}

fn hello() -> App {
    App::new().get("/", |_: &Request<'_>| "hello\n")
}

/// Answers when nobody waits any more, and notes that it has seen it.
fn late(noticed: &Arc<AtomicBool>) -> impl Handler + use<> {
    let noticed = Arc::clone(noticed);
    deferred(move |_: &Request<'_>, reply: Reply| {
        let noticed = Arc::clone(&noticed);
        thread::spawn(move || {
            while reply.client() != Presence::Gone {
                dawdle(Duration::from_millis(1));
            }
            reply.send("nobody reads this");
            noticed.store(true, SeqCst);
        });
    })
}

fn timeouts(server: &Running, timeout: Timeout) -> u64 {
    server.snapshot().timeouts[timeout.index()]
}

#[test]
fn a_late_handler_is_answered_for_and_the_next_request_has_its_turn() {
    let noticed = Arc::default();
    let server = start(alone(hello().get("/late", late(&noticed).timeouts(within(SHORT)))));
    let mut client = Client::to(&server);
    client.send([get("/late"), get("/"), get("/late"), get("/")].concat());
    for _ in 0..2 {
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (504, false));
        assert!(answer.text().contains("(timeout.handler)"), "{}", answer.text());
        assert_eq!(client.answer().text(), "hello\n", "in the order in which they were asked");
    }
    until("the handler has noticed", || noticed.load(SeqCst));
    let snapshot = server.snapshot();
    assert_eq!(snapshot.timeouts[Timeout::Handler.index()], 2);
    assert_eq!(snapshot.refusals[Reason::HandlerTimeout.index()], 2);
    assert_eq!(snapshot.connections(), 1, "it lives on");
}

#[test]
fn an_answer_that_is_in_time_is_not_touched() {
    let (gate, _keeper) = Gate::new();
    let opened = gate.clone();
    let slow = blocking(move |_: &Request<'_>| {
        gate.pass();
        "in time\n"
    });
    let server = start(alone(hello().get("/slow", slow.timeouts(within(LONG)))));
    let mut client = Client::to(&server);
    client.send(get("/slow"));
    assert!(client.hears_nothing_for(SHORT));
    opened.open();
    assert_eq!(client.answer().text(), "in time\n");
    assert_eq!((client.get("/").status, timeouts(&server, Timeout::Handler)), (200, 0));
}

#[test]
fn what_waits_for_a_thread_is_not_begun_when_its_time_is_over() {
    let (gate, keeper) = Gate::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let slow = blocking(move |_: &Request<'_>| {
        counted.fetch_add(1, SeqCst);
        gate.pass();
        "too late"
    });
    let server = start(alone(hello().get("/slow", slow.timeouts(within(SHORT)))).blocking(1, 8));
    let mut clients: Vec<_> = (0..3).map(|_| Client::to(&server)).collect();
    clients[0].send(get("/slow"));
    until("the thread is at work", || calls.load(SeqCst) == 1);
    clients[1..].iter_mut().for_each(|client| client.send(get("/slow")));
    for client in &mut clients {
        assert_eq!((client.answer().status, client.get("/").status), (504, 200));
    }
    drop(keeper);
    let mut last = Client::to(&server);
    assert_eq!(last.get("/slow").text(), "too late", "which it is not, now that the gate is open");
    assert_eq!(calls.load(SeqCst), 2, "of those that nobody waits for none was called");
}

/// Asks somebody who keeps the question.
struct Forgetful(Arc<Mutex<Vec<Recall>>>);

impl Layer for Forgetful {
    fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
        let (recall, outcome) = request.suspend();
        self.0.lock().unwrap().push(recall);
        Passage::Closed(outcome)
    }
}

#[test]
fn a_layer_that_asks_another_thread_is_within_the_handlers_time() {
    let questions = Arc::default();
    let hello = |_: &Request<'_>| "hello\n";
    let handler = hello.layer(Forgetful(Arc::clone(&questions))).timeouts(within(SHORT));
    let server = start(alone(App::new().any("/", handler)));
    let mut client = Client::to(&server);
    assert_eq!(client.get("/").status, 504);
    client.send(post("/", "with a body"));
    assert_eq!((client.answer().status, client.get("/").status), (504, 504));
    let questions = std::mem::take(&mut *questions.lock().unwrap());
    assert!(questions.iter().all(|recall| recall.client() == Presence::Gone));
    questions.into_iter().for_each(Recall::call);
    assert_eq!(client.get("/").status, 504, "who calls it again now calls nobody");
}

#[test]
fn the_time_that_a_client_takes_is_not_the_handlers() {
    let handler = (|request: &Request<'_>| request.body().len().to_string()).timeouts(within(SHORT));
    let server = start(alone(App::new().post("/", handler)));
    let mut client = Client::to(&server);
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n");
    for byte in ["a", "b", "c", "d"] {
        dawdle(SHORT);
        client.send(byte);
    }
    assert_eq!(client.answer().text(), "4");
    assert_eq!(timeouts(&server, Timeout::Handler), 0);
}

#[test]
fn the_time_that_a_request_waits_for_its_turn_is_not_the_handlers() {
    let noticed = Arc::default();
    let rate = kolk::Rate::new(kolk::Quota::per_second(2).unwrap(), 1).unwrap().delaying(LONG);
    let policy = kolk::Policy::new("slow", rate).unwrap();
    let limit = RateLimit::new(&Arc::default(), policy, kolk::RateKey::Address);
    let times = within(SHORT);
    let at_once = (|_: &Request<'_>| "hello\n").layer(limit.clone()).timeouts(times);
    let late = late(&noticed).layer(limit).timeouts(times);
    let server = start(alone(App::new().get("/", at_once).get("/late", late)));
    let mut client = Client::to(&server);
    for status in [200, 200] {
        assert_eq!(client.get("/").status, status, "the second one waits for half a second");
    }
    assert_eq!(client.get("/late").status, 504, "and then the handler has its time");
    until("it was noticed", || noticed.load(SeqCst));
}

#[test]
fn a_body_has_the_patience_of_its_route() {
    let echo = |request: &Request<'_>| request.body().len().to_string();
    let idle = |body| RouteTimeouts { body: Some(body), ..RouteTimeouts::default() };
    let app = || {
        App::new()
            .post("/hasty", echo.timeouts(idle(SHORT)))
            .post("/usual", echo)
            .post("/calm", echo.timeouts(RouteTimeouts { body_rate_bytes_min: Some(0), ..idle(LONG) }))
    };
    let begun = |target| format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\na");

    let server = start(alone(app()));
    let mut hasty = Client::to(&server);
    hasty.send(begun("/hasty"));
    let answer = hasty.answer();
    assert_eq!(answer.status, 408);
    assert!(answer.text().contains("(timeout.body)"), "{}", answer.text());
    assert_eq!(timeouts(&server, Timeout::Body), 1);

    let server = start(alone(app()).timeouts(quick()));
    let mut calm = Client::to(&server);
    calm.send(begun("/calm"));
    let mut usual = Client::to(&server);
    usual.send(begun("/usual"));
    assert_eq!(usual.answer().status, 408);
    // Whoever came first has been silent for longer.
    calm.send("b");
    assert_eq!(calm.answer().text(), "2");
}

#[test]
fn the_least_rate_of_a_body_is_that_of_its_route() {
    let fast = RouteTimeouts { body_rate_bytes_min: Some(1 << 20), ..RouteTimeouts::default() };
    let echo = |request: &Request<'_>| request.body().len().to_string();
    let server = start(alone(App::new().post("/", echo.timeouts(fast))).timeouts(quick()));
    let mut client = Client::to(&server);
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n");
    // More than the server asks for, and much less than the route.
    while client.hears_nothing_for(Duration::from_millis(20)) && client.try_send([b'x'; 200]) {}
    assert_eq!(timeouts(&server, Timeout::BodyRate), 1);
}

#[test]
fn a_reader_has_the_patience_of_its_route() {
    let body: bytes::Bytes = vec![b'x'; 64 << 20].into();
    let answer = move |_: &Request<'_>| Response::typed("text/plain", Body::Shared(body.clone()));
    let write = |write| RouteTimeouts { write: Some(write), ..RouteTimeouts::default() };
    let app = || {
        hello()
            .get("/hasty", answer.clone().timeouts(write(SHORT)))
            .get("/usual", answer.clone())
            .get("/calm", answer.clone().timeouts(write(LONG)))
    };
    let server = start(alone(app()));
    let mut hasty = Client::to(&server);
    hasty.send(get("/hasty"));
    until("it is sent away", || {
        timeouts(&server, Timeout::Write) + timeouts(&server, Timeout::WriteRate) == 1
    });

    let server = start(alone(app()).timeouts(Timeouts { write: SHORT, ..Timeouts::default() }));
    let [mut calm, mut usual] = ["/calm", "/usual"].map(|target| {
        let mut client = Client::to(&server);
        client.send(get(target));
        client
    });
    until("it is sent away", || {
        timeouts(&server, Timeout::Write) + timeouts(&server, Timeout::WriteRate) == 1
    });
    assert!(usual.is_cut().len() < 64 << 20);
    assert_eq!(calm.answer().body.len(), 64 << 20);
    assert_eq!(calm.get("/").text(), "hello\n");
}
