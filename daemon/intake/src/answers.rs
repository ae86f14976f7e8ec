//! Records whose right answer is spans or a text, as the field's tools write them.

use crate::record::{trim, type_name};
use crate::{AnswerKind, Options};
use serde_json::{Map, Value};
use wengu_decide::marked::{self, Marked};

/// A text and its right answer, if it has one.
pub(crate) struct Answered {
    pub text: String,
    pub answer: Option<String>,
}

/// Takes text and answer out of a record's fields. None where records have one label.
pub(crate) fn take(fields: &mut Map<String, Value>, options: &Options) -> Result<Option<Answered>, String> {
    match options.answer {
        AnswerKind::Label | AnswerKind::Labels => Ok(None),
        AnswerKind::Spans => spans(fields, options).map(Some),
        AnswerKind::Text => text(fields, options).map(Some),
    }
}

fn spans(fields: &mut Map<String, Value>, options: &Options) -> Result<Answered, String> {
    if let Some(tokens) = fields.remove("tokens") {
        let words = strings(&tokens, "tokens")?;
        let tags = ["tags", "ner_tags", options.label_field.as_str()];
        let found = tags.iter().find_map(|name| Some((*name, fields.remove(*name)?)));
        let (text, answer) = match found {
            Some((name, tags)) => {
                let (text, marked) = marked::of_words(&words, &strings(&tags, name)?)?;
                (text, Some(marked::line(&marked)))
            }
            None => (marked::of_words(&words, &vec!["O".to_owned(); words.len()])?.0, None),
        };
        return Ok(Answered { text, answer });
    }
    let text = string(fields.remove(&options.text_field), &options.text_field)?;
    let text = text.ok_or_else(|| format!("it has neither a field \"tokens\" nor {:?}", options.text_field))?;
    // What is trimmed at the beginning moves the spans.
    let shown = trim(&text);
    let skipped = text[..text.len() - text.trim_start_matches(|c| !shown.starts_with(c)).len()]
        .chars()
        .count();
    let names = [options.label_field.as_str(), "spans", "entities"];
    let found = names.iter().find_map(|name| Some((*name, fields.remove(*name)?)));
    let answer = match found {
        None | Some((_, Value::Null)) => None,
        Some((name, Value::Array(items))) => {
            let marked = items
                .iter()
                .map(|item| span(item, skipped).ok_or_else(|| not_a_span(name, item)));
            let marked = marked.collect::<Result<Vec<_>, _>>()?;
            let marked = marked::checked(marked, shown.chars().count()).map_err(|e| e.to_string())?;
            Some(marked::line(&marked))
        }
        Some((name, other)) => {
            return Err(format!(
                "its field {name:?} is {}, not a list of spans",
                type_name(&other)
            ));
        }
    };
    Ok(Answered {
        text: shown.to_owned(),
        answer,
    })
}

fn not_a_span(name: &str, item: &Value) -> String {
    format!(
        "its field {name:?} holds {item}, which is no span: write [begin, end, \"kind\"] or {{\"start\", \"end\", \"label\"}}, in characters"
    )
}

/// `[begin, end, "kind"]` as doccano writes it, or an object as spaCy, Prodigy and Label Studio do.
fn span(item: &Value, skipped: usize) -> Option<Marked> {
    let number = |value: &Value| (value.as_u64()? as usize).checked_sub(skipped);
    match item {
        Value::Array(parts) => match parts.as_slice() {
            [begin, end, kind] => Some(Marked(number(begin)?, number(end)?, kind.as_str()?.to_owned())),
            _ => None,
        },
        Value::Object(fields) => {
            let kind = match fields.get("label").or_else(|| fields.get("type")) {
                Some(kind) => kind.as_str()?,
                None => match fields.get("labels")?.as_array()?.as_slice() {
                    [kind] => kind.as_str()?,
                    _ => return None,
                },
            };
            Some(Marked(
                number(fields.get("start")?)?,
                number(fields.get("end")?)?,
                kind.to_owned(),
            ))
        }
        _ => None,
    }
}

fn text(fields: &mut Map<String, Value>, options: &Options) -> Result<Answered, String> {
    if let Some(messages) = fields.remove("messages") {
        return conversation(&messages);
    }
    let names = ["instruction", "prompt", "question", options.text_field.as_str()];
    let mut asked = None;
    for name in names {
        asked = match asked {
            None => string(fields.remove(name), name)?,
            asked => asked,
        };
    }
    let asked = asked.ok_or_else(|| format!("it has none of the fields \"messages\" and {names:?}"))?;
    let more = string(fields.remove("input"), "input")?.filter(|more| !trim(more).is_empty());
    let text = match more {
        Some(more) => format!("{}\n{}", trim(&asked), trim(&more)),
        None => trim(&asked).to_owned(),
    };
    let mut answer = None;
    for name in [
        "output",
        "response",
        "completion",
        "answer",
        options.label_field.as_str(),
    ] {
        answer = match answer {
            None => string(fields.remove(name), name)?,
            answer => answer,
        };
    }
    let answer = answer
        .map(|answer| trim(&answer).to_owned())
        .filter(|answer| !answer.is_empty());
    Ok(Answered { text, answer })
}

/// One question and one answer, as chat datasets write them.
fn conversation(messages: &Value) -> Result<Answered, String> {
    let Value::Array(messages) = messages else {
        return Err(format!("its field \"messages\" is {}, not a list", type_name(messages)));
    };
    let said = |message: &Value, role: &str| -> Option<String> {
        let right = message.get("role")?.as_str()? == role;
        right
            .then(|| Some(trim(message.get("content")?.as_str()?).to_owned()))
            .flatten()
    };
    match messages.as_slice() {
        [user] => said(user, "user").map(|text| Answered { text, answer: None }),
        [user, assistant] => said(user, "user")
            .zip(said(assistant, "assistant"))
            .map(|(text, answer)| Answered {
                text,
                answer: Some(answer),
            }),
        _ => None,
    }
    .ok_or_else(|| {
        "its \"messages\" are not one of \"user\" and one of \"assistant\", each with a \"content\"".to_owned()
    })
}

fn string(value: Option<Value>, name: &str) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("its field {name:?} is {}, not a string", type_name(&other))),
    }
}

fn strings(value: &Value, name: &str) -> Result<Vec<String>, String> {
    let Value::Array(items) = value else {
        return Err(format!(
            "its field {name:?} is {}, not a list of strings",
            type_name(value)
        ));
    };
    let one = |item: &Value| {
        let text = item.as_str().map(str::to_owned);
        text.ok_or_else(|| format!("its field {name:?} holds {}, not a string", type_name(item)))
    };
    items.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: AnswerKind, line: &str) -> Result<(String, Option<String>), String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
            panic!("{line}")
        };
        let options = Options {
            answer,
            ..Options::default()
        };
        take(&mut fields, &options).map(|found| found.map(|f| (f.text, f.answer)).unwrap())
    }

    #[test]
    fn spans_come_as_tags_or_as_places() {
        let of = |line: &str| read(AnswerKind::Spans, line).unwrap();
        let wanted = ("患者 服用aspirin".to_owned(), Some(r#"[[5,12,"药"]]"#.to_owned()));
        for line in [
            r#"{"text": " 患者 服用aspirin ", "label": [[6, 13, "药"]]}"#,
            r#"{"text": "患者 服用aspirin", "spans": [{"start": 5, "end": 12, "label": "药"}]}"#,
            r#"{"text": "患者 服用aspirin", "entities": [{"start": 5, "end": 12, "type": "药"}]}"#,
        ] {
            assert_eq!(of(line), wanted, "{line}");
        }
        let tagged = of(r#"{"tokens": ["no", "MLD"], "tags": ["O", "B-Disease"]}"#);
        assert_eq!(tagged, ("no MLD".to_owned(), Some(r#"[[3,6,"Disease"]]"#.to_owned())));
        assert_eq!(of(r#"{"tokens": ["no", "MLD"]}"#).1, None);
        assert_eq!(of(r#"{"text": "nothing here", "spans": []}"#).1.as_deref(), Some("[]"));
    }

    #[test]
    fn what_is_no_span_is_told() {
        let error = |line: &str| read(AnswerKind::Spans, line).unwrap_err();
        assert!(error(r#"{"text": "ab", "label": [[0, 3, "k"]]}"#).contains("2 characters"));
        assert!(error(r#"{"text": "ab", "label": [[0, "k"]]}"#).contains("is no span"));
        assert!(error(r#"{"text": "ab", "label": "k"}"#).contains("list of spans"));
        assert!(error(r#"{"words": []}"#).contains("tokens"));
        assert!(error(r#"{"tokens": ["a"], "tags": ["B"]}"#).contains("no tag"));
        assert!(error(r#"{"text": "  ab", "label": [[1, 3, "k"]]}"#).contains("is no span"));
    }

    #[test]
    fn instructions_come_in_the_usual_fields() {
        let of = |line: &str| read(AnswerKind::Text, line).unwrap();
        let wanted = ("何为要约?\n请简答".to_owned(), Some("希望订立合同".to_owned()));
        for line in [
            r#"{"instruction": "何为要约?", "input": "请简答", "output": "希望订立合同"}"#,
            r#"{"prompt": "何为要约?\n请简答", "completion": " 希望订立合同\n"}"#,
            r#"{"messages": [{"role": "user", "content": "何为要约?\n请简答"}, {"role": "assistant", "content": "希望订立合同"}]}"#,
        ] {
            assert_eq!(of(line), wanted, "{line}");
        }
        assert_eq!(of(r#"{"instruction": "a", "output": ""}"#).1, None);
        let error = read(
            AnswerKind::Text,
            r#"{"messages": [{"role": "system", "content": "a"}]}"#,
        );
        assert!(error.unwrap_err().contains("user"));
        assert!(
            read(AnswerKind::Text, r#"{"say": "a"}"#)
                .unwrap_err()
                .contains("instruction")
        );
    }
}
