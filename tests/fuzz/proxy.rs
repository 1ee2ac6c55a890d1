//! Fuzz targets of the PROXY protocol: plain functions of bytes, which panic when something is wrong.

use kolk::net::{Announced, Opening, PROXY_HEADER_BYTES_MAX, opening};

/// Any bytes as the first of a connection: no panic, an end within bounds, and whatever is decided of some
/// bytes is decided of more.
pub(crate) fn openings(bytes: &[u8]) {
    let whole = opening(bytes);
    let mut decided = None;
    for length in 0..=bytes.len() {
        let now = opening(&bytes[..length]);
        if matches!(now, Ok(Opening::Begun | Opening::Undecided)) {
            assert!(decided.is_none(), "taken back: {}", bytes.escape_ascii());
            assert!(length < PROXY_HEADER_BYTES_MAX, "never decided");
            continue;
        }
        let before = *decided.get_or_insert(now);
        assert_eq!(now, before, "changed: {}", bytes.escape_ascii());
    }
    assert_eq!(decided.unwrap_or(whole), whole);
    if let Ok(Opening::Header(announced, length)) = whole {
        assert!((15..=PROXY_HEADER_BYTES_MAX.min(bytes.len())).contains(&length));
        again(announced);
    }
}

/// Any bytes behind the fixed part of version 2, whose length is right.
pub(crate) fn blocks(bytes: &[u8]) {
    for (family, addresses) in [(0x11, 12), (0x21, 36), (0x31, 216), (0x00, 0)] {
        let block: Vec<u8> = std::iter::repeat_n(7, addresses).chain(bytes.iter().copied()).collect();
        let length = u16::try_from(block.len()).expect("fuzzers are short of breath").to_be_bytes();
        openings(&[b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &length, &block].concat());
    }
}

/// What was understood, said in the other way, is understood as the same.
fn again(announced: Announced) {
    let Announced::Ip { client, server } = announced else { return };
    let (family, hosts) = match (client.ip(), server.ip()) {
        (client, server) if client.is_ipv4() => ("TCP4", format!("{client} {server}")),
        (client, server) => ("TCP6", format!("{client} {server}")),
    };
    let line = format!("PROXY {family} {hosts} {} {}\r\n", client.port(), server.port());
    assert_eq!(opening(line.as_bytes()), Ok(Opening::Header(announced, line.len())), "{line}");
}
