//! Numbers, times, addresses and escaped texts, appended to a line without formatting machinery.
//!
//! Knows no record and no format. RFC 3339 (times), RFC 5952 (IPv6 addresses), RFC 8259 §7 (escapes).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::http::DateLine;

/// How many bytes of a client's text a line shows at most; of a longer one the beginning, and `...`.
pub const TEXT_BYTES_MAX: usize = 2048;
/// No line is longer: seven texts with each byte escaped to six, the name of a site, and what stands between
/// them.
pub(in crate::server) const LINE_BYTES_MAX: usize = 7 * 6 * TEXT_BYTES_MAX + 4096;
/// The most bytes that [`escaped_hex`] makes of a text.
pub(in crate::server) const HEX_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX + 3;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A second of the calendar in the words of each format, rendered when it changes.
#[derive(Debug)]
pub(in crate::server) struct Moment {
    second: u64,
    /// ` [22/Nov/2026:15:00:00 +0000] "`: all between the user and the request of a combined line.
    pub(in crate::server) combined: [u8; 31],
    /// `2026-11-22T15:00:00.`: milliseconds follow.
    pub(in crate::server) rfc_3339: [u8; 20],
}

impl Moment {
    pub(in crate::server) fn new() -> Self {
        let mut moment = Self {
            second: 0,
            combined: *b" [01/Jan/1970:00:00:00 +0000] \"",
            rfc_3339: *b"1970-01-01T00:00:00.",
        };
        moment.render();
        moment
    }

    #[inline]
    pub(in crate::server) fn set(&mut self, second: u64) {
        if self.second != second {
            self.second = second;
            self.render();
        }
    }

    /// `15:00:00.`
    pub(in crate::server) fn clock(&self) -> &[u8] {
        &self.rfc_3339[11..]
    }

    /// Takes the calendar out of the one place that knows it: `Sun, 06 Nov 1994 08:49:37 GMT`.
    fn render(&mut self) {
        let date = DateLine::new(self.second);
        let value = date.line().get(6..35).unwrap_or_default();
        let (day, month, year, clock) = (&value[5..7], &value[8..11], &value[12..16], &value[17..25]);
        self.combined[2..4].copy_from_slice(day);
        self.combined[5..8].copy_from_slice(month);
        self.combined[9..13].copy_from_slice(year);
        self.combined[14..22].copy_from_slice(clock);
        self.rfc_3339[..4].copy_from_slice(year);
        self.rfc_3339[5..7].copy_from_slice(month_number(month));
        self.rfc_3339[8..10].copy_from_slice(day);
        self.rfc_3339[11..19].copy_from_slice(clock);
    }
}

fn month_number(name: &[u8]) -> &'static [u8; 2] {
    match name {
        b"Jan" => b"01",
        b"Feb" => b"02",
        b"Mar" => b"03",
        b"Apr" => b"04",
        b"May" => b"05",
        b"Jun" => b"06",
        b"Jul" => b"07",
        b"Aug" => b"08",
        b"Sep" => b"09",
        b"Oct" => b"10",
        b"Nov" => b"11",
        _ => b"12",
    }
}

/// A number in decimal.
#[inline]
pub(in crate::server) fn number(line: &mut Vec<u8>, number: u64) {
    match number {
        0..1000 => {
            let zeros = zeros_before(number);
            put(line, digits(number) >> (8 * zeros), 3 - zeros);
        }
        _ => long_number(line, number),
    }
}

#[inline(never)]
fn long_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The last three digits of a number.
#[inline]
pub(in crate::server) fn three_digits(line: &mut Vec<u8>, number: u64) {
    put(line, digits(number % 1000), 3);
}

/// A duration in microseconds, to the nanosecond: `12.345`.
#[inline]
pub(in crate::server) fn micros(line: &mut Vec<u8>, duration: Duration) {
    let nanos = u64::from(duration.subsec_nanos());
    let (whole, part) = (nanos / 1000, nanos % 1000);
    if duration.as_secs() > 0 || whole >= 1000 {
        return long_micros(line, duration);
    }
    let zeros = zeros_before(whole);
    let text = digits(whole) | (u64::from(b'.') << 24) | (digits(part) << 32);
    put(line, text >> (8 * zeros), 7 - zeros);
}

#[inline(never)]
fn long_micros(line: &mut Vec<u8>, duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    number(line, nanos / 1000);
    line.push(b'.');
    three_digits(line, nanos);
}

/// The three digits of a number below 1000, the first in the lowest byte.
#[inline]
const fn digits(number: u64) -> u64 {
    let (hundreds, rest) = (number / 100, number % 100);
    (hundreds | (rest / 10) << 8 | (rest % 10) << 16) | u64::from_le_bytes(*b"000\0\0\0\0\0")
}

/// How many of the three are zeros that nobody writes.
#[inline]
fn zeros_before(number: u64) -> usize {
    usize::from(number < 100) + usize::from(number < 10)
}

/// The first `length` bytes of `text`, from the lowest on: eight are copied more cheaply than a few.
#[inline]
fn put(line: &mut Vec<u8>, text: u64, length: usize) {
    let end = line.len() + length;
    line.extend_from_slice(&text.to_le_bytes());
    line.truncate(end);
}

/// `192.0.2.1`, `2001:db8::1`; an IPv4 address that came through an IPv6 socket as IPv4.
#[inline]
pub(in crate::server) fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [before @ .., last] = address.octets();
            for octet in before.map(u64::from) {
                let zeros = zeros_before(octet);
                put(line, (digits(octet) | u64::from(b'.') << 24) >> (8 * zeros), 4 - zeros);
            }
            number(line, last.into());
        }
        IpAddr::V6(address) => address_v6(line, address),
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`; where in the line the address stands.
pub(in crate::server) fn address_and_port(line: &mut Vec<u8>, peer: SocketAddr) -> Range<usize> {
    let ip = peer.ip().to_canonical();
    if ip.is_ipv6() {
        line.push(b'[');
    }
    let start = line.len();
    address(line, ip);
    let end = line.len();
    if ip.is_ipv6() {
        line.push(b']');
    }
    line.push(b':');
    number(line, u64::from(peer.port()));
    start..end
}

/// RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zeros is `::`.
fn address_v6(line: &mut Vec<u8>, address: Ipv6Addr) {
    let groups = address.segments();
    let (mut run_start, mut run_length) = (0, 1);
    for start in 0..groups.len() {
        let length = groups[start..].iter().take_while(|group| **group == 0).count();
        if length > run_length {
            (run_start, run_length) = (start, length);
        }
    }
    let (before, after) = if run_length == 1 {
        (&groups[..], None)
    } else {
        (&groups[..run_start], Some(run_start + run_length))
    };
    hex_groups(line, before);
    if let Some(after) = after {
        line.extend_from_slice(b"::");
        hex_groups(line, &groups[after..]);
    }
}

fn hex_groups(line: &mut Vec<u8>, groups: &[u16]) {
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            line.push(b':');
        }
        for shift in [12, 8, 4, 0] {
            if shift == 0 || group >> shift != 0 {
                line.push(HEX[usize::from(group >> shift & 0xF)]);
            }
        }
    }
}

/// A text with `\xNN` for each byte that could end or fake a part of the line. `end` is the byte that
/// stands behind the text in the line: nothing in the text is taken for it.
#[inline]
pub(in crate::server) fn escaped_hex(line: &mut Vec<u8>, text: &[u8], end: u8) {
    escaped(line, text, b"\\x", end);
}

/// A text as the inside of a JSON string: `\u00NN` for each byte that is not plain (RFC 8259 §7).
#[inline]
pub(in crate::server) fn escaped_json(line: &mut Vec<u8>, text: &[u8]) {
    escaped(line, text, b"\\u00", b'"');
}

/// The same of a text whose characters are known, since no client has written it: one outside ASCII is
/// itself, `\u00e9`, or two surrogates (RFC 8259 §7).
#[inline]
pub(in crate::server) fn escaped_json_text(line: &mut Vec<u8>, text: &str) {
    if text.is_ascii() { escaped_json(line, text.as_bytes()) } else { characters(line, text) }
}

#[cold]
fn characters(line: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (shown, rest) = text.split_at(end);
    let (mut bytes, mut units) = ([0; 4], [0; 2]);
    for character in shown.chars() {
        if character.is_ascii() {
            escaped_json(line, character.encode_utf8(&mut bytes).as_bytes());
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            line.extend_from_slice(b"\\u");
            let digits = [12, 8, 4, 0].map(|shift| HEX[usize::from(*unit >> shift & 0xF)]);
            line.extend_from_slice(&digits);
        }
    }
    if !rest.is_empty() {
        line.extend_from_slice(b"...");
    }
}

#[inline]
fn escaped(line: &mut Vec<u8>, text: &[u8], escape: &[u8], end: u8) {
    let first = if end == b' ' { 0x21 } else { 0x20 };
    // Folded without a branch, so that the compiler looks at sixteen bytes at a time.
    let plain = text.iter().fold(true, |plain, byte| plain & is_plain(*byte, first));
    // The usual ends were seen on the way.
    let has_end = || !matches!(end, b' ' | b'"' | b'\n') && memchr::memchr(end, text).is_some();
    if plain && text.len() <= TEXT_BYTES_MAX && !has_end() {
        line.extend_from_slice(text);
    } else {
        escaped_slow(line, text, escape, end);
    }
}

#[cold]
fn escaped_slow(line: &mut Vec<u8>, text: &[u8], escape: &[u8], end: u8) {
    for &byte in text.iter().take(TEXT_BYTES_MAX) {
        if is_plain(byte, 0x20) && byte != end {
            line.push(byte);
        } else {
            line.extend_from_slice(escape);
            line.push(HEX[usize::from(byte >> 4)]);
            line.push(HEX[usize::from(byte & 0xF)]);
        }
    }
    if text.len() > TEXT_BYTES_MAX {
        line.extend_from_slice(b"...");
    }
}

/// ASCII from `first` on, without control characters, quote and backslash.
#[inline]
const fn is_plain(byte: u8, first: u8) -> bool {
    // `&` for `&&`: no branch.
    (byte.wrapping_sub(first) < 0x7F - first) & (byte != b'"') & (byte != b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_second_in_the_words_of_each_format() {
        let mut moment = Moment::new();
        assert_eq!(&moment.rfc_3339, b"1970-01-01T00:00:00.");
        for (second, combined, rfc_3339) in [
            (784_111_777, b" [06/Nov/1994:08:49:37 +0000] \"", b"1994-11-06T08:49:37."),
            (951_782_400, b" [29/Feb/2000:00:00:00 +0000] \"", b"2000-02-29T00:00:00."),
            (u64::MAX, b" [31/Dec/9999:23:59:59 +0000] \"", b"9999-12-31T23:59:59."),
        ] {
            moment.set(second);
            assert_eq!(&moment.combined, combined);
            assert_eq!(&moment.rfc_3339, rfc_3339);
        }
        assert_eq!(moment.clock(), b"23:59:59.");
        for month in 1_u64..=12 {
            let number = month_number(&DateLine::new((month * 30 - 10) * 86_400).line()[14..17]);
            assert_eq!(std::str::from_utf8(number).unwrap().parse(), Ok(month));
        }
    }

    #[test]
    fn addresses_and_durations() {
        for (peer, expected) in [
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("[2001:db8:0:0:1:0:0:1]:443", "[2001:db8::1:0:0:1]:443"),
            ("[::]:1", "[::]:1"),
        ] {
            let peer: SocketAddr = peer.parse().unwrap();
            let mut line = b"a, ".to_vec();
            let place = address_and_port(&mut line, peer);
            assert_eq!(line[3..], *expected.as_bytes());
            assert_eq!(line[place], *peer.ip().to_canonical().to_string().as_bytes());
        }
        assert_eq!(text(|line| micros(line, Duration::MAX)), "18446744073709551.615");
    }

    #[test]
    fn numbers_have_no_zeros_before_them_and_no_digit_less() {
        let written = |value: u64| assert_eq!(text(|line| number(line, value)), value.to_string());
        let timed = |nanos: u64| {
            let expected = format!("{}.{:03}", nanos / 1000, nanos % 1000);
            assert_eq!(text(|line| micros(line, Duration::from_nanos(nanos))), expected);
        };
        for value in 0..20_000 {
            [value, value * 5_003].into_iter().for_each(written);
            [value, value * 53, value * 1_000].into_iter().for_each(timed);
        }
        for power in (0..20).map(|digits| 10_u64.pow(digits)) {
            for value in power - 1..=power + 1 {
                written(value);
                timed(value);
            }
        }
        written(u64::MAX);
    }

    #[test]
    fn what_could_break_a_line_is_escaped() {
        let bytes = b"a\r\n\"\\\x7f\xff\x1b[0m ~";
        assert_eq!(text(|line| escaped_hex(line, bytes, b'"')), r"a\x0d\x0a\x22\x5c\x7f\xff\x1b[0m ~");
        assert_eq!(text(|line| escaped_hex(line, b"a b|", b' ')), r"a\x20b|");
        assert_eq!(text(|line| escaped_hex(line, b"a b|", b'|')), r"a b\x7c");
        assert_eq!(
            text(|line| escaped_json(line, bytes)),
            r"a\u000d\u000a\u0022\u005c\u007f\u00ff\u001b[0m ~"
        );
    }

    #[test]
    fn a_text_whose_characters_are_known_has_them() {
        for (given, expected) in [
            ("/hello/{name}", "/hello/{name}"),
            ("/caf\u{e9}/{x}\"\u{7f}", r"/caf\u00e9/{x}\u0022\u007f"),
            ("\u{1f300} \u{4e2d}\u{80}", r"\ud83c\udf00 \u4e2d\u0080"),
        ] {
            let written = text(|line| escaped_json_text(line, given));
            assert_eq!(written, expected);
            assert_eq!(serde_json::from_str::<String>(&format!("\"{written}\"")).unwrap(), given);
        }
        let long = text(|line| escaped_json_text(line, &"\u{4e2d}".repeat(TEXT_BYTES_MAX)));
        assert_eq!(long, r"\u4e2d".repeat(TEXT_BYTES_MAX / 3) + "...");
    }

    #[test]
    fn a_long_text_is_cut() {
        for (byte, each) in [(b'a', "a"), (b'\n', "\\x0a")] {
            let whole = vec![byte; TEXT_BYTES_MAX];
            assert_eq!(text(|line| escaped_hex(line, &whole, b' ')), each.repeat(TEXT_BYTES_MAX));
            let longer = vec![byte; TEXT_BYTES_MAX + 1];
            assert_eq!(text(|line| escaped_hex(line, &longer, b' ')), each.repeat(TEXT_BYTES_MAX) + "...");
        }
    }

    proptest! {
        #[test]
        fn addresses_are_written_as_the_standard_library_does(
            groups in proptest::array::uniform8(prop_oneof![Just(0_u16), any::<u16>()]),
        ) {
            let v6 = Ipv6Addr::from(groups);
            let expected = v6.to_canonical().to_string();
            prop_assert_eq!(text(|line| address(line, v6.into())), expected);
        }
    }
}
