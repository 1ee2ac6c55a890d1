//! [`World`]: one shard, its clients, and a loop that calls the shard as the real worker does.
//!
//! ```text
//!   turn:  network, jobs ─► readiness ─► accepts ─► mail ─► deadlines ─► run queue ─► effects ─► checks
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kolk::app::{BlockingPool, Mail, Presence};
use kolk::base::{Key, Mailbox, Tick, Wake};
use kolk::proto::h2;
use kolk::reactor::Readiness;
use kolk::server::{
    Config, Edition, Effect, Env, Shard,
    stats::{CloseReason, Snapshot, Stats},
};

use crate::client::{Client, Manner};
use crate::dice::Dice;
use crate::guest::Guest;
use crate::multi::Multi;
use crate::net::{Pipe, Shared, SimTransport};
use crate::script::Script;
use crate::site;

/// Turns after which a world must have come to rest.
const TURNS_MAX: u64 = 60_000;
/// Turns in which the shard says that it has work, and moves nothing.
const IDLE_TURNS_MAX: u64 = 200;
/// After so many turns an app takes over that does the same.
const REPLACED_EVERY: u64 = 64;
/// How long a drain may take.
const GRACE: Duration = Duration::from_secs(300);

/// Counts what the mailbox wanted to wake.
#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a simulation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of everything that happened.
    pub(crate) hash: u64,
    pub(crate) turns: u64,
    pub(crate) answers: u64,
}

pub(crate) struct World {
    dice: Shared<Dice>,
    shard: Shard<SimTransport>,
    stats: Arc<Stats>,
    mailbox: Mailbox<Mail>,
    config: Config,
    bell: Arc<Bell>,
    clients: Vec<Guest>,
    keys: Vec<Option<Key>>,
    /// Keys whose guests have left.
    stale: Vec<Key>,
    /// Clients that were not accepted yet.
    queue: Vec<usize>,
    faults: u64,
    now: Tick,
    turn: u64,
    idle_turns: u64,
    progress: u64,
    /// Nothing but clients and faults: no drain, no stop, no clock jump, nobody shed.
    calm: bool,
    /// Nothing but a drain disturbed the calm.
    gentle: bool,
    /// When to drain or stop, in turns.
    drain_at: u64,
    stop_at: u64,
    drain_until: Option<Tick>,
    jumps: bool,
    hash: u64,
    verbose: bool,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> Self {
        site::clear();
        let mut dice = Dice::new(seed);
        let bell = Arc::new(Bell::default());
        let mailbox = Mailbox::new(Arc::clone(&bell) as Arc<dyn Wake>, 10_000);
        let stats = Arc::new(Stats::default());
        let config = config(&mut dice);
        let env = Env {
            edition: Arc::new(Edition::new(site::app(), config.clone())),
            stats: Arc::clone(&stats),
            post: mailbox.post(),
            pool: Arc::new(BlockingPool::new(1, 1)),
            worker: 0,
            recorder: None,
            stopwatch: site::now,
            unix_millis: 784_111_777_000,
        };
        let shares = dice.chance(300);
        let count = 1 + dice.length(8);
        let slots = if shares { 1 + dice.length(3) } else { 16 };
        let faults = dice.pick(&[0, 10, 100, 300]);
        let drain_at = if dice.chance(100) { dice.below(300) } else { u64::MAX };
        let stop_at = if dice.chance(50) { dice.below(300) } else { u64::MAX };
        let jumps = dice.chance(50);
        let clients: Vec<Guest> = (0..count).map(|number| draw_client(&mut dice, number)).collect();
        Self {
            dice: Rc::new(RefCell::new(dice)),
            shard: Shard::new(env, slots, None),
            config,
            stats,
            mailbox,
            bell,
            keys: vec![None; count],
            queue: (0..count).collect(),
            clients,
            stale: Vec::new(),
            faults,
            now: Tick::from_millis(1_000),
            turn: 0,
            idle_turns: 0,
            progress: 0,
            calm: !jumps,
            gentle: !jumps,
            drain_at,
            stop_at,
            drain_until: None,
            jumps,
            hash: 0xCBF2_9CE4_8422_2325,
            verbose,
        }
    }

    /// Turns until nothing is left to do.
    pub(crate) fn run(mut self) -> Result<Outcome, String> {
        if self.verbose {
            for (number, client) in self.clients.iter().enumerate() {
                client.tell(number);
            }
        }
        loop {
            self.turn()?;
            let at = self.next_moment();
            if at == Tick::NEVER {
                break;
            }
            if self.turn > TURNS_MAX {
                return Err(format!("no rest after {TURNS_MAX} turns"));
            }
            self.pass(at);
        }
        self.at_rest()
    }

    fn turn(&mut self) -> Result<(), String> {
        self.turn += 1;
        site::set_now(self.now);
        self.network()?;
        self.jobs()?;
        self.mailbox.awake();
        self.shard.set_unix_millis(784_111_777_000 + self.now.as_nanos() / 1_000_000);
        self.events();
        self.accept();
        self.mail();
        self.shard.expire(self.now);
        let busy = self.shard.has_work();
        self.shard.run(self.now);
        self.effects();
        self.shard.flush_log(self.now);
        self.orders();
        self.shard.validate();
        self.measure(busy)
    }

    /// Bytes arrive, and clients act.
    fn network(&mut self) -> Result<(), String> {
        for number in 0..self.clients.len() {
            let mut dice = self.dice.borrow_mut();
            if dice.chance(300) {
                continue;
            }
            let acted = self.clients[number].act(self.now, &mut dice, self.calm);
            let moved =
                acted.map_err(|error| format!("client {number}: {error}; closes:{}", self.closes()))?;
            let client = &mut self.clients[number];
            let mut pipe = client.pipe().borrow_mut();
            let mut arrived = 0;
            if pipe.can_arrive() && !dice.chance(200) {
                arrived = dice.pick(&[1, 10, 1_000, 1_000_000]).max(pipe.up.len() / 30);
                let (with_end, purge) = (dice.chance(700), dice.chance(500));
                pipe.arrive(arrived, with_end, purge);
            }
            if pipe.owes_room() {
                pipe.make_room();
            }
            drop((pipe, dice));
            self.note("net", &[number as u64, moved as u64, arrived as u64]);
        }
        Ok(())
    }

    /// Handlers' late deeds.
    fn jobs(&mut self) -> Result<(), String> {
        for job in site::due_jobs() {
            let open = self.keys.get(job.client).copied().flatten().is_some();
            if !open && job.deed.presence().is_some_and(|presence| presence != Presence::Gone) {
                return Err(format!("nobody told the handler that client {} has gone", job.client));
            }
            self.note("job", &[job.client as u64]);
            job.deed.perform();
        }
        Ok(())
    }

    /// The poll's events: in any order, some late, some twice, some for nobody.
    fn events(&mut self) {
        let mut events = Vec::new();
        {
            let mut dice = self.dice.borrow_mut();
            for (number, client) in self.clients.iter().enumerate() {
                let Some(key) = self.keys[number] else { continue };
                let mut pipe = client.pipe().borrow_mut();
                if pipe.has_event() && !dice.chance(self.faults) {
                    let readiness = pipe.event();
                    if dice.chance(200) && !readiness.is_broken() && readiness.is_writable() {
                        // As kqueue says it: one event for each direction.
                        events.push((key, Readiness::WRITABLE));
                        if readiness.is_readable() {
                            let fin = if readiness.is_read_closed() {
                                Readiness::READ_CLOSED
                            } else {
                                Readiness::default()
                            };
                            events.push((key, Readiness::READABLE | fin));
                        }
                    } else {
                        events.push((key, readiness));
                    }
                } else if dice.chance(self.faults / 3) {
                    events.push((
                        key,
                        pipe.readiness() | dice.pick(&[Readiness::READABLE, Readiness::WRITABLE]),
                    ));
                }
            }
            if let Some(key) = self.stale.last()
                && dice.chance(self.faults)
            {
                events.push((*key, Readiness::READABLE | Readiness::WRITABLE | Readiness::BROKEN));
            }
            dice.shuffle(&mut events);
        }
        for (key, readiness) in events {
            self.note(
                "ready",
                &[
                    key.pack(),
                    u64::from(readiness.is_readable()),
                    u64::from(readiness.is_writable()),
                    u64::from(readiness.is_read_closed()),
                    u64::from(readiness.is_broken()),
                ],
            );
            self.shard.ready(key, readiness, self.now);
        }
    }

    /// As the ears do it.
    fn accept(&mut self) {
        while let Some(&number) = self.queue.first() {
            if self.drain_until.is_some() || self.dice.borrow_mut().chance(500) {
                return;
            }
            if self.shard.is_full() {
                if !self.shard.shed_idle() {
                    return;
                }
                (self.calm, self.gentle) = (false, false);
            }
            self.queue.remove(0);
            let client = &mut self.clients[number];
            *client.accepted_at() = Some(self.now);
            let transport = SimTransport {
                pipe: Rc::clone(client.pipe()),
                dice: Rc::clone(&self.dice),
                faults: self.faults,
            };
            let key = self.shard.accept(transport, self.now);
            self.note("accept", &[number as u64]);
            if key.is_some() {
                self.clients[number].pipe().borrow_mut().register(false);
            }
            self.keys[number] = key;
        }
    }

    fn mail(&mut self) {
        let mut letters = Vec::new();
        self.mailbox.drain(&mut letters);
        for letter in letters {
            self.note("mail", &[]);
            self.shard.deliver(letter, self.now);
        }
    }

    fn effects(&mut self) {
        while let Some(Effect::WatchWrites(key)) = self.shard.effects().pop() {
            if let Some(transport) = self.shard.transport(key) {
                transport.pipe.borrow_mut().register(true);
            }
        }
        for (number, key) in self.keys.iter_mut().enumerate() {
            if self.clients[number].pipe().borrow().closed
                && let Some(key) = key.take()
            {
                self.stale.push(key);
            }
        }
    }

    /// The same app again, drain and stop.
    fn orders(&mut self) {
        if self.turn % REPLACED_EVERY == REPLACED_EVERY - 1 {
            self.shard.replace(Arc::new(Edition::new(site::app(), self.config.clone())));
        }
        if self.turn == self.drain_at {
            self.calm = false;
            self.note("drain", &[]);
            self.shard.drain(self.now);
            self.drain_until = Some(self.now.after(GRACE));
        }
        if self.turn == self.stop_at || self.drain_until.is_some_and(|until| self.now >= until) {
            (self.calm, self.gentle) = (false, false);
            self.note("stop", &[]);
            self.shard.stop();
            self.drain_until.get_or_insert(self.now);
        }
        self.effects();
    }

    /// No turn works for nothing, for ever.
    fn measure(&mut self, busy: bool) -> Result<(), String> {
        let moved: u64 = self.clients.iter().map(|client| client.pipe().borrow().progress).sum();
        let progress = moved + site::pulls();
        let stuck = busy && progress == self.progress;
        self.idle_turns = if stuck { self.idle_turns + 1 } else { 0 };
        self.progress = progress;
        if self.idle_turns > IDLE_TURNS_MAX {
            return Err("the shard works for nothing".into());
        }
        Ok(())
    }

    /// When something can happen: soon, at a known moment, or never.
    fn next_moment(&self) -> Tick {
        let soon = Duration::from_micros(self.dice.borrow_mut().pick(&[10, 100, 1_000, 5_000]));
        let soon = self.now.after(soon);
        let accepts = !self.queue.is_empty() && self.drain_until.is_none();
        let room = !self.shard.is_full();
        if self.shard.has_work() || !self.mailbox.prepare_sleep() || (accepts && room) {
            return soon;
        }
        let mut at =
            [self.shard.next_deadline(), site::next_job()].into_iter().flatten().min().unwrap_or(Tick::NEVER);
        if accepts {
            at = at.min(self.now.after(Duration::from_millis(50)));
        }
        for (number, client) in self.clients.iter().enumerate() {
            let pipe = client.pipe().borrow();
            if pipe.has_event() || pipe.owes_room() && self.keys[number].is_some() || pipe.can_arrive() {
                return soon;
            }
            if client.is_accepted() {
                at = at.min(client.wants(self.now));
            }
        }
        at.max(soon)
    }

    fn pass(&mut self, at: Tick) {
        assert_eq!(self.bell.0.load(Ordering::Relaxed), 0, "a wake without a letter between turns");
        self.mailbox.awake();
        self.now = at;
        let mut dice = self.dice.borrow_mut();
        if self.jumps && dice.chance(10) {
            self.now = at.after(Duration::from_secs(dice.pick(&[1, 20, 100, 10_000])));
        }
    }

    /// Why connections ended, so far.
    fn closes(&self) -> String {
        let closes = Snapshot::sum([&*self.stats]).closes;
        let counted = CloseReason::ALL.iter().zip(closes.iter()).filter(|(_, count)| **count > 0);
        counted
            .map(|(reason, count)| format!(" {} {count}", reason.code().trim_start_matches("close.")))
            .collect()
    }

    fn at_rest(mut self) -> Result<Outcome, String> {
        for (number, client) in self.clients.iter().enumerate() {
            client
                .verdict(self.calm, self.gentle)
                .map_err(|error| format!("client {number}: {error}; closes:{}", self.closes()))?;
        }
        if !self.shard.is_empty() {
            return Err(format!("{} connections are left, and nothing will ever happen", self.shard.len()));
        }
        if self.shard.buffers_out() != 0 {
            return Err(format!("{} buffers were not given back", self.shard.buffers_out()));
        }
        if let Some(next) = self.shard.next_deadline() {
            return Err(format!("an empty shard has a deadline at {next:?}"));
        }
        // The gauges are set at a turn's end.
        self.shard.run(self.now);
        self.shard.flush_log(self.now);
        let snapshot = Snapshot::sum([&*self.stats]);
        let closes: u64 = snapshot.closes.iter().sum();
        let open: u64 = snapshot.phases.iter().sum();
        if snapshot.accepts != closes || open != 0 || snapshot.carry_buffers + snapshot.pending_buffers != 0 {
            return Err(format!("{} accepts, {closes} closes, {open} open", snapshot.accepts));
        }
        let answers = self.clients.iter().map(|client| client.answers() as u64).sum();
        if snapshot.requests() < answers {
            return Err(format!("{answers} answers were read and {} counted", snapshot.requests()));
        }
        Ok(Outcome { hash: self.hash, turns: self.turn, answers })
    }

    fn note(&mut self, what: &str, numbers: &[u64]) {
        let words = what.bytes().map(u64::from).chain(numbers.iter().copied()).chain([self.now.as_nanos()]);
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(5);
        }
        let boring = what == "net" && numbers[1..] == [0, 0];
        if self.verbose && !boring {
            eprintln!("{:>6} {:>12?} {what} {numbers:?}", self.turn, self.now.since(Tick::ZERO));
        }
    }
}

/// The usual configuration, or one that lets clients of HTTP/2 have little.
fn config(dice: &mut Dice) -> Config {
    let mut config = Config::default();
    if dice.chance(300) {
        config.limits.http2 = Arc::new(h2::Limits {
            streams_max: 3,
            stream_window_bytes: 1_000,
            stream_window_bytes_max: 5_000,
            connection_window_bytes: 65_535,
            connection_window_bytes_max: 70_000,
            ..h2::Limits::DEFAULT
        });
    }
    config
}

fn draw_client(dice: &mut Dice, number: usize) -> Guest {
    let manner = Manner::draw(dice);
    let pipe = Rc::new(RefCell::new(Pipe::new(dice.pick(&[700, 5_000, 20_000, 300_000]))));
    if dice.chance(400) {
        return Guest::Multi(Multi::new(dice, pipe, manner, number));
    }
    let count = dice.pick(&[1, 2, 5, 40]);
    let script = Script::draw(dice, number, count, manner.rude);
    Guest::Single(Client::new(pipe, manner, script))
}
