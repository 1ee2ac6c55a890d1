//! The simulated site: a route of every kind, each of whose answers the client can foretell, and the
//! [`Job`]s that its handlers leave for later.
//!
//! Handlers of a simulation run on its thread, so the jobs and the clock lie in thread locals.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk::app::{
    App, BodyRule, Handler, HandlerExt, Outcome, Presence, Recall, Reply, Request, Rule, Sink, Take, Wakeup,
    deferred, receiving,
};
use kolk::base::Tick;
use kolk::http::{Body, Fields, Pull, Pulled, Source};
use kolk::{HeaderName, HeaderValue, Response, StatusCode};

/// Something that happens later.
pub(crate) struct Job {
    pub(crate) due: Tick,
    /// The number of the client whose request left it.
    pub(crate) client: usize,
    pub(crate) deed: Deed,
}

pub(crate) enum Deed {
    Answer(Reply, Response),
    Abandon(Reply),
    Call(Recall),
    Wake(Wakeup),
}

thread_local! {
    static NOW: Cell<Tick> = const { Cell::new(Tick::ZERO) };
    static JOBS: RefCell<Vec<Job>> = const { RefCell::new(Vec::new()) };
    static SUSPENDED: RefCell<HashSet<(u64, u32)>> = RefCell::default();
    static PULLS: Cell<u64> = const { Cell::new(0) };
}

/// The virtual clock; also what a shard gets as its stopwatch.
pub(crate) fn now() -> Tick {
    NOW.get()
}

pub(crate) fn set_now(now: Tick) {
    NOW.set(now);
}

/// How often a source was pulled so far.
pub(crate) fn pulls() -> u64 {
    PULLS.get()
}

/// Takes the jobs that are due.
pub(crate) fn due_jobs() -> Vec<Job> {
    JOBS.with_borrow_mut(|jobs| {
        let now = now();
        let mut due: Vec<Job> = jobs.extract_if(.., |job| job.due <= now).collect();
        due.sort_by_key(|job| job.due);
        due
    })
}

/// When the next job is due.
pub(crate) fn next_job() -> Option<Tick> {
    JOBS.with_borrow(|jobs| jobs.iter().map(|job| job.due).min())
}

/// Forgets the jobs of an earlier simulation on this thread.
pub(crate) fn clear() {
    drop(JOBS.take());
    SUSPENDED.take();
}

impl Deed {
    /// What the worker has told about the client.
    pub(crate) fn presence(&self) -> Option<Presence> {
        match self {
            Self::Answer(reply, _) | Self::Abandon(reply) => Some(reply.client()),
            Self::Call(recall) => Some(recall.client()),
            Self::Wake(_) => None,
        }
    }

    pub(crate) fn perform(self) {
        match self {
            Self::Answer(reply, response) => reply.send(response),
            Self::Abandon(reply) => drop(reply),
            Self::Call(recall) => recall.call(),
            Self::Wake(wakeup) => wakeup.wake(),
        }
    }
}

fn later(millis: u64, client: usize, deed: Deed) {
    let due = now().after(Duration::from_millis(millis));
    JOBS.with_borrow_mut(|jobs| jobs.push(Job { due, client, deed }));
}

/// The body of request `id`: `length` bytes that no other request has.
pub(crate) fn fill(id: u64, length: usize) -> Vec<u8> {
    let mut word = id.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        word = word.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        bytes.extend_from_slice(&(word >> 8).to_le_bytes()[..7]);
    }
    bytes.truncate(length);
    bytes
}

/// What a sink answers to a body.
pub(crate) fn digest(body: &[u8]) -> String {
    let sum = body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("{} {sum:x}\n", body.len())
}

/// The file that is served: this crate's lock file, and how long it is.
pub(crate) fn file() -> (Arc<File>, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let bytes = std::fs::read(&path).expect("the crate has a lock file");
    (Arc::new(File::open(path).expect("the crate has a lock file")), bytes)
}

fn number(request: &Request<'_>, name: &str) -> u64 {
    request.param(name).and_then(|text| text.parse().ok()).expect("the simulation asks for numbers")
}

fn length(request: &Request<'_>) -> usize {
    usize::try_from(number(request, "n")).expect("short")
}

fn client(request: &Request<'_>) -> usize {
    usize::try_from(number(request, "id") / 1000).expect("few")
}

/// The routes.
pub(crate) fn app() -> App {
    let (file, content) = file();
    let file_bytes = content.len() as u64;
    let (short, sliced) = (Arc::clone(&file), Arc::clone(&file));
    let of_file = move |file: &Arc<File>, length| {
        Response::typed("text/plain", Body::File { file: Arc::clone(file), offset: 0, length })
    };
    App::new()
        .get("/fixed", Response::text("fixed\n"))
        .get("/text/{id}/{n}", |r: &Request<'_>| {
            Response::typed("a/b", fill(number(r, "id"), length(r)).into())
        })
        .get("/arena/{id}/{n}", Arena)
        .get("/close/{id}/{n}", |r: &Request<'_>| {
            Response::typed("a/b", fill(number(r, "id"), length(r)).into()).with_close()
        })
        .get("/empty/{id}", |_: &Request<'_>| StatusCode::NO_CONTENT)
        .get("/same/{id}", |_: &Request<'_>| StatusCode::NOT_MODIFIED)
        .get("/timed/{id}", (|_: &Request<'_>| Response::text("timed\n")).timed())
        .get("/panic/{id}", |r: &Request<'_>| -> Response { panic!("sim: handler {}", number(r, "id")) })
        .get("/file/{id}", move |_: &Request<'_>| of_file(&file, file_bytes))
        .get("/short/{id}", move |_: &Request<'_>| of_file(&short, file_bytes + 10))
        .get("/slices/{id}/{how}", move |r: &Request<'_>| slices(r, &sliced, &content))
        .get("/defer/{id}/{n}/{wait}/{how}", deferred(defer))
        .get("/stream/{id}/{n}/{how}", stream)
        .post("/echo/{id}", |r: &Request<'_>| Response::typed("a/b", r.body().to_vec().into()))
        .post("/small/{id}", (|r: &Request<'_>| digest(r.body())).body_limit(100))
        .post("/later/{id}/{n}/{wait}/{how}", deferred(defer))
        .post("/early/{id}/{n}/{wait}/{how}", deferred(defer).streaming())
        .post("/sink/{id}/{how}", receiving(|r| Ok(Box::new(Meter::new(r)))))
        .post(
            "/twice/echo/{id}/{wait}",
            Twice(|r: &Request<'_>| Response::typed("a/b", r.body().to_vec().into())),
        )
        .post("/twice/sink/{id}/{how}/{wait}", Twice(receiving(|r| Ok(Box::new(Meter::new(r))))))
        .post("/no/{id}", receiving(|_| Err(StatusCode::FORBIDDEN.into())))
}

/// Answers late, never, or from within the call.
fn defer(request: &Request<'_>, reply: Reply) {
    let (id, wait) = (number(request, "id"), number(request, "wait"));
    let answer = Response::typed("a/b", fill(id, length(request)).into());
    let deed = match request.param("how") {
        Some("drop") => Deed::Abandon(reply),
        Some("stream") => Deed::Answer(reply, stream(request)),
        _ => Deed::Answer(reply, answer),
    };
    if wait == 0 { deed.perform() } else { later(wait, client(request), deed) }
}

/// Has its handler called when it is asked a second time.
struct Twice<H>(H);

impl<H: Handler> Handler for Twice<H> {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        let exchange = (request.connection_number(), request.request_number());
        if SUSPENDED.with_borrow_mut(|suspended| !suspended.insert(exchange)) {
            return self.0.handle(request, response);
        }
        let (recall, outcome) = request.suspend();
        match number(request, "wait") {
            0 => recall.call(),
            wait => later(wait, client(request), Deed::Call(recall)),
        }
        outcome
    }

    fn rule(&self) -> Rule {
        self.0.rule()
    }
}

/// Writes into the lent response.
struct Arena;

impl Handler for Arena {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        response.arena().extend_from_slice(&fill(number(request, "id"), length(request)));
        Outcome::Ready
    }

    fn rule(&self) -> Rule {
        Rule { body: BodyRule::Collect, ..Rule::default() }
    }
}

fn stream(request: &Request<'_>) -> Response {
    let id = number(request, "id");
    let source = Spring {
        how: request.param("how").unwrap_or("more").to_owned(),
        client: client(request),
        wakeup: request.wakeup(),
        body: fill(id, length(request)).into(),
        sent: 0,
        step: id,
    };
    Response::stream("a/b", source)
}

/// A source of every kind.
struct Spring {
    how: String,
    client: usize,
    wakeup: Wakeup,
    body: Bytes,
    sent: usize,
    step: u64,
}

impl Source for Spring {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        PULLS.set(PULLS.get() + 1);
        self.step = self.step.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(99);
        let rest = self.body.len() - self.sent;
        let half = self.body.len() / 2;
        match self.how.as_str() {
            "fail" if self.sent >= half => return Pulled::Failed,
            "panic" if self.sent >= half => panic!("sim: source of client {}", self.client),
            "less" if self.sent >= half => return Pulled::End,
            "much" if rest == 0 => {
                pull.write(b"more than was promised");
                return Pulled::More;
            }
            _ if rest == 0 => return Pulled::End,
            _ => {}
        }
        let most = [1, 100, 5_000, 70_000][usize::try_from(self.step >> 62).expect("two bits")];
        let most = if matches!(self.how.as_str(), "fail" | "panic" | "less") {
            most.min(half - self.sent)
        } else {
            most
        };
        let count = rest.min(most).min(pull.room()).max(1);
        let piece = self.body.slice(self.sent..self.sent + count);
        self.sent += count;
        match self.step >> 60 & 3 {
            0 => pull.share(piece),
            1 => {
                pull.share(piece.slice(..count / 2));
                pull.write(&piece[count / 2..]);
            }
            _ => pull.write(&piece),
        }
        match self.how.as_str() {
            "after" => Pulled::After(Duration::from_millis(self.step >> 53)),
            "wait" => {
                later(self.step >> 54, self.client, Deed::Wake(self.wakeup.clone()));
                Pulled::Waiting
            }
            _ => Pulled::More,
        }
    }

    fn length(&self) -> Option<u64> {
        matches!(self.how.as_str(), "known" | "less" | "much").then_some(self.body.len() as u64)
    }

    fn trailers(&mut self, fields: &mut Fields) {
        fields.append(&HeaderName::from_static("x-sum"), &HeaderValue::from_static("1"));
    }
}

fn slices(request: &Request<'_>, file: &Arc<File>, content: &[u8]) -> Response {
    let source = Slices {
        file: Arc::clone(file),
        content: Bytes::copy_from_slice(content),
        sent: 0,
        is_known: request.param("how") == Some("known"),
        step: number(request, "id"),
    };
    Response::stream("a/b", source)
}

/// The file, in runs of memory and ranges of itself.
struct Slices {
    file: Arc<File>,
    content: Bytes,
    sent: usize,
    is_known: bool,
    step: u64,
}

impl Source for Slices {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        PULLS.set(PULLS.get() + 1);
        self.step = self.step.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(99);
        let rest = self.content.slice(self.sent..);
        let run = [0, 1, 100, 9_000][usize::try_from(self.step >> 62).expect("two bits")].min(rest.len());
        let range = [0, 1, 700, 20_000][usize::try_from(self.step >> 60 & 3).expect("two bits")];
        let range = range.min(rest.len() - run);
        pull.write(&rest[..run]);
        pull.file(Arc::clone(&self.file), (self.sent + run) as u64, range as u64);
        self.sent += run + range;
        if self.sent == self.content.len() { Pulled::End } else { Pulled::More }
    }

    fn length(&self) -> Option<u64> {
        self.is_known.then_some(self.content.len() as u64)
    }
}

/// A sink of every kind.
struct Meter {
    how: String,
    client: usize,
    wakeup: Wakeup,
    body: Vec<u8>,
}

impl Meter {
    fn new(request: &Request<'_>) -> Self {
        Self {
            how: request.param("how").unwrap_or("more").to_owned(),
            client: client(request),
            wakeup: request.wakeup(),
            body: Vec::new(),
        }
    }
}

impl Sink for Meter {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        assert!(!bytes.is_empty(), "an empty piece");
        self.body.extend_from_slice(bytes);
        match self.how.as_str() {
            "panic" => panic!("sim: sink of client {}", self.client),
            "answer" if self.body.len() >= 100 => Take::Answer(Box::new(Response::text("enough\n"))),
            "wait" => {
                let wait = 1 + self.body.len() as u64 % 700;
                later(wait, self.client, Deed::Wake(self.wakeup.clone()));
                Take::Wait
            }
            _ => Take::More,
        }
    }

    fn end(self: Box<Self>, request: &Request<'_>, response: &mut Response) -> Outcome {
        let answer = Response::text(digest(&self.body));
        match self.how.as_str() {
            "late" => {
                let (reply, outcome) = request.defer();
                later(300, self.client, Deed::Answer(reply, answer));
                outcome
            }
            "endpanic" => panic!("sim: the end of a sink of client {}", self.client),
            _ => {
                response.replace(answer);
                Outcome::Ready
            }
        }
    }
}
