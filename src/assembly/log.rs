//! The access logs that sites and routes name, and where the server writes of itself.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::{line, noted};
use crate::app::{LogId, Stage, Step};
use crate::config::{
    AccessLog, Configuration, Errors, Host, LogFormat, LogTo, Name, Origin, Placed, Problem, Redacted, Route,
    Site,
};
use crate::server::Error;
use crate::server::access_log::{Destination, Format, Log, Template};

impl Configuration {
    /// Where the server writes what it says about itself: for the logger of whoever starts it.
    ///
    /// ```
    /// use kolk::Configuration;
    /// use kolk::access_log::Destination;
    ///
    /// let text = "[log]\nerror = \"syslog:\"\n[[site]]\nhosts = \"*\"\nrespond = 404\n";
    /// let configuration = Configuration::parse(text, "kolk.toml")?;
    /// assert!(matches!(configuration.error_log(), Destination::Syslog { facility: None, .. }));
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    pub fn error_log(&self) -> Destination {
        destination(&self.log.error.to.value)
    }

    /// Where its access logs go, for whoever would write there, too.
    ///
    /// ```
    /// use kolk::Configuration;
    /// use kolk::access_log::Destination;
    ///
    /// let log = "[log.access]\nmain = \"stdout\"\nother = \"stderr\"\n";
    /// let site = "[[site]]\nhosts = \"*\"\naccess_log = \"main\"\nrespond = 404\n";
    /// let configuration = Configuration::parse(&format!("{log}{site}"), "kolk.toml")?;
    /// assert!(configuration.access_logs().all(|to| matches!(to, Destination::Stdout)));
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    pub fn access_logs(&self) -> impl Iterator<Item = Destination> {
        self.named_logs().map(|log| destination(&log.to.value))
    }

    /// Those that a site or a route names: no others are opened.
    fn named_logs(&self) -> impl Iterator<Item = &AccessLog> {
        Logs::of(self).names.into_iter().filter_map(|name| self.log.access.get(name))
    }

    /// The sockets that logs are written to and where nobody listens now, each with the line that names it:
    /// as long as that is so, no server is started.
    ///
    /// ```
    /// use kolk::Configuration;
    ///
    /// let log = "[log.access]\nunused = \"unix:nobody\"\nmain = \"unix:nobody\"\n";
    /// let site = "[[site]]\nhosts = \"*\"\naccess_log = \"main\"\nrespond = 404\n";
    /// let unheard = Configuration::parse(&format!("{log}{site}"), "kolk.toml")?.unheard_logs();
    /// assert_eq!((unheard.len(), unheard[0].origin.place().unwrap().line()), (1, 3));
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    pub fn unheard_logs(&self) -> Vec<Placed<PathBuf>> {
        let places = self.named_logs().map(|log| &log.to).chain([&self.log.error.to]);
        let unheard = places.filter_map(|to| {
            let (Destination::Datagrams(path) | Destination::Syslog { path, .. }) = destination(&to.value)
            else {
                return None;
            };
            let heard = UnixDatagram::unbound().and_then(|socket| socket.connect(&path));
            heard.is_err().then(|| Placed { value: path, origin: to.origin.clone() })
        });
        unheard.collect()
    }

    /// What kept the server from being started, at the line that names it, if that is one of the access logs
    /// of this file.
    ///
    /// ```
    /// use kolk::Configuration;
    ///
    /// let log = "[log.access]\nmain = \"unix:nobody\"\n[[listen]]\naddr = \"127.0.0.1:0\"\n";
    /// let site = "[[site]]\nhosts = \"*\"\naccess_log = \"main\"\nrespond = 404\n";
    /// let configuration = Configuration::parse(&format!("{log}{site}"), "kolk.toml")?;
    /// let error = configuration.server()?.start().unwrap_err();
    /// let told = configuration.at_its_line(&error).unwrap().to_string();
    /// assert!(told.contains("kolk.toml:2:8"), "{told}");
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    pub fn at_its_line(&self, error: &Error) -> Option<Errors> {
        self.unopened(error).map(|problem| Errors::new(vec![problem]))
    }

    /// The access log that could not be opened, if one could not.
    pub(super) fn unopened(&self, error: &Error) -> Option<Problem> {
        let Error::Log { number, .. } = error else { return None };
        let table = Logs::of(self).table(self, *number)?;
        Some(Problem::at(&table.to.origin, error.to_string()))
    }
}

/// What is named, by [`LogId`].
pub(super) struct Logs<'c> {
    names: Vec<&'c str>,
}

impl<'c> Logs<'c> {
    /// The first is that of the site for every host, which also has what belongs to no site; without such a
    /// site, the first by its name. The others stand in the order of their names.
    pub(super) fn of(configuration: &'c Configuration) -> Self {
        let named = configuration.site.iter().flat_map(|site| {
            let routes = site.route.iter().filter_map(|route| route.access_log.as_ref());
            let routes = routes.filter_map(|name| name.value.0.as_deref());
            routes.chain(site.access_log.as_ref().map(|name| &*name.value.0))
        });
        let mut names: Vec<_> = named.collect::<BTreeSet<_>>().into_iter().collect();
        let first = Self::named_for_all(configuration)
            .and_then(|first| names.iter().position(|name| *name == first.value.0));
        names[..first.map_or(0, |first| first + 1)].rotate_right(usize::from(first.is_some()));
        Self { names }
    }

    /// What explanations say of the log that also has what belongs to no site.
    pub(super) fn first(&self, configuration: &'c Configuration) -> Option<Step> {
        let origin = Self::named_for_all(configuration).map_or(&Origin::Default, |name| &name.origin);
        self.names.first().map(|name| Self::step(name, origin))
    }

    /// What they say of one.
    pub(super) fn step(name: &str, origin: &Origin) -> Step {
        Step::new(Stage::Respond, "access log", name).at(Some(line([origin])))
    }

    /// The name that the site for every host says.
    fn named_for_all(configuration: &'c Configuration) -> Option<&'c Placed<Name>> {
        let is_for_all = |site: &&Site| site.hosts.value.iter().any(|host| host.value == Host::Any);
        configuration.site.iter().find(is_for_all).and_then(|site| site.access_log.as_ref())
    }

    /// Where the answers of `route`, or those of the site without one, are written down. A file that names no
    /// log leaves it to whoever starts the server.
    pub(super) fn id(&self, site: &Site, route: Option<&Route>) -> LogId {
        let name = match route.and_then(|route| route.access_log.as_ref()) {
            Some(own) => own.value.0.as_deref(),
            None if self.names.is_empty() => return LogId::MAIN,
            None => site.access_log.as_ref().map(|name| &*name.value.0),
        };
        let number = name.and_then(|name| self.names.iter().position(|known| *known == name));
        number.and_then(|number| u16::try_from(number).ok()).map_or(LogId::NONE, LogId::new)
    }

    /// What `configuration` says of the one with this number.
    fn table(&self, configuration: &'c Configuration, number: usize) -> Option<&'c AccessLog> {
        configuration.log.access.get(*self.names.get(number)?)
    }

    /// All of them.
    pub(super) fn build(&self, configuration: &Configuration, problems: &mut Vec<Problem>) -> Vec<Log> {
        let named = self.names.iter().filter_map(|name| Some((*name, configuration.log.access.get(*name)?)));
        named.filter_map(|(name, log)| Some(build(log, problems)?.named(name))).collect()
    }
}

fn build(table: &AccessLog, problems: &mut Vec<Problem>) -> Option<Log> {
    let log = Log::new(format(table, problems)?, destination(&table.to.value));
    let log = log.sample(table.sample.ok.value.0, table.sample.error.value.0);
    Some(table.redact.value.iter().fold(log, |log, redacted| match &redacted.value {
        Redacted::Client => log.without_client(),
        Redacted::User => log.without_user(),
        Redacted::Field(name) => log.without_field(name),
        Redacted::Query(name) => log.without_parameter(name),
    }))
}

fn format(table: &AccessLog, problems: &mut Vec<Problem>) -> Option<Format> {
    match &table.format.value {
        LogFormat::Json => Some(Format::Json),
        LogFormat::Combined => Some(Format::Combined),
        LogFormat::Pretty => Some(Format::Pretty { colour: false }),
        LogFormat::Template(template) => {
            let parsed = Template::parse(&template.text());
            noted(parsed, &table.format, |error| error.to_string(), problems).map(Format::Template)
        }
    }
}

fn destination(to: &LogTo) -> Destination {
    match to {
        LogTo::Stdout => Destination::Stdout,
        LogTo::Stderr => Destination::Stderr,
        LogTo::File(path) => Destination::File(path.clone()),
        LogTo::Unix(path) => Destination::Datagrams(path.clone()),
        LogTo::Syslog(facility) => {
            Destination::Syslog { path: Destination::SYSLOG.into(), facility: *facility }
        }
    }
}
