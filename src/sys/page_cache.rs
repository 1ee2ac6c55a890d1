//! What of a file is in memory already, so that a loop leaves the rest to threads that may wait for a disk.

use std::io;
use std::os::fd::BorrowedFd;

#[cfg_attr(target_os = "linux", path = "page_cache/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "page_cache/fallback.rs")]
mod system;

/// Reads at `offset` without waiting for a disk: how many bytes; 0 at the end of the file.
///
/// Where the system or the file system cannot tell, it reads and may wait.
///
/// # Errors
/// `WouldBlock` when the first byte is not in memory; whatever the file reports.
pub fn read_resident(file: BorrowedFd<'_>, into: &mut [u8], offset: u64) -> io::Result<usize> {
    system::read_resident(file, into, offset)
}

/// Whether `length` bytes from `offset` can be sent without waiting for a disk, as far as one can tell.
pub fn is_resident(file: BorrowedFd<'_>, offset: u64, length: u64) -> bool {
    length == 0 || system::is_resident(file, offset, length)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::sys::scratch::file_of;

    #[test]
    fn what_was_just_written_is_in_memory() {
        let file = file_of(&[7; 300_000]);
        assert!(is_resident(file.as_fd(), 0, 300_000));
        assert!(is_resident(file.as_fd(), 299_999, 1));
        let mut into = [0; 10];
        assert_eq!(read_resident(file.as_fd(), &mut into, 299_995).unwrap(), 5);
        assert_eq!(into, [7, 7, 7, 7, 7, 0, 0, 0, 0, 0]);
        assert_eq!(read_resident(file.as_fd(), &mut into, 300_000).unwrap(), 0);
    }
}
