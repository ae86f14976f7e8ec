//! Incidents: from what was found in each run to what people are told, without flapping.
//!
//! One incident per fingerprint of domain, slice and metric:
//!
//! ```text
//! ok ──suspected──▶ suspect ──confirmed──▶ firing ──cleared, and open for 24 h──▶ ok (resolved)
//!        ▲   cleared │                       │ ▲
//!        └───────────┘                       └─┘ confirmed again: told again after 24 h
//! ```
//!
//! A firing incident is cleared by a promotion, or by two comparisons in a row in which the anchor is not better. Before
//! it has been open for its time it stays so, and resolves later without more evidence unless it was found again.

mod silence;
mod state;

pub use silence::{Matcher, Silence};
pub use state::{Evidence, Incident, IncidentEvent, IncidentRules, Labels, Phase};
