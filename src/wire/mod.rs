//! THE WORDS OF BYTES: what flows between a transport and a protocol machine. Knows no HTTP.
//!
//! ```text
//!  transport ──bytes──► Input ──► machine ──► Output ──bytes, pieces, file ranges──► transport
//! ```

mod input;
mod output;

pub use input::Input;
pub use output::{Front, Output, QUEUED_BYTES_HIGH};
