#!/usr/bin/env bash
# What fast clients notice of one who reads slowly: 63 connections fetch a file of 1 KiB over and over, in turn alone and
# beside a download of 1 GiB at 1 MB/s.
#
#   scripts/slow.sh [--rounds N] [--seconds N]
#
# Medians of N rounds (5) of N seconds (4) each; `x alone` is the median of the ratios of the 99th percentiles within the
# same round. One worker on CPU 0, the clients on CPU 1. Installs wrk and curl if missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=5
DURATION=4
options rounds:ROUNDS seconds:DURATION -- "$@"

tool wrk wrk
tool curl curl
tool taskset util-linux
release_build
head -c 1024 /dev/urandom >"$SCRATCH/small.bin"
# A hole: nothing has to be on the disk, and it is read like any file.
truncate -s 1G "$SCRATCH/large.bin"
CLIENT_CPU=$(($(nproc) > 1 ? 1 : 0))
WRK="taskset -c $CLIENT_CPU"
start taskset -c 0 "$KOLK" serve "$SCRATCH" -w 1 -l 127.0.0.1:0

# beside NAME: one run of the fast clients, alone or beside the slow one.
beside() {
    local slow=
    if [[ $1 == slow ]]; then
        taskset -c "$CLIENT_CPU" curl -s --limit-rate 1M -o /dev/null "http://127.0.0.1:$PORT/large.bin" &
        slow=$!
        PIDS+=("$slow")
        sleep 0.2
    fi
    load "$PORT" /small.bin 63 "$DURATION"
    if [[ -n $slow ]]; then
        kill "$slow" || die 'the slow download has ended before its time'
        wait "$slow" || true
    fi
    echo "$P50" >>"$SCRATCH/$1.p50"
    echo "$P99" >>"$SCRATCH/$1.p99"
    echo "$ERRORS" >>"$SCRATCH/$1.errors"
}

for ((round = 0; round < ROUNDS; round++)); do
    for name in alone slow; do beside "$name"; done
done
printf '%-8s %9s %9s %9s %7s\n' beside 'p50 µs' 'p99 µs' 'x alone' errors
for name in alone slow; do
    ratio=$(paste "$SCRATCH/$name.p99" "$SCRATCH/alone.p99" | awk '{ print $1 / $2 }' | median)
    printf '%-8s %8.0f %8.0f %9.2f %7d\n' "$name" "$(median <"$SCRATCH/$name.p50")" "$(median <"$SCRATCH/$name.p99")" \
        "$ratio" "$(awk '{ n += $1 } END { print n }' "$SCRATCH/$name.errors")"
done
