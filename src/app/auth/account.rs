//! [`Account`]: a user, and what was found right of him; [`Password`]: the claim to be one.
//!
//! Of a user who is not known another's hash is computed, and whatever that says is wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::{HeaderValue, header};
use subtle::ConstantTimeEq as _;

use super::checks::{Claim, Wrong};
use super::hash::PasswordHash;
use super::seal::Digest;
use crate::base::Tick;
use crate::http::{Reason, Response};

/// How long a password that was right is not checked again.
pub(super) const VERIFIED_FOR: Duration = Duration::from_secs(300);

/// A user: a hash, and the credentials that were found right.
pub(super) struct Account {
    name: Arc<str>,
    hash: PasswordHash,
    /// A digest, and until when it is believed. One: a user has one password. At first it is never.
    verified: Mutex<(Digest, Tick)>,
}

impl Account {
    pub(super) fn new(name: &str, hash: PasswordHash) -> Self {
        Self { name: name.into(), hash, verified: Mutex::new(([0; 32], Tick::ZERO)) }
    }

    /// Whether name and hash are the same: then what was found right of the one is right of the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name && self.hash.is_written_like(&other.hash)
    }

    /// Whose it is.
    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether credentials with this digest were found right not long ago. Those of another user never are.
    pub(super) fn knows(&self, digest: &Digest, now: Tick) -> bool {
        let (known, until) = *self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        bool::from(known.ct_eq(digest)) && now < until
    }

    fn keep(&self, digest: Digest, until: Tick) {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = (digest, until);
    }
}

/// Somebody claims to be a user.
pub(super) struct Password {
    /// Whose hash is computed.
    pub(super) account: Arc<Account>,
    /// Of a user who is not known, another's hash is computed: it takes as long.
    pub(super) is_user: bool,
    pub(super) password: Box<[u8]>,
    pub(super) digest: Digest,
    pub(super) now: Tick,
    /// What a wrong one is answered with.
    pub(super) challenge: HeaderValue,
}

impl Claim for Password {
    fn is_known(&self) -> bool {
        self.account.knows(&self.digest, self.now)
    }

    fn check(&self) -> Result<(), Wrong> {
        let is_right = self.account.hash.verify(&self.password) && self.is_user;
        if !is_right {
            return Err(Wrong { reason: Reason::Unauthorized, is_failure: true });
        }
        self.account.keep(self.digest, self.now.after(VERIFIED_FOR));
        Ok(())
    }

    fn refusal(&self, _: Reason) -> Response {
        refusal(&self.challenge)
    }
}

/// A 401 that says how to do better. RFC 9110 §15.5.2.
pub(super) fn refusal(challenge: &HeaderValue) -> Response {
    Response::refusal(Reason::Unauthorized).with_header(header::WWW_AUTHENTICATE, challenge.clone())
}
