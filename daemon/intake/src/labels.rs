//! The labels of a text that may have any number of them, as records write them.

use crate::record::{clean_label, trim, type_name};
use crate::{ClassNames, Options};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use wengu_decide::label_set;

/// The field that holds a list of labels in most data sets.
pub(crate) const LABELS_FIELD: &str = "labels";

/// Takes the labels out of a record's fields, as a line. None: it does not say which apply.
pub(crate) fn take(fields: &mut Map<String, Value>, options: &Options) -> Result<Option<String>, String> {
    let names = [options.label_field.as_str(), LABELS_FIELD];
    let found = names.into_iter().find_map(|name| match fields.remove(name) {
        None | Some(Value::Null) => None,
        Some(value) => Some((name, value)),
    });
    match found {
        None | Some((_, Value::Null)) => Ok(None),
        Some((_, Value::String(text))) => of_text(&text, options),
        Some((name, Value::Array(items))) => of_list(&items, name).map(Some),
        Some((name, value @ (Value::Bool(_) | Value::Number(_)))) => of_list(&[value], name).map(Some),
        Some((name, value @ Value::Object(_))) => Err(not_a_list(name, &value)),
    }
}

/// Labels that one text holds, with the separator between them or as a list in JSON; None where it is empty.
pub(crate) fn of_text(text: &str, options: &Options) -> Result<Option<String>, String> {
    let text = trim(text);
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('[')
        && let Ok(items) = serde_json::from_str::<Vec<Value>>(text)
    {
        return of_list(&items, &options.label_field).map(Some);
    }
    let labels = text.split(options.label_separator.as_str()).map(clean_label);
    let labels: Result<BTreeSet<Option<String>>, String> = labels.collect();
    Ok(Some(label_set::line(&labels?.into_iter().flatten().collect())))
}

/// The cell of a table with names in the place of the numbers of classes.
pub(crate) fn of_cell(
    cell: &str,
    column: &str,
    classes: &ClassNames,
    options: &Options,
) -> Result<Option<String>, String> {
    let number = |part: &str| trim(part).parse::<i64>().ok();
    let parts: Option<Vec<i64>> = cell.split(options.label_separator.as_str()).map(number).collect();
    let Some(numbers) = parts else {
        return of_text(cell, options);
    };
    let mut named = Map::from_iter([(column.to_owned(), numbers.into())]);
    classes.name(&mut named);
    match named.remove(column) {
        Some(Value::Array(items)) => of_list(&items, column).map(Some),
        _ => of_text(cell, options),
    }
}

pub(crate) fn of_list(items: &[Value], name: &str) -> Result<String, String> {
    let label = |item: &Value| match item {
        Value::String(text) => clean_label(text),
        Value::Bool(_) | Value::Number(_) => clean_label(&item.to_string()),
        Value::Null => Ok(None),
        other => Err(not_a_list(name, other)),
    };
    let labels: Result<BTreeSet<Option<String>>, String> = items.iter().map(label).collect();
    Ok(label_set::line(&labels?.into_iter().flatten().collect()))
}

fn not_a_list(name: &str, found: &Value) -> String {
    format!(
        "its field {name:?} holds {}, where labels are asked for, as in [\"one\", \"another\"]",
        type_name(found)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(record: Value) -> Result<Option<String>, String> {
        let Value::Object(mut fields) = record else { panic!() };
        take(&mut fields, &Options::default())
    }

    #[test]
    fn lists_and_separated_labels_are_the_same() {
        let wanted = Ok(Some(r#"["保密","管辖"]"#.to_owned()));
        for record in [
            json!({"labels": ["管辖", "保密", " 管辖 "]}),
            json!({"label": "管辖; 保密"}),
            json!({"label": "[\"保密\", \"管辖\"]"}),
            json!({"label": null, "labels": ["管辖", "保密", null]}),
        ] {
            assert_eq!(read(record.clone()), wanted, "{record}");
        }
        assert_eq!(read(json!({"label": 3})), Ok(Some(r#"["3"]"#.to_owned())));
    }

    #[test]
    fn no_label_and_not_known_are_told_apart() {
        assert_eq!(read(json!({"labels": []})), Ok(Some("[]".to_owned())));
        assert_eq!(read(json!({"label": "[]"})), Ok(Some("[]".to_owned())));
        for record in [json!({}), json!({"labels": null}), json!({"label": "  "})] {
            assert_eq!(read(record), Ok(None));
        }
    }

    #[test]
    fn what_is_no_label_is_told() {
        assert!(read(json!({"labels": {"a": 1}})).unwrap_err().contains("an object"));
        assert!(read(json!({"labels": [["a"]]})).unwrap_err().contains("an array"));
        assert!(
            read(json!({"labels": ["a\nb"]}))
                .unwrap_err()
                .contains("one short line")
        );
    }

    #[test]
    fn cells_hold_numbers_of_classes_or_names() {
        let info = json!({"features": {"label": {"feature": {"names": ["x", "y", "z"], "_type": "ClassLabel"}, "_type": "Sequence"}}});
        let classes = ClassNames::from_info(&info);
        let of = |cell: &str| of_cell(cell, "label", &classes, &Options::default()).unwrap();
        assert_eq!(of("2;0").as_deref(), Some(r#"["x","z"]"#));
        assert_eq!(of("b;a").as_deref(), Some(r#"["a","b"]"#));
        assert_eq!(of(""), None);
    }
}
