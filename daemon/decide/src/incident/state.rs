//! The state machine of one fingerprint.

use super::Silence;
use serde::{Deserialize, Serialize};

/// What an incident is about; its fingerprint follows from these alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The domain.
    pub domain: String,
    /// The slice, `kind=value`; empty for all items.
    pub slice: String,
    /// What was measured, and how: `gate`, `slow_drift`, `live`.
    pub metric: String,
}

impl Labels {
    /// The first 128 bits of a BLAKE3 hash, as hex: the same for ever and on every machine.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("wengu 2026 incident fingerprint v1");
        for label in [&self.domain, &self.slice, &self.metric] {
            hasher
                .update(&(label.len() as u64).to_le_bytes())
                .update(label.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentRules {
    /// An incident stays open at least so long.
    pub min_open_ms: i64,
    /// One that is found again is told again after so long.
    pub renotify_ms: i64,
    /// So many clear comparisons with the anchor, in a row, clear it.
    pub clear_runs: u32,
}

impl Default for IncidentRules {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        IncidentRules {
            min_open_ms: DAY_MS,
            renotify_ms: DAY_MS,
            clear_runs: 2,
        }
    }
}

/// What a run, or the time, says of one fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The first stage tripped, and nothing has confirmed it.
    Suspected,
    /// The reserve confirmed it, slow drift alarms, or the live evidence does.
    Confirmed,
    /// Looked at, and nothing was found: the anchor is not better.
    Clear,
    /// A later version was promoted by the gate.
    Promoted,
    /// Nobody looked; only time has passed.
    Time,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// It may be.
    Suspect,
    /// An open incident.
    Firing,
}

/// The record of one fingerprint. The default is one that never had anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Where it stands.
    pub phase: Phase,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// How many incidents there have been; together with the fingerprint it names one.
    pub number: u64,
    /// How often the open one was confirmed.
    pub confirmations: u64,
    /// Clear comparisons in a row since it was last confirmed.
    pub clear_in_a_row: u32,
    /// What it takes to resolve it has been seen; its time is not over yet.
    pub cleared: bool,
    /// When the open one was last told, in milliseconds since 1970. None while a silence has covered all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_ms: Option<i64>,
}

/// What people are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEvent {
    /// It begins.
    Firing,
    /// It goes on.
    Repeat,
    /// It is over.
    Resolved,
}

impl Incident {
    /// The next record, and what to tell, if anything. A clock that goes backwards resolves and repeats nothing.
    ///
    /// Under a silence nothing begins and nothing is repeated; what is still open when it ends is told as firing then. That an
    /// incident is over is told even then if people were told of it, since it would stay open at their end otherwise.
    #[must_use]
    pub fn advance(
        &self,
        rules: &IncidentRules,
        labels: &Labels,
        silences: &[Silence],
        evidence: Evidence,
        now_ms: i64,
    ) -> (Incident, Option<IncidentEvent>) {
        let silent = silences.iter().any(|silence| silence.covers(labels, now_ms));
        let mut next = self.moved(evidence, rules, now_ms);
        let event = if next.phase == Phase::Firing && self.phase != Phase::Firing {
            Some(IncidentEvent::Firing)
        } else if next.phase == Phase::Firing {
            next.due(rules, evidence, now_ms)
        } else if self.phase == Phase::Firing {
            self.told_ms.map(|_| IncidentEvent::Resolved)
        } else {
            None
        };
        let told = event.filter(|event| !silent || *event == IncidentEvent::Resolved);
        match (next.phase, told) {
            (Phase::Firing, Some(_)) => next.told_ms = Some(now_ms),
            (Phase::Firing, None) => {}
            _ => next.told_ms = None,
        }
        (next, told)
    }

    fn moved(&self, evidence: Evidence, rules: &IncidentRules, now_ms: i64) -> Incident {
        let mut next = *self;
        let enter = |next: &mut Incident, phase| {
            (next.phase, next.since_ms) = (phase, now_ms);
            (next.confirmations, next.clear_in_a_row, next.cleared) = (0, 0, false);
        };
        match evidence {
            Evidence::Confirmed => {
                if self.phase != Phase::Firing {
                    enter(&mut next, Phase::Firing);
                    next.number += 1;
                }
                next.confirmations += 1;
                (next.clear_in_a_row, next.cleared) = (0, false);
            }
            Evidence::Suspected if self.phase == Phase::Ok => enter(&mut next, Phase::Suspect),
            // In an open incident it is no confirmation, and no all-clear either.
            Evidence::Suspected => (next.clear_in_a_row, next.cleared) = (0, false),
            Evidence::Clear if self.phase == Phase::Suspect => enter(&mut next, Phase::Ok),
            Evidence::Promoted if self.phase == Phase::Suspect => enter(&mut next, Phase::Ok),
            Evidence::Clear if self.phase == Phase::Firing => {
                next.clear_in_a_row += 1;
                next.cleared |= next.clear_in_a_row >= rules.clear_runs;
            }
            Evidence::Promoted if self.phase == Phase::Firing => next.cleared = true,
            Evidence::Clear | Evidence::Promoted | Evidence::Time => {}
        }
        if next.phase == Phase::Firing && next.cleared && now_ms - next.since_ms >= rules.min_open_ms {
            enter(&mut next, Phase::Ok);
        }
        next
    }

    /// Whether an incident that was open before is to be told again.
    fn due(&self, rules: &IncidentRules, evidence: Evidence, now_ms: i64) -> Option<IncidentEvent> {
        match self.told_ms {
            None => Some(IncidentEvent::Firing),
            Some(told) if evidence == Evidence::Confirmed && now_ms - told >= rules.renotify_ms => {
                Some(IncidentEvent::Repeat)
            }
            Some(_) => None,
        }
    }

    /// When [`Evidence::Time`] could change something: the end of its least time, if it is cleared.
    pub fn wakes_ms(&self, rules: &IncidentRules) -> Option<i64> {
        let waits = self.phase == Phase::Firing && self.cleared;
        waits.then(|| self.since_ms.saturating_add(rules.min_open_ms))
    }
}
