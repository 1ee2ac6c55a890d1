//! [`Handler`]: decides what a request gets; and what it may say: [`Outcome`], [`Rule`], [`Sink`].
//!
//! ```text
//!  Collect: head ─ body … complete ─► handle ─► Ready | Deferred | Again
//!  Stream:  head ─► handle ─► Ready | Deferred | Again | Receive(sink)
//!                                                  └─ chunk, chunk, … ─► end ─► Ready | Deferred
//! ```
//! A handler runs on the loop's thread and must not block it. Knows nothing of how requests arrive.

use std::fmt;
use std::sync::Arc;

use super::adapters::{Hurried, Limited, Logged, Streaming, Timed};
use super::explain::Step;
use super::layer::{Layer, Layered};
use super::predicate::{Predicate, When};
use super::reply::Ticket;
use super::request::Request;
use super::rewrite::Rewrite;
use super::timeouts::RouteTimeouts;
use crate::http::{Rendered, Response};

/// Answers requests.
///
/// Closures from `&Request` to anything that becomes a [`Response`] are handlers. Implement it to write
/// into the response that the worker lends, which allocates nothing:
///
/// ```
/// use kolk::{App, Handler, Outcome, Request, Response};
///
/// struct Greeting(&'static str);
///
/// impl Handler for Greeting {
///     fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
///         response.set_content_type("text/plain; charset=utf-8");
///         let name = request.param("name").unwrap_or("world");
///         for part in [self.0, ", ", name, "\n"] {
///             response.arena().extend_from_slice(part.as_bytes());
///         }
///         Outcome::Ready
///     }
/// }
///
/// let app = App::new().get("/hello/{name}", Greeting("hello"));
/// let answer = app.oneshot(http::Request::get("/hello/Ada").body("").unwrap());
/// assert_eq!(answer.body(), "hello, Ada\n");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "write a closure `|request: &Request<'_>| …` that returns something that becomes a `Response`",
    note = "or implement `Handler`"
)]
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`: fills `response`, which is empty, or says who will.
    ///
    /// A panic becomes a 500 and costs nobody else anything.
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome;

    /// What the server does before and around the call. Read once, when the route is added.
    fn rule(&self) -> Rule {
        Rule::default()
    }

    /// The answer, if it is the same for every request: a request without a body then gets it without a
    /// call of [`Handler::handle`]. Asked once, when the route is added.
    fn fixed(&self) -> Option<Rendered> {
        None
    }

    /// What stands before it, the outermost first. Asked once, when the route is added.
    fn layers(&self) -> Vec<Arc<dyn Layer>> {
        Vec::new()
    }

    /// What must hold of a request besides its path and method. Asked once, when the route is added.
    fn predicates(&self) -> Vec<Predicate> {
        Vec::new()
    }

    /// Another path, with which the routes are asked again in place of this handler. Asked once, when the
    /// route is added; such a route has no [layers](Handler::layers).
    fn rewrite(&self) -> Option<Rewrite> {
        None
    }

    /// Where its route was told, for [explanations](super::App::explain): `kolk.toml:12`. Asked once, when
    /// the route is added.
    fn place(&self) -> Option<Arc<str>> {
        None
    }

    /// What it would do with `request`, for explanations: changes nothing. The topic of what it does is
    /// `action`.
    fn explain(&self, _request: &Request<'_>) -> Vec<Step> {
        Vec::new()
    }
}

impl<F, R> Handler for F
where
    F: Fn(&Request<'_>) -> R + Send + Sync + 'static,
    R: Into<Response>,
{
    #[inline]
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(self(request).into());
        Outcome::Ready
    }
}

/// Who answers a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The response is filled: send it.
    Ready,
    /// The answer was rendered before, for many requests: it is sent in place of the response.
    Rendered(Arc<Rendered>),
    /// A [`Reply`](super::Reply) will be sent later, perhaps from another thread.
    Deferred(Ticket),
    /// The handler is called once more when its [`Recall`](super::Recall) says so. Until then nothing is read
    /// of a body that it was not given yet, and a client that asks first (RFC 9110 §10.1.1) is not answered.
    Again(Ticket),
    /// The body goes to this sink, piece by piece, and the sink answers at its end. A handler whose
    /// body was collected ([`BodyRule::Collect`]) may say so too: its sink gets the whole body at once.
    Receive(Box<dyn Sink>),
}

/// What the server does before and around a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// When the handler is called.
    pub body: BodyRule,
    /// The largest request body that is taken, in bytes; a larger one is answered with 413.
    /// `None`: the server's default.
    pub body_bytes_max: Option<u64>,
    /// Whether the clock is read between the stages, so that
    /// [`Request::timeline`] has the durations of this exchange.
    pub timed: bool,
    /// Which access log has its answers.
    pub log: LogId,
    /// How long an exchange may take, where that is not what the server says.
    pub timeouts: RouteTimeouts,
}

/// The number of an access log in its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(u16);

impl LogId {
    /// The first log, which has everything that is not said to be elsewhere.
    pub const MAIN: Self = Self(0);
    /// No log: what is said to be here is not written down.
    pub const NONE: Self = Self(u16::MAX);

    /// Counts from 0 in the order of `Server::access_logs`. Of a number that a server does not have, its
    /// first log is meant.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Rule {
    /// The server's default limit of a request body, in bytes.
    pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
}

/// When a handler is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyRule {
    /// When the request's body is complete: [`Request::body`] has it.
    #[default]
    Collect,
    /// As soon as the head is there; the handler may return [`Outcome::Receive`].
    Stream,
}

/// Takes a request's body piece by piece, on the loop's thread.
///
/// Dropped before [`Sink::end`]: the client is gone, or the body was refused.
pub trait Sink: Send {
    /// The next bytes of the body, never empty.
    fn chunk(&mut self, bytes: &[u8]) -> Take;

    /// The body is complete: answers, as a handler does, but not with [`Outcome::Receive`] or
    /// [`Outcome::Again`].
    fn end(self: Box<Self>, request: &Request<'_>, response: &mut Response) -> Outcome;
}

impl fmt::Debug for dyn Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// What a [`Sink`] says to a piece of the body.
#[derive(Debug)]
pub enum Take {
    /// Go on.
    More,
    /// All was taken, but read no further until [`Wakeup::wake`](super::Wakeup::wake).
    Wait,
    /// Answer now: the rest of the body is not wanted.
    Answer(Box<Response>),
}

/// Changes of what stands around a handler.
pub trait HandlerExt: Handler + Sized {
    /// Takes request bodies of at most `bytes` bytes; a larger one is answered with 413.
    ///
    /// ```
    /// use kolk::{App, HandlerExt, Request};
    ///
    /// let app = App::new().post("/note", (|request: &Request<'_>| request.body().len().to_string()).body_limit(4));
    /// let post = |body| app.oneshot(http::Request::post("/note").body(body).unwrap());
    /// assert_eq!(post("four").body(), "4");
    /// assert_eq!(post("fives").status(), 413);
    /// ```
    fn body_limit(self, bytes: u64) -> Limited<Self> {
        Limited { inner: self, bytes }
    }

    /// Waits so long for it and its clients, instead of as long as the server does: see [`RouteTimeouts`]. Of
    /// several the outermost counts.
    fn timeouts(self, timeouts: RouteTimeouts) -> Hurried<Self> {
        Hurried { inner: self, timeouts }
    }

    /// Measures the four stages of each exchange.
    fn timed(self) -> Timed<Self> {
        Timed { inner: self }
    }

    /// Leaves its answers out of the access log: what is asked every second, by machines that nobody watches.
    fn unlogged(self) -> Logged<Self> {
        self.logged(LogId::NONE)
    }

    /// Has its answers in this access log.
    fn logged(self, log: LogId) -> Logged<Self> {
        Logged { inner: self, log }
    }

    /// Is called at the head, before the body has arrived.
    fn streaming(self) -> Streaming<Self> {
        Streaming { inner: self }
    }

    /// Has `layer` before it, behind the layers that it has: they act in the order in which they are
    /// written.
    ///
    /// ```
    /// use kolk::{App, Cors, HandlerExt, Request};
    ///
    /// let app = App::new().any("/", (|_: &Request<'_>| "readable").layer(Cors::any()));
    /// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
    /// assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    /// ```
    fn layer(self, layer: impl Layer) -> Layered<Self> {
        Layered::behind(self, layer)
    }

    /// Answers only requests of which `predicate` holds, too. Of several routes with one pattern and one
    /// method the one with the most predicates that hold is taken.
    ///
    /// ```
    /// use kolk::{App, HandlerExt, Predicate, Request};
    ///
    /// let app = App::new()
    ///     .get("/", |_: &Request<'_>| "stable")
    ///     .get("/", (|_: &Request<'_>| "beta").when(Predicate::header("x-ring", "beta").unwrap()));
    /// let request = http::Request::get("/").header("x-ring", "beta").body("").unwrap();
    /// assert_eq!(app.oneshot(request).body(), "beta");
    /// assert_eq!(app.oneshot(http::Request::get("/").body("").unwrap()).body(), "stable");
    /// ```
    fn when(self, predicate: Predicate) -> When<Self> {
        When::new(self, predicate)
    }
}

impl<H: Handler> HandlerExt for H {}

/// Methods of [`Handler`] that a wrapper leaves to the handler within it, its `inner`.
macro_rules! left_to_inner {
    ($($method:ident)*) => { $($crate::app::handler::left_to_inner!(= $method);)* };
    (= handle) => {
        #[inline]
        fn handle(
            &self,
            request: &$crate::app::Request<'_>,
            response: &mut $crate::http::Response,
        ) -> $crate::app::Outcome {
            self.inner.handle(request, response)
        }
    };
    (= rule) => {
        fn rule(&self) -> $crate::app::Rule {
            self.inner.rule()
        }
    };
    (= fixed) => {
        fn fixed(&self) -> Option<$crate::http::Rendered> {
            self.inner.fixed()
        }
    };
    (= layers) => {
        fn layers(&self) -> Vec<std::sync::Arc<dyn $crate::app::Layer>> {
            self.inner.layers()
        }
    };
    (= predicates) => {
        fn predicates(&self) -> Vec<$crate::app::Predicate> {
            self.inner.predicates()
        }
    };
    (= rewrite) => {
        fn rewrite(&self) -> Option<$crate::app::Rewrite> {
            self.inner.rewrite()
        }
    };
    (= place) => {
        fn place(&self) -> Option<std::sync::Arc<str>> {
            self.inner.place()
        }
    };
    (= explain) => {
        fn explain(&self, request: &$crate::app::Request<'_>) -> Vec<$crate::app::Step> {
            self.inner.explain(request)
        }
    };
}
pub(super) use left_to_inner;
