//! [`Hosts`]: which site a host belongs to.
//!
//! ```text
//!  api.example.com ─► exact ─► *.example.com ─► *.com ─► the default, if there is one
//! ```
//! A name beats a wildcard, and a longer wildcard a shorter one. `*.example.com` stands for all hosts below
//! `example.com`, however deep, and not for `example.com` itself. Case and a final dot mean nothing
//! (RFC 9110 §4.2.3, RFC 1034 §3.1), nor how an IPv6 address is spelled (RFC 5952 §4). Knows no port.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;

use super::site::SiteId;
use super::words::Key;

/// The longest name of a host, in bytes (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// A map from hosts to sites.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// Names in lower case; a wildcard as what it ends with: `.example.com`.
    names: HashMap<Box<[u8]>, SiteId, Key>,
    default: Option<SiteId>,
    has_wildcards: bool,
}

/// A text that is no host, or one that belongs to another site already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// It is neither a name nor a wildcard.
    Malformed(Box<str>),
    /// It belongs to another site.
    Taken(Box<str>),
}

impl Hosts {
    pub(super) fn new() -> Self {
        Self { names: HashMap::with_hasher(Key::random()), default: None, has_wildcards: false }
    }

    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.default.is_none()
    }

    /// Gives `host` to `site`: a name, `*.` and the end of one, or `*` for all others.
    pub(super) fn insert(&mut self, host: &str, site: SiteId) -> Result<(), HostError> {
        if host == "*" {
            let other = self.default.replace(site);
            return other.map_or(Ok(()), |_| Err(HostError::Taken(host.into())));
        }
        let lower = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let lower = plain_address(lower.as_bytes()).unwrap_or(lower);
        let name = lower.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(&lower);
        if !is_host(name.strip_prefix('.').filter(|_| name.len() < lower.len()).unwrap_or(name)) {
            return Err(HostError::Malformed(host.into()));
        }
        self.has_wildcards |= name.len() < lower.len();
        match self.names.insert(name.as_bytes().into(), site) {
            None => Ok(()),
            Some(_) => Err(HostError::Taken(host.into())),
        }
    }

    /// Everything that `host` is one of, the most specific first: `www.example.com`, `*.example.com`, `*`.
    pub(super) fn all(&self, host: &str) -> Vec<(String, SiteId)> {
        let (mut without, mut all) = (self.clone(), Vec::new());
        while let Some((name, site)) = without.entry(host.as_bytes()) {
            let name = name.map(<[u8]>::to_vec);
            match &name {
                Some(name) => drop(without.names.remove(&**name)),
                None => without.default = None,
            }
            let name = String::from_utf8_lossy(name.as_deref().unwrap_or_default()).into_owned();
            let is_whole = !name.is_empty() && !name.starts_with('.');
            all.push((if is_whole { name } else { format!("*{name}") }, site));
        }
        all
    }

    /// Whose `host` is, which may be in any case.
    #[inline]
    pub(super) fn find(&self, host: &[u8]) -> Option<SiteId> {
        self.entry(host).map(|(_, site)| site)
    }

    /// The name that makes `host` somebody's, and whose it is; no name is the default.
    #[inline]
    fn entry(&self, host: &[u8]) -> Option<(Option<&[u8]>, SiteId)> {
        let default = self.default.map(|site| (None, site));
        if self.names.is_empty() {
            return default;
        }
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut buffer = [0; HOST_BYTES_MAX];
        // What begins with a dot is a wildcard's name here, and nobody's outside.
        let Some(name) = buffer.get_mut(..host.len()).filter(|_| !host.starts_with(b".")) else {
            return default;
        };
        name.copy_from_slice(host);
        name.make_ascii_lowercase();
        let own = self.named(name).or_else(|| self.find_wildcard(name)).or_else(|| self.find_address(name));
        own.map(|(name, site)| (Some(name), site)).or(default)
    }

    #[inline]
    fn named(&self, name: &[u8]) -> Option<(&[u8], SiteId)> {
        self.names.get_key_value(name).map(|(name, site)| (&**name, *site))
    }

    /// An address that is not spelled as it is here.
    fn find_address(&self, name: &[u8]) -> Option<(&[u8], SiteId)> {
        self.named(plain_address(name)?.as_bytes())
    }

    fn find_wildcard(&self, name: &[u8]) -> Option<(&[u8], SiteId)> {
        if !self.has_wildcards {
            return None;
        }
        let dots = name.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'.');
        dots.map(|(at, _)| &name[at..]).find_map(|end| self.named(end))
    }
}

/// An IPv6 address in brackets as it is spelled here: RFC 5952 §4.
fn plain_address(host: &[u8]) -> Option<String> {
    let address = str::from_utf8(host.strip_prefix(b"[")?.strip_suffix(b"]")?).ok()?;
    Some(format!("[{}]", address.parse::<Ipv6Addr>().ok()?))
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= HOST_BYTES_MAX
        && (plain_address(name.as_bytes()).is_some() || name.split('.').all(is_label))
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(host) => write!(
                f,
                "{host:?} is no host: write a name (`example.com`), all below one (`*.example.com`), an address, or `*`"
            ),
            Self::Taken(host) => write!(f, "the host {host:?} belongs to another site"),
        }
    }
}

impl std::error::Error for HostError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &[&str]) -> Hosts {
        let mut hosts = Hosts::new();
        for (number, host) in list.iter().enumerate() {
            hosts.insert(host, SiteId(u16::try_from(number).unwrap())).unwrap();
        }
        hosts
    }

    #[test]
    fn a_name_beats_a_wildcard_and_a_longer_one_a_shorter_one() {
        let list =
            ["example.com", "*.example.com", "*.api.example.com", "www.example.com", "[::1]", "127.0.0.1"];
        let hosts = hosts(&list);
        for (host, site) in [
            ("example.com", Some("example.com")),
            ("EXAMPLE.com.", Some("example.com")),
            ("www.example.com", Some("www.example.com")),
            ("ftp.example.com", Some("*.example.com")),
            ("a.b.example.com", Some("*.example.com")),
            ("api.example.com", Some("*.example.com")),
            ("v1.api.example.com", Some("*.api.example.com")),
            (".example.com", None),
            ("example.org", None),
            ("badexample.com", None),
            ("", None),
            ("[::1]", Some("[::1]")),
            ("127.0.0.1", Some("127.0.0.1")),
        ] {
            assert_eq!(hosts.find(host.as_bytes()).map(|site| list[usize::from(site.0)]), site, "{host}");
        }
        assert_eq!(hosts.find(&[b'a'; 300]), None);
    }

    #[test]
    fn an_address_is_the_same_in_every_spelling() {
        let hosts = hosts(&["[2001:db8:0::a]", "[::1]"]);
        for (host, site) in [
            ("[2001:db8::a]", Some(0)),
            ("[2001:DB8:0:0:0:0:0:A]", Some(0)),
            ("[2001:0db8::000a].", Some(0)),
            ("[0:0:0:0:0:0:0:1]", Some(1)),
            ("[0::1]", Some(1)),
            ("[::2]", None),
            ("[::1", None),
            ("::1", None),
        ] {
            assert_eq!(hosts.find(host.as_bytes()), site.map(SiteId), "{host}");
        }
        let mut hosts = hosts;
        assert_eq!(hosts.insert("[0::1]", SiteId(2)), Err(HostError::Taken("[0::1]".into())));
    }

    #[test]
    fn the_default_takes_the_rest() {
        let hosts = hosts(&["example.com", "*"]);
        for (host, site) in [("example.com", 0), ("example.org", 1), ("", 1)] {
            assert_eq!(hosts.find(host.as_bytes()), Some(SiteId(site)), "{host}");
        }
        assert_eq!(hosts.find(&[b'a'; 300]), Some(SiteId(1)));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in
            ["", "a b", "http://a", "a:80", "*a.com", "a.*", "*.", "*.*.a", "a..b", "[::1", "a/b", "."]
        {
            let error = Hosts::new().insert(host, SiteId(0)).unwrap_err();
            assert_eq!(error, HostError::Malformed(host.into()));
        }
        let mut hosts = hosts(&["a.example", "*.a.example", "*"]);
        for host in ["A.example.", "*.A.example", "*"] {
            assert_eq!(hosts.insert(host, SiteId(9)), Err(HostError::Taken(host.into())));
        }
    }
}
