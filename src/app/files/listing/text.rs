//! Names, sizes and times as people and programs read them. Everything here came from outside.
//!
//! Invariant: no byte of a name means anything in HTML, in an attribute in quotes, in a reference or in JSON.
//! RFC 3986 §2.3, RFC 8259 §7, RFC 3339 §5.6.

use std::fmt::Write as _;

/// The first second of the year 1 and the last one of the year 9999.
const SECONDS: [i64; 2] = [-62_135_596_800, 253_402_300_799];
const DAY_SECONDS: i64 = 86_400;

/// Appends a name for HTML, in the text or in an attribute. What has no picture of its own, or turns the
/// direction of what follows, is shown as a number.
pub(super) fn push_escaped(out: &mut String, name: &[u8]) {
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                _ if letter.is_ascii_control() => push(out, format_args!("\\x{:02X}", u32::from(letter))),
                _ if is_invisible(letter) => push(out, format_args!("\\u{{{:04X}}}", u32::from(letter))),
                _ => out.push(letter),
            }
        }
        for byte in chunk.invalid() {
            push(out, format_args!("\\x{byte:02X}"));
        }
    }
}

/// Other controls, line ends, and the marks that make `exe.txt` of `txt.exe`.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}' | '\u{FEFF}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Appends a name as a segment of a path.
pub(super) fn push_segment(out: &mut String, name: &[u8]) {
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            push(out, format_args!("%{byte:02X}"));
        }
    }
}

/// Appends a name as a string of JSON; what is not UTF-8 is replaced.
pub(crate) fn push_json(out: &mut String, name: &[u8]) {
    out.push('"');
    for letter in String::from_utf8_lossy(name).chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if letter.is_control() => push(out, format_args!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Three digits at most: `512 B`, `1.5 KiB`, `20 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(amount < 9.95);
    format!("{amount:.decimals$} {}", UNITS[unit])
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12 files`, `1 file`, in HTML.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

/// `2026-11-25` and `08:17:16`, of a second counted from 1970.
pub(super) fn date_and_time(second: i64) -> [String; 2] {
    let second = second.clamp(SECONDS[0], SECONDS[1]);
    let (day, rest) = (second.div_euclid(DAY_SECONDS), second.rem_euclid(DAY_SECONDS));
    // Days are counted from the first of March of the year 0: the leap day is then the last one of its year.
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let time = format!("{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
    [format!("{year:04}-{month:02}-{day:02}"), time]
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: fn(&mut String, &[u8]), name: &[u8]) -> String {
        let mut out = String::new();
        push(&mut out, name);
        out
    }

    #[test]
    fn a_name_means_nothing_in_html() {
        for (name, shown) in [
            (&b"<script>'\"&"[..], "&lt;script&gt;&#39;&quot;&amp;"),
            (b"two\nlines\x7F\x1B", "two\\x0Alines\\x7F\\x1B"),
            (b"\xFFa\xC3", "\\xFFa\\xC3"),
            ("\u{202E}txt.exe\u{85}".as_bytes(), "\\u{202E}txt.exe\\u{0085}"),
            ("é\u{1F468}\u{200D}\u{1F469}".as_bytes(), "é\u{1F468}\u{200D}\u{1F469}"),
        ] {
            assert_eq!(written(push_escaped, name), shown);
        }
    }

    #[test]
    fn rfc_3986_2_3_all_but_the_unreserved_is_escaped() {
        assert_eq!(written(push_segment, b"aZ09-._~"), "aZ09-._~");
        assert_eq!(written(push_segment, b"a b/c?d#e%f\"<\xFF\n"), "a%20b%2Fc%3Fd%23e%25f%22%3C%FF%0A");
        assert_eq!(written(push_segment, b"javascript:x"), "javascript%3Ax");
    }

    #[test]
    fn rfc_8259_7_strings_of_json() {
        assert_eq!(written(push_json, b"a\"\\\n\t\x01\xFF/"), "\"a\\\"\\\\\\n\\t\\u0001\u{FFFD}/\"");
    }

    #[test]
    fn sizes_have_three_digits_at_most() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (10_189, "10 KiB"),
            (1_023_487, "999 KiB"),
            (1_023_488, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "file", "files"), counted(2_000, "file", "files")], ["1 file", "2,000 files"]);
    }

    #[test]
    fn dates_of_all_years() {
        for (second, date, time) in [
            (0, "1970-01-01", "00:00:00"),
            (-1, "1969-12-31", "23:59:59"),
            (784_111_777, "1994-11-06", "08:49:37"),
            (951_782_399, "2000-02-28", "23:59:59"),
            (951_782_400, "2000-02-29", "00:00:00"),
            (951_868_800, "2000-03-01", "00:00:00"),
            (4_107_542_400, "2100-03-01", "00:00:00"),
            (253_402_300_799, "9999-12-31", "23:59:59"),
            (i64::MAX, "9999-12-31", "23:59:59"),
            (i64::MIN, "0001-01-01", "00:00:00"),
        ] {
            assert_eq!(date_and_time(second), [date, time], "{second}");
        }
    }
}
