#!/usr/bin/env bash
# What does everything between parse and handler cost? A route of a file with an access log in a file, a rate for each
# client, two more fields, and an admin address, with which stages are timed and answers are counted by route, beside
# the bare route and beside nginx with the same as far as it has it.
#
#   scripts/sites.sh [--rounds N] [--seconds N] [--connections N]
#   scripts/sites.sh --parts [...]    what each part of the explanation costs, beside the same route without it: stages
#                                     timed for the metrics, the flight recorder, request ids, and the four stages in
#                                     each line of an access log
#
# CPU µs of the server per request: medians of N interleaved rounds (3; of the parts 15) of N seconds (3; 1), 64
# connections, each server on CPU 0 and wrk on CPU 1, and the median of the rounds' ratios to what it stands beside.
# Installs wrk and nginx if missing. KOLK names the program.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=
DURATION=
CONNECTIONS=64
PARTS=
options parts:PARTS=yes rounds:ROUNDS seconds:DURATION connections:CONNECTIONS -- "$@"
[[ $PARTS ]] && : "${ROUNDS:=15}" "${DURATION:=1}"
: "${ROUNDS:=3}" "${DURATION:=3}"

tool wrk wrk
tool taskset util-linux
release_build

SERVERS=()
declare -A PID_OF PORT_OF BESIDE

# served NAME BESIDE: what has just been started, and what it is compared with.
served() {
    SERVERS+=("$1")
    PID_OF[$1]=$PID PORT_OF[$1]=$PORT BESIDE[$1]=$2
}

# site NAME BESIDE SITE [REST]: kolk with a route of a file; SITE is said of its site, REST of everything else.
site() {
    cat >"$SCRATCH/$1.toml" <<TOML
${4-}
[[listen]]
addr = "127.0.0.1:0"
[[site]]
hosts = ["*"]
$3
[[site.route]]
path = "/plaintext"
respond = { text = "Hello, World!" }
TOML
    start taskset -c 0 "$KOLK" serve -w 1 -c "$SCRATCH/$1.toml"
    served "$1" "$2"
}

# admin NAME [KEY]: an admin address, which has stages timed, and what else is said of the server.
admin() {
    printf '[server]\nadmin = "unix:%s/%s.sock"\n%s' "$SCRATCH" "$1" "${2-}"
}

# log FORMAT: an access log in a file.
log() {
    printf '[log.access.main]\nto = "%s/kolk.log"\nformat = "%s"' "$SCRATCH" "$1"
}

# nginx with the same as far as it has it.
nginx_beside() {
    PATH=$PATH:/usr/sbin
    tool nginx nginx-light nginx
    PORT=$(free_port)
    cat >"$SCRATCH/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $SCRATCH/nginx.pid;
error_log /dev/null;
events { worker_connections 1024; }
http {
    access_log $SCRATCH/nginx.log combined;
    limit_req_zone \$binary_remote_addr zone=all:10m rate=1000000r/s;
    keepalive_requests 1000000000;
    server {
        listen 127.0.0.1:$PORT;
        limit_req zone=all burst=1000000 nodelay;
        add_header X-Content-Type-Options nosniff always;
        add_header X-Frame-Options DENY always;
        location = /plaintext { default_type text/plain; return 200 "Hello, World!"; }
    }
}
CONF
    taskset -c 0 nginx -p "$SCRATCH" -c "$SCRATCH/nginx.conf" 2>/dev/null &
    PID=$!
    PIDS+=("$PID")
    for _ in {1..100}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && break
        sleep 0.05
    done
    served nginx "$1"
}

if [[ $PARTS ]]; then
    line='{client} {method} {target} {status} {bytes}'
    site route route ''
    site timed route '' "$(admin timed 'flight_recorder = "0B"')"
    site recorded timed '' "$(admin recorded)"
    site ids route '' "$(printf '[server]\nrequest_ids = "own"')"
    site logged logged 'access_log = "main"' "$(log "$line")"
    site shown logged 'access_log = "main"' "$(log "$line {accept_us} {parse_us} {handle_us} {respond_us}")"
    site timed+shown logged 'access_log = "main"' "$(admin both 'flight_recorder = "0B"')
$(log "$line {accept_us} {parse_us} {handle_us} {respond_us}")"
else
    start taskset -c 0 "$KOLK" -w 1 -l 127.0.0.1:0
    served bare bare
    site kolk bare $'access_log = "main"\nheaders = ["two"]\nrate = ["all"]' "$(admin kolk 'flight_recorder = "0B"')
$(log combined)
[rate.all]
rate = \"100000000/s\"
burst = 1000000
[headers.two]
set = { x-content-type-options = \"nosniff\", x-frame-options = \"DENY\" }"
    nginx_beside bare
fi

WRK='taskset -c 1'
for ((round = 0; round < ROUNDS; round++)); do
    for server in "${SERVERS[@]}"; do
        before=$(cpu_us "${PID_OF[$server]}")
        load "${PORT_OF[$server]}" /plaintext "$CONNECTIONS" "$DURATION"
        [[ $ERRORS == 0 ]] || die "$server: $ERRORS requests failed"
        calc "($(cpu_us "${PID_OF[$server]}") - $before) / $REQUESTS" '%.3f\n' >>"$SCRATCH/of.$server"
    done
done
printf '%-12s %8s %7s  %s\n' server 'CPU µs' ratio beside
for server in "${SERVERS[@]}"; do
    ratio=$(paste "$SCRATCH/of.$server" "$SCRATCH/of.${BESIDE[$server]}" | awk '{ print $1 / $2 }' | median)
    printf '%-12s %8.2f %7.3f  %s\n' "$server" "$(median <"$SCRATCH/of.$server")" "$ratio" "${BESIDE[$server]}"
done
