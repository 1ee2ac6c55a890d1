//! [`Running`]: a server whose workers run; and [`Handle`], what ends or changes it from elsewhere.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

#[cfg(feature = "config")]
use crate::app::Counts;
use crate::app::{App, BlockingPool};
use crate::base::Mailbox;
use crate::net::tls::Tls;
use crate::net::{Leaving, ListenAddr};
use crate::reactor::{Doorbell, Reactor};
use crate::sys::cpu;

use super::access_log::{AccessLogs, Log, LogControl, LogSet, Rings};
use super::balance::Balance;
use super::bound::Bound;
use super::call::Env;
use super::config::{Config, DESCRIPTORS_RESERVED, EVENTS_PER_TURN_MAX, Workers};
use super::doors::Doors;
use super::ears::Ears;
use super::edition::Edition;
use super::recorder::FlightRecorder;
use super::recorder::{self, Recorder};
use super::redirect::HttpsPort;
use super::service::reloads::Orders;
use super::shard::Shard;
use super::stats::{Snapshot, Stats, Tallies};
use super::worker::{Control, Worker, now, ring_all, stopwatch, unix_millis};
use super::{Error, Result, admin};

/// Why an app cannot be replaced.
const PRIVATE_DESCRIPTORS: &str = "the app: each worker has a descriptor table of its own \
    (private_descriptors), in which what another app has open means something else";
/// Letters that may wait for a worker.
const LETTERS_MAX: usize = 65_536;

/// A server that runs. Dropping it stops it at once.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<ListenAddr>,
    urls: Vec<String>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    handle: Handle,
    admin: Option<Box<Self>>,
    redirect: Option<ListenAddr>,
    // After the workers: their last lines are written before it ends.
    _logs: AccessLogs,
}

/// Ends or changes a server from any thread, and sees how it does.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) control: Arc<Control>,
    pub(super) bells: Arc<[Arc<Doorbell>]>,
    stats: Arc<[Arc<Stats>]>,
    /// Of routes and rates, by name; none without an admin site.
    tallies: Option<Arc<Tallies>>,
    pub(super) logs: LogControl,
    logs_follow: bool,
    /// One for each worker; none where nothing is recorded.
    recorders: Arc<[Arc<Recorder>]>,
    /// Of the workers: it ends with them.
    pool: Weak<BlockingPool>,
    replacements: Arc<Replacements>,
    orders: Arc<Orders>,
    /// Listeners that were given up. Locked by whoever changes where the server listens.
    pub(super) leaving: Arc<Mutex<Vec<Leaving>>>,
}

/// How often somebody wanted to have the app replaced.
#[derive(Debug, Default)]
struct Replacements {
    done: AtomicU64,
    refused: AtomicU64,
}

impl Handle {
    /// No new connections and requests: what is open is answered, with `Connection: close`. What is still
    /// open after `grace` is closed.
    pub fn drain(&self, grace: Duration) {
        self.drain_after(Duration::ZERO, grace);
    }

    /// The same after `delay`, within which everybody is served as before, newcomers, too: whoever sends
    /// clients here has the time to see that [`Handle::is_ending`], which `/readyz` of the
    /// [admin](super::Server::admin) site says.
    pub fn drain_after(&self, delay: Duration, grace: Duration) {
        self.control.drain(delay, grace);
        ring_all(&self.bells);
    }

    /// Has `app` answer every request that comes from now on. No listener and no connection is closed for it;
    /// requests that are under way keep the app that they began with until they are answered to the end, and
    /// that app is dropped when nobody needs it any more.
    ///
    /// A worker takes it between two turns. Whatever an app counts (requests at a time, rates) begins anew
    /// with it, unless both share it.
    ///
    /// ```
    /// use kolk::{App, Request, Response, Server};
    ///
    /// let says = |text| App::new().get("/", move |_: &Request<'_>| Response::text(text));
    /// let server = Server::new(says("one\n")).listen("127.0.0.1:0")?.start()?;
    /// server.handle().replace(says("two\n"))?;
    /// # server.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Fixed`] with [`private_descriptors`](super::Server::private_descriptors): a file that the app
    /// has open would be another one for the workers.
    pub fn replace(&self, app: App) -> Result<()> {
        self.check_replaceable()?;
        let renew =
            |running: &Edition| Edition::new(app, running.config.clone()).logged(running.logs.clone());
        self.replace_by(false, renew);
        Ok(())
    }

    /// The same, served with `config`, as far as that can change while the server runs: the names of those
    /// of its fields that differ and stay as they were are given back. They are `workers`, `pin`,
    /// `private_descriptors`, `backlog`, `connections_max`, `worker_growth_bytes_max`.
    ///
    /// New limits and timeouts count for requests that begin afterwards; new limits of HTTP/2 for connections
    /// that do, and those of HTTP/1 not for one that is in the midst of a request. Whoever has more
    /// connections than a client may have from now on keeps them; where that was not limited before, those
    /// that are open are not counted.
    ///
    /// ```
    /// use kolk::{App, Config, Request, Response, Server, Workers};
    ///
    /// let app = || App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let server = Server::new(app()).workers(Workers::Exactly(1)).listen("127.0.0.1:0")?.start()?;
    /// let config = Config { workers: Workers::Exactly(2), server_name: None, ..Config::default() };
    /// assert_eq!(server.handle().replace_with(app(), config)?, ["workers"]);
    /// # server.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Handle::replace`].
    pub fn replace_with(&self, app: App, config: Config) -> Result<Vec<&'static str>> {
        self.check_replaceable()?;
        Ok(self.take_over(app, config, None, false))
    }

    /// The same, with requests written down in these logs from now on and in no others: see
    /// [`Server::access_logs`](super::Server::access_logs). A log that says the same as before goes on, and a
    /// file that is still named is not opened anew. Requests that are under way are written down where they
    /// would have been; when they are answered, the files are closed that nobody names any more.
    ///
    /// ```
    /// use kolk::access_log::{Destination, Format, Log};
    /// use kolk::{App, Config, Request, Response, Server};
    ///
    /// let app = || App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let server = Server::new(app()).access_log(Format::Json, Destination::Stdout).listen("127.0.0.1:0")?;
    /// let server = server.start()?;
    /// let log = Log::new(Format::Combined, Destination::Stderr).sample(0.01, 1.0);
    /// server.handle().replace_logged(app(), Config::default(), [log])?;
    /// # server.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Handle::replace`]; and [`Error::Log`] if a log cannot be opened: all then stays.
    pub fn replace_logged(
        &self,
        app: App,
        config: Config,
        logs: impl IntoIterator<Item = Log>,
    ) -> Result<Vec<&'static str>> {
        self.check_replaceable()?;
        let logs = self.logs.replace(logs.into_iter().collect())?;
        Ok(self.take_over(app, config, Some(logs), false))
    }

    /// Serves `app` with `config`, as far as it can change, and writes requests down in `logs`, if they are
    /// others than before; `to_https`: visitors may be sent there. What cannot change.
    pub(super) fn take_over(
        &self,
        app: App,
        config: Config,
        logs: Option<Arc<LogSet>>,
        to_https: bool,
    ) -> Vec<&'static str> {
        let (mut stay, is_encrypted) = (Vec::new(), self.control.tls().is_some());
        self.replace_by(to_https, |running| {
            let (config, names) = config.taken_over(&running.config, is_encrypted);
            stay = names;
            if let Some(pool) = self.pool.upgrade() {
                pool.resize(config.blocking_threads, config.blocking_queue_max);
            }
            Edition::new(app, config).logged(logs.clone().or_else(|| running.logs.clone()))
        });
        stay
    }

    /// Whether the access logs are those that a configuration file names, and change with it: nobody has
    /// given the server others before it was started.
    pub const fn logs_follow_a_file(&self) -> bool {
        self.logs_follow
    }

    /// What `recorder` does not remember of a query, the recorders do not either from now on.
    pub(super) fn leave_out_as(&self, recorder: &FlightRecorder) {
        self.recorders.iter().for_each(|running| running.leave_out_as(recorder));
    }

    /// What the app counts.
    #[cfg(feature = "config")]
    pub(crate) fn counts(&self) -> Option<Arc<Counts>> {
        self.control.edition().app.counts().map(Arc::clone)
    }

    fn check_replaceable(&self) -> Result<()> {
        if self.control.edition().config.private_descriptors {
            return Err(Error::Fixed(PRIVATE_DESCRIPTORS));
        }
        Ok(())
    }

    /// `to_https`: visitors may be sent there from now on; where they ever were, some may still ask.
    fn replace_by(&self, to_https: bool, renew: impl FnOnce(&Edition) -> Edition) {
        self.control.replace(|running| {
            let edition = renew(running).counted_in(self.tallies.as_ref());
            let edition = edition.counting_after(running.addresses.as_ref());
            match to_https || running.redirect.is_some() {
                true => edition.sending_to(self.control.https()),
                false => edition,
            }
        });
        self.replacements.done.fetch_add(1, Relaxed);
        ring_all(&self.bells);
    }

    /// Counts a wish for another app that came to nothing: a file that is wrong, for instance.
    pub fn note_refused_replacement(&self) {
        self.replacements.refused.fetch_add(1, Relaxed);
    }

    /// The orders to read the configuration again.
    pub(super) const fn orders(&self) -> &Arc<Orders> {
        &self.orders
    }

    /// Closes everything now.
    pub fn stop(&self) {
        self.control.stop();
        ring_all(&self.bells);
    }

    /// Opens the files of the logs anew, after another program has renamed them.
    pub fn reopen_log(&self) {
        self.logs.reopen();
    }

    /// The newest request of this [id](crate::Request::id) that the
    /// [flight recorder](super::Server::flight_recorder) remembers, as a line of JSON. Requests without an id
    /// are called what [`Handle::recent`] calls them.
    pub fn why(&self, id: &str) -> Option<String> {
        recorder::why(&self.recorders, id)
    }

    /// The last requests that the flight recorder remembers, at most so many: a line of JSON for each, the
    /// oldest first.
    pub fn recent(&self, most: usize) -> String {
        recorder::recent(&self.recorders, most)
    }

    /// Whether requests are remembered.
    pub(super) fn records(&self) -> bool {
        !self.recorders.is_empty()
    }

    /// What the workers counted so far.
    pub fn snapshot(&self) -> Snapshot {
        self.with_reloads(Snapshot::sum(self.stats.iter().map(Arc::as_ref)))
    }

    /// The same, and the longest turn begins anew.
    pub(super) fn scrape(&self) -> Snapshot {
        self.with_reloads(Snapshot::scrape(self.stats.iter().map(Arc::as_ref)))
    }

    fn with_reloads(&self, sum: Snapshot) -> Snapshot {
        Snapshot {
            certificate_reloads_failed: self.control.tls().as_ref().map_or(0, Tls::reloads_failed),
            replacements: self.replacements.done.load(Relaxed),
            replacements_refused: self.replacements.refused.load(Relaxed),
            last_reload: self.orders.last(),
            routes: self.tallies.as_ref().map_or_else(Vec::new, |tallies| tallies.routes()),
            rates: self.tallies.as_ref().map_or_else(Vec::new, |tallies| tallies.rates()),
            logs: self.logs.shares(),
            ..sum
        }
    }

    /// Whether the server was told to drain or to stop.
    pub fn is_ending(&self) -> bool {
        self.control.is_ending()
    }

    /// Whether every worker serves: none has failed and has yet to begin anew.
    pub fn is_whole(&self) -> bool {
        self.stats.iter().all(|stats| stats.worker_down.get() == 0)
    }

    /// Has every worker turn once, if it can.
    pub(super) fn wake_workers(&self) {
        ring_all(&self.bells);
    }
}

impl Running {
    /// Where it has listened from the start, with the ports that the system chose; [`Handle::addrs`] tells
    /// where it listens now.
    pub fn addrs(&self) -> &[ListenAddr] {
        &self.addresses
    }

    /// The same as a browser opens it: with `https` where one speaks TLS.
    ///
    /// ```
    /// use kolk::{App, Server};
    ///
    /// let server = Server::new(App::new()).listen("127.0.0.1:0")?.start()?;
    /// assert_eq!(server.urls(), [server.addrs()[0].to_string()]);
    /// assert!(server.urls()[0].starts_with("http://127.0.0.1:"));
    /// # server.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Where the admin site listens.
    pub fn admin_addr(&self) -> Option<&ListenAddr> {
        self.admin.as_ref()?.addresses.first()
    }

    /// Where visitors were sent to https from the start; [`Handle::redirect_addr`] tells where they are now.
    pub const fn redirect_addr(&self) -> Option<&ListenAddr> {
        self.redirect.as_ref()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.handle.stats.len()
    }

    /// What ends it from another thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::drain`].
    pub fn drain(&self, grace: Duration) {
        self.handle.drain(grace);
    }

    /// See [`Handle::drain_after`].
    pub fn drain_after(&self, delay: Duration, grace: Duration) {
        self.handle.drain_after(delay, grace);
    }

    /// See [`Handle::stop`].
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// What the workers counted so far.
    pub fn snapshot(&self) -> Snapshot {
        self.handle.snapshot()
    }

    /// See [`Handle::reopen_log`].
    pub fn reopen_log(&self) {
        self.handle.reopen_log();
    }

    /// Waits until all workers have ended.
    ///
    /// # Errors
    /// [`Error::Worker`] for the first that failed.
    pub fn join(mut self) -> Result<()> {
        let ended = self.join_workers();
        if let Some(admin) = self.admin.take() {
            admin.stop();
            admin.join()?;
        }
        ended
    }

    fn join_workers(&mut self) -> Result<()> {
        let mut ended = Ok(());
        for (number, worker) in self.workers.drain(..).enumerate() {
            // A worker that is given up has had the others end in order before.
            let result = worker.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            if let (Err(source), Ok(())) = (result, &ended) {
                ended = Err(Error::Worker { number, source });
            }
        }
        self.handle.control.retire();
        ended
    }

    pub(super) fn start(bound: Bound) -> Result<Self> {
        let Bound { app, config, access_logs, logs_follow, recorder, doors, tls, .. } = bound;
        let Bound { admin, descriptors, .. } = bound;
        let started = now();
        let logs = AccessLogs::start(access_logs)?;
        let (count, doors) = (doors.workers(), Arc::new(doors));
        let tallies = admin.is_some().then(|| Tallies::new(count));
        let edition = Edition::new(app, config).logged(Some(logs.set())).counted_in(tallies.as_ref());
        let edition = edition.counting_after(None);
        let https = HttpsPort::new(doors.https_port());
        let edition = Arc::new(match doors.redirect() {
            Some(_) => edition.sending_to(&https),
            None => edition,
        });
        let mut running = Self {
            addresses: doors.addresses(),
            urls: doors.urls(),
            workers: Vec::with_capacity(count),
            handle: Handle {
                control: Arc::new(Control::new(Arc::clone(&edition), &doors, tls, https)),
                bells: Arc::new([]),
                stats: Arc::new([]),
                tallies,
                logs: logs.control(),
                logs_follow,
                recorders: recorder.map_or_else(Arc::default, |options| options.build(count)),
                pool: Weak::new(),
                replacements: Arc::default(),
                orders: Arc::default(),
                leaving: Arc::default(),
            },
            admin: None,
            redirect: doors.redirect().cloned(),
            _logs: logs,
        };
        let workers = running.build(&edition, &doors, descriptors)?;
        for (number, worker) in workers.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("kolk-{number}"));
            let handle = thread.spawn(move || worker.run()).map_err(starting("start a worker's thread"))?;
            running.workers.push(handle);
        }
        if let Some(doors) = admin {
            let app = admin::app(running.handle(), started);
            let config = Config { workers: Workers::Exactly(1), ..Config::default() };
            let admin = Bound::beside(app, config, doors, descriptors);
            running.admin = Some(Box::new(admin.start()?));
        }
        Ok(running)
    }

    /// All workers, on this thread: whatever they share exists before any of them runs.
    fn build(&mut self, edition: &Arc<Edition>, doors: &Arc<Doors>, descriptors: u64) -> Result<Vec<Worker>> {
        let count = doors.workers();
        let config = &edition.config;
        let pool = Arc::new(BlockingPool::new(config.blocking_threads, config.blocking_queue_max));
        // Before there is a worker with a CPU or a descriptor table of its own.
        pool.start();
        self.handle.pool = Arc::downgrade(&pool);
        let balance = Arc::new(Balance::new(count));
        let share = connections_max(config, descriptors).div_ceil(count).max(1);
        let cpus = if config.pin { cpu::allowed_cpus() } else { Vec::new() };
        let reactors = (0..count)
            .map(|_| Reactor::new(EVENTS_PER_TURN_MAX))
            .collect::<io::Result<Vec<_>>>()
            .map_err(starting("make a poll"))?;
        self.handle.bells = reactors.iter().map(Reactor::waker).collect();
        self.handle.stats = (0..count).map(|_| Arc::default()).collect();
        let mut workers = Vec::with_capacity(count);
        for (number, reactor) in reactors.into_iter().enumerate() {
            let mailbox = Mailbox::new(reactor.waker(), LETTERS_MAX);
            let stats = Arc::clone(&self.handle.stats[number]);
            let unix_millis = unix_millis();
            let env = Env {
                edition: Arc::clone(edition),
                stats,
                post: mailbox.post(),
                pool: Arc::clone(&pool),
                worker: number,
                recorder: self.handle.recorders.get(number).map(Arc::clone),
                stopwatch,
                unix_millis,
            };
            let rings = edition.logs.as_ref().and_then(Rings::of_any);
            let (balance, bells) = (Arc::clone(&balance), Arc::clone(&self.handle.bells));
            let shard = Shard::new(env, share, rings);
            workers.push(Worker {
                reactor,
                shard,
                mailbox,
                ears: Ears::new(number, Arc::clone(doors), balance, bells),
                control: Arc::clone(&self.handle.control),
                generation: 0,
                private_descriptors: config.private_descriptors,
                pin_to: cpus.get(number % cpus.len().max(1)).copied(),
            });
        }
        Ok(workers)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            self.stop();
            // Whoever drops it does not want to know how it ended.
            let _ = self.join_workers();
        }
    }
}

/// How many connections all workers may hold: what the descriptors allow, or less.
fn connections_max(config: &Config, descriptors: u64) -> usize {
    let allowed = descriptors - DESCRIPTORS_RESERVED.min(descriptors / 4);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX).max(1);
    config.connections_max.unwrap_or(usize::MAX).min(allowed).min(u32::MAX as usize / 2)
}

fn starting(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Start { what, source }
}
