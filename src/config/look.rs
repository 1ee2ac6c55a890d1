//! Which keys of one table go together: looked at before the values are, so that a wrong value is not also a
//! missing one.

use super::node::{Entry, Node, Raw};
use super::problem::Problem;
use super::read::{Reader, enumerated, items};

/// The actions of a route, and those of later versions, which are refused elsewhere.
const ACTIONS: [&str; 5] = ["static", "respond", "redirect", "rewrite", "proxy"];

/// What a route says that leaves the answer to others.
const OF_REWRITES: [&str; 6] = ["path", "methods", "header", "query", "client", "rewrite"];

/// What each kind of authentication must have, and what it may have.
const AUTH_KEYS: [(&str, &[&str], &[&str]); 4] = [
    ("basic", &["file"], &["realm", "failures"]),
    ("bearer", &["tokens"], &["realm"]),
    ("jwt", &["algorithms"], &["realm", "jwks", "secret", "issuer", "audience", "leeway", "failures"]),
    ("mtls", &["subjects"], &[]),
];

/// Of what is said in `[headers.NAME]` and is empty.
pub(super) const CHANGES_NOTHING: &str = "this is empty, and changes nothing: leave it out";

pub(super) fn rate(table: &Node, reader: &mut Reader<'_>) {
    if let Some(entry) = table.find("delay_max").filter(|_| word(table, "mode") != Some("delay")) {
        says_nothing(reader, entry, "`mode = \"delay\"`");
    }
}

pub(super) fn auth(table: &Node, reader: &mut Reader<'_>) {
    let kind = word(table, "kind");
    let Some((kind, must, may)) = AUTH_KEYS.iter().find(|(name, ..)| Some(*name) == kind) else { return };
    for name in must.iter().filter(|name| table.find(name).is_none()) {
        let message = format!("`{name}` is missing in {}", reader.titled("[auth.NAME]"));
        let problem = Problem::at(&table.origin, message);
        reader.problems.push(problem.help(format!("`kind = \"{kind}\"` needs it")));
    }
    for entry in table.entries() {
        let others = AUTH_KEYS.iter().flat_map(|(_, must, may)| must.iter().chain(*may));
        let name = entry.name.as_str();
        let is_ours = must.contains(&name) || may.contains(&name);
        if !is_ours && others.clone().any(|other| *other == name) {
            let message = format!("`{name}` says nothing with `kind = \"{kind}\"`");
            reader.problems.push(Problem::at(&entry.origin(), message));
        }
    }
    if *kind == "jwt" {
        one_of_two(table, reader, ["jwks", "secret"], "[auth.NAME]");
    }
}

pub(super) fn headers(table: &Node, reader: &mut Reader<'_>) {
    if table.entries().is_empty() {
        let problem =
            Problem::at(&table.origin, format!("{} changes nothing", reader.titled("[headers.NAME]")));
        reader.problems.push(problem.help("say `set`, `add` or `remove`"));
    }
    for entry in ["set", "add"].iter().filter_map(|name| table.find(name)) {
        if matches!(&entry.node.raw, Raw::Table(fields) if fields.is_empty()) {
            reader.refuse(&entry.node, CHANGES_NOTHING);
        }
    }
}

pub(super) fn site(table: &Node, reader: &mut Reader<'_>) {
    if let (Some(first), Some(second)) = (table.find("respond"), table.find("redirect")) {
        contradict(reader, second, first);
    }
    let answers = ["respond", "redirect", "route", "proxy"].iter().any(|name| table.find(name).is_some());
    if !answers {
        let problem = Problem::at(&table.origin, "this [[site]] answers nothing");
        reader.problems.push(problem.help("give it a [[site.route]], `respond` or `redirect`"));
    }
}

pub(super) fn route(table: &Node, reader: &mut Reader<'_>) {
    let mut actions = table.entries().iter().filter(|entry| ACTIONS.contains(&entry.name.as_str()));
    let Some(first) = actions.next() else {
        let problem = Problem::at(&table.origin, "this [[site.route]] does nothing");
        reader.problems.push(problem.help("give it `static`, `respond`, `redirect` or `rewrite`"));
        return;
    };
    for other in actions.filter(|other| other.name != "proxy") {
        let message = format!("a route does one thing, and this one does two: `{}`", other.name);
        let problem = Problem::at(&other.origin(), message);
        reader.problems.push(problem.other(first.place.as_ref(), format!("`{}` is the first", first.name)));
    }
    if let (Some(redirect), Some(entry)) = (table.find("redirect"), table.find("compress")) {
        let problem =
            Problem::at(&entry.origin(), "`compress` says nothing of a redirect: it has no content");
        reader.problems.push(problem.other(redirect.place.as_ref(), "the redirect"));
    }
    let is_rewriting = first.name == "rewrite";
    let names = |entry: &&Entry| !ACTIONS.contains(&&*entry.name) && !OF_REWRITES.contains(&&*entry.name);
    for entry in table.entries().iter().filter(|entry| is_rewriting && names(entry)) {
        let message =
            format!("`{}` says nothing where `rewrite` leaves the answer to another route", entry.name);
        let problem =
            Problem::at(&entry.origin(), message).help("say it in the route that answers, or in the site");
        reader.problems.push(problem.other(first.place.as_ref(), "another route answers"));
    }
}

pub(super) fn cors(table: &Node, reader: &mut Reader<'_>) {
    let Some(origins) = table.find("origins") else { return };
    let items = items(&origins.node);
    let is_any = |node: &Node| matches!(&node.raw, Raw::Text(text) if text == "*");
    let Some(any) = items.iter().find(|item| is_any(item)) else { return };
    if items.len() > 1 {
        reader.refuse(any, "`*` stands for all origins: the others say nothing");
    }
    let credentials = table.find("credentials");
    if let Some(entry) = credentials.filter(|entry| matches!(entry.node.raw, Raw::Boolean(true))) {
        let message = "credentials for all origins: every page on the web could read what only its user may";
        let problem = Problem::at(&entry.node.origin, message).other(any.origin.place(), "all origins");
        reader.problems.push(problem.help("name the origins"));
    }
}

pub(super) fn files(table: &Node, reader: &mut Reader<'_>) {
    let is_true = |name: &str| table.find(name).filter(|entry| matches!(entry.node.raw, Raw::Boolean(true)));
    if let Some(entry) = is_true("archives").filter(|_| is_true("listing").is_none()) {
        says_nothing(reader, entry, "`listing = true`");
    }
    if let (Some(first), Some(second)) = (table.find("spa"), table.find("not_found")) {
        contradict(reader, second, first);
    }
}

pub(super) fn respond(table: &Node, reader: &mut Reader<'_>) {
    let content = [table.find("text"), table.find("file")];
    if let [Some(first), Some(second)] = content {
        contradict(reader, second, first);
    }
    if let (Some(entry), [None, None]) = (table.find("type"), content) {
        says_nothing(reader, entry, "`text` or `file`");
    }
    let status = table.find("status").map(|entry| &entry.node.raw);
    if let (Some(Raw::Integer(status)), Some(entry)) = (status, content.into_iter().flatten().next())
        && matches!(status.as_str(), "204" | "205" | "304")
    {
        let message = format!("an answer with the status {status} has no content");
        reader.problems.push(Problem::at(&entry.origin(), message));
    }
}

pub(super) fn rewrite(table: &Node, reader: &mut Reader<'_>) {
    one_of_two(table, reader, ["strip_prefix", "to"], "`rewrite`");
    // Without any of the two, one of them is missed.
    let strips = table.find("strip_prefix").is_some() && table.find("to").is_none();
    if let Some(entry) = table.find("regex").filter(|_| strips) {
        says_nothing(reader, entry, "`to`");
    }
}

pub(super) fn timeouts(table: &Node, reader: &mut Reader<'_>) {
    if table.entries().is_empty() {
        reader.problems.push(Problem::at(&table.origin, "these timeouts say nothing"));
    }
}

/// The text of a key, if it is one.
fn word<'n>(table: &'n Node, name: &str) -> Option<&'n str> {
    match &table.find(name)?.node.raw {
        Raw::Text(text) => Some(text),
        _ => None,
    }
}

fn one_of_two(table: &Node, reader: &mut Reader<'_>, names: [&str; 2], title: &str) {
    match names.map(|name| table.find(name)) {
        [Some(first), Some(second)] => contradict(reader, second, first),
        [None, None] => {
            let message = format!("{} needs one of {}", reader.titled(title), enumerated(&names));
            reader.problems.push(Problem::at(&table.origin, message));
        }
        _ => {}
    }
}

fn says_nothing(reader: &mut Reader<'_>, entry: &Entry, without: &str) {
    let message = format!("`{}` says nothing without {without}", entry.name);
    reader.problems.push(Problem::at(&entry.origin(), message));
}

fn contradict(reader: &mut Reader<'_>, entry: &Entry, first: &Entry) {
    let message = format!("`{}` and `{}` exclude each other", first.name, entry.name);
    let problem = Problem::at(&entry.origin(), message).label("keep one of them");
    reader.problems.push(problem.other(first.place.as_ref(), "the other one"));
}
