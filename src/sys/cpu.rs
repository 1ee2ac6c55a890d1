//! Which CPUs this process may use, how many it is paid for, and staying on one.
//!
//! The count is the smaller of two limits: the affinity mask (taskset, cpusets) and the CPU quota of the
//! control group, rounded up. The number of CPUs in the machine says nothing inside a container.

use std::io;

#[cfg(any(target_os = "linux", target_os = "android", test))]
mod cgroup;

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "cpu/linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "cpu/freebsd.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_os = "freebsd")),
    path = "cpu/fallback.rs"
)]
mod system;

/// How many CPUs' worth of work this process may do at once: at least 1.
pub fn available() -> usize {
    let allowed = allowed_cpus().len();
    system::quota_cpus().map_or(allowed, |quota| quota.min(allowed)).max(1)
}

/// The numbers of the CPUs that this thread may run on, ascending, never empty.
///
/// Systems that do not tell count from 0.
pub fn allowed_cpus() -> Vec<usize> {
    match system::allowed_cpus() {
        Ok(cpus) if !cpus.is_empty() => cpus,
        _ => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    }
}

/// Keeps the calling thread on the CPU with this number.
///
/// # Errors
/// `InvalidInput` for a CPU that does not exist or is not allowed, `Unsupported` where threads cannot be
/// pinned.
pub fn pin_current_thread(cpu: usize) -> io::Result<()> {
    system::pin_current_thread(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_cpu_and_no_more_than_are_allowed() {
        let allowed = allowed_cpus();
        assert!((1..=allowed.len()).contains(&available()));
        assert!(allowed.is_sorted());
    }

    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    #[test]
    fn a_pinned_thread_is_allowed_that_cpu_only() {
        let last = *allowed_cpus().last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            allowed_cpus()
        });
        assert_eq!(pinned.join().unwrap(), [last]);
    }

    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    #[test]
    fn a_cpu_that_does_not_exist_is_refused() {
        for cpu in [100_000, usize::MAX] {
            assert_eq!(pin_current_thread(cpu).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
