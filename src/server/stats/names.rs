//! [`Tallies`]: what is counted of each route and each rate, by its name; [`RouteTallies`]: where the routes
//! of one app are counted.
//!
//! ```text
//!  Edition ─► RouteTallies ── the route's number ──────────────────────► Tally: a part for each worker
//!                  └ nobody has asked for it yet ─► Tallies ── its name ──► ▲ ◄── metrics
//! ```
//! A route is called what the configuration calls it: the first host of its site, and its pattern. Those that
//! share a name (methods, predicates) share their counts. A name takes memory from its first request on, and
//! only [`NAMES_MAX`] have counts of their own: those that were asked first. All others share one.
//!
//! Names outlive an app: what the next one has, too, goes on, also for requests that are answered by the
//! former; what it has no more is forgotten. Invariant: as that of [`Stats`](super::Stats), each part has one
//! writer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Counter, Row};
use crate::app::{App, RateCounts, RateVerdict, Scope};
use crate::http::Reason;

/// So many routes have counts of their own, and so many rates.
pub const NAMES_MAX: usize = 1_000;
/// Stands for the path of answers that no route has given: no pattern begins so.
const NONE: &str = "(none)";
/// Stands for all names that are one too many: no host is called so.
const OTHER: &str = "(other)";

/// What was answered under one name, by all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteShare {
    /// The first host of the site as the configuration has it; `*` for hosts that have no other.
    pub site: Arc<str>,
    /// The pattern; `(none)` for answers without a route. `(other)`, as the site: all that have no counts of
    /// their own.
    pub route: Arc<str>,
    /// Answers by status class: index is `status / 100 - 1`.
    pub requests_by_class: Row<u64, 5>,
    /// Those that said `limit.in_flight`.
    pub in_flight_refusals: u64,
}

/// What became of requests at the rate of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateShare {
    /// The name of its policy; `(other)`: all that have no counts of their own.
    pub name: Arc<str>,
    /// By [`RateVerdict::index`].
    pub requests: Row<u64, { RateVerdict::ALL.len() }>,
}

/// The counts of all names of a server.
#[derive(Debug)]
pub(crate) struct Tallies {
    workers: usize,
    /// By site and route; those that somebody has asked for.
    routes: Mutex<BTreeMap<Name, Tally>>,
    other_routes: Tally,
    rates: Mutex<BTreeMap<Arc<str>, Arc<RateCounts>>>,
    other_rates: Arc<RateCounts>,
}

/// Where the answers of one app are counted.
pub(crate) struct RouteTallies {
    all: Arc<Tallies>,
    /// In the order of [`App::scopes`].
    places: Box<[OnceLock<Tally>]>,
}

/// The site and the route.
type Name = (Arc<str>, Arc<str>);

/// The counts of a name: a part for each worker.
type Tally = Arc<[Part]>;

/// One worker's counts; its neighbours are kept away as those of [`Stats`](super::Stats) are.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part {
    by_class: Row<Counter, 5>,
    in_flight_refusals: Counter,
}

impl Tallies {
    /// For a server of so many workers.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers,
            routes: Mutex::default(),
            other_routes: tally(workers),
            rates: Mutex::default(),
            other_rates: Arc::new(RateCounts::new(workers)),
        })
    }

    /// Where the answers of `app` are counted, which is what is served from now on.
    pub(crate) fn of(self: &Arc<Self>, app: &App) -> RouteTallies {
        let names: BTreeSet<(&str, &str)> = app.scopes().map(|scope| name(app, scope)).collect();
        locked(&self.routes).retain(|(site, route), _| names.contains(&(&**site, &**route)));
        self.take_rates(app);
        let places = app.scopes().map(|_| OnceLock::new()).collect();
        RouteTallies { all: Arc::clone(self), places }
    }

    /// Has the rates of `app` counted by their names, and forgets the others.
    fn take_rates(&self, app: &App) {
        let mut rates = locked(&self.rates);
        let former = std::mem::take(&mut *rates);
        let layers = app.scopes().flat_map(|scope| app.chain(scope).layers());
        for limit in layers.filter_map(|layer| layer.rate()) {
            let name = limit.policy().name();
            let counts = rates.get(name).or_else(|| former.get(name)).map(Arc::clone);
            let is_full = rates.len() >= NAMES_MAX;
            let counts = counts.unwrap_or_else(|| match is_full {
                true => Arc::clone(&self.other_rates),
                false => Arc::new(RateCounts::new(self.workers)),
            });
            // Where it is counted already, if another server has the same.
            let counts = limit.count_in(&counts);
            if !Arc::ptr_eq(counts, &self.other_rates) {
                rates.entry(name.into()).or_insert_with(|| Arc::clone(counts));
            }
        }
    }

    /// The counts of what `scope` is called.
    #[cold]
    fn asked(&self, app: &App, scope: Scope) -> Tally {
        let (site, route) = name(app, scope);
        let name: Name = (site.into(), route.into());
        let mut routes = locked(&self.routes);
        let is_full = routes.len() >= NAMES_MAX;
        match routes.get(&name) {
            Some(known) => Arc::clone(known),
            None if is_full => Arc::clone(&self.other_routes),
            None => Arc::clone(routes.entry(name).or_insert_with(|| tally(self.workers))),
        }
    }

    /// What was answered so far, by name.
    pub(crate) fn routes(&self) -> Vec<RouteShare> {
        let share = |site: &Arc<str>, route: &Arc<str>, tally: &Tally| {
            let mut requests_by_class = Row::default();
            tally
                .iter()
                .for_each(|part| super::add_row(&mut requests_by_class, &part.by_class, Counter::get));
            let in_flight_refusals = tally.iter().map(|part| part.in_flight_refusals.get()).sum();
            let (site, route) = (Arc::clone(site), Arc::clone(route));
            RouteShare { site, route, requests_by_class, in_flight_refusals }
        };
        let routes = locked(&self.routes);
        let other = Arc::from(OTHER);
        let others = share(&other, &other, &self.other_routes);
        let others = Some(others).filter(|others| others.requests_by_class.iter().any(|count| *count > 0));
        routes.iter().map(|((site, route), tally)| share(site, route, tally)).chain(others).collect()
    }

    /// What became of requests at rates so far, by name.
    pub(crate) fn rates(&self) -> Vec<RateShare> {
        let share = |name: &Arc<str>, counts: &RateCounts| RateShare {
            name: Arc::clone(name),
            requests: Row(std::array::from_fn(|verdict| counts.sum(RateVerdict::ALL[verdict]))),
        };
        let others = share(&Arc::from(OTHER), &self.other_rates);
        let others = Some(others).filter(|others| others.requests.iter().any(|count| *count > 0));
        let rates = locked(&self.rates);
        rates.iter().map(|(name, counts)| share(name, counts)).chain(others).collect()
    }
}

impl RouteTallies {
    /// Counts an answer of `worker`, which that of `app` is that these were made for; with why kolk made it
    /// itself.
    #[inline]
    pub(crate) fn answered(
        &self,
        (app, scope): (&App, Scope),
        worker: usize,
        (status, reason): (u16, Option<Reason>),
    ) {
        let place = match scope {
            Scope::Route(id) | Scope::Preflight(id) => id.index(),
            Scope::Site(id) => app.routes().len() + id.index(),
        };
        let tally = self.places.get(place).map(|place| place.get_or_init(|| self.all.asked(app, scope)));
        let Some(part) = tally.and_then(|tally| tally.get(worker)) else { return };
        if let Some(counter) = part.by_class.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.add(1);
        }
        if reason == Some(Reason::InFlight) {
            part.in_flight_refusals.add(1);
        }
    }
}

impl fmt::Debug for RouteTallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTallies").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

/// The site and the route, as they are called.
fn name(app: &App, scope: Scope) -> (&str, &str) {
    let route = match scope {
        Scope::Route(id) | Scope::Preflight(id) => app.route_of(id).pattern(),
        Scope::Site(_) => NONE,
    };
    (app.site_name(scope), route)
}

fn tally(workers: usize) -> Tally {
    (0..workers).map(|_| Part::default()).collect()
}

/// Nothing that is done under the lock panics half way.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::{HandlerExt as _, Policy, Quota, Rate, RateKey, RateLimit, Rates, Request};
    use crate::http::Response;

    fn says(text: &'static str) -> Response {
        Response::text(text)
    }

    /// Counts an answer with 200 of every route of `app`.
    fn ask_all(tallies: &RouteTallies, app: &App) {
        for scope in app.scopes().filter(|scope| scope.route().is_some()) {
            tallies.answered((app, scope), 0, (200, None));
        }
    }

    /// Site, route, and how many were answered with 200.
    fn shown(all: &Tallies) -> Vec<(String, u64)> {
        let name = |share: &RouteShare| format!("{}{}", share.site, share.route);
        all.routes().iter().map(|share| (name(share), share.requests_by_class[1])).collect()
    }

    #[test]
    fn routes_are_counted_by_name_once_they_are_asked() {
        let app = App::new()
            .get("/", says("a"))
            .post("/", says("b"))
            .site(["b.example", "*.b.example"], App::new().get("/", says("c")).get("/never", says("d")));
        let all = Tallies::new(2);
        let tallies = all.of(&app);
        assert!(all.routes().is_empty());
        ask_all(&tallies, &app);
        let scopes: Vec<_> = app.scopes().collect();
        assert_eq!(scopes.len(), 6, "four routes and two sites");
        tallies.answered((&app, scopes[2]), 1, (503, Some(Reason::InFlight)));
        tallies.answered((&app, scopes[5]), 1, (404, Some(Reason::NotFound)));
        let routes = all.routes();
        let row = |place: usize| {
            let RouteShare { site, route, requests_by_class, in_flight_refusals } = &routes[place];
            (&**site, &**route, **requests_by_class, *in_flight_refusals)
        };
        assert_eq!(row(0), ("*", "/", [0, 2, 0, 0, 0], 0), "two methods have one name");
        assert_eq!(row(1), ("b.example", "(none)", [0, 0, 0, 1, 0], 0));
        assert_eq!(row(2), ("b.example", "/", [0, 1, 0, 0, 1], 1), "two workers");
        assert_eq!((routes.len(), row(3).1), (4, "/never"));
    }

    #[test]
    fn ten_thousand_routes_have_a_thousand_names_and_lose_no_request() {
        let many = (0..10_000).map(|number| format!("/{number}"));
        let app = many.fold(App::new(), |app, path| app.get(&path, says("a")));
        let all = Tallies::new(1);
        let tallies = all.of(&app);
        ask_all(&tallies, &app);
        ask_all(&tallies, &app);
        let shown = shown(&all);
        assert_eq!(shown.len(), NAMES_MAX + 1);
        assert_eq!(shown.last(), Some(&("(other)(other)".to_owned(), 18_000)));
        assert_eq!(shown.iter().map(|(_, count)| count).sum::<u64>(), 20_000);
    }

    #[test]
    fn a_name_goes_on_in_the_next_app_and_ends_with_the_last_that_has_it() {
        let former = App::new().get("/gone", says("a")).get("/stays", says("b"));
        let next = App::new().get("/new", says("c")).get("/stays", says("d"));
        let all = Tallies::new(1);
        let (of_former, of_next) = (all.of(&former), all.of(&next));
        ask_all(&of_former, &former);
        ask_all(&of_next, &next);
        assert_eq!(shown(&all), [("*/gone".into(), 1), ("*/new".into(), 1), ("*/stays".into(), 2)]);
        let last = all.of(&next);
        ask_all(&of_former, &former);
        ask_all(&last, &next);
        assert_eq!(shown(&all), [("*/new".into(), 2), ("*/stays".into(), 4)], "numbers are not mixed up");
    }

    #[test]
    fn rates_are_counted_by_name_and_go_on() {
        let rates = Arc::new(Rates::new());
        let limit = |name: &str| {
            // Each request without a server comes an hour after the one before.
            let rate = Rate::new(Quota::new(1, Duration::from_secs(300 * 86_400)).unwrap(), 1).unwrap();
            RateLimit::new(&rates, Policy::new(name, rate).unwrap(), RateKey::Path)
        };
        let app = |names: [&str; 2]| {
            let [first, second] = names.map(limit);
            App::new().layer(first).get("/", (|_: &Request<'_>| "a").layer(second))
        };
        let get = |app: &App| app.oneshot(::http::Request::get("/").body("").unwrap()).status().as_u16();
        let shown = |all: &Tallies| {
            let rates = all.rates().into_iter();
            rates.map(|share| (share.name.to_string(), *share.requests)).collect::<Vec<_>>()
        };
        let all = Tallies::new(1);
        let first = app(["api", "gone"]);
        let _tallies = all.of(&first);
        assert_eq!(shown(&all), [("api".into(), [0; 4]), ("gone".into(), [0; 4])]);
        assert_eq!((get(&first), get(&first)), (200, 429));
        assert_eq!(shown(&all), [("api".into(), [1, 0, 1, 0]), ("gone".into(), [1, 0, 0, 0])]);
        let second = app(["new", "api"]);
        let _tallies = all.of(&second);
        assert_eq!(get(&second), 429, "they have their budgets in common");
        assert_eq!(shown(&all), [("api".into(), [1, 0, 2, 0]), ("new".into(), [0; 4])]);
    }
}
