//! kolk: a web server built around one turning point per core.
pub mod app;
pub mod base;
pub mod http;
pub mod net;
pub mod proto;
pub mod reactor;
pub mod server;
#[expect(unsafe_code, reason = "the one room that talks to the operating system")]
pub mod sys;
pub mod wire;

pub use crate::http::{Body, Pull, Pulled, Response, Source, Timeline, Version};
pub use ::http::{HeaderName, HeaderValue, StatusCode, header};
pub use crate::app::{
    App, BodyRule, BodyWriter, Handler, HandlerExt, Outcome, OwnedRequest, Presence, Reply, Request, Rule, Sink,
    StaticDir, Take, Wakeup, blocking, channel, deferred, receiving,
};
pub use crate::server::access_log;
pub use crate::server::{Config, Error, Handle, Limits, Result, Running, Server, Timeouts, Workers};
