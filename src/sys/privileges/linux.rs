//! Linux: prctl(2), and threads that are somebody else.

use std::io;

use crate::sys::check;

pub(super) fn no_new_privileges() -> io::Result<bool> {
    let (yes, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, unused, unused, unused) })?;
    Ok(true)
}

/// The C library's functions would change all threads; the kernel's own change the one that calls.
#[cfg(target_pointer_width = "64")]
pub(super) fn assume_on_this_thread(user: libc::uid_t, group: libc::gid_t) -> io::Result<()> {
    // SAFETY: one group, which outlives the call; the rest are numbers.
    let done = unsafe {
        libc::syscall(libc::SYS_setgroups, 1_usize, &raw const group) == 0
            && libc::syscall(libc::SYS_setresgid, group, group, group) == 0
            && libc::syscall(libc::SYS_setresuid, user, user, user) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The numbers of these calls are those of sixteen bits here.
#[cfg(not(target_pointer_width = "64"))]
pub(super) fn assume_on_this_thread(_: libc::uid_t, _: libc::gid_t) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
