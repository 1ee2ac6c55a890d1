//! [`Turns`]: the loop that `null` and `null_secure` share. It keeps no time, has no limits, and knows no
//! bytes.

use std::io;

use kolk::base::{Key, Slots, Tick};
use kolk::net::{AcceptError, Acceptor, Link, ListenAddr, Listener, Listening};
use kolk::reactor::{Interest, ListenerId, Reactor, Readiness, Wake};

const EVENTS_MAX: usize = 256;

/// What is said, and to whom.
pub(crate) trait Speaker {
    /// What is kept of each client.
    type Client;

    /// Somebody has come.
    fn welcome(&mut self) -> io::Result<Self::Client>;

    /// Somebody can be read from, or has room again. Who fails is closed.
    fn turn(
        &mut self,
        stream: &mut Link,
        client: &mut Self::Client,
        readiness: Readiness,
    ) -> io::Result<Verdict>;
}

/// What becomes of a connection after its turn.
#[derive(PartialEq)]
pub(crate) enum Verdict {
    Wait,
    WaitForRoom,
    Close,
}

/// One poll, one listener, and whoever has come.
pub(crate) struct Turns<S: Speaker> {
    reactor: Reactor,
    acceptor: Acceptor,
    connections: Slots<Connection<S::Client>>,
    speaker: S,
}

struct Connection<C> {
    stream: Link,
    /// Whether it waits for room to write too.
    upgraded: bool,
    client: C,
}

impl<S: Speaker> Turns<S> {
    pub(crate) fn listen(port: u16, connections_max: usize, speaker: S) -> io::Result<Self> {
        let address = ListenAddr::Tcp(([127, 0, 0, 1], port).into());
        let listener = Listener::open(&address, 1, &Listening::default())?.remove(0);
        eprintln!("listening {}", listener.local_addr());
        let reactor = Reactor::new(EVENTS_MAX)?;
        let mut acceptor = Acceptor::new(listener);
        reactor.register_listener(&mut acceptor, ListenerId(0))?;
        Ok(Self { reactor, acceptor, connections: Slots::with_capacity(connections_max), speaker })
    }

    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut wakes = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.reactor.turn(Tick::ZERO, Tick::NEVER, &mut wakes)?;
            for wake in &wakes {
                match *wake {
                    Wake::Ready(key, readiness) => self.serve(key, readiness)?,
                    Wake::Accept(_) => self.accept()?,
                    Wake::Mail => {}
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.acceptor.accept() {
                Ok(stream) => stream,
                Err(AcceptError::Empty) => return Ok(()),
                Err(AcceptError::Aborted) => continue,
                Err(AcceptError::Exhausted(error) | AcceptError::Fatal(error)) => return Err(error),
            };
            let connection = Connection { stream, upgraded: false, client: self.speaker.welcome()? };
            // Without a slot it is closed.
            let Ok(key) = self.connections.insert(connection) else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                self.reactor.register(&mut connection.stream, key, Interest::Read)?;
            }
        }
    }

    fn serve(&mut self, key: Key, readiness: Readiness) -> io::Result<()> {
        let Some(Connection { stream, upgraded, client }) = self.connections.get_mut(key) else {
            return Ok(());
        };
        match self.speaker.turn(stream, client, readiness).unwrap_or(Verdict::Close) {
            Verdict::Wait => {}
            Verdict::WaitForRoom if *upgraded => {}
            Verdict::WaitForRoom => {
                *upgraded = true;
                self.reactor.reregister(stream, key, Interest::ReadWrite)?;
            }
            Verdict::Close => drop(self.connections.remove(key)),
        }
        Ok(())
    }
}
