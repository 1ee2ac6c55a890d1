//! `kolk serve -c FILE`: a server of which the file says everything. What flags say beside it counts instead:
//! `-w`, `-l`, `--log`, `--log-file`, `--user`, `--pid-file`. The others were refused (see `said`).
//!
//! ```text
//!  HUP ──► the file ─┬─ right ──► served, and what has to wait for a start is named ─┬─► certificates
//!                    └─ wrong ──► told, and what was served goes on ────────────────┘
//! ```

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use kolk::service::User;
use kolk::{Configuration, Errors, Given, Handle, Origin, Problem, Server, Workers};
use log::Level;

use super::args::{Count, Directory, Log, Serving, address_of};
#[cfg(feature = "tls")]
use super::certificates;
use super::check::counted;
use super::failure::{Exit, Failure};
use super::said::Said;
use super::signals::{Ending, Reload};
use super::{colors, log_destination, logger};

/// The file that is found by itself.
const FILE: &str = "kolk.toml";

/// The file that says everything, if there is one: that of `-c`, or `./kolk.toml` where nothing else is to be
/// served.
pub(super) fn file(directory: Option<&Directory>) -> Option<PathBuf> {
    let directory = directory?;
    let found = || found().filter(|_| directory.dir.is_none()).map(Path::to_owned);
    directory.config.clone().or_else(found)
}

/// The file that is meant where none is named.
pub(super) fn found() -> Option<&'static Path> {
    let file = Path::new(FILE);
    file.is_file().then_some(file)
}

/// The admin listener of a server: the one that is `given`, or else what `file` says, or the one that is
/// found.
///
/// # Errors
/// If none of them says it: then `whom` is asked for. And all that is wrong with the file.
pub(super) fn admin(given: Option<&str>, file: Option<&Path>, whom: &str) -> Result<String, Failure> {
    if let Some(address) = given {
        return Ok(address.to_owned());
    }
    let file = match file {
        Some(file) => file,
        None => found().ok_or_else(|| Failure::new(Exit::Usage, whom))?,
    };
    let read = read(file, &Given::default())?;
    let admin = read.server.admin.as_ref().map(|address| address.value.to_string());
    admin.ok_or_else(|| Failure::new(Exit::Usage, format!("{} has no `admin`: {whom}", file.display())))
}

/// What the file at `path` says, and what is `given` instead.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(path: &Path, given: &Given) -> Result<Configuration, Failure> {
    Configuration::load_given(path, given).map_err(|errors| refused(path, &errors))
}

/// The server that it describes.
///
/// # Errors
/// What only shows when it is built.
pub(super) fn server(
    configuration: &Configuration,
    path: &Path,
    serving: &Serving,
) -> Result<Server, Failure> {
    // The workers share their descriptors: what a file opens that is read later is open for them, too.
    let mut server = configuration.server().map_err(|errors| refused(path, &errors))?;
    set_level(configuration, serving);
    let log = &configuration.log.error;
    let is_json = log.format.value.word() == "json";
    logger::direct(configuration.error_log(), is_json).map_err(|error| {
        let place = log.to.place().map(|place| format!(" ({}:{})", place.file().display(), place.line()));
        let place = place.unwrap_or_default();
        Failure::new(Exit::Configuration, format!("cannot write the log of the server{place}: {error}"))
    })?;
    if let Count::Exactly(workers) = serving.workers {
        server = server.workers(Workers::Exactly(workers));
    }
    if let Some((format, destination)) = log_destination(serving) {
        server = server.access_log(format, destination);
    }
    Ok(server)
}

/// Why the server that a file describes has not started: with the line, where that is a log of the file.
pub(super) fn unstarted(
    configured: Option<(&Path, &Configuration)>,
    serving: &Serving,
    error: kolk::Error,
) -> Failure {
    let told = configured.filter(|_| log_destination(serving).is_none());
    let told = told.and_then(|(path, configuration)| Some((path, configuration.at_its_line(&error)?)));
    told.map_or_else(|| error.into(), |(path, errors)| refused(path, &errors))
}

/// What flags and variables say of the process instead of the file: also when that is read again, which says
/// nothing new then.
pub(super) fn of_the_process(serving: &Serving, said: &Said) -> Given {
    let workers = match serving.workers {
        Count::Auto => "auto".to_owned(),
        Count::Exactly(workers) => workers.to_string(),
    };
    let pid_file = serving.pid_file.as_ref().map(|path| path.to_string_lossy().into_owned());
    let values = [
        // One that is not a number leaves it to the file.
        ("workers", "server.workers", (serving.workers != Count::Auto).then_some(workers)),
        ("user", "server.user", serving.user.clone()),
        ("pid_file", "server.pid_file", pid_file),
        ("verbose", "log.level", (serving.verbose > 0).then(|| level(serving))),
        ("quiet", "log.level", serving.quiet.then(|| level(serving))),
    ];
    let mut given = Given::default();
    if let Some(port) = serving.port.as_deref().filter(|_| serving.listen.is_empty()) {
        given = given.listen_by_default(&address_of(port), &Origin::Variable("PORT".to_owned()));
    }
    for (id, key, text) in values {
        if let (Some(origin), Some(text)) = (said.origin(id), text) {
            given = given.value(key, &text, origin);
        }
    }
    given
}

/// What flags and variables say instead of the file: what [`server`] and the start go by.
pub(super) fn given(serving: &Serving, said: &Said) -> Given {
    let mut given = of_the_process(serving, said);
    // What a passed socket is called is known where it was passed.
    let is_name =
        |address: &String| address.strip_prefix("fd:").is_some_and(|number| number.parse::<u32>().is_err());
    let origin = said.origin("listen").filter(|_| !serving.listen.iter().any(is_name));
    if let Some(origin) = origin {
        given = given.listen(&serving.listen, &origin);
    }
    let format = match serving.log {
        Log::Off => return given,
        Log::Json => "json",
        Log::Combined => "combined",
        Log::Pretty => "pretty",
    };
    let Some(origin) = said.origin("log") else { return given };
    match (&serving.log_file, said.origin("log_file")) {
        (Some(path), Some(own)) => given.access_log((format, origin), (&path.to_string_lossy(), own)),
        _ => given.access_log((format, origin.clone()), ("stdout", origin)),
    }
}

/// The level that flags set, as a file would say it.
fn level(serving: &Serving) -> String {
    logger::level(serving.quiet, serving.verbose).to_string().to_lowercase()
}

/// Whom the process becomes, with the name that the flags give, or else the file.
///
/// # Errors
/// Nobody has that name.
pub(super) fn user(
    configured: Option<(&Path, &Configuration)>,
    serving: &Serving,
) -> Result<Option<(String, User)>, Failure> {
    if let Some(name) = &serving.user {
        let user = User::find(name).map_err(|error| Failure::user(&error))?;
        return Ok(Some((name.clone(), user)));
    }
    let Some((path, configuration)) = configured else { return Ok(None) };
    let name = configuration.server.user.as_ref().map(|user| user.value.0.clone());
    Ok(name.zip(configuration.user().map_err(|errors| refused(path, &errors))?))
}

/// How it says that the process ends.
pub(super) fn ending(configuration: &Configuration) -> Ending {
    let server = &configuration.server;
    Ending { delay: server.shutdown_delay.value, grace: server.shutdown_grace.value }
}

/// What is to be done when the process is told to read the file at `path` again, with which `server` was
/// `started`, and what is `given` instead; and then `certificates`.
pub(super) fn reload(
    path: &Path,
    started: Configuration,
    server: Handle,
    (serving, given): (&Serving, Given),
    mut certificates: Option<Reload>,
) -> Reload {
    let (path, serving) = (path.to_owned(), serving.clone());
    // Where flags say where to listen, that stays.
    let replace = match serving.listen.is_empty() {
        true => Configuration::replace,
        false => Configuration::replace_in_place,
    };
    #[cfg(feature = "tls")]
    let mut is_watched = server.identity().is_some();
    Box::new(move |end| {
        let read = Configuration::load_again(&path, &given);
        let replaced = read.and_then(|file| replace(&file, &server, &started).map(|waits| (file, waits)));
        // Of those that are served now: the files may be the same, and something else in them.
        let identity = certificates.as_mut().map_or_else(|| Ok(Vec::new()), |certificates| certificates(end));
        match replaced {
            Ok((file, waits)) => {
                *end = ending(&file);
                #[cfg(feature = "tls")]
                watch_first(&server, &mut is_watched);
                set_level(&file, &serving);
                let waits: Vec<_> = waits.iter().map(|problem| placed(&path, problem)).collect();
                waits.iter().for_each(|line| logger::say(Level::Warn, line));
                if !serving.quiet {
                    let told = format!("{} was read again and is served", path.display());
                    logger::say(Level::Info, &told);
                }
                identity.map(|_| waits)
            }
            Err(errors) => {
                server.note_refused_replacement();
                let (summary, excerpts) = (summary(&path, &errors), excerpts(&errors));
                let end = "what was served before still is";
                let told = format!("kolk: {summary}\n\n{excerpts}\n\nkolk: {end}\n");
                let problems: Vec<_> =
                    errors.problems().iter().map(|problem| placed(&path, problem)).collect();
                let line = format!("{summary}; {end}: {}", problems.join("; "));
                logger::say_at_length(Level::Error, &told, &line);
                Err(format!("{}\n\n{summary}", errors.render(false)))
            }
        }
    })
}

/// Watches the certificates of a server that has started without.
#[cfg(feature = "tls")]
fn watch_first(server: &Handle, is_watched: &mut bool) {
    if let Some(tls) = server.identity().filter(|_| !std::mem::replace(is_watched, true))
        && let Err(error) = certificates::watch(server.clone(), certificates::Identity::of(&tls))
    {
        log::warn!("the certificates are read again on HUP alone: {error}");
    }
}

/// One line for a problem.
fn placed(path: &Path, problem: &Problem) -> String {
    match problem.place() {
        Some(place) => format!("{}:{}: {}", place.file().display(), place.line(), problem.message()),
        None => format!("{}: {}", path.display(), problem.message()),
    }
}

/// How much the process says about itself, unless flags say that.
fn set_level(configuration: &Configuration, serving: &Serving) {
    if !serving.quiet && serving.verbose == 0 {
        let level = configuration.log.level.value.word().parse();
        log::set_max_level(level.unwrap_or(log::LevelFilter::Info));
    }
}

fn refused(path: &Path, errors: &Errors) -> Failure {
    Failure::new(Exit::Configuration, summary(path, errors)).behind(excerpts(errors))
}

fn summary(path: &Path, errors: &Errors) -> String {
    format!("{} in {}", counted(errors), path.display())
}

fn excerpts(errors: &Errors) -> String {
    errors.render(colors(io::stderr().is_terminal()))
}
