//! RFC 7541 as it is seen on a connection: what a decoder takes, and what it ends the connection for.

use crate::client::Peer;
use crate::frame::*;
use crate::target::strict;

/// A block of these bytes behind a whole request ends the connection.
#[track_caller]
fn breaks(behind: &[u8]) {
    let mut peer = Peer::new();
    peer.send(headers_of(1, [&block(GET), behind].concat()).end());
    peer.expect_connection_error(&[COMPRESSION_ERROR]);
}

/// As above, but others do not all see it.
#[track_caller]
fn breaks_if_strict(behind: &[u8]) {
    if strict() {
        breaks(behind);
    }
}

/// A block of these bytes before a whole request ends the connection.
#[track_caller]
fn breaks_before(before: &[u8]) {
    let mut peer = Peer::new();
    peer.send(headers_of(1, [before, &block(GET)].concat()).end());
    peer.expect_connection_error(&[COMPRESSION_ERROR]);
}

#[track_caller]
fn fits(block: impl Into<Vec<u8>>) {
    Peer::new().send(headers_of(1, block).end()).expect_status(1, 200).is_content();
}

/// RFC 7541 §6.3.
fn size_update(bytes: usize) -> Vec<u8> {
    integer(0x20, 5, bytes)
}

#[test]
fn rfc_7541_6_1_indexed_fields_of_the_static_table() {
    // :method GET, :scheme http, :path /, and a literal :authority by its index.
    fits([&[0x82, 0x86, 0x84, 0x01][..], &string(b"localhost")].concat());
}

#[test]
fn rfc_7541_6_1_the_index_zero() {
    breaks(&[0x80]);
}

#[test]
fn rfc_7541_2_3_3_an_index_of_no_table() {
    breaks(&[0x80 | 62]);
    breaks(&integer(0x80, 7, 70));
    breaks(&integer(0x80, 7, 100_000));
    // By name only.
    breaks(&[&integer(0x40, 6, 62)[..], &string(b"a")].concat());
    breaks(&[&integer(0x00, 4, 62)[..], &string(b"a")].concat());
    breaks(&[&integer(0x10, 4, 1_000)[..], &string(b"a")].concat());
}

#[test]
fn rfc_7541_5_1_an_integer_without_end() {
    breaks(&[&[0xFF][..], &[0x80; 20], &[0x00]].concat());
    breaks(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
    // The length of a name.
    breaks(&[0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
}

#[test]
fn rfc_7541_5_1_a_block_that_ends_within_a_field() {
    for behind in
        [&[0x40][..], &[0x40, 3, b'a'], &[0x40, 1, b'a'], &[0x40, 1, b'a', 2, b'b'], &[0xFF], &[0x0F]]
    {
        breaks_if_strict(behind);
    }
    breaks_if_strict(&[0x00, 0x83, 0xFF]);
}

#[test]
fn rfc_7541_5_2_huffman_padding_longer_than_seven_bits() {
    // "0" and eleven ones.
    breaks(&[0x00, 1, b'a', 0x82, 0x07, 0xFF]);
    breaks(&[0x00, 1, b'a', 0x81, 0xFF]);
}

#[test]
fn rfc_7541_5_2_huffman_padding_that_is_not_all_ones() {
    breaks(&[0x00, 1, b'a', 0x81, 0x06]);
    breaks(&[0x00, 0x81, 0x06, 1, b'a']);
}

#[test]
fn rfc_7541_5_2_the_end_among_huffman_symbols() {
    breaks(&[0x00, 1, b'a', 0x84, 0xFF, 0xFF, 0xFF, 0xFF]);
    breaks(&[0x00, 1, b'a', 0x85, 0x1F, 0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn rfc_7541_5_2_huffman_as_it_may_be() {
    // RFC 7541 Appendix C.4.1: www.example.com.
    let authority = [0x01, 0x8C, 0xF1, 0xE3, 0xC2, 0xE5, 0xF2, 0x3A, 0x6B, 0xA0, 0xAB, 0x90, 0xF4, 0xFF];
    fits([&[0x82, 0x86, 0x84][..], &authority].concat());
    // Nothing, in Huffman code.
    fits([&block(GET)[..], &[0x00, 1, b'a', 0x80]].concat());
}

#[test]
fn rfc_7541_6_2_literals_of_each_kind() {
    let by_index = [integer(0x40, 6, 58), integer(0, 4, 58), integer(0x10, 4, 58)];
    for start in by_index {
        fits([block(GET), start, string(b"agent")].concat());
    }
    for start in [0x40, 0x00, 0x10] {
        fits([block(GET), vec![start], string(b"x-a"), string(b"b")].concat());
    }
}

#[test]
fn rfc_7541_2_3_2_the_dynamic_table() {
    let mut peer = Peer::new();
    let fields: Vec<u8> = GET.iter().flat_map(|(name, value)| indexed_literal(name, value)).collect();
    peer.send(headers_of(1, fields).end()).expect_status(1, 200);
    // The first that came is the last now.
    let indices = [65, 64, 63, 62].map(|index| 0x80 | index);
    peer.send(headers_of(3, indices).end()).expect_status(3, 200);
    peer.send_all(&[headers_of(5, indices).end(), headers_of(7, indices).end()]);
    peer.expect_status(5, 200).expect_status(7, 200).is_content();
}

#[test]
fn rfc_7541_2_3_2_the_table_outlives_a_request_that_is_refused() {
    let mut peer = Peer::new();
    let upper = [block(GET), indexed_literal("X-Upper", "a"), indexed_literal("x-kept", "b")].concat();
    peer.send(headers_of(1, upper).end());
    if strict() {
        peer.expect_malformed(1);
        peer.send(headers_of(3, [block(GET), vec![0x80 | 62]].concat()).end()).expect_status(3, 200);
    }
}

#[test]
fn rfc_7541_4_1_an_entry_that_does_not_fit_empties_the_table() {
    let mut peer = Peer::new();
    let kept = [block(GET), indexed_literal("x-kept", "b")].concat();
    peer.send(headers_of(1, kept).end()).expect_status(1, 200);
    let large = [block(GET), indexed_literal("x-large", &"l".repeat(4_060))].concat();
    peer.send(headers_of(3, large).end()).expect_status(3, 200);
    peer.send(headers_of(5, [block(GET), vec![0x80 | 62]].concat()).end());
    peer.expect_connection_error(&[COMPRESSION_ERROR]);
}

#[test]
fn rfc_7541_4_4_the_oldest_entries_go_first() {
    let mut peer = Peer::new();
    let value = "v".repeat(1_000);
    let fields: Vec<u8> =
        ["x-a", "x-b", "x-c", "x-d"].iter().flat_map(|name| indexed_literal(name, &value)).collect();
    // Three of 1,035 bytes fit.
    peer.send(headers_of(1, [block(GET), fields].concat()).end()).expect_status(1, 200);
    peer.send(headers_of(3, [block(GET), vec![0x80 | 64]].concat()).end()).expect_status(3, 200);
    peer.send(headers_of(5, [block(GET), vec![0x80 | 65]].concat()).end());
    peer.expect_connection_error(&[COMPRESSION_ERROR]);
}

#[test]
fn rfc_7541_6_3_a_size_within_the_limit() {
    fits([size_update(0), block(GET)].concat());
    fits([size_update(4_096), block(GET)].concat());
    fits([size_update(0), size_update(4_096), block(GET)].concat());
}

#[test]
fn rfc_7541_6_3_a_size_above_the_limit() {
    let most = Peer::new().settings.get(&HEADER_TABLE_SIZE).map_or(4_096, |size| *size as usize);
    breaks_before(&size_update(most + 1));
    breaks_before(&size_update(1 << 30));
}

#[test]
fn rfc_7541_6_3_a_size_of_nothing_empties_the_table() {
    let mut peer = Peer::new();
    peer.send(headers_of(1, [block(GET), indexed_literal("x-a", "b")].concat()).end()).expect_status(1, 200);
    peer.send(headers_of(3, [size_update(0), block(GET), vec![0x80 | 62]].concat()).end());
    peer.expect_connection_error(&[COMPRESSION_ERROR]);
}

#[test]
fn rfc_7541_4_2_a_size_behind_a_field() {
    breaks_if_strict(&size_update(0));
    breaks_if_strict(&size_update(100));
    if strict() {
        let mut peer = Peer::new();
        peer.send(headers_of(1, [&[0x82][..], &size_update(100), &[0x84, 0x86]].concat()).end());
        peer.expect_connection_error(&[COMPRESSION_ERROR]);
    }
}

#[test]
fn rfc_7541_4_2_a_table_of_nothing_is_respected() {
    // The decoder here would fail if the server used a larger one.
    let mut peer = Peer::with(&[(HEADER_TABLE_SIZE, 0)]);
    for stream in [1, 3, 5] {
        peer.send(headers(stream, GET).end()).expect_status(stream, 200);
    }
    peer.send(settings(&[(HEADER_TABLE_SIZE, 4_096)])).is_content();
    for stream in [7, 9] {
        peer.send(headers(stream, GET).end()).expect_status(stream, 200);
    }
}

#[test]
fn rfc_7541_4_2_a_table_that_shrinks_is_announced() {
    let mut peer = Peer::new();
    for stream in [1, 3] {
        peer.send(headers(stream, GET).end()).expect_status(stream, 200);
    }
    peer.send(settings(&[(HEADER_TABLE_SIZE, 0)])).send(settings(&[(HEADER_TABLE_SIZE, 100)])).is_content();
    peer.blocks.clear();
    peer.send(headers(5, GET).end()).expect_status(5, 200);
    if strict() {
        let first = peer.blocks[0][0];
        assert_eq!(first & 0xE0, 0x20, "the block begins with {first:#x}, no change of size");
    }
    peer.send(headers(7, GET).end()).expect_status(7, 200).is_content();
}
