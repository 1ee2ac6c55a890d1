//! [`RouteTimeouts`]: how long the exchanges of one route may take.
//!
//! ```text
//!  head ─► layers ─► (body) ─► handler ─► … ─► answer ─► its reader
//!  └─── handler ───┘└─ body ─┘└─── handler ───────────┘└── write ──┘
//! ```
//! What is named like a timeout of the server counts in its place. Knows no clock: whoever serves keeps the
//! time.

use std::fmt;
use std::time::Duration;

/// How long an exchange of a route may take; what is `None` is as the server's own timeouts have it, and of
/// the handler they say nothing: it may take as long as it likes.
///
/// ```
/// use std::time::Duration;
///
/// use kolk::{App, HandlerExt, Reply, Request, RouteTimeouts, deferred};
///
/// let timeouts = RouteTimeouts { handler: Some(Duration::from_millis(10)), ..RouteTimeouts::default() };
/// let slow = deferred(|_: &Request<'_>, reply: Reply| {
///     std::thread::spawn(move || {
///         std::thread::sleep(Duration::from_secs(1));
///         reply.send("nobody reads this");
///     });
/// });
/// let app = App::new().get("/", slow.timeouts(timeouts));
/// assert_eq!(app.oneshot(http::Request::get("/").body("").unwrap()).status(), 504);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// For an answer, once nothing more of the request is awaited: 504. Whoever works on it (the handler, a
    /// layer that asks another thread, a sink that has the client wait) learns that nobody waits any more,
    /// and what it answers is dropped. The time that a layer lets a request wait for its turn does not
    /// count. A handler that works on its loop's own thread is not interrupted.
    pub handler: Option<Duration>,
    /// For the next byte of a request's body: 408.
    pub body: Option<Duration>,
    /// The least rate of a request's body, in bytes a second: 408.
    pub body_rate_bytes_min: Option<u64>,
    /// For a reader that takes nothing of the answer, or too little.
    pub write: Option<Duration>,
}

impl RouteTimeouts {
    /// These, and what only `others` say.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            handler: self.handler.or(others.handler),
            body: self.body.or(others.body),
            body_rate_bytes_min: self.body_rate_bytes_min.or(others.body_rate_bytes_min),
            write: self.write.or(others.write),
        }
    }
}

/// What is said, under the names that the counters have: `handler 10s, body 5s, body_rate 512B/s, write 3s`.
impl fmt::Display for RouteTimeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |name, time: Option<Duration>| time.map(|time| format!("{name} {time:?}"));
        let rate = self.body_rate_bytes_min.map(|bytes| format!("body_rate {bytes}B/s"));
        let said = [time("handler", self.handler), time("body", self.body), rate, time("write", self.write)];
        f.write_str(&said.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_ones_count_and_the_outer_ones_fill_in() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let inner = RouteTimeouts { handler: seconds(1), ..RouteTimeouts::default() };
        let outer = RouteTimeouts {
            handler: seconds(9),
            write: Some(Duration::from_millis(1_500)),
            body_rate_bytes_min: Some(512),
            ..RouteTimeouts::default()
        };
        let both = inner.or(outer);
        assert_eq!(both.to_string(), "handler 1s, body_rate 512B/s, write 1.5s");
        assert_eq!(RouteTimeouts::default().to_string(), "");
    }
}
