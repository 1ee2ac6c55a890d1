//! [`App::explain`]: who decides what about a request, found out by asking them.
//!
//! ```text
//!  request ─► Exchange, as of App::oneshot ─► answer
//!                  │ routed, waited, stopped, answered, dressed
//!                  ▼
//!               Telling ─► steps ─► Explanation
//! ```
//! | file | what lives there |
//! | --- | --- |
//! | `explanation` | [`Explanation`], [`Step`]: what was decided, as text and as JSON |
//! | `rivals` | the routes that could have answered, and why they did not |
//! | `located` | [`Located`]: a layer that knows where it was told to stand |
//!
//! The request goes the way of all requests, and is watched: what is told cannot differ from what is done.

mod explanation;
mod located;
mod rivals;

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use ::http::uri::Scheme;
use bytes::Bytes;

pub use self::explanation::{Explanation, RunnerUp, Stage, Step, Why};
pub use self::located::Located;

use self::explanation::{SERVER, SERVER_NAME, told};
use self::rivals::rivals;
use super::app::App;
use super::layer::Layer;
use super::oneshot::{Exchange, Witness};
use super::request::Request;
use super::route::{Route, RouteId};
use super::scope::Match;
use super::site::{Missing, SiteId};
use super::trust::Asker;
use super::visitor::Nobody;
use crate::http::{Reason, Response};

impl App {
    /// Answers one request, as [`App::oneshot`] does, and tells who decided what: site, route and the routes
    /// that lost, layers in their order, limits, the handler; status and fields of the answer, with whoever
    /// has made them.
    ///
    /// Layers and handler are asked as by any other request, so it counts for rates, and a handler that
    /// stores something stores it. What they say of themselves is [`Layer::explain`] and
    /// [`Handler::explain`](super::Handler::explain). For an app that a configuration file describes, each
    /// decision has its line there: see `Configuration::explain`.
    ///
    /// ```
    /// use kolk::app::Why;
    /// use kolk::{App, Request, StatusCode};
    ///
    /// let app = App::new()
    ///     .get("/users/{id}", |_: &Request<'_>| "somebody")
    ///     .put("/users/me", |_: &Request<'_>| "stored")
    ///     .get("/{*rest}", |_: &Request<'_>| "anything");
    /// let explanation = app.explain(http::Request::get("/users/7").body("").unwrap());
    /// let route = explanation.route().map(|route| app.route_of(route).pattern());
    /// assert_eq!(route, Some("/users/{id}"));
    /// assert_eq!(explanation.runners_up()[0].why, Why::LessSpecific);
    ///
    /// // A pattern that has no such method is passed over; if none has it, the most specific one decides.
    /// let explanation = app.explain(http::Request::get("/users/me").body("").unwrap());
    /// assert_eq!(explanation.runners_up()[0].why, Why::Method);
    /// assert_eq!(explanation.status(), Some(StatusCode::OK));
    /// let explanation = app.explain(http::Request::delete("/users/me").body("").unwrap());
    /// assert_eq!((explanation.route(), explanation.status()), (None, Some(StatusCode::METHOD_NOT_ALLOWED)));
    /// println!("{explanation}");
    /// ```
    ///
    /// # Panics
    /// If an answer takes longer than 30 seconds.
    pub fn explain(&self, request: ::http::Request<impl Into<Bytes>>) -> Explanation {
        let is_encrypted = request.uri().scheme() == Some(&Scheme::HTTPS);
        self.explain_to(request, Asker { peer: &Nobody { is_encrypted }, trust: None })
    }

    /// The same for a request of this client.
    ///
    /// # Panics
    /// If an answer takes longer than 30 seconds.
    pub fn explain_to(&self, request: ::http::Request<impl Into<Bytes>>, asker: Asker<'_>) -> Explanation {
        let (parts, body) = request.into_parts();
        let question = question(&parts, asker);
        let mut telling = Telling::new(self, asker);
        let mut response = Response::default();
        Exchange::new(asker).run(self, &parts, &body.into(), &mut response, &mut telling);
        telling.told(question, &response)
    }

    /// The same for what is answered with `reason` since nobody could read it.
    #[cfg(feature = "config")]
    pub(crate) fn explain_unread(&self, question: String, reason: Reason, asker: Asker<'_>) -> Explanation {
        let (mut telling, mut response) = (Telling::new(self, asker), Response::default());
        Exchange::new(asker).refuse(self, None, reason, &mut response, &mut telling);
        telling.told(question, &response)
    }
}

/// Notes what it sees.
struct Telling<'a> {
    app: &'a App,
    asker: Asker<'a>,
    found: Option<Match>,
    rivals: Vec<RunnerUp>,
    steps: Vec<Step>,
    /// Who has changed the path.
    rewrites: Vec<Step>,
    /// Who has made nothing of the path as it is now.
    passed: Vec<RouteId>,
    /// What the handler says that it would do, or is said where none is asked.
    actions: Vec<Step>,
    waits: Vec<(usize, Duration)>,
    /// The layer that has answered.
    stopped: Option<usize>,
    /// Who the client has proved to be.
    user: Option<String>,
    /// Status and reason before answers were changed.
    answered: (StatusCode, Option<Reason>),
    fields: Vec<Field>,
    removed: Vec<(String, &'static str, Option<String>)>,
}

/// A field line, and who has made it.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    value: String,
    by: Option<&'static str>,
    place: Option<String>,
}

impl Witness for Telling<'_> {
    fn rewritten(&mut self, by: RouteId, path: Option<&str>) {
        match path {
            Some(_) => self.passed.clear(),
            None => self.passed.push(by),
        }
        let more = format!(": {}", path.unwrap_or("does not fit this path"));
        self.rewrites.push(route_step("rewrite", self.app.route_of(by), by, self.app, &more));
    }

    fn refused(&mut self, response: &Response) {
        self.actions.clone_from(&self.app.site_at(SiteId::MAIN).told_without_route);
        self.fields =
            fields(response).map(|(name, value)| Field { name, value, by: None, place: None }).collect();
    }

    fn named(&mut self, response: &Response) {
        if let Some(layer) = self.app.naming_layer() {
            self.changed(&**layer, response);
        }
    }

    fn routed(&mut self, found: Match, request: &Request<'_>) {
        self.found = Some(found);
        let (head, app) = (request.head(), self.app);
        let site = app.site_at(match found {
            Match::Route(id) => app.route_of(id).site(),
            Match::Missing(site, _) => site,
        });
        self.rivals = rivals(site, (head, request.path_in_place()), (found, &self.passed), self.asker);
        self.client(request);
        self.sites(head.host().unwrap_or_default());
        let is_plain = request.path() == head.target().path;
        let is_told = !self.rewrites.is_empty();
        self.steps.append(&mut self.rewrites);
        if !is_plain && !is_told && !request.path().is_empty() {
            self.steps.push(Step::new(Stage::Handle, "path", request.path()));
        }
        match found {
            Match::Route(id) => {
                let route = app.route_of(id);
                self.steps.push(route_step("route", route, id, app, ""));
                for name in request.route_names() {
                    let value = request.param(name).unwrap_or_default();
                    self.steps.push(Step::new(Stage::Handle, "parameter", format!("{name} = {value}")));
                }
                self.actions = route.explain(request);
            }
            Match::Missing(_, Missing::Preflight(_, id)) => {
                let more = ": a preflight asks for leave to come here";
                let route = app.route_of(id);
                self.steps.push(route_step("route", route, id, app, more));
                let words = route.explain(request).into_iter();
                self.actions = words.filter(|step| step.stage() == Stage::Respond).collect();
            }
            Match::Missing(_, missing) => {
                self.steps.push(Step::new(Stage::Handle, "route", self.without_route(missing)));
                self.actions.clone_from(&site.told_without_route);
            }
        }
        for rival in &self.rivals {
            let route = app.route_of(rival.route);
            let why = format!(": {}", rival.why);
            self.steps.push(route_step("other route", route, rival.route, app, &why));
        }
    }

    fn waited(&mut self, layer: usize, wait: Duration) {
        self.waits.push((layer, wait));
    }

    fn stopped(&mut self, layer: usize) {
        self.stopped = Some(layer);
    }

    fn answered(&mut self, request: &Request<'_>, response: &Response) {
        self.user = request.user().map(str::to_owned);
        self.answered = (response.status(), response.reason());
        let by = self.stopped.and_then(|layer| looking(self.around()).nth(layer));
        let origin = by.map(|layer| (layer.name(), layer.place_of(None).map(str::to_owned)));
        self.fields = fields(response)
            .map(|(name, value)| Field {
                name,
                value,
                by: origin.as_ref().map(|(name, _)| *name),
                place: origin.as_ref().and_then(|(_, place)| place.clone()),
            })
            .collect();
    }

    fn dressed(&mut self, layer: usize, response: &Response) {
        let mut dressing = self.around().iter().filter(|layer| layer.acts().after);
        if let Some(layer) = dressing.nth(layer) {
            self.changed(&**layer, response);
        }
    }
}

impl<'a> Telling<'a> {
    const fn new(app: &'a App, asker: Asker<'a>) -> Self {
        Self {
            app,
            asker,
            found: None,
            rivals: Vec::new(),
            steps: Vec::new(),
            rewrites: Vec::new(),
            passed: Vec::new(),
            actions: Vec::new(),
            waits: Vec::new(),
            stopped: None,
            user: None,
            answered: (StatusCode::OK, None),
            fields: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// `layer` has looked at the answer.
    fn changed(&mut self, layer: &dyn Layer, response: &Response) {
        let mut before = std::mem::take(&mut self.fields);
        for (name, value) in fields(response) {
            let known = before.iter().position(|field| field.name == name && field.value == value);
            self.fields.push(match known {
                Some(known) => before.remove(known),
                None => {
                    let place = layer.place_of(Some(&name)).map(str::to_owned);
                    Field { name, value, by: Some(layer.name()), place }
                }
            });
        }
        for field in before {
            if !self.fields.iter().any(|other| other.name == field.name) {
                let place = layer.place_of(Some(&field.name)).map(str::to_owned);
                self.removed.push((field.name, layer.name(), place));
            }
        }
    }

    /// The layers around the answer.
    fn around(&self) -> &'a [Arc<dyn Layer>] {
        self.found.map_or(&[], |found| self.app.chain(found.scope()).layers())
    }

    /// All of it, with the answer as it leaves.
    fn told(mut self, question: String, response: &Response) -> Explanation {
        self.layers();
        self.steps.extend(self.user.take().map(|user| Step::new(Stage::Handle, "user", user)));
        let is_too_large = self.answered.1 == Some(Reason::BodyBytes);
        let is_asked = self.stopped.is_none() && !is_too_large;
        let actions = std::mem::take(&mut self.actions).into_iter();
        let (handled, sent): (Vec<_>, Vec<_>) = actions.partition(|step| step.stage() <= Stage::Handle);
        for action in handled {
            let more = match action.topic() {
                "action" if !is_asked => ": not asked",
                "body" if is_too_large => ": this one is larger",
                _ => "",
            };
            self.steps.push(action.and(more));
        }
        let (status, reason) = (response.status(), response.reason());
        self.steps.push(Step::new(Stage::Respond, "status", told(status, reason)));
        for Field { name, value, by, place } in std::mem::take(&mut self.fields) {
            // Whoever made the answer, that field is the server's.
            let is_servers = (&*name, &*value) == (SERVER, SERVER_NAME);
            let (by, place) = if is_servers { (None, None) } else { (by, place) };
            let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
            let value = if value.is_empty() { "\"\"".to_owned() } else { value };
            self.steps.push(Step::new(Stage::Respond, name, format!("{value}{by}")).at(place));
        }
        for (name, by, place) in std::mem::take(&mut self.removed) {
            self.steps.push(Step::new(Stage::Respond, name, format!("not sent ({by})")).at(place));
        }
        self.steps.extend(sent);
        self.dressers();
        let route = self.found.and_then(|found| found.scope().route());
        let site = self.found.map(|found| match found {
            Match::Route(id) => self.app.route_of(id).site(),
            Match::Missing(site, _) => site,
        });
        let (runners_up, steps) = (self.rivals, self.steps);
        Explanation { question, site, route, runners_up, status: Some(status), reason, steps }
    }

    /// Whom the client is taken for, if somebody else has told.
    fn client(&mut self, request: &Request<'_>) {
        let peer = request.peer().map(|peer| peer.ip().to_canonical());
        let client = request.client_address();
        if request.is_client_hidden() {
            let who =
                client.map_or_else(|| "who comes through a socket file".to_owned(), |who| who.to_string());
            let text = format!("hidden: {who}, who is trusted, does not tell whose address it is");
            self.steps.push(Step::new(Stage::Handle, "client", text));
            return;
        }
        if let (Some(client), Some(peer)) = (client, peer)
            && client != peer
        {
            let text = format!("{client}, as {peer} tells, who is trusted");
            self.steps.push(Step::new(Stage::Handle, "client", text));
        }
    }

    /// Whose the host is, and whose it would be otherwise.
    fn sites(&mut self, host: &str) {
        let found = self.app.hosts_of(host);
        if found.is_empty() && self.app.has_sites() {
            let text = format!("none: there is no site for {host:?}");
            self.steps.push(Step::new(Stage::Handle, "site", text));
        }
        for (number, (name, site)) in found.into_iter().enumerate() {
            let place = self.app.site_at(site).place.clone();
            let step = match number {
                0 => Step::new(Stage::Handle, "site", name),
                _ => Step::new(Stage::Handle, "other site", format!("{name}: its host is less specific")),
            };
            self.steps.push(step.at(place));
        }
    }

    fn without_route(&self, missing: Missing) -> String {
        let allow = |methods| self.app.allow(methods).to_str().unwrap_or_default().to_owned();
        match missing {
            Missing::Site => "none: there is no such site".to_owned(),
            Missing::NotFound => "none: there is nothing at this path".to_owned(),
            Missing::NoneFits => "none: no route's conditions hold".to_owned(),
            Missing::NotAllowed(methods) => {
                format!("none: there are routes at this path, for {}", allow(methods))
            }
            Missing::Options(methods) | Missing::Preflight(methods, _) => {
                format!("none: kolk tells which methods there are: {}", allow(methods))
            }
            Missing::MethodUnknown => "none: nothing here has this method".to_owned(),
            Missing::Rewritten(reason) => format!("none: {}", reason.sentence()),
        }
    }

    /// What each layer says to the request.
    fn layers(&mut self) {
        for (number, layer) in looking(self.around()).enumerate() {
            let verdict = match self.stopped {
                Some(stopped) if stopped == number => {
                    let (status, reason) = self.answered;
                    format!("answers {}", told(status, reason))
                }
                Some(stopped) if stopped < number => "not asked".to_owned(),
                _ => match self.waits.iter().find(|(waiting, _)| *waiting == number) {
                    Some((_, wait)) => format!("lets pass after {wait:?}"),
                    None => "lets pass".to_owned(),
                },
            };
            let words = layer.explain();
            let text = if words.is_empty() { verdict } else { format!("{words}: {verdict}") };
            let place = layer.place_of(None).map(str::to_owned);
            self.steps.push(Step::new(Stage::Handle, layer.name(), text).at(place));
        }
    }

    /// The layers that only look at answers, and have words of their own for that.
    fn dressers(&mut self) {
        for layer in self.around().iter().filter(|layer| !layer.acts().before) {
            let words = layer.explain();
            if !words.is_empty() {
                let place = layer.place_of(None).map(str::to_owned);
                self.steps.push(Step::new(Stage::Respond, layer.name(), words).at(place));
            }
        }
    }
}

/// The layers that look at requests, in their order.
fn looking(layers: &[Arc<dyn Layer>]) -> impl Iterator<Item = &Arc<dyn Layer>> {
    layers.iter().filter(|layer| layer.acts().before)
}

/// Name and value of each field that is known before the answer is encoded; `Server` as whoever serves it
/// calls itself.
fn fields(response: &Response) -> impl Iterator<Item = (String, String)> {
    let server = (!response.has_server()).then(|| (SERVER.to_owned(), SERVER_NAME.to_owned()));
    let content_type = response.content_type().map(|value| ("content-type".to_owned(), value.to_owned()));
    let own = response.fields().iter();
    let own =
        own.map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()));
    content_type.into_iter().chain(own).chain(server)
}

fn route_step(topic: &str, route: &Route, id: RouteId, app: &App, more: &str) -> Step {
    let mut text = match app.is_fallback(id) {
        true if more.is_empty() => format!("{}: whatever no route is for", route.pattern()),
        true => route.pattern().to_owned(),
        false => format!("{} {}", route.method(), route.pattern()),
    };
    for (number, predicate) in route.predicates().iter().enumerate() {
        text.push_str(if number == 0 { " if " } else { ", " });
        text.push_str(&predicate.to_string());
    }
    Step::new(Stage::Handle, topic, text + more).at(route.place().cloned())
}

/// What was asked, in one line.
fn question(parts: &::http::request::Parts, asker: Asker<'_>) -> String {
    let client = asker.peer.address().map(|address| format!(" from {}", address.ip())).unwrap_or_default();
    format!("{} {}{client}", parts.method, parts.uri)
}

#[cfg(test)]
mod tests;
