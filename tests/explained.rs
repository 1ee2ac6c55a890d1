//! WHAT IS EXPLAINED IS WHAT IS SERVED: the same file explained and served, and the same questions over real
//! sockets.
//!
//! ```text
//!  site.toml ──► explain ───────────────────────────────────────► status, reason, site, route, fields, log
//!            └─► server ──► HTTP/1.1, HTTP/2 ──► answer, access logs ──►  the same
//! ```
//! What differs each time (ids, times, what is left of a rate) is compared by its presence; how long the body
//! is and how it is framed, and `Date`, are not explained.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "versions/http2.rs"]
mod http2;
#[path = "tls/identity.rs"]
mod identity;
mod support;

/// A question, as the client of HTTP/2 wants it.
mod table {
    pub(crate) struct Exchange {
        pub(crate) method: String,
        pub(crate) host: String,
        pub(crate) target: String,
        pub(crate) fields: crate::Pairs,
        pub(crate) content: Content,
    }

    #[expect(dead_code, reason = "no question has a body")]
    pub(crate) enum Content {
        Nothing,
        Whole(Vec<u8>),
        Pieces(Vec<Vec<u8>>, crate::Pairs),
    }

    impl Exchange {
        pub(crate) const fn expects(&self) -> bool {
            false
        }
    }
}

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request};
use kolk::app::{App, Explanation, Scope, Stage};
use kolk::{Certificate, Configuration, Running};
use rustls::ClientConfig;
use rustls::version::TLS13;
use serde_json::Value;

use http2::Http2;
use identity::{Authority, Identity, connect};
use support::configured::configuration;
use support::scratch::Scratch;
use support::{Client, PATIENCE};
use table::{Content, Exchange};

/// Names and values.
pub(crate) type Pairs = Vec<(String, String)>;

/// A log, and what one of its lines says.
type Line = (&'static str, Value);

/// What came of a question.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) statuses: Vec<u16>,
    pub(crate) fields: Pairs,
    pub(crate) body: Vec<u8>,
    pub(crate) trailer: Pairs,
    pub(crate) reset: Option<u32>,
}

/// `METHOD URL`, in which `clear`, `tls` and `way` are ports; fields below.
const QUESTIONS: &[&str] = &[
    // Routes.
    "GET http://one.test:clear/users/7",
    "PUT http://one.test:clear/users/7",
    "GET http://www.one.test:clear/users/7",
    "GET http://ONE.test.:clear/x/../users/7?a=b",
    "HEAD http://one.test:clear/users/7",
    "DELETE http://one.test:clear/users/me",
    "GET https://one.test:tls/users/7",
    "GET https://two.test:tls/only",
    "GET http://two.test:clear/only",
    "HEAD http://two.test:clear/only",
    "POST http://three.test:clear/form",
    "GET http://one.test:clear/ring\nX-Ring: beta",
    "GET http://one.test:clear/bare",
    "GET http://one.test:clear/quiet",
    "GET http://one.test:clear/nameless",
    "GET http://one.test:clear/v1/users/7",
    "GET http://one.test:clear/v1/none",
    "GET http://one.test:clear/off",
    // Ids.
    "GET http://one.test:clear/users/8\nX-Request-Id: eight",
    "GET http://one.test:clear/users/8\nX-Request-Id: eight\nX-Request-Id: nine",
    "GET http://one.test:clear/users/9\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    // Files.
    "GET http://one.test:clear/",
    "GET http://one.test:clear/a.css",
    "HEAD http://one.test:clear/a.css",
    "GET http://one.test:clear/a.css\nRange: bytes=0-3",
    "GET http://one.test:clear/a.css\nRange: bytes=900-",
    "GET http://one.test:clear/a.css\nIf-None-Match: *",
    "GET http://one.test:clear/folder",
    "OPTIONS http://one.test:clear/a.css",
    // Nothing, and nothing for this method.
    "GET http://one.test:clear/none",
    "HEAD http://one.test:clear/none",
    "GET http://one.test:clear/none\nAccept: application/json",
    "GET http://one.test:clear/ring",
    "GET http://one.test:clear/inside/a",
    "GET http://two.test:clear/none",
    "GET http://three.test:clear/none",
    "POST http://two.test:clear/only",
    "POST http://one.test:clear/a.css",
    "PATCH http://one.test:clear/users/7",
    "TRACE http://one.test:clear/users/7",
    "BREW http://two.test:clear/only",
    "OPTIONS http://two.test:clear/only",
    "OPTIONS http://three.test:clear/form",
    "GET http://nobody.test:clear/",
    "POST http://nobody.test:clear/only\nContent-Length: 0",
    // Who comes in.
    "GET http://one.test:clear/closed",
    "GET http://one.test:clear/staff/a.css",
    "GET http://one.test:clear/named",
    "GET http://one.test:clear/named\nAuthorization: Basic YWRhOnBhc3N3b3Jk",
    "GET http://one.test:clear/staff/a.css\nAuthorization: Basic YWRhOnBhc3N3b3Jk",
    "GET http://one.test:clear/staff/a.css\nAuthorization: Basic YWRhOndyb25n",
    // Other origins.
    "GET http://one.test:clear/api/a\nOrigin: https://app.example",
    "GET http://one.test:clear/api/a\nOrigin: https://other.example",
    "OPTIONS http://one.test:clear/api/a\nOrigin: https://app.example\nAccess-Control-Request-Method: POST",
    "OPTIONS http://one.test:clear/api/a\nOrigin: https://app.example\nAccess-Control-Request-Method: PUT",
    "OPTIONS http://one.test:clear/api/a",
    "OPTIONS http://one.test:clear/quiet\nOrigin: https://app.example\nAccess-Control-Request-Method: GET",
    // Elsewhere.
    "GET http://one.test:clear/old/a/b?c=d",
    "GET http://four.test:clear/a?b",
    "GET http://one.test:way/a?b",
    "HEAD http://nobody.test:way/",
    "GET http://one.test:way/%zz",
    "GET http://one.test:way/a\nHost: a\nHost: b",
    // Codings.
    "GET http://one.test:clear/large\nAccept-Encoding: gzip",
    "GET http://one.test:clear/large\nAccept-Encoding: br;q=0.5, zstd",
    "GET http://one.test:clear/large",
    "HEAD http://one.test:clear/large\nAccept-Encoding: gzip",
    "GET http://one.test:clear/none/gzip\nAccept-Encoding: gzip",
    // Hosts and connections.
    "GET https://one.test:tls/users/7\nHost: WWW.one.test",
    "GET https://one.test:tls/users/7\nHost: two.test",
    "GET https://two.test:tls/only\nHost: one.test\nX-Request-Id: astray",
    "GET https://two.test:tls/only\nHost: nobody.test",
    "GET https://one.test:tls/\nHost: nobody.test",
    "GET https://one.test:tls/%zz\nHost: two.test",
    "GET https://one.test:tls/..\nHost: two.test",
    "GET https://one.test:tls/%zz",
    "GET http://one.test:tls/",
    "GET https://one.test:clear/",
    "GET https://one.test:way/",
    // What is not read, or not to its end.
    "GET http://one.test:clear/%zz",
    "HEAD http://one.test:clear/../x",
    "GET http://one.test:clear/%zz\nX-Request-Id: unread",
    "GET http://one.test:clear/a\nHost: a\nHost: b",
    "GET http://one.test:clear/a\nHost: a b",
    "GET http://one.test:clear/a\nTransfer-Encoding: gzip",
    "GET http://one.test:clear/a\nContent-Length: 1\nContent-Length: 2",
    "GET http://one.test:clear/a\nExpect: 200-maybe",
    "GET http://one.test:clear/this/is/a/path/of/more/than/128/bytes/and/so/it/goes/on/and/on/and/on/and/on/\
     and/on/and/on/and/on/and/on/and/on/and/on",
    "PUT http://one.test:clear/users/7\nContent-Length: 2000",
];

/// The file served, and what is asked of.
struct Served {
    folder: Scratch,
    configuration: Configuration,
    app: App,
    server: Running,
    /// Clear, TLS, and on the way to TLS.
    ports: [u16; 3],
    /// Who trusts the certificate of a host.
    clients: [(&'static str, Arc<ClientConfig>); 2],
}

impl Served {
    fn new() -> Self {
        let folder = Scratch::new("explained");
        for (name, content) in [
            ("www/index.html", "<p>front"),
            ("www/404.html", "<p>{status} {reason}"),
            ("www/a.css", "a { color: red }"),
            ("www/folder/index.html", "<p>folder"),
            (
                "users.txt",
                "ada:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n",
            ),
        ] {
            folder.put(name, content);
        }
        folder.put("large.txt", "large ".repeat(1000));
        let clients = ["one", "two"].map(|name| {
            let host: &'static str = if name == "one" { "one.test" } else { "two.test" };
            let identity = Identity::new(&[host, &format!("*.{host}")]);
            folder.put(format!("{name}.pem"), &identity.chain);
            folder.put(format!("{name}.key"), &identity.key);
            (host, identity.trusted_by(&[&TLS13]))
        });
        let (configuration, server, ports) = started(&folder, include_str!("explained/site.toml"));
        let app = configuration.app().unwrap();
        Self { folder, configuration, app, server, ports, clients }
    }

    fn asked(&self, question: &str) -> Request<()> {
        let [clear, tls, way] = self.ports;
        let question = question.replace(":clear/", &format!(":{clear}/"));
        let question = question.replace(":tls/", &format!(":{tls}/")).replace(":way/", &format!(":{way}/"));
        let mut lines = question.lines();
        let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(url).body(()).unwrap();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let (name, value) = (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
            request.headers_mut().append(name, value);
        }
        request
    }

    fn address(&self, request: &Request<()>) -> SocketAddr {
        ([127, 0, 0, 1], request.uri().port_u16().unwrap()).into()
    }

    /// Whether the listener that the URL leads to speaks as its scheme says.
    fn is_understood(&self, request: &Request<()>) -> bool {
        (request.uri().scheme_str() == Some("https")) == (request.uri().port_u16() == Some(self.ports[1]))
    }

    /// An encrypted connection for the host of the URL.
    fn connected(&self, request: &Request<()>, protocol: &[u8]) -> identity::Encrypted {
        let host = request.uri().host().unwrap();
        let (host, config) = self.clients.iter().find(|(name, _)| *name == host).unwrap();
        let mut config = Arc::clone(config);
        Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        connect(self.address(request), &config, host, usize::MAX)
    }

    fn over_http1(&self, request: &Request<()>) -> Heard {
        let is_encrypted = request.uri().scheme_str() == Some("https");
        match self.is_understood(request) {
            true if is_encrypted => exchanged(Client::over(self.connected(request, b"http/1.1")), request),
            true => exchanged(Client::at(self.address(request)), request),
            false if is_encrypted => {
                let mut client = Client::at(self.address(request));
                client.send(b"\x16\x03\x01\x00\x05hello");
                heard(&mut client, true)
            }
            false => exchanged(Client::at(self.address(request)), request),
        }
    }

    /// Nothing, where HTTP/2 has no such request.
    fn over_http2(&self, request: &Request<()>, reason: &str) -> Option<Heard> {
        let is_h1s = reason.starts_with("parse.") && reason != "parse.path";
        let has_body = request.headers().get("content-length").is_some_and(|length| length != "0");
        if is_h1s || reason == "limit.request_line" || has_body || !self.is_understood(request) {
            return None;
        }
        let (host, fields) = host_and_fields(request);
        let fields: Pairs =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (method, target) = (request.method().to_string(), target(request).to_owned());
        let exchange = Exchange { method, host, target, fields, content: Content::Nothing };
        Some(match request.uri().scheme_str() {
            Some("https") => Http2::over(self.connected(request, b"h2"), "https").exchange(&exchange),
            _ => Http2::over(Client::at(self.address(request)).stream, "http").exchange(&exchange),
        })
    }

    /// What the access logs say of each request, by its id, when all is over; a client may give several the
    /// same, in their order.
    fn logged(self) -> (HashMap<String, VecDeque<Line>>, App) {
        self.server.drain(PATIENCE);
        self.server.join().unwrap();
        let mut logged: HashMap<_, VecDeque<_>> = HashMap::new();
        for log in ["main", "other"] {
            for line in fs::read_to_string(self.folder.join(format!("{log}.log"))).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let id = line["id"].as_str().unwrap().to_owned();
                logged.entry(id).or_default().push_back((log, line));
            }
        }
        (logged, self.app)
    }
}

/// The server of this text, on ports that were free a moment ago.
fn started(folder: &Path, text: &str) -> (Configuration, Running, [u16; 3]) {
    for _ in 0..20 {
        let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = held.map(|socket| socket.local_addr().unwrap().port());
        let names = [":CLEAR", ":TLS", ":WAY"].into_iter().zip(ports);
        let text = names.fold(text.to_owned(), |text, (name, port)| text.replace(name, &format!(":{port}")));
        let configuration = configuration(folder, &text);
        if let Ok(server) = configuration.server().unwrap().start() {
            return (configuration, server, ports);
        }
    }
    panic!("no ports are free");
}

fn target(request: &Request<()>) -> &str {
    request.uri().path_and_query().map_or("/", PathAndQuery::as_str)
}

/// The last host that is asked for, and the other fields.
fn host_and_fields(request: &Request<()>) -> (String, Vec<(&str, &str)>) {
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let (hosts, fields): (Vec<_>, Vec<_>) = fields.partition(|(name, _)| *name == "host");
    let authority = request.uri().authority().unwrap().as_str();
    (hosts.last().map_or(authority, |(_, host)| host).to_owned(), fields)
}

fn exchanged<S: Read + Write>(mut client: Client<S>, request: &Request<()>) -> Heard {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), target(request));
    if !request.headers().contains_key("host") {
        head += &format!("host: {}\r\n", request.uri().authority().unwrap());
    }
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    client.send(head + "\r\n");
    heard(&mut client, request.method() != "HEAD")
}

fn heard<S: Read + Write>(client: &mut Client<S>, has_body: bool) -> Heard {
    let mut answer = client.head();
    if has_body {
        client.body_of(&mut answer);
    }
    Heard { statuses: vec![answer.status], fields: answer.fields, body: answer.body, ..Heard::default() }
}

/// How the answer is framed and when it was made.
const UNTOLD: [&str; 5] = ["connection", "content-length", "date", "keep-alive", "transfer-encoding"];
/// What an explanation says of answers that is no field.
const NO_FIELDS: [&str; 4] = ["access log", "compress", "server timing", "status"];
/// These differ each time.
const FICKLE: [&str; 4] = ["ratelimit", "retry-after", "traceparent", "x-request-id"];

/// Name and value of each field that is told of the answer, and of each that is heard.
fn fields(told: &Explanation, heard: &Heard) -> [Pairs; 2] {
    let steps = || told.steps().iter().filter(|step| step.stage() == Stage::Respond);
    let is_sent = |name: &str, value: &str| !NO_FIELDS.contains(&name) && !value.starts_with("not sent");
    let mut told: Pairs = steps()
        .map(|step| (step.topic().to_owned(), step.text().to_owned()))
        .filter(|(name, value)| is_sent(name, value))
        .map(|(name, value)| {
            // Whoever has made it stands behind it.
            let made_by = value.rfind(" (").filter(|_| value.ends_with(')'));
            (name, value[..made_by.unwrap_or(value.len())].to_owned())
        })
        .collect();
    told.extend(
        steps()
            .filter(|step| step.topic() == "server timing")
            .map(|_| ("server-timing".into(), String::new())),
    );
    let named = heard.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut heard: Pairs = named
        .filter(|(name, _)| !UNTOLD.contains(&&**name))
        .map(|(name, value)| (name, if value.is_empty() { "\"\"".to_owned() } else { value }))
        .collect();
    for fields in [&mut told, &mut heard] {
        for (name, value) in fields.iter_mut() {
            match &**name {
                name if FICKLE.contains(&name) => value.clear(),
                "server-timing" => value.clear(),
                "content-type" if value.starts_with("multipart/") => value.clear(),
                _ => {}
            }
        }
        fields.sort();
    }
    [told, heard]
}

/// The text of the only such step, or nothing.
fn step<'e>(explanation: &'e Explanation, topic: &str) -> &'e str {
    let mut steps = explanation.steps().iter().filter(|step| step.topic() == topic);
    let text = steps.next().map_or("", |step| step.text());
    assert!(steps.next().is_none(), "{explanation}");
    text
}

/// Site, route, status, reason and log as an explanation has them.
fn told(explanation: &Explanation, app: &App) -> [String; 5] {
    let site = explanation.site().map(|site| app.site_name(Scope::Site(site)).to_string());
    let route = step(explanation, "route");
    let route = route.split(' ').find(|word| !route.starts_with("none") && word.starts_with(['/', '*']));
    let log = Some(step(explanation, "access log")).filter(|log| *log != "none");
    [
        site.unwrap_or_default(),
        route.unwrap_or_default().trim_end_matches(':').to_owned(),
        explanation.status().map(|status| status.as_u16().to_string()).unwrap_or_default(),
        explanation.reason().map(|reason| reason.code().to_owned()).unwrap_or_default(),
        log.unwrap_or_default().to_owned(),
    ]
}

/// The same as a line of a log has them.
fn noted((log, line): &Line) -> [String; 5] {
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    [text("site"), text("route"), line["status"].to_string(), text("reason"), (*log).to_owned()]
}

#[test]
fn a_server_does_what_was_explained() {
    let served = Served::new();
    let (mut complaints, mut asked) = (Vec::new(), Vec::new());
    for question in QUESTIONS {
        let request = served.asked(question);
        let explanation = served.configuration.explain(request.clone(), [127, 0, 0, 1].into()).unwrap();
        let reason = explanation.reason().map(|reason| reason.code()).unwrap_or_default();
        let answers = [Some(served.over_http1(&request)), served.over_http2(&request, reason)];
        for (way, heard) in ["HTTP/1.1", "HTTP/2"].into_iter().zip(answers) {
            let Some(heard) = heard else { continue };
            let [told, sent] = fields(&explanation, &heard);
            let status = explanation.status().map(|status| status.as_u16());
            if (status, &told) != (heard.statuses.last().copied(), &sent) {
                let (told, sent) = (format!("{status:?} {told:?}"), format!("{:?} {sent:?}", heard.statuses));
                complaints.push(format!("{question}, {way}:\n  told {told}\n  sent {sent}"));
            }
            let id = heard.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
            asked.push((*question, way, id.map(|(_, id)| id.clone()), explanation.clone()));
        }
    }
    let (mut logged, app) = served.logged();
    for (question, way, id, explanation) in &asked {
        let told = told(explanation, &app);
        match id.as_ref().map(|id| logged.get_mut(id).and_then(VecDeque::pop_front)) {
            None => complaints.push(format!("{question}, {way}: no id")),
            Some(None) if told[4].is_empty() => {}
            Some(None) => complaints.push(format!("{question}, {way}: not in {}", told[4])),
            Some(Some(line)) if noted(&line) == told => {}
            Some(Some(line)) => {
                complaints.push(format!("{question}, {way}:\n  told {told:?}\n  noted {:?}", noted(&line)));
            }
        }
    }
    assert!(QUESTIONS.len() >= 80 && asked.len() >= 140, "{} {}", QUESTIONS.len(), asked.len());
    assert!(complaints.is_empty(), "{} of {}\n{}", complaints.len(), asked.len(), complaints.join("\n"));
}

#[test]
fn whatever_connection_is_asked_for_a_host_that_nobody_has_no_other_one_helps() {
    let served = Served::new();
    for (connected, host, reason) in [
        ("one.test", "two.test", "route.misdirected"),
        ("two.test", "one.test", "route.misdirected"),
        ("one.test", "nobody.test", "route.site_tls"),
        ("two.test", "nobody.test", "route.site_tls"),
    ] {
        let request = served.asked(&format!("GET https://{connected}:tls/only\nHost: {host}"));
        let heard = served.over_http1(&request);
        let text = support::lossy(&heard.body);
        assert_eq!(heard.statuses, [421]);
        assert!(text.contains(&format!("({reason})")), "{connected} {host}: {text}");
    }
}

#[test]
fn what_comes_too_often_is_refused_as_an_app_explains_that_has_counted() {
    let folder = Scratch::new("explained-often");
    let text = r#"
        [server]
        server_name = "often"
        [[listen]]
        addr = "127.0.0.1:CLEAR"
        [rate.few]
        rate = "1/d"
        key = "header:x-key"
        [[site]]
        hosts = "*"
        rate = "few"
        respond = 204
    "#;
    let (configuration, server, [clear, ..]) = started(&folder, text);
    let app = configuration.app().unwrap();
    for status in [204, 429] {
        let request = Request::get(format!("http://a.test:{clear}/")).header("x-key", "a").body(()).unwrap();
        let heard = exchanged(Client::to(&server), &request);
        let explanation = app.explain(request.map(|()| "")).served_as(Some("often"), "");
        assert_eq!(explanation.status().map(|status| status.as_u16()), Some(status));
        assert_eq!(heard.statuses, [status]);
        let [told, sent] = fields(&explanation, &heard);
        assert_eq!(told, sent);
    }
}

#[test]
fn whoever_needs_a_certificate_and_shows_none_has_no_answer() {
    let folder = Scratch::new("explained-mtls");
    let (identity, authority) = (Identity::new(&["localhost"]), Authority::new("Ours"));
    folder.put("some.pem", &identity.chain);
    folder.put("some.key", &identity.key);
    folder.put("ours.pem", &authority.pem);
    let text = r#"
        [[listen]]
        addr = "127.0.0.1:TLS"
        tls = true
        [tls]
        client_ca = "ours.pem"
        [[tls.cert]]
        cert = "some.pem"
        key = "some.key"
        [auth.staff]
        kind = "mtls"
        subjects = ["ada"]
        [[site]]
        hosts = "*"
        auth = "staff"
        respond = 204
    "#;
    let (configuration, server, [_, tls, _]) = started(&folder, text);
    for (name, status) in [(None, None), (Some("ada"), Some(204)), (Some("eve"), Some(403))] {
        let request = Request::get(format!("https://localhost:{tls}/")).body(()).unwrap();
        let shown = name.map(Certificate::unsigned);
        let explanation = configuration.explain_to(request.clone(), [127, 0, 0, 1].into(), shown).unwrap();
        assert_eq!(explanation.status().map(|status| status.as_u16()), status, "{name:?}");
        let member = name.map(|name| authority.admit(name));
        let config = identity.trusted_by_client(&[&TLS13], member.as_ref());
        let mut stream = connect(server.addrs()[0].socket_addr().unwrap(), &config, "localhost", usize::MAX);
        if status.is_some() {
            let heard = exchanged(Client::over(stream), &request);
            let [told, sent] = fields(&explanation, &heard);
            assert_eq!((heard.statuses.last().copied(), sent), (status, told), "{name:?}");
            continue;
        }
        // The handshake ends here before there: what is sent may get lost, and nothing comes back.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let mut heard = Vec::new();
        assert!(stream.read_to_end(&mut heard).is_err() && heard.is_empty(), "{heard:?}");
    }
}
