//! Numbers with a unit, as people write them in the file and on the command line: sizes and times, there and
//! back.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a text is no size, or no time: a sentence that says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError(String);

/// The number of bytes that `text` names: a whole number, alone or of `B`, `KiB`, `MiB`, `GiB` or `TiB`, in
/// capitals or not. `MB` and `M` are refused: some mean 1000s by them, and others 1024s.
///
/// ```
/// use kolk::units::size;
///
/// assert_eq!(size("64MiB"), Ok(64 * 1024 * 1024));
/// assert_eq!((size("2kib"), size("4096")), (Ok(2048), Ok(4096)));
/// assert_eq!(size("64MB").unwrap_err().to_string(), "did you mean `64MiB`?");
/// assert_eq!(size("1.5MiB").unwrap_err().to_string(), "a whole number is expected: 1536KiB");
/// ```
///
/// # Errors
/// If there is no whole number, an unknown unit, or more than 2^64 bytes.
pub fn size(text: &str) -> Result<u64, UnitError> {
    size_before(text, "")
}

/// The same of what stands before `behind`.
pub(super) fn size_before(text: &str, behind: &str) -> Result<u64, UnitError> {
    let (number, unit) = taken_apart(text, "that is more than there is")?;
    let number = number.ok_or_else(|| wrong("a number is expected, and perhaps a unit: 64MiB"))?;
    let lower = unit.trim().to_ascii_lowercase();
    let shift = match lower.as_str() {
        "" | "b" => 0,
        "kib" => 10,
        "mib" => 20,
        "gib" => 30,
        "tib" => 40,
        "k" | "kb" | "m" | "mb" | "g" | "gb" | "t" | "tb" => {
            let letter = lower[..1].to_ascii_uppercase();
            return Err(wrong(format!("did you mean `{number}{letter}iB{behind}`?")));
        }
        unit if unit.starts_with('.') => return Err(wrong("a whole number is expected: 1536KiB")),
        _ => return Err(wrong(format!("unknown unit `{unit}`: B, KiB, MiB, GiB and TiB are known"))),
    };
    number.checked_mul(1 << shift).ok_or_else(|| wrong("that is more than there is"))
}

/// The time that `text` names: a whole number of `ms`, `s`, `m`, `h` or `d`.
///
/// ```
/// use std::time::Duration;
///
/// use kolk::units::duration;
///
/// assert_eq!(duration("75s"), Ok(Duration::from_secs(75)));
/// assert_eq!(duration("75").unwrap_err().to_string(), "the unit is missing: 75s?");
/// ```
///
/// # Errors
/// If there is no whole number, no unit or an unknown one, or more than 2^64 milliseconds.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = taken_apart(text, "longer than time itself")?;
    let number =
        number.ok_or_else(|| wrong("a number and a unit are expected: 500ms, 75s, 2m, 1h or 365d"))?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(wrong(format!("the unit is missing: {number}s?"))),
        unit if unit.starts_with('.') => return Err(wrong("a whole number is expected: 1500ms")),
        _ => return Err(wrong(format!("unknown unit `{unit}`: ms, s, m, h and d are known"))),
    };
    let time = number.checked_mul(millis_each).map(Duration::from_millis);
    time.ok_or_else(|| wrong("longer than time itself"))
}

/// As a person would write so many bytes.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    whole.map_or_else(|| format!("{bytes}B"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// The same of a time.
pub(super) fn duration_text(time: Duration) -> String {
    let millis = time.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let whole = units.iter().find(|(each, _)| millis > 0 && millis.is_multiple_of(*each));
    whole.map_or_else(|| "0s".to_owned(), |(each, unit)| format!("{}{unit}", millis / each))
}

/// The number, if there is one, and what stands behind it; an error if it is too large.
fn taken_apart<'t>(text: &'t str, too_large: &str) -> Result<(Option<u64>, &'t str), UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    match number.parse() {
        Ok(number) => Ok((Some(number), unit)),
        Err(_) if digits > 0 => Err(wrong(too_large)),
        Err(_) => Ok((None, unit)),
    }
}

fn wrong(what: impl Into<String>) -> UnitError {
    UnitError(what.into())
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for UnitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_none() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("512B", 512),
            ("1 GiB", 1 << 30),
            ("2kib", 2048),
            ("3tib", 3 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(size(&size_text(bytes)), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1x", "1.5MiB", "99999999999TiB", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
        for (text, meant) in
            [("1MB", "1MiB"), ("16M", "16MiB"), ("1 kb", "1KiB"), ("2g", "2GiB"), ("3Tb", "3TiB")]
        {
            assert_eq!(size(text), Err(wrong(format!("did you mean `{meant}`?"))), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("75s", 75_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration("3w"), Err(wrong("unknown unit `w`: ms, s, m, h and d are known")));
        for text in ["", "s", "-1s", "1.5s", "soon", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
