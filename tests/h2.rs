//! HTTP/2 seen from outside: does a server keep RFC 9113, 7541, 9218 and 8441, and what do floods cost it?
//!
//! ```text
//!  frame       frames as values, right or wrong               knows no server
//!  client      one connection: says anything, hears all       keeps what it hears by meaning
//!  expect      the preferred outcome, or any allowed one
//!  target      a kolk in this process, or `KOLK_H2_TARGET=host:port`
//!
//!  connection  §3, §4    streams  §5    frames, settings, flow  §6    messages, fields  §8
//!  hpack       RFC 7541  extensions  RFC 9218       abuse  floods    ends  §6.8 and clocks
//!  handler     what is told to it, and how much work is made for it
//! ```
//! A case is a trace of the protocol, named after the section that it is about. It was written without a look
//! at the server, and tried with those of others.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "h2/abuse.rs"]
mod abuse;
#[path = "h2/client.rs"]
mod client;
#[path = "h2/connection.rs"]
mod connection;
#[path = "h2/ends.rs"]
mod ends;
#[path = "h2/expect.rs"]
mod expect;
#[path = "h2/extensions.rs"]
mod extensions;
#[path = "h2/fields.rs"]
mod fields;
#[path = "h2/flow.rs"]
mod flow;
#[path = "h2/frame.rs"]
mod frame;
#[path = "h2/frames.rs"]
mod frames;
#[path = "h2/handler.rs"]
mod handler;
#[path = "h2/hpack.rs"]
mod hpack;
#[path = "h2/messages.rs"]
mod messages;
#[path = "h2/settings.rs"]
mod settings;
#[path = "h2/streams.rs"]
mod streams;
#[path = "h2/target.rs"]
mod target;
