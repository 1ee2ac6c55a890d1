//! HEADS OF ANSWERS: status line, fields, framing. RFC 9112 §4, §6.3.
//!
//! ```text
//!  status line · Server · Date · Connection · Content-Type · fields · Content-Length | Transfer-Encoding
//! ```
//! Exactly one framing, chosen here: never both, and none where the status forbids it (RFC 9110 §8.6).

use super::body::Outgoing;
use super::framing::{Exchange, Reads};
use crate::http::{Body, Rendered, Response};
use crate::proto::Preset;
use crate::wire::Output;

/// Which bytes follow a head, and what it says about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What the head says; `None`: nothing.
    framing: Option<Outgoing>,
    /// Whether the body itself is sent.
    pub(super) has_body: bool,
}

impl Plan {
    /// The plan for `response` within `exchange`.
    #[inline]
    pub(super) fn new(response: &Response, exchange: Exchange) -> Self {
        let status = response.status().as_u16();
        let framing = match response.length() {
            Some(length) => Outgoing::Length(length),
            None if exchange.reads == Reads::Lengths => Outgoing::Close,
            None => Outgoing::Chunked { trailers: exchange.reads == Reads::Trailers },
        };
        if status == 204 || status < 200 {
            return Self { framing: None, has_body: false };
        }
        if status == 304 {
            // RFC 9110 §15.4.5: only the length that a 200 would have had, which an empty body is not.
            let is_known = matches!(framing, Outgoing::Length(1..));
            return Self { framing: is_known.then_some(framing), has_body: false };
        }
        Self { framing: Some(framing), has_body: !exchange.is_head }
    }

    /// How the body's end is told.
    #[inline]
    pub(super) fn outgoing(self) -> Outgoing {
        self.framing.unwrap_or(Outgoing::Length(0))
    }

    /// Whether only closing tells where the body ends.
    #[inline]
    pub(super) fn needs_close(self) -> bool {
        self.has_body && self.framing == Some(Outgoing::Close)
    }
}

/// Writes the head of `response`.
#[inline]
pub(super) fn head(
    out: &mut Vec<u8>,
    response: &Response,
    preset: &Preset,
    plan: Plan,
    exchange: Exchange,
    persists: bool,
) {
    preset.write(out, response.status(), response.has_server(), response.has_date());
    persistence(out, exchange, persists);
    if let Some(content_type) = response.content_type() {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !response.fields().is_empty() {
        out.extend_from_slice(response.fields().block());
    }
    match plan.framing {
        Some(Outgoing::Length(length)) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
        }
        Some(Outgoing::Chunked { .. }) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
        Some(Outgoing::Close) | None => out.extend_from_slice(b"\r\n"),
    }
}

/// Writes an answer that was rendered before. Two copies, if nothing is unusual.
#[inline]
pub(super) fn rendered(output: &mut Output, rendered: &Rendered, preset: &Preset, exchange: Exchange) {
    let out = output.inline();
    preset.write(out, rendered.status(), rendered.has_server(), rendered.has_date());
    persistence(out, exchange, exchange.persists);
    let is_small = rendered.text_bytes() <= INLINE_BYTES_MAX;
    out.extend_from_slice(if is_small && !exchange.is_head { rendered.text() } else { rendered.fields() });
    if !is_small && !exchange.is_head {
        output.share(rendered.shared_body());
    }
}

/// Writes what the client has to be told about the connection. RFC 9112 §9.3, §9.6.
#[inline]
fn persistence(out: &mut Vec<u8>, exchange: Exchange, persists: bool) {
    if !persists {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if exchange.reads == Reads::Lengths {
        // RFC 9112 §9.3: a 1.0 client wants to be told.
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

/// Bodies up to this are copied behind their head, so that one run of bytes leaves; larger ones are
/// shared pieces. A copy of 8 KiB costs less than a second piece for the kernel.
pub(super) const INLINE_BYTES_MAX: usize = 8 * 1024;

/// The bytes of a body that is copied behind its head; `None` for one that is moved in.
#[inline]
pub(super) fn inline(response: &Response) -> Option<&[u8]> {
    match response.body() {
        Body::Empty => Some(&[]),
        // An arena is reused by the next answer, so it is copied whatever its size.
        Body::Arena => Some(response.arena_bytes()),
        Body::Static(bytes) if bytes.len() <= INLINE_BYTES_MAX => Some(bytes),
        Body::Shared(bytes) if bytes.len() <= INLINE_BYTES_MAX => Some(bytes),
        Body::Static(_) | Body::Shared(_) | Body::File { .. } | Body::Source(_) => None,
    }
}
