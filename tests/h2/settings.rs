//! RFC 9113 §6.5, RFC 8441 §3 and RFC 9218 §2.1: SETTINGS.

use crate::client::{Peer, SILENCE};
use crate::frame::*;

/// A connection error of this code is what a client gets that says so, behind the preface and at once.
#[track_caller]
fn refused(list: &[(u16, u32)], code: u32) {
    Peer::new().send(settings(list)).expect_connection_error(&[code]);
    Peer::silent().write(PREFACE).send(settings(list)).expect_connection_error(&[code]);
}

#[test]
fn rfc_9113_6_5_settings_are_acknowledged_each() {
    let mut peer = Peer::new();
    for count in 2..10 {
        peer.send(settings(&[(INITIAL_WINDOW_SIZE, 10 * 1024)]));
        peer.until("an acknowledgement", |peer| peer.settings_acks == count);
    }
    peer.send_all(&[settings(&[]), settings(&[]), settings(&[])]);
    peer.until("three acknowledgements", |peer| peer.settings_acks == 12).is_content();
}

#[test]
fn rfc_9113_6_5_an_acknowledgement_is_not_answered() {
    let mut peer = Peer::new();
    peer.is_content();
    let acks = peer.settings_acks;
    peer.send(settings_ack());
    // One that nothing asked for may also be an error.
    if !peer.comes_true(SILENCE, |peer| peer.closed || !peer.goaways.is_empty()) {
        peer.is_content();
    }
    assert_eq!(peer.settings_acks, acks);
}

#[test]
fn rfc_9113_6_5_an_acknowledgement_with_a_payload() {
    let mut peer = Peer::new();
    peer.send(settings(&[(ENABLE_PUSH, 0)]).with(ACK)).expect_connection_error(&[FRAME_SIZE_ERROR]);
    Peer::new().send(raw(SETTINGS, ACK, 0, "x")).expect_connection_error(&[FRAME_SIZE_ERROR]);
}

#[test]
fn rfc_9113_6_5_settings_on_a_stream() {
    Peer::new().send(settings(&[]).on(1)).expect_connection_error(&[PROTOCOL_ERROR]);
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), settings(&[(ENABLE_PUSH, 0)]).on(1)]);
    peer.expect_connection_error(&[PROTOCOL_ERROR]);
}

#[test]
fn rfc_9113_6_5_settings_of_another_length() {
    for length in [1, 3, 5, 7, 13] {
        Peer::new().send(raw(SETTINGS, 0, 0, vec![0; length])).expect_connection_error(&[FRAME_SIZE_ERROR]);
    }
}

#[test]
fn rfc_9113_6_5_2_push_is_on_or_off() {
    Peer::new().send(settings(&[(ENABLE_PUSH, 1)])).send(settings(&[(ENABLE_PUSH, 0)])).is_content();
    refused(&[(ENABLE_PUSH, 2)], PROTOCOL_ERROR);
    refused(&[(ENABLE_PUSH, u32::MAX)], PROTOCOL_ERROR);
}

#[test]
fn rfc_9113_6_5_2_initial_window_size_above_the_maximum() {
    refused(&[(INITIAL_WINDOW_SIZE, 1 << 31)], FLOW_CONTROL_ERROR);
    refused(&[(INITIAL_WINDOW_SIZE, u32::MAX)], FLOW_CONTROL_ERROR);
}

#[test]
fn rfc_9113_6_5_2_initial_window_size_at_the_maximum() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, (1 << 31) - 1)]);
    peer.send(headers(1, GET).end()).expect_status(1, 200).is_content();
}

#[test]
fn rfc_9113_6_5_2_max_frame_size_below_the_minimum() {
    refused(&[(MAX_FRAME_SIZE, (1 << 14) - 1)], PROTOCOL_ERROR);
    refused(&[(MAX_FRAME_SIZE, 0)], PROTOCOL_ERROR);
}

#[test]
fn rfc_9113_6_5_2_max_frame_size_above_the_maximum() {
    refused(&[(MAX_FRAME_SIZE, 1 << 24)], PROTOCOL_ERROR);
    refused(&[(MAX_FRAME_SIZE, u32::MAX)], PROTOCOL_ERROR);
}

#[test]
fn rfc_9113_6_5_2_max_frame_size_within_its_bounds() {
    let mut peer = Peer::with(&[(MAX_FRAME_SIZE, 1 << 14)]);
    peer.send(settings(&[(MAX_FRAME_SIZE, 1 << 14)])).is_content();
    peer.send(settings(&[(MAX_FRAME_SIZE, (1 << 24) - 1)])).is_content();
}

#[test]
fn rfc_9113_6_5_2_any_number_of_streams_and_any_list_and_any_table() {
    for value in [0, 1, u32::MAX] {
        let mut peer = Peer::with(&[(MAX_CONCURRENT_STREAMS, value), (HEADER_TABLE_SIZE, value)]);
        for stream in [1, 3, 5] {
            peer.send(headers(stream, GET).end()).expect_status(stream, 200);
        }
        peer.is_content();
    }
    // Advice only: RFC 9113 §6.5.2.
    Peer::with(&[(MAX_HEADER_LIST_SIZE, u32::MAX)]).send(headers(1, GET).end()).expect_status(1, 200);
}

#[test]
fn rfc_9113_6_5_2_unknown_settings_are_ignored() {
    let mut peer = Peer::with(&[(0xFF, u32::MAX), (0xAAAA, 0), (0, 0)]);
    peer.send(headers(1, GET).end()).expect_status(1, 200).is_content();
}

#[test]
fn rfc_9113_6_5_3_values_count_in_their_order() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]);
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 1).expect_no_bytes(1);
    // Even a value that the next one replaces has to be right.
    refused(&[(INITIAL_WINDOW_SIZE, 1 << 31), (INITIAL_WINDOW_SIZE, 1)], FLOW_CONTROL_ERROR);
}

#[test]
fn rfc_9113_6_5_3_settings_count_for_what_follows() {
    let mut peer = Peer::new();
    peer.send_all(&[settings(&[(INITIAL_WINDOW_SIZE, 3)]), headers(1, LARGE).end()]).expect_bytes(1, 3);
    assert_eq!(peer.settings_acks, 2, "the answer came before the acknowledgement");
    peer.expect_no_bytes(1);
}

#[test]
fn rfc_8441_3_a_client_may_say_that_it_extends_connect() {
    let mut peer = Peer::with(&[(ENABLE_CONNECT_PROTOCOL, 1)]);
    peer.send(headers(1, GET).end()).expect_status(1, 200).is_content();
}

#[test]
fn rfc_9218_2_1_priorities_of_old_are_off_or_on() {
    Peer::with(&[(NO_RFC7540_PRIORITIES, 1)]).send(headers(1, GET).end()).expect_status(1, 200).is_content();
    Peer::with(&[(NO_RFC7540_PRIORITIES, 0)]).send(headers(1, GET).end()).expect_status(1, 200).is_content();
    // To whoever does not know it, it is an unknown setting.
    if Peer::new().settings.contains_key(&NO_RFC7540_PRIORITIES) {
        refused(&[(NO_RFC7540_PRIORITIES, 2)], PROTOCOL_ERROR);
    }
}
