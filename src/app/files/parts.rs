//! [`Parts`]: several ranges of one representation as a body. RFC 9110 §14.6, RFC 2046 §5.1.
//!
//! ```text
//!  --boundary CRLF Content-Type: … CRLF Content-Range: … CRLF CRLF   bytes
//!  CRLF --boundary CRLF …                                            bytes
//!  CRLF --boundary-- CRLF
//! ```
//! At most one part a pull: its head is copied, its bytes are moved, and a file's are read by the pool first
//! where they are not in memory. The heads are written beforehand, so that the length is exact. Knows no
//! request.

use std::fs::File;
use std::sync::Arc;

use ::http::HeaderValue;
use bytes::Bytes;

use super::ranges::ByteSpan;
use super::transfer::{Cold, Transfer};
use crate::http::{Pull, Pulled, Source};

/// What stands between the parts, and must not stand within them. RFC 2046 §5.1.1.
///
/// Made of 128 bits that nobody can foretell: else who writes a file that is served could make it end a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boundary(u128);

impl Boundary {
    /// From random bits: the same bits make the same boundary.
    pub(super) const fn new(random: u128) -> Self {
        Self(random)
    }

    /// The value of `Content-Type` of an answer with these parts.
    pub(super) fn content_type(self) -> HeaderValue {
        let value = format!("multipart/byteranges; boundary={self}");
        HeaderValue::try_from(value).expect("hexadecimal digits are a field value")
    }
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where the bytes are.
#[derive(Clone)]
pub(super) enum Content {
    /// All of the representation, in memory.
    Bytes(Bytes),
    /// All of it, in a file of the worker that sends it.
    File(Arc<File>, Cold),
}

/// The body of a 206 with several ranges.
pub(super) struct Parts {
    content: Content,
    /// The bytes of the part whose head was sent last.
    under_way: Option<Transfer>,
    parts: std::vec::IntoIter<Part>,
    /// Behind the last part.
    closing: String,
    /// Of all that is sent; `None`, if that needs more than 64 bits.
    length: Option<u64>,
}

struct Part {
    head: Vec<u8>,
    span: ByteSpan,
}

impl Parts {
    /// The bytes of `spans`, which lie within the `complete_length` bytes of `content`; `content_type` is
    /// what an answer with all of it would say.
    pub(super) fn new(
        content: Content,
        complete_length: u64,
        content_type: &HeaderValue,
        spans: &[ByteSpan],
        boundary: Boundary,
    ) -> Self {
        let part = |(number, &span): (usize, &ByteSpan)| {
            let mut head = if number == 0 { Vec::new() } else { b"\r\n".to_vec() };
            head.extend_from_slice(format!("--{boundary}\r\nContent-Type: ").as_bytes());
            head.extend_from_slice(content_type.as_bytes());
            head.extend_from_slice(b"\r\nContent-Range: ");
            head.extend_from_slice(span.content_range(complete_length).as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            Part { head, span }
        };
        let parts: Vec<_> = spans.iter().enumerate().map(part).collect();
        let closing = format!("\r\n--{boundary}--\r\n");
        let length = parts.iter().try_fold(closing.len() as u64, |length, part| {
            length.checked_add(part.head.len() as u64)?.checked_add(part.span.length())
        });
        Self { content, under_way: None, parts: parts.into_iter(), closing, length }
    }
}

impl Source for Parts {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        if let Some(transfer) = &mut self.under_way {
            let pulled = transfer.pull(pull);
            if pulled != Pulled::End {
                return pulled;
            }
            self.under_way = None;
            return Pulled::More;
        }
        let Some(Part { head, span }) = self.parts.next() else {
            pull.write(self.closing.as_bytes());
            return Pulled::End;
        };
        pull.write(&head);
        match &self.content {
            Content::File(file, cold) => {
                let (file, cold) = (Arc::clone(file), cold.clone());
                self.under_way = Some(Transfer::new(file, span.offset(), span.length(), cold, false));
            }
            Content::Bytes(bytes) => match slice(bytes, span) {
                Some(bytes) => pull.share(bytes),
                None => return Pulled::Failed,
            },
        }
        Pulled::More
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

/// `None` if there are not so many bytes.
fn slice(bytes: &Bytes, span: ByteSpan) -> Option<Bytes> {
    let start = usize::try_from(span.offset()).ok()?;
    let end = start.checked_add(usize::try_from(span.length()).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ranges::{Ranges, resolve};
    use super::super::tree::Tree;
    use super::*;
    use crate::app::{App, Request};
    use crate::http::{Response, Timeline};
    use crate::sys::scratch::Scratch;

    const BOUNDARY: Boundary = Boundary::new(0x00FF_1234_5678_9ABC_DEF0_1122_3344_5566);

    fn spans(value: &str, length: u64) -> Vec<ByteSpan> {
        match resolve(Some(value.as_bytes()), length) {
            Ranges::Many(spans) => spans,
            Ranges::One(span) => vec![span],
            other => panic!("{value} of {length} is {other:?}"),
        }
    }

    /// What a client gets of this content, in memory or in a file.
    fn sent(content: &[u8], is_file: bool, spans: Vec<ByteSpan>) -> ::http::Response<Bytes> {
        let scratch = Scratch::new("parts");
        scratch.put("x", content);
        let tree = Arc::new(Tree::open(&scratch).unwrap());
        let (bytes, complete_length) = (Bytes::copy_from_slice(content), content.len() as u64);
        let content_of = move |request: &Request<'_>| {
            if !is_file {
                return Content::Bytes(bytes.clone());
            }
            let cold = Cold {
                tree: Arc::clone(&tree),
                name: "x".to_owned(),
                pool: Arc::clone(request.pool()),
                wakeup: request.wakeup(),
            };
            Content::File(Arc::new(tree.file("x").unwrap().file), cold)
        };
        let app = App::new().get("/", move |request: &Request<'_>| {
            let content_type = HeaderValue::from_static("text/plain");
            Response::new(::http::StatusCode::PARTIAL_CONTENT)
                .with_header(::http::header::CONTENT_TYPE, BOUNDARY.content_type())
                .with_body(crate::http::Body::Source(Box::new(Parts::new(
                    content_of(request),
                    complete_length,
                    &content_type,
                    &spans,
                    BOUNDARY,
                ))))
        });
        app.oneshot(::http::Request::get("/").body("").unwrap())
    }

    /// The same, written without thought.
    fn rendered(content: &[u8], spans: &[ByteSpan]) -> Vec<u8> {
        let mut body = Vec::new();
        for span in spans {
            let start = usize::try_from(span.offset()).unwrap();
            let end = start + usize::try_from(span.length()).unwrap();
            let head = format!(
                "--00ff123456789abcdef0112233445566\r\nContent-Type: text/plain\r\n\
                 Content-Range: bytes {start}-{}/{}\r\n\r\n",
                end - 1,
                content.len()
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&content[start..end]);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--00ff123456789abcdef0112233445566--\r\n");
        body
    }

    #[test]
    fn rfc_9110_14_6_parts_of_bytes_and_of_a_file() {
        let content = b"0123456789";
        let expected = "--00ff123456789abcdef0112233445566\r\n\
                        Content-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n\
                        01\r\n\
                        --00ff123456789abcdef0112233445566\r\n\
                        Content-Type: text/plain\r\nContent-Range: bytes 9-9/10\r\n\r\n\
                        9\r\n\
                        --00ff123456789abcdef0112233445566--\r\n";
        for is_file in [false, true] {
            let answer = sent(content, is_file, spans("bytes=0-1,-1", 10));
            assert_eq!(answer.body(), expected);
            assert_eq!(answer.status(), 206);
            assert_eq!(answer.headers()["content-length"], expected.len().to_string());
            assert_eq!(
                answer.headers()["content-type"],
                "multipart/byteranges; boundary=00ff123456789abcdef0112233445566"
            );
            assert!(!answer.headers().contains_key("content-range"), "RFC 9110 §15.3.7.2: only the parts'");
        }
    }

    #[test]
    fn rfc_2046_5_1_1_a_boundary_is_of_fixed_form() {
        for random in [0, 1, u128::MAX] {
            let text = Boundary::new(random).to_string();
            assert!(text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        }
    }

    #[test]
    fn a_length_beyond_64_bits_is_unknown() {
        let parts = |length: u64| {
            let spans = spans("bytes=0-0,2-", length);
            let content_type = HeaderValue::from_static("a/b");
            Parts::new(Content::Bytes(Bytes::new()), length, &content_type, &spans, BOUNDARY).length()
        };
        assert!(parts(1 << 63).is_some_and(|length| length > 1 << 63));
        assert_eq!(parts(u64::MAX), None);
    }

    #[test]
    fn bytes_that_are_missing_are_a_failure() {
        let content_type = HeaderValue::from_static("a/b");
        let content = Content::Bytes(Bytes::from_static(b"0123"));
        let mut parts = Parts::new(content, 10, &content_type, &spans("bytes=0-1,3-4", 10), BOUNDARY);
        let (mut bytes, timeline) = (Vec::new(), Timeline::default());
        assert_eq!(parts.pull(&mut Pull::new(&mut bytes, 1024, &timeline)), Pulled::More);
        assert_eq!(parts.pull(&mut Pull::new(&mut bytes, 1024, &timeline)), Pulled::Failed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn parts_are_what_a_naive_server_would_write(
            length in 1_usize..300,
            ranges in prop::collection::vec((0_u64..300, 0_u64..40), 1..16),
        ) {
            let content: Vec<u8> = (0..=255).cycle().take(length).collect();
            let ranges: Vec<_> =
                ranges.into_iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            // At least one range is satisfiable.
            let spans = spans(&format!("bytes={},-1", ranges.join(",")), length as u64);
            let expected = rendered(&content, &spans);
            for is_file in [false, true] {
                let answer = sent(&content, is_file, spans.clone());
                prop_assert_eq!(&answer.body()[..], &expected[..]);
            }
        }
    }
}
