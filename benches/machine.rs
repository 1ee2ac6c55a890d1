//! THE WHOLE MACHINE, from bytes to bytes without a kernel: a `Shard` and a client in memory.
//!
//! What remains to `recv`, `send` and `epoll_wait` is all that a real worker adds. Times are for one request;
//! the copies into and out of the client's memory are part of them.
//!
//! For counts that do not depend on the machine's mood, `COUNT` serves so many turns of one `SCENE` and ends.
//! Two counts, and their difference is free of the start; so is the instruction count of one turn:
//! ```text
//! for count in 1000 11000; do
//!     SCENE=plaintext COUNT=$count valgrind --tool=callgrind target/release/deps/machine-… --bench
//! done
//! ```
//! Scenes: plaintext, pipelined, browser, echo, chunked.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use kolk::app::{App, Request};
use kolk::base::{Key, Tick};
use kolk::reactor::Readiness;
use kolk::server::Shard;
use kolk::{Handler, Outcome, Response};

#[path = "../tests/memory/lane.rs"]
mod lane;

use lane::{Lane, Near, shard};

/// What a client sends in each turn.
struct Scene {
    name: &'static str,
    input: Vec<u8>,
    /// Requests in a turn.
    requests: u64,
}

/// Answers with the request's body, into the lent response.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        response.arena().extend_from_slice(request.body());
        Outcome::Ready
    }
}

fn app() -> App {
    App::new().get("/plaintext", Response::text("Hello, World!")).post("/echo", Echo)
}

fn scenes() -> Vec<Scene> {
    // What `wrk` sends, and what TechEmpower's pipeline script sends sixteen times.
    let plain = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
    let pipelined = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
        Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n\
        Connection: keep-alive\r\n\r\n";
    let browser = "GET /plaintext HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n\
        sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
        sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/130.0.0.0 Safari/537.36\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
        image/apng,*/*;q=0.8\r\n\
        Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
        Sec-Fetch-Dest: document\r\n\
        Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
        Cookie: id=0123456789abcdef0123456789abcdef; theme=dark; seen=1700000000\r\n\r\n";
    let body = "b".repeat(1024);
    let echo = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1024\r\n\r\n{body}");
    let chunked = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{body}\r\n0\r\n\r\n"
    );
    let scene = |name, input: &str, requests| Scene { name, input: input.into(), requests };
    vec![
        scene("plaintext", plain, 1),
        scene("pipelined", &pipelined.repeat(16), 16),
        scene("browser", browser, 1),
        scene("echo", &echo, 1),
        scene("chunked", &chunked, 1),
    ]
}

/// A connection on which one scene is played.
struct Stage {
    shard: Shard<Near>,
    lane: Lane,
    key: Key,
    now: Tick,
}

impl Stage {
    fn new(scene: &Scene) -> Self {
        let mut shard = shard(app(), 16);
        let lane = Lane::new(&scene.input);
        let now = Tick::from_millis(1);
        let key = shard.accept(lane.transport(), now).expect("it stays open");
        let mut stage = Self { shard, lane, key, now };
        stage.turn();
        assert_eq!(stage.lane.answers() as u64, scene.requests, "{}", scene.name);
        stage
    }

    /// What a worker's turn does for one ready connection.
    #[inline]
    fn turn(&mut self) {
        self.now = self.now.after(Duration::from_micros(5));
        self.lane.again();
        self.shard.ready(black_box(self.key), Readiness::READABLE, self.now);
        self.shard.expire(self.now);
        self.shard.run(self.now);
    }
}

fn main() {
    let count = std::env::var("COUNT").ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(count) = count {
        let wanted = std::env::var("SCENE").unwrap_or_else(|_| "plaintext".into());
        for scene in scenes().iter().filter(|scene| scene.name == wanted) {
            let mut stage = Stage::new(scene);
            (0..count).for_each(|_| stage.turn());
        }
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("machine");
    for scene in scenes() {
        let mut stage = Stage::new(&scene);
        group.throughput(Throughput::Elements(scene.requests));
        group.bench_function(scene.name, |bencher| bencher.iter(|| stage.turn()));
    }
    group.finish();
    criterion.final_summary();
}
