#!/usr/bin/env bash
# Records where the time goes under load: flamegraphs/NAME.svg, and the top functions by their own time.
#
#   scripts/profile.sh [NAME] [PATH] [-- arguments for wrk]
#   scripts/profile.sh plaintext /plaintext -- -c 64 -d 10
#   DEPTH=16 scripts/profile.sh pipelined        METHOD=POST BYTES=1024 scripts/profile.sh echo /echo
#   DIR=folder scripts/profile.sh file /name     (the files of a folder)
#
# Builds the profile `profiling` (the release build with symbols) with frame pointers. Uses the CPU's cycle counter,
# or the clock where there is none (most virtual machines). Installs wrk, perf and inferno if missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

[[ ${1-} != --help ]] || help
NAME=plaintext
URL_PATH=/plaintext
[[ $# == 0 || $1 == -- ]] || { NAME=$1 && shift; }
[[ $# == 0 || $1 == -- ]] || { URL_PATH=$1 && shift; }
[[ $# == 0 ]] || shift
WRK_ARGUMENTS=("$@")
[[ $# -gt 0 ]] || WRK_ARGUMENTS=(-c 64 -d 10)
HERTZ=999

tool wrk wrk
tool perf linux-perf linux-tools-generic
cargo_tool inferno-flamegraph inferno

if [[ -z ${KOLK-} ]]; then
    RUSTFLAGS="${RUSTFLAGS-} -C force-frame-pointers=yes" CARGO_TARGET_DIR=$TARGET/frames \
        cargo build --quiet --profile profiling
    KOLK=$TARGET/frames/profiling/kolk
fi
EVENT=cycles
perf stat -e cycles true 2>&1 | grep -q 'not supported' && EVENT=cpu-clock

wrk_script
if [[ -n ${DIR-} ]]; then
    start "$KOLK" serve "$DIR" -w 1 -l 127.0.0.1:0
else
    start "$KOLK" -w 1 -l 127.0.0.1:0
fi
wrk -t1 "${WRK_ARGUMENTS[@]}" -s "$SCRATCH/wrk.lua" "http://127.0.0.1:$PORT$URL_PATH" >"$SCRATCH/wrk" &
CLIENT=$!
PIDS+=("$CLIENT")
sleep 1 # the first second is warming up
perf record --quiet -e "$EVENT" -F "$HERTZ" --call-graph fp -p "$PID" -o "$SCRATCH/perf.data" >/dev/null 2>&1 &
RECORDER=$!
PIDS+=("$RECORDER")
wait "$CLIENT" || die 'wrk failed'
kill -INT "$RECORDER"
wait "$RECORDER" || true

mkdir -p flamegraphs
perf script -i "$SCRATCH/perf.data" 2>/dev/null | inferno-collapse-perf >"$SCRATCH/folded" 2>/dev/null
[[ -s $SCRATCH/folded ]] || die 'perf has recorded nothing'
inferno-flamegraph --title "kolk $URL_PATH ($NAME), $(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')" \
    --subtitle "wrk ${WRK_ARGUMENTS[*]}, $EVENT" <"$SCRATCH/folded" >"flamegraphs/$NAME.svg"

cat "$SCRATCH/wrk"
echo
echo 'own time  function'
awk '{
    n = $NF; sub(/ [0-9]+$/, ""); depth = split($0, frames, ";"); own[frames[depth]] += n; all += n
} END { for (frame in own) printf "%7.1f%%  %s\n", 100 * own[frame] / all, frame }' "$SCRATCH/folded" | sort -rn | sed 25q
echo
echo "flamegraphs/$NAME.svg: add its line to flamegraphs/README.md"
