//! [`Losses`]: how many lines a log has lost; [`LogShare`]: the same, for whoever asks.
//!
//! ```text
//!  worker 0  Rings ─┐  what found no room, at a turn's end
//!  worker 1  Rings ─┼──► Losses of `main` ──► LogShare ──► metrics
//!  kolk-log  Writer ┘  what is not taken, at once
//! ```
//! A log keeps its count as long as there is one of its name, however it is changed. Lines are lost where
//! nobody has time for them, so that workers may meet here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the log of one name has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogShare {
    /// What it is [called](super::Log::named), or else where its lines go.
    pub name: Arc<str>,
    /// Lines that found no room, or that its destination has not taken.
    pub lines_dropped: u64,
}

/// The count behind it.
#[derive(Debug)]
pub(super) struct Losses {
    name: Arc<str>,
    lines: AtomicU64,
}

impl Losses {
    /// Nothing so far.
    pub(super) fn of(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), lines: AtomicU64::new(0) })
    }

    /// Whose it is.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// So many more.
    pub(super) fn add(&self, lines: u64) {
        // A count alone: nothing is told by it.
        self.lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// What it is now.
    pub(super) fn share(&self) -> LogShare {
        LogShare { name: Arc::clone(&self.name), lines_dropped: self.lines.load(Ordering::Relaxed) }
    }
}
