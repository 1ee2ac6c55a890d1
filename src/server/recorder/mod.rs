//! THE FLIGHT RECORDER: the last requests of each worker, and for longer those that went wrong.
//!
//! ```text
//!  worker ── answered ─┬─ well ─────────────────────────────────► Ring ──┐
//!                      └─ refused, 5xx, or its body was cut ────► Ring ──┼──► /_kolk/why/ID, /_kolk/recent
//! ```
//! A flood of good answers displaces no failure. Memory is set aside when the server starts and never grows:
//! what an [`Entry`] has no room for is cut. A worker holds a lock for the time of one copy; so does a
//! reader, entry by entry. Invariant: what may be a secret is never kept: of the head all names, and the
//! values of harmless fields alone; of the query no value whose name sounds like a secret.
//!
//! | file | what it is |
//! | --- | --- |
//! | `entry` | [`Entry`]: what is kept of one request, and how it reads |
//! | `ring` | [`Ring`]: the last of many |
//! | `secrets` | whose values are not kept |
//!
//! Knows no connection: it is told what the access log is told.

mod entry;
mod ring;
mod secrets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::access_log::{Cut, Record};
use crate::app::Numbers;
use crate::base::Tick;
use entry::Entry;
use ring::Ring;

/// A recorder of the last requests: what it may cost, and what it does not keep.
///
/// ```
/// use kolk::{App, FlightRecorder, Request, RequestIds, Server};
///
/// let app = App::new().layer(RequestIds::new()).get("/", |_: &Request<'_>| "hello");
/// let recorder = FlightRecorder::new(1024 * 1024).without_parameter("ticket");
/// let server = Server::new(app).flight_recorder(recorder).listen("127.0.0.1:0")?.start()?;
/// assert_eq!(server.handle().why("nobody"), None);
/// # server.stop();
/// # Ok::<(), kolk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlightRecorder {
    worker_bytes: usize,
    parameters: Vec<String>,
}

impl FlightRecorder {
    /// More memory than this is not set aside for a worker, in bytes.
    pub const WORKER_BYTES_MAX: usize = 1024 * 1024 * 1024;

    /// With so much memory for each worker, in bytes: one half for failures, one for all else. About 1 KiB is
    /// one request; there is room for one of each in any case.
    #[must_use]
    pub fn new(worker_bytes: usize) -> Self {
        let worker_bytes = worker_bytes.min(Self::WORKER_BYTES_MAX);
        Self { worker_bytes, parameters: Vec::new() }
    }

    /// Does not keep the values of this parameter of the query either, however its name is written.
    #[must_use]
    pub fn without_parameter(mut self, name: &str) -> Self {
        self.parameters.push(name.to_owned());
        self
    }

    /// One for each of so many workers.
    pub(super) fn build(&self, workers: usize) -> Arc<[Arc<Recorder>]> {
        let numbers = Numbers::new();
        let entries = (self.worker_bytes / 2 / size_of::<Entry>()).max(1);
        let recorder = || {
            Arc::new(Recorder {
                numbers: numbers.clone(),
                kept: Mutex::new(Kept {
                    sequence: 0,
                    leaving: [0; 2],
                    good: Ring::new(entries),
                    failed: Ring::new(entries),
                    parameters: self.parameters.clone(),
                    target: Vec::new(),
                }),
            })
        };
        (0..workers).map(|_| recorder()).collect()
    }
}

/// What one worker has answered.
#[derive(Debug)]
pub struct Recorder {
    numbers: Numbers,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// How many there have been in both rings.
    sequence: u64,
    /// How many of the newest, of those that failed and of the others, have yet to leave.
    leaving: [usize; 2],
    good: Ring,
    failed: Ring,
    parameters: Vec<String>,
    /// Room for a target from which something is left out.
    target: Vec<u8>,
}

/// A request that was taken back: its answer is not whole yet.
#[derive(Debug)]
pub(super) struct Doubt {
    until: u64,
    entry: Box<Entry>,
}

impl Doubt {
    /// Where its answer ends in the output of its connection.
    pub(super) const fn until(&self) -> u64 {
        self.until
    }
}

impl Kept {
    /// Takes out the newest of both rings.
    fn take_last(&mut self) -> Option<Entry> {
        let [failed, good] = self.rings().map(|ring| ring.last().map_or(0, Entry::sequence));
        let (is_good, ring) = if good > failed { (1, &mut self.good) } else { (0, &mut self.failed) };
        let entry = ring.take_last()?;
        self.leaving[is_good] = self.leaving[is_good].saturating_sub(1);
        Some(entry)
    }

    fn rings(&self) -> [&Ring; 2] {
        [&self.failed, &self.good]
    }
}

impl Recorder {
    /// Keeps `record`; `is_cut`: the answer ended before its end. Whether [`Recorder::leave_at`] has more to
    /// say of it.
    pub(super) fn keep(&self, record: &Record<'_>, is_cut: bool) -> bool {
        let mut kept = self.kept();
        kept.sequence += 1;
        let Kept { sequence, leaving, good, failed, parameters, target, .. } = &mut *kept;
        let is_failure = is_cut || record.status >= 500 || record.reason.is_some();
        let ring = if is_failure { failed } else { good };
        ring.next().fill(record, (*sequence, is_cut), (parameters, target));
        let is_measured = record.timeline.handled != Tick::ZERO;
        let left = &mut leaving[usize::from(!is_failure)];
        // Of one that was not measured nothing is awaited; it may stand between those of which something is.
        *left += usize::from(is_measured || *left > 0);
        is_measured
    }

    /// The answers that were kept since the last time have left at `at`.
    pub(super) fn leave_at(&self, at: Tick) {
        let Kept { leaving, failed, good, .. } = &mut *self.kept();
        for (ring, left) in [failed, good].into_iter().zip(std::mem::take(leaving)) {
            ring.newest(left).for_each(|entry| entry.leave(at));
        }
    }

    /// Takes back those of the newest whose answers end behind `taken`, and all behind the first of them;
    /// `ends`: where each does.
    #[cold]
    pub(super) fn take_back(&self, taken: u64, ends: &[u64], doubts: &mut Vec<Doubt>) {
        let first = ends.iter().position(|until| *until > taken).unwrap_or(ends.len());
        let (known, mut kept) = (doubts.len(), self.kept());
        for until in ends[first..].iter().rev() {
            let Some(entry) = kept.take_last() else { break };
            doubts.push(Doubt { until: *until, entry: Box::new(entry) });
        }
        doubts[known..].reverse();
    }

    /// Keeps a request again that was taken back: its answer ended at `at`, whole or not.
    #[cold]
    pub(super) fn put(&self, doubt: Doubt, at: Tick, cut: Option<Cut>) {
        let mut entry = doubt.entry;
        match cut {
            Some(cut) => entry.end(at, cut),
            None => entry.leave(at),
        }
        let Kept { good, failed, .. } = &mut *self.kept();
        let ring = if entry.is_failure() { failed } else { good };
        *ring.next() = *entry;
    }

    /// Does not keep the values of the parameters either that `recorder` does not keep; of what is kept
    /// already nothing is left out.
    pub(super) fn leave_out_as(&self, recorder: &FlightRecorder) {
        self.kept().parameters.clone_from(&recorder.parameters);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest request of this id.
    fn find(&self, id: &str) -> Option<Entry> {
        let called = |entry: &Entry| entry.is_called(id, &self.numbers).then(|| entry.clone());
        [0, 1].into_iter().find_map(|ring| self.newest_first(ring, called).flatten().next())
    }

    /// Up to so many of the newest of each ring.
    fn recent(&self, most: usize) -> Vec<Entry> {
        [0, 1].into_iter().flat_map(|ring| self.newest_first(ring, Entry::clone).take(most)).collect()
    }

    /// What `look` makes of all that are in a ring, one by one: the worker waits for no more than one look.
    fn newest_first<T>(&self, ring: usize, look: impl Fn(&Entry) -> T) -> impl Iterator<Item = T> {
        let numbers = self.kept().rings()[ring].numbers();
        // The newest may be taken back meanwhile, and the oldest displaced.
        numbers.rev().filter_map(move |number| self.kept().rings()[ring].get(number).map(&look))
    }
}

/// The request of this id as JSON, if one of `recorders` has it.
pub(super) fn why(recorders: &[Arc<Recorder>], id: &str) -> Option<String> {
    let found = recorders.iter().find_map(|recorder| Some((recorder, recorder.find(id)?)));
    found.map(|(recorder, entry)| line(&entry, &recorder.numbers))
}

/// The newest of all, one JSON object a line, the oldest first.
pub(super) fn recent(recorders: &[Arc<Recorder>], most: usize) -> String {
    let each = recorders.iter().flat_map(|recorder| {
        let recent = recorder.recent(most).into_iter();
        recent.map(|entry| (entry, &recorder.numbers))
    });
    let mut all: Vec<_> = each.collect();
    all.sort_by_key(|(entry, _)| entry.order());
    let older = all.len().saturating_sub(most);
    all.drain(older..).map(|(entry, numbers)| line(&entry, numbers)).collect()
}

fn line(entry: &Entry, numbers: &Numbers) -> String {
    let mut line = Vec::new();
    entry.json(numbers, &mut line);
    line.push(b'\n');
    String::from_utf8(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{RateNote, RateVerdict};
    use crate::http::{Reason, Timeline};
    use crate::server::stats::CloseReason;

    fn record(request: u32, status: u16, reason: Option<Reason>) -> Record<'static> {
        static TIMELINE: std::sync::LazyLock<Timeline> = std::sync::LazyLock::new(Timeline::default);
        Record {
            unix_seconds: 784_111_777,
            unix_millis: 7,
            peer: None,
            client: None,
            scheme: "http",
            head: None,
            status,
            body_bytes: 13,
            reason: reason.map(Reason::into),
            site: "*.example.com",
            route: "/hello",
            user: None,
            rate: None,
            timeline: &TIMELINE,
            worker: 0,
            connection: 7,
            request,
            id: Some("order-17").filter(|_| request == 3),
        }
    }

    fn one(worker_bytes: usize) -> Arc<[Arc<Recorder>]> {
        FlightRecorder::new(worker_bytes).build(1)
    }

    #[test]
    fn a_flood_of_good_answers_displaces_no_failure() {
        let recorders = one(16 * size_of::<Entry>());
        recorders[0].keep(&record(1, 500, Some(Reason::HandlerPanic)), false);
        recorders[0].keep(&record(2, 200, None), true);
        for request in 3..1_000 {
            recorders[0].keep(&record(request, 200, None), false);
        }
        let lines = recent(&recorders, 100);
        let numbers: Vec<&str> =
            lines.lines().map(|line| line.split("\"request\":").nth(1).unwrap()).collect();
        assert_eq!(numbers.len(), 10, "{lines}");
        assert!(numbers[0].starts_with("1,") && numbers[1].starts_with("2,"), "{lines}");
        assert!(numbers[2].starts_with("992,") && numbers[9].starts_with("999,"), "{lines}");
        assert!(lines.contains(r#""reason":"handler.panic""#) && lines.contains(r#""cut":true"#), "{lines}");
        assert_eq!(recent(&recorders, 3).lines().count(), 3, "the newest");
        assert!(recent(&recorders, 3).contains("\"request\":999,"));
    }

    #[test]
    fn a_request_is_found_by_its_name_or_by_its_number() {
        let recorders = one(0);
        recorders[0].keep(&record(3, 200, None), false);
        let story = why(&recorders, "order-17").unwrap();
        assert!(story.starts_with(r#"{"id":"order-17","time":"1994-11-06T"#), "{story}");
        assert!(story.contains(r#""site":"*.example.com","route":"/hello""#), "{story}");
        assert_eq!(why(&recorders, "order-1"), None);
        recorders[0].keep(&record(4, 200, None), false);
        assert_eq!(why(&recorders, "order-17"), None, "there is room for one");
        let lines = recent(&recorders, 1);
        let id = lines.split('"').nth(3).unwrap();
        assert_eq!(why(&recorders, id).as_ref(), Some(&lines));
    }

    #[test]
    fn a_refusal_that_was_cut_is_its_rate_s_no_more() {
        let recorders = one(4 * size_of::<Entry>());
        let rate = RateNote::new("api", RateVerdict::Refused);
        recorders[0].keep(&Record { rate: Some(&rate), ..record(1, 429, Some(Reason::Rate)) }, false);
        assert!(recent(&recorders, 1).contains(r#""reason":"limit.rate.api""#));
        let mut doubts = Vec::new();
        recorders[0].take_back(0, &[10], &mut doubts);
        let cut = Cut { cause: CloseReason::Abandoned.into(), missing_bytes: 3 };
        recorders[0].put(doubts.pop().unwrap(), Tick::ZERO, Some(cut));
        assert!(recent(&recorders, 1).contains(r#""reason":"close.abandoned""#));
    }

    #[test]
    fn what_has_left_is_said_of_each_that_was_measured() {
        let nanos = Tick::from_nanos;
        let timeline = Timeline { received: nanos(500), handled: nanos(1_000), ..Timeline::default() };
        // Room for three of each.
        let recorders = one(6 * size_of::<Entry>());
        let keep =
            |request, timeline| recorders[0].keep(&Record { timeline, ..record(request, 200, None) }, false);
        let none = Timeline::default();
        assert!(keep(1, &timeline));
        recorders[0].leave_at(nanos(3_000));
        assert!(!keep(2, &none));
        assert!(keep(3, &timeline) && !keep(4, &none) && keep(5, &timeline));
        recorders[0].leave_at(nanos(5_000));
        let told = |lines: &str| -> Vec<bool> {
            lines.lines().map(|line| line.contains(r#""respond_us":4.000,"total_us":4.500"#)).collect()
        };
        let lines = recent(&recorders, 9);
        assert_eq!(told(&lines), [true, false, true], "{lines}");
        (6..20).for_each(|request| assert!(keep(request, &timeline)));
        recorders[0].leave_at(nanos(5_000));
        assert_eq!(told(&recent(&recorders, 9)), [true; 3]);
    }
}
