//! THE BUILT-IN SITE: what `kolk` serves when it is told nothing else.
//!
//! | file | what it is |
//! | --- | --- |
//! | `routes` | the table of contents |
//! | `anatomy` | the handler of `/`: facts of the request, two pulls of the page |
//! | `page`, `page.html`, `page.css`, `icon.svg` | the page itself |
//! | `bytes`, `frames` | bytes of a message, and of a frame, as HTML |
//! | `streams` | bodies that are made while they are sent |
//! | `sleep` | answers that wait |

mod anatomy;
mod bytes;
mod frames;
mod page;
mod routes;
mod sleep;
mod streams;

use std::fmt::Write as _;
use std::io;

use http::header::{self, HeaderName, HeaderValue};
use kolk::Body;
use kolk::{App, HandlerExt, Reply, Request, Response, StatusCode, deferred};

use self::routes::ROUTES;
use self::sleep::Sleepers;
use self::streams::{Chunks, Events, Pattern};

const GREETING: &str = "Hello, World!";
const GREETING_JSON: &str = r#"{"message":"Hello, World!"}"#;

/// `/bytes/{n}`: 1 GiB.
const BYTES_MAX: u64 = 1 << 30;
/// `/stream/{n}`: a million.
const CHUNKS_MAX: u64 = 1_000_000;
/// `/sleep/{ms}`: a minute.
const SLEEP_MILLIS_MAX: u64 = 60_000;
/// `/echo`: 16 MiB.
const ECHO_BYTES_MAX: u64 = 16 << 20;

/// The built-in site.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn app() -> io::Result<App> {
    let sleepers = Sleepers::start()?;
    let nap = move |request: &Request<'_>, reply: Reply| match number(request, "ms", 0..=SLEEP_MILLIS_MAX) {
        Ok(millis) => sleepers.add(millis, reply),
        Err(refusal) => reply.send(refusal),
    };
    Ok(App::new()
        .get("/", anatomy::anatomy.timed())
        .get("/plaintext", Response::typed("text/plain", GREETING.into()))
        .get("/json", Response::json(GREETING_JSON))
        .any("/echo", echo.body_limit(ECHO_BYTES_MAX))
        .get("/bytes/{n}", bytes)
        .get("/stream/{n}", stream)
        .get("/events", |_: &Request<'_>| Response::event_stream(Events::default()))
        .get("/sleep/{ms}", deferred(nap))
        .get("/status/{code}", status)
        .get("/favicon.ico", Response::typed("image/svg+xml", include_str!("icon.svg").into()))
        .fallback(nothing_here))
}

/// The body of the request, as what the client called it.
fn echo(request: &Request<'_>) -> Response {
    let mut response = Response::typed("application/octet-stream", Body::from(request.body().to_vec()));
    if let Some(content_type) = request.header_bytes(header::CONTENT_TYPE)
        && let Ok(content_type) = HeaderValue::from_bytes(content_type)
    {
        response.append(&header::CONTENT_TYPE, &content_type);
    }
    // Whoever makes a browser send a page here does not get it run in the name of this site.
    response
        .with_header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"))
        .with_header(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"))
}

fn bytes(request: &Request<'_>) -> Result<Response, Response> {
    let length = number(request, "n", 0..=BYTES_MAX)?;
    Ok(Response::typed("application/octet-stream", Pattern::body(length)))
}

fn stream(request: &Request<'_>) -> Result<Response, Response> {
    let count = number(request, "n", 0..=CHUNKS_MAX)?;
    Ok(Response::stream("text/plain; charset=utf-8", Chunks::new(count)))
}

fn status(request: &Request<'_>) -> Result<Response, Response> {
    let code = number(request, "code", 200..=599)?;
    let status =
        u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or("a status without a name");
    Ok(Response::text(format!("{} {reason}\n", status.as_str())).with_status(status))
}

/// The number in the path.
///
/// # Errors
/// A 400 that says what would be right.
fn number(request: &Request<'_>, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, Response> {
    let text = request.param(name).unwrap_or_default();
    // `parse` would also take a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => {
            let sentence =
                format!("{name} is a whole number from {} to {}, not: {text}\n", range.start(), range.end());
            Err((StatusCode::BAD_REQUEST, sentence).into())
        }
    }
}

fn nothing_here(request: &Request<'_>) -> Response {
    let mut text = format!("404 Not Found: there is nothing at {}\n\nThere is:\n", request.path());
    for route in ROUTES {
        let _ = writeln!(text, "  {:<16} {}", route.pattern, route.what);
    }
    (StatusCode::NOT_FOUND, text).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn get(path: &str) -> http::Response<::bytes::Bytes> {
        app().unwrap().oneshot(http::Request::get(path).header("host", "x").body("").unwrap())
    }

    #[test]
    fn every_route_of_the_table_answers_its_example() {
        let mut patterns = HashSet::new();
        for route in ROUTES.iter().filter(|route| route.pattern != "/events") {
            assert!(patterns.insert(route.pattern));
            let status = get(&route.example.replace("/1000000", "/10").replace("/1000", "/1")).status();
            assert_eq!(
                status,
                if route.pattern == "/status/{code}" { 418 } else { 200 },
                "{}",
                route.pattern
            );
        }
    }

    #[test]
    fn plaintext_is_thirteen_bytes() {
        let answer = get("/plaintext");
        assert_eq!(answer.body(), "Hello, World!");
        assert_eq!(answer.headers()["content-type"], "text/plain");
    }

    #[test]
    fn an_echo_has_the_type_of_the_request_and_runs_nowhere() {
        let request = http::Request::put("/echo").header("content-type", "text/html").body("<b>").unwrap();
        let answer = app().unwrap().oneshot(request);
        assert_eq!(answer.body(), "<b>");
        assert_eq!(answer.headers()["content-type"], "text/html");
        assert_eq!(answer.headers()["content-security-policy"], "sandbox");
    }

    #[test]
    fn wrong_numbers_are_refused_with_a_sentence() {
        for (path, sentence) in [
            ("/bytes/ten", "n is a whole number from 0 to 1073741824, not: ten\n"),
            ("/bytes/1073741825", "n is a whole number from 0 to 1073741824, not: 1073741825\n"),
            ("/bytes/+1", "n is a whole number from 0 to 1073741824, not: +1\n"),
            ("/stream/1000001", "n is a whole number from 0 to 1000000, not: 1000001\n"),
            ("/sleep/60001", "ms is a whole number from 0 to 60000, not: 60001\n"),
            ("/status/101", "code is a whole number from 200 to 599, not: 101\n"),
        ] {
            let answer = get(path);
            assert_eq!(answer.status(), 400, "{path}");
            assert_eq!(answer.body(), sentence);
        }
    }

    #[test]
    fn a_404_lists_what_there_is() {
        let answer = get("/nowhere");
        assert_eq!(answer.status(), 404);
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.contains("nothing at /nowhere"));
        assert!(ROUTES.iter().all(|route| text.contains(route.pattern)), "{text}");
    }
}
