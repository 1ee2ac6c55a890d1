//! [`Rendered`]: the fields and the body of an answer as one text, made once and copied many times.
//!
//! ```text
//!  Content-Type: text/plain CR LF Etag: "1" CR LF Content-Length: 13 CR LF CR LF │ Hello, World!
//!                                                                          body_at ┘
//! ```
//! In the form of HTTP/1, as [`Fields`](super::Fields) are; other versions take it apart again
//! ([`Response::separate`]). Knows no status line and no date.

use std::io::Write;

use ::http::StatusCode;

use super::body::Body;
use super::response::Response;

/// Larger bodies are better sent from where they are, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// An answer that is the same every time.
#[derive(Clone, Debug)]
pub struct Rendered {
    pub(super) status: StatusCode,
    pub(super) close: bool,
    pub(super) has_date: bool,
    pub(super) has_server: bool,
    pub(super) text: Box<[u8]>,
    pub(super) body_at: usize,
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
            Body::File { .. } | Body::Source(_) | Body::Rendered { .. } => return None,
        };
        let has_content = status.as_u16() >= 200 && !matches!(status.as_u16(), 204 | 304);
        if !has_content || body.len() > BODY_BYTES_MAX || response.reason().is_some() {
            return None;
        }
        let mut text = Vec::new();
        if let Some(content_type) = response.content_type() {
            write!(text, "Content-Type: {content_type}\r\n").ok()?;
        }
        text.extend_from_slice(response.fields().block());
        write!(text, "Content-Length: {}\r\n\r\n", body.len()).ok()?;
        let body_at = text.len();
        text.extend_from_slice(body);
        Some(Self {
            status,
            close: response.closes(),
            has_date: response.has_date(),
            has_server: response.has_server(),
            text: text.into(),
            body_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderValue, header};

    use super::*;

    fn rendered() -> Response {
        let answer = Response::text("hi").with_header(header::ETAG, HeaderValue::from_static("\"1\""));
        let mut response = Response::default();
        response.render(&Rendered::of(&answer).unwrap());
        response
    }

    #[test]
    fn an_answer_becomes_one_text() {
        let response = rendered();
        assert_eq!(response.length(), Some(2));
        let (fields, body) = response.rendered().unwrap();
        assert_eq!(
            fields,
            b"Content-Type: text/plain; charset=utf-8\r\nEtag: \"1\"\r\nContent-Length: 2\r\n\r\n"
        );
        assert_eq!(body, b"hi");
    }

    #[test]
    fn a_text_is_taken_apart_before_it_changes() {
        let mut response = rendered();
        response.append(&header::VARY, &HeaderValue::from_static("*"));
        assert_eq!(response.rendered(), None);
        let fields = &b"Content-Type: text/plain; charset=utf-8\r\nEtag: \"1\"\r\nVary: *\r\n"[..];
        assert_eq!(response.fields().block(), fields);
        assert!(matches!(response.take_body(), Body::Shared(bytes) if bytes == "hi"));
        let mut response = rendered();
        response.set_body("other");
        assert_eq!((response.length(), response.fields().iter().count()), (Some(5), 2));
        let mut copy = Response::default();
        assert!(copy.copy_from(&rendered()));
        assert_eq!(copy.rendered(), rendered().rendered());
        let mut replaced = Response::default();
        replaced.replace(rendered());
        assert_eq!(replaced.rendered(), rendered().rendered());
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
