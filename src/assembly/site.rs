//! Sites and routes, as an app.

use std::fmt;
use std::sync::Arc;

use crate::app::{
    App, Counts, Handler, Layer, Located, LogId, Outcome, Predicate, Request, RequestIds, Rewrite,
    RouteTimeouts, Rule, Stage, Step,
};
use crate::config::{Action, Compress, Configuration, Host, Problem, RequestIds as Whose, Route, Site};
use crate::http::{Rendered, Response};

use super::action;
use super::around::Around;
use super::line;
use super::log::Logs;
use super::pages::Pages;

/// All sites, which go on with what those before them have counted.
pub(super) fn app(configuration: &Configuration, former: &Counts, problems: &mut Vec<Problem>) -> App {
    let logs = Logs::of(configuration);
    let mut around = Around::new(configuration, former, problems);
    let mut app = App::new().explained_without_route(logs.first(configuration));
    for site in &configuration.site {
        let Some(assembled) = assemble(site, &logs, &mut around, problems) else { continue };
        let assembled = assembled.told_at(line([&site.hosts.origin]));
        match app.try_site(site.hosts.value.iter().map(|host| written(&host.value)), assembled) {
            Ok(more) => app = more,
            Err(error) => {
                problems.push(Problem::at(&site.hosts.origin, error.to_string()));
                return App::new();
            }
        }
    }
    let app = app.with_counts(around.into_counts());
    match named(configuration) {
        Some(ids) => {
            let place = line([&configuration.server.request_ids.origin]);
            app.layer(Located::new(ids, place))
        }
        None => app,
    }
}

/// What gives requests their ids.
fn named(configuration: &Configuration) -> Option<RequestIds> {
    match configuration.server.request_ids.value {
        Whose::Off => None,
        Whose::Own => Some(RequestIds::new().believing_nobody()),
        Whose::Trusted => Some(RequestIds::new()),
        Whose::Any => Some(RequestIds::new().believing_everybody()),
    }
}

fn assemble(
    site: &Site,
    logs: &Logs<'_>,
    around: &mut Around<'_>,
    problems: &mut Vec<Problem>,
) -> Option<App> {
    let mut handlers = Vec::new();
    for route in &site.route {
        let compress = route.compress.as_deref().unwrap_or(&site.compress);
        let handler = route.action().and_then(|action| action::handler(action, compress, problems));
        handlers.extend(handler.map(|handler| (route, handler)));
    }
    if handlers.len() < site.route.len() {
        return None;
    }
    let mut pages = Pages::new(site, bare(&handlers), problems);
    let mut app = App::new();
    for (route, handler) in &handlers {
        let handler = Configured {
            handler: Arc::clone(handler),
            layers: match route.action() {
                // Those of the route that answers count.
                Some(Action::Rewrite(_)) => Vec::new(),
                _ => around.layers(&mut pages, Some(*route), problems),
            },
            predicates: route.predicates(),
            body_bytes_max: Some(around.body_limit(site, Some(route)).value.0),
            timeouts: timeouts(Some(*route), around),
            log: logs.id(site, Some(route)),
            place: line([&route.path.origin]),
            told: told(site, Some(route), around),
        };
        app = match add(app, route, &handler) {
            Ok(app) => app,
            Err(error) => {
                problems.push(Problem::at(&route.path.origin, error.to_string()));
                return None;
            }
        };
    }
    if let Some(action) = site.action() {
        let handler = Configured {
            handler: action::handler(action, &site.compress, problems)?,
            layers: around.layers(&mut pages, None, problems),
            predicates: Vec::new(),
            body_bytes_max: Some(around.body_limit(site, None).value.0),
            timeouts: timeouts(None, around),
            log: logs.id(site, None),
            place: line([action::origin(&action)]),
            told: told(site, None, around),
        };
        app = app.otherwise(handler);
    }
    app = app.logged_without_route(logs.id(site, None)).explained_without_route(logged(site, None));
    let layers = around.layers(&mut pages, None, problems);
    Some(layers.into_iter().fold(app, App::layer_without_route))
}

/// The routes with nothing around them: where pages are looked for.
fn bare(handlers: &[(&Route, Arc<dyn Handler>)]) -> App {
    let mut app = App::new();
    for (route, handler) in handlers {
        let handler = Configured {
            handler: Arc::clone(handler),
            layers: Vec::new(),
            predicates: route.predicates(),
            body_bytes_max: None,
            timeouts: RouteTimeouts::default(),
            log: LogId::MAIN,
            place: line([]),
            told: Vec::new(),
        };
        app = match add(app, route, &handler) {
            Ok(app) => app,
            // It is told where it is to be served.
            Err(_) => return App::new(),
        };
    }
    app
}

/// Adds `route` for its methods; without any, files are for GET, which is no condition then.
fn add(app: App, route: &Route, handler: &Configured) -> Result<App, crate::app::RouteError> {
    let path = route.path.value.text();
    match (&route.methods, route.action()) {
        (Some(methods), _) => methods
            .value
            .iter()
            .try_fold(app, |app, method| app.try_route(method.value.clone(), path, handler.clone())),
        (None, Some(Action::Static(_))) => app.try_bound_to_get(path, handler.clone()),
        (None, _) => app.try_any(path, handler.clone()),
    }
}

/// What is the same for every request: the limit of bodies, what is said of time, where the action stands,
/// and the access log.
fn told(site: &Site, route: Option<&Route>, around: &Around<'_>) -> Vec<Step> {
    let body = around.body_limit(site, route);
    let bytes = format!("at most {} bytes", body.value.0);
    let mut told = vec![Step::new(Stage::Handle, "body", bytes).at(Some(line([&body.origin])))];
    let action = route.map_or_else(|| site.action(), Route::action);
    let times = timeouts(route, around);
    // Those of the route that answers count.
    if times != RouteTimeouts::default() && !matches!(action, Some(Action::Rewrite(_))) {
        let table = route.and_then(|route| route.timeouts.as_deref());
        let handler = table.and_then(|table| table.handler.as_ref()).or_else(|| around.handler_timeout());
        let rest = table.into_iter().flat_map(|table| [&table.body_idle, &table.write_stall]).flatten();
        let rate = table.and_then(|table| table.body_min_rate.as_ref()).map(|rate| &rate.origin);
        let places = handler.into_iter().chain(rest).map(|time| &time.origin).chain(rate);
        told.push(Step::new(Stage::Handle, "timeouts", times.to_string()).at(Some(line(places))));
    }
    if let Some(Action::Static(_)) = action {
        let table = route.and_then(|route| route.compress.as_deref()).unwrap_or(&site.compress);
        told.extend(compressing(table));
    }
    told.extend(
        action.map(|action| Step::new(Stage::Handle, "action", "").at(Some(line([action::origin(&action)])))),
    );
    told.extend(logged(site, route));
    told
}

/// The access log that `route`, or the site without one, names.
fn logged(site: &Site, route: Option<&Route>) -> Option<Step> {
    let own = route.and_then(|route| route.access_log.as_ref());
    let log = own.map(|name| (name.value.0.as_deref(), &name.origin));
    let log = log.or_else(|| site.access_log.as_ref().map(|name| (Some(&*name.value.0), &name.origin)));
    log.map(|(name, origin)| Logs::step(name.unwrap_or("none"), origin))
}

/// How files are compressed that are asked for again.
fn compressing(table: &Compress) -> Option<Step> {
    let codings: Vec<_> = table.codings.value.iter().map(|coding| coding.word()).collect();
    let text =
        format!("{} of files from {} bytes, once they were asked for", codings.join(", "), table.min.value.0);
    let step = Step::new(Stage::Handle, "compress", text);
    (!codings.is_empty()).then(|| step.at(Some(line([&table.codings.origin, &table.min.origin]))))
}

/// What the route says of time, and what all routes have of which nothing else is said.
fn timeouts(route: Option<&Route>, around: &Around<'_>) -> RouteTimeouts {
    let usual = RouteTimeouts {
        handler: around.handler_timeout().map(|time| time.value),
        ..RouteTimeouts::default()
    };
    let Some(table) = route.and_then(|route| route.timeouts.as_deref()) else { return usual };
    let own = RouteTimeouts {
        handler: table.handler.as_ref().map(|time| time.value),
        body: table.body_idle.as_ref().map(|time| time.value),
        body_rate_bytes_min: table.body_min_rate.as_ref().map(|rate| rate.value.0),
        write: table.write_stall.as_ref().map(|time| time.value),
    };
    own.or(usual)
}

pub(super) fn written(host: &Host) -> String {
    match host {
        Host::Exact(name) => name.clone(),
        Host::Below(name) => format!("*.{name}"),
        Host::Any => "*".to_owned(),
    }
}

/// A handler, and all that the configuration says of it.
#[derive(Clone)]
struct Configured {
    handler: Arc<dyn Handler>,
    layers: Vec<Arc<dyn Layer>>,
    predicates: Vec<Predicate>,
    body_bytes_max: Option<u64>,
    timeouts: RouteTimeouts,
    log: LogId,
    /// The line of its path.
    place: Arc<str>,
    /// What is the same for every request, for explanations; the handler's own words go behind the first.
    told: Vec<Step>,
}

impl Handler for Configured {
    #[inline]
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        self.handler.handle(request, response)
    }

    fn rule(&self) -> Rule {
        let rule = self.handler.rule();
        let body_bytes_max = self.body_bytes_max.or(rule.body_bytes_max);
        Rule { body_bytes_max, log: self.log, timeouts: self.timeouts.or(rule.timeouts), ..rule }
    }

    fn fixed(&self) -> Option<Rendered> {
        self.handler.fixed()
    }

    fn layers(&self) -> Vec<Arc<dyn Layer>> {
        [&self.layers[..], &self.handler.layers()].concat()
    }

    fn predicates(&self) -> Vec<Predicate> {
        [&self.predicates[..], &self.handler.predicates()].concat()
    }

    fn rewrite(&self) -> Option<Rewrite> {
        self.handler.rewrite()
    }

    fn place(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.place))
    }

    fn explain(&self, request: &Request<'_>) -> Vec<Step> {
        let action = self.told.iter().find(|step| step.topic() == "action");
        let place = action.and_then(Step::place);
        let own = self.handler.explain(request).into_iter().map(|step| step.at(place));
        let rest = self.told.iter().filter(|step| step.topic() != "action");
        rest.cloned().chain(own).collect()
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("layers", &self.layers).finish_non_exhaustive()
    }
}
