//! [`Question`]: one request of the program itself to a server, and what comes back.
//!
//! ```text
//!  URL, or an address that kolk listens on ──► socket ──► (TLS) ──► GET ──► status, page
//! ```
//! Knows as much of HTTP/1.1 as an answer of kolk needs. With https, a server of this machine may show any
//! certificate: there is nobody in between. Others must be trusted.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::clock;
#[cfg(feature = "tls")]
use super::encrypted::{Trust, encrypt};
use super::failure::{Exit, Failure};

/// A status line is shorter.
const LINE_BYTES_MAX: usize = 1024;
/// No page that is asked for is longer.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where to ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    to: To,
    host: String,
    path: String,
    is_encrypted: bool,
    /// The file with the authorities that are trusted.
    ca: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    /// `HOST:PORT`
    Tcp(String),
    Unix(String),
}

impl Question {
    /// From a URL, or from an address that kolk listens on.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| Failure::new(Exit::Usage, format!("cannot ask `{text}`: {why}"));
        if let Some(path) = text.strip_prefix("unix:") {
            let (to, host, path) = (To::Unix(path.to_owned()), "localhost".to_owned(), "/".to_owned());
            return Ok(Self { to, host, path, is_encrypted: false, ca: None });
        }
        if text.starts_with("fd:") {
            return Err(refuse("a passed socket's address is known to its opener: give the URL"));
        }
        let is_encrypted = text.starts_with("https://");
        if is_encrypted && !cfg!(feature = "tls") {
            return Err(refuse("this kolk was built without TLS"));
        }
        let rest = text.strip_prefix(if is_encrypted { "https://" } else { "http://" }).unwrap_or(text);
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(refuse("a URL has no spaces"));
        }
        let port = if is_encrypted { 443 } else { 80 };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        // Nobody is at "every address": this machine is meant.
        let to = match authority.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => authority.replacen("0.0.0.0:", "127.0.0.1:", 1),
        };
        let to = match to.parse::<SocketAddr>() {
            Ok(at) if at.ip() == Ipv6Addr::UNSPECIFIED => format!("127.0.0.1:{}", at.port()),
            _ => to,
        };
        Ok(Self { host: to.clone(), to: To::Tcp(to), path: path.to_owned(), is_encrypted, ca: None })
    }

    /// Whether it is this machine that is asked, whatever its names mean.
    pub(crate) fn is_local(&self) -> bool {
        match &self.to {
            To::Tcp(to) => to.parse::<SocketAddr>().is_ok_and(|to| to.ip().to_canonical().is_loopback()),
            To::Unix(_) => true,
        }
    }

    /// The same for another page.
    pub(crate) fn for_path(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Whom is asked.
    #[cfg(feature = "top")]
    pub(crate) fn address(&self) -> String {
        match &self.to {
            To::Tcp(to) => to.clone(),
            To::Unix(path) => format!("unix:{path}"),
        }
    }

    /// Asks over TLS in any case, if `is_encrypted`; `ca`: a file with the authorities that are trusted.
    pub(crate) fn over_tls(self, is_encrypted: bool, ca: Option<&Path>) -> Self {
        Self { is_encrypted: self.is_encrypted || is_encrypted, ca: ca.map(Path::to_owned), ..self }
    }

    /// The status of the answer; the rest is not waited for.
    pub(crate) fn status(&self, until: Instant) -> io::Result<u16> {
        self.ask(until, read_status)
    }

    /// The page, if the answer is 200.
    pub(crate) fn page(&self, until: Instant) -> io::Result<String> {
        self.ask(until, read_page)
    }

    fn ask<T>(&self, until: Instant, read: fn(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
        match &self.to {
            To::Tcp(to) => {
                let socket = connect(to, until)?;
                let is_ours = socket.peer_addr()?.ip().to_canonical().is_loopback();
                self.ask_over(Hasty { socket, until }, is_ours, read)
            }
            To::Unix(path) => self.ask_over(Hasty { socket: UnixStream::connect(path)?, until }, true, read),
        }
    }

    /// `is_ours`: at the other end is this machine.
    fn ask_over<T>(
        &self,
        socket: impl Read + Write,
        is_ours: bool,
        read: fn(&mut dyn Read) -> io::Result<T>,
    ) -> io::Result<T> {
        if !self.is_encrypted {
            return self.talk(socket, read);
        }
        #[cfg(feature = "tls")]
        {
            let host = self.host.rsplit_once(':').map_or(&*self.host, |(host, _)| host);
            let trust = match &self.ca {
                Some(file) => Trust::Authorities(file),
                None if is_ours => Trust::Anybody,
                None => {
                    let why =
                        "whom to trust there? --ca FILE says it; only for this machine it needs no saying";
                    return Err(io::Error::new(ErrorKind::InvalidInput, why));
                }
            };
            self.talk(encrypt(socket, host, trust)?, read)
        }
        #[cfg(not(feature = "tls"))]
        {
            let _ = is_ours;
            Err(ErrorKind::Unsupported.into())
        }
    }

    fn talk<T>(
        &self,
        mut stream: impl Read + Write,
        read: fn(&mut dyn Read) -> io::Result<T>,
    ) -> io::Result<T> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kolk\r\nConnection: close\r\n\r\n",
            self.path, self.host
        );
        stream.write_all(request.as_bytes())?;
        read(&mut stream)
    }
}

/// A socket that is waited for until then.
struct Hasty<S> {
    socket: S,
    until: Instant,
}

/// What can be waited for.
trait Waiting: Read + Write {
    fn wait(&self, time: Duration) -> io::Result<()>;
}

impl Waiting for TcpStream {
    fn wait(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Waiting for UnixStream {
    fn wait(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl<S: Waiting> Read for Hasty<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.wait(left(self.until)?)?;
        self.socket.read(into)
    }
}

impl<S: Waiting> Write for Hasty<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.wait(left(self.until)?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Tcp(to) if self.is_encrypted => write!(f, "https://{to}{}", self.path),
            To::Tcp(to) => write!(f, "http://{to}{}", self.path),
            To::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Connects to the first address that answers.
fn connect(to: &str, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "no address for this name");
    for address in to.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads as far as the status is known.
fn read_status(stream: &mut dyn Read) -> io::Result<u16> {
    let mut line = Vec::new();
    let mut piece = [0; 256];
    while !line.contains(&b'\n') && line.len() < LINE_BYTES_MAX {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => line.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    status_of(&line).ok_or_else(no_http)
}

/// Reads to the end, which the question has asked for behind one answer.
fn read_page(stream: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| no_http())?;
    match status_of(text.as_bytes()).ok_or_else(no_http)? {
        200 => {}
        status => return Err(io::Error::other(format!("it answers {status}"))),
    }
    let (_, page) = text.split_once("\r\n\r\n").ok_or_else(no_http)?;
    Ok(page.to_owned())
}

fn no_http() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "its answer is no HTTP/1")
}

/// RFC 9112 §4.
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [_minor, b' ', digits @ ..] = rest else { return None };
    str::from_utf8(digits.get(..3)?).ok()?.parse().ok().filter(|status| (100..600).contains(status))
}

/// The time that is left; never zero, which would mean for ever.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(clock::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_to_listen_on_is_one_to_ask() {
        for (text, asked) in [
            ("http://127.0.0.1:8080/health?x=1", "http://127.0.0.1:8080/health?x=1"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            (":8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0:80", "http://127.0.0.1:80/"),
            ("[::]:80", "http://127.0.0.1:80/"),
            ("http://[::1]:80", "http://[::1]:80/"),
            ("example.org/a", "http://example.org:80/a"),
            ("unix:/run/k", "unix:/run/k"),
            ("https://[::]:8443/a", "https://127.0.0.1:8443/a"),
            ("https://example.org", "https://example.org:443/"),
        ] {
            assert_eq!(Question::parse(text).unwrap().to_string(), asked, "{text}");
        }
        for wrong in ["fd:3", "http://a/b c", "http://a/\r\nX: y"] {
            Question::parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_status_line_is_read_and_nothing_else_passes_for_one() {
        assert_eq!(status_of(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 503\r\n"), Some(503));
        for wrong in
            [&b"HTTP/2 200"[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 2", b"HTTP/1.1 20x", b"HTTP/1.1 999", b""]
        {
            assert_eq!(status_of(wrong), None);
        }
    }

    #[test]
    fn a_page_is_what_stands_behind_the_head_of_a_200() {
        let page = |answer: &str| read_page(&mut answer.as_bytes());
        assert_eq!(page("HTTP/1.1 200 OK\r\nA: b\r\n\r\ntwo\nlines\n").unwrap(), "two\nlines\n");
        assert_eq!(page("HTTP/1.1 404 Not Found\r\n\r\nx").unwrap_err().to_string(), "it answers 404");
        assert_eq!(page("HTTP/1.1 200 OK\r\nA: b\r\n").unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_stranger_is_not_trusted_unasked() {
        let question = Question::parse("https://example.org").unwrap();
        let error = question.ask_over(io::Cursor::new(Vec::new()), false, read_status).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("--ca FILE"), "{error}");
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let question = Question::parse(&silent.local_addr().unwrap().to_string()).unwrap();
        let soon = clock::now() + Duration::from_millis(50);
        let error = question.status(soon).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    }
}
