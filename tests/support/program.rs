//! The program as a process: started, spoken to over real sockets, told to end by signals. Every wait has a
//! deadline.
#![allow(dead_code, reason = "each file of tests uses its part of this")]

pub(crate) mod scratch;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// No wait of these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often something is looked at that says nothing when it changes.
pub(crate) const GLANCES_MAX: u32 = 2_000;

/// A running `kolk`; killed when dropped.
pub(crate) struct Kolk {
    pub(crate) child: Child,
    pub(crate) stdout: Receiver<String>,
    pub(crate) stderr: Receiver<String>,
    /// The address of its TCP listener.
    pub(crate) address: String,
}

impl Kolk {
    /// Starts `kolk` with one worker on a port of the system's choice, and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments).args(["-w", "1", "-l", "127.0.0.1:0"]))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_to(command, Stdio::piped(), Stdio::piped())
    }

    /// The same with its standard output and standard error somewhere else, one of them at most.
    pub(crate) fn spawn_to(command: &mut Command, stdout: Stdio, stderr: Stdio) -> Self {
        let mut child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let (tell, listening) = mpsc::channel();
        let heard = |stream: Option<Box<dyn Read + Send>>| match stream {
            Some(stream) => lines_but_the_first(stream, "listening ", tell.clone()),
            None => mpsc::channel().1,
        };
        let stdout = heard(child.stdout.take().map(|stream| Box::new(stream) as _));
        let stderr = heard(child.stderr.take().map(|stream| Box::new(stream) as _));
        drop(tell);
        let line = listening.recv_timeout(PATIENCE).expect("a line that says where it listens");
        let address = line.rsplit("//").next().expect(&line).to_owned();
        Self { child, stdout, stderr, address }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(&self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.connect().get(path)
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn says(&self, text: &str) {
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return;
            }
        }
        panic!("it did not say: {text}");
    }

    /// Waits for the end; the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        // Both channels close when the process has ended.
        for stream in [&self.stdout, &self.stderr] {
            while stream.recv_timeout(PATIENCE).is_ok() {}
            let gone = stream.recv_timeout(Duration::ZERO) == Err(mpsc::RecvTimeoutError::Disconnected);
            assert!(gone, "it does not end");
        }
        self.child.wait().unwrap().code()
    }
}

impl Drop for Kolk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `kolk` with these arguments and nothing of this process's environment that it would read.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kolk"));
    command.args(arguments).stdin(Stdio::null()).env_remove("PORT");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KOLK_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `kolk` where it should end by itself: exit code, standard output, standard error.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
    let all = |lines: Receiver<String>| {
        let mut text = String::new();
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            text = text + &line + "\n";
        }
        text
    };
    let (stdout, stderr) = (all(stdout), all(stderr));
    // Whoever still runs after that has not ended by itself; killed, it has no exit code.
    let _ = child.kill();
    (child.wait().unwrap().code(), stdout, stderr)
}

pub(crate) fn signal(name: &str, process: u32) {
    assert!(Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap().success());
}

/// Looks until `seen`, for a few seconds at most.
pub(crate) fn eventually(mut seen: impl FnMut() -> bool) -> bool {
    let (_sender, never) = mpsc::channel::<()>();
    (0..GLANCES_MAX).any(|_| seen() || never.recv_timeout(Duration::from_millis(2)).is_ok())
}

pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// The lines of `stream`, but for the first one that begins so: that goes to `first`.
fn lines_but_the_first(
    stream: impl Read + Send + 'static,
    begins: &'static str,
    first: Sender<String>,
) -> Receiver<String> {
    let (all, (sender, rest)) = (lines(stream), mpsc::channel());
    std::thread::spawn(move || {
        let mut first = Some(first);
        for line in all {
            let to = first.take_if(|_| line.starts_with(begins));
            if to.as_ref().unwrap_or(&sender).send(line).is_err() {
                break;
            }
        }
    });
    rest
}

/// A client that knows just enough of HTTP/1.1.
pub(crate) struct Client {
    pub(crate) reader: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// Everything up to and with the empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// How many chunks of content it had; 0 for a body with a length.
    pub(crate) chunks: usize,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.answer()
    }

    pub(crate) fn send(&mut self, request: &str) {
        self.reader.get_mut().write_all(request.as_bytes()).unwrap();
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        let mut answer = Answer { head, body: Vec::new(), chunks: 0 };
        if answer.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
                answer.chunks += 1;
            }
        } else if let Some(length) = answer.field("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.reader.read_line(&mut head).unwrap(), 0, "closed within: {head:?}");
        }
        head
    }

    /// The next chunk; `None` for the last, which is empty.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        assert_eq!(chunk.split_off(size), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// Waits for the server to close.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
