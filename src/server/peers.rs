//! [`Peers`]: the other ends of the connections that were served last, since to ask for one is a system call.
//!
//! A place is found by the connection's serial, and belongs to the last who came: memory is the same however
//! many connections there are, and a connection that rests has none of it. Invariant: what is known is of
//! connections that are open, since whoever closes one has it forgotten.

use std::cell::RefCell;

use crate::base::Key;
use crate::net::Peer;

/// So many are remembered: 160 KiB.
const PEERS: usize = 4096;

/// What is known of some connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// Connections, and their peers; as long as the places are that somebody has asked for.
    known: RefCell<Vec<Option<(Key, Peer)>>>,
}

impl Peers {
    /// The peer of this connection; `ask` knows it. One that is gone is asked for each time.
    #[inline]
    pub(crate) fn of(&self, connection: Key, ask: impl FnOnce() -> Peer) -> Peer {
        match self.known.borrow().get(place(connection)) {
            Some(Some((known, peer))) if *known == connection => return *peer,
            _ => {}
        }
        self.learn(connection, ask())
    }

    /// The connection has ended: another may get its name.
    #[inline]
    pub(crate) fn forget(&mut self, connection: Key) {
        if let Some(known) = self.known.get_mut().get_mut(place(connection)) {
            known.take_if(|(known, _)| *known == connection);
        }
    }

    #[cold]
    fn learn(&self, connection: Key, peer: Peer) -> Peer {
        if peer != Peer::Unknown {
            let (mut known, place) = (self.known.borrow_mut(), place(connection));
            let length = known.len().max(place + 1);
            known.resize(length, None);
            known[place] = Some((connection, peer));
        }
        peer
    }
}

const fn place(connection: Key) -> usize {
    connection.serial() as usize % PEERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_known_is_not_asked_for_again() {
        let key = |serial: u64| Key::unpack(serial << 32 | 1);
        let mut peers = Peers::default();
        let peer = |last: u8| Peer::Ip(([192, 0, 2, last], 4242).into());
        assert_eq!(peers.of(key(7), || Peer::Unknown), Peer::Unknown);
        assert_eq!(peers.of(key(7), || peer(1)), peer(1), "it was gone, and not known");
        assert_eq!(peers.of(key(8), || Peer::Unix), Peer::Unix);
        assert_eq!(peers.of(key(7), || panic!("it is known")), peer(1));
        assert_eq!(peers.of(key(7 + PEERS as u64), || peer(3)), peer(3), "another in its place");
        assert_eq!(peers.of(key(7), || peer(4)), peer(4), "whose name is another");
        assert_eq!(peers.of(key(8), || panic!("it is known")), Peer::Unix);
        // Another with the same serial, when they have all been used, is not taken for it.
        assert_eq!(peers.of(Key::unpack(8 << 32 | 2), || peer(5)), peer(5));
        peers.forget(key(8));
        assert_eq!(peers.of(Key::unpack(8 << 32 | 2), || panic!("another was forgotten")), peer(5));
        peers.forget(Key::unpack(8 << 32 | 2));
        assert_eq!(peers.of(Key::unpack(8 << 32 | 2), || peer(6)), peer(6));
    }
}
