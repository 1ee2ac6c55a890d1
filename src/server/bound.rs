//! [`Bound`]: a server that has its sockets and does not serve yet.
//!
//! Between [`Server::bind`](super::Server::bind) and [`Bound::start`] the process can give up what only
//! opening sockets needs: its being root.

use std::io;

use crate::app::App;
use crate::net::ListenAddr;
use crate::net::tls::Tls;
use crate::sys::{cpu, descriptors};

use super::access_log::Log;
use super::config::{Config, Workers};
use super::doors::{Defaults, Doors, ListenOptions, Place};
use super::recorder::FlightRecorder;
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
    pub(super) doors: Doors,
    pub(super) tls: Option<Tls>,
    pub(super) admin: Option<Doors>,
    /// How many descriptors the process may have.
    pub(super) descriptors: u64,
}

impl Bound {
    pub(super) fn bind(server: Server) -> Result<Self> {
        let Server { app, mut config, mut places, admin, redirect, access_logs, logs_follow, recorder, tls } =
            server;
        places.extend(redirect.map(|(address, options)| (Place::Address(address), options)));
        let descriptors = descriptors::raise_limit()
            .map_err(|source| Error::Start { what: "raise the descriptor limit", source })?;
        let workers = match config.workers {
            Workers::Auto => cpu::available(),
            Workers::Exactly(count) => count.max(1),
        };
        let defaults = Defaults { tls: tls.as_ref(), backlog: config.backlog };
        let doors = Doors::open(places, workers, defaults)?;
        if tls.is_none() {
            // RFC 6797 §7.2: never in the clear.
            config.hsts = None;
        }
        if doors.send_to_nobody() {
            return Err(nobody_at_https(tls.as_ref()));
        }
        let defaults = Defaults { tls: None, ..defaults };
        let one = |(address, options)| Doors::open(vec![(Place::Address(address), options)], 1, defaults);
        let admin = admin.map(|address| one((address, ListenOptions::default()))).transpose()?;
        Ok(Self { app, config, access_logs, logs_follow, recorder, doors, tls, admin, descriptors })
    }

    /// A small server that runs beside another, in the clear.
    pub(super) const fn beside(app: App, config: Config, doors: Doors, descriptors: u64) -> Self {
        Self {
            app,
            config,
            access_logs: Vec::new(),
            logs_follow: false,
            recorder: None,
            doors,
            tls: None,
            admin: None,
            descriptors,
        }
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addrs(&self) -> Vec<ListenAddr> {
        self.doors.addresses()
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// [`Error::Start`] when the system refuses something.
    pub fn start(self) -> Result<Running> {
        Running::start(self)
    }
}

/// A site that sends its visitors to https needs that.
pub(super) fn nobody_at_https(tls: Option<&Tls>) -> Error {
    let why = match tls {
        None => "whoever is sent to https finds nobody there: the server has no certificate",
        Some(_) => "whoever is sent to https finds nobody there: no listener is encrypted",
    };
    Error::Listen(io::Error::new(io::ErrorKind::InvalidInput, why))
}
