//! Golden blocks. A case is a heading, a `blocks` block and a `fields` block, on one connection.
//!
//! In a blocks block every line is a header block in hexadecimal digits (`be*4000` repeats one word,
//! `"text"` is text), or `limit N`: from here on the peer knows that its table may have N bytes. Cases under
//! a heading with "tight" have tight limits. `UPDATE=1 cargo test --test hpack` writes the fields down anew.

use std::fmt::Write as _;

use kolk::proto::hpack::{Decoder, Error, FieldList, Fit, Limits};

use super::cases::{self, Kinds};

const TIGHT: Limits = Limits { list_bytes_max: 200, fields_max: 4, expansion_bytes_max: 1_000 };

/// What is longer is not shown whole.
const BYTES_SHOWN_MAX: usize = 80;

#[test]
fn every_case() {
    let kinds = Kinds { question: "blocks", answer: "fields" };
    let mut seen = String::new();
    let cases = cases::check("hpack", &kinds, |title, blocks| {
        let fields = replay(title, blocks);
        seen.push_str(&fields);
        fields
    });
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
