//! [`Supervisor`]: the service manager, if there is one: told of the start, of the end, and in between that
//! the workers turn, and when the configuration is read again.
//!
//! ```text
//!  every quarter of WatchdogSec:  did each worker turn since the last bell? ─yes─► WATCHDOG=1
//!                                                                            no──► nothing: let it bite
//!  HUP:                           RELOADING=1 ─► the file is read ─► READY=1, whatever became of it
//! ```

use std::io;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use kolk::Handle;
use kolk::service::{Notifier, Pulse};

/// Of the watchdog's patience: one bell may be missed before half of it is over.
const BEATS: u32 = 4;
/// A bell needs time to be heard.
const BEAT_MIN: Duration = Duration::from_millis(10);

/// The service manager of this process; nobody, if it has none.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    notifier: Option<Arc<Notifier>>,
    /// What people read there, once it is served.
    status: Arc<OnceLock<String>>,
}

impl Supervisor {
    /// Whom the environment names. One that cannot be reached is warned of and then done without.
    pub(crate) fn from_environment() -> (Self, Option<io::Error>) {
        let (notifier, error) = match Notifier::from_environment() {
            Ok(notifier) => (notifier.map(Arc::new), None),
            Err(error) => (None, Some(error)),
        };
        (Self { notifier, status: Arc::default() }, error)
    }

    /// Clients can connect. From now on `server` is watched, if that is wanted.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(crate) fn ready(&self, status: &str, server: &Handle) -> io::Result<()> {
        let Some(notifier) = &self.notifier else { return Ok(()) };
        told(notifier.ready(self.status.get_or_init(|| status.to_owned())));
        match notifier.watchdog() {
            Some(patience) => watch(Arc::clone(notifier), server.clone(), patience),
            None => Ok(()),
        }
    }

    /// The configuration is read again. Before the start is told, this is a part of that.
    pub(crate) fn reloading(&self) {
        if let (Some(notifier), Some(_)) = (&self.notifier, self.status.get()) {
            told(notifier.reloading("reading the configuration again"));
        }
    }

    /// It was, and took effect or was refused.
    pub(crate) fn reloaded(&self, took_effect: bool) {
        let (Some(notifier), Some(status)) = (&self.notifier, self.status.get()) else { return };
        told(match took_effect {
            true => notifier.ready(status),
            false => notifier.ready(&format!("{status}; the last reload was refused, see the log")),
        });
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        if let Some(notifier) = &self.notifier {
            told(notifier.stopping("draining"));
        }
    }
}

fn watch(notifier: Arc<Notifier>, server: Handle, patience: Duration) -> io::Result<()> {
    let every = (patience / BEATS).max(BEAT_MIN);
    let beat = move || {
        let mut pulse = Pulse::new(server);
        let (_open, never) = mpsc::channel::<()>();
        let mut was_alive = true;
        while never.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
            let is_alive = pulse.beat();
            if is_alive {
                told(notifier.alive());
            } else if was_alive {
                log::error!("a worker does not turn: is a handler blocking it? The watchdog is not told");
            }
            was_alive = is_alive;
        }
    };
    thread::Builder::new().name("kolk-watchdog".into()).spawn(beat).map(drop)
}

fn told(result: io::Result<()>) {
    if let Err(error) = result {
        log::warn!("the service manager does not listen: {error}");
    }
}
