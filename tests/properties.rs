//! Properties of the HTTP/1 machine: any bytes in any split give one and the same trace without a panic,
//! and a well-formed request comes out as it was put in. `h2`: those of the HTTP/2 machine.

use proptest::collection::vec;
use proptest::prelude::*;

mod frames;
#[path = "properties/h2.rs"]
mod h2;
#[path = "support/scratch.rs"]
mod scratch;
mod trace;

/// What requests are made of, so that random bytes get past the first line.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /a HTTP/1.1\r\n",
        b"GET / HTTP/1.0\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"Host: x\r\n",
        b"Host: x\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n",
        b"A: b\tc \r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"hello",
        b"5\r\nhello\r\n",
        b"5;a=\"b\"\r\nhello\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
    ]);
    prop_oneof![8 => known.prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..12)]
}

fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(fragment(), 0..24).prop_map(|parts| parts.concat()),
        vec(fragment(), 0..24).prop_map(|parts| {
            [&b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &parts.concat()]
                .concat()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_split_gives_the_same_trace(bytes in request_bytes(), mut cuts in vec(0_usize..400, 0..12)) {
        cuts.sort_unstable();
        let whole = trace::trace(&trace::LIMITS, &bytes, []);
        prop_assert_eq!(&trace::trace(&trace::LIMITS, &bytes, cuts), &whole);
        prop_assert_eq!(&trace::trace(&trace::LIMITS, &bytes, 1..bytes.len()), &whole);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..400)) {
        let whole = trace::trace(&trace::LIMITS, &bytes, []);
        prop_assert_eq!(&trace::trace(&trace::LIMITS, &bytes, 1..bytes.len()), &whole);
    }

    #[test]
    fn a_request_comes_out_as_it_was_put_in(
        method in "[A-Z]{1,24}".prop_filter("needs its own form of target", |method| method != "CONNECT"),
        path in "/[!-\"$-~]{0,40}",
        fields in vec(("[a-zA-Z0-9_^-]{1,24}x", "([!-~]([ -~\t]{0,20}[!-~])?)?"), 0..20),
        lead in "[ \t]{0,3}",
        end in prop::sample::select(vec!["\r\n", "\n"]),
        body in vec(any::<u8>(), 0..60),
        chunk_bytes in 0_usize..20,
        cut in 0_usize..200,
    ) {
        let mut bytes = format!("{method} {path} HTTP/1.1{end}Host: x{end}").into_bytes();
        let mut expected = format!("1: {method} {path} HTTP/1.1\n  Host: x\n").replace('\\', "\\\\");
        expected = expected.replace('\'', "\\'").replace('"', "\\\"");
        for (name, value) in &fields {
            bytes.extend(format!("{name}:{lead}{value}{lead}{end}").bytes());
            // The method and names are no escapes' business.
            expected += &format!("  {name}: {}\n", value.as_bytes().escape_ascii());
        }
        if chunk_bytes > 0 {
            bytes.extend(format!("Transfer-Encoding: chunked{end}{end}").bytes());
            for chunk in body.chunks(chunk_bytes) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            expected += "  Transfer-Encoding: chunked\n";
        } else {
            bytes.extend(format!("Content-Length: {}{end}{end}", body.len()).bytes());
            bytes.extend(&body);
            expected += &format!("  Content-Length: {}\n", body.len());
        }
        if chunk_bytes > 0 || !body.is_empty() {
            expected += &format!("  body \"{}\"\n", body.escape_ascii());
        }
        expected += "closed\n";
        prop_assert_eq!(trace::trace(&trace::LIMITS, &bytes, [cut]), expected);
    }
}
