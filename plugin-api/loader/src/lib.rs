//! Loads one plugin library, checks it, and calls it in safe Rust. The only user of `libloading`.
//!
//! What a plugin hands over is copied and checked here: names are UTF-8 and unique, segments tile their text, votes
//! point into the lists, numbers are finite. What cannot be checked (a wild pointer, an endless loop) is why a plugin
//! runs in a process of its own.

mod call;
mod check;
mod error;
mod open;
mod sink;

pub use call::{HostCalls, Lists, Plugin};
pub use error::LoadError;
pub use open::open;
