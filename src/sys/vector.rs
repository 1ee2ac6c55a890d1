//! SIXTEEN BYTES AT ONCE: which of them belong to a class, as bits. Pure functions of bytes: no system
//! call, and the one part of this room that the protocol machines use.
//!
//! ```text
//!  block   k  e  e  p  -  a  l  i  v  e CR LF  H  o  s  t       bit i is byte i
//!  bits    0  0  0  0  0  0  0  0  0  0  1  1  0  0  0  0
//! ```
//! One instruction each where the processor has vectors for certain (x86-64: SSE2), and words elsewhere;
//! a test holds both to the plain definition. Knows no grammar but the four classes.

/// The bytes that end a field value's run: control characters, tab and DEL included.
#[inline(always)]
pub fn controls(block: &[u8; 16]) -> u32 {
    lanes::controls(block)
}

/// The bytes that end a field name's run: control characters but DEL, space and colon.
#[inline(always)]
pub fn name_ends(block: &[u8; 16]) -> u32 {
    lanes::name_ends(block)
}

/// The bytes that end a request target: whatever is no visible ASCII character, and `#`.
#[inline(always)]
pub fn target_ends(block: &[u8; 16]) -> u32 {
    lanes::target_ends(block)
}

/// The bytes that end a run of what hosts are made of: whatever is no ASCII letter or digit, `-` or `.`.
#[inline(always)]
pub fn host_ends(block: &[u8; 16]) -> u32 {
    lanes::host_ends(block)
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8,
    };

    #[inline(always)]
    pub(super) fn controls(block: &[u8; 16]) -> u32 {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { bits(_mm_or_si128(below::<0x20>(load(block)), equal::<0x7F>(load(block)))) }
    }

    #[inline(always)]
    pub(super) fn name_ends(block: &[u8; 16]) -> u32 {
        // SAFETY: as above.
        unsafe { bits(_mm_or_si128(below::<0x21>(load(block)), equal::<{ b':' as i8 }>(load(block)))) }
    }

    #[inline(always)]
    pub(super) fn target_ends(block: &[u8; 16]) -> u32 {
        // SAFETY: as above.
        unsafe {
            // As signed bytes the visible characters are 0x21..=0x7E, and those from 0x80 are negative.
            let invisible = _mm_cmpgt_epi8(_mm_set1_epi8(0x21), load(block));
            let marks = _mm_or_si128(equal::<0x7F>(load(block)), equal::<{ b'#' as i8 }>(load(block)));
            bits(_mm_or_si128(invisible, marks))
        }
    }

    #[inline(always)]
    pub(super) fn host_ends(block: &[u8; 16]) -> u32 {
        // SAFETY: as above.
        unsafe {
            let block = load(block);
            let letters = within::<b'a', b'z'>(_mm_or_si128(block, _mm_set1_epi8(0x20)));
            // `-`, `.`, `/` and the digits stand in one row.
            let others = _mm_andnot_si128(equal::<{ b'/' as i8 }>(block), within::<b'-', b'9'>(block));
            bits(_mm_or_si128(letters, others)) ^ 0xFFFF
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(block: &[u8; 16]) -> __m128i {
        // SAFETY: the block has sixteen bytes, and the load asks for no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn below<const LIMIT: i8>(block: __m128i) -> __m128i {
        let greatest = _mm_set1_epi8(LIMIT - 1);
        _mm_cmpeq_epi8(_mm_min_epu8(block, greatest), block)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn within<const FIRST: u8, const LAST: u8>(block: __m128i) -> __m128i {
        let moved = _mm_sub_epi8(block, _mm_set1_epi8(FIRST.cast_signed()));
        let greatest = _mm_set1_epi8((LAST - FIRST).cast_signed());
        _mm_cmpeq_epi8(_mm_min_epu8(moved, greatest), moved)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal<const BYTE: i8>(block: __m128i) -> __m128i {
        _mm_cmpeq_epi8(block, _mm_set1_epi8(BYTE))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(lanes: __m128i) -> u32 {
        _mm_movemask_epi8(lanes).cast_unsigned()
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod words;
#[cfg(not(target_arch = "x86_64"))]
use words as lanes;

#[cfg(test)]
mod tests {
    use super::{controls, host_ends, name_ends, target_ends, words};

    fn agrees(both: [fn(&[u8; 16]) -> u32; 2], is_member: fn(u8) -> bool) {
        for pair in 0..=u16::MAX {
            let [low, high] = pair.to_le_bytes();
            let mut block = [b'a'; 16];
            for (at, byte) in [(0, low), (1, high), (7, low), (8, high), (14, low), (15, high)] {
                block[at] = byte;
            }
            let expected = block.iter().rev().fold(0, |bits, &byte| bits << 1 | u32::from(is_member(byte)));
            for bits in both {
                assert_eq!(bits(&block), expected, "{block:?}");
            }
        }
    }

    #[test]
    fn control_characters() {
        agrees([controls, words::controls], |byte| byte < 0x20 || byte == 0x7F);
    }

    #[test]
    fn ends_of_names() {
        agrees([name_ends, words::name_ends], |byte| byte <= b' ' || byte == b':');
    }

    #[test]
    fn ends_of_targets() {
        agrees([target_ends, words::target_ends], |byte| !(0x21..0x7F).contains(&byte) || byte == b'#');
    }

    #[test]
    fn ends_of_hosts() {
        agrees([host_ends, words::host_ends], |byte| {
            !(byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        });
    }
}
