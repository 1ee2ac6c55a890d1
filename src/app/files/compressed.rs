//! [`Compression`]: in which codings content is sent, too; [`Compressed`]: an answer that never changes, in
//! each of them. RFC 9110 §8.4.1, §8.8.3.3, §12.5.5.
//!
//! ```text
//!  Response ─► Fixed ─ worth it? ─► compressed once, into each coding ─► Compressed
//!                        └ no: as it is                                     │ Accept-Encoding
//!                                                                           ▼
//!                                                       the form that the client takes most gladly
//! ```
//! Nothing is compressed while a request waits. Knows no file.

use std::fmt;
use std::sync::Arc;

use ::http::{HeaderValue, header};
use bytes::Bytes;

use super::coding::{Accepted, Coding, Preference};
use super::compress::{Bounds, Effort, can_compress, compress, is_compressible, is_worth_it};
use crate::app::explain::{Stage, Step};
use crate::app::{Fixed, Handler, Outcome, Request};
use crate::http::{Body, Rendered, Response};

/// How content is compressed: in which codings, and from which length on.
///
/// ```
/// use kolk::app::{Coding, Compression};
///
/// let compression = Compression::new().codings([Coding::Gzip]).from_bytes(256);
/// # let _ = compression;
/// ```
#[derive(Clone, Debug)]
pub struct Compression {
    codings: Preference,
    bounds: Bounds,
}

/// Always the same answer, in the coding that the client takes most gladly: what [`Fixed::compress`] makes.
#[derive(Debug)]
pub struct Compressed {
    plain: Form,
    /// By [`Coding`].
    coded: [Option<Form>; 3],
    codings: Preference,
}

/// The answer in one coding.
#[derive(Debug)]
struct Form {
    fixed: Fixed,
    /// The same as one text, where that is the better form.
    whole: Option<Arc<Rendered>>,
}

impl Compression {
    /// With Brotli, zstd and gzip; from 1,024 bytes up to 4 MiB.
    pub fn new() -> Self {
        Self { codings: Preference::ALL, bounds: Bounds::default() }
    }

    /// In these codings, within these bounds.
    pub(super) const fn of(codings: Preference, bounds: Bounds) -> Self {
        Self { codings, bounds }
    }

    /// With these alone; of those that a client takes as gladly the first is sent.
    #[must_use]
    pub fn codings(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        self.codings = Preference::new(codings);
        self
    }

    /// Content of fewer bytes is left as it is.
    #[must_use]
    pub const fn from_bytes(mut self, bytes: u64) -> Self {
        self.bounds.compress_bytes_min = bytes;
        self
    }

    /// Whether anything is compressed at all.
    pub(in crate::app) const fn makes_some(&self) -> bool {
        self.codings.makes_some()
    }

    /// Content of fewer bytes is left as it is.
    pub(in crate::app) const fn bytes_min(&self) -> u64 {
        self.bounds.compress_bytes_min
    }

    /// The coding that whoever accepts these takes most gladly, of those that are made.
    pub(in crate::app) fn made_for(&self, accepted: Accepted) -> Option<Coding> {
        let is_made = |coding: &Coding| self.codings.makes(*coding) && can_compress(*coding);
        accepted.ranked(&self.codings).find(is_made)
    }

    /// `content` in `coding`, if that is worth it.
    fn coded(&self, coding: Coding, content: &[u8]) -> Option<Vec<u8>> {
        if !self.codings.makes(coding) || !can_compress(coding) {
            return None;
        }
        let coded = compress(coding, content, Effort::for_length(content.len())).ok()?;
        is_worth_it(content.len(), coded.len()).then_some(coded)
    }
}

/// `br, gzip from 1024 bytes on`
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codings = self.codings.made().iter().filter(|coding| can_compress(**coding));
        let codings: Vec<_> = codings.map(|coding| coding.name()).collect();
        write!(f, "{} from {} bytes on", codings.join(", "), self.bounds.compress_bytes_min)
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixed {
    /// The same answer, compressed for whoever accepts that: once, here and now, which takes up to a second
    /// for the longest content that is compressed. Content that does not shrink, that is not in memory, or
    /// that has a coding already stays as it is.
    ///
    /// ```
    /// use kolk::app::{Coding, Compression, IntoHandler};
    /// use kolk::{App, Response};
    ///
    /// let text = Response::text("all work and no play\n".repeat(100)).into_handler();
    /// let app = App::new().get("/", text.compress(&Compression::new().codings([Coding::Gzip])));
    /// let answer = app.oneshot(http::Request::get("/").header("accept-encoding", "gzip").body("").unwrap());
    /// assert_eq!(answer.headers()["content-encoding"], "gzip");
    /// assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    /// assert!(answer.body().len() < 200);
    /// ```
    pub fn compress(self, compression: &Compression) -> Compressed {
        let codings = compression.codings;
        let Some(content) = shrinking(&self, compression) else {
            return Compressed { plain: Form::new(self), coded: [None, None, None], codings };
        };
        let form = |coding: Coding| {
            let content = compression.coded(coding, &content)?;
            Some(Form::new(Self::new(in_coding(self.response(), coding, content))))
        };
        let coded = Coding::ALL.map(form);
        let plain = if coded.iter().any(Option::is_some) {
            let mut response = self.response();
            response.append(&header::VARY, &ACCEPT_ENCODING);
            Self::new(response)
        } else {
            self
        };
        Compressed { plain: Form::new(plain), coded, codings }
    }
}

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// The content, if it is of a kind and a length that is compressed.
fn shrinking(fixed: &Fixed, compression: &Compression) -> Option<Bytes> {
    let response = fixed.response();
    if response.reason().is_some() || response.has(&header::CONTENT_ENCODING) {
        return None;
    }
    let named = response.fields().get(header::CONTENT_TYPE.as_str());
    let named = named.and_then(|value| std::str::from_utf8(value).ok());
    let media_type = named.or_else(|| response.content_type())?;
    let content = match response.body() {
        Body::Static(bytes) => Bytes::from_static(bytes),
        Body::Shared(bytes) => bytes.clone(),
        _ => return None,
    };
    let is_wanted = is_compressible(media_type) && compression.bounds.admit(content.len() as u64);
    is_wanted.then_some(content)
}

/// The answer with its content in `coding`, which has a tag of its own if the other has one.
fn in_coding(mut response: Response, coding: Coding, content: Vec<u8>) -> Response {
    let tag = response.fields().get(header::ETAG.as_str()).map(<[u8]>::to_vec);
    if let Some(opaque) = tag.as_deref().and_then(|tag| tag.strip_suffix(b"\"")) {
        let tag = [opaque, coding.etag_suffix().as_bytes(), b"\""].concat();
        response.remove(&header::ETAG);
        if let Ok(tag) = HeaderValue::from_bytes(&tag) {
            response.append(&header::ETAG, &tag);
        }
    }
    response.append(&header::CONTENT_ENCODING, coding.value());
    response.append(&header::VARY, &ACCEPT_ENCODING);
    response.with_body(content)
}

impl Form {
    fn new(fixed: Fixed) -> Self {
        Self { whole: fixed.fixed().map(Arc::new), fixed }
    }
}

impl Compressed {
    /// The form for who sent `request`.
    fn form(&self, request: &Request<'_>) -> &Form {
        let mut ranked = Accepted::of(request.head()).ranked(&self.codings);
        // RFC 9110 §12.5.3: whoever refuses this, too, gets it all the same.
        ranked.find_map(|coding| self.coded[coding as usize].as_ref()).unwrap_or(&self.plain)
    }
}

impl Handler for Compressed {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        let form = self.form(request);
        match &form.whole {
            Some(whole) => Outcome::Rendered(Arc::clone(whole)),
            None => form.fixed.handle(request, response),
        }
    }

    fn fixed(&self) -> Option<Rendered> {
        let is_always_the_same = self.coded.iter().all(Option::is_none);
        self.plain.fixed.fixed().filter(|_| is_always_the_same)
    }

    fn explain(&self, request: &Request<'_>) -> Vec<Step> {
        let status = self.plain.fixed.response().status().as_u16();
        let there = Coding::ALL.into_iter().filter(|coding| self.coded[*coding as usize].is_some());
        let there: Vec<_> = there.map(Coding::name).collect();
        if there.is_empty() {
            return self.plain.fixed.explain(request);
        }
        let text = format!("respond with {status}, compressed: {}", there.join(", "));
        vec![Step::new(Stage::Handle, "action", text)]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::app::{App, IntoHandler as _};

    type Answer = ::http::Response<Bytes>;

    fn get(app: &App, accept: &str) -> Answer {
        app.oneshot(::http::Request::get("/").header("accept-encoding", accept).body("").unwrap())
    }

    fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn text(length: usize) -> String {
        "all work and no play\n".chars().cycle().take(length).collect()
    }

    /// The answer that `response` is, compressed as usual.
    fn app(response: Response) -> App {
        App::new().get("/", response.into_handler().compress(&Compression::new()))
    }

    #[test]
    fn rfc_9110_12_5_5_each_form_has_its_coding_its_tag_and_vary() {
        for length in [2_000, 200_000] {
            let tagged =
                Response::text(text(length)).with_header(header::ETAG, HeaderValue::from_static("\"a\""));
            let app = app(tagged);
            for (accept, coding, tag) in [
                ("", None, "\"a\""),
                ("gzip", Some("gzip"), "\"a-gzip\""),
                ("gzip, deflate, br", Some("br"), "\"a-br\""),
                ("br;q=0.1, gzip", Some("gzip"), "\"a-gzip\""),
                ("gzip;q=0", None, "\"a\""),
                ("*;q=0", None, "\"a\""),
            ] {
                let answer = get(&app, accept);
                let told = ["content-encoding", "etag", "vary"].map(|name| field(&answer, name));
                assert_eq!(told, [coding, Some(tag), Some("Accept-Encoding")], "{accept}");
                assert_eq!(field(&answer, "content-type"), Some("text/plain; charset=utf-8"));
                assert_eq!(answer.body().len() == length, coding.is_none(), "{accept}");
            }
            let mut whole = String::new();
            GzDecoder::new(&**get(&app, "gzip").body()).read_to_string(&mut whole).unwrap();
            assert_eq!(whole, text(length));
            let status = |answer: Answer| answer.status().as_u16();
            let head = ::http::Request::head("/").header("accept-encoding", "gzip").body("").unwrap();
            assert_eq!(status(app.oneshot(head)), 200);
        }
    }

    #[test]
    fn what_does_not_shrink_stays_one_text() {
        let png = HeaderValue::from_static("image/png");
        let coded = HeaderValue::from_static("gzip");
        for response in [
            Response::text(text(1_023)),
            Response::text(text(2_000)).with_header(header::CONTENT_TYPE, png),
            Response::text(text(2_000)).with_header(header::CONTENT_ENCODING, coded),
            Response::new(::http::StatusCode::OK).with_body(text(2_000)),
            Response::new(::http::StatusCode::NO_CONTENT),
            Response::error(::http::StatusCode::GONE),
        ] {
            let had = response.has(&header::CONTENT_ENCODING);
            let app = app(response);
            let answer = get(&app, "gzip, br");
            assert_eq!(field(&answer, "content-encoding").is_some(), had, "{answer:?}");
            assert_eq!(field(&answer, "vary"), None, "{answer:?}");
        }
        assert!(app(Response::text("short")).routes()[0].fixed().is_some(), "nobody is asked");
        assert!(app(Response::text(text(2_000))).routes()[0].fixed().is_none());
        let narrow = Compression::new().codings([]).from_bytes(0);
        let handler = Response::text(text(2_000)).into_handler().compress(&narrow);
        assert!(handler.fixed().is_some());
    }

    #[test]
    fn the_length_and_the_codings_are_chosen() {
        let wide = Compression::new().codings([Coding::Gzip]).from_bytes(100);
        let app = App::new().get("/", Response::text(text(100)).into_handler().compress(&wide));
        assert_eq!(field(&get(&app, "br, gzip"), "content-encoding"), Some("gzip"));
        assert_eq!(field(&get(&app, "br"), "content-encoding"), None);
    }
}
