//! Golden cases of the HTTP/2 machine. A case is a heading, a `frames` block and an `events` block.
//!
//! A line of a frames block is a frame (`tests/frames/frame.rs` knows the notation) or, behind `>`, what the
//! handler or the server does at this point. What does not begin with `PREFACE` or `RAW` comes behind a
//! preface and settings. In an events block frames of the machine begin with their kind; a request, and what
//! becomes of it, with the number of its stream.
//!
//! A heading with "tight" has tight limits. One with "line by line" is not split in other ways, because each
//! line is a turn: it shows when windows are opened, and how content is cut.

use std::collections::BTreeSet;

use kolk::http::Reason;
use kolk::proto::h2::Limits;
use kolk::proto::hpack;

use super::BYTES_CUT_EVERYWHERE;
use super::cases::{self, Kinds};
use super::frames::client::Client;
use super::frames::frame::bytes_of;

const TIGHT: Limits = Limits {
    streams_max: 2,
    head_bytes_max: 600,
    fields: hpack::Limits { list_bytes_max: 600, fields_max: 12, ..hpack::Limits::DEFAULT },
    fields_max: 8,
    path_bytes_max: 20,
    block_bytes_max: 300,
    continuations_max: 2,
    stream_window_bytes: 100,
    stream_window_bytes_max: 400,
    connection_window_bytes: 65_535,
    connection_window_bytes_max: 100_000,
    worker_growth_bytes_max: 1 << 20,
    glitches_max: 4,
    glitches_per_second: 1,
};

/// Headings with this show what depends on where the bytes are cut.
const LINE_BY_LINE: &str = "line by line";

/// What stands in a frames block.
enum Step {
    Bytes(Vec<u8>),
    Order(String),
}

#[test]
fn every_case_of_frames_in_every_split() {
    let mut codes = BTreeSet::new();
    let kinds = Kinds { question: "frames", answer: "events" };
    let cases = cases::check("h2", &kinds, |title, frames| {
        let events = replay(title, frames);
        codes.extend(events.split_whitespace().filter(|word| word.contains('.')).map(str::to_owned));
        events
    });
    assert!(cases >= 120, "{cases} cases");
    let of_h2 = Reason::ALL.iter().filter(|reason| reason.code().contains(".h2_"));
    for reason in of_h2.filter(|reason| !reason.code().starts_with("timeout.")) {
        assert!(codes.contains(reason.code()), "no case shows {}", reason.code());
    }
}

fn replay(title: &str, frames: &str) -> String {
    let is_bare = frames.starts_with("PREFACE") || frames.starts_with("RAW");
    let steps: Vec<Step> = frames
        .lines()
        .map(|line| match line.strip_prefix("> ") {
            Some(order) => Step::Order(order.to_owned()),
            None => Step::Bytes(bytes_of(line)),
        })
        .collect();
    let mut bytes = 0;
    let mut ends = Vec::new();
    for step in &steps {
        if let Step::Bytes(piece) = step {
            bytes += piece.len();
            ends.push(bytes);
        }
    }
    let run = |cuts: &[usize]| run(title, is_bare, &steps, cuts);
    let trace = |cuts: &[usize]| run(cuts).trace;
    if title.contains(LINE_BY_LINE) {
        return trace(&ends);
    }
    let whole = run(&[]);
    let heard = whole.answers.values().map(|answer| answer.body.len()).sum::<usize>();
    let whole = whole.trace;
    let step = if bytes + heard > BYTES_CUT_EVERYWHERE { bytes / 20 + 1 } else { 1 };
    for cut in (1..bytes).step_by(step) {
        assert_eq!(trace(&[cut]), whole, "{title}: cut at {cut}");
    }
    assert_eq!(trace(&ends), whole, "{title}: {LINE_BY_LINE}");
    assert_eq!(trace(&(1..bytes).collect::<Vec<_>>()), whole, "{title}: byte by byte");
    whole
}

/// What comes of the steps, their bytes cut at these places.
fn run(title: &str, is_bare: bool, steps: &[Step], cuts: &[usize]) -> Client {
    let mut client = Client::new(if title.contains("tight") { TIGHT } else { Limits::DEFAULT });
    client.shows_windows = title.contains(LINE_BY_LINE);
    if !is_bare {
        client.greet();
    }
    // What waits to be sent, and how much was before it.
    let (mut waiting, mut sent) = (Vec::new(), 0);
    let mut cuts = cuts.iter().copied().peekable();
    for step in steps {
        match step {
            Step::Bytes(bytes) => {
                waiting.extend_from_slice(bytes);
                while let Some(cut) = cuts.next_if(|cut| *cut <= sent + waiting.len()) {
                    client.send(&waiting[..cut - sent], false);
                    waiting.drain(..cut - sent);
                    sent = cut;
                }
            }
            Step::Order(order) => {
                client.send(&waiting, false);
                sent += std::mem::take(&mut waiting).len();
                client.order(order);
            }
        }
    }
    client.send(&waiting, false);
    client.send(&[], true);
    client
}
