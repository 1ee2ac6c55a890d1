//! [`listen`]: what the process does when it is told to.
//!
//! ```text
//!  TERM, INT ──► drain ──► (a second one) ──► stop at once
//!  USR1 ──► reopen the access log      HUP ──► read certificates again      PIPE ──► ignored, by Rust itself
//! ```
//! A thread of its own reads them; a worker never does.

use std::io;
use std::thread;
use std::time::Duration;

use kolk::Handle;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::supervisor::Supervisor;
use super::terminal;

/// How long exchanges that are under way may take to finish.
const GRACE: Duration = Duration::from_secs(30);

/// What is read again when the process is told to.
pub(crate) type Reload = Box<dyn Fn() + Send>;

/// From now on these signals are noted instead of ending the process.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])
}

/// Acts on what was noted and on what comes.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn listen(
    mut signals: Signals,
    server: Handle,
    supervisor: Supervisor,
    reload: Option<Reload>,
    quiet: bool,
) -> io::Result<()> {
    let say = move |line: &str| {
        if !quiet {
            terminal::say(&format!("kolk: {line}\n"));
        }
    };
    let act = move || {
        let mut draining = false;
        for signal in &mut signals {
            match signal {
                SIGTERM | SIGINT if draining => {
                    say("stopping at once");
                    server.stop();
                }
                SIGTERM | SIGINT => {
                    draining = true;
                    supervisor.stopping();
                    say("draining: what is under way has 30 s to finish; again to stop at once");
                    server.drain(GRACE);
                }
                SIGUSR1 => server.reopen_log(),
                _ => match &reload {
                    Some(reload) => reload(),
                    None => say("nothing to reload: there are no certificates"),
                },
            }
        }
    };
    thread::Builder::new().name("kolk-signals".into()).spawn(act).map(drop)
}
