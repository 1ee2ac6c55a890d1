//! The BSDs, and Linux with poll(2): limits mean what they say; threads always share the table.

use std::io;

pub(super) const DESCRIPTORS_MAX: Option<libc::rlim_t> = None;

pub(super) const fn private_table() -> io::Result<bool> {
    Ok(false)
}
