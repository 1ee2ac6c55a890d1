//! DATA STRUCTURES: no I/O, no HTTP, no clock. Imports std, slab, bytes and ipnet only.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `tick` | [`Tick`]: a moment, given as an argument by whoever read the clock |
//! | `slots` | [`Slots`]: a bounded table whose [`Key`]s go stale when their slot is emptied |
//! | `wheel` | [`Wheel`]: deadlines of slot indices, moved only when they come nearer |
//! | `mailbox` | [`Mailbox`], [`Post`], [`Wake`]: letters from other threads to a loop that may be asleep |
//! | `x509` | [`Certificate`]: what a certificate says of itself |
//! | `network` | [`canonical`]: the one way to write a network |
//! | `pool` | [`Pool`] of [`Reusable`] things: what was taken comes back, empty and small |
//!
//! None of them knows another, except that a wheel counts in ticks.

mod mailbox;
mod network;
mod pool;
mod slots;
mod tick;
mod wheel;
mod x509;

pub use mailbox::{Mailbox, Post, Undelivered, Wake};
pub use network::canonical;
pub use pool::{Pool, Reusable};
pub use slots::{Key, Slots};
pub use tick::Tick;
pub use wheel::Wheel;
pub use x509::{AlternativeNames, Certificate, Fingerprint, Moment, Validity};
