//! [`Transfer`]: a file on its way, piece by piece, and never read from a disk on the loop's thread.
//!
//! ```text
//!  piece ─ in memory? ─ yes ─► sendfile, by the transport
//!             └─ no ─► a thread of the pool reads it ─► wake ─► sendfile
//! ```
//! The kernel would read a cold piece while the whole loop waits. A thread of the pool reads it first, for
//! nothing but its being in memory then; it opens the file by its name, since a worker's descriptors may be
//! its own. Knows no HTTP.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::tree::Tree;
use crate::app::pool::BlockingPool;
use crate::app::reply::Wakeup;
use crate::http::{Pull, Pulled, Source};
use crate::sys::page_cache;

/// What is asked for, and sent, at a time; in bytes.
const PIECE_BYTES: u64 = 1024 * 1024;
/// When all threads of the pool are busy, the disk is asked again after this time.
const PAUSE: Duration = Duration::from_millis(20);

/// A range of a file, as a body.
pub(super) struct Transfer {
    file: Arc<File>,
    at: u64,
    end: u64,
    cold: Cold,
    /// The piece at hand was read by the pool: what is not in memory now never will be.
    was_warmed: bool,
    /// Somebody has looked just now, and all of it is in memory.
    is_resident: bool,
}

/// Who reads what is not in memory.
#[derive(Clone)]
pub(super) struct Cold {
    pub(super) tree: Arc<Tree>,
    /// The file's name below the root.
    pub(super) name: String,
    pub(super) pool: Arc<BlockingPool>,
    pub(super) wakeup: Wakeup,
}

impl Transfer {
    /// `length` bytes of `file` from `offset`; `is_resident` if they are known to be in memory.
    pub(super) const fn new(
        file: Arc<File>,
        offset: u64,
        length: u64,
        cold: Cold,
        is_resident: bool,
    ) -> Self {
        Self { file, at: offset, end: offset + length, cold, was_warmed: false, is_resident }
    }
}

impl Source for Transfer {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let length = (self.end - self.at).min(PIECE_BYTES);
        let may_send = self.is_resident || self.was_warmed;
        if !may_send && !page_cache::is_resident(self.file.as_fd(), self.at, length) {
            self.was_warmed = self.cold.read(self.at, length);
            return if self.was_warmed { Pulled::Waiting } else { Pulled::After(PAUSE) };
        }
        self.was_warmed = false;
        pull.file(Arc::clone(&self.file), self.at, length);
        self.at += length;
        if self.at == self.end { Pulled::End } else { Pulled::More }
    }

    fn length(&self) -> Option<u64> {
        Some(self.end - self.at)
    }
}

impl Cold {
    /// Has the pool read so much, and wake the exchange then; false if it has no thread for it now.
    fn read(&self, mut offset: u64, length: u64) -> bool {
        let (tree, name, end) = (Arc::clone(&self.tree), self.name.clone(), offset + length);
        let waking = Waking(self.wakeup.clone());
        let job = move || {
            let _waking = waking;
            // Whatever hinders here will show when the piece is sent.
            let Ok(open) = tree.file(&name) else { return };
            let mut into = vec![0; 64 * 1024];
            while offset < end {
                match open.file.read_at(&mut into, offset) {
                    Ok(count @ 1..) => offset += count as u64,
                    Ok(0) | Err(_) => return,
                }
            }
        };
        self.pool.submit(Box::new(job)).is_ok()
    }
}

/// Wakes the exchange, however the job ends.
struct Waking(Wakeup);

impl Drop for Waking {
    fn drop(&mut self) {
        self.0.wake();
    }
}
