#!/usr/bin/env bash
# Records where the time goes under load: flamegraphs/NAME.svg, and the top functions by their own time.
#
#   scripts/profile.sh [--tls] [--h2 | --handshakes] [NAME] [PATH] [-- arguments for the client]
#   scripts/profile.sh plaintext /plaintext -- -c 64 -d 10
#   scripts/profile.sh --h2 h2c-plaintext        --tls --h2 h2-tls-plaintext        --tls tls-plaintext
#   scripts/profile.sh --handshakes handshakes   (full ones, one request each, for `-- SECONDS`, or `--resume` behind)
#   DEPTH=16 scripts/profile.sh pipelined        METHOD=POST BYTES=1024 scripts/profile.sh echo /echo
#   DIR=folder scripts/profile.sh file /name     (the files of a folder)
#   CONFIG=kolk.toml scripts/profile.sh site /   (the sites of a file, which says where to listen: 127.0.0.1:0)
#   FOLDED=file scripts/profile.sh ...           (keeps the folded stacks, too)
#
# The client is wrk, which speaks HTTP/1.1; with `--h2` h2load, with prior knowledge where it is not `--tls`; with
# `--handshakes` examples/storm.rs. The server of `--tls` has a certificate that kolk makes itself.
#
# Builds the profile `profiling` (the release build with symbols) with frame pointers. Uses the CPU's cycle counter,
# or the clock where there is none (most virtual machines). Installs wrk or h2load, perf and inferno if missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

SCHEME=http
CLIENT=wrk
options tls:SCHEME=https h2:CLIENT=h2load handshakes:CLIENT=storm ... -- "$@"
[[ $CLIENT != storm ]] || SCHEME=https
NAME=${OPERANDS[0]-plaintext}
URL_PATH=${OPERANDS[1]-/plaintext}
ARGUMENTS=("${REST[@]}")
case $CLIENT in
    wrk)
        [[ ${#REST[@]} -gt 0 ]] || ARGUMENTS=(-c 64 -d 10)
        tool wrk wrk
        ;;
    h2load)
        [[ ${#REST[@]} -gt 0 ]] || ARGUMENTS=(-c 16 -m 32 -D 10)
        tool h2load nghttp2-client
        ;;
    storm)
        [[ ${#REST[@]} -gt 0 ]] || ARGUMENTS=(10)
        if [[ -z ${STORM-} ]]; then
            cargo build --release --quiet --example storm
            STORM=$TARGET/release/examples/storm
        fi
        ;;
esac
HERTZ=999

tool perf linux-perf linux-tools-generic
cargo_tool inferno-flamegraph inferno

if [[ -z ${KOLK-} ]]; then
    RUSTFLAGS="${RUSTFLAGS-} -C force-frame-pointers=yes" CARGO_TARGET_DIR=$TARGET/frames \
        cargo build --quiet --profile profiling
    KOLK=$TARGET/frames/profiling/kolk
fi
EVENT=cycles
perf stat -e cycles true 2>&1 | grep -q 'not supported' && EVENT=cpu-clock

SERVER=("$KOLK")
[[ -z ${DIR-} ]] || SERVER+=(serve "$DIR")
if [[ -n ${CONFIG-} ]]; then
    SERVER+=(serve -w 1 -c "$CONFIG")
else
    SERVER+=(-w 1 -l 127.0.0.1:0)
fi
[[ $SCHEME == http ]] || SERVER+=(--tls)
XDG_DATA_HOME=$SCRATCH start "${SERVER[@]}"
URL=$SCHEME://127.0.0.1:$PORT$URL_PATH
case $CLIENT in
    wrk)
        wrk_script
        LOAD=(wrk -t1 "${ARGUMENTS[@]}" -s "$SCRATCH/wrk.lua" "$URL")
        ;;
    h2load) LOAD=(h2load -t1 "${ARGUMENTS[@]}" "$URL") ;;
    storm) LOAD=("$STORM" handshakes "$PORT" "${ARGUMENTS[@]}") ;;
esac
"${LOAD[@]}" >"$SCRATCH/load" &
LOADER=$!
PIDS+=("$LOADER")
sleep 1 # the first second is warming up
perf record --quiet -e "$EVENT" -F "$HERTZ" --call-graph fp -p "$PID" -o "$SCRATCH/perf.data" >/dev/null 2>&1 &
RECORDER=$!
PIDS+=("$RECORDER")
wait "$LOADER" || die "$CLIENT failed"
kill -INT "$RECORDER"
wait "$RECORDER" || true

mkdir -p flamegraphs
perf script -i "$SCRATCH/perf.data" 2>/dev/null | inferno-collapse-perf >"$SCRATCH/folded" 2>/dev/null
[[ -s $SCRATCH/folded ]] || die 'perf has recorded nothing'
inferno-flamegraph --title "kolk $URL_PATH ($NAME), $(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')" \
    --subtitle "$CLIENT ${ARGUMENTS[*]}, $EVENT" <"$SCRATCH/folded" >"flamegraphs/$NAME.svg"

[[ -z ${FOLDED-} ]] || cp "$SCRATCH/folded" "$FOLDED"
cat "$SCRATCH/load"
echo
echo 'own time  function'
awk '{
    n = $NF; sub(/ [0-9]+$/, ""); depth = split($0, frames, ";"); own[frames[depth]] += n; all += n
} END { for (frame in own) printf "%7.1f%%  %s\n", 100 * own[frame] / all, frame }' "$SCRATCH/folded" | sort -rn | sed 25q
echo
echo "flamegraphs/$NAME.svg: add its line to flamegraphs/README.md"
