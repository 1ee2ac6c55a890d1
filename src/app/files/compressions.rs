//! [`Compressions`]: what was compressed of one directory, and is being compressed: each file once.
//!
//! ```text
//!  lookup ─► Absent ──start──► Running ──► Done(bytes) | NotWorthIt ──► evicted, least recently used first
//!    │                            └─ no longer this version, unreadable, dropped: Absent again
//!    └ no request waits: until Done, the file is sent as it is
//!
//!  start ─► waiting (at most WAITING_MAX) ─► runner on the pool ─► read, compress, still this version? keep
//!                                            (at most half the CPUs)
//!
//!  no room: evict an eighth ─► nothing starts for a minute: files that do not all fit would be compressed
//!                              over and over, to be thrown away before anybody asks for them again
//! ```
//! Invariant: `cost` is the sum over all entries and at most `bytes_max` but for what is running; of a path
//! and a coding there is one entry, that of the version that was started last. Opens no file: [`Original`]
//! does. RFC 9110 §8.4.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::coding::Coding;
use super::compress::{Bounds, Effort, compress, is_worth_it};
use super::digests::Digest;
use crate::app::{BlockingPool, Job};
use crate::base::Tick;

/// How many files wait for a runner; more are not started.
const WAITING_MAX: usize = 64;
/// How many runners there are however many CPUs.
const RUNNERS_MAX: usize = 4;
/// How many entries there are, whatever they cost.
const ENTRIES_MAX: usize = 4096;
/// What an entry costs besides its path and its bytes, in bytes; about.
const ENTRY_BYTES: usize = 160;
/// A smaller bound counts as this one, in bytes: it would be all eviction.
const BYTES_MAX_MIN: usize = 1024 * 1024;
/// A result that takes more than this part of the bound is not kept.
const RESULT_PART_MAX: usize = 4;
/// An eviction frees this part of the bound, so that there are few.
const EVICTED_PART: usize = 8;
/// Nothing is started for so long after an eviction.
const REST: Duration = Duration::from_secs(60);

const _: () = assert!(RESULT_PART_MAX > 1 && EVICTED_PART > 1, "an eviction never takes the newest result");

/// A file as a thread of the pool finds it. It opens what it reads itself: threads of loops and of the pool
/// may have different descriptors.
pub(super) trait Original<V>: Send + 'static {
    /// The whole content, or any longer beginning if it is more than `bytes_max` bytes.
    fn read(&mut self, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// The version that the file has now; asked when its content is read and compressed.
    fn version(&mut self) -> io::Result<V>;
}

/// What there is of a file in a coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Done(Compressed),
    /// It is being compressed, or waits for that: send the file as it is.
    Running,
    /// It does not get smaller: send the file as it is.
    NotWorthIt,
    /// Nothing: send the file as it is, and [start](Compressions::start).
    Absent,
}

/// A compressed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compressed {
    pub(super) bytes: Bytes,
    /// Of these bytes: another compressor makes others of the same file.
    pub(super) digest: Digest,
}

/// The compressed files of one directory, for all workers. `V` is what tells versions of a file apart.
///
/// No request ever waits for a compressor: while one runs, everybody gets the file as it is. Nobody is slower
/// than without compression, a slow compressor holds no connections, and the next visitor has the variant.
pub(super) struct Compressions<V> {
    shared: Arc<Shared<V>>,
}

impl<V: Clone + Eq + Send + 'static> Compressions<V> {
    /// Keeps at most `bytes_max` bytes (at least 1 MiB) of files within `bounds`.
    pub(super) fn new(bytes_max: usize, bounds: Bounds) -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            shelf: Mutex::new(Shelf::new()),
            bytes_max: bytes_max.max(BYTES_MAX_MIN),
            runners_max: (cpus / 2).clamp(1, RUNNERS_MAX),
            bounds,
        };
        Self { shared: Arc::new(shared) }
    }

    /// What there is of this version of the file at `path`. One short lock; nothing is allocated.
    pub(super) fn lookup(&self, path: &str, version: &V, coding: Coding) -> Found {
        let mut shelf = self.shared.lock();
        let now = shelf.tick();
        match shelf.entries[coding as usize].get_mut(path) {
            Some(entry) if entry.version == *version => {
                entry.used = now;
                match &entry.state {
                    State::Running => Found::Running,
                    State::NotWorthIt => Found::NotWorthIt,
                    State::Done(compressed) => Found::Done(compressed.clone()),
                }
            }
            _ => Found::Absent,
        }
    }

    /// Compresses this version of the file on `pool`, unless it is known already, or there is no room for
    /// more work or for what comes of it; whether it was started. An entry of another version gives way.
    pub(super) fn start(
        &self,
        pool: &BlockingPool,
        path: &str,
        version: V,
        coding: Coding,
        original: impl Original<V>,
        now: Tick,
    ) -> bool {
        let mut shelf = self.shared.lock();
        let before = shelf.entries[coding as usize].get(path);
        let is_known = before.is_some_and(|entry| entry.version == version);
        if is_known || shelf.waiting.len() >= WAITING_MAX || shelf.rests(now) {
            return false;
        }
        // Jobs run and are dropped without the pool's lock, so it may be taken under ours.
        let seat = if shelf.runners < self.shared.runners_max { pool.reserve().ok() } else { None };
        if seat.is_none() && shelf.runners == 0 {
            return false;
        }
        let number = shelf.tick();
        let given_way = shelf.insert(
            path,
            coding,
            Entry { version: version.clone(), number, used: number, state: State::Running },
        );
        let shared = Arc::clone(&self.shared);
        let flight = Flight { shared, path: path.into(), version, coding, number, result: None };
        shelf.waiting.push_back(Box::new(move || flight.run(original)));
        shelf.runners += usize::from(seat.is_some());
        let evicted = shelf.evict(self.shared.bytes_max);
        drop(shelf);
        drop((given_way, evicted));
        if let Some(seat) = seat {
            let runner = Runner { shared: Arc::clone(&self.shared), is_done: false };
            seat.submit(Box::new(move || runner.run()));
        }
        true
    }
}

impl<V> fmt::Debug for Compressions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelf = self.shared.lock();
        f.debug_struct("Compressions")
            .field("entries", &shelf.count())
            .field("cost", &shelf.cost)
            .field("bytes_max", &self.shared.bytes_max)
            .field("waiting", &shelf.waiting.len())
            .finish_non_exhaustive()
    }
}

struct Shared<V> {
    shelf: Mutex<Shelf<V>>,
    bytes_max: usize,
    runners_max: usize,
    bounds: Bounds,
}

impl<V> Shared<V> {
    fn lock(&self) -> MutexGuard<'_, Shelf<V>> {
        // Nothing that is done under the lock leaves the shelf half changed.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shelf<V> {
    /// By coding and path.
    entries: [HashMap<Box<str>, Entry<V>>; 3],
    waiting: VecDeque<Job>,
    runners: usize,
    /// Of all entries, in bytes.
    cost: usize,
    /// Counts lookups and starts.
    moment: u64,
    /// Since a start was tried last.
    has_evicted: bool,
    rests_until: Tick,
}

struct Entry<V> {
    version: V,
    /// When it was started: no two entries are alike.
    number: u64,
    /// When it was asked for last.
    used: u64,
    state: State,
}

enum State {
    Running,
    Done(Compressed),
    NotWorthIt,
}

impl State {
    const fn bytes(&self) -> usize {
        match self {
            Self::Done(compressed) => compressed.bytes.len(),
            Self::Running | Self::NotWorthIt => 0,
        }
    }
}

impl<V> Shelf<V> {
    fn new() -> Self {
        let entries = [HashMap::new(), HashMap::new(), HashMap::new()];
        Self {
            entries,
            waiting: VecDeque::new(),
            runners: 0,
            cost: 0,
            moment: 0,
            has_evicted: false,
            rests_until: Tick::ZERO,
        }
    }

    const fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Whether there was no room just now.
    fn rests(&mut self, now: Tick) -> bool {
        if std::mem::take(&mut self.has_evicted) {
            self.rests_until = now.after(REST);
        }
        now < self.rests_until
    }

    fn count(&self) -> usize {
        self.entries.iter().map(HashMap::len).sum()
    }

    /// The entry that gave way.
    fn insert(&mut self, path: &str, coding: Coding, entry: Entry<V>) -> Option<Entry<V>> {
        self.cost += cost(path, &entry.state);
        let before = self.entries[coding as usize].insert(path.into(), entry);
        self.cost -= before.as_ref().map_or(0, |before| cost(path, &before.state));
        before
    }

    /// The flight `number` has ended; without a result nothing is remembered.
    fn land(&mut self, path: &str, coding: Coding, number: u64, result: Option<State>) {
        let now = self.tick();
        let entries = &mut self.entries[coding as usize];
        let Some(entry) = entries.get_mut(path).filter(|entry| entry.number == number) else { return };
        match result {
            Some(result) => {
                self.cost += result.bytes();
                entry.state = result;
                entry.used = now;
            }
            None => {
                self.cost -= cost(path, &entry.state);
                entries.remove(path);
            }
        }
    }

    /// Takes the least recently used entries out, if there is more than there may be. What is running stays.
    #[must_use = "dropped without the lock"]
    fn evict(&mut self, bytes_max: usize) -> Vec<Entry<V>> {
        let mut count = self.count();
        if self.cost <= bytes_max && count <= ENTRIES_MAX {
            return Vec::new();
        }
        self.has_evicted = true;
        let (bytes_kept, entries_kept) = (kept_of(bytes_max), kept_of(ENTRIES_MAX));
        let idle = self.entries.iter().flatten().filter(|(_, entry)| !matches!(entry.state, State::Running));
        let mut ages: Vec<(u64, usize)> =
            idle.map(|(path, entry)| (entry.used, cost(path, &entry.state))).collect();
        ages.sort_unstable();
        let mut last = 0;
        for (used, cost) in ages {
            if self.cost <= bytes_kept && count <= entries_kept {
                break;
            }
            (self.cost, count, last) = (self.cost - cost, count - 1, used);
        }
        let is_old = |entry: &Entry<V>| entry.used <= last && !matches!(entry.state, State::Running);
        let old = self.entries.iter_mut().flat_map(|entries| entries.extract_if(|_, entry| is_old(entry)));
        old.map(|(_, entry)| entry).collect()
    }
}

fn cost(path: &str, state: &State) -> usize {
    ENTRY_BYTES + path.len() + state.bytes()
}

const fn kept_of(max: usize) -> usize {
    max - max / EVICTED_PART
}

/// Compresses what waits, one after the other, on a thread of the pool.
struct Runner<V> {
    shared: Arc<Shared<V>>,
    is_done: bool,
}

impl<V> Runner<V> {
    fn run(mut self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&mut self) -> Option<Job> {
        let mut shelf = self.shared.lock();
        let job = shelf.waiting.pop_front();
        if job.is_none() {
            shelf.runners -= 1;
            self.is_done = true;
        }
        job
    }
}

impl<V> Drop for Runner<V> {
    /// Unless all was done: the pool is closed, or a job has panicked. What nobody would run is dropped, and
    /// so may be started again.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let orphans = {
            let mut shelf = self.shared.lock();
            shelf.runners -= 1;
            if shelf.runners == 0 { std::mem::take(&mut shelf.waiting) } else { VecDeque::new() }
        };
        // Not under the lock: each takes it to leave.
        drop(orphans);
    }
}

/// One compression, from its start until its entry says how it ended.
struct Flight<V> {
    shared: Arc<Shared<V>>,
    path: Box<str>,
    version: V,
    coding: Coding,
    number: u64,
    /// `None`: forget that it was started.
    result: Option<State>,
}

impl<V: Eq> Flight<V> {
    fn run(mut self, mut original: impl Original<V>) {
        // Unless it ends otherwise: a file that breaks a compressor would break it again at each request.
        self.result = Some(State::NotWorthIt);
        self.result = self.compress(&mut original).unwrap_or_else(|error| {
            // No more than this: the loops say so where it matters, they cannot send the file either.
            log::debug!("{} is not compressed: {error}", self.path);
            None
        });
    }

    /// `None`: the file has changed meanwhile.
    fn compress(&self, original: &mut impl Original<V>) -> io::Result<Option<State>> {
        let bytes = original.read(self.shared.bounds.compress_bytes_max)?;
        let state = if self.shared.bounds.admit(bytes.len() as u64) {
            let compressed = compress(self.coding, &bytes, Effort::for_length(bytes.len()))?;
            let fits = compressed.len() <= self.shared.bytes_max / RESULT_PART_MAX;
            if fits && is_worth_it(bytes.len(), compressed.len()) {
                // Boxed first: no more memory is kept than is counted.
                let digest = Digest::of(&compressed);
                State::Done(Compressed { bytes: Bytes::from(compressed.into_boxed_slice()), digest })
            } else {
                State::NotWorthIt
            }
        } else {
            State::NotWorthIt
        };
        Ok((original.version()? == self.version).then_some(state))
    }
}

impl<V> Drop for Flight<V> {
    fn drop(&mut self) {
        let result = self.result.take();
        let evicted = {
            let mut shelf = self.shared.lock();
            shelf.land(&self.path, self.coding, self.number, result);
            shelf.evict(self.shared.bytes_max)
        };
        drop(evicted);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{self, Receiver, Sender};

    use proptest::prelude::*;

    use super::*;

    use Coding::{Brotli, Gzip};

    /// A file whose content is read when the test says so.
    struct File {
        content: io::Result<Vec<u8>>,
        version: u32,
        go: Option<Receiver<()>>,
        reads: Arc<AtomicUsize>,
    }

    impl Original<u32> for File {
        fn read(&mut self, _: u64) -> io::Result<Vec<u8>> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if let Some(go) = &self.go {
                // An error is the signal.
                let _released = go.recv();
            }
            std::mem::replace(&mut self.content, Ok(Vec::new()))
        }

        fn version(&mut self) -> io::Result<u32> {
            Ok(self.version)
        }
    }

    fn file(content: Vec<u8>) -> File {
        File { content: Ok(content), version: 1, go: None, reads: Arc::default() }
    }

    fn held(content: Vec<u8>) -> (Sender<()>, File) {
        let (release, go) = mpsc::channel();
        (release, File { go: Some(go), ..file(content) })
    }

    fn text(length: usize) -> Vec<u8> {
        b"all work and no play ".iter().copied().cycle().take(length).collect()
    }

    /// Bytes that do not shrink.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(length)
        .collect()
    }

    fn compressions() -> Compressions<u32> {
        Compressions::new(BYTES_MAX_MIN, Bounds::default())
    }

    /// Waits until nothing is running, and every entry says how it ended.
    fn settle(compressions: &Compressions<u32>) {
        // What a runner leaves behind is forgotten after the runner.
        let is_busy = |shelf: &Shelf<u32>| {
            let mut entries = shelf.entries.iter().flatten();
            shelf.runners > 0 || entries.any(|(_, entry)| matches!(entry.state, State::Running))
        };
        while is_busy(&compressions.shared.lock()) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_file_is_compressed_once_and_sent_as_it_is_meanwhile() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let (release, file) = held(text(4096));
        assert_eq!(compressions.lookup("a.txt", &1, Gzip), Found::Absent);
        assert!(compressions.start(&pool, "a.txt", 1, Gzip, file, Tick::ZERO));
        assert_eq!(compressions.lookup("a.txt", &1, Gzip), Found::Running);
        assert!(!compressions.start(&pool, "a.txt", 1, Gzip, self::file(text(4096)), Tick::ZERO));
        assert_eq!(compressions.lookup("a.txt", &1, Brotli), Found::Absent);
        assert_eq!(compressions.lookup("a.txt", &2, Gzip), Found::Absent);
        drop(release);
        settle(&compressions);

        let Found::Done(done) = compressions.lookup("a.txt", &1, Gzip) else { panic!("not done") };
        assert_eq!(done.bytes, compress(Gzip, &text(4096), Effort::Highest).unwrap());
        assert_eq!(done.digest, Digest::of(&done.bytes));
        assert!(!compressions.start(&pool, "a.txt", 1, Gzip, self::file(text(4096)), Tick::ZERO));
        assert_eq!(compressions.lookup("a.txt", &2, Gzip), Found::Absent);
    }

    #[test]
    fn many_threads_start_one_compression() {
        const THREADS: usize = 8;
        let (pool, compressions, reads) = (BlockingPool::new(4, 64), compressions(), Arc::default());
        let (together, started) = (Barrier::new(THREADS), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    together.wait();
                    for name in 0..20 {
                        let file = File { reads: Arc::clone(&reads), ..file(text(2000)) };
                        let is_started =
                            compressions.start(&pool, &format!("{name}.txt"), 1, Brotli, file, Tick::ZERO);
                        started.fetch_add(is_started.into(), Ordering::Relaxed);
                    }
                });
            }
        });
        settle(&compressions);
        assert_eq!((started.into_inner(), reads.load(Ordering::Relaxed)), (20, 20));
        for name in 0..20 {
            assert!(matches!(compressions.lookup(&format!("{name}.txt"), &1, Brotli), Found::Done(_)));
        }
    }

    #[test]
    fn what_does_not_shrink_is_remembered() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        for (path, content) in [("noise", noise(4096, 7)), ("short", text(100)), ("long", text(5 << 20))] {
            assert!(compressions.start(&pool, path, 1, Gzip, file(content), Tick::ZERO));
            settle(&compressions);
            assert_eq!(compressions.lookup(path, &1, Gzip), Found::NotWorthIt, "{path}");
        }
    }

    #[test]
    fn a_result_that_would_fill_the_shelf_is_not_kept() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let mut content = noise(BYTES_MAX_MIN / 3, 7);
        content.extend(text(BYTES_MAX_MIN));
        assert!(compressions.start(&pool, "a", 1, Gzip, file(content), Tick::ZERO));
        settle(&compressions);
        assert_eq!(compressions.lookup("a", &1, Gzip), Found::NotWorthIt);
    }

    #[test]
    fn what_has_changed_or_cannot_be_read_is_not_kept() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let gone = File { content: Err(io::ErrorKind::NotFound.into()), ..file(text(0)) };
        let changed = File { version: 2, ..file(text(4096)) };
        for file in [gone, changed] {
            assert!(compressions.start(&pool, "a", 1, Gzip, file, Tick::ZERO));
            settle(&compressions);
            assert_eq!(compressions.lookup("a", &1, Gzip), Found::Absent);
        }
        let shelf = compressions.shared.lock();
        assert_eq!((shelf.count(), shelf.cost), (0, 0));
    }

    #[test]
    fn a_new_version_takes_the_place_of_the_old_one() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let (release, old) = held(text(4096));
        assert!(compressions.start(&pool, "a", 1, Gzip, old, Tick::ZERO));
        let new = File { version: 2, ..file(text(8192)) };
        assert!(compressions.start(&pool, "a", 2, Gzip, new, Tick::ZERO));
        drop(release);
        settle(&compressions);
        assert_eq!(compressions.lookup("a", &1, Gzip), Found::Absent);
        let Found::Done(done) = compressions.lookup("a", &2, Gzip) else { panic!("not done") };
        assert_eq!(compressions.shared.lock().cost, ENTRY_BYTES + 1 + done.bytes.len());
    }

    #[test]
    fn a_full_pool_and_a_full_queue_start_nothing() {
        let (pool, compressions) = (BlockingPool::new(1, 0), compressions());
        let seat = pool.reserve().unwrap();
        assert!(!compressions.start(&pool, "a", 1, Gzip, file(text(4096)), Tick::ZERO));
        assert_eq!(compressions.lookup("a", &1, Gzip), Found::Absent);
        drop(seat);

        let (release, first) = held(text(4096));
        let reads = Arc::clone(&first.reads);
        assert!(compressions.start(&pool, "a", 1, Gzip, first, Tick::ZERO));
        while reads.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        // The pool is full, but there is a runner.
        for number in 0..WAITING_MAX {
            assert!(compressions.start(&pool, &number.to_string(), 1, Gzip, file(text(2000)), Tick::ZERO));
        }
        assert!(!compressions.start(&pool, "one more", 1, Gzip, file(text(2000)), Tick::ZERO));
        drop(release);
        settle(&compressions);
        assert_eq!(compressions.shared.lock().count(), WAITING_MAX + 1);
    }

    #[test]
    fn jobs_that_a_closed_pool_drops_may_be_started_again() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let (release, wait) = mpsc::channel::<()>();
        let (running, runs) = mpsc::channel();
        pool.submit(Box::new(move || {
            running.send(()).unwrap();
            let _released = wait.recv();
        }))
        .unwrap();
        runs.recv().unwrap();
        assert!(compressions.start(&pool, "a", 1, Gzip, file(text(4096)), Tick::ZERO));
        assert!(compressions.start(&pool, "b", 1, Gzip, file(text(4096)), Tick::ZERO));
        let end = thread::spawn(move || drop(pool));
        settle(&compressions);
        drop(release);
        end.join().unwrap();
        assert_eq!(compressions.shared.lock().count(), 0);

        let pool = BlockingPool::new(1, 8);
        assert!(compressions.start(&pool, "a", 1, Gzip, file(text(4096)), Tick::ZERO));
        settle(&compressions);
        assert!(matches!(compressions.lookup("a", &1, Gzip), Found::Done(_)));
    }

    #[test]
    fn a_file_that_breaks_the_compressor_is_not_tried_again() {
        struct Breaks;

        impl Original<u32> for Breaks {
            fn read(&mut self, _: u64) -> io::Result<Vec<u8>> {
                panic!("on purpose")
            }

            fn version(&mut self) -> io::Result<u32> {
                Ok(1)
            }
        }

        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let (release, first) = held(text(4096));
        assert!(compressions.start(&pool, "first", 1, Gzip, first, Tick::ZERO));
        assert!(compressions.start(&pool, "a", 1, Gzip, Breaks, Tick::ZERO));
        assert!(compressions.start(&pool, "b", 1, Gzip, file(text(4096)), Tick::ZERO));
        drop(release);
        settle(&compressions);
        assert_eq!(compressions.lookup("a", &1, Gzip), Found::NotWorthIt);
        assert_eq!(compressions.lookup("b", &1, Gzip), Found::Absent, "waited behind it: may be tried again");
        while !compressions.start(&pool, "b", 1, Gzip, file(text(4096)), Tick::ZERO) {
            thread::yield_now();
        }
        settle(&compressions);
        assert!(matches!(compressions.lookup("b", &1, Gzip), Found::Done(_)));
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (pool, compressions) = (BlockingPool::new(1, 8), compressions());
        let add = |name: usize, now: Tick| {
            // Half noise: 100 KiB each, of which there is room for ten.
            let mut content = noise(100 * 1024, name as u64);
            content.extend(text(20 * 1024));
            let is_started = compressions.start(&pool, &name.to_string(), 1, Gzip, file(content), now);
            settle(&compressions);
            is_started
        };
        let is_there = |name: usize| compressions.lookup(&name.to_string(), &1, Gzip) != Found::Absent;
        assert!((0..10).all(|name| add(name, Tick::ZERO)));
        assert!(is_there(0), "and is used by this");
        assert!(add(10, Tick::ZERO));
        let there: Vec<usize> = (0..11).filter(|name| is_there(*name)).collect();
        assert_eq!(there, [0, 4, 5, 6, 7, 8, 9, 10], "an eighth is freed");
        assert!(!add(1, Tick::ZERO), "it would go round and round");
        assert!(!add(1, Tick::from_millis(59_999)));
        assert!(add(1, Tick::from_millis(60_000)));
    }

    #[test]
    fn entries_are_bounded_whatever_they_cost() {
        let mut shelf = Shelf::<u32>::new();
        for number in 0..2 * ENTRIES_MAX {
            let number = number as u64 + 1;
            let entry = Entry { version: 1, number, used: number, state: State::NotWorthIt };
            shelf.insert(&number.to_string(), Gzip, entry);
            drop(shelf.evict(usize::MAX));
            assert!(shelf.count() <= ENTRIES_MAX);
        }
        assert!(shelf.entries[Gzip as usize].contains_key(&*(2 * ENTRIES_MAX).to_string()));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Start { path: u8, version: u32 },
        Land { flight: usize, bytes: Option<usize> },
        Use { path: u8 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..40_u8, 1..3_u32).prop_map(|(path, version)| Step::Start { path, version }),
            (0..8_usize, prop::option::of(0..3000_usize))
                .prop_map(|(flight, bytes)| Step::Land { flight, bytes }),
            (0..40_u8).prop_map(|path| Step::Use { path }),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_nothing_is_counted_twice(steps in steps()) {
            const MAX: usize = 16 * 1024;
            let (mut shelf, mut flights) = (Shelf::<u32>::new(), Vec::new());
            for step in steps {
                let now = shelf.tick();
                match step {
                    Step::Start { path, version } => {
                        let entry = Entry { version, number: now, used: now, state: State::Running };
                        shelf.insert(&path.to_string(), Gzip, entry);
                        flights.push((path, now));
                    }
                    Step::Land { flight, bytes } if flight < flights.len() => {
                        let (path, number) = flights.remove(flight);
                        let result = bytes.map(|bytes| State::Done(Compressed {
                            bytes: Bytes::from(vec![0; bytes]),
                            digest: Digest::of(b""),
                        }));
                        shelf.land(&path.to_string(), Gzip, number, result);
                    }
                    Step::Land { .. } => {}
                    Step::Use { path } => {
                        if let Some(entry) = shelf.entries[Gzip as usize].get_mut(&*path.to_string()) {
                            entry.used = now;
                        }
                    }
                }
                drop(shelf.evict(MAX));
                let all = || shelf.entries.iter().flatten();
                let sum = all().map(|(path, entry)| cost(path, &entry.state)).sum::<usize>();
                prop_assert_eq!(shelf.cost, sum);
                let running = all().filter(|(_, entry)| matches!(entry.state, State::Running)).count();
                let idle = shelf.cost - running * ENTRY_BYTES;
                prop_assert!(idle <= MAX, "{} bytes", shelf.cost);
            }
        }
    }
}
