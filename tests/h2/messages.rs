//! RFC 9113 §8: requests and answers; pseudo-fields, content, trailers, methods.

use crate::client::{Peer, SILENCE};
use crate::frame::*;
use crate::target::{LARGE_BYTES, strict};

/// A request of these fields and no content is malformed.
#[track_caller]
fn malformed(fields: &Fields<'_>) {
    Peer::new().send(headers(1, fields).end()).expect_malformed(1);
}

/// A request of these fields and no content is refused in one way or another.
#[track_caller]
fn refused(fields: &Fields<'_>) {
    Peer::new().send(headers(1, fields).end()).expect_refusal(1);
}

/// A request of these fields and no content is answered.
#[track_caller]
fn answered(fields: &Fields<'_>) {
    Peer::new().send(headers(1, fields).end()).expect_status(1, 200).is_content();
}

/// A POST of these pieces, its fields with `more`.
fn post(peer: &mut Peer, more: &Fields<'_>, pieces: &[&str]) {
    peer.send(headers(1, &and(POST, more)));
    for (at, piece) in pieces.iter().enumerate() {
        let frame = data(1, *piece);
        peer.send(if at + 1 == pieces.len() { frame.end() } else { frame });
    }
}

// ── Exchanges ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_1_a_request_and_its_answer() {
    let mut peer = Peer::new();
    let answer = peer.send(headers(1, GET).end()).expect_answer(1);
    assert_eq!((answer.status(), &answer.body[..]), (Some(200), &b"hello\n"[..]));
    assert_eq!(answer.sections.len(), 1);
    assert!(answer.field("content-length").is_none_or(|length| length == "6"));
    assert!(answer.field("date").is_some(), "RFC 9110 §6.6.1");
    peer.is_content();
}

#[test]
fn rfc_9113_8_1_answers_are_as_long_as_they_say() {
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 1 << 21)]);
    peer.send(window_update(0, 1 << 21)).send(headers(1, LARGE).end());
    let answer = peer.expect_answer(1);
    assert_eq!(answer.body.len(), LARGE_BYTES);
    assert_eq!(answer.field("content-length"), Some("1048576"));
}

#[test]
fn rfc_9113_8_1_a_request_of_several_pieces() {
    let mut peer = Peer::new();
    post(&mut peer, &[], &["", "con", "", "tent", ""]);
    assert_eq!(peer.expect_answer(1).body, b"content");
}

#[test]
fn rfc_9113_8_1_requests_interleaved() {
    let mut peer = Peer::new();
    let streams = [1, 3, 5, 7];
    for stream in streams {
        peer.send(headers(stream, POST));
    }
    for round in ["a", "b", "c"] {
        for stream in streams {
            peer.send(data(stream, format!("{round}{stream}")));
        }
    }
    for stream in streams {
        peer.send(data(stream, "").end());
        let expected = format!("a{stream}b{stream}c{stream}");
        assert_eq!(String::from_utf8_lossy(&peer.expect_answer(stream).body), expected);
    }
    peer.is_content();
}

#[test]
fn rfc_9113_8_1_trailers() {
    let mut peer = Peer::new();
    post(&mut peer, &[("trailer", "x-sum")], &[]);
    peer.send_all(&[data(1, "content"), headers(1, &[("x-sum", "7")]).end()]);
    assert_eq!(peer.expect_answer(1).body, b"content");
    // Without content before.
    peer.send_all(&[headers(3, POST), headers(3, &[("x-sum", "0")]).end()]);
    assert_eq!(peer.expect_answer(3).body, b"");
    peer.is_content();
}

#[test]
fn rfc_9113_8_1_trailers_that_do_not_end_the_stream() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "x"), headers(1, &[("x-sum", "1")])]).expect_malformed(1);
}

#[test]
fn rfc_9113_8_1_a_second_head() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), headers(1, POST).end()]).expect_malformed(1);
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), headers(1, POST)]).expect_malformed(1);
}

#[test]
fn rfc_9113_8_1_pseudo_fields_in_trailers() {
    for field in [(":path", "/"), (":status", "200"), (":method", "GET"), (":unknown", "x")] {
        let mut peer = Peer::new();
        peer.send_all(&[headers(1, POST), data(1, "x"), headers(1, &[field]).end()]).expect_malformed(1);
    }
}

#[test]
fn rfc_9113_8_1_trailers_that_are_malformed() {
    for field in [("X-Upper", "a"), ("x a", "a"), ("connection", "close"), ("x-a", "a\nb")] {
        let mut peer = Peer::new();
        peer.send_all(&[headers(1, POST), data(1, "x"), headers(1, &[field]).end()]);
        if strict() {
            peer.expect_malformed(1);
        }
    }
}

#[test]
fn rfc_9113_8_1_an_answer_before_the_end_of_its_request_stops_it_in_order() {
    // RFC 9113 §8.1: a whole answer, then RST_STREAM with NO_ERROR at most.
    let mut peer = Peer::new();
    let none = with(POST, ":path", "/there-is-no-such-place");
    peer.send_all(&[headers(1, &none), data(1, "x")]);
    if !strict() {
        return;
    }
    peer.until("an answer", |peer| peer.answers.get(&1).is_some_and(|one| one.ended));
    let status = peer.answer(1).status();
    assert!(matches!(status, Some(404 | 405)), "{status:?}");
    peer.send(data(1, "more").end()).is_content();
    assert!(matches!(peer.reset_of(1), None | Some(NO_ERROR)), "{:?}", peer.reset_of(1));
}

// ── Content-length ──────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_1_1_content_length_right() {
    for pieces in [&["content"][..], &["con", "tent"], &["content", ""]] {
        let mut peer = Peer::new();
        post(&mut peer, &[("content-length", "7")], pieces);
        assert_eq!(peer.expect_answer(1).body, b"content");
    }
    let mut peer = Peer::new();
    peer.send(headers(1, &and(POST, &[("content-length", "0")])).end());
    assert_eq!(peer.expect_answer(1).body, b"");
}

#[test]
fn rfc_9113_8_1_1_content_length_more_than_the_content() {
    for pieces in [&["conten"][..], &["con", "ten"], &[""]] {
        let mut peer = Peer::new();
        post(&mut peer, &[("content-length", "7")], pieces);
        peer.expect_malformed(1);
    }
}

#[test]
fn rfc_9113_8_1_1_content_length_less_than_the_content() {
    for pieces in [&["contents"][..], &["con", "tent", "s"]] {
        let mut peer = Peer::new();
        post(&mut peer, &[("content-length", "7")], pieces);
        peer.expect_malformed(1);
    }
}

#[test]
fn rfc_9113_8_1_1_content_length_without_content() {
    Peer::new().send(headers(1, &and(POST, &[("content-length", "1")])).end()).expect_malformed(1);
    malformed(&and(GET, &[("content-length", "1")]));
}

#[test]
fn rfc_9113_8_1_1_content_length_before_trailers() {
    let mut peer = Peer::new();
    post(&mut peer, &[("content-length", "8")], &[]);
    peer.send_all(&[data(1, "content"), headers(1, &[("x-sum", "7")]).end()]).expect_malformed(1);
}

#[test]
fn rfc_9113_8_1_1_content_length_does_not_count_padding() {
    let mut peer = Peer::new();
    peer.send(headers(1, &and(POST, &[("content-length", "7")])));
    peer.send(data(1, "content").padded(20).end());
    assert_eq!(peer.expect_answer(1).body, b"content");
}

#[test]
fn rfc_9110_8_6_content_length_that_is_no_number() {
    for value in ["", "-1", "+7", "7x", "0x7", "7, 8", "18446744073709551616", "99999999999999999999999"] {
        let mut peer = Peer::new();
        post(&mut peer, &[("content-length", value)], &["content"]);
        if strict() {
            peer.expect_refusal(1);
        }
    }
}

#[test]
fn rfc_9110_8_6_content_length_twice() {
    let mut peer = Peer::new();
    post(&mut peer, &[("content-length", "7"), ("content-length", "8")], &["content"]);
    if strict() {
        peer.expect_refusal(1);
    }
}

// ── Pseudo-fields ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_3_pseudo_fields_in_any_order() {
    answered(&[(":path", "/"), (":authority", "localhost"), (":method", "GET"), (":scheme", "http")]);
}

#[test]
fn rfc_9113_8_3_a_pseudo_field_behind_another_field() {
    for at in 0..4 {
        let mut fields = GET.to_vec();
        let late = fields.remove(at);
        malformed(&and(&fields, &[("x-a", "b"), late]));
    }
}

#[test]
fn rfc_9113_8_3_an_unknown_pseudo_field() {
    for name in [":unknown", ":Method", ":host", ":", "::path", ":version"] {
        malformed(&and(GET, &[(name, "x")]));
    }
}

#[test]
fn rfc_9113_8_3_the_pseudo_field_of_an_answer() {
    malformed(&and(GET, &[(":status", "200")]));
}

#[test]
fn rfc_9113_8_3_1_a_pseudo_field_twice() {
    for field in GET {
        malformed(&and(GET, &[*field]));
    }
    malformed(&and(GET, &[(":path", "/other")]));
}

#[test]
fn rfc_9113_8_3_1_a_pseudo_field_is_missing() {
    for name in [":method", ":scheme", ":path"] {
        malformed(&without(GET, name));
    }
    malformed(&[("x-a", "b")]);
}

#[test]
fn rfc_9113_8_3_1_no_field_at_all() {
    malformed(&[]);
}

#[test]
fn rfc_9113_8_3_1_an_empty_path() {
    malformed(&with(GET, ":path", ""));
}

#[test]
fn rfc_9113_8_3_1_a_path_that_is_none() {
    for path in
        ["index.html", "*", "http://localhost/", "?a", " /", "/ ", "/a b", "/\0", "/a\r\nX: y", "/\x7f"]
    {
        refused(&with(GET, ":path", path));
    }
}

#[test]
fn rfc_9113_8_3_1_a_path_with_a_fragment() {
    let mut peer = Peer::new();
    peer.send(headers(1, &with(GET, ":path", "/#part")).end()).expect_answers_or_refuses();
}

#[test]
fn rfc_9113_8_3_1_a_method_that_is_none() {
    for method in ["", "GE T", "GET\r\n", "G\0", "GET /", "(GET)"] {
        if strict() {
            refused(&with(GET, ":method", method));
        }
    }
}

#[test]
fn rfc_9113_8_3_1_the_asterisk_of_options() {
    let mut peer = Peer::new();
    peer.send(headers(1, &with(&with(GET, ":method", "OPTIONS"), ":path", "*")).end());
    peer.expect_answers_or_refuses();
}

#[test]
fn rfc_9113_8_3_1_any_scheme() {
    // Not that of the connection, perhaps of a gateway.
    let mut peer = Peer::new();
    peer.send(headers(1, &with(GET, ":scheme", "https")).end()).expect_answers_or_refuses();
    if strict() {
        for scheme in ["", "ht tp", "http:", "1http", "http\r\n"] {
            refused(&with(GET, ":scheme", scheme));
        }
        for scheme in ["http", "https", "HTTP", "hTTps"] {
            answered(&with(GET, ":scheme", scheme));
        }
    }
}

#[test]
fn rfc_9110_4_2_a_scheme_that_nobody_serves() {
    if strict() {
        for scheme in ["ftp", "httpx", "ws", "h"] {
            let mut peer = Peer::new();
            peer.send(headers(1, &with(GET, ":scheme", scheme)).end()).expect_status(1, 400);
            peer.send(headers(3, GET).end()).expect_status(3, 200);
        }
    }
}

#[test]
fn rfc_9113_8_3_1_host_instead_of_authority() {
    answered(&and(&without(GET, ":authority"), &[("host", "localhost")]));
    answered(&and(GET, &[("host", "localhost")]));
}

#[test]
fn rfc_9113_8_3_1_neither_host_nor_authority() {
    let mut peer = Peer::new();
    peer.send(headers(1, &without(GET, ":authority")).end()).expect_answers_or_refuses();
}

#[test]
fn rfc_9113_8_3_1_host_against_authority() {
    if strict() {
        refused(&and(GET, &[("host", "elsewhere")]));
        refused(&and(GET, &[("host", "localhost:81")]));
        refused(&and(GET, &[("host", "")]));
        refused(&and(GET, &[("host", "localhost"), ("host", "elsewhere")]));
        // RFC 9112 §3.2: more than one, whatever they say.
        refused(&and(GET, &[("host", "localhost"), ("host", "localhost")]));
    }
}

#[test]
fn rfc_9113_8_3_1_an_authority_that_is_none() {
    if strict() {
        for authority in ["", "user@localhost", "local host", "localhost/", "localhost\0", "localhost:x"] {
            refused(&with(GET, ":authority", authority));
        }
    }
}

#[test]
fn rfc_9110_9_3_2_a_refusal_of_head_has_no_content() {
    if strict() {
        let many: Vec<(String, String)> = (0..150).map(|at| (format!("x-{at}"), "y".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
        let path = format!("/{}", "a".repeat(9_000));
        let mut peer = Peer::new();
        for (stream, status, fields) in [
            (1, 414, with(HEAD, ":path", &path)),
            (3, 431, and(HEAD, &many)),
            (5, 400, with(HEAD, ":scheme", "ftp")),
        ] {
            let answer = peer.send(headers(stream, &fields).end()).expect_answer(stream);
            assert_eq!((answer.status(), &answer.body[..]), (Some(status), &b""[..]));
        }
    }
}

// ── Methods ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9113_8_1_head_has_no_content() {
    let mut peer = Peer::new();
    let answer = peer.send(headers(1, HEAD).end()).expect_answer(1);
    assert_eq!((answer.status(), answer.body.len()), (Some(200), 0));
    assert!(answer.field("content-length").is_none_or(|length| length == "6"));
    // Nor does it take any of the window.
    let mut peer = Peer::with(&[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send(headers(1, HEAD).end()).until("its head", |peer| peer.answers.contains_key(&1));
    if strict() {
        peer.expect_status(1, 200);
    }
}

#[test]
fn rfc_9113_8_1_get_with_content() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, GET), data(1, "content").end()]);
    peer.expect_answer(1);
    peer.is_content();
}

const CONNECT: &Fields<'_> = &[(":method", "CONNECT"), (":authority", "localhost:443")];

#[test]
fn rfc_9113_8_5_connect_is_not_for_everybody() {
    let mut peer = Peer::new();
    peer.send(headers(1, CONNECT));
    if !strict() {
        return;
    }
    peer.until("a refusal", |peer| {
        peer.answers
            .get(&1)
            .is_some_and(|one| one.reset.is_some() || one.status().is_some_and(|status| status >= 400))
            || peer.is_sent_away(&[PROTOCOL_ERROR])
    });
}

#[test]
fn rfc_9113_8_5_connect_has_an_authority_and_nothing_else() {
    Peer::new().send(headers(1, &and(CONNECT, &[(":scheme", "http"), (":path", "/")]))).expect_refusal(1);
    Peer::new().send(headers(1, &and(CONNECT, &[(":path", "/")]))).expect_refusal(1);
    Peer::new().send(headers(1, &without(CONNECT, ":authority"))).expect_refusal(1);
}

#[test]
fn rfc_8441_4_protocol_needs_a_server_that_said_so() {
    let extended = [&[(":protocol", "websocket")], GET].concat();
    malformed(&extended);
    let mut peer = Peer::new();
    if peer.settings.get(&ENABLE_CONNECT_PROTOCOL) == Some(&1) {
        return;
    }
    peer.send(headers(1, &with(&extended, ":method", "CONNECT"))).expect_refusal(1);
}

// ── Interim answers ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn rfc_9110_10_1_1_whoever_asks_is_told_to_go_on() {
    let mut peer = Peer::new();
    peer.send(headers(1, &and(POST, &[("expect", "100-continue"), ("content-length", "7")])));
    if strict() {
        peer.until("100", |peer| peer.answers.get(&1).is_some_and(|one| one.statuses() == [100]));
        assert!(!peer.answer(1).ended);
    }
    peer.send(data(1, "content").end());
    assert_eq!(peer.expect_answer(1).body, b"content");
}

#[test]
fn rfc_9110_10_1_1_nobody_is_told_to_go_on_who_went() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, &and(POST, &[("expect", "100-continue")])), data(1, "content").end()]);
    peer.expect_status(1, 200);
    peer.send(headers(3, &and(GET, &[("expect", "100-continue")])).end()).expect_status(3, 200);
    if strict() {
        assert_eq!(peer.answer(3).statuses(), [200], "there is nothing to go on with");
    }
}

#[test]
fn rfc_9110_10_1_1_a_request_without_a_place_is_not_told_to_go_on() {
    let mut peer = Peer::new();
    let none = with(POST, ":path", "/there-is-no-such-place");
    peer.send(headers(1, &and(&none, &[("expect", "100-continue")])));
    if strict() {
        peer.expect_status(1, 404);
        assert_eq!(peer.answer(1).statuses(), [404]);
    }
}

#[test]
fn rfc_9113_8_1_half_a_request_is_not_answered() {
    let mut peer = Peer::new();
    peer.send_all(&[headers(1, POST), data(1, "content")]).is_content();
    assert!(!peer.comes_true(SILENCE, |peer| peer.answers.get(&1).is_some_and(|one| one.ended)));
    peer.send(data(1, "").end()).expect_status(1, 200);
}
