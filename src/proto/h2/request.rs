//! REQUESTS: what a list of fields means as the head of a request. RFC 9113 §8.2, §8.3.
//!
//! ```text
//!  :method :scheme :authority :path   name value …   cookie cookie
//!     │                │        │         │             └─ joined, §8.2.3
//!     └──── line ──────┼────────┘         └─ places of a FieldTable, as HTTP/1 has them
//!                      └─ Host, the first field
//! ```
//! Each field is judged once ([`judge`]): what was found is kept with its entry in the dynamic table, so a
//! request that resembles the one before costs no look at its bytes. Knows no stream.

use super::priority::Priority;
use crate::http::{FieldTable, Known, Method, Reason, RequestLine, Span, Version, is_field_value};
use crate::proto::authority;
use crate::proto::hpack::{Field, FieldList};

use super::limits::Limits;

/// What [`judge`] finds: a well-formed field is 0, or 1 and the number of its known name.
const KNOWN: u8 = 1;
const METHOD: u8 = 64;
const SCHEME: u8 = 65;
const AUTHORITY: u8 = 66;
const PATH: u8 = 67;
/// A path that normalising cannot change.
const PLAIN_PATH: u8 = 68;
const ASTERISK: u8 = 69;
const PRIORITY: u8 = 70;
const COOKIE: u8 = Known::Cookie as u8 + KNOWN;
const HOST: u8 = Known::Host as u8 + KNOWN;
/// And what is malformed: RFC 9113 §8.1.1.
const BAD_PSEUDO: u8 = 128;
const BAD_NAME: u8 = 129;
const BAD_VALUE: u8 = 130;
const BAD_CONNECTION: u8 = 131;
const BAD_METHOD: u8 = 132;
const BAD_PATH: u8 = 133;
const BAD_AUTHORITY: u8 = 134;

/// What HTTP/1 has around the name and the value of a field: a colon, a blank and the line's end.
const FIELD_FRAMING_BYTES: usize = 4;
/// The longest method, in bytes; the same as in HTTP/1.
const METHOD_BYTES_MAX: usize = 24;

/// What a request is, beside its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) is_head: bool,
    /// The length that its content must have.
    pub(super) length: Option<u64>,
    pub(super) expects_continue: bool,
    /// RFC 9110 §6.5.1: it wants to know of fields behind the answer's body.
    pub(super) takes_trailers: bool,
    pub(super) priority: Priority,
}

impl Meaning {
    /// Where nothing was understood.
    pub(super) const UNKNOWN: Self = Self {
        is_head: false,
        length: None,
        expects_continue: false,
        takes_trailers: false,
        priority: Priority::DEFAULT,
    };
}

/// Why a head is not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is no request: its stream is reset.
    Malformed(Reason),
    /// It is answered with this.
    Refused(Reason),
}

/// What one field is, wherever it stands.
pub(super) fn judge(name: &[u8], value: &[u8]) -> u8 {
    if let [b':', ..] = name {
        return judge_pseudo(name, value);
    }
    if name.is_empty() || !name.iter().all(|&byte| IS_NAME[usize::from(byte)]) {
        return BAD_NAME;
    }
    let is_padded = matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
    if is_padded || !is_field_value(value) {
        return BAD_VALUE;
    }
    match Known::classify(name) {
        Some(Known::Connection | Known::TransferEncoding | Known::Upgrade) => BAD_CONNECTION,
        // RFC 9113 §8.2.2: the one exception.
        Some(Known::Te) if value != b"trailers" => BAD_CONNECTION,
        Some(Known::Host) if !is_authority(value) => BAD_AUTHORITY,
        Some(known) => known as u8 + KNOWN,
        None => match name {
            b"keep-alive" | b"proxy-connection" => BAD_CONNECTION,
            b"priority" => PRIORITY,
            _ => 0,
        },
    }
}

fn judge_pseudo(name: &[u8], value: &[u8]) -> u8 {
    match name {
        b":method" if value.len() > METHOD_BYTES_MAX || !crate::http::is_token(value) => BAD_METHOD,
        b":method" => METHOD,
        b":scheme" if is_scheme(value) => SCHEME,
        b":authority" if !is_authority(value) => BAD_AUTHORITY,
        b":authority" => AUTHORITY,
        b":path" => judge_path(value),
        _ => BAD_PSEUDO,
    }
}

fn judge_path(path: &[u8]) -> u8 {
    match path {
        b"*" => ASTERISK,
        [b'/', rest @ ..]
            if rest.iter().all(|&byte| IS_PLAIN[usize::from(byte)]) && rest.first() != Some(&b'.') =>
        {
            PLAIN_PATH
        }
        [b'/', ..] if path.iter().all(|byte| (0x21..0x7F).contains(byte) && *byte != b'#') => PATH,
        _ => BAD_PATH,
    }
}

/// RFC 9110 §4.2.3: a host is not empty.
fn is_authority(value: &[u8]) -> bool {
    !value.is_empty() && authority::is_valid(value)
}

/// RFC 9113 §8.3.1 leaves other schemes to gateways, and RFC 9110 §4.2 knows no resource of theirs: HTTP/1.1
/// refuses them, too.
#[inline]
fn is_served(scheme: &[u8]) -> bool {
    match scheme {
        b"https" | b"http" => true,
        _ => scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"http"),
    }
}

/// RFC 3986 §3.1.
fn is_scheme(value: &[u8]) -> bool {
    value.first().is_some_and(u8::is_ascii_alphabetic)
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// Places the parts of the request that `list` is in `table`. What has to be written for that goes behind the
/// texts of the list.
pub(super) fn head(list: &mut FieldList, table: &mut FieldTable, limits: &Limits) -> Result<Meaning, Unfit> {
    let (bytes, fields) = list.parts_mut();
    let (pseudo, regular) = pseudo_fields(fields)?;
    let head_bytes = bytes.len() + fields.len() * FIELD_FRAMING_BYTES;
    table.clear();
    let line = pseudo.line(bytes)?;
    let mut meaning = Meaning { is_head: line.method == Method::Head, ..Meaning::UNKNOWN };
    if let Some(authority) = pseudo.authority {
        let mut hosts = 0;
        for host in regular.iter().filter(|field| field.mark == HOST || field.mark == BAD_AUTHORITY) {
            // RFC 9113 §8.3.1: a Host that says something else is none.
            if host.value.of(bytes) != authority.of(bytes) {
                return Err(Unfit::Malformed(Reason::HostInvalid));
            }
            hosts += 1;
        }
        // RFC 9110 §5.3: no list, so it stands once; RFC 9112 §3.2 says what becomes of others.
        if hosts > 1 {
            return Err(Unfit::Refused(Reason::HostRepeated));
        }
        let start = short(bytes.len());
        bytes.extend_from_slice(b"host");
        push(table, Span::new(start, start + 4), authority, HOST, limits)?;
    }
    let mut has_crumbs = false;
    for field in regular {
        match field.mark {
            0 | PRIORITY => push(table, field.name, field.value, 0, limits)?,
            COOKIE if table.known(Known::Cookie).is_some() => has_crumbs = true,
            HOST if pseudo.authority.is_some() => {}
            KNOWN..METHOD => push(table, field.name, field.value, field.mark, limits)?,
            mark => return Err(Unfit::Malformed(fault(mark))),
        }
        if field.mark == PRIORITY {
            meaning.priority = Priority::parse(field.value.of(bytes));
        }
    }
    table.set_line(line);
    if has_crumbs {
        join_cookies(bytes, regular, table);
    }
    if table.has_any([Known::ContentLength, Known::Expect, Known::Te]) {
        // RFC 9113 §8.2.2: it has one value only.
        meaning.takes_trailers = table.known(Known::Te).is_some();
        meaning.length = content_length(bytes, regular)?;
        meaning.expects_continue = expects_continue(bytes, regular)?;
    }
    if line.target.len() > usize::from(limits.path_bytes_max) {
        return Err(Unfit::Refused(Reason::RequestLineBytes));
    }
    if head_bytes > usize::from(limits.head_bytes_max) {
        return Err(Unfit::Refused(Reason::HeadBytes));
    }
    match table.known(Known::Host) {
        None => Err(Unfit::Refused(Reason::HostMissing)),
        Some(_) if table.is_repeated(Known::Host) => Err(Unfit::Refused(Reason::HostRepeated)),
        Some(_) => Ok(meaning),
    }
}

/// What is known of a request that is refused: an answer to HEAD has no content, whatever else it asks (RFC
/// 9110 §9.3.2).
#[cold]
pub(super) fn refused(list: &FieldList) -> Meaning {
    let method = list.fields().iter().find(|field| field.mark == METHOD);
    let is_head = method.is_some_and(|method| method.value.of(list.bytes()) == b"HEAD");
    Meaning { is_head, ..Meaning::UNKNOWN }
}

/// Places the fields of a trailer in `table`, but for those that some rule asks for by name: they belong into
/// the head (RFC 9110 §6.5.1).
pub(super) fn trailer(list: &FieldList, table: &mut FieldTable, limits: &Limits) -> Result<(), Unfit> {
    table.clear();
    for field in list.fields() {
        match field.mark {
            0 | PRIORITY => push(table, field.name, field.value, 0, limits)?,
            KNOWN..METHOD => {}
            mark => return Err(Unfit::Malformed(fault(mark))),
        }
    }
    Ok(())
}

/// The fields whose names begin with a colon: RFC 9113 §8.3.1.
#[derive(Default)]
struct Pseudo {
    method: Option<Span>,
    scheme: Option<Span>,
    authority: Option<Span>,
    path: Option<(Span, u8)>,
}

/// Takes the pseudo-fields, which stand before all others.
fn pseudo_fields(fields: &[Field]) -> Result<(Pseudo, &[Field]), Unfit> {
    let mut pseudo = Pseudo::default();
    let mut rest = fields;
    while let [field, behind @ ..] = rest {
        let is_repeated = match field.mark {
            METHOD => pseudo.method.replace(field.value).is_some(),
            SCHEME => pseudo.scheme.replace(field.value).is_some(),
            AUTHORITY => pseudo.authority.replace(field.value).is_some(),
            PATH | PLAIN_PATH | ASTERISK => pseudo.path.replace((field.value, field.mark)).is_some(),
            // What is missing for its sake is not what is wrong.
            mark @ BAD_PSEUDO.. => return Err(Unfit::Malformed(fault(mark))),
            _ => break,
        };
        if is_repeated {
            return Err(Unfit::Malformed(Reason::H2Pseudo));
        }
        rest = behind;
    }
    Ok((pseudo, rest))
}

impl Pseudo {
    /// What HTTP/1 has in its first line.
    fn line(&self, bytes: &[u8]) -> Result<RequestLine, Unfit> {
        let bad = Unfit::Malformed(Reason::H2Pseudo);
        let method_span = self.method.ok_or(bad)?;
        let method = Method::from_name(method_span.of(bytes));
        let (target, mark) = if method == Method::Connect {
            // RFC 9113 §8.5: a host and a port, and nothing else.
            match (self.scheme, self.path, self.authority) {
                (None, None, Some(authority)) if authority::has_port(authority.of(bytes)) => {
                    (authority, AUTHORITY)
                }
                _ => return Err(bad),
            }
        } else {
            if !is_served(self.scheme.ok_or(bad)?.of(bytes)) {
                return Err(Unfit::Refused(Reason::Target));
            }
            self.path.ok_or(bad)?
        };
        if mark == ASTERISK && method != Method::Options {
            return Err(Unfit::Malformed(Reason::Target));
        }
        let is_plain_path = mark == PLAIN_PATH;
        Ok(RequestLine { method, version: Version::Http2, method_span, target, is_plain_path })
    }
}

fn push(table: &mut FieldTable, name: Span, value: Span, mark: u8, limits: &Limits) -> Result<(), Unfit> {
    let known = mark.checked_sub(KNOWN).and_then(|index| Known::ALL.get(usize::from(index)).copied());
    if table.len() >= usize::from(limits.fields_max) || table.push(name, value, known).is_err() {
        return Err(Unfit::Refused(Reason::FieldCount));
    }
    Ok(())
}

/// Makes one field of all cookies: RFC 9113 §8.2.3.
#[inline(never)]
fn join_cookies(bytes: &mut Vec<u8>, fields: &[Field], table: &mut FieldTable) {
    let start = bytes.len();
    for crumb in fields.iter().filter(|field| field.mark == COOKIE) {
        if bytes.len() > start {
            bytes.extend_from_slice(b"; ");
        }
        bytes.extend_from_within(crumb.value.start()..crumb.value.end());
    }
    table.replace_known(Known::Cookie, Span::new(short(start), short(bytes.len())));
}

/// RFC 9110 §8.6: repeated only if every value is the same.
#[inline(never)]
fn content_length(bytes: &[u8], fields: &[Field]) -> Result<Option<u64>, Unfit> {
    let mark = Known::ContentLength as u8 + KNOWN;
    let mut values = fields.iter().filter(|field| field.mark == mark).map(|field| field.value.of(bytes));
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|value| value != first) {
        return Err(Unfit::Malformed(Reason::LengthConflict));
    }
    let digits = first.iter().all(u8::is_ascii_digit).then_some(first);
    let length = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    length.map(Some).ok_or(Unfit::Malformed(Reason::LengthSyntax))
}

/// RFC 9110 §10.1.1.
fn expects_continue(bytes: &[u8], fields: &[Field]) -> Result<bool, Unfit> {
    let mark = Known::Expect as u8 + KNOWN;
    let mut values = fields.iter().filter(|field| field.mark == mark).map(|field| field.value.of(bytes));
    let Some(first) = values.next() else { return Ok(false) };
    if values.next().is_some() || !first.eq_ignore_ascii_case(b"100-continue") {
        return Err(Unfit::Refused(Reason::Expectation));
    }
    Ok(true)
}

/// What a mark that no head may have at this place says.
#[cold]
const fn fault(mark: u8) -> Reason {
    match mark {
        BAD_NAME => Reason::FieldName,
        BAD_VALUE => Reason::FieldValue,
        BAD_CONNECTION => Reason::H2ConnectionField,
        BAD_METHOD => Reason::MethodToken,
        BAD_PATH => Reason::Target,
        BAD_AUTHORITY => Reason::HostInvalid,
        _ => Reason::H2Pseudo,
    }
}

/// An offset into the texts of a list, which [`Limits::are_sound`] holds to 16 bits.
fn short(offset: usize) -> u16 {
    u16::try_from(offset).unwrap_or(u16::MAX)
}

/// RFC 9113 §8.2.1: what is a token, but for capital letters.
static IS_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// Letters, digits, `-` and `.`: what a path of one segment cannot be normalised for.
static IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        byte += 1;
    }
    table
};
