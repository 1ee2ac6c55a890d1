//! Heads → events: the HTTP/1 machine beside httparse, whole and in drips.
//!
//! httparse only finds the parts; the machine also judges Host, framing and persistence, notes known
//! fields, and answers (an empty 204), since the next head is parsed only then.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use kolk::http::{Event, FieldTable, Timeline};
use kolk::proto::h1::{Limits, Server};
use kolk::proto::{Encoding, Preset, Protocol};
use kolk::wire::{Input, Output};
use kolk::{Response, StatusCode};

static LIMITS: Limits = Limits::DEFAULT;

const SHORT: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// What `bench/load/pipeline.lua` sends.
const PIPELINE: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: text/plain,text/html;q=0.9,\
    application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\nConnection: keep-alive\r\n\r\n";
const BROWSER: &str = "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n\
    Host: www.kittyhell.com\r\n\
    User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 \
    Firefox/3.6.3 Pathtraq/0.9\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\nAccept-Encoding: gzip,deflate\r\n\
    Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\nKeep-Alive: 115\r\nConnection: keep-alive\r\n\
    Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; \
    __utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; \
    __utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|utmcct=/reader/|utmcmd=referral\r\n\r\n";

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, head) in [("short", SHORT), ("pipeline", PIPELINE), ("browser", BROWSER)] {
        group.throughput(Throughput::Bytes(head.len() as u64));
        // As in a pipeline: other bytes follow.
        let pair = head.repeat(2);
        group.bench_function(BenchmarkId::new("kolk", name), |bencher| {
            let mut table = FieldTable::new();
            bencher.iter(|| {
                let mut server = Server::new(LIMITS);
                let mut input = Input::new(black_box(pair.as_bytes()), false);
                let Ok(Some(Event::Head { head, .. })) = server.poll(&mut input, &mut table) else {
                    unreachable!("the head is whole");
                };
                black_box(head.target_bytes());
            });
        });
        group.bench_function(BenchmarkId::new("kolk_one_by_one", name), |bencher| {
            let mut table = FieldTable::new();
            bencher.iter(|| {
                let mut server = Server::new(LIMITS);
                for end in 1..=head.len() {
                    let mut input = Input::new(black_box(&head.as_bytes()[..end]), false);
                    let _ = black_box(server.poll(&mut input, &mut table).is_ok());
                }
            });
        });
        group.bench_function(BenchmarkId::new("httparse", name), |bencher| {
            bencher.iter(|| {
                let mut fields = [httparse::EMPTY_HEADER; 16];
                let mut request = httparse::Request::new(&mut fields);
                let _ = black_box(request.parse(black_box(pair.as_bytes())));
                black_box(request.path);
            });
        });
    }
    group.finish();
}

/// Sixteen pipelined requests, parsed and answered on one connection.
fn exchange(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    group.throughput(Throughput::Elements(16));
    let batch = PIPELINE.repeat(16);
    let preset = Preset::new(Some("kolk"), 784_111_777);
    for (name, text) in [("no_content", None), ("hello", Some("Hello, World!"))] {
        group.bench_function(name, |bencher| {
            let mut server = Server::new(LIMITS);
            let mut table = FieldTable::new();
            let mut output = Output::with_capacity(64 * 1024);
            let mut response = Response::default();
            bencher.iter(|| {
                let mut input = Input::new(black_box(batch.as_bytes()), false);
                while let Ok(Some(Event::Head { stream, .. })) = server.poll(&mut input, &mut table) {
                    response.reset();
                    match text {
                        Some(text) => {
                            response.set_content_type("text/plain");
                            response.set_body(text);
                        }
                        None => response.set_status(StatusCode::NO_CONTENT),
                    }
                    let mut encoding =
                        Encoding { output: &mut output, preset: &preset, timeline: &Timeline::default() };
                    let _ = server.respond(stream, &mut response, &mut encoding);
                }
                output.consume(output.queued_bytes());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parse, exchange);
criterion_main!(benches);
