//! [`Peers`]: the other ends of the connections that were served last, since to ask for one is a system call.
//!
//! A place is found by the connection's number, and belongs to the last who came: memory is the same however
//! many connections there are, and a connection that rests has none of it.

use std::net::SocketAddr;

/// So many are remembered.
const PEERS: usize = 256;

/// What is known of some connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The numbers of connections, and their peers. Empty until somebody asks.
    known: Vec<Option<(u64, SocketAddr)>>,
}

impl Peers {
    /// The peer of the connection of this number; `ask` knows it. One that has none is asked each time.
    #[inline]
    pub(crate) fn of(
        &mut self,
        connection: u64,
        ask: impl FnOnce() -> Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        let place = usize::try_from(connection % PEERS as u64).unwrap_or(0);
        match self.known.get(place) {
            Some(Some((known, peer))) if *known == connection => Some(*peer),
            _ => self.learn(place, connection, ask()?),
        }
    }

    #[cold]
    fn learn(&mut self, place: usize, connection: u64, peer: SocketAddr) -> Option<SocketAddr> {
        self.known.resize(PEERS, None);
        self.known[place] = Some((connection, peer));
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_remembered_is_not_asked() {
        let mut peers = Peers::default();
        let peer = |last: u8| Some(SocketAddr::from(([192, 0, 2, last], 4242)));
        assert_eq!(peers.of(7, || None), None);
        assert_eq!(peers.of(7, || peer(1)), peer(1), "it has none no more");
        assert_eq!(peers.of(8, || peer(2)), peer(2));
        assert_eq!(peers.of(7, || panic!("it is known")), peer(1));
        assert_eq!(peers.of(7 + PEERS as u64, || peer(3)), peer(3), "another in its place");
        assert_eq!(peers.of(7, || peer(4)), peer(4), "whose number is another");
        assert_eq!(peers.of(8, || panic!("it is known")), peer(2));
    }
}
