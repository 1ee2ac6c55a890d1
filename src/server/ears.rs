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
//! a queue is looked for again, if need be by the others; a listener that is given up is closed when
//! nobody is in its queue any more, nor on the way there.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Tick, Wake as _};
use crate::net::{AcceptError, Acceptor, Link, Listener, Terms};
use crate::reactor::{Doorbell, ListenerId, Reactor};
use crate::sys::descriptors::Reserve;

use super::balance::Balance;
use super::config::ACCEPTS_PER_TURN_MAX;
use super::doors::Doors;
use super::shard::Shard;
use super::worker::{ring_all, watch};

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
/// So long after a listener was given up who had begun to shake hands may come in: less than the second
/// after which a newcomer asks again, and is refused.
const HANDSHAKE: Duration = Duration::from_millis(500);
/// While descriptors are short, a warning is logged at most so often.
const WARNING_EVERY: Duration = Duration::from_secs(1);

/// A worker's ears.
#[derive(Debug)]
pub(crate) struct Ears {
    worker: usize,
    /// All listeners of the server: this worker's own, and those that tickets lead to.
    doors: Arc<Doors>,
    /// On this worker's own, and on those that are given up.
    own: Vec<Ear>,
    /// The number of the next ear.
    next: u32,
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
    /// Whether the poll announces who comes.
    is_watched: bool,
    /// When it is closed, if the listener was given up.
    closes_at: Option<Tick>,
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
    /// The ears of worker number `worker`, on its own of all listeners.
    pub(crate) fn new(
        worker: usize,
        doors: Arc<Doors>,
        balance: Arc<Balance>,
        bells: Arc<[Arc<Doorbell>]>,
    ) -> Self {
        let mut ears = Self {
            worker,
            turns_seen: vec![None; bells.len()].into_boxed_slice(),
            // Whoever is alone has nobody to look after.
            patrol_at: if bells.len() > 1 { Tick::ZERO } else { Tick::NEVER },
            own: Vec::new(),
            next: 0,
            doors: Arc::clone(&doors),
            balance,
            bells,
            reserve: Reserve::new().ok(),
            warned_at: Tick::ZERO,
            closed: false,
        };
        ears.own = doors.of(worker).map(|listener| ears.ear(listener)).collect();
        ears
    }

    /// The number of the worker.
    pub(crate) const fn worker(&self) -> usize {
        self.worker
    }

    /// Begins to listen.
    pub(crate) fn open(&mut self, reactor: &Reactor) -> std::io::Result<()> {
        for ear in &mut self.own {
            ear.watch(reactor)?;
            ear.state = State::Quiet;
        }
        Ok(())
    }

    /// The worker's loop is another one, with `reactor`, which hears of no listener until all are
    /// [opened](Ears::open) again: those at the last of `doors`, and those that are given up and not closed
    /// yet. Who is in a queue stays there.
    #[cold]
    pub(crate) fn begin_anew(&mut self, doors: Vec<Arc<Doors>>, reactor: &Reactor, now: Tick) {
        self.own.iter_mut().for_each(|ear| ear.is_watched = false);
        for doors in doors {
            self.change(doors, reactor, now);
        }
        self.turns_seen.fill(None);
        self.balance.begin_anew(self.worker);
    }

    /// Wakes all workers of the server.
    pub(crate) fn ring_all(&self) {
        ring_all(&self.bells);
    }

    /// Listens at `doors` from now on. What was there before goes on as it is; who is in the queue of a
    /// listener that is not is let in, and then it is closed.
    #[cold]
    pub(crate) fn change(&mut self, doors: Arc<Doors>, reactor: &Reactor, now: Tick) {
        if self.closed {
            return;
        }
        let mut former = std::mem::take(&mut self.own);
        for listener in doors.of(self.worker) {
            let is_its =
                |ear: &Ear| ear.closes_at.is_none() && ear.acceptor.listener().has_queue_of(listener);
            let ear = match former.iter().position(is_its) {
                Some(known) => {
                    let mut ear = former.swap_remove(known);
                    ear.acceptor.turn_to(Arc::clone(listener));
                    ear
                }
                None => self.ear(listener),
            };
            self.own.push(ear);
        }
        for mut ear in former {
            if ear.acceptor.listener().is_borrowed() {
                ear.close(reactor);
                continue;
            }
            if ear.closes_at.is_none() {
                (ear.closes_at, ear.state) = (Some(now.after(HANDSHAKE)), State::Heard);
            }
            self.own.push(ear);
        }
        self.doors = doors;
    }

    fn ear(&mut self, listener: &Arc<Listener>) -> Ear {
        let id = ListenerId(self.next);
        // After so many, the first are closed; and one that is heard in vain has an empty queue.
        self.next = (self.next + 1) % (u32::MAX / 2);
        Ear {
            acceptor: Acceptor::new(Arc::clone(listener)),
            id,
            state: State::Heard,
            is_watched: false,
            closes_at: None,
        }
    }

    /// Stops to listen.
    pub(crate) fn close(&mut self, reactor: &Reactor) {
        for ear in self.own.drain(..) {
            ear.close(reactor);
        }
        self.patrol_at = Tick::NEVER;
        self.doors = Arc::new(Doors::none(self.doors.workers()));
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
            State::Quiet => ear.closes_at,
            State::Heard => None,
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
        let mut index = 0;
        while index < self.own.len() {
            let Some(patient) = self.own[index].attention(now) else {
                index += 1;
                continue;
            };
            let listener = Arc::clone(self.own[index].acceptor.listener());
            let stopped = self.accept_some(Some(index), &listener, patient, shard, reactor, now);
            if stopped == Stopped::Empty && self.own[index].closes_at.is_some_and(|at| now >= at) {
                self.own.swap_remove(index).close(reactor);
                continue;
            }
            self.own[index].state = match stopped {
                Stopped::Empty => self.rest(index, reactor, now),
                Stopped::Budget => State::Heard,
                Stopped::LeftToOthers => State::Later(now.after(TICKET_PATIENCE)),
                Stopped::NoRoom => {
                    shard.stats().accept_pauses.add(1);
                    State::Later(now.after(PAUSE))
                }
            };
            index += 1;
        }
        if now >= self.patrol_at {
            self.patrol(shard, reactor, now);
        }
        self.balance.report(self.worker, shard.len());
    }

    /// Nobody is in the queue of this ear: the poll tells when somebody is. Where it cannot, that is
    /// looked for.
    #[inline]
    fn rest(&mut self, index: usize, reactor: &Reactor, now: Tick) -> State {
        let ear = &mut self.own[index];
        let watched = if ear.is_watched { Ok(()) } else { ear.watch(reactor) };
        let Err(error) = watched else { return State::Quiet };
        let address = ear.acceptor.listener().local_addr().clone();
        self.warn(now, &format!("the listener on {address} cannot be watched: {error}"));
        State::Later(now.after(PAUSE))
    }

    /// Takes what waits for a worker that is stuck in its turn.
    #[cold]
    fn patrol(&mut self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        let (own, workers, doors) = (self.worker, self.turns_seen.len(), Arc::clone(&self.doors));
        let mut suspects = false;
        for worker in (0..workers).filter(|worker| *worker != own) {
            let turn = self.balance.turn_of(worker);
            let seen = std::mem::replace(&mut self.turns_seen[worker], turn);
            suspects |= turn.is_some();
            if turn.is_some() && turn == seen {
                for listener in doors.of(worker) {
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

    /// Lets in everybody that waits, as far as there is room: the last call before closing. Whoever comes
    /// during it is not heard: a queue that is closed resets who stands in it.
    pub(crate) fn accept_all(&mut self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        self.own.iter().for_each(|ear| drop(ear.acceptor.listener().leave()));
        for index in 0..self.own.len() {
            let listener = Arc::clone(self.own[index].acceptor.listener());
            while self.accept_some(Some(index), &listener, false, shard, reactor, now) == Stopped::Budget {}
        }
    }

    fn take_tickets(&self, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
        let doors = Arc::clone(&self.doors);
        for (index, listener) in doors.listeners().iter().enumerate() {
            for _ in 0..doors.take(self.worker, index) {
                if shard.is_full() {
                    break;
                }
                let Ok(stream) = listener.accept() else { break };
                admit(stream, listener.terms(), shard, reactor, now);
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
                    admit(stream, listener.terms(), shard, reactor, now);
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
        // One that is given up is nobody else's.
        if self.doors.give(worker, listener, tickets) {
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

impl Ear {
    /// Whether its queue is to be looked at now, and then whether somebody may be left to other workers.
    #[inline]
    fn attention(&self, now: Tick) -> Option<bool> {
        match self.state {
            State::Heard => Some(self.closes_at.is_none()),
            State::Later(at) => (now >= at).then_some(false),
            State::Quiet => self.closes_at.is_some_and(|at| now >= at).then_some(false),
        }
    }

    fn watch(&mut self, reactor: &Reactor) -> std::io::Result<()> {
        reactor.register_listener(&mut self.acceptor, self.id)?;
        self.is_watched = true;
        Ok(())
    }

    fn close(mut self, reactor: &Reactor) {
        // One that was never registered has no events to end.
        let _ = reactor.deregister(&mut self.acceptor);
        self.acceptor.listener().stop();
    }
}

/// A connection has come: it is served, unless its client has as many as it may.
#[inline]
fn admit(link: Link, terms: &Terms, shard: &mut Shard<Link>, reactor: &Reactor, now: Tick) {
    let Some(seat) = shard.seat_for(&link) else {
        return shard.stats().address_refusals.add(1);
    };
    if shard.is_full() {
        // Now there is somebody to give way to.
        shard.shed_idle();
    }
    if let Some(key) = shard.accept_on(terms, link, seat, now) {
        watch(shard, reactor, key);
    }
}
