//! What clients that speak no TLS, or never end to, cost a server that does.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use kolk::server::stats::{Agreement, CloseReason};
use kolk::{App, Response, Server, Tls, Workers};

use identity::Identity;
use support::{address, start, until};

const CLIENTS: u64 = 10_000;
const CLIENTS_AT_ONCE: u64 = 100;

/// Resident memory of this process, in bytes; nothing where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Bytes that look like a beginning, each time others.
fn garbage(round: u64) -> Vec<u8> {
    let mut number = u32::try_from(round).unwrap();
    let mut noise = std::iter::repeat_with(move || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        number.to_be_bytes()[0]
    });
    // No record; a message that claims to be longer than any; a hello of noise; a record longer than any.
    let (head, noise_bytes): (&[u8], _) = match round % 4 {
        0 => (b"\0", 600),
        1 => (b"\x16\x03\x01\x02\x00\x01\xff", 510),
        2 => (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 508),
        _ => (b"\x16\x03\x01\xff\xff", 600),
    };
    head.iter().copied().chain(noise.by_ref().take(noise_bytes)).collect()
}

#[test]
fn ten_thousand_of_them_leave_nothing_behind() {
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let app = App::new().get("/", Response::text("hello"));
    let server = Server::new(app).workers(Workers::Exactly(1)).tls(&tls);
    let server = start(server.max_connections(1_000));
    let failed = || server.snapshot().handshakes[Agreement::Failed.index()];
    let mut before = None;
    for round in 0..CLIENTS / CLIENTS_AT_ONCE {
        let clients: Vec<TcpStream> = (0..CLIENTS_AT_ONCE)
            .map(|client| {
                let mut stream = TcpStream::connect(address(&server)).unwrap();
                stream.write_all(&garbage(round * CLIENTS_AT_ONCE + client)).unwrap();
                stream
            })
            .collect();
        until("all have failed", || failed() == (round + 1) * CLIENTS_AT_ONCE);
        drop(clients);
        // What the first took stays for those who come.
        if round == 4 {
            before = resident_bytes();
        }
    }
    until("all are gone", || server.snapshot().connections() == 0);
    assert_eq!(server.snapshot().closes[CloseReason::TlsFailed.index()], CLIENTS);
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after.saturating_sub(before) < 2 << 20, "{before} bytes have become {after}");
    }

    // A hello of 16 MiB in records that go on and on.
    let mut endless = Vec::new();
    for record in 0..64 {
        endless.extend_from_slice(b"\x16\x03\x01\x40\x00");
        endless.extend_from_slice(if record == 0 { b"\x01\xff\xff\xff" } else { &[0; 4] });
        endless.resize(endless.len() + 0x4000 - 4, 0);
    }
    let before = resident_bytes();
    let clients: Vec<TcpStream> = (0..CLIENTS_AT_ONCE)
        .map(|_| {
            let mut stream = TcpStream::connect(address(&server)).unwrap();
            // It may have had enough.
            let _ = stream.write_all(&endless);
            stream
        })
        .collect();
    until("all have had enough", || failed() == CLIENTS + CLIENTS_AT_ONCE);
    drop(clients);
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let each = after.saturating_sub(before) / CLIENTS_AT_ONCE;
        assert!(each < 128 << 10, "{each} bytes for each");
    }
}
