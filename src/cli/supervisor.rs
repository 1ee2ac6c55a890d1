//! [`Supervisor`]: the service manager, if there is one: told of the start, of the end, and in between that
//! the workers turn, and when the configuration is read again.
//!
//! ```text
//!  every quarter of WatchdogSec:  did each worker turn since the last bell? ─yes─► WATCHDOG=1
//!                                                                            no──► nothing: let it bite
//!  HUP:                           RELOADING=1 ─► the file is read ─► READY=1, whatever became of it
//!  TERM:                          STOPPING=1, and nothing of reloads behind it
//! ```

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use kolk::Handle;
use kolk::service::{Notifier, Pulse};

/// Of the watchdog's patience: one bell may be missed before half of it is over.
const BEATS: u32 = 4;
/// A bell needs time to be heard.
const BEAT_MIN: Duration = Duration::from_millis(10);

/// The service manager of this process; nobody, if it has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supervisor {
    notifier: Option<Arc<Notifier>>,
    /// What people read there, once it is served.
    status: Arc<OnceLock<String>>,
    course: Arc<Mutex<Course>>,
}

/// What the manager is told besides: never locked while it is, which may take seconds.
#[derive(Debug, Default)]
struct Course {
    /// It is being told of a reload.
    is_told_of_reload: bool,
    is_stopping: bool,
    is_told_of_end: bool,
}

impl Supervisor {
    /// Whom the environment names. One that cannot be reached is warned of and then done without.
    pub(crate) fn from_environment() -> (Self, Option<io::Error>) {
        let (notifier, error) = match Notifier::from_environment() {
            Ok(notifier) => (notifier.map(Arc::new), None),
            Err(error) => (None, Some(error)),
        };
        (Self { notifier, ..Self::default() }, error)
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
        self.tell_of_reload(|notifier, _| notifier.reloading("reading the configuration again"));
    }

    /// It was, and took effect or was refused.
    pub(crate) fn reloaded(&self, took_effect: bool) {
        self.tell_of_reload(|notifier, status| match took_effect {
            true => notifier.ready(status),
            false => notifier.ready(&format!("{status}; the last reload was refused, see the log")),
        });
    }

    /// The end has begun. Waits for nobody: if the manager is being told of a reload, it hears of the end
    /// behind that.
    pub(crate) fn stopping(&self) {
        self.course().is_stopping = true;
        self.tell_of_end();
    }

    /// Whoever ends is not to be taken for ready again.
    fn tell_of_reload(&self, word: impl FnOnce(&Notifier, &str) -> io::Result<()>) {
        let (Some(notifier), Some(status)) = (&self.notifier, self.status.get()) else { return };
        let mut course = self.course();
        if course.is_stopping {
            return;
        }
        course.is_told_of_reload = true;
        drop(course);
        told(word(notifier, status));
        self.course().is_told_of_reload = false;
        self.tell_of_end();
    }

    /// Once, as soon as it has begun.
    fn tell_of_end(&self) {
        let Some(notifier) = &self.notifier else { return };
        let mut course = self.course();
        if course.is_stopping && !course.is_told_of_reload && !course.is_told_of_end {
            course.is_told_of_end = true;
            drop(course);
            told(notifier.stopping("draining"));
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
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
