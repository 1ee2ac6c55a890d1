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

/// Now, as the `Date` field writes it. RFC 9110 §5.6.7.
pub(crate) fn http_date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}
