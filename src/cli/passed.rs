//! [`Passed`]: the sockets that a service manager has opened, and the addresses that mean them.
//!
//! ```text
//!  -l fd:3     the socket with this number, passed or merely inherited
//!  -l fd:web   every socket with this name (FileDescriptorName= of a .socket unit)
//!  no -l       all that were passed, but the one that --admin names
//! ```

use std::os::fd::{OwnedFd, RawFd};

use kolk::service::{self, PassedSocket};

use super::failure::{Exit, Failure};

/// What was passed, and is not served yet.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    sockets: Vec<PassedSocket>,
}

impl Passed {
    /// What was passed to this process. Before anything else: the descriptors must not be taken by others.
    pub(crate) fn to_this_process() -> Result<Self, Failure> {
        match service::passed_sockets() {
            Ok(sockets) => Ok(Self { sockets }),
            Err(error) => Err(Failure::new(Exit::Usage, format!("cannot take the passed sockets: {error}"))),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// `address` as the library reads it: a name of a passed socket becomes its number, or several.
    pub(crate) fn resolve(&self, address: &str) -> Result<Vec<String>, Failure> {
        let name = match address.strip_prefix("fd:") {
            Some(name) if !name.is_empty() && name.parse::<RawFd>().is_err() => name,
            _ => return Ok(vec![address.to_owned()]),
        };
        let named = self.sockets.iter().filter(|socket| socket.name() == name);
        let found: Vec<String> = named.map(|socket| format!("fd:{}", socket.number())).collect();
        if found.is_empty() {
            let names: Vec<&str> = self.sockets.iter().map(PassedSocket::name).collect();
            let known = match names[..] {
                [] => "none was passed".to_owned(),
                _ => format!("the passed ones are called {}", names.join(", ")),
            };
            let message = format!("cannot listen on `{address}`: no passed socket has this name: {known}");
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(found)
    }

    /// The same for what `flag` gives, which is one.
    pub(crate) fn resolve_one(&self, flag: &str, address: &str) -> Result<String, Failure> {
        let found = self.resolve(address)?;
        <[String; 1]>::try_from(found).map(|[one]| one).map_err(|found| {
            let message = format!("{flag} {address} means {} passed sockets: name one", found.len());
            Failure::new(Exit::Usage, message)
        })
    }

    /// All of them but those at these addresses, as copies.
    pub(crate) fn all_but(&self, addresses: &[String]) -> Result<Vec<OwnedFd>, Failure> {
        let meant = |socket: &&PassedSocket| !addresses.contains(&format!("fd:{}", socket.number()));
        let copies = self.sockets.iter().filter(meant).map(PassedSocket::try_clone);
        copies.collect::<Result<_, _>>().map_err(|error| Failure::cannot("copy a passed socket", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_looked_up() {
        let none = Passed::default();
        for address in ["fd:3", "fd:", "127.0.0.1:80", "unix:fd:web"] {
            assert_eq!(none.resolve(address).unwrap(), [address]);
        }
        none.resolve("fd:web").unwrap_err();
    }
}
