//! [`Config`]: every number that the server works with, in one place, with its default.
//!
//! Limits and timeouts are all on by default. Knows no file format: a configuration file is one more
//! way to fill this in.

use std::sync::Arc;
use std::time::Duration;

use crate::app::{RouteTimeouts, Rule, Trust};
use crate::proto::{h1, h2};

/// What a server works with. Cheap to share: workers hold it behind an `Arc`.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many workers (threads, each with its own loop).
    pub workers: Workers,
    /// Binds each worker to one of the CPUs that the process may use.
    pub pin: bool,
    /// Gives each worker a descriptor table of its own (Linux): 1 to 3 % less for a request, since the kernel
    /// then counts no references on every call. For programs that are nothing but a server: what the process
    /// has open when it starts stays open in every worker, and a file that another thread opened means
    /// nothing to a worker ([`Body::File`](crate::Body::File) in a late answer is refused).
    pub private_descriptors: bool,
    /// How many connections the kernel may hold ready for each listener.
    pub backlog: u32,
    /// How many connections all workers together hold; `None`: derived from the descriptor limit.
    pub connections_max: Option<usize>,
    /// The `Server` field of every answer; `None` for none.
    pub server_name: Option<String>,
    /// What `Strict-Transport-Security` in every encrypted answer says; `None` for no such field. RFC 6797.
    pub hsts: Option<Duration>,
    /// Which proxies are believed about their clients; `None`: nobody.
    pub trust: Option<Arc<Trust>>,
    /// What a request may cost.
    pub limits: Limits,
    /// How long the server waits for what.
    pub timeouts: Timeouts,
    /// Measures the stages of every request, for the metrics and for [`ServerTiming`](crate::ServerTiming):
    /// the time is taken five times. A log that tells how long something took asks for it, too.
    pub stages: bool,
    /// Threads of the blocking pool, at most.
    pub blocking_threads: usize,
    /// Jobs that may wait for the blocking pool; more are answered with 503.
    pub blocking_queue_max: usize,
}

/// How many workers a server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that the affinity mask and the control group allow.
    #[default]
    Auto,
    /// So many, at least one.
    Exactly(usize),
}

/// What a request may cost. Over a limit it is answered with that limit's status.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The limits of the HTTP/1 parser: 414 and 431.
    pub http1: Arc<h1::Limits>,
    /// The limits of HTTP/2.
    pub http2: Arc<h2::Limits>,
    /// The body of a request, in bytes, where a route sets nothing else: 413.
    pub body_bytes_max: u64,
    /// All bodies that a worker keeps in memory for their handlers, in bytes: 503.
    pub bodies_bytes_max: u64,
    /// How many connections a client may have open, by its address (IPv6: by its /64); one more is closed at
    /// once. `None`: as many as it likes. Those of socket files are not counted, nor those of proxies that
    /// the server [trusts](super::Server::trust), each of which comes for many clients.
    pub connections_per_address_max: Option<u32>,
}

/// How long the server waits; each has a counter of its own.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a whole handshake of TLS, from the accept.
    pub handshake: Duration,
    /// For a whole head, from its first byte (of a connection's first request: from the accept, or the end of
    /// the handshake). 408.
    pub header: Duration,
    /// For the next request on an idle connection.
    pub keepalive: Duration,
    /// For the next byte of a body. 408.
    pub body: Duration,
    /// For the body's rate to be judged, again and again. 408.
    pub body_rate_window: Duration,
    /// The least rate of a body, in bytes a second.
    pub body_rate_bytes_min: u64,
    /// For a reader: within this time it must take `write_rate_bytes_min` for each second of it.
    pub write: Duration,
    /// The least rate of a reader, in bytes a second.
    pub write_rate_bytes_min: u64,
    /// For a client to close after the last answer.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: Workers::Auto,
            pin: false,
            private_descriptors: false,
            backlog: 4096,
            connections_max: None,
            server_name: Some(String::from("kolk")),
            hsts: None,
            trust: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            stages: false,
            blocking_threads: 32,
            blocking_queue_max: 1024,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http1: Arc::default(),
            http2: Arc::default(),
            body_bytes_max: Rule::BODY_BYTES_MAX,
            bodies_bytes_max: 256 * 1024 * 1024,
            connections_per_address_max: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            keepalive: Duration::from_secs(75),
            body: Duration::from_secs(30),
            body_rate_window: Duration::from_secs(5),
            body_rate_bytes_min: 512,
            write: Duration::from_secs(30),
            write_rate_bytes_min: 512,
            linger: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// What a window of [`Timeouts::body_rate_window`] costs a body, in bytes.
    pub(crate) fn body_rate_cost(&self) -> u64 {
        bytes_at(self.body_rate_bytes_min, self.body_rate_window)
    }

    /// The most credit that a body's bytes can gain: whoever was fast may pause, but not for ever.
    pub(crate) fn body_credit_max(&self) -> u64 {
        bytes_at(self.body_rate_bytes_min, self.body).max(self.body_rate_cost())
    }

    /// What a reader must take within this time, in bytes.
    pub(crate) fn write_cost(&self, time: Duration) -> u64 {
        bytes_at(self.write_rate_bytes_min, time).max(1)
    }

    /// These, and what a route says otherwise.
    pub(crate) fn of_route(&self, own: &RouteTimeouts) -> Self {
        Self {
            body: own.body.unwrap_or(self.body),
            body_rate_bytes_min: own.body_rate_bytes_min.unwrap_or(self.body_rate_bytes_min),
            write: own.write.unwrap_or(self.write),
            ..*self
        }
    }
}

/// What `rate`, in bytes a second, comes to in `time`.
fn bytes_at(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_millis() / 1000).unwrap_or(u64::MAX)
}

/// One `recv` of a turn takes at most so many bytes; the next turn takes more.
pub const INPUT_BYTES: usize = 64 * 1024;
/// One turn of a connection answers at most so many pipelined requests.
pub const TURN_REQUESTS_MAX: usize = 32;
/// The same where there are many at a time: as many as may be open, so that none waits for another turn.
pub(crate) const TURN_STREAMS_MAX: usize = 128;
/// One turn of a worker accepts at most so many connections from one listener.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// The kernel's events of one turn.
pub const EVENTS_PER_TURN_MAX: usize = 256;
/// Descriptors that are not connections: listeners, polls, logs, files, the program's own. Where there are
/// few, a quarter of them.
pub(crate) const DESCRIPTORS_RESERVED: u64 = 64;
