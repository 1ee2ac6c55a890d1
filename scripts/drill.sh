#!/usr/bin/env bash
# Is a request lost when the configuration file changes, or when the server ends? It is changed and read again 100 times
# under load, now and then with a mistake in it, and then the server is drained under the same load.
#
#   scripts/drill.sh [--reloads N] [--connections N]
#   scripts/drill.sh --quick     without the slow download
#
# Load: HTTP/1.1 and HTTP/2 at the same time, on a fixed answer, a file, and a page behind a password (bcrypt), by
# examples/drill.rs, which knows of each request what became of it; beside them a slow download with curl, and a visitor
# of a port that is a site's by turns, and by turns sends everybody to https. Two workers. Fails unless 0 requests are
# lost, every file that was right is served and no other, the listener that every other file has comes and goes, memory
# grows by less than 2 MiB from the 20th reload on (or the 5th), and no descriptor is left open. Installs curl and
# openssl if missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

RELOADS=100
CONNECTIONS=32
QUICK=
options reloads:RELOADS connections:CONNECTIONS quick:QUICK=yes -- "$@"
KIB_MAX=2048

tool curl curl
tool openssl openssl
release_build
cargo build --quiet --example drill
DRILL=$TARGET/debug/examples/drill
mkdir "$SCRATCH/www"
head -c 40000 /dev/zero >"$SCRATCH/www/file.bin"
# A hole: nothing has to be on the disk.
truncate -s 20M "$SCRATCH/www/large.bin"
printf 'drill:%s\n' "$("$KOLK" hash-password --algorithm bcrypt <<<drill)" >"$SCRATCH/users"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$SCRATCH/key.pem" -out "$SCRATCH/cert.pem" 2>"$SCRATCH/openssl.err" || die "$(cat "$SCRATCH/openssl.err")"
MOVED=$(free_port)

# file NUMBER [MORE]: the configuration that answers with NUMBER, put in its place at once; with an odd one it listens
# on a socket file, too, and sends everybody to https who comes to the port that is a site's otherwise.
file() {
    local more=
    (($1 % 2 == 0)) || more="redirect_to_https = true
[[listen]]
addr = \"unix:$SCRATCH/odd.sock\""
    cat >"$SCRATCH/kolk.toml.new" <<TOML
[server]
workers = 2
admin = "unix:$SCRATCH/admin.sock"
shutdown_delay = "2s"
shutdown_grace = "10s"
${2-}
[[tls.cert]]
cert = "cert.pem"
key = "key.pem"
[[listen]]
addr = "127.0.0.1:0"
[[listen]]
addr = "127.0.0.1:0"
tls = true
[[listen]]
addr = "127.0.0.1:$MOVED"
$more
[rate.all]
rate = "100000000/s"
burst = 1000000
[auth.people]
kind = "basic"
file = "users"
[[site]]
hosts = ["*"]
rate = ["all"]
[[site.route]]
path = "/"
respond = { text = "$1" }
[[site.route]]
path = "/www/{*file}"
static = "www"
[[site.route]]
path = "/private"
auth = "people"
respond = { text = "private" }
TOML
    mv "$SCRATCH/kolk.toml.new" "$SCRATCH/kolk.toml"
}

# admin PATH: what the admin site says.
admin() {
    curl -s --unix-socket "$SCRATCH/admin.sock" "http://kolk$1"
}

# counted RESULT: how many reloads came to that.
counted() {
    admin /_kolk/metrics | sed -n "s/^kolk_reloads_total{result=\"$1\"} //p"
}

# until WHAT COMMAND...: waits for it, 10 s at most.
until_so() {
    local what=$1
    shift
    for _ in {1..1000}; do
        ! "$@" || return 0
        sleep 0.01
    done
    die "this never came to be: $what"
}

is_counted() { [[ $(counted "$1") == "$2" ]]; }
says() { [[ $(curl -s "http://127.0.0.1:$PORT/") == "$1" ]]; }
is_gone() { [[ ! -e $1 ]]; }
moved_answers() { [[ $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$MOVED/") == "$1" ]]; }
says_at_socket() { [[ $(curl -s --unix-socket "$SCRATCH/odd.sock" http://kolk/) == "$1" ]]; }
status() {
    [[ $(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SCRATCH/admin.sock" "http://kolk$1") == "$2" ]]
}
descriptors() { find "/proc/$PID/fd" -mindepth 1 | wc -l; }

# visit: comes to the port that is handed over again and again, as long as there is a file that says so.
visit() {
    while [[ -e $SCRATCH/visiting ]]; do
        curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$MOVED/" || true
    done >"$SCRATCH/visits"
}

# under_load: the clients begin, in the background, and write what came of it. They stop when descriptor 9 is closed.
mkfifo "$SCRATCH/enough"
under_load() {
    "$DRILL" "$PORT" "$CONNECTIONS" / /www/file.bin /private \
        <"$SCRATCH/enough" >"$SCRATCH/load.out" 2>"$SCRATCH/load.err" &
    LOAD=$!
    PIDS+=("$LOAD")
    exec 9>"$SCRATCH/enough"
}

# heard WHAT: waits for the clients, and says what they say. Fails if a request was lost.
heard() {
    local served lost served2 lost2
    exec 9>&-
    wait "$LOAD" || die "the clients failed: $(cat "$SCRATCH/load.err")"
    read -r -d '' served lost served2 lost2 <"$SCRATCH/load.out" || true
    printf '%s: HTTP/1.1 %d failed of %d, HTTP/2 %d failed of %d' "$1" "$lost" "$served" "$lost2" "$served2"
    ASKED=$((ASKED + served + served2))
    [[ $lost$lost2 == 00 ]] || die "requests were lost: $(sort "$SCRATCH/load.err" | uniq -c | head -n 20)"
    ((served > 0 && served2 > 0)) || die 'there was no load'
}
ASKED=0

file 0
start "$KOLK" serve -c "$SCRATCH/kolk.toml" --log off
until_so 'ready' status /readyz 200

# What begins before all of it.
if [[ -z $QUICK ]]; then
    curl -sf --limit-rate 1M -o "$SCRATCH/large.got" "http://127.0.0.1:$PORT/www/large.bin" &
    DOWNLOAD=$!
    PIDS+=("$DOWNLOAD")
fi
under_load
touch "$SCRATCH/visiting"
visit &
VISITOR=$!
PIDS+=("$VISITOR")
done_count=0 refused=0
for ((number = 1; number <= RELOADS; number++)); do
    if ((number % 10 == 0)); then
        file "$number" 'wrkers = 3'
        kill -HUP "$PID"
        refused=$((refused + 1))
        until_so "the file with a mistake is refused" is_counted refused "$refused"
        says $((number - 1)) || die 'a file with a mistake has changed what is served'
    fi
    file "$number"
    kill -HUP "$PID"
    done_count=$((done_count + 1))
    until_so "file $number is read" is_counted 'done' "$done_count"
    until_so "file $number is served" says "$number"
    if ((number % 2)); then
        until_so "file $number is served at its socket" says_at_socket "$number"
        until_so "file $number sends to https" moved_answers 308
    else
        until_so "the listener that file $number does without is gone" is_gone "$SCRATCH/odd.sock"
        until_so "file $number sends nobody to https" moved_answers 200
    fi
    if ((number == (RELOADS < 50 ? 5 : 20))); then
        KIB_BEFORE=$(rss_kib "$PID") OPEN_BEFORE=$(descriptors)
    fi
done
KIB_AFTER=$(rss_kib "$PID") OPEN_AFTER=$(descriptors)
rm "$SCRATCH/visiting"
wait "$VISITOR" || die 'the visitor failed'
lost_visits=$(grep -cvE '^(200|308)$' "$SCRATCH/visits" || true)
ASKED=$((ASKED + $(wc -l <"$SCRATCH/visits")))
[[ $lost_visits == 0 ]] || die "visits were lost: $(sort "$SCRATCH/visits" | uniq -c)"
heard "$RELOADS reloads, $refused refused"
printf '; memory %+d KiB, descriptors %+d\n' $((KIB_AFTER - KIB_BEFORE)) $((OPEN_AFTER - OPEN_BEFORE))
((KIB_AFTER - KIB_BEFORE < KIB_MAX)) || die "memory grew from $KIB_BEFORE to $KIB_AFTER KiB"
((OPEN_AFTER - OPEN_BEFORE < 10)) || die "descriptors: $OPEN_BEFORE, then $OPEN_AFTER"

under_load
until_so 'the load is there' says "$RELOADS"
sleep 1
kill -TERM "$PID"
until_so 'not ready' status /readyz 503
says "$RELOADS" || die 'a newcomer is turned away before the delay is over'
status /livez 200 || die 'it is not alive while it drains'
began=$EPOCHREALTIME
if [[ -z $QUICK ]]; then
    wait "$DOWNLOAD" || die 'the download that began before all reloads was cut'
    cmp "$SCRATCH/large.got" "$SCRATCH/www/large.bin" || die 'the download is another file'
fi
ended=0
wait "$PID" || ended=$?
took=$(calc "$EPOCHREALTIME - $began" %.1f)
heard drain
printf '; it took %s s\n' "$took"
[[ $ended == 0 ]] || die "exit status $ended after TERM"
echo "drill: 0 failed of $ASKED"
