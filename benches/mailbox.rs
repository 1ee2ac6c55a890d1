//! What a letter costs without a kernel: the sender's side, the loop's side, and the look that finds nothing.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use kolk::base::{Mailbox, Wake};

/// Leaves out the system call, which costs more than everything here together.
struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

fn mailbox() -> Mailbox<u64> {
    Mailbox::new(Arc::new(Silent), 1024)
}

fn bench_letters(c: &mut Criterion) {
    let mut letters = Vec::new();
    let mut mailbox = mailbox();
    let post = mailbox.post();

    c.bench_function("mailbox/send to a loop at work, drain", |b| {
        b.iter(|| {
            post.send(black_box(1)).expect("it is drained each time");
            mailbox.drain(&mut letters);
            letters.clear();
        });
    });
    c.bench_function("mailbox/send to a sleeping loop, drain", |b| {
        b.iter(|| {
            assert!(mailbox.prepare_sleep());
            post.send(black_box(1)).expect("it is drained each time");
            mailbox.awake();
            mailbox.drain(&mut letters);
            letters.clear();
        });
    });
    c.bench_function("mailbox/send 100, drain", |b| {
        b.iter(|| {
            for letter in 0..100 {
                post.send(black_box(letter)).expect("it is drained each time");
            }
            mailbox.drain(&mut letters);
            letters.clear();
        });
    });
}

/// What each turn pays when nobody writes.
fn bench_silence(c: &mut Criterion) {
    let mut letters = Vec::new();
    let mut mailbox = mailbox();
    c.bench_function("mailbox/drain nothing", |b| b.iter(|| mailbox.drain(black_box(&mut letters))));
    c.bench_function("mailbox/go to sleep and wake", |b| {
        b.iter(|| {
            let may_block = mailbox.prepare_sleep();
            mailbox.awake();
            may_block
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_letters(&mut criterion);
    bench_silence(&mut criterion);
    criterion.final_summary();
}
