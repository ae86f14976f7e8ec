//! CoNLL: a token a line, its tag in the last column, an empty line between sentences.

use crate::walk::Text;
use serde_json::json;
use wengu_intake::decode;
use wengu_protocol::reader::{PartKind, Refusal, Verdict};

/// As JSON Lines of `tokens` and `tags`.
pub fn read(bytes: &[u8], fallback: Option<&str>) -> Result<Text, Refusal> {
    let decoded = decode(bytes, fallback).map_err(|e| Refusal::new(Verdict::Malformed, e.to_string()))?;
    let mut lines = String::new();
    let (mut tokens, mut tags) = (Vec::new(), Vec::new());
    let mut flush = |tokens: &mut Vec<String>, tags: &mut Vec<String>| {
        if !tokens.is_empty() {
            lines.push_str(&json!({"tokens": tokens, "tags": tags}).to_string());
            lines.push('\n');
            tokens.clear();
            tags.clear();
        }
    };
    for (index, line) in decoded.text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with("-DOCSTART-") {
            flush(&mut tokens, &mut tags);
            continue;
        }
        // A comment of CoNLL-U; a token that is a number sign has a tag after it.
        if line.starts_with("# ") && !line.contains('\t') {
            continue;
        }
        let columns: Vec<&str> = match line.contains('\t') {
            true => line.split('\t').collect(),
            false => line.split_whitespace().collect(),
        };
        let ([token, .., tag], true) = (columns.as_slice(), columns.len() >= 2) else {
            let reason = format!(
                "at line {}: a token and its tag are wanted, and there is one column",
                index + 1
            );
            return Err(Refusal::new(Verdict::Malformed, reason));
        };
        tokens.push((*token).to_owned());
        tags.push(tag.trim().to_owned());
    }
    flush(&mut tokens, &mut tags);
    Ok(Text {
        kind: PartKind::JsonLines,
        encoding: decoded.encoding,
        is_malformed: decoded.is_malformed,
        pages: Vec::new(),
        text: lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_become_lines() {
        let text = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n患\tB-PER\r\n者\tI-PER\n\n\n";
        let read = read(text.as_bytes(), None).unwrap();
        let wanted = "{\"tags\":[\"B-ORG\",\"O\"],\"tokens\":[\"EU\",\"rejects\"]}\n\
                      {\"tags\":[\"B-PER\",\"I-PER\"],\"tokens\":[\"患\",\"者\"]}\n";
        assert_eq!(read.text, wanted);
    }

    #[test]
    fn one_column_is_told_with_its_line() {
        let refusal = read(b"EU B-ORG\nalone\n", None).err().unwrap();
        assert!(refusal.reason.starts_with("at line 2"), "{refusal}");
    }
}
