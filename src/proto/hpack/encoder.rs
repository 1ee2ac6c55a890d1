//! FIELDS → BLOCKS. RFC 7541 §3, §6.
//!
//! ```text
//!  field ─► an entry, name and value?  ──yes──► its index, one byte
//!                │ no
//!                ▼
//!           static, name and value?    ──yes──► its index, one byte
//!                │ no
//!                ▼
//!           policy ─► a literal behind the index of its name, or behind its name
//! ```
//! What repeats on a connection is found in the first step.

use ::http::StatusCode;

use super::integer::put;
use super::policy::{CONTENT_LENGTH, Policy, STATUS, policy};
use super::table::Table;
use super::{FIELD_BYTES, huffman, statics};

/// The writing side of a connection.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The size that the table gets with the next block, and the smallest that was asked for since the last
    /// one: the peer is told both, RFC 7541 §4.2.
    bytes_next: u16,
    bytes_lowest: u16,
    /// What this side is willing to keep.
    bytes_max: u16,
    /// The note of the last field that is the same for a while.
    passing: u16,
}

impl Encoder {
    /// The side of a connection on which nothing was agreed on, with a table of at most this size.
    pub fn new(bytes_max: u16) -> Self {
        let bytes_next = bytes_max.min(super::TABLE_BYTES);
        Self {
            table: Table::new(super::TABLE_BYTES),
            bytes_next,
            bytes_lowest: bytes_next,
            bytes_max,
            passing: 0,
        }
    }

    /// Notes how much the peer is willing to keep (SETTINGS_HEADER_TABLE_SIZE).
    pub fn set_peer_bytes_max(&mut self, bytes_max: u32) {
        self.bytes_next = u16::try_from(bytes_max).unwrap_or(u16::MAX).min(self.bytes_max);
        self.bytes_lowest = self.bytes_lowest.min(self.bytes_next);
    }

    /// What can be referred to.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Begins a block at the end of `out`. Blocks are sent in the order in which they begin.
    #[inline]
    pub fn block<'e>(&'e mut self, out: &'e mut Vec<u8>) -> BlockWriter<'e> {
        let bytes_max = self.table.bytes_max();
        if usize::from(self.bytes_lowest) != bytes_max || usize::from(self.bytes_next) != bytes_max {
            self.update_size(out);
        }
        BlockWriter { table: &mut self.table, passing: &mut self.passing, out }
    }

    #[inline(never)]
    fn update_size(&mut self, out: &mut Vec<u8>) {
        for bytes in [self.bytes_lowest, self.bytes_next].map(usize::from) {
            if bytes != self.table.bytes_max() {
                put(out, 0x20, 0x1F, bytes);
                self.table.set_bytes_max(bytes);
            }
        }
        self.bytes_lowest = self.bytes_next;
    }
}

/// A block that is being written.
#[derive(Debug)]
pub struct BlockWriter<'e> {
    table: &'e mut Table,
    passing: &'e mut u16,
    out: &'e mut Vec<u8>,
}

impl BlockWriter<'_> {
    /// Writes `:status`.
    #[inline]
    pub fn status(&mut self, status: StatusCode) {
        match static_status(status) {
            Some(index) => put(self.out, 0x80, 0x7F, index),
            None => self.field(b":status", status.as_str().as_bytes()),
        }
    }

    /// Writes `content-length`.
    #[inline]
    pub fn content_length(&mut self, length: u64) {
        put(self.out, 0, 0x0F, CONTENT_LENGTH);
        string(self.out, itoa::Buffer::new().format(length).as_bytes());
    }

    /// Writes a field, in the way that serves the next blocks best. The name may be in any case, as it stands
    /// in [`Fields`](crate::http::Fields).
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        let note = note(name, value);
        match self.table.find(note, |entry| entry.is(name, value)) {
            Some(young) => put(self.out, 0x80, 0x7F, statics::COUNT + 1 + young),
            None => self.unknown(name, value, note),
        }
    }

    /// Writes a field that is the same for a while, such as `date`: worth an entry where it is written again
    /// in that time.
    #[inline]
    pub fn passing(&mut self, name: &[u8], value: &[u8]) {
        let note = note(name, value);
        match self.table.find(note, |entry| entry.is(name, value)) {
            Some(young) => put(self.out, 0x80, 0x7F, statics::COUNT + 1 + young),
            None => {
                let kind = if std::mem::replace(self.passing, note) == note { INDEXED } else { NOT_INDEXED };
                self.literal(kind, statics::find_name(name), name, value);
                if kind == INDEXED {
                    self.table.insert(name, value, note);
                }
            }
        }
    }

    /// Writes a field that no side keeps, wherever it is sent on: RFC 7541 §6.2.3.
    pub fn sensitive(&mut self, name: &[u8], value: &[u8]) {
        let mut buffer = [0; NAME_BYTES_USUAL];
        match lower_case(name, &mut buffer) {
            Some(name) => self.literal(NEVER_INDEXED, statics::find_name(name), name, value),
            None => self.literal(NEVER_INDEXED, None, name, value),
        }
    }

    /// A field that is no entry.
    #[inline(never)]
    fn unknown(&mut self, name: &[u8], value: &[u8], note: u16) {
        let mut buffer = [0; NAME_BYTES_USUAL];
        let Some(name) = lower_case(name, &mut buffer) else {
            return self.literal(NOT_INDEXED, None, name, value);
        };
        let known = statics::find_name(name);
        if let Some(index) = known.and_then(|first| statics::find_value(first, value)) {
            return put(self.out, 0x80, 0x7F, index);
        }
        let same_name = match known {
            Some(_) => known,
            None => self.table.find_any(|entry| entry.has_name(name)).map(|young| statics::COUNT + 1 + young),
        };
        // What takes most of the table would drive out all others.
        let is_large = (name.len() + value.len() + FIELD_BYTES) * 4 > self.table.bytes_max() * 3;
        let kind = match policy(known, value) {
            Policy::NeverIndexed => NEVER_INDEXED,
            Policy::NotIndexed => NOT_INDEXED,
            Policy::Indexed | Policy::IndexedOnce if is_large => NOT_INDEXED,
            Policy::IndexedOnce if self.table.find_any(|entry| entry.has_name(name)).is_some() => NOT_INDEXED,
            Policy::Indexed | Policy::IndexedOnce => INDEXED,
        };
        self.literal(kind, same_name, name, value);
        if kind == INDEXED {
            self.table.insert(name, value, note);
        }
    }

    fn literal(&mut self, kind: Kind, index: Option<usize>, name: &[u8], value: &[u8]) {
        put(self.out, kind.bits, kind.mask, index.unwrap_or(0));
        if index.is_none() {
            name_string(self.out, name);
        }
        string(self.out, value);
    }
}

/// The index of a status in the static table.
#[inline]
const fn static_status(status: StatusCode) -> Option<usize> {
    let place = match status.as_u16() {
        200 => 0,
        204 => 1,
        206 => 2,
        304 => 3,
        400 => 4,
        404 => 5,
        500 => 6,
        _ => return None,
    };
    Some(STATUS + place)
}

/// How a literal begins.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    bits: u8,
    mask: u8,
}

const INDEXED: Kind = Kind { bits: 0x40, mask: 0x3F };
const NOT_INDEXED: Kind = Kind { bits: 0, mask: 0x0F };
const NEVER_INDEXED: Kind = Kind { bits: 0x10, mask: 0x0F };

/// Names longer than this are written out each time.
const NAME_BYTES_USUAL: usize = 64;

/// The name in lower case, as HTTP/2 wants it (RFC 9113 §8.2).
#[inline(always)]
fn lower_case<'b>(name: &[u8], buffer: &'b mut [u8; NAME_BYTES_USUAL]) -> Option<&'b [u8]> {
    buffer.get_mut(..name.len())?.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    buffer.get(..name.len())
}

/// Writes a string as it is or coded, whichever is shorter.
#[inline]
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::encoded_length(text);
    if coded < text.len() {
        put(out, 0x80, 0x7F, coded);
        huffman::encode(text, out);
    } else {
        put(out, 0, 0x7F, text.len());
        out.extend_from_slice(text);
    }
}

/// Writes a name, in lower case however long it is.
fn name_string(out: &mut Vec<u8>, name: &[u8]) {
    let mut buffer = [0; NAME_BYTES_USUAL];
    if let Some(name) = lower_case(name, &mut buffer) {
        return string(out, name);
    }
    put(out, 0, 0x7F, name.len());
    out.extend(name.iter().map(u8::to_ascii_lowercase));
}

/// Sixteen bits that tell most fields apart, whatever the case of their names.
#[inline(always)]
fn note(name: &[u8], value: &[u8]) -> u16 {
    let name = (last_word(name) | CASE) ^ name.len() as u64;
    let value = last_word(value) ^ (value.len() as u64) << 32;
    let mixed = (name.rotate_left(23) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let [.., low, high] = mixed.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The bit that makes letters small, in every byte.
const CASE: u64 = 0x2020_2020_2020_2020;

/// The last eight bytes, or all.
#[inline(always)]
fn last_word(text: &[u8]) -> u64 {
    match (text.last_chunk(), text.first_chunk(), text.last_chunk()) {
        (Some(word), ..) => u64::from_le_bytes(*word),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}
