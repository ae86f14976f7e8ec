//! What all formats share: the checks on one record, and the collecting of records and rejections.

use crate::sidecar::SidecarData;
use crate::{Extracted, Format, IntakeError, Options, Place, Record, Rejected};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

/// A longer label is text that was taken for one.
const MAX_LABEL_CHARS: usize = 200;
/// More replacement characters than this mean that the text is damaged.
pub(crate) const MAX_REPLACED_PERMILLE: u32 = 10;

/// A record before the checks that all formats share.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub text: String,
    pub label: Option<String>,
    pub case: Option<String>,
    pub metadata: Map<String, Value>,
}

/// Gathers records and rejections of one file.
pub(crate) struct Collector<'a> {
    pub options: &'a Options,
    pub(crate) sidecar: SidecarData,
    /// The label that the files beside it give to each record, or why they cannot.
    beside: Result<Option<String>, String>,
    place: Place,
    /// The file has bytes that its encoding does not allow; they are U+FFFD now.
    is_malformed: bool,
    records: Vec<Record>,
    rejected: Vec<Rejected>,
}

impl<'a> Collector<'a> {
    pub fn new(options: &'a Options, sidecar: SidecarData, is_malformed: bool) -> Self {
        Self {
            options,
            beside: sidecar.answer(options),
            sidecar,
            place: Place::default(),
            is_malformed,
            records: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// What follows is of another part of the file.
    pub fn begin_part(&mut self, sidecar: SidecarData, place: Place, is_malformed: bool) {
        self.beside = sidecar.answer(self.options);
        (self.sidecar, self.place, self.is_malformed) = (sidecar, place, is_malformed);
    }

    /// A part as a whole is not taken.
    pub fn reject_part(&mut self, reason: String) {
        self.rejected.push(Rejected { line: 1, reason });
    }

    /// Why a structured record of this raw text is refused before it is parsed.
    pub fn refuse_raw(&self, raw: &str) -> Option<String> {
        if let Some(reason) = self.refuse_length(raw.len()) {
            return Some(reason);
        }
        (self.is_malformed && raw.contains('\u{fffd}'))
            .then(|| "it has bytes that are not valid in the file's encoding".to_owned())
    }

    /// Why a record of this many bytes is refused.
    pub fn refuse_length(&self, bytes: usize) -> Option<String> {
        let limit = self.options.max_record_bytes;
        (bytes > limit).then(|| format!("its {bytes} bytes are more than the limit of {limit}"))
    }

    /// Takes or rejects the next record of the file.
    pub fn push(&mut self, line: u32, draft: Result<Draft, String>) -> Result<(), IntakeError> {
        let ordinal = (self.records.len() + self.rejected.len()) as u32;
        if ordinal >= self.options.max_records {
            return Err(IntakeError::TooManyRecords {
                limit: self.options.max_records,
            });
        }
        match draft.and_then(|draft| self.check(draft)) {
            Ok(Draft {
                text,
                label,
                case,
                metadata,
            }) => {
                self.records.push(Record {
                    ordinal,
                    line,
                    text: text.into(),
                    label,
                    case,
                    metadata,
                    place: self.place.clone(),
                });
            }
            Err(reason) => {
                let reason = match &self.place.member {
                    Some(member) => format!("{member}: {reason}"),
                    None => reason,
                };
                self.rejected.push(Rejected { line, reason });
            }
        }
        Ok(())
    }

    fn check(&self, mut draft: Draft) -> Result<Draft, String> {
        let trimmed = trim(&draft.text);
        if trimmed.is_empty() {
            return Err("its text is empty".to_owned());
        }
        if trimmed.contains('\0') {
            return Err("its text contains a NUL character".to_owned());
        }
        if replaced_permille(trimmed) > MAX_REPLACED_PERMILLE {
            return Err("more than 1% of its characters are unreadable (U+FFFD)".to_owned());
        }
        if trimmed.len() != draft.text.len() {
            draft.text = trimmed.to_owned();
        }
        let beside = self.beside.as_ref().map_err(String::clone)?;
        match (&draft.label, beside) {
            (Some(own), Some(beside)) if own != beside => {
                return Err(format!(
                    "its own label is {own:?}, the label file beside it says {beside:?}"
                ));
            }
            (None, Some(beside)) => draft.label = Some(beside.clone()),
            _ => {}
        }
        if draft.case.is_none() {
            draft.case.clone_from(&self.sidecar.case);
        }
        for (key, value) in &self.sidecar.metadata {
            draft.metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Ok(draft)
    }

    pub fn finish(self, format: Format, encoding: &str) -> Result<Extracted, IntakeError> {
        if self.records.is_empty() {
            let rejected = self.rejected.len();
            let first = self.rejected.into_iter().next();
            let Rejected { line, reason } = first.unwrap_or(Rejected {
                line: 1,
                reason: "the file holds no record".to_owned(),
            });
            return Err(IntakeError::NothingUsable { rejected, line, reason });
        }
        let encoding = encoding.to_owned();
        Ok(Extracted {
            format,
            encoding,
            records: self.records,
            rejected: self.rejected,
        })
    }
}

/// U+FFFD in a thousand characters, rounded up, so that 1.05% is above 10.
pub(crate) fn replaced_permille(text: &str) -> u32 {
    let replaced = text.matches('\u{fffd}').count();
    if replaced == 0 {
        return 0;
    }
    (replaced * 1000).div_ceil(text.chars().count()) as u32
}

/// White space, and the invisible marks that editors leave at the ends.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// The label that a written one means; None if it is empty.
pub(crate) fn clean_label(text: &str) -> Result<Option<String>, String> {
    let label: String = trim(text).nfc().collect();
    if label.is_empty() {
        return Ok(None);
    }
    if label.chars().any(|c| c.is_control() || c == '\u{fffd}') {
        return Err(
            "its label has line breaks, control or unreadable characters; a label is one short line".to_owned(),
        );
    }
    let chars = label.chars().count();
    if chars > MAX_LABEL_CHARS {
        return Err(format!("its label has {chars} characters, more than {MAX_LABEL_CHARS}"));
    }
    Ok(Some(label))
}

/// A JSON label: numbers and booleans count as their text, null as none.
pub(crate) fn label_of(value: &Value, field: &str) -> Result<Option<String>, String> {
    scalar_of(value, field).and_then(|text| clean_label(&text))
}

/// A JSON case name, by the same rules as a label.
pub(crate) fn case_of(value: &Value, field: &str) -> Result<Option<String>, String> {
    scalar_of(value, field).map(|text| clean_case(&text))
}

/// The case that a written one means; None if it is empty.
pub(crate) fn clean_case(text: &str) -> Option<String> {
    let case = trim(text);
    (!case.is_empty()).then(|| case.to_owned())
}

fn scalar_of(value: &Value, field: &str) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err(format!("its field {field:?} is {}, not a string", type_name(value))),
    }
}

/// For messages.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
