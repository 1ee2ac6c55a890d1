//! WHAT USERS WRITE: handlers, and what they are given. No wire, no socket, no protocol.
//!
//! ```text
//!  Head, path ──► App::find ──► Route ──► Handler ──► Response                 Outcome::Ready
//!                  (router)               │      └──► Ticket … Reply ──► Mail  Outcome::Deferred
//!                                         ├──────────── Recall ──────► Mail  Outcome::Again
//!                                         └─────────► Sink ◄── body            Outcome::Receive
//! ```
//!
//! | file | what lives there |
//! | --- | --- |
//! | `app`, `scope` | [`App`]: patterns, methods and handlers; [`Match`], [`Scope`]: who answers, within what |
//! | `handler` | [`Handler`], [`Outcome`], [`Rule`], [`Sink`]: how a handler answers |
//! | `adapters` | [`deferred`], [`blocking`], [`receiving`], fixed answers, limits: handlers made of closures |
//! | `request`, `owned` | [`Request`] (borrowed) and [`OwnedRequest`] (for other threads) |
//! | `attributes` | [`Attributes`]: what a request gets to have on its way: user, name, rate, extensions |
//! | `extensions` | [`Extensions`]: what layers and handlers hand on with a request |
//! | `reply` | [`Reply`], [`Recall`], [`Ticket`], [`Wakeup`], [`Mail`]: answers from other threads |
//! | `channel` | [`channel`]: a response body that is written by another thread |
//! | `pool` | [`BlockingPool`]: threads that may block |
//! | `pattern`, `router`, `table`, `words` | the path patterns, and how a path finds its endpoint |
//! | `endpoint`, `route`, `route_error` | the methods of one path, and the handler of one method |
//! | `site`, `hosts` | the patterns of one host, and whose a host is |
//! | `layer` | [`Layer`]: what stands before handlers and behind answers, and in which order |
//! | `predicate` | [`Predicate`]: what else must hold of a request for a route to answer it |
//! | `auth` | [`BasicAuth`], [`BearerAuth`], `JwtAuth`, [`CertificateAuth`]: who it is, before a handler; [`PasswordHash`] |
//! | `files` | [`StaticDir`]: what a path names, and what is answered about a file |
//! | `limits` | [`Rates`], [`RateKey`]: how often clients may come |
//! | `counts` | [`Counts`]: what an app hands on to the app that takes its place |
//! | `headers` | [`Headers`], [`CacheControl`], [`Hsts`]: the fields of answers |
//! | `networks` | [`Networks`], [`Maintenance`]: who is let in by where they are |
//! | `redirect` | [`Redirect`]: sends clients elsewhere |
//! | `rewrite` | [`Rewrite`]: has the routes asked again, with another path |
//! | `request_ids` | [`RequestIds`]: what requests are called, and their place in a trace |
//! | `server_timing` | [`ServerTiming`]: how long the stages took, told to whoever asked |
//! | `compress` | [`Compress`]: compresses what handlers answer with |
//! | `error_pages` | [`ErrorPages`]: what is sent with errors |
//! | `cors` | [`Cors`]: which pages of other origins may read answers |
//! | `upload` | [`Upload`]: files that clients put into a folder |
//! | `timeouts` | [`RouteTimeouts`]: how long the exchanges of one route may take |
//! | `trust` | [`Trust`]: which proxies are believed about their clients |
//! | `visitor` | [`Visitor`]: the client's side of a request's connection |
//! | `oneshot` | an app without a server, for tests |
//! | `explain` | [`Explanation`]: who decides what about a request, and where that was told |

mod adapters;
#[expect(clippy::module_inception, reason = "the room is named after its main type")]
mod app;
mod attributes;
mod auth;
mod channel;
mod compress;
mod cors;
mod counts;
mod endpoint;
mod error_pages;
mod explain;
mod extensions;
mod files;
mod handler;
mod headers;
mod hosts;
mod layer;
mod limits;
mod networks;
mod oneshot;
mod owned;
mod pattern;
mod pool;
mod predicate;
mod redirect;
mod reply;
mod request;
mod request_ids;
mod rewrite;
mod route;
mod route_error;
mod router;
mod scope;
mod server_timing;
mod site;
mod table;
mod timeouts;
mod trust;
mod upload;
mod visitor;
mod words;

pub use adapters::{
    Blocking, DeferredBy, Fixed, Hurried, IntoHandler, Limited, Logged, Receiving, Streaming, Timed,
    blocking, deferred, receiving,
};
pub use app::App;
pub use attributes::Attributes;
#[cfg(feature = "jwt")]
pub use auth::JwtAuth;
pub use auth::{
    BasicAuth, BearerAuth, CertificateAuth, HashAlgorithm, HashError, ListError, ListProblem, NoFingerprint,
    NoRandomBytes, PasswordHash, Token, UserError,
};
pub use channel::{BodyWriter, Gone, TryWriteError, channel};
pub use compress::Compress;
pub use cors::{Cors, OriginError};
pub use counts::Counts;
pub use endpoint::Methods;
pub use error_pages::ErrorPages;
pub use explain::{Explanation, Located, RunnerUp, Stage, Step, Why};
pub use extensions::Extensions;
pub(crate) use files::push_json;
pub use files::{Coding, Compressed, Compression, Links, StaticDir};
pub use handler::{BodyRule, Handler, HandlerExt, LogId, Outcome, Rule, Sink, Take};
pub use headers::{CacheControl, FieldError, Headers, Hsts};
pub use hosts::HostError;
pub use layer::{Acts, Chain, Layer, Layered, Passage, Progress};
pub use limits::{
    AddressKey, AddressSeat, ConnectionsPerAddress, Decision, InFlight, KeyHash, Mode, Policy, Quota, Rate,
    RateCounts, RateError, RateKey, RateLimit, RateNote, RateVerdict, Rates,
};
pub use networks::{Maintenance, Networks};
pub use owned::OwnedRequest;
pub use pattern::{PARAMS_MAX, Pattern, PatternError};
pub use pool::{BlockingPool, Job, PoolFull, Seat};
#[cfg(feature = "config")]
pub(crate) use predicate::are_apart;
pub use predicate::{Expected, NameError, Predicate, When};
#[cfg(feature = "config")]
pub(crate) use redirect::plain_host;
pub use redirect::{Redirect, TemplateError};
pub(crate) use redirect::{is_host, push_sent};
pub use reply::{Mail, Presence, Recall, Reply, Ticket, Wakeup, Watch};
pub use request::{Origin, Request};
pub(crate) use request_ids::{Numbers, hex};
pub use request_ids::{REQUEST_ID_BYTES_MAX, RequestId, RequestIds};
pub use rewrite::Rewrite;
pub use route::{Route, RouteId};
pub use route_error::RouteError;
pub use router::{Params, Router};
pub use scope::{Match, Scope};
pub use server_timing::ServerTiming;
pub use site::{Missing, SiteId};
pub use timeouts::RouteTimeouts;
pub use trust::{Asker, ForwardedIn, NetworkError, Told, Trust};
pub use upload::Upload;
pub use visitor::{Nobody, Somebody, Visitor};
