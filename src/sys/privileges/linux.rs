//! Linux: prctl(2).

use std::io;

use crate::sys::check;

pub(super) fn no_new_privileges() -> io::Result<bool> {
    let (yes, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, unused, unused, unused) })?;
    Ok(true)
}
