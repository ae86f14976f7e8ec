//! Signed webhooks: a CloudEvents 1.0 body, a Standard Webhooks 1.0.0 signature, and delivery that gives up only
//! after days and says so.
//!
//! ```text
//! Event ─▶ CloudEvent ─▶ OutboxItem (stored with the verdict) ─▶ due() ─▶ Client::send ─▶ Outcome ─▶ OutboxItem::settle
//! ```
//!
//! Nothing here stores or reads a clock: the daemon keeps the outbox, and `now` is an argument.

pub mod client;
pub mod delivery;
pub mod event;
mod guard;
pub mod listen;
pub mod outbox;
pub mod secret;
pub mod signature;
