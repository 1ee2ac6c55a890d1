//! The sums over workers as Prometheus text, version 0.0.4.
//!
//! ```text
//!  # HELP kolk_requests_total Answers by status class.
//!  # TYPE kolk_requests_total counter
//!  kolk_requests_total{class="2xx"} 42
//! ```
//! Base units (seconds, bytes); counters end in `_total`. Every label value comes out of a table of this
//! program or out of the configuration, never from a client: whatever is asked, there are at most as many
//! series as there are names, and of routes those of [`NAMES_MAX`](super::stats::NAMES_MAX). Knows no HTTP.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use super::stats::{
    Agreement, CloseReason, Histogram, Snapshot, Spread, Stage, Timeout, TurnedAway, WorkerShare,
};
use crate::app::RateVerdict;
use crate::http::{Phase, Reason};
use crate::net::Alert;

/// The media type of what [`render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What answers are told apart by.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics of the process: `uptime` since it started, `version` of the program.
pub fn render(sum: &Snapshot, uptime: Duration, version: &str) -> String {
    let mut page = Page { text: String::with_capacity(16 * 1024) };
    process(&mut page, sum, uptime, version);
    connections(&mut page, sum);
    handshakes(&mut page, sum);
    requests(&mut page, sum);
    routes(&mut page, sum);
    rates(&mut page, sum);
    logs(&mut page, sum);
    loops(&mut page, sum);
    stages(&mut page, sum);
    page.text
}

fn process(page: &mut Page, sum: &Snapshot, uptime: Duration, version: &str) {
    page.family("kolk_build_info", "gauge", "The version that runs; always 1.");
    page.labelled("kolk_build_info", "version", version, 1);
    page.family("kolk_uptime_seconds", "gauge", "Seconds since the process started.");
    page.sample("kolk_uptime_seconds", uptime.as_secs_f64());
    page.family("kolk_workers", "gauge", "Worker threads.");
    page.sample("kolk_workers", sum.workers.len());
    let reloads = [("done", sum.replacements), ("refused", sum.replacements_refused)].into_iter();
    let help = "Configurations that were to take effect while the server runs.";
    page.table("kolk_reloads_total", "counter", help, "result", reloads);
    if let Some((is_good, served_from)) = sum.last_reload {
        let help = "Whether the last reload took effect, or there was none: 1, else 0.";
        page.gauge("kolk_config_last_reload_successful", help, u64::from(is_good));
        let help = "When the configuration was read that is served.";
        page.gauge("kolk_config_last_reload_success_timestamp_seconds", help, served_from);
    }
}

fn connections(page: &mut Page, sum: &Snapshot) {
    let open = Phase::ALL.iter().filter(|phase| **phase != Phase::Closed);
    let phases = open.map(|phase| (phase.name(), sum.phases[*phase as usize]));
    page.table("kolk_connections", "gauge", "Open connections by what they wait for.", "phase", phases);
    page.per_worker("kolk_worker_connections", "gauge", "Open connections by worker.", sum, |worker| {
        worker.connections
    });
    let help = "Answers by worker.";
    page.per_worker("kolk_worker_requests_total", "counter", help, sum, |worker| worker.requests);
    page.counter("kolk_accepts_total", "Connections that were accepted.", sum.accepts);
    page.counter("kolk_accept_pauses_total", "Times that accepting paused.", sum.accept_pauses);
    page.counter("kolk_accept_redirects_total", "Accepts left to a quieter worker.", sum.accept_redirects);
    let turned_away = [(TurnedAway::ConnectionsAddress.code(), sum.address_refusals)].into_iter();
    let help = "Connections that were closed as they came.";
    page.table("kolk_turned_away_total", "counter", help, "reason", turned_away);
    let closes = CloseReason::ALL.iter().map(|reason| (reason.code(), sum.closes[reason.index()]));
    page.table("kolk_closes_total", "counter", "Connections that ended, by cause.", "reason", closes);
    let timeouts = Timeout::ALL.iter().map(|timeout| (timeout.code(), sum.timeouts[timeout.index()]));
    page.table("kolk_timeouts_total", "counter", "Timeouts that struck, by kind.", "kind", timeouts);
    page.counter("kolk_received_bytes_total", "Bytes received from clients.", sum.bytes_received);
    page.counter("kolk_sent_bytes_total", "Bytes sent to clients.", sum.bytes_sent);
    page.gauge("kolk_body_bytes", "Bytes of request bodies that are kept.", sum.body_bytes);
    page.gauge("kolk_carry_buffers", "Connections that hold an unread rest.", sum.carry_buffers);
    page.gauge("kolk_pending_buffers", "Connections that hold an unsent rest.", sum.pending_buffers);
}

fn handshakes(page: &mut Page, sum: &Snapshot) {
    let ends = Agreement::ALL.iter().map(|end| (end.name(), sum.handshakes[end.index()]));
    page.table(
        "kolk_tls_handshakes_total",
        "counter",
        "Handshakes of TLS, by what came of them.",
        "result",
        ends,
    );
    let alerts = |row: &[u64]| {
        let counts = row.to_vec();
        Alert::ALL.iter().map(move |alert| (alert.name(), counts[alert.index()]))
    };
    let (told, heard) = (alerts(&*sum.alerts_sent), alerts(&*sum.alerts_received));
    page.table("kolk_tls_alerts_sent_total", "counter", "Fatal alerts to clients.", "alert", told);
    page.table("kolk_tls_alerts_received_total", "counter", "Fatal alerts of clients.", "alert", heard);
    let failed = sum.certificate_reloads_failed;
    page.counter("kolk_certificate_reloads_failed_total", "Certificates not fit to be read again.", failed);
}

fn requests(page: &mut Page, sum: &Snapshot) {
    let classes = CLASSES.into_iter().zip(sum.requests_by_class.iter().copied());
    page.table("kolk_requests_total", "counter", "Answers by status class.", "class", classes);
    refusals(page, sum);
    page.counter("kolk_late_answers_total", "Answers whose exchange was over.", sum.late_answers);
    page.counter("kolk_http2_connections_total", "Connections that speak HTTP/2.", sum.http2_connections);
    page.counter("kolk_streams_reset_total", "Exchanges that their clients gave up.", sum.streams_reset);
    page.counter("kolk_handler_panics_total", "Handlers that panicked.", sum.handler_panics);
    page.counter("kolk_worker_restarts_total", "Workers that failed and began anew.", sum.worker_restarts);
}

/// What a rate has refused is counted by its name, which stands behind the code.
fn refusals(page: &mut Page, sum: &Snapshot) {
    let name = "kolk_refusals_total";
    let refusals = Reason::ALL.iter().map(|reason| (reason.code(), sum.refusals[reason.index()]));
    page.table(name, "counter", "Answers of kolk's own, by reason.", "reason", refusals);
    for share in &sum.rates {
        let code = format!("{}.{}", Reason::Rate.code(), share.name);
        page.series(name, &[("reason", &code)], share.requests[RateVerdict::Refused.index()]);
    }
}

/// Those that somebody has asked for.
fn routes(page: &mut Page, sum: &Snapshot) {
    if sum.routes.is_empty() {
        return;
    }
    let name = "kolk_route_requests_total";
    page.family(name, "counter", "Answers by site, route and status class, of routes that were asked.");
    for share in &sum.routes {
        for (class, count) in CLASSES.into_iter().zip(&*share.requests_by_class) {
            page.series(name, &[("site", &share.site), ("route", &share.route), ("class", class)], count);
        }
    }
    let name = "kolk_route_in_flight_refusals_total";
    page.family(name, "counter", "Answers that said limit.in_flight, by site and route.");
    for share in &sum.routes {
        page.series(name, &[("site", &share.site), ("route", &share.route)], share.in_flight_refusals);
    }
}

fn rates(page: &mut Page, sum: &Snapshot) {
    if sum.rates.is_empty() {
        return;
    }
    let name = "kolk_rate_requests_total";
    page.family(name, "counter", "Requests that a rate looked at, by its name and by what it did with them.");
    for share in &sum.rates {
        for verdict in RateVerdict::ALL {
            let count = share.requests[verdict.index()];
            page.series(name, &[("rate", &share.name), ("result", verdict.name())], count);
        }
    }
}

fn logs(page: &mut Page, sum: &Snapshot) {
    if sum.logs.is_empty() {
        return;
    }
    let name = "kolk_log_lines_dropped_total";
    page.family(name, "counter", "Lines that an access log has lost, by its name.");
    for share in &sum.logs {
        page.series(name, &[("log", &share.name)], share.lines_dropped);
    }
}

fn loops(page: &mut Page, sum: &Snapshot) {
    page.per_worker("kolk_turns_total", "counter", "Turns of the event loop by worker.", sum, |worker| {
        worker.turns
    });
    page.counter("kolk_run_queue_turns_total", "Turns that went on with left work.", sum.run_queue_turns);
    let name = "kolk_turn_duration_seconds";
    page.family(name, "histogram", "How long a turn took: a loop does nothing else meanwhile.");
    page.histogram(name, "", &sum.loop_lag);
    page.family("kolk_turn_duration_max_seconds", "gauge", "The longest turn since the last scrape.");
    page.sample("kolk_turn_duration_max_seconds", sum.loop_lag_max.as_secs_f64());
}

fn stages(page: &mut Page, sum: &Snapshot) {
    let name = "kolk_stage_duration_seconds";
    page.family(name, "histogram", "How long the stages of requests took, where they are measured.");
    for stage in Stage::ALL {
        page.histogram(name, &format!("stage=\"{}\"", stage.name()), &sum.stages[stage.index()]);
    }
}

/// The text while it grows. Writing to a `String` cannot fail, so results are let go.
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn labelled(
        &mut self,
        name: &str,
        label: &str,
        of: impl std::fmt::Display,
        value: impl std::fmt::Display,
    ) {
        let _ = writeln!(self.text, "{name}{{{label}=\"{of}\"}} {value}");
    }

    /// One sample with several labels, whose values may be any text.
    fn series(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let mut before = '{';
        self.text.push_str(name);
        for (label, of) in labels {
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(of));
            before = ',';
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    /// The buckets, the sum and the count; `labels`: what they have besides.
    fn histogram(&mut self, name: &str, labels: &str, spread: &Spread) {
        let text = &mut self.text;
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (count, nanos) in spread.counts.iter().zip(Histogram::BOUNDS_NANOS) {
            below += count;
            let bound = Duration::from_nanos(nanos).as_secs_f64();
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}");
        }
        // The sum of the buckets, and not another counter: the two are read one after the other.
        let all: u64 = spread.counts.iter().sum();
        let labelled = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {all}");
        let _ = writeln!(text, "{name}_sum{labelled} {}", spread.sum.as_secs_f64());
        let _ = writeln!(text, "{name}_count{labelled} {all}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample(name, value);
    }

    fn table(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        rows: impl Iterator<Item = (&'static str, u64)>,
    ) {
        self.family(name, kind, help);
        for (of, value) in rows {
            self.labelled(name, label, of, value);
        }
    }

    fn per_worker(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        sum: &Snapshot,
        value: impl Fn(&WorkerShare) -> u64,
    ) {
        self.family(name, kind, help);
        for (index, worker) in sum.workers.iter().enumerate() {
            self.labelled(name, "worker", index, value(worker));
        }
    }
}

/// A label's value as it is written.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::access_log::LogShare;
    use super::super::stats::{RateShare, RouteShare, Row, Stats};
    use super::*;
    use crate::net::{Alarm, Handshake};

    /// One metric family, as a strict reader of the text format sees it.
    #[derive(Debug, Default)]
    struct Family {
        kind: String,
        /// Sample name and label block → value.
        samples: BTreeMap<(String, String), f64>,
    }

    fn is_name(name: &str) -> bool {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    /// Reads a page by the grammar, and panics at the first line that breaks it.
    fn parse(page: &str) -> BTreeMap<String, Family> {
        let mut families = BTreeMap::<String, Family>::new();
        let mut current = String::new();
        let mut helped = BTreeSet::new();
        assert!(page.ends_with('\n'), "the last line has no end");
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect(line);
                assert!(is_name(name) && !text.is_empty() && !text.contains('\\'), "{line}");
                assert!(helped.insert(name.to_owned()), "two HELP lines: {name}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(helped.contains(name), "TYPE before HELP: {name}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let family = Family { kind: kind.into(), ..Family::default() };
                assert!(families.insert(name.to_owned(), family).is_none(), "two TYPE lines: {name}");
                current = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect(line);
                let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| {
                    (name, labels.strip_suffix('}').expect("labels have an end"))
                });
                let family = families.get_mut(&current).expect("a sample before its TYPE");
                let suffix = name.strip_prefix(&current).expect(line);
                let suffixes: &[_] =
                    if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&suffix), "{line} stands below {current}");
                check_labels(labels, line);
                let value = value.parse().expect(line);
                let key = (name.to_owned(), labels.to_owned());
                assert!(family.samples.insert(key, value).is_none(), "twice: {line}");
            }
        }
        families
    }

    fn check_labels(labels: &str, line: &str) {
        for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').expect(line);
            assert!(is_name(name), "{line}");
            let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(line);
            assert!(!inside.is_empty() && !inside.contains(['"', '\\']), "{line}");
        }
    }

    fn workers() -> [Stats; 2] {
        let workers = [Stats::default(), Stats::default()];
        for stats in &workers {
            stats.accepts.add(3);
            stats.phases[Phase::Idle as usize].add(2);
            stats.answered(200);
            stats.answered(404);
            stats.bytes_sent.add(1_000);
            stats.turns.add(2);
            stats.lagged(20_000);
            stats.lagged(2_000_000_000);
            stats.timed_out(Timeout::Keepalive);
            stats.closed(CloseReason::TimedOut);
            stats.refused(Reason::NotFound);
            stats.shook_hands(Handshake::Resumed);
            let alarm = Alarm { alert: Some(Alert::UnknownCa), is_received: true, why: String::new() };
            stats.tls_failed(&std::io::Error::other(alarm), Handshake::Begun);
        }
        workers
    }

    #[test]
    fn a_strict_reader_takes_the_whole_page() {
        let families = parse(&render(&Snapshot::scrape(&workers()), Duration::from_millis(1_500), "1.2.3"));
        for (name, family) in &families {
            assert!(name.starts_with("kolk_"), "{name}");
            assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
            assert!(!family.samples.is_empty(), "{name} has no samples");
        }
        let value = |family: &str, name: &str, labels: &str| {
            families[family].samples[&(name.to_owned(), labels.to_owned())]
        };
        let single = |name: &str, labels: &str| value(name, name, labels);
        assert_eq!(single("kolk_build_info", "version=\"1.2.3\""), 1.0);
        assert_eq!(single("kolk_uptime_seconds", ""), 1.5);
        assert_eq!(single("kolk_connections", "phase=\"idle\""), 4.0);
        assert_eq!(single("kolk_worker_connections", "worker=\"1\""), 2.0);
        assert_eq!(single("kolk_accepts_total", ""), 6.0);
        assert_eq!(single("kolk_requests_total", "class=\"4xx\""), 2.0);
        assert_eq!(single("kolk_sent_bytes_total", ""), 2_000.0);
        assert_eq!(single("kolk_timeouts_total", "kind=\"timeout.keepalive\""), 2.0);
        assert_eq!(single("kolk_closes_total", "reason=\"close.timed_out\""), 2.0);
        assert_eq!(single("kolk_refusals_total", "reason=\"route.none\""), 2.0);
        assert_eq!(single("kolk_tls_handshakes_total", "result=\"resumed\""), 2.0);
        assert_eq!(single("kolk_tls_handshakes_total", "result=\"failed\""), 2.0);
        assert_eq!(single("kolk_tls_alerts_received_total", "alert=\"unknown_ca\""), 2.0);
        assert_eq!(single("kolk_tls_alerts_sent_total", "alert=\"unknown_ca\""), 0.0);
        assert_eq!(families["kolk_refusals_total"].samples.len(), Reason::ALL.len());
        assert_eq!(single("kolk_turn_duration_max_seconds", ""), 2.0);
        let turns = "kolk_turn_duration_seconds";
        assert_eq!(value(turns, "kolk_turn_duration_seconds_count", ""), 4.0);
        assert_eq!(value(turns, "kolk_turn_duration_seconds_sum", ""), 4.00004);
    }

    #[test]
    fn routes_rates_and_logs_are_told_by_their_names() {
        let mut sum = Snapshot::scrape(&workers());
        let page = |sum: &Snapshot| render(sum, Duration::ZERO, "1");
        for family in ["kolk_route_", "kolk_rate_", "kolk_log_"] {
            assert!(!page(&sum).contains(family), "{family}: nothing has a name");
        }
        let requests_by_class = sum.requests_by_class.clone();
        sum.routes = vec![RouteShare {
            site: "*.example.com".into(),
            route: "/a\"b\\{c}".into(),
            requests_by_class,
            in_flight_refusals: 3,
        }];
        sum.rates = vec![RateShare { name: "api".into(), requests: Row::default() }];
        sum.logs = [("main", 0), ("a \"b\"", 7)]
            .map(|(name, lines_dropped)| LogShare { name: name.into(), lines_dropped })
            .into();
        let page = page(&sum);
        for line in [
            r#"kolk_route_requests_total{site="*.example.com",route="/a\"b\\{c}",class="2xx"} 2"#,
            r#"kolk_route_requests_total{site="*.example.com",route="/a\"b\\{c}",class="5xx"} 0"#,
            r#"kolk_route_in_flight_refusals_total{site="*.example.com",route="/a\"b\\{c}"} 3"#,
            r#"kolk_rate_requests_total{rate="api",result="passed"} 0"#,
            r#"kolk_rate_requests_total{rate="api",result="would_refuse"} 0"#,
            r#"kolk_log_lines_dropped_total{log="main"} 0"#,
            r#"kolk_log_lines_dropped_total{log="a \"b\""} 7"#,
            r#"kolk_refusals_total{reason="limit.rate.api"} 0"#,
        ] {
            assert_eq!(page.lines().filter(|other| *other == line).count(), 1, "{line}:\n{page}");
        }
        // A strict reader takes it, too, where no value has to be escaped.
        sum.routes[0].route = "/a".into();
        sum.logs.truncate(1);
        let families = parse(&render(&sum, Duration::ZERO, "1"));
        assert_eq!(families["kolk_route_requests_total"].samples.len(), CLASSES.len());
        assert_eq!(families["kolk_rate_requests_total"].samples.len(), RateVerdict::ALL.len());
        assert_eq!(families["kolk_log_lines_dropped_total"].samples.len(), 1);
    }

    #[test]
    fn whoever_takes_orders_tells_of_the_last_one() {
        let mut sum = Snapshot::scrape(&workers());
        assert!(!render(&sum, Duration::ZERO, "1").contains("kolk_config_"));
        for (is_good, told) in [(true, 1.0), (false, 0.0)] {
            sum.last_reload = Some((is_good, 784_111_777));
            let families = parse(&render(&sum, Duration::ZERO, "1"));
            let value = |name: &str| families[name].samples.values().copied().collect::<Vec<_>>();
            assert_eq!(value("kolk_config_last_reload_successful"), [told]);
            assert_eq!(value("kolk_config_last_reload_success_timestamp_seconds"), [784_111_777.0]);
        }
    }

    #[test]
    fn buckets_are_cumulated_up_to_all() {
        let families = parse(&render(&Snapshot::scrape(&workers()), Duration::ZERO, "1"));
        let mut buckets: Vec<_> = families["kolk_turn_duration_seconds"]
            .samples
            .iter()
            .filter(|((name, _), _)| name.ends_with("_bucket"))
            .map(|((_, labels), count)| {
                let bound = labels.trim_start_matches("le=").trim_matches('"');
                (if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, *count)
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(buckets.first(), Some(&(0.000_001, 0.0)));
        assert_eq!(buckets[3..5], [(0.000_01, 0.0), (0.000_025, 2.0)]);
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 4.0)));
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }

    #[test]
    fn a_scrape_takes_the_longest_turn() {
        let workers = workers();
        let max = |page: String| parse(&page)["kolk_turn_duration_max_seconds"].samples.clone();
        let page = || render(&Snapshot::scrape(&workers), Duration::ZERO, "1");
        assert_eq!(max(page()).values().next(), Some(&2.0));
        assert_eq!(max(page()).values().next(), Some(&0.0));
    }
}
