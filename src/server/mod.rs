//! THE SERVER: the only room that sees all the others.
//!
//! ```text
//!  Server ─start─► Running ─┬─ worker 0: Reactor + Shard + Ears ─┬─ Connection ─ Dialogue ─ Exchange
//!                           ├─ worker 1: …                       └─ …
//!                           └─ admin (a server of its own), log writer, blocking pool
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `config` | every number the server works with |
//! | `bound`, `running` | a server with its sockets; one whose workers run |
//! | `error` | what can keep a server from running |
//! | `service` | what service managers and operators ask of a process |
//! | `worker`, `recovery` | a thread and its loop; what becomes of one that fails |
//! | `ears`, `balance` | who may come in, and to which worker |
//! | `shard` | all connections of a worker: no poll, no clock |
//! | `connection` | a transport and what a turn left over |
//! | `patience` | how long a connection waits for what, and what happens then |
//! | `dialogue` | a protocol machine and its exchanges; the only caller of handlers |
//! | `edition` | what requests are answered by: replaced as a whole |
//! | `doors` | where the server listens: replaced as a whole |
//! | `renewal` | a server that becomes another one while it runs |
//! | `call`, `caller` | what a shard was given, and what it lends for one call; who calls |
//! | `scratch` | the buffers that connections share |
//! | `peers` | the other ends of connections, as far as they are remembered |
//! | `doubts` | what is written down of answers that the kernel has not taken whole |
//! | `redirect` | the site that sends visitors to https, beside the app |
//! | `stats`, `metrics`, `admin` | counters, their sums, and who may see them |
//! | `access_log` | one line a request: per-worker rings, a writer thread for each destination |
//! | `recorder` | the last requests of each worker, for whoever asks what became of one |

pub mod access_log;
mod admin;
mod balance;
mod bound;
mod call;
mod caller;
mod config;
mod connection;
mod dialogue;
mod doors;
mod doubts;
mod ears;
mod edition;
mod error;
pub mod metrics;
mod patience;
mod peers;
mod recorder;
mod recovery;
mod redirect;
mod renewal;
mod running;
mod scratch;
pub mod service;
mod shard;
pub mod stats;
mod worker;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{App, Trust};
use crate::net::ListenAddr;
use crate::net::tls::Tls;

pub use bound::Bound;
pub use call::Env;
pub use config::{
    ACCEPTS_PER_TURN_MAX, Config, EVENTS_PER_TURN_MAX, INPUT_BYTES, Limits, TURN_REQUESTS_MAX, Timeouts,
    Workers,
};
pub use doors::ListenOptions;
pub use edition::Edition;
pub use error::{Error, Result};
pub use recorder::{FlightRecorder, Recorder};
#[cfg(feature = "config")]
pub(crate) use redirect::{HTTPS_PORT, HttpsPort, app as to_https};
#[cfg(feature = "config")]
pub(crate) use renewal::{Refusal, Refused};
pub use running::{Handle, Running};
pub use shard::{CONNECTION_BYTES, Effect, Seat, Shard};

use access_log::{Destination, Format, Log};
use doors::Place;

/// A server that has not started: an [`App`], addresses, and a [`Config`].
///
/// ```
/// use kolk::{App, Request, Response, Server};
/// use std::time::Duration;
///
/// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
/// let server = Server::new(app).listen("127.0.0.1:0")?.start()?;
/// println!("listening on {}", server.addrs()[0]);
/// server.drain(Duration::from_secs(1));
/// server.join()?;
/// # Ok::<(), kolk::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    app: App,
    config: Config,
    places: Vec<(Place, ListenOptions)>,
    admin: Option<ListenAddr>,
    redirect: Option<(ListenAddr, ListenOptions)>,
    access_logs: Vec<Log>,
    /// Whether they are those of a file, and follow it.
    logs_follow: bool,
    recorder: Option<FlightRecorder>,
    tls: Option<Tls>,
}

impl Server {
    /// A server for `app`, which listens nowhere yet.
    pub fn new(app: App) -> Self {
        Self {
            app,
            config: Config::default(),
            places: Vec::new(),
            admin: None,
            redirect: None,
            access_logs: Vec::new(),
            logs_follow: false,
            recorder: None,
            tls: None,
        }
    }

    /// Listens on `address`, too: `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every address of this machine),
    /// `localhost:8080`, `unix:/run/site.sock`, or `fd:3` (a socket that listens already). Port 0 lets the
    /// system choose; [`Running::addrs`] tells.
    ///
    /// # Errors
    /// [`Error::Address`] if it cannot be read. Whether it can be had is found out by [`Server::start`].
    pub fn listen(self, address: &str) -> Result<Self> {
        self.listen_with(address, ListenOptions::default())
    }

    /// Listens on `address`, too, in its own way.
    ///
    /// ```
    /// use kolk::{App, ListenOptions, ProxyProtocol, Request, Response, Server};
    ///
    /// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let balancer = ProxyProtocol::required().network("10.0.0.0/8")?;
    /// let options = ListenOptions::default().proxy_protocol(balancer);
    /// Server::new(app).listen_with("127.0.0.1:0", options)?.start()?.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub fn listen_with(self, address: &str, options: ListenOptions) -> Result<Self> {
        Ok(self.listen_at(address.parse()?, options))
    }

    /// The same where the address was read already: as a URL it would say less.
    #[must_use]
    pub(crate) fn listen_at(mut self, address: ListenAddr, options: ListenOptions) -> Self {
        self.places.push((Place::Address(address), options));
        self
    }

    /// Listens on `socket`, too, which listens already: somebody else has opened it and may keep a copy, a
    /// service manager for instance ([`service::passed_sockets`]). All workers share it. It is never shut
    /// down: when the server ends, who still waits in its queue waits for whoever serves it next. Its backlog
    /// is its opener's.
    ///
    /// [`Server::start`] refuses a descriptor that is no listening stream socket.
    ///
    /// ```
    /// use kolk::{App, Request, Response, Server};
    ///
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let server = Server::new(app).listen_fd(socket.into()).start()?;
    /// assert_eq!(server.addrs()[0].socket_addr(), Some(address));
    /// # server.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn listen_fd(self, socket: OwnedFd) -> Self {
        self.listen_fd_with(socket, ListenOptions::default())
    }

    /// Listens on `socket`, too, in its own way: see [`Server::listen_fd`].
    #[must_use]
    pub fn listen_fd_with(mut self, socket: OwnedFd, options: ListenOptions) -> Self {
        self.places.push((Place::Socket(socket), options));
        self
    }

    /// Encrypts every connection but those to the [admin](Server::admin) address and to that of the
    /// [redirect](Server::redirect_to_https).
    ///
    /// ```no_run
    /// use kolk::{App, Request, Response, Server, Tls};
    ///
    /// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let tls = Tls::from_files("chain.pem", "key.pem")?;
    /// Server::new(app).tls(&tls).listen(":8443")?.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: &Tls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// What [`Server::tls`] was given last.
    #[cfg(feature = "tls")]
    pub const fn identity(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Listens nowhere any more: what was said so far of where does not count.
    #[must_use]
    pub fn nowhere(mut self) -> Self {
        self.places.clear();
        self
    }

    /// Remembers the last requests of each worker, and those that went wrong for longer: for
    /// [`Handle::why`] and [`Handle::recent`], and for `/_kolk/why/ID` and `/_kolk/recent` on the
    /// [admin](Server::admin) address. What is remembered outlives [`Handle::replace`].
    #[must_use]
    pub fn flight_recorder(mut self, recorder: FlightRecorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Serves `/_kolk/metrics` (Prometheus text), `/livez` and `/readyz` on an address of its own. They
    /// answer with 200; the last with 503 as soon as the server is told to drain. Answers are counted by
    /// route then, and rates by name: see [`stats::RouteShare`] and [`stats::NAMES_MAX`]. `/_kolk/reload`,
    /// JSON, says what became of the last order to read the configuration again ([`service::Reloads`]), else
    /// 404. With a [flight recorder](Server::flight_recorder) also `/_kolk/why/ID`, JSON, or 404 if no
    /// request of this id is remembered; and `/_kolk/recent`, JSON lines, the oldest first (`?n=100`, at most
    /// 1000). Who comes from this machine and asks a name with a dot is told nothing but the first two (403):
    /// a page of the web may have its name stand for this machine.
    ///
    /// # Errors
    /// [`Error::Address`] if it cannot be read.
    pub fn admin(self, address: &str) -> Result<Self> {
        Ok(self.admin_at(address.parse()?))
    }

    /// The same where the address was read already.
    #[must_use]
    pub(crate) fn admin_at(mut self, address: ListenAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Has clients come over TLS for so long, once they have: `Strict-Transport-Security` in every encrypted
    /// answer (RFC 6797). Without [`Server::tls`] it is not said.
    #[cfg(feature = "tls")]
    #[must_use]
    pub const fn hsts(mut self, time: Duration) -> Self {
        self.config.hsts = Some(time);
        self
    }

    /// Sends everybody who comes to `address`, in the clear, to the same place with https: 308, with the port
    /// of the first address that the server [listens](Server::listen) on with TLS. It is served by the same
    /// workers, within the same limits, and written down in the same log; where the app gives requests
    /// [ids](crate::RequestIds), these have some, too.
    ///
    /// [`Server::bind`] refuses it where nothing is encrypted. While the server runs, [`Handle::renew`] has
    /// it send from elsewhere, begin to, or end; and [`Handle::leave`] says what becomes of visitors when
    /// the last encrypted listener is given up.
    ///
    /// # Errors
    /// [`Error::Address`] if it cannot be read.
    #[cfg(feature = "tls")]
    pub fn redirect_to_https(self, address: &str) -> Result<Self> {
        self.redirect_to_https_with(address, ListenOptions::default())
    }

    /// The same, where one listens there in its own way: behind a balancer that says for whom it comes, for
    /// instance. What the [options](ListenOptions) say of TLS does not count.
    ///
    /// # Errors
    /// As [`Server::redirect_to_https`].
    #[cfg(feature = "tls")]
    pub fn redirect_to_https_with(self, address: &str, options: ListenOptions) -> Result<Self> {
        Ok(self.redirect_at(address.parse()?, options))
    }

    /// The same where the address was read already.
    #[cfg(any(feature = "tls", feature = "config"))]
    #[must_use]
    pub(crate) fn redirect_at(mut self, address: ListenAddr, options: ListenOptions) -> Self {
        self.redirect = Some((address, options.sending_to_https()));
        self
    }

    /// Believes these proxies when they tell who their clients are: [`Request::client_address`] and
    /// [`Request::scheme`], the log and rates by address then go by what they say.
    ///
    /// [`Request::client_address`]: crate::Request::client_address
    /// [`Request::scheme`]: crate::Request::scheme
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.config.trust = Some(Arc::new(trust));
        self
    }

    /// Writes one line for each request, in this log alone.
    #[must_use]
    pub fn access_log(self, format: Format, to: Destination) -> Self {
        self.access_logs([Log::new(format, to)])
    }

    /// Writes down requests in these logs and no others. The first is [`LogId::MAIN`](crate::LogId::MAIN): of
    /// all routes that are [logged](crate::HandlerExt::logged) in none of the others, and of requests whose
    /// head could not be read. A log that tells how long something took has the stages of every request
    /// measured, as [`Server::stages`] does.
    #[must_use]
    pub fn access_logs(mut self, logs: impl IntoIterator<Item = Log>) -> Self {
        self.access_logs = logs.into_iter().collect();
        self.config.stages |= self.access_logs.iter().any(Log::shows_times);
        self.logs_follow = false;
        self
    }

    /// The same for those that a file names: they change with it.
    #[cfg(feature = "config")]
    pub(crate) fn logs_of_file(self, logs: Vec<Log>) -> Self {
        Self { logs_follow: true, ..self.access_logs(logs) }
    }

    /// Another configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Measures the stages of every request; default: no. See [`Config::stages`].
    #[must_use]
    pub const fn stages(mut self, measures: bool) -> Self {
        self.config.stages = measures;
        self
    }

    /// How many workers; default: [`Workers::Auto`].
    #[must_use]
    pub const fn workers(mut self, workers: Workers) -> Self {
        self.config.workers = workers;
        self
    }

    /// Binds each worker to one CPU; default: no.
    #[must_use]
    pub const fn pin(mut self, pin: bool) -> Self {
        self.config.pin = pin;
        self
    }

    /// Gives each worker a descriptor table of its own; default: no. See [`Config::private_descriptors`].
    #[must_use]
    pub const fn private_descriptors(mut self, private: bool) -> Self {
        self.config.private_descriptors = private;
        self
    }

    /// How many connections the kernel may hold ready for each listener; default: 4096.
    #[must_use]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.config.backlog = connections;
        self
    }

    /// How many connections there may be at once; default: what the descriptor limit allows. At the cap
    /// idle connections give way, and then new ones wait in the kernel's queue.
    #[must_use]
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.config.connections_max = Some(connections);
        self
    }

    /// How long an idle connection may wait for its next request; default: 75 s.
    #[must_use]
    pub const fn keepalive(mut self, wait: Duration) -> Self {
        self.config.timeouts.keepalive = wait;
        self
    }

    /// How long the server waits for what.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// What a request may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// The `Server` field of every answer; `None` for none. Default: `kolk`.
    #[must_use]
    pub fn server_name(mut self, name: Option<&str>) -> Self {
        self.config.server_name = name.map(str::to_owned);
        self
    }

    /// The blocking pool: how many threads, and how many jobs may wait. Default: 32 and 1024.
    #[must_use]
    pub const fn blocking(mut self, threads: usize, queue_max: usize) -> Self {
        self.config.blocking_threads = threads;
        self.config.blocking_queue_max = queue_max;
        self
    }

    /// Starts the workers. When this returns, clients can connect.
    ///
    /// # Errors
    /// [`Error::Listen`] when an address cannot be had, [`Error::Start`] when the system refuses something
    /// else.
    pub fn start(self) -> Result<Running> {
        self.bind()?.start()
    }

    /// Opens the sockets and nothing else: for a process that is root until it has its ports.
    ///
    /// # Errors
    /// [`Error::Listen`] when an address cannot be had.
    pub fn bind(self) -> Result<Bound> {
        Bound::bind(self)
    }

    /// Starts, and serves until the process ends.
    ///
    /// # Errors
    /// As [`Server::start`]; and [`Error::Worker`].
    pub fn run(self) -> Result<()> {
        self.start()?.join()
    }
}
