//! Floods: legal or nearly legal, and of no use. Each ends with ENHANCE_YOUR_CALM, or earlier with the error
//! of the RFC where it is one; and whoever comes next is served.
//!
//! A flood is written by a thread of its own while the answers are read, or while nobody reads them. How much
//! of it a server saw before it had enough only the server knows; here it is enough that the end came.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::client::{PATIENCE, Peer};
use crate::frame::*;
use crate::target::{LARGE_BYTES, strict};

const FLOOD: u32 = 20_000;
const LONG_FLOOD: u32 = 100_000;
/// Frames in one write.
const BURST: u32 = 200;

impl Peer {
    /// Writes `count` times what `round` says, and reads meanwhile.
    fn flood(&mut self, count: u32, round: impl Fn(u32) -> Vec<Frame> + Sync) -> &mut Self {
        let mut writer = self.stream.try_clone().unwrap();
        thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for start in (0..count).step_by(BURST as usize) {
                    let rounds = start..count.min(start + BURST);
                    let bytes: Vec<u8> = rounds.flat_map(&round).flat_map(|frame| frame.bytes()).collect();
                    if writer.write_all(&bytes).is_err() {
                        break;
                    }
                }
            });
            // Whoever closes a connection with bytes unread may cut it off: then GOAWAY came before.
            while !self.closed && !writing.is_finished() {
                self.comes_true(Duration::from_millis(20), |peer| !peer.goaways.is_empty());
                if !self.goaways.is_empty() {
                    self.comes_true(PATIENCE, |peer| peer.closed);
                    break;
                }
            }
            // The writer does not wait for a server that reads no more.
            if !self.goaways.is_empty() || self.closed {
                let _ = self.stream.shutdown(std::net::Shutdown::Both);
            }
        });
        self
    }

    /// The flood was answered by a GOAWAY with one of these codes; others may take it all. Somebody else is
    /// served in any case.
    #[track_caller]
    fn had_enough(&mut self, codes: &[u32]) {
        if strict() {
            self.until(&format!("GOAWAY with {codes:?}"), |peer| {
                peer.goaways.iter().any(|(_, code)| codes.contains(code))
            });
        }
        Self::new().send(headers(1, GET).end()).expect_status(1, 200);
    }
}

/// The number of the stream in a round.
const fn numbered(round: u32) -> u32 {
    2 * round + 1
}

const CALM: &[u32] = &[ENHANCE_YOUR_CALM];

// ── Resets ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn abuse_rapid_reset() {
    let round = |at| vec![headers(numbered(at), GET).end(), rst_stream(numbered(at), CANCEL)];
    Peer::new().flood(FLOOD, round).had_enough(CALM);
}

#[test]
fn abuse_rapid_reset_of_open_requests() {
    let round = |at| vec![headers(numbered(at), POST), rst_stream(numbered(at), CANCEL)];
    Peer::new().flood(FLOOD, round).had_enough(CALM);
}

#[test]
fn abuse_rapid_reset_of_large_answers() {
    let round = |at| vec![headers(numbered(at), LARGE).end(), rst_stream(numbered(at), CANCEL)];
    Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]).flood(FLOOD, round).had_enough(CALM);
}

#[test]
fn abuse_resets_of_what_is_closed() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    peer.flood(LONG_FLOOD, |_| vec![rst_stream(1, CANCEL)]).had_enough(CALM);
}

/// CVE-2025-8671: the server is made to reset.
#[track_caller]
fn made_to_reset(list: &[(u16, u32)], round: impl Fn(u32) -> Vec<Frame> + Sync) {
    Peer::with(list).flood(FLOOD, round).had_enough(CALM);
}

#[test]
fn abuse_made_you_reset_by_an_increment_of_nothing() {
    made_to_reset(&[], |at| vec![headers(numbered(at), POST), window_update(numbered(at), 0)]);
}

#[test]
fn abuse_made_you_reset_by_a_window_that_overflows() {
    let most = (1 << 31) - 1;
    made_to_reset(&[], |at| vec![headers(numbered(at), POST), window_update(numbered(at), most)]);
}

#[test]
fn abuse_made_you_reset_by_data_behind_the_end() {
    // The answer waits for credit, so that the stream is half-closed.
    let round = |at| vec![headers(numbered(at), LARGE).end(), data(numbered(at), "x")];
    made_to_reset(&[(INITIAL_WINDOW_SIZE, 0)], round);
}

#[test]
fn abuse_made_you_reset_by_headers_behind_the_end() {
    let round = |at| vec![headers(numbered(at), LARGE).end(), headers(numbered(at), GET).end()];
    made_to_reset(&[(INITIAL_WINDOW_SIZE, 0)], round);
}

#[test]
fn abuse_made_you_reset_by_a_priority_of_another_length() {
    made_to_reset(&[], |at| vec![headers(numbered(at), POST), raw(PRIORITY, 0, numbered(at), [0; 4])]);
}

#[test]
fn abuse_made_you_reset_by_a_priority_on_itself() {
    // No error today: then it is a flood of open requests, and REFUSED_STREAM for most of them.
    let round = |at| vec![headers(numbered(at), POST), priority(numbered(at), numbered(at))];
    made_to_reset(&[], round);
}

#[test]
fn abuse_made_you_reset_by_more_content_than_was_said() {
    let round = |at| {
        let fields = and(POST, &[("content-length", "1")]);
        vec![headers(numbered(at), &fields), data(numbered(at), "two")]
    };
    made_to_reset(&[], round);
}

#[test]
fn abuse_made_you_reset_by_requests_that_are_malformed() {
    made_to_reset(&[], |at| vec![headers(numbered(at), &and(GET, &[("X-Upper", "a")])).end()]);
}

#[test]
fn abuse_made_you_reset_by_more_streams_than_there_may_be() {
    made_to_reset(&[(INITIAL_WINDOW_SIZE, 0)], |at| vec![headers(numbered(at), LARGE).end()]);
}

// ── Header blocks ───────────────────────────────────────────────────────────────────────────────────

/// A block that is never ended: what the RFC calls it is open.
const ENDLESS: &[u32] = &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR];

#[test]
fn abuse_continuation_without_end() {
    let piece = literal("x-a", &"a".repeat(1_000));
    let mut peer = Peer::new();
    peer.send(headers(1, GET).open().end());
    peer.flood(FLOOD, |_| vec![continuation(1, piece.clone()).open()]).had_enough(ENDLESS);
}

#[test]
fn abuse_continuation_of_a_byte_each() {
    // One value that becomes longer and longer.
    let start = [block(GET), vec![0x00, 1, b'a', 0x7F, 0x80, 0xFF, 0x7F]].concat();
    let mut peer = Peer::new();
    peer.send(headers_of(1, start).open().end());
    peer.flood(LONG_FLOOD, |_| vec![continuation(1, "a").open()]).had_enough(ENDLESS);
}

#[test]
fn abuse_continuation_of_nothing() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).open().end());
    peer.flood(LONG_FLOOD, |_| vec![continuation(1, []).open()]).had_enough(ENDLESS);
}

#[test]
fn abuse_continuation_of_trailers_without_end() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), headers(1, &[("x-a", "b")]).open().end()]);
    peer.flood(LONG_FLOOD, |_| vec![continuation(1, []).open()]).had_enough(ENDLESS);
}

#[test]
fn abuse_continuation_of_a_request_that_was_refused() {
    let mut peer = Peer::new();
    peer.send(headers(1, &and(GET, &[("X-Upper", "a")])).open().end());
    peer.flood(LONG_FLOOD, |_| vec![continuation(1, []).open()]).had_enough(ENDLESS);
}

#[test]
fn abuse_names_of_nothing() {
    let fields = [&block(GET)[..], &[0x00, 0x00, 0x00].repeat(50)].concat();
    let round = |at| vec![headers_of(numbered(at), fields.clone()).end()];
    Peer::new().flood(FLOOD, round).had_enough(&[ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR]);
}

#[test]
fn abuse_names_of_nothing_by_the_thousand() {
    // Too large a list each: 431 is enough.
    let fields = [&block(GET)[..], &[0x00, 0x00, 0x00].repeat(5_000)].concat();
    Peer::new().flood(500, |at| vec![headers_of(numbered(at), fields.clone()).end()]);
    Peer::new().send(headers(1, GET).end()).expect_status(1, 200);
}

#[test]
fn abuse_hpack_bomb() {
    let mut peer = Peer::new();
    let large = [block(GET), indexed_literal("x-bomb", &"b".repeat(4_000))].concat();
    peer.send(headers_of(1, large).end()).expect_status(1, 200);
    // 4,000 times 4,000 bytes in one frame.
    let bomb = [block(GET), vec![0x80 | 62; 4_000]].concat();
    let round = |at| vec![headers_of(numbered(at) + 2, bomb.clone()).end()];
    peer.flood(2_000, round).had_enough(&[ENHANCE_YOUR_CALM, COMPRESSION_ERROR, PROTOCOL_ERROR]);
}

#[test]
fn abuse_hpack_table_that_is_resized_again_and_again() {
    let resized = [&[0x20, 0x3F, 0xE1, 0x1F].repeat(4_000)[..], &block(GET)].concat();
    let mut peer = Peer::new();
    peer.send(headers_of(1, resized).end());
    if strict() {
        peer.expect_connection_error(&[COMPRESSION_ERROR]);
    }
    peer.had_enough(&[COMPRESSION_ERROR]);
}

// ── Frames of no use ────────────────────────────────────────────────────────────────────────────────

#[test]
fn abuse_pings() {
    Peer::new().flood(LONG_FLOOD, |_| vec![ping([7; 8])]).had_enough(CALM);
}

#[test]
fn abuse_pings_that_acknowledge_nothing() {
    Peer::new().flood(LONG_FLOOD, |_| vec![ping([7; 8]).with(ACK)]).had_enough(CALM);
}

#[test]
fn abuse_pings_whose_answers_nobody_reads() {
    let mut peer = Peer::new();
    let frames = ping([7; 8]).bytes().repeat(1_000);
    // Up to 17 MB; whoever holds all the answers back holds back reading, too.
    peer.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    for _ in 0..1_000 {
        if peer.stream.write_all(&frames).is_err() {
            break;
        }
    }
    peer.had_enough(CALM);
}

#[test]
fn abuse_settings() {
    Peer::new().flood(LONG_FLOOD, |_| vec![settings(&[])]).had_enough(CALM);
}

#[test]
fn abuse_settings_that_change_the_table() {
    let round = |at| vec![settings(&[(HEADER_TABLE_SIZE, at % 2 * 4_096)])];
    Peer::new().flood(LONG_FLOOD, round).had_enough(CALM);
}

#[test]
fn abuse_settings_that_change_every_window() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    let open: Vec<Frame> = (0..90).map(|at| headers(numbered(at), LARGE).end()).collect();
    peer.send_all(&open);
    peer.flood(LONG_FLOOD, |at| vec![settings(&[(INITIAL_WINDOW_SIZE, at % 2)])]).had_enough(CALM);
}

#[test]
fn abuse_settings_of_one_long_list() {
    let list = [(INITIAL_WINDOW_SIZE, 0), (INITIAL_WINDOW_SIZE, 65_535)].repeat(1_000);
    let frame = settings(&list);
    Peer::new().flood(2_000, |_| vec![frame.clone()]).had_enough(CALM);
}

#[test]
fn abuse_settings_that_acknowledge_nothing() {
    // An acknowledgement of nothing may be an error as well.
    let mut peer = Peer::new();
    peer.flood(LONG_FLOOD, |_| vec![settings_ack()]).had_enough(&[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]);
}

#[test]
fn abuse_priorities() {
    Peer::new().flood(LONG_FLOOD, |at| vec![priority(numbered(at), 0)]).had_enough(CALM);
}

#[test]
fn abuse_priority_updates() {
    Peer::new().flood(LONG_FLOOD, |at| vec![priority_update(numbered(at), "u=1")]).had_enough(CALM);
}

#[test]
fn abuse_window_updates_of_the_connection() {
    Peer::new().flood(LONG_FLOOD, |_| vec![window_update(0, 1)]).had_enough(CALM);
}

#[test]
fn abuse_window_updates_of_a_stream() {
    let mut peer = Peer::new();
    peer.send(headers(1, POST)).flood(LONG_FLOOD, |_| vec![window_update(1, 1)]).had_enough(CALM);
}

#[test]
fn abuse_window_updates_of_what_is_closed() {
    let mut peer = Peer::new();
    peer.send(headers(1, GET).end()).expect_status(1, 200);
    peer.flood(LONG_FLOOD, |_| vec![window_update(1, 1)]).had_enough(CALM);
}

#[test]
fn abuse_window_of_a_byte_at_a_time() {
    // CVE-2019-9511: an answer in a million frames.
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send(headers(1, LARGE).end());
    peer.flood(LONG_FLOOD, |_| vec![window_update(1, 1)]);
    // Each is of use, if of little: whoever takes them all sends what they are good for.
    if strict() {
        peer.until("GOAWAY or all bytes", |peer| {
            peer.is_sent_away(CALM) || peer.answers.get(&1).is_some_and(|one| one.body.len() == 65_535)
        });
    }
    Peer::new().send(headers(1, GET).end()).expect_status(1, 200);
}

#[test]
fn abuse_data_of_nothing() {
    let mut peer = Peer::new();
    peer.send(headers(1, POST)).flood(LONG_FLOOD, |_| vec![data(1, [])]).had_enough(CALM);
}

/// What we have reset may still be sent: as much as was on its way, and no more.
fn reset_with_content_on_its_way() -> Peer {
    let mut peer = Peer::new();
    peer.send(headers(1, &and(POST, &[("connection", "close")]))).expect_stream_error(1, &[PROTOCOL_ERROR]);
    peer
}

#[test]
fn abuse_data_for_a_stream_that_was_reset_long_ago() {
    let round = |_| vec![data(1, [b'x'; 16_384])];
    reset_with_content_on_its_way().flood(5_000, round).had_enough(CALM);
}

#[test]
fn abuse_data_of_a_byte_for_a_stream_that_was_reset() {
    reset_with_content_on_its_way().flood(LONG_FLOOD, |_| vec![data(1, "x")]).had_enough(CALM);
}

#[test]
fn abuse_ends_of_a_stream_that_was_reset() {
    reset_with_content_on_its_way().flood(LONG_FLOOD, |_| vec![data(1, "").end()]).had_enough(CALM);
}

#[test]
fn abuse_data_of_nothing_but_padding() {
    let mut peer = Peer::new();
    peer.send(headers(1, POST)).flood(LONG_FLOOD, |_| vec![data(1, []).padded(0)]).had_enough(CALM);
}

#[test]
fn abuse_frames_that_nobody_knows() {
    Peer::new().flood(LONG_FLOOD, |_| vec![raw(0x16, 0, 0, [])]).had_enough(CALM);
}

#[test]
fn abuse_goodbyes() {
    // A connection that ends because the client said so is as good an end.
    let mut peer = Peer::new();
    peer.flood(LONG_FLOOD, |_| vec![goaway(0, NO_ERROR)]);
    if strict() {
        peer.until("the end", |peer| peer.closed);
    }
    Peer::new().send(headers(1, GET).end()).expect_status(1, 200);
}

// ── Honest clients ──────────────────────────────────────────────────────────────────────────────────

#[test]
fn honest_hundreds_of_requests_that_are_answered() {
    let mut peer = Peer::new();
    for group in 0..18 {
        let streams = group * 50..group * 50 + 50;
        let frames: Vec<Frame> = streams.clone().map(|at| headers(numbered(at), GET).end()).collect();
        peer.send_all(&frames);
        for at in streams {
            peer.expect_status(numbered(at), 200);
        }
    }
    peer.is_content();
}

#[test]
fn honest_windows_full_of_content_for_streams_that_were_reset() {
    let mut peer = Peer::new();
    for round in 0..300 {
        let stream = 2 * round + 1;
        peer.send(headers(stream, &and(POST, &[("connection", "close")])));
        peer.send_all(&[b'l'; 65_535].chunks(100).map(|piece| data(stream, piece)).collect::<Vec<_>>());
        peer.expect_stream_error(stream, &[PROTOCOL_ERROR]);
    }
    peer.send(headers(901, GET).end()).expect_status(901, 200);
    assert!(peer.goaways.is_empty());
}

#[test]
fn honest_a_client_that_cancels_now_and_then() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 1_000)]);
    for at in 0..200 {
        peer.send(headers(numbered(at), LARGE).end()).expect_bytes(numbered(at), 1_000);
        peer.send_all(&[rst_stream(numbered(at), CANCEL), window_update(0, 1_000)]);
    }
    peer.is_content();
}

#[test]
fn honest_an_answer_in_small_credits() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 2_000)]);
    peer.send(headers(1, LARGE).end());
    for round in 1..=300 {
        peer.expect_bytes(1, 2_000 * round);
        peer.send_all(&[window_update(1, 2_000), window_update(0, 2_000)]);
    }
    peer.is_content();
}

#[test]
fn honest_a_small_answer_beside_large_ones() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 1 << 24)]);
    let large: Vec<Frame> = (0..8).map(|at| headers(numbered(at), LARGE).end()).collect();
    peer.send(window_update(0, 1 << 24)).send_all(&large).send(headers(17, GET).end());
    peer.until("the small answer", |peer| peer.answers.get(&17).is_some_and(|one| one.ended));
    let ended = peer.answers.values().filter(|answer| answer.ended).count();
    assert!(ended < 9 || !strict(), "it came last");
    for at in 0..8 {
        assert_eq!(peer.expect_answer(numbered(at)).body.len(), LARGE_BYTES);
    }
}

#[test]
fn honest_a_ping_does_not_wait_for_a_large_answer() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 1 << 24)]);
    peer.send(window_update(0, 1 << 24)).send_all(&[headers(1, LARGE).end(), ping([1; 8])]);
    peer.until("the PING", |peer| peer.pongs == [[1; 8]]);
    assert!(!peer.answer(1).ended || !strict(), "it came last");
    assert_eq!(peer.expect_answer(1).body.len(), LARGE_BYTES);
}

#[test]
fn honest_a_window_that_stays_shut_costs_no_one_else_anything() {
    let mut shut = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    let open: Vec<Frame> = (0..100).map(|at| headers(numbered(at), LARGE).end()).collect();
    shut.send_all(&open).is_content();
    Peer::new().send(headers(1, GET).end()).expect_status(1, 200);
    assert!(shut.answers.values().all(|answer| answer.body.is_empty()));
}
