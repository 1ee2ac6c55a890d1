//! The CPU quota of a control group, versions 1 and 2.
//!
//! A group's quota binds its children too, so every level up to the root counts. A container may see its
//! own group as the root, or a path that exists only outside: the levels that are missing are skipped.

use std::fs;
use std::path::Path;

/// The tightest quota in CPUs, rounded up; `None` without one. `root` is where the control groups are
/// mounted, `groups` the content of `/proc/self/cgroup`.
pub(super) fn quota_cpus(root: &Path, groups: &str) -> Option<usize> {
    groups.lines().filter_map(|line| quota_of_line(root, line)).min()
}

/// One line: `ID:CONTROLLERS:/PATH`. Version 2 has the id 0 and names no controllers.
fn quota_of_line(root: &Path, line: &str) -> Option<usize> {
    let (id, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let path = Path::new(path.trim_start_matches('/'));
    if id == "0" && controllers.is_empty() {
        return path.ancestors().filter_map(|level| quota_v2(&root.join(level))).min();
    }
    if !controllers.split(',').any(|controller| controller == "cpu") {
        return None;
    }
    // Mounted under the line's own list of controllers, or under the one name.
    let mounts = [root.join(controllers), root.join("cpu")];
    let levels = mounts.iter().flat_map(|mount| path.ancestors().map(|level| mount.join(level)));
    levels.filter_map(|group| quota_v1(&group)).min()
}

/// `cpu.max` is `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota_v2(group: &Path) -> Option<usize> {
    let limits = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = limits.trim().split_once(' ')?;
    cpus(quota, period)
}

/// Two files; a quota of -1 is none.
fn quota_v1(group: &Path) -> Option<usize> {
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
    cpus(quota.trim(), period.trim())
}

fn cpus(quota: &str, period: &str) -> Option<usize> {
    let quota: usize = quota.parse().ok()?;
    let period: usize = period.parse().ok().filter(|&period| period > 0)?;
    Some(quota.div_ceil(period).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    /// A folder that stands for `/sys/fs/cgroup`.
    fn mount(name: &str, files: &[(&str, &str)]) -> Scratch {
        let root = Scratch::new(name);
        for (path, content) in files {
            root.put(path, content);
        }
        root
    }

    #[test]
    fn version_2_counts_every_level_and_rounds_up() {
        let mount = mount(
            "v2",
            &[
                ("cpu.max", "max 100000\n"),
                ("web/cpu.max", "250000 100000\n"),
                ("web/kolk/cpu.max", "max 100000\n"),
            ],
        );
        assert_eq!(quota_cpus(&mount, "0::/web/kolk\n"), Some(3));
        assert_eq!(quota_cpus(&mount, "0::/\n"), None);
    }

    #[test]
    fn a_container_that_sees_an_outside_path_finds_its_own_root() {
        let mount = mount("container", &[("cpu.max", "50000 100000\n")]);
        assert_eq!(quota_cpus(&mount, "0::/docker/0123456789abcdef\n"), Some(1));
    }

    #[test]
    fn version_1_is_found_under_its_mount() {
        let mount = mount(
            "v1",
            &[
                ("cpu,cpuacct/app/cpu.cfs_quota_us", "400000\n"),
                ("cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(quota_cpus(&mount, "4:memory:/app\n2:cpu,cpuacct:/app\n0::/\n"), Some(4));
    }

    #[test]
    fn nonsense_is_no_quota() {
        let mount = mount("nonsense", &[("cpu.max", "many 0\n")]);
        for groups in ["", "0", "0::", "0::/\n", "3:cpu:/\n", "::\n"] {
            assert_eq!(quota_cpus(&mount, groups), None, "{groups:?}");
        }
    }
}
