//! [`BlockingPool`]: a bounded number of threads that may block, and a bounded queue before them.
//!
//! ```text
//!  reserve ──► Seat ──submit──► queue ──► thread ──► seat is free again
//!     └─ none left: PoolFull (the caller still has its request, and answers 503)
//! ```
//! A thread that takes a job and leaves nobody to wait for the next one starts one more, if there may be one:
//! so all of them have the affinity and the descriptor table of whoever has started the first one, and not
//! of a worker that has its own. Invariant: `seated` counts the seats held, the jobs queued and the jobs
//! running; no seat is given beyond `threads_max + queue_max`. Both may change; a thread too many ends with
//! its job. Knows nothing of requests.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// What a pool runs.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads for handlers that block.
///
/// ```
/// use kolk::app::BlockingPool;
///
/// let pool = BlockingPool::new(2, 16);
/// let (done, wait) = std::sync::mpsc::channel();
/// pool.submit(Box::new(move || done.send(6 * 7).unwrap())).unwrap();
/// assert_eq!(wait.recv(), Ok(42));
/// ```
pub struct BlockingPool {
    shared: Arc<Shared>,
}

impl BlockingPool {
    /// A pool of at most `threads_max` threads, each started when there is work for it, with room
    /// for `queue_max` jobs that wait.
    pub fn new(threads_max: usize, queue_max: usize) -> Self {
        let state = State { threads_max: threads_max.max(1), queue_max, ..State::default() };
        let shared = Shared { state: Mutex::new(state), work: Condvar::new(), threads: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// As many threads and waiting jobs as this from now on. What was accepted is done, whatever there is
    /// room for now; threads that are too many end with their jobs.
    ///
    /// ```
    /// use kolk::app::BlockingPool;
    ///
    /// let pool = BlockingPool::new(1, 0);
    /// let seat = pool.reserve().unwrap();
    /// assert!(pool.reserve().is_err());
    /// pool.resize(1, 1);
    /// assert!(pool.reserve().is_ok());
    /// # drop(seat);
    /// ```
    pub fn resize(&self, threads_max: usize, queue_max: usize) {
        let mut state = self.shared.lock();
        (state.threads_max, state.queue_max) = (threads_max.max(1), queue_max);
        let waiting = state.queue.len();
        drop(state);
        self.shared.work.notify_all();
        for _ in 0..waiting {
            if !self.shared.start_thread() {
                break;
            }
        }
    }

    /// Starts the first thread now: it, and all others, inherit the caller's descriptor table and affinity,
    /// and not those of whoever brings the first job.
    pub fn start(&self) {
        self.shared.start_thread();
    }

    /// A place for one job.
    ///
    /// # Errors
    /// [`PoolFull`] when every thread is taken and the queue is full.
    pub fn reserve(&self) -> Result<Seat<'_>, PoolFull> {
        let mut state = self.shared.lock();
        if state.seated >= state.threads_max.saturating_add(state.queue_max) {
            return Err(PoolFull);
        }
        state.seated += 1;
        Ok(Seat { pool: self, taken: true })
    }

    /// Runs `job` on one of the threads. A panic of the job is contained and logged.
    ///
    /// # Errors
    /// [`PoolFull`] when every thread is taken and the queue is full; the job is dropped.
    pub fn submit(&self, job: Job) -> Result<(), PoolFull> {
        self.reserve()?.submit(job);
        Ok(())
    }

    /// Drops what is queued if the system gives us no thread at all: a dropped job is an answer, a forgotten
    /// one is not.
    fn drop_jobs_of_nobody(&self) {
        let mut state = self.shared.lock();
        if state.started == 0 {
            let waiting = std::mem::take(&mut state.queue);
            state.seated -= waiting.len();
            drop(state);
            drop(waiting);
        }
    }
}

impl Drop for BlockingPool {
    /// Lets running jobs finish and drops those that wait.
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.work.notify_all();
        // Not under the lock: a job's own drop may do anything.
        drop(waiting);
        let threads = std::mem::take(&mut *self.shared.threads());
        for handle in threads {
            // The last owner may be a job: a thread cannot wait for itself.
            if handle.thread().id() != thread::current().id() {
                // A thread ends without a panic: jobs are contained.
                let _ended = handle.join();
            }
        }
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("BlockingPool")
            .field("threads", &state.started)
            .field("threads_max", &state.threads_max)
            .field("seated", &state.seated)
            .field("queue_max", &state.queue_max)
            .finish_non_exhaustive()
    }
}

/// The right to submit one job. Dropped unused it goes back to the pool.
#[derive(Debug)]
#[must_use = "a seat is for a job"]
pub struct Seat<'p> {
    pool: &'p BlockingPool,
    taken: bool,
}

impl Seat<'_> {
    /// Runs `job` on one of the threads.
    pub fn submit(mut self, job: Job) {
        self.taken = false;
        let shared = &self.pool.shared;
        let is_first = {
            let mut state = shared.lock();
            state.queue.push_back(job);
            state.started == 0
        };
        if is_first {
            shared.start_thread();
        }
        shared.work.notify_one();
        self.pool.drop_jobs_of_nobody();
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.taken {
            self.pool.shared.lock().seated -= 1;
        }
    }
}

/// Every thread is taken and the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the blocking pool is full")
    }
}

impl Error for PoolFull {}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// Those that whoever takes the pool down waits for.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    threads_max: usize,
    queue_max: usize,
    queue: VecDeque<Job>,
    seated: usize,
    started: usize,
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one more thread; whether there is one more.
    fn start_thread(self: &Arc<Self>) -> bool {
        let number = {
            let mut state = self.lock();
            if state.started >= state.threads_max || state.closed {
                return false;
            }
            state.started += 1;
            state.started
        };
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name(format!("kolk-pool-{number}"));
        match thread.spawn(move || shared.work_until_closed()) {
            Ok(handle) => {
                let mut threads = self.threads();
                threads.retain(|thread| !thread.is_finished());
                threads.push(handle);
                true
            }
            Err(error) => {
                log::error!("a thread of the blocking pool does not start: {error}");
                self.lock().started -= 1;
                false
            }
        }
    }

    fn work_until_closed(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            if state.started > state.threads_max {
                state.started -= 1;
                // What it was woken for is another's.
                self.work.notify_one();
                return;
            }
            if let Some(job) = state.queue.pop_front() {
                let leaves_nobody = state.idle == 0 && state.started < state.threads_max;
                drop(state);
                if leaves_nobody {
                    self.start_thread();
                }
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    log::error!("a job on the blocking pool panicked");
                }
                state = self.lock();
                state.seated -= 1;
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// A job that runs until its sender is dropped, and says that it runs.
    fn blocker(running: &mpsc::Sender<()>) -> (mpsc::Sender<()>, Job) {
        let (release, wait) = mpsc::channel::<()>();
        let running = running.clone();
        let job = Box::new(move || {
            running.send(()).unwrap();
            // An error is the release.
            let _released = wait.recv();
        });
        (release, job)
    }

    #[test]
    fn a_full_pool_refuses_until_a_job_is_done() {
        let pool = BlockingPool::new(2, 1);
        let (running, runs) = mpsc::channel();
        let mut releases = Vec::new();
        for _ in 0..3 {
            let (release, job) = blocker(&running);
            pool.submit(job).unwrap();
            releases.push(release);
        }
        runs.recv().unwrap();
        runs.recv().unwrap();
        assert_eq!(pool.submit(Box::new(|| unreachable!("refused"))), Err(PoolFull));
        assert!(runs.try_recv().is_err(), "two threads, three jobs");

        releases.remove(0);
        runs.recv().unwrap();
        let (done, is_done) = mpsc::channel();
        pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        releases.clear();
        is_done.recv().unwrap();
    }

    #[test]
    fn more_threads_take_what_waits_and_fewer_end_with_their_jobs() {
        let pool = BlockingPool::new(1, 3);
        let (running, runs) = mpsc::channel();
        let mut releases = Vec::new();
        for _ in 0..4 {
            let (release, job) = blocker(&running);
            pool.submit(job).unwrap();
            releases.push(release);
        }
        runs.recv().unwrap();
        assert!(runs.try_recv().is_err(), "one thread, four jobs");
        pool.resize(3, 0);
        runs.recv().unwrap();
        runs.recv().unwrap();
        assert!(runs.try_recv().is_err(), "three threads, four jobs");
        assert_eq!(pool.reserve().unwrap_err(), PoolFull, "there are more than there is room for now");

        pool.resize(1, 1);
        releases.clear();
        runs.recv().unwrap();
        // Whoever is left does what comes.
        let (done, is_done) = mpsc::channel();
        let mut job: Job = Box::new(move || done.send(()).unwrap());
        while pool.reserve().map(|seat| seat.submit(std::mem::replace(&mut job, Box::new(|| ())))).is_err() {
            thread::yield_now();
        }
        is_done.recv().unwrap();
        while pool.shared.lock().started > 1 {
            thread::yield_now();
        }
        assert_eq!(pool.shared.lock().started, 1);
    }

    #[test]
    fn an_unused_seat_goes_back() {
        let pool = BlockingPool::new(1, 0);
        let seat = pool.reserve().unwrap();
        assert_eq!(pool.reserve().unwrap_err(), PoolFull);
        drop(seat);
        assert!(pool.reserve().is_ok());
        assert_eq!(pool.shared.lock().started, 0, "nothing has run, no thread is there");
    }

    #[test]
    fn a_panic_costs_neither_thread_nor_seat() {
        let pool = BlockingPool::new(1, 1);
        for _ in 0..50 {
            while pool.submit(Box::new(|| panic!("on purpose"))).is_err() {
                thread::yield_now();
            }
        }
        let (done, is_done) = mpsc::channel();
        let mut job: Job = Box::new(move || done.send(thread::current().name().map(str::to_owned)).unwrap());
        while pool.reserve().map(|seat| seat.submit(std::mem::replace(&mut job, Box::new(|| ())))).is_err() {
            thread::yield_now();
        }
        assert_eq!(is_done.recv().unwrap().as_deref(), Some("kolk-pool-1"));
    }

    #[test]
    fn jobs_that_run_are_finished_and_jobs_that_wait_are_dropped() {
        let pool = BlockingPool::new(1, 8);
        let (running, runs) = mpsc::channel();
        let (release, job) = blocker(&running);
        pool.submit(job).unwrap();
        runs.recv().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..8 {
            let ran = Arc::clone(&ran);
            pool.submit(Box::new(move || ran.store(1, Ordering::Relaxed))).unwrap();
        }
        let end = thread::spawn(move || drop(pool));
        while Arc::strong_count(&ran) > 1 {
            thread::yield_now();
        }
        assert!(!end.is_finished(), "one job still runs");
        drop(release);
        end.join().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_job_may_be_the_last_owner() {
        let pool = Arc::new(BlockingPool::new(1, 1));
        let (go, wait) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        let owner = Arc::clone(&pool);
        let job = move || {
            let _went = wait.recv();
            drop(owner);
            done.send(()).unwrap();
        };
        pool.submit(Box::new(job)).unwrap();
        drop(pool);
        drop(go);
        is_done.recv().unwrap();
    }

    #[test]
    fn many_jobs_run_once_each() {
        let (sum, done) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
        let pool = BlockingPool::new(4, 10_000);
        pool.start();
        for number in 1..=1_000 {
            let (sum, done) = (Arc::clone(&sum), done.0.clone());
            pool.submit(Box::new(move || {
                sum.fetch_add(number, Ordering::Relaxed);
                done.send(()).unwrap();
            }))
            .unwrap();
        }
        assert_eq!(done.1.iter().take(1_000).count(), 1_000);
        assert_eq!(sum.load(Ordering::Relaxed), 500_500);
    }
}
