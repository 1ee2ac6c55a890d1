//! [`Known`]: the field names that rules ask for, found while parsing; and the grammar of names and
//! values. RFC 9110 §5.

/// A field name that some rule of kolk asks for, so that its place is noted while the head is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Known {
    /// RFC 9110 §12.5.1
    Accept,
    /// RFC 9110 §12.5.3
    AcceptEncoding,
    /// RFC 9110 §11.6.2
    Authorization,
    /// RFC 9110 §7.6.1
    Connection,
    /// RFC 9110 §8.6
    ContentLength,
    /// RFC 9110 §8.3
    ContentType,
    /// RFC 6265 §4.2
    Cookie,
    /// RFC 9110 §10.1.1
    Expect,
    /// RFC 9110 §7.2
    Host,
    /// RFC 9110 §13.1.1
    IfMatch,
    /// RFC 9110 §13.1.3
    IfModifiedSince,
    /// RFC 9110 §13.1.2
    IfNoneMatch,
    /// RFC 9110 §13.1.5
    IfRange,
    /// RFC 9110 §13.1.4
    IfUnmodifiedSince,
    /// RFC 6454 §7
    Origin,
    /// RFC 9110 §14.2
    Range,
    /// RFC 9110 §10.1.3
    Referer,
    /// RFC 9110 §10.1.4
    Te,
    /// RFC 9110 §6.6.2
    Trailer,
    /// RFC 9112 §6.1
    TransferEncoding,
    /// RFC 9110 §7.8
    Upgrade,
    /// RFC 9110 §10.1.5
    UserAgent,
}

impl Known {
    /// How many there are.
    pub const COUNT: usize = 22;
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Accept,
        Self::AcceptEncoding,
        Self::Authorization,
        Self::Connection,
        Self::ContentLength,
        Self::ContentType,
        Self::Cookie,
        Self::Expect,
        Self::Host,
        Self::IfMatch,
        Self::IfModifiedSince,
        Self::IfNoneMatch,
        Self::IfRange,
        Self::IfUnmodifiedSince,
        Self::Origin,
        Self::Range,
        Self::Referer,
        Self::Te,
        Self::Trailer,
        Self::TransferEncoding,
        Self::Upgrade,
        Self::UserAgent,
    ];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::AcceptEncoding => "accept-encoding",
            Self::Authorization => "authorization",
            Self::Connection => "connection",
            Self::ContentLength => "content-length",
            Self::ContentType => "content-type",
            Self::Cookie => "cookie",
            Self::Expect => "expect",
            Self::Host => "host",
            Self::IfMatch => "if-match",
            Self::IfModifiedSince => "if-modified-since",
            Self::IfNoneMatch => "if-none-match",
            Self::IfRange => "if-range",
            Self::IfUnmodifiedSince => "if-unmodified-since",
            Self::Origin => "origin",
            Self::Range => "range",
            Self::Referer => "referer",
            Self::Te => "te",
            Self::Trailer => "trailer",
            Self::TransferEncoding => "transfer-encoding",
            Self::Upgrade => "upgrade",
            Self::UserAgent => "user-agent",
        }
    }

    /// The known name that `name` spells, in any case.
    #[inline]
    pub fn classify(name: &[u8]) -> Option<Self> {
        let known = Spelling::of(name.len(), *name.first()?, *name.last()?).known;
        known.name().as_bytes().eq_ignore_ascii_case(name).then_some(known)
    }

    /// The known name in front of the first colon of `window`, which stands behind `length` bytes, of which
    /// `last` is the last; in any case. What stands behind the colon does not matter. For parsers: two words
    /// are compared.
    #[inline(always)]
    pub fn classify_window(window: &[u8; 16], length: usize, last: u8) -> Option<Self> {
        let spelling = Spelling::of(length, window[0], last);
        let unlike = (u128::from_le_bytes(*window) ^ spelling.lower) & spelling.cased;
        (unlike == 0).then_some(spelling.known)
    }
}

/// The first sixteen bytes of a known name and its colon, ready to be compared in any case.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Spelling {
    /// In lower case. Zero where no known name has this hash, which is like no name.
    lower: u128,
    /// The bits that must agree: all of a hyphen and the colon, all but the case of a letter, none behind.
    cased: u128,
    known: Known,
}

impl Spelling {
    const NONE: Self = Self { lower: 0, cased: u128::MAX, known: Known::Accept };

    /// The only one that a name of this length, with these bytes at its ends, can have.
    #[inline(always)]
    fn of(length: usize, first: u8, last: u8) -> &'static Self {
        &BY_HASH[hash(length, first, last)]
    }

    const fn new(known: Known) -> Self {
        let name = known.name().as_bytes();
        assert!(name.len() != 16, "its colon would stand outside");
        let mut spelling = Self { lower: 0, cased: 0, known };
        let mut at = 0;
        while at <= name.len() && at < 16 {
            let byte = if at < name.len() { name[at] } else { b':' };
            let bits = if byte.is_ascii_alphabetic() { !0x20_u8 } else { 0xFF };
            spelling.lower |= (byte as u128) << (8 * at);
            spelling.cased |= (bits as u128) << (8 * at);
            at += 1;
        }
        spelling
    }
}

/// The known name that could have this hash.
static BY_HASH: [Spelling; 64] = {
    let mut table = [Spelling::NONE; 64];
    let mut place = 0;
    while place < Known::COUNT {
        let name = Known::ALL[place].name().as_bytes();
        let slot = &mut table[hash(name.len(), name[0], name[name.len() - 1])];
        assert!(slot.lower == 0, "two known names have one hash: look for other factors");
        *slot = Spelling::new(Known::ALL[place]);
        place += 1;
    }
    table
};

/// Different for all known names, which is all that the factors are good for. (They move the bit of the
/// case out of sight.)
#[inline]
const fn hash(length: usize, first: u8, last: u8) -> usize {
    (length + first as usize * 2 + last as usize * 20) % 64
}

/// Whether `bytes` is a token: at least one `tchar` and nothing else. RFC 9110 §5.6.2.
#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| TCHAR[usize::from(byte)])
}

/// Whether `bytes` may stand as a field value: visible characters, space, tab and obs-text.
/// RFC 9110 §5.5.
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7F))
}

/// RFC 9110 §5.6.2: `tchar`.
static TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (index, known) in Known::ALL.into_iter().enumerate() {
            assert_eq!(known as usize, index);
            assert_eq!(Known::classify(known.name().as_bytes()), Some(known));
            assert_eq!(Known::classify(known.name().to_uppercase().as_bytes()), Some(known));
            assert_eq!(Known::classify(format!("{}x", known.name()).as_bytes()), None);
        }
        assert_eq!(Known::classify(b"user\ragent"), None, "CR differs from a hyphen in the bit of the case");
        assert_eq!(Known::classify(b""), None);
        assert_eq!(Known::classify(&[b'a'; 30]), None);
        assert_eq!(Known::classify(b"hosu"), None);
    }

    #[test]
    fn a_window_tells_the_same_of_short_names() {
        let others = ["hosu", "user\ragent", "hos", "x", "transfer-encodi", "if-modified-sin"];
        let names = Known::ALL.map(Known::name).into_iter().chain(others);
        // In the window of a longer name there is no colon, and nobody asks.
        for name in names.filter(|name| name.len() < 16) {
            let mut line = format!("{name}: whatever follows").into_bytes();
            for _case in 0..2 {
                let (window, last) = (line.first_chunk().unwrap(), line[name.len() - 1]);
                let expected = Known::classify(name.as_bytes());
                assert_eq!(Known::classify_window(window, name.len(), last), expected, "{name}");
                line.make_ascii_uppercase();
            }
        }
    }

    #[test]
    fn rfc_9110_5_6_2_tokens() {
        assert!(is_token(b"X-Custom_1.2~"));
        for bad in ["", "a b", "a:b", "a\u{e9}", "(a)", "a\x7f"] {
            assert!(!is_token(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn rfc_9110_5_5_values() {
        assert!(is_field_value(b"text/plain;\tq=1 \xE9"));
        for bad in [&b"a\0"[..], b"a\r", b"a\n", b"a\x1b", b"a\x7f"] {
            assert!(!is_field_value(bad));
        }
    }
}
