//! [`Route`]: a pattern, a handler and its rule; the place where a handler's panics end.
//!
//! ```text
//!  Route ─┬─ chain · log · site · flags · the fixed answer, a short text and all   what every request reads
//!         └─► Rest: handler · pattern · rule · predicates · …                      what the others need, too
//! ```
//! What every request reads of a route lies together, in two lines of cache: of many routes no cache has all.

use std::any::Any;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::endpoint::Verb;
use super::explain::{Stage, Step};
use super::handler::{BodyRule, Handler, LogId, Outcome, Rule, Sink, Take};
use super::layer::{Chain, Layer};
use super::pattern::Pattern;
use super::predicate::Predicate;
use super::request::Request;
use super::rewrite::Rewrite;
use super::route_error::RouteError;
use super::site::SiteId;
use super::timeouts::RouteTimeouts;
use crate::http::{Reason, Rendered, Response};

/// The number of a route in its app. One more than its index: so that there is room for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(NonZeroU32);

impl RouteId {
    /// That of the route with this index.
    ///
    /// # Panics
    /// If an app cannot have so many.
    pub(super) fn of(index: usize) -> Self {
        let number = u32::try_from(index).ok().and_then(|index| NonZeroU32::MIN.checked_add(index));
        Self(number.expect("an app has fewer than 2^32 routes"))
    }

    /// Counts from 0 in the order in which the routes were added.
    #[inline]
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// What one method of one path pattern is answered by.
#[repr(C, align(64))]
pub struct Route {
    /// All its layers.
    chain: Chain,
    rest: Box<Rest>,
    /// That of its rule.
    log: LogId,
    /// The site that it belongs to.
    site: SiteId,
    /// That of its rule.
    is_timed: bool,
    rewrites: bool,
    /// What is answered without a call of the handler.
    fixed: Option<Rendered>,
}

const _: () = assert!(size_of::<Route>() == 192, "it fills three cache lines");

/// What a fixed answer does not need.
struct Rest {
    handler: Box<dyn Handler>,
    pattern: Arc<Pattern>,
    rule: Rule,
    verb: Verb,
    /// Its handler has no other method, so that this is no condition.
    is_bound: bool,
    predicates: Box<[Predicate]>,
    rewrite: Option<Rewrite>,
    /// Where it was told.
    place: Option<Arc<str>>,
    /// The layers of the apps that were mounted on the way to it, and its own.
    layers: Vec<Arc<dyn Layer>>,
}

impl Route {
    pub(super) fn new(pattern: Pattern, verb: Verb, handler: Box<dyn Handler>) -> Self {
        let rest = Rest {
            pattern: Arc::new(pattern),
            rule: handler.rule(),
            verb,
            is_bound: false,
            predicates: handler.predicates().into(),
            rewrite: handler.rewrite(),
            place: handler.place(),
            layers: handler.layers(),
            handler,
        };
        Self {
            chain: Chain::default(),
            log: rest.rule.log,
            site: SiteId::MAIN,
            is_timed: rest.rule.timed,
            rewrites: rest.rewrite.is_some(),
            fixed: None,
            rest: Box::new(rest),
        }
    }

    /// The same for a handler that has no other method.
    #[cfg(feature = "config")]
    pub(super) fn bound(mut self) -> Self {
        self.rest.is_bound = true;
        self
    }

    /// The same for another pattern, within more layers.
    pub(super) fn moved(mut self, pattern: Pattern, outer: &[Arc<dyn Layer>]) -> Self {
        self.rest.pattern = Arc::new(pattern);
        self.rest.layers.splice(0..0, outer.iter().map(Arc::clone));
        self
    }

    /// Belongs to `site`, whose layers, and those around it, are these.
    pub(super) fn settle(&mut self, site: SiteId, outer: &[Arc<dyn Layer>]) {
        self.site = site;
        let layers = outer.iter().chain(&self.rest.layers).map(Arc::clone).collect();
        self.chain = Chain::new(layers);
        self.fixed = self.rest.handler.fixed().and_then(|fixed| self.chain.settle(fixed));
    }

    /// Whether it may be added.
    ///
    /// # Errors
    /// [`RouteError::Rewrite`], if nobody would ask its layers.
    pub(super) fn check(&self) -> Result<(), RouteError> {
        let is_guarded = self.rewrites && !self.rest.layers.is_empty();
        if is_guarded { Err(RouteError::Rewrite(self.pattern().into())) } else { Ok(()) }
    }

    /// The pattern as it was written, with the prefixes it was mounted under.
    pub fn pattern(&self) -> &str {
        self.rest.pattern.text()
    }

    /// The name of its method, or `any method`.
    pub fn method(&self) -> &str {
        self.rest.verb.name()
    }

    /// The rule of its handler.
    #[inline]
    pub fn rule(&self) -> &Rule {
        &self.rest.rule
    }

    /// Whether its rule has the stages timed.
    #[inline]
    pub(crate) const fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// The access log of its rule.
    #[inline]
    pub(super) const fn log(&self) -> LogId {
        self.log
    }

    /// Whether others are asked in its place.
    #[inline]
    pub(super) const fn rewrites(&self) -> bool {
        self.rewrites
    }

    /// What must hold of a request besides its path and method.
    pub fn predicates(&self) -> &[Predicate] {
        &self.rest.predicates
    }

    /// How many things must hold of a request, besides its path: of two routes of one pattern that fit, the
    /// one with more of them answers. A method is one, each predicate another.
    pub fn conditions(&self) -> usize {
        usize::from(self.rest.verb != Verb::Any && !self.rest.is_bound) + self.rest.predicates.len()
    }

    /// How the path is changed, if others are asked in its place.
    #[inline]
    pub fn rewrite(&self) -> Option<&Rewrite> {
        self.rest.rewrite.as_ref()
    }

    /// Where it was told, as `kolk.toml:12`, if that is known.
    pub fn place(&self) -> Option<&Arc<str>> {
        self.rest.place.as_ref()
    }

    /// What it would do with `request`.
    pub(super) fn explain(&self, request: &Request<'_>) -> Vec<Step> {
        let mut steps = self.rest.handler.explain(request);
        if !steps.iter().any(|step| step.topic() == "body") {
            let text = match self.rest.rule.body_bytes_max.unwrap_or(Rule::BODY_BYTES_MAX) {
                u64::MAX => "of any size".to_owned(),
                bytes => format!("at most {bytes} bytes"),
            };
            steps.insert(0, Step::new(Stage::Handle, "body", text));
        }
        let timeouts = self.rest.rule.timeouts;
        if timeouts != RouteTimeouts::default() && !steps.iter().any(|step| step.topic() == "timeouts") {
            steps.insert(1, Step::new(Stage::Handle, "timeouts", timeouts.to_string()));
        }
        steps
    }

    /// The site that it belongs to.
    #[inline]
    pub const fn site(&self) -> SiteId {
        self.site
    }

    /// Its layers, and those around it.
    #[inline]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The answer to every request without a body that its layers let pass, if its handler need not be asked.
    #[inline]
    pub const fn fixed(&self) -> Option<&Rendered> {
        self.fixed.as_ref()
    }

    /// Calls the handler. If that panics, the response becomes a 500.
    ///
    /// Gives [`Outcome::Receive`] only where the rule is [`BodyRule::Stream`]: a sink for a body that is
    /// here already is fed at once.
    #[inline]
    pub fn call(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        match self.contained(response, |response| self.rest.handler.handle(request, response)) {
            Outcome::Receive(sink) if self.rest.rule.body == BodyRule::Collect => {
                self.feed(sink, request, response)
            }
            outcome => outcome,
        }
    }

    /// Gives `sink`, which this route's handler made, the next bytes. If that panics, the answer is a 500.
    pub fn chunk(&self, sink: &mut dyn Sink, bytes: &[u8]) -> Take {
        catch_unwind(AssertUnwindSafe(|| sink.chunk(bytes))).unwrap_or_else(|panic| {
            log_panic(self.pattern(), &*panic);
            Take::Answer(Box::new(Response::refusal(Reason::HandlerPanic)))
        })
    }

    /// Lets `sink`, which this route's handler made, answer. If that panics, the response becomes a 500.
    /// Never gives [`Outcome::Receive`] or [`Outcome::Again`]: the sink is used up.
    pub fn end(&self, sink: Box<dyn Sink>, request: &Request<'_>, response: &mut Response) -> Outcome {
        match self.contained(response, |response| sink.end(request, response)) {
            Outcome::Receive(_) | Outcome::Again(_) => {
                log::error!("the sink of {} wants the body a second time", self.pattern());
                response.reset();
                response.refuse(Reason::HandlerPanic);
                Outcome::Ready
            }
            outcome => outcome,
        }
    }

    /// The pattern, for a [`Request`].
    pub fn shared_pattern(&self) -> &Arc<Pattern> {
        &self.rest.pattern
    }

    pub(super) fn verb(&self) -> &Verb {
        &self.rest.verb
    }

    #[cold]
    fn feed(&self, mut sink: Box<dyn Sink>, request: &Request<'_>, response: &mut Response) -> Outcome {
        if !request.body().is_empty()
            && let Take::Answer(answer) = self.chunk(&mut *sink, request.body())
        {
            response.replace(*answer);
            return Outcome::Ready;
        }
        self.end(sink, request, response)
    }

    #[inline]
    fn contained(&self, response: &mut Response, call: impl FnOnce(&mut Response) -> Outcome) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| call(response))).unwrap_or_else(|panic| {
            log_panic(self.pattern(), &*panic);
            response.reset();
            response.refuse(Reason::HandlerPanic);
            Outcome::Ready
        })
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("method", &self.method())
            .field("pattern", &self.pattern())
            .field("rule", self.rule())
            .field("predicates", &self.predicates())
            .field("layers", &self.chain)
            .finish_non_exhaustive()
    }
}

/// Notes a handler's panic.
#[cold]
pub(super) fn log_panic(pattern: &str, panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    log::error!("the handler of {pattern} panicked: {message}");
}
