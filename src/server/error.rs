//! [`Error`]: what can keep a server from running, said to the person who runs it.

use std::fmt;
use std::io;

use crate::net::AddressError;

/// Why a server cannot start, or ended badly.
#[derive(Debug)]
pub enum Error {
    /// An address that nobody can listen on: how it is written.
    Address(AddressError),
    /// An address that this process cannot listen on now: what to do about it.
    Listen(io::Error),
    /// An access log that cannot be opened.
    Log {
        /// Which one, from 0: the order in which they were given.
        number: usize,
        /// What the system said, with the place.
        source: io::Error,
    },
    /// Something else that a start needs: descriptors, threads.
    Start {
        /// What was tried, to be read behind "cannot".
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What stays as it is as long as the server runs: what, and why.
    Fixed(&'static str),
    /// A worker ended although nobody had told it to.
    Worker {
        /// Its number, from 0.
        number: usize,
        /// What the system said, or that it panicked.
        source: io::Error,
    },
}

/// What a start, or a run, gives.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Log { source, .. } => write!(f, "cannot open the access log: {source}"),
            Self::Start { what, source } => write!(f, "cannot {what}: {source}"),
            Self::Fixed(what) => write!(f, "cannot replace {what}"),
            Self::Worker { number, source } => write!(f, "worker {number} failed: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Listen(error) => Some(error),
            Self::Fixed(_) => None,
            Self::Log { source, .. } | Self::Start { source, .. } | Self::Worker { source, .. } => {
                Some(source)
            }
        }
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}
