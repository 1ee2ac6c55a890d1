//! Fuzz targets of the HTTP/2 machine: plain functions of bytes, which panic when something is wrong. What is
//! wrong, the client and the witness of `frames` know: every run is held to the account that they keep.

use kolk::proto::h2::Limits;
use kolk::proto::hpack;

use super::choices::Choices;
use super::frames::client::Client;
use super::script::{Script, Step};

/// Tight, so that everything is reached soon.
const TIGHT: Limits = Limits {
    streams_max: 5,
    head_bytes_max: 600,
    fields: hpack::Limits { list_bytes_max: 1_000, fields_max: 12, expansion_bytes_max: 5_000 },
    fields_max: 10,
    path_bytes_max: 40,
    block_bytes_max: 600,
    continuations_max: 2,
    stream_window_bytes: 1_000,
    stream_window_bytes_max: 5_000,
    connection_window_bytes: 65_535,
    connection_window_bytes_max: 70_000,
    worker_growth_bytes_max: 4_000,
    glitches_max: 40,
    glitches_per_second: 10,
};

/// Any bytes as a connection.
pub(crate) fn connection(bytes: &[u8]) {
    split(bytes, false);
}

/// Any bytes behind a preface and settings.
pub(crate) fn frames(bytes: &[u8]) {
    split(bytes, true);
}

/// Whole, halved, in drips: the same trace.
fn split(bytes: &[u8], is_greeted: bool) {
    let whole = run(bytes, [], is_greeted);
    for cuts in [vec![bytes.len() / 2], (1..bytes.len()).step_by(3).collect(), (1..bytes.len()).collect()] {
        let other = run(bytes, cuts, is_greeted);
        // What an answer that waits for a window lets pass depends on when the window opens.
        if !whole.was_held_up && !other.was_held_up {
            assert_eq!(whole.trace, other.trace, "{}", bytes.escape_ascii());
        }
    }
}

fn run(bytes: &[u8], cuts: impl IntoIterator<Item = usize>, is_greeted: bool) -> Client {
    let mut client = Client::new(Limits::DEFAULT);
    if is_greeted {
        client.greet();
    }
    let mut at = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        client.send(&bytes[at..cut], false);
        at = cut;
    }
    client.send(&[], true);
    client
}

/// The bytes are choices: of frames that make sense where they stand, of some that do not, and of how they
/// are cut.
pub(crate) fn conversation(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let limits = if choices.chance(60) { TIGHT } else { Limits::DEFAULT };
    let mut client = Client::new(limits);
    client.greet();
    let mut script = Script::new(true);
    let mut waiting = Vec::new();
    while !choices.are_over() {
        match script.step(&mut choices, &client) {
            Step::Bytes(bytes) => waiting.extend(bytes),
            Step::Order(order) => {
                client.send(&std::mem::take(&mut waiting), false);
                if client.can(&order) {
                    client.order(&order);
                }
            }
        }
        // Anything from nothing to all, so that a turn knows nothing of frames.
        if choices.chance(60) {
            let count = waiting.len() * choices.below(5) / 4;
            let piece: Vec<u8> = waiting.drain(..count).collect();
            client.send(&piece, false);
        }
    }
    client.send(&waiting, false);
    client.send(&[], true);
}

/// The same, without orders: one trace, however it is cut.
pub(crate) fn monologue(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut script = Script::new(false);
    let client = Client::new(Limits::DEFAULT);
    let mut said = Vec::new();
    while !choices.are_over() && said.len() < 3_000 {
        match script.step(&mut choices, &client) {
            Step::Bytes(bytes) => said.extend(bytes),
            Step::Order(order) => panic!("nobody does as it says: {order}"),
        }
    }
    split(&said, true);
}
