//! The clients of `scripts/storm.sh`: one kind that comes and goes, and one that stays and holds the watch.
//!
//! ```text
//! cargo run --release --example storm -- handshakes PORT SECONDS [--resume] [--lean]
//! cargo run --release --example storm -- hellos PORT SECONDS
//! cargo run --release --example storm -- probe PORT SECONDS RATE
//! ```
//! `handshakes`: sixteen at a time, with one request each; prints how many there were. None is resumed; with
//! `--resume` each is, but for one at the beginning of each of the sixteen, which does not count. With
//! `--lean` only X25519 and AES-128 with SHA-256 are offered, else what a client of rustls does:
//! X25519MLKEM768, and AES-256 with SHA-384.
//!
//! `hellos`: the same hello over and over, by clients that go away as soon as the server has signed its
//! answer. They compute nothing, so the server is busy even if they have no more of the machine than it has.
//!
//! `probe`: 32 connections that are there before and ask in turn, RATE times a second all together; prints
//! `requests p50 p99`, times in microseconds. The first 300 ms do not count.
//!
//! Nobody looks at certificates.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, default_provider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme, StreamOwned,
};

const STORM_THREADS: usize = 16;
const PROBE_THREADS: u32 = 8;
const PROBE_CONNECTIONS: usize = 4;
const WARM_UP: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const FLAGS: [&str; 2] = ["--resume", "--lean"];
const BODY: &[u8] = b"Hello, World!";

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
    let target = |port: &str, seconds: &str| {
        let time = Duration::try_from_secs_f32(seconds.parse().ok()?).ok()?;
        Some(Target { port: port.parse().ok()?, config: config(false), time, resumes: false, lean: false })
    };
    let said = match arguments[..] {
        ["handshakes", port, seconds, ref flags @ ..] if flags.iter().all(|flag| FLAGS.contains(flag)) => {
            let [resumes, lean] = FLAGS.map(|flag| flags.contains(&flag));
            let target = target(port, seconds);
            target.map(|target| Target { resumes, lean, ..target }.storm(Target::handshake))
        }
        ["hellos", port, seconds] => target(port, seconds).map(|target| target.storm(Target::hello)),
        ["probe", port, seconds, rate] => {
            target(port, seconds).zip(number(rate)).map(|(target, rate)| target.probe(rate))
        }
        _ => None,
    };
    match said {
        Some(Ok(line)) => {
            // Standard output is the answer.
            let written = writeln!(io::stdout(), "{line}");
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Some(Err(error)) => {
            eprintln!("storm: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!(
                "usage: storm handshakes PORT SECONDS [--resume] [--lean], storm hellos PORT SECONDS, storm probe PORT SECONDS RATE"
            );
            ExitCode::from(2)
        }
    }
}

/// A server on this machine, and for how long it is visited.
struct Target {
    port: u16,
    config: Arc<ClientConfig>,
    time: Duration,
    /// Whether whoever comes again says so.
    resumes: bool,
    /// Whether the cheapest is all that is offered.
    lean: bool,
}

impl Target {
    fn socket(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    fn client(&self) -> io::Result<ClientConnection> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)
    }

    /// Has many do the same until the time is over; how often it was done.
    fn storm(&self, visit: fn(&Self, &[u8]) -> io::Result<()>) -> io::Result<String> {
        let mut hello = Vec::new();
        self.client()?.write_tls(&mut hello)?;
        let end = now() + self.time;
        let work = || {
            // A ticket serves once: each thread keeps its own.
            let config = if self.resumes { resuming(self.lean) } else { config(self.lean) };
            let target = Self { config, ..*self };
            if self.resumes {
                ask(&mut StreamOwned::new(target.client()?, target.socket()?), LAST_REQUEST)?;
            }
            let mut count = 0_u64;
            while now() < end {
                visit(&target, &hello)?;
                count += 1;
            }
            Ok(count)
        };
        let counts: Vec<io::Result<u64>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..STORM_THREADS).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
        });
        Ok(counts.into_iter().sum::<io::Result<u64>>()?.to_string())
    }

    /// A whole visit.
    fn handshake(&self, _: &[u8]) -> io::Result<()> {
        let mut stream = StreamOwned::new(self.client()?, self.socket()?);
        ask(&mut stream, LAST_REQUEST)?;
        let is_resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        if is_resumed == self.resumes { Ok(()) } else { Err(io::Error::other("not the handshake to count")) }
    }

    /// One that is broken off.
    fn hello(&self, hello: &[u8]) -> io::Result<()> {
        let mut socket = self.socket()?;
        // No TIME_WAIT: there are not ports enough.
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        socket.write_all(hello)?;
        if socket.read(&mut [0; 1024])? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// How long answers take those who stay.
    fn probe(&self, rate: u32) -> io::Result<String> {
        let connect = || -> io::Result<Encrypted> {
            let mut stream = StreamOwned::new(self.client()?, self.socket()?);
            ask(&mut stream, REQUEST)?;
            Ok(stream)
        };
        let groups = (0..PROBE_THREADS).map(|_| (0..PROBE_CONNECTIONS).map(|_| connect()).collect());
        let groups = groups.collect::<io::Result<Vec<Vec<Encrypted>>>>()?;
        let (begin, step) = (now(), Duration::from_secs(1) / rate);
        let times: Vec<io::Result<Vec<Duration>>> = thread::scope(|scope| {
            let threads = (0..PROBE_THREADS).zip(groups).map(|(number, mut group)| {
                scope.spawn(move || self.watch(&mut group, begin + step * number, step * PROBE_THREADS))
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
        });
        let mut times = times.into_iter().collect::<io::Result<Vec<_>>>()?.concat();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).map_or(0, Duration::as_micros);
        Ok(format!("{} {} {}", times.len(), at(50), at(99)))
    }

    /// Asks over one connection after the other, once in each `step`.
    fn watch(&self, group: &mut [Encrypted], begin: Instant, step: Duration) -> io::Result<Vec<Duration>> {
        let (counted_from, end) = (begin + WARM_UP, begin + WARM_UP + self.time);
        let (mut due, mut times) = (begin, Vec::new());
        for index in (0..group.len()).cycle() {
            if due >= end {
                break;
            }
            // Who is late because the answer before was has waited since then; who has overslept has not.
            let wait = due.saturating_duration_since(now());
            let since = if wait.is_zero() {
                due
            } else {
                dawdle(wait);
                now()
            };
            ask(&mut group[index], REQUEST)?;
            if due >= counted_from {
                times.push(since.elapsed());
            }
            due += step;
        }
        Ok(times)
    }
}

#[expect(clippy::disallowed_methods, reason = "a client measures time itself")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a client that waits has nothing else to do")]
fn dawdle(time: Duration) {
    thread::sleep(time);
}

/// Sends a request, and reads the whole answer.
fn ask(stream: &mut Encrypted, request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    let (mut answer, mut filled) = ([0; 1024], 0);
    while !answer[..filled].ends_with(BODY) {
        let count = stream.read(&mut answer[filled..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
    }
    Ok(())
}

/// A client that keeps what it needs to be known again.
fn resuming(lean: bool) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&config(lean));
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config)
}

fn config(lean: bool) -> Arc<ClientConfig> {
    let mut provider = default_provider();
    if lean {
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider));
    let config = config.with_protocol_versions(&[&TLS13]).expect("there are suites of TLS 1.3");
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Trusting));
    let mut config = config.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Believes everybody, and looks at no signature either: a client is to cost less than what it measures.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("there is no TLS 1.2 here".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
