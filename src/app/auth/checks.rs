//! [`Checks`]: what takes long to check, a few at a time, on the blocking pool; and not too often for a
//! client whose claims were wrong.
//!
//! ```text
//!  submit ──► waiting (bounded) ──► runner on a pool thread ─┬─ right: kept for a while, and the layer is
//!   │ └─ full: 503                  (RUNNERS_MAX at most)    │         asked again on its own thread
//!   └─ the same waits, or is being checked: one answer more  └─ wrong: refused, and a failure more
//! ```
//! A flood of wrong claims takes `RUNNERS_MAX` threads of the pool and this queue, nothing else. Whoever
//! claims what is in it already, right or wrong, known or not, adds one more who waits for its end.
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
use super::seal::Digest;
use crate::app::handler::Outcome;
use crate::app::layer::Passage;
use crate::app::pool::BlockingPool;
use crate::app::reply::{Presence, Recall};
use crate::app::request::Request;
use crate::base::Tick;
use crate::http::{Reason, Response};

/// Threads of the pool that check at the same time. Each may need the memory of one password hash.
const RUNNERS_MAX: usize = 2;
/// Claims that may wait for their check; requests with more of them are answered with 503.
const WAITING_MAX: usize = 128;
/// How many wrong claims may come from one address within this time.
const FAILURES_MAX: u32 = 10;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// What a client claims, and only a long computation can tell.
pub(super) trait Claim: Send + 'static {
    /// Whether the same was found right meanwhile.
    fn is_known(&self) -> bool;

    /// Finds out, and remembers what is right.
    fn check(&self) -> Result<(), Wrong>;

    /// What one that is wrong is answered with.
    fn refusal(&self, reason: Reason) -> Response;
}

/// Why a claim is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) reason: Reason,
    /// Whether somebody may have guessed: not who has proved what is not taken all the same.
    pub(super) is_failure: bool,
}

/// Which claims are the same: what is shown, and the address of what tells whether it is right, which lives
/// as long as the claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) digest: Digest,
    pub(super) judge: usize,
}

/// What waits and who works on it, and who has failed too often. Clones share both.
#[derive(Clone)]
pub(super) struct Checks {
    queue: Arc<Queue>,
    failures: Option<Arc<Failures>>,
}

/// A claim that is to be checked, and all who make it.
struct Check {
    identity: Identity,
    claim: Box<dyn Claim>,
    asking: Vec<Asking>,
}

/// A request that waits for the check of what it claims.
struct Asking {
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
    /// What runners are at, and who waits for that.
    under_way: Vec<(Identity, Vec<Asking>)>,
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

    /// Failures are those of `other`, too, each up to its limit.
    pub(super) fn failing_with(&mut self, other: &Self) {
        if let (Some(own), Some(other)) = (&self.failures, &other.failures) {
            self.failures = Some(Arc::new(own.of(other)));
        }
    }

    /// What waits and who works on it are those of `other`.
    pub(super) fn waiting_with(&mut self, other: &Self) {
        self.queue = Arc::clone(&other.queue);
    }

    /// Whether failures are counted together.
    #[cfg(all(test, feature = "jwt"))]
    pub(super) fn shares_failures(&self, other: &Self) -> bool {
        match (&self.failures, &other.failures) {
            (Some(one), Some(other)) => one.is_of(other),
            _ => false,
        }
    }

    /// Whether too many failures came from this client: then the answer is in `response`, a 429 that says
    /// when to come back. RFC 6585 §4.
    #[cfg(feature = "jwt")]
    pub(super) fn refuses(&self, request: &Request<'_>, response: &mut Response) -> bool {
        self.refuses_unless(request, response, |_, _| false)
    }

    /// The same for what can be guessed: lets pass what `is_known` all the same, and counts every other try,
    /// until there were too many to believe anybody.
    pub(super) fn refuses_guess(
        &self,
        request: &Request<'_>,
        response: &mut Response,
        is_known: impl FnOnce() -> bool,
    ) -> bool {
        self.refuses_unless(request, response, |failures, address| {
            let passes = !failures.is_flooded(address) && is_known();
            if !passes {
                failures.count(address, request.now());
            }
            passes
        })
    }

    /// Counts a failure that no check has found.
    #[cfg(feature = "jwt")]
    pub(super) fn count_failure(&self, request: &Request<'_>) {
        if let Some((failures, address)) = self.failures_of(request) {
            failures.count(address, request.now());
        }
    }

    /// Has what `claim` makes checked, once for all who claim the same; if it is right, the layer that asks
    /// is asked again. If there is no room, nothing is made, and the answer is in `response`.
    pub(super) fn submit<C: Claim>(
        &self,
        request: &Request<'_>,
        response: &mut Response,
        identity: Identity,
        claim: impl FnOnce() -> C,
    ) -> Passage {
        let ask = || {
            let (recall, outcome) = request.suspend();
            (Asking { now: request.now(), failures: self.failures_of(request), recall }, outcome)
        };
        let suspended = self.queue.submit(request.pool(), identity, ask, || Box::new(claim()));
        Passage::Closed(suspended.unwrap_or_else(|| {
            response.refuse(Reason::PoolFull);
            response.append(&header::RETRY_AFTER, &HeaderValue::from_static("1"));
            Outcome::Ready
        }))
    }

    fn refuses_unless(
        &self,
        request: &Request<'_>,
        response: &mut Response,
        passes: impl FnOnce(&Failures, IpAddr) -> bool,
    ) -> bool {
        let Some(failures) = self.failures.as_ref().filter(|failures| !failures.is_empty()) else {
            return false;
        };
        let Some(address) = request.client_address() else { return false };
        let Some(wait) = failures.refuses(address, request.now()) else { return false };
        if passes(failures, address) {
            return false;
        }
        response.replace(too_many(wait));
        true
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
    /// Has what `claim` makes checked on `pool`, unless it is in the queue; `None`, and nothing is made, if
    /// there is no room.
    fn submit(
        self: &Arc<Self>,
        pool: &BlockingPool,
        identity: Identity,
        ask: impl FnOnce() -> (Asking, Outcome),
        claim: impl FnOnce() -> Box<dyn Claim>,
    ) -> Option<Outcome> {
        let mut state = self.lock();
        if let Some(others) = state.asking(&identity) {
            let (asking, outcome) = ask();
            others.push(asking);
            return Some(outcome);
        }
        if state.waiting.len() >= WAITING_MAX {
            return None;
        }
        let seat = if state.runners < RUNNERS_MAX { pool.reserve().ok() } else { None };
        if seat.is_none() && state.runners == 0 {
            return None;
        }
        let (asking, outcome) = ask();
        state.waiting.push_back(Check { identity, claim: claim(), asking: vec![asking] });
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

    /// What comes out of this claim; `None` if nobody waits for that any more.
    fn check(&self, identity: &Identity, claim: &dyn Claim) -> Option<Result<(), Wrong>> {
        // It may have been found right between the look at what is known and the way into the queue.
        if claim.is_known() {
            return Some(Ok(()));
        }
        if !self.is_wanted(identity) {
            return None;
        }
        let found = claim.check();
        self.lock().computed += 1;
        Some(found)
    }

    /// Whether somebody waits for this one who has not failed too often meanwhile; else it is over.
    fn is_wanted(&self, identity: &Identity) -> bool {
        let all = self.lock().asking(identity).map(std::mem::take).unwrap_or_default();
        let (mut patient, mut others) = (Vec::new(), Vec::new());
        for asking in all.into_iter().filter(Asking::is_here) {
            match asking.wait() {
                Some(wait) => others.push((asking, wait)),
                None => patient.push(asking),
            }
        }
        for (asking, wait) in others {
            asking.recall.send(too_many(wait));
        }
        let mut state = self.lock();
        let is_wanted = state.asking(identity).is_some_and(|asking| {
            asking.append(&mut patient);
            !asking.is_empty()
        });
        if !is_wanted {
            state.finish(identity);
        }
        is_wanted
    }

    /// All who wait for what a runner was at.
    fn finish(&self, identity: &Identity) -> Vec<Asking> {
        self.lock().finish(identity)
    }
}

impl State {
    /// Who waits for this claim, if it is in the queue.
    fn asking(&mut self, identity: &Identity) -> Option<&mut Vec<Asking>> {
        let waiting = self.waiting.iter_mut().map(|check| (check.identity, &mut check.asking));
        let under_way = self.under_way.iter_mut().map(|(identity, asking)| (*identity, asking));
        under_way.chain(waiting).find(|(known, _)| known == identity).map(|(_, asking)| asking)
    }

    /// Takes away what a runner was at: whoever comes from now on has it checked anew.
    fn finish(&mut self, identity: &Identity) -> Vec<Asking> {
        let place = self.under_way.iter().position(|(known, _)| known == identity);
        place.map(|place| self.under_way.swap_remove(place).1).unwrap_or_default()
    }
}

impl Asking {
    fn is_here(&self) -> bool {
        self.recall.client() != Presence::Gone
    }

    /// How long this client is refused, if it is: what it had sent before may have been wrong meanwhile.
    fn wait(&self) -> Option<Duration> {
        let (failures, address) = self.failures.as_ref()?;
        failures.refuses(*address, self.now)
    }

    fn let_in(self) {
        self.recall.call();
    }

    /// Answers what is wrong. Each request counts, though one was checked for all.
    fn refuse(self, wrong: Wrong, claim: &dyn Claim) {
        if let Some(wait) = self.wait().filter(|_| wrong.is_failure) {
            return self.recall.send(too_many(wait));
        }
        if let Some((failures, address)) = self.failures.as_ref().filter(|_| wrong.is_failure) {
            failures.count(*address, self.now);
        }
        self.recall.send(claim.refusal(wrong.reason));
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
        while let Some((identity, claim)) = self.next() {
            let found = catch_unwind(AssertUnwindSafe(|| self.queue.check(&identity, &*claim)));
            match found {
                Ok(None) => {}
                Ok(Some(Ok(()))) => self.queue.finish(&identity).into_iter().for_each(Asking::let_in),
                Ok(Some(Err(wrong))) => {
                    let all = self.queue.finish(&identity).into_iter();
                    all.for_each(|asking| asking.refuse(wrong, &*claim));
                }
                Err(_) => {
                    log::error!("the check of a password or a token panicked");
                    // Each is answered with a 500: its recall is dropped.
                    drop(self.queue.finish(&identity));
                }
            }
        }
    }

    fn next(&mut self) -> Option<(Identity, Box<dyn Claim>)> {
        let mut state = self.queue.lock();
        let Some(Check { identity, claim, asking }) = state.waiting.pop_front() else {
            state.runners -= 1;
            self.retired = true;
            return None;
        };
        state.under_way.push((identity, asking));
        Some((identity, claim))
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
