//! The suites that kill processes once more, over redb.
#![allow(clippy::duplicate_mod, reason = "each suite brings the helpers along")]

#[path = "encrypt.rs"]
mod encrypt;
#[path = "kill.rs"]
mod kill;
#[path = "power.rs"]
mod power;
#[path = "refuse.rs"]
mod refuse;
