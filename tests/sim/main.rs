//! THE SIMULATION: a shard, its clients and the network between them, under one seed and a virtual clock.
//!
//! ```text
//!   Dice ─► Script, Manner ─► Guest ─► Pipe ─► SimTransport ─► Shard ─► site (handlers) ─► jobs, mail
//! ```
//! `SIM_SEED=n` replays one seed and tells every step; `SIM_SEEDS=n` sets how many are tried, `SIM_FROM=n`
//! the first of them.
//!
//! A guest is a [`client::Client`] of HTTP/1 or a [`multi::Multi`] of HTTP/2.
//! After each turn `Shard::validate`; each client reads strictly: answers are well-formed, in order, exact,
//! one for each request, and nothing follows the last. A quick and patient client gets every answer. Nothing
//! works for ever or for nothing, and when everybody has left, nothing is left.

mod client;
mod dice;
#[path = "../frames/frame.rs"]
mod frame;
mod guest;
mod multi;
mod net;
mod plan;
mod reader;
mod script;
mod site;
mod world;

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use world::{Outcome, World};

/// Seeds of an ordinary test run.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 3_000 };

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Panics that belong to the play are not told to the audience.
fn hush() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        let payload = what.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        if !text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("").starts_with("sim:") {
            tell(what);
        }
    }));
}

fn play(seed: u64, verbose: bool) -> Result<Outcome, String> {
    panic::catch_unwind(AssertUnwindSafe(|| World::new(seed, verbose).run()))
        .unwrap_or_else(|_| Err("a panic, see above".into()))
}

/// What came of these seeds, in their order: as many at a time as there are CPUs.
fn play_all(first: u64, count: u64) -> Vec<(u64, Result<Outcome, String>)> {
    let next = AtomicU64::new(first);
    let one = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Relaxed));
        let seeds = seeds.take_while(|seed| *seed < first + count);
        seeds.map(|seed| (seed, play(seed, false))).collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut played = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let played = threads.into_iter().map(|thread| thread.join().expect("a play that fails is told"));
        played.flatten().collect::<Vec<_>>()
    });
    played.sort_by_key(|(seed, _)| *seed);
    played
}

#[test]
fn every_seed_comes_to_rest_and_breaks_no_rule() {
    hush();
    if let Some(seed) = number_of("SIM_SEED") {
        let outcome = play(seed, true);
        eprintln!("seed {seed}: {outcome:?}");
        return assert!(outcome.is_ok());
    }
    let first = number_of("SIM_FROM").unwrap_or(1);
    let (mut turns, mut answers) = (0, 0);
    let mut failures = Vec::new();
    for (seed, played) in play_all(first, number_of("SIM_SEEDS").unwrap_or(SEEDS)) {
        match played {
            Ok(outcome) => {
                turns += outcome.turns;
                answers += outcome.answers;
            }
            Err(error) => failures.push((seed, error)),
        }
    }
    eprintln!("{answers} answers in {turns} turns");
    for (seed, error) in failures.iter().take(20) {
        eprintln!("SIM_SEED={seed}: {error}");
    }
    if let Some((seed, _)) = failures.first() {
        let outcome = play(*seed, true);
        panic!("{} seeds fail; the first is SIM_SEED={seed}: {outcome:?}", failures.len());
    }
}

#[test]
fn a_seed_is_one_story() {
    for seed in [1, 77, 4_711] {
        let [first, second] = [play(seed, false), play(seed, false)];
        assert!(first.is_ok());
        assert_eq!(first, second, "seed {seed}");
    }
}
