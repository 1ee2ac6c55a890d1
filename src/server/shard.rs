//! [`Shard`]: all connections of one worker, their timers and their mail. No poll, no clock, no thread.
//!
//! ```text
//!   accept ─┐                          ┌─► effects (watch for room)
//!   ready ──┤  slot ─► turn ─► verdict ┼─► run queue (Again)
//!   deliver ┤                          └─► wheel (deadline)
//!   expire ─┘
//! ```
//! The transport is a parameter and time is an argument, so that a simulated network and a virtual clock
//! can take the place of the real ones. Laws: nobody touches another slot; stopped early means on the
//! run queue; a stale key finds no slot; a panic ends one connection.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::app::{AddressSeat, ConnectionsPerAddress, Mail};
use crate::base::{Key, Slots, Tick, Wheel};
use crate::http::Phase;
use crate::net::{Link, Peer, Terms, Transport};
use crate::proto::h1;
use crate::reactor::Readiness;

use super::access_log::Rings;
use super::call::Env;
use super::connection::{Connection, Desk, Verdict};
use super::edition::Edition;
use super::peers::Peers;
use super::scratch::{Answered, Presets, Scratch};
use super::stats::{Cause, CloseReason, Stats, Timeout};

/// What a waiting connection costs in its slot, in bytes: all of its own memory, and no buffer. Its timer is
/// another 12.
pub const CONNECTION_BYTES: usize = size_of::<(std::num::NonZeroU32, Connection<Link>)>();
/// How many slots one search for an idle connection looks at.
const SHED_LOOKS_MAX: usize = 64;

/// What the worker must do for the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The poll shall tell about room to write, too.
    WatchWrites(Key),
}

/// The place of a connection among those of its client.
#[derive(Debug, Default)]
pub enum Seat {
    /// Nobody counts.
    #[default]
    Uncounted,
    /// A proxy has yet to say whose connection it is.
    Awaited,
    /// Until the connection ends.
    Taken(AddressSeat),
}

/// The connections of one worker.
pub struct Shard<T> {
    env: Env,
    /// What connections are given that came where visitors are sent to https, if there may be some.
    to_https: Option<Env>,
    slots: Slots<Connection<T>>,
    wheel: Wheel,
    run_queue: VecDeque<Key>,
    scratch: Scratch,
    rings: Option<Rings>,
    peers: Peers,
    fired: Vec<u32>,
    effects: Vec<Effect>,
    draining: bool,
    /// How many connections each client has, where that is limited.
    addresses: Option<Arc<ConnectionsPerAddress>>,
    /// By the connection's place; and how many of them are awaited.
    seats: Vec<Seat>,
    seats_awaited: usize,
    /// Where the next search for an idle connection begins.
    shed_from: u32,
}

impl<T: Transport> Shard<T> {
    /// A shard for at most `connections_max` connections.
    pub fn new(env: Env, connections_max: usize, rings: Option<Rings>) -> Self {
        let growth_bytes_max = env.edition.config.limits.http2.worker_growth_bytes_max;
        let presets = Presets::new(&env.edition.config, env.unix_millis / 1000);
        Self {
            slots: Slots::with_capacity(connections_max),
            wheel: Wheel::new(connections_max),
            run_queue: VecDeque::new(),
            scratch: Scratch::new(presets, growth_bytes_max),
            rings,
            peers: Peers::default(),
            fired: Vec::new(),
            effects: Vec::new(),
            draining: false,
            addresses: env.edition.addresses.clone(),
            seats: Vec::new(),
            seats_awaited: 0,
            shed_from: 0,
            to_https: beside(&env),
            env,
        }
    }

    /// How many connections there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether no slot is free.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// Whether some connection could go on at once: the worker must not sleep.
    #[inline]
    pub fn has_work(&self) -> bool {
        !self.run_queue.is_empty()
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.env.stats
    }

    /// The wall clock, for `Date` and the log.
    pub fn set_unix_millis(&mut self, unix_millis: u64) {
        self.env.unix_millis = unix_millis;
        if let Some(beside) = &mut self.to_https {
            beside.unix_millis = unix_millis;
        }
        self.scratch.blank.presets.set_second(unix_millis / 1000);
    }

    /// New requests are answered by `edition` from now on; what is open keeps what it began with.
    pub fn replace(&mut self, edition: Arc<Edition>) {
        let former = std::mem::replace(&mut self.env.edition, edition);
        for connection in self.slots.values_mut() {
            connection.replace(former.of(connection.to_https), &self.env.edition);
        }
        self.to_https = beside(&self.env);
        // Who is here already and was not counted is not.
        self.addresses = self.env.edition.addresses.clone();
        self.scratch.blank.presets = Presets::new(&self.env.edition.config, self.env.unix_millis / 1000);
        if let Some(logs) = &self.env.edition.logs {
            match &mut self.rings {
                Some(rings) => rings.renew(logs),
                None => self.rings = Rings::of_any(logs),
            }
        }
        if let Some(unused) = Arc::into_inner(former) {
            // To take a large app down takes its time: no loop waits for it if another thread can do it.
            let _is_full = self.env.pool.submit(Box::new(move || drop(unused)));
        }
    }

    /// Takes a new connection and gives it its first turn. Its key, if it is still open afterwards;
    /// the caller then has the poll watch it.
    ///
    /// # Panics
    /// If the shard is full (debug builds).
    pub fn accept(&mut self, transport: T, now: Tick) -> Option<Key> {
        self.accept_seated(transport, Seat::Uncounted, now)
    }

    /// The same for a client whose connections are counted: it has its [seat](Shard::seat_for) until the
    /// connection ends.
    ///
    /// # Panics
    /// If the shard is full (debug builds).
    pub fn accept_seated(&mut self, transport: T, seat: Seat, now: Tick) -> Option<Key> {
        self.accept_on(&Terms::default(), transport, seat, now)
    }

    /// The same for one that came in on these terms: with its versions, and to be answered by whoever answers
    /// there.
    ///
    /// # Panics
    /// If the shard is full (debug builds).
    pub fn accept_on(&mut self, terms: &Terms, transport: T, seat: Seat, now: Tick) -> Option<Key> {
        let config = &self.env.edition.config;
        let machine = h1::Server::new(Arc::clone(&config.limits.http1));
        let mut connection = Connection::new(transport, machine, now, &config.timeouts);
        connection.dialogue.speak(terms.versions);
        connection.to_https = terms.to_https;
        let deadline = connection.deadline();
        if self.draining {
            connection.drain(now, &config.timeouts);
        }
        let Ok(key) = self.slots.insert(connection) else {
            debug_assert!(false, "the caller asks is_full first");
            return None;
        };
        let stats = &self.env.stats;
        stats.accepts.add(1);
        stats.phases[Phase::Idle as usize].add(1);
        if !matches!(seat, Seat::Uncounted) {
            let place = key.index() as usize;
            self.seats.resize_with(self.seats.len().max(place + 1), Seat::default);
            self.seats_awaited += usize::from(matches!(seat, Seat::Awaited));
            self.seats[place] = seat;
        }
        self.wheel.arm(key.index(), deadline);
        self.drive(key, now, Connection::turn);
        self.slots.get(key).is_some().then_some(key)
    }

    /// The seat of a connection that has come; `None` if its client has as many as it may.
    #[inline]
    pub fn seat_for(&self, transport: &T) -> Option<Seat> {
        match &self.addresses {
            None => Some(Seat::Uncounted),
            Some(_) if !transport.is_peer_known() => Some(Seat::Awaited),
            Some(addresses) => match transport.peer() {
                // Whose clients tell the proxies that are believed: none of them is it.
                Peer::Ip(address) if self.trusts(address.ip()) => Some(Seat::Uncounted),
                Peer::Ip(address) => addresses.take_seat(address.ip()).map(Seat::Taken),
                Peer::Unix | Peer::Unknown => Some(Seat::Uncounted),
            },
        }
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.env.edition.config.trust.as_ref().is_some_and(|trust| trust.trusts(peer))
    }

    /// The socket of a connection.
    pub fn transport(&mut self, key: Key) -> Option<&mut T> {
        self.slots.get_mut(key).map(Connection::transport)
    }

    /// The poll said something about a connection. A stale key is ignored.
    #[inline]
    pub fn ready(&mut self, key: Key, readiness: Readiness, now: Tick) {
        let Some(connection) = self.slots.get_mut(key) else { return };
        connection.note(readiness);
        self.drive(key, now, Connection::turn);
    }

    /// A letter came: a late answer, or a wake-up. One whose exchange is over is counted and dropped.
    pub fn deliver(&mut self, mail: Mail, now: Tick) {
        let (Mail::Answer { to, .. } | Mail::Abandoned { to } | Mail::Again { to } | Mail::Wakeup { to }) =
            &mail;
        let (key, wakes) = (to.connection, matches!(mail, Mail::Wakeup { .. }));
        let mut taken = false;
        self.drive(key, now, |connection, key, desk| match connection.deliver(key, mail, desk) {
            Some(verdict) => {
                taken = true;
                verdict
            }
            None => Verdict::Rest,
        });
        if !taken && !wakes {
            self.env.stats.late_answers.add(1);
        }
    }

    /// Looks at the deadlines that have passed.
    #[inline]
    pub fn expire(&mut self, now: Tick) {
        if self.wheel.next().is_none_or(|next| next > now) {
            return;
        }
        let slots = &self.slots;
        let deadline_of = |index| match slots.key_at(index).and_then(|key| slots.get(key)) {
            Some(connection) => connection.deadline(),
            None => Tick::NEVER,
        };
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.expire(now, deadline_of, &mut fired);
        for index in fired.drain(..) {
            if let Some(key) = self.slots.key_at(index) {
                self.drive(key, now, Connection::expired);
                // Whoever was looked at is off the wheel.
                if let Some(connection) = self.slots.get(key) {
                    self.wheel.arm(index, connection.deadline());
                }
            }
        }
        self.fired = fired;
    }

    /// Gives each connection that stopped early one more turn.
    pub fn run(&mut self, now: Tick) {
        if !self.run_queue.is_empty() {
            self.env.stats.run_queue_turns.add(1);
        }
        for _ in 0..self.run_queue.len() {
            let Some(key) = self.run_queue.pop_front() else { break };
            if let Some(connection) = self.slots.get_mut(key) {
                connection.queued = false;
                if self.seats_awaited == 0 || self.settle_seat(key) {
                    self.drive(key, now, Connection::turn);
                }
            }
        }
        let queues = self.scratch.queues.out() - usize::from(self.scratch.output.is_some());
        self.env.stats.carry_buffers.set(self.scratch.carries.out() as u64);
        self.env.stats.pending_buffers.set(queues as u64);
    }

    /// When [`Shard::expire`] has something to look at.
    #[inline]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.wheel.next()
    }

    /// What the worker must do; the list is emptied by it.
    #[inline]
    pub const fn effects(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    /// At a turn's end: hands due log lines to their writer. When the others are due.
    #[inline]
    pub fn flush_log(&mut self, now: Tick) -> Option<Tick> {
        let rings = self.rings.as_mut()?;
        rings.flush(now)
    }

    /// Gives a connection up that the poll cannot watch.
    pub fn abandon(&mut self, key: Key) {
        self.close(key, CloseReason::Abandoned);
    }

    /// No further exchanges: idle connections close, those that were used just now after a moment of silence
    /// or their next answer; the others after theirs.
    pub fn drain(&mut self, now: Tick) {
        self.draining = true;
        let keys: Vec<Key> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(connection) = self.slots.get_mut(key) else { continue };
            if connection.drain(now, &self.env.edition.config.timeouts) {
                self.close(key, CloseReason::Drained);
                continue;
            }
            self.wheel.arm(key.index(), connection.deadline());
            if !std::mem::replace(&mut connection.queued, true) {
                // It may have something to say of that.
                self.run_queue.push_back(key);
            }
        }
    }

    /// Closes every connection at once.
    pub fn stop(&mut self) {
        let keys: Vec<Key> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.close(key, CloseReason::Stopped);
        }
    }

    /// The drain's deadline has passed: closes every connection that has outlasted it.
    pub fn end_drain(&mut self) {
        let keys: Vec<Key> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.env.stats.timed_out(Timeout::Drain);
            self.close_for(key, CloseReason::TimedOut, Cause::Timeout(Timeout::Drain));
        }
    }

    /// The loop has failed in a way that no single connection is to blame for: closes all that it has, and
    /// begins as a new shard would, with `edition`. The counters go on, and no key finds a slot that it has
    /// not found before.
    #[cold]
    pub fn begin_anew(&mut self, edition: Arc<Edition>) {
        let keys: Vec<Key> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            // What is broken in one of them keeps none of the others.
            let _ = catch_unwind(AssertUnwindSafe(|| self.close(key, CloseReason::Failed)));
        }
        let stats = &self.env.stats;
        stats.phases.iter().for_each(|phase| phase.set(0));
        for gauge in [&stats.body_bytes, &stats.carry_buffers, &stats.pending_buffers] {
            gauge.set(0);
        }
        self.wheel = Wheel::new(self.slots.slots_max());
        let growth_bytes_max = edition.config.limits.http2.worker_growth_bytes_max;
        let presets = Presets::new(&edition.config, self.env.unix_millis / 1000);
        self.scratch = Scratch::new(presets, growth_bytes_max);
        self.rings = edition.logs.as_ref().and_then(Rings::of_any);
        self.peers = Peers::default();
        self.run_queue.clear();
        self.fired.clear();
        self.effects.clear();
        self.seats.clear();
        self.seats_awaited = 0;
        let former = std::mem::replace(&mut self.env.edition, edition);
        self.to_https = beside(&self.env);
        self.addresses = self.env.edition.addresses.clone();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(former)));
    }

    /// Whether an idle connection could give way to a new one. Looks at a bounded number of slots and goes
    /// on where it stopped.
    pub fn has_idle(&mut self) -> bool {
        let slots = u32::try_from(self.slots.slots_max()).unwrap_or(u32::MAX);
        for _ in 0..SHED_LOOKS_MAX {
            if self.is_idle(self.shed_from) {
                return true;
            }
            self.shed_from = if self.shed_from + 1 < slots { self.shed_from + 1 } else { 0 };
        }
        false
    }

    /// Closes an idle connection, so that a new one finds a slot; whether there was one.
    pub fn shed_idle(&mut self) -> bool {
        if self.has_idle()
            && let Some(key) = self.slots.key_at(self.shed_from)
        {
            self.close(key, CloseReason::Shed);
            return true;
        }
        false
    }

    /// How many buffers connections own: none while they rest.
    pub fn buffers_out(&self) -> usize {
        let lent = usize::from(self.scratch.output.is_some());
        self.scratch.carries.out() + self.scratch.queues.out() - lent
    }

    /// Checks what must hold between turns. For tests: takes time for every connection.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn validate(&self) {
        self.wheel.validate();
        let mut owned = 0;
        for (key, connection) in self.slots.iter() {
            let resting = connection.phase() == Phase::Idle;
            assert!(
                !resting || connection.queued || connection.owns_nothing(),
                "{key} rests and owns a buffer"
            );
            let (carry, queue) = connection.buffers();
            owned += carry + queue;
            let deadline = connection.deadline();
            assert!(
                deadline == Tick::NEVER || self.wheel.is_armed(key.index()),
                "{key} has a deadline and no timer"
            );
        }
        let out = self.buffers_out();
        assert!(out == owned, "buffers leak: {out} are out, {owned} are owned");
    }

    fn is_idle(&self, index: u32) -> bool {
        let connection = self.slots.key_at(index).and_then(|key| self.slots.get(key));
        connection.is_some_and(|found| found.phase() == Phase::Idle && found.owns_nothing())
    }

    /// One connection acts; its verdict is carried out.
    #[inline]
    fn drive(
        &mut self,
        key: Key,
        now: Tick,
        act: impl FnOnce(&mut Connection<T>, Key, &mut Desk<'_>) -> Verdict,
    ) {
        let Some(connection) = self.slots.get_mut(key) else { return };
        let before = connection.deadline();
        let env = self.to_https.as_ref().filter(|_| connection.to_https).unwrap_or(&self.env);
        let (scratch, rings) = (&mut self.scratch, self.rings.as_mut());
        let mut desk = Desk { env, scratch, rings, peers: &self.peers, now };
        let acted = catch_unwind(AssertUnwindSafe(|| act(&mut *connection, key, &mut desk)));
        match acted {
            Ok(Verdict::Rest) => {}
            Ok(Verdict::Again) => {
                if !std::mem::replace(&mut connection.queued, true) {
                    self.run_queue.push_back(key);
                }
            }
            Ok(Verdict::Close(reason)) => return self.close(key, reason),
            Err(_) => return self.close_panicked(key),
        }
        if connection.wants_writes() {
            connection.watches_writes = true;
            self.effects.push(Effect::WatchWrites(key));
        }
        // Later deadlines are found when the old one fires: only an earlier one costs anything.
        let deadline = connection.deadline();
        if deadline < before || before == Tick::NEVER {
            self.wheel.arm(key.index(), deadline);
        }
    }

    /// A proxy may have said for whom it comes: that client is counted now. Whether the connection lives.
    #[cold]
    fn settle_seat(&mut self, key: Key) -> bool {
        let place = key.index() as usize;
        let is_awaited = matches!(self.seats.get(place), Some(Seat::Awaited));
        let connection = self.slots.get(key).filter(|_| is_awaited);
        let Some(transport) = connection.map(|connection| &connection.transport) else { return true };
        if !transport.is_peer_known() {
            return true;
        }
        match self.seat_for(transport) {
            Some(seat) => {
                self.seats[place] = seat;
                self.seats_awaited -= 1;
                true
            }
            None => {
                self.env.stats.address_refusals.add(1);
                self.close(key, CloseReason::Crowded);
                false
            }
        }
    }

    fn close(&mut self, key: Key, reason: CloseReason) {
        self.close_for(key, reason, reason.into());
    }

    /// Closes a connection; `cause`: why what is open on it ends.
    fn close_for(&mut self, key: Key, reason: CloseReason, cause: Cause) {
        let Some(mut connection) = self.slots.remove(key) else { return };
        self.wheel.disarm(key.index());
        if let Some(seat) = self.seats.get_mut(key.index() as usize) {
            let seat = std::mem::take(seat);
            self.seats_awaited -= usize::from(matches!(seat, Seat::Awaited));
        }
        if connection.has_open() {
            let env = self.to_https.as_ref().filter(|_| connection.to_https).unwrap_or(&self.env);
            let (scratch, rings) = (&mut self.scratch, self.rings.as_mut());
            // Nothing is measured any more.
            let mut desk = Desk { env, scratch, rings, peers: &self.peers, now: Tick::ZERO };
            connection.end_open(key, cause, &mut desk);
        }
        self.peers.forget(key);
        connection.give_back(&mut self.scratch);
        let stats = &self.env.stats;
        stats.phases[connection.phase() as usize].sub(1);
        stats.closed(reason);
        // What a handler has left in it is the handler's code, too.
        if catch_unwind(AssertUnwindSafe(|| drop(connection))).is_err() {
            self.env.stats.handler_panics.add(1);
        }
    }

    /// A source, a sink or one of our own invariants failed within a turn: the connection ends, the
    /// worker goes on.
    #[cold]
    fn close_panicked(&mut self, key: Key) {
        log::error!("connection {key} failed within its turn and was closed");
        self.env.stats.handler_panics.add(1);
        self.scratch.output = None;
        self.scratch.blank.response.reset();
        self.scratch.blank.reader = None;
        self.scratch.blank.answered = Answered::default();
        if let Some(rings) = &mut self.rings {
            rings.leave_at((self.env.stopwatch)());
        }
        self.close(key, CloseReason::Failed);
        let owned = self.slots.iter().map(|(_, connection)| connection.buffers());
        let (carries, queues) = owned.fold((0, 0), |sum, owned| (sum.0 + owned.0, sum.1 + owned.1));
        self.scratch.carries.recount(carries);
        self.scratch.queues.recount(queues);
    }
}

/// The same for whoever is sent to https.
fn beside(env: &Env) -> Option<Env> {
    let edition = env.edition.redirect.as_ref()?;
    Some(Env { edition: Arc::clone(edition), ..env.clone() })
}

impl<T> std::fmt::Debug for Shard<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("connections", &self.slots.len())
            .field("run_queue", &self.run_queue.len())
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}
