//! `--tls CERT,KEY`, `--tls-client-ca FILE`: certificates are read at the start, watched, and replaced while
//! the server runs.
//!
//! ```text
//!  every second: another size, time or inode? ─► the same a second later? ─► read all of them
//!                                                                              └ a bad one: none replaced
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kolk::{ClientAuth, Handle, Tls, TlsError};

#[cfg(feature = "self-signed")]
use super::development;
use super::failure::{Exit, Failure};
use super::signals::{Outcome, Reload};

/// Files are looked at so often.
const EVERY: Duration = Duration::from_secs(1);

/// What `--tls` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// A certificate with the chain behind it, and its key.
    Pair(PathBuf, PathBuf),
    /// One that kolk makes itself.
    #[cfg(feature = "self-signed")]
    Own,
}

/// What `--tls` means that says nothing: no folder, as one behind it might be, is a comma.
pub(crate) const OWN: &str = ",";

impl Given {
    /// `CERT,KEY`, or neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(',') {
            #[cfg(feature = "self-signed")]
            Some(("", "")) => Ok(Self::Own),
            Some((chain, key)) if !chain.is_empty() && !key.is_empty() && !key.contains(',') => {
                Ok(Self::Pair(chain.into(), key.into()))
            }
            _ => Err("two files, as in: --tls chain.pem,key.pem; or nothing, behind all else".to_owned()),
        }
    }

    const fn is_own(&self) -> bool {
        !matches!(self, Self::Pair(..))
    }

    fn files(&self) -> Result<[PathBuf; 2], Failure> {
        match self {
            Self::Pair(chain, key) => Ok([chain.clone(), key.clone()]),
            #[cfg(feature = "self-signed")]
            Self::Own => development::file().map(|file| [file.clone(), file]),
        }
    }
}

/// What the server is, and the files that say so.
pub(crate) struct Identity {
    pub(crate) tls: Tls,
    /// In half a sentence, what people should know of the certificate that kolk has made.
    pub(crate) own: Option<String>,
    files: Vec<PathBuf>,
    /// What they looked like before they were read.
    stamps: Vec<Stamp>,
}

/// Size, time in nanoseconds and inode of a file; nothing for one that is not there.
type Stamp = Option<(u64, i64, i64, u64)>;

/// What the flags are good for; nothing, if there is no certificate. The first is for who asks for no name of
/// theirs. `clients`: the file of their authorities.
pub(crate) fn read(
    given: &[Given],
    clients: Option<(&Path, ClientAuth)>,
) -> Result<Option<Identity>, Failure> {
    let wrong = |flag: &str, error: TlsError| Failure::new(Exit::Configuration, format!("{flag}: {error}"));
    let pairs = given.iter().map(Given::files).collect::<Result<Vec<_>, _>>()?;
    let [[chain, key], others @ ..] = &pairs[..] else { return Ok(None) };
    let mut files = pairs.concat();
    files.extend(clients.map(|(file, _)| file.to_owned()));
    let stamps = stamps(&files);
    let mut tls = Tls::from_files(chain, key);
    for [chain, key] in others {
        tls = tls.and_then(|tls| tls.and_files(chain, key));
    }
    let mut tls = tls.map_err(|error| wrong("--tls", error))?;
    if let Some((file, auth)) = clients {
        tls = tls.client_auth_file(file, auth).map_err(|error| wrong("--tls-client-ca", error))?;
    }
    let certificates = tls.certificates();
    let own = given.iter().zip(&pairs).zip(certificates.iter()).find(|((given, _), _)| given.is_own());
    let own = own.map(|((_, [file, _]), certificate)| {
        format!("certificate {}\n  SHA-256 {}", file.display(), certificate.fingerprint())
    });
    Ok(Some(Identity { tls, own, files, stamps }))
}

impl Identity {
    /// What a server is that has read its files itself.
    pub(crate) fn of(tls: &Tls) -> Self {
        let files = tls.files();
        let stamps = stamps(&files);
        Self { tls: tls.clone(), own: None, files, stamps }
    }
}

/// Reads the pairs of `server` again, if it has some, when the process is told to.
pub(crate) fn reloading(server: Handle) -> Reload {
    Box::new(move |_| server.identity().map_or_else(|| Ok(Vec::new()), |tls| reload(&tls)))
}

/// Reads the pairs again; says how that went.
fn reload(tls: &Tls) -> Outcome {
    match tls.reload() {
        Ok(()) => {
            log::info!("new connections have the certificates that were just read");
            Ok(Vec::new())
        }
        Err(error) => {
            let why = format!("the certificates stay what they were: {error}");
            log::error!("{why}");
            Err(why)
        }
    }
}

/// Replaces those of `server` whenever their files change, for as long as the process lives: first those of
/// `identity`.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn watch(server: Handle, identity: Identity) -> io::Result<()> {
    let look = move || {
        let (_open, never) = mpsc::channel::<()>();
        let Identity { mut tls, mut files, stamps: mut used, .. } = identity;
        let mut seen = used.clone();
        while never.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            if let Some(other) = server.identity().filter(|other| !other.is(&tls)) {
                // When they were read is not known: they are read once more.
                (files, used) = (other.files(), Vec::new());
                tls = other;
            }
            let now = stamps(&files);
            // Whoever writes both is given the time to.
            if now != used && now == seen {
                // It was said how that went.
                let _ = reload(&tls);
                used.clone_from(&now);
            }
            seen = now;
        }
    };
    thread::Builder::new().name("kolk-certificates".into()).spawn(look).map(drop)
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use kolk::{App, Server};

    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn a_pair_is_two_files() {
        let pair = Given::parse("a b.pem,/etc/key.pem");
        assert_eq!(pair, Ok(Given::Pair("a b.pem".into(), "/etc/key.pem".into())));
        #[cfg(feature = "self-signed")]
        assert_eq!(Given::parse(OWN), Ok(Given::Own));
        for wrong in ["", "a", "a,", ",b", "a,b,c"] {
            assert!(Given::parse(wrong).unwrap_err().contains("two files"), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_in_one_line() {
        let Err(failure) = read(&[Given::parse("/no/such.pem,/no/such.key").unwrap()], None) else {
            panic!()
        };
        assert!(format!("{failure:?}").contains("--tls: /no/such.pem: "), "{failure:?}");
        assert!(read(&[], None).unwrap().is_none());
    }

    #[test]
    fn what_changes_before_it_is_watched_is_seen() {
        let folder = Scratch::new("watched");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.put("chain.pem", made.cert.pem());
        folder.put("key.pem", made.signing_key.serialize_pem());
        let pair = Given::Pair(folder.join("chain.pem"), folder.join("key.pem"));
        let identity = read(&[pair], None).unwrap().unwrap();
        folder.put("key.pem", "nothing");
        let tls = identity.tls.clone();
        let server = Server::new(App::new()).listen("127.0.0.1:0").unwrap().tls(&tls).start().unwrap();
        watch(server.handle(), identity).unwrap();
        let (_open, never) = mpsc::channel::<()>();
        let seen = (0..1_000)
            .any(|_| tls.reloads_failed() == 1 || never.recv_timeout(Duration::from_millis(10)).is_ok());
        assert!(seen, "it was not read again");
    }
}
