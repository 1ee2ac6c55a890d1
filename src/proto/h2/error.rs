//! WHAT WENT WRONG, in one table: each reason of HTTP/2 and the code that tells the peer. RFC 9113 §5.4, §7.
//!
//! ```text
//!  Broken::Connection(reason) ──► GOAWAY code       nothing more is read
//!  Broken::Stream(reason) ──────► RST_STREAM code   the others go on
//! ```

use crate::http::Reason;

/// The codes of RST_STREAM and GOAWAY: RFC 9113 §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum ErrorCode {
    NoError = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    SettingsTimeout = 4,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// How far an error reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Connection(Reason),
    Stream(Reason),
}

/// The code for a reason.
pub(super) const fn code(reason: Reason) -> ErrorCode {
    match reason {
        Reason::H2FrameSize => ErrorCode::FrameSize,
        Reason::H2WindowExceeded | Reason::H2WindowOverflow => ErrorCode::FlowControl,
        Reason::H2StreamClosed => ErrorCode::StreamClosed,
        Reason::H2Compression => ErrorCode::Compression,
        Reason::H2Streams => ErrorCode::RefusedStream,
        Reason::H2SettingsTimeout => ErrorCode::SettingsTimeout,
        Reason::H2Calm | Reason::H2BlockBytes | Reason::H2Stalled | Reason::HeaderTimeout => {
            ErrorCode::EnhanceYourCalm
        }
        Reason::HandlerPanic | Reason::HandlerDropped => ErrorCode::Internal,
        _ => ErrorCode::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9113_7_codes() {
        assert_eq!(code(Reason::H2Preface) as u32, 1);
        assert_eq!(code(Reason::H2FrameSize) as u32, 6);
        assert_eq!(code(Reason::H2WindowOverflow) as u32, 3);
        assert_eq!(code(Reason::H2StreamClosed) as u32, 5);
        assert_eq!(code(Reason::H2Streams) as u32, 7);
        assert_eq!(code(Reason::H2Compression) as u32, 9);
        assert_eq!(code(Reason::H2Calm) as u32, 11);
        assert_eq!(code(Reason::H2SettingsTimeout) as u32, 4);
        assert_eq!(code(Reason::FieldName) as u32, 1, "a malformed request: RFC 9113 §8.1.1");
    }
}
