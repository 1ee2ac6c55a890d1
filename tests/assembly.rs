//! A CONFIGURATION AS A SERVER: what each table does to requests, without a socket; and one server on a
//! socket.
//!
//! What is wrong with files, `config` asks.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;

use bytes::Bytes;
use kolk::access_log::{Destination, Format};
use kolk::app::RateVerdict;
use kolk::{App, Configuration, ListenAddr};
use rustls::version::{TLS12, TLS13};

use identity::Identity;
use support::configured::{configuration, serve, server_of};
use support::scratch::Scratch;
use support::{Client, PATIENCE, address, start};

const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

/// `{"alg":"HS256","kid":"1"}` and these claims, signed with 32 times `k`: `{"sub":"ada","exp":9999999999}`,
/// `{"sub":"ada","exp":1}`, `{"exp":9999999999}`, `{"sub":"ada"}`.
#[cfg(feature = "jwt")]
const TOKENS: [&str; 4] = [
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.frnS7RPyJdp1ZciuajCm-Q6BOnj_Yt1FjsYq7Ektr3s",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhZGEiLCJleHAiOjF9.btXjRjIYBSt78zCpcqarPaAcRnor1BvJefstF0sKt98",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJleHAiOjk5OTk5OTk5OTl9.-cqeXSJPW9KRaG2JPdbLB7HY1Dh3tvSXckXqIOEp_VY",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhZGEifQ.4S4HzsM7Q89E4D6WDs-Ml-34mlS5K8gIUXfarKkhgg0",
];

/// The app that `text` describes, in the folder of `files`.
fn app(files: &Scratch, text: &str) -> App {
    configuration(files, text).app().unwrap_or_else(|errors| panic!("{errors}"))
}

/// Status and body of the answer.
fn get(app: &App, uri: &str) -> (u16, String) {
    told(&ask(app, "GET", uri, &[]))
}

fn ask(app: &App, method: &str, uri: &str, fields: &[(&str, &str)]) -> http::Response<Bytes> {
    let request = http::Request::builder().method(method).uri(uri);
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.oneshot(request.body("").unwrap())
}

fn told(answer: &http::Response<Bytes>) -> (u16, String) {
    (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
}

#[test]
fn a_host_has_its_site_and_the_most_specific_route_answers() {
    let files = Scratch::new("assembly-sites");
    files.put("www/index.html", "front page");
    files.put("www/assets/a.css", "style");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["example.com", "*.example.com"]
        [[site.route]]
        path = "/{*file}"
        static = "www"
        [[site.route]]
        path = "/css/{*name}"
        static = { root = "www/assets", cache_control = { "*.css" = "max-age=60" } }
        [[site.route]]
        path = "/users/{id}"
        respond = { text = "somebody", type = "text/x-name" }
        [[site.route]]
        path = "/users/me"
        methods = ["PUT", "DELETE"]
        respond = 204
        [[site.route]]
        path = "/form"
        methods = "POST"
        respond = 204
        [[site]]
        hosts = ["*"]
        respond = { status = 404, text = "no such site" }
        "#,
    );
    for (uri, status, body) in [
        ("http://example.com/", 200, "front page"),
        ("http://www.example.com/assets/a.css", 200, "style"),
        ("http://example.com/css/a.css", 200, "style"),
        ("http://example.com/users/7", 200, "somebody"),
        ("http://example.org/users/7", 404, "no such site"),
    ] {
        assert_eq!(get(&app, uri), (status, body.to_owned()), "{uri}");
    }
    let answer = ask(&app, "GET", "http://example.com/css/a.css", &[]);
    assert_eq!(answer.headers()["cache-control"], "max-age=60");
    assert_eq!(ask(&app, "GET", "http://example.com/users/7", &[]).headers()["content-type"], "text/x-name");
    assert_eq!(ask(&app, "PUT", "http://example.com/users/me", &[]).status(), 204);
    assert_eq!(get(&app, "http://example.com/users/me"), (200, "somebody".into()), "with another method");
    let answer = ask(&app, "PUT", "http://example.com/form", &[]);
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"POST, OPTIONS".parse().unwrap())
    );
    assert_eq!(ask(&app, "POST", "http://example.com/css/a.css", &[]).status(), 405, "files are read");
}

#[test]
fn the_example_of_the_readme_serves() {
    let files = Scratch::new("assembly-readme");
    files.put("www/index.html", "front page");
    files.put("www/404.html", "nothing here");
    let (_, example) = include_str!("../README.md").split_once("```toml\n").unwrap();
    let app = app(&files, example.split_once("```").unwrap().0);
    assert_eq!(get(&app, "http://example.com/"), (200, "front page".into()));
    assert_eq!(get(&app, "http://a.example.com/x"), (404, "nothing here".into()));
    assert_eq!(get(&app, "http://example.com/api/x"), (200, "soon\n".into()));
    let answer = ask(&app, "GET", "http://www.example.com/a?b=c", &[]);
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (301, &"https://example.com/a?b=c".parse().unwrap())
    );
}

#[test]
fn what_a_route_says_of_time_is_in_its_rule() {
    let files = Scratch::new("assembly-timeouts");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/"
        timeouts = { handler = "2s", body_idle = "500ms", body_min_rate = "1KiB/s", write_stall = "3s" }
        respond = 200
        [[site.route]]
        path = "/usual"
        respond = 200
        "#,
    );
    let [own, usual] = [0, 1].map(|at| app.routes()[at].rule().timeouts.to_string());
    assert_eq!((&*own, &*usual), ("handler 2s, body 500ms, body_rate 1024B/s, write 3s", ""));
}

/// And a changed file changes it for what comes from then on.
#[test]
fn what_the_server_says_of_handlers_holds_where_a_route_says_nothing() {
    let files = Scratch::new("assembly-timeouts-server");
    let file = |handler: &str| {
        let text = format!(
            "[server]\nworkers = 1\n{handler}\n[[listen]]\naddr = \"127.0.0.1:0\"\n\
             [[site]]\nhosts = [\"*\"]\nrespond = 404\n\
             [[site.route]]\npath = \"/own\"\ntimeouts = {{ handler = \"2s\" }}\nrespond = 200\n\
             [[site.route]]\npath = \"/part\"\ntimeouts = {{ body_idle = \"3s\" }}\nrespond = 200\n\
             [[site.route]]\npath = \"/usual\"\nrespond = 200\n\
             [[site.route]]\npath = \"/first\"\nrate = [\"slow\"]\nrespond = 200\n\
             [rate.slow]\nrate = \"1/d\"\nmode = \"delay\"\ndelay_max = \"2h\"\n"
        );
        Configuration::parse(&text, files.join("kolk.toml")).unwrap()
    };
    let (without, with) = (file(""), file("timeouts.handler = \"9s\""));
    let told = |configuration: &Configuration| {
        let app = configuration.app().unwrap();
        app.routes().iter().map(|route| route.rule().timeouts.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(&without)[..3], ["handler 2s", "body 3s", ""]);
    assert_eq!(told(&with)[..3], ["handler 2s", "handler 9s, body 3s", "handler 9s"]);
    let explained = |path: &str| {
        let request = http::Request::get(path).body(()).unwrap();
        let steps = with.explain(request, Ipv4Addr::LOCALHOST.into()).unwrap();
        let step = steps.steps().iter().find(|step| step.topic() == "timeouts").cloned().unwrap();
        (step.text().to_owned(), step.place().unwrap_or_default().rsplit('/').next().unwrap().to_owned())
    };
    assert_eq!(explained("/usual"), ("handler 9s".to_owned(), "kolk.toml:3".to_owned()));
    assert_eq!(explained("/own"), ("handler 2s".to_owned(), "kolk.toml:11".to_owned()));
    assert_eq!(explained("/nowhere").0, "handler 9s");
}

#[test]
fn conditions_choose_among_routes_of_one_path() {
    let files = Scratch::new("assembly-conditions");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/"
        respond = { text = "plain" }
        [[site.route]]
        path = "/"
        header = { x-ring = "beta" }
        respond = { text = "beta" }
        [[site.route]]
        path = "/"
        header = { x-ring = "beta" }
        query = { debug = true }
        respond = { text = "debug" }
        "#,
    );
    for (uri, fields, body) in [
        ("/", &[][..], "plain"),
        ("/?debug", &[], "plain"),
        ("/", &[("x-ring", "beta")], "beta"),
        ("/?debug", &[("x-ring", "beta")], "debug"),
    ] {
        assert_eq!(told(&ask(&app, "GET", uri, fields)).1, body, "{uri} {fields:?}");
    }
}

#[test]
fn of_one_path_the_number_of_conditions_counts() {
    let files = Scratch::new("assembly-number");
    files.put("www/a", "file");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/a"
        methods = "GET"
        respond = { text = "get" }
        [[site.route]]
        path = "/a"
        header = { x-a = "1" }
        query = { q = "1" }
        respond = { text = "two" }
        [[site.route]]
        path = "/x"
        header = { x-version = "1" }
        respond = { text = "one" }
        [[site.route]]
        path = "/x"
        header = { x-version = "2" }
        respond = { text = "two" }
        [[site.route]]
        path = "/files/{*name}"
        static = "www"
        [[site.route]]
        path = "/files/{*name}"
        header = { x-a = "1" }
        respond = { text = "no file" }
        "#,
    );
    for (uri, fields, body) in [
        ("/a", &[][..], "get"),
        ("/a", &[("x-a", "1")], "get"),
        ("/a?q=1", &[("x-a", "1")], "two"),
        ("/x", &[("x-version", "1")], "one"),
        ("/x", &[("x-version", "2"), ("x-version", "1")], "two"),
        ("/files/a", &[], "file"),
        ("/files/a", &[("x-a", "1")], "no file"),
    ] {
        assert_eq!(told(&ask(&app, "GET", uri, fields)).1, body, "{uri} {fields:?}");
    }
    assert_eq!(get(&app, "/x").0, 404);
}

#[test]
fn a_route_that_does_not_fit_is_passed_over() {
    let routes = r#"
        [[site.route]]
        path = "/login"
        methods = "POST"
        respond = { text = "login" }
        [[site.route]]
        path = "/beta/{*x}"
        header = { x-beta = "1" }
        respond = { text = "beta" }
        [[site.route]]
        path = "/in"
        client = "10.0.0.0/8"
        respond = { text = "in" }
        "#;
    let files = Scratch::new("assembly-passed-over");
    let site = "[[site]]\nhosts = \"*\"\n";
    let all = "[[site.route]]\npath = \"/{*all}\"\nrespond = { text = \"rest\" }\n";
    let with_route = app(&files, &format!("{site}{routes}{all}"));
    // What a site itself says is asked as a route for everything would be.
    let with_action = app(&files, &format!("{site}respond = {{ text = \"rest\" }}\n{routes}"));
    for app in [with_route, with_action] {
        for (method, uri, fields, body) in [
            ("POST", "/login", &[][..], "login"),
            ("GET", "/login", &[], "rest"),
            ("BREW", "/login", &[], "rest"),
            ("GET", "/beta/1", &[("x-beta", "1")], "beta"),
            ("GET", "/beta/1", &[], "rest"),
            ("GET", "/in", &[], "rest"),
            ("GET", "/elsewhere", &[], "rest"),
            ("BREW", "/elsewhere", &[], "rest"),
        ] {
            assert_eq!(told(&ask(&app, method, uri, fields)), (200, body.to_owned()), "{method} {uri}");
        }
        let options = ask(&app, "OPTIONS", "/login", &[]);
        assert_eq!(options.headers()["allow"], "POST, OPTIONS");
        assert_eq!(ask(&app, "TRACE", "/login", &[]).status(), 405);
    }
    let alone = app(&files, &format!("{site}{routes}"));
    for (uri, status) in [("/login", 405), ("/beta/1", 404), ("/in", 404)] {
        assert_eq!(get(&alone, uri).0, status, "{uri}");
    }
}

#[test]
fn who_may_come_in_is_said_by_the_site_and_by_the_route_instead() {
    let files = Scratch::new("assembly-auth");
    files.put("staff.htpasswd", format!("ada:{HASH}\n"));
    let app = app(
        &files,
        r#"
        [auth.staff]
        kind = "basic"
        file = "staff.htpasswd"
        realm = "Staff"
        [[site]]
        hosts = ["*"]
        auth = "staff"
        [[site.route]]
        path = "/"
        respond = { text = "in" }
        [[site.route]]
        path = "/open"
        auth = ""
        respond = { text = "open" }
        "#,
    );
    let key = ("authorization", "Basic YWRhOnBhc3N3b3Jk");
    assert_eq!(
        ask(&app, "GET", "/", &[]).headers()["www-authenticate"],
        r#"Basic realm="Staff", charset="UTF-8""#
    );
    assert_eq!(told(&ask(&app, "GET", "/", &[key])), (200, "in".to_owned()));
    assert_eq!(get(&app, "/open").1, "open");
    assert_eq!(get(&app, "/nowhere").0, 401, "nobody learns what there is");
    assert_eq!(told(&ask(&app, "GET", "/nowhere", &[key])).0, 404);
}

/// And says why it is not enough.
#[test]
fn every_kind_of_proof_of_a_file_asks_for_itself() {
    let files = Scratch::new("assembly-proofs");
    // Made by `htpasswd` (Apache 2.4.68): -B -C 4, of "correct horse".
    files.put("users", "ada:$2y$04$vad9ZIL/CzQHKqS4bqk/3usZ9meXiKvBk663AT9GpWf49O/yWzNJC\n");
    let token = kolk::Token::random().unwrap();
    files.put("tokens", token.line("ci"));
    let app = app(
        &files,
        r#"
        [auth.staff]
        kind = "basic"
        file = "users"
        realm = "Staff"
        [auth.robots]
        kind = "bearer"
        tokens = "tokens"
        realm = "Robots"
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/staff"
        auth = "staff"
        respond = { text = "in" }
        [[site.route]]
        path = "/robots"
        auth = "robots"
        respond = { text = "in" }
        [[site.route]]
        path = "/near"
        allow = ["10.0.0.0/8"]
        auth = "staff"
        respond = { text = "in" }
        "#,
    );
    let (basic, bearer) = (r#"Basic realm="Staff", charset="UTF-8""#, r#"Bearer realm="Robots""#);
    let unknown = format!(r#"{bearer}, error="invalid_token""#);
    let right = ["Basic YWRhOmNvcnJlY3QgaG9yc2U=".to_owned(), format!("Bearer {}", token.reveal())];
    for (path, shown, status, challenge, reason) in [
        ("/staff", "", 401, basic, "handler.unauthorized"),
        ("/staff", "Basic YWRhOndyb25n", 401, basic, "handler.unauthorized"),
        ("/staff", &right[1], 401, basic, "handler.unauthorized"),
        ("/staff", &right[0], 200, "", "in"),
        ("/robots", "", 401, bearer, "handler.token_missing"),
        ("/robots", "Bearer kolk_wrong", 401, &unknown, "handler.token_unknown"),
        ("/robots", &right[0], 401, bearer, "handler.token_missing"),
        ("/robots", &right[1], 200, "", "in"),
        // Where it is asked from comes first, and no proof helps.
        ("/near", &right[0], 403, "", "limit.client_unknown"),
    ] {
        let field = [("authorization", shown)];
        let answer = ask(&app, "GET", path, if shown.is_empty() { &[] } else { &field });
        let asked = answer.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), asked), (status, challenge), "{path} {shown}");
        let (_, text) = told(&answer);
        assert!(text.contains(reason), "{path} {shown}: {text}");
    }
}

#[cfg(feature = "jwt")]
#[test]
fn of_a_set_of_keys_those_count_that_are_for_the_algorithms_of_the_file() {
    let files = Scratch::new("assembly-jwt");
    // Both of 32 times `k`; one says what it is for.
    let secret = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s";
    files.put(
        "keys.json",
        format!(r#"{{ "keys": [{{ "kty": "oct", "alg": "HS256", "kid": "1", "k": "{secret}" }}] }}"#),
    );
    files.put("bare.json", format!(r#"{{ "keys": [{{ "kty": "oct", "kid": "1", "k": "{secret}" }}] }}"#));
    let text = |keys: &str, algorithms: &str| {
        format!(
            r#"[auth.api]
            kind = "jwt"
            jwks = "{keys}"
            algorithms = [{algorithms}]
            [[site]]
            hosts = ["*"]
            auth = "api"
            respond = {{ text = "in" }}"#
        )
    };
    let tokens = TOKENS.map(|token| format!("Bearer {token}"));
    let forged = tokens[1].replace(".btX", ".ctX");
    for (keys, algorithms) in [("keys.json", r#""HS256""#), ("bare.json", r#""HS256", "RS256""#)] {
        let app = app(&files, &text(keys, algorithms));
        let said = |token: &str| told(&ask(&app, "GET", "/", &[("authorization", token)]));
        assert_eq!(said(&tokens[0]), (200, "in".to_owned()), "{keys}");
        for (token, reason) in [
            (&*tokens[1], "handler.token_expired"),
            (&tokens[2], "handler.token_subject_missing"),
            (&tokens[3], "handler.token_expiry_missing"),
            (&forged, "handler.token_invalid"),
        ] {
            let (status, text) = said(token);
            assert!(status == 401 && text.contains(reason), "{token}: {status} {text}");
        }
    }
    for (keys, why) in [("keys.json", "RS256"), ("bare.json", "ES256 or EdDSA")] {
        let algorithms = why.split(" or ").map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let read = Configuration::parse(&text(keys, &algorithms), files.join("kolk.toml")).unwrap();
        let errors = read.app().unwrap_err().to_string();
        assert!(errors.contains(&format!("none of the keys is for {why}")), "{errors}");
        assert!(errors.contains("kolk.toml:3:20"), "{errors}");
    }
}

/// However often its tokens were right before.
#[cfg(feature = "jwt")]
#[test]
fn a_key_that_a_changed_file_has_not_any_more_opens_nothing_from_then_on() {
    let files = Scratch::new("assembly-jwt-reload");
    let key = |kid: &str, secret: &str| {
        format!(r#"{{ "kty": "oct", "alg": "HS256", "kid": "{kid}", "k": "{secret}" }}"#)
    };
    let [old, new] = [
        key("1", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s"),
        key("2", "bGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGw"),
    ];
    let keys = |all: &[&str]| files.put("keys.json", format!(r#"{{ "keys": [{}] }}"#, all.join(", ")));
    let file = |text: &str| {
        let text = format!(
            "[server]\nworkers = 1\n[[listen]]\naddr = \"127.0.0.1:0\"\n\
             [auth.api]\nkind = \"jwt\"\njwks = \"keys.json\"\nalgorithms = [\"HS256\"]\n\
             [[site]]\nhosts = [\"*\"]\nauth = \"api\"\nrespond = {{ text = \"in\" }}\n\
             [[site.route]]\npath = \"/text\"\nauth = \"\"\nrespond = {{ text = \"{text}\" }}\n"
        );
        Configuration::parse(&text, files.join("kolk.toml")).unwrap()
    };
    keys(&[&old, &new]);
    let started = file("first");
    let server = start(started.server().unwrap());
    let handle = server.handle();
    let mut client = Client::at(address(&server));
    let mut ask = |path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", TOKENS[0]));
        let answer = client.answer();
        (answer.status, answer.text().to_owned())
    };
    assert_eq!((ask("/").0, ask("/").0), (200, 200));
    file("the same keys").replace(&handle, &started).unwrap();
    support::until("the changed file answers", || ask("/text").1 == "the same keys");
    assert_eq!(ask("/").0, 200);
    keys(&[&new]);
    file("a key less").replace(&handle, &started).unwrap();
    support::until("the file with a key less answers", || ask("/text").1 == "a key less");
    let (status, text) = ask("/");
    assert!(status == 401 && text.contains("handler.token_invalid"), "{status} {text}");
    keys(&[&old, &new]);
    file("back").replace(&handle, &started).unwrap();
    support::until("the key is back", || ask("/text").1 == "back");
    assert_eq!(ask("/").0, 200);
}

#[test]
fn a_rate_is_one_budget_for_all_that_name_it() {
    let files = Scratch::new("assembly-rates");
    let app = app(
        &files,
        r#"
        [rate.api]
        key = "header:x-key"
        rate = "1/d"
        burst = 2
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/a"
        rate = ["api"]
        respond = { text = "a" }
        [[site.route]]
        path = "/b"
        rate = ["api"]
        respond = { text = "b" }
        "#,
    );
    let with = |uri, key| told(&ask(&app, "GET", uri, &[("x-key", key)])).0;
    assert_eq!((with("/a", "1"), with("/b", "1")), (200, 200));
    assert_eq!((with("/a", "1"), with("/b", "1")), (429, 429));
    let answer = ask(&app, "GET", "/a", &[("x-key", "1")]);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.headers()["ratelimit-policy"], r#""api";q=1;w=86400"#);
    // Keys that differ in their length alone, or that end as others do.
    for key in ["2", "11", "111", "10", "100", "101", "12", "122", "0010", "", "abcb", "abcbcb"] {
        assert_eq!([with("/a", key), with("/b", key), with("/a", key)], [200, 200, 429], "{key:?}");
    }
}

#[test]
fn every_answer_says_what_is_left_where_that_is_wanted() {
    let files = Scratch::new("assembly-rates-told");
    let text = r#"
        [rate.many]
        rate = "5/d"
        burst = 5
        headers = true
        [rate.few]
        rate = "3/d"
        burst = 3
        headers = true
        [rate.silent]
        rate = "1000/s"
        burst = 10
        [rate.dry]
        rate = "1/d"
        dry_run = true
        headers = true
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/"
        rate = ["many", "few"]
        respond = { text = "as it is every time" }
        [[site.route]]
        path = "/silent"
        rate = ["silent", "dry"]
        respond = 204
    "#;
    let server = serve(&files, text);
    let mut client = Client::at(address(&server));
    let fields = |answer: &support::Answer| {
        let told = answer.fields.iter().filter(|(name, _)| name.to_lowercase().starts_with("ratelimit"));
        told.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    for (status, left) in [(200, 2), (200, 1), (200, 0), (429, 0)] {
        let answer = client.get("/");
        let told = fields(&answer);
        assert_eq!((answer.status, told.len()), (status, 2), "{told:?}");
        assert!(told[0].starts_with(&format!("\"few\";r={left};t=")), "{told:?}");
        assert_eq!(told[1], "\"few\";q=3;w=86400");
    }
    for _ in 0..2 {
        let answer = client.get("/silent");
        assert_eq!((answer.status, fields(&answer).len()), (204, 0));
    }
}

/// Through a socket file, whoever that is said to be.
#[test]
fn a_file_says_whether_a_proxy_behind_a_socket_file_is_believed() {
    let files = Scratch::new("assembly-trust-unix");
    let (known, other) = ("X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 198.51.100.1");
    for (number, (proxies, field, status, reason)) in [
        (r#""unix:""#, known, 200, "in"),
        (r#""10.0.0.0/8", "unix:""#, known, 200, "in"),
        (r#""unix:""#, other, 403, "limit.network"),
        (r#""unix:""#, "X-Forwarded-For: unknown", 403, "limit.client_unknown"),
        (r#""unix:""#, "X-Other: a", 403, "limit.client_unknown"),
        (r#""10.0.0.0/8""#, known, 403, "limit.client_unknown"),
        ("", known, 403, "limit.client_unknown"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = files.join(format!("{number}.sock"));
        let text = format!(
            r#"[[listen]]
            addr = "unix:{}"
            [server.trust]
            proxies = [{proxies}]
            [[site]]
            hosts = ["*"]
            allow = ["203.0.113.0/24"]
            respond = {{ text = "in" }}"#,
            path.display()
        );
        let server = server_of(&files, &text);
        let _running = server.start().unwrap();
        let mut client = Client::over(UnixStream::connect(&path).unwrap());
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
        let answer = client.answer();
        assert!(answer.status == status && answer.text().contains(reason), "{proxies} {field}: {answer:?}");
    }
}

#[test]
fn a_file_says_whether_a_socket_file_brings_the_proxy_protocol() {
    let files = Scratch::new("assembly-proxied-unix");
    let path = files.join("site.sock");
    let text = format!(
        r#"[[listen]]
        addr = "unix:{}"
        proxy_protocol = "required"
        [server.trust]
        proxies = "unix:"
        [[site]]
        hosts = ["*"]
        allow = ["203.0.113.0/24"]
        respond = {{ text = "in" }}"#,
        path.display()
    );
    let server = server_of(&files, &text);
    let _running = server.start().unwrap();
    for (client, status) in [("203.0.113.7", 200), ("198.51.100.1", 403)] {
        let mut stream = Client::over(UnixStream::connect(&path).unwrap());
        stream.send(format!("PROXY TCP4 {client} 192.0.2.1 56324 443\r\n"));
        assert_eq!(stream.get("/").status, status, "{client}");
    }
}

#[test]
fn a_rate_that_site_and_route_name_is_paid_once() {
    let files = Scratch::new("assembly-rates-once");
    let app = app(
        &files,
        r#"
        [rate.api]
        key = "header:x-key"
        rate = "1/d"
        burst = 2
        [[site]]
        hosts = ["*"]
        rate = ["api"]
        [[site.route]]
        path = "/"
        rate = ["api"]
        respond = { text = "paid\n" }
        "#,
    );
    let statuses = [(); 3].map(|()| ask(&app, "GET", "/", &[("x-key", "1")]).status().as_u16());
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn who_is_refused_by_one_rate_has_not_spent_what_others_share() {
    let files = Scratch::new("assembly-rates-together");
    let text = r#"
        server.admin = "127.0.0.1:0"
        [rate.shared]
        key = "path"
        rate = "1/d"
        burst = 3
        headers = true
        [rate.own]
        key = "header:x-key"
        rate = "1/d"
        [[site]]
        hosts = ["*"]
        rate = "shared"
        [[site.route]]
        path = "/"
        rate = "own"
        respond = { text = "in\n" }
    "#;
    let server = serve(&files, text);
    let mut client = Client::at(address(&server));
    let mut ask = |key: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n"));
        let answer = client.answer();
        (answer.status, answer.field("ratelimit").unwrap().split(";t=").next().unwrap().to_owned())
    };
    let told = |status, left: &str| (status, left.to_owned());
    assert_eq!(ask("eve"), told(200, r#""shared";r=2"#));
    (0..5).for_each(|_| assert_eq!(ask("eve"), told(429, r#""own";r=0"#)));
    assert_eq!(ask("ada"), told(200, r#""shared";r=1"#));
    assert_eq!(ask("bob"), told(200, r#""shared";r=0"#));
    assert_eq!(ask("cyd"), told(429, r#""shared";r=0"#));
    let rates = server.snapshot().rates;
    let counted = |name: &str| {
        let rate = rates.iter().find(|rate| &*rate.name == name).unwrap();
        [RateVerdict::Passed, RateVerdict::Refused].map(|verdict| rate.requests[verdict.index()])
    };
    assert_eq!((counted("shared"), counted("own")), ([3, 1], [3, 5]));
}

#[test]
fn pages_of_other_origins_read_what_the_site_or_the_route_lets_them() {
    let files = Scratch::new("assembly-cors");
    files.put("www/a.txt", "a");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        cors = "*"
        [[site.route]]
        path = "/all"
        respond = { text = "all" }
        [[site.route]]
        path = "/some"
        cors = { origins = ["https://app.example"], credentials = true }
        respond = { text = "some" }
        [[site.route]]
        path = "/below"
        cors = { origins = "https://*.example", expose_headers = ["x-total"], max_age = "1m" }
        respond = { text = "below" }
        [[site.route]]
        path = "/none"
        cors = []
        respond = { text = "none" }
        [[site.route]]
        path = "/files/{*file}"
        cors = { origins = ["https://app.example"] }
        static = "www"
        [[site.route]]
        path = "/read"
        methods = ["GET"]
        respond = { text = "read" }
        "#,
    );
    let page = [("origin", "https://app.example")];
    let allowed = |uri| ask(&app, "GET", uri, &page).headers()["access-control-allow-origin"].clone();
    assert_eq!(
        (allowed("/all"), allowed("/some")),
        ("*".parse().unwrap(), "https://app.example".parse().unwrap())
    );
    assert_eq!(allowed("/nowhere"), "*");
    assert_eq!(allowed("/below"), "https://app.example");
    assert_eq!(ask(&app, "GET", "/below", &page).headers()["access-control-expose-headers"], "x-total");
    assert!(!ask(&app, "GET", "/none", &page).headers().contains_key("access-control-allow-origin"));
    let preflight = |uri, method| {
        let asks = [page[0], ("access-control-request-method", method)];
        let answer = ask(&app, "OPTIONS", uri, &asks);
        assert_eq!(answer.status(), 204, "{method} {uri}");
        answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    let page = Some("https://app.example".to_owned());
    assert_eq!(preflight("/some", "PUT"), page);
    assert_eq!(preflight("/files/a.txt", "GET"), page, "files have GET alone");
    assert_eq!(preflight("/files/a.txt", "PUT").as_deref(), Some("*"), "the site answers what nobody does");
    assert_eq!(preflight("/read", "GET").as_deref(), Some("*"));
    assert_eq!(preflight("/below", "GET"), page);
    let asks = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
    let answer = ask(&app, "OPTIONS", "/none", &asks);
    assert!(!answer.headers().contains_key("access-control-allow-origin"), "nobody may read it");
}

#[test]
fn a_preflight_is_about_the_route_whose_fields_it_names() {
    let files = Scratch::new("assembly-preflight");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        cors = "*"
        [[site.route]]
        path = "/version"
        header = { x-v = "2" }
        query = { q = true }
        cors = { origins = ["https://app.example"] }
        respond = { text = "two" }
        [[site.route]]
        path = "/version"
        respond = { text = "any" }
        [[site.route]]
        path = "/old"
        header = { x-v = false }
        cors = { origins = ["https://app.example"] }
        respond = { text = "old" }
        "#,
    );
    // The value of a field that it names nobody knows yet.
    let names = |uri, names| {
        let asks = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", names),
        ];
        let answer = ask(&app, "OPTIONS", uri, &asks);
        let fields = ["access-control-allow-origin", "access-control-allow-headers"];
        let fields =
            fields.map(|name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()));
        (answer.status().as_u16(), fields.map(Option::unwrap_or_default))
    };
    let read = |origin: &str, names: &str| (204, [origin.to_owned(), names.to_owned()]);
    let page = "https://app.example";
    assert_eq!(names("/version?q", "x-a, X-V"), read(page, "x-a, X-V"));
    assert_eq!(names("/version?q", "x-a,x-vv"), read("*", "x-a,x-vv"), "the one for everybody");
    assert_eq!(names("/version", "x-v"), read("*", "x-v"), "the query is known");
    assert_eq!(names("/old", "x-a"), read(page, "x-a"));
}

#[test]
fn fields_are_merged_downwards_and_the_route_has_the_last_word() {
    let files = Scratch::new("assembly-headers");
    let app = app(
        &files,
        r#"
        [headers.secure]
        set = { x-content-type-options = "nosniff", x-frame-options = "DENY" }
        [headers.framed]
        set = { x-frame-options = "SAMEORIGIN" }
        add = { x-note = ["a", "b"] }
        [headers.bare]
        remove = ["x-frame-options"]
        [[site]]
        hosts = ["*"]
        headers = ["secure"]
        [[site.route]]
        path = "/"
        respond = { text = "plain" }
        cache_control = "max-age=60"
        [[site.route]]
        path = "/framed"
        headers = ["framed"]
        respond = { text = "framed" }
        [[site.route]]
        path = "/bare"
        headers = ["bare"]
        respond = { text = "bare" }
        [[site.route]]
        path = "/gone"
        respond = 404
        cache_control = "no-store"
        "#,
    );
    let headers = |uri| ask(&app, "GET", uri, &[]).headers().clone();
    let front = headers("/");
    assert_eq!(
        (&front["x-frame-options"], &front["cache-control"]),
        (&"DENY".parse().unwrap(), &"max-age=60".parse().unwrap())
    );
    let framed = headers("/framed");
    assert_eq!(framed.get_all("x-frame-options").iter().collect::<Vec<_>>(), ["SAMEORIGIN"]);
    assert_eq!(framed["x-content-type-options"], "nosniff");
    assert_eq!(framed.get_all("x-note").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(headers("/nowhere")["x-content-type-options"], "nosniff");
    assert_eq!(headers("/bare").get("x-frame-options"), None, "the site has set it");
    assert_eq!(headers("/bare")["x-content-type-options"], "nosniff");
    assert_eq!(headers("/gone")["cache-control"], "no-store", "an error, which might be kept");
}

#[test]
fn fields_that_other_keys_give_are_changed_like_all_others() {
    let files = Scratch::new("assembly-headers-of-kolk");
    // TLS is spoken by somebody before kolk.
    let app = app(
        &files,
        r#"
        [server.trust]
        proxies = "10.0.0.0/8"
        [headers.quiet]
        remove = ["strict-transport-security"]
        [[site]]
        hosts = "*"
        hsts = "365d"
        [[site.route]]
        path = "/quiet"
        headers = "quiet"
        respond = { text = "quiet" }
        [[site]]
        hosts = "b"
        hsts = "365d"
        headers = "quiet"
        respond = { text = "quiet" }
        "#,
    );
    for (uri, said) in
        [("https://a/", true), ("https://a/quiet", false), ("https://b/", false), ("http://a/", false)]
    {
        let answer = ask(&app, "GET", uri, &[]);
        assert_eq!(answer.headers().contains_key("strict-transport-security"), said, "{uri}");
    }
}

#[test]
fn errors_have_their_pages_and_programs_get_json() {
    let files = Scratch::new("assembly-pages");
    files.put("www/404.html", "<h1>{status}</h1>");
    files.put("www/api.txt", "api {reason}");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        error_pages = { 404 = "/pages/404.html" }
        [[site.route]]
        path = "/pages/{*file}"
        static = "www"
        [[site.route]]
        path = "/api"
        methods = ["PUT"]
        respond = 204
        [[site.route]]
        path = "/api"
        methods = ["POST"]
        deny = ["0.0.0.0/0"]
        error_pages = { 4xx = "/pages/api.txt" }
        respond = 204
        "#,
    );
    assert_eq!(get(&app, "/nowhere"), (404, "<h1>404</h1>".to_owned()));
    assert_eq!(ask(&app, "GET", "/nowhere", &[]).headers()["content-type"], "text/html; charset=utf-8");
    let json = told(&ask(&app, "GET", "/nowhere", &[("accept", "application/json")])).1;
    assert!(json.starts_with(r#"{"status":404,"title":"Not Found","reason":"route.none""#), "{json}");
    assert!(get(&app, "/api").1.contains("route.method"), "405 has no page here");
}

#[test]
fn a_bare_error_has_the_page_of_its_site_and_what_is_written_stays() {
    let files = Scratch::new("assembly-pages-bare");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        error_pages = { 404 = "/404.html" }
        respond = 404
        [[site.route]]
        path = "/404.html"
        respond = { text = "page: {reason}", type = "text/html" }
        [[site.route]]
        path = "/gone"
        respond = 404
        [[site.route]]
        path = "/never"
        respond = 403
        [[site.route]]
        path = "/said"
        respond = { status = 404, text = "own" }
        "#,
    );
    for (uri, status, body) in [
        ("/gone", 404, "page: handler.configured"),
        ("/nowhere", 404, "page: handler.configured"),
        ("/never", 403, "403 Forbidden: this server was set up to refuse this (handler.configured)\n"),
        ("/said", 404, "own"),
    ] {
        assert_eq!(get(&app, uri), (status, body.to_owned()), "{uri}");
    }
    let json = |uri| told(&ask(&app, "GET", uri, &[("accept", "application/json")])).1;
    let said = r#"{"status":403,"title":"Forbidden","reason":"handler.configured","#;
    assert!(json("/never").starts_with(said), "{}", json("/never"));
    assert_eq!(json("/said"), "own");
}

#[test]
fn redirects_go_where_the_template_says() {
    let files = Scratch::new("assembly-redirects");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["www.example.com"]
        redirect = { to = "https://example.com{uri}", status = 301 }
        [[site]]
        hosts = ["example.com"]
        [[site.route]]
        path = "/old/{name}"
        redirect = "/new/{name}{query}"
        "#,
    );
    for (uri, status, place) in [
        ("http://www.example.com/a%20b?c=d", 301, "https://example.com/a%20b?c=d"),
        ("http://example.com/old/x?y", 302, "/new/x?y"),
    ] {
        let answer = ask(&app, "GET", uri, &[]);
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
            (status, place)
        );
    }
}

#[test]
fn a_placeholder_means_the_same_in_redirects_and_rewrites() {
    let files = Scratch::new("assembly-placeholders");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = "*.example.com"
        redirect = "https://example.com/gone{path}"
        [[site.route]]
        path = "/old/{*path}"
        redirect = "/new/{path}"
        [[site.route]]
        path = "/from/{*path}"
        rewrite = { to = "/at/{path}" }
        [[site.route]]
        path = "/at/{*rest}"
        redirect = "/new/{rest}"
        [[site.route]]
        path = "/h/{host}"
        redirect = "/x/{host}"
        [[site.route]]
        path = "/to/{*rest}"
        redirect = "https://{host}/{rest}"
        [[site.route]]
        path = "/of/{*rest}"
        rewrite = { to = "/vhost/{host}/{rest}" }
        [[site.route]]
        path = "/vhost/www.example.com/{*rest}"
        respond = { text = "hosted" }
        "#,
    );
    for host in ["www.example.com", "WWW.Example.com", "www.example.com."] {
        for (path, place) in [
            ("/old/a/b", "/new/a/b"),
            ("/from/a/b", "/new/a/b"),
            ("/h/evil", "/x/evil"),
            ("/to/a", "https://www.example.com/a"),
            ("/nowhere/a", "https://example.com/gone/nowhere/a"),
        ] {
            let answer = ask(&app, "GET", &format!("http://{host}{path}"), &[]);
            assert_eq!(answer.headers()["location"], place, "{host}{path}");
        }
        assert_eq!(get(&app, &format!("http://{host}/of/a")), (200, "hosted".to_owned()), "{host}");
    }
}

#[test]
fn a_rewritten_path_is_answered_by_the_route_that_it_leads_to() {
    let files = Scratch::new("assembly-rewrites");
    files.put("users", format!("ada:{HASH}\n"));
    files.put("www/a.txt", "a");
    files.put("www/sub/index.html", "<p>sub");
    let app = app(
        &files,
        r#"
        [auth.staff]
        kind = "basic"
        file = "users"
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/{*file}"
        static = "www"
        [[site.route]]
        path = "/users/{id}"
        redirect = "/at/{id}{query}"
        [[site.route]]
        path = "/secret"
        auth = "staff"
        respond = { text = "secret" }
        [[site.route]]
        path = "/api/{*rest}"
        rewrite = { strip_prefix = "/api" }
        [[site.route]]
        path = "/user/{*rest}"
        rewrite = { regex = "/user/(?P<id>[0-9]+)|/user/([a-z]+)(/.*)?", to = "/users/{id}{2}" }
        [[site.route]]
        path = "/of/{name}"
        methods = ["GET"]
        rewrite = { to = "/users/{name}-{host}" }
        [[site.route]]
        path = "/door"
        rewrite = { to = "/secret" }
        [[site.route]]
        path = "/up/{name}"
        rewrite = { regex = "/up/(.*)", to = "/x/{1}/../../a.txt" }
        "#,
    );
    for (target, location) in [
        ("/api/users/7?a=/api", "/at/7?a=/api"),
        ("/api/api/users/7", "/at/7"),
        ("/user/12", "/at/12"),
        ("/user/ada/x", "/at/ada"),
        ("http://example.org/of/a%20b", "/at/a%20b-example.org"),
    ] {
        let answer = ask(&app, "GET", target, &[]);
        assert_eq!(answer.status(), 302, "{target}");
        assert_eq!(answer.headers()["location"], location, "{target}");
    }
    for (target, status, body) in
        [("/api/a.txt", 200, "a"), ("/up/b", 200, "a"), ("/api/sub/", 200, "<p>sub")]
    {
        assert_eq!(get(&app, target), (status, body.to_owned()), "{target}");
    }
    let answer = ask(&app, "GET", "/api/sub?b", &[]);
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, "./sub/?b"));
    assert_eq!(get(&app, "/door").0, 401, "who answers says who may come in");
    assert_eq!(get(&app, "/user/12x").0, 404, "the whole path is looked at");
    assert_eq!(ask(&app, "POST", "/of/ada", &[]).status(), 405);
    assert_eq!(ask(&app, "POST", "/api/a.txt", &[]).status(), 405, "files are read");
}

#[test]
fn a_rewrite_that_does_not_fit_is_passed_over() {
    let files = Scratch::new("assembly-rewrites-passed");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = "*"
        respond = { text = "SITE" }
        [[site.route]]
        path = "/rx/{*rest}"
        rewrite = { regex = "/rx/([0-9]+)", to = "/number/{1}" }
        [[site.route]]
        path = "/rx/x{rest}"
        rewrite = { regex = "/rx/x([0-9]+)", to = "/number/{1}" }
        [[site.route]]
        path = "/number/{id}"
        respond = { text = "NUMBER" }
        "#,
    );
    for (path, body) in
        [("/rx/7", "NUMBER"), ("/rx/x7", "NUMBER"), ("/rx/ab", "SITE"), ("/rx/xab", "SITE"), ("/no", "SITE")]
    {
        assert_eq!(get(&app, path), (200, body.to_owned()), "{path}");
    }
}

#[test]
fn a_rewritten_path_leads_to_no_file_outside_the_root() {
    let files = Scratch::new("assembly-rewrites-out");
    files.put("secret", "SECRET");
    files.put("www/a.txt", "a");
    std::os::unix::fs::symlink(files.join("secret"), files.join("www/link")).unwrap();
    let text = r#"
        [[site]]
        hosts = "*"
        [[site.route]]
        path = "/{*file}"
        static = "www"
        [[site.route]]
        path = "/api/{*rest}"
        rewrite = { strip_prefix = "/api" }
        [[site.route]]
        path = "/up/{*rest}"
        rewrite = { regex = "/up/(.*)", to = "/{1}" }
    "#;
    let server = serve(&files, text);
    for prefix in ["/api", "/up"] {
        let get = |rest: &str| {
            let mut client = Client::at(address(&server));
            client.send(format!("GET {prefix}/{rest} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.answer()
        };
        assert_eq!(get("a.txt").text(), "a");
        for rest in [
            "../secret",
            "../../secret",
            "%2e%2e/secret",
            ".%2e/secret",
            "..%2fsecret",
            "%2e%2e%2fsecret",
            "%252e%252e%252fsecret",
            "..%5csecret",
            "..%252fsecret",
            "a.txt/../../secret",
            "/../secret",
            ".//..//secret",
            "..;/secret",
            "%2e%2e%00/secret",
            "%c0%ae%c0%ae/secret",
            "link",
        ] {
            let answer = get(rest);
            assert!(answer.status >= 300, "{prefix}/{rest}: {}", answer.head);
            assert!(!answer.text().contains("SECRET"), "{prefix}/{rest}");
        }
    }
    server.stop();
}

#[test]
fn a_request_that_had_to_wait_keeps_its_rewritten_path() {
    let files = Scratch::new("assembly-rewrites-late");
    let text = r#"
        [log.access.main]
        to = "log"
        format = "{target} {status} {route}"
        [rate.slow]
        rate = "20/s"
        burst = 1
        mode = "delay"
        [[site]]
        hosts = ["*"]
        access_log = "main"
        rate = "slow"
        [[site.route]]
        path = "/users/{id}"
        respond = { text = "somebody\n" }
        [[site.route]]
        path = "/api/{*rest}"
        rewrite = { strip_prefix = "/api" }
        [[site.route]]
        path = "/round/{*rest}"
        rewrite = { to = "/round/x" }
    "#;
    let server = serve(&files, text);
    let mut client = Client::at(address(&server));
    for _ in 0..3 {
        assert_eq!(client.get("/api/users/7?a").text(), "somebody\n");
        let answer = client.get("/round/1");
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("route.rewrite_loop"), "{}", answer.text());
        assert_eq!(client.get("/api/nobody").status, 404);
    }
    drop(client);
    server.stop();
    server.join().unwrap();
    let log = std::fs::read_to_string(files.join("log")).unwrap();
    assert_eq!(log.matches("/api/users/7?a 200 /users/{id}\n").count(), 3, "{log}");
    assert_eq!(log.matches("/round/1 500 ").count(), 3, "{log}");
}

#[test]
fn a_site_that_is_worked_on_says_so_and_speaks_of_tls_only_within_it() {
    let files = Scratch::new("assembly-works");
    files.put("soon.html", "<p>soon</p>");
    let app = app(
        &files,
        r#"
        [[listen]]
        addr = "127.0.0.1:0"
        [[site]]
        hosts = ["a.example"]
        maintenance = { file = "soon.html", retry_after = "90s" }
        respond = 204
        [[site]]
        hosts = ["b.example"]
        maintenance = false
        respond = 204
        "#,
    );
    let answer = ask(&app, "GET", "http://a.example/x", &[]);
    assert_eq!(told(&answer), (503, "<p>soon</p>".to_owned()));
    assert_eq!(answer.headers()["retry-after"], "90");
    assert_eq!(get(&app, "http://b.example/").0, 204);
}

#[test]
fn a_route_says_itself_whether_it_is_worked_on() {
    let files = Scratch::new("assembly-works-route");
    files.put("soon.html", "<link rel=stylesheet href=/soon.css>");
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["a.example"]
        maintenance = { file = "soon.html" }
        [[site.route]]
        path = "/{*file}"
        respond = 204
        [[site.route]]
        path = "/healthz"
        maintenance = false
        respond = { text = "well\n" }
        [[site.route]]
        path = "/soon.css"
        maintenance = false
        respond = { text = "p { }", type = "text/css" }
        [[site.route]]
        path = "/own"
        maintenance = { retry_after = "7s" }
        respond = 204
        [[site]]
        hosts = ["b.example"]
        respond = 204
        [[site.route]]
        path = "/works"
        maintenance = true
        respond = 204
        "#,
    );
    for (uri, status, body) in [
        ("http://a.example/", 503, "<link rel=stylesheet href=/soon.css>"),
        ("http://a.example/healthz", 200, "well\n"),
        ("http://a.example/soon.css", 200, "p { }"),
        ("http://b.example/", 204, ""),
    ] {
        assert_eq!(get(&app, uri), (status, body.to_owned()), "{uri}");
    }
    let own = ask(&app, "GET", "http://a.example/own", &[]);
    assert_eq!((own.status().as_u16(), &own.headers()["retry-after"]), (503, &"7".parse().unwrap()));
    assert!(told(&own).1.contains("handler.maintenance"), "without the page of the site");
    assert_eq!(get(&app, "http://b.example/works").0, 503);
}

#[test]
fn a_page_is_read_once_and_what_is_wrong_with_it_told_once() {
    let files = Scratch::new("assembly-pages-once");
    files.put("404.html", "nothing here");
    let routes = |count: usize, of: &str| -> String {
        let route = |number| format!("[[site.route]]\npath = \"/{number}\"\n{of}respond = 204\n");
        (0..count).map(route).collect()
    };
    let text = format!(
        "[[site]]\nhosts = \"*\"\nerror_pages = {{ 404 = \"/nopage\", 403 = \"/none\" }}\n{}\
         [[site.route]]\npath = \"/own\"\nerror_pages = {{ 405 = \"/nopage\" }}\nrespond = 204\n",
        routes(6, "")
    );
    let errors = Configuration::parse(&text, files.join("kolk.toml")).unwrap().app().unwrap_err().to_string();
    for (said, times) in [("answers /nopage with 404", 2), ("answers /none with 404", 1)] {
        assert_eq!(errors.matches(said).count(), times, "{errors}");
    }
    // A page without placeholders is sent from where it was read to.
    let page = "[[site.route]]\npath = \"/404.html\"\nrespond = { file = \"404.html\" }\n";
    let text = format!(
        "[[site]]\nhosts = \"*\"\nerror_pages = {{ 4xx = \"/404.html\", 503 = \"/404.html\" }}\n{page}{}{}",
        routes(2, "maintenance = true\n"),
        "[[site.route]]\npath = \"/own\"\nerror_pages = { 5xx = \"/404.html\" }\nmaintenance = true\nrespond = 204\n",
    );
    let app = app(&files, &text);
    let at = |uri| {
        let answer = ask(&app, "GET", uri, &[]);
        assert_eq!(told(&answer).1, "nothing here", "{uri}");
        answer.into_body().as_ptr()
    };
    let first = at("/0");
    for uri in ["/1", "/own", "/nowhere"] {
        assert_eq!(at(uri), first, "{uri}");
    }
}

#[test]
fn what_only_shows_when_it_is_built_is_told_at_its_place() {
    let files = Scratch::new("assembly-wrong");
    files.put("users", "ada:$apr1$x$y\n");
    let text = r#"
[auth.staff]
kind = "basic"
file = "users"
[[site]]
hosts = ["*"]
auth = "staff"
access_log = "main"
respond = 404
[log.access.main]
format = "{status}{bytes}"
"#;
    let errors =
        Configuration::parse(text, files.join("kolk.toml")).unwrap().server().unwrap_err().to_string();
    for said in ["kolk.toml:4:8", "users:1", "between `{status}` and the placeholder", "kolk.toml:11:"] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

/// What names a file to be read, `FILE` in its place: what stands before the site, and what in it.
const NAMED: &[(&str, &str)] = &[
    ("include = \"FILE\"", ""),
    ("[auth.a]\nkind = \"basic\"\nfile = \"FILE\"", "auth = \"a\""),
    ("[auth.a]\nkind = \"bearer\"\ntokens = \"FILE\"", "auth = \"a\""),
    #[cfg(feature = "jwt")]
    ("[auth.a]\nkind = \"jwt\"\nalgorithms = [\"ES256\"]\njwks = \"FILE\"", "auth = \"a\""),
    #[cfg(feature = "jwt")]
    ("[auth.a]\nkind = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret = \"FILE\"", "auth = \"a\""),
    ("[[tls.cert]]\ncert = \"FILE\"\nkey = \"own.key\"", ""),
    ("[[tls.cert]]\ncert = \"own.pem\"\nkey = \"FILE\"", ""),
    ("[tls]\nclient_ca = \"FILE\"\n[[tls.cert]]\ncert = \"own.pem\"\nkey = \"own.key\"", ""),
    ("", "[[site.route]]\npath = \"/x\"\nrespond = { file = \"FILE\" }"),
    ("", "maintenance = { on = true, file = \"FILE\" }"),
    ("", "error_pages = { 404 = \"/FILE\" }\n[[site.route]]\npath = \"/{*path}\"\nstatic = \".\""),
    ("", "[[site.route]]\npath = \"/{*path}\"\nstatic = { root = \".\", spa = \"FILE\" }"),
    ("", "[[site.route]]\npath = \"/{*path}\"\nstatic = { root = \".\", not_found = \"FILE\" }"),
];

/// What is wrong with a configuration that names `file`; the place where it does.
fn wrong_with(files: &Scratch, (before, within): (&str, &str), file: &str) -> (String, String) {
    let is_encrypted = before.contains("tls");
    let listen = format!("[[listen]]\naddr = \"127.0.0.1:0\"\ntls = {is_encrypted}\n");
    let text = format!("{before}\n{listen}[[site]]\nhosts = \"*\"\nrespond = 404\n{within}\n");
    let head: Vec<&str> = text.split_once("FILE").unwrap().0.split('\n').collect();
    // Where its quote stands.
    let column = head[head.len() - 1].rfind('"').unwrap() + 1;
    let (text, path) = (text.replace("FILE", file), files.join("kolk.toml"));
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        let read = Configuration::parse(&text, path);
        sender.send(read.and_then(|configuration| configuration.server()).map(drop))
    });
    let told =
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{file} is waited for: {before}{within}"));
    let told = told.expect_err(&format!("{file}: {before}{within}"));
    (told.to_string(), format!("kolk.toml:{}:{column}\n", head.len()))
}

#[test]
fn what_is_no_file_is_refused_at_its_place_and_neither_waited_for_nor_read_without_end() {
    let files = Scratch::new("assembly-no-file");
    let own = Identity::new(&["example.com"]);
    files.put("own.pem", &own.chain);
    files.put("own.key", &own.key);
    files.put("folder/index.html", "");
    assert!(std::process::Command::new("mkfifo").arg(files.join("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", files.join("device")).unwrap();
    let _socket = UnixListener::bind(files.join("socket")).unwrap();
    std::fs::File::create(files.join("large")).unwrap().set_len(16 * 1024 * 1024 + 1).unwrap();
    for &row in NAMED {
        for (file, why) in [
            ("pipe", "this is a named pipe"),
            ("device", "this is a device"),
            ("socket", "this is a socket"),
            ("folder", "this is a folder"),
            ("large", "larger than"),
        ] {
            let is_page = row.1.contains("error_pages");
            let is_sent_by_pieces = row.1.contains("spa") || row.1.contains("not_found");
            if (is_page && file == "folder") || (is_sent_by_pieces && file == "large") {
                continue;
            }
            let why = if is_page && file != "large" { "this site answers /" } else { why };
            let (told, place) = wrong_with(&files, row, file);
            assert!(told.contains(why) && told.contains(&place), "{file}, {place}: {told}");
        }
    }
}

#[test]
fn a_server_listens_where_the_file_says_and_keeps_its_limits() {
    let files = Scratch::new("assembly-server");
    let text = r#"
        [server]
        workers = 1
        server_name = ""
        [server.limits]
        body = "4B"
        headers = "1KiB"
        request_line = "512B"
        [[listen]]
        addr = "127.0.0.1:0"
        [log.access.main]
        to = "access.log"
        format = "combined"
        [[site]]
        hosts = ["*"]
        access_log = "main"
        [[site.route]]
        path = "/"
        respond = { text = "hello\n" }
        [[site.route]]
        path = "/quiet"
        access_log = ""
        respond = { text = "quiet\n" }
        [[site.route]]
        path = "/more"
        body_limit = "8B"
        respond = { text = "more\n" }
    "#;
    let server = start(server_of(&files, text));
    let mut client = Client::at(address(&server));
    let answer = client.get("/");
    assert_eq!((answer.text(), answer.field("server")), ("hello\n", None));
    assert_eq!(client.get("/quiet").text(), "quiet\n");
    client.send(support::post("/more", "12345678"));
    assert_eq!(client.answer().text(), "more\n");
    client.send(support::post("/", "12345"));
    assert_eq!(client.answer().status, 413);
    let mut client = Client::at(address(&server));
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(2_000)));
    assert_eq!(client.answer().status, 431);
    drop(client);
    server.stop();
    server.join().unwrap();
    let log = std::fs::read_to_string(files.join("access.log")).unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
}

#[test]
fn files_leave_other_methods_to_what_their_site_says() {
    let files = Scratch::new("assembly-otherwise");
    files.put("a.txt", "a");
    let text = "[[site]]\nhosts = \"*\"\nrespond = { status = 403, text = \"read only\\n\" }\n\
                [[site.route]]\npath = \"/{*file}\"\nstatic = \".\"\n";
    let app = app(&files, text);
    for (method, path, status) in
        [("GET", "/a.txt", 200), ("HEAD", "/a.txt", 200), ("POST", "/a.txt", 403), ("GET", "/none", 404)]
    {
        let request = http::Request::builder().method(method).uri(path).body("").unwrap();
        assert_eq!(app.oneshot(request).status(), status, "{method} {path}");
    }
}

#[test]
fn every_address_is_one_of_ipv4_too() {
    let files = Scratch::new("assembly-everywhere");
    let identity = Identity::new(&["localhost"]);
    files.put("chain.pem", &identity.chain);
    files.put("key.pem", &identity.key);
    let file = |more: &str| {
        let listen = ["", "tls = true", "redirect_to_https = true", more]
            .map(|way| format!("[[listen]]\naddr = \":0\"\n{way}\n"))
            .concat();
        let text = format!(
            "[server]\nworkers = 1\nadmin = \":0\"\n{listen}\
             [[tls.cert]]\ncert = \"chain.pem\"\nkey = \"key.pem\"\n\
             [[site]]\nhosts = \"*\"\nrespond = 204\n"
        );
        configuration(&files, &text)
    };
    let started = file("");
    let server = started.server().unwrap().start().unwrap();
    let get = |address: &ListenAddr, path: &str| {
        let port = address.socket_addr().unwrap().port();
        Client::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).get(path).status
    };
    assert_eq!(get(&server.addrs()[0], "/"), 204);
    assert_eq!(get(server.admin_addr().unwrap(), "/livez"), 200);
    assert_eq!(get(server.redirect_addr().unwrap(), "/"), 308);
    // And those that a changed file adds.
    file("[[listen]]\naddr = \":0\"").replace(&server.handle(), &started).unwrap();
    let added = server.handle().addrs();
    assert_eq!(added.len(), server.addrs().len() + 1);
    assert_eq!(get(added.last().unwrap(), "/"), 204);
}

/// Whoever balances in front of port 80 says for whom it comes; and TLS is spoken on some ports alone.
#[test]
fn visitors_are_sent_where_tls_is_spoken_also_by_a_file_that_is_read_again() {
    let files = Scratch::new("assembly-redirecting");
    let identity = Identity::new(&["localhost"]);
    files.put("chain.pem", &identity.chain);
    files.put("key.pem", &identity.key);
    let file = |more: &str| {
        let text = format!(
            r#"
            [server]
            workers = 1
            request_ids = "any"
            [server.trust]
            proxies = ["127.0.0.1/32"]
            [[tls.cert]]
            cert = "chain.pem"
            key = "key.pem"
            [[listen]]
            addr = "127.0.0.1:0"
            {more}
            [[listen]]
            addr = "127.0.0.1:0"
            tls = true
            [[listen]]
            addr = "127.0.0.1:0"
            redirect_to_https = true
            proxy_protocol = "required"
            [log.access.main]
            to = "access.log"
            format = "{{client}} {{id}}"
            [[site]]
            hosts = "*"
            access_log = "main"
            respond = 204
            "#
        );
        configuration(&files, &text)
    };
    let started = file("");
    let server = started.server().unwrap().start().unwrap();
    let at = |address: &ListenAddr| address.socket_addr().unwrap();
    let sent = |id: &str| {
        let mut client = Client::at(at(server.redirect_addr().unwrap()));
        client.send("PROXY TCP4 192.0.2.7 192.0.2.1 4242 80\r\n");
        client.send(format!("GET /x HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: {id}\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("x-request-id")), (308, Some(id)));
        answer.field("location").unwrap().to_owned()
    };
    assert_eq!(sent("first"), format!("https://a.test:{}/x", at(&server.addrs()[1]).port()));
    // The first is encrypted now.
    file("tls = true").replace(&server.handle(), &started).unwrap();
    let place = format!("https://a.test:{}/x", at(&server.addrs()[0]).port());
    support::until("the other port is named", || sent("second") == place);
    server.drain(std::time::Duration::from_secs(5));
    server.join().unwrap();
    let log = std::fs::read_to_string(files.join("access.log")).unwrap();
    assert!(log.starts_with("192.0.2.7") && log.contains(" first\n"), "{log}");
}

/// Somebody gets a certificate: the site of a port in the clear moves to another, and the port sends there.
#[test]
fn a_file_that_is_read_again_begins_to_send_visitors_to_https_and_ends() {
    let files = Scratch::new("assembly-first-https");
    let identity = Identity::new(&["localhost"]);
    files.put("chain.pem", &identity.chain);
    files.put("key.pem", &identity.key);
    let [http, https] = [(); 2]
        .map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .map(|free| free.local_addr().unwrap());
    let file = |listen: &str, answer: u16| {
        let text = format!("server.workers = 2\n{listen}[[site]]\nhosts = \"*\"\nrespond = {answer}\n");
        Configuration::parse(&text, files.join("kolk.toml")).unwrap()
    };
    let certificate = "[[tls.cert]]\ncert = \"chain.pem\"\nkey = \"key.pem\"\n";
    let clear = format!("[[listen]]\naddr = \"{http}\"\n");
    let encrypted = format!("{certificate}[[listen]]\naddr = \"{https}\"\ntls = true\n");
    let both = format!("{encrypted}{clear}redirect_to_https = true\n");
    let started = file(&clear, 204);
    let server = started.server().unwrap().start().unwrap();
    let handle = server.handle();
    let mut before = Client::at(http);
    assert_eq!(before.get("/").status, 204);
    let replace = |listen: &str, answer: u16| {
        let waits = file(listen, answer).replace(&handle, &started).unwrap();
        assert!(waits.is_empty(), "{waits:?}");
    };
    let sent_to = |place: SocketAddr| {
        let answer = Client::at(place).get("/a");
        answer.field("location").map_or_else(|| answer.status.to_string(), str::to_owned)
    };
    let config = identity.trusted_by(&[&TLS13]);
    let answers = |place: SocketAddr| {
        Client::over(identity::connect(place, &config, "localhost", usize::MAX)).get("/").status
    };
    replace(&both, 200);
    let place = format!("https://test:{}/a", https.port());
    support::until("visitors are sent there", || sent_to(http) == place);
    assert_eq!((answers(https), handle.addrs().len()), (200, 1));
    support::until("who came before is answered by the site", || before.get("/").status == 200);
    // All of it or nothing, with the line that cannot be had.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = both.replace(&http.to_string(), &taken.local_addr().unwrap().to_string());
    let refused = file(&elsewhere, 204).replace(&handle, &started).unwrap_err().to_string();
    assert!(refused.contains("kolk.toml:9:8\n") && refused.contains("in use"), "{refused}");
    assert_eq!((sent_to(http), answers(https)), (place.clone(), 200));
    // From another port, beside the site in the clear; and then not any more.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redirect = format!("[[listen]]\naddr = \"{other}\"\nredirect_to_https = true\n");
    replace(&format!("{encrypted}{clear}{redirect}"), 200);
    support::until("the site is in the clear, too", || sent_to(http) == "200");
    assert_eq!(sent_to(other), place);
    replace(&clear, 204);
    support::until("nobody is sent any more", || sent_to(http) == "204");
    for gone in [other, https] {
        support::until("it is closed", || std::net::TcpStream::connect(gone).is_err());
    }
    assert_eq!((handle.redirect_addr(), handle.addrs()), (None, vec![ListenAddr::Tcp(http)]));
    assert_eq!(before.get("/").status, 204);
}

#[test]
fn a_file_is_sent_to_who_is_let_in_while_somebody_works() {
    let files = Scratch::new("assembly-served");
    files.put("page.html", "<p>page</p>");
    files.put("soon.html", "<p>soon</p>");
    let text = r#"
        [[site]]
        hosts = ["here.example"]
        maintenance = { file = "soon.html", except = ["127.0.0.0/8"] }
        respond = { file = "page.html", status = 203 }
        [[site]]
        hosts = ["elsewhere.example"]
        maintenance = { file = "soon.html", except = ["10.0.0.0/8"] }
        respond = { file = "page.html" }
    "#;
    let server = serve(&files, text);
    let mut client = Client::at(address(&server));
    for (host, status, body) in [("here", 203, "<p>page</p>"), ("elsewhere", 503, "<p>soon</p>")] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}.example\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    }
    server.stop();
}

#[test]
fn a_server_shows_its_certificates_to_those_whom_the_file_names() {
    let files = Scratch::new("assembly-tls");
    let [first, second] = [&["example.com"][..], &["other.test", "inner.test"]].map(Identity::new);
    for (name, identity) in [("1", &first), ("2", &second)] {
        files.put(format!("{name}.pem"), &identity.chain);
        files.put(format!("{name}.key"), &identity.key);
    }
    let text = r#"
        [[listen]]
        addr = "127.0.0.1:0"
        tls = true
        [tls]
        min_version = "1.3"
        [[tls.cert]]
        cert = "1.pem"
        key = "1.key"
        [[tls.cert]]
        cert = "2.pem"
        key = "2.key"
        hosts = ["inner.test"]
        [[site]]
        hosts = ["*"]
        respond = { text = "hello\n" }
    "#;
    let server = start(server_of(&files, text));
    for (asked, identity, versions, is_served) in [
        ("inner.test", &second, &[&TLS13], true),
        ("example.com", &first, &[&TLS13], true),
        ("other.test", &second, &[&TLS13], false),
        ("example.com", &first, &[&TLS12], false),
    ] {
        let mut stream =
            identity::connect(address(&server), &identity.trusted_by(versions), asked, usize::MAX);
        let shook = stream.conn.complete_io(&mut stream.sock);
        assert_eq!(shook.is_ok(), is_served, "{asked}: {shook:?}");
        if is_served {
            let mut client = Client::over(stream);
            client.send(format!("GET / HTTP/1.1\r\nHost: {asked}\r\n\r\n"));
            assert_eq!(client.answer().text(), "hello\n");
        }
    }
}

#[test]
fn answers_are_compressed_as_the_site_or_the_route_says() {
    let files = Scratch::new("assembly-compress");
    files.put("www/short.css", "b { }\n".repeat(20));
    for name in ["ready.css", "ready.css.br", "ready.css.zst"] {
        files.put(format!("www/{name}"), "i { }\n");
    }
    let app = app(
        &files,
        r#"
        [[site]]
        hosts = ["*"]
        compress = { codings = ["gzip"], min = "100B" }
        [[site.route]]
        path = "/{*file}"
        static = { root = "www", listing = true }
        [[site.route]]
        path = "/usual/{*file}"
        compress = ["zstd", "br"]
        static = "www"
        [[site.route]]
        path = "/fixed"
        respond = { file = "www/short.css" }
        [[site.route]]
        path = "/fixed/usual"
        compress = ["br"]
        respond = { file = "www/short.css" }
        "#,
    );
    let coding = |uri: &str| {
        let answer = ask(&app, "GET", uri, &[("accept-encoding", "br, zstd, gzip")]);
        answer.headers().get("content-encoding").map(|coding| coding.to_str().unwrap().to_owned())
    };
    // What is compressed is sent from the next time on.
    support::until("a compressed answer", || coding("http://a/short.css").as_deref() == Some("gzip"));
    assert_eq!(coding("http://a/usual/short.css"), None, "it is shorter than is usual");
    assert_eq!(coding("http://a/usual/ready.css").as_deref(), Some("zstd"));
    assert_eq!(coding("http://a/ready.css").as_deref(), Some("br"), "what lies ready is sent");
    assert_eq!(coding("http://a/fixed").as_deref(), Some("gzip"), "from the first time on");
    assert_eq!(coding("http://a/").as_deref(), Some("gzip"), "what is in a folder, each time");
    assert_eq!(coding("http://a/fixed/usual"), None, "it is shorter than is usual");
    let plain = ask(&app, "GET", "http://a/fixed", &[]);
    assert_eq!((plain.headers()["vary"].as_bytes(), plain.body().len()), (&b"Accept-Encoding"[..], 120));
}

#[test]
fn pages_for_errors_are_compressed_as_the_site_or_the_route_says() {
    let files = Scratch::new("assembly-compress-pages");
    files.put("404.html", "<p>{status} {title}</p>\n".repeat(20));
    let app = app(
        &files,
        r#"
        [headers.fixed]
        set = { "cache-control" = "no-transform" }
        [[site]]
        hosts = ["*"]
        compress = { codings = ["gzip"], min = "100B" }
        error_pages = { 404 = "/404.html" }
        [[site.route]]
        path = "/404.html"
        respond = { file = "404.html" }
        [[site.route]]
        path = "/gone"
        compress = []
        respond = 404
        [[site.route]]
        path = "/fixed"
        headers = ["fixed"]
        respond = 404
        "#,
    );
    let told = |path: &str, accepted: &str| {
        let answer = ask(&app, "GET", path, &[("accept-encoding", accepted)]);
        assert_eq!(answer.status(), 404);
        let vary = answer.headers().get_all("vary").iter().any(|vary| vary == "Accept-Encoding");
        (answer.headers().get("content-encoding").is_some(), vary, answer.body().len() > 200)
    };
    assert_eq!(told("/nowhere", "gzip, br"), (true, true, false));
    assert_eq!(told("/nowhere", "br"), (false, true, true));
    assert_eq!(told("/gone", "gzip"), (false, false, true), "the route says that nothing is");
    assert_eq!(told("/fixed", "gzip"), (false, false, true), "it is told not to be");
}

/// With what it leaves out: the flight recorder leaves that out, too.
#[test]
fn a_log_that_a_changed_file_names_is_written_from_then_on() {
    let files = Scratch::new("assembly-reload-logs");
    let file = |redact: &str, route: &str| {
        let text = format!(
            "[server]\nworkers = 1\nadmin = \"127.0.0.1:0\"\n[[listen]]\naddr = \"127.0.0.1:0\"\n\
             [log.access.a]\nto = \"a.log\"\nformat = \"{{target}} {{status}}\"\nredact = [{redact}]\n\
             [log.access.b]\nto = \"b.log\"\nformat = \"{{target}} {{status}}\"\n\
             [[site]]\nhosts = [\"*\"]\naccess_log = \"b\"\n\
             [[site.route]]\npath = \"/\"\n{route}\n"
        );
        configuration(&files, &text)
    };
    let started = file("", "respond = 204");
    let changed = file("\"query:card\"", "respond = 200\naccess_log = \"a\"");
    let server = start(started.server().unwrap());
    let handle = server.handle();
    let status = || Client::at(address(&server)).get("/?card=1").status;
    let named = || handle.snapshot().logs.iter().map(|log| log.name.to_string()).collect::<Vec<_>>();
    assert_eq!(status(), 204);
    assert_eq!(named(), ["b"]);
    assert!(handle.recent(1).contains("/?card=1\""), "{}", handle.recent(1));
    let told = changed.replace(&handle, &started).unwrap();
    assert!(told.is_empty(), "{told:?}");
    support::until("the changed file answers", || status() == 200);
    assert_eq!(named(), ["b", "a"]);
    assert!(handle.recent(1).contains("/?card=***\""), "{}", handle.recent(1));
    assert_eq!(Client::at(address(&server)).get("/none").status, 404);
    // And back: what the file says now is not what it said at the start.
    started.replace(&handle, &started).unwrap();
    support::until("the first file answers", || status() == 204);
    server.stop();
    server.join().unwrap();
    let lines = |name: &str| std::fs::read_to_string(files.join(name)).unwrap();
    let all = |name: &str, line: &str| lines(name).lines().all(|logged| logged == line);
    assert!(lines("a.log").lines().count() >= 1 && all("a.log", "/?card=*** 200"), "{}", lines("a.log"));
    let logged = lines("b.log");
    let ends = logged.starts_with("/?card=1 204\n") && logged.ends_with("/none 404\n/?card=1 204\n");
    assert!(ends && !logged.contains(" 200"), "{logged}");
}

#[test]
fn a_changed_file_takes_no_log_away_that_somebody_else_has_given() {
    let files = Scratch::new("assembly-reload-given");
    let file = |status: u16| {
        let text = format!(
            "server.workers = 1\n[[listen]]\naddr = \"127.0.0.1:0\"\n[log.access.a]\nto = \"a.log\"\n\
             [[site]]\nhosts = \"*\"\naccess_log = \"a\"\nrespond = {status}\n"
        );
        configuration(&files, &text)
    };
    let (started, changed) = (file(204), file(200));
    let given = Destination::File(files.join("given.log"));
    let server = start(started.server().unwrap().access_log(Format::Json, given));
    assert!(!server.handle().logs_follow_a_file());
    let status = || Client::at(address(&server)).get("/").status;
    assert_eq!(status(), 204);
    changed.replace(&server.handle(), &started).unwrap();
    support::until("the changed file answers", || status() == 200);
    server.stop();
    server.join().unwrap();
    assert!(!files.join("a.log").exists());
    let logged = std::fs::read_to_string(files.join("given.log")).unwrap();
    assert!(logged.contains("\"status\":204") && logged.contains("\"status\":200"), "{logged}");
}

#[test]
fn a_log_that_cannot_be_opened_has_the_whole_file_refused() {
    let files = Scratch::new("assembly-reload-refused");
    let file = |to: &str, status: u16| {
        let text = format!(
            "[[listen]]\naddr = \"127.0.0.1:0\"\n[log.access.a]\nto = \"{to}\"\n\
             [[site]]\nhosts = \"*\"\naccess_log = \"a\"\nrespond = {status}\n"
        );
        configuration(&files, &text)
    };
    let started = file("a.log", 204);
    let server = start(started.server().unwrap());
    let refused = file("unix:gone", 200).replace(&server.handle(), &started).unwrap_err().to_string();
    assert!(refused.contains("cannot open the access log: ") && refused.contains("/gone: "), "{refused}");
    assert!(refused.contains("kolk.toml:4:6\n"), "{refused}");
    assert_eq!(server.snapshot().replacements, 0);
    assert_eq!(Client::at(address(&server)).get("/").status, 204);
    server.stop();
}

#[test]
fn what_was_counted_goes_on_where_a_changed_file_says_the_same() {
    let files = Scratch::new("assembly-reload-counts");
    files.put("users", format!("ada:{HASH}\n"));
    // More than all buffers between here and there have room for.
    std::fs::File::create(files.join("large")).unwrap().set_len(64 * 1024 * 1024).unwrap();
    let file = |seats: u32, auth: &str, answer: u16| {
        let text = format!(
            "server.workers = 1\n[[listen]]\naddr = \"127.0.0.1:0\"\n\
             [auth.{auth}]\nkind = \"basic\"\nfile = \"users\"\nrealm = \"{answer}\"\n\
             [[site]]\nhosts = \"*\"\n\
             [[site.route]]\npath = \"/\"\nrespond = {answer}\n\
             [[site.route]]\npath = \"/staff\"\nauth = \"{auth}\"\nrespond = {answer}\n\
             [[site.route]]\npath = \"/files/{{*file}}\"\nin_flight_max = {seats}\nstatic = \".\"\n"
        );
        configuration(&files, &text)
    };
    let started = file(1, "staff", 204);
    let server = start(started.server().unwrap());
    let at = address(&server);
    let replace = |seats, auth, answer| {
        file(seats, auth, answer).replace(&server.handle(), &started).unwrap();
        support::until("the changed file answers", || Client::at(at).get("/").status == answer);
    };
    let knock = |password: &str| {
        let mut client = Client::at(at);
        client.send(format!("GET /staff HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {password}\r\n\r\n"));
        client.answer().status
    };
    let (wrong, right) = ("YWRhOndyb25n", "YWRhOnBhc3N3b3Jk");
    let mut busy = Client::at(at);
    busy.send(support::get("/files/large"));
    assert_eq!(busy.head().status, 200);
    assert_eq!(Client::at(at).get("/files/none").status, 503);
    assert_eq!(knock(right), 204);
    (0..10).for_each(|_| assert_eq!(knock(wrong), 401));
    assert_eq!((knock(wrong), knock(right)), (429, 204), "what was right before is believed still");
    replace(1, "staff", 200);
    assert_eq!(Client::at(at).get("/files/none").status, 503, "there is one already");
    assert_eq!((knock(wrong), knock(right)), (429, 200));
    // And again: nothing is lost on the way.
    replace(1, "staff", 204);
    assert_eq!((Client::at(at).get("/files/none").status, knock(wrong), knock(right)), (503, 429, 204));
    replace(2, "crew", 200);
    assert_eq!((Client::at(at).get("/files/none").status, knock(right)), (404, 200));
    drop(busy);
    server.stop();
}
