#!/usr/bin/env bash
# Does the time of an answer tell a right beginning of a password, or a user, from a wrong one?
#
#   scripts/timing.sh    100,000 guesses of each kind, 10,000 where one takes most of a millisecond
#
# Prints medians, and Welch's t for each two kinds of guesses. Fails when two are told apart (|t| of 4.5 and more) in
# each of five runs. tests/timing.rs says how, and does it with few guesses in each `cargo test`.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

cargo test --release --test timing -- --ignored --nocapture
