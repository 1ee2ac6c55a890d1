#!/usr/bin/env bash
# Counts system calls: one recv and one send a request, at most one epoll_wait, nothing else; also with everything that
# a file can put before an answer that never changes.
#
#   scripts/syscalls.sh            builds the release program first
#   KOLK=path scripts/syscalls.sh  counts that one's
#
# Keep-alive first, then batches of sixteen pipelined requests (one recv and one send a batch). Fails when the
# promise is broken; prints what strace counted in any case. The client is bash itself, so the requests are exact.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

TURNS=2000      # requests or batches of a run
SETUP_CALLS=40  # accepting, registering and closing one connection, and the worker's own timers

# turns COUNT DEPTH: DEPTH requests at once, their answers read whole, COUNT times on one connection.
turns() {
    local request='' one length=0 line
    one=$'GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n'
    for ((n = 0; n < $2; n++)); do request+=$one; done
    exec 3<>"/dev/tcp/127.0.0.1/$PORT"
    # The first answer tells how long all are: Date has a fixed width.
    printf '%s' "$one" >&3
    while IFS= read -r -t 5 line <&3; do
        length=$((length + ${#line} + 1))
        [[ $line != $'\r' ]] || break
    done
    IFS= read -r -t 5 -N 13 line <&3
    length=$(((length + 13) * $2))
    for ((n = 0; n < $1; n++)); do
        printf '%s' "$request" >&3
        IFS= read -r -t 5 -N "$length" _ <&3 || die "answer $n did not come"
    done
    exec 3<&- 3>&-
}

# count CALL: how often strace saw it.
count() {
    awk -v call="$1" '$NF == call { n = $4 } END { print n + 0 }' "$SCRATCH/strace"
}

# at_most WHAT COUNT LIMIT
at_most() {
    if (($2 > $3)); then
        echo "FAILED: $2 $1 for $TURNS turns (at most $3)"
        FAILED=yes
    fi
}

# run NAME DEPTH
run() {
    local tracer calls everything
    strace -c -f -o "$SCRATCH/strace" -p "$PID" 2>"$SCRATCH/attached" &
    tracer=$!
    PIDS+=("$tracer")
    for _ in {1..100}; do
        grep -qs attached "$SCRATCH/attached" && break
        kill -0 "$tracer" 2>/dev/null || die "strace cannot attach: $(cat "$SCRATCH/attached")"
        sleep 0.05
    done
    turns "$TURNS" "$2"
    sleep 0.2
    kill -INT "$tracer"
    wait "$tracer" || true

    echo "── $1: $TURNS turns of $2 request(s)"
    awk 'NR == 1 || $4 + 0 > 0 || /^-/' "$SCRATCH/strace"
    everything=$(awk '$NF == "total" { print $4 }' "$SCRATCH/strace")
    calls=0
    for call in recvfrom sendto epoll_wait; do
        at_most "$call" "$(count "$call")" $((TURNS + SETUP_CALLS))
        calls=$((calls + $(count "$call")))
    done
    at_most 'other calls' $((everything - calls)) "$SETUP_CALLS"
    for call in recvfrom sendto; do
        # Fewer would mean that strace saw another process than the one that answered.
        (($(count "$call") >= TURNS)) || { echo "FAILED: only $(count "$call") $call" && FAILED=yes; }
    done
}

FAILED=
tool strace strace
release_build
start "$KOLK" -w 1 -l 127.0.0.1:0
run keep-alive 1
run pipelined 16
cat >"$SCRATCH/kolk.toml" <<TOML
[server]
admin = "unix:$SCRATCH/admin.sock"
trust = { proxies = ["192.0.2.0/24"] }
request_ids = "own"
[rate.all]
rate = "1000000/s"
burst = 1000000
[headers.one]
set = { x-content-type-options = "nosniff" }
[[listen]]
addr = "127.0.0.1:0"
[[site]]
hosts = ["*"]
rate = ["all"]
deny = ["192.0.2.0/24"]
headers = ["one"]
[[site.route]]
path = "/plaintext"
respond = { text = "Hello, World!" }
TOML
start "$KOLK" serve -w 1 -c "$SCRATCH/kolk.toml"
run 'a site of a file' 1
[[ -z $FAILED ]] || exit 1
echo 'syscalls: one recv and one send a turn, nothing else'
