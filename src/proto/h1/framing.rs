//! WHAT A HEAD MEANS: where its body ends, and what the exchange owes. RFC 9112 §6, §9.3, RFC 9110 §7.2,
//! §7.6.1, §8.6, §10.1.1.
//!
//! | Transfer-Encoding | Content-Length | body |
//! | --- | --- | --- |
//! | absent | absent | none (411 for POST, PUT and PATCH of HTTP/1.0) |
//! | absent | one number, or the same one again | so many bytes |
//! | exactly `chunked`, in 1.1 | absent | chunks |
//! | anything else | any | refused, the connection ends |

use crate::http::{FieldTable, Head, Known, Method, Reason, Version, is_token};
use crate::proto::authority;

/// Where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

/// What the answer must know of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The answer has no body (RFC 9110 §9.3.2).
    pub(super) is_head: bool,
    /// What the client understands.
    pub(super) reads: Reads,
    /// The connection lives on after the answer, as far as the client says (RFC 9112 §9.3).
    pub(super) persists: bool,
}

/// How a client can be told where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// With a length, or by closing: it speaks HTTP/1.0.
    Lengths,
    /// Also in chunks.
    Chunks,
    /// Also with trailer fields behind them (RFC 9110 §6.5.1).
    Trailers,
}

impl Exchange {
    /// That of a request which was not understood.
    pub(super) const NONE: Self = Self { is_head: false, reads: Reads::Chunks, persists: false };
}

/// Judges a whole head.
///
/// # Errors
/// The rule that it breaks.
#[inline]
pub(super) fn judge(bytes: &[u8], table: &FieldTable) -> Result<(Framing, Exchange), Reason> {
    let head = Head::new(bytes, table);
    let is_http10 = head.version() == Version::Http10;
    host(&head)?;
    let is_plain = !table.has_any([Known::TransferEncoding, Known::ContentLength, Known::Expect, Known::Te]);
    let framing = if is_plain && !is_http10 { Framing::Length(0) } else { framing(&head, is_http10)? };
    let exchange = Exchange {
        is_head: head.method() == Method::Head,
        reads: match is_plain {
            _ if is_http10 => Reads::Lengths,
            false if listed(&head, Known::Te, b"trailers") => Reads::Trailers,
            _ => Reads::Chunks,
        },
        // A tunnel is not opened: whatever follows a CONNECT is not a request.
        persists: persists(&head, !is_http10) && head.method() != Method::Connect,
    };
    Ok((framing, exchange))
}

/// Where the body ends, and whether what is expected of us can be met.
fn framing(head: &Head<'_>, is_http10: bool) -> Result<Framing, Reason> {
    let framing = match (head.known(Known::TransferEncoding), head.known(Known::ContentLength)) {
        (None, None) if is_http10 => without_length(head.method())?,
        (None, None) => Framing::Length(0),
        (None, Some(_)) => Framing::Length(content_length(head)?),
        (Some(_), _) if is_http10 => return Err(Reason::CodingInHttp10),
        (Some(_), Some(_)) => return Err(Reason::CodingWithLength),
        (Some(coding), None) => transfer_coding(head, coding)?,
    };
    if !is_http10 && head.known(Known::Expect).is_some() {
        expectation(head)?;
    }
    Ok(framing)
}

/// Whether the client holds its body back until it is told to go on.
pub(super) fn expects_continue(head: &Head<'_>) -> bool {
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
    head.version() != Version::Http10 && head.known(Known::Expect).is_some()
}

/// RFC 9112 §3.2: exactly one Host in 1.1, and a valid one wherever it stands.
#[inline]
fn host(head: &Head<'_>) -> Result<(), Reason> {
    match head.table().known(Known::Host) {
        None if head.version() == Version::Http10 => Ok(()),
        None => Err(Reason::HostMissing),
        Some(_) if head.table().is_repeated(Known::Host) => Err(Reason::HostRepeated),
        Some(host) if authority::is_valid_at(head.bytes(), host) => Ok(()),
        Some(_) => Err(Reason::HostInvalid),
    }
}

/// RFC 1945 §8.3: without a length, the body of a 1.0 request cannot be told from its absence.
const fn without_length(method: Method) -> Result<Framing, Reason> {
    match method {
        Method::Post | Method::Put | Method::Patch => Err(Reason::LengthRequired),
        _ => Ok(Framing::Length(0)),
    }
}

/// RFC 9110 §8.6, RFC 9112 §6.3: repeated only if every value is spelled the same.
fn content_length(head: &Head<'_>) -> Result<u64, Reason> {
    let mut first = None;
    for text in elements(head, Known::ContentLength) {
        match first {
            None => first = Some((text, number(text).ok_or(Reason::LengthSyntax)?)),
            Some((same, _)) if same == text => {}
            Some(_) if number(text).is_none() => return Err(Reason::LengthSyntax),
            Some(_) => return Err(Reason::LengthConflict),
        }
    }
    first.map(|(_, length)| length).ok_or(Reason::LengthSyntax)
}

/// `1*DIGIT` that fits 64 bits.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// RFC 9112 §6.1: nothing but one `chunked`.
fn transfer_coding(head: &Head<'_>, coding: &[u8]) -> Result<Framing, Reason> {
    if coding.eq_ignore_ascii_case(b"chunked") && !head.table().is_repeated(Known::TransferEncoding) {
        return Ok(Framing::Chunked);
    }
    let mut is_known = true;
    for coding in elements(head, Known::TransferEncoding) {
        if !is_token(coding) {
            return Err(Reason::CodingRepeated);
        }
        is_known &= coding.eq_ignore_ascii_case(b"chunked");
    }
    Err(if is_known { Reason::CodingRepeated } else { Reason::CodingUnknown })
}

/// RFC 9110 §10.1.1: `100-continue` is the only expectation there is.
fn expectation(head: &Head<'_>) -> Result<(), Reason> {
    let is_continue = |text: &[u8]| text.eq_ignore_ascii_case(b"100-continue");
    if elements(head, Known::Expect).all(is_continue) { Ok(()) } else { Err(Reason::Expectation) }
}

/// RFC 9112 §9.3: `close` wins; 1.1 persists by itself, 1.0 on request.
#[inline]
fn persists(head: &Head<'_>, by_itself: bool) -> bool {
    match head.known(Known::Connection) {
        None => by_itself,
        Some(value) if is_keep_alive(value) && !head.table().is_repeated(Known::Connection) => true,
        Some(_) => {
            !listed(head, Known::Connection, b"close")
                && (by_itself || listed(head, Known::Connection, b"keep-alive"))
        }
    }
}

/// The usual value, compared as words.
#[inline]
fn is_keep_alive(value: &[u8]) -> bool {
    let Some((start, end)) = value.split_first_chunk::<8>() else { return false };
    let Ok(end) = end.try_into() else { return false };
    // Letters in either case; CR cannot stand for the hyphen, since values hold no control characters.
    u64::from_le_bytes(*start) | 0x2020_2020_2020_2020 == u64::from_le_bytes(*b"keep-ali")
        && u16::from_le_bytes(end) | 0x2020 == u16::from_le_bytes(*b"ve")
}

/// Whether `word` is an element of the lists in all fields of this name, in any case.
fn listed(head: &Head<'_>, known: Known, word: &[u8]) -> bool {
    elements(head, known).any(|element| element.eq_ignore_ascii_case(word))
}

/// The elements of the lists in all fields of this name, empty ones too. RFC 9110 §5.6.1.
fn elements<'h>(head: &Head<'h>, known: Known) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    let all = head.table().is_repeated(known);
    let single = if all { None } else { head.known(known) };
    let several = all.then(|| head.values(known.name()));
    single
        .into_iter()
        .chain(several.into_iter().flatten())
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|element| element.trim_ascii())
}
