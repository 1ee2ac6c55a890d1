//! THE COMMAND LINE, over the public API of the library.
//!
//! ```text
//!  args ──► app (site, or a directory) ──► Server ──► bind ──► become the user ──► start ──► banner ──► join
//!                                                               signals: drain, stop, reopen ──▲
//! ```
//! | file | what it is |
//! | --- | --- |
//! | `args`, `files` | flags, environment, defaults |
//! | `said` | flags that say nothing, because a file does |
//! | `site` | the built-in site |
//! | `access` | who may read and who may store |
//! | `certificates`, `development` | who the server is; a certificate of its own |
//! | `configured` | `kolk serve -c FILE` |
//! | `check` | `kolk check`, `kolk schema` |
//! | `explain` | `kolk explain` |
//! | `why` | `kolk why` |
//! | `reload` | `kolk reload` |
//! | `password` | `kolk hash-password`, `kolk token` |
//! | `banner` | what people and scripts read at the start |
//! | `signals` | what the process does when it is told to |
//! | `passed`, `supervisor` | what systemd gives, and what it is told |
//! | `logger`, `terminal` | the log of the server itself, and all that is written to standard error |
//! | `herald` | a thread that writes there, so that no other waits for a reader |
//! | `status`, `top` | how the server does: in one line, and on the whole terminal |
//! | `browser` | `--open`, `--qr` |
//! | `healthcheck`, `doctor` | whether a server is well, and the machine |
//! | `question`, `encrypted` | one request of the program itself |
//! | `manual` | completions and the man page |
//! | `failure` | the one line and the exit code at the end |
//! | `clock` | where the program reads the clock |

mod access;
mod args;
mod banner;
mod browser;
#[cfg(feature = "tls")]
mod certificates;
mod check;
mod clock;
mod configured;
#[cfg(feature = "self-signed")]
mod development;
mod doctor;
#[cfg(feature = "tls")]
mod encrypted;
mod explain;
mod failure;
mod files;
mod healthcheck;
mod herald;
mod logger;
mod manual;
mod passed;
mod password;
mod question;
mod readable;
mod reload;
mod said;
#[cfg(test)]
#[path = "../../tests/support/scratch.rs"]
mod scratch;
mod signals;
mod site;
mod status;
mod supervisor;
mod terminal;
#[cfg(feature = "top")]
mod top;
mod why;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use kolk::access_log::{Destination, Format};
use kolk::{App, Bound, Configuration, FlightRecorder, Running, Server, Timeouts, Workers, service};
use log::Level;

use self::args::{Args, Command, Count, Directory, Log, Serving};
use self::banner::Banner;
use self::failure::{Exit, Failure};
use self::passed::Passed;
use self::question::Question;
use self::said::Said;
use self::status::Status;
use self::supervisor::Supervisor;

/// Memory of each worker for `kolk why`, in bytes.
const RECORDER_BYTES: usize = 1024 * 1024;

/// The program.
pub(crate) fn main() -> ExitCode {
    // First of all, while there is one thread and nothing is open: these are descriptors and variables.
    let (supervisor, unreachable) = Supervisor::from_environment();
    let passed = match Passed::to_this_process() {
        Ok(passed) => passed,
        Err(failure) => return failure.report(),
    };
    let args = match Args::from_process(!passed.is_empty()) {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    logger::install(args.serving.quiet, args.serving.verbose);
    args.warnings.iter().for_each(|line| log::warn!("{line}"));
    if let Some(error) = unreachable {
        log::warn!("the service manager cannot be told how it goes: {error}");
    }
    let code = run(&args, passed, &supervisor).unwrap_or_else(|failure| failure.report());
    logger::finish();
    code
}

/// One command.
fn run(args: &Args, passed: Passed, supervisor: &Supervisor) -> Result<ExitCode, Failure> {
    match &args.command {
        None => serve((&args.serving, &args.said), None, passed, supervisor)?,
        Some(Command::Serve(files)) => serve((&args.serving, &args.said), Some(files), passed, supervisor)?,
        Some(Command::Healthcheck { url, .. }) => {
            let (asked, status_max) = match (url, args.serving.listen.first()) {
                (Some(url), _) => (url.as_str(), healthcheck::FOUND_MAX),
                (None, address) => (address.map_or("fd:", String::as_str), healthcheck::WORKING_MAX),
            };
            let question = Question::parse(asked)?;
            let question = question.over_tls(url.is_none() && args.serving.is_encrypted(), args.ca());
            print(healthcheck::ask(&question, status_max)?.as_bytes())?;
        }
        Some(Command::Doctor { pid, json }) => {
            if let Some(pid) = pid.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                return Err(Failure::new(Exit::Usage, format!("there is no process {pid} in /proc")));
            }
            let color = colors(io::stdout().is_terminal());
            let report = doctor::Report::of(Path::new("/"), *pid, args.serving.backlog, color);
            print(if *json { report.json() } else { report.to_string() }.as_bytes())?;
            return Ok(if report.is_fine() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Exit::Runtime as u8)
            });
        }
        Some(Command::HashPassword { algorithm }) => print(password::hashed(*algorithm)?.as_bytes())?,
        Some(Command::Check { config, dump }) => {
            return check::check(config, &configured::given(&args.serving, &args.said), *dump);
        }
        Some(Command::Schema) => check::schema()?,
        #[cfg(feature = "top")]
        Some(Command::Top { address, config, interval, once }) => {
            let given = address.as_deref().or(args.serving.admin.as_deref());
            let admin = configured::admin(given, config.as_deref(), top::WHOM)?;
            print(top::top(&admin, *interval, *once)?.as_bytes())?;
        }
        Some(Command::Why { id, config, json }) => {
            let admin = configured::admin(args.serving.admin.as_deref(), config.as_deref(), why::WHOM)?;
            print(why::why(id.as_deref(), &admin, *json)?.as_bytes())?;
        }
        Some(Command::Reload { config, wait }) => {
            print(reload::reload(config.as_deref(), &args.serving, *wait)?.as_bytes())?;
        }
        Some(Command::Explain(asked)) => return explain::explain(asked),
        Some(Command::Token { name }) => print(password::token(name)?.as_bytes())?,
        Some(Command::Completions { shell }) => print(&manual::completions(*shell))?,
        Some(Command::Man) => {
            print(&manual::page().map_err(|error| Failure::cannot("write the man page", &error))?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what a command is for to standard output. A reader that has seen enough is no failure.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::cannot("write", &error)),
        _ => Ok(()),
    }
}

/// Serves until it is told to end: a directory, or the built-in site.
fn serve(
    (serving, said): (&Serving, &Said),
    directory: Option<&Directory>,
    passed: Passed,
    supervisor: &Supervisor,
) -> Result<(), Failure> {
    let file = configured::file(directory);
    let given = configured::of_the_process(serving, said);
    let configuration = file.as_deref().map(|path| configured::read(path, &given)).transpose()?;
    let configured = file.as_deref().zip(configuration.as_ref());
    let user = configured::user(configured, serving)?;
    if user.is_some() {
        let runs_a_browser = directory.is_some_and(|directory| directory.open);
        give_up(runs_a_browser).map_err(|error| Failure::cannot("give up new privileges", &error))?;
    }
    // Before signals are caught: whoever is stuck in writing would not see them.
    logger::wait_for_nobody().map_err(|error| Failure::cannot("start a thread of the log", &error))?;
    let (server, says) = described(serving, directory, configured)?;
    #[cfg(feature = "tls")]
    let (server, identity) = identified(server, serving, configuration.as_ref())?;
    let pid_file = configuration.as_ref().and_then(|file| file.server.pid_file.as_ref());
    let pid_file = serving.pid_file.as_deref().or_else(|| pid_file.map(|path| &*path.value));
    // Before the first connection: a signal that comes early is kept.
    let signals = signals::catch().map_err(|error| Failure::cannot("catch signals", &error))?;
    let bound = bound(server, serving, &passed, configuration.is_some())?;
    // Those that are served were copied; nobody asked for the others.
    drop(passed);
    let _pid_file = pid_file.map(write_pid).transpose()?;
    if let Some((name, user)) = &user {
        user.assume().map_err(|error| Failure::assume(name, &error))?;
    }
    let running = bound.start().map_err(|error| configured::unstarted(configured, serving, error))?;
    readable::warn(user.as_ref().map(|(name, _)| &**name), configuration.as_ref(), &running.handle());
    #[cfg(feature = "tls")]
    let reload = (identity.is_some() || file.is_some()).then(|| certificates::reloading(running.handle()));
    #[cfg(not(feature = "tls"))]
    let reload = None;
    let logs = Streams::with_access_logs(serving, configuration.as_ref());
    let ending = configuration.as_ref().map_or_else(signals::Ending::default, configured::ending);
    let reload = match file.as_deref().zip(configuration) {
        Some((path, started)) => {
            Some(configured::reload(path, started, running.handle(), (serving, given), reload))
        }
        None => reload,
    };
    signals::listen(signals, running.handle(), supervisor.clone(), ending, reload, serving.quiet)
        .map_err(|error| Failure::cannot("start the signals' thread", &error))?;
    #[cfg(feature = "tls")]
    let own = identity.as_ref().and_then(|identity| identity.own.clone());
    #[cfg(not(feature = "tls"))]
    let own: Option<String> = None;
    #[cfg(feature = "tls")]
    if let Some(identity) = identity {
        certificates::watch(running.handle(), identity)
            .map_err(|error| Failure::cannot("start the certificates' thread", &error))?;
    }
    if !serving.quiet {
        announce(&running, &says, own.as_deref(), directory.is_none(), logs);
    }
    if let Some(directory) = directory.filter(|_| file.is_none()) {
        invite(running.urls(), directory);
    }
    supervisor
        .ready(&format!("serving {says} on {}", running.urls().join(", ")), &running.handle())
        .map_err(|error| Failure::cannot("start the watchdog's thread", &error))?;
    let _status = status(directory.is_some(), serving, &running, logs)?;
    running.join()?;
    Ok(())
}

/// What a server that is not root any more never does. Before there are other threads: it is a promise of
/// each.
fn give_up(runs_a_browser: bool) -> io::Result<()> {
    service::no_new_privileges()?;
    if runs_a_browser {
        return Ok(());
    }
    if let Err(error) = service::confine() {
        log::warn!("system calls that no server needs are not refused: {error}");
    }
    Ok(())
}

/// The server, and what it serves in half a sentence.
fn described(
    serving: &Serving,
    directory: Option<&Directory>,
    configured: Option<(&Path, &Configuration)>,
) -> Result<(Server, String), Failure> {
    if let Some((path, configuration)) = configured {
        let server = configured::server(configuration, path, serving)?;
        return Ok((server, format!("what {} says", path.display())));
    }
    let Some(Directory { dir, files, access, .. }) = directory else {
        let app = site::app().map_err(|error| Failure::cannot("start the site's timer", &error))?;
        return Ok((server(app, serving)?, "the built-in site".to_owned()));
    };
    let dir = dir.as_deref().unwrap_or_else(|| Path::new("."));
    let app = access.app(files.of(dir)?, dir, &serving.listen)?;
    Ok((server(app, serving)?, format!("the files of {}", dir.display())))
}

/// The server with its certificates, and what has to be watched for them.
#[cfg(feature = "tls")]
fn identified(
    server: Server,
    serving: &Serving,
    configuration: Option<&Configuration>,
) -> Result<(Server, Option<certificates::Identity>), Failure> {
    if configuration.is_some() {
        let identity = server.identity().map(certificates::Identity::of);
        return Ok((server, identity));
    }
    let identity = identity(serving)?;
    let server = identity.iter().fold(server, |server, identity| server.tls(&identity.tls));
    Ok((server, identity))
}

/// Who the server is, if it is anybody.
#[cfg(feature = "tls")]
fn identity(serving: &Serving) -> Result<Option<certificates::Identity>, Failure> {
    if let Some(flag) = serving.idle_without_tls() {
        return Err(Failure::new(Exit::Usage, format!("{flag} says nothing without --tls: add it")));
    }
    certificates::read(&serving.tls, serving.clients())
}

/// The server that the flags describe.
fn server(app: App, serving: &Serving) -> kolk::Result<Server> {
    let workers = match serving.workers {
        Count::Auto => Workers::Auto,
        Count::Exactly(workers) => Workers::Exactly(workers),
    };
    let mut server = Server::new(app)
        .workers(workers)
        .pin(serving.pin)
        .private_descriptors(true)
        .backlog(serving.backlog)
        .timeouts(timeouts(serving));
    #[cfg(feature = "tls")]
    if let Some(time) = serving.hsts {
        server = server.hsts(time);
    }
    if let Some(connections) = serving.max_connections {
        server = server.max_connections(connections);
    }
    if let Some((format, destination)) = log_destination(serving) {
        server = server.access_log(format, destination);
    }
    Ok(server)
}

/// Which of the two has lines of an access log.
#[derive(Clone, Copy, Debug)]
struct Streams {
    stdout: bool,
    stderr: bool,
}

impl Streams {
    fn with_access_logs(serving: &Serving, configuration: Option<&Configuration>) -> Self {
        if let Some((_, to)) = log_destination(serving) {
            return Self { stdout: matches!(to, Destination::Stdout), stderr: false };
        }
        let logs = || configuration.into_iter().flat_map(Configuration::access_logs);
        Self {
            stdout: logs().any(|to| matches!(to, Destination::Stdout)),
            stderr: logs().any(|to| matches!(to, Destination::Stderr)),
        }
    }
}

/// How the flags want the access log, and where.
fn log_destination(serving: &Serving) -> Option<(Format, Destination)> {
    let destination = serving.log_file.clone().map_or(Destination::Stdout, Destination::File);
    log_format(serving).map(|format| (format, destination))
}

fn timeouts(serving: &Serving) -> Timeouts {
    let timeouts = Timeouts { keepalive: serving.keepalive, ..Timeouts::default() };
    #[cfg(feature = "tls")]
    let timeouts =
        Timeouts { handshake: serving.handshake_timeout.unwrap_or(timeouts.handshake), ..timeouts };
    timeouts
}

/// The server with its sockets: where the flags say, or else the file of one that has some.
fn bound(server: Server, serving: &Serving, passed: &Passed, has_file: bool) -> Result<Bound, Failure> {
    let server = match has_file {
        true if serving.listen.is_empty() => server,
        // What else listens, the file says.
        true => listen(server.nowhere(), serving, passed, &[])?,
        false => {
            let (server, taken) = beside(server, serving, passed)?;
            listen(server, serving, passed, &taken)?
        }
    };
    Ok(server.bind()?)
}

/// Where flags have whoever else listens do so: these addresses are taken.
fn beside(mut server: Server, serving: &Serving, passed: &Passed) -> Result<(Server, Vec<String>), Failure> {
    let mut taken = Vec::new();
    if let Some(address) = &serving.admin {
        let one = passed.resolve_one("--admin", address)?;
        // Whoever can ask for metrics gets all of them, and learns of each request.
        server = server.admin(&one)?.stages(true).flight_recorder(FlightRecorder::new(RECORDER_BYTES));
        taken.push(one);
    }
    #[cfg(feature = "tls")]
    if let Some(address) = &serving.redirect_to_https {
        let one = passed.resolve_one("--redirect-to-https", address)?;
        server = server.redirect_to_https(&one)?;
        taken.push(one);
    }
    Ok((server, taken))
}

/// Where the flags say, or else on what was passed and is not taken.
fn listen(
    mut server: Server,
    serving: &Serving,
    passed: &Passed,
    taken: &[String],
) -> Result<Server, Failure> {
    for address in &serving.listen {
        for address in passed.resolve(address)? {
            server = server.listen(&address)?;
        }
    }
    if serving.listen.is_empty() {
        for socket in passed.all_but(taken)? {
            server = server.listen_fd(socket);
        }
    }
    Ok(server)
}

/// The file with the number of the process, for as long as it is held.
fn write_pid(path: &Path) -> Result<service::PidFile, Failure> {
    let written = service::PidFile::write(path);
    written.map_err(|error| Failure::cannot(&format!("write {}", path.display()), &error))
}

/// The status line, for a person who watches the terminal and nothing else there.
fn status(
    wanted: bool,
    serving: &Serving,
    running: &Running,
    logs: Streams,
) -> Result<Option<Status>, Failure> {
    let logs_there = logs.stderr || (logs.stdout && io::stdout().is_terminal());
    let watched = io::stderr().is_terminal() && !is_dumb();
    if !wanted || serving.quiet || logs_there || !watched {
        return Ok(None);
    }
    let shown = Status::show(running.handle());
    shown.map(Some).map_err(|error| Failure::cannot("start the status line's thread", &error))
}

fn log_format(serving: &Serving) -> Option<Format> {
    match serving.log {
        Log::Off => None,
        Log::Json => Some(Format::Json),
        Log::Combined => Some(Format::Combined),
        Log::Pretty => {
            let colour = serving.log_file.is_none() && colors(io::stdout().is_terminal());
            Some(Format::Pretty { colour })
        }
    }
}

/// The listeners for scripts on standard output, if that has no log, and the banner for people on standard
/// error.
fn announce(running: &Running, says: &str, own: Option<&str>, builtin: bool, logs: Streams) {
    let listening = running.urls();
    let admin = running.admin_addr().map(ToString::to_string);
    let redirect = running.redirect_addr().map(ToString::to_string);
    let banner = Banner {
        listening,
        admin: admin.as_deref(),
        redirect: redirect.as_deref(),
        own,
        workers: running.workers(),
        serving: says,
        builtin,
        color: colors(io::stderr().is_terminal()),
    };
    // Nobody reads what cannot be written; the server runs all the same.
    let line = format!("serving {says} on {}", listening.join(", "));
    logger::say_at_length(Level::Info, &banner.to_string(), &line);
    // Where a log is, there is nothing else.
    if !logs.stdout && !logger::is_on_stdout() {
        herald::print(banner.script_lines());
    } else if !logs.stderr && !logger::is_json_on_stderr() {
        terminal::say(&banner.script_lines());
    }
}

/// Brings the browser, if that is wanted.
fn invite(listening: &[String], directory: &Directory) {
    if let Some(url) = &directory.qr {
        let url = if url.is_empty() { browser::reachable(listening) } else { Some(url.clone()) };
        let color = colors(io::stderr().is_terminal());
        match url.as_deref().map(|url| (url, browser::qr(url, color))) {
            Some((url, Some(code))) => terminal::say(&format!("{code}  {url}\n\n")),
            Some((_, None)) => log::warn!("--qr: the URL is too long for a code"),
            None => log::warn!("--qr: no other device can reach these addresses: add -l :8080"),
        }
    }
    if directory.open {
        match listening.iter().find_map(|address| banner::to_open(address)) {
            Some(url) => browser::open(&url),
            None => log::warn!("--open: a browser opens no socket file: add -l 127.0.0.1:8080"),
        }
    }
}

/// Whether to write colours to a stream. <https://no-color.org>
fn colors(terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    terminal && !refused && !is_dumb()
}

/// Whether the terminal knows nothing but text.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
