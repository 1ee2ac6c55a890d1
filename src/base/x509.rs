//! [`Certificate`]: what an X.509 certificate says of itself. RFC 5280 §4.1.
//!
//! ```text
//!  Certificate ─ tbsCertificate ─ [version] serial algorithm issuer  validity  subject  key [extensions]
//! ```
//! It is read and not judged: whoever trusts it has verified it elsewhere.

use std::fmt::{self, Write as _};

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OCTET_STRING: u8 = 0x04;
const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
/// The object identifier of the extension with other names of the subject.
const SUBJECT_ALT_NAME: &[u8] = &[85, 29, 17];

/// The names that RFC 4514 §3 has for the parts of a name, by the bytes of their object identifiers.
const NAMES: [(&[u8], &str); 9] = [
    (&[85, 4, 3], "CN"),
    (&[85, 4, 7], "L"),
    (&[85, 4, 8], "ST"),
    (&[85, 4, 10], "O"),
    (&[85, 4, 11], "OU"),
    (&[85, 4, 6], "C"),
    (&[85, 4, 9], "STREET"),
    (&[9, 146, 38, 137, 147, 242, 44, 100, 1, 25], "DC"),
    (&[9, 146, 38, 137, 147, 242, 44, 100, 1, 1], "UID"),
];

/// A certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Box<[u8]>,
    fingerprint: Fingerprint,
}

/// The SHA-256 of a certificate: as text in hexadecimal digits, with colons between the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// What else the subject of a certificate is called. RFC 5280 §4.2.1.6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlternativeNames {
    /// Names of hosts.
    pub dns: Vec<String>,
    /// Addresses of mail.
    pub email: Vec<String>,
}

/// From when to when a certificate is valid, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before this.
    pub from: Moment,
    /// Not after this.
    pub until: Moment,
}

/// A second, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Certificate {
    /// The certificate of these bytes, whose SHA-256 somebody else has made.
    pub fn new(der: &[u8], sha256: [u8; 32]) -> Self {
        Self { der: der.into(), fingerprint: Fingerprint(sha256) }
    }

    /// One that names this subject and says nothing else: no key, no time, no authority, and a SHA-256 of
    /// zeros. For questions about who would be let in; no handshake ends with it.
    ///
    /// ```
    /// use kolk::Certificate;
    ///
    /// assert_eq!(Certificate::unsigned("ada").common_name().as_deref(), Some("ada"));
    /// ```
    pub fn unsigned(common_name: &str) -> Self {
        let kind = encoded(OBJECT_IDENTIFIER, &[NAMES[0].0]);
        let name = encoded(SEQUENCE, &[&kind, &encoded(UTF8_STRING, &[common_name.as_bytes()])]);
        let (serial, nothing) = (encoded(INTEGER, &[&[1]]), encoded(SEQUENCE, &[]));
        let subject = encoded(SEQUENCE, &[&encoded(SET, &[&name])]);
        let fields = encoded(SEQUENCE, &[&serial, &nothing, &nothing, &nothing, &subject]);
        Self::new(&encoded(SEQUENCE, &[&fields]), [0; 32])
    }

    /// Its bytes.
    pub const fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its SHA-256.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// From when to when it is valid; `None` if that cannot be read.
    pub fn validity(&self) -> Option<Validity> {
        Validity::of(&self.der)
    }

    /// Whom it names, as in `CN=Ada,O=Example`: what is most special comes first. RFC 4514. Empty if it names
    /// nobody here, or if that cannot be read.
    pub fn subject(&self) -> String {
        let mut text = String::new();
        for (kind, value) in self.parts().iter().rev() {
            let gap = if text.is_empty() { "" } else { "," };
            let _ = match NAMES.iter().find(|(known, _)| known == kind) {
                Some((_, name)) => write!(text, "{gap}{name}={value}"),
                None => write!(text, "{gap}{}={value}", Dotted(kind)),
            };
        }
        text
    }

    /// The last common name in its subject. What a client is called by its authority.
    pub fn common_name(&self) -> Option<String> {
        let parts = self.parts();
        let (_, value) = parts.iter().rfind(|(kind, _)| *kind == NAMES[0].0)?;
        value.text.map(str::to_owned)
    }

    /// Its names beside the subject; none if they cannot be read.
    pub fn alternative_names(&self) -> AlternativeNames {
        let mut found = AlternativeNames::default();
        let extensions = Fields::of(&self.der).and_then(|fields| fields.extensions);
        let Some(mut extensions) = extensions.and_then(|all| Der(all).take(SEQUENCE)).map(Der) else {
            return found;
        };
        while let Some(mut extension) = extensions.take(SEQUENCE).map(Der) {
            if extension.take(OBJECT_IDENTIFIER) != Some(SUBJECT_ALT_NAME) {
                continue;
            }
            // Whether it is critical may stand in between.
            let value = std::iter::from_fn(|| extension.next()).find(|(tag, _)| *tag == OCTET_STRING);
            let Some(mut names) = value.and_then(|(_, value)| Der(value).take(SEQUENCE)).map(Der) else {
                continue;
            };
            while let Some((tag, name)) = names.next() {
                let list = match tag {
                    DNS_NAME => &mut found.dns,
                    RFC822_NAME => &mut found.email,
                    _ => continue,
                };
                list.extend(str::from_utf8(name).ok().filter(|name| name.is_ascii()).map(str::to_owned));
            }
        }
        found
    }

    /// The parts of its subject, in its order.
    fn parts(&self) -> Vec<(&[u8], Value<'_>)> {
        let mut parts = Vec::new();
        let Some(mut names) = Fields::of(&self.der).map(|fields| Der(fields.subject)) else { return parts };
        while let Some(mut set) = names.take(SET).map(Der) {
            while let Some(mut part) = set.take(SEQUENCE).map(Der) {
                let Some(kind) = part.take(OBJECT_IDENTIFIER) else { return parts };
                let Some((tag, bytes)) = part.next() else { return parts };
                let is_text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
                let text = Some(bytes).filter(|_| is_text).and_then(|bytes| str::from_utf8(bytes).ok());
                parts.push((kind, Value { text, bytes }));
            }
        }
        parts
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject())
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { ":" };
            write!(f, "{gap}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Validity {
    /// That of the certificate in `der`.
    pub fn of(der: &[u8]) -> Option<Self> {
        let mut times = Der(Fields::of(der)?.validity);
        Some(Self { from: Moment::read(&mut times)?, until: Moment::read(&mut times)? })
    }
}

impl Moment {
    /// Seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        // Years that begin in March have their leap day at the end.
        let (year, month) = (i64::from(self.year) - i64::from(self.month < 3), i64::from(self.month));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        // 719,468 days before 1970 the first such year began.
        let days = 365 * year + leaps + day_of_year - 719_468;
        ((days * 24 + i64::from(self.hour)) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second)
    }

    /// RFC 5280 §4.1.2.5: `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on.
    fn read(times: &mut Der<'_>) -> Option<Self> {
        let (tag, text) = times.next()?;
        let (year, rest) = match tag {
            UTC_TIME => {
                let year = u16::from(two(text, 0)?);
                (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
            }
            GENERALIZED_TIME => (u16::from(two(text, 0)?) * 100 + u16::from(two(text, 2)?), text.get(4..)?),
            _ => return None,
        };
        let moment = Self {
            year,
            month: two(rest, 0)?,
            day: two(rest, 2)?,
            hour: two(rest, 4)?,
            minute: two(rest, 6)?,
            second: two(rest, 8)?,
        };
        let is_one = (1..=12).contains(&moment.month)
            && (1..=31).contains(&moment.day)
            && moment.hour < 24
            && moment.minute < 60
            && moment.second < 61;
        (is_one && rest.get(10..) == Some(b"Z")).then_some(moment)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// The number of two digits.
fn two(text: &[u8], at: usize) -> Option<u8> {
    match text.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

/// The fields of a certificate that anybody asks for.
struct Fields<'d> {
    validity: &'d [u8],
    subject: &'d [u8],
    extensions: Option<&'d [u8]>,
}

impl<'d> Fields<'d> {
    fn of(der: &'d [u8]) -> Option<Self> {
        let mut fields = Der(Der(Der(der).take(SEQUENCE)?).take(SEQUENCE)?);
        // A certificate of the first version does not say which it is.
        if fields.0.first() == Some(&VERSION) {
            fields.take(VERSION)?;
        }
        fields.take(INTEGER)?;
        let (_algorithm, _issuer) = (fields.take(SEQUENCE)?, fields.take(SEQUENCE)?);
        let (validity, subject) = (fields.take(SEQUENCE)?, fields.take(SEQUENCE)?);
        let extensions = std::iter::from_fn(|| fields.next()).find(|(tag, _)| *tag == EXTENSIONS);
        Some(Self { validity, subject, extensions: extensions.map(|(_, value)| value) })
    }
}

/// Bytes in the distinguished encoding, one value after the other.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The next value, if it is a `tag`.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The next value and its tag.
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let [tag, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match usize::from(*length) {
            length @ 0..0x80 => (length, rest),
            more => {
                let (digits, rest) = rest.split_at_checked((more & 0x7f).min(5))?;
                let length = digits.iter().fold(0_u64, |sum, digit| sum << 8 | u64::from(*digit));
                (usize::try_from(length).ok().filter(|_| (1..5).contains(&digits.len()))?, rest)
            }
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }
}

/// A value of these parts; its length is written longer than it need be.
fn encoded(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let inner = parts.concat();
    let length = u32::try_from(inner.len()).unwrap_or(u32::MAX);
    [&[tag, 0x84][..], &length.to_be_bytes(), &inner].concat()
}

/// One value of a name.
struct Value<'d> {
    /// If it is text that is known here.
    text: Option<&'d str>,
    bytes: &'d [u8],
}

impl fmt::Display for Value<'_> {
    /// RFC 4514 §2.4.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.text else {
            f.write_char('#')?;
            return self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        };
        let last = text.chars().count().saturating_sub(1);
        for (index, letter) in text.chars().enumerate() {
            match letter {
                letter if letter.is_control() => {
                    let mut bytes = [0; 4];
                    letter.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(f, "\\{byte:02x}"))?;
                }
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{letter}")?,
                ' ' if index == 0 || index == last => f.write_str("\\ ")?,
                '#' if index == 0 => f.write_str("\\#")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// An object identifier as numbers with dots between them.
struct Dotted<'d>(&'d [u8]);

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut is_first) = (0_u64, true);
        for byte in self.0 {
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            match std::mem::replace(&mut is_first, false) {
                true => write!(f, "{}.{}", (number / 40).min(2), number - (number / 40).min(2) * 40)?,
                false => write!(f, ".{number}")?,
            }
            number = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(validity: &[&[u8]], subject: &[(&[u8], u8, &str)]) -> Certificate {
        let part = |(kind, tag, text): &(&[u8], u8, &str)| {
            let pair = [encoded(OBJECT_IDENTIFIER, &[kind]), encoded(*tag, &[text.as_bytes()])].concat();
            encoded(SET, &[&encoded(SEQUENCE, &[&pair])])
        };
        let subject: Vec<u8> = subject.iter().flat_map(part).collect();
        let fields = [
            encoded(VERSION, &[&[2, 1, 2]]),
            encoded(INTEGER, &[&[7]]),
            encoded(SEQUENCE, &[]),
            encoded(SEQUENCE, &[]),
            encoded(SEQUENCE, validity),
            encoded(SEQUENCE, &[&subject]),
        ];
        let der = encoded(SEQUENCE, &[&encoded(SEQUENCE, &[&fields.concat()])]);
        Certificate::new(&der, [0xab; 32])
    }

    #[test]
    fn rfc_5280_4_1_2_5_both_kinds_of_time_are_read() {
        let utc = |text: &str| encoded(UTC_TIME, &[text.as_bytes()]);
        let general = |text: &str| encoded(GENERALIZED_TIME, &[text.as_bytes()]);
        let validity = |from: &[u8], until: &[u8]| certificate(&[from, until], &[]).validity();
        let read = validity(&utc("491231235959Z"), &general("20500101000000Z")).unwrap();
        assert_eq!(read.from.to_string(), "2049-12-31 23:59:59 UTC");
        assert_eq!(read.from.unix_seconds() + 1, read.until.unix_seconds());
        for (text, seconds) in [
            ("19700101000000Z", 0),
            ("20000229120000Z", 951_825_600),
            ("19941106084937Z", 784_111_777),
            ("20261125145537Z", 1_795_618_537),
            ("19500101000000Z", -631_152_000),
        ] {
            let read = validity(&general(text), &general(text)).unwrap();
            assert_eq!(read.until.unix_seconds(), seconds, "{text}");
        }
        for wrong in ["491331235959Z", "49123123595Z", "491231235959", "491231235959+0100", "49123124x959Z"] {
            assert_eq!(validity(&utc(wrong), &utc(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn rfc_4514_2_a_subject_is_read_from_its_end() {
        let subject = |parts: &[(&[u8], u8, &str)]| certificate(&[], parts).subject();
        let (country, unit, common) = (NAMES[5].0, NAMES[4].0, NAMES[0].0);
        let ada = [
            (country, PRINTABLE_STRING, "GB"),
            (unit, UTF8_STRING, "Sums, and Products"),
            (common, UTF8_STRING, " Ada\n#1 "),
        ];
        assert_eq!(subject(&ada), "CN=\\ Ada\\0a#1\\ ,OU=Sums\\, and Products,C=GB");
        assert_eq!(certificate(&[], &ada).common_name().unwrap(), " Ada\n#1 ");
        assert_eq!(
            subject(&[(&[42, 134, 72, 134, 247, 13, 1, 9, 1], 0x1e, "a")]),
            "1.2.840.113549.1.9.1=#61"
        );
        assert_eq!((subject(&[]), certificate(&[], &[]).common_name()), (String::new(), None));
    }

    #[test]
    fn what_is_cut_or_no_certificate_says_nothing() {
        let whole = certificate(&[], &[(NAMES[0].0, UTF8_STRING, "a")]);
        for length in 0..whole.der().len() {
            let cut = Certificate::new(&whole.der()[..length], [0; 32]);
            assert_eq!((cut.subject(), cut.validity()), (String::new(), None));
        }
        for wrong in [&b"\x30\x84\xff\xff\xff\xff"[..], b"\x30\x80", b"\x30\x89123456789", b"\xff"] {
            assert_eq!(Certificate::new(wrong, [0; 32]).subject(), "");
        }
        // Whatever a byte becomes, it is read to its end.
        for (at, byte) in (0..whole.der().len()).flat_map(|at| [0, 0x7f, 0x81, 0xff].map(|byte| (at, byte))) {
            let mut other = whole.der().to_vec();
            other[at] = byte;
            let other = Certificate::new(&other, [0; 32]);
            assert!(other.subject().len() < 256 && other.validity().is_none());
        }
        assert!(whole.fingerprint().to_string().starts_with("AB:AB:"));
        assert_eq!(whole.fingerprint().to_string().len(), 95);
    }
}
