//! A file that lines are appended to, opened and written without waiting for anybody.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::{at, regular};

/// Opens the file at `path` to append to it, and makes it where there is none. A named pipe takes what it has
/// room for, as long as somebody reads it; then a write fails with `WouldBlock`.
///
/// # Errors
/// `NotConnected` for a named pipe that nobody reads, which would be waited for else; whatever else open(2)
/// reports. Each with the path.
pub fn append_to(path: &Path) -> io::Result<File> {
    // To other files the flag means nothing.
    let opened = OpenOptions::new().create(true).append(true).custom_flags(libc::O_NONBLOCK).open(path);
    let told = opened.map_err(|error| match error.raw_os_error() {
        // A socket is told by the same number.
        Some(libc::ENXIO) if is_pipe(path) => {
            io::Error::new(io::ErrorKind::NotConnected, "nobody reads this pipe: start its reader first")
        }
        _ => error,
    });
    told.map_err(|error| at(path, &error))
}

/// Whether the file at `path` ends within a line, as one does whose disk was full when its writer ended: the
/// next line would be glued to that. Of a file that may be written to and not read, and of what is no regular
/// file, that is not known: `false`.
///
/// ```
/// use std::path::Path;
/// use kolk::access_log::ends_within_a_line;
///
/// assert!(!ends_within_a_line(Path::new("Cargo.toml")));
/// ```
pub fn ends_within_a_line(path: &Path) -> bool {
    let last = regular::open(path).and_then(|file| {
        let mut last = [b'\n'];
        let end = file.metadata()?.len();
        file.read_exact_at(&mut last, end.saturating_sub(1))?;
        Ok(last)
    });
    last.is_ok_and(|last| last != [b'\n'])
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn a_file_that_ends_within_a_line_is_known() {
        let folder = Scratch::new("append-end");
        let path = folder.join("log");
        assert!(!ends_within_a_line(&path), "there is none");
        for (content, is_torn) in [("", false), ("\n", false), ("a", true), ("a\n", false), ("a\nb", true)] {
            folder.put("log", content);
            assert_eq!(ends_within_a_line(&path), is_torn, "{content:?}");
        }
        assert!(!ends_within_a_line(Path::new("/dev/zero")));
    }
}
