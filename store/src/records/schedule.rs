use super::UnixMs;
use crate::Record;
use serde::{Deserialize, Serialize};

/// Table `schedule`: what the scheduler must remember of a domain. Key: the domain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// Occurrences of the schedule up to this instant are used up.
    pub mark_ms: Option<UnixMs>,
    /// The schedule that `mark_ms` belongs to; another one starts counting anew.
    pub mark_schedule: String,
    /// A person asked for an update that has not started yet.
    pub asked: bool,
    /// Runs that failed since the last that did not.
    pub failures_in_a_row: u32,
    /// When the last of them failed.
    pub last_failure_ms: Option<UnixMs>,
}

/// Table `split`: the shares of a domain's cases, fixed when it is first seen. Key: the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRecord {
    /// Percent of the cases held out for the gate.
    pub gate_percent: u32,
    /// Percent of the cases held out to confirm what the gate finds; none in records from before there was a reserve.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserve_percent: u32,
    /// Percent of the cases held out for audits.
    pub audit_percent: u32,
}

fn is_zero(percent: &u32) -> bool {
    *percent == 0
}

impl Record for SplitRecord {
    const TABLE: &'static str = "split";
    const VERSION: u16 = 1;
}

impl Record for ScheduleRecord {
    const TABLE: &'static str = "schedule";
    const VERSION: u16 = 1;
}
