//! [`App`]: which handler answers which method at which path. RFC 9110 §9, §15.5.5, §15.5.6, §15.6.2.
//!
//! The most specific pattern of a path decides alone: if it does not have the method, the answer is 405
//! and no other pattern is asked. Knows nothing of how requests arrive.

use std::error::Error;
use std::fmt;

use ::http::{HeaderValue, StatusCode, header};

use super::adapters::IntoHandler;
use super::endpoint::{AllowOf, Endpoint, Methods, Verb, allow_of};
use super::handler::Handler;
use super::pattern::{Pattern, PatternError};
use super::route::{Route, RouteId};
use super::router::{Params, Router};
use crate::http::{Head, Method, Path, Reason, Response};

/// The pattern of the fallback's route.
const FALLBACK: &str = "/{*path}";

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
/// HEAD is answered by the handler of GET, and OPTIONS by kolk, unless they are routed. CONNECT and TRACE
/// are not routed. The methods that add routes panic if a pattern is malformed or has the method
/// already; [`App::try_route`] and its like do not.
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
    router: Router,
    /// By the number of their pattern in the router.
    endpoints: Vec<Endpoint>,
    /// By [`RouteId`].
    routes: Vec<Route>,
    fallback: Option<RouteId>,
    /// Every verb that some pattern has, once.
    verbs: Vec<Verb>,
    /// What `OPTIONS *` is told.
    allow: HeaderValue,
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// This route's handler.
    Route(RouteId),
    /// Nobody: there is nothing at the path.
    NotFound,
    /// Nobody: the resource has other methods.
    NotAllowed(Methods),
    /// kolk itself: OPTIONS without a route.
    Options(Methods),
    /// Nobody: no resource has this method.
    MethodUnknown,
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
            router: Router::new(),
            endpoints: Vec::new(),
            routes: Vec::new(),
            fallback: None,
            verbs: Vec::new(),
            allow: HeaderValue::from_static("OPTIONS"),
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
    /// parameter `path` is the whole path without the first slash.
    ///
    /// # Panics
    /// If there is a fallback already.
    #[must_use]
    #[track_caller]
    pub fn fallback(mut self, handler: impl IntoHandler) -> Self {
        assert!(self.fallback.is_none(), "{}", RouteError::Fallback);
        let pattern = Pattern::parse(FALLBACK).expect("it is a pattern");
        self.fallback = Some(self.push_route(pattern, Verb::Any, Box::new(handler.into_handler())));
        self
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
    /// If the pattern is malformed, or has this method already; for CONNECT and TRACE.
    pub fn try_route(
        self,
        method: ::http::Method,
        pattern: &str,
        handler: impl IntoHandler,
    ) -> Result<Self, RouteError> {
        let verb = match Method::from_name(method.as_str().as_bytes()) {
            Method::Connect | Method::Trace => return Err(RouteError::Method(method)),
            Method::Extension => Verb::Extension(method.as_str().into()),
            known => Verb::Known(known),
        };
        self.add(Pattern::parse(pattern)?, verb, Box::new(handler.into_handler()))
    }

    /// [`App::any`] with an error in place of the panic.
    ///
    /// # Errors
    /// If the pattern is malformed, or has such a route already.
    pub fn try_any(self, pattern: &str, handler: impl IntoHandler) -> Result<Self, RouteError> {
        self.add(Pattern::parse(pattern)?, Verb::Any, Box::new(handler.into_handler()))
    }

    /// [`App::mount`] with an error in place of the panic.
    ///
    /// # Errors
    /// If the prefix is malformed, if patterns conflict, or if `app` has a fallback.
    pub fn try_mount(mut self, prefix: &str, app: Self) -> Result<Self, RouteError> {
        if app.fallback.is_some() {
            return Err(RouteError::Fallback);
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        for route in app.routes {
            let pattern = Pattern::parse(&format!("{prefix}{}", route.pattern()))?;
            let (verb, handler) = route.into_parts();
            self = self.add(pattern, verb, handler)?;
        }
        Ok(self)
    }

    /// [`App::merge`] with an error in place of the panic.
    ///
    /// # Errors
    /// If patterns conflict, or if both have a fallback.
    pub fn try_merge(mut self, app: Self) -> Result<Self, RouteError> {
        for (index, route) in app.routes.into_iter().enumerate() {
            let pattern = route.shared_pattern().as_ref().clone();
            let (verb, handler) = route.into_parts();
            if app.fallback.map(RouteId::index) != Some(index) {
                self = self.add(pattern, verb, handler)?;
            } else if self.fallback.is_none() {
                self.fallback = Some(self.push_route(pattern, verb, handler));
            } else {
                return Err(RouteError::Fallback);
            }
        }
        Ok(self)
    }

    /// Who answers a request with this head and this normalised path, which is empty for `OPTIONS *` and
    /// CONNECT. `params` receives what the parameters of the route's pattern matched.
    #[inline]
    pub fn find(&self, head: &Head<'_>, path: Path<'_>, params: &mut Params) -> Match {
        let method = head.method();
        if let Some(number) = self.router.find(path, params) {
            let endpoint = &self.endpoints[number as usize];
            let route = match method {
                Method::Extension => endpoint.extension(head.method_name()),
                known => endpoint.known(known),
            };
            if let Some(route) = route {
                return Match::Route(route);
            }
            return self.without_method(head, AllowOf::Endpoint(number));
        }
        self.without_path(head, path, params)
    }

    /// The route of this number.
    ///
    /// # Panics
    /// If another app gave the number.
    #[inline]
    pub fn route_of(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }

    /// All routes, by [`RouteId::index`].
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The value of `Allow` for these methods.
    pub fn allow(&self, methods: Methods) -> HeaderValue {
        match methods.0 {
            AllowOf::Endpoint(number) => self.endpoints[number as usize].allow().clone(),
            AllowOf::App => self.allow.clone(),
            AllowOf::Nothing => HeaderValue::from_static(""),
        }
    }

    /// Fills `response`, which is empty, where no route answers: 404, 405 with `Allow`, 501, or 204 with
    /// `Allow` for OPTIONS. Leaves it as it is for [`Match::Route`].
    pub fn answer_without_route(&self, found: &Match, response: &mut Response) {
        match *found {
            Match::Route(_) => {}
            Match::NotFound => response.refuse(Reason::NotFound),
            Match::MethodUnknown => response.refuse(Reason::MethodUnknown),
            Match::NotAllowed(methods) => {
                response.refuse(Reason::MethodNotAllowed);
                response.append(&header::ALLOW, &self.allow(methods));
            }
            Match::Options(methods) => {
                response.set_status(StatusCode::NO_CONTENT);
                response.append(&header::ALLOW, &self.allow(methods));
            }
        }
    }

    /// There is a resource, but no route for the method.
    #[cold]
    fn without_method(&self, head: &Head<'_>, allow: AllowOf) -> Match {
        match head.method() {
            Method::Options => Match::Options(Methods(allow)),
            Method::Extension if !self.knows_extension(head.method_name()) => Match::MethodUnknown,
            _ => Match::NotAllowed(Methods(allow)),
        }
    }

    /// There is no resource.
    #[cold]
    fn without_path(&self, head: &Head<'_>, path: Path<'_>, params: &mut Params) -> Match {
        match head.method() {
            Method::Options if path.as_bytes().is_empty() => Match::Options(Methods(AllowOf::App)),
            Method::Connect | Method::Trace => Match::NotAllowed(Methods(AllowOf::Nothing)),
            Method::Extension if !self.knows_extension(head.method_name()) => Match::MethodUnknown,
            _ => match self.fallback {
                Some(route) => {
                    params.set_rest(path);
                    Match::Route(route)
                }
                None => Match::NotFound,
            },
        }
    }

    fn knows_extension(&self, name: &str) -> bool {
        self.verbs.iter().any(|verb| matches!(verb, Verb::Extension(own) if **own == *name))
    }

    fn add(mut self, pattern: Pattern, verb: Verb, handler: Box<dyn Handler>) -> Result<Self, RouteError> {
        let number = u32::try_from(self.endpoints.len()).expect("an app has fewer than 2^32 patterns");
        let id = self.next_id();
        match self.router.insert(&pattern, number) {
            Ok(()) => self.endpoints.push(Endpoint::new(verb.clone(), id)),
            Err(other) => {
                let added = self.endpoints[other as usize].add(verb.clone(), id);
                added.map_err(|taken| RouteError::Conflict {
                    method: verb.name().into(),
                    pattern: pattern.text().into(),
                    other: self.route_of(taken).pattern().into(),
                })?;
            }
        }
        if !self.verbs.contains(&verb) {
            self.verbs.push(verb.clone());
            self.allow = allow_of(self.verbs.iter());
        }
        self.push_route(pattern, verb, handler);
        Ok(self)
    }

    fn push_route(&mut self, pattern: Pattern, verb: Verb, handler: Box<dyn Handler>) -> RouteId {
        let id = self.next_id();
        self.routes.push(Route::new(pattern, verb, handler));
        id
    }

    fn next_id(&self) -> RouteId {
        RouteId(u32::try_from(self.routes.len()).expect("an app has fewer than 2^32 routes"))
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

/// A route that cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// The pattern is malformed.
    Pattern(PatternError),
    /// Two patterns match the same paths, for the same method.
    Conflict {
        /// The method, or `any method`.
        method: Box<str>,
        /// The pattern that was to be added.
        pattern: Box<str>,
        /// The pattern that is there.
        other: Box<str>,
    },
    /// CONNECT and TRACE are not routed.
    Method(::http::Method),
    /// There can be one fallback, and it belongs to the outermost app.
    Fallback,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(error) => error.fmt(f),
            Self::Conflict { method, pattern, other } if pattern == other => {
                write!(f, "the route {method} `{pattern}` is there already")
            }
            Self::Conflict { method, pattern, other } => {
                write!(f, "the routes {method} `{pattern}` and {method} `{other}` match the same paths")
            }
            Self::Method(method) => write!(f, "{method} cannot be routed"),
            Self::Fallback => f.write_str("there can be one fallback, and it belongs to the outermost app"),
        }
    }
}

impl Error for RouteError {}

impl From<PatternError> for RouteError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method as Verb;

    use super::*;
    use crate::app::Request;

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
