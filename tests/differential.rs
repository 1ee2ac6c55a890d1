//! The parser beside httparse: what the machine accepts, httparse accepts with the same parts; and what
//! only the machine refuses falls under a rule of strictness that is listed here.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use kolk::http::{Event, FieldTable, Reason};
use kolk::proto::h1::{Limits, Server};
use kolk::wire::Input;
use proptest::collection::vec;
use proptest::prelude::*;

static LIMITS: Limits = Limits::DEFAULT;

/// What a parser made of bytes.
#[derive(Debug, PartialEq, Eq)]
enum Outcome<E> {
    Parts { method: Vec<u8>, target: Vec<u8>, fields: Vec<(Vec<u8>, Vec<u8>)> },
    Partial,
    Refused(E),
}

fn kolk(bytes: &[u8]) -> Outcome<Reason> {
    let mut table = FieldTable::new();
    match Server::new(LIMITS).poll(&mut Input::new(bytes, false), &mut table) {
        Ok(Some(Event::Head { head, .. })) => Outcome::Parts {
            method: head.method_name().into(),
            target: head.target_bytes().into(),
            fields: head.fields().map(|(name, value)| (name.into(), value.into())).collect(),
        },
        Ok(_) => Outcome::Partial,
        Err(reason) => Outcome::Refused(reason),
    }
}

fn oracle(bytes: &[u8]) -> Outcome<httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Outcome::Parts {
            method: request.method.unwrap().into(),
            target: request.path.unwrap().into(),
            fields: request.headers.iter().map(|field| (field.name.into(), field.value.into())).collect(),
        },
        Ok(httparse::Status::Partial) => Outcome::Partial,
        Err(error) => Outcome::Refused(error),
    }
}

/// Why the machine may refuse what httparse lets through.
fn is_stricter(reason: Reason) -> bool {
    match reason {
        // Line ends: httparse mixes CR LF and LF, and skips any number of empty lines.
        Reason::EmptyLine | Reason::BareLf | Reason::BareCr => true,
        // Request line: the machine bounds the method and knows the forms of a target.
        Reason::MethodToken | Reason::Target | Reason::RequestLine => true,
        // What a head means is the caller's business there.
        Reason::HostMissing | Reason::HostRepeated | Reason::HostInvalid => true,
        Reason::LengthSyntax | Reason::LengthConflict | Reason::LengthRequired => true,
        Reason::CodingWithLength
        | Reason::CodingRepeated
        | Reason::CodingInHttp10
        | Reason::CodingUnknown => true,
        Reason::Expectation => true,
        _ => false,
    }
}

fn compare(bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    match (kolk(bytes), oracle(bytes)) {
        (Outcome::Parts { method, target, fields }, theirs) => {
            // httparse knows 1.0 and 1.1 only; RFC 9110 §2.5 lets a later minor version count as 1.1.
            if theirs == Outcome::Refused(httparse::Error::Version) {
                return;
            }
            assert_eq!(Outcome::Parts { method, target, fields }, theirs, "{shown}");
        }
        (Outcome::Refused(reason), Outcome::Parts { .. }) => {
            assert!(is_stricter(reason), "{reason:?} is no rule of strictness: {shown}");
        }
        (Outcome::Partial, Outcome::Parts { .. }) => panic!("httparse sees a whole head: {shown}"),
        // Both refuse, or one of them sooner than the other.
        (Outcome::Partial | Outcome::Refused(_), _) => {}
    }
}

#[test]
fn the_cases_that_are_known_to_differ() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\n\n"[..],
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert!(matches!(oracle(bytes), Outcome::Parts { .. }), "{}", bytes.escape_ascii());
        assert!(matches!(kolk(bytes), Outcome::Refused(_)), "{}", bytes.escape_ascii());
        compare(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn accepted_heads_have_the_same_parts(
        line in prop_oneof![
            6 => Just(b"GET /a?b HTTP/1.1".to_vec()),
            1 => Just(b"OPTIONS * HTTP/1.0".to_vec()),
            1 => "[A-Z!a-z]{1,4} [!-~]{1,8} HTTP/[0-9].[0-9]".prop_map(String::into_bytes),
            1 => vec(any::<u8>(), 0..12),
        ],
        fields in vec(prop_oneof![
            "[a-zA-Z-]{1,20}:[ \t]{0,2}[ -~\t]{0,40}".prop_map(String::into_bytes),
            "Host: [a-z.:0-9@,]{0,8}".prop_map(String::into_bytes),
            "Content-Length: [0-9 ,]{0,4}".prop_map(String::into_bytes),
            (any::<u8>(), any::<u8>()).prop_map(|(a, b)| vec![b'A', a, b':', b, b'z']),
        ], 0..6),
        end in prop::sample::select(vec![&b"\r\n"[..], b"\n"]),
        odd_end in prop::sample::select(vec![&b"\r\n"[..], b"\r\n", b"\n", b"\r"]),
        odd_line in 0_usize..8,
    ) {
        let mut bytes = Vec::new();
        let lines = std::iter::once(line).chain(std::iter::once(b"Host: x".to_vec())).chain(fields).chain([vec![]]);
        for (place, line) in lines.enumerate() {
            bytes.extend(line);
            bytes.extend(if place == odd_line { odd_end } else { end });
        }
        compare(&bytes);
    }
}
