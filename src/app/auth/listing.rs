//! [`ListError`]: what is wrong with a file of users or of tokens, and where; and how such a file is read.
//!
//! ```text
//!  # who may read                      a comment
//!  ada:$argon2id$v=19$m=19456,…        a name, a colon, and what stands for the secret
//! ```
//! Blank lines mean nothing. Knows neither passwords nor tokens.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::basic::UserError;
use crate::sys::regular;

/// A longer file is no list of users, in bytes.
pub(super) const LIST_BYTES_MAX: u64 = 1024 * 1024;

/// Why a file of users, of tokens or of keys is not used.
#[derive(Debug)]
pub struct ListError {
    path: Option<PathBuf>,
    line: Option<usize>,
    problem: ListProblem,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListProblem {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// It is larger than 1 MiB.
    TooLarge,
    /// It is not UTF-8.
    NotText,
    /// It names nobody.
    Nobody,
    /// A line has no colon; it may be a secret, and is not repeated.
    NoColon,
    /// A line names nobody who could be let in.
    User(UserError),
    /// A line has no hash of a token.
    Token(&'static str),
    /// Keys that are none.
    Keys(String),
}

/// What stands in a file.
pub(super) struct Content<'p> {
    path: &'p Path,
    bytes: Vec<u8>,
    /// Whether everybody on this machine can read it.
    is_open: bool,
}

impl ListError {
    /// In line `line`, counted from 1.
    pub(super) const fn at(line: usize, problem: ListProblem) -> Self {
        Self { path: None, line: Some(line), problem }
    }

    /// In the file as a whole.
    pub(super) const fn whole(problem: ListProblem) -> Self {
        Self { path: None, line: None, problem }
    }

    /// In the file `path`.
    pub(super) fn of(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// The line, counted from 1; `None` if it is the whole file.
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong with it.
    pub const fn problem(&self) -> &ListProblem {
        &self.problem
    }
}

/// The lines of `text` that say something: their numbers, from 1, the name and what stands behind the colon.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<(usize, &str, &str), ListError>> {
    let lines = text.strip_prefix('\u{FEFF}').unwrap_or(text).lines().enumerate();
    lines.filter_map(|(index, line)| {
        let line = line.trim_end();
        if line.trim_start().is_empty() || line.starts_with('#') {
            return None;
        }
        let pair = line.split_once(':').ok_or_else(|| ListError::at(index + 1, ListProblem::NoColon));
        Some(pair.map(|(name, rest)| (index + 1, name, rest)))
    })
}

/// The text of the file `path`, which has secrets.
pub(super) fn read(path: &Path) -> Result<String, ListError> {
    let content = Content::of(path)?;
    content.warn_if_open();
    Ok(content.text()?.to_owned())
}

impl<'p> Content<'p> {
    /// That of the file `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has more than 1 MiB.
    pub(super) fn of(path: &'p Path) -> Result<Self, ListError> {
        let read = || -> io::Result<Self> {
            let file = regular::open(path)?;
            let is_open = file.metadata()?.mode() & 0o004 != 0;
            Ok(Self { path, bytes: regular::rest(file, LIST_BYTES_MAX)?, is_open })
        };
        read().map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => ListError::whole(ListProblem::TooLarge).of(path),
            _ => ListError::whole(ListProblem::Unreadable(error)).of(path),
        })
    }

    /// Whoever can read it could try what is in it: everybody should not.
    pub(super) fn warn_if_open(&self) {
        if self.is_open {
            log::warn!("{}: everybody on this machine can read it: chmod o-r", self.path.display());
        }
    }

    /// All of it.
    #[cfg(feature = "jwt")]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same as a text.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn text(&self) -> Result<&str, ListError> {
        str::from_utf8(&self.bytes).map_err(|_| ListError::whole(ListProblem::NotText).of(self.path))
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.line) {
            (Some(path), Some(line)) => write!(f, "{}:{line}: ", path.display())?,
            (Some(path), None) => write!(f, "{}: ", path.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        match &self.problem {
            ListProblem::Unreadable(error) => write!(f, "cannot be read: {error}"),
            ListProblem::TooLarge => {
                write!(f, "it is larger than {LIST_BYTES_MAX} bytes: is it the right file?")
            }
            ListProblem::NotText => f.write_str("it is not UTF-8"),
            ListProblem::Nobody => f.write_str("it names nobody: add a line, or nobody could come in"),
            ListProblem::NoColon => f.write_str("there is no colon between a name and what belongs to it"),
            ListProblem::User(error) => error.fmt(f),
            ListProblem::Token(what) => f.write_str(what),
            ListProblem::Keys(what) => f.write_str(what),
        }
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            ListProblem::Unreadable(error) => Some(error),
            ListProblem::User(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn comments_and_blank_lines_mean_nothing() {
        let read: Vec<_> = lines("\u{FEFF}# who\n\na:b\r\n  \n#c:d\ne:f:g  \n").map(Result::unwrap).collect();
        assert_eq!(read, [(3, "a", "b"), (6, "e", "f:g")]);
        let error = lines("a:b\nsecret\n").nth(1).unwrap().unwrap_err();
        assert_eq!(error.line(), Some(2));
        assert_eq!(error.to_string(), "line 2: there is no colon between a name and what belongs to it");
        assert_eq!(error.of(Path::new("users")).to_string()[..8], *"users:2:");
    }

    #[test]
    fn a_file_is_read_within_bounds() {
        let folder = Scratch::new("lists");
        let path = folder.join("users");
        let problem = |path: &Path| read(path).unwrap_err().to_string();
        assert!(problem(&path).contains("cannot be read: No such file"));
        let full = usize::try_from(LIST_BYTES_MAX).unwrap();
        fs::write(&path, vec![b'#'; full]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().len(), full);
        fs::write(&path, vec![b'#'; full + 1]).unwrap();
        assert!(problem(&path).contains("larger than 1048576 bytes"));
        fs::write(&path, b"ada:\xFF").unwrap();
        assert!(problem(&path).ends_with("users: it is not UTF-8"));
    }
}
