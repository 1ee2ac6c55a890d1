//! [`Representation`]: one form of a file, and what it answers. RFC 9110 §8, §13, §14, §15.3.7, §15.5.17.
//!
//! ```text
//!  conditions ─ failed ────────► 412
//!      │      └ not modified ──► 304
//!      ▼
//!   ranges ──── none ──────────► 200
//!      │  ├──── one ───────────► 206 Content-Range
//!      │  └──── several ───────► 206 multipart/byteranges
//!      └─────── out of reach ──► 416
//! ```
//! Knows no path and no folder: what it says was found out before.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;

use super::conditions::{self, Verdict};
use super::parts::{self, Boundary, Parts};
use super::ranges::{self, ByteSpan, Ranges};
use super::transfer::{Cold, Transfer};
use super::version::Version;
use crate::http::{Body, Head, Known, Method, Reason, Rendered, Response};

/// A form of a file: as it is, or in a content coding.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) version: Version,
    pub(super) content_type: HeaderValue,
    /// What else every answer says of it: its coding, how it may be stored, what it varies with.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) content: Content,
}

/// The bytes of a form.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Bytes(Bytes),
    /// The first so many bytes of a file.
    File(Arc<File>, u64),
}

/// How the bytes of a file get to be in memory.
pub(super) struct Memory {
    /// They are.
    pub(super) is_resident: bool,
    /// Who reads them if they are not.
    pub(super) cold: Cold,
}

impl Content {
    pub(super) const fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

impl Representation {
    /// Fills `response`, which is empty, with the answer to GET or HEAD.
    pub(super) fn answer(&self, head: &Head<'_>, response: &mut Response, memory: impl FnOnce() -> Memory) {
        let ranges = match conditions::judge(head, &self.version) {
            Verdict::Failed => return response.refuse(Reason::Precondition),
            Verdict::NotModified => {
                response.set_status(StatusCode::NOT_MODIFIED);
                return self.describe(response);
            }
            // RFC 9110 §14.2: a range of anything but GET is ignored.
            Verdict::Serve { ranges } if ranges && head.method() == Method::Get => {
                ranges::resolve(head.known(Known::Range), self.content.length())
            }
            Verdict::Serve { .. } => Ranges::Whole,
        };
        match ranges {
            Ranges::Whole => self.whole(response, memory),
            Ranges::One(span) => {
                response.set_status(StatusCode::PARTIAL_CONTENT);
                self.describe(response);
                self.name_type(response);
                response.append(&header::CONTENT_RANGE, &span.content_range(self.content.length()));
                response.set_body(self.body(span.offset(), span.length(), memory));
            }
            Ranges::Many(spans) => {
                response.set_status(StatusCode::PARTIAL_CONTENT);
                self.describe(response);
                self.several(&spans, response, memory);
            }
            Ranges::Unsatisfiable => {
                response.refuse(Reason::RangeUnsatisfiable);
                response.append(&header::CONTENT_RANGE, &ranges::unsatisfied(self.content.length()));
            }
        }
    }

    /// The answer to a request that asks for nothing special, made once; `None` if that is better made each
    /// time.
    pub(super) fn rendered(&self) -> Option<Rendered> {
        let Content::Bytes(bytes) = &self.content else { return None };
        let mut response = Response::new(StatusCode::OK);
        self.describe(&mut response);
        self.name_type(&mut response);
        response.set_body(bytes.clone());
        Rendered::of(&response)
    }

    fn whole(&self, response: &mut Response, memory: impl FnOnce() -> Memory) {
        self.describe(response);
        self.name_type(response);
        response.set_body(self.body(0, self.content.length(), memory));
    }

    /// What a 200 and a 304 both say. RFC 9110 §15.4.5: a 304 has what a cache learns from, and its coding is
    /// the one that the cache has.
    fn describe(&self, response: &mut Response) {
        let is_coding_known = response.status() == StatusCode::NOT_MODIFIED;
        if let Some(tag) = self.version.etag() {
            response.append(&header::ETAG, tag);
        }
        if let Some(modified) = self.version.last_modified() {
            response.append(&header::LAST_MODIFIED, modified);
        }
        for (name, value) in &self.fields {
            if !(is_coding_known && name == header::CONTENT_ENCODING) {
                response.append(name, value);
            }
        }
    }

    fn name_type(&self, response: &mut Response) {
        response.append(&header::CONTENT_TYPE, &self.content_type);
        response.append(&header::ACCEPT_RANGES, &HeaderValue::from_static("bytes"));
    }

    fn body(&self, offset: u64, length: u64, memory: impl FnOnce() -> Memory) -> Body {
        match &self.content {
            Content::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                Body::Shared(bytes.slice(start.min(bytes.len())..end.min(bytes.len())))
            }
            Content::File(..) if length == 0 => Body::Empty,
            Content::File(file, _) => {
                let Memory { is_resident, cold } = memory();
                Body::Source(Box::new(Transfer::new(Arc::clone(file), offset, length, cold, is_resident)))
            }
        }
    }

    /// RFC 9110 §14.6.
    fn several(&self, spans: &[ByteSpan], response: &mut Response, memory: impl FnOnce() -> Memory) {
        // The keys of the hash are random: nobody who made the file can have known it.
        let half = |number: u8| u128::from(RandomState::new().hash_one(number));
        let boundary = Boundary::new(half(0) << 64 | half(1));
        response.append(&header::CONTENT_TYPE, &boundary.content_type());
        let content = match &self.content {
            Content::Bytes(bytes) => parts::Content::Bytes(bytes.clone()),
            Content::File(file, _) => parts::Content::File(Arc::clone(file), memory().cold),
        };
        let parts = Parts::new(content, self.content.length(), &self.content_type, spans, boundary);
        response.set_body(Body::Source(Box::new(parts)));
    }
}
