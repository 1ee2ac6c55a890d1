//! Files that are read whole: regular ones alone, opened without waiting for anybody, and no longer than is
//! said.
//!
//! ```text
//!  path ─► what is it? ─┬─ a regular file ─► opened, looked at again ─► read, up to so many bytes
//!                       └─ a folder, a named pipe, a socket, a device ─► refused, never opened
//! ```
//! Whoever names a file may name a pipe that nobody writes to, or a device without an end; and to open some
//! devices is to have them do something.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Opens the regular file at `path` for reading.
///
/// ```
/// use std::path::Path;
/// use kolk::sys::regular;
///
/// assert!(regular::open(Path::new("Cargo.toml")).is_ok());
/// let told = regular::open(Path::new("/dev/zero")).unwrap_err().to_string();
/// assert_eq!(told, "this is a device");
/// ```
///
/// # Errors
/// As [`check`]; whatever else open(2) reports.
pub fn open(path: &Path) -> io::Result<File> {
    check(&path.metadata()?)?;
    // It may be another one by now: then nobody is waited for, and no terminal becomes that of the process.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// The whole content of the regular file at `path`, which has at most `bytes_max` bytes.
///
/// # Errors
/// As [`open`] and [`rest`].
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    rest(open(path)?, bytes_max)
}

/// What has yet to be read of an open file: at most `bytes_max` bytes.
///
/// # Errors
/// `FileTooLarge` if there are more; whatever else read(2) reports.
pub fn rest(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // What it says of its length may be wrong: it may grow meanwhile.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {bytes_max} bytes")));
    }
    Ok(content)
}

/// Whether this is a regular file.
///
/// # Errors
/// `IsADirectory` for a folder, `InvalidInput` for a pipe, a socket and a device: what it is.
pub fn check(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let (told, what) = if kind.is_dir() {
        (ErrorKind::IsADirectory, "this is a folder")
    } else if kind.is_fifo() {
        (ErrorKind::InvalidInput, "this is a named pipe")
    } else if kind.is_socket() {
        (ErrorKind::InvalidInput, "this is a socket")
    } else {
        (ErrorKind::InvalidInput, "this is a device")
    };
    Err(io::Error::new(told, what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_told_and_not_opened() {
        let folder = Scratch::new("regular-kinds");
        assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
        let _socket = UnixDatagram::bind(folder.join("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", folder.join("link")).unwrap();
        for (path, told) in [
            (folder.to_path_buf(), "this is a folder"),
            (folder.join("pipe"), "this is a named pipe"),
            (folder.join("link"), "this is a named pipe"),
            (folder.join("socket"), "this is a socket"),
            ("/dev/zero".into(), "this is a device"),
        ] {
            assert_eq!(read(&path, 10).unwrap_err().to_string(), told, "{}", path.display());
        }
        assert_eq!(open(&folder.join("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_whole_up_to_so_many_bytes() {
        let folder = Scratch::new("regular-length");
        folder.put("text", "12345");
        let path = folder.join("text");
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, u64::MAX).unwrap(), b"12345");
        let told = read(&path, 4).unwrap_err();
        assert_eq!((told.kind(), &*told.to_string()), (ErrorKind::FileTooLarge, "it is larger than 4 bytes"));
        // Some systems have files that say that they have none.
        let longer = Path::new("/proc/self/status");
        if longer.exists() {
            assert_eq!(longer.metadata().unwrap().len(), 0);
            assert_eq!(read(longer, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
    }
}
