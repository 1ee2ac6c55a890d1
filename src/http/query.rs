//! THE QUERY of a target, as forms write it: `+` is a space, `%` and two digits are a byte. The URL standard,
//! §5.1.
//!
//! ```text
//!  name=a+b&name=%61  ──►  name: "a b", name: "a"
//! ```
//! What is broken stays as it is. Whoever finds a parameter, and whoever leaves its value out of a line, read
//! it by the same rules.

use std::borrow::Cow;

/// The first value of `name` in `query`, decoded. What is not UTF-8 is replaced.
pub(crate) fn value_of<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value))
}

/// The byte that `text` begins with once it is decoded, and what is behind it.
pub(crate) fn first_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match text {
        [b'%', high, low, behind @ ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, behind)),
            _ => text.split_first().map(|(byte, behind)| (*byte, behind)),
        },
        [b'+', behind @ ..] => Some((b' ', behind)),
        _ => text.split_first().map(|(byte, behind)| (*byte, behind)),
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((byte, behind)) = first_byte(rest) {
        bytes.push(byte);
        rest = behind;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_once() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a+b", "a b"),
            ("%41%62", "Ab"),
            ("%2B%2520", "+%20"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz% 1"),
            ("%C3%A9", "\u{e9}"),
            ("%FF", "\u{FFFD}"),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }

    #[test]
    fn the_first_value_counts() {
        for (query, expected) in
            [("a=1&b=2&b=3", Some("2")), ("%62=+", Some(" ")), ("b", Some("")), ("a=b", None), ("", None)]
        {
            assert_eq!(value_of(query, "b").as_deref(), expected, "{query}");
        }
    }
}
