//! [`App`]: which handler answers which method at which path. RFC 9110 §9, §15.5.5, §15.5.6, §15.6.2.
//!
//! The most specific pattern of a path that has a route for the request answers; if none has, the most
//! specific of all says why: 404, 405 or 501. Knows nothing of how requests arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ::http::{HeaderValue, StatusCode, header};

use super::adapters::IntoHandler;
use super::counts::Counts;
use super::endpoint::{Added, Methods, Verb};
#[cfg(feature = "config")]
use super::explain::Step;
use super::handler::LogId;
use super::hosts::Hosts;
use super::layer::Layer;
use super::pattern::Pattern;
use super::request_ids::RequestIds;
use super::route::{Route, RouteId};
use super::route_error::RouteError;
use super::router::Params;
use super::scope::{Match, Scope};
use super::site::{Fallback, Missing, Site, SiteId};
use super::trust::Asker;
use crate::base::Tick;
use crate::http::{Head, Method, Path, Reason, Response};

/// Patterns, methods and handlers.
///
/// | pattern | matches |
/// | --- | --- |
/// | `/users/me` | this path |
/// | `/users/{id}` | any one segment that is not empty; also `/v{n}` and `/{name}.json` |
/// | `/files/{*path}` | everything behind `/files/`, also nothing |
///
/// The most specific pattern wins, in whatever order they are added: in each segment from the left, a
/// literal is more specific than a parameter and this more than the rest. Patterns are written decoded;
/// paths are [normalised](crate::http::Path) before they are looked up.
///
/// A pattern may have several routes: for several methods, and for requests of which
/// [predicates](crate::app::Predicate) hold. Of those that fit a request the one with the most conditions
/// answers, where the method counts as one. If none fits, the next pattern is asked that matches the path. If
/// no route of any pattern fits, the most specific pattern says why: 405 with its methods, or 404.
///
/// HEAD is answered by the handler of GET, and OPTIONS by kolk for the most specific pattern, unless they are
/// routed: behind the layers of the route that a CORS preflight is about. CONNECT and TRACE are not routed.
/// The methods that add routes panic if a pattern is malformed or has the method already; [`App::try_route`]
/// and its like do not.
///
/// ```
/// use kolk::{App, Request, Response, StatusCode};
///
/// let app = App::new()
///     .get("/", Response::text("welcome\n"))
///     .get("/hello/{name}", |request: &Request<'_>| {
///         format!("hello, {}\n", request.param("name").unwrap_or("world"))
///     })
///     .put("/hello/{name}", |_: &Request<'_>| StatusCode::NO_CONTENT)
///     .mount("/api", App::new().any("/{*path}", |_: &Request<'_>| Response::json("{}")));
///
/// let get = |path| app.oneshot(http::Request::get(path).body("").unwrap());
/// assert_eq!(get("/hello/Ada").body(), "hello, Ada\n");
/// assert_eq!(get("/api/anything").body(), "{}");
/// assert_eq!(get("/nowhere").status(), 404);
/// let answer = app.oneshot(http::Request::delete("/hello/Ada").body("").unwrap());
/// assert_eq!(answer.status(), 405);
/// assert_eq!(answer.headers()["allow"], "GET, HEAD, PUT, OPTIONS");
/// ```
#[derive(Debug)]
pub struct App {
    /// By [`SiteId`].
    sites: Vec<Site>,
    hosts: Hosts,
    /// By [`RouteId`].
    routes: Vec<Route>,
    /// Around all sites.
    layers: Vec<Arc<dyn Layer>>,
    counts: Option<Arc<Counts>>,
    /// Some routes have others asked in their place.
    has_rewrites: bool,
    /// Some routes wait otherwise for their readers than the server does.
    has_own_writes: bool,
    /// What the clock of [`App::oneshot`] says.
    hours: AtomicU64,
}

/// Generates the methods that add a route for one HTTP method.
macro_rules! methods {
    ($($name:ident $method:ident)*) => {$(
        #[doc = concat!("Adds a route for ", stringify!($method), ".")]
        ///
        /// # Panics
        /// If the pattern is malformed, or has this method already.
        #[must_use]
        #[track_caller]
        pub fn $name(self, pattern: &str, handler: impl IntoHandler) -> Self {
            self.route(::http::Method::$method, pattern, handler)
        }
    )*};
}

impl App {
    /// An app that answers everything with 404.
    pub fn new() -> Self {
        Self {
            sites: vec![Site::new(SiteId::MAIN)],
            hosts: Hosts::new(),
            routes: Vec::new(),
            layers: Vec::new(),
            counts: None,
            has_rewrites: false,
            has_own_writes: false,
            hours: AtomicU64::new(1),
        }
    }

    methods! { get GET head HEAD post POST put PUT delete DELETE patch PATCH options OPTIONS }

    /// Adds a route for every method that has no route of its own at this pattern, also for methods that
    /// kolk has never heard of.
    ///
    /// # Panics
    /// If the pattern is malformed, or has such a route already.
    #[must_use]
    #[track_caller]
    pub fn any(self, pattern: &str, handler: impl IntoHandler) -> Self {
        self.try_any(pattern, handler).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Adds a route for `method`, which may be one that kolk has never heard of.
    ///
    /// # Panics
    /// If the pattern is malformed, or has this method already; for CONNECT and TRACE.
    #[must_use]
    #[track_caller]
    pub fn route(self, method: ::http::Method, pattern: &str, handler: impl IntoHandler) -> Self {
        self.try_route(method, pattern, handler).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Answers, in place of a 404, requests of every known method whose path has no pattern. Its
    /// parameter `path` is the whole path without the first slash; as a pattern it is called `*`.
    ///
    /// # Panics
    /// If there is a fallback already.
    #[must_use]
    #[track_caller]
    pub fn fallback(self, handler: impl IntoHandler) -> Self {
        self.answering_the_rest(handler, false)
    }

    /// Answers every request that no route fits, as a route for any method at `/{*path}` would: a fallback
    /// that is also asked where a path has routes, and none of them is for the method or has its predicates
    /// hold. OPTIONS for a path with other methods stays with kolk.
    ///
    /// ```
    /// use kolk::{App, Request, Response};
    ///
    /// let app = App::new()
    ///     .post("/form", Response::text("sent\n"))
    ///     .otherwise(|request: &Request<'_>| format!("no {}\n", request.param("path").unwrap()));
    /// let ask = |request: http::request::Builder| app.oneshot(request.body("").unwrap());
    /// assert_eq!(ask(http::Request::post("/form")).body(), "sent\n");
    /// assert_eq!(ask(http::Request::get("/form")).body(), "no form\n");
    /// assert_eq!(ask(http::Request::get("/elsewhere")).body(), "no elsewhere\n");
    /// ```
    ///
    /// # Panics
    /// If there is a fallback already.
    #[must_use]
    #[track_caller]
    pub fn otherwise(self, handler: impl IntoHandler) -> Self {
        self.answering_the_rest(handler, true)
    }

    /// Puts `layer` around all routes, those of all sites and those that are added later, and around answers
    /// without a route. Layers act in the order in which they are written; those of an app before those of
    /// what is mounted in it, and of its handlers.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self.settle();
        self
    }

    /// Puts `layer` around answers without a route alone: behind the layers that are around everything. For
    /// apps whose routes have each their own.
    ///
    /// ```
    /// use kolk::{App, BasicAuth, Request};
    ///
    /// let app = App::new().layer_without_route(BasicAuth::new("x")).get("/", |_: &Request<'_>| "open");
    /// let get = |path| app.oneshot(http::Request::get(path).body("").unwrap());
    /// assert_eq!(get("/").status(), 200);
    /// assert_eq!(get("/nowhere").status(), 401, "nobody learns what there is");
    /// ```
    #[must_use]
    pub fn layer_without_route(mut self, layer: impl Layer) -> Self {
        self.sites[0].layers_without_route.push(Arc::new(layer));
        self.sites[0].settle(&self.layers);
        self
    }

    /// Has the answers without a route in this access log, as [handlers](super::HandlerExt::logged) have
    /// theirs.
    #[must_use]
    pub fn logged_without_route(mut self, log: LogId) -> Self {
        self.sites[0].log = log;
        self
    }

    /// Where this app was told, if a file describes it, as `kolk.toml:12`: for [explanations](App::explain).
    #[must_use]
    pub fn told_at(mut self, place: impl Into<Arc<str>>) -> Self {
        self.sites[0].place = Some(place.into());
        self
    }

    /// What [explanations](App::explain) say of answers without a route, besides.
    #[cfg(feature = "config")]
    pub(crate) fn explained_without_route(mut self, told: impl IntoIterator<Item = Step>) -> Self {
        self.sites[0].told_without_route = told.into_iter().collect();
        self
    }

    /// Answers requests for these hosts with `app` alone. A host is a name (`example.com`), all below one
    /// (`*.example.com`), an address, or `*`: all that have no site of their own. The most specific one wins.
    ///
    /// Without `*` the app's own routes answer for other hosts. If there are none, that is a 404, or on an
    /// encrypted connection a 421 (RFC 9110 §15.5.20).
    ///
    /// ```
    /// use kolk::{App, Request};
    ///
    /// let app = App::new()
    ///     .site(["example.com", "www.example.com"], App::new().get("/", |_: &Request<'_>| "welcome"))
    ///     .site(["*.example.com"], App::new().get("/", |request: &Request<'_>| {
    ///         format!("this is {}", request.host().unwrap_or("?"))
    ///     }));
    /// let get = |uri| app.oneshot(http::Request::get(uri).body("").unwrap());
    /// assert_eq!(get("http://www.example.com/").body(), "welcome");
    /// assert_eq!(get("http://api.example.com/").body(), "this is api.example.com");
    /// assert_eq!(get("http://example.org/").status(), 404);
    /// ```
    ///
    /// # Panics
    /// If a host is malformed or has a site already, or if `app` has sites.
    #[must_use]
    #[track_caller]
    pub fn site<I>(self, hosts: I, app: Self) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.try_site(hosts, app).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Adds all routes of `app`, with `prefix` before their patterns: what is `/` there is `prefix/` here.
    ///
    /// # Panics
    /// If the prefix is malformed, if patterns conflict, or if `app` has a fallback.
    #[must_use]
    #[track_caller]
    pub fn mount(self, prefix: &str, app: Self) -> Self {
        self.try_mount(prefix, app).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Adds all routes of `app`, and its fallback.
    ///
    /// # Panics
    /// If patterns conflict, or if both have a fallback.
    #[must_use]
    #[track_caller]
    pub fn merge(self, app: Self) -> Self {
        self.try_merge(app).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`App::route`] with an error in place of the panic.
    ///
    /// # Errors
    /// If the pattern is malformed, or has this method already; for CONNECT and TRACE; if a handler has
    /// layers and rewrites.
    pub fn try_route(
        mut self,
        method: ::http::Method,
        pattern: &str,
        handler: impl IntoHandler,
    ) -> Result<Self, RouteError> {
        let verb = match Method::from_name(method.as_str().as_bytes()) {
            Method::Connect | Method::Trace => return Err(RouteError::Method(method)),
            Method::Extension => Verb::Extension(method.as_str().into()),
            known => Verb::Known(known),
        };
        let route = Route::new(Pattern::parse(pattern)?, verb, Box::new(handler.into_handler()));
        self.add(SiteId::MAIN, route)?;
        Ok(self)
    }

    /// [`App::any`] with an error in place of the panic.
    ///
    /// # Errors
    /// If the pattern is malformed, or has such a route already.
    pub fn try_any(mut self, pattern: &str, handler: impl IntoHandler) -> Result<Self, RouteError> {
        let route = Route::new(Pattern::parse(pattern)?, Verb::Any, Box::new(handler.into_handler()));
        self.add(SiteId::MAIN, route)?;
        Ok(self)
    }

    /// [`App::try_route`] for GET, which counts as no condition: the handler has no other method.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "config")]
    pub(crate) fn try_bound_to_get(
        mut self,
        pattern: &str,
        handler: impl IntoHandler,
    ) -> Result<Self, RouteError> {
        let handler = Box::new(handler.into_handler());
        let route = Route::new(Pattern::parse(pattern)?, Verb::Known(Method::Get), handler);
        self.add(SiteId::MAIN, route.bound())?;
        Ok(self)
    }

    /// [`App::mount`] with an error in place of the panic.
    ///
    /// # Errors
    /// If the prefix is malformed, if patterns conflict, or if `app` has a fallback or sites.
    pub fn try_mount(mut self, prefix: &str, app: Self) -> Result<Self, RouteError> {
        if app.sites.iter().any(|site| site.fallback.is_some()) {
            return Err(RouteError::Fallback);
        }
        if app.sites.len() > 1 {
            return Err(RouteError::Sites);
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        for route in app.routes {
            let pattern = Pattern::parse(&format!("{prefix}{}", route.pattern()))?;
            self.add(SiteId::MAIN, route.moved(pattern, &app.layers))?;
        }
        Ok(self)
    }

    /// [`App::merge`] with an error in place of the panic.
    ///
    /// # Errors
    /// If patterns conflict, if both have a fallback, or if `app` has sites.
    pub fn try_merge(mut self, app: Self) -> Result<Self, RouteError> {
        if app.sites.len() > 1 {
            return Err(RouteError::Sites);
        }
        self.take_in(SiteId::MAIN, app, true)?;
        Ok(self)
    }

    /// [`App::site`] with an error in place of the panic.
    ///
    /// # Errors
    /// If a host is malformed or has a site already, or if `app` has sites.
    pub fn try_site<I>(mut self, hosts: I, app: Self) -> Result<Self, RouteError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        if app.sites.len() > 1 {
            return Err(RouteError::Sites);
        }
        let id = SiteId(u16::try_from(self.sites.len()).map_err(|_| RouteError::Sites)?);
        let mut site = Site::new(id);
        for (number, host) in hosts.into_iter().enumerate() {
            self.hosts.insert(host.as_ref(), id)?;
            if number == 0 {
                site.name = host.as_ref().into();
            }
        }
        site.layers.clone_from(&app.layers);
        site.layers_without_route.clone_from(&app.sites[0].layers_without_route);
        site.log = app.sites[0].log;
        site.place.clone_from(&app.sites[0].place);
        site.told_without_route.clone_from(&app.sites[0].told_without_route);
        site.settle(&self.layers);
        self.sites.push(site);
        self.take_in(id, app, false)?;
        Ok(self)
    }

    /// Who answers a request with this head and this normalised path, which is empty for `OPTIONS *` and
    /// CONNECT, from this client. `params` receives what the parameters of the route's pattern matched.
    #[inline]
    pub fn find(&self, head: &Head<'_>, path: Path<'_>, params: &mut Params, asker: Asker<'_>) -> Match {
        let site = if self.hosts.is_empty() { &self.sites[0] } else { self.site_of(head) };
        match site.find(head, path, params, asker) {
            Ok(route) => Match::Route(route),
            Err(Missing::NotFound) if self.is_nobodys(site) => Match::Missing(site.id, Missing::Site),
            Err(missing) => Match::Missing(site.id, missing),
        }
    }

    /// Whether some route says how long its readers may take nothing.
    #[inline]
    pub const fn has_own_writes(&self) -> bool {
        self.has_own_writes
    }

    /// Where an answer can come from: all routes by [`RouteId::index`], then all sites by [`SiteId::index`].
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        let routes = (0..self.routes.len()).map(|index| Scope::Route(RouteId::of(index)));
        routes.chain(self.sites.iter().map(|site| Scope::Site(site.id)))
    }

    /// The route of this number.
    ///
    /// # Panics
    /// If another app gave the number.
    #[inline]
    pub fn route_of(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }

    /// Notes what it counts: an app that takes its place can go on with it.
    #[must_use]
    pub fn with_counts(mut self, counts: Counts) -> Self {
        self.counts = Some(Arc::new(counts));
        self
    }

    /// What [`App::with_counts`] was given.
    pub const fn counts(&self) -> Option<&Arc<Counts>> {
        self.counts.as_ref()
    }

    /// All routes, by [`RouteId::index`].
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The value of `Allow` for these methods.
    pub fn allow(&self, methods: Methods) -> HeaderValue {
        self.sites[methods.site.index()].allow(methods.of)
    }

    /// Fills `response`, which is empty, where no route answers: 404, 405 with `Allow`, 501, or 204 with
    /// `Allow` for OPTIONS; 421 for a host that is not served on an encrypted connection.
    pub fn answer_without_route(&self, missing: Missing, is_encrypted: bool, response: &mut Response) {
        match missing {
            Missing::Site if is_encrypted => response.refuse(Reason::SiteUnknownTls),
            Missing::Site => response.refuse(Reason::SiteUnknown),
            Missing::NotFound => response.refuse(Reason::NotFound),
            Missing::NoneFits => response.refuse(Reason::NoneFits),
            Missing::MethodUnknown => response.refuse(Reason::MethodUnknown),
            Missing::Rewritten(reason) => response.refuse(reason),
            Missing::NotAllowed(methods) => {
                response.refuse(Reason::MethodNotAllowed);
                response.append(&header::ALLOW, &self.allow(methods));
            }
            Missing::Options(methods) | Missing::Preflight(methods, _) => {
                response.set_status(StatusCode::NO_CONTENT);
                response.append(&header::ALLOW, &self.allow(methods));
            }
        }
    }

    /// An hour after the call before: whoever remembers things for a while looks at them anew.
    pub(super) fn later(&self) -> Tick {
        Tick::from_millis(self.hours.fetch_add(1, Relaxed) * 3_600_000)
    }

    /// What gives requests their ids on all sites.
    pub(crate) fn request_ids(&self) -> Option<&RequestIds> {
        self.naming_layer().and_then(|layer| layer.request_ids())
    }

    pub(super) fn naming_layer(&self) -> Option<&Arc<dyn Layer>> {
        self.layers.iter().find(|layer| layer.request_ids().is_some())
    }

    /// Every site that `host` could belong to, and under which name, the most specific first.
    pub(super) fn hosts_of(&self, host: &str) -> Vec<(String, SiteId)> {
        self.hosts.all(host)
    }

    #[inline]
    pub(super) const fn has_rewrites(&self) -> bool {
        self.has_rewrites
    }

    pub(super) const fn has_sites(&self) -> bool {
        self.sites.len() > 1
    }

    #[inline]
    pub(super) fn site_at(&self, id: SiteId) -> &Site {
        &self.sites[id.index()]
    }

    /// Whether the route is for what no route is for.
    pub(super) fn is_fallback(&self, id: RouteId) -> bool {
        let fallback = self.sites[self.route_of(id).site().index()].fallback;
        fallback.is_some_and(|fallback| fallback.route == id)
    }

    /// Whether it is the one for all other hosts, and there is nothing on it.
    #[inline]
    pub(super) fn is_nobodys(&self, site: &Site) -> bool {
        site.id == SiteId::MAIN && site.is_empty() && self.sites.len() > 1
    }

    /// Whose the host is that the client asked for.
    #[inline]
    pub(super) fn site_of(&self, head: &Head<'_>) -> &Site {
        let id = self.hosts.find(head.host_bytes().unwrap_or_default()).unwrap_or(SiteId::MAIN);
        &self.sites[id.index()]
    }

    fn add(&mut self, site: SiteId, route: Route) -> Result<(), RouteError> {
        route.check()?;
        let added = Added {
            verb: route.verb().clone(),
            route: self.next_id(),
            conditions: route.conditions(),
            predicates: route.predicates().into(),
        };
        let pattern = route.shared_pattern();
        self.sites[site.index()].add(pattern, added).map_err(|tied| RouteError::Conflict {
            method: route.method().into(),
            pattern: pattern.text().into(),
            other: self.route_of(tied).pattern().into(),
        })?;
        self.push_route(site, route);
        Ok(())
    }

    /// Adds all routes of `app`, which has no sites, and its fallback to `site`.
    fn take_in(&mut self, site: SiteId, app: Self, with_layers: bool) -> Result<(), RouteError> {
        let layers = if with_layers { &app.layers[..] } else { &[] };
        let fallback = app.sites[0].fallback;
        for (index, route) in app.routes.into_iter().enumerate() {
            let pattern = route.shared_pattern().as_ref().clone();
            let route = route.moved(pattern, layers);
            match fallback {
                Some(Fallback { route: id, takes_all }) if id.index() == index => {
                    self.set_fallback(site, route, takes_all)?;
                }
                _ => self.add(site, route)?,
            }
        }
        Ok(())
    }

    #[track_caller]
    fn answering_the_rest(mut self, handler: impl IntoHandler, takes_all: bool) -> Self {
        let route = Route::new(Pattern::whatever(), Verb::Any, Box::new(handler.into_handler()));
        self.set_fallback(SiteId::MAIN, route, takes_all).unwrap_or_else(|error| panic!("{error}"));
        self
    }

    fn set_fallback(&mut self, site: SiteId, route: Route, takes_all: bool) -> Result<(), RouteError> {
        if self.sites[site.index()].fallback.is_some() {
            return Err(RouteError::Fallback);
        }
        route.check()?;
        self.sites[site.index()].fallback = Some(Fallback { route: self.next_id(), takes_all });
        self.push_route(site, route);
        Ok(())
    }

    fn push_route(&mut self, site: SiteId, mut route: Route) {
        route.settle(site, &[&self.layers[..], &self.sites[site.index()].layers].concat());
        self.has_rewrites |= route.rewrites();
        self.has_own_writes |= route.rule().timeouts.write.is_some();
        self.routes.push(route);
    }

    /// The layers around everything have changed.
    fn settle(&mut self) {
        for site in &mut self.sites {
            site.settle(&self.layers);
        }
        for route in &mut self.routes {
            route
                .settle(route.site(), &[&self.layers[..], &self.sites[route.site().index()].layers].concat());
        }
    }

    fn next_id(&self) -> RouteId {
        RouteId::of(self.routes.len())
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method as Verb;

    use super::*;
    use crate::app::{BasicAuth, Handler, HandlerExt, Outcome, Predicate, Request};
    use crate::http::Rendered;

    fn name(request: &Request<'_>) -> String {
        format!("{} by {}", request.method_name(), request.route())
    }

    fn app() -> App {
        App::new()
            .get("/", name)
            .get("/things/{id}", name)
            .put("/things/{id}", name)
            .post("/things", name)
            .head("/head", name)
            .options("/options", name)
            .any("/any", name)
            .get("/any", name)
            .route(Verb::from_bytes(b"PURGE").unwrap(), "/cache/{*key}", name)
    }

    /// Status, `Allow` and body.
    fn ask(app: &App, method: &str, target: &str) -> (u16, String, String) {
        let answer = app.oneshot(::http::Request::builder().method(method).uri(target).body("").unwrap());
        let allow = answer.headers().get("allow").map_or("-", |value| value.to_str().unwrap()).to_owned();
        (answer.status().as_u16(), allow, String::from_utf8(answer.into_body().to_vec()).unwrap())
    }

    #[test]
    fn methods_find_their_routes_and_what_stands_in_for_them() {
        let app = app();
        for (method, target, status, allow) in [
            ("GET", "/", 200, "-"),
            ("PUT", "/things/1", 200, "-"),
            ("HEAD", "/things/1", 200, "-"),
            ("DELETE", "/things/1", 405, "GET, HEAD, PUT, OPTIONS"),
            ("GET", "/things", 405, "POST, OPTIONS"),
            ("HEAD", "/things", 405, "POST, OPTIONS"),
            ("GET", "/head", 405, "HEAD, OPTIONS"),
            ("HEAD", "/head", 200, "-"),
            ("OPTIONS", "/things/1", 204, "GET, HEAD, PUT, OPTIONS"),
            ("OPTIONS", "/options", 200, "-"),
            ("GET", "/options", 405, "OPTIONS"),
            ("OPTIONS", "/nowhere", 404, "-"),
            ("OPTIONS", "*", 204, "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, PURGE"),
            ("PATCH", "/any", 200, "-"),
            ("OPTIONS", "/any", 200, "-"),
            ("BREW", "/any", 200, "-"),
            ("TRACE", "/any", 405, "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"),
            ("TRACE", "/nowhere", 405, ""),
            ("CONNECT", "example.org:443", 405, ""),
            ("PURGE", "/cache/a/b", 200, "-"),
            ("PURGE", "/things", 405, "POST, OPTIONS"),
            ("PURGE", "/nowhere", 404, "-"),
            ("GET", "/cache/a", 405, "OPTIONS, PURGE"),
            ("BREW", "/things", 501, "-"),
            ("BREW", "/nowhere", 501, "-"),
            ("get", "/", 501, "-"),
            ("GET", "/nowhere", 404, "-"),
            ("GET", "/things/", 404, "-"),
        ] {
            let answer = ask(&app, method, target);
            assert_eq!((answer.0, &*answer.1), (status, allow), "{method} {target}");
        }
        assert_eq!(ask(&app, "GET", "/any").2, "GET by /any");
        assert_eq!(ask(&app, "GET", "/nowhere").2, {
            "404 Not Found: there is nothing at this path (route.none)\n"
        });
    }

    #[test]
    fn a_fallback_takes_the_place_of_404_alone() {
        let app =
            app().fallback(|request: &Request<'_>| format!("nothing at {}", request.param("path").unwrap()));
        assert_eq!(ask(&app, "GET", "/no/where").2, "nothing at no/where");
        assert_eq!(ask(&app, "POST", "/nowhere").2, "nothing at nowhere");
        assert_eq!(ask(&app, "GET", "/things").0, 405);
        assert_eq!(ask(&app, "BREW", "/nowhere").0, 501);
        assert_eq!(ask(&app, "CONNECT", "example.org:443").0, 405);
        assert_eq!(ask(&app, "OPTIONS", "*").0, 204);
        let app = App::new().fallback(name);
        assert_eq!(ask(&app, "GET", "/a/b").2, "GET by *", "nobody has written a pattern");
    }

    #[test]
    fn what_no_route_fits_is_for_whoever_answers_otherwise() {
        let held = name.when(Predicate::header("x-beta", "1").unwrap());
        let inner = App::new()
            .post("/login", name)
            .any("/beta", held)
            .otherwise(|request: &Request<'_>| format!("else {}", request.param("path").unwrap()));
        let merged = App::new().merge(inner);
        for (method, target, status, answer) in [
            ("POST", "/login", 200, "POST by /login"),
            ("GET", "/login", 200, "else login"),
            ("BREW", "/login", 200, "else login"),
            ("GET", "/beta", 200, "else beta"),
            ("OPTIONS", "/beta", 200, "else beta"),
            ("GET", "/a/b", 200, "else a/b"),
            ("BREW", "/a/b", 200, "else a/b"),
            ("OPTIONS", "/login", 204, ""),
        ] {
            let answer_is = ask(&merged, method, target);
            assert_eq!((answer_is.0, &*answer_is.2), (status, answer), "{method} {target}");
        }
        assert_eq!(ask(&merged, "TRACE", "/login").0, 405);
        assert_eq!(ask(&merged, "TRACE", "/a").0, 405);
        assert_eq!(App::new().try_mount("/p", merged).unwrap_err(), RouteError::Fallback);
    }

    #[test]
    fn a_pattern_without_a_route_that_fits_is_passed_over() {
        let held = |name: fn(&Request<'_>) -> String| name.when(Predicate::header("x-beta", "1").unwrap());
        let told = |request: &Request<'_>| {
            let names = ["x", "all"].map(|name| request.param(name).unwrap_or("-").to_owned());
            format!("{} {}", request.route(), names.join(" "))
        };
        let app = App::new()
            .any("/{*all}", told)
            .post("/login", told)
            .any("/beta/{*x}", held(told))
            .get("/only/{*x}", told)
            .get("/only/{x}/b", held(told));
        for (method, target, beta, answer) in [
            ("POST", "/login", false, "/login - -"),
            ("GET", "/login", false, "/{*all} - login"),
            ("BREW", "/login", false, "/{*all} - login"),
            ("GET", "/beta/1", true, "/beta/{*x} 1 -"),
            ("GET", "/beta/1", false, "/{*all} - beta/1"),
            ("OPTIONS", "/beta/1", false, "/{*all} - beta/1"),
            ("GET", "/only/a/b", true, "/only/{x}/b a -"),
            ("HEAD", "/only/a/b", false, ""),
            ("GET", "/only/a/b", false, "/only/{*x} a/b -"),
            ("PUT", "/only/a/b", true, "/{*all} - only/a/b"),
        ] {
            let request = ::http::Request::builder().method(method).uri(target);
            let request = if beta { request.header("x-beta", "1") } else { request };
            let body = app.oneshot(request.body("").unwrap()).into_body();
            assert_eq!(body, answer, "{method} {target}");
        }
        assert_eq!(ask(&app, "OPTIONS", "/login"), (204, "POST, OPTIONS".to_owned(), String::new()));
        // If none fits, the most specific one says why.
        let app = App::new().get("/a", held(told)).post("/{x}", told).put("/{*all}", held(told));
        for (method, target, status, allow) in [
            ("GET", "/a", 404, "-"),
            ("POST", "/a", 200, "-"),
            ("PUT", "/a", 405, "GET, HEAD, OPTIONS"),
            ("PUT", "/b", 405, "POST, OPTIONS"),
            ("PUT", "/b/c", 404, "-"),
            ("BREW", "/a", 501, "-"),
        ] {
            let answer = ask(&app, method, target);
            assert_eq!((answer.0, &*answer.1), (status, allow), "{method} {target}");
        }
    }

    #[test]
    fn apps_are_mounted_and_merged() {
        let inner =
            || App::new().get("/", name).get("/{x}", |r: &Request<'_>| r.param("x").unwrap().to_owned());
        let app = App::new()
            .mount("/api/{version}", inner())
            .mount("/old/", inner())
            .merge(inner().fallback(Response::from(StatusCode::GONE)));
        assert_eq!(ask(&app, "GET", "/api/1/").2, "GET by /api/{version}/");
        assert_eq!(ask(&app, "GET", "/api/1/a").2, "a");
        assert_eq!(ask(&app, "GET", "/old/b").2, "b");
        assert_eq!(ask(&app, "GET", "/c").2, "c");
        assert_eq!(ask(&app, "GET", "/api").2, "api");
        assert_eq!(ask(&app, "GET", "/api/1/2/3").0, 410);
        assert_eq!(
            app.routes().iter().map(Route::pattern).filter(|pattern| *pattern == "/old/{x}").count(),
            1
        );
    }

    #[test]
    fn conflicts_name_both_patterns() {
        let get = |pattern| App::new().get("/a/{x}", name).try_route(Verb::GET, pattern, name);
        assert_eq!(
            get("/a/{y}").unwrap_err().to_string(),
            "the routes GET `/a/{y}` and GET `/a/{x}` match the same paths"
        );
        assert_eq!(get("/a/{x}").unwrap_err().to_string(), "the route GET `/a/{x}` is there already");
        assert!(get("/a/{*x}").is_ok());
        assert!(App::new().get("/a/{x}", name).try_route(Verb::PUT, "/a/{y}", name).is_ok());

        let error = App::new().any("/a", name).try_any("/a", name).unwrap_err();
        assert_eq!(error.to_string(), "the route any method `/a` is there already");
        let error = App::new().get("/p/a", name).try_mount("/p", App::new().get("/a", name)).unwrap_err();
        assert_eq!(error.to_string(), "the route GET `/p/a` is there already");
        for verb in [Verb::CONNECT, Verb::TRACE] {
            assert_eq!(App::new().try_route(verb.clone(), "/", name).unwrap_err(), RouteError::Method(verb));
        }
        let with_fallback = || App::new().fallback(name);
        assert_eq!(App::new().try_mount("/p", with_fallback()).unwrap_err(), RouteError::Fallback);
        assert_eq!(with_fallback().try_merge(with_fallback()).unwrap_err(), RouteError::Fallback);
        assert!(App::new().try_mount("p", App::new().get("/", name)).is_err());
    }

    #[test]
    fn a_site_has_its_hosts_and_nothing_leaks_from_one_to_another() {
        let site = |name: &'static str| App::new().get("/", move |_: &Request<'_>| name);
        let sites = || {
            App::new()
                .site(["a.example", "*.a.example"], site("a").post("/form", name))
                .site(["b.example"], site("b").fallback(|_: &Request<'_>| "fallback of b"))
        };
        let get = |app: &App, uri: &str| ask(app, "GET", uri);
        let app = sites();
        assert_eq!(get(&app, "http://a.example/").2, "a");
        assert_eq!(get(&app, "http://A.Example.:8080/").2, "a");
        assert_eq!(get(&app, "http://x.y.a.example/").2, "a");
        assert_eq!(get(&app, "http://b.example/").2, "b");
        assert_eq!(get(&app, "http://b.example/x").2, "fallback of b");
        assert_eq!(get(&app, "http://a.example/x").0, 404);
        assert_eq!(get(&app, "http://a.example/form").1, "POST, OPTIONS");
        assert_eq!(get(&app, "http://b.example/form").2, "fallback of b");
        assert_eq!(ask(&app, "OPTIONS", "*").0, 204);
        assert_eq!(get(&app, "http://c.example/").2, {
            "404 Not Found: this server has no site of this name (route.site)\n"
        });
        assert_eq!(get(&app, "https://c.example/").2, {
            "421 Misdirected Request: this server has no site of this name, on whatever connection \
             (route.site_tls)\n"
        });

        let app = sites().get("/", |_: &Request<'_>| "main");
        assert_eq!(get(&app, "http://c.example/").2, "main");
        assert_eq!(get(&app, "http://c.example/x").0, 404);
        let app = app.site(["*"], site("rest"));
        assert_eq!(get(&app, "http://c.example/").2, "rest");
        assert_eq!(get(&app, "http://b.example/").2, "b");
    }

    #[test]
    fn a_site_costs_as_much_as_the_first_however_many_there_are() {
        /// Counts how often it is asked what it always answers: once for each time that its route is settled.
        struct Asked(Arc<AtomicU64>);
        impl Handler for Asked {
            fn handle(&self, _: &Request<'_>, _: &mut Response) -> Outcome {
                Outcome::Ready
            }

            fn fixed(&self) -> Option<Rendered> {
                self.0.fetch_add(1, Relaxed);
                None
            }
        }
        let asked = Arc::new(AtomicU64::new(0));
        let counts = (0..4).scan(App::new(), |app, number| {
            let site =
                App::new().get("/", Asked(Arc::clone(&asked))).layer_without_route(BasicAuth::new("x"));
            *app = std::mem::take(app).site([format!("{number}.example")], site);
            Some(asked.swap(0, Relaxed))
        });
        let counts: Vec<u64> = counts.collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    }

    #[test]
    fn hosts_and_sites_that_cannot_be() {
        let refused = |hosts: &[&str], app: App| {
            App::new().site(["a.example"], App::new()).try_site(hosts, app).unwrap_err().to_string()
        };
        assert!(refused(&["A.example"], App::new()).contains("belongs to another site"));
        assert!(refused(&["a.example:80"], App::new()).contains("is no host"));
        let nested = || App::new().site(["b.example"], App::new());
        assert!(refused(&["c.example"], nested()).contains("the outermost app"));
        assert_eq!(App::new().try_mount("/", nested()).unwrap_err(), RouteError::Sites);
        assert_eq!(App::new().try_merge(nested()).unwrap_err(), RouteError::Sites);
    }

    #[test]
    #[should_panic(expected = "the pattern `/{a` cannot be used")]
    fn a_malformed_pattern_panics() {
        let _app = App::new().get("/{a", name);
    }

    #[test]
    fn the_handler_sees_each_method_of_an_extension() {
        let purge = Verb::from_bytes(b"PURGE").unwrap();
        let app = App::new()
            .route(purge, "/x", |request: &Request<'_>| request.method().to_string())
            .any("/x", |_: &Request<'_>| "other");
        assert_eq!(ask(&app, "PURGE", "/x").2, "PURGE");
        assert_eq!(ask(&app, "BREW", "/x").2, "other");
    }
}
