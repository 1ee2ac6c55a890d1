//! What becomes of a worker whose loop fails: it begins anew, on the sockets that it has.
//!
//! ```text
//!  kolk-1:  turns ──fails──► logged ──► its connections are closed ──► poll and shard anew ──► turns
//!                              └── too often ──► all workers drain, and the server ends with an error
//! ```
//! A loop fails by an error of its poll, or by a panic that no single connection is to blame for. The
//! listeners outlive it, since all workers hold them: who is in their queues is let in by the next loop. So
//! does the doorbell, which other threads know by a number that means the same in every descriptor table;
//! what the next loop opens is this thread's alone, and may be. What was counted stays counted, and mail to
//! the connections of before finds nobody.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::base::Tick;

use super::worker::{Worker, now};

/// A worker may fail so often within such a time; with the next failure the server ends, so that whoever
/// supervises the process begins with a new one.
const FAILURES_MAX: usize = 5;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);
/// How much longer is waited before each restart than before the one before it. The first is at once.
const PAUSE_STEP: Duration = Duration::from_millis(10);
/// How long the others have for what is under way when a worker is given up.
const GRACE: Duration = Duration::from_secs(5);

impl Worker {
    /// Works until the server ends.
    ///
    /// # Errors
    /// The last failure of a worker that is given up; all workers are told to drain before.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.settle_in();
        let mut failures = Failures::default();
        loop {
            let is_first = failures.is_empty();
            let worked = contained(|| {
                if !is_first {
                    self.begin_anew()?;
                }
                self.turn_on()
            });
            let Err(error) = worked else { return Ok(()) };
            self.shard.stats().worker_down.set(1);
            let recent = failures.add(now());
            if recent > FAILURES_MAX {
                self.give_up(&error);
                return Err(error);
            }
            self.complain(&error, "it begins anew, and its connections are closed");
            std::thread::park_timeout(PAUSE_STEP.saturating_mul(u32::try_from(recent - 1).unwrap_or(0)));
        }
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        let (edition, doors) = self.control.all_news(self.ears.worker(), &mut self.generation);
        // First of all, so that a poll finds descriptors.
        self.shard.begin_anew(edition);
        self.reactor.begin_anew()?;
        self.ears.begin_anew(doors, &self.reactor, now());
        let stats = self.shard.stats();
        stats.worker_restarts.add(1);
        stats.worker_down.set(0);
        Ok(())
    }

    /// One worker less is half a server: the others end in order, and whoever joins them hears of it.
    fn give_up(&mut self, error: &io::Error) {
        if !self.control.is_ending() {
            self.control.drain(Duration::ZERO, GRACE);
        }
        self.ears.ring_all();
        self.complain(error, "it is given up, and the server ends");
        let ended = contained(|| {
            self.shard.begin_anew(self.control.edition());
            self.ears.close(&self.reactor);
            Ok(())
        });
        if let Err(error) = ended {
            self.complain(&error, "it has ended in disorder");
        }
    }

    fn complain(&self, error: &io::Error, consequence: &str) {
        let worker = self.ears.worker();
        // The program's logger may be what has failed.
        let _ = contained(|| {
            log::error!("worker {worker} failed: {error}; {consequence}");
            Ok(())
        });
    }
}

/// When a worker has failed.
#[derive(Debug, Default)]
struct Failures(VecDeque<Tick>);

impl Failures {
    /// Whether there was none yet.
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more; how many there are that count together.
    fn add(&mut self, now: Tick) -> usize {
        while self.0.front().is_some_and(|first| now.since(*first) >= FAILURES_WITHIN) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len()
    }
}

/// What `act` gives; a panic is an error like others.
fn contained(act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| Err(in_words(&*panic)))
}

fn in_words(panic: &(dyn Any + Send)) -> io::Error {
    let said =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    io::Error::other(said.map_or_else(|| "it panicked".to_owned(), |said| format!("it panicked: {said}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_together_for_a_minute() {
        let at = |seconds: u64| Tick::from_millis(seconds * 1000);
        let mut failures = Failures::default();
        assert!(failures.is_empty());
        for (second, together) in
            [(0, 1), (1, 2), (59, 3), (60, 3), (61, 3), (62, 4), (63, 5), (64, 6), (200, 1)]
        {
            assert_eq!(failures.add(at(second)), together, "{second} s");
        }
    }

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        let say = |act: fn() -> io::Result<()>| contained(act).unwrap_err().to_string();
        assert_eq!(say(|| panic!("at {}", 7)), "it panicked: at 7");
        assert_eq!(say(|| panic!("plainly")), "it panicked: plainly");
        assert_eq!(say(|| std::panic::panic_any(7)), "it panicked");
        assert_eq!(say(|| Err(io::Error::other("EBADF"))), "EBADF");
    }
}
