//! Which side a case file is on.
//!
//! A file's side follows from its domain and case key alone, so it is the same on every machine, after every restart
//! and for every later revision of the case: an item that was once used to judge is never trained on.

use serde::{Deserialize, Serialize};

/// What a case file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Learned from.
    Train,
    /// Decides which version serves.
    Gate,
    /// Confirms what the gate set finds; not looked at otherwise.
    Reserve,
    /// Never decides anything: watches what the gate decided.
    Audit,
    /// Must not break: an item that the champion has right and the challenger wrong is a regression by itself. People put items
    /// here; no share of the cases falls to it.
    Checklist,
}

/// Shares of the cases that are not learned from, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOut {
    /// For [`Side::Gate`]; 50 at most.
    pub gate_percent: u32,
    /// For [`Side::Reserve`]; with the audit's, 50 at most.
    #[serde(default)]
    pub reserve_percent: u32,
    /// For [`Side::Audit`].
    pub audit_percent: u32,
}

/// The side of a case, for ever.
///
/// The hash gives a case one of 10,000 places. The gate takes places from the beginning, the reserve from the middle on and the
/// audit from the end, so a larger percentage only moves cases out of [`Side::Train`], never back into it and never from one set of
/// items to another. Where they overlap (a configuration with such percentages is refused elsewhere), the gate comes first.
pub fn side(domain: &str, case_key: &str, shares: &HeldOut) -> Side {
    let place = place(domain, case_key);
    let places = |percent: u32| u64::from(percent.min(100)) * (PLACES / 100);
    let middle = PLACES / 2;
    if place < places(shares.gate_percent) {
        Side::Gate
    } else if place >= PLACES - places(shares.audit_percent) {
        Side::Audit
    } else if (middle..middle + places(shares.reserve_percent)).contains(&place) {
        Side::Reserve
    } else {
        Side::Train
    }
}

const PLACES: u64 = 10_000;

/// Changing anything here would put learned items into the gate: the golden values in the tests must never change.
fn place(domain: &str, case_key: &str) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("wengu 2026 split side v1");
    hasher.update(&(domain.len() as u64).to_le_bytes());
    hasher.update(domain.as_bytes());
    hasher.update(case_key.as_bytes());
    let hash = hasher.finalize();
    let head = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a BLAKE3 hash has 32 bytes"));
    ((u128::from(head) * u128::from(PLACES)) >> 64) as u64
}
