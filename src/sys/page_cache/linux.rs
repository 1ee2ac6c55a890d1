//! preadv2(2) with `RWF_NOWAIT`, Linux 4.14; cachestat(2), Linux 6.5.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::fs::FileExt as _;

use crate::sys::check;

/// The same number on every architecture that has unified ones.
const SYS_CACHESTAT: libc::c_long = 451;
/// What Linux reads ahead at least, in bytes: one probe tells about so much.
const PROBE_EVERY: u64 = 128 * 1024;

#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct CacheStat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

pub(super) fn read_resident(file: BorrowedFd<'_>, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let place = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: one piece of memory that is ours to write; the offset is passed whole in its lower word.
    let count = unsafe {
        libc::syscall(
            libc::SYS_preadv2,
            file.as_raw_fd(),
            &raw const place,
            1,
            offset.cast_signed(),
            0_u64,
            libc::RWF_NOWAIT,
        )
    };
    if let Ok(count) = usize::try_from(count) {
        return Ok(count);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Not every file system knows it.
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => {
            // SAFETY: the descriptor is open while it is borrowed, and is not closed here.
            let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file.as_raw_fd()) });
            file.read_at(into, offset)
        }
        _ => Err(error),
    }
}

pub(super) fn is_resident(file: BorrowedFd<'_>, offset: u64, length: u64) -> bool {
    let range = Range { offset, length };
    let mut stat = CacheStat::default();
    // SAFETY: both outlive the call and are laid out as the kernel expects.
    let told = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, 0) };
    if told == 0 {
        let page = page_bytes();
        let pages = (offset.saturating_add(length) - 1) / page - offset / page + 1;
        return stat.cached >= pages;
    }
    // An older kernel, or a file that is not ours: newer ones tell its owner only.
    let last = offset.saturating_add(length) - 1;
    let mut at = offset;
    while at < last {
        if is_cold(file, at) {
            return false;
        }
        at = at.saturating_add(PROBE_EVERY);
    }
    !is_cold(file, last)
}

fn is_cold(file: BorrowedFd<'_>, offset: u64) -> bool {
    read_resident(file, &mut [0], offset).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn page_bytes() -> u64 {
    // SAFETY: no pointers are passed.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    check(i32::try_from(bytes).unwrap_or(-1)).map_or(4096, |bytes| u64::from(bytes.cast_unsigned()))
}
