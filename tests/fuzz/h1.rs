//! Fuzz targets of the HTTP/1 machine: plain functions of bytes, which panic when something is wrong.
//! A libFuzzer harness may call the same functions.

use super::trace::{LIMITS, trace};

/// Any bytes as a connection: no panic, and the machine ends closed.
pub(crate) fn connection(bytes: &[u8]) {
    trace(&LIMITS, bytes, []);
}

/// Any bytes as the fields of a head.
pub(crate) fn head(bytes: &[u8]) {
    split(&[b"GET / HTTP/1.1\r\nHost: x\r\n", bytes, b"\r\n\r\n"].concat());
}

/// Any bytes as a chunked body.
pub(crate) fn chunked(bytes: &[u8]) {
    split(&[b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", bytes].concat());
}

/// Whole, halved, in drips: the same trace.
pub(crate) fn split(bytes: &[u8]) {
    let whole = trace(&LIMITS, bytes, []);
    assert_eq!(trace(&LIMITS, bytes, [bytes.len() / 2]), whole, "{}", bytes.escape_ascii());
    assert_eq!(trace(&LIMITS, bytes, (1..bytes.len()).step_by(3)), whole, "{}", bytes.escape_ascii());
    assert_eq!(trace(&LIMITS, bytes, 1..bytes.len()), whole, "{}", bytes.escape_ascii());
}
