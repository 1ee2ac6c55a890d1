//! THE HUFFMAN CODE of strings. RFC 7541 §5.2, appendix B.
//!
//! ```text
//!          ┌───── looked up ─────┐
//!  bits ─► 00011 00101 01│1100 …          two symbols of ten bits in one step: "ae"
//!          11111111 1101│1 …              longer than the table: found by its length
//!          … │ 1 1 1 1 1                  padding: at most seven ones, else the string is refused
//! ```
//! The code is canonical: codes of one length are consecutive numbers in the order of the symbols, so that
//! the lengths say everything. The tables are made of them by the compiler.

use super::Error;

/// The bytes that `text` takes.
#[inline]
pub(super) fn encoded_length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends `text`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    // The lowest `count` bits of the buffer wait; fewer than 32 before each symbol.
    let (mut buffer, mut count) = (0_u64, 0_u32);
    for &byte in text {
        let code = CODES[usize::from(byte)];
        let length = u32::from(LENGTHS[usize::from(byte)]);
        buffer = buffer << length | u64::from(code);
        count += length;
        if count >= 32 {
            count -= 32;
            let [.., a, b, c, d] = (buffer >> count).to_be_bytes();
            out.extend_from_slice(&[a, b, c, d]);
        }
    }
    let padded = count.next_multiple_of(8);
    buffer = ((buffer + 1) << (padded - count)) - 1;
    let [.., a, b, c, d] = (buffer << (32 - padded)).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d][..padded as usize / 8]);
}

/// Appends the text that `code` means.
///
/// # Errors
/// The padding is not at most seven ones, or the end of the string is among its symbols.
#[inline]
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut bits = Bits { buffer: 0, count: 0, rest: code };
    while bits.fill_word() {
        let (mut word, mut filled, mut found) = (0_u64, 0, Found(0));
        for _ in 0..STEPS {
            found = bits.look(bits.buffer);
            word |= found.symbols() << filled;
            filled += found.symbol_bits();
            bits.skip(found.length());
        }
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(out.len() - (STEPS_BITS - filled) as usize / 8);
        if found.is_long() && bits.fill_word() {
            let (symbol, length) = long(bits.buffer)?;
            out.push(symbol);
            bits.skip(length);
        }
    }
    end(bits, out)
}

/// The last bits, fewer than a word, where every step could be one too far.
fn end(mut bits: Bits<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    loop {
        bits.fill_bytes();
        // As if the padding went on.
        let ahead = bits.buffer | u64::MAX >> bits.count;
        if ahead == u64::MAX {
            return match bits.count {
                0..8 => Ok(()),
                8..LENGTH_MAX => Err(Error::HuffmanPadding),
                _ => Err(Error::HuffmanEnd),
            };
        }
        let found = bits.look(ahead);
        let [first, second, ..] = found.symbols().to_le_bytes();
        if found.symbol_bits() == 16 && found.length() <= bits.count {
            out.extend_from_slice(&[first, second]);
            bits.skip(found.length());
            continue;
        }
        let (symbol, length) = match found.is_long() {
            true => long(ahead)?,
            false => (first, u32::from(LENGTHS[usize::from(first)])),
        };
        if length > bits.count {
            return Err(Error::HuffmanPadding);
        }
        out.push(symbol);
        bits.skip(length);
    }
}

/// The symbol whose code, longer than what is looked up, is uppermost in `buffer`; and its length.
#[inline(never)]
fn long(buffer: u64) -> Result<(u8, u32), Error> {
    let code = buffer >> 32;
    let length = (LOOK_BITS + 1..=LENGTH_MAX).find(|&length| code < BY_LENGTH[length as usize].limit);
    // No code is above the limit of the longest.
    let length = length.unwrap_or(LENGTH_MAX);
    let of_length = BY_LENGTH[length as usize];
    let code = usize::try_from(code >> (32 - length)).map_err(|_| Error::HuffmanEnd)?;
    // The last code of all is the end of the string: RFC 7541 §5.2.
    let symbol = SYMBOLS.get(of_length.place + code - of_length.first);
    symbol.map(|&symbol| (symbol, length)).ok_or(Error::HuffmanEnd)
}

/// How many bits are looked up at once: two of the usual symbols.
const LOOK_BITS: u32 = 12;
/// How often they are before more bits are needed.
const STEPS: u32 = 4;
/// Room for the symbols that are found so.
const STEPS_BITS: u32 = STEPS * 16;
/// The longest code, in bits.
const LENGTH_MAX: u32 = 30;

const _: () = assert!(STEPS * LOOK_BITS <= 56 && STEPS_BITS == u64::BITS);

/// The bits that are not decoded yet, the next one uppermost.
struct Bits<'c> {
    /// Behind `count` bits there are zeros, or bits of `rest`.
    buffer: u64,
    count: u32,
    rest: &'c [u8],
}

impl Bits<'_> {
    /// Fills the buffer with at least 56 bits, if there is a word to take them from.
    #[inline(always)]
    fn fill_word(&mut self) -> bool {
        let Some(word) = self.rest.first_chunk() else { return false };
        self.buffer |= u64::from_be_bytes(*word) >> self.count;
        let bytes = (63 - self.count) / 8;
        self.rest = &self.rest[bytes as usize..];
        self.count += bytes * 8;
        true
    }

    /// Fills the buffer with what is left and fits.
    #[inline(always)]
    fn fill_bytes(&mut self) {
        while self.count < 56 {
            let [byte, behind @ ..] = self.rest else { break };
            self.buffer |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
            self.rest = behind;
        }
    }

    #[inline(always)]
    fn look(&self, buffer: u64) -> Found {
        FOUND[(buffer >> (u64::BITS - LOOK_BITS)) as usize]
    }

    #[inline(always)]
    fn skip(&mut self, length: u32) {
        self.buffer <<= length;
        self.count -= length;
    }
}

/// What the next bits mean, in one word:
///
/// ```text
///  second:8  first:8  text bits:8 (8, 16)  code bits:8 (5 to 12)
/// ```
/// Zero for the beginning of a long code. What the next step waits for is lowest.
#[derive(Clone, Copy)]
struct Found(u32);

impl Found {
    #[inline(always)]
    const fn symbols(self) -> u64 {
        (self.0 >> 16) as u64
    }

    #[inline(always)]
    const fn symbol_bits(self) -> u32 {
        self.0 >> 8 & 0xFF
    }

    #[inline(always)]
    const fn length(self) -> u32 {
        self.0 & 0x3F
    }

    #[inline(always)]
    const fn is_long(self) -> bool {
        self.0 == 0
    }

    /// What begins with these bits.
    const fn at(bits: usize) -> Self {
        let Some((first, length)) = single(bits) else { return Self(0) };
        match single(bits << length & ((1 << LOOK_BITS) - 1)) {
            Some((second, more)) if length + more <= LOOK_BITS => {
                Self((second as u32) << 24 | (first as u32) << 16 | 16 << 8 | (length + more))
            }
            _ => Self((first as u32) << 16 | 8 << 8 | length),
        }
    }
}

/// What so many next bits mean.
static FOUND: [Found; 1 << LOOK_BITS] = {
    let mut table = [Found(0); 1 << LOOK_BITS];
    let mut bits = 0;
    while bits < table.len() {
        table[bits] = Found::at(bits);
        bits += 1;
    }
    table
};

/// The symbol whose code begins these [`LOOK_BITS`], if it ends there, too.
const fn single(bits: usize) -> Option<(u8, u32)> {
    let mut length = 5;
    while length <= LOOK_BITS {
        let of_length = BY_LENGTH[length as usize];
        if ((bits << (32 - LOOK_BITS)) as u64) < of_length.limit {
            let place = of_length.place + (bits >> (LOOK_BITS - length)) - of_length.first;
            return Some((SYMBOLS[place], length));
        }
        length += 1;
    }
    None
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct OfLength {
    first: usize,
    /// The place of its symbol among the [`SYMBOLS`].
    place: usize,
    /// What is above all of them, with 32 bits: longer codes.
    limit: u64,
}

static BY_LENGTH: [OfLength; LENGTH_MAX as usize + 1] = {
    let mut table = [OfLength { first: 0, place: 0, limit: 0 }; LENGTH_MAX as usize + 1];
    let (mut next, mut place, mut length) = (0_usize, 0, 1);
    while length <= LENGTH_MAX {
        next <<= 1;
        table[length as usize].first = next;
        table[length as usize].place = place;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == length {
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        table[length as usize].limit = (next as u64) << (32 - length);
        length += 1;
    }
    assert!(next == 1 << LENGTH_MAX, "every sequence of bits means something");
    table
};

/// The symbols in the order of their codes; the end of the string would be the last.
static SYMBOLS: [u8; 256] = {
    let mut symbols = [0; 256];
    let (mut place, mut length) = (0, 1);
    while length <= LENGTH_MAX {
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as u32 == length {
                symbols[place] = symbol.to_le_bytes()[0];
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

/// The codes of the bytes.
static CODES: [u32; 256] = {
    let mut codes = [0; 256];
    let mut place = 0;
    while place < 256 {
        let symbol = SYMBOLS[place] as usize;
        let of_length = BY_LENGTH[LENGTHS[symbol] as usize];
        let [a, b, c, d, ..] = (of_length.first + place - of_length.place).to_le_bytes();
        codes[symbol] = u32::from_le_bytes([a, b, c, d]);
        place += 1;
    }
    codes
};

/// RFC 7541 appendix B: how many bits each byte has, and at last the end of the string.
#[rustfmt::skip]
static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::LazyLock;

    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut code = Vec::new();
        encode(text, &mut code);
        assert_eq!(code.len(), encoded_length(text));
        code
    }

    fn decoded(code: &[u8]) -> Result<Vec<u8>, Error> {
        let mut text = b"before ".to_vec();
        decode(code, &mut text).map(|()| text.split_off(7))
    }

    /// Bit by bit, as the code is defined.
    fn oracle(code: &[u8]) -> Result<Vec<u8>, Error> {
        static BY_CODE: LazyLock<HashMap<(u8, u32), u8>> = LazyLock::new(|| {
            let code = |symbol: u8| (LENGTHS[usize::from(symbol)], CODES[usize::from(symbol)]);
            (0..=255).map(|symbol| (code(symbol), symbol)).collect()
        });
        let (mut text, mut value, mut length, mut is_padding) = (Vec::new(), 0_u32, 0_u8, true);
        for bit in code.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)) {
            value = value << 1 | u32::from(bit);
            length += 1;
            is_padding &= bit == 1;
            if length == 30 && value == u32::MAX >> 2 {
                return Err(Error::HuffmanEnd);
            }
            if let Some(symbol) = BY_CODE.get(&(length, value)) {
                text.push(*symbol);
                (value, length, is_padding) = (0, 0, true);
            }
        }
        if length < 8 && is_padding { Ok(text) } else { Err(Error::HuffmanPadding) }
    }

    struct Dice(u64);

    impl Dice {
        fn byte(&mut self) -> u8 {
            self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            self.0.to_le_bytes()[7]
        }
    }

    #[test]
    fn rfc_7541_b() {
        for (byte, code, length) in [
            (b'0', 0x0, 5),
            (b' ', 0x14, 6),
            (b'z', 0x7B, 7),
            (b'&', 0xF8, 8),
            (b'?', 0x3FC, 10),
            (b'|', 0x7FC, 11),
            (0, 0x1FF8, 13),
            (b'{', 0x7FFE, 15),
            (b'\\', 0x7FFF0, 19),
            (1, 0x007F_FFD8, 23),
            (255, 0x03FF_FFEE, 26),
            (249, 0x0FFF_FFFE, 28),
            (b'\n', 0x3FFF_FFFC, 30),
            (22, 0x3FFF_FFFE, 30),
        ] {
            assert_eq!((CODES[usize::from(byte)], LENGTHS[usize::from(byte)]), (code, length), "{byte}");
        }
    }

    #[test]
    fn every_byte_there_and_back() {
        for byte in 0..=255 {
            // Alone, and at every place within a word and beyond.
            for before in 0..40 {
                let text = [&b"a".repeat(before)[..], &[byte], b"tail of a word"].concat();
                assert_eq!(decoded(&encoded(&text)), Ok(text));
                let text = [&b"0&".repeat(before)[..], &[byte]].concat();
                assert_eq!(decoded(&encoded(&text)), Ok(text));
            }
            for other in 0..=255 {
                let text = [byte, other, byte];
                assert_eq!(decoded(&encoded(&text)), Ok(text.to_vec()));
            }
        }
    }

    #[test]
    fn random_text_there_and_back() {
        let mut dice = Dice(1);
        for round in 0..4_000 {
            let length = round % 90;
            let text: Vec<u8> = (0..length)
                .map(|_| match round % 3 {
                    0 => dice.byte(),
                    1 => b' ' + dice.byte() % 95,
                    _ => b"0123456789abcdefghijklmnopqrstuvwxyz-/.=,;:"[usize::from(dice.byte()) % 43],
                })
                .collect();
            assert_eq!(decoded(&encoded(&text)), Ok(text));
        }
    }

    #[test]
    fn any_bytes_mean_what_they_mean_bit_by_bit() {
        let mut dice = Dice(2);
        for round in 0..20_000 {
            let mut code: Vec<u8> = (0..round % 40).map(|_| dice.byte()).collect();
            if round % 2 == 0 {
                // More ones: longer codes.
                code.iter_mut().for_each(|byte| *byte |= dice.byte() | dice.byte());
            }
            assert_eq!(decoded(&code), oracle(&code), "{code:02x?}");
        }
        for high in 0..=255 {
            for low in 0..=255 {
                assert_eq!(decoded(&[high, low]), oracle(&[high, low]));
            }
        }
    }

    #[test]
    fn rfc_7541_5_2_paddings() {
        // Five to twelve bits, so that every length of padding comes up; then the wrong ones.
        for text in [&b"a"[..], b"aa", b"aaa", b"aaaa", b"aaaaa", b"aaaaaa", b"aaaaaaa", b"aaaaaaaa"] {
            let code = encoded(text);
            let padding = code.len() * 8 - text.len() * 5;
            assert!(padding < 8);
            assert_eq!(decoded(&code), Ok(text.to_vec()));
            for bit in 0..padding {
                let mut wrong = code.clone();
                *wrong.last_mut().unwrap() ^= 1 << bit;
                // It may be a symbol; else it is refused.
                assert_eq!(decoded(&wrong), oracle(&wrong), "{wrong:02x?}");
                assert_ne!(decoded(&wrong), Ok(text.to_vec()));
            }
            let long = [&code[..], &[0xFF]].concat();
            assert_eq!(decoded(&long), Err(Error::HuffmanPadding), "eight and more");
        }
        assert_eq!(decoded(&[]), Ok(vec![]));
        for ones in 1..4 {
            assert_eq!(decoded(&vec![0xFF; ones]), Err(Error::HuffmanPadding));
        }
    }

    #[test]
    fn rfc_7541_5_2_no_end_inside() {
        for before in 0..24 {
            let end = [0xFF, 0xFF, 0xFF, 0xFF];
            for behind in [&[][..], &[0x1F], &[0; 12]] {
                let code = [&encoded(&b"&".repeat(before)), &end[..], behind].concat();
                assert_eq!(decoded(&code), Err(Error::HuffmanEnd), "{code:02x?}");
            }
        }
    }
}
