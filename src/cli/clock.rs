//! The program's own clock readings. Handlers of the library are given their times; what is read here
//! belongs to threads of the program and to a page that shows the time.

#![expect(clippy::disallowed_methods, reason = "this file is where the program reads the clock")]

use std::time::{Instant, SystemTime};

/// Now, for waiting.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, in seconds since 1970.
#[cfg(feature = "self-signed")]
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Now, in UTC: `2026-11-30T15:00:00.000Z`. RFC 3339.
pub(crate) fn timestamp() -> String {
    rfc_3339(SystemTime::now())
}

fn rfc_3339(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    // `Mon, 30 Nov 2026 15:00:00 GMT`
    let date = httpdate::fmt_http_date(time);
    let month = MONTHS.find(&date[8..11]).unwrap_or_default() / 3 + 1;
    let millis = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_millis();
    format!("{}-{month:02}-{}T{}.{millis:03}Z", &date[12..16], &date[5..7], &date[17..25])
}

/// Now, as the `Date` field writes it. RFC 9110 §5.6.7.
pub(crate) fn http_date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timestamp_is_that_of_rfc_3339() {
        let at = |millis| rfc_3339(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(1_795_964_639_078), "2026-11-29T15:03:59.078Z");
        assert_eq!(at(951_782_400_999), "2000-02-29T00:00:00.999Z");
    }
}
