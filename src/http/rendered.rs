//! [`Rendered`]: an answer that never changes, as one text that is made once and copied many times.
//!
//! ```text
//!  Content-Type: text/plain CR LF Etag: "1" CR LF Content-Length: 13 CR LF CR LF │ Hello, World!
//!                                                                          body_at ┘
//! ```
//! In the form of HTTP/1, as [`Fields`](super::Fields) are; a version that writes fields in another way reads
//! them out of it. Knows no date.

use std::io::Write;
use std::sync::OnceLock;

use ::http::StatusCode;
use bytes::Bytes;

use super::body::Body;
use super::response::Response;
use super::span::Span;

/// Larger bodies are better sent from where they are, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// An answer that is the same every time.
///
/// ```
/// use kolk::{Response, http::Rendered};
///
/// let rendered = Rendered::of(&Response::text("hi")).unwrap();
/// assert_eq!(rendered.body(), b"hi");
/// ```
#[derive(Clone, Debug)]
pub struct Rendered {
    status: StatusCode,
    closes: bool,
    has_date: bool,
    has_server: bool,
    text: Bytes,
    body_at: usize,
    bytes: usize,
    /// Where names and values are, for a version that does not use the text as it is.
    places: OnceLock<Box<[[Span; 2]]>>,
}

impl Rendered {
    /// The text of `response`. `None` for what is better put together each time: a large body, one that is
    /// not in memory, a status without content, and answers of kolk's own.
    pub fn of(response: &Response) -> Option<Self> {
        let status = response.status();
        let body = match response.body() {
            Body::Empty => &[],
            Body::Static(bytes) => *bytes,
            Body::Shared(bytes) => bytes,
            Body::Arena => response.arena_bytes(),
            Body::File { .. } | Body::Source(_) => return None,
        };
        let has_content = status.as_u16() >= 200 && !matches!(status.as_u16(), 204 | 304);
        if !has_content || body.len() > BODY_BYTES_MAX || response.reason().is_some() {
            return None;
        }
        let mut text = Vec::with_capacity(body.len() + response.fields().block().len() + 128);
        if let Some(content_type) = response.content_type() {
            write!(text, "Content-Type: {content_type}\r\n").ok()?;
        }
        text.extend_from_slice(response.fields().block());
        write!(text, "Content-Length: {}\r\n\r\n", body.len()).ok()?;
        let body_at = text.len();
        if body_at > usize::from(u16::MAX) {
            return None;
        }
        text.extend_from_slice(body);
        let bytes = text.len() + super::fields::lines(&text[..body_at]).count() * size_of::<[Span; 2]>();
        Some(Self {
            status,
            closes: response.closes(),
            has_date: response.has_date(),
            has_server: response.has_server(),
            text: text.into(),
            body_at,
            bytes,
            places: OnceLock::new(),
        })
    }

    /// The status.
    #[inline]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the connection ends with this answer.
    #[inline]
    pub const fn closes(&self) -> bool {
        self.closes
    }

    /// Whether a `Date` field is among the fields.
    #[inline]
    pub const fn has_date(&self) -> bool {
        self.has_date
    }

    /// Whether a `Server` field is among the fields.
    #[inline]
    pub const fn has_server(&self) -> bool {
        self.has_server
    }

    /// The lines of the fields, the empty line, and the body.
    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The lines of the fields, length included, and the empty line: the answer to HEAD.
    #[inline]
    pub fn fields(&self) -> &[u8] {
        &self.text[..self.body_at]
    }

    /// The names and values of the fields, length included. Found when they are first asked for.
    #[inline]
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let places = self.places.get_or_init(|| places(self.fields()));
        places.iter().map(|[name, value]| (name.of(&self.text), value.of(&self.text)))
    }

    /// The bytes of memory that it takes beside its own size, once its lines were asked for.
    #[inline]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &[u8] {
        &self.text[self.body_at..]
    }

    /// The body by reference.
    pub fn shared_body(&self) -> Bytes {
        self.text.slice(self.body_at..)
    }

    /// Makes `response`, which is empty, this answer.
    pub fn fill(&self, response: &mut Response) {
        response.set_status(self.status);
        if self.closes {
            response.set_close();
        }
        response.adopt(self.fields());
        if self.has_server {
            response.hide_server();
        }
        response.set_body(self.shared_body());
    }
}

/// Where the names and values of lines are, which are at most 65,535 bytes.
#[cold]
fn places(lines: &[u8]) -> Box<[[Span; 2]]> {
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr() - lines.as_ptr().addr();
        Some(Span::new(u16::try_from(start).ok()?, u16::try_from(start + part.len()).ok()?))
    };
    let fields = super::fields::lines(lines);
    fields.filter_map(|(name, value)| Some([place(name.as_bytes())?, place(value)?])).collect()
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderValue, header};

    use super::*;

    #[test]
    fn an_answer_becomes_one_text() {
        let answer = Response::text("hi").with_header(header::ETAG, HeaderValue::from_static("\"1\""));
        let rendered = Rendered::of(&answer).unwrap();
        let fields = b"Content-Type: text/plain; charset=utf-8\r\nEtag: \"1\"\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(rendered.fields(), fields);
        assert_eq!(rendered.body(), b"hi");
        assert_eq!(rendered.text(), [&fields[..], b"hi"].concat());
        let places = rendered.lines().count() * size_of::<[Span; 2]>();
        assert_eq!((rendered.bytes(), places), (rendered.text().len() + places, 24));
        let mut response = Response::default();
        rendered.fill(&mut response);
        let lines = b"Content-Type: text/plain; charset=utf-8\r\nEtag: \"1\"\r\n";
        assert_eq!((response.length(), response.fields().block()), (Some(2), &lines[..]));
    }

    #[test]
    fn what_is_better_made_each_time() {
        static LARGE: [u8; BODY_BYTES_MAX + 1] = [0; BODY_BYTES_MAX + 1];
        for response in [
            Response::new(StatusCode::NO_CONTENT),
            Response::new(StatusCode::NOT_MODIFIED),
            Response::refusal(super::super::Reason::NotFound),
            Response::typed("a/b", Body::Static(&LARGE)),
        ] {
            assert!(Rendered::of(&response).is_none(), "{response:?}");
        }
    }
}
