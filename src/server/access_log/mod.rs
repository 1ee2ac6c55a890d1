//! THE ACCESS LOG: one line a request, formatted by the worker, written by a thread of its own.
//!
//! ```text
//!  worker 0   Ring ── batch ──┐                        ┌── stdout, stderr, file
//!  worker 1   Ring ── batch ──┼──► kolk-log (writer) ──┘
//!  worker 2   Ring ── batch ──┘        │
//!               ▲───── empty batch ────┘
//! ```
//! Invariant: a worker never waits. What does not fit is dropped and counted, be the disk full, slow or
//! gone. Invariant: one record is one line, whatever a client sends: each byte that is not printable
//! ASCII, each quote and each backslash is escaped, and a text longer than [`TEXT_BYTES_MAX`] is cut and
//! ends with `...`. The lines of one worker keep their order; those of several workers are interleaved
//! by batches.
//!
//! | file | what it is |
//! | --- | --- |
//! | `format` | a record as a line: combined, JSON, pretty |
//! | `text` | numbers, times, addresses and escapes, without formatting machinery |
//! | `ring` | [`Ring`]: the batches of one worker |
//! | `writer` | the thread that writes batches |
//!
//! # The JSON lines
//! One object a line, its members in this order; those marked `?` are left out when there is nothing.
//!
//! | member | type | meaning |
//! | --- | --- | --- |
//! | `time` | string | RFC 3339, UTC, milliseconds: when the answer was handed to the kernel |
//! | `peer` ? | string | address and port of the other end: the client, or a proxy |
//! | `client` ? | string | address of the client, where a trusted proxy has told another |
//! | `method` ? | string | as sent; this and the next two are absent when the head could not be parsed |
//! | `target` ? | string | the request target as sent |
//! | `version` ? | string | `HTTP/1.1` |
//! | `status` | number | status of the answer |
//! | `bytes` | number | bytes of the answer's body |
//! | `route` ? | string | the pattern of the route that won |
//! | `user` ? | string | who the client has proved to be |
//! | `reason` ? | string | code of the reason, when kolk itself made the answer |
//! | `referer` ?, `user_agent` ? | string | those request fields |
//! | `accept_us` ?, `parse_us` ?, `handle_us` ?, `respond_us` ? | number | microseconds of the stages that were measured |
//! | `worker`, `connection`, `request` | number | worker, connection within it, request within that (from 1) |
//!
//! A byte of the client outside ASCII appears as the character of that number: `\u00e9` is byte E9.

mod format;
mod ring;
mod text;
mod writer;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

pub use self::ring::Ring;
pub use self::text::TEXT_BYTES_MAX;
use self::writer::{Message, Orders, Writer};
use crate::http::{Head, Reason, Timeline};

/// How many batches of all workers may wait for the writer.
const WAITING_MAX: usize = 1024;
/// How long a stop waits for a destination that does not take its lines.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// Where lines go.
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file, which is created if needed and opened anew by [`AccessLog::reopen`].
    File(PathBuf),
    /// Anything else; used from the writer's thread alone.
    Sink(Box<dyn io::Write + Send>),
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("Stdout"),
            Self::Stderr => f.write_str("Stderr"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Sink(_) => f.write_str("Sink"),
        }
    }
}

/// What is known of one answered request.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// When the answer was made: seconds since 1970, UTC.
    pub unix_seconds: u64,
    /// The milliseconds within that second; below 1000.
    pub unix_millis: u16,
    /// The other end of the connection; `None` on a socket that has no addresses.
    pub peer: Option<SocketAddr>,
    /// The client, where a trusted proxy has told another than the peer.
    pub client: Option<IpAddr>,
    /// The request; `None` when its head could not be parsed.
    pub head: Option<&'r Head<'r>>,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// Why kolk itself answered, if it did.
    pub reason: Option<Reason>,
    /// The pattern of the route that won; empty when none did.
    pub route: &'r str,
    /// Who the client has proved to be.
    pub user: Option<&'r str>,
    /// The stages of the exchange, as far as they were measured.
    pub timeline: &'r Timeline,
    /// The worker.
    pub worker: usize,
    /// The connection within the worker.
    pub connection: u64,
    /// The request within the connection, from 1.
    pub request: u32,
}

/// The running log: its writer's thread. Dropping it writes what the rings handed over and joins the
/// thread; drop the rings first.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    full: Sender<Message>,
    orders: Arc<Orders>,
    stopped: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the destination and starts the thread `kolk-log`.
    ///
    /// # Errors
    /// The destination cannot be opened, or no thread can be started.
    pub fn start(format: Format, to: Destination) -> io::Result<Self> {
        let (full, batches) = bounded(WAITING_MAX);
        let (stopping, stopped) = bounded(1);
        let orders = Arc::new(Orders::default());
        let mut writer = Writer::open(to, batches, Arc::clone(&orders))?;
        let thread = std::thread::Builder::new().name("kolk-log".into()).spawn(move || {
            writer.run();
            // Nobody may be waiting any more.
            let _ = stopping.try_send(());
        })?;
        Ok(Self { format, full, orders, stopped, thread: Some(thread) })
    }

    /// A ring for one more worker.
    pub fn ring(&self) -> Ring {
        Ring::new(self.format, self.full.clone())
    }

    /// What opens its destination anew, from any thread.
    pub fn reopener(&self) -> Reopener {
        Reopener { full: self.full.clone(), orders: Arc::clone(&self.orders) }
    }

    /// See [`Reopener::reopen`].
    pub fn reopen(&self) {
        self.reopener().reopen();
    }
}

/// Opens a [`Destination::File`] anew, as long as its log runs.
#[derive(Clone, Debug)]
pub struct Reopener {
    full: Sender<Message>,
    orders: Arc<Orders>,
}

impl Reopener {
    /// Opens the file anew, after another program has renamed it. Lines that were handed over before may
    /// still go to either file.
    pub fn reopen(&self) {
        self.orders.reopen();
        // A full channel means that the writer is awake, and it looks at its orders after each batch.
        let _ = self.full.try_send(Message::Orders);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.orders.stop();
        let _ = self.full.try_send(Message::Orders);
        // A pipe that nobody reads must not hold up the end of the process.
        let ended = self.stopped.recv_timeout(STOP_PATIENCE);
        match self.thread.take() {
            Some(thread) if ended != Err(crossbeam_channel::RecvTimeoutError::Timeout) => drop(thread.join()),
            _ => log::warn!("access log: its destination takes no lines; the last ones are lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::ring::{BATCH_BYTES, RING_BATCHES};
    use super::*;
    use crate::base::Tick;
    use crate::sys::scratch::Scratch;

    static TIMELINE: Timeline = Timeline {
        accepted: Tick::ZERO,
        received: Tick::ZERO,
        parsed: Tick::ZERO,
        handled: Tick::ZERO,
        responded: Tick::ZERO,
    };

    /// The line number `number`: it stands where the size does.
    fn numbered(number: u64) -> Record<'static> {
        Record {
            unix_seconds: number,
            unix_millis: 0,
            peer: None,
            client: None,
            head: None,
            status: 200,
            body_bytes: number,
            reason: None,
            route: "",
            user: None,
            timeline: &TIMELINE,
            worker: 0,
            connection: 1,
            request: 1,
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

    fn start(memory: &Memory, plan: impl FnMut(usize) -> io::Result<usize> + Send + 'static) -> AccessLog {
        let sink = Destination::Sink(Box::new(Planned(memory.clone(), plan)));
        AccessLog::start(Format::Combined, sink).unwrap()
    }

    #[test]
    fn everything_is_written_in_order_when_the_log_is_dropped() {
        let memory = Memory::default();
        let log = start(&memory, Ok);
        let mut ring = log.ring();
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
                let mut ring = log.ring();
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
        let mut ring = log.ring();
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
        let mut ring = log.ring();
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
        let mut ring = log.ring();
        for batch in 0..3 {
            (0..100).for_each(|number| ring.record(&numbered(batch * 100 + number)));
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
        let mut ring = log.ring();
        (0..50).for_each(|number| ring.record(&numbered(number)));
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
        let mut ring = log.ring();
        ring.record(&numbered(1));
        drop(ring);
        drop(log);
    }

    #[test]
    fn a_renamed_file_is_opened_anew() {
        let directory = Scratch::new("access-log");
        let (path, old) = (directory.join("log"), directory.join("log.1"));
        let log = AccessLog::start(Format::Combined, Destination::File(path.clone())).unwrap();
        let mut ring = log.ring();
        ring.record(&numbered(1));
        ring.hand_over();
        while std::fs::read(&path).unwrap().is_empty() {
            std::thread::yield_now();
        }
        std::fs::rename(&path, &old).unwrap();
        log.reopen();
        while !path.exists() {
            std::thread::yield_now();
        }
        ring.record(&numbered(2));
        drop(ring);
        drop(log);
        assert_eq!(numbers(&std::fs::read(&old).unwrap()), [1]);
        assert_eq!(numbers(&std::fs::read(&path).unwrap()), [2]);
        let missing = Destination::File(directory.join("missing/log"));
        assert!(AccessLog::start(Format::Combined, missing).is_err(), "no such directory");
    }

    #[test]
    fn a_line_makes_no_batch_grow() {
        let log = AccessLog::start(Format::Json, Destination::Sink(Box::new(io::sink()))).unwrap();
        let mut ring = log.ring();
        let route = "\u{1}".repeat(TEXT_BYTES_MAX);
        for number in 0..100 {
            ring.record(&Record { route: &route, ..numbered(number) });
            assert!(ring.current_capacity().is_none_or(|bytes| bytes == ring::BATCH_CAPACITY));
        }
    }
}
