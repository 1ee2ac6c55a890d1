//! The limit: a server that does nothing but `recv` and `send`.
//!
//! ```text
//! cargo run --release --example null -- PORT [--close] [--body BYTES]
//! ```
//! It parses nothing: every CR LF CR LF is a request, and every request gets the same bytes, made before the
//! start. It keeps no time, has no limits, and trusts its peer to read its answers. What it shares with kolk
//! are the kernel and the rooms `reactor` and `net`: one poll a turn, one `recv` and one `send` for a
//! connection that has something to say, however many requests that was. Nothing is faster on one machine
//! without asking the kernel for less, so the difference to kolk, interleaved in one run, is what being a
//! web server costs. One thread; pin it with `taskset`.
//!
//! `--close` ends every connection after its first answer: the price of a connection. `--body` answers with
//! so many bytes in place of 13: the price of a file that is in memory.

use std::io;
use std::process::ExitCode;

use bytes::Bytes;
use kolk::base::{Key, Slots, Tick};
use kolk::net::{AcceptError, Acceptor, Arrived, Link, ListenAddr, Listener, Listening, Progress, Transport};
use kolk::reactor::{Interest, ListenerId, Reactor, Readiness, Wake};
use kolk::wire::Output;

const CONNECTIONS_MAX: usize = 65_536;
const EVENTS_MAX: usize = 256;
const INPUT_BYTES: usize = 64 * 1024;
/// How many answers leave in one `send` at most.
const BATCH_ANSWERS: usize = 1024;
const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";
/// How much of an end of head may stand at the end of a read.
const TAIL_BYTES: usize = END_OF_HEAD.len() - 1;

const HEAD: &str = "HTTP/1.1 200 OK\r\nserver: null\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    content-type: text/plain; charset=utf-8\r\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let close = arguments.iter().any(|argument| argument == "--close");
    let body_at = arguments.iter().position(|argument| argument == "--body").map(|place| place + 1);
    let body_bytes = body_at.and_then(|place| arguments.get(place)?.parse::<usize>().ok());
    let Some(port) = arguments.first().and_then(|port| port.parse().ok()) else {
        eprintln!("usage: null PORT [--close] [--body BYTES]");
        return ExitCode::from(2);
    };
    let body = body_bytes.map_or_else(|| "Hello, World!".to_owned(), |bytes| "x".repeat(bytes));
    let connection = if close { "connection: close\r\n" } else { "" };
    let answer = format!("{HEAD}{connection}content-length: {}\r\n\r\n{body}", body.len());
    match Null::listen(port, close, answer.as_bytes()).and_then(Null::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Null {
    reactor: Reactor,
    acceptor: Acceptor,
    connections: Slots<Connection>,
    scratch: Scratch,
}

/// What all connections use in turn.
struct Scratch {
    /// The tail of the read before, then room for a read.
    input: Box<[u8]>,
    output: Output,
    answer_bytes: usize,
    /// Many answers, one behind the other.
    batch: Bytes,
    close: bool,
}

struct Connection {
    stream: Link,
    /// The last bytes of the last read: they may begin an end of head.
    tail: [u8; TAIL_BYTES],
    /// Whether it waits for room to write too.
    upgraded: bool,
    /// How much is still to be sent, the first answer of it perhaps in part.
    owed_bytes: usize,
}

/// What becomes of a connection after its turn.
#[derive(PartialEq)]
enum Verdict {
    Wait,
    WaitForRoom,
    Close,
}

impl Null {
    fn listen(port: u16, close: bool, answer: &[u8]) -> io::Result<Self> {
        let address = ListenAddr::Tcp(([127, 0, 0, 1], port).into());
        let listener = Listener::open(&address, 1, &Listening::default())?.remove(0);
        eprintln!("listening {}", listener.local_addr());
        let reactor = Reactor::new(EVENTS_MAX)?;
        let mut acceptor = Acceptor::new(listener);
        reactor.register_listener(&mut acceptor, ListenerId(0))?;
        let scratch = Scratch {
            input: vec![0; TAIL_BYTES + INPUT_BYTES].into(),
            output: Output::default(),
            answer_bytes: answer.len(),
            batch: answer.repeat(BATCH_ANSWERS).into(),
            close,
        };
        Ok(Self { reactor, acceptor, connections: Slots::with_capacity(CONNECTIONS_MAX), scratch })
    }

    fn run(mut self) -> io::Result<()> {
        let mut wakes = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.reactor.turn(Tick::ZERO, Tick::NEVER, &mut wakes)?;
            for wake in &wakes {
                match *wake {
                    Wake::Ready(key, readiness) => self.serve(key, readiness)?,
                    Wake::Accept(_) => self.accept()?,
                    Wake::Mail => {}
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.acceptor.accept() {
                Ok(stream) => stream,
                Err(AcceptError::Empty) => return Ok(()),
                Err(AcceptError::Aborted) => continue,
                Err(AcceptError::Exhausted(error) | AcceptError::Fatal(error)) => return Err(error),
            };
            let connection = Connection { stream, tail: [0; TAIL_BYTES], upgraded: false, owed_bytes: 0 };
            // Without a slot it is closed.
            let Ok(key) = self.connections.insert(connection) else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                self.reactor.register(&mut connection.stream, key, Interest::Read)?;
            }
        }
    }

    fn serve(&mut self, key: Key, readiness: Readiness) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        match connection.turn(readiness, &mut self.scratch).unwrap_or(Verdict::Close) {
            Verdict::Wait => {}
            Verdict::WaitForRoom if connection.upgraded => {}
            Verdict::WaitForRoom => {
                connection.upgraded = true;
                self.reactor.reregister(&mut connection.stream, key, Interest::ReadWrite)?;
            }
            Verdict::Close => drop(self.connections.remove(key)),
        }
        Ok(())
    }
}

impl Connection {
    fn turn(&mut self, readiness: Readiness, scratch: &mut Scratch) -> io::Result<Verdict> {
        loop {
            scratch.input[..TAIL_BYTES].copy_from_slice(&self.tail);
            let arrived = match self.stream.read(&mut scratch.input[TAIL_BYTES..], &mut scratch.output) {
                Ok(Arrived { bytes: 0, .. }) => return Ok(Verdict::Close),
                Ok(arrived) => arrived,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.send(scratch),
                Err(error) => return Err(error),
            };
            let read = &scratch.input[..TAIL_BYTES + arrived.bytes];
            self.owed_bytes += memchr::memmem::find_iter(read, END_OF_HEAD).count() * scratch.answer_bytes;
            self.tail = match read {
                // It was counted: what follows begins anew.
                [.., b'\r', b'\n', b'\r', b'\n'] => [0; TAIL_BYTES],
                [.., a, b, c] => [*a, *b, *c],
                _ => unreachable!("there is always room for a tail"),
            };
            let drained = arrived.is_all && !readiness.is_read_closed();
            let verdict = self.send(scratch)?;
            if drained || verdict == Verdict::Close {
                return Ok(verdict);
            }
        }
    }

    fn send(&mut self, scratch: &mut Scratch) -> io::Result<Verdict> {
        let owed_before = self.owed_bytes;
        while self.owed_bytes > 0 {
            // The batch repeats itself, so the rest of any answer stands in its first one.
            let from = (scratch.answer_bytes - self.owed_bytes % scratch.answer_bytes) % scratch.answer_bytes;
            let to = scratch.batch.len().min(from + self.owed_bytes);
            scratch.output.share(scratch.batch.slice(from..to));
            let progress = self.stream.write(&mut scratch.output);
            let unsent_bytes = scratch.output.queued_bytes();
            scratch.output.consume(unsent_bytes);
            self.owed_bytes -= to - from - unsent_bytes;
            if progress? == Progress::Blocked {
                return Ok(Verdict::WaitForRoom);
            }
        }
        Ok(if scratch.close && owed_before > 0 { Verdict::Close } else { Verdict::Wait })
    }
}
