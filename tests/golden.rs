//! Golden cases: what the HTTP/1 machine makes of bytes, filed by section of the RFCs in `golden/h1/`.
//!
//! A case is a heading, a `wire` block and an `events` block. In a wire block only escapes make line ends
//! (`\r \n \t \0 \xNN \\`), and `\{TEXT*COUNT}` repeats. Each case is replayed whole, in two pieces cut
//! at every byte, and byte by byte: the trace is always the same. `UPDATE=1 cargo test --test golden`
//! writes the traces down anew. Cases under a heading with "strict" refuse bare LF.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kolk::http::Reason;
use kolk::proto::h1::Limits;

mod trace;

static STRICT: Limits = Limits { refuse_bare_lf: true, ..Limits::DEFAULT };

/// Inputs longer than this are cut at some places only.
const BYTES_CUT_EVERYWHERE: usize = 1024;

#[test]
fn every_case_in_every_split() {
    let update = std::env::var_os("UPDATE").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/h1");
    let mut cases = 0;
    let mut failures = Vec::new();
    let mut codes = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut updated = String::new();
        for case in text.split_inclusive("\n## ") {
            let (title, _) = case.split_once('\n').unwrap();
            let Some(wire) = block(case, "wire") else {
                updated.push_str(case);
                continue;
            };
            cases += 1;
            let events = replay(title, &unescape(wire));
            codes.extend(events.split_whitespace().filter(|word| word.contains('.')).map(str::to_owned));
            let expected = block(case, "events").unwrap_or_default();
            if expected != events {
                failures.push(format!("{}: {title}\nexpected:\n{expected}got:\n{events}", path.display()));
            }
            updated.push_str(&with_events(case, &events));
        }
        if update {
            fs::write(&path, updated).unwrap();
        }
    }
    assert!(update || failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases >= 120, "{cases} cases");
    for reason in Reason::ALL.iter().filter(|reason| is_from_the_parser(**reason)) {
        assert!(codes.contains(reason.code()), "no case shows {}", reason.code());
    }
}

fn is_from_the_parser(reason: Reason) -> bool {
    let elsewhere = [Reason::Path, Reason::PlainHttp, Reason::BodyBytes, Reason::PoolFull];
    (reason.code().starts_with("parse.") || reason.code().starts_with("limit."))
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

/// The content of the block of this kind.
fn block<'c>(case: &'c str, kind: &str) -> Option<&'c str> {
    let (_, rest) = case.split_once(&format!("```{kind}\n"))?;
    rest.split_once("```").map(|(content, _)| content)
}

/// The case with another events block.
fn with_events(case: &str, events: &str) -> String {
    let end = case.find("```wire\n").unwrap() + 8;
    let end = end + case[end..].find("```\n").unwrap() + 4;
    let tail = if case.ends_with("\n## ") { "\n## " } else { "" };
    format!("{}\n```events\n{events}```\n{tail}", &case[..end])
}

fn unescape(wire: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = wire.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match (byte, rest) {
            (b'\n', _) => {}
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = behind;
            }
            (b'\\', [b'{', behind @ ..]) => {
                let end = behind.iter().position(|byte| *byte == b'}').unwrap();
                let repeated = std::str::from_utf8(&behind[..end]).unwrap();
                let (text, count) = repeated.rsplit_once('*').unwrap();
                bytes.extend(unescape(text).repeat(count.parse().unwrap()));
                rest = &behind[end + 1..];
            }
            (b'\\', [escape, behind @ ..]) => {
                bytes.push(match escape {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    b'\\' => b'\\',
                    other => panic!("unknown escape {}", char::from(*other)),
                });
                rest = behind;
            }
            _ => bytes.push(*byte),
        }
    }
    bytes
}
