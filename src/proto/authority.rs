//! HOST AND PORT: what may stand in a Host field and in the authority of a target.
//! RFC 9110 §4.2, §7.2, RFC 3986 §3.2. The same in every version.
//!
//! ```text
//!  reg-name │ IPv4address │ "[" IPv6address "]"   [ ":" *DIGIT ]
//! ```
//! No user information (RFC 9110 §4.2.4), no comma, no path, no zone.

use std::net::Ipv6Addr;

use super::scan;
use crate::http::Span;

/// Whether the bytes at `span` are a valid host, where a byte that no host has in it stands behind them.
#[inline(always)]
pub(super) fn is_valid_at(bytes: &[u8], span: Span) -> bool {
    let (start, end) = (span.start(), span.end());
    // Nearly always there is nothing but letters, digits, hyphens, dots and perhaps a port. The run is
    // looked for in all of `bytes`: the end of a slice would be in the way of whole blocks.
    let name = scan::host_end(bytes, start);
    match bytes.get(name) {
        _ if name == end => true,
        Some(b':') if name > start => is_port(&bytes[name..end]),
        _ => is_valid(&bytes[start..end]),
    }
}

/// Whether `bytes` is a host with an optional port; empty is valid (RFC 9110 §7.2: a target without an
/// authority has an empty Host).
#[inline(never)]
pub(super) fn is_valid(bytes: &[u8]) -> bool {
    let name = bytes.iter().position(|byte| !IS_NAME[usize::from(*byte)]).unwrap_or(bytes.len());
    match bytes.get(name) {
        None => true,
        Some(b':') => name > 0 && is_port(&bytes[name..]),
        Some(b'%' | b'[') => is_unusual(bytes),
        Some(_) => false,
    }
}

/// Whether `authority` ends with a port of at least one digit.
pub(super) fn has_port(authority: &[u8]) -> bool {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && authority.len() > digits + 1 && authority.get(authority.len() - digits - 1) == Some(&b':')
}

/// The authority of a target in absolute form: `http` and `https` only.
pub(super) fn of_absolute(target: &[u8]) -> Option<&[u8]> {
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// `[` IPv6 `]`, or a name with escapes.
#[cold]
fn is_unusual(bytes: &[u8]) -> bool {
    if let Some(rest) = bytes.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let address = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok() && is_port(&rest[end + 1..]);
    }
    let colon = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
    let (name, port) = bytes.split_at(colon);
    !name.is_empty() && is_port(port) && is_escaped_name(name)
}

/// RFC 3986 §3.2.2: `reg-name` with its escapes.
fn is_escaped_name(mut name: &[u8]) -> bool {
    while let [byte, rest @ ..] = name {
        name = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (byte, rest) if IS_NAME[usize::from(*byte)] => rest,
            _ => return false,
        };
    }
    true
}

/// Nothing, or a colon and a number that fits 16 bits. RFC 3986 §3.2.3 lets the digits be missing.
#[inline]
fn is_port(bytes: &[u8]) -> bool {
    let [b':', digits @ ..] = bytes else { return bytes.is_empty() };
    // Nearly all ports: what begins below 6 fits whatever follows.
    if let Some(([] | [b'0'..=b'5'], digits)) = digits.split_last_chunk() {
        return are_digits(*digits);
    }
    let mut port = 0_u32;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 || port > 6553 {
            return false;
        }
        port = port * 10 + u32::from(value);
    }
    port <= 0xFFFF
}

/// Whether these are four digits. Each byte is judged in its own lane: what 6 is added to stays below 0x10
/// in a digit only, and a carry comes only out of a byte that is none.
#[inline(always)]
const fn are_digits(bytes: [u8; 4]) -> bool {
    let values = u32::from_le_bytes(bytes) ^ 0x3030_3030;
    (values | values.wrapping_add(0x0606_0606)) & 0xF0F0_F0F0 == 0
}

/// unreserved and sub-delims without the comma, which would join two hosts.
static IS_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_7_2_hosts() {
        for host in [
            "",
            "a",
            "example.com",
            "example.com:80",
            "a:",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:443",
            "a_b-c~",
            "%41.example",
            "xn--nxasmq6b:1",
            "a:65535",
            "a:000080",
            "a:9999",
            "a:0000",
        ] {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "a,b",
            "user@a",
            "a/b",
            "a:b",
            "a:1:2",
            ":80",
            "[::1",
            "::1",
            "[::1]x",
            "[a]",
            "[fe80::1%25e]",
            "a%4",
            "%zz",
            "a\\b",
            "a?b",
            "a#b",
            "a\u{e9}",
            "a:65536",
            "a:123456",
            "a:80/0",
            "a:808:",
            "a:8 80",
            "a[::1]",
            "a]",
            "a:8%30",
        ] {
            assert!(!is_valid(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn rfc_9112_3_2_3_authority_form_has_a_port() {
        assert!(has_port(b"a:1") && has_port(b"[::1]:443"));
        assert!(!has_port(b"a") && !has_port(b"a:") && !has_port(b":1") && !has_port(b"1"));
    }

    #[test]
    fn rfc_9112_3_2_2_absolute_form() {
        assert_eq!(of_absolute(b"HTTP://a:1/b"), Some(&b"a:1"[..]));
        assert_eq!(of_absolute(b"https://a?b"), Some(&b"a"[..]));
        assert_eq!(of_absolute(b"http:///b"), Some(&b""[..]));
        assert_eq!(of_absolute(b"ftp://a/"), None);
        assert_eq!(of_absolute(b"http:/a"), None);
    }
}
