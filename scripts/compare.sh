#!/usr/bin/env bash
# kolk beside the limit (examples/null.rs, null_secure.rs), nginx and h2o, interleaved in one run: what does a request
# cost?
#
#   scripts/compare.sh [--rounds N] [--seconds N] [--connections N] [SCENARIO...]
#
# Scenarios: plaintext, pipelined (16 requests at once), churn (a connection per request), file (1 KiB from disk),
# files (10,000 different ones of 1 KiB, in random order; null has no files), coded (a text that is compressed to
# 1 KiB); tls-plaintext (keep-alive, HTTP/1.1), tls-handshakes (full ones, with one request each); and HTTP/2 with prior
# knowledge (h2c-plaintext, h2c-file) and over TLS (h2-plaintext, h2-file), 32 requests at a time on each of 16
# connections; all by default. h2o takes part where there are files, TLS or HTTP/2, and `files` ends with the memory
# that they took. TLS is 1.3 with AES-128-GCM, X25519 and ECDSA P-256; only kolk sends tickets.
#
# Servers stay up on CPU 0, clients run on CPU 1, and the loads alternate (A B C A B C), so that a noisy machine
# disturbs everyone alike. Medians of N rounds (5) of N seconds (4). `CPU µs` is the CPU time of the server's
# processes per request; `x null` is the median of its ratio to null within the same round: compare that, not the
# rest, from one machine to another. Installs wrk, nginx, h2o, h2load and openssl if missing; what needs one of the last
# three is left out where it cannot be had.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

ROUNDS=5
DURATION=4
CONNECTIONS=64
FILE_CACHE=32MiB # of kolk
SCENARIOS=(plaintext pipelined churn file files coded tls-plaintext tls-handshakes
    h2c-plaintext h2c-file h2-plaintext h2-file)
options rounds:ROUNDS seconds:DURATION connections:CONNECTIONS ... -- "$@"
for scenario in "${OPERANDS[@]}"; do
    [[ " ${SCENARIOS[*]} " == *" $scenario "* ]] || die "unknown scenario $scenario; see --help"
done
[[ ${#OPERANDS[@]} == 0 ]] || SCENARIOS=("${OPERANDS[@]}")

SERVER_CPU=0
CLIENT_CPU=1
if [[ $(nproc) == 1 ]]; then
    CLIENT_CPU=0
    echo 'One CPU only: server and client share it. CPU µs stay comparable, requests per second do not.'
fi
WRK="taskset -c $CLIENT_CPU"

declare -A SERVER PORT_OF
# serve NAME COMMAND...: starts it on the server's CPU.
serve() {
    local name=$1
    shift
    start taskset -c "$SERVER_CPU" "$@"
    SERVER[$name]=$PID
    PORT_OF[$name]=$PORT
}

# place NAME [PORT]: where it is found, as PORT:PID.
place() {
    echo "${2-${PORT_OF[$1]}}:${SERVER[$1]}"
}

start_nginx() {
    local port secure=
    port=$(free_port)
    NGINX_H2C=$(free_port)
    NGINX_TLS=$(free_port)
    [[ -z $TLS ]] || secure="listen 127.0.0.1:$NGINX_TLS ssl http2 backlog=4096;
        ssl_certificate $SCRATCH/cert.pem;
        ssl_certificate_key $SCRATCH/key.pem;
        ssl_protocols TLSv1.3;
        ssl_session_tickets off;
        ssl_session_cache off;"
    cat >"$SCRATCH/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $SCRATCH/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 4096; }
http {
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    client_body_temp_path $SCRATCH;
    proxy_temp_path $SCRATCH;
    fastcgi_temp_path $SCRATCH;
    uwsgi_temp_path $SCRATCH;
    scgi_temp_path $SCRATCH;
    server {
        listen 127.0.0.1:$port backlog=4096;
        listen 127.0.0.1:$NGINX_H2C http2 backlog=4096;
        $secure
        location = /plaintext { return 200 "Hello, World!"; }
        location /f/ {
            root $SCRATCH;
            sendfile on;
            gzip on;
            gzip_types text/plain;
            open_file_cache max=20000 inactive=60s;
            open_file_cache_valid 1s;
        }
    }
}
CONF
    # nginx does not say that it listens: say it in its place, and let `exec` keep the process id.
    serve nginx bash -c "echo listening 127.0.0.1:$port; exec nginx -c $SCRATCH/nginx.conf -p $SCRATCH"
}

start_h2o() {
    local port secure=
    port=$(free_port)
    H2O_TLS=$(free_port)
    [[ -z $TLS ]] || secure="listen:
  host: 127.0.0.1
  port: $H2O_TLS
  ssl: { certificate-file: $SCRATCH/cert.pem, key-file: $SCRATCH/key.pem, neverbleed: OFF, ocsp-update-interval: 0 }
ssl-session-resumption: { mode: off }"
    printf 'Hello, World!' >"$SCRATCH/hello.txt"
    cat >"$SCRATCH/h2o.conf" <<CONF
num-threads: 1
user: $(id -un)
max-connections: 4096
listen: { host: 127.0.0.1, port: $port }
$secure
hosts:
  default:
    compress: [gzip]
    paths:
      /f: { file.dir: $SCRATCH/f }
      /plaintext: { file.file: $SCRATCH/hello.txt, file.mime.setdefaulttype: text/plain }
CONF
    serve h2o bash -c "echo listening 127.0.0.1:$port; exec h2o -c $SCRATCH/h2o.conf"
}

# measure NAME: one run, appended to the files of this scenario.
measure() {
    local before cost
    before=$(cpu_us "${SERVER[$1]}")
    case $LOAD in
        wrk) load "${PORT_OF[$1]}" "$TARGET_PATH" "$CONNECTIONS" "$DURATION" "$SCHEME" ;;
        h2load) h2_load "${PORT_OF[$1]}" "$TARGET_PATH" "$DURATION" "$SCHEME" ;;
        s_time) handshakes "${PORT_OF[$1]}" "$TARGET_PATH" "$DURATION" ;;
    esac
    cost=$(calc "($(cpu_us "${SERVER[$1]}") - $before) / $REQUESTS" %.4f)
    echo "$cost" >>"$RESULTS/$1.cost"
    calc "$REQUESTS / $TOOK" '%.0f\n' >>"$RESULTS/$1.rate"
    [[ $P99 == - ]] || echo "$P99" >>"$RESULTS/$1.p99"
    echo "$ERRORS" >>"$RESULTS/$1.errors"
}

# report NAME: its line of the table.
report() {
    local ratio p99=-
    [[ ! -f $RESULTS/$1.p99 ]] || p99=$(calc "$(median <"$RESULTS/$1.p99")" %.0f)
    ratio=$(paste "$RESULTS/$1.cost" "$RESULTS/null.cost" | awk '{ print $1 / $2 }' | median)
    printf '%-14s %-8s %10.2f %9.3f %12.0f %9s %7d\n' "$SCENARIO" "$1" "$(median <"$RESULTS/$1.cost")" "$ratio" \
        "$(median <"$RESULTS/$1.rate")" "$p99" "$(awk '{ n += $1 } END { print n }' "$RESULTS/$1.errors")"
}

tool wrk wrk
tool nginx nginx-light nginx
try_tool h2o h2o || echo 'h2o cannot be installed here: left out'
tool taskset util-linux
TLS='' H2LOAD=''
[[ ${SCENARIOS[*]} != *tls* && ${SCENARIOS[*]} != *h2* ]] || secure_tools
release_build
if [[ -z ${NULL-} ]]; then
    cargo build --release --quiet --example null --example null_secure
    NULL=$TARGET/release/examples/null
fi

mkdir "$SCRATCH/f"
head -c 1024 /dev/urandom >"$SCRATCH/f/0.bin"
for ((number = 1; number < 10000; number++)); do cp "$SCRATCH/f/0.bin" "$SCRATCH/f/$number.bin"; done
# Digits without a pattern: half of each byte is needed.
od -An -v -tx1 <"$SCRATCH/f/0.bin" | tr -d ' \n' >"$SCRATCH/f/page.txt"

serve kolk "$KOLK" -w 1 -l 127.0.0.1:0
KOLK_SITE=$(place kolk)
serve kolk "$KOLK" serve "$SCRATCH" --file-cache "$FILE_CACHE" -w 1 -l 127.0.0.1:0
KOLK_FILES=$(place kolk)
serve null "$NULL" 0
start_nginx
! command -v h2o >/dev/null || start_h2o
KEEP_ALIVE_NULL=$(place null)
serve null "$NULL" 0 --close
CLOSING_NULL=$(place null)
serve null "$NULL" 0 --body 1024
FILE_NULL=$(place null)
if [[ -n $H2LOAD ]]; then
    serve null "${NULL}_secure" 0
    H2C_NULL=$(place null)
    serve null "${NULL}_secure" 0 --body 1024
    H2C_FILE_NULL=$(place null)
fi
if [[ -n $TLS ]]; then
    pair=("$SCRATCH/cert.pem" "$SCRATCH/key.pem")
    serve kolk "$KOLK" -w 1 -l 127.0.0.1:0 --tls "${pair[0]},${pair[1]}"
    KOLK_TLS_SITE=$(place kolk)
    serve kolk "$KOLK" serve "$SCRATCH" --file-cache "$FILE_CACHE" -w 1 -l 127.0.0.1:0 --tls "${pair[0]},${pair[1]}"
    KOLK_TLS_FILES=$(place kolk)
    serve null "${NULL}_secure" 0 --tls "${pair[@]}"
    TLS_NULL=$(place null)
    serve null "${NULL}_secure" 0 --tls "${pair[@]}" --close
    CLOSING_TLS_NULL=$(place null)
    serve null "${NULL}_secure" 0 --tls "${pair[@]}" --body 1024
    TLS_FILE_NULL=$(place null)
fi
NGINX=$(place nginx)
[[ -z ${SERVER[h2o]-} ]] || H2O=$(place h2o)
sleep 0.5

declare -A memory
# memory_kib PID: what a process and its children have in memory.
memory_kib() {
    local pid sum=0
    for pid in "$1" $(pgrep -P "$1" || true); do sum=$((sum + $(rss_kib "$pid"))); done
    echo "$sum"
}

echo "$ROUNDS rounds of $DURATION s, $CONNECTIONS connections, server on CPU $SERVER_CPU, clients on CPU $CLIENT_CPU"
printf '%-14s %-8s %10s %9s %12s %9s %7s\n' scenario server 'CPU µs' 'x null' req/s 'p99 µs' errors
# shellcheck disable=SC2034 # null, kolk, nginx, h2o: read by name
for SCENARIO in "${SCENARIOS[@]}"; do
    case $SCENARIO in tls-* | h2-*) [[ -n $TLS ]] || continue ;; esac
    case $SCENARIO in h2*) [[ -n $H2LOAD ]] || continue ;; esac
    RESULTS=$SCRATCH/$SCENARIO
    mkdir "$RESULTS"
    unset DEPTH CLOSE FILES ACCEPT_ENCODING
    null=$KEEP_ALIVE_NULL kolk=$KOLK_SITE nginx=$NGINX h2o=${H2O-} TARGET_PATH=/plaintext LOAD=wrk SCHEME=http
    names=(kolk null nginx)
    case $SCENARIO in
        pipelined) export DEPTH=16 ;;
        churn) export CLOSE=yes && null=$CLOSING_NULL ;;
        file) null=$FILE_NULL kolk=$KOLK_FILES TARGET_PATH=/f/0.bin ;;
        coded)
            export ACCEPT_ENCODING='gzip, br, zstd'
            null=$FILE_NULL kolk=$KOLK_FILES TARGET_PATH=/f/page.txt
            ;;
        files) export FILES=10000 && null=$FILE_NULL kolk=$KOLK_FILES TARGET_PATH=/f/ ;;
        tls-plaintext) null=$TLS_NULL ;;
        tls-handshakes) null=$CLOSING_TLS_NULL LOAD=s_time ;;
        h2c-plaintext) null=$H2C_NULL LOAD=h2load ;;
        h2c-file) null=$H2C_FILE_NULL kolk=$KOLK_FILES TARGET_PATH=/f/0.bin LOAD=h2load ;;
        h2-plaintext) null=$TLS_NULL LOAD=h2load ;;
        h2-file) null=$TLS_FILE_NULL TARGET_PATH=/f/0.bin LOAD=h2load ;;
    esac
    case $SCENARIO in
        h2c-*) nginx=$(place nginx "$NGINX_H2C") ;;
        tls-* | h2-*)
            SCHEME=https kolk=$KOLK_TLS_SITE nginx=$(place nginx "$NGINX_TLS") h2o=${H2O:+$(place h2o "$H2O_TLS")}
            [[ $SCENARIO != h2-file ]] || kolk=$KOLK_TLS_FILES
            ;;
    esac
    case $SCENARIO in plaintext | pipelined | churn) h2o= ;; esac
    [[ -z $h2o ]] || names+=(h2o)
    for name in "${names[@]}"; do
        PORT_OF[$name]=${!name%:*}
        SERVER[$name]=${!name#*:}
    done
    for name in "${names[@]}"; do memory[$name]=$(memory_kib "${SERVER[$name]}"); done
    for ((round = 0; round < ROUNDS; round++)); do
        for name in "${names[@]}"; do measure "$name"; done
    done
    for name in "${names[@]}"; do report "$name"; done
    if [[ $SCENARIO == files ]]; then
        for name in kolk nginx h2o; do
            [[ -z ${memory[$name]-} ]] ||
                echo "memory: $name took $(($(memory_kib "${SERVER[$name]}") - memory[$name])) KiB more"
        done
        echo "memory: kolk may keep $FILE_CACHE of files, and needs some for $CONNECTIONS connections"
    fi
done
