//! The wengu daemon and command line.
fn main() {}
