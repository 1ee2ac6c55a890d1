#!/usr/bin/env bash
# What does everything between parse and handler cost? A route of a file with an access log in a file, a rate for each
# client, two more fields, and an admin address, with which stages are timed and answers are counted by route, beside
# the bare route and beside nginx with the same as far as it has it.
#
#   scripts/sites.sh [--rounds N] [--seconds N] [--connections N]
#
# CPU µs of the server per request: medians of N interleaved rounds (3) of N seconds (3), 64 connections, each server on
# CPU 0 and wrk on CPU 1, and the ratio to the bare route. Installs wrk and nginx if missing. KOLK names the program.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=3
DURATION=3
CONNECTIONS=64
options rounds:ROUNDS seconds:DURATION connections:CONNECTIONS -- "$@"

tool wrk wrk
tool taskset util-linux
PATH=$PATH:/usr/sbin
tool nginx nginx-light nginx
release_build

cat >"$SCRATCH/kolk.toml" <<TOML
[server]
admin = "unix:$SCRATCH/admin.sock"
flight_recorder = "0B"
[[listen]]
addr = "127.0.0.1:0"
[rate.all]
rate = "100000000/s"
burst = 1000000
[headers.two]
set = { x-content-type-options = "nosniff", x-frame-options = "DENY" }
[log.access.main]
to = "$SCRATCH/kolk.log"
format = "combined"
[[site]]
hosts = ["*"]
access_log = "main"
headers = ["two"]
rate = ["all"]
[[site.route]]
path = "/plaintext"
respond = { text = "Hello, World!" }
TOML
NGINX=$(free_port)
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
        listen 127.0.0.1:$NGINX;
        limit_req zone=all burst=1000000 nodelay;
        add_header X-Content-Type-Options nosniff always;
        add_header X-Frame-Options DENY always;
        location = /plaintext { default_type text/plain; return 200 "Hello, World!"; }
    }
}
CONF

declare -A PID_OF PORT_OF
start taskset -c 0 "$KOLK" -w 1 -l 127.0.0.1:0
PID_OF[bare]=$PID PORT_OF[bare]=$PORT
start taskset -c 0 "$KOLK" serve -w 1 -c "$SCRATCH/kolk.toml"
PID_OF[kolk]=$PID PORT_OF[kolk]=$PORT
taskset -c 0 nginx -p "$SCRATCH" -c "$SCRATCH/nginx.conf" 2>/dev/null &
PIDS+=("$!")
PID_OF[nginx]=$! PORT_OF[nginx]=$NGINX
for _ in {1..100}; do
    (exec 3<>"/dev/tcp/127.0.0.1/$NGINX") 2>/dev/null && break
    sleep 0.05
done

WRK='taskset -c 1'
for ((round = 0; round < ROUNDS; round++)); do
    for server in bare kolk nginx; do
        before=$(cpu_us "${PID_OF[$server]}")
        load "${PORT_OF[$server]}" /plaintext "$CONNECTIONS" "$DURATION"
        [[ $ERRORS == 0 ]] || die "$server: $ERRORS requests failed"
        calc "($(cpu_us "${PID_OF[$server]}") - $before) / $REQUESTS" '%.3f\n' >>"$SCRATCH/$server"
    done
done
bare=$(median <"$SCRATCH/bare")
printf '%-8s %8s %7s\n' server 'CPU µs' ratio
for server in bare kolk nginx; do
    cost=$(median <"$SCRATCH/$server")
    printf '%-8s %8.2f %7.2f\n' "$server" "$cost" "$(calc "$cost / $bare")"
done
