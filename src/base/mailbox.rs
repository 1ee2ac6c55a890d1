//! [`Mailbox`] and [`Post`]: letters from any thread to one loop that may be asleep.
//!
//! ```text
//!  Post::send                                Mailbox (the loop)
//!  ──────────                                ──────────────────
//!  lock: push the letter, mail = true        drain: mail? lock: swap the letters out, mail = false
//!  sleeping.swap(false)                      prepare_sleep: sleeping.swap(true), then mail?
//!      was true ──► Wake::wake                   yes ──► do not block
//!                                            … blocks …
//!                                            awake: sleeping.swap(false)
//! ```
//!
//! A wake costs a system call, so only the first letter to a sleeping loop causes one, and none to a loop
//! that is at work.
//!
//! **No wake-up is lost.** `sleeping` is changed by nothing but `swap` (acquire and release), so its changes
//! form one order in which each sees all that its predecessors' threads did before. Take the swap of a `send`
//! and that of a `prepare_sleep`. If the loop's comes first, then the sender's, or that of another sender
//! between them, finds `true` and wakes. If the sender's comes first, its `mail = true` happened before the
//! loop's look at `mail`, which therefore finds it (or the letter is drained already) and does not block. One
//! of the two comes first. `mail` itself can be relaxed: the swaps and the lock order it.
//!
//! Knows nothing of the letters, nor how a loop sleeps and is woken.

use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a sleeping loop is woken. Called from any thread; must not block.
pub trait Wake: Send + Sync {
    /// Makes the loop's current wait end, or its next if it does not wait yet.
    fn wake(&self);
}

/// The loop's end: the only reader. Dropping it drops the letters and closes every [`Post`].
///
/// ```
/// use std::sync::Arc;
/// use kolk::base::{Mailbox, Wake};
///
/// struct Bell;
/// impl Wake for Bell {
///     fn wake(&self) {} // mio::Waker::wake, for instance
/// }
///
/// let mut mailbox = Mailbox::new(Arc::new(Bell), 1024);
/// let post = mailbox.post();
/// std::thread::spawn(move || post.send("a letter")).join().unwrap().unwrap();
///
/// assert!(!mailbox.prepare_sleep(), "there is mail: do not block");
/// let mut letters = Vec::new();
/// mailbox.drain(&mut letters);
/// assert_eq!(letters, ["a letter"]);
/// ```
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Mailbox<M> {
    /// An empty mailbox for at most `letters_max` letters between two drains, and the bell of its loop.
    pub fn new(wake: Arc<dyn Wake>, letters_max: usize) -> Self {
        let tray = Mutex::new(Tray { letters: Vec::new(), closed: false });
        let (mail, sleeping) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { mail, sleeping, tray, letters_max, wake }) }
    }

    /// A sender's end. Clone it, or ask for another.
    pub fn post(&self) -> Post<M> {
        Post { shared: Arc::clone(&self.shared) }
    }

    /// Appends all letters to `into`, in the order they were sent. One atomic load if there are none.
    ///
    /// An empty `into` changes places with the tray: two vectors go to and fro and nothing is allocated.
    #[inline]
    pub fn drain(&mut self, into: &mut Vec<M>) {
        if self.shared.mail.load(Ordering::Relaxed) {
            self.shared.hand_over(into);
        }
    }

    /// Announces that the loop is about to block. `false`: there is mail, do not.
    ///
    /// After `true` any letter wakes the loop. Call [`Mailbox::awake`] when it runs again.
    #[inline]
    #[must_use = "the loop must not block if there is mail"]
    pub fn prepare_sleep(&self) -> bool {
        self.shared.sleeping.swap(true, Ordering::AcqRel);
        if self.shared.mail.load(Ordering::Relaxed) {
            self.awake();
            return false;
        }
        true
    }

    /// The loop runs, whatever ended its wait: no letter needs to wake it.
    #[inline]
    pub fn awake(&self) {
        // A swap, not a store: a store would hide the swaps of senders before it (see the module's proof).
        self.shared.sleeping.swap(false, Ordering::AcqRel);
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        let mut tray = self.shared.lock();
        tray.closed = true;
        let letters = mem::take(&mut tray.letters);
        // A letter's own drop may send: not while the tray is locked.
        drop(tray);
        drop(letters);
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe("Mailbox", f)
    }
}

/// A sender's end of a [`Mailbox`]: clone it and give it to other threads.
pub struct Post<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Post<M> {
    /// Puts `letter` into the mailbox, and wakes its loop if that sleeps.
    ///
    /// # Errors
    /// Hands the letter back if the mailbox is full, or was dropped.
    #[inline]
    pub fn send(&self, letter: M) -> Result<(), Undelivered<M>> {
        let shared = &*self.shared;
        let mut tray = shared.lock();
        if tray.closed {
            return Err(Undelivered::Closed(letter));
        }
        if tray.letters.len() >= shared.letters_max {
            return Err(Undelivered::Full(letter));
        }
        tray.letters.push(letter);
        shared.mail.store(true, Ordering::Relaxed);
        drop(tray);

        if shared.sleeping.swap(false, Ordering::AcqRel) {
            shared.wake.wake();
        }
        Ok(())
    }
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M> fmt::Debug for Post<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe("Post", f)
    }
}

/// Why a letter came back, and the letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Undelivered<M> {
    /// The mailbox was dropped: its loop has ended, and nobody will ever read this.
    Closed(M),
    /// `letters_max` letters wait already: the loop does not keep up.
    Full(M),
}

impl<M> Undelivered<M> {
    /// The letter.
    pub fn into_letter(self) -> M {
        match self {
            Self::Closed(letter) | Self::Full(letter) => letter,
        }
    }
}

impl<M> fmt::Debug for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "Closed(..)",
            Self::Full(_) => "Full(..)",
        })
    }
}

impl<M> fmt::Display for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the mailbox is closed",
            Self::Full(_) => "the mailbox is full",
        })
    }
}

impl<M> Error for Undelivered<M> {}

struct Shared<M> {
    /// There is a letter in the tray. Written under the lock, read without.
    mail: AtomicBool,
    /// The loop blocks, or is about to. Changed by `swap` only.
    sleeping: AtomicBool,
    tray: Mutex<Tray<M>>,
    letters_max: usize,
    wake: Arc<dyn Wake>,
}

struct Tray<M> {
    letters: Vec<M>,
    closed: bool,
}

impl<M> Shared<M> {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Tray<M>> {
        // Nothing that is done under the lock leaves the tray half changed.
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, into: &mut Vec<M>) {
        let mut tray = self.lock();
        self.mail.store(false, Ordering::Relaxed);
        if into.is_empty() {
            mem::swap(&mut tray.letters, into);
        } else {
            into.append(&mut tray.letters);
        }
    }

    fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("mail", &self.mail.load(Ordering::Relaxed))
            .field("sleeping", &self.sleeping.load(Ordering::Relaxed))
            .field("letters_max", &self.letters_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::sync::Condvar;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A loop's sleep without a kernel: a wait that fails the test when no wake comes.
    #[derive(Default)]
    struct Bell {
        rung: Mutex<bool>,
        changed: Condvar,
        rings: AtomicUsize,
    }

    impl Wake for Bell {
        fn wake(&self) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            *self.rung.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    impl Bell {
        fn wait(&self) {
            let rung = self.rung.lock().unwrap();
            let patience = Duration::from_secs(20);
            let (mut rung, wait) = self.changed.wait_timeout_while(rung, patience, |rung| !*rung).unwrap();
            assert!(!wait.timed_out(), "a wake-up was lost");
            *rung = false;
        }

        fn rings(&self) -> usize {
            self.rings.load(Ordering::Relaxed)
        }
    }

    fn mailbox<M>(letters_max: usize) -> (Mailbox<M>, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        (Mailbox::new(Arc::clone(&bell) as Arc<dyn Wake>, letters_max), bell)
    }

    #[test]
    fn letters_arrive_in_order_behind_those_that_were_there() {
        let (mut mailbox, _) = mailbox(8);
        let post = mailbox.post();
        let mut letters = vec![0];
        post.send(1).unwrap();
        mailbox.post().send(2).unwrap();
        mailbox.drain(&mut letters);
        assert_eq!(letters, [0, 1, 2]);
        mailbox.drain(&mut letters);
        assert_eq!(letters, [0, 1, 2]);
    }

    #[test]
    fn two_vectors_go_to_and_fro() {
        let (mut mailbox, _) = mailbox(8);
        let post = mailbox.post();
        let mut letters = Vec::with_capacity(100);
        post.send(1).unwrap();
        mailbox.drain(&mut letters);
        letters.clear();
        post.send(2).unwrap();
        mailbox.drain(&mut letters);
        assert_eq!((letters.as_slice(), letters.capacity()), ([2].as_slice(), 100));
    }

    #[test]
    fn only_the_first_letter_to_a_sleeper_rings() {
        let (mut mailbox, bell) = mailbox(8);
        let post = mailbox.post();
        post.send(1).unwrap();
        assert_eq!(bell.rings(), 0, "it was at work");
        mailbox.drain(&mut Vec::new());

        assert!(mailbox.prepare_sleep());
        post.send(2).unwrap();
        post.send(3).unwrap();
        assert_eq!(bell.rings(), 1);

        assert!(!mailbox.prepare_sleep(), "there is mail");
        post.send(4).unwrap();
        assert_eq!(bell.rings(), 1, "it did not go to sleep");

        mailbox.drain(&mut Vec::new());
        assert!(mailbox.prepare_sleep());
        mailbox.awake();
        post.send(5).unwrap();
        assert_eq!(bell.rings(), 1, "something else woke it");
    }

    #[test]
    fn a_full_mailbox_hands_the_letter_back_until_it_is_drained() {
        let (mut mailbox, _) = mailbox(1);
        let post = mailbox.post();
        post.send("first").unwrap();
        assert_eq!(post.send("second"), Err(Undelivered::Full("second")));
        mailbox.drain(&mut Vec::new());
        assert_eq!(post.send("second"), Ok(()));
    }

    #[test]
    fn a_dropped_mailbox_drops_its_letters_and_closes_its_posts() {
        let (mailbox, _) = mailbox(8);
        let post = mailbox.post();
        let letter = Arc::new(());
        post.send(Arc::clone(&letter)).unwrap();
        drop(mailbox);
        assert_eq!(Arc::strong_count(&letter), 1);

        let returned = post.send(letter).unwrap_err();
        assert_eq!(returned.to_string(), "the mailbox is closed");
        assert_eq!(Arc::strong_count(&returned.into_letter()), 1);
    }

    /// A letter that writes another when nobody reads it, as an unanswered request does.
    #[derive(Debug)]
    struct LastWord(Option<Post<Self>>);

    impl Drop for LastWord {
        fn drop(&mut self) {
            if let Some(post) = self.0.take() {
                assert!(post.send(Self(None)).is_err());
            }
        }
    }

    #[test]
    fn a_letter_may_send_while_it_is_dropped() {
        let (mailbox, _) = mailbox(8);
        let post = mailbox.post();
        post.send(LastWord(Some(post.clone()))).unwrap();
        drop(mailbox);
    }

    /// Drains until `count` letters are there, sleeping whenever there is nothing. It takes a while, never
    /// the same, to fall asleep: the letters that come in between are those that can be missed.
    fn read<M>(mailbox: &mut Mailbox<M>, bell: &Bell, count: usize, mut each: impl FnMut(M)) {
        let (mut seen, mut letters) = (0, Vec::new());
        while seen < count {
            mailbox.drain(&mut letters);
            if letters.is_empty() {
                (0..seen % 64 * 16).for_each(|_| hint::spin_loop());
                if mailbox.prepare_sleep() {
                    bell.wait();
                    mailbox.awake();
                }
            }
            seen += letters.len();
            letters.drain(..).for_each(&mut each);
        }
    }

    #[test]
    fn two_hundred_thousand_letters_from_four_threads_arrive_once_and_in_order() {
        const SENDERS: usize = 4;
        const EACH: usize = 50_000;
        let (mut mailbox, bell) = mailbox(256);
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let post = mailbox.post();
                scope.spawn(move || {
                    for number in 0..EACH {
                        let mut letter = (sender, number);
                        while let Err(Undelivered::Full(returned)) = post.send(letter) {
                            letter = returned;
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut expected = [0; SENDERS];
            read(&mut mailbox, &bell, SENDERS * EACH, |(sender, number)| {
                assert_eq!(number, expected[sender]);
                expected[sender] += 1;
            });
            assert_eq!(expected, [EACH; SENDERS]);
        });
    }

    #[test]
    fn every_letter_of_a_slow_exchange_finds_its_sleeper() {
        const LETTERS: usize = 20_000;
        let (mut here, here_bell) = mailbox(1);
        let (mut there, there_bell) = mailbox(1);
        let (to_here, to_there) = (here.post(), there.post());
        thread::scope(|scope| {
            // Each letter is answered before the next is sent, so that each meets a loop about to sleep.
            scope.spawn(move || {
                read(&mut there, &there_bell, LETTERS, |number| to_here.send(number).unwrap())
            });
            to_there.send(0).unwrap();
            let mut expected = 0;
            read(&mut here, &here_bell, LETTERS, |number: usize| {
                assert_eq!(number, expected);
                expected += 1;
                if expected < LETTERS {
                    to_there.send(expected).unwrap();
                }
            });
        });
    }
}
