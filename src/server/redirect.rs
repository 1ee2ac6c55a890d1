//! The site of a port in the clear whose visitors belong on another: it sends everybody to the same place
//! with https. It stands beside an app, in its [`Edition`](super::Edition); which of the two answers a
//! connection, the listener says that it came from.
//!
//! ```text
//!  Host: example.org:8080   GET /a?b  ─►  308  Location: https://example.org:8443/a?b
//!                                     └─► 503  while nobody listens there
//! ```
//! A `Location` is put together from what was checked and what is encoded, and from nothing else a client has
//! sent. RFC 3986 §2.1, RFC 9110 §15.4.9: 308 keeps method and body; clients may keep it for ever, so that it
//! leads to nobody who is not there.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use ::http::{HeaderValue, StatusCode, header};

use crate::app::{App, Handler, HandlerExt, Outcome, Request, RequestIds, is_host, push_sent};
use crate::http::{Reason, Response};

/// What https means where nobody says so.
pub(crate) const HTTPS_PORT: u16 = 443;

/// The port that visitors are sent to: it follows the listeners of the server.
#[derive(Debug)]
pub(crate) struct HttpsPort(AtomicU16);

impl HttpsPort {
    /// That one; nothing, while nobody listens there.
    pub(crate) fn new(port: Option<u16>) -> Arc<Self> {
        Arc::new(Self(AtomicU16::new(port.unwrap_or(0))))
    }

    /// Another one from now on.
    pub(super) fn set(&self, port: Option<u16>) {
        self.0.store(port.unwrap_or(0), Relaxed);
    }

    fn get(&self) -> Option<u16> {
        Some(self.0.load(Relaxed)).filter(|port| *port != 0)
    }
}

/// Sends everybody to `port` of the host that they asked for, beside an app that gives requests these ids.
pub(crate) fn app(port: &Arc<HttpsPort>, ids: Option<&RequestIds>) -> App {
    let port = Arc::clone(port);
    let app = App::new().any("/{*path}", Redirect { port }.streaming().body_limit(u64::MAX));
    match ids {
        // The same secret: workers have numbers of their own, also beside each other.
        Some(ids) => app.layer(ids.clone()),
        None => app,
    }
}

struct Redirect {
    port: Arc<HttpsPort>,
}

impl Handler for Redirect {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        let Some(port) = self.port.get() else {
            response.refuse(Reason::NobodyAtHttps);
            return Outcome::Ready;
        };
        let target = request.head().target();
        let host = request.host().filter(|host| is_host(host));
        let place = host.and_then(|host| place(host, port, target.path, target.query));
        match place {
            Some(place) => {
                response.set_status(StatusCode::PERMANENT_REDIRECT);
                response.append(&header::LOCATION, &place);
            }
            None => response.refuse(Reason::HostInvalid),
        }
        Outcome::Ready
    }
}

/// The URL of a path and a query on a host; `None` where it is no path.
fn place(host: &str, port: u16, path: &str, query: Option<&str>) -> Option<HeaderValue> {
    let mut url = format!("https://{host}");
    if port != HTTPS_PORT {
        let _ = write!(url, ":{port}");
    }
    push_sent(&mut url, path);
    if let Some(query) = query {
        url.push('?');
        push_sent(&mut url, query);
    }
    HeaderValue::try_from(url).ok().filter(|_| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: &str, target: &str) -> Result<String, u16> {
        let request = ::http::Request::post(target).header("host", host).body("x").unwrap();
        let answer = app(&HttpsPort::new(Some(8443)), None).oneshot(request);
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(answer.status() == 308, location.is_some());
        location.ok_or_else(|| answer.status().as_u16())
    }

    #[test]
    fn everybody_is_sent_to_the_same_place_with_https() {
        for (host, target, place) in [
            ("example.org", "/", "https://example.org:8443/"),
            ("example.org:80", "/a%20b/../c?d=e&f", "https://example.org:8443/a%20b/../c?d=e&f"),
            ("[2001:db8::1]:8080", "/?", "https://[2001:db8::1]:8443/?"),
            ("a", "//evil.test/b", "https://a:8443//evil.test/b"),
            ("a", "/?https://evil.test/\\@b#c", "https://a:8443/?https://evil.test/%5C@b"),
        ] {
            assert_eq!(location(host, target).as_deref(), Ok(place), "{host} {target}");
        }
        assert_eq!(place("a", 443, "/", None).unwrap(), "https://a/");
        let encoded = place("a", 443, "/x<>", Some("<%3c>\"[]&c=%"));
        assert_eq!(encoded.unwrap(), "https://a/x%3C%3E?%3C%3c%3E%22%5B%5D&c=%25");
    }

    #[test]
    fn nobody_is_sent_to_where_nobody_is() {
        let port = HttpsPort::new(None);
        let app = app(&port, None);
        let ask = || app.oneshot(::http::Request::get("/").header("host", "a").body("").unwrap());
        let answer = ask();
        assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (503, None));
        port.set(Some(443));
        assert_eq!(ask().headers()["location"], "https://a/");
    }

    #[test]
    fn a_place_is_made_of_nothing_that_could_end_it() {
        for host in ["", "a b", "a/b", "a@b", "a\\b", "a%2f", "a?b", "a#b", "[a", "[::1]x", "\u{e9}"] {
            assert!(!is_host(host), "{host}");
        }
        for path in ["*", "", "https://b/"] {
            assert_eq!(place("a", 443, path, None), None);
        }
        let encoded = place("a", 443, "/\r\nSet-Cookie: a=b", Some("a b"));
        assert_eq!(encoded.unwrap(), "https://a/%0D%0ASet-Cookie:%20a=b?a%20b");
        assert_eq!(location("a@b", "/"), Err(400));
    }
}
