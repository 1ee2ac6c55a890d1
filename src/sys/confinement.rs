//! What no server does, refused by the kernel from now on: to run programs, to look into other processes, to
//! make name spaces, and corners of the kernel that are nobody's but an intruder's.
//!
//! What only root may do is not on the list: who confines itself is somebody else already
//! ([`privileges`](super::privileges)). Files and sockets are not either: a reload may name others.

use std::io;

#[cfg_attr(
    all(
        target_os = "linux",
        target_endian = "little",
        any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
    ),
    path = "confinement/linux.rs"
)]
#[cfg_attr(
    not(all(
        target_os = "linux",
        target_endian = "little",
        any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
    )),
    path = "confinement/fallback.rs"
)]
mod system;

/// The calling thread, and those that it starts, run no program any more, trace and read no other process,
/// and have no name spaces of their own: the system answers that this is not permitted. There is no way back.
/// Returns whether the system can do that (Linux on x86-64, AArch64 and RISC-V with 64 bits).
///
/// ```
/// use kolk::service;
///
/// service::no_new_privileges()?;
/// if service::confine()? {
///     assert!(std::process::Command::new("true").spawn().is_err());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `PermissionDenied` without [`no_new_privileges`](super::privileges::no_new_privileges) before, and where a
/// filter of the surroundings forbids filters.
pub fn confine() -> io::Result<bool> {
    system::confine()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::process::Command;
    use std::thread;

    use super::*;
    use crate::sys::{descriptors, privileges};

    #[test]
    fn a_confined_thread_serves_and_runs_no_program() {
        let confined = || {
            privileges::no_new_privileges().unwrap();
            if !confine().unwrap() {
                return;
            }
            let refusal = Command::new("/proc/self/exe").spawn().unwrap_err();
            assert_eq!(refusal.kind(), io::ErrorKind::PermissionDenied, "{refusal}");
            // Threads are confined as well, and that they begin at all is what servers need.
            let started = thread::spawn(|| Command::new("/proc/self/exe").spawn().map(drop));
            assert_eq!(started.join().unwrap().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(status.lines().any(|line| line == "Seccomp:\t2"), "{status}");
            TcpListener::bind("127.0.0.1:0").unwrap();
            descriptors::private_table().unwrap();
        };
        thread::spawn(confined).join().unwrap();
        // The test's own thread is what it was.
        assert!(Command::new("true").status().unwrap().success());
    }
}
