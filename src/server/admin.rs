//! The admin site: what an operator's tools ask a running server. A [`Server`](super::Server) of its own,
//! with one worker, so that it answers when the others are busy, and until they have ended.
//!
//! ```text
//!            serving   a worker is down   told to drain, or to stop
//!  /livez    200       200                200                         nothing is gained by starting it anew
//!  /readyz   200       503                503                         send clients elsewhere
//! ```

use std::time::Duration;

use ::http::StatusCode;

use crate::app::{App, Request};
use crate::base::Tick;
use crate::http::{Body, Response};

use super::metrics;
use super::running::Handle;
use super::worker::now;

/// So many of the last requests are told, unless somebody asks for more or fewer; and so many at most.
const RECENT: usize = 100;
const RECENT_MAX: usize = 1000;

/// The routes of the admin listener.
pub(crate) fn app(server: Handle, started: Tick) -> App {
    let (asked, recorder, reloads) = (server.clone(), server.clone(), server.clone());
    let app = if server.records() { with_recorder(recorder) } else { App::new() };
    app.get("/_kolk/metrics", move |_: &Request<'_>| {
        let uptime: Duration = now().since(started);
        let text = metrics::render(&server.scrape(), uptime, env!("CARGO_PKG_VERSION"));
        Response::typed(metrics::CONTENT_TYPE, Body::from(text))
    })
    .get("/_kolk/reload", move |_: &Request<'_>| match reloads.orders().json(&reloads.snapshot()) {
        Some(json) => Response::json(json),
        None => Response::from((StatusCode::NOT_FOUND, "this process reads nothing again\n")),
    })
    .get("/livez", |_: &Request<'_>| Response::text("alive\n"))
    .get("/readyz", move |_: &Request<'_>| match (asked.is_ending(), asked.is_whole()) {
        (false, true) => Response::from((StatusCode::OK, "ready\n")),
        (false, false) => Response::from((StatusCode::SERVICE_UNAVAILABLE, "a worker is down\n")),
        (true, _) => Response::from((StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
    })
}

/// What became of which requests.
fn with_recorder(server: Handle) -> App {
    let asked = server.clone();
    App::new()
        .get("/_kolk/why/{*id}", move |request: &Request<'_>| {
            match asked.why(request.param("id").unwrap_or_default()) {
                Some(line) => Response::typed("application/json", Body::from(line)),
                None => Response::from((StatusCode::NOT_FOUND, "no request of this id is remembered\n")),
            }
        })
        .get("/_kolk/recent", move |request: &Request<'_>| {
            let most = request.query_param("n").and_then(|most| most.parse().ok()).unwrap_or(RECENT);
            Response::typed("application/jsonl", Body::from(server.recent(most.min(RECENT_MAX))))
        })
}
