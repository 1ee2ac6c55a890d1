//! What the socket tests share: a raw client, a strict reader of answers, and patience with an end.
//!
//! Nothing here repairs or forgives: an answer with a bare LF, two framings, a missing `Date` or a byte
//! too many fails its test. Every read has a deadline, so that no test can hang.
#![allow(dead_code, reason = "each file of tests uses its part of this")]

#[cfg(feature = "config")]
pub(crate) mod configured;
pub(crate) mod scratch;
pub(crate) mod sinks;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use kolk::{App, Running, Server, Timeouts, Workers};

/// Longer than anything takes on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "a client of the server under test has a clock of its own")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets `time` pass.
#[expect(clippy::disallowed_methods, reason = "a slow client is slow on purpose")]
pub(crate) fn dawdle(time: Duration) {
    std::thread::sleep(time);
}

/// Asks until it is so; fails the test if it never is.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = now() + PATIENCE;
    while !is_so() {
        assert!(now() < end, "this never came to be: {what}");
        dawdle(Duration::from_millis(1));
    }
}

/// A server with one worker.
pub(crate) fn alone(app: App) -> Server {
    Server::new(app).workers(Workers::Exactly(1)).max_connections(256)
}

/// Starts `server` on a port of this machine's own.
pub(crate) fn start(server: Server) -> Running {
    server.listen("127.0.0.1:0").expect("an address").start().expect("the server starts")
}

/// Where a server listens first.
pub(crate) fn address(server: &Running) -> SocketAddr {
    server.addrs()[0].socket_addr().expect("it listens on a port")
}

/// The default timeouts, each so short that a test can wait for it.
pub(crate) fn quick() -> Timeouts {
    Timeouts {
        header: Duration::from_millis(300),
        keepalive: Duration::from_millis(300),
        body: Duration::from_millis(300),
        body_rate_window: Duration::from_millis(200),
        write: Duration::from_millis(300),
        linger: Duration::from_millis(300),
        ..Timeouts::default()
    }
}

/// A door that threads wait at until somebody opens it. Opened when the owner is dropped, so that a test
/// that fails does not hang.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// Opens its gate when the test is over.
pub(crate) struct GateKeeper(Gate);

impl Gate {
    pub(crate) fn new() -> (Self, GateKeeper) {
        let gate = Self::default();
        (gate.clone(), GateKeeper(gate))
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("nobody panics at the gate") = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let shut = self.0.0.lock().expect("nobody panics at the gate");
        let passed = self.0.1.wait_timeout_while(shut, PATIENCE, |open| !*open);
        drop(passed.expect("nobody panics at the gate"));
    }
}

impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A client that writes bytes as they are told and reads answers strictly.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The fields behind a body in chunks.
    pub(crate) trailer: Vec<(String, String)>,
    /// The head as it came.
    pub(crate) head: String,
}

impl Client {
    /// Connects to where `server` listens first.
    pub(crate) fn to(server: &Running) -> Self {
        Self::at(address(server))
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it connects");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        Self::over(stream)
    }

    /// Closes the sending side.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is still open");
    }

    /// Whether nothing comes for `time`.
    pub(crate) fn hears_nothing_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("a TCP socket");
        let heard = self.stream.read(&mut [0; 1]);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) const fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Writes bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Writes bytes to a server that may have had enough; whether it took them.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a GET and reads its answer.
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send(get(target));
        self.answer()
    }

    /// Reads one answer that may have a body.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        self.body_of(&mut answer);
        answer
    }

    /// Reads one answer to a HEAD.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.head()
    }

    /// Reads the head of an answer.
    pub(crate) fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.unread.len() < 64 * 1024, "a head without an end");
            assert!(self.fill() > 0, "the connection ended within a head: {:?}", lossy(&self.unread));
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        Answer::parse(&head)
    }

    /// Reads what follows the head of `answer`.
    pub(crate) fn body_of(&mut self, answer: &mut Answer) {
        let length = answer.field("content-length").map(|text| text.parse().expect("a length"));
        answer.body = match (length, answer.field("transfer-encoding")) {
            _ if answer.status < 200 || matches!(answer.status, 204 | 304) => Vec::new(),
            (Some(length), None) => self.take(length),
            (None, Some("chunked")) => {
                let body = self.chunks();
                answer.trailer = self.trailer();
                body
            }
            (None, None) if answer.closes() => self.rest(),
            framing => panic!("an answer framed by {framing:?}"),
        };
    }

    /// Reads exactly so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.fill() > 0, "the connection ended within a body");
        }
        self.unread.drain(..count).collect()
    }

    /// Reads up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// The connection ends here, in order: no byte more, no reset.
    pub(crate) fn ends(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "bytes behind the last answer: {:?}", lossy(&rest));
    }

    /// Reads the beginning of an answer; whether there was one before the connection was gone.
    pub(crate) fn is_served(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(1))
    }

    /// Reads until the connection is gone, in whatever way; what still came.
    pub(crate) fn is_cut(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unread);
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return rest,
                Ok(count) => rest.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return rest,
                Err(error) => panic!("neither bytes nor an end: {error}"),
            }
        }
    }

    /// Reads until the connection is gone; whether it ended with an error.
    pub(crate) fn is_reset(&mut self) -> bool {
        let result = self.stream.read_to_end(&mut self.unread);
        result.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(&line, 16).expect("a chunk's size");
            if size == 0 {
                return body;
            }
            body.extend(self.take(size));
            assert_eq!(self.line(), "", "a chunk is longer than it says");
        }
    }

    fn trailer(&mut self) -> Vec<(String, String)> {
        std::iter::repeat_with(|| self.line()).take_while(|line| !line.is_empty()).map(field_of).collect()
    }

    fn line(&mut self) -> String {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                break at;
            }
            assert!(self.fill() > 0, "the connection ended within a line");
        };
        let line = self.take(end + 2);
        lossy(&line[..end])
    }

    /// Reads once; how many bytes came. A reset is an error here: it must not happen.
    fn fill(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        let count = loop {
            match self.stream.read(&mut buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}, behind {:?}", lossy(&self.unread)),
            }
        };
        self.unread.extend_from_slice(&buffer[..count]);
        count
    }
}

impl Answer {
    /// The only field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice in {}", self.head);
        value
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    fn parse(head: &[u8]) -> Self {
        let text = std::str::from_utf8(head).expect("an answer's head is text").to_owned();
        for (at, byte) in text.bytes().enumerate() {
            let fits = match byte {
                b'\r' => text.as_bytes().get(at + 1) == Some(&b'\n'),
                b'\n' => text.as_bytes()[at - 1] == b'\r',
                byte => matches!(byte, b'\t' | b' '..=b'~' | 0x80..),
            };
            assert!(fits, "byte {byte:#x} stands in {text:?}");
        }
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().expect("a status line");
        let code = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..4)).expect("a status line");
        let status = code.strip_suffix(' ').and_then(|code| code.parse().ok()).expect("a status code");
        let fields = lines.map(field_of).collect();
        let (body, trailer) = (Vec::new(), Vec::new());
        let answer = Self { status, fields, body, trailer, head: text.clone() };
        let framings = [answer.field("content-length"), answer.field("transfer-encoding")];
        assert!(framings.iter().flatten().count() <= 1, "two framings: {text}");
        if status >= 200 {
            // RFC 9110 §6.6.1.
            assert!(answer.field("date").is_some(), "no Date: {text}");
        }
        answer
    }
}

fn field_of(line: impl AsRef<str>) -> (String, String) {
    let line = line.as_ref();
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no field"));
    assert!(!name.is_empty() && !name.contains(' '), "{name:?} is no name");
    (name.to_owned(), value.to_owned())
}

/// A GET in one line end and one field.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// A POST with `body`.
pub(crate) fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
