//! [`Tree`]: what a path names below a root: a file, a folder, another path, or nothing.
//!
//! ```text
//!  /docs/  ─► names that may be asked for ─► open ─► a file ──────────────────► File
//!              hidden, %2F: nothing            ├──► a folder, "/" behind it ─► its index, else Folder
//!                                              ├──► a folder without "/" ────► Slash
//!                                              └──► nothing ─► name.html ─► the fallback ─► nothing
//! ```
//! Whatever is said of a file is read from the open file, never from its path: what is renamed meanwhile
//! cannot mix two files up. Blocks only for as long as a folder's entries are not in memory. Knows no HTTP.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::sys::beneath::{Folder, Links};

/// The one hidden name that is served: RFC 8615.
const WELL_KNOWN: &[u8] = b".well-known";

/// A folder, and how paths find files in it.
#[derive(Debug)]
pub(super) struct Tree {
    folder: Folder,
    /// Where the folder was found, for people.
    pub(super) place: PathBuf,
    pub(super) links: Links,
    /// Whether names that begin with a dot are found.
    pub(super) shows_hidden: bool,
    /// What a folder is answered with, the first that is there.
    pub(super) index: Vec<String>,
    /// Whether `/about` finds `about.html`, which is then at no other path.
    pub(super) clean: bool,
    /// What every path finds that finds nothing else.
    pub(super) fallback: Option<String>,
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    File(Open),
    /// A folder without an index, by its name below the root.
    Folder(String),
    /// The same path with a slash behind it.
    Slash,
    /// The same path without its last so many bytes.
    Shorter(usize),
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    /// Its name below the root.
    pub(super) name: String,
}

/// Which file it is, in which state: two are the same as long as nobody wrote to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            seconds: metadata.mtime(),
            nanos: metadata.mtime_nsec(),
        }
    }

    /// How many bytes the file has.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }
}

impl Tree {
    /// The files of the folder at `root`.
    ///
    /// # Errors
    /// If there is no such folder, or if it is not ours to enter.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let place = std::fs::canonicalize(root)?;
        Ok(Self {
            folder: Folder::open(&place)?,
            place,
            links: Links::Inside,
            shows_hidden: false,
            index: vec!["index.html".to_owned()],
            clean: false,
            fallback: None,
        })
    }

    /// What `path` names: a normalised path without the slash before it.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, or whatever else hinders.
    pub(super) fn find(&self, path: &str) -> io::Result<Found> {
        match self.find_exactly(path) {
            Err(error) if is_nothing(&error) => {}
            found => return found,
        }
        if self.clean
            && !path.is_empty()
            && !path.ends_with('/')
            && let Ok(Found::File(open)) = self.find_exactly(&format!("{path}.html"))
        {
            return Ok(Found::File(open));
        }
        match &self.fallback {
            Some(name) => self.file(name).map(Found::File),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The regular file of this name, which may be a hidden one: for names that the operator has chosen.
    ///
    /// # Errors
    /// As [`Tree::find`]; `NotFound` for a folder.
    pub(super) fn file(&self, name: &str) -> io::Result<Open> {
        regular(self.folder.open_below(name.as_bytes(), self.links, |_| true)?, name)
    }

    /// The regular file of this name, by the rules of paths.
    ///
    /// # Errors
    /// As [`Tree::find`]; `NotFound` for a folder.
    pub(super) fn visible(&self, name: &str) -> io::Result<Open> {
        regular(self.opened(name)?, name)
    }

    /// The folder of this name, opened for its entries.
    ///
    /// # Errors
    /// As [`Tree::find`]; `NotADirectory` for a file.
    pub(super) fn folder(&self, name: &str) -> io::Result<File> {
        let folder = self.opened(name)?;
        if folder.metadata()?.is_dir() { Ok(folder) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    fn find_exactly(&self, path: &str) -> io::Result<Found> {
        let name = self.name_of(path).ok_or(io::ErrorKind::NotFound)?;
        let file = self.opened(&name)?;
        let metadata = file.metadata()?;
        let wants_folder = path.is_empty() || path.ends_with('/');
        if metadata.is_dir() {
            return if wants_folder { self.index_of(name) } else { Ok(Found::Slash) };
        }
        if wants_folder || !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.clean
            && let Some(shorter) = path.strip_suffix(".html")
        {
            let is_index = shorter == "index" || shorter.ends_with("/index");
            return Ok(Found::Shorter(if is_index { "index.html".len() } else { ".html".len() }));
        }
        Ok(Found::File(Open { file, metadata, name }))
    }

    fn index_of(&self, name: String) -> io::Result<Found> {
        for index in &self.index {
            let name = if name.is_empty() { index.clone() } else { format!("{name}/{index}") };
            match self.opened(&name).and_then(|file| Ok((file.metadata()?, file))) {
                Ok((metadata, file)) if metadata.is_file() => {
                    return Ok(Found::File(Open { file, metadata, name }));
                }
                Err(error) if !is_nothing(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(Found::Folder(name))
    }

    fn opened(&self, name: &str) -> io::Result<File> {
        let is_allowed = if self.shows_hidden { |_: &[u8]| true } else { |name: &[u8]| !is_hidden(name) };
        self.folder.open_below(name.as_bytes(), self.links, is_allowed)
    }

    /// The name in the file system that a normalised path stands for; `None` if it can have none, or is
    /// hidden.
    fn name_of(&self, path: &str) -> Option<String> {
        let mut name = String::with_capacity(path.len());
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            // The path keeps two escapes: that of the slash, which no name contains, and that of `%`.
            if segment.contains("%2F") || segment.contains(['\\', '\0']) || matches!(segment, "." | "..") {
                return None;
            }
            if !self.shows_hidden && is_hidden(segment.as_bytes()) {
                return None;
            }
            if !name.is_empty() {
                name.push('/');
            }
            for (number, part) in segment.split("%25").enumerate() {
                name.extend((number > 0).then_some('%'));
                name.push_str(part);
            }
        }
        Some(name)
    }
}

/// What was found, in words.
pub(super) fn told(found: &io::Result<Found>, shows_folders: bool) -> String {
    match found {
        Ok(Found::File(open)) => open.name.clone(),
        Ok(Found::Slash) => "a folder, whose path ends with a slash".to_owned(),
        Ok(Found::Shorter(_)) => "a file, whose path is shorter".to_owned(),
        Ok(Found::Folder(_)) if shows_folders => "what is in the folder".to_owned(),
        Ok(Found::Folder(_)) => "a folder without an index, which is not shown".to_owned(),
        Err(error) if is_nothing(error) => "no such file".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn regular(file: File, name: &str) -> io::Result<Open> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(Open { file, metadata, name: name.to_owned() })
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Whether nothing was found, in one way or another.
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput | InvalidFilename)
}

/// Whether a name is one that nobody meant to publish.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".") && name != WELL_KNOWN
}
