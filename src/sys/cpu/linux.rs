//! Linux: masks of as many words as the kernel was built for, quotas from the control group.

use std::ffi::c_ulong;
use std::io;

use super::cgroup;
use crate::sys::check;

const WORD_BITS: usize = c_ulong::BITS as usize;
/// More CPUs than any kernel is built for.
const CPUS_MAX: usize = 1 << 16;

pub(super) fn allowed_cpus() -> io::Result<Vec<usize>> {
    let mut mask: Vec<c_ulong> = vec![0; 1024 / WORD_BITS];
    // sched_getaffinity(2): EINVAL while the mask is smaller than the kernel's own.
    while let Err(error) = affinity(&mut mask) {
        if error.kind() != io::ErrorKind::InvalidInput || mask.len() * WORD_BITS >= CPUS_MAX {
            return Err(error);
        }
        mask.resize(mask.len() * 2, 0);
    }
    let is_set = |cpu: &usize| mask[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1 == 1;
    Ok((0..mask.len() * WORD_BITS).filter(is_set).collect())
}

pub(super) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    if cpu >= CPUS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut mask: Vec<c_ulong> = vec![0; cpu / WORD_BITS + 1];
    mask[cpu / WORD_BITS] = 1 << (cpu % WORD_BITS);
    // SAFETY: the pointer and the size describe `mask`; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(mask.as_slice()), mask.as_ptr().cast()) })?;
    Ok(())
}

pub(super) fn quota_cpus() -> Option<usize> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    cgroup::quota_cpus("/sys/fs/cgroup".as_ref(), &groups)
}

fn affinity(mask: &mut [c_ulong]) -> io::Result<()> {
    // SAFETY: the pointer and the size describe `mask`, any bits of which are valid; 0 is the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(mask), mask.as_mut_ptr().cast()) })?;
    Ok(())
}
