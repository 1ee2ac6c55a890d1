//! [`Layer`]: what stands between the route and its handler; [`Chain`]: the layers of a route in their order.
//!
//! ```text
//!  head ─► before ─► before ─► before ─► body ─► handler
//!             │ closed: nobody behind it is asked    │
//!             ▼                                      ▼
//!  client ◄─ after ◄─ after ◄─ after ◄───────────── answer
//! ```
//! Layers act in the order in which they are written, the outermost first; their changes of an answer in the
//! reverse one. Every answer passes all of them: also a refusal, one that another thread has made, and a 404;
//! what nobody could read has at most an id.
//! Decides at the head: of a body nothing was read, and none was invited. Knows no wire.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::handler::{Handler, Outcome, left_to_inner};
use super::limits::{RateLimit, Together};
use super::request::Request;
use super::request_ids::RequestIds;
use super::route::log_panic;
use crate::http::{Reason, Rendered, Response};

/// Looks at requests before their handler does, and at every answer behind it.
///
/// ```
/// use kolk::{App, HeaderValue, Layer, Passage, Request, Response, StatusCode, header};
///
/// /// Nothing but secrets here.
/// struct Secret(&'static str);
///
/// impl Layer for Secret {
///     fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
///         if request.query() == Some(self.0) {
///             return Passage::Open;
///         }
///         response.set_status(StatusCode::FORBIDDEN);
///         Passage::answered()
///     }
///
///     fn after(&self, _: &Request<'_>, response: &mut Response) {
///         response.append(&header::CACHE_CONTROL, &HeaderValue::from_static("no-store"));
///     }
/// }
///
/// let app = App::new().layer(Secret("sesame")).get("/", Response::text("treasure\n"));
/// let get = |target| app.oneshot(http::Request::get(target).body("").unwrap());
/// assert_eq!(get("/?sesame").body(), "treasure\n");
/// assert_eq!(get("/").status(), 403);
/// assert_eq!(get("/").headers()["cache-control"], "no-store");
/// assert_eq!(get("/nowhere").status(), 403);
/// ```
pub trait Layer: Any + Send + Sync {
    /// Lets the request pass, or fills `response`, which is empty. Called again if it has
    /// [suspended](Request::suspend) the request. A panic is a 500.
    ///
    /// What it adds to `response` and then lets the request pass has no promise: some answers begin anew, as
    /// fixed ones do, and some do not. What every answer should have is for [`Layer::after`].
    fn before(&self, _request: &Request<'_>, _response: &mut Response) -> Passage {
        Passage::Open
    }

    /// Changes an answer, whoever has made it. The body of the request is not there any more.
    fn after(&self, _request: &Request<'_>, _response: &mut Response) {}

    /// Does to `response` what [`Layer::after`] does, if that is the same for every request; false if it is
    /// not. Answers that never change are changed once.
    fn settle(&self, _response: &mut Response) -> bool {
        !self.acts().after
    }

    /// Which of the two it does. What it does not do costs nothing.
    fn acts(&self) -> Acts {
        Acts::BOTH
    }

    /// One word for explanations: `auth`, `rate`, `headers`.
    fn name(&self) -> &'static str {
        "layer"
    }

    /// What it was told to do, in half a sentence, for [explanations](super::App::explain).
    fn explain(&self) -> String {
        String::new()
    }

    /// Where it was told to stand, or what it does to this field of answers: `kolk.toml:12`.
    fn place_of(&self, _field: Option<&str>) -> Option<&str> {
        None
    }

    /// The layer that acts, if this one only has words for explanations: that one is called instead.
    fn inner(&self) -> Option<&Arc<dyn Layer>> {
        None
    }

    /// Itself, if it gives requests their ids: it is asked for one also where no layer is asked, since nobody
    /// could read what was sent.
    fn request_ids(&self) -> Option<&RequestIds> {
        None
    }

    /// The rate that it is, if it is one: what becomes of requests there is told by name, in the metrics.
    fn rate(&self) -> Option<&RateLimit> {
        None
    }
}

impl Layer for Arc<dyn Layer> {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        (**self).before(request, response)
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        (**self).after(request, response);
    }

    fn settle(&self, response: &mut Response) -> bool {
        (**self).settle(response)
    }

    fn acts(&self) -> Acts {
        (**self).acts()
    }

    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn explain(&self) -> String {
        (**self).explain()
    }

    fn place_of(&self, field: Option<&str>) -> Option<&str> {
        (**self).place_of(field)
    }

    fn inner(&self) -> Option<&Arc<dyn Layer>> {
        Some(self)
    }

    fn request_ids(&self) -> Option<&RequestIds> {
        (**self).request_ids()
    }

    fn rate(&self) -> Option<&RateLimit> {
        (**self).rate()
    }
}

impl fmt::Debug for dyn Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a [`Layer`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acts {
    /// It looks at requests.
    pub before: bool,
    /// It looks at answers.
    pub after: bool,
}

impl Acts {
    /// It looks at requests alone.
    pub const REQUESTS: Self = Self { before: true, after: false };
    /// It looks at answers alone.
    pub const ANSWERS: Self = Self { before: false, after: true };
    /// It looks at requests, and at answers.
    pub const BOTH: Self = Self { before: true, after: true };
}

/// What a [`Layer`] says to a request.
#[derive(Debug)]
pub enum Passage {
    /// Go on.
    Open,
    /// Go on after this time.
    After(Duration),
    /// This is the answer, or who gives it; or the layer is asked again ([`Outcome::Again`]).
    Closed(Outcome),
}

impl Passage {
    /// The response is filled.
    pub const fn answered() -> Self {
        Self::Closed(Outcome::Ready)
    }
}

/// A handler within a layer: what [`HandlerExt::layer`](super::HandlerExt::layer) makes.
pub struct Layered<H> {
    inner: H,
    layer: Arc<dyn Layer>,
    is_outermost: bool,
}

impl<H> Layered<H> {
    /// Behind the layers that `inner` has.
    pub(super) fn behind(inner: H, layer: impl Layer) -> Self {
        Self { inner, layer: Arc::new(layer), is_outermost: false }
    }

    /// Before them.
    pub(super) fn before(inner: H, layer: impl Layer) -> Self {
        Self { inner, layer: Arc::new(layer), is_outermost: true }
    }
}

impl<H: Handler> Handler for Layered<H> {
    left_to_inner!(handle rule fixed predicates rewrite place explain);

    fn layers(&self) -> Vec<Arc<dyn Layer>> {
        let mut layers = self.inner.layers();
        let place = if self.is_outermost { 0 } else { layers.len() };
        layers.insert(place, Arc::clone(&self.layer));
        layers
    }
}

impl<H> fmt::Debug for Layered<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("layer", &self.layer.name()).finish_non_exhaustive()
    }
}

/// The layers of a route, or of a site where it has no route: one word where there are none.
#[derive(Clone, Default)]
pub struct Chain {
    layers: Option<Box<Layers>>,
}

#[derive(Clone)]
struct Layers {
    /// All of them.
    all: Vec<Arc<dyn Layer>>,
    /// Those that look at requests.
    before: Box<[Arc<dyn Layer>]>,
    /// Rates that are side by side there, each row with the number of its first one.
    rates: Box<[(usize, Together)]>,
    /// Those that look at answers.
    after: Box<[Arc<dyn Layer>]>,
}

/// How far a request got.
#[derive(Debug)]
pub enum Progress {
    /// To its handler.
    Passed,
    /// A layer lets it pass later.
    Waits {
        /// This layer.
        by: usize,
        /// Here it goes on.
        next: usize,
        /// After so long.
        wait: Duration,
    },
    /// This layer has decided.
    Stopped(usize, Outcome),
}

impl Chain {
    pub(super) fn new(layers: Vec<Arc<dyn Layer>>) -> Self {
        let those = |does: fn(Acts) -> bool| {
            let those = layers.iter().filter(|layer| does(layer.acts()));
            those.map(|layer| Arc::clone(acting(layer))).collect::<Box<_>>()
        };
        let (before, after) = (those(|acts| acts.before), those(|acts| acts.after));
        let rates = side_by_side(&before);
        let is_empty = layers.is_empty();
        let layers = || Box::new(Layers { all: layers, before, rates, after });
        Self { layers: (!is_empty).then(layers) }
    }

    /// All layers, the outermost first.
    pub fn layers(&self) -> &[Arc<dyn Layer>] {
        self.layers.as_ref().map_or(&[], |layers| &layers.all)
    }

    /// Whether some layer looks at requests.
    #[inline]
    pub fn looks_at_requests(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| !layers.before.is_empty())
    }

    /// Whether some layer looks at answers.
    #[inline]
    pub fn looks_at_answers(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| !layers.after.is_empty())
    }

    /// Lets the layers from number `from` look at `request`.
    pub fn before(&self, from: usize, request: &Request<'_>, response: &mut Response) -> Progress {
        let Some(layers) = &self.layers else { return Progress::Passed };
        let mut number = from;
        while let Some(layer) = layers.before.get(number) {
            let row = layers.rates.iter().find(|(first, _)| *first == number).map(|(_, row)| row);
            let asked = catch_unwind(AssertUnwindSafe(|| match row {
                None => (0, layer.before(request, response)),
                Some(row) => row.before(request, response),
            }));
            let next = number + row.map_or(1, Together::len);
            match asked {
                Ok((_, Passage::Open)) => number = next,
                Ok((by, Passage::After(wait))) => return Progress::Waits { by: number + by, next, wait },
                Ok((_, Passage::Closed(Outcome::Receive(_)))) => {
                    log::error!("the layer {:?} wants a body, which is its handler's", layer.name());
                    return Progress::Stopped(number, failed(response));
                }
                Ok((by, Passage::Closed(outcome))) => return Progress::Stopped(number + by, outcome),
                Err(panic) => {
                    log_panic(layer.name(), &*panic);
                    return Progress::Stopped(number, failed(response));
                }
            }
        }
        Progress::Passed
    }

    /// Lets the layers change the answer to `request`.
    pub fn after(&self, request: &Request<'_>, response: &mut Response) {
        self.after_each(request, response, |_, _| {});
    }

    /// The same; `seen` looks at the answer behind each of them, whose number it gets.
    #[inline]
    pub(super) fn after_each(
        &self,
        request: &Request<'_>,
        response: &mut Response,
        mut seen: impl FnMut(usize, &Response),
    ) {
        for (number, layer) in self.those_after().iter().enumerate().rev() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| layer.after(request, response))) {
                log_panic(layer.name(), &*panic);
                failed(response);
            }
            seen(number, response);
        }
    }

    /// What becomes of an answer that never changes, if that is the same every time.
    pub(super) fn settle(&self, fixed: Rendered) -> Option<Rendered> {
        if !self.looks_at_answers() {
            return Some(fixed);
        }
        let mut response = Response::default();
        fixed.fill(&mut response);
        let is_settled = self.those_after().iter().rev().all(|layer| layer.settle(&mut response));
        if is_settled { Rendered::of(&response) } else { None }
    }

    fn those_after(&self) -> &[Arc<dyn Layer>] {
        self.layers.as_ref().map_or(&[], |layers| &layers.after)
    }
}

/// The layer that is called: behind all that only have words for it.
fn acting(mut layer: &Arc<dyn Layer>) -> &Arc<dyn Layer> {
    while let Some(inner) = (**layer).inner() {
        layer = inner;
    }
    layer
}

/// The rates of which several follow each other.
fn side_by_side(layers: &[Arc<dyn Layer>]) -> Box<[(usize, Together)]> {
    // Whoever only has a rate may ask it as it likes.
    let rate = |layer: &Arc<dyn Layer>| Arc::clone(layer) as Arc<dyn Any + Send + Sync>;
    let rate = |layer: &Arc<dyn Layer>| rate(layer).downcast::<RateLimit>().ok();
    let mut rows = Vec::new();
    let mut number = 0;
    for row in layers.chunk_by(|one, next| rate(one).is_some() && rate(next).is_some()) {
        if row.len() > 1 {
            rows.push((number, Together::new(row.iter().filter_map(rate).collect())));
        }
        number += row.len();
    }
    rows.into()
}

#[cold]
fn failed(response: &mut Response) -> Outcome {
    response.reset();
    response.refuse(Reason::HandlerPanic);
    Outcome::Ready
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::thread;

    use ::http::{HeaderName, HeaderValue, StatusCode};

    use super::*;
    use crate::app::{App, HandlerExt, Reply, Sink, Take, blocking, deferred, receiving};

    /// Leaves its name wherever it comes by, and stops who has it in the query.
    struct Named(&'static str);

    impl Layer for Named {
        fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
            if request.query() == Some(self.0) {
                response.replace(Response::text(self.0).with_status(StatusCode::FORBIDDEN));
                return Passage::answered();
            }
            Passage::Open
        }

        fn after(&self, _: &Request<'_>, response: &mut Response) {
            assert!(self.settle(response));
        }

        fn settle(&self, response: &mut Response) -> bool {
            response.append(&HeaderName::from_static("x-by"), &HeaderValue::from_static(self.0));
            true
        }
    }

    /// Status, body, and who came by, the first one first.
    fn get(app: &App, target: &str) -> (u16, String, Vec<String>) {
        let answer = app.oneshot(::http::Request::get(target).body("").unwrap());
        let by = answer.headers().get_all("x-by").iter().map(|name| name.to_str().unwrap().to_owned());
        let by = by.collect();
        (answer.status().as_u16(), String::from_utf8(answer.into_body().to_vec()).unwrap(), by)
    }

    fn by(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn layers_act_as_they_are_written_and_dress_in_the_reverse_order() {
        let plain = |_: &Request<'_>| "plain";
        let app = App::new()
            .layer(Named("a"))
            .get("/", plain.layer(Named("c")).layer(Named("d")))
            .mount("/in", App::new().layer(Named("m")).get("/", plain.layer(Named("n"))))
            .site(["other.example"], App::new().layer(Named("s")).get("/", plain))
            .layer(Named("b"));
        assert_eq!(get(&app, "/"), (200, "plain".into(), by(&["d", "c", "b", "a"])));
        assert_eq!(get(&app, "/in/").2, by(&["n", "m", "b", "a"]));
        assert_eq!(get(&app, "/nowhere").0, 404);
        assert_eq!(get(&app, "/nowhere").2, by(&["b", "a"]), "an answer without a route");
        assert_eq!(get(&app, "http://other.example/").2, by(&["s", "b", "a"]));
        assert_eq!(get(&app, "http://other.example/nowhere").2, by(&["s", "b", "a"]));
        for name in ["a", "b", "c", "d"] {
            let (status, body, all) = get(&app, &format!("/?{name}"));
            assert_eq!((status, &*body, all.len()), (403, name, 4), "whoever answers, all dress it");
        }
        assert_eq!(get(&app, "/?m").0, 200);
        assert_eq!(get(&app, "/nowhere?b").0, 403);
    }

    #[test]
    fn a_fixed_answer_is_dressed_once() {
        struct Hour;
        impl Layer for Hour {
            fn acts(&self) -> Acts {
                Acts::ANSWERS
            }
            fn after(&self, request: &Request<'_>, response: &mut Response) {
                let hour = HeaderValue::from(request.now().as_nanos() / 3_600_000_000_000);
                response.append(&HeaderName::from_static("x-by"), &hour);
            }
        }
        let app = App::new().layer(Named("a")).get("/", Response::text("fixed"));
        let fixed = app.routes()[0].fixed().unwrap();
        assert_eq!(fixed.lines().filter(|line| *line == (b"X-By", b"a")).count(), 1);
        assert_eq!(get(&app, "/"), (200, "fixed".into(), by(&["a"])));
        assert_eq!(get(&app, "/?a").0, 403, "and still asked for");

        let app = app.layer(Hour);
        assert!(app.routes()[0].fixed().is_none());
        assert_ne!(get(&app, "/").2, get(&app, "/").2);
    }

    #[test]
    fn answers_of_every_kind_are_dressed() {
        struct Refuses;
        impl Sink for Refuses {
            fn chunk(&mut self, _: &[u8]) -> Take {
                Take::Answer(Box::new(StatusCode::IM_A_TEAPOT.into()))
            }
            fn end(self: Box<Self>, request: &Request<'_>, _: &mut Response) -> Outcome {
                let (reply, outcome) = request.defer();
                reply.send("late");
                outcome
            }
        }
        struct Suspended;
        impl Handler for Suspended {
            fn handle(&self, request: &Request<'_>, _: &mut Response) -> Outcome {
                let (recall, outcome) = request.suspend();
                recall.send("instead");
                outcome
            }
        }
        let app = App::new()
            .layer(Named("a"))
            .get("/", blocking(|_: &Request<'_>| "pool"))
            .put("/", deferred(|_: &Request<'_>, reply: Reply| drop(reply)))
            .patch("/", Suspended)
            .post("/", receiving(|_| Ok(Box::new(Refuses))).body_limit(9))
            .delete("/", |_: &Request<'_>| -> Response { panic!("as asked") });
        for (method, body, status) in [
            ("GET", "", 200),
            ("PUT", "", 500),
            ("PATCH", "", 200),
            ("POST", "", 200),
            ("POST", "x", 418),
            ("POST", "much too long", 413),
            ("DELETE", "", 500),
            ("BREW", "", 501),
            ("OPTIONS", "", 204),
        ] {
            let answer = app.oneshot(::http::Request::builder().method(method).uri("/").body(body).unwrap());
            assert_eq!(
                (answer.status().as_u16(), answer.headers()["x-by"].as_bytes()),
                (status, &b"a"[..]),
                "{method}"
            );
        }
        let rule = app.routes()[3].rule();
        assert_eq!(rule.body_bytes_max, Some(9));
    }

    #[test]
    fn a_layer_that_asks_elsewhere_is_asked_again_and_those_before_it_are_not() {
        #[derive(Default)]
        struct Counts(Arc<AtomicU32>);
        impl Layer for Counts {
            fn before(&self, _: &Request<'_>, _: &mut Response) -> Passage {
                self.0.fetch_add(1, Relaxed);
                Passage::After(Duration::from_millis(1))
            }
        }
        struct Asks(Arc<AtomicU32>);
        impl Layer for Asks {
            fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
                if self.0.fetch_add(1, Relaxed) == 1 {
                    return Passage::Open;
                }
                let (recall, outcome) = request.suspend();
                thread::spawn(move || recall.call());
                Passage::Closed(outcome)
            }
        }
        let counts: [Arc<AtomicU32>; 3] = Default::default();
        let app = App::new()
            .layer(Counts(Arc::clone(&counts[0])))
            .layer(Asks(Arc::clone(&counts[1])))
            .layer(Counts(Arc::clone(&counts[2])))
            .get("/", Response::text("fixed"));
        assert_eq!(get(&app, "/").1, "fixed");
        assert_eq!(counts.map(|count| count.load(Relaxed)), [1, 2, 1]);
    }

    #[test]
    fn a_layer_that_fails_is_a_500() {
        struct Fails(Acts);
        impl Layer for Fails {
            fn before(&self, _: &Request<'_>, _: &mut Response) -> Passage {
                panic!("as asked")
            }
            fn after(&self, _: &Request<'_>, _: &mut Response) {
                panic!("as asked")
            }
            fn acts(&self) -> Acts {
                self.0
            }
        }
        for (before, after) in [(true, false), (false, true)] {
            let app = App::new().layer(Fails(Acts { before, after })).get("/", Response::text("fixed"));
            let (status, body, _) = get(&app, "/");
            assert_eq!(status, 500);
            assert!(body.contains("handler.panic"), "{body}");
        }
    }
}
