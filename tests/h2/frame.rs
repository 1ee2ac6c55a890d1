//! Frames as values: `headers(1, GET).end()`, `window_update(0, 1)`, `raw(0x16, 0, 1, b"?")`.
//!
//! Nothing here keeps a client from lying: flags, lengths and payloads are what the case says. Header blocks
//! are literals without indexing and without Huffman coding, so that both tables stay empty.

use std::fmt;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Kinds: RFC 9113 §6, RFC 9218 §7.1.
pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PUSH_PROMISE: u8 = 0x5;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;
pub(crate) const PRIORITY_UPDATE: u8 = 0x10;

// Flags.
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITISED: u8 = 0x20;

// Settings: RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1.
pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
pub(crate) const ENABLE_PUSH: u16 = 0x2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
pub(crate) const NO_RFC7540_PRIORITIES: u16 = 0x9;

// Errors: RFC 9113 §7.
pub(crate) const NO_ERROR: u32 = 0x0;
pub(crate) const PROTOCOL_ERROR: u32 = 0x1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 0x3;
pub(crate) const SETTINGS_TIMEOUT: u32 = 0x4;
pub(crate) const STREAM_CLOSED: u32 = 0x5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 0x6;
pub(crate) const REFUSED_STREAM: u32 = 0x7;
pub(crate) const CANCEL: u32 = 0x8;
pub(crate) const COMPRESSION_ERROR: u32 = 0x9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xB;

pub(crate) type Fields<'a> = [(&'a str, &'a str)];

pub(crate) const GET: &Fields<'_> =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")];
pub(crate) const LARGE: &Fields<'_> =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/large")];
pub(crate) const HEAD: &Fields<'_> =
    &[(":method", "HEAD"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")];
pub(crate) const POST: &Fields<'_> =
    &[(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/echo")];

/// One frame, right or wrong.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// With END_STREAM.
    pub(crate) fn end(self) -> Self {
        self.with(END_STREAM)
    }

    pub(crate) fn with(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// Without END_HEADERS.
    pub(crate) fn open(mut self) -> Self {
        self.flags &= !END_HEADERS;
        self
    }

    pub(crate) fn on(mut self, stream: u32) -> Self {
        self.stream = stream;
        self
    }

    /// With so much padding.
    pub(crate) fn padded(self, length: u8) -> Self {
        let mut padded = self.claims_padding(length);
        padded.payload.extend(vec![0; usize::from(length)]);
        padded
    }

    /// Says that it has so much padding.
    pub(crate) fn claims_padding(mut self, length: u8) -> Self {
        self.payload.insert(0, length);
        self.with(PADDED)
    }

    /// With the priority fields of RFC 7540, before any padding.
    pub(crate) fn depends_on(mut self, parent: u32) -> Self {
        self.payload.splice(0..0, dependency(parent));
        self.with(PRIORITISED)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header(u32::try_from(self.payload.len()).expect("24 bits"));
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The frame's header alone, with the length it claims.
    pub(crate) fn header(&self, length: u32) -> Vec<u8> {
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        match names.get(usize::from(self.kind)) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{:#x}", self.kind)?,
        }
        write!(f, " flags {:#x} stream {} length {}", self.flags, self.stream, self.payload.len())?;
        let start = &self.payload[..self.payload.len().min(24)];
        write!(f, " \"{}\"", start.escape_ascii())
    }
}

pub(crate) fn raw(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame { kind, flags, stream, payload: payload.into() }
}

pub(crate) fn data(stream: u32, bytes: impl Into<Vec<u8>>) -> Frame {
    raw(DATA, 0, stream, bytes)
}

/// A whole header section.
pub(crate) fn headers(stream: u32, fields: &Fields<'_>) -> Frame {
    raw(HEADERS, END_HEADERS, stream, block(fields))
}

/// A header section written by hand.
pub(crate) fn headers_of(stream: u32, block: impl Into<Vec<u8>>) -> Frame {
    raw(HEADERS, END_HEADERS, stream, block)
}

/// The last piece of a header section.
pub(crate) fn continuation(stream: u32, block: impl Into<Vec<u8>>) -> Frame {
    raw(CONTINUATION, END_HEADERS, stream, block)
}

pub(crate) fn priority(stream: u32, parent: u32) -> Frame {
    raw(PRIORITY, 0, stream, dependency(parent))
}

pub(crate) fn rst_stream(stream: u32, code: u32) -> Frame {
    raw(RST_STREAM, 0, stream, code.to_be_bytes())
}

pub(crate) fn settings(list: &[(u16, u32)]) -> Frame {
    let entry = |&(name, value): &(u16, u32)| {
        let mut bytes = name.to_be_bytes().to_vec();
        bytes.extend(value.to_be_bytes());
        bytes
    };
    raw(SETTINGS, 0, 0, list.iter().flat_map(entry).collect::<Vec<u8>>())
}

pub(crate) fn settings_ack() -> Frame {
    raw(SETTINGS, ACK, 0, [])
}

pub(crate) fn ping(payload: [u8; 8]) -> Frame {
    raw(PING, 0, 0, payload)
}

pub(crate) fn goaway(last: u32, code: u32) -> Frame {
    raw(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Frame {
    raw(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

pub(crate) fn priority_update(stream: u32, value: &str) -> Frame {
    raw(PRIORITY_UPDATE, 0, 0, [&stream.to_be_bytes(), value.as_bytes()].concat())
}

/// `fields` and more.
pub(crate) fn and<'a>(fields: &Fields<'a>, more: &Fields<'a>) -> Vec<(&'a str, &'a str)> {
    [fields, more].concat()
}

/// `fields` without `name`.
pub(crate) fn without<'a>(fields: &Fields<'a>, name: &str) -> Vec<(&'a str, &'a str)> {
    fields.iter().copied().filter(|(other, _)| *other != name).collect()
}

/// `fields` with another value of `name`.
pub(crate) fn with<'a>(fields: &Fields<'a>, name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|&(other, old)| (other, if other == name { value } else { old })).collect()
}

/// A header block: literals that leave no trace in a table.
pub(crate) fn block(fields: &Fields<'_>) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// RFC 7541 §6.2.2.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], string(name.as_bytes()), string(value.as_bytes())].concat()
}

/// RFC 7541 §6.2.1: the decoder's table takes it.
pub(crate) fn indexed_literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], string(name.as_bytes()), string(value.as_bytes())].concat()
}

/// RFC 7541 §5.2, without Huffman coding.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = integer(0, 7, bytes.len());
    out.extend_from_slice(bytes);
    out
}

/// RFC 7541 §5.1: `number` in the low `bits` of a first byte that begins with `pattern`.
pub(crate) fn integer(pattern: u8, bits: u32, number: usize) -> Vec<u8> {
    loona_hpack::encoder::encode_integer(number, u8::try_from(bits).expect("at most 8"))
        .into_iter()
        .enumerate()
        .map(|(at, byte)| if at == 0 { byte | pattern } else { byte })
        .collect()
}

fn dependency(parent: u32) -> Vec<u8> {
    [&parent.to_be_bytes()[..], &[15]].concat()
}
