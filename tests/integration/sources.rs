//! What one source may do to a domain: floods, shares, probation. Real daemon, real trainer, real clauses.

use crate::harness::{QUICK_LEARNING, Site, clauses, model};
use serde_json::{Value, json};

/// Gate accuracy of the version in service and of the new one, over all eras.
fn accuracy(run: &Value) -> (f64, f64) {
    let (mut items, mut champion, mut challenger) = (0.0, 0.0, 0.0);
    for era in run["accuracy"].as_array().unwrap() {
        let n = era["items"].as_f64().unwrap();
        items += n;
        champion += n * era["accuracy"]["champion"].as_f64().unwrap_or(0.0);
        challenger += n * era["accuracy"]["challenger"].as_f64().unwrap();
    }
    (champion / items, challenger / items)
}

/// A site with a first version, learned from the folder `office`.
fn with_first_version(extra: &str) -> Site {
    let mut site = Site::new(&format!("{QUICK_LEARNING}{extra}"));
    for folder in ["office", "scanner"] {
        std::fs::create_dir(site.path("inbox").join(folder)).unwrap();
    }
    site.start();
    site.deliver(
        "office/first.jsonl",
        &clauses("1-first-delivery/clauses-a.jsonl", 4, 22),
    );
    let (run, code) = site.train();
    assert_eq!((code, run["decision"].as_str()), (0, Some("promote")), "{run:#}");
    site
}

/// What the office delivers next: clauses of the same kinds that were not in the first delivery.
fn second() -> Vec<Value> {
    let first: Vec<String> = clauses("1-first-delivery/clauses-a.jsonl", 4, 22)
        .iter()
        .map(|record| record["text"].to_string())
        .collect();
    let more = clauses("1-first-delivery/clauses-a.jsonl", 4, 60);
    more.into_iter()
        .filter(|record| !first.contains(&record["text"].to_string()))
        .collect()
}

fn reasons(site: &Site, file: &str) -> Vec<String> {
    let path = site.path("inbox").join(file);
    let explained = site.json(&["files", "explain", path.to_str().unwrap()]);
    let examples = explained["examples"].as_array().unwrap();
    let reasons = examples.iter().filter_map(|example| example["dropped"].as_str());
    reasons.map(str::to_owned).collect()
}

#[test]
fn a_flood_of_one_poisoned_text_is_learned_once() {
    if model().is_none() {
        return;
    }
    let site = with_first_version("");
    // One clause with another one's label, five hundred times, each with another date.
    let office = clauses("1-first-delivery/clauses-a.jsonl", 4, 22);
    let label = &office[0]["label"];
    let victim = office.iter().find(|record| record["label"] != *label).unwrap();
    let text = victim["text"].as_str().unwrap();
    let flood: Vec<Value> = (0..500)
        .map(|n| json!({"text": format!("{text} As of {n}."), "label": label, "doc": format!("flood {n}")}))
        .collect();
    let honest = second();
    site.deliver("scanner/flood.jsonl", &flood);
    site.deliver("office/second.jsonl", &honest);
    let (run, _) = site.train();
    let train = run["train_examples"].as_u64().unwrap();
    assert!(
        train <= honest.len() as u64 + 1,
        "{train} examples were learned: {run:#}"
    );
    let dropped = reasons(&site, "scanner/flood.jsonl");
    let near = dropped
        .iter()
        .filter(|reason| reason.contains("nearly the same"))
        .count();
    assert!(near > 250, "{near} of 500 were told to be near duplicates");
    let (champion, challenger) = accuracy(&run);
    println!(
        "500 copies of a poisoned clause beside {} honest ones: {train} learned, accuracy {champion:.3} before, {challenger:.3} after",
        honest.len()
    );
    assert_ne!(run["decision"], "regressed", "{run:#}");
    assert!(challenger > champion - 0.1, "{champion} fell to {challenger}");
}

#[test]
fn a_new_source_that_contradicts_what_is_known_waits_for_a_person() {
    if model().is_none() {
        return;
    }
    let site = with_first_version("[domains.contracts.sources]\nprobation_items = 10\n");
    // Clauses that the version in service knows, each with the next kind's label.
    let mut labels: Vec<String> = Vec::new();
    for record in clauses("1-first-delivery/clauses-a.jsonl", 4, 22) {
        let label = record["label"].as_str().unwrap().to_owned();
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let (known, poisoned): (Vec<Value>, Vec<Value>) = {
        let all = second();
        let half = all.len() / 2;
        (all[..half].to_vec(), all[half..].to_vec())
    };
    let poisoned: Vec<Value> = poisoned
        .into_iter()
        .map(|mut record| {
            let place = labels.iter().position(|label| record["label"] == **label).unwrap();
            record["label"] = json!(labels[(place + 1) % labels.len()]);
            record
        })
        .collect();
    site.deliver("scanner/poisoned.jsonl", &poisoned);
    site.deliver("office/second.jsonl", &known);
    let (run, _) = site.train();
    assert!(run["train_examples"].as_u64().unwrap() <= known.len() as u64, "{run:#}");
    let told = reasons(&site, "scanner/poisoned.jsonl");
    assert!(told.iter().any(|reason| reason.contains("scanner is new")), "{told:?}");

    let review = site.json(&["files", "review", "contracts"]);
    let source = &review["sources"][0];
    println!("{source}");
    assert_eq!(
        (&source["source"], &source["state"]["name"]),
        (&json!("scanner"), &json!("suspicious")),
        "{review:#}"
    );
    let status = site.json(&["status"]);
    let problems = status["domains"][0]["problems"].to_string();
    assert!(problems.contains("files review"), "{problems}");

    // A person who says that it is right has the last word.
    assert!(
        site.wengu(&["files", "release", "contracts", "--source", "scanner"])
            .status
            .success()
    );
    assert_eq!(site.json(&["files", "review", "contracts"])["sources"], json!([]));
    assert!(
        !site
            .wengu(&["files", "release", "contracts", "--source", "nowhere"])
            .status
            .success()
    );
}
