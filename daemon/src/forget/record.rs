//! Where a forgetting stands. It names nothing that was forgotten.

use serde::{Deserialize, Serialize};
use wengu_store::records::UnixMs;
use wengu_store::{Hash, Record};

/// Table `forget`. Key: the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgetRecord {
    /// Its id.
    pub id: String,
    /// When it was asked for.
    pub asked_ms: UnixMs,
    /// Why, as the administrator said.
    pub reason: String,
    /// The versions that saw it go before others take their place.
    pub at_once: bool,
    /// What is done next.
    pub step: Step,
    /// Files whose records went.
    pub files: u64,
    /// Objects that went: bytes, examples, manifests, judgements.
    pub objects: u64,
    /// The domains that it concerns.
    pub domains: Vec<DomainRecord>,
    /// What is to be deleted and trained again, an object; none before that is known, and none any more at the end.
    pub plan: Option<Hash>,
    /// The last commit before it, and its hash.
    pub before: Option<(u64, Hash)>,
    /// When it was done.
    pub done_ms: Option<UnixMs>,
}

/// What is done next. Each step can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Find what it reaches, and stop using it.
    Asked,
    /// Take it off the disk.
    Erasing,
    /// Train again what had seen it, without it.
    Retraining,
    /// Delete the versions that had seen it.
    Removing,
    /// Nothing.
    Done,
}

impl Step {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Step::Asked => "asked",
            Step::Erasing => "erasing",
            Step::Retraining => "retraining",
            Step::Removing => "removing",
            Step::Done => "done",
        }
    }
}

/// How far a domain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// The domain.
    pub domain: String,
    /// The version that the next run continues: at first the last one that never saw it.
    pub tip: Option<String>,
    /// Of the runs to be made again, the next.
    pub next: u64,
    /// The run that makes it again.
    pub run: Option<u64>,
    /// The runs that were made so far.
    pub made: Vec<u64>,
    /// The run that failed; those behind it were left to the scheduler.
    pub failed: Option<u64>,
}

impl ForgetRecord {
    /// One that has been asked for.
    pub fn new(id: &str, asked_ms: UnixMs, reason: &str) -> ForgetRecord {
        ForgetRecord {
            id: id.to_owned(),
            asked_ms,
            reason: reason.to_owned(),
            at_once: false,
            step: Step::Asked,
            files: 0,
            objects: 0,
            domains: Vec::new(),
            plan: None,
            before: None,
            done_ms: None,
        }
    }

    /// Whether it still keeps the domain from being changed by others. Before it is known which domains it concerns, all.
    pub fn holds(&self, domain: &str) -> bool {
        match self.step {
            Step::Done => false,
            Step::Asked => true,
            Step::Erasing | Step::Retraining | Step::Removing => self.domains.iter().any(|d| d.domain == domain),
        }
    }
}

impl Record for ForgetRecord {
    const TABLE: &'static str = "forget";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        self.plan.into_iter().collect()
    }
}
