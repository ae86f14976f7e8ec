//! How right the votes on spans are, on entities that people marked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use wengu_plugin::{Document, Host, Labeler};

/// What an entity is called, and where it is in bytes.
type Entity = (String, Range<usize>);

/// The text of `{"tokens", "tags"}` with BIO tags, and its entities. English tokens are joined with a space, Chinese without.
fn entities(line: &str) -> (String, Vec<Entity>) {
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    let (tokens, tags) = (row["tokens"].as_array().unwrap(), row["tags"].as_array().unwrap());
    let chinese = |token: &serde_json::Value| {
        token
            .as_str()
            .unwrap()
            .contains(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
    };
    let spaced = !tokens.iter().any(chinese);
    let (mut text, mut entities) = (String::new(), Vec::<Entity>::new());
    for (token, tag) in tokens.iter().zip(tags) {
        if spaced && !text.is_empty() {
            text.push(' ');
        }
        let begin = text.len();
        text.push_str(token.as_str().unwrap());
        match (tag.as_str().unwrap().split_once('-'), entities.last_mut()) {
            (Some(("I", _)), Some(last)) => last.1.end = text.len(),
            (Some((_, kind)), _) => entities.push((kind.to_owned(), begin..text.len())),
            (None, _) => {}
        }
    }
    (text, entities)
}

/// Prints, for each function, how many spans it found, how many of them touch an entity of `kinds` (the label, and the types
/// that it stands for) and how many are exactly one; and for each label which part of the entities some span touches. Each
/// label must reach the precision and the coverage (both: touched) that stand with it.
pub fn entity_set(plugin: &mut impl Labeler, folder: &str, name: &str, kinds: &[(&str, &[&str], (f64, f64))]) {
    let path = Path::new(folder)
        .join("../../../shared/data")
        .join(name)
        .join("test.jsonl");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let (labels, functions) = (plugin.labels(), plugin.functions());
    let mut by_function = BTreeMap::<usize, [u32; 3]>::new();
    let mut by_label = vec![[0u32; 4]; kinds.len()];
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let (text, entities) = entities(line);
        let document = Document {
            text: &text,
            metadata: &serde_json::Value::Null,
            seed: 0,
        };
        let votes = plugin.label(&Host::silent(), &document).unwrap();
        for (kind, counts) in kinds.iter().zip(&mut by_label) {
            let wanted: Vec<_> = entities.iter().filter(|e| kind.1.contains(&e.0.as_str())).collect();
            let spans = votes.iter().filter(|v| labels[v.label] == kind.0);
            let spans: Vec<_> = spans.filter_map(|v| Some((v.function, v.span.clone()?))).collect();
            let touch = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
            for (function, span) in &spans {
                let found = by_function.entry(*function).or_default();
                let touched = wanted.iter().any(|e| touch(&e.1, span));
                found[0] += 1;
                found[1] += u32::from(touched);
                found[2] += u32::from(wanted.iter().any(|e| e.1 == *span));
                counts[0] += 1;
                counts[1] += u32::from(touched);
            }
            counts[2] += wanted.len() as u32;
            counts[3] += wanted
                .iter()
                .filter(|e| spans.iter().any(|s| touch(&e.1, &s.1)))
                .count() as u32;
        }
    }
    println!("{:24} {:>6} {:>9} {:>9}", "function", "spans", "touches", "exact");
    for (function, [spans, touched, exact]) in by_function {
        let part = |n: u32| f64::from(n) / f64::from(spans);
        println!(
            "{:24} {spans:6} {:9.3} {:9.3}",
            functions[function],
            part(touched),
            part(exact)
        );
    }
    println!("{:24} {:>6} {:>9} {:>9}", "label", "marked", "coverage", "precision");
    for (kind, [spans, touched, marked, covered]) in kinds.iter().zip(by_label) {
        let coverage = f64::from(covered) / f64::from(marked);
        let precision = f64::from(touched) / f64::from(spans);
        println!("{:24} {marked:6} {coverage:9.3} {precision:9.3}", kind.0);
        let floor = kind.2;
        assert!(coverage >= floor.0 && precision >= floor.1, "{}", kind.0);
    }
}
