#!/usr/bin/env bash
# Does the program start, answer as the README says, and stop when asked?
#
#   scripts/smoke.sh            builds the release program first
#   KOLK=path scripts/smoke.sh  tries that one
#
# Needs bash and nothing else: it speaks HTTP through /dev/tcp.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

SECONDS_MAX=5 # to wait for any answer
CHECKS=0

# exchange BYTES: sends them on a new connection and prints all that comes back until its end.
exchange() {
    exec 3<>"/dev/tcp/127.0.0.1/$PORT"
    printf '%b' "$1" >&3
    timeout "$SECONDS_MAX" cat <&3 || die "no end of the answer to: $1"
    exec 3<&- 3>&-
}

# expect WHAT BYTES PATTERN...: every pattern (an extended regular expression; \r is CR) must be in the answer.
expect() {
    local what=$1 answer pattern
    answer=$(exchange "$2")
    shift 2
    for pattern in "$@"; do
        grep -qiE -- "$(printf '%b' "$pattern")" <<<"$answer" || die "$what: no \`$pattern\` in:"$'\n'"$answer"
    done
    CHECKS=$((CHECKS + 1))
}

# get TARGET [FIELDS]: the bytes of a last request.
get() {
    printf '%s' "GET $1 HTTP/1.1\\r\\nHost: a\\r\\n${2-}Connection: close\\r\\n\\r\\n"
}

release_build
start "$KOLK" -l 127.0.0.1:0

plaintext=$(exchange "$(get /plaintext)" | tr -d '\r' | tr '[:upper:]' '[:lower:]' | sed 's/^date: .*gmt$/date/')
for line in 'http/1.1 200 ok' 'server: kolk' 'date' 'content-type: text/plain' 'content-length: 13' '' 'hello, world!'; do
    grep -qE "^$line(; charset=utf-8)?\$" <<<"$plaintext" || die "/plaintext: no line \`$line\` in:"$'\n'"$plaintext"
done
[[ $plaintext == *$'\n\nhello, world!' ]] || die "/plaintext: not exactly 13 bytes after the head:"$'\n'"$plaintext"
CHECKS=$((CHECKS + 1))

expect '/' "$(get /)" '^HTTP/1.1 200 OK\r$' '^content-type: text/html' '</html>'
expect '/json' "$(get /json)" '^HTTP/1.1 200 OK\r$' '^content-type: application/json\r$' '^\{.*\}$'
expect '/echo' 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhirl' \
    '^HTTP/1.1 200 OK\r$' '^content-length: 5\r$' '^whirl$'
expect '/echo, chunked' \
    'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nwhi\r\n2\r\nrl\r\n0\r\n\r\n' \
    '^HTTP/1.1 200 OK\r$' 'whirl'
expect '/stream/3' "$(get /stream/3)" '^HTTP/1.1 200 OK\r$' '^transfer-encoding: chunked\r$' '^0\r$'
expect 'HTTP/1.0' 'GET /plaintext HTTP/1.0\r\n\r\n' '^HTTP/1.1 200 OK\r$' '^Hello, World!$'
expect 'HEAD' 'HEAD /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' '^HTTP/1.1 200 OK\r$' '^content-length: 13\r$'
expect 'an unknown path' "$(get /nowhere)" '^HTTP/1.1 404 Not Found\r$'
expect 'a known method in the wrong place' 'DELETE /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' \
    '^HTTP/1.1 405 Method Not Allowed\r$' '^allow: .*GET'
expect 'a malformed request' 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n' '^HTTP/1.1 400 Bad Request\r$' '^connection: close\r$'
expect 'a smuggled length' 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    '^HTTP/1.1 400 Bad Request\r$'

# The program is its own client, for containers that have no other.
"$KOLK" healthcheck "http://127.0.0.1:$PORT/json" >/dev/null || die 'healthcheck: it does not find itself well'
! "$KOLK" healthcheck "http://127.0.0.1:$PORT/nowhere" 2>/dev/null || die 'healthcheck: 404 is not well'
CHECKS=$((CHECKS + 1))

# What packages ship comes from the program itself.
"$KOLK" man | grep -q '^\.TH kolk 1' || die 'man: no page'
"$KOLK" completions bash | bash -n || die 'completions: no script'
CHECKS=$((CHECKS + 1))

# Keep-alive: two requests on one connection, one after the other.
exec 4<>"/dev/tcp/127.0.0.1/$PORT"
for _ in 1 2; do
    printf 'GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n' >&4
    IFS= read -r -t "$SECONDS_MAX" line <&4 || die 'keep-alive: no answer'
    [[ $line == $'HTTP/1.1 200 OK\r' ]] || die "keep-alive: $line"
    while [[ $line != $'\r' ]]; do IFS= read -r -t "$SECONDS_MAX" line <&4; done
    IFS= read -r -t "$SECONDS_MAX" -N 13 line <&4
    [[ $line == 'Hello, World!' ]] || die "keep-alive: the body is $line"
done
CHECKS=$((CHECKS + 1))

# Pipelining: sixteen requests at once, answered in order.
requests=$(for _ in {1..15}; do printf '%s' 'GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n'; done)
answers=$(exchange "$requests$(get /json)" | grep -aoE '^(Hello, World!|\{)' | tr '\n' ' ')
[[ $answers == "$(printf 'Hello, World! %.0s' {1..15}){ " ]] || die "pipelining: $answers"
CHECKS=$((CHECKS + 1))

# TERM drains: the idle connection is closed, the program ends well.
kill -TERM "$PID"
status=0
wait "$PID" || status=$?
[[ $status == 0 ]] || die "exit status $status after TERM"
[[ -z $(timeout "$SECONDS_MAX" cat <&4) ]] || die 'unasked bytes on an idle connection'
CHECKS=$((CHECKS + 1))

# Files: whole, in part, unchanged, as a list; and nothing outside.
mkdir "$SCRATCH/site"
printf '0123456789' >"$SCRATCH/site/digits.txt"
printf 'SECRET' >"$SCRATCH/secret"
start "$KOLK" serve "$SCRATCH/site" -l 127.0.0.1:0
expect 'a file' "$(get /digits.txt)" '^HTTP/1.1 200 OK\r$' '^etag: "' '^accept-ranges: bytes\r$' '^0123456789$'
expect 'a range' "$(get /digits.txt 'Range: bytes=2-4\r\n')" '^HTTP/1.1 206 ' '^content-range: bytes 2-4/10\r$' '^234$'
expect 'no such range' "$(get /digits.txt 'Range: bytes=10-\r\n')" '^HTTP/1.1 416 ' '^content-range: bytes \*/10\r$'
etag=$(exchange "$(get /digits.txt)" | tr -d '\r' | sed -n 's/^etag: //Ip')
expect 'an unchanged file' "$(get /digits.txt "If-None-Match: $etag\\r\\n")" '^HTTP/1.1 304 '
expect 'a folder' "$(get /)" '^HTTP/1.1 200 OK\r$' 'digits\.txt'
expect 'a folder as JSON' "$(get '/?format=json')" '^content-type: application/json\r$' '"name":"digits.txt"'
expect 'a way out' "$(get /%2e%2e/secret)" '^HTTP/1.1 40[04] '

echo "smoke: $CHECKS checks passed"
