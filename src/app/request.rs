//! [`Request`]: what a handler sees, borrowed from the worker's buffers; [`Origin`]: where it came from.
//!
//! Nothing is copied or parsed before a handler asks for it. RFC 9110 §6, §7.1, §7.2.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::attributes::{Attributes, OwnedAttributes};
use super::handler::Outcome;
use super::limits::RateNote;
use super::owned::{OwnedOrigin, OwnedRequest};
use super::pattern::Pattern;
use super::pool::BlockingPool;
use super::reply::{Mail, Recall, Reply, Wakeup};
use super::router::Params;
use super::trust::{Asker, Told, Trust};
use super::visitor::Visitor;
use crate::base::{Certificate, Post, Tick};
use crate::http::{ExchangeId, Head, Method, Path, Timeline, Version, query};

/// A request, borrowed for the time of the call.
///
/// ```
/// use kolk::{App, Request};
///
/// let app = App::new().get("/books/{id}", |request: &Request<'_>| {
///     format!(
///         "{} {} of {}: book {}, page {}",
///         request.method(),
///         request.path(),
///         request.host().unwrap_or("nowhere"),
///         request.param("id").unwrap_or("?"),
///         request.query_param("page").unwrap_or("1".into()),
///     )
/// });
/// let request = http::Request::get("http://example.org:8080/books/7?page=%32").body("").unwrap();
/// assert_eq!(app.oneshot(request).body(), "GET /books/7 of example.org: book 7, page 2");
/// ```
pub struct Request<'a> {
    pub(super) head: Head<'a>,
    pub(super) path: Path<'a>,
    pub(super) pattern: &'a Arc<Pattern>,
    pub(super) params: &'a Params,
    pub(super) body: &'a [u8],
    pub(super) trailer: Option<Head<'a>>,
    pub(super) origin: Place<'a>,
}

/// Where a request came from, and how its answer gets back.
pub struct Origin<'a> {
    /// The return address.
    pub exchange: ExchangeId,
    /// The mailbox of the worker.
    pub post: &'a Post<Mail>,
    /// The threads that may block.
    pub pool: &'a Arc<BlockingPool>,
    /// The number of the worker, from 0.
    pub worker: usize,
    /// The number of the connection: that of the worker in the upper half, its place among the worker's
    /// connections in the lower.
    pub connection_number: u64,
    /// The number of the request on its connection, from 1.
    pub request_number: u32,
    /// When the turn began in which the handler is called.
    pub now: Tick,
    /// The second that the answer's `Date` names, counted from 1970.
    pub unix_seconds: u64,
    /// When the request passed through the stages so far.
    pub timeline: Timeline,
    /// The client; asked only when a handler asks.
    pub peer: &'a dyn Visitor,
    /// Which proxies are believed about their clients.
    pub trust: Option<&'a Trust>,
    /// What layers and the handler have found out about the request, or find out now.
    pub attributes: &'a Attributes,
}

/// An [`Origin`], or the copy of one.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Live(&'a Origin<'a>),
    Owned(&'a OwnedOrigin),
}

/// The same field of either kind of place.
macro_rules! at {
    ($place:expr, $field:ident) => {
        match $place {
            Place::Live(origin) => &origin.$field,
            Place::Owned(origin) => &origin.$field,
        }
    };
}

impl<'a> Request<'a> {
    /// The request with this head that was routed to the route with `pattern`.
    ///
    /// `path` is the normalised path that `params` point into.
    #[inline]
    pub fn new(
        head: Head<'a>,
        path: Path<'a>,
        pattern: &'a Arc<Pattern>,
        params: &'a Params,
        body: &'a [u8],
        trailer: Option<Head<'a>>,
        origin: &'a Origin<'a>,
    ) -> Self {
        Self { head, path, pattern, params, body, trailer, origin: Place::Live(origin) }
    }

    /// The method.
    pub fn method(&self) -> ::http::Method {
        match self.head.method() {
            Method::Get => ::http::Method::GET,
            Method::Head => ::http::Method::HEAD,
            Method::Post => ::http::Method::POST,
            Method::Put => ::http::Method::PUT,
            Method::Delete => ::http::Method::DELETE,
            Method::Patch => ::http::Method::PATCH,
            Method::Options => ::http::Method::OPTIONS,
            Method::Connect => ::http::Method::CONNECT,
            Method::Trace => ::http::Method::TRACE,
            // Never fails: the parser has made sure that the name is a token.
            Method::Extension => {
                ::http::Method::from_bytes(self.method_name().as_bytes()).unwrap_or_default()
            }
        }
    }

    /// The name of the method.
    pub fn method_name(&self) -> &'a str {
        self.head.method_name()
    }

    /// The version of HTTP that carried the request.
    #[inline]
    pub const fn version(&self) -> Version {
        self.head.version()
    }

    /// The normalised path: decoded, except `%2F` and `%25`; without dot segments and empty segments.
    /// Empty for `OPTIONS *`.
    #[inline]
    pub fn path(&self) -> &'a str {
        self.path.as_str()
    }

    /// The bytes of the normalised path, which are UTF-8.
    #[inline]
    pub const fn path_bytes(&self) -> &'a [u8] {
        self.path.as_bytes()
    }

    /// The request target as it was sent.
    pub fn target(&self) -> &'a str {
        std::str::from_utf8(self.head.target_bytes()).unwrap_or_default()
    }

    /// What stands behind the `?`, as it was sent.
    pub fn query(&self) -> Option<&'a str> {
        self.head.target().query
    }

    /// The first value of `name` in the query, decoded as forms are (`+` is a space). What is not
    /// UTF-8 is replaced.
    pub fn query_param(&self, name: &str) -> Option<Cow<'a, str>> {
        query::value_of(self.query()?, name)
    }

    /// Host and port that the client asked for: of an absolute target, else of `Host` (RFC 9112 §3.2.2).
    pub fn authority(&self) -> Option<&'a str> {
        self.head.authority()
    }

    /// The host that the client asked for: [`Request::authority`] without the port.
    pub fn host(&self) -> Option<&'a str> {
        self.head.host()
    }

    /// The part of the path that `{name}` or `{*name}` in the route's pattern matched.
    #[inline]
    pub fn param(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.param_bytes(name)?).ok()
    }

    /// The same as bytes, for whoever does not need to know that they are UTF-8.
    #[inline]
    pub fn param_bytes(&self, name: &str) -> Option<&'a [u8]> {
        let place = self.pattern.names().iter().position(|known| known == name)?;
        let span = self.params.get(place)?;
        self.path.as_bytes().get(span.start()..span.end())
    }

    /// The part of the path that `{*…}` at the end of the route's pattern matched, whatever it is called.
    #[inline]
    pub fn rest_bytes(&self) -> Option<&'a [u8]> {
        let place = self.pattern.rest_place()?;
        let span = self.params.get(place)?;
        self.path.as_bytes().get(span.start()..span.end())
    }

    /// The names of the parameters of the route's pattern.
    pub(super) fn route_names(&self) -> &'a [String] {
        self.pattern.names()
    }

    /// The normalised path, as the router sees it.
    pub(super) const fn path_in_place(&self) -> Path<'a> {
        self.path
    }

    /// The pattern of the route.
    pub fn route(&self) -> &'a str {
        self.pattern.text()
    }

    /// The first value of the field `name`, in any case; `None` also if it is not visible UTF-8.
    #[inline]
    pub fn header(&self, name: impl AsRef<str>) -> Option<&'a str> {
        visible(self.header_bytes(name)?)
    }

    /// The first value of the field `name`, in any case.
    #[inline]
    pub fn header_bytes(&self, name: impl AsRef<str>) -> Option<&'a [u8]> {
        self.head.field(name.as_ref())
    }

    /// All fields in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.head.fields()
    }

    /// All fields in a map of the `http` crate: a copy.
    pub fn header_map(&self) -> HeaderMap {
        let typed = |(name, value): (&str, &[u8])| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        let mut map = HeaderMap::with_capacity(self.head.table().len());
        for (name, value) in self.headers().filter_map(typed) {
            map.append(name, value);
        }
        map
    }

    /// The head.
    #[inline]
    pub const fn head(&self) -> &Head<'a> {
        &self.head
    }

    /// The body. Empty in a handler that is called before it has arrived.
    #[inline]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The first value of the trailer field `name`; `None` also if it is not visible UTF-8.
    pub fn trailer(&self, name: impl AsRef<str>) -> Option<&'a str> {
        visible(self.trailer.as_ref()?.field(name.as_ref())?)
    }

    /// The address at the other end of the connection, which may be a proxy's; `None` if it came through a
    /// socket of the file system. See [`Request::client_address`].
    pub fn peer(&self) -> Option<SocketAddr> {
        match self.origin {
            Place::Live(origin) => origin.peer.address(),
            Place::Owned(origin) => origin.peer,
        }
    }

    /// The address of the client: what proxies have told that the server [trusts](super::Trust), else that of
    /// [`Request::peer`]. One address for logs, limits and lists.
    pub fn client_address(&self) -> Option<IpAddr> {
        self.told().address
    }

    /// Whether a proxy that the server [trusts](super::Trust) asks for a client and does not say which, or
    /// not so that it can be read: then [`Request::client_address`] is that of the proxy. Whoever lets in
    /// some addresses alone does not let in this one, as [`Networks`](super::Networks).
    pub fn is_client_hidden(&self) -> bool {
        self.told().is_hidden
    }

    /// `https` if the connection is encrypted, else `http`: what the client has used, whatever it says.
    /// Behind a proxy that the server [trusts](super::Trust): what that has told.
    ///
    /// ```
    /// use kolk::{App, Request};
    ///
    /// let app = App::new().get("/", |request: &Request<'_>| {
    ///     format!("{}://{}{}", request.scheme(), request.authority().unwrap_or("?"), request.path())
    /// });
    /// let request = http::Request::get("https://example.org/").body("").unwrap();
    /// assert_eq!(app.oneshot(request).body(), "https://example.org/");
    /// ```
    pub fn scheme(&self) -> &'static str {
        if self.told().is_https.unwrap_or_else(|| self.is_encrypted()) { "https" } else { "http" }
    }

    /// The certificate that the client has shown, if the server asks for one (`Tls::client_auth`): it is
    /// of an authority that the server trusts, and was valid when the client first connected.
    pub fn client_certificate(&self) -> Option<Arc<Certificate>> {
        match self.origin {
            Place::Live(origin) => origin.peer.certificate(),
            Place::Owned(origin) => origin.certificate.clone(),
        }
    }

    /// What is known of the client.
    pub(super) fn told(&self) -> Told {
        match self.origin {
            Place::Live(origin) => Asker { peer: origin.peer, trust: origin.trust }.told(&self.head),
            Place::Owned(origin) => origin.told,
        }
    }

    /// Who the client has proved to be to a layer before this: the user of a [`BasicAuth`](super::BasicAuth),
    /// the name of a token, the subject of a certificate. It stands in the access log, too.
    ///
    /// ```
    /// use kolk::{App, BasicAuth, Request};
    ///
    /// let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    /// let auth = BasicAuth::new("the archive").user("ada", hash)?;
    /// let hello = |request: &Request<'_>| format!("hello, {}", request.user().unwrap_or("stranger"));
    /// let app = App::new().get("/", hello).get("/in", auth.guard(hello));
    ///
    /// let get = |path| http::Request::get(path).header("authorization", "Basic YWRhOkhlbGxvIHdvcmxkIQ==");
    /// assert_eq!(app.oneshot(get("/in").body("").unwrap()).body(), "hello, ada");
    /// assert_eq!(app.oneshot(get("/").body("").unwrap()).body(), "hello, stranger");
    /// # Ok::<(), kolk::app::UserError>(())
    /// ```
    pub fn user(&self) -> Option<&str> {
        let user = match self.origin {
            Place::Live(origin) => origin.attributes.user(),
            Place::Owned(origin) => origin.attributes.user(),
        };
        user.map(|user| &**user)
    }

    /// For a layer that knows now who the client is: [`Request::user`] says so from here on. The first layer
    /// that says so is believed; a copy of a request cannot be told.
    pub fn identify(&self, user: &Arc<str>) {
        if let Place::Live(origin) = self.origin {
            origin.attributes.identify(user);
        }
    }

    /// For a rate that does not simply let it pass: the log says so. Of several, what weighs the most.
    pub(super) fn note_rate(&self, note: &Arc<RateNote>) {
        if let Place::Live(origin) = self.origin {
            origin.attributes.note_rate(note);
        }
    }

    /// Which rate has not simply let it pass.
    pub(super) fn noted_rate(&self) -> Option<Arc<RateNote>> {
        let Place::Live(origin) = self.origin else { return None };
        origin.attributes.rate()
    }

    /// For a copy of the request.
    pub(super) fn owned_attributes(&self) -> OwnedAttributes {
        match self.origin {
            Place::Live(origin) => origin.attributes.to_owned(),
            Place::Owned(origin) => origin.attributes.clone(),
        }
    }

    /// Whether the other end of the connection is a proxy that the server believes.
    pub(super) fn comes_from_trusted_proxy(&self) -> bool {
        match self.origin {
            Place::Live(origin) => origin.trust.is_some_and(|trust| trust.trusts_visitor(origin.peer)),
            Place::Owned(_) => false,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.origin, Place::Live(origin) if origin.peer.is_gone())
    }

    pub(super) fn is_encrypted(&self) -> bool {
        match self.origin {
            Place::Live(origin) => origin.peer.is_encrypted(),
            Place::Owned(origin) => origin.is_encrypted,
        }
    }

    /// The number of the connection among all that the server has accepted: that of the worker in the upper
    /// 32 bits, the place among the worker's connections in the lower.
    pub const fn connection_number(&self) -> u64 {
        *at!(self.origin, connection_number)
    }

    /// The number of this request on its connection: 1 for the first.
    pub const fn request_number(&self) -> u32 {
        *at!(self.origin, request_number)
    }

    /// The number of the worker that serves the connection, from 0.
    pub const fn worker(&self) -> usize {
        *at!(self.origin, worker)
    }

    /// When the loop last looked at the clock: the present, for whoever remembers things for a while.
    pub const fn now(&self) -> Tick {
        *at!(self.origin, now)
    }

    /// The second that the answer's `Date` names, counted from 1970.
    pub const fn unix_seconds(&self) -> u64 {
        *at!(self.origin, unix_seconds)
    }

    /// When the request passed through the stages so far, if its route is
    /// [timed](super::HandlerExt::timed).
    pub const fn timeline(&self) -> &'a Timeline {
        at!(self.origin, timeline)
    }

    /// The return address of the answer.
    #[inline]
    pub const fn exchange(&self) -> ExchangeId {
        *at!(self.origin, exchange)
    }

    /// Puts the answer off: return the outcome, and send the reply when there is an answer.
    ///
    /// ```
    /// use kolk::{App, Handler, Outcome, Request, Response};
    ///
    /// struct Later;
    ///
    /// impl Handler for Later {
    ///     fn handle(&self, request: &Request<'_>, _: &mut Response) -> Outcome {
    ///         let (reply, outcome) = request.defer();
    ///         std::thread::spawn(move || reply.send("at last\n"));
    ///         outcome
    ///     }
    /// }
    ///
    /// let app = App::new().get("/", Later);
    /// assert_eq!(app.oneshot(http::Request::get("/").body("").unwrap()).body(), "at last\n");
    /// ```
    pub fn defer(&self) -> (Reply, Outcome) {
        let (reply, ticket) = Reply::new(self.exchange(), self.post());
        (reply, Outcome::Deferred(ticket))
    }

    /// Has the handler called again later, with the same request: return the outcome, and use the
    /// [`Recall`] when there is what the handler needs. For what must be found out elsewhere before this
    /// thread can decide.
    ///
    /// ```
    /// use std::sync::{Arc, OnceLock};
    /// use kolk::{App, Handler, Outcome, Request, Response};
    ///
    /// #[derive(Default)]
    /// struct Greeting(Arc<OnceLock<String>>);
    ///
    /// impl Handler for Greeting {
    ///     fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
    ///         if let Some(text) = self.0.get() {
    ///             response.replace(Response::text(text.clone()));
    ///             return Outcome::Ready;
    ///         }
    ///         let (recall, outcome) = request.suspend();
    ///         let text = Arc::clone(&self.0);
    ///         std::thread::spawn(move || {
    ///             text.get_or_init(|| String::from("hello\n"));
    ///             recall.call();
    ///         });
    ///         outcome
    ///     }
    /// }
    ///
    /// let app = App::new().get("/", Greeting::default());
    /// assert_eq!(app.oneshot(http::Request::get("/").body("").unwrap()).body(), "hello\n");
    /// ```
    pub fn suspend(&self) -> (Recall, Outcome) {
        let (reply, ticket) = Reply::new(self.exchange(), self.post());
        (Recall::new(reply), Outcome::Again(ticket))
    }

    /// Wakes the [`Source`](crate::http::Source) or [`Sink`](super::Sink) of this exchange.
    pub fn wakeup(&self) -> Wakeup {
        Wakeup::new(self.exchange(), self.post().clone())
    }

    /// A copy that other threads can have.
    pub fn to_owned_request(&self) -> OwnedRequest {
        OwnedRequest::new(self)
    }

    /// The same request with `body` as its body.
    pub(super) fn with_body<'b>(&'b self, body: &'b [u8]) -> Request<'b> {
        Request {
            head: self.head,
            path: self.path,
            pattern: self.pattern,
            params: self.params,
            body,
            trailer: self.trailer,
            origin: self.origin,
        }
    }

    pub(super) fn post(&self) -> &'a Post<Mail> {
        match self.origin {
            Place::Live(origin) => origin.post,
            Place::Owned(origin) => &origin.post,
        }
    }

    pub(super) fn pool(&self) -> &'a Arc<BlockingPool> {
        match self.origin {
            Place::Live(origin) => origin.pool,
            Place::Owned(origin) => &origin.pool,
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &self.head)
            .field("path", &self.path)
            .field("route", &self.route())
            .field("body", &self.body.len())
            .field("exchange", &self.exchange())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("exchange", &self.exchange)
            .field("worker", &self.worker)
            .field("connection_number", &self.connection_number)
            .field("request_number", &self.request_number)
            .finish_non_exhaustive()
    }
}

/// A field value as text, unless it has control characters or is not UTF-8.
fn visible(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    (!text.contains(|c: char| c.is_control() && c != '\t')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_text_is_text() {
        assert_eq!(visible(b"a\tb \xC3\xA9"), Some("a\tb \u{e9}"));
        for bad in [&b"\xFF"[..], b"a\x01", b"\x7F", b"\xC2\x80"] {
            assert_eq!(visible(bad), None);
        }
    }
}
