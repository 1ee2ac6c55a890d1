//! [`ErrorPages`]: what is sent with the errors that kolk itself answers with. RFC 9110 §15.5, RFC 9457.
//!
//! ```text
//!  answer ─► made by kolk? ─ no ─► as it is
//!                 │ yes
//!                 ▼
//!           JSON preferred? ─ yes ─► application/problem+json
//!                 │ no
//!                 ▼
//!           a page for this status, or for its class ─► that page, with what is known of the error in it
//! ```
//! Status, reason and all other fields stay. What a handler has answered is its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ::http::{HeaderValue, header};
use bytes::Bytes;

use super::layer::{Acts, Layer};
use super::request::Request;
use crate::http::{Body, Reason, Response};

/// Pages for errors.
///
/// ```
/// use kolk::{App, ErrorPages, HeaderValue};
///
/// let html = HeaderValue::from_static("text/html");
/// let app = App::new().layer(ErrorPages::new().page(404, html, "<p>{status}: {reason}</p>"));
/// let answer = app.oneshot(http::Request::get("/nowhere").body("").unwrap());
/// assert_eq!((answer.status().as_u16(), &answer.body()[..]), (404, &b"<p>404: route.none</p>"[..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    /// By status; a class is its first digit.
    pages: BTreeMap<u16, (HeaderValue, Bytes)>,
}

impl ErrorPages {
    /// No pages: who prefers JSON gets that.
    pub const fn new() -> Self {
        Self { pages: BTreeMap::new() }
    }

    /// The page for `status`; for 4 and 5, for all errors of that class that have none of their own. In it
    /// `{status}`, `{title}`, `{reason}` and `{detail}` stand for the number, its name, the stable code and
    /// the sentence that explains it, `{id}` for what the request is [called](Request::id), or nothing: in
    /// all of its text, also in its scripts. In two braces they are left alone: `{{status}}` is `{status}`.
    /// All other braces are braces. The first page for a status stays.
    #[must_use]
    pub fn page(mut self, status: u16, media_type: HeaderValue, content: impl Into<Bytes>) -> Self {
        self.pages.entry(status).or_insert_with(|| (media_type, content.into()));
        self
    }

    fn page_for(&self, status: u16) -> Option<&(HeaderValue, Bytes)> {
        self.pages.get(&status).or_else(|| self.pages.get(&(status / 100)))
    }
}

impl Layer for ErrorPages {
    fn after(&self, request: &Request<'_>, response: &mut Response) {
        let Some(reason) = response.reason() else { return };
        // Whoever refused with a page of his own has said what there is to say.
        if !matches!(response.body(), Body::Arena) {
            return;
        }
        // RFC 9110 §12.5.5: caches must not give programs the page, nor people the JSON.
        if !says_vary_accept(response) {
            response.append(&header::VARY, &HeaderValue::from_static("Accept"));
        }
        let status = response.status();
        if prefers_json(request) {
            // Codes, names of rates, titles, sentences and ids have no character that JSON would escape.
            let id = request.id().map(|id| format!(",\"id\":\"{id}\"")).unwrap_or_default();
            let problem = format!(
                "{{\"status\":{},\"title\":\"{}\",\"reason\":\"{}\",\"detail\":\"{}\"{id}}}\n",
                status.as_u16(),
                status.canonical_reason().unwrap_or_default(),
                code(reason, request),
                reason.sentence(),
            );
            response.set_content_type("application/problem+json");
            return response.set_body(Body::Shared(problem.into()));
        }
        let Some((media_type, content)) = self.page_for(status.as_u16()) else { return };
        response.remove(&header::CONTENT_TYPE);
        response.append(&header::CONTENT_TYPE, media_type);
        response.set_body(Body::Shared(filled(content, reason, request, response)));
    }

    fn acts(&self) -> Acts {
        Acts::ANSWERS
    }

    fn name(&self) -> &'static str {
        "error_pages"
    }
}

/// The code of `reason`, with the rate's name if that is what has refused.
fn code(reason: Reason, request: &Request<'_>) -> Cow<'static, str> {
    match request.noted_rate().as_ref().and_then(|rate| rate.refuser(reason)) {
        Some(name) => Cow::Owned(format!("{}.{name}", reason.code())),
        None => Cow::Borrowed(reason.code()),
    }
}

/// The page with what is known of the error; all of it is text without markup.
fn filled(content: &Bytes, reason: Reason, request: &Request<'_>, response: &Response) -> Bytes {
    let Some(page) = std::str::from_utf8(content).ok().filter(|page| page.contains('{')) else {
        return content.clone();
    };
    let (status, code) = (response.status(), code(reason, request));
    let known = [
        ("{status}", status.as_str()),
        ("{title}", status.canonical_reason().unwrap_or_default()),
        ("{reason}", &*code),
        ("{detail}", reason.sentence()),
        ("{id}", request.id().unwrap_or_default()),
    ];
    let mut filled = String::with_capacity(page.len() + 64);
    let mut rest = page;
    while let Some((before, brace)) = rest.find('{').map(|at| rest.split_at(at)) {
        filled.push_str(before);
        let behind = &brace[1..];
        let named = |text: &str| known.iter().find(|(name, _)| text.starts_with(name));
        if let Some((name, _)) = named(behind).filter(|(name, _)| behind[name.len()..].starts_with('}')) {
            filled.push_str(name);
            rest = &behind[name.len() + 1..];
        } else if let Some((name, value)) = named(brace) {
            filled.push_str(value);
            rest = &brace[name.len()..];
        } else {
            filled.push('{');
            rest = behind;
        }
    }
    filled.push_str(rest);
    filled.into()
}

/// Whether another one of these layers has been here.
fn says_vary_accept(response: &Response) -> bool {
    let mut fields = response.fields().iter();
    fields.any(|(name, value)| name.eq_ignore_ascii_case("vary") && value.eq_ignore_ascii_case(b"accept"))
}

/// Whether `Accept` names JSON, and HTML less, or only as one of all types: RFC 9110 §12.5.1. Of the ranges
/// that HTML is in, the narrowest counts.
fn prefers_json(request: &Request<'_>) -> bool {
    let mut json = 0;
    let [mut html, mut texts, mut all] = [None; 3];
    let lines = request.head().values("accept").filter_map(|line| std::str::from_utf8(line).ok());
    for range in lines.flat_map(|line| line.split(',')) {
        let range = range.to_ascii_lowercase();
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1_000, thousandths);
        match media_type {
            "application/json" | "application/problem+json" => json = json.max(quality),
            "text/html" => html = html.max(Some(quality)),
            "text/*" => texts = texts.max(Some(quality)),
            "*/*" => all = all.max(Some(quality)),
            _ => {}
        }
    }
    match html.or(texts) {
        Some(named) => json > named,
        None => json > 0 && json >= all.unwrap_or(0),
    }
}

/// A quality in thousandths: RFC 9110 §12.4.2. What is none counts as nothing.
fn thousandths(text: &str) -> u16 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = rest.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u16>()) {
        ("1", Ok(0)) => 1_000,
        ("0", Ok(thousandths)) => thousandths,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use ::http::StatusCode;

    use super::*;
    use crate::app::App;

    const HTML: HeaderValue = HeaderValue::from_static("text/html");

    fn ask(app: &App, method: &str, accept: &str) -> (u16, String, String) {
        let request = ::http::Request::builder().method(method).uri("/x").header("accept", accept);
        let answer = app.oneshot(request.body("").unwrap());
        let media_type = answer.headers().get("content-type").map_or("-", |value| value.to_str().unwrap());
        let media_type = media_type.to_owned();
        (answer.status().as_u16(), media_type, String::from_utf8(answer.into_body().to_vec()).unwrap())
    }

    #[test]
    fn a_status_has_its_page_or_that_of_its_class() {
        let app = App::new()
            .layer(ErrorPages::new().page(405, HTML, "not so: {title}").page(
                4,
                HTML,
                "{status} {reason} {detail}",
            ))
            .post("/x", |_: &Request<'_>| Response::from(StatusCode::CONFLICT))
            .get("/y", |_: &Request<'_>| "fine");
        let page = |text: &str| (text[..3].parse().unwrap(), "text/html".to_owned(), text.to_owned());
        assert_eq!(ask(&app, "GET", "*/*"), (405, "text/html".into(), "not so: Method Not Allowed".into()));
        assert_eq!(
            ask(&app, "POST", "*/*"),
            (409, "-".into(), String::new()),
            "a handler's answer is its own"
        );
        let app = App::new().layer(ErrorPages::new().page(4, HTML, "{status} {reason} {detail}"));
        assert_eq!(ask(&app, "GET", "*/*"), page("404 route.none there is nothing at this path"));
        assert_eq!(ask(&app, "BREW", "*/*").0, 501);
        assert!(ask(&app, "BREW", "*/*").2.contains("(route.method_unknown)"), "there is no page for it");
    }

    #[test]
    fn braces_are_braces_but_around_what_is_known() {
        for (page, sent) in [
            ("{status}{status}", "404404"),
            ("a{b:c}{{d}}", "a{b:c}{{d}}"),
            ("{{status}} is {status}", "{status} is 404"),
            ("{{{status}}}", "{{status}}"),
            ("{{status}", "{404"),
            ("{status}}", "404}"),
            ("if(x){{let y={title}", "if(x){{let y=Not Found"),
            ("{id}{Status}{", "{Status}{"),
            ("\u{e9}{reason}\u{e9}", "\u{e9}route.none\u{e9}"),
        ] {
            let app = App::new().layer(ErrorPages::new().page(404, HTML, page));
            assert_eq!(ask(&app, "GET", "*/*").2, sent, "{page}");
        }
    }

    #[test]
    fn rfc_9457_programs_get_json() {
        let app = App::new().layer(ErrorPages::new().page(4, HTML, "page"));
        for (accept, is_json) in [
            ("application/json", true),
            ("application/problem+json;q=0.3", true),
            ("text/html, application/json", false),
            ("text/html;q=0.5, application/json;q=0.9", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("application/json, text/plain, */*", true),
            ("application/json;q=0.1, */*;q=0.9", false),
            ("text/html;q=0.1, text/*;q=0.9, application/json;q=0.5", true),
            ("application/json;q=0", false),
            ("application/json;q=x", false),
            ("text/html, application/json;Q=0.1", false),
            ("", false),
        ] {
            let (status, media_type, body) = ask(&app, "GET", accept);
            assert_eq!((status, media_type == "application/problem+json"), (404, is_json), "{accept}");
            if is_json {
                assert_eq!(
                    body,
                    "{\"status\":404,\"title\":\"Not Found\",\"reason\":\"route.none\",\"detail\":\"there is nothing at this path\"}\n"
                );
            }
        }
    }

    #[test]
    fn rfc_9110_12_5_5_caches_are_told_and_every_line_counts() {
        let app = App::new().layer(ErrorPages::new().page(4, HTML, "page"));
        let request = ::http::Request::get("/")
            .header("accept", "text/html;q=0.1")
            .header("accept", "application/json");
        let answer = app.oneshot(request.body("").unwrap());
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["vary"], "Accept");
        let app = App::new().layer(ErrorPages::new()).layer(ErrorPages::new());
        let answer = app.oneshot(::http::Request::get("/").body("").unwrap());
        assert_eq!(answer.headers().get_all("vary").iter().count(), 1, "said once");
    }

    #[test]
    fn who_refuses_with_a_page_of_his_own_is_left_alone() {
        let works = crate::app::Maintenance::new().page(HTML, "soon");
        let app = App::new().layer(ErrorPages::new().page(5, HTML, "page")).layer(works);
        assert_eq!(ask(&app, "GET", "*/*"), (503, "text/html".into(), "soon".into()));
        assert_eq!(ask(&app, "GET", "application/json").2, "soon");
    }

    #[test]
    fn no_sentence_needs_an_escape() {
        for reason in Reason::ALL {
            assert!(!reason.sentence().contains(['"', '\\', '<', '>', '&', '{']), "{}", reason.code());
        }
    }
}
