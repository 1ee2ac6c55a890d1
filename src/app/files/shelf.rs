//! [`Cache`]: what each worker keeps of the files that are asked for often.
//!
//! ```text
//!  path ─► entry ─ fresh: looked at within the last second ────────────► answer, no system call
//!            └──── stale: open it again, the same stamp? ─► fresh again
//! ```
//! One [`Shelf`] a thread, so that nobody waits for a lock and descriptors stay in the table that they were
//! opened in (a worker may have one of its own); one budget of bytes for all of them. Who asks for the
//! paths does not matter: only files that are there take a place, and what is not there has a small list.
//! Eviction is a clock: whoever was not asked for since the hand last came by goes. Knows no files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::tree::Stamp;
use crate::app::words::Key;
use crate::base::Tick;

/// How long an entry is believed.
pub(super) const FRESH_FOR: Duration = Duration::from_secs(1);
/// What an entry costs beside its value and its path, in bytes: two allocations, and its place in a table
/// that doubles when it is full.
const PLACE_BYTES: usize = 112;
/// The list of entries grows by this part of it.
const GROWN_PART: usize = 4;
/// So many paths with nothing behind them are remembered, and so many bytes of them.
const MISSING_MAX: usize = 512;
const MISSING_BYTES_MAX: usize = 64 * 1024;

/// The shelves of all threads for one folder.
#[derive(Debug)]
pub(super) struct Cache {
    number: u64,
    budget: Arc<Budget>,
}

/// The bytes that all shelves of a cache may take.
#[derive(Debug)]
struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// The cache is gone: nobody asks for what is on its shelves.
    is_idle: AtomicBool,
}

/// What one thread keeps for one folder.
#[derive(Debug)]
pub(super) struct Shelf<V> {
    number: u64,
    budget: Arc<Budget>,
    places: HashMap<Box<[u8]>, usize, Key>,
    entries: Vec<Entry<V>>,
    hand: usize,
    /// Paths that found nothing, and when.
    missing: HashMap<Box<[u8]>, Tick, Key>,
    missing_bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    path: Box<[u8]>,
    value: V,
    stamp: Stamp,
    bytes: usize,
    checked_at: Tick,
    /// Asked for since the hand came by.
    was_used: bool,
}

/// What a shelf says about a path.
#[derive(Debug)]
pub(super) enum Look<'s, V> {
    /// It was looked at just now.
    Fresh(&'s mut V),
    /// It was this file: is it still?
    Stale(Stamp),
    /// There was nothing just now.
    Missing,
    /// Nothing is known.
    Unknown,
}

impl Cache {
    /// A cache for `bytes_max` bytes, all threads together.
    pub(super) fn new(bytes_max: usize) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let budget =
            Arc::new(Budget { bytes: AtomicUsize::new(0), bytes_max, is_idle: AtomicBool::new(false) });
        Self { number: NUMBERS.fetch_add(1, Relaxed), budget }
    }

    /// How many bytes are kept, and how many may be.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.budget.bytes.load(Relaxed), self.budget.bytes_max)
    }

    /// Lends this thread's shelf, which is one of `shelves`.
    #[inline]
    pub(super) fn with<V, T>(
        &self,
        shelves: &RefCell<Vec<Shelf<V>>>,
        act: impl FnOnce(&mut Shelf<V>) -> T,
    ) -> T {
        let mut shelves = shelves.borrow_mut();
        if let Some(shelf) = shelves.iter_mut().find(|shelf| shelf.number == self.number) {
            return act(shelf);
        }
        // Those of folders that nobody serves any more.
        shelves.retain(|shelf| !shelf.budget.is_idle.load(Relaxed));
        shelves.push(Shelf {
            number: self.number,
            budget: Arc::clone(&self.budget),
            places: HashMap::with_hasher(Key::random()),
            entries: Vec::new(),
            hand: 0,
            missing: HashMap::with_hasher(Key::random()),
            missing_bytes: 0,
        });
        let last = shelves.len() - 1;
        act(&mut shelves[last])
    }
}

impl Drop for Cache {
    /// Each thread clears its own shelf away, when it sets up another.
    fn drop(&mut self) {
        self.budget.is_idle.store(true, Relaxed);
    }
}

impl<V> Shelf<V> {
    /// What is known of `path`.
    #[inline]
    pub(super) fn look(&mut self, path: &[u8], now: Tick) -> Look<'_, V> {
        if let Some(&place) = self.places.get(path) {
            let entry = &mut self.entries[place];
            if now.since(entry.checked_at) >= FRESH_FOR {
                return Look::Stale(entry.stamp);
            }
            entry.was_used = true;
            return Look::Fresh(&mut entry.value);
        }
        match self.missing.get(path) {
            Some(&since) if now.since(since) < FRESH_FOR => Look::Missing,
            _ => Look::Unknown,
        }
    }

    /// The file of `path` is still the same: its value, which is fresh again.
    pub(super) fn refresh(&mut self, path: &[u8], now: Tick) -> Option<&mut V> {
        let entry = &mut self.entries[*self.places.get(path)?];
        entry.checked_at = now;
        entry.was_used = true;
        Some(&mut entry.value)
    }

    /// Keeps `value`, which takes so many bytes beside its own size, if there is or can be room for it.
    pub(super) fn keep(&mut self, path: &[u8], value: V, stamp: Stamp, bytes: usize, now: Tick) {
        self.forget(path);
        if self.missing.remove(path).is_some() {
            self.missing_bytes -= path.len();
        }
        let bytes = bytes + Self::entry_bytes(path);
        // A single file that takes an eighth of everything would drive out too many others.
        if bytes > self.budget.bytes_max / 8 || !self.make_room(bytes) {
            return;
        }
        self.budget.bytes.fetch_add(bytes, Relaxed);
        self.places.insert(path.into(), self.entries.len());
        let path = path.into();
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len() / GROWN_PART + 4);
        }
        self.entries.push(Entry { path, value, stamp, bytes, checked_at: now, was_used: false });
    }

    /// So many more bytes are kept for `path` than before; it is forgotten if there is no room for them.
    #[inline]
    pub(super) fn grow(&mut self, path: &[u8], bytes: usize) {
        if bytes == 0 {
            return;
        }
        if !self.make_room(bytes) {
            self.forget(path);
        } else if let Some(&place) = self.places.get(path) {
            self.entries[place].bytes += bytes;
            self.budget.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// Nothing is at `path`.
    pub(super) fn note_missing(&mut self, path: &[u8], now: Tick) {
        self.forget(path);
        if self.budget.bytes_max == 0 {
            return;
        }
        if self.missing.len() >= MISSING_MAX || self.missing_bytes + path.len() > MISSING_BYTES_MAX {
            self.missing.clear();
            self.missing_bytes = 0;
        }
        if self.missing.insert(path.into(), now).is_none() {
            self.missing_bytes += path.len();
        }
    }

    /// Forgets what was kept for `path`.
    pub(super) fn forget(&mut self, path: &[u8]) {
        if let Some(&place) = self.places.get(path) {
            self.remove(place);
        }
    }

    /// What an entry costs beside what its value says.
    const fn entry_bytes(path: &[u8]) -> usize {
        size_of::<Entry<V>>() + size_of::<Entry<V>>() / GROWN_PART + PLACE_BYTES + 2 * path.len()
    }

    /// Lets entries go until there is room; whether there is.
    fn make_room(&mut self, bytes: usize) -> bool {
        let mut looks = 2 * self.entries.len();
        while self.budget.bytes.load(Relaxed) + bytes > self.budget.bytes_max {
            if looks == 0 || self.entries.is_empty() {
                return false;
            }
            looks -= 1;
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            if std::mem::take(&mut self.entries[self.hand].was_used) {
                self.hand += 1;
            } else {
                self.remove(self.hand);
            }
        }
        true
    }

    fn remove(&mut self, place: usize) {
        let entry = self.entries.swap_remove(place);
        self.budget.bytes.fetch_sub(entry.bytes, Relaxed);
        self.places.remove(&entry.path);
        if let Some(moved) = self.entries.get(place)
            && let Some(known) = self.places.get_mut(&moved.path)
        {
            *known = place;
        }
    }
}

impl<V> Drop for Shelf<V> {
    fn drop(&mut self) {
        let bytes = self.entries.iter().map(|entry| entry.bytes).sum();
        self.budget.bytes.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp::of(&std::fs::metadata("/").unwrap())
    }

    fn seconds(seconds: u64) -> Tick {
        Tick::from_millis(seconds * 1000)
    }

    #[test]
    fn an_entry_is_believed_for_a_second() {
        let (cache, shelves) = (Cache::new(100_000), RefCell::default());
        cache.with(&shelves, |shelf| {
            assert!(matches!(shelf.look(b"a", seconds(1)), Look::Unknown));
            shelf.keep(b"a", 7, stamp(), 100, seconds(1));
            assert!(matches!(shelf.look(b"a", Tick::from_millis(1_999)), Look::Fresh(7)));
            assert!(matches!(shelf.look(b"a", seconds(2)), Look::Stale(old) if old == stamp()));
            assert_eq!(shelf.refresh(b"a", seconds(2)), Some(&mut 7));
            assert!(matches!(shelf.look(b"a", seconds(2)), Look::Fresh(7)));
            shelf.note_missing(b"a", seconds(2));
            assert!(matches!(shelf.look(b"a", seconds(2)), Look::Missing));
            assert!(matches!(shelf.look(b"a", seconds(3)), Look::Unknown));
        });
    }

    #[test]
    fn no_thread_keeps_the_shelf_of_a_cache_that_is_gone() {
        let threads = [RefCell::default(), RefCell::default()];
        for _ in 0..3 {
            let cache = Cache::new(100_000);
            for shelves in &threads {
                cache.with(shelves, |shelf| shelf.keep(b"a", 7, stamp(), 100, seconds(1)));
                assert_eq!(shelves.borrow().len(), 1);
            }
        }
    }

    #[test]
    fn the_budget_holds_for_all_threads_and_whoever_is_used_stays() {
        let (cache, shelves) = (Cache::new(20 * 1024), RefCell::default());
        let name = |number: usize| format!("{number:04}");
        cache.with(&shelves, |shelf| {
            shelf.keep(b"used", 0, stamp(), 700, seconds(0));
            for number in 0..1_000 {
                assert!(matches!(shelf.look(b"used", seconds(0)), Look::Fresh(0)), "after {number}");
                shelf.keep(name(number).as_bytes(), number, stamp(), 700, seconds(0));
                let (bytes, bytes_max) = cache.bytes();
                assert!(bytes <= bytes_max && bytes > 0, "{bytes}");
            }
            assert!(matches!(shelf.look(name(999).as_bytes(), seconds(0)), Look::Fresh(999)));
            assert!(matches!(shelf.look(name(0).as_bytes(), seconds(0)), Look::Unknown));
            shelf.keep(b"large", 0, stamp(), 10_000, seconds(0));
            assert!(matches!(shelf.look(b"large", seconds(0)), Look::Unknown));
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let shelves = RefCell::default();
                cache.with(&shelves, |shelf: &mut Shelf<usize>| {
                    shelf.keep(b"elsewhere", 0, stamp(), 700, seconds(0));
                    assert!(matches!(shelf.look(b"elsewhere", seconds(0)), Look::Unknown), "it is full");
                });
            });
        });
        drop(shelves);
        assert_eq!(cache.bytes().0, 0);
    }

    #[test]
    fn what_grows_where_there_is_no_room_is_forgotten() {
        let (cache, shelves) = (Cache::new(20 * 1024), RefCell::default());
        cache.with(&shelves, |shelf| {
            shelf.keep(b"a", 0, stamp(), 700, seconds(0));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let others = RefCell::default();
                    cache.with(&others, |other| {
                        for number in 0..100_u8 {
                            other.keep(&[number], 0, stamp(), 700, seconds(0));
                        }
                        let before = cache.bytes().0;
                        shelf.grow(b"a", 10);
                        assert_eq!(cache.bytes().0, before + 10);
                        shelf.grow(b"a", 2_000);
                        assert!(cache.bytes().0 < before, "it is gone");
                    });
                });
            });
            assert!(matches!(shelf.look(b"a", seconds(0)), Look::Unknown));
        });
    }

    #[test]
    fn what_is_not_there_takes_little() {
        let (cache, shelves) = (Cache::new(100_000), RefCell::default());
        cache.with(&shelves, |shelf: &mut Shelf<()>| {
            for number in 0..100_000 {
                shelf.note_missing(number.to_string().as_bytes(), seconds(0));
                assert!(shelf.missing.len() <= MISSING_MAX);
            }
            assert_eq!(shelf.entries.len(), 0);
        });
    }

    #[test]
    fn places_stay_right_when_others_leave() {
        let (cache, shelves) = (Cache::new(1 << 20), RefCell::default());
        cache.with(&shelves, |shelf| {
            for number in 0..100 {
                shelf.keep(number.to_string().as_bytes(), number, stamp(), 10, seconds(0));
            }
            for number in (0..100).step_by(3) {
                shelf.forget(number.to_string().as_bytes());
            }
            for number in 0..100 {
                match shelf.look(number.to_string().as_bytes(), seconds(0)) {
                    Look::Fresh(value) => assert!(*value == number && number % 3 != 0),
                    look => assert!(matches!(look, Look::Unknown) && number % 3 == 0),
                }
            }
        });
    }
}
