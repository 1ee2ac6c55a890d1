//! SANS-I/O MACHINES, wire ↔ http. No sockets, clocks, threads, locks or handlers.
//!
//! ```text
//!   Input ──poll──► Event            what the peer wants
//!   Response ──respond, pump──► Output   what it gets
//! ```
//! A machine decides and returns; it never calls back. It holds the state of one connection and no
//! buffer: bytes live in the shard's scratch, or in the connection's carry and pending queue.
//!
//! | room | what lives there |
//! | --- | --- |
//! | `h1` | HTTP/1.0 and 1.1: a machine |
//! | `h2` | HTTP/2: a machine |
//! | `hpack` | how HTTP/2 writes fields |
//! | `authority`, `preset`, `scan` | what every version asks of hosts, says in every answer, and looks for in bytes |

mod authority;
pub mod h1;
pub mod h2;
pub mod hpack;
mod preset;
mod scan;

pub use preset::Preset;

use std::time::Duration;

use hpack::FieldList;

use crate::http::{Event, FieldTable, Phase, Reason, Rendered, Response, StreamId, Timeline};
use crate::wire::{Input, Output};

/// One version of HTTP over one lane of bytes: what [`h1::Server`] and [`h2::Server`] are.
///
/// The order of calls in a turn: `poll` until it gives `None` or the turn's budget is used up; `respond`
/// for each answer as soon as there is one; `pump` whatever is `due`; `attend`; then the output is flushed.
pub trait Protocol {
    /// Takes the next event out of `input`. `None`: nothing whole is left, or an answer is owed first.
    ///
    /// `slate` receives the parts of a head (or trailer). While a head is incomplete the caller must come
    /// back with the same table and with the same unread bytes plus more. An event borrows the slate and the
    /// bytes, not the machine and not the input: answer while you hold it. What the version itself has to
    /// tell the peer goes to `output`.
    ///
    /// An input with `fin` must be polled even if it is empty, also once after the last answer: so the
    /// machine learns that nothing follows. At [`Phase::Closed`] what is queued is sent, then the lane
    /// closes.
    ///
    /// # Errors
    /// The peer broke a rule: the caller answers with [`Response::refusal`] through
    /// [`Protocol::refuse`], and nothing more is read.
    fn poll<'h, 'i: 'h>(
        &mut self,
        input: &mut Input<'i>,
        slate: Slate<'h>,
        output: &mut Output,
    ) -> Result<Option<Event<'h>>, Reason>;

    /// Tells the client of `stream` to send the body it holds back (RFC 9110 §10.1.1), if it does.
    fn want_body(&mut self, stream: StreamId, output: &mut Output);

    /// So many bytes of the body of `stream` were used, or will be by nobody: more may be sent.
    fn consume(&mut self, _stream: StreamId, _bytes: usize, _output: &mut Output) {}

    /// Answers `stream`: encodes the head, and of the body what can be had at once; [`Protocol::pump`]
    /// moves the rest. The response must be reset before it is used again. Chunks of a request body
    /// that is not complete yet are no longer given out.
    ///
    /// # Errors
    /// [`Gone`] when nobody waits for this answer any more.
    fn respond(
        &mut self,
        stream: StreamId,
        response: &mut Response,
        encoding: &mut Encoding<'_>,
    ) -> Result<(), Gone>;

    /// Answers `stream` with what was rendered before, whole and at once.
    ///
    /// # Errors
    /// [`Gone`] when nobody waits for this answer any more.
    fn respond_rendered(
        &mut self,
        stream: StreamId,
        rendered: &Rendered,
        encoding: &mut Encoding<'_>,
    ) -> Result<(), Gone>;

    /// Answers a broken peer: the last answer of this connection.
    fn refuse(&mut self, response: &mut Response, encoding: &mut Encoding<'_>);

    /// The exchange whose answer has more to send, and whose turn it is.
    fn due(&self, output: &Output) -> Option<StreamId>;

    /// The source of this exchange's answer may have something again.
    fn wake(&mut self, _stream: StreamId) {}

    /// Moves what is due of an answer's body into the output, while it has room. And how many bytes of the
    /// body that were: what frames them does not count.
    fn pump(&mut self, stream: StreamId, encoding: &mut Encoding<'_>) -> (Pumped, u64);

    /// What the connection waits for, as far as the machine knows.
    fn phase(&self) -> Phase;

    /// No new exchanges: the running one is the last (`Connection: close`, GOAWAY).
    fn drain(&mut self);

    /// Says what the version itself has to say at the end of a turn.
    fn attend(&mut self, _output: &mut Output) {}
}

/// Where the parts of the head at hand are written down; the shard's, lent for one call.
#[derive(Debug)]
pub struct Slate<'s> {
    /// Their places.
    pub table: &'s mut FieldTable,
    /// Their texts, where they do not stand in the input as they are.
    pub list: &'s mut FieldList,
}

/// Where and with what an answer is encoded: the shard's, lent for one call.
#[derive(Debug)]
pub struct Encoding<'e> {
    /// Receives the bytes.
    pub output: &'e mut Output,
    /// The fields that every answer has.
    pub preset: &'e Preset,
    /// The stages of the exchange that is answered.
    pub timeline: &'e Timeline,
}

/// Nobody waits for this answer: its exchange is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What a pump left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// No body is in progress.
    Nothing,
    /// There is more: pump again, when the output has room.
    Full,
    /// The source has nothing yet: pump again when it is woken, or after this time.
    Waiting(Option<Duration>),
    /// A source failed, or promised another length: send what is queued, then cut the connection.
    Cut,
    /// The same, because the source panicked.
    Panicked,
}
