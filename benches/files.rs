//! STATIC FILES, the handler alone: from a parsed request to the answer, whose body is pulled to its end.
//!
//! No socket, no parser, no encoder: what a worker adds to it is in `machine`. Files stay fresh, since time
//! stands still; a stale one is looked at anew each time, as happens once a second. The folder is listed by a
//! thread of the pool, and waking it is part of that time. `nothing` is a handler that does nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use kolk::app::{BlockingPool, Mail};
use kolk::base::Tick;
use kolk::http::{Pull, Rendered};
use kolk::{App, Body, Handler, Outcome, Pulled, Request, Response, StaticDir, Timeline};

#[path = "../tests/memory/desk.rs"]
mod desk;
#[path = "../tests/sim/dice.rs"]
#[allow(dead_code, reason = "the simulation throws them in more ways")]
mod dice;
#[path = "../tests/support/scratch.rs"]
mod scratch;

use desk::{Asked, Desk};
use dice::Dice;
use scratch::Scratch;

const FILES: usize = 10_000;
const ENTRIES: usize = 1_000;
/// How much a source is asked for at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

struct Nothing;

impl Handler for Nothing {
    fn handle(&self, _: &Request<'_>, _: &mut Response) -> Outcome {
        Outcome::Ready
    }
}

/// A handler, and what its answers are read into.
struct Stage {
    app: App,
    desk: Desk,
    now: Tick,
    response: Response,
    inline: Vec<u8>,
}

impl Stage {
    fn new(handler: impl Handler) -> Self {
        // Not below a parameter: the path is the file's.
        let app = App::new().get("/", handler);
        let desk = Desk::new(BlockingPool::new(1, 16));
        Self { app, desk, now: Tick::from_millis(1), response: Response::default(), inline: Vec::new() }
    }

    /// Has the response filled; or what is sent in its place.
    #[inline]
    fn ask(&mut self, asked: &Asked) -> Option<Arc<Rendered>> {
        self.response.reset();
        match self.desk.call(&self.app.routes()[0], black_box(asked), self.now, &mut self.response) {
            Outcome::Ready => {}
            Outcome::Rendered(rendered) => return Some(rendered),
            Outcome::Deferred(_ticket) => {
                let Mail::Answer { response, .. } = self.desk.letter() else { panic!("no answer") };
                self.response.replace(*response);
            }
            _ => panic!("nothing else is needed"),
        }
        self.pull();
        None
    }

    /// Takes the body, as far as it is no file.
    #[inline]
    fn pull(&mut self) {
        let Body::Source(mut source) = self.response.take_body() else { return };
        let timeline = Timeline::default();
        loop {
            self.inline.clear();
            let mut pull = Pull::new(&mut self.inline, PIECE_BYTES, &timeline);
            let pulled = source.pull(&mut pull);
            black_box(pull.into_tail());
            match pulled {
                Pulled::More => {}
                Pulled::End => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Asks, each time a second later, until the answer has this status and this coding.
    fn until(&mut self, asked: &Asked, status: u16, coding: Option<&[u8]>) {
        for _ in 0..100_000 {
            self.now = self.now.after(Duration::from_secs(1));
            if let Some(rendered) = self.ask(asked) {
                rendered.fill(&mut self.response);
            }
            let found = self.response.fields().get("content-encoding");
            if self.response.status().as_u16() == status && found == coding {
                return;
            }
        }
        panic!("no {status} in {coding:?}, but {:?}", self.response);
    }
}

fn fill(folder: &Scratch) {
    folder.put("small.bin", [7; 1024]);
    folder.put("page.html", "<p>the quick brown fox jumps over the lazy dog\n".repeat(44));
    folder.put("large.bin", vec![7; 1 << 20]);
    for number in 0..ENTRIES {
        folder.put(format!("folder/entry {number}.txt"), "x");
    }
    for number in 0..FILES {
        folder.put(format!("many/{number}.bin"), [7; 1024]);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = Scratch::new("bench");
    fill(&folder);
    let mut group = criterion.benchmark_group("files");

    let (mut nothing, any) = (Stage::new(Nothing), Asked::new("/small.bin", ""));
    group.bench_function("nothing", |bencher| bencher.iter(|| nothing.ask(&any)));

    let mut stage = Stage::new(StaticDir::new(&*folder).listing(true));
    stage.until(&any, 200, None);
    let etag = str::from_utf8(stage.response.fields().get("etag").expect("files have tags")).expect("ASCII");
    let (known, accepts) = (format!("If-None-Match: {etag}\r\n"), "Accept-Encoding: gzip, br, zstd\r\n");
    for (name, target, fields, status, coding) in [
        ("small", "/small.bin", "", 200, None),
        ("small, unchanged", "/small.bin", &known, 304, None),
        ("small, one range", "/small.bin", "Range: bytes=100-199\r\n", 206, None),
        ("small, two ranges", "/small.bin", "Range: bytes=0-99,500-599\r\n", 206, None),
        ("1 MiB", "/large.bin", "", 200, None),
        ("missing", "/nothing.bin", "", 404, None),
        ("compressed", "/page.html", accepts, 200, Some(&b"br"[..])),
        ("a folder of 1000", "/folder/", "", 200, None),
    ] {
        let asked = Asked::new(target, fields);
        stage.until(&asked, status, coding);
        group.bench_function(name, |bencher| bencher.iter(|| stage.ask(&asked)));
    }
    group.bench_function("small, stale", |bencher| {
        bencher.iter(|| {
            stage.now = stage.now.after(Duration::from_secs(1));
            stage.ask(&any)
        });
    });

    let mut many: Vec<Asked> =
        (0..FILES).map(|number| Asked::new(&format!("/many/{number}.bin"), "")).collect();
    Dice::new(1).shuffle(&mut many);
    many.iter().for_each(|asked| drop(stage.ask(asked)));
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("10000 in random order", |bencher| {
        bencher.iter(|| many.iter().for_each(|asked| drop(black_box(stage.ask(asked)))));
    });
    group.finish();
    criterion.final_summary();
}
