//! Starts a plugin host and talks to it; names every way it can end.
//!
//! One [`PluginClient`] is one process with one plugin. Dropping it kills the process group. Nothing here loads code.

mod client;
mod end;
mod output;

pub use client::{Options, PluginClient};
pub use end::{End, PluginEnd};
pub use wengu_protocol::plugin::{
    DocumentError, LabelInput, ReadOutcome, Ready, ScoreInput, Segment, SegmentKind, Status, Vote,
};
