//! WHICH VERSION OF HTTP IS SPOKEN WHERE: listeners for one of them alone, in the clear and over TLS, and
//! what who speaks the other one is told. RFC 9113 §3, RFC 7301.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "h2/client.rs"]
#[expect(dead_code, reason = "`h2.rs` uses all of it")]
mod client;
#[path = "h2/frame.rs"]
#[expect(dead_code, reason = "`h2.rs` uses all of it")]
mod frame;
#[path = "tls/identity.rs"]
mod identity;
mod support;
#[path = "h2/target.rs"]
#[expect(dead_code, reason = "each test has a server of its own")]
mod target;

use std::io::Write as _;
use std::sync::Arc;

use kolk::http::Reason;
use kolk::{App, Configuration, ListenOptions, Request, Response, Running, Tls};
use rustls::version::TLS13;

use client::Peer;
use frame::{GET, PREFACE, headers, settings};
use identity::{Encrypted, Identity};
use support::{Client, address, alone, get, until};

fn hello() -> App {
    App::new().get("/", |_: &Request<'_>| Response::text("hello\n"))
}

fn listening(options: ListenOptions, tls: Option<&Tls>) -> Running {
    let server = alone(hello()).listen_with("127.0.0.1:0", options).unwrap();
    let server = match tls {
        Some(tls) => server.tls(tls),
        None => server,
    };
    server.start().unwrap()
}

fn refusals(server: &Running, reason: Reason) -> u64 {
    server.snapshot().refusals[reason.index()]
}

fn is_answered(peer: &mut Peer) {
    peer.greet(&[]);
    peer.send(headers(1, GET).end());
    peer.until("an answer", |peer| peer.answers.get(&1).is_some_and(|answer| answer.ended));
    assert_eq!(peer.answer(1).status(), Some(200));
}

// ── In the clear ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn where_http_1_is_spoken_http_2_is_another_major_version() {
    let server = listening(ListenOptions::default().http1_only(), None);
    let mut client = Client::to(&server);
    assert_eq!(client.get("/").text(), "hello\n");
    let preface = [PREFACE, &settings(&[]).bytes()].concat();
    for bytes in [&preface[..], PREFACE] {
        let mut client = Client::to(&server);
        client.send(bytes);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (505, true));
        assert!(answer.text().contains("(parse.version_unsupported)"), "{}", answer.text());
        client.ends();
    }
    assert_eq!(refusals(&server, Reason::VersionUnsupported), 2);
    assert_eq!(client.get("/").text(), "hello\n");
}

#[test]
fn where_http_2_is_spoken_http_1_is_told_so_in_its_own_words() {
    let server = listening(ListenOptions::default().http2_only(), None);
    is_answered(&mut Peer::at(address(&server)));
    let long = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{}", "x".repeat(9));
    for bytes in [&*get("/"), "PUT / HTTP/1.0\r\n\r\n", "PRI / HTTP/1.1\r\n\r\n", "G", &long] {
        let mut client = Client::to(&server);
        client.send(bytes);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (505, true), "{bytes:?}");
        assert!(answer.text().contains("(parse.http2_only)"), "{}", answer.text());
        client.ends();
    }
    assert_eq!(refusals(&server, Reason::Http2Only), 5);
    is_answered(&mut Peer::at(address(&server)));
}

#[test]
fn what_is_no_http_at_all_is_told_in_that_of_the_listener() {
    let server = listening(ListenOptions::default().http2_only(), None);
    let mut peer = Peer::at(address(&server));
    peer.write(b"\x16\x03\x01\x00\x05hello");
    peer.until("GOAWAY", |peer| peer.closed);
    assert_eq!(peer.goaways, [(0, frame::PROTOCOL_ERROR)]);
    assert_eq!(refusals(&server, Reason::H2Preface), 1);
}

#[test]
fn a_preface_may_come_in_pieces() {
    let server = listening(ListenOptions::default().http2_only(), None);
    let mut peer = Peer::at(address(&server));
    for byte in PREFACE {
        peer.write(&[*byte]);
    }
    peer.send(settings(&[])).send(headers(1, GET).end());
    peer.until("an answer", |peer| peer.answers.get(&1).is_some_and(|answer| answer.ended));
}

// ── Over TLS ────────────────────────────────────────────────────────────────────────────────────────

/// A connection of a client that offers these names.
fn connect(server: &Running, identity: &Identity, offers: &[&[u8]]) -> Encrypted {
    let mut config = identity.trusted_by(&[&TLS13]);
    Arc::make_mut(&mut config).alpn_protocols = offers.iter().map(|name| name.to_vec()).collect();
    identity::connect(address(server), &config, "localhost", usize::MAX)
}

#[test]
fn a_listener_offers_what_is_spoken_on_it() {
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let [usual, first, second] = [
        ListenOptions::default(),
        ListenOptions::default().http1_only(),
        ListenOptions::default().http2_only(),
    ]
    .map(|options| listening(options, Some(&tls)));
    let both: &[&[u8]] = &[b"http/1.1", b"h2"];
    for (server, offers, agreed) in [
        (&usual, both, Some(&b"h2"[..])),
        (&first, both, Some(b"http/1.1")),
        (&second, both, Some(b"h2")),
        (&first, &[], None),
    ] {
        let mut client = Client::over(connect(server, &identity, offers));
        if agreed == Some(b"h2") {
            client.send([PREFACE, &settings(&[]).bytes()].concat());
            assert_eq!(client.take(9)[3], frame::SETTINGS, "its settings come first");
        } else {
            assert_eq!(client.get("/").text(), "hello\n");
        }
        assert_eq!(client.stream.conn.alpn_protocol(), agreed, "{offers:?}");
    }
    for (server, offers) in [(&first, &[&b"h2"[..]]), (&second, &[&b"http/1.1"[..]])] {
        let error = connect(server, &identity, offers).write_all(get("/").as_bytes()).unwrap_err();
        // RFC 7301 §3.2.
        assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
        until("it is counted", || server.snapshot().handshakes.iter().sum::<u64>() > 0);
    }
    // Nothing is agreed on where nothing is offered, and that is HTTP/1: RFC 9113 §3.2.
    let mut client = Client::over(connect(&second, &identity, &[]));
    let answer = client.get("/");
    assert_eq!((answer.status, answer.closes()), (505, true));
    assert!(answer.text().contains("(parse.http2_only)"), "{}", answer.text());
    let mut client = Client::over(connect(&second, &identity, &[]));
    client.send(PREFACE);
    assert_eq!(client.answer().status, 505);
}

// ── In a file ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_file_says_what_each_listener_speaks() {
    let text = "[server]\nworkers = 1\n\
        [[listen]]\naddr = \"127.0.0.1:0\"\nprotocols = \"h1\"\n\
        [[listen]]\naddr = \"127.0.0.1:0\"\nprotocols = [\"h2\"]\n\
        [[listen]]\naddr = \"127.0.0.1:0\"\n\
        [[site]]\nhosts = \"*\"\nrespond = 200\n";
    let configuration = Configuration::parse(text, "kolk.toml").unwrap();
    let explanation = configuration.explain(http::Request::new(()), [127, 0, 0, 1].into()).unwrap();
    let listeners = explanation.steps().iter().filter(|step| step.topic().contains("listener"));
    let listeners: Vec<_> = listeners.map(|step| step.text().split(": ").next().unwrap()).collect();
    assert!(listeners[0].contains("127.0.0.1:0, HTTP/1 only"), "{listeners:?}");
    assert!(listeners[1].contains("127.0.0.1:0, HTTP/2 only"), "{listeners:?}");
    assert!(listeners[2].ends_with("127.0.0.1:0"), "{listeners:?}");
    let server = configuration.server().unwrap().start().unwrap();
    let places: Vec<_> = server.addrs().iter().map(|place| place.socket_addr().unwrap()).collect();
    let statuses = places.iter().map(|place| Client::at(*place).get("/").status);
    assert_eq!(statuses.collect::<Vec<_>>(), [200, 505, 200]);
    for place in &places[1..] {
        is_answered(&mut Peer::at(*place));
    }
    let mut client = Client::at(places[0]);
    client.send(PREFACE);
    assert_eq!(client.answer().status, 505);
}
