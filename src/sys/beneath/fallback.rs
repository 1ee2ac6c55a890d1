//! Without openat2(2): every path is walked.

use std::ffi::CString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(super) const ENTER: libc::c_int = libc::O_RDONLY | libc::O_DIRECTORY;
/// A pipe without a writer, or a terminal, is opened without waiting and without becoming ours.
pub(super) const READ: libc::c_int = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;

pub(super) fn open_without_links(_folder: BorrowedFd<'_>, _path: &CString) -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}
