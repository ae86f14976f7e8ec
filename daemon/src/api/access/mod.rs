//! Who may ask for what: callers and their roles, the limits on what they may take, and the record of what they changed.

mod admit;
mod caller;
mod connection;
mod limits;
mod listen;
mod people;
mod record;
mod routes;
pub mod tokens;
mod wire;

pub use admit::domain_of;
pub use caller::Caller;
pub use listen::{Listeners, bind, serve};
pub use routes::{Reach, Row, change, read};
pub use wire::{Head, Wire, read_head};
