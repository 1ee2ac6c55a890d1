//! What a site and its routes say that only all of their keys together tell: placeholders, paths, files.

use std::collections::HashMap;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use super::action::{Redirect, Rewrite, StaticFiles};
use super::check::{filled, twice};
use super::message::{Condition, Map, StatusSet};
use super::place::Placed;
use super::problem::Problem;
use super::read::{FromText as _, Reader};
use super::site::{Coding, Compress, Cors, Route, RouteTimeouts, Site};
use super::template::{Part, Template};
use super::value::{self, Text, unknown_placeholder};
use crate::app::{StaticDir, TemplateError};
use crate::http::Path;
use crate::sys::regular;

/// The placeholders that every request has a text for.
const REQUEST: [&str; 4] = ["uri", "path", "query", "host"];

/// Those of a new path: the query stays as it is.
const PATH: [&str; 2] = ["path", "host"];

/// Longer rounds of rewrites are not looked for: a request ends before.
const ROUND_MAX: usize = 8;

/// Nobody waits longer for anything.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Notes everything that is wrong with one site.
pub(super) fn check(site: &Site, reader: &mut Reader<'_>) {
    networks(site.allow.as_ref(), site.deny.as_ref(), reader);
    pages(site.error_pages.as_ref(), reader);
    compress(&site.compress, reader);
    if let Some(of) = &site.cors {
        filled(&of.origins, "no page may read anything: leave `cors` out", reader);
        cors(of, reader);
    }
    site.redirect.iter().for_each(|to| redirect(to, None, reader));
    site.hsts.iter().for_each(|hsts| whole(&hsts.max_age, reader));
    rounds(site, reader);
    unreachable(site, reader);
    for route in &site.route {
        if let Some(methods) = &route.methods {
            filled(methods, "a route without methods matches nothing", reader);
            twice(methods.iter(), |method| format!("the method `{method}`"), reader);
        }
        if let Some(client) = &route.client {
            filled(client, "a route for no client matches nothing", reader);
            twice(client.iter(), |net| format!("the network `{net}`"), reader);
        }
        route.header.iter().for_each(|header| values(header, reader));
        networks(route.allow.as_ref(), route.deny.as_ref(), reader);
        pages(route.error_pages.as_ref(), reader);
        route.compress.iter().for_each(|codings| compress(codings, reader));
        // An empty list of origins: not those of the site either.
        route.cors.iter().for_each(|of| cors(of, reader));
        route.redirect.iter().for_each(|to| redirect(to, Some(route), reader));
        route.rewrite.iter().for_each(|to| rewrite(to, route, reader));
        route.files.iter().for_each(|of| files(of, reader));
        read_only(route, reader);
        route.cache_control.iter().for_each(|value| said(value, reader));
        route.timeouts.iter().for_each(|times| timeouts(times, reader));
    }
}

/// Notes a value that no field has: spaces around one are not part of it. RFC 9110 §5.5.
fn values(header: &Map<HeaderName, Condition>, reader: &mut Reader<'_>) {
    for (_, condition) in &header.0 {
        let Condition::Is(text) = &condition.value else { continue };
        let why = if text.trim_matches([' ', '\t']) != text {
            "spaces around a value are not part of it"
        } else if text.chars().any(|char| char.is_ascii_control() && char != '\t') {
            "a value is one line, without control characters"
        } else {
            continue;
        };
        reader.problems.push(Problem::at(&condition.origin, "no field has this value").label(why));
    }
}

fn timeouts(timeouts: &RouteTimeouts, reader: &mut Reader<'_>) {
    let times = [&timeouts.handler, &timeouts.body_idle, &timeouts.write_stall];
    times.into_iter().flatten().for_each(|time| timely(time, reader));
}

/// Browsers count in seconds: of a part of one they would remember nothing. RFC 6797 §6.1.1.
fn whole(time: &Placed<Duration>, reader: &mut Reader<'_>) {
    if time.subsec_nanos() > 0 {
        reader.problems.push(Problem::at(&time.origin, "browsers remember whole seconds"));
    }
}

/// Notes methods that files do not have.
fn read_only(route: &Route, reader: &mut Reader<'_>) {
    let (Some(files), Some(methods)) = (&route.files, &route.methods) else { return };
    for method in methods.iter().filter(|method| !matches!(method.value, Method::GET | Method::HEAD)) {
        let message = format!("`static` does not answer {}: files are read", method.value);
        let problem = Problem::at(&method.origin, message).other(files.root.place(), "the files");
        reader.problems.push(problem.help("leave `methods` out: it is GET and HEAD"));
    }
    if !methods.is_empty() && methods.iter().all(|method| method.value == Method::HEAD) {
        let problem = Problem::at(&methods.origin, "nobody can read these files: `GET` is missing");
        reader.problems.push(problem.other(files.root.place(), "the files"));
    }
}

/// Notes rewrites without conditions of which each leads to the next, and the last to the first.
fn rounds(site: &Site, reader: &mut Reader<'_>) {
    let open = site.route.iter().enumerate().filter(|(_, route)| route.conditions() == 0);
    let places: HashMap<&str, usize> = open.map(|(number, route)| (route.path.text(), number)).collect();
    let leads = |route: &Route| {
        let to = route.rewrite.as_ref().filter(|rewrite| rewrite.regex.is_none())?.to.as_ref()?;
        places.get(to.as_text()?).copied().filter(|_| route.conditions() == 0)
    };
    let next: Vec<Option<usize>> = site.route.iter().map(leads).collect();
    for first in 0..next.len() {
        let followed = std::iter::successors(next[first], |at| next[*at]);
        let followed: Vec<usize> = followed.take(ROUND_MAX).collect();
        let Some(end) = followed.iter().position(|at| *at == first) else { continue };
        // One that leads to itself is told where it stands; others once.
        if end == 0 || followed[..end].iter().any(|at| *at < first) {
            continue;
        }
        let (route, other) = (&site.route[first], &site.route[followed[0]]);
        let Some(to) = route.rewrite.as_ref().and_then(|rewrite| rewrite.to.as_ref()) else { continue };
        let problem = Problem::at(&to.origin, "this rewrite leads back here, without an end");
        reader.problems.push(problem.other(other.path.place(), "it goes on here"));
    }
}

/// A time that somebody can keep, and that somebody waits for.
pub(super) fn timely(time: &Placed<Duration>, reader: &mut Reader<'_>) {
    let why = match time.value {
        Duration::ZERO => "nobody is that fast",
        time if time > TIME_MAX => "nobody waits longer than a day",
        _ => return,
    };
    let problem = Problem::at(&time.origin, why);
    reader.problems.push(problem.help("leave it out, and the default counts"));
}

/// What a site does with requests that no route is for says nothing if there are none. Files leave it all
/// methods but GET and HEAD.
fn unreachable(site: &Site, reader: &mut Reader<'_>) {
    let takes_all =
        |route: &&Route| route.path.shape() == "/{*}" && route.conditions() == 0 && route.files.is_none();
    let origins = site.respond.iter().map(|respond| &respond.origin);
    let origins = origins.chain(site.redirect.iter().map(|redirect| &redirect.origin));
    if let Some(route) = site.route.iter().find(takes_all) {
        for origin in origins {
            let problem = Problem::at(origin, "no request gets here: there is a route for every one");
            reader.problems.push(problem.other(route.path.place(), "this route"));
        }
    }
}

type Networks<'s> = Option<&'s Placed<Vec<Placed<IpNet>>>>;

fn networks(allow: Networks<'_>, deny: Networks<'_>, reader: &mut Reader<'_>) {
    if let Some(allow) = allow {
        filled(allow, "an empty list lets nobody in", reader);
    }
    let [allowed, denied] = [allow, deny].map(|list| list.map(|list| &list.value[..]).unwrap_or_default());
    for list in [allowed, denied] {
        twice(list.iter(), |net| format!("the network `{net}`"), reader);
    }
    for net in denied {
        if let Some(first) = allowed.iter().find(|known| known.value == net.value) {
            let problem = Problem::at(&net.origin, format!("`{}` is both let in and not", net.value));
            reader.problems.push(problem.other(first.place(), "let in here"));
        }
    }
}

fn pages(pages: Option<&Placed<Map<StatusSet, Text>>>, reader: &mut Reader<'_>) {
    for (_, page) in pages.iter().flat_map(|pages| &pages.0) {
        if !page.0.starts_with('/') {
            let problem = Problem::at(&page.origin, "an error page is a path of this site");
            reader.problems.push(problem.label("it begins with `/`"));
        }
    }
}

fn compress(compress: &Compress, reader: &mut Reader<'_>) {
    twice(compress.codings.iter(), |coding| format!("the coding `{}`", coding.word()), reader);
    for coding in compress.codings.iter().filter(|coding| coding.value == Coding::Zstd) {
        if cfg!(not(feature = "zstd")) && coding.place().is_some() {
            reader.problems.push(Problem::at(&coding.origin, "this kolk was built without zstd"));
        }
    }
}

fn cors(cors: &Cors, reader: &mut Reader<'_>) {
    twice(cors.origins.iter(), |origin| format!("the origin `{}`", origin.text()), reader);
    filled(&cors.methods, "no method may be used: leave `cors` out", reader);
    twice(cors.methods.iter(), |method| format!("the method `{method}`"), reader);
    twice(cors.expose_headers.iter(), |name| format!("the field `{name}`"), reader);
}

fn redirect(redirect: &Redirect, route: Option<&Route>, reader: &mut Reader<'_>) {
    let mut known: Vec<&str> = REQUEST.to_vec();
    known.extend(route.iter().flat_map(|route| route.path.names()).map(String::as_str));
    placeholders(&redirect.to, &known, reader);
    let begins_well = match redirect.to.parts().first() {
        Some(Part::Text(text)) => {
            text.starts_with('/') || text.starts_with("https://") || text.starts_with("http://")
        }
        // One that stands for nothing is told as that.
        Some(Part::Placeholder(name)) => name == "uri" || name == "path" || !known.contains(&&**name),
        None => false,
    };
    if !begins_well {
        let problem = Problem::at(&redirect.to.origin, "a redirect leads to a path or to a URL");
        reader.problems.push(problem.label("it begins with `/`, `https://` or `http://`"));
    }
    visible(&redirect.to, reader);
    let captures =
        |name: &str| route.is_some_and(|route| route.path.names().iter().any(|known| known == name));
    match crate::app::Redirect::to(&redirect.to.text()) {
        Ok(to) if to.keeps_host() && captures("host") => {
            let message = "`{host}` is the host that was asked for, and no parameter of a path becomes one";
            let problem = Problem::at(&redirect.to.origin, message);
            let problem = problem.label("call the parameter something else");
            let path = route.and_then(|route| route.path.place());
            reader.problems.push(problem.other(path, "this one is called so, too"));
        }
        Err(why @ TemplateError::Escape) => {
            let problem = Problem::at(&redirect.to.origin, "this is no URL").label(why.to_string());
            reader.problems.push(problem);
        }
        // The rest is told here in other words, or when it is built.
        Ok(_) | Err(_) => {}
    }
    let own = route.filter(|route| redirect.to.as_text() == Some(route.path.text()));
    let is_uri = redirect.to.as_text().is_none() && redirect.to.value.text() == "{uri}";
    let goes_round = is_uri && !captures("uri");
    if own.is_some() || goes_round {
        reader.problems.push(Problem::at(&redirect.to.origin, "this redirect leads to itself"));
    }
}

fn rewrite(rewrite: &Rewrite, route: &Route, reader: &mut Reader<'_>) {
    if let Some(prefix) = &rewrite.strip_prefix {
        let rest = route.path.text().strip_prefix(prefix.0.trim_end_matches('/'));
        if !prefix.0.starts_with('/') {
            reader.problems.push(Problem::at(&prefix.origin, "a prefix begins with `/`"));
        } else if prefix.0.trim_end_matches('/').is_empty() {
            reader.problems.push(Problem::at(&prefix.origin, "this takes nothing off the path"));
        } else if prefix.0.contains(['{', '}'])
            || !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            let problem = Problem::at(&prefix.origin, "the path of this route does not begin so");
            reader.problems.push(problem.other(route.path.place(), "its path"));
        }
    }
    let Some(to) = &rewrite.to else { return };
    let groups: Vec<String> = rewrite.regex.iter().flat_map(|regex| regex.groups()).collect();
    let names = route.path.names().iter().chain(&groups).map(String::as_str);
    let known: Vec<&str> = PATH.into_iter().chain(names).collect();
    placeholders(to, &known, reader);
    let begins_well = match to.parts().first() {
        Some(Part::Text(text)) => text.starts_with('/'),
        Some(Part::Placeholder(name)) => name == "path" || groups.contains(name) || !known.contains(&&**name),
        None => false,
    };
    if !begins_well {
        let problem = Problem::at(&to.origin, "a path is expected").label("it begins with `/`");
        reader.problems.push(problem);
    } else if let Some(why) = no_path(to) {
        reader.problems.push(Problem::at(&to.origin, "this is no path").label(why));
    }
    // The rest of a path is a parameter like others in a template.
    let own = route.path.text().replace("{*", "{");
    let is_path = to.text() == "{path}" && !route.path.names().iter().any(|name| name == "path");
    if rewrite.regex.is_none() && (to.text() == own || is_path) || to.as_text() == Some(route.path.text()) {
        reader.problems.push(Problem::at(&to.origin, "this rewrite leads to itself"));
    }
}

/// Why a template, whatever is put into it, is not the path of a resource.
fn no_path(to: &Template) -> Option<&'static str> {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Placeholder(_) => "x".to_owned(),
    };
    let path: String = to.parts().iter().map(text).collect();
    if path.contains(['?', '#']) {
        return Some("the query stays as it was sent");
    }
    let is_path = Path::of_text(&format!("/{path}"), &mut String::new()).is_ok();
    (!is_path).then_some("it leads above the root, or has a `%` without two digits, or a backslash")
}

fn files(files: &StaticFiles, reader: &mut Reader<'_>) {
    let named = [("spa", &files.spa), ("not_found", &files.not_found)];
    for (key, name) in named.into_iter().filter_map(|(key, name)| Some((key, name.as_ref()?))) {
        let path = files.root.0.join(&name.0);
        if let Err(error) = path.metadata().and_then(|found| regular::check(&found)) {
            let message = format!("`{key}` is no file of the folder");
            let label = value::unusable(&path, &error);
            let problem = Problem::at(&name.origin, message).label(label);
            reader.problems.push(problem.other(files.root.place(), "the folder"));
        }
    }
    files.cache_control.iter().flat_map(|map| &map.0).for_each(|(_, value)| said(value, reader));
    files.media_types.iter().flat_map(|types| &types.0).for_each(|(_, value)| media_type(value, reader));
}

/// Notes what is no media type.
pub(super) fn media_type(value: &Placed<HeaderValue>, reader: &mut Reader<'_>) {
    let text = String::from_utf8_lossy(value.as_bytes());
    let Err(why) = StaticDir::check_media_type("x", &text) else { return };
    let message = match &*text {
        "" => "expected a media type, found an empty text".to_owned(),
        text => format!("`{text}` is no media type"),
    };
    let hint = why.split_once(": ").map_or(&*why, |(_, hint)| hint);
    reader.problems.push(Problem::at(&value.origin, message).label(hint));
}

/// Notes a `Cache-Control` that says nothing.
fn said(value: &Placed<HeaderValue>, reader: &mut Reader<'_>) {
    if value.as_bytes().trim_ascii().is_empty() {
        let problem = Problem::at(&value.origin, "this says nothing to caches");
        reader.problems.push(problem.help("leave it out, or write down what they may do: \"max-age=60\""));
    }
}

/// Notes a placeholder that nothing stands for.
fn placeholders(template: &Placed<Template>, known: &[&str], reader: &mut Reader<'_>) {
    if let Some(name) = template.unknown(known) {
        unknown_placeholder(&template.origin, reader, name, known);
    }
}

/// Notes what cannot stand in a field that holds a URL.
fn visible(template: &Placed<Template>, reader: &mut Reader<'_>) {
    let is_wrong = |part: &&Part| match part {
        Part::Text(text) => !text.bytes().all(|byte| byte.is_ascii_graphic()),
        Part::Placeholder(_) => false,
    };
    if template.parts().iter().any(|part| is_wrong(&part)) {
        let problem = Problem::at(&template.origin, "a URL is visible ASCII");
        reader.problems.push(problem.label("other bytes are written with %"));
    }
}
