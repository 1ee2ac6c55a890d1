//! RFC 9113 §6.1 to §6.4, §6.6 to §6.8 and §6.10: every frame but SETTINGS and WINDOW_UPDATE.

use crate::client::{Peer, SILENCE};
use crate::frame::*;
use crate::target::strict;

// ── DATA ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_1_data_is_the_content() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "con"), data(1, ""), data(1, "tent").end()]);
    assert_eq!(peer.expect_answer(1).body, b"content");
}

#[test]
fn rfc_9113_6_1_data_with_padding() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "con").padded(255), data(1, "tent").padded(0).end()]);
    assert_eq!(peer.expect_answer(1).body, b"content");
    peer.send_all(&[headers(3, POST), data(3, "").padded(9), data(3, "").end()]);
    assert_eq!(peer.expect_answer(3).body, b"");
    peer.is_content();
}

#[test]
fn rfc_9113_6_1_data_on_stream_zero() {
    Peer::new().send(data(0, "x")).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_1_data_with_more_padding_than_payload() {
    for padding in [5, 6, 255] {
        let mut peer = Peer::new();
        peer.send_all(&[headers(1, POST), data(1, "four").claims_padding(padding).end()]);
        peer.expect_connection_error(&[PROTOCOL_ERROR]);
    }
}

#[test]
fn rfc_9113_6_1_data_without_room_for_the_length_of_its_padding() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), raw(DATA, PADDED, 1, [])]);
    peer.expect_either_error(1, &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);
}

// ── HEADERS ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_2_headers_with_padding() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).padded(0).end()).expect_status(1, 200);
    peer.send(headers(3, GET).padded(255).end()).expect_status(3, 200);
    peer.send_all(&[headers(5, GET).padded(9).open().end(), continuation(5, [])]).expect_status(5, 200);
    peer.is_content();
}

#[test]
fn rfc_9113_6_2_headers_with_more_padding_than_payload() {
    let mut peer = Peer::new();
    peer.send(raw(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, [4, 0x82, 0x84, 0x86]));
    peer.expect_connection_error(&[PROTOCOL_ERROR]);
    let mut peer = Peer::new();
    // The priority fields leave room for three only.
    peer.send(headers_of(1, [0x82, 0x84, 0x86]).depends_on(0).claims_padding(4).end());
    peer.expect_connection_error(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]);
}

#[test]
fn rfc_9113_6_2_headers_without_room_for_what_their_flags_say() {
    for (flags, payload) in [(PADDED, &[][..]), (PRIORITISED, &[0; 4]), (PADDED | PRIORITISED, &[0; 5])] {
        let mut peer = Peer::new();
        peer.send(raw(HEADERS, END_HEADERS | END_STREAM | flags, 1, payload));
        peer.expect_connection_error(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR, COMPRESSION_ERROR]);
    }
}

#[test]
fn rfc_9113_6_2_headers_on_stream_zero() {
    Peer::new().send(headers(0, GET).end()).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_2_headers_may_leave_the_block_to_others() {
    let mut peer = Peer::new();
    peer.send_all(&[headers_of(1, []).open().end(), continuation(1, block(GET))]).expect_status(1, 200);
}

#[test]
fn rfc_9113_6_2_end_stream_counts_with_the_last_piece_of_the_block() {
    let mut peer = Peer::new();
    let (start, rest) = (block(&GET[..2]), block(&GET[2..]));
    peer.send(headers_of(1, start).open().end()).send(continuation(1, []).open().with(END_STREAM));
    peer.send(continuation(1, rest)).expect_status(1, 200).is_content();
}

#[test]
fn rfc_9113_6_2_headers_that_depend_on_themselves() {
    // RFC 7540 called it a stream error; RFC 9113 gives the fields no meaning.
    let mut peer = Peer::new();
    peer.send(headers(1, GET).depends_on(1).end()).expect_answers_or_refuses();
}

// ── PRIORITY ────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_3_priority_in_any_state() {
    let mut peer = Peer::new();
    peer.send_all(&[priority(1, 0), headers(1, POST), priority(1, 3), data(1, "").end(), priority(1, 5)]);
    peer.expect_answer(1);
    peer.send(priority(1, 0)).send(priority(99, 1 << 31)).is_content();
    peer.send(headers(3, GET).end()).expect_status(3, 200);
}

#[test]
fn rfc_9113_6_3_priority_on_stream_zero() {
    Peer::new().send(priority(0, 1)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_3_priority_of_another_length() {
    for length in [0, 4, 6] {
        let mut peer = Peer::new();
        peer.send_all(&[headers(1, POST), raw(PRIORITY, 0, 1, vec![0; length])]);
        peer.expect_stream_error(1, &[FRAME_SIZE_ERROR]);
    }
}

#[test]
fn rfc_9113_6_3_priority_of_another_length_on_an_idle_stream() {
    // A stream error, but an idle stream cannot be reset: RFC 9113 §5.1.
    let mut peer = Peer::new();
    peer.send(raw(PRIORITY, 0, 1, [0; 4])).expect_either_error(1, &[FRAME_SIZE_ERROR]);
}

#[test]
fn rfc_9113_6_3_priority_on_itself() {
    // As above: an error of old, of no meaning today.
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), priority(1, 1), ping([9; 8])]);
    peer.until("a reset or nothing", |peer| {
        peer.pongs.contains(&[9; 8])
            || peer.reset_of(1) == Some(PROTOCOL_ERROR)
            || peer.is_sent_away(&[PROTOCOL_ERROR])
    });
}

// ── RST_STREAM ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_4_rst_stream_ends_an_answer() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 100)]);
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 100);
    peer.send_all(&[rst_stream(1, CANCEL), window_update(1, 100)]).is_content().expect_no_bytes(1);
    assert!(peer.expect_no_bytes(1).reset_of(1).is_none());
}

#[test]
fn rfc_9113_6_4_rst_stream_ends_a_request() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "never mind"), rst_stream(1, CANCEL)]).is_content();
    assert!(!peer.comes_true(SILENCE, |peer| peer.answers.contains_key(&1)), "it was answered");
    peer.send(headers(3, GET).end()).expect_status(3, 200);
}

#[test]
fn rfc_9113_6_4_rst_stream_on_stream_zero() {
    Peer::new().send(rst_stream(0, CANCEL)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_4_rst_stream_on_an_idle_stream() {
    Peer::new().send(rst_stream(7, CANCEL)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_4_rst_stream_of_another_length() {
    for length in [0, 3, 5, 8] {
        let mut peer = Peer::new();
        peer.send_all(&[headers(1, POST), raw(RST_STREAM, 0, 1, vec![0; length])]);
        peer.expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

// ── PUSH_PROMISE ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_6_a_client_promises_nothing() {
    for stream in [0, 1, 2, 3] {
        let mut peer = Peer::new();
        peer.send(headers(1, POST));
        let promise = [&2_u32.to_be_bytes()[..], &block(GET)].concat();
        peer.send(raw(PUSH_PROMISE, END_HEADERS, stream, promise));
        peer.expect_connection_error(&[PROTOCOL_ERROR]);
    }
}

// ── PING ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_7_ping_is_answered_with_its_payload() {
    let mut peer = Peer::new();
    for payload in [[0; 8], [0xFF; 8], *b"kolkkolk"] {
        peer.send(ping(payload)).until("its payload", |peer| peer.pongs.last() == Some(&payload));
    }
}

#[test]
fn rfc_9113_6_7_pings_are_answered_in_order() {
    let mut peer = Peer::new();
    let payloads: Vec<[u8; 8]> = (0..100_u64).map(u64::to_be_bytes).collect();
    let frames: Vec<Frame> = payloads.iter().map(|payload| ping(*payload)).collect();
    peer.send_all(&frames).until("all of them", |peer| peer.pongs.len() == 100);
    assert_eq!(peer.pongs, payloads);
}

#[test]
fn rfc_9113_6_7_an_acknowledgement_is_not_answered() {
    let mut peer = Peer::new();
    peer.send(ping(*b"unasked!").with(ACK)).is_content();
    assert!(!peer.pongs.contains(b"unasked!"));
}

#[test]
fn rfc_9113_6_7_ping_on_a_stream() {
    Peer::new().send(ping([0; 8]).on(1)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_7_ping_of_another_length() {
    for length in [0, 6, 7, 9, 16] {
        let mut peer = Peer::new();
        peer.send(raw(PING, 0, 0, vec![0; length])).expect_connection_error(&[FRAME_SIZE_ERROR]);
        let mut peer = Peer::new();
        peer.send(raw(PING, ACK, 0, vec![0; length])).expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

// ── GOAWAY ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_8_goaway_on_a_stream() {
    Peer::new().send(goaway(0, NO_ERROR).on(1)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_8_goaway_of_another_length() {
    for length in [0, 7] {
        let mut peer = Peer::new();
        peer.send(raw(GOAWAY, 0, 0, vec![0; length])).expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

#[test]
fn rfc_9113_6_8_whoever_says_goodbye_is_served_to_the_end() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send(headers(1, LARGE).end()).is_content();
    let mut farewell = goaway(0, NO_ERROR);
    farewell.payload.extend(b"thank you");
    peer.send_all(&[farewell, window_update(1, 1000)]);
    if strict() {
        peer.expect_bytes(1, 1000);
    }
}

#[test]
fn rfc_9113_6_8_a_goodbye_with_nothing_left_to_do_ends_the_connection() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    peer.send(goaway(0, NO_ERROR));
    if strict() {
        peer.until("the end", |peer| peer.closed);
    }
}

// ── CONTINUATION ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_10_a_block_of_several_frames() {
    let mut peer = Peer::new();
    let fields = [("x-a", "1"), ("x-b", "2"), ("x-c", "3")];
    peer.send(headers(1, GET).open().end());
    for field in &fields[..2] {
        peer.send(continuation(1, block(&[*field])).open());
    }
    peer.send(continuation(1, block(&fields[2..]))).expect_status(1, 200).is_content();
}

#[test]
fn rfc_9113_6_10_continuation_of_trailers() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "content"), headers(1, &[("x-a", "1")]).open().end()]);
    peer.send(continuation(1, block(&[("x-b", "2")])));
    assert_eq!(peer.expect_answer(1).body, b"content");
}

#[test]
fn rfc_9113_6_10_continuation_on_stream_zero() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, GET).open().end(), continuation(0, [])]);
    peer.expect_connection_error(&[PROTOCOL_ERROR]);
    Peer::new().send(continuation(0, [])).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_10_continuation_on_another_stream() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, GET).open().end(), continuation(3, [])]);
    peer.expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_10_continuation_behind_the_end_of_its_block() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), continuation(1, [])]).expect_connection_error(&[PROTOCOL_ERROR]);
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST).open(), continuation(1, []), continuation(1, [])]);
    peer.expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_10_continuation_behind_data() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "x"), continuation(1, [])]);
    peer.expect_connection_error(&[PROTOCOL_ERROR]);
}
