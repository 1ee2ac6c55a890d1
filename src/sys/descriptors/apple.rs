//! Apple's systems: the hard limit may be "unlimited", but setrlimit(2) refuses more than `OPEN_MAX`.

use std::io;

/// `OPEN_MAX` of `sys/syslimits.h`.
pub(super) const DESCRIPTORS_MAX: Option<libc::rlim_t> = Some(10_240);

pub(super) const fn private_table() -> io::Result<bool> {
    Ok(false)
}
