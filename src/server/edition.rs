//! [`Edition`]: what requests are answered by: an app, and the numbers that go with it.
//!
//! ```text
//!  Handle ─replace─► Control ─► each worker, at a turn's beginning ─► Shard ─┬─► new requests
//!                                                                            └─► open exchanges keep theirs
//! ```
//! It is replaced as a whole: the numbers of routes mean something in their own app alone, and those of logs
//! in their own set. Who comes in where visitors are sent to https is answered by another one, which stands
//! beside it and goes with it. Knows no connection.

use std::sync::Arc;

use crate::app::{App, ConnectionsPerAddress};

use super::access_log::LogSet;
use super::config::Config;
use super::redirect::{self, HttpsPort};
use super::stats::{RouteTallies, Tallies};

/// An app, and what the server that serves it works with. Workers and open exchanges share it.
#[derive(Debug)]
pub struct Edition {
    /// Routes and handlers.
    pub app: App,
    /// Limits and timeouts.
    pub config: Config,
    /// Where answers are counted by route, if somebody may look.
    pub(super) routes: Option<RouteTallies>,
    /// Where requests are written down; nothing: where they were before.
    pub(super) logs: Option<Arc<LogSet>>,
    /// How many connections each client has, where that is limited.
    pub(super) addresses: Option<Arc<ConnectionsPerAddress>>,
    /// What those are answered by who are sent to https, if there have ever been such listeners.
    pub(super) redirect: Option<Arc<Self>>,
}

impl Edition {
    /// `app`, served with `config`.
    pub const fn new(app: App, config: Config) -> Self {
        Self { app, config, routes: None, logs: None, addresses: None, redirect: None }
    }

    /// The same, whose answers are counted in `tallies`, too.
    pub(super) fn counted_in(self, tallies: Option<&Arc<Tallies>>) -> Self {
        Self { routes: tallies.map(|tallies| tallies.of(&self.app)), ..self }
    }

    /// The same, whose requests are written down in these logs.
    pub(super) fn logged(self, logs: Option<Arc<LogSet>>) -> Self {
        Self { logs, ..self }
    }

    /// The same, which counts the connections of each client if they are limited, from what `former` has
    /// counted on.
    pub(super) fn counting_after(self, former: Option<&Arc<ConnectionsPerAddress>>) -> Self {
        let addresses = self.config.limits.connections_per_address_max.map(|most| match former {
            Some(addresses) => {
                addresses.set_max(most);
                Arc::clone(addresses)
            }
            None => Arc::new(ConnectionsPerAddress::new(most)),
        });
        Self { addresses, ..self }
    }

    /// The same, beside which visitors are sent to this port, with the same numbers and in the same logs.
    pub(super) fn sending_to(self, port: &Arc<HttpsPort>) -> Self {
        let app = redirect::app(port, self.app.request_ids());
        let redirect = Self::new(app, self.config.clone()).logged(self.logs.clone());
        Self { redirect: Some(Arc::new(redirect)), ..self }
    }

    /// What a connection is answered by that came where visitors are sent to https, or elsewhere.
    pub(super) fn of(self: &Arc<Self>, to_https: bool) -> &Arc<Self> {
        self.redirect.as_ref().filter(|_| to_https).unwrap_or(self)
    }
}

impl Config {
    /// This one, as far as a server can take it over that has started with `running`: what cannot change
    /// stays as it is there. And the names of the fields that would have changed.
    pub(super) fn taken_over(self, running: &Self, is_encrypted: bool) -> (Self, Vec<&'static str>) {
        let growth = |config: &Self| config.limits.http2.worker_growth_bytes_max;
        let stay = [
            ("workers", self.workers != running.workers),
            ("pin", self.pin != running.pin),
            ("private_descriptors", self.private_descriptors != running.private_descriptors),
            ("backlog", self.backlog != running.backlog),
            ("connections_max", self.connections_max != running.connections_max),
            ("worker_growth_bytes_max", growth(&self) != growth(running)),
        ];
        let config = Self {
            workers: running.workers,
            pin: running.pin,
            private_descriptors: running.private_descriptors,
            backlog: running.backlog,
            connections_max: running.connections_max,
            // RFC 6797 §7.2: never in the clear.
            hsts: self.hsts.filter(|_| is_encrypted),
            ..self
        };
        (config, stay.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect())
    }
}
