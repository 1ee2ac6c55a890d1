//! The admin site: what an operator's tools ask a running server. A [`Server`](super::Server) of its own,
//! with one worker, so that it answers when the others are busy, and until they have ended.
//!
//! ```text
//!            serving   a worker is down   told to drain, or to stop
//!  /livez    200       200                200                         nothing is gained by starting it anew
//!  /readyz   200       503                503                         send clients elsewhere
//! ```
//! What tells of requests is not for pages of the web that have a browser of this machine ask: see
//! [`NoNames`].

use std::net::IpAddr;
use std::time::Duration;

use ::http::StatusCode;

use crate::app::{Acts, App, HandlerExt as _, Layer, Passage, Request};
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
    let metrics = move |_: &Request<'_>| {
        let uptime: Duration = now().since(started);
        let text = metrics::render(&server.scrape(), uptime, env!("CARGO_PKG_VERSION"));
        Response::typed(metrics::CONTENT_TYPE, Body::from(text))
    };
    let reload = move |_: &Request<'_>| match reloads.orders().json(&reloads.snapshot()) {
        Some(json) => Response::json(json),
        None => Response::from((StatusCode::NOT_FOUND, "this process reads nothing again\n")),
    };
    app.get("/_kolk/metrics", metrics.layer(NoNames))
        .get("/_kolk/reload", reload.layer(NoNames))
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
    let why = move |request: &Request<'_>| match asked.why(request.param("id").unwrap_or_default()) {
        Some(line) => Response::typed("application/json", Body::from(line)),
        None => Response::from((StatusCode::NOT_FOUND, "no request of this id is remembered\n")),
    };
    let recent = move |request: &Request<'_>| {
        let most = request.query_param("n").and_then(|most| most.parse().ok()).unwrap_or(RECENT);
        Response::typed("application/jsonl", Body::from(server.recent(most.min(RECENT_MAX))))
    };
    App::new().get("/_kolk/why/{*id}", why.layer(NoNames)).get("/_kolk/recent", recent.layer(NoNames))
}

/// Refuses whoever comes from this machine itself by a name that everybody could have in the DNS. A page of
/// the web may read what its own name stands for: if that becomes this machine, it would read what is told
/// here, in the browser of whoever works on it (DNS rebinding).
struct NoNames;

impl Layer for NoNames {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let is_from_here = request.peer().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        if !is_from_here || request.host().is_none_or(|host| !is_in_the_dns(host)) {
            return Passage::Open;
        }
        *response = Response::from((
            StatusCode::FORBIDDEN,
            "on this machine this is told to who asks localhost or an address, not a name: a page of the web \
             could have that, too\n",
        ));
        Passage::answered()
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }
}

/// Whether it may be a name that somebody has registered: those have a dot.
fn is_in_the_dns(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.contains('.') && address.parse::<IpAddr>().is_err()
}
