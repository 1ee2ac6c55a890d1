//! RFC 9113 §5.2, §6.9: flow control of what the server sends, and of what it takes.

use crate::client::Peer;
use crate::frame::*;
use crate::target::{LARGE_BYTES, strict};

const WINDOW_MAX: u32 = (1 << 31) - 1;

/// A peer with this initial window that has asked for the large answer on stream 1.
fn asked(window: u32) -> Peer {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, window)]);
    peer.send(headers(1, LARGE).end());
    peer
}

// ── What the server sends ───────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_9_1_a_window_of_one_byte() {
    let mut peer = asked(1);
    peer.expect_bytes(1, 1).expect_no_bytes(1);
    assert_eq!(peer.answer(1).pieces, [1]);
    peer.send(window_update(1, 1)).expect_bytes(1, 2).expect_no_bytes(1);
}

#[test]
fn rfc_9113_6_9_1_no_window_at_all() {
    let mut peer = asked(0);
    peer.until("the head", |peer| peer.answers.get(&1).is_some_and(|one| one.status() == Some(200)));
    peer.expect_no_bytes(1);
    peer.send(window_update(1, 7)).expect_bytes(1, 7).expect_no_bytes(1).is_content();
}

#[test]
fn rfc_9113_6_9_1_the_default_windows() {
    let mut peer = Peer::new();
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 65_535).expect_no_bytes(1);
    // Both are used up: credit for one of them is no use.
    peer.send(window_update(1, 100)).expect_no_bytes(1);
    peer.send(window_update(0, 60)).expect_bytes(1, 65_595).expect_no_bytes(1);
    peer.send(window_update(0, 100)).expect_bytes(1, 65_635).expect_no_bytes(1).is_content();
}

#[test]
fn rfc_9113_6_9_1_the_window_of_the_connection_is_shared() {
    let mut peer = asked(40_000);
    peer.expect_bytes(1, 40_000);
    peer.send(headers(3, LARGE).end()).expect_bytes(3, 25_535).expect_no_bytes(3);
    peer.send(window_update(0, 100_000)).expect_bytes(3, 40_000).expect_no_bytes(3);
    peer.send(window_update(1, 10)).expect_bytes(1, 40_010).is_content();
}

#[test]
fn rfc_9113_6_9_1_heads_and_pings_need_no_window() {
    let mut peer = Peer::new();
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 65_535).is_content();
    let head = |peer: &Peer| peer.answers.get(&3).is_some_and(|one| one.status() == Some(200));
    peer.send(headers(3, GET).end()).expect_no_bytes(3).send(headers(5, HEAD).end());
    if strict() {
        peer.until("the head of an answer", head);
        // Nor does the end of a stream, if one cares to send it.
        peer.expect_status(5, 200);
    }
    peer.send(window_update(0, 6)).is_content();
}

#[test]
fn rfc_9113_6_9_1_a_whole_answer_in_ten_thousands() {
    let mut peer = asked(10_000);
    let mut credit = 10_000;
    while credit < LARGE_BYTES {
        peer.expect_bytes(1, credit);
        peer.send_all(&[window_update(1, 10_000), window_update(0, 10_000)]);
        credit += 10_000;
    }
    let answer = peer.expect_answer(1);
    assert_eq!(answer.body.len(), LARGE_BYTES);
    assert!(answer.pieces.iter().all(|piece| *piece <= 16_384));
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
}

#[test]
fn rfc_9113_6_9_1_a_whole_answer_at_once() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, WINDOW_MAX)]);
    peer.send(window_update(0, WINDOW_MAX - 65_535)).send(headers(1, LARGE).end());
    assert_eq!(peer.expect_answer(1).body.len(), LARGE_BYTES);
    peer.is_content();
}

#[test]
fn rfc_9113_6_9_1_a_window_that_fits_to_the_byte() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 6)]);
    peer.send(headers(1, GET).end());
    assert_eq!(peer.expect_answer(1).body, b"hello\n");
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 5)]);
    peer.send(headers(1, GET).end()).expect_bytes(1, 5).expect_no_bytes(1).send(window_update(1, 1));
    assert_eq!(peer.expect_answer(1).body, b"hello\n");
}

#[test]
fn rfc_9113_6_9_2_a_larger_initial_window_counts_for_open_streams() {
    let mut peer = asked(0);
    peer.is_content().expect_no_bytes(1);
    peer.send(settings(&[(INITIAL_WINDOW_SIZE, 1)])).expect_bytes(1, 1).expect_no_bytes(1);
    peer.send(settings(&[(INITIAL_WINDOW_SIZE, 11)])).expect_bytes(1, 11).expect_no_bytes(1);
}

#[test]
fn rfc_9113_6_9_2_a_window_may_become_negative() {
    let mut peer = asked(3);
    peer.expect_bytes(1, 3);
    // Three are out, so the window is now −1, and 0 with one more.
    peer.send(settings(&[(INITIAL_WINDOW_SIZE, 2)])).send(window_update(1, 1)).is_content();
    peer.expect_no_bytes(1);
    peer.send(window_update(1, 2)).expect_bytes(1, 5).expect_no_bytes(1);
    peer.send(settings(&[(INITIAL_WINDOW_SIZE, 0)])).send(settings(&[(INITIAL_WINDOW_SIZE, 3)]));
    peer.expect_bytes(1, 6).expect_no_bytes(1).is_content();
}

#[test]
fn rfc_9113_6_9_2_settings_leave_the_window_of_the_connection_alone() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 100_000)]);
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 65_535);
    peer.send(settings(&[(INITIAL_WINDOW_SIZE, 200_000)])).is_content().expect_no_bytes(1);
}

#[test]
fn rfc_9113_6_9_2_an_initial_window_that_makes_a_window_too_large() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send_all(&[headers(1, POST), window_update(1, 1), settings(&[(INITIAL_WINDOW_SIZE, WINDOW_MAX)])]);
    peer.expect_connection_error(&[FLOW_CONTROL_ERROR]);
}

// ── WINDOW_UPDATE ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_9_an_increment_of_nothing_on_the_connection() {
    Peer::new().send(window_update(0, 0)).expect_connection_error(&[PROTOCOL_ERROR]);
    // The reserved bit makes it no more.
    Peer::new().send(window_update(0, 1 << 31)).expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_9_an_increment_of_nothing_on_a_stream() {
    asked(0).send(window_update(1, 0)).expect_stream_error(1, &[PROTOCOL_ERROR]);
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), window_update(1, 0)]).expect_stream_error(1, &[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_9_window_update_of_another_length() {
    for length in [0, 3, 5, 8] {
        let frame = raw(WINDOW_UPDATE, 0, 0, vec![1; length]);
        Peer::new().send(frame.clone()).expect_connection_error(&[FRAME_SIZE_ERROR]);
        asked(0).send(frame.on(1)).expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

#[test]
fn rfc_9113_6_9_1_the_window_of_the_connection_overflows() {
    let mut peer = Peer::new();
    peer.send(window_update(0, WINDOW_MAX - 65_535)).is_content();
    peer.send(window_update(0, 1)).expect_connection_error(&[FLOW_CONTROL_ERROR]);
    Peer::new().send(window_update(0, WINDOW_MAX)).expect_connection_error(&[FLOW_CONTROL_ERROR]);
}

#[test]
fn rfc_9113_6_9_1_the_window_of_a_stream_overflows() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), window_update(1, WINDOW_MAX - 65_535)]).is_content();
    peer.send(window_update(1, 1)).expect_stream_error(1, &[FLOW_CONTROL_ERROR]);
    let mut peer = asked(1);
    peer.expect_bytes(1, 1);
    peer.send_all(&[window_update(1, WINDOW_MAX), window_update(1, WINDOW_MAX)]);
    peer.expect_stream_error(1, &[FLOW_CONTROL_ERROR]);
}

// ── What the server takes ───────────────────────────────────────────────────────────────────────────

/// What the server lets a client send on a connection, and on each stream, before it gives credit.
fn windows(peer: &Peer) -> (usize, usize) {
    let stream = peer.settings.get(&INITIAL_WINDOW_SIZE).map_or(65_535, |size| *size as usize);
    let credit = peer.credits.get(&0).copied().unwrap_or(0);
    (65_535 + usize::try_from(credit).unwrap(), stream)
}

#[test]
fn rfc_9113_6_9_1_more_than_the_window_is_taken_by_nobody() {
    let mut peer = Peer::new();
    peer.is_content();
    let (connection, stream) = windows(&peer);
    let room = connection.min(stream);
    if room > 1 << 21 {
        return;
    }
    // In one piece, so that no credit comes in time; whatever the server grants meanwhile counts.
    peer.send(headers(1, POST));
    let frames: Vec<Frame> = (0..64 * room / 16_384).map(|_| data(1, vec![b'x'; 16_384])).collect();
    if strict() {
        let sent = frames.len() * 16_384;
        peer.send_all(&frames);
        peer.until("FLOW_CONTROL_ERROR, or credit for all of it", |peer| {
            let granted = peer.credits.get(&1).copied().unwrap_or(0);
            let codes = [peer.reset_of(1), peer.goaways.last().map(|(_, code)| *code)];
            codes.contains(&Some(FLOW_CONTROL_ERROR)) || usize::try_from(granted).unwrap() + stream >= sent
        });
    }
}

#[test]
fn rfc_9113_6_9_1_padding_counts_and_comes_back() {
    let mut peer = Peer::new();
    peer.send(headers(1, POST));
    // Mostly padding: about a megabyte of window, 4,000 bytes of content, within what is granted.
    let mut sent = 0;
    for _ in 0..4_000 {
        let length = 257;
        peer.until("credit for padding", |peer| {
            let (connection, stream) = windows(peer);
            let granted = usize::try_from(peer.credits.get(&1).copied().unwrap_or(0)).unwrap();
            sent + length <= connection.min(stream + granted)
        });
        peer.send(data(1, "x").padded(255));
        sent += length;
    }
    peer.send(data(1, "").end());
    assert_eq!(peer.expect_answer(1).body.len(), 4_000);
}

#[test]
fn rfc_9113_6_9_1_a_large_request_gets_its_credit() {
    let mut peer = Peer::new();
    peer.send(headers(1, POST));
    let mut sent = 0;
    while sent < 300_000 {
        peer.until("credit", |peer| {
            let (connection, stream) = windows(peer);
            let granted = usize::try_from(peer.credits.get(&1).copied().unwrap_or(0)).unwrap();
            sent + 10_000 <= connection.min(stream + granted)
        });
        peer.send(data(1, vec![b'y'; 10_000]));
        sent += 10_000;
    }
    peer.send_all(&[data(1, "").end(), window_update(0, 1 << 20), window_update(1, 1 << 20)]);
    assert_eq!(peer.expect_answer(1).body.len(), 300_000);
}

#[test]
fn rfc_9113_6_9_what_is_dropped_comes_back_to_the_connection() {
    let mut peer = Peer::new();
    let mut sent = 0;
    for stream in (1..201).step_by(2) {
        peer.until("credit for what was dropped", |peer| sent + 10_000 <= windows(peer).0);
        // Refused at its head or reset by us, its content is dropped.
        peer.send_all(&[headers(stream, POST), data(stream, vec![b'z'; 10_000]), rst_stream(stream, CANCEL)]);
        sent += 10_000;
    }
    peer.is_content();
}
