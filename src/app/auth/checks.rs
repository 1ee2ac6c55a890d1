//! [`Checks`]: what takes long to check, a few at a time, on the blocking pool; and not too often for a
//! client whose claims were wrong.
//!
//! ```text
//!  submit ──► waiting (bounded) ──► runner on a pool thread ─┬─ right: kept for a while, and the layer is
//!     └─ full: 503                  (RUNNERS_MAX at most)    │         asked again on its own thread
//!                                                            └─ wrong: refused, and a failure more
//! ```
//! A flood of wrong claims takes `RUNNERS_MAX` threads of the pool and this queue, nothing else.
//! Invariant: while anything waits there is a runner; a runner ends only when nothing waits.
//! Knows neither passwords nor tokens.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::http::{HeaderValue, header};

use super::failures::Failures;
use crate::app::handler::Outcome;
use crate::app::layer::Passage;
use crate::app::pool::BlockingPool;
use crate::app::reply::{Presence, Recall};
use crate::app::request::Request;
use crate::base::Tick;
use crate::http::{Reason, Response};

/// Threads of the pool that check at the same time. Each may need the memory of one password hash.
const RUNNERS_MAX: usize = 2;
/// Requests that may wait for a check; more are answered with 503.
const WAITING_MAX: usize = 128;
/// How many wrong claims may come from one address within this time.
const FAILURES_MAX: u32 = 10;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// What a client claims, and only a long computation can tell.
pub(super) trait Claim: Send + 'static {
    /// Whether the same was found right meanwhile.
    fn is_known(&self) -> bool;

    /// Finds out, and remembers what is right.
    fn is_right(&self) -> bool;

    /// What a wrong one is answered with.
    fn refusal(&self) -> Response;
}

/// What waits and who works on it, and who has failed too often. Clones share both.
#[derive(Clone)]
pub(super) struct Checks {
    queue: Arc<Queue>,
    failures: Option<Arc<Failures>>,
}

/// A claim that is to be checked.
struct Check {
    claim: Box<dyn Claim>,
    now: Tick,
    /// Where a wrong one is counted, and the client's address.
    failures: Option<(Arc<Failures>, IpAddr)>,
    recall: Recall,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Check>,
    runners: usize,
    /// Computations so far.
    computed: u64,
}

impl Checks {
    pub(super) fn new() -> Self {
        Self { queue: Arc::default(), failures: None }.limited(FAILURES_MAX, FAILURES_WITHIN)
    }

    /// So many failures of an address within this time; 0 is no limit.
    pub(super) fn limited(mut self, count: u32, within: Duration) -> Self {
        self.failures = (count > 0).then(|| Arc::new(Failures::new(count, within)));
        self
    }

    /// Failures are those of `other`, up to its limit.
    pub(super) fn failing_with(&mut self, other: &Self) {
        self.failures.clone_from(&other.failures);
    }

    /// Whether too many failures came from this client: then the answer is in `response`, a 429 that says
    /// when to come back. RFC 6585 §4.
    pub(super) fn refuses(&self, request: &Request<'_>, response: &mut Response) -> bool {
        let failures = self.failures.as_ref().filter(|failures| !failures.is_empty());
        let wait = failures.and_then(|failures| failures.refuses(request.client_address()?, request.now()));
        if let Some(wait) = wait {
            response.replace(too_many(wait));
        }
        wait.is_some()
    }

    /// Counts a failure that no check has found.
    #[cfg(feature = "jwt")]
    pub(super) fn count_failure(&self, request: &Request<'_>) {
        if let Some((failures, address)) = self.failures_of(request) {
            failures.count(address, request.now());
        }
    }

    /// Has what `claim` makes checked; if it is right, the layer that asks is asked again. If there is no
    /// room, nothing is made, and the answer is in `response`.
    pub(super) fn submit<C: Claim>(
        &self,
        request: &Request<'_>,
        response: &mut Response,
        claim: impl FnOnce() -> C,
    ) -> Passage {
        let suspended = self.queue.submit(request.pool(), || {
            let (recall, outcome) = request.suspend();
            let failures = self.failures_of(request);
            (Check { claim: Box::new(claim()), now: request.now(), failures, recall }, outcome)
        });
        Passage::Closed(suspended.unwrap_or_else(|| {
            response.refuse(Reason::PoolFull);
            response.append(&header::RETRY_AFTER, &HeaderValue::from_static("1"));
            Outcome::Ready
        }))
    }

    fn failures_of(&self, request: &Request<'_>) -> Option<(Arc<Failures>, IpAddr)> {
        let failures = self.failures.as_ref()?;
        Some((Arc::clone(failures), request.client_address()?))
    }
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Response::refusal(Reason::AuthFailures).with_header(header::RETRY_AFTER, seconds.into())
}

impl Queue {
    /// Has what `make` makes checked on `pool`; `None`, and nothing is made, if there is no room.
    fn submit(
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
            let runner = Runner { queue: Arc::clone(self), retired: false };
            seat.submit(Box::new(move || runner.run()));
        }
        Some(outcome)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, check: Check) {
        let Check { claim, now, failures, recall } = check;
        if recall.client() == Presence::Gone {
            return;
        }
        // Several requests of one page come together: the first is checked for all of them.
        if claim.is_known() {
            return recall.call();
        }
        // What the same client had sent before may have been wrong meanwhile.
        if let Some((failures, address)) = &failures
            && let Some(wait) = failures.refuses(*address, now)
        {
            return recall.send(too_many(wait));
        }
        let is_right = claim.is_right();
        self.lock().computed += 1;
        if is_right {
            return recall.call();
        }
        if let Some((failures, address)) = &failures {
            failures.count(*address, now);
        }
        recall.send(claim.refusal());
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.queue.lock();
        f.debug_struct("Checks")
            .field("waiting", &state.waiting.len())
            .field("runners", &state.runners)
            .field("computed", &state.computed)
            .finish()
    }
}

/// Checks one claim after the other until none waits.
struct Runner {
    queue: Arc<Queue>,
    retired: bool,
}

impl Runner {
    fn run(mut self) {
        while let Some(check) = self.next() {
            // A check that panics answers with a 500: its recall is dropped.
            if catch_unwind(AssertUnwindSafe(|| self.queue.perform(check))).is_err() {
                log::error!("the check of a password or a token panicked");
            }
        }
    }

    fn next(&mut self) -> Option<Check> {
        let mut state = self.queue.lock();
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
        let mut state = self.queue.lock();
        state.runners -= 1;
        let orphans = if state.runners == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(orphans);
    }
}
