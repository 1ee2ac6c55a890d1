//! [`Endpoint`]: the methods that one path pattern answers, and their routes. RFC 9110 §9.3, §10.2.1.
//!
//! ```text
//!  GET  ─► the routes for GET, and for any method ─────┐  the most conditions first, then those for the
//!  HEAD ─► those for HEAD, for GET, and for any ───────┴─► method itself ─► the first one that fits
//! ```
//! Invariant: the routes stand in that order, whatever the order in which they were added. A method counts as
//! one condition, each predicate as another.

use std::cmp::Reverse;

use ::http::HeaderValue;

use super::cors::preflighted;
use super::predicate::{Predicate, are_apart};
use super::route::RouteId;
use super::site::SiteId;
use super::trust::Asker;
use crate::http::{Head, Method};

/// Which methods a resource has: what `Allow` lists. [`App::allow`](super::App::allow) spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods {
    pub(super) site: SiteId,
    pub(super) of: AllowOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowOf {
    /// The pattern of this number.
    Endpoint(u32),
    /// All patterns of the site: of `OPTIONS *`.
    Site,
    /// Nothing.
    Nothing,
}

/// The method that a route was added for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Known(Method),
    Extension(Box<str>),
    /// Every method; of as many conditions, those for the method itself come first.
    Any,
}

impl Verb {
    /// Of two that mean a method, the lesser one means it more: itself, GET for HEAD, any.
    const fn rank(&self) -> u8 {
        match self {
            Self::Known(Method::Head) => 0,
            Self::Known(_) | Self::Extension(_) => 1,
            Self::Any => 2,
        }
    }

    /// Whether requests of this method are meant, as they are by GET if it is HEAD.
    fn means(&self, method: Method, named: &str) -> bool {
        match self {
            Self::Known(own) => *own == method || (*own, method) == (Method::Get, Method::Head),
            Self::Extension(own) => method == Method::Extension && **own == *named,
            // RFC 9110 §9.3.6, §9.3.8: a tunnel and a loop-back are not a resource's to offer.
            Self::Any => !matches!(method, Method::Connect | Method::Trace),
        }
    }

    pub(super) const fn name(&self) -> &str {
        match self {
            Self::Known(method) => method.name(),
            Self::Extension(name) => name,
            Self::Any => "any method",
        }
    }
}

/// The routes of one pattern by method.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Who answers each method, by discriminant; HEAD falls back to GET, all fall back to any.
    resolved: [Option<RouteId>; METHODS],
    /// Some of them only answer if their predicates hold.
    has_predicates: bool,
    /// The most conditions first; of as many, in the order of [`Verb::rank`], then as they were added.
    routes: Vec<Added>,
    allow: HeaderValue,
}

/// What nearly all requests want of an endpoint: the route of most methods, if nothing else has to be asked.
/// Eight are in a cache line: of many patterns no cache has all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Front {
    route: Option<RouteId>,
    /// The known methods that it answers, by discriminant.
    methods: u16,
}

const _: () = assert!(size_of::<Front>() == 8 && METHODS <= 16, "a method is a bit");

impl Front {
    /// The route, if it answers `method` whatever else the request says.
    #[inline]
    pub(super) const fn answering(self, method: Method) -> Option<RouteId> {
        if self.methods >> method as u8 & 1 == 1 { self.route } else { None }
    }
}

/// The known methods, and `Extension`.
const METHODS: usize = Method::KNOWN.len() + 1;

/// A route of an endpoint.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) verb: Verb,
    pub(super) route: RouteId,
    /// How many things must hold, besides the path.
    pub(super) conditions: usize,
    pub(super) predicates: Box<[Predicate]>,
}

/// What a request wants: its own method, or that of the one that it announces as a preflight.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'r> {
    method: Method,
    /// The name of an extension.
    name: &'r str,
    head: &'r Head<'r>,
    asker: Asker<'r>,
    is_announced: bool,
    /// Routes that were asked, and do not fit.
    passed: &'r [RouteId],
}

impl<'r> Wanted<'r> {
    /// What the request with this head asks for.
    pub(super) fn by(head: &'r Head<'r>, asker: Asker<'r>) -> Self {
        Self {
            method: head.method(),
            name: head.method_name(),
            head,
            asker,
            is_announced: false,
            passed: &[],
        }
    }

    /// What it announces, if it is a preflight: who sends that, and which fields, but not their values.
    pub(super) fn announced_by(head: &'r Head<'r>, asker: Asker<'r>) -> Option<Self> {
        let is_preflight = head.method() == Method::Options;
        let name = str::from_utf8(preflighted(head).filter(|_| is_preflight)?).ok()?;
        let method = Method::from_name(name.as_bytes());
        Some(Self { method, name, head, asker, is_announced: true, passed: &[] })
    }

    /// The same of others than these routes, which were asked and do not fit.
    pub(super) const fn without(self, passed: &'r [RouteId]) -> Self {
        Self { passed, ..self }
    }

    /// The first predicate that does not hold; of what is announced, that cannot hold.
    pub(super) fn failing<'a>(&self, added: &'a Added) -> Option<&'a Predicate> {
        added.predicates.iter().find(|predicate| match self.is_announced {
            true => !predicate.may_hold(self.head, self.asker),
            false => !predicate.holds(self.head, self.asker),
        })
    }
}

impl Endpoint {
    pub(super) fn new() -> Self {
        Self {
            resolved: [None; METHODS],
            has_predicates: false,
            routes: Vec::new(),
            allow: HeaderValue::from_static(""),
        }
    }

    /// Adds a route.
    ///
    /// # Errors
    /// A route that may want the same requests and has as many conditions.
    pub(super) fn add(&mut self, added: Added) -> Result<(), RouteId> {
        let is_rival = |other: &&Added| other.verb == added.verb && other.conditions == added.conditions;
        let mut rivals = self.routes.iter().filter(is_rival);
        if let Some(tied) = rivals.find(|other| !are_apart(&other.predicates, &added.predicates)) {
            return Err(tied.route);
        }
        let order = |added: &Added| (Reverse(added.conditions), added.verb.rank());
        let place = self.routes.partition_point(|other| order(other) <= order(&added));
        self.has_predicates |= !added.predicates.is_empty();
        self.routes.insert(place, added);
        self.resolve();
        Ok(())
    }

    /// All its routes.
    pub(super) fn routes(&self) -> &[Added] {
        &self.routes
    }

    /// What nearly all requests want of it.
    pub(super) fn front(&self) -> Front {
        let those = |route| Method::KNOWN.into_iter().filter(move |method| self.known(*method) == route);
        let most = Method::KNOWN.into_iter().map(|method| self.known(method)).filter(Option::is_some);
        match most.max_by_key(|route| those(*route).count()) {
            Some(route) if !self.has_predicates => {
                Front { route, methods: those(route).fold(0, |methods, method| methods | 1 << method as u8) }
            }
            _ => Front::default(),
        }
    }

    /// Whether some of its routes only answer if their predicates hold.
    #[inline]
    pub(super) const fn has_predicates(&self) -> bool {
        self.has_predicates
    }

    /// The routes that are for the method, the most specific first.
    pub(super) fn candidates<'e>(&'e self, wanted: &Wanted<'_>) -> impl Iterator<Item = &'e Added> {
        let (method, name) = (wanted.method, wanted.name);
        self.routes.iter().filter(move |added| added.verb.means(method, name))
    }

    /// The most specific route that fits.
    pub(super) fn choose(&self, wanted: &Wanted<'_>) -> Option<&Added> {
        let fits = |added: &&Added| !wanted.passed.contains(&added.route) && wanted.failing(added).is_none();
        self.candidates(wanted).find(fits)
    }

    /// Who answers a method that has a name of its own.
    #[inline]
    pub(super) const fn known(&self, method: Method) -> Option<RouteId> {
        self.resolved[method as usize]
    }

    /// Who answers the extension method `name`.
    pub(super) fn extension(&self, name: &str) -> Option<RouteId> {
        let own =
            self.routes.iter().find(|added| matches!(&added.verb, Verb::Extension(own) if **own == *name));
        own.map(|added| added.route).or(self.resolved[Method::Extension as usize])
    }

    /// The value of `Allow`.
    pub(super) fn allow(&self) -> &HeaderValue {
        &self.allow
    }

    fn resolve(&mut self) {
        for method in Method::KNOWN.into_iter().chain([Method::Extension]) {
            // No extension has an empty name.
            let first = self.routes.iter().find(|added| added.verb.means(method, ""));
            self.resolved[method as usize] = first.map(|added| added.route);
        }
        self.allow = allow_of(self.routes.iter().map(|added| &added.verb));
    }
}

/// The value of `Allow` for resources that have routes for `verbs`. OPTIONS is always answered.
pub(super) fn allow_of<'v>(verbs: impl Iterator<Item = &'v Verb> + Clone) -> HeaderValue {
    let has = |wanted: Method| {
        wanted == Method::Options
            || verbs.clone().any(|verb| match verb {
                Verb::Known(method) => *method == wanted || (*method, wanted) == (Method::Get, Method::Head),
                Verb::Any => !matches!(wanted, Method::Connect | Method::Trace),
                Verb::Extension(_) => false,
            })
    };
    let mut names: Vec<&str> =
        Method::KNOWN.into_iter().filter(|method| has(*method)).map(Method::name).collect();
    for verb in verbs {
        if let Verb::Extension(name) = verb
            && !names.contains(&&**name)
        {
            names.push(name);
        }
    }
    HeaderValue::from_str(&names.join(", ")).expect("method names are tokens")
}
