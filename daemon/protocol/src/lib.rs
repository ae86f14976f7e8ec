//! What the daemon, the trainer, the plugin host and the reader say to each other.
//!
//! Whatever crosses a process carries a schema version; a reader refuses a newer one by name.

mod case_text;
pub mod events;
pub mod job;
pub mod merge;
pub mod model_files;
mod panics;
pub mod plugin;
pub mod reader;
pub mod script;

pub use case_text::CaseText;
pub use panics::{last_panic, note_panic, panic_place};
