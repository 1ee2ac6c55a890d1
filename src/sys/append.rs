//! A file that lines are appended to, opened and written without waiting for anybody.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::at;

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

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}
