//! The control socket: HTTP with JSON bodies over a Unix socket in the state directory. Whoever may open the socket may
//! do everything; its mode is 0660.

pub mod client;
mod forget;
mod history;
mod judgements;
pub mod server;
pub mod types;
pub mod views;
