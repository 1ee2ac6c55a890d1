//! Handshakes of TLS on real sockets: how long they may take, what is counted of them, what they agree on,
//! and what is refused behind them; and how large records are.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use kolk::net::Alert;
use kolk::server::stats::{Agreement, CloseReason, Snapshot, Timeout};
use kolk::{App, Response, Running, Timeouts, Tls};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, NamedGroup, ProtocolVersion,
    SupportedCipherSuite,
};

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

#[test]
fn the_hybrid_group_is_agreed_upon_with_whom_has_it() {
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app()).tls(&tls(&identity)));
    for (offered, agreed) in [
        (default_provider().kx_groups, NamedGroup::X25519MLKEM768),
        // Whose key is there already: no second round is asked for.
        (vec![kx_group::X25519, kx_group::X25519MLKEM768], NamedGroup::X25519),
        (vec![kx_group::X25519], NamedGroup::X25519),
    ] {
        let mut provider = default_provider();
        provider.kx_groups = offered;
        let mut client = client_with(&server, &identity, provider.into());
        assert_eq!(client.get("/").status, 200);
        let group = client.stream.conn.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), agreed);
    }
}

/// RFC 8446 §4.6.3: as often as a client likes, but not for nothing. What rustls counts is not a rate: it is
/// 32 without a byte between them.
#[test]
fn rfc_8446_4_6_3_keys_are_not_changed_for_nothing_for_ever() {
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app()).tls(&tls(&identity)));
    let mut client = client_of(&server, &identity);
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
        (0..32).for_each(|_| client.stream.conn.refresh_traffic_keys().unwrap());
        client.stream.conn.complete_io(&mut client.stream.sock).unwrap();
    }
    assert_eq!(client.get("/").status, 200);
    (0..33).for_each(|_| client.stream.conn.refresh_traffic_keys().unwrap());
    while client.stream.conn.wants_write() && client.stream.conn.write_tls(&mut client.stream.sock).is_ok() {}
    is_refused(&server);
}

/// RFC 5246 §7.2.2: a second handshake on a connection of TLS 1.2 is declined; who insists is refused.
#[test]
fn rfc_5246_7_2_2_nothing_is_negotiated_twice() {
    let identity = Identity::new(&["localhost"]);
    let server = start(alone(app()).tls(&tls(&identity)));
    let mut config = Arc::unwrap_or_clone(identity.trusted_by(&[&TLS12]));
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    let mut hello = Vec::new();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::clone(&config), name).unwrap().write_tls(&mut hello).unwrap();
    let mut client = Client::over(connect(address(&server), &config, "localhost", usize::MAX));
    assert_eq!(client.get("/").status, 200);

    let suite = client.stream.conn.negotiated_cipher_suite().unwrap();
    let SupportedCipherSuite::Tls12(suite) = suite else { panic!("{suite:?}") };
    let mut socket = client.stream.sock.socket;
    let (mut number, secrets) = client.stream.conn.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher") };
    let mut encrypter = suite.aead_alg.encrypter(key, &iv.as_ref()[..4], &iv.as_ref()[4..]);
    let mut record = |typ, bytes: &[u8]| {
        let (version, payload) = (ProtocolVersion::TLSv1_2, OutboundChunks::Single(bytes));
        number += 1;
        encrypter.encrypt(OutboundPlainMessage { typ, version, payload }, number - 1).unwrap().encode()
    };
    socket.write_all(&record(ContentType::Handshake, &hello[5..])).unwrap();
    assert_eq!(next_record(&mut socket).0, 21, "a warning");
    socket.write_all(&record(ContentType::ApplicationData, support::get("/").as_bytes())).unwrap();
    assert_eq!(next_record(&mut socket).0, 23, "what was agreed on stays");
    socket.write_all(&record(ContentType::Handshake, &hello[5..])).unwrap();
    assert_eq!(socket.read(&mut [0; 8]).unwrap_or(0), 0);
    is_refused(&server);
}

/// What a record has beside its plaintext in TLS 1.3: its type and the authentication.
const RECORD_BYTES_MORE: usize = 1 + 16;

#[test]
fn the_first_records_fit_a_segment_and_the_others_are_full() {
    const BODY_BYTES: usize = 300_000;
    let identity = Identity::new(&["localhost"]);
    let app = App::new().get("/", Response::text("x".repeat(BODY_BYTES)));
    let server = start(alone(app).tls(&tls(&identity)));
    let mut client = client_of(&server, &identity);
    client.stream.conn.complete_io(&mut client.stream.sock).unwrap();
    // Small where the connection begins, and behind a pause.
    for (round, is_small) in [true, false, true].into_iter().enumerate() {
        if round > 0 && is_small {
            dawdle(Duration::from_millis(1_200));
        }
        client.stream.conn.writer().write_all(support::get("/").as_bytes()).unwrap();
        while client.stream.conn.wants_write() {
            client.stream.conn.write_tls(&mut client.stream.sock).unwrap();
        }
        let (mut sizes, mut text) = (Vec::new(), Vec::new());
        while text.iter().filter(|byte| **byte == b'x').count() < BODY_BYTES {
            let (kind, record) = next_record(&mut client.stream.sock.socket);
            assert_eq!(kind, 23);
            let before = text.len();
            let mut unread = &record[..];
            while !unread.is_empty() {
                client.stream.conn.read_tls(&mut unread).unwrap();
                client.stream.conn.process_new_packets().unwrap();
            }
            let _ = client.stream.conn.reader().read_to_end(&mut text);
            // A ticket is a record without text.
            if text.len() > before {
                assert_eq!(text.len() - before, record.len() - 5 - RECORD_BYTES_MORE);
                sizes.push(text.len() - before);
            }
        }
        let small = sizes.iter().take_while(|size| **size == 1_300).count();
        let expected = if is_small { (16 * 1024_usize).div_ceil(1_300) } else { 0 };
        assert_eq!(small, expected, "{round}: {sizes:?}");
        assert!(sizes[small..sizes.len() - 1].iter().all(|size| *size == 16 * 1024), "{round}: {sizes:?}");
    }
}

/// The only connection ends because of a rule. rustls says nothing of that to clients who overdo it.
fn is_refused(server: &Running) {
    until("it ends", || server.snapshot().connections() == 0);
    let Snapshot { closes, alerts_sent, .. } = server.snapshot();
    assert_eq!(closes[CloseReason::TlsFailed.index()], 1);
    assert_eq!(alerts_sent.iter().sum::<u64>(), 0);
}

/// The next record, whole: its type first.
fn next_record(socket: &mut impl Read) -> (u8, Vec<u8>) {
    let mut record = vec![0; 5];
    socket.read_exact(&mut record).unwrap();
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    socket.read_exact(&mut record[5..]).unwrap();
    (record[0], record)
}

fn client_with(
    server: &Running,
    identity: &Identity,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Client<Encrypted> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.der.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    Client::over(connect(address(server), &config, "localhost", usize::MAX))
}
