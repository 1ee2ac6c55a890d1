//! The configuration file from outside: golden cases, what is generated, and files that were damaged.
//!
//! | part | what is held |
//! | --- | --- |
//! | `golden/config/*.md` | a file, and what is said about it: its errors, or every value with its place |
//! | `docs/configuration.md` | the reference page, made of the description of the tables |
//! | the JSON Schema | that it is JSON, knows each key, and accepts what kolk accepts |
//! | damaged files | no panic, and every error within its file |
//!
//! `UPDATE=1 cargo test --test config` writes the answers and the page anew: read what has changed.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cases::Kinds;
use kolk::Configuration;
use kolk::config::{self, Errors, Origin};
use proptest::prelude::*;
use scratch::Scratch;

#[allow(dead_code, reason = "these cases are texts, without escapes")]
#[path = "golden/cases.rs"]
mod cases;
#[path = "config/damage.rs"]
mod damage;
#[path = "config/schema.rs"]
mod schema;
#[path = "support/scratch.rs"]
mod scratch;

const EXAMPLE: &str = include_str!("../packaging/kolk.toml");
/// What a file has at least.
const SITE: &str = "[[site]]\nhosts = \"*\"\nrespond = 404\n";

/// The variables of the golden cases.
fn environment(name: &str) -> Option<String> {
    let known = [("USER", "www"), ("PORT", "8080"), ("WORKERS", "2"), ("BRACES", "{x}")];
    known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// What is written in a golden case; its paths start from the folder of the crate.
fn parse(text: &str) -> Result<Configuration, Errors> {
    // The example has its files beside it.
    let name = if text == EXAMPLE { "packaging/kolk.toml" } else { "kolk.toml" };
    Configuration::parse_with(text, name, &environment)
}

/// The last case of `good.md`, in which every key stands.
fn every_key() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config/good.md");
    let cases = fs::read_to_string(path).unwrap();
    let (_, case) = cases.split_once("\n## every key\n\n```toml\n").unwrap();
    case.split_once("```").unwrap().0.to_owned()
}

#[test]
fn every_case() {
    let mut wrong = 0;
    let cases = cases::check("config", &Kinds { question: "toml", answer: "says" }, |title, text| {
        match parse(text) {
            Ok(configuration) => {
                // What is read without a complaint can be built; but files may stand for others, and then
                // still no routes tie that do not tie here.
                let stands_for_others = text == EXAMPLE || text.contains("README.md");
                let is_tie = |text: &str| text.contains("there already") || text.contains("same paths");
                let refused = configuration.app().err().map(|errors| errors.to_string());
                let wrong = refused.filter(|text| !stands_for_others || is_tie(text));
                assert_eq!(wrong, None, "{title}");
                configuration.dump()
            }
            Err(errors) => {
                wrong += 1;
                let text = errors.to_string();
                assert!(!text.contains('\u{1b}'), "{title}: colours that nobody asked for");
                assert!(errors.render(true).contains('\u{1b}'), "{title}: no colours");
                text + "\n"
            }
        }
    });
    assert!(wrong >= 200 && cases > wrong, "{wrong} of {cases}");
}

/// The conditions of a route, as a file says them; and whether they hold of a request with this method,
/// these values of `x-a` and `q`.
type Conditions = ([Option<&'static str>; 3], usize);

fn conditions() -> impl Strategy<Value = Conditions> {
    let methods = prop::sample::select(vec![None, Some("GET"), Some("HEAD"), Some("POST, GET"), Some("PUT")]);
    let value = || prop::sample::select(vec![None, Some("1"), Some("2"), Some("true"), Some("false")]);
    (methods, value(), value()).prop_map(|(methods, header, query)| {
        let all = [methods, header, query];
        (all, all.iter().flatten().count())
    })
}

fn fits((conditions, _): &Conditions, method: &str, sent: [Option<&str>; 2]) -> bool {
    let [methods, values @ ..] = conditions;
    let means = |own: &str| own == method || (own, method) == ("GET", "HEAD");
    methods.is_none_or(|methods| methods.split(", ").any(means))
        && values.iter().zip(sent).all(|(wanted, sent)| match *wanted {
            None => true,
            Some("true") => sent.is_some(),
            Some("false") => sent.is_none(),
            value => value == sent,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is no tie can be built, and has one winner for each request.
    #[test]
    fn of_routes_that_do_not_tie_the_one_with_the_most_conditions_answers(
        routes in prop::collection::vec(conditions(), 2..5),
    ) {
        let mut text = "[[site]]\nhosts = \"*\"\n".to_owned();
        for (number, ([methods, header, query], _)) in routes.iter().enumerate() {
            let quoted = |value: &str| match value {
                "true" | "false" => value.to_owned(),
                value => format!("\"{value}\""),
            };
            text += "[[site.route]]\npath = \"/a\"\n";
            let methods = methods.map(|methods| methods.replace(", ", "\", \""));
            text += &methods.map(|methods| format!("methods = [\"{methods}\"]\n")).unwrap_or_default();
            text += &header.map(|value| format!("header = {{ x-a = {} }}\n", quoted(value))).unwrap_or_default();
            text += &query.map(|value| format!("query = {{ q = {} }}\n", quoted(value))).unwrap_or_default();
            text += &format!("respond = {}\n", 200 + number);
        }
        let Ok(configuration) = parse(&text) else { return Ok(()) };
        let app = configuration.app().unwrap_or_else(|errors| panic!("{errors}"));
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            for values in [[None, None], [Some("1"), None], [Some("2"), Some("1")], [None, Some("1")], [Some("1"); 2]] {
                let fitting: Vec<_> =
                    routes.iter().enumerate().filter(|(_, route)| fits(route, method, values)).collect();
                let most = fitting.iter().map(|(_, (_, count))| *count).max();
                let mut winners = fitting.iter().filter(|(_, (_, count))| Some(*count) == most);
                let winner = winners.next().map(|(number, _)| 200 + *number);
                prop_assert!(winners.next().is_none(), "a tie: {method} {values:?}\n{text}");
                let query = values[1].map(|value| format!("?q={value}")).unwrap_or_default();
                let request = http::Request::builder().method(method).uri(format!("/a{query}"));
                let request = values[0].into_iter().fold(request, |request, value| request.header("x-a", value));
                let status = usize::from(app.oneshot(request.body("").unwrap()).status().as_u16());
                prop_assert_eq!(Some(status).filter(|status| *status < 400), winner, "{} {:?}\n{}", method, values, text);
            }
        }
    }
}

#[test]
fn a_dump_is_a_file_that_means_the_same() {
    let values = |dump: &str| -> Vec<String> {
        let value =
            |line: &str| line.rsplit_once(" # ").map_or(line, |(value, _)| value).trim_end().to_owned();
        dump.lines().map(value).collect()
    };
    // The braces of its text are not those of a variable.
    let braces = "[[site]]\nhosts = \"*\"\n[[site.route]]\npath = \"/{{env:USER}}\"\n\
                  header = { x-a = \"{{{env:USER}}\" }\nredirect = \"/{{env:USER}}/{env:BRACES}\"\n\
                  [[site.route]]\npath = \"/b\"\nrespond = { text = \"{{env:USER} {{{{env:USER} {{a}}\" }\n";
    let shown = parse(braces).unwrap().dump();
    for line in [
        "path = \"/{{env:USER}}\"",
        "header = { \"x-a\" = \"{www}\" }",
        "to = \"/{{env:USER}}/{{x}}\"",
        "text = \"{{env:USER} {{{{env:USER} {{a}}\"",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    for text in [SITE, EXAMPLE, &every_key(), braces] {
        let dump = parse(text).unwrap().dump();
        let again = parse(&dump).unwrap_or_else(|errors| panic!("{errors}\n{dump}")).dump();
        assert_eq!(values(&dump), values(&again));
    }
}

#[test]
fn the_example_is_fine() {
    let configuration = parse(EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(configuration.site.len() >= 2);
}

/// Sections and keys of the reference page: `("[server.limits]", "body")`.
fn keys_of_the_page() -> Vec<(String, String)> {
    let page = config::reference();
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.trim_matches('`').clone_into(&mut section);
        } else if let Some(rest) = line.strip_prefix("| `") {
            keys.push((section.clone(), rest.split('`').next().unwrap().to_owned()));
        }
    }
    assert!(keys.len() > 120, "{} keys", keys.len());
    keys
}

/// Every value of the case with every key comes from the file at least once.
#[test]
fn every_key_stands_in_a_good_case() {
    let dump = parse(&every_key()).unwrap().dump();
    // `server.limits.body`; tables have a path of their own.
    let mut told = BTreeSet::from(["include".to_owned()]);
    let mut heading = String::new();
    for line in dump.lines() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut heading);
            told.insert(heading.clone());
        } else if line.contains("# kolk.toml:") {
            let key = line.split(" = ").next().unwrap();
            told.insert(if heading.is_empty() { key.to_owned() } else { format!("{heading}.{key}") });
        }
    }
    let missing: Vec<_> = keys_of_the_page()
        .into_iter()
        .filter(|(section, key)| !told.iter().any(|path| is_key_of(path, section, key)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Whether the path is that of a key of the section: `rate.api.burst` of `[rate.NAME]` and `burst`. Sections
/// such as `[static]` stand below several tables.
fn is_key_of(path: &str, section: &str, key: &str) -> bool {
    let section = section.trim_matches(['[', ']']);
    let wanted: Vec<&str> = match section {
        "At the top" => vec![key],
        _ => section.split('.').chain([key]).collect(),
    };
    let path: Vec<&str> = path.split('.').collect();
    // A table that is a key, or one of the tables that are named below it.
    [path.as_slice(), &path[..path.len() - 1]].iter().any(|path| {
        let tail = path.len().checked_sub(wanted.len()).map(|start| &path[start..]);
        tail.is_some_and(|tail| tail.iter().zip(&wanted).all(|(is, want)| is == want || *want == "NAME"))
    })
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = config::reference();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/configuration.md is old: UPDATE=1 cargo test --test config");
}

#[test]
fn the_schema_is_json_and_has_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    let mut names = BTreeSet::new();
    properties(&schema, &mut names);
    for (section, key) in keys_of_the_page() {
        assert!(names.contains(&key), "{section} {key}");
    }
    for later in ["upstream", "proxy", "acme"] {
        assert!(!names.contains(later), "{later} would be completed and then refused");
    }
}

fn properties(value: &serde_json::Value, names: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            if let Some(serde_json::Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().cloned());
                // A description says what each is for.
                assert!(properties.values().all(|property| property.get("description").is_some()));
            }
            members.values().for_each(|member| properties(member, names));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| properties(item, names)),
        _ => {}
    }
}

#[test]
fn values_know_their_places() {
    let text = format!("[server]\nuser = \"{{env:USER}}\"\n[server.limits]\nbody = \"1MiB\"\n{SITE}");
    let configuration = parse(&text).unwrap();
    let body = &configuration.server.limits.body;
    assert_eq!(body.value.0, 1 << 20);
    let place = body.place().unwrap();
    assert_eq!((place.to_string(), place.line(), place.column()), ("kolk.toml:4:8".to_owned(), 4, 8));
    assert_eq!(body.origin.to_string(), "kolk.toml:4");
    let user = configuration.server.user.as_ref().unwrap();
    assert_eq!(user.value.0, "www");
    assert_eq!(user.origin.to_string(), "USER of the environment, kolk.toml:2");
    assert!(matches!(configuration.server.pin.origin, Origin::Default));
}

/// Whoever looks for a wrong value finds the variable that it comes from.
#[test]
fn what_is_in_a_list_or_a_table_has_its_variables_told() {
    let text = "[[site]]\nhosts = [\"{env:USER}\", \"x\", \"{env:USER}.x\"]\nheaders = \"h\"\n\
                deny = [\"10.{env:WORKERS}.0.0/16\"]\n[[site.route]]\npath = \"/\"\n\
                header = { x-a = \"{env:USER}\" }\nrespond = 200\n\
                [headers.h.add]\nx-b = [\"{env:PORT}\", \"{env:USER}\"]\n";
    let dump = parse(text).unwrap().dump();
    for (line, origin) in [
        ("hosts = ", "USER of the environment, kolk.toml:2"),
        ("deny = ", "WORKERS of the environment, kolk.toml:4"),
        ("header = ", "USER of the environment, kolk.toml:7"),
        ("add = ", "PORT, USER of the environment, kolk.toml:9"),
        ("headers = ", "# kolk.toml:3"),
    ] {
        let mut found = dump.lines().filter(|found| found.starts_with(line));
        assert!(found.any(|found| found.ends_with(origin)), "{line}{origin}\n{dump}");
    }
}

/// Whoever says nothing gets the same from the library and from a file.
#[test]
fn the_defaults_are_those_of_the_library() {
    let of_file = parse(SITE).unwrap();
    let of_library = kolk::Config::default();
    let (file, library) = (&of_file.server.timeouts, &of_library.timeouts);
    assert_eq!(file.tls_handshake.value, library.handshake);
    assert_eq!(file.header.value, library.header);
    assert_eq!(file.keepalive.value, library.keepalive);
    assert_eq!(file.body_idle.value, library.body);
    assert_eq!(file.body_min_rate.value.0, library.body_rate_bytes_min);
    assert_eq!(file.write_stall.value, library.write);
    assert_eq!(file.write_min_rate.value.0, library.write_rate_bytes_min);
    assert_eq!(file.linger.value, library.linger);
    let (file, library) = (&of_file.server.limits, &of_library.limits);
    assert_eq!(file.request_line.value.0, u64::from(library.http1.request_line_bytes_max));
    assert_eq!(file.headers.value.0, u64::from(library.http1.head_bytes_max));
    assert_eq!(file.header_count.get(), u32::from(library.http1.fields_max));
    assert_eq!(file.body.value.0, library.body_bytes_max);
    assert_eq!(file.bodies.value.0, library.bodies_bytes_max);
    let server = &of_file.server;
    assert_eq!(server.blocking_threads.get() as usize, of_library.blocking_threads);
    assert_eq!(server.blocking_queue.value as usize, of_library.blocking_queue_max);
    assert_eq!(server.pin.value, of_library.pin);
    let name = server.server_name.0.as_ref().map(|name| name.to_str().unwrap().to_owned());
    assert_eq!(name, of_library.server_name);
    let listening = parse(&format!("[[listen]]\naddr = \":0\"\n{SITE}")).unwrap();
    assert_eq!(listening.listen[0].backlog.get(), of_library.backlog);
}

/// What is checked is what the accessors rely on.
#[test]
fn tables_say_what_they_mean_in_one_word() {
    use kolk::config::{Action, Content, JwtKeys, Rewriting, Scheme};

    let configuration = parse(&every_key()).unwrap();
    let scheme = |name: &str| configuration.auth[name].scheme().unwrap();
    assert!(matches!(scheme("staff"), Scheme::Basic { file } if file == Path::new("README.md")));
    assert!(matches!(scheme("robots"), Scheme::Bearer { .. }));
    assert!(matches!(scheme("partners"), Scheme::Jwt { keys: JwtKeys::Set(_), issuer: Some(_), .. }));
    assert!(matches!(scheme("friends"), Scheme::Jwt { keys: JwtKeys::Secret(_), audience: [], .. }));
    assert!(matches!(scheme("machines"), Scheme::Mtls { subjects: [_, _, _, _] }));
    let site = &configuration.site[0];
    assert!(site.route.iter().all(|route| route.action().is_some()));
    assert!(matches!(site.action(), Some(Action::Redirect(_))));
    for route in &site.route {
        match route.action().unwrap() {
            Action::Rewrite(rewrite) => match rewrite.rewriting().unwrap() {
                Rewriting::Strip(prefix) => assert_eq!(prefix, "/api"),
                Rewriting::Replace { regex, to } => {
                    assert!(regex.unwrap().0.is_match("/user/12"));
                    assert_eq!(to.names().collect::<Vec<_>>(), ["id", "1"]);
                }
            },
            Action::Respond(respond) => assert!(!matches!(respond.content(), Content::Nothing)),
            Action::Static(_) | Action::Redirect(_) => {}
        }
    }
    let conditions: Vec<usize> = site.route.iter().map(|route| route.conditions()).collect();
    assert_eq!(conditions[..2], [0, 6]);
}

#[test]
fn nothing_in_a_file_speaks_to_the_terminal() {
    for text in ["user = \"\u{1b}[31m\"\n", "[server]\nuser = \"\\u001b[31m\"\n", "\"\\u001b[2J\" = 1\n"] {
        let errors = parse(text).unwrap_err().to_string();
        assert!(!errors.contains('\u{1b}'), "{errors:?}");
    }
}

#[test]
fn editors_find_nothing_wrong_with_what_is_fine() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    let complaints = |text: &str| schema::complaints(&schema, &schema::json(text));
    let variables = "[server]\nworkers = \"{env:WORKERS}\"\n[log]\nlevel = \"{env:LEVEL}\"\n";
    let short = "[log.access]\nmain = \"stdout\"\n[[site]]\nhosts = \"*\"\nerror_pages = { 404 = \"/a\", 5xx = \"/b\" }\n";
    for text in ["", EXAMPLE, variables, short, &every_key(), &parse(&every_key()).unwrap().dump()] {
        assert_eq!(complaints(text), Vec::<String>::new());
    }
    for (text, expected) in [
        ("[server]\nwrkers = 1\n", "server.wrkers: unknown"),
        ("[server]\nworkers = 0\n", "server.workers: no alternative"),
        ("[server]\npin = \"yes\"\n", "server.pin: not a boolean"),
        ("[[listen]]\n", "listen.0: `addr` is missing"),
        ("[tls]\nmin_version = \"1.1\"\n", "tls.min_version: no alternative"),
        ("[log.access]\nmain = 1\n", "log.access.main: no alternative"),
        (
            "[[site]]\nhosts = \"*\"\nerror_pages = { 200 = \"/a\" }\n",
            "site.0.error_pages.200: not such a name",
        ),
        (
            "[[site]]\nhosts = \"*\"\nredirect = { to = \"/a\", status = 304 }\n",
            "site.0.redirect.status: none of the words",
        ),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
}

/// A folder with these files.
fn folder(name: &str, files: &[(&str, &str)]) -> Scratch {
    let scratch = Scratch::new(name);
    for (file, text) in files {
        let path = scratch.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    scratch
}

/// What is wrong, without the name of the folder.
fn refusal(scratch: &Scratch) -> String {
    let errors = config::load(scratch.join("kolk.toml")).unwrap_err().to_string();
    errors.replace(scratch.to_str().unwrap(), "DIR")
}

#[test]
fn included_files_are_one_with_the_first() {
    let site = |host: &str| {
        format!(
            "[[site]]\nhosts = \"{host}\"\n[[site.route]]\npath = \"/\"\nstatic = \"www\"\nheaders = \"all\"\n\
             [log.access.{}]\nto = \"{}.log\"\n",
            &host[..1],
            &host[..1]
        )
    };
    let dir = folder(
        "config-include",
        &[
            ("kolk.toml", "include = [\"sites/*.toml\", \"headers.toml\"]\n[server]\npin = true\n"),
            ("headers.toml", "schema = 1\n[headers.all]\nremove = \"server\"\n[server.limits]\nbody = 1\n"),
            ("sites/a.toml", &site("a.example")),
            ("sites/b.toml", &site("b.example")),
            ("sites/.hidden.toml", "nonsense"),
            ("sites/notes.txt", "nonsense"),
            ("sites/www/index.html", ""),
        ],
    );
    let configuration = config::load(dir.join("kolk.toml")).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(configuration.files().len(), 4);
    assert_eq!(configuration.site.len(), 2);
    assert_eq!(configuration.log.access.len(), 2);
    assert_eq!(configuration.server.limits.body.value.0, 1);
    // Relative to the file that says it.
    let root = &configuration.site[0].route[0].files.as_ref().unwrap().root;
    assert_eq!(root.value.0, dir.join("sites/www"));
    assert_eq!(root.place().unwrap().file(), dir.join("sites/a.toml"));
}

#[test]
fn files_that_include_each_other_are_refused() {
    for (name, files, expected) in [
        (
            "config-itself",
            &[("kolk.toml", "include = \"kolk.toml\"\n")][..],
            "error: DIR/kolk.toml includes itself\n --> DIR/kolk.toml:1:11\n  |\n\
             1 | include = \"kolk.toml\"\n  |           ^^^^^^^^^^^",
        ),
        (
            "config-cycle",
            &[("kolk.toml", "include = \"a.toml\"\n"), ("a.toml", "include = [\"kolk.toml\"]\n")],
            "error: DIR/kolk.toml includes itself\n --> DIR/a.toml:1:12\n  |\n\
             1 | include = [\"kolk.toml\"]\n  |            ^^^^^^^^^^^",
        ),
        (
            "config-twice",
            &[("kolk.toml", "include = [\"a.toml\", \"*.toml\"]\n"), ("a.toml", "")],
            "error: DIR/kolk.toml includes itself\n --> DIR/kolk.toml:1:22\n  |\n\
             1 | include = [\"a.toml\", \"*.toml\"]\n  |                      ^^^^^^^^\n\n\
             error: DIR/a.toml is included twice\n --> DIR/kolk.toml:1:22\n  |\n\
             1 | include = [\"a.toml\", \"*.toml\"]\n  |                      ^^^^^^^^",
        ),
    ] {
        let dir = folder(name, files);
        let (refusal, mut expected): (Vec<_>, Vec<_>) =
            (refusal(&dir).split("\n\n").map(str::to_owned).collect(), expected.split("\n\n").collect());
        let mut refusal: Vec<&str> = refusal.iter().map(String::as_str).collect();
        // A folder lists its files in any order.
        refusal.sort_unstable();
        expected.sort_unstable();
        assert_eq!(refusal, expected, "{name}");
    }
}

#[test]
fn what_two_files_say_of_one_thing_is_shown_in_both() {
    let dir = folder(
        "config-merge",
        &[
            ("kolk.toml", "include = [\"a.toml\"]\n[server]\npin = true\n[rate.api]\nrate = \"5/m\"\n"),
            ("a.toml", "[server]\npin = false\n[rate.api]\nrate = \"6/m\"\n"),
        ],
    );
    assert_eq!(
        refusal(&dir),
        "error: `pin` is there twice\n --> DIR/a.toml:2:1\n  |\n2 | pin = false\n  | ^^^\n  |\n \
         ::: DIR/kolk.toml:3:1\n  |\n3 | pin = true\n  | --- here, too\n\n\
         error: `api` is there twice\n --> DIR/a.toml:3:7\n  |\n3 | [rate.api]\n  |       ^^^\n  |\n \
         ::: DIR/kolk.toml:4:7\n  |\n4 | [rate.api]\n  |       --- here, too"
    );
}

#[test]
fn a_route_in_a_file_without_its_site_is_told_so() {
    let route = "[[site.route]]\npath = \"/\"\nrespond = 204\n";
    let first = format!("include = \"a.toml\"\n{SITE}");
    let dir = folder("config-stray", &[("kolk.toml", &first), ("a.toml", route)]);
    let told = "error: [[site.route]] without a [[site]] before it in this file\n --> DIR/a.toml:1:8\n  |\n\
                1 | [[site.route]]\n  |        ^^^^^";
    assert_eq!(refusal(&dir), told);
}

#[test]
fn an_error_in_an_included_file_is_shown_there() {
    let dir = folder(
        "config-inner",
        &[("kolk.toml", "include = \"a.toml\"\nsever = 1\n"), ("a.toml", "[server]\npni = true\n")],
    );
    let refusal = refusal(&dir);
    assert!(refusal.contains("--> DIR/a.toml:2:1") && refusal.contains("--> DIR/kolk.toml:2:1"), "{refusal}");
}

#[test]
fn what_is_wrong_beside_an_include_is_told_all_the_same() {
    let dir = folder(
        "config-beside",
        &[
            ("kolk.toml", "include = [\"a.toml\", \"b.toml\"]\n[server]\npni = true\n"),
            ("a.toml", "schema = 2\n[[site]]\nhosts = \"a.example\"\nauth = \"staff\"\nrespond = 404\n"),
        ],
    );
    let refusal = refusal(&dir);
    let told: Vec<&str> = refusal.lines().filter(|line| line.starts_with("error: ")).collect();
    // Not that there is no [auth.staff]: it might be in b.toml.
    assert_eq!(
        told,
        [
            "error: this kolk knows schema 1, and the file is of schema 2",
            "error: cannot read DIR/b.toml: there is no such file",
            "error: unknown key `pni` in [server]",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let errors = config::load("nowhere/kolk.toml").unwrap_err();
    assert_eq!(errors.to_string(), "error: cannot read nowhere/kolk.toml: there is no such file");
    let dir = Scratch::new("config-bytes");
    fs::write(dir.join("kolk.toml"), b"a = \"\xff\"\n").unwrap();
    assert!(
        refusal(&dir)
            .starts_with("error: cannot read DIR/kolk.toml: it is not UTF-8\n --> DIR/kolk.toml:1:6\n")
    );
    fs::write(dir.join("kolk.toml"), b"\xef\xbb\xbfa = 1\nb = \"\xff\"\n").unwrap();
    assert!(refusal(&dir).contains(" --> DIR/kolk.toml:2:6\n"), "{}", refusal(&dir));
    fs::write(dir.join("kolk.toml"), b"\xef\xbb\xbfa = 1\n").unwrap();
    assert!(refusal(&dir).contains(" --> DIR/kolk.toml:1:1\n"), "{}", refusal(&dir));
    let first = format!("include = \"a.toml\"\n{SITE}");
    let deep = format!("a{} = 1\n", ".a".repeat(200));
    let dir = folder("config-deep", &[("kolk.toml", &first), ("a.toml", &deep)]);
    assert!(refusal(&dir).contains(" --> DIR/a.toml:1:1\n"), "{}", refusal(&dir));
}

#[test]
fn damaged_files_never_panic_and_their_errors_lie_within() {
    std::thread::scope(|scope| {
        for (first, text) in (0..).zip([every_key(), EXAMPLE.to_owned()]) {
            let seeds = (first..1_500).step_by(2);
            scope.spawn(move || seeds.for_each(|seed| its_errors_lie_within(&text, seed)));
        }
    });
}

fn its_errors_lie_within(text: &str, seed: u64) {
    let text = damage::damaged(text, seed);
    let Err(errors) = parse(&text) else { return };
    assert!(!errors.problems().is_empty(), "seed {seed}");
    for problem in errors.problems() {
        assert!(!problem.message().is_empty() && !problem.message().contains('\n'), "seed {seed}");
        let place = problem.place().unwrap_or_else(|| panic!("seed {seed}: {}", problem.message()));
        // Damage may make it include another file.
        let text = place.content();
        let lines = text.split('\n').count();
        assert!(place.span().end <= text.len() && place.line() <= lines, "seed {seed}: {place}");
        let line = text.split('\n').nth(place.line() - 1).unwrap();
        assert!(place.column() <= line.chars().count() + 1, "seed {seed}: {place}");
        assert!(text.is_char_boundary(place.span().start), "seed {seed}: {place}");
    }
    assert!(errors.to_string().contains("error: "), "seed {seed}");
}
