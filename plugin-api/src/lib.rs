//! Write a wengu domain plugin in safe Rust.
