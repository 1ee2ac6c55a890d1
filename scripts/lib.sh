#!/usr/bin/env bash
# What the scripts share: steps, tools, a server that is always ended, its CPU time. Sourced, not run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
TARGET=${CARGO_TARGET_DIR:-target}
export LC_ALL=C

# A folder for this run, and the processes that this run started: both are gone at its end.
SCRATCH=$(mktemp -d)
PIDS=()
at_exit() {
    local status=$?
    trap '' INT TERM
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$SCRATCH"
    exit "$status"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Prints the comment at the head of the calling script, which is its help.
help() {
    sed -n '2,/^[^#]/{/^#/!d; s/^# \{0,1\}//; p}' "$0"
    exit 0
}

# options NAME:VARIABLE... [NAME:VARIABLE=VALUE...] [...] -- ARGUMENT...: reads what the calling script was given. With
# `rounds:ROUNDS` its `--rounds 5` sets ROUNDS, with `tls:SCHEME=https` its `--tls` does that; `--help` it has anyway.
# What is no option is in OPERANDS, where a `...` says that there may be such; what stands behind a `--` in REST.
options() {
    local -A settings=()
    local setting
    # shellcheck disable=SC2034 # for the caller
    OPERANDS=() REST=()
    while [[ $1 != -- ]]; do
        settings[--${1%%:*}]=${1#*:}
        shift
    done
    while shift && [[ $# -gt 0 ]]; do
        setting=${settings[${1:-none}]-}
        if [[ $1 == --help ]]; then
            help
        elif [[ $1 == -- ]]; then
            # shellcheck disable=SC2034 # for the caller
            REST=("${@:2}")
            break
        elif [[ $setting == *=* ]]; then
            printf -v "${setting%%=*}" %s "${setting#*=}"
        elif [[ -n $setting ]]; then
            [[ $# -gt 1 ]] || die "$1 needs a value; see --help"
            printf -v "$setting" %s "$2"
            shift
        else
            [[ -n ${settings[--...]-} && $1 != --* ]] || die "unknown argument $1; see --help"
            OPERANDS+=("$1")
        fi
    done
}

# step NAME COMMAND...: runs one step, saying its name first and its seconds afterwards.
step() {
    local name=$1 began=$SECONDS
    shift
    printf '── %s\n' "$name"
    "$@" </dev/null || die "$name failed after $((SECONDS - began)) s"
    printf '── %s: ok, %d s\n\n' "$name" $((SECONDS - began))
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

# try_tool COMMAND PACKAGE...: installs the first package that brings COMMAND, if it is missing.
try_tool() {
    local command=$1 package
    shift
    command -v "$command" >/dev/null && return 0
    command -v apt-get >/dev/null || return 1
    [[ -n ${APT_UPDATED-} ]] || as_root apt-get update -qq >/dev/null 2>&1 || true
    APT_UPDATED=yes
    for package in "$@"; do
        echo "installing $package" >&2
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
            >/dev/null 2>&1 || continue
        command -v "$command" >/dev/null && return 0
    done
    return 1
}

tool() {
    try_tool "$@" || die "$1 is needed and could not be installed (packages tried: ${*:2})"
}

# cargo_tool COMMAND CRATE: the same for a program that cargo installs.
cargo_tool() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v "$1" >/dev/null && return 0
    echo "installing $2 (cargo install, once)" >&2
    cargo install --locked --quiet "$2" || die "cargo install $2 failed"
}

# Sets KOLK to the program under test: what the caller named, else a release build.
release_build() {
    if [[ -z ${KOLK-} ]]; then
        cargo build --release --quiet
        KOLK=$TARGET/release/kolk
    fi
    [[ -x $KOLK ]] || die "no program at $KOLK"
}

# start COMMAND...: starts a server and waits for its `listening …:PORT`. Sets PID and PORT.
start() {
    local log
    log=$(mktemp -p "$SCRATCH" server.XXXXXX)
    "$@" >"$log" 2>&1 </dev/null &
    PID=$!
    PIDS+=("$PID")
    for _ in {1..100}; do
        PORT=$(sed -nE 's/.*listening [^ ]*:([0-9]+).*/\1/p' "$log" | head -n 1)
        [[ -z $PORT ]] || return 0
        kill -0 "$PID" 2>/dev/null || break
        sleep 0.05
    done
    cat "$log" >&2
    die "$1 does not listen"
}

# A port that nobody listens on, for servers that cannot choose one themselves.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# cpu_us PID: microseconds of CPU that a process, its threads and its children have used.
cpu_us() {
    local pid
    for pid in "$1" $(pgrep -P "$1" || true); do
        cat "/proc/$pid/task"/*/schedstat
    done | awk '{ nanos += $1 } END { printf "%d\n", nanos / 1000 }'
}

# rss_kib PID: resident memory in KiB.
rss_kib() {
    awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

# Writes wrk's script: one request at a time, or DEPTH at once; METHOD and BYTES of body, ACCEPT_ENCODING, and one of
# FILES below the path, as the environment says.
# Its last line is `@ requests seconds errors p50 p99`, times in microseconds.
wrk_script() {
    cat >"$SCRATCH/wrk.lua" <<'LUA'
local depth = tonumber(os.getenv("DEPTH") or "1")
wrk.method = os.getenv("METHOD") or "GET"
local bytes = tonumber(os.getenv("BYTES") or "0")
if bytes > 0 then
  wrk.body = string.rep("x", bytes)
end
if os.getenv("CLOSE") then
  wrk.headers["Connection"] = "close"
end
wrk.headers["Accept-Encoding"] = os.getenv("ACCEPT_ENCODING")
local files = tonumber(os.getenv("FILES") or "0")
if files > 0 then
  function request()
    return wrk.format(nil, wrk.path .. math.random(0, files - 1) .. ".bin")
  end
end
if depth > 1 then
  local batch
  function init()
    batch = string.rep(wrk.format(), depth)
  end
  function request()
    return batch
  end
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("@ %d %.6f %d %d %d\n", summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
LUA
}

# load PORT PATH CONNECTIONS SECONDS [SCHEME]: one run of wrk against a server on this machine. Sets REQUESTS, TOOK (s),
# ERRORS, P50, P99 (µs). The command before wrk (`taskset -c 1`) is in WRK.
load() {
    local line
    [[ -f $SCRATCH/wrk.lua ]] || wrk_script
    line=$(${WRK-} wrk -t1 -c"$3" -d"$4s" -s "$SCRATCH/wrk.lua" "${5-http}://127.0.0.1:$1$2" | sed -n 's/^@ //p')
    # shellcheck disable=SC2034 # for the caller
    read -r REQUESTS TOOK ERRORS P50 P99 <<<"$line"
    [[ ${REQUESTS:-0} -gt 0 ]] || die "no answer from port $1"
}

# Makes a certificate for this machine, cert.pem and key.pem, and has everybody who uses OpenSSL agree to nothing but
# TLS 1.3 with AES-128-GCM and X25519, so that every server does the same work. Fails where there is no openssl.
certificate() {
    try_tool openssl openssl || return 1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
        -keyout "$SCRATCH/key.pem" -out "$SCRATCH/cert.pem" 2>/dev/null || return 1
    cat >"$SCRATCH/openssl.cnf" <<CONF
openssl_conf = init
[init]
ssl_conf = modules
[modules]
system_default = defaults
[defaults]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
CONF
    export OPENSSL_CONF=$SCRATCH/openssl.cnf
}

# What TLS and HTTP/2 are measured with: sets TLS and H2LOAD to `yes`, or to nothing, and says so.
secure_tools() {
    TLS=yes
    certificate || TLS=
    [[ -n $TLS ]] || echo 'openssl is not to be had here: TLS is left out'
    H2LOAD=yes
    try_tool h2load nghttp2-client || H2LOAD=
    [[ -n $H2LOAD ]] || echo 'h2load is not to be had here: HTTP/2 is left out'
}

# h2_load PORT PATH SECONDS SCHEME: one run of h2load, 32 requests at a time on each of 16 connections; http is HTTP/2
# with prior knowledge. Sets the same as `load`, but h2load knows no percentiles.
h2_load() {
    local report
    report=$(${WRK-} h2load -t1 -c16 -m32 -D"$3" --tls13-ciphers=TLS_AES_128_GCM_SHA256 "$4://127.0.0.1:$1$2")
    # shellcheck disable=SC2034 # for the caller
    read -r REQUESTS ERRORS <<<"$(sed -nE \
        's/^requests: .* ([0-9]+) succeeded, ([0-9]+) failed, ([0-9]+) errored, .*/\1 \2/p' <<<"$report")"
    # shellcheck disable=SC2034
    TOOK=$3 P50=- P99=-
    [[ ${REQUESTS:-0} -gt 0 ]] || die "no answer from port $1: $report"
}

# handshakes PORT PATH SECONDS: full handshakes by eight processes at a time, one request each. Sets the same; an error
# is a process that has given up.
handshakes() {
    local pids=() number began=$EPOCHREALTIME
    for number in {1..8}; do
        ${WRK-} openssl s_time -new -time "$3" -connect "127.0.0.1:$1" -www "$2" >"$SCRATCH/s_time.$number" 2>&1 &
        pids+=($!)
    done
    PIDS+=("${pids[@]}")
    ERRORS=0
    for number in "${pids[@]}"; do wait "$number" || ERRORS=$((ERRORS + 1)); done
    # shellcheck disable=SC2034 # for the caller
    REQUESTS=$(awk '/ connections in .* real seconds/ { n += $1 } END { print n + 0 }' "$SCRATCH"/s_time.*)
    # shellcheck disable=SC2034
    TOOK=$(calc "$EPOCHREALTIME - $began") P50=- P99=-
    ((REQUESTS > 0)) || die "no handshake with port $1: $(cat "$SCRATCH/s_time.1")"
}

# calc EXPRESSION [FORMAT]: arithmetic with fractions.
calc() {
    awk "BEGIN { printf \"${2:-%.2f}\", $1 }"
}

# The middle of the numbers on standard input.
median() {
    sort -g | awk '{ all[NR] = $1 } END { print (NR % 2) ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'
}
