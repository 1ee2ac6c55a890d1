//! kolk: a web server that is one turning point. One event loop per core; every connection a small state
//! machine that the loop turns.
//!
//! ```no_run
//! use kolk::{App, Request, Response, Server};
//!
//! fn main() -> kolk::Result<()> {
//!     let app = App::new().get("/hello/{name}", |request: &Request<'_>| {
//!         Response::text(format!("hello, {}\n", request.param("name").unwrap_or("world")))
//!     });
//!     Server::new(app).listen("127.0.0.1:8080")?.run()
//! }
//! ```
//! Handlers are plain functions: no async runtime, nothing allocated per request in the steady state.
//!
//! # The four stages
//!
//! ```text
//!  ACCEPT ──► PARSE ──► HANDLE (route, then decide) ──► RESPOND ──┐
//!               ▲                                                 │ keep-alive
//!               └─────────────────────────────────────────────────┘
//! ```
//! *Accept*: a socket leaves the listen queue and gets a slot. *Parse*: bytes become a head and a body.
//! *Handle*: the route is chosen and its handler decides. *Respond*: bytes leave until the kernel has the
//! last one. The same four words name the phases of a connection, the timeouts, the log fields and the
//! metrics.
//!
//! # The rooms
//!
//! ```text
//!              app/      handler · router · reply              decides; knows no wire, no socket
//!               ▲ Request, Response, Outcome
//!    http/  ────┤        the words of a message: Head, Fields, Body, Event
//!               │
//!              proto/    h1 · h2 · hpack            bytes in, events out; response in, bytes out
//!               │
//!    wire/  ────┤        the words of bytes: Lane, Input, Output
//!               ▼
//!              net/      tcp · tls                                  moves bytes; knows no HTTP
//!              reactor/  one poll, wakes                                        knows no bytes
//!              server/   shard · worker · config            the only room that sees the others
//!
//!              config/   a file, as a checked description                     knows no server
//!              assembly/ that description as a server         in the words that users have, too
//!              base/     slots, wheel, mailbox: structures that know nothing of all this
//!              sys/      the operating system: the only room with `unsafe`
//! ```
//! Three levels, each tested alone: the *machine* ([`proto`]: no clock, no socket) inside the *shard* (time
//! and transports are arguments) inside the *worker* (the real loop). `tests/tidy.rs` reads this table and
//! holds every path in `src/` to it:
//!
//! | layer | room | what lives there | may import | never |
//! | --- | --- | --- | --- | --- |
//! | 0 | `base` | slots, wheel, mailbox, buffer pool, tick, what a certificate says: no I/O, no HTTP | `slab`, `bytes`, `ipnet` | `Instant`, `SystemTime`, `std::net`, `std::fs` |
//! | 0 | `sys` | sockets, accept, send, CPUs, clock, signals: alone has `unsafe`, `libc`, `cfg(target_os)` | `libc`, `socket2` | anything of ours |
//! | 1 | `wire` | the words of bytes: lane, input, output | `base`, `bytes` | `std::net`, `std::thread` |
//! | 1 | `http` | the words of a message: head, field, body, response, event, phase | `base`, `bytes`, `::http`, `httpdate`, `memchr` | `std::net`, `std::thread` |
//! | 2 | `proto` | machines: bytes in, events out; response in, bytes out | `base`, `wire`, `http`, `sys::vector` (pure functions of bytes), `bytes`, `memchr`, `itoa`, `::http` | `TcpStream`, `UdpSocket`, `Instant`, `SystemTime`, `Mutex`, `RwLock`, `std::thread` |
//! | 2 | `net` | transports: moves bytes between a socket and the wire | `base`, `wire`, `sys`, `bytes`, `mio`, `log`, `rustls`, `webpki` (TLS), `ipnet`, `rcgen` (in tests) | `Instant`, `SystemTime` |
//! | 2 | `reactor` | one poll a turn, a key for each wake | `base`, `sys`, `mio` | `Instant`, `SystemTime` |
//! | 2 | `app` | handler, router, request, reply: what users write | `base`, `http`, `sys::beneath`, `sys::folder`, `sys::page_cache`, `sys::names` (files below an open folder), `sys::regular` (lists of users), `sys::scratch` (in tests), `bytes`, `brotli`, `flate2`, `zstd`, `::http`, `crossbeam_channel`, `log`, `argon2`, `bcrypt`, `sha_crypt`, `blake2`, `sha2`, `base64ct`, `subtle`, `getrandom` (passwords, tokens), `jsonwebtoken`, `aws_lc_rs`, `serde_json` (tokens), `rcgen` (in tests), `memchr`, `ipnet` | `TcpStream`, `TcpListener`, `UdpSocket` |
//! | 2 | `config` | the configuration file: TOML to a checked description in which everything has its place | `app`, `base::canonical`, `http`, `net::ListenAddr`, `net::AddressError`, `sys::regular` (files that are read whole), `sys::socket_file` (how long a name may be), `sys::syslog` (names of facilities), `::http`, `toml`, `annotate_snippets`, `strsim`, `ipnet`, `regex` | `TcpStream`, `TcpListener`, `Instant`, `SystemTime` |
//! | 4 | `assembly` | a configuration as a server: what each table stands for | `app`, `base::Certificate`, `config`, `http`, `net`, `proto::h1` (limits), `server`, `sys::regular` (files that are read whole), `bytes` (pages that routes share), `::http`, `ipnet` | `TcpStream`, `TcpListener`, `Instant`, `SystemTime` |
//! | 3 | `server` | shard, worker, connection, config: the shell | all | `libc` |
//! | – | `cli` | the program and `main.rs`: arguments to a configured server | `kolk`, `clap`, `clap_complete`, `clap_mangen`, `qrcode`, `ratatui`, `signal_hook`, `log`, `bytes`, `httpdate`, `::http`, `rustls`, `rcgen`, `serde_json`, `base64ct` (healthcheck, a certificate of its own, `kolk why`, `kolk explain`) | our rooms |
//!
//! # Words
//!
//! One noun, one meaning:
//!
//! | word | meaning |
//! | --- | --- |
//! | worker, shard | a thread; the connections that it turns |
//! | slot, key | a connection's place; its name, which outlives it harmlessly |
//! | turn, wake | the work of one poll; what one poll reports |
//! | tick, deadline, phase | a moment; when patience ends; what a connection waits for |
//! | lane | an ordered stream of bytes |
//! | exchange, stream | a request and its answer; HTTP's number for it |
//! | head, field, body | the parts of a message |
//! | input, output | the bytes at hand; the bytes to send |
//! | carry, pending | the rest that was not read; the rest that was not sent |
//! | handler, outcome, reply | who decides; what was decided; a decision that comes later |
//! | site, route | what is served to some hosts; who answers one path and method of it |
//! | layer, predicate | what stands before handlers and behind answers; what else must hold of a request |
//! | drain | answer what has begun, accept no more, end |

pub mod app;
#[cfg(feature = "config")]
mod assembly;
pub mod base;
#[cfg(feature = "config")]
pub mod config;
pub mod http;
pub mod net;
pub mod proto;
pub mod reactor;
pub mod server;
#[expect(unsafe_code, reason = "the one room that talks to the operating system")]
pub mod sys;
pub mod wire;

pub use ::http::{HeaderName, HeaderValue, StatusCode, header};

#[cfg(feature = "jwt")]
pub use crate::app::JwtAuth;
pub use crate::app::{
    App, BasicAuth, BearerAuth, BodyRule, BodyWriter, CacheControl, CertificateAuth, Cors, ErrorPages,
    ForwardedIn, Handler, HandlerExt, HashAlgorithm, Headers, Hsts, InFlight, Layer, Links, LogId,
    Maintenance, Networks, Outcome, OwnedRequest, Passage, PasswordHash, Policy, Predicate, Presence, Quota,
    Rate, RateKey, RateLimit, Rates, Recall, Redirect, Reply, Request, RequestIds, Rewrite, RouteTimeouts,
    Rule, ServerTiming, Sink, StaticDir, Take, Token, Trust, Upload, Wakeup, blocking, channel, deferred,
    receiving,
};
pub use crate::base::{Certificate, Fingerprint};
#[cfg(feature = "config")]
pub use crate::config::{Configuration, Errors, Given, Origin, Problem, units};
pub use crate::http::{Body, Pull, Pulled, Response, Source, Tail, Timeline, Version};
#[cfg(feature = "tls")]
pub use crate::net::tls::{ClientAuth, Tls, TlsError};
pub use crate::net::{ListenAddr, ProxyProtocol};
pub use crate::server::{
    Bound, Config, Error, FlightRecorder, Handle, Limits, ListenOptions, Result, Running, Server, Timeouts,
    Workers,
};
pub use crate::server::{access_log, service};
pub use crate::sys::terminal;
