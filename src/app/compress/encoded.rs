//! [`Encoded`]: a body on its way through an encoder, pulled as its client takes it.
//!
//! ```text
//!  source ─► input: copied │ shared │ range of a file ─► encoder ─► ready ─► pull, up to its room
//!    │         at most SLICE_BYTES of it in one pull
//!    └ waits: what the encoder holds back is brought out before we wait, too
//! ```
//! Invariant: the source is asked only when nothing of its last piece is left, and is believed that it waits
//! only in the pull in which it said so: a wake between two pulls is never lost. Knows no coding.

use std::fmt;
use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::Place;
use super::encoder::Encoder;
use crate::http::{Fields, Pull, Pulled, Source, Tail, Timeline};

/// What is encoded before others have their turn, in bytes: some two milliseconds of work.
const SLICE_BYTES: usize = 256 * 1024;
/// What a source is asked for, read of a file, and given to the encoder at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// A body in another coding.
pub(super) struct Encoded {
    /// Where the rest comes from; none for bytes that are all there.
    source: Option<Box<dyn Source>>,
    /// What the source said last.
    said: Pulled,
    input: Input,
    /// None: the end is in `last`.
    encoder: Option<Encoder>,
    last: Vec<u8>,
    /// Whether something may be held back in the encoder.
    is_behind: bool,
    _place: Place,
}

/// A piece of the body that is not encoded yet.
#[derive(Default)]
struct Input {
    copied: Vec<u8>,
    /// So much of `copied` is encoded.
    copied_end: usize,
    shared: Bytes,
    /// File, place and length.
    range: Option<(Arc<File>, u64, u64)>,
}

impl Encoded {
    /// These bytes.
    pub(super) fn of_bytes(bytes: Bytes, encoder: Encoder, place: Place) -> Self {
        let input = Input { shared: bytes, ..Input::default() };
        Self { input, ..Self::new(None, encoder, place) }
    }

    /// What `source` gives.
    pub(super) fn of_source(source: Box<dyn Source>, encoder: Encoder, place: Place) -> Self {
        Self::new(Some(source), encoder, place)
    }

    fn new(source: Option<Box<dyn Source>>, encoder: Encoder, place: Place) -> Self {
        Self {
            said: if source.is_some() { Pulled::More } else { Pulled::End },
            source,
            input: Input::default(),
            encoder: Some(encoder),
            last: Vec::new(),
            is_behind: false,
            _place: place,
        }
    }

    fn proceed(&mut self, pull: &mut Pull<'_>) -> io::Result<Pulled> {
        if matches!(self.said, Pulled::After(_) | Pulled::Waiting) {
            self.said = Pulled::More;
        }
        let mut left = SLICE_BYTES;
        loop {
            let is_empty = self.hand_over(pull);
            let Some(encoder) = &mut self.encoder else {
                return Ok(if is_empty { Pulled::End } else { Pulled::More });
            };
            if !is_empty || pull.room() == 0 {
                return Ok(Pulled::More);
            }
            if left == 0 {
                // There is more, and room for it: others first.
                return Ok(Pulled::After(Duration::ZERO));
            }
            if !self.input.is_empty() {
                left -= self.input.encode(encoder, left.min(PIECE_BYTES))?;
                self.is_behind = true;
                continue;
            }
            let wait = match self.said {
                Pulled::More => {
                    self.said = self.ask(pull.timeline());
                    if self.said != Pulled::More || !self.input.is_empty() {
                        continue;
                    }
                    Pulled::After(Duration::ZERO)
                }
                Pulled::End => {
                    self.last = self.encoder.take().map(Encoder::finish).transpose()?.unwrap_or_default();
                    continue;
                }
                Pulled::Failed => return Ok(Pulled::Failed),
                wait @ (Pulled::After(_) | Pulled::Waiting) => wait,
            };
            if !mem::take(&mut self.is_behind) {
                return Ok(wait);
            }
            self.flush()?;
            if !self.hand_over(pull) {
                return Ok(Pulled::More);
            }
            return Ok(wait);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.as_mut().map_or(Ok(()), Encoder::flush)
    }

    /// Gives away what is ready; whether that was all.
    fn hand_over(&mut self, pull: &mut Pull<'_>) -> bool {
        let ready = self.encoder.as_mut().map_or(&mut self.last, Encoder::ready);
        let count = ready.len().min(pull.room());
        if count > 0 {
            pull.write(&ready[..count]);
            ready.drain(..count);
        }
        ready.is_empty()
    }

    /// Has the source give its next piece.
    fn ask(&mut self, timeline: &Timeline) -> Pulled {
        let Some(source) = &mut self.source else { return Pulled::End };
        self.input.copied.clear();
        self.input.copied_end = 0;
        let mut pull = Pull::new(&mut self.input.copied, PIECE_BYTES, timeline);
        let said = source.pull(&mut pull);
        match pull.into_tail() {
            None => {}
            Some(Tail::Shared(bytes)) => self.input.shared = bytes,
            Some(Tail::File { file, offset, length }) => self.input.range = Some((file, offset, length)),
        }
        said
    }
}

impl Source for Encoded {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        self.proceed(pull).unwrap_or_else(|error| {
            log::debug!("an answer could not be compressed to its end: {error}");
            Pulled::Failed
        })
    }

    fn trailers(&mut self, fields: &mut Fields) {
        if let Some(source) = &mut self.source {
            source.trailers(fields);
        }
    }
}

impl Input {
    fn is_empty(&self) -> bool {
        self.copied_end == self.copied.len() && self.shared.is_empty() && self.range.is_none()
    }

    /// Encodes the next part of it, at most `bytes_max` bytes: how many.
    fn encode(&mut self, encoder: &mut Encoder, bytes_max: usize) -> io::Result<usize> {
        let rest = self.copied.get(self.copied_end..).unwrap_or_default();
        if !rest.is_empty() {
            let count = rest.len().min(bytes_max);
            encoder.write(&rest[..count])?;
            self.copied_end += count;
            return Ok(count);
        }
        if !self.shared.is_empty() {
            let count = self.shared.len().min(bytes_max);
            encoder.write(&self.shared[..count])?;
            self.shared.advance(count);
            return Ok(count);
        }
        let Some((file, offset, length)) = &mut self.range else { return Ok(0) };
        let mut bytes = [0; PIECE_BYTES];
        let wanted = usize::try_from(*length).unwrap_or(usize::MAX).min(bytes_max).min(bytes.len());
        file.read_exact_at(&mut bytes[..wanted], *offset)?;
        encoder.write(&bytes[..wanted])?;
        (*offset, *length) = (*offset + wanted as u64, *length - wanted as u64);
        if *length == 0 {
            self.range = None;
        }
        Ok(wanted)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("said", &self.said)
            .field("encoder", &self.encoder)
            .finish_non_exhaustive()
    }
}
