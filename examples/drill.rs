//! The clients of `scripts/drill.sh`: they ask without end, and know of each request what became of it.
//!
//! ```text
//! cargo run --example drill -- PORT CONNECTIONS PATH...
//! ```
//! Half of the connections speak HTTP/1.1, the others HTTP/2 with eight requests at a time. Each asks for the
//! paths in turn until standard input ends, or until nobody lets it in again: who is told that an answer was
//! the last connects anew. Prints `requests lost` for HTTP/1.1, and in a second line for HTTP/2.
//!
//! A request is *lost* that was sent and not answered in full with 200. In HTTP/1.1 that is also so if the
//! server closes an idle connection at that moment (RFC 9112 §9.5 has clients live with it); in HTTP/2 not
//! if GOAWAY says that it was not looked at (RFC 9113 §6.8).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Error, Reason};

/// `drill:drill`, for paths that ask for a name and a password.
const CREDENTIALS: &str = "Basic ZHJpbGw6ZHJpbGw=";
const STREAMS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of some requests.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    requests: u64,
    lost: u64,
}

/// Where to ask for what, and whether it is enough.
#[derive(Clone, Debug)]
struct Task {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    paths: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().map_while(|text| text.parse().ok()).collect();
    let (&[port, connections], Some(paths)) = (&numbers[..], arguments.get(2..)) else {
        eprintln!("drill: PORT CONNECTIONS PATH... are expected");
        return ExitCode::from(2);
    };
    let task = Task {
        address: (Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap_or(0)).into(),
        is_over: Arc::default(),
        paths: paths.to_vec(),
    };
    let clients = |client: fn(&Task) -> Account| {
        let spawn = |_| {
            let task = task.clone();
            thread::spawn(move || client(&task))
        };
        (0..connections.div_ceil(2)).map(spawn).collect::<Vec<_>>()
    };
    let kinds = [clients(http1), clients(http2)];
    let is_over = Arc::clone(&task.is_over);
    thread::spawn(move || {
        let _ended = io::copy(&mut io::stdin(), &mut io::sink());
        is_over.store(true, Relaxed);
    });
    for clients in kinds {
        let accounts =
            clients.into_iter().map(|client| client.join().unwrap_or(Account { requests: 0, lost: 1 }));
        let sum = accounts.fold(Account::default(), Account::plus);
        if writeln!(io::stdout(), "{} {}", sum.requests, sum.lost).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

impl Account {
    fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, lost: self.lost + other.lost }
    }
}

impl Task {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Relaxed)
    }
}

// ── HTTP/1.1 ────────────────────────────────────────────────────────────────────────────────────────

fn http1(task: &Task) -> Account {
    let mut account = Account::default();
    let mut paths = task.paths.iter().cycle();
    while task.goes_on() {
        let Ok(stream) = TcpStream::connect_timeout(&task.address, PATIENCE) else { break };
        let _is_told = stream.set_read_timeout(Some(PATIENCE));
        let mut reader = BufReader::new(stream);
        while task.goes_on()
            && let Some(path) = paths.next()
        {
            account.requests += 1;
            match exchange(&mut reader, path) {
                Ok(persists) if persists => {}
                Ok(_) => break,
                Err(error) => {
                    eprintln!("drill: {path} over HTTP/1.1: {error}");
                    account.lost += 1;
                    break;
                }
            }
        }
    }
    account
}

/// One request and its answer; whether another one may follow.
fn exchange(reader: &mut BufReader<TcpStream>, path: &str) -> io::Result<bool> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: drill\r\nAuthorization: {CREDENTIALS}\r\n\r\n");
    reader.get_mut().write_all(head.as_bytes())?;
    let (mut length, mut persists, mut is_first) = (None, true, true);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if std::mem::take(&mut is_first) && !line.starts_with("http/1.1 200 ") {
            return Err(io::Error::other(line));
        }
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().ok();
        }
        persists &= line != "connection: close";
        if line.is_empty() {
            break;
        }
    }
    let length: usize = length.ok_or_else(|| io::Error::other("no length"))?;
    reader.read_exact(&mut vec![0; length])?;
    Ok(persists)
}

// ── HTTP/2 ──────────────────────────────────────────────────────────────────────────────────────────

fn http2(task: &Task) -> Account {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    runtime.map_or(Account { requests: 0, lost: 1 }, |runtime| local.block_on(&runtime, connections(task)))
}

/// One connection after the other.
async fn connections(task: &Task) -> Account {
    let mut account = Account::default();
    while task.goes_on() {
        let Ok(stream) = tokio::net::TcpStream::connect(task.address).await else { break };
        let Ok((requests, connection)) = h2::client::handshake(stream).await else { break };
        // One that breaks fails its streams.
        let driver = tokio::task::spawn_local(connection);
        let streams: Vec<_> = (0..STREAMS)
            .map(|first| tokio::task::spawn_local(streams(requests.clone(), task.clone(), first)))
            .collect();
        drop(requests);
        for stream in streams {
            account = account.plus(stream.await.unwrap_or(Account { requests: 0, lost: 1 }));
        }
        driver.abort();
    }
    account
}

/// One request after the other, until the server takes no more.
async fn streams(mut requests: SendRequest<Bytes>, task: Task, first: usize) -> Account {
    let mut account = Account::default();
    for path in task.paths.iter().cycle().skip(first) {
        if !task.goes_on() {
            break;
        }
        // Told before it was sent: it is none.
        requests = match requests.ready().await {
            Ok(requests) => requests,
            Err(_) => break,
        };
        match ask(&mut requests, path).await {
            Ok(200) => account.requests += 1,
            Err(error) if error.is_go_away() && error.reason() == Some(Reason::NO_ERROR) => break,
            outcome => {
                eprintln!("drill: {path} over HTTP/2: {outcome:?}");
                account = account.plus(Account { requests: 1, lost: 1 });
                break;
            }
        }
    }
    account
}

/// The status of an answer that is there in full.
async fn ask(requests: &mut SendRequest<Bytes>, path: &str) -> Result<u16, Error> {
    let request = http::Request::get(format!("http://drill{path}")).header("authorization", CREDENTIALS);
    let request = request.body(()).map_err(|_| Error::from(Reason::INTERNAL_ERROR))?;
    let (answer, _) = requests.send_request(request, true)?;
    let answer = answer.await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(piece) = body.data().await {
        let bytes = piece?.len();
        body.flow_control().release_capacity(bytes)?;
    }
    Ok(status)
}
