//! `kolk check` and `kolk schema`: what the library makes of a configuration file, for people and editors.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use kolk::service::User;
use kolk::{Configuration, Errors, Given};

use super::failure::{Exit, Failure};
use super::{colors, print, readable, terminal};

/// Says whether the file is right, or all that is wrong with it; or every value that counts, also of what is
/// `given` instead.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn check(file: &Path, given: &Given, dumps: bool) -> Result<ExitCode, Failure> {
    // What only shows when it is built is wrong, too.
    let built = |configuration: Configuration| configuration.server().map(|_| configuration);
    match Configuration::load_given(file, given).and_then(built) {
        Ok(configuration) if dumps => print(configuration.dump().as_bytes())?,
        Ok(configuration) => {
            warn(&configuration);
            print(verdict(file, &configuration).as_bytes())?;
        }
        Err(errors) => return Ok(refused(file, &errors)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is fine in the file, and not yet on this machine.
fn warn(configuration: &Configuration) {
    for line in unreadable(configuration).into_iter().chain(unheard(configuration)) {
        terminal::say(&format!("kolk: warn: {line}\n"));
    }
}

/// What its `user` will not be able to read again. Only root can try that out.
fn unreadable(configuration: &Configuration) -> Vec<String> {
    let Some(name) = configuration.server.user.as_ref().map(|user| &*user.value.0) else { return Vec::new() };
    let needed = readable::needed(Some(configuration));
    let tried = User::find(name).and_then(|user| user.try_out(|| readable::complaints(&needed, name)));
    tried.unwrap_or_default()
}

/// The logs that go to a socket where nobody listens now.
fn unheard(configuration: &Configuration) -> Vec<String> {
    let lines = configuration.unheard_logs().into_iter().map(|socket| {
        let (path, place) = (socket.value.display(), &socket.origin);
        format!("nobody reads {path} ({place}): before somebody does, kolk does not start")
    });
    lines.collect()
}

/// Says what is wrong with a file.
pub(super) fn refused(file: &Path, errors: &Errors) -> ExitCode {
    let excerpts = errors.render(colors(io::stderr().is_terminal()));
    terminal::say(&format!("{excerpts}\n\n{}: {}\n", file.display(), counted(errors)));
    ExitCode::from(Exit::Configuration as u8)
}

/// How many there are.
pub(super) fn counted(errors: &Errors) -> String {
    match errors.problems().len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    }
}

/// Prints what editors complete and check files by.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn schema() -> Result<(), Failure> {
    print(Configuration::schema().as_bytes())
}

fn verdict(file: &Path, configuration: &Configuration) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let sites = configuration.site.len();
    let routes = configuration.site.iter().map(|site| site.route.len()).sum();
    format!("{}: {}, {}: fine\n", file.display(), counted(sites, "site"), counted(routes, "route"))
}
