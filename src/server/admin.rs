//! The admin site: what an operator's tools ask a running server. A [`Server`](super::Server) of its own,
//! with one worker, so that it answers when the others are busy.

use std::time::Duration;

use crate::app::{App, Request};
use crate::base::Tick;
use crate::http::{Body, Response};

use super::metrics;
use super::running::Handle;
use super::worker::now;

/// The routes of the admin listener.
pub(crate) fn app(server: Handle, started: Tick) -> App {
    App::new().get("/_kolk/metrics", move |_: &Request<'_>| {
        let uptime: Duration = now().since(started);
        let text = metrics::render(&server.scrape(), uptime, env!("CARGO_PKG_VERSION"));
        Response::typed(metrics::CONTENT_TYPE, Body::from(text))
    })
}
