//! [`ConnectionsPerAddress`]: how many connections each client has open, and how many it may.
//!
//! Process-wide, sharded by client; a client without connections takes no room. Knows no socket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::AddressKey;

/// A power of two.
const SHARDS: usize = 64;

/// How many connections each client has open. IPv6 is counted by /64: see [`AddressKey`].
///
/// ```
/// use kolk::app::ConnectionsPerAddress;
/// use std::sync::Arc;
///
/// let addresses = Arc::new(ConnectionsPerAddress::new(1));
/// let ada = "192.0.2.1".parse()?;
/// let seat = addresses.take_seat(ada).expect("it has none");
/// assert!(addresses.take_seat(ada).is_none());
/// drop(seat);
/// assert!(addresses.take_seat(ada).is_some());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct ConnectionsPerAddress {
    connections_max: AtomicU32,
    shards: Box<[Shard]>,
    hasher: RandomState,
}

/// A client's connection, for as long as it is open.
#[derive(Debug)]
pub struct AddressSeat {
    of: Arc<ConnectionsPerAddress>,
    client: AddressKey,
}

type Shard = Mutex<HashMap<AddressKey, u32>>;

impl ConnectionsPerAddress {
    /// At most so many for each client.
    pub fn new(connections_max: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { connections_max: AtomicU32::new(connections_max), shards, hasher: RandomState::new() }
    }

    /// Another number from now on: whoever has more keeps them, and gets no other.
    pub fn set_max(&self, connections_max: u32) {
        self.connections_max.store(connections_max, Relaxed);
    }

    /// One connection more for the client of this address; `None` if it has as many as it may.
    pub fn take_seat(self: &Arc<Self>, address: IpAddr) -> Option<AddressSeat> {
        let client = AddressKey::of(address);
        let mut shard = self.shard(client);
        let connections = shard.get(&client).copied().unwrap_or(0);
        if connections >= self.connections_max.load(Relaxed) {
            return None;
        }
        shard.insert(client, connections + 1);
        Some(AddressSeat { of: Arc::clone(self), client })
    }

    /// How many clients have a connection.
    pub fn clients(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, client: AddressKey) -> MutexGuard<'_, HashMap<AddressKey, u32>> {
        let place = self.hasher.hash_one(client) % SHARDS as u64;
        let shard = &self.shards[usize::try_from(place).unwrap_or(0)];
        // Nothing that is done under the lock panics half way.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressSeat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.of.shard(self.client).entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl fmt::Debug for ConnectionsPerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionsPerAddress")
            .field("connections_max", &self.connections_max.load(Relaxed))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_client_has_its_seats_and_leaves_nothing_behind() {
        let addresses = Arc::new(ConnectionsPerAddress::new(2));
        let take = |address: &str| addresses.take_seat(address.parse().unwrap());
        let (first, second) = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(take("2001:db8::3").is_none(), "the same /64");
        assert!(take("2001:db8:0:1::1").is_some() && take("192.0.2.1").is_some());
        assert_eq!(addresses.clients(), 1);
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop(second);
        assert_eq!(addresses.clients(), 0);
    }

    #[test]
    fn another_number_counts_for_whoever_comes_next() {
        let addresses = Arc::new(ConnectionsPerAddress::new(2));
        let take = || addresses.take_seat(IpAddr::from([192, 0, 2, 1]));
        let seats = [take().unwrap(), take().unwrap()];
        addresses.set_max(1);
        assert!(take().is_none());
        let [one, other] = seats;
        drop(one);
        assert!(take().is_none(), "one is as many as it may have now");
        addresses.set_max(3);
        let more = [take(), take()];
        assert!(more.iter().all(Option::is_some) && take().is_none());
        drop((other, more));
        assert_eq!(addresses.clients(), 0);
    }

    #[test]
    fn eight_threads_never_have_more_than_there_are() {
        let addresses = Arc::new(ConnectionsPerAddress::new(5));
        let client = IpAddr::from([192, 0, 2, 1]);
        let most = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let addresses = &addresses;
                    scope
                        .spawn(move || (0..2_000).filter_map(|_| addresses.take_seat(client)).take(5).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).max()
        });
        assert_eq!((most, addresses.clients()), (Some(5), 0));
        let held: Vec<_> = (0..9).filter_map(|_| addresses.take_seat(client)).collect();
        assert_eq!(held.len(), 5);
    }
}
