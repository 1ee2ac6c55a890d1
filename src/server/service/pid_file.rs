//! [`PidFile`]: the process's number in a file, for programs that want to signal it.
//!
//! Invariant: the file is removed only if it is still the one that was written, and written only if no other
//! process of the same program has its number in it, as far as the system says what a process is.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::sys::{process, regular};

/// The longest number of a process, with its line end.
const NUMBER_BYTES_MAX: u64 = 16;

/// A file with this process's number and a line end. Dropping it removes the file.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl PidFile {
    /// Writes the file, in place of one that an earlier process left.
    ///
    /// Nobody reads half a number, and no link is followed: it is written beside `path` and renamed.
    ///
    /// # Errors
    /// `AlreadyExists` if the process that has written it still runs; and whatever the system reports.
    pub fn write(path: &Path) -> io::Result<Self> {
        // A relative path would mean another file after a change of directory.
        let path = std::path::absolute(path)?;
        if let Some(other) = owner(&path) {
            let why = format!("process {other}, whose number is in it, still runs: end that first");
            return Err(io::Error::new(ErrorKind::AlreadyExists, why));
        }
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = fill(&beside).and_then(|identity| {
            fs::rename(&beside, &path)?;
            Ok(identity)
        });
        match written {
            Ok(identity) => Ok(Self { path, identity }),
            Err(error) => {
                // It may not even be there.
                let _ = fs::remove_file(&beside);
                Err(error)
            }
        }
    }
}

/// The number of a process in the file at `path`; `None` if there is something else.
///
/// # Errors
/// The file cannot be read, or is none.
pub fn process_in(path: &Path) -> io::Result<Option<u32>> {
    match regular::read(path, NUMBER_BYTES_MAX) {
        Ok(text) => Ok(str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok())),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(None),
        Err(error) => Err(error),
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.identity) {
            // A user without permission for the folder leaves it; the next process writes over it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The other process of this program whose number is in the file, if that runs.
fn owner(path: &Path) -> Option<u32> {
    // Nobody waits at a pipe.
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    let number = process_in(path).ok()?.filter(|number| *number != process::own())?;
    let is_this_program = process::program(number)? == process::program(process::own())?;
    is_this_program.then_some(number)
}

/// Makes the file; its device and its number on it.
fn fill(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    writeln!(file, "{}", std::process::id())?;
    let made = file.metadata()?;
    Ok((made.dev(), made.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn it_goes_with_its_owner() {
        let scratch = Scratch::new("owner");
        let path = scratch.join("pid");
        fs::write(&path, "1\n").unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_successors_file_stays() {
        let scratch = Scratch::new("successor");
        let path = scratch.join("pid");
        let file = PidFile::write(&path).unwrap();
        let beside = scratch.join("beside");
        fs::write(&beside, "4711\n").unwrap();
        fs::rename(&beside, &path).unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "4711\n");
    }

    #[test]
    fn a_number_is_read_of_a_file_that_has_nothing_else() {
        let scratch = Scratch::new("number");
        let path = scratch.join("pid");
        for (text, number) in
            [("4711\n", Some(4711)), ("", None), ("1 2", None), ("00000000000000001\n", None)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(process_in(&path).unwrap(), number, "{text:?}");
        }
        assert_eq!(process_in(&scratch).unwrap_err().kind(), ErrorKind::IsADirectory);
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        assert_eq!(PidFile::write(Path::new("/no/such/k.pid")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
