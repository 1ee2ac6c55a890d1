//! FRAMES: nine bytes in front of everything. RFC 9113 §4.1, §6.
//!
//! ```text
//!  length:24 │ type:8 │ flags:8 │ reserved:1 stream:31 │ payload
//! ```
//! Knows no state: what a frame may mean where it stands, the machine says.

use super::error::ErrorCode;

/// What stands in front of a payload, in bytes.
pub(super) const HEAD_BYTES: usize = 9;
/// The largest payload that everybody takes, in bytes: RFC 9113 §4.2.
pub(super) const PAYLOAD_BYTES: u32 = 16_384;
/// No frame of ours is longer, so that nobody need be asked how long it may be.
pub(super) const PAYLOAD_BYTES_MAX: usize = PAYLOAD_BYTES as usize;
/// What a client begins with: RFC 9113 §3.4.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a frame is for: RFC 9113 §6, RFC 9218 §7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    PriorityUpdate,
    /// RFC 9113 §5.5: ignored.
    Unknown,
}

impl Kind {
    #[inline]
    const fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            16 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }
}

/// The flag of the last frame of a stream.
pub(super) const END_STREAM: u8 = 0x1;
/// The flag of an answer to SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// The flag of the last frame of a header block.
pub(super) const END_HEADERS: u8 = 0x4;
/// The flag of a payload with padding.
pub(super) const PADDED: u8 = 0x8;
/// The flag of a payload with a place in the tree of RFC 7540.
pub(super) const PRIORITY: u8 = 0x20;

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    /// The head at the beginning of `bytes`, if it is whole.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: Kind::of(kind),
            flags,
            // RFC 9113 §4.1: the reserved bit is ignored.
            stream: u32::from_be_bytes([s0 & 0x7F, s1, s2, s3]),
        })
    }

    #[inline]
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Leaves room for the head of a frame whose length is not known yet: where it begins.
#[inline]
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    at
}

/// Writes the head of the frame that began at `at` and ends here.
#[inline]
pub(super) fn finish(out: &mut [u8], at: usize, kind: Kind, flags: u8, stream: u32) {
    let length = out.len() - at - HEAD_BYTES;
    if let Some(place) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = head(length, kind, flags, stream);
    }
}

/// The head of a frame.
#[inline]
pub(super) fn head(length: usize, kind: Kind, flags: u8, stream: u32) -> [u8; HEAD_BYTES] {
    debug_assert!(length < 1 << 24 && stream < 1 << 31);
    let [.., l0, l1, l2] = (length as u64).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [l0, l1, l2, kind as u8, flags, s0, s1, s2, s3]
}

/// Writes a frame of which everything is known.
#[inline]
fn frame(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&head(payload.len(), kind, flags, stream));
    out.extend_from_slice(payload);
}

/// Writes SETTINGS with these values.
pub(super) fn settings(out: &mut Vec<u8>, values: &[(u16, u32)]) {
    let at = begin(out);
    for (id, value) in values {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    finish(out, at, Kind::Settings, 0, 0);
}

/// Writes the answer to SETTINGS.
pub(super) fn settings_ack(out: &mut Vec<u8>) {
    frame(out, Kind::Settings, ACK, 0, &[]);
}

/// Writes a PING, or the answer to one.
pub(super) fn ping(out: &mut Vec<u8>, flags: u8, payload: &[u8]) {
    frame(out, Kind::Ping, flags, 0, payload);
}

/// Writes RST_STREAM.
pub(super) fn rst_stream(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    frame(out, Kind::RstStream, 0, stream, &(code as u32).to_be_bytes());
}

/// Writes WINDOW_UPDATE.
pub(super) fn window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    frame(out, Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
}

/// Writes GOAWAY; `why` is for people: RFC 9113 §6.8.
pub(super) fn go_away(out: &mut Vec<u8>, last: u32, code: ErrorCode, why: &str) {
    let at = begin(out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
    out.extend_from_slice(why.as_bytes());
    finish(out, at, Kind::GoAway, 0, 0);
}

/// The number that a payload of four bytes is.
#[inline]
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.try_into().map(u32::from_be_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9113_4_1_what_is_written_is_read() {
        for (kind, byte) in [
            (Kind::Data, 0),
            (Kind::Headers, 1),
            (Kind::RstStream, 3),
            (Kind::Settings, 4),
            (Kind::Ping, 6),
            (Kind::GoAway, 7),
            (Kind::WindowUpdate, 8),
            (Kind::Continuation, 9),
        ] {
            let bytes = head(0x01_02_03, kind, 5, 0x7FFF_FFFE);
            assert_eq!(bytes[3], byte);
            let read = FrameHead::parse(&bytes).unwrap();
            assert_eq!(read, FrameHead { length: 0x01_02_03, kind, flags: 5, stream: 0x7FFF_FFFE });
        }
        assert_eq!(FrameHead::parse(&[0; 8]), None);
        let reserved = FrameHead::parse(&[0, 0, 0, 99, 0, 0xFF, 0xFF, 0xFF, 0xFF]).unwrap();
        assert_eq!((reserved.kind, reserved.stream), (Kind::Unknown, 0x7FFF_FFFF));
    }

    #[test]
    fn a_frame_gets_its_length_at_its_end() {
        let mut out = b"before".to_vec();
        go_away(&mut out, 7, ErrorCode::EnhanceYourCalm, "why");
        let head = FrameHead::parse(&out[6..]).unwrap();
        assert_eq!((head.length, head.kind, head.stream), (11, Kind::GoAway, 0));
        assert_eq!(out[6 + HEAD_BYTES..], *b"\0\0\0\x07\0\0\0\x0Bwhy");
    }
}
