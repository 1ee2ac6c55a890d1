//! [`Site`]: the patterns of one host, or of all that have no site of their own; [`Missing`]: why none of
//! them answers a request. RFC 9110 §15.5.5, §15.5.6, §15.6.2.

use std::sync::Arc;

use ::http::HeaderValue;

use super::cors::preflighted;
use super::endpoint::{Added, AllowOf, Endpoint, Methods, Verb, allow_of};
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
    /// There are routes, and none of them is for such a request: their predicates do not hold.
    NoneFits,
    /// The resource has other methods.
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

/// The patterns of one host.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) id: SiteId,
    /// The first of its hosts.
    pub(super) name: Arc<str>,
    router: Router,
    /// By the number of their pattern in the router.
    endpoints: Vec<Endpoint>,
    pub(super) fallback: Option<RouteId>,
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
}

impl Site {
    /// Of the hosts that have no other, until it is told which are its own.
    pub(super) fn new(id: SiteId) -> Self {
        Self {
            id,
            name: "*".into(),
            router: Router::new(),
            endpoints: Vec::new(),
            fallback: None,
            verbs: Vec::new(),
            allow: HeaderValue::from_static("OPTIONS"),
            layers: Vec::new(),
            log: LogId::MAIN,
            layers_without_route: Vec::new(),
            chain: Chain::default(),
            place: None,
        }
    }

    /// The routes of each pattern.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
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
                number
            }
            Err(other) => other,
        };
        let verb = added.verb.clone();
        self.endpoints[number as usize].add(added)?;
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
        let method = head.method();
        if let Some(number) = self.router.find(path, params) {
            let endpoint = &self.endpoints[number as usize];
            let route = match method {
                Method::Extension => endpoint.extension(head.method_name()),
                known => endpoint.known(known),
            };
            return match route {
                Some(_) if endpoint.has_predicates() => {
                    choose(endpoint, (method, head.method_name()), head, asker)
                }
                Some(route) => Ok(route),
                None => Err(self.without_method(head, number, asker)),
            };
        }
        self.without_path(head, path, params)
    }

    /// There is a resource, but no route for the method.
    #[cold]
    fn without_method(&self, head: &Head<'_>, number: u32, asker: Asker<'_>) -> Missing {
        let methods = self.methods(AllowOf::Endpoint(number));
        match head.method() {
            Method::Options => {
                let announced = announced(&self.endpoints[number as usize], head, asker);
                announced.map_or(Missing::Options(methods), |route| Missing::Preflight(methods, route))
            }
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
            Method::Extension if !self.knows_extension(head.method_name()) => Err(Missing::MethodUnknown),
            _ => {
                params.set_rest(path);
                self.fallback.ok_or(Missing::NotFound)
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

/// The route that would answer what a preflight announces.
fn announced(endpoint: &Endpoint, head: &Head<'_>, asker: Asker<'_>) -> Option<RouteId> {
    let name = str::from_utf8(preflighted(head)?).ok()?;
    choose(endpoint, (Method::from_name(name.as_bytes()), name), head, asker).ok()
}

/// The most specific route for `method` of those whose predicates hold.
#[cold]
fn choose(
    endpoint: &Endpoint,
    (method, name): (Method, &str),
    head: &Head<'_>,
    asker: Asker<'_>,
) -> Result<RouteId, Missing> {
    let mut candidates = endpoint.candidates(method, name);
    let fits = |added: &&Added| added.predicates.iter().all(|predicate| predicate.holds(head, asker));
    candidates.find(fits).map(|added| added.route).ok_or(Missing::NoneFits)
}
