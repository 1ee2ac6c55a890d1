//! [`Seal`]: what stands for passwords and tokens in memory.

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};

/// A keyed digest of what somebody has shown.
pub(super) type Digest = [u8; 32];

/// A key that is known to this process alone: its digests are worth nothing elsewhere.
#[derive(Clone)]
pub(super) struct Seal([u8; 32]);

impl Seal {
    /// A new one.
    ///
    /// # Panics
    /// If the system gives no random bytes.
    #[track_caller]
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random bytes");
        Self(key)
    }

    /// Of these parts, and of the length of each.
    pub(super) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = <Blake2sMac256 as KeyInit>::new(&self.0.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_each_length_and_each_key_makes_another_digest() {
        let seal = Seal::new();
        assert_eq!(seal.digest(&[b"ada", b"password"]), seal.digest(&[b"ada", b"password"]));
        assert_ne!(seal.digest(&[b"ada", b"password"]), seal.digest(&[b"adap", b"assword"]));
        assert_ne!(seal.digest(&[b"ada"]), seal.digest(&[b"ada", b""]));
        assert_ne!(seal.digest(&[b"ada"]), Seal::new().digest(&[b"ada"]));
    }
}
