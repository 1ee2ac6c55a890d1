//! [`Bound`]: a server that has its sockets and does not serve yet.
//!
//! Between [`Server::bind`](super::Server::bind) and [`Bound::start`] the process can give up what only
//! opening sockets needs: its being root.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::app::App;
use crate::net::tls::Tls;
use crate::net::{ListenAddr, Listener, Listening, ProxyProtocol, Versions};
use crate::sys::{cpu, descriptors};

use super::access_log::{Log, LogSet};
use super::config::{Config, Workers};
use super::recorder::{FlightRecorder, Recorder};
use super::running::Running;
use super::{Error, Result, Server};

/// A server whose clients can connect and wait: nobody accepts them yet.
///
/// ```
/// use kolk::{App, Request, Response, Server};
///
/// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
/// let bound = Server::new(app).listen("127.0.0.1:0")?.bind()?;
/// assert_ne!(bound.addrs()[0].socket_addr().unwrap().port(), 0);
/// bound.start()?.stop();
/// # Ok::<(), kolk::Error>(())
/// ```
#[derive(Debug)]
pub struct Bound {
    pub(super) app: App,
    pub(super) config: Config,
    pub(super) access_logs: Vec<Log>,
    pub(super) logs_follow: bool,
    pub(super) recorder: Option<FlightRecorder>,
    pub(super) sockets: Sockets,
    pub(super) tls: Option<Tls>,
    pub(super) admin: Option<Sockets>,
    pub(super) redirect: Option<Sockets>,
    pub(super) beside: Beside,
    /// How many descriptors the process may have.
    pub(super) descriptors: u64,
}

/// What a server of one worker shares with the one that it runs beside.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// How many workers the other has: their numbers are taken.
    pub(super) workers: usize,
    /// The other's access logs.
    pub(super) logs: Option<Arc<LogSet>>,
    /// The one more recorder that the other has made.
    pub(super) recorder: Option<Arc<Recorder>>,
}

/// How to listen on one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    proxy_protocol: Option<ProxyProtocol>,
    backlog: Option<u32>,
    in_the_clear: bool,
    versions: Versions,
}

impl ListenOptions {
    /// Has proxies say for whom they come, in a header of the PROXY protocol (version 1 or 2) before
    /// everything else: [`Request::peer`](crate::Request::peer) is then the address that they tell.
    #[must_use]
    pub fn proxy_protocol(mut self, proxies: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(proxies);
        self
    }

    /// How many connections the kernel may hold ready here, for each worker; else what [`Config::backlog`]
    /// says.
    #[must_use]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.backlog = Some(connections);
        self
    }

    /// Encrypts nothing here, also where [`Server::tls`] does elsewhere.
    #[must_use]
    pub const fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Speaks HTTP/1.0 and HTTP/1.1 alone there: over TLS nothing else is offered, and in the clear who
    /// begins as HTTP/2 does is answered with 505. The last of this and [`ListenOptions::http2_only`] counts.
    ///
    /// ```
    /// use kolk::{App, ListenOptions, Request, Response, Server};
    ///
    /// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let options = ListenOptions::default().http1_only();
    /// Server::new(app).listen_with("127.0.0.1:0", options)?.start()?.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    #[must_use]
    pub const fn http1_only(mut self) -> Self {
        self.versions = Versions::Http1;
        self
    }

    /// Speaks HTTP/2 alone there: over TLS nothing else is offered, in the clear it begins at once (RFC 9113
    /// §3.3). Who asks in HTTP/1, or has agreed on nothing over TLS, gets an answer of HTTP/1.1: 505.
    #[must_use]
    pub const fn http2_only(mut self) -> Self {
        self.versions = Versions::Http2;
        self
    }
}

/// What to listen on.
#[derive(Debug)]
pub(super) enum Place {
    Address(ListenAddr),
    /// A socket that listens already.
    Socket(OwnedFd),
}

/// The listeners of each place for each worker: place by place.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) listeners: Arc<[Arc<Listener>]>,
    pub(super) workers: usize,
}

impl Bound {
    pub(super) fn bind(server: Server) -> Result<Self> {
        let Server { app, mut config, places, admin, redirect, access_logs, logs_follow, recorder, tls } =
            server;
        let descriptors = descriptors::raise_limit()
            .map_err(|source| Error::Start { what: "raise the descriptor limit", source })?;
        let workers = match config.workers {
            Workers::Auto => cpu::available(),
            Workers::Exactly(count) => count.max(1),
        };
        let sockets = Sockets::open(places, workers, &config, tls.as_ref())?;
        if tls.is_none() {
            // RFC 6797 §7.2: never in the clear.
            config.hsts = None;
            if redirect.is_some() {
                let why = "whoever is sent to https finds nobody there: the server has no certificate";
                return Err(Error::Listen(io::Error::new(io::ErrorKind::InvalidInput, why)));
            }
        }
        let one = |address| {
            Sockets::open(vec![(Place::Address(address), ListenOptions::default())], 1, &config, None)
        };
        let (admin, redirect) = (admin.map(one).transpose()?, redirect.map(one).transpose()?);
        let beside = Beside::default();
        Ok(Self {
            app,
            config,
            access_logs,
            logs_follow,
            recorder,
            sockets,
            tls,
            admin,
            redirect,
            beside,
            descriptors,
        })
    }

    /// A small server that runs beside another, in the clear.
    pub(super) const fn beside(
        app: App,
        config: Config,
        sockets: Sockets,
        beside: Beside,
        descriptors: u64,
    ) -> Self {
        Self {
            app,
            config,
            access_logs: Vec::new(),
            logs_follow: false,
            recorder: None,
            sockets,
            tls: None,
            admin: None,
            redirect: None,
            beside,
            descriptors,
        }
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addrs(&self) -> Vec<ListenAddr> {
        self.sockets.addresses()
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// [`Error::Start`] when the system refuses something.
    pub fn start(self) -> Result<Running> {
        Running::start(self)
    }
}

impl Sockets {
    fn open(
        places: Vec<(Place, ListenOptions)>,
        workers: usize,
        config: &Config,
        tls: Option<&Tls>,
    ) -> Result<Self> {
        let mut listeners = Vec::with_capacity(places.len() * workers);
        for (place, ListenOptions { proxy_protocol, backlog, in_the_clear, versions }) in places {
            let options = Listening { backlog: backlog.unwrap_or(config.backlog), ..Listening::default() };
            let opened = match place {
                Place::Address(address) => Listener::open(&address, workers, &options),
                Place::Socket(socket) => Listener::adopt(socket, workers, &options),
            };
            let opened = opened.map_err(Error::Listen)?;
            if let Some(proxies) = proxy_protocol {
                opened.iter().for_each(|listener| listener.expect_proxies(&proxies));
            }
            if versions != Versions::All {
                opened.iter().for_each(|listener| listener.speak(versions));
            }
            #[cfg(feature = "tls")]
            if let Some(tls) = tls.filter(|_| !in_the_clear) {
                opened.iter().for_each(|listener| listener.encrypt(tls));
            }
            #[cfg(not(feature = "tls"))]
            let _ = (tls, in_the_clear);
            listeners.extend(opened);
        }
        Ok(Self { listeners: listeners.into(), workers })
    }

    pub(super) fn addresses(&self) -> Vec<ListenAddr> {
        self.listeners.iter().step_by(self.workers).map(|listener| listener.local_addr().clone()).collect()
    }
}
