//! [`Client`]: sends its script in its manner, reads strictly, and knows what it must get.

use std::time::Duration;

use kolk::base::Tick;

use crate::dice::Dice;
use crate::net::{Pipe, Shared};
use crate::reader::{Answer, Reader, Seen};
use crate::script::{Expected, Script, Wait};

/// The shortest patience of the server, a little rounded down: nobody is told off before.
const BODY_PATIENCE: Duration = Duration::from_millis(4_900);
const HEAD_PATIENCE: Duration = Duration::from_millis(9_900);

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// So many bytes are sent at once, at least, every so often.
    pub(crate) send_bytes: usize,
    pub(crate) send_every: Duration,
    /// So many bytes are read at once, at least, every so often; zero: never.
    pub(crate) read_bytes: usize,
    pub(crate) read_every: Duration,
    pub(crate) end: End,
    /// After so many turns it does something else.
    pub(crate) breaks: Option<(u32, Break)>,
    /// It goes on sending behind a request that ends the connection.
    pub(crate) rude: bool,
}

/// How a client ends a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Closes its sending side as soon as everything is sent.
    HalfClose,
    /// When everything is answered.
    Close,
    /// Leaves it to the server.
    Stay,
}

/// How a client leaves before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    Reset,
    /// Closes both sides: what is sent to it is answered with a reset.
    Close,
    /// Falls silent for ever.
    Vanish,
}

impl Manner {
    /// Quick, polite and patient: whatever it asks must be answered.
    pub(crate) const fn is_good(&self) -> bool {
        self.send_every.is_zero()
            && self.read_every.is_zero()
            && self.read_bytes > 0
            && self.breaks.is_none()
            && !self.rude
    }

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut manner = Self {
            send_bytes: dice.pick(&[1, 3, 100, 5_000, 1_000_000]),
            send_every: Duration::ZERO,
            read_bytes: dice.pick(&[1, 1_000, 1_000_000]),
            read_every: Duration::ZERO,
            end: dice.pick(&[End::HalfClose, End::Close, End::Close, End::Stay]),
            breaks: None,
            rude: false,
        };
        match dice.below(10) {
            0 => manner.send_every = Duration::from_millis(dice.pick(&[100, 700, 4_000, 40_000])),
            1 => manner.read_every = Duration::from_millis(dice.pick(&[100, 5_000])),
            2 => manner.read_bytes = 0,
            3 | 4 => {
                let turns = dice.pick(&[3, 20, 100]);
                let turn = u32::try_from(dice.below(turns)).expect("few");
                manner.breaks = Some((turn, dice.pick(&[Break::Reset, Break::Close, Break::Vanish])));
            }
            5 => manner.rude = true,
            _ => {}
        }
        manner
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) pipe: Shared<Pipe>,
    pub(crate) manner: Manner,
    pub(crate) script: Script,
    reader: Reader,
    pub(crate) accepted_at: Option<Tick>,
    /// The next part, and how much of it is sent.
    part: usize,
    part_sent: usize,
    /// When the first byte of each request was sent.
    begun: Vec<Tick>,
    pub(crate) answers: usize,
    answered_at: Tick,
    /// The request for which `100 Continue` came last.
    invited: Option<usize>,
    invited_since: Option<Tick>,
    next_send: Tick,
    next_read: Tick,
    turns: u32,
    /// An answer said that the connection ends.
    told_close: bool,
    /// The last answer was 408.
    told_late: bool,
    /// The end was a reset.
    torn: bool,
    /// The server's end was seen.
    pub(crate) ended: bool,
    /// It does nothing any more.
    pub(crate) gone: bool,
    /// Its end, or a reset, is on its way.
    closing: bool,
}

impl Client {
    pub(crate) fn new(pipe: Shared<Pipe>, manner: Manner, script: Script) -> Self {
        Self {
            pipe,
            manner,
            script,
            reader: Reader::default(),
            accepted_at: None,
            part: 0,
            part_sent: 0,
            begun: Vec::new(),
            answers: 0,
            answered_at: Tick::ZERO,
            invited: None,
            invited_since: None,
            next_send: Tick::ZERO,
            next_read: Tick::ZERO,
            turns: 0,
            told_close: false,
            told_late: false,
            torn: false,
            ended: false,
            gone: false,
            closing: false,
        }
    }

    /// Sends and reads what it can at `now`: how many bytes moved.
    pub(crate) fn act(&mut self, now: Tick, dice: &mut Dice, calm: bool) -> Result<usize, String> {
        if self.gone {
            return Ok(0);
        }
        self.turns += 1;
        if let Some((turn, how)) = self.manner.breaks
            && self.turns > turn
        {
            self.gone = true;
            self.pipe.borrow_mut().leave(how);
            return Ok(1);
        }
        let read = self.read(now, dice, calm)?;
        let sent = self.send(now);
        let all_sent = self.part == self.script.parts.len() || self.told_close;
        let over = match self.manner.end {
            _ if self.ended => true,
            End::HalfClose => all_sent,
            End::Close => all_sent && (self.answers == self.script.requests.len() || self.told_close),
            End::Stay => false,
        };
        if over && !std::mem::replace(&mut self.closing, true) {
            self.pipe.borrow_mut().up_fin = true;
            return Ok(1);
        }
        Ok(read + sent)
    }

    /// When it wants to act: now, later, or never by itself.
    pub(crate) fn wants(&self, now: Tick) -> Tick {
        if self.gone {
            return Tick::NEVER;
        }
        let pipe = self.pipe.borrow();
        let mut at = Tick::NEVER;
        if self.manner.breaks.is_some() {
            at = now.after(Duration::from_millis(5));
        }
        if self.manner.read_bytes > 0 && !self.ended && (!pipe.down.is_empty() || pipe.shut || pipe.refused) {
            at = at.min(self.next_read);
        }
        if let Some(ready) = self.may_send_at() {
            at = at.min(ready.max(self.next_send));
        }
        at
    }

    /// When the next part may be sent, if that only depends on time.
    fn may_send_at(&self) -> Option<Tick> {
        if self.told_close || self.ended || self.closing {
            return None;
        }
        let part = self.script.parts.get(self.part)?;
        if self.part_sent > 0 {
            return Some(Tick::ZERO);
        }
        match part.wait {
            Wait::Nothing => Some(Tick::ZERO),
            Wait::Answers(millis) => {
                (self.answers >= part.request).then(|| self.answered_at.after(Duration::from_millis(millis)))
            }
            Wait::Continue if self.invited == Some(part.request) || self.answers > part.request => {
                Some(Tick::ZERO)
            }
            Wait::Continue => self.invited_since.map(|since| since.after(Duration::from_secs(1))),
        }
    }

    fn send(&mut self, now: Tick) -> usize {
        if self.next_send > now {
            return 0;
        }
        let mut moved = 0;
        let mut budget = self.manner.send_bytes;
        // A portion knows nothing of where requests end.
        while budget > 0 && self.may_send_at().is_some_and(|at| at <= now) {
            let part = &self.script.parts[self.part];
            if self.begun.len() == part.request {
                self.begun.push(now);
            }
            let rest = part.bytes.len() - self.part_sent;
            let count = budget.max(rest / 40).min(rest);
            let end = self.part_sent + count;
            self.pipe.borrow_mut().up.extend(&part.bytes[self.part_sent..end]);
            self.part_sent = end;
            self.next_send = now.after(self.manner.send_every);
            moved += count;
            budget = budget.saturating_sub(count);
            if end == part.bytes.len() {
                self.part += 1;
                self.part_sent = 0;
                self.invited_since = Some(now);
            }
        }
        moved
    }

    fn read(&mut self, now: Tick, dice: &mut Dice, calm: bool) -> Result<usize, String> {
        if self.manner.read_bytes == 0 || self.ended || now < self.next_read {
            return Ok(0);
        }
        self.next_read = now.after(self.manner.read_every);
        let mut pipe = self.pipe.borrow_mut();
        if pipe.refused && dice.chance(500) {
            // A reset may overtake what was sent before it.
            pipe.down.clear();
        }
        let count = self.manner.read_bytes.max(pipe.down.len() / 8);
        let bytes = pipe.take(count);
        let end = pipe.down.is_empty() && (pipe.shut || pipe.refused);
        let reset = pipe.refused;
        drop(pipe);
        self.reader.feed(&bytes);
        loop {
            let is_head = self.script.requests.get(self.answers).is_some_and(|request| request.is_head);
            match self.reader.next(is_head)? {
                None => break,
                Some(Seen::Interim) => self.interim()?,
                Some(Seen::Final(answer)) => self.answer(&answer, now, calm)?,
            }
        }
        if self.reader.partial().is_some_and(|answer| !self.may_begin(answer)) {
            return Err("an answer that does not begin as it must".into());
        }
        if end {
            self.end(now, reset, calm)?;
        }
        Ok(bytes.len() + usize::from(end))
    }

    fn interim(&mut self) -> Result<(), String> {
        match self.script.requests.get(self.answers) {
            Some(request) if request.expects_continue && self.invited != Some(self.answers) => {
                self.invited = Some(self.answers);
                Ok(())
            }
            _ => Err("100 Continue for nobody, or twice".into()),
        }
    }

    /// Whether what is here of an answer can become a right one.
    fn may_begin(&self, answer: &Answer) -> bool {
        let Some(request) = self.script.requests.get(self.answers) else { return false };
        match &request.expected {
            Expected::Full { status, body: Some(body), .. } if answer.status == *status => {
                body.starts_with(&answer.body)
            }
            Expected::Cut { body } if answer.status == 200 => body.starts_with(&answer.body),
            _ => true,
        }
    }

    /// Holds a whole answer against what must come.
    fn answer(&mut self, answer: &Answer, now: Tick, calm: bool) -> Result<(), String> {
        if self.told_close {
            return Err("an answer after the last".into());
        }
        let number = self.answers;
        if number >= self.begun.len() {
            return Err(format!("answer {} to a request that was not begun: {}", number, answer.status));
        }
        let request = &self.script.requests[number];
        let mut wrong = Err(format!(
            "{}: {} with {} bytes, closes: {}",
            request.label,
            answer.status,
            answer.body.len(),
            answer.closes
        ));
        let right = match &request.expected {
            _ if answer.status == 408 => {
                let is_head = self.part_sent > 0 && self.is_first_part();
                let patience = if is_head { HEAD_PATIENCE } else { BODY_PATIENCE };
                let mut since = self.begun[number];
                if number == 0 {
                    since = since.min(self.accepted_at.unwrap_or(since));
                }
                wrong = Err(format!("{}: 408 after {:?}", request.label, now.since(since)));
                answer.closes && (!calm || (now.since(since) >= patience && !self.manner.is_good()))
            }
            Expected::Full { status, body, closes } => {
                answer.status == *status
                    && body.as_ref().is_none_or(|body| *body == answer.body)
                    && (closes.is_none_or(|closes| closes == answer.closes) || (!calm && answer.closes))
            }
            // Too much is cut behind the right length; without a length a reset tells that something is
            // missing, and no answer is seen.
            Expected::Cut { body } => {
                body.starts_with(&answer.body)
                    && ((answer.closes && !calm) || body.len() == answer.body.len())
            }
        };
        if !right {
            return wrong;
        }
        self.answers += 1;
        self.answered_at = now;
        // A server that waits for the rest of a head cannot know that it will be a HEAD's.
        self.told_late |= answer.status == 408;
        self.told_close |= answer.closes || matches!(request.expected, Expected::Cut { .. });
        Ok(())
    }

    fn is_first_part(&self) -> bool {
        self.part == 0 || self.script.parts[self.part - 1].request != self.script.parts[self.part].request
    }

    /// The server has ended the connection.
    fn end(&mut self, now: Tick, reset: bool, calm: bool) -> Result<(), String> {
        self.ended = true;
        self.torn = reset;
        if let Some(answer) = self.reader.end() {
            self.told_close = false;
            if self.manner.is_good() && !reset {
                let right = self.answer(&answer, now, calm);
                // Without framing, a server that stops looks as if it had finished.
                right.or_else(|wrong| if calm { Err(wrong) } else { Ok(()) })?;
            }
            self.told_close = true;
        }
        let Some(request) = self.script.requests.get(self.answers) else { return Ok(()) };
        let is_cut = matches!(request.expected, Expected::Cut { .. });
        if !reset && !self.told_close && !is_cut && calm && self.manner.breaks.is_none() {
            let age = now.since(self.accepted_at.unwrap_or(now));
            if age < BODY_PATIENCE {
                return Err(format!("closed after {age:?} before the answer to {}", request.label));
            }
        }
        if self.told_close && !self.told_late && !self.reader.is_between() {
            return Err(format!("bytes after the last answer: {:?}", self.reader));
        }
        Ok(())
    }

    /// What must be true when everything is over.
    ///
    /// `calm`: nobody disturbed the server; `gentle`: it may have been drained.
    pub(crate) fn verdict(&self, calm: bool, gentle: bool) -> Result<(), String> {
        if !gentle || !self.manner.is_good() || self.accepted_at.is_none() {
            return Ok(());
        }
        // Whoever was let in before a drain has one request on its way. If more of them were, a reset may
        // overtake the answer.
        if !calm && (self.answers > 0 || self.torn) {
            return Ok(());
        }
        let Some(request) = self.script.requests.get(self.answers) else { return Ok(()) };
        match request.expected {
            Expected::Cut { .. } if self.answers + 1 == self.script.requests.len() => Ok(()),
            // The reset of a body that is cut may overtake the answers before it.
            _ if self.torn && self.script.ends_in_a_cut() => Ok(()),
            _ => Err(format!(
                "a good client got {} of {} answers; next is {}; ended: {}",
                self.answers,
                self.script.requests.len(),
                request.label,
                self.ended
            )),
        }
    }
}
