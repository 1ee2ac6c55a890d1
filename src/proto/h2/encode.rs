//! HEADS OF ANSWERS, as header blocks. RFC 9113 §8.3.2, RFC 9110 §6.4.
//!
//! ```text
//!  HEADERS  :status · server · date · content-type · fields · content-length     [CONTINUATION …]
//! ```
//! What the connection has said before is a byte: less to read for the client, which reading costs more than
//! writing costs here.

use super::frame::{self, END_HEADERS, END_STREAM, HEAD_BYTES, Kind, PAYLOAD_BYTES_MAX};
use crate::http::{Body, Fields, Rendered, Response};
use crate::proto::Preset;
use crate::proto::hpack::Encoder;

/// Whether a body belongs to the answer, and what its head says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    length: Option<u64>,
    pub(super) has_body: bool,
}

impl Plan {
    /// The plan for `response`, to HEAD if `is_head`.
    #[inline]
    pub(super) fn new(response: &Response, is_head: bool) -> Self {
        let status = response.status().as_u16();
        let length = response.length();
        match status {
            ..200 | 204 => Self { length: None, has_body: false },
            // RFC 9110 §15.4.5: only the length that a 200 would have had, which an empty body is not.
            304 => Self { length: length.filter(|length| *length > 0), has_body: false },
            // A source that gives nothing may still have a trailer.
            _ => {
                let is_empty = length == Some(0) && !matches!(response.body(), Body::Source(_));
                Self { length, has_body: !is_head && !is_empty }
            }
        }
    }
}

/// Where a head goes.
pub(super) struct Place<'p> {
    pub(super) out: &'p mut Vec<u8>,
    pub(super) encoder: &'p mut Encoder,
    pub(super) stream: u32,
}

impl Place<'_> {
    /// Writes the head of `response`.
    pub(super) fn head(&mut self, response: &Response, preset: &Preset, plan: Plan) {
        let at = frame::begin(self.out);
        let mut block = self.encoder.block(self.out);
        block.status(response.status());
        preset.write_block(&mut block, response.has_server(), response.has_date());
        if let Some(content_type) = response.content_type() {
            block.field(b"content-type", content_type.as_bytes());
        }
        for (name, value) in response.fields().iter() {
            block.field(name.as_bytes(), value);
        }
        if let Some(length) = plan.length {
            block.content_length(length);
        }
        self.finish(at, if plan.has_body { 0 } else { END_STREAM });
    }

    /// Writes the head of an answer that was rendered before.
    #[inline]
    pub(super) fn rendered(&mut self, rendered: &Rendered, preset: &Preset, has_body: bool) {
        let at = frame::begin(self.out);
        let mut block = self.encoder.block(self.out);
        block.status(rendered.status());
        for (name, value) in rendered.lines() {
            block.field(name, value);
        }
        preset.write_block(&mut block, rendered.has_server(), rendered.has_date());
        self.finish(at, if has_body { 0 } else { END_STREAM });
    }

    /// Tells the client to go on: RFC 9110 §15.2.1.
    pub(super) fn go_on(&mut self) {
        let at = frame::begin(self.out);
        self.encoder.block(self.out).status(::http::StatusCode::CONTINUE);
        self.finish(at, 0);
    }

    /// Writes the fields behind a body, and ends the stream.
    pub(super) fn trailer(&mut self, fields: &Fields) {
        let at = frame::begin(self.out);
        let mut block = self.encoder.block(self.out);
        for (name, value) in fields.iter() {
            block.field(name.as_bytes(), value);
        }
        self.finish(at, END_STREAM);
    }

    /// Ends the block that began with the frame at `at`.
    #[inline]
    fn finish(&mut self, at: usize, flags: u8) {
        if self.out.len() - at - HEAD_BYTES <= PAYLOAD_BYTES_MAX {
            frame::finish(self.out, at, Kind::Headers, flags | END_HEADERS, self.stream);
        } else {
            self.split(at, flags);
        }
    }

    /// A block that is longer than one frame may be: RFC 9113 §6.10.
    #[cold]
    fn split(&mut self, at: usize, flags: u8) {
        let rest = self.out.split_off(at + HEAD_BYTES + PAYLOAD_BYTES_MAX);
        frame::finish(self.out, at, Kind::Headers, flags, self.stream);
        let mut pieces = rest.chunks(PAYLOAD_BYTES_MAX).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            self.out.extend_from_slice(&frame::head(piece.len(), Kind::Continuation, flags, self.stream));
            self.out.extend_from_slice(piece);
        }
    }
}
