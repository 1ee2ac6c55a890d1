//! [`Pulse`]: whether every worker's loop turns.
//!
//! ```text
//!  beat: which turn is each worker in? ─► ring them all          (an idle loop turns once for it)
//!  beat: is each in a later turn now?  ─► ring them all
//! ```
//! A worker that is stuck in a handler answers no bell. Knows no time: whoever asks decides how long a turn
//! may take.

use crate::server::running::Handle;

/// Feels whether a server is alive.
#[derive(Debug)]
pub struct Pulse {
    server: Handle,
    turns: Vec<u64>,
}

impl Pulse {
    /// The pulse of `server`, whose workers are woken once.
    pub fn new(server: Handle) -> Self {
        let mut pulse = Self { turns: Vec::new(), server };
        pulse.beat();
        pulse
    }

    /// Whether every worker has turned since the last beat; wakes them for the next. While a server ends,
    /// which it does by itself, it counts as alive: workers that are done turn no more.
    ///
    /// A turn takes microseconds: wait some milliseconds at least between two beats.
    pub fn beat(&mut self) -> bool {
        let now: Vec<u64> = self.server.snapshot().workers.iter().map(|worker| worker.turns).collect();
        let turned = now.iter().zip(&self.turns).all(|(now, before)| now != before);
        self.turns = now;
        self.server.wake_workers();
        turned || self.server.is_ending()
    }
}
