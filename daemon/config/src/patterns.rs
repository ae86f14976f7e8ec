//! `rank_pattern` and `alpha_pattern`: numbers of single layers, by a regular expression for the end of the layer's name.

use crate::section::Section;
use regex::Regex;
use std::collections::BTreeMap;

/// The table of this name: pattern to number. `number` says what a value has to be, and `example` shows it.
pub(crate) fn read_patterns<T>(
    section: &mut Section<'_>,
    name: &'static str,
    example: &str,
    number: impl Fn(f64) -> Option<T>,
) -> BTreeMap<String, T> {
    let report = section.report;
    let place = section.at(name);
    let mut patterns = BTreeMap::new();
    let serde_json::Value::Object(table) = section.json_table(name) else {
        return patterns;
    };
    for (pattern, value) in table {
        if let Err(error) = Regex::new(&format!("^(?:{pattern})$")) {
            let message = format!("\"{pattern}\" is no regular expression: {error}");
            report.error(
                &place,
                message,
                format!("write the end of a layer's name, as in `{example}`"),
            );
            continue;
        }
        match value.as_f64().and_then(&number) {
            Some(number) => drop(patterns.insert(pattern, number)),
            None => {
                let message = format!("\"{pattern}\" has the value {value}, which is out of range or no number");
                report.error(&place, message, format!("write a number, as in `{example}`"));
            }
        }
    }
    patterns
}
