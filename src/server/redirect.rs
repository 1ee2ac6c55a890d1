//! The site of a port in the clear whose visitors belong on another: it sends everybody to the same place
//! with https. A [`Server`](super::Server) of its own, with one worker.
//!
//! ```text
//!  Host: example.org:8080   GET /a?b  ─►  308  Location: https://example.org:8443/a?b
//! ```
//! A `Location` is put together from what was checked, and from nothing else a client has sent. RFC 9110
//! §15.4.9: 308 keeps method and body.

use std::fmt::Write as _;

use ::http::{HeaderValue, StatusCode, header};

use crate::app::{App, Handler, HandlerExt, Outcome, Request, RequestIds, is_host};
use crate::http::{Reason, Response};

use super::config::{Config, Workers};

/// What https means where nobody says so.
const HTTPS_PORT: u16 = 443;

/// How many connections there may be: each has one question.
const CONNECTIONS_MAX: usize = 1024;

/// Sends everybody to `port` of the host that they asked for, or to that of https, beside a server whose app
/// gives requests these ids.
pub(crate) fn app(port: Option<u16>, ids: Option<&RequestIds>) -> App {
    let port = port.unwrap_or(HTTPS_PORT);
    let app = App::new().any("/{*path}", Redirect { port }.streaming().body_limit(u64::MAX));
    match ids {
        // The same secret: workers have numbers of their own, also beside each other.
        Some(ids) => app.layer(ids.clone()),
        None => app,
    }
}

/// What such a site works with, beside a server that works with `config`.
pub(super) fn config(config: &Config) -> Config {
    Config {
        workers: Workers::Exactly(1),
        pin: false,
        hsts: None,
        connections_max: Some(CONNECTIONS_MAX),
        ..config.clone()
    }
}

struct Redirect {
    port: u16,
}

impl Handler for Redirect {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        let target = request.head().target();
        let host = request.host().filter(|host| is_host(host));
        let place = host.and_then(|host| place(host, self.port, target.path, target.query));
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

/// The URL of a path and a query on a host; `None` where a byte is left that no URL has.
fn place(host: &str, port: u16, path: &str, query: Option<&str>) -> Option<HeaderValue> {
    let mut url = format!("https://{host}");
    if port != HTTPS_PORT {
        let _ = write!(url, ":{port}");
    }
    url.push_str(path);
    if let Some(query) = query {
        let _ = write!(url, "?{query}");
    }
    let is_visible = url.bytes().all(|byte| byte.is_ascii_graphic());
    HeaderValue::try_from(url).ok().filter(|_| is_visible && path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: &str, target: &str) -> Result<String, u16> {
        let request = ::http::Request::post(target).header("host", host).body("x").unwrap();
        let answer = app(Some(8443), None).oneshot(request);
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
            ("a", "/?https://evil.test/\\@b#c", "https://a:8443/?https://evil.test/\\@b"),
        ] {
            assert_eq!(location(host, target).as_deref(), Ok(place), "{host} {target}");
        }
        assert_eq!(place("a", 443, "/", None).unwrap(), "https://a/");
    }

    #[test]
    fn a_place_is_made_of_nothing_that_could_end_it() {
        for host in ["", "a b", "a/b", "a@b", "a\\b", "a%2f", "a?b", "a#b", "[a", "[::1]x", "\u{e9}"] {
            assert!(!is_host(host), "{host}");
        }
        for (path, query) in [("/\r\nSet-Cookie: a=b", None), ("/", Some("a b")), ("*", None), ("", None)] {
            assert_eq!(place("a", 443, path, query), None);
        }
        assert_eq!(location("a@b", "/"), Err(400));
    }
}
