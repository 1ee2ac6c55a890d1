//! [`Fields`]: the fields of a response in one block of text, ready for HTTP/1.
//!
//! ```text
//!  Name: value CR LF Name: value CR LF …
//! ```
//! One allocation that is reused, no maps. HTTP/2 and 3 read the pairs back out of it.
//! Invariant: each line is a token, `": "`, a value without control bytes, CR LF: the types of the
//! `http` crate make sure of it.

use ::http::{HeaderName, HeaderValue};

/// An ordered list of response fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields {
    block: Vec<u8>,
}

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self { block: Vec::new() }
    }

    /// Appends one field; an equal name stays beside it.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append_checked(name.as_str(), value.as_bytes());
    }

    /// Appends one field; not where `value` has another byte than visible ASCII characters and spaces.
    pub(super) fn append_text(&mut self, name: &HeaderName, value: &[u8]) {
        // Without an early end, so that many bytes are looked at in one step.
        if value.iter().fold(true, |is_text, byte| is_text & matches!(byte, b' '..=b'~')) {
            self.append_checked(name.as_str(), value);
        }
    }

    /// Removes every field of this name; whether there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        let before = self.block.len();
        let mut at = 0;
        while let Some(length) = line_length(&self.block[at..]) {
            if line_name(&self.block[at..]).eq_ignore_ascii_case(name.as_str().as_bytes()) {
                self.block.drain(at..at + length);
            } else {
                at += length;
            }
        }
        self.block.len() != before
    }

    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(&self.block)
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The block of lines, each ended by CR LF.
    #[inline]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Forgets all fields and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.block.clear();
    }

    /// Appends lines that were another block, up to the empty line that ended it.
    pub(super) fn adopt(&mut self, lines: &[u8]) {
        self.block.extend_from_slice(lines.strip_suffix(b"\r\n").unwrap_or(lines));
    }

    /// Appends a field whose name and value are known to be well-formed.
    fn append_checked(&mut self, name: &str, value: &[u8]) {
        let mut word = self.block.len();
        self.block.reserve(name.len() + value.len() + 4);
        self.block.extend_from_slice(name.as_bytes());
        // `x-request-id` is written `X-Request-Id`, as people expect to read it.
        while let Some([first, rest @ ..]) = self.block.get_mut(word..) {
            first.make_ascii_uppercase();
            word = memchr::memchr(b'-', rest).map_or(usize::MAX, |hyphen| word + hyphen + 2);
        }
        self.block.extend_from_slice(b": ");
        self.block.extend_from_slice(value);
        self.block.extend_from_slice(b"\r\n");
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        Self { block: self.block.clone() }
    }

    /// Reuses the memory that is there.
    fn clone_from(&mut self, source: &Self) {
        self.block.clone_from(&source.block);
    }
}

/// The names and values of lines, up to their end or the empty line.
pub(super) fn lines(mut rest: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    std::iter::from_fn(move || {
        let length = line_length(rest).filter(|length| *length > 2)?;
        let (line, behind) = rest.split_at(length);
        rest = behind;
        let name = line_name(line);
        let value = &line[name.len() + 2..length - 2];
        Some((std::str::from_utf8(name).unwrap_or_default(), value))
    })
}

/// The length of the first line, its end included; `None` when there is none.
fn line_length(block: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', block).map(|place| place + 1)
}

/// The name at the beginning of a line.
fn line_name(line: &[u8]) -> &[u8] {
    &line[..memchr::memchr(b':', line).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use ::http::header;

    use super::*;

    #[test]
    fn fields_keep_their_order_and_are_found_in_any_case() {
        let mut fields = Fields::new();
        fields.append(&header::ALLOW, &HeaderValue::from_static("GET"));
        fields.append(&HeaderName::from_static("x-request-id"), &HeaderValue::from_static("a: b"));
        fields.append(&header::VARY, &HeaderValue::from_static(""));
        assert_eq!(fields.block(), b"Allow: GET\r\nX-Request-Id: a: b\r\nVary: \r\n");
        assert_eq!(fields.get("x-request-ID"), Some(&b"a: b"[..]));
        assert_eq!(
            fields.iter().collect::<Vec<_>>(),
            [("Allow", &b"GET"[..]), ("X-Request-Id", b"a: b"), ("Vary", b"")]
        );
        assert!(fields.remove(&HeaderName::from_static("x-request-id")));
        assert!(!fields.remove(&HeaderName::from_static("x-request-id")));
        assert_eq!(fields.block(), b"Allow: GET\r\nVary: \r\n");
    }
}
