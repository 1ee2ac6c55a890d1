//! Rules for the code of one file: `unsafe`, front pages, names, forgotten work.

use crate::source::{Complaint, Source};

/// A `// SAFETY:` stands at most this many lines above its `unsafe`.
const SAFETY_LINES_ABOVE: usize = 4;
/// Names that say nothing, as words of a file's or a type's name.
const EMPTY_WORDS: [&str; 10] =
    ["util", "utils", "helper", "helpers", "manager", "common", "context", "session", "info", "misc"];
/// Names that say nothing when they are the whole name.
const EMPTY_NAMES: [&str; 1] = ["data"];

/// `unsafe`, `libc` and questions about the operating system outside `src/sys/`.
pub(crate) fn systems_outside_sys(source: &Source) -> Vec<Complaint> {
    if !source.is_under("src/") || source.is_under("src/sys/") || source.path == "src/sys.rs" {
        return Vec::new();
    }
    let cure = "move it into `src/sys/` behind a safe function";
    let mut complaints = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let foreign = match token.text.as_str() {
            "unsafe" | "target_os" | "target_vendor" | "target_family" | "target_env" => true,
            "libc" => source.word(index + 1) == "::",
            _ => false,
        };
        if foreign {
            complaints.push(source.complain(
                token.line,
                format!("`{}` outside `src/sys/`", token.text),
                cure,
            ));
        }
    }
    complaints
}

/// Every `unsafe` needs its reason right above it.
pub(crate) fn unsafe_without_a_reason(source: &Source) -> Vec<Complaint> {
    let uses = source.tokens.iter().enumerate().filter(|(index, token)| {
        token.text == "unsafe" && matches!(source.word(index + 1), "{" | "fn" | "impl" | "extern" | "trait")
    });
    let unexplained = uses.filter(|(_, token)| {
        let near = token.line.saturating_sub(SAFETY_LINES_ABOVE)..=token.line;
        let mut comments = source.comments.iter().filter(|comment| near.contains(&comment.line));
        !comments.any(|comment| comment.text.contains("// SAFETY:") || comment.text.contains("# Safety"))
    });
    let cure = "say why it is sound in `// SAFETY: …` right above";
    unexplained.map(|(_, token)| source.complain(token.line, "`unsafe` without a reason", cure)).collect()
}

/// A file opens with `//!`: what it is, what holds, what it does not know.
pub(crate) fn missing_front_page(source: &Source) -> Option<Complaint> {
    let opens = source.text.starts_with("//! ");
    (!opens).then(|| source.complain(1, "no front page", "open the file with `//! What it is …`"))
}

/// Notes to oneself and scaffolding.
pub(crate) fn forgotten_work(source: &Source) -> Vec<Complaint> {
    let notes = source.comments.iter().filter_map(|comment| {
        let mut words = comment.text.split(|next: char| !next.is_alphanumeric());
        let note = words.find(|word| matches!(*word, "TODO" | "FIXME" | "XXX" | "HACK"))?;
        Some(source.complain(
            comment.line,
            format!("a note `{note}`"),
            "do it, or open an issue and drop the note",
        ))
    });
    let scaffolds = source.tokens.iter().enumerate().filter_map(|(index, token)| {
        let scaffold = matches!(token.text.as_str(), "todo" | "unimplemented" | "dbg");
        // `name != …` is a comparison, `name!(…)` a macro.
        let called = source.word(index + 1) == "!" && matches!(source.word(index + 2), "(" | "[" | "{");
        (scaffold && called)
            .then(|| source.complain(token.line, format!("`{}!`", token.text), "write what belongs there"))
    });
    notes.chain(scaffolds).collect()
}

/// Files, modules and types with a name that would fit anything.
pub(crate) fn empty_names(source: &Source) -> Vec<Complaint> {
    let file = source.path.split('/').map(|part| (1, part.trim_end_matches(".rs")));
    let kinds = ["struct", "enum", "trait", "union", "type", "mod"];
    let items = source.tokens.windows(2).filter(|pair| kinds.contains(&pair[0].text.as_str()));
    let items = items.map(|pair| (pair[1].line, pair[1].text.as_str()));
    let empty = file.chain(items).filter(|(_, name)| {
        let words = words_of(name);
        words.iter().any(|word| EMPTY_WORDS.contains(&word.as_str()))
            || EMPTY_NAMES.contains(&words.join("_").as_str())
    });
    let cure = "say what it is, in the words of `src/lib.rs`";
    empty.map(|(line, name)| source.complain(line, format!("`{name}` says nothing"), cure)).collect()
}

/// `PoolManager` and `pool_manager` are both `["pool", "manager"]`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase().filter(|next| *next != '_'));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
