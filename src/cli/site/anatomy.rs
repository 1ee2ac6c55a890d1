//! `/`: the handler of the page that takes the visitor's own request apart.
//!
//! The page is a [`Source`] of two pulls. The first ends where the bytes leave; the second comes when
//! the kernel has taken them, and tells how long that took.

use std::time::Duration;

use kolk::{Body, Pull, Pulled, Source, Timeline, Version};
use kolk::{Request, Response};

use http::header::{self, HeaderName, HeaderValue};

use super::page::{Facts, Framing, Keep, RequestHead, Times};
use crate::cli::clock;

/// How long the second pull waits: any time will do, as long as the first bytes leave before.
const PAUSE: Duration = Duration::from_millis(1);

/// Nothing of a request becomes active content, even if the escaping had a hole.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Answers with the anatomy of `request`.
pub(super) fn anatomy(request: &Request<'_>) -> Response {
    let mut response = Response::html(());
    for (name, value) in [
        (header::SERVER, HeaderValue::from_static("kolk")),
        (header::DATE, HeaderValue::try_from(clock::http_date()).unwrap_or(HeaderValue::from_static(""))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ] {
        response.append(&name, &value);
    }
    let mut facts = facts(request);
    facts.response_head = response_head(&response, facts.keep);
    response.set_body(Body::Source(Box::new(Page { facts, opened: false })));
    response
}

/// The page, on its way.
#[derive(Debug)]
struct Page {
    facts: Facts,
    opened: bool,
}

impl Source for Page {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let times = Times::from(pull.timeline());
        if self.opened {
            pull.write(self.facts.closing(times).as_bytes());
            return Pulled::End;
        }
        self.opened = true;
        pull.write(self.facts.opening(times).as_bytes());
        Pulled::After(PAUSE)
    }
}

impl From<&Timeline> for Times {
    fn from(timeline: &Timeline) -> Self {
        Self {
            accept: timeline.accept(),
            parse: timeline.parse(),
            handle: timeline.handle(),
            respond: timeline.respond(),
        }
    }
}

fn facts(request: &Request<'_>) -> Facts {
    Facts {
        peer: request.peer().map_or_else(|| "a Unix socket".into(), |peer| peer.to_string()),
        worker: request.worker(),
        // The upper half is the number of the worker, which stands beside it.
        connection: request.connection_number() & u64::from(u32::MAX),
        request: request.request_number().into(),
        request_head: request_head(request),
        method: request.method_name().to_owned(),
        path: request.path().to_owned(),
        query: request.query().map(str::to_owned),
        host: request.header_bytes(header::HOST).map(<[u8]>::to_vec),
        field_count: request.headers().count(),
        framing: framing(request),
        keep: keep(request),
        route: request.route().to_owned(),
        response_head: Vec::new(),
        chunked: request.version() != Version::Http10,
    }
}

fn request_head(request: &Request<'_>) -> RequestHead {
    if request.version() != Version::Http2 {
        return RequestHead::Text(request.head().bytes().to_vec());
    }
    let target = request.target().as_bytes().to_vec();
    let pseudo = [(":method", request.method_name().as_bytes().to_vec()), (":path", target)];
    // The authority stands among the fields as Host, for every version alike.
    let fields = request.headers().map(|(name, value)| (name, value.to_vec()));
    RequestHead::Frame {
        frame: request.head().frame().unwrap_or_default().to_vec(),
        fields: pseudo.into_iter().chain(fields).map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

fn framing(request: &Request<'_>) -> Framing {
    if request.header_bytes(header::TRANSFER_ENCODING).is_some() {
        return Framing::Chunked;
    }
    match request.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()) {
        None | Some(0) => Framing::None,
        Some(bytes) => Framing::Length(bytes),
    }
}

fn keep(request: &Request<'_>) -> Keep {
    match request.version() {
        Version::Http10 => return Keep::OldVersion,
        Version::Http11 => {}
        Version::Http2 | Version::Http3 => return Keep::Shared,
    }
    // RFC 9110 §7.6.1: a list of options in any case, perhaps over several lines.
    let closes = request
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
    if closes { Keep::ClientCloses } else { Keep::ByDefault }
}

/// The head as the protocol writes it; a test compares it with the bytes that arrive.
fn response_head(response: &Response, keep: Keep) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    if matches!(keep, Keep::ClientCloses | Keep::OldVersion) {
        head.extend_from_slice(b"Connection: close\r\n");
    }
    if let Some(content_type) = response.content_type() {
        head.extend_from_slice(b"Content-Type: ");
        head.extend_from_slice(content_type.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(response.fields().block());
    if !matches!(keep, Keep::OldVersion | Keep::Shared) {
        head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
