//! [`Table`]: what belongs to a text below a parent. An open-addressed hash table.
//!
//! Holds the literals of an app's patterns: it is filled before serving, and never by clients, so that
//! nobody can aim collisions at it. A text is found with one look at memory that no cache has: at its place,
//! where a short one stands itself, beside what belongs to it. Invariant: at most half of the places are
//! taken, so a probe ends.

use super::words::{Key, are_same};

/// A map from (parent, text) to something small.
#[derive(Debug, Default)]
pub(super) struct Table<V> {
    /// A power of two in length, or empty.
    places: Vec<Place<V>>,
    taken: usize,
    /// All long texts, one behind the other.
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Place<V> {
    hash: u32,
    parent: u32,
    value: V,
    /// How long the text is, if it is short; else [`LONG`], or [`FREE`] if there is none.
    length: u8,
    /// The text, if it is short; else the first four of them say where it begins, the next how long it is.
    text: [u8; SHORT_BYTES_MAX],
}

const _: () = assert!(size_of::<Place<u64>>() == 32, "two are in a cache line, and none is in two");

const LONG: u8 = u8::MAX - 1;
const FREE: u8 = u8::MAX;
/// How long a text is that its place has room for.
const SHORT_BYTES_MAX: usize = 15;
const PLACES_MIN: usize = 16;

impl<V: Copy + Default> Table<V> {
    /// What belongs to `text` below `parent`.
    #[inline]
    pub(super) fn get(&self, parent: u32, text: &[u8]) -> Option<V> {
        let mask = self.places.len().checked_sub(1)?;
        let hash = hash(parent, text);
        let mut at = hash as usize & mask;
        loop {
            let place = &self.places[at];
            if place.length == FREE {
                return None;
            }
            if (place.hash, place.parent) == (hash, parent) && are_same(self.text(place), text) {
                return Some(place.value);
            }
            at = (at + 1) & mask;
        }
    }

    /// The same, to be changed: at first it is nothing.
    pub(super) fn entry(&mut self, parent: u32, text: &str) -> &mut V {
        if (self.taken + 1) * 2 > self.places.len() {
            self.grow();
        }
        let (text, hash) = (text.as_bytes(), hash(parent, text.as_bytes()));
        let is_it =
            |place: &Place<V>| (place.hash, place.parent) == (hash, parent) && self.text(place) == text;
        let at = self.probe(hash, is_it);
        if self.places[at].length == FREE {
            self.taken += 1;
            self.places[at] = Place { hash, parent, ..self.place_for(text) };
        }
        &mut self.places[at].value
    }

    /// The first place for this hash that is the one, or free.
    fn probe(&self, hash: u32, is_it: impl Fn(&Place<V>) -> bool) -> usize {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].length != FREE && !is_it(&self.places[at]) {
            at = (at + 1) & mask;
        }
        at
    }

    /// A place with a text that has none yet.
    fn place_for(&mut self, text: &[u8]) -> Place<V> {
        let mut place = Place { length: LONG, ..Place::nobodys() };
        if let (Some(own), Ok(length)) = (place.text.get_mut(..text.len()), u8::try_from(text.len())) {
            own.copy_from_slice(text);
            place.length = length;
        } else {
            place.text[..4].copy_from_slice(&count(self.texts.len()).to_le_bytes());
            place.text[4..8].copy_from_slice(&count(text.len()).to_le_bytes());
            self.texts.extend_from_slice(text);
        }
        place
    }

    #[inline]
    fn text<'t>(&'t self, place: &'t Place<V>) -> &'t [u8] {
        if let Some(own) = place.text.get(..usize::from(place.length)) {
            return own;
        }
        let ([start, length, ..], _) = place.text.as_chunks() else { return &[] };
        let (start, length) = (u32::from_le_bytes(*start) as usize, u32::from_le_bytes(*length) as usize);
        &self.texts[start..start + length]
    }

    fn grow(&mut self) {
        let length = (self.places.len() * 2).max(PLACES_MIN);
        let former = std::mem::replace(&mut self.places, vec![Place::nobodys(); length]);
        for place in former.into_iter().filter(|place| place.length != FREE) {
            let at = self.probe(place.hash, |_| false);
            self.places[at] = place;
        }
    }
}

impl<V: Default> Place<V> {
    fn nobodys() -> Self {
        Self { hash: 0, parent: 0, value: V::default(), length: FREE, text: [0; SHORT_BYTES_MAX] }
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
            *table.entry(number % 7, &text(number)) = Some(number);
        }
        for number in 0..2_000_u32 {
            let text = text(number);
            assert_eq!(table.get(number % 7, text.as_bytes()), Some(Some(number)));
            assert_eq!(table.get(8, text.as_bytes()), None);
            assert_eq!(table.get(number % 7, format!("{text}x").as_bytes()), None);
        }
    }
}
