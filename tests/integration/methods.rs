//! The whole loop for what is trained instead of LoRA: from the watched folder to a version in service, its successor, and what
//! `wengu export` makes of them.

use crate::harness::{QUICK_LEARNING, Site, clauses, model};
use crate::invariants::walk;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A site that has learned a delivery with these settings, its first run, and the folder of the version in service.
fn learned(learning: &str) -> (Site, PathBuf) {
    let mut site = Site::new(&QUICK_LEARNING.replace("epochs = 2", learning));
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 22));
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    println!("{}", first["accuracy"]);
    let dir = site
        .path("state/versions/contracts")
        .join(first["version"].as_str().unwrap());
    (site, dir)
}

fn config(adapter: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap()
}

/// A second delivery has labels more, and goes on from the first version.
fn grows(site: &Site, dir: &std::path::Path) {
    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 2, 22));
    let (second, _) = site.train();
    assert_eq!(second["state"]["name"], "finished", "{second:#}");
    assert_eq!(second["parent"], dir.file_name().unwrap().to_str().unwrap());
    let eras = second["accuracy"].as_array().unwrap();
    println!("{eras:#?}");
    assert_eq!(eras.len(), 2, "{second:#}");
    let id = second["version"].as_str().unwrap();
    let explained = site.json(&["versions", "explain", "contracts", id]);
    assert_eq!(explained["labels"].as_array().unwrap().len(), 6, "{explained:#}");
}

/// The adapter is exported as it is, and no merged model is made of it.
fn exported(site: &Site, dir: &std::path::Path, why_not_merged: &str) {
    let id = dir.file_name().unwrap().to_str().unwrap();
    let out = site.path("adapter");
    let export = ["export", "contracts", "--version", id];
    site.json(&[&export[..], &["--adapter", out.to_str().unwrap()]].concat());
    assert_eq!(config(out), config(dir.join("adapter")));
    let merged = site.path("merged");
    let refused = site.wengu(&[&export[..], &["--merged", merged.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && said.contains(why_not_merged) && !merged.exists(),
        "{said}"
    );
}

#[test]
fn old_validation_examples_are_watched_by_the_next_update_and_told() {
    if model().is_none() {
        return;
    }
    let watch = "epochs = 2\nvalidation_percent = 25\nold_loss_tolerance = 0.05\nstability_steps = 3\nbatch_size = 4";
    let (site, dir) = learned(watch);
    let id = dir.file_name().unwrap().to_str().unwrap();
    let first = site.json(&["versions", "explain", "contracts", id]);
    assert_eq!(
        first["old_work"],
        Value::Null,
        "a first version has no old work: {first:#}"
    );

    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 2, 22));
    let (second, _) = site.train();
    assert_eq!(second["state"]["name"], "finished", "{second:#}");
    let id = second["version"].as_str().unwrap();
    let old_work = &site.json(&["versions", "explain", "contracts", id])["old_work"];
    let (stability, mixing) = (&old_work["stability"], &old_work["mixing"]);
    let eras = stability["eras"].as_array().unwrap();
    assert_eq!((eras.len(), &eras[0]["run"]), (1, &json!(1)), "{old_work:#}");
    // A quarter of what is learned, by a hash.
    assert!((3..30).contains(&eras[0]["answers"].as_u64().unwrap()), "{old_work:#}");
    let points = stability["points"].as_array().unwrap();
    assert!(points.len() > 2 && points[1][0] == 3, "{old_work:#}");
    let looks = mixing["points"].as_array().unwrap();
    let new_share = |look: usize| looks[look]["new_share"].as_f64().unwrap();
    assert_eq!(looks.len(), 4, "{old_work:#}");
    assert!(
        (new_share(0) - 2.0 / 3.0).abs() < 1e-9 && new_share(1) != new_share(0),
        "{old_work:#}"
    );
    let text = String::from_utf8(site.wengu(&["versions", "explain", "contracts", id]).stdout).unwrap();
    assert!(
        text.contains("a stability gap of") && text.contains("share of new examples in a step"),
        "{text}"
    );
}

#[test]
fn a_prompt_is_learned_judged_continued_and_exported() {
    if model().is_none() {
        return;
    }
    let learning = "method = \"prompt_tuning\"\nvirtual_tokens = 8\nepochs = 4\nlearning_rate = 1e-2";
    let (site, dir) = learned(learning);
    let written = config(dir.join("adapter"));
    assert_eq!(
        (&written["peft_type"], &written["num_virtual_tokens"]),
        (&json!("PROMPT_TUNING"), &json!(8))
    );
    grows(&site, &dir);
    exported(&site, &dir, "stands before every text");
}

#[test]
fn bottlenecks_are_learned_judged_continued_and_exported() {
    if model().is_none() {
        return;
    }
    let (site, dir) = learned("method = \"bottleneck\"\nplacement = \"seq_bn\"\nepochs = 4");
    let written = config(dir.join("adapter"));
    let of = |key: &str| written["config"][key].clone();
    assert_eq!(
        [
            of("mh_adapter"),
            of("output_adapter"),
            of("reduction_factor"),
            of("non_linearity")
        ],
        [json!(false), json!(true), json!(16), json!("relu")]
    );
    assert_eq!(written["model_class"], "BertModel");
    grows(&site, &dir);
    exported(&site, &dir, "non-linearity of its own");
}

#[test]
fn a_new_adapter_is_made_one_with_the_one_before_and_explained() {
    if model().is_none() {
        return;
    }
    let (site, dir) = learned("adapter_start = \"orthogonal\"\nrank = 4\nepochs = 2");
    let first = dir.file_name().unwrap().to_str().unwrap();
    let explain = |id: &str| site.json(&["versions", "explain", "contracts", id]);
    assert_eq!(explain(first)["recompression"], Value::Null);
    grows(&site, &dir);
    let versions = site.json(&["versions", "contracts"]);
    let versions = versions["contracts"].as_array().unwrap();
    let second = versions.iter().find(|version| version["parent"] == first).unwrap();
    let id = second["id"].as_str().unwrap();
    let explained = explain(id);
    assert_eq!(explained["adapter_start"], "orthogonal");
    let lost = &explained["recompression"];
    let error = lost["relative_error"].as_f64().unwrap();
    assert!(error > 0.0 && error < 1.0, "{lost:#}");
    let layers = lost["layers"].as_object().unwrap();
    assert_eq!(layers.len(), 12, "queries and values of six layers");
    let told = site.wengu(&["versions", "explain", "contracts", id]);
    let told = String::from_utf8_lossy(&told.stdout);
    assert!(
        told.contains("at right angles") && told.contains(&format!("{:.2} % of their change lost", 100.0 * error)),
        "{told}"
    );
    // Of the same rank, so that a server that takes the first takes the second.
    let adapter = |id: &str| config(site.path("state/versions/contracts").join(id).join("adapter"));
    assert_eq!(adapter(id)["r"], adapter(first)["r"]);
}

#[test]
fn versions_without_a_memory_carry_no_text_and_go_on_from_each_other() {
    if model().is_none() {
        return;
    }
    let settings = "epochs = 2\nmemory_mib = 0\nreplay_ratio = 0.0\ndistill_alpha = 0.0\ndistill_new_alpha = 0.25";
    let (site, dir) = learned(settings);
    grows(&site, &dir);
    let named = ["1-first-delivery/clauses-a.jsonl", "2-new-clause-types/clauses.jsonl"];
    let delivered: Vec<Value> = named.into_iter().flat_map(|name| clauses(name, 4, 22)).collect();
    let mut versions = walk(&site.path("state/versions"));
    // Numbers.
    versions.retain(|file| file.extension().is_none_or(|ending| ending != "safetensors"));
    assert!(delivered.len() > 100 && versions.len() > 10, "{versions:?}");
    for file in versions {
        let bytes = std::fs::read(&file).unwrap();
        let kept = String::from_utf8_lossy(&bytes);
        for clause in &delivered {
            let begin: String = clause["text"].as_str().unwrap().chars().take(24).collect();
            assert!(!kept.contains(&begin), "{} has {clause}", file.display());
        }
    }
}
