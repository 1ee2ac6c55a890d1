//! Folders that are open: what is in them, and what is below them. No path is ever walked.
//!
//! ```text
//!  File ──► read ──► entries          kinds asked of each name, without following it, then following links
//!    └────► open_below(name) ──► File     one name, never through a link, never waiting
//! ```
//! Whoever moves a folder or puts a link in its place meanwhile changes nothing: the descriptor stays.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr::NonNull;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use libc::{dirent, fstatat, readdir, stat};
// Where a plain file offset may have 32 bits.
#[cfg(any(target_os = "linux", target_os = "android"))]
use libc::{dirent64 as dirent, fstatat64 as fstatat, readdir64 as readdir, stat64 as stat};

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno;
#[cfg(any(target_os = "linux", target_os = "dragonfly"))]
use libc::__errno_location as errno;
#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
use libc::__error as errno;

use super::{check, count, uninterrupted};

/// What a folder contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The entries, in the order of the file system.
    pub entries: Vec<Entry>,
    /// Whether there are more than were wanted.
    pub is_cut: bool,
}

/// A name in a folder, and what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name: any bytes but `/` and NUL.
    pub name: OsString,
    /// What it names.
    pub kind: Kind,
    /// The length of a file in bytes; for a link, of the file that it leads to. Else 0.
    pub length: u64,
    /// The second of the last change, counted from 1970; for a link, of what it leads to.
    pub modified: i64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link that leads to a regular file.
    LinkToFile,
    /// A link that leads to a folder.
    LinkToFolder,
    /// A pipe, a socket, a device, a link that leads nowhere.
    Other,
}

impl Kind {
    /// Whether it leads to a folder.
    pub const fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::LinkToFolder)
    }

    /// Whether it leads to a regular file.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::LinkToFile)
    }

    /// Whether it is a link that leads to a file or a folder.
    pub const fn is_link(self) -> bool {
        matches!(self, Self::LinkToFile | Self::LinkToFolder)
    }
}

/// The entries of an open folder but `.` and `..`, at most `entries_max` of them. Waits for the disk.
///
/// What disappears meanwhile is left out. `folder` keeps its position.
///
/// ```
/// let folder = std::fs::File::open("src")?;
/// let contents = kolk::sys::folder::read(&folder, 1_000)?;
/// assert!(contents.entries.iter().any(|entry| entry.name == "lib.rs" && entry.length > 0));
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `NotADirectory`; `PermissionDenied` for a folder that may not be searched; whatever openat(2) and
/// readdir(3) report.
pub fn read(folder: &File, entries_max: usize) -> io::Result<Contents> {
    // A description of its own: a duplicate would share its position with everyone who reads this folder.
    let own = open_at(folder, c".", libc::O_DIRECTORY)?;
    let mut names = Names::new(own)?;
    let mut contents = Contents::default();
    while let Some(name) = names.next()? {
        if contents.entries.len() == entries_max {
            contents.is_cut = true;
            break;
        }
        match entry(folder, name) {
            Ok(entry) => contents.entries.push(entry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(contents)
}

/// Opens what `name` names in `folder` for reading: a file or a folder, but no link. Does not wait for the
/// other end of a pipe.
///
/// ```
/// let folder = std::fs::File::open("src")?;
/// assert!(kolk::sys::folder::open_below(&folder, "lib.rs".as_ref())?.metadata()?.is_file());
/// assert!(kolk::sys::folder::open_below(&folder, "..".as_ref()).is_err());
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `InvalidInput` for what is not one name: `a/b`, `.`, `..`, a NUL. `NotFound` also for a link. Whatever
/// openat(2) reports.
pub fn open_below(folder: &File, name: &OsStr) -> io::Result<File> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let name = CString::new(bytes)?;
    open_at(folder, &name, libc::O_NOFOLLOW).map(File::from).map_err(|error| match error.raw_os_error() {
        // A link: the second is what FreeBSD says.
        Some(libc::ELOOP | libc::EMLINK) => io::ErrorKind::NotFound.into(),
        _ => error,
    })
}

fn open_at(folder: &File, name: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    let number = uninterrupted(|| {
        // SAFETY: `folder` is open, `name` ends with a NUL; without O_CREAT there is no fourth argument.
        check(unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags) })
    })?;
    // SAFETY: the kernel has just opened it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn entry(folder: &File, name: &CStr) -> io::Result<Entry> {
    let own = status(folder, name, libc::AT_SYMLINK_NOFOLLOW)?;
    let is_link = own.st_mode & libc::S_IFMT == libc::S_IFLNK;
    // A link that leads nowhere, or where we may not go.
    let target = if is_link { status(folder, name, 0).unwrap_or(own) } else { own };
    let kind = match (target.st_mode & libc::S_IFMT, is_link) {
        (libc::S_IFREG, false) => Kind::File,
        (libc::S_IFREG, true) => Kind::LinkToFile,
        (libc::S_IFDIR, false) => Kind::Folder,
        (libc::S_IFDIR, true) => Kind::LinkToFolder,
        _ => Kind::Other,
    };
    Ok(Entry {
        name: OsString::from_vec(name.to_bytes().to_vec()),
        kind,
        length: if kind.is_file() { count(target.st_size) } else { 0 },
        modified: second(target.st_mtime),
    })
}

fn status(folder: &File, name: &CStr, flags: libc::c_int) -> io::Result<stat> {
    let mut status = MaybeUninit::<stat>::uninit();
    // SAFETY: `folder` is open, `name` ends with a NUL, and there is room for a `stat`.
    check(unsafe { fstatat(folder.as_raw_fd(), name.as_ptr(), status.as_mut_ptr(), flags) })?;
    // SAFETY: the kernel has filled it.
    Ok(unsafe { status.assume_init() })
}

/// A time from the kernel, whatever integer this system writes it in.
fn second<T: TryInto<i64>>(time: T) -> i64 {
    time.try_into().unwrap_or(i64::MAX)
}

/// The names in a folder.
struct Names {
    stream: NonNull<libc::DIR>,
}

impl Names {
    fn new(folder: OwnedFd) -> io::Result<Self> {
        // SAFETY: an open descriptor that nobody else knows.
        let stream = unsafe { libc::fdopendir(folder.as_raw_fd()) };
        let stream = NonNull::new(stream).ok_or_else(io::Error::last_os_error)?;
        // It is the stream's now, which closes it.
        let _number = folder.into_raw_fd();
        Ok(Self { stream })
    }

    /// The next name but `.` and `..`.
    fn next(&mut self) -> io::Result<Option<&CStr>> {
        loop {
            // SAFETY: the address of this thread's error number is always valid.
            unsafe { *errno() = 0 };
            // SAFETY: the stream is open, and `&mut self` says that nobody else reads it now.
            let next: *const dirent = unsafe { readdir(self.stream.as_ptr()) };
            if next.is_null() {
                // Null is the end as well as an error.
                let error = io::Error::last_os_error();
                return if error.raw_os_error() == Some(0) { Ok(None) } else { Err(error) };
            }
            // SAFETY: the entry is valid until the next call, which needs `&mut self` again; its name ends
            // with a NUL. No reference to the whole entry is made: it may be shorter than its type.
            let name = unsafe { CStr::from_ptr((&raw const (*next).d_name).cast()) };
            if !matches!(name.to_bytes(), b"." | b"..") {
                return Ok(Some(name));
            }
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and this is its last use.
        unsafe { libc::closedir(self.stream.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::sys::scratch::Scratch;

    fn open(path: &Path) -> File {
        File::open(path).unwrap()
    }

    fn kinds(folder: &File) -> BTreeMap<OsString, (Kind, u64)> {
        let entries = read(folder, 1_000).unwrap().entries;
        entries.into_iter().map(|entry| (entry.name, (entry.kind, entry.length))).collect()
    }

    #[test]
    fn odd_names_arrive_as_they_are() {
        let scratch = Scratch::new("names");
        let long = "x".repeat(255);
        let mut names: Vec<&[u8]> = vec![
            b"two words",
            b"'single' \"double\"",
            b"<script>alert(1)<\\script>",
            b"two\nlines\t\x1B[31m",
            b"-rf",
            b"...",
            b"javascript:alert(1)",
            "\u{202E}txt.exe".as_bytes(),
            "\u{1F300}".as_bytes(),
            long.as_bytes(),
        ];
        // Other systems insist on UTF-8.
        if cfg!(target_os = "linux") {
            names.push(b"not \xFF\xFE UTF-8");
        }
        for name in &names {
            scratch.put(OsStr::from_bytes(name), b"12345");
        }
        let found = kinds(&open(&scratch));
        assert_eq!(found.len(), names.len());
        for name in names {
            let name = OsStr::from_bytes(name);
            assert_eq!(found[name], (Kind::File, 5), "{name:?}");
            let mut content = String::new();
            open_below(&open(&scratch), name).unwrap().read_to_string(&mut content).unwrap();
            assert_eq!(content, "12345", "{name:?}");
        }
    }

    #[test]
    fn each_kind_is_told_and_no_link_is_opened() {
        let scratch = Scratch::new("kinds");
        fs::create_dir(scratch.join("folder")).unwrap();
        scratch.put("file", b"123");
        for (target, link) in
            [("file", "to-file"), ("folder", "to-folder"), ("nowhere", "dangling"), ("loop", "loop")]
        {
            symlink(target, scratch.join(link)).unwrap();
        }
        let _socket = UnixListener::bind(scratch.join("socket")).unwrap();
        let folder = open(&scratch);
        let expected = [
            ("dangling", Kind::Other, 0),
            ("file", Kind::File, 3),
            ("folder", Kind::Folder, 0),
            ("loop", Kind::Other, 0),
            ("socket", Kind::Other, 0),
            ("to-file", Kind::LinkToFile, 3),
            ("to-folder", Kind::LinkToFolder, 0),
        ];
        let expected = expected.map(|(name, kind, length)| (name.into(), (kind, length)));
        assert_eq!(kinds(&folder), BTreeMap::from(expected));

        let kind_of = |name: &str| open_below(&folder, name.as_ref()).unwrap_err().kind();
        for link in ["to-file", "to-folder", "dangling", "loop", "nothing"] {
            assert_eq!(kind_of(link), io::ErrorKind::NotFound, "{link}");
        }
        for path in ["", ".", "..", "folder/", "folder/x", "/", "/etc", "a\0b"] {
            assert_eq!(kind_of(path), io::ErrorKind::InvalidInput, "{path:?}");
        }
        assert!(open_below(&folder, "folder".as_ref()).unwrap().metadata().unwrap().is_dir());
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let scratch = Scratch::new("time");
        let mut file = File::create(scratch.join("file")).unwrap();
        file.write_all(b"x").unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_millis(784_111_777_900)).unwrap();
        symlink("file", scratch.join("link")).unwrap();
        let entries = read(&open(&scratch), 9).unwrap().entries;
        assert!(entries.iter().all(|entry| entry.modified == 784_111_777), "{entries:?}");
    }

    #[test]
    fn a_folder_is_read_twice_and_only_so_far() {
        let scratch = Scratch::new("cut");
        for number in 0..20 {
            scratch.put(number.to_string(), b"");
        }
        let folder = open(&scratch);
        for (most, found, is_cut) in [(0, 0, true), (19, 19, true), (20, 20, false), (21, 20, false)] {
            let contents = read(&folder, most).unwrap();
            assert_eq!((contents.entries.len(), contents.is_cut), (found, is_cut), "at most {most}");
        }
        fs::remove_file(scratch.join("7")).unwrap();
        assert_eq!(kinds(&folder).len(), 19);
    }

    #[test]
    fn what_is_no_folder_is_not_read() {
        let file = File::open("Cargo.toml").unwrap();
        assert_eq!(read(&file, 1).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(open_below(&file, "x".as_ref()).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
