//! The whole loop for texts with any number of labels: which kinds of entities sentences of PubMed abstracts name.

use crate::harness::{Site, model, root};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sentences of a committed file with the kinds of entities that they name, each a case of its own.
fn sentences(file: &str, from: usize, count: usize) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/data").join(file)).unwrap();
    let lines = text.lines().skip(from).take(count).enumerate();
    let record = |(i, line): (usize, &str)| {
        let read: Value = serde_json::from_str(line).unwrap();
        let list = |key: &str| read[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
        let kinds: BTreeSet<&str> = list("tags").filter_map(|tag| Some(tag.split_once('-')?.1)).collect();
        let words: Vec<&str> = list("tokens").collect();
        json!({"text": words.join(" "), "labels": kinds, "doc": format!("{file} {}", from + i)})
    };
    let records: Vec<Value> = lines.map(record).collect();
    assert_eq!(records.len(), count);
    records
}

/// The same as a table, with a separator between labels.
fn table(records: &[Value], separator: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows = records.iter().map(|record| {
        let labels = record["labels"].as_array().unwrap();
        let labels: Vec<&str> = labels.iter().map(|label| label.as_str().unwrap()).collect();
        // An empty cell would say that nobody has looked.
        let cell = if labels.is_empty() {
            "[]".into()
        } else {
            labels.join(separator)
        };
        let of = |key: &str| quoted(record[key].as_str().unwrap());
        format!("{},{},{}\n", of("doc"), quoted(&cell), of("text"))
    });
    format!("doc,labels,text\n{}", rows.collect::<String>())
}

#[test]
fn several_labels_are_learned_judged_remembered_and_grow() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(
        "[domains.contracts.learning]\nepochs = 6\nmax_length = 48\nfisher_examples = 8\nfisher = \"exact\"\n\
         [domains.contracts.gate]\ngate_percent = 30\naudit_percent = 10\nmargin_points = 15.0\nmin_items = 10\n",
    );
    site.rewrite(
        "model = \"base\"",
        "model = \"base\"\ntask = \"multi_label_classification\"\nlabel_threshold = 0.4",
    );
    site.rewrite("settle_ms", "label_separator = \"|\"\nsettle_ms");
    site.start();
    let (chemicals, diseases) = (
        sentences("chemicals.jsonl", 0, 200),
        sentences("diseases.jsonl", 160, 160),
    );
    let mut first = chemicals[..100].to_vec();
    first.push(json!({"text": "Nobody has looked at this sentence yet.", "labels": null, "doc": "unknown"}));
    site.deliver("lists.jsonl", &first);
    let rest: Vec<Value> = chemicals[100..].iter().chain(&diseases).cloned().collect();
    site.drop_file("table.csv", table(&rest, "|").as_bytes());
    site.until("both files are read", |site| site.files().get("pooled") == Some(&2));
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    let dir = site
        .path("state/versions/contracts")
        .join(first["version"].as_str().unwrap());
    let lineage: Value = serde_json::from_slice(&std::fs::read(dir.join("lineage.json")).unwrap()).unwrap();
    assert_eq!(
        (&lineage["labels"], &lineage["threshold"]),
        (&json!(["Chemical", "Disease"]), &json!(0.4))
    );
    let explained = site.json(&["versions", "explain", "contracts"]);
    let left_out = explained["left_out"].as_object().unwrap();
    assert!(
        left_out.keys().any(|reason| reason.contains("no label")),
        "{left_out:?}"
    );
    let scores = &explained["scores"]["challenger"];
    let sets = &scores["label_sets"];
    println!(
        "first: {:.3} of the sets exactly right, micro F1 {:.3}, macro F1 {:.3}",
        sets["subset_accuracy"].as_f64().unwrap(),
        sets["micro_f1"].as_f64().unwrap(),
        scores["macro_f1"].as_f64().unwrap()
    );
    // What the gate decides on is the share of sets that are exactly right.
    let accuracy = first["accuracy"][0]["accuracy"]["challenger"].as_f64().unwrap();
    assert!((accuracy - sets["subset_accuracy"].as_f64().unwrap()).abs() < 1e-9);
    assert!(
        accuracy > 0.5 && scores["macro_f1"].as_f64().unwrap() > 0.7,
        "{explained:#}"
    );
    let labels = sets["labels"].as_object().unwrap();
    assert!(labels["Chemical"]["texts"].as_u64().unwrap() > 20, "{sets}");

    // The memory holds sentences of every kind, those without any too, each with logits for both labels.
    let memory = std::fs::read_to_string(dir.join("memory/examples.jsonl")).unwrap();
    let remembered: BTreeSet<String> = memory
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["label"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let all: BTreeSet<String> = ["[\"Chemical\"]", "[\"Chemical\",\"Disease\"]", "[\"Disease\"]", "[]"]
        .map(String::from)
        .into();
    assert_eq!(remembered, all);

    let questions = std::fs::read_to_string(root().join("tests/data/health-questions.jsonl")).unwrap();
    let questions = questions.lines().take(80).enumerate().map(|(i, line)| {
        let read: Value = serde_json::from_str(line).unwrap();
        json!({"text": read["instruction"], "labels": ["Disease", "Question"], "doc": format!("question {i}")})
    });
    site.deliver("questions.jsonl", &questions.collect::<Vec<_>>());
    let (second, _) = site.train();
    assert_eq!(second["state"]["name"], "finished", "{second:#}");
    let id = second["version"].as_str().unwrap();
    let explained = site.json(&["versions", "explain", "contracts", id]);
    assert_eq!(explained["labels"], json!(["Chemical", "Disease", "Question"]));
    let eras = second["accuracy"].as_array().unwrap();
    println!("second: {}, {}", second["decision"], json!(eras));
    // The champion's answers to the first era are what it said when it was judged, at its own threshold.
    assert!(
        (eras[0]["accuracy"]["champion"].as_f64().unwrap() - accuracy).abs() < 1e-9,
        "{second:#}"
    );
    // It has no label for questions, so it has none of their sets right; its successor has.
    let new = &eras[1]["accuracy"];
    assert_eq!(new["champion"], 0.0, "{second:#}");
    assert!(new["challenger"].as_f64().unwrap() > 0.5, "{second:#}");
    let p = &explained["scores"]["worse_p"];
    assert!(p["micro_f1"].as_f64().unwrap() > 0.05, "{explained:#}");
    let told = String::from_utf8(site.wengu(&["versions", "explain", "contracts", id]).stdout).unwrap();
    assert!(
        told.contains("exactly the right labels") && told.contains("Question: F1"),
        "{told}"
    );
    let gate = site.json(&["gate", "explain", "contracts", "2"]);
    assert!(gate.to_string().contains("label=Chemical"), "{gate:#}");

    // A server takes the threshold from the lineage, which no digest covers: with one bit of it flipped, none serves.
    let link = site.path("state/versions/contracts/current");
    let lineage = std::fs::canonicalize(&link).unwrap().join("lineage.json");
    let sound = std::fs::read_to_string(&lineage).unwrap();
    let changed = sound.replace("\"threshold\": 0.4", "\"threshold\": 0.5");
    assert_ne!(changed, sound);
    let problems = |site: &Site| site.json(&["status"])["domains"][0]["problems"].to_string();
    for (text, is_sound) in [(changed, false), (sound, true)] {
        site.stop();
        std::fs::write(&lineage, text).unwrap();
        site.start();
        let told = problems(&site);
        assert_eq!(!told.contains("lineage.json: it says other things"), is_sound, "{told}");
        assert_eq!(std::fs::symlink_metadata(&link).is_ok(), is_sound, "{told}");
    }
}
