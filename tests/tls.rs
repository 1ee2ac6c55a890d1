//! TLS on real sockets: the same answers as in the clear, whatever the records look like.
//!
//! The client is rustls.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use kolk::{App, Body, Request, Response, Running, StaticDir, Tls};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, ProtocolVersion};

use identity::{Encrypted, Identity};
use support::scratch::Scratch;
use support::{Client, Gate, address, alone, get, start, until};

fn tls(identity: &Identity) -> Tls {
    Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap()
}

fn connect(
    server: &Running,
    config: &Arc<ClientConfig>,
    name: &'static str,
    bytes_max: usize,
) -> Client<Encrypted> {
    Client::over(identity::connect(address(server), config, name, bytes_max))
}

fn large() -> Vec<u8> {
    (0..500_000_u32).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect()
}

fn site(name: &str) -> (Scratch, App) {
    let scratch = Scratch::new(name);
    scratch.put("small.txt", "0123456789");
    scratch.put("large.bin", large());
    let files = StaticDir::new(&*scratch);
    let app = App::new()
        .post("/echo", |request: &Request<'_>| {
            Response::default().with_body(Body::Shared(request.body().to_vec().into()))
        })
        .get("/{*path}", files);
    (scratch, app)
}

#[test]
fn every_version_and_every_split_gives_the_same_answers() {
    let (_scratch, app) = site("tls");
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app).tls(&tls(&identity)));
    for version in [&TLS12, &TLS13] {
        let config = identity.trusted_by(&[version]);
        for bytes_max in [1, 7, 1_000, usize::MAX] {
            let mut client = connect(&server, &config, "localhost", bytes_max);
            for _ in 0..3 {
                assert_eq!(client.get("/small.txt").text(), "0123456789");
            }
            assert_eq!(client.stream.conn.protocol_version(), Some(version.version));
            assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            let body = vec![b'x'; if bytes_max == 1 { 100 } else { 100_000 }];
            client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            client.send(&body);
            assert!(client.answer().body == body);
            if bytes_max > 7 {
                assert!(client.get("/large.bin").body == large());
            }
            client.send(get("/small.txt").repeat(20));
            for _ in 0..20 {
                assert_eq!(client.answer().text(), "0123456789");
            }
        }
    }
}

#[test]
fn rfc_8446_6_1_the_end_is_announced_both_ways() {
    let (_scratch, app) = site("tls-end");
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app).tls(&tls(&identity)));
    let config = identity.trusted_by(&[&TLS13]);
    let mut client = connect(&server, &config, "localhost", usize::MAX);
    client.send("GET /small.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().text(), "0123456789");
    // Without the alert, rustls would call this an unexpected end.
    assert_eq!(client.stream.read(&mut [0; 8]).unwrap(), 0);

    let mut client = connect(&server, &config, "localhost", usize::MAX);
    client.send(get("/small.txt"));
    client.stream.conn.send_close_notify();
    client.stream.flush().unwrap();
    assert_eq!(client.answer().text(), "0123456789", "what was asked before is answered");
    assert_eq!(client.stream.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn rfc_6066_3_each_name_has_its_certificate() {
    let (_scratch, app) = site("tls-names");
    let folder = Scratch::new("tls-identities");
    let [first, second, third] =
        [&["localhost"][..], &["example.org", "www.example.org"], &["*.example.net"]].map(Identity::new);
    for (name, identity) in [("1", &first), ("2", &second), ("3", &third)] {
        folder.put(format!("{name}.pem"), &identity.chain);
        folder.put(format!("{name}.key"), &identity.key);
    }
    let pair = |name: &str| (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let tls = Tls::from_files(pair("1").0, pair("1").1).unwrap();
    let tls = tls.and_files(pair("2").0, pair("2").1).unwrap().and_files(pair("3").0, pair("3").1).unwrap();
    let server = start(alone(app).tls(&tls));
    for (name, identity) in [
        ("localhost", &first),
        ("elsewhere.test", &first),
        ("example.org", &second),
        ("WWW.example.org", &second),
        ("any.example.net", &third),
        ("deep.any.example.net", &first),
    ] {
        let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), name, usize::MAX);
        let _ = client.stream.conn.complete_io(&mut client.stream.sock);
        let shown = client.stream.conn.peer_certificates().map(|chain| chain[0].clone());
        if let Some(shown) = shown {
            assert_eq!(shown, identity.der, "{name}");
        } else {
            // Refused by this client, since the name is not in it: then it was the first.
            assert!(
                !name.contains("example.org") && name != "localhost" && !name.starts_with("any."),
                "{name}"
            );
        }
    }
}

#[test]
fn a_certificate_is_for_the_hosts_that_are_named_whatever_is_in_it() {
    let (_scratch, app) = site("tls-for-hosts");
    let folder = Scratch::new("tls-for-hosts-identities");
    let [first, second] =
        [&["localhost", "example.org"][..], &["INNER.test", "any.inner.test", "example.org"]]
            .map(Identity::new);
    for (name, identity) in [("1", &first), ("2", &second)] {
        folder.put(format!("{name}.pem"), &identity.chain);
        folder.put(format!("{name}.key"), &identity.key);
    }
    let pair = |name: &str| (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let tls = Tls::from_files(pair("1").0, pair("1").1).unwrap().and_files(pair("2").0, pair("2").1).unwrap();
    let server = start(alone(app).tls(&tls.for_hosts(["inner.TEST", "*.inner.test"]).unwrap()));
    for (asked, identity) in
        [("inner.test", &second), ("any.inner.test", &second), ("example.org", &first), ("localhost", &first)]
    {
        let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), asked, usize::MAX);
        client.send(format!("GET /small.txt HTTP/1.1\r\nHost: {asked}\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{asked}");
        assert_eq!(client.stream.conn.peer_certificates().unwrap()[0], identity.der, "{asked}");
    }
}

#[test]
fn who_wants_tls_1_3_alone_sends_the_others_away() {
    let (_scratch, app) = site("tls-13-only");
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app).tls(&tls(&identity).tls13_only().unwrap()));
    let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    assert_eq!(client.get("/small.txt").text(), "0123456789");
    let mut client = connect(&server, &identity.trusted_by(&[&TLS12]), "localhost", usize::MAX);
    let refused = client.stream.conn.complete_io(&mut client.stream.sock).unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
}

#[test]
fn rfc_9110_7_4_a_host_of_another_certificate_is_misdirected() {
    let (_scratch, app) = site("tls-hosts");
    let folder = Scratch::new("tls-hosts-identities");
    let [first, second] = [&["localhost"][..], &["example.org", "*.example.org"]].map(Identity::new);
    for (name, identity) in [("1", &first), ("2", &second)] {
        folder.put(format!("{name}.pem"), &identity.chain);
        folder.put(format!("{name}.key"), &identity.key);
    }
    let pair = |name: &str| (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let tls = Tls::from_files(pair("1").0, pair("1").1).unwrap().and_files(pair("2").0, pair("2").1).unwrap();
    let server = start(alone(app).tls(&tls));
    for (asked, identity, host, status) in [
        ("example.org", &second, "example.org", 200),
        ("example.org", &second, "WWW.example.org:443", 200),
        ("www.example.org", &second, "example.org", 200),
        ("example.org", &second, "example.org.", 200),
        ("example.org", &second, "WWW.example.org.:443", 200),
        ("example.org", &second, "example.org..", 421),
        ("localhost", &first, "localhost.", 200),
        ("localhost", &first, "example.org.", 421),
        ("example.org", &second, "localhost", 421),
        ("example.org", &second, "elsewhere.test", 421),
        ("localhost", &first, "example.org", 421),
        ("localhost", &first, "elsewhere.test", 200),
    ] {
        let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), asked, usize::MAX);
        for _ in 0..2 {
            client.send(format!("GET /small.txt HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(client.answer().status, status, "{asked} is asked for {host}");
        }
        // RFC 9112 §3.2.2: the target counts, not the field.
        client.send(format!("GET http://{host}/small.txt HTTP/1.1\r\nHost: {asked}\r\n\r\n"));
        assert_eq!(client.answer().status, status, "{asked} is asked for {host} in the target");
    }
}

#[test]
fn http_in_the_clear_is_told_what_this_port_is() {
    let (_scratch, app) = site("tls-plain");
    let server = start(alone(app).tls(&tls(&Identity::new(&["localhost"]))));
    let mut client = Client::to(&server);
    client.send(get("/small.txt"));
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https"), "{}", answer.text());
    assert_eq!(client.stream.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn who_speaks_neither_is_answered_with_an_alert() {
    let (_scratch, app) = site("tls-garbage");
    let server = start(alone(app).tls(&tls(&Identity::new(&["localhost"]))));
    for garbage in [
        &b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"[..],
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        b"\x17\x03\x03\x00\x01x",
    ] {
        let mut client = Client::to(&server);
        client.send(garbage);
        let mut heard = Vec::new();
        // The end may be a reset: bytes were left unread.
        let _ = client.stream.read_to_end(&mut heard);
        assert_eq!(heard.first(), Some(&21), "{garbage:?}: {heard:?}");
    }
    let closes = server.snapshot().closes;
    assert_eq!(closes[kolk::server::stats::CloseReason::TlsFailed as usize], 3);
}

/// Bytes and the end that come while the worker is busy are one event, and none comes after it.
#[test]
fn who_leaves_within_a_record_is_seen_to_leave() {
    let (gate, _keeper) = Gate::new();
    let identity = Identity::new(&["localhost"]);
    let passing = gate.clone();
    let app = App::new().get("/gate", move |_: &Request<'_>| {
        passing.pass();
        Response::text("passed")
    });
    let server = start(alone(app).tls(&tls(&identity)));
    let mut busy = connect(&server, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    assert_eq!(busy.get("/none").status, 404);
    let mut leaving = Client::to(&server);
    until("both are watched", || server.snapshot().accepts == 2);
    support::dawdle(Duration::from_millis(50));
    busy.send(get("/gate"));
    support::dawdle(Duration::from_millis(50));
    leaving.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc");
    leaving.finish();
    gate.open();
    assert_eq!(busy.answer().text(), "passed");
    let since = support::now();
    assert_eq!(leaving.stream.read(&mut [0; 8]).unwrap(), 0);
    assert!(since.elapsed() < Duration::from_secs(2), "not only when its patience ended");
}

#[test]
fn a_session_is_resumed_by_any_worker() {
    let (_scratch, app) = site("tls-tickets");
    let identity = Identity::new(&["localhost"]);
    let server = kolk::Server::new(app).workers(kolk::Workers::Exactly(2)).tls(&tls(&identity));
    let server = start(server);
    for version in [&TLS12, &TLS13] {
        let config = identity.trusted_by(&[version]);
        for round in 0..8 {
            let mut client = connect(&server, &config, "localhost", usize::MAX);
            assert_eq!(client.get("/small.txt").text(), "0123456789");
            let kind = client.stream.conn.handshake_kind();
            assert_eq!(kind == Some(HandshakeKind::Resumed), round > 0, "{version:?} {round}: {kind:?}");
            // RFC 8446 §4.6.1; in TLS 1.2 it is part of the handshake.
            let tickets = u32::from(version.version == ProtocolVersion::TLSv1_3);
            assert_eq!(client.stream.conn.tls13_tickets_received(), tickets, "{version:?} {round}");
        }
    }
}

#[test]
fn the_cheapest_cipher_is_agreed_on_and_chacha20_with_who_would_rather_have_it() {
    use CipherSuite as Is;
    let (_scratch, app) = site("tls-ciphers");
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app).tls(&tls(&identity)));
    for (version, first, only, agreed) in [
        (&TLS13, "AES_256", false, Is::TLS13_AES_128_GCM_SHA256),
        (&TLS13, "AES_128", false, Is::TLS13_AES_128_GCM_SHA256),
        (&TLS13, "CHACHA20", false, Is::TLS13_CHACHA20_POLY1305_SHA256),
        (&TLS13, "AES_256", true, Is::TLS13_AES_256_GCM_SHA384),
        (&TLS12, "AES_256", false, Is::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        (&TLS12, "CHACHA20", false, Is::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ] {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let is_first = |suite: CipherSuite| suite.as_str().is_some_and(|name| name.contains(first));
        provider.cipher_suites.sort_by_key(|supported| !is_first(supported.suite()));
        provider.cipher_suites.retain(|supported| !only || is_first(supported.suite()));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(identity.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = connect(&server, &Arc::new(config), "localhost", usize::MAX);
        assert_eq!(client.get("/small.txt").text(), "0123456789");
        let suite = client.stream.conn.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, agreed, "{first} first");
    }
}

#[test]
fn certificates_are_replaced_while_it_runs() {
    let (_scratch, app) = site("tls-reload");
    let folder = Scratch::new("tls-reloaded");
    let (old, new) = (Identity::new(&["localhost"]), Identity::new(&["localhost"]));
    let put = |chain: &str, key: &str| {
        folder.put("chain.pem", chain);
        folder.put("key.pem", key);
    };
    put(&old.chain, &old.key);
    let tls = Tls::from_files(folder.join("chain.pem"), folder.join("key.pem")).unwrap();
    let server = start(alone(app).tls(&tls));
    let is_served = |identity: &Identity| {
        let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
        client.try_send(get("/small.txt")) && client.stream.conn.peer_certificates().is_some()
    };
    let mut kept = connect(&server, &old.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    assert_eq!(kept.get("/small.txt").status, 200);
    assert!(is_served(&old) && !is_served(&new));
    for (chain, key, said) in [
        (&new.chain, &old.key, "is not that of the certificate"),
        (&"nothing".to_owned(), &new.key, "no certificate"),
        (&new.chain, &"nothing".to_owned(), "no private key"),
    ] {
        put(chain, key);
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(is_served(&old), "a bad pair changes nothing");
    }
    put(&new.chain, &new.key);
    tls.reload().unwrap();
    assert!(is_served(&new) && !is_served(&old));
    assert_eq!(kept.get("/small.txt").status, 200, "who is connected stays");
    fs::remove_file(folder.join("key.pem")).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("key.pem: "));
}

#[test]
fn a_slow_reader_gets_all_of_it_in_the_end() {
    let (scratch, app) = site("tls-slow");
    scratch.put("huge.bin", large().repeat(8));
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app).tls(&tls(&identity)));
    let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    client.send(get("/huge.bin"));
    support::dawdle(Duration::from_millis(300));
    assert!(client.answer().body == large().repeat(8));
    assert_eq!(client.get("/small.txt").text(), "0123456789");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_no_regular_end() {
    let (scratch, app) = site("tls-shrinks");
    let file = fs::File::create(scratch.join("shrinks.bin")).unwrap();
    file.set_len(64 << 20).unwrap();
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app).tls(&tls(&identity)));
    let mut client = connect(&server, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    client.send(get("/shrinks.bin"));
    client.stream.read_exact(&mut [0; 4096]).unwrap();
    file.set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    let error = client.stream.read_to_end(&mut rest).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    assert!(rest.len() < 64 << 20);
    let _ = client.stream.sock.socket.shutdown(Shutdown::Both);
}
