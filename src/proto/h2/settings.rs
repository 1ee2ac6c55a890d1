//! SETTINGS: what each side tells the other of itself. RFC 9113 §6.5.

use super::error::Broken;
use super::frame::{self, PAYLOAD_BYTES};
use super::limits::{Limits, WINDOW_BYTES};
use crate::http::Reason;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 9218 §2.1.
const NO_RFC7540_PRIORITIES: u16 = 9;

/// The largest value of MAX_FRAME_SIZE.
const PAYLOAD_BYTES_MAX: u32 = (1 << 24) - 1;

/// What a client has said of itself, as far as a server asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    /// Its side of our encoder's table.
    pub(super) table_bytes_max: u32,
    /// What each stream may be sent at first.
    pub(super) window_bytes: u32,
}

impl PeerSettings {
    /// Before it has said anything: RFC 9113 §6.5.2.
    pub(super) const DEFAULT: Self = Self { table_bytes_max: 4096, window_bytes: WINDOW_BYTES };

    /// Takes the values of a frame, in their order.
    pub(super) fn update(&mut self, payload: &[u8]) -> Result<(), Broken> {
        let (values, []) = payload.as_chunks::<6>() else {
            return Err(Broken::Connection(Reason::H2FrameSize));
        };
        for &[i0, i1, v0, v1, v2, v3] in values {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([i0, i1]) {
                HEADER_TABLE_SIZE => self.table_bytes_max = value,
                ENABLE_PUSH | NO_RFC7540_PRIORITIES if value > 1 => {
                    return Err(Broken::Connection(Reason::H2Setting));
                }
                INITIAL_WINDOW_SIZE if value > i32::MAX as u32 => {
                    return Err(Broken::Connection(Reason::H2WindowOverflow));
                }
                INITIAL_WINDOW_SIZE => self.window_bytes = value,
                MAX_FRAME_SIZE if !(PAYLOAD_BYTES..=PAYLOAD_BYTES_MAX).contains(&value) => {
                    return Err(Broken::Connection(Reason::H2Setting));
                }
                // RFC 9113 §6.5.2: what is unknown is ignored; the rest is about what clients receive, and
                // frames as long as all peers take them are long enough.
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes what a connection begins with: our settings, and the window that all streams share.
pub(super) fn greet(out: &mut Vec<u8>, limits: &Limits) {
    let values = [
        (MAX_CONCURRENT_STREAMS, u32::from(limits.streams_max)),
        (MAX_HEADER_LIST_SIZE, u32::from(limits.fields.list_bytes_max)),
        (NO_RFC7540_PRIORITIES, 1),
        (INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
    ];
    let usual_window = limits.stream_window_bytes == WINDOW_BYTES;
    frame::settings(out, &values[..values.len() - usize::from(usual_window)]);
    if limits.connection_window_bytes > WINDOW_BYTES {
        frame::window_update(out, 0, limits.connection_window_bytes - WINDOW_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(values: &[(u16, u32)]) -> Result<PeerSettings, Broken> {
        let mut frame = Vec::new();
        frame::settings(&mut frame, values);
        let mut settings = PeerSettings::DEFAULT;
        settings.update(&frame[frame::HEAD_BYTES..]).map(|()| settings)
    }

    #[test]
    fn rfc_9113_6_5_2_values_and_their_bounds() {
        let said = update(&[(1, 0), (4, 70_000), (4, 9), (5, 20_000), (3, 0), (6, 0), (77, 5)]).unwrap();
        let expected = PeerSettings { table_bytes_max: 0, window_bytes: 9 };
        assert_eq!(said, expected);
        for (values, reason) in [
            ((2, 2), Reason::H2Setting),
            ((4, 1 << 31), Reason::H2WindowOverflow),
            ((5, 16_383), Reason::H2Setting),
            ((5, 1 << 24), Reason::H2Setting),
            ((9, 2), Reason::H2Setting),
        ] {
            assert_eq!(update(&[values]), Err(Broken::Connection(reason)), "{values:?}");
        }
        let odd = PeerSettings::DEFAULT.clone().update(&[0; 7]);
        assert_eq!(odd, Err(Broken::Connection(Reason::H2FrameSize)));
    }
}
