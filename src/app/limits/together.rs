//! [`Together`]: rates that stand side by side, and are asked as one.
//!
//! ```text
//!  request ─► rate ─► rate ─► rate ─► all let it pass: each is charged, and the longest wait counts
//!               └───────┴─ one refuses: none is charged, and those behind it are not asked
//! ```
//! **Exact.** The shards of all the budgets are held from the first look to the last charge: no budget is
//! charged for a request that is refused, not even for a moment. They are taken in one order everywhere, so
//! that no two who want the same ones wait for each other. A dry run refuses nobody, and is charged with the
//! others.

use std::sync::Arc;
use std::time::Duration;

use super::limited::RateLimit;
use super::rate::{Decision, Rate};
use super::rates::{Held, Place};
use crate::app::layer::Passage;
use crate::app::request::Request;
use crate::base::Tick;
use crate::http::Response;

/// So many are asked without memory from the heap.
const FEW: usize = 8;

/// Several rates, in their order.
#[derive(Clone, Debug)]
pub(in crate::app) struct Together(Box<[Arc<RateLimit>]>);

/// What one of them is asked, and says.
#[derive(Clone, Copy)]
pub(super) struct Ask<'r> {
    rate: &'r Rate,
    place: Place<'r>,
    now: Tick,
    /// When the budget is whole again if the request passes.
    tat: u64,
    decision: Decision,
}

impl Together {
    pub(in crate::app) const fn new(limits: Box<[Arc<RateLimit>]>) -> Self {
        Self(limits)
    }

    pub(in crate::app) const fn len(&self) -> usize {
        self.0.len()
    }

    /// What they say to `request`, and the number of the one that says it.
    pub(in crate::app) fn before(&self, request: &Request<'_>, response: &mut Response) -> (usize, Passage) {
        let Some(first) = self.0.first() else { return (0, Passage::Open) };
        let first = first.ask(request);
        match self.len() {
            few @ ..=FEW => {
                let (mut asks, mut held) = ([first; FEW], [const { None }; FEW]);
                self.ask(&mut asks[..few], &mut held[..few], request, response)
            }
            many => {
                let mut held: Vec<_> = std::iter::repeat_with(|| None).take(many).collect();
                self.ask(&mut vec![first; many], &mut held, request, response)
            }
        }
    }

    /// The same, with room for the questions, of which the first is asked already.
    fn ask<'r>(
        &'r self,
        asks: &mut [Ask<'r>],
        held: &mut [Option<Held<'r>>],
        request: &Request<'_>,
        response: &mut Response,
    ) -> (usize, Passage) {
        for (ask, limit) in asks.iter_mut().zip(&self.0).skip(1) {
            *ask = limit.ask(request);
        }
        let refuser = decide(asks, held);
        let decided = || self.0.iter().zip(asks.iter().map(|ask| ask.decision));
        if let Some(refuser) = refuser {
            // Who would have let it pass has done nothing with it.
            let refused = decided().take(refuser + 1).filter(|(_, decision)| is_refusal(*decision));
            refused.for_each(|(limit, decision)| limit.note(decision, request));
            return (refuser, self.0[refuser].answer(asks[refuser].decision, response));
        }
        let waits = decided().map(|(limit, decision)| limit.wait(decision));
        // The first one of equals.
        let (slowest, longest) = waits.enumerate().rev().max_by_key(|(_, wait)| *wait).unwrap_or_default();
        // Whoever is noted first stands in the log.
        let others = (0..self.len()).filter(|number| *number != slowest);
        for number in std::iter::once(slowest).chain(others) {
            self.0[number].note(asks[number].decision, request);
        }
        (slowest, if longest.is_zero() { Passage::Open } else { Passage::After(longest) })
    }
}

impl<'r> Ask<'r> {
    pub(super) const fn new(rate: &'r Rate, place: Place<'r>, now: Tick) -> Self {
        let decision = Decision::Admitted { remaining: 0, reset: Duration::ZERO };
        Self { rate, place, now, tat: 0, decision }
    }
}

/// Decides all of them until one refuses: its number. If none does, all are charged.
fn decide<'r>(asks: &mut [Ask<'r>], held: &mut [Option<Held<'r>>]) -> Option<usize> {
    hold(asks, held);
    let refuser = (0..asks.len()).find(|number| look(asks, held, *number));
    if refuser.is_none() {
        for number in 0..asks.len() {
            let (place, tat) = (asks[number].place, asks[number].tat);
            if let Some(shard) = shard_of(asks, held, number) {
                shard.charge(place, tat);
            }
        }
    }
    held.fill_with(|| None);
    refuser
}

/// Takes each shard once; of those who share it the first has it.
fn hold<'r>(asks: &[Ask<'r>], held: &mut [Option<Held<'r>>]) {
    let mut last = 0;
    let behind = |last| {
        let others = asks.iter().enumerate().filter(move |(_, ask)| ask.place.order() > last);
        others.min_by_key(|(_, ask)| ask.place.order())
    };
    while let Some((number, ask)) = behind(last) {
        last = ask.place.order();
        held[number] = Some(ask.place.hold());
    }
}

/// Decides one of them; whether it refuses.
fn look(asks: &mut [Ask<'_>], held: &mut [Option<Held<'_>>], number: usize) -> bool {
    let Some(shard) = shard_of(asks, held, number) else { return false };
    let (earlier, asks) = asks.split_at_mut(number);
    let ask = &mut asks[0];
    let (tat, now) = shard.look(ask.place, ask.now);
    // Who is asked twice knows of the first time.
    let known = earlier.iter().rev().find(|other| other.place == ask.place);
    ask.tat = known.map_or(tat, |other| other.tat);
    ask.decision = ask.rate.decide(&mut ask.tat, now);
    is_refusal(ask.decision) && !ask.rate.is_dry_run()
}

/// The shard where one of them looks.
fn shard_of<'h, 'r>(
    asks: &[Ask<'_>],
    held: &'h mut [Option<Held<'r>>],
    number: usize,
) -> Option<&'h mut Held<'r>> {
    let order = asks[number].place.order();
    let holder = asks.iter().position(|ask| ask.place.order() == order)?;
    held[holder].as_mut()
}

const fn is_refusal(decision: Decision) -> bool {
    matches!(decision, Decision::Refused { .. })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::thread;

    use ::http::HeaderName;
    use proptest::prelude::*;

    use super::super::counts::{RateCounts, RateVerdict};
    use super::super::fields::Policy;
    use super::super::key::RateKey;
    use super::super::rate::{Quota, moment};
    use super::super::rates::Rates;
    use super::*;
    use crate::app::layer::Layer;
    use crate::app::{App, HandlerExt, Located};

    /// Between two requests of an [`App::oneshot`].
    const HOUR: Duration = Duration::from_secs(3_600);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

    fn a_year(burst: u32) -> Rate {
        Rate::new(Quota::new(burst, YEAR).unwrap(), burst).unwrap()
    }

    /// Which of these rates refuses a request: each has a number, and a key.
    fn refuser(rates: &Rates, row: &[(u32, Rate, u64)], millis: u64) -> Option<usize> {
        let ask = |(number, rate, key)| {
            let key = rates.hash(&u64::to_le_bytes(key));
            Ask::new(rate, rates.place(number, key), Tick::from_millis(millis))
        };
        let mut asks: Vec<_> = row.iter().map(|(number, rate, key)| ask((*number, rate, *key))).collect();
        let mut held: Vec<_> = asks.iter().map(|_| None).collect();
        decide(&mut asks, &mut held)
    }

    fn left(rates: &Rates, number: u32, rate: &Rate, key: u64) -> u32 {
        rates.left(number, rate, rates.hash(&key.to_le_bytes()), Tick::from_millis(1)).0
    }

    #[test]
    fn a_budget_that_all_share_is_not_emptied_by_those_who_are_refused() {
        const THREADS: u32 = 4;
        const EACH: u32 = 2_000;
        let rates = Rates::new();
        let (shared, once, often) = (a_year(THREADS * (1 + EACH)), a_year(1), a_year(EACH));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (rates, client) = (&rates, u64::from(thread));
                // Nobody who keeps within the own budget ever finds the shared one empty.
                scope.spawn(move || {
                    for _ in 0..EACH {
                        assert_eq!(refuser(rates, &[(0, shared, 0), (1, often, client)], 1), None);
                    }
                });
                scope.spawn(move || {
                    let greedy = |_| refuser(rates, &[(0, shared, 0), (2, once, client)], 1);
                    let refusers: Vec<_> = (0..EACH).map(greedy).collect();
                    let refused = refusers.iter().filter(|refuser| refuser.is_some()).count();
                    assert_eq!((refusers[0], refused), (None, EACH as usize - 1));
                });
            }
        });
        assert_eq!(left(&rates, 0, &shared, 0), 0);
        assert_eq!(refuser(&rates, &[(0, shared, 0), (1, a_year(9), 99)], 1), Some(0), "now it is empty");
        assert_eq!(left(&rates, 1, &a_year(9), 99), 9);
    }

    #[test]
    fn eight_threads_ask_in_any_order_and_have_each_budget_to_the_request() {
        const EACH: u64 = 2_000;
        let (rates, admitted) = (Rates::new(), AtomicU32::new(0));
        let (wide, narrow, own) = (a_year(5_000), a_year(3_000), a_year(1));
        thread::scope(|scope| {
            for thread in 0..8 {
                let (rates, admitted) = (&rates, &admitted);
                scope.spawn(move || {
                    for turn in 0..EACH {
                        // Tables grow meanwhile.
                        let mut row = [(0, wide, 1), (1, narrow, 1), (2, own, thread * EACH + turn)];
                        row.rotate_left(usize::try_from(thread % 3).unwrap());
                        admitted.fetch_add(u32::from(refuser(rates, &row, 1).is_none()), Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 3_000);
        assert_eq!((left(&rates, 0, &wide, 1), left(&rates, 1, &narrow, 1)), (2_000, 0));
        assert_eq!(rates.keys(Tick::from_millis(1)), 3_002, "who was refused is not even known");
    }

    proptest! {
        /// Against a copy of all budgets that is kept if nobody refuses.
        #[test]
        fn either_all_are_charged_or_none(
            requests in prop::collection::vec(
                (prop::collection::vec((0_u32..3, 0_u64..2), 1..5), 0_u64..900), 1..100,
            ),
        ) {
            let second = |burst| Rate::new(Quota::per_second(2).unwrap(), burst).unwrap();
            let all = [second(2), second(4).delaying(Duration::from_secs(1)), second(1).dry_run(true)];
            let (rates, mut budgets, mut millis) = (Rates::new(), HashMap::new(), 1);
            for (row, wait) in requests {
                millis += wait;
                let row: Vec<_> =
                    row.iter().map(|(number, key)| (*number, all[*number as usize], *key)).collect();
                let mut copy = budgets.clone();
                let expected = row.iter().position(|(number, rate, key)| {
                    let tat = copy.entry((*number, *key)).or_insert(0);
                    is_refusal(rate.decide(tat, moment(Tick::from_millis(millis)))) && !rate.is_dry_run()
                });
                if expected.is_none() {
                    budgets = copy;
                }
                prop_assert_eq!(refuser(&rates, &row, millis), expected);
            }
        }
    }

    // ── As layers ───────────────────────────────────────────────────────────────────────────────────

    /// One budget for all.
    fn path(name: &str, rates: &Arc<Rates>, rate: Rate) -> RateLimit {
        RateLimit::new(rates, Policy::new(name, rate).unwrap(), RateKey::Path)
    }

    /// One for each client.
    fn own(name: &str, rates: &Arc<Rates>, rate: Rate) -> RateLimit {
        let key = RateKey::Header(HeaderName::from_static("x-client"));
        RateLimit::new(rates, Policy::new(name, rate).unwrap(), key)
    }

    fn get(app: &App, client: &str) -> ::http::Response<bytes::Bytes> {
        app.oneshot(::http::Request::get("/").header("x-client", client).body("").unwrap())
    }

    fn plain(_: &Request<'_>) -> &'static str {
        "plain"
    }

    /// So many of the verdicts, in the order of [`RateVerdict::ALL`].
    fn counted(counts: &RateCounts) -> Vec<u64> {
        RateVerdict::ALL.iter().map(|verdict| counts.sum(*verdict)).collect()
    }

    #[test]
    fn wherever_rates_come_from_they_are_asked_together() {
        struct Dresses;
        impl Layer for Dresses {
            fn acts(&self) -> crate::app::Acts {
                crate::app::Acts::ANSWERS
            }
        }
        let rates = Arc::new(Rates::new());
        let shared = path("shared", &rates, a_year(3));
        let single = own("single", &Arc::default(), a_year(1));
        let boxed: Arc<dyn Layer> = Arc::new(Located::new(single.clone(), "here"));
        let [shared_counts, single_counts] = [&shared, &single].map(|limit| {
            let counts = Arc::new(RateCounts::new(1));
            Arc::clone(limit.count_in(&counts))
        });
        let app = App::new().layer(shared).layer(Dresses).get("/", plain.layer(boxed));
        let statuses = ["eve"; 5].map(|client| get(&app, client).status().as_u16());
        assert_eq!(statuses, [200, 429, 429, 429, 429]);
        let statuses = ["ada", "bob", "cyd"].map(|client| get(&app, client).status().as_u16());
        assert_eq!(statuses, [200, 200, 429]);
        assert_eq!((counted(&shared_counts), counted(&single_counts)), (vec![3, 0, 1, 0], vec![3, 0, 4, 0]));
        let text = get(&app, "eve").into_body();
        assert!(
            text.ends_with(
                b"(limit.rate.shared)
"
            ),
            "the first one that refuses says so: {text:?}"
        );
    }

    #[test]
    fn rates_with_another_layer_between_them_are_asked_one_by_one() {
        struct Looks;
        impl Layer for Looks {}
        let rates = Arc::new(Rates::new());
        let single = own("single", &rates, a_year(1));
        let app =
            App::new().layer(path("shared", &rates, a_year(2))).layer(Looks).get("/", plain.layer(single));
        let statuses = ["eve", "eve", "ada"].map(|client| get(&app, client).status().as_u16());
        assert_eq!(statuses, [200, 429, 429]);
    }

    #[test]
    fn a_layer_that_only_has_a_rate_asks_it_as_it_likes() {
        struct Exempts(RateLimit);
        impl Layer for Exempts {
            fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
                match request.header("x-client") {
                    Some("ada") => Passage::Open,
                    _ => self.0.before(request, response),
                }
            }
            fn rate(&self) -> Option<&RateLimit> {
                Some(&self.0)
            }
        }
        let rates = Arc::new(Rates::new());
        let single = Exempts(own("single", &rates, a_year(1)));
        let app = App::new().layer(path("shared", &rates, a_year(9))).get("/", plain.layer(single));
        let statuses = ["eve", "eve", "ada", "ada"].map(|client| get(&app, client).status().as_u16());
        assert_eq!(statuses, [200, 429, 200, 200]);
    }

    #[test]
    fn nobody_waits_for_a_rate_to_be_refused_by_the_next_one() {
        let rates = Arc::new(Rates::new());
        let slow = a_year(1).delaying(YEAR);
        let single = own("single", &rates, a_year(1));
        let app = App::new().layer(path("slow", &rates, slow)).get("/", plain.layer(single));
        assert_eq!(get(&app, "eve").status(), 200);
        let refused = get(&app, "eve");
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (429, &"31532400".parse().unwrap())
        );
    }

    #[test]
    fn who_is_delayed_by_several_waits_for_the_slowest() {
        let rates = Arc::new(Rates::new());
        let millis = |millis| {
            let rate = Rate::new(Quota::new(1, HOUR + Duration::from_millis(millis)).unwrap(), 1).unwrap();
            rate.delaying(HOUR)
        };
        let limits = [("a", 20), ("b", 60), ("c", 40)].map(|(name, wait)| path(name, &rates, millis(wait)));
        let counts = limits.each_ref().map(|limit| Arc::clone(limit.count_in(&Arc::new(RateCounts::new(1)))));
        let noted = |request: &Request<'_>| {
            request.noted_rate().map_or_else(String::new, |note| note.name().to_owned())
        };
        let app = limits.into_iter().fold(App::new(), App::layer).get("/noted", noted).get("/", plain);
        let asked = || app.explain(::http::Request::get("/").body("").unwrap()).to_string();
        assert_eq!(asked().matches("lets pass\n").count(), 3);
        let delayed = asked();
        let waits: Vec<_> = delayed.lines().filter(|line| line.contains("lets pass after")).collect();
        assert!(waits.len() == 1 && waits[0].contains(" b: 1 in 3600.06s"), "{delayed}");
        assert!(counts.iter().all(|counts| counted(counts) == [1, 1, 0, 0]));
        let noted = || app.oneshot(::http::Request::get("/noted").body("").unwrap()).into_body();
        assert_eq!([noted(), noted()], ["", "b"], "this one stands in the log");
    }

    #[test]
    fn a_dry_run_is_charged_with_the_others_and_stops_nobody() {
        let rates = Arc::new(Rates::new());
        let (dry, real) = (a_year(2).dry_run(true), own("real", &rates, a_year(2)));
        let limits = [path("dry", &rates, dry), real];
        let counts = limits.each_ref().map(|limit| Arc::clone(limit.count_in(&Arc::new(RateCounts::new(1)))));
        let app = limits.into_iter().fold(App::new(), App::layer).get("/", plain);
        let asked = |client: &str| {
            let status = get(&app, client).status().as_u16();
            (status, counts.each_ref().map(|counts| counted(counts)))
        };
        assert_eq!(asked("eve"), (200, [vec![1, 0, 0, 0], vec![1, 0, 0, 0]]));
        assert_eq!(asked("eve"), (200, [vec![2, 0, 0, 0], vec![2, 0, 0, 0]]));
        assert_eq!(asked("ada"), (200, [vec![2, 0, 0, 1], vec![3, 0, 0, 0]]), "it is charged elsewhere");
        assert_eq!(asked("eve"), (429, [vec![2, 0, 0, 2], vec![3, 0, 1, 0]]), "both would have refused");
    }

    #[test]
    fn nine_are_as_good_as_two_and_who_stands_there_twice_pays_twice() {
        let rates = Arc::new(Rates::new());
        let limit = path("many", &rates, a_year(20));
        let app = (0..9).fold(App::new(), |app, _| app.layer(limit.clone())).get("/", plain);
        assert_eq!([(); 3].map(|()| get(&app, "ada").status().as_u16()), [200, 200, 429]);
        let app = App::new().layer(limit.clone()).layer(limit).get("/", plain);
        assert_eq!([(); 2].map(|()| get(&app, "ada").status().as_u16()), [200, 429], "two were left");
    }
}
