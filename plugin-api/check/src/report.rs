//! What the validator found.

use serde::Serialize;
use std::fmt;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The rule is kept.
    Passed,
    /// The rule is kept, but something should be better.
    Warned,
    /// The rule is broken.
    Failed,
    /// The process ended by itself before the case had an answer.
    Crashed,
    /// The process was killed at the time limit.
    TimedOut,
    /// It could not be tried, or is about something that the plugin has not.
    Skipped,
}

impl Outcome {
    /// Whether the plugin broke a rule.
    pub fn is_broken(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Crashed | Outcome::TimedOut)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Outcome::Passed => "passed",
            Outcome::Warned => "warned",
            Outcome::Failed => "FAILED",
            Outcome::Crashed => "CRASHED",
            Outcome::TimedOut => "TIMED OUT",
            Outcome::Skipped => "skipped",
        })
    }
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: &'static str,
    /// The rule that it is about.
    pub rule: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found, where it did not simply pass.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The last lines that the process wrote to standard error, where it did not pass.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Time of its processes.
    pub duration_ms: u64,
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:10}{:22}{:>6} ms", self.outcome, self.name, self.duration_ms)?;
        if !self.detail.is_empty() {
            write!(f, "\n          {}", self.detail)?;
        }
        for line in self.stderr.lines() {
            write!(f, "\n          | {line}")?;
        }
        Ok(())
    }
}

/// All cases.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The plugin's id, unless its manifest cannot be read.
    pub plugin: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The seed of what was random.
    pub seed: u64,
    /// Whether no rule was broken.
    pub passed: bool,
    /// The cases, in their order.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// How many cases ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// The names of the cases whose rules were broken.
    pub fn broken(&self) -> Vec<&'static str> {
        let broken = self.cases.iter().filter(|case| case.outcome.is_broken());
        broken.map(|case| case.name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        use Outcome::{Crashed, Failed, Passed, Skipped, TimedOut, Warned};
        let counts = [Passed, Warned, Failed, Crashed, TimedOut, Skipped].map(|o| (o, self.count(o)));
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(o, count)| format!("{count} {}", o.to_string().to_lowercase()))
            .collect();
        write!(f, "{} cases: {}", self.cases.len(), counts.join(", "))
    }
}
