use super::UnixMs;
use crate::{Hash, Record};
use serde::{Deserialize, Serialize};

/// Table `run`: one update of a domain, from its plan to its verdict. Key: `DOMAIN/` and the run as eight digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The domain.
    pub domain: String,
    /// 1 for the domain's first run.
    pub run: u64,
    /// Why it was started: asked, cron, missed, threshold, stale.
    pub reason: String,
    /// Everything the run is made of (examples, parent, hyper-parameters, seed), an object.
    pub manifest: Hash,
    /// The version in service when the run was planned.
    pub parent: Option<String>,
    /// New training examples.
    pub train_examples: u64,
    /// Gate items that this run's delivery adds.
    pub new_gate_items: u64,
    /// Where it is in its life.
    pub state: RunState,
    /// Trainers that were started for it and failed.
    pub attempts: u32,
    /// When it was planned.
    pub planned_ms: UnixMs,
    /// When it came to its end.
    pub ended_ms: Option<UnixMs>,
    /// The verdict with per-item outcomes, an object.
    pub verdict: Option<Hash>,
    /// `promote`, `hold`, `regressed`, …
    pub decision: Option<String>,
    /// Accuracy per era, of champion, challenger and baselines: a list of [`EraAccuracy`], an object.
    pub accuracy: Option<Hash>,
}

/// The life of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum RunState {
    /// Planned; its job directory may or may not be complete.
    Planned,
    /// Judged and, where promoted, in service; its files' records are being brought in line.
    Settling,
    /// All but the baselines is done.
    Comparing,
    /// Done.
    Finished,
    /// Given up; the examples went back to the pool.
    Failed {
        /// Name of the end, as in the log and the alert.
        end: String,
        /// For people.
        message: String,
    },
}

/// How the models of one run answer the gate items of one era.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EraAccuracy {
    /// The run whose delivery brought the items.
    pub era: u64,
    /// Items.
    pub items: u64,
    /// Share of right answers by name of the model: champion, challenger, head_only, plain.
    pub accuracy: std::collections::BTreeMap<String, f64>,
}

impl RunRecord {
    /// The table key.
    pub fn key(domain: &str, run: u64) -> String {
        format!("{domain}/{run:08}")
    }

    /// Whether the run still has work to do.
    pub fn is_open(&self) -> bool {
        matches!(self.state, RunState::Planned | RunState::Settling | RunState::Comparing)
    }
}

impl Record for RunRecord {
    const TABLE: &'static str = "run";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        [self.manifest]
            .into_iter()
            .chain(self.verdict)
            .chain(self.accuracy)
            .collect()
    }
}
