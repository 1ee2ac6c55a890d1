//! [`Screen`]: the figures as a terminal shows them.
//!
//! ```text
//!  kolk 1.2 · 127.0.0.1:9000 · up 3 d 4 h                    q: quit
//!  requests/s 12.3k   2xx 12.3k  4xx 3   in 1.2 MB/s  out 48 MB/s
//!  ▁▂▃▅▇ requests/s of the last minutes
//!  connections        │ stages and turns
//!  workers            │ reasons
//!  routes             │ limits
//! ```
//! Draws and decides nothing.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, RenderDirection, Row, Sparkline, Table, Widget};

use super::figures::Figures;

/// So many moments are remembered.
const HISTORY_MAX: usize = 400;
const DIM: Style = Style::new().fg(Color::DarkGray);
const HEADER: Style = Style::new().add_modifier(Modifier::BOLD);

/// What is shown, and what it was before.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Where the figures come from.
    from: String,
    figures: Option<Figures>,
    /// Requests a second, the youngest first.
    history: VecDeque<u64>,
    /// Why there are no younger figures.
    trouble: Option<String>,
}

impl Screen {
    /// A screen for the server at `from`, of which nothing is known.
    pub(super) fn new(from: String) -> Self {
        Self { from, ..Self::default() }
    }

    /// Shows `figures` from now on.
    pub(super) fn update(&mut self, figures: Figures) {
        // Far below 2^64.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar's height")]
        self.history.push_front(figures.requests.round() as u64);
        self.history.truncate(HISTORY_MAX);
        (self.figures, self.trouble) = (Some(figures), None);
    }

    /// Says why the figures are old.
    pub(super) fn trouble(&mut self, why: String) {
        self.trouble = Some(why);
    }

    fn title(&self, figures: &Figures) -> Line<'_> {
        let up = uptime(figures.uptime);
        let workers = figures.workers_asked.to_string();
        let plural = if workers == "1" { "" } else { "s" };
        let mut title = Line::from(vec![
            Span::styled(format!("kolk {}", figures.version), HEADER),
            Span::raw(format!(" · {} · up {up} · {workers} worker{plural}", self.from)),
        ]);
        match &self.trouble {
            Some(why) => title.push_span(Span::styled(format!(" · {why}"), Style::new().red())),
            None => title.push_span(Span::styled(" · q: quit", DIM)),
        }
        title
    }
}

impl Widget for &Screen {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let Some(figures) = &self.figures else {
            let text = self.trouble.as_deref().unwrap_or("the first figures are on their way");
            return Paragraph::new(format!("{}: {text}", self.from)).render(area, buffer);
        };
        let phases = lines(figures.phases.len(), 2);
        let rest = area.height.saturating_sub(phases.saturating_add(6));
        let [title, rates, history, upper, lower, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(4),
            Constraint::Length(phases),
            Constraint::Length(lower_lines(figures, rest)),
            Constraint::Min(0),
        ])
        .areas(area);
        self.title(figures).render(title, buffer);
        rates_of(figures).render(rates, buffer);
        Sparkline::default()
            .data(&self.history)
            .direction(RenderDirection::RightToLeft)
            .style(Style::new().fg(Color::Cyan))
            .render(history, buffer);
        let halves =
            |area| Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
        let [connections, durations] = halves(upper);
        let [workers, reasons] = halves(lower);
        let [routes, limits] = halves(bottom);
        connections_of(figures).render(connections, buffer);
        durations_of(figures).render(durations, buffer);
        workers_of(figures).render(workers, buffer);
        reasons_of(figures).render(reasons, buffer);
        routes_of(figures).render(routes, buffer);
        limits_of(figures).render(limits, buffer);
    }
}

/// A table of so many rows, with the lines around it.
fn lines(rows: usize, around: u16) -> u16 {
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(around)
}

/// How many of `rest` lines are for workers and reasons: as many as they want, if routes and limits have at
/// least half of what they want, too.
fn lower_lines(figures: &Figures, rest: u16) -> u16 {
    let named = figures.routes.len().max(figures.limits.len());
    if named == 0 {
        return rest;
    }
    let wanted = lines(figures.workers.len().max(figures.reasons.len()), 3);
    wanted.min(rest.saturating_sub(lines(named, 3)).max(rest / 2))
}

fn rates_of(figures: &Figures) -> Line<'static> {
    let mut line = Line::from(vec![
        Span::raw("requests/s "),
        Span::styled(count(figures.requests), HEADER),
        Span::raw("  "),
    ]);
    for (class, rate) in figures.classes.iter().filter(|(_, rate)| *rate > 0.0) {
        let style = match &**class {
            "5xx" => Style::new().red(),
            "4xx" => Style::new().yellow(),
            _ => DIM,
        };
        line.push_span(Span::styled(format!(" {class} {}", count(*rate)), style));
    }
    let bytes = format!("   in {}/s  out {}/s", bytes(figures.received_bytes), bytes(figures.sent_bytes));
    line.push_span(Span::raw(bytes));
    line
}

fn connections_of(figures: &Figures) -> Table<'static> {
    let most = figures.phases.iter().map(|(_, count)| *count).fold(1.0, f64::max);
    let rows = figures.phases.iter().map(|(phase, number)| {
        // At most 20.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 20")]
        let bar = "█".repeat((number / most * 20.0).ceil() as usize);
        Row::new([Cell::from(phase.clone()), right(count(*number)), Cell::from(bar).cyan()])
    });
    Table::new(rows, [Constraint::Length(10), Constraint::Length(8), Constraint::Min(0)])
        .block(block(format!("connections {}", count(figures.connections))))
}

fn durations_of(figures: &Figures) -> Table<'static> {
    let rows = figures.durations.iter().map(|stage| {
        let times =
            [stage.mean, stage.median, stage.p99].map(|time| right(time.map_or_else(|| "–".into(), seconds)));
        Row::new([vec![Cell::from(stage.name.clone()), right(count(stage.rate))], times.to_vec()].concat())
    });
    let widths = [10, 8, 10, 10, 10].map(Constraint::Length);
    Table::new(rows, widths)
        .header(header(["", "/s", "mean", "p50", "p99"]))
        .block(block("stages and turns".to_owned()))
}

fn workers_of(figures: &Figures) -> Table<'static> {
    let rows = figures.workers.iter().map(|worker| {
        let numbers = [worker.connections, worker.requests, worker.turns].map(|number| right(count(number)));
        Row::new([vec![Cell::from(worker.name.clone())], numbers.to_vec()].concat())
    });
    let widths = [10, 12, 12, 12].map(Constraint::Length);
    Table::new(rows, widths)
        .header(header(["worker", "connections", "requests/s", "turns/s"]))
        .block(block("workers".to_owned()))
}

fn reasons_of(figures: &Figures) -> Table<'static> {
    let rows = figures.reasons.iter().map(|reason| {
        let style = if reason.rate > 0.0 { Style::new().yellow() } else { DIM };
        let cells = [Cell::from(reason.name.clone()), right(count(reason.rate)), right(count(reason.total))];
        Row::new(cells).style(style)
    });
    Table::new(rows, [Constraint::Min(20), Constraint::Length(8), Constraint::Length(8)])
        .header(header(["reason", "/s", "all"]))
        .block(block("what was refused, and what ended early".to_owned()))
}

fn routes_of(figures: &Figures) -> Table<'static> {
    let rows = figures.routes.iter().map(|route| {
        let style = match (route.server_errors > 0.0, route.client_errors > 0.0) {
            (true, _) => Style::new().red(),
            (false, true) => Style::new().yellow(),
            (false, false) if route.requests > 0.0 => Style::new(),
            (false, false) => DIM,
        };
        let numbers = [route.requests, route.client_errors, route.server_errors, route.total];
        let numbers = numbers.map(|number| right(count(number)));
        Row::new([vec![Cell::from(route.name.clone())], numbers.to_vec()].concat()).style(style)
    });
    let widths = [Constraint::Min(14), Constraint::Length(7), Constraint::Length(7), Constraint::Length(7)];
    Table::new(rows, [&widths[..], &[Constraint::Length(7)]].concat())
        .header(header(["route", "/s", "4xx/s", "5xx/s", "all"]))
        .block(block("routes".to_owned()))
}

fn limits_of(figures: &Figures) -> Table<'static> {
    let rows = figures.limits.iter().map(|limit| {
        let style = if limit.refused > 0.0 { Style::new().yellow() } else { DIM };
        let numbers = [limit.passed, limit.delayed, Some(limit.refused), Some(limit.total)];
        let numbers = numbers.map(|number| right(number.map_or_else(|| "–".into(), count)));
        Row::new([vec![Cell::from(limit.name.clone())], numbers.to_vec()].concat()).style(style)
    });
    let widths = [Constraint::Min(14), Constraint::Length(7), Constraint::Length(7), Constraint::Length(8)];
    Table::new(rows, [&widths[..], &[Constraint::Length(7)]].concat())
        .header(header(["limit", "pass/s", "wait/s", "refuse/s", "all"]))
        .block(block("limits".to_owned()))
}

fn block(title: String) -> Block<'static> {
    Block::bordered().border_style(DIM).title(Span::styled(title, HEADER))
}

fn header<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    let cells = names.into_iter().enumerate();
    Row::new(cells.map(|(at, name)| if at == 0 { Cell::from(name) } else { right(name.to_owned()) }))
        .style(DIM)
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

/// Three digits and a unit: `12.3k`.
fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

fn bytes(number: f64) -> String {
    scaled(number, 1000.0, &[" B", " kB", " MB", " GB", " TB"])
}

fn seconds(time: f64) -> String {
    match time {
        time if time < 0.001 => format!("{:.1} µs", time * 1e6),
        time if time < 1.0 => format!("{:.2} ms", time * 1e3),
        time => format!("{time:.2} s"),
    }
}

fn scaled(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while number >= step && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let is_whole = unit == 0 && (number.fract() == 0.0 || number >= 100.0);
    match number {
        number if is_whole || number >= 100.0 => format!("{number:.0}{}", units[unit]),
        number => format!("{number:.1}{}", units[unit]),
    }
}

fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Durations, Limit, Reason, Route, Worker};
    use super::super::text_of;
    use super::*;

    fn figures() -> Figures {
        Figures {
            version: "1.2.3".into(),
            uptime: Duration::from_secs(3 * 86_400 + 4 * 3_600),
            connections: 1_234.0,
            requests: 12_345.0,
            classes: vec![("2xx".into(), 12_340.0), ("3xx".into(), 0.0), ("4xx".into(), 5.0)],
            received_bytes: 1_200_000.0,
            sent_bytes: 999.0,
            phases: vec![("idle".into(), 1_230.0), ("head".into(), 4.0)],
            workers: vec![Worker { name: "0".into(), connections: 1_234.0, requests: 12_345.0, turns: 7.5 }],
            workers_asked: 1.0,
            durations: vec![
                Durations {
                    name: "parse".into(),
                    rate: 12_345.0,
                    mean: Some(0.000_002_1),
                    median: Some(0.0123),
                    p99: Some(1.5),
                },
                Durations { name: "turn".into(), rate: 0.0, mean: None, median: None, p99: None },
            ],
            reasons: vec![Reason { name: "route.none".into(), rate: 5.0, total: 70_000.0 }],
            routes: Vec::new(),
            limits: Vec::new(),
        }
    }

    #[test]
    fn all_of_it_is_on_the_screen() {
        let mut screen = Screen::new("127.0.0.1:9000".into());
        assert_eq!(text_of(&screen, 60, 1), "127.0.0.1:9000: the first figures are on their way\n");
        screen.update(figures());
        assert_eq!(
            text_of(&screen, 100, 15),
            "\
kolk 1.2.3 · 127.0.0.1:9000 · up 3 d 4 h · 1 worker · q: quit
requests/s 12.3k   2xx 12.3k 4xx 5   in 1.2 MB/s  out 999 B/s
                                                                                                   █
                                                                                                   █
                                                                                                   █
                                                                                                   █
┌connections 1.2k────────────────────────────────┐┌stages and turns────────────────────────────────┐
│idle           1.2k ████████████████████        ││               /s      mean        p50       p99│
│head              4 █                           ││parse       12.3k    2.1 µs   12.30 ms    1.50 s│
└────────────────────────────────────────────────┘└────────────────────────────────────────────────┘
┌workers─────────────────────────────────────────┐┌what was refused, and what ended early──────────┐
│worker      connections  requests/s      turns/s││reason                               /s      all│
│0                  1.2k       12.3k          7.5││route.none                            5    70.0k│
│                                                ││                                                │
└────────────────────────────────────────────────┘└────────────────────────────────────────────────┘
"
        );
    }

    #[test]
    fn routes_and_limits_have_what_is_left() {
        let route = |number: u32| Route {
            name: format!("example.com/{number}"),
            requests: 12_345.0,
            client_errors: 5.0,
            server_errors: 0.0,
            total: 70_000.0,
        };
        let limit = Limit { name: "rate.api".into(), passed: Some(9.0), refused: 2.5, ..Limit::default() };
        let figures = Figures { routes: (0..9).map(route).collect(), limits: vec![limit], ..figures() };
        let mut screen = Screen::new("127.0.0.1:9000".into());
        screen.update(figures);
        let text = text_of(&screen, 100, 19);
        let lines: Vec<&str> = text.lines().skip(10).collect();
        assert_eq!(
            lines.join("\n"),
            "\
┌workers─────────────────────────────────────────┐┌what was refused, and what ended early──────────┐
│worker      connections  requests/s      turns/s││reason                               /s      all│
│0                  1.2k       12.3k          7.5││route.none                            5    70.0k│
└────────────────────────────────────────────────┘└────────────────────────────────────────────────┘
┌routes──────────────────────────────────────────┐┌limits──────────────────────────────────────────┐
│route                 /s   4xx/s   5xx/s     all││limit            pass/s  wait/s refuse/s     all│
│example.com/0      12.3k       5       0   70.0k││rate.api              9       –      2.5       0│
│example.com/1      12.3k       5       0   70.0k││                                                │
└────────────────────────────────────────────────┘└────────────────────────────────────────────────┘"
        );
    }

    #[test]
    fn old_figures_are_shown_with_the_reason() {
        let mut screen = Screen::new("unix:/run/k".into());
        screen.update(figures());
        screen.trouble("no answer within 2 s".into());
        let text = text_of(&screen, 100, 9);
        assert!(text.contains("no answer within 2 s") && text.contains("12.3k"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits() {
        for (number, said) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (7.0, "7"),
            (99.96, "100.0"),
            (999.4, "999"),
            (1_000.0, "1.0k"),
            (2.5e15, "2500T"),
        ] {
            assert_eq!(count(number), said);
        }
        assert_eq!(
            [59, 3_599, 86_399].map(|at| uptime(Duration::from_secs(at))),
            ["59 s", "59 min", "23 h 59 min"]
        );
        assert_eq!([0.000_01, 0.0125, 2.0].map(seconds), ["10.0 µs", "12.50 ms", "2.00 s"]);
    }
}
