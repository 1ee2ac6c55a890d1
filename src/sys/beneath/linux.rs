//! openat2(2), Linux 5.6.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::owned;

/// To go through a folder it need not be readable.
pub(super) const ENTER: libc::c_int = libc::O_PATH | libc::O_DIRECTORY;
/// A pipe without a writer, or a terminal, is opened without waiting and without becoming ours.
pub(super) const READ: libc::c_int = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;

/// An older kernel, or a filter that knows no such call.
static IS_MISSING: AtomicBool = AtomicBool::new(false);

/// Opens `path` below `folder`; `ELOOP` at the first link, `EXDEV` where it leads out, `ENOSYS` where the
/// kernel cannot tell.
pub(super) fn open_without_links(folder: BorrowedFd<'_>, path: &CString) -> io::Result<OwnedFd> {
    if IS_MISSING.load(Relaxed) {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    // SAFETY: all zeros are valid: no flags, no mode, nothing to resolve specially.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((READ | libc::O_CLOEXEC).cast_unsigned());
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: a path with its zero, and an `open_how` of the size that is said.
    let number = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            folder.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let opened = owned(libc::c_int::try_from(number).unwrap_or(-1));
    if let Err(error) = &opened
        && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
    {
        IS_MISSING.store(true, Relaxed);
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    opened
}
