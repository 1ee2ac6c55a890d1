//! THE KERNEL: every `unsafe` block, every `libc` call and every `cfg(target_os)` of this crate.
//!
//! | file | what it asks the kernel for |
//! | --- | --- |
//! | `append` | a file to append to, and nobody to wait for |
//! | `datagrams` | messages to a daemon of this machine |
//! | `syslog` | nothing: what the log of the system is told beside a line |
//! | `socket` | listening TCP sockets and their options |
//! | `socket_file` | listening Unix sockets and the file that names them |
//! | `accept` | the next connection of a listener, and what a failure means |
//! | `stream` | bytes into and out of a connected socket |
//! | `vector` | nothing: sixteen bytes judged at once, by the processor |
//! | `page_cache` | what of a file is in memory |
//! | `terminal` | not to show what is typed |
//! | `sendfile` | bytes from a file into a socket |
//! | `regular` | a whole file, and nobody to wait for |
//! | `names` | names in an open folder: made, moved, removed |
//! | `beneath` | files below a folder, and nothing outside |
//! | `folder` | what is in an open folder and below it, without a path |
//! | `descriptors` | how many descriptors, a spare one, a table of one's own |
//! | `cpu` | which CPUs, how many of them, and staying on one |
//! | `clock` | the time |
//! | `alarm` | a descriptor that rings after a while |
//! | `bell` | a descriptor that any thread rings |
//! | `activation` | sockets that somebody else has opened |
//! | `environment` | variables that were meant for this process alone |
//! | `notify` | words with the service manager |
//! | `privileges` | to be somebody else from now on |
//! | `confinement` | to refuse what no server does |
//! | `process` | which process it is, and a signal to it |
//!
//! Functions are safe, take borrowed descriptors and answer with `io::Result`. Systems differ in small
//! files beside the concern (`sendfile/linux.rs`, `sendfile/freebsd.rs`, …) that offer the same function.
//! Imports std, libc and socket2, nothing of ours.

pub mod accept;
pub mod activation;
pub mod alarm;
pub mod append;
pub mod bell;
pub mod beneath;
pub mod clock;
pub mod confinement;
pub mod cpu;
pub mod datagrams;
pub mod descriptors;
pub mod environment;
pub mod folder;
pub mod names;
pub mod notify;
pub mod page_cache;
pub mod privileges;
pub mod process;
pub mod regular;
pub mod sendfile;
pub mod socket;
pub mod socket_file;
pub mod stream;
pub mod syslog;
pub mod terminal;
pub mod vector;

use std::io;
use std::path::Path;

/// A system call's verdict: -1 is the error in `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Makes a call again as long as a signal interrupts it: opening what lies on the network may wait.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The same error, with the place: there may be many of its kind.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A count from the kernel, whatever integer this system writes it in; what does not fit is "unlimited".
fn count<T: TryInto<u64>>(number: T) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "../../tests/support/scratch.rs"]
pub(crate) mod scratch;

/// Repeats what fails until it succeeds, for ten seconds at most. For tests that need something closed:
/// another test's private descriptor table may hold a copy for a while.
#[cfg(test)]
fn eventually<T>(mut attempt: impl FnMut() -> io::Result<T>) -> T {
    let deadline = clock::now_nanos() + 10_000_000_000;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) if clock::now_nanos() > deadline => panic!("{error}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signal_interrupts_is_done_again_and_nothing_else_is() {
        let mut answers =
            [libc::EINTR, libc::EINTR, libc::EIO, 0].map(io::Error::from_raw_os_error).into_iter();
        let error = uninterrupted(|| answers.next().map_or(Ok(()), Err)).unwrap_err();
        assert_eq!((error.raw_os_error(), answers.len()), (Some(libc::EIO), 1));
    }
}
