//! RFC 9218 and whatever else may extend HTTP/2; and the end of a connection in order.

use std::time::Duration;

use kolk::{Server, Workers};

use crate::client::Peer;
use crate::frame::*;
use crate::target::{self, strict};

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

#[test]
fn rfc_9218_7_1_priority_update_on_a_stream() {
    if strict() {
        Peer::new().send(priority_update(1, "u=1").on(1)).expect_connection_error(&[PROTOCOL_ERROR]);
    }
}

#[test]
fn rfc_9218_7_1_priority_update_too_short() {
    if strict() {
        for length in 0..4 {
            let frame = raw(PRIORITY_UPDATE, 0, 0, vec![0; length]);
            Peer::new().send(frame).expect_connection_error(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);
        }
    }
}

#[test]
fn rfc_9218_7_1_priority_update_for_no_stream_of_a_client() {
    if strict() {
        for stream in [0, 2] {
            Peer::new().send(priority_update(stream, "u=1")).expect_connection_error(&[PROTOCOL_ERROR]);
        }
    }
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

#[test]
fn rfc_9113_6_8_a_server_that_drains_ends_what_it_began() {
    if !strict() || std::env::var_os("KOLK_H2_TARGET").is_some() {
        return;
    }
    let server = target::start(Server::new(target::site()).workers(Workers::Exactly(1)));
    let mut peer = Peer::at(server.addrs()[0].socket_addr().unwrap());
    peer.greet(&[(INITIAL_WINDOW_SIZE, 100)]);
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 100);
    let mut idle = Peer::at(server.addrs()[0].socket_addr().unwrap());
    idle.greet(&[]);
    server.drain(Duration::from_secs(5));
    peer.until("GOAWAY", |peer| !peer.goaways.is_empty());
    assert!(peer.goaways.iter().all(|(_, code)| *code == NO_ERROR), "{:?}", peer.goaways);
    idle.until("the end of an idle connection", |peer| peer.closed);
    assert!(idle.goaways.iter().all(|(_, code)| *code == NO_ERROR));
    peer.send_all(&[window_update(0, 1 << 21), window_update(1, 1 << 21)]);
    assert_eq!(peer.expect_answer(1).body.len(), target::LARGE_BYTES);
    peer.until("the end", |peer| peer.closed);
    // The first may have promised more than there was; the last does not.
    assert_eq!(peer.goaways.last().map(|(last, _)| *last), Some(1));
    server.join().unwrap();
}
