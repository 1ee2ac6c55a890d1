#!/usr/bin/env bash
# What do large tables cost? 10,000 routes of a file beside 10 of them, and a million keys of a rate.
#
#   scripts/tables.sh [--rounds N] [--seconds N]
#
# Routes: CPU µs of the server per request, medians of N interleaved rounds (5) of N seconds (2), the server on CPU 0
# and wrk on CPU 1, which asks for ten of them, in a table of 10 and in one of 10,000, and for all 10,000 in an order
# that no cache likes: the first two differ by what the table costs, the last by what belongs to the routes, too. Keys:
# the memory that a million of them take, each from one request, where they are remembered for a day, and where they are
# forgotten in time. Installs wrk if missing. KOLK names the program.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=5
DURATION=2
options rounds:ROUNDS seconds:DURATION -- "$@"

tool wrk wrk
tool taskset util-linux
release_build
WRK='taskset -c 1'

# routes COUNT: a file with so many.
routes() {
    {
        printf '[[listen]]\naddr = "127.0.0.1:0"\n[[site]]\nhosts = ["*"]\n'
        for ((at = 0; at < $1; at++)); do
            printf '[[site.route]]\npath = "/area%02d/item%05d/{id}"\n' $((at % 97)) "$at"
            printf 'respond = { text = "Hello, World!" }\n'
        done
    } >"$SCRATCH/routes-$1.toml"
}

# asked COUNT: what wrk asks for: so many of the routes.
asked() {
    cat >"$SCRATCH/asked-$1.lua" <<LUA
local at, all = 0, {}
for n = 0, $1 - 1 do
    local path = string.format("/area%02d/item%05d/%d", n % 97, n, n)
    all[n] = "GET " .. path .. " HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"
end
request = function()
    at = (at + 7919) % $1
    return all[at]
end
LUA
}

wrk_script
mv "$SCRATCH/wrk.lua" "$SCRATCH/base.lua"

# ask SCRIPT PORT SECONDS: one run of wrk with the requests of SCRIPT. Sets REQUESTS.
ask() {
    cat "$SCRATCH/base.lua" "$SCRATCH/$1.lua" >"$SCRATCH/wrk.lua"
    load "$2" / 64 "$3"
    [[ $ERRORS == 0 ]] || die "$1: $ERRORS of $REQUESTS requests failed"
}

declare -A PID_OF PORT_OF
for count in 10 10000; do
    routes "$count"
    asked "$count"
    start taskset -c 0 "$KOLK" serve -w 1 -c "$SCRATCH/routes-$count.toml"
    PID_OF[$count]=$PID PORT_OF[$count]=$PORT
done
for ((round = 0; round < ROUNDS; round++)); do
    for pair in 10/10 10/10000 10000/10000; do
        of=${pair#*/}
        before=$(cpu_us "${PID_OF[$of]}")
        ask "asked-${pair%/*}" "${PORT_OF[$of]}" "$DURATION"
        calc "($(cpu_us "${PID_OF[$of]}") - $before) / $REQUESTS" '%.4f\n' >>"$SCRATCH/cost-${pair/\//-of-}"
    done
done
few=$(median <"$SCRATCH/cost-10-of-10")
for pair in 10-of-10 10-of-10000 10000-of-10000; do
    cost=$(median <"$SCRATCH/cost-$pair")
    printf '%-28s %8.2f µs %8.0f ns more\n' "${pair//-/ }" "$cost" "$(calc "($cost - $few) * 1000")"
done

KEYS=1000000

# keys RATE NAME: the memory that a million keys take, where each client may come so often.
keys() {
    local before
    cat >"$SCRATCH/keys.toml" <<TOML
[[listen]]
addr = "127.0.0.1:0"
[rate.all]
key = "header:x-key"
rate = "$1"
[[site]]
hosts = ["*"]
rate = ["all"]
respond = { text = "Hello, World!" }
TOML
    start taskset -c 0 "$KOLK" serve -w 1 -c "$SCRATCH/keys.toml"
    cat >"$SCRATCH/keys.lua" <<LUA
local at = 0
request = function()
    at = at + 1
    if at == $KEYS then wrk.thread:stop() end
    return "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nX-Key: client-" .. at .. "\\r\\n\\r\\n"
end
LUA
    resident() { awk '/VmRSS/ { print $2 }' "/proc/$PID/status"; }
    before=$(resident)
    ask keys "$PORT" 60
    [[ $REQUESTS -ge $((KEYS * 99 / 100)) ]] || die "only $REQUESTS keys were sent"
    printf '%-28s %8.1f MiB\n' "$2" "$(calc "($(resident) - $before) / 1024")"
}
keys 1/d 'a million keys, for a day'
keys 10/s 'the same, for 0.1 s'
