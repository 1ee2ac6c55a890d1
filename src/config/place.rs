//! [`Place`] and [`Placed`]: where a value comes from.
//!
//! A place is a piece of a file that was read; it knows that file's whole text, so that an error can show it.
//! Knows no meaning of what stands there.

use std::fmt;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What some editors put before a text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A piece of a configuration file.
#[derive(Clone)]
pub struct Place {
    text: Arc<Text>,
    span: Range<usize>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file says so, here.
    File(Place),
    /// A file says so, here, with the value of a variable in it: `{env:NAME}`.
    Environment {
        /// The variables.
        names: Vec<String>,
        /// Where the file names them.
        place: Place,
    },
    /// A flag of the command line says so, whatever the file says: `--workers`.
    Flag(String),
    /// A variable says so, whatever the file says: `KOLK_WORKERS`.
    Variable(String),
}

/// A value, and where it comes from.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Text {
    /// As it was asked for; errors say this.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) content: String,
    /// Where its lines begin.
    line_starts: Vec<usize>,
}

impl Place {
    pub(super) fn new(text: &Arc<Text>, span: Range<usize>) -> Self {
        let end = span.end.min(text.content.len());
        Self { text: Arc::clone(text), span: span.start.min(end)..end }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.text.path
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.text.line_starts.partition_point(|&start| start <= self.span.start)
    }

    /// The column, from 1, in characters.
    pub fn column(&self) -> usize {
        let start = self.text.line_starts.get(self.line() - 1).copied().unwrap_or(0);
        let before = self.text.content.get(start..self.span.start).unwrap_or_default();
        before.chars().count() + 1
    }

    /// The bytes of the file that are meant.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What the whole file says.
    pub fn content(&self) -> &str {
        &self.text.content
    }

    /// The first piece of it that reads `piece`, or all of it.
    pub(super) fn narrowed(&self, piece: &str) -> Self {
        let within = self.text.content.get(self.span.clone()).and_then(|whole| whole.find(piece));
        let start = within.map(|at| self.span.start + at);
        let span = start.map_or_else(|| self.span.clone(), |start| start..start + piece.len());
        Self { text: Arc::clone(&self.text), span }
    }

    /// The folder that paths in the file start from.
    pub(super) fn folder(&self) -> &Path {
        self.text.folder()
    }
}

impl Text {
    pub(super) fn new(path: impl Into<PathBuf>, content: impl Into<String>) -> Arc<Self> {
        let mut content = content.into();
        if content.starts_with(BYTE_ORDER_MARK) {
            // It is no character of the first line.
            content.drain(..BYTE_ORDER_MARK.len());
        }
        let line_starts =
            std::iter::once(0).chain(content.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Self { path: path.into(), content, line_starts })
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }
}

impl Origin {
    /// The place in a file, if there is one.
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Default | Self::Flag(_) | Self::Variable(_) => None,
            Self::File(place) | Self::Environment { place, .. } => Some(place),
        }
    }
}

impl<T> Placed<T> {
    /// The place in a file, if it comes from one.
    pub const fn place(&self) -> Option<&Place> {
        self.origin.place()
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file().display(), self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `kolk.toml:12`, `default`, `NAME of the environment, kolk.toml:12`, `--workers of the command line`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "{}:{}", place.file().display(), place.line()),
            Self::Environment { names, place } => {
                let (names, file) = (names.join(", "), place.file().display());
                write!(f, "{names} of the environment, {file}:{}", place.line())
            }
            Self::Flag(name) => write!(f, "{name} of the command line"),
            Self::Variable(name) => write!(f, "{name} of the environment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = Text::new("a/kolk.toml", "a = 1\nü = \"b\"\n");
        for (span, shown) in [
            (0..1, "a/kolk.toml:1:1"),
            (5..6, "a/kolk.toml:1:6"),
            (6..8, "a/kolk.toml:2:1"),
            (11..14, "a/kolk.toml:2:5"),
            (900..901, "a/kolk.toml:3:1"),
        ] {
            assert_eq!(Place::new(&text, span).to_string(), shown);
        }
        assert_eq!(Text::new("kolk.toml", "\u{feff}a = 1").content, "a = 1");
    }
}
