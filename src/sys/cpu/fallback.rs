//! Systems where threads cannot be pinned: macOS (its affinity tags are hints), OpenBSD, NetBSD and others.

use std::io;

pub(super) fn allowed_cpus() -> io::Result<Vec<usize>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn pin_current_thread(_cpu: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) const fn quota_cpus() -> Option<usize> {
    None
}
