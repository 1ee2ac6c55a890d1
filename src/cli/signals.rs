//! [`listen`]: what the process does when it is told to.
//!
//! ```text
//!  TERM, INT, QUIT ──► not ready ─delay─► drain ─grace─► closed      (a second one) ──► stop at once
//!  USR1 ──► reopen the access logs, and the server's own      USR2 ──► nothing, which is said
//!  HUP ──► read certificates, and the configuration file, again      PIPE ──► ignored, by Rust itself
//! ```
//!
//! ```text
//!  kolk-signals ──► drain, stop: at once, whatever else is under way
//!       ├─ one order may wait ──► kolk-reload ──► the file, the certificates, what became of it
//!       └─ one order may wait ──► kolk-reopen ──► the logs
//! ```
//! A thread of its own hears them; a worker never does, and this one waits for nothing: files are read by
//! others. Invariant: what an order finds is at least as new as the order. Whoever comes from another server
//! may send what that one ends gracefully by (QUIT) or replaces itself by (USR2): neither may cut anybody
//! off.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use kolk::Handle;
use kolk::service::Reloads;
use log::Level;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::logger;
use super::supervisor::Supervisor;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// So long nobody is turned away, but it is said that the end is near.
    pub(crate) delay: Duration,
    /// How long exchanges that are under way may then take to finish.
    pub(crate) grace: Duration,
}

impl Default for Ending {
    fn default() -> Self {
        Self { delay: Duration::ZERO, grace: Duration::from_secs(30) }
    }
}

/// What is read again when the process is told to; it may say that the process is to end otherwise.
pub(crate) type Reload = Box<dyn FnMut(&mut Ending) -> Outcome + Send>;

/// What became of that: what needs a restart, a line for each; or why nothing has changed.
pub(crate) type Outcome = Result<Vec<String>, String>;

const NOT_REPLACED: &str = "USR2 does nothing here: HUP has the configuration file read again";
const NOTHING_TO_RELOAD: &str = "nothing to reload: there are no certificates, and no file";
const FAILED: &str = "kolk itself has failed while it was read, which is a mistake in kolk; see its log";

/// From now on these signals are noted instead of ending the process.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2])
}

/// Acts on what was noted and on what comes.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn listen(
    mut signals: Signals,
    server: Handle,
    supervisor: Supervisor,
    ending: Ending,
    reload: Option<Reload>,
    quiet: bool,
) -> io::Result<()> {
    let ending = Arc::new(Mutex::new(ending));
    let say = move |line: &str| {
        if !quiet {
            logger::say(Level::Info, line);
        }
    };
    let reloader = Reloader {
        reloads: Reloads::new(&server),
        server: server.clone(),
        supervisor: supervisor.clone(),
        ending: Arc::clone(&ending),
        reload: reload.unwrap_or_else(|| Box::new(move |_| nothing_to_reload(say))),
    };
    let reload = reloader.start()?;
    let logs = server.clone();
    let reopen = carry_out("kolk-reopen", move || {
        logger::reopen();
        logs.reopen_log();
    })?;
    let act = move || {
        let mut draining = false;
        for signal in &mut signals {
            match signal {
                SIGTERM | SIGINT | SIGQUIT if draining => {
                    server.stop();
                    say("stopping at once");
                }
                SIGTERM | SIGINT | SIGQUIT => {
                    draining = true;
                    let ending = *locked(&ending);
                    // It hears of the end before that can be over.
                    supervisor.stopping();
                    server.drain_after(ending.delay, ending.grace);
                    say(&ending.told());
                }
                // Whoever has not begun with the one before sees what there is now.
                SIGUSR1 => _ = reopen.try_send(()),
                SIGUSR2 => say(NOT_REPLACED),
                _ => _ = reload.try_send(()),
            }
        }
    };
    thread::Builder::new().name("kolk-signals".into()).spawn(act).map(drop)
}

/// Who reads again what the process is told to.
struct Reloader {
    reloads: Reloads,
    server: Handle,
    supervisor: Supervisor,
    ending: Arc<Mutex<Ending>>,
    reload: Reload,
}

impl Reloader {
    /// Where orders are given: one at a time is carried out, and one may wait.
    ///
    /// # Errors
    /// The system has no more threads.
    fn start(mut self) -> io::Result<SyncSender<()>> {
        carry_out("kolk-reload", move || self.reload())
    }

    fn reload(&mut self) {
        let order = self.reloads.begin();
        self.supervisor.reloading();
        let mut ending = *locked(&self.ending);
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.reload)(&mut ending))).unwrap_or_else(|_| {
            // Why was said when it panicked. The next order may be carried out.
            self.server.note_refused_replacement();
            logger::say(Level::Error, FAILED);
            Err(FAILED.to_owned())
        });
        *locked(&self.ending) = ending;
        self.supervisor.reloaded(outcome.is_ok());
        match outcome {
            Ok(waits) => order.took_effect(waits),
            Err(why) => order.refused(&why),
        }
    }
}

fn nothing_to_reload(say: impl Fn(&str)) -> Outcome {
    say(NOTHING_TO_RELOAD);
    Err(NOTHING_TO_RELOAD.to_owned())
}

/// A thread called `name` that does `act` as often as it is ordered: of orders that wait, once.
fn carry_out(name: &str, mut act: impl FnMut() + Send + 'static) -> io::Result<SyncSender<()>> {
    let (order, orders) = mpsc::sync_channel(1);
    let work = move || orders.iter().for_each(|()| act());
    thread::Builder::new().name(name.into()).spawn(work)?;
    Ok(order)
}

fn locked(ending: &Mutex<Ending>) -> MutexGuard<'_, Ending> {
    // It is whole at any time.
    ending.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ending {
    fn told(&self) -> String {
        let grace = seconds(self.grace);
        let finish = format!("what is under way has {grace} to finish; again to stop at once");
        match self.delay {
            Duration::ZERO => format!("draining: {finish}"),
            delay => format!("draining: not ready any more, and in {} {finish}", seconds(delay)),
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use kolk::{App, Running, Server};
    use signal_hook::low_level::raise;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn server() -> Running {
        Server::new(App::new()).listen("127.0.0.1:0").unwrap().start().unwrap()
    }

    /// Who gives orders to `server`, where `reload` is what is done.
    fn orders(server: &Running, ending: &Arc<Mutex<Ending>>, reload: Reload) -> SyncSender<()> {
        let handle = server.handle();
        let reloader = Reloader {
            reloads: Reloads::new(&handle),
            server: handle,
            supervisor: Supervisor::from_environment().0,
            ending: Arc::clone(ending),
            reload,
        };
        reloader.start().unwrap()
    }

    fn next<T>(from: &Receiver<T>) -> T {
        from.recv_timeout(PATIENCE).unwrap()
    }

    #[test]
    fn an_end_says_how_long_it_takes() {
        let usual = "draining: what is under way has 30 s to finish; again to stop at once";
        assert_eq!(Ending::default().told(), usual);
        let ending = Ending { delay: Duration::from_millis(1_500), grace: Duration::from_secs(60) };
        let patient = "draining: not ready any more, and in 1.5 s what is under way has 60 s to finish; \
                       again to stop at once";
        assert_eq!(ending.told(), patient);
    }

    #[test]
    fn orders_that_come_while_one_is_carried_out_are_one_more_behind_it() {
        let (server, ending) = (server(), Arc::default());
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<Duration>();
        let reload = Box::new(move |end: &mut Ending| {
            begin.send(()).unwrap();
            end.grace = next(&released);
            Ok(Vec::new())
        });
        let order = orders(&server, &ending, reload);
        order.send(()).unwrap();
        next(&begun);
        assert_eq!(*locked(&ending), Ending::default(), "and nobody waits to know how the process ends");
        let taken: Vec<bool> = (0..3).map(|_| order.try_send(()).is_ok()).collect();
        assert_eq!(taken, [true, false, false]);
        release.send(Duration::from_secs(1)).unwrap();
        next(&begun);
        assert_eq!(locked(&ending).grace, Duration::from_secs(1));
        release.send(Duration::from_secs(2)).unwrap();
        drop(order);
        assert!(begun.recv_timeout(PATIENCE).is_err(), "there were two");
        assert_eq!(locked(&ending).grace, Duration::from_secs(2));
        server.stop();
    }

    /// The only test of this process that sends it signals.
    #[test]
    fn an_end_waits_for_no_reload_that_is_under_way() {
        let server = server();
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let reload: Reload = Box::new(move |_| {
            begin.send(()).unwrap();
            let _ = released.recv();
            Ok(Vec::new())
        });
        let ending = Ending { delay: Duration::from_secs(3_600), grace: Duration::ZERO };
        let (signals, nobody) = (catch().unwrap(), Supervisor::from_environment().0);
        listen(signals, server.handle(), nobody, ending, Some(reload), true).unwrap();
        let handle = server.handle();
        let (end, ended) = mpsc::channel();
        thread::spawn(move || end.send(server.join().is_ok()));
        raise(SIGHUP).unwrap();
        next(&begun);
        raise(SIGTERM).unwrap();
        let (_open, never) = mpsc::channel::<()>();
        let pause = Duration::from_millis(2);
        let drains = (0..5_000).any(|_| handle.is_ending() || never.recv_timeout(pause).is_ok());
        assert!(drains && ended.try_recv().is_err(), "the delay is not over");
        raise(SIGINT).unwrap();
        assert!(next(&ended), "at once");
        drop(release);
    }

    #[test]
    fn a_panic_refuses_an_order_and_the_next_one_is_carried_out() {
        let (server, ending) = (server(), Arc::default());
        let (done, outcome) = mpsc::channel();
        let mut first = true;
        let reload = Box::new(move |_: &mut Ending| {
            assert!(!std::mem::replace(&mut first, false), "the first one");
            done.send(()).unwrap();
            Ok(Vec::new())
        });
        let order = orders(&server, &ending, reload);
        order.send(()).unwrap();
        order.send(()).unwrap();
        next(&outcome);
        drop(order);
        assert!(outcome.recv_timeout(PATIENCE).is_err(), "its thread has ended");
        let told = server.snapshot();
        assert_eq!(told.replacements_refused, 1);
        assert!(told.last_reload.is_some_and(|(took_effect, _)| took_effect));
        server.stop();
    }
}
