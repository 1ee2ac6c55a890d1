//! [`Host`]: what the kernel says about this machine and one process, read from files.
//!
//! The root of the tree is an argument, so that a test can make one up. Knows no judgement.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that could not be read, or not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(String);

/// A reading.
pub(super) type Reading<T> = Result<T, Unreadable>;

/// The files below a root, mostly `/`.
#[derive(Clone, Debug)]
pub(super) struct Host {
    root: PathBuf,
    /// The process that is asked about, as `/proc` calls it.
    process: String,
}

/// The control group of the process, one level, from its own up to the root's.
#[derive(Debug)]
pub(super) struct Group {
    directory: PathBuf,
}

impl Host {
    pub(super) fn new(root: impl Into<PathBuf>, process: impl Into<String>) -> Self {
        Self { root: root.into(), process: process.into() }
    }

    /// The file at `path`, which is relative to the root.
    fn read(&self, path: impl AsRef<Path>) -> Reading<String> {
        let path = self.root.join(path);
        fs::read_to_string(&path).map_err(|error| Unreadable(format!("{}: {error}", path.display())))
    }

    /// A file of the process.
    fn of_process(&self, name: &str) -> Reading<String> {
        self.read(format!("proc/{}/{name}", self.process))
    }

    /// The numbers of a kernel parameter, as sysctl(8) names it.
    pub(super) fn sysctl<const N: usize>(&self, name: &str) -> Reading<[u64; N]> {
        let text = self.read(format!("proc/sys/{}", name.replace('.', "/")))?;
        let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
        numbers.try_into().map_err(|_| Unreadable(format!("{name} is `{}`", text.trim())))
    }

    /// How many descriptors the process may have open: the soft limit, and the hard one.
    pub(super) fn descriptor_limits(&self) -> Reading<(u64, u64)> {
        let text = self.of_process("limits")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
        let mut words = line.unwrap_or_default().split_whitespace().map(|word| match word {
            "unlimited" => Some(u64::MAX),
            word => word.parse().ok(),
        });
        match (words.next().flatten(), words.next().flatten()) {
            (Some(soft), Some(hard)) => Ok((soft, hard)),
            _ => Err(Unreadable(format!("/proc/{}/limits has no line `Max open files`", self.process))),
        }
    }

    /// The counters of one protocol in `net/netstat` or `net/snmp`: a line of names above a line of numbers.
    pub(super) fn counters(&self, file: &str, protocol: &str) -> Reading<HashMap<String, u64>> {
        let text = self.of_process(&format!("net/{file}"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
        let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let pairs = names.split(' ').zip(numbers.split(' '));
        Ok(pairs.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?))).collect())
    }

    /// The pages of memory that TCP holds.
    pub(super) fn tcp_pages(&self) -> Reading<u64> {
        let text = self.of_process("net/sockstat")?;
        let line = text.lines().find_map(|line| line.strip_prefix("TCP: ")).unwrap_or_default();
        let mut words = line.split(' ').skip_while(|word| *word != "mem").skip(1);
        let pages = words.next().and_then(|pages| pages.parse().ok());
        pages.ok_or_else(|| Unreadable("net/sockstat has no `TCP: … mem`".to_owned()))
    }

    /// The control groups that bound the process's share of `controller`: its own first. None: it has none.
    pub(super) fn groups(&self, controller: &str) -> Reading<Vec<Group>> {
        let text = self.of_process("cgroup")?;
        let mounted = self.root.join("sys/fs/cgroup");
        let mut places = text.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            match controllers {
                // Version 2: one tree for all.
                "" => Some((mounted.clone(), path)),
                _ if controllers.split(',').any(|name| name == controller) => {
                    Some((mounted.join(controller), path))
                }
                _ => None,
            }
        });
        // A controller is in one version or the other; version 2 is listed last.
        let Some((top, path)) = places.next() else { return Ok(Vec::new()) };
        // In a container the path may be that of the host, which cannot be seen from here.
        let path = path.trim_start_matches('/');
        let own = if top.join(path).is_dir() { top.join(path) } else { top.clone() };
        let directories = own.ancestors().take_while(|directory| directory.starts_with(&top));
        Ok(directories.map(|directory| Group { directory: directory.to_owned() }).collect())
    }
}

impl Group {
    /// Hundredths of a CPU that it may use.
    pub(super) fn cpu_hundredths(&self) -> Option<u64> {
        let (quota, period) = match self.read("cpu.max") {
            Some(line) => {
                line.split_once(' ').map(|(quota, period)| (quota.to_owned(), period.to_owned()))?
            }
            None => (self.read("cpu.cfs_quota_us")?, self.read("cpu.cfs_period_us")?),
        };
        // No number, or a negative one: unlimited.
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        (period > 0).then(|| quota.saturating_mul(100) / period)
    }

    /// In how many periods there was something to do, in how many of them it was stopped, and for how many
    /// milliseconds.
    pub(super) fn throttling(&self) -> Option<(u64, u64, u64)> {
        let number = |name| self.number("cpu.stat", name);
        let periods = number("nr_periods").filter(|&periods| periods > 0)?;
        let micros = number("throttled_usec").or_else(|| Some(number("throttled_time")? / 1000));
        Some((periods, number("nr_throttled")?, micros.unwrap_or_default() / 1000))
    }

    /// Bytes of memory that it may use.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let limit = self.read("memory.max").or_else(|| self.read("memory.limit_in_bytes"))?;
        // Version 1 writes "unlimited" as the greatest number of whole pages.
        limit.parse().ok().filter(|&bytes: &u64| bytes < 1 << 60)
    }

    /// How many of its processes were killed for want of memory.
    pub(super) fn killed(&self) -> Option<u64> {
        self.number("memory.events", "oom_kill").or_else(|| self.number("memory.oom_control", "oom_kill"))
    }

    /// A file's text; `None` if this group has no such file.
    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok().map(|text| text.trim().to_owned())
    }

    /// One number of a file with lines `name number`.
    fn number(&self, file: &str, name: &str) -> Option<u64> {
        let text = self.read(file)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(found, _)| *found == name)?.1.trim().parse().ok()
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
