//! The `kolk` program.
fn main() {}
