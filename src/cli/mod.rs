//! THE COMMAND LINE, over the public API of the library.
//!
//! ```text
//!  args ──► app (site, or a directory) ──► Server ──► bind ──► become the user ──► start ──► banner ──► join
//!                                                               signals: drain, stop, reopen ──▲
//! ```
//! | file | what it is |
//! | --- | --- |
//! | `args`, `duration` | flags, environment, defaults |
//! | `site` | the built-in site |
//! | `banner` | what people and scripts read at the start |
//! | `signals` | what the process does when it is told to |
//! | `passed`, `supervisor` | what systemd gives, and what it is told |
//! | `logger`, `terminal` | diagnostics, and all that is written to standard error |
//! | `status` | the line that says how the server does |
//! | `failure` | the one line and the exit code at the end |
//! | `clock` | where the program reads the clock |

mod args;
mod banner;
mod clock;
mod duration;
mod failure;
mod logger;
mod passed;
mod signals;
mod site;
mod status;
mod supervisor;
mod terminal;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use kolk::access_log::{Destination, Format};
use kolk::{App, Running, Server, StaticDir, Workers, service};

use self::args::{Args, Command, Count, Log, Serving};
use self::banner::Banner;
use self::failure::{Exit, Failure};
use self::passed::Passed;
use self::status::Status;
use self::supervisor::Supervisor;

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
    if let Some(error) = unreachable {
        log::warn!("the service manager cannot be told how it goes: {error}");
    }
    match serve(&args, passed, &supervisor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Serves until it is told to end.
fn serve(Args { command, serving }: &Args, passed: Passed, supervisor: &Supervisor) -> Result<(), Failure> {
    let user = serving.user.as_deref().map(|name| service::User::find(name).map(|user| (name, user)));
    let user = user.transpose().map_err(|error| Failure::user(&error))?;
    if user.is_some() {
        // Before there are other threads: it is a promise of each.
        service::no_new_privileges().map_err(|error| Failure::cannot("give up new privileges", &error))?;
    }
    let (app, says) = match command {
        None => {
            let app = site::app().map_err(|error| Failure::cannot("start the site's timer", &error))?;
            (app, "the built-in site".to_owned())
        }
        Some(Command::Serve { dir }) => (files(dir)?, format!("the files of {}", dir.display())),
    };
    let server = server(app, serving)?;
    // Before the first connection: a signal that comes early is kept.
    let signals = signals::catch().map_err(|error| Failure::cannot("catch signals", &error))?;
    let bound = listen(server, serving, &passed)?.bind()?;
    // Those that are served were copied; nobody asked for the others.
    drop(passed);
    let _pid_file = pid_file(serving)?;
    if let Some((name, user)) = user {
        user.assume().map_err(|error| Failure::assume(name, &error))?;
    }
    let running = bound.start()?;
    signals::listen(signals, running.handle(), supervisor.clone(), serving.quiet)
        .map_err(|error| Failure::cannot("start the signals' thread", &error))?;
    if !serving.quiet {
        announce(&running, &says, command.is_none());
    }
    supervisor
        .ready(&format!("serving {says} on {}", join(running.addrs())), &running.handle())
        .map_err(|error| Failure::cannot("start the watchdog's thread", &error))?;
    let _status = status(command.is_some(), serving, &running)?;
    running.join()?;
    Ok(())
}

/// The files of `dir`.
fn files(dir: &Path) -> Result<App, Failure> {
    let files = StaticDir::open(dir).map_err(|error| Failure::directory(dir, &error))?;
    Ok(App::new().get("/{*path}", files))
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
        .keepalive(serving.keepalive);
    if let Some(connections) = serving.max_connections {
        server = server.max_connections(connections);
    }
    if let Some(format) = log_format(serving) {
        let destination = match &serving.log_file {
            Some(path) => Destination::File(path.clone()),
            None => Destination::Stdout,
        };
        server = server.access_log(format, destination);
    }
    Ok(server)
}

/// Where the flags say, or else on what was passed.
fn listen(mut server: Server, serving: &Serving, passed: &Passed) -> Result<Server, Failure> {
    let mut taken = Vec::new();
    if let Some(address) = &serving.admin {
        taken = passed.resolve(address)?;
        let [one] = &taken[..] else {
            let message = format!("--admin {address} means {} passed sockets: name one", taken.len());
            return Err(Failure::new(Exit::Usage, message));
        };
        server = server.admin(one)?;
    }
    for address in &serving.listen {
        for address in passed.resolve(address)? {
            server = server.listen(&address)?;
        }
    }
    if serving.listen.is_empty() {
        for socket in passed.all_but(&taken)? {
            server = server.listen_fd(socket);
        }
    }
    Ok(server)
}

/// The file that `--pid-file` asks for, for as long as it is held.
fn pid_file(serving: &Serving) -> Result<Option<service::PidFile>, Failure> {
    let Some(path) = &serving.pid_file else { return Ok(None) };
    let written = service::PidFile::write(path);
    written.map(Some).map_err(|error| Failure::cannot(&format!("write {}", path.display()), &error))
}

/// The status line, for a person who watches the terminal and nothing else there.
fn status(wanted: bool, serving: &Serving, running: &Running) -> Result<Option<Status>, Failure> {
    let logs_there = serving.log != Log::Off && serving.log_file.is_none() && io::stdout().is_terminal();
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

/// The listeners for scripts on standard output, the banner for people on standard error.
fn announce(running: &Running, says: &str, builtin: bool) {
    let listening: Vec<String> = running.addrs().iter().map(ToString::to_string).collect();
    let admin = running.admin_addr().map(ToString::to_string);
    let banner = Banner {
        listening: &listening,
        admin: admin.as_deref(),
        workers: running.workers(),
        serving: says,
        builtin,
        color: colors(io::stderr().is_terminal()),
    };
    // Nobody reads what cannot be written; the server runs all the same.
    terminal::say(&banner.to_string());
    let mut stdout = io::stdout();
    let _ = stdout.write_all(banner.script_lines().as_bytes()).and_then(|()| stdout.flush());
}

fn join(addresses: &[impl ToString]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
