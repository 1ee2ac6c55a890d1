//! Sizes as people write them: `64MiB`, `1G`, `512k`, `4096`.

/// The number of bytes that `text` names. Units are powers of 1024, with or without `iB` or `B`.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| "a number is expected, and perhaps a unit: 64MiB".to_owned())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(format!("{unit:?} is no unit of bytes: use k, M, G or T")),
    };
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than there is".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("64M", 64 << 20),
            ("1 GB", 1 << 30),
            ("2k", 2048),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1x", "1.5M", "99999999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
