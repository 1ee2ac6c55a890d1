//! THE ACCESS LOGS OF A FILE: who is written down where, what a line says, and what nobody can make it say.
//!
//! How each format looks, the unit tests of the room ask; here requests come through sockets, and lines are
//! read where a file has them written.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "frames/frame.rs"]
mod frame;
mod support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kolk::access_log::{Destination, Format, Log, Template};
use kolk::config::LogFormat;
use kolk::http::Phase;
use kolk::server::stats::CloseReason;
use kolk::{App, BasicAuth, Configuration, FlightRecorder, ForwardedIn, HandlerExt, channel, deferred};
use kolk::{LogId, Policy, Pull, Pulled, Quota, Rate, RateKey, RateLimit, Reply, Request, RequestIds};
use kolk::{Response, Running, Source, Trust};
use serde_json::Value;
use socket2::SockRef;

use frame::bytes_of;
use support::configured::{serve, server_of};
use support::scratch::Scratch;
use support::{Client, Gate, PATIENCE, address, alone, dawdle, quick, start};

const PAGE: &str = "docs/access-log.md";

/// The lines of a log, after the server has ended.
fn lines(server: Running, log: &Path) -> Vec<String> {
    server.drain(PATIENCE);
    server.join().unwrap();
    fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

#[test]
fn sites_and_routes_have_logs_of_their_own() {
    let files = Scratch::new("logs-own");
    let server = serve(
        &files,
        r#"
        [log.access]
        all = { to = "all", format = "{host} {target} {status}" }
        apex = { to = "apex", format = "{host} {target} {route}" }
        [[site]]
        hosts = ["a.example"]
        access_log = "apex"
        respond = 404
        [[site.route]]
        path = "/"
        respond = 204
        [[site.route]]
        path = "/health"
        access_log = ""
        respond = 204
        [[site.route]]
        path = "/all"
        access_log = "all"
        respond = 204
        [[site]]
        hosts = ["*"]
        access_log = "all"
        [[site.route]]
        path = "/x"
        respond = 204
        "#,
    );
    let mut client = Client::at(address(&server));
    for path in ["/", "/health", "/all", "/none"] {
        client.send(get(path, ""));
        client.answer();
    }
    for path in ["/x", "/y"] {
        client.send(get(path, "").replace("a.example", "b.example"));
        client.answer();
    }
    client.send("GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.answer().status, 505);
    drop(client);
    let all = lines(server, &files.join("all"));
    assert_eq!(all, ["a.example /all 204", "b.example /x 204", "b.example /y 404", "- - 505"]);
    let apex = fs::read_to_string(files.join("apex")).unwrap();
    assert_eq!(apex, "a.example / /\na.example /none *\n");
}

#[test]
fn what_belongs_to_no_site_is_in_the_first_log_by_name() {
    let files = Scratch::new("logs-first");
    let server = serve(
        &files,
        r#"
        [log.access]
        one = { to = "one", format = "{host} {status}" }
        two = { to = "two", format = "{host} {status}" }
        zero = { to = "zero" }
        [[site]]
        hosts = ["b.example"]
        access_log = "two"
        respond = 204
        [[site]]
        hosts = ["a.example"]
        access_log = "one"
        respond = 204
        "#,
    );
    let mut client = Client::at(address(&server));
    for host in ["a.example", "b.example", "c.example"] {
        client.send(get("/", "").replace("a.example", host));
        client.answer();
    }
    drop(client);
    assert_eq!(lines(server, &files.join("one")), ["a.example 204", "c.example 404"]);
    assert_eq!(fs::read_to_string(files.join("two")).unwrap(), "b.example 204\n");
    assert!(!files.join("zero").exists(), "nobody names it");
}

#[test]
fn a_file_without_logs_leaves_them_to_who_starts_it() {
    let files = Scratch::new("logs-started");
    let text = r#"
        [server]
        workers = 1
        [[listen]]
        addr = "127.0.0.1:0"
        [[site]]
        hosts = ["*"]
        respond = 204
        [[site.route]]
        path = "/quiet"
        access_log = ""
        respond = 204
    "#;
    let format = Format::Template(Template::parse("{target}").unwrap());
    let server = server_of(&files, text).access_log(format, Destination::File(files.join("log")));
    let server = server.start().unwrap();
    let mut client = Client::at(address(&server));
    for path in ["/", "/quiet"] {
        client.send(get(path, ""));
        client.answer();
    }
    drop(client);
    assert_eq!(lines(server, &files.join("log")), ["/"]);
}

#[test]
fn a_sample_and_what_is_redacted() {
    let files = Scratch::new("logs-redacted");
    let server = serve(
        &files,
        r#"
        [log.access.main]
        to = "main"
        format = "{target} {referer} {user_agent} {status}"
        sample = { ok = 0.0 }
        redact = ["user-agent", "cookie", "query:token"]
        [[site]]
        hosts = ["*"]
        access_log = "main"
        respond = 404
        [[site.route]]
        path = "/"
        respond = 204
        "#,
    );
    let mut client = Client::at(address(&server));
    let fields = "Referer: https://a.example/?TOKEN=SECRET\r\nUser-Agent: SECRET\r\nCookie: SECRET\r\n";
    for path in ["/?token=SECRET", "/x?%74oken=SECRET&b=2", "/y"] {
        client.send(get(path, fields));
        client.answer();
    }
    drop(client);
    let referer = "https://a.example/?TOKEN=***";
    let expected = [format!("/x?%74oken=***&b=2 {referer} - 404"), format!("/y {referer} - 404")];
    assert_eq!(lines(server, &files.join("main")), expected);
}

#[test]
fn who_has_asked_for_which_host_is_left_out_everywhere() {
    let files = Scratch::new("logs-somebody");
    let server = serve(
        &files,
        r#"
        [log.access.main]
        to = "main"
        format = "{client} {peer} {host} {target} {status}"
        redact = ["client", "host"]
        [[site]]
        hosts = ["*"]
        access_log = "main"
        respond = 204
        "#,
    );
    let mut client = Client::at(address(&server));
    for target in ["/a", "http://SECRET/a", "http://SECRET/?b=http://c/"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: SECRET\r\n\r\n"));
        assert_eq!(client.answer().status, 204);
    }
    drop(client);
    let expected = ["/a", "http://***/a", "http://***/?b=http://c/"];
    let expected = expected.map(|target| format!("127.0.0.0 127.0.0.0:0 - {target} 204"));
    assert_eq!(lines(server, &files.join("main")), expected);
}

/// What clients send to be taken for somebody else, or for several requests: `PATH` is that of the log.
const HOSTILE: [&str; 8] = [
    "GET PATH?x=%0a203.0.113.9 HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET PATH?\"|401,\"client\":\"203.0.113.9\\ HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET PATH HTTP/1.1\r\nHost: a.example\r\nReferer: x\" 401 0 \"-\"\t|203.0.113.9 - -\r\n\
     User-Agent: caf\u{e9} \u{1f300} \\\" } {\"status\":401}\r\n\r\n",
    "GET PATH HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 203.0.113.9\" - ada\r\n\
     X-Request-Id: a\" |b\r\n\r\n",
    "GET PATH HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic YSIgfGIKYzp4\r\n\r\n",
    "GE|T'`* PATH HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET http://a.example|\"/PATH HTTP/1.1\r\nHost: a.example|\"\r\n\r\n",
    "GET PATH HTTP/1.1\r\nHost: a.example\r\nUser-Agent: a\r\n\x1b[2J: b\r\n\r\n",
];

/// One request is one line in every format, and its parts are as many as ever.
#[test]
fn nothing_that_a_client_sends_makes_another_line_or_another_part_of_one() {
    let formats =
        ["json", "combined", "pretty", "{client}|{host}|{method}|{target}|{referer}|{user_agent}|{id}"];
    for format in formats {
        let files = Scratch::new("logs-hostile");
        let server = serve(
            &files,
            &format!(
                r#"
                server.request_ids = "any"
                [log.access]
                main = {{ to = "log", format = '{format}' }}
                [[site]]
                hosts = ["*"]
                access_log = "main"
                respond = 204
                "#
            ),
        );
        for request in HOSTILE {
            let mut client = Client::at(address(&server));
            client.send(request.replace("PATH", "/path"));
            client.answer();
        }
        let lines = lines(server, &files.join("log"));
        assert_eq!(lines.len(), HOSTILE.len(), "{lines:#?}");
        for line in &lines {
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
            match format {
                "json" => {
                    shown(line, &members());
                    let line: Value = serde_json::from_str(line).unwrap();
                    assert_eq!(line["client"], "127.0.0.1", "{line}");
                }
                "combined" => {
                    assert_eq!(line.matches('"').count(), 6, "{line}");
                    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
                }
                "pretty" => {}
                _ => {
                    assert_eq!(line.matches('|').count(), format.matches('|').count(), "{line}");
                    assert!(line.starts_with("127.0.0.1|"), "{line}");
                }
            }
        }
    }
}

#[test]
fn what_a_full_disk_does_not_take_is_counted_by_the_name_of_the_log() {
    let files = Scratch::new("logs-full");
    let server = serve(
        &files,
        r#"
        [log.access]
        full = { to = "/dev/full" }
        well = { to = "well", format = "{target}" }
        [[site]]
        hosts = ["*"]
        access_log = "full"
        respond = 204
        [[site.route]]
        path = "/well"
        access_log = "well"
        respond = 204
        "#,
    );
    let mut client = Client::at(address(&server));
    for path in ["/", "/well", "/"] {
        client.send(get(path, ""));
        assert_eq!(client.answer().status, 204);
    }
    // Without another request.
    support::until("both are counted", || {
        let logs = server.snapshot().logs;
        logs.iter().map(|log| (&*log.name, log.lines_dropped)).eq([("full", 2), ("well", 0)])
    });
    drop(client);
    assert_eq!(lines(server, &files.join("well")), ["/well"]);
}

#[test]
fn datagrams_are_lines() {
    let files = Scratch::new("logs-datagrams");
    let reader = UnixDatagram::bind(files.join("socket")).unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let text = r#"
        [log.access.main]
        to = "unix:socket"
        format = "{target} {user_agent}"
        [[site]]
        hosts = ["*"]
        access_log = "main"
        respond = 204
    "#;
    let server = serve(&files, text);
    let mut client = Client::at(address(&server));
    for (path, agent) in [("/a", "curl"), ("/b", "caf\u{e9} \"")] {
        client.send(get(path, &format!("User-Agent: {agent}\r\n")));
        client.answer();
    }
    for expected in ["/a curl", "/b caf\\xc3\\xa9 \\x22"] {
        let mut datagram = [0; 100];
        let length = reader.recv(&mut datagram).unwrap();
        assert_eq!(std::str::from_utf8(&datagram[..length]), Ok(expected));
    }
    drop(reader);
    fs::remove_file(files.join("socket")).unwrap();
    let server = server_of(&files, text).listen("127.0.0.1:0").unwrap();
    let error = server.start().unwrap_err().to_string();
    assert!(error.contains("the access log") && error.contains("/socket: No such file"), "{error}");
}

/// The wall clock is not read for each request, and still nothing seems to be answered before it is asked.
#[test]
fn times_of_lines_are_those_of_their_requests() {
    const DAY: u64 = 86_400_000;
    let folder = Scratch::new("logs-times");
    let log = folder.join("log");
    let app = App::new().get("/", Response::text("hi"));
    let server = start(alone(app).access_logs([Log::new(Format::Json, Destination::File(log.clone()))]));
    let mut client = Client::at(address(&server));
    let asked = (0..30).map(|_| {
        let asked = millis_of_day();
        client.send(get("/", ""));
        client.answer();
        dawdle(Duration::from_millis(7));
        asked
    });
    let asked: Vec<u64> = asked.collect();
    drop(client);
    for (line, asked) in lines(server, &log).iter().zip(&asked) {
        let line: Value = serde_json::from_str(line).unwrap();
        let clock = line["time"].as_str().unwrap()[11..23].split([':', '.']);
        let parts = clock.map(|part| part.parse::<u64>().unwrap()).zip([3_600_000, 60_000, 1_000, 1]);
        let said: u64 = parts.map(|(part, millis)| part * millis).sum();
        // Each rounds for itself.
        let later = (said + 2 + DAY - asked) % DAY;
        assert!(later < 10_000, "asked at {asked}, said {said}");
    }
}

/// By the wall clock: milliseconds since midnight, UTC.
#[expect(clippy::disallowed_methods, reason = "a client of the server under test has a clock of its own")]
fn millis_of_day() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap() % 86_400_000
}

#[test]
fn a_template_that_nobody_could_read_is_told_at_its_place() {
    let files = Scratch::new("logs-template");
    let text = r#"
[[site]]
hosts = ["*"]
access_log = "main"
respond = 404
[log.access.main]
format = "{method}{target}"
"#;
    let read = Configuration::parse(text, files.join("kolk.toml")).unwrap();
    let errors = read.server().unwrap_err().to_string();
    assert!(errors.contains("kolk.toml:7:10") && errors.contains("between `{method}` and"), "{errors}");
}

#[test]
fn the_names_of_templates_are_those_of_the_file_and_of_the_page() {
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(sorted(&LogFormat::NAMES), sorted(Template::NAMES));
    let members = members();
    let members: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    assert_eq!(sorted(&members), sorted(Template::NAMES));
}

/// A row of the table in the page.
struct Member {
    name: String,
    is_optional: bool,
    is_number: bool,
}

fn members() -> Vec<Member> {
    let page = fs::read_to_string(PAGE).unwrap();
    let table = page.split_once("| member | type | meaning |\n").unwrap().1;
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].split('`').nth(1).unwrap().to_owned();
        assert!(matches!(cells[2], "string" | "number"), "{row}");
        Member { name, is_optional: cells[1].ends_with('?'), is_number: cells[2] == "number" }
    })
    .collect()
}

/// The members of a line, which must be those of the page in their order.
fn shown(line: &str, members: &[Member]) -> Vec<String> {
    let object: Value = serde_json::from_str(line).unwrap();
    let object = object.as_object().unwrap();
    let (mut rest, mut seen) = (line, Vec::new());
    for member in members {
        let Some(value) = object.get(&member.name) else {
            assert!(member.is_optional, "{} is missing: {line}", member.name);
            continue;
        };
        assert!(if member.is_number { value.is_number() } else { value.is_string() }, "{line}");
        let name = format!("\"{}\":", member.name);
        rest = rest.split_once(&name).unwrap_or_else(|| panic!("{name} is out of order: {line}")).1;
        seen.push(member.name.clone());
    }
    assert_eq!(seen.len(), object.len(), "{line} has more than is in {PAGE}");
    seen
}

#[test]
fn json_lines_have_the_members_of_the_page_in_their_order() {
    let files = Scratch::new("logs-json");
    let log = files.join("log");
    let told = Trust::new(ForwardedIn::XForwardedFor).network("127.0.0.1").unwrap();
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let staff = BasicAuth::new("staff").user("ada", hash).unwrap();
    let rate = Rate::new(Quota::per_minute(1).unwrap(), 1).unwrap().dry_run(true);
    let rate = RateLimit::new(&Arc::default(), Policy::new("dry", rate).unwrap(), RateKey::Address);
    let (open, opened) = Gate::new();
    let pieces = move |request: &Request<'_>| {
        let (mut body, response) = channel(request, 4096);
        let open = open.clone();
        std::thread::spawn(move || {
            let _ = body.write_blocking("one".into());
            open.pass();
            let _ = body.write_blocking("two".into());
        });
        response
    };
    let app = App::new()
        .layer(RequestIds::new())
        .get("/pieces", pieces.timed())
        .get("/all/{x}", staff.guard(Response::text("all\n")).timed())
        .get("/quiet", (|_: &Request<'_>| "quiet\n").logged(LogId::NONE))
        .get("/caf\u{e9}", (|_: &Request<'_>| "dry\n").layer(rate));
    let to = Destination::File(log.clone());
    let server = alone(app).trust(told).access_log(Format::Json, to);
    let server = start(server);
    let mut client = Client::to(&server);
    let fields = "Referer: \"\\\r\nUser-Agent: \u{1f300}\x7e\r\nX-Forwarded-For: 192.0.2.1\r\n";
    let password = "Authorization: Basic YWRhOnBhc3N3b3Jk\r\n";
    client.send(get("/all/1?\"", &format!("{fields}{password}")));
    client.answer();
    client.send(get("/all/1", &format!("{fields}Authorization: Basic eDp5\r\n")));
    assert_eq!(client.answer().status, 401);
    client.send(get("/quiet", ""));
    client.answer();
    client.send(get("/pieces", ""));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.take(15), b"00000003\r\none\r\n");
    drop(opened);
    assert_eq!(client.take(20), b"00000003\r\ntwo\r\n0\r\n\r\n");
    client.send("GET / HTTP/9.9\r\n\r\n");
    client.answer();
    drop(client);
    let mut client = Client::to(&server);
    for _ in 0..2 {
        client.send(get("/caf%C3%A9", ""));
        client.answer();
    }
    drop(client);
    let members = members();
    let lines = lines(server, &log);
    assert_eq!(lines.len(), 6, "{lines:?}");
    let seen: Vec<String> = lines.iter().flat_map(|line| shown(line, &members)).collect();
    let missing: Vec<&str> =
        members.iter().map(|member| &*member.name).filter(|name| !seen.iter().any(|s| s == name)).collect();
    assert!(missing.is_empty(), "no line has shown {missing:?}");
    let route: Value = serde_json::from_str(&lines[5]).unwrap();
    assert_eq!(route["route"], "/caf\u{e9}", "no client has written it: {}", lines[5]);
    let told = r#""client":"192.0.2.1","scheme":"http","host":"a.example","#;
    assert!(lines[0].contains(told), "{}", lines[0]);
    assert!(lines[2].contains(r#""client":"127.0.0.1","scheme":"http","#), "{}", lines[2]);
    assert!(lines[3].contains(r#""client":"127.0.0.1","scheme":"http","status":505"#), "{}", lines[3]);
    assert!(lines[2].contains(r#""target":"/pieces""#) && lines[2].contains(r#""bytes":6,"#), "{}", lines[2]);
}

/// Four rates, each of another kind.
const RATES: &str = r#"
    server.admin = "127.0.0.1:0"
    [rate]
    many = { rate = "1/m", burst = 2 }
    few = { rate = "1/m", burst = 1 }
    watched = { rate = "1/m", burst = 1, dry_run = true }
    slow = { rate = "20/s", burst = 1, mode = "delay" }
    [log.access]
    main = { to = "log", format = "{target} {status} {reason} {rate} {rate_result}" }
    json = { to = "json" }
    [[site]]
    hosts = ["*"]
    access_log = "main"
    respond = 404
    [[site.route]]
    path = "/two"
    rate = ["many", "few"]
    respond = { text = "two\n" }
    [[site.route]]
    path = "/many"
    rate = ["many"]
    error_pages = { 429 = "/429.html" }
    respond = { text = "many\n" }
    [[site.route]]
    path = "/dry"
    rate = ["watched"]
    respond = { text = "dry\n" }
    [[site.route]]
    path = "/slow"
    rate = ["slow"]
    access_log = "json"
    respond = { text = "slow\n" }
    [[site.route]]
    path = "/429.html"
    respond = { text = "{reason}" }
"#;

#[test]
fn a_rate_that_does_not_simply_let_pass_is_named_in_the_log_the_page_and_by_why() {
    let files = Scratch::new("logs-rates");
    let server = serve(&files, RATES);
    let mut client = Client::at(address(&server));
    let mut ask = |path: &str, fields: &str| {
        client.send(get(path, fields));
        client.answer()
    };
    assert_eq!(ask("/two", "").status, 200);
    let refused = ask("/two", "");
    assert_eq!((refused.status, refused.text().contains("(limit.rate.few)")), (429, true));
    assert_eq!(ask("/many", "").status, 200);
    assert!(ask("/many", "").text().contains("limit.rate.many"));
    assert!(ask("/many", "Accept: application/json\r\n").text().contains("\"reason\":\"limit.rate.many\""));
    (0..2).for_each(|_| assert_eq!(ask("/dry", "").status, 200));
    (0..2).for_each(|_| assert_eq!(ask("/slow", "").status, 200));
    let recent = server.handle().recent(100);
    let of = |part: &str| recent.lines().filter(|line| line.contains(part)).count();
    let refused = r#""reason":"limit.rate.few","rate":"few","rate_result":"refused","detail""#;
    assert_eq!(of(refused), 1, "{recent}");
    assert_eq!(of(r#""rate":"watched","rate_result":"would_refuse""#), 1, "{recent}");
    drop(client);
    let expected = [
        "/two 200 - - -",
        "/two 429 limit.rate.few few refused",
        "/many 200 - - -",
        "/many 429 limit.rate.many many refused",
        "/many 429 limit.rate.many many refused",
        "/dry 200 - - -",
        "/dry 200 - watched would_refuse",
    ];
    assert_eq!(lines(server, &files.join("log")), expected);
    let json = fs::read_to_string(files.join("json")).unwrap();
    let slow: Vec<bool> =
        json.lines().map(|line| line.contains(r#""rate":"slow","rate_result":"delayed""#)).collect();
    assert_eq!(slow, [false, true], "{json}");
}

/// The id of an answer to a head that cannot be read, which is none of `others`.
fn refused(client: &mut Client, others: &[String]) -> String {
    let answer = client.answer();
    let id = answer.field("x-request-id").unwrap().to_owned();
    assert!(answer.status >= 400 && id.len() == 32, "{} {id}", answer.status);
    assert!(answer.text().ends_with(&format!("\nrequest {id}\n")), "{}", answer.text());
    assert!(answer.field("traceparent").is_some_and(|parent| parent.contains(&id)));
    assert!(others.iter().all(|line| !line.contains(&id)), "{id} once more: {others:?}");
    id
}

#[test]
fn an_id_is_in_the_answer_the_page_and_the_log_and_only_a_proxy_brings_one() {
    let files = Scratch::new("logs-ids");
    fs::write(files.join("404.html"), "<p>{status} {id}</p>").unwrap();
    for (proxies, believed) in [("127.0.0.1", true), ("192.0.2.1", false)] {
        let server = serve(
            &files,
            &format!(
                r#"
                server.request_ids = "trusted"
                server.trust.proxies = ["{proxies}"]
                [log.access]
                main = {{ to = "ids-{proxies}", format = "{{target}} {{id}}" }}
                [[site]]
                hosts = ["*"]
                access_log = "main"
                error_pages = {{ 404 = "/404.html" }}
                [[site.route]]
                path = "/"
                respond = 204
                [[site.route]]
                path = "/404.html"
                static = {{ root = "." }}
                "#
            ),
        );
        let mut client = Client::at(address(&server));
        let mut expected = Vec::new();
        for (path, sent) in [("/", "order-17"), ("/none", "order-18"), ("/", "a b")] {
            client.send(get(path, &format!("X-Request-Id: {sent}\r\n")));
            let answer = client.answer();
            let id = answer.field("x-request-id").unwrap().to_owned();
            assert_eq!(id == sent, believed && sent != "a b", "{proxies} {sent}: {id}");
            if path == "/none" {
                assert_eq!(support::lossy(&answer.body), format!("<p>404 {id}</p>"));
            }
            expected.push(format!("{path} {id}"));
        }
        client.send("GET /x HTTP/9.9\r\n\r\n");
        expected.push(format!("- {}", refused(&mut client, &expected)));
        drop(client);
        let mut client = Client::at(address(&server));
        client.send("nonsense\r\n\r\n");
        expected.push(format!("- {}", refused(&mut client, &expected)));
        drop(client);
        assert_eq!(lines(server, &files.join(format!("ids-{proxies}"))), expected);
    }
}

/// A body without an end.
struct Endless;

impl Source for Endless {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        pull.write(&[b'x'; 16 * 1024]);
        Pulled::More
    }
}

/// Something that ends, something that does not, something that waits, and something that takes.
fn site_to_leave(gate: &Gate) -> App {
    let gate = gate.clone();
    let late = deferred(move |_: &Request<'_>, reply: Reply| {
        let gate = gate.clone();
        std::thread::spawn(move || {
            gate.pass();
            reply.send("late\n");
        });
    });
    App::new()
        .get("/", Response::text("whole\n"))
        .get("/endless", |_: &Request<'_>| Response::stream("text/plain", Endless))
        .get("/late", late)
        .post("/upload", |request: &Request<'_>| request.body().len().to_string())
}

/// The server of [`site_to_leave`]: of what is well there is no line.
fn to_leave(gate: &Gate, log: &Path) -> Running {
    let format = Format::Template(Template::parse("{peer}|{target} {status} {reason} {bytes}").unwrap());
    let log = Log::new(format, Destination::File(log.to_owned())).sample(0.0, 1.0);
    let server = alone(site_to_leave(gate)).timeouts(quick()).access_logs([log]);
    start(server.flight_recorder(FlightRecorder::new(64 * 1024)))
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// So many connections have ended.
fn ended(server: &Running, connections: u64) {
    support::until("the connection ends", || server.snapshot().closes.iter().sum::<u64>() == connections);
}

/// The lines without the address and the bytes, which are none or, of an answer that has begun, some: no
/// more than were sent.
fn cuts(server: Running, log: &Path) -> Vec<String> {
    let sent = server.handle();
    let lines = lines(server, log);
    let sent_bytes = sent.snapshot().bytes_sent;
    let cut = lines.iter().map(|line| {
        let (peer, line) = line.split_once('|').unwrap();
        assert!(peer.starts_with("127.0.0.1:"), "{peer}: who it was is known, though it is gone");
        let (line, bytes) = line.rsplit_once(' ').unwrap();
        let bytes: u64 = bytes.parse().unwrap();
        assert_eq!(bytes > 0, line.contains(" 200 "), "{line} {bytes}");
        assert!(bytes <= sent_bytes, "{line} {bytes}: {sent_bytes} were sent");
        line.to_owned()
    });
    cut.collect()
}

#[test]
fn a_request_whose_connection_ends_before_it_has_one_line() {
    let files = Scratch::new("logs-cut");
    let (gate, _keeper) = Gate::new();
    let log = files.join("log");
    let server = to_leave(&gate, &log);
    let ask = |request: &str| {
        let mut client = Client::to(&server);
        client.send(request);
        client
    };
    let upload = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab";
    let handled = |what| support::until("it is handled", || server.snapshot().phases[what as usize] == 1);

    // In the middle of an answer.
    let mut client = ask(&get("/endless", ""));
    client.take(1_000_000);
    reset(client.stream);
    ended(&server, 1);
    // Whoever stops to read.
    let _stalled = ask(&get("/endless", ""));
    ended(&server, 2);
    // In the middle of a body: with an orderly end, and without.
    let client = ask(upload);
    handled(Phase::Body);
    client.finish();
    ended(&server, 3);
    let client = ask(upload);
    handled(Phase::Body);
    reset(client.stream);
    ended(&server, 4);
    // While somebody works on the answer.
    let client = ask(&get("/late", ""));
    handled(Phase::Handling);
    reset(client.stream);
    ended(&server, 5);
    // Two that are well.
    let mut client = ask(&get("/", ""));
    client.answer();
    assert_eq!(client.get("/").status, 200);
    drop(client);
    ended(&server, 6);
    // And one that the server does not wait for.
    let client = ask(&get("/late", ""));
    handled(Phase::Handling);

    let recent = server.handle().recent(99);
    let cut: Vec<&str> = recent.lines().filter(|line| line.contains("\"cut\":true")).collect();
    assert_eq!(cut.len(), 5, "{recent}");
    let stall = r#""reason":"timeout.write","detail":"the client stopped taking the answer","advice":""#;
    assert!(cut[1].contains(stall), "{}", cut[1]);
    assert_eq!(*server.snapshot().requests_by_class, [0, 4, 0, 3, 0], "each once");
    let routes = server.snapshot().routes;
    assert!(routes.is_empty(), "nobody has asked for them");
    server.handle().drain(Duration::ZERO);
    ended(&server, 7);
    drop(client);
    let expected = [
        "/endless 200 close.abandoned",
        "/endless 200 timeout.write",
        "/upload 499 close.abandoned",
        "/upload 499 close.peer_reset",
        "/late 499 close.abandoned",
        "/late 503 timeout.drain",
    ];
    assert_eq!(cuts(server, &log), expected);
}

#[test]
fn a_request_of_http_2_that_is_left_has_one_line() {
    let files = Scratch::new("logs-cut-streams");
    let (gate, _keeper) = Gate::new();
    let log = files.join("log");
    let server = to_leave(&gate, &log);
    let ask = |frames: &str| {
        let mut client = Client::to(&server);
        client.send(bytes_of(&format!("PREFACE | SETTINGS | SETTINGS ACK | {frames}")));
        client
    };
    let get = |stream: u32, target: &str| format!("HEADERS {stream} END_STREAM END_HEADERS GET={target}");
    let upload = "HEADERS 1 END_HEADERS POST=/upload content-length=10 | DATA 1 \"ab\"";
    let handled = |what| support::until("it is handled", || server.snapshot().phases[what as usize] == 1);

    // The whole connection goes: with an answer that has begun, and with one that has not.
    let mut client = ask(&format!("{} | {}", get(1, "/endless"), get(3, "/late")));
    client.take(60_000);
    reset(client.stream);
    ended(&server, 1);
    // Nobody opens the windows.
    let mut stalled = ask(&get(1, "/endless"));
    stalled.is_cut();
    ended(&server, 2);
    // In the middle of a body.
    let client = ask(upload);
    handled(Phase::Body);
    client.finish();
    ended(&server, 3);
    // Streams alone: the connection goes on, and has others that are well.
    let streams = [get(1, "/endless"), get(3, "/late"), get(5, "/")].join(" | ");
    let mut client = ask(&streams);
    client.take(60_000);
    let before = server.snapshot().streams_reset;
    client.send(bytes_of("RST_STREAM 1 CANCEL | RST_STREAM 3 CANCEL"));
    let over = || server.snapshot().streams_reset == before + 2;
    support::until("both are over", over);
    drop(client);
    ended(&server, 4);
    let expected = [
        "/endless 200 close.abandoned",
        "/late 499 close.abandoned",
        "/endless 200 timeout.h2_window",
        "/upload 499 close.abandoned",
        "/endless 200 close.abandoned",
        "/late 499 close.abandoned",
    ];
    assert_eq!(cuts(server, &log), expected);
}

#[test]
fn whatever_ends_a_request_of_http_2_it_has_one_line_and_is_counted_once() {
    let upload = "HEADERS 1 END_HEADERS POST=/upload content-length=1";
    let cases: [(String, &[&str]); 6] = [
        // What could not be read, with a connection that goes on, and with one that does not.
        ("HEADERS 1 END_STREAM END_HEADERS GET=/ Bad=x".to_owned(), &["1 400 parse.field_name"]),
        ("HEADERS 1 END_STREAM GET=/".to_owned(), &["1 408 timeout.header"]),
        ("WINDOW_UPDATE 0 +0".to_owned(), &["1 400 parse.h2_window_zero"]),
        // What breaks a rule when its head was read, and what is open when others do.
        (format!("{upload} | DATA 1 END_STREAM \"ab\""), &["1 400 parse.h2_length"]),
        (format!("{upload} | WINDOW_UPDATE 0 +0"), &["1 400 parse.h2_window_zero"]),
        // A stream that is over has its line.
        ("HEADERS 1 END_STREAM END_HEADERS GET=/ | WINDOW_UPDATE 1 +0".to_owned(), &["1 200 -"]),
    ];
    for (number, (frames, expected)) in cases.into_iter().enumerate() {
        let files = Scratch::new(&format!("logs-streams-{number}"));
        let log = files.join("log");
        let format = Format::Template(Template::parse("{request} {status} {reason} {id}").unwrap());
        let (gate, _keeper) = Gate::new();
        let app = site_to_leave(&gate).layer(RequestIds::new());
        let logs = [Log::new(format, Destination::File(log.clone()))];
        let server = start(alone(app).timeouts(quick()).access_logs(logs));
        let mut client = Client::to(&server);
        client.send(bytes_of(&format!("PREFACE | SETTINGS | SETTINGS ACK | {frames}")));
        client.is_cut();
        drop(client);
        ended(&server, 1);
        let counted = server.snapshot();
        let lines = lines(server, &log);
        let told: Vec<&str> = lines.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(told, expected, "{frames}");
        assert!(lines.iter().all(|line| !line.ends_with(" -")), "each has an id: {lines:?}");
        assert_eq!(counted.requests(), expected.len() as u64, "{frames}");
    }
}

/// How many bytes of its answer a line tells, and whether that was cut.
type Told = fn(&str) -> (u64, bool);

/// The formats, and how their lines are read.
fn telling() -> [(Format, Told); 4] {
    let template = Template::parse("{total_us} {bytes} {reason} {respond_us}").unwrap();
    [
        // It has no reason.
        (Format::Combined, |line| {
            let bytes = line.split(' ').nth(9).unwrap().parse().unwrap();
            (bytes, bytes < 6)
        }),
        (Format::Json, |line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let reason = line.get("reason").map(|reason| reason == "close.abandoned");
            (line["bytes"].as_u64().unwrap(), reason.is_some_and(|is_left| is_left || panic!("{line}")))
        }),
        (Format::Pretty { colour: false }, |line| {
            let bytes = line.split_once(" B ").unwrap().0.rsplit(' ').next().unwrap();
            (bytes.parse().unwrap(), line.ends_with("  close.abandoned"))
        }),
        (Format::Template(template), |line| {
            let parts: Vec<&str> = line.split(' ').collect();
            (parts[1].parse().unwrap(), parts[2] == "close.abandoned")
        }),
    ]
}

/// Asks for small answers and reads none, until nobody takes any more questions.
fn ask_until_full(server: &Running, request: &str) -> Client {
    let client = Client::to(server);
    let mut stream = client.stream.try_clone().unwrap();
    SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let many = request.repeat(1_000);
    while stream.write_all(many.as_bytes()).is_ok() {}
    client
}

#[test]
fn an_answer_is_whole_when_the_kernel_has_taken_its_last_byte() {
    for (number, (format, told)) in telling().into_iter().enumerate() {
        for path in ["/", "/made"] {
            let files = Scratch::new(&format!("logs-untaken-{number}-{}", path.len()));
            let log = files.join("log");
            let app = App::new()
                .get("/", Response::text("whole\n"))
                .get("/made", |_: &Request<'_>| Response::text("whole\n"));
            let server = alone(app).access_logs([Log::new(format.clone(), Destination::File(log.clone()))]);
            let server = start(server.flight_recorder(FlightRecorder::new(1024 * 1024)));
            let mut client = Client::to(&server);
            let answer_bytes = client.get(path).head.len() as u64 + 6;
            drop(client);
            ended(&server, 1);
            let client = ask_until_full(&server, &get(path, ""));
            reset(client.stream);
            ended(&server, 2);
            let counted = server.snapshot();
            assert_eq!(counted.closes[CloseReason::Abandoned.index()], 1, "it left within an answer");
            let recent = server.handle().recent(999);
            let lines = lines(server, &log);
            let (cut, whole): (Vec<_>, Vec<_>) = lines.iter().map(|line| told(line)).partition(|told| told.1);
            assert!(whole.iter().all(|(bytes, _)| *bytes == 6));
            assert!(cut.iter().skip(1).all(|(bytes, _)| *bytes == 0), "only the first has begun: {cut:?}");
            assert!(!cut.is_empty());
            assert_eq!(lines.len() as u64, counted.requests(), "one line each");
            assert_eq!(whole.len() as u64, counted.bytes_sent / answer_bytes, "{} bytes each", answer_bytes);
            assert_eq!(recent.matches("\"cut\":true").count(), cut.len(), "they are remembered so");
            assert_eq!(recent.matches("\"reason\":\"close.abandoned\"").count(), cut.len());
        }
    }
}

#[test]
fn a_large_answer_has_its_line_when_it_is_over() {
    const LARGE_BYTES: usize = 24 * 1024 * 1024;
    let files = Scratch::new("logs-large");
    let log = files.join("log");
    let app = App::new().get("/", |_: &Request<'_>| Response::typed("a/b", vec![b'x'; LARGE_BYTES].into()));
    let server = start(alone(app).access_logs([Log::new(Format::Json, Destination::File(log.clone()))]));
    let waits = || support::until("it waits", || server.snapshot().phases[Phase::Sending as usize] == 1);
    // One reads a little and leaves, and one reads all of it, after a while.
    let mut client = Client::to(&server);
    client.send(get("/", ""));
    client.take(300_000);
    waits();
    reset(client.stream);
    ended(&server, 1);
    let mut client = Client::to(&server);
    client.send(get("/", ""));
    waits();
    dawdle(Duration::from_millis(50));
    assert_eq!(client.answer().body.len(), LARGE_BYTES);
    drop(client);
    ended(&server, 2);
    let sent_bytes = server.snapshot().bytes_sent;
    let lines: Vec<Value> =
        lines(server, &log).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |at: usize, name: &str| lines[at].get(name).and_then(Value::as_u64).unwrap_or(0);
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["reason"], &lines[0]["status"]), (&"close.abandoned".into(), &200.into()));
    assert!(told(0, "bytes") >= 299_000, "{}", lines[0]);
    assert_eq!((lines[1].get("reason"), told(1, "bytes")), (None, LARGE_BYTES as u64));
    assert!(told(0, "bytes") + told(1, "bytes") < sent_bytes, "{} and {sent_bytes}", lines[0]);
    let total = lines[1]["total_us"].as_f64().unwrap();
    assert!(total >= 50_000.0 && lines[1]["respond_us"].as_f64().unwrap() < total, "{}", lines[1]);
}

#[test]
fn an_answer_of_http_2_is_whole_when_the_kernel_has_taken_it() {
    const EACH_BYTES: usize = 60_000;
    const STREAMS: u64 = 90;
    let files = Scratch::new("logs-untaken-streams");
    let log = files.join("log");
    let app = App::new().get("/", Response::text("x".repeat(EACH_BYTES)));
    let server = start(alone(app).access_logs([Log::new(Format::Json, Destination::File(log.clone()))]));
    let mut client = Client::to(&server);
    SockRef::from(&client.stream).set_recv_buffer_size(4096).unwrap();
    let wide = "PREFACE | SETTINGS INITIAL_WINDOW_SIZE=1000000 | SETTINGS ACK | WINDOW_UPDATE 0 +100000000";
    // All at once: who reads no answers is not read from for long.
    let asks = (0..STREAMS).map(|stream| format!("HEADERS {} END_STREAM END_HEADERS GET=/", 2 * stream + 1));
    client.send(asks.fold(bytes_of(wide), |all, ask| [all, bytes_of(&ask)].concat()));
    support::until("all have begun", || server.snapshot().requests() == STREAMS);
    support::until("it waits", || server.snapshot().phases[Phase::Sending as usize] == 1);
    reset(client.stream);
    ended(&server, 1);
    let counted = server.snapshot();
    assert_eq!(counted.closes[CloseReason::Abandoned.index()], 1);
    let lines: Vec<Value> =
        lines(server, &log).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, STREAMS);
    let told: u64 = lines.iter().map(|line| line["bytes"].as_u64().unwrap()).sum();
    assert!(told <= counted.bytes_sent, "{told} are told, {} were sent", counted.bytes_sent);
    for line in &lines {
        let is_whole = line["bytes"] == EACH_BYTES;
        assert_eq!(line.get("reason").is_none(), is_whole, "{line}");
    }
}
