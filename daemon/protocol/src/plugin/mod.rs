//! What the daemon and a plugin host say to each other.
//!
//! Frames on a private descriptor: a length in four bytes, little-endian, then a message in that many bytes, at most
//! [`FRAME_BYTES_MAX`], in a binary form: as JSON it took a third of what a process costs. The daemon sends one [`Request`] at a time. The host answers a hello with [`Reply::Ready`] or
//! [`Reply::Refused`], and a batch with one reply for each document, in order, and then [`Reply::Done`]; a
//! [`Reply::Heartbeat`] may come at any time in between. So the number of replies says which document the host was at
//! when it died, one bad document does not sink a batch, and no reply is larger than one document's.

mod frame;

pub use frame::{
    FRAME_BYTES_AT_ONCE, FRAME_BYTES_MAX, FrameError, append_frame, decode_body, encode_frame, frame_body_bytes,
    read_frame, write_frame,
};

use crate::CaseText;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Version of every structure in this module. Daemon and host are of one build; another version is refused.
pub const PLUGIN_PROTOCOL: u32 = 5;

/// Environment variable that says that the daemon started the host: a courtesy to people, not security.
pub const HOST_COOKIE: (&str, &str) = ("WENGU_PLUGIN_HOST", "started-by-wengu");

/// The name of a host's process (`/proc/PID/comm`) is this and the index, in its batch, of the document that it works
/// on. It outlives the process until that is reaped, so that a crash is laid to the right document.
pub const WORKING_ON: &str = "wengu:";

/// What the daemon asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// First, once: load this plugin.
    Hello {
        /// [`PLUGIN_PROTOCOL`].
        protocol: u32,
        /// Folder of an installed plugin.
        plugin_dir: PathBuf,
        /// The digest that its manifest must have: what the daemon trusts is what the host loads.
        package_sha256: String,
        /// The operator's table for this plugin: the JSON of an object.
        config: String,
        /// Address space of the host; the manifest's limit where absent.
        memory_mib: Option<u32>,
    },
    /// Segment and label documents: one request for both, since most of what a process costs is paid for each request
    /// and for each text that it carries.
    Read {
        /// The documents.
        documents: Vec<LabelInput>,
        /// Whether segments are wanted.
        segments: bool,
        /// Whether votes are wanted.
        votes: bool,
    },
    /// Score answers.
    Score {
        /// The answers.
        items: Vec<ScoreInput>,
    },
}

/// A document to be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelInput {
    /// The text.
    pub text: CaseText,
    /// What else is known of the case file: the JSON of an object.
    pub metadata: String,
    /// Every random choice of the plugin follows from it.
    pub seed: u64,
}

/// An answer to be scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreInput {
    /// What was asked.
    pub input: CaseText,
    /// The right answer.
    pub expected: CaseText,
    /// The model's answer.
    pub actual: CaseText,
    /// Every random choice of the plugin follows from it.
    pub seed: u64,
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The plugin is loaded.
    Ready(Box<Ready>),
    /// The plugin is not loaded, and the host ends.
    Refused {
        /// Name of the check that failed: `digest`, `open`, `symbol`, `size`, `major`, `descriptor`, `extension`,
        /// `create`, `lists`, `protocol`, `limits`.
        check: String,
        /// What was found and what was wanted.
        message: String,
    },
    /// The plugin is alive.
    Heartbeat {
        /// What the plugin says it has done.
        done: u64,
        /// Of how much.
        total: u64,
    },
    /// The next document of a read request.
    Read(Box<ReadOutcome>),
    /// The next item of a score request: a value for each metric, in their order.
    Scored(Result<Vec<f64>, DocumentError>),
    /// All documents of the request are answered.
    Done,
}

/// What a plugin says of a document, as far as it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadOutcome {
    /// Segments that tile the text.
    pub segments: Option<Result<Vec<Segment>, DocumentError>>,
    /// Votes, which may be none.
    pub votes: Option<Result<Vec<Vote>, DocumentError>>,
}

/// What a loaded plugin is and offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// [`PLUGIN_PROTOCOL`].
    pub protocol: u32,
    /// What it is.
    pub descriptor: Descriptor,
    /// Lowercase hex SHA-256 of the library that is running.
    pub library_sha256: String,
    /// What the host's process is kept from.
    pub sandbox: Sandbox,
    /// Label names; empty without the labeler.
    pub labels: Vec<String>,
    /// Names of the labelling functions; empty without the labeler.
    pub functions: Vec<String>,
    /// Metrics; empty without the evaluator.
    pub metrics: Vec<Metric>,
    /// Terms that deserve a token of their own; empty without the segmenter.
    pub terms: Vec<String>,
    /// Lowercase hex SHA-256 of the terms, each as its length in eight bytes, little-endian, and its bytes.
    pub terms_sha256: String,
}

/// How a host's process is shut in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// By path: it reads its own folder and the system's libraries, and writes nothing.
    pub landlock: Enforcement,
    /// By system call: no network, no other process, no new file.
    pub seccomp: Enforcement,
}

/// How much of a protection the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// All that was asked.
    Full,
    /// What this kernel knows of it.
    Partial,
    /// Nothing: the kernel lacks it.
    None,
}

/// As in the plugin's manifest and library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Reverse DNS.
    pub id: String,
    /// For people.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// `legal`, `medical`, ...
    pub domain: String,
    /// BCP 47 tags.
    pub languages: Vec<String>,
    /// Extension ids.
    pub provides: Vec<String>,
}

/// A way to score an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Whether a larger value is a better answer.
    pub higher_is_better: bool,
}

/// What a segment is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// The base tokenizer splits it as usual.
    Text,
    /// No token may cross its borders.
    Term,
    /// Not shown to the model.
    Drop,
}

/// A piece of a text. The host has checked that the segments of a text tile it.
///
/// Kept with the examples, as an array, `["term",4,9]`: there are many of them, and their keys would be most of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(SegmentKind, u32, u32)", into = "(SegmentKind, u32, u32)")]
pub struct Segment {
    /// What it is to the model.
    pub kind: SegmentKind,
    /// First byte.
    pub begin: u32,
    /// One past the last byte.
    pub end: u32,
}

impl From<(SegmentKind, u32, u32)> for Segment {
    fn from((kind, begin, end): (SegmentKind, u32, u32)) -> Segment {
        Segment { kind, begin, end }
    }
}

impl From<Segment> for (SegmentKind, u32, u32) {
    fn from(s: Segment) -> Self {
        (s.kind, s.begin, s.end)
    }
}

/// A labelling function's opinion. The host has checked indices, span and confidence. Kept with the examples, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Index into [`Ready::functions`].
    pub function: u32,
    /// Index into [`Ready::labels`].
    pub label: u32,
    /// First byte and one past the last one of what it is about; none for the whole document.
    #[serde(default)]
    pub span: Option<(u32, u32)>,
    /// In (0, 1]; 1 only where a person has said so.
    pub confidence: f64,
}

/// Why a document has no result. The others of its batch have theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({status:?})")]
pub struct DocumentError {
    /// Whether to retry.
    pub status: Status,
    /// What was wrong.
    pub message: String,
}

/// Statuses of the plugin ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The document is bad: do not retry.
    Input,
    /// The plugin does not do that: do not retry.
    Unsupported,
    /// Stopped by the host.
    Cancelled,
    /// Memory, disk: may be retried later.
    Resource,
    /// A bug of the plugin: do not retry.
    Internal,
    /// The plugin panicked on this document and was made anew for the next one: do not retry.
    Poisoned,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_kept_as_an_array() {
        let segment = Segment {
            kind: SegmentKind::Term,
            begin: 4,
            end: 9,
        };
        assert_eq!(serde_json::to_string(&segment).unwrap(), r#"["term",4,9]"#);
        assert_eq!(serde_json::from_str::<Segment>(r#"["term",4,9]"#).unwrap(), segment);
        assert!(serde_json::from_str::<Segment>(r#"["term",4,9,1]"#).is_err());
    }
}
