//! What no single comparison with last night's version shows.
//!
//! - [`SlowDrift`]: many small steps down, each within the noise. Every new version is compared with a frozen anchor, on
//!   items that never decide anything.
//! - [`Live`]: the answers to freshly labelled files, given before anything was learned from them.
//! - [`InputDrift`]: files that look unlike those that were learned from, before any of them has a label. This is never an
//!   alarm: unlike is not worse.
//!
//! Each is a small record and a function that makes the next one of it; when to call it, and where to keep it, is the
//! caller's.

mod cusum;
mod input;
mod live;
mod mmd;
mod slow;

pub use cusum::{Cusum, WARM_UP_RUNS};
pub use input::{Advice, InputDrift, Rates, Shift};
pub use live::Live;
pub use mmd::{Mmd, SAMPLE_MAX, mmd};
pub use slow::{ANCHOR_ALPHA, ANCHOR_RUNS, Signal, SlowDrift, SlowDriftFound};
