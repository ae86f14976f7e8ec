//! Plugins of all kinds, through the real host process.

mod bundled;
mod misbehaving;
mod panics;
mod plain_c;
mod sandbox;
mod support;
