//! [`App::oneshot`]: an app without a server: one request in, one answer out. For tests.
//!
//! Does what a worker does (normalise, find, limit, collect or stream, call, wait for mail, pull), with a
//! mailbox of its own and with nothing in between.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::http::request::Parts;
use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::app::App;
use super::attributes::Attributes;
use super::handler::{BodyRule, Outcome, Rule, Sink, Take};
use super::layer::{Chain, Layer, Progress};
use super::pool::BlockingPool;
use super::reply::Mail;
use super::request::{Origin, Request};
use super::route::{Route, RouteId};
use super::router::Params;
use super::scope::{Match, Scope};
use super::site::SiteId;
use super::trust::Asker;
use super::visitor::Nobody;
use crate::base::{Key, Mailbox, Post, Wake};
use crate::http::{
    Body, ExchangeId, FieldTable, Head, Known, Method, Path, Pull, Pulled, Reason, RequestLine, Response,
    Source, Span, StreamId, Tail, Timeline, TooManyFields, Version,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much a source is asked for, and a sink is given, at a time, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
const LETTERS_MAX: usize = 1024;
const THREADS_MAX: usize = 4;
const QUEUE_MAX: usize = 64;

impl App {
    /// Answers one request without a server, for tests: routes it, calls the handler, waits for a late
    /// answer, and pulls a streamed body to its end.
    ///
    /// The request is seen as a worker would see it: the authority of an absolute URI becomes `Host`
    /// (`localhost` if there is none), and request bodies are limited and streamed as the route's rule says.
    /// The answer has the fields that a client would see, except `Date` and `Server`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use kolk::{App, Request};
    ///
    /// let app = App::new().post("/echo", |request: &Request<'_>| {
    ///     Bytes::copy_from_slice(request.body())
    /// });
    /// let answer = app.oneshot(http::Request::post("/echo").body("as you said").unwrap());
    /// assert_eq!(answer.status(), 200);
    /// assert_eq!(answer.headers()["content-length"], "11");
    /// assert_eq!(answer.body(), "as you said");
    /// ```
    ///
    /// # Panics
    /// If an answer takes longer than 30 seconds; if its body fails, ends early, or has another length than
    /// it promised (a server cuts the connection then).
    pub fn oneshot(&self, request: ::http::Request<impl Into<Bytes>>) -> ::http::Response<Bytes> {
        let (parts, body) = request.into_parts();
        let mut response = Response::default();
        let peer = Nobody { is_encrypted: parts.uri.scheme() == Some(&Scheme::HTTPS) };
        let mut exchange = Exchange::new(Asker { peer: &peer, trust: None });
        let is_head = exchange.run(self, &parts, &body.into(), &mut response, &mut ());
        exchange.read(response, is_head)
    }
}

/// Sees what becomes of a request on its way. Layers are numbered as they stand in their chain: those that
/// look at requests, and those that look at answers.
pub(super) trait Witness {
    /// A route has made another path of the one at hand; nothing, if it does not fit.
    fn rewritten(&mut self, _by: RouteId, _path: Option<&str>) {}
    /// It is refused before it has a site, and has no name yet.
    fn refused(&mut self, _response: &Response) {}
    /// What was refused has its name.
    fn named(&mut self, _response: &Response) {}
    /// It is known who answers `request`, whom nobody has been asked about yet.
    fn routed(&mut self, _found: Match, _request: &Request<'_>) {}
    /// A layer lets it pass after so long.
    fn waited(&mut self, _layer: usize, _wait: Duration) {}
    /// A layer has answered it.
    fn stopped(&mut self, _layer: usize) {}
    /// There is an answer, which no layer has looked at.
    fn answered(&mut self, _request: &Request<'_>, _response: &Response) {}
    /// A layer has looked at the answer.
    fn dressed(&mut self, _layer: usize, _response: &Response) {}
}

/// Nobody looks.
impl Witness for () {}

/// The only exchange of a connection that does not exist.
pub(super) struct Exchange<'a> {
    id: ExchangeId,
    mailbox: Mailbox<Mail>,
    letters: Vec<Mail>,
    rung: Receiver<()>,
    /// Ends the patience.
    timeout: Receiver<Instant>,
    /// Ends that of the route, as long as there is no answer.
    due: Receiver<Instant>,
    is_overdue: bool,
    pool: Arc<BlockingPool>,
    asker: Asker<'a>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(asker: Asker<'a>) -> Self {
        let (bell, rung) = bounded(1);
        Self {
            // The first guest of the first slot.
            id: ExchangeId { connection: Key::unpack(1 << 32), stream: StreamId(1) },
            mailbox: Mailbox::new(Arc::new(Bell(bell)), LETTERS_MAX),
            letters: Vec::new(),
            rung,
            timeout: after(PATIENCE),
            due: never(),
            is_overdue: false,
            pool: Arc::new(BlockingPool::new(THREADS_MAX, QUEUE_MAX)),
            asker,
        }
    }

    /// Fills `response`; whether only its head was asked for.
    pub(super) fn run(
        &mut self,
        app: &App,
        parts: &Parts,
        body: &Bytes,
        response: &mut Response,
        witness: &mut impl Witness,
    ) -> bool {
        let (bytes, table) = match written(parts, body.len()) {
            Ok(written) => written,
            Err(reason) => {
                self.refuse(app, None, reason, response, witness);
                return false;
            }
        };
        let head = Head::new(&bytes, &table);
        self.answer(app, head, body, response, witness);
        head.method() == Method::Head
    }

    /// Answers with `reason` what belongs to no site; `head`: of the request, if it could be read.
    pub(super) fn refuse(
        &self,
        app: &App,
        head: Option<Head<'_>>,
        reason: Reason,
        response: &mut Response,
        witness: &mut impl Witness,
    ) {
        response.refuse(reason);
        witness.refused(response);
        let Some(ids) = app.request_ids() else { return };
        let (post, attributes, params) = (self.mailbox.post(), Attributes::default(), Params::new());
        let origin = self.origin(app, (&post, &self.pool), &attributes);
        let nothing = FieldTable::new();
        let head = head.unwrap_or_else(|| Head::new(&[], &nothing));
        let (path, pattern) = (Path::normalised(""), app.pattern_of(Scope::Site(SiteId::MAIN)));
        let request = Request::new(head, path, pattern, &params, &[], None, &origin);
        // It lets everybody pass.
        let _ = ids.before(&request, response);
        ids.after(&request, response);
        witness.named(response);
    }

    fn answer(
        &mut self,
        app: &App,
        head: Head<'_>,
        body: &[u8],
        response: &mut Response,
        witness: &mut impl Witness,
    ) {
        let (mut scratch, mut params) = (String::new(), Params::new());
        let path = match Path::of_target(head.method(), head.target_bytes(), &mut scratch) {
            Ok(path) => path,
            Err(reason) => return self.refuse(app, None, reason, response, witness),
        };
        let peer = self.asker.peer;
        if app.misdirects(&head, peer) {
            return self.refuse(app, Some(head), Reason::Misdirected, response, witness);
        }
        let (post, pool, attributes) = (self.mailbox.post(), Arc::clone(&self.pool), Attributes::default());
        let origin = self.origin(app, (&post, &pool), &attributes);
        let mut found = app.find(&head, path, &mut params, self.asker);
        let rewritten;
        let path = if app.rewrites(found) {
            let seen = |route: RouteId, path: Option<&str>| witness.rewritten(route, path);
            (found, rewritten) = app.follow(found, (&head, path), &mut params, &origin, seen);
            Path::normalised(&rewritten)
        } else {
            path
        };
        let scope = found.scope();
        let at_head = Request::new(head, path, app.pattern_of(scope), &params, &[], None, &origin);
        witness.routed(found, &at_head);
        let patience = app.timeouts_of(scope).handler;
        self.due = patience.map_or_else(never, after);
        if self.passes(app.chain(scope), (&at_head, patience), response, witness) {
            match found {
                Match::Route(id) => self.ask(app.route_of(id), &at_head, body, response),
                Match::Missing(_, missing) => {
                    app.answer_without_route(missing, peer.is_encrypted(), response);
                }
            }
        }
        self.due = never();
        witness.answered(&at_head, response);
        app.chain(scope).after_each(&at_head, response, |layer, response| witness.dressed(layer, response));
    }

    fn origin<'o>(
        &self,
        app: &App,
        (post, pool): (&'o Post<Mail>, &'o Arc<BlockingPool>),
        attributes: &'o Attributes,
    ) -> Origin<'o>
    where
        'a: 'o,
    {
        let Asker { peer, trust } = self.asker;
        Origin {
            exchange: self.id,
            post,
            pool,
            worker: 0,
            connection_number: 1,
            request_number: 1,
            now: app.later(),
            unix_seconds: unix_seconds(),
            timeline: Timeline::default(),
            peer,
            trust,
            attributes,
        }
    }

    /// Lets the layers look; whether they let it pass.
    fn passes(
        &mut self,
        chain: &Chain,
        (request, patience): (&Request<'_>, Option<Duration>),
        response: &mut Response,
        witness: &mut impl Witness,
    ) -> bool {
        let mut from = 0;
        loop {
            match chain.before(from, request, response) {
                Progress::Passed => return true,
                Progress::Waits { by, next, wait } => {
                    witness.waited(by, wait);
                    // That time is not the handler's.
                    self.due = patience.map_or_else(never, |patience| after(wait.saturating_add(patience)));
                    assert!(self.letter(Some(wait)).is_none(), "nobody else knows of this exchange");
                    from = next;
                }
                Progress::Stopped(layer, Outcome::Deferred(_) | Outcome::Again(_)) => {
                    if self.wait_for_answer(response) {
                        witness.stopped(layer);
                        return false;
                    }
                    response.reset();
                    from = layer;
                }
                Progress::Stopped(layer, Outcome::Rendered(rendered)) => {
                    rendered.fill(response);
                    witness.stopped(layer);
                    return false;
                }
                Progress::Stopped(layer, Outcome::Ready | Outcome::Receive(_)) => {
                    witness.stopped(layer);
                    return false;
                }
            }
        }
    }

    /// Asks the handler of `route`, who gets `body` as it wants it.
    fn ask(&mut self, route: &Route, at_head: &Request<'_>, body: &[u8], response: &mut Response) {
        let rule = *route.rule();
        // What is announced is refused before it is sent: RFC 9110 §15.5.14.
        let announced = at_head.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        if announced.unwrap_or(0).max(body.len() as u64) > rule.body_bytes_max.unwrap_or(Rule::BODY_BYTES_MAX)
        {
            return response.refuse(Reason::BodyBytes);
        }
        let request = at_head.with_body(if rule.body == BodyRule::Collect { body } else { &[] });
        loop {
            let outcome = match route.call(&request, response) {
                Outcome::Receive(sink) => self.stream(route, sink, body, &request, response),
                outcome => outcome,
            };
            match outcome {
                Outcome::Deferred(_) | Outcome::Again(_) => {
                    if self.wait_for_answer(response) {
                        return;
                    }
                    response.reset();
                }
                Outcome::Rendered(rendered) => return rendered.fill(response),
                Outcome::Ready | Outcome::Receive(_) => return,
            }
        }
    }

    /// Gives `body` to `sink` in pieces.
    fn stream(
        &mut self,
        route: &Route,
        mut sink: Box<dyn Sink>,
        body: &[u8],
        request: &Request<'_>,
        response: &mut Response,
    ) -> Outcome {
        for piece in body.chunks(PIECE_BYTES) {
            match route.chunk(&mut *sink, piece) {
                Take::More => {}
                Take::Wait => {
                    while !matches!(self.letter(None), Some(Mail::Wakeup { .. })) {
                        if self.is_overdue {
                            response.refuse(Reason::HandlerTimeout);
                            return Outcome::Ready;
                        }
                    }
                }
                Take::Answer(answer) => {
                    response.replace(*answer);
                    return Outcome::Ready;
                }
            }
        }
        route.end(sink, request, response)
    }

    /// Whether there is an answer; if not, the handler is to be called again.
    fn wait_for_answer(&mut self, response: &mut Response) -> bool {
        loop {
            match self.letter(None) {
                Some(Mail::Answer { response: answer, .. }) => {
                    response.replace(*answer);
                    return true;
                }
                Some(Mail::Abandoned { .. }) => {
                    response.reset();
                    response.refuse(Reason::HandlerDropped);
                    return true;
                }
                Some(Mail::Again { .. }) => return false,
                None if self.is_overdue => {
                    response.reset();
                    response.refuse(Reason::HandlerTimeout);
                    return true;
                }
                Some(Mail::Wakeup { .. }) | None => {}
            }
        }
    }

    /// The next letter; `None` if there is none for so long, or the route's patience has ended.
    fn letter(&mut self, wait: Option<Duration>) -> Option<Mail> {
        let pause = wait.map_or_else(never, after);
        loop {
            if self.letters.is_empty() {
                self.mailbox.drain(&mut self.letters);
            }
            if !self.letters.is_empty() {
                return Some(self.letters.remove(0));
            }
            if self.mailbox.prepare_sleep() {
                select! {
                    recv(self.rung) -> _ => {}
                    recv(pause) -> _ => return None,
                    recv(self.due) -> _ => {
                        self.is_overdue = true;
                        return None;
                    }
                    recv(self.timeout) -> _ => panic!("no answer within {PATIENCE:?}"),
                }
                self.mailbox.awake();
            }
        }
    }

    /// The answer as a client reads it.
    fn read(&mut self, mut response: Response, is_head: bool) -> ::http::Response<Bytes> {
        let mut answer = ::http::Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        let headers = answer.headers_mut();
        if let Some(content_type) = response.content_type() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in response.fields().iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a response's field names are tokens");
            headers.append(name, HeaderValue::from_bytes(value).expect("and its values are values"));
        }
        if response.closes() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // RFC 9110 §6.4.1: these have no content.
        let status = response.status();
        if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return answer;
        }
        let length = response.length();
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        if !is_head {
            let body = self.read_body(response.take_body());
            if let Some(length) = length {
                assert_eq!(body.len() as u64, length, "the body has not the length that it promised");
            }
            *answer.body_mut() = body;
        }
        answer
    }

    fn read_body(&mut self, body: Body) -> Bytes {
        match body {
            // `take_body` leaves none in the arena.
            Body::Empty | Body::Arena => Bytes::new(),
            Body::Static(bytes) => Bytes::from_static(bytes),
            Body::Shared(bytes) => bytes,
            Body::File { file, offset, length } => {
                let mut bytes = Vec::new();
                read_range(&file, offset, length, &mut bytes);
                bytes.into()
            }
            Body::Source(mut source) => self.pull_all(&mut *source),
        }
    }

    fn pull_all(&mut self, source: &mut dyn Source) -> Bytes {
        let timeline = Timeline::default();
        let mut body = Vec::new();
        loop {
            let mut pull = Pull::new(&mut body, PIECE_BYTES, &timeline);
            let pulled = source.pull(&mut pull);
            match pull.into_tail() {
                None => {}
                Some(Tail::Shared(bytes)) => body.extend_from_slice(&bytes),
                Some(Tail::File { file, offset, length }) => read_range(&file, offset, length, &mut body),
            }
            match pulled {
                Pulled::More => assert!(self.timeout.is_empty(), "the body does not end within {PATIENCE:?}"),
                Pulled::After(pause) => drop(self.letter(Some(pause))),
                Pulled::Waiting => drop(self.letter(None)),
                Pulled::End => return body.into(),
                Pulled::Failed => panic!("the source of the body failed"),
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no worker that has looked at the clock")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Appends a range of `file` to `body`.
fn read_range(mut file: &File, offset: u64, length: u64, body: &mut Vec<u8>) {
    let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(length).read_to_end(body));
    let read = read.unwrap_or_else(|error| panic!("the file of the body cannot be read: {error}"));
    assert_eq!(read as u64, length, "the file of the body is shorter than the range that is sent");
}

/// Rings the waiting exchange.
struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(&self) {
        // Full: it rings already.
        let _rings = self.0.try_send(());
    }
}

/// The request's head as HTTP/1.1 writes it, and the places of its parts.
fn written(parts: &Parts, body_bytes: usize) -> Result<(Vec<u8>, FieldTable), Reason> {
    let mut writing = Writing::default();
    let target = match (&parts.method, parts.uri.authority()) {
        (&::http::Method::CONNECT, Some(authority)) => authority.as_str(),
        _ => parts.uri.path_and_query().map_or("/", PathAndQuery::as_str),
    };
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Reason::Target);
    }
    // A URI may do without a path, and a request may not. RFC 9112 §3.2.1.
    let rooted = target.starts_with('?').then(|| format!("/{target}"));
    let target = rooted.as_deref().unwrap_or(target);
    let method_span = writing.part(parts.method.as_str().as_bytes(), b" ")?;
    let target = writing.part(target.as_bytes(), b" HTTP/1.1\r\n")?;
    writing.table.set_line(RequestLine {
        method: Method::from_name(parts.method.as_str().as_bytes()),
        version: match parts.version {
            ::http::Version::HTTP_09 | ::http::Version::HTTP_10 => Version::Http10,
            ::http::Version::HTTP_2 => Version::Http2,
            ::http::Version::HTTP_3 => Version::Http3,
            _ => Version::Http11,
        },
        method_span,
        target,
        is_plain_path: false,
    });
    if !parts.headers.contains_key(header::HOST) {
        let authority = parts.uri.authority().map_or("localhost", Authority::as_str);
        writing.field("host", authority.as_bytes())?;
    }
    if body_bytes > 0 && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        writing.field("content-length", body_bytes.to_string().as_bytes())?;
    }
    for (name, value) in &parts.headers {
        writing.field(name.as_str(), value.as_bytes())?;
    }
    writing.bytes.extend_from_slice(b"\r\n");
    Ok((writing.bytes, writing.table))
}

#[derive(Default)]
struct Writing {
    bytes: Vec<u8>,
    table: FieldTable,
}

impl Writing {
    fn field(&mut self, name: &str, value: &[u8]) -> Result<(), Reason> {
        let name_span = self.part(name.as_bytes(), b": ")?;
        let value_span = self.part(value, b"\r\n")?;
        let known = Known::classify(name.as_bytes());
        self.table.push(name_span, value_span, known).map_err(|TooManyFields| Reason::FieldCount)
    }

    /// Where `part` is, followed by `end`.
    fn part(&mut self, part: &[u8], end: &[u8]) -> Result<Span, Reason> {
        let place = |length| u16::try_from(length).map_err(|_| Reason::HeadBytes);
        let start = place(self.bytes.len())?;
        self.bytes.extend_from_slice(part);
        let span = Span::new(start, place(self.bytes.len())?);
        self.bytes.extend_from_slice(end);
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::app::{HandlerExt, Reply, blocking, channel, deferred, receiving};

    fn get(app: &App, target: &str) -> ::http::Response<Bytes> {
        app.oneshot(::http::Request::get(target).body("").unwrap())
    }

    fn post(app: &App, body: Vec<u8>) -> ::http::Response<Bytes> {
        app.oneshot(::http::Request::post("/").body(body).unwrap())
    }

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        let app = App::new().put("/a/{x}/{*rest}", |request: &Request<'_>| {
            assert_eq!(request.target(), "/%61/%C3%A9%2f/./b?q=1&q=2&r+s=%26");
            assert_eq!(request.path(), "/a/\u{e9}%2F/b");
            assert_eq!((request.param("x"), request.param("rest")), (Some("\u{e9}%2F"), Some("b")));
            assert_eq!(request.param("y"), None);
            assert_eq!(request.route(), "/a/{x}/{*rest}");
            assert_eq!(request.query(), Some("q=1&q=2&r+s=%26"));
            assert_eq!(request.query_param("q").as_deref(), Some("1"));
            assert_eq!(request.query_param("r s").as_deref(), Some("&"));
            assert_eq!(request.query_param("z"), None);
            assert_eq!((request.authority(), request.host()), (Some("[::1]:8080"), Some("[::1]")));
            assert_eq!(request.header("x-one"), Some("1"));
            assert_eq!(request.header(header::CONTENT_LENGTH), Some("3"));
            assert_eq!(request.header("x-bytes"), None);
            assert_eq!(request.header_bytes("x-bytes"), Some(&b"\xFF"[..]));
            assert_eq!(request.header_map().get_all("x-one").iter().count(), 2);
            assert_eq!(request.headers().count(), request.header_map().len());
            assert_eq!((request.method(), request.method_name()), (::http::Method::PUT, "PUT"));
            assert_eq!((request.version(), request.peer()), (Version::Http10, None));
            assert_eq!((request.connection_number(), request.request_number(), request.worker()), (1, 1, 0));
            assert_eq!(request.trailer("x"), None);
            Bytes::copy_from_slice(request.body())
        });
        let request = ::http::Request::put("http://[::1]:8080/%61/%C3%A9%2f/./b?q=1&q=2&r+s=%26")
            .version(::http::Version::HTTP_10)
            .header("x-one", "1")
            .header("x-one", "2")
            .header("x-bytes", HeaderValue::from_bytes(b"\xFF").unwrap())
            .body("abc")
            .unwrap();
        let answer = app.oneshot(request);
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"abc"[..]));
    }

    #[test]
    fn an_owned_request_says_the_same_on_another_thread() {
        let app = App::new().post(
            "/{x}",
            deferred(|request: &Request<'_>, reply: Reply| {
                let owned = request.to_owned_request();
                thread::spawn(move || {
                    let request = owned.request();
                    let fields = request.headers().count();
                    let (x, body) = (request.param("x").unwrap(), request.body().len());
                    reply.send(format!("{} {x} {fields} {body} {}", request.path(), request.route()));
                });
            }),
        );
        let answer = app.oneshot(::http::Request::post("/y").header("a", "b").body("12345").unwrap());
        assert_eq!(answer.body(), "/y y 3 5 /{x}");
    }

    #[test]
    fn refusals_are_those_of_a_server() {
        let app = App::new().get("/", |_: &Request<'_>| "");
        let fields =
            (0..101).fold(::http::Request::get("/"), |request, n| request.header(format!("x-{n}"), "1"));
        assert_eq!(app.oneshot(fields.body("").unwrap()).status(), 431);
        let large = ::http::Request::get("/").header("x", "y".repeat(70_000)).body("").unwrap();
        assert_eq!(app.oneshot(large).status(), 431);
        let answer = get(&app, "/..");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["connection"]),
            (400, &"close".parse().unwrap())
        );
    }

    #[test]
    fn a_head_has_a_length_and_no_body() {
        let app = App::new()
            .get("/", |_: &Request<'_>| "12345")
            .get("/204", |_: &Request<'_>| StatusCode::NO_CONTENT);
        let answer = app.oneshot(::http::Request::head("/").body("").unwrap());
        assert_eq!((&answer.headers()["content-length"], answer.body().len()), (&"5".parse().unwrap(), 0));
        assert!(!get(&app, "/204").headers().contains_key("content-length"));
    }

    #[test]
    fn panics_are_500_and_the_app_lives() {
        let app = App::new()
            .get("/now", |_: &Request<'_>| -> &str { panic!("on purpose") })
            .get("/pool", blocking(|_: &Request<'_>| -> String { panic!("on {}", "purpose") }))
            .get("/later", deferred(|_: &Request<'_>, _: Reply| panic!("on purpose")))
            .get("/dropped", deferred(|_: &Request<'_>, _: Reply| ()))
            .get("/fine", |_: &Request<'_>| "fine");
        for (path, code) in [
            ("/now", "(handler.panic)"),
            ("/pool", "(handler.panic)"),
            ("/later", "(handler.panic)"),
            ("/dropped", "(handler.dropped)"),
        ] {
            let answer = get(&app, path);
            assert_eq!(answer.status(), 500, "{path}");
            assert!(String::from_utf8_lossy(answer.body()).contains(code), "{path}");
        }
        assert_eq!(get(&app, "/fine").body(), "fine");
    }

    /// Hashes nothing, counts; answers early at a byte 9, waits at a byte 8, panics at a byte 7.
    struct Meter(usize, crate::app::Wakeup);

    impl Sink for Meter {
        fn chunk(&mut self, bytes: &[u8]) -> Take {
            assert!(!bytes.is_empty());
            assert_ne!(bytes[0], 7, "on purpose");
            self.0 += bytes.len();
            match bytes[0] {
                9 => Take::Answer(Box::new(StatusCode::IM_A_TEAPOT.into())),
                8 => {
                    let wakeup = self.1.clone();
                    thread::spawn(move || wakeup.wake());
                    Take::Wait
                }
                _ => Take::More,
            }
        }

        fn end(self: Box<Self>, request: &Request<'_>, response: &mut Response) -> Outcome {
            response.replace(format!("{} {}", self.0, request.body().len()).into());
            Outcome::Ready
        }
    }

    fn metered() -> App {
        App::new()
            .post("/", receiving(|request| Ok(Box::new(Meter(0, request.wakeup())))).body_limit(100_000))
    }

    #[test]
    fn a_sink_takes_a_body_in_pieces() {
        let app = metered();
        assert_eq!(post(&app, vec![]).body(), "0 0");
        assert_eq!(post(&app, vec![0; 100_000]).body(), "100000 0");
        assert_eq!(post(&app, vec![8; 100_000]).body(), "100000 0");
        assert_eq!(post(&app, vec![9; 100_000]).status(), 418);
        assert_eq!(post(&app, vec![7; 100_000]).status(), 500);
        assert_eq!(post(&app, vec![0; 100_001]).status(), 413);
    }

    #[test]
    fn a_handler_that_collects_may_still_hand_the_body_to_a_sink() {
        struct Collecting;
        impl crate::app::Handler for Collecting {
            fn handle(&self, request: &Request<'_>, _: &mut Response) -> Outcome {
                assert_eq!(request.body().len(), 40_000);
                Outcome::Receive(Box::new(Meter(0, request.wakeup())))
            }
        }
        let app = App::new().post("/", Collecting);
        assert_eq!(post(&app, vec![0; 40_000]).body(), "40000 40000");
        assert_eq!(post(&app, vec![9; 40_000]).status(), 418);
    }

    #[test]
    fn a_sink_that_receives_again_is_a_500() {
        struct Greedy;
        impl Sink for Greedy {
            fn chunk(&mut self, _: &[u8]) -> Take {
                Take::More
            }
            fn end(self: Box<Self>, _: &Request<'_>, _: &mut Response) -> Outcome {
                Outcome::Receive(self)
            }
        }
        let app = App::new().post("/", receiving(|_| Ok(Box::new(Greedy))));
        assert_eq!(post(&app, vec![1]).status(), 500);
        let app = App::new().post("/", receiving(|_| Err(StatusCode::FORBIDDEN.into())));
        assert_eq!(post(&app, vec![1]).status(), 403);
    }

    #[test]
    fn bodies_have_the_servers_limit_unless_their_route_has_one() {
        let len = |request: &Request<'_>| request.body().len().to_string();
        let limit = usize::try_from(Rule::BODY_BYTES_MAX).unwrap();
        let app = App::new().post("/", len);
        assert_eq!(post(&app, vec![0; limit]).body(), "16777216");
        assert_eq!(post(&app, vec![0; limit + 1]).status(), 413);
        assert_eq!(post(&App::new().post("/", len.body_limit(u64::MAX)), vec![0; limit + 1]).status(), 200);
    }

    #[test]
    fn a_channel_carries_more_than_it_holds() {
        let app = App::new().get("/", |request: &Request<'_>| {
            let (mut writer, response) = channel(request, 1_000);
            thread::spawn(move || {
                for piece in 0..200_u8 {
                    writer.write_blocking(vec![piece; 777].into()).unwrap();
                }
            });
            response
        });
        let answer = get(&app, "/");
        assert!(!answer.headers().contains_key("content-length"));
        assert!((0..200_u8).flat_map(|piece| vec![piece; 777]).eq(answer.body().iter().copied()));
    }

    struct Ticks(u8);

    impl Source for Ticks {
        fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
            pull.write(&[self.0]);
            self.0 -= 1;
            if self.0 == 0 { Pulled::End } else { Pulled::After(Duration::from_millis(1)) }
        }

        fn length(&self) -> Option<u64> {
            Some(5)
        }
    }

    #[test]
    fn a_source_may_take_its_time() {
        let app = App::new().get("/{n}", |request: &Request<'_>| {
            Response::stream("a/b", Ticks(request.param("n").unwrap().parse().unwrap()))
        });
        let answer = get(&app, "/5");
        assert_eq!(&answer.body()[..], [5, 4, 3, 2, 1]);
        assert_eq!(answer.headers()["content-length"], "5");
        assert_eq!(answer.headers()["content-type"], "a/b");
        let short = thread::spawn(move || get(&app, "/4"));
        assert!(short.join().is_err(), "four bytes where five were promised");
    }

    /// Ranges of this crate's license, each behind a dash.
    struct Slices(Vec<(u64, u64)>);

    impl Source for Slices {
        fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
            let Some((offset, length)) = self.0.pop() else { return Pulled::End };
            pull.write(b"-");
            pull.file(Arc::new(File::open("LICENSE-MIT").unwrap()), offset, length);
            Pulled::More
        }
    }

    #[test]
    fn file_ranges_of_a_source_are_read() {
        let slices = |ranges: &'static [(u64, u64)]| {
            let app = App::new().get("/", |_: &Request<'_>| Response::stream("a/b", Slices(ranges.to_vec())));
            get(&app, "/").into_body()
        };
        assert_eq!(slices(&[(4, 7), (0, 3), (5, 0)]), "--MIT-License");
        let beyond = thread::spawn(move || slices(&[(1 << 40, 1)]));
        assert!(beyond.join().is_err(), "a server cuts the connection then");
    }

    #[test]
    #[should_panic(expected = "the source of the body failed")]
    fn an_aborted_channel_panics() {
        let app = App::new().get("/", |request: &Request<'_>| {
            let (writer, response) = channel(request, 1_000);
            writer.abort();
            response
        });
        get(&app, "/");
    }

    #[test]
    fn blocking_handlers_run_elsewhere() {
        let (sender, threads) = mpsc::channel();
        let app = App::new().post(
            "/",
            blocking(move |request: &Request<'_>| {
                sender.send(thread::current().id()).unwrap();
                String::from_utf8_lossy(request.body()).to_uppercase()
            }),
        );
        assert_eq!(post(&app, b"quiet".to_vec()).body(), "QUIET");
        assert_ne!(threads.recv().unwrap(), thread::current().id());
    }
}
