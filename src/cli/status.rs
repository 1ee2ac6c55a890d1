//! [`Status`]: one line on the terminal that says how the server does, once a second.
//!
//! ```text
//!  12 connections · 3.4k requests/s · 1.2 MB/s · 4xx 3 · 5xx 0
//! ```

use std::fmt;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kolk::Handle;

use super::{clock, terminal};

const EVERY: Duration = Duration::from_secs(1);

/// Shows how a server does until it is dropped.
#[derive(Debug)]
pub(crate) struct Status {
    /// Dropped first: that ends the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the line says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    connections: u64,
    requests_per_second: f64,
    bytes_per_second: f64,
    client_errors: u64,
    server_errors: u64,
}

/// What is counted, to be compared with a moment ago.
#[derive(Clone, Copy, Debug)]
struct Count {
    connections: u64,
    requests: u64,
    bytes: u64,
    client_errors: u64,
    server_errors: u64,
}

impl Status {
    /// Begins to show how `server` does.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(crate) fn show(server: Handle) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let show = move || {
            let (mut before, mut at) = (Count::of(&server), clock::now());
            terminal::show(&Line::between(before, before, EVERY).to_string());
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let (count, now) = (Count::of(&server), clock::now());
                terminal::show(&Line::between(before, count, now - at).to_string());
                (before, at) = (count, now);
            }
            terminal::show("");
        };
        let thread = thread::Builder::new().name("kolk-status".into()).spawn(show)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, its line is a blemish and no more.
            let _ = thread.join();
        }
    }
}

impl Count {
    fn of(server: &Handle) -> Self {
        let snapshot = server.snapshot();
        Self {
            connections: snapshot.connections(),
            requests: snapshot.requests(),
            bytes: snapshot.bytes_received + snapshot.bytes_sent,
            client_errors: snapshot.requests_by_class[3],
            server_errors: snapshot.requests_by_class[4],
        }
    }
}

impl Line {
    fn between(before: Count, now: Count, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(0.001);
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        Self {
            connections: now.connections,
            requests_per_second: rate(before.requests, now.requests),
            bytes_per_second: rate(before.bytes, now.bytes),
            client_errors: now.client_errors,
            server_errors: now.server_errors,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.connections == 1 { "connection" } else { "connections" };
        write!(f, "{} {noun} · ", self.connections)?;
        write!(f, "{}requests/s · ", scaled(self.requests_per_second, ["", "k", "M", "G"], ""))?;
        write!(f, "{} · ", scaled(self.bytes_per_second, ["B/s", "kB/s", "MB/s", "GB/s"], " "))?;
        write!(f, "4xx {} · 5xx {}", self.client_errors, self.server_errors)
    }
}

/// Three digits and a unit: `7`, `3.4k`, `12 MB/s`.
fn scaled(mut value: f64, units: [&str; 4], gap: &str) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 9.95);
    let tail = if gap.is_empty() { " " } else { "" };
    format!("{value:.decimals$}{gap}{}{tail}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_time_between() {
        let count =
            |requests, bytes| Count { connections: 12, requests, bytes, client_errors: 3, server_errors: 0 };
        let line = Line::between(count(100, 0), count(6_900, 2_400_000), Duration::from_secs(2));
        assert_eq!(line.to_string(), "12 connections · 3.4k requests/s · 1.2 MB/s · 4xx 3 · 5xx 0");
        let still = Line::between(count(5, 5), count(5, 5), Duration::ZERO);
        assert_eq!(still.to_string(), "12 connections · 0 requests/s · 0 B/s · 4xx 3 · 5xx 0");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = |value| scaled(value, ["B", "kB", "MB", "GB"], " ");
        assert_eq!(
            [0.4, 999.0, 999.9, 9_940.0, 9_960.0, 1e9, 5e12].map(shown),
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "1.0 GB", "5000 GB"]
        );
    }
}
