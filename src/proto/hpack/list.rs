//! [`FieldList`]: the fields of a block, as text and places in it.

use super::short;
use crate::http::Span;

/// A field of a [`FieldList`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where its name is.
    pub name: Span,
    /// Where its value is.
    pub value: Span,
    /// What the caller's judge said of it.
    pub mark: u8,
    /// It must stay a literal wherever it is sent on: RFC 7541 §6.2.3.
    pub is_sensitive: bool,
}

/// What a block was decoded to. One serves block after block and keeps its memory.
#[derive(Debug, Default)]
pub struct FieldList {
    pub(super) bytes: Vec<u8>,
    pub(super) fields: Vec<Field>,
}

impl FieldList {
    /// No fields.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), fields: Vec::new() }
    }

    /// Names and values, one behind the other.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fields in their order.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Both: for a caller that appends text of its own to the bytes.
    #[inline]
    pub const fn parts_mut(&mut self) -> (&mut Vec<u8>, &[Field]) {
        (&mut self.bytes, self.fields.as_slice())
    }

    /// The names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// Forgets all fields and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// Notes a field that was written behind the others, where there is room for it.
    #[inline(always)]
    pub(super) fn keep(&mut self, start: usize, name_bytes: usize, mark: u8, is_sensitive: bool) {
        let middle = short(start + name_bytes);
        let name = Span::new(short(start), middle);
        let value = Span::new(middle, short(self.bytes.len()));
        self.fields.push(Field { name, value, mark, is_sensitive });
    }
}
