//! [`OwnedRequest`]: a copy of a [`Request`] that other threads can have.

use std::net::SocketAddr;
use std::sync::Arc;

use super::attributes::OwnedAttributes;
use super::pattern::Pattern;
use super::pool::BlockingPool;
use super::reply::Mail;
use super::request::{Place, Request};
use super::router::Params;
use super::trust::Told;
use crate::base::{Certificate, Post, Tick};
use crate::http::{ExchangeId, OwnedHead, Path, Timeline};

/// A copy of a request: head, body and all.
///
/// ```
/// use bytes::Bytes;
/// use kolk::{App, Reply, Request, deferred};
///
/// let app = App::new().post("/shout", deferred(|request: &Request<'_>, reply: Reply| {
///     let request = request.to_owned_request();
///     std::thread::spawn(move || reply.send(Bytes::from(request.request().body().to_ascii_uppercase())));
/// }));
/// assert_eq!(app.oneshot(http::Request::post("/shout").body("ho").unwrap()).body(), "HO");
/// ```
#[derive(Debug)]
pub struct OwnedRequest {
    head: OwnedHead,
    path: Box<str>,
    pattern: Arc<Pattern>,
    params: Params,
    body: Box<[u8]>,
    trailer: Option<OwnedHead>,
    origin: OwnedOrigin,
}

/// The copy of an [`Origin`](super::Origin).
#[derive(Debug)]
pub(super) struct OwnedOrigin {
    pub(super) exchange: ExchangeId,
    pub(super) post: Post<Mail>,
    pub(super) pool: Arc<BlockingPool>,
    pub(super) worker: usize,
    pub(super) connection_number: u64,
    pub(super) request_number: u32,
    pub(super) now: Tick,
    pub(super) unix_seconds: u64,
    pub(super) timeline: Timeline,
    pub(super) peer: Option<SocketAddr>,
    pub(super) told: Told,
    pub(super) is_encrypted: bool,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) attributes: OwnedAttributes,
}

impl OwnedRequest {
    pub(super) fn new(request: &Request<'_>) -> Self {
        Self {
            head: OwnedHead::freeze(request.head()),
            path: request.path().into(),
            pattern: Arc::clone(request.pattern),
            params: request.params.clone(),
            body: request.body().into(),
            trailer: request.trailer.as_ref().map(OwnedHead::freeze),
            origin: OwnedOrigin {
                exchange: request.exchange(),
                post: request.post().clone(),
                pool: Arc::clone(request.pool()),
                worker: request.worker(),
                connection_number: request.connection_number(),
                request_number: request.request_number(),
                now: request.now(),
                unix_seconds: request.unix_seconds(),
                timeline: *request.timeline(),
                peer: request.peer(),
                told: request.told(),
                is_encrypted: request.is_encrypted(),
                certificate: request.client_certificate(),
                attributes: request.owned_attributes(),
            },
        }
    }

    /// The request, borrowed from this copy.
    pub fn request(&self) -> Request<'_> {
        Request {
            head: self.head.head(),
            path: Path::normalised(&self.path),
            pattern: &self.pattern,
            params: &self.params,
            body: &self.body,
            trailer: self.trailer.as_ref().map(OwnedHead::head),
            origin: Place::Owned(&self.origin),
        }
    }

    /// The pattern of the route.
    pub fn route(&self) -> &str {
        self.pattern.text()
    }
}
