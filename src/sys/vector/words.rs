//! The classes of [`super`] with two words of eight bytes, for processors without vectors that are certain.
//!
//! Each byte is judged in its own lane: seven bits are added to, so that no carry leaves it, and the
//! eighth is looked at apart.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

#[inline(always)]
pub(super) fn controls(block: &[u8; 16]) -> u32 {
    bits(block, |word| below(word, 0x20) | equal(word, 0x7F))
}

#[inline(always)]
pub(super) fn name_ends(block: &[u8; 16]) -> u32 {
    bits(block, |word| below(word, 0x21) | equal(word, b':'))
}

#[inline(always)]
pub(super) fn target_ends(block: &[u8; 16]) -> u32 {
    bits(block, |word| word | below(word, 0x21) | equal(word, 0x7F) | equal(word, b'#'))
}

#[inline(always)]
pub(super) fn host_ends(block: &[u8; 16]) -> u32 {
    bits(block, |word| {
        let letters = within(word | (0x20 * ONES), b'a', b'z');
        !(letters | within(word, b'-', b'9')) | equal(word, b'/')
    })
}

/// Flags the bytes from `first` to `last`.
#[inline(always)]
const fn within(word: u64, first: u8, last: u8) -> u64 {
    below(word, last + 1) & !below(word, first)
}

/// Flags the bytes below `limit`, which is at most 0x80.
#[inline(always)]
const fn below(word: u64, limit: u8) -> u64 {
    !((word & !HIGHS).wrapping_add((0x80 - limit as u64) * ONES) | word)
}

/// Flags the bytes equal to `byte`.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (byte as u64 * ONES), 1)
}

/// One bit for each flagged byte of the block.
#[inline(always)]
fn bits(block: &[u8; 16], flags: impl Fn(u64) -> u64) -> u32 {
    let (words, _) = block.as_chunks::<8>();
    let gathered = words.iter().enumerate().fold(0, |bits, (place, word)| {
        let flagged = (flags(u64::from_le_bytes(*word)) & HIGHS) >> 7;
        // Each flag is moved to its own bit of the highest byte.
        bits | (flagged.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * place)
    });
    u32::try_from(gathered).unwrap_or(u32::MAX)
}
