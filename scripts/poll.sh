#!/usr/bin/env bash
# Runs all tests on mio's poll(2) back-end, so that nothing depends on epoll alone.
#
#   scripts/poll.sh [arguments for cargo test]
#
# Builds into its own folder below the target directory: the flag changes every crate.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
[[ ${1-} != --help ]] || help

export RUSTFLAGS="${RUSTFLAGS-} --cfg mio_unsupported_force_poll_poll"
export CARGO_TARGET_DIR=$TARGET/poll
cargo test "$@"
