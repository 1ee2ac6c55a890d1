//! [`Ears`]: one worker's side of the listeners: who may come in, how many at a time, and what happens
//! when there is no room.
//!
//! ```text
//!   heard ─► crowded? ─ticket─► another worker          (balance)
//!     │         no
//!     ▼
//!   room? ──no──► an idle connection gives way, else pause until a slot or a descriptor is free
//!     │yes
//!   accept ─► first turn ─► watched by the poll
//! ```
//! Laws: an edge is remembered until the queue was seen empty; a pause is never a spin; whoever is left in
//! a queue is looked for again, if need be by the others.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Tick, Wake as _};
use crate::net::{AcceptError, Acceptor, Link, Listener, Versions};
use crate::reactor::{Doorbell, ListenerId, Reactor};
use crate::sys::descriptors::Reserve;

use super::balance::Balance;
use super::config::ACCEPTS_PER_TURN_MAX;
use super::shard::Shard;
use super::worker::watch;

/// Whoever was left to another worker is looked for again after this time.
const TICKET_PATIENCE: Duration = Duration::from_millis(1);
/// Without room, the queues are looked at again after this time.
const PAUSE: Duration = Duration::from_millis(50);
/// While other workers hold connections, it is seen to so often that none of them is stuck.
const PATROL: Duration = Duration::from_millis(100);
/// And while they hold none: the first connection may be the one that blocks.
const PATROL_QUIET: Duration = Duration::from_secs(1);
/// A worker that is in the same turn still after this time is stuck, and its queues are looked after.
const STUCK_AFTER: Duration = Duration::from_millis(20);
/// While descriptors are short, a warning is logged at most so often.
const WARNING_EVERY: Duration = Duration::from_secs(1);

/// A worker's ears.
#[derive(Debug)]
pub(crate) struct Ears {
    worker: usize,
    /// All listeners of the server: this worker's own, and those that tickets lead to.
    listeners: Arc<[Arc<Listener>]>,
    own: Vec<Ear>,
    balance: Arc<Balance>,
    bells: Arc<[Arc<Doorbell>]>,
    /// A descriptor to spare, for telling somebody that there is none.
    reserve: Option<Reserve>,
    warned_at: Tick,
    /// The turn that each worker was in when it was looked at last.
    turns_seen: Box<[Option<u64>]>,
    patrol_at: Tick,
    closed: bool,
}

/// One listener of this worker.
#[derive(Debug)]
struct Ear {
    acceptor: Acceptor,
    id: ListenerId,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The queue was seen empty: the next connection is an event.
    Quiet,
    /// Somebody may be in the queue.
    Heard,
    /// Somebody may be in the queue; look at this moment.
    Later(Tick),
}

/// Why accepting stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    Empty,
    Budget,
    NoRoom,
    LeftToOthers,
}

impl Ears {
    /// The ears of worker number `worker`, on those of `listeners` that are its own.
    pub(crate) fn new(
        worker: usize,
        own: &[usize],
        listeners: Arc<[Arc<Listener>]>,
        balance: Arc<Balance>,
        bells: Arc<[Arc<Doorbell>]>,
    ) -> Self {
        let ear = |&index: &usize| Ear {
            acceptor: Acceptor::new(Arc::clone(&listeners[index])),
            id: ListenerId(u32::try_from(index).unwrap_or(u32::MAX)),
            state: State::Quiet,
        };
        let own = own.iter().map(ear).collect();
        Self {
            worker,
            turns_seen: vec![None; bells.len()].into_boxed_slice(),
            // Whoever is alone has nobody to look after.
            patrol_at: if bells.len() > 1 { Tick::ZERO } else { Tick::NEVER },
            own,
            listeners,
            balance,
            bells,
            reserve: Reserve::new().ok(),
            warned_at: Tick::ZERO,
            closed: false,
        }
    }

    /// Begins to listen.
    pub(crate) fn open(&mut self, reactor: &Reactor) -> std::io::Result<()> {
        for ear in &mut self.own {
            reactor.register_listener(&mut ear.acceptor, ear.id)?;
        }
        Ok(())
    }

    /// Stops to listen.
    pub(crate) fn close(&mut self, reactor: &Reactor) {
        for ear in &mut self.own {
            // One that was never registered has no events to end.
            let _ = reactor.deregister(&mut ear.acceptor);
            ear.acceptor.listener().stop();
        }
        self.own.clear();
        self.patrol_at = Tick::NEVER;
        self.listeners = Arc::new([]);
        self.closed = true;
    }

    /// Whether [`Ears::close`] was called.
    pub(crate) const fn are_closed(&self) -> bool {
        self.closed
    }

    /// The worker begins a turn, or ends one.
    #[inline]
    pub(crate) fn turn_over(&self) {
        self.balance.turn_over(self.worker);
    }

    /// The poll says that somebody is in this queue.
    pub(crate) fn heard(&mut self, id: ListenerId) {
        if let Some(ear) = self.own.iter_mut().find(|ear| ear.id == id) {
            ear.state = State::Heard;
        }
    }

    /// Whether somebody may be waiting who could come in now.
    pub(crate) fn have_work(&self) -> bool {
        self.own.iter().any(|ear| ear.state == State::Heard)
    }

    /// When a queue is to be looked at again.
    pub(crate) fn next_look(&self) -> Option<Tick> {
        let looks = self.own.iter().filter_map(|ear| match ear.state {
            State::Later(at) => Some(at),
            State::Quiet | State::Heard => None,
        });
        let patrol = (self.patrol_at != Tick::NEVER).then_some(self.patrol_at);
        looks.chain(patrol).min()
    }

    /// Lets in whoever may come: a bounded number a turn.
    #[inline]
    pub(crate) fn accept(&mut self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        if !self.closed && self.bells.len() > 1 {
            self.take_tickets(shard, reactor, now);
        }
        for index in 0..self.own.len() {
            let patient = match self.own[index].state {
                State::Quiet => continue,
                State::Later(at) if now < at => continue,
                State::Later(_) => false,
                State::Heard => true,
            };
            let listener = Arc::clone(self.own[index].acceptor.listener());
            let stopped = self.accept_some(Some(index), &listener, patient, shard, reactor, now);
            self.own[index].state = match stopped {
                Stopped::Empty => State::Quiet,
                Stopped::Budget => State::Heard,
                Stopped::LeftToOthers => State::Later(now.after(TICKET_PATIENCE)),
                Stopped::NoRoom => {
                    shard.stats().accept_pauses.add(1);
                    State::Later(now.after(PAUSE))
                }
            };
        }
        if now >= self.patrol_at {
            self.patrol(shard, reactor, now);
        }
        self.balance.report(self.worker, shard.len());
    }

    /// Takes what waits for a worker that is stuck in its turn.
    #[cold]
    fn patrol(&mut self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        let (own, workers, listeners) = (self.worker, self.turns_seen.len(), Arc::clone(&self.listeners));
        let mut suspects = false;
        for worker in (0..workers).filter(|worker| *worker != own) {
            let turn = self.balance.turn_of(worker);
            let seen = std::mem::replace(&mut self.turns_seen[worker], turn);
            suspects |= turn.is_some();
            if turn.is_some() && turn == seen {
                for listener in listeners.iter().skip(worker).step_by(workers) {
                    self.accept_some(None, listener, false, shard, reactor, now);
                }
            }
        }
        self.patrol_at = now.after(match suspects {
            true => STUCK_AFTER,
            false if self.balance.others_serve(own) => PATROL,
            false => PATROL_QUIET,
        });
    }

    /// Lets in everybody that waits, as far as there is room: the last call before closing.
    pub(crate) fn accept_all(&mut self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        for index in 0..self.own.len() {
            let listener = Arc::clone(self.own[index].acceptor.listener());
            while self.accept_some(Some(index), &listener, false, shard, reactor, now) == Stopped::Budget {}
        }
    }

    fn take_tickets(&self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        let listeners = Arc::clone(&self.listeners);
        for (index, listener) in listeners.iter().enumerate() {
            for _ in 0..self.balance.take(self.worker, index) {
                if shard.is_full() {
                    break;
                }
                let Ok(stream) = listener.accept() else { break };
                admit(stream, listener.versions(), shard, reactor, now);
            }
        }
    }

    /// `patient`: a crowded worker leaves the next one to a quieter one instead.
    fn accept_some(
        &mut self,
        ear: Option<usize>,
        listener: &Listener,
        patient: bool,
        shard: &mut Shard<Link>,
        reactor: &Reactor,
        now: Tick,
    ) -> Stopped {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            if patient && let Some(quieter) = self.balance.quieter_than(self.worker, shard.len()) {
                self.leave(listener, quieter, 1);
                shard.stats().accept_redirects.add(1);
                return Stopped::LeftToOthers;
            }
            let is_full = shard.is_full();
            if is_full {
                if patient && self.leave_to_roomier(listener, shard.len()) {
                    shard.stats().accept_redirects.add(1);
                    return Stopped::LeftToOthers;
                }
                if !shard.has_idle() {
                    self.leave_to_roomier(listener, shard.len());
                    return Stopped::NoRoom;
                }
            }
            let accepted = match ear {
                Some(index) => self.own[index].acceptor.accept(),
                None => listener.accept(),
            };
            match accepted {
                Ok(stream) => {
                    admit(stream, listener.versions(), shard, reactor, now);
                }
                Err(AcceptError::Empty) => return Stopped::Empty,
                Err(AcceptError::Aborted) => {}
                Err(AcceptError::Exhausted(_)) => {
                    self.turn_away(listener, now);
                    return Stopped::NoRoom;
                }
                Err(AcceptError::Fatal(error)) => {
                    self.warn(
                        now,
                        &format!("cannot accept connections on {}: {error}", listener.local_addr()),
                    );
                    return Stopped::NoRoom;
                }
            }
        }
        Stopped::Budget
    }

    /// Leaves who is in `listener`'s queue to a worker that has more room, if there is one.
    fn leave_to_roomier(&self, listener: &Listener, connections: usize) -> bool {
        let Some((quieter, lead)) = self.balance.quietest(self.worker, connections) else { return false };
        self.leave(listener, quieter, lead);
        true
    }

    fn leave(&self, listener: &Listener, worker: usize, tickets: u32) {
        let place = self.listeners.iter().position(|known| std::ptr::eq(&**known, listener));
        if let Some(place) = place {
            self.balance.give(worker, place, tickets);
            self.bells[worker].wake();
        }
    }

    /// Descriptors or memory ran out. The spare descriptor lets one client in and out again, so that the
    /// queue's head does not wait for nothing.
    fn turn_away(&mut self, listener: &Listener, now: Tick) {
        self.warn(
            now,
            "out of descriptors: accepting pauses; raise the limit (ulimit -n) or lower --max-connections",
        );
        if let Some(reserve) = &mut self.reserve
            && reserve.release()
        {
            drop(listener.accept());
            // Whoever was faster took the last descriptor: it is tried again at the next shortage.
            let _ = reserve.restore();
        }
    }

    fn warn(&mut self, now: Tick, message: &str) {
        if self.warned_at == Tick::ZERO || now.since(self.warned_at) >= WARNING_EVERY {
            self.warned_at = now;
            log::warn!("{message}");
        }
    }
}

/// A connection has come: it is served, unless its client has as many as it may.
#[inline]
fn admit(link: Link, versions: Versions, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
    let Some(seat) = shard.seat_for(&link) else {
        return shard.stats().address_refusals.add(1);
    };
    if shard.is_full() {
        // Now there is somebody to give way to.
        shard.shed_idle();
    }
    if let Some(key) = shard.accept_speaking(link, seat, versions, now) {
        watch(shard, reactor, key);
    }
}
