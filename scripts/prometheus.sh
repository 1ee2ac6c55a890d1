#!/usr/bin/env bash
# Does Prometheus take the metrics? promtool checks the page, and a Prometheus scrapes it and counts as we do.
#
#   scripts/prometheus.sh
#
# Also: once a route was asked, the number of series stays what it was, whatever clients send. Installs curl and
# prometheus if missing. KOLK names the program.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

tool curl curl
tool promtool prometheus
release_build

ADMIN=127.0.0.1:$(free_port)
QUERY=127.0.0.1:$(free_port)
start "$KOLK" -l 127.0.0.1:0 -w 2 --admin "$ADMIN"

page() { curl -s --max-time 10 "http://$ADMIN/_kolk/metrics"; }
series() { page | grep -vc '^#'; }
checked() {
    page | promtool check metrics >"$SCRATCH/checked" 2>&1 || die "promtool refuses the page: $(cat "$SCRATCH/checked")"
    [[ ! -s $SCRATCH/checked ]] || die "promtool complains: $(cat "$SCRATCH/checked")"
}

ask() {
    local at=$1
    curl -s --max-time 10 -o "$SCRATCH/answer" -H "Host: host-$at.example" "http://127.0.0.1:$PORT/plaintext?$at"
    curl -s --max-time 10 -o "$SCRATCH/answer" -A "$at" -X "M$at" "http://127.0.0.1:$PORT/nowhere/$at"
}
ask 0
checked
BEFORE=$(series)
for at in {1..200}; do ask "$at"; done
checked
[[ $(series) == "$BEFORE" ]] || die "there were $BEFORE series, and now there are $(series)"
echo "promtool: no complaints; $BEFORE series before and after 400 hosts, paths and methods"

cat >"$SCRATCH/prometheus.yml" <<YML
scrape_configs:
  - job_name: kolk
    scrape_interval: 1s
    metrics_path: /_kolk/metrics
    static_configs: [{ targets: ["$ADMIN"] }]
YML
prometheus --config.file="$SCRATCH/prometheus.yml" --storage.tsdb.path="$SCRATCH/tsdb" --web.listen-address="$QUERY" \
    >"$SCRATCH/prometheus.log" 2>&1 &
PIDS+=($!)

# value QUERY: what Prometheus says of it.
value() {
    curl -s --max-time 10 --get --data-urlencode "query=$1" "http://$QUERY/api/v1/query" |
        sed -nE 's/.*"value":\[[^,]*,"([^"]*)"\].*/\1/p'
}
# comes QUERY EXPECTED: it is so within 20 s.
comes() {
    for _ in {1..100}; do
        [[ $(value "$1") == "$2" ]] && echo "$1: $2" && return 0
        sleep 0.2
    done
    die "$1 is $(value "$1") and not $2: $(tail -n 5 "$SCRATCH/prometheus.log")"
}
comes 'up{job="kolk"}' 1
comes 'sum(kolk_requests_total)' 402
comes 'sum(kolk_route_requests_total)' 402
comes 'kolk_stage_duration_seconds_count{stage="handle"}' 402
comes 'histogram_quantile(0.99, kolk_stage_duration_seconds_bucket{stage="parse"}) < bool 1' 1
