//! THE ACCESS LOG: one line a request, formatted by the worker, written by a thread of its own.
//!
//! ```text
//!  worker 0   Ring ── batch ──┐                        ┌── stdout, stderr, file, socket
//!  worker 1   Ring ── batch ──┼──► kolk-log (writer) ──┘
//!  worker 2   Ring ── batch ──┘        │
//!               ▲───── empty batch ────┘                   and the same for each log
//! ```
//! Invariant: a worker never waits. What does not fit is dropped and counted, be the disk full, slow or
//! gone. Invariant: one record is one line, whatever a client sends: each byte that is not printable
//! ASCII, each quote and each backslash is escaped, and a text longer than [`TEXT_BYTES_MAX`] is cut and
//! ends with `...`. The lines of one worker keep their order; those of several workers are interleaved
//! by batches.
//!
//! | file | what it is |
//! | --- | --- |
//! | `logs` | [`AccessLogs`]: all logs of a server; [`LogSet`]: those of an edition |
//! | `rings` | [`Rings`]: one worker's ends of them |
//! | `ring` | [`Ring`]: the batches of one worker for one log |
//! | `held` | what is missing in lines of answers that have yet to leave |
//! | `doubt` | lines of answers that the kernel has not taken whole |
//! | `losses` | how many lines each log has lost, by its name |
//! | `sample` | which requests have a line |
//! | `format`, `template` | a record as a line: combined, JSON, pretty, [`Template`] |
//! | `redaction` | what of a head lines do not show |
//! | `text` | numbers, times, addresses and escapes, without formatting machinery |
//! | `writer` | the thread that writes batches |
//! | `datagrams` | lines as messages to a Unix socket |
//!
//! `docs/access-log.md` describes the formats; a test holds the members of the JSON lines to it.

mod datagrams;
mod doubt;
mod format;
mod held;
mod logs;
mod losses;
mod redaction;
mod ring;
mod rings;
mod sample;
mod template;
pub(super) mod text;
mod writer;

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ::http::{HeaderName, header};

pub(super) use self::doubt::{Cut, Doubt};
pub use self::logs::{AccessLogs, LogControl, LogSet};
pub use self::losses::LogShare;
use self::redaction::Redacted;
pub(super) use self::redaction::{is_one_of, without};
pub use self::ring::Ring;
pub use self::rings::Rings;
use self::sample::Sample;
pub use self::template::{Template, TemplateError};
pub use self::text::TEXT_BYTES_MAX;
use crate::app::RateNote;
use crate::http::{Head, Timeline};
use crate::server::stats::Cause;
pub use crate::sys::append::{append_to, ends_within_a_line};
pub use crate::sys::datagrams::Datagrams;
pub use crate::sys::syslog::{Facility, Severity};

/// Where the system sorts requests, unless it is told.
const FACILITY: Facility = Facility::Local7;

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// The "combined" format of nginx and Apache.
    Combined,
    /// One JSON object a line.
    Json,
    /// Aligned columns for a person's terminal.
    Pretty {
        /// With ANSI colours.
        colour: bool,
    },
    /// A form of one's own.
    Template(Template),
}

/// Where lines go.
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file, which is created if needed and opened anew by [`LogControl::reopen`].
    File(PathBuf),
    /// One datagram for each line, without its end, to the Unix socket of this name.
    Datagrams(PathBuf),
    /// One message for each line to the log of the system. Severity info, tag `kolk`.
    Syslog {
        /// The socket that it listens at: usually [`Destination::SYSLOG`].
        path: PathBuf,
        /// Where it sorts them; `None`: local7 for requests, daemon for what a server says about itself.
        facility: Option<Facility>,
    },
    /// Anything else; used from the writer's thread alone.
    Sink(Box<dyn io::Write + Send>),
}

impl Destination {
    /// Where the log of the system listens on Linux and the BSDs.
    pub const SYSLOG: &str = "/dev/log";

    /// As a configuration file has it.
    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Stdout => "stdout".into(),
            Self::Stderr => "stderr".into(),
            Self::File(path) => path.display().to_string().into(),
            Self::Datagrams(path) => format!("unix:{}", path.display()).into(),
            Self::Syslog { facility: None, .. } => "syslog:".into(),
            Self::Syslog { facility: Some(facility), .. } => format!("syslog:{}", facility.name()).into(),
            Self::Sink(_) => "sink".into(),
        }
    }

    /// Where that is, if it has a name.
    fn place(&self) -> Option<Place> {
        Some(match self {
            Self::Stdout => Place::Stdout,
            Self::Stderr => Place::Stderr,
            Self::File(path) => Place::File(path.clone()),
            Self::Datagrams(path) => Place::Datagrams(path.clone()),
            Self::Syslog { path, facility } => Place::Syslog(path.clone(), facility.unwrap_or(FACILITY)),
            Self::Sink(_) => return None,
        })
    }
}

/// A destination that others may name, too: all their lines have one writer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Stdout,
    Stderr,
    File(PathBuf),
    Datagrams(PathBuf),
    Syslog(PathBuf, Facility),
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("Stdout"),
            Self::Stderr => f.write_str("Stderr"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Datagrams(path) => f.debug_tuple("Datagrams").field(path).finish(),
            Self::Syslog { path, facility } => {
                f.debug_struct("Syslog").field("path", path).field("facility", facility).finish()
            }
            Self::Sink(_) => f.write_str("Sink"),
        }
    }
}

/// One log: how its lines look, where they go, and what is left out.
///
/// ```
/// use kolk::access_log::{Destination, Format, Log};
/// use kolk::{App, HandlerExt, Request, Response, Server};
/// use kolk::{LogId, header};
///
/// let api = |_: &Request<'_>| Response::json("{}");
/// let app = App::new().get("/", Response::text("hello\n")).get("/api", api.logged(LogId::new(1)));
/// let pages = Log::new(Format::Combined, Destination::Stdout).without_parameter("token");
/// let calls = Log::new(Format::Json, Destination::Stderr).sample(0.01, 1.0).without_field(&header::REFERER);
/// let server = Server::new(app).access_logs([pages, calls]);
/// ```
#[derive(Debug)]
pub struct Log {
    format: Format,
    to: Destination,
    sample: Sample,
    redacted: Redacted,
    name: Option<String>,
}

impl Log {
    /// A line for each request, with all that `format` has.
    pub fn new(format: Format, to: Destination) -> Self {
        Self { format, to, sample: Sample::ALL, redacted: Redacted::default(), name: None }
    }

    /// What it is called where its losses are counted: [`LogShare`]. Without a name, by where its lines go.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => name.into(),
            None => self.to.text(),
        }
    }

    /// A line for a part of the requests, from 0.0 (none) to 1.0 (all): for `ok` of those that are answered
    /// whole with a status below 400, for `error` of the others. Which ones is drawn.
    #[must_use]
    pub fn sample(mut self, ok: f64, error: f64) -> Self {
        self.sample = Sample::new(ok, error);
        self
    }

    /// Whether its lines tell how long something took.
    pub(super) fn shows_times(&self) -> bool {
        self.format.shows_times()
    }

    /// Leaves out the value of a field of requests: of `Host`, also in a target that begins with it, of
    /// `Referer` or of `User-Agent`. No other field is ever written.
    #[must_use]
    pub fn without_field(mut self, name: &HeaderName) -> Self {
        self.redacted.host |= name == header::HOST;
        self.redacted.referer |= name == header::REFERER;
        self.redacted.user_agent |= name == header::USER_AGENT;
        self
    }

    /// Writes the network in place of the address of a client and of the peer, and no port: the first 24 bits
    /// of IPv4, the first 48 of IPv6.
    #[must_use]
    pub fn without_client(mut self) -> Self {
        self.redacted.client = true;
        self
    }

    /// Writes `***` for whoever the client has proved to be.
    #[must_use]
    pub fn without_user(mut self) -> Self {
        self.redacted.user = true;
        self
    }

    /// Writes `***` for the values of a parameter of the query, in the target and in `Referer`, however its
    /// name is written.
    #[must_use]
    pub fn without_parameter(mut self, name: &str) -> Self {
        self.redacted.parameters.push(name.to_owned());
        self
    }
}

/// What is known of one answered request.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// When the turn began in which the answer was made or, of one that took more turns than that, ended:
    /// seconds since 1970, UTC.
    pub unix_seconds: u64,
    /// The milliseconds within that second; below 1000.
    pub unix_millis: u16,
    /// The other end of the connection; `None` on a socket that has no addresses.
    pub peer: Option<SocketAddr>,
    /// The client, where a trusted proxy has told another than the peer.
    pub client: Option<IpAddr>,
    /// `https` or `http`: what the client has used, as far as is known.
    pub scheme: &'static str,
    /// The request; `None` when its head could not be parsed.
    pub head: Option<&'r Head<'r>>,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// Why kolk itself answered, if it did; or why there is no answer, or not all of it.
    pub reason: Option<Cause>,
    /// The first host of the site that was asked, as it was configured; empty when nobody knows.
    pub site: &'r str,
    /// The pattern of the route that won; empty when none did.
    pub route: &'r str,
    /// Who the client has proved to be.
    pub user: Option<&'r str>,
    /// Which rate has not simply let it pass.
    pub rate: Option<&'r RateNote>,
    /// The stages of the exchange, as far as they were measured.
    pub timeline: &'r Timeline,
    /// The worker.
    pub worker: usize,
    /// The connection within the worker.
    pub connection: u64,
    /// The request within the connection, from 1.
    pub request: u32,
    /// What the request is called, if it has a name.
    pub id: Option<&'r str>,
}

impl<'r> Record<'r> {
    /// The name of the rate that has refused the request, if that is the reason of the answer: it stands
    /// behind the code.
    pub(super) fn refuser(&self) -> Option<&'r str> {
        let Some(Cause::Reason(reason)) = self.reason else { return None };
        self.rate?.refuser(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use std::sync::Arc;

    use crossbeam_channel::{Receiver, bounded};

    use super::ring::{BATCH_BYTES, RING_BATCHES};
    use super::*;
    use crate::app::LogId;
    use crate::base::Tick;
    use crate::sys::scratch::Scratch;

    static TIMELINE: Timeline = Timeline {
        accepted: Tick::ZERO,
        received: Tick::ZERO,
        parsed: Tick::ZERO,
        handled: Tick::ZERO,
        responded: Tick::ZERO,
        finished: Tick::ZERO,
    };

    /// The line number `number`: it stands where the size does.
    fn numbered(number: u64) -> Record<'static> {
        Record {
            unix_seconds: number,
            unix_millis: 0,
            peer: None,
            client: None,
            scheme: "http",
            head: None,
            status: 200,
            body_bytes: number,
            reason: None,
            site: "",
            route: "",
            user: None,
            rate: None,
            timeline: &TIMELINE,
            worker: 0,
            connection: 1,
            request: 1,
            id: None,
        }
    }

    /// The numbers of the lines that arrived, all of which must be whole.
    fn numbers(bytes: &[u8]) -> Vec<u64> {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
        text.lines()
            .map(|line| {
                let rest = line.strip_prefix("- - - [").and_then(|line| line.strip_suffix(" \"-\" \"-\""));
                rest.and_then(|line| line.rsplit(' ').next()).expect(line).parse().expect(line)
            })
            .collect()
    }

    /// Memory that outlives the log.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn numbers(&self) -> Vec<u64> {
            numbers(&self.0.lock().unwrap())
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Asks `plan` before each write: how many bytes it takes, or how it fails.
    struct Planned<P>(Memory, P);

    impl<P: FnMut(usize) -> io::Result<usize>> Write for Planned<P> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = (self.1)(bytes.len())?.min(bytes.len());
            self.0.write(&bytes[..taken])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A server's only log.
    fn alone(format: Format, to: Destination) -> AccessLogs {
        AccessLogs::start(vec![Log::new(format, to)]).unwrap()
    }

    fn start(memory: &Memory, plan: impl FnMut(usize) -> io::Result<usize> + Send + 'static) -> AccessLogs {
        let sink = Destination::Sink(Box::new(Planned(memory.clone(), plan)));
        alone(Format::Combined, sink)
    }

    #[test]
    fn everything_is_written_in_order_when_the_log_is_dropped() {
        let memory = Memory::default();
        let log = start(&memory, Ok);
        let mut ring = log.rings().only();
        let mut turn = 0;
        for number in 0..5_000 {
            ring.record(&numbered(number));
            if number % 7 == 0 {
                turn += 1;
                ring.flush(Tick::from_millis(turn));
            }
        }
        assert_eq!(ring.dropped(), 0);
        drop(ring);
        drop(log);
        assert_eq!(memory.numbers(), (0..5_000).collect::<Vec<_>>());
    }

    #[test]
    fn each_ring_keeps_its_own_order() {
        let memory = Memory::default();
        let log = start(&memory, Ok);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let mut ring = log.rings().only();
                scope.spawn(move || {
                    for number in 0..2_000 {
                        ring.record(&numbered(worker * 10_000 + number));
                        if number % 100 == 0 {
                            ring.hand_over();
                        }
                    }
                    assert_eq!(ring.dropped(), 0);
                });
            }
        });
        drop(log);
        let numbers = memory.numbers();
        for worker in 0..4 {
            let own =
                numbers.iter().filter(|number| **number / 10_000 == worker).map(|number| number % 10_000);
            assert!(own.eq(0..2_000), "worker {worker}");
        }
    }

    #[test]
    fn a_flush_waits_until_lines_are_due() {
        let memory = Memory::default();
        let log = start(&memory, Ok);
        let mut ring = log.rings().only();
        assert_eq!(ring.flush(Tick::from_millis(1)), None, "nothing is due");
        ring.record(&numbered(1));
        let due = ring.flush(Tick::from_millis(1_000)).unwrap();
        assert!(due > Tick::from_millis(1_000));
        ring.record(&numbered(2));
        assert_eq!(ring.flush(Tick::from_millis(1_001)), Some(due), "a later line does not put it off");
        assert!(memory.numbers().is_empty());
        assert_eq!(ring.flush(due), None);
        assert_eq!(ring.flush(due), None);
        drop(log);
        assert_eq!(memory.numbers(), [1, 2]);
        ring.record(&numbered(3));
        ring.hand_over();
        assert_eq!(ring.dropped(), 1, "a log that is gone loses lines like a full one");
    }

    #[test]
    fn a_blocked_writer_never_blocks_a_worker() {
        let memory = Memory::default();
        let (release, gate) = bounded::<()>(0);
        let log = start(&memory, move |length| {
            // Blocks until the sender is gone.
            let _ = gate.recv();
            Ok(length)
        });
        let mut ring = log.rings().only();
        // Twice what a ring can hold: the writer takes nothing while the gate is shut.
        let mut recorded = 0;
        while ring.dropped() < 10_000 {
            ring.record(&numbered(recorded));
            recorded += 1;
        }
        let held = recorded - ring.dropped();
        assert!(held > 10_000 && held < (RING_BATCHES * BATCH_BYTES / 40) as u64, "{held}");
        drop(release);
        drop(ring);
        drop(log);
        assert_eq!(memory.numbers(), (0..held).collect::<Vec<_>>(), "the first lines stay, in order");
    }

    #[test]
    fn a_full_disk_loses_lines_counts_them_and_recovers() {
        let memory = Memory::default();
        let (say, said) = bounded(1);
        let mut full = false;
        let mut writes = 0;
        let log = start(&memory, move |length| {
            writes += 1;
            match writes {
                // Half a line more, then no space, for the rest of this batch and for the next one.
                1 => Ok(length / 2 + 3),
                2 | 3 => {
                    full = true;
                    Err(io::Error::from(io::ErrorKind::StorageFull))
                }
                _ => {
                    if std::mem::take(&mut full) {
                        say.send(()).unwrap();
                    }
                    Ok(length)
                }
            }
        });
        let mut ring = log.rings().only();
        for batch in 0..3 {
            for number in 0..100 {
                ring.record(&numbered(batch * 100 + number));
            }
            ring.hand_over();
        }
        said.recv().unwrap();
        let lost = ring.dropped();
        drop(ring);
        drop(log);
        let numbers = memory.numbers();
        assert!(lost > 100 && lost < 200, "a part of the first batch and the second are lost: {lost}");
        assert_eq!(numbers.len() as u64, 300 - lost);
        assert!(numbers.is_sorted());
        assert_eq!(numbers.last(), Some(&299));
    }

    #[test]
    fn a_sink_that_takes_a_byte_at_a_time_and_stutters() {
        let memory = Memory::default();
        let mut calls = 0;
        let log = start(&memory, move |_| {
            calls += 1;
            match calls % 3 {
                0 => Err(io::ErrorKind::Interrupted.into()),
                _ if calls == 100 => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(1),
            }
        });
        let mut ring = log.rings().only();
        for number in 0..50 {
            ring.record(&numbered(number));
        }
        drop(ring);
        drop(log);
        assert_eq!(memory.numbers(), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_stop_does_not_wait_for_a_destination_that_takes_nothing() {
        let (_hold, gate) = bounded::<()>(0);
        let log = start(&Memory::default(), move |length| {
            let _ = gate.recv();
            Ok(length)
        });
        let mut ring = log.rings().only();
        ring.record(&numbered(1));
        drop(ring);
        drop(log);
    }

    #[test]
    fn a_renamed_file_is_opened_anew() {
        let directory = Scratch::new("access-log");
        let (path, old) = (directory.join("log"), directory.join("log.1"));
        let log = alone(Format::Combined, Destination::File(path.clone()));
        let mut ring = log.rings().only();
        ring.record(&numbered(1));
        ring.hand_over();
        while std::fs::read(&path).unwrap().is_empty() {
            std::thread::yield_now();
        }
        std::fs::rename(&path, &old).unwrap();
        log.control().reopen();
        while !path.exists() {
            std::thread::yield_now();
        }
        ring.record(&numbered(2));
        drop(ring);
        drop(log);
        assert_eq!(numbers(&std::fs::read(&old).unwrap()), [1]);
        assert_eq!(numbers(&std::fs::read(&path).unwrap()), [2]);
        let missing = Destination::File(directory.join("missing/log"));
        let error = AccessLogs::start(vec![Log::new(Format::Combined, missing)]).unwrap_err().to_string();
        assert!(error.contains("missing/log: No such file"), "{error}");
    }

    /// The same with these times.
    fn measured(number: u64, timeline: &Timeline) -> Record<'_> {
        Record { timeline, ..numbered(number) }
    }

    #[test]
    fn a_line_says_when_its_answer_has_left_and_none_is_lost() {
        let memory = Memory::default();
        let to = Destination::Sink(Box::new(memory.clone()));
        let format = Template::parse("{bytes} {handle_us} {respond_us}us {total_us};").unwrap();
        let log = alone(Format::Template(format), to);
        let mut ring = log.rings().only();
        let nanos = Tick::from_nanos;
        let handled = |at| Timeline { received: nanos(1_000), handled: nanos(at), ..TIMELINE };
        let (first, second) = (handled(2_000), handled(3_000));
        assert!(!ring.record(&numbered(1)), "nobody has looked");
        assert!(ring.record(&measured(2, &first)));
        assert!(!ring.record(&numbered(3)), "nor here, behind one that is held");
        assert!(ring.record(&measured(4, &second)));
        ring.leave_at(nanos(7_000));
        let begun = Timeline { responded: nanos(2_500), ..first };
        ring.record(&measured(5, &begun));
        ring.flush(nanos(9_000));
        ring.record(&measured(6, &first));
        drop(ring);
        drop(log);
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "1 - -us -;\n2 - 5.000us 6.000;\n3 - -us -;\n4 - 4.000us 6.000;\n\
             5 - 0.500us 8.000;\n6 - -us -;\n"
        );
    }

    #[test]
    fn what_is_held_has_an_end() {
        let memory = Memory::default();
        let log = alone(Format::Json, Destination::Sink(Box::new(memory.clone())));
        let mut ring = log.rings().only();
        let timeline = Timeline { handled: Tick::from_nanos(1), ..TIMELINE };
        let route = "\u{1}".repeat(TEXT_BYTES_MAX);
        for number in 0..100 {
            ring.record(&Record { route: &route, ..measured(number, &timeline) });
        }
        ring.leave_at(Tick::from_nanos(2_001));
        assert_eq!(ring.dropped(), 0);
        drop(ring);
        drop(log);
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        let told = text.lines().filter(|line| line.contains(r#""respond_us":2.000"#)).count();
        assert_eq!(text.lines().count(), 100);
        assert!((1..50).contains(&told), "the first of so many are written before they have left: {told}");
    }

    #[test]
    fn a_line_makes_no_batch_grow() {
        let log = alone(Format::Json, Destination::Sink(Box::new(io::sink())));
        let mut ring = log.rings().only();
        let route = "\u{1}".repeat(TEXT_BYTES_MAX);
        for number in 0..100 {
            ring.record(&Record { route: &route, ..numbered(number) });
            assert!(ring.current_capacity().is_none_or(|bytes| bytes == ring::BATCH_CAPACITY));
        }
    }

    #[test]
    fn a_batch_that_lines_have_waited_in_is_no_larger_afterwards() {
        let bytes = Vec::with_capacity(4 * ring::BATCH_CAPACITY);
        let batch = ring::Batch { bytes, lines: 1, second: 0 }.emptied();
        assert_eq!((batch.bytes.capacity(), batch.lines), (ring::BATCH_CAPACITY, 0));
    }

    #[test]
    fn each_log_has_the_lines_that_are_for_it() {
        let memories = [Memory::default(), Memory::default()];
        let log = |memory: &Memory| {
            Log::new(Format::Combined, Destination::Sink(Box::new(Planned(memory.clone(), Ok))))
        };
        let logs = vec![log(&memories[0]), log(&memories[1]).sample(0.0, 1.0)];
        let logs = AccessLogs::start(logs).unwrap();
        let mut rings = logs.rings();
        for (number, log, status) in [
            (1, LogId::MAIN, 200),
            (2, LogId::new(1), 400),
            (3, LogId::new(1), 399),
            (4, LogId::NONE, 500),
            (5, LogId::new(7), 200),
            (6, LogId::new(1), 500),
        ] {
            if let Some(ring) = rings.wanting(log, status) {
                ring.record(&numbered(number));
            }
        }
        let due = rings.flush(Tick::from_millis(1)).unwrap();
        assert_eq!(rings.flush(due), None, "both were handed over");
        assert_eq!(rings.dropped(), 0);
        drop(rings);
        drop(logs);
        assert_eq!(memories.map(|memory| memory.numbers()), [vec![1, 5], vec![2, 6]]);
        assert!(AccessLogs::start(Vec::new()).unwrap().set().is_empty());
    }

    #[test]
    fn logs_with_one_destination_share_its_writer() {
        let directory = Scratch::new("access-logs");
        let file = |name: &str| Destination::File(directory.join(name));
        let to = [file("a"), Destination::Stdout, file("a"), file("b"), Destination::Stdout];
        let logs = to.into_iter().map(|to| Log::new(Format::Combined, to)).collect();
        let logs = AccessLogs::start(logs).unwrap();
        assert_eq!(logs.writers(), 3);
        let mut rings = logs.rings();
        for (number, log) in [(1, 0), (2, 2), (3, 3)] {
            rings.wanting(LogId::new(log), 200).unwrap().record(&numbered(number));
        }
        drop(rings);
        drop(logs);
        let mut both = numbers(&std::fs::read(directory.join("a")).unwrap());
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
        assert_eq!(numbers(&std::fs::read(directory.join("b")).unwrap()), [3]);
    }

    fn to_file(directory: &Scratch, name: &str) -> Log {
        Log::new(Format::Combined, Destination::File(directory.join(name)))
    }

    fn write(rings: &mut Rings, log: u16, number: u64) {
        rings.wanting(LogId::new(log), 200).unwrap().record(&numbered(number));
    }

    /// Turns of a worker, until `is_so`.
    fn turn_until(rings: &mut Rings, is_so: impl Fn(&Rings) -> bool) {
        for turn in 1.. {
            rings.flush(Tick::from_millis(200 * turn));
            if is_so(rings) {
                return;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn other_logs_take_over_and_older_requests_keep_theirs() {
        let directory = Scratch::new("access-logs-renewed");
        let log = |name| to_file(&directory, name);
        let logs = AccessLogs::start(vec![log("a"), log("b")]).unwrap();
        let before = logs.set();
        let mut rings = logs.rings();
        write(&mut rings, 0, 1);
        write(&mut rings, 1, 2);
        // Of two, one goes, one has another number, and a third comes.
        let after = logs.control().replace(vec![log("c"), log("a")]).unwrap();
        rings.renew(&after);
        write(&mut rings, 0, 3);
        write(&mut rings, 1, 4);
        write(rings.of(&before).unwrap(), 0, 5);
        write(rings.of(&before).unwrap(), 1, 6);
        write(rings.of(&after).unwrap(), 0, 7);
        rings.flush(Tick::from_millis(1));
        assert_eq!(logs.writers(), 3);
        drop(before);
        turn_until(&mut rings, |_| logs.writers() == 2);
        let read = |name: &str| {
            let mut read = numbers(&std::fs::read(directory.join(name)).unwrap());
            read.sort_unstable();
            read
        };
        assert_eq!(read("b"), [2, 6], "its last line is written when it ends");
        assert_eq!(rings.dropped(), 0);
        drop(rings);
        drop(logs);
        assert_eq!((read("a"), read("c")), (vec![1, 4, 5], vec![3, 7]));
    }

    #[test]
    fn logs_that_say_the_same_are_the_same() {
        let directory = Scratch::new("access-logs-same");
        let log = || to_file(&directory, "a").sample(0.5, 1.0).without_parameter("token");
        let logs = AccessLogs::start(vec![log(), log()]).unwrap();
        let before = logs.set();
        let same = logs.control().replace(vec![log(), log()]).unwrap();
        assert!(Arc::ptr_eq(&before, &same));
        let other = logs.control().replace(vec![log(), log().sample(1.0, 1.0)]).unwrap();
        assert!(Arc::ptr_eq(&before.logs()[0], &other.logs()[0]));
        assert!(!Arc::ptr_eq(&before.logs()[1], &other.logs()[1]));
        let sink = || Log::new(Format::Json, Destination::Sink(Box::new(io::sink())));
        let sinks = logs.control().replace(vec![sink()]).unwrap();
        assert!(!Arc::ptr_eq(&sinks, &logs.control().replace(vec![sink()]).unwrap()), "nothing is as a sink");
        // What is not there, nothing is changed for.
        let last = logs.set();
        logs.control().replace(vec![log(), to_file(&directory, "missing/log")]).unwrap_err();
        assert!(Arc::ptr_eq(&last, &logs.set()));
    }

    #[test]
    fn a_destination_that_comes_back_has_one_writer_after_the_other() {
        let directory = Scratch::new("access-logs-back");
        let logs = AccessLogs::start(vec![to_file(&directory, "a")]).unwrap();
        for number in 0..20 {
            let mut rings = logs.rings();
            write(&mut rings, 0, number);
            drop(rings);
            logs.control().replace(Vec::new()).unwrap();
            logs.control().replace(vec![to_file(&directory, "a")]).unwrap();
            assert_eq!(logs.writers(), 1);
        }
        let read = numbers(&std::fs::read(directory.join("a")).unwrap());
        assert_eq!(read, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_log_has_lost_is_counted_when_it_is_gone() {
        let memory = Memory::default();
        let (release, gate) = bounded::<()>(0);
        let log = start(&memory, move |_| {
            let _ = gate.recv();
            Err(io::ErrorKind::StorageFull.into())
        });
        let mut rings = log.rings();
        (0..10).for_each(|number| write(&mut rings, 0, number));
        let before = log.set();
        rings.renew(&log.control().replace(Vec::new()).unwrap());
        drop(before);
        assert_eq!(rings.flush(Tick::from_millis(1)), None, "nobody is woken for a writer that is stuck");
        assert_eq!(rings.dropped(), 0, "they are on their way");
        drop(release);
        turn_until(&mut rings, |rings| rings.dropped() == 10);
        turn_until(&mut rings, |rings| rings.flush_is_over());
        assert_eq!(rings.dropped(), 10);
        assert!(rings.wanting(LogId::MAIN, 200).is_none());
    }

    /// A log of this name that loses each line.
    fn full(name: &str) -> Log {
        let full = Planned(Memory::default(), |_| Err(io::ErrorKind::StorageFull.into()));
        Log::new(Format::Combined, Destination::Sink(Box::new(full))).named(name)
    }

    /// The names of the logs of new requests, and what they have lost.
    fn losses(logs: &AccessLogs) -> Vec<(String, u64)> {
        let shares = logs.control().shares().into_iter();
        shares.map(|share| (share.name.to_string(), share.lines_dropped)).collect()
    }

    /// The losses become those that are expected, or the test does not end.
    fn await_losses(logs: &AccessLogs, expected: &[(String, u64)]) {
        while losses(logs) != expected {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_was_lost_is_told_by_the_name_of_the_log() {
        let fine = || Log::new(Format::Combined, Destination::Sink(Box::new(io::sink())));
        let logs = AccessLogs::start(vec![full("a"), fine().named("b"), full("c"), fine(), full("a")]);
        let logs = logs.unwrap();
        let named = |counts: [u64; 4]| {
            let names = ["a", "b", "c", "sink"].into_iter().zip(counts);
            names.map(|(name, count)| (name.to_owned(), count)).collect::<Vec<_>>()
        };
        assert_eq!(losses(&logs), named([0; 4]));
        let mut workers = [logs.rings(), logs.rings()];
        for rings in &mut workers {
            for (log, lines) in [(0, 2), (1, 3), (2, 4), (3, 5), (4, 6)] {
                (0..lines).for_each(|number| write(rings, log, number));
            }
            rings.flush(Tick::from_millis(1));
            rings.flush(Tick::from_millis(200));
        }
        // Without another turn; of all workers, and of both logs that are called so.
        await_losses(&logs, &named([16, 0, 8, 0]));

        // Another log of a name goes on with its count, whatever it is; who is gone is gone.
        let before = logs.set();
        let after = logs.control().replace(vec![full("c"), full("d"), fine().named("a")]).unwrap();
        let counts = |counts: [u64; 3]| {
            let names = ["c", "d", "a"].into_iter().zip(counts);
            names.map(|(name, count)| (name.to_owned(), count)).collect::<Vec<_>>()
        };
        assert_eq!(losses(&logs), counts([8, 0, 16]));
        let [mut rings, _] = workers;
        rings.renew(&after);
        write(&mut rings, 1, 1);
        // Of requests that began before, and of rings that are gone.
        write(rings.of(&before).unwrap(), 0, 1);
        turn_until(&mut rings, |rings| rings.dropped() == 14);
        write(rings.of(&before).unwrap(), 0, 1);
        drop(before);
        turn_until(&mut rings, Rings::flush_is_over);
        await_losses(&logs, &counts([8, 1, 18]));
    }

    /// A log `a` whose writer waits for `gate`, and a worker's ring without room for ten lines.
    fn without_room(gate: Receiver<()>) -> (AccessLogs, Rings) {
        let stuck = Planned(Memory::default(), move |length| {
            let _ = gate.recv();
            Ok(length)
        });
        let log = Log::new(Format::Combined, Destination::Sink(Box::new(stuck))).named("a");
        let logs = AccessLogs::start(vec![log]).unwrap();
        let mut rings = logs.rings();
        while rings.dropped() < 10 {
            write(&mut rings, 0, 1);
        }
        (logs, rings)
    }

    #[test]
    fn a_worker_that_is_gone_has_told_what_found_no_room() {
        let (hold, gate) = bounded::<()>(0);
        let (logs, rings) = without_room(gate);
        assert_eq!(losses(&logs), [("a".to_owned(), 0)]);
        drop(rings);
        assert_eq!(losses(&logs), [("a".to_owned(), 10)]);
        drop(hold);
    }

    #[test]
    fn what_finds_no_room_is_told_by_name_too() {
        let (hold, gate) = bounded::<()>(0);
        let (logs, mut rings) = without_room(gate);
        assert_eq!(losses(&logs), [("a".to_owned(), 0)], "at a turn's end");
        for turn in [1, 2] {
            rings.flush(Tick::from_millis(turn));
            assert_eq!(losses(&logs), [("a".to_owned(), 10)]);
        }
        // And when nobody needs the ring any more.
        let before = logs.set();
        rings.renew(&logs.control().replace(vec![full("a")]).unwrap());
        write(rings.of(&before).unwrap(), 0, 1);
        drop(before);
        rings.flush(Tick::from_millis(3));
        assert_eq!(losses(&logs), [("a".to_owned(), 11)]);
        drop(hold);
    }

    #[test]
    fn a_destination_that_takes_nothing_holds_up_no_other() {
        let memory = Memory::default();
        let (hold, gate) = bounded::<()>(0);
        let stuck = Planned(Memory::default(), move |length| {
            let _ = gate.recv();
            Ok(length)
        });
        let sinks: [Box<dyn Write + Send>; 2] = [Box::new(stuck), Box::new(Planned(memory.clone(), Ok))];
        let logs = sinks.map(|sink| Log::new(Format::Combined, Destination::Sink(sink)));
        let logs = AccessLogs::start(logs.into()).unwrap();
        let mut rings = logs.rings();
        let mut number = 0;
        while rings.dropped() == 0 {
            rings.wanting(LogId::MAIN, 200).unwrap().record(&numbered(number));
            number += 1;
        }
        for number in 0..100 {
            rings.wanting(LogId::new(1), 200).unwrap().record(&numbered(number));
        }
        drop(rings);
        while memory.numbers().len() < 100 {
            std::thread::yield_now();
        }
        drop(hold);
        drop(logs);
        assert_eq!(memory.numbers(), (0..100).collect::<Vec<_>>());
    }
}
