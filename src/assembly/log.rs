//! The access log: one in this version, for the sites and routes that name it.

use crate::config::{AccessLog, Configuration, LogFormat, LogTo, Origin, Problem, Redacted, Route, Site};
use crate::server::access_log::{Destination, Format};

/// What is written of requests, and where; nothing, if no site says so.
pub(super) fn access_log(
    configuration: &Configuration,
    problems: &mut Vec<Problem>,
) -> Option<(Format, Destination)> {
    let named = configuration.site.iter().flat_map(|site| {
        let routes = site.route.iter().filter_map(|route| route.access_log.as_ref());
        let routes = routes.filter_map(|name| Some((name.value.0.as_deref()?, &name.origin)));
        site.access_log.iter().map(|name| (&*name.value.0, &name.origin)).chain(routes)
    });
    let named: Vec<_> = named.collect();
    let (first, _) = *named.first()?;
    if let Some((_, origin)) = named.iter().find(|(name, _)| *name != first) {
        refuse(origin, "a second access log", problems);
        return None;
    }
    let log = configuration.log.access.get(first)?;
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

/// Whether the answers of `route`, or those of the site without one, are written down.
pub(super) fn is_logged(site: &Site, route: Option<&Route>) -> bool {
    let own = route.and_then(|route| route.access_log.as_ref());
    own.map_or_else(|| site.access_log.is_some(), |name| name.value.0.is_some())
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
