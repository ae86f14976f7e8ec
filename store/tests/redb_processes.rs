//! The suites that kill processes once more, over redb.

#[path = "kill.rs"]
mod kill;
#[path = "power.rs"]
mod power;
