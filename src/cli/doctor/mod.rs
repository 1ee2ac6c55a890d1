//! `kolk doctor`: whether this machine lets a server do its work, told by the four stages.
//!
//! ```text
//!  /proc, /sys ──► Host ──► checks ──► findings ──► text, or JSON
//! ```
//! | file | what it is |
//! | --- | --- |
//! | `host` | what the kernel says |
//! | `checks` | what that means for kolk |
//!
//! It reads and changes nothing, and needs no permission.

mod checks;
mod host;

use std::fmt::{self, Write as _};
use std::path::Path;

use host::Host;

/// The stage of a request that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Accept,
    Parse,
    Handle,
    Respond,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    stage: Stage,
    what: String,
    verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Why it matters, and the command that mends it.
    Attention {
        why: String,
        mend: String,
    },
    /// It could not be read.
    Unknown,
}

/// All findings.
#[derive(Debug)]
pub(super) struct Report {
    findings: Vec<Finding>,
    color: bool,
}

impl Report {
    /// Examines what the kernel says below `root` about the machine and one process, which must exist;
    /// `backlog` is what kolk asks for.
    pub(super) fn of(root: &Path, process: Option<u32>, backlog: u32, color: bool) -> Self {
        let process = process.map_or_else(|| "self".to_owned(), |number| number.to_string());
        Self { findings: checks::all(&Host::new(root, process), backlog), color }
    }

    /// Whether nothing deserves attention.
    pub(super) fn is_fine(&self) -> bool {
        self.attentions() == 0
    }

    /// One object: `{"fine":true,"findings":[{"stage":…,"verdict":…,"what":…,"why":…,"mend":…}]}`.
    pub(super) fn json(&self) -> String {
        let findings: Vec<String> = self.findings.iter().map(Finding::json).collect();
        format!("{{\"fine\":{},\"findings\":[\n{}\n]}}\n", self.is_fine(), findings.join(",\n"))
    }

    fn attentions(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Attention { .. })).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paint = |code: &str, text: &str| match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let mut stage = None;
        for finding in &self.findings {
            if stage.replace(finding.stage) != Some(finding.stage) {
                writeln!(f, "{}", paint("1", finding.stage.name()))?;
            }
            match &finding.verdict {
                Verdict::Fine => writeln!(f, "  {} {}", paint("32", "✓"), finding.what)?,
                Verdict::Unknown => writeln!(f, "  {} cannot be read: {}", paint("2", "?"), finding.what)?,
                Verdict::Attention { why, mend } => {
                    writeln!(f, "  {} {}", paint("1;33", "!"), finding.what)?;
                    writeln!(f, "      why   {why}")?;
                    writeln!(f, "      mend  {mend}")?;
                }
            }
        }
        let unknown = self.findings.iter().filter(|finding| finding.verdict == Verdict::Unknown).count();
        match self.attentions() {
            0 if unknown == 0 => write!(f, "\nall is well")?,
            0 => write!(f, "\nnothing deserves attention")?,
            1 => write!(f, "\none thing deserves attention")?,
            several => write!(f, "\n{several} things deserve attention")?,
        }
        match unknown {
            0 => writeln!(f),
            unknown => writeln!(f, "; {unknown} could not be read"),
        }
    }
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Parse => "parse",
            Self::Handle => "handle",
            Self::Respond => "respond",
        }
    }
}

impl Finding {
    fn fine(stage: Stage, what: String) -> Self {
        Self { stage, what, verdict: Verdict::Fine }
    }

    fn attention(stage: Stage, what: String, why: String, mend: String) -> Self {
        Self { stage, what, verdict: Verdict::Attention { why, mend } }
    }

    fn unknown(stage: Stage, what: String) -> Self {
        Self { stage, what, verdict: Verdict::Unknown }
    }

    fn json(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Fine => "fine",
            Verdict::Attention { .. } => "attention",
            Verdict::Unknown => "unknown",
        };
        let mut members = vec![("stage", self.stage.name()), ("verdict", verdict), ("what", &self.what)];
        if let Verdict::Attention { why, mend } = &self.verdict {
            members.extend([("why", &**why), ("mend", mend)]);
        }
        let members: Vec<String> =
            members.iter().map(|(name, text)| format!("\"{name}\":\"{}\"", escaped(text))).collect();
        format!("{{{}}}", members.join(","))
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            control if control.is_control() => {
                // A string takes everything.
                let _ = write!(escaped, "\\u{:04x}", u32::from(control));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::Scratch;

    /// A made-up machine.
    struct Tree(Scratch);

    impl Tree {
        fn new(name: &str) -> Self {
            let tree = Self(Scratch::new(name));
            for (path, text) in [
                (
                    "proc/self/limits",
                    "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   1048576   files\n",
                ),
                ("proc/self/cgroup", "0::/system.slice/kolk.service\n"),
                ("proc/self/net/netstat", "TcpExt: ListenOverflows ListenDrops RcvPruned\nTcpExt: 0 0 0\n"),
                ("proc/self/net/snmp", "Tcp: PassiveOpens InSegs\nTcp: 5000 90000\n"),
                ("proc/self/net/sockstat", "sockets: used 5\nTCP: inuse 3 orphan 0 tw 0 alloc 4 mem 7\n"),
                ("proc/sys/fs/nr_open", "1048576\n"),
                ("proc/sys/net/core/somaxconn", "4096\n"),
                ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
                ("proc/sys/net/ipv4/tcp_tw_reuse", "2\n"),
                ("proc/sys/net/ipv4/tcp_mem", "100\t200\t300\n"),
                ("sys/fs/cgroup/system.slice/kolk.service/cpu.max", "max 100000\n"),
            ] {
                tree.put(path, text);
            }
            tree
        }

        fn put(&self, path: &str, text: &str) {
            self.0.put(path, text);
        }

        fn report(&self) -> Report {
            Report::of(&self.0, None, 4096, false)
        }

        /// What deserves attention, each with its stage.
        fn attentions(&self) -> Vec<String> {
            let findings = self.report().findings;
            let attention =
                findings.iter().filter(|found| matches!(found.verdict, Verdict::Attention { .. }));
            attention.map(|found| format!("{}: {}", found.stage.name(), found.what)).collect()
        }
    }

    #[test]
    fn a_machine_as_it_should_be() {
        let tree = Tree::new("fine");
        let report = tree.report();
        assert!(report.is_fine(), "{report}");
        let text = report.to_string();
        for line in [
            "accept\n  ✓ 1048576 descriptors may be open (kolk raises the soft limit, 1024, itself)\n",
            "  ✓ 28232 ports for connections that begin here\n",
            "\nhandle\n  ✓ no control group limits the CPUs\n",
            "\nrespond\n  ✓ TCP holds 7 pages",
            "\nall is well\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
        assert!(!text.contains('?'), "{text}");
    }

    #[test]
    fn each_ill_is_found_in_its_stage() {
        let service = "sys/fs/cgroup/system.slice/kolk.service";
        for (path, text, found) in [
            ("proc/self/limits", "Max open files   1024   4096   files\n", "accept: only 4096 descriptors"),
            ("proc/sys/net/core/somaxconn", "128\n", "accept: 128 connections may wait"),
            (
                "proc/self/net/netstat",
                "TcpExt: ListenOverflows ListenDrops\nTcpExt: 3 9\n",
                "accept: since the boot 3 connections found a full queue and 9 were dropped",
            ),
            ("proc/sys/net/ipv4/ip_local_port_range", "60000 60999\n", "accept: only 1000 ports"),
            ("proc/sys/net/ipv4/tcp_tw_reuse", "0\n", "accept: ports of ended connections rest"),
            (
                "proc/self/net/netstat",
                "TcpExt: TCPRcvQDrop RcvPruned\nTcpExt: 30 12\n",
                "parse: since the boot 42 of 90000 segments",
            ),
            (
                &format!("{service}/cpu.stat"),
                "nr_periods 1000\nnr_throttled 200\nthrottled_usec 5000000\n",
                "handle: stopped for its CPU quota in 200 of 1000 periods, 5000 ms",
            ),
            ("sys/fs/cgroup/system.slice/memory.max", "33554432\n", "handle: a control group grants 32 MB"),
            (&format!("{service}/memory.events"), "oom 1\noom_kill 2\n", "handle: no control group limits"),
            ("proc/self/net/sockstat", "TCP: inuse 3 mem 250\n", "respond: TCP holds 250 pages"),
        ] {
            let tree = Tree::new("ill");
            tree.put(path, text);
            let attentions = tree.attentions();
            assert!(matches!(&attentions[..], [one] if one.starts_with(found)), "{path}: {attentions:?}");
        }
    }

    #[test]
    fn a_firewall_that_is_not_there_is_not_mentioned() {
        let tree = Tree::new("conntrack");
        assert!(!tree.report().to_string().contains("firewall"));
        tree.put("proc/sys/net/netfilter/nf_conntrack_count", "230000\n");
        tree.put("proc/sys/net/netfilter/nf_conntrack_max", "262144\n");
        assert_eq!(tree.attentions(), ["accept: the firewall follows 230000 of 262144 connections"]);
    }

    #[test]
    fn a_quota_is_the_tightest_on_the_way_up() {
        let tree = Tree::new("quota");
        tree.put("sys/fs/cgroup/system.slice/kolk.service/cpu.max", "400000 100000\n");
        tree.put("sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n");
        let text = tree.report().to_string();
        assert!(text.contains("grants 1.50 CPUs"), "{text}");
    }

    #[test]
    fn control_groups_of_version_1_count_too() {
        let tree = Tree::new("version-1");
        tree.put("proc/self/cgroup", "4:memory:/a\n2:cpu,cpuacct:/a/b\n0::/\n");
        tree.put("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
        tree.put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
        tree.put("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
        tree.put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
        let text = tree.report().to_string();
        assert!(
            text.contains("grants 0.50 CPUs") && text.contains("no control group limits the memory"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_and_is_no_ill() {
        let report = Report::of(Path::new("/no/such/machine"), None, 4096, false);
        assert!(report.is_fine());
        let text = report.to_string();
        assert!(text.contains("? cannot be read: /no/such/machine/proc/sys/net/core/somaxconn: "), "{text}");
        assert!(text.ends_with("\nnothing deserves attention; 8 could not be read\n"), "{text}");
    }

    #[test]
    fn json_is_for_programs() {
        let tree = Tree::new("json");
        tree.put("proc/sys/net/core/somaxconn", "128\n");
        let json = tree.report().json();
        assert!(
            json.starts_with("{\"fine\":false,\"findings\":[\n{\"stage\":\"accept\",\"verdict\":\"fine\"")
        );
        assert!(json.contains("\"mend\":\"sysctl -w net.core.somaxconn=4096\"}"), "{json}");
        assert_eq!(escaped("a\"\\\n"), "a\\\"\\\\\\u000a");
    }
}
