//! What the daemon, the trainer and the plugin host say to each other.
//!
//! Whatever crosses a process carries a schema version; a reader refuses a newer one by name.

pub mod events;
pub mod job;
pub mod merge;
pub mod plugin;
pub mod script;
