//! [`Table`]: which number belongs to a text below a parent. An open-addressed hash table.
//!
//! Holds the literals of an app's patterns: it is filled before serving, and never by clients, so that
//! nobody can aim collisions at it. A text is found with one look at memory that no cache has: at its place,
//! where a short one stands itself. Invariant: at most half of the places are taken, so a probe ends.

use super::words::{Key, are_same};

/// A map from (parent, text) to a number.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A power of two in length, or empty.
    places: Vec<Place>,
    taken: usize,
    /// All long texts, one behind the other.
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Place {
    hash: u32,
    parent: u32,
    value: u32,
    /// How long the text is; [`FREE`] if there is none.
    bytes: u32,
    /// The text, if it is short; else the first four of them say where it begins.
    text: [u8; SHORT_BYTES_MAX],
}

const _: () = assert!(size_of::<Place>() == 32, "two are in a cache line, and none is in two");

const FREE: u32 = u32::MAX;
/// How long a text is that its place has room for.
const SHORT_BYTES_MAX: usize = 16;
const PLACES_MIN: usize = 16;
const NOBODY: Place = Place { hash: 0, parent: 0, value: 0, bytes: FREE, text: [0; SHORT_BYTES_MAX] };

impl Table {
    /// The number of `text` below `parent`.
    #[inline]
    pub(super) fn get(&self, parent: u32, text: &[u8]) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let hash = hash(parent, text);
        let mut at = hash as usize & mask;
        loop {
            let place = &self.places[at];
            if place.bytes == FREE {
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
        let mut place = Place { hash, parent, value, bytes: count(text.len()), ..NOBODY };
        match place.text.get_mut(..text.len()) {
            Some(own) => own.copy_from_slice(text.as_bytes()),
            None => {
                place.text[..4].copy_from_slice(&count(self.texts.len()).to_le_bytes());
                self.texts.extend_from_slice(text.as_bytes());
            }
        }
        self.put(place);
    }

    #[inline]
    fn text<'t>(&'t self, place: &'t Place) -> &'t [u8] {
        let bytes = place.bytes as usize;
        if let Some(own) = place.text.get(..bytes) {
            return own;
        }
        let [a, b, c, d, ..] = place.text;
        let start = u32::from_le_bytes([a, b, c, d]) as usize;
        &self.texts[start..start + bytes]
    }

    fn grow(&mut self) {
        let length = (self.places.len() * 2).max(PLACES_MIN);
        let former = std::mem::replace(&mut self.places, vec![NOBODY; length]);
        former.into_iter().filter(|place| place.bytes != FREE).for_each(|place| self.put(place));
    }

    fn put(&mut self, place: Place) {
        let mask = self.places.len() - 1;
        let mut at = place.hash as usize & mask;
        while self.places[at].bytes != FREE {
            at = (at + 1) & mask;
        }
        self.places[at] = place;
    }
}

fn count(bytes: usize) -> u32 {
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
        // Some stand in their places, others behind one another.
        let text = |number: u32| format!("{number:0width$}", width = number as usize % 20);
        for number in 0..2_000_u32 {
            table.insert(number % 7, &text(number), number);
        }
        for number in 0..2_000_u32 {
            let text = text(number);
            assert_eq!(table.get(number % 7, text.as_bytes()), Some(number));
            assert_eq!(table.get(8, text.as_bytes()), None);
            assert_eq!(table.get(number % 7, format!("{text}x").as_bytes()), None);
        }
    }
}
