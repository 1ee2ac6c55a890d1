//! [`Scratch`]: the buffers and tables that all connections of a shard use in turn.
//!
//! A connection that rests owns none of them. Only what a turn leaves over gets a buffer of its own,
//! from a pool: a [`Carry`] for bytes that wait to be parsed, a [`Pending`] for bytes that wait
//! for the kernel.

use std::time::Duration;

use crate::app::{Params, Visitor};
use crate::base::{Pool, Reusable, Tick};
use crate::http::{FieldTable, Response};
use crate::proto::hpack::FieldList;
use crate::proto::{Preset, h2};
use crate::wire::{Output, QUEUED_BYTES_HIGH};

use super::config::{Config, INPUT_BYTES};
use super::doubts::Doubts;

/// Spare buffers that a shard keeps of each kind.
const SPARE_MAX: usize = 64;
/// A carry that grew beyond this is given back, in bytes.
const CARRY_BYTES_KEPT: usize = 8 * 1024;

/// What a shard lends to the connection whose turn it is.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Where `recv` writes.
    pub(crate) input: Box<[u8]>,
    /// Where answers are encoded; lent out, and kept by a connection whose bytes the kernel refuses.
    pub(crate) output: Option<Box<Pending>>,
    /// The places of the parts of the head at hand.
    pub(crate) table: FieldTable,
    /// Their texts, where they do not stand in the input.
    pub(crate) list: FieldList,
    /// Room for the streams and windows of HTTP/2.
    pub(crate) room: h2::Room,
    /// What handlers fill in.
    pub(crate) blank: Blank,
    /// Spare carries.
    pub(crate) carries: Pool<Box<Carry>>,
    /// Spare queues.
    pub(crate) queues: Pool<Box<Pending>>,
}

impl Scratch {
    /// The buffers of a shard whose answers carry `presets`, and whose windows grow by so much together.
    pub(crate) fn new(presets: Presets, window_growth_bytes_max: u32) -> Self {
        Self {
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            output: None,
            table: FieldTable::new(),
            list: FieldList::new(),
            room: h2::Room::new(window_growth_bytes_max),
            blank: Blank {
                response: Response::default(),
                params: Params::default(),
                path: String::new(),
                presets,
                answered: Answered::default(),
                reader: None,
            },
            carries: Pool::new(SPARE_MAX),
            queues: Pool::new(SPARE_MAX),
        }
    }
}

/// The answer at hand, and what leads to it.
#[derive(Debug)]
pub(crate) struct Blank {
    /// The answer at hand.
    pub(crate) response: Response,
    /// The parameters of the route at hand.
    pub(crate) params: Params,
    /// The normalised path, where it differs from the one sent.
    pub(crate) path: String,
    /// What every answer has.
    pub(crate) presets: Presets,
    /// What was answered in this turn, and the kernel has yet to be given.
    pub(crate) answered: Answered,
    /// How long the readers of this turn's answers may take nothing, if a route says that.
    pub(crate) reader: Option<Duration>,
}

/// What every answer has.
#[derive(Debug)]
pub(crate) struct Presets {
    usual: Preset,
    /// In the clear, where that is something else.
    clear: Option<Preset>,
}

impl Presets {
    /// Those of a server that works with `config`, at this second.
    pub(crate) fn new(config: &Config, second: u64) -> Self {
        let clear = Preset::new(config.server_name.as_deref(), second);
        match config.hsts {
            None => Self { usual: clear, clear: None },
            hsts => Self { usual: clear.clone().with_hsts(hsts), clear: Some(clear) },
        }
    }

    /// That for answers to `peer`.
    #[inline]
    pub(crate) fn of(&self, peer: &dyn Visitor) -> &Preset {
        match &self.clear {
            Some(clear) if !peer.is_encrypted() => clear,
            _ => &self.usual,
        }
    }

    /// That for answers in the clear: nothing is said of TLS where there is none. RFC 6797 §7.2.
    pub(crate) fn clear(&self) -> &Preset {
        self.clear.as_ref().unwrap_or(&self.usual)
    }

    /// The wall clock says another second.
    pub(crate) fn set_second(&mut self, second: u64) {
        self.usual.set_second(second);
        if let Some(clear) = &mut self.clear {
            clear.set_second(second);
        }
    }
}

/// Answers whose way to the kernel is measured together: they leave in one call.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    count: u64,
    /// The sum of the moments at which they were made; it may wrap, what is left of it at the end does not.
    nanos: u64,
    /// Somebody has written them down and waits for the moment at which they leave.
    is_awaited: bool,
    /// Some are written down as whole, which they are once the kernel has taken them.
    is_written: bool,
    /// Where those end in the output that the recorder has, from the first that does not end at zero.
    kept: Vec<u64>,
}

impl Answered {
    /// An answer was made.
    #[inline]
    pub(crate) fn note(&mut self, at: Tick) {
        self.count += 1;
        self.nanos = self.nanos.wrapping_add(at.as_nanos());
    }

    /// The kernel has them: how many there were, and how long they took on average; none from then on.
    pub(crate) fn leave(&mut self, now: Tick) -> (u64, u64) {
        let (count, nanos) = (std::mem::take(&mut self.count), std::mem::take(&mut self.nanos));
        (self.is_awaited, self.is_written) = (false, false);
        self.kept.clear();
        let all = now.as_nanos().wrapping_mul(count).wrapping_sub(nanos).cast_signed();
        // A clock that has run backwards makes it negative.
        (count, all.max(0).cast_unsigned().checked_div(count).unwrap_or(0))
    }

    /// Somebody has written one down and waits for the moment at which it leaves.
    #[inline]
    pub(crate) const fn await_leaving(&mut self) {
        self.is_awaited = true;
    }

    /// One is written down as whole; it ends there in the output, or was not sent (zero). `is_kept`: by the
    /// recorder, too.
    #[inline]
    pub(crate) fn note_written(&mut self, until: u64, is_kept: bool) {
        self.is_written |= until > 0;
        if is_kept && (until > 0 || !self.kept.is_empty()) {
            self.kept.push(until);
        }
    }

    /// Where those end that the recorder has: its newest.
    pub(crate) fn kept(&self) -> &[u64] {
        &self.kept
    }

    /// Whether it matters when they leave.
    #[inline]
    pub(crate) const fn is_timed(&self) -> bool {
        self.count > 0 || self.is_awaited
    }

    /// Whether somebody does.
    #[inline]
    pub(crate) const fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Whether there are none, and nobody waits.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0 && !self.is_awaited && !self.is_written
    }
}

/// Received bytes that wait: the beginning of a head, or requests beyond a turn's budget.
#[derive(Debug, Default)]
pub(crate) struct Carry {
    pub(crate) bytes: Vec<u8>,
    /// The parts of the incomplete head found so far.
    pub(crate) table: FieldTable,
    /// All of it was looked at: only more bytes help.
    pub(crate) hungry: bool,
}

impl Carry {
    /// Begins with what a turn left of `bytes`, and with what `table` knows of an incomplete head in them.
    pub(crate) fn begun(mut self: Box<Self>, bytes: &[u8], table: &FieldTable) -> Box<Self> {
        self.bytes.extend_from_slice(bytes);
        self.table.clone_from(table);
        self
    }

    /// Forgets all but the last `rest` bytes: the others were consumed.
    pub(crate) fn cut_to(mut self: Box<Self>, rest: usize, hungry: bool) -> Box<Self> {
        let taken = self.bytes.len() - rest;
        self.bytes.drain(..taken);
        self.hungry = hungry;
        self
    }
}

impl Reusable for Carry {
    fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(CARRY_BYTES_KEPT);
        self.table.clear();
        self.hungry = false;
    }
}

/// Bytes that wait for the kernel, and how fast it takes them.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) output: Output,
    /// When the rate began to be watched.
    pub(crate) window_from: Tick,
    /// What was sent since then, in bytes.
    pub(crate) window_bytes: u64,
    /// How long its reader may take nothing, if a route says that.
    pub(crate) reader: Option<Duration>,
    /// What is written down of answers that wait here.
    pub(crate) doubts: Option<Box<Doubts>>,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            output: Output::with_capacity(QUEUED_BYTES_HIGH / 8),
            window_from: Tick::ZERO,
            window_bytes: 0,
            reader: None,
            doubts: None,
        }
    }
}

impl Reusable for Pending {
    fn reset(&mut self) {
        self.output.reset();
        self.window_from = Tick::ZERO;
        self.window_bytes = 0;
        self.reader = None;
        self.doubts = None;
    }
}
