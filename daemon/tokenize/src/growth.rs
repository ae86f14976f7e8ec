//! How much longer a tokenizer can make a text. One from elsewhere that doubles it forty times would take all memory there is.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

/// Bytes that a byte of text may become. By the bound below some hundreds can, where a model has a sentencepiece map and what goes with it.
const GROWTH_MAX: f64 = 1024.0;
/// The most that Unicode's compatibility decomposition makes of a byte (U+FDFA: 33 of 3), and more than lower case and spaces around ideographs
/// make; doing it again adds nothing.
const UNICODE: f64 = 12.0;

#[derive(Deserialize)]
struct Parts {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
}

/// Refuses a tokenizer.json that can make of a byte more than [`GROWTH_MAX`].
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let parts: Parts = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let read = |part: Result<Value, serde_json::Error>| part.map_err(|error| error.to_string());
    // As the library writes them, whichever of its older layouts they were in.
    let (normalizer, pre_tokenizer) = (
        read(serde_json::to_value(parts.normalizer))?,
        read(serde_json::to_value(parts.pre_tokenizer))?,
    );
    let unicode = if is_of_unicode(&normalizer) { UNICODE } else { 1.0 };
    let growth = unicode * growth(&normalizer) * growth(&pre_tokenizer);
    if growth <= GROWTH_MAX {
        return Ok(());
    }
    Err(format!(
        "its normalizer and pre-tokenizer can make a text {growth:.0} times as long; at most {GROWTH_MAX} times is taken"
    ))
}

/// An upper bound of what a step, or a sequence of steps, makes of a byte, Unicode's own forms aside.
fn growth(step: &Value) -> f64 {
    for steps in ["normalizers", "pretokenizers"] {
        if let Some(steps) = step[steps].as_array() {
            return steps.iter().map(growth).product();
        }
    }
    let length = |key: &str| step[key].as_str().map_or(0.0, |text| text.len() as f64);
    match step["type"].as_str().unwrap_or_default() {
        "Replace" => match step["pattern"]["String"].as_str().map(str::len) {
            Some(found @ 1..) => (length("content") / found as f64).max(1.0),
            // What may match nothing matches between all characters.
            _ => 1.0 + length("content"),
        },
        // Before each piece of the text, which added tokens may cut everywhere.
        "Prepend" => 1.0 + length("prepend"),
        "Precompiled" => longest(step["precompiled_charsmap"].as_str().unwrap_or_default()).max(1.0),
        // A byte is written as one of 256 characters; a space may come before each piece.
        "ByteLevel" if step["add_prefix_space"] == true => 4.0,
        "ByteLevel" => 2.0,
        "Metaspace" => 4.0,
        _ => 1.0,
    }
}

fn is_of_unicode(step: &Value) -> bool {
    let known = ["BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase"];
    let steps = step["normalizers"].as_array();
    steps.is_some_and(|steps| steps.iter().any(is_of_unicode))
        || step["type"].as_str().is_some_and(|kind| known.contains(&kind))
}

/// The longest text that a sentencepiece map puts in: zeros end them, behind a table whose length comes first.
fn longest(map: &str) -> f64 {
    let map = BASE64_STANDARD.decode(map).unwrap_or_default();
    let table = map
        .first_chunk()
        .map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let texts = map.get(4usize.saturating_add(table)..).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(normalizer: Value, pre_tokenizer: Value) -> Option<String> {
        let file = json!({"version": "1.0", "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": {}});
        check(file.to_string().as_bytes()).err()
    }

    fn replace(pattern: Value, content: &str) -> Value {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    fn sequence(steps: &[Value]) -> Value {
        json!({"type": "Sequence", "normalizers": steps})
    }

    /// A sentencepiece map with these texts, of a table that is empty.
    fn precompiled(texts: &str) -> Value {
        let map = [&4u32.to_le_bytes()[..], &[0; 4], texts.as_bytes()].concat();
        json!({"type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(map)})
    }

    #[test]
    fn what_models_have_is_taken() {
        let bert = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true});
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
        let map = precompiled("a\0صلى الله عليه وسلم\0b");
        let spaces = replace(json!({"Regex": " {2,}"}), " ");
        let quotes = replace(json!({"String": "``"}), "\"");
        let llama = [
            json!({"type": "Prepend", "prepend": "▁"}),
            replace(json!({"String": " "}), "▁"),
        ];
        for (normalizer, pre_tokenizer) in [
            (Value::Null, Value::Null),
            (bert, json!({"type": "BertPreTokenizer"})),
            (json!({"type": "NFC"}), byte_level),
            (sequence(&[map.clone(), spaces]), metaspace),
            (sequence(&llama), Value::Null),
            (
                sequence(&[
                    quotes,
                    json!({"type": "NFKD"}),
                    json!({"type": "StripAccents"}),
                    json!({"type": "Lowercase"}),
                    map,
                ]),
                Value::Null,
            ),
        ] {
            assert_eq!(refused(normalizer.clone(), pre_tokenizer), None, "{normalizer}");
        }
    }

    #[test]
    fn what_makes_a_text_endless_is_refused() {
        let double = replace(json!({"String": "a"}), "aa");
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        for (normalizer, pre_tokenizer, times) in [
            (sequence(&vec![double.clone(); 40]), Value::Null, "1099511627776 times"),
            (
                sequence(&vec![sequence(&[double.clone(), double]); 6]),
                Value::Null,
                "4096 times",
            ),
            (
                replace(json!({"String": "a"}), &"b".repeat(2000)),
                Value::Null,
                "2000 times",
            ),
            (
                replace(json!({"Regex": ""}), &"b".repeat(2000)),
                Value::Null,
                "2001 times",
            ),
            (
                replace(json!({"String": ""}), &"b".repeat(2000)),
                Value::Null,
                "2001 times",
            ),
            (
                json!({"type": "Prepend", "prepend": "b".repeat(2000)}),
                Value::Null,
                "2001 times",
            ),
            // As it was written before there were types.
            (json!({"prepend": "b".repeat(2000)}), Value::Null, "2001 times"),
            (precompiled(&"b".repeat(2000)), Value::Null, "2000 times"),
            (
                Value::Null,
                json!({"type": "Sequence", "pretokenizers": vec![byte_level; 11]}),
                "2048 times",
            ),
        ] {
            let told = refused(normalizer.clone(), pre_tokenizer).unwrap_or_default();
            assert!(told.contains(times), "{told}: {normalizer}");
        }
    }
}
