//! [`AccessLogs`]: all logs of a server, and a writer for each destination; [`Rings`]: one worker's ends of
//! them.
//!
//! ```text
//!  LogId::MAIN    ──► Ring ──► kolk-log ──► a file
//!  LogId::new(1)  ──► Ring ─┬► kolk-log ──► a pipe that nobody reads: it holds up nobody else
//!  LogId::new(2)  ──► Ring ─┘                and no two write to it, so that its lines stay whole
//!  LogId::NONE    ──► nothing
//! ```
//! Knows no format and no record.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::redaction::Redacted;
use super::ring::{RING_BATCHES, Ring};
use super::sample::Sample;
use super::writer::{Message, Orders, Writer};
use super::{Destination, Format, Log};
use crate::app::LogId;
use crate::base::Tick;

/// How many batches of all workers may wait for a writer.
const WAITING_MAX: usize = 1024;
/// What a ring has at least, however many logs there are.
const RING_BATCHES_MIN: usize = 4;
/// How long a stop waits for destinations that do not take their lines.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The running logs of a server. Dropping them writes what the rings handed over and joins the threads; drop
/// the rings first.
#[derive(Debug)]
pub struct AccessLogs {
    /// By [`LogId`].
    logs: Vec<Running>,
    writers: Vec<Writing>,
    /// How many batches a ring may have on their way.
    batches: usize,
}

/// One worker's ends of all logs.
#[derive(Debug)]
pub struct Rings {
    /// By [`LogId`], and never none.
    rings: Box<[Ring]>,
}

/// Opens each [`Destination::File`] anew, as long as its log runs.
#[derive(Clone, Debug)]
pub struct Reopener {
    doors: Arc<[Door]>,
}

/// A log: what its rings are made of.
#[derive(Debug)]
struct Running {
    format: Format,
    redacted: Redacted,
    sample: Sample,
    door: Door,
}

/// A writer's thread.
#[derive(Debug)]
struct Writing {
    door: Door,
    stopped: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Where a writer is spoken to.
#[derive(Clone, Debug)]
struct Door {
    full: Sender<Message>,
    orders: Arc<Orders>,
}

impl AccessLogs {
    /// Opens all destinations and starts a thread for each, `kolk-log`. `None` where there are no logs.
    ///
    /// # Errors
    /// A destination cannot be opened, or no thread can be started.
    pub fn start(logs: Vec<Log>) -> io::Result<Option<Self>> {
        if logs.is_empty() {
            return Ok(None);
        }
        let batches = (RING_BATCHES / logs.len()).max(RING_BATCHES_MIN);
        let firsts = first_of_each_destination(&logs);
        let mut running = Self { logs: Vec::with_capacity(logs.len()), writers: Vec::new(), batches };
        for (Log { format, to, sample, redacted }, first) in logs.into_iter().zip(firsts) {
            let door = match running.logs.get(first) {
                Some(other) => other.door.clone(),
                None => running.open(to)?,
            };
            running.logs.push(Running { format, redacted, sample, door });
        }
        Ok(Some(running))
    }

    /// The rings of one more worker.
    pub fn rings(&self) -> Rings {
        Rings { rings: self.logs.iter().map(|log| log.ring(self.batches)).collect() }
    }

    /// What opens the destinations anew, from any thread.
    pub fn reopener(&self) -> Reopener {
        Reopener { doors: self.writers.iter().map(|writer| writer.door.clone()).collect() }
    }

    /// How many destinations there are.
    #[cfg(test)]
    pub(super) fn writers(&self) -> usize {
        self.writers.len()
    }

    /// Starts one more writer.
    fn open(&mut self, to: Destination) -> io::Result<Door> {
        let writer = Writing::start(to)?;
        let door = writer.door.clone();
        self.writers.push(writer);
        Ok(door)
    }
}

impl Drop for AccessLogs {
    fn drop(&mut self) {
        self.writers.iter().for_each(|writer| writer.door.stop());
        let mut patience = STOP_PATIENCE;
        for writer in &mut self.writers {
            // All have the same time: what is not written when the first gives up had as long.
            if !writer.end(patience) {
                patience = Duration::ZERO;
            }
        }
    }
}

impl Rings {
    /// The ring of `log`, if it has a line for a request that was answered with `status`. A log that the
    /// server does not have is [`LogId::MAIN`].
    #[inline]
    pub fn wanting(&mut self, log: LogId, status: u16) -> Option<&mut Ring> {
        if log == LogId::NONE {
            return None;
        }
        let index = if log.index() < self.rings.len() { log.index() } else { LogId::MAIN.index() };
        let ring = self.rings.get_mut(index)?;
        ring.takes(status).then_some(ring)
    }

    /// At a turn's end: see [`Ring::flush`]. When the next lines are due.
    #[inline]
    pub fn flush(&mut self, now: Tick) -> Option<Tick> {
        self.rings.iter_mut().filter_map(|ring| ring.flush(now)).min()
    }

    /// The ring of the only log.
    #[cfg(test)]
    pub(super) fn only(self) -> Ring {
        let mut rings = Vec::from(self.rings);
        assert_eq!(rings.len(), 1, "one log");
        rings.swap_remove(0)
    }

    /// How many lines were lost, in all logs.
    #[inline]
    pub fn dropped(&self) -> u64 {
        self.rings.iter().map(Ring::dropped).sum()
    }
}

impl Reopener {
    /// Opens the files anew, after another program has renamed them. Lines that were handed over before may
    /// still go to either file.
    pub fn reopen(&self) {
        for door in &*self.doors {
            door.orders.reopen();
            door.knock();
        }
    }
}

impl Door {
    fn stop(&self) {
        self.orders.stop();
        self.knock();
    }

    /// A full channel means that the writer is awake, and it looks at its orders after each batch.
    fn knock(&self) {
        let _ = self.full.try_send(Message::Orders);
    }
}

/// For each log the number of the first with its destination.
fn first_of_each_destination(logs: &[Log]) -> Vec<usize> {
    let first = |log: &Log| logs.iter().position(|other| other.to.is_same(&log.to));
    // A sink is nobody's but its own.
    logs.iter().enumerate().map(|(number, log)| first(log).unwrap_or(number)).collect()
}

impl Running {
    fn ring(&self, batches: usize) -> Ring {
        Ring::new((self.format.clone(), self.redacted.clone()), self.sample, self.door.full.clone(), batches)
    }
}

impl Writing {
    fn start(to: Destination) -> io::Result<Self> {
        let (full, batches) = bounded(WAITING_MAX);
        let (stopping, stopped) = bounded(1);
        let orders = Arc::new(Orders::default());
        let mut writer = Writer::open(to, batches, Arc::clone(&orders))?;
        let thread = std::thread::Builder::new().name("kolk-log".into()).spawn(move || {
            writer.run();
            // Nobody may be waiting any more.
            let _ = stopping.try_send(());
        })?;
        Ok(Self { door: Door { full, orders }, stopped, thread: Some(thread) })
    }

    /// After it was told to stop: whether all was written in time.
    fn end(&mut self, patience: Duration) -> bool {
        // A pipe that nobody reads must not hold up the end of the process.
        let ended = self.stopped.recv_timeout(patience);
        let in_time = ended != Err(RecvTimeoutError::Timeout);
        match self.thread.take() {
            Some(thread) if in_time => drop(thread.join()),
            _ => log::warn!("access log: its destination takes no lines; the last ones are lost"),
        }
        in_time
    }
}
