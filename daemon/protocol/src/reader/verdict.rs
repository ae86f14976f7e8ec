use serde::{Deserialize, Serialize};

/// Why a document was not read, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its parser failed.
    Crashed,
    /// It took too long.
    TimedOut,
    /// It needs more memory than a reader may use.
    OutOfMemory,
    /// It unpacks to more than the limits allow.
    TooBig,
    /// It has too many members.
    TooMany,
    /// Archives lie in archives, or elements in elements, deeper than the limits allow.
    TooDeep,
    /// Its pages are pictures.
    NeedsOcr,
    /// It is protected by a password.
    Encrypted,
    /// It is written in a way that is not read.
    Unsupported,
    /// It is not what its name says.
    Malformed,
    /// There is no text in it.
    Empty,
    /// It is no plain file, or its name leads out of the archive.
    Unsafe,
}

impl Verdict {
    /// The word, as the wire and people see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Crashed => "crashed",
            Verdict::TimedOut => "timed_out",
            Verdict::OutOfMemory => "out_of_memory",
            Verdict::TooBig => "too_big",
            Verdict::TooMany => "too_many",
            Verdict::TooDeep => "too_deep",
            Verdict::NeedsOcr => "needs_ocr",
            Verdict::Encrypted => "encrypted",
            Verdict::Unsupported => "unsupported",
            Verdict::Malformed => "malformed",
            Verdict::Empty => "empty",
            Verdict::Unsafe => "unsafe",
        }
    }
}

/// Why a document was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {reason}", verdict.as_str())]
pub struct Refusal {
    /// In a word.
    pub verdict: Verdict,
    /// What was found, where, and what to do; never the text of the document.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Refusal {
        Refusal {
            verdict,
            reason: reason.into(),
        }
    }
}
