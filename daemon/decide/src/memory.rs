//! Which examples are kept for replay.
