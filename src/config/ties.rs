//! Routes of which none is the more specific one: every request has one winner, or the file is wrong.
//!
//! Two routes of a site tie if they have the same path but for the names of its parameters, as many
//! conditions, and there is a request that fits both. What conditions exclude each other, the app itself is
//! asked.

use std::collections::HashMap;

use ::http::Method;

use super::place::Placed;
use super::problem::Problem;
use super::read::Reader;
use super::site::{Route, Site};
use crate::app::{Predicate, are_apart};

/// A route, how many conditions it has, and those but for the methods.
struct Entry<'s> {
    route: &'s Route,
    conditions: usize,
    predicates: Vec<Predicate>,
}

/// Notes each route that ties with one before it.
pub(super) fn check(site: &Site, reader: &mut Reader<'_>) {
    let mut shapes: HashMap<String, Vec<Entry<'_>>> = HashMap::new();
    for route in &site.route {
        let entry = Entry { route, conditions: route.conditions(), predicates: route.predicates() };
        let rivals = shapes.entry(route.path.shape()).or_default();
        if let Some(Entry { route: rival, .. }) = rivals.iter().find(|rival| tie(rival, &entry)) {
            let texts = [rival.path.text(), route.path.text()];
            let message = match texts[0] == texts[1] {
                true => format!("two routes `{}` match the same requests", texts[0]),
                false => format!("the routes `{}` and `{}` match the same requests", texts[0], texts[1]),
            };
            let problem = Problem::at(&route.path.origin, message).other(rival.path.place(), "the other one");
            reader.problems.push(problem.help(way_out(rival, route)));
        }
        rivals.push(entry);
    }
}

/// What makes one of two routes win.
fn way_out(rival: &Route, route: &Route) -> String {
    let (before, methods) = match (&rival.methods, &route.methods) {
        (Some(one), Some(other)) if !share(one, other) => ("GET also means HEAD; ", ""),
        (Some(_), Some(_)) => ("", ""),
        _ => ("", "`methods`, "),
    };
    format!(
        "{before}of one path, the route with more conditions wins: give one of them {methods}`header`, `query` \
         or `client`"
    )
}

fn tie(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    let have_own_methods = match (&one.route.methods, &other.route.methods) {
        (Some(one), Some(other)) => !overlap(one, other),
        _ => false,
    };
    one.conditions == other.conditions && !have_own_methods && !are_apart(&one.predicates, &other.predicates)
}

/// Whether a request has a method of both.
fn overlap(one: &[Placed<Method>], other: &[Placed<Method>]) -> bool {
    let takes = |list: &[Placed<Method>], method: &Method| list.iter().any(|known| known.value == *method);
    // GET also means HEAD.
    share(one, other)
        || (takes(one, &Method::GET) && takes(other, &Method::HEAD))
        || (takes(one, &Method::HEAD) && takes(other, &Method::GET))
}

fn share(one: &[Placed<Method>], other: &[Placed<Method>]) -> bool {
    one.iter().any(|method| other.iter().any(|known| known.value == method.value))
}
