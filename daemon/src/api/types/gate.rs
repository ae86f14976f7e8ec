//! The gate, the anchor and incidents.

use super::{Flip, RunView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wengu_decide::gate::{Comparison, Verdict, Wear};
use wengu_decide::incident::Silence;

/// `GET /v1/gate/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateExplanation {
    /// The run.
    pub run: RunView,
    /// The decision with all that led to it.
    pub verdict: Verdict,
    /// Answers that the version in service was asked for twice; None: it was not.
    pub asked_twice: Option<u64>,
    /// New examples that the version in service had right before they were learned, and how many there were.
    pub fresh: Option<(u64, u64)>,
    /// The anchor, and what serves after the run against it, on audit items.
    pub with_anchor: Option<(String, Comparison)>,
    /// What the domain is held against now.
    pub anchor: Option<AnchorView>,
    /// How worn the gate's items were after the run, era by era.
    pub wear: Vec<Wear>,
    /// Items whose answer became right or wrong.
    pub flips: Vec<Flip>,
}

/// What a domain's versions are held against.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnchorView {
    /// The version.
    pub version: String,
    /// Since when.
    pub since_ms: i64,
    /// Why.
    pub reason: String,
    /// Runs in a row that were significantly worse.
    pub worse_in_a_row: u32,
    /// Runs until a trend can be told.
    pub warm_up_left: u64,
    /// New examples that a version in service answered before they were learned.
    pub fresh_items: u64,
    /// Those it had right.
    pub fresh_right: u64,
    /// What the last run said.
    pub reasons: Vec<String>,
}

/// `GET /v1/gate/replay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// The run.
    pub run: u64,
    /// What was decided again.
    pub decision: String,
    /// Of the recorded verdict's bytes.
    pub recorded_blake3: String,
    /// Of the new one's.
    pub replayed_blake3: String,
    /// They are the same, byte for byte.
    pub same: bool,
}

/// `POST /v1/gate/anchor`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnchorRequest {
    /// The domain.
    pub domain: String,
    /// The version; None: the one in service.
    #[serde(default)]
    pub to: Option<String>,
    /// Why, for the audit log.
    pub reason: String,
}

/// `POST /v1/promote`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PromoteRequest {
    /// The domain.
    pub domain: String,
    /// The version.
    pub version: String,
    /// Against the gate.
    pub force: bool,
    /// Why, for the audit log.
    pub reason: String,
}

/// `GET /v1/incidents`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IncidentsView {
    /// Those that are not over.
    pub open: Vec<IncidentView>,
    /// Silences that are not over.
    pub silences: Vec<Silence>,
}

/// An incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IncidentView {
    /// Of domain, slice and metric.
    pub fingerprint: String,
    /// The domain.
    pub domain: String,
    /// `all`, an era, or a slice.
    pub slice: String,
    /// What is measured.
    pub metric: String,
    /// It fires; otherwise it is suspected.
    pub firing: bool,
    /// Since when.
    pub since_ms: i64,
    /// When it was last told.
    pub told_ms: Option<i64>,
    /// The run that last said something of it.
    pub run: u64,
    /// What was measured then.
    pub numbers: BTreeMap<String, f64>,
}

/// `POST /v1/incidents/silence`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SilenceRequest {
    /// Only this domain.
    pub domain: Option<String>,
    /// Only this slice.
    pub slice: Option<String>,
    /// Only this metric.
    pub metric: Option<String>,
    /// From when on.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// Why, for people.
    pub reason: String,
}
