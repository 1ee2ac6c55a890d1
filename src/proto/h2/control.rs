//! FRAMES ABOUT THE CONNECTION AND ITS STREAMS: windows, resets, settings, priorities, and the end.
//! RFC 9113 §6.3 to §6.5, §6.7 to §6.9, RFC 9218 §7.1.
//!
//! Each is small, whole when it is looked at, and answered at once if it is answered.

use super::frame::{self, ACK, FrameHead};
use super::limits::WINDOW_BYTES;
use super::priority::Priority;
use super::receive::{Fault, Found, Step, connection, stream};
use super::streams::Absent;
use super::{Drain, FAREWELL, Server};
use crate::http::Reason;
use crate::wire::Output;

impl Server {
    /// RFC 9113 §6.9.
    pub(super) fn window_update(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let increment = frame::number(payload).ok_or(connection(Reason::H2FrameSize))? & 0x7FFF_FFFF;
        let id = head.stream;
        self.calm.update().map_err(|_| connection(Reason::H2Calm))?;
        if id == 0 {
            return match increment {
                0 => Err(connection(Reason::H2WindowZero)),
                _ => self.send_window.grow(i64::from(increment)).map_err(connection),
            };
        }
        match self.streams.get(id) {
            Some(_) if increment == 0 => Err(stream(id, Reason::H2WindowZero)),
            Some(open) => open.send_window.grow(i64::from(increment)).map_err(|reason| stream(id, reason)),
            None => self.may_be_late(id),
        }
    }

    /// RFC 9113 §6.4.
    pub(super) fn rst_stream<'i>(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<Found<'i>, Fault> {
        let id = head.stream;
        if payload.len() != 4 {
            return Err(connection(Reason::H2FrameSize));
        }
        if id == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        self.glitch()?;
        if self.streams.get(id).is_none() {
            self.may_be_late(id)?;
            return Ok(Found::Nothing);
        }
        self.retire(id, output);
        Ok(Found::Step(Step::Reset { id, reason: None }))
    }

    /// A frame for a stream that is not open, where that is no fault if it was.
    fn may_be_late(&self, id: u32) -> Result<(), Fault> {
        match self.absent(id) {
            Absent::Idle => Err(connection(Reason::H2StreamIdle)),
            Absent::Skipped | Absent::Reset | Absent::Closed => Ok(()),
        }
    }

    /// RFC 9113 §6.5.
    pub(super) fn settings(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if head.has(ACK) {
            if !payload.is_empty() {
                return Err(connection(Reason::H2FrameSize));
            }
            return self.acknowledged(output);
        }
        if std::mem::replace(&mut self.is_greeted, true) {
            self.glitch()?;
        }
        let before = self.peer;
        self.peer.update(payload).map_err(|broken| (0, broken))?;
        if self.peer.window_bytes != before.window_bytes {
            // RFC 9113 §6.9.2: the windows of all streams move with it.
            let change = i64::from(self.peer.window_bytes) - i64::from(before.window_bytes);
            for open in self.streams.iter_mut() {
                open.send_window.grow(change).map_err(connection)?;
            }
        }
        if self.peer.table_bytes_max != before.table_bytes_max {
            self.encoder.set_peer_bytes_max(self.peer.table_bytes_max);
        }
        frame::settings_ack(output.inline());
        Ok(())
    }

    /// RFC 9113 §6.5.3: what our settings say holds from here on.
    fn acknowledged(&mut self, output: &mut Output) -> Result<(), Fault> {
        let shrinkage = self.unknown_shrinkage();
        if std::mem::replace(&mut self.is_acknowledged, true) {
            return self.glitch();
        }
        if shrinkage > 0 {
            let size_max = self.limits.stream_window_bytes_max;
            for open in self.streams.iter_mut() {
                open.receive_window.shrink(shrinkage);
                if let Some(increment) = open.take_credit(size_max) {
                    frame::window_update(output.inline(), open.id, increment);
                }
            }
        }
        Ok(())
    }

    /// By how much the windows of streams are smaller than the client knows: RFC 9113 §6.9.3.
    pub(super) fn unknown_shrinkage(&self) -> u32 {
        if self.is_acknowledged { 0 } else { WINDOW_BYTES.saturating_sub(self.limits.stream_window_bytes) }
    }

    /// RFC 9113 §6.7.
    pub(super) fn ping(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<(), Fault> {
        if payload.len() != 8 {
            return Err(connection(Reason::H2FrameSize));
        }
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if !head.has(ACK) {
            self.glitch()?;
            frame::ping(output.inline(), ACK, payload);
        } else if self.drain == Drain::Announced && payload == FAREWELL {
            self.leave(output);
        } else {
            self.glitch()?;
        }
        Ok(())
    }

    /// RFC 9113 §6.3: the tree of RFC 7540 is not kept.
    pub(super) fn priority(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        if id == 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        self.glitch()?;
        let is_known = id <= self.streams.last() && !id.is_multiple_of(2);
        // A stream that was never opened cannot be reset.
        let fault = |reason| if is_known { stream(id, reason) } else { connection(reason) };
        if payload.len() != 5 {
            return Err(fault(Reason::H2FrameSize));
        }
        if depends_on(payload) == id { Err(fault(Reason::H2Priority)) } else { Ok(()) }
    }

    /// RFC 9218 §7.1.
    pub(super) fn priority_update(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        let (id, text) = payload.split_at_checked(4).ok_or(connection(Reason::H2FrameSize))?;
        let id = depends_on(id);
        if id == 0 || id.is_multiple_of(2) {
            return Err(connection(Reason::H2StreamZero));
        }
        self.glitch()?;
        let priority = Priority::parse(text);
        if let Some(open) = self.streams.get(id) {
            open.priority = priority;
        } else if id > self.streams.last() && self.drain != Drain::Final {
            self.aside.keep_priority(id, priority, self.limits.streams_max);
        }
        Ok(())
    }

    /// RFC 9113 §6.8: the client opens no more streams; those that are open are answered.
    pub(super) fn go_away(&mut self, head: &FrameHead, output: &mut Output) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(connection(Reason::H2StreamZero));
        }
        if (head.length as usize) < 8 {
            return Err(connection(Reason::H2FrameSize));
        }
        self.glitch()?;
        if self.drain != Drain::Final {
            self.drain = Drain::Announced;
            self.leave(output);
        }
        Ok(())
    }
}

/// The number of the stream at the beginning of a payload.
pub(super) fn depends_on(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) & 0x7FFF_FFFF)
}
