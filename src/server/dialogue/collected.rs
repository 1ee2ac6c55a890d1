//! [`Collected`]: a request's body in memory, which counts against what a worker keeps of all of them.

use std::sync::Arc;

use crate::server::stats::Stats;

/// A body that is collected for its handler. While it is kept, its bytes are on the worker's account.
pub(crate) struct Collected {
    bytes: Vec<u8>,
    stats: Arc<Stats>,
}

/// All bodies of the worker together would be larger than they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Collected {
    /// A body of which nothing is here, with room for so many bytes.
    pub(super) fn new(expected_bytes: usize, stats: &Arc<Stats>) -> Self {
        Self { bytes: Vec::with_capacity(expected_bytes), stats: Arc::clone(stats) }
    }

    /// Keeps `bytes`, if all bodies of the worker are then no larger than `bytes_max`.
    pub(super) fn extend(&mut self, bytes: &[u8], bytes_max: u64) -> Result<(), TooMuch> {
        let more = bytes.len() as u64;
        if self.stats.body_bytes.get().saturating_add(more) > bytes_max {
            return Err(TooMuch);
        }
        self.stats.body_bytes.add(more);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        self.stats.body_bytes.sub(self.bytes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_are_bounded() {
        let stats = Arc::new(Stats::default());
        let mut first = Collected::new(0, &stats);
        let mut second = Collected::new(0, &stats);
        assert_eq!((first.extend(b"four", 10), second.extend(b"sixsix", 10)), (Ok(()), Ok(())));
        assert_eq!(first.extend(b"x", 10), Err(TooMuch));
        assert_eq!((first.bytes(), stats.body_bytes.get()), (&b"four"[..], 10));
        drop(second);
        assert_eq!(first.extend(b"x", 10), Ok(()));
        drop(first);
        assert_eq!(stats.body_bytes.get(), 0);
    }
}
