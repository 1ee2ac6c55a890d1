//! [`channel`]: a response body that is written by another thread.
//!
//! ```text
//!  BodyWriter ──► queue (bytes_max) ──► ChannelSource ──► pulled by the loop
//!      ◄── room ── Condvar                  ── Wakeup, only if the source was told to wait
//! ```
//! The writer feels the client's slowness: it is refused, or blocks, while `bytes_max` bytes wait.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;

use super::reply::Wakeup;
use super::request::Request;
use crate::http::{Pull, Pulled, Response, Source};

/// A piece at least this long is handed on by reference, a shorter one is copied; in bytes.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// A writer, and a response whose body is what it writes. At most `bytes_max` bytes wait in between.
///
/// The body ends when the writer is dropped.
///
/// ```
/// use kolk::{App, Request, channel};
///
/// let app = App::new().get("/count", |request: &Request<'_>| {
///     let (mut body, response) = channel(request, 4096);
///     std::thread::spawn(move || {
///         for number in 1..=3 {
///             if body.write_blocking(format!("{number}\n").into()).is_err() {
///                 return; // the client has gone
///             }
///         }
///     });
///     response
/// });
/// assert_eq!(app.oneshot(http::Request::get("/count").body("").unwrap()).body(), "1\n2\n3\n");
/// ```
pub fn channel(request: &Request<'_>, bytes_max: usize) -> (BodyWriter, Response) {
    let (writer, source) = pair(request.wakeup(), bytes_max);
    (writer, Response::stream("application/octet-stream", source))
}

fn pair(wakeup: Wakeup, bytes_max: usize) -> (BodyWriter, ChannelSource) {
    let lane = Lane { queue: VecDeque::new(), bytes: 0, state: State::Open, hungry: false };
    let shared = Arc::new(Shared { lane: Mutex::new(lane), room: Condvar::new(), bytes_max, wakeup });
    (BodyWriter { shared: Arc::clone(&shared) }, ChannelSource { shared })
}

/// The writing end of a [`channel`]. Dropping it ends the body; dropped by a panic, it cuts it.
pub struct BodyWriter {
    shared: Arc<Shared>,
}

impl BodyWriter {
    /// Appends `bytes` to the body, if there is room. A piece larger than the whole channel is taken
    /// when the channel is empty.
    ///
    /// # Errors
    /// [`TryWriteError::Full`] hands the bytes back; [`TryWriteError::Gone`]: nobody reads any more.
    pub fn try_write(&mut self, bytes: Bytes) -> Result<(), TryWriteError> {
        let lane = self.shared.lock();
        if lane.state != State::Open {
            return Err(TryWriteError::Gone);
        }
        if !self.shared.has_room(&lane, bytes.len()) {
            return Err(TryWriteError::Full(bytes));
        }
        self.shared.push(lane, bytes);
        Ok(())
    }

    /// Appends `bytes` to the body, waiting until there is room. Not for the loop's thread, which
    /// would wait for itself.
    ///
    /// # Errors
    /// [`Gone`]: nobody reads any more.
    pub fn write_blocking(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let mut lane = self.shared.lock();
        while lane.state == State::Open && !self.shared.has_room(&lane, bytes.len()) {
            lane = self.shared.room.wait(lane).unwrap_or_else(PoisonError::into_inner);
        }
        if lane.state != State::Open {
            return Err(Gone);
        }
        self.shared.push(lane, bytes);
        Ok(())
    }

    /// Gives the body up: the connection is cut, so that the client knows that something is missing.
    pub fn abort(self) {
        self.shared.finish(State::Aborted);
    }
}

/// Blocks while the channel is full; `BrokenPipe` when the client has gone.
impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(self.shared.bytes_max.max(1))];
        self.write_blocking(Bytes::copy_from_slice(piece))
            .map_err(|gone| io::Error::new(io::ErrorKind::BrokenPipe, gone))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        // What a panicking writer has written must not look complete.
        self.shared.finish(if thread::panicking() { State::Aborted } else { State::Ended });
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = self.shared.lock();
        f.debug_struct("BodyWriter")
            .field("state", &lane.state)
            .field("bytes", &lane.bytes)
            .field("bytes_max", &self.shared.bytes_max)
            .finish_non_exhaustive()
    }
}

/// Why a [`BodyWriter`] did not take a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryWriteError {
    /// The client does not keep up; here is the piece back.
    Full(Bytes),
    /// The client has gone.
    Gone,
}

impl fmt::Display for TryWriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the client does not keep up"),
            Self::Gone => Gone.fmt(f),
        }
    }
}

impl Error for TryWriteError {}

/// The client of a streamed body has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has gone")
    }
}

impl Error for Gone {}

struct Shared {
    lane: Mutex<Lane>,
    room: Condvar,
    bytes_max: usize,
    wakeup: Wakeup,
}

struct Lane {
    queue: VecDeque<Bytes>,
    /// The length of the queue in bytes.
    bytes: usize,
    state: State,
    /// The source was told to wait: the next change wakes it.
    hungry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Aborted,
    /// The source was dropped.
    Unread,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lane> {
        // Nothing that is done under the lock leaves the lane half changed.
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, lane: &Lane, length: usize) -> bool {
        lane.bytes == 0 || lane.bytes.saturating_add(length) <= self.bytes_max
    }

    fn push(&self, mut lane: MutexGuard<'_, Lane>, bytes: Bytes) {
        if !bytes.is_empty() {
            lane.bytes += bytes.len();
            lane.queue.push_back(bytes);
            self.wake(lane);
        }
    }

    fn finish(&self, state: State) {
        let mut lane = self.lock();
        if lane.state == State::Open {
            lane.state = state;
            self.wake(lane);
        }
    }

    fn wake(&self, mut lane: MutexGuard<'_, Lane>) {
        let hungry = std::mem::take(&mut lane.hungry);
        drop(lane);
        if hungry {
            self.wakeup.wake();
        }
    }
}

struct ChannelSource {
    shared: Arc<Shared>,
}

impl Source for ChannelSource {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let mut lane = self.shared.lock();
        if lane.state == State::Aborted {
            return Pulled::Failed;
        }
        while pull.room() > 0
            && let Some(mut piece) = lane.queue.pop_front()
        {
            if piece.len() > pull.room() {
                lane.queue.push_front(piece.split_off(pull.room()));
            }
            lane.bytes -= piece.len();
            if piece.len() < SHARED_BYTES_MIN {
                pull.write(&piece);
            } else {
                pull.share(piece);
            }
        }
        self.shared.room.notify_all();
        match (lane.queue.is_empty(), lane.state) {
            (false, _) => Pulled::More,
            (true, State::Open) => {
                lane.hungry = true;
                Pulled::Waiting
            }
            (true, _) => Pulled::End,
        }
    }
}

impl Drop for ChannelSource {
    fn drop(&mut self) {
        let unsent = {
            let mut lane = self.shared.lock();
            lane.state = State::Unread;
            lane.bytes = 0;
            std::mem::take(&mut lane.queue)
        };
        self.shared.room.notify_all();
        drop(unsent);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::app::Mail;
    use crate::base::{Key, Mailbox, Wake};
    use crate::http::{ExchangeId, StreamId, Tail, Timeline};

    struct Silent;

    impl Wake for Silent {
        fn wake(&self) {}
    }

    fn open(bytes_max: usize) -> (BodyWriter, ChannelSource, Mailbox<Mail>) {
        let mailbox = Mailbox::new(Arc::new(Silent), 8);
        let id = ExchangeId { connection: Key::unpack(1 << 32), stream: StreamId(1) };
        let (writer, source) = pair(Wakeup::new(id, mailbox.post()), bytes_max);
        (writer, source, mailbox)
    }

    fn pull(source: &mut ChannelSource, room: usize) -> (Vec<u8>, Pulled) {
        let (mut bytes, timeline) = (Vec::new(), Timeline::default());
        let mut pull = Pull::new(&mut bytes, room, &timeline);
        let pulled = source.pull(&mut pull);
        match pull.into_tail() {
            None => {}
            Some(Tail::Shared(shared)) => bytes.extend(shared),
            Some(Tail::File { .. }) => unreachable!("a channel has no files"),
        }
        (bytes, pulled)
    }

    fn letters(mailbox: &mut Mailbox<Mail>) -> usize {
        let mut letters = Vec::new();
        mailbox.drain(&mut letters);
        assert!(letters.iter().all(|letter| matches!(letter, Mail::Wakeup { .. })));
        letters.len()
    }

    #[test]
    fn a_writer_is_refused_until_the_client_has_read() {
        let (mut writer, mut source, _mailbox) = open(4);
        writer.try_write("abc".into()).unwrap();
        assert_eq!(writer.try_write("de".into()), Err(TryWriteError::Full("de".into())));
        writer.try_write("d".into()).unwrap();
        assert_eq!(pull(&mut source, 2), (b"ab".to_vec(), Pulled::More));
        writer.try_write("ef".into()).unwrap();
        assert_eq!(pull(&mut source, 100), (b"cdef".to_vec(), Pulled::Waiting));
        drop(writer);
        assert_eq!(pull(&mut source, 100), (vec![], Pulled::End));
    }

    #[test]
    fn a_piece_larger_than_the_channel_goes_through_alone() {
        let (mut writer, mut source, _mailbox) = open(4);
        let large = Bytes::from(vec![7; 10_000]);
        writer.try_write(large).unwrap();
        assert_eq!(writer.try_write("x".into()), Err(TryWriteError::Full("x".into())));
        assert_eq!(pull(&mut source, 9_000), (vec![7; 9_000], Pulled::More));
        assert_eq!(pull(&mut source, 9_000), (vec![7; 1_000], Pulled::Waiting));
    }

    #[test]
    fn pieces_long_and_short_stay_in_order() {
        let (mut writer, mut source, _mailbox) = open(1 << 20);
        let mut expected = Vec::new();
        for (number, length) in [5, 5_000, 6_000, 1, 8_000, 2].into_iter().enumerate() {
            let piece = vec![u8::try_from(number).unwrap(); length];
            expected.extend_from_slice(&piece);
            writer.try_write(piece.into()).unwrap();
        }
        assert_eq!(pull(&mut source, 1 << 20), (expected, Pulled::Waiting));
    }

    #[test]
    fn only_a_source_that_waits_is_woken_and_once() {
        let (mut writer, mut source, mut mailbox) = open(100);
        writer.try_write("a".into()).unwrap();
        assert_eq!(letters(&mut mailbox), 0, "nobody waits");
        assert_eq!(pull(&mut source, 100).1, Pulled::Waiting);
        writer.try_write("b".into()).unwrap();
        writer.try_write("c".into()).unwrap();
        assert_eq!(letters(&mut mailbox), 1);
        assert_eq!(pull(&mut source, 100).1, Pulled::Waiting);
        drop(writer);
        assert_eq!(letters(&mut mailbox), 1, "the end is news too");
    }

    #[test]
    fn an_aborted_body_fails_and_so_does_one_whose_writer_panics() {
        let (mut writer, mut source, _mailbox) = open(100);
        writer.try_write("a".into()).unwrap();
        writer.abort();
        assert_eq!(pull(&mut source, 100), (vec![], Pulled::Failed));

        let (writer, mut source, _mailbox) = open(100);
        let panicked = thread::spawn(move || {
            let _writer = writer;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(pull(&mut source, 100).1, Pulled::Failed);
    }

    #[test]
    fn a_blocked_writer_goes_on_when_there_is_room_and_stops_when_the_client_has_gone() {
        let (mut writer, mut source, _mailbox) = open(4);
        let blocked = thread::spawn(move || {
            writer.write_all(b"0123456789").unwrap();
            loop {
                if let Err(Gone) = writer.write_blocking("more".into()) {
                    return writer.write(b"x").unwrap_err().kind();
                }
            }
        });
        let mut read = Vec::new();
        while read.len() < 10 {
            read.extend(pull(&mut source, 3).0);
            thread::yield_now();
        }
        assert_eq!(read[..10], *b"0123456789");
        drop(source);
        assert_eq!(blocked.join().unwrap(), io::ErrorKind::BrokenPipe);
    }
}
