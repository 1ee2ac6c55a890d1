//! [`Rendered`]: an answer that never changes, as one text that is made once and copied many times.
//!
//! ```text
//!  Content-Type: text/plain CR LF Etag: "1" CR LF Content-Length: 13 CR LF CR LF │ Hello, World!
//!                                                                          body_at ┘
//! ```
//! In the form of HTTP/1, as [`Fields`](super::Fields) are; a version that writes fields in another way reads
//! them out of it. A short text lies within, behind what says how it is sent: of many answers no cache has
//! all, and one that lies together is found at once. Knows no date.

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
#[repr(C)]
pub struct Rendered {
    status: StatusCode,
    body_at: u16,
    closes: bool,
    has_date: bool,
    has_server: bool,
    /// How long the text is, in bytes.
    length: u32,
    /// How many fields it has.
    lines: u16,
    text: Text,
    /// Where names and values are, for a version that does not use the text as it is.
    places: OnceLock<Box<[[Span; 2]]>>,
}

#[derive(Clone, Debug)]
enum Text {
    /// As many bytes of it as the text is long.
    Short([u8; SHORT_BYTES_MAX]),
    Long(Bytes),
}

/// How long a text is that lies within, in bytes.
const SHORT_BYTES_MAX: usize = 127;

const _: () = assert!(size_of::<Text>() == 128, "two cache lines, all of which are used");

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
        let body_at = u16::try_from(text.len()).ok()?;
        let lines = u16::try_from(super::fields::lines(&text).count()).ok()?;
        text.extend_from_slice(body);
        Some(Self {
            status,
            closes: response.closes(),
            has_date: response.has_date(),
            has_server: response.has_server(),
            length: u32::try_from(text.len()).ok()?,
            lines,
            text: Text::of(text),
            body_at,
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
        match &self.text {
            Text::Short(bytes) => bytes.get(..self.length as usize).unwrap_or_default(),
            Text::Long(bytes) => bytes,
        }
    }

    /// The lines of the fields, length included, and the empty line: the answer to HEAD.
    #[inline]
    pub fn fields(&self) -> &[u8] {
        &self.text()[..usize::from(self.body_at)]
    }

    /// The names and values of the fields, length included. Found when they are first asked for.
    #[inline]
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let places = self.places.get_or_init(|| places(self.fields()));
        let text = self.text();
        places.iter().map(|[name, value]| (name.of(text), value.of(text)))
    }

    /// The bytes of memory that it takes beside its own size, once its lines were asked for.
    #[inline]
    pub const fn bytes(&self) -> usize {
        let text = match &self.text {
            Text::Short(_) => 0,
            Text::Long(bytes) => bytes.len(),
        };
        text + self.lines as usize * size_of::<[Span; 2]>()
    }

    /// How long the body is, in bytes.
    #[inline]
    pub const fn body_bytes(&self) -> usize {
        self.length as usize - self.body_at as usize
    }

    /// How long fields and body are, in bytes.
    #[inline]
    pub const fn text_bytes(&self) -> usize {
        self.length as usize
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &[u8] {
        &self.text()[usize::from(self.body_at)..]
    }

    /// The body by reference, or a copy of a short one.
    pub fn shared_body(&self) -> Bytes {
        match &self.text {
            Text::Short(_) => Bytes::copy_from_slice(self.body()),
            Text::Long(bytes) => bytes.slice(usize::from(self.body_at)..),
        }
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
        match &self.text {
            Text::Short(_) => {
                let arena = response.arena();
                arena.clear();
                arena.extend_from_slice(self.body());
            }
            Text::Long(_) => response.set_body(self.shared_body()),
        }
    }
}

impl Text {
    fn of(text: Vec<u8>) -> Self {
        let mut bytes = [0; SHORT_BYTES_MAX];
        match bytes.get_mut(..text.len()) {
            Some(own) => {
                own.copy_from_slice(&text);
                Self::Short(bytes)
            }
            None => Self::Long(text.into()),
        }
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
        assert_eq!((rendered.bytes(), places), (24, 24), "the text lies within");
        let mut response = Response::default();
        rendered.fill(&mut response);
        let lines = b"Content-Type: text/plain; charset=utf-8\r\nEtag: \"1\"\r\n";
        assert_eq!((response.length(), response.fields().block()), (Some(2), &lines[..]));
    }

    #[test]
    fn a_text_is_the_same_wherever_it_lies() {
        for body_bytes in 0..200 {
            let body = "x".repeat(body_bytes);
            let rendered = Rendered::of(&Response::text(body.clone())).unwrap();
            let [fields, own] = [rendered.fields(), rendered.body()];
            assert!(fields.ends_with(format!("\r\nContent-Length: {body_bytes}\r\n\r\n").as_bytes()));
            assert_eq!((own, rendered.shared_body().as_ref()), (body.as_bytes(), body.as_bytes()));
            assert_eq!(rendered.text(), [fields, own].concat());
            assert_eq!(
                (rendered.text_bytes(), rendered.body_bytes()),
                (fields.len() + body_bytes, body_bytes)
            );
            let beside = rendered.bytes() - rendered.lines().count() * size_of::<[Span; 2]>();
            let length = rendered.text().len();
            assert_eq!(beside, if length <= SHORT_BYTES_MAX { 0 } else { length });
            let mut response = Response::default();
            rendered.fill(&mut response);
            assert_eq!(Rendered::of(&response).unwrap().text(), rendered.text());
        }
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
