//! RFC 9113 §3 and §4: how a connection begins, what a frame is, and how large.

use std::io::Read;

use crate::client::{PATIENCE, Peer, SILENCE};
use crate::frame::*;
use crate::target::strict;

/// Whatever comes until the connection ends.
fn rest(peer: &mut Peer) -> Vec<u8> {
    let mut rest = Vec::new();
    peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let ended = peer.stream.read_to_end(&mut rest);
    let cut = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(ended.map_or_else(cut, |_| true), "the connection does not end: {:?}", rest.escape_ascii());
    rest
}

// ── Beginnings ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_3_4_the_preface_is_answered_by_settings() {
    let mut peer = Peer::silent();
    peer.write(PREFACE).send(settings(&[]));
    peer.until("SETTINGS", |peer| peer.settings_frames == 1);
    peer.until("the acknowledgement of ours", |peer| peer.settings_acks == 1);
    peer.is_content();
}

#[test]
fn rfc_9113_3_4_a_request_may_follow_the_preface_at_once() {
    let mut peer = Peer::silent();
    peer.write(PREFACE).send_all(&[settings(&[]), headers(1, GET).end()]);
    peer.expect_status(1, 200);
}

#[test]
fn rfc_9113_3_4_the_preface_may_come_byte_by_byte() {
    let mut peer = Peer::silent();
    let bytes = [PREFACE, &settings(&[]).bytes(), &headers(1, GET).end().bytes()].concat();
    for byte in bytes {
        peer.write(&[byte]);
    }
    peer.expect_status(1, 200);
}

#[test]
fn rfc_9113_3_4_a_preface_that_goes_wrong_ends_the_connection() {
    for wrong in
        ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "PRI * HTTP/2.0\r\n\nSM"]
    {
        let mut peer = Peer::silent();
        peer.write(wrong.as_bytes()).write(&[0; 32]);
        rest(&mut peer);
    }
}

#[test]
fn rfc_9113_3_4_the_first_frame_is_settings() {
    for first in
        [ping([0; 8]), headers(1, GET).end(), window_update(0, 1), goaway(0, NO_ERROR), raw(0xA, 0, 0, [])]
    {
        let mut peer = Peer::silent();
        peer.write(PREFACE).send(first).expect_connection_error(&[PROTOCOL_ERROR]);
    }
}

#[test]
fn rfc_9113_3_4_the_first_settings_acknowledge_nothing() {
    let mut peer = Peer::silent();
    peer.write(PREFACE).send(settings_ack()).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_3_1_nobody_is_upgraded_who_asks_in_http_1() {
    let mut peer = Peer::silent();
    peer.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
          HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    if !strict() {
        return;
    }
    let answer = rest(&mut peer);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
}

#[test]
fn rfc_9113_5_5_what_the_server_says_of_itself_is_right() {
    let peer = Peer::new();
    for (&name, &value) in &peer.settings {
        let fits = match name {
            // A server that sends it says 0.
            ENABLE_PUSH => value == 0,
            INITIAL_WINDOW_SIZE => value < 1 << 31,
            MAX_FRAME_SIZE => (1 << 14..1 << 24).contains(&value),
            ENABLE_CONNECT_PROTOCOL | NO_RFC7540_PRIORITIES => value <= 1,
            _ => true,
        };
        assert!(fits, "setting {name} is {value}");
    }
    if strict() {
        assert_eq!(peer.settings.get(&MAX_CONCURRENT_STREAMS), Some(&100));
    }
}

// ── Frames ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_4_1_an_unknown_frame_is_ignored() {
    let mut peer = Peer::new();
    for kind in [0xA, 0xB, 0xC, 0x16, 0xFF] {
        peer.send(raw(kind, 0xFF, 0, "what is it?")).send(raw(kind, 0, 7, []));
    }
    // Not even stream 7 is any nearer.
    peer.send(headers(1, GET).end()).expect_status(1, 200).is_content();
}

#[test]
fn rfc_9113_4_1_unknown_flags_are_ignored() {
    let mut peer = Peer::new();
    let payload = *b"anything";
    peer.send(ping(payload).with(0xFE)).until("PING", |peer| peer.pongs.contains(&payload));
    peer.send(settings(&[]).with(0xFE)).until("SETTINGS", |peer| peer.settings_acks == 2);
    peer.send(window_update(0, 1).with(0xFF)).send(headers(1, GET).end().with(0x52)).expect_status(1, 200);
    peer.send(headers(3, POST)).send(data(3, "content").end().with(0xF6)).is_content();
}

#[test]
fn rfc_9113_4_1_the_reserved_bit_is_ignored() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).end().on(1 | 1 << 31)).expect_status(1, 200);
    let payload = *b"reserved";
    peer.send(ping(payload).on(1 << 31)).until("PING", |peer| peer.pongs.contains(&payload));
}

#[test]
fn rfc_9113_4_1_a_frame_may_come_byte_by_byte() {
    let mut peer = Peer::new();
    for byte in [headers(1, GET).end().padded(3).bytes(), ping([1; 8]).bytes()].concat() {
        peer.write(&[byte]);
    }
    peer.expect_status(1, 200).is_content();
}

#[test]
fn rfc_9113_4_1_a_client_that_leaves_within_a_frame_leaves() {
    let mut peer = Peer::new();
    peer.write(&headers(1, GET).header(100)).write(b"half");
    peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
    peer.until("the end", |peer| peer.closed);
    Peer::new().is_content();
}

#[test]
fn rfc_9113_4_2_every_server_takes_frames_of_16384_bytes() {
    let mut peer = Peer::new();
    let filler = "f".repeat(4000);
    let long = [("x-a", &filler[..]), ("x-b", &filler), ("x-c", &filler)];
    let used = block(&and(GET, &long)).len();
    let last = "l".repeat(16_384 - used - block(&[("x-d", "")]).len() - 2);
    let whole = block(&and(&and(GET, &long), &[("x-d", &last)]));
    assert_eq!(whole.len(), 16_384);
    peer.send(headers(1, POST)).send(data(1, vec![b'x'; 16_384]).end());
    peer.expect_answer(1);
    peer.send(headers_of(3, whole).end());
    // Whether as many fields are welcome is another question.
    peer.until("an answer or a refusal", |peer| {
        peer.answers.get(&3).is_some_and(|one| one.ended || (one.reset.is_some() && !strict()))
    });
    peer.is_content();
}

/// The payload that is one byte too long for the server, if there is any.
fn too_long(peer: &Peer) -> Option<Vec<u8>> {
    let most = peer.settings.get(&MAX_FRAME_SIZE).map_or(16_384, |most| *most as usize);
    (most < 1 << 20).then(|| vec![0; most + 1])
}

#[test]
fn rfc_9113_4_2_data_longer_than_the_limit() {
    let mut peer = Peer::new();
    let Some(payload) = too_long(&peer) else { return };
    peer.send(headers(1, POST)).send(data(1, payload).end());
    peer.expect_either_error(1, &[FRAME_SIZE_ERROR]);
}

#[test]
fn rfc_9113_4_2_a_frame_of_the_connection_longer_than_the_limit() {
    for kind in [HEADERS, SETTINGS, CONTINUATION] {
        let mut peer = Peer::new();
        let Some(payload) = too_long(&peer) else { return };
        match kind {
            CONTINUATION => peer.send(headers(1, GET).open().end()).send(raw(kind, END_HEADERS, 1, payload)),
            SETTINGS => peer.send(raw(kind, 0, 0, payload)),
            _ => peer.send(raw(kind, END_HEADERS, 1, payload)),
        };
        peer.expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

#[test]
fn rfc_9113_4_2_a_length_is_judged_before_its_bytes_are_there() {
    let mut peer = Peer::new();
    if too_long(&peer).is_none() || !strict() {
        return;
    }
    peer.write(&headers(1, GET).header((1 << 24) - 1)).expect_connection_error(&[FRAME_SIZE_ERROR]);
}

#[test]
fn rfc_9113_4_2_an_unknown_frame_longer_than_the_limit() {
    let mut peer = Peer::new();
    let Some(payload) = too_long(&peer) else { return };
    peer.send(raw(0x16, 0, 0, payload));
    if strict() {
        peer.expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

// ── Header blocks ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_4_3_a_block_that_cannot_be_decoded() {
    let mut peer = Peer::new();
    peer.send(headers_of(1, [0x82, 0x84, 0x86, 0x40, 0x05, b'a']).end());
    peer.expect_connection_error(&[COMPRESSION_ERROR]);
}

#[test]
fn rfc_9113_4_3_nothing_stands_within_a_block() {
    let between = [
        data(1, "x"),
        headers(1, GET).end(),
        headers(3, GET).end(),
        priority(1, 0),
        rst_stream(1, CANCEL),
        settings(&[]),
        settings_ack(),
        ping([0; 8]),
        goaway(0, NO_ERROR),
        window_update(0, 1),
        window_update(1, 1),
        continuation(3, []),
        raw(0x16, 0, 0, "unknown"),
        raw(0x16, 0, 1, []),
        priority_update(1, "u=1"),
    ];
    for frame in between {
        let mut peer = Peer::new();
        peer.send_all(&[headers(1, GET).open().end(), frame]).expect_connection_error(&[PROTOCOL_ERROR]);
    }
}

#[test]
fn rfc_9113_4_3_a_block_may_be_split_anywhere() {
    let whole = block(GET);
    let mut peer = Peer::new();
    for (at, stream) in (1..=whole.len()).zip((1..).step_by(2)) {
        let (start, rest) = whole.split_at(at);
        peer.send_all(&[headers_of(stream, start).open().end(), continuation(stream, rest)]);
        peer.expect_status(stream, 200);
    }
    peer.is_content();
}

#[test]
fn rfc_9113_4_3_a_block_that_is_never_ended_is_no_request() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).open().end());
    assert!(!peer.comes_true(SILENCE, |peer| peer.answers.contains_key(&1)), "half a request was answered");
}
