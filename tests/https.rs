//! How visitors are brought to https and kept there: the site in the clear that sends them, and
//! `Strict-Transport-Security`.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use kolk::access_log::{Destination, Format, Log};
use kolk::{App, Config, Error, ListenOptions, Request, Response, Running, Server, Tls, service};
use rustls::version::TLS13;

use identity::{Identity, connect};
use support::scratch::Scratch;
use support::{Client, address, alone, get, start, until};

const YEAR: Duration = Duration::from_secs(31_536_000);
const HSTS: &str = "strict-transport-security";

fn server(identity: &Identity) -> Server {
    let app = App::new()
        .get("/fixed", Response::text("fixed"))
        .get("/", |_: &Request<'_>| "hello")
        .get("/own", |_: &Request<'_>| {
            Response::text("own").with_header(kolk::header::SERVER, "own".parse().unwrap())
        });
    alone(app).tls(&Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap()).hsts(YEAR)
}

fn redirect_address(server: &Running) -> SocketAddr {
    server.redirect_addr().unwrap().socket_addr().unwrap()
}

#[test]
fn rfc_6797_7_2_every_encrypted_answer_says_it_and_no_other() {
    let identity = Identity::new(&["localhost"]);
    let server = server(&identity).redirect_to_https("127.0.0.1:0").unwrap().listen("127.0.0.1:0").unwrap();
    let clear = ListenOptions::default().in_the_clear();
    let server = server.listen_with("127.0.0.1:0", clear).unwrap().start().unwrap();
    let config = identity.trusted_by(&[&TLS13]);
    let mut client = Client::over(connect(address(&server), &config, "localhost", usize::MAX));
    for (path, status) in [("/", 200), ("/fixed", 200), ("/own", 200), ("/none", 404), ("/", 200)] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.field(HSTS)), (status, Some("max-age=31536000")), "{path}");
        assert_eq!(answer.field("server"), Some(if path == "/own" { "own" } else { "kolk" }));
    }
    client.send("GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.answer().field(HSTS), Some("max-age=31536000"));

    let mut plain = Client::to(&server);
    plain.send(get("/"));
    let answer = plain.answer();
    assert_eq!((answer.status, answer.field(HSTS)), (400, None), "{}", answer.text());
    assert_eq!(Client::at(redirect_address(&server)).get("/").field(HSTS), None);
    let mut clear = Client::at(server.addrs()[1].socket_addr().unwrap());
    for (path, status) in [("/", 200), ("/fixed", 200), ("/none", 404)] {
        let answer = clear.get(path);
        assert_eq!((answer.status, answer.field(HSTS)), (status, None), "{path}");
    }
    let app = App::new().get("/", Response::text("hello"));
    assert_eq!(Client::to(&start(alone(app).hsts(YEAR))).get("/").field(HSTS), None);
}

#[test]
fn everybody_is_sent_from_the_clear() {
    let server = start(server(&Identity::new(&["localhost"])).redirect_to_https("127.0.0.1:0").unwrap());
    let port = address(&server).port();
    let mut client = Client::at(redirect_address(&server));
    for (request, place) in [
        ("GET /a/../b%20?c=%0d%0a HTTP/1.1\r\nHost: example.org\r\n\r\n", "example.org /a/../b%20?c=%0d%0a"),
        ("DELETE http://example.net:80/x HTTP/1.1\r\nHost: other\r\n\r\n", "example.net /x"),
        ("BREW / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "[::1] /"),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "a /"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "a /"),
    ] {
        client.send(request);
        let answer = client.answer();
        let place = place.replacen(' ', &format!(":{port}"), 1);
        assert_eq!((answer.status, answer.field("location")), (308, Some(&*format!("https://{place}"))));
    }
    for request in
        ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n"]
    {
        let mut client = Client::at(redirect_address(&server));
        client.send(request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("location")), (400, None), "{request}");
    }
    // Nobody waits for a body.
    let mut client = Client::at(redirect_address(&server));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
    assert_eq!(client.answer().status, 308);
}

#[test]
fn whoever_is_sent_away_is_counted_and_logged() {
    let folder = Scratch::new("redirected");
    let log = folder.join("access.log");
    let server =
        server(&Identity::new(&["localhost"])).access_log(Format::Json, Destination::File(log.clone()));
    let server = server.admin("127.0.0.1:0").unwrap().redirect_to_https("127.0.0.1:0").unwrap();
    let server = start(server);
    let admin = server.admin_addr().unwrap().socket_addr().unwrap();
    {
        let mut client = Client::at(redirect_address(&server));
        assert_eq!(client.get("/a?b").status, 308);
        client.send("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n");
        assert_eq!(client.answer().status, 400);
    }
    let requests: Vec<u64> = server.snapshot().workers.iter().map(|worker| worker.requests).collect();
    assert_eq!((server.workers(), &*requests), (1, &[2][..]));
    let counted = [
        "kolk_requests_total{class=\"3xx\"} 1\n",
        "kolk_requests_total{class=\"4xx\"} 1\n",
        "kolk_workers 1\n",
    ];
    let page = Client::at(admin).get("/_kolk/metrics").text().to_owned();
    for line in counted {
        assert!(page.contains(line), "{line} is missing in:\n{page}");
    }
    let mut pulse = service::Pulse::new(server.handle());
    until("a beat of every worker", || pulse.beat());
    server.drain(Duration::from_secs(5));
    server.join().unwrap();
    let lines = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let sent = [r#""target":"/a?b""#, r#""status":308"#, r#""route":"/{*path}""#, r#""worker":0"#];
    assert!(sent.iter().all(|part| lines[0].contains(part)), "{}", lines[0]);
    let refused = [r#""status":400"#, r#""reason":"#, r#""worker":0"#];
    assert!(refused.iter().all(|part| lines[1].contains(part)), "{}", lines[1]);
}

#[test]
fn both_end_together() {
    let server = start(server(&Identity::new(&["localhost"])).redirect_to_https("127.0.0.1:0").unwrap());
    let redirect = redirect_address(&server);
    assert_eq!(Client::at(redirect).get("/").status, 308);
    server.drain(Duration::from_secs(5));
    server.join().unwrap();
    assert!(std::net::TcpStream::connect(redirect).is_err());
}

#[test]
fn nobody_is_sent_where_nobody_is() {
    let plain = Server::new(App::new()).listen("127.0.0.1:0").unwrap();
    let refused = plain.redirect_to_https("127.0.0.1:0").unwrap().bind().unwrap_err();
    assert!(matches!(refused, Error::Listen(_)), "{refused}");
    // Nor where there is a certificate, and nobody shows it.
    let clear = ListenOptions::default().in_the_clear();
    let server = server(&Identity::new(&["localhost"])).listen_with("127.0.0.1:0", clear).unwrap();
    let refused = server.redirect_to_https("127.0.0.1:0").unwrap().bind().unwrap_err();
    assert!(refused.to_string().ends_with("no listener is encrypted"), "{refused}");
}

#[test]
fn visitors_follow_the_encrypted_listeners_and_are_sent_nowhere_when_none_is_left() {
    let clear = ListenOptions::default().in_the_clear();
    let server = server(&Identity::new(&["localhost"])).listen_with("127.0.0.1:0", clear).unwrap();
    let server = start(server.redirect_to_https("127.0.0.1:0").unwrap());
    let (handle, first) = (server.handle(), server.addrs()[1].clone());
    let mut client = Client::at(redirect_address(&server));
    let place = |port: u16| format!("https://test:{port}/a");
    let port_of = |address: &kolk::ListenAddr| address.socket_addr().unwrap().port();
    assert_eq!(client.get("/a").field("location"), Some(&*place(port_of(&first))));
    let second = handle.listen("127.0.0.1:0").unwrap();
    assert_eq!(client.get("/a").field("location"), Some(&*place(port_of(&first))), "the first counts");
    // At once: the port is not the app's.
    assert!(handle.leave(&first).unwrap());
    assert_eq!(client.get("/a").field("location"), Some(&*place(port_of(&second))));
    assert!(handle.leave(&second).unwrap());
    for mut client in [client, Client::at(redirect_address(&server))] {
        let answer = client.get("/a");
        assert_eq!((answer.status, answer.field("location")), (503, None));
        assert!(answer.text().contains("route.nobody_at_https"), "{}", answer.text());
    }
    let third = handle.listen("127.0.0.1:0").unwrap();
    let mut client = Client::at(redirect_address(&server));
    assert_eq!(client.get("/a").field("location"), Some(&*place(port_of(&third))));
    // Its own listener is one as any other.
    let own = handle.redirect_addr().unwrap();
    assert_eq!(Some(&own), server.redirect_addr());
    assert!(!handle.addrs().contains(&own) && handle.leave(&own).unwrap());
    assert_eq!(handle.redirect_addr(), None);
    assert_eq!(client.get("/a").status, 308, "who has come in stays");
    until("it is closed", || std::net::TcpStream::connect(own.socket_addr().unwrap()).is_err());
}

#[test]
fn whoever_is_sent_away_is_written_down_in_the_logs_that_take_over() {
    let folder = Scratch::new("redirected-logs");
    let log = |name: &str| Log::new(Format::Json, Destination::File(folder.join(name)));
    let server = server(&Identity::new(&["localhost"])).access_logs([log("old")]);
    let server = start(server.redirect_to_https("127.0.0.1:0").unwrap());
    let mut client = Client::at(redirect_address(&server));
    assert_eq!(client.get("/old").status, 308);
    server.handle().replace_logged(App::new(), Config::default(), [log("new")]).unwrap();
    let lines = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let place = format!("https://test:{}/new", address(&server).port());
    until("it is written down in the new one", || {
        assert_eq!(client.get("/new").field("location"), Some(&*place));
        lines("new").contains(r#""target":"/new""#)
    });
    server.stop();
    server.join().unwrap();
    assert!(lines("old").contains(r#""target":"/old""#) && !lines("new").contains("/old"));
}
