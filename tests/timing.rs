//! What a clock tells a stranger about passwords: nothing that statistics can find.
//!
//! ```text
//!  right prefix ┐
//!  wrong        ├─ in random order ─► nanoseconds ─► the slowest cropped ─► Welch's t of each pair
//!  unknown user ┘
//! ```
//! As `dudect` does it: |t| of 4.5 and more is a difference. A true one shows in every run, chance and a busy
//! machine in one or two: each pair has a few runs to be found equal in. With the few guesses made here, what
//! is gross is seen; `scripts/timing.sh` makes 100,000 of each kind and sees a nanosecond.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]
#![expect(clippy::print_stdout, reason = "the figures are for who runs the script")]

use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use kolk::app::{BlockingPool, Mail};
use kolk::base::Tick;
use kolk::{App, BasicAuth, Outcome, Request, Response};

#[path = "memory/desk.rs"]
mod desk;
#[path = "sim/dice.rs"]
#[allow(dead_code, reason = "the simulation throws them in more ways")]
mod dice;
#[path = "timing/welch.rs"]
mod welch;

use desk::{Asked, Desk};
use dice::Dice;
use welch::{Sample, T_MAX};

const KINDS: [&str; 3] = ["right prefix", "wrong", "unknown user"];
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];
/// A pair that was found different so often is.
const RUNS_MAX: usize = 5;
const USER: &str = "ada";
const PASSWORD: &str = "correct horse battery st";

/// Hashes of `PASSWORD` that cost as little as each scheme allows, so that other differences show.
const HASHES: [(&str, &str); 4] = [
    ("argon2", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$KGS/DlVfQa2YA+48kJSV8VdJGixOdDBkJQ7jGWwCqRI"),
    ("bcrypt", "$2y$04$jk3PO04ddhoINzWvkt9Rt.Pm2oroGreAmjIM0vkyALMCXQyOAGn8e"),
    ("SHA-256-crypt", "$5$rounds=1000$saltstring$gyyBh6oBhorFlTCKA3QWWrZjrLyUdsWmlp7ufy9wAyD"),
    (
        "SHA-512-crypt",
        "$6$rounds=1000$saltstring$51Tznivb7N11BM0Y85LtCt2I/xT6xLx1APauDDxacmnIg4rns5OOCZFWkno3rXBQNB1LgGzIzoDfFBt9p5I640",
    ),
];

/// Who guesses, and what is guessed at.
struct Guesser {
    app: App,
    desk: Desk,
    asked: Asked,
    dice: Dice,
    /// Whether guesses come to be checked.
    is_checked: bool,
}

impl Guesser {
    /// The right password was found right just before.
    fn new(hash: &str) -> Self {
        let auth = BasicAuth::new("tests").user(USER, hash).unwrap().user("bob", hash).unwrap();
        // What is wrong is counted, and never too much.
        let auth = auth.failures(u32::MAX, Duration::from_secs(3_600));
        let app = App::new().get("/", auth.guard(|_: &Request<'_>| "secret"));
        let asked = Asked::new("/", &format!("Authorization: {}\r\n", basic(USER, PASSWORD)));
        let desk = Desk::new(BlockingPool::new(1, 8));
        let mut guesser = Self { app, desk, asked, dice: Dice::new(1), is_checked: true };
        assert!(matches!(guesser.answer(), Some(Mail::Again { .. })));
        assert!(guesser.answer().is_none(), "it is believed now");
        guesser
    }

    /// Lets no more passwords be checked: what is left is what the loop does itself.
    fn without_checks(mut self) -> Self {
        self.desk = Desk::new(BlockingPool::new(1, 0));
        let busy = self.desk.pool.reserve().unwrap();
        std::mem::forget(busy);
        self.is_checked = false;
        self
    }

    fn call(&self) -> Outcome {
        let mut response = Response::default();
        self.desk.call(&self.app.routes()[0], &self.asked, Tick::from_millis(1), &mut response)
    }

    /// The letter that brings the answer; `None` if that is not late.
    fn answer(&mut self) -> Option<Mail> {
        match self.call() {
            Outcome::Again(_ticket) => Some(self.desk.letter()),
            _ => None,
        }
    }

    /// Writes a guess of this kind in place of the one before. All have the same length, the same place, and
    /// take the same time to make.
    fn guess(&mut self, kind: usize) {
        let mut letters = |count: usize| -> String {
            (0..count).map(|_| char::from(b'A' + u8::try_from(self.dice.below(26)).unwrap())).collect()
        };
        // Many of each: one password alone may be quicker to hash with SHA-crypt than the mean.
        let (prefix, rest) = PASSWORD.split_at(PASSWORD.len() / 2);
        let guesses = [
            basic(USER, &format!("{prefix}{}", letters(rest.len()))),
            basic(USER, &letters(PASSWORD.len())),
            basic(&letters(USER.len()), &letters(PASSWORD.len())),
        ];
        let guess = guesses[kind].as_bytes();
        let end = self.asked.head.len() - b"\r\n\r\n".len();
        self.asked.head[end - guess.len()..end].copy_from_slice(guess);
    }

    /// So many guesses of each kind: the nanoseconds that each took.
    fn run(&mut self, count: usize) -> [Sample; 3] {
        let mut kinds: Vec<usize> = (0..3 * count).map(|number| number % 3).collect();
        self.dice.shuffle(&mut kinds);
        let mut samples = [const { Vec::new() }; 3];
        for kind in kinds {
            self.guess(kind);
            let start = now();
            let letter = self.answer();
            let nanos = start.elapsed().as_nanos();
            assert_eq!(matches!(letter, Some(Mail::Answer { .. })), self.is_checked, "{}", KINDS[kind]);
            samples[kind].push(u32::try_from(nanos).unwrap_or(u32::MAX));
        }
        samples.map(Sample::new)
    }

    /// The least |t| of each pair in some runs. Stops as soon as none is suspicious.
    fn suspicions(&mut self, name: &str, count: usize) -> [f64; 3] {
        let mut least = [f64::INFINITY; 3];
        for _ in 0..RUNS_MAX {
            let samples = self.run(count);
            let values = PAIRS.map(|(one, other)| welch::worst_t(&samples[one], &samples[other]));
            for (least, value) in least.iter_mut().zip(values) {
                *least = least.min(value.abs());
            }
            let medians = samples.each_ref().map(Sample::median);
            println!("{name:30} {count:7} guesses of each kind, {medians:6?} ns, t {values:7.2?}");
            if least.iter().all(|value| *value < T_MAX) {
                break;
            }
        }
        least
    }
}

#[expect(clippy::disallowed_methods, reason = "a stranger brings a clock")]
fn now() -> Instant {
    Instant::now()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", Base64::encode_string(format!("{user}:{password}").as_bytes()))
}

/// What the loop does itself, then the whole way to the answer for each scheme.
#[track_caller]
fn no_guess_is_told_from_another(guesses: usize, guesses_of_slow_hashes: usize) {
    println!("medians and pairs of: {}", KINDS.join(", "));
    let mut found =
        vec![("the loop", Guesser::new(HASHES[0].1).without_checks().suspicions("the loop", guesses))];
    for (name, hash) in HASHES {
        let count = if name == "argon2" { guesses } else { guesses_of_slow_hashes };
        found.push((name, Guesser::new(hash).suspicions(name, count)));
    }
    let is_equal = found.iter().all(|(_, least)| least.iter().all(|t| *t < T_MAX));
    assert!(is_equal, "told apart in every run: {found:.1?}");
}

#[test]
fn a_guess_takes_as_long_whatever_is_wrong_with_it() {
    no_guess_is_told_from_another(1_000, 50);
}

#[test]
#[ignore = "takes minutes: scripts/timing.sh"]
fn a_hundred_thousand_guesses_take_as_long_whatever_is_wrong_with_them() {
    no_guess_is_told_from_another(100_000, 10_000);
}
