//! THE LINE OF A CHUNK'S SIZE, and the grammar of its extensions. RFC 9112 §7.1.
//!
//! ```text
//!  1*16HEXDIG *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) CR LF
//! ```
//! Extensions are checked and then forgotten: what one reader skips and another understands is a gap
//! to smuggle through.

use crate::http::{Reason, is_token};

/// The most digits of a size: 64 bits.
pub(super) const SIZE_DIGITS_MAX: u16 = 16;

/// The size that `line` says, which ends with its LF.
pub(super) fn size(line: &[u8], extension_bytes_max: u16) -> Result<u64, Reason> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > usize::from(SIZE_DIGITS_MAX) {
        return Err(Reason::ChunkSize);
    }
    let (digits, rest) = line.split_at(digits);
    let size = digits.iter().fold(0, |size, digit| size << 4 | hex(*digit));
    if rest == b"\r\n" {
        return Ok(size);
    }
    let extension = rest.strip_suffix(b"\r\n").ok_or(Reason::ChunkLine)?;
    if extension.len() > usize::from(extension_bytes_max) || !is_extension(extension) {
        return Err(Reason::ChunkExtension);
    }
    Ok(size)
}

fn hex(digit: u8) -> u64 {
    // `0`–`9` are 0x30–0x39, letters are 0x41–0x46 and 0x61–0x66.
    u64::from(digit & 0x0F) + if digit > b'9' { 9 } else { 0 }
}

fn is_extension(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some([b';', rest @ ..]) = Some(skip_space(bytes)) else { return false };
        let Some(rest) = skip_token(skip_space(rest)) else { return false };
        bytes = match skip_space(rest) {
            [b'=', rest @ ..] => {
                let value = skip_space(rest);
                match skip_token(value).or_else(|| skip_quoted(value)) {
                    Some(rest) => rest,
                    None => return false,
                }
            }
            _ => rest,
        };
    }
    true
}

const fn skip_space(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', behind @ ..] = rest {
        rest = behind;
    }
    rest
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_token(&[**byte])).count();
    (length > 0).then(|| &bytes[length..])
}

/// RFC 9110 §5.6.4: what stands behind a quoted string.
fn skip_quoted(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., behind @ ..] => behind,
            [b'\t' | b' '..=b'[' | b']'..=b'~' | 0x80.., behind @ ..] => behind,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9112_7_1_sizes() {
        for (line, expected) in [
            ("0\r\n", Ok(0)),
            ("aF\r\n", Ok(0xAF)),
            ("000000000000000A\r\n", Ok(10)),
            ("ffffffffffffffff\r\n", Ok(u64::MAX)),
            ("00000000000000000\r\n", Err(Reason::ChunkSize)),
            ("\r\n", Err(Reason::ChunkSize)),
            ("0x5\r\n", Err(Reason::ChunkExtension)),
            ("-1\r\n", Err(Reason::ChunkSize)),
            ("+1\r\n", Err(Reason::ChunkSize)),
            (" 5\r\n", Err(Reason::ChunkSize)),
            ("5\n", Err(Reason::ChunkLine)),
            ("5\r\r\n", Err(Reason::ChunkExtension)),
        ] {
            assert_eq!(size(line.as_bytes(), 256), expected, "{line:?}");
        }
    }

    #[test]
    fn rfc_9112_7_1_1_extensions() {
        for good in ["5;a\r\n", "5;a=b\r\n", "5 ; a = \"b;\\\"\" ;c\r\n", "5;a=\"\"\r\n"] {
            assert_eq!(size(good.as_bytes(), 256), Ok(5), "{good:?}");
        }
        for bad in [
            "5 \r\n",
            "5;\r\n",
            "5;a=\r\n",
            "5 a\r\n",
            "5;a=\"b\r\n",
            "5;a\0\r\n",
            "5;a\rb\r\n",
            "5;;\r\n",
            "5;a \r\n",
        ] {
            assert_eq!(size(bad.as_bytes(), 256), Err(Reason::ChunkExtension), "{bad:?}");
        }
        let long = format!("5;{}\r\n", "a".repeat(255));
        assert_eq!(size(long.as_bytes(), 256), Ok(5));
        assert_eq!(size(long.as_bytes(), 255), Err(Reason::ChunkExtension));
    }
}
