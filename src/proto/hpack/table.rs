//! THE DYNAMIC TABLE: the fields that one side has named before, the newest first. RFC 7541 §2.3.2, §4.
//!
//! ```text
//!  bytes    │ alue │     free     │ name value │ name value │ name v│      one ring, around its end
//!                  ▲ end          ▲ oldest                      └───┘
//!  places   newest … oldest       where each one begins, its lengths, and the owner's note
//! ```
//! Invariant: names, values and 32 bytes for each entry are together at most `bytes_max`, and so is the ring.
//! Nothing is allocated before the first entry.

use std::collections::VecDeque;

use super::{FIELD_BYTES, short, statics};

/// The fields that both sides remember.
#[derive(Debug)]
pub struct Table {
    bytes: Box<[u8]>,
    places: VecDeque<Place>,
    /// Where the next entry begins.
    end: u16,
    /// How many bytes names and values have.
    held: u16,
    bytes_max: u16,
}

/// Where an entry is, in one word.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u16,
    name: u16,
    value: u16,
    note: u16,
}

/// A field of the table. Its name and value are one text, which may go on at the beginning of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'t> {
    ring: &'t [u8],
    place: Place,
}

/// The first ring, in bytes, and how many entries it may have: both double.
const BYTES_FIRST: usize = 128;
const PLACES_FIRST: usize = 4;

impl Table {
    /// An empty table of this size.
    pub(super) fn new(bytes_max: u16) -> Self {
        Self { bytes: Box::default(), places: VecDeque::new(), end: 0, held: 0, bytes_max }
    }

    /// Its size, as RFC 7541 §4.1 counts it.
    #[inline]
    pub fn size(&self) -> usize {
        self.held() + self.places.len() * FIELD_BYTES
    }

    /// How large it may be at present.
    #[inline]
    pub const fn bytes_max(&self) -> usize {
        self.bytes_max as usize
    }

    /// What it takes of the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.places.capacity() * size_of::<Place>()
    }

    /// Copies of all fields, the newest first.
    pub fn fields(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.places.iter().map(|place| {
            let entry = self.entry(*place);
            let mut name = entry.parts().concat();
            let value = name.split_off(entry.name_bytes());
            (name, value)
        })
    }

    /// The entry than which so many are younger.
    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<Entry<'_>> {
        self.places.get(index).map(|place| self.entry(*place))
    }

    /// Appends the name of this index in both tables, the static one before this: RFC 7541 §2.3.3.
    #[inline]
    pub(super) fn name(&self, index: usize, out: &mut Vec<u8>) -> Option<()> {
        if let Some(young) = index.checked_sub(statics::COUNT + 1) {
            let entry = self.get(young)?;
            let [text, rest] = entry.parts();
            let first = entry.name_bytes().min(text.len());
            out.extend_from_slice(&text[..first]);
            out.extend_from_slice(&rest[..entry.name_bytes() - first]);
        } else {
            let (text, name_bytes) = statics::get(index)?;
            out.extend_from_slice(&text[..name_bytes]);
        }
        Some(())
    }

    /// How many entries are younger than one with this note that `is_it`.
    #[inline(always)]
    pub(super) fn find(&self, note: u16, is_it: impl Fn(Entry<'_>) -> bool) -> Option<usize> {
        let (newer, older) = self.places.as_slices();
        let find = |places: &[Place]| {
            places.iter().position(|place| place.note == note && is_it(self.entry(*place)))
        };
        find(newer).or_else(|| find(older).map(|index| newer.len() + index))
    }

    /// The same without regard to notes.
    pub(super) fn find_any(&self, is_it: impl Fn(Entry<'_>) -> bool) -> Option<usize> {
        self.places.iter().position(|place| is_it(self.entry(*place)))
    }

    /// Adds the newest entry, for which old ones go. One that is larger than the table empties it, which is
    /// no error: RFC 7541 §4.4.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], note: u16) {
        let bytes = name.len() + value.len();
        let Some(room) = self.bytes_max().checked_sub(bytes + FIELD_BYTES) else { return self.clear() };
        self.shrink_to(room);
        if self.held() + bytes > self.bytes.len() {
            if self.bytes.is_empty() {
                self.places.reserve(PLACES_FIRST);
            }
            let wanted = (self.held() + bytes).next_power_of_two().max(BYTES_FIRST);
            self.move_to(wanted.min(self.bytes_max()));
        }
        let start = self.end;
        self.write(name);
        self.write(value);
        self.held += short(bytes);
        self.places.push_front(Place { start, name: short(name.len()), value: short(value.len()), note });
    }

    /// Changes the size, for which old entries go: RFC 7541 §4.3.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = short(bytes_max);
        self.shrink_to(bytes_max);
        if self.bytes.len() > bytes_max {
            self.move_to(bytes_max);
        }
    }

    #[inline(always)]
    fn entry(&self, place: Place) -> Entry<'_> {
        Entry { ring: &self.bytes, place }
    }

    /// Drops the oldest entries until the size is no larger.
    fn shrink_to(&mut self, size: usize) {
        while self.size() > size {
            let Some(place) = self.places.pop_back() else { break };
            self.held -= place.name + place.value;
        }
    }

    fn clear(&mut self) {
        self.places.clear();
        self.held = 0;
    }

    /// Gives all entries another ring, which has room for them.
    fn move_to(&mut self, bytes: usize) {
        let mut ring = vec![0; bytes].into_boxed_slice();
        let mut end = self.held();
        for place in &mut self.places {
            let (start, length) =
                (usize::from(place.start), usize::from(place.name) + usize::from(place.value));
            end -= length;
            let first = length.min(self.bytes.len() - start);
            ring[end..end + first].copy_from_slice(&self.bytes[start..start + first]);
            ring[end + first..end + length].copy_from_slice(&self.bytes[..length - first]);
            place.start = short(end);
        }
        self.bytes = ring;
        self.end = if self.held() == bytes { 0 } else { self.held };
    }

    /// Copies `text` to where the next entry begins, for which there is room.
    fn write(&mut self, text: &[u8]) {
        let end = usize::from(self.end);
        let first = text.len().min(self.bytes.len() - end);
        let (before, behind) = text.split_at(first);
        self.bytes[end..end + first].copy_from_slice(before);
        self.bytes[..behind.len()].copy_from_slice(behind);
        let end = end + text.len();
        self.end = short(if end >= self.bytes.len() { end - self.bytes.len() } else { end });
    }

    #[inline(always)]
    fn held(&self) -> usize {
        usize::from(self.held)
    }
}

impl<'t> Entry<'t> {
    /// How long its name is.
    #[inline(always)]
    pub(super) fn name_bytes(&self) -> usize {
        usize::from(self.place.name)
    }

    /// How long its text is.
    #[inline(always)]
    pub(super) fn bytes(&self) -> usize {
        self.name_bytes() + usize::from(self.place.value)
    }

    /// What its owner noted.
    #[inline(always)]
    pub(super) fn note(&self) -> u16 {
        self.place.note
    }

    /// Appends its text.
    #[inline(always)]
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        let behind = &self.ring[usize::from(self.place.start)..];
        if !append(out, behind, self.bytes()) {
            out.extend_from_slice(behind);
            out.extend_from_slice(&self.ring[..self.bytes() - behind.len()]);
        }
    }

    /// Whether these are its name, in any case, and its value.
    #[inline(always)]
    pub(super) fn is(&self, name: &[u8], value: &[u8]) -> bool {
        if self.name_bytes() != name.len() || usize::from(self.place.value) != value.len() {
            return false;
        }
        match self.parts() {
            // No empty slice is compared here: it points nowhere, and a masked load from there is slow.
            [text, []] => {
                let (text, behind) = text.split_at(name.len());
                text.eq_ignore_ascii_case(name) && behind == value
            }
            _ => self.has_name(name) && self.text().skip(name.len()).eq(value),
        }
    }

    /// Whether this is its name, in any case.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        let mut text = self.text().take(self.name_bytes());
        self.name_bytes() == name.len()
            && name.iter().all(|byte| text.next().is_some_and(|own| own.eq_ignore_ascii_case(byte)))
    }

    fn text(&self) -> impl Iterator<Item = &'t u8> {
        self.parts().into_iter().flatten()
    }

    #[inline(always)]
    fn parts(&self) -> [&'t [u8]; 2] {
        let behind = &self.ring[usize::from(self.place.start)..];
        match behind.get(..self.bytes()) {
            Some(text) => [text, &[]],
            None => [behind, &self.ring[..self.bytes() - behind.len()]],
        }
    }
}

/// Appends the first `length` bytes of `text`; whether it has so many. Most are few, and to copy a block of
/// known length and forget the rest is faster than to call for an exact copy.
#[inline(always)]
pub(super) fn append(out: &mut Vec<u8>, text: &[u8], length: usize) -> bool {
    match text.first_chunk::<BLOCK>() {
        Some(block) if length <= BLOCK => {
            let end = out.len() + length;
            out.extend_from_slice(block);
            out.truncate(end);
            true
        }
        _ => text.get(..length).map(|text| out.extend_from_slice(text)).is_some(),
    }
}

/// What is copied at once, in bytes.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as a list.
    #[derive(Default)]
    struct Oracle {
        fields: VecDeque<(Vec<u8>, Vec<u8>)>,
        bytes_max: usize,
    }

    impl Oracle {
        fn shrink(&mut self) {
            while self.fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>()
                > self.bytes_max
            {
                self.fields.pop_back();
            }
        }

        fn agrees(&self, table: &Table) {
            assert!(table.fields().eq(self.fields.iter().cloned()));
            assert!(table.size() <= table.bytes_max() && table.bytes.len() <= table.bytes_max());
            for (index, (name, value)) in self.fields.iter().enumerate() {
                let entry = table.get(index).unwrap();
                assert!(entry.has_name(name) && entry.is(name, value));
                let longer = [&value[..], b"x"].concat();
                assert!(!entry.is(name, &longer) && (longer == *name || !entry.is(&longer, value)));
                if let [.., last] = &value[..] {
                    let other = [&value[..value.len() - 1], &[last ^ 1]].concat();
                    assert!(!entry.is(name, &other));
                }
                let found = table.find(short(name.len()), |entry| entry.is(name, value)).unwrap();
                assert!(found <= index && self.fields[found] == (name.clone(), value.clone()));
            }
            assert!(table.get(self.fields.len()).is_none());
        }
    }

    #[test]
    fn it_is_a_list_however_the_ring_turns() {
        let mut dice = 1_usize;
        let mut roll = |sides: usize| {
            dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (dice >> 33) % sides
        };
        let mut table = Table::new(4096);
        let mut oracle = Oracle { bytes_max: 4096, ..Oracle::default() };
        for round in 0..2_000_usize {
            if roll(50) == 0 {
                oracle.bytes_max = [0, 31, 32, 33, 100, 256, 1000, 4096, 4096][roll(9)];
                oracle.shrink();
                table.set_bytes_max(oracle.bytes_max);
            }
            let most = [1, 8, 40, 40, 200, 1500, 4100][roll(7)];
            let letters = |count: usize| (0..count).map(|at| (at * 7 + round).to_le_bytes()[0]).collect();
            let (name, value): (Vec<u8>, Vec<u8>) = (letters(roll(most)), letters(roll(most)));
            table.insert(&name, &value, short(name.len()));
            oracle.fields.push_front((name, value));
            oracle.shrink();
            oracle.agrees(&table);
        }
    }

    #[test]
    fn rfc_7541_4_4_an_entry_larger_than_the_table_empties_it() {
        let mut table = Table::new(100);
        assert_eq!(table.heap_bytes(), 0);
        table.insert(b"name", &[b'v'; 64], 0);
        assert_eq!((table.size(), table.fields().count()), (100, 1));
        table.insert(b"name", &[b'v'; 65], 0);
        assert_eq!((table.size(), table.fields().count()), (0, 0));
    }

    #[test]
    fn the_default_table_takes_five_kilobytes_at_most() {
        let mut table = Table::new(4096);
        for length in (0..400).chain([4064]).chain((0..300).rev()) {
            table.insert(&vec![b'n'; length / 2], &vec![b'v'; length - length / 2], 0);
            assert!(table.heap_bytes() <= 4096 + 1024);
        }
    }
}
