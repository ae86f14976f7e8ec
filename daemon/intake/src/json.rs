//! `.json` and `.jsonl`.

use crate::answers::{self, Answered};
use crate::label_studio;
use crate::labels;
use crate::record::{Collector, Draft, case_of, label_of, type_name};
use crate::{AnswerKind, IntakeError, Options};
use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One object, or an array of objects.
pub(crate) fn whole(text: &str, collector: &mut Collector<'_>) -> Result<(), IntakeError> {
    let start = text.len() - text.trim_start().len();
    if !text[start..].starts_with('[') {
        // Parsed as a whole before it is taken as one record, so that a broken file is not a mere rejected record.
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(&error))?;
        return collector.push(line_at(text, start), draft(raw.get(), collector));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = deserializer
        .deserialize_seq(Elements { text, collector })
        .map_err(|error| syntax_error(&error))?;
    deserializer.end().map_err(|error| syntax_error(&error))?;
    outcome
}

/// Pushes the elements of an array one by one: an array of millions is not held before the limit is looked at.
struct Elements<'e, 'o> {
    text: &'e str,
    collector: &'e mut Collector<'o>,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = Result<(), IntakeError>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let (mut line, mut counted) = (1, 0);
        let mut outcome = Ok(());
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            let raw = element.get();
            let offset = raw.as_ptr() as usize - self.text.as_ptr() as usize;
            line += count_lines(&self.text[counted..offset]);
            counted = offset;
            // After the limit the rest is still parsed, so that broken JSON is told as such.
            outcome = outcome.and_then(|()| self.collector.push(line, draft(raw, self.collector)));
        }
        Ok(outcome)
    }
}

/// One object a line; blank lines are skipped.
pub(crate) fn lines(text: &str, collector: &mut Collector<'_>) -> Result<(), IntakeError> {
    for (index, line) in text.lines().enumerate() {
        let raw = line.trim();
        if !raw.is_empty() {
            collector.push(index as u32 + 1, draft(raw, collector))?;
        }
    }
    Ok(())
}

fn draft(raw: &str, collector: &Collector<'_>) -> Result<Draft, String> {
    if let Some(reason) = collector.refuse_raw(raw) {
        return Err(reason);
    }
    let value: Value = serde_json::from_str(raw).map_err(|error| format!("not valid JSON: {error}"))?;
    match value {
        Value::Object(mut fields) => {
            if let Some(task) = label_studio::fields(&fields, collector.options) {
                fields = task?;
            }
            collector.sidecar.classes.name(&mut fields);
            from_fields(fields, collector.options)
        }
        other => Err(format!("it is {}, not an object", type_name(&other))),
    }
}

fn from_fields(mut fields: Map<String, Value>, options: &Options) -> Result<Draft, String> {
    let answered = answers::take(&mut fields, options)?;
    if let Some(Answered { text, answer }) = answered {
        let case = case_from(&mut fields, options)?;
        return Ok(Draft {
            text,
            label: answer,
            case,
            metadata: fields,
        });
    }
    let text = match fields.remove(&options.text_field) {
        Some(Value::String(text)) => text,
        Some(other) => {
            return Err(format!(
                "its field {:?} is {}, not a string",
                options.text_field,
                type_name(&other)
            ));
        }
        None => {
            let found: Vec<&str> = fields.keys().take(8).map(String::as_str).collect();
            return Err(format!("it has no field {:?} (it has {found:?})", options.text_field));
        }
    };
    let label = match options.answer {
        AnswerKind::Labels => labels::take(&mut fields, options)?,
        _ => {
            let label = fields.remove(&options.label_field).unwrap_or(Value::Null);
            label_of(&label, &options.label_field)?
        }
    };
    let case = case_from(&mut fields, options)?;
    Ok(Draft {
        text,
        label,
        case,
        metadata: fields,
    })
}

fn case_from(fields: &mut Map<String, Value>, options: &Options) -> Result<Option<String>, String> {
    match &options.case_field {
        Some(field) => case_of(&fields.remove(field).unwrap_or(Value::Null), field),
        None => Ok(None),
    }
}

fn syntax_error(error: &serde_json::Error) -> IntakeError {
    let mut reason = error.to_string();
    // The position is told once, by the error that carries it.
    if let Some(end) = reason.rfind(" at line ") {
        reason.truncate(end);
    }
    if reason == "trailing characters" {
        reason.push_str("; if every line is an object of its own, name the file .jsonl");
    }
    IntakeError::Json {
        line: error.line(),
        column: error.column(),
        reason,
    }
}

/// Line, from 1, of a byte offset.
pub(crate) fn line_at(text: &str, offset: usize) -> u32 {
    1 + count_lines(&text[..offset])
}

/// Line ends in the text.
pub(crate) fn count_lines(text: &str) -> u32 {
    text.bytes().filter(|&byte| byte == b'\n').count() as u32
}
