//! RFC 9113 §5: states of a stream, identifiers, concurrency, and errors of either kind.

use crate::client::{Peer, SILENCE};
use crate::frame::*;
use crate::target::strict;

/// A peer whose stream 1 is half-closed (remote): its answer waits for credit.
fn half_closed() -> Peer {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send(headers(1, LARGE).end());
    peer.until("the head of an answer", |peer| {
        peer.answers.get(&1).is_some_and(|one| one.status().is_some())
    });
    peer
}

/// A peer whose stream 1 has come to its end in both directions.
fn closed() -> Peer {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    peer
}

/// A peer whose stream 1 it has reset.
fn cancelled() -> Peer {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), rst_stream(1, CANCEL)]).is_content();
    peer
}

/// A peer whose stream 1 the server has reset.
fn refused() -> Peer {
    let mut peer = Peer::new();
    peer.send(headers(1, &and(POST, &[("X-Upper", "a")])));
    peer.until("a reset", |peer| peer.reset_of(1).is_some() || peer.answers.contains_key(&1) || peer.closed);
    peer
}

// ── Idle ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_5_1_idle_data() {
    Peer::new().send(data(1, "x").end()).expect_connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_idle_rst_stream() {
    Peer::new().send(rst_stream(1, CANCEL)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_idle_window_update() {
    Peer::new().send(window_update(1, 100)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_idle_continuation() {
    Peer::new().send(continuation(1, block(GET))).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_idle_priority() {
    let mut peer = Peer::new();
    peer.send(priority(5, 0)).send(priority(1, 5)).is_content();
    peer.send(headers(1, GET).end()).expect_status(1, 200);
}

#[test]
fn rfc_9113_5_1_idle_streams_of_the_server() {
    Peer::new().send(data(2, "x")).expect_connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);
    Peer::new().send(rst_stream(2, CANCEL)).expect_connection_error(&[PROTOCOL_ERROR]);
    Peer::new().send(window_update(2, 100)).expect_connection_error(&[PROTOCOL_ERROR]);
}

// ── Half-closed (remote) ────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_5_1_half_closed_data() {
    half_closed().send(data(1, "x").end()).expect_stream_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_half_closed_empty_data() {
    half_closed().send(data(1, "").end()).expect_stream_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_half_closed_headers() {
    half_closed().send(headers(1, GET).end()).expect_stream_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_half_closed_trailers() {
    half_closed().send(headers(1, &[("x-a", "b")]).end()).expect_stream_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_half_closed_headers_still_count_for_the_table() {
    let mut peer = half_closed();
    peer.send(headers_of(1, indexed_literal("x-kept", "here")).end());
    if strict() {
        peer.expect_stream_error(1, &[STREAM_CLOSED]);
        // Index 62 is what that block left behind.
        let block = [block(GET), vec![0x80 | 62]].concat();
        peer.send(settings(&[(INITIAL_WINDOW_SIZE, 65_535)])).send(headers_of(3, block).end());
        peer.expect_status(3, 200);
    }
}

#[test]
fn rfc_9113_5_1_half_closed_continuation() {
    half_closed().send(continuation(1, [])).expect_connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_half_closed_what_is_allowed() {
    let mut peer = half_closed();
    peer.send(window_update(1, 10)).expect_bytes(1, 10);
    peer.send(priority(1, 0)).is_content();
    peer.send(rst_stream(1, CANCEL)).is_content();
    assert!(peer.send(window_update(1, 10)).is_content().expect_no_bytes(1).reset_of(1).is_none());
}

// ── Closed ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_5_1_closed_data() {
    closed().send(data(1, "x").end()).expect_either_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_closed_data_behind_trailers() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), headers(1, &[("x-sum", "0")]).end(), data(1, "x")]);
    peer.expect_either_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_closed_headers() {
    closed().send(headers(1, GET).end()).expect_either_error(1, &[STREAM_CLOSED, PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_closed_continuation() {
    closed().send(continuation(1, [])).expect_connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_closed_what_may_still_be_under_way() {
    let mut peer = closed();
    peer.send_all(&[window_update(1, 100), priority(1, 0), rst_stream(1, CANCEL)]).is_content();
    peer.send(headers(3, GET).end()).expect_status(3, 200);
}

#[test]
fn rfc_9113_5_1_closed_by_the_client_data() {
    cancelled().send(data(1, "x").end()).expect_either_error(1, &[STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_closed_by_the_client_headers() {
    cancelled().send(headers(1, GET).end()).expect_either_error(1, &[STREAM_CLOSED, PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_closed_by_the_client_what_may_still_be_under_way() {
    cancelled().send_all(&[window_update(1, 100), priority(1, 0), rst_stream(1, CANCEL)]).is_content();
}

#[test]
fn rfc_9113_5_1_closed_by_the_server_whatever_was_under_way_is_dropped() {
    let mut peer = refused();
    peer.send_all(&[data(1, "under way"), window_update(1, 1), priority(1, 0)]);
    peer.send(headers_of(1, indexed_literal("x-trailer", "t")).end());
    if strict() {
        peer.is_content();
        // The trailers were decoded all the same: 62 is one of them.
        peer.send(headers_of(3, [block(GET), vec![0x80 | 62]].concat()).end()).expect_status(3, 200);
    }
}

#[test]
fn rfc_9113_5_1_closed_by_the_server_a_reset_crosses_a_reset() {
    let mut peer = refused();
    peer.send(rst_stream(1, CANCEL));
    if strict() {
        peer.is_content();
    }
}

// ── Identifiers ─────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_5_1_1_an_even_stream() {
    Peer::new().send(headers(2, GET).end()).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_1_stream_zero() {
    Peer::new().send(headers(0, GET).end()).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_1_a_lower_stream_than_the_last() {
    let mut peer = Peer::new();
    peer.send(headers(5, GET).end()).expect_status(5, 200);
    peer.send(headers(3, GET).end()).expect_connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);
}

#[test]
fn rfc_9113_5_1_1_a_skipped_stream_is_closed() {
    let mut peer = Peer::new();
    peer.send(headers(5, GET).end()).expect_status(5, 200);
    // Closed, not idle: these may have been under way.
    peer.send_all(&[window_update(3, 1), priority(3, 0)]);
    if strict() {
        peer.is_content();
    }
    // This cannot, but whoever does not remember what was closed, and how, may drop it: RFC 9113 §5.1.
    let payload = peer.next_ping();
    peer.send_all(&[data(3, "x"), ping(payload)]);
    peer.until("STREAM_CLOSED or nothing", |peer| {
        let codes = [STREAM_CLOSED, PROTOCOL_ERROR];
        peer.is_sent_away(&codes) || peer.reset_of(3) == Some(STREAM_CLOSED) || peer.pongs.contains(&payload)
    });
}

#[test]
fn rfc_9113_5_1_1_the_highest_stream() {
    let mut peer = Peer::new();
    peer.send(headers((1 << 31) - 1, GET).end()).expect_status((1 << 31) - 1, 200);
    peer.is_content();
}

#[test]
fn rfc_9113_5_1_1_many_streams_one_after_the_other() {
    let mut peer = Peer::new();
    for stream in (1..600).step_by(2) {
        peer.send(headers(stream, GET).end()).expect_status(stream, 200);
    }
    peer.is_content();
}

// ── Concurrency ─────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_5_1_2_more_streams_than_there_may_be() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    let most = peer.settings[&MAX_CONCURRENT_STREAMS];
    let frames: Vec<Frame> = (0..most).map(|at| headers(2 * at + 1, LARGE).end()).collect();
    peer.send_all(&frames).is_content();
    let last = 2 * most + 1;
    peer.send(headers(last, GET).end());
    peer.expect_stream_error(last, &[REFUSED_STREAM, PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_5_1_2_a_stream_that_ends_makes_room() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    let most = peer.settings[&MAX_CONCURRENT_STREAMS];
    let frames: Vec<Frame> = (0..most).map(|at| headers(2 * at + 1, LARGE).end()).collect();
    peer.send_all(&frames).is_content();
    peer.send_all(&[rst_stream(1, CANCEL), settings(&[(INITIAL_WINDOW_SIZE, 10)])]);
    peer.is_content();
    let last = 2 * most + 1;
    peer.send(headers(last, GET).end()).expect_status(last, 200);
}

#[test]
fn rfc_9113_5_1_2_streams_at_once_are_all_answered() {
    let mut peer = Peer::new();
    let frames: Vec<Frame> = (1..200).step_by(2).map(|stream| headers(stream, GET).end()).collect();
    peer.send_all(&frames);
    for stream in (1..200).step_by(2) {
        peer.expect_status(stream, 200);
    }
    peer.is_content();
}

#[test]
fn rfc_9113_5_1_2_idle_streams_with_a_priority_do_not_count() {
    let mut peer = Peer::new();
    // Others build the tree of RFC 7540, and keep it small.
    let count = if strict() { 150 } else { 10 };
    let frames: Vec<Frame> = (0..count).map(|at| priority(2 * at + 1, 0)).collect();
    peer.send_all(&frames).send(headers(1, GET).end()).expect_status(1, 200);
}

// ── Priorities of old, errors, extensions ───────────────────────────────────────────────────────────

#[test]
fn rfc_9113_5_3_2_the_priority_fields_mean_nothing() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).depends_on(0).end()).expect_status(1, 200);
    peer.send(headers(3, GET).depends_on(77).padded(7).end()).expect_status(3, 200);
    peer.send(headers(5, GET).depends_on(1 << 31).end()).expect_status(5, 200);
    peer.is_content();
}

#[test]
fn rfc_9113_5_4_1_goaway_names_the_last_stream() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    peer.send(headers(7, GET).end()).expect_status(7, 200);
    peer.send(ping([0; 8]).on(9)).expect_connection_error(&[PROTOCOL_ERROR]);
    assert!(peer.goaways.iter().all(|(last, _)| *last == 7), "{:?}", peer.goaways);
}

#[test]
fn rfc_9113_5_4_2_a_reset_is_not_answered() {
    let mut peer = half_closed();
    for code in [NO_ERROR, CANCEL, 0xFF, u32::MAX] {
        peer.send(rst_stream(1, code)).is_content();
    }
    assert_eq!(peer.reset_of(1), None);
}

#[test]
fn rfc_9113_5_4_2_an_error_of_one_stream_harms_no_other() {
    let mut peer = half_closed();
    peer.send(headers(3, &and(GET, &[("X-Upper", "a")])).end());
    if strict() {
        peer.expect_malformed(3).send(window_update(1, 100)).expect_bytes(1, 100);
    }
}

#[test]
fn rfc_9113_5_5_frames_and_settings_of_tomorrow() {
    let mut peer = Peer::with(&[(0xF000, 1), (0xFFFF, u32::MAX), (0, 7)]);
    peer.send(headers(1, POST)).send(raw(0x21, 0xFF, 1, "between"));
    peer.send(data(1, "").end()).send(raw(0x21, 0xFF, 1, "behind"));
    peer.expect_answer(1);
    assert!(!peer.comes_true(SILENCE, |peer| peer.closed));
    peer.is_content();
}
