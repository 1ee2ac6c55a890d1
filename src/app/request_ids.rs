//! [`RequestIds`]: a name for each request, and its place in a trace. W3C Trace Context §3.2, §3.3, §4.3.
//!
//! ```text
//!  connection, request ─► mixed by a secret ─┬─ 128 bits ─► id, trace id   unless the client's count
//!                                            └─ 64 bits ──► span id        always our own
//! ```
//! Invariant: no two requests of a server have the same 128 bits: the numbers are unique, and the mixing is a
//! permutation. Requests of two servers have not in practice: each has a secret of its own, which also keeps
//! clients from counting requests. It is no secret for anything else.
//! Invariant: an id, also one that a client has sent, has no sign that a field, a page, JSON or a line of a
//! log gives a meaning to. Nothing is drawn for a request, and no state is shared.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use ::http::HeaderName;

use super::layer::{Layer, Passage};
use super::request::{Place, Request};
use crate::http::Response;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longer ids of clients are not believed, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// `00-` trace id `-` span id `-` flags. W3C Trace Context §3.2.2.
const TRACEPARENT_BYTES: usize = 55;
/// Sampled, and whether the trace id is random: the flags that may be passed on. §3.2.2.5.
const FLAGS_PASSED_ON: u8 = 0b11;
const ROUNDS: usize = 4;
/// What a byte is in digits.
static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 0xf]];
        byte += 1;
    }
    pairs
};

/// Gives each request an id: in [`Request::id`], in the access log, in [`ErrorPages`](super::ErrorPages), and
/// as `X-Request-Id` in the answer. The client's `traceparent`, if it is valid, is continued with a span of
/// our own ([`Request::traceparent`], and in the answer); otherwise a trace begins. `tracestate` stays what
/// it was. To be the outermost layer; each server needs one of its own, not a clone of another server's.
///
/// Where it is around everything, what nobody could read has an id, too: always one of its own.
///
/// The `X-Request-Id` of a client becomes the id if it comes from a proxy that the server
/// [trusts](super::Trust), stands there once, and [can be one](RequestIds::is_id).
///
/// ```
/// use kolk::{App, Request, RequestIds};
///
/// let app = App::new()
///     .layer(RequestIds::new().believing_everybody())
///     .get("/", |request: &Request<'_>| format!("I am {}", request.id().unwrap_or("nobody")));
/// let get = |id| app.oneshot(http::Request::get("/").header("x-request-id", id).body("").unwrap());
/// assert_eq!(get("order-17").body(), "I am order-17");
/// assert_eq!(get("order-17").headers()["x-request-id"], "order-17");
/// assert_eq!(get("<b>").headers()["x-request-id"].len(), 32);
/// ```
#[derive(Clone, Debug)]
pub struct RequestIds {
    numbers: Numbers,
    believed: Believed,
}

/// Whose ids are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Believed {
    Nobody,
    Proxies,
    Everybody,
}

impl RequestIds {
    /// Takes over the ids of proxies that the server trusts.
    #[must_use]
    pub fn new() -> Self {
        Self { numbers: Numbers::new(), believed: Believed::Proxies }
    }

    /// Takes over the ids of all clients. They may then give two requests the same.
    #[must_use]
    pub const fn believing_everybody(mut self) -> Self {
        self.believed = Believed::Everybody;
        self
    }

    /// Takes over no ids.
    #[must_use]
    pub const fn believing_nobody(mut self) -> Self {
        self.believed = Believed::Nobody;
        self
    }

    /// Whether it can be an id: 1 to 128 bytes, no others than letters, digits and `-._~+/=:@`; and of a path
    /// neither an empty segment nor `.` or `..`, as which it could not be asked for.
    ///
    /// ```
    /// use kolk::RequestIds;
    ///
    /// assert!(RequestIds::is_id("Root=1-67891233/abc"));
    /// assert!(!RequestIds::is_id("a b") && !RequestIds::is_id("../metrics") && !RequestIds::is_id("a//b"));
    /// ```
    pub fn is_id(text: &str) -> bool {
        is_id(text.as_bytes())
    }

    fn id_of(&self, request: &Request<'_>) -> RequestId {
        let number = self.numbers.of(request.connection_number(), request.request_number());
        let is_believed = match self.believed {
            Believed::Nobody => false,
            Believed::Proxies => request.comes_from_trusted_proxy(),
            Believed::Everybody => true,
        };
        let own = RequestId::of(number, Parent::of(request));
        let mut given = request.headers().filter(|(name, _)| X_REQUEST_ID == *name);
        match (given.next(), given.next()) {
            (Some((_, id)), None) if is_believed && is_id(id) => own.called(id),
            // Of several, the first may be what somebody before the proxy has sent.
            _ => own,
        }
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for RequestIds {
    fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
        request.take_id(|| Arc::new(self.id_of(request)));
        Passage::Open
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        let Some(id) = request.named() else { return };
        for (name, value) in [(&X_REQUEST_ID, id.as_bytes()), (&TRACEPARENT, &id.traceparent)] {
            response.remove(name);
            response.append_text(name, value);
        }
        response.name_refusal(id.as_str());
    }

    fn request_ids(&self) -> Option<&RequestIds> {
        Some(self)
    }

    fn name(&self) -> &'static str {
        "request_ids"
    }

    fn explain(&self) -> String {
        let whose = match self.believed {
            Believed::Nobody => "of its own",
            Believed::Proxies => "a trusted proxy's, or one of its own",
            Believed::Everybody => "the client's, or one of its own",
        };
        format!("each request has an id: {whose}")
    }
}

impl Request<'_> {
    /// What the request is called, where a layer gives [names](super::RequestIds): the same as in the access
    /// log, in `X-Request-Id` and in error pages. 1 to 128 letters, digits and `-._~+/=:@`.
    ///
    /// ```
    /// use kolk::{App, Request, RequestIds};
    ///
    /// let app = App::new().layer(RequestIds::new()).get("/", |request: &Request<'_>| {
    ///     format!("{}", request.id().unwrap_or("?"))
    /// });
    /// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
    /// assert_eq!(answer.body(), answer.headers()["x-request-id"].as_bytes());
    /// ```
    pub fn id(&self) -> Option<&str> {
        self.named().map(RequestId::as_str)
    }

    /// Where the request has an [id](Request::id): the field `traceparent` for whatever the handler asks
    /// others on its behalf. W3C Trace Context §3.2.
    pub fn traceparent(&self) -> Option<&str> {
        self.named().map(RequestId::traceparent)
    }

    fn named(&self) -> Option<&RequestId> {
        let id = match self.origin {
            Place::Live(origin) => origin.attributes.id(),
            Place::Owned(origin) => origin.attributes.id(),
        };
        id.map(|id| &**id)
    }

    /// For the layer that gives names; the first one counts.
    fn take_id(&self, id: impl FnOnce() -> Arc<RequestId>) {
        if let Place::Live(origin) = self.origin {
            origin.attributes.name(id);
        }
    }
}

/// What one request is called, and its place in a trace.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; REQUEST_ID_BYTES_MAX],
    text_bytes: u8,
    traceparent: [u8; TRACEPARENT_BYTES],
}

impl RequestId {
    /// That of the request with this number; `parent`: the trace that it is a part of.
    fn of(number: u128, parent: Option<Parent>) -> Self {
        let begun = Parent { trace_id: number.max(1), flags: 0 };
        let Parent { trace_id, flags } = parent.unwrap_or(begun);
        let (mut text, mut traceparent) = ([0; REQUEST_ID_BYTES_MAX], [b'-'; TRACEPARENT_BYTES]);
        hex(number, &mut text[..32]);
        hex(0, &mut traceparent[..2]);
        hex(trace_id, &mut traceparent[3..35]);
        hex(u128::from(span_of(number)), &mut traceparent[36..52]);
        hex(u128::from(flags), &mut traceparent[53..]);
        Self { text, text_bytes: 32, traceparent }
    }

    /// The same under a name that was given to it.
    fn called(mut self, id: &[u8]) -> Self {
        if let (Some(text), Ok(bytes)) = (self.text.get_mut(..id.len()), u8::try_from(id.len())) {
            text.copy_from_slice(id);
            self.text_bytes = bytes;
        }
        self
    }

    /// The id: 1 to 128 letters, digits and `-._~+/=:@`. Those of our own are 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.text_bytes)]
    }

    /// The field `traceparent` of whatever is asked on behalf of the request.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        std::str::from_utf8(&self.traceparent).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({} {})", self.as_str(), self.traceparent())
    }
}

/// The trace that a client's request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace_id: u128,
    flags: u8,
}

impl Parent {
    /// §4.3: a field that is not valid, or of which there are two, is as if it were not there.
    fn of(request: &Request<'_>) -> Option<Self> {
        let mut lines = request.head().values("traceparent");
        let line = lines.next()?;
        if lines.next().is_some() { None } else { Self::parse(line) }
    }

    /// §3.2; of later versions what stands where version 00 has it (§4.3).
    fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(TRACEPARENT_BYTES)?;
        let version = unhex(&known[..2])?;
        let is_whole = more.is_empty() || (version > 0 && more[0] == b'-');
        let is_divided = [2, 35, 52].iter().all(|place| known[*place] == b'-');
        let (trace_id, span_id) = (unhex(&known[3..35])?, unhex(&known[36..52])?);
        let flags = u8::try_from(unhex(&known[53..])?).ok()? & FLAGS_PASSED_ON;
        let is_valid = version != 0xff && is_whole && is_divided && trace_id != 0 && span_id != 0;
        is_valid.then_some(Self { trace_id, flags })
    }
}

/// What numbers requests, in an order that nobody sees through.
#[derive(Clone)]
pub(crate) struct Numbers([u64; ROUNDS]);

impl Numbers {
    /// With a new secret.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|round| RandomState::new().hash_one(round)))
    }

    /// The number of this request: a Feistel network over both of its own numbers.
    pub(crate) fn of(&self, connection: u64, request: u32) -> u128 {
        let (mut left, mut right) = (connection, u64::from(request));
        for key in self.0 {
            (left, right) = (right, left ^ mixed(right ^ key));
        }
        u128::from(left) << 64 | u128::from(right)
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbers(..)")
    }
}

/// The span of the request with this number; never zero.
fn span_of(number: u128) -> u64 {
    let half = (number >> 64) as u64;
    mixed(half).max(1)
}

/// The last steps of SplitMix64: each bit changes about half of the others.
const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Whether it can be an id.
fn is_id(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    let is_lost = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
        && text.iter().all(is_plain)
        && !text.split(|byte| *byte == b'/').any(is_lost)
}

/// The last digits of `number`, as many as there is room for: an even number of them.
pub(crate) fn hex(number: u128, into: &mut [u8]) {
    let bytes = number.to_be_bytes();
    let last = &bytes[bytes.len().saturating_sub(into.len() / 2)..];
    for (pair, byte) in into.chunks_exact_mut(2).zip(last) {
        pair.copy_from_slice(&HEX[usize::from(*byte)]);
    }
}

/// What small hexadecimal digits say; at most 32 of them.
fn unhex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ::http::HeaderValue;

    use proptest::prelude::*;

    use super::*;
    use crate::app::{App, ErrorPages};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn app(ids: RequestIds) -> App {
        App::new()
            .layer(ErrorPages::new().page(4, HeaderValue::from_static("text/html"), "<p>{id}</p>"))
            .layer(ids)
            .get("/", |request: &Request<'_>| {
                format!("{} {}", request.id().unwrap(), request.traceparent().unwrap())
            })
    }

    fn ask(app: &App, path: &str, fields: &[(&str, &str)]) -> ::http::Response<bytes::Bytes> {
        let request = ::http::Request::get(path);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        app.oneshot(request.body("").unwrap())
    }

    #[test]
    fn handler_answer_and_error_page_say_the_same_id() {
        let app = app(RequestIds::new());
        let answer = ask(&app, "/", &[]);
        let [id, parent] =
            ["x-request-id", "traceparent"].map(|name| answer.headers()[name].to_str().unwrap());
        assert_eq!(answer.body(), format!("{id} {parent}").as_bytes());
        assert_eq!((id.len(), parent.len()), (32, 55));
        assert_eq!(Parent::parse(parent.as_bytes()).unwrap().trace_id, unhex(id.as_bytes()).unwrap());
        let page = ask(&app, "/none", &[]);
        let id = page.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(page.body(), format!("<p>{id}</p>").as_bytes());
        let json = ask(&app, "/none", &[("accept", "application/json")]);
        let id = json.headers()["x-request-id"].to_str().unwrap();
        let body = std::str::from_utf8(json.body()).unwrap();
        assert!(body.ends_with(&format!(",\"id\":\"{id}\"}}\n")), "{body}");
        let plain = ask(&App::new().layer(RequestIds::new()), "/none", &[]);
        let id = plain.headers()["x-request-id"].to_str().unwrap();
        let body = std::str::from_utf8(plain.body()).unwrap();
        assert!(body.ends_with(&format!(" (route.none)\nrequest {id}\n")), "{body}");
    }

    #[test]
    fn an_id_is_believed_of_those_who_are() {
        let field = [("x-request-id", "order-17")];
        let id = |ids| ask(&app(ids), "/", &field).headers()["x-request-id"].clone();
        assert_eq!(id(RequestIds::new().believing_everybody()), "order-17");
        assert_ne!(id(RequestIds::new()), "order-17", "a stranger");
        assert_ne!(id(RequestIds::new().believing_nobody()), "order-17");
        let answer =
            ask(&app(RequestIds::new().believing_everybody()), "/", &[field[0], ("x-request-id", "2")]);
        assert_eq!(answer.headers()["x-request-id"].len(), 32, "one of two");
    }

    #[test]
    fn nothing_is_an_id_that_could_mean_something_elsewhere() {
        for good in [
            "a",
            "a.b",
            "...",
            "a/b+c=",
            "Root=1-67891233-abc",
            "0c5e6d7e-aaaa-bbbb-cccc-1234567890ab",
            &"x".repeat(128),
        ] {
            assert!(is_id(good.as_bytes()), "{good}");
        }
        for bad in
            ["", " ", "a b", "a\"", "<b>", "a\r\nX: y", "a\0", "{id}", "\\", "\u{e9}", &"x".repeat(129)]
        {
            assert!(!is_id(bad.as_bytes()), "{bad}");
        }
        for dots in [".", "..", "../x", "a/./b", "a/..", "/", "a//b", "/a", "a/"] {
            assert!(!is_id(dots.as_bytes()), "{dots}");
        }
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let answer = ask(&app(RequestIds::new()), "/", &[("traceparent", PARENT), ("tracestate", "a=1")]);
        let parent = answer.headers()["traceparent"].to_str().unwrap();
        let parts: Vec<&str> = parent.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"));
        assert_ne!(parts[2], "00f067aa0ba902b7");
        let twice = ask(&app(RequestIds::new()), "/", &[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert!(!twice.headers()["traceparent"].to_str().unwrap().contains(TRACE), "which of them?");
    }

    #[test]
    fn w3c_trace_context_3_2_what_is_not_valid_is_not_there() {
        let with = |place: usize, text: &str| {
            let mut parent = PARENT.to_owned();
            parent.replace_range(place..place + text.len(), text);
            parent
        };
        let flags = |text: &str| Parent::parse(text.as_bytes()).map(|parent| parent.flags);
        assert_eq!(flags(PARENT), Some(1));
        assert_eq!(flags(&with(53, "ff")), Some(3), "only what may be passed on");
        assert_eq!(flags(&with(0, "01")), Some(1), "a later version");
        assert_eq!(flags(&format!("{}-more", with(0, "cc"))), Some(1), "which has more");
        for bad in [
            String::new(),
            with(0, "ff"),
            with(0, "0g"),
            with(3, &"0".repeat(32)),
            with(36, &"0".repeat(16)),
            with(3, "4BF9"),
            with(2, "_"),
            with(35, "0"),
            with(53, "0x"),
            format!("{PARENT}-more"),
            format!("{}more", with(0, "01")),
            PARENT[..54].to_owned(),
        ] {
            assert_eq!(flags(&bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_of_neighbours_have_nothing_in_common() {
        let numbers = Numbers::new();
        let mut seen = HashSet::new();
        for connection in (0..64_u64).flat_map(|worker| (0..16).map(move |serial| worker << 32 | serial)) {
            for request in 1..8 {
                let number = numbers.of(connection, request);
                assert!(seen.insert(number), "twice: {connection} {request}");
                let differing = (number ^ numbers.of(connection, request + 1)).count_ones();
                assert!((24..=104).contains(&differing), "{differing} of 128 bits");
            }
        }
        assert_ne!(numbers.of(0, 1), Numbers::new().of(0, 1), "each has its secret");
    }

    proptest! {
        /// Whatever is sent as an id, the answer has one field of that name, and it is one id.
        #[test]
        fn no_field_is_injected(
            sent in proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20_u8..0x7f, 0x80_u8..], 0..200),
        ) {
            let sent = HeaderValue::from_bytes(&sent).unwrap();
            let request = ::http::Request::get("/").header("x-request-id", sent);
            let answer = app(RequestIds::new().believing_everybody()).oneshot(request.body("").unwrap());
            let values: Vec<_> = answer.headers().get_all("x-request-id").iter().collect();
            prop_assert_eq!(values.len(), 1);
            prop_assert!(is_id(values[0].as_bytes()));
        }

        #[test]
        fn what_is_written_is_read(number in any::<u128>(), bytes in 1_usize..=16) {
            let mut text = vec![0; 2 * bytes];
            hex(number, &mut text);
            let shown = if bytes == 16 { number } else { number & ((1 << (8 * bytes)) - 1) };
            prop_assert_eq!(unhex(&text), Some(shown));
        }
    }
}
