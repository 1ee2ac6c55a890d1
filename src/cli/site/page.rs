//! [`Facts`]: what is known about one exchange, and the page that tells it. Pure: facts in, HTML out.
//!
//! The page is sent in two parts ([`Facts::opening`], [`Facts::closing`]), because it tells how long
//! its own sending took:
//!
//! ```text
//!  opening ──► kernel takes the first bytes ──► respond() is known ──► closing
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use super::bytes::{REQUEST_LINE, STATUS_LINE, escape, escaped, head_lines};
use super::frames::{field_lines, frame_lines};
use super::routes::ROUTES;

/// More requests than this on one connection are told as a number only.
const PIPS_MAX: u64 = 24;

/// The page with everything in it that never changes, cut where the sending pauses.
static TEMPLATE: LazyLock<(String, String)> = LazyLock::new(|| {
    let page = fill(include_str!("page.html"), |name| match name {
        "css" => Cow::Borrowed(include_str!("page.css")),
        "icon" => Cow::Owned(uri_escaped(include_str!("icon.svg").trim_end())),
        "version" => Cow::Borrowed(env!("CARGO_PKG_VERSION")),
        other => Cow::Owned(format!("{{{{{other}}}}}")),
    });
    let (opening, closing) = page.split_once("{{pause}}").unwrap_or((&page, ""));
    (opening.to_owned(), closing.to_owned())
});

/// One exchange, as the page tells it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) peer: String,
    pub(super) worker: usize,
    pub(super) connection: u64,
    /// The number of this request on its connection, from 1.
    pub(super) request: u64,
    pub(super) request_head: RequestHead,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) host: Option<Vec<u8>>,
    pub(super) field_count: usize,
    pub(super) framing: Framing,
    pub(super) keep: Keep,
    pub(super) route: String,
    /// Lines of text, also where they are sent in another form.
    pub(super) response_head: Vec<u8>,
    /// Whether the page is sent in chunks; else the end of the connection ends it (HTTP/1.0).
    pub(super) chunked: bool,
}

/// The head of the request, as it came.
#[derive(Clone, Debug)]
pub(super) enum RequestHead {
    /// HTTP/1.
    Text(Vec<u8>),
    /// HTTP/2: the frame, where it was one, and what it says.
    Frame { frame: Vec<u8>, fields: Vec<(String, Vec<u8>)> },
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::Text(Vec::new())
    }
}

/// How the request's body was delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// Whether the connection is kept, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keep {
    #[default]
    ByDefault,
    ClientCloses,
    OldVersion,
    /// Many requests share it.
    Shared,
}

/// The durations of the stages, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) accept: Option<Duration>,
    pub(super) parse: Option<Duration>,
    pub(super) handle: Option<Duration>,
    pub(super) respond: Option<Duration>,
}

impl Facts {
    /// Everything up to the moment when the first bytes leave.
    pub(super) fn opening(&self, times: Times) -> String {
        fill(&TEMPLATE.0, |name| match name {
            "accept_time" => self.accept_time(times.accept).into(),
            "connection_story" => self.connection_story().into(),
            "peer" => escaped(self.peer.as_bytes()).into(),
            "worker" => self.worker.to_string().into(),
            "connection" => self.connection.to_string().into(),
            "request" => self.request.to_string().into(),
            "pips" => self.pips().into(),
            "parse_time" => time(times.parse, "from bytes to a head").into(),
            "parse_story" => self.parse_story().into(),
            "request_head" => self.request_lines().into(),
            "method" => escaped(self.method.as_bytes()).into(),
            "path" => escaped(self.path.as_bytes()).into(),
            "query" => self.query().into(),
            "host" => self.host().into(),
            "field_count" => self.field_count.to_string().into(),
            "framing" => self.framing().into(),
            "keep_alive" => self.keep_alive().into(),
            "handle_time" => time(times.handle, "to find the route and to decide").into(),
            "route" => escaped(self.route.as_bytes()).into(),
            "routes" => self.routes().into(),
            "respond_story" => self.respond_story().into(),
            "response_head" => self.response_lines().into(),
            "framing_lesson" => self.framing_lesson().into(),
            _ => unknown(name),
        })
    }

    /// The rest, with what the sending of the opening has taught.
    pub(super) fn closing(&self, times: Times) -> String {
        fill(&TEMPLATE.1, |name| match name {
            "respond_time" => {
                time(times.respond, "to write this page, until the kernel took the first part of it").into()
            }
            "river" => river(times).into(),
            "legend" => self.legend(times).into(),
            "sum" => sum(times).into(),
            _ => unknown(name),
        })
    }

    fn is_first(&self) -> bool {
        self.request <= 1
    }

    fn accept_time(&self, accept: Option<Duration>) -> String {
        if self.is_first() {
            time(accept, "from the slot to your bytes; most of it is waiting for them")
        } else {
            time(Some(Duration::ZERO), "nothing to accept")
        }
    }

    fn connection_story(&self) -> String {
        if self.is_first() {
            return "Yours is new, and this is the first request on it. <a href=\"/\">Reload</a>: the second \
                    request comes over the same connection."
                .into();
        }
        format!(
            "<strong>Keep-alive at work: same connection, request number {}; accept cost nothing.</strong>",
            self.request
        )
    }

    fn pips(&self) -> String {
        let mut out = String::new();
        if self.request <= PIPS_MAX {
            for _ in 1..self.request {
                out.push_str("<i></i>");
            }
            out.push_str("<i class=\"now\"></i>");
        }
        let requests = if self.is_first() { "request" } else { "requests" };
        let _ = write!(out, "<span>{} {requests} on this connection so far</span>", self.request);
        out
    }

    const fn is_multiplexed(&self) -> bool {
        matches!(self.request_head, RequestHead::Frame { .. })
    }

    fn parse_story(&self) -> String {
        match &self.request_head {
            RequestHead::Text(head) => format!(
                "One pass over the bytes, no copy: the parser notes <em>where</em> each part is. This is the \
                 head of your request, all {} bytes of it.",
                head.len()
            ),
            RequestHead::Frame { frame, .. } if frame.is_empty() => {
                "Your head was too long for one frame of HTTP/2. Put together and decoded, it says:".into()
            }
            RequestHead::Frame { frame, .. } => format!(
                "You speak HTTP/2: your request is a frame, and its fields are written in HPACK, where what \
                 both sides know has a number. This is your HEADERS frame, all {} bytes of it, and what they \
                 say.",
                frame.len()
            ),
        }
    }

    fn request_lines(&self) -> String {
        match &self.request_head {
            RequestHead::Text(head) => head_lines(head, &REQUEST_LINE),
            RequestHead::Frame { frame, fields } => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), &value[..]));
                frame_lines(frame) + &field_lines(fields)
            }
        }
    }

    const fn respond_story(&self) -> &'static str {
        if self.is_multiplexed() {
            "They begin with a HEADERS frame that says this:"
        } else {
            "They begin with this head, just as it was sent:"
        }
    }

    fn response_lines(&self) -> String {
        if !self.is_multiplexed() {
            return head_lines(&self.response_head, &STATUS_LINE);
        }
        let lines = self.response_head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let fields = lines.skip(1).filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
        });
        field_lines([(":status", &b"200"[..])].into_iter().chain(fields))
    }

    fn query(&self) -> String {
        match &self.query {
            Some(query) => escaped(query.as_bytes()),
            None => "<small>none: the target has no question mark</small>".into(),
        }
    }

    fn host(&self) -> String {
        match &self.host {
            Some(host) => escaped(host),
            None => "<small>none: HTTP/1.0 does not ask for it</small>".into(),
        }
    }

    fn framing(&self) -> String {
        match self.framing {
            Framing::None if self.is_multiplexed() => {
                "none<small>the HEADERS frame ends the stream</small>".into()
            }
            Framing::None => "none<small>neither Content-Length nor Transfer-Encoding</small>".into(),
            Framing::Length(bytes) => format!("{bytes} bytes<small>Content-Length says so</small>"),
            Framing::Chunked => "chunked<small>each chunk says its size</small>".into(),
        }
    }

    const fn keep_alive(&self) -> &'static str {
        match self.keep {
            Keep::ByDefault => "kept<small>HTTP/1.1 keeps it unless one side says close</small>",
            Keep::Shared => "kept<small>in HTTP/2 requests are streams of one connection</small>",
            Keep::ClientCloses => "closed afterwards<small>you said Connection: close</small>",
            Keep::OldVersion => {
                "closed afterwards<small>in HTTP/1.0 that is how a page of unknown length ends</small>"
            }
        }
    }

    fn routes(&self) -> String {
        let host = escaped(self.host.as_deref().unwrap_or(b"127.0.0.1:8080"));
        let mut out = String::new();
        for route in ROUTES {
            let here = if route.pattern == self.route { " class=\"here\"" } else { "" };
            let _ = write!(out, "<tr{here}><td><code>");
            let pattern = escaped(route.pattern.as_bytes());
            let _ = match route.by_link() {
                Some(path) => write!(out, "<a href=\"{path}\">{pattern}</a>"),
                None => write!(out, "{pattern}"),
            };
            let _ = write!(out, "</code></td><td>{}</td><td><code>curl ", route.what);
            for option in route.curl {
                escape(&mut out, option.as_bytes());
                out.push(' ');
            }
            let _ = writeln!(out, "http://{host}{}</code></td></tr>", route.example);
        }
        out
    }

    const fn framing_lesson(&self) -> &'static str {
        if self.is_multiplexed() {
            "There is no <code>content-length</code>. When this head left, nobody knew how long the page \
             would be: its last part tells how long sending its first part took. It comes in DATA frames, each with \
             its length in front, and the last one says <code>END_STREAM</code>."
        } else if self.chunked {
            "There is no <code>Content-Length</code>. When this head left, nobody knew how long the page would \
             be: its last part tells how long sending its first part took. So it comes in <em>chunks</em>, \
             each with its size before it, and a chunk of size zero at the end."
        } else {
            "There is no <code>Content-Length</code>: when this head left, nobody knew how long the page would \
             be. HTTP/1.0 has no chunks, so the end of the connection is the end of the page."
        }
    }

    fn legend(&self, times: Times) -> String {
        let accept = if self.is_first() { times.accept } else { Some(Duration::ZERO) };
        let accept_says = if self.is_first() { "accept, and waiting for you" } else { "accept: kept alive" };
        [
            ("accept", accept, accept_says),
            ("parse", times.parse, "parse"),
            ("handle", times.handle, "handle"),
            ("respond", times.respond, "respond"),
        ]
        .into_iter()
        .map(|(class, time, says)| format!("<li class=\"{class}\"><b>{}</b>{says}</li>\n", duration(time)))
        .collect()
    }
}

/// The stages that are the server's own work, each as wide as it was long.
fn river(times: Times) -> String {
    [("parse", times.parse), ("handle", times.handle), ("respond", times.respond)]
        .into_iter()
        .filter_map(|(class, time)| Some((class, time?)))
        .map(|(class, time)| {
            format!("<i class=\"{class}\" style=\"flex:{:.3}\"></i>", time.as_secs_f64().max(1e-9) * 1e6)
        })
        .collect()
}

fn sum(times: Times) -> String {
    match (times.parse, times.handle, times.respond) {
        (Some(parse), Some(handle), Some(respond)) => format!(
            "{} from reading your bytes to the kernel taking the first of these: parse, handle and respond, \
             drawn to scale.",
            duration(Some(parse + handle + respond))
        ),
        _ => "Stages are timed where somebody looks. This connection came from a route where nobody does: reload.".into(),
    }
}

fn time(time: Option<Duration>, says: &str) -> String {
    format!("<p class=\"time\"><b>{}</b> {says}</p>", duration(time))
}

/// Three significant digits at most, in the unit that suits.
fn duration(time: Option<Duration>) -> String {
    let Some(time) = time else { return "\u{2013}".into() };
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        0.0 => "0 µs".into(),
        ..10.0 => format!("{micros:.2} µs"),
        ..100.0 => format!("{micros:.1} µs"),
        ..1e3 => format!("{micros:.0} µs"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

/// Replaces each `{{name}}` of `template` by its value.
fn fill<'v>(template: &str, value: impl Fn(&str) -> Cow<'v, str>) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(&value(name));
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn unknown(name: &str) -> Cow<'static, str> {
    debug_assert!(false, "the page asks for {name}");
    Cow::Borrowed("")
}

/// For a `data:` URI within double quotes.
fn uri_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '%' | '#' | '"' | '<' | '>' | '{' | '}' => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(request: u64) -> Facts {
        Facts {
            peer: "127.0.0.1:50000".into(),
            worker: 1,
            connection: 7,
            request,
            request_head: RequestHead::Text(
                b"GET /?a=<b> HTTP/1.1\r\nHost: x\r\nX-Evil: <script>{{css}}\xFF\r\n\r\n".to_vec(),
            ),
            method: "GET".into(),
            path: "/".into(),
            query: Some("a=<b>".into()),
            host: Some(b"x".to_vec()),
            field_count: 2,
            route: "/".into(),
            response_head: b"HTTP/1.1 200 OK\r\nServer: kolk\r\n\r\n".to_vec(),
            chunked: true,
            ..Facts::default()
        }
    }

    fn times() -> Times {
        let micros = |micros| Some(Duration::from_micros(micros));
        Times { accept: micros(9), parse: micros(1), handle: micros(2), respond: micros(37) }
    }

    #[test]
    fn both_parts_are_one_page_with_nothing_left_open() {
        let page = facts(1).opening(times()) + &facts(1).closing(times());
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(!page.contains("{{"), "{page}");
        for element in ["section", "li", "dl", "table", "tr", "td", "code", "span", "b", "div", "p", "ol"] {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "<{element}>");
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let page = facts(1).opening(times());
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert!(page.contains("a=&lt;b&gt;"));
        assert!(page.contains("\\xFF"));
        let css = include_str!("page.css");
        assert_eq!(
            page.matches(":root").count(),
            css.matches(":root").count(),
            "no template name from outside"
        );
    }

    #[test]
    fn the_second_request_shows_keep_alive() {
        assert!(
            facts(1)
                .opening(times())
                .contains("Reload</a>: the second request comes over the same connection")
        );
        let second = facts(2).opening(times());
        assert!(
            second.contains("Keep-alive at work: same connection, request number 2; accept cost nothing")
        );
        assert!(second.contains("<b>0 µs</b> nothing to accept"));
    }

    #[test]
    fn the_respond_stage_is_told_in_the_second_part() {
        assert!(!facts(1).opening(times()).contains("37.0 µs"));
        let closing = facts(1).closing(times());
        assert!(closing.contains("<b>37.0 µs</b>") && closing.contains("40.0 µs from reading"), "{closing}");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert!(facts(1).closing(Times::default()).contains("<b>\u{2013}</b>"));
    }

    #[test]
    fn durations_have_three_digits() {
        for (nanos, text) in [
            (0, "0 µs"),
            (840, "0.84 µs"),
            (12_345, "12.3 µs"),
            (123_456, "123 µs"),
            (1_234_567, "1.23 ms"),
            (45_600_000, "46 ms"),
            (2_500_000_000, "2.5 s"),
        ] {
            assert_eq!(duration(Some(Duration::from_nanos(nanos))), text);
        }
    }

    #[test]
    fn the_winning_route_is_marked() {
        let page = facts(1).opening(times());
        assert_eq!(page.matches("<tr class=\"here\">").count(), 1);
        assert!(page.contains("curl -i http://x/json</code>"), "with the visitor's own host");
    }
}
