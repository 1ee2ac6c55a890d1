//! One line of `Forwarded`: its elements, and what each says. Strict: what RFC 7239 §4 does not allow says
//! nothing.
//!
//! ```text
//!  for=192.0.2.60;proto=http;by=203.0.113.43, for="[2001:db8::7]:4711"
//!  └ element ─ pair; pair; pair ────────────┘ └ a quote may hide a comma or a semicolon
//! ```

use super::{Hop, Seen, address, is_https, is_obfuscated, is_port};
use crate::http::is_token;

/// The longest value that is understood, in bytes: an IPv6 address, its brackets and a port.
const VALUE_BYTES_MAX: usize = 64;

/// The elements of a line; one with a quote that is never closed goes to its end.
pub(super) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(line, b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// What one element says: nothing if it is malformed.
pub(super) fn hop(element: &[u8]) -> Hop {
    read(element).unwrap_or(Hop { seen: Seen::Unreadable, is_https: None })
}

fn read(element: &[u8]) -> Option<Hop> {
    // Whoever does not say for whom hides that.
    let (mut hop, mut seen) = (Hop { seen: Seen::Hidden, is_https: None }, [false; 2]);
    for pair in split(element, b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        if !is_token(name) {
            return None;
        }
        let mut room = [0; VALUE_BYTES_MAX];
        let place = match name {
            name if name.eq_ignore_ascii_case(b"for") => 0,
            name if name.eq_ignore_ascii_case(b"proto") => 1,
            _ => {
                unquoted(value, &mut room)?;
                continue;
            }
        };
        if std::mem::replace(&mut seen[place], true) {
            return None;
        }
        let value = unquoted(value, &mut room)?.filter(|value| !value.is_empty())?;
        match place {
            0 => hop.seen = node(value),
            _ => hop.is_https = is_https(value),
        }
    }
    Some(hop)
}

/// RFC 7239 §6: a name with or without a port, each of which may be hidden; IPv6 in brackets.
fn node(value: &[u8]) -> Seen {
    let end = match value.starts_with(b"[") {
        true => value.iter().position(|byte| *byte == b']').map(|bracket| bracket + 1),
        false => value.iter().position(|byte| *byte == b':'),
    };
    let (name, port) = value.split_at(end.unwrap_or(value.len()));
    let is_sound = |port: &[u8]| is_port(port) || is_obfuscated(port);
    match port.is_empty() || port.strip_prefix(b":").is_some_and(is_sound) {
        true => Seen::at(address(name), name),
        false => Seen::Unreadable,
    }
}

/// A token as it is, or the text of a quoted string (RFC 9110 §5.6.4); `None` if it is neither, `Some(None)`
/// if it is longer than anything that is understood.
fn unquoted<'r>(value: &'r [u8], room: &'r mut [u8; VALUE_BYTES_MAX]) -> Option<Option<&'r [u8]>> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        return is_token(value).then_some(Some(value));
    };
    let inner = inner.strip_suffix(b"\"")?;
    let (mut length, mut bytes) = (0, inner.iter());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => bytes.next()?,
            b'"' => return None,
            byte => byte,
        };
        if let Some(place) = room.get_mut(length) {
            *place = *byte;
        }
        length += 1;
    }
    Some(room.get(..length))
}

/// Splits where `separator` stands outside of quotes.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let is_escaped = escaped;
        escaped = quoted && !is_escaped && *byte == b'\\';
        quoted ^= *byte == b'"' && !is_escaped;
        *byte == separator && !quoted
    })
}
