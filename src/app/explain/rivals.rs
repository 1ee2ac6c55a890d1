//! The routes of a site that could have answered a request, and why they did not.
//!
//! ```text
//!  all patterns ─► Router::find ─► the most specific ─┐
//!   └──────────── without it ◄────────────────────────┘   until nothing is found
//! ```
//! The router itself is asked who would be the next one if the last were not there, and predicates are asked
//! as for a request: nothing here knows what a pattern matches.

use super::{RunnerUp, Why};
use crate::app::endpoint::{Added, Endpoint};
use crate::app::route::{Route, RouteId};
use crate::app::router::{Params, Router};
use crate::app::site::Site;
use crate::app::trust::Asker;
use crate::http::{Head, Path};

/// All routes of `site` whose pattern matches `path`, but `winner`, the most specific first. `routes`: those
/// of all sites, by their number.
pub(super) fn rivals(
    site: &Site,
    routes: &[Route],
    (head, path): (&Head<'_>, Path<'_>),
    winner: Option<RouteId>,
    asker: Asker<'_>,
) -> Vec<RunnerUp> {
    let mut rivals = Vec::new();
    for (place, number) in matching(site, routes, path).into_iter().enumerate() {
        let endpoint = &site.endpoints()[number];
        match place {
            0 => rivals.extend(within(endpoint, head, winner, asker)),
            _ => rivals.extend(endpoint.routes().iter().map(|added| lost(added, Why::LessSpecific))),
        }
    }
    let fallback = site.fallback.filter(|fallback| winner != Some(*fallback));
    rivals.extend(fallback.map(|route| RunnerUp { route, why: Why::Fallback }));
    rivals
}

/// The numbers of the patterns that match `path`, the most specific first.
fn matching(site: &Site, routes: &[Route], path: Path<'_>) -> Vec<usize> {
    let patterns = site.endpoints().iter().map(|endpoint| {
        let first = endpoint.routes().first();
        first.map(|added| routes[added.route.index()].shared_pattern())
    });
    let patterns: Vec<_> = patterns.collect();
    let (mut found, mut params) = (Vec::new(), Params::new());
    loop {
        let mut router = Router::new();
        for (number, pattern) in (0_u32..).zip(&patterns) {
            if !found.contains(&(number as usize)) {
                // They were beside each other before.
                let _ = pattern.map(|pattern| router.insert(pattern, number));
            }
        }
        match router.find(path, &mut params) {
            Some(number) => found.push(number as usize),
            None => return found,
        }
    }
}

/// Those of the pattern that decides.
fn within(endpoint: &Endpoint, head: &Head<'_>, winner: Option<RouteId>, asker: Asker<'_>) -> Vec<RunnerUp> {
    let mut rivals = Vec::new();
    let mut won: Option<&Added> = None;
    for candidate in endpoint.candidates(head.method(), head.method_name()) {
        if Some(candidate.route) == winner {
            won = Some(candidate);
            continue;
        }
        let failing = candidate.predicates.iter().find(|predicate| !predicate.holds(head, asker));
        rivals.push(lost(
            candidate,
            match (failing, won) {
                (Some(predicate), _) => Why::Predicate(predicate.clone()),
                (None, Some(won)) if won.verb == candidate.verb => Why::FewerPredicates,
                (None, Some(_)) => Why::LessSpecificMethod,
                // It would have won.
                (None, None) => continue,
            },
        ));
    }
    let is_candidate = |added: &Added| {
        endpoint.candidates(head.method(), head.method_name()).any(|other| other.route == added.route)
    };
    let others = endpoint.routes().iter();
    let others = others.filter(|added| !is_candidate(added) && Some(added.route) != winner);
    rivals.extend(others.map(|added| lost(added, Why::Method)));
    rivals
}

const fn lost(added: &Added, why: Why) -> RunnerUp {
    RunnerUp { route: added.route, why }
}
