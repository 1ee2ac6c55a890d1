//! Which answers are compressed and what they say then; that events do not wait, and that nobody else does.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;

use super::*;
use crate::app::{App, HandlerExt as _};
use crate::http::{Fields, Pull, Pulled, Source, Tail, Timeline};

type Answer = ::http::Response<Bytes>;

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

fn text(length: usize) -> String {
    "all work and no play\n".chars().cycle().take(length).collect()
}

fn ask(app: &App, method: &str, accept: &str) -> Answer {
    let request = ::http::Request::builder().method(method).uri("/").header("accept-encoding", accept);
    app.oneshot(request.body("").unwrap())
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// An app that answers with what `make` makes, compressed as usual.
fn app(make: impl Fn() -> Response + Send + Sync + 'static) -> App {
    App::new().layer(Compress::default()).any("/", move |_: &Request<'_>| make())
}

fn decoded(coding: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    match coding {
        Some("br") => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut whole).unwrap(),
        #[cfg(feature = "zstd")]
        Some("zstd") => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut whole).unwrap(),
        Some("gzip") => flate2::read::GzDecoder::new(bytes).read_to_end(&mut whole).unwrap(),
        _ => return bytes.to_vec(),
    };
    whole
}

/// What a source gives in one pull, and what it says then.
struct Piece {
    copied: String,
    tail: Option<Tail>,
    said: Pulled,
}

/// Plays these pieces; then it is at its end.
struct Play(VecDeque<Piece>);

impl Source for Play {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let Some(piece) = self.0.pop_front() else { return Pulled::End };
        pull.write(piece.copied.as_bytes());
        match piece.tail {
            None => {}
            Some(Tail::Shared(bytes)) => pull.share(bytes),
            Some(Tail::File { file, offset, length }) => pull.file(file, offset, length),
        }
        piece.said
    }

    fn trailers(&mut self, fields: &mut Fields) {
        fields.append(&HeaderName::from_static("x-end"), &HeaderValue::from_static("whole"));
    }
}

fn piece(copied: &str, said: Pulled) -> Piece {
    Piece { copied: copied.to_owned(), tail: None, said }
}

fn license() -> Tail {
    let file = File::open("LICENSE-MIT").unwrap();
    let length = file.metadata().unwrap().len();
    Tail::File { file: Arc::new(file), offset: 0, length }
}

fn place() -> Place {
    Place::take(&Arc::default(), 1).unwrap()
}

/// Pulls once with this room: what came, and what was said.
fn pulled(encoded: &mut Encoded, room: usize) -> (Vec<u8>, Pulled) {
    let (mut bytes, timeline) = (Vec::new(), Timeline::default());
    let mut pull = Pull::new(&mut bytes, room, &timeline);
    let said = encoded.pull(&mut pull);
    assert!(pull.into_tail().is_none());
    (bytes, said)
}

const CODINGS: [(&str, Option<&str>); 5] = [
    ("", None),
    ("br", Some("br")),
    ("gzip;q=0.5, deflate", Some("gzip")),
    ("gzip;q=0, identity", None),
    ("zstd", if cfg!(feature = "zstd") { Some("zstd") } else { None }),
];

#[test]
fn rfc_9110_12_5_5_whole_bodies_long_or_short_come_back_and_say_what_they_vary_by() {
    for length in [1_024, WHOLE_BYTES_MAX, WHOLE_BYTES_MAX + 1, 1_000_000] {
        let app = app(move || {
            let tag = HeaderValue::from_static("\"a\"");
            let answer = Response::text(text(length)).with_header(header::ETAG, tag);
            answer.with_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
        });
        for (accept, coding) in CODINGS {
            let answer = ask(&app, "GET", accept);
            let told = ["content-encoding", "vary", "etag", "accept-ranges"];
            let told = told.map(|name| field(&answer, name));
            let (tag, ranges) = if coding.is_some() { ("W/\"a\"", None) } else { ("\"a\"", Some("bytes")) };
            assert_eq!(told, [coding, Some("Accept-Encoding"), Some(tag), ranges], "{length} {accept}");
            assert!(decoded(coding, answer.body()) == text(length).as_bytes(), "{length} {accept}");
            assert_eq!(answer.body().len() < length / 2, coding.is_some());
            let head = ask(&app, "HEAD", accept);
            assert_eq!(head.headers(), answer.headers(), "{length} {accept}");
        }
    }
}

#[test]
fn every_kind_of_piece_of_a_streamed_body_comes_back() {
    let make = || {
        let shared = Tail::Shared(text(100_000).into());
        Response::stream(
            "text/plain",
            Play(VecDeque::from([
                piece(&text(10), Pulled::More),
                piece("", Pulled::More),
                Piece { copied: "shared: ".into(), tail: Some(shared), said: Pulled::More },
                Piece { copied: "file: ".into(), tail: Some(license()), said: Pulled::More },
                piece(&text(40_000), Pulled::After(std::time::Duration::from_millis(1))),
                piece("the end", Pulled::End),
            ])),
        )
    };
    let license = std::fs::read_to_string("LICENSE-MIT").unwrap();
    let whole =
        [&*text(10), "shared: ", &text(100_000), "file: ", &license, &text(40_000), "the end"].concat();
    for (accept, coding) in CODINGS {
        let answer = ask(&app(make), "GET", accept);
        assert_eq!(field(&answer, "content-encoding"), coding, "{accept}");
        assert!(decoded(coding, answer.body()) == whole.as_bytes(), "{accept}");
        assert_eq!(field(&answer, "content-length"), None, "{accept}");
    }
}

#[test]
fn what_must_not_or_need_not_change_stays() {
    let with = |name: &'static str, value: &'static str| {
        move || {
            let value = HeaderValue::from_static(value);
            Response::text(text(2_000)).with_header(HeaderName::from_static(name), value)
        }
    };
    let status = |code| move || Response::text(text(2_000)).with_status(StatusCode::from_u16(code).unwrap());
    let stays: [App; 18] = [
        app(|| Response::text(text(1_023))),
        app(|| Response::new(StatusCode::OK).with_body(text(2_000))),
        app(|| Response::typed("image/png", text(2_000).into())),
        app(|| Response::new(StatusCode::OK)),
        app(|| match license() {
            Tail::File { file, offset, length } => {
                Response::typed("text/plain", Body::File { file, offset, length })
            }
            Tail::Shared(_) => unreachable!("it is a file"),
        }),
        app(|| Response::stream("image/png", Play(VecDeque::from([piece(&text(2_000), Pulled::End)])))),
        app(with("content-encoding", "gzip")),
        app(with("content-encoding", "identity")),
        app(with("cache-control", "max-age=1, No-Transform")),
        app(with("vary", "Origin, accept-encoding")),
        app(with("content-digest", "sha-256=:a:")),
        app(with("repr-digest", "sha-256=:a:")),
        app(with("content-type", "video/mp4")),
        app(with("content-range", "bytes 0-1999/9000")),
        app(status(206)),
        app(status(204)),
        app(status(304)),
        App::new().layer(Compress::new(Compression::new().codings([]))).any("/", Response::text(text(2_000))),
    ];
    for (index, app) in stays.iter().enumerate() {
        let (plain, answer) = (ask(app, "GET", ""), ask(app, "GET", "br, gzip, zstd"));
        assert_eq!(answer.headers(), plain.headers(), "{index}");
        assert_eq!(answer.body(), plain.body(), "{index}");
    }
    // Errors are content, too; and what varies by everything says no more.
    let error = ask(&app(status(503)), "GET", "gzip");
    assert_eq!((error.status().as_u16(), field(&error, "content-encoding")), (503, Some("gzip")));
    let answer = ask(&app(with("vary", "*")), "GET", "gzip");
    assert_eq!(answer.headers().get_all("vary").iter().count(), 1);
    assert_eq!(field(&answer, "content-encoding"), Some("gzip"));
    let weak = ask(&app(with("etag", "W/\"a\"")), "GET", "gzip");
    assert_eq!(field(&weak, "etag"), Some("W/\"a\""));
    // Noise does not shrink: it stays, and would have been asked for.
    let noise = || (0..4_000_u32).map(|n| char::from(33 + (n.wrapping_mul(0x9E37_79B9) >> 24) as u8 % 94));
    let noise = ask(&app(move || Response::text(noise().rev().collect::<String>())), "GET", "gzip");
    assert_eq!(field(&noise, "vary"), Some("Accept-Encoding"));
}

#[test]
fn the_same_answer_is_settled_once_where_it_never_changes() {
    let app = App::new()
        .layer(Compress::default())
        .get("/short", Response::text("short"))
        .get("/", Response::text(text(2_000)));
    let is_fixed = |path: &str| {
        let route = app.routes().iter().find(|route| route.pattern() == path).unwrap();
        route.fixed().is_some()
    };
    assert_eq!((is_fixed("/short"), is_fixed("/")), (true, false));
    assert_eq!(field(&ask(&app, "GET", "gzip"), "content-encoding"), Some("gzip"));
}

/// Whoever waits for an event has it when it happens, and the source is asked again after each wake.
#[test]
fn events_leave_when_their_source_waits() {
    for coding in Coding::ALL {
        let Ok(encoder) = Encoder::new(coding) else { continue };
        let pieces = [
            piece("data: one\n\n", Pulled::Waiting),
            piece("", Pulled::Waiting),
            piece("data: two\n\n", Pulled::After(SECOND)),
            piece("data: three\n\n", Pulled::End),
        ];
        let mut encoded = Encoded::of_source(Box::new(Play(VecDeque::from(pieces))), encoder, place());
        let mut all = Vec::new();
        let mut more = |room| {
            let (bytes, said) = pulled(&mut encoded, room);
            all.extend_from_slice(&bytes);
            (readable(coding, &all), bytes.is_empty(), said)
        };
        assert_eq!(more(4_096), ("data: one\n\n".into(), false, Pulled::Waiting), "{coding:?}");
        assert_eq!(
            more(4_096),
            ("data: one\n\n".into(), true, Pulled::Waiting),
            "nothing, if it has nothing"
        );
        // Without room for all of it the rest comes first, and then the source is asked again.
        assert_eq!(more(1).2, Pulled::More);
        assert_eq!(more(4_096), ("data: one\n\ndata: two\n\ndata: three\n\n".into(), false, Pulled::End));
    }
}

/// What can be read of the beginning of something.
fn readable(coding: Coding, bytes: &[u8]) -> String {
    let mut reader: Box<dyn std::io::Read + '_> = match coding {
        Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        #[cfg(feature = "zstd")]
        Coding::Zstd => Box::new(zstd::Decoder::new(bytes).unwrap()),
        #[cfg(not(feature = "zstd"))]
        Coding::Zstd => unreachable!("nobody has compressed this"),
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
    };
    let (mut text, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = reader.read(&mut byte) {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_long_body_takes_its_turns_and_no_more_than_its_room() {
    let zeros = Bytes::from(vec![b'0'; 4 * 1024 * 1024]);
    let encoder = Encoder::new(Coding::Gzip).unwrap();
    let mut encoded = Encoded::of_bytes(zeros.clone(), encoder, place());
    let (mut all, mut turns) = (Vec::new(), 0);
    loop {
        let (bytes, said) = pulled(&mut encoded, 64);
        assert!(bytes.len() <= 64);
        all.extend_from_slice(&bytes);
        match said {
            Pulled::More => assert_eq!(bytes.len(), 64, "there was no room"),
            Pulled::After(wait) => {
                assert!(wait.is_zero());
                turns += 1;
            }
            Pulled::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(turns > 2, "{turns}");
    assert!(decoded(Some("gzip"), &all) == zeros);
}

#[test]
fn who_comes_when_all_places_are_taken_gets_it_as_it_is() {
    let compress = Compress::default().streams_max(1);
    let handler = |_: &Request<'_>| Response::text(text(100_000));
    let app = App::new().any("/", handler.layer(compress.with(Compression::new().codings([Coding::Gzip]))));
    let mut response = Response::text(text(100_000));
    assert!(compress.encode(&mut response, Coding::Gzip));
    let held = response.take_body();
    let answer = ask(&app, "GET", "gzip");
    assert_eq!(
        ["content-encoding", "vary"].map(|name| field(&answer, name)),
        [None, Some("Accept-Encoding")]
    );
    assert_eq!(answer.body().len(), 100_000);
    drop(held);
    assert_eq!(field(&ask(&app, "GET", "gzip"), "content-encoding"), Some("gzip"));
}

#[test]
fn a_source_that_fails_or_a_file_that_is_shorter_ends_the_answer() {
    let short = || {
        let file = Arc::new(File::open("LICENSE-MIT").unwrap());
        Tail::File { file, offset: 0, length: 1 << 20 }
    };
    let pieces = [
        vec![piece("a", Pulled::More), piece("b", Pulled::Failed)],
        vec![Piece { copied: "a".into(), tail: Some(short()), said: Pulled::End }],
    ];
    for pieces in pieces {
        let encoder = Encoder::new(Coding::Gzip).unwrap();
        let mut encoded = Encoded::of_source(Box::new(Play(pieces.into())), encoder, place());
        assert_eq!(pulled(&mut encoded, 1 << 20).1, Pulled::Failed);
    }
}

#[test]
fn what_stands_behind_a_body_stays_there() {
    let encoder = Encoder::new(Coding::Gzip).unwrap();
    let mut encoded = Encoded::of_source(Box::new(Play(VecDeque::new())), encoder, place());
    assert_eq!(pulled(&mut encoded, 4_096).1, Pulled::End);
    let mut fields = Fields::new();
    encoded.trailers(&mut fields);
    assert_eq!(fields.get("x-end"), Some(&b"whole"[..]));
}
