//! The process that holds one plugin.
fn main() {}
