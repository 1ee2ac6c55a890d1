//! [`Sources`]: a file and all that it includes, as one tree.
//!
//! ```text
//!  kolk.toml ── include = ["sites/*.toml"] ──► sites/a.toml, sites/b.toml ──► one tree
//! ```
//! Lists of tables grow, tables are merged, names are there once, and every other key, too: the order of
//! files never matters. Each file is read once.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SchemaVersion;
use super::key::{Key, Kind, Value as _};
use super::node::{Entry, Node, Raw};
use super::place::{BYTE_ORDER_MARK, Origin, Place, Text};
use super::problem::Problem;
use super::read::{Reader, items};
use super::value::MAY_NOT_BE_READ;
use crate::sys::regular;

/// Longer files are refused, in bytes: nobody writes them.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Whoever names the first one may have it piped, and sees that it is waited for.
    Waiting,
    /// A regular one, or none.
    AtOnce,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Sources {
    /// As they were asked for.
    pub(super) files: Vec<PathBuf>,
    /// The same, told apart: one file may have several names.
    real: Vec<PathBuf>,
    /// One of them is no TOML: what it would have said is not known.
    pub(super) is_broken: bool,
    /// Those that include the one that is being read.
    open: Vec<PathBuf>,
    /// Where a path with `*` stands that no file fits.
    unmatched: Vec<Origin>,
    /// What stands where lists of tables are expected, and is none.
    pub(super) strays: Vec<Problem>,
}

impl Sources {
    /// The tree of the file that says `text`, with all that it includes.
    pub(super) fn tree(&mut self, text: &Arc<Text>, keys: &[Key], reader: &mut Reader<'_>) -> Node {
        self.begin(&text.path);
        self.open.push(real(&text.path));
        let problems = reader.problems.len();
        let mut tree = Node::of_file(text, &mut reader.problems);
        let is_broken = reader.problems.len() > problems;
        self.is_broken |= is_broken;
        if !is_broken {
            self.strays.extend(strays(&mut tree, keys));
        }
        let problems = reader.problems.len();
        let included = self.included(&tree, text, reader);
        // What is wrong with it is told.
        if let Raw::Table(entries) = &mut tree.raw
            && reader.problems.len() > problems
        {
            entries.retain(|entry| entry.name != "include");
        }
        for (path, item) in included {
            let Some(text) = read(&path, item.place(), Opening::AtOnce, reader) else { continue };
            let mut other = self.tree(&text, keys, reader);
            if let (Raw::Table(into), Raw::Table(from)) = (&mut tree.raw, &mut other.raw) {
                for entry in from.iter().filter(|entry| entry.name == "schema") {
                    // Each file has its own; it says nothing but whether it is understood.
                    let _: Option<SchemaVersion> = SchemaVersion::read(&entry.node, reader);
                }
                from.retain(|entry| entry.name != "include" && entry.name != "schema");
                merge(into, std::mem::take(from), keys, reader);
            }
        }
        self.open.pop();
        tree
    }

    /// What is wrong with `tree`, the whole of them, if it has no site: one was cut off, or is elsewhere.
    pub(super) fn without_site(&self, tree: &Node) -> Problem {
        let message = "no [[site]]: nothing would be served";
        let problem = match self.unmatched.first() {
            Some(origin) => Problem::at(origin, message).label("no file fits this"),
            None => Problem::at(&tree.origin, message),
        };
        problem.help("a [[site]] has `hosts`, and a [[site.route]], `respond` or `redirect`")
    }

    fn begin(&mut self, path: &Path) {
        self.files.push(path.to_owned());
        self.real.push(real(path));
    }

    /// The files that `tree` includes, each of them once.
    fn included(&mut self, tree: &Node, text: &Text, reader: &mut Reader<'_>) -> Vec<(PathBuf, Origin)> {
        let Some(entry) = tree.find("include") else { return Vec::new() };
        let mut paths: Vec<(PathBuf, Origin)> = Vec::new();
        for item in items(&entry.node) {
            let Some(pattern) = reader.text(item, "a path such as \"sites/*.toml\"") else { continue };
            let found = matching(&text.folder().join(&pattern), item, reader);
            if found.is_empty() {
                self.unmatched.push(item.origin.clone());
            }
            for path in found {
                let own = real(&path);
                if self.open.contains(&own) {
                    reader.refuse(item, format!("{} includes itself", path.display()));
                } else if self.real.contains(&own) || paths.iter().any(|(known, _)| real(known) == own) {
                    reader.refuse(item, format!("{} is included twice", path.display()));
                } else {
                    paths.push((path, item.origin.clone()));
                }
            }
        }
        paths
    }
}

/// The file at `path`, the first one or one that is included at `place`.
pub(super) fn read(
    path: &Path,
    place: Option<&Place>,
    opening: Opening,
    reader: &mut Reader<'_>,
) -> Option<Arc<Text>> {
    let file = match opening {
        Opening::Waiting => std::fs::File::open(path),
        Opening::AtOnce => regular::open(path),
    };
    let content = file.and_then(|file| regular::rest(file, FILE_BYTES_MAX));
    let why = match content.map(String::from_utf8) {
        Ok(Ok(content)) => return Some(Text::new(path, content)),
        Ok(Err(error)) => {
            let (bytes, end) = (error.as_bytes(), error.utf8_error().valid_up_to());
            let text = Text::new(path, String::from_utf8_lossy(bytes));
            let start = bytes[..end].strip_prefix(BYTE_ORDER_MARK.as_bytes()).map_or(end, <[u8]>::len);
            let here = Place::new(&text, start..start + char::REPLACEMENT_CHARACTER.len_utf8());
            let message = format!("cannot read {}: it is not UTF-8", path.display());
            reader.problems.push(Problem::new(Some(&here), message).other(place, "included here"));
            return None;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => format!("it {MAY_NOT_BE_READ}"),
        Err(error) => error.to_string(),
    };
    reader.problems.push(Problem::new(place, format!("cannot read {}: {why}", path.display())));
    None
}

/// The files that a path with `*` in its last part means, in the order of their names.
fn matching(path: &Path, item: &Node, reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let last = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    if folder.to_string_lossy().contains('*') {
        reader.refuse(item, "a `*` may stand in the last part of a path alone");
        return Vec::new();
    }
    if !last.contains('*') {
        return vec![path.to_owned()];
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else {
        reader.refuse(item, format!("there is no folder {}", folder.display()));
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| fits(name, last)).collect();
    names.sort();
    names.iter().map(|name| path.with_file_name(name)).collect()
}

/// Whether `name` is what `pattern` means: each `*` is any text. Names that begin with a dot are hidden.
fn fits(name: &str, pattern: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// The one name of a file that may have several.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Takes out of `tree` what is one table and should be a list of them: two files would have it twice.
fn strays(tree: &mut Node, keys: &[Key]) -> Vec<Problem> {
    let mut strays = Vec::new();
    let Raw::Table(entries) = &mut tree.raw else { return strays };
    let is_list = |entry: &Entry| matches!(entry.node.raw, Raw::List(_));
    entries.retain(|entry| {
        let key = keys.iter().find(|key| key.name == entry.name);
        let Some(Kind::Tables(shape)) = key.map(|key| &key.kind) else { return true };
        if is_list(entry) {
            return true;
        }
        // `[[site.route]]` makes a table of `site`, where no [[site]] has made a list of it.
        let inner = (shape.keys)();
        let is_below = |entry: &Entry| {
            let key = inner.iter().find(|key| key.name == entry.name);
            is_list(entry) && key.is_some_and(|key| matches!(key.kind, Kind::Tables(_)))
        };
        let first = entry.node.entries().first().filter(|_| entry.node.entries().iter().all(is_below));
        strays.push(match first {
            Some(first) => {
                let below = format!("[[{}.{}]]", entry.name, first.name);
                let message = format!("{below} without a {} before it in this file", shape.title);
                Problem::new(first.place.as_ref(), message)
            }
            None => {
                let (title, found) = (shape.title, entry.node.what());
                Problem::at(&entry.node.origin, format!("expected a list of tables, {title}, found {found}"))
            }
        });
        false
    });
    strays
}

fn merge(into: &mut Vec<Entry>, from: Vec<Entry>, keys: &[Key], reader: &mut Reader<'_>) {
    for entry in from {
        let Some(first) = into.iter_mut().find(|known| known.name == entry.name) else {
            into.push(entry);
            continue;
        };
        let kind = keys.iter().find(|key| key.name == entry.name).map(|key| &key.kind);
        match (kind, &mut first.node.raw, entry.node.raw) {
            (Some(Kind::Tables(_)), Raw::List(into), Raw::List(from)) => into.extend(from),
            (Some(Kind::Table(shape)), Raw::Table(into), Raw::Table(from)) => {
                merge(into, from, &(shape.keys)(), reader);
            }
            (Some(Kind::Named(_)), Raw::Table(into), Raw::Table(from)) => merge(into, from, &[], reader),
            _ => {
                let message = format!("`{}` is there twice", entry.name);
                let problem = Problem::new(entry.place.as_ref(), message);
                reader.problems.push(problem.other(first.place.as_ref(), "here, too"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars() {
        for (name, pattern, expected) in [
            ("a.toml", "*.toml", true),
            (".a.toml", "*.toml", false),
            (".a.toml", ".*.toml", true),
            ("a.toml", "a*", true),
            ("a.toml", "*", true),
            ("a.toml", "b*", false),
            ("site-a.toml", "site-*.toml", true),
            ("a.toml~", "*.toml", false),
            ("abcabc", "a*b*c", true),
            ("ac", "a*b*c", false),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }
}
