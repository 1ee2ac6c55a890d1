//! ONE SITE, THREE WAYS TO IT: the same question over HTTP/1.1, over HTTP/2 in the clear and
//! over HTTP/2 in TLS is the same to a handler, and has the same answer.
//!
//! ```text
//!  table ──► HTTP/1.1 ─┐
//!        ──► h2c       ├──► a site each, the same files ──► status, fields, body, trailer: equal
//!        ──► h2, TLS  ─┘
//! ```
//! Not compared: `connection`, `transfer-encoding`, `keep-alive` and `date`.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "versions/http2.rs"]
mod http2;
#[path = "tls/identity.rs"]
mod identity;
#[path = "versions/site.rs"]
mod site;
mod support;
#[path = "versions/table.rs"]
mod table;

use std::io::{Read, Write};
use std::sync::Arc;

use kolk::proto::h1;
use kolk::{App, Configuration, FlightRecorder, HandlerExt, Limits, ListenOptions, Request, RequestIds};
use kolk::{Response, Running, StatusCode, Tls, Workers, channel};
use rustls::version::TLS13;

use http2::Http2;
use identity::Identity;
use support::scratch::Scratch;
use support::{Client, address, alone, start};
use table::{Apart, Content, Exchange, exchanges};

/// Names and values.
pub(crate) type Pairs = Vec<(String, String)>;

/// What came of a question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The interim ones first.
    pub(crate) statuses: Vec<u16>,
    pub(crate) fields: Pairs,
    pub(crate) body: Vec<u8>,
    pub(crate) trailer: Pairs,
    /// The code of an end before the end.
    pub(crate) reset: Option<u32>,
}

impl Heard {
    /// Without what only one version has, in an order that is the same in all.
    fn comparable(mut self) -> Self {
        const LEFT_OUT: [&str; 4] = ["connection", "transfer-encoding", "keep-alive", "date"];
        self.fields.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        self.fields.retain(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
        self.fields.sort_by(|(name, _), (other, _)| name.cmp(other));
        self.trailer.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        self
    }

    /// Where it differs from `other`.
    fn difference(&self, other: &Self) -> Option<String> {
        let text = |body: &[u8]| support::lossy(&body[..body.len().min(1_500)]);
        let told = |heard: &Self| {
            format!("{:?} {:?} {:?} {:?}", heard.statuses, heard.fields, heard.trailer, heard.reset)
        };
        if told(self) != told(other) {
            return Some(format!("{}\n{}", told(self), told(other)));
        }
        (self.body != other.body).then(|| {
            let (here, there) = (text(&self.body), text(&other.body));
            format!("{} bytes\n{here}\n{} bytes\n{there}", self.body.len(), other.body.len())
        })
    }
}

/// The site, of its own uploads.
fn serve(files: &Scratch, uploads: &str, tls: Option<&Tls>) -> Running {
    let server = alone(site::site(files, &files.join(uploads))).admin("127.0.0.1:0").unwrap();
    start(match tls {
        Some(tls) => server.tls(tls),
        None => server,
    })
}

fn over_http1(server: &Running, exchange: &Exchange) -> Heard {
    let mut client = Client::to(server);
    let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", exchange.method, exchange.target, exchange.host);
    for (name, value) in &exchange.fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match &exchange.content {
        Content::Nothing => "\r\n".to_owned(),
        Content::Whole(body) => format!("Content-Length: {}\r\n\r\n", body.len()),
        Content::Pieces(..) => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
    };
    client.try_send(head);
    let mut statuses = Vec::new();
    let mut awaited = exchange.expects().then(|| client.head());
    if awaited.as_ref().is_some_and(|answer| answer.status < 200) {
        statuses.extend(awaited.take().map(|answer| answer.status));
    }
    if awaited.is_none() {
        send_content(&mut client, &exchange.content);
    }
    let mut answer = awaited.unwrap_or_else(|| client.head());
    if exchange.method != "HEAD" {
        client.body_of(&mut answer);
    }
    statuses.push(answer.status);
    Heard { statuses, fields: answer.fields, body: answer.body, trailer: answer.trailer, reset: None }
}

/// The server may have had enough of it.
fn send_content<S: Read + Write>(client: &mut Client<S>, content: &Content) {
    match content {
        Content::Nothing => {}
        Content::Whole(body) => {
            client.try_send(body);
        }
        Content::Pieces(pieces, trailer) => {
            for piece in pieces {
                client.try_send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
            }
            let trailer = trailer.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
            client.try_send(format!("0\r\n{}\r\n", trailer.collect::<String>()));
        }
    }
}

/// All exchanges, on as few connections as the server allows.
fn over_http2<S: Read + Write>(all: &[Exchange], connect: impl Fn() -> Http2<S>) -> (Vec<Heard>, usize) {
    let mut connections = 1;
    let mut client = connect();
    let mut ask = |exchange| {
        if client.is_leaving {
            client = connect();
            connections += 1;
        }
        client.exchange(exchange).comparable()
    };
    (all.iter().map(&mut ask).collect(), connections)
}

#[test]
fn every_version_tells_the_handler_and_the_client_the_same() {
    let files = site::files();
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let servers = [("1", None), ("2", None), ("tls", Some(&tls))];
    let [first, clear, encrypted] = servers.map(|(name, tls)| serve(&files, name, tls));
    let all = exchanges();
    assert!(all.len() >= 60);

    let expected: Vec<Heard> = all.iter().map(|exchange| over_http1(&first, exchange).comparable()).collect();
    let mut config = identity.trusted_by(&[&TLS13]);
    Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    let in_clear = over_http2(&all, || Http2::over(Client::to(&clear).stream, "http"));
    let over_tls = over_http2(&all, || {
        Http2::over(identity::connect(address(&encrypted), &config, "localhost", usize::MAX), "https")
    });

    let mut complaints = Vec::new();
    for (at, exchange) in all.iter().enumerate() {
        let mut complain = |what: &str| complaints.push(format!("{}: {what}", exchange.name()));
        let status = expected[at].statuses.last();
        if status != Some(&exchange.status) {
            complain(&format!("{status:?} in HTTP/1.1"));
        }
        for (way, (heard, _)) in [("h2c", &in_clear), ("h2", &over_tls)] {
            let difference = expected[at].difference(&heard[at]);
            match (&difference, exchange.apart) {
                (Some(difference), Apart::Never) => complain(&format!("HTTP/1.1 and {way}:\n{difference}")),
                (None, Apart::Body(_)) => complain("is the same after all"),
                _ => {}
            }
        }
    }
    println!("{} exchanges, {} connections of HTTP/2", all.len(), in_clear.1);
    assert!(complaints.is_empty(), "{} of {}\n{}", complaints.len(), all.len(), complaints.join("\n\n"));
    let counted = |server: &Running| server.snapshot().routes;
    assert!(counted(&first).len() > 10);
    support::until("the routes are counted alike", || {
        [&clear, &encrypted].iter().all(|server| counted(server) == counted(&first))
    });
    // `with_close` ends a connection, and nothing else does: its GET and its HEAD.
    assert_eq!((in_clear.1, over_tls.1), (3, 3));
}

/// What is remembered of one request for each of these targets.
fn remembered(server: &Running, mut ask: impl FnMut(&Exchange) -> Heard) -> Vec<serde_json::Value> {
    let questions = [
        ("GET", "/hello/ada?token=s3cret&a=1"),
        ("GET", "/none"),
        ("GET", "/panic"),
        ("GET", "/cut"),
        ("GET", "/pieces"),
        ("HEAD", "/hello/ada"),
    ];
    let memories = questions.map(|(method, target)| {
        let heard = ask(&Exchange {
            method: method.to_owned(),
            target: target.to_owned(),
            host: "localhost".to_owned(),
            fields: vec![
                ("Authorization".to_owned(), "Bearer s3cret".to_owned()),
                ("User-Agent".to_owned(), "tests".to_owned()),
            ],
            content: Content::Nothing,
            status: 0,
            apart: Apart::Never,
        });
        let mut fields = heard.fields.iter();
        let id = fields.find(|(name, _)| name.eq_ignore_ascii_case("x-request-id")).unwrap().1.clone();
        support::until("it is remembered", || server.handle().why(&id).is_some());
        let text = server.handle().why(&id).unwrap();
        assert!(!text.contains("s3cret") && text.starts_with(&format!("{{\"id\":\"{id}\"")), "{text}");
        let mut memory: serde_json::Value = serde_json::from_str(&text).unwrap();
        let members = memory.as_object_mut().unwrap();
        for own in ["id", "time", "peer", "connection", "request", "version"] {
            assert!(members.remove(own).is_some(), "{own} is missing: {text}");
        }
        members.retain(|name, _| !name.ends_with("_us"));
        if members.get("cut").is_some_and(|cut| *cut == true) {
            // How much had left before that is a matter of time.
            assert!(members.remove("bytes").is_some_and(|bytes| bytes.is_u64()), "{text}");
        }
        let fields = members["head"].as_array_mut().unwrap();
        fields
            .iter_mut()
            .for_each(|field| field["name"] = field["name"].as_str().unwrap().to_lowercase().into());
        fields.retain(|field| field["name"] != "host");
        memory
    });
    memories.into()
}

#[test]
fn every_version_is_remembered_alike() {
    let app = || {
        App::new()
            .layer(RequestIds::new())
            .get("/hello/{name}", |_: &Request<'_>| "hello")
            .get("/panic", |_: &Request<'_>| -> Response { panic!("as it should") })
            .get("/pieces", |request: &Request<'_>| {
                let (mut body, response) = channel(request, 4096);
                std::thread::spawn(move || {
                    for piece in ["one", "two"] {
                        let _ = body.write_blocking(piece.into());
                    }
                });
                response
            })
            .get("/cut", |request: &Request<'_>| {
                let (mut body, response) = channel(request, 4096);
                std::thread::spawn(move || {
                    let _ = body.write_blocking("half".into());
                    // A writer that is dropped by a panic cuts its body.
                    let _writer = body;
                    std::panic::resume_unwind(Box::new(()));
                });
                response
            })
    };
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let server = || alone(app()).flight_recorder(FlightRecorder::new(64 * 1024));
    let [first, clear, encrypted] = [server(), server(), server().tls(&tls)].map(start);
    let mut held = Vec::new();
    let over_http1 = |exchange: &Exchange| match &*exchange.target {
        "/cut" => {
            let mut client = Client::to(&first);
            client.send(
                "GET /cut HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n\
                 User-Agent: tests\r\n\r\n",
            );
            let fields = client.head().fields;
            // Whoever leaves before the end has no end.
            held.push(client);
            Heard { fields, ..Heard::default() }
        }
        _ => over_http1(&first, exchange),
    };
    let expected = remembered(&first, over_http1);
    let mut client = Http2::over(Client::to(&clear).stream, "http");
    assert_eq!(remembered(&clear, |exchange| client.exchange(exchange)), expected);
    let mut config = identity.trusted_by(&[&TLS13]);
    Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    let stream = identity::connect(address(&encrypted), &config, "localhost", usize::MAX);
    let mut client = Http2::over(stream, "https");
    assert_eq!(remembered(&encrypted, |exchange| client.exchange(exchange)), expected);
    let told = |at: usize, member: &str| expected[at][member].clone();
    assert_eq!([told(0, "site"), told(1, "site")], ["*", "*"]);
    assert_eq!([told(0, "target"), told(0, "route")], ["/hello/ada?token=***&a=1", "/hello/{name}"]);
    let head = serde_json::json!([{"name": "authorization"}, {"name": "user-agent", "value": "tests"}]);
    assert_eq!((told(0, "head"), told(0, "status")), (head, 200.into()));
    assert_eq!((told(1, "reason"), told(2, "reason")), ("route.none".into(), "handler.panic".into()));
    assert_eq!(told(3, "cut"), true);
    assert_eq!((told(0, "bytes"), told(4, "bytes"), told(5, "bytes")), (5.into(), 6.into(), 0.into()));
    first.handle().replace(App::new()).unwrap();
    assert_eq!(first.handle().recent(9).lines().count(), 6, "another app forgets nothing");
}

/// A head that is too large: what is asked, and why it is refused.
fn unreadable() -> [(Exchange, u16, &'static str); 2] {
    let exchange = |target: String, fields: Pairs| Exchange {
        method: "GET".to_owned(),
        target,
        host: "localhost".to_owned(),
        fields,
        content: Content::Nothing,
        status: 0,
        apart: Apart::Never,
    };
    let fields = (0..150).map(|number| (format!("x-{number}"), "y".to_owned()));
    [
        (exchange(format!("/{}", "a".repeat(9_000)), Pairs::new()), 414, "limit.request_line"),
        (exchange("/".to_owned(), fields.collect()), 431, "limit.fields"),
    ]
}

#[test]
fn what_nobody_could_read_has_an_id_in_every_version() {
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let server = || {
        let app = App::new().layer(RequestIds::new()).get("/", |_: &Request<'_>| "hello");
        alone(app).flight_recorder(FlightRecorder::new(64 * 1024))
    };
    let [first, clear, encrypted] = [server(), server(), server().tls(&tls)].map(start);
    let ask = |server: &Running, ask: &mut dyn FnMut(&Exchange) -> Heard| {
        let mut ids = Vec::new();
        for (exchange, status, reason) in unreadable() {
            let heard = ask(&exchange);
            assert_eq!(heard.statuses, [status]);
            let mut fields = heard.fields.iter();
            let id = fields.find(|(name, _)| name.eq_ignore_ascii_case("x-request-id")).unwrap().1.clone();
            let text = support::lossy(&heard.body);
            assert!(text.ends_with(&format!("({reason})\nrequest {id}\n")), "{text}");
            support::until("it is remembered", || server.handle().why(&id).is_some());
            let memory = server.handle().why(&id).unwrap();
            assert!(memory.contains(&format!("\"reason\":\"{reason}\"")), "{memory}");
            assert!(!ids.contains(&id), "once more: {id}");
            ids.push(id);
        }
    };
    ask(&first, &mut |exchange| over_http1(&first, exchange));
    let mut client = Http2::over(Client::to(&clear).stream, "http");
    ask(&clear, &mut |exchange| client.exchange(exchange));
    let mut config = identity.trusted_by(&[&TLS13]);
    Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    let stream = identity::connect(address(&encrypted), &config, "localhost", usize::MAX);
    let mut client = Http2::over(stream, "https");
    ask(&encrypted, &mut |exchange| client.exchange(exchange));
}

#[test]
fn a_refusal_of_a_head_request_has_no_content_in_any_version() {
    let server = start(alone(App::new().get("/", |_: &Request<'_>| "hello")));
    let mut client = Http2::over(Client::to(&server).stream, "http");
    for (exchange, status, _) in unreadable() {
        let exchange = Exchange { method: "HEAD".to_owned(), ..exchange };
        let heard = client.exchange(&exchange);
        assert_eq!((heard.statuses, heard.body, heard.reset), (vec![status], Vec::new(), None));
        let mut first = Client::to(&server);
        let mut head = format!("HEAD {} HTTP/1.1\r\nHost: localhost\r\n", exchange.target);
        exchange.fields.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        first.send(head + "\r\n");
        let answer = first.answer_to_head();
        assert_eq!(answer.status, status);
        assert!(answer.field("content-length").is_some_and(|length| length != "0"), "as GET would have");
        first.ends();
    }
    // What follows a HEAD on its connection has its content again.
    let mut first = Client::to(&server);
    first.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.answer_to_head().status, 200);
    first.send("GET / HTTP/9.9\r\n\r\n");
    assert!(first.answer().text().contains("parse.version_unsupported"));
}

/// Requests that kolk answers itself, from the place in which their head ends: a HEAD in each.
const REFUSED_HEADS: [(&str, u16, &str); 10] = [
    ("/ HTTP/1.1\r\nHost: a\r\nX-Slow: ", 408, "timeout.header"),
    ("/ HTT", 408, "timeout.header"),
    ("/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 408, "timeout.body"),
    ("/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, "parse.chunk_size"),
    ("/ HTTP/1.1\r\nHost: a\r\nnocolon\r\n", 400, "parse.field_colon"),
    ("/ HTTP/1.1\r\n\r\n", 400, "parse.host_missing"),
    ("/ HTTP/3.0\r\n", 505, "parse.version_unsupported"),
    ("/ HTTP/1.1\r\nHost: a\r\nExpect: more\r\nConnection: close\r\n\r\n", 417, "parse.expectation"),
    ("/few HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", 413, "limit.body"),
    ("/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "route.none"),
];

#[test]
fn whatever_kolk_answers_to_a_head_request_has_no_content() {
    let hello = |_: &Request<'_>| "hello";
    let app = || App::new().any("/", hello).any("/few", hello.body_limit(8));
    let server = || alone(app()).timeouts(support::quick()).flight_recorder(FlightRecorder::new(64 * 1024));
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let only = ListenOptions::default().http2_only();
    let later = server().listen_with("127.0.0.1:0", only).unwrap().start().unwrap();
    let [first, encrypted] = [server(), server().tls(&tls)].map(start);
    let elsewhere = [
        (&encrypted, "/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "parse.plain_http"),
        (&later, "/ HTTP/1.1\r\nHost: a\r\n\r\n", 505, "parse.http2_only"),
    ];
    let here = REFUSED_HEADS.map(|(rest, status, reason)| (&first, rest, status, reason));
    for (server, rest, status, reason) in here.into_iter().chain(elsewhere) {
        for method in ["HEAD", "PUT"] {
            let mut client = Client::to(server);
            client.send(format!("{method} {rest}"));
            let mut answer = client.head();
            let length: usize = answer.field("content-length").unwrap().parse().unwrap();
            assert_eq!(
                (answer.status, answer.closes(), length > 0),
                (status, true, true),
                "{method} {rest:?}"
            );
            if method == "PUT" {
                client.body_of(&mut answer);
                assert!(answer.text().contains(reason), "{}", answer.text());
            }
            client.ends();
        }
        support::until("both are remembered", || {
            let recent = server.handle().recent(2);
            let told = |bytes| recent.matches(bytes).count();
            recent.matches(reason).count() >= 2 && told("\"bytes\":0,") == 1
        });
    }
    // Where the method is not known yet, any client can read why.
    let mut client = Client::to(&first);
    client.send("HEA");
    assert!(client.answer().text().contains("(timeout.header)"));
}

#[test]
fn a_head_may_be_equally_large_in_every_version() {
    let text = "server.limits.request_line = \"1KiB\"\nserver.limits.headers = \"2KiB\"\n[[site]]\nhosts = [\"*\"]\nrespond = 204\n";
    let read = Configuration::parse(text, "kolk.toml").unwrap();
    let file = read.server().unwrap().workers(Workers::Exactly(1));
    let usual = Limits::default();
    let http1 = h1::Limits { request_line_bytes_max: 1024, head_bytes_max: 2 * 1024, ..*usual.http1 };
    let http2 = usual.http2.with_head_bytes_max(2 * 1024);
    let limits = Limits { http1: Arc::new(http1), http2: Arc::new(http2), ..usual };
    let library = alone(App::new().get("/", Response::new(StatusCode::NO_CONTENT))).limits(limits);
    for server in [file, library].map(start) {
        let mut client = Http2::over(Client::to(&server).stream, "http");
        // Small fields count what they are, and not what a list of HPACK would have them count.
        let small =
            || (0..60).map(|number| (format!("x-{number}"), "twenty-bytes-of-text".to_owned())).collect();
        let one = |bytes: usize| vec![("x-large".to_owned(), "y".repeat(bytes))];
        let heads: [(Pairs, u16); 5] =
            [(small(), 204), (one(1_900), 204), (one(2_100), 431), (one(3_000), 431), (one(30_000), 431)];
        for (fields, status) in heads {
            let exchange = Exchange {
                method: "GET".to_owned(),
                target: "/".to_owned(),
                host: "localhost".to_owned(),
                fields,
                content: Content::Nothing,
                status,
                apart: Apart::Never,
            };
            let asked = exchange.fields.iter().map(|(_, value)| value.len()).sum::<usize>();
            assert_eq!(over_http1(&server, &exchange).statuses, [status], "HTTP/1.1, {asked} bytes");
            assert_eq!(client.exchange(&exchange).statuses, [status], "HTTP/2, {asked} bytes");
        }
    }
}
