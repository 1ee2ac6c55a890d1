//! Rules for what people read: citations, the example of the README, golden titles, scripts.

use crate::source::{Complaint, Source, Tree};

/// Places that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = ["/root/", "/work/", "/home/", "/Users/"];

/// A standard is cited as `RFC 9112 §6.3`, so that one search finds every rule.
pub(crate) fn citations(source: &Source) -> Vec<Complaint> {
    if source.is_under("tests/tidy") {
        return Vec::new();
    }
    let wrong = source.comments.iter().filter(|comment| {
        let lower = comment.text.to_ascii_lowercase();
        let mut starts = lower.match_indices("rfc").map(|(start, _)| start);
        starts.any(|start| !is_well_cited(&comment.text, start))
    });
    wrong
        .map(|comment| source.complain(comment.line, "a citation in another form", "write `RFC 9112 §6.3`"))
        .collect()
}

/// Whether the `rfc` at `start` is a citation in form, or none at all (`RFCs`, an address, a part of a name).
fn is_well_cited(text: &str, start: usize) -> bool {
    let before = text[..start].chars().next_back();
    let rest = &text[start + 3..];
    let digits = rest.trim_start_matches([' ', '-']);
    let cites = digits.starts_with(|next: char| next.is_ascii_digit());
    if !cites || before.is_some_and(|letter| matches!(letter, '/' | '_') || letter.is_alphanumeric()) {
        return true;
    }
    let after = digits.trim_start_matches(|next: char| next.is_ascii_digit()).to_lowercase();
    let detour = after.trim_start_matches([' ', ',']);
    let section_in_words =
        ["section", "sec.", "s.", "ch.", "chapter"].iter().any(|word| detour.starts_with(word));
    let section_far_off = detour.starts_with('§') && !after.starts_with(" §");
    text[start..].starts_with("RFC ")
        && rest[1..].starts_with(digits)
        && !section_in_words
        && !section_far_off
        && !detour.starts_with("§ ")
}

/// The README's first example must be the one that `cargo test` runs from `src/lib.rs`.
pub(crate) fn examples_that_differ(tree: &Tree) -> Option<Complaint> {
    let readme = tree.file("README.md");
    let lib = tree.file("src/lib.rs");
    let doc: String = lib
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let (shown, tested) = (example(&readme.text), example(&doc));
    assert!(tested.is_some(), "src/lib.rs: no example that begins with `use kolk::`");
    (shown != tested)
        .then(|| readme.complain(1, "the example is not that of `src/lib.rs`", "copy the tested one over"))
}

/// The first fenced block whose first line is a `use kolk::…`.
fn example(markdown: &str) -> Option<&str> {
    let start = markdown.find("\nuse kolk::")? + 1;
    let length = markdown[start..].find("\n```")?;
    Some(&markdown[start..start + length])
}

/// A golden file opens with what its cases are about.
pub(crate) fn golden_without_title(source: &Source) -> Option<Complaint> {
    let golden = source.is_under("tests/golden/") && source.path.ends_with(".md");
    (golden && !source.text.starts_with("# "))
        .then(|| source.complain(1, "no title", "open with `# What these cases show`"))
}

/// A script says what it does, answers `--help`, and stops at the first error.
pub(crate) fn unexplained_scripts(source: &Source) -> Vec<Complaint> {
    if !(source.is_under("scripts/") && source.path.ends_with(".sh")) && source.path != ".ci/run" {
        return Vec::new();
    }
    let mut lines = source.text.lines();
    let shebang = lines.next() == Some("#!/usr/bin/env bash");
    let explained = lines.next().is_some_and(|line| line.starts_with("# "));
    let library = source.path.ends_with("/lib.sh");
    let needs = [
        (shebang, "line 1 is not `#!/usr/bin/env bash`"),
        (explained, "line 2 is not a comment that says what the script does"),
        (source.text.contains("\nset -euo pipefail\n"), "no `set -euo pipefail`"),
        (library || source.path == ".ci/run" || helps(&source.text), "no `--help`"),
    ];
    needs.iter().filter(|(met, _)| !met).map(|(_, what)| source.complain(1, *what, "add it")).collect()
}

/// Either by `options` of scripts/lib.sh, or, where arguments are passed on, by itself.
fn helps(script: &str) -> bool {
    script.contains("\noptions ") || script.contains("!= --help ]] || help\n")
}

/// Paths that only exist on the author's machine.
pub(crate) fn machine_paths(source: &Source) -> Vec<Complaint> {
    if source.is_under("tests/tidy") {
        return Vec::new();
    }
    let lines = source.text.lines().zip(1..);
    let found = lines.filter(|(text, _)| MACHINE_PATHS.iter().any(|path| text.contains(path)));
    found
        .map(|(_, line)| source.complain(line, "a path of one machine", "make it relative to the repository"))
        .collect()
}
