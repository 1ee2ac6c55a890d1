//! `kolk serve -c FILE`: a server of which the file says everything. What flags say beside it counts instead:
//! `-w`, `-l`, `--log`, `--log-file`, `--user`, `--pid-file`.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use kolk::{Configuration, Errors, Server, Workers};

use super::args::{Count, Directory, Serving};
use super::failure::{Exit, Failure};
use super::{colors, log_destination};

/// The file that is found by itself.
const FILE: &str = "kolk.toml";

/// The file that says everything, if there is one: that of `-c`, or `./kolk.toml` where nothing else is to be
/// served.
pub(super) fn file(directory: Option<&Directory>) -> Option<PathBuf> {
    let directory = directory?;
    let found = || {
        let is_here = directory.dir.is_none() && Path::new(FILE).is_file();
        is_here.then(|| PathBuf::from(FILE))
    };
    directory.config.clone().or_else(found)
}

/// What the file at `path` says.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(path: &Path) -> Result<Configuration, Failure> {
    Configuration::load(path).map_err(|errors| refused(path, &errors))
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
    let server = configuration.server().map_err(|errors| refused(path, &errors))?;
    let mut server = server.private_descriptors(true);
    if !serving.quiet && serving.verbose == 0 {
        let level = configuration.log.level.value.word().parse();
        log::set_max_level(level.unwrap_or(log::LevelFilter::Info));
    }
    if let Count::Exactly(workers) = serving.workers {
        server = server.workers(Workers::Exactly(workers));
    }
    if let Some((format, destination)) = log_destination(serving) {
        server = server.access_log(format, destination);
    }
    Ok(server)
}

/// The certificates and keys that it names: they are watched.
#[cfg(feature = "tls")]
pub(super) fn certificate_files(configuration: &Configuration) -> Vec<PathBuf> {
    let pairs = configuration.tls.cert.iter();
    let pairs = pairs.flat_map(|pair| [pair.cert.value.0.clone(), pair.key.value.0.clone()]);
    pairs.chain(configuration.tls.client_ca.iter().map(|file| file.value.0.clone())).collect()
}

fn refused(path: &Path, errors: &Errors) -> Failure {
    let count = errors.problems().len();
    let plural = if count == 1 { "" } else { "s" };
    let excerpts = errors.render(colors(io::stderr().is_terminal()));
    let message = format!("{count} error{plural} in {}\n\n{excerpts}", path.display());
    Failure::new(Exit::Configuration, message)
}
