//! Handlers made of something else: [`deferred`], [`blocking`] and [`receiving`] of closures, [`Fixed`] of
//! a response, and the changes of a [`Rule`] that [`HandlerExt`](super::HandlerExt) offers.

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;

use super::explain::{Stage, Step};
use super::handler::{BodyRule, Handler, LogId, Outcome, Rule, Sink, left_to_inner};
use super::reply::{Presence, Reply};
use super::request::Request;
use super::route;
use super::timeouts::RouteTimeouts;
use crate::http::{Body, Reason, Rendered, Response};

/// What a route can be given: a [`Handler`], or a [`Response`] that never changes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a handler nor a response",
    note = "write a closure `|request: &Request<'_>| …` that returns something that becomes a `Response`",
    note = "or implement `Handler`"
)]
pub trait IntoHandler {
    /// The handler it becomes.
    type Handler: Handler;

    /// The handler.
    ///
    /// # Panics
    /// For a [`Response`] whose body is a [`Source`](crate::http::Source), which can be sent only once.
    fn into_handler(self) -> Self::Handler;
}

impl<H: Handler> IntoHandler for H {
    type Handler = Self;

    fn into_handler(self) -> Self {
        self
    }
}

impl IntoHandler for Response {
    type Handler = Fixed;

    fn into_handler(self) -> Fixed {
        Fixed::new(self)
    }
}

/// Always the same answer; giving it allocates nothing.
#[derive(Debug)]
pub struct Fixed {
    status: StatusCode,
    reason: Option<Reason>,
    close: bool,
    content_type: Option<&'static str>,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: FixedBody,
    /// The same as one text, where that is the better form.
    rendered: Option<Rendered>,
}

/// A [`Body`] that can be had again and again, by several threads.
#[derive(Debug)]
enum FixedBody {
    Empty,
    /// What kolk itself says to the reason: layers may put a page in its place.
    Refusal,
    Static(&'static [u8]),
    Shared(Bytes),
    File {
        file: Arc<File>,
        offset: u64,
        length: u64,
    },
}

impl Fixed {
    /// # Panics
    /// For a body that can be sent only once.
    pub(super) fn new(mut response: Response) -> Self {
        let rendered = Rendered::of(&response);
        let is_refusal = response.reason().is_some() && matches!(response.body(), Body::Arena);
        let body = match response.take_body() {
            _ if is_refusal => FixedBody::Refusal,
            Body::Empty => FixedBody::Empty,
            Body::Static(bytes) => FixedBody::Static(bytes),
            Body::Shared(bytes) => FixedBody::Shared(bytes),
            Body::File { file, offset, length } => FixedBody::File { file, offset, length },
            // `take_body` leaves none in the arena.
            Body::Arena => FixedBody::Empty,
            Body::Source(_) => panic!("a fixed answer is sent many times, and a `Source` only once"),
        };
        let owned = |(name, value): (&str, &[u8])| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        Self {
            status: response.status(),
            reason: response.reason(),
            close: response.closes(),
            content_type: response.content_type(),
            fields: response.fields().iter().filter_map(owned).collect(),
            body,
            rendered,
        }
    }

    /// A response of its own.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::default();
        self.fill(&mut response);
        response
    }

    #[inline]
    fn fill(&self, response: &mut Response) {
        if let Some(reason) = self.reason {
            response.refuse_with(reason, self.status);
        }
        response.set_status(self.status);
        if let Some(content_type) = self.content_type {
            response.set_content_type(content_type);
        }
        for (name, value) in &self.fields {
            response.append(name, value);
        }
        if self.close {
            response.set_close();
        }
        response.set_body(match &self.body {
            FixedBody::Empty => Body::Empty,
            FixedBody::Refusal => Body::Arena,
            FixedBody::Static(bytes) => Body::Static(bytes),
            FixedBody::Shared(bytes) => Body::Shared(bytes.clone()),
            FixedBody::File { file, offset, length } => {
                Body::File { file: Arc::clone(file), offset: *offset, length: *length }
            }
        });
    }
}

impl Handler for Fixed {
    #[inline]
    fn handle(&self, _request: &Request<'_>, response: &mut Response) -> Outcome {
        self.fill(response);
        Outcome::Ready
    }

    fn fixed(&self) -> Option<Rendered> {
        self.rendered.clone()
    }

    fn explain(&self, _request: &Request<'_>) -> Vec<Step> {
        vec![Step::new(Stage::Handle, "action", format!("respond with {}", self.status.as_u16()))]
    }
}

/// A handler that answers later, from wherever the [`Reply`] is sent.
///
/// ```
/// use kolk::{App, Reply, Request, deferred};
///
/// let app = App::new().get("/later", deferred(|_: &Request<'_>, reply: Reply| {
///     std::thread::spawn(move || reply.send("at last\n"));
/// }));
/// assert_eq!(app.oneshot(http::Request::get("/later").body("").unwrap()).body(), "at last\n");
/// ```
pub fn deferred<F>(handler: F) -> DeferredBy<F>
where
    F: Fn(&Request<'_>, Reply) + Send + Sync + 'static,
{
    DeferredBy { handler }
}

/// What [`deferred`] makes.
pub struct DeferredBy<F> {
    handler: F,
}

impl<F> Handler for DeferredBy<F>
where
    F: Fn(&Request<'_>, Reply) + Send + Sync + 'static,
{
    fn handle(&self, request: &Request<'_>, _response: &mut Response) -> Outcome {
        let (reply, outcome) = request.defer();
        (self.handler)(request, reply);
        outcome
    }
}

/// A handler that may block: it runs on the server's bounded pool, with a copy of the request.
///
/// When the pool is full the answer is 503 with `Retry-After: 1`; a panic is a 500.
///
/// ```
/// use kolk::{App, Request, blocking};
///
/// let app = App::new().get("/hosts", blocking(|_: &Request<'_>| {
///     std::fs::read_to_string("/etc/hosts").map_err(|_| http::StatusCode::NOT_FOUND)
/// }));
/// assert!(app.oneshot(http::Request::get("/hosts").body("").unwrap()).status().as_u16() < 500);
/// ```
pub fn blocking<F, R>(handler: F) -> Blocking<F>
where
    F: Fn(&Request<'_>) -> R + Send + Sync + 'static,
    R: Into<Response>,
{
    Blocking { handler: Arc::new(handler) }
}

/// What [`blocking`] makes.
pub struct Blocking<F> {
    handler: Arc<F>,
}

impl<F, R> Handler for Blocking<F>
where
    F: Fn(&Request<'_>) -> R + Send + Sync + 'static,
    R: Into<Response>,
{
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        let Ok(seat) = request.pool().reserve() else {
            response.refuse(Reason::PoolFull);
            response.append(&header::RETRY_AFTER, &HeaderValue::from_static("1"));
            return Outcome::Ready;
        };
        let owned = request.to_owned_request();
        let (reply, outcome) = request.defer();
        let handler = Arc::clone(&self.handler);
        seat.submit(Box::new(move || {
            if reply.client() == Presence::Gone {
                return;
            }
            let answer = catch_unwind(AssertUnwindSafe(|| handler(&owned.request()).into()));
            reply.send(answer.unwrap_or_else(|panic| {
                route::log_panic(owned.route(), &*panic);
                Response::refusal(Reason::HandlerPanic)
            }));
        }));
        outcome
    }
}

/// A handler that takes the request's body piece by piece: it makes a [`Sink`] for it, or answers at once.
///
/// ```
/// use kolk::{App, Outcome, Request, Response, Sink, Take, receiving};
///
/// #[derive(Default)]
/// struct Count(u64);
///
/// impl Sink for Count {
///     fn chunk(&mut self, bytes: &[u8]) -> Take {
///         self.0 += bytes.len() as u64;
///         Take::More
///     }
///     fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
///         response.replace(self.0.to_string().into());
///         Outcome::Ready
///     }
/// }
///
/// let app = App::new().put("/count", receiving(|_| Ok(Box::new(Count::default()))));
/// let answer = app.oneshot(http::Request::put("/count").body(vec![0; 100_000]).unwrap());
/// assert_eq!(answer.body(), "100000");
/// ```
pub fn receiving<F>(handler: F) -> Receiving<F>
where
    F: Fn(&Request<'_>) -> Result<Box<dyn Sink>, Response> + Send + Sync + 'static,
{
    Receiving { handler }
}

/// What [`receiving`] makes.
pub struct Receiving<F> {
    handler: F,
}

impl<F> Handler for Receiving<F>
where
    F: Fn(&Request<'_>) -> Result<Box<dyn Sink>, Response> + Send + Sync + 'static,
{
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        match (self.handler)(request) {
            Ok(sink) => Outcome::Receive(sink),
            Err(answer) => {
                response.replace(answer);
                Outcome::Ready
            }
        }
    }

    fn rule(&self) -> Rule {
        Rule { body: BodyRule::Stream, ..Rule::default() }
    }
}

/// Generates a handler that differs from its inner one in its rule alone.
macro_rules! rule_changed {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($field:ident: $type:ty)? } => |$self:ident, $rule:ident| $change:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<H> {
            pub(super) inner: H,
            $(pub(super) $field: $type,)?
        }

        impl<H: Handler> Handler for $name<H> {
            left_to_inner!(handle fixed layers predicates rewrite place explain);

            fn rule(&self) -> Rule {
                let ($self, mut $rule) = (self, self.inner.rule());
                $change;
                $rule
            }
        }
    )*};
}

rule_changed! {
    /// What [`HandlerExt::body_limit`](super::HandlerExt::body_limit) makes.
    Limited { bytes: u64 } => |this, rule| rule.body_bytes_max = Some(this.bytes);
    /// What [`HandlerExt::timeouts`](super::HandlerExt::timeouts) makes.
    Hurried { timeouts: RouteTimeouts } => |this, rule| rule.timeouts = this.timeouts.or(rule.timeouts);
    /// What [`HandlerExt::timed`](super::HandlerExt::timed) makes.
    Timed {} => |_this, rule| rule.timed = true;
    /// What [`HandlerExt::logged`](super::HandlerExt::logged) makes.
    Logged { log: LogId } => |this, rule| rule.log = this.log;
    /// What [`HandlerExt::streaming`](super::HandlerExt::streaming) makes.
    Streaming {} => |_this, rule| rule.body = BodyRule::Stream;
}

/// Closures have no `Debug`.
macro_rules! debug_by_name {
    ($($name:ident)*) => {$(
        impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name! { DeferredBy Blocking Receiving }

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::app::{App, Attributes, BlockingPool, HandlerExt, Mail, Nobody, Origin, Params, Route};
    use crate::base::{Key, Mailbox, Tick, Wake};
    use crate::http::{ExchangeId, FieldTable, Head, Path, Pull, Pulled, Source, StreamId, Timeline};

    struct Silent;

    impl Wake for Silent {
        fn wake(&self) {}
    }

    /// Calls the only route of `app` on `pool`.
    fn call(app: &App, pool: &Arc<BlockingPool>, mailbox: &Mailbox<Mail>) -> (Outcome, Response) {
        let (table, params, post) = (FieldTable::new(), Params::new(), mailbox.post());
        let origin = Origin {
            exchange: ExchangeId { connection: Key::unpack(1 << 32), stream: StreamId(1) },
            post: &post,
            pool,
            worker: 0,
            connection_number: 1,
            request_number: 1,
            now: Tick::ZERO,
            unix_seconds: 0,
            timeline: Timeline::default(),
            peer: &Nobody::default(),
            trust: None,
            attributes: &Attributes::default(),
        };
        let route: &Route = &app.routes()[0];
        let request = Request::new(
            Head::new(b"", &table),
            Path::normalised("/"),
            route.shared_pattern(),
            &params,
            b"",
            None,
            &origin,
        );
        let mut response = Response::default();
        (route.call(&request, &mut response), response)
    }

    #[test]
    fn a_full_pool_is_a_503_that_says_when_to_come_back() {
        let pool = Arc::new(BlockingPool::new(1, 0));
        let mut mailbox = Mailbox::new(Arc::new(Silent), 8);
        let (release, wait) = mpsc::channel::<()>();
        pool.submit(Box::new(move || assert!(wait.recv().is_err(), "dropping the sender is the release")))
            .unwrap();

        let app = App::new().get("/", blocking(|_: &Request<'_>| "never"));
        let (outcome, response) = call(&app, &pool, &mailbox);
        assert!(matches!(outcome, Outcome::Ready));
        assert_eq!((response.status().as_u16(), response.reason()), (503, Some(Reason::PoolFull)));
        assert_eq!(response.fields().get("retry-after"), Some(&b"1"[..]));
        assert!(!response.closes());
        drop(release);
        let mut letters = Vec::new();
        mailbox.drain(&mut letters);
        assert!(letters.is_empty(), "a refused request has no reply that could be dropped: {letters:?}");
    }

    #[test]
    fn work_for_a_client_that_has_gone_is_not_begun() {
        let pool = Arc::new(BlockingPool::new(1, 8));
        let mut mailbox = Mailbox::new(Arc::new(Silent), 8);
        let (release, wait) = mpsc::channel::<()>();
        pool.submit(Box::new(move || assert!(wait.recv().is_err(), "dropping the sender is the release")))
            .unwrap();

        let app =
            App::new().get("/", blocking(|_: &Request<'_>| -> &str { unreachable!("the client has gone") }));
        let (Outcome::Deferred(ticket), _) = call(&app, &pool, &mailbox) else { panic!("not deferred") };
        ticket.presence().set(Presence::Gone);
        drop(release);
        let (done, is_done) = mpsc::channel();
        pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        is_done.recv().unwrap();
        let mut letters = Vec::new();
        mailbox.drain(&mut letters);
        assert!(letters.is_empty(), "{letters:?}");
    }

    #[test]
    fn a_fixed_answer_is_whole_each_time() {
        let answer = Response::html("<p>")
            .with_status(StatusCode::ACCEPTED)
            .with_header(header::ETAG, HeaderValue::from_static("\"1\""))
            .with_header(header::DATE, HeaderValue::from_static("now"))
            .with_close();
        let (pool, mailbox) = (Arc::new(BlockingPool::new(1, 1)), Mailbox::new(Arc::new(Silent), 8));
        let app = App::new().get("/", answer);
        for _ in 0..2 {
            let (_, mut response) = call(&app, &pool, &mailbox);
            assert_eq!(response.status(), 202);
            assert!(response.closes() && response.has_date());
            assert_eq!(response.content_type(), Some("text/html; charset=utf-8"));
            assert_eq!(response.fields().block(), b"Etag: \"1\"\r\nDate: now\r\n");
            assert!(matches!(response.take_body(), Body::Static(b"<p>")));
        }
        let fixed = app.routes()[0].fixed().expect("it is small");
        assert_eq!((fixed.status().as_u16(), fixed.closes(), fixed.has_date()), (202, true, true));
        assert!(fixed.fields().starts_with(b"Content-Type: text/html") && fixed.body() == b"<p>");
        let app = App::new().get("/", Response::refusal(Reason::HeadBytes));
        let (_, response) = call(&app, &pool, &mailbox);
        assert!(app.routes()[0].fixed().is_none(), "the reason is counted each time");
        assert_eq!((response.reason(), response.closes()), (Some(Reason::HeadBytes), true));
        assert_eq!(response.length(), Response::refusal(Reason::HeadBytes).length());
    }

    struct Once;

    impl Source for Once {
        fn pull(&mut self, _: &mut Pull<'_>) -> Pulled {
            Pulled::End
        }
    }

    #[test]
    #[should_panic(expected = "a `Source` only once")]
    fn a_source_cannot_be_a_fixed_answer() {
        let _app = App::new().get("/", Response::stream("a/b", Once));
    }

    #[test]
    fn rules_add_up() {
        let handler = (|_: &Request<'_>| "").body_limit(5).timed().streaming().body_limit(7);
        let rule = Rule { body: BodyRule::Stream, body_bytes_max: Some(7), timed: true, ..Rule::default() };
        assert_eq!(handler.rule(), rule);
        assert_eq!(App::new().get("/", handler).routes()[0].rule(), &rule);
    }
}
