//! Labels in a second file beside the case file.

use crate::labels::{self, LABELS_FIELD};
use crate::record::{case_of, clean_label, label_of};
use crate::{AnswerKind, CLASS_NAMES_FILE, ClassNames, IntakeError, Options};
use serde_json::{Map, Value};

const LABEL_SUFFIX: &str = ".label";
const META_SUFFIX: &str = ".meta.json";

/// Names under which a sidecar of `file_name` may lie in the same folder: `case.txt.label` holds nothing but the
/// label; `case.txt.meta.json` an object whose `label` and `case` are taken, and all else kept as metadata.
pub fn sidecar_names(file_name: &str) -> [String; 2] {
    [
        format!("{file_name}{LABEL_SUFFIX}"),
        format!("{file_name}{META_SUFFIX}"),
    ]
}

/// Whether the name is that of a sidecar, which is no case file of its own.
pub fn is_sidecar(file_name: &str) -> bool {
    case_file_name(file_name).is_some()
}

/// The case file that a sidecar of this name belongs to; None: it is no sidecar's name.
pub fn case_file_name(sidecar: &str) -> Option<&str> {
    let stem = sidecar
        .strip_suffix(LABEL_SUFFIX)
        .or_else(|| sidecar.strip_suffix(META_SUFFIX))?;
    (!stem.is_empty() && !stem.ends_with('/')).then_some(stem)
}

/// A file found under one of [`sidecar_names`].
#[derive(Debug, Clone, Copy)]
pub struct Sidecar<'a> {
    /// Its file name, which says how it is read.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// What the sidecars of one file say together.
#[derive(Debug, Clone, Default)]
pub(crate) struct SidecarData {
    pub label: Option<String>,
    /// The list under `labels`, as JSON: what a text has that may have any number of them.
    pub labels: Option<String>,
    pub case: Option<String>,
    pub metadata: Map<String, Value>,
    pub classes: ClassNames,
}

impl SidecarData {
    pub fn merge(sidecars: &[Sidecar<'_>]) -> Result<Self, IntakeError> {
        let mut merged = Self::default();
        for sidecar in sidecars {
            let refuse = |reason: String| IntakeError::Sidecar {
                name: sidecar.name.to_owned(),
                reason,
            };
            let data = Self::read(sidecar).map_err(refuse)?;
            match (&merged.label, &data.label) {
                (Some(one), Some(other)) if one != other => {
                    return Err(refuse(format!(
                        "it says {other:?}, another label file says {one:?}; keep one"
                    )));
                }
                _ => merged.label = merged.label.or(data.label),
            }
            merged.labels = merged.labels.or(data.labels);
            merged.case = merged.case.or(data.case);
            merged.metadata.extend(data.metadata);
            if !data.classes.is_empty() {
                merged.classes = data.classes;
            }
        }
        Ok(merged)
    }

    /// The label, or the line of labels, that they give to a record.
    pub fn answer(&self, options: &Options) -> Result<Option<String>, String> {
        match options.answer {
            AnswerKind::Label => Ok(self.label.clone()),
            AnswerKind::Labels => {
                let line = |text: &Option<String>| {
                    let text = text.as_deref();
                    text.map_or(Ok(None), |text| labels::of_text(text, options))
                };
                let (one, other) = (line(&self.label)?, line(&self.labels)?);
                match (&one, &other) {
                    (Some(label), Some(list)) if label != list => Err(format!(
                        "a label file beside it says {label}, {LABELS_FIELD:?} in one says {list}; keep one"
                    )),
                    _ => Ok(one.or(other)),
                }
            }
            AnswerKind::Spans | AnswerKind::Text if self.label.is_some() => {
                Err("the file beside it gives one label, where spans or a text are asked for".to_owned())
            }
            AnswerKind::Spans | AnswerKind::Text => Ok(None),
        }
    }

    /// This, and of `other` what this does not say.
    pub fn or(mut self, other: &Self) -> Self {
        self.label = self.label.or_else(|| other.label.clone());
        self.labels = self.labels.or_else(|| other.labels.clone());
        self.case = self.case.or_else(|| other.case.clone());
        for (key, value) in &other.metadata {
            self.metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        if self.classes.is_empty() {
            self.classes = other.classes.clone();
        }
        self
    }

    fn read(sidecar: &Sidecar<'_>) -> Result<Self, String> {
        let decoded = crate::encoding::decode(sidecar.bytes, None).map_err(|error| error.to_string())?;
        let text = decoded.text.trim();
        if sidecar.name == CLASS_NAMES_FILE {
            let info = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
            return Ok(Self {
                classes: ClassNames::from_info(&info),
                ..Self::default()
            });
        }
        if sidecar.name.ends_with(META_SUFFIX) {
            let mut fields: Map<String, Value> = serde_json::from_str(text)
                .map_err(|error| format!("it must be one JSON object such as {{\"label\": \"...\"}}: {error}"))?;
            let label = fields
                .remove("label")
                .map_or(Ok(None), |value| label_of(&value, "label"))?;
            let case = fields
                .remove("case")
                .map_or(Ok(None), |value| case_of(&value, "case"))?;
            Ok(Self {
                label,
                labels: fields
                    .get(LABELS_FIELD)
                    .filter(|value| value.is_array())
                    .map(Value::to_string),
                case,
                metadata: fields,
                ..Self::default()
            })
        } else {
            Ok(Self {
                label: clean_label(text)?,
                ..Self::default()
            })
        }
    }
}
