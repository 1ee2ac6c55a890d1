//! [`Response`]: the status, the fields and the body of an answer.
//!
//! A shard owns one and reuses it, so that an answer allocates nothing; handlers may also make their
//! own and return it. Framing (`Content-Length`, `Transfer-Encoding`, `Connection`) is the protocol's:
//! fields of these names are not taken. Knows no wire.

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;

use super::body::{Body, Source};
use super::fields::Fields;
use super::hold::{Hold, Holds, Release};
use super::reason::Reason;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// An arena that grew beyond this is given back on reset, in bytes.
const ARENA_BYTES_KEPT: usize = 16 * 1024;

/// An answer.
///
/// ```
/// use kolk::{Response, StatusCode};
/// let answer = Response::text("hello\n").with_status(StatusCode::CREATED);
/// assert_eq!(answer.status(), 201);
/// ```
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    reason: Option<Reason>,
    close: bool,
    has_date: bool,
    has_server: bool,
    /// The type that the constructors set; a `Content-Type` field takes its place.
    content_type: Option<&'static str>,
    fields: Fields,
    arena: Vec<u8>,
    body: Body,
    /// What the exchange has for as long as it lasts.
    holds: Holds,
}

impl Response {
    /// An answer without fields and body.
    #[inline]
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            reason: None,
            close: false,
            has_date: false,
            has_server: false,
            content_type: None,
            fields: Fields::new(),
            arena: Vec::new(),
            body: Body::Empty,
            holds: Holds::NONE,
        }
    }

    /// 200 with plain text in UTF-8.
    #[inline]
    pub fn text(body: impl Into<Body>) -> Self {
        Self::typed(TEXT, body.into())
    }

    /// 200 with a page.
    pub fn html(body: impl Into<Body>) -> Self {
        Self::typed(HTML, body.into())
    }

    /// 200 with JSON that is already rendered.
    pub fn json(body: impl Into<Body>) -> Self {
        Self::typed(JSON, body.into())
    }

    /// 200 with a body of the given media type.
    pub fn typed(content_type: &'static str, body: Body) -> Self {
        let mut response = Self::new(StatusCode::OK);
        response.content_type = Some(content_type);
        response.body = body;
        response
    }

    /// 200 with a body that is made while it is sent.
    pub fn stream(content_type: &'static str, source: impl Source + 'static) -> Self {
        Self::typed(content_type, Body::Source(Box::new(source)))
    }

    /// 200 with server-sent events; never stored by caches on the way.
    pub fn event_stream(source: impl Source + 'static) -> Self {
        Self::stream(EVENTS, source).with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// A redirect to `location`.
    pub fn redirect(status: StatusCode, location: &HeaderValue) -> Self {
        let mut response = Self::new(status);
        response.append(&header::LOCATION, location);
        response
    }

    /// An answer that kolk makes itself; see [`Response::refuse`].
    pub fn refusal(reason: Reason) -> Self {
        let mut response = Self::new(StatusCode::OK);
        response.refuse(reason);
        response
    }

    /// An error that whoever runs the server wants here, and has no page of his own for: kolk refuses with
    /// this status, so that error pages, their JSON and the log have it.
    ///
    /// ```
    /// use kolk::{Response, StatusCode};
    ///
    /// let gone = Response::error(StatusCode::GONE);
    /// let reason = gone.reason().map(|reason| reason.code());
    /// assert_eq!((gone.status().as_u16(), reason), (410, Some("handler.configured")));
    /// ```
    ///
    /// # Panics
    /// For a status below 400.
    #[must_use]
    #[track_caller]
    pub fn error(status: StatusCode) -> Self {
        assert!(status.as_u16() >= 400, "{status} is no error");
        let mut response = Self::new(status);
        response.refuse_with(Reason::Configured, status);
        response
    }

    /// The same answer with another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more field.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.append(&name, &value);
        self
    }

    /// The same answer with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.set_body(body);
        self
    }

    /// The same answer, after which the connection is closed.
    #[must_use]
    pub const fn with_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Becomes the answer for `reason`: its status and its sentence as plain text. Fields stay.
    pub fn refuse(&mut self, reason: Reason) {
        self.refuse_as(reason, "", status_of(reason));
    }

    /// The same with a status that somebody has chosen.
    pub(crate) fn refuse_with(&mut self, reason: Reason, status: StatusCode) {
        self.refuse_as(reason, "", status);
    }

    /// The same, where one of several is the cause: its name stands behind the code.
    pub(crate) fn refuse_for(&mut self, reason: Reason, name: &str) {
        self.refuse_as(reason, name, status_of(reason));
    }

    fn refuse_as(&mut self, reason: Reason, name: &str, status: StatusCode) {
        self.status = status;
        self.reason = Some(reason);
        self.close |= reason.closes();
        self.content_type = Some(TEXT);
        self.arena.clear();
        for part in [
            self.status.as_str(),
            " ",
            self.status.canonical_reason().unwrap_or_default(),
            ": ",
            reason.sentence(),
            " (",
            reason.code(),
            if name.is_empty() { "" } else { "." },
            name,
            ")\n",
        ] {
            self.arena.extend_from_slice(part.as_bytes());
        }
        self.body = Body::Arena;
    }

    /// What the request is called, below the text of a refusal that nobody has changed.
    pub(crate) fn name_refusal(&mut self, id: &str) {
        if self.reason.is_some() && matches!(self.body, Body::Arena) {
            for part in ["request ", id, "\n"] {
                self.arena.extend_from_slice(part.as_bytes());
            }
        }
    }

    /// Appends a field. `Content-Length`, `Transfer-Encoding`, `Connection` and other fields of the
    /// connection (RFC 9110 §7.6.1) are the protocol's and are not taken.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::CONNECTION
            | header::UPGRADE
            | header::TRAILER
            | header::TE => return,
            header::CONTENT_TYPE => {
                self.content_type = None;
                self.fields.remove(name);
            }
            header::DATE => self.has_date = true,
            header::SERVER => self.has_server = true,
            _ => {}
        }
        self.fields.append(name, value);
    }

    /// Appends a field that is none of those which [`Response::append`] looks for, with a text of visible
    /// ASCII characters and spaces; any other is not taken.
    pub(crate) fn append_text(&mut self, name: &HeaderName, value: &[u8]) {
        self.fields.append_text(name, value);
    }

    /// Takes every field of this name away. Without `Server` the answer has none, whatever the server's name
    /// is; `Date` and the framing are the protocol's and stay.
    ///
    /// ```
    /// use kolk::{Response, header};
    ///
    /// let mut answer = Response::text("hello\n");
    /// answer.remove(&header::CONTENT_TYPE);
    /// assert_eq!(answer.content_type(), None);
    /// ```
    pub fn remove(&mut self, name: &HeaderName) {
        match *name {
            header::CONTENT_TYPE => self.content_type = None,
            header::SERVER => self.has_server = true,
            header::DATE => return,
            _ => {}
        }
        self.fields.remove(name);
    }

    /// Whether there is a field of this name, as far as it is known by now.
    pub fn has(&self, name: &HeaderName) -> bool {
        (*name == header::CONTENT_TYPE && self.content_type.is_some())
            || self.fields.get(name.as_str()).is_some()
    }

    /// No `Server` field is added.
    pub(super) const fn hide_server(&mut self) {
        self.has_server = true;
    }

    /// Takes over lines that were rendered before, up to the empty line behind them; their length is the
    /// body's.
    pub(super) fn adopt(&mut self, lines: &[u8]) {
        self.fields.adopt(lines);
        self.fields.remove(&header::CONTENT_LENGTH);
        self.has_date |= self.fields.get("date").is_some();
        self.has_server |= self.fields.get("server").is_some();
    }

    /// Sets the status.
    #[inline]
    pub const fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Sets the media type of the body.
    #[inline]
    pub fn set_content_type(&mut self, content_type: &'static str) {
        if !self.fields.is_empty() {
            self.fields.remove(&header::CONTENT_TYPE);
        }
        self.content_type = Some(content_type);
    }

    /// Sets the body.
    #[inline]
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body = body.into();
    }

    /// Closes the connection after this answer.
    #[inline]
    pub const fn set_close(&mut self) {
        self.close = true;
    }

    /// The buffer of a body that is written in place; makes it the body.
    #[inline]
    pub fn arena(&mut self) -> &mut Vec<u8> {
        self.body = Body::Arena;
        &mut self.arena
    }

    /// The status.
    #[inline]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Why kolk made this answer itself; `None` for a handler's.
    #[inline]
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Whether the connection ends with this answer.
    #[inline]
    pub const fn closes(&self) -> bool {
        self.close
    }

    /// The media type, unless it is among the fields.
    #[inline]
    pub const fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }

    /// The fields, without those of the framing.
    #[inline]
    pub const fn fields(&self) -> &Fields {
        &self.fields
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

    /// The body.
    #[inline]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// The bytes of an [`Body::Arena`] body.
    #[inline]
    pub fn arena_bytes(&self) -> &[u8] {
        &self.arena
    }

    /// The length of the body in bytes, if it is known.
    #[inline]
    pub fn length(&self) -> Option<u64> {
        self.body.length(self.arena.len())
    }

    /// Takes the body out, for the protocol that sends it. An arena becomes shared bytes.
    #[inline]
    pub fn take_body(&mut self) -> Body {
        match std::mem::take(&mut self.body) {
            Body::Arena => Body::Shared(Bytes::copy_from_slice(&self.arena)),
            body => body,
        }
    }

    /// Back to an empty 200; keeps the memory, and what is held.
    #[inline]
    pub fn renew(&mut self) {
        let holds = self.take_holds();
        self.reset();
        self.holds = holds;
    }

    /// Back to an empty 200; keeps the memory.
    #[inline]
    pub fn reset(&mut self) {
        self.status = StatusCode::OK;
        self.reason = None;
        self.close = false;
        self.has_date = false;
        self.has_server = false;
        self.content_type = None;
        self.fields.clear();
        self.arena.clear();
        if self.arena.capacity() > ARENA_BYTES_KEPT {
            self.arena = Vec::new();
        }
        self.clear_body();
        if !self.holds.is_empty() {
            self.holds = Holds::NONE;
        }
    }

    /// Keeps `hold` until the exchange is over, whatever becomes of the answer.
    pub fn hold(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    /// Whether something of this owner's is held.
    pub fn holds_of(&self, owner: &dyn Release) -> bool {
        self.holds.has_of(owner)
    }

    /// What is held: now whoever takes it keeps it.
    #[inline]
    pub fn take_holds(&mut self) -> Holds {
        std::mem::take(&mut self.holds)
    }

    /// Gives back what [`Response::take_holds`] took.
    #[inline]
    pub fn give_holds(&mut self, holds: Holds) {
        if !holds.is_empty() {
            self.holds.append(holds);
        }
    }

    /// No body. What holds no memory of its own is forgotten instead of dropped: the drop of a large enum
    /// is a call, and there were three a request.
    #[inline]
    fn clear_body(&mut self) {
        let body = std::mem::replace(&mut self.body, Body::Empty);
        if matches!(body, Body::Empty | Body::Static(_) | Body::Arena) {
            std::mem::forget(body);
        }
    }

    /// Becomes `other`; keeps the memory where `other` brings none.
    #[inline]
    pub fn replace(&mut self, other: Self) {
        self.status = other.status;
        self.reason = other.reason;
        self.close = other.close;
        self.has_date = other.has_date;
        self.has_server = other.has_server;
        self.content_type = other.content_type;
        if other.fields.is_empty() {
            self.fields.clear();
        } else {
            self.fields = other.fields;
        }
        if matches!(other.body, Body::Arena) {
            self.arena = other.arena;
        }
        self.body = other.body;
        if !other.holds.is_empty() {
            self.holds.append(other.holds);
        }
    }

    /// A copy, if the body can be had twice: every one but a [`Source`].
    pub fn try_clone(&self) -> Option<Self> {
        let mut copy = Self::new(self.status);
        copy.copy_from(self).then_some(copy)
    }

    /// Becomes a copy of `other`, reusing memory; false (and nothing changed) if its body is a [`Source`].
    pub fn copy_from(&mut self, other: &Self) -> bool {
        let body = match &other.body {
            Body::Empty => Body::Empty,
            Body::Static(bytes) => Body::Static(bytes),
            Body::Shared(bytes) => Body::Shared(bytes.clone()),
            Body::Arena => Body::Arena,
            Body::File { file, offset, length } => {
                Body::File { file: file.clone(), offset: *offset, length: *length }
            }
            Body::Source(_) => return false,
        };
        self.status = other.status;
        self.reason = other.reason;
        self.close = other.close;
        self.has_date = other.has_date;
        self.has_server = other.has_server;
        self.content_type = other.content_type;
        self.fields.clone_from(&other.fields);
        self.arena.clone_from(&other.arena);
        self.body = body;
        true
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new(StatusCode::OK)
    }
}

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

impl From<&'static str> for Response {
    fn from(text: &'static str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Response {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Bytes> for Response {
    fn from(bytes: Bytes) -> Self {
        Self::typed("application/octet-stream", Body::Shared(bytes))
    }
}

impl From<Reason> for Response {
    fn from(reason: Reason) -> Self {
        Self::refusal(reason)
    }
}

impl<B: Into<Body>> From<(StatusCode, B)> for Response {
    fn from((status, body): (StatusCode, B)) -> Self {
        Self::text(body).with_status(status)
    }
}

impl<T: Into<Self>, E: Into<Self>> From<Result<T, E>> for Response {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(answer) => answer.into(),
            Err(answer) => answer.into(),
        }
    }
}

impl<B: Into<Body>> From<::http::Response<B>> for Response {
    fn from(other: ::http::Response<B>) -> Self {
        let (parts, body) = other.into_parts();
        let mut response = Self::new(parts.status).with_body(body);
        for (name, value) in &parts.headers {
            response.append(name, value);
        }
        response
    }
}

fn status_of(reason: Reason) -> StatusCode {
    StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_fields_are_not_taken() {
        let response = Response::text("x")
            .with_header(header::CONTENT_LENGTH, HeaderValue::from_static("9"))
            .with_header(header::TRANSFER_ENCODING, HeaderValue::from_static("gzip"))
            .with_header(header::CONNECTION, HeaderValue::from_static("close"));
        assert!(response.fields().is_empty());
        assert_eq!(response.length(), Some(1));
    }

    #[test]
    fn one_content_type_at_most() {
        let mut response = Response::text("x");
        response.append(&header::CONTENT_TYPE, &HeaderValue::from_static("a/b"));
        response.append(&header::CONTENT_TYPE, &HeaderValue::from_static("c/d"));
        assert_eq!(response.content_type(), None);
        assert_eq!(response.fields().block(), b"Content-Type: c/d\r\n");
        response.set_content_type("e/f");
        assert!(response.fields().is_empty());
    }

    #[test]
    fn a_refusal_names_its_reason() {
        let response = Response::refusal(Reason::BareLf);
        assert_eq!(response.status(), 400);
        assert!(response.closes());
        assert_eq!(
            response.arena_bytes(),
            b"400 Bad Request: a line ends with LF alone where the head began with CR LF (parse.bare_lf)\n"
        );
        assert!(!Response::refusal(Reason::NotFound).closes());
    }

    #[test]
    fn reuse_keeps_nothing_but_memory() {
        let mut response = Response::refusal(Reason::BareLf);
        response.append(&header::ALLOW, &HeaderValue::from_static("GET"));
        response.reset();
        assert!(response.fields().is_empty() && response.reason().is_none() && !response.closes());
        response.replace(Response::text("hi"));
        assert_eq!(response.length(), Some(2));
    }
}
