//! The admin site: what an operator's tools ask a running server. A [`Server`](super::Server) of its own,
//! with one worker, so that it answers when the others are busy, and until they have ended.
//!
//! ```text
//!            serving      told to drain, or to stop
//!  /livez    200          200                           nothing is gained by starting it anew
//!  /readyz   200          503                           send clients elsewhere
//! ```

use std::time::Duration;

use ::http::StatusCode;

use crate::app::{App, Request};
use crate::base::Tick;
use crate::http::{Body, Response};

use super::metrics;
use super::running::Handle;
use super::worker::now;

/// The routes of the admin listener.
pub(crate) fn app(server: Handle, started: Tick) -> App {
    let asked = server.clone();
    App::new()
        .get("/_kolk/metrics", move |_: &Request<'_>| {
            let uptime: Duration = now().since(started);
            let text = metrics::render(&server.scrape(), uptime, env!("CARGO_PKG_VERSION"));
            Response::typed(metrics::CONTENT_TYPE, Body::from(text))
        })
        .get("/livez", |_: &Request<'_>| Response::text("alive\n"))
        .get("/readyz", move |_: &Request<'_>| match asked.is_ending() {
            false => Response::from((StatusCode::OK, "ready\n")),
            true => Response::from((StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
        })
}
