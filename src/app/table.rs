//! [`Table`]: which number belongs to a text below a parent. An open-addressed hash table.
//!
//! Holds the literals of an app's patterns: it is filled before serving, and never by clients, so that
//! nobody can aim collisions at it. A text is found with two looks at memory that no cache has: at its place,
//! and at the text. Invariant: at most half of the places are taken, so a probe ends.

use super::words::{Key, are_same};

/// A map from (parent, text) to a number.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A power of two in length, or empty.
    places: Vec<Place>,
    taken: usize,
    /// All texts, one behind the other.
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    parent: u32,
    value: u32,
    /// Where the text begins; [`FREE`] if there is none.
    start: u32,
    bytes: u32,
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
            let place = &self.places[at];
            if place.start == FREE {
                return None;
            }
            if (place.hash, place.parent) == (hash, parent) && are_same(self.text(place), text) {
                return Some(place.value);
            }
            at = (at + 1) & mask;
        }
    }

    /// Notes a number for a text that has none yet.
    pub(super) fn insert(&mut self, parent: u32, text: &str, value: u32) {
        debug_assert!(self.get(parent, text.as_bytes()).is_none());
        self.taken += 1;
        if self.taken * 2 > self.places.len() {
            self.grow();
        }
        let hash = hash(parent, text.as_bytes());
        let (start, bytes) = (short(self.texts.len()), short(text.len()));
        self.texts.extend_from_slice(text.as_bytes());
        self.put(Place { hash, parent, value, start, bytes });
    }

    #[inline]
    fn text(&self, place: &Place) -> &[u8] {
        let start = place.start as usize;
        &self.texts[start..start + place.bytes as usize]
    }

    fn grow(&mut self) {
        const NOBODY: Place = Place { hash: 0, parent: 0, value: 0, start: FREE, bytes: 0 };
        let length = (self.places.len() * 2).max(PLACES_MIN);
        let former = std::mem::replace(&mut self.places, vec![NOBODY; length]);
        former.into_iter().filter(|place| place.start != FREE).for_each(|place| self.put(place));
    }

    fn put(&mut self, place: Place) {
        let mask = self.places.len() - 1;
        let mut at = place.hash as usize & mask;
        while self.places[at].start != FREE {
            at = (at + 1) & mask;
        }
        self.places[at] = place;
    }
}

fn short(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the patterns of an app have less than 4 GiB")
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
