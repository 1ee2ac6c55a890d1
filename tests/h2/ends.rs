//! The end of a connection in order, and of one that nobody uses: only where the server is in this process.

use std::io::Read;
use std::time::{Duration, Instant};

use kolk::http::Phase;
use kolk::{Running, Server, Timeouts, Workers};

use crate::client::{PATIENCE, Peer, now};
use crate::frame::*;
use crate::target::{self, LARGE_BYTES};

const SHORT: Duration = Duration::from_millis(300);

/// A server of this case's own; none where the one under test is elsewhere, and its clock not ours to set.
fn server(timeouts: Timeouts) -> Option<Running> {
    let is_here = std::env::var_os("KOLK_H2_TARGET").is_none();
    let server = Server::new(target::site()).workers(Workers::Exactly(1)).timeouts(timeouts);
    is_here.then(|| target::start(server))
}

/// Patient in everything but what the case sets.
fn patient() -> Timeouts {
    Timeouts { linger: SHORT, ..Timeouts::default() }
}

fn silent(server: &Running) -> Peer {
    Peer::at(server.addrs()[0].socket_addr().unwrap())
}

fn greeted(server: &Running, list: &[(u16, u32)]) -> Peer {
    let mut peer = silent(server);
    peer.greet(list);
    peer
}

/// The connection ends, and not before its time.
#[track_caller]
fn ends_after(peer: &mut Peer, begun: Instant) {
    peer.until("the end", |peer| peer.closed);
    // The server's time begins a little earlier than ours.
    assert!(begun.elapsed() >= SHORT * 3 / 4, "ended after {:?}", begun.elapsed());
}

/// A server, and a client that has got the first bytes of a large answer and no room for the others.
fn begun_answer() -> Option<(Running, Peer)> {
    let server = server(patient())?;
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 100)]);
    peer.send(headers(1, LARGE).end()).expect_bytes(1, 100);
    Some((server, peer))
}

// ── Draining ────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_6_8_a_server_that_drains_ends_what_it_began() {
    let Some((server, mut peer)) = begun_answer() else { return };
    server.drain(Duration::from_secs(5));
    peer.until("GOAWAY", |peer| !peer.goaways.is_empty());
    assert!(peer.goaways.iter().all(|(_, code)| *code == NO_ERROR), "{:?}", peer.goaways);
    peer.send_all(&[window_update(0, 1 << 21), window_update(1, 1 << 21)]);
    assert_eq!(peer.expect_answer(1).body.len(), LARGE_BYTES);
    peer.until("the end", |peer| peer.closed);
    // The first may have promised more than there was; the last does not.
    assert_eq!(peer.goaways.last(), Some(&(1, NO_ERROR)));
    assert!(peer.goaways.is_sorted_by(|before, after| before.0 >= after.0), "{:?}", peer.goaways);
    server.join().unwrap();
}

#[test]
fn rfc_9113_6_8_a_server_that_drains_sends_away_whoever_is_idle() {
    let Some(server) = server(patient()) else { return };
    let mut peer = greeted(&server, &[]);
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    server.drain(Duration::from_secs(5));
    peer.until("the end", |peer| peer.closed);
    assert_eq!(peer.goaways.last(), Some(&(1, NO_ERROR)));
    server.join().unwrap();
}

#[test]
fn rfc_9113_6_8_streams_behind_the_last_are_not_answered() {
    let Some((server, mut peer)) = begun_answer() else { return };
    server.drain(Duration::from_secs(5));
    peer.until("the last GOAWAY", |peer| peer.goaways.last() == Some(&(1, NO_ERROR)));
    peer.send(headers(3, GET).end()).is_alive();
    assert!(peer.answers.get(&3).is_none_or(|one| one.sections.is_empty()), "it was answered");
    peer.send_all(&[window_update(0, 1 << 21), window_update(1, 1 << 21)]).expect_status(1, 200);
    server.join().unwrap();
}

#[test]
fn rfc_9113_6_8_a_drain_does_not_wait_for_ever() {
    let Some(server) = server(patient()) else { return };
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send(headers(1, LARGE).end()).is_content();
    server.drain(SHORT);
    peer.until("the end", |peer| peer.closed);
    server.join().unwrap();
}

// ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn slow_a_client_that_says_no_more_than_the_preface() {
    let Some(server) = server(Timeouts { header: SHORT, keepalive: SHORT, ..patient() }) else { return };
    for said in [0, 10, PREFACE.len()] {
        let begun = now();
        let mut peer = silent(&server);
        peer.write(&PREFACE[..said]);
        // Whoever said less than the preface may be told so in HTTP/1.
        let mut rest = Vec::new();
        peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = peer.stream.read_to_end(&mut rest);
        assert!(ended.is_ok(), "{ended:?} behind {:?}", rest.escape_ascii());
        assert!(begun.elapsed() >= SHORT, "ended after {:?}", begun.elapsed());
    }
}

#[test]
fn slow_a_client_that_asks_for_nothing() {
    let Some(server) = server(Timeouts { keepalive: SHORT, header: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[]);
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    ends_after(&mut peer, now());
    assert!(peer.goaways.iter().all(|(_, code)| *code == NO_ERROR), "{:?}", peer.goaways);
}

#[test]
fn slow_a_head_whose_other_frames_do_not_come() {
    let Some(server) = server(Timeouts { header: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[]);
    let begun = now();
    peer.send(headers(1, GET).open().end());
    ends_after(&mut peer, begun);
}

#[test]
fn slow_a_later_head_whose_other_frames_do_not_come() {
    let Some(server) = server(Timeouts { header: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[]);
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    let begun = now();
    peer.send(headers(3, GET).open().end());
    ends_after(&mut peer, begun);
}

#[test]
fn slow_a_head_beside_an_answer_that_is_awaited() {
    let Some(server) = server(Timeouts { header: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send(headers(1, LARGE).end()).is_content();
    let begun = now();
    peer.send(headers(3, GET).open().end());
    ends_after(&mut peer, begun);
}

#[test]
fn slow_settings_that_are_not_acknowledged() {
    let Some(server) = server(Timeouts { header: SHORT, ..patient() }) else { return };
    let mut peer = silent(&server);
    let begun = now();
    // What is not read is not acknowledged.
    peer.write(PREFACE).write(&settings(&[]).bytes());
    while server.snapshot().connections() > 0 || server.snapshot().accepts == 0 {
        assert!(begun.elapsed() < PATIENCE, "SETTINGS may stay unacknowledged");
        std::thread::yield_now();
    }
    // Nothing is said to a closed socket: a reset would take away what was not read yet.
    peer.hear_out();
    peer.until("SETTINGS_TIMEOUT", |peer| peer.goaways.last() == Some(&(0, SETTINGS_TIMEOUT)));
}

#[test]
fn slow_a_frame_that_does_not_end() {
    let Some(server) = server(Timeouts { header: SHORT, ..patient() }) else { return };
    for length in [1, 9, 20] {
        let mut peer = greeted(&server, &[]);
        let begun = now();
        peer.write(&headers(1, GET).bytes()[..length]);
        ends_after(&mut peer, begun);
    }
}

#[test]
fn slow_a_head_that_drips() {
    let Some(server) = server(Timeouts { header: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[]);
    let begun = now();
    // Bytes do not restart the clock.
    for byte in headers(1, GET).bytes() {
        peer.write(&[byte]);
        if peer.comes_true(SHORT / 10, |peer| peer.closed) {
            break;
        }
    }
    ends_after(&mut peer, begun);
}

#[test]
fn slow_a_request_whose_content_does_not_come() {
    let Some(server) = server(Timeouts { body: SHORT, body_rate_window: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[]);
    peer.send_all(&[headers(1, POST), data(1, "half")]);
    peer.until("408, a reset or the end", |peer| {
        peer.closed
            || peer.answers.get(&1).is_some_and(|one| one.reset.is_some() || one.status() == Some(408))
    });
}

#[test]
fn slow_a_window_that_nobody_opens() {
    let Some(server) = server(Timeouts { write: SHORT, ..patient() }) else { return };
    let mut peer = greeted(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    let begun = now();
    peer.send(headers(1, LARGE).end());
    peer.until("a reset or the end", |peer| peer.closed || peer.reset_of(1).is_some());
    assert!(begun.elapsed() >= SHORT, "given up after {:?}", begun.elapsed());
}

#[track_caller]
fn forgets_everybody(server: &Running) {
    let begun = now();
    while server.snapshot().connections() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} are left", server.snapshot().connections());
        std::thread::yield_now();
    }
}

/// Twenty clients do this and leave; all are forgotten.
#[track_caller]
fn leave(list: &[(u16, u32)], frames: &[Frame]) {
    let Some(server) = server(patient()) else { return };
    for _ in 0..20 {
        greeted(&server, list).send_all(frames).is_content();
    }
    forgets_everybody(&server);
    assert_eq!(server.snapshot().phases[Phase::Handling as usize], 0);
}

#[test]
fn gone_with_nothing_left_to_do() {
    leave(&[], &[headers(1, GET).end()]);
}

#[test]
fn gone_before_the_request_was_whole() {
    leave(&[], &[headers(1, POST), data(1, "half")]);
}

#[test]
fn gone_within_a_head() {
    let Some(server) = server(patient()) else { return };
    for _ in 0..20 {
        greeted(&server, &[]).send(headers(1, GET).open().end());
    }
    forgets_everybody(&server);
}

#[test]
fn gone_while_the_answer_waits_for_credit() {
    // Nobody can give it any more.
    leave(&[(INITIAL_WINDOW_SIZE, 0)], &[headers(1, LARGE).end()]);
}
