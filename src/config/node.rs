//! [`Node`]: a TOML file as a tree in which everything has its place.
//!
//! Knows no keys: what may stand in a file is said by the tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{Origin, Place, Text};
use super::problem::Problem;
use super::read::{shortened, variables};

/// A value of a file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) raw: Raw,
}

/// What kind of value, as TOML knows them.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    Text(String),
    Integer(String),
    Number(f64),
    Boolean(bool),
    Moment,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Option<Place>,
    pub(super) node: Node,
}

impl Node {
    /// The tree of a whole file; what is no TOML goes to `problems`.
    pub(super) fn of_file(text: &Arc<Text>, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(&text.content);
        let start = Place::new(text, 0..0);
        problems.extend(errors.iter().map(|error| {
            let place = error.span().map_or_else(|| start.clone(), |span| Place::new(text, span));
            let mut lines = error.message().lines();
            let first = lines.next().unwrap_or("this is no TOML").to_owned();
            let rest: Vec<&str> = lines.collect();
            let piece = error.span().and_then(|span| text.content.get(span)).unwrap_or_default();
            let first = match first.as_str() {
                "duplicate key" if !piece.is_empty() => format!("`{}` is there twice", shortened(piece)),
                _ => first,
            };
            let problem = Problem::new(Some(&place), first);
            if rest.is_empty() { problem } else { problem.help(rest.join(", ")) }
        }));
        Self { origin: Origin::File(start), raw: entries(table.get_ref(), text) }
    }

    /// The value that a default is written as.
    pub(super) fn of_default(toml: &str) -> Self {
        let text = Text::new("default", toml);
        let (value, errors) = DeValue::parse_recoverable(&text.content);
        debug_assert!(errors.is_empty(), "a default that is no TOML: {toml}");
        let mut node = Self::of_value(&value, &text);
        node.forget_places();
        node
    }

    fn of_value(value: &Spanned<DeValue<'_>>, text: &Arc<Text>) -> Self {
        let place = Place::new(text, value.span());
        let raw = match value.get_ref() {
            DeValue::String(string) => Raw::Text(string.to_string()),
            DeValue::Integer(integer) => Raw::Integer(
                i128::from_str_radix(integer.as_str(), integer.radix())
                    .map_or_else(|_| integer.as_str().to_owned(), |number| number.to_string()),
            ),
            DeValue::Float(float) => float.as_str().parse().map_or(Raw::Moment, Raw::Number),
            DeValue::Boolean(boolean) => Raw::Boolean(*boolean),
            DeValue::Datetime(_) => Raw::Moment,
            DeValue::Array(list) => Raw::List(list.iter().map(|value| Self::of_value(value, text)).collect()),
            DeValue::Table(table) => entries(table, text),
        };
        let names = match &raw {
            Raw::Text(text) => variables(text),
            _ => Vec::new(),
        };
        Self { origin: with_variables(Origin::File(place), names), raw }
    }

    /// Where the whole of it comes from, as one value: with the variables of all that is in it.
    pub(super) fn whole_origin(&self) -> Origin {
        let inner: Vec<&Self> = match &self.raw {
            Raw::List(items) => items.iter().collect(),
            Raw::Table(entries) => entries.iter().map(|entry| &entry.node).collect(),
            _ => Vec::new(),
        };
        let names = inner.into_iter().map(Self::whole_origin).flat_map(|origin| match origin {
            Origin::Environment { names, .. } => names,
            _ => Vec::new(),
        });
        with_variables(self.origin.clone(), names.collect())
    }

    fn forget_places(&mut self) {
        self.origin = Origin::Default;
        match &mut self.raw {
            Raw::List(list) => list.iter_mut().for_each(Self::forget_places),
            Raw::Table(entries) => {
                for entry in entries {
                    entry.place = None;
                    entry.node.forget_places();
                }
            }
            _ => {}
        }
    }

    /// What is there, with its article.
    pub(super) const fn what(&self) -> &'static str {
        match &self.raw {
            Raw::Text(_) => "a text",
            Raw::Integer(_) => "a number",
            Raw::Number(_) => "a number with a fraction",
            Raw::Boolean(_) => "a boolean",
            Raw::Moment => "a date or time",
            Raw::List(_) => "a list",
            Raw::Table(_) => "a table",
        }
    }

    /// The entry of this name, in a table.
    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    /// All entries of a table; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.raw {
            Raw::Table(entries) => entries,
            _ => &[],
        }
    }
}

impl Entry {
    /// Where its name stands, as an origin.
    pub(super) fn origin(&self) -> Origin {
        self.place.clone().map_or(Origin::Default, Origin::File)
    }
}

fn entries(table: &DeTable<'_>, text: &Arc<Text>) -> Raw {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(name, value)| Entry {
            name: name.get_ref().to_string(),
            place: Some(Place::new(text, name.span())),
            node: Node::of_value(value, text),
        })
        .collect();
    entries.sort_by_key(|entry| entry.place.as_ref().map(|place| place.span().start));
    Raw::Table(entries)
}

/// A place in a file, where these variables are named, if there are any; each is told once.
fn with_variables(origin: Origin, names: Vec<String>) -> Origin {
    match origin {
        Origin::File(place) if !names.is_empty() => {
            let mut known = BTreeSet::new();
            let names = names.into_iter().filter(|name| known.insert(name.clone())).collect();
            Origin::Environment { names, place }
        }
        origin => origin,
    }
}
