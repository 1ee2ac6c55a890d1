//! Golden blocks. A case is a heading, a `blocks` block and a `fields` block, on one connection.
//!
//! In a blocks block every line is a header block in hexadecimal digits (`be*4000` repeats one word,
//! `"text"` is text), or `limit N`: from here on the peer knows that its table may have N bytes. Cases under
//! a heading with "tight" have tight limits. `UPDATE=1 cargo test --test hpack` writes the fields down anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kolk::proto::hpack::{Decoder, Error, FieldList, Fit, Limits};

const TIGHT: Limits = Limits { list_bytes_max: 200, fields_max: 4, expansion_bytes_max: 1_000 };

/// What is longer is not shown whole.
const BYTES_SHOWN_MAX: usize = 80;

#[test]
fn every_case() {
    let update = std::env::var_os("UPDATE").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hpack");
    let (mut cases, mut failures, mut seen) = (0, Vec::new(), String::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut updated = String::new();
        for case in text.split_inclusive("\n## ") {
            let (title, _) = case.split_once('\n').unwrap();
            let Some(blocks) = part(case, "blocks") else {
                updated.push_str(case);
                continue;
            };
            cases += 1;
            let fields = replay(title, blocks);
            let expected = part(case, "fields").unwrap_or_default();
            if expected != fields {
                failures.push(format!("{}: {title}\nexpected:\n{expected}got:\n{fields}", path.display()));
            }
            updated.push_str(&with_fields(case, blocks, &fields));
            seen.push_str(&fields);
        }
        if update {
            fs::write(&path, updated).unwrap();
        }
    }
    assert!(update || failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases >= 40, "{cases} cases");
    for error in Error::ALL {
        assert!(seen.contains(&error.to_string()), "no case shows: {error}");
    }
}

fn replay(title: &str, blocks: &str) -> String {
    let limits = if title.contains("tight") { TIGHT } else { Limits::DEFAULT };
    let mut decoder = Decoder::new();
    let mut list = FieldList::new();
    let mut trace = String::new();
    for line in blocks.lines() {
        if let Some(bytes) = line.strip_prefix("limit ") {
            decoder.set_bytes_max(bytes.parse().unwrap());
            continue;
        }
        let fit = decoder.decode(&bytes(line), &limits, |_, _| 0, &mut list);
        for ((name, value), field) in list.iter().zip(list.fields()) {
            let sensitive = if field.is_sensitive { " (never indexed)" } else { "" };
            writeln!(trace, "{}: {}{sensitive}", name.escape_ascii(), shown(value)).unwrap();
        }
        match fit {
            Ok(Fit::Whole) => {}
            Ok(fit) => writeln!(trace, "and more: {fit:?}").unwrap(),
            Err(error) => {
                writeln!(trace, "refused: {error}").unwrap();
                break;
            }
        }
        let table = decoder.table();
        writeln!(trace, "table {} of {}", table.size(), table.bytes_max()).unwrap();
        for (index, (name, value)) in (62..).zip(table.fields()) {
            writeln!(trace, "  {index} {}: {}", name.escape_ascii(), shown(&value)).unwrap();
        }
    }
    trace
}

/// A value, or its beginning and its length.
fn shown(value: &[u8]) -> String {
    match value.get(..BYTES_SHOWN_MAX) {
        Some(beginning) => format!("{}... ({} bytes)", beginning.escape_ascii(), value.len()),
        None => value.escape_ascii().to_string(),
    }
}

/// The content of the block of this kind.
fn part<'c>(case: &'c str, kind: &str) -> Option<&'c str> {
    let (_, rest) = case.split_once(&format!("```{kind}\n"))?;
    rest.split_once("```").map(|(content, _)| content)
}

/// The case with another fields block.
fn with_fields(case: &str, blocks: &str, fields: &str) -> String {
    let (before, _) = case.split_once("```blocks\n").unwrap();
    let tail = if case.ends_with("\n## ") { "\n## " } else { "" };
    format!("{before}```blocks\n{blocks}```\n\n```fields\n{fields}```\n{tail}")
}

fn bytes(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.trim_start().chars().next() {
        rest = rest.trim_start();
        if first == '"' {
            let (text, behind) = rest[1..].split_once('"').unwrap();
            bytes.extend_from_slice(text.as_bytes());
            rest = behind;
            continue;
        }
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        let (digits, count) = word.split_once('*').unwrap_or((word, "1"));
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let word: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        bytes.extend(word.repeat(count.parse().unwrap()));
        rest = behind;
    }
    bytes
}
