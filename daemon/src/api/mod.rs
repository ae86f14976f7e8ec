//! The control API: HTTP with JSON bodies over a Unix socket in the state directory, whose peers the kernel names, and over
//! TCP with TLS and tokens where that is configured. `access` says who may do what.

pub mod access;
pub mod client;
mod forget;
mod history;
mod judgements;
mod refusal;
mod retry;
pub mod server;
mod tuning;
pub mod types;
pub mod views;
