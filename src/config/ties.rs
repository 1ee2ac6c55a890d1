//! Routes of which none is the more specific one: every request has one winner, or the file is wrong.
//!
//! Two routes of a site tie if they have the same path but for the names of its parameters, as many
//! conditions, and there is a request that fits both.

use std::collections::HashMap;

use ::http::Method;

use super::message::{Condition, Map};
use super::problem::Problem;
use super::read::{FromText, Reader};
use super::site::{Route, Site};

/// Notes each route that ties with one before it.
pub(super) fn check(site: &Site, reader: &mut Reader<'_>) {
    let mut shapes: HashMap<String, Vec<&Route>> = HashMap::new();
    for route in &site.route {
        let rivals = shapes.entry(route.path.shape()).or_default();
        if let Some(rival) = rivals.iter().find(|rival| tie(rival, route)) {
            let texts = [rival.path.text(), route.path.text()];
            let message = match texts[0] == texts[1] {
                true => format!("two routes `{}` match the same requests", texts[0]),
                false => format!("the routes `{}` and `{}` match the same requests", texts[0], texts[1]),
            };
            let problem = Problem::at(&route.path.origin, message).other(rival.path.place(), "the other one");
            let help = "of one path, the route with more conditions wins: give one of them `methods`, \
                        `header`, `query` or `client`";
            reader.problems.push(problem.help(help));
        }
        rivals.push(route);
    }
}

fn tie(one: &Route, other: &Route) -> bool {
    one.conditions() == other.conditions() && !are_apart(one, other)
}

/// Whether no request fits both, as far as conditions of one kind tell.
fn are_apart(one: &Route, other: &Route) -> bool {
    let methods = match (&one.methods, &other.methods) {
        (Some(one), Some(other)) => {
            let takes = |list: &[super::place::Placed<Method>], method: &Method| {
                list.iter().any(|known| known.value == *method)
            };
            let overlap = one.iter().any(|method| takes(other, method));
            // GET also means HEAD.
            let head = (takes(one, &Method::GET) && takes(other, &Method::HEAD))
                || (takes(one, &Method::HEAD) && takes(other, &Method::GET));
            !overlap && !head
        }
        _ => false,
    };
    let clients = match (&one.client, &other.client) {
        (Some(one), Some(other)) => !one
            .iter()
            .any(|net| other.iter().any(|known| net.contains(&known.value) || known.contains(&net.value))),
        _ => false,
    };
    let fields = one.header.as_ref().zip(other.header.as_ref());
    let parameters = one.query.as_ref().zip(other.query.as_ref());
    methods
        || clients
        || fields.is_some_and(|(one, other)| exclude(one, other))
        || parameters.is_some_and(|(one, other)| exclude(one, other))
}

/// Whether they ask for different values of one name.
fn exclude<K: FromText + PartialEq>(one: &Map<K, Condition>, other: &Map<K, Condition>) -> bool {
    one.0.iter().any(|(name, condition)| {
        let same = other.0.iter().find(|(known, _)| known.value == name.value);
        same.is_some_and(|(_, known)| match (&condition.value, &known.value) {
            (Condition::Is(one), Condition::Is(other)) => one != other,
            (Condition::Absent, other) => *other != Condition::Absent,
            (one, Condition::Absent) => *one != Condition::Absent,
            _ => false,
        })
    })
}
