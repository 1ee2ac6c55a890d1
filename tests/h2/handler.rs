//! What a handler is told of a request, and how much work a client can make for it: only where the server is
//! in this process.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use kolk::{App, Reply, Request, Response, Running, Server, Workers, deferred};

use crate::client::Peer;
use crate::frame::*;
use crate::target;

fn elsewhere() -> bool {
    std::env::var_os("KOLK_H2_TARGET").is_some()
}

fn start(app: App) -> (Running, Peer) {
    let server = target::start(Server::new(app).workers(Workers::Exactly(1)));
    let mut peer = Peer::at(server.addrs()[0].socket_addr().unwrap());
    peer.greet(&[]);
    (server, peer)
}

/// Answers with what it was told.
fn told(request: &Request<'_>) -> String {
    let mut lines = vec![format!("{} {}", request.method_name(), request.target())];
    lines.push(format!("host {}", request.host().unwrap_or("none")));
    lines.extend(request.headers().map(|(name, value)| format!("{name}: {}", value.escape_ascii())));
    lines.push(format!("trailer {}", request.trailer("x-sum").unwrap_or("none")));
    lines.push(format!("content {}", request.body().escape_ascii()));
    lines.join("\n")
}

fn telling() -> App {
    App::new().any("/told", told).any("/told/{rest}", told)
}

const TOLD: &Fields<'_> =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/told")];

/// The lines that the handler answered with.
#[track_caller]
fn lines(peer: &mut Peer, stream: u32) -> Vec<String> {
    peer.expect_status(stream, 200);
    let text = String::from_utf8(peer.answer(stream).body.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn rfc_9113_8_3_1_a_handler_sees_method_target_and_host() {
    if elsewhere() {
        return;
    }
    let (_server, mut peer) = start(telling());
    let fields = with(&with(TOLD, ":path", "/told/a%20b?q=1&r"), ":method", "PUT");
    peer.send(headers(1, &and(&fields, &[("x-a", "b"), ("x-a", "c")])).end());
    let lines = lines(&mut peer, 1);
    assert_eq!(lines[..2], ["PUT /told/a%20b?q=1&r", "host localhost"]);
    let fields: Vec<&str> =
        lines.iter().filter(|line| line.starts_with("x-")).map(|line| &line[..]).collect();
    assert_eq!(fields, ["x-a: b", "x-a: c"]);
    assert!(lines.iter().all(|line| !line.starts_with(':')), "{lines:?}");
}

#[test]
fn rfc_9113_8_3_1_a_handler_sees_host_where_there_is_no_authority() {
    if elsewhere() {
        return;
    }
    let (_server, mut peer) = start(telling());
    let fields = and(&without(TOLD, ":authority"), &[("host", "example.org:81")]);
    peer.send(headers(1, &fields).end());
    assert!(lines(&mut peer, 1)[1].starts_with("host example.org"));
}

#[test]
fn rfc_9113_8_2_3_a_handler_sees_one_cookie() {
    if elsewhere() {
        return;
    }
    let (_server, mut peer) = start(telling());
    let crumbs = [("cookie", "a=b"), ("x-a", "1"), ("cookie", "c=d"), ("cookie", "e=f")];
    peer.send(headers(1, &and(TOLD, &crumbs)).end());
    let lines = lines(&mut peer, 1);
    let cookies: Vec<&str> =
        lines.iter().filter(|line| line.starts_with("cookie")).map(|line| &line[..]).collect();
    assert_eq!(cookies, ["cookie: a=b; c=d; e=f"]);
}

#[test]
fn rfc_9113_8_1_a_handler_sees_content_and_trailers() {
    if elsewhere() {
        return;
    }
    let (_server, mut peer) = start(telling());
    peer.send(headers(1, &with(TOLD, ":method", "POST")));
    peer.send_all(&[data(1, "con").padded(10), data(1, "tent"), headers(1, &[("x-sum", "7")]).end()]);
    let lines = lines(&mut peer, 1);
    assert_eq!(lines[lines.len() - 2..], ["trailer 7", "content content"]);
}

#[test]
fn rfc_9113_8_1_1_a_handler_does_not_see_what_is_malformed() {
    if elsewhere() {
        return;
    }
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let app = App::new().any("/", move |_: &Request<'_>| {
        count.fetch_add(1, SeqCst);
        Response::text("seen")
    });
    let (_server, mut peer) = start(app);
    let mut streams = (1..).step_by(2);
    let mut next = || streams.next().unwrap();
    let post = with(POST, ":path", "/");
    for field in [("X-Upper", "a"), ("connection", "close"), ("x-a", "a\nb"), (":late", "a"), ("te", "gzip")]
    {
        peer.send(headers(next(), &and(GET, &[field])).end());
    }
    // Content that is too long or too short for its length.
    let stream = next();
    peer.send_all(&[headers(stream, &and(&post, &[("content-length", "3")])), data(stream, "four").end()]);
    let stream = next();
    peer.send_all(&[headers(stream, &and(&post, &[("content-length", "5")])), data(stream, "four").end()]);
    // Trailers that are malformed.
    let stream = next();
    peer.send_all(&[headers(stream, &post), headers(stream, &[(":path", "/")]).end()]);
    peer.is_content();
    assert_eq!(seen.load(SeqCst), 0);
    let stream = next();
    peer.send(headers(stream, GET).end()).expect_status(stream, 200);
    assert_eq!(seen.load(SeqCst), 1);
}

#[test]
fn abuse_rapid_reset_makes_no_more_work_than_there_may_be() {
    if elsewhere() {
        return;
    }
    // Every answer is awaited for ever, so that whatever was begun is still in progress.
    let held: Arc<Mutex<Vec<Reply>>> = Arc::default();
    let hold = Arc::clone(&held);
    let app =
        App::new().get("/", deferred(move |_: &Request<'_>, reply: Reply| hold.lock().unwrap().push(reply)));
    let (server, _) = start(app);
    // One pair in each write, and all in one: what a turn sees differs.
    for at_once in [2, 2, 2, 20, 10_000] {
        let mut peer = Peer::at(server.addrs()[0].socket_addr().unwrap());
        peer.greet(&[]);
        let most = peer.settings[&MAX_CONCURRENT_STREAMS] as usize;
        let pairs = (0..5_000).map(|at| [headers(2 * at + 1, GET).end(), rst_stream(2 * at + 1, CANCEL)]);
        for frames in pairs.flatten().collect::<Vec<Frame>>().chunks(at_once) {
            peer.send_all(frames);
        }
        peer.until("GOAWAY", |peer| peer.is_sent_away(&[ENHANCE_YOUR_CALM]));
        let begun = std::mem::take(&mut *held.lock().unwrap()).len();
        assert!((1..=2 * most).contains(&begun), "{begun} requests in progress");
    }
}

#[test]
fn abuse_is_seen_within_eleven_hundred_requests() {
    if elsewhere() {
        return;
    }
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let app = App::new().get("/", move |_: &Request<'_>| {
        count.fetch_add(1, SeqCst);
        Response::text("seen")
    });
    let (_server, mut peer) = start(app);
    let frames: Vec<Frame> =
        (0..10_000).flat_map(|at| [headers(2 * at + 1, GET).end(), rst_stream(2 * at + 1, CANCEL)]).collect();
    peer.send_all(&frames);
    peer.until("GOAWAY", |peer| peer.is_sent_away(&[ENHANCE_YOUR_CALM]));
    // A burst of 1,000, a hundred more a second, and some time for a busy machine.
    assert!(seen.load(SeqCst) <= 1_500, "{} requests were served", seen.load(SeqCst));
}
