//! [`Rewrite`]: has the routes of a site asked again, with another path; and how an app follows it.
//!
//! ```text
//!  path ─► find ─┬─ a route that answers
//!            ▲   └─ a route that rewrites ─┬─► the new path, normalised ─┐
//!            ├── without that route ◄──────┘ none                        │
//!            └──────────────── at most four times ───────────────────────┘
//! ```
//! Head, method and query stay as they were sent. What a rewrite leads to could have been asked for at once:
//! nobody gets anywhere with it that the routes do not let them. Knows no expressions and no templates.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::app::App;
use super::explain::{Stage, Step};
use super::handler::{Handler, Outcome};
use super::request::{Origin, Request};
use super::route::{RouteId, log_panic};
use super::router::Params;
use super::scope::Match;
use super::site::Missing;
use super::trust::Asker;
use crate::http::{Head, Path, Reason, Response};

/// How often a request may get another path.
const REWRITES_MAX: usize = 4;
/// Longer paths find nothing.
const PATH_BYTES_MAX: usize = u16::MAX as usize;

/// Has the routes of the site asked again, with another path.
///
/// The route that is found then answers, with its own layers and limits; a request that gets a fifth path is
/// answered with 500. Routes that rewrite have no layers of their own, which would not be asked: those of the
/// app and of its site are around all routes, and can be around these, too.
///
/// ```
/// use kolk::{App, Request, Rewrite};
///
/// let name = |request: &Request<'_>| format!("{} by {}", request.path(), request.route());
/// let app = App::new()
///     .get("/files/{*path}", name)
///     .any("/v1/{*rest}", Rewrite::strip_prefix("/v1"))
///     .any("/~{user}", Rewrite::by(|request| Some(format!("/files/{}", request.param("user")?))));
/// let get = |path| app.oneshot(http::Request::get(path).body("").unwrap());
/// assert_eq!(get("/v1/files/a?b=c").body(), "/files/a by /files/{*path}");
/// assert_eq!(get("/~ada").body(), "/files/ada by /files/{*path}");
/// assert_eq!(get("/v1/nowhere").status(), 404);
/// ```
#[derive(Clone)]
pub struct Rewrite {
    path: Arc<NewPath>,
}

type NewPath = dyn Fn(&Request<'_>) -> Option<String> + Send + Sync;

impl Rewrite {
    /// Takes `prefix` off the path: `/v1` makes `/` of `/v1`, and `/a` of `/v1/a`. Requests of other paths do
    /// not fit, as in [`Rewrite::by`].
    pub fn strip_prefix(prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/').to_owned();
        Self::by(move |request| {
            let rest = request.path().strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        })
    }

    /// Makes a path of what a request has: decoded, as [`Request::path`] is. It is normalised as the path of
    /// a request is, and begins with one slash, whatever is given. If there is none, or none that may be
    /// served, the route does not fit the request, and is passed over, as if a predicate did not hold.
    ///
    /// ```
    /// use kolk::{App, Request, Rewrite};
    ///
    /// let number = |request: &Request<'_>| {
    ///     let id: u32 = request.param("id")?.parse().ok()?;
    ///     Some(format!("/users/{id}"))
    /// };
    /// let app = App::new()
    ///     .get("/{id}", Rewrite::by(number))
    ///     .get("/users/{id}", |_: &Request<'_>| "somebody")
    ///     .get("/{*rest}", |_: &Request<'_>| "anything");
    /// let get = |path| app.oneshot(http::Request::get(path).body("").unwrap());
    /// assert_eq!(get("/007").body(), "somebody");
    /// assert_eq!(get("/about").body(), "anything");
    /// ```
    pub fn by(path: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { path: Arc::new(path) }
    }

    /// The new path.
    ///
    /// # Errors
    /// If it could not be found out.
    fn new_path(&self, request: &Request<'_>) -> Result<Option<String>, Reason> {
        let path = catch_unwind(AssertUnwindSafe(|| (self.path)(request))).map_err(|panic| {
            log_panic(request.route(), &*panic);
            Reason::HandlerPanic
        })?;
        let fits = path.filter(|path| path.len() < PATH_BYTES_MAX);
        Ok(fits.and_then(|path| {
            let mut normalised = String::new();
            Path::of_text(&format!("/{path}"), &mut normalised).ok()?;
            Some(normalised)
        }))
    }
}

impl Handler for Rewrite {
    /// Is only asked where a handler around it does not pass on that it rewrites.
    fn handle(&self, _request: &Request<'_>, response: &mut Response) -> Outcome {
        response.refuse(Reason::HandlerDropped);
        Outcome::Ready
    }

    fn rewrite(&self) -> Option<Rewrite> {
        Some(self.clone())
    }

    fn explain(&self, _request: &Request<'_>) -> Vec<Step> {
        vec![Step::new(Stage::Handle, "action", "rewrite")]
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewrite").finish_non_exhaustive()
    }
}

impl App {
    /// Whether who was found does not answer, and [`App::follow`] finds who does.
    #[inline]
    pub fn rewrites(&self, found: Match) -> bool {
        self.has_rewrites() && found.scope().layers_of().is_some_and(|id| self.route_of(id).rewrites())
    }

    /// Who answers in the end where `found` rewrites, and the path that was found with. `params` are those of
    /// that path, before as after. `seen` learns of each rewrite: whose, and what it has made of the path; if
    /// nothing, the route was passed over.
    #[cold]
    pub fn follow(
        &self,
        mut found: Match,
        (head, path): (&Head<'_>, Path<'_>),
        params: &mut Params,
        origin: &Origin<'_>,
        mut seen: impl FnMut(RouteId, Option<&str>),
    ) -> (Match, Arc<str>) {
        let asker = Asker { peer: origin.peer, trust: origin.trust };
        let mut path = path.as_str().to_owned();
        let mut rewrites = 0;
        // Those that make nothing of this path.
        let mut passed = Vec::new();
        while let Some(id) = found.scope().layers_of()
            && let Some(rewrite) = self.route_of(id).rewrite()
        {
            let route = self.route_of(id);
            let pattern = route.shared_pattern();
            let request = Request::new(*head, Path::normalised(&path), pattern, params, &[], None, origin);
            let missing = match rewrite.new_path(&request) {
                _ if rewrites == REWRITES_MAX => Missing::Rewritten(Reason::RewriteLoop),
                Ok(Some(new)) => {
                    seen(id, Some(&new));
                    passed.clear();
                    path = new;
                    rewrites += 1;
                    found = self.find(head, Path::normalised(&path), params, asker);
                    continue;
                }
                Ok(None) => {
                    seen(id, None);
                    passed.push(id);
                    let site = self.site_at(route.site());
                    let others = site.find_without(&passed, (head, Path::normalised(&path)), params, asker);
                    found = others.map_or_else(|missing| Match::Missing(site.id, missing), Match::Route);
                    continue;
                }
                Err(reason) => Missing::Rewritten(reason),
            };
            found = Match::Missing(route.site(), missing);
        }
        (found, path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Cors, HandlerExt, RouteError};

    fn told(request: &Request<'_>) -> String {
        format!("{} {} {:?} {:?}", request.route(), request.path(), request.query(), request.param("id"))
    }

    fn get(app: &App, target: &str) -> (u16, String) {
        let answer = app.oneshot(::http::Request::get(target).body("").unwrap());
        (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
    }

    #[test]
    fn the_new_path_is_normalised_and_keeps_method_and_query() {
        let app = App::new()
            .get("/things/{id}", told)
            .post("/things/{id}", |_: &Request<'_>| "posted")
            .any("/v1/{*rest}", Rewrite::strip_prefix("/v1/"))
            .any("/to/{*path}", Rewrite::by(|request| request.param("path").map(str::to_owned)));
        for (target, told) in [
            ("/v1/things/7?a=/v1", r#"/things/{id} /things/7 Some("a=/v1") Some("7")"#),
            ("/v1/v1/things/7", r#"/things/{id} /things/7 None Some("7")"#),
            ("/to/to/to/v1/things/7", r#"/things/{id} /things/7 None Some("7")"#),
            // What a slash or a question mark would be, were it decoded, and what already is.
            ("/v1/things/a%2Fb%3Fc%25", r#"/things/{id} /things/a%2Fb?c%25 None Some("a%2Fb?c%25")"#),
            ("/v1/x/%2e%2e/things/7", r#"/things/{id} /things/7 None Some("7")"#),
        ] {
            assert_eq!(get(&app, target), (200, told.to_owned()), "{target}");
        }
        let post = app.oneshot(::http::Request::post("/v1/things/7").body("").unwrap());
        assert_eq!(post.body(), "posted");
        let put = app.oneshot(::http::Request::put("/v1/things/7").body("").unwrap());
        assert_eq!(
            (put.status().as_u16(), &put.headers()["allow"]),
            (405, &"GET, HEAD, POST, OPTIONS".parse().unwrap())
        );
    }

    #[test]
    fn what_is_no_path_is_nowhere() {
        let made = |request: &Request<'_>| Some(request.query_param("to")?.into_owned());
        let app = App::new().get("/{*path}", told).any("/go", Rewrite::by(made));
        let nowhere = (200, "/{*path} /go ".to_owned());
        for (to, path) in
            [("a", "/a"), ("//a//b", "/a/b"), ("/a/../b/.", "/b/"), ("", "/"), ("/%2561", "/%2561")]
        {
            let (status, body) = get(&app, &format!("/go?to={}", to.replace('%', "%25")));
            assert_eq!(status, 200, "{to}");
            assert!(body.starts_with(&format!("/{{*path}} {path} ")), "{to}: {body}");
        }
        for to in ["/..", "a/../../b", "%", "%zz", "\\", "a\0", "%FF"] {
            let to: String = to.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let (status, body) = get(&app, &format!("/go?to={to}"));
            assert_eq!((status, &body[..nowhere.1.len()]), (nowhere.0, &*nowhere.1), "{to}");
        }
        assert_eq!(get(&app, &format!("/go?to={}", "a".repeat(20_000))).0, 200);
        assert_eq!(get(&app, "/go"), (200, "/{*path} /go None None".to_owned()), "there is none");
    }

    #[test]
    fn who_makes_no_path_is_passed_over() {
        let to = |path: &'static str, wanted: &'static str| {
            Rewrite::by(move |request| (request.param("x") == Some(wanted)).then(|| path.to_owned()))
        };
        let app = || {
            App::new()
                .get("/{x}", to("/end/1", "a"))
                .any("/{x}", to("/end/2", "b"))
                .get("/c{x}", to("/a", "a"))
                .get("/end/{id}", told)
        };
        let rest = app().get("/{*rest}", told);
        for (target, told) in [
            ("/a", r#"/end/{id} /end/1 None Some("1")"#),
            ("/b", r#"/end/{id} /end/2 None Some("2")"#),
            ("/ca", r#"/end/{id} /end/1 None Some("1")"#),
            ("/cb?d", r#"/{*rest} /cb Some("d") None"#),
            ("/d", "/{*rest} /d None None"),
        ] {
            assert_eq!(get(&rest, target), (200, told.to_owned()), "{target}");
        }
        // If nobody fits, the most specific pattern says why; a fallback may take everything, or nothing.
        let (status, body) = get(&app(), "/d");
        assert!(status == 404 && body.contains("route.predicate"), "{body}");
        let put = app().oneshot(::http::Request::put("/d").body("").unwrap());
        assert_eq!(put.status(), 404, "there is a route for all methods");
        assert_eq!(get(&app().fallback(told), "/d").0, 404);
        assert_eq!(get(&app().otherwise(told), "/d"), (200, "* /d None None".to_owned()));
        assert_eq!(get(&app().otherwise(to("/end/4", "a")), "/d").0, 404);
        assert_eq!(get(&app().otherwise(to("/end/4", "a")), "/nowhere/d").0, 404);
    }

    #[test]
    fn rewrites_end() {
        let longer = |request: &Request<'_>| Some(request.path().repeat(20));
        let app = App::new()
            .get("/ping", Rewrite::by(|_| Some("/pong".to_owned())))
            .get("/pong", Rewrite::by(|_| Some("/ping".to_owned())))
            .get("/panic", Rewrite::by(|_| panic!("on purpose")))
            .any("/x/{*rest}", Rewrite::by(longer));
        let (status, body) = get(&app, "/ping");
        assert_eq!(status, 500);
        assert!(body.contains("route.rewrite_loop"), "{body}");
        let (status, body) = get(&app, "/panic");
        assert_eq!(status, 500);
        assert!(body.contains("handler.panic"), "{body}");
        assert_eq!(get(&app, &format!("/x/{}", "a".repeat(1_000))).0, 404, "no path is that long");
    }

    #[test]
    fn no_layer_is_passed_by() {
        let rewrite = || Rewrite::strip_prefix("/a");
        let guarded = App::new().try_any("/a/{*rest}", rewrite().layer(Cors::any()));
        assert_eq!(guarded.unwrap_err(), RouteError::Rewrite("/a/{*rest}".into()));
        let inner = App::new().layer(Cors::any()).any("/{*rest}", rewrite());
        assert_eq!(App::new().try_mount("/a", inner).unwrap_err(), RouteError::Rewrite("/a/{*rest}".into()));
        let app = App::new().layer(Cors::any()).get("/b", told).any("/a/{*rest}", rewrite().body_limit(1));
        let answer = app.oneshot(::http::Request::get("/a/b").body("").unwrap());
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }
}
