//! The limit of TLS and of HTTP/2: a server that does nothing but rustls, frames, `recv` and `send`.
//!
//! ```text
//! cargo run --release --example null_secure -- PORT [--tls CERT KEY] [--body BYTES] [--close]
//! ```
//! In the clear it speaks HTTP/2 with prior knowledge; with `--tls` what the client asks for (ALPN), else
//! HTTP/1.1. Of HTTP/1.1 every CR LF CR LF is a request. Of HTTP/2 only the heads of frames are read: no
//! field is decoded, no stream is kept, no window is looked at, and the second answer of a connection, like
//! all that follow, is five bytes that refer to the first. Otherwise it is what [`null`](null.rs) is.
//!
//! rustls works as its own documentation has it, with its buffers. TLS 1.3, no tickets.

#[path = "shared/turns.rs"]
mod turns;

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use kolk::net::{Arrived, Link, Progress, Transport};
use kolk::reactor::Readiness;
use kolk::wire::Output;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ServerConfig, ServerConnection};

use turns::{Speaker, Turns, Verdict};

const CONNECTIONS_MAX: usize = 4096;
const INPUT_BYTES: usize = 64 * 1024;
const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";
const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

// RFC 9113 §3.4, §4.1, §6.
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let behind = |flag: &str, count: usize| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + count)
    };
    let Some(port) = arguments.first().and_then(|port| port.parse().ok()) else {
        eprintln!("usage: null_secure PORT [--tls CERT KEY] [--body BYTES] [--close]");
        return ExitCode::from(2);
    };
    let body_bytes = behind("--body", 1).and_then(|bytes| bytes.parse::<usize>().ok());
    let body = body_bytes.map_or_else(|| "Hello, World!".to_owned(), |bytes| "x".repeat(bytes));
    let close = arguments.iter().any(|argument| argument == "--close");
    let tls = behind("--tls", 1).zip(behind("--tls", 2)).map(|(chain, key)| identity(chain, key));
    let served = tls.transpose().map_err(io::Error::other).and_then(|tls| {
        let answers = Answers::new(body.into_bytes(), close);
        let null = Null { tls, answers, input: vec![0; INPUT_BYTES].into() };
        Turns::listen(port, CONNECTIONS_MAX, null).and_then(Turns::run)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null_secure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn identity(chain: &str, key: &str) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error + Send + Sync>> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = ServerConfig::builder_with_protocol_versions(&[&TLS13]).with_no_client_auth();
    let mut config = config.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What everybody gets.
struct Answers {
    /// Of HTTP/1.1, with its body.
    text: Vec<u8>,
    /// A header block that fills the client's table, and the one that refers to it.
    first: Vec<u8>,
    again: Vec<u8>,
    body: Vec<u8>,
    close: bool,
}

impl Answers {
    fn new(body: Vec<u8>, close: bool) -> Self {
        let connection = if close { "connection: close\r\n" } else { "" };
        let length = body.len().to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nserver: null\r\ndate: {DATE}\r\ncontent-type: {CONTENT_TYPE}\r\n{connection}\
            content-length: {length}\r\n\r\n"
        );
        // RFC 7541 §6.1: `:status: 200`. §6.2.1: literals that the client keeps.
        let mut first = vec![0x88];
        for (name, value) in [(54, "null"), (33, DATE), (31, CONTENT_TYPE), (28, &length)] {
            first.extend([0x40 | name, u8::try_from(value.len()).expect("they are short")]);
            first.extend_from_slice(value.as_bytes());
        }
        let again = vec![0x88, 0xC1, 0xC0, 0xBF, 0xBE];
        Self { text: [head.as_bytes(), &body].concat(), first, again, body, close }
    }
}

struct Null {
    tls: Option<Arc<ServerConfig>>,
    answers: Answers,
    /// Room for a read.
    input: Box<[u8]>,
}

struct Connection {
    tls: Option<Box<ServerConnection>>,
    speaks_http2: bool,
    /// Whether the client's preface has come, and the first request.
    is_greeted: bool,
    is_known: bool,
    /// What came and is no whole request.
    unread: Vec<u8>,
    /// What is to be said, in the clear.
    answer: Vec<u8>,
    output: Output,
}

impl Speaker for Null {
    type Client = Connection;

    fn welcome(&mut self) -> io::Result<Connection> {
        let tls = self.tls.as_ref().map(|config| ServerConnection::new(Arc::clone(config)));
        let tls = tls.transpose().map_err(io::Error::other)?.map(|mut tls| {
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        Ok(Connection {
            speaks_http2: tls.is_none(),
            tls,
            is_greeted: false,
            is_known: false,
            unread: Vec::new(),
            answer: Vec::new(),
            output: Output::default(),
        })
    }

    fn turn(
        &mut self,
        stream: &mut Link,
        client: &mut Connection,
        readiness: Readiness,
    ) -> io::Result<Verdict> {
        loop {
            let arrived = match stream.read(&mut self.input, &mut client.output) {
                Ok(Arrived { bytes: 0, .. }) => return Ok(Verdict::Close),
                Ok(arrived) => arrived,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return client.send(stream),
                Err(error) => return Err(error),
            };
            client.receive(&self.input[..arrived.bytes])?;
            let answers = &self.answers;
            let has_answered =
                if client.speaks_http2 { client.frames(answers) } else { client.heads(answers) };
            client.seal(answers.close && has_answered)?;
            let verdict = client.send(stream)?;
            if answers.close && has_answered {
                return Ok(Verdict::Close);
            }
            if arrived.is_all && !readiness.is_read_closed() {
                return Ok(verdict);
            }
        }
    }
}

impl Connection {
    /// What came, in the clear.
    fn receive(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.unread.extend_from_slice(bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let before = self.unread.len();
            self.unread.resize(before + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.unread[before..])?;
        }
        self.speaks_http2 = tls.alpn_protocol() == Some(b"h2");
        Ok(())
    }

    /// Answers heads of HTTP/1.1; whether there were any.
    fn heads(&mut self, answers: &Answers) -> bool {
        let count = memchr::memmem::find_iter(&self.unread, END_OF_HEAD).count();
        if count > 0 {
            self.unread.clear();
            (0..count).for_each(|_| self.answer.extend_from_slice(&answers.text));
        }
        count > 0
    }

    /// Answers frames of HTTP/2; whether there was anything to say.
    fn frames(&mut self, answers: &Answers) -> bool {
        let mut at = 0;
        if !self.is_greeted {
            if self.unread.len() < PREFACE_BYTES {
                return false;
            }
            self.is_greeted = true;
            at = PREFACE_BYTES;
            frame(&mut self.answer, SETTINGS, 0, [0; 4], &[]);
        }
        while let Some(head) = self.unread.get(at..at + FRAME_HEAD_BYTES) {
            let payload_bytes = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags, stream) = (head[3], head[4], [head[5], head[6], head[7], head[8]]);
            let end = at + FRAME_HEAD_BYTES + payload_bytes;
            let Some(payload) = self.unread.get(at + FRAME_HEAD_BYTES..end) else { break };
            let out = &mut self.answer;
            match kind {
                HEADERS => {
                    let block = if self.is_known { &answers.again } else { &answers.first };
                    self.is_known = true;
                    frame(out, HEADERS, END_HEADERS, stream, block);
                    frame(out, DATA, END_STREAM, stream, &answers.body);
                }
                SETTINGS if flags & ACK == 0 => frame(out, SETTINGS, ACK, stream, &[]),
                PING if flags & ACK == 0 => frame(out, PING, ACK, stream, payload),
                _ => {}
            }
            at = end;
        }
        self.unread.drain(..at);
        !self.answer.is_empty()
    }

    /// Moves the answer to the output, encrypted if that was agreed on.
    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        match &mut self.tls {
            None => self.output.copy(&self.answer),
            Some(tls) => {
                tls.writer().write_all(&self.answer)?;
                if is_last {
                    tls.send_close_notify();
                }
                while tls.wants_write() {
                    tls.write_tls(self.output.inline())?;
                }
            }
        }
        self.answer.clear();
        Ok(())
    }

    fn send(&mut self, stream: &mut Link) -> io::Result<Verdict> {
        if self.output.is_empty() {
            return Ok(Verdict::Wait);
        }
        let progress = stream.write(&mut self.output)?;
        Ok(if progress == Progress::Blocked { Verdict::WaitForRoom } else { Verdict::Wait })
    }
}

/// Appends a frame.
fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("24 bits").to_be_bytes();
    out.extend([length[1], length[2], length[3], kind, flags]);
    out.extend(stream);
    out.extend_from_slice(payload);
}
