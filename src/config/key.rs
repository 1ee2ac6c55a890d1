//! [`table!`] and [`words!`]: each key is described once, and everything comes from that.
//!
//! ```text
//!  table! { /// …  pub struct Listen in "[[listen]]" { /// …  backlog: Placed<u32> = 4096, } }
//!     ├── the struct, with an origin for the whole table and for each value
//!     ├── reading: unknown keys, kinds, defaults
//!     └── keys(): the JSON Schema, the reference page, the dump
//! ```
//! A default is written as in a file, and is read the same way.

use super::dump::Dump;
use super::node::{Entry, Node};
use super::read::Reader;

/// A key of a table.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// One sentence or more; a word and its sentence a line.
    pub(super) doc: &'static str,
    pub(super) kind: Kind,
    /// As in a file.
    pub(super) default: Option<&'static str>,
    /// Unless it has a default.
    pub(super) is_required: bool,
    /// Known, and of a later version.
    pub(super) is_later: bool,
}

impl Key {
    /// Whether a table without it is wrong.
    pub(super) const fn must_be_there(&self) -> bool {
        self.is_required && self.default.is_none()
    }
}

/// What a key takes.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A text: what it is, and an example.
    Text(&'static str, &'static str),
    Boolean,
    Integer(u64, u64),
    /// One of these.
    Numbers(&'static [u16]),
    Fraction,
    Words(&'static [Word]),
    List(Box<Self>),
    /// Any keys, what they look like, if that is one expression; what each takes.
    Map(&'static str, Option<&'static str>, Box<Self>),
    Any(Vec<Self>),
    /// A table, or what stands for one of its keys.
    Table(Shape),
    /// `[[…]]`
    Tables(Shape),
    /// `[….NAME]`
    Named(Shape),
}

/// A word that a key takes, and what it means.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: &'static str,
    pub(super) doc: &'static str,
    /// Known, and of a later version; these stand behind the others.
    pub(super) is_later: bool,
}

/// What a table looks like.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// As messages name it: `[[listen]]`.
    pub(super) title: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: fn() -> Vec<Key>,
    /// The key that a value stands for where a table is expected.
    pub(super) short: Option<&'static str>,
}

/// A struct that a table of the file becomes.
pub(super) trait Table: Sized {
    /// What it looks like.
    fn shape() -> Shape;
    /// Reads it; everything that is wrong is told to the reader.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    /// Writes its values down.
    fn dump(&self, dump: &mut Dump);
}

/// What a key becomes: a value or a table, perhaps none.
pub(super) trait Field: Sized {
    /// Whether the key must be there, unless it has a default.
    const IS_REQUIRED: bool = false;
    fn kind() -> Kind;
    /// `None`: there is nothing that could stand for it, and the reader knows why.
    fn read(found: Option<&Entry>, key: &Asked, table: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    fn dump(&self, name: &'static str, dump: &mut Dump);
}

/// The key that a field is read for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
    /// Of the table.
    pub(super) title: &'static str,
}

/// A value of one key.
pub(super) trait Value: Sized {
    fn kind() -> Kind;
    /// `None`: it is wrong, and the reader knows why.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    /// As it would stand in a file.
    fn show(&self) -> String;
}

/// Describes a table: see the front page.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident in $title:literal $(, short $short:literal)? $(, look $look:path)? {
            $(
                $(#[doc = $key_doc:literal])+
                $field:ident $(as $as:literal)?: $type:ty $(= $default:expr)?,
            )*
            $( later { $( $later:literal: $later_doc:literal, )* } )?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $name {
            /// Where the table stands.
            pub origin: $crate::config::place::Origin,
            $( $(#[doc = $key_doc])+ pub $field: $type, )*
        }

        impl $crate::config::key::Table for $name {
            fn shape() -> $crate::config::key::Shape {
                fn keys() -> Vec<$crate::config::key::Key> {
                    vec![
                        $( $crate::config::key::Key {
                            name: $crate::config::key::name_of!(stringify!($field) $(, $as)?),
                            doc: concat!($($key_doc, "\n"),+),
                            kind: <$type as $crate::config::key::Field>::kind(),
                            default: $crate::config::key::default_of!($($default)?),
                            is_required: <$type as $crate::config::key::Field>::IS_REQUIRED,
                            is_later: false,
                        }, )*
                        $( $( $crate::config::key::Key {
                            name: $later,
                            doc: $later_doc,
                            kind: $crate::config::key::Kind::Any(Vec::new()),
                            default: None,
                            is_required: false,
                            is_later: true,
                        }, )* )?
                    ]
                }
                #[allow(unused_mut, unused_assignments, reason = "not every table has a short form")]
                let mut short = None;
                $( short = Some($short); )?
                $crate::config::key::Shape { title: $title, doc: concat!($($doc, "\n"),+), keys, short }
            }

            fn read(
                node: &$crate::config::node::Node,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                let table = reader.table(node, &Self::shape())?;
                $( $look(&table, reader); )?
                $(
                    let name = $crate::config::key::name_of!(stringify!($field) $(, $as)?);
                    let asked = $crate::config::key::Asked {
                        name,
                        default: $crate::config::key::default_of!($($default)?),
                        title: $title,
                    };
                    let found = table.find(name);
                    let $field =
                        <$type as $crate::config::key::Field>::read(found, &asked, &table, reader);
                )*
                Some(Self { origin: table.origin.clone(), $( $field: $field? ),* })
            }

            fn dump(&self, dump: &mut $crate::config::dump::Dump) {
                $(
                    let name = $crate::config::key::name_of!(stringify!($field) $(, $as)?);
                    $crate::config::key::Field::dump(&self.$field, name, dump);
                )*
            }
        }
    };
}

/// What is written behind `=`, as text.
macro_rules! default_of {
    () => {
        None
    };
    ($default:expr) => {
        Some(stringify!($default))
    };
}

/// Describes the words that a key takes.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal, )+
            $( later { $( $later:literal: $later_doc:literal, )* } )?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $( $(#[doc = $word_doc])+ $variant, )+
        }

        impl $name {
            const WORDS: &[$crate::config::key::Word] = &[
                $( $crate::config::key::Word {
                    text: $word,
                    doc: concat!($($word_doc),+),
                    is_later: false,
                }, )+
                $( $( $crate::config::key::Word { text: $later, doc: $later_doc, is_later: true }, )* )?
            ];

            /// The word of the file.
            pub const fn word(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )+
                }
            }
        }

        impl $crate::config::key::Value for $name {
            fn kind() -> $crate::config::key::Kind {
                $crate::config::key::Kind::Words(Self::WORDS)
            }

            fn read(
                node: &$crate::config::node::Node,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                let index = reader.word(node, Self::WORDS)?;
                [$( Self::$variant ),+].get(index).copied()
            }

            fn show(&self) -> String {
                format!("\"{}\"", self.word())
            }
        }
    };
}

/// The name of a key: that of its field, unless that would be a word of Rust.
macro_rules! name_of {
    ($field:expr) => {
        $field
    };
    ($field:expr, $as:literal) => {
        $as
    };
}

pub(super) use {default_of, name_of, table, words};
