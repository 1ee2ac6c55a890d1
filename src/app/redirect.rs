//! [`Redirect`]: sends clients elsewhere. RFC 9110 §10.2.2, §15.4, RFC 3986 §2.
//!
//! ```text
//!  "https://example.com/{name}{query}" ─► text and placeholders ─► Location
//!                            values: only what may stand there as it is, the rest percent-encoded;
//!                            behind a `?` also what would end one parameter and begin another
//! ```
//! What a client sends can never make a new line, nor choose the host: a template without a host of its own
//! gives a path that begins with exactly one slash. Nor does a value add parameters to a query.

use std::fmt::{self, Write as _};

use ::http::{HeaderValue, StatusCode, header};

use super::explain::{Stage, Step};
use super::handler::{Handler, Outcome};
use super::request::Request;
use crate::http::{Reason, Response};

/// Answers with the address of another place.
///
/// | placeholder | stands for |
/// | --- | --- |
/// | `{uri}` | path and query, as they were sent |
/// | `{path}` | the normalised path |
/// | `{query}` | the query with its `?`, or nothing |
/// | `{host}` | the host that was asked for, in small letters, without a port or a final dot |
/// | `{name}` | what this parameter of the route's pattern has matched; nothing, if it has none of that name |
///
/// A parameter that has one of the other names comes first; but not within the host, where no parameter may
/// stand, nor as the path right behind it.
///
/// Behind a `?` each of them is the value of one parameter, whatever is in it: `&`, `=`, `+` and `;` are
/// encoded. `{query}` there is more parameters, with a `&` before them instead of the `?`.
///
/// ```
/// use kolk::{App, Redirect};
///
/// let app = App::new().get("/old/{name}", Redirect::to("/new/{name}{query}")?.permanent());
/// let answer = app.oneshot(http::Request::get("/old/a%20b?c=d").body("").unwrap());
/// assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (301, &"/new/a%20b?c=d".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redirect {
    status: StatusCode,
    parts: Vec<Part>,
    /// So many of the parts are the host and what ends it, where it is the template's: no parameter stands in
    /// them.
    host_parts: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Uri,
    Path,
    Query,
    Host,
    Param(String),
}

/// What stays as it is in a path (RFC 3986 §3.3), its slashes included.
const PATH: &[u8] = b"-._~!$&'()*+,;=:@/";
/// In a query, which has its own parameters: RFC 3986 §3.4.
const QUERY: &[u8] = b"-._~!$&'()*+,;=:@/?";
/// In the value of one parameter: nothing that forms take for more than that.
const VALUE: &[u8] = b"-._~!$'()*,:@/?";

/// Why a text is no template of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace has no other, or nothing in between.
    Brace,
    /// A character that an address cannot have.
    Character(char),
    /// A `%` without two digits behind it.
    Escape,
    /// It begins neither with a slash nor with `http://` or `https://` and a host.
    Beginning,
    /// A parameter would become a part of the host.
    Host,
}

impl Redirect {
    /// To this place, for now: 302. It begins with a slash or a placeholder, or with a scheme and a host.
    ///
    /// # Errors
    /// If it is no such template.
    pub fn to(template: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            push_text(&mut parts, &rest[..at])?;
            if let Some(brace) = ["{{", "}}"].iter().find(|braces| rest[at..].starts_with(**braces)) {
                // RFC 3986 §2: a brace is no character of an address.
                return Err(TemplateError::Character(if *brace == "{{" { '{' } else { '}' }));
            }
            let inside = rest[at..].strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, behind) = inside.split_once('}').ok_or(TemplateError::Brace)?;
            parts.push(match name {
                "" => return Err(TemplateError::Brace),
                "uri" => Part::Uri,
                "path" => Part::Path,
                "query" => Part::Query,
                "host" => Part::Host,
                name => Part::Param(name.to_owned()),
            });
            rest = behind;
        }
        push_text(&mut parts, rest)?;
        let has_host = match parts.first() {
            Some(Part::Text(text)) if text.starts_with("//") => return Err(TemplateError::Beginning),
            Some(Part::Text(text)) if text.starts_with('/') => false,
            Some(Part::Text(text)) => {
                let behind = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
                match behind {
                    Some("") if parts.get(1) == Some(&Part::Host) => true,
                    Some(host) if !host.is_empty() && !host.starts_with('/') => true,
                    _ => return Err(TemplateError::Beginning),
                }
            }
            Some(Part::Uri | Part::Path | Part::Param(_)) => false,
            Some(Part::Query | Part::Host) | None => return Err(TemplateError::Beginning),
        };
        let host_parts = if has_host { Some(host_parts(&parts).ok_or(TemplateError::Host)?) } else { None };
        Ok(Self { status: StatusCode::FOUND, parts, host_parts })
    }

    /// Whether the host is that of the request, or a part of it is.
    #[cfg(feature = "config")]
    pub(crate) fn keeps_host(&self) -> bool {
        self.parts[..self.host_parts.unwrap_or(0)].contains(&Part::Host)
    }

    /// For ever: 301.
    #[must_use]
    pub const fn permanent(mut self) -> Self {
        self.status = StatusCode::MOVED_PERMANENTLY;
        self
    }

    /// With this status: 301, 302, 303, 307 or 308.
    ///
    /// # Panics
    /// For any other.
    #[must_use]
    #[track_caller]
    pub fn status(mut self, status: StatusCode) -> Self {
        assert!(matches!(status.as_u16(), 301..=303 | 307 | 308), "{status} is not that of a redirect");
        self.status = status;
        self
    }

    /// Where `request` is sent.
    ///
    /// # Errors
    /// If a host is needed, and it has none, or what it has is none.
    fn place(&self, request: &Request<'_>) -> Result<HeaderValue, Reason> {
        let mut place = String::new();
        // Nobody has called the parameter of a fallback so: it is the whole path, but for its slash.
        let is_named = request.route().starts_with('/');
        for (number, part) in self.parts.iter().enumerate() {
            let may_be_param = is_named && number >= self.host_parts.unwrap_or(0);
            match part.name().filter(|_| may_be_param).and_then(|name| request.param(name)) {
                Some(value) => {
                    let stays = stays(&place);
                    push_encoded(&mut place, value, stays);
                }
                None => part.push(&mut place, request)?,
            }
        }
        if self.host_parts.is_none() {
            // No second slash, which would begin a host, and no backslash, which some take for one.
            let path = place.trim_start_matches(['/', '\\']);
            place = format!("/{path}");
        }
        HeaderValue::try_from(place).map_err(|_| Reason::Target)
    }
}

impl Handler for Redirect {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        match self.place(request) {
            Ok(place) => {
                response.set_status(self.status);
                response.append(&header::LOCATION, &place);
            }
            Err(reason) => response.refuse(reason),
        }
        Outcome::Ready
    }

    fn explain(&self, request: &Request<'_>) -> Vec<Step> {
        let place = self.place(request);
        let place = match &place {
            Ok(place) => place.to_str().unwrap_or_default(),
            Err(Reason::HostMissing) => "nowhere: there is no host",
            Err(_) => "nowhere: the host is none",
        };
        vec![Step::new(Stage::Handle, "action", format!("redirect with {} to {place}", self.status.as_u16()))]
    }
}

impl Part {
    /// What a parameter is called that comes first.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Uri => Some("uri"),
            Self::Path => Some("path"),
            Self::Query => Some("query"),
            Self::Host => Some("host"),
            Self::Param(name) => Some(name),
        }
    }

    /// What stands for it where there is no such parameter.
    fn push(&self, place: &mut String, request: &Request<'_>) -> Result<(), Reason> {
        match self {
            Self::Text(text) => place.push_str(text),
            Self::Uri if is_query(place) => {
                // Whoever reads the parameter decodes it once, and has what was sent.
                push_raw(place, request.head().target().path);
                if let Some(query) = request.query() {
                    place.push('?');
                    push_raw(place, query);
                }
            }
            Self::Uri => {
                // Of an absolute target only what is behind the host.
                push_sent(place, request.head().target().path);
                push_query(place, request);
            }
            Self::Path => push_encoded(place, request.path(), stays(place)),
            Self::Query => push_query(place, request),
            Self::Host => {
                let host = request.host().ok_or(Reason::HostMissing)?;
                place.push_str(&plain_host(is_host(host).then_some(host).ok_or(Reason::HostInvalid)?));
            }
            Self::Param(_) => {}
        }
        Ok(())
    }
}

/// Whether what comes next is part of a query. No value can have put the sign there: in a path it is encoded.
fn is_query(place: &str) -> bool {
    place.contains('?')
}

/// What stays as it is in the value that comes next.
fn stays(place: &str) -> &'static [u8] {
    if is_query(place) { VALUE } else { PATH }
}

/// A host as names are compared: without regard to case, nor to a final dot. RFC 9110 §4.2.3, RFC 1034 §3.1.
pub(crate) fn plain_host(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// How many parts are the host and what ends it; `None` if a value could become a part of the host, for lack
/// of something before it that begins a path or a query.
fn host_parts(parts: &[Part]) -> Option<usize> {
    let scheme = |text: &str| text.find("//").map_or(0, |at| at + 2);
    for (number, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text)
                if text[if number == 0 { scheme(text) } else { 0 }..].contains(['/', '?', '#']) =>
            {
                return Some(number + 1);
            }
            // A query may be nothing.
            Part::Text(_) | Part::Host | Part::Query => {}
            Part::Uri | Part::Path => return Some(number + 1),
            Part::Param(_) => return None,
        }
    }
    Some(parts.len())
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), TemplateError> {
    if let Some(character) =
        text.chars().find(|character| !character.is_ascii_graphic() || *character == '\\')
    {
        return Err(TemplateError::Character(character));
    }
    // RFC 3986 §2.1. No value goes on with it: the sign of one that is none is encoded.
    let is_escape =
        |behind: &str| behind.len() >= 2 && behind.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(TemplateError::Escape);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

/// The query: the only one, or more of the one that is there.
fn push_query(place: &mut String, request: &Request<'_>) {
    let Some(query) = request.query() else { return };
    if !place.contains('?') {
        place.push('?');
    } else if !place.ends_with(['?', '&']) {
        place.push('&');
    }
    push_sent(place, query);
}

/// A path or a query as it was sent, but for what stands in no URL. RFC 3986 §2.1.
pub(crate) fn push_sent(place: &mut String, text: &str) {
    push_encoded(place, text, QUERY);
}

/// The text as the value of one parameter, its escapes included.
fn push_raw(place: &mut String, text: &str) {
    for (number, piece) in text.split('%').enumerate() {
        place.push_str(if number > 0 { "%25" } else { "" });
        push_encoded(place, piece, VALUE);
    }
}

/// Letters, digits, escapes and `stays` stay as they are.
fn push_encoded(place: &mut String, text: &str, stays: &[u8]) {
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let is_escape = byte == b'%'
            && bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if byte.is_ascii_alphanumeric() || is_escape || stays.contains(&byte) {
            place.push(char::from(byte));
        } else {
            // A string takes everything.
            let _ = write!(place, "%{byte:02X}");
        }
    }
}

/// Whether it is a name or an address, and nothing that a browser could take for the end of one.
pub(crate) fn is_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        _ if host.is_empty() => false,
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')),
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brace => f.write_str("a brace has no other, or nothing stands between them"),
            Self::Character(character) => write!(f, "{character:?} cannot stand in an address: encode it"),
            Self::Escape => f.write_str("a `%` has no two hexadecimal digits behind it: itself it is `%25`"),
            Self::Host => f.write_str("a parameter would become a part of the host: put a `/` before it"),
            Self::Beginning => f.write_str("it begins neither with `/` nor with `https://` and a host"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::App;

    fn place(pattern: &str, template: &str, uri: &str) -> String {
        let app = App::new().any(pattern, Redirect::to(template).unwrap());
        let answer = app.oneshot(::http::Request::get(uri).body("").unwrap());
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    #[test]
    fn placeholders_stand_for_parts_of_the_request() {
        for (pattern, template, uri, expected) in [
            (
                "/{*rest}",
                "https://example.com{uri}",
                "http://a/x%20y/z?q=1&r=%2F",
                "https://example.com/x%20y/z?q=1&r=%2F",
            ),
            ("/{*rest}", "https://{host}{uri}", "http://a.example:8080/x", "https://a.example/x"),
            ("/old/{name}", "/new/{name}{query}", "/old/a%20b?c", "/new/a%20b?c"),
            ("/old/{*rest}", "/new/{rest}", "/old/a/b/../c", "/new/a/c"),
            ("/{*rest}", "{path}", "/a%C3%A9/%41", "/a%C3%A9/A"),
            ("/{*rest}", "/fixed", "/x", "/fixed"),
            ("/{*rest}", "https://{host}/", "http://A.Example./", "https://a.example/"),
        ] {
            assert_eq!(place(pattern, template, uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn a_parameter_comes_first_but_not_within_the_host() {
        for (pattern, template, uri, expected) in [
            ("/old/{*path}", "/new/{path}", "/old/a/b", "/new/a/b"),
            ("/old/{*path}", "{path}", "/old/a/b", "/a/b"),
            ("/old/{*uri}", "/new/{uri}{query}", "/old/a?b", "/new/a?b"),
            ("/find/{query}", "/?q={query}", "/find/a&b?c", "/?q=a%26b"),
            ("/h/{host}", "/x/{host}", "http://a.test/h/Evil", "/x/Evil"),
            ("/h/{host}", "https://{host}/{host}", "http://a.test/h/evil", "https://a.test/evil"),
            ("/q/{query}", "https://a{query}/x", "/q/evil", "https://a/x"),
            ("/p/{*path}", "https://a{path}", "/p/evil", "https://a/p/evil"),
            ("/{*path}", "/to{path}", "/a/b", "/toa/b"),
            ("/p/{*uri}", "https://a{uri}/{uri}", "/p/evil", "https://a/p/evil/evil"),
        ] {
            assert_eq!(place(pattern, template, uri), expected, "{template} {uri}");
        }
        let app = App::new().otherwise(Redirect::to("/to{path}").unwrap());
        let answer = app.oneshot(::http::Request::get("/a/b").body("").unwrap());
        assert_eq!(answer.headers()["location"], "/to/a/b", "nobody has called a parameter so");
    }

    #[test]
    fn a_value_adds_no_parameters_to_a_query() {
        for (template, uri, expected) in [
            ("https://sso.test/?next={r}", "/q/a%26admin=1", "https://sso.test/?next=a%26admin%3D1"),
            ("https://sso.test/?next={path}&x", "/q/a;b+c", "https://sso.test/?next=/q/a%3Bb%2Bc&x"),
            ("/x?next={r}", "/q/a%23b%3Fc%2Fd%25", "/x?next=a%23b?c%2Fd%25"),
            ("/x?next={uri}", "/q/a%26b?c=d&e=%2F", "/x?next=/q/a%2526b?c%3Dd%26e%3D%252F"),
            ("/x?y=1{query}", "/q/?a=b", "/x?y=1&a=b"),
            ("/x?y=1{query}", "/q/", "/x?y=1"),
            ("/x?{query}&z", "/q/?a=b&c", "/x?a=b&c&z"),
            ("/x{query}&next={r}", "/q/1&2?a=b", "/x?a=b&next=1%262"),
            ("/x/{r}{query}", "/q/1&2=3?a=b", "/x/1&2=3?a=b"),
        ] {
            assert_eq!(place("/q/{*r}", template, uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_told_as_such() {
        let app = App::new().any("/", Redirect::to("https://{host}/").unwrap());
        let answer = app.oneshot(::http::Request::get("/").header("host", "a%0d%0ab").body("").unwrap());
        let body = String::from_utf8_lossy(answer.body());
        assert!(answer.status() == 400 && body.contains("(parse.host)"), "{body}");
    }

    #[test]
    fn nobody_chooses_the_host() {
        for (pattern, template, uri) in [
            ("/{*rest}", "/{rest}", "/%2Fevil.example/x"),
            ("/{*rest}", "{uri}", "//evil.example/x"),
            ("/{*rest}", "/{rest}", "/%5Cevil.example"),
            ("/{*rest}", "{rest}", "/%5C%5Cevil.example"),
            ("/{*rest}", "{rest}", "/https:%2F%2Fevil.example"),
        ] {
            let app = App::new().any(pattern, Redirect::to(template).unwrap());
            let answer = app.oneshot(::http::Request::get(uri).body("").unwrap());
            let Some(place) = answer.headers().get("location") else {
                assert_eq!(answer.status(), 400, "{uri}");
                continue;
            };
            let place = place.to_str().unwrap();
            assert!(
                place.starts_with('/') && !place.starts_with("//") && !place.starts_with("/\\"),
                "{place}"
            );
        }
        for template in [
            "https://a{rest}",
            "https://{host}{rest}",
            "https://a:{rest}/",
            "https://a{query}{rest}",
            "https://{host}{query}{rest}",
            "/a{{b}}",
            "//evil",
            "evil",
            "ftp://a",
            "https://",
            "https:///x",
            "{host}/x",
            "{query}",
            "",
            "/a b",
            "/{",
            "/}",
            "/{}",
            "/\\x",
            "/%",
            "/%zz",
            "/%2{rest}",
        ] {
            assert!(Redirect::to(template).is_err(), "{template}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 400,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever stands in a template, no value of a client gets between its host and what is behind.
        #[test]
        fn no_template_lets_a_client_choose_the_host(
            template in "(https://(a|\\{host\\})|/|)((\\{(rest|query|uri|path|host)\\})|/|\\?|x){0,5}",
            target in "/(evil\\.test|:8|/|@){0,3}(\\?(evil\\.test|/|@){0,2})?",
            host in "(a|x|:80|@|/|evil|\\[|\\]|%){0,3}",
        ) {
            let Ok(redirect) = Redirect::to(&template) else { return Ok(()) };
            let app = App::new().any("/{*rest}", redirect);
            let request = ::http::Request::get(&target).header("host", &host).body("");
            let answer = request.map(|request| app.oneshot(request));
            let Some(place) = answer.as_ref().ok().and_then(|answer| answer.headers().get("location")) else {
                return Ok(());
            };
            let place = place.to_str().unwrap();
            let Some(behind) = place.strip_prefix("https://") else {
                prop_assert!(place.starts_with('/') && !place.starts_with("//"), "{place}");
                return Ok(());
            };
            let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
            let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
            let asked = plain_host(&host[..end.unwrap_or(host.len())]);
            let query = if target.contains('?') { "?" } else { "" };
            let ours = template.strip_prefix("https://").unwrap();
            let ours = ours.replace("{host}", &asked).replace("{query}", query);
            let ours = ours.split(['/', '?', '#', '{']).next().unwrap_or_default();
            prop_assert_eq!(authority, ours, "{} of {} and {:?}", place, template, host);
        }

        /// Whatever comes in a path, the reader of the query finds the parameters of the template.
        #[test]
        fn no_value_adds_a_parameter(
            path in "(%26|%3[bBdD]|%2[bB]|%23|%25|[a-z&=+;?/%])*",
            template in prop::sample::select(vec!["/x?a={rest}&b=1", "/x?a={path}&b=1", "/x?a={uri}&b=1"]),
        ) {
            let app = App::new().any("/{*rest}", Redirect::to(template).unwrap());
            let Ok(request) = ::http::Request::get(format!("/{path}")).body("") else { return Ok(()) };
            let answer = app.oneshot(request);
            if let Some(place) = answer.headers().get("location") {
                let (_, query) = place.to_str().unwrap().split_once('?').unwrap();
                let names: Vec<_> = query.split(['&', ';']).map(|pair| pair.split('=').next()).collect();
                prop_assert_eq!(names, [Some("a"), Some("b")], "{}", query);
                prop_assert!(query.matches('=').count() == 2 && !query.contains(['+', '#']), "{query}");
            }
        }

        #[test]
        fn no_byte_of_a_client_makes_a_line(
            path in "(/|%2[fF]|%5[cC]|%0[dD]|%0[aA]|%[0-9a-f]{2}|[a-z:@.?&;=])*",
            template in prop::sample::select(vec!["/{rest}", "{rest}", "{uri}", "{path}{query}", "https://a{uri}", "/x/{rest}?{rest}"]),
        ) {
            let app = App::new().any("/{*rest}", Redirect::to(template).unwrap());
            let Ok(request) = ::http::Request::get(format!("/{path}")).body("") else { return Ok(()) };
            let answer = app.oneshot(request);
            if let Some(place) = answer.headers().get("location") {
                prop_assert!(place.as_bytes().iter().all(u8::is_ascii_graphic), "{place:?}");
                let place = place.to_str().unwrap();
                let is_ours = place.starts_with("https://a/") || (place.starts_with('/') && !place.starts_with("//"));
                prop_assert!(is_ours && !place.contains('\\'), "{place}");
            }
        }
    }
}
