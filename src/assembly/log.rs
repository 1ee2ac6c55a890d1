//! The access log: one for all sites in this version.

use crate::config::{AccessLog, Configuration, LogFormat, LogTo, Origin, Problem, Redacted};
use crate::server::access_log::{Destination, Format};

/// What is written of requests, and where; nothing, if no site says so.
pub(super) fn access_log(
    configuration: &Configuration,
    problems: &mut Vec<Problem>,
) -> Option<(Format, Destination)> {
    let names: Vec<_> = configuration.site.iter().map(|site| site.access_log.as_ref()).collect();
    let first = names.iter().copied().flatten().next()?;
    if names.iter().any(|name| name.is_none_or(|name| name.value != first.value)) {
        refuse(&first.origin, "a log of some sites alone", problems);
        return None;
    }
    let log = configuration.log.access.get(&first.value.0)?;
    if log.sample.ok.value.0 < 1.0 || log.sample.error.value.0 < 1.0 {
        refuse(&log.sample.origin, "a log of some requests alone", problems);
    }
    // Nothing else that could be named here is ever written.
    let is_written = |redacted: &Redacted| match redacted {
        Redacted::Field(name) => matches!(name.as_str(), "host" | "referer" | "user-agent"),
        Redacted::Query(_) => true,
    };
    if let Some(redacted) = log.redact.value.iter().find(|redacted| is_written(&redacted.value)) {
        refuse(&redacted.origin, "to leave this out", problems);
    }
    let format = match &log.format.value {
        LogFormat::Json => Format::Json,
        LogFormat::Combined => Format::Combined,
        LogFormat::Pretty => Format::Pretty { colour: false },
        LogFormat::Template(_) => {
            refuse(&log.format.origin, "a format of one's own", problems);
            return None;
        }
    };
    destination(log, problems).map(|destination| (format, destination))
}

fn destination(log: &AccessLog, problems: &mut Vec<Problem>) -> Option<Destination> {
    match &log.to.value {
        LogTo::Stdout => Some(Destination::Stdout),
        LogTo::Stderr => Some(Destination::Stderr),
        LogTo::File(path) => Some(Destination::File(path.clone())),
        LogTo::Syslog | LogTo::Unix(_) => {
            refuse(&log.to.origin, "a log by datagrams", problems);
            None
        }
    }
}

fn refuse(origin: &Origin, what: &str, problems: &mut Vec<Problem>) {
    problems.push(Problem::at(origin, format!("{what} is not in this version")));
}
