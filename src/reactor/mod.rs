//! THE REACTOR: one poll a turn, and what it woke. Knows no bytes.
//!
//! ```text
//!  kernel ──epoll, kqueue──► turn() ──► Wake::Ready(key, readiness)     a connection
//!                                  ├──► Wake::Accept(listener)          a listener's queue is not empty
//!                                  └──► Wake::Mail                      another thread rang the Doorbell
//! ```
//! Events are edges: a connection is announced once, and again only after a call on it said "would block" (or
//! a short read drained it, on systems where that is the same). An event may be stale: the [`Key`] it carries
//! then finds no slot.

use std::io;
use std::sync::Arc;

use mio::{Events, Poll};

use crate::base::{Key, Tick};

mod doorbell;
mod patience;
mod readiness;
mod token;

pub use doorbell::Doorbell;
pub use mio::event::Source;
pub use readiness::Readiness;
pub use token::ListenerId;

use patience::Patience;
use token::Meaning;

/// What a turn has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// This listener's queue is not empty.
    Accept(ListenerId),
    /// The connection in this slot can go on, unless it has left already.
    Ready(Key, Readiness),
    /// Somebody rang the [`Doorbell`].
    Mail,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read. Enough until a write has blocked for the first time.
    Read,
    /// Bytes to read, or room to write.
    ReadWrite,
}

/// One loop's connection to the kernel's poll.
///
/// Made before the loop's thread gets a descriptor table of its own, so that the doorbell is heard across.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    patience: Patience,
    doorbell: Arc<Doorbell>,
}

impl Reactor {
    /// A reactor that takes at most `events_max` events a turn; the others wait for the next.
    ///
    /// # Errors
    /// Whatever the system reports, mostly that there is no descriptor left.
    pub fn new(events_max: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let doorbell = Arc::new(Doorbell::new(poll.registry())?);
        let patience = Patience::new(poll.registry());
        Ok(Self { poll, events: Events::with_capacity(events_max), patience, doorbell })
    }

    /// Begins with another poll, in which nothing is registered, and rings there once: somebody may have rung
    /// in vain. Whoever has the [`Doorbell`] goes on with it, in whatever descriptor table that is.
    ///
    /// # Errors
    /// As [`Reactor::new`]; all then stays.
    pub fn begin_anew(&mut self) -> io::Result<()> {
        let poll = Poll::new()?;
        self.doorbell.move_to(poll.registry())?;
        self.patience = Patience::new(poll.registry());
        self.poll = poll;
        Ok(())
    }

    /// Polls once, from `now` to `until` at the latest, and replaces the content of `wakes` by what has
    /// happened. A signal ends the wait early, with nothing, as may a moment that was once waited for.
    ///
    /// # Errors
    /// Whatever the system reports; the reactor is then beyond repair.
    pub fn turn(&mut self, now: Tick, until: Tick, wakes: &mut Vec<Wake>) -> io::Result<()> {
        wakes.clear();
        let timeout = self.patience.timeout(now, until);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        wakes.extend(self.events.iter().filter_map(|event| match Meaning::of(event.token()) {
            Meaning::Connection(key) => Some(Wake::Ready(key, Readiness::of(event))),
            Meaning::Listener(id) => Some(Wake::Accept(id)),
            Meaning::Mail => Some(Wake::Mail),
            Meaning::Alarm => {
                self.patience.rung();
                None
            }
        }));
        Ok(())
    }

    /// Announces under `key` what happens on `source`, from its present state on.
    ///
    /// # Errors
    /// Whatever the system reports: `source` is registered already, or memory is short.
    #[inline]
    pub fn register(&self, source: &mut impl Source, key: Key, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(source, token::of_key(key), interest.into())
    }

    /// Changes what `source` waits for. If that is there already, it is announced (again).
    ///
    /// # Errors
    /// Whatever the system reports: `source` is not registered here, or memory is short.
    #[inline]
    pub fn reregister(&self, source: &mut impl Source, key: Key, interest: Interest) -> io::Result<()> {
        self.poll.registry().reregister(source, token::of_key(key), interest.into())
    }

    /// Announces `source` no more. Not needed before a connection is closed, unless its descriptor was
    /// duplicated; always needed for listeners that are shared.
    ///
    /// # Errors
    /// Whatever the system reports: `source` is not registered here.
    pub fn deregister(&self, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().deregister(source)
    }

    /// Announces under `id` when `source` has connections to accept.
    ///
    /// # Errors
    /// Whatever the system reports: `source` is registered already, or memory is short.
    pub fn register_listener(&self, source: &mut impl Source, id: ListenerId) -> io::Result<()> {
        self.poll.registry().register(source, token::of_listener(id), mio::Interest::READABLE)
    }

    /// What other threads ring.
    pub fn waker(&self) -> Arc<Doorbell> {
        Arc::clone(&self.doorbell)
    }
}

impl From<Interest> for mio::Interest {
    #[inline]
    fn from(interest: Interest) -> Self {
        match interest {
            Interest::Read => Self::READABLE,
            Interest::ReadWrite => Self::READABLE | Self::WRITABLE,
        }
    }
}

#[cfg(test)]
mod tests;
