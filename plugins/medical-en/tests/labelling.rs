//! How often the labelling functions speak, and how often they are right.

use std::collections::BTreeMap;
use std::path::Path;
use wengu_plugin::{Document, Host, Labeler, Plugin, Vote};
use wengu_plugin_medical_en::MedicalEn;

struct Row {
    text: String,
    label: String,
}

fn rows(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        Row {
            text: field("text"),
            label: field("label"),
        }
    };
    text.lines().map(row).collect()
}

fn plugin() -> MedicalEn {
    MedicalEn::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

/// The label with the most confidence behind it, unless two have the same.
fn majority(votes: &[Vote]) -> Option<usize> {
    let mut sums = BTreeMap::<usize, f64>::new();
    votes
        .iter()
        .for_each(|v| *sums.entry(v.label).or_default() += v.confidence);
    let mut sums: Vec<(usize, f64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    match sums[..] {
        [(_, first), (_, second), ..] if first - second < 1e-9 => None,
        [(label, _), ..] => Some(label),
        [] => None,
    }
}

/// Prints a table and returns the coverage and precision of the majority vote.
fn measure(rows: &[Row]) -> (f64, f64) {
    let mut plugin = plugin();
    let (labels, functions) = (plugin.labels(), plugin.functions());
    let mut by_function = vec![(0u32, 0u32); functions.len()];
    let (mut covered, mut right) = (0u32, 0u32);
    for row in rows {
        let document = Document {
            text: &row.text,
            metadata: &serde_json::Value::Null,
            seed: 0,
        };
        let votes = plugin.label(&Host::silent(), &document).unwrap();
        for vote in &votes {
            let (voted, hit) = &mut by_function[vote.function];
            *voted += 1;
            *hit += u32::from(labels[vote.label] == row.label);
        }
        if let Some(label) = majority(&votes) {
            covered += 1;
            right += u32::from(labels[label] == row.label);
        }
    }
    println!("{:32} {:>8} {:>9}", "function", "coverage", "precision");
    for (function, (voted, hit)) in functions.iter().zip(by_function) {
        let coverage = f64::from(voted) / rows.len() as f64;
        println!("{function:32} {coverage:8.4} {:9.3}", f64::from(hit) / f64::from(voted));
    }
    let (coverage, precision) = (
        f64::from(covered) / rows.len() as f64,
        f64::from(right) / f64::from(covered),
    );
    println!(
        "{:32} {coverage:8.4} {precision:9.3}  of {} documents",
        "majority vote",
        rows.len()
    );
    (coverage, precision)
}

#[test]
fn the_sample_is_labelled() {
    let rows = rows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample.jsonl"));
    let labels = plugin().labels();
    assert!(
        rows.iter().all(|r| labels.contains(&r.label)),
        "the labels are spelled as in the data"
    );
    let (coverage, precision) = measure(&rows);
    assert!(
        coverage >= SAMPLE_FLOOR.0 && precision >= SAMPLE_FLOOR.1,
        "{coverage:.3} {precision:.3}"
    );
}

#[test]
fn the_test_part_of_the_data_set_is_labelled() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/medquad_qtype/test.jsonl");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let (coverage, precision) = measure(&rows(&path));
    assert!(
        coverage >= TEST_FLOOR.0 && precision >= TEST_FLOOR.1,
        "{coverage:.3} {precision:.3}"
    );
}

/// Coverage and precision that the majority vote must reach on the sample, which is drawn evenly over the labels.
const SAMPLE_FLOOR: (f64, f64) = (0.70, 0.90);
/// The same on the test part of the data set: what was measured, less a margin.
const TEST_FLOOR: (f64, f64) = (0.76, 0.92);
