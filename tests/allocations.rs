//! ALLOCATIONS: none per request in the steady state, a known number per connection, and as much for what is
//! kept as was allowed.
//!
//! The whole machine from bytes to bytes runs under a counting allocator: `Shard`, a transport in memory,
//! 10,000 requests. What is warmed up first is what a worker warms up once in its life.
#![expect(unsafe_code, reason = "an allocator can be counted only by another one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use kolk::app::{App, Request};
use kolk::base::Tick;
use kolk::proto::hpack::{self, Decoder, Encoder, FieldList, Fit, TABLE_BYTES};
use kolk::reactor::Readiness;
use kolk::{Handler, Outcome, Policy, Quota, Rate, RateKey, RateLimit, Rates, Response, StaticDir};

#[path = "memory/lane.rs"]
mod lane;
mod support;

use lane::{Lane, shard};
use support::scratch::Scratch;

thread_local! {
    /// Tests run side by side: each thread counts for itself.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// The bytes that are held.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

fn hold(layout: Layout) {
    HELD.set(HELD.get().wrapping_add(taken(layout.size())));
}

fn release(layout: Layout) {
    HELD.set(HELD.get().wrapping_sub(taken(layout.size())));
}

/// What an allocator takes for so many bytes: eight before them, and sixteen at a time.
const fn taken(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

struct Counting;

// SAFETY: every call goes on to `System`, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        hold(layout);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        release(layout);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        HELD.set(HELD.get().wrapping_add(taken(bytes)).wrapping_sub(taken(layout.size())));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Serves `rounds` turns of `input` on one connection: the allocations after warming up, and the answers.
fn serve(app: App, input: &str, per_turn: usize, rounds: u64) -> (u64, usize) {
    let mut shard = shard(app, 4);
    let lane = Lane::new(input.repeat(per_turn).as_bytes());
    let mut now = Tick::from_millis(1);
    let key = shard.accept(lane.transport(), now).expect("it stays open");
    let mut turn = || {
        now = now.after(std::time::Duration::from_micros(10));
        lane.refill();
        shard.ready(key, Readiness::READABLE, now);
        shard.expire(now);
        while shard.has_work() {
            shard.run(now);
        }
    };
    (0..10).for_each(|_| turn());
    lane.forget();
    let count = allocations(|| (0..rounds).for_each(|_| turn()));
    shard.validate();
    (count, lane.answers())
}

const PLAINTEXT: &str = "GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";

#[test]
fn plaintext_allocates_nothing() {
    for (per_turn, rounds) in [(1, 10_000), (16, 625), (100, 100)] {
        let app = App::new().get("/plaintext", Response::text("Hello, World!"));
        assert_eq!(serve(app, PLAINTEXT, per_turn, rounds), (0, 10_000), "{per_turn} in a turn");
    }
}

#[test]
fn a_parameter_and_an_arena_allocate_nothing() {
    struct Hello;
    impl Handler for Hello {
        fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
            let name = request.param("name").unwrap_or("world");
            response.arena().extend_from_slice(name.as_bytes());
            Outcome::Ready
        }
    }
    let input = "GET /hello/Ada?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let app = App::new().get("/hello/{name}", Hello);
    assert_eq!(serve(app, input, 1, 10_000), (0, 10_000));
    let app = App::new().get("/hello/{name}", Response::text("hello\n"));
    assert_eq!(serve(app, input, 16, 625), (0, 10_000));
}

#[test]
fn a_body_that_came_with_its_head_allocates_nothing() {
    struct Length;
    impl Handler for Length {
        fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
            response.arena().extend_from_slice(&request.body()[..2]);
            Outcome::Ready
        }
    }
    let app = App::new().post("/", Length);
    let input = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(serve(app, input, 1, 10_000), (0, 10_000));
}

/// A slot is reserved, a wheel's link too, and the machine shares its limits: a connection costs what its
/// transport does.
#[test]
fn rates_allocate_nothing_alone_and_side_by_side() {
    struct Quiet;
    impl Handler for Quiet {
        fn handle(&self, _: &Request<'_>, _: &mut Response) -> Outcome {
            Outcome::Ready
        }
    }
    let rates = Arc::new(Rates::new());
    let limit = |name: &str, burst| {
        let rate = Rate::new(Quota::per_minute(burst).unwrap(), burst).unwrap();
        RateLimit::new(&rates, Policy::new(name, rate).unwrap(), RateKey::Path)
    };
    let input = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for names in [&["alone"][..], &["one", "other"]] {
        let limits = names.iter().map(|name| limit(name, 1 << 20));
        let app = limits.fold(App::new(), App::layer).get("/", Quiet);
        assert_eq!(serve(app, input, 1, 10_000), (0, 10_000));
    }
}

#[test]
fn a_connection_allocates_nothing() {
    let mut shard = shard(App::new().get("/plaintext", Response::text("Hello, World!")), 4);
    let lane = Lane::new(PLAINTEXT.as_bytes());
    let mut now = Tick::from_millis(1);
    let mut visit = || {
        now = now.after(std::time::Duration::from_millis(1));
        lane.refill();
        let key = shard.accept(lane.transport(), now).expect("it stays open");
        lane.close();
        shard.ready(key, Readiness::READABLE | Readiness::READ_CLOSED, now);
        while shard.has_work() {
            shard.run(now);
        }
        shard.expire(now);
        assert!(shard.is_empty());
    };
    (0..10).for_each(|_| visit());
    assert_eq!(allocations(|| (0..1_000).for_each(|_| visit())), 0);
}

/// Tables, lists and blocks keep what the first requests made them take, also while entries come and go.
#[test]
fn fields_of_http_2_allocate_nothing() {
    let (mut encoder, mut decoder) = (Encoder::new(TABLE_BYTES), Decoder::new());
    let (mut block, mut list) = (Vec::new(), FieldList::new());
    let mut exchange = |number: u32| {
        let number = number.to_le_bytes();
        block.clear();
        let mut writer = encoder.block(&mut block);
        writer.status(kolk::StatusCode::OK);
        writer.content_length(1_234);
        writer.field(b"Server", b"kolk");
        writer.field(b"Content-Type", b"text/html; charset=utf-8");
        writer.field(b"Vary", &number[..2]);
        writer.field(b"x-request-id", &number);
        writer.field(b"set-cookie", &number);
        assert_eq!(decoder.decode(&block, &hpack::Limits::DEFAULT, |_, _| 0, &mut list), Ok(Fit::Whole));
        assert_eq!(list.fields().len(), 7);
    };
    (0..1_000).for_each(&mut exchange);
    assert_eq!(allocations(|| (0..100_000).for_each(&mut exchange)), 0);
    assert!(size_of::<Decoder>() <= 96 && size_of::<Encoder>() <= 112, "{}", size_of::<Encoder>());
}

/// Files of several sizes, alone and with a compressed sibling that is sent: more than there is room for.
#[test]
fn files_that_are_kept_take_no_more_than_they_may() {
    const BYTES_MAX: usize = 1024 * 1024;
    for bytes in [0, 1_024, 20_000, 100_000] {
        for is_coded in [false, true] {
            let folder = Scratch::new("kept");
            let files = 3 * BYTES_MAX / 2 / (bytes + 1_000);
            for number in 0..files {
                std::fs::write(folder.join(format!("{number}.css")), vec![b'x'; bytes]).unwrap();
                std::fs::write(folder.join(format!("{number}.css.br")), vec![b'x'; bytes / 2]).unwrap();
            }
            let static_dir = StaticDir::new(&*folder).compressed(false).cache_bytes(BYTES_MAX);
            let app = App::new().get("/{*path}", static_dir);
            let get = |number: usize| {
                let request = http::Request::get(format!("/{number}.css"));
                let coding = if is_coded { "br" } else { "identity" };
                let answer = app.oneshot(request.header("accept-encoding", coding).body("").unwrap());
                assert_eq!(answer.body().len(), if is_coded { bytes / 2 } else { bytes });
            };
            get(0);
            let before = HELD.get();
            (1..files).for_each(get);
            let held = HELD.get().wrapping_sub(before);
            let (least, most) = if bytes > 64 * 1024 { (0, BYTES_MAX) } else { (BYTES_MAX / 2, BYTES_MAX) };
            assert!((least..=most).contains(&held), "{files} files of {bytes} bytes: {held} held");
        }
    }
}
