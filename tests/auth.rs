//! Who is let in, on real sockets: what becomes of bodies, what handlers and the log learn, and for how long.
//!
//! ```text
//!  head ─► layer ─┬─ wrong ─► 401, 403, 429: of the body nothing is read, and nothing in it is a request
//!                 └─ right ─► handler ─► Request::user, also later and on other threads ─► the log
//! ```

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "frames/frame.rs"]
mod frame;
mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use kolk::access_log::{Destination, Format};
use kolk::app::{Outcome, Sink, Take};
use kolk::{
    App, BasicAuth, BearerAuth, Handler, Reply, Request, Response, Running, Token, blocking, deferred,
    receiving,
};

use frame::{DATA, END_STREAM, Frame, HEADERS, bytes_of};
use support::scratch::Scratch;
use support::{Client, PATIENCE, alone, start};

const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
/// `ada:password`, and `ada:wrong`.
const RIGHT: &str = "Authorization: Basic YWRhOnBhc3N3b3Jk\r\n";
const WRONG: &str = "Authorization: Basic YWRhOndyb25n\r\n";

fn user(request: &Request<'_>) -> String {
    request.user().unwrap_or("nobody").to_owned()
}

/// Answers with the user at the end of the body.
struct Last;

impl Sink for Last {
    fn chunk(&mut self, _: &[u8]) -> Take {
        Take::More
    }

    fn end(self: Box<Self>, request: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(user(request).into());
        Outcome::Ready
    }
}

/// Handlers of every kind that say who asks.
fn app() -> App {
    let basic = || BasicAuth::new("x").user("ada", HASH).unwrap().failures(0, Duration::ZERO);
    let later = deferred(|request: &Request<'_>, reply: Reply| {
        let request = request.to_owned_request();
        std::thread::spawn(move || reply.send(user(&request.request())));
    });
    App::new()
        .get("/open", user)
        .get("/own", |request: &Request<'_>| {
            request.identify(&"ada".into());
            user(request)
        })
        .get("/plain", basic().guard(user))
        .get("/later", basic().guard(later))
        .get("/blocking", basic().guard(blocking(user)))
        .post("/collected", basic().guard(user))
        .post("/sink", basic().guard(receiving(|_| Ok(Box::new(Last)))))
        .get("/bob", basic().users(["bob"]).guard(user))
        .get("/fixed", basic().guard(Response::text("fixed")))
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn post(target: &str, fields: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn handlers_of_every_kind_see_who_asks_and_so_does_the_log() {
    let folder = Scratch::new("auth-log");
    let log = folder.join("log");
    let server = start(alone(app()).access_log(Format::Json, Destination::File(log.clone())));
    let mut client = Client::to(&server);
    // The first is checked on another thread, the others are believed.
    for target in ["/plain", "/plain", "/later", "/blocking", "/fixed"] {
        client.send(get(target, RIGHT));
        assert_eq!(client.answer().text(), if target == "/fixed" { "fixed" } else { "ada" }, "{target}");
        client.send(get("/open", RIGHT));
        assert_eq!(client.answer().text(), "nobody", "whoever was asked for nothing has proved nothing");
    }
    for target in ["/collected", "/sink"] {
        for body in ["", "a body"] {
            client.send(post(target, RIGHT, body));
            assert_eq!(client.answer().text(), "ada", "{target} {body}");
        }
    }
    client.send(get("/own", ""));
    assert_eq!(client.answer().text(), "ada", "a handler may know, too");
    client.send(get("/bob", RIGHT));
    let forbidden = client.answer();
    assert_eq!((forbidden.status, forbidden.field("www-authenticate")), (403, None));
    assert!(forbidden.text().contains("handler.user_not_allowed"));
    client.send(get("/plain", WRONG));
    assert_eq!(client.answer().status, 401);
    drop(client);
    server.drain(PATIENCE);
    server.join().unwrap();

    let lines = std::fs::read_to_string(log).unwrap();
    let users = |target: &str| {
        let of_target = |line: &&str| line.contains(&format!("\"target\":\"{target}\""));
        lines.lines().filter(of_target).map(|line| line.contains("\"user\":\"ada\"")).collect::<Vec<_>>()
    };
    assert_eq!(users("/plain"), [true, true, false], "{lines}");
    assert_eq!(users("/open"), [false; 5]);
    for (target, count) in
        [("/own", 1), ("/later", 1), ("/blocking", 1), ("/collected", 2), ("/sink", 2), ("/bob", 1)]
    {
        assert_eq!(users(target), vec![true; count], "{target}");
    }
    assert!(lines.contains("\"status\":403,") && lines.contains("\"reason\":\"handler.user_not_allowed\""));
}

/// A guarded POST, and how often anything was run.
fn counted(guard: impl Fn(Counted) -> App) -> (Running, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    (start(alone(guard(Counted(Arc::clone(&runs))))), runs)
}

#[derive(Clone)]
struct Counted(Arc<AtomicUsize>);

impl Handler for Counted {
    fn handle(&self, _: &Request<'_>, response: &mut Response) -> Outcome {
        self.0.fetch_add(1, SeqCst);
        response.replace("run".into());
        Outcome::Ready
    }
}

#[test]
fn a_request_within_a_refused_body_is_never_run() {
    let token = Token::random().unwrap().line("ci");
    let (server, runs) = counted(|run| {
        let basic = BasicAuth::new("x").user("ada", HASH).unwrap().failures(6, Duration::from_secs(60));
        let bearer = BearerAuth::new("x").tokens(&token).unwrap();
        App::new()
            .get("/secret", run.clone())
            .post("/basic", basic.guard(run.clone()))
            .post("/bearer", bearer.guard(run))
    });
    let hidden = get("/secret", "");
    let bearer = "Authorization: Bearer x\r\n";
    // Each is sent twice.
    for (target, fields, status) in [
        ("/basic", "", 401),
        ("/basic", WRONG, 401),
        ("/basic", WRONG, 401),
        ("/basic", WRONG, 401),
        ("/basic", WRONG, 429),
        ("/basic", RIGHT, 429),
        ("/bearer", "", 401),
        ("/bearer", bearer, 401),
        ("/bearer", &*bearer.repeat(2), 400),
    ] {
        let mut client = Client::to(&server);
        client.send(post(target, fields, &hidden));
        let answer = client.answer();
        assert_eq!(answer.status, status, "{target} {fields}");
        assert_eq!(answer.field("retry-after").is_some(), status == 429);
        client.finish();
        assert!(client.rest().is_empty(), "{target} {fields}: one request, one answer");

        // Nor is the body invited, or one in chunks read.
        let mut client = Client::to(&server);
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"));
        assert!([401, 400, 429].contains(&client.answer().status));
    }
    assert_eq!(runs.load(SeqCst), 0);
}

#[test]
fn many_requests_on_one_connection_are_of_many_users() {
    let (ci, bob) = (Token::random().unwrap(), Token::random().unwrap());
    let auth = BearerAuth::new("x").tokens(&format!("{}\n{}", ci.line("ci"), bob.line("bob"))).unwrap();
    let later = deferred(|request: &Request<'_>, reply: Reply| {
        let request = request.to_owned_request();
        std::thread::spawn(move || reply.send(user(&request.request())));
    });
    let server = start(alone(App::new().get("/", auth.guard(later)).get("/open", user)));
    let mut stream = std::net::TcpStream::connect(support::address(&server)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |stream: u32, target: &str, token: &str| {
        format!("HEADERS {stream} END_STREAM END_HEADERS GET={target} authorization=\"Bearer {token}\"")
    };
    let lines = [
        "PREFACE | SETTINGS | SETTINGS ACK".to_owned(),
        ask(1, "/", ci.reveal()),
        ask(3, "/", bob.reveal()),
        ask(5, "/", "x"),
        ask(7, "/open", ci.reveal()),
    ];
    stream.write_all(&bytes_of(&lines.join(" | "))).unwrap();
    let (mut unread, mut answers) = (Vec::new(), vec![String::new(); 8]);
    let mut ended = 0;
    while ended < 4 {
        while let Some(frame) = Frame::parse(&unread) {
            unread.drain(..frame::HEAD_BYTES + frame.payload.len());
            if frame.kind == DATA {
                answers[frame.stream as usize].push_str(std::str::from_utf8(&frame.payload).unwrap());
            }
            ended += usize::from([DATA, HEADERS].contains(&frame.kind) && frame.is(END_STREAM));
        }
        if ended < 4 {
            let mut bytes = [0; 4_096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "{answers:?}");
            unread.extend_from_slice(&bytes[..count]);
        }
    }
    assert_eq!((&*answers[1], &*answers[3], &*answers[7]), ("ci", "bob", "nobody"));
    assert!(answers[5].contains("handler.token_unknown"), "{}", answers[5]);
}

#[test]
#[ignore = "needs a program: scripts/htpasswd.sh"]
fn what_htpasswd_writes_today_is_taken_or_refused_by_its_line() {
    let folder = Scratch::new("htpasswd");
    let path = folder.join("users");
    let run = |options: &[&str], rest: &[&str]| {
        let status = std::process::Command::new("htpasswd").args(options).arg(&path).args(rest).status();
        assert!(status.unwrap().success(), "{options:?}");
    };
    let write = |options: &[&str], user: &str| run(options, &[user, "correct horse"]);
    let taken: [(&[&str], &str); 3] =
        [(&["-cbB"], "bcrypt"), (&["-b2", "-r", "5000"], "sha256"), (&["-b5", "-r", "5000"], "sha512")];
    for (options, user) in taken {
        write(options, user);
    }
    let auth = || BasicAuth::new("x").htpasswd_file(&path);
    let app = App::new().get("/", auth().unwrap().guard(user));
    for (_, user) in taken {
        let pair = Base64::encode_string(format!("{user}:correct horse").as_bytes());
        let request = http::Request::get("/").header("authorization", format!("Basic {pair}"));
        assert_eq!(app.oneshot(request.body("").unwrap()).body(), user);
    }
    for (options, user) in [("-bm", "md5"), ("-bs", "sha1"), ("-bd", "des"), ("-bp", "plain")] {
        write(&[options], user);
        let said = auth().unwrap_err().to_string();
        assert!(said.contains(":4: ") && said.contains("kolk hash-password"), "{said}");
        run(&["-D"], &[user]);
    }
}
