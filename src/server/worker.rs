//! [`Worker`]: one thread, one loop: a [`Reactor`], a [`Shard`], and ears on the listeners.
//!
//! ```text
//!   turn:  poll ─► news ─► readiness, accepts, mail ─► deadlines ─► run queue ─► effects ─► log ─► orders
//! ```
//! All decisions about connections are the shard's; all about accepting are [`Ears`]'; here they meet the
//! kernel and the clock, which is read once a turn.

use std::io;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, UNIX_EPOCH};

use crate::app::{App, Mail};
use crate::base::{Key, Mailbox, Tick, Wake as _};
use crate::net::Link;
use crate::net::tls::{self, Tls};
use crate::reactor::{Doorbell, Interest, Reactor, Wake};
use crate::sys::{clock, cpu, descriptors};

use super::doors::Doors;
use super::ears::Ears;
use super::edition::Edition;
use super::redirect::HttpsPort;
use super::shard::{Effect, Shard};

/// The wall clock is looked at so often; in between the other clock tells how it goes on.
const CALENDAR_AGE_MAX: Duration = Duration::from_millis(100);

/// Of so many turns one is measured.
const LAG_SAMPLE: u64 = 16;

/// What a worker is made of. Built on the starting thread, run on its own.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) reactor: Reactor,
    pub(crate) shard: Shard<Link>,
    pub(crate) mailbox: Mailbox<Mail>,
    pub(crate) ears: Ears,
    pub(crate) control: Arc<Control>,
    /// How often there had been something new when this worker looked.
    pub(crate) generation: u64,
    /// The CPU to stay on.
    pub(crate) pin_to: Option<usize>,
    /// Whether to work with a descriptor table of its own.
    pub(crate) private_descriptors: bool,
}

/// Orders to all workers of a server.
#[derive(Debug)]
pub(crate) struct Control {
    draining: AtomicBool,
    stopping: AtomicBool,
    /// When a drain begins in earnest, and when it ends at the latest, in nanoseconds of the clock.
    drain_from: AtomicU64,
    drain_until: AtomicU64,
    /// How often there was something new.
    generation: AtomicU64,
    /// Where visitors are sent to who are sent to https.
    https: Arc<HttpsPort>,
    present: Mutex<Present>,
}

/// What counts now.
#[derive(Debug)]
struct Present {
    edition: Arc<Edition>,
    /// The generation that this one began with.
    edition_since: u64,
    tls: Option<Tls>,
    /// Those that were ordered last: they are the workers', and closed when no worker listens any more.
    doors: Weak<Doors>,
    /// For each worker those that it has not seen yet.
    letters: Box<[Vec<Arc<Doors>>]>,
}

/// What is new to a worker.
struct News {
    edition: Option<Arc<Edition>>,
    doors: Vec<Arc<Doors>>,
}

impl Control {
    /// No orders yet: `edition` is served at `doors`, whose workers know it, with `tls` where it is
    /// encrypted, at the port `https`.
    pub(crate) fn new(
        edition: Arc<Edition>,
        doors: &Arc<Doors>,
        tls: Option<Tls>,
        https: Arc<HttpsPort>,
    ) -> Self {
        let letters = (0..doors.workers()).map(|_| Vec::new()).collect();
        let present = Present { edition, edition_since: 0, tls, doors: Arc::downgrade(doors), letters };
        Self {
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            drain_from: AtomicU64::new(0),
            drain_until: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            https,
            present: Mutex::new(present),
        }
    }

    /// After `delay`: no new connections or requests; what is still open when `grace` is over is closed.
    pub(crate) fn drain(&self, delay: Duration, grace: Duration) {
        let from = now().after(delay);
        self.drain_until.store(from.after(grace).as_nanos(), Relaxed);
        // Without a delay it is time, whatever a worker that is in its turn takes for now.
        let from = if delay.is_zero() { Tick::ZERO } else { from };
        self.drain_from.store(from.as_nanos(), Relaxed);
        self.draining.store(true, Release);
    }

    /// New requests are answered by what `renew` makes of what answers them now.
    pub(crate) fn replace(&self, renew: impl FnOnce(&Edition) -> Edition) {
        let mut present = self.present();
        let renewed = Arc::new(renew(&present.edition));
        let former = std::mem::replace(&mut present.edition, renewed);
        present.edition_since = self.generation.fetch_add(1, Release) + 1;
        drop(present);
        // Not under the lock: to take down what nobody uses any more may take its time.
        drop(former);
    }

    /// What is opened from now on is encrypted with `tls`.
    pub(crate) fn encrypt(&self, tls: Option<Tls>) {
        self.present().tls = tls;
    }

    /// The workers listen at `doors`, and whoever is sent to https is sent there.
    pub(crate) fn move_to(&self, doors: &Arc<Doors>) {
        self.https.set(doors.https_port());
        let mut present = self.present();
        present.doors = Arc::downgrade(doors);
        present.letters.iter_mut().for_each(|letters| letters.push(Arc::clone(doors)));
        self.generation.fetch_add(1, Release);
    }

    /// All workers have ended: whoever still has a handle keeps no app alive, nor an app itself by one;
    /// and no listener.
    pub(crate) fn retire(&self) {
        self.replace(|edition| Edition::new(App::new(), edition.config.clone()));
        self.present().letters.iter_mut().for_each(Vec::clear);
    }

    /// What worker number `worker` does not know yet, which knows what counted in `generation`; it does
    /// then.
    fn news(&self, worker: usize, generation: &mut u64) -> Option<News> {
        if !self.is_newer_than(*generation) {
            return None;
        }
        let mut present = self.present();
        let known = std::mem::replace(generation, self.generation.load(Acquire));
        let edition = (present.edition_since > known).then(|| Arc::clone(&present.edition));
        let doors = present.letters.get_mut(worker).map(std::mem::take).unwrap_or_default();
        Some(News { edition, doors })
    }

    #[inline]
    fn is_newer_than(&self, generation: u64) -> bool {
        self.generation.load(Acquire) != generation
    }

    /// The same for a worker that begins anew, whatever it knows: what counts, and where the server listens.
    pub(super) fn all_news(&self, worker: usize, generation: &mut u64) -> (Arc<Edition>, Vec<Arc<Doors>>) {
        let mut present = self.present();
        *generation = self.generation.load(Acquire);
        let mut doors = present.letters.get_mut(worker).map(std::mem::take).unwrap_or_default();
        doors.extend(present.doors.upgrade());
        (Arc::clone(&present.edition), doors)
    }

    /// What new requests are answered by.
    pub(crate) fn edition(&self) -> Arc<Edition> {
        Arc::clone(&self.present().edition)
    }

    /// Where the server listens; nothing, where it does not any more.
    pub(crate) fn doors(&self) -> Option<Arc<Doors>> {
        self.present().doors.upgrade()
    }

    /// Where visitors are sent to who are sent to https.
    pub(super) const fn https(&self) -> &Arc<HttpsPort> {
        &self.https
    }

    /// What new connections are encrypted with.
    pub(crate) fn tls(&self) -> Option<Tls> {
        self.present().tls.clone()
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything is closed now.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether one of the two was ordered.
    pub(crate) fn is_ending(&self) -> bool {
        self.draining.load(Relaxed) || self.stopping.load(Relaxed)
    }
}

/// The clock's present reading.
pub(crate) fn now() -> Tick {
    Tick::from_nanos(clock::now_nanos())
}

/// The same for the stages of requests.
pub(crate) fn stopwatch() -> Tick {
    Tick::from_nanos(clock::stopwatch_nanos())
}

impl Worker {
    /// Turns the loop until the server stops, or until it was told to drain and nothing is left.
    ///
    /// # Errors
    /// What the poll reports; the reactor is then beyond repair.
    pub(super) fn turn_on(&mut self) -> io::Result<()> {
        self.ears.open(&self.reactor)?;
        let mut wakes = Vec::new();
        let mut letters = Vec::new();
        let mut log_due = None;
        let mut now = now();
        let mut calendar = Calendar::at(now);
        loop {
            let until = self.next_moment(now, log_due);
            self.reactor.turn(now, until, &mut wakes)?;
            self.ears.turn_over();
            self.mailbox.awake();
            now = self::now();
            tls::begin_turn(now);
            self.take_news(now);
            self.shard.set_unix_millis(calendar.unix_millis(now));
            for wake in wakes.drain(..) {
                match wake {
                    Wake::Ready(key, readiness) => self.shard.ready(key, readiness, now),
                    Wake::Accept(listener) => self.ears.heard(listener),
                    Wake::Mail => {}
                }
            }
            self.ears.accept(&mut self.shard, &self.reactor, now);
            self.mailbox.drain(&mut letters);
            for mail in letters.drain(..) {
                self.shard.deliver(mail, now);
            }
            self.shard.expire(now);
            self.shard.run(now);
            self.perform_effects();
            log_due = self.shard.flush_log(now);
            self.note_turn(now);
            if self.obey(now) {
                return Ok(());
            }
            self.ears.turn_over();
        }
    }

    /// Before anything of the turn: who asks after a replacement is answered by what came of it.
    #[inline]
    fn take_news(&mut self, now: Tick) {
        if let Some(news) = self.control.news(self.ears.worker(), &mut self.generation) {
            if let Some(edition) = news.edition {
                self.shard.replace(edition);
            }
            for doors in news.doors {
                self.ears.change(doors, &self.reactor, now);
            }
        }
    }

    /// What the thread asks the system for; refused by some containers, and then done without.
    pub(super) fn settle_in(&self) {
        if let Some(cpu) = self.pin_to
            && let Err(error) = cpu::pin_current_thread(cpu)
        {
            log::warn!("cannot stay on CPU {cpu}: {error}");
        }
        if self.private_descriptors
            && let Err(error) = descriptors::private_table()
        {
            log::debug!("no descriptor table of its own for this worker: {error}");
        }
    }

    /// When the poll must end: at once if there is work.
    fn next_moment(&self, now: Tick, log_due: Option<Tick>) -> Tick {
        if self.shard.has_work()
            || self.ears.have_work()
            || self.has_orders(now)
            || !self.mailbox.prepare_sleep()
        {
            return Tick::ZERO;
        }
        let next = [self.shard.next_deadline(), self.ears.next_look(), log_due, self.next_of_drain()];
        next.into_iter().flatten().min().unwrap_or(Tick::NEVER)
    }

    /// Counts the turn that began at `now`, and how long it took: of one turn in sixteen, and of every one
    /// that was so long that the coarse clock shows it.
    #[inline]
    fn note_turn(&self, now: Tick) {
        let stats = self.shard.stats();
        stats.turns.add(1);
        if stats.turns.get().is_multiple_of(LAG_SAMPLE) || clock::coarse_nanos() > now.as_nanos() {
            stats.lagged(clock::now_nanos() - now.as_nanos());
        }
    }

    /// What the shard asked for.
    #[inline]
    fn perform_effects(&mut self) {
        while let Some(Effect::WatchWrites(key)) = self.shard.effects().pop() {
            let Some(stream) = self.shard.transport(key) else { continue };
            if let Err(error) = self.reactor.reregister(stream, key, Interest::ReadWrite) {
                log::warn!("connection {key} cannot be watched: {error}");
            }
        }
    }

    /// Whether an order was given that is not followed yet. Its bell may have rung in vain: where mio polls
    /// with poll(2), a source that is registered at that moment swallows it.
    fn has_orders(&self, now: Tick) -> bool {
        self.control.stopping.load(Relaxed)
            || self.control.is_newer_than(self.generation)
            || (self.control.draining.load(Acquire) && !self.ears.are_closed() && now >= self.drain_from())
    }

    /// When a drain that was ordered goes on by itself.
    fn next_of_drain(&self) -> Option<Tick> {
        let is_ordered = self.control.draining.load(Acquire);
        is_ordered.then(|| if self.ears.are_closed() { self.drain_until() } else { self.drain_from() })
    }

    /// Follows the control's orders; whether the worker is done.
    fn obey(&mut self, now: Tick) -> bool {
        if self.control.stopping.load(Relaxed) {
            self.ears.close(&self.reactor);
            self.shard.stop();
            return true;
        }
        if !self.control.draining.load(Acquire) || now < self.drain_from() {
            return false;
        }
        if !self.ears.are_closed() {
            // Whoever the kernel has let in is served: a closed listener would reset them.
            self.shard.drain(now);
            self.ears.accept_all(&mut self.shard, &self.reactor, now);
            self.ears.close(&self.reactor);
        }
        if !self.shard.is_empty() && now >= self.drain_until() {
            self.shard.end_drain();
        }
        self.shard.is_empty()
    }

    fn drain_from(&self) -> Tick {
        Tick::from_nanos(self.control.drain_from.load(Relaxed))
    }

    fn drain_until(&self) -> Tick {
        Tick::from_nanos(self.control.drain_until.load(Relaxed))
    }
}

/// Has the poll watch a connection that is open after its first turn.
pub(crate) fn watch(shard: &mut Shard<Link>, reactor: &Reactor, key: Key) {
    let Some(stream) = shard.transport(key) else { return };
    if let Err(error) = reactor.register(stream, key, Interest::Read) {
        log::warn!("connection {key} cannot be watched: {error}");
        shard.abandon(key);
    }
}

/// Wakes all workers of a server.
pub(crate) fn ring_all(bells: &[Arc<Doorbell>]) {
    for bell in bells {
        bell.wake();
    }
}

/// The wall clock, without a call for each turn.
struct Calendar {
    looked_at: Tick,
    showed_millis: u64,
}

impl Calendar {
    fn at(now: Tick) -> Self {
        Self { looked_at: now, showed_millis: unix_millis() }
    }

    /// Milliseconds since 1970.
    #[inline]
    fn unix_millis(&mut self, now: Tick) -> u64 {
        if now.since(self.looked_at) >= CALENDAR_AGE_MAX {
            *self = Self::at(now);
        }
        self.showed_millis + u64::from(now.since(self.looked_at).subsec_millis())
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = clock::unix_time().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
