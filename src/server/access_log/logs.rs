//! [`AccessLogs`]: all logs of a server, and a writer for each destination; [`LogSet`]: those of one edition.
//!
//! ```text
//!  LogId::MAIN    ──► Ring ──► kolk-log ──► a file
//!  LogId::new(1)  ──► Ring ─┬► kolk-log ──► a pipe that nobody reads: it holds up nobody else
//!  LogId::new(2)  ──► Ring ─┘                and no two write to it, so that its lines stay whole
//!  LogId::NONE    ──► nothing
//!
//!  LogControl::replace ─► LogSet ─► edition ─► Rings::renew in each worker
//! ```
//! A log that says the same as before is the same one, with its rings; a destination that is still named
//! keeps its writer. A writer ends when nobody has a door to it: no set, and no ring. Invariant: at no time
//! have two writers one destination, unless the first is stuck in it. Knows no format and no record.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::losses::{LogShare, Losses};
use super::redaction::Redacted;
use super::ring::RING_BATCHES;
use super::sample::Sample;
use super::writer::{Message, Orders, Writer};
use super::{Destination, Format, Log, Place};
use crate::server::error::{Error, Result};

/// How many batches of all workers may wait for a writer.
const WAITING_MAX: usize = 1024;
/// What a ring has at least, however many logs there are.
const RING_BATCHES_MIN: usize = 4;
/// How long a stop waits for destinations that do not take their lines.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The running logs of a server. Dropping them writes what the rings handed over and joins the threads; drop
/// the rings first.
#[derive(Debug)]
pub struct AccessLogs(LogControl);

/// Changes the logs of a server from any thread, as long as they run.
#[derive(Clone, Debug)]
pub struct LogControl(Arc<Mutex<State>>);

/// The logs that an edition's requests are written down in, by [`LogId`](crate::LogId).
#[derive(Debug)]
pub struct LogSet {
    logs: Box<[Arc<LiveLog>]>,
    /// How many batches a ring may have on their way.
    batches: usize,
}

/// A log: what its rings are made of.
#[derive(Debug)]
pub(super) struct LiveLog {
    pub(super) format: Format,
    pub(super) redacted: Redacted,
    pub(super) sample: Sample,
    pub(super) door: Arc<Door>,
    pub(super) losses: Arc<Losses>,
}

/// Where a writer is spoken to.
#[derive(Debug)]
pub(super) struct Door {
    /// Nothing is the same as a sink.
    to: Option<Place>,
    pub(super) full: Sender<Message>,
    orders: Arc<Orders>,
}

#[derive(Debug)]
struct State {
    /// Of new requests.
    set: Arc<LogSet>,
    writers: Vec<Writing>,
    /// Nobody would end a writer any more.
    is_over: bool,
}

/// A writer's thread.
#[derive(Debug)]
struct Writing {
    to: Option<Place>,
    door: Weak<Door>,
    stopped: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl AccessLogs {
    /// Opens all destinations and starts a thread for each, `kolk-log`.
    ///
    /// # Errors
    /// [`Error::Log`]: a destination cannot be opened, or no thread can be started.
    pub fn start(logs: Vec<Log>) -> Result<Self> {
        let set = Arc::new(LogSet { logs: Box::default(), batches: 0 });
        let state = State { set, writers: Vec::new(), is_over: false };
        let control = LogControl(Arc::new(Mutex::new(state)));
        control.replace(logs)?;
        Ok(Self(control))
    }

    /// What changes them.
    pub fn control(&self) -> LogControl {
        self.0.clone()
    }

    /// Those of new requests.
    pub fn set(&self) -> Arc<LogSet> {
        Arc::clone(&self.0.state().set)
    }

    /// The rings of one more worker.
    #[cfg(test)]
    pub(super) fn rings(&self) -> super::Rings {
        super::Rings::new(&self.set())
    }

    /// How many destinations there are.
    #[cfg(test)]
    pub(super) fn writers(&self) -> usize {
        let mut state = self.0.state();
        state.forget_ended();
        state.writers.len()
    }
}

impl Drop for AccessLogs {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_over = true;
        let mut writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.iter().filter_map(|writer| writer.door.upgrade()).for_each(|door| door.stop());
        let mut patience = STOP_PATIENCE;
        for writer in &mut writers {
            // All have the same time: what is not written when the first gives up had as long.
            if !writer.end(patience) {
                patience = Duration::ZERO;
            }
        }
    }
}

impl LogControl {
    /// Opens the files anew, after another program has renamed them. Lines that were handed over before may
    /// still go to either file.
    pub fn reopen(&self) {
        for door in self.state().writers.iter().filter_map(|writer| writer.door.upgrade()) {
            door.orders.reopen();
            door.knock();
        }
    }

    /// The set of these logs. What one of them has in common with those of new requests goes on: all of it,
    /// or the writer of its destination. Waits for one that is about to end, as long as a stop would.
    ///
    /// # Errors
    /// As [`AccessLogs::start`].
    pub fn open(&self, logs: Vec<Log>) -> Result<Arc<LogSet>> {
        let mut state = self.state();
        state.forget_ended();
        if state.is_over { Ok(Arc::clone(&state.set)) } else { state.set_of(logs) }
    }

    /// The same, in which new requests are written down from now on. If it fails, all stays.
    ///
    /// # Errors
    /// As [`AccessLogs::start`].
    pub fn replace(&self, logs: Vec<Log>) -> Result<Arc<LogSet>> {
        let set = self.open(logs)?;
        self.write_in(&set);
        Ok(set)
    }

    /// From now on new requests are written down in these, and what is opened next has in common with them
    /// what it can.
    pub fn write_in(&self, set: &Arc<LogSet>) {
        self.state().set = Arc::clone(set);
    }

    /// What those of new requests have lost, each name once, in their order.
    pub fn shares(&self) -> Vec<LogShare> {
        let set = Arc::clone(&self.state().set);
        let mut seen: Vec<&Arc<Losses>> = Vec::new();
        for losses in set.logs.iter().map(|log| &log.losses) {
            if !seen.iter().any(|known| Arc::ptr_eq(known, losses)) {
                seen.push(losses);
            }
        }
        seen.into_iter().map(|losses| losses.share()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSet {
    /// Whether nothing is written down.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    pub(super) fn logs(&self) -> &[Arc<LiveLog>] {
        &self.logs
    }

    pub(super) const fn batches(&self) -> usize {
        self.batches
    }
}

impl State {
    fn set_of(&mut self, logs: Vec<Log>) -> Result<Arc<LogSet>> {
        let before = Arc::clone(&self.set);
        let is_same = |(old, new): (&Arc<LiveLog>, &Log)| old.is_as(new);
        if before.logs.len() == logs.len() && before.logs.iter().zip(&logs).all(is_same) {
            return Ok(before);
        }
        let batches = (RING_BATCHES / logs.len().max(1)).max(RING_BATCHES_MIN);
        let mut old: Vec<_> = before.logs.iter().map(Some).collect();
        let mut live: Vec<Arc<LiveLog>> = Vec::with_capacity(logs.len());
        for (number, log) in logs.into_iter().enumerate() {
            // Each goes on once.
            let kept = old.iter_mut().find(|old| old.is_some_and(|old| old.is_as(&log)));
            live.push(match kept.and_then(Option::take) {
                Some(kept) => Arc::clone(kept),
                None => {
                    let known = before.logs.iter().chain(&live).map(|live| &live.losses);
                    let known = known.into_iter().find(|known| known.name() == log.name()).map(Arc::clone);
                    Arc::new(self.open(log, known).map_err(|source| Error::Log { number, source })?)
                }
            });
        }
        Ok(Arc::new(LogSet { logs: live.into(), batches }))
    }

    /// A log with the writer of its destination, which may have to be started; `losses`: those that its name
    /// has had so far.
    fn open(&mut self, log: Log, losses: Option<Arc<Losses>>) -> io::Result<LiveLog> {
        let losses = losses.unwrap_or_else(|| Losses::of(&log.name()));
        let Log { format, to, sample, redacted, name: _ } = log;
        let place = to.place();
        let writer = self.writers.iter().find(|writer| writer.is_to(place.as_ref()));
        let door = match writer.and_then(|writer| writer.door.upgrade()) {
            Some(door) => door,
            None => self.start(to)?,
        };
        Ok(LiveLog { format, redacted, sample, door, losses })
    }

    fn start(&mut self, to: Destination) -> io::Result<Arc<Door>> {
        // Nobody has a door to it any more; its last lines come first.
        let place = to.place();
        self.writers.retain_mut(|writer| {
            let ends = writer.is_to(place.as_ref());
            if ends {
                writer.end(STOP_PATIENCE);
            }
            !ends
        });
        let (writer, door) = Writing::start(to)?;
        self.writers.push(writer);
        Ok(door)
    }

    /// Joins the threads of writers that have ended.
    fn forget_ended(&mut self) {
        self.writers.retain_mut(|writer| {
            let ended = writer.stopped.try_recv() != Err(TryRecvError::Empty);
            if ended {
                writer.join();
            }
            !ended
        });
    }
}

impl LiveLog {
    /// Whether `log` says the same.
    fn is_as(&self, log: &Log) -> bool {
        self.door.to.is_some()
            && self.door.to == log.to.place()
            && self.losses.name() == log.name()
            && (&self.format, &self.redacted, self.sample) == (&log.format, &log.redacted, log.sample)
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

impl Writing {
    fn start(to: Destination) -> io::Result<(Self, Arc<Door>)> {
        let (full, batches) = bounded(WAITING_MAX);
        let (stopping, stopped) = bounded(1);
        let orders = Arc::new(Orders::default());
        let place = to.place();
        let mut writer = Writer::open(to, batches, Arc::clone(&orders))?;
        let thread = std::thread::Builder::new().name("kolk-log".into()).spawn(move || {
            writer.run();
            // Closed before anybody hears of it: the destination is free.
            drop(writer);
            // Nobody may be waiting any more.
            let _ = stopping.try_send(());
        })?;
        let door = Arc::new(Door { to: place.clone(), full, orders });
        let writing = Self { to: place, door: Arc::downgrade(&door), stopped, thread: Some(thread) };
        Ok((writing, door))
    }

    fn is_to(&self, place: Option<&Place>) -> bool {
        place.is_some() && self.to.as_ref() == place
    }

    /// After it was told to stop, or was left by everybody: whether all was written in time.
    fn end(&mut self, patience: Duration) -> bool {
        // A pipe that nobody reads must not hold up the end of the process.
        let in_time = self.stopped.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        if in_time {
            self.join();
        } else {
            log::warn!("access log: its destination takes no lines; the last ones are lost");
        }
        in_time
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It has nothing left to do but to end.
            let _ = thread.join();
        }
    }
}
