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

/// What the office delivers first.
fn first() -> Vec<Value> {
    clauses("1-first-delivery/clauses-a.jsonl", 4, 16)
}

/// A site with a first version, learned from the folder `office`.
fn with_first_version(extra: &str) -> Site {
    let mut site = Site::new(&format!("{QUICK_LEARNING}{extra}"));
    for folder in ["office", "scanner"] {
        std::fs::create_dir(site.path("inbox").join(folder)).unwrap();
    }
    site.start();
    site.deliver("office/first.jsonl", &first());
    let (run, code) = site.train();
    assert_eq!((code, run["decision"].as_str()), (0, Some("promote")), "{run:#}");
    site
}

/// What the office delivers next: clauses of the same kinds that were not in the first delivery.
fn second() -> Vec<Value> {
    let first: Vec<String> = first().iter().map(|record| record["text"].to_string()).collect();
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
    // One clause with another one's label, five hundred times, each with another number.
    let office = first();
    let label = &office[0]["label"];
    let victim = office.iter().find(|record| record["label"] != *label).unwrap();
    let text = victim["text"].as_str().unwrap();
    let flood: Vec<Value> = (0..500)
        .map(|n| json!({"text": format!("{text} As of {n}."), "label": label, "doc": format!("flood {n}")}))
        .collect();
    // The same update, once with the flood beside it and once without.
    let update = |is_flooded: bool| {
        let site = with_first_version("");
        if is_flooded {
            site.deliver("scanner/flood.jsonl", &flood);
        }
        site.deliver("office/second.jsonl", &second());
        let (run, _) = site.train();
        let told = if is_flooded {
            reasons(&site, "scanner/flood.jsonl")
        } else {
            Vec::new()
        };
        (run, told)
    };
    let ((clean, _), (flooded, told)) = (update(false), update(true));
    let near = told.iter().filter(|reason| reason.contains("nearly the same")).count();
    assert!(near >= 498, "{near} of 500 were told to be near duplicates");
    let counts = |run: &Value| {
        (
            run["train_examples"].as_u64().unwrap(),
            run["new_gate_items"].as_u64().unwrap(),
        )
    };
    let ((train, gate), (train_flooded, gate_flooded)) = (counts(&clean), counts(&flooded));
    assert!(train_flooded <= train + 1, "{train} examples became {train_flooded}");
    assert!(gate_flooded <= gate + 1, "{gate} gate items became {gate_flooded}");
    let (clean, flooded) = (accuracy(&clean), accuracy(&flooded));
    println!(
        "500 copies of a poisoned clause beside {train} honest examples: {} learned, {} gate items; the new version is right on \
         {:.3} of the gate's items without the flood, on {:.3} with it (the one before: {:.3} and {:.3})",
        train_flooded - train,
        gate_flooded - gate,
        clean.1,
        flooded.1,
        clean.0,
        flooded.0
    );
    // The gate has some twenty items; five of them are chance with so few steps.
    assert!((clean.1 - flooded.1).abs() < 0.25, "{clean:?} became {flooded:?}");
}

#[test]
fn a_new_source_that_contradicts_what_is_known_waits_for_a_person() {
    if model().is_none() {
        return;
    }
    let site = with_first_version("[domains.contracts.sources]\nprobation_items = 10\n");
    // What it has learned, each clause with the next kind's label.
    let mut labels: Vec<Value> = first().iter().map(|record| record["label"].clone()).collect();
    labels.sort_by_key(Value::to_string);
    labels.dedup();
    let mut poisoned = first();
    for record in &mut poisoned {
        let place = labels.iter().position(|label| record["label"] == *label).unwrap();
        record["label"] = labels[(place + 1) % labels.len()].clone();
    }
    let known = second();
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
