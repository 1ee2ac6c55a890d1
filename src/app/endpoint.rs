//! [`Endpoint`]: the methods that one path pattern answers, and their routes. RFC 9110 §9.3, §10.2.1.

use ::http::HeaderValue;

use super::predicate::{Predicate, are_apart};
use super::route::RouteId;
use super::site::SiteId;
use crate::http::Method;

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
    /// Every method that has no route of its own.
    Any,
}

impl Verb {
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
    /// Of one verb those with the most predicates first, else in the order in which they were added.
    routes: Vec<Added>,
    /// Who answers each method, by discriminant; HEAD falls back to GET, all fall back to any.
    resolved: [Option<RouteId>; METHODS],
    /// Some of them only answer if their predicates hold.
    has_predicates: bool,
    allow: HeaderValue,
}

/// The known methods, and `Extension`.
const METHODS: usize = Method::KNOWN.len() + 1;

/// A route of an endpoint.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) verb: Verb,
    pub(super) route: RouteId,
    pub(super) predicates: Box<[Predicate]>,
}

impl Endpoint {
    pub(super) fn new() -> Self {
        Self {
            routes: Vec::new(),
            resolved: [None; METHODS],
            has_predicates: false,
            allow: HeaderValue::from_static(""),
        }
    }

    /// Adds a route.
    ///
    /// # Errors
    /// A route that may want the same requests and has as many predicates.
    pub(super) fn add(&mut self, added: Added) -> Result<(), RouteId> {
        let rivals = self.routes.iter().filter(|other| other.verb == added.verb);
        if let Some(tied) = rivals.clone().find(|other| !are_apart(&other.predicates, &added.predicates)) {
            return Err(tied.route);
        }
        let place = self
            .routes
            .iter()
            .position(|other| other.verb == added.verb && other.predicates.len() < added.predicates.len());
        self.has_predicates |= !added.predicates.is_empty();
        self.routes.insert(place.unwrap_or(self.routes.len()), added);
        self.resolve();
        Ok(())
    }

    /// All its routes.
    pub(super) fn routes(&self) -> &[Added] {
        &self.routes
    }

    /// Whether some of its routes only answer if their predicates hold.
    #[inline]
    pub(super) const fn has_predicates(&self) -> bool {
        self.has_predicates
    }

    /// The routes that may answer a method, the most specific first: `named` is the name of an extension.
    pub(super) fn candidates<'e>(
        &'e self,
        method: Method,
        named: &'e str,
    ) -> impl Iterator<Item = &'e Added> {
        let own = move |wanted: Method| {
            self.routes.iter().filter(move |added| match &added.verb {
                Verb::Known(method) => *method == wanted,
                Verb::Extension(name) => wanted == Method::Extension && **name == *named,
                Verb::Any => false,
            })
        };
        let stands_in = if method == Method::Head { Some(own(Method::Get)) } else { None };
        let any = self.routes.iter().filter(move |added| {
            added.verb == Verb::Any && !matches!(method, Method::Connect | Method::Trace)
        });
        own(method).chain(stands_in.into_iter().flatten()).chain(any)
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
    pub(super) const fn allow(&self) -> &HeaderValue {
        &self.allow
    }

    fn own(&self, verb: &Verb) -> Option<RouteId> {
        self.routes.iter().find(|added| added.verb == *verb).map(|added| added.route)
    }

    fn resolve(&mut self) {
        let any = self.own(&Verb::Any);
        for method in Method::KNOWN {
            let own = |method| self.own(&Verb::Known(method));
            self.resolved[method as usize] = match method {
                // RFC 9110 §9.3.6, §9.3.8: a tunnel and a loop-back are not a resource's to offer.
                Method::Connect | Method::Trace => None,
                Method::Head => own(Method::Head).or_else(|| own(Method::Get)).or(any),
                method => own(method).or(any),
            };
        }
        self.resolved[Method::Extension as usize] = any;
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
