//! Alerts: signed webhooks (a CloudEvents 1.0 body, a Standard Webhooks 1.0.0 signature), Alertmanager, chats and
//! PagerDuty, and delivery that gives up only after days and says so.
//!
//! ```text
//! Event ─▶ CloudEvent ─▶ OutboxItem (stored with the verdict) ─▶ parcels() ─▶ Rate ─▶ Client::send ─▶ Outcome ─▶ settle
//! ```
//!
//! Nothing here stores or reads a clock: the daemon keeps the outbox, and `now` is an argument.

pub mod client;
pub mod delivery;
pub mod event;
pub mod format;
mod guard;
pub mod listen;
pub mod outbox;
pub mod rate;
pub mod secret;
pub mod signature;
pub mod text;
