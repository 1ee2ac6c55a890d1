//! THE PARSER OF HEADS: bytes → places in a [`FieldTable`], line by line, resumable. RFC 9112 §2–5.
//!
//! ```text
//!   [empty line]  request line   field lines …   empty line
//!        │             │              │              └──► the head is whole
//!   First ──► AfterEmpty ──► Fields ──┘   each whole line is parsed once, and never looked at again
//!
//!   unfinished line   line ▼        scanned ▼
//!                          ├─── no LF here ─┼─ new bytes: look for LF here first
//! ```
//! Linear time: a line is examined when it first arrives, its new bytes are searched for LF, and it is
//! parsed again when that came: each byte is looked at no more than twice, however it drips in.
//!
//! Any split gives the same result: a fault inside a line counts only once the line's LF is here (or a
//! limit is passed), and nothing of the following line is looked at. Only the first byte is judged at
//! once, so that a TLS greeting need not wait for a LF.

use super::fields::Section;
use super::limits::Limits;
use super::{fields, request_line};
use crate::http::{FieldTable, Reason, is_token};
use crate::proto::scan;
use crate::wire::Input;

/// How far the parser came in a head (or a trailer) whose end is not here yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Where the unfinished line begins.
    line: u16,
    /// No LF stands between `line` and here.
    scanned: u16,
    part: Part,
    ends: Ends,
}

/// Which part of a head the unfinished line belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The request line, or the one empty line that may stand before it.
    #[default]
    First,
    /// The request line.
    AfterEmpty,
    /// The field section.
    Fields,
}

/// How the lines of a head end: the first one decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ends {
    /// CR LF (RFC 9112 §2.2).
    #[default]
    Crlf,
    /// LF alone, as people type it.
    Lf,
}

/// Why a line was not parsed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its end is not here yet.
    Partial,
    /// It breaks a rule.
    Broken(Reason),
}

impl Progress {
    /// None yet.
    pub(super) const NONE: Self = Self { line: 0, scanned: 0, part: Part::First, ends: Ends::Crlf };

    /// Progress into a field section that begins at `start` and whose lines end with CR LF.
    pub(super) const fn section(start: u16) -> Self {
        Self { line: start, scanned: start, part: Part::Fields, ends: Ends::Crlf }
    }

    /// Whether nothing of a head has arrived.
    #[inline]
    pub(super) fn is_fresh(self) -> bool {
        self == Self::NONE
    }

    /// Whether the unfinished line is worth another look: it is new, or its LF has come.
    #[inline]
    fn wakes(&mut self, bytes: &[u8]) -> bool {
        if self.scanned == self.line || scan::line_feed(bytes, usize::from(self.scanned)).is_some() {
            return true;
        }
        self.scanned = offset(bytes.len());
        false
    }

    /// Judges a line that was not parsed: a fault counts if the line is whole, else the line waits.
    #[cold]
    fn stopped(&mut self, bytes: &[u8], stop: Stop) -> Result<(), Reason> {
        match stop {
            Stop::Broken(reason) if scan::line_feed(bytes, usize::from(self.line)).is_some() => Err(reason),
            _ => {
                self.scanned = offset(bytes.len());
                Ok(())
            }
        }
    }
}

/// Parses the head at the beginning of `input` as far as it is here: its length once it is whole.
///
/// The caller comes back with the same `table` and the same unread bytes plus more.
#[inline]
pub(super) fn head(
    progress: &mut Progress,
    input: &mut Input<'_>,
    table: &mut FieldTable,
    limits: &Limits,
) -> Result<Option<usize>, Reason> {
    if progress.part != Part::Fields && !request_line_of(progress, input, table, limits)? {
        return Ok(None);
    }
    section(progress, input.bytes(), limits.head_bytes_max, Reason::HeadBytes, |bytes, at, ends| {
        fields::section(Section::Head, bytes, at, ends, limits.fields_max, table)
    })
}

/// Parses a trailer whose first line is at the place that `progress` knows: where it ends.
#[inline(never)]
pub(super) fn trailer(
    progress: &mut Progress,
    bytes: &[u8],
    start: u16,
    table: &mut FieldTable,
    limits: &Limits,
) -> Result<Option<usize>, Reason> {
    let bytes_max = start.saturating_add(limits.trailer_bytes_max);
    let result = section(progress, bytes, bytes_max, Reason::TrailerBytes, |bytes, at, ends| {
        fields::section(Section::Trailer, bytes, at, ends, limits.fields_max, table)
    });
    result.map_err(|reason| match reason {
        Reason::TrailerBytes | Reason::FieldCount => reason,
        _ => Reason::TrailerField,
    })
}

/// Parses lines of a field section with `parse`, which says where the section ends, or which line
/// stopped it and why.
#[inline]
fn section(
    progress: &mut Progress,
    bytes: &[u8],
    bytes_max: u16,
    too_large: Reason,
    parse: impl FnOnce(&[u8], usize, Ends) -> Result<usize, (usize, Stop)>,
) -> Result<Option<usize>, Reason> {
    // What lies beyond the limit is not looked at: a line that needs it stays unfinished.
    let bytes = window(bytes, bytes_max);
    if progress.wakes(bytes) {
        match parse(bytes, usize::from(progress.line), progress.ends) {
            Ok(end) => return Ok(Some(end)),
            Err((line, stop)) => {
                progress.line = offset(line);
                progress.stopped(bytes, stop)?;
            }
        }
    }
    if bytes.len() == usize::from(bytes_max) { Err(too_large) } else { Ok(None) }
}

/// Parses the request line and the empty line that may stand before it; whether both are done.
#[inline]
fn request_line_of(
    progress: &mut Progress,
    input: &mut Input<'_>,
    table: &mut FieldTable,
    limits: &Limits,
) -> Result<bool, Reason> {
    match input.bytes().first() {
        None => return Ok(false),
        // No method begins like this. RFC 9112 §2.2: one empty line is forgiven.
        Some(&first) if !first.is_ascii_alphabetic() => {
            if !empty_line(progress, first, input, limits)? {
                return Ok(false);
            }
        }
        Some(_) => {}
    }
    let bytes = window(input.bytes(), limits.request_line_bytes_max);
    if progress.wakes(bytes) {
        match request_line::parse(bytes, table, limits.refuse_bare_lf) {
            Ok((ends, next)) => {
                let next = offset(next);
                *progress = Progress { line: next, scanned: next, part: Part::Fields, ends };
                return Ok(true);
            }
            Err(stop) => progress.stopped(bytes, stop)?,
        }
    }
    if bytes.len() == usize::from(limits.request_line_bytes_max) {
        return Err(Reason::RequestLineBytes);
    }
    Ok(false)
}

/// Takes the empty line that may stand before a request; whether a request line can be parsed now.
#[cold]
fn empty_line(
    progress: &mut Progress,
    first: u8,
    input: &mut Input<'_>,
    limits: &Limits,
) -> Result<bool, Reason> {
    let length = match input.bytes() {
        [b'\n', ..] if limits.refuse_bare_lf => return Err(Reason::BareLf),
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        [b'\r'] => {
            progress.scanned = 1;
            return Ok(false);
        }
        [b'\r', ..] => return Err(Reason::BareCr),
        _ if is_token(&[first]) => return Ok(true),
        _ => return Err(Reason::FirstByte),
    };
    if progress.part == Part::AfterEmpty {
        return Err(Reason::EmptyLine);
    }
    input.take(length);
    *progress = Progress { part: Part::AfterEmpty, ..Progress::default() };
    match input.bytes().first() {
        None => Ok(false),
        Some(&next) if next.is_ascii_alphabetic() => Ok(true),
        Some(&next) => empty_line(progress, next, input, limits),
    }
}

/// The place behind the line end at `at`, if there is one of the kind that the head began with.
#[inline(always)]
pub(super) fn line_end(bytes: &[u8], at: usize, ends: Ends, otherwise: Reason) -> Result<usize, Stop> {
    if ends == Ends::Crlf && bytes.get(at..at + 2) == Some(b"\r\n") {
        return Ok(at + 2);
    }
    unusual_end(bytes, at, ends, otherwise)
}

/// A line end that is not CR LF, or none at all.
#[inline(never)]
fn unusual_end(bytes: &[u8], at: usize, ends: Ends, otherwise: Reason) -> Result<usize, Stop> {
    match bytes.get(at..) {
        Some([b'\n', ..]) if ends == Ends::Lf => Ok(at + 1),
        Some([b'\n', ..]) => Err(Stop::Broken(Reason::BareLf)),
        None | Some([] | [b'\r']) => Err(Stop::Partial),
        Some([b'\r', ..]) => Err(Stop::Broken(Reason::BareCr)),
        Some([0, ..]) => Err(Stop::Broken(Reason::Nul)),
        Some(_) => Err(Stop::Broken(otherwise)),
    }
}

/// The part of `bytes` that a limit lets us look at.
#[inline]
fn window(bytes: &[u8], bytes_max: u16) -> &[u8] {
    bytes.get(..usize::from(bytes_max)).unwrap_or(bytes)
}

/// An offset into a head: limits keep heads within 16 bits.
#[inline(always)]
pub(super) const fn offset(at: usize) -> u16 {
    debug_assert!(at <= u16::MAX as usize);
    let bytes = at.to_le_bytes();
    u16::from_le_bytes([bytes[0], bytes[1]])
}
