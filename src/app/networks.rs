//! [`Networks`]: which clients are let in by where they are; [`Maintenance`]: nobody is, but for some.
//!
//! ```text
//!  client address ─► the smallest network that fits, of those allowed and of those denied
//!       │               ├ none ─► let in, unless only some are
//!       │               ├ allowed ─► let in
//!       │               └ denied ─► 403 limit.network
//!       ├ nobody can tell ─► let in, unless only some are: 403 limit.client_unknown
//!       └ nobody can read it ─► let in, unless some are not: 403 limit.client_unknown
//! ```
//! Whoever comes through a socket of the file system and is no proxy that is trusted has no address; where a
//! proxy hides its client, the address is the proxy's, which may be denied and is not what was allowed; where
//! nobody can read what it says, the client may have seen to that, and is not let in where some are not. Who
//! has left has none either, and is never let in: what it has sent is still there to be read.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ::http::{HeaderValue, header};
use bytes::Bytes;
use ipnet::IpNet;

use super::layer::{Acts, Layer, Passage};
use super::predicate::contains;
use super::request::Request;
use crate::base::canonical;
use crate::http::{Body, Reason, Response};

/// Which networks are let in.
///
/// ```
/// use kolk::{App, Networks, Request};
///
/// let inside = Networks::new().allow(["10.0.0.0/8".parse()?]).deny(["10.6.0.0/16".parse()?]);
/// assert!(inside.lets_in("10.1.2.3".parse()?));
/// assert!(!inside.lets_in("10.6.0.1".parse()?));
/// assert!(!inside.lets_in("192.0.2.1".parse()?));
/// let app = App::new().layer(inside).get("/", |_: &Request<'_>| "inside");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Networks {
    /// The smallest first.
    rules: Vec<(IpNet, bool)>,
    /// Who is in none of them is not let in.
    is_closed: bool,
}

impl Networks {
    /// Lets in everybody.
    pub const fn new() -> Self {
        Self { rules: Vec::new(), is_closed: false }
    }

    /// Lets in these, and nobody else who is not named; nobody either whose address is not known: who comes
    /// through a socket file without a proxy that is [trusted](super::Trust), or whom one hides.
    #[must_use]
    pub fn allow(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.is_closed = true;
        self.with(networks, true)
    }

    /// Does not let in these. Where two fit, the smaller one counts; of two that are the same, this. Nor whom
    /// a proxy that is [trusted](super::Trust) tells in a way that cannot be read: it may be one of these.
    #[must_use]
    pub fn deny(self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.with(networks, false)
    }

    /// Whether a client of this address is let in.
    pub fn lets_in(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let rule = self.rules.iter().find(|(network, _)| network.contains(&address));
        rule.map_or(!self.is_closed, |(_, lets_in)| *lets_in)
    }

    /// Why this client is not let in, if it is not.
    fn refusal_of(&self, request: &Request<'_>) -> Option<Reason> {
        let told = request.told();
        match (told.known(), told.address) {
            (Some(address), _) | (None, Some(address)) if !self.lets_in(address) => Some(Reason::Network),
            (None, None) if request.is_gone() => Some(Reason::Network),
            (None, _) if self.is_closed => Some(Reason::ClientUnknown),
            _ if told.is_unreadable && self.rules.iter().any(|(_, lets_in)| !lets_in) => {
                Some(Reason::ClientUnknown)
            }
            _ => None,
        }
    }

    fn with(mut self, networks: impl IntoIterator<Item = IpNet>, lets_in: bool) -> Self {
        self.rules.extend(networks.into_iter().map(|network| (canonical(network).trunc(), lets_in)));
        self.rules
            .sort_by_key(|(network, lets_in)| (network.max_prefix_len() - network.prefix_len(), *lets_in));
        self
    }
}

impl Layer for Networks {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        match self.refusal_of(request) {
            None => Passage::Open,
            Some(reason) => {
                response.refuse(reason);
                Passage::answered()
            }
        }
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "networks"
    }

    fn explain(&self) -> String {
        let rules = self.rules.iter();
        let mut rules: Vec<_> = rules
            .map(|(network, lets_in)| format!("{} {network}", if *lets_in { "allow" } else { "deny" }))
            .collect();
        rules.push(if self.is_closed { "deny others".to_owned() } else { "allow others".to_owned() });
        rules.join(", ")
    }
}

/// Answers everything with 503 while it is on, but for clients of some networks. Clones are switched
/// together.
///
/// ```
/// use kolk::{App, Maintenance, Request};
///
/// let maintenance = Maintenance::new();
/// let app = App::new().layer(maintenance.clone()).get("/", |_: &Request<'_>| "open");
/// let status = || app.oneshot(http::Request::get("/").body("").unwrap()).status().as_u16();
/// assert_eq!(status(), 503);
/// maintenance.switch(false);
/// assert_eq!(status(), 200);
/// ```
#[derive(Clone, Debug)]
pub struct Maintenance {
    is_on: Arc<AtomicBool>,
    retry_after: Option<HeaderValue>,
    page: Option<(HeaderValue, Bytes)>,
    except: Arc<[IpNet]>,
}

impl Maintenance {
    /// On, for everybody.
    pub fn new() -> Self {
        Self { is_on: Arc::new(AtomicBool::new(true)), retry_after: None, page: None, except: Arc::new([]) }
    }

    /// Tells clients when to come again: in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after = Some(HeaderValue::from(seconds));
        self
    }

    /// Sends this page.
    #[must_use]
    pub fn page(mut self, media_type: HeaderValue, content: impl Into<Bytes>) -> Self {
        self.page = Some((media_type, content.into()));
        self
    }

    /// Lets in clients of these networks all the same.
    #[must_use]
    pub fn except(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.except = networks.into_iter().map(canonical).collect();
        self
    }

    /// Turns it on or off, while the server runs.
    pub fn switch(&self, on: bool) {
        self.is_on.store(on, Relaxed);
    }
}

impl Default for Maintenance {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Maintenance {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let is_excepted = || request.told().known().is_some_and(|address| contains(&self.except, address));
        if !self.is_on.load(Relaxed) || (!self.except.is_empty() && is_excepted()) {
            return Passage::Open;
        }
        response.refuse(Reason::Maintenance);
        if let Some((media_type, content)) = &self.page {
            response.append(&header::CONTENT_TYPE, media_type);
            response.set_body(Body::Shared(content.clone()));
        }
        if let Some(wait) = &self.retry_after {
            response.append(&header::RETRY_AFTER, wait);
        }
        Passage::answered()
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "maintenance"
    }

    fn explain(&self) -> String {
        let state = if self.is_on.load(Relaxed) { "on" } else { "off" };
        let except: Vec<_> = self.except.iter().map(|network| format!(", except {network}")).collect();
        format!("{state}{}", except.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_smallest_network_decides() {
        let networks = Networks::new().deny(nets(&["10.1.0.0/16", "2001:db8::/32"])).allow(nets(&[
            "10.0.0.0/8",
            "10.1.2.0/24",
            "2001:db8:1::/48",
        ]));
        for (address, is_in) in [
            ("10.2.0.1", true),
            ("10.1.0.1", false),
            ("10.1.2.1", true),
            ("::ffff:10.1.0.1", false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
            ("2001:db8:1::1", true),
        ] {
            assert_eq!(networks.lets_in(address.parse().unwrap()), is_in, "{address}");
        }
        let mapped = Networks::new().deny(nets(&["::ffff:10.0.0.0/104"]));
        assert!(!mapped.lets_in("10.1.2.3".parse().unwrap()) && mapped.lets_in("11.0.0.1".parse().unwrap()));
        let both = nets(&["192.0.2.0/24"]);
        assert!(!Networks::new().allow(both.clone()).deny(both).lets_in("192.0.2.1".parse().unwrap()));
        let open = Networks::new().deny(nets(&["10.0.0.0/8"]));
        assert!(open.lets_in("192.0.2.1".parse().unwrap()) && !open.lets_in("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn maintenance_says_when_to_come_again() {
        let app = App::new().layer(
            Maintenance::new()
                .retry_after(Duration::from_millis(1_500))
                .page(HeaderValue::from_static("text/html"), "<p>soon</p>"),
        );
        let answer = app.oneshot(::http::Request::get("/").body("").unwrap());
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "2");
        assert_eq!(
            (answer.headers()["content-type"].as_bytes(), &answer.body()[..]),
            (&b"text/html"[..], &b"<p>soon</p>"[..])
        );
    }
}
