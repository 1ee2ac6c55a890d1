//! [`Rates`]: the budgets of all keys, for all workers of the process.
//!
//! ```text
//!  hash ─┬─ upper bits ─► shard: a lock and a small open-addressing table of (key, tat), 16 bytes each
//!        └─ lower bits ─► slot, then the next, until the key or an empty one
//! ```
//! **Exact.** A key is looked at and changed under the lock of its shard, and a shard's clock never runs
//! backwards: N threads have one budget, to the request. A lock is held for some 20 ns, by one in 1,024.
//!
//! **Forgetting.** A key whose budget is whole again is as good as one that was never seen. Its slot is taken
//! by whoever comes along; a table that gets crowded is made anew, without what is forgotten and of the size
//! that the rest needs. That is all the tidying up there is: at most the slots of one shard, after as many
//! insertions.
//!
//! **Full.** With every slot in use, a new key takes the place of that of its eight neighbours whose budget
//! is whole the soonest, and this is counted. Nobody is let through unseen, nobody is locked out, and whoever
//! sends keys by the million pushes out keys like its own before it reaches one that has used up its budget.
//!
//! Knows nothing of requests and of clocks.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rate::{Decision, Rate, moment};
use crate::app::words::Key as Secret;
use crate::base::Tick;

/// The upper ten bits of a hash choose one.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 10;
/// The fewest slots of a shard that has any.
const SLOTS_MIN: usize = 16;
/// So many slots of each shard at most, unless the program says otherwise: 32 MiB in all.
const SLOTS_MAX: usize = 2_048;
/// So many neighbours are looked at for the one who gives way.
const NEIGHBOURS: usize = 8;
/// A shard that stayed crowded is not made anew for so long.
const CROWDED: Duration = Duration::from_millis(100);

/// The budgets of all keys.
///
/// ```
/// use kolk::app::{Decision, Quota, Rate, Rates};
/// use kolk::base::Tick;
///
/// let rates = Rates::new();
/// let rate = Rate::new(Quota::per_second(10)?, 2)?;
/// let (ada, now) = (rates.hash(b"ada"), Tick::from_millis(1));
/// assert!(matches!(rates.check(0, &rate, ada, now), Decision::Admitted { remaining: 1, .. }));
/// assert!(matches!(rates.check(0, &rate, ada, now), Decision::Admitted { remaining: 0, .. }));
/// assert!(matches!(rates.check(0, &rate, ada, now), Decision::Refused { .. }));
/// assert!(matches!(rates.check(0, &rate, rates.hash(b"eve"), now), Decision::Admitted { .. }));
/// # Ok::<(), kolk::app::RateError>(())
/// ```
pub struct Rates {
    secret: Secret,
    shards: Box<[Shard]>,
    shard_slots_max: usize,
}

/// What [`Rates::hash`] makes of a key: nobody outside can tell which keys have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(u64);

/// Where the budget of a key is for one rate.
#[derive(Clone, Copy)]
pub(super) struct Place<'r> {
    shard: &'r Shard,
    key: u64,
    slots_max: usize,
}

/// The shard of a [`Place`], which nobody else looks at meanwhile.
pub(super) struct Held<'r>(MutexGuard<'r, Table>);

/// Alone on its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Table>);

#[derive(Default)]
struct Table {
    slots: Box<[Slot]>,
    /// Slots that are not empty; forgotten keys count.
    used: usize,
    /// The latest moment that was seen.
    now: u64,
    /// Until then it is known that nothing is gained by making it anew.
    crowded_until: u64,
    evictions: u64,
}

/// Empty if `tat` is zero; forgotten if it is past.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    tat: u64,
}

const _: () = assert!(size_of::<Slot>() == 16 && size_of::<Shard>() == 64);
const _: () = assert!(SLOTS_MIN.is_power_of_two() && SLOTS_MAX.is_power_of_two() && SLOTS_MIN > NEIGHBOURS);

impl Rates {
    /// Room for a million and a half keys at a time. What nobody uses takes no memory.
    pub fn new() -> Self {
        Self::with_slots(SLOTS_MAX)
    }

    /// Room for at least `keys_max` keys at a time; a table that has few shrinks again.
    pub fn with_keys_max(keys_max: usize) -> Self {
        // Chance is not fair: some shards get a quarter more than others, and none is filled to the brim.
        let slots = (keys_max / SHARDS).saturating_mul(2).clamp(SLOTS_MIN, 1 << 20);
        Self::with_slots(slots.next_power_of_two())
    }

    /// The hash of a key: bytes that a client may choose.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.secret.hash(0, key))
    }

    /// The hash of a key that has two parts, each with its length.
    pub(super) fn hash_of_two(&self, first: &[u8], second: &[u8]) -> KeyHash {
        KeyHash(self.secret.hash(self.secret.hash(0, first), second))
    }

    /// The number of a rate of this name: the same for all of the name.
    pub fn number_of(&self, name: &str) -> u32 {
        let hash = self.secret.hash(u64::MAX, name.as_bytes());
        u32::try_from(hash >> 32).unwrap_or_default()
    }

    /// What a request gets at `now` that is paid from the budget of `key` for the rate of this `number`.
    ///
    /// A rate may change while its number stays: what is due stays due.
    #[inline]
    pub fn check(&self, number: u32, rate: &Rate, key: KeyHash, now: Tick) -> Decision {
        let key = self.secret.hash(u64::from(number), &key.0.to_le_bytes()).max(1);
        let mut table = self.shards[shard_of(key)].lock();
        table.now = table.now.max(moment(now));
        let now = table.now;
        let slot = table.slot_of(key, self.shard_slots_max);
        rate.decide(&mut table.slots[slot].tat, now)
    }

    /// Where the budget of `key` is for the rate of this `number`.
    pub(super) fn place(&self, number: u32, key: KeyHash) -> Place<'_> {
        let key = self.secret.hash(u64::from(number), &key.0.to_le_bytes()).max(1);
        Place { shard: &self.shards[shard_of(key)], key, slots_max: self.shard_slots_max }
    }

    /// What is left at `now` of the budget of `key` for the rate of this `number`: how many more requests
    /// would be taken at once, and how long it is until all of it is there again. Takes nothing.
    pub fn left(&self, number: u32, rate: &Rate, key: KeyHash, now: Tick) -> (u32, Duration) {
        let key = self.secret.hash(u64::from(number), &key.0.to_le_bytes()).max(1);
        let table = self.shards[shard_of(key)].lock();
        let tat = table.find(key).map_or(0, |slot| table.slots[slot].tat);
        rate.left(tat, table.now.max(moment(now)))
    }

    /// How many keys have something due at `now`. Looks at all: for whoever watches, not for a request.
    pub fn keys(&self, now: Tick) -> usize {
        let now = moment(now);
        let live = |table: MutexGuard<'_, Table>| table.slots.iter().filter(|slot| slot.tat > now).count();
        self.shards.iter().map(|shard| live(shard.lock())).sum()
    }

    /// How many keys had to give way to another before their time.
    pub fn evictions(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().evictions).sum()
    }

    /// The memory that it holds now, in bytes.
    pub fn bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.lock().slots.len()).sum();
        size_of_val(&*self.shards) + slots * size_of::<Slot>()
    }

    fn with_slots(shard_slots_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { secret: Secret::random(), shards, shard_slots_max }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("shard_slots_max", &self.shard_slots_max).finish_non_exhaustive()
    }
}

impl<'r> Place<'r> {
    /// Who wants several shards takes them in this order, and each but once.
    pub(super) fn order(self) -> usize {
        std::ptr::from_ref(self.shard).addr()
    }

    /// Keeps others from the shard.
    pub(super) fn hold(self) -> Held<'r> {
        Held(self.shard.lock())
    }
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.shard, other.shard) && self.key == other.key
    }
}

impl Held<'_> {
    /// When the budget at `place` is whole again, and the moment that counts here, both in units. Takes
    /// nothing.
    pub(super) fn look(&mut self, place: Place<'_>, now: Tick) -> (u64, u64) {
        self.0.now = self.0.now.max(moment(now));
        let tat = self.0.find(place.key).map_or(0, |slot| self.0.slots[slot].tat);
        (tat, self.0.now)
    }

    /// The budget at `place` is whole again at `tat`.
    pub(super) fn charge(&mut self, place: Place<'_>, tat: u64) {
        let slot = self.0.slot_of(place.key, place.slots_max);
        self.0.slots[slot].tat = tat;
    }
}

impl Shard {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing that is done under the lock panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The slot of `key`; its `tat` is zero if it is new.
    #[inline]
    fn slot_of(&mut self, key: u64, slots_max: usize) -> usize {
        match self.find(key) {
            Ok(slot) => slot,
            Err(vacant) => self.admit(key, vacant, slots_max),
        }
    }

    /// Where `key` is, or else where it could be: in a slot that is forgotten or empty.
    #[inline]
    fn find(&self, key: u64) -> Result<usize, Option<usize>> {
        let Some(mask) = self.slots.len().checked_sub(1) else { return Err(None) };
        let (mut index, mut forgotten) = (low_bits(key, mask), None);
        loop {
            let slot = self.slots[index];
            if slot.key == key {
                return Ok(index);
            }
            if slot.tat == 0 {
                return Err(forgotten.or_else(|| (self.used < used_max(self.slots.len())).then_some(index)));
            }
            if slot.tat <= self.now && forgotten.is_none() {
                forgotten = Some(index);
            }
            index = (index + 1) & mask;
        }
    }

    /// Makes `key` known.
    fn admit(&mut self, key: u64, vacant: Option<usize>, slots_max: usize) -> usize {
        let vacant = match vacant {
            Some(vacant) => vacant,
            None if self.make_anew(slots_max) => self.find(key).unwrap_or_else(Option::unwrap_or_default),
            None => self.evict(key),
        };
        let slot = &mut self.slots[vacant];
        self.used += usize::from(slot.tat == 0);
        *slot = Slot { key, tat: 0 };
        vacant
    }

    /// Leaves out what is forgotten, in a table of the size that the rest needs; whether there is room now.
    #[cold]
    fn make_anew(&mut self, slots_max: usize) -> bool {
        if self.now < self.crowded_until {
            return false;
        }
        let live = self.slots.iter().filter(|slot| slot.tat > self.now).count();
        let slots = (2 * live).next_power_of_two().clamp(SLOTS_MIN, slots_max);
        if live > slots / 8 * 5 {
            self.crowded_until = self.now.saturating_add(moment(Tick::ZERO.after(CROWDED)));
        }
        if live >= used_max(slots) {
            return false;
        }
        let before = std::mem::replace(&mut self.slots, vec![Slot::default(); slots].into());
        for slot in before.iter().filter(|slot| slot.tat > self.now) {
            let mut index = low_bits(slot.key, slots - 1);
            while self.slots[index].tat != 0 {
                index = (index + 1) & (slots - 1);
            }
            self.slots[index] = *slot;
        }
        self.used = live;
        true
    }

    /// The neighbour whose budget is whole the soonest gives way; where `key` then belongs.
    #[cold]
    fn evict(&mut self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let places = (0..self.slots.len()).map(|step| (low_bits(key, mask) + step) & mask);
        let neighbours = places.filter(|index| self.slots[*index].tat != 0).take(NEIGHBOURS);
        if let Some(evicted) = neighbours.min_by_key(|index| self.slots[*index].tat) {
            self.remove(evicted);
            self.evictions += 1;
        }
        self.find(key).unwrap_or_else(Option::unwrap_or_default)
    }

    /// Empties a slot. Whoever stands behind it moves up, or its search would end there.
    fn remove(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut index = (hole + 1) & mask;
        while self.slots[index].tat != 0 {
            let home = low_bits(self.slots[index].key, mask);
            // It belongs at the hole, or before it.
            if index.wrapping_sub(home) & mask >= index.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[index];
                hole = index;
            }
            index = (index + 1) & mask;
        }
        self.slots[hole] = Slot::default();
        self.used -= 1;
    }
}

/// The upper bits: the lower ones choose the slot.
#[inline]
const fn shard_of(key: u64) -> usize {
    (key >> (u64::BITS - SHARD_BITS)) as usize
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the mask has fewer bits than either")]
const fn low_bits(key: u64, mask: usize) -> usize {
    key as usize & mask
}

/// So many slots are filled at most: the others end the searches.
#[inline]
const fn used_max(slots: usize) -> usize {
    slots / 4 * 3
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::thread;

    use proptest::prelude::*;

    use super::super::rate::Quota;
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn a_minute(burst: u32) -> Rate {
        Rate::new(Quota::per_minute(burst).unwrap(), burst).unwrap()
    }

    fn admits(rates: &Rates, number: u32, rate: &Rate, key: u64, millis: u64) -> bool {
        let key = rates.hash(&key.to_le_bytes());
        matches!(rates.check(number, rate, key, Tick::from_millis(millis)), Decision::Admitted { .. })
    }

    /// Whether something of `key` is due: a second burst is not whole.
    fn is_known(rates: &Rates, key: u64, millis: u64) -> bool {
        let key = rates.hash(&key.to_le_bytes());
        let whole = a_minute(1_000);
        match rates.check(0, &whole, key, Tick::from_millis(millis)) {
            Decision::Admitted { remaining, .. } => remaining < 999,
            _ => true,
        }
    }

    #[test]
    fn eight_threads_have_one_budget_to_the_request() {
        let (rates, rate, admitted) = (Rates::new(), a_minute(10_000), AtomicU32::new(0));
        thread::scope(|scope| {
            for worker in 0..8 {
                let (rates, admitted) = (&rates, &admitted);
                scope.spawn(move || {
                    for stranger in 0..4_000 {
                        if admits(rates, 0, &rate, 1, 5) {
                            admitted.fetch_add(1, Relaxed);
                        }
                        // Tables grow meanwhile.
                        assert!(admits(rates, 0, &rate, 1_000 + worker * 4_000 + stranger, 5));
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 10_000);
        assert_eq!((rates.keys(Tick::from_millis(5)), rates.evictions()), (32_001, 0));
    }

    #[test]
    fn to_ask_what_is_left_takes_nothing() {
        let (rates, rate) = (Rates::new(), a_minute(3));
        let left = |key: u64, millis: u64| {
            rates.left(0, &rate, rates.hash(&key.to_le_bytes()), Tick::from_millis(millis))
        };
        assert_eq!(left(1, 1), (3, Duration::ZERO), "who has never come has all");
        assert!(admits(&rates, 0, &rate, 1, 1) && admits(&rates, 0, &rate, 1, 1));
        assert_eq!([left(1, 1), left(1, 1)], [(1, Duration::from_secs(40)); 2]);
        assert_eq!(left(1, 20_001), (2, Duration::from_secs(20)));
        assert_eq!(left(1, 99_000), (3, Duration::ZERO));
        assert_eq!((left(2, 1), rates.keys(Tick::from_millis(1))), ((3, Duration::ZERO), 1));
    }

    #[test]
    fn each_rate_has_budgets_of_its_own() {
        let (rates, rate) = (Rates::new(), a_minute(1));
        let took = [(0, 1), (0, 2), (1, 1), (1, 2), (0, 1), (1, 2)]
            .map(|(number, key)| admits(&rates, number, &rate, key, 1));
        assert_eq!(took, [true, true, true, true, false, false]);
    }

    /// Workers read the clock at the beginning of their turns, not all at once.
    #[test]
    fn a_worker_whose_clock_lags_gains_nothing() {
        let rate = Rate::new(Quota::per_second(1).unwrap(), 1).unwrap();
        let rates = Rates::new();
        assert!(admits(&rates, 0, &rate, 1, 1_000));
        assert!(admits(&rates, 0, &rate, 1, 2_000));
        assert!(!admits(&rates, 0, &rate, 1, 1_500));
        assert!(!admits(&rates, 0, &rate, 1, 2_999));
        assert!(admits(&rates, 0, &rate, 1, 3_000));
    }

    #[test]
    fn a_million_keys_stay_below_64_mib_and_none_is_lost() {
        let (rates, rate) = (Rates::new(), a_minute(1));
        assert!(rates.bytes() <= 64 * 1024, "{}", rates.bytes());
        assert!((0..1_000_000).all(|key| admits(&rates, 0, &rate, key, 1)));
        assert!((0..1_000_000).all(|key| !admits(&rates, 0, &rate, key, 2)));
        assert_eq!((rates.keys(Tick::from_millis(2)), rates.evictions()), (1_000_000, 0));
        assert!(rates.bytes() < 34 * MIB, "{}", rates.bytes());
    }

    #[test]
    fn what_is_whole_again_is_forgotten_and_its_memory_used_anew() {
        let (rates, rate) = (Rates::new(), a_minute(1));
        let mut bytes_max = 0;
        for wave in 0..20_u64 {
            let at = 1 + wave * 60_000;
            assert!((0..50_000).all(|key| admits(&rates, 0, &rate, wave * 50_000 + key, at)));
            assert_eq!(rates.keys(Tick::from_millis(at)), 50_000);
            bytes_max = bytes_max.max(rates.bytes());
        }
        assert!(bytes_max < 3 * MIB, "a million keys came by, one in twenty at a time: {bytes_max}");
        assert_eq!((rates.keys(Tick::from_millis(3_000_000)), rates.evictions()), (0, 0));
        // A few keys later the tables are small again.
        assert!((0..200_000).all(|key| admits(&rates, 0, &rate, key, 3_000_000 + key * 60_000)));
        assert!(rates.bytes() < MIB, "{}", rates.bytes());
    }

    #[test]
    fn in_a_full_table_who_owes_most_stays_known() {
        let rates = Rates::with_keys_max(10_000);
        let (busy, idle) = (a_minute(1_000), a_minute(1_000));
        // Ten clients have used up all they had, and a flood of keys follows that have used little each.
        for debtor in 0..10 {
            assert!((0..1_000).all(|_| admits(&rates, 0, &busy, debtor, 1)));
        }
        for flood in 10..200_000 {
            assert!(admits(&rates, 0, &idle, flood, 2));
            assert!(flood < 190_000 || is_known(&rates, flood, 2), "who has just come is known");
        }
        assert!(rates.evictions() > 100_000, "{}", rates.evictions());
        assert!((0..10).all(|debtor| !admits(&rates, 0, &busy, debtor, 3)));
        assert!(rates.bytes() <= 64 * 1024 + SHARDS * 32 * 16, "{}", rates.bytes());
    }

    proptest! {
        /// Keys that all want the same slots, against a map that forgets nothing; then in too small a table.
        #[test]
        fn a_table_remembers_what_a_map_would(
            steps in prop::collection::vec((0_u64..40, 0_u64..30, 1_u64..200), 1..400),
        ) {
            let (mut table, mut crowded) = (Table::default(), Table::default());
            let mut map = HashMap::new();
            for (key, wait, due) in steps {
                let key = (key << 32) | (62 + key % 3);
                table.now += wait;
                crowded.now += wait;
                let slot = table.slot_of(key, 64);
                let known = map.entry(key).or_insert(0);
                let live = |tat: u64| if tat > table.now { tat } else { 0 };
                prop_assert_eq!(live(table.slots[slot].tat), live(*known));
                *known = table.now.max(*known) + due;
                table.slots[slot].tat = *known;
                prop_assert_eq!(table.evictions, 0);

                let slot = crowded.slot_of(key, 16);
                crowded.slots[slot].tat = crowded.now + due;
                prop_assert_eq!(crowded.find(key), Ok(slot));
                let used = crowded.slots.iter().filter(|slot| slot.tat != 0).count();
                prop_assert!(used == crowded.used && used <= used_max(16));
                let all = crowded.slots.iter().filter(|slot| slot.tat != 0);
                prop_assert!(all.into_iter().all(|slot| crowded.find(slot.key).is_ok()), "out of reach");
            }
        }
    }
}
