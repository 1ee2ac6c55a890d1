//! Answers → bytes: one exchange with the shortest request, from a ready response. `request_alone` is the
//! same without the answer: the difference is what encoding costs.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

use kolk::http::{FieldTable, StreamId, Timeline};
use kolk::proto::h1::{Limits, Server};
use kolk::proto::{Encoding, Preset, Protocol};
use kolk::wire::{Input, Output};
use kolk::{Response, StatusCode};

static LIMITS: Limits = Limits::DEFAULT;

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let preset = Preset::new(Some("kolk"), 784_111_777);
    let timeline = Timeline::default();
    let mut table = FieldTable::new();
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    group.bench_function("request_alone", |bencher| {
        bencher.iter(|| {
            let mut server = Server::new(LIMITS);
            let _ = black_box(server.poll(&mut Input::new(black_box(request), false), &mut table).is_ok());
        });
    });
    for (name, mut response) in [
        ("text_13_bytes", Response::typed("text/plain", "Hello, World!".into())),
        ("text_4_kib", Response::typed("text/plain", vec![b'a'; 4096].into())),
        ("no_content", Response::new(StatusCode::NO_CONTENT)),
        ("not_found", Response::refusal(kolk::http::Reason::NotFound)),
    ] {
        let mut output = Output::with_capacity(64 * 1024);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut server = Server::new(LIMITS);
                let _ =
                    black_box(server.poll(&mut Input::new(black_box(request), false), &mut table).is_ok());
                let mut encoding = Encoding { output: &mut output, preset: &preset, timeline: &timeline };
                let _ = black_box(server.respond(StreamId(1), black_box(&mut response), &mut encoding));
                output.consume(output.queued_bytes());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
