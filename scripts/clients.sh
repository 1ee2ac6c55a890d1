#!/usr/bin/env bash
# Do the clients that people have get along with HTTP/2, in the clear and in TLS?
#
#   scripts/clients.sh            builds the release program first
#   KOLK=path scripts/clients.sh  tries that one
#
# curl fetches over HTTP/1.1 and 2 and compares, fetches 24 files at a time over one connection, and uploads 20 MB;
# nghttp shows its frames; h2load asks 400 at a time; and Chromium shows the built-in site. Installs curl, openssl and
# nghttp2's clients if missing; Chromium too, and says so and goes on where it cannot be had.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

FILES=24
REQUESTS=10000
SECONDS_MAX=20 # for any one client

tool curl curl
tool openssl openssl
tool nghttp nghttp2-client
tool h2load nghttp2-client
release_build

mkdir "$SCRATCH/site" "$SCRATCH/1.1" "$SCRATCH/2"
printf '0123456789' >"$SCRATCH/site/digits.txt"
for ((n = 1; n <= FILES; n++)); do head -c $((n * 50000)) /dev/urandom >"$SCRATCH/site/$n.bin"; done
head -c 20000000 /dev/urandom >"$SCRATCH/sent.bin"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$SCRATCH/key.pem" -out "$SCRATCH/chain.pem" 2>/dev/null
PAIR=$SCRATCH/chain.pem,$SCRATCH/key.pem

COMMON=(--silent --show-error --max-time "$SECONDS_MAX" --cacert "$SCRATCH/chain.pem")

# try_curl BASE HTTP2: the same bytes in both versions; the second is asked for with HTTP2.
try_curl() {
    local base=$1 version asked name got
    for version in 1.1 2; do
        asked=$([[ $version == 2 ]] && echo "$2" || echo --http1.1)
        # One at a time: curl 7.88 cannot use a connection in the clear twice (its issue 10634).
        for name in digits.txt 1.bin 2.bin 3.bin none; do
            got=$(curl "${COMMON[@]}" "$asked" -D "$SCRATCH/heads" -o "$SCRATCH/$version/$name" \
                -w '%{http_version}' "$base/$name")
            [[ $got == "$version" ]] || die "curl $asked $base/$name: HTTP/$got"
            # The same fields, however they are written and in whatever order.
            tr -d '\r' <"$SCRATCH/heads" | tr '[:upper:]' '[:lower:]' | sed 's/^http[^ ]* \([0-9]*\).*/\1/; /^date:/d' |
                sort >"$SCRATCH/$version/$name.head"
        done
    done
    diff -r "$SCRATCH/1.1" "$SCRATCH/2" || die "curl $base: not the same in both versions"
    cmp -s "$SCRATCH/2/3.bin" "$SCRATCH/site/3.bin" || die "curl $base: not the file"
    rm -f "$SCRATCH/site/sent.bin"
    curl "${COMMON[@]}" "$2" --fail --upload-file "$SCRATCH/sent.bin" -o /dev/null "$base/sent.bin"
    cmp -s "$SCRATCH/sent.bin" "$SCRATCH/site/sent.bin" || die "curl --upload-file $base: another file arrived"
    echo "curl: $base: the same in both versions, 20 MB sent"
}

# try_parallel BASE: many files at a time, over one connection.
try_parallel() {
    local connections n
    connections=$(cd "$SCRATCH/2" && curl "${COMMON[@]}" --http2 --fail --parallel --remote-name-all \
        -w '%{num_connects}\n' "$1/[1-$FILES].bin" 2>/dev/null | awk '{ n += $1 } END { print n }')
    for ((n = 1; n <= FILES; n++)); do
        cmp -s "$SCRATCH/2/$n.bin" "$SCRATCH/site/$n.bin" || die "curl --parallel $1: $n.bin is another file"
    done
    [[ $connections == 1 ]] || die "curl --parallel $1: $connections connections"
    echo "curl: $1: $FILES files at a time over one connection"
}

# try_nghttp BASE: what frames it hears of one exchange.
try_nghttp() {
    local heard frame
    heard=$(timeout "$SECONDS_MAX" nghttp -v "$1/digits.txt") || die "nghttp: $1: exit status $?"
    for frame in 'recv SETTINGS' ':status: 200' 'content-length: 10' 'recv DATA' 'END_STREAM' '0123456789'; do
        grep -q -- "$frame" <<<"$heard" || die "nghttp: $1: no \`$frame\` in:"$'\n'"$heard"
    done
    ! grep -E 'recv (RST_STREAM|GOAWAY)|invalid' <<<"$heard" || die "nghttp: $1: that was not expected"
    echo "nghttp: $1: no complaint"
}

# try_h2load BASE: none of many requests may fail.
try_h2load() {
    local heard
    heard=$(timeout "$SECONDS_MAX" h2load -n "$REQUESTS" -c 4 -m 100 "$1/digits.txt" "$1/2.bin") ||
        die "h2load: $1: exit status $?"
    if ! grep -q " $REQUESTS succeeded, 0 failed, 0 errored, 0 timeout" <<<"$heard" ||
        ! grep -q "^status codes: $REQUESTS 2xx" <<<"$heard"; then
        die "h2load: $1:"$'\n'"$heard"
    fi
    echo "h2load: $1: $(sed -n 's/^finished in //p' <<<"$heard")"
}

# try_browser: the built-in site shows the version that it was asked in.
try_browser() {
    local page
    start "$KOLK" -l 127.0.0.1:0 --tls "$PAIR"
    page=$(timeout "$SECONDS_MAX" chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --ignore-certificate-errors --user-data-dir="$SCRATCH/profile" \
        --dump-dom "https://localhost:$PORT/" 2>"$SCRATCH/chromium.log") || die "chromium: exit status $?"
    grep -q 'HTTP/2' <<<"$page" || die 'chromium: no HTTP/2 in:'$'\n'"$page"
    echo "chromium: https://localhost:$PORT: the built-in site came over HTTP/2"
}

start "$KOLK" serve --upload "$SCRATCH/site" -l 127.0.0.1:0
CLEAR=$PORT
start "$KOLK" serve --upload "$SCRATCH/site" -l 127.0.0.1:0 --tls "$PAIR"
ENCRYPTED=$PORT

try_curl "http://127.0.0.1:$CLEAR" --http2-prior-knowledge
try_curl "https://localhost:$ENCRYPTED" --http2
try_parallel "https://localhost:$ENCRYPTED"
for base in "http://127.0.0.1:$CLEAR" "https://localhost:$ENCRYPTED"; do
    try_nghttp "$base"
    try_h2load "$base"
done
if try_tool chromium chromium; then
    try_browser
else
    echo 'chromium: left out, none could be installed'
fi
