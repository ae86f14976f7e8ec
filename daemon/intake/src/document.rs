//! `.txt` and `.md`: one record a file.

use crate::json::line_at;
use crate::labels::{self, LABELS_FIELD};
use crate::record::{Collector, Draft, clean_case, clean_label};
use crate::{AnswerKind, IntakeError};
use serde_json::Value;

pub(crate) fn text(text: &str, collector: &mut Collector<'_>) -> Result<(), IntakeError> {
    push_body(text, 0, Ok(Draft::default()), collector)
}

/// Front matter between two lines `---` may carry the label, the case and metadata.
pub(crate) fn markdown(text: &str, collector: &mut Collector<'_>) -> Result<(), IntakeError> {
    let Some((front, body_start)) = split_front_matter(text) else {
        return push_body(text, 0, Ok(Draft::default()), collector);
    };
    let draft = from_front_matter(front, collector);
    push_body(text, body_start, draft, collector)
}

fn push_body(
    text: &str,
    body_start: usize,
    draft: Result<Draft, String>,
    collector: &mut Collector<'_>,
) -> Result<(), IntakeError> {
    let body = &text[body_start..];
    let trimmed = body.trim_start();
    let first_char = body_start
        + if trimmed.is_empty() {
            0
        } else {
            body.len() - trimmed.len()
        };
    let draft = match collector.refuse_length(body.len()) {
        Some(reason) => Err(reason),
        None => draft.map(|draft| Draft {
            text: body.to_owned(),
            ..draft
        }),
    };
    collector.push(line_at(text, first_char), draft)
}

/// The front matter and the offset of what follows it. None where the file has none: a first line `---` that is not
/// closed, or holds prose, is a rule drawn by the author.
fn split_front_matter(text: &str) -> Option<(&str, usize)> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut offset = first.len();
    for line in lines {
        if matches!(line.trim_end(), "---" | "...") {
            return Some((&text[first.len()..offset], offset + line.len()));
        }
        let is_nested = line.starts_with([' ', '\t', '-', '#']) || line.trim().is_empty();
        if !is_nested && split_key(line).is_none() {
            return None;
        }
        offset += line.len();
    }
    None
}

/// `key: value`, or with the full-width colon that Chinese input methods give.
fn split_key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once([':', '：'])?;
    let key = key.trim().trim_matches(['"', '\'']);
    (!key.is_empty() && key.chars().count() <= 64).then_some((key, value.trim()))
}

fn from_front_matter(front: &str, collector: &Collector<'_>) -> Result<Draft, String> {
    let options = collector.options;
    let mut draft = Draft::default();
    let mut lines = front.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with([' ', '\t', '-', '#']) {
            continue;
        }
        let Some((key, value)) = split_key(line) else { continue };
        let is_nested = value.starts_with(['[', '{', '|', '>'])
            || (value.is_empty() && lines.peek().is_some_and(|next| next.starts_with([' ', '\t', '-'])));
        let value = scalar(value);
        let several = options.answer == AnswerKind::Labels;
        if several && (key == options.label_field || key == LABELS_FIELD) {
            // A flow list, with quotes as in JSON or without; one value with separators; a block list.
            let inside = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let items: Vec<Value> = match inside {
                Some(inside) => match serde_json::from_str(&value) {
                    Ok(items) => items,
                    Err(_) => flow_items(inside, key)?,
                },
                None => std::iter::from_fn(|| lines.next_if(|next| next.trim_start().starts_with("- ")))
                    .map(|item| scalar(item.trim_start()[2..].trim()).into())
                    .collect(),
            };
            draft.label = match items.is_empty() {
                true if is_nested && inside.is_none() => {
                    return Err(format!("{key:?} in its front matter is neither a list nor one value"));
                }
                true => labels::of_text(&value, options)?,
                false => labels::of_list(&items, key).map(Some)?,
            };
        } else if key == options.label_field {
            if is_nested {
                return Err(format!("{key:?} in its front matter is not one value"));
            }
            draft.label = clean_label(&value)?;
        } else if options.case_field.as_deref() == Some(key) {
            draft.case = clean_case(&value);
        } else if !is_nested {
            draft.metadata.insert(key.to_owned(), Value::String(value));
        }
    }
    Ok(draft)
}

/// The items of a flow list that is not JSON.
fn flow_items(inside: &str, key: &str) -> Result<Vec<Value>, String> {
    let item = |item: &str| {
        let item = item.trim();
        let is_torn = |quote: char| item.starts_with(quote) && (item.len() == 1 || !item.ends_with(quote));
        if is_torn('"') || is_torn('\'') {
            return Err(format!(
                "in {key:?} of its front matter a comma stands between quotation marks: put every label between \"\""
            ));
        }
        Ok(scalar(item).into())
    };
    inside.split(',').map(item).collect()
}

/// A YAML scalar as text; null is empty.
fn scalar(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return serde_json::from_str(value).unwrap_or_else(|_| inner.to_owned());
    }
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.replace("''", "'");
    }
    let plain = value
        .split_once(" #")
        .map_or(value, |(plain, _comment)| plain)
        .trim_end();
    if matches!(plain, "null" | "Null" | "NULL" | "~") {
        String::new()
    } else {
        plain.to_owned()
    }
}
