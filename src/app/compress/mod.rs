//! [`Compress`]: a layer that compresses what handlers answer with. RFC 9110 §8.4, §8.8.1, §12.5.3.
//!
//! ```text
//!  answer ─► may it? ─► Vary ─► a coding that the client takes? ─┬─ whole, up to 16 KiB ─► at once
//!             └ no: as it is     └ no: as it is                   └─ longer, or made meanwhile ─► Encoded
//! ```
//! Nothing is read before its client has room for it: of an answer 16 KiB go into an encoder at a time.
//! Knows no wire.
//!
//! | file | what it is |
//! | --- | --- |
//! | `encoder` | an encoder that can be asked for what it has so far |
//! | `encoded` | a body on its way through one |

mod encoded;
mod encoder;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;

use super::files::{Accepted, Coding, Compression, is_compressible, is_worth_it};
use super::layer::{Acts, Layer};
use super::request::Request;
use crate::http::{Body, Response};

use encoded::Encoded;
use encoder::Encoder;

/// A whole body of so many bytes is compressed at once, and keeps a length that is known.
const WHOLE_BYTES_MAX: usize = 16 * 1024;
/// How many answers are on their way through an encoder at a time.
const STREAMS_MAX: usize = 256;
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// Fields that say what the bytes of the body add up to: with other bytes they would be wrong.
static SUMS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Compresses the bodies of answers, whole ones and those that are made while they are sent, for clients that
/// accept it: types that shrink, such as text and JSON, from 1,024 bytes on. What a body that is made while
/// it is sent gives before it waits is sent at once: events arrive as they happen.
///
/// Left as they are: answers with a `Content-Encoding`, with `Cache-Control: no-transform`, with a digest of
/// their bytes, parts of something (206), those that say `Vary: Accept-Encoding` themselves, as files of
/// [`StaticDir`](crate::StaticDir) do, and bodies that are ranges of a file. A strong `ETag` becomes a weak
/// one, which handlers still know again in `If-None-Match`; `Accept-Ranges` goes.
///
/// Works on the loop's thread, in slices. An answer of more than 16 KiB, or of unknown length, takes about
/// 1 MiB while it is sent: at most [so many](Self::streams_max) at a time are compressed. Over TLS, do not
/// put it around pages that show a secret beside what a stranger may choose: lengths tell (BREACH).
///
/// ```
/// use kolk::app::{Coding, Compress, Compression};
/// use kolk::{App, Request, Response};
///
/// let compress = Compress::new(Compression::new().codings([Coding::Gzip]).from_bytes(256));
/// let app = App::new().layer(compress).get("/report", |_: &Request<'_>| {
///     Response::text("all work and no play\n".repeat(100))
/// });
/// let ask = http::Request::get("/report").header("accept-encoding", "gzip, br");
/// let answer = app.oneshot(ask.body("").unwrap());
/// assert_eq!(answer.headers()["content-encoding"], "gzip");
/// assert_eq!(answer.headers()["vary"], "Accept-Encoding");
/// assert!(answer.body().len() < 200);
/// ```
#[derive(Clone, Debug)]
pub struct Compress {
    compression: Compression,
    streams_max: usize,
    running: Arc<AtomicUsize>,
}

/// One of the answers that may be on their way at a time.
#[derive(Debug)]
struct Place {
    running: Arc<AtomicUsize>,
}

impl Compress {
    /// In these codings, from this length on; how long an answer is at most does not matter.
    pub fn new(compression: Compression) -> Self {
        Self { compression, streams_max: STREAMS_MAX, running: Arc::default() }
    }

    /// The same with another compression; what is under way counts for both together.
    #[must_use]
    pub fn with(&self, compression: Compression) -> Self {
        Self { compression, ..self.clone() }
    }

    /// So many answers of more than 16 KiB, or of unknown length, are compressed at a time, in all workers
    /// together; more are sent as they are. 256 unless told otherwise.
    #[must_use]
    pub const fn streams_max(mut self, count: usize) -> Self {
        self.streams_max = count;
        self
    }

    /// The coding for who sent `request`.
    fn coding(&self, request: &Request<'_>) -> Option<Coding> {
        self.compression.made_for(Accepted::of(request.head()))
    }

    /// Whether `response` is compressed for who accepts that.
    fn admits(&self, response: &Response) -> bool {
        let bytes_min = self.compression.bytes_min();
        let is_wanted = match response.body() {
            Body::Empty | Body::File { .. } => false,
            Body::Static(_) | Body::Shared(_) | Body::Arena | Body::Source(_) => {
                response.length().is_none_or(|length| length >= bytes_min)
            }
        };
        is_wanted && self.compression.makes_some() && is_whole(response.status()) && may_change(response)
    }

    /// The same content in `coding`; false if it is better sent as it is.
    fn encode(&self, response: &mut Response, coding: Coding) -> bool {
        let is_short = response.length().is_some_and(|length| length <= WHOLE_BYTES_MAX as u64);
        if is_short && !matches!(response.body(), Body::Source(_)) {
            return encode_at_once(response, coding);
        }
        let Some(place) = Place::take(&self.running, self.streams_max) else { return false };
        let Ok(encoder) = Encoder::new(coding) else { return false };
        let encoded = match response.take_body() {
            Body::Source(source) => Encoded::of_source(source, encoder, place),
            Body::Static(bytes) => Encoded::of_bytes(Bytes::from_static(bytes), encoder, place),
            Body::Shared(bytes) => Encoded::of_bytes(bytes, encoder, place),
            other => {
                response.set_body(other);
                return false;
            }
        };
        response.set_body(Body::Source(Box::new(encoded)));
        true
    }
}

impl Default for Compress {
    /// With Brotli, zstd and gzip; from 1,024 bytes on.
    fn default() -> Self {
        Self::new(Compression::new())
    }
}

impl Layer for Compress {
    fn after(&self, request: &Request<'_>, response: &mut Response) {
        if !self.admits(response) {
            return;
        }
        let coding = self.coding(request).filter(|coding| self.encode(response, *coding));
        if let Some(coding) = coding {
            response.append(&header::CONTENT_ENCODING, coding.value());
            response.remove(&header::ACCEPT_RANGES);
            weaken_tag(response);
        }
        if !lists(response, &header::VARY, b"*") {
            response.append(&header::VARY, &ACCEPT_ENCODING);
        }
    }

    fn settle(&self, response: &mut Response) -> bool {
        !self.admits(response)
    }

    fn acts(&self) -> Acts {
        Acts { before: false, after: true }
    }

    fn name(&self) -> &'static str {
        "compress"
    }

    fn explain(&self) -> String {
        format!("{} of what is made for a request", self.compression)
    }
}

impl Place {
    fn take(running: &Arc<AtomicUsize>, places: usize) -> Option<Self> {
        let one_more = |taken| (taken < places).then_some(taken + 1);
        running.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(Self { running: Arc::clone(running) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Relaxed);
    }
}

/// Whether the body, if there is one, is all of something: RFC 9110 §15.3.5 to §15.3.7, §15.4.5.
fn is_whole(status: StatusCode) -> bool {
    !status.is_informational()
        && ![
            StatusCode::NO_CONTENT,
            StatusCode::RESET_CONTENT,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_MODIFIED,
        ]
        .contains(&status)
}

/// Whether it shrinks, and nothing says that its bytes are to stay.
fn may_change(response: &Response) -> bool {
    let named = response.fields().get(header::CONTENT_TYPE.as_str());
    let named = named.and_then(|value| str::from_utf8(value).ok());
    named.or_else(|| response.content_type()).is_some_and(is_compressible)
        && !response.has(&header::CONTENT_ENCODING)
        && !response.has(&header::CONTENT_RANGE)
        && !SUMS.iter().any(|sum| response.has(sum))
        && !lists(response, &header::CACHE_CONTROL, b"no-transform")
        && !lists(response, &header::VARY, b"accept-encoding")
}

/// Whether `element` is in the list that the fields of this name are.
fn lists(response: &Response, name: &HeaderName, element: &[u8]) -> bool {
    let lines = response.fields().iter().filter(|(field, _)| field.eq_ignore_ascii_case(name.as_str()));
    let mut elements = lines.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    elements.any(|other| other.trim_ascii().eq_ignore_ascii_case(element))
}

/// A whole body, if that is worth it.
fn encode_at_once(response: &mut Response, coding: Coding) -> bool {
    let content = match response.body() {
        Body::Static(bytes) => bytes,
        Body::Shared(bytes) => &**bytes,
        Body::Arena => response.arena_bytes(),
        Body::Empty | Body::File { .. } | Body::Source(_) => return false,
    };
    let encoded = Encoder::new(coding).and_then(|mut encoder| {
        encoder.write(content)?;
        encoder.finish()
    });
    match encoded {
        Ok(encoded) if is_worth_it(content.len(), encoded.len()) => {
            response.set_body(encoded);
            true
        }
        _ => false,
    }
}

/// The bytes are others, and mean the same: RFC 9110 §8.8.1.
fn weaken_tag(response: &mut Response) {
    let Some(tag) = response.fields().get(header::ETAG.as_str()) else { return };
    if tag.starts_with(b"W/") {
        return;
    }
    let weak = HeaderValue::from_bytes(&[b"W/", tag].concat());
    response.remove(&header::ETAG);
    if let Ok(weak) = weak {
        response.append(&header::ETAG, &weak);
    }
}

#[cfg(test)]
mod tests;
