//! [`Dump`]: a configuration written down again, each value with the place that it comes from.
//!
//! It is a file itself: read again it means the same, for the places are comments.

use std::fmt::Write as _;

use super::place::Origin;
use super::read::quoted;

/// Where the comments begin, in columns, if the values leave room.
const COMMENT_COLUMN: usize = 48;

/// The text as it grows.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// The tables that we are in.
    path: Vec<String>,
    /// The heading that is written as soon as a value follows.
    heading: Option<String>,
    /// Values of this table: they must stand before the next heading.
    values: String,
    /// Tables in this table.
    tables: String,
    /// Values alone.
    is_bare: bool,
}

impl Dump {
    /// Values alone: what means the same reads the same, wherever it stands.
    pub(super) fn without_places() -> Self {
        Self { is_bare: true, ..Self::default() }
    }

    pub(super) fn value(&mut self, name: &str, value: &str, origin: &Origin) {
        // What is included is here already.
        if name == "include" && self.path.is_empty() {
            return;
        }
        let line = format!("{} = {value}", key(name));
        if self.is_bare {
            let _ = writeln!(self.values, "{line}");
            return;
        }
        let _ = writeln!(self.values, "{line:<COMMENT_COLUMN$} # {origin}");
    }

    /// `[name]`
    pub(super) fn table(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.nest(&[name], "[", "]", fill);
    }

    /// `[[name]]`
    pub(super) fn item(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.nest(&[name], "[[", "]]", fill);
    }

    /// `[name.own]`
    pub(super) fn named(&mut self, name: &str, own: &str, fill: impl FnOnce(&mut Self)) {
        self.nest(&[name, own], "[", "]", fill);
    }

    pub(super) fn finish(self) -> String {
        let text = self.heading.unwrap_or_default() + &self.values + &self.tables;
        text.trim_start_matches('\n').to_owned()
    }

    fn nest(&mut self, names: &[&str], open: &str, close: &str, fill: impl FnOnce(&mut Self)) {
        let path: Vec<String> = self.path.iter().cloned().chain(names.iter().map(|name| key(name))).collect();
        let heading = Some(format!("\n{open}{}{close}\n", path.join(".")));
        let mut inner = Self { path, heading, is_bare: self.is_bare, ..Self::default() };
        fill(&mut inner);
        // A table that only holds tables needs no heading, but an item is one.
        if inner.values.is_empty() && !inner.tables.is_empty() && open == "[" {
            inner.heading = None;
        }
        self.tables.push_str(&(inner.heading.unwrap_or_default() + &inner.values + &inner.tables));
    }
}

/// A key, in quotes if it needs some.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match !name.is_empty() && name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}
