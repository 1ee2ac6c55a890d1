//! What deadlines cost: per request (an arm that changes nothing), per connection, per timeout, per turn.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use kolk::base::{Tick, Wheel};

const INDICES: u32 = 10_000;
const SECOND: Duration = Duration::from_secs(1);

/// A wheel an hour old, every index armed some time within the next second.
fn armed() -> (Wheel, Tick) {
    let now = Tick::ZERO.after(SECOND * 3600);
    let mut wheel = Wheel::new(INDICES as usize);
    wheel.expire(now, |_| Tick::NEVER, &mut Vec::new());
    for index in 0..INDICES {
        wheel.arm(index, spread(now, index));
    }
    (wheel, now)
}

/// The deadline of `index`: within the second that begins half a second after `now`.
fn spread(now: Tick, index: u32) -> Tick {
    now.after(SECOND / 2 + Duration::from_micros(u64::from(index) * 100))
}

fn bench_arm(c: &mut Criterion) {
    let (mut wheel, now) = armed();
    let later = now.after(SECOND * 5);
    let mut index = 0;
    c.bench_function("wheel/arm a later deadline", |b| {
        b.iter(|| {
            index = (index + 1) % INDICES;
            wheel.arm(black_box(index), black_box(later));
        });
    });

    let mut index = 0;
    c.bench_function("wheel/disarm and arm anew", |b| {
        b.iter(|| {
            index = (index + 1) % INDICES;
            wheel.disarm(black_box(index));
            wheel.arm(black_box(index), spread(now, index));
        });
    });
}

fn bench_expire(c: &mut Criterion) {
    let mut fired = Vec::new();
    let mut group = c.benchmark_group("wheel");
    group.throughput(Throughput::Elements(u64::from(INDICES)));

    let (mut wheel, mut now) = armed();
    group.bench_function("expire 10,000 lazily moved", |b| {
        b.iter(|| {
            now = now.after(SECOND * 2);
            wheel.expire(now, |index| spread(now, index), &mut fired);
            assert!(fired.is_empty());
        });
    });

    let (mut wheel, mut now) = armed();
    group.bench_function("arm and fire 10,000", |b| {
        b.iter(|| {
            for index in 0..INDICES {
                wheel.arm(index, spread(now, index));
            }
            now = now.after(SECOND * 2);
            wheel.expire(now, |_| now, &mut fired);
            assert_eq!(fired.drain(..).len(), INDICES as usize);
        });
    });
    group.finish();
}

/// What each turn of the loop pays when nothing is due: the look at the clock's slot, and the next timeout.
fn bench_turn(c: &mut Criterion) {
    let (wheel, now) = armed();
    let mut far = Wheel::new(INDICES as usize);
    far.expire(now, |_| Tick::NEVER, &mut Vec::new());
    far.arm(0, now.after(SECOND * 75));

    for (name, mut wheel) in [("near", wheel), ("far", far)] {
        let mut fired = Vec::new();
        c.bench_function(&format!("wheel/turn with nothing due, next is {name}"), |b| {
            b.iter(|| {
                wheel.expire(black_box(now), |_| Tick::NEVER, &mut fired);
                black_box(wheel.next())
            });
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_arm(&mut criterion);
    bench_expire(&mut criterion);
    bench_turn(&mut criterion);
    criterion.final_summary();
}
