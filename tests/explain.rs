//! WHO WOULD DECIDE WHAT: `golden/explain/*.md` from the library, and the program that prints it.
//!
//! `UPDATE=1 cargo test --test explain` writes the explanations down anew: read what has changed before you
//! believe it. Each of them is also held against the answer that the same request gets.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use http::{HeaderName, HeaderValue, Request};
use kolk::Configuration;
use kolk::app::Stage;

use cases::Kinds;
use program::scratch::Scratch;
use program::{command, run};

#[allow(dead_code, reason = "these cases are texts, without escapes")]
#[path = "golden/cases.rs"]
mod cases;
#[path = "support/program.rs"]
mod program;

fn site() -> Configuration {
    // The places are as whoever works in that folder sees them.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explain-site/kolk.toml");
    Configuration::load(path).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The request of a case, and its client.
fn asked(question: &str) -> (Request<()>, IpAddr) {
    let mut lines = question.lines();
    let first = lines.next().unwrap();
    let (first, client) = first.split_once(" from ").unwrap_or((first, "127.0.0.1"));
    let (method, url) = first.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(url).body(()).unwrap();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let (name, value) = (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        request.headers_mut().append(name, value);
    }
    (request, client.parse().unwrap())
}

#[test]
fn every_case() {
    let site = site();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/explain-site/");
    let kinds = Kinds { question: "ask", answer: "explanation" };
    let cases = cases::check("explain", &kinds, |title, question| {
        let (request, client) = asked(question);
        let explanation = site.explain(request, client).unwrap();
        let json: serde_json::Value = serde_json::from_str(&explanation.to_json()).unwrap();
        assert_eq!(
            json["status"].as_u64(),
            explanation.status().map(|status| status.as_u16().into()),
            "{title}"
        );
        assert_eq!(json["steps"].as_array().unwrap().len(), explanation.steps().len(), "{title}");
        let stages: Vec<_> = explanation.steps().iter().map(|step| step.stage()).collect();
        assert!(stages.is_sorted(), "{title}: {stages:?}");
        explanation.to_string().replace(folder, "")
    });
    assert!(cases >= 30, "{cases} cases");
}

/// Whatever is said of the answer is what a client reads, and the other way round.
#[test]
fn an_explanation_is_the_answer() {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/explain/handle.md")).unwrap();
    let mut compared = 0;
    for question in text.split("```ask\n").skip(1).map(|case| case.split("```").next().unwrap()) {
        let (request, client) = asked(question);
        if question.contains(" from ") {
            continue; // A client without a server has no address.
        }
        compared += 1;
        let explanation = site().explain(request.clone(), client).unwrap();
        let answer = site().app().unwrap().oneshot(request.map(|()| ""));
        assert_eq!(explanation.status(), Some(answer.status()), "{question}");
        let told = explanation.steps().iter().filter(|step| step.stage() == Stage::Respond);
        let mut told: Vec<_> = told
            .filter(|step| {
                // What a server alone adds or does.
                let others = ["status", "access log", "server", "server timing", "compress"];
                !others.contains(&step.topic()) && !step.text().starts_with("not sent")
            })
            .map(|step| step.topic().to_owned())
            .collect();
        let fields = answer.headers().keys().filter(|name| *name != http::header::CONTENT_LENGTH);
        let mut fields: Vec<_> = fields.map(ToString::to_string).collect();
        told.sort();
        fields.sort();
        assert_eq!(told, fields, "{question}");
    }
    assert!(compared >= 15, "{compared}");
}

/// A configuration, and `kolk explain` in its folder.
struct Folder(Scratch);

impl Folder {
    fn new(name: &str, configuration: &str) -> Self {
        let folder = Scratch::new(name);
        fs::write(folder.join("kolk.toml"), configuration).unwrap();
        Self(folder)
    }

    fn explain(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(command(&["explain"]).args(arguments).current_dir(&*self.0))
    }
}

const CONFIGURATION: &str = "[[site]]\nhosts = \"*\"\n[[site.route]]\npath = \"/{*rest}\"\nrespond = 204\n\
                             [[site.route]]\npath = \"/\"\nclient = [\"192.0.2.0/24\"]\nrespond = 200\n";

const USERS: &str = "ada:$2y$04$vad9ZIL/CzQHKqS4bqk/3usZ9meXiKvBk663AT9GpWf49O/yWzNJC\n";

#[test]
fn the_program_says_which_line_decides() {
    let folder = Folder::new("explain", CONFIGURATION);
    let (code, stdout, stderr) = folder.explain(&["GET", "http://a/", "--client", "192.0.2.7"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(
        stdout.starts_with("GET http://a/ from 192.0.2.7\n\naccept\n  listener  http://127.0.0.1:8080 "),
        "{stdout}"
    );
    for (decision, place) in [
        ("route        any method / if client in 192.0.2.0/24 ", "kolk.toml:7"),
        ("other route  any method /{*rest}: its path is less specific ", "kolk.toml:4"),
        ("action       respond with 200 ", "kolk.toml:9"),
        ("site         * ", "kolk.toml:2"),
    ] {
        let line = stdout
            .lines()
            .find(|line| line.contains(decision))
            .unwrap_or_else(|| panic!("{decision}: {stdout}"));
        assert!(line.ends_with(&format!("  # {place}")), "{line}");
    }
    // As clients ask: with a path, with escapes, and with the user in a field.
    for (url, asked) in [
        ("http://a?x=1", "GET http://a/?x=1 from 127.0.0.1\n"),
        ("http://a/x<y>", "GET http://a/x%3Cy%3E from 127.0.0.1\n"),
        ("http://ada:secret@a/x", "GET http://a/x from 127.0.0.1\n"),
    ] {
        let (code, stdout, stderr) = folder.explain(&["GET", url]);
        assert_eq!((code, &*stderr), (Some(0), ""), "{url}");
        assert!(stdout.starts_with(asked) && !stdout.contains("400 Bad Request"), "{url}: {stdout}");
    }
    let (code, stdout, _) = folder.explain(&["GET", "/", "--json", "-H", "X-A: b", "-c", "kolk.toml"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["status"]), (Some(0), &204.into()), "the most specific path is passed over");
    let why = "any method / if client in 192.0.2.0/24: `client in 192.0.2.0/24` does not hold";
    assert!(json["steps"].as_array().unwrap().iter().any(|step| step["says"] == why), "{stdout}");
}

#[test]
fn the_servers_name_is_nobody_elses_whoever_answers() {
    let auth = "[auth.staff]\nkind = \"basic\"\nfile = \"users\"\n";
    let site = "[[site]]\nhosts = \"*\"\nauth = \"staff\"\nerror_pages = { 401 = \"/401.html\" }\nrespond = 204\n\
                [[site.route]]\npath = \"/401.html\"\nrespond = 200\n";
    for (name, told) in [("", "not sent"), ("shop", "shop")] {
        let server = format!("[server]\nserver_name = \"{name}\"\n");
        let folder = Folder::new("explain-server", &[&server, auth, site].concat());
        fs::write(folder.0.join("users"), USERS).unwrap();
        let (code, stdout, stderr) = folder.explain(&["GET", "/"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(
            stdout.contains("\n  status            401 Unauthorized, handler.unauthorized\n"),
            "{stdout}"
        );
        let line = stdout.lines().find(|line| line.starts_with("  server ")).unwrap();
        let words: Vec<_> = line.split("  ").filter(|words| !words.is_empty()).map(str::trim).collect();
        assert_eq!(words, ["server", told, "# kolk.toml:2"]);
    }
}

#[test]
fn an_expectation_is_kept_or_shown_as_broken() {
    let named = format!("[server]\nrequest_ids = \"any\"\n{CONFIGURATION}");
    let folder = Folder::new("expect", &named);
    let ask = ["GET", "http://a/x"];
    let (_, stdout, _) = folder.explain(&ask);
    fs::write(folder.0.join("expected.txt"), stdout).unwrap();
    let expect = |folder: &Folder| folder.explain(&[&ask[..], &["--expect", "expected.txt"]].concat());
    assert_eq!(expect(&folder), (Some(0), String::new(), String::new()));
    // Elsewhere in the file, the same is decided.
    fs::write(folder.0.join("kolk.toml"), format!("# Moved.\n\n{named}")).unwrap();
    assert_eq!(expect(&folder), (Some(0), String::new(), String::new()));
    fs::write(folder.0.join("kolk.toml"), named.replace("204", "410")).unwrap();
    let (code, stdout, stderr) = expect(&folder);
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(stderr.starts_with("kolk: not what expected.txt expects (- expected, + is)\n"), "{stderr}");
    for difference in
        ["- action respond with 204", "+ action respond with 410", "- status 204 No Content", "+ status 410"]
    {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(stderr.lines().any(|line| words(line).starts_with(difference)), "{difference}: {stderr}");
    }
    assert!(stderr.contains("\n    site         * "), "what stays stands between: {stderr}");
}

#[test]
fn what_cannot_be_explained_is_told() {
    let folder = Folder::new("unexplained", CONFIGURATION);
    for (arguments, code, said) in [
        (&["G(T", "http://a/"][..], 2, "no method"),
        (&["GET", "ftp://a/"], 2, "begins with http://"),
        (&["GET", "a b"], 2, "cannot ask a b"),
        (&["GET", "a.example:80"], 2, "begins with http://"),
        (&["GET", "/", "-H", "no field"], 2, "'Name: value'"),
        (&["GET", "/", "-H", "a: b\nc: d"], 2, "'Name: value'"),
        (&["GET", "/", "-c", "none.toml"], 3, "none.toml"),
        (&["GET", "/", "-l", ":99", "--log", "json"], 2, "--listen says nothing to `kolk explain`"),
        (&["GET", "/", "--expect", "none.txt"], 2, "cannot read none.txt"),
    ] {
        let (ended, stdout, stderr) = folder.explain(arguments);
        assert_eq!((ended, &*stdout), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let json = folder.explain(&["GET", "/", "--json"]).1;
    fs::write(folder.0.join("json.txt"), json).unwrap();
    let (code, _, stderr) = folder.explain(&["GET", "/", "--expect", "json.txt"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("without --json"), "{stderr}");
    fs::write(folder.0.join("kolk.toml"), "[server]\npni = true\n").unwrap();
    let (code, stdout, stderr) = folder.explain(&["GET", "/"]);
    assert_eq!((code, &*stdout), (Some(3), ""));
    assert!(stderr.contains("did you mean `pin`?") && stderr.ends_with("kolk.toml: 1 error\n"), "{stderr}");
}

#[test]
fn a_client_is_who_its_certificate_names() {
    let text = r#"
        [[listen]]
        addr = ":443"
        tls = true
        [[listen]]
        addr = ":80"
        [tls]
        client_ca = "some.pem"
        [[tls.cert]]
        cert = "some.pem"
        key = "some.pem"
        [auth.staff]
        kind = "mtls"
        subjects = ["ada"]
        [[site]]
        hosts = "*"
        auth = "staff"
        respond = 204
    "#;
    let folder = Folder::new("explain-mtls", text);
    fs::write(folder.0.join("some.pem"), "").unwrap();
    let status = |url: &str, subject: &[&str]| {
        let (code, stdout, stderr) = folder.explain(&[&["GET", url, "--json"], subject].concat());
        assert_eq!((code, &*stderr), (Some(0), ""));
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let mut steps = json["steps"].as_array().unwrap().iter();
        let step = steps.find(|step| step["topic"] == "certificate");
        let told = step.map_or_else(String::new, |step| step["says"].as_str().unwrap().to_owned());
        (json["status"].as_u64(), told)
    };
    let (ada, eve) =
        (&["--client-subject", "ada"][..], &["--client-subject", "Eve, of the \u{201c}x\u{201d}"]);
    let (_, stdout, _) = folder.explain(&["GET", "https://a/", "--client-subject", "ada"]);
    assert!(stdout.contains("  certificates; names: 1: lets pass "), "{stdout}");
    let told = "CN=ada, taken to be of an authority that is believed".to_owned();
    assert_eq!(status("https://a/", ada), (Some(204), told));
    let (code, told) = status("https://a/", eve);
    assert!(code == Some(403) && told.starts_with("CN=Eve\\, of the "), "{told}");
    let (code, told) = status("https://a/", &[]);
    assert!(code.is_none() && told.ends_with("the handshake fails"), "{told}");
    let (code, told) = status("http://a/", ada);
    assert!(code == Some(403) && told.contains("nobody asks"), "{told}");
}

#[cfg(feature = "tls")]
#[test]
fn another_host_than_the_connection_is_for_is_misdirected_if_its_certificate_is_another() {
    let text = r#"
        [[listen]]
        addr = ":443"
        tls = true
        [[tls.cert]]
        cert = "a.pem"
        key = "a.key"
        [[tls.cert]]
        cert = "b.pem"
        key = "b.key"
        [[site]]
        hosts = "*"
        respond = 204
    "#;
    let folder = Folder::new("explain-421", text);
    for (name, hosts) in [("a", ["a.example", "www.a.example"]), ("b", ["b.example", "*.b.example"])] {
        let made = rcgen::generate_simple_self_signed(hosts.map(str::to_owned)).unwrap();
        fs::write(folder.0.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        fs::write(folder.0.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    for (connected, host, status) in [
        ("a.example", "a.example", 204),
        ("a.example", "WWW.a.example:443", 204),
        ("a.example", "b.example", 421),
        ("a.example", "nobody.example", 204),
        ("b.example", "nobody.example", 421),
        ("www.b.example", "b.example", 204),
    ] {
        let (url, field) = (format!("https://{connected}/"), format!("Host: {host}"));
        let (code, stdout, stderr) = folder.explain(&["GET", &url, "-H", &field, "--json"]);
        assert_eq!((code, &*stderr), (Some(0), ""));
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(json["status"], status, "{connected} {host}: {stdout}");
        let misdirected = format!("the connection is for {connected}, and {host} has another certificate");
        assert_eq!(stdout.contains(&misdirected), status == 421, "{stdout}");
    }
}

#[test]
fn where_nobody_listens_there_is_no_answer() {
    let clear = "[[listen]]\naddr = \":8080\"\n";
    let silent = format!("{clear}{CONFIGURATION}");
    let folder = Folder::new("explain-silence", &silent);
    let ask = ["GET", "https://a/"];
    let (code, stdout, _) = folder.explain(&ask);
    let told = "GET https://a/ from 127.0.0.1\n\naccept\n  listener  none: nobody listens with TLS\n\n\
                respond\n  status  none: there is no answer\n";
    assert_eq!((code, &*stdout), (Some(0), told));
    fs::write(folder.0.join("silence.txt"), stdout).unwrap();
    let status = || {
        let (code, stdout, stderr) = folder.explain(&["GET", "https://a/", "--json"]);
        assert_eq!((code, &*stderr), (Some(0), ""));
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["status"].clone()
    };
    assert!(status().is_null());
    // Who is not told where to listen does so in the clear, too.
    fs::write(folder.0.join("kolk.toml"), CONFIGURATION).unwrap();
    assert!(status().is_null());
    let (_, stdout, _) = folder.explain(&["GET", "https://a:8080/"]);
    assert!(stdout.contains("\n  status        400 Bad Request, parse.first_byte\n"), "{stdout}");
    let (code, _, stderr) = folder.explain(&["GET", "https://a:8080/", "--expect", "silence.txt"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("\n-   status  none: there is no answer\n"), "{stderr}");
}
