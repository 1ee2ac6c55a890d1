//! The pairs that are in use, and what their files looked like when they were read.
//!
//! ```text
//!  root reads key.pem ─► becomes www-data ─► the file is read again: refused ─► the same file? ─► as before
//! ```
//! One table for the process, since what was read in one place is asked for in others. It holds no key: what
//! nobody uses is forgotten.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::sign::CertifiedKey;

use super::pem::Pem;

static SERVED: Mutex<Vec<(Seen, Weak<CertifiedKey>)>> = Mutex::new(Vec::new());

/// Files, and how they looked; nothing for one that cannot be looked at.
#[derive(Debug)]
pub(super) struct Seen(Vec<(PathBuf, Option<Stamp>)>);

/// Device and inode, size, and time of the last change in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

/// How these look now.
pub(super) fn look(sources: [&Pem; 2]) -> Seen {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    let paths = sources.into_iter().filter_map(Pem::path).map(Path::to_owned);
    Seen(paths.map(|path| (path.clone(), stamp(&path))).collect())
}

/// These were read, and looked like this before.
pub(super) fn remember(seen: Seen, read: &Arc<CertifiedKey>) {
    let mut served = served();
    served.retain(|(known, pair)| pair.strong_count() > 0 && !known.are_of(&seen));
    served.push((seen, Arc::downgrade(read)));
}

/// What was in them when they looked like this. In a folder that may not be looked into they count as
/// unchanged.
pub(super) fn recall(seen: &Seen) -> Option<Arc<CertifiedKey>> {
    let served = served();
    let (_, pair) = served.iter().find(|(known, _)| known.are_of(seen) && known.look_like(seen))?;
    pair.upgrade()
}

fn served() -> MutexGuard<'static, Vec<(Seen, Weak<CertifiedKey>)>> {
    // Nothing that is done under the lock leaves the table half changed.
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn are_of(&self, other: &Self) -> bool {
        self.0.iter().map(|(path, _)| path).eq(other.0.iter().map(|(path, _)| path))
    }

    fn look_like(&self, now: &Self) -> bool {
        let mut both = self.0.iter().zip(&now.0);
        both.all(|((_, known), (_, now))| now.is_none() || known == now)
    }
}
