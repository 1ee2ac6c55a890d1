//! [`Trust`]: which proxies are believed when they tell who the client is. RFC 7239.
//!
//! ```text
//!  X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.9          the socket's peer: 10.0.0.1
//!                   └ says he   └ the client   └ ◄── trusted ◄──┘ trusted
//! ```
//! Each proxy appends whom it has seen, so the walk begins at the socket and goes from the right to the left,
//! as long as whoever speaks is trusted: what stands left of the first stranger is the stranger's word, and
//! worth nothing. What cannot be read or is hidden ends the walk, too: then the client is *hidden*. For
//! rates, logs and lists of who may not come in, it is who has hidden it: the last proxy that was believed.
//! For lists of who may, it is nobody. A client can damage the field before its proxy appends to it, as with
//! an open quote in `Forwarded`: what is *unreadable* comes in nowhere where some may not. Bounded: so many
//! hops are looked at and no more.
//!
//! Knows no socket: the peer is an argument.

mod forwarded;

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::visitor::Visitor;
use crate::base::canonical;
use crate::http::Head;

/// So many hops are looked at: from the right, the others are as if they did not exist.
const HOPS_MAX: usize = 32;

/// Which proxies are believed, and in which field.
///
/// ```
/// use kolk::{App, ForwardedIn, Request, Server, Trust};
///
/// let app = App::new().get("/", |request: &Request<'_>| match request.client_address() {
///     Some(address) => format!("{} over {}\n", address, request.scheme()),
///     None => String::from("somebody of this machine\n"),
/// });
/// let trust = Trust::new(ForwardedIn::XForwardedFor).network("10.0.0.0/8")?.unix_sockets();
/// let server = Server::new(app).trust(trust);
/// # let _ = server;
/// # Ok::<(), kolk::app::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    networks: Vec<IpNet>,
    unix: bool,
    header: ForwardedIn,
}

/// Where proxies say for whom they ask. One of them: a proxy that writes one and lets the other pass would
/// let clients say what they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedIn {
    /// `X-Forwarded-For`, and for the scheme `X-Forwarded-Proto`.
    XForwardedFor,
    /// `Forwarded`. RFC 7239 §4.
    Forwarded,
}

/// What is believed of a request's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The client: the socket's peer, if nobody who is trusted has told another.
    pub address: Option<IpAddr>,
    /// Whether the client came over TLS, if somebody who is trusted has told that.
    pub is_https: Option<bool>,
    /// Whether somebody who is trusted asks for a client and does not say which, or not so that it can be
    /// read: `unknown`, `_hidden`, `PROXY UNKNOWN`, what is malformed. Then the address is that of whoever
    /// has not said it.
    pub is_hidden: bool,
    /// Whether it is hidden because of what cannot be read: the client itself may have seen to that.
    pub is_unreadable: bool,
}

/// Who is at the other end of a connection, and who is believed about others.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The socket's peer.
    pub peer: &'a dyn Visitor,
    /// Who is believed; `None`: nobody.
    pub trust: Option<&'a Trust>,
}

impl Asker<'_> {
    /// Who has sent the request with this head.
    pub fn told(&self, head: &Head<'_>) -> Told {
        self.trust.map_or_else(|| Told::of_peer(self.peer), |trust| trust.told_of(self.peer, head))
    }
}

impl fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("peer", &self.peer.address()).field("trust", &self.trust).finish()
    }
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    text: String,
}

impl Trust {
    /// Trusts nobody yet.
    pub const fn new(header: ForwardedIn) -> Self {
        Self { networks: Vec::new(), unix: false, header }
    }

    /// Trusts the proxies of this network, too: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`.
    ///
    /// # Errors
    /// [`NetworkError`], if it is no network.
    pub fn network(mut self, network: &str) -> Result<Self, NetworkError> {
        let one = || network.parse::<IpAddr>().map(IpNet::from);
        let parsed = network.parse::<IpNet>().or_else(|_| one());
        let network = parsed.map_err(|_| NetworkError { text: network.to_owned() })?;
        self.networks.push(canonical(network).trunc());
        Ok(self)
    }

    /// Trusts whoever comes through a socket file: processes of this machine.
    #[must_use]
    pub const fn unix_sockets(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Whether the proxy at this address is believed.
    pub fn trusts(&self, proxy: IpAddr) -> bool {
        let proxy = proxy.to_canonical();
        self.networks.iter().any(|network| network.contains(&proxy))
    }

    /// Whether whoever is at the other end is a proxy that is believed. One that has not said for whom it
    /// comes is not: it passes on what its client has written.
    pub fn trusts_visitor(&self, visitor: &dyn Visitor) -> bool {
        match visitor.address() {
            _ if visitor.is_hidden() => false,
            Some(address) => self.trusts(address.ip()),
            None => self.unix && visitor.is_unix(),
        }
    }

    /// Who has sent the request with this head, which came from `visitor`.
    pub fn told_of(&self, visitor: &dyn Visitor, head: &Head<'_>) -> Told {
        let peer = Told::of_peer(visitor);
        if peer.is_hidden {
            return peer;
        }
        self.told(peer.address, peer.address.is_none() && visitor.is_unix(), head)
    }

    /// Who has sent the request with this head: `peer` is the socket's, and none where it `is_unix` or gone.
    pub fn told(&self, peer: Option<IpAddr>, is_unix: bool, head: &Head<'_>) -> Told {
        let peer = peer.map(|peer| peer.to_canonical());
        let nothing = Told { address: peer, is_https: None, is_hidden: false, is_unreadable: false };
        let is_trusted = peer.map_or(is_unix && self.unix, |peer| self.trusts(peer));
        match self.header {
            _ if !is_trusted => nothing,
            ForwardedIn::XForwardedFor => {
                let (hops, schemes) = (listed(head, "x-forwarded-for"), listed(head, "x-forwarded-proto"));
                let first = schemes.rightmost_first().next().and_then(is_https);
                let start = Told { is_https: first, ..nothing };
                self.walk(start, hops.rightmost_first().enumerate(), |(step, hop)| Hop {
                    seen: Seen::at(address_with_port(hop), hop),
                    is_https: schemes.rightmost_first().take(step + 1).last().and_then(is_https),
                })
            }
            ForwardedIn::Forwarded => {
                let mut hops = Last::default();
                for line in head.values("forwarded") {
                    forwarded::elements(line).for_each(|element| hops.push(element));
                }
                self.walk(nothing, hops.rightmost_first(), forwarded::hop)
            }
        }
    }

    fn walk<E>(&self, from: Told, hops: impl Iterator<Item = E>, hop: impl Fn(E) -> Hop) -> Told {
        let mut told = from;
        for hop in hops.map(hop) {
            // Also of a client that is hidden.
            told.is_https = hop.is_https.or(told.is_https);
            let Seen::Address(address) = hop.seen else {
                told.is_hidden = true;
                told.is_unreadable = hop.seen == Seen::Unreadable;
                break;
            };
            told.address = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        told
    }
}

impl Told {
    /// The client's address, if it is that of nobody else: for whoever lets in some addresses alone.
    pub fn known(&self) -> Option<IpAddr> {
        self.address.filter(|_| !self.is_hidden)
    }

    /// Nobody but the socket tells.
    pub(super) fn of_peer(visitor: &dyn Visitor) -> Self {
        let address = visitor.address().map(|address| address.ip().to_canonical());
        Self { address, is_https: None, is_hidden: visitor.is_hidden(), is_unreadable: false }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no network, as in 10.0.0.0/8 or 192.0.2.1", self.text)
    }
}

impl Error for NetworkError {}

/// What one proxy has said.
#[derive(Clone, Copy, Debug)]
struct Hop {
    seen: Seen,
    is_https: Option<bool>,
}

/// Whom a proxy has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Address(IpAddr),
    /// It does not say that: `unknown`, `_hidden`.
    Hidden,
    /// It is not to be understood.
    Unreadable,
}

impl Seen {
    /// Whom `name` means, which is the name of this address if it is one.
    fn at(address: Option<IpAddr>, name: &[u8]) -> Self {
        match address {
            Some(address) => Self::Address(address),
            None if name.eq_ignore_ascii_case(b"unknown") || is_obfuscated(name) => Self::Hidden,
            None => Self::Unreadable,
        }
    }
}

/// The last of many.
#[derive(Default)]
struct Last<'h> {
    elements: [&'h [u8]; HOPS_MAX],
    seen: usize,
}

impl<'h> Last<'h> {
    fn push(&mut self, element: &'h [u8]) {
        self.elements[self.seen % HOPS_MAX] = element;
        self.seen += 1;
    }

    fn rightmost_first(&self) -> impl Iterator<Item = &'h [u8]> + '_ {
        let kept = self.seen.min(HOPS_MAX);
        (1..=kept).map(|back| self.elements[(self.seen - back) % HOPS_MAX])
    }
}

/// The elements of a list without quotes, of all its lines. RFC 9110 §5.6.1: empty ones are none.
fn listed<'h>(head: &Head<'h>, name: &str) -> Last<'h> {
    let mut last = Last::default();
    let elements = head.values(name).flat_map(|line| line.split(|byte| *byte == b','));
    elements
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .for_each(|element| last.push(element));
    last
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`
fn address_with_port(text: &[u8]) -> Option<IpAddr> {
    if let Some(address) = address(text) {
        return Some(address);
    }
    let colon = text.iter().rposition(|byte| *byte == b':').filter(|colon| is_port(&text[colon + 1..]))?;
    let host = &text[..colon];
    // Bare IPv6 has no port.
    address(host).filter(|_| host.starts_with(b"[") || !host.contains(&b':'))
}

/// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(address.to_canonical())
}

/// RFC 7239 §6.
fn is_port(text: &[u8]) -> bool {
    let digits = std::str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_digit));
    text.len() <= 5 && digits.is_some_and(|digits| digits.parse::<u16>().is_ok())
}

/// RFC 7239 §6.3.
fn is_obfuscated(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    text.strip_prefix(b"_").is_some_and(|name| !name.is_empty() && name.iter().all(is_part))
}

fn is_https(scheme: &[u8]) -> Option<bool> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    (is("https") || is("http")).then(|| is("https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{FieldTable, OwnedHead, Span};

    /// A head with these fields and nothing else.
    fn head(fields: &[(&str, &str)]) -> OwnedHead {
        let (mut bytes, mut table) = (Vec::new(), FieldTable::new());
        for (name, value) in fields {
            let mut span = |text: &str| {
                let start = u16::try_from(bytes.len()).unwrap();
                bytes.extend_from_slice(text.as_bytes());
                Span::new(start, u16::try_from(bytes.len()).unwrap())
            };
            table.push(span(name), span(value), None).unwrap();
        }
        OwnedHead::freeze(&Head::new(&bytes, &table))
    }

    const OURS: &str = "10.0.0.1";
    const CLIENT: &str = "203.0.113.7";

    fn told(header: ForwardedIn, peer: &str, fields: &[(&str, &str)]) -> String {
        let trust = Trust::new(header).network("10.0.0.0/8").unwrap().network("2001:db8:aaaa::/48").unwrap();
        let (trust, peer) = match peer {
            "trusted unix" => (trust.unix_sockets(), None),
            peer => (trust, peer.parse().ok()),
        };
        let told = trust.told(peer, peer.is_none(), &head(fields).head());
        let address = told.address.map_or_else(|| "nobody".to_owned(), |address| address.to_string());
        let hidden = match (told.is_hidden, told.is_unreadable) {
            (true, false) => "hidden by ",
            (true, true) => "unreadable of ",
            (false, is_unreadable) => {
                assert!(!is_unreadable);
                ""
            }
        };
        assert_eq!(told.known().is_none(), told.is_hidden || told.address.is_none());
        hidden.to_owned()
            + &address
            + told.is_https.map_or("", |https| if https { " https" } else { " http" })
    }

    #[test]
    fn x_forwarded_for_is_believed_rightmost_first() {
        let other = "2001:db8:aaaa::9";
        for (peer, list, expected) in [
            (OURS, "203.0.113.7", CLIENT),
            (OURS, "6.6.6.6, 203.0.113.7", CLIENT),
            (OURS, "6.6.6.6, 203.0.113.7,10.9.9.9", CLIENT),
            (OURS, "6.6.6.6,, 203.0.113.7 , ,", CLIENT),
            (other, "203.0.113.7, 10.9.9.9, 2001:db8:aaaa::1", CLIENT),
            ("::ffff:10.0.0.1", "::ffff:203.0.113.7", CLIENT),
            (OURS, "203.0.113.7:4242", CLIENT),
            (OURS, "[2001:db8::7]:4242", "2001:db8::7"),
            (OURS, "[2001:db8::7]", "2001:db8::7"),
            (OURS, "2001:db8::7", "2001:db8::7"),
            ("trusted unix", "203.0.113.7, 10.1.1.1", CLIENT),
            // Everybody is one of ours.
            (OURS, "10.7.7.7, 10.8.8.8", "10.7.7.7"),
            (OURS, "", OURS),
            ("trusted unix", "", "nobody"),
            // Strangers are not believed, whatever they say.
            (CLIENT, "10.0.0.1", CLIENT),
            ("192.0.2.200", "10.0.0.1, 10.0.0.2", "192.0.2.200"),
            ("11.0.0.1", "6.6.6.6", "11.0.0.1"),
            ("untrusted unix", "6.6.6.6", "nobody"),
            // What is hidden ends the walk at the last who was believed.
            (OURS, "6.6.6.6, unknown", "hidden by 10.0.0.1"),
            (OURS, "6.6.6.6, Unknown", "hidden by 10.0.0.1"),
            (OURS, "6.6.6.6, _hidden, 10.2.2.2", "hidden by 10.2.2.2"),
            ("trusted unix", "unknown", "hidden by nobody"),
            // And so does what cannot be read.
            (OURS, "6.6.6.6 203.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, 203.0.113.7:99999", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, 203.0.113.7:000080", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, 203.0.113.7:+80", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, 203.0.113.7:", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, [203.0.113.7]", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, [2001:db8::7", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, [2001:db8::7]x", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, [2001:db8::7]:+80", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, 0313.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, 10.2.2.2:x, 10.3.3.3", "unreadable of 10.3.3.3"),
            (OURS, "\"203.0.113.7\"", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, _", "unreadable of 10.0.0.1"),
            (OURS, "6.6.6.6, _a b", "unreadable of 10.0.0.1"),
            ("trusted unix", "x", "unreadable of nobody"),
            // What is left of who is not believed hides nobody.
            (OURS, "unknown, 203.0.113.7", CLIENT),
            (CLIENT, "unknown", CLIENT),
            ("untrusted unix", "unknown", "nobody"),
        ] {
            let fields = [("X-Forwarded-For", list), ("Forwarded", "for=9.9.9.9")];
            assert_eq!(told(ForwardedIn::XForwardedFor, peer, &fields), expected, "{peer}: {list}");
        }
    }

    #[test]
    fn forwarded_is_believed_rightmost_first() {
        for (peer, list, expected) in [
            (OURS, "for=203.0.113.7", CLIENT),
            (OURS, "For=\"203.0.113.7:4242\"", CLIENT),
            (OURS, "for=6.6.6.6, for=203.0.113.7;by=10.0.0.1;host=a", CLIENT),
            (OURS, "for=6.6.6.6, by=\"a,b;for=7.7.7.7\";for=203.0.113.7 , for=10.2.2.2;", CLIENT),
            (OURS, "for=\"[2001:db8::7]\"", "2001:db8::7"),
            (OURS, "FOR=\"[2001:db8::7]:4242\"", "2001:db8::7"),
            (OURS, "for=\"[2001:db8::7]:_port\"", "2001:db8::7"),
            (OURS, "for=\"2\\03.0.113.\\7\"", CLIENT),
            ("trusted unix", "for=203.0.113.7", CLIENT),
            (CLIENT, "for=10.0.0.1", CLIENT),
            ("untrusted unix", "for=6.6.6.6", "nobody"),
            (OURS, "for=\"203.0.113.7:_a.b-c_9\"", CLIENT),
            // Hidden on purpose.
            (OURS, "for=6.6.6.6, for=unknown", "hidden by 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"Unknown:80\"", "hidden by 10.0.0.1"),
            (OURS, "for=_hid", "hidden by 10.0.0.1"),
            (OURS, "for=\"_hid:_port\"", "hidden by 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=_SEVKISEK, for=10.2.2.2", "hidden by 10.2.2.2"),
            (OURS, "for=6.6.6.6, by=10.0.0.1", "hidden by 10.0.0.1"),
            ("trusted unix", "for=unknown", "hidden by nobody"),
            (CLIENT, "for=unknown", CLIENT),
            // Not to be understood.
            (OURS, "for=6.6.6.6, for=203.0.113.7:80", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=2001:db8::7", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"2001:db8::7\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"203.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"203.0.113.7\"x", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"203.0.113.7:_a b,c\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"203.0.113.7:_\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"203.0.113.7:+80\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"203.0.113.7:\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"[203.0.113.7]\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"[2001:db8::7]x\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=\"_a b\"", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for = 203.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=203.0.113.7;for=7.7.7.7", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, 203.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "for=6.6.6.6, for=", "unreadable of 10.0.0.1"),
            // A client that opens a quote swallows what the proxy appends: nobody else is blamed, and it does
            // not come in as the proxy.
            (OURS, "for=\"6.6.6.6, for=203.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "for=\"evil, for=203.0.113.7", "unreadable of 10.0.0.1"),
            (OURS, "for=_a;by=\"evil, for=\"[2001:db8::7]\"", "unreadable of 10.0.0.1"),
            (OURS, "for=_a;by=\"evil\\, for=\"[2001:db8::7]:80\"", "unreadable of 10.0.0.1"),
        ] {
            let fields =
                [("Forwarded", list), ("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-Proto", "https")];
            assert_eq!(told(ForwardedIn::Forwarded, peer, &fields), expected, "{peer}: {list}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines =
            [("x-forwarded-for", "6.6.6.6"), ("Host", "a"), ("X-FORWARDED-FOR", "203.0.113.7, 10.2.2.2")];
        assert_eq!(told(ForwardedIn::XForwardedFor, OURS, &lines), CLIENT);
        let lines = [("Forwarded", "for=6.6.6.6, for=\"x"), ("Forwarded", "for=203.0.113.7")];
        assert_eq!(told(ForwardedIn::Forwarded, OURS, &lines), CLIENT);
        let lines = [("Forwarded", "for=6.6.6.6, for=\"x"), ("Forwarded", "for=10.2.2.2")];
        assert_eq!(told(ForwardedIn::Forwarded, OURS, &lines), "unreadable of 10.2.2.2");
    }

    #[test]
    fn the_scheme_is_told_by_whoever_saw_the_client() {
        for (schemes, list, expected) in [
            ("https", "203.0.113.7", "203.0.113.7 https"),
            ("HTTP", "203.0.113.7", "203.0.113.7 http"),
            ("https", "203.0.113.7, 10.2.2.2", "203.0.113.7 https"),
            ("https, http", "203.0.113.7, 10.2.2.2", "203.0.113.7 https"),
            ("https, http", "6.6.6.6, 203.0.113.7", "203.0.113.7 http"),
            ("ftp", "203.0.113.7", "203.0.113.7"),
            ("", "203.0.113.7", "203.0.113.7"),
            ("https", "unknown", "hidden by 10.0.0.1 https"),
            ("https", "", "10.0.0.1 https"),
        ] {
            let fields = [("X-Forwarded-For", list), ("X-Forwarded-Proto", schemes)];
            assert_eq!(told(ForwardedIn::XForwardedFor, OURS, &fields), expected, "{schemes} {list}");
            assert!(
                !told(ForwardedIn::XForwardedFor, CLIENT, &fields).contains("http"),
                "a stranger says so"
            );
        }
        for (list, expected) in [
            ("for=203.0.113.7;proto=https", "203.0.113.7 https"),
            ("for=203.0.113.7;Proto=\"HTTPS\", for=10.2.2.2;proto=http", "203.0.113.7 https"),
            ("for=6.6.6.6;proto=https, for=203.0.113.7;proto=http", "203.0.113.7 http"),
            ("for=6.6.6.6;proto=https, for=203.0.113.7", "203.0.113.7"),
            ("proto=https;for=_hidden", "hidden by 10.0.0.1 https"),
            ("proto=https;proto=http;for=203.0.113.7", "unreadable of 10.0.0.1"),
        ] {
            assert_eq!(told(ForwardedIn::Forwarded, OURS, &[("Forwarded", list)]), expected, "{list}");
        }
    }

    #[test]
    fn the_walk_has_an_end() {
        let many = format!("6.6.6.6{}", ", 10.1.1.1".repeat(100));
        assert_eq!(told(ForwardedIn::XForwardedFor, OURS, &[("X-Forwarded-For", &many)]), "10.1.1.1");
        let few = format!("6.6.6.6{}", ", 10.1.1.1".repeat(HOPS_MAX - 1));
        assert_eq!(told(ForwardedIn::XForwardedFor, OURS, &[("X-Forwarded-For", &few)]), "6.6.6.6");
    }

    #[test]
    fn networks_as_people_write_them() {
        let trust = |text: &str| Trust::new(ForwardedIn::Forwarded).network(text);
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.0"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ] {
            let trust = trust(text).unwrap();
            assert!(trust.trusts(inside.parse().unwrap()), "{text}");
            assert!(!trust.trusts(outside.parse().unwrap()), "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "::1/129"] {
            let error = trust(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no network")), "{error}");
        }
    }
}
