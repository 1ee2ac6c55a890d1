//! A frame as a line of text, both ways. What a line says is what is sent, right or wrong.
//!
//! ```text
//!  HEADERS 1 END_STREAM END_HEADERS GET=/ accept=*/*      DATA 3 "abc"*20 PADDED=4
//!  SETTINGS INITIAL_WINDOW_SIZE=10                        WINDOW_UPDATE 0 +100
//!  1001x PING "12345678" | RST_STREAM 1+2 CANCEL          KIND=0x63 5 FLAGS=0xFF
//! ```
//! | word | meaning |
//! | --- | --- |
//! | a number first, `1+2` | the stream; when the line is repeated, two more each time |
//! | `END_STREAM`, `END_HEADERS`, `ACK`, `FLAGS=0x20` | flags |
//! | `name=value`, `name="a value"`, `GET=/path` | a field, a literal without indexing; the four of a request |
//! | `"text"`, `#8286`, either with `*COUNT` | bytes of the payload; escapes as in Rust |
//! | `+100`, `STREAM=1`, `CANCEL`, `MAX_FRAME_SIZE=16384` | a window, a stream, an error, a setting of it |
//! | `DEPENDS=3`, `PADDED=4`, `CLAIMS=4`, `LENGTH=9` | a place in the tree; padding, padding without bytes; a length that is not so |

#![allow(dead_code, reason = "each of them uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

use std::fmt;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const HEAD_BYTES: usize = 9;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
const PRIORITY_UPDATE: u8 = 16;
const KINDS: [(&str, u8); 11] = [
    ("DATA", DATA),
    ("HEADERS", HEADERS),
    ("PRIORITY", 2),
    ("RST_STREAM", RST_STREAM),
    ("SETTINGS", SETTINGS),
    ("PUSH_PROMISE", 5),
    ("PING", PING),
    ("GOAWAY", GOAWAY),
    ("WINDOW_UPDATE", WINDOW_UPDATE),
    ("CONTINUATION", CONTINUATION),
    ("PRIORITY_UPDATE", PRIORITY_UPDATE),
];

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITY: u8 = 0x20;

const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];
/// The number of a setting is its place and one.
const VALUES: [&str; 9] = [
    "HEADER_TABLE_SIZE",
    "ENABLE_PUSH",
    "MAX_CONCURRENT_STREAMS",
    "INITIAL_WINDOW_SIZE",
    "MAX_FRAME_SIZE",
    "MAX_HEADER_LIST_SIZE",
    "7",
    "ENABLE_CONNECT_PROTOCOL",
    "NO_RFC7540_PRIORITIES",
];
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// One frame, right or wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
    /// What it says to be long, if that is not so.
    pub(crate) length: Option<u32>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into(), length: None }
    }

    /// The frame that begins `bytes`, if it is whole.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes.first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let payload = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
        Some(Self::new(kind, flags, u32::from_be_bytes([s0, s1, s2, s3]), payload))
    }

    pub(crate) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = self.length.unwrap_or_else(|| u32::try_from(self.payload.len()).unwrap());
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The settings that it holds.
    pub(crate) fn values(&self) -> impl Iterator<Item = (u16, u32)> {
        let values = self.payload.as_chunks::<6>().0.iter();
        values.map(|&[i0, i1, v0, v1, v2, v3]| {
            (u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))
        })
    }

    /// The number at a place of its payload.
    pub(crate) fn number(&self, at: usize) -> u32 {
        self.payload.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
    }

    /// With a place in the tree of RFC 7540, before any padding.
    pub(crate) fn depends_on(mut self, parent: u32) -> Self {
        self.payload.splice(0..0, parent.to_be_bytes().into_iter().chain([15]));
        self.flags |= PRIORITY;
        self
    }

    /// With padding of so many bytes, of which `there` are there.
    pub(crate) fn padded(mut self, length: u8, there: usize) -> Self {
        self.payload.insert(0, length);
        self.payload.resize(self.payload.len() + there, 0);
        self.flags |= PADDED;
        self
    }

    /// What `line` says, the `round`th time that it is said.
    fn read(line: &str, round: u32) -> Self {
        let mut frame = Self::default();
        let (mut depends, mut padded) = (None, None);
        for (place, word) in words(line).iter().enumerate() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                _ if place == 0 => frame.kind = kind(name, value),
                _ if place == 1 && word.starts_with(|first: char| first.is_ascii_digit()) => {
                    let (first, step) = word.split_once('+').unwrap_or((word, "0"));
                    frame.stream = number(first) + round * number(step);
                }
                "END_STREAM" | "ACK" => frame.flags |= END_STREAM,
                "END_HEADERS" => frame.flags |= END_HEADERS,
                "FLAGS" => frame.flags |= u8::try_from(number(value)).unwrap(),
                "DEPENDS" => depends = Some(number(value)),
                "PADDED" => padded = Some((number(value), number(value))),
                "CLAIMS" => padded = Some((number(value), 0)),
                "LENGTH" => frame.length = Some(number(value)),
                "STREAM" => frame.payload.extend(number(value).to_be_bytes()),
                _ => payload(&mut frame.payload, word),
            }
        }
        // PRIORITY itself has no flags.
        let flags = frame.flags;
        if let Some(parent) = depends {
            frame = frame.depends_on(parent);
        }
        if frame.kind == 2 {
            frame.flags = flags;
        }
        match padded {
            Some((length, there)) => frame.padded(u8::try_from(length).unwrap(), there as usize),
            None => frame,
        }
    }
}

/// The bytes of a line: `RAW`, `PREFACE`, or frames with `|` between them, as often as it says.
pub(crate) fn bytes_of(line: &str) -> Vec<u8> {
    let (count, line) = match line.split_once("x ") {
        Some((count, rest)) if count.bytes().all(|byte| byte.is_ascii_digit()) => (number(count), rest),
        _ => (1, line),
    };
    let mut bytes = Vec::new();
    for round in 0..count {
        for part in line.split(" | ") {
            match part.split_once(' ').unwrap_or((part, "")) {
                ("PREFACE", _) => bytes.extend(PREFACE),
                ("RAW", rest) => words(rest).iter().for_each(|word| payload(&mut bytes, word)),
                _ => bytes.extend(Frame::read(part, round).bytes()),
            }
        }
    }
    bytes
}

/// Adds what a word says to a payload.
fn payload(bytes: &mut Vec<u8>, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let (piece, count) = match word.rsplit_once('*') {
        Some((piece, count)) if is_piece(piece) && count.parse::<usize>().is_ok() => {
            (piece, number(count) as usize)
        }
        _ => (word, 1),
    };
    if let Some(text) = piece.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        bytes.extend(unescape(text).repeat(count));
    } else if let Some(digits) = piece.strip_prefix('#') {
        bytes.extend(hex(digits).repeat(count));
    } else if let Some(increment) = piece.strip_prefix('+') {
        bytes.extend(number(increment).to_be_bytes());
    } else if let Some(code) = ERRORS.iter().position(|error| *error == word) {
        bytes.extend(u32::try_from(code).unwrap().to_be_bytes());
    } else if let Some(place) = VALUES.iter().position(|known| *known == name) {
        bytes.extend(u16::try_from(place + 1).unwrap().to_be_bytes());
        bytes.extend(number(value).to_be_bytes());
    } else if !word.contains('=') {
        bytes.extend(hex(word));
    } else if ["GET", "HEAD", "POST", "PUT", "OPTIONS"].contains(&name) {
        let fields = [(":method", name), (":scheme", "http"), (":authority", "x"), (":path", value)];
        bytes.extend(fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())));
    } else {
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = quoted.map_or_else(|| value.as_bytes().to_vec(), unescape);
        bytes.extend(literal(&unescape(name), &value));
    }
}

fn is_piece(piece: &str) -> bool {
    piece.starts_with('#') || (piece.starts_with('"') && piece.ends_with('"'))
}

/// A literal that leaves no trace in a table: RFC 7541 §6.2.2.
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

/// RFC 7541 §5.2, without Huffman coding.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if bytes.len() < 127 {
        out.push(u8::try_from(bytes.len()).unwrap());
    } else {
        out.push(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend_from_slice(bytes);
    out
}

fn kind(name: &str, value: &str) -> u8 {
    let known = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    known.unwrap_or_else(|| {
        assert_eq!(name, "KIND", "no kind of frame");
        u8::try_from(number(value)).unwrap()
    })
}

fn number(text: &str) -> u32 {
    let parsed =
        text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u32::from_str_radix(digits, 16));
    parsed.unwrap_or_else(|_| panic!("what number is {text}?"))
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("what is {digits}?"))).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut letters = text.bytes();
    while let Some(letter) = letters.next() {
        if letter != b'\\' {
            bytes.push(letter);
            continue;
        }
        bytes.push(match letters.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = [letters.next().unwrap(), letters.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

/// Words have spaces between them, but not within quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in line.chars() {
        if letter == ' ' && !is_quoted {
            words.push(String::new());
            continue;
        }
        if letter == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = letter == '\\' && !is_escaped;
        words.last_mut().unwrap().push(letter);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What is longer is told by its length.
const BYTES_SHOWN_MAX: usize = 40;

/// Bytes in quotes, or how many they are.
pub(crate) fn shown(bytes: &[u8]) -> String {
    if bytes.len() > BYTES_SHOWN_MAX {
        return format!("({} bytes)", bytes.len());
    }
    format!("\"{}\"", bytes.escape_ascii())
}

/// As a line; the fields of a header block are added by who can decode them.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KINDS.iter().find(|(_, kind)| *kind == self.kind) {
            Some((name, _)) => f.write_str(name)?,
            None => write!(f, "KIND={:#x}", self.kind)?,
        }
        if self.stream != 0 || self.kind == WINDOW_UPDATE {
            write!(f, " {}", self.stream)?;
        }
        let error = |at: usize| ERRORS.get(self.number(at) as usize).copied().unwrap_or("?");
        match self.kind {
            SETTINGS | PING if self.is(ACK) => f.write_str(" ACK")?,
            DATA | HEADERS if self.is(END_STREAM) => f.write_str(" END_STREAM")?,
            _ => {}
        }
        match self.kind {
            HEADERS | CONTINUATION if self.is(END_HEADERS) => f.write_str(" END_HEADERS"),
            RST_STREAM => write!(f, " {}", error(0)),
            WINDOW_UPDATE => write!(f, " +{}", self.number(0)),
            GOAWAY => {
                write!(f, " STREAM={} {}", self.number(0), error(4))?;
                let why = self.payload.get(8..).unwrap_or_default();
                if why.is_empty() { Ok(()) } else { write!(f, " {}", shown(why)) }
            }
            SETTINGS => self.values().try_for_each(|(name, value)| {
                let known = VALUES.get(usize::from(name).wrapping_sub(1)).copied().unwrap_or("?");
                write!(f, " {known}={value}")
            }),
            DATA | PING => write!(f, " {}", shown(&self.payload)),
            _ => Ok(()),
        }
    }
}
