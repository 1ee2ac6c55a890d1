//! Answers from other threads: [`Reply`], [`Recall`] and [`Wakeup`] post [`Mail`] to the worker of their
//! exchange; [`Ticket`] is the receipt that the worker keeps.
//!
//! ```text
//!  Request::defer ──► Outcome::Deferred(Ticket) ──► worker: set(Gone) ──┐
//!                └──► Reply ──► any thread                            Watch
//!                              ├─ client() ◄──────────────────────────┘
//!                              ├─ send(response) ──► Mail::Answer
//!                              └─ drop ────────────► Mail::Abandoned (500)
//!  Request::suspend ─► Outcome::Again(Ticket), and a Recall: a Reply that can also
//!                              └─ call ────────────► Mail::Again: the handler is called once more
//! ```
//! Exactly one letter answers a ticket. Mail for an exchange that is over finds nobody and is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use crate::base::{Post, Undelivered};
use crate::http::{ExchangeId, Response};

/// How often a letter is tried while its mailbox is full; the sender yields its thread in between.
const DELIVERY_TRIES: u32 = 1_000;

/// A letter to the worker of an exchange.
#[derive(Debug)]
pub enum Mail {
    /// The answer to a deferred request.
    Answer {
        /// The exchange.
        to: ExchangeId,
        /// The answer.
        response: Box<Response>,
    },
    /// The [`Reply`] was dropped: there will be no answer.
    Abandoned {
        /// The exchange.
        to: ExchangeId,
    },
    /// The handler is to be called again: what it waited for is there.
    Again {
        /// The exchange.
        to: ExchangeId,
    },
    /// A waiting [`Source`](crate::http::Source) or [`Sink`](super::Sink) can go on.
    Wakeup {
        /// The exchange.
        to: ExchangeId,
    },
}

/// The right to answer one request, from any thread. Dropped without an answer it is a 500.
///
/// ```
/// use kolk::{App, Presence, Request, Reply, deferred};
///
/// let app = App::new().get("/sum", deferred(|_: &Request<'_>, reply: Reply| {
///     std::thread::spawn(move || {
///         let mut sum = 0_u64;
///         for number in 1..=1000 {
///             if reply.client() == Presence::Gone {
///                 return; // nobody is waiting any more
///             }
///             sum += number;
///         }
///         reply.send(sum.to_string());
///     });
/// }));
/// assert_eq!(app.oneshot(http::Request::get("/sum").body("").unwrap()).body(), "500500");
/// ```
#[must_use = "dropping a reply answers with a 500"]
pub struct Reply {
    to: ExchangeId,
    post: Post<Mail>,
    watch: Arc<Watch>,
    answered: bool,
}

impl Reply {
    /// The right to answer `to`, and the receipt of it.
    pub(super) fn new(to: ExchangeId, post: &Post<Mail>) -> (Self, Ticket) {
        let watch = Arc::new(Watch::default());
        let ticket = Ticket { watch: Arc::clone(&watch) };
        (Self { to, post: post.clone(), watch, answered: false }, ticket)
    }

    /// Answers. If the client is gone, or the server has stopped, the answer is dropped.
    pub fn send(mut self, response: impl Into<Response>) {
        self.answered = true;
        if self.client() != Presence::Gone {
            deliver(&self.post, Mail::Answer { to: self.to, response: Box::new(response.into()) });
        }
    }

    /// Whether somebody still waits for the answer.
    #[inline]
    pub fn client(&self) -> Presence {
        self.watch.presence()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered && self.client() != Presence::Gone {
            deliver(&self.post, Mail::Abandoned { to: self.to });
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("to", &self.to).field("client", &self.client()).finish_non_exhaustive()
    }
}

/// The right to have the handler of one request called once more, on its loop, from any thread; or to answer
/// in its place. Dropped unused it is a 500. See [`Request::suspend`](super::Request::suspend).
#[derive(Debug)]
#[must_use = "dropping a recall answers with a 500"]
pub struct Recall {
    reply: Reply,
}

impl Recall {
    pub(super) const fn new(reply: Reply) -> Self {
        Self { reply }
    }

    /// Has the handler called again, with the same request.
    pub fn call(mut self) {
        self.reply.answered = true;
        if self.client() != Presence::Gone {
            deliver(&self.reply.post, Mail::Again { to: self.reply.to });
        }
    }

    /// Answers instead: the handler is not called again.
    pub fn send(self, response: impl Into<Response>) {
        self.reply.send(response);
    }

    /// Whether somebody still waits for the answer.
    #[inline]
    pub fn client(&self) -> Presence {
        self.reply.client()
    }
}

/// The receipt of a [`Reply`]: the worker keeps it while it waits for the answer.
#[derive(Debug)]
pub struct Ticket {
    watch: Arc<Watch>,
}

impl Ticket {
    /// Where the worker notes that the client has left.
    pub fn presence(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }
}

/// Whether the client of a request is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It waits.
    #[default]
    Here,
    /// It sends no more, but may still read.
    HalfClosed,
    /// Nobody will read the answer.
    Gone,
}

/// A [`Presence`] that two threads share: the worker writes, the handler reads.
#[derive(Debug, Default)]
pub struct Watch(AtomicU8);

impl Watch {
    /// What is known of the client.
    #[inline]
    pub fn presence(&self) -> Presence {
        match self.0.load(Ordering::Relaxed) {
            0 => Presence::Here,
            1 => Presence::HalfClosed,
            _ => Presence::Gone,
        }
    }

    /// Notes a change.
    #[inline]
    pub fn set(&self, presence: Presence) {
        self.0.store(presence as u8, Ordering::Relaxed);
    }
}

/// Wakes a waiting [`Source`](crate::http::Source) or [`Sink`](super::Sink) of one exchange, from any thread.
#[derive(Clone)]
pub struct Wakeup {
    to: ExchangeId,
    post: Post<Mail>,
}

impl Wakeup {
    pub(super) const fn new(to: ExchangeId, post: Post<Mail>) -> Self {
        Self { to, post }
    }

    /// Asks the source or sink again. Each call costs a letter: wake when there is something new.
    pub fn wake(&self) {
        deliver(&self.post, Mail::Wakeup { to: self.to });
    }
}

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeup").field("to", &self.to).finish_non_exhaustive()
    }
}

/// Posts `mail`. A full mailbox belongs to a loop that is busy: it gets a moment. The moment ends, because
/// the sender may be that very loop.
fn deliver(post: &Post<Mail>, mut mail: Mail) {
    for _ in 0..DELIVERY_TRIES {
        match post.send(mail) {
            // A closed mailbox: the worker has ended and its connections with it.
            Ok(()) | Err(Undelivered::Closed(_)) => return,
            Err(Undelivered::Full(letter)) => mail = letter,
        }
        thread::yield_now();
    }
    log::error!("the mailbox of a worker stays full; lost: {mail:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Key, Mailbox, Wake};
    use crate::http::StreamId;

    struct Silent;

    impl Wake for Silent {
        fn wake(&self) {}
    }

    fn open(letters_max: usize) -> (Mailbox<Mail>, Reply, Ticket) {
        let mailbox = Mailbox::new(Arc::new(Silent), letters_max);
        let id = ExchangeId { connection: Key::unpack(1 << 32), stream: StreamId(7) };
        let (reply, ticket) = Reply::new(id, &mailbox.post());
        (mailbox, reply, ticket)
    }

    fn letters(mailbox: &mut Mailbox<Mail>) -> Vec<Mail> {
        let mut letters = Vec::new();
        mailbox.drain(&mut letters);
        letters
    }

    #[test]
    fn a_reply_posts_one_answer_from_any_thread() {
        let (mut mailbox, reply, _ticket) = open(8);
        thread::spawn(move || reply.send("late")).join().unwrap();
        let letters = letters(&mut mailbox);
        let [Mail::Answer { to, response }] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((to.stream, response.length()), (StreamId(7), Some(4)));
    }

    #[test]
    fn a_reply_that_is_dropped_says_so() {
        let (mut mailbox, reply, _ticket) = open(8);
        drop(reply);
        assert!(matches!(letters(&mut mailbox)[..], [Mail::Abandoned { to }] if to.stream == StreamId(7)));

        let (mut mailbox, reply, _ticket) = open(8);
        let panicked = thread::spawn(move || {
            let _reply = reply;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert!(matches!(letters(&mut mailbox)[..], [Mail::Abandoned { .. }]));
    }

    #[test]
    fn a_reply_sees_its_client_leave_and_then_posts_nothing() {
        let (mut mailbox, reply, ticket) = open(8);
        assert_eq!(reply.client(), Presence::Here);
        for presence in [Presence::HalfClosed, Presence::Gone] {
            ticket.presence().set(presence);
            assert_eq!(reply.client(), presence);
        }
        reply.send("nobody reads this");
        assert!(letters(&mut mailbox).is_empty());
    }

    #[test]
    fn a_full_mailbox_gets_time_and_a_closed_one_is_forgotten() {
        let (mut mailbox, reply, _ticket) = open(1);
        let wakeup = Wakeup::new(reply.to, mailbox.post());
        wakeup.wake();
        let sender = thread::spawn(move || reply.send("second"));
        let mut arrived = letters(&mut mailbox);
        while !sender.is_finished() {
            arrived.append(&mut letters(&mut mailbox));
        }
        sender.join().unwrap();
        arrived.append(&mut letters(&mut mailbox));
        assert!(matches!(arrived[..], [Mail::Wakeup { .. }, Mail::Answer { .. }]), "{arrived:?}");
        drop(mailbox);
        wakeup.wake();
    }
}
