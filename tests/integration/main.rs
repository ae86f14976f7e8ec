//! The integration suite: real programs, real files, real signals, the real model.
//!
//! Tests that train need the trainer and the default model. `make test` provides both and sets WENGU_REQUIRE_MODEL;
//! without them and without that variable such a test says that it was skipped.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod children;
mod command_line;
mod crash;
mod disturbed;
mod documents;
mod encryption;
mod export;
mod failing;
mod forgetting;
mod guarding;
mod harness;
mod intake;
mod invariants;
mod labels;
mod learning;
mod markers;
mod methods;
mod package;
mod plugins;
mod service;
mod sources;
mod store;
mod tasks;
mod tombstones;
mod tuning;
#[path = "../support/tuning_record.rs"]
mod tuning_record;
mod verdicts;
mod webhook;
