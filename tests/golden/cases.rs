//! The reader of golden cases: in each file of a folder, a heading, a block that asks and one that answers.
//!
//! What stands between the heading and the first block is for people. In the block that asks, only escapes
//! make line ends (`\r \n \t \0 \xNN \\`), and `\{TEXT*COUNT}` repeats. `UPDATE=1` writes the answers down
//! anew.

use std::fs;
use std::path::Path;

/// The kinds of the two blocks.
pub(crate) struct Kinds {
    pub(crate) question: &'static str,
    pub(crate) answer: &'static str,
}

/// Holds the answer of each case in the folder against what `answer` makes of its title and its question.
/// How many cases there are.
pub(crate) fn check(folder: &str, kinds: &Kinds, mut answer: impl FnMut(&str, &str) -> String) -> usize {
    let update = std::env::var_os("UPDATE").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let mut cases = 0;
    let mut failures = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut updated = String::new();
        for case in text.split_inclusive("\n## ") {
            let (title, _) = case.split_once('\n').unwrap();
            let Some(question) = block(case, kinds.question) else {
                updated.push_str(case);
                continue;
            };
            cases += 1;
            let answer = answer(title, question);
            let expected = block(case, kinds.answer).unwrap_or_default();
            if expected != answer {
                failures.push(format!("{}: {title}\nexpected:\n{expected}got:\n{answer}", path.display()));
            }
            updated.push_str(&with_answer(case, kinds, &answer));
        }
        if update && updated != text {
            fs::write(&path, updated).unwrap();
        }
    }
    assert!(update || failures.is_empty(), "{}", failures.join("\n"));
    cases
}

/// The content of the block of this kind.
fn block<'c>(case: &'c str, kind: &str) -> Option<&'c str> {
    let (_, rest) = case.split_once(&format!("```{kind}\n"))?;
    rest.split_once("```").map(|(content, _)| content)
}

/// The case with another answer.
fn with_answer(case: &str, kinds: &Kinds, answer: &str) -> String {
    let opening = format!("```{}\n", kinds.question);
    let end = case.find(&opening).unwrap() + opening.len();
    let end = end + case[end..].find("```\n").unwrap() + 4;
    let tail = if case.ends_with("\n## ") { "\n## " } else { "" };
    format!("{}\n```{}\n{answer}```\n{tail}", &case[..end], kinds.answer)
}

/// The bytes that a question means.
pub(crate) fn unescape(question: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = question.as_bytes();
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
