//! Variables that were meant for this process alone: read once, and gone for its children.

use std::env;
use std::ffi::OsString;
use std::fs;

/// The variable's value. It is removed while this process has one thread, as it has at its start; later, or
/// where nobody can tell, it stays: a variable cannot be removed safely while other threads may read it.
pub fn take(name: &str) -> Option<OsString> {
    let value = env::var_os(name);
    if value.is_some() && is_alone() {
        // SAFETY: this is the only thread, so nobody reads the environment meanwhile.
        unsafe { env::remove_var(name) };
    }
    value
}

/// Whether the calling thread is known to be the only one of this process.
fn is_alone() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_threads_may_read_stays() {
        let name = "CARGO_MANIFEST_DIR";
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv().is_err());
        assert_eq!(take(name), env::var_os(name));
        assert!(env::var_os(name).is_some());
        drop(release);
        assert!(other.join().unwrap());
    }
}
