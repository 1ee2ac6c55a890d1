//! STREAMS: the exchanges of a connection that are not over. RFC 9113 §5.1.
//!
//! ```text
//!            HEADERS            END_STREAM of the peer
//!     idle ──────────► open ──────────────────────────► half closed (remote)
//!                        │                                  │
//!                        │ our END_STREAM, and a reset:     │ our END_STREAM
//!                        │ nobody reads the rest            │
//!                        ▼                                  ▼
//!                      closed ◄─────────────────────────────┘      also by RST_STREAM of either side
//! ```
//! A closed stream is not kept. What must be known of it is a bit: whether it was opened, and whether it was
//! reset by us, so that the peer may not have known.

use super::flow::{ReceiveWindow, SendWindow};
use super::outgoing::Outgoing;
use super::priority::Priority;

/// An exchange that is not over.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// The request is complete.
    pub(super) is_received: bool,
    /// The rest of the answer's body; `None`: an answer is owed.
    pub(super) outgoing: Option<Box<Outgoing>>,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    /// What the content still has to come to.
    pub(super) missing: Option<u64>,
    pub(super) priority: Priority,
    pub(super) is_head: bool,
    pub(super) takes_trailers: bool,
    /// The client holds its content back and was not told to go on.
    pub(super) awaits_continue: bool,
}

impl Stream {
    /// Whether its answer waits for a window.
    pub(super) fn is_held_up(&self, connection: SendWindow) -> bool {
        let waits = |outgoing: &Outgoing| !outgoing.is_asleep() && outgoing.needs_window();
        (connection.left() == 0 || self.send_window.left() == 0)
            && self.outgoing.as_ref().is_some_and(|outgoing| waits(outgoing))
    }

    /// What the client is to be told of its window now, if anything.
    #[inline]
    pub(super) fn take_credit(&mut self, size_max: u32) -> Option<u32> {
        if self.is_received { None } else { self.receive_window.give(0, 0, size_max) }
    }
}

/// What a number of a stream means that is not among those that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Never used, and larger than all that were.
    Idle,
    /// Passed over: a larger one was used first (RFC 9113 §5.1.1).
    Skipped,
    /// We gave it up: what the peer had sent before it knew is no fault.
    Reset,
    Closed,
}

/// The streams of a connection, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Vec<Stream>,
    /// The largest number that the peer has used.
    last: u32,
    /// Of the numbers up to the last, the youngest in the lowest bit: which were opened, which we reset.
    opened: u64,
    reset: Bits,
    /// Who was served last of those that take turns.
    served: u32,
}

/// One bit for each of the 128 youngest numbers. In halves: a whole would be aligned to 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Bits([u64; 2]);

impl Bits {
    const fn whole(self) -> u128 {
        let [low, high] = self.0;
        low as u128 | (high as u128) << 64
    }

    fn replace(&mut self, bits: u128) {
        let [low, high] = [bits, bits >> 64].map(|half| half & u128::from(u64::MAX));
        self.0 = [low, high].map(|half| u64::try_from(half).unwrap_or(0));
    }

    fn has(self, age: u32) -> bool {
        self.whole().checked_shr(age).is_some_and(|bits| bits & 1 == 1)
    }

    fn set(&mut self, age: u32) {
        self.replace(self.whole() | 1_u128.checked_shl(age).unwrap_or(0));
    }

    fn age(&mut self, steps: u32) {
        if self.0 != [0, 0] {
            self.replace(self.whole().checked_shl(steps).unwrap_or(0));
        }
    }
}

/// What the connections of a shard share: room for streams, which they use in turn, so that one that rests
/// has none; and what their windows may still grow by, so that all together keep a bounded number of bytes
/// that nobody has used.
#[derive(Debug)]
pub struct Room {
    streams: Vec<Stream>,
    pub(super) growth_bytes_left: u32,
}

impl Room {
    /// Room for windows that grow by so many bytes together.
    pub const fn new(growth_bytes_max: u32) -> Self {
        Self { streams: Vec::new(), growth_bytes_left: growth_bytes_max }
    }

    /// What the windows may still grow by, in bytes.
    pub const fn growth_bytes_left(&self) -> u32 {
        self.growth_bytes_left
    }
}

/// Room for more streams than this is not kept.
const STREAMS_KEPT: usize = 128;

impl Streams {
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.open.len()
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The largest number that the peer has used.
    #[inline]
    pub(super) const fn last(&self) -> u32 {
        self.last
    }

    #[inline]
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Stream> {
        self.open.iter()
    }

    #[inline]
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Stream> {
        self.open.iter_mut()
    }

    #[inline]
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let place = self.place(id)?;
        self.open.get_mut(place)
    }

    /// What it means that `id` is not open.
    pub(super) fn absent(&self, id: u32) -> Absent {
        if id > self.last || id.is_multiple_of(2) {
            return Absent::Idle;
        }
        let age = (self.last - id) / 2;
        if self.reset.has(age) {
            Absent::Reset
        } else if self.opened.checked_shr(age).is_some_and(|bits| bits & 1 == 0) {
            Absent::Skipped
        } else {
            Absent::Closed
        }
    }

    /// The number is used from now on.
    pub(super) fn note(&mut self, id: u32) {
        debug_assert!(id > self.last);
        let steps = (id - self.last).div_ceil(2);
        self.opened = self.opened.checked_shl(steps).unwrap_or(0) | 1;
        self.reset.age(steps);
        self.last = id;
    }

    /// Opens the last stream that was noted.
    #[inline]
    pub(super) fn open(&mut self, stream: Stream) {
        debug_assert_eq!(stream.id, self.last);
        self.open.push(stream);
    }

    /// The stream is over.
    #[inline]
    pub(super) fn close(&mut self, id: u32) -> Option<Stream> {
        let place = self.place(id)?;
        Some(self.open.remove(place))
    }

    /// Takes `room`, if there is none.
    #[inline]
    pub(super) fn take_room(&mut self, room: &mut Room) {
        if self.open.capacity() == 0 {
            std::mem::swap(&mut self.open, &mut room.streams);
        }
    }

    /// Gives back the room where no stream is open.
    #[inline]
    pub(super) fn give_room(&mut self, room: &mut Room) {
        if self.open.is_empty() && self.open.capacity() > 0 {
            let open = std::mem::take(&mut self.open);
            if open.capacity() <= STREAMS_KEPT {
                room.streams = open;
            }
        }
    }

    /// It is over because we say so.
    pub(super) fn note_reset(&mut self, id: u32) {
        if !id.is_multiple_of(2) && id <= self.last {
            self.reset.set((self.last - id) / 2);
        }
    }

    /// The stream whose body is due: RFC 9218 §10. The most urgent first; of equals the oldest, unless it
    /// lets the others take turns.
    pub(super) fn due(&self, connection_has_room: bool) -> Option<u32> {
        let mut best: Option<(&Stream, (u8, bool, u32))> = None;
        for stream in &self.open {
            let Some(outgoing) = stream.outgoing.as_ref() else { continue };
            let has_room = connection_has_room && stream.send_window.left() > 0;
            if outgoing.is_asleep() || (outgoing.needs_window() && !has_room) {
                continue;
            }
            let Priority { urgency, is_incremental } = stream.priority;
            // Who has just had its turn waits for those behind it.
            let rank = (urgency, is_incremental && stream.id <= self.served, stream.id);
            if best.is_none_or(|(_, first)| rank < first) {
                best = Some((stream, rank));
            }
        }
        best.map(|(stream, _)| stream.id)
    }

    /// The stream has had its turn.
    pub(super) const fn served(&mut self, id: u32) {
        self.served = id;
    }

    #[inline]
    fn place(&self, id: u32) -> Option<usize> {
        match self.open.last() {
            // Nearly always the youngest.
            Some(stream) if stream.id == id => Some(self.open.len() - 1),
            Some(_) => self.open.binary_search_by_key(&id, |stream| stream.id).ok(),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Body;

    fn stream(id: u32, urgency: u8, is_incremental: bool) -> Stream {
        Stream {
            id,
            is_received: true,
            outgoing: Some(Box::new(Outgoing::new(Body::Static(b"body"), Some(4)))),
            send_window: SendWindow::new(10),
            receive_window: ReceiveWindow::new(10),
            missing: None,
            priority: Priority { urgency, is_incremental },
            is_head: false,
            takes_trailers: false,
            awaits_continue: false,
        }
    }

    fn streams(open: &[(u32, u8, bool)]) -> Streams {
        let mut streams = Streams::default();
        for &(id, urgency, is_incremental) in open {
            streams.note(id);
            streams.open(stream(id, urgency, is_incremental));
        }
        streams
    }

    fn order(streams: &mut Streams, turns: usize) -> Vec<u32> {
        let turn = |_| {
            let id = streams.due(true).unwrap();
            streams.served(id);
            id
        };
        (0..turns).map(turn).collect()
    }

    #[test]
    fn rfc_9113_5_1_what_is_known_of_a_stream_that_is_not_open() {
        let mut streams = streams(&[(1, 3, false), (7, 3, false)]);
        streams.close(1);
        for (id, absent) in [
            (1, Absent::Closed),
            (3, Absent::Skipped),
            (5, Absent::Skipped),
            (9, Absent::Idle),
            (2, Absent::Idle),
        ] {
            assert_eq!(streams.absent(id), absent, "{id}");
        }
        streams.note_reset(7);
        streams.close(7);
        assert_eq!(streams.absent(7), Absent::Reset);
        for id in (9..400).step_by(2) {
            streams.note(id);
        }
        assert_eq!(streams.absent(7), Absent::Closed, "long ago");
        assert_eq!(streams.absent(1), Absent::Closed);
    }

    #[test]
    fn rfc_9218_10_the_urgent_first_then_the_oldest() {
        let mut streams = streams(&[(1, 3, false), (3, 1, false), (5, 1, false)]);
        assert_eq!(order(&mut streams, 2), [3, 3]);
        streams.close(3);
        assert_eq!(order(&mut streams, 2), [5, 5]);
        streams.close(5);
        assert_eq!(order(&mut streams, 1), [1]);
    }

    #[test]
    fn rfc_9218_10_incremental_ones_take_turns() {
        let mut streams = streams(&[(1, 3, true), (3, 3, true), (5, 3, true), (7, 7, false)]);
        assert_eq!(order(&mut streams, 7), [1, 3, 5, 1, 3, 5, 1]);
    }

    #[test]
    fn who_may_not_send_is_not_due() {
        let mut streams = streams(&[(1, 0, false), (3, 3, false)]);
        streams.get(1).unwrap().send_window.take(10);
        assert_eq!(streams.due(true), Some(3));
        assert_eq!(streams.due(false), None);
    }
}
