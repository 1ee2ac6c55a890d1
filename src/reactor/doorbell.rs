//! [`Doorbell`]: what any thread rings to end a poll's wait.
//!
//! ```text
//!  a bell        opened once, heard by one poll after another: one number for it in every descriptor table
//!  a poll's own  another one with every poll: where all threads share the one table that there is
//! ```
//! Invariant: whoever rings reaches the poll that is there, and a poll that takes the place of another one
//! hears at once that somebody may have rung before.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::{PoisonError, RwLock};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Waker};

use super::token;
use crate::base::Wake;
use crate::sys::bell::Bell;

/// Wakes its reactor from any thread, whatever poll that has at the moment: a [`Wake`].
pub struct Doorbell(Kind);

enum Kind {
    Bell(Bell),
    OfPoll(RwLock<Waker>),
}

impl Doorbell {
    /// One that the poll with this registry hears.
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        match Bell::new() {
            Ok(bell) => {
                hear(&bell, registry)?;
                Ok(Self(Kind::Bell(bell)))
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Self(Kind::OfPoll(RwLock::new(Waker::new(registry, token::MAIL)?))))
            }
            Err(error) => Err(error),
        }
    }

    /// Has the poll with this registry hear it from now on, and ring once.
    pub(super) fn move_to(&self, registry: &Registry) -> io::Result<()> {
        match &self.0 {
            Kind::Bell(bell) => {
                hear(bell, registry)?;
                bell.ring()
            }
            Kind::OfPoll(waker) => {
                let next = Waker::new(registry, token::MAIL)?;
                next.wake()?;
                *waker.write().unwrap_or_else(PoisonError::into_inner) = next;
                Ok(())
            }
        }
    }
}

fn hear(bell: &Bell, registry: &Registry) -> io::Result<()> {
    registry.register(&mut SourceFd(&bell.as_raw_fd()), token::MAIL, Interest::READABLE)
}

impl Wake for Doorbell {
    fn wake(&self) {
        let rung = match &self.0 {
            Kind::Bell(bell) => bell.ring(),
            Kind::OfPoll(waker) => waker.read().unwrap_or_else(PoisonError::into_inner).wake(),
        };
        // It can only fail if the reactor's own descriptor was closed by somebody else.
        debug_assert!(rung.is_ok(), "the doorbell is broken: {rung:?}");
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorbell")
    }
}
