//! Golden cases: a question and its answer, filed by section of the RFCs below `golden/`.
//!
//! | folder | question | answer |
//! | --- | --- | --- |
//! | `h1` | bytes of a connection | what the HTTP/1 machine makes of them |
//! | `h2` | frames of a connection | what the HTTP/2 machine makes of them |
//! | `h2/states.md` | every frame in every state of a stream | the same, in a word |
//! | `files` | a request for a file | what a client gets, in full |
//!
//! `UPDATE=1 cargo test --test golden` writes the answers down anew: read what has changed before you
//! believe it.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::collections::BTreeSet;

use kolk::http::Reason;
use kolk::proto::h1::Limits;

use cases::{Kinds, unescape};

#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/files.rs"]
mod files;
mod frames;
#[path = "golden/h2.rs"]
mod h2;
#[path = "support/scratch.rs"]
mod scratch;
#[path = "golden/states.rs"]
mod states;
mod trace;

static STRICT: Limits = Limits { refuse_bare_lf: true, ..Limits::DEFAULT };

/// Inputs longer than this are cut at some places only.
const BYTES_CUT_EVERYWHERE: usize = 1024;

/// Each case is replayed whole, in two pieces cut at every byte, and byte by byte: the trace is always the
/// same. Cases under a heading with "strict" refuse bare LF.
#[test]
fn every_case_in_every_split() {
    let mut codes = BTreeSet::new();
    let kinds = Kinds { question: "wire", answer: "events" };
    let cases = cases::check("h1", &kinds, |title, wire| {
        let events = replay(title, &unescape(wire));
        codes.extend(events.split_whitespace().filter(|word| word.contains('.')).map(str::to_owned));
        events
    });
    assert!(cases >= 120, "{cases} cases");
    for reason in Reason::ALL.iter().filter(|reason| is_from_the_parser(**reason)) {
        assert!(codes.contains(reason.code()), "no case shows {}", reason.code());
    }
}

fn is_from_the_parser(reason: Reason) -> bool {
    let elsewhere = [
        Reason::Path,
        Reason::PlainHttp,
        Reason::Http2Only,
        Reason::BodyBytes,
        Reason::Bodies,
        Reason::PoolFull,
        Reason::Rate,
        Reason::Network,
        Reason::ClientUnknown,
        Reason::InFlight,
        Reason::AuthFailures,
    ];
    (reason.code().starts_with("parse.") || reason.code().starts_with("limit."))
        && !reason.code().contains(".h2_")
        && !elsewhere.contains(&reason)
}

fn replay(title: &str, bytes: &[u8]) -> String {
    let limits = if title.contains("strict") { &STRICT } else { &trace::LIMITS };
    let trace = |bytes: &[u8], cuts: Vec<usize>| trace::trace(limits, bytes, cuts);
    let whole = trace(bytes, vec![]);
    let step = if bytes.len() > BYTES_CUT_EVERYWHERE { 97 } else { 1 };
    for cut in (1..bytes.len()).step_by(step) {
        assert_eq!(trace(bytes, vec![cut]), whole, "{title}: cut at {cut}");
    }
    assert_eq!(trace(bytes, (1..bytes.len()).collect()), whole, "{title}: byte by byte");
    whole
}
