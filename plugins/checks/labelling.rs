//! How often labelling functions speak, and how often they are right: the checks that every bundled plugin runs.

use std::collections::BTreeMap;
use std::path::Path;
use wengu_plugin::{Document, Host, Labeler, Vote};

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
fn measure(plugin: &mut impl Labeler, rows: &[Row]) -> (f64, f64) {
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

/// The plugin's own sample, which is drawn evenly over the labels, is labelled with at least this coverage and precision.
pub fn sample(plugin: &mut impl Labeler, folder: &str, floor: (f64, f64)) {
    let rows = rows(&Path::new(folder).join("tests/data/sample.jsonl"));
    let labels = plugin.labels();
    assert!(
        rows.iter().all(|r| labels.contains(&r.label)),
        "the labels are spelled as in the data"
    );
    assert_reached(measure(plugin, &rows), floor);
}

/// The test part of a larger set beside the project is labelled with at least this: what was measured, less a margin.
pub fn data_set(plugin: &mut impl Labeler, folder: &str, name: &str, floor: (f64, f64)) {
    let path = Path::new(folder)
        .join("../../../shared/data")
        .join(name)
        .join("test.jsonl");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    assert_reached(measure(plugin, &rows(&path)), floor);
}

fn assert_reached((coverage, precision): (f64, f64), floor: (f64, f64)) {
    assert!(
        coverage >= floor.0 && precision >= floor.1,
        "{coverage:.3} {precision:.3}"
    );
}
