//! What a rate costs a request: known keys, new keys, refusals, and four threads at once.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::Criterion;
use kolk::app::AddressKey;
use kolk::base::Tick;
use kolk::{Quota, Rate, Rates};

const THREADS: u64 = 4;

fn rate(burst: u32) -> Rate {
    let quota = Quota::per_second(1_000_000).expect("it is in proportion");
    Rate::new(quota, burst).expect("it is in proportion")
}

fn bench_one_thread(c: &mut Criterion) {
    let (rates, wide, narrow) = (Rates::new(), rate(1_000_000), rate(1));
    let mut nanos = 1_000;
    let key = rates.hash(b"one");
    c.bench_function("limits/check a known key", |b| {
        b.iter(|| {
            nanos += 1_000;
            rates.check(0, &wide, black_box(key), Tick::from_nanos(nanos))
        });
    });
    c.bench_function("limits/refuse a known key", |b| {
        let now = Tick::from_nanos(nanos);
        b.iter(|| rates.check(1, &narrow, black_box(key), now));
    });
    c.bench_function("limits/hash an address and check it", |b| {
        b.iter(|| {
            nanos += 1_000;
            let address = AddressKey::of(black_box([192, 0, 2, 1].into()));
            rates.check(0, &wide, rates.hash(&address.bytes()), Tick::from_nanos(nanos))
        });
    });
    let mut number = 0_u64;
    c.bench_function("limits/check one of 1,000,000 keys", |b| {
        b.iter(|| {
            nanos += 1;
            number = (number + 7_919) % 1_000_000;
            rates.check(2, &wide, rates.hash(&number.to_le_bytes()), Tick::from_nanos(nanos))
        });
    });
    let daily = Rate::new(Quota::new(1, Duration::from_secs(86_400)).expect("a day"), 1).expect("one");
    c.bench_function("limits/a key that was never seen, no room left", |b| {
        b.iter(|| {
            nanos += 1;
            number += 1;
            rates.check(3, &daily, rates.hash(&number.to_le_bytes()), Tick::from_nanos(nanos))
        });
    });
}

#[expect(clippy::disallowed_methods, reason = "threads are measured together, which criterion cannot")]
fn bench_threads(c: &mut Criterion) {
    for (name, keys) in [("one key", 1), ("keys of their own", THREADS)] {
        let (rates, wide) = (Rates::new(), rate(1_000_000));
        c.bench_function(&format!("limits/four threads, {name}"), |b| {
            b.iter_custom(|rounds| {
                let begin = Instant::now();
                thread::scope(|scope| {
                    for worker in 0..THREADS {
                        let (rates, key) = (&rates, rates.hash(&(worker % keys).to_le_bytes()));
                        scope.spawn(move || {
                            for round in 0..rounds / THREADS {
                                let _ = black_box(rates.check(0, &wide, key, Tick::from_nanos(round)));
                            }
                        });
                    }
                });
                begin.elapsed()
            });
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_one_thread(&mut criterion);
    bench_threads(&mut criterion);
    criterion.final_summary();
}
