#!/usr/bin/env bash
# Do the programs that read access logs read these? GoAccess and fail2ban, logs with all that is hard in them.
#
#   scripts/logs.sh
#
# Each line must be read by both, a client that forges must not be taken for another, and what is redacted must not be
# there. Installs curl, goaccess and fail2ban if missing. KOLK names the program.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

tool curl curl
tool goaccess goaccess
tool fail2ban-regex fail2ban
release_build

LOG=$SCRATCH/access.log
CUSTOM=$SCRATCH/custom.log
JSON=$SCRATCH/json.log
hash=$(echo secret | "$KOLK" hash-password)
echo "ada:$hash" >"$SCRATCH/users"
cat >"$SCRATCH/kolk.toml" <<TOML
[[listen]]
addr = "127.0.0.1:0"
[auth.staff]
kind = "basic"
file = "users"
[log.access.main]
to = "access.log"
format = "combined"
redact = ["query:token"]
[log.access.custom]
to = "custom.log"
format = '{time} {client} "{method} {target} {version}" {status} {bytes} "{referer}" "{user_agent}"'
[log.access.json]
to = "json.log"
[[site]]
hosts = ["*"]
access_log = "main"
respond = 404
[[site.route]]
path = "/"
respond = { text = "hello\n" }
[[site.route]]
path = "/staff"
auth = "staff"
respond = { text = "welcome\n" }
[[site.route]]
path = "/custom"
access_log = "custom"
respond = { text = "custom\n" }
[[site.route]]
path = "/json"
access_log = "json"
respond = { text = "json\n" }
[[site.route]]
path = "/json/staff"
access_log = "json"
auth = "staff"
respond = { text = "welcome\n" }
TOML
start "$KOLK" serve -w 1 -c "$SCRATCH/kolk.toml"

ask() { curl -s --max-time 20 -o "$SCRATCH/answer" "${@:2}" "http://127.0.0.1:$PORT$1"; }
FORGED='x" 401 0 "-" "-" 203.0.113.9 - - [22/Nov/2026:15:00:00 +0000] "GET /staff HTTP/1.1" 401 0 "-" "-"'
ask / -A curl/8 -e "http://a.example/?token=SECRET"
ask / -A "$FORGED" -e "$FORGED"
ask / -A $'caf\xe9 \xf0\x9f\x8c\x80 \\ "'
ask / --http2-prior-knowledge
ask '/?q=%22%0a&token=SECRET&x=1'
ask /staff -u ada:secret
ask /wp-login.php
for name in ada '203.0.113.9 - - [' '"'; do ask /staff -u "$name:wrong"; done
exec 3<>"/dev/tcp/127.0.0.1/$PORT"
printf 'GET / HTTP/9.9\r\n\r\n' >&3
cat <&3 >"$SCRATCH/answer"
for _ in 1 2; do ask /custom -A "$FORGED"; done
FORGED='x","client":"203.0.113.9","status":401,"y":"'
for name in ada "$FORGED"; do ask "/json?$name" -g -A "$FORGED" -e "$FORGED"; done
for name in ada "$FORGED"; do ask /json/staff -u "$name:wrong"; done
kill "$PID" && wait "$PID"

# holds WHAT FOUND EXPECTED
holds() {
    [[ $2 == "$3" ]] || die "$1: $2 and not $3:"$'\n'"$(cat "$LOG" "$CUSTOM" "$JSON")"
    echo "$1: $2"
}
holds 'lines' "$(cat "$LOG" "$CUSTOM" | wc -l)" 13
holds 'secrets in them' "$(grep -c SECRET "$LOG" "$CUSTOM" | cut -d: -f2 | paste -sd +)" 0+0

# report LOG OPTION...: what GoAccess has read, what it could not read, and the clients.
report() {
    goaccess "$1" --no-global-config "${@:2}" -o "$SCRATCH/report.json" >/dev/null 2>&1
    grep -oE '"(valid|failed)_requests": *[0-9]+' "$SCRATCH/report.json" | grep -oE '[0-9]+$' | paste -sd ' '
    grep -oE '"data": *"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"' "$SCRATCH/report.json" | grep -oE '[0-9.]+' | sort -u
}
holds 'GoAccess: combined' "$(report "$LOG" --log-format=COMBINED | paste -sd ' ')" '11 0 127.0.0.1'
TEMPLATE=('--log-format=%x.%^ %h "%r" %s %b "%R" "%u"' '--datetime-format=%Y-%m-%dT%H:%M:%S')
holds 'GoAccess: template' "$(report "$CUSTOM" "${TEMPLATE[@]}" | paste -sd ' ')" '2 0 127.0.0.1'

MEMBERS='{"time":"%x.%^","client":"%h","method":"%m","target":"%U","version":"%H","status":"%s","bytes":"%b",'
MEMBERS+='"referer":"%R","user_agent":"%u","total_us":"%D.%^"}'
AS_JSON=("--log-format=$MEMBERS" '--datetime-format=%Y-%m-%dT%H:%M:%S')
holds 'GoAccess: JSON' "$(report "$JSON" "${AS_JSON[@]}" | paste -sd ' ')" '4 0 127.0.0.1'

# banned LOG FILTER: the addresses that fail2ban finds, each with its number.
banned() {
    fail2ban-regex --out '<ip>' "$1" "$2" 2>/dev/null | sort | uniq -c | awk '{ print $2, $1 }'
}
WRONG='^\{"time":"[^"]*",(?:"peer":"[^"]*",)?"client":"<HOST>",.*"status":401,'
holds 'fail2ban: wrong passwords, in JSON' "$(banned "$JSON" "$WRONG")" '127.0.0.1 2'
holds 'fail2ban: wrong passwords' "$(banned "$LOG" '^<HOST> - \S+ \[\] "[^"]*" 401 ')" '127.0.0.1 3'
holds 'fail2ban: its filter nginx-botsearch' "$(banned "$LOG" nginx-botsearch)" '127.0.0.1 1'
