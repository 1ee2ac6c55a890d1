//! [`Endpoint`]: the methods that one path pattern answers, and their routes. RFC 9110 §9.3, §10.2.1.

use ::http::HeaderValue;

use super::route::RouteId;
use crate::http::Method;

/// Which methods a resource has: what `Allow` lists. [`App::allow`](super::App::allow) spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(pub(super) AllowOf);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowOf {
    /// The pattern of this number.
    Endpoint(u32),
    /// All patterns of the app: of `OPTIONS *`.
    App,
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
    /// In the order in which they were added.
    routes: Vec<(Verb, RouteId)>,
    /// Who answers each method, by discriminant; HEAD falls back to GET, all fall back to any.
    resolved: [Option<RouteId>; METHODS],
    allow: HeaderValue,
}

/// The known methods, and `Extension`.
const METHODS: usize = Method::KNOWN.len() + 1;

impl Endpoint {
    pub(super) fn new(verb: Verb, route: RouteId) -> Self {
        let mut endpoint = Self {
            routes: vec![(verb, route)],
            resolved: [None; METHODS],
            allow: HeaderValue::from_static(""),
        };
        endpoint.resolve();
        endpoint
    }

    /// Adds a route.
    ///
    /// # Errors
    /// The route that has this method already.
    pub(super) fn add(&mut self, verb: Verb, route: RouteId) -> Result<(), RouteId> {
        if let Some(other) = self.own(&verb) {
            return Err(other);
        }
        self.routes.push((verb, route));
        self.resolve();
        Ok(())
    }

    /// Who answers a method that has a name of its own.
    #[inline]
    pub(super) const fn known(&self, method: Method) -> Option<RouteId> {
        self.resolved[method as usize]
    }

    /// Who answers the extension method `name`.
    pub(super) fn extension(&self, name: &str) -> Option<RouteId> {
        let own = self.routes.iter().find(|(verb, _)| matches!(verb, Verb::Extension(own) if **own == *name));
        own.map(|(_, route)| *route).or(self.resolved[Method::Extension as usize])
    }

    /// The value of `Allow`.
    pub(super) const fn allow(&self) -> &HeaderValue {
        &self.allow
    }

    fn own(&self, verb: &Verb) -> Option<RouteId> {
        self.routes.iter().find(|(own, _)| own == verb).map(|(_, route)| *route)
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
        self.allow = allow_of(self.routes.iter().map(|(verb, _)| verb));
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
