//! Who is let in, how often a hash is computed for that, and what becomes of bodies.

use std::sync::mpsc;

use base64ct::{Base64, Encoding};
use bytes::Bytes;

use super::*;
use crate::app::{
    App, BlockingPool, Mail, Nobody, Origin, Params, Progress, Route, Sink, Take, blocking, receiving,
};
use crate::base::{Key, Mailbox, Tick, Wake};
use crate::http::{ExchangeId, FieldTable, Head, Known, Path, StreamId, Timeline};

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
    assert_challenged(&app.oneshot(twice.body("").unwrap()));
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

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

/// A worker's place, without a worker.
struct Desk {
    pool: Arc<BlockingPool>,
    mailbox: Mailbox<Mail>,
}

impl Desk {
    fn new(pool: BlockingPool) -> Self {
        Self { pool: Arc::new(pool), mailbox: Mailbox::new(Arc::new(Silent), 1024) }
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
            peer: &Nobody::default(),
            trust: None,
        };
        let route: &Route = &app.routes()[0];
        let path = Path::normalised("/");
        let (head, pattern) = (Head::new(&bytes, &table), route.shared_pattern());
        let request = Request::new(head, path, pattern, &params, b"", None, &origin);
        let mut response = Response::default();
        let outcome = match route.chain().before(0, &request, &mut response) {
            Progress::Passed => route.call(&request, &mut response),
            Progress::Stopped(_, outcome) => outcome,
            Progress::Waits(..) => panic!("nothing here waits"),
        };
        (outcome, response)
    }

    /// The next letter.
    fn letter(&mut self) -> Mail {
        let mut letters = Vec::new();
        loop {
            self.mailbox.drain(&mut letters);
            match letters.pop() {
                Some(letter) => return letter,
                None => std::thread::yield_now(),
            }
        }
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
        let (outcome, response) = desk.call(&app, "ada:wrong", Tick::ZERO);
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
