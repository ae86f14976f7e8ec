//! Tasks as Label Studio exports them ("JSON" and "JSON-MIN"), in the words of other records.
//!
//! Source: the export guide of Label Studio: a task holds `data` (the fields that were shown) and `annotations`, each
//! with a `result` of regions (`labels` with `start`, `end`), choices or text areas. Offsets count UTF-16 code units,
//! as JavaScript does.

use crate::{AnswerKind, Options};
use serde_json::{Map, Value, json};

/// The fields of a record, where these are of a task. None: they are not.
///
/// # Errors
/// Two people answered differently, or in a way that is not read.
pub(crate) fn fields(task: &Map<String, Value>, options: &Options) -> Option<Result<Map<String, Value>, String>> {
    let data = task.get("data")?.as_object()?;
    let annotations = task
        .get("annotations")
        .or_else(|| task.get("completions"))?
        .as_array()?;
    Some(answered(data, annotations, options))
}

fn answered(data: &Map<String, Value>, annotations: &[Value], options: &Options) -> Result<Map<String, Value>, String> {
    let mut fields = data.clone();
    let is = |annotation: &Value, key: &str| annotation.get(key).and_then(Value::as_bool) == Some(true);
    let given: Vec<&Value> = annotations.iter().filter(|a| !is(a, "was_cancelled")).collect();
    let truth = given.iter().find(|a| is(a, "ground_truth"));
    let text = data
        .get(&options.text_field)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let read = |annotation: &&Value| answer(annotation, text, options.answer);
    let answer = match (truth, given.as_slice()) {
        (Some(truth), _) => read(truth)?,
        (None, []) => None,
        (None, [first, others @ ..]) => {
            let first = read(first)?;
            for other in others {
                if read(other)? != first {
                    return Err("its annotations differ; mark one of them as ground truth".to_owned());
                }
            }
            first
        }
    };
    if let Some(answer) = answer {
        fields.insert(options.label_field.clone(), answer);
    }
    Ok(fields)
}

/// What one person answered. None: nothing.
fn answer(annotation: &Value, text: &str, asked: AnswerKind) -> Result<Option<Value>, String> {
    let results = annotation.get("result").and_then(Value::as_array);
    let results = results.ok_or("its annotation has no list \"result\"")?;
    let mut spans = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    let mut is_about_spans = false;
    for result in results {
        let value = result
            .get("value")
            .ok_or("a result of its annotation has no \"value\"")?;
        let list = |key: &str| -> Vec<&str> {
            let items = value.get(key).and_then(Value::as_array);
            items.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        if value.get("start").is_some() {
            is_about_spans = true;
            spans.push(span(value, &list("labels"), text)?);
        } else {
            words.extend(["choices", "labels", "text"].iter().flat_map(|key| list(key)));
        }
    }
    if asked == AnswerKind::Labels && !is_about_spans {
        // Who hands in a task without a choice says that none applies. Choices come in the order of clicks.
        words.sort_unstable();
        return Ok(Some(words.into()));
    }
    match (is_about_spans, words.as_slice()) {
        (true, _) => Ok(Some(Value::Array(spans))),
        (false, []) => Ok(None),
        (false, [word]) => Ok(Some(Value::String((*word).to_owned()))),
        (false, several) => Err(format!(
            "its annotation gives {} answers, where one is asked for",
            several.len()
        )),
    }
}

fn span(value: &Value, kinds: &[&str], text: &str) -> Result<Value, String> {
    let at = |key: &str| value.get(key).and_then(Value::as_u64);
    let (Some(begin), Some(end), [kind]) = (at("start"), at("end"), kinds) else {
        return Err("a span of its annotation has no start, end and one label".to_owned());
    };
    Ok(json!([in_characters(text, begin), in_characters(text, end), kind]))
}

/// A place in UTF-16 code units, in characters.
fn in_characters(text: &str, units: u64) -> u64 {
    let mut left = units;
    let mut characters = 0;
    for c in text.chars() {
        match left.checked_sub(c.len_utf16() as u64) {
            Some(rest) if left > 0 => left = rest,
            _ => break,
        }
        characters += 1;
    }
    // Beyond the text it stays beyond: the check on spans tells it.
    characters + left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(task: Value) -> Result<Value, String> {
        let Value::Object(task) = task else { panic!() };
        let fields = fields(&task, &Options::default()).expect("a task");
        fields.map(|mut fields| fields.remove("label").unwrap_or(Value::Null))
    }

    fn task(text: &str, annotations: Value) -> Value {
        json!({"id": 1, "data": {"text": text}, "annotations": annotations})
    }

    #[test]
    fn choices_and_spans_are_answers() {
        let choice = json!([{"result": [{"type": "choices", "value": {"choices": ["违约"]}}]}]);
        assert_eq!(read(task("a", choice)), Ok(json!("违约")));
        let value = json!({"start": 2, "end": 4, "labels": ["药"], "text": "x"});
        let span = json!([{"result": [{"type": "labels", "value": value}]}]);
        assert_eq!(
            read(task("𠀀ab", span)),
            Ok(json!([[1, 3, "药"]])),
            "code units, not characters"
        );
        assert_eq!(read(task("a", json!([]))), Ok(Value::Null));
    }

    #[test]
    fn several_choices_are_a_list_where_labels_are_asked_for() {
        let options = Options {
            answer: AnswerKind::Labels,
            ..Options::default()
        };
        let read = |annotations: Value| {
            let Value::Object(task) = task("a", annotations) else {
                panic!()
            };
            let fields = fields(&task, &options).expect("a task");
            fields.map(|mut fields| fields.remove("label").unwrap_or(Value::Null))
        };
        let choices = |words: &[&str]| json!({"result": [{"type": "choices", "value": {"choices": words}}]});
        assert_eq!(
            read(json!([choices(&["y", "x"]), choices(&["x", "y"])])),
            Ok(json!(["x", "y"]))
        );
        assert_eq!(read(json!([{"result": []}])), Ok(json!([])));
        assert_eq!(read(json!([])), Ok(Value::Null));
        assert!(
            read(json!([choices(&["y", "x"]), choices(&["x"])]))
                .unwrap_err()
                .contains("differ")
        );
    }

    #[test]
    fn people_who_disagree_are_told() {
        let choice = |word: &str| json!({"result": [{"value": {"choices": [word]}}]});
        assert!(
            read(task("a", json!([choice("x"), choice("y")])))
                .unwrap_err()
                .contains("differ")
        );
        let mut truth = choice("y");
        truth["ground_truth"] = json!(true);
        assert_eq!(read(task("a", json!([choice("x"), truth]))), Ok(json!("y")));
        let mut cancelled = choice("y");
        cancelled["was_cancelled"] = json!(true);
        assert_eq!(read(task("a", json!([choice("x"), cancelled]))), Ok(json!("x")));
    }

    #[test]
    fn other_objects_are_no_tasks() {
        let Value::Object(other) = json!({"data": "x", "text": "y"}) else {
            panic!()
        };
        assert!(fields(&other, &Options::default()).is_none());
    }
}
