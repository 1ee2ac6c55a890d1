//! Who is let in, how often a hash is computed for that, and what becomes of bodies.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use bytes::Bytes;

use super::account::VERIFIED_FOR;
use super::*;
use crate::app::{
    App, Attributes, BlockingPool, Counts, Mail, Origin, Outcome, Params, Progress, Request, Route, Sink,
    Take, Visitor, blocking, receiving,
};
use crate::base::{Certificate, Key, Mailbox, Tick, Wake};
use crate::http::{ExchangeId, FieldTable, Head, Known, Path, Reason, Response, StreamId, Timeline};

/// Of `password`, and cheap.
const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn auth() -> BasicAuth {
    BasicAuth::new("a \"realm\"").user("ada", HASH).unwrap()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", Base64::encode_string(pair.as_bytes()))
}

fn send(app: &App, method: &str, credentials: &str, body: &'static str) -> ::http::Response<Bytes> {
    let request = ::http::Request::builder().method(method).uri("/").header("authorization", credentials);
    app.oneshot(request.body(body).unwrap())
}

#[track_caller]
fn assert_challenged(answer: &::http::Response<Bytes>) {
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], r#"Basic realm="a \"realm\"", charset="UTF-8""#);
    assert!(answer.body().ends_with(b"(handler.unauthorized)\n"), "{:?}", answer.body());
}

#[test]
fn only_the_right_pair_is_let_in() {
    let app = App::new().get("/", auth().guard(|_: &Request<'_>| "secret"));
    assert_eq!(send(&app, "GET", &basic("ada:password"), "").body(), "secret");
    for pair in ["ada:Password", "ada:", "Ada:password", "eve:password", ":password", "ada:password\0", "ada"]
    {
        assert_challenged(&send(&app, "GET", &basic(pair), ""));
    }
    assert_challenged(&send(&app, "GET", "Bearer x", ""));
    assert_challenged(&app.oneshot(::http::Request::get("/").body("").unwrap()));
    let twice = ::http::Request::get("/")
        .header("authorization", basic("ada:password"))
        .header("authorization", basic("ada:password"));
    let answer = app.oneshot(twice.body("").unwrap());
    assert_eq!(answer.status(), 400);
    assert!(answer.body().ends_with(b"(handler.credentials_repeated)\n"), "{:?}", answer.body());
    let nobody = App::new().get("/", BasicAuth::new("a \"realm\"").guard(|_: &Request<'_>| "secret"));
    assert_challenged(&send(&nobody, "GET", &basic("ada:password"), ""));
}

#[test]
fn a_fixed_answer_is_guarded_too() {
    let app = App::new().get("/", auth().guard(Response::text("secret")));
    assert_challenged(&app.oneshot(::http::Request::get("/").body("").unwrap()));
}

#[test]
fn users_are_checked_when_they_are_named() {
    let refused = |name: &str, hash: &str| BasicAuth::new("x").user(name, hash).unwrap_err().to_string();
    assert!(refused("a:b", HASH).contains("no user name"));
    assert!(refused("", HASH).contains("no user name"));
    assert!(refused("ada", "password").contains("kolk hash-password"));
    assert!(refused("ada", "password").starts_with("the hash of user \"ada\""));
    assert_eq!(auth().user("ada", HASH).unwrap_err(), UserError::Twice("ada".into()));
}

#[test]
fn bodies_arrive_at_handlers_of_every_kind() {
    struct Count(usize);
    impl Sink for Count {
        fn chunk(&mut self, bytes: &[u8]) -> Take {
            self.0 += bytes.len();
            Take::More
        }
        fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
            response.replace(self.0.to_string().into());
            Outcome::Ready
        }
    }
    let auth = auth();
    let echo = |request: &Request<'_>| Bytes::copy_from_slice(request.body());
    let app = App::new()
        .post("/", auth.guard(echo))
        .put("/", auth.guard(receiving(|_| Ok(Box::new(Count(0))))))
        .patch("/", auth.guard(blocking(echo)));
    for (method, expected) in [("POST", "the body"), ("PUT", "8"), ("PATCH", "the body")] {
        assert_eq!(send(&app, method, &basic("ada:password"), "the body").body(), expected, "{method}");
        assert_challenged(&send(&app, method, &basic("ada:wrong"), "the body"));
        let empty = send(&app, method, &basic("ada:password"), "");
        assert_eq!(empty.status(), 200, "{method}");
    }
}

/// Made by `htpasswd` (Apache 2.4.68): -B -C 4, -5 -r 1000, -2 -r 1000, each of "correct horse".
const HTPASSWD: &str = "\
# the archive
ada:$2y$04$vad9ZIL/CzQHKqS4bqk/3usZ9meXiKvBk663AT9GpWf49O/yWzNJC

bob:$6$rounds=1000$XeGiJRxfHDE2rJSv$QdzSnXvYsnuSu1fJETeHJ/7/wsKFs8tQ1ce/d9iSHOU\
Lvbdfnis4lalab8ODeFlqLs6w7VZPHj/6/8GEItmHH1
carol:$5$rounds=1000$uC7wCROS5OxPoqAy$OYff.578JkZgcOtddAXpb.nyYhNOVVwQvnMILsy2Zz3:Carol, of the archive
";

#[test]
fn users_of_htpasswd_are_let_in() {
    let auth = BasicAuth::new("a \"realm\"").htpasswd(HTPASSWD).unwrap();
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    for user in ["ada", "bob", "carol"] {
        assert_eq!(
            send(&app, "GET", &basic(&format!("{user}:correct horse")), "").body(),
            "secret",
            "{user}"
        );
        assert_challenged(&send(&app, "GET", &basic(&format!("{user}:battery staple")), ""));
    }
}

#[test]
fn a_line_of_htpasswd_that_is_none_is_named() {
    let refused = |line: &str| {
        let error = BasicAuth::new("x").htpasswd(&format!("{HTPASSWD}{line}\n")).unwrap_err();
        assert_eq!(error.line(), Some(6), "{line}");
        error.to_string()
    };
    // By the same program: -m, -s, -d, -p.
    for (line, kind) in [
        ("eve:$apr1$hz1/8WI9$3Yb7g6ekPnireV2W5sqr0.", "MD5 (apr1)"),
        ("eve:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "SHA-1"),
        ("eve:26YU/aJzzBzX2", "not a password hash"),
        ("eve:secret", "not a password hash"),
        ("eve:", "not a password hash"),
    ] {
        let said = refused(line);
        assert!(said.contains(kind) && said.contains("kolk hash-password"), "{said}");
        assert!(!said.contains("secret"), "it may be a password: {said}");
    }
    assert_eq!(refused("secret"), "line 6: there is no colon between a name and what belongs to it");
    let again = HTPASSWD.lines().nth(1).unwrap();
    assert_eq!(refused(again), "line 6: there are two users of the name \"ada\": remove one");
    assert!(
        refused(":$2y$04$vad9ZIL/CzQHKqS4bqk/3usZ9meXiKvBk663AT9GpWf49O/yWzNJC").contains("no user name")
    );
}

#[test]
fn a_list_of_users_has_some() {
    for text in ["", "\u{FEFF}\n", "# ada:$2y$04$\n \n"] {
        let error = BasicAuth::new("x").htpasswd(text).unwrap_err().to_string();
        assert_eq!(error, "it names nobody: add a line, or nobody could come in");
        assert!(auth().htpasswd(text).is_ok(), "others are there");
    }
}

#[test]
fn a_long_file_of_users_is_read_in_a_moment() {
    let mut text = String::new();
    for number in 0..12_000 {
        writeln!(text, "user{number}:$2y$04$vad9ZIL/CzQHKqS4bqk/3usZ9meXiKvBk663AT9GpWf49O/yWzNJC").unwrap();
    }
    let auth = BasicAuth::new("x").htpasswd(&text).unwrap();
    assert!(format!("{auth:?}").contains("users: 12000"));
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

/// A worker's place, without a worker.
struct Desk {
    pool: Arc<BlockingPool>,
    mailbox: Mailbox<Mail>,
    letters: Vec<Mail>,
    visitor: Stranger,
}

/// From somewhere, or not.
#[derive(Default)]
struct Stranger(Option<SocketAddr>);

impl Visitor for Stranger {
    fn address(&self) -> Option<SocketAddr> {
        self.0
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        None
    }
}

impl Desk {
    fn new(pool: BlockingPool) -> Self {
        let mailbox = Mailbox::new(Arc::new(Silent), 1024);
        Self { pool: Arc::new(pool), mailbox, letters: Vec::new(), visitor: Stranger::default() }
    }

    /// Calls the only route of `app` at `now`.
    fn call(&self, app: &App, pair: &str, now: Tick) -> (Outcome, Response) {
        let bytes = format!("GET / HTTP/1.1\r\nAuthorization: {}\r\n\r\n", basic(pair)).into_bytes();
        let mut table = FieldTable::new();
        let place = |text: &str| {
            let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
            crate::http::Span::new(u16::try_from(at).unwrap(), u16::try_from(at + text.len()).unwrap())
        };
        table.push(place("Authorization"), place(&basic(pair)), Some(Known::Authorization)).unwrap();
        let (params, post) = (Params::new(), self.mailbox.post());
        let origin = Origin {
            exchange: ExchangeId { connection: Key::unpack(1 << 32), stream: StreamId(1) },
            post: &post,
            pool: &self.pool,
            worker: 0,
            connection_number: 1,
            request_number: 1,
            now,
            unix_seconds: 0,
            timeline: Timeline::default(),
            trust: None,
            peer: &self.visitor,
            attributes: &Attributes::default(),
        };
        let route: &Route = &app.routes()[0];
        let path = Path::normalised("/");
        let (head, pattern) = (Head::new(&bytes, &table), route.shared_pattern());
        let request = Request::new(head, path, pattern, &params, b"", None, &origin);
        let mut response = Response::default();
        let outcome = match route.chain().before(0, &request, &mut response) {
            Progress::Passed => route.call(&request, &mut response),
            Progress::Stopped(_, outcome) => outcome,
            Progress::Waits { .. } => panic!("nothing here waits"),
        };
        (outcome, response)
    }

    /// The next letter.
    fn letter(&mut self) -> Mail {
        while self.letters.is_empty() {
            self.mailbox.drain(&mut self.letters);
            std::thread::yield_now();
        }
        self.letters.remove(0)
    }
}

fn computed(auth: &BasicAuth) -> u64 {
    let text = format!("{auth:?}");
    text.split("computed: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn what_was_right_is_believed_for_a_while_and_what_was_wrong_never() {
    let auth = auth();
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let mut desk = Desk::new(BlockingPool::new(2, 8));
    let start = Tick::from_millis(1_000);

    let (Outcome::Again(_ticket), _) = desk.call(&app, "ada:password", start) else { panic!("not asked") };
    assert!(matches!(desk.letter(), Mail::Again { .. }));
    assert_eq!(computed(&auth), 1);
    let last = Tick::from_nanos(start.after(VERIFIED_FOR).as_nanos() - 1);
    for now in [start, last] {
        let (outcome, response) = desk.call(&app, "ada:password", now);
        assert!(matches!(outcome, Outcome::Ready) && response.status() == 200);
    }
    assert_eq!(computed(&auth), 1);

    // A wrong password, a user who is not known, each again: one hash each time.
    for (number, pair) in [(2, "ada:wrong"), (3, "ada:wrong"), (4, "eve:password"), (5, "eve:password")] {
        let (Outcome::Again(_ticket), _) = desk.call(&app, pair, start) else { panic!("not asked") };
        let Mail::Answer { response, .. } = desk.letter() else { panic!("no answer") };
        assert_eq!(response.reason(), Some(Reason::Unauthorized));
        assert_eq!(computed(&auth), number, "{pair}");
    }
    // Nor did that make anybody forget.
    assert!(matches!(desk.call(&app, "ada:password", last).0, Outcome::Ready));

    let (outcome, _) = desk.call(&app, "ada:password", start.after(VERIFIED_FOR));
    assert!(matches!(outcome, Outcome::Again(_)), "believed no longer");
}

/// The answer to a guess, which is checked or not.
fn guessed(desk: &mut Desk, app: &App, pair: &str, now: Tick) -> Response {
    let (outcome, response) = desk.call(app, pair, now);
    let Outcome::Again(_ticket) = outcome else { return response };
    match desk.letter() {
        Mail::Answer { response, .. } => *response,
        Mail::Again { .. } => Response::default(),
        letter => panic!("{letter:?}"),
    }
}

#[test]
fn who_fails_too_often_is_refused_before_a_hash_is_computed() {
    let minute = Duration::from_secs(60);
    let auth = auth().user("bob", HASH).unwrap().failures(3, minute);
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let mut desk = Desk::new(BlockingPool::new(1, 8));
    desk.visitor = Stranger(Some("[2001:db8::1]:4242".parse().unwrap()));
    let start = Tick::from_millis(1_000);
    let guess = |desk: &mut Desk, pair, now| guessed(desk, &app, pair, now).status().as_u16();

    assert_eq!(guess(&mut desk, "ada:password", start), 200);
    // Of whoever: names that are not known count the same.
    for pair in ["ada:wrong", "eve:password", "ada:wrong"] {
        assert_eq!(guess(&mut desk, pair, start), 401);
    }
    assert_eq!(computed(&auth), 4);
    let soon = start.after(Duration::from_millis(30_500));
    // Also a password that is right, but was not found so yet.
    for pair in ["ada:wrong", "eve:password", "bob:password"] {
        let response = guessed(&mut desk, &app, pair, soon);
        assert_eq!(response.reason(), Some(Reason::AuthFailures), "{pair}");
        assert_eq!(response.fields().get("retry-after"), Some(&b"30"[..]));
    }
    assert_eq!(computed(&auth), 4, "nothing was computed");
    // Its neighbours in the same /64 too, and nobody else.
    desk.visitor = Stranger(Some("[2001:db8::2]:4242".parse().unwrap()));
    assert_eq!(guess(&mut desk, "ada:wrong", soon), 429);
    // Who was right before may go on, until there were so many tries that somebody may be guessing at that.
    for tries in 7..30 {
        assert_eq!(guess(&mut desk, "ada:password", soon), 200, "{tries}");
        assert_eq!(guess(&mut desk, "ada:wrong", soon), 429, "{tries}");
    }
    assert_eq!(guess(&mut desk, "ada:password", soon), 429);
    assert_eq!(computed(&auth), 4, "nothing was computed");
    desk.visitor = Stranger(Some("192.0.2.1:4242".parse().unwrap()));
    assert_eq!(guess(&mut desk, "ada:password", soon), 200);
    desk.visitor = Stranger(Some("[2001:db8::1]:4242".parse().unwrap()));
    assert_eq!(guess(&mut desk, "ada:password", start.after(minute)), 200, "forgotten");
}

#[test]
fn guesses_that_come_at_once_are_counted_too() {
    let auth = auth().failures(3, Duration::from_secs(60));
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let mut desk = Desk::new(BlockingPool::new(1, 8));
    desk.visitor = Stranger(Some("192.0.2.1:4242".parse().unwrap()));
    let guess = |number| format!("ada:wrong{number}");
    let answers: Vec<_> = (0..50).map(|number| desk.call(&app, &guess(number), Tick::ZERO)).collect();
    let mut statuses: Vec<_> = answers
        .iter()
        .map(|(outcome, response)| {
            // Whoever came when the others were checked already.
            let Outcome::Again(_) = outcome else { return response.status().as_u16() };
            let Mail::Answer { response, .. } = desk.letter() else { panic!("no answer") };
            response.status().as_u16()
        })
        .collect();
    statuses.sort_unstable();
    assert_eq!((&statuses[..3], &statuses[3..]), (&[401; 3][..], &[429; 47][..]));
    assert_eq!(computed(&auth), 3);
}

/// A pool whose only thread is at work elsewhere, until the gate is dropped.
fn busy_pool() -> (BlockingPool, mpsc::Sender<()>) {
    let pool = BlockingPool::new(1, 8);
    let (gate, closed) = mpsc::channel::<()>();
    let closed = std::sync::Mutex::new(closed);
    pool.submit(Box::new(move || assert!(closed.lock().unwrap().recv().is_err()))).unwrap();
    (pool, gate)
}

#[test]
fn who_shows_the_same_at_once_is_answered_with_one_hash() {
    let auth = auth().user("bob", HASH).unwrap().failures(3, Duration::from_secs(60));
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let (pool, gate) = busy_pool();
    let mut desk = Desk::new(pool);
    desk.visitor = Stranger(Some("192.0.2.1:4242".parse().unwrap()));
    let ask = |pair| match desk.call(&app, pair, Tick::ZERO) {
        (Outcome::Again(ticket), _) => ticket,
        (_, response) => panic!("{:?}", response.reason()),
    };
    let right: Vec<_> = (0..300).map(|_| ask("ada:password")).collect();
    let wrong: Vec<_> = (0..5).map(|_| ask("ada:wrong")).collect();
    let stranger = ask("eve:password");
    let bob = ask("bob:password");
    assert!(format!("{auth:?}").contains("waiting: 4"), "{auth:?}");
    // Who leaves, leaves the others to wait.
    right[0].presence().set(crate::app::Presence::Gone);
    drop(gate);
    let letters: Vec<_> = (1..right.len() + wrong.len() + 2).map(|_| desk.letter()).collect();
    drop((right, wrong, stranger, bob));
    let statuses: Vec<_> = letters
        .into_iter()
        .map(|letter| match letter {
            Mail::Again { .. } => 200,
            Mail::Answer { response, .. } => response.status().as_u16(),
            letter => panic!("{letter:?}"),
        })
        .collect();
    // Each of the wrong ones counts: after three of them nothing is computed for who comes from there.
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(200), count(401), count(429)), (299, 3, 4));
    assert_eq!(computed(&auth), 2);
}

#[test]
fn users_that_take_the_place_of_others_are_believed_if_they_are_the_same() {
    const OTHER_HASH: &str =
        "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
    let named = |users: &[(&str, &str)], limit| {
        let auth = BasicAuth::new("x").failures(limit, Duration::from_secs(60));
        users.iter().fold(auth, |auth, (name, hash)| auth.user(name, hash).unwrap())
    };
    let behind = |auth: &BasicAuth| App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let after = |former: &Counts, auth| {
        let mut counts = former.successor();
        let auth = counts.passwords("staff", auth, former);
        (behind(&auth), auth, counts)
    };
    let mut desk = Desk::new(BlockingPool::new(1, 8));
    desk.visitor = Stranger(Some("192.0.2.1:4242".parse().unwrap()));
    let now = Tick::from_millis(1_000);
    let (app, auth, first) = after(&Counts::default(), named(&[("ada", HASH), ("bob", HASH)], 2));
    assert_eq!(guessed(&mut desk, &app, "ada:password", now).status(), 200);
    assert_eq!(guessed(&mut desk, &app, "bob:wrong", now).status(), 401);
    assert_eq!(computed(&auth), 2);

    // As she was, among others who come and go.
    let others: Vec<_> = ["a", "b", "c", "ada", "y", "z"].map(|name| (name, HASH)).into();
    let (app, auth, second) = after(&first, named(&others, 2));
    let (outcome, response) = desk.call(&app, "ada:password", now);
    assert!(matches!(outcome, Outcome::Ready) && response.status() == 200, "no hash is computed");
    assert_eq!(computed(&auth), 2);
    assert_eq!(guessed(&mut desk, &app, "bob:password", now).status(), 401, "he is gone");
    assert_eq!(guessed(&mut desk, &app, "a:password", now).status(), 429, "two were wrong");

    // Another hash, of the same password; and another limit, up to which it goes on: three were wrong.
    let (app, auth, third) = after(&second, named(&[("ada", OTHER_HASH)], 4));
    assert_eq!(guessed(&mut desk, &app, "ada:password", now).status(), 200);
    assert_eq!(computed(&auth), 4);
    let (app, auth, _) = after(&third, named(&[("ada", HASH)], 4));
    assert_eq!(guessed(&mut desk, &app, "ada:password", now).status(), 200);
    assert_eq!(guessed(&mut desk, &app, "ada:wrong", now).status(), 401);
    assert_eq!(computed(&auth), 6, "what was before the one before is not known");
    assert_eq!(guessed(&mut desk, &app, "bob:wrong", now).status(), 429);
}

#[test]
fn who_waits_while_users_are_read_again_is_answered_with_one_hash() {
    let mut counts = Counts::default();
    let auth = counts.passwords("staff", auth(), &Counts::default());
    let next = counts.successor().passwords("staff", self::auth(), &counts);
    let [app, next] = [&auth, &next].map(|auth| App::new().get("/", auth.guard(|_: &Request<'_>| "secret")));
    let (pool, gate) = busy_pool();
    let mut desk = Desk::new(pool);
    let waiting = [&app, &next, &app, &next].map(|app| desk.call(app, "ada:password", Tick::ZERO));
    assert!(waiting.iter().all(|(outcome, _)| matches!(outcome, Outcome::Again(_))));
    drop(gate);
    for _ in &waiting {
        assert!(matches!(desk.letter(), Mail::Again { .. }));
    }
    assert_eq!(computed(&auth), 1);
}

#[test]
fn a_flood_is_bounded_and_leaves_the_pool_to_others() {
    let auth = auth();
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let desk = Desk::new(BlockingPool::new(4, 4));
    // The pool's threads are at work elsewhere: what is submitted waits.
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    for _ in 0..4 {
        let gate = Arc::clone(&gate);
        desk.pool.submit(Box::new(move || assert!(gate.lock().unwrap().recv().is_err()))).unwrap();
    }
    let mut tickets = Vec::new();
    loop {
        let guess = format!("ada:wrong{}", tickets.len());
        let (outcome, response) = desk.call(&app, &guess, Tick::ZERO);
        let Outcome::Again(ticket) = outcome else {
            assert_eq!(response.reason(), Some(Reason::PoolFull));
            assert_eq!(response.fields().get("retry-after"), Some(&b"1"[..]));
            break;
        };
        tickets.push(ticket);
    }
    assert_eq!(tickets.len(), 128, "so many may wait");
    assert!(desk.pool.submit(Box::new(|| ())).is_ok(), "others find room in the pool");
    let text = format!("{auth:?}");
    assert!(text.contains("waiting: 128, runners: 2"), "{text}");
    // Nobody waits any more: nothing is computed for them.
    for ticket in &tickets {
        ticket.presence().set(crate::app::Presence::Gone);
    }
    drop(release);
    while !format!("{auth:?}").contains("runners: 0") {
        std::thread::yield_now();
    }
    assert_eq!(computed(&auth), 0);
}

#[test]
fn a_full_pool_is_a_503_and_a_pool_that_ends_forgets_nobody() {
    let auth = auth();
    let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
    let mut desk = Desk::new(BlockingPool::new(1, 1));
    let (running, runs) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    desk.pool
        .submit(Box::new(move || {
            running.send(()).unwrap();
            assert!(gate.recv().is_err());
        }))
        .unwrap();
    runs.recv().unwrap();
    let (Outcome::Again(_ticket), _) = desk.call(&app, "ada:password", Tick::ZERO) else { panic!("no room") };
    let pool = std::mem::replace(&mut desk.pool, Arc::new(BlockingPool::new(1, 0)));
    let (more, _done) = mpsc::channel::<()>();
    let busy = Arc::clone(&desk.pool).submit(Box::new(move || drop(more)));
    assert!(busy.is_ok());

    // The first pool ends while the check waits in it.
    let end = std::thread::spawn(move || drop(pool));
    assert!(matches!(desk.letter(), Mail::Abandoned { .. }), "dropped unchecked: a 500");
    drop(release);
    end.join().unwrap();
    assert!(format!("{auth:?}").contains("waiting: 0, runners: 0"));
}

#[test]
fn a_debug_view_has_no_secrets() {
    let auth = auth();
    let text = format!("{auth:?} {:?}", auth.guard(|_: &Request<'_>| "x"));
    assert!(!text.contains('$') && !text.contains("ada") && !text.contains("key"), "{text}");
}
