//! Names in an open folder: made, given to another file, removed. Each is one name, never a path, and no link
//! is followed: what a link of that name leads to is left alone.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder,
    /// A file, a link, or anything else that is no folder.
    File,
}

/// Makes the file `name` in `folder`, for writing. Who may read it is the process's umask's.
///
/// # Errors
/// `AlreadyExists`, also if there is a link of this name; `InvalidInput` if it is no single name; whatever
/// else open(2) reports.
pub fn create_below(folder: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let name = single(name)?;
    let how = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let mode: libc::c_uint = 0o666;
    // SAFETY: the folder is open while it is borrowed, the name has its zero, and the mode is there.
    let number = check(unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), how, mode) })?;
    // SAFETY: the kernel has just opened this descriptor for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) }.into())
}

/// Gives the file `from` in `folder` the name `to`; what had that name is replaced, in one step.
///
/// # Errors
/// `IsADirectory` if `to` is a folder; `InvalidInput` if one is no single name; whatever else rename(2)
/// reports.
pub fn rename_below(folder: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
    let (from, to, folder) = (single(from)?, single(to)?, folder.as_raw_fd());
    // SAFETY: the folder is open while it is borrowed, and both names have their zeros.
    check(unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) }).map(drop)
}

/// Removes the file `name` from `folder`.
///
/// # Errors
/// `NotFound`; `InvalidInput` if it is no single name; whatever else unlink(2) reports.
pub fn remove_below(folder: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = single(name)?;
    // SAFETY: the folder is open while it is borrowed, and the name has its zero.
    check(unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// What `name` stands for in `folder`.
///
/// # Errors
/// `InvalidInput` if it is no single name; whatever stat(2) reports, but not that there is nothing.
pub fn named_below(folder: BorrowedFd<'_>, name: &str) -> io::Result<Named> {
    let name = single(name)?;
    // SAFETY: all zeros are a valid `stat`.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the folder is open while it is borrowed, the name has its zero, and `found` is writable.
    let looked = check(unsafe {
        libc::fstatat(folder.as_raw_fd(), name.as_ptr(), &raw mut found, libc::AT_SYMLINK_NOFOLLOW)
    });
    match looked {
        Ok(_) if found.st_mode & libc::S_IFMT == libc::S_IFDIR => Ok(Named::Folder),
        Ok(_) => Ok(Named::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Named::Nothing),
        Err(error) => Err(error),
    }
}

/// One name of a folder: whatever else callers have looked at, none leads elsewhere.
fn single(name: &str) -> io::Result<CString> {
    if matches!(name, "" | "." | "..") || name.contains('/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(CString::new(name)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn names_are_made_moved_and_removed_in_their_folder_alone() {
        let place = Scratch::new("names");
        fs::create_dir_all(place.join("in/sub")).unwrap();
        place.put("outside", "precious");
        symlink("../outside", place.join("in/link")).unwrap();
        let folder = File::open(place.join("in")).unwrap();
        let folder = folder.as_fd();

        create_below(folder, "new").unwrap().write_all(b"text").unwrap();
        assert_eq!(named_below(folder, "new").unwrap(), Named::File);
        assert_eq!(named_below(folder, "sub").unwrap(), Named::Folder);
        assert_eq!(named_below(folder, "link").unwrap(), Named::File, "a link is not followed");
        assert_eq!(named_below(folder, "none").unwrap(), Named::Nothing);
        for name in ["new", "sub", "link"] {
            let error = create_below(folder, name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert!(rename_below(folder, "new", "sub").is_err());
        rename_below(folder, "new", "link").unwrap();
        assert_eq!(fs::read_to_string(place.join("in/link")).unwrap(), "text");
        remove_below(folder, "link").unwrap();
        assert_eq!(fs::read_to_string(place.join("outside")).unwrap(), "precious");
        for name in ["", ".", "..", "../outside", "sub/x", "a\0b"] {
            assert_eq!(create_below(folder, name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
            assert_eq!(remove_below(folder, name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
