//! The routes of a site that could have answered a request, and why they did not.
//!
//! ```text
//!  patterns that match, the most specific first:   passed over ─► passed over ─► has answered ─► not asked
//!  why their routes have not:                      method, predicate             conditions     their path
//! ```
//! The site itself is asked which patterns match, and predicates are asked as for a request: nothing here
//! knows what a pattern matches.

use super::{RunnerUp, Why};
use crate::app::endpoint::{Added, Endpoint, Wanted};
use crate::app::route::RouteId;
use crate::app::scope::Match;
use crate::app::site::{Missing, Site};
use crate::app::trust::Asker;
use crate::http::{Head, Method, Path};

/// All routes of `site` whose pattern matches `path`, but the one that was `found` and those that have
/// `passed` it on, the most specific first.
pub(super) fn rivals(
    site: &Site,
    (head, path): (&Head<'_>, Path<'_>),
    (found, passed): (Match, &[RouteId]),
    asker: Asker<'_>,
) -> Vec<RunnerUp> {
    let winner = found.scope().layers_of();
    let wanted = match found {
        Match::Missing(_, Missing::Preflight(..)) => Wanted::announced_by(head, asker),
        _ => None,
    };
    let wanted = wanted.unwrap_or_else(|| Wanted::by(head, asker)).without(passed);
    let mut rivals = Vec::new();
    let mut is_decided = false;
    for (place, endpoint) in site.matching(path).into_iter().enumerate() {
        if is_decided {
            rivals.extend(others(endpoint, winner).map(|added| lost(added, Why::LessSpecific)));
            continue;
        }
        rivals.extend(within(endpoint, &wanted, winner));
        is_decided = match winner {
            Some(winner) => endpoint.routes().iter().any(|added| added.route == winner),
            None => endpoint.choose(&wanted).is_some() || (place == 0 && is_kolks(endpoint, head, &wanted)),
        };
    }
    let fallback = site.fallback.map(|fallback| fallback.route).filter(|route| winner != Some(*route));
    rivals.extend(fallback.map(|route| RunnerUp { route, why: Why::Fallback }));
    rivals.retain(|rival| !passed.contains(&rival.route));
    rivals
}

/// Whether kolk tells the methods of the most specific pattern.
fn is_kolks(endpoint: &Endpoint, head: &Head<'_>, wanted: &Wanted<'_>) -> bool {
    head.method() == Method::Options && endpoint.candidates(wanted).next().is_none()
}

/// Those of a pattern that is asked.
fn within(endpoint: &Endpoint, wanted: &Wanted<'_>, winner: Option<RouteId>) -> Vec<RunnerUp> {
    let mut rivals = Vec::new();
    let mut won: Option<&Added> = None;
    for candidate in endpoint.candidates(wanted) {
        if Some(candidate.route) == winner {
            won = Some(candidate);
            continue;
        }
        rivals.push(lost(
            candidate,
            match (wanted.failing(candidate), won) {
                (Some(predicate), _) => Why::Predicate(predicate.clone()),
                // The method has not made the difference.
                (None, Some(won))
                    if won.verb == candidate.verb || won.predicates.len() > candidate.predicates.len() =>
                {
                    Why::FewerPredicates
                }
                (None, Some(_)) => Why::LessSpecificMethod,
                // It would have won.
                (None, None) => continue,
            },
        ));
    }
    let is_candidate = |added: &Added| endpoint.candidates(wanted).any(|other| other.route == added.route);
    let for_others = others(endpoint, winner).filter(|added| !is_candidate(added));
    rivals.extend(for_others.map(|added| lost(added, Why::Method)));
    rivals
}

/// All of a pattern, but `winner`.
fn others(endpoint: &Endpoint, winner: Option<RouteId>) -> impl Iterator<Item = &Added> {
    endpoint.routes().iter().filter(move |added| Some(added.route) != winner)
}

const fn lost(added: &Added, why: Why) -> RunnerUp {
    RunnerUp { route: added.route, why }
}
