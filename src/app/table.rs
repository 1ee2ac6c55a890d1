//! [`Table`]: which number belongs to a text below a parent. An open-addressed hash table.
//!
//! Holds the literals of an app's patterns: it is filled before serving, and never by clients, so that
//! nobody can aim collisions at it. Invariant: at most half of the places are taken, so a probe ends.

use super::words::{Key, are_same};

/// A map from (parent, text) to a number.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A power of two in length, or empty.
    places: Vec<Place>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    /// Index of the entry; [`FREE`] if there is none.
    entry: u32,
}

#[derive(Debug)]
struct Entry {
    parent: u32,
    value: u32,
    text: Box<str>,
}

const FREE: u32 = u32::MAX;
const PLACES_MIN: usize = 16;

impl Table {
    /// The number of `text` below `parent`.
    #[inline]
    pub(super) fn get(&self, parent: u32, text: &[u8]) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let hash = hash(parent, text);
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place.entry == FREE {
                return None;
            }
            if place.hash == hash {
                let entry = &self.entries[place.entry as usize];
                if entry.parent == parent && are_same(entry.text.as_bytes(), text) {
                    return Some(entry.value);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Notes a number for a text that has none yet.
    pub(super) fn insert(&mut self, parent: u32, text: &str, value: u32) {
        debug_assert!(self.get(parent, text.as_bytes()).is_none());
        self.entries.push(Entry { parent, value, text: text.into() });
        if self.entries.len() * 2 > self.places.len() {
            self.grow();
        } else {
            self.place(self.entries.len() - 1);
        }
    }

    fn grow(&mut self) {
        let length = (self.places.len() * 2).max(PLACES_MIN);
        self.places = vec![Place { hash: 0, entry: FREE }; length];
        for index in 0..self.entries.len() {
            self.place(index);
        }
    }

    fn place(&mut self, index: usize) {
        let entry = &self.entries[index];
        let hash = hash(entry.parent, entry.text.as_bytes());
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].entry != FREE {
            at = (at + 1) & mask;
        }
        let entry = u32::try_from(index).expect("an app has fewer than 2^32 literals");
        self.places[at] = Place { hash, entry };
    }
}

#[inline]
fn hash(parent: u32, text: &[u8]) -> u32 {
    let [a, b, c, d, ..] = Key::FIXED.hash(u64::from(parent) << 32, text).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_found_below_its_own_parent() {
        let mut table = Table::default();
        assert_eq!(table.get(0, b"a"), None);
        for number in 0..2_000_u32 {
            table.insert(number % 7, &format!("{number:0width$}", width = number as usize % 20), number);
        }
        for number in 0..2_000_u32 {
            let text = format!("{number:0width$}", width = number as usize % 20);
            assert_eq!(table.get(number % 7, text.as_bytes()), Some(number));
            assert_eq!(table.get(8, text.as_bytes()), None);
            assert_eq!(table.get(number % 7, format!("{text}x").as_bytes()), None);
        }
    }
}
