//! [`Stats`]: what one worker counts, and [`Snapshot`], the sums over workers.
//!
//! Invariant: each [`Stats`] has one writer, the worker that owns it; anybody may read it at any time.
//! That is why counting is a plain load and a plain store, one nanosecond, and no locked instruction.
//! A reader sees each number whole, but not all numbers of the same moment. Knows no HTTP and no text:
//! `metrics` renders.

mod causes;
mod histogram;
mod names;

use std::io;
use std::ops::{Deref, Index};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::access_log::LogShare;
use crate::http::{Phase, Reason};
use crate::net::{Alarm, Alert, Handshake};

pub use causes::{Cause, CloseReason, Timeout, TurnedAway};
pub use histogram::{Histogram, Spread};
pub use names::{NAMES_MAX, RateShare, RouteShare};
pub(crate) use names::{RouteTallies, Tallies};

/// A number that only grows: one writer, any readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. For the one writer alone: two writers would lose counts, because this is no
    /// read-modify-write but a load and a store.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Copies a count that is kept elsewhere. For the one writer alone.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that grows and shrinks: one writer, any readers.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// `n` more. For the one writer alone.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Relaxed);
    }

    /// `n` fewer; never below zero. For the one writer alone.
    #[inline]
    pub fn sub(&self, n: u64) {
        debug_assert!(self.get() >= n, "a gauge below zero: {} - {n}", self.get());
        self.0.store(self.get().saturating_sub(n), Relaxed);
    }

    /// Another value. For the one writer alone.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The value now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The greatest value since somebody took it: one writer raises, a reader takes.
///
/// A value that is raised in the same instant as it is taken may be lost or be seen twice: a peak is
/// there to be looked at, not to be added up.
#[derive(Debug, Default)]
pub struct Peak(AtomicU64);

impl Peak {
    /// Notes `n`, if it is greater than all before. For the one writer alone.
    #[inline]
    pub fn raise(&self, n: u64) {
        if n > self.get() {
            self.0.store(n, Relaxed);
        }
    }

    /// The greatest value so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The greatest value so far; begins anew.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Relaxed)
    }
}

/// One [`Counter`], [`Gauge`] or sum for each label of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<T, const N: usize>([T; N]);

impl<T: Default, const N: usize> Default for Row<T, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

impl<T, const N: usize> Deref for Row<T, N> {
    type Target = [T; N];

    #[inline]
    fn deref(&self) -> &[T; N] {
        &self.0
    }
}

impl<T, const N: usize> Index<usize> for Row<T, N> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.0[index]
    }
}

macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($label:literal $variant:ident = $doc:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $doc] $variant,)* }

        impl $name {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label in metrics and logs: never reused for another meaning.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// Its place in `ALL`.
            #[inline]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// What came of a handshake of TLS.
    Agreement {
        "full" Full = "Keys were agreed upon.";
        "resumed" Resumed = "Keys were agreed upon by what a former connection has left.";
        "failed" Failed = "One of the two told the other why not.";
    }
}

labels! {
    /// The stages of a request, where they are measured.
    Stage {
        "accept" Accept = "From the connection's slot to the bytes of its first head: waiting for the client, too.";
        "parse" Parse = "From bytes to a head.";
        "handle" Handle = "From the head to the answer: layers, the body of the request, the handler.";
        "respond" Respond = "From the answer to the kernel: what layers change in it, too.";
    }
}

/// What one worker counts. Only that worker writes; 128 bytes of alignment keep the neighbours of the
/// allocation (and the prefetcher's pair of cache lines) away from its stores.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Stats {
    /// Answers by status class: index is `status / 100 - 1`.
    pub requests_by_class: Row<Counter, 5>,
    /// Bytes that were received.
    pub bytes_received: Counter,
    /// Bytes that the kernel took.
    pub bytes_sent: Counter,
    /// Turns of the loop.
    pub turns: Counter,
    /// Turns that went on with work which an earlier turn had to leave.
    pub run_queue_turns: Counter,
    /// How long turns took, of those that were measured (one in sixteen, and all long ones): nothing else
    /// happens meanwhile.
    pub loop_lag: Histogram,
    /// How long the stages of requests took, by [`Stage::index`]; where they are measured.
    pub stages: Row<Histogram, { Stage::COUNT }>,
    /// The longest turn since the last scrape, in nanoseconds.
    pub loop_lag_nanos_max: Peak,
    /// Connections by phase.
    pub phases: Row<Gauge, { Phase::ALL.len() }>,
    /// Connections that were accepted.
    pub accepts: Counter,
    /// Times that accepting paused (no descriptor, no slot).
    pub accept_pauses: Counter,
    /// Accepts that were left to a quieter worker.
    pub accept_redirects: Counter,
    /// Connections that were closed at once: their client has as many as it may.
    pub address_refusals: Counter,
    /// Patiences that ended, by [`Timeout::index`].
    pub timeouts: Row<Counter, { Timeout::COUNT }>,
    /// Connections that ended, by [`CloseReason::index`].
    pub closes: Row<Counter, { CloseReason::COUNT }>,
    /// Handshakes of TLS, by [`Agreement::index`].
    pub handshakes: Row<Counter, { Agreement::COUNT }>,
    /// Fatal alerts that clients were told, by [`Alert::index`].
    pub alerts_sent: Row<Counter, { Alert::COUNT }>,
    /// Fatal alerts that clients told, by [`Alert::index`].
    pub alerts_received: Row<Counter, { Alert::COUNT }>,
    /// Answers that kolk made itself, by [`Reason::index`].
    pub refusals: Row<Counter, { Reason::ALL.len() }>,
    /// Answers whose exchange was over when they came.
    pub late_answers: Counter,
    /// Connections that speak HTTP/2.
    pub http2_connections: Counter,
    /// Exchanges that their clients gave up.
    pub streams_reset: Counter,
    /// Handlers that panicked.
    pub handler_panics: Counter,
    /// Times that the worker was begun anew, because its loop had failed.
    pub worker_restarts: Counter,
    /// 1 from such a failure until the worker serves again; for good, if it was given up.
    pub worker_down: Gauge,
    /// Bytes of request bodies that are kept for their handlers.
    pub body_bytes: Gauge,
    /// Connections that hold a carry buffer (an unread rest).
    pub carry_buffers: Gauge,
    /// Connections that hold a pending buffer (an unsent rest).
    pub pending_buffers: Gauge,
}

impl Stats {
    /// Counts an answer by the class of its status. Statuses outside 100..=599 do not exist.
    #[inline]
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        debug_assert!(class < 5, "status {status}");
        if let Some(counter) = self.requests_by_class.get(class) {
            counter.add(1);
        }
    }

    /// A connection went from one phase to another.
    #[inline]
    pub fn moved(&self, from: Phase, to: Phase) {
        if from != to {
            self.phases[from as usize].sub(1);
            self.phases[to as usize].add(1);
        }
    }

    /// A patience ended.
    #[inline]
    pub fn timed_out(&self, timeout: Timeout) {
        self.timeouts[timeout.index()].add(1);
    }

    /// A connection ended.
    #[inline]
    pub fn closed(&self, reason: CloseReason) {
        self.closes[reason.index()].add(1);
    }

    /// A handshake is over, if there was one.
    pub fn shook_hands(&self, handshake: Handshake) {
        let agreement = match handshake {
            Handshake::Full => Agreement::Full,
            Handshake::Resumed => Agreement::Resumed,
            Handshake::Begun | Handshake::None => return,
        };
        self.handshakes[agreement.index()].add(1);
    }

    /// A connection over TLS ends because of `error`, so far into its handshake.
    pub fn tls_failed(&self, error: &io::Error, handshake: Handshake) {
        if handshake == Handshake::Begun {
            self.handshakes[Agreement::Failed.index()].add(1);
        }
        if let Some(alarm) = error.get_ref().and_then(|inner| inner.downcast_ref::<Alarm>()) {
            let alerts = if alarm.is_received { &self.alerts_received } else { &self.alerts_sent };
            if let Some(alert) = alarm.alert {
                alerts[alert.index()].add(1);
            }
        }
    }

    /// kolk made an answer of its own.
    #[inline]
    pub fn refused(&self, reason: Reason) {
        self.refusals[reason.index()].add(1);
    }

    /// A turn that was measured took `nanos` nanoseconds.
    #[inline]
    pub fn lagged(&self, nanos: u64) {
        self.loop_lag.record(nanos);
        self.loop_lag_nanos_max.raise(nanos);
    }
}

/// The sums over workers at about one moment: plain numbers, named as in [`Stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Stats`, where each is explained")]
pub struct Snapshot {
    pub requests_by_class: Row<u64, 5>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub turns: u64,
    pub run_queue_turns: u64,
    /// Turns by duration: one count a bucket, not yet cumulated.
    pub loop_lag: Spread,
    pub stages: Row<Spread, { Stage::COUNT }>,
    /// The longest turn of any worker since the last scrape.
    pub loop_lag_max: Duration,
    pub phases: Row<u64, { Phase::ALL.len() }>,
    pub accepts: u64,
    pub accept_pauses: u64,
    pub accept_redirects: u64,
    pub address_refusals: u64,
    pub timeouts: Row<u64, { Timeout::COUNT }>,
    pub closes: Row<u64, { CloseReason::COUNT }>,
    pub handshakes: Row<u64, { Agreement::COUNT }>,
    pub alerts_sent: Row<u64, { Alert::COUNT }>,
    pub alerts_received: Row<u64, { Alert::COUNT }>,
    /// Certificates that could not be read again: counted for all workers together.
    pub certificate_reloads_failed: u64,
    /// How often another app took over, and how often that was refused: of the server as a whole.
    pub replacements: u64,
    pub replacements_refused: u64,
    /// Where the process takes orders to read its configuration again: whether the last one took effect, and
    /// since which second after 1970 what is served is.
    pub last_reload: Option<(bool, u64)>,
    pub refusals: Row<u64, { Reason::ALL.len() }>,
    pub late_answers: u64,
    pub http2_connections: u64,
    pub streams_reset: u64,
    pub handler_panics: u64,
    pub worker_restarts: u64,
    /// Workers that do not serve now.
    pub workers_down: u64,
    pub body_bytes: u64,
    pub carry_buffers: u64,
    pub pending_buffers: u64,
    /// What is worth knowing of each worker alone, in the order in which they were summed.
    pub workers: Vec<WorkerShare>,
    /// Routes that somebody has asked for, by site and pattern; none without an admin address.
    pub routes: Vec<RouteShare>,
    /// What became of requests at the rates that are layers, by name; none without an admin address.
    pub rates: Vec<RateShare>,
    /// What the access logs of new requests have lost, by name.
    pub logs: Vec<LogShare>,
}

/// One worker's part of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerShare {
    /// Connections that are open.
    pub connections: u64,
    /// Turns of its loop.
    pub turns: u64,
    /// Requests that it answered.
    pub requests: u64,
}

impl Snapshot {
    /// Sums over the workers, in their order.
    pub fn sum<'s>(workers: impl IntoIterator<Item = &'s Stats>) -> Self {
        let mut snapshot = Self::default();
        for stats in workers {
            snapshot.add(stats);
        }
        snapshot
    }

    /// The same; the longest turn begins anew.
    pub fn scrape<'s>(workers: impl IntoIterator<Item = &'s Stats> + Clone) -> Self {
        let snapshot = Self::sum(workers.clone());
        workers.into_iter().for_each(|stats| _ = stats.loop_lag_nanos_max.take());
        snapshot
    }

    /// Connections that are open.
    pub fn connections(&self) -> u64 {
        self.workers.iter().map(|worker| worker.connections).sum()
    }

    /// Requests that were answered.
    pub fn requests(&self) -> u64 {
        self.requests_by_class.iter().sum()
    }

    fn add(&mut self, stats: &Stats) {
        add_row(&mut self.requests_by_class, &stats.requests_by_class, Counter::get);
        self.loop_lag.add(&stats.loop_lag);
        self.stages.0.iter_mut().zip(&*stats.stages).for_each(|(sum, stage)| sum.add(stage));
        add_row(&mut self.phases, &stats.phases, Gauge::get);
        add_row(&mut self.timeouts, &stats.timeouts, Counter::get);
        add_row(&mut self.closes, &stats.closes, Counter::get);
        add_row(&mut self.handshakes, &stats.handshakes, Counter::get);
        add_row(&mut self.alerts_sent, &stats.alerts_sent, Counter::get);
        add_row(&mut self.alerts_received, &stats.alerts_received, Counter::get);
        add_row(&mut self.refusals, &stats.refusals, Counter::get);
        for (sum, counter) in [
            (&mut self.bytes_received, &stats.bytes_received),
            (&mut self.bytes_sent, &stats.bytes_sent),
            (&mut self.turns, &stats.turns),
            (&mut self.run_queue_turns, &stats.run_queue_turns),
            (&mut self.accepts, &stats.accepts),
            (&mut self.accept_pauses, &stats.accept_pauses),
            (&mut self.accept_redirects, &stats.accept_redirects),
            (&mut self.address_refusals, &stats.address_refusals),
            (&mut self.late_answers, &stats.late_answers),
            (&mut self.http2_connections, &stats.http2_connections),
            (&mut self.streams_reset, &stats.streams_reset),
            (&mut self.handler_panics, &stats.handler_panics),
            (&mut self.worker_restarts, &stats.worker_restarts),
        ] {
            *sum += counter.get();
        }
        self.workers_down += stats.worker_down.get();
        self.body_bytes += stats.body_bytes.get();
        self.carry_buffers += stats.carry_buffers.get();
        self.pending_buffers += stats.pending_buffers.get();
        self.loop_lag_max = self.loop_lag_max.max(Duration::from_nanos(stats.loop_lag_nanos_max.get()));
        self.workers.push(WorkerShare::of(stats));
    }
}

impl WorkerShare {
    fn of(stats: &Stats) -> Self {
        let open = Phase::ALL.iter().filter(|phase| **phase != Phase::Closed);
        Self {
            connections: open.map(|phase| stats.phases[*phase as usize].get()).sum(),
            turns: stats.turns.get(),
            requests: stats.requests_by_class.iter().map(Counter::get).sum(),
        }
    }
}

fn add_row<T, const N: usize>(sums: &mut Row<u64, N>, row: &Row<T, N>, get: impl Fn(&T) -> u64) {
    for (sum, part) in sums.0.iter_mut().zip(&row.0) {
        *sum += get(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_and_a_reader_that_never_sees_it_go_back() {
        let stats = Stats::default();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..100_000).for_each(|_| stats.accepts.add(1)));
            let mut before = 0;
            while before < 100_000 {
                let now = stats.accepts.get();
                assert!(now >= before);
                before = now;
            }
        });
        assert_eq!(stats.accepts.get(), 100_000);
    }

    #[test]
    fn a_peak_is_taken_once() {
        let peak = Peak::default();
        peak.raise(7);
        peak.raise(3);
        assert_eq!((peak.get(), peak.take(), peak.take()), (7, 7, 0));
    }

    #[test]
    fn a_snapshot_sums_over_workers_and_knows_each() {
        let workers = [Stats::default(), Stats::default()];
        for (stats, requests) in workers.iter().zip([3, 4]) {
            stats.phases[Phase::Idle as usize].add(2);
            stats.moved(Phase::Idle, Phase::Handling);
            stats.moved(Phase::Handling, Phase::Handling);
            (0..requests).for_each(|_| stats.answered(204));
            stats.answered(599);
            stats.turns.add(1);
            stats.lagged(requests * 1_000);
            stats.timed_out(Timeout::BodyRate);
            stats.refused(Reason::NotFound);
            stats.closed(CloseReason::Abandoned);
        }
        let sum = Snapshot::sum(&workers);
        assert_eq!(*sum.requests_by_class, [0, 7, 0, 0, 2]);
        assert_eq!((sum.connections(), sum.requests(), sum.turns), (4, 9, 2));
        assert_eq!(sum.phases[Phase::Handling as usize], 2);
        assert_eq!(sum.timeouts[Timeout::BodyRate.index()], 2);
        assert_eq!(sum.refusals[Reason::NotFound.index()], 2);
        assert_eq!(sum.closes[CloseReason::Abandoned.index()], 2);
        assert_eq!(sum.workers[1], WorkerShare { connections: 2, turns: 1, requests: 5 });
        assert_eq!(sum.loop_lag.sum, Duration::from_micros(7));
        assert_eq!(sum.loop_lag_max, Duration::from_micros(4));
    }

    #[test]
    fn workers_do_not_share_cache_lines() {
        assert_eq!(align_of::<Stats>(), 128);
    }
}
