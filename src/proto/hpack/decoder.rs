//! BLOCKS → FIELDS. RFC 7541 §3, §6.
//!
//! ```text
//!  1 index:7                              a field of a table
//!  0 1 index:6   [name] value             a literal that becomes an entry
//!  0 0 0 s index:4   [name] value         a literal that does not (s: nowhere on its way)
//!  0 0 1 size:5                           the table's size; before all fields only
//! ```
//! What is beyond the list's limits is decoded for the table's sake and not kept, so that the request can be
//! refused and the connection lives; beyond the limit of expansion the block is refused. Invariant: a list
//! grows to its limit at most, and for a moment by the one literal at hand.

use super::integer::take;
use super::list::FieldList;
use super::table::Table;
use super::{Error, FIELD_BYTES, huffman, statics};

/// How much a block may mean, each with its unit. One value serves all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What is kept: name, value and 32 bytes of each field (RFC 9113 §10.5.1). Offsets are 16 bits wide.
    pub list_bytes_max: u16,
    /// How many fields are kept. More than a head has: a cookie comes in crumbs (RFC 9113 §8.2.3).
    pub fields_max: u16,
    /// What all fields may count, kept or not.
    pub expansion_bytes_max: u32,
}

impl Limits {
    /// What holds where nothing else is said.
    pub const DEFAULT: Self =
        Self { list_bytes_max: 32 * 1024, fields_max: 200, expansion_bytes_max: 256 * 1024 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether all fields of a block were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// They were.
    Whole,
    /// The list would have been too large.
    TooLarge,
    /// There were too many.
    TooMany,
}

/// The reading side of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the peer may make of its table.
    bytes_max: u16,
}

impl Decoder {
    /// The side of a connection on which nothing was agreed on.
    pub fn new() -> Self {
        Self { table: Table::new(super::TABLE_BYTES), bytes_max: super::TABLE_BYTES }
    }

    /// Sets the table's largest size, once the peer has acknowledged it (SETTINGS_HEADER_TABLE_SIZE). If the
    /// table is larger, the next block must say that it no longer is.
    pub fn set_bytes_max(&mut self, bytes_max: u16) {
        self.bytes_max = bytes_max;
    }

    /// What the peer can refer to.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Decodes a whole block into `list`, whose fields before are forgotten.
    ///
    /// `judge` sees a name and a value when they come as a literal or from the static table; what it says is
    /// kept beside the entry, so that a field that is repeated is not judged again.
    ///
    /// # Errors
    /// The peer broke a rule: the connection is over.
    pub fn decode(
        &mut self,
        block: &[u8],
        limits: &Limits,
        judge: impl Fn(&[u8], &[u8]) -> u8,
        list: &mut FieldList,
    ) -> Result<Fit, Error> {
        list.clear();
        let mut rest = block;
        self.size_updates(&mut rest)?;
        let budget = Budget { limits, count: 0, fit: Fit::Whole };
        let mut reading = Reading { table: &mut self.table, list, budget, judge };
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                reading.indexed(take(&mut rest, 0x7F)?)?;
            } else if first & 0x40 != 0 {
                let index = take(&mut rest, 0x3F)?;
                reading.literal(index, &mut rest, Literal::Entry)?;
            } else if first & 0x20 == 0 {
                let index = take(&mut rest, 0x0F)?;
                let is_sensitive = first & 0x10 != 0;
                reading.literal(index, &mut rest, Literal::Passing { is_sensitive })?;
            } else {
                return Err(Error::SizeUpdateLate);
            }
        }
        Ok(reading.budget.fit)
    }

    /// Takes what a block says of the table's size: RFC 7541 §4.2.
    #[inline]
    fn size_updates(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        let mut count = 0;
        while let Some(0x20..=0x3F) = rest.first() {
            let size = take(rest, 0x1F)?;
            count += 1;
            if size > usize::from(self.bytes_max) {
                return Err(Error::SizeUpdateTooLarge);
            }
            if count > 2 {
                return Err(Error::SizeUpdateRepeated);
            }
            self.table.set_bytes_max(size);
        }
        if self.table.bytes_max() > usize::from(self.bytes_max) {
            Err(Error::SizeUpdateMissing)
        } else {
            Ok(())
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// What becomes of a literal.
#[derive(Clone, Copy)]
enum Literal {
    Entry,
    Passing { is_sensitive: bool },
}

/// A block that is being read.
struct Reading<'d, J> {
    table: &'d mut Table,
    list: &'d mut FieldList,
    budget: Budget<'d>,
    judge: J,
}

impl<J: Fn(&[u8], &[u8]) -> u8> Reading<'_, J> {
    #[inline(always)]
    fn indexed(&mut self, index: usize) -> Result<(), Error> {
        let start = self.list.bytes.len();
        if let Some(young) = index.checked_sub(statics::COUNT + 1) {
            let entry = self.table.get(young).ok_or(Error::IndexUnknown)?;
            if self.budget.admits(entry.bytes(), self.list)? {
                entry.append_to(&mut self.list.bytes);
                let [mark, _] = entry.note().to_le_bytes();
                self.list.keep(start, entry.name_bytes(), mark, false);
            }
        } else {
            let (text, name_bytes) = statics::get(index).ok_or(Error::IndexZero)?;
            if self.budget.admits(text.len(), self.list)? {
                let (name, value) = text.split_at(name_bytes);
                let mark = (self.judge)(name, value);
                self.list.bytes.extend_from_slice(text);
                self.list.keep(start, name_bytes, mark, false);
            }
        }
        Ok(())
    }

    /// A field whose value follows, as does its name if the index is zero. Both are written behind the list
    /// and stay there if there is room.
    fn literal(&mut self, index: usize, rest: &mut &[u8], literal: Literal) -> Result<(), Error> {
        let start = self.list.bytes.len();
        let bytes = &mut self.list.bytes;
        if index == 0 {
            string(rest, bytes)?;
        } else {
            self.table.name(index, bytes).ok_or(Error::IndexUnknown)?;
        }
        let name_bytes = bytes.len() - start;
        string(rest, bytes)?;
        let is_kept = self.budget.admits(self.list.bytes.len() - start, self.list)?;
        let (name, value) = self.list.bytes[start..].split_at(name_bytes);
        let mark = (self.judge)(name, value);
        if let Literal::Entry = literal {
            self.table.insert(name, value, u16::from(mark));
        }
        if is_kept {
            let is_sensitive = matches!(literal, Literal::Passing { is_sensitive: true });
            self.list.keep(start, name_bytes, mark, is_sensitive);
        } else {
            self.list.bytes.truncate(start);
        }
        Ok(())
    }
}

/// What a block may still mean.
struct Budget<'d> {
    limits: &'d Limits,
    /// What the fields so far count.
    count: usize,
    fit: Fit,
}

impl Budget<'_> {
    /// Counts a field of so many bytes: whether it is kept. After one that is not, none is.
    #[inline(always)]
    fn admits(&mut self, bytes: usize, list: &FieldList) -> Result<bool, Error> {
        self.count += bytes + FIELD_BYTES;
        if self.count > usize::from(self.limits.list_bytes_max)
            || list.fields.len() >= usize::from(self.limits.fields_max)
        {
            self.refuse()?;
        }
        Ok(self.fit == Fit::Whole)
    }

    #[inline(never)]
    fn refuse(&mut self) -> Result<(), Error> {
        if self.fit == Fit::Whole {
            let is_large = self.count > usize::from(self.limits.list_bytes_max);
            self.fit = if is_large { Fit::TooLarge } else { Fit::TooMany };
        }
        let is_endless = self.count as u64 > u64::from(self.limits.expansion_bytes_max);
        if is_endless { Err(Error::Expansion) } else { Ok(()) }
    }
}

/// Takes a string: RFC 7541 §5.2.
#[inline(always)]
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let is_coded = matches!(rest.first(), Some(0x80..));
    let length = take(rest, 0x7F)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
    *rest = behind;
    if is_coded {
        return huffman::decode(text, out);
    }
    out.extend_from_slice(text);
    Ok(())
}
