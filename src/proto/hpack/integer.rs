//! INTEGERS behind the first bits of a byte. RFC 7541 §5.1.
//!
//! ```text
//!  kind │ value                                 value < mask: done
//!  kind │ 1 1 1 1 1   1 rest:7   …   0 rest:7   mask + rest, the low seven bits first
//! ```
//! `mask` is the room that the kind of representation leaves in the byte. Bounded: nothing of ours has 2³².

use super::Error;

/// How many bytes may follow the first: enough for 2³² - 1.
const MORE_BYTES_MAX: u32 = 5;

/// Takes an integer off the beginning of `rest`.
///
/// # Errors
/// The bytes end before it does, or it is longer or larger than anything needs.
#[inline(always)]
pub(super) fn take(rest: &mut &[u8], mask: u8) -> Result<usize, Error> {
    let [first, behind @ ..] = *rest else { return Err(Error::Truncated) };
    *rest = behind;
    let value = first & mask;
    if value < mask { Ok(usize::from(value)) } else { take_more(rest, mask) }
}

#[inline(never)]
fn take_more(rest: &mut &[u8], mask: u8) -> Result<usize, Error> {
    let mut value = u64::from(mask);
    for place in 0..MORE_BYTES_MAX {
        let [byte, behind @ ..] = *rest else { return Err(Error::Truncated) };
        *rest = behind;
        value += u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| Error::IntegerTooLarge)?;
            return usize::try_from(value).map_err(|_| Error::IntegerTooLarge);
        }
    }
    Err(Error::IntegerTooLarge)
}

/// Writes `value` behind the bits `kind`.
#[inline(always)]
pub(super) fn put(out: &mut Vec<u8>, kind: u8, mask: u8, value: usize) {
    if value < usize::from(mask) {
        out.push(kind | value.to_le_bytes()[0]);
    } else {
        put_more(out, kind, mask, value);
    }
}

#[inline(never)]
fn put_more(out: &mut Vec<u8>, kind: u8, mask: u8, value: usize) {
    out.push(kind | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mut bytes: &[u8], mask: u8) -> Result<(usize, usize), Error> {
        let all = bytes.len();
        take(&mut bytes, mask).map(|value| (value, all - bytes.len()))
    }

    #[test]
    fn rfc_7541_c_1() {
        for (value, kind, mask, bytes) in
            [(10, 0xE0, 0x1F, &[0xEA][..]), (1337, 0xE0, 0x1F, &[0xFF, 0x9A, 0x0A]), (42, 0, 0xFF, &[0x2A])]
        {
            let mut out = Vec::new();
            put(&mut out, kind, mask, value);
            assert_eq!(out, bytes);
            assert_eq!(taken(bytes, mask), Ok((value, bytes.len())));
        }
    }

    #[test]
    fn there_and_back() {
        let values = (0..70_000).chain((1..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 130]));
        for value in values.chain([u32::MAX as usize]) {
            for mask in [0x0F, 0x1F, 0x3F, 0x7F, 0xFF] {
                let mut out = Vec::new();
                put(&mut out, 0, mask, value);
                let length = out.len();
                assert_eq!(taken(&out, mask), Ok((value, length)));
                out.push(0xFF);
                assert_eq!(taken(&out, mask), Ok((value, length)));
                assert_eq!(taken(&out[..length - 1], mask), Err(Error::Truncated));
            }
        }
    }

    #[test]
    fn integers_end() {
        // 2³² - 1, 2³², and what is longer than it may be.
        assert_eq!(taken(&[0x7F, 0x80, 0xFF, 0xFF, 0xFF, 0x0F], 0x7F), Ok((u32::MAX as usize, 6)));
        assert_eq!(taken(&[0x7F, 0x81, 0xFF, 0xFF, 0xFF, 0x0F], 0x7F), Err(Error::IntegerTooLarge));
        assert_eq!(taken(&[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], 0x7F), Err(Error::IntegerTooLarge));
        assert_eq!(taken(&[0x7F, 0x80, 0x80, 0x80, 0x80, 0x00], 0x7F), Ok((0x7F, 6)), "zeros at the end");
        assert_eq!(taken(&[0x7F, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 0x7F), Err(Error::IntegerTooLarge));
        assert_eq!(taken(&[], 0x7F), Err(Error::Truncated));
    }
}
