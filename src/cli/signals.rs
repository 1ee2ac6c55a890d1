//! [`listen`]: what the process does when it is told to.
//!
//! ```text
//!  TERM, INT, QUIT ──► not ready ─delay─► drain ─grace─► closed      (a second one) ──► stop at once
//!  USR1 ──► reopen the access logs, and the server's own      USR2 ──► nothing, which is said
//!  HUP ──► read certificates, and the configuration file, again      PIPE ──► ignored, by Rust itself
//! ```
//! A thread of its own reads them; a worker never does. Whoever comes from another server may send what that
//! one ends gracefully by (QUIT) or replaces itself by (USR2): neither may cut anybody off.

use std::io;
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
    mut ending: Ending,
    mut reload: Option<Reload>,
    quiet: bool,
) -> io::Result<()> {
    let say = move |line: &str| {
        if !quiet {
            logger::say(Level::Info, line);
        }
    };
    let reloads = Reloads::new(&server);
    let act = move || {
        let mut draining = false;
        for signal in &mut signals {
            match signal {
                SIGTERM | SIGINT | SIGQUIT if draining => {
                    say("stopping at once");
                    server.stop();
                }
                SIGTERM | SIGINT | SIGQUIT => {
                    draining = true;
                    supervisor.stopping();
                    say(&ending.told());
                    server.drain_after(ending.delay, ending.grace);
                }
                SIGUSR1 => {
                    logger::reopen();
                    server.reopen_log();
                }
                SIGUSR2 => say(NOT_REPLACED),
                _ => {
                    let order = reloads.begin();
                    if !draining {
                        supervisor.reloading();
                    }
                    let outcome = reload.as_mut().map_or_else(
                        || {
                            say(NOTHING_TO_RELOAD);
                            Err(NOTHING_TO_RELOAD.to_owned())
                        },
                        |reload| reload(&mut ending),
                    );
                    // Whoever ends is not to be taken for ready again.
                    if !draining {
                        supervisor.reloaded(outcome.is_ok());
                    }
                    match outcome {
                        Ok(waits) => order.took_effect(waits),
                        Err(why) => order.refused(&why),
                    }
                }
            }
        }
    };
    thread::Builder::new().name("kolk-signals".into()).spawn(act).map(drop)
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
    use super::*;

    #[test]
    fn an_end_says_how_long_it_takes() {
        let usual = "draining: what is under way has 30 s to finish; again to stop at once";
        assert_eq!(Ending::default().told(), usual);
        let ending = Ending { delay: Duration::from_millis(1_500), grace: Duration::from_secs(60) };
        let patient = "draining: not ready any more, and in 1.5 s what is under way has 60 s to finish; \
                       again to stop at once";
        assert_eq!(ending.told(), patient);
    }
}
