//! [`Site`]: the patterns of one host, or of all that have no site of their own; [`Missing`]: why none of
//! them answers a request. RFC 9110 §15.5.5, §15.5.6, §15.6.2.
//!
//! ```text
//!  path ─► the most specific pattern ─► a route that fits ─────────────────────────────────────► answers
//!   │          └─ none: the next pattern that matches, and so on ─► a route that fits ─────────► answers
//!   │                      └─ none at all ─► the fallback that takes everything, if there is one
//!   │                              └─ else the most specific pattern says why: 404, 405, 501
//!   └─ none ─► the fallback, else 404
//! ```
//! OPTIONS for a pattern that has no route for it is kolk's to answer, and goes no further.

use std::sync::Arc;

use ::http::HeaderValue;

use super::endpoint::{Added, AllowOf, Endpoint, Front, Methods, Verb, Wanted, allow_of};
use super::explain::Step;
use super::handler::LogId;
use super::layer::{Chain, Layer};
use super::pattern::Pattern;
use super::route::RouteId;
use super::router::{Params, Router};
use super::trust::Asker;
use crate::http::{Head, Method, Path, Reason};

/// The number of a site in its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub(super) u16);

impl SiteId {
    /// The app's own routes, which belong to no host.
    pub const MAIN: Self = Self(0);

    /// Counts from 0, which is [`SiteId::MAIN`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why no route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no such site.
    Site,
    /// There is nothing at the path.
    NotFound,
    /// There are routes, and none of them is for such a request: the predicates of those of the most specific
    /// pattern do not hold.
    NoneFits,
    /// The resource has other methods, those of its most specific pattern.
    NotAllowed(Methods),
    /// OPTIONS without a route, which kolk answers itself.
    Options(Methods),
    /// The same, and a browser asks whether it may send what this route answers: its layers are asked.
    Preflight(Methods, RouteId),
    /// No resource has this method.
    MethodUnknown,
    /// There are routes that rewrite, and this is what became of it.
    Rewritten(Reason),
}

/// Who answers what no route does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fallback {
    pub(super) route: RouteId,
    /// Also where there are routes and none fits; else only where no pattern matches.
    pub(super) takes_all: bool,
}

/// The patterns of one host.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) id: SiteId,
    /// The first of its hosts.
    pub(super) name: Arc<str>,
    router: Router,
    /// By the number of their pattern in the router.
    endpoints: Vec<Endpoint>,
    /// What nearly all requests want of them, close together.
    fronts: Vec<Front>,
    pub(super) fallback: Option<Fallback>,
    /// Every verb that some pattern has, once.
    verbs: Vec<Verb>,
    /// What `OPTIONS *` is told.
    allow: HeaderValue,
    /// Its own.
    pub(super) layers: Vec<Arc<dyn Layer>>,
    /// Has its answers without a route.
    pub(super) log: LogId,
    /// Around answers without a route alone.
    pub(super) layers_without_route: Vec<Arc<dyn Layer>>,
    /// All around answers without a route.
    pub(super) chain: Chain,
    /// Where it was told.
    pub(super) place: Option<Arc<str>>,
    /// What explanations say of its answers without a route, besides.
    pub(super) told_without_route: Vec<Step>,
}

impl Site {
    /// Of the hosts that have no other, until it is told which are its own.
    pub(super) fn new(id: SiteId) -> Self {
        Self {
            id,
            name: "*".into(),
            router: Router::new(),
            endpoints: Vec::new(),
            fronts: Vec::new(),
            fallback: None,
            verbs: Vec::new(),
            allow: HeaderValue::from_static("OPTIONS"),
            layers: Vec::new(),
            log: LogId::MAIN,
            layers_without_route: Vec::new(),
            chain: Chain::default(),
            place: None,
            told_without_route: Vec::new(),
        }
    }

    /// Its layers, or those around it, which are these, have changed.
    pub(super) fn settle(&mut self, outer: &[Arc<dyn Layer>]) {
        self.chain = Chain::new([outer, &self.layers, &self.layers_without_route].concat());
    }

    /// The routes of each pattern that matches `path`, the most specific first.
    pub(super) fn matching(&self, path: Path<'_>) -> Vec<&Endpoint> {
        let mut matching = Vec::new();
        self.router.find_that(path, &mut Params::new(), |number| {
            matching.push(&self.endpoints[number as usize]);
            false
        });
        matching
    }

    /// Whether it answers nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && self.fallback.is_none()
    }

    /// Adds a route.
    ///
    /// # Errors
    /// A route that is as specific, for the same requests.
    pub(super) fn add(&mut self, pattern: &Pattern, added: Added) -> Result<(), RouteId> {
        let number = u32::try_from(self.endpoints.len()).expect("a site has fewer than 2^32 patterns");
        let number = match self.router.insert(pattern, number) {
            Ok(()) => {
                self.endpoints.push(Endpoint::new());
                self.fronts.push(Front::default());
                number
            }
            Err(other) => other,
        };
        let verb = added.verb.clone();
        let endpoint = &mut self.endpoints[number as usize];
        endpoint.add(added)?;
        self.fronts[number as usize] = endpoint.front();
        if !self.verbs.contains(&verb) {
            self.verbs.push(verb);
            self.allow = allow_of(self.verbs.iter());
        }
        Ok(())
    }

    /// The value of `Allow`.
    pub(super) fn allow(&self, of: AllowOf) -> HeaderValue {
        match of {
            AllowOf::Endpoint(number) => self.endpoints[number as usize].allow().clone(),
            AllowOf::Site => self.allow.clone(),
            AllowOf::Nothing => HeaderValue::from_static(""),
        }
    }

    /// Who answers.
    #[inline]
    pub(super) fn find(
        &self,
        head: &Head<'_>,
        path: Path<'_>,
        params: &mut Params,
        asker: Asker<'_>,
    ) -> Result<RouteId, Missing> {
        let Some(number) = self.router.find(path, params) else {
            return self.without_path(head, path, params);
        };
        match self.fronts[number as usize].answering(head.method()) {
            Some(route) => Ok(route),
            None => self.find_at(number, (head, path), params, asker),
        }
    }

    /// Who answers, if not those who have `passed` it on: a new search, not more.
    #[cold]
    pub(super) fn find_without(
        &self,
        passed: &[RouteId],
        (head, path): (&Head<'_>, Path<'_>),
        params: &mut Params,
        asker: Asker<'_>,
    ) -> Result<RouteId, Missing> {
        match self.router.find(path, params) {
            Some(number) => self.find_among(number, (head, path), params, (asker, passed)),
            // It was the fallback.
            None => Err(Missing::NoneFits),
        }
    }

    /// Who answers, if not the route of most methods of the most specific pattern, which has this number.
    fn find_at(
        &self,
        number: u32,
        (head, path): (&Head<'_>, Path<'_>),
        params: &mut Params,
        asker: Asker<'_>,
    ) -> Result<RouteId, Missing> {
        let endpoint = &self.endpoints[number as usize];
        let route = match head.method() {
            Method::Extension => endpoint.extension(head.method_name()),
            known => endpoint.known(known),
        };
        match route {
            Some(route) if !endpoint.has_predicates() => Ok(route),
            _ => self.find_among(number, (head, path), params, (asker, &[])),
        }
    }

    /// Who answers, if not every route of the most specific pattern, which has this number, fits.
    #[cold]
    fn find_among(
        &self,
        number: u32,
        (head, path): (&Head<'_>, Path<'_>),
        params: &mut Params,
        (asker, passed): (Asker<'_>, &[RouteId]),
    ) -> Result<RouteId, Missing> {
        let wanted = Wanted::by(head, asker).without(passed);
        let has_method = self.endpoints[number as usize].candidates(&wanted).next().is_some();
        let is_ours = head.method() == Method::Options && !has_method;
        let found = if is_ours { None } else { self.first(path, params, &wanted) };
        if let Some(route) = self.announced((head, path), found, params, (asker, passed)) {
            return Err(Missing::Preflight(self.methods(AllowOf::Endpoint(number)), route));
        }
        match (found, self.fallback) {
            (Some(added), _) => Ok(added.route),
            (None, Some(Fallback { route, takes_all: true }))
                if !is_ours
                    && !passed.contains(&route)
                    && !matches!(head.method(), Method::Connect | Method::Trace) =>
            {
                params.set_rest(path);
                Ok(route)
            }
            _ if has_method => Err(Missing::NoneFits),
            _ => Err(self.without_method(head, number)),
        }
    }

    /// The most specific route that fits.
    fn first(&self, path: Path<'_>, params: &mut Params, wanted: &Wanted<'_>) -> Option<&Added> {
        let mut found = None;
        self.router.find_that(path, params, |number| {
            found = self.endpoints[number as usize].choose(wanted);
            found.is_some()
        });
        found
    }

    /// The route that a preflight is about: the one that would answer what it announces, unless there is one
    /// for OPTIONS itself, or one for any method that fits as well. `params` become those of its pattern.
    fn announced(
        &self,
        (head, path): (&Head<'_>, Path<'_>),
        found: Option<&Added>,
        params: &mut Params,
        (asker, passed): (Asker<'_>, &[RouteId]),
    ) -> Option<RouteId> {
        let wanted = Wanted::announced_by(head, asker)?.without(passed);
        let mut theirs = Params::new();
        let about = self.first(path, &mut theirs, &wanted)?;
        let fits_as_it_is = Wanted::by(head, asker).failing(about).is_none();
        if found.is_some_and(|found| found.verb != Verb::Any || fits_as_it_is) {
            return None;
        }
        *params = theirs;
        Some(about.route)
    }

    /// There is a resource, but no route for the method.
    fn without_method(&self, head: &Head<'_>, number: u32) -> Missing {
        let methods = self.methods(AllowOf::Endpoint(number));
        match head.method() {
            Method::Options => Missing::Options(methods),
            Method::Extension if !self.knows_extension(head.method_name()) => Missing::MethodUnknown,
            _ => Missing::NotAllowed(methods),
        }
    }

    /// There is no resource.
    #[cold]
    fn without_path(&self, head: &Head<'_>, path: Path<'_>, params: &mut Params) -> Result<RouteId, Missing> {
        match head.method() {
            Method::Options if path.as_bytes().is_empty() => {
                Err(Missing::Options(self.methods(AllowOf::Site)))
            }
            Method::Connect | Method::Trace => Err(Missing::NotAllowed(self.methods(AllowOf::Nothing))),
            Method::Extension
                if !self.knows_extension(head.method_name())
                    && self.fallback.is_none_or(|fallback| !fallback.takes_all) =>
            {
                Err(Missing::MethodUnknown)
            }
            _ => {
                params.set_rest(path);
                self.fallback.map(|fallback| fallback.route).ok_or(Missing::NotFound)
            }
        }
    }

    const fn methods(&self, of: AllowOf) -> Methods {
        Methods { site: self.id, of }
    }

    fn knows_extension(&self, name: &str) -> bool {
        self.verbs.iter().any(|verb| matches!(verb, Verb::Extension(own) if **own == *name))
    }
}
