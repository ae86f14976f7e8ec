//! One training job.
fn main() {}
