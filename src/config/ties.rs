//! Routes of which none is the more specific one: every request has one winner, or the file is wrong.
//!
//! Two routes of a site tie if they have the same path but for the names of its parameters, as many
//! conditions, and there is a request that fits both. What conditions exclude each other, the app itself is
//! asked. Nor does a route get anything if two others with more conditions take all between them.

use std::collections::HashMap;

use ::http::Method;

use super::message::Condition;
use super::place::Placed;
use super::problem::Problem;
use super::read::{FromText, Reader};
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
    shapes.values().for_each(|routes| left_with_nothing(routes, reader));
}

/// Notes each route before which one is asked for requests with a field or parameter, and another for those
/// without it.
fn left_with_nothing(routes: &[Entry<'_>], reader: &mut Reader<'_>) {
    let (present, absent): (Vec<_>, Vec<_>) = routes
        .iter()
        .filter_map(|entry| Some((entry, switch(entry.route)?)))
        .partition(|(_, (_, condition))| *condition == Condition::Present);
    for entry in routes {
        let is_before = |other: &Entry<'_>| other.conditions > entry.conditions && takes_all_of(other, entry);
        let found = present.iter().filter(|(other, _)| is_before(other)).find_map(|(with, (name, _))| {
            let without =
                absent.iter().find(|(other, (other_name, _))| other_name == name && is_before(other));
            without.map(|_| (with.route, name))
        });
        let Some((with, name)) = found else { continue };
        let message = "no request gets here: other routes of this path take all of them";
        let problem = Problem::at(&entry.route.path.origin, message);
        let label = format!("this one takes those with {name}, and another those without");
        reader.problems.push(problem.other(with.path.place(), label));
    }
}

/// What a route asks to be there, or not to be there, if that is all but for its methods.
fn switch(route: &Route) -> Option<(String, Condition)> {
    let fields = route.header.iter().flat_map(|map| &map.value.0);
    let fields = fields.map(|(name, condition)| (format!("the field `{}`", name.text()), condition));
    let parameters = route.query.iter().flat_map(|map| &map.value.0);
    let parameters =
        parameters.map(|(name, condition)| (format!("the parameter `{}`", name.text()), condition));
    let mut all = fields.chain(parameters);
    let (name, condition) = all.next().filter(|_| route.client.is_none())?;
    let is_only = all.next().is_none() && matches!(condition.value, Condition::Present | Condition::Absent);
    is_only.then(|| (name, condition.value.clone()))
}

/// Whether `other` has every method of `entry`, and passes nothing over.
fn takes_all_of(other: &Entry<'_>, entry: &Entry<'_>) -> bool {
    let passes_over = other.route.rewrite.as_ref().is_some_and(|rewrite| rewrite.regex.is_some());
    let has = |method: &Method| match (&other.route.methods, &other.route.files) {
        (Some(methods), _) => methods.iter().any(|own| own.value == *method),
        (None, Some(_)) => matches!(*method, Method::GET | Method::HEAD),
        (None, None) => true,
    };
    let has_all = match (&entry.route.methods, &entry.route.files) {
        (Some(methods), _) => methods.iter().all(|method| has(&method.value)),
        (None, Some(_)) => has(&Method::GET),
        (None, None) => other.route.methods.is_none() && other.route.files.is_none(),
    };
    !passes_over && has_all
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
