//! [`Figures`]: what happened between two moments of a server, as its metrics tell it.
//!
//! Rates are of a second. Where a counter is lower than it was, another process has begun: all of what it
//! says is new. Knows no terminal.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::page::Page;

/// What a screen shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) version: String,
    pub(super) uptime: Duration,
    pub(super) connections: f64,
    pub(super) requests: f64,
    /// Answers by status class.
    pub(super) classes: Vec<(String, f64)>,
    pub(super) received_bytes: f64,
    pub(super) sent_bytes: f64,
    /// Connections by what they wait for.
    pub(super) phases: Vec<(String, f64)>,
    pub(super) workers: Vec<Worker>,
    /// How many were asked for; one more may send visitors to https.
    pub(super) workers_asked: f64,
    /// The durations of the stages, and of a turn of the loop.
    pub(super) durations: Vec<Durations>,
    /// What was refused, closed, reset or given up, the most frequent first.
    pub(super) reasons: Vec<Reason>,
    /// Those that are asked, the busiest first.
    pub(super) routes: Vec<Route>,
    /// Those that refuse the most come first.
    pub(super) limits: Vec<Limit>,
}

/// One worker's part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) connections: f64,
    pub(super) requests: f64,
    pub(super) turns: f64,
}

/// How long something took.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Durations {
    pub(super) name: String,
    /// How often it happened.
    pub(super) rate: f64,
    /// In seconds; `None`: it did not happen.
    pub(super) mean: Option<f64>,
    pub(super) median: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// Why something ended otherwise than it should.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reason {
    pub(super) name: String,
    pub(super) rate: f64,
    pub(super) total: f64,
}

/// What was answered under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Route {
    /// The site and the path.
    pub(super) name: String,
    pub(super) requests: f64,
    /// Answers with 4xx, and with 5xx.
    pub(super) client_errors: f64,
    pub(super) server_errors: f64,
    /// All requests so far.
    pub(super) total: f64,
}

/// What a limit did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limit {
    pub(super) name: String,
    /// Of a rate alone.
    pub(super) passed: Option<f64>,
    pub(super) delayed: Option<f64>,
    /// In a dry run those that it would have refused.
    pub(super) refused: f64,
    /// All that it has refused so far.
    pub(super) total: f64,
}

/// Ends of connections that are as they should be.
const USUAL_ENDS: [&str; 4] = ["close.answered", "close.peer_closed", "close.drained", "close.stopped"];
/// What is shown of the reasons.
const REASONS_MAX: usize = 20;
/// What is shown of routes, and of limits.
const NAMES_MAX: usize = 40;

impl Figures {
    /// What happened from `before` to `now`, in `time`.
    pub(super) fn between(before: &Page, now: &Page, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(f64::MIN_POSITIVE);
        let change = |name: &str, label: &str, of: &str| {
            increase(before.of(name, label, of), now.of(name, label, of)) / seconds
        };
        let rate = |name: &str| increase(before.sum(name), now.sum(name)) / seconds;
        let owned = |(name, value): (&str, f64)| (name.to_owned(), value);
        let classes = now.by("kolk_requests_total", "class");
        let classes = classes.map(|(of, _)| (of.to_owned(), change("kolk_requests_total", "class", of)));
        let workers = now.by("kolk_worker_connections", "worker").map(|(name, connections)| Worker {
            name: name.to_owned(),
            connections,
            requests: change("kolk_worker_requests_total", "worker", name),
            turns: change("kolk_turns_total", "worker", name),
        });
        Self {
            version: now.by("kolk_build_info", "version").map(|(version, _)| version).collect(),
            uptime: Duration::try_from_secs_f64(now.sum("kolk_uptime_seconds")).unwrap_or_default(),
            connections: now.sum("kolk_connections"),
            requests: rate("kolk_requests_total"),
            classes: classes.collect(),
            received_bytes: rate("kolk_received_bytes_total"),
            sent_bytes: rate("kolk_sent_bytes_total"),
            phases: now.by("kolk_connections", "phase").map(owned).collect(),
            workers: workers.collect(),
            workers_asked: now.sum("kolk_workers"),
            durations: durations(before, now, seconds),
            reasons: reasons(now, &change),
            routes: routes(before, now, seconds),
            limits: limits(before, now, seconds),
        }
    }
}

fn durations(before: &Page, now: &Page, seconds: f64) -> Vec<Durations> {
    let stages = now.by("kolk_stage_duration_seconds_count", "stage").map(|(stage, _)| stage);
    let stages = stages.map(|stage| {
        let histogram = Histogram::between(before, now, "kolk_stage_duration_seconds", &[("stage", stage)]);
        histogram.durations(stage, seconds)
    });
    let turn = Histogram::between(before, now, "kolk_turn_duration_seconds", &[]);
    stages.chain([turn.durations("turn", seconds)]).collect()
}

fn reasons(now: &Page, change: &impl Fn(&str, &str, &str) -> f64) -> Vec<Reason> {
    let of = |name: &'static str| {
        now.by(name, "reason").map(move |(of, total)| Reason {
            name: of.to_owned(),
            rate: change(name, "reason", of),
            total,
        })
    };
    let refusals = of("kolk_refusals_total");
    let turned_away = of("kolk_turned_away_total");
    let closes = of("kolk_closes_total");
    let closes = closes.filter(|reason| !USUAL_ENDS.contains(&&*reason.name));
    let all = refusals.chain(turned_away).chain(closes);
    let mut all: Vec<Reason> = all.filter(|reason| reason.total > 0.0).collect();
    all.sort_by(|a, b| b.rate.total_cmp(&a.rate).then(b.total.total_cmp(&a.total)));
    all.truncate(REASONS_MAX);
    all
}

/// The samples of this name: the values of their labels, what each was before, and what it is.
fn changes<'p, const N: usize>(
    before: &'p Page,
    now: &'p Page,
    name: &'p str,
    labels: [&'p str; N],
) -> impl Iterator<Item = ([&'p str; N], f64, f64)> {
    let earlier: HashMap<_, _> = before.by_all(name, labels).collect();
    now.by_all(name, labels)
        .map(move |(of, value)| (of, earlier.get(&of).copied().unwrap_or_default(), value))
}

fn routes(before: &Page, now: &Page, seconds: f64) -> Vec<Route> {
    let mut routes = BTreeMap::<String, Route>::new();
    let name = "kolk_route_requests_total";
    for ([site, path, class], before, now) in changes(before, now, name, ["site", "route", "class"]) {
        let name = called(site, path);
        let route = routes.entry(name.clone()).or_insert_with(|| Route { name, ..Route::default() });
        let rate = increase(before, now) / seconds;
        route.requests += rate;
        route.total += now;
        match class {
            "4xx" => route.client_errors += rate,
            "5xx" => route.server_errors += rate,
            _ => {}
        }
    }
    let mut routes: Vec<Route> = routes.into_values().collect();
    routes.sort_by(|a, b| b.requests.total_cmp(&a.requests).then(b.total.total_cmp(&a.total)));
    routes.truncate(NAMES_MAX);
    routes
}

fn limits(before: &Page, now: &Page, seconds: f64) -> Vec<Limit> {
    let mut rates = BTreeMap::<&str, Limit>::new();
    for ([rate, result], before, now) in changes(before, now, "kolk_rate_requests_total", ["rate", "result"])
    {
        let limit =
            rates.entry(rate).or_insert_with(|| Limit { name: format!("rate.{rate}"), ..Limit::default() });
        let change = increase(before, now) / seconds;
        match result {
            "passed" => limit.passed = Some(change),
            "delayed" => limit.delayed = Some(change),
            "refused" | "would_refuse" => {
                limit.refused += change;
                limit.total += now;
            }
            _ => {}
        }
    }
    let seats = changes(before, now, "kolk_route_in_flight_refusals_total", ["site", "route"]);
    let seats = seats.filter(|(_, _, now)| *now > 0.0).map(|([site, path], before, now)| Limit {
        name: format!("in flight {}", called(site, path)),
        refused: increase(before, now) / seconds,
        total: now,
        ..Limit::default()
    });
    let mut limits: Vec<Limit> = rates.into_values().chain(seats).collect();
    limits.sort_by(|a, b| b.refused.total_cmp(&a.refused).then(b.total.total_cmp(&a.total)));
    limits.truncate(NAMES_MAX);
    limits
}

/// The site and the path in one; the path alone where hosts are not told apart.
fn called(site: &str, path: &str) -> String {
    match (site, path) {
        ("*" | "(other)", _) => path.to_owned(),
        (_, path) if path.starts_with('/') => format!("{site}{path}"),
        _ => format!("{site} {path}"),
    }
}

/// The buckets that were filled between two moments: bounds in seconds, and how many are below.
struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    fn between(before: &Page, now: &Page, name: &str, labels: &[(&str, &str)]) -> Self {
        let sum_of = |page: &Page| match labels {
            [(label, of)] => page.of(&format!("{name}_sum"), label, of),
            _ => page.sum(&format!("{name}_sum")),
        };
        let name_of_buckets = format!("{name}_bucket");
        let earlier = before.buckets(&name_of_buckets, labels);
        let below = |bound: f64| earlier.iter().find(|(other, _)| *other == bound).map_or(0.0, |(_, n)| *n);
        let buckets = now.buckets(&name_of_buckets, labels).into_iter();
        let buckets = buckets.map(|(bound, count)| (bound, increase(below(bound), count))).collect();
        Self { buckets, sum: increase(sum_of(before), sum_of(now)) }
    }

    fn durations(&self, name: &str, seconds: f64) -> Durations {
        let count = self.buckets.last().map_or(0.0, |(_, count)| *count);
        Durations {
            name: name.to_owned(),
            rate: count / seconds,
            mean: (count > 0.0).then(|| self.sum / count),
            median: self.quantile(0.5),
            p99: self.quantile(0.99),
        }
    }

    /// Between the bounds of its bucket, as if those in it lay evenly; in the last one its lower bound.
    fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let rank = share * count;
        let (mut bound_before, mut below_before) = (0.0, 0.0);
        for &(bound, below) in &self.buckets {
            if below >= rank && below > 0.0 {
                if bound.is_infinite() || below == below_before {
                    return Some(bound_before);
                }
                let part = (rank - below_before) / (below - below_before);
                return Some(bound_before + (bound - bound_before) * part);
            }
            (bound_before, below_before) = (bound, below);
        }
        None
    }
}

fn increase(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_between_two_moments() {
        let before = Page::parse(
            "kolk_requests_total{class=\"2xx\"} 100\nkolk_requests_total{class=\"4xx\"} 7\n\
             kolk_refusals_total{reason=\"route.none\"} 5\nkolk_closes_total{reason=\"close.answered\"} 9\n",
        );
        let now = Page::parse(
            "kolk_build_info{version=\"1.2.3\"} 1\nkolk_uptime_seconds 61\n\
             kolk_requests_total{class=\"2xx\"} 300\nkolk_requests_total{class=\"4xx\"} 3\n\
             kolk_connections{phase=\"idle\"} 8\nkolk_connections{phase=\"head\"} 1\n\
             kolk_refusals_total{reason=\"route.none\"} 7\nkolk_refusals_total{reason=\"uri.form\"} 0\n\
             kolk_closes_total{reason=\"close.answered\"} 19\nkolk_closes_total{reason=\"close.timed_out\"} 9\n",
        );
        let figures = Figures::between(&before, &now, Duration::from_secs(2));
        assert_eq!((&*figures.version, figures.uptime.as_secs()), ("1.2.3", 61));
        assert_eq!(figures.classes, [("2xx".into(), 100.0), ("4xx".into(), 1.5)], "the latter began anew");
        assert!(figures.connections == 9.0);
        let reasons: Vec<_> = figures.reasons.iter().map(|reason| (&*reason.name, reason.rate)).collect();
        assert_eq!(reasons, [("close.timed_out", 4.5), ("route.none", 1.0)]);
    }

    #[test]
    fn routes_and_limits_are_told_apart_and_the_busiest_come_first() {
        let before = Page::parse(
            "kolk_route_requests_total{site=\"*\",route=\"/a\",class=\"2xx\"} 100\n\
             kolk_rate_requests_total{rate=\"api\",result=\"passed\"} 10\n\
             kolk_rate_requests_total{rate=\"api\",result=\"refused\"} 4\n",
        );
        let now = Page::parse(
            "kolk_route_requests_total{site=\"*\",route=\"/a\",class=\"2xx\"} 104\n\
             kolk_route_requests_total{site=\"*\",route=\"/a\",class=\"4xx\"} 1\n\
             kolk_route_requests_total{site=\"b.example\",route=\"/c/{d}\",class=\"2xx\"} 6\n\
             kolk_route_requests_total{site=\"b.example\",route=\"/c/{d}\",class=\"5xx\"} 2\n\
             kolk_route_requests_total{site=\"b.example\",route=\"(none)\",class=\"4xx\"} 1\n\
             kolk_route_requests_total{site=\"(other)\",route=\"(other)\",class=\"2xx\"} 0\n\
             kolk_route_in_flight_refusals_total{site=\"*\",route=\"/a\"} 0\n\
             kolk_route_in_flight_refusals_total{site=\"b.example\",route=\"/c/{d}\"} 2\n\
             kolk_rate_requests_total{rate=\"api\",result=\"passed\"} 30\n\
             kolk_rate_requests_total{rate=\"api\",result=\"delayed\"} 0\n\
             kolk_rate_requests_total{rate=\"api\",result=\"refused\"} 7\n\
             kolk_rate_requests_total{rate=\"dry\",result=\"would_refuse\"} 1\n",
        );
        let figures = Figures::between(&before, &now, Duration::from_secs(2));
        let routes = figures.routes.iter();
        let routes: Vec<_> = routes
            .map(|route| (&*route.name, route.requests, route.client_errors, route.server_errors))
            .collect();
        assert_eq!(
            routes,
            [
                ("b.example/c/{d}", 4.0, 0.0, 1.0),
                ("/a", 2.5, 0.5, 0.0),
                ("b.example (none)", 0.5, 0.5, 0.0),
                ("(other)", 0.0, 0.0, 0.0)
            ]
        );
        let limits = figures.limits.iter();
        let limits: Vec<_> =
            limits.map(|limit| (&*limit.name, limit.passed, limit.refused, limit.total)).collect();
        assert_eq!(
            limits,
            [
                ("rate.api", Some(10.0), 1.5, 7.0),
                ("in flight b.example/c/{d}", None, 1.0, 2.0),
                ("rate.dry", None, 0.5, 1.0)
            ]
        );
    }

    #[test]
    fn quantiles_lie_within_their_buckets() {
        let page = |counts: [u64; 3], sum: f64| {
            let [a, b, c] = counts;
            Page::parse(&format!(
                "h_bucket{{le=\"0.01\"}} {a}\nh_bucket{{le=\"0.02\"}} {b}\nh_bucket{{le=\"+Inf\"}} {c}\nh_sum {sum}\n"
            ))
        };
        let between = |before, now| Histogram::between(&before, &now, "h", &[]).durations("h", 1.0);
        let even = between(page([10, 10, 10], 1.0), page([60, 110, 110], 3.0));
        assert!((even.median.unwrap() - 0.01).abs() < 1e-9 && (even.p99.unwrap() - 0.0198).abs() < 1e-9);
        assert!((even.mean.unwrap() - 0.02).abs() < 1e-9);
        let long = between(page([0; 3], 0.0), page([0, 0, 5], 9.0));
        assert_eq!((long.median, long.p99), (Some(0.02), Some(0.02)), "longer than the last bound");
        let none = between(page([3; 3], 1.0), page([3; 3], 1.0));
        assert_eq!((none.mean, none.median, none.p99), (None, None, None));
    }
}
