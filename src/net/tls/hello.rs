//! THE FIRST WORDS of a client: whether it would rather have ChaCha20 than AES. RFC 8446 §4.1.2, RFC 8701.
//!
//! ```text
//!  record 5 │ handshake 4 │ version 2 │ random 32 │ session id 1+n │ cipher suites 2+2n │ …
//! ```
//! Whoever has no AES in its processor puts ChaCha20 first, and should have it. All others are given the AES
//! that costs the least, whatever they list first. Only looks, and believes nothing: rustls reads the same
//! bytes.

/// Of TLS 1.3, and of TLS 1.2 with ECDSA and RSA (RFC 7905 §2).
const CHACHA20: [u16; 3] = [0x1303, 0xCCA9, 0xCCA8];
const RECORD_HEAD_BYTES: usize = 5;
const BEFORE_SESSION_ID_BYTES: usize = 4 + 2 + 32;

/// Whether the client whose first bytes these are lists ChaCha20 first. No: also if they do not say it yet.
pub(super) fn prefers_chacha20(bytes: &[u8]) -> bool {
    first_suite(bytes).is_some_and(|suite| CHACHA20.contains(&suite))
}

fn first_suite(bytes: &[u8]) -> Option<u16> {
    let behind = bytes.get(RECORD_HEAD_BYTES + BEFORE_SESSION_ID_BYTES..)?;
    let (&session_id_bytes, behind) = behind.split_first()?;
    let behind = behind.get(usize::from(session_id_bytes)..)?;
    let (length, behind) = behind.split_first_chunk::<2>()?;
    let suites = behind.get(..usize::from(u16::from_be_bytes(*length)))?;
    let suites = suites.as_chunks::<2>().0.iter().map(|suite| u16::from_be_bytes(*suite));
    suites.into_iter().find(|suite| !is_grease(*suite))
}

/// RFC 8701 §2: 0x0A0A, 0x1A1A and so on stand for nothing.
const fn is_grease(suite: u16) -> bool {
    let [high, low] = suite.to_be_bytes();
    high == low && low & 0x0F == 0x0A
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(session_id_bytes: u8, suites: &[u16]) -> Vec<u8> {
        let mut bytes = vec![0; RECORD_HEAD_BYTES + BEFORE_SESSION_ID_BYTES];
        bytes.push(session_id_bytes);
        bytes.resize(bytes.len() + usize::from(session_id_bytes), 7);
        bytes.extend(u16::try_from(2 * suites.len()).unwrap().to_be_bytes());
        bytes.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
        bytes.extend([1, 0]);
        bytes
    }

    #[test]
    fn who_lists_chacha20_first_would_rather_have_it() {
        for (suites, prefers) in [
            (&[0x1303, 0x1301][..], true),
            (&[0x4A4A, 0x1303, 0x1301], true),
            (&[0xCCA9, 0xC02B], true),
            (&[0x1301, 0x1303], false),
            (&[0x1302, 0x1303], false),
            (&[0x1A1A], false),
            (&[], false),
        ] {
            for session_id_bytes in [0, 32] {
                let bytes = hello(session_id_bytes, suites);
                assert_eq!(prefers_chacha20(&bytes), prefers, "{suites:04x?}");
                for length in 0..bytes.len() - 2 {
                    assert!(!prefers_chacha20(&bytes[..length]), "{length}: not all suites are here");
                }
            }
        }
    }
}
