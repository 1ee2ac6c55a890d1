//! RFC 9218 and whatever else may extend HTTP/2.

use crate::client::Peer;
use crate::frame::*;

#[test]
fn rfc_9218_7_1_priority_update_for_any_stream() {
    let mut peer = Peer::new();
    peer.send(priority_update(1, "u=0, i")).send(headers(1, GET).end()).expect_status(1, 200);
    peer.send(priority_update(1, "u=7")).send(priority_update(3, "")).send(priority_update(5, "u=?!\0"));
    peer.send(headers(3, GET).end()).expect_status(3, 200).is_content();
}

#[test]
fn rfc_9218_7_1_priority_update_for_an_answer_under_way() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 10)]);
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 10);
    peer.send_all(&[priority_update(1, "u=0"), window_update(1, 10)]).expect_bytes(1, 20).is_content();
}

/// A PRIORITY_UPDATE that is wrong: an error of this code, or an unknown frame that is ignored.
#[track_caller]
fn wrong_or_unknown(frame: Frame, codes: &[u32]) {
    let mut peer = Peer::new();
    let payload = peer.next_ping();
    peer.send(frame).send(ping(payload));
    peer.until(&format!("GOAWAY with {codes:?} or nothing"), |peer| {
        peer.is_sent_away(codes) || (peer.goaways.is_empty() && peer.pongs.contains(&payload))
    });
}

#[test]
fn rfc_9218_7_1_priority_update_on_a_stream() {
    wrong_or_unknown(priority_update(1, "u=1").on(1), &[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9218_7_1_priority_update_too_short() {
    for length in 0..4 {
        let frame = raw(PRIORITY_UPDATE, 0, 0, vec![0; length]);
        wrong_or_unknown(frame, &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);
    }
}

#[test]
fn rfc_9218_7_1_priority_update_for_no_stream_of_a_client() {
    wrong_or_unknown(priority_update(0, "u=1"), &[PROTOCOL_ERROR]);
    wrong_or_unknown(priority_update(2, "u=1"), &[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9218_5_the_priority_field_is_a_field() {
    for value in ["u=1", "i", "u=3, i=?0", "u=9", "???", ""] {
        let mut peer = Peer::new();
        peer.send(headers(1, &and(GET, &[("priority", value)])).end()).expect_status(1, 200).is_content();
    }
}

#[test]
fn rfc_9113_5_5_frames_of_other_extensions_are_ignored() {
    let mut peer = Peer::new();
    // ALTSVC, ORIGIN and what somebody may have meant by 0x11.
    for frame in [raw(0xA, 0, 0, "\0\0"), raw(0xC, 0, 0, "\0\0"), raw(0x11, 0xFF, 3, "x"), raw(0xD, 0, 0, [])]
    {
        peer.send(frame);
    }
    peer.send(headers(1, GET).end()).expect_status(1, 200).is_content();
}
