//! [`RateKey`]: whose budget a request is paid from; [`AddressKey`]: who counts as one client.
//!
//! A household or a machine gets a whole /64 of IPv6 (RFC 6177 §2): whoever is given 2^64 addresses is one
//! client still.

use std::fmt;
use std::net::IpAddr;

use ::http::{HeaderName, header};

use super::rates::{KeyHash, Rates};
use crate::app::request::Request;
use crate::http::Head;

/// The longest name of a host, in bytes (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// A client as its address tells: of IPv6 the first 64 bits, and IPv4 in IPv6's clothes (RFC 4291 §2.5.5.2)
/// as IPv4.
///
/// ```
/// use kolk::app::AddressKey;
///
/// let key = |text: &str| AddressKey::of(text.parse().unwrap());
/// assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:0:1"));
/// assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
/// assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey {
    is_v6: bool,
    bits: u64,
}

/// Whose budget a request is paid from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateKey {
    /// The client's, by its [address](Request::client_address): see [`AddressKey`]. Who comes
    /// through a socket file is one client.
    Address,
    /// That of everybody who sends this value in this field. Who sends none is one more. Spellings that mean
    /// the same are one value of `Authorization` (the scheme in any case, blanks behind it) and of `Host`
    /// (the name in any case, a final dot, any port; over HTTP/2 it is `:authority`).
    Header(HeaderName),
    /// That of everybody who has this value in the cookie of this name. Who has none is one more.
    Cookie(Box<str>),
    /// That of the path, whoever asks for it.
    Path,
}

impl AddressKey {
    /// The client of this address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self { is_v6: false, bits: u64::from(address.to_bits()) },
            IpAddr::V6(address) => {
                let bits = u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX);
                Self { is_v6: true, bits }
            }
        }
    }

    /// As bytes that differ where it does.
    pub fn bytes(self) -> [u8; 9] {
        let mut bytes = [u8::from(self.is_v6); 9];
        bytes[1..].copy_from_slice(&self.bits.to_le_bytes());
        bytes
    }
}

impl RateKey {
    /// The hash of the budget's key for this request.
    pub fn hash(&self, rates: &Rates, request: &Request<'_>) -> KeyHash {
        match self {
            Self::Address => {
                let address = request.client_address().map(|address| AddressKey::of(address).bytes());
                match &address {
                    Some(bytes) => rates.hash(bytes),
                    // All who have left are one, and not those who come through a socket file.
                    None if request.is_gone() => rates.hash(b"gone"),
                    None => rates.hash(b""),
                }
            }
            Self::Header(name) if *name == header::AUTHORIZATION => {
                credentials(rates, request.header_bytes(name).unwrap_or_default())
            }
            Self::Header(name) if *name == header::HOST => {
                let host = request.head().host_bytes().unwrap_or_default();
                in_lower_case(host.strip_suffix(b".").unwrap_or(host), |host| rates.hash(host))
            }
            Self::Header(name) => rates.hash(request.header_bytes(name).unwrap_or_default()),
            Self::Cookie(name) => rates.hash(cookie(request.head(), name.as_bytes()).unwrap_or_default()),
            Self::Path => rates.hash(request.path_bytes()),
        }
    }
}

/// For whom there is a budget: `for each client`.
impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("for each client"),
            Self::Header(name) => write!(f, "for each value of {name}"),
            Self::Cookie(name) => write!(f, "for each value of the cookie {name}"),
            Self::Path => f.write_str("for each path"),
        }
    }
}

/// RFC 9110 §11.1, §11.4: a scheme in any case, blanks, and what belongs to it.
fn credentials(rates: &Rates, value: &[u8]) -> KeyHash {
    let value = value.trim_ascii();
    let (scheme, rest) =
        value.split_at(value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()));
    in_lower_case(scheme, |scheme| rates.hash_of_two(scheme, rest.trim_ascii_start()))
}

/// What `hash` says of `text` in lower case; one that is longer than any name stays as it is.
fn in_lower_case(text: &[u8], hash: impl FnOnce(&[u8]) -> KeyHash) -> KeyHash {
    let mut buffer = [0; NAME_BYTES_MAX];
    let Some(lower) = buffer.get_mut(..text.len()) else { return hash(text) };
    lower.copy_from_slice(text);
    lower.make_ascii_lowercase();
    hash(lower)
}

/// The value of the first cookie of this name. RFC 6265 §5.4.
fn cookie<'h>(head: &Head<'h>, name: &[u8]) -> Option<&'h [u8]> {
    let mut pairs = head.values("cookie").flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[test]
    fn one_client_has_one_key() {
        let key = |text: &str| AddressKey::of(text.parse().unwrap());
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::192.0.2.1", "192.0.2.1", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("0.0.0.0", "::", false),
            ("::ffff:0.0.0.0", "::", false),
        ] {
            assert_eq!(key(one) == key(other), same, "{one} {other}");
            assert_eq!(key(one).bytes() == key(other).bytes(), same, "{one} {other}");
        }
    }

    /// The keys of these requests, numbered as they appear.
    fn keys<const N: usize>(key: RateKey, requests: [&[(&str, &str)]; N]) -> [usize; N] {
        let rates = Rates::new();
        let (send, hashes) = std::sync::mpsc::channel();
        let app = App::new().any("/{*path}", move |request: &Request<'_>| {
            send.send(key.hash(&rates, request)).unwrap();
            ""
        });
        let mut seen = Vec::new();
        requests.map(|fields| {
            let path = fields.iter().find(|(name, _)| *name == "path").map_or("/", |(_, path)| path);
            let mut request = ::http::Request::get(path);
            for (name, value) in fields.iter().filter(|(name, _)| *name != "path") {
                request = request.header(*name, *value);
            }
            app.oneshot(request.body("").unwrap());
            let hash = hashes.recv().unwrap();
            seen.iter().position(|known| *known == hash).unwrap_or_else(|| {
                seen.push(hash);
                seen.len() - 1
            })
        })
    }

    #[test]
    fn what_a_request_is_told_apart_by() {
        let header = RateKey::Header(HeaderName::from_static("x-api-key"));
        let asked = keys(header, [&[("x-api-key", "a")], &[("X-Api-Key", "a")], &[("x-api-key", "b")], &[]]);
        assert_eq!(asked, [0, 0, 1, 2]);

        let asked = keys(
            RateKey::Header(header::AUTHORIZATION),
            [
                &[("authorization", "Bearer T")],
                &[("authorization", "bearer T")],
                &[("authorization", "BEARER  T")],
                &[("authorization", "Bearer \t  T ")],
                &[("authorization", "Bearer t")],
                &[("authorization", "Basic T")],
                &[("authorization", "BearerT")],
                &[("authorization", "Bearer")],
                &[],
            ],
        );
        assert_eq!(asked, [0, 0, 0, 0, 1, 2, 3, 4, 5]);

        let long = format!("{}.example", "a".repeat(NAME_BYTES_MAX));
        let asked = keys(
            RateKey::Header(header::HOST),
            [
                &[("host", "ex.com")],
                &[("host", "EX.com")],
                &[("host", "ex.com.")],
                &[("host", "ex.com:8080")],
                &[("host", "Ex.Com.:80")],
                &[("host", "[::1]")],
                &[("host", "[::1]:8080")],
                &[("host", "www.ex.com")],
                &[("host", &long)],
            ],
        );
        assert_eq!(asked, [0, 0, 0, 0, 0, 1, 1, 2, 3]);

        let asked = keys(
            RateKey::Cookie("id".into()),
            [
                &[("cookie", "id=7")],
                &[("cookie", "a=1; id=7; b=2")],
                &[("cookie", "a=1"), ("cookie", "id=7")],
                &[("cookie", "id=8")],
                &[("cookie", "xid=7; idx=7")],
                &[],
            ],
        );
        assert_eq!(asked, [0, 0, 0, 1, 2, 2]);

        let asked = keys(RateKey::Path, [&[("path", "/a?x")], &[("path", "/%61")], &[("path", "/b")]]);
        assert_eq!(asked, [0, 0, 1]);
        assert_eq!(keys(RateKey::Address, [&[], &[("path", "/a")]]), [0, 0]);
    }
}
