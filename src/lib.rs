//! kolk: a web server built around one turning point per core.
pub mod base;
