//! The checks: each looks at one thing of a [`Host`] and says what it found.
//!
//! Thresholds are here, each with its reason. Knows no output.

use super::host::{Group, Host};
use super::{Finding, Stage};

/// Fewer descriptors than this are fewer connections than a small server gets on a good day.
const DESCRIPTORS_MIN: u64 = 10_240;
/// Fewer ports than this run out within a minute of a load test: each is kept for 60 s after its use.
const PORTS_MIN: u64 = 16_384;
/// Of so many, one may fail without deserving attention: counters begin at the boot and never forget.
const RARE: u64 = 10_000;
/// Of so many periods, one may be throttled: a start with all threads at once.
const THROTTLED_SHARE: u64 = 100;
/// A server under this limit has little room for buffers, and none for what else the program does.
const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// When so many per cent of a table are taken, the next burst fills it.
const FULL_PERCENT: u64 = 80;

/// All of them, in the order of the stages. `backlog`: what kolk asks for.
pub(super) fn all(host: &Host, backlog: u32) -> Vec<Finding> {
    let checks = [
        descriptors(host),
        queue(host, backlog.into()),
        overflows(host),
        conntrack(host),
        ports(host),
        time_wait(host),
        received(host),
        quota(host),
        throttled(host),
        memory(host),
        tcp_memory(host),
    ];
    checks.into_iter().flatten().collect()
}

/// Nothing, if the file belongs to something that is not there.
type Check = Option<Finding>;

/// A reading, or the finding that there is none.
macro_rules! read {
    ($stage:expr, $reading:expr) => {
        match $reading {
            Ok(reading) => reading,
            Err(error) => return Some(Finding::unknown($stage, error.to_string())),
        }
    };
}

fn descriptors(host: &Host) -> Check {
    let (soft, hard) = read!(Stage::Accept, host.descriptor_limits());
    let raised =
        if soft < hard { format!(" (kolk raises the soft limit, {soft}, itself)") } else { String::new() };
    let what = format!("{hard} descriptors may be open{raised}");
    if hard >= DESCRIPTORS_MIN {
        return Some(Finding::fine(Stage::Accept, what));
    }
    let most = host.sysctl("fs.nr_open").map_or(1 << 20, |[most]| most);
    Some(Finding::attention(
        Stage::Accept,
        format!("only {what}"),
        "each connection takes one: beyond that, new clients wait in the queue".to_owned(),
        format!("LimitNOFILE={most} in the [Service] of its unit; docker run --ulimit nofile={most}"),
    ))
}

fn queue(host: &Host, wanted: u64) -> Check {
    let [most] = read!(Stage::Accept, host.sysctl("net.core.somaxconn"));
    if most >= wanted {
        return Some(Finding::fine(Stage::Accept, format!("{wanted} connections may wait at each listener")));
    }
    Some(Finding::attention(
        Stage::Accept,
        format!("{most} connections may wait at each listener, though kolk asks for {wanted}"),
        "when more come at once than are accepted, clients try again after a second, or give up".to_owned(),
        format!("sysctl -w net.core.somaxconn={wanted}"),
    ))
}

fn overflows(host: &Host) -> Check {
    let counters = read!(Stage::Accept, host.counters("netstat", "TcpExt"));
    let came = host.counters("snmp", "Tcp").ok().and_then(|tcp| tcp.get("PassiveOpens").copied());
    let of = |name| counters.get(name).copied().unwrap_or_default();
    let (overflows, drops) = (of("ListenOverflows"), of("ListenDrops"));
    let came = came.unwrap_or_default();
    let what = format!(
        "since the boot {overflows} connections found a full queue and {drops} were dropped, {came} were accepted"
    );
    if overflows.max(drops).saturating_mul(RARE) <= came.max(1) {
        return Some(Finding::fine(Stage::Accept, what));
    }
    Some(Finding::attention(
        Stage::Accept,
        what,
        "those clients waited a second or longer for nothing; it may have been another server's queue"
            .to_owned(),
        "see whose queue is full: ss -ltn (Recv-Q near Send-Q); for kolk: --backlog 16384, or --workers"
            .to_owned(),
    ))
}

fn conntrack(host: &Host) -> Check {
    // Where the firewall keeps no such table there is nothing to say.
    let [count] = host.sysctl("net.netfilter.nf_conntrack_count").ok()?;
    let [most] = host.sysctl("net.netfilter.nf_conntrack_max").ok()?;
    let what = format!("the firewall follows {count} of {most} connections");
    if count.saturating_mul(100) < most.saturating_mul(FULL_PERCENT) {
        return Some(Finding::fine(Stage::Accept, what));
    }
    Some(Finding::attention(
        Stage::Accept,
        what,
        "when its table is full, packets of new connections are dropped without a word".to_owned(),
        format!("sysctl -w net.netfilter.nf_conntrack_max={}", most.saturating_mul(4)),
    ))
}

fn ports(host: &Host) -> Check {
    let [first, last] = read!(Stage::Accept, host.sysctl("net.ipv4.ip_local_port_range"));
    let ports = last.saturating_sub(first) + 1;
    let what = format!("{ports} ports for connections that begin here");
    if ports >= PORTS_MIN {
        return Some(Finding::fine(Stage::Accept, what));
    }
    Some(Finding::attention(
        Stage::Accept,
        format!("only {what}"),
        "a load test from this machine, or a proxy on it, runs out of ports before kolk is busy".to_owned(),
        "sysctl -w net.ipv4.ip_local_port_range='1024 65535'".to_owned(),
    ))
}

fn time_wait(host: &Host) -> Check {
    let [reuse] = read!(Stage::Accept, host.sysctl("net.ipv4.tcp_tw_reuse"));
    let what = match reuse {
        0 => {
            return Some(Finding::attention(
                Stage::Accept,
                "ports of ended connections rest for a minute (tcp_tw_reuse is off)".to_owned(),
                "a load test that opens many connections from here runs out of ports".to_owned(),
                "sysctl -w net.ipv4.tcp_tw_reuse=2".to_owned(),
            ));
        }
        2 => "ports of ended connections are used again on loopback",
        _ => "ports of ended connections are used again",
    };
    Some(Finding::fine(Stage::Accept, what.to_owned()))
}

fn received(host: &Host) -> Check {
    let counters = read!(Stage::Parse, host.counters("netstat", "TcpExt"));
    let came = host.counters("snmp", "Tcp").ok().and_then(|tcp| tcp.get("InSegs").copied());
    let dropped: u64 = ["RcvPruned", "TCPRcvQDrop"].iter().filter_map(|name| counters.get(*name)).sum();
    let came = came.unwrap_or_default();
    let what = format!("since the boot {dropped} of {came} segments were thrown away for want of memory");
    if dropped.saturating_mul(RARE) <= came.max(1) {
        return Some(Finding::fine(Stage::Parse, what));
    }
    Some(Finding::attention(
        Stage::Parse,
        what,
        "requests wait for their bytes to be sent again".to_owned(),
        "sysctl -w net.ipv4.tcp_rmem='4096 131072 16777216'; or more memory".to_owned(),
    ))
}

/// The tightest limit of the control groups, with its number of CPUs in hundredths.
fn quota(host: &Host) -> Check {
    let groups = read!(Stage::Handle, host.groups("cpu"));
    let quotas = groups.iter().filter_map(Group::cpu_hundredths);
    let what = match quotas.min() {
        None => "no control group limits the CPUs".to_owned(),
        Some(hundredths) => format!(
            "a control group grants {}.{:02} CPUs: --workers auto counts with that",
            hundredths / 100,
            hundredths % 100
        ),
    };
    Some(Finding::fine(Stage::Handle, what))
}

fn throttled(host: &Host) -> Check {
    // Said by the check before, if there are none.
    let groups = host.groups("cpu").ok()?;
    let (periods, throttled, millis) =
        groups.iter().filter_map(Group::throttling).max_by_key(|(_, throttled, _)| *throttled)?;
    let what = format!("stopped for its CPU quota in {throttled} of {periods} periods, {millis} ms");
    if throttled.saturating_mul(THROTTLED_SHARE) <= periods {
        return Some(Finding::fine(Stage::Handle, what));
    }
    Some(Finding::attention(
        Stage::Handle,
        what,
        "whoever is being served then waits for tens of milliseconds: the long tail of the latencies"
            .to_owned(),
        "a larger quota (CPUQuota= of the unit, docker run --cpus), or fewer --workers".to_owned(),
    ))
}

fn memory(host: &Host) -> Check {
    let groups = read!(Stage::Handle, host.groups("memory"));
    let limit = groups.iter().filter_map(Group::memory_bytes).min();
    let killed = groups.first().and_then(Group::killed).unwrap_or_default();
    let what = match limit {
        None => "no control group limits the memory".to_owned(),
        Some(bytes) => format!("a control group grants {} MB of memory", bytes >> 20),
    };
    let small = limit.is_some_and(|bytes| bytes < MEMORY_BYTES_MIN);
    if killed == 0 && !small {
        return Some(Finding::fine(Stage::Handle, what));
    }
    Some(Finding::attention(
        Stage::Handle,
        format!("{what}; {killed} processes of the group were killed for want of it"),
        "a server that is killed answers nobody: connections break without a word".to_owned(),
        "MemoryMax= of the unit, docker run --memory; or --max-connections".to_owned(),
    ))
}

fn tcp_memory(host: &Host) -> Check {
    // A container of its own network may not see the machine's limits: then they are not its business.
    let [_, pressure, most]: [u64; 3] = host.sysctl("net.ipv4.tcp_mem").ok()?;
    let pages = read!(Stage::Respond, host.tcp_pages());
    let what = format!("TCP holds {pages} pages of memory; it is stingy above {pressure}");
    if pages < pressure {
        return Some(Finding::fine(Stage::Respond, what));
    }
    Some(Finding::attention(
        Stage::Respond,
        what,
        "the kernel shrinks all windows: answers leave in small pieces".to_owned(),
        format!("sysctl -w net.ipv4.tcp_mem='{pressure} {most} {}'", most.saturating_mul(2)),
    ))
}
