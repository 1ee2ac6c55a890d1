//! [`ServerTiming`]: how long the stages of a request took, told to whoever sent it. W3C Server Timing.

use std::fmt::Write as _;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};

use super::layer::{Acts, Layer};
use super::request::Request;
use crate::http::Response;

static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Answers say in `Server-Timing` how long their stages took, in milliseconds: `accept` (the first request of
/// a connection: waiting for it, too), `parse`, `handle`. How long the fourth takes, `respond`, nobody knows
/// before it is over. Browsers show it beside what they measure.
///
/// Where nothing is measured nothing is said: see [`Config::stages`](crate::Config::stages).
///
/// ```
/// use kolk::{App, Response, Server, ServerTiming};
///
/// let app = App::new().layer(ServerTiming).get("/", Response::text("hello\n"));
/// let server = Server::new(app).stages(true);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerTiming;

impl Layer for ServerTiming {
    fn after(&self, request: &Request<'_>, response: &mut Response) {
        let timeline = request.timeline();
        let stages =
            [("accept", timeline.accept()), ("parse", timeline.parse()), ("handle", timeline.handle())];
        let mut text = String::new();
        for (name, time) in stages {
            let Some(time) = time else { continue };
            let comma = if text.is_empty() { "" } else { ", " };
            // A string takes everything.
            let _ = write!(text, "{comma}{name};dur={:.3}", milliseconds(time));
        }
        if let Some(value) = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty()) {
            response.append(&SERVER_TIMING, &value);
        }
    }

    fn acts(&self) -> Acts {
        Acts::ANSWERS
    }

    fn name(&self) -> &'static str {
        "server timing"
    }

    fn explain(&self) -> String {
        "how long accept, parse and handle took".to_owned()
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
