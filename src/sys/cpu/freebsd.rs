//! FreeBSD: cpuset(2). Resource limits there cap CPU time, not CPUs: no quota.

use std::io;

use crate::sys::check;

/// "The calling one", for every kind of id.
const SELF: libc::id_t = -1;

pub(super) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: a cpuset_t is an array of integers; all zeroes is the empty set.
    let mut set: libc::cpuset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the size describe `set`.
    check(unsafe {
        libc::cpuset_getaffinity(
            libc::CPU_LEVEL_WHICH,
            libc::CPU_WHICH_TID,
            SELF,
            size_of_val(&set),
            &raw mut set,
        )
    })?;
    // SAFETY: CPU_ISSET reads a bit of the set; all numbers are below its size.
    Ok((0..8 * size_of_val(&set)).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

pub(super) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    // SAFETY: a cpuset_t is an array of integers; all zeroes is the empty set.
    let mut set: libc::cpuset_t = unsafe { std::mem::zeroed() };
    if cpu >= 8 * size_of_val(&set) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is below the set's size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the pointer and the size describe `set`.
    check(unsafe {
        libc::cpuset_setaffinity(
            libc::CPU_LEVEL_WHICH,
            libc::CPU_WHICH_TID,
            SELF,
            size_of_val(&set),
            &raw const set,
        )
    })
    .map(drop)
    // EDEADLK: the process may not use that CPU.
    .map_err(|error| match error.raw_os_error() {
        Some(libc::EDEADLK) => io::ErrorKind::InvalidInput.into(),
        _ => error,
    })
}

pub(super) const fn quota_cpus() -> Option<usize> {
    None
}
