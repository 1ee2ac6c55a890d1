//! [`ListenAddr`]: where to listen, as a person writes it and as a browser opens it.
//!
//! ```text
//!  127.0.0.1:8080   [::1]:8080   localhost:8080   that address
//!  :8080                                          every address of this machine, IPv4 and IPv6
//!  unix:PATH                                      a socket file
//!  fd:3                                           a socket that listens already
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen.
///
/// ```
/// use kolk::net::ListenAddr;
///
/// let address: ListenAddr = "localhost:8080".parse().unwrap();
/// assert_eq!(address.to_string(), "http://127.0.0.1:8080");
/// assert!("8080".parse::<ListenAddr>().unwrap_err().to_string().contains("127.0.0.1:8080"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// One address. Port 0 lets the system choose.
    Tcp(SocketAddr),
    /// Every address of this machine, IPv4 and IPv6.
    Everywhere {
        /// On this port; 0 lets the system choose.
        port: u16,
    },
    /// A socket file; on Linux a name that begins with `@` is one without a file.
    Unix(PathBuf),
    /// A socket that listens already, by the number of its descriptor: whoever started this process has
    /// passed it. The server works with a copy.
    Descriptor(RawFd),
}

/// Why a text is no [`ListenAddr`], and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    reason: String,
}

impl ListenAddr {
    /// The socket address to bind: for [`ListenAddr::Everywhere`] that of IPv6. `None` where a
    /// socket file or a descriptor is meant.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Everywhere { port } => Some((Ipv6Addr::UNSPECIFIED, *port).into()),
            Self::Unix(_) | Self::Descriptor(_) => None,
        }
    }
}

impl ListenAddr {
    /// Whether other machines could reach it, as far as it tells: a descriptor does not.
    pub const fn is_public(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().is_loopback(),
            Self::Everywhere { .. } | Self::Descriptor(_) => true,
            Self::Unix(_) => false,
        }
    }
}

impl AddressError {
    /// What to write instead, without the text.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl FromStr for ListenAddr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason: String| AddressError { text: text.to_owned(), reason };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(refuse("a path must follow `unix:`, as in unix:/run/kolk.sock".to_owned())),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return match number.parse() {
                Ok(number @ 0..) => Ok(Self::Descriptor(number)),
                _ => Err(refuse("a descriptor's number must follow `fd:`, as in fd:3".to_owned())),
            };
        }
        let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = split(text).map_err(refuse)?;
        match host {
            "" => Ok(Self::Everywhere { port }),
            host => address(host, port).map(Self::Tcp).map_err(refuse),
        }
    }
}

/// `HOST:PORT`, where brackets around an IPv6 address are already gone.
fn split(text: &str) -> Result<(&str, u16), String> {
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Err(match text.parse::<u16>() {
            Ok(port) => {
                format!("write 127.0.0.1:{port} for this machine only, or :{port} for every address")
            }
            Err(_) if text.is_empty() => "write an address, as in 127.0.0.1:8080".to_owned(),
            Err(_) => format!("the port is missing, as in {text}:8080"),
        });
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address stands in brackets, as in [{text}]:8080"));
    }
    let number = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|port| port.parse().ok());
    let port = number.ok_or_else(|| format!("`{port}` is no port: 0 to 65535"))?;
    match host.strip_prefix('[') {
        None => Ok((host, port)),
        Some(host) => match host.strip_suffix(']') {
            Some(host) if host.parse::<Ipv6Addr>().is_ok() => Ok((host, port)),
            _ => Err("only an IPv6 address stands in brackets, as in [::1]:8080".to_owned()),
        },
    }
}

/// A literal address, or the first that the system knows for a name, preferably of IPv4.
fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip {
            IpAddr::V6(ip) => hindrance(ip, port).map_or_else(|| Ok((ip, port).into()), Err),
            IpAddr::V4(ip) => Ok((ip, port).into()),
        };
    }
    // RFC 6761 §6.3: loopback, whatever a resolver says.
    if host.eq_ignore_ascii_case("localhost") {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let unknown = |reason: String| format!("no address for the name `{host}`{reason}");
    let found: Vec<_> =
        (host, port).to_socket_addrs().map_err(|error| unknown(format!(": {error}")))?.collect();
    let preferred = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    preferred.copied().ok_or_else(|| unknown(String::new()))
}

/// Why nobody listens on this address, wherever it is tried.
fn hindrance(ip: Ipv6Addr, port: u16) -> Option<String> {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return Some(format!("an address of IPv4 is written as one: {ip}:{port}"));
    }
    ip.is_unicast_link_local().then(|| {
        format!("a link-local address needs its interface, which cannot be named here: write :{port} for all")
    })
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Everywhere { port } => write!(f, "http://[::]:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Descriptor(number) => write!(f, "fd:{number}"),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on `{}`: {}", self.text, self.reason)
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<ListenAddr>() {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_forms_of_the_command_line() {
        for (text, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:80", "http://0.0.0.0:80"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("localhost:0", "http://127.0.0.1:0"),
            ("LocalHost:1", "http://127.0.0.1:1"),
            (":8080", "http://[::]:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("unix:/run/kolk.sock", "unix:/run/kolk.sock"),
            ("unix:relative:path", "unix:relative:path"),
            ("fd:3", "fd:3"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(":1".parse(), Ok(ListenAddr::Everywhere { port: 1 }));
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        for (text, hint) in [
            ("8080", "write 127.0.0.1:8080 for this machine only, or :8080 for every address"),
            ("", "as in 127.0.0.1:8080"),
            ("127.0.0.1", "as in 127.0.0.1:8080"),
            ("[::1]", "as in [::1]:8080"),
            ("::1", "as in [::1]:8080"),
            ("::1:8080", "an IPv6 address stands in brackets"),
            ("127.0.0.1:", "`` is no port"),
            ("127.0.0.1:65536", "`65536` is no port"),
            ("127.0.0.1:-1", "`-1` is no port"),
            (":+80", "`+80` is no port"),
            ("[127.0.0.1]:80", "only an IPv6 address stands in brackets"),
            ("[::1:80", "only an IPv6 address stands in brackets"),
            ("no such host:80", "no address for the name `no such host`"),
            ("[::ffff:127.0.0.1]:80", "an address of IPv4 is written as one: 127.0.0.1:80"),
            ("[fe80::1]:80", "write :80 for all"),
            ("unix:", "as in unix:/run/kolk.sock"),
            ("fd:", "as in fd:3"),
            ("fd:-1", "as in fd:3"),
            ("fd:web", "as in fd:3"),
        ] {
            let refusal = shown(text);
            assert!(refusal.starts_with(&format!("cannot listen on `{text}`: ")), "{refusal}");
            assert!(refusal.contains(hint), "{refusal}");
        }
    }
}
