//! Durations as people write them: `500ms`, `75s`, `2m`, `1h`, `365d`.

use std::time::Duration;

/// A whole number and its unit.
///
/// # Errors
/// A sentence that says what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "not a time like 500ms, 75s, 2m, 1h or 365d".to_owned())?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(format!("the unit is missing: {number}s?")),
        _ => return Err(format!("unknown unit `{unit}`: ms, s, m, h and d are known")),
    };
    number.checked_mul(millis_each).map(Duration::from_millis).ok_or_else(|| "longer than time itself".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("75s"), Ok(Duration::from_secs(75)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn everything_else_is_refused_with_a_hint() {
        assert_eq!(parse("75"), Err("the unit is missing: 75s?".into()));
        assert_eq!(parse("3w"), Err("unknown unit `w`: ms, s, m, h and d are known".into()));
        for bad in ["", "s", "-1s", "1.5s", "soon", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
