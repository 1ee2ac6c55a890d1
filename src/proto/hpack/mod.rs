//! HPACK: the fields of HTTP/2, written and read. RFC 7541.
//!
//! ```text
//!   block of bytes ──Decoder──► FieldList         what the peer says
//!   fields ──Encoder──► block of bytes            what it is told
//!                 └── one dynamic table on each side, the same as the peer's
//! ```
//! | file | question |
//! | --- | --- |
//! | `integer`, `huffman` | which number, which text? |
//! | `statics`, `table` | which fields have a number? |
//! | `decoder`, `list` | which fields does a block hold, and how many may it? |
//! | `encoder`, `policy` | which fields are worth a place in the peer's table? |
//!
//! Knows no frame and no rule of HTTP/2: what a name may look like and which ones must be there, the machine
//! says. After an error the two tables may differ, so the connection is over.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod list;
mod policy;
mod statics;
mod table;

pub use decoder::{Decoder, Fit, Limits};
pub use encoder::{BlockWriter, Encoder};
pub use list::{Field, FieldList};
pub use table::Table;

/// The size of both tables where nothing else was agreed on, in bytes: RFC 9113 §6.5.2.
pub const TABLE_BYTES: u16 = 4096;

/// What a field counts beside its name and value: RFC 7541 §4.1, RFC 9113 §6.5.2.
const FIELD_BYTES: usize = 32;

macro_rules! errors {
    ($($name:ident = $section:literal, $sentence:literal;)*) => {
        /// Why a block cannot be decoded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Error { $(#[doc = $sentence] $name,)* }

        impl Error {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The section of RFC 7541 that the block breaks.
            pub const fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)* }
            }

            /// One sentence without the final stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

errors! {
    Truncated = "§3.1", "the block ends within a field";
    IndexZero = "§6.1", "the index is zero";
    IndexUnknown = "§2.3.3", "no table has a field of this index";
    IntegerTooLarge = "§5.1", "an integer is longer or larger than anything needs";
    HuffmanPadding = "§5.2", "the padding of a string is not at most seven ones";
    HuffmanEnd = "§5.2", "the end of a string is among its symbols";
    SizeUpdateLate = "§4.2", "the table's size changes behind a field";
    SizeUpdateMissing = "§4.2", "the table is still larger than what was agreed on";
    SizeUpdateRepeated = "§4.2", "the table's size changes more than twice";
    SizeUpdateTooLarge = "§6.3", "the table becomes larger than what was agreed on";
    Expansion = "§7.3", "the block means much more than it is long";
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (RFC 7541 {})", self.sentence(), self.section())
    }
}

impl std::error::Error for Error {}

/// A number that fits: tables and lists are at most 65,535 bytes.
const fn short(number: usize) -> u16 {
    debug_assert!(number <= u16::MAX as usize);
    let bytes = number.to_le_bytes();
    u16::from_le_bytes([bytes[0], bytes[1]])
}
