//! [`Outlet`]: a place for lines: a stream, a file, or a daemon that listens at a socket.
//!
//! ```text
//!  <28>kolk[4242]: warn: accept paused: no file descriptors left
//!  └┬─┘
//!  daemon, or the facility that the configuration has, and how bad it is: warning
//! ```
//! Lines are short and few, and neither a socket nor a pipe is ever waited for. Knows no format.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use kolk::access_log::{Datagrams, Destination, Facility, Severity, append_to, ends_within_a_line};
use log::Level;

use super::super::{herald, terminal};

/// Where the system sorts what the server says about itself, unless it is told.
const FACILITY: Facility = Facility::Daemon;

/// Where lines go.
pub(super) enum Outlet {
    /// Among all that is said there.
    Stderr,
    Stdout,
    /// With whether it ends within a line, which another one is not to be glued to.
    File(PathBuf, File, bool),
    /// A daemon's socket.
    Socket(Datagrams),
    /// That of the system's log.
    Syslog(Datagrams, Facility),
    Other(Box<dyn io::Write + Send>),
}

impl Outlet {
    /// # Errors
    /// The file cannot be opened, or nobody listens there.
    pub(super) fn open(to: Destination) -> io::Result<Self> {
        match to {
            Destination::Stderr => Ok(Self::Stderr),
            Destination::Stdout => Ok(Self::Stdout),
            Destination::File(path) => {
                let (file, is_torn) = (append_to(&path)?, ends_within_a_line(&path));
                Ok(Self::File(path, file, is_torn))
            }
            Destination::Datagrams(path) => Datagrams::connect(path, None).map(Self::Socket),
            Destination::Syslog { path, facility } => {
                let datagrams = Datagrams::connect(path, None)?;
                Ok(Self::Syslog(datagrams, facility.unwrap_or(FACILITY)))
            }
            Destination::Sink(sink) => Ok(Self::Other(sink)),
        }
    }

    /// Opens a file anew.
    ///
    /// # Errors
    /// It cannot be opened: what was written to before still is.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, file, is_torn) = self {
            *file = append_to(path)?;
            *is_torn = ends_within_a_line(path);
        }
        Ok(())
    }

    /// Whether nobody but the writer knows when a line came.
    pub(super) const fn wants_time(&self) -> bool {
        matches!(self, Self::File(..))
    }

    /// Who speaks, where the outlet does not say that itself.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Syslog(..) => "",
            _ => "kolk: ",
        }
    }

    /// Writes one line, which has no end yet.
    ///
    /// # Errors
    /// It was not taken.
    pub(super) fn write(&mut self, level: Level, line: &str) -> io::Result<()> {
        match self {
            Self::Stderr => terminal::say(&format!("{line}\n")),
            Self::Stdout => herald::print(format!("{line}\n")),
            Self::File(_, file, is_torn) => append(file, line, is_torn)?,
            Self::Other(sink) => sink.write_all(format!("{line}\n").as_bytes())?,
            Self::Socket(datagrams) => datagrams.send(line.as_bytes())?,
            Self::Syslog(datagrams, facility) => {
                let message = facility.tag(severity(level)) + line;
                datagrams.send(message.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Writes a line to a file, and the end of the one before it, if that `is_torn`; whether this one is then.
fn append(file: &mut File, line: &str, is_torn: &mut bool) -> io::Result<()> {
    // One write, so that lines of other processes do not come between.
    let text = format!("{}{line}\n", if *is_torn { "\n" } else { "" });
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        *is_torn = !text.as_bytes()[..text.len() - rest.len()].ends_with(b"\n");
    }
    Ok(())
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Info => Severity::Info,
        Level::Debug | Level::Trace => Severity::Debug,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixDatagram;

    use super::super::super::scratch::Scratch;
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut datagram = [0; 200];
        let length = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_log_of_the_system_learns_how_bad_it_is() {
        let folder = Scratch::new("outlet-syslog");
        let path = folder.join("log");
        let syslog = |facility| Outlet::open(Destination::Syslog { path: path.clone(), facility });
        assert!(syslog(None).is_err(), "nobody is there");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let own = std::process::id();
        let mut outlet = syslog(Some(Facility::Local3)).unwrap();
        outlet.write(Level::Error, "a line").unwrap();
        assert_eq!(heard(&daemon), format!("<155>kolk[{own}]: a line"));
        let mut outlet = syslog(None).unwrap();
        for (level, priority) in
            [(Level::Error, 27), (Level::Warn, 28), (Level::Info, 30), (Level::Trace, 31)]
        {
            outlet.write(level, "a line").unwrap();
            assert_eq!(heard(&daemon), format!("<{priority}>kolk[{own}]: a line"));
        }
        drop(daemon);
        assert!(outlet.write(Level::Info, "lost").is_err());
        fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        outlet.write(Level::Info, "found again").unwrap();
        assert_eq!(heard(&daemon), format!("<30>kolk[{own}]: found again"));
    }

    #[test]
    fn a_daemon_that_is_behind_is_not_waited_for() {
        let folder = Scratch::new("outlet-behind");
        let path = folder.join("log");
        let _daemon = UnixDatagram::bind(&path).unwrap();
        let mut outlet = Outlet::open(Destination::Datagrams(path)).unwrap();
        let refused = (0..100_000).find_map(|_| outlet.write(Level::Info, "a line").err()).unwrap();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_file_is_opened_anew_and_stays_where_that_fails() {
        let folder = Scratch::new("outlet-file");
        let path = folder.join("log");
        let mut outlet = Outlet::open(Destination::File(path.clone())).unwrap();
        outlet.write(Level::Info, "one").unwrap();
        fs::rename(&path, folder.join("log.1")).unwrap();
        outlet.write(Level::Info, "two").unwrap();
        outlet.reopen().unwrap();
        outlet.write(Level::Info, "three").unwrap();
        assert_eq!(fs::read_to_string(folder.join("log.1")).unwrap(), "one\ntwo\n");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = outlet.reopen().unwrap_err();
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        outlet.write(Level::Info, "to nobody, and no failure").unwrap();
    }

    #[test]
    fn no_line_is_glued_to_one_that_was_cut() {
        let folder = Scratch::new("outlet-cut");
        let path = folder.join("log");
        folder.put("log", "one\ntw");
        let mut outlet = Outlet::open(Destination::File(path.clone())).unwrap();
        outlet.write(Level::Info, "three").unwrap();
        outlet.write(Level::Info, "four").unwrap();
        fs::rename(&path, folder.join("log.1")).unwrap();
        folder.put("log", "fi");
        outlet.reopen().unwrap();
        outlet.write(Level::Info, "six").unwrap();
        assert_eq!(fs::read_to_string(folder.join("log.1")).unwrap(), "one\ntw\nthree\nfour\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "fi\nsix\n");
    }
}
