//! [`Multi`]: a client that speaks HTTP/2: several exchanges at a time, each held to its plan.
//!
//! ```text
//!   planned ──begin──► open ─┬─► uploads, as the windows allow ──► sent
//!                            └─► answer: head, content, end ─────► done     or reset, by either side
//! ```
//! It keeps its own account of the windows on both sides, answers SETTINGS and PING, opens nothing behind a
//! GOAWAY, and notices whatever a server must not send.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kolk::base::Tick;
use kolk::proto::hpack;

use crate::client::{End, Manner};
use crate::dice::Dice;
use crate::frame::*;
use crate::net::{Pipe, Shared};
use crate::plan::Plan;

const WINDOW_BYTES: i64 = 65_535;
/// Windows that nobody will ever use up.
const WINDOW_BYTES_LARGE: i64 = 1 << 30;

/// How far an exchange has come.
#[derive(Debug)]
struct Exchange {
    plan: usize,
    begun: Tick,
    uploaded: usize,
    is_uploaded: bool,
    is_invited: bool,
    may_send: i64,
    may_receive: i64,
    used: i64,
    status: Option<u16>,
    content: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Multi {
    pub(crate) pipe: Shared<Pipe>,
    pub(crate) manner: Manner,
    pub(crate) accepted_at: Option<Tick>,
    pub(crate) answers: usize,
    plans: Vec<Plan>,
    next: usize,
    exchanges: BTreeMap<u32, Exchange>,
    exchanges_max: usize,
    /// Plans that nobody will be held to.
    excused: usize,
    /// What waits to be sent.
    out: VecDeque<u8>,
    heard: Vec<u8>,
    decoder: hpack::Decoder,
    list: hpack::FieldList,
    block: Option<(Frame, Vec<u8>)>,
    window: i64,
    their_window: i64,
    may_send: i64,
    may_receive: i64,
    used: i64,
    is_greeted: bool,
    /// The last stream that will be answered, and the code.
    farewell: Option<(u32, u32)>,
    answered_at: Tick,
    next_send: Tick,
    next_read: Tick,
    turns: u32,
    ended: bool,
    torn: bool,
    gone: bool,
    closing: bool,
    is_rude_now: bool,
    /// Nobody disturbs the server.
    calm: bool,
}

impl Multi {
    pub(crate) fn new(dice: &mut Dice, pipe: Shared<Pipe>, manner: Manner, number: usize) -> Self {
        let count = dice.pick(&[1, 3, 8, 40]);
        let thinks = dice.chance(300);
        let plans = (0..count).map(|plan| Plan::draw(dice, (number * 1000 + plan) as u64, thinks)).collect();
        // Who closes its side can open no window any more.
        let is_large = manner.end == End::HalfClose || dice.chance(300);
        let window = if is_large { WINDOW_BYTES_LARGE } else { dice.pick(&[4_000, 20_000, WINDOW_BYTES]) };
        let mut out = PREFACE.to_vec();
        let mut line = format!("SETTINGS INITIAL_WINDOW_SIZE={window}");
        if dice.chance(300) {
            line += dice.pick(&[" MAX_FRAME_SIZE=30000", " HEADER_TABLE_SIZE=0", " ENABLE_PUSH=0"]);
        }
        if is_large {
            line += &format!(" | WINDOW_UPDATE 0 +{WINDOW_BYTES_LARGE}");
        }
        out.extend(bytes_of(&line));
        let may_receive = WINDOW_BYTES + if is_large { WINDOW_BYTES_LARGE } else { 0 };
        Self {
            pipe,
            manner,
            accepted_at: None,
            answers: 0,
            plans,
            next: 0,
            exchanges: BTreeMap::new(),
            exchanges_max: dice.pick(&[1, 3, 10, 40]),
            excused: 0,
            out: out.into(),
            heard: Vec::new(),
            decoder: hpack::Decoder::new(),
            list: hpack::FieldList::new(),
            block: None,
            window,
            their_window: WINDOW_BYTES,
            may_send: WINDOW_BYTES,
            may_receive,
            used: 0,
            is_greeted: false,
            farewell: None,
            answered_at: Tick::ZERO,
            next_send: Tick::ZERO,
            next_read: Tick::ZERO,
            turns: 0,
            ended: false,
            torn: false,
            gone: false,
            closing: false,
            is_rude_now: false,
            calm: true,
        }
    }

    pub(crate) fn tell(&self) {
        eprintln!("    HTTP/2, {} at a time, windows of {}", self.exchanges_max, self.window);
        self.plans.iter().for_each(|plan| eprintln!("    {} {:?}", plan.label, plan.think));
    }

    /// Sends and reads what it can at `now`: how many bytes moved.
    pub(crate) fn act(&mut self, now: Tick, dice: &mut Dice, calm: bool) -> Result<usize, String> {
        if self.gone {
            return Ok(0);
        }
        self.turns += 1;
        self.calm = calm;
        if let Some((turn, how)) = self.manner.breaks
            && self.turns > turn
        {
            self.gone = true;
            self.pipe.borrow_mut().leave(how);
            return Ok(1);
        }
        let read = self.read(now, dice)?;
        if !self.ended && !self.closing {
            self.begin(now);
            self.upload(now, dice);
        }
        let sent = self.send(now);
        let all_sent = self.is_greeted
            && self.out.is_empty()
            && (self.next == self.plans.len() || self.farewell.is_some())
            && self.exchanges.values().all(|exchange| exchange.is_uploaded);
        let over = match self.manner.end {
            _ if self.ended => true,
            End::HalfClose => all_sent,
            End::Close => all_sent && self.exchanges.is_empty(),
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
        if self.ended || self.closing {
            return at;
        }
        if !self.out.is_empty() || self.exchanges.values().any(|exchange| self.can_upload(exchange, now)) {
            at = at.min(self.next_send);
        }
        if self.can_begin() {
            at = at.min(self.begins_at());
        }
        let uninvited = self.exchanges.values().filter(|exchange| !exchange.is_invited);
        let patience_ends = uninvited.map(|exchange| exchange.begun.after(Duration::from_secs(1)));
        at = patience_ends.filter(|end| *end > now).fold(at, Tick::min);
        at
    }

    fn can_begin(&self) -> bool {
        // What is asked is to be on its way soon.
        let has_room = self.exchanges.len() < self.exchanges_max && self.out.len() < 20_000;
        has_room && self.next < self.plans.len() && self.farewell.is_none()
    }

    fn begins_at(&self) -> Tick {
        self.answered_at.after(self.plans[self.next].think)
    }

    fn begin(&mut self, now: Tick) {
        while self.can_begin() && self.begins_at() <= now {
            let plan = &self.plans[self.next];
            let id = u32::try_from(self.next * 2 + 1).expect("few");
            let ends = !plan.has_upload();
            let flags = END_HEADERS | if ends { END_STREAM } else { 0 };
            self.out.extend(Frame::new(HEADERS, flags, id, plan.head.clone()).bytes());
            let exchange = Exchange {
                plan: self.next,
                begun: now,
                uploaded: 0,
                is_uploaded: ends,
                is_invited: !plan.expects_continue || ends,
                may_send: self.their_window,
                may_receive: self.window,
                used: 0,
                status: None,
                content: Vec::new(),
            };
            self.exchanges.insert(id, exchange);
            self.next += 1;
        }
        if self.manner.rude && self.next == self.plans.len() && !self.is_rude_now {
            self.is_rude_now = true;
            self.out.extend(bytes_of("WINDOW_UPDATE 0 +0"));
        }
    }

    fn can_upload(&self, exchange: &Exchange, now: Tick) -> bool {
        let is_invited = exchange.is_invited || now >= exchange.begun.after(Duration::from_secs(1));
        let is_through = exchange.uploaded == self.plans[exchange.plan].body.len();
        !exchange.is_uploaded && is_invited && (is_through || exchange.may_send.min(self.may_send) > 0)
    }

    fn upload(&mut self, now: Tick, dice: &mut Dice) {
        let mut budget = 100_000_usize.saturating_sub(self.out.len());
        let ready = |exchange: &Exchange| self.can_upload(exchange, now);
        let ids: Vec<u32> =
            self.exchanges.iter().filter(|(_, exchange)| ready(exchange)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(exchange) = self.exchanges.get_mut(&id) else { continue };
            let plan = &self.plans[exchange.plan];
            while budget > 0 && !exchange.is_uploaded {
                let rest = &plan.body[exchange.uploaded..];
                let room = usize::try_from(exchange.may_send.min(self.may_send)).unwrap_or(0);
                let least = if plan.body.len() > 5_000 { 500 } else { 1 };
                let count = dice.pick(&[1, 7, 1_000, 16_384]).max(least).min(rest.len()).min(room);
                if count == 0 && !rest.is_empty() {
                    break;
                }
                let is_last = count == rest.len();
                let ends = is_last && !plan.has_trailer;
                let flags = if ends { END_STREAM } else { 0 };
                if count > 0 || ends {
                    let mut frame = Frame::new(DATA, flags, id, &rest[..count]);
                    if room > count + 10 && count < 1_000 && dice.chance(50) {
                        frame = frame.padded(9, 9);
                    }
                    let length = i64::try_from(frame.payload.len()).expect("short");
                    exchange.may_send -= length;
                    self.may_send -= length;
                    budget = budget.saturating_sub(frame.payload.len());
                    self.out.extend(frame.bytes());
                }
                exchange.uploaded += count;
                if is_last && plan.has_trailer {
                    let flags = END_HEADERS | END_STREAM;
                    self.out.extend(Frame::new(HEADERS, flags, id, literal(b"x-t", b"v")).bytes());
                }
                exchange.is_uploaded = is_last;
            }
        }
    }

    fn send(&mut self, now: Tick) -> usize {
        if self.next_send > now || self.out.is_empty() || self.closing {
            return 0;
        }
        let count = self.manner.send_bytes.max(self.out.len() / 40).min(self.out.len());
        self.pipe.borrow_mut().up.extend(self.out.drain(..count));
        self.next_send = now.after(self.manner.send_every);
        count
    }

    fn read(&mut self, now: Tick, dice: &mut Dice) -> Result<usize, String> {
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
        self.heard.extend_from_slice(&bytes);
        let mut at = 0;
        while let Some(frame) = Frame::parse(&self.heard[at..]) {
            at += HEAD_BYTES + frame.payload.len();
            self.frame(&frame, now).map_err(|error| format!("{frame}: {error}"))?;
        }
        self.heard.drain(..at);
        if end {
            (self.ended, self.torn) = (true, reset);
            // Only a good-bye may be cut: nobody waits until it is sent.
            let is_whole = self.heard.is_empty() && self.block.is_none() || self.exchanges.is_empty();
            if self.calm && !is_whole && !reset && self.manner.is_good() {
                return Err(format!("the end comes within a frame: {}", self.heard.escape_ascii()));
            }
        }
        Ok(bytes.len() + usize::from(end))
    }

    fn frame(&mut self, frame: &Frame, now: Tick) -> Result<(), String> {
        if self.farewell.is_some_and(|(_, code)| code != 0) {
            return Err("behind the end".into());
        }
        if self.block.is_some() != (frame.kind == CONTINUATION) {
            return Err("within a header block".into());
        }
        match frame.kind {
            DATA => self.content(frame, now),
            HEADERS | CONTINUATION => self.headers(frame, now),
            RST_STREAM => self.reset(frame, now),
            SETTINGS if !frame.is(ACK) => {
                self.is_greeted = true;
                frame.values().for_each(|(name, value)| self.setting(name, value));
                self.say("SETTINGS ACK");
                Ok(())
            }
            PING if !frame.is(ACK) => {
                let answer = Frame::new(PING, ACK, 0, frame.payload.clone());
                self.say_bytes(&answer.bytes());
                Ok(())
            }
            SETTINGS | PING => Ok(()),
            WINDOW_UPDATE => {
                let increment = i64::from(frame.number(0));
                match (frame.stream, self.exchanges.get_mut(&frame.stream)) {
                    (0, _) => self.may_send += increment,
                    (_, Some(exchange)) => exchange.may_send += increment,
                    (_, None) => {}
                }
                Ok(())
            }
            GOAWAY => self.goaway(frame),
            _ => Err("no server sends this".into()),
        }
    }

    fn setting(&mut self, name: u16, value: u32) {
        match name {
            INITIAL_WINDOW_SIZE => {
                let change = i64::from(value) - self.their_window;
                self.their_window += change;
                self.exchanges.values_mut().for_each(|exchange| exchange.may_send += change);
            }
            MAX_CONCURRENT_STREAMS => {
                self.exchanges_max = self.exchanges_max.min(usize::try_from(value).expect("few"));
            }
            _ => {}
        }
    }

    fn say(&mut self, line: &str) {
        self.say_bytes(&bytes_of(line));
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        if !self.closing {
            self.out.extend(bytes);
        }
    }

    fn goaway(&mut self, frame: &Frame) -> Result<(), String> {
        let (last, code) = (frame.number(0), frame.number(4));
        if self.farewell.is_some_and(|(before, _)| last > before) {
            return Err("more is promised than before".into());
        }
        if code != 0 && self.calm && self.manner.is_good() {
            return Err("what was wrong?".into());
        }
        self.farewell = Some((last, code));
        // What came too late was not looked at.
        let before = self.exchanges.len();
        self.exchanges.retain(|id, _| *id <= last);
        self.excused += before - self.exchanges.len();
        Ok(())
    }

    fn content(&mut self, frame: &Frame, now: Tick) -> Result<(), String> {
        let length = i64::try_from(frame.payload.len()).expect("short");
        self.may_receive -= length;
        if self.may_receive < 0 {
            return Err(format!("{} bytes beyond the connection's window", -self.may_receive));
        }
        self.used += length;
        if self.used > WINDOW_BYTES / 2 {
            let used = std::mem::take(&mut self.used);
            self.may_receive += used;
            self.say(&format!("WINDOW_UPDATE 0 +{used}"));
        }
        let Some(exchange) = self.exchanges.get_mut(&frame.stream) else {
            return self.may_be_late(frame.stream);
        };
        exchange.may_receive -= length;
        if exchange.may_receive < 0 {
            return Err(format!("{} bytes beyond the stream's window", -exchange.may_receive));
        }
        if exchange.status.is_none() {
            return Err("content before the head".into());
        }
        exchange.content.extend_from_slice(&frame.payload);
        exchange.used += length;
        let plan = &self.plans[exchange.plan];
        if exchange.status == Some(200)
            && plan.content.as_ref().is_some_and(|all| !all.starts_with(&exchange.content))
        {
            return Err(format!("{}: other content", plan.label));
        }
        if frame.is(END_STREAM) {
            return self.end(frame.stream, now);
        }
        if exchange.used > self.window / 2 {
            exchange.may_receive += exchange.used;
            let used = std::mem::take(&mut exchange.used);
            self.say(&format!("WINDOW_UPDATE {} +{used}", frame.stream));
        }
        Ok(())
    }

    /// A frame of a stream that is over here.
    fn may_be_late(&self, id: u32) -> Result<(), String> {
        let plan = usize::try_from(id / 2).expect("few");
        match self.plans.get(plan) {
            Some(asked) if plan < self.next && asked.is_cancelled => Ok(()),
            _ => Err("nobody asked".into()),
        }
    }

    fn headers(&mut self, frame: &Frame, now: Tick) -> Result<(), String> {
        let (first, mut block) = self.block.take().unwrap_or_else(|| (frame.clone(), Vec::new()));
        block.extend_from_slice(&frame.payload);
        if !frame.is(END_HEADERS) {
            self.block = Some((first, block));
            return Ok(());
        }
        let fit = self.decoder.decode(&block, &hpack::Limits::DEFAULT, |_, _| 0, &mut self.list);
        if fit != Ok(hpack::Fit::Whole) {
            return Err(format!("{fit:?}"));
        }
        let status = self.list.iter().find(|(name, _)| *name == b":status").map(|(_, value)| value.to_vec());
        let status = status.map(|status| String::from_utf8_lossy(&status).parse().unwrap_or(0));
        let Some(exchange) = self.exchanges.get_mut(&first.stream) else {
            return self.may_be_late(first.stream);
        };
        let plan = &self.plans[exchange.plan];
        match (exchange.status, status) {
            (None, Some(100)) if plan.expects_continue && !exchange.is_invited => exchange.is_invited = true,
            // Content was on its way when the invitation was.
            (None, Some(100)) if plan.expects_continue && exchange.uploaded > 0 => {}
            (None, Some(200..)) => exchange.status = status,
            (Some(_), None) if first.is(END_STREAM) => {}
            _ => return Err(format!("{}: {status:?} behind {:?}", plan.label, exchange.status)),
        }
        if first.is(END_STREAM) {
            return self.end(first.stream, now);
        }
        if exchange.status.is_some() && plan.is_cancelled {
            self.exchanges.remove(&first.stream);
            self.answers += 1;
            self.say(&format!("RST_STREAM {} CANCEL", first.stream));
        }
        Ok(())
    }

    /// An answer is complete.
    fn end(&mut self, id: u32, now: Tick) -> Result<(), String> {
        let exchange = self.exchanges.remove(&id).ok_or("nobody asked")?;
        let plan = &self.plans[exchange.plan];
        // What promises to be empty is not made.
        let is_whole = !plan.is_cut || plan.content.as_ref().is_some_and(Vec::is_empty);
        let is_right = exchange.status == Some(plan.status)
            && is_whole
            && plan.content.as_ref().is_none_or(|content| *content == exchange.content);
        // A body that did not come in time.
        let is_late = exchange.status == Some(408) && !(self.calm && self.manner.is_good());
        if !is_right && !is_late {
            return Err(format!(
                "{}: {:?} with {} bytes",
                plan.label,
                exchange.status,
                exchange.content.len()
            ));
        }
        self.answers += 1;
        self.answered_at = now;
        Ok(())
    }

    fn reset(&mut self, frame: &Frame, now: Tick) -> Result<(), String> {
        let Some(exchange) = self.exchanges.remove(&frame.stream) else {
            let asked = self.plans.get(usize::try_from(frame.stream / 2).expect("few"));
            // Nobody reads the rest of an upload.
            let is_enough = asked.is_some_and(Plan::has_upload) && frame.number(0) == 0;
            return if is_enough { Ok(()) } else { self.may_be_late(frame.stream) };
        };
        let plan = &self.plans[exchange.plan];
        let is_internal = frame.number(0) == 2;
        if frame.number(0) == 7 {
            // More than may be open at a time: before that was known, or because a handler still works on
            // what was given up.
            self.excused += 1;
            return Ok(());
        }
        self.answers += 1;
        self.answered_at = now;
        if (plan.is_cut && is_internal) || !(self.calm && self.manner.is_good()) {
            return Ok(());
        }
        Err(format!("{}: a reset", plan.label))
    }

    /// What must be true when everything is over.
    pub(crate) fn verdict(&self, calm: bool, gentle: bool) -> Result<(), String> {
        if !gentle || !self.manner.is_good() || self.accepted_at.is_none() {
            return Ok(());
        }
        let open: Vec<&str> = self.exchanges.values().map(|open| &*self.plans[open.plan].label).collect();
        let is_told = self.farewell.is_some();
        if calm && self.next < self.plans.len() && !is_told {
            return Err(format!("{} of {} were asked", self.next, self.plans.len()));
        }
        // Who has not even met the server may find it gone.
        if open.is_empty() || (!calm && !self.is_greeted) {
            return Ok(());
        }
        Err(format!("a good client waits for {open:?}; ended: {}, torn: {}", self.ended, self.torn))
    }
}
