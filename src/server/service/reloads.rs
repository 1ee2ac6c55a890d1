//! [`Reloads`]: orders to read the configuration again, and what became of the last one.
//!
//! ```text
//!  HUP ─► Reloads::begin ─► Reloading ─┬─ took_effect ─┬─► /_kolk/reload ─► whoever gave the order
//!                                      └─ refused ─────┘
//! ```
//! The site takes no orders: it says which process to signal, and the kernel decides who may. Orders have
//! numbers, from 1. Whoever has seen that so many have begun, gives one more and sees an outcome with a
//! greater number, sees what became of it, or of a later one: of several signals that come at once a process
//! hears one.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::app::push_json;
use crate::server::running::Handle;
use crate::server::stats::Snapshot;
use crate::sys::{clock, process};

/// A process that reads its configuration again when it gets `SIGHUP`, and says so at `/_kolk/reload` of the
/// [admin](crate::Server::admin) site: for `kolk reload`.
///
/// ```
/// use kolk::service::Reloads;
/// use kolk::{App, Request, Response, Server};
///
/// let says = |text| App::new().get("/", move |_: &Request<'_>| Response::text(text));
/// let server = Server::new(says("one\n")).listen("127.0.0.1:0")?.start()?;
/// let reloads = Reloads::new(&server.handle());
///
/// // In the thread that waits for signals, when SIGHUP has come:
/// let order = reloads.begin();
/// match server.handle().replace(says("two\n")) {
///     Ok(()) => order.took_effect([]),
///     Err(error) => order.refused(&error.to_string()),
/// }
/// # server.stop();
/// # Ok::<(), kolk::Error>(())
/// ```
#[derive(Debug)]
pub struct Reloads(Arc<Orders>);

/// An order that is being carried out. Dropping it says that it was given up.
#[derive(Debug)]
pub struct Reloading {
    orders: Arc<Orders>,
    number: u64,
    is_told: bool,
}

impl Reloads {
    /// From now on the site of `server` says that this process takes such orders.
    pub fn new(server: &Handle) -> Self {
        let orders = server.orders();
        orders.served_from.store(clock::unix_seconds(), Relaxed);
        orders.are_taken.store(true, Relaxed);
        Self(Arc::clone(orders))
    }

    /// An order has come. What it finds from now on counts.
    pub fn begin(&self) -> Reloading {
        let number = self.0.begun.fetch_add(1, Relaxed) + 1;
        Reloading { orders: Arc::clone(&self.0), number, is_told: false }
    }
}

impl Reloading {
    /// What was read is served; `waits`: what of it needs a restart, a line for each.
    pub fn took_effect(self, waits: impl IntoIterator<Item = String>) {
        self.end(Ok(waits.into_iter().collect()));
    }

    /// What was served before still is: `why`, in as many lines as it takes.
    pub fn refused(self, why: &str) {
        self.end(Err(why.to_owned()));
    }

    fn end(mut self, result: Result<Vec<String>, String>) {
        self.is_told = true;
        self.tell(result);
    }

    fn tell(&self, result: Result<Vec<String>, String>) {
        let outcome = Outcome { number: self.number, unix_seconds: clock::unix_seconds(), result };
        if outcome.result.is_ok() {
            self.orders.served_from.store(outcome.unix_seconds, Relaxed);
        }
        *self.orders.outcome() = Some(outcome);
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(Err("it was given up".to_owned()));
        }
    }
}

/// What all handles of a server know of orders.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Whether the process takes any.
    are_taken: AtomicBool,
    begun: AtomicU64,
    /// The second since 1970 at which what is served was read.
    served_from: AtomicU64,
    last: Mutex<Option<Outcome>>,
}

/// What became of an order.
#[derive(Debug)]
struct Outcome {
    number: u64,
    unix_seconds: u64,
    /// What waits for a restart; or why all is as it was.
    result: Result<Vec<String>, String>,
}

impl Orders {
    /// All of it as JSON (RFC 8259); nothing where no orders are taken. `sum`: how many took effect.
    pub(crate) fn json(&self, sum: &Snapshot) -> Option<String> {
        if !self.are_taken.load(Relaxed) {
            return None;
        }
        let own = process::own();
        let began = process::began(own).map_or_else(|| "null".to_owned(), |began| began.to_string());
        let (done, refused) = (sum.replacements, sum.replacements_refused);
        let outcome = self.outcome();
        // Read under the lock: what is shown to have ended has begun.
        let begun = self.begun.load(Relaxed);
        let mut json = format!(r#"{{"process":{own},"began":{began},"orders":{begun},"#);
        let _ = write!(json, r#""replacements":{done},"refused":{refused},"outcome":"#);
        match &*outcome {
            Some(outcome) => outcome.push_json(&mut json),
            None => json.push_str("null"),
        }
        json.push_str("}\n");
        Some(json)
    }

    /// Whether the last order took effect, or there was none, and when what is served was read, in seconds
    /// since 1970; nothing where no orders are taken.
    pub(crate) fn last(&self) -> Option<(bool, u64)> {
        let is_good = self.outcome().as_ref().is_none_or(|outcome| outcome.result.is_ok());
        self.are_taken.load(Relaxed).then(|| (is_good, self.served_from.load(Relaxed)))
    }

    fn outcome(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    fn push_json(&self, json: &mut String) {
        let _ = write!(json, r#"{{"order":{},"unix_seconds":{},"#, self.number, self.unix_seconds);
        match &self.result {
            Ok(waits) => {
                json.push_str(r#""took_effect":true,"waits":["#);
                for (number, line) in waits.iter().enumerate() {
                    json.push_str(if number == 0 { "" } else { "," });
                    push_json(json, line.as_bytes());
                }
                json.push_str("]}");
            }
            Err(why) => {
                json.push_str(r#""took_effect":false,"why":"#);
                push_json(json, why.as_bytes());
                json.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(orders: &Orders) -> String {
        let json = orders.json(&Snapshot::default()).unwrap();
        json.split_once(r#","orders":"#).unwrap().1.to_owned()
    }

    #[test]
    fn nobody_is_told_to_signal_a_process_that_takes_no_orders() {
        assert_eq!(Orders::default().json(&Snapshot::default()), None);
        assert_eq!(Orders::default().last(), None);
    }

    #[test]
    fn the_last_outcome_is_told_with_its_number() {
        let reloads = Reloads(Arc::default());
        reloads.0.are_taken.store(true, Relaxed);
        assert_eq!(told(&reloads.0), "0,\"replacements\":0,\"refused\":0,\"outcome\":null}\n");
        let now = clock::unix_seconds();
        assert_eq!(reloads.0.last(), Some((true, 0)), "what was read at the start is served");
        let order = reloads.begin();
        assert!(told(&reloads.0).starts_with("1,") && told(&reloads.0).contains(":null}"));
        order.took_effect(["a:1: `x`".to_owned(), "b".to_owned()]);
        assert!(told(&reloads.0).contains(r#"{"order":1,"unix_seconds":"#));
        assert!(told(&reloads.0).ends_with("\"took_effect\":true,\"waits\":[\"a:1: `x`\",\"b\"]}}\n"));
        let served_from = |last: Option<(bool, u64)>| last.filter(|(_, from)| (now..now + 60).contains(from));
        assert!(served_from(reloads.0.last()).is_some_and(|(is_good, _)| is_good));
        reloads.begin().refused("two\n\"lines\"");
        assert!(told(&reloads.0).ends_with("\"took_effect\":false,\"why\":\"two\\n\\\"lines\\\"\"}}\n"));
        assert!(served_from(reloads.0.last()).is_some_and(|(is_good, _)| !is_good), "the former is served");
        drop(reloads.begin());
        assert!(told(&reloads.0).starts_with("3,") && told(&reloads.0).contains("it was given up"));
    }
}
