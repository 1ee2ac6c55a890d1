#!/usr/bin/env bash
# What does a second worker bring? A handler that computes for 100 µs, served by one worker and by two in turn.
#
#   scripts/scale.sh [--rounds N] [--seconds N] [--connections N]
#
# Medians of N rounds (5) of N seconds (3) and the ratio of two workers to one, for few connections (8), where the
# kernel spreads them badly, and for many (64). Nothing is pinned: wrk shares the CPUs with the server. At 10,000
# requests a second it needs about a fifth of one, so two workers on two CPUs cannot reach 2.0. Installs wrk if missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=5
DURATION=3
CONNECTIONS='8 64'
options rounds:ROUNDS seconds:DURATION connections:CONNECTIONS -- "$@"

tool wrk wrk
cargo build --release --quiet --example spin
declare -A PORT_OF
for workers in 1 2; do
    start "$TARGET/release/examples/spin" "$workers"
    PORT_OF[$workers]=$PORT
done

printf '%11s %14s %14s %7s %12s\n' connections 'one: req/s' 'two: req/s' ratio 'two: p99 µs'
for connections in $CONNECTIONS; do
    results=$SCRATCH/$connections
    mkdir "$results"
    for ((round = 0; round < ROUNDS; round++)); do
        for workers in 1 2; do
            load "${PORT_OF[$workers]}" / "$connections" "$DURATION"
            calc "$REQUESTS / $TOOK" '%.0f\n' >>"$results/$workers"
            echo "$P99" >>"$results/p99.$workers"
        done
    done
    one=$(median <"$results/1") two=$(median <"$results/2")
    printf '%11d %14.0f %14.0f %7s %12.0f\n' "$connections" "$one" "$two" "$(calc "$two / $one")" \
        "$(median <"$results/p99.2")"
done
