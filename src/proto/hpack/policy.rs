//! WHICH FIELDS BECOME ENTRIES of the peer's table. RFC 7541 §6.2, §7.1.
//!
//! | a field | is written | because |
//! | --- | --- | --- |
//! | that names a user | never indexed | a guess must not show by its length (§7.1.3) |
//! | that differs from answer to answer | not indexed | it would only drive out others |
//! | that often repeats | indexed | one byte the next time |
//! | of a version of a file, or of another name | indexed once | if its value changes, it differs from answer to answer |

/// How a literal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// It becomes an entry.
    Indexed,
    /// The same, unless an entry has its name.
    IndexedOnce,
    /// It becomes none.
    NotIndexed,
    /// It becomes none, wherever it is sent on.
    NeverIndexed,
}

/// A short cookie is easily guessed, in bytes: RFC 7541 §7.1.3.
const COOKIE_BYTES_SHORT: usize = 20;

/// The policy for a value of the name that has this index in the static table, if any.
pub(super) fn policy(name: Option<usize>, value: &[u8]) -> Policy {
    let Some(index) = name else { return Policy::IndexedOnce };
    match index {
        COOKIE if value.len() >= COOKIE_BYTES_SHORT => Policy::Indexed,
        AUTHORIZATION | COOKIE | PROXY_AUTHORIZATION | SET_COOKIE => Policy::NeverIndexed,
        PATH
        | AGE
        | DATE
        | CONTENT_LENGTH..=CONTENT_RANGE
        | EXPIRES
        | IF_MATCH..LAST_MODIFIED
        | LOCATION
        | PROXY_AUTHENTICATE
        | RANGE
        | RETRY_AFTER
        | WWW_AUTHENTICATE => Policy::NotIndexed,
        // Of one answer, if it is asked for again and again.
        ETAG | LAST_MODIFIED => Policy::IndexedOnce,
        _ => Policy::Indexed,
    }
}

pub(super) const STATUS: usize = 8;
pub(super) const CONTENT_LENGTH: usize = 28;

const PATH: usize = 4;
const AGE: usize = 21;
const AUTHORIZATION: usize = 23;
const CONTENT_RANGE: usize = 30;
const COOKIE: usize = 32;
const DATE: usize = 33;
const ETAG: usize = 34;
const EXPIRES: usize = 36;
const IF_MATCH: usize = 39;
const LAST_MODIFIED: usize = 44;
const LOCATION: usize = 46;
const PROXY_AUTHENTICATE: usize = 48;
const PROXY_AUTHORIZATION: usize = 49;
const RANGE: usize = 50;
const RETRY_AFTER: usize = 53;
const SET_COOKIE: usize = 55;
const WWW_AUTHENTICATE: usize = 61;

#[cfg(test)]
mod tests {
    use super::super::statics;
    use super::*;

    #[test]
    fn the_indices_are_those_of_the_names() {
        for (name, index) in [
            (":path", PATH),
            (":status", STATUS),
            ("age", AGE),
            ("authorization", AUTHORIZATION),
            ("content-length", CONTENT_LENGTH),
            ("content-range", CONTENT_RANGE),
            ("cookie", COOKIE),
            ("date", DATE),
            ("etag", ETAG),
            ("expires", EXPIRES),
            ("if-match", IF_MATCH),
            ("last-modified", LAST_MODIFIED),
            ("location", LOCATION),
            ("proxy-authenticate", PROXY_AUTHENTICATE),
            ("proxy-authorization", PROXY_AUTHORIZATION),
            ("range", RANGE),
            ("retry-after", RETRY_AFTER),
            ("set-cookie", SET_COOKIE),
            ("www-authenticate", WWW_AUTHENTICATE),
        ] {
            assert_eq!(statics::find_name(name.as_bytes()), Some(index), "{name}");
        }
    }

    #[test]
    fn rfc_7541_7_1_3_what_names_a_user_is_never_indexed() {
        let of = |name: &str, value: &str| policy(statics::find_name(name.as_bytes()), value.as_bytes());
        for name in ["authorization", "proxy-authorization", "set-cookie", "cookie"] {
            assert_eq!(of(name, "short"), Policy::NeverIndexed, "{name}");
        }
        assert_eq!(of("cookie", "a cookie that nobody guesses"), Policy::Indexed);
        assert_eq!(of("content-type", "text/html"), Policy::Indexed);
        assert_eq!(of("date", "Mon, 21 Oct 2013 20:13:21 GMT"), Policy::NotIndexed);
        assert_eq!(of("etag", "\"1\""), Policy::IndexedOnce);
        assert_eq!(of("x-frame-options", "DENY"), Policy::IndexedOnce);
    }
}
