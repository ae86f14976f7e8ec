//! The wengu daemon and command line.
//!
//! `app` builds and stops the tasks; `engine` is what they share; `intake`, `schedule`, `learn` and `outbox` are the
//! stages of the loop; `api` and `cli` face people.

pub mod alerts;
pub mod aligned;
pub mod api;
pub mod app;
mod beside;
mod checked;
mod children;
pub mod cli;
pub mod clock;
mod digest;
pub mod disk;
pub mod drift;
pub mod engine;
mod export;
pub mod feedback;
mod files;
mod fit;
pub mod forget;
pub mod headers;
pub mod heap;
pub mod hub;
pub mod incidents;
pub mod inputs;
mod intact;
mod intake;
pub mod layout;
pub mod learn;
mod memory_plan;
pub mod model;
pub mod outbox;
mod panics;
mod quarantine;
mod rollback;
mod schedule;
pub mod sealing;
mod serving;
mod tls;
