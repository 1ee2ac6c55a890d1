#!/usr/bin/env bash
# What do those who are connected notice while others shake hands without end?
#
#   scripts/storm.sh [--hellos] [--rate N]
#   scripts/storm.sh --cost              what a handshake costs the server, full and resumed
#
# 32 connections over TLS ask for /plaintext, N times a second all together (1,000), in turn alone and beside full
# handshakes, sixteen at a time: three rounds of 1.8 seconds each, 15 s in all. Fails when the median of the 99th
# percentiles rises by 2 ms or more. One worker on CPU 0, the clients on CPU 1, where those who shake hands run only
# while the others sleep (SCHED_IDLE). `--hellos`: they go away as soon as the server has signed its answer, and so
# keep it busy all the time. `--cost`: nobody but those who shake hands, with one request each; the server's CPU time
# for each of them, connection and request included, five interleaved rounds; `lean` is X25519 and SHA-256, and the
# others X25519MLKEM768 and SHA-384. The clients are examples/storm.rs.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=3
DURATION=1.8
STORM_SECONDS=2.1
BOUND_US=2000
RATE=1000
KIND=handshakes
options hellos:KIND=hellos cost:KIND=cost rate:RATE -- "$@"

tool taskset util-linux
tool chrt util-linux
release_build
if [[ -z ${STORM-} ]]; then
    cargo build --release --quiet --example storm
    STORM=$TARGET/release/examples/storm
fi
CLIENT_CPU=1
if [[ $(nproc) == 1 ]]; then
    CLIENT_CPU=0
    echo 'One CPU only: server and clients share it, and the difference is theirs, too.'
fi
# The certificate is one that kolk makes itself, and keeps here.
export XDG_DATA_HOME=$SCRATCH
start taskset -c 0 "$KOLK" -w 1 -l 127.0.0.1:0 --tls

# cost NAME FLAG...: one round of handshakes; notes the server's CPU time for one.
cost() {
    local before
    before=$(cpu_us "$PID")
    taskset -c "$CLIENT_CPU" "$STORM" handshakes "$PORT" "$DURATION" "${@:2}" >"$SCRATCH/storm" ||
        die 'the storm has failed'
    calc "($(cpu_us "$PID") - $before) / $(<"$SCRATCH/storm")" '%.1f\n' >>"$SCRATCH/$1.cost"
}

if [[ $KIND == cost ]]; then
    for _ in {1..5}; do
        cost full
        cost resumed --resume
        cost lean-full --lean
        cost lean-resumed --lean --resume
    done
    printf '%-14s %12s\n' handshake 'CPU µs each'
    for name in full resumed lean-full lean-resumed; do
        printf '%-14s %11s\n' "$name" "$(median <"$SCRATCH/$name.cost")"
    done
    exit 0
fi

# beside NAME: one round of those who are connected, alone or beside the storm.
beside() {
    local probe storm requests p50 p99
    taskset -c "$CLIENT_CPU" "$STORM" probe "$PORT" "$DURATION" "$RATE" >"$SCRATCH/probe" &
    probe=$!
    PIDS+=("$probe")
    if [[ $1 == storm ]]; then
        # They are connected by then, and do not count yet.
        sleep 0.2
        taskset -c "$CLIENT_CPU" chrt --idle 0 "$STORM" "$KIND" "$PORT" "$STORM_SECONDS" >"$SCRATCH/storm" &
        storm=$!
        PIDS+=("$storm")
        wait "$storm" || die 'the storm has failed'
        calc "$(<"$SCRATCH/storm") / $STORM_SECONDS" '%.0f\n' >>"$SCRATCH/handshakes"
    fi
    wait "$probe" || die 'a connection has failed'
    read -r requests p50 p99 <"$SCRATCH/probe"
    ((requests > 0)) || die 'no answer came'
    echo "$requests" >>"$SCRATCH/$1.requests"
    echo "$p50" >>"$SCRATCH/$1.p50"
    echo "$p99" >>"$SCRATCH/$1.p99"
}

for ((round = 0; round < ROUNDS; round++)); do
    for name in alone storm; do beside "$name"; done
done
printf '%-8s %9s %9s %9s %14s\n' beside requests 'p50 µs' 'p99 µs' "$KIND/s"
for name in alone storm; do
    many=-
    [[ $name == alone ]] || many=$(median <"$SCRATCH/handshakes")
    printf '%-8s %9d %8.0f %8.0f %14s\n' "$name" "$(awk '{ n += $1 } END { print n }' "$SCRATCH/$name.requests")" \
        "$(median <"$SCRATCH/$name.p50")" "$(median <"$SCRATCH/$name.p99")" "$many"
done
more=$(calc "$(median <"$SCRATCH/storm.p99") - $(median <"$SCRATCH/alone.p99")" %.0f)
echo "the 99th percentile rises by $more µs; $BOUND_US are the bound"
((more < BOUND_US)) || exit 1
