//! What is kept of a fitting.

use serde::{Deserialize, Serialize};
use wengu_decide::tune::{Key, Values};
use wengu_store::records::UnixMs;
use wengu_store::{Hash, Record};

/// Table `tuning`: how a domain's hyper-parameters were last fitted, and those in use. Key: the domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningRecord {
    /// Where it is in its life.
    pub state: TuningState,
    /// Candidates that were asked for, the defaults among them.
    pub trials: u32,
    /// Draws candidates and parts, and is every trial's.
    pub seed: u64,
    /// After so many minutes of training no further trial is begun.
    pub max_minutes: Option<u32>,
    /// When it was asked for.
    pub asked_ms: UnixMs,
    /// When it came to its end.
    pub ended_ms: Option<UnixMs>,
    /// What was tried and how it went, an object; None until it ends.
    pub report: Option<Hash>,
    /// What later runs use; None: the defaults. Stays while it is fitted again, and where that fails.
    pub in_use: Option<InUse>,
}

/// The life of a fitting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum TuningState {
    /// There is something to try.
    Running,
    /// It has its result.
    Done,
    /// It has none, and nothing was changed.
    Failed {
        /// For people.
        message: String,
    },
}

/// Values that runs use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InUse {
    /// The values.
    pub values: Values,
    /// Those that were searched; the others were as configured.
    pub searched: Vec<Key>,
    /// Since when.
    pub since_ms: UnixMs,
    /// BLAKE3 of the ids and labels of the texts that they were fitted on.
    pub examples: String,
}

impl Record for TuningRecord {
    const TABLE: &'static str = "tuning";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        self.report.into_iter().collect()
    }
}
