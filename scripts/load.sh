#!/usr/bin/env bash
# Load tests kolk over a table of cases and prints one line each, errors included.
#
#   scripts/load.sh [--seconds N] [--no-oha] [-- flags for kolk]
#
# wrk, h2load, openssl and oha are installed if missing (oha by cargo: minutes; --no-oha leaves it out); without h2load
# or openssl the cases of HTTP/2 or TLS are left out. Everything stays on 127.0.0.1 and ends after N seconds a case
# (default 5). `CPU µs` is the server's CPU time per request: unlike requests per second it keeps its meaning when the
# client is the bottleneck, which it often is.
#
# TLS is 1.3 with AES-128-GCM, X25519 and ECDSA P-256 (of `openssl s_time` each handshake is a full one); HTTP/2 is
# 32 requests at a time on each of 16 connections, and tells no percentiles.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

DURATION=5
OHA=yes
options seconds:DURATION no-oha:OHA= -- "$@"

SCHEME=http
ROW='%-6s %-30s %12s %9s %9s %8s %8s %9s\n'

# wrk_case NAME PATH CONNECTIONS [VARIABLE=VALUE...]
wrk_case() {
    local before
    before=$(cpu_us "$PID")
    env_load "$@"
    row wrk "$1" "$(calc "$REQUESTS / $TOOK" %.0f)" "$P50" "$P99" "$ERRORS" "$before" "$REQUESTS"
}

env_load() {
    local path=$2 connections=$3 setting
    for setting in "${@:4}"; do export "${setting?}"; done
    load "$PORT" "$path" "$connections" "$DURATION" "$SCHEME"
    for setting in "${@:4}"; do unset "${setting%%=*}"; done
}

# h2_case NAME PATH [SCHEME]
h2_case() {
    [[ -n $H2LOAD ]] || return 0
    local before
    before=$(cpu_us "$PID")
    h2_load "$PORT" "$2" "$DURATION" "${3-http}"
    row h2load "$1" "$(calc "$REQUESTS / $TOOK" %.0f)" "$P50" "$P99" "$ERRORS" "$before" "$REQUESTS"
}

# handshake_case NAME PATH
handshake_case() {
    local before
    before=$(cpu_us "$PID")
    handshakes "$PORT" "$2" "$DURATION"
    row s_time "$1" "$(calc "$REQUESTS / $TOOK" %.0f)" "$P50" "$P99" "$ERRORS" "$before" "$REQUESTS"
}

# encrypted [COMMAND...]: starts kolk with the certificate.
encrypted() {
    start "$KOLK" "$@" -l 127.0.0.1:0 --tls "$SCRATCH/cert.pem,$SCRATCH/key.pem" "${FLAGS[@]}"
}

# oha_case NAME PATH CONNECTIONS [flags of oha...]
oha_case() {
    local before report rate requests p50 p99 failed
    before=$(cpu_us "$PID")
    report=$(oha --no-tui --output-format json -z "${DURATION}s" -w -c "$3" "${@:4}" "http://127.0.0.1:$PORT$2")
    rate=$(field requestsPerSec "$report")
    p50=$(calc "$(field p50 "${report#*latencyPercentiles}") * 1e6" %.0f)
    p99=$(calc "$(field p99 "${report#*latencyPercentiles}") * 1e6" %.0f)
    requests=$(calc "$rate * $(field total "$report")" %.0f)
    failed=$(calc "$requests * (1 - $(field successRate "$report"))" %.0f)
    row oha "$1" "$(calc "$rate" %.0f)" "$p50" "$p99" "$failed" "$before" "$requests"
}

# field NAME JSON: its first number of that name.
field() {
    grep -oE "\"$1\": *[0-9.e+-]+" <<<"$2" | head -n 1 | sed 's/.*: *//'
}

# row CLIENT NAME RATE P50 P99 ERRORS CPU_BEFORE REQUESTS
row() {
    local after
    after=$(cpu_us "$PID")
    # shellcheck disable=SC2059
    printf "$ROW" "$1" "$2" "$3" "$4" "$5" "$6" "$(calc "($after - $7) / $8")" "$(calc "$(rss_kib "$PID") / 1024" %.1f)"
}

tool wrk wrk
secure_tools
[[ -z $OHA ]] || cargo_tool oha oha
release_build
FLAGS=("${REST[@]}")
start "$KOLK" -l 127.0.0.1:0 "${FLAGS[@]}"

echo "kolk on $(nproc) CPUs, client on the same ones, $DURATION s a case"
# shellcheck disable=SC2059
printf "$ROW" client case req/s 'p50 µs' 'p99 µs' errors 'CPU µs' 'RSS MiB'
wrk_case 'plaintext, 64 connections' /plaintext 64
wrk_case 'plaintext, 256 connections' /plaintext 256
wrk_case 'plaintext, pipelined x16' /plaintext 64 DEPTH=16
wrk_case 'json, 64 connections' /json 64
wrk_case 'echo, 1 KiB posted' /echo 64 METHOD=POST BYTES=1024
wrk_case '64 KiB of body' /bytes/65536 64
wrk_case 'stream of 10 chunks' /stream/10 64
wrk_case 'a connection per request' /plaintext 64 CLOSE=yes
h2_case 'plaintext, HTTP/2' /plaintext
site=$PID
head -c 1024 /dev/urandom >"$SCRATCH/1k.bin"
head -c 1048576 /dev/urandom >"$SCRATCH/1m.bin"
start "$KOLK" serve "$SCRATCH" -l 127.0.0.1:0 "${FLAGS[@]}"
wrk_case 'a file of 1 KiB' /1k.bin 64
wrk_case 'a file of 1 MiB' /1m.bin 16
h2_case 'a file of 1 KiB, HTTP/2' /1k.bin
kill "$site" "$PID"
if [[ -n $TLS ]]; then
    encrypted
    SCHEME=https wrk_case 'plaintext over TLS' /plaintext 64
    handshake_case 'a handshake per request' /plaintext
    h2_case 'plaintext, HTTP/2 over TLS' /plaintext https
    kill "$PID"
    encrypted serve "$SCRATCH"
    h2_case 'a file, HTTP/2 over TLS' /1k.bin https
fi
if [[ -n $OHA ]]; then
    start "$KOLK" -l 127.0.0.1:0 "${FLAGS[@]}"
    oha_case 'plaintext, 64 connections' /plaintext 64
    oha_case 'echo, 1 KiB posted' /echo 64 -m POST -d "$(printf 'x%.0s' {1..1024})"
    oha_case 'a connection per request' /plaintext 64 --disable-keepalive
fi
kill -0 "$PID" 2>/dev/null || die 'the server has died'
