//! [`Verified`]: tokens that were found right, until they expire. Bounded: the oldest makes room, so that a
//! new one is still there when its request is looked at again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::app::auth::seal::Digest;

/// Tokens that are remembered, some 150 bytes each.
const VERIFIED_MAX: usize = 4096;

/// Whose each token is.
#[derive(Default)]
pub(super) struct Verified(Mutex<Memory>);

/// Invariant: `order` has each of the tokens once.
#[derive(Default)]
struct Memory {
    /// Until which second it is believed, and who has it.
    tokens: HashMap<Digest, (u64, Arc<str>)>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Verified {
    /// Who has the token of this digest, if it was right and its time is not over.
    pub(super) fn get(&self, digest: &Digest, now_seconds: u64) -> Option<Arc<str>> {
        let memory = self.lock();
        let (until, subject) = memory.tokens.get(digest)?;
        (now_seconds < *until).then(|| Arc::clone(subject))
    }

    /// Believes it until this second.
    pub(super) fn keep(&self, digest: Digest, until: u64, subject: Arc<str>) {
        let mut memory = self.lock();
        if memory.tokens.insert(digest, (until, subject)).is_none() {
            memory.order.push_back(digest);
        }
        if memory.order.len() > VERIFIED_MAX
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.tokens.remove(&oldest);
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().tokens.len()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_believed_until_it_expires_or_the_oldest_makes_room() {
        let verified = Verified::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            digest
        };
        for number in 0..VERIFIED_MAX {
            // The later ones expire earlier: that makes none of them go.
            verified.keep(digest(number), 9_000 - number as u64, "ada".into());
        }
        verified.keep(digest(0), 10, "ada".into());
        assert_eq!(verified.get(&digest(0), 9).as_deref(), Some("ada"), "the same once more is no other");
        assert_eq!(verified.get(&digest(0), 10), None);
        verified.keep(digest(VERIFIED_MAX), 10, "eve".into());
        assert_eq!(verified.len(), VERIFIED_MAX);
        assert_eq!(
            (verified.get(&digest(0), 9), verified.get(&digest(VERIFIED_MAX), 9)),
            (None, Some("eve".into()))
        );
        assert_eq!(verified.get(&digest(1), 9).as_deref(), Some("ada"));
    }
}
