//! From the bytes of a case file to its records.
//!
//! Pure: the caller hands in a name and bytes and gets records, or a reason that a person understands. Every record
//! of the file ends up either in [`Extracted::records`] or, with its line and a reason, in [`Extracted::rejected`].
//!
//! | name ends in | records | label from |
//! |---|---|---|
//! | `.txt` | one, the whole text | sidecar |
//! | `.md`, `.markdown` | one, the text after the front matter | front matter, sidecar |
//! | `.json` | one object, or an array of objects | label field, sidecar |
//! | `.jsonl`, `.ndjson` | one object a line | label field, sidecar |
//! | `.csv`, `.tsv` | one a row; the first row names the columns | label column, sidecar |
//!
//! Other formats ([`Format::is_plain`]) are turned into [`Part`]s by a process of their own, and [`extract_parts`] goes on
//! from there. A `.json` file may be an export of Label Studio; a `dataset_info.json` beside a file names its classes.
//!
//! Where a text has any number of labels, its label field may hold a list, or labels with a separator between them. Where the answer is
//! spans or a text ([`AnswerKind`]), structured records bring it as the field's common tools write it.
//!
//! A sidecar is a second file beside the case file (see [`sidecar_names`]). It labels every record of the file that
//! has no label of its own; where both speak and differ, the record is rejected.

mod answers;
mod dataset;
mod document;
mod encoding;
mod error;
mod format;
mod json;
mod label_studio;
mod labels;
mod parts;
mod record;
mod sidecar;
mod table;

pub use dataset::{CLASS_NAMES_FILE, ClassNames, is_dataset_description};
pub use encoding::{Decoded, decode, is_known_encoding, shown};
pub use error::IntakeError;
pub use format::Format;
pub use parts::{Part, extract_parts};
pub use record::trim;
pub use sidecar::{Sidecar, case_file_name, is_sidecar, sidecar_names};

use record::Collector;
use sidecar::SidecarData;
use wengu_protocol::CaseText;

/// What the right answer to a text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// One label.
    #[default]
    Label,
    /// Any number of labels: a list in the field `labels` or in the label field, or labels with a separator between them where a format
    /// has no lists. [`Record::label`] is then the line of [`wengu_decide::label_set`]. An empty list says that no label applies;
    /// nothing at all says that it is not known.
    Labels,
    /// Marked spans: `tokens` with BIO `tags`, or a text with a list of spans in the label field. [`Record::label`] is then the
    /// line of [`wengu_decide::marked`].
    Spans,
    /// A text: `messages`, or an instruction with its answer. [`Record::label`] is then the answer.
    Text,
}

/// How to read a case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the right answer to a text is.
    pub answer: AnswerKind,
    /// Field or column of structured records that holds the text.
    pub text_field: String,
    /// Field, column or front matter key that holds the gold label.
    pub label_field: String,
    /// Between labels where a format has no lists and a text has any number of them.
    pub label_separator: String,
    /// Field, column or front matter key that names the case.
    pub case_field: Option<String>,
    /// Encoding label for files without a BOM that are not UTF-8. None: detect.
    pub encoding: Option<String>,
    /// A file with more records, rejected ones included, is refused.
    pub max_records: u32,
    /// A longer record (line, row, array element or whole document, decoded to UTF-8) is rejected.
    pub max_record_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            answer: AnswerKind::Label,
            text_field: "text".to_owned(),
            label_field: "label".to_owned(),
            label_separator: ";".to_owned(),
            case_field: None,
            encoding: None,
            max_records: 100_000,
            max_record_bytes: 4 << 20,
        }
    }
}

/// One text of a case file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position among the accepted and rejected records of the file, from 0.
    pub ordinal: u32,
    /// Line of the decoded file on which the record starts, from 1.
    pub line: u32,
    /// Trimmed, never empty, otherwise as written.
    pub text: CaseText,
    /// Gold label: trimmed, in Unicode normalisation form C.
    pub label: Option<String>,
    /// The case that the record belongs to. None: the file is one case.
    pub case: Option<String>,
    /// All other fields.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Where it stands in a file that holds several documents, or pages.
    pub place: Place,
}

/// Where a record stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Path of the document inside the file; None: it is the file.
    pub member: Option<String>,
    /// The document inside the file that is a case of its own; None: the file is.
    pub case: Option<String>,
    /// Where each page begins in the text, in characters; empty where there are no pages.
    pub pages: Vec<u32>,
}

/// A record that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Line of the decoded file on which the record starts, from 1.
    pub line: u32,
    /// Why, in words.
    pub reason: String,
}

/// What a case file holds: at least one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// As the file name says.
    pub format: Format,
    /// WHATWG name of the encoding: "UTF-8", "gb18030", "Big5", "UTF-16LE", "windows-1252".
    pub encoding: String,
    /// In the order of the file.
    pub records: Vec<Record>,
    /// In the order of the file.
    pub rejected: Vec<Rejected>,
}

/// Reads the records of a case file. `sidecars` are the files found under [`sidecar_names`] of `file_name`.
pub fn extract(
    file_name: &str,
    bytes: &[u8],
    sidecars: &[Sidecar<'_>],
    options: &Options,
) -> Result<Extracted, IntakeError> {
    let format = format_of(file_name)?;
    if !format.is_plain() {
        return Err(IntakeError::Binary {
            found: format!("a .{} is turned into text first", format.as_str()),
        });
    }
    let decoded = encoding::decode(bytes, options.encoding.as_deref())?;
    if decoded.text.trim().is_empty() {
        return Err(IntakeError::Empty { bytes: bytes.len() });
    }
    let mut collector = Collector::new(options, SidecarData::merge(sidecars)?, decoded.is_malformed);
    collect(format, &decoded.text, &mut collector)?;
    collector.finish(format, decoded.encoding)
}

/// How a file of this name is read.
///
/// # Errors
/// Files of this name are not read.
pub fn format_of(file_name: &str) -> Result<Format, IntakeError> {
    Format::of(file_name).ok_or_else(|| IntakeError::unknown_extension(file_name))
}

fn collect(format: Format, text: &str, collector: &mut Collector<'_>) -> Result<(), IntakeError> {
    match format {
        Format::Markdown => document::markdown(text, collector),
        Format::Json => json::whole(text, collector),
        Format::JsonLines => json::lines(text, collector),
        Format::Csv => table::rows(text, b',', collector),
        Format::Tsv => table::rows(text, b'\t', collector),
        // What is not plain has become text.
        _ => document::text(text, collector),
    }
}
