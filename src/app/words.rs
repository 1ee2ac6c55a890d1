//! Texts as words of eight bytes: how the router and the shelves of files compare and hash them.
//!
//! ```text
//!  "/plaintext"    /plainte      laintext                  the last word takes bytes of the one before it
//!                     └─ fold ─► state ─ fold ─► hash       again rather than being short
//! ```
//! Whoever's texts come from clients gives a [`Key`] that nobody can foretell.

use std::hash::{BuildHasher, Hasher, RandomState};

/// What a hash depends on beside the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    mask: u64,
    factor: u64,
}

impl Key {
    /// For texts of the program.
    pub(super) const FIXED: Self = Self { mask: 0xE703_7ED1_A0B4_28DB, factor: 0x9E37_79B9_7F4A_7C15 };

    /// For texts of clients: nobody can aim collisions at it.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self { mask: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }

    /// Both halves of a product together know all bits of the word.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the other half is taken, too")]
    const fn fold(self, word: u64) -> u64 {
        let product = (word ^ self.mask) as u128 * self.factor as u128;
        product as u64 ^ (product >> 64) as u64
    }

    /// The hash of `text`, for this `start`.
    #[inline]
    pub(super) fn hash(self, start: u64, text: &[u8]) -> u64 {
        let (words, last) = words(text);
        // The length as a word that nobody can write: bare, it would be another way to spell some bytes.
        let start = start ^ (text.len() as u64).wrapping_mul(self.factor);
        let state = words.iter().fold(start, |state, word| self.fold(state ^ u64::from_le_bytes(*word)));
        self.fold(state ^ last)
    }
}

/// A key makes hashes for std's maps.
impl BuildHasher for Key {
    type Hasher = Hash;

    #[inline]
    fn build_hasher(&self) -> Hash {
        Hash { key: *self, state: self.factor }
    }
}

/// A hash on its way.
#[derive(Debug)]
pub(super) struct Hash {
    key: Key,
    state: u64,
}

impl Hasher for Hash {
    #[inline]
    fn write(&mut self, text: &[u8]) {
        self.state = self.key.hash(self.state, text);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.state ^= number as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// A text as words of eight bytes and a last one. Texts of one length are the same exactly if their words
/// are.
#[inline]
fn words(text: &[u8]) -> (&[[u8; 8]], u64) {
    if let Some(last) = text.last_chunk::<8>() {
        return (text[..text.len() - 1].as_chunks().0, u64::from_le_bytes(*last));
    }
    let last = match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => match *text {
            [] => 0,
            [first, .., last] => {
                u64::from(first) << 16 | u64::from(text[text.len() / 2]) << 8 | u64::from(last)
            }
            [only] => u64::from(only),
        },
    };
    (&[], last)
}

/// Whether both are the same text.
#[inline]
pub(super) fn are_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((some, last), (others, last_other)) = (words(one), words(other));
    last == last_other && some.iter().zip(others).all(|(word, other)| word == other)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_byte_counts() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).collect();
            let key = Key::random();
            assert!(are_same(&text, &text.clone()));
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 1;
                assert!(!are_same(&text, &other), "{length} {place}");
                assert_ne!(key.hash(1, &text), key.hash(1, &other), "{length} {place}");
            }
            assert_ne!(key.hash(1, &text), key.hash(2, &text));
            assert_ne!(key.hash(1, &text), Key::random().hash(1, &text));
        }
    }

    /// Two letters that differ in one bit, so that texts of one length and of another are nearly the same.
    #[test]
    fn texts_of_every_length_have_hashes_of_their_own() {
        let key = Key::random();
        for letters in [*b"01", *b"ac", *b"\0\x01"] {
            let mut seen = HashMap::new();
            for length in 0..=20 {
                // All of the short ones, and some of the long.
                for number in (0..1_u32 << length).step_by(if length > 12 { 211 } else { 1 }) {
                    let text: Vec<u8> =
                        (0..length).map(|bit| letters[(number >> bit & 1) as usize]).collect();
                    let hash = key.hash(0, &text);
                    assert_eq!(seen.insert(hash, text.clone()), None, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn hashes_spread() {
        let mut buckets = [0_u32; 256];
        for number in 0..25_600 {
            let hash = Key::FIXED.hash(0, format!("/api/v1/resource{number}").as_bytes());
            buckets[usize::from(hash.to_le_bytes()[0])] += 1;
        }
        let crowded = buckets.iter().max().unwrap();
        assert!(*crowded < 200, "100 are expected, {crowded} are in one bucket");
    }
}
