//! Votes on spans: only when asked for, and risk where people have seen it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use wengu_plugin::{Document, Host, Labeler, Plugin, Vote};
use wengu_plugin_legal_en::LegalEn;

const TEXT: &str = "This Agreement is made on March 1, 2005 between Acme Widgets, Inc. (the \"Supplier\") and John Smith, an individual \
    residing in Ohio (the \"Consultant\"), under 15 U.S.C. § 78j(b) and the Securities Act of 1933. Consultant gets $5,000. \
    We may change these terms at any time.";

fn plugin(config: Value) -> LegalEn {
    LegalEn::create(&Host::silent(), &config).unwrap()
}

fn votes(plugin: &mut LegalEn, text: &str) -> Vec<Vote> {
    let document = Document {
        text,
        metadata: &Value::Null,
        seed: 0,
    };
    plugin.label(&Host::silent(), &document).unwrap()
}

#[test]
fn spans_are_voted_for_when_asked_for() {
    let documents = votes(&mut plugin(json!({})), TEXT);
    assert!(documents.iter().all(|v| v.span.is_none()));
    assert_eq!(plugin(json!({})).labels().len(), 28);

    let mut with_spans = plugin(json!({"spans": true}));
    let labels = with_spans.labels();
    assert_eq!(labels[28..], ["citation", "date", "money", "party", "risk"]);
    let all = votes(&mut with_spans, TEXT);
    assert_eq!(
        all[..documents.len()],
        documents,
        "the votes on the document are the same"
    );
    let mut spans: Vec<_> = all[documents.len()..]
        .iter()
        .map(|v| (labels[v.label].as_str(), &TEXT[v.span.clone().unwrap()]))
        .collect();
    spans.dedup();
    let want = [
        ("citation", "15 U.S.C. § 78j(b)"),
        ("citation", "Securities Act of 1933"),
        ("date", "March 1, 2005"),
        ("money", "$5,000"),
        ("party", "Acme Widgets, Inc."),
        ("party", "John Smith"),
        ("risk", "We may change these terms at any time"),
    ];
    assert_eq!(spans, want);
}

#[test]
fn risk_is_found_where_people_have_seen_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/unfair_tos/test.jsonl");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let mut plugin = plugin(json!({"spans": true}));
    let (labels, functions) = (plugin.labels(), plugin.functions());
    let mut by_function = BTreeMap::<usize, [u32; 2]>::new();
    let [mut sentences, mut risky, mut covered, mut right] = [0u32; 4];
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let risk = u32::from(row["risk"] == "potentially_unfair");
        let mut voted: Vec<usize> = votes(&mut plugin, row["text"].as_str().unwrap())
            .iter()
            .filter(|v| labels[v.label] == "risk")
            .map(|v| v.function)
            .collect();
        voted.dedup();
        for function in &voted {
            let [found, hit] = by_function.entry(*function).or_default();
            *found += 1;
            *hit += risk;
        }
        sentences += 1;
        risky += risk;
        covered += u32::from(!voted.is_empty());
        right += if voted.is_empty() { 0 } else { risk };
    }
    println!("{:32} {:>9} {:>9}", "function", "sentences", "precision");
    for (function, [found, hit]) in by_function {
        println!(
            "{:32} {found:9} {:9.3}",
            functions[function],
            f64::from(hit) / f64::from(found)
        );
    }
    let (coverage, precision) = (
        f64::from(right) / f64::from(risky),
        f64::from(right) / f64::from(covered),
    );
    println!("any: {coverage:.3} of {risky} risky sentences of {sentences}, right on {precision:.3} of {covered}");
    assert!(coverage >= 0.5 && precision >= 0.65);
}
