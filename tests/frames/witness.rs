//! [`Witness`]: hears both sides of a connection, and keeps its own account of what each may say.
//!
//! ```text
//!   client's bytes, as the machine takes them ──► windows, settings, pings, streams
//!   machine's bytes ──► frames, held to RFC 9113: order, windows, sizes, one answer a stream
//! ```
//! Panics at the first frame that the machine should not have sent.

use std::collections::{BTreeMap, VecDeque};

use kolk::proto::h2::Limits;
use kolk::proto::hpack::{self, FieldList, Fit};

use super::frame::*;

const WINDOW_BYTES: i64 = 65_535;

pub(crate) struct Witness {
    /// What the client has said and is not a whole frame yet; of DATA the head is enough.
    said: Vec<u8>,
    preface_left: usize,
    /// Of a DATA frame, so much has not come.
    content_left: usize,
    heard: Vec<u8>,
    decoder: hpack::Decoder,
    list: FieldList,
    block: Option<(Frame, Vec<u8>)>,
    stream_window: i64,
    frame_bytes_max: usize,
    /// What the machine may still send, and what the client may.
    may_send: i64,
    may_receive: i64,
    connection_window_max: i64,
    stream_window_max: i64,
    own_stream_window: i64,
    streams: BTreeMap<u32, Stream>,
    last: u32,
    settings_owed: usize,
    pings_owed: VecDeque<Vec<u8>>,
    bytes_said: usize,
    control_bytes_heard: usize,
    farewells: Vec<(u32, u32)>,
    has_greeted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Owed,
    Begun,
    Ended,
    Reset,
}

struct Stream {
    may_send: i64,
    may_receive: i64,
    answer: Answer,
}

pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A frame of the machine, and the fields that it ends.
pub(crate) type Heard = (Frame, Option<Fields>);

impl Witness {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            said: Vec::new(),
            preface_left: PREFACE.len(),
            content_left: 0,
            heard: Vec::new(),
            decoder: hpack::Decoder::new(),
            list: FieldList::new(),
            block: None,
            stream_window: WINDOW_BYTES,
            frame_bytes_max: 16_384,
            may_send: WINDOW_BYTES,
            may_receive: WINDOW_BYTES,
            connection_window_max: limits.connection_window_bytes_max.into(),
            stream_window_max: limits.stream_window_bytes_max.into(),
            own_stream_window: limits.stream_window_bytes.into(),
            streams: BTreeMap::new(),
            last: 0,
            settings_owed: 0,
            pings_owed: VecDeque::new(),
            bytes_said: 0,
            control_bytes_heard: 0,
            farewells: Vec::new(),
            has_greeted: false,
        }
    }

    /// Of the DATA frame at hand, so many bytes have not come.
    pub(crate) fn on_its_way(&self) -> usize {
        self.content_left
    }

    /// Of what the client has sent, so many bytes are not used: it may send for all others again, but for
    /// less than half of the window.
    pub(crate) fn sees_windows_return(&self, unused: usize) {
        let known = self.may_receive + i64::try_from(unused).unwrap();
        assert!(2 * known > WINDOW_BYTES, "{} may be sent, {unused} are unused", self.may_receive);
    }

    /// The client does not stand within a frame.
    pub(crate) fn is_between(&self) -> bool {
        self.said.is_empty() && self.content_left == 0
    }

    /// Whether the client has sent more than it may.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.may_receive < 0
    }

    /// What the machine may still send on this stream.
    pub(crate) fn room(&self, stream: u32) -> i64 {
        self.streams.get(&stream).map_or(0, |stream| stream.may_send.min(self.may_send))
    }

    /// What the client may still send on this stream.
    pub(crate) fn allowance(&self, stream: u32) -> i64 {
        self.streams
            .get(&stream)
            .map_or(self.own_stream_window, |stream| stream.may_receive)
            .min(self.may_receive)
    }

    /// Whether the machine has given the connection up.
    pub(crate) fn is_over(&self) -> bool {
        self.farewells.last().is_some_and(|(_, code)| *code != 0)
    }

    /// The machine took these bytes.
    pub(crate) fn client(&mut self, mut bytes: &[u8]) {
        self.bytes_said += bytes.len();
        let preface = bytes.len().min(self.preface_left);
        self.preface_left -= preface;
        bytes = &bytes[preface..];
        loop {
            let content = bytes.len().min(self.content_left);
            self.content_left -= content;
            bytes = &bytes[content..];
            let Some((&byte, rest)) = bytes.split_first() else { return };
            self.said.push(byte);
            bytes = rest;
            if self.said.len() == HEAD_BYTES && self.said[3] == DATA {
                let length = usize::from(u16::from_be_bytes([self.said[1], self.said[2]]));
                self.content_left = length;
                let stream = Frame { payload: std::mem::take(&mut self.said), ..Frame::default() }.number(5);
                self.content(stream & 0x7FFF_FFFF, i64::try_from(length).unwrap());
            } else if let Some(frame) = Frame::parse(&self.said) {
                self.said.clear();
                self.frame_of_client(&frame);
            }
        }
    }

    fn content(&mut self, stream: u32, length: i64) {
        self.may_receive -= length;
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.may_receive -= length;
        }
    }

    fn frame_of_client(&mut self, frame: &Frame) {
        let id = frame.stream & 0x7FFF_FFFF;
        match frame.kind {
            HEADERS if id > self.last => {
                self.last = id;
                let (may_send, may_receive) = (self.stream_window, self.own_stream_window);
                self.streams.insert(id, Stream { may_send, may_receive, answer: Answer::Owed });
            }
            WINDOW_UPDATE if id == 0 => self.may_send += i64::from(frame.number(0) & 0x7FFF_FFFF),
            WINDOW_UPDATE => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.may_send += i64::from(frame.number(0) & 0x7FFF_FFFF);
                }
            }
            SETTINGS if !frame.is(ACK) => {
                self.settings_owed += 1;
                for (name, value) in frame.values() {
                    self.setting(name, value);
                }
            }
            PING if !frame.is(ACK) => self.pings_owed.push_back(frame.payload.clone()),
            _ => {}
        }
    }

    fn setting(&mut self, name: u16, value: u32) {
        match name {
            INITIAL_WINDOW_SIZE => {
                let change = i64::from(value) - self.stream_window;
                self.stream_window += change;
                self.streams.values_mut().for_each(|stream| stream.may_send += change);
            }
            MAX_FRAME_SIZE if (16_384..1 << 24).contains(&value) => self.frame_bytes_max = value as usize,
            1 => self.decoder.set_bytes_max(u16::try_from(value).unwrap_or(u16::MAX)),
            _ => {}
        }
    }

    /// The machine sent these bytes: the frames that they end.
    pub(crate) fn machine(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.heard.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(frame) = Frame::parse(&self.heard[at..]) {
            at += HEAD_BYTES + frame.payload.len();
            let fields = self.frame_of_machine(&frame);
            frames.push((frame, fields));
        }
        self.heard.drain(..at);
        assert!(self.heard.is_empty(), "half a frame: {}", self.heard.escape_ascii());
        frames
    }

    fn frame_of_machine(&mut self, frame: &Frame) -> Option<Fields> {
        assert!(!self.is_over(), "{frame} behind the end");
        assert!(frame.payload.len() <= self.frame_bytes_max, "{frame} is longer than was agreed on");
        assert_eq!(self.block.is_some(), frame.kind == CONTINUATION, "{frame} within a header block");
        if !std::mem::replace(&mut self.has_greeted, true) {
            assert!(frame.kind == SETTINGS || frame.kind == GOAWAY, "{frame} is the first");
        }
        if !matches!(frame.kind, DATA | HEADERS | CONTINUATION) {
            self.control_bytes_heard += HEAD_BYTES + frame.payload.len();
            let bound = 2 * self.bytes_said + 250;
            assert!(self.control_bytes_heard <= bound, "{} bytes said", self.control_bytes_heard);
        }
        match frame.kind {
            DATA => self.data(frame),
            HEADERS | CONTINUATION => return self.headers(frame),
            RST_STREAM => self.reset(frame),
            SETTINGS if frame.is(ACK) => {
                self.settings_owed = self.settings_owed.checked_sub(1).expect("there was nothing to answer");
            }
            SETTINGS => {}
            PING if frame.is(ACK) => assert_eq!(self.pings_owed.pop_front().as_ref(), Some(&frame.payload)),
            PING => assert_eq!(frame.payload, b"farewell"),
            GOAWAY => self.farewell(frame.number(0), frame.number(4)),
            WINDOW_UPDATE => self.window(frame),
            _ => panic!("{frame}: no server sends this"),
        }
        None
    }

    fn stream(&mut self, frame: &Frame) -> &mut Stream {
        self.streams.get_mut(&frame.stream).unwrap_or_else(|| panic!("{frame}: nobody asked"))
    }

    fn data(&mut self, frame: &Frame) {
        let length = i64::try_from(frame.payload.len()).unwrap();
        let stream = self.stream(frame);
        assert_eq!(stream.answer, Answer::Begun, "{frame}");
        // An empty frame needs no window, even if it is below zero.
        assert!(length == 0 || length <= stream.may_send, "{frame}: the window is {}", stream.may_send);
        stream.may_send -= length;
        if frame.is(END_STREAM) {
            stream.answer = Answer::Ended;
        } else {
            assert!(length > 0, "{frame}: says nothing");
        }
        assert!(length == 0 || length <= self.may_send, "{frame}: the window is {}", self.may_send);
        self.may_send -= length;
    }

    fn headers(&mut self, frame: &Frame) -> Option<Fields> {
        let (first, mut block) = self.block.take().unwrap_or_else(|| (frame.clone(), Vec::new()));
        assert_eq!(first.stream, frame.stream, "{frame}");
        block.extend_from_slice(&frame.payload);
        if !frame.is(END_HEADERS) {
            assert_eq!(frame.payload.len(), self.frame_bytes_max, "{frame} could be longer");
            self.block = Some((first, block));
            return None;
        }
        let fit = self.decoder.decode(&block, &hpack::Limits::DEFAULT, |_, _| 0, &mut self.list);
        assert_eq!(fit, Ok(Fit::Whole), "{frame}");
        let fields: Fields = self.list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let status = fields.iter().find(|(name, _)| name == b":status").map(|(_, status)| status.clone());
        let regular = fields.iter().skip(usize::from(status.is_some()));
        assert!(regular.clone().all(|(name, _)| !name.starts_with(b":")), "{frame}: pseudo-fields");
        assert!(regular.clone().all(|(name, _)| !name.iter().any(u8::is_ascii_uppercase)), "{frame}");
        let stream = self.stream(frame);
        let ends = first.is(END_STREAM);
        stream.answer = match (stream.answer, status) {
            (Answer::Owed, Some(status)) if status[0] == b'1' && !ends => Answer::Owed,
            (Answer::Owed, Some(_)) => {
                if ends {
                    Answer::Ended
                } else {
                    Answer::Begun
                }
            }
            (Answer::Begun, None) if ends => Answer::Ended,
            (state, status) => panic!("{frame}: {status:?} where the answer is {state:?}"),
        };
        Some(fields)
    }

    fn reset(&mut self, frame: &Frame) {
        assert!(frame.stream <= self.last && frame.stream % 2 == 1, "{frame}: of an idle stream");
        let no_error = frame.number(0) == 0;
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            assert!(!no_error || stream.answer == Answer::Ended, "{frame}: the answer is not complete");
            stream.answer = Answer::Reset;
        }
    }

    fn window(&mut self, frame: &Frame) {
        let increment = i64::from(frame.number(0));
        assert!(increment > 0, "{frame}");
        if frame.stream == 0 {
            self.may_receive += increment;
            assert!(self.may_receive <= self.connection_window_max, "{frame}: beyond the limit");
        } else {
            let size_max = self.stream_window_max;
            let stream = self.stream(frame);
            stream.may_receive += increment;
            assert!(stream.may_receive <= size_max, "{frame}: beyond the limit");
        }
    }

    fn farewell(&mut self, last: u32, code: u32) {
        if let Some((before, _)) = self.farewells.last() {
            assert!(last <= *before, "the last stream was {before}, and is {last} now");
        }
        self.farewells.push((last, code));
    }

    /// What must hold where the machine has taken everything and is not broken.
    pub(crate) fn at_rest(&self) {
        assert_eq!(self.settings_owed, 0, "settings were not answered");
        assert!(self.pings_owed.is_empty(), "pings were not answered");
        assert!(!self.is_overdrawn(), "the client has sent more than it may, and nobody minds");
    }
}
