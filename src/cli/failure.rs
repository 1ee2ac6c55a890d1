//! [`Failure`]: one line that says what is wrong and what to do, and an exit code that a script can tell.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;

use super::terminal;

/// The exit codes; 0 is for success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It failed while it ran.
    Runtime = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A file that the server needs says something impossible.
    Configuration = 3,
    /// An address cannot be listened on.
    Bind = 4,
}

/// Why the program ends.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    /// Lines that are said before it, as they are.
    excerpts: Option<String>,
}

impl Failure {
    /// Ends with `exit` and says `message`.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), excerpts: None }
    }

    /// The same, behind these lines.
    pub(crate) fn behind(self, excerpts: String) -> Self {
        Self { excerpts: Some(excerpts), ..self }
    }

    /// What is tried cannot be done.
    pub(crate) fn cannot(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Runtime, format!("cannot {what}: {error}"))
    }

    /// Nobody has the name that `--user` gives.
    pub(crate) fn user(error: &io::Error) -> Self {
        Self::new(Exit::Usage, format!("--user: {error}"))
    }

    /// The process cannot become whom `--user` names.
    pub(crate) fn assume(user: &str, error: &io::Error) -> Self {
        let advice = match error.kind() {
            ErrorKind::PermissionDenied => ": only root can: start as root, or say no user",
            _ => "",
        };
        Self::new(Exit::Runtime, format!("cannot become the user {user}: {error}{advice}"))
    }

    /// The directory to serve cannot be used.
    pub(crate) fn directory(dir: &Path, error: &io::Error) -> Self {
        let dir = dir.display();
        let message = match error.kind() {
            ErrorKind::NotFound => format!("there is no directory {dir}: make it, or name another"),
            ErrorKind::NotADirectory => format!("{dir} is not a directory: name one, as in: kolk serve ."),
            ErrorKind::PermissionDenied => {
                format!("{dir} may not be read by this user: allow it, or name another")
            }
            _ => format!("cannot serve {dir}: {error}"),
        };
        Self::new(Exit::Usage, message)
    }

    /// Says it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let line = self.message.replace(['\n', '\r'], " ");
        let excerpts = self.excerpts.as_ref().map(|excerpts| format!("{excerpts}\n\n")).unwrap_or_default();
        // Where standard error is gone, the exit code must do.
        terminal::say(&format!("{excerpts}kolk: {line}\n"));
        ExitCode::from(self.exit as u8)
    }
}

impl From<kolk::Error> for Failure {
    fn from(error: kolk::Error) -> Self {
        match error {
            kolk::Error::Address(error) => Self::new(Exit::Usage, error.to_string()),
            kolk::Error::Listen(error) => Self::new(Exit::Bind, format!("{error}{}", hint(error.kind()))),
            error => Self::new(Exit::Runtime, error.to_string()),
        }
    }
}

/// What the command line can add to the library's advice.
const fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => " (who has it: ss -ltxnp; another: --listen ADDR)",
        ErrorKind::AddrNotAvailable => " (see: ip addr)",
        ErrorKind::PermissionDenied | ErrorKind::AlreadyExists | ErrorKind::NotFound => {
            " (another: --listen ADDR)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_to_listen_names_the_way_out() {
        let taken = io::Error::new(ErrorKind::AddrInUse, "cannot listen on http://[::]:80: in use");
        let failure = Failure::from(kolk::Error::Listen(taken));
        assert_eq!(failure.exit, Exit::Bind);
        assert_eq!(
            failure.message,
            "cannot listen on http://[::]:80: in use (who has it: ss -ltxnp; another: --listen ADDR)"
        );
    }

    #[test]
    fn a_directory_that_is_none_is_a_matter_of_usage() {
        let missing = Failure::directory(Path::new("/nope"), &ErrorKind::NotFound.into());
        assert_eq!(missing.exit, Exit::Usage);
        assert_eq!(missing.message, "there is no directory /nope: make it, or name another");
    }
}
