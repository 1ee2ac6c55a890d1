//! DATA STRUCTURES: no I/O, no HTTP, no clock. Imports std, slab and bytes only.

mod tick;

pub use tick::Tick;
