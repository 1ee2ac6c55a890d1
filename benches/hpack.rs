//! Blocks → fields and back: a browser's request and an answer, on a fresh connection and on one that has
//! seen them before; and strings alone.
//!
//! The judge is what a machine would ask of a name and a value; `copy` is what the text of the request costs
//! if there were nothing to decode.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use kolk::StatusCode;
use kolk::http::{Known, is_field_value, is_token};
use kolk::proto::hpack::{Decoder, Encoder, FieldList, Limits, TABLE_BYTES};

const REQUEST: [(&str, &str); 12] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "www.example.com"),
    (":path", "/"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.example.com/articles/whirlpools"),
    ("cookie", "visits=17; theme=dark; token=9f86d081884c7d659a2feaa0c55ad015"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-mode", "navigate"),
];

/// Names as they stand in an answer's fields.
const ANSWER: [(&str, &str); 3] = [
    ("Server", "kolk"),
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "public, max-age=3600"),
];

fn judge(name: &[u8], value: &[u8]) -> u8 {
    let is_sound = is_token(name.strip_prefix(b":").unwrap_or(name)) && is_field_value(value);
    if is_sound { Known::classify(name).map_or(1, |known| 2 + known as u8) } else { 0 }
}

/// The block of [`REQUEST`] and, once it is known, the one that repeats it.
fn request_blocks() -> [Vec<u8>; 2] {
    let mut encoder = Encoder::new(TABLE_BYTES);
    [(); 2].map(|()| {
        let mut out = Vec::new();
        let mut block = encoder.block(&mut out);
        for (name, value) in REQUEST {
            block.field(name.as_bytes(), value.as_bytes());
        }
        out
    })
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack_decode");
    let [first, repeated] = request_blocks();
    let mut list = FieldList::new();
    group.bench_function("request_first", |bencher| {
        bencher.iter_batched_ref(
            Decoder::new,
            |decoder| decoder.decode(black_box(&first), &Limits::DEFAULT, judge, &mut list).is_ok(),
            BatchSize::SmallInput,
        );
    });
    let mut decoder = Decoder::new();
    let _ = black_box(decoder.decode(&first, &Limits::DEFAULT, judge, &mut list).is_ok());
    group.bench_function("request_repeated", |bencher| {
        bencher.iter(|| {
            decoder.decode(black_box(&repeated), &Limits::DEFAULT, judge, black_box(&mut list)).is_ok()
        });
    });
    let mut text = Vec::with_capacity(4096);
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            text.clear();
            for (name, value) in black_box(REQUEST) {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(value.as_bytes());
            }
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack_encode");
    let mut out = Vec::with_capacity(4096);
    let mut answer = |encoder: &mut Encoder| {
        out.clear();
        let mut block = encoder.block(&mut out);
        block.status(black_box(StatusCode::OK));
        block.field(b"date", b"Mon, 21 Oct 2013 20:13:21 GMT");
        for (name, value) in black_box(ANSWER) {
            block.field(name.as_bytes(), value.as_bytes());
        }
        block.content_length(black_box(31_337));
        black_box(&out);
    };
    group.bench_function("answer_first", |bencher| {
        bencher.iter_batched_ref(|| Encoder::new(TABLE_BYTES), &mut answer, BatchSize::SmallInput);
    });
    let mut encoder = Encoder::new(TABLE_BYTES);
    group.bench_function("answer_repeated", |bencher| bencher.iter(|| answer(&mut encoder)));
    group.finish();
}

/// A literal that no table keeps: nearly all of it is its value.
fn strings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack_strings");
    group.throughput(Throughput::Bytes(1024));
    let text = REQUEST.map(|(name, value)| format!("{name}: {value}; ")).concat().repeat(3);
    let text = &text.as_bytes()[..1024];
    let mut out = Vec::new();
    group.bench_function("encode_1_kib", |bencher| {
        bencher.iter(|| {
            out.clear();
            Encoder::new(TABLE_BYTES).block(&mut out).sensitive(b"referer", black_box(text));
        });
    });
    let mut block = Vec::new();
    Encoder::new(TABLE_BYTES).block(&mut block).sensitive(b"referer", text);
    let mut decoder = Decoder::new();
    let mut list = FieldList::new();
    group.bench_function("decode_1_kib", |bencher| {
        bencher.iter(|| decoder.decode(black_box(&block), &Limits::DEFAULT, |_, _| 0, &mut list).is_ok());
    });
    group.finish();
}

criterion_group!(benches, decode, encode, strings);
criterion_main!(benches);
