//! Ceilings: what a reader can hold in one look. A ratchet: today's exceptions are listed, each with its
//! reason, and an exception that is no longer needed must go.

use crate::source::{Complaint, Source, closing};

/// Lines of a file under `src/`, tests not counted.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function, from its `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Characters of a line; a row of a table and a sentence in quotes cannot be broken.
const COLUMNS_MAX: usize = 110;

/// `(file, function or "" for the file itself or "a line", why it may be larger)`.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// Something above its ceiling.
#[derive(Debug)]
pub(crate) struct Excess<'s> {
    source: &'s Source,
    line: usize,
    /// The function's name, nothing for a file, or "a line".
    name: &'s str,
    what: String,
    cure: &'static str,
}

/// Everything above its ceiling but the exceptions, and the exceptions that nothing needs.
pub(crate) fn complaints<'s>(sources: impl Iterator<Item = &'s Source>) -> Vec<Complaint> {
    let (mut complaints, mut needed) = (Vec::new(), [false; EXCEPTIONS.len()]);
    for excess in sources.flat_map(over) {
        match EXCEPTIONS
            .iter()
            .position(|(path, name, _)| *path == excess.source.path && *name == excess.name)
        {
            Some(exception) => needed[exception] = true,
            None => complaints.push(excess.source.complain(excess.line, excess.what, excess.cure)),
        }
    }
    let idle = EXCEPTIONS.iter().zip(needed).filter(|(_, needed)| !needed);
    complaints.extend(idle.map(|((path, name, _), _)| {
        let here = Source::new("tests/tidy/size.rs", "");
        here.complain(
            1,
            format!("the exception for `{path}` {name} is no longer needed"),
            "remove it, with thanks",
        )
    }));
    complaints
}

/// Whatever of `source` is above a ceiling.
pub(crate) fn over(source: &Source) -> Vec<Excess<'_>> {
    let wide = source
        .text
        .lines()
        .zip(1..)
        .filter(|(text, _)| text.chars().count() > COLUMNS_MAX && !is_one_piece(text));
    let wide = wide.map(|(_, line)| Excess {
        source,
        line,
        name: "a line",
        what: format!("more than {COLUMNS_MAX} columns"),
        cure: "break the line",
    });
    file_over(source).into_iter().chain(functions_over(source)).chain(wide).collect()
}

fn file_over(source: &Source) -> Option<Excess<'_>> {
    let lines = source.text.lines().zip(1..).filter(|&(_, line)| !source.is_test(line)).count();
    (lines > FILE_LINES_MAX).then(|| Excess {
        source,
        line: 1,
        name: "",
        what: format!("{lines} lines without tests, {FILE_LINES_MAX} are the ceiling"),
        cure: "split it by concern",
    })
}

fn functions_over(source: &Source) -> impl Iterator<Item = Excess<'_>> {
    let starts =
        (0..source.tokens.len()).filter(|&index| source.word(index) == "fn" && source.word(index + 1) != "(");
    starts.filter_map(|start| {
        let open = body_of(source, start)?;
        let (first, last) = (source.tokens[start].line, source.tokens[closing(&source.tokens, open)].line);
        let lines = last - first + 1;
        (lines > FUNCTION_LINES_MAX).then(|| Excess {
            source,
            line: first,
            name: source.word(start + 1),
            what: format!(
                "`{}` has {lines} lines, {FUNCTION_LINES_MAX} are the ceiling",
                source.word(start + 1)
            ),
            cure: "name its parts and move them below it",
        })
    })
}

/// The opening brace of the function at `start`; none for a declaration.
fn body_of(source: &Source, start: usize) -> Option<usize> {
    let mut index = start;
    loop {
        match source.tokens.get(index)?.text.as_str() {
            "{" => return Some(index),
            ";" => return None,
            "(" | "[" => index = closing(&source.tokens, index),
            _ => {}
        }
        index += 1;
    }
}

fn is_one_piece(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//! |") || line.starts_with("/// |") || line.contains('"')
}
