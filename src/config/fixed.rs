//! What an answer that is always the same must have, by its status. RFC 9110 §15.
//!
//! ```text
//!  respond = 405 ─► needs `Allow` ─► said by a [headers.NAME] of the route or the site? ─► fine
//! ```
//! A media type is one. What leads elsewhere is a redirect.

use ::http::{HeaderName, StatusCode, header};

use super::place::Placed;
use super::problem::Problem;
use super::read::{Named, Reader};
use super::{Headers, Name, Respond, Site, routes};

/// Notes everything that is wrong with the fixed answers of one site.
pub(super) fn check(site: &Site, headers: &Named<Headers>, reader: &mut Reader<'_>) {
    let names = |list: &Option<Placed<Vec<Placed<Name>>>>| -> Vec<String> {
        list.iter().flat_map(|list| &list.value).map(|name| name.value.0.clone()).collect()
    };
    let of_site = names(&site.headers);
    for route in &site.route {
        let named = [names(&route.headers), of_site.clone()].concat();
        route.respond.iter().for_each(|respond| answer(respond, &named, headers, reader));
    }
    site.respond.iter().for_each(|respond| answer(respond, &of_site, headers, reader));
}

fn answer(respond: &Respond, named: &[String], headers: &Named<Headers>, reader: &mut Reader<'_>) {
    if let Some(media_type) = &respond.content_type {
        routes::media_type(media_type, reader);
    }
    let (status, origin) = (respond.status.value, &respond.status.origin);
    let code = status.as_u16();
    if matches!(code, 301..=303 | 307 | 308) {
        let problem = Problem::at(origin, format!("an answer with the status {code} says where to go"));
        reader.problems.push(problem.help(format!("`redirect = {{ to = \"/\", status = {code} }}`")));
    } else if status == StatusCode::UPGRADE_REQUIRED {
        let problem = Problem::at(origin, "an answer with the status 426 says what to upgrade to");
        reader.problems.push(problem.help("kolk speaks nothing that a client could upgrade to"));
    } else if let Some(field) = field_of(status) {
        let has = |headers: &Headers| headers.given().any(|name| name.0 == field);
        if named.iter().filter_map(|name| headers.get(name)).any(has) {
            return;
        }
        let problem =
            Problem::at(origin, format!("an answer with the status {code} must have the field `{field}`"));
        reader
            .problems
            .push(problem.help(format!("set it in a [headers.NAME], and name that: `{field} = \"…\"`")));
    }
}

/// The field without which this status says nothing. RFC 9110 §15.3.7, §15.5.2, §15.5.6, §15.5.8.
const fn field_of(status: StatusCode) -> Option<HeaderName> {
    match status.as_u16() {
        206 => Some(header::CONTENT_RANGE),
        401 => Some(header::WWW_AUTHENTICATE),
        405 => Some(header::ALLOW),
        407 => Some(header::PROXY_AUTHENTICATE),
        _ => None,
    }
}
