#!/usr/bin/env bash
# What is shipped with kolk: licences, sources and crates as deny.toml allows them.
#
#   scripts/deny.sh [--advisories]
#
# Needs cargo-deny (cargo install --locked cargo-deny); where it is missing nothing is checked, which is said: a check
# of what others ship is not left to a program that somebody else has packed. With --advisories also that no crate has a
# known one, which changes from day to day, and needs a way to their list.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
ADVISORIES=
options advisories:ADVISORIES=yes -- "$@"

if ! command -v cargo-deny >/dev/null; then
    echo 'left out: there is no cargo-deny here (cargo install --locked cargo-deny)'
    exit 0
fi
cargo-deny --log-level error check bans licenses sources
[[ -z $ADVISORIES ]] || cargo-deny --log-level error check advisories
