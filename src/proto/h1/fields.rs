//! THE FIELD SECTION: `name: value` lines up to the empty line, of heads and of trailers.
//! RFC 9110 §5, RFC 9112 §5.

use super::parse::{Ends, Stop, line_end, offset};
use crate::http::{FieldTable, Known, Reason, Span, is_token};
use crate::proto::scan::{self, BLOCK};

/// Which fields a section may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// A head: all.
    Head,
    /// A trailer: none that some rule asks for by name. Framing, routing, authentication and conditions
    /// belong into the head (RFC 9110 §6.5.1) and are dropped here.
    Trailer,
}

/// Parses the lines from `start`: where the section ends, or the line that stopped it and why.
#[inline(always)]
pub(super) fn section(
    kind: Section,
    bytes: &[u8],
    start: usize,
    ends: Ends,
    fields_max: u16,
    table: &mut FieldTable,
) -> Result<usize, (usize, Stop)> {
    let Some(mut rest) = bytes.get(start..) else { return Err((start, Stop::Partial)) };
    loop {
        let at = bytes.len() - rest.len();
        match line(kind, rest, at, ends, fields_max, table) {
            Ok(Line::Field(next)) => rest = &rest[next..],
            Ok(Line::Empty(end)) => return Ok(at + end),
            Err(stop) => return Err((at, stop)),
        }
    }
}

/// What a line was, and how long.
enum Line {
    Field(usize),
    /// The end of the section.
    Empty(usize),
}

/// How a line begins.
enum Start {
    Field(Name),
    /// The empty line, and the place behind it.
    Empty(usize),
}

/// A valid name: its length is the colon's place.
struct Name {
    colon: usize,
    known: Option<Known>,
    /// Where the value begins.
    value: usize,
}

/// Parses the line that begins `rest`, at `at` in the head, and notes its field. (The spans go straight
/// into the table: a struct of them on the way would be written in halves and read as a whole, which
/// stalls the processor.)
#[inline(always)]
fn line(
    kind: Section,
    rest: &[u8],
    at: usize,
    ends: Ends,
    fields_max: u16,
    table: &mut FieldTable,
) -> Result<Line, Stop> {
    let name = match usual_name(rest) {
        Ok(name) => name,
        Err(_) if ends == Ends::Crlf && rest.starts_with(b"\r\n") => return Ok(Line::Empty(2)),
        Err(scanned) => match unusual_name(rest, scanned, ends)? {
            Start::Field(name) => name,
            Start::Empty(end) => return Ok(Line::Empty(end)),
        },
    };
    let (end, next) = value_end(rest, name.value, ends)?;
    if kind == Section::Head || name.known.is_none() {
        let value = Span::new(offset(at + name.value), offset(at + end));
        let known = name.known;
        let name = Span::new(offset(at), offset(at + name.colon));
        if table.len() >= usize::from(fields_max) || table.push(name, value, known).is_err() {
            return Err(Stop::Broken(Reason::FieldCount));
        }
    }
    Ok(Line::Field(next))
}

/// How nearly all lines begin: a short name of letters, digits and hyphens, a colon, one space, and a
/// byte of the value. Else: the name does not end before the place given.
#[inline(always)]
fn usual_name(line: &[u8]) -> Result<Name, usize> {
    // Room for the longest name of these, and for what stands behind it.
    let Some(window) = line.first_chunk::<{ BLOCK + 2 }>() else { return Err(0) };
    let [name @ .., _, _] = window;
    let colon = scan::short_name_end(name);
    let around = window.get(colon.wrapping_sub(1)..).and_then(<[u8]>::first_chunk::<4>);
    let Some([last, mark @ .., first]) = around else { return Err(colon) };
    if mark != b": " || *first <= b' ' {
        return Err(colon);
    }
    let known = Known::classify_window(name, colon, *last);
    if known.is_none() && scan::plain_length(name) < colon {
        return Err(colon);
    }
    Ok(Name { colon, known, value: colon + 2 })
}

/// The same without any assumption but that the name does not end before `scanned`.
#[inline(never)]
fn unusual_name(line: &[u8], scanned: usize, ends: Ends) -> Result<Start, Stop> {
    let colon = scan::name_end(line, scanned);
    if colon == 0 || line.get(colon) != Some(&b':') {
        return no_field(line, colon, ends).map(Start::Empty);
    }
    let known = Known::classify(&line[..colon]);
    if known.is_none() && scan::host_end(&line[..colon], 0) < colon && !is_token(&line[..colon]) {
        return Err(Stop::Broken(Reason::FieldName));
    }
    let mut value = colon + 1;
    while let Some(b' ' | b'\t') = line.get(value) {
        value += 1;
    }
    Ok(Start::Field(Name { colon, known, value }))
}

/// The end of the value that begins at `start`, without white space, and the next line's place.
#[inline(always)]
fn value_end(line: &[u8], start: usize, ends: Ends) -> Result<(usize, usize), Stop> {
    let end = scan::value_end(line, start);
    // There is a colon before the value, if nothing else.
    match line.get(end - 1..).and_then(<[u8]>::first_chunk::<3>) {
        Some([last, behind @ ..]) if behind == b"\r\n" && *last > b' ' && ends == Ends::Crlf => {
            Ok((end, end + 2))
        }
        _ => unusual_value_end(line, start, end, ends),
    }
}

/// The same for a value that has a tab, is empty, or has another end than CR LF; up to `end` no control
/// character is in it.
#[inline(never)]
fn unusual_value_end(line: &[u8], start: usize, mut end: usize, ends: Ends) -> Result<(usize, usize), Stop> {
    while line.get(end) == Some(&b'\t') {
        end = scan::value_end(line, end + 1);
    }
    let next = line_end(line, end, ends, Reason::FieldValue)?;
    // RFC 9110 §5.5: white space around a value is not part of it.
    while let [.., b' ' | b'\t'] = line[start..end] {
        end -= 1;
    }
    Ok((end, next))
}

/// The empty line that ends the section (the place behind it), or what is wrong with a line whose name
/// ends at `end`.
#[inline(never)]
fn no_field(line: &[u8], end: usize, ends: Ends) -> Result<usize, Stop> {
    Err(Stop::Broken(match line.get(end) {
        None => return Err(Stop::Partial),
        Some(b'\r' | b'\n') if end == 0 => return line_end(line, 0, ends, Reason::FieldName),
        // RFC 9112 §5.2: a folded line, or white space before the first field (§2.2).
        Some(b' ' | b'\t') if end == 0 => Reason::FieldFolding,
        Some(b' ' | b'\t') => after_space(line, end)?,
        Some(b'\r' | b'\n') => {
            line_end(line, end, ends, Reason::FieldColon)?;
            Reason::FieldColon
        }
        Some(0) => Reason::Nul,
        Some(_) => Reason::FieldName,
    }))
}

/// RFC 9112 §5.1: no white space between name and colon.
fn after_space(bytes: &[u8], at: usize) -> Result<Reason, Stop> {
    let behind = bytes[at..].iter().find(|byte| !matches!(byte, b' ' | b'\t')).ok_or(Stop::Partial)?;
    Ok(match behind {
        b':' => Reason::FieldSpace,
        b'\r' | b'\n' => Reason::FieldColon,
        _ => Reason::FieldName,
    })
}
