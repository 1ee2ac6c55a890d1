//! [`Reader`]: takes values out of a tree, and notes everything that is wrong.
//!
//! Invariant: a value that is wrong is told once; in its place stands the default, or nothing, so that what
//! is right elsewhere is still looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dump::Dump;
use super::key::{Asked, Field, Key, Kind, Shape, Table, Value, Word};
use super::node::{Entry, Node, Raw};
use super::place::{Origin, Placed};
use super::problem::Problem;
use crate::app::Policy;

/// The name of a table that its file has chosen, such as `api` in `[rate.api]`: it stands in fields, logs and
/// metrics.
pub type Named<T> = BTreeMap<String, T>;

/// What is needed to read, and what was found to be wrong.
pub(super) struct Reader<'r> {
    /// The values of variables.
    pub(super) environment: &'r dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
    /// The files that values name, as they come.
    pub(super) named_files: Vec<Placed<PathBuf>>,
    /// Of the named table that is being read.
    name: Option<String>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(environment: &'r dyn Fn(&str) -> Option<String>) -> Self {
        Self { environment, problems: Vec::new(), named_files: Vec::new(), name: None }
    }

    /// A table as messages name it: with its own name, if it has one.
    pub(super) fn titled(&self, title: &str) -> String {
        match &self.name {
            Some(name) => title.replace("NAME", &shortened(name)),
            None => title.to_owned(),
        }
    }

    /// Notes that `node` is wrong.
    pub(super) fn refuse(&mut self, node: &Node, message: impl Into<String>) {
        self.problems.push(Problem::at(&node.origin, message));
    }

    /// Notes that something else is expected.
    pub(super) fn expected(&mut self, node: &Node, what: &str) {
        let problem = Problem::at(&node.origin, format!("expected {what}, found {}", node.what()));
        self.problems.push(problem);
    }

    /// Notes that `text` cannot be taken apart.
    pub(super) fn misread(&mut self, node: &Node, text: &str, what: &str, why: &str) {
        let problem = match text.is_empty() {
            true => Problem::at(&node.origin, format!("expected {what}, found an empty text")),
            false => Problem::at(&node.origin, format!("`{}` is not {what}", shortened(text))).label(why),
        };
        self.problems.push(problem);
    }

    /// The table that `node` is, or stands for; its keys are known and it has all that it must.
    pub(super) fn table<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Cow<'n, Node>> {
        let table = match (&node.raw, shape.short) {
            (Raw::Table(_), _) => Cow::Borrowed(node),
            (_, Some(short)) => {
                let place = node.origin.place().cloned();
                let entry = Entry { name: short.to_owned(), place, node: node.clone() };
                Cow::Owned(Node { origin: node.origin.clone(), raw: Raw::Table(vec![entry]) })
            }
            (_, None) => {
                self.expected(node, &format!("a table, {}", self.titled(shape.title)));
                return None;
            }
        };
        let keys = (shape.keys)();
        let mut misspelt = Vec::new();
        for entry in table.entries() {
            match keys.iter().find(|key| key.name == entry.name) {
                None => misspelt.push((entry.name.clone(), self.unknown(entry, shape, &keys))),
                Some(key) if key.is_later => {
                    let message = format!("`{}` is not in this version of kolk", entry.name);
                    self.problems.push(Problem::at(&entry.origin(), message).label(key.doc));
                }
                Some(_) => {}
            }
        }
        let misspelt = misspelt.into_iter().filter_map(|(name, meant)| Some((name, meant?)));
        Some(misspelt.fold(table, |table, (name, meant)| as_meant(table, &name, meant)))
    }

    /// Notes a key that nobody knows. The one that may be meant.
    fn unknown(&mut self, entry: &Entry, shape: &Shape, keys: &[Key]) -> Option<&'static str> {
        let message = format!("unknown key `{}` in {}", shortened(&entry.name), self.titled(shape.title));
        let problem = Problem::at(&entry.origin(), message);
        let known: Vec<&'static str> = keys.iter().filter(|key| !key.is_later).map(|key| key.name).collect();
        let meant = nearest(&entry.name, known.iter().copied());
        self.problems.push(match meant {
            Some(name) => problem.label(format!("did you mean `{name}`?")),
            None => problem.help(format!("its keys are {}", enumerated(&known))),
        });
        meant
    }

    /// The text that `node` is, with the values of variables in it.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let Raw::Text(text) = &node.raw else {
            self.expected(node, what);
            return None;
        };
        self.expand(node, text, Braces::Plain)
    }

    /// `text` with the values of its variables.
    pub(super) fn expand(&mut self, node: &Node, text: &str, braces: Braces) -> Option<String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, count, behind)) = before_env(rest) {
            expanded.push_str(before);
            let of_text = if braces == Braces::Plain { count / 2 } else { count / 2 * 2 };
            expanded.extend(std::iter::repeat_n('{', of_text));
            if count.is_multiple_of(2) {
                expanded.push_str(ENV);
                rest = behind;
                continue;
            }
            let Some((name, behind)) = behind.split_once('}') else {
                self.refuse(node, "a `{env:` has no `}` behind it");
                return None;
            };
            let Some(value) = (self.environment)(name) else {
                let place = node.origin.place().map(|place| place.narrowed(&format!("{{env:{name}}}")));
                let message = format!("the variable `{}` is not set", shortened(name));
                let problem = Problem::new(place.as_ref(), message);
                self.problems.push(problem.help("set it where kolk is started"));
                return None;
            };
            match braces {
                Braces::Placeholders => expanded.push_str(&value.replace('{', "{{").replace('}', "}}")),
                Braces::Plain | Braces::Parameters => expanded.push_str(&value),
            }
            rest = behind;
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// Which of the words `node` is.
    pub(super) fn word(&mut self, node: &Node, words: &[Word]) -> Option<usize> {
        let known: Vec<&str> = words.iter().filter(|word| !word.is_later).map(|word| word.text).collect();
        let text = self.text(node, &one_of(&known))?;
        let found = known.iter().position(|word| *word == text);
        if let Some(word) = words.iter().find(|word| word.is_later && word.text == text) {
            let message = format!("`{text}` is not in this version of kolk");
            self.problems.push(Problem::at(&node.origin, message).label(word.doc));
        } else if found.is_none() {
            let problem = Problem::at(&node.origin, format!("`{}` is not known here", shortened(&text)));
            self.problems.push(match nearest(&text, known.iter().copied()) {
                Some(word) => problem.label(format!("did you mean `{word}`?")),
                None => problem.label(format!("expected {}", one_of(&known))),
            });
        }
        found
    }

    /// The whole number that `node` is.
    pub(super) fn integer(&mut self, node: &Node, min: u64, max: u64) -> Option<u64> {
        let Raw::Integer(digits) = &node.raw else {
            self.expected(node, &range(min, max));
            return None;
        };
        match digits.parse::<i128>() {
            Ok(number) if number > i128::from(max) => {
                self.refuse(node, format!("expected at most {max}, found {digits}"));
                None
            }
            Ok(number) if number >= i128::from(min) => u64::try_from(number).ok(),
            _ => {
                self.refuse(node, format!("expected {}, found {digits}", range(min, max)));
                None
            }
        }
    }
}

/// What braces are in a text, besides those of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Braces {
    /// Themselves, but that two are one before `env:`.
    Plain,
    /// Those of parameters, also of those in the value of a variable; two are one.
    Parameters,
    /// Those of placeholders; two are one, and those in the value of a variable are themselves.
    Placeholders,
}

/// What stands behind the brace of a variable.
const ENV: &str = "env:";

/// The first `env:` of `text` that has braces before it: the text before these, how many there are, and what
/// stands behind. Two are one brace, and an odd one begins a variable.
fn before_env(text: &str) -> Option<(&str, usize, &str)> {
    let (before, behind) = text.split_once("{env:")?;
    let text = before.trim_end_matches('{');
    Some((text, before.len() - text.len() + 1, behind))
}

/// The names in `{env:NAME}` of a text.
pub(super) fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, count, behind)) = before_env(rest) {
        rest = behind;
        if let Some((name, _)) = behind.split_once('}').filter(|_| !count.is_multiple_of(2)) {
            names.push(name.to_owned());
        }
    }
    names
}

/// A text that is read as `text`, whatever braces are in that.
pub(super) fn without_variables(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, count, behind)) = before_env(rest) {
        escaped.push_str(before);
        escaped.extend(std::iter::repeat_n('{', 2 * count));
        escaped.push_str(ENV);
        rest = behind;
    }
    escaped + rest
}

/// The items of a list, or the only one.
pub(super) fn items(node: &Node) -> &[Node] {
    match &node.raw {
        Raw::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// A value with its place.
fn placed<T: Value>(node: &Node, reader: &mut Reader<'_>) -> Option<Placed<T>> {
    T::read(node, reader).map(|value| Placed { value, origin: node.whole_origin() })
}

impl<T: Value> Field for Placed<T> {
    const IS_REQUIRED: bool = true;

    fn kind() -> Kind {
        T::kind()
    }

    fn read(found: Option<&Entry>, asked: &Asked, table: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let read = found.map(|entry| placed(&entry.node, reader));
        match (read, asked.default) {
            (Some(Some(value)), _) => Some(value),
            (_, Some(default)) => placed(&Node::of_default(default), reader),
            (Some(None), None) => None,
            (None, None) => {
                missing(asked, table, reader);
                None
            }
        }
    }

    fn dump(&self, name: &'static str, dump: &mut Dump) {
        dump.value(name, &self.value.show(), &self.origin);
    }
}

impl<T: Value> Field for Option<Placed<T>> {
    fn kind() -> Kind {
        T::kind()
    }

    fn read(found: Option<&Entry>, _: &Asked, _: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Some(found.and_then(|entry| placed(&entry.node, reader)))
    }

    fn dump(&self, name: &'static str, dump: &mut Dump) {
        if let Some(value) = self {
            value.dump(name, dump);
        }
    }
}

/// A table that is there even if the file has none: all its keys have defaults.
impl<T: Table> Field for Box<T> {
    const IS_REQUIRED: bool = true;

    fn kind() -> Kind {
        Kind::Table(T::shape())
    }

    fn read(found: Option<&Entry>, asked: &Asked, table: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let nothing = || Node { origin: Origin::Default, raw: Raw::Table(Vec::new()) };
        match (found, asked.default) {
            (Some(entry), _) => T::read(&entry.node, reader).or_else(|| T::read(&nothing(), reader)),
            (None, Some(default)) => T::read(&Node::of_default(default), reader),
            (None, None) => {
                missing(asked, table, reader);
                None
            }
        }
        .map(Self::new)
    }

    fn dump(&self, name: &'static str, dump: &mut Dump) {
        dump.table(name, |dump| T::dump(self, dump));
    }
}

impl<T: Table> Field for Option<Box<T>> {
    fn kind() -> Kind {
        Kind::Table(T::shape())
    }

    fn read(found: Option<&Entry>, _: &Asked, _: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Some(found.and_then(|entry| T::read(&entry.node, reader)).map(Box::new))
    }

    fn dump(&self, name: &'static str, dump: &mut Dump) {
        if let Some(table) = self {
            dump.table(name, |dump| T::dump(table, dump));
        }
    }
}

impl<T: Table> Field for Vec<T> {
    fn kind() -> Kind {
        Kind::Tables(T::shape())
    }

    fn read(found: Option<&Entry>, _: &Asked, _: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(Entry { node, .. }) = found else { return Some(Self::new()) };
        let Raw::List(items) = &node.raw else {
            reader.expected(node, &format!("a list of tables, {}", T::shape().title));
            return Some(Self::new());
        };
        Some(items.iter().filter_map(|item| T::read(item, reader)).collect())
    }

    fn dump(&self, name: &'static str, dump: &mut Dump) {
        for table in self {
            dump.item(name, |dump| T::dump(table, dump));
        }
    }
}

impl<T: Table> Field for Named<T> {
    fn kind() -> Kind {
        Kind::Named(T::shape())
    }

    fn read(found: Option<&Entry>, _: &Asked, _: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(Entry { node, .. }) = found else { return Some(Self::new()) };
        let Raw::Table(entries) = &node.raw else {
            reader.expected(node, &format!("a table, {}", T::shape().title));
            return Some(Self::new());
        };
        let tables = entries.iter().filter_map(|entry| {
            if !Policy::is_name(&entry.name) {
                let message = format!("`{}` is not a name", shortened(&entry.name));
                let problem = Problem::new(entry.place.as_ref(), message);
                let expected = "1 to 64 letters, digits, `_`, `-` and `.` are expected";
                reader.problems.push(problem.label(expected));
            }
            reader.name = Some(entry.name.clone());
            let table = T::read(&entry.node, reader);
            reader.name = None;
            Some((entry.name.clone(), table?))
        });
        Some(tables.collect())
    }

    fn dump(&self, name: &'static str, dump: &mut Dump) {
        for (own, table) in self {
            dump.named(name, own, |dump| T::dump(table, dump));
        }
    }
}

/// One or several values; also written without brackets if there is one.
impl<T: Value> Value for Vec<Placed<T>> {
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let items = items(node);
        let values: Self = items.iter().filter_map(|item| placed(item, reader)).collect();
        // A list of nothing but mistakes is not also an empty one.
        (items.is_empty() || !values.is_empty()).then_some(values)
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(|item| item.value.show()).collect();
        format!("[{}]", items.join(", "))
    }
}

/// A value that is written as a text, and understood in one piece.
pub(super) trait FromText: Sized {
    /// What braces are in it.
    const BRACES: Braces = Braces::Plain;
    /// With its article.
    const WHAT: &'static str;
    const EXAMPLE: &'static str;
    /// What it looks like as the key of a table, as a regular expression, if editors can tell.
    const KEY_PATTERN: Option<&'static str> = None;
    /// Takes `text` apart; paths start from `folder`.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    fn of(text: &str, folder: &Path) -> Result<Self, String>;
    /// As it would be written.
    fn text(&self) -> String;
    /// The file that it names, if what is in that is read.
    fn file(&self) -> Option<&Path> {
        None
    }
}

impl<T: FromText> Value for T {
    fn kind() -> Kind {
        Kind::Text(T::WHAT, T::EXAMPLE)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let what = match T::WHAT == T::EXAMPLE {
            true => T::WHAT.to_owned(),
            false => format!("{} such as {:?}", T::WHAT, T::EXAMPLE),
        };
        let Raw::Text(text) = &node.raw else {
            reader.expected(node, &what);
            return None;
        };
        let text = reader.expand(node, text, T::BRACES)?;
        let folder = node.origin.place().map_or_else(|| Path::new(""), |place| place.folder());
        match T::of(&text, folder) {
            Ok(value) => {
                let file = value.file().map(Path::to_owned);
                let placed = |value| Placed { value, origin: node.origin.clone() };
                reader.named_files.extend(file.map(placed));
                Some(value)
            }
            Err(why) => {
                reader.misread(node, &text, T::WHAT, &why);
                None
            }
        }
    }

    fn show(&self) -> String {
        match T::BRACES {
            Braces::Plain => quoted(&without_variables(&self.text())),
            _ => quoted(&self.text()),
        }
    }
}

/// A key that must be there is not.
fn missing(asked: &Asked, table: &Node, reader: &mut Reader<'_>) {
    let message = format!("`{}` is missing in {}", asked.name, reader.titled(asked.title));
    reader.problems.push(Problem::at(&table.origin, message));
}

/// The table with the key that is meant in place of one that nobody knows, unless it is there, too: what is
/// told once is not also missed, and what is wrong with its value is told as well.
fn as_meant<'n>(mut table: Cow<'n, Node>, name: &str, meant: &str) -> Cow<'n, Node> {
    if table.find(meant).is_none()
        && let Raw::Table(entries) = &mut table.to_mut().raw
        && let Some(entry) = entries.iter_mut().find(|entry| entry.name == name)
    {
        meant.clone_into(&mut entry.name);
    }
    table
}

/// The nearest of the known names, if it is near.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = name.to_lowercase().replace('-', "_");
    let distance = |known: &&str| strsim::damerau_levenshtein(&wanted, &known.to_lowercase());
    // Longer texts are no typing errors of names.
    let near = known
        .filter(|known| known.contains(|char: char| char.is_ascii_alphabetic()))
        .filter(|known| name.len() <= 64 && distance(known) <= known.len() / 3);
    near.min_by_key(distance)
}

/// "a", "b" or "c".
pub(super) fn one_of(words: &[&str]) -> String {
    listed(&words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>(), "or")
}

/// `a`, `b` and `c`.
pub(super) fn enumerated(names: &[&str]) -> String {
    listed(&names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>(), "and")
}

/// These, with `word` before the last.
fn listed(all: &[String], word: &str) -> String {
    match all.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} {word} {last}", first.join(", ")),
        _ => all.concat(),
    }
}

/// A text as TOML writes it, and JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            char if char.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(char))),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// A piece of the file that a message can show.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

fn range(min: u64, max: u64) -> String {
    /// Nobody comes near it: not worth a word.
    const U32_MAX: u64 = u32::MAX as u64;
    match max {
        u64::MAX | U32_MAX if min == 0 => "a whole number".to_owned(),
        u64::MAX | U32_MAX => format!("a whole number from {min}"),
        max => format!("a whole number from {min} to {max}"),
    }
}
