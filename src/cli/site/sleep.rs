//! [`Sleepers`]: answers that wait for their time; one thread and a heap for all of them.
//!
//! ```text
//!  handler ──(reply, until)──► channel ──► thread: heap by time ──► reply.send
//! ```
//! It is what a handler does whose answer comes from elsewhere: it keeps the [`Reply`] and lets go of
//! the worker.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use kolk::{Reply, Response, StatusCode};

use crate::cli::clock;

/// So many may sleep at the same time; each costs about a hundred bytes.
const SLEEPERS_MAX: usize = 100_000;

/// The way to the thread. When it is dropped, the thread ends and what still sleeps is answered with 500.
#[derive(Debug)]
pub(super) struct Sleepers {
    sender: Sender<Sleeper>,
    asleep: Arc<AtomicUsize>,
}

/// A reply that waits.
#[derive(Debug)]
struct Sleeper {
    until: Instant,
    millis: u64,
    reply: Reply,
}

impl Sleepers {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let asleep = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asleep);
        thread::Builder::new().name("kolk-sleep".into()).spawn(move || run(&receiver, &counter))?;
        Ok(Self { sender, asleep })
    }

    /// Answers after so many milliseconds.
    pub(super) fn add(&self, millis: u64, reply: Reply) {
        if self.asleep.fetch_add(1, Relaxed) >= SLEEPERS_MAX {
            self.asleep.fetch_sub(1, Relaxed);
            return reply
                .send(Response::from((StatusCode::SERVICE_UNAVAILABLE, "too many are asleep already\n")));
        }
        let sleeper = Sleeper { until: clock::now() + Duration::from_millis(millis), millis, reply };
        // The thread outlives the sender; if it did not, the dropped reply would be a 500.
        let _ = self.sender.send(sleeper);
    }
}

fn run(receiver: &Receiver<Sleeper>, asleep: &AtomicUsize) {
    let mut heap: BinaryHeap<Reverse<Sleeper>> = BinaryHeap::new();
    loop {
        let now = clock::now();
        while heap.peek().is_some_and(|Reverse(first)| first.until <= now) {
            if let Some(Reverse(sleeper)) = heap.pop() {
                asleep.fetch_sub(1, Relaxed);
                sleeper.reply.send(format!("slept {} ms\n", sleeper.millis));
            }
        }
        let received = match heap.peek() {
            Some(Reverse(first)) => receiver.recv_timeout(first.until - now),
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(sleeper) => heap.push(Reverse(sleeper)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> Ordering {
        self.until.cmp(&other.until)
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sleeper {}
