//! [`Cors`]: which pages of other origins may read answers. The CORS protocol of the Fetch standard,
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>; RFC 6454 §7.
//!
//! ```text
//!  OPTIONS, Origin, Access-Control-Request-Method ─► preflight: 204, what may be sent
//!  anything else ─────────────────────────────────► the handler, and who may read its answer
//! ```
//! A preflight comes to the route for OPTIONS, else to the layers of the one that it is about. A browser asks
//! before it sends what a plain form could not, and shows a page only what its origin may read. Nobody else
//! is kept from anything: this is no protection of the server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode, header};

use super::adapters::IntoHandler;
use super::layer::{Layer, Layered, Passage};
use super::request::Request;
use crate::http::{Head, Known, Method, Response};

/// How long a browser may remember the answer to a preflight, in seconds, where nothing is said.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("7200");
/// Longer lists of fields are not repeated to who asks for them, in bytes.
const FIELDS_BYTES_MAX: usize = 1024;

/// Which origins may read answers.
///
/// Answers preflights for whatever it stands around, also where the handler gets GET alone; outermost, since
/// browsers send those without a password.
///
/// ```
/// use kolk::{App, Cors, Request};
///
/// let cors = Cors::origins(["https://app.example"])?;
/// let app = App::new().get("/", cors.wrap(|_: &Request<'_>| "readable"));
///
/// let request = http::Request::get("/").header("origin", "https://app.example");
/// let answer = app.oneshot(request.body("").unwrap());
/// assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example");
///
/// let preflight = http::Request::options("/")
///     .header("origin", "https://app.example")
///     .header("access-control-request-method", "GET")
///     .header("access-control-request-headers", "x-token");
/// assert_eq!(app.oneshot(preflight.body("").unwrap()).status(), 204);
/// # Ok::<(), kolk::app::OriginError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    /// None: every one.
    origins: Option<Arc<Origins>>,
    credentials: bool,
    methods: HeaderValue,
    exposed: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// The origins that are let in.
#[derive(Debug, Default)]
struct Origins {
    exact: HashSet<Box<[u8]>>,
    below: Vec<Below>,
}

/// The origins of all hosts below one.
#[derive(Debug)]
struct Below {
    /// With its `://`.
    scheme: Box<[u8]>,
    /// How the rest ends: `.example.com:8443`.
    end: Box<[u8]>,
}

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError(String);

impl Cors {
    /// Pages of every origin, without the user's credentials.
    pub const fn any() -> Self {
        Self {
            origins: None,
            credentials: false,
            methods: HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"),
            exposed: None,
            max_age: MAX_AGE_SECONDS,
        }
    }

    /// Pages of these origins, written as browsers do: `https://app.example`, `http://localhost:3000`; a `*.`
    /// stands for one label or more: `https://*.example.com` is every host below `example.com`, not itself.
    ///
    /// # Errors
    /// For what is no origin: one has a scheme, a host, a port if it is not the usual one, and no path.
    pub fn origins<I>(origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut all = Origins::default();
        for origin in origins {
            all.add(origin.as_ref())?;
        }
        Ok(Self { origins: Some(Arc::new(all)), ..Self::any() })
    }

    /// Also requests with cookies and passwords; default: no. Of no effect with [`Cors::any`], for a browser
    /// would let every page on the web read what only its user may.
    #[must_use]
    pub const fn credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// The methods that pages may use; default: all common ones.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = ::http::Method>) -> Self {
        let methods: Vec<_> = methods.into_iter().map(|method| method.as_str().to_owned()).collect();
        if let Ok(list) = HeaderValue::try_from(methods.join(", ")) {
            self.methods = list;
        }
        self
    }

    /// The fields of answers that pages may read besides those that they always may (`Content-Type` and a few
    /// more); default: none.
    #[must_use]
    pub fn expose(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let names: Vec<_> = names.into_iter().map(|name| name.as_str().to_owned()).collect();
        self.exposed = HeaderValue::try_from(names.join(", ")).ok().filter(|_| !names.is_empty());
        self
    }

    /// How long browsers may remember what a preflight was told, in whole seconds; default: two hours, and
    /// browsers have limits of their own. 0 for not at all.
    #[must_use]
    pub fn max_age(mut self, time: Duration) -> Self {
        self.max_age = HeaderValue::from(time.as_secs());
        self
    }

    /// `handler`, whose answers these origins may read.
    pub fn wrap<H: IntoHandler>(&self, handler: H) -> Layered<H::Handler> {
        Layered::before(handler.into_handler(), self.clone())
    }

    /// Says who may read the answer to `request`.
    fn fields(&self, request: &Request<'_>, response: &mut Response) {
        if self.settle(response) {
            return;
        }
        // Caches must not give one origin's answer to another, nor one without to who has one.
        response.append(&header::VARY, &HeaderValue::from_static("Origin"));
        let origin = request.head().known(Known::Origin).filter(|_| self.allows(request));
        let Some(origin) = origin.and_then(|origin| HeaderValue::from_bytes(origin).ok()) else { return };
        response.append(&header::ACCESS_CONTROL_ALLOW_ORIGIN, &origin);
        if self.credentials {
            response.append(&header::ACCESS_CONTROL_ALLOW_CREDENTIALS, &HeaderValue::from_static("true"));
        }
        self.expose_in(response);
    }

    fn expose_in(&self, response: &mut Response) {
        if let Some(names) = &self.exposed {
            response.append(&header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }

    /// Whether the page may read answers.
    fn allows(&self, request: &Request<'_>) -> bool {
        let origin = request.head().known(Known::Origin);
        self.origins.as_ref().is_none_or(|origins| origin.is_some_and(|origin| origins.have(origin)))
    }

    /// What pages may send; who may read is said of every answer. Never stored by caches on the
    /// way: OPTIONS is not (RFC 9110 §9.3.7).
    fn preflight(&self, request: &Request<'_>, response: &mut Response) {
        response.set_status(StatusCode::NO_CONTENT);
        if !self.allows(request) {
            return;
        }
        response.append(&header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
        response.append(&header::ACCESS_CONTROL_MAX_AGE, &self.max_age);
        // All that are asked for: a list, since `*` would not stand for `Authorization`.
        let wanted =
            request.header_bytes(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|list| is_list(list));
        if let Some(list) = wanted.and_then(|list| HeaderValue::from_bytes(list).ok()) {
            response.append(&header::ACCESS_CONTROL_ALLOW_HEADERS, &list);
        }
    }
}

impl Layer for Cors {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        if request.head().method() != Method::Options || preflighted(request.head()).is_none() {
            return Passage::Open;
        }
        self.preflight(request, response);
        Passage::answered()
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        self.fields(request, response);
    }

    fn settle(&self, response: &mut Response) -> bool {
        if self.origins.is_none() {
            response.append(&header::ACCESS_CONTROL_ALLOW_ORIGIN, &HeaderValue::from_static("*"));
            self.expose_in(response);
        }
        self.origins.is_none()
    }

    fn name(&self) -> &'static str {
        "cors"
    }

    fn explain(&self) -> String {
        let Some(origins) = &self.origins else { return "pages of any origin".to_owned() };
        let exact = origins.exact.iter().map(|origin| origin.escape_ascii().to_string());
        let below = origins.below.iter();
        let below = below.map(|all| format!("{}*{}", all.scheme.escape_ascii(), all.end.escape_ascii()));
        let mut origins: Vec<_> = exact.chain(below).collect();
        origins.sort_unstable();
        format!("pages of {}", origins.join(", "))
    }
}

impl Origins {
    /// Adds what `text` says.
    fn add(&mut self, text: &str) -> Result<(), OriginError> {
        match text.split_once("://*.") {
            Some((scheme, rest)) => {
                // With something in the place of the star it is an origin.
                let origin = origin_of(&format!("{scheme}://{rest}")).map_err(|_| wrong(text))?;
                let host = origin.windows(3).position(|three| three == b"://").map_or(0, |at| at + 3);
                let (scheme, host) = origin.split_at(host);
                if host.starts_with(b"[") || host.starts_with(b".") {
                    return Err(wrong(text));
                }
                self.below.push(Below { scheme: scheme.into(), end: [b".", host].concat().into() });
            }
            None => drop(self.exact.insert(origin_of(text)?)),
        }
        Ok(())
    }

    /// Whether `origin`, which a browser has written, is one of them.
    fn have(&self, origin: &[u8]) -> bool {
        let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        self.exact.contains(origin)
            || self.below.iter().any(|all| {
                let rest = origin.strip_prefix(&*all.scheme);
                let labels = rest.and_then(|rest| rest.strip_suffix(&*all.end));
                labels.is_some_and(|labels| {
                    !labels.is_empty() && !labels.starts_with(b".") && labels.iter().all(is_label)
                })
            })
    }
}

fn wrong(text: &str) -> OriginError {
    OriginError(text.to_owned())
}

/// The method that a page wants to send, if this head of an OPTIONS request asks for it.
pub(super) fn preflighted<'h>(head: &Head<'h>) -> Option<&'h [u8]> {
    head.field(header::ACCESS_CONTROL_REQUEST_METHOD.as_str())
}

/// The origin that `text` is, as browsers write it.
fn origin_of(text: &str) -> Result<Box<[u8]>, OriginError> {
    let lower = text.to_ascii_lowercase();
    let is_host = |host: &str| {
        let name = host.find(']').map_or(0, |at| at + 1);
        let port = host[name..].split_once(':').map(|(_, port)| port);
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte))
            && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            && port.is_none_or(|port| port.parse::<u16>().is_ok())
    };
    match lower.split_once("://") {
        Some((scheme, host))
            if !scheme.is_empty()
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && is_host(host) =>
        {
            let usual = [("http", ":80"), ("https", ":443")];
            let port = usual.iter().find(|(of, port)| *of == scheme && host.ends_with(port));
            let host = port.map_or(host, |(_, port)| host.strip_suffix(port).unwrap_or(host));
            Ok(format!("{scheme}://{host}").into_bytes().into())
        }
        _ => Err(wrong(text)),
    }
}

/// A list of field names, not too long.
fn is_list(list: &[u8]) -> bool {
    list.len() <= FIELDS_BYTES_MAX
        && list.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(byte))
}

impl std::fmt::Display for OriginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is no origin: write scheme, host and port, as in https://app.example:8443", self.0)
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::app::{App, BasicAuth, HandlerExt, Predicate};

    type Answer = ::http::Response<Bytes>;

    fn send(app: &App, method: &str, fields: &[(&str, &str)]) -> Answer {
        let request = ::http::Request::builder().method(method).uri("/");
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        app.oneshot(request.body("").unwrap())
    }

    fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn allowed(answer: &Answer) -> [Option<&str>; 3] {
        ["access-control-allow-origin", "vary", "access-control-allow-credentials"]
            .map(|name| field(answer, name))
    }

    const PAGE: (&str, &str) = ("origin", "https://app.example");

    #[test]
    fn every_origin_may_read_what_it_could_read_itself() {
        let app = App::new().any("/", Cors::any().credentials().wrap(Response::text("text")));
        assert_eq!(allowed(&send(&app, "GET", &[PAGE])), [Some("*"), None, None]);
        assert_eq!(allowed(&send(&app, "GET", &[])), [Some("*"), None, None]);
        assert_eq!(send(&app, "GET", &[]).body(), "text");
    }

    #[test]
    fn only_the_named_origins_may_read() {
        let origins = ["HTTPS://App.Example:443", "http://[::1]:3000"];
        let app = App::new().any("/", Cors::origins(origins).unwrap().wrap(Response::text("text")));
        let name = Some("https://app.example");
        assert_eq!(allowed(&send(&app, "GET", &[PAGE])), [name, Some("Origin"), None]);
        for fields in [&[][..], &[("origin", "https://evil.example")], &[("origin", "null")]] {
            let answer = send(&app, "GET", fields);
            assert_eq!(allowed(&answer), [None, Some("Origin"), None], "{fields:?}");
            assert_eq!(answer.body(), "text", "the server serves all the same");
        }
        let cors = Cors::origins(["https://app.example"]).unwrap().credentials();
        let app = App::new().any("/", cors.wrap(Response::text("text")));
        assert_eq!(allowed(&send(&app, "GET", &[PAGE])), [name, Some("Origin"), Some("true")]);
        let evil = send(&app, "GET", &[("origin", "https://app.example.evil")]);
        assert_eq!(allowed(&evil), [None, Some("Origin"), None]);
    }

    #[test]
    fn a_star_stands_for_one_label_or_more() {
        let cors = Cors::origins(["HTTPS://*.Example.com:443", "http://*.local:3000"]).unwrap();
        let told = "pages of http://*.local:3000, https://*.example.com";
        assert_eq!(cors.explain(), told);
        let app = App::new().any("/", cors.wrap(Response::text("text")));
        for (origin, may_read) in [
            ("https://app.example.com", true),
            ("https://a.b.example.com", true),
            ("http://x.local:3000", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("https://evilexample.com", false),
            ("https://app.example.com.evil", false),
            ("https://evil.test/.example.com", false),
            ("https://evil:1.example.com", false),
            ("https://u@app.example.com", false),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("http://x.local", false),
            ("null", false),
        ] {
            let answer = send(&app, "GET", &[("origin", origin)]);
            assert_eq!(allowed(&answer), [may_read.then_some(origin), Some("Origin"), None], "{origin}");
        }
    }

    #[test]
    fn pages_are_told_which_fields_they_may_read_and_how_long_that_holds() {
        let names = [header::ETAG, HeaderName::from_static("x-total")];
        let preflight = [PAGE, ("access-control-request-method", "GET")];
        for cors in [Cors::any(), Cors::origins([PAGE.1]).unwrap()] {
            let cors = cors.expose(names.clone()).max_age(Duration::from_secs(60));
            let app = App::new().any("/", cors.wrap(Response::text("text")));
            let exposed =
                field(&send(&app, "GET", &[PAGE]), "access-control-expose-headers").map(str::to_owned);
            assert_eq!(exposed.as_deref(), Some("etag, x-total"));
            assert_eq!(field(&send(&app, "OPTIONS", &preflight), "access-control-max-age"), Some("60"));
        }
        let app =
            App::new().any("/", Cors::origins([PAGE.1]).unwrap().expose(names).wrap(Response::text("")));
        let elsewhere = send(&app, "GET", &[("origin", "https://evil.example")]);
        assert_eq!(field(&elsewhere, "access-control-expose-headers"), None);
    }

    #[test]
    fn a_preflight_is_told_what_may_be_sent_and_needs_no_password() {
        let guarded = BasicAuth::new("x").guard(|_: &Request<'_>| "secret");
        let cors = Cors::origins(["https://app.example"]).unwrap();
        let app = App::new().any("/", cors.methods([::http::Method::PUT]).wrap(guarded));
        let asks = [
            PAGE,
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,x-one"),
        ];
        let answer = send(&app, "OPTIONS", &asks);
        assert_eq!(answer.status(), 204);
        assert_eq!(allowed(&answer), [Some("https://app.example"), Some("Origin"), None]);
        assert_eq!(field(&answer, "access-control-allow-methods"), Some("PUT"));
        assert_eq!(field(&answer, "access-control-allow-headers"), Some("authorization,x-one"));
        assert_eq!(field(&answer, "access-control-max-age"), Some("7200"));

        let elsewhere = [("origin", "https://evil.example"), asks[1]];
        let answer = send(&app, "OPTIONS", &elsewhere);
        assert_eq!(allowed(&answer), [None, Some("Origin"), None]);
        assert_eq!(field(&answer, "access-control-allow-methods"), None);
        // The rest is the handler's: its refusal can be read by the page.
        let refused = send(&app, "PUT", &[PAGE]);
        assert_eq!((refused.status().as_u16(), allowed(&refused)[0]), (401, Some("https://app.example")));
        assert_eq!(send(&app, "OPTIONS", &[PAGE]).status(), 401, "no preflight");
    }

    #[test]
    fn a_preflight_comes_to_the_route_that_it_is_about() {
        let cors = |origin| Cors::origins([origin]).unwrap();
        let secret = BasicAuth::new("x");
        let app = App::new()
            .get("/", cors("https://app.example").wrap(secret.guard(Response::text("read"))))
            .put("/", cors("https://editor.example").wrap(Response::text("stored")))
            .post("/", secret.guard(Response::text("posted")));
        let preflight = |method, origin| {
            let answer =
                send(&app, "OPTIONS", &[("origin", origin), ("access-control-request-method", method)]);
            (answer.status().as_u16(), field(&answer, "access-control-allow-origin").map(str::to_owned))
        };
        for (method, origin, status) in [
            ("GET", "https://app.example", 204),
            ("HEAD", "https://app.example", 204),
            ("PUT", "https://editor.example", 204),
        ] {
            assert_eq!(preflight(method, origin), (status, Some(origin.to_owned())), "{method}");
            assert_eq!(preflight(method, "https://evil.example"), (status, None), "{method}");
        }
        assert_eq!(preflight("PUT", "https://app.example"), (204, None), "it may read, and not store");
        assert_eq!(
            preflight("POST", "https://app.example"),
            (401, None),
            "nothing answers before the password"
        );
        let page = "https://app.example";
        for method in ["DELETE", "PURGE", "OPTIONS", "CONNECT", ""] {
            assert_eq!(preflight(method, page), (204, None), "{method}: there is no such route");
        }
        let plain = send(&app, "OPTIONS", &[PAGE]);
        assert_eq!((plain.status().as_u16(), allowed(&plain)), (204, [None; 3]), "no preflight");
        assert_eq!(field(&plain, "allow"), Some("GET, HEAD, POST, PUT, OPTIONS"));
    }

    #[test]
    fn a_preflight_names_the_fields_that_its_route_asks_for() {
        let cors = |origin| Cors::origins([origin]).unwrap();
        let version = |value| Predicate::header("x-v", value).unwrap();
        let app = App::new()
            .any("/", cors("https://two.example").wrap(Response::text("two")).when(version("2")))
            .any("/", Response::text("plain"));
        let preflight = |app: &App, names| {
            let asks = [
                ("origin", "https://two.example"),
                ("access-control-request-method", "GET"),
                ("access-control-request-headers", names),
            ];
            let answer = send(app, "OPTIONS", &asks);
            field(&answer, "access-control-allow-origin").map(str::to_owned)
        };
        let two = Some("https://two.example".to_owned());
        assert_eq!(preflight(&app, "x-v"), two);
        assert_eq!(preflight(&app, "a,X-V , b"), two);
        for names in ["", "x", "x-v2", "x-v x-v"] {
            assert_eq!(preflight(&app, names), None, "{names}: the route for everybody");
        }
        // Of a path without a route for OPTIONS, it is about whoever answers what it announces.
        let app = App::new()
            .post("/", Response::text("posted"))
            .get("/{*rest}", cors("https://two.example").wrap(Response::text("rest")));
        assert_eq!(preflight(&app, ""), two);
        // A route for OPTIONS itself answers them all.
        let app = app.options("/", Response::text("mine"));
        assert_eq!(preflight(&app, ""), None);
    }

    #[test]
    fn what_is_no_origin_is_refused_with_an_example() {
        for text in
            ["", "*", "null", "app.example", "https://", "https://a/", "https://a/b", "https://a b", "://a"]
                .into_iter()
                .chain([
                    "https://*",
                    "https://*.",
                    "https://*.*.a",
                    "https://a.*.b",
                    "*.a",
                    "https://*.[::1]",
                    "https://a:99999",
                    "https://a:+80",
                    "https://[::1]:b",
                    "https://*.a:x",
                ])
        {
            let error = Cors::origins([text]).unwrap_err().to_string();
            assert!(error.contains("https://app.example:8443"), "{text}");
        }
    }
}
