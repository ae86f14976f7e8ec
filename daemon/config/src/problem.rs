//! What is wrong with a configuration: where, why, and what to do.

use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is taken, but is likely not what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line, from 1; None for what the file does not say.
    pub line: Option<u32>,
    /// The character in the line, from 1.
    pub column: Option<u32>,
    /// The key, as in `domains.contracts.schedule.cron`; empty where it is the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    /// An error that the file's text does not show.
    pub fn error(key: &str, message: &str, remedy: &str) -> Problem {
        Problem {
            line: None,
            column: None,
            key: key.to_string(),
            message: message.to_string(),
            remedy: remedy.to_string(),
            severity: Severity::Error,
        }
    }
}

/// All that is wrong with a file, by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl Problems {
    /// The problems of the file at `path`, in any order.
    pub fn new(path: &Path, mut problems: Vec<Problem>) -> Problems {
        problems.sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
        Problems {
            path: path.to_path_buf(),
            problems,
        }
    }

    /// The problems, by line.
    pub fn list(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether nothing at all is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether the configuration is refused.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    /// `path:line:column: key: message`, a line of help under each, and the count at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            write!(f, "{}:", self.path.display())?;
            if let (Some(line), Some(column)) = (problem.line, problem.column) {
                write!(f, "{line}:{column}:")?;
            }
            if problem.severity == Severity::Warning {
                write!(f, " warning:")?;
            }
            if !problem.key.is_empty() {
                write!(f, " {}:", problem.key)?;
            }
            writeln!(f, " {}\n  = help: {}", problem.message, problem.remedy)?;
        }
        let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        write!(f, "{}", counted(self.count(Severity::Error), "error"))?;
        match self.count(Severity::Warning) {
            0 => writeln!(f),
            warnings => writeln!(f, ", {}", counted(warnings, "warning")),
        }
    }
}
