//! BODIES: out of the input ([`Decoder`]) and into the output ([`Encoder`]). RFC 9112 §6, §7.
//!
//! ```text
//!  chunked   size CRLF │ data │ CRLF size CRLF │ data │ CRLF 0 CRLF trailer lines CRLF
//!            └boundary─┘      └────boundary────┘      └──────── last boundary ───────┘
//! ```
//! A boundary is taken as a whole once all of it is here; data is passed on as it comes. Nothing is copied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;

use super::chunk;
use super::limits::Limits;
use super::parse::{self, Progress, offset};
use crate::http::{FieldTable, Fields, Pull, Pulled, Reason, Source, Tail};
use crate::proto::scan;
use crate::proto::{Encoding, Pumped};
use crate::wire::Input;

/// The rest of a request's body.
#[derive(Debug)]
pub(super) enum Decoder {
    /// So many bytes are missing.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

/// Where a chunked body stands.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    /// Bytes of the current chunk that are missing; zero: at a boundary.
    missing: u64,
    /// No LF of the size line's end is before this place of the boundary.
    scanned: u16,
    /// A chunk was taken: the boundary begins with its line end.
    begun: bool,
    /// The size was zero: how far the trailer is.
    trailer: Option<Progress>,
}

/// Bytes of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'i> {
    pub(super) bytes: &'i [u8],
    /// The body is complete.
    pub(super) end: bool,
}

impl Decoder {
    /// Takes the next bytes of the body. `None`: nothing usable is here.
    ///
    /// Trailer fields are placed in `table`, as offsets into the unread bytes of `input` when the call
    /// that gave the end began.
    pub(super) fn next<'i>(
        &mut self,
        input: &mut Input<'i>,
        table: &mut FieldTable,
        limits: &Limits,
    ) -> Result<Option<Piece<'i>>, Reason> {
        match self {
            Self::Length(missing) => {
                let bytes = take(input, missing);
                let end = *missing == 0;
                Ok((end || !bytes.is_empty()).then_some(Piece { bytes, end }))
            }
            Self::Chunked(chunked) => chunked.next(input, table, limits),
        }
    }

    /// How many bytes are missing, if that is known.
    pub(super) const fn missing(&self) -> Option<u64> {
        match self {
            Self::Length(missing) => Some(*missing),
            Self::Chunked(_) => None,
        }
    }
}

impl Chunked {
    fn next<'i>(
        &mut self,
        input: &mut Input<'i>,
        table: &mut FieldTable,
        limits: &Limits,
    ) -> Result<Option<Piece<'i>>, Reason> {
        if self.missing == 0 {
            if self.trailer.is_none() {
                self.boundary(input, table, limits)?;
            }
            if let Some(progress) = &mut self.trailer {
                let end = parse::trailer(progress, input.bytes(), self.scanned, table, limits)?;
                return Ok(end.map(|end| {
                    input.take(end);
                    Piece { bytes: &[], end: true }
                }));
            }
        }
        let bytes = take(input, &mut self.missing);
        Ok((!bytes.is_empty()).then_some(Piece { bytes, end: false }))
    }

    /// Parses the line end of the chunk before and the size line, once they are whole. That of the
    /// last chunk stays in front of its trailer.
    fn boundary(
        &mut self,
        input: &mut Input<'_>,
        table: &mut FieldTable,
        limits: &Limits,
    ) -> Result<(), Reason> {
        let bytes = input.bytes();
        let start = if self.begun { 2 } else { 0 };
        if self.begun && !bytes.iter().zip(b"\r\n").all(|(byte, expected)| byte == expected) {
            return Err(Reason::ChunkEnd);
        }
        let line_bytes_max = chunk::SIZE_DIGITS_MAX + limits.chunk_extension_bytes_max + 2;
        let bytes = &bytes[..bytes.len().min(start + usize::from(line_bytes_max))];
        let Some(end) = scan::line_feed(bytes, usize::from(self.scanned).max(start)) else {
            self.scanned = offset(bytes.len());
            if bytes.len() == start + usize::from(line_bytes_max) {
                let fault = chunk::size(&bytes[start..], limits.chunk_extension_bytes_max);
                return Err(fault
                    .err()
                    .filter(|fault| *fault == Reason::ChunkSize)
                    .unwrap_or(Reason::ChunkExtension));
            }
            return Ok(());
        };
        self.missing = chunk::size(&bytes[start..=end], limits.chunk_extension_bytes_max)?;
        if self.missing == 0 {
            table.clear();
            self.scanned = offset(end + 1);
            self.trailer = Some(Progress::section(self.scanned));
        } else {
            input.take(end + 1);
            self.scanned = 0;
            self.begun = true;
        }
        Ok(())
    }
}

/// Takes up to `missing` bytes.
fn take<'i>(input: &mut Input<'i>, missing: &mut u64) -> &'i [u8] {
    let here = input.bytes().len();
    let count = usize::try_from(*missing).map_or(here, |missing| missing.min(here));
    *missing -= count as u64;
    input.take(count)
}

/// The rest of an answer's body that is made while it is sent.
pub(super) struct Encoder {
    source: Box<dyn Source>,
    framing: Outgoing,
}

/// How the end of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// So many bytes are missing.
    Length(u64),
    /// With the last chunk, and whether a trailer may follow it.
    Chunked { trailers: bool },
    /// By closing the connection (RFC 9112 §6.3: HTTP/1.0).
    Close,
}

impl Outgoing {
    /// Counts what one pull gave: `in_memory` bytes, `written` bytes with those of a file. Whether
    /// that was not too much.
    fn takes(&mut self, in_memory: usize, written: u64) -> bool {
        match self {
            Self::Length(missing) => missing.checked_sub(written).map(|rest| *missing = rest).is_some(),
            Self::Chunked { .. } => u32::try_from(in_memory).is_ok(),
            Self::Close => true,
        }
    }
}

/// The size of a chunk is written with leading zeros, when the chunk is already behind it.
const CHUNK_SIZE_DIGITS: usize = 8;

impl Encoder {
    pub(super) fn new(source: Box<dyn Source>, framing: Outgoing) -> Self {
        Self { source, framing }
    }

    /// Moves what the source has into the output, while there is room, and counts it. [`Pumped::Nothing`]:
    /// complete.
    pub(super) fn pump(&mut self, encoding: &mut Encoding<'_>) -> (Pumped, u64) {
        let mut body_bytes = 0;
        let pumped = loop {
            let room = encoding.output.room();
            if room == 0 {
                break Pumped::Full;
            }
            let (written, pulled) = match self.pull(room, encoding) {
                Ok(pulled) => pulled,
                Err(cut) => break cut,
            };
            body_bytes += written;
            match pulled {
                // A source that has more, but gives nothing, waits its turn.
                Pulled::More if written == 0 => break Pumped::Waiting(Some(Duration::ZERO)),
                Pulled::More => {}
                Pulled::After(wait) => break Pumped::Waiting(Some(wait)),
                Pulled::Waiting => break Pumped::Waiting(None),
                Pulled::End => break self.end(encoding),
                Pulled::Failed => break Pumped::Cut,
            }
        };
        (pumped, body_bytes)
    }

    /// Pulls once: how many bytes came, and what the source says. An error if it gave more than it promised
    /// or panicked, and nothing of that was queued: answers before this one still leave whole.
    fn pull(&mut self, room: usize, encoding: &mut Encoding<'_>) -> Result<(u64, Pulled), Pumped> {
        let inline = encoding.output.inline();
        let start = inline.len();
        let is_chunked = matches!(self.framing, Outgoing::Chunked { .. });
        if is_chunked {
            inline.extend_from_slice(b"00000000\r\n");
        }
        let content = inline.len();
        let mut pull = Pull::new(inline, room, encoding.timeline);
        let pulled = catch_unwind(AssertUnwindSafe(|| self.source.pull(&mut pull)));
        let (shared, file) = match pull.into_tail() {
            None => (Bytes::new(), None),
            Some(Tail::Shared(bytes)) => (bytes, None),
            Some(Tail::File { file, offset, length }) => (Bytes::new(), Some((file, offset, length))),
        };
        let Ok(pulled) = pulled else {
            inline.truncate(start);
            return Err(Pumped::Panicked);
        };
        let count = inline.len() - content + shared.len();
        let file_bytes = file.as_ref().map_or(0, |(_, _, length)| *length);
        let written = (count as u64).checked_add(file_bytes);
        let Some(written) = written.filter(|written| self.framing.takes(count, *written)) else {
            inline.truncate(start);
            return Err(Pumped::Cut);
        };
        if count == 0 {
            // RFC 9112 §7.1: an empty chunk would end the body.
            inline.truncate(start);
        } else {
            if is_chunked {
                write_size(&mut inline[start..content], count);
            }
            encoding.output.share(shared);
            if is_chunked {
                encoding.output.copy(b"\r\n");
            }
        }
        if let Some((file, offset, length)) = file {
            // A chunk of its own: its size may need more digits than were left free.
            if is_chunked {
                encoding.output.copy(format!("{length:x}\r\n").as_bytes());
            }
            encoding.output.file(file, offset, length);
            if is_chunked {
                encoding.output.copy(b"\r\n");
            }
        }
        Ok((written, pulled))
    }

    fn end(&mut self, encoding: &mut Encoding<'_>) -> Pumped {
        match self.framing {
            Outgoing::Length(0) | Outgoing::Close => Pumped::Nothing,
            Outgoing::Length(_) => Pumped::Cut,
            Outgoing::Chunked { trailers } => {
                encoding.output.copy(b"0\r\n");
                if trailers {
                    let mut fields = Fields::new();
                    self.source.trailers(&mut fields);
                    encoding.output.copy(fields.block());
                }
                encoding.output.copy(b"\r\n");
                Pumped::Nothing
            }
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("framing", &self.framing).finish_non_exhaustive()
    }
}

/// Writes `count` over the zeros at the beginning of `line`, from the last digit on.
fn write_size(line: &mut [u8], count: usize) {
    let mut rest = count;
    for digit in line[..CHUNK_SIZE_DIGITS].iter_mut().rev() {
        *digit = b"0123456789abcdef"[rest % 16];
        rest /= 16;
    }
}
