//! THE COMMAND LINE, over the public API of the library.
//!
//! ```text
//!  args ──► app (site, or a directory) ──► Server ──► start ──► banner ──► join
//!                                                      ▲ signals: drain, stop, reopen
//! ```
//! | file | what it is |
//! | --- | --- |
//! | `args`, `files`, `duration`, `size` | flags, environment, defaults |
//! | `site` | the built-in site |
//! | `access` | who may read and who may store |
//! | `password` | `kolk hash-password` |
//! | `banner` | what people and scripts read at the start |
//! | `signals` | what the process does when it is told to |
//! | `logger` | diagnostics on standard error |
//! | `failure` | the one line and the exit code at the end |
//! | `clock` | where the program reads the clock |

mod access;
mod args;
mod banner;
mod clock;
mod duration;
mod failure;
mod files;
mod logger;
mod password;
mod signals;
mod site;
mod size;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use kolk::access_log::{Destination, Format};
use kolk::{App, Running, Server, Workers};

use self::args::{Args, Command, Count, Log, Serving};
use self::banner::Banner;
use self::failure::Failure;

/// The program.
pub(crate) fn main() -> ExitCode {
    let args = match Args::from_process() {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(Args { command, serving }: &Args) -> Result<(), Failure> {
    logger::install(serving.quiet, serving.verbose);
    let (app, says) = match command {
        None => {
            let app = site::app().map_err(|error| Failure::cannot("start the site's timer", &error))?;
            (app, "the built-in site".to_owned())
        }
        Some(Command::Serve { dir, files, access }) => {
            let app = access.app(files.of(dir)?, dir, &serving.listen)?;
            (app, format!("the files of {}", dir.display()))
        }
        Some(Command::HashPassword { algorithm }) => return password::run(*algorithm),
    };
    let server = server(app, serving)?;
    // Before the first connection: a signal that comes early is kept.
    let signals = signals::catch().map_err(|error| Failure::cannot("catch signals", &error))?;
    let running = server.start()?;
    signals::listen(signals, running.handle(), serving.quiet)
        .map_err(|error| Failure::cannot("start the signals' thread", &error))?;
    if !serving.quiet {
        announce(&running, &says, command.is_none());
    }
    running.join()?;
    Ok(())
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
    for address in &serving.listen {
        server = server.listen(address)?;
    }
    if let Some(address) = &serving.admin {
        server = server.admin(address)?;
    }
    Ok(server)
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
    let _ = io::stderr().write_all(banner.to_string().as_bytes());
    let mut stdout = io::stdout();
    let _ = stdout.write_all(banner.script_lines().as_bytes()).and_then(|()| stdout.flush());
}

/// Whether to write colours to a stream. <https://no-color.org>
fn colors(terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    terminal && !refused && !dumb
}
