//! [`Checks`]: the passwords that are being checked, a few at a time, on the blocking pool.
//!
//! ```text
//!  submit ──► waiting (bounded) ──► runner on a pool thread ─┬─ right: kept for a while, and the handler is
//!     └─ full: 503                  (RUNNERS_MAX at most)    │         called again on its own thread
//!                                                            └─ wrong: 401
//! ```
//! A flood of wrong passwords takes `RUNNERS_MAX` threads of the pool and this queue, nothing else.
//! Invariant: while anything waits there is a runner; a runner ends only when nothing waits.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::HeaderValue;
use subtle::ConstantTimeEq as _;

use super::basic::{refusal, too_many};
use super::failures::Failures;
use super::hash::PasswordHash;
use crate::app::handler::Outcome;
use crate::app::pool::BlockingPool;
use crate::app::reply::{Presence, Recall};
use crate::base::Tick;

/// Threads of the pool that check passwords at the same time. Each needs the memory of one hash.
const RUNNERS_MAX: usize = 2;
/// Requests that may wait for their password to be checked; more are answered with 503.
const WAITING_MAX: usize = 128;

/// A keyed digest of a user and a password.
pub(super) type Digest = [u8; 32];

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

/// A claim that is to be checked.
pub(super) struct Check {
    /// Whose hash is computed.
    pub(super) account: Arc<Account>,
    /// Of a user who is not known, another's hash is computed: it takes as long.
    pub(super) is_known: bool,
    pub(super) password: Box<[u8]>,
    pub(super) digest: Digest,
    pub(super) now: Tick,
    /// Until when a right password need not be checked again.
    pub(super) until: Tick,
    /// What a wrong one is answered with.
    pub(super) challenge: HeaderValue,
    /// Where it is counted, and the client's address.
    pub(super) failures: Option<(Arc<Failures>, IpAddr)>,
    pub(super) recall: Recall,
}

/// What waits, and who works on it.
#[derive(Default)]
pub(super) struct Checks {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Check>,
    runners: usize,
    /// Hashes computed so far.
    computed: u64,
}

impl Checks {
    /// Has what `make` makes checked on `pool`; `None`, and nothing is made, if there is no room.
    pub(super) fn submit(
        self: &Arc<Self>,
        pool: &BlockingPool,
        make: impl FnOnce() -> (Check, Outcome),
    ) -> Option<Outcome> {
        let mut state = self.lock();
        if state.waiting.len() >= WAITING_MAX {
            return None;
        }
        let seat = if state.runners < RUNNERS_MAX { pool.reserve().ok() } else { None };
        if seat.is_none() && state.runners == 0 {
            return None;
        }
        let (check, outcome) = make();
        state.waiting.push_back(check);
        if let Some(seat) = seat {
            state.runners += 1;
            // A pool that has no thread drops the job at once, and the runner's drop wants the lock.
            drop(state);
            let runner = Runner { checks: Arc::clone(self), retired: false };
            seat.submit(Box::new(move || runner.run()));
        }
        Some(outcome)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, check: Check) {
        if check.recall.client() == Presence::Gone {
            return;
        }
        // Several requests of one page come together: the first is checked for all of them.
        if check.account.knows(&check.digest, check.now) {
            return check.recall.call();
        }
        // What the same client had sent before may have been wrong meanwhile.
        if let Some((failures, address)) = &check.failures
            && let Some(wait) = failures.refuses(*address, check.now)
        {
            return check.recall.send(too_many(wait));
        }
        let is_right = check.account.hash.verify(&check.password);
        self.lock().computed += 1;
        if is_right && check.is_known {
            check.account.keep(check.digest, check.until);
            check.recall.call();
        } else {
            if let Some((failures, address)) = &check.failures {
                failures.count(*address, check.now);
            }
            check.recall.send(refusal(&check.challenge));
        }
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Checks")
            .field("waiting", &state.waiting.len())
            .field("runners", &state.runners)
            .field("computed", &state.computed)
            .finish()
    }
}

/// Checks one claim after the other until none waits.
struct Runner {
    checks: Arc<Checks>,
    retired: bool,
}

impl Runner {
    fn run(mut self) {
        while let Some(check) = self.next() {
            // A check that panics answers with a 500: its recall is dropped.
            if catch_unwind(AssertUnwindSafe(|| self.checks.perform(check))).is_err() {
                log::error!("the check of a password panicked");
            }
        }
    }

    fn next(&mut self) -> Option<Check> {
        let mut state = self.checks.lock();
        let check = state.waiting.pop_front();
        if check.is_none() {
            state.runners -= 1;
            self.retired = true;
        }
        check
    }
}

impl Drop for Runner {
    /// A pool that ends drops its jobs: nobody else would come for what waits.
    fn drop(&mut self) {
        if self.retired {
            return;
        }
        let mut state = self.checks.lock();
        state.runners -= 1;
        let orphans = if state.runners == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(orphans);
    }
}
