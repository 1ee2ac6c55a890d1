//! [`Ring`]: the batches of one worker.
//!
//! ```text
//!   record ──► current ──► full (shared, bounded) ──► writer
//!   leave ──► holes ┘ ▲                                  │
//!                     └────────── free (bounded) ◄───────┘
//! ```
//! Invariant: a ring owns at most as many batches as it was told ([`RING_BATCHES`], of one log), made when
//! first needed and then recycled, so nothing is allocated in the steady state. Without a free batch lines
//! are dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Record;
use super::doubt::{Cut, Doubt, Made};
use super::format::Formatter;
use super::held::{Held, is_measured};
use super::logs::LiveLog;
use super::losses::Losses;
use super::sample::Sampler;
use super::text::LINE_BYTES_MAX;
use super::writer::Message;
use crate::base::Tick;
use crate::server::stats::Counter;

/// How many batches a worker may have on their way, as far as its logs can share them.
pub(super) const RING_BATCHES: usize = 64;
/// How many bytes fill a batch.
pub(super) const BATCH_BYTES: usize = 16 * 1024;
/// So many may wait in a batch for holes to be filled: whatever one turn answers, as long as its lines are
/// not all of the longest.
const HELD_BYTES_MAX: usize = 256 * 1024;
/// One line more than fills a batch.
pub(super) const BATCH_CAPACITY: usize = BATCH_BYTES + LINE_BYTES_MAX;
/// How long a line may lie in a batch that does not fill.
const BATCH_AGE_MAX: Duration = Duration::from_millis(100);

/// Lines on their way to the writer.
#[derive(Debug)]
pub(super) struct Batch {
    /// Whole lines. Has room for one line more than fills it, so that only lines that are held make it grow,
    /// for that time; pages that are not written to cost nothing.
    pub(super) bytes: Vec<u8>,
    /// How many.
    pub(super) lines: u64,
    /// The second of the last one: the writer's clock.
    pub(super) second: u64,
}

/// Where a batch comes from and goes back to.
#[derive(Debug)]
pub(super) struct Home {
    /// Takes it back, emptied.
    pub(super) free: Sender<Batch>,
    /// Lines that the writer lost. The writer's alone to write.
    pub(super) lost: Counter,
    /// Where it tells them at once.
    pub(super) losses: Arc<Losses>,
}

/// One worker's end of a log.
#[derive(Debug)]
pub struct Ring {
    /// As long as there is a ring, there is a writer.
    log: Arc<LiveLog>,
    formatter: Formatter,
    sampler: Sampler,
    current: Option<Batch>,
    /// What is missing in its last lines.
    held: Held,
    /// Its last lines, from the first of this turn whose answer the kernel has yet to take.
    made: Vec<Made>,
    /// When the current batch is due, once a turn has ended with lines in it.
    due: Option<Tick>,
    /// How many batches were made, and how many may be.
    batches: usize,
    batches_max: usize,
    free: Receiver<Batch>,
    home: Arc<Home>,
    /// Lines that found no room.
    dropped: u64,
}

impl Ring {
    pub(super) fn new(log: &Arc<LiveLog>, batches_max: usize) -> Self {
        let (home, free) = bounded(batches_max);
        Self {
            log: Arc::clone(log),
            formatter: Formatter::new(log.format.clone(), log.redacted.clone()),
            sampler: Sampler::new(log.sample),
            current: None,
            held: Held::default(),
            made: Vec::new(),
            due: None,
            batches: 0,
            batches_max,
            free,
            home: Arc::new(Home { free: home, lost: Counter::default(), losses: Arc::clone(&log.losses) }),
            dropped: 0,
        }
    }

    /// Whose ring it is.
    pub(super) const fn log(&self) -> &Arc<LiveLog> {
        &self.log
    }

    /// Where its batches come back to.
    pub(super) fn home(&self) -> Arc<Home> {
        Arc::clone(&self.home)
    }

    /// Whether a request that is answered with `status` has a line.
    #[inline]
    pub(super) fn takes(&mut self, status: u16) -> bool {
        self.sampler.takes(status)
    }

    /// Writes one line, or drops it where there is no room. Never waits. Whether it is held until
    /// [`Ring::leave_at`] says when its answer has left.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>) -> bool {
        self.record_until(record, 0)
    }

    /// The same for an answer that ends there in the output of its connection: until [`Ring::leave_at`] it
    /// can be taken back.
    #[inline]
    pub(in crate::server) fn record_until(&mut self, record: &Record<'_>, until: u64) -> bool {
        if self.current.is_none() && !self.take_batch() {
            self.dropped += 1;
            return false;
        }
        let Some(batch) = &mut self.current else { return false };
        let (start, spots) = (batch.bytes.len(), self.formatter.spots());
        let is_late = self.formatter.shows_end() && is_measured(record.timeline);
        if is_late {
            self.formatter.line_with_holes(record, &mut batch.bytes, &mut self.held);
        } else {
            self.formatter.line(record, &mut batch.bytes);
        }
        batch.lines += 1;
        batch.second = record.unix_seconds;
        let (body_bytes, second) = (record.body_bytes, record.unix_seconds);
        if until > 0 || !self.made.is_empty() {
            self.made.push(Made { start, spots, until, body_bytes, second });
        } else {
            self.formatter.forget_spots();
        }
        let is_done = self.held.is_empty() && self.made.is_empty();
        let most = if is_done { BATCH_BYTES } else { HELD_BYTES_MAX };
        if batch.bytes.len() >= most {
            self.hand_over();
        }
        is_late
    }

    /// The answers whose lines are held have left at `at`.
    #[inline]
    pub fn leave_at(&mut self, at: Tick) {
        if self.held.is_empty() && self.made.is_empty() {
            return;
        }
        self.made.clear();
        self.formatter.forget_spots();
        if let Some(batch) = &mut self.current {
            self.held.leave(&mut batch.bytes, Some(at));
            if batch.bytes.len() >= BATCH_BYTES {
                self.hand_over();
            }
        }
    }

    /// Takes back the lines of answers that end behind `taken`, and all behind the first of them.
    #[cold]
    pub(super) fn take_back(&mut self, taken: u64, doubts: &mut Vec<Doubt>) {
        let Some(first) = self.made.iter().position(|made| made.until > taken) else { return };
        let (Some(batch), made) = (&mut self.current, self.made.split_off(first)) else { return };
        let from = made[0].start;
        let spots = self.formatter.take_spots(made[0].spots);
        let (text, holes) = (batch.bytes.split_off(from), self.held.split_off(from));
        batch.lines -= made.len() as u64;
        for (at, line) in made.iter().enumerate() {
            let end = made.get(at + 1).map_or(from + text.len(), |next| next.start);
            let of_it = |place: usize| (line.start..end).contains(&place);
            let holes: Vec<_> = holes.iter().filter(|hole| of_it(hole.at)).copied().collect();
            let spots: Vec<_> = spots.iter().filter(|spot| of_it(spot.at)).copied().collect();
            doubts.push(Doubt::new(*line, &text[line.start - from..end - from], (&holes, &spots), &self.log));
        }
    }

    /// Writes a line that was taken back: its answer ended at `at`, whole or not.
    #[cold]
    pub(super) fn put(&mut self, doubt: &Doubt, at: Tick, cut: Option<Cut>) {
        if self.current.is_none() && !self.take_batch() {
            self.dropped += 1;
            return;
        }
        let Some(batch) = &mut self.current else { return };
        doubt.write(&mut batch.bytes, at, cut);
        batch.lines += 1;
        batch.second = batch.second.max(doubt.second());
        if batch.bytes.len() >= BATCH_BYTES && self.held.is_empty() && self.made.is_empty() {
            self.hand_over();
        }
    }

    /// At a turn's end: hands over the lines that have waited long enough. Returns when the others are
    /// due; the loop must not sleep past that moment.
    #[inline]
    pub fn flush(&mut self, now: Tick) -> Option<Tick> {
        // Of connections that have ended without a flush.
        self.leave_at(now);
        self.current.as_ref()?;
        let due = *self.due.get_or_insert_with(|| now.after(BATCH_AGE_MAX));
        if now < due {
            return Some(due);
        }
        self.hand_over();
        None
    }

    /// Hands over all lines now. Of those that are held nobody learns when their answers have left.
    pub fn hand_over(&mut self) {
        self.due = None;
        self.made.clear();
        self.formatter.forget_spots();
        let Some(mut batch) = self.current.take() else { return };
        self.held.leave(&mut batch.bytes, None);
        let lines = batch.lines;
        if let Err(refused) = self.log.door.full.try_send(Message::Batch(batch, Arc::clone(&self.home))) {
            self.dropped += lines;
            if let Message::Batch(batch, _) = refused.into_inner() {
                // There is room: `free` holds as many as were ever made.
                let _ = self.home.free.try_send(batch.emptied());
            }
        }
    }

    /// How many lines were lost, here or by the writer.
    #[inline]
    pub fn dropped(&self) -> u64 {
        self.dropped + self.home.lost.get()
    }

    /// Those of them that found no room here.
    #[inline]
    pub(super) const fn without_room(&self) -> u64 {
        self.dropped
    }

    #[cfg(test)]
    pub(super) fn current_capacity(&self) -> Option<usize> {
        self.current.as_ref().map(|batch| batch.bytes.capacity())
    }

    /// Whether there is a batch to write to now.
    fn take_batch(&mut self) -> bool {
        self.current = self.free.try_recv().ok();
        if self.current.is_none() && self.batches < self.batches_max {
            self.batches += 1;
            self.current = Some(Batch::new());
        }
        self.current.is_some()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.hand_over();
    }
}

impl Batch {
    fn new() -> Self {
        Self { bytes: Vec::with_capacity(BATCH_CAPACITY), lines: 0, second: 0 }
    }

    /// Without its lines.
    pub(super) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.bytes.shrink_to(BATCH_CAPACITY);
        self.lines = 0;
        self
    }
}
