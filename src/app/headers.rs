//! [`Headers`]: changes of the fields of every answer; [`CacheControl`], [`Hsts`]: those of one field that
//! depend on the answer, or on how it travels. RFC 9110 §5.3, §7.6.1, RFC 9111 §5.2, RFC 6797 §6.1.

use std::fmt;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, header};

use super::layer::{Acts, Layer};
use super::request::Request;
use crate::http::Response;

/// Changes of the fields of every answer: first what is removed, then what is set, then what is added. A
/// `Vary` that is set joins what kolk says there itself, so that caches still tell its answers apart.
///
/// ```
/// use kolk::{App, HeaderValue, Headers, Response, header};
///
/// let headers = Headers::new()
///     .set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))?
///     .remove(header::SERVER)?;
/// let app = App::new().layer(headers).get("/", Response::text("hello\n"));
/// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
/// assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
/// # Ok::<(), kolk::app::FieldError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Headers {
    removed: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    added: Vec<(HeaderName, HeaderValue)>,
}

/// A field that is the protocol's: it says where a message ends, or is meant for the next hop alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError(HeaderName);

impl Headers {
    /// No changes.
    pub const fn new() -> Self {
        Self { removed: Vec::new(), set: Vec::new(), added: Vec::new() }
    }

    /// The answer has this field, with this value alone.
    ///
    /// # Errors
    /// If the field is the protocol's.
    pub fn set(mut self, name: HeaderName, value: HeaderValue) -> Result<Self, FieldError> {
        self.set.push((own(name)?, value));
        Ok(self)
    }

    /// The answer has one more field line.
    ///
    /// # Errors
    /// If the field is the protocol's.
    pub fn add(mut self, name: HeaderName, value: HeaderValue) -> Result<Self, FieldError> {
        self.added.push((own(name)?, value));
        Ok(self)
    }

    /// The answer does not have this field.
    ///
    /// # Errors
    /// If the field is the protocol's.
    pub fn remove(mut self, name: HeaderName) -> Result<Self, FieldError> {
        self.removed.push(own(name)?);
        Ok(self)
    }
}

/// One more line of a list, unless it is there.
fn join(response: &mut Response, name: &HeaderName, value: &HeaderValue) {
    let is_same = |(other, text): (&str, &[u8])| {
        other.eq_ignore_ascii_case(name.as_str()) && text.eq_ignore_ascii_case(value.as_bytes())
    };
    let is_there = response.fields().iter().any(is_same);
    if !is_there {
        response.append(name, value);
    }
}

/// The same name, if the protocol does not need it.
fn own(name: HeaderName) -> Result<HeaderName, FieldError> {
    let is_ours = matches!(
        name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::DATE
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    );
    if is_ours || matches!(name.as_str(), "keep-alive" | "proxy-connection") {
        return Err(FieldError(name));
    }
    Ok(name)
}

impl Layer for Headers {
    fn after(&self, _request: &Request<'_>, response: &mut Response) {
        self.settle(response);
    }

    fn settle(&self, response: &mut Response) -> bool {
        self.removed.iter().for_each(|name| response.remove(name));
        for (name, value) in &self.set {
            if *name == header::VARY {
                join(response, name, value);
                continue;
            }
            response.remove(name);
            response.append(name, value);
        }
        self.added.iter().for_each(|(name, value)| response.append(name, value));
        true
    }

    fn acts(&self) -> Acts {
        Acts::ANSWERS
    }

    fn name(&self) -> &'static str {
        "headers"
    }
}

/// How long answers may be kept that do not say it themselves: good ones, redirects and 304. A value with
/// `no-store`, `no-cache` or `private` stands in errors, too: a 404 may be kept where nothing is said
/// (RFC 9111 §4.2.2).
///
/// ```
/// use kolk::{App, CacheControl, HandlerExt, HeaderValue, Request};
///
/// let kept = CacheControl::new(HeaderValue::from_static("max-age=60"));
/// let app = App::new().get("/", (|_: &Request<'_>| "news").layer(kept));
/// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
/// assert_eq!(answer.headers()["cache-control"], "max-age=60");
/// ```
#[derive(Clone, Debug)]
pub struct CacheControl {
    value: HeaderValue,
    /// It keeps answers from caches, and so is said of errors.
    is_strict: bool,
}

impl CacheControl {
    /// The value of the field.
    pub fn new(value: HeaderValue) -> Self {
        let is_strict = value.as_bytes().split(|byte| *byte == b',').any(|directive| {
            let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            [&b"no-store"[..], b"no-cache", b"private"].iter().any(|known| name.eq_ignore_ascii_case(known))
        });
        Self { value, is_strict }
    }
}

impl Layer for CacheControl {
    fn after(&self, _request: &Request<'_>, response: &mut Response) {
        self.settle(response);
    }

    fn settle(&self, response: &mut Response) -> bool {
        let is_good = (200..400).contains(&response.status().as_u16());
        if (is_good || self.is_strict) && !response.has(&header::CACHE_CONTROL) {
            response.append(&header::CACHE_CONTROL, &self.value);
        }
        true
    }

    fn acts(&self) -> Acts {
        Acts::ANSWERS
    }

    fn name(&self) -> &'static str {
        "cache_control"
    }
}

/// Has browsers come over TLS for so long, once they have: `Strict-Transport-Security` in every answer that
/// travels encrypted. RFC 6797.
///
/// ```
/// use std::time::Duration;
/// use kolk::{App, Hsts, Request};
///
/// let app = App::new().layer(Hsts::new(Duration::from_secs(3600))).get("/", |_: &Request<'_>| "safe");
/// let get = |uri| app.oneshot(http::Request::get(uri).body("").unwrap());
/// assert_eq!(get("https://a/").headers()["strict-transport-security"], "max-age=3600");
/// assert!(!get("http://a/").headers().contains_key("strict-transport-security"));
/// ```
#[derive(Clone, Debug)]
pub struct Hsts {
    seconds: u64,
    subdomains: bool,
    preload: bool,
}

impl Hsts {
    /// For this host, and so long.
    pub const fn new(time: Duration) -> Self {
        Self { seconds: time.as_secs(), subdomains: false, preload: false }
    }

    /// Also for the hosts below this one.
    #[must_use]
    pub const fn subdomains(mut self) -> Self {
        self.subdomains = true;
        self
    }

    /// May be put into the lists that browsers come with.
    #[must_use]
    pub const fn preload(mut self) -> Self {
        self.preload = true;
        self
    }
}

impl Layer for Hsts {
    fn after(&self, request: &Request<'_>, response: &mut Response) {
        // RFC 6797 §7.2: never in the clear.
        if request.scheme() != "https" {
            return;
        }
        let subdomains = if self.subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        if let Ok(value) = HeaderValue::try_from(format!("max-age={}{subdomains}{preload}", self.seconds)) {
            response.remove(&header::STRICT_TRANSPORT_SECURITY);
            response.append(&header::STRICT_TRANSPORT_SECURITY, &value);
        }
    }

    fn acts(&self) -> Acts {
        Acts::ANSWERS
    }

    fn name(&self) -> &'static str {
        "hsts"
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the field `{}` is the protocol's: it cannot be changed", self.0)
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{App, HandlerExt};

    fn get(app: &App, path: &str) -> ::http::HeaderMap {
        app.oneshot(::http::Request::get(path).body("").unwrap()).headers().clone()
    }

    const fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn changes() -> Headers {
        let (one, two) = (HeaderName::from_static("x-one"), HeaderName::from_static("x-two"));
        let headers = Headers::new().remove(header::ETAG).and_then(|all| all.set(one, value("1")));
        headers
            .and_then(|all| all.add(two.clone(), value("2")))
            .and_then(|all| all.add(two, value("3")))
            .unwrap()
    }

    #[test]
    fn fields_of_every_answer_are_removed_set_and_added() {
        let plain = |_: &Request<'_>| {
            Response::text("plain")
                .with_header(header::ETAG, value("\"e\""))
                .with_header(HeaderName::from_static("x-one"), value("own"))
        };
        let app = App::new().layer(changes()).get("/", plain).get("/fixed", plain_fixed());
        for path in ["/", "/fixed", "/nowhere"] {
            let headers = get(&app, path);
            assert_eq!((headers.get("etag"), &headers["x-one"]), (None, &value("1")), "{path}");
            assert_eq!(headers.get_all("x-two").iter().collect::<Vec<_>>(), ["2", "3"], "{path}");
        }
        assert!(app.routes()[1].fixed().is_some(), "changed once");
    }

    fn plain_fixed() -> Response {
        Response::text("fixed").with_header(header::ETAG, value("\"e\""))
    }

    #[test]
    fn the_outer_change_comes_last() {
        let set = |text| Headers::new().set(HeaderName::from_static("x-one"), value(text)).unwrap();
        let app = App::new().layer(set("outer")).get("/", (|_: &Request<'_>| "x").layer(set("inner")));
        assert_eq!(get(&app, "/")["x-one"], "outer");
    }

    #[test]
    fn a_vary_that_is_set_joins_the_others() {
        let set = || Headers::new().set(header::VARY, value("Cookie")).unwrap();
        let cors = crate::app::Cors::origins(["https://app.example"]).unwrap();
        let app = App::new().layer(set()).layer(set()).layer(cors).get("/", |_: &Request<'_>| "x");
        let headers = get(&app, "/");
        assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), ["Origin", "Cookie"]);
    }

    #[test]
    fn who_has_no_server_field_stays_without() {
        let hidden = Headers::new().remove(header::SERVER).unwrap();
        let app = App::new().get("/", (|_: &Request<'_>| "x").layer(hidden)).get("/y", |_: &Request<'_>| "y");
        let mut response = Response::text("x");
        assert!(!response.has_server());
        app.routes()[0].chain().layers()[0].settle(&mut response);
        assert!(response.has_server(), "nobody adds one");
    }

    #[test]
    fn what_is_the_protocols_is_refused() {
        for name in
            ["connection", "content-length", "date", "transfer-encoding", "keep-alive", "upgrade", "te"]
        {
            let name: HeaderName = name.parse().unwrap();
            assert!(Headers::new().set(name.clone(), value("x")).is_err(), "{name}");
            assert!(Headers::new().remove(name.clone()).is_err(), "{name}");
            assert!(Headers::new().add(name, value("x")).unwrap_err().to_string().contains("the protocol's"));
        }
    }

    #[test]
    fn rfc_9111_5_2_good_answers_that_say_nothing_may_be_kept() {
        let kept = || CacheControl::new(value("max-age=60"));
        let own =
            |_: &Request<'_>| Response::text("own").with_header(header::CACHE_CONTROL, value("no-store"));
        let app = App::new()
            .layer(kept())
            .get("/", Response::text("fixed"))
            .get("/own", own)
            .get("/moved", Response::redirect(::http::StatusCode::FOUND, &value("/")));
        assert_eq!(get(&app, "/")["cache-control"], "max-age=60");
        assert_eq!(get(&app, "/own")["cache-control"], "no-store");
        assert_eq!(get(&app, "/moved")["cache-control"], "max-age=60");
        assert!(!get(&app, "/nowhere").contains_key("cache-control"));
    }

    #[test]
    fn rfc_9111_4_2_2_what_keeps_answers_from_caches_keeps_errors_from_them() {
        for (text, is_said) in [
            ("no-store", true),
            ("private, max-age=60", true),
            ("max-age=0,No-Cache", true),
            ("private=\"set-cookie\"", true),
            ("max-age=60", false),
            ("public, no-transform", false),
        ] {
            let app = App::new().layer(CacheControl::new(HeaderValue::from_static(text)));
            let field = get(&app, "/nowhere").get("cache-control").cloned();
            assert_eq!(field, is_said.then(|| HeaderValue::from_static(text)), "{text}");
        }
    }

    #[test]
    fn rfc_6797_7_2_nothing_is_said_in_the_clear() {
        let long = Hsts::new(Duration::from_secs(9)).subdomains().preload();
        let app = App::new().layer(long).get("/", Response::text("fixed"));
        let field = "strict-transport-security";
        assert_eq!(get(&app, "https://a/")[field], "max-age=9; includeSubDomains; preload");
        assert!(!get(&app, "http://a/").contains_key(field));
    }
}
