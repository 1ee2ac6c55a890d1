//! HTTP/2 for tests of the machine: frames as text, a witness of both sides, and a client with a handler.
#![allow(dead_code, reason = "each of them uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

pub(crate) mod client;
pub(crate) mod frame;
pub(crate) mod witness;
