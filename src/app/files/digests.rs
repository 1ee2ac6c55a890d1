//! [`Digests`]: what tells contents apart, whichever machine they are on: for tags that a fleet agrees about.
//!
//! ```text
//!  small file ─ in memory anyway ─► its digest, at once
//!  large file ─ known? ─ yes ─────► its digest
//!                 └─ no ─► a thread of the pool reads all of it, once for each version; no tag until then
//! ```
//! No request waits for a digest. Invariant: at most [`READERS_MAX`] files are read at a time, and at most
//! `2 * HALF` are known. Knows no request.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use blake2::{Blake2b128, Digest as _};

use super::tree::{Stamp, Tree};
use crate::app::pool::BlockingPool;

/// So many files are read at a time: they take turns with the requests that wait for the same disk.
const READERS_MAX: usize = 2;
/// So many files are known before those that nobody has asked for since then are forgotten.
const HALF: usize = 16 * 1024;
/// What is read at a time, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// 128 bits that two contents share only by a chance that nobody will see, and that nobody can bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(content: &[u8]) -> Self {
        Self(Blake2b128::digest(content).into())
    }
}

impl fmt::Display for Digest {
    /// 22 letters, digits, `-` and `_`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

/// The digests of the large files of a folder, for all workers.
#[derive(Default)]
pub(super) struct Digests {
    shared: Arc<Mutex<Known>>,
}

/// Two generations: what is asked for moves to the newer one, and the older one is forgotten as a whole.
#[derive(Default)]
struct Known {
    newer: HashMap<Box<str>, Entry>,
    older: HashMap<Box<str>, Entry>,
    readers: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    stamp: Stamp,
    /// `None`: it is being read.
    digest: Option<Digest>,
}

impl Digests {
    /// The digest of this version of the file `name`, if it is known; else it is found out on `pool`.
    pub(super) fn find(
        &self,
        name: &str,
        stamp: Stamp,
        tree: &Arc<Tree>,
        pool: &BlockingPool,
    ) -> Option<Digest> {
        let mut known = lock(&self.shared);
        if let Some(entry) = known.get(name)
            && entry.stamp == stamp
        {
            return entry.digest;
        }
        if known.readers == READERS_MAX {
            return None;
        }
        // Jobs are dropped without the pool's lock, so it may be taken under ours.
        let seat = pool.reserve().ok()?;
        known.readers += 1;
        known.put(name, Entry { stamp, digest: None });
        drop(known);
        let reader = Reader { shared: Arc::clone(&self.shared), name: name.into(), stamp, digest: None };
        let tree = Arc::clone(tree);
        seat.submit(Box::new(move || reader.run(&tree)));
        None
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    // Nothing that is done under the lock leaves it half changed.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    fn get(&mut self, name: &str) -> Option<Entry> {
        if let Some(entry) = self.newer.get(name) {
            return Some(*entry);
        }
        let entry = self.older.remove(name)?;
        self.put(name, entry);
        Some(entry)
    }

    fn put(&mut self, name: &str, entry: Entry) {
        if self.newer.len() >= HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(name.into(), entry);
    }

    /// A reader has ended. Without a digest nothing is remembered: the next request has it tried again.
    fn land(&mut self, name: &str, entry: Entry) {
        self.readers -= 1;
        if self.get(name).is_none_or(|known| known.stamp != entry.stamp) {
            return;
        }
        if entry.digest.is_some() {
            self.newer.insert(name.into(), entry);
        } else {
            self.newer.remove(name);
        }
    }
}

/// One file that is read, until what came of it is noted, however that ends.
struct Reader {
    shared: Arc<Mutex<Known>>,
    name: Box<str>,
    stamp: Stamp,
    digest: Option<Digest>,
}

impl Reader {
    fn run(mut self, tree: &Tree) {
        self.digest = self.read(tree).unwrap_or_else(|error| {
            // No more than this: the loops say so where it matters, they cannot send the file either.
            log::debug!("{} has no digest: {error}", self.name);
            None
        });
    }

    /// `None`: the file has changed meanwhile.
    fn read(&self, tree: &Tree) -> io::Result<Option<Digest>> {
        let file = tree.file(&self.name)?.file;
        let (mut hasher, mut piece, mut offset) = (Blake2b128::new(), vec![0; PIECE_BYTES], 0);
        loop {
            let count = match file.read_at(&mut piece, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            // Asked for each piece: a file that is written all the time is not read to its end in vain.
            if Stamp::of(&file.metadata()?) != self.stamp {
                return Ok(None);
            }
            if count == 0 {
                let is_whole = offset == self.stamp.length();
                return Ok(is_whole.then(|| Digest(hasher.finalize().into())));
            }
            hasher.update(&piece[..count]);
            offset += count as u64;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.shared).land(&self.name, Entry { stamp: self.stamp, digest: self.digest });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::scratch::Scratch;

    struct Site {
        root: Scratch,
        tree: Arc<Tree>,
        pool: BlockingPool,
    }

    impl Site {
        fn new() -> Self {
            let root = Scratch::new("digests");
            let tree = Arc::new(Tree::open(&root).unwrap());
            Self { root, tree, pool: BlockingPool::new(1, 8) }
        }

        fn stamp(&self, name: &str) -> Stamp {
            Stamp::of(&fs::metadata(self.root.join(name)).unwrap())
        }

        /// What is found in the end.
        fn settled(&self, digests: &Digests, name: &str, stamp: Stamp) -> Option<Digest> {
            digests.find(name, stamp, &self.tree, &self.pool);
            while lock(&digests.shared).readers > 0 {
                std::thread::yield_now();
            }
            lock(&digests.shared).get(name).filter(|entry| entry.stamp == stamp)?.digest
        }
    }

    #[test]
    fn the_digest_is_that_of_rfc_7693() {
        // The first 128 bits of a longer digest are another one: the length is part of what is hashed.
        assert_eq!(Digest::of(b"").0[..4], [0xCA, 0xE6, 0x69, 0x41]);
        assert_eq!(Digest::of(b"abc").to_string().len(), 22);
        assert_ne!(Digest::of(b"abc"), Digest::of(b"abd"));
    }

    #[test]
    fn a_file_is_read_once_for_each_version() {
        let (site, digests) = (Site::new(), Digests::default());
        let content = vec![b'x'; 3 * PIECE_BYTES + 1];
        fs::write(site.root.join("a"), &content).unwrap();
        let first = site.stamp("a");
        assert_eq!(digests.find("a", first, &site.tree, &site.pool), None, "nobody waits");
        assert_eq!(site.settled(&digests, "a", first), Some(Digest::of(&content)));
        fs::remove_file(site.root.join("a")).unwrap();
        assert_eq!(digests.find("a", first, &site.tree, &site.pool), Some(Digest::of(&content)));
        fs::write(site.root.join("a"), "other").unwrap();
        let second = site.stamp("a");
        assert_eq!(site.settled(&digests, "a", second), Some(Digest::of(b"other")));
        assert_eq!(site.settled(&digests, "a", first), None, "that version is gone");
    }

    #[test]
    fn what_cannot_be_read_is_tried_again() {
        let (site, digests) = (Site::new(), Digests::default());
        fs::write(site.root.join("a"), "content").unwrap();
        let stamp = site.stamp("a");
        fs::rename(site.root.join("a"), site.root.join("b")).unwrap();
        assert_eq!(site.settled(&digests, "a", stamp), None);
        fs::rename(site.root.join("b"), site.root.join("a")).unwrap();
        assert_eq!(site.settled(&digests, "a", stamp), Some(Digest::of(b"content")));
        let nobody = BlockingPool::new(1, 0);
        let seat = nobody.reserve().unwrap();
        assert_eq!(Digests::default().find("a", stamp, &site.tree, &nobody), None, "there is no thread");
        drop(seat);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let (site, mut known) = (Site::new(), Known::default());
        fs::write(site.root.join("a"), "content").unwrap();
        let entry = Entry { stamp: site.stamp("a"), digest: Some(Digest::of(b"content")) };
        known.put("wanted", entry);
        known.put("forgotten", entry);
        for number in 0..3 * HALF {
            known.put(&number.to_string(), entry);
            assert!(known.newer.len() + known.older.len() <= 2 * HALF);
            assert!(known.get("wanted").is_some());
        }
        assert!(known.get("forgotten").is_none());
    }
}
