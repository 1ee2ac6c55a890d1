//! Handshakes of TLS on real sockets: how long they may take, what is counted of them, what they agree on.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::io::Read;
use std::time::Duration;

use kolk::net::Alert;
use kolk::server::stats::{Agreement, Snapshot, Timeout};
use kolk::{App, Response, Running, Timeouts, Tls};
use rustls::version::{TLS12, TLS13};

use identity::{Encrypted, Identity, connect};
use support::scratch::Scratch;
use support::{Client, PATIENCE, address, alone, dawdle, now, quick, start, until};

fn tls(identity: &Identity) -> Tls {
    Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap()
}

fn app() -> App {
    App::new().get("/", Response::text("hello"))
}

fn client_of(server: &Running, identity: &Identity) -> Client<Encrypted> {
    Client::over(connect(address(server), &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX))
}

fn agreed(snapshot: &Snapshot, agreement: Agreement) -> u64 {
    snapshot.handshakes[agreement.index()]
}

/// The beginning of a handshake, whose end never comes.
const BEGINNING: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn who_does_not_come_to_an_end_with_its_handshake_is_let_go() {
    let identity = Identity::new(&["localhost"]);
    let timeouts = Timeouts { handshake: Duration::from_millis(300), header: PATIENCE, ..quick() };
    let server = start(alone(app()).tls(&tls(&identity)).timeouts(timeouts));
    let since = now();
    let mut silent = Client::to(&server);
    let mut dripping = Client::to(&server);
    dripping.send(BEGINNING);
    // Absolute: bytes do not move it.
    while since.elapsed() < PATIENCE && dripping.try_send([0]) && server.snapshot().connections() > 0 {
        dawdle(Duration::from_millis(20));
    }
    assert_eq!(silent.stream.read(&mut [0; 8]).unwrap(), 0);
    dripping.is_cut();
    assert!(since.elapsed() < PATIENCE / 2, "{:?}", since.elapsed());
    assert_eq!(server.snapshot().timeouts[Timeout::Handshake.index()], 2);
    assert_eq!(server.snapshot().timeouts[Timeout::Header.index()], 0);
}

#[test]
fn a_head_has_its_own_time_behind_the_handshake() {
    let identity = Identity::new(&["localhost"]);
    let timeouts =
        Timeouts { handshake: Duration::from_millis(900), header: Duration::from_millis(600), ..quick() };
    let server = start(alone(app()).tls(&tls(&identity)).timeouts(timeouts));
    let mut client = client_of(&server, &identity);
    dawdle(Duration::from_millis(500));
    client.stream.conn.complete_io(&mut client.stream.sock).unwrap();
    dawdle(Duration::from_millis(450));
    assert_eq!(client.get("/").status, 200, "950 ms from the accept, 450 from the handshake");
    let mut client = client_of(&server, &identity);
    client.stream.conn.complete_io(&mut client.stream.sock).unwrap();
    assert_eq!(client.stream.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(server.snapshot().timeouts[Timeout::Header.index()], 1);
    assert_eq!(server.snapshot().timeouts[Timeout::Handshake.index()], 0);
}

#[test]
fn handshakes_and_alerts_are_counted_by_kind() {
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app()).tls(&tls(&identity)));
    let config = identity.trusted_by(&[&TLS13]);
    for _ in 0..3 {
        let mut client = Client::over(connect(address(&server), &config, "localhost", usize::MAX));
        // Over in the turn in which the handshake is, too.
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().text(), "hello");
    }
    until("all are counted", || agreed(&server.snapshot(), Agreement::Resumed) == 2);
    assert_eq!(agreed(&server.snapshot(), Agreement::Full), 1);

    for version in [&TLS12, &TLS13] {
        let stranger = Identity::new(&["localhost"]).trusted_by(&[version]);
        let mut refusing = connect(address(&server), &stranger, "localhost", usize::MAX);
        assert!(refusing.conn.complete_io(&mut refusing.sock).is_err(), "nobody it trusts");
        while refusing.conn.wants_write() {
            refusing.conn.write_tls(&mut refusing.sock).unwrap();
        }
    }
    let mut garbage = Client::to(&server);
    garbage.send(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00");
    assert_eq!(garbage.is_cut()[..7], [21, 3, 3, 0, 2, 2, 50], "decode_error");
    until("all have failed", || agreed(&server.snapshot(), Agreement::Failed) == 3);
    let Snapshot { alerts_sent, alerts_received, .. } = server.snapshot();
    // Its authority has the same name and another key.
    assert_eq!(alerts_received[Alert::DecryptError.index()], 2);
    assert_eq!(alerts_sent[Alert::DecodeError.index()], 1);
    assert_eq!((alerts_sent.iter().sum::<u64>(), alerts_received.iter().sum::<u64>()), (1, 2));
}

#[test]
fn certificates_that_are_not_taken_are_counted() {
    let identity = Identity::new(&["localhost"]);
    let folder = Scratch::new("handshakes");
    folder.put("chain.pem", &identity.chain);
    folder.put("key.pem", &identity.key);
    let tls = Tls::from_files(folder.join("chain.pem"), folder.join("key.pem")).unwrap();
    let server = start(alone(app()).tls(&tls));
    tls.reload().unwrap();
    assert_eq!(server.snapshot().certificate_reloads_failed, 0);
    folder.put("key.pem", &identity.chain);
    tls.reload().unwrap_err();
    assert_eq!(server.snapshot().certificate_reloads_failed, 1);
}
