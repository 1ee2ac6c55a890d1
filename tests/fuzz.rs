//! Replays the corpus through every fuzz target, and some thousand mutations of it.
//!
//! The mutations come from a seeded generator, so a failure comes back; `FUZZ_SEED` and `FUZZ_ROUNDS`
//! make longer runs.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::fs;
use std::path::Path;

#[path = "fuzz/choices.rs"]
mod choices;
mod frames;
#[path = "fuzz/h1.rs"]
mod h1;
#[path = "fuzz/h2.rs"]
mod h2;
#[path = "fuzz/hpack.rs"]
mod hpack;
#[path = "fuzz/proxy.rs"]
mod proxy;
#[path = "fuzz/script.rs"]
mod script;
mod trace;

const ROUNDS: u64 = 6_000;
/// They are longer.
const CONVERSATIONS: u64 = 2_500;

#[test]
fn corpus_and_mutations() {
    corpus_and_mutations_of("h1", &[h1::connection, h1::head, h1::chunked, h1::split]);
}

#[test]
fn frames_of_http_2() {
    corpus_and_mutations_of("h2", &[h2::connection, h2::frames]);
}

#[test]
fn conversations_of_http_2() {
    let mut dice = Dice(number("FUZZ_SEED").unwrap_or(0x6B6F_6C6B));
    for round in 0..number("FUZZ_ROUNDS").unwrap_or(CONVERSATIONS) {
        let length = 40 + dice.below(600);
        let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
        let target = if round % 4 == 0 { h2::monologue } else { h2::conversation };
        target(&bytes);
    }
}

#[test]
fn blocks_of_fields() {
    corpus_and_mutations_of("hpack", &[hpack::blocks]);
}

#[test]
fn openings_of_proxies() {
    corpus_and_mutations_of("proxy", &[proxy::openings, proxy::blocks]);
}

fn corpus_and_mutations_of(room: &str, targets: &[fn(&[u8])]) {
    let corpus = corpus(room);
    assert!(corpus.len() >= 12, "{} seeds", corpus.len());
    for seed in &corpus {
        for target in targets {
            target(seed);
        }
    }
    let mut dice = Dice(number("FUZZ_SEED").unwrap_or(0x6B6F_6C6B));
    for round in 0..number("FUZZ_ROUNDS").unwrap_or(ROUNDS) {
        let bytes = mutate(&corpus, &mut dice);
        targets[usize::try_from(round).unwrap() % targets.len()](&bytes);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn corpus(room: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(room);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A seed, changed in one to six places.
fn mutate(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    const BYTES: &[u8] = b"\r\n\0\t :;,=\"0159afAF/*?#[]%-+\x7f\x80\x82\xbe\xbf\xff";
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let byte = BYTES[dice.below(BYTES.len())];
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] = byte,
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.insert(at, byte),
            3 => bytes.truncate(at),
            4 => {
                let other = &corpus[dice.below(corpus.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]);
            }
            _ => {
                let end = (at + dice.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes.truncate(2_000);
    bytes
}

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % limit
    }
}
