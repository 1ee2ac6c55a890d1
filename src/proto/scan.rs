//! SCANNING: where the next byte is that a part of a head may not contain, a block of sixteen at a time.
//!
//! What the classes are, [`vector`] knows; here they are applied to bytes that end anywhere. Knows no
//! grammar.

use crate::sys::vector;

/// How many bytes are looked at together.
pub(super) const BLOCK: usize = 16;

/// The first byte from `at` that is no visible ASCII character, or `#`; the length if there is none.
#[inline(always)]
pub(super) fn target_end(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, vector::target_ends)
}

/// The first byte from `at` that is a colon, a space or a control character other than DEL; the length
/// if there is none.
#[inline(always)]
pub(super) fn name_end(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, vector::name_ends)
}

/// The same in a block; its length if there is none.
#[inline(always)]
pub(super) fn short_name_end(block: &[u8; BLOCK]) -> usize {
    let place = (vector::name_ends(block) | 1 << BLOCK).trailing_zeros() as usize;
    examined(place);
    place
}

/// How many bytes at the beginning of a block are ASCII letters, digits, `-` and `.`.
#[inline(always)]
pub(super) fn plain_length(block: &[u8; BLOCK]) -> usize {
    (vector::host_ends(block) | 1 << BLOCK).trailing_zeros() as usize
}

/// The first byte from `at` that is a control character, tab included; the length if there is none.
#[inline(always)]
pub(super) fn value_end(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, vector::controls)
}

/// The first byte from `at` that is no ASCII letter or digit, `-` or `.`; the length if there is none.
#[inline(always)]
pub(super) fn host_end(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, vector::host_ends)
}

/// The first LF from `at`.
#[inline]
pub(super) fn line_feed(bytes: &[u8], at: usize) -> Option<usize> {
    let place = memchr::memchr(b'\n', bytes.get(at..)?).map(|place| at + place);
    examined(place.map_or(bytes.len(), |place| place + 1) - at);
    place
}

/// The first byte from `from` that `class` has a bit for; the length if there is none.
#[inline(always)]
fn find(bytes: &[u8], from: usize, class: impl Fn(&[u8; BLOCK]) -> u32) -> usize {
    let (blocks, rest) = bytes[from..].as_chunks();
    let mut at = from;
    for block in blocks {
        let bits = class(block);
        if bits != 0 {
            at += bits.trailing_zeros() as usize;
            examined(at - from);
            return at;
        }
        at += BLOCK;
    }
    let place = find_last(bytes, rest.len(), class);
    examined(place - from);
    place
}

/// The same for the `left` last bytes, fewer than a block has.
#[inline(never)]
fn find_last(bytes: &[u8], left: usize, class: impl Fn(&[u8; BLOCK]) -> u32) -> usize {
    let bits = match bytes.last_chunk() {
        // They are the upper ones of the last whole block.
        Some(block) => class(block) >> (BLOCK - left),
        None => {
            let mut block = [b'a'; BLOCK];
            block[..left].copy_from_slice(&bytes[bytes.len() - left..]);
            class(&block)
        }
    };
    bytes.len() - left + left.min(bits.trailing_zeros() as usize)
}

/// Counts examined bytes in tests: the proof that parsing is linear however the input drips in.
#[cfg(test)]
fn examined(count: usize) {
    EXAMINED.with(|examined| examined.set(examined.get() + count));
}

#[cfg(not(test))]
#[inline(always)]
const fn examined(_count: usize) {}

#[cfg(test)]
thread_local! {
    /// How many bytes this thread has examined.
    pub(super) static EXAMINED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of inputs around the length of a word.
    fn agrees(scan: impl Fn(&[u8], usize) -> usize, stops: impl Fn(u8) -> bool) {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    for at in 0..=length {
                        let expected = (at..length).find(|&at| stops(bytes[at])).unwrap_or(length);
                        assert_eq!(scan(&bytes, at), expected, "{bytes:?} from {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_target_ends_at_what_is_not_visible_ascii() {
        agrees(target_end, |byte| !(0x21..0x7F).contains(&byte) || byte == b'#');
    }

    #[test]
    fn a_name_ends_at_colon_space_or_control() {
        agrees(name_end, |byte| byte <= b' ' || byte == b':');
    }

    #[test]
    fn a_value_ends_at_a_control_character() {
        agrees(value_end, |byte| byte < b' ' || byte == 0x7F);
    }

    #[test]
    fn a_host_ends_at_what_is_rare_in_hosts() {
        agrees(host_end, |byte| !(byte.is_ascii_alphanumeric() || b"-.".contains(&byte)));
    }

    #[test]
    fn neighbours_of_a_flagged_byte_do_not_disturb() {
        for pair in 0..=u16::MAX {
            let [low, high] = pair.to_le_bytes();
            let bytes = [b'a', low, high, b'a', b'a', b'a', b'a', b'a'];
            let stops = |byte: &u8| *byte < b' ' || *byte == 0x7F;
            assert_eq!(value_end(&bytes, 0), bytes.iter().position(stops).unwrap_or(8), "{bytes:?}");
        }
    }
}
