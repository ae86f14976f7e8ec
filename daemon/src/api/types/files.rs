//! Case files.

use serde::{Deserialize, Serialize};
use wengu_protocol::CaseText;
use wengu_store::records::Counts;

/// A piece of a text that labelling functions voted on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpanView {
    /// First byte in the text.
    pub begin: u32,
    /// One past the last.
    pub end: u32,
    /// The piece itself.
    pub text: CaseText,
    /// The likeliest label.
    pub label: String,
    /// How likely it is.
    pub probability: f64,
}

/// `GET /v1/files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileView {
    /// The domain.
    pub domain: String,
    /// The path.
    pub path: String,
    /// Its state's name.
    pub state: String,
    /// The state in a sentence.
    pub explanation: String,
    /// Whether the file is still in its folder.
    pub present: bool,
    /// Content revision.
    pub revision: u32,
    /// Examples in it.
    pub counts: Option<Counts>,
    /// When the record last changed.
    pub updated_ms: i64,
}

/// `GET /v1/files/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileExplanation {
    /// The file.
    pub file: FileView,
    /// BLAKE3 of its content.
    pub content: Option<String>,
    /// The case it belongs to where the records name none.
    pub case_key: String,
    /// How it was read: format, encoding, plugin.
    pub reading: Vec<String>,
    /// Its examples.
    pub examples: Vec<ExampleView>,
    /// Broken records by line.
    pub rejected: Vec<(u32, String)>,
    /// What happened to it, oldest first.
    pub history: Vec<(i64, String)>,
}

/// One example of an explained file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExampleView {
    /// Line in the file.
    pub line: u32,
    /// Its document inside the file, and how many pages that has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Which set its case belongs to.
    pub side: String,
    /// Its label.
    pub label: Option<String>,
    /// gold, weak with its confidence, or none.
    pub source: String,
    /// The beginning of the text.
    pub text: CaseText,
    /// What the plugin's functions see in it, with the label model's probability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<SpanView>,
    /// Why it took no part in the run that planned with it.
    pub dropped: Option<String>,
}

/// `POST /v1/files/release`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// The domain.
    pub domain: String,
    /// Only files that this run set aside.
    pub run: Option<u64>,
}

/// `POST /v1/files/retry`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetryRequest {
    /// The files' paths.
    pub paths: Vec<String>,
    /// Only in this domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// `POST /v1/files/review`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewRequest {
    /// The domain.
    pub domain: String,
    /// What was looked at.
    pub what: Reviewed,
    /// Whether it is to be learned.
    pub accept: bool,
}

/// What a person has looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reviewed {
    /// A source.
    Source(String),
    /// The examples whose ids begin so.
    Examples(String),
}
