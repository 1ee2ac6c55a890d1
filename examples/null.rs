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

#[path = "shared/turns.rs"]
mod turns;

use std::io;
use std::process::ExitCode;

use bytes::Bytes;
use kolk::net::{Arrived, Link, Progress, Transport};
use kolk::reactor::Readiness;
use kolk::wire::Output;

use turns::{Speaker, Turns, Verdict};

const CONNECTIONS_MAX: usize = 65_536;
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
    match Turns::listen(port, CONNECTIONS_MAX, Scratch::new(answer.as_bytes(), close)).and_then(Turns::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null: {error}");
            ExitCode::FAILURE
        }
    }
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
    /// The last bytes of the last read: they may begin an end of head.
    tail: [u8; TAIL_BYTES],
    /// How much is still to be sent, the first answer of it perhaps in part.
    owed_bytes: usize,
}

impl Scratch {
    fn new(answer: &[u8], close: bool) -> Self {
        Self {
            input: vec![0; TAIL_BYTES + INPUT_BYTES].into(),
            output: Output::default(),
            answer_bytes: answer.len(),
            batch: answer.repeat(BATCH_ANSWERS).into(),
            close,
        }
    }
}

impl Speaker for Scratch {
    type Client = Connection;

    fn welcome(&mut self) -> io::Result<Connection> {
        Ok(Connection { tail: [0; TAIL_BYTES], owed_bytes: 0 })
    }

    fn turn(
        &mut self,
        stream: &mut Link,
        client: &mut Connection,
        readiness: Readiness,
    ) -> io::Result<Verdict> {
        client.turn(stream, readiness, self)
    }
}

impl Connection {
    fn turn(
        &mut self,
        stream: &mut Link,
        readiness: Readiness,
        scratch: &mut Scratch,
    ) -> io::Result<Verdict> {
        loop {
            scratch.input[..TAIL_BYTES].copy_from_slice(&self.tail);
            let arrived = match stream.read(&mut scratch.input[TAIL_BYTES..], &mut scratch.output) {
                Ok(Arrived { bytes: 0, .. }) => return Ok(Verdict::Close),
                Ok(arrived) => arrived,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.send(stream, scratch),
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
            let verdict = self.send(stream, scratch)?;
            if drained || verdict == Verdict::Close {
                return Ok(verdict);
            }
        }
    }

    fn send(&mut self, stream: &mut Link, scratch: &mut Scratch) -> io::Result<Verdict> {
        let owed_before = self.owed_bytes;
        while self.owed_bytes > 0 {
            // The batch repeats itself, so the rest of any answer stands in its first one.
            let from = (scratch.answer_bytes - self.owed_bytes % scratch.answer_bytes) % scratch.answer_bytes;
            let to = scratch.batch.len().min(from + self.owed_bytes);
            scratch.output.share(scratch.batch.slice(from..to));
            let progress = stream.write(&mut scratch.output);
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
