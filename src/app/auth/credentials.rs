//! [`Credentials`]: the user and the password in an `Authorization` field. RFC 7617 §2.
//!
//! ```text
//!  Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==  ─►  Aladdin ':' open sesame
//! ```
//! Knows nobody: whether they are right is not its business.

use base64ct::{Base64, Encoding};

/// The decoded text of longer credentials is not looked at, in bytes.
pub(super) const CREDENTIALS_BYTES_MAX: usize = 1024;

/// A user and a password, as a client claims them.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials<'b> {
    pub(super) user: &'b str,
    pub(super) password: &'b [u8],
}

impl<'b> Credentials<'b> {
    /// Those of the field value `value`, decoded into `buffer`. `None` for another scheme, for what is not
    /// well-formed, and for control characters (RFC 7617 §2).
    pub(super) fn decode(value: &[u8], buffer: &'b mut [u8; CREDENTIALS_BYTES_MAX]) -> Option<Self> {
        let (scheme, rest) = value.split_at_checked(b"Basic".len())?;
        let encoded = rest.trim_ascii_start();
        if !scheme.eq_ignore_ascii_case(b"Basic") || encoded.len() == rest.len() {
            return None;
        }
        // In constant time: it is a secret.
        let text = Base64::decode(encoded, buffer).ok()?;
        let colon = text.iter().position(|byte| *byte == b':')?;
        let (user, password) = (&text[..colon], &text[colon + 1..]);
        if text.iter().any(u8::is_ascii_control) {
            return None;
        }
        Some(Self { user: std::str::from_utf8(user).ok()?, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn decoded(value: &str) -> Option<(String, String)> {
        let mut buffer = [0; CREDENTIALS_BYTES_MAX];
        let found = Credentials::decode(value.as_bytes(), &mut buffer)?;
        Some((found.user.to_owned(), String::from_utf8_lossy(found.password).into_owned()))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn rfc_7617_2_the_examples() {
        assert_eq!(decoded("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        // RFC 7617 §2.1: a pound sign in UTF-8.
        assert_eq!(decoded("Basic dGVzdDoxMjPCow=="), pair("test", "123\u{a3}"));
    }

    #[test]
    fn the_scheme_is_a_word_in_any_case() {
        for scheme in ["basic ", "BASIC ", "bAsIc   "] {
            assert_eq!(decoded(&format!("{scheme}YTpi")), pair("a", "b"), "{scheme}");
        }
        for value in ["", "Basic", "Basic ", "BasicYTpi", "Bearer YTpi", "Basi YTpi", "Digest x"] {
            assert_eq!(decoded(value), None, "{value}");
        }
    }

    #[test]
    fn the_first_colon_parts_them() {
        assert_eq!(decoded("Basic YTpiOmM="), pair("a", "b:c"));
        assert_eq!(decoded("Basic Og=="), pair("", ""));
        assert_eq!(decoded("Basic OmI="), pair("", "b"));
        assert_eq!(decoded("Basic YQ=="), None, "no colon");
    }

    #[test]
    fn what_is_malformed_is_nobody() {
        for value in [
            "Basic YTpi YTpi",
            "Basic YTpi, Basic YTpi",
            "Basic YTp",
            "Basic YTpiOmM",
            "Basic Y\u{e9}pi",
            // A line end in the password, a NUL in the user, a user that is not UTF-8.
            "Basic YTpiCg==",
            "Basic AGE6Yg==",
            "Basic /zpi",
        ] {
            assert_eq!(decoded(value), None, "{value}");
        }
        let long = Base64::encode_string(format!("a:{}", "x".repeat(CREDENTIALS_BYTES_MAX - 2)).as_bytes());
        assert!(decoded(&format!("Basic {long}")).is_some());
        let longer = Base64::encode_string(format!("a:{}", "x".repeat(CREDENTIALS_BYTES_MAX - 1)).as_bytes());
        assert_eq!(decoded(&format!("Basic {longer}")), None);
    }
}
