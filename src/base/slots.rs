//! [`Slots`]: a table of bounded size; a [`Key`] finds what it was given for, or nothing.
//!
//! ```text
//!  Key 1#42 ──► slot 1 ──► serial 42? ── yes ──► the value
//!                                     └─ no ───► None: that guest has left, another lives here now
//! ```
//!
//! Events and answers may arrive after the connection they belong to was closed and its slot reused. They
//! carry a key, and die at the look-up. Invariants: serials run over the whole table, so that no two guests
//! share one before 2³² − 1 insertions have passed; serial 0 is never issued (see [`Key`]).
//! Knows nothing of what it holds.

use std::fmt;
use std::num::NonZeroU32;

use slab::Slab;

/// The address of one guest of a [`Slots`]: the index of its slot, and the serial it was inserted under.
///
/// No slot ever has the serial 0: a packed value below 2³² is no guest's key, and free for other uses.
///
/// ```
/// use kolk::base::{Key, Slots};
///
/// let mut slots = Slots::with_capacity(8);
/// let key = slots.insert("guest").unwrap();
/// assert_eq!(Key::unpack(key.pack()), key);
/// assert_eq!(key.to_string(), "0#1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    serial: u32,
}

impl Key {
    /// Which slot: below the table's `slots_max`.
    #[inline]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Which of the guests that slot has had.
    #[inline]
    pub const fn serial(self) -> u32 {
        self.serial
    }

    /// Both halves in one word: the serial high, the index low.
    #[inline]
    pub const fn pack(self) -> u64 {
        (self.serial as u64) << 32 | self.index as u64
    }

    /// What [`Key::pack`] packed. Any word is a key; one that was never issued finds no slot.
    #[inline]
    pub const fn unpack(word: u64) -> Self {
        Self { index: (word & 0xFFFF_FFFF) as u32, serial: (word >> 32) as u32 }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.serial)
    }
}

/// A table of at most `slots_max` values, reserved whole: it never moves and never grows.
///
/// Costs 8 bytes for each slot beside a value that is aligned to 8, or 4 beside one aligned to 4 (but never
/// less than 16 in all). Freed slots are reused last out, first in.
pub struct Slots<T> {
    // The serial cannot be 0, so that slab's "vacant" mark hides there instead of taking a word of its own.
    slab: Slab<(NonZeroU32, T)>,
    serial_next: NonZeroU32,
    slots_max: usize,
}

impl<T> Slots<T> {
    /// An empty table. The memory of all `slots_max` slots is reserved now, and resident only page by page
    /// as slots are first used.
    ///
    /// # Panics
    /// If `slots_max` exceeds `u32::MAX`, or no address range is large enough for the table.
    pub fn with_capacity(slots_max: usize) -> Self {
        assert!(u32::try_from(slots_max).is_ok(), "a slot's index is a u32");
        Self { slab: Slab::with_capacity(slots_max), serial_next: NonZeroU32::MIN, slots_max }
    }

    /// Gives `value` a slot.
    ///
    /// # Errors
    /// Hands `value` back if every slot is taken.
    #[inline]
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        let Some(key) = self.next_key() else { return Err(value) };
        self.slab.insert((self.serial_next, value));
        self.serial_next = self.serial_next.checked_add(1).unwrap_or(NonZeroU32::MIN);
        Ok(key)
    }

    /// The key that the next [`Slots::insert`] will return; `None` if it will fail.
    #[inline]
    pub fn next_key(&self) -> Option<Key> {
        if self.is_full() {
            return None;
        }
        Some(Key { index: index_of(self.slab.vacant_key()), serial: self.serial_next.get() })
    }

    /// The value of `key`, if it is still here.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slab.get(key.index as usize) {
            Some((serial, value)) if serial.get() == key.serial => Some(value),
            _ => None,
        }
    }

    /// The value of `key` to change, if it is still here.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slab.get_mut(key.index as usize) {
            Some((serial, value)) if serial.get() == key.serial => Some(value),
            _ => None,
        }
    }

    /// Takes the value of `key` out, if it is still here. From now on the key is stale.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.slab.try_remove(key.index as usize).map(|(_, value)| value)
    }

    /// The key of whoever has slot `index` now.
    #[inline]
    pub fn key_at(&self, index: u32) -> Option<Key> {
        self.slab.get(index as usize).map(|(serial, _)| Key { index, serial: serial.get() })
    }

    /// How many slots are taken.
    #[inline]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// No slot is taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Every slot is taken: the next insertion fails.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len() >= self.slots_max
    }

    /// How many slots there are.
    #[inline]
    pub fn slots_max(&self) -> usize {
        self.slots_max
    }

    /// Every value with its key, by index. Takes time for each slot that was ever used.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab
            .iter()
            .map(|(index, (serial, value))| (Key { index: index_of(index), serial: serial.get() }, value))
    }

    /// All values, to change.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slab.iter_mut().map(|(_, (_, value))| value)
    }
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("len", &self.len()).field("slots_max", &self.slots_max).finish()
    }
}

#[inline]
fn index_of(slab_key: usize) -> u32 {
    u32::try_from(slab_key).expect("slots_max fits a u32, and the slab never holds more")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_even_when_its_slot_is_taken_again() {
        let mut slots = Slots::with_capacity(4);
        let old = slots.insert("old").unwrap();
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new").unwrap();

        assert_eq!(new.index(), old.index());
        assert_eq!(slots.get(old), None);
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&"new"));
    }

    #[test]
    fn a_full_table_hands_the_value_back() {
        let mut slots = Slots::with_capacity(2);
        let first = slots.insert('a').unwrap();
        slots.insert('b').unwrap();
        assert!(slots.is_full());
        assert_eq!(slots.next_key(), None);
        assert_eq!(slots.insert('c'), Err('c'));

        slots.remove(first);
        assert_eq!(slots.next_key().unwrap().index(), first.index());
        assert!(slots.insert('c').is_ok());
    }

    #[test]
    fn a_table_of_no_slots_is_full() {
        assert_eq!(Slots::with_capacity(0).insert(1), Err(1));
    }

    #[test]
    fn serials_wrap_past_zero() {
        let mut slots = Slots::with_capacity(4);
        slots.serial_next = NonZeroU32::MAX;
        assert_eq!(slots.insert(()).unwrap().serial(), u32::MAX);
        assert_eq!(slots.insert(()).unwrap().serial(), 1);
    }

    #[test]
    fn no_guest_has_a_packed_key_below_two_to_the_32() {
        let mut slots = Slots::with_capacity(1);
        let key = slots.insert(()).unwrap();
        assert_eq!(key.pack(), 1 << 32);
        assert_eq!(slots.get(Key::unpack(u64::from(key.index()))), None);
        assert_eq!(Key::unpack(42 << 32 | 7).to_string(), "7#42");
    }

    /// Bytes from one slot to the next, as the table really lies in memory.
    fn slot_bytes<T: Default>() -> usize {
        let mut slots = Slots::with_capacity(2);
        let keys = [slots.insert(T::default()), slots.insert(T::default())].map(|key| key.ok().unwrap());
        let [first, second] = keys.map(|key| std::ptr::from_ref(slots.get(key).unwrap()).addr());
        second - first
    }

    #[test]
    fn a_slot_costs_eight_bytes_or_less() {
        assert_eq!(slot_bytes::<[u64; 8]>(), 64 + 8);
        assert_eq!(slot_bytes::<[u64; 16]>(), 128 + 8);
        assert_eq!(slot_bytes::<Box<u64>>(), 8 + 8);
        assert_eq!(slot_bytes::<[u32; 5]>(), 20 + 4);
        assert_eq!(slot_bytes::<u32>(), 16);
        assert_eq!(size_of::<Key>(), 8);
    }

    #[test]
    fn unused_slots_are_not_resident() {
        // Pages resident, the second figure; only Linux has this file.
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
            statm.split(' ').nth(1)?.parse::<usize>().ok()
        };
        let Some(before) = resident() else { return };
        let mut slots = Slots::with_capacity(4 << 20);
        slots.insert([0_u64; 15]).unwrap();
        let pages = resident().unwrap().saturating_sub(before);
        assert!(pages < (64 << 20) / 4096, "{pages} pages of a 512 MiB table with one guest");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        /// Removes a key that was issued once, be it stale by now.
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![any::<u16>().prop_map(Step::Insert), (0..64_usize).prop_map(Step::Remove)];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_of_keys_that_are_never_reused(steps in steps()) {
            let mut slots = Slots::with_capacity(16);
            let mut model = HashMap::new();
            let mut issued = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(value) => {
                        let foretold = slots.next_key();
                        let inserted = slots.insert(value);
                        prop_assert_eq!(inserted.ok(), foretold);
                        prop_assert_eq!(foretold.is_none(), model.len() == 16);
                        if let Some(key) = foretold {
                            prop_assert!(key.index() < 16);
                            prop_assert_eq!(model.insert(key, value), None);
                            issued.push(key);
                        }
                    }
                    Step::Remove(nth) if nth < issued.len() => {
                        prop_assert_eq!(slots.remove(issued[nth]), model.remove(&issued[nth]));
                    }
                    Step::Remove(_) => {}
                }
                prop_assert_eq!(slots.len(), model.len());
                prop_assert_eq!(slots.is_empty(), model.is_empty());
            }
            for &key in &issued {
                prop_assert_eq!(slots.get(key), model.get(&key));
                let here = model.contains_key(&key);
                prop_assert_eq!(slots.key_at(key.index()) == Some(key), here);
            }
            prop_assert_eq!(slots.iter().map(|(key, value)| (key, *value)).collect::<HashMap<_, _>>(), model);
        }
    }
}
