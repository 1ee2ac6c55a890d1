//! The simulated network: a [`Pipe`] for each connection, and the server's end of it, a [`Transport`].
//!
//! ```text
//!            send          arrive              read
//!   client ───────► up ───────────► received ───────► shard
//!      ◄──────────────────────────── down ◄────────── (room for `room_bytes`)
//! ```
//! Readiness is edge-triggered as epoll and `SHORT_READ_DRAINS` promise: an arrival is an edge, room is an
//! edge after a write was blocked, registering and registering anew are edges if something is there, and an
//! event tells everything that holds when it is taken. Bytes and their end that arrive together are one
//! event with none after it. Events may come late, twice, or for nothing, but are never lost.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use kolk::net::{Arrived, Peer, Progress, Transport};
use kolk::reactor::Readiness;
use kolk::wire::{Front, Output, QUEUED_BYTES_HIGH};

use crate::client::Break;
use crate::dice::Dice;

/// The server's receive buffer, in bytes.
const RECEIVED_BYTES_MAX: usize = 256 * 1024;
/// The longest body that any route sends in one piece, in bytes.
pub(crate) const PIECE_BYTES_MAX: usize = 200_000;

pub(crate) type Shared<T> = Rc<RefCell<T>>;

/// One connection, both directions.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Sent by the client and not here yet; behind it its end or a reset.
    pub(crate) up: VecDeque<u8>,
    pub(crate) up_fin: bool,
    pub(crate) up_reset: bool,
    received: VecDeque<u8>,
    fin: bool,
    reset: bool,
    reset_told: bool,
    /// Sent by the server, not taken by the client.
    pub(crate) down: VecDeque<u8>,
    room_bytes: usize,
    /// The server will send no more.
    pub(crate) shut: bool,
    /// The server has closed.
    pub(crate) closed: bool,
    /// Bytes met a closed server: the client learns of a reset.
    pub(crate) refused: bool,
    /// The client reads no more: whatever is sent to it is answered with a reset.
    pub(crate) deaf: bool,
    /// The poll.
    pub(crate) registered: bool,
    watches_writes: bool,
    blocked: bool,
    edge: bool,
    /// Everything the server's end did: bytes moved and ends seen.
    pub(crate) progress: u64,
}

impl Pipe {
    /// A connection whose server may have `room_bytes` bytes on their way.
    pub(crate) fn new(room_bytes: usize) -> Self {
        Self { room_bytes, ..Self::default() }
    }

    /// Whether something could arrive now.
    pub(crate) fn can_arrive(&self) -> bool {
        !self.reset
            && (self.up_reset
                || (!self.up.is_empty() && (self.closed || self.received.len() < RECEIVED_BYTES_MAX))
                || (self.up.is_empty() && self.up_fin && !self.fin))
    }

    /// Lets up to `count` bytes arrive, and what stands behind them.
    pub(crate) fn arrive(&mut self, count: usize, with_end: bool, purge: bool) {
        if self.up_reset {
            self.reset = true;
            self.up.clear();
            if purge {
                self.received.clear();
            }
            self.edge = true;
            return;
        }
        let room = if self.closed { count } else { RECEIVED_BYTES_MAX.saturating_sub(self.received.len()) };
        let count = count.min(room).min(self.up.len());
        if self.closed && count > 0 {
            self.up.clear();
            self.refused = true;
            return;
        }
        self.received.extend(self.up.drain(..count));
        if self.up.is_empty() && self.up_fin && !self.fin && with_end {
            self.fin = true;
        }
        self.edge = true;
    }

    /// The client takes up to `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.down.drain(..count.min(self.down.len())).collect();
        if self.blocked && self.down.len() < self.room_bytes {
            self.make_room();
        }
        taken
    }

    /// The client leaves before the end.
    pub(crate) fn leave(&mut self, how: Break) {
        match how {
            Break::Reset => self.up_reset = true,
            Break::Close => {
                self.up_fin = true;
                self.deaf = true;
                if !self.down.is_empty() {
                    self.down.clear();
                    self.up_reset = true;
                }
            }
            Break::Vanish => {}
        }
    }

    /// Room has appeared: an edge, if the poll was asked to tell.
    pub(crate) fn make_room(&mut self) {
        if std::mem::take(&mut self.blocked) {
            self.edge |= self.watches_writes;
        }
    }

    /// A write was blocked although there is room: the edge is still to come.
    pub(crate) fn owes_room(&self) -> bool {
        self.blocked && (self.down.len() < self.room_bytes || self.reset || self.deaf)
    }

    /// The poll is asked for the first time, or anew.
    pub(crate) fn register(&mut self, writes: bool) {
        self.registered = true;
        self.watches_writes |= writes;
        self.edge |= self.readiness() != Readiness::default();
    }

    pub(crate) fn has_event(&self) -> bool {
        self.registered && self.edge && !self.closed
    }

    /// Takes the event: everything that holds now.
    pub(crate) fn event(&mut self) -> Readiness {
        self.edge = false;
        self.readiness()
    }

    /// What holds now.
    pub(crate) fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        let mut add = |holds: bool, what| {
            if holds {
                readiness |= what;
            }
        };
        add(self.reset || self.fin || !self.received.is_empty(), Readiness::READABLE);
        add(self.reset || self.fin, Readiness::READ_CLOSED);
        add(self.reset || (self.fin && self.shut), Readiness::BROKEN);
        add(self.watches_writes && (self.reset || self.down.len() < self.room_bytes), Readiness::WRITABLE);
        readiness
    }
}

/// The server's end of a [`Pipe`].
#[derive(Debug)]
pub(crate) struct SimTransport {
    pub(crate) pipe: Shared<Pipe>,
    pub(crate) dice: Shared<Dice>,
    /// Faults in a thousand calls.
    pub(crate) faults: u64,
}

impl Transport for SimTransport {
    fn read(&mut self, into: &mut [u8], _: &mut Output) -> io::Result<Arrived> {
        let pipe = &mut *self.pipe.borrow_mut();
        let dice = &mut *self.dice.borrow_mut();
        assert!(!pipe.closed);
        if dice.chance(self.faults / 4) {
            return Err(ErrorKind::Interrupted.into());
        }
        if !pipe.received.is_empty() {
            if dice.chance(self.faults) {
                // Nothing was there a moment ago: what is there now is an edge of its own.
                pipe.edge = true;
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = pipe.received.len().min(into.len());
            for (place, byte) in into.iter_mut().zip(pipe.received.drain(..count)) {
                *place = byte;
            }
            pipe.progress += count as u64;
            return Ok(Arrived::in_one_call(count, into.len()));
        }
        pipe.progress += 1;
        if pipe.reset && !std::mem::replace(&mut pipe.reset_told, true) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if pipe.reset || pipe.fin {
            return Ok(Arrived { bytes: 0, is_all: true });
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, output: &mut Output) -> io::Result<Progress> {
        let pipe = &mut *self.pipe.borrow_mut();
        let dice = &mut *self.dice.borrow_mut();
        assert!(!pipe.closed && !pipe.shut, "a write after the end");
        assert!(
            output.queued_bytes() <= QUEUED_BYTES_HIGH + 2 * PIECE_BYTES_MAX,
            "{} bytes wait for one connection",
            output.queued_bytes()
        );
        while let Some(front) = output.front() {
            if pipe.reset {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if dice.chance(self.faults / 4) {
                return Ok(Progress::Budget);
            }
            let room = pipe.room_bytes.saturating_sub(pipe.down.len());
            let limit = if dice.chance(self.faults) { dice.length(room + 1) } else { room };
            let (sent, wanted) = send(&front, limit, &mut pipe.down)?;
            output.consume(sent);
            pipe.progress += sent as u64;
            if pipe.deaf && sent > 0 {
                pipe.down.clear();
                pipe.up_reset = true;
            }
            if sent < wanted {
                pipe.blocked = true;
                return Ok(Progress::Blocked);
            }
        }
        Ok(Progress::Done)
    }

    fn shutdown_write(&mut self) {
        self.pipe.borrow_mut().shut = true;
    }

    fn reset(&mut self) {
        self.pipe.borrow_mut().refused = true;
    }

    fn peer(&self) -> Peer {
        Peer::Ip(([192, 0, 2, 1], 7).into())
    }
}

/// Moves what stands in front into `down`: how much, and how much there was.
fn send(front: &Front<'_>, limit: usize, down: &mut VecDeque<u8>) -> io::Result<(usize, usize)> {
    match *front {
        Front::Bytes(run, behind) => {
            let behind = behind.unwrap_or_default();
            let wanted = run.len() + behind.len();
            down.extend(run.iter().chain(behind).take(limit));
            Ok((wanted.min(limit), wanted))
        }
        Front::File { file, offset, length } => {
            let wanted = usize::try_from(length).expect("files are small here");
            let mut bytes = vec![0; wanted.min(limit)];
            let count = file.read_at(&mut bytes, offset)?;
            if count == 0 && !bytes.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            down.extend(&bytes[..count]);
            Ok((count, if count < bytes.len() { count } else { wanted }))
        }
    }
}

impl Drop for SimTransport {
    fn drop(&mut self) {
        let pipe = &mut *self.pipe.borrow_mut();
        pipe.closed = true;
        pipe.shut = true;
        pipe.progress += 1;
        // What was never read is answered with a reset.
        pipe.refused |= !pipe.received.is_empty();
    }
}
