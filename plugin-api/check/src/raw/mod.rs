//! The ABI as it is, without the checks that the host's loader makes: a case sees what the plugin really said.

mod host;
mod instance;
mod library;
mod sink;

pub use host::HostKind;
pub use instance::Instance;
pub use library::{Library, Made, extension, list, read_table, text};
pub use sink::{Call, Name, Score, Segment, SinkKind, Vote};
