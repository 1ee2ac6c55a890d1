//! kolk
pub mod base;
