//! [`DateLine`]: the `Date` field line, rendered once a second. RFC 9110 §5.6.7, §6.6.1.

use std::time::{Duration, UNIX_EPOCH};

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n`, 37 bytes, for one second.
#[derive(Clone, Debug)]
pub struct DateLine {
    second: u64,
    line: [u8; Self::BYTES],
}

impl DateLine {
    /// The length of the line with its line end.
    pub const BYTES: usize = 37;

    /// The line for `second`, counted from 1970.
    pub fn new(second: u64) -> Self {
        let mut date = Self { second, line: *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" };
        date.render();
        date
    }

    /// Renders anew if `second` is another one; whether it was.
    #[inline]
    pub fn set(&mut self, second: u64) -> bool {
        let changed = self.second != second;
        if changed {
            self.second = second;
            self.render();
        }
        changed
    }

    /// The whole line.
    #[inline]
    pub const fn line(&self) -> &[u8; Self::BYTES] {
        &self.line
    }

    /// The IMF-fixdate alone.
    pub fn value(&self) -> &str {
        std::str::from_utf8(&self.line[6..35]).unwrap_or_default()
    }

    fn render(&mut self) {
        let moment = UNIX_EPOCH + Duration::from_secs(self.second.min(253_402_300_799));
        let text = httpdate::fmt_http_date(moment);
        self.line[6..35].copy_from_slice(text.as_bytes());
    }
}

/// The second, counted from 1970, that a date of any of the three forms of RFC 9110 §5.6.7 names.
pub fn parse_date(value: &[u8]) -> Option<u64> {
    let moment = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_5_6_7_the_example_of_the_standard() {
        let mut date = DateLine::new(784_111_777);
        assert_eq!(date.line(), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert!(!date.set(784_111_777), "the same second renders nothing");
        assert!(date.set(784_111_778));
        assert_eq!(date.value(), "Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn rfc_9110_5_6_7_dates_are_read_in_three_forms() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_date(b"yesterday"), None);
        assert_eq!(parse_date(b"\xFF"), None);
    }
}
