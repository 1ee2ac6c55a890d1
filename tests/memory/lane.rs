//! [`Lane`]: a client in memory that always sends the same and reads everything, and a shard for it.
//! Allocates nothing once it runs.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;

use kolk::app::{App, BlockingPool};
use kolk::base::{Mailbox, Tick, Wake};
use kolk::net::{Arrived, Peer, Progress, Transport};
use kolk::server::{Config, Edition, Env, Shard, stats::Stats};
use kolk::wire::{Front, Output};

/// The client's side.
#[derive(Clone)]
pub(crate) struct Lane(Rc<State>);

struct State {
    input: Vec<u8>,
    /// How much of the input was read.
    at: Cell<usize>,
    closed: Cell<bool>,
    /// What becomes of a write that cannot be done.
    stuck: Cell<Option<ErrorKind>>,
    output: RefCell<Vec<u8>>,
    answers: Cell<usize>,
    /// How often it was asked who it is.
    asked: Cell<usize>,
}

impl Lane {
    /// A client that sends `input` with each refill.
    pub(crate) fn new(input: &[u8]) -> Self {
        Self(Rc::new(State {
            input: input.to_vec(),
            at: Cell::new(input.len()),
            closed: Cell::new(false),
            stuck: Cell::new(None),
            output: RefCell::new(Vec::with_capacity(256 * 1024)),
            answers: Cell::new(0),
            asked: Cell::new(0),
        }))
    }

    /// The server's side.
    pub(crate) fn transport(&self) -> Near {
        self.0.closed.set(false);
        Near(Rc::clone(&self.0))
    }

    /// The input arrives once more; the answers so far are counted.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn refill(&self) {
        self.0.at.set(0);
        let mut output = self.0.output.borrow_mut();
        self.0.answers.set(self.0.answers.get() + count(&output));
        output.clear();
    }

    /// The input arrives once more; the answers are forgotten uncounted.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    #[inline]
    pub(crate) fn again(&self) {
        self.0.at.set(0);
        self.0.output.borrow_mut().clear();
    }

    /// The client closes behind its input.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn close(&self) {
        self.0.closed.set(true);
    }

    /// From now on nothing more can be written, for this reason; `None`: it can.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn stick(&self, why: Option<ErrorKind>) {
        self.0.stuck.set(why);
    }

    /// What came and was not forgotten.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.0.output.borrow().clone()
    }

    /// Forgets the answers so far.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn forget(&self) {
        self.0.output.borrow_mut().clear();
        self.0.answers.set(0);
    }

    /// How often the system would have been asked who it is.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.get()
    }

    /// How many answers came.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn answers(&self) -> usize {
        self.0.answers.get() + count(&self.0.output.borrow())
    }
}

fn count(output: &[u8]) -> usize {
    output.windows(15).filter(|window| window == b"HTTP/1.1 200 OK").count()
}

/// The server's side of a [`Lane`].
pub(crate) struct Near(Rc<State>);

impl Transport for Near {
    #[inline]
    fn read(&mut self, into: &mut [u8], _: &mut Output) -> io::Result<Arrived> {
        let at = self.0.at.get();
        let rest = &self.0.input[at..];
        if rest.is_empty() {
            return if self.0.closed.get() {
                Ok(Arrived { bytes: 0, is_all: true })
            } else {
                Err(ErrorKind::WouldBlock.into())
            };
        }
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.0.at.set(at + count);
        Ok(Arrived::in_one_call(count, into.len()))
    }

    #[inline]
    fn write(&mut self, output: &mut Output) -> io::Result<Progress> {
        match self.0.stuck.get() {
            None => {}
            Some(ErrorKind::WouldBlock) => return Ok(Progress::Blocked),
            Some(why) => return Err(why.into()),
        }
        let mut taken = self.0.output.borrow_mut();
        while let Some(front) = output.front() {
            let Front::Bytes(run, _) = front else { return Err(ErrorKind::Unsupported.into()) };
            taken.extend_from_slice(run);
            let count = run.len();
            output.consume(count);
        }
        Ok(Progress::Done)
    }

    fn shutdown_write(&mut self) {}

    fn reset(&mut self) {}

    fn peer(&self) -> Peer {
        self.0.asked.set(self.0.asked.get() + 1);
        Peer::Unix
    }
}

struct NoBell;

impl Wake for NoBell {
    fn wake(&self) {}
}

/// A shard that serves `app` to at most `connections_max` lanes.
pub(crate) fn shard(app: App, connections_max: usize) -> Shard<Near> {
    let mailbox = Mailbox::new(Arc::new(NoBell), 16);
    let env = Env {
        edition: Arc::new(Edition::new(app, Config::default())),
        stats: Arc::new(Stats::default()),
        post: mailbox.post(),
        pool: Arc::new(BlockingPool::new(1, 1)),
        worker: 0,
        recorder: None,
        stopwatch: || Tick::ZERO,
        unix_millis: 784_111_777_000,
    };
    Shard::new(env, connections_max, None)
}
