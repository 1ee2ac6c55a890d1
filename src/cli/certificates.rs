//! `--tls CERT,KEY`: certificates are read at the start, watched, and replaced while the server runs.
//!
//! ```text
//!  every second: another size, time or inode? ─► the same a second later? ─► read all pairs
//!                                                                              └ a bad one: none replaced
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kolk::Tls;

use super::failure::{Exit, Failure};
use super::signals::Reload;

/// Files are looked at so often.
const EVERY: Duration = Duration::from_secs(1);

/// A certificate with the chain behind it, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    chain: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// `CERT,KEY`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(',') {
            Some((chain, key)) if !chain.is_empty() && !key.is_empty() && !key.contains(',') => {
                Ok(Self { chain: chain.into(), key: key.into() })
            }
            _ => Err("two files, as in: --tls chain.pem,key.pem".to_owned()),
        }
    }
}

/// What the server is, and the files that say so.
pub(crate) struct Identity {
    pub(crate) tls: Tls,
    files: Vec<PathBuf>,
    /// What they looked like before they were read.
    stamps: Vec<Stamp>,
}

impl Identity {
    /// Reads them again when the process is told to.
    pub(crate) fn reload(&self) -> Reload {
        let tls = self.tls.clone();
        Box::new(move || reload(&tls))
    }
}

/// Size, time in nanoseconds and inode of a file; nothing for one that is not there.
type Stamp = Option<(u64, i64, i64, u64)>;

/// What the pairs are good for; nothing, if there is none. The first is for who asks for no name of theirs.
pub(crate) fn read(pairs: &[Pair]) -> Result<Option<Identity>, Failure> {
    let [first, others @ ..] = pairs else { return Ok(None) };
    let files: Vec<_> = pairs.iter().flat_map(|pair| [pair.chain.clone(), pair.key.clone()]).collect();
    let stamps = stamps(&files);
    let mut tls = Tls::from_files(&first.chain, &first.key);
    for pair in others {
        tls = tls.and_then(|tls| tls.and_files(&pair.chain, &pair.key));
    }
    let tls = tls.map_err(|error| Failure::new(Exit::Configuration, format!("--tls: {error}")))?;
    Ok(Some(Identity { tls, files, stamps }))
}

/// Reads the pairs again; says how that went.
fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(()) => log::info!("new connections have the certificates that were just read"),
        Err(error) => log::error!("the certificates stay what they were: {error}"),
    }
}

/// Replaces them whenever their files change, for as long as the process lives.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn watch(identity: Identity) -> io::Result<()> {
    let look = move || {
        let (_open, never) = mpsc::channel::<()>();
        let Identity { tls, files, stamps: mut used } = identity;
        let mut seen = used.clone();
        while never.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            let now = stamps(&files);
            // Whoever writes both is given the time to.
            if now != used && now == seen {
                reload(&tls);
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
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn a_pair_is_two_files() {
        let pair = Pair::parse("a b.pem,/etc/key.pem").unwrap();
        assert_eq!((pair.chain, pair.key), ("a b.pem".into(), "/etc/key.pem".into()));
        for wrong in ["", "a", ",", "a,", ",b", "a,b,c"] {
            assert!(Pair::parse(wrong).unwrap_err().contains("two files"), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_in_one_line() {
        let Err(failure) = read(&[Pair::parse("/no/such.pem,/no/such.key").unwrap()]) else { panic!() };
        assert!(format!("{failure:?}").contains("--tls: /no/such.pem: "), "{failure:?}");
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn what_changes_before_it_is_watched_is_seen() {
        let folder = Scratch::new("watched");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.put("chain.pem", made.cert.pem());
        folder.put("key.pem", made.signing_key.serialize_pem());
        let pair = Pair { chain: folder.join("chain.pem"), key: folder.join("key.pem") };
        let identity = read(&[pair]).unwrap().unwrap();
        folder.put("key.pem", "nothing");
        let tls = identity.tls.clone();
        watch(identity).unwrap();
        let (_open, never) = mpsc::channel::<()>();
        let seen = (0..1_000)
            .any(|_| tls.reloads_failed() == 1 || never.recv_timeout(Duration::from_millis(10)).is_ok());
        assert!(seen, "it was not read again");
    }
}
