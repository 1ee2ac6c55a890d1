//! RFC 9113 §8.2: names and values of fields, fields of a connection, cookies, and lists that are too large.

use crate::client::Peer;
use crate::frame::*;
use crate::target::strict;

/// GET with this field is malformed.
#[track_caller]
fn malformed(name: &str, value: &str) {
    Peer::new().send(headers(1, &and(GET, &[(name, value)])).end()).expect_malformed(1);
}

/// As above, but others do not all see it.
#[track_caller]
fn malformed_if_strict(name: &str, value: &str) {
    if strict() {
        malformed(name, value);
    }
}

/// An error that the RFC of HTTP/2 leaves to that of HTTP.
#[track_caller]
fn refused_if_strict(name: &str, value: &str) {
    if strict() {
        Peer::new().send(headers(1, &and(GET, &[(name, value)])).end()).expect_refusal(1);
    }
}

#[track_caller]
fn answered(name: &str, value: &str) {
    Peer::new().send(headers(1, &and(GET, &[(name, value)])).end()).expect_status(1, 200).is_content();
}

// ── Names ───────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_2_1_names_in_upper_case() {
    for name in ["X-Upper", "x-Upper", "HOST", "xZ", "Z"] {
        malformed(name, "a");
    }
}

#[test]
fn rfc_9113_8_2_1_every_byte_that_no_name_has() {
    for byte in (0..=0x20).chain(0x41..=0x5A).chain(0x7F..=0xFF_u8) {
        let name = [b"x-", &[byte][..], b"y"].concat();
        let literal = [&[0][..], &string(&name), &string(b"a")].concat();
        let mut peer = Peer::new();
        if strict() {
            peer.send(headers_of(1, [block(GET), literal].concat()).end()).expect_malformed(1);
        }
    }
}

#[test]
fn rfc_9113_8_2_1_a_colon_in_a_name() {
    malformed_if_strict("x:y", "a");
    malformed_if_strict("host:", "localhost");
}

#[test]
fn rfc_9113_8_2_1_a_name_of_nothing() {
    refused_if_strict("", "a");
    refused_if_strict("", "");
}

#[test]
fn rfc_9110_5_1_a_name_that_is_no_token() {
    for name in ["x,y", "x(y", "x\"y", "x/y", "x=y", "x[y]", "x{y}", "x@y", "x;y", "x?y", "x<y>", "x\\y"] {
        refused_if_strict(name, "a");
    }
}

#[test]
fn rfc_9110_5_6_2_every_byte_that_a_name_may_have() {
    answered("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz", "a");
}

// ── Values ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_2_1_values_with_an_end_of_line_or_a_nul() {
    for value in ["\0", "a\0b", "a\rb", "a\nb", "a\r\nb", "\n", "a\r", "a\r\nhost: elsewhere"] {
        malformed_if_strict("x-a", value);
        malformed_if_strict("cookie", value);
    }
}

#[test]
fn rfc_9113_8_2_1_values_with_blanks_around() {
    for value in [" a", "\ta", "a ", "a\t", " ", "\t", " a "] {
        malformed_if_strict("x-a", value);
    }
}

#[test]
fn rfc_9113_8_2_1_values_as_they_may_be() {
    for value in ["", "a", "a b", "a\tb", "é", ":", "\"", ",", "~"] {
        answered("x-a", value);
    }
}

#[test]
fn rfc_9110_5_5_values_with_other_controls() {
    // A field value has none, though RFC 9113 does not ask HTTP/2 to look.
    for value in ["a\x01b", "a\x1Bb", "a\x7Fb"] {
        let mut peer = Peer::new();
        peer.send(headers(1, &and(GET, &[("x-a", value)])).end()).expect_answers_or_refuses();
    }
}

// ── Fields of a connection ──────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_2_2_fields_of_a_connection() {
    for (name, value) in [
        ("connection", "keep-alive"),
        ("connection", "close"),
        ("connection", ""),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("upgrade", "websocket"),
    ] {
        malformed_if_strict(name, value);
    }
    malformed("connection", "keep-alive");
}

#[test]
fn rfc_9113_8_2_2_transfer_encoding_frames_nothing() {
    let mut peer = Peer::new();
    peer.send(headers(1, &and(POST, &[("transfer-encoding", "chunked")])));
    peer.send(data(1, "7\r\ncontent\r\n0\r\n\r\n").end());
    if strict() {
        peer.expect_malformed(1);
    }
}

#[test]
fn rfc_9113_8_2_2_te_is_trailers_or_nothing() {
    answered("te", "trailers");
    for value in ["gzip", "trailers, deflate", "trailers;q=0.5", "chunked"] {
        malformed_if_strict("te", value);
    }
    malformed("te", "trailers, deflate");
}

// ── Cookies ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_2_3_cookies_in_crumbs() {
    let mut peer = Peer::new();
    let crumbs = [("cookie", "a=b"), ("x-between", "1"), ("cookie", "c=d"), ("cookie", "e=f; g=h")];
    peer.send(headers(1, &and(GET, &crumbs)).end()).expect_status(1, 200);
    peer.send(headers(3, &and(GET, &[("cookie", "")])).end()).expect_status(3, 200).is_content();
}

#[test]
fn rfc_9113_8_2_3_a_hundred_and_fifty_crumbs() {
    let mut peer = Peer::new();
    let crumbs: Vec<String> = (0..150).map(|at| format!("crumb{at}=c")).collect();
    let fields: Vec<_> = crumbs.iter().map(|crumb| ("cookie", &crumb[..])).collect();
    peer.send(headers(1, &and(GET, &fields)).end()).expect_status(1, 200).is_content();
}

// ── Too much ────────────────────────────────────────────────────────────────────────────────────────

/// Sends `fields` as HEADERS and CONTINUATION of at most 16,384 bytes.
fn send_large(peer: &mut Peer, stream: u32, fields: &Fields<'_>) {
    let block = block(fields);
    let mut pieces = block.chunks(16_384).peekable();
    let mut first = true;
    while let Some(piece) = pieces.next() {
        let frame = if first { headers_of(stream, piece).end() } else { continuation(stream, piece) };
        first = false;
        peer.send(if pieces.peek().is_some() { frame.open() } else { frame });
    }
}

/// What a list may come to, by what the server says of itself: RFC 9113 §6.5.2.
fn list_bytes_max(peer: &Peer, otherwise: usize) -> usize {
    peer.settings.get(&MAX_HEADER_LIST_SIZE).map_or(otherwise, |most| *most as usize)
}

/// A list as above that comes to about so many bytes, in fields of a thousand.
fn list_of(bytes: usize) -> Vec<(&'static str, &'static str)> {
    let filler: &'static str = "f".repeat(1_000 - 32 - 3).leak();
    let of_request: usize = GET.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    and(GET, &vec![("x-a", filler); (bytes - of_request) / 1_000])
}

#[test]
fn rfc_9113_6_5_2_a_list_that_just_fits() {
    let mut peer = Peer::new();
    let most = list_bytes_max(&peer, 16_000).min(30_000);
    send_large(&mut peer, 1, &list_of(most));
    if strict() {
        peer.expect_status(1, 200).is_content();
    }
}

#[test]
fn rfc_6585_5_a_list_that_is_too_large() {
    let mut peer = Peer::new();
    let most = list_bytes_max(&peer, 100_000);
    if strict() {
        send_large(&mut peer, 1, &list_of(most + 2_000));
        peer.expect_status(1, 431);
        peer.send(headers(3, GET).end()).expect_status(3, 200).is_content();
        send_large(&mut peer, 5, &list_of(most + 2_000));
        peer.expect_status(5, 431).is_content();
    }
}

#[test]
fn rfc_6585_5_a_field_that_is_too_large() {
    let mut peer = Peer::new();
    let filler = "f".repeat(list_bytes_max(&peer, 100_000).min(1 << 20) + 1);
    send_large(&mut peer, 1, &and(GET, &[("x-a", &filler)]));
    if strict() {
        peer.expect_status(1, 431);
        peer.send(headers(3, GET).end()).expect_status(3, 200).is_content();
    }
}

#[test]
fn rfc_6585_5_too_many_fields() {
    let mut peer = Peer::new();
    let many = vec![("a", ""); list_bytes_max(&peer, 100_000).min(1 << 20) / 33 + 1];
    send_large(&mut peer, 1, &and(GET, &many));
    if strict() {
        peer.expect_status(1, 431);
        peer.send(headers(3, GET).end()).expect_status(3, 200).is_content();
    }
}

#[test]
fn rfc_6585_5_trailers_that_are_too_large() {
    let mut peer = Peer::new();
    let filler = "f".repeat(list_bytes_max(&peer, 100_000).min(1 << 20) + 1);
    peer.send_all(&[headers(1, POST), data(1, "content")]);
    send_large(&mut peer, 1, &[("x-a", &filler)]);
    if strict() {
        peer.until("a refusal", |peer| {
            peer.answers.get(&1).is_some_and(|one| one.reset.is_some() || one.status() == Some(431))
        });
        peer.send(headers(3, GET).end()).expect_status(3, 200).is_content();
    }
}

#[test]
fn rfc_7541_3_2_a_list_that_is_too_large_leaves_the_table_right() {
    let mut peer = Peer::new();
    let large = indexed_literal("x-large", &"f".repeat(3_000));
    // It is above the limit behind its middle; what is behind that has its place in the table as well.
    let block_of_many = [block(GET), large, vec![0x80 | 62; 40], indexed_literal("x-last", "l")].concat();
    peer.send(headers_of(1, block_of_many).end());
    if strict() {
        peer.expect_status(1, 431);
        let block = [block(GET), vec![0x80 | 62]].concat();
        peer.send(headers_of(3, block).end()).expect_status(3, 200).is_content();
    }
}

#[test]
fn rfc_9110_4_1_a_path_that_is_long() {
    let mut peer = Peer::new();
    let path = format!("/{}", "p".repeat(12_000));
    send_large(&mut peer, 1, &with(GET, ":path", &path));
    if strict() {
        peer.expect_answers_or_refuses().is_content();
    }
}
