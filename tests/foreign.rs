//! A FOREIGN CLIENT: the `h2` crate, as many programs have it within, asks the whole server, in the clear and
//! in TLS.
//!
//! It keeps the rules of HTTP/2 itself and takes none on trust: what comes against them fails its connection.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request};
use kolk::http::{Fields, Pull, Pulled, Source};
use kolk::{
    App, Body, HandlerExt, HeaderName, Outcome, Reply, Response, Sink, Take, Tls, Workers, channel, deferred,
    receiving,
};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use identity::Identity;
use support::{PATIENCE, address, alone, start, until};

const LARGE_BYTES: usize = 1 << 20;

/// A pattern that no two places of share.
fn pattern(bytes: usize) -> Bytes {
    let words = u32::try_from(bytes / 4).unwrap();
    (0..words).flat_map(|word| word.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect::<Vec<_>>().into()
}

fn sum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// Adds up a body.
struct Scale(u64, u64);

impl Sink for Scale {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.0 += bytes.len() as u64;
        self.1 = sum(self.1, bytes);
        Take::More
    }

    fn end(self: Box<Self>, request: &kolk::Request<'_>, response: &mut Response) -> Outcome {
        let trailer = request.trailer("x-sum").unwrap_or("none");
        response.replace(format!("{} {} {trailer}", self.0, self.1).into());
        Outcome::Ready
    }
}

/// Promises nothing, and says so behind it.
struct Nothing;

impl Source for Nothing {
    fn pull(&mut self, _: &mut Pull<'_>) -> Pulled {
        Pulled::End
    }

    fn length(&self) -> Option<u64> {
        Some(0)
    }

    fn trailers(&mut self, fields: &mut Fields) {
        fields.append(&HeaderName::from_static("x-pulls"), &HeaderValue::from_static("1"));
    }
}

/// Says how often it was asked, behind its body.
struct Counted(u32);

impl Source for Counted {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        pull.write(format!("{}\n", self.0).as_bytes());
        self.0 += 1;
        if self.0 < 100 { Pulled::More } else { Pulled::End }
    }

    fn trailers(&mut self, fields: &mut Fields) {
        fields.append(
            &HeaderName::from_static("x-pulls"),
            &HeaderValue::from_str(&self.0.to_string()).unwrap(),
        );
    }
}

fn site() -> App {
    let large = pattern(LARGE_BYTES);
    App::new()
        .get("/n/{n}", |request: &kolk::Request<'_>| request.param("n").unwrap_or_default().to_owned())
        .get("/large", move |_: &kolk::Request<'_>| {
            Response::typed("application/octet-stream", Body::Shared(large.clone()))
        })
        .get("/nothing", |_: &kolk::Request<'_>| Response::stream("text/plain", Nothing))
        .get("/counted", |_: &kolk::Request<'_>| Response::stream("text/plain", Counted(0)))
        .get(
            "/later/{n}",
            deferred(|request: &kolk::Request<'_>, reply: Reply| {
                let number = request.param("n").unwrap_or_default().to_owned();
                thread::spawn(move || {
                    support::dawdle(Duration::from_millis(20));
                    reply.send(number);
                });
            }),
        )
        .get("/endless", |request: &kolk::Request<'_>| {
            let (mut body, response) = channel(request, 64 * 1024);
            thread::spawn(move || while body.write_blocking(Bytes::from_static(&[b'e'; 4096])).is_ok() {});
            response
        })
        .post("/scale", receiving(|_| Ok(Box::new(Scale(0, 0)))).body_limit(64 << 20))
        .post("/narrow", (|_: &kolk::Request<'_>| "read").body_limit(100_000))
        .post("/echo", |request: &kolk::Request<'_>| {
            Response::typed("text/plain", Body::Shared(Bytes::copy_from_slice(request.body())))
        })
}

/// Runs `test` against a server in the clear and one in TLS, on a connection that `builder` makes.
fn both_ways<F: Future<Output = ()>>(builder: &Builder, test: impl Fn(Client) -> F) {
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    for identity in [None, Some(&identity)] {
        let server = alone(site()).workers(Workers::Exactly(2));
        let server = start(if identity.is_some() { server.tls(&tls) } else { server });
        run(async {
            let client = Client::at(address(&server), identity, builder).await;
            tokio::time::timeout(2 * PATIENCE, test(client)).await.expect("it ends in time");
        });
        until("the connection is gone", || server.snapshot().connections() == 0);
    }
}

/// Runs what is to be awaited, with all that it spawns, on this thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// A connection, in as many hands as wanted.
#[derive(Clone)]
struct Client {
    requests: SendRequest<Bytes>,
    scheme: &'static str,
}

impl Client {
    async fn at(address: SocketAddr, identity: Option<&Identity>, builder: &Builder) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let Some(identity) = identity else {
            let (requests, connection) = builder.handshake(socket).await.unwrap();
            return Self::over(requests, connection, "http");
        };
        let mut config = identity.trusted_by(&[&TLS13]);
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(config).connect(name, socket).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self::over(requests, connection, "https")
    }

    fn over<S>(requests: SendRequest<Bytes>, connection: Connection<S>, scheme: &'static str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        tokio::task::spawn_local(async move {
            // A connection that breaks fails its exchanges, and those their test.
            let _ = connection.await;
        });
        Self { requests, scheme }
    }

    /// Begins an exchange; `ends`: there is no content.
    async fn ask(&self, method: Method, path: &str, ends: bool) -> Result<Exchange, h2::Error> {
        let uri = format!("{}://localhost{path}", self.scheme);
        let request = Request::builder().method(method).uri(uri).header("te", "trailers").body(()).unwrap();
        let mut requests = self.requests.clone().ready().await?;
        let (answer, content) = requests.send_request(request, ends)?;
        Ok(Exchange { answer, content })
    }

    /// The whole answer to a GET.
    async fn get(&self, path: &str) -> Result<Heard, h2::Error> {
        self.ask(Method::GET, path, true).await?.heard().await
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).await.unwrap().body).unwrap()
    }
}

/// A request that was begun.
struct Exchange {
    answer: h2::client::ResponseFuture,
    content: SendStream<Bytes>,
}

struct Heard {
    status: u16,
    body: Vec<u8>,
    trailer: HeaderMap,
}

impl Exchange {
    async fn begun(self) -> Result<(u16, RecvStream), h2::Error> {
        let answer = self.answer.await?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }

    async fn heard(self) -> Result<Heard, h2::Error> {
        let (status, mut stream) = self.begun().await?;
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece?;
            body.extend_from_slice(&piece);
            stream.flow_control().release_capacity(piece.len())?;
        }
        Ok(Heard { status, body, trailer: stream.trailers().await?.unwrap_or_default() })
    }

    /// Sends `body` as fast as the windows allow, and `trailer` behind it.
    async fn send(&mut self, mut body: Bytes, trailer: Option<HeaderMap>) -> Result<(), h2::Error> {
        while !body.is_empty() {
            self.content.reserve_capacity(body.len());
            let Some(room) = poll_fn(|waker| self.content.poll_capacity(waker)).await else { break };
            let piece = body.split_to(room?.min(body.len()));
            self.content.send_data(piece, false)?;
        }
        match trailer {
            Some(fields) => self.content.send_trailers(fields),
            None => self.content.send_data(Bytes::new(), true),
        }
    }
}

/// Spawns and awaits all of them.
async fn all<F: Future<Output = ()> + 'static>(futures: impl IntoIterator<Item = F>) {
    let tasks: Vec<_> = futures.into_iter().map(tokio::task::spawn_local).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn small_windows() -> Builder {
    let mut builder = Builder::new();
    builder.initial_window_size(1_000).initial_connection_window_size(70_000).max_frame_size(16_384);
    builder
}

#[test]
fn a_thousand_exchanges_as_many_at_a_time_as_may_be() {
    both_ways(&Builder::new(), |client| async move {
        all((0..1_000).map(|n| {
            let client = client.clone();
            let path = if n % 3 == 0 { format!("/later/{n}") } else { format!("/n/{n}") };
            async move { assert_eq!(client.text(&path).await, n.to_string()) }
        }))
        .await;
    });
}

#[test]
fn large_bodies_both_ways_through_small_windows() {
    both_ways(&small_windows(), |client| async move {
        all((0..6).map(|n| {
            let client = client.clone();
            async move {
                if n % 2 == 0 {
                    let heard = client.get("/large").await.unwrap();
                    assert_eq!((heard.status, heard.body == pattern(LARGE_BYTES)), (200, true));
                    return;
                }
                let body = pattern(LARGE_BYTES + 4 * n);
                let mut exchange = client.ask(Method::POST, "/scale", false).await.unwrap();
                exchange.send(body.clone(), None).await.unwrap();
                let heard = exchange.heard().await.unwrap();
                let told = String::from_utf8(heard.body).unwrap();
                assert_eq!(told, format!("{} {} none", body.len(), sum(0, &body)));
            }
        }))
        .await;
    });
}

#[test]
fn an_upload_grows_its_window_and_a_download_uses_a_large_one() {
    let mut builder = Builder::new();
    builder.initial_window_size(4 << 20).initial_connection_window_size(8 << 20).max_frame_size(1 << 20);
    both_ways(&builder, |client| async move {
        let body = pattern(8 << 20);
        let mut exchange = client.ask(Method::POST, "/scale", false).await.unwrap();
        exchange.send(body.clone(), None).await.unwrap();
        let told = String::from_utf8(exchange.heard().await.unwrap().body).unwrap();
        assert_eq!(told, format!("{} {} none", body.len(), sum(0, &body)));
        all((0..8).map(|_| {
            let client = client.clone();
            async move { assert!(client.get("/large").await.unwrap().body == pattern(LARGE_BYTES)) }
        }))
        .await;
    });
}

#[test]
fn trailers_both_ways() {
    both_ways(&Builder::new(), |client| async move {
        let mut exchange = client.ask(Method::POST, "/scale", false).await.unwrap();
        let trailer =
            HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("6"))]);
        exchange.send(Bytes::from_static(b"abc"), Some(trailer)).await.unwrap();
        let told = String::from_utf8(exchange.heard().await.unwrap().body).unwrap();
        assert_eq!(told, format!("3 {} 6", sum(0, b"abc")));

        let heard = client.get("/counted").await.unwrap();
        assert_eq!(heard.body.iter().filter(|byte| **byte == b'\n').count(), 100);
        assert_eq!(heard.trailer["x-pulls"], "100");
        let heard = client.get("/nothing").await.unwrap();
        assert_eq!((heard.body.len(), &heard.trailer["x-pulls"]), (0, &HeaderValue::from_static("1")));
    });
}

#[test]
fn resets_by_either_side_touch_nobody_else() {
    both_ways(&small_windows(), |client| async move {
        for _ in 0..20 {
            // Given up before, within and behind the answer's head.
            let mut early = client.ask(Method::POST, "/echo", false).await.unwrap();
            early.content.send_reset(Reason::CANCEL);
            let exchange = client.ask(Method::GET, "/endless", true).await.unwrap();
            let (_, mut stream) = exchange.begun().await.unwrap();
            assert!(stream.data().await.unwrap().is_ok());
            drop(stream);
            drop(client.ask(Method::GET, "/large", true).await.unwrap());
            assert_eq!(client.text("/n/1").await, "1");
        }
        // Too long: the answer is heard although its question was not read.
        let mut exchange = client.ask(Method::POST, "/narrow", false).await.unwrap();
        let _ = exchange.send(pattern(4 << 20), None).await;
        assert_eq!(exchange.heard().await.unwrap().status, 413);
        assert_eq!(client.text("/later/2").await, "2");
    });
}

/// Asks until the server takes no more; what was not served must not have begun.
async fn load(client: Client, served: Arc<AtomicU32>) {
    for round in 0.. {
        for path in [format!("/n/{round}"), format!("/later/{round}"), "/large".to_owned()] {
            match client.get(&path).await {
                Ok(heard) => {
                    assert_eq!(heard.status, 200);
                    served.fetch_add(1, SeqCst);
                }
                // RFC 9113 §6.8: it was not, and will not be, processed.
                Err(error) if error.is_go_away() && error.reason() == Some(Reason::NO_ERROR) => return,
                Err(error) => panic!("{path} of round {round} was lost: {error:?}"),
            }
        }
    }
}

#[test]
fn a_drain_under_load_loses_nothing() {
    let identity = Identity::new(&["localhost"]);
    let tls = Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    for identity in [None, Some(&identity)] {
        let server = alone(site()).workers(Workers::Exactly(2));
        let server = start(if identity.is_some() { server.tls(&tls) } else { server });
        let served = Arc::new(AtomicU32::new(0));
        run(async {
            let mut loads = Vec::new();
            for _ in 0..8 {
                let client = Client::at(address(&server), identity, &Builder::new()).await;
                let load = || tokio::task::spawn_local(load(client.clone(), Arc::clone(&served)));
                loads.extend([(); 4].map(|()| load()));
            }
            while served.load(SeqCst) < 200 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.drain(PATIENCE);
            for load in loads {
                load.await.unwrap();
            }
        });
        let answered = server.snapshot().requests();
        server.join().unwrap();
        assert_eq!(answered, u64::from(served.load(SeqCst)), "each answer was heard");
    }
}
