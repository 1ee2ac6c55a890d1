//! What a protocol machine tells its connection: [`Event`]s up, a [`Phase`] to wait in.

use super::head::Head;
use super::reason::Reason;
use crate::base::Key;

/// The number of an exchange within its connection: counts up from 1 in HTTP/1, the stream
/// identifier in HTTP/2 and 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// The whole return address of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    /// The connection; a stale key finds no slot.
    pub connection: Key,
    /// The exchange within it.
    pub stream: StreamId,
}

/// What came out of the input.
#[derive(Debug)]
pub enum Event<'h> {
    /// A request has begun.
    Head {
        /// Its exchange.
        stream: StreamId,
        /// Method, target, fields.
        head: Head<'h>,
        /// What is known of its body.
        body: Arrival<'h>,
    },
    /// The next bytes of a request's body, never empty unless `end`.
    Chunk {
        /// Its exchange.
        stream: StreamId,
        /// As they came, without framing.
        bytes: &'h [u8],
        /// The body is complete.
        end: bool,
        /// The fields behind it, if there are any.
        trailer: Option<Head<'h>>,
    },
    /// The exchange is over without an answer.
    Reset {
        /// Its exchange, which may never have had an [`Event::Head`].
        stream: StreamId,
        /// The rule that the peer broke; `None`: it gave the exchange up itself (a reset, or its sending side
        /// closed within a body).
        reason: Option<Reason>,
    },
    /// A request that is not handled, and is owed this answer. The connection lives on.
    Refused {
        /// Its exchange.
        stream: StreamId,
        /// Why.
        reason: Reason,
    },
}

/// How a request's body arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<'h> {
    /// There is none.
    Empty,
    /// It came together with the head.
    Whole(&'h [u8]),
    /// [`Event::Chunk`]s follow.
    Follows {
        /// Its declared length in bytes; `None` where it is chunked.
        length: Option<u64>,
        /// The client waits for `100 Continue` (RFC 9110 §10.1.1).
        expects_continue: bool,
    },
}

/// What a connection waits for; each waiting phase has one named timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// The next request; nothing of it is here (`keepalive`).
    #[default]
    Idle,
    /// The rest of a head (`header`).
    Head,
    /// The rest of a body (`body`).
    Body,
    /// The handler's answer.
    Handling,
    /// The kernel, to take the answer (`write`).
    Sending,
    /// The end of a closed client's bytes (`linger`).
    Lingering,
    /// Nothing: the connection is over.
    Closed,
}

impl Phase {
    /// All phases, in the order of their discriminants.
    pub const ALL: [Self; 7] =
        [Self::Idle, Self::Head, Self::Body, Self::Handling, Self::Sending, Self::Lingering, Self::Closed];

    /// The label in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Body => "body",
            Self::Handling => "handling",
            Self::Sending => "sending",
            Self::Lingering => "lingering",
            Self::Closed => "closed",
        }
    }
}
