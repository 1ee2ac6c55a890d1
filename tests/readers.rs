//! SLOW READERS: what a client costs that asks for a GiB and does not read it.
//!
//! Alone in its process, since it is the process whose memory is measured; the clients' is in it.

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use kolk::sys::descriptors;
use kolk::{App, Running, StaticDir, Workers};

use support::scratch::Scratch;
use support::{address, alone, dawdle, get, start};

const READERS: usize = 1_000;
/// Those that make whatever is made once.
const FIRST: usize = 20;
/// What each may take, in bytes. Without optimisation it is more than in a release.
const BYTES_MAX: usize = 10_000;

#[test]
fn readers_that_do_not_read_cost_little_memory_each() {
    let descriptors = descriptors::raise_limit().unwrap();
    if descriptors < 2 * READERS as u64 + 100 {
        println!("left out: {descriptors} descriptors are not enough for both ends of {READERS} connections");
        return;
    }
    let folder = Scratch::new("readers");
    let file = File::create(folder.join("huge.bin")).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    let files = App::new().get("/{*path}", StaticDir::new(&*folder));
    let server = start(alone(files).workers(Workers::Exactly(1)).max_connections(2 * READERS));
    let mut readers = Vec::with_capacity(READERS);
    read_a_little(&server, FIRST, &mut readers);
    let before = resident_bytes();
    read_a_little(&server, READERS - FIRST, &mut readers);
    let each = resident_bytes().saturating_sub(before) / (READERS - FIRST);
    println!("{each} bytes for each reader");
    assert!(each <= BYTES_MAX, "{each} bytes for each reader");
    assert_eq!(server.snapshot().phases.iter().sum::<u64>(), READERS as u64, "all are still there");
}

/// So many clients take the beginning and no more; the server has sent what the kernel takes.
fn read_a_little(server: &Running, count: usize, readers: &mut Vec<TcpStream>) {
    for _ in 0..count {
        let mut reader = TcpStream::connect(address(server)).expect("the server listens");
        reader.write_all(get("/huge.bin").as_bytes()).expect("a request fits");
        let mut begin = [0; 4096];
        reader.read_exact(&mut begin).expect("the file begins");
        readers.push(reader);
    }
    let mut sent = 0;
    while std::mem::replace(&mut sent, server.snapshot().bytes_sent) != sent {
        dawdle(Duration::from_millis(50));
    }
}

/// What this process has in memory.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = status.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}
