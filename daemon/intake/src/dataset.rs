//! Folders of data sets as the library `datasets` of Hugging Face writes them: which files describe the others, and
//! the names of the classes that their numbers stand for.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The file that names the classes of the data files beside it, and in the folders beside it.
pub const CLASS_NAMES_FILE: &str = "dataset_info.json";

const DESCRIPTIONS: [&str; 4] = [
    CLASS_NAMES_FILE,
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
];
/// Keys of the front matter of a data set's card, of which any other README.md has none.
const CARD_KEYS: [&str; 4] = ["dataset_info:", "configs:", "task_categories:", "size_categories:"];

/// Whether a file is about a data set and no case file: by its name, or, for a README.md, by how it begins.
pub fn is_dataset_description(file_name: &str, beginning: impl FnOnce() -> Vec<u8>) -> bool {
    if DESCRIPTIONS.contains(&file_name) {
        return true;
    }
    if file_name != "README.md" {
        return false;
    }
    let beginning = beginning();
    let text = String::from_utf8_lossy(&beginning);
    let mut lines = text.lines();
    lines.next().is_some_and(|first| first.trim_end() == "---")
        && lines
            .take_while(|line| line.trim_end() != "---")
            .any(|line| CARD_KEYS.iter().any(|key| line.starts_with(key)))
}

/// Names of classes by field: what a number in that field, or in the list there, stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassNames(BTreeMap<String, Vec<String>>);

impl ClassNames {
    /// From `{"features": {FIELD: {"_type": "ClassLabel", "names": [...]}}}`, where a list's class lies under `feature`.
    /// That object stands in `dataset_info.json`, and under `info` in the metadata `huggingface` of Parquet files.
    pub fn from_info(info: &Value) -> ClassNames {
        let features = info.get("features").and_then(Value::as_object);
        let names = features.into_iter().flatten().filter_map(|(field, feature)| {
            // Older files write a list's class as the one element of a list.
            let class = [Some(feature), feature.get("feature"), feature.get(0)]
                .into_iter()
                .flatten()
                .find(|class| class.get("_type").and_then(Value::as_str) == Some("ClassLabel"))?;
            let names = class.get("names")?.as_array()?;
            let names: Option<Vec<String>> = names.iter().map(|n| n.as_str().map(str::to_owned)).collect();
            Some((field.clone(), names?))
        });
        ClassNames(names.collect())
    }

    /// Whether no field has classes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts names in the place of numbers. A number without a name stays; -1 stands for none.
    pub fn name(&self, fields: &mut Map<String, Value>) {
        for (field, names) in &self.0 {
            let Some(value) = fields.get_mut(field) else { continue };
            let named = |number: &Value| match number.as_i64() {
                Some(-1) => Some(Value::Null),
                Some(number) => names
                    .get(usize::try_from(number).ok()?)
                    .map(|name| Value::String(name.clone())),
                None => None,
            };
            if let Value::Array(items) = value {
                items.iter_mut().for_each(|item| {
                    if let Some(name) = named(item) {
                        *item = name;
                    }
                });
            } else if let Some(name) = named(value) {
                *value = name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_get_the_names_of_their_classes() {
        let class = json!({"names": ["neg", "pos"], "_type": "ClassLabel"});
        let info = json!({"features": {"label": class, "tags": {"feature": class, "_type": "Sequence"}, "old": [class],
            "text": {"dtype": "string", "_type": "Value"}}});
        let names = ClassNames::from_info(&info);
        let Value::Object(mut fields) = json!({"label": 1, "tags": [0, 1, 7], "old": [1], "text": "0"}) else {
            panic!()
        };
        names.name(&mut fields);
        assert_eq!(
            Value::Object(fields),
            json!({"label": "pos", "tags": ["neg", "pos", 7], "old": ["pos"], "text": "0"})
        );
        let Value::Object(mut fields) = json!({"label": -1}) else {
            panic!()
        };
        names.name(&mut fields);
        assert_eq!(Value::Object(fields), json!({"label": null}));
    }

    #[test]
    fn a_readme_is_a_card_only_with_its_keys() {
        let is = |text: &str| is_dataset_description("README.md", || text.as_bytes().to_vec());
        assert!(is(
            "---\nlicense: mit\nconfigs:\n- config_name: default\n---\n# A set\n"
        ));
        assert!(!is("---\ntitle: a case\n---\nconfigs: none\n"));
        assert!(!is("# A case\n"));
        assert!(is_dataset_description("dataset_info.json", Vec::new));
        assert!(!is_dataset_description("info.json", Vec::new));
    }
}
