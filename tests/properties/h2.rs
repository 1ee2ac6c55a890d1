//! Properties of the HTTP/2 machine: whatever an answer is made of and however its windows open, it arrives
//! whole, once and in order; the urgent go first; and a request comes out as it was put in.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::fs::File;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kolk::http::Fields;
use kolk::proto::h2::Limits;
use kolk::{Body, HeaderName, HeaderValue, Pull, Pulled, Response, Source};
use proptest::collection::vec;
use proptest::prelude::*;

use super::frames::client::Client;
use super::frames::frame::{CONTINUATION, END_HEADERS, END_STREAM, Frame, HEADERS, bytes_of, literal};
use super::scratch::Scratch;

/// What every body is cut from.
const BYTES: usize = 100_000;

fn bytes() -> &'static [u8] {
    static BYTES_ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES_ONCE.get_or_init(|| (0..BYTES).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect())
}

fn file() -> Arc<File> {
    static FILE: OnceLock<(Scratch, Arc<File>)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let folder = Scratch::new("h2-properties");
        folder.put("bytes", bytes());
        let file = File::open(folder.join("bytes")).unwrap();
        (folder, Arc::new(file))
    });
    Arc::clone(file)
}

/// One pull of a source.
#[derive(Clone, Copy, Debug)]
struct Part {
    copied: usize,
    tail: usize,
    tail_is_file: bool,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    More,
    After,
    Waiting,
}

/// What an answer is made of.
#[derive(Clone, Debug)]
enum Plan {
    Shared(usize),
    File { offset: usize, length: usize },
    Parts { parts: Vec<Part>, is_promised: bool, has_trailer: bool },
}

struct Made {
    parts: Vec<Part>,
    next: usize,
    at: usize,
    is_promised: bool,
    has_trailer: bool,
}

impl Source for Made {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let Some(part) = self.parts.get(self.next) else { return Pulled::End };
        self.next += 1;
        // In two writes.
        let (half, end) = (self.at + part.copied / 2, self.at + part.copied);
        pull.write(&bytes()[self.at..half]);
        pull.write(&bytes()[half..end]);
        self.at = end + part.tail;
        match part.tail {
            0 => {}
            tail if part.tail_is_file => pull.file(file(), end as u64, tail as u64),
            _ => pull.share(bytes::Bytes::from_static(&bytes()[end..self.at])),
        }
        match part.then {
            Then::More => Pulled::More,
            Then::After => Pulled::After(Duration::from_secs(1)),
            Then::Waiting => Pulled::Waiting,
        }
    }

    fn length(&self) -> Option<u64> {
        self.is_promised.then(|| length(&self.parts) as u64)
    }

    fn trailers(&mut self, fields: &mut Fields) {
        if self.has_trailer {
            fields.append(&HeaderName::from_static("checksum"), &HeaderValue::from_static("abc"));
        }
    }
}

fn length(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.copied + part.tail).sum()
}

impl Plan {
    fn response(&self) -> Response {
        match self {
            &Self::Shared(length) => {
                Response::text(Body::Shared(bytes::Bytes::from_static(&bytes()[..length])))
            }
            &Self::File { offset, length } => Response::typed(
                "text/plain",
                Body::File { file: file(), offset: offset as u64, length: length as u64 },
            ),
            Self::Parts { parts, is_promised, has_trailer } => Response::stream(
                "text/plain",
                Made {
                    parts: parts.clone(),
                    next: 0,
                    at: 0,
                    is_promised: *is_promised,
                    has_trailer: *has_trailer,
                },
            ),
        }
    }

    fn content(&self) -> &'static [u8] {
        match self {
            Self::Shared(length) => &bytes()[..*length],
            Self::File { offset, length } => &bytes()[*offset..offset + length],
            Self::Parts { parts, .. } => &bytes()[..length(parts)],
        }
    }
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0_usize), 1..20_usize, 1..3_000_usize, 16_000..17_000_usize]
}

fn plan() -> impl Strategy<Value = Plan> {
    let then = prop_oneof![3 => Just(Then::More), 1 => Just(Then::After), 1 => Just(Then::Waiting)];
    let part = (size(), prop_oneof![2 => Just(0_usize), 1 => size()], any::<bool>(), then)
        .prop_map(|(copied, tail, tail_is_file, then)| Part { copied, tail, tail_is_file, then });
    prop_oneof![
        prop_oneof![size(), 0..BYTES].prop_map(Plan::Shared),
        (0..50_000_usize, prop_oneof![size(), 0..50_000_usize])
            .prop_map(|(offset, length)| Plan::File { offset, length }),
        (vec(part, 0..5), any::<bool>(), any::<bool>())
            .prop_map(|(parts, is_promised, has_trailer)| Plan::Parts { parts, is_promised, has_trailer }),
    ]
}

/// What the client does while answers are on their way.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Opens the window of a stream by its place, or of the connection.
    Open(Option<usize>, u32),
    Initial(u32),
    FrameSize(u32),
    Wake(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = prop_oneof![1..20_u32, 1..5_000_u32, 1..60_000_u32];
    prop_oneof![
        4 => (prop::option::weighted(0.7, 0..6_usize), bytes.clone()).prop_map(|(of, by)| Deed::Open(of, by)),
        1 => bytes.prop_map(Deed::Initial),
        1 => (16_384..40_000_u32).prop_map(Deed::FrameSize),
        2 => (0..6_usize).prop_map(Deed::Wake),
    ]
}

fn asking(streams: usize, fields: impl Fn(usize) -> String) -> Client {
    let mut client = Client::new(Limits::DEFAULT);
    client.greet();
    client.send(&bytes_of("SETTINGS INITIAL_WINDOW_SIZE=0"), false);
    for place in 0..streams {
        let line = format!("HEADERS {} END_STREAM END_HEADERS GET=/late {}", id(place), fields(place));
        client.send(&bytes_of(&line), false);
    }
    client
}

fn id(place: usize) -> u32 {
    u32::try_from(place * 2 + 1).unwrap()
}

fn act(client: &mut Client, deed: Deed, streams: usize) {
    let line = match deed {
        Deed::Open(Some(place), by) => format!("WINDOW_UPDATE {} +{by}", id(place % streams)),
        Deed::Open(None, by) => format!("WINDOW_UPDATE 0 +{by}"),
        Deed::Initial(bytes) => format!("SETTINGS INITIAL_WINDOW_SIZE={bytes}"),
        Deed::FrameSize(bytes) => format!("SETTINGS MAX_FRAME_SIZE={bytes}"),
        Deed::Wake(place) => return client.order(&format!("wake {}", id(place % streams))),
    };
    client.send(&bytes_of(&line), false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bodies_arrive_whole_once_and_in_order(
        plans in vec((plan(), any::<bool>()), 1..6),
        deeds in vec(deed(), 0..30),
        hears_late in any::<bool>(),
    ) {
        let mut client = asking(plans.len(), |place| {
            if plans[place].1 { "te=trailers".to_owned() } else { String::new() }
        });
        client.hears_late = hears_late;
        for (place, (plan, _)) in plans.iter().enumerate() {
            client.respond(id(place), &mut plan.response());
        }
        for deed in deeds {
            act(&mut client, deed, plans.len());
        }
        act(&mut client, Deed::Initial(1_000_000), plans.len());
        act(&mut client, Deed::Open(None, 10_000_000), plans.len());
        for place in (0..plans.len()).cycle().take(plans.len() * 6) {
            act(&mut client, Deed::Wake(place), plans.len());
        }
        for (place, (plan, takes_trailers)) in plans.iter().enumerate() {
            let answer = &client.answers[&id(place)];
            prop_assert!(answer.body == plan.content(), "{} bytes of {}", answer.body.len(), plan.content().len());
            prop_assert_eq!((answer.ends, answer.is_reset), (1, false));
            let has_trailer = matches!(plan, Plan::Parts { has_trailer: true, .. });
            let trailer = format!("HEADERS {} END_STREAM END_HEADERS checksum=abc\n", id(place));
            let trailers = client.trace.matches(&trailer).count();
            prop_assert_eq!(trailers, usize::from(has_trailer && *takes_trailers));
        }
        prop_assert_eq!(client.streams().count(), 0);
    }

    #[test]
    fn a_source_that_does_not_keep_its_promise_ends_its_stream_alone(
        parts in vec((1..3_000_usize).prop_map(|copied| {
            Part { copied, tail: 0, tail_is_file: false, then: Then::More }
        }), 1..5),
        promised in 0..9_000_u64,
    ) {
        struct Liar(Made, u64);
        impl Source for Liar {
            fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
                self.0.pull(pull)
            }
            fn length(&self) -> Option<u64> {
                Some(self.1)
            }
        }
        let real = length(&parts);
        prop_assume!(real as u64 != promised);
        let mut client = asking(2, |_| String::new());
        let made = Made { parts, next: 0, at: 0, is_promised: true, has_trailer: false };
        client.respond(1, &mut Response::stream("text/plain", Liar(made, promised)));
        client.respond(3, &mut Response::text("fine"));
        act(&mut client, Deed::Initial(1_000_000), 2);
        let liar = &client.answers[&1];
        prop_assert_eq!((liar.ends, liar.is_reset), (0, true));
        prop_assert!(liar.body.len() as u64 <= promised && bytes().starts_with(&liar.body));
        let other = &client.answers[&3];
        prop_assert_eq!((&other.body[..], other.ends), (&b"fine"[..], 1));
    }

    #[test]
    fn the_urgent_first_and_incremental_ones_in_turn(
        priorities in vec((0..3_u8, any::<bool>(), 1..80_000_usize), 1..7),
        hears_late in any::<bool>(),
    ) {
        let mut client = asking(priorities.len(), |place| {
            let (urgency, is_incremental, _) = priorities[place];
            format!("priority=u={urgency}{}", if is_incremental { ",i" } else { "" })
        });
        client.hears_late = hears_late;
        for (place, (.., length)) in priorities.iter().enumerate() {
            client.respond(id(place), &mut Plan::Shared(*length).response());
        }
        client.send(&bytes_of("WINDOW_UPDATE 0 +10000000 | SETTINGS INITIAL_WINDOW_SIZE=1000000"), false);
        let mut left: Vec<usize> = priorities.iter().map(|(.., length)| *length).collect();
        let mut turns = vec![0_usize; left.len()];
        for &(stream, length) in &client.pieces {
            let place = usize::try_from(stream / 2).unwrap();
            let urgency = priorities[place].0;
            let unfinished: Vec<usize> = (0..left.len()).filter(|other| left[*other] > 0).collect();
            let is_urgent = unfinished.iter().all(|other| priorities[*other].0 >= urgency);
            prop_assert!(is_urgent, "{} is not the most urgent: {:?}", stream, &client.pieces);
            let rivals = || unfinished.iter().filter(|other| priorities[**other].0 == urgency);
            turns[place] += 1;
            left[place] -= length;
            let all = priorities.iter().filter(|other| other.0 == urgency);
            if all.clone().all(|(_, is_incremental, _)| !is_incremental) {
                prop_assert_eq!(Some(&place), rivals().next(), "the first of equals goes on");
            } else if all.clone().all(|(_, is_incremental, _)| *is_incremental) {
                let counts = || rivals().map(|rival| turns[*rival]);
                let is_fair = counts().max().unwrap() - counts().min().unwrap() <= 1;
                prop_assert!(is_fair, "{} was served too often: {:?}", stream, &client.pieces);
            }
        }
        prop_assert!(left.iter().all(|left| *left == 0));
    }

    #[test]
    fn a_request_comes_out_as_it_was_put_in(
        method in "[A-Z]{1,24}".prop_filter("needs its own form", |method| method != "CONNECT"),
        path in "/[!-\"$-~]{0,40}",
        fields in vec(("[a-z0-9_^-]{1,24}x", "([!-~]([ -~\t]{0,20}[!-~])?)?"), 0..20),
        body in vec(any::<u8>(), 0..60),
        cuts_of_block in vec(0..600_usize, 0..4),
        (padding, piece_bytes, cut) in (0..9_u8, 1..20_usize, 0..600_usize),
    ) {
        let mut block = Vec::new();
        let line = [(":method", &method[..]), (":scheme", "https"), (":authority", "x"), (":path", &path)];
        for (name, value) in line {
            block.extend(literal(name.as_bytes(), value.as_bytes()));
        }
        let mut expected = format!("{method} {path} host=x");
        for (name, value) in &fields {
            block.extend(literal(name.as_bytes(), value.as_bytes()));
            expected += &format!(" {name}={value}");
        }
        let mut said = block_of(block, cuts_of_block, padding, body.is_empty());
        for (place, piece) in body.chunks(piece_bytes).enumerate() {
            let is_last = (place + 1) * piece_bytes >= body.len();
            let frame = Frame::new(0, if is_last { END_STREAM } else { 0 }, 1, piece);
            said.extend(frame.padded(padding, padding.into()).bytes());
        }
        let mut client = Client::new(Limits::DEFAULT);
        client.greet();
        client.spells_out = true;
        let cut = cut.min(said.len());
        client.send(&said[..cut], false);
        client.send(&said[cut..], true);
        let mut answer = format!("1: {expected}\n");
        if !body.is_empty() {
            answer += &format!("1: body \"{}\"\n", body.escape_ascii());
        }
        prop_assert!(client.trace.starts_with(&answer), "{}\n{answer}", client.trace);
    }
}

/// A block in as many frames as there are cuts, and one.
fn block_of(mut block: Vec<u8>, mut cuts: Vec<usize>, padding: u8, ends: bool) -> Vec<u8> {
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    for cut in cuts.into_iter().rev() {
        pieces.insert(0, block.split_off(cut.min(block.len())));
    }
    pieces.insert(0, block);
    let count = pieces.len();
    let frames = pieces.into_iter().enumerate().flat_map(|(place, piece)| {
        let last = if place + 1 == count { END_HEADERS } else { 0 };
        if place > 0 {
            return Frame::new(CONTINUATION, last, 1, piece).bytes();
        }
        let end = if ends { END_STREAM } else { 0 };
        Frame::new(HEADERS, last | end, 1, piece).padded(padding, padding.into()).bytes()
    });
    frames.collect()
}
