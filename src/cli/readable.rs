//! Whether whom kolk becomes may read again what root has read: its files are read by each reload, and those
//! of certificates when they change.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use kolk::{Configuration, Handle};
use log::Level;

use super::logger;

/// A file, and the place that names it.
pub(super) type Needed = (PathBuf, Option<String>);

/// Says what the process, which has become `user` if it was told to, will not be able to read again.
#[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "without TLS there are no certificates"))]
pub(super) fn warn(user: Option<&str>, configuration: Option<&Configuration>, server: &Handle) {
    let Some(user) = user else { return };
    let needed = needed(configuration);
    #[cfg(feature = "tls")]
    let needed = {
        let files = server.identity().map_or_else(Vec::new, |tls| tls.files());
        needed.into_iter().chain(files.into_iter().map(|file| (file, None))).collect::<Vec<_>>()
    };
    for line in complaints(&needed, user) {
        logger::say(Level::Warn, &line);
    }
}

/// The files that are read again of a server that `configuration` describes.
pub(super) fn needed(configuration: Option<&Configuration>) -> Vec<Needed> {
    let Some(configuration) = configuration else { return Vec::new() };
    let own = configuration.files().iter().map(|path| (path.clone(), None));
    let named = configuration.named_files().iter();
    let named = named.map(|file| (file.value.clone(), Some(file.origin.to_string())));
    own.chain(named).collect()
}

/// A line for each of these files that may not be read by this thread, which is `user`.
pub(super) fn complaints(needed: &[Needed], user: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let refused = needed.iter().filter(|(path, _)| seen.insert(path) && is_refused(path));
    refused.map(|needed| complaint(needed, user)).collect()
}

fn complaint((path, place): &Needed, user: &str) -> String {
    let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let name = user.split(':').next().unwrap_or(user);
    format!(
        "{}{place} may not be read by the user {user}, whom kolk becomes: no reload and no renewal will see \
         what is new in it; let a group of that user read it, or: setfacl -m u:{name}:r {} (and :x for its \
         folders)",
        path.display(),
        path.display()
    )
}

fn is_refused(path: &Path) -> bool {
    // What is no file, a pipe for instance, might wait for somebody.
    let read = fs::metadata(path).and_then(|found| match found.is_file() {
        true => File::open(path).map(drop),
        false => Ok(()),
    });
    read.is_err_and(|error: io::Error| error.kind() == ErrorKind::PermissionDenied)
}
