//! The tables of the process: `[server]` and what is in it, `[[listen]]`, `[tls]`.

use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::HeaderValue;
use ipnet::IpNet;

use super::key::{Kind, Value, table, words};
use super::message::Host;
use super::node::{Node, Raw};
use super::place::Placed;
use super::read::{FromText, Reader, quoted};
use super::value::{ByteRate, ExistingFile, Size, WatchedFile, is_digits};
use crate::net::ListenAddr;

/// So many workers are enough for every machine.
const WORKERS_MAX: u32 = 1024;

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that is ours.
    Auto,
    /// So many.
    Exactly(NonZero<u32>),
}

impl Value for Workers {
    fn kind() -> Kind {
        const AUTO: &[super::key::Word] =
            &[super::key::Word { text: "auto", doc: "one for each CPU that is ours", is_later: false }];
        Kind::Any(vec![Kind::Words(AUTO), Kind::Integer(1, u64::from(WORKERS_MAX))])
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Raw::Integer(_) = node.raw {
            let number = reader.integer(node, 1, u64::from(WORKERS_MAX))?;
            return u32::try_from(number).ok().and_then(NonZero::new).map(Self::Exactly);
        }
        // A variable is always a text.
        let text = reader.text(node, "\"auto\" or a number")?;
        let number = Some(&text).filter(|text| is_digits(text)).and_then(|text| text.parse().ok());
        let number = number.filter(|number: &NonZero<u32>| number.get() <= WORKERS_MAX);
        match (text.as_str(), number) {
            ("auto", _) => Some(Self::Auto),
            (_, Some(number)) => Some(Self::Exactly(number)),
            _ => {
                reader.misread(node, &text, "a number of workers", "expected auto, or 1 to 1024");
                None
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => quoted("auto"),
            Self::Exactly(number) => number.to_string(),
        }
    }
}

table! {
    /// The process: its threads, its rights, its end.
    pub struct Server in "[server]" {
        /// How many workers (threads, each with its own event loop); `"auto"`: one for each CPU that is ours.
        workers: Placed<Workers> = "auto",
        /// Binds each worker to a CPU of its own.
        pin: Placed<bool> = false,
        /// Threads for what may block: files, password hashes, blocking handlers.
        blocking_threads: Placed<NonZero<u32>> = 32,
        /// Jobs that may wait for these threads; more are answered with 503.
        blocking_queue: Placed<u32> = 1024,
        /// Becomes this user, `NAME` or `NAME:GROUP`, once the sockets are open; needs root.
        user: Option<Placed<User>>,
        /// Connections at the same time, all workers together; without it, what the file limit allows.
        max_connections: Option<Placed<NonZero<u32>>>,
        /// Connections of one client address at the same time (IPv6: of one /64); without it, any number.
        /// Those of proxies in `[server.trust]` and of socket files are not counted.
        max_connections_per_client: Option<Placed<NonZero<u32>>>,
        /// How long a drain turns nobody away yet, while `/readyz` says already that it has begun: for
        /// whoever sends clients here.
        shutdown_delay: Placed<Duration> = "0s",
        /// How long a drain waits for what is under way.
        shutdown_grace: Placed<Duration> = "30s",
        /// Where metrics, `/livez` and `/readyz` are, and where `kolk top` and the other commands find this
        /// server; without it, nowhere.
        admin: Option<Placed<ListenAddr>>,
        /// Memory of each worker for what has become of its last requests, one half of it for those that went
        /// wrong: for `kolk why`; only with `admin`. `"0"` for none, at most 1GiB.
        flight_recorder: Placed<Size> = "1MiB",
        /// The `Server` field of every answer; an empty text for none.
        server_name: Placed<ServerName> = "kolk",
        /// Gives each request an id: in `X-Request-Id` and `traceparent` of the answer, in access logs, in
        /// error pages; and whether one that was sent along is taken over.
        request_ids: Placed<RequestIds> = "off",
        /// Writes the number of the process to this file, as long as it runs.
        pid_file: Option<Placed<PathBuf>>,
        /// What a request may cost.
        limits: Box<Limits> = {},
        /// How long the server waits for what.
        timeouts: Box<Timeouts> = {},
        /// Whom to believe about the address of a client.
        trust: Box<Trust> = {},
    }
}

/// A user, and perhaps a group: names or numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(pub String);

impl FromText for User {
    const WHAT: &'static str = "a user";
    const EXAMPLE: &'static str = "www-data:www-data";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b":,/".contains(&byte))
        };
        match text.split(':').count() <= 2 && text.split(':').all(is_name) {
            true => Ok(Self(text.to_owned())),
            false => Err("NAME or NAME:GROUP is expected".to_owned()),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// The `Server` field; none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(pub Option<HeaderValue>);

impl FromText for ServerName {
    const WHAT: &'static str = "a value of the field `server`";
    const EXAMPLE: &'static str = "kolk";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        <HeaderValue as FromText>::of(text, folder).map(|value| Self(Some(value)))
    }

    fn text(&self) -> String {
        self.0.as_ref().map(FromText::text).unwrap_or_default()
    }
}

words! {
    /// Which requests have which ids.
    pub enum RequestIds {
        /// None.
        Off = "off",
        /// All have one of the server's own.
        Own = "own",
        /// Those of `[server.trust]` may bring one, the others have one of the server's own.
        Trusted = "trusted",
        /// Every client may bring one.
        Any = "any",
    }
}

table! {
    /// What a request may cost; over a limit it is answered with that limit's status.
    pub struct Limits in "[server.limits]" {
        /// The first line of a request: 414. At most 65535 bytes.
        request_line: Placed<Size> = "8KiB",
        /// The whole head of a request: 431. At most 65535 bytes; over HTTP/2 at most 32 KiB are taken.
        headers: Placed<Size> = "32KiB",
        /// Fields of a request: 431.
        header_count: Placed<NonZero<u32>> = 100,
        /// The body of a request: 413. A site or a route may say something else.
        body: Placed<Size> = "16MiB",
        /// All bodies that a worker keeps in memory for their handlers: 503.
        bodies: Placed<Size> = "256MiB",
    }
}

table! {
    /// How long the server waits; each has a counter of its own.
    pub struct Timeouts in "[server.timeouts]" {
        /// For a whole handshake of TLS.
        tls_handshake: Placed<Duration> = "10s",
        /// For a whole head, from its first byte: 408.
        header: Placed<Duration> = "10s",
        /// For the answer of a handler, and of those who are asked before it, in routes that say nothing of
        /// it: 504. Without it, for as long as it takes.
        handler: Option<Placed<Duration>>,
        /// For the next request on an idle connection.
        keepalive: Placed<Duration> = "75s",
        /// For the next byte of a body: 408.
        body_idle: Placed<Duration> = "30s",
        /// The least rate of a body: 408.
        body_min_rate: Placed<ByteRate> = "512B/s",
        /// For a reader that takes nothing.
        write_stall: Placed<Duration> = "30s",
        /// The least rate of a reader.
        write_min_rate: Placed<ByteRate> = "512B/s",
        /// For a client to close after the last answer.
        linger: Placed<Duration> = "5s",
    }
}

words! {
    /// The field that says which client a proxy has.
    pub enum TrustHeader {
        /// The list that most proxies make.
        XForwardedFor = "x-forwarded-for",
        /// That of RFC 7239.
        Forwarded = "forwarded",
    }
}

table! {
    /// Whom to believe about the address of a client: proxies before this server, and nobody else.
    pub struct Trust in "[server.trust]" {
        /// The networks of the proxies, and `"unix:"` for those that come through a socket file; the list
        /// that they make is read from the right, up to the first stranger. Where a proxy hides its client,
        /// or cannot be understood, the client is unknown: `allow` and conditions on `client` do not let it
        /// in, while rates, `deny` and logs go by the proxy's address. Where it cannot be understood, `deny`
        /// does not let it in, either.
        proxies: Placed<Vec<Placed<Proxy>>> = [],
        /// The field that they write. With `x-forwarded-for` they are believed in `X-Forwarded-Proto`, too:
        /// have each set it, or remove what clients send.
        header: Placed<TrustHeader> = "x-forwarded-for",
    }
}

/// Who is believed about the address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Those of this network.
    Network(IpNet),
    /// Those that come through a socket file: processes of this machine.
    Unix,
}

impl FromText for Proxy {
    const WHAT: &'static str = "a network or `unix:`";
    const EXAMPLE: &'static str = "10.0.0.0/8";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text {
            "unix:" => Ok(Self::Unix),
            _ if text.starts_with("unix:") => {
                Err("socket files are trusted all or none: unix: without a path".to_owned())
            }
            _ => <IpNet as FromText>::of(text, folder).map(Self::Network),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// As it stands in a file.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

words! {
    /// A version of HTTP.
    pub enum Protocol {
        /// HTTP/1.0 and HTTP/1.1.
        H1 = "h1",
        /// HTTP/2.
        H2 = "h2",
        later {
            "h3": "HTTP/3 comes in a later version",
        }
    }
}

words! {
    /// Whether connections begin with a line of the PROXY protocol.
    pub enum ProxyProtocol {
        /// They do not.
        Off = "off",
        /// Those of trusted proxies may.
        Optional = "optional",
        /// All do; others are closed.
        Required = "required",
    }
}

table! {
    /// Where to listen; without any, on 127.0.0.1:8080.
    pub struct Listen in "[[listen]]" {
        /// The address: `127.0.0.1:8080`, `:8080` (all addresses), `[::1]:8080`, `unix:PATH` or `fd:3`.
        addr: Placed<ListenAddr>,
        /// Encrypts the connections; needs a certificate.
        tls: Placed<bool> = false,
        /// The versions of HTTP that are spoken.
        protocols: Placed<Vec<Placed<Protocol>>> = ["h1", "h2"],
        /// Connections that may wait to be accepted, for each worker.
        backlog: Placed<NonZero<u32>> = 4096,
        /// Whether connections begin with a line of the PROXY protocol, v1 or v2; it is believed of the
        /// proxies in `[server.trust]`.
        proxy_protocol: Placed<ProxyProtocol> = "off",
        /// Answers everybody with a redirect to the same place with https.
        redirect_to_https: Placed<bool> = false,
    }
}

impl Listen {
    /// The one version that is spoken, if it is not both.
    pub fn only(&self) -> Option<Protocol> {
        let first = self.protocols.value.first()?.value;
        self.protocols.value.iter().all(|other| other.value == first).then_some(first)
    }
}

words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2.
        V12 = "1.2",
        /// TLS 1.3.
        V13 = "1.3",
    }
}

words! {
    /// What is asked of clients.
    pub enum ClientCertificate {
        /// One must be shown.
        Required = "required",
        /// One may be shown.
        Optional = "optional",
    }
}

table! {
    /// How connections are encrypted.
    pub struct Tls in "[tls]" {
        /// The oldest version that is spoken.
        min_version: Placed<TlsVersion> = "1.2",
        /// The certificates; a client gets the one with the name that it asks for, else the first.
        cert as "cert": Vec<Certificate>,
        /// The authorities whose certificates clients may show, PEM.
        client_ca: Option<Placed<ExistingFile>>,
        /// Whether clients must show one; with `client_ca`.
        client_auth: Option<Placed<ClientCertificate>>,
        later {
            "acme": "certificates from an authority on the web come in a later version",
        }
    }
}

table! {
    /// A certificate; its files are watched, and read again when they change.
    pub struct Certificate in "[[tls.cert]]" {
        /// The hosts that it is for; without them, the names that are in it.
        hosts: Option<Placed<Vec<Placed<Host>>>>,
        /// The certificate with its chain behind it, PEM.
        cert: Placed<WatchedFile>,
        /// Its private key, PEM.
        key: Placed<WatchedFile>,
    }
}
