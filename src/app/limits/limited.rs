//! [`RateLimit`]: a rate before a handler, or before many that share its budgets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::counts::{RateCounts, RateVerdict};
use super::fields::Policy;
use super::key::RateKey;
use super::note::RateNote;
use super::rate::{Decision, Mode};
use super::rates::Rates;
use super::together::Ask;
use crate::app::layer::{Acts, Layer, Passage};
use crate::app::request::Request;
use crate::http::Response;

/// Lets clients come as often as a policy says. Clones, and all that have a policy of the same name, quota
/// and burst in the same table, share their budgets.
///
/// Several that stand side by side, with no other layer between them that looks at requests, are asked
/// together: if one refuses, the others are not charged, and those behind it are not asked; if some delay,
/// the longest time counts. With another layer between them each is charged as the request comes by.
///
/// ```
/// use std::sync::Arc;
/// use kolk::{App, Policy, Quota, Rate, RateKey, RateLimit, Rates, Request};
///
/// let rate = Rate::new(Quota::per_minute(60)?, 2)?;
/// let key = RateKey::Header("x-key".parse().unwrap());
/// let limit = RateLimit::new(&Arc::new(Rates::new()), Policy::new("api", rate)?, key);
/// let app = App::new().layer(limit).get("/", |_: &Request<'_>| "served");
///
/// let get = |key| app.oneshot(http::Request::get("/").header("x-key", key).body("").unwrap());
/// assert_eq!(get("a").status(), 200);
/// # Ok::<(), kolk::app::RateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    rates: Arc<Rates>,
    number: u32,
    key: RateKey,
    policy: Arc<Policy>,
    /// By [`RateVerdict`]: none is made for a request.
    notes: Arc<[Arc<RateNote>]>,
    seen: Arc<Seen>,
}

/// What all clones have seen.
#[derive(Debug, Default)]
struct Seen {
    refused: AtomicU64,
    /// Where more is counted, if somebody looks.
    counts: OnceLock<Arc<RateCounts>>,
}

impl RateLimit {
    /// `policy` for each `key`, with the budgets in `rates`.
    pub fn new(rates: &Arc<Rates>, policy: Policy, key: RateKey) -> Self {
        let rate = policy.rate();
        // Budgets of another size mean nothing to this one.
        let whose = format!("{} {:?} {}", policy.name(), rate.quota(), rate.burst());
        let notes = RateVerdict::ALL.iter().map(|verdict| Arc::new(RateNote::new(policy.name(), *verdict)));
        Self {
            notes: notes.collect(),
            number: rates.number_of(&whose),
            rates: Arc::clone(rates),
            key,
            policy: Arc::new(policy),
            seen: Arc::default(),
        }
    }

    /// How many requests were refused, or would have been in a dry run.
    pub fn refused(&self) -> u64 {
        self.seen.refused.load(Relaxed)
    }

    /// Has what becomes of requests counted in `counts` from now on, unless it is counted somewhere already:
    /// where. A [server](crate::Server) with an admin address does so for all rates of its app.
    pub fn count_in(&self, counts: &Arc<RateCounts>) -> &Arc<RateCounts> {
        self.seen.counts.get_or_init(|| Arc::clone(counts))
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The question that [`Layer::before`] asks, for whoever asks several at once.
    pub(super) fn ask(&self, request: &Request<'_>) -> Ask<'_> {
        let place = self.rates.place(self.number, self.key.hash(&self.rates, request));
        Ask::new(self.policy.rate(), place, request.now())
    }

    /// Counts what is decided of `request`, and has it written down.
    pub(super) fn note(&self, decision: Decision, request: &Request<'_>) {
        if matches!(decision, Decision::Refused { .. }) {
            self.seen.refused.fetch_add(1, Relaxed);
        }
        let verdict = verdict(decision, self.policy.rate().is_dry_run());
        if let Some(counts) = self.seen.counts.get() {
            counts.note(request.worker(), verdict);
        }
        if let Some(note) = self.notes.get(verdict.index()).filter(|_| verdict != RateVerdict::Passed) {
            request.note_rate(note);
        }
    }

    /// For how long a request is delayed of whom this is decided.
    pub(super) fn wait(&self, decision: Decision) -> Duration {
        match decision {
            Decision::Delayed { wait, .. } if !self.policy.rate().is_dry_run() => wait,
            _ => Duration::ZERO,
        }
    }

    /// What a request is told of whom this is decided.
    pub(super) fn answer(&self, decision: Decision, response: &mut Response) -> Passage {
        match decision {
            _ if self.policy.rate().is_dry_run() => Passage::Open,
            Decision::Admitted { .. } => Passage::Open,
            Decision::Delayed { wait, .. } => Passage::After(wait),
            Decision::Refused { .. } => {
                self.policy.refuse(decision, response);
                Passage::answered()
            }
        }
    }
}

impl Layer for RateLimit {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let key = self.key.hash(&self.rates, request);
        let decision = self.rates.check(self.number, self.policy.rate(), key, request.now());
        self.note(decision, request);
        self.answer(decision, response)
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        if self.policy.is_always_told() {
            let key = self.key.hash(&self.rates, request);
            let left = self.rates.left(self.number, self.policy.rate(), key, request.now());
            self.policy.tell_the_least(left, response);
        }
    }

    fn acts(&self) -> Acts {
        Acts { before: true, after: self.policy.is_always_told() }
    }

    fn name(&self) -> &'static str {
        "rate"
    }

    fn explain(&self) -> String {
        let (name, rate) = (self.policy.name(), self.policy.rate());
        let (requests, per) = (rate.quota().requests(), rate.quota().per());
        let beyond = match rate.mode() {
            Mode::Refuse => String::new(),
            Mode::Delay(longest) => format!(", others wait up to {longest:?}"),
        };
        let dry = if rate.is_dry_run() { ", in a dry run" } else { "" };
        format!("{name}: {requests} in {per:?}, {} at once, {}{beyond}{dry}", rate.burst(), self.key)
    }

    fn rate(&self) -> Option<&RateLimit> {
        Some(self)
    }
}

/// What becomes of a request by this decision. In a dry run nobody waits.
const fn verdict(decision: Decision, is_dry_run: bool) -> RateVerdict {
    match (decision, is_dry_run) {
        (Decision::Admitted { .. }, _) | (Decision::Delayed { .. }, true) => RateVerdict::Passed,
        (Decision::Delayed { .. }, false) => RateVerdict::Delayed,
        (Decision::Refused { .. }, false) => RateVerdict::Refused,
        (Decision::Refused { .. }, true) => RateVerdict::WouldRefuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_lets_pass_and_says_what_it_would_have_refused() {
        let time = Duration::from_secs(1);
        let admitted = Decision::Admitted { remaining: 0, reset: time };
        let delayed = Decision::Delayed { wait: time, reset: time };
        let refused = Decision::Refused { retry_after: time, reset: time };
        for (decision, counted, in_a_dry_run) in [
            (admitted, RateVerdict::Passed, RateVerdict::Passed),
            (delayed, RateVerdict::Delayed, RateVerdict::Passed),
            (refused, RateVerdict::Refused, RateVerdict::WouldRefuse),
        ] {
            assert_eq!(verdict(decision, false), counted, "{decision:?}");
            assert_eq!(verdict(decision, true), in_a_dry_run, "{decision:?}");
        }
    }
}
