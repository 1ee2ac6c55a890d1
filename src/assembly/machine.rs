//! What a file says of the machine that it is served on: whom the process becomes, and the folders in which
//! it makes files of its own.
//!
//! Looked at when a server is built: who reads a file need not have the users that it names. A folder that
//! cannot be looked into is left to whoever opens the file in it: whoever reads the configuration again may
//! be another user than has started.

use std::fs;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::config::{Configuration, Errors, Problem};
use crate::net::ListenAddr;
use crate::server::service::User;

use super::noted;

impl Configuration {
    /// Whom the process is to become once its sockets are open, if the file says that. A server does not do
    /// it by itself: see [`User::assume`].
    ///
    /// ```
    /// use kolk::Configuration;
    ///
    /// let text = "[server]\nuser = \"12345:23456\"\n[[site]]\nhosts = \"*\"\nrespond = 404\n";
    /// assert!(Configuration::parse(text, "kolk.toml")?.user()?.is_some());
    ///
    /// let nobody = text.replace("12345:23456", "a-name-that-nobody-has");
    /// let errors = Configuration::parse(&nobody, "kolk.toml")?.user().unwrap_err();
    /// assert!(errors.to_string().contains("kolk.toml:2:8"));
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    ///
    /// # Errors
    /// The system knows no such user, or no such group.
    pub fn user(&self) -> Result<Option<User>, Errors> {
        let mut problems = Vec::new();
        let user = found(self, &mut problems);
        if problems.is_empty() { Ok(user) } else { Err(Errors::new(problems)) }
    }
}

/// Notes the user that is nobody, the folders that are not there, and what stands where a file is to be made.
pub(super) fn check(configuration: &Configuration, problems: &mut Vec<Problem>) {
    found(configuration, problems);
    let process = &configuration.server;
    let addresses = process.admin.iter().chain(configuration.listen.iter().map(|listen| &listen.addr));
    let sockets = addresses.filter_map(|address| match &address.value {
        // A name that begins with `@` has no file.
        ListenAddr::Unix(path) if !path.as_os_str().as_encoded_bytes().starts_with(b"@") => {
            Some((&address.origin, path))
        }
        _ => None,
    });
    let files = process.pid_file.iter().map(|file| (&file.origin, &file.value));
    let files = files.map(|file| (file, false)).chain(sockets.map(|socket| (socket, true)));
    for ((origin, path), is_socket) in files {
        if let Some(folder) = missing_folder(path) {
            problems.push(Problem::at(origin, format!("there is no folder {}", folder.display())));
        } else if is_taken(path, is_socket) {
            let (path, what) = (path.display(), if is_socket { "no socket" } else { "a folder" });
            problems.push(Problem::at(origin, format!("{path} is there already, and is {what}")));
        }
    }
}

/// The user, or a note that there is none of that name.
fn found(configuration: &Configuration, problems: &mut Vec<Problem>) -> Option<User> {
    let user = configuration.server.user.as_ref()?;
    noted(User::find(&user.value.0), user, |error| error.to_string(), problems)
}

/// Whether something is there that nobody puts a file of his own in the place of: of a socket, all but one.
fn is_taken(path: &Path, is_socket: bool) -> bool {
    let found = if is_socket { fs::symlink_metadata(path) } else { fs::metadata(path) };
    let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    is_folder
        || found.is_ok_and(|found| if is_socket { !found.file_type().is_socket() } else { found.is_dir() })
}

/// The folder that `path` would be in, if it is known not to be there.
fn missing_folder(path: &Path) -> Option<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let is_missing = match fs::metadata(folder) {
        Ok(found) => !found.is_dir(),
        Err(error) => matches!(error.kind(), NotFound | NotADirectory),
    };
    is_missing.then_some(folder)
}
