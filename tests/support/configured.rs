//! Servers as a configuration file describes them: for tests to which the rest of the file is what matters.

use std::path::Path;

use kolk::{Configuration, Running, Server};

/// A file of `folder` that says `text`.
pub(crate) fn configuration(folder: &Path, text: &str) -> Configuration {
    Configuration::parse(text, folder.join("kolk.toml")).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The server of that file.
pub(crate) fn server_of(folder: &Path, text: &str) -> Server {
    configuration(folder, text).server().unwrap_or_else(|errors| panic!("{errors}"))
}

/// The same with one worker on a port of its own, running: `text` names neither, and begins with whatever
/// else it says of `server`, in dotted keys.
pub(crate) fn serve(folder: &Path, text: &str) -> Running {
    let text = format!("server.workers = 1\n{text}\n[[listen]]\naddr = \"127.0.0.1:0\"\n");
    server_of(folder, &text).start().expect("the server starts")
}
