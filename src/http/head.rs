//! The head of a request: [`FieldTable`] (where things are), [`Head`] (table and bytes, borrowed) and
//! [`OwnedHead`] (a frozen copy).
//!
//! A table holds offsets, never bytes, so one table serves request after request; a version of HTTP
//! fills it (HTTP/1: spans of the received bytes; HTTP/2 and 3: spans of the decoded block).
//! Invariant: every span lies within the bytes that the table was filled from.

use super::field::Known;
use super::method::Method;
use super::span::Span;
use super::target::Target;
use super::version::Version;

/// How many fields a head may have.
pub const FIELDS_MAX: usize = 100;

/// What the request line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestLine {
    /// The method, as one byte.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// Where the method's name is.
    pub method_span: Span,
    /// Where the request target is.
    pub target: Span,
    /// The target is a path as it should be, and nothing else: it begins with `/`, has no query, no escape,
    /// no empty and no dot segment. `false` only means that nobody has looked.
    pub is_plain_path: bool,
}

/// The places of the parts of one head.
#[derive(Clone)]
pub struct FieldTable {
    line: RequestLine,
    count: u16,
    /// Index + 1 of the first field of each known name; 0: absent.
    known: [u8; KNOWN_PLACES],
    /// One bit for each known name that stands more than once.
    repeated: u32,
    fields: [FieldSpan; FIELDS_MAX],
}

/// The name and the value of one field.
#[derive(Clone, Copy, Debug, Default)]
struct FieldSpan {
    name: Span,
    value: Span,
}

/// A table is full: the head has more than [`FIELDS_MAX`] fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyFields;

const _: () = assert!(Known::COUNT <= u32::BITS as usize, "`repeated` has a bit for each");
/// Room for all known names, in whole words: clearing it takes three stores.
const KNOWN_PLACES: usize = Known::COUNT.next_multiple_of(8);

const _: () = assert!(FIELDS_MAX < u8::MAX as usize, "`known` holds index + 1 in a byte");

impl FieldTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            line: RequestLine {
                method: Method::Get,
                version: Version::Http11,
                method_span: Span::new(0, 0),
                target: Span::new(0, 0),
                is_plain_path: false,
            },
            count: 0,
            known: [0; KNOWN_PLACES],
            repeated: 0,
            fields: [FieldSpan { name: Span::new(0, 0), value: Span::new(0, 0) }; FIELDS_MAX],
        }
    }

    /// Forgets all fields.
    #[inline]
    pub const fn clear(&mut self) {
        self.count = 0;
        self.known = [0; KNOWN_PLACES];
        self.repeated = 0;
    }

    /// Notes the request line.
    #[inline]
    pub const fn set_line(&mut self, line: RequestLine) {
        self.line = line;
    }

    /// The request line.
    #[inline]
    pub const fn line(&self) -> &RequestLine {
        &self.line
    }

    /// Notes one more field.
    ///
    /// # Errors
    /// [`TooManyFields`] when there are [`FIELDS_MAX`] already.
    #[inline]
    pub fn push(&mut self, name: Span, value: Span, known: Option<Known>) -> Result<(), TooManyFields> {
        let index = usize::from(self.count);
        let place = self.count + 1;
        *self.fields.get_mut(index).ok_or(TooManyFields)? = FieldSpan { name, value };
        self.count = place;
        if let Some(known) = known {
            let first = &mut self.known[known as usize];
            if *first == 0 {
                // Fits: FIELDS_MAX is below 255, asserted above.
                *first = place.to_le_bytes()[0];
            } else {
                self.repeated |= 1 << known as u32;
            }
        }
        Ok(())
    }

    /// Gives the first field of this name, if there is one, another value.
    pub fn replace_known(&mut self, known: Known, value: Span) {
        let place = usize::from(self.known[known as usize]);
        if let Some(field) = place.checked_sub(1).and_then(|index| self.fields.get_mut(index)) {
            field.value = value;
        }
    }

    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no field.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value span of the first field of this name.
    #[inline]
    pub fn known(&self, known: Known) -> Option<Span> {
        match self.known[known as usize] {
            0 => None,
            place => Some(self.fields[usize::from(place) - 1].value),
        }
    }

    /// Whether there is a field of any of these names.
    #[inline]
    pub fn has_any<const N: usize>(&self, names: [Known; N]) -> bool {
        names.iter().fold(0, |places, name| places | self.known[*name as usize]) != 0
    }

    /// Whether more than one field has this name.
    #[inline]
    pub const fn is_repeated(&self, known: Known) -> bool {
        self.repeated & 1 << known as u32 != 0
    }

    fn fields(&self) -> &[FieldSpan] {
        &self.fields[..usize::from(self.count)]
    }
}

impl Default for FieldTable {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for FieldTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FieldTable").field("line", &self.line).field("fields", &self.fields()).finish()
    }
}

/// The head of a request, borrowed for as long as it is handled.
#[derive(Clone, Copy)]
pub struct Head<'h> {
    bytes: &'h [u8],
    table: &'h FieldTable,
    frame: &'h [u8],
}

impl<'h> Head<'h> {
    /// The head whose parts `table` places in `bytes`.
    #[inline]
    pub const fn new(bytes: &'h [u8], table: &'h FieldTable) -> Self {
        Self { bytes, table, frame: &[] }
    }

    /// The same head, which came in one `frame`.
    #[inline]
    #[must_use]
    pub const fn in_frame(self, frame: &'h [u8]) -> Self {
        Self { frame, ..self }
    }

    /// The HEADERS frame of HTTP/2 that it came in, if it came in one and was not kept since.
    #[inline]
    pub const fn frame(&self) -> Option<&'h [u8]> {
        if self.frame.is_empty() { None } else { Some(self.frame) }
    }

    /// The bytes that the table is about. HTTP/1: as they were received, from the method to the empty line
    /// inclusive. HTTP/2: the texts of the fields, decoded.
    #[inline]
    pub const fn bytes(&self) -> &'h [u8] {
        self.bytes
    }

    /// The places of the parts.
    #[inline]
    pub const fn table(&self) -> &'h FieldTable {
        self.table
    }

    /// The method.
    #[inline]
    pub const fn method(&self) -> Method {
        self.table.line.method
    }

    /// The method's name, also that of an extension method.
    pub fn method_name(&self) -> &'h str {
        text(self.method_bytes())
    }

    /// The bytes of [`Head::method_name`].
    #[inline]
    pub fn method_bytes(&self) -> &'h [u8] {
        self.table.line.method_span.of(self.bytes)
    }

    /// The version.
    #[inline]
    pub const fn version(&self) -> Version {
        self.table.line.version
    }

    /// The request target's bytes: visible ASCII.
    #[inline]
    pub fn target_bytes(&self) -> &'h [u8] {
        self.table.line.target.of(self.bytes)
    }

    /// The request target, taken apart.
    #[inline]
    pub fn target(&self) -> Target<'h> {
        Target::split(self.method(), self.target_bytes())
    }

    /// Host and port that the client asked for: of an absolute target, else of `Host` (RFC 9112 §3.2.2).
    pub fn authority(&self) -> Option<&'h str> {
        self.authority_bytes().map(text)
    }

    /// The bytes of [`Head::authority`].
    #[inline]
    pub fn authority_bytes(&self) -> Option<&'h [u8]> {
        let authority = match self.target_bytes().first() {
            Some(b'/') => b"",
            _ => self.target().authority.as_bytes(),
        };
        let authority = if authority.is_empty() { self.known(Known::Host)? } else { authority };
        (!authority.is_empty()).then_some(authority)
    }

    /// [`Head::authority`] without the port.
    pub fn host(&self) -> Option<&'h str> {
        self.host_bytes().map(text)
    }

    /// The bytes of [`Head::host`].
    #[inline]
    pub fn host_bytes(&self) -> Option<&'h [u8]> {
        let authority = self.authority_bytes()?;
        // An IPv6 address has colons of its own, inside brackets (RFC 3986 §3.2.2).
        let end = match authority {
            [b'[', ..] => memchr::memchr(b']', authority).map(|bracket| bracket + 1),
            _ => memchr::memchr(b':', authority),
        };
        Some(&authority[..end.unwrap_or(authority.len())])
    }

    /// The value of the first field of this name.
    #[inline]
    pub fn known(&self, known: Known) -> Option<&'h [u8]> {
        self.table.known(known).map(|span| span.of(self.bytes))
    }

    /// The value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'h [u8]> {
        match Known::classify(name.as_bytes()) {
            Some(known) => self.known(known),
            None => self.values(name).next(),
        }
    }

    /// The values of all fields of this name, in any case, in their order.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        let is_named = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
        self.lines().filter(move |(field, _)| is_named(field)).map(|(_, value)| value)
    }

    /// All fields in their order: name as it was written, value without white space around it.
    pub fn fields(&self) -> impl Iterator<Item = (&'h str, &'h [u8])> + use<'h> {
        self.lines().map(|(name, value)| (text(name), value))
    }

    /// [`Head::fields`] with the bytes of the names.
    #[inline]
    pub fn lines(&self) -> impl Iterator<Item = (&'h [u8], &'h [u8])> + use<'h> {
        let bytes = self.bytes;
        self.table.fields().iter().map(move |field| (field.name.of(bytes), field.value.of(bytes)))
    }
}

impl std::fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        map.entry(&self.method_name(), &text(self.target_bytes()));
        for (name, value) in self.fields() {
            map.entry(&name, &String::from_utf8_lossy(value));
        }
        map.finish()
    }
}

/// A head that outlives the buffer it was parsed in.
#[derive(Clone, Debug, Default)]
pub struct OwnedHead {
    bytes: Box<[u8]>,
    table: Box<FieldTable>,
}

impl OwnedHead {
    /// A copy of `head`.
    pub fn freeze(head: &Head<'_>) -> Self {
        Self { bytes: head.bytes.into(), table: Box::new(head.table.clone()) }
    }

    /// The head, borrowed.
    #[inline]
    pub const fn head(&self) -> Head<'_> {
        Head::new(&self.bytes, &self.table)
    }
}

/// Names, methods and targets are ASCII: their grammar was checked before a table holds them.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"PURGE /a Host x.example A 1 a 2";

    fn table() -> FieldTable {
        let mut table = FieldTable::new();
        table.set_line(RequestLine {
            method: Method::Extension,
            version: Version::Http11,
            method_span: Span::new(0, 5),
            target: Span::new(6, 8),
            is_plain_path: false,
        });
        table.push(Span::new(9, 13), Span::new(14, 23), Some(Known::Host)).unwrap();
        table.push(Span::new(24, 25), Span::new(26, 27), None).unwrap();
        table.push(Span::new(28, 29), Span::new(30, 31), None).unwrap();
        table
    }

    #[test]
    fn a_head_answers_by_name_in_any_case() {
        let table = table();
        let head = Head::new(BYTES, &table);
        assert_eq!(head.method_name(), "PURGE");
        assert_eq!(head.target_bytes(), b"/a");
        assert_eq!(head.known(Known::Host), Some(&b"x.example"[..]));
        assert_eq!(head.field("HOST"), Some(&b"x.example"[..]));
        assert_eq!(head.field("a"), Some(&b"1"[..]));
        assert_eq!(head.values("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(head.known(Known::Cookie), None);
        assert!(table.has_any([Known::Cookie, Known::Host]) && !table.has_any([Known::Cookie, Known::Te]));
        let owned = OwnedHead::freeze(&head);
        assert_eq!(owned.head().fields().count(), 3);
    }

    #[test]
    fn a_table_takes_a_hundred_fields() {
        let mut table = FieldTable::new();
        for _ in 0..FIELDS_MAX {
            table.push(Span::default(), Span::default(), Some(Known::Accept)).unwrap();
        }
        assert_eq!(table.push(Span::default(), Span::default(), None), Err(TooManyFields));
        assert_eq!(table.len(), FIELDS_MAX);
        assert!(table.is_repeated(Known::Accept) && !table.is_repeated(Known::Host));
        table.clear();
        assert!(!table.is_repeated(Known::Accept));
        assert!(table.is_empty() && table.known(Known::Accept).is_none());
    }

    #[test]
    fn a_table_fits_a_kilobyte() {
        assert!(size_of::<FieldTable>() <= 1024, "{}", size_of::<FieldTable>());
    }
}
