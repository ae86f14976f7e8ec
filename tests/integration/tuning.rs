//! `wengu tune` with the real trainer: trials, a kill in the middle, and what later runs use.

use crate::harness::{Site, clauses, model};
use crate::tuning_record::Tuning;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wengu_store::records::RunRecord;
use wengu_store::{Batch, Hash, Options, Store};

const QUICK: &str = "[domains.contracts.learning]\nmax_length = 32\nepochs = 2\nfisher_examples = 8\nreplay_ratio = 1.0\n\
     [domains.contracts.gate]\ngate_percent = 20\naudit_percent = 5\nmargin_points = 30.0\nmin_items = 5\n";

fn site() -> Site {
    let site = Site::new(QUICK);
    // Nothing is trained unless it is asked for.
    site.rewrite("min_new_examples = 20", "min_new_examples = 100000");
    site
}

fn store(site: &Site) -> Store {
    Store::open(&site.path("state/store"), Options::default()).unwrap().0
}

fn setting<'a>(view: &'a Value, key: &str) -> (&'a str, &'a str) {
    let settings = view["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["key"] == key).unwrap();
    (found["value"].as_str().unwrap(), found["source"].as_str().unwrap())
}

/// The plan of the fitting that is under way.
fn plan(site: &Site) -> Value {
    let jobs = std::fs::read_dir(site.path("state/jobs/contracts")).unwrap();
    let folders = jobs.map(|entry| entry.unwrap().path());
    let folder = folders
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("tune-"))
        .max()
        .expect("a folder of the fitting");
    serde_json::from_slice(&std::fs::read(folder.join("plan.json")).unwrap()).unwrap()
}

/// Every item of the plan that is learned or asked about is of the training side of the split.
fn nothing_is_held_out(store: &Store, plan: &Value) {
    let mut seen = BTreeSet::new();
    for (update, set) in [
        ("first", "train"),
        ("first", "gate"),
        ("second", "train"),
        ("second", "gate"),
    ] {
        let items = plan[update][set].as_array().unwrap();
        assert!(!items.is_empty(), "{update} {set}");
        for item in items {
            let object: Hash = item["examples"].as_str().unwrap().parse().unwrap();
            let examples: Value = serde_json::from_slice(&store.objects().get(&object).unwrap()).unwrap();
            let mut examples = examples["examples"].as_array().unwrap().iter();
            let example = examples.find(|e| e["ordinal"] == item["ordinal"]).unwrap();
            assert_eq!(example["side"], "train", "{update} {set}: {example}");
            assert!(seen.insert(item["text_id"].to_string()), "a text has one place");
        }
    }
    for set in ["reserve", "audit", "checklist"] {
        for update in ["first", "second"] {
            assert!(
                plan[update].get(set).is_none_or(|items| items == &json!([])),
                "{update} {set}"
            );
        }
    }
}

#[test]
fn a_fitting_goes_on_after_a_kill_and_later_runs_use_what_it_chose() {
    if model().is_none() {
        return;
    }
    let mut site = site();
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 10, 30));
    site.until("the delivery is pooled", |site| site.files().contains_key("pooled"));

    let planned = site.json(&["tune", "contracts", "--trials", "4", "--dry-run"]);
    assert_eq!(planned["state"], "planned");
    assert_eq!(
        planned["report"]["rungs"],
        json!([{"epochs": 1, "candidates": 4}, {"epochs": 2, "candidates": 2}])
    );
    assert_eq!(planned["report"]["counts"]["late_labels"], 5);
    assert_eq!(
        planned["report"]["candidates"][0]["learning_rate"], 1e-3,
        "the defaults are the first"
    );
    assert_eq!(site.json(&["tune", "show", "contracts"])["state"], "never");

    let begun = site.json(&["tune", "contracts", "--trials", "4", "--no-wait"]);
    assert_eq!(begun["state"], "running", "{begun:#}");
    let plan = plan(&site);
    let trials = |site: &Site| {
        let view = site.json(&["tune", "show", "contracts"]);
        view["report"]["trials"].as_array().unwrap().clone()
    };
    site.until("a trial has ended", |site| !trials(site).is_empty());
    site.kill();
    nothing_is_held_out(&store(&site), &plan);

    site.start();
    let before = trials(&site);
    assert!(!before.is_empty() && before.len() < 6, "{before:#?}");
    // Whoever asks again joins what is under way.
    let output = site.command(&["tune", "contracts", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", site.log());
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["state"], "done", "{done:#}");
    let after = done["report"]["trials"].as_array().unwrap();
    assert_eq!(after.len(), 6, "four, then the defaults and another: {after:#?}");
    assert!(
        before.iter().all(|trial| after.contains(trial)),
        "what had ended was not tried again"
    );
    assert!(
        after
            .iter()
            .all(|trial| trial["score"]["old"].is_f64() && trial["seconds"].as_f64() > Some(0.0))
    );
    assert_eq!(done["report"]["examples"], plan["examples"], "the same plan");
    let fit = &done["report"]["fit"];
    let beaten = fit["best"] != 0 && fit["p"].as_f64() <= fit["level"].as_f64();
    assert_eq!(
        fit["chosen"],
        if beaten { fit["best"].clone() } else { json!(0) },
        "{fit}"
    );
    let expected = if beaten { "tuned" } else { "default" };
    assert_eq!(setting(&done, "learning_rate").1, expected);
    assert_eq!(setting(&done, "replay_ratio"), ("1.0", "configuration"));
    assert!(
        done["report"]["space"]["replay_ratio"].as_array().unwrap().is_empty(),
        "what is set is not searched"
    );
    site.stop();

    // Whichever won above, from here on it is values that are none of the defaults.
    let written = store(&site);
    let mut record = written.get::<Tuning>("contracts").unwrap().unwrap();
    record.0["in_use"] = json!({
        "values": {"learning_rate": 2e-3, "batch_size": 8, "rank": 4, "ewc_lambda": 10.0, "distill_temperature": 4.0, "replay_ratio": 2.0},
        "searched": ["learning_rate", "batch_size", "rank", "ewc_lambda", "distill_temperature", "replay_ratio"],
        "since_ms": 1, "examples": "of the test",
    });
    written
        .commit(Batch::new("test").put("contracts", &record).unwrap())
        .unwrap();
    drop(written);
    site.start();
    let shown = site.json(&["tune", "show", "contracts"]);
    assert_eq!(setting(&shown, "learning_rate"), ("0.002", "tuned"));
    assert_eq!(setting(&shown, "rank"), ("4", "tuned"));
    assert_eq!(
        setting(&shown, "replay_ratio"),
        ("1.0", "configuration"),
        "the configuration wins"
    );
    let (run, _) = site.train();
    assert_eq!(run["state"]["name"], "finished", "{run:#}");
    let promoted = run["decision"] == "promote";

    let reset = site.json(&["tune", "reset", "contracts"]);
    assert_eq!(reset["state"], "never");
    assert_eq!(setting(&reset, "learning_rate"), ("0.001", "default"));
    if promoted {
        assert_eq!(
            setting(&reset, "rank"),
            ("4", "version"),
            "its adapter has a rank already"
        );
    }
    site.stop();

    let store = store(&site);
    let run: RunRecord = store.get(&RunRecord::key("contracts", 1)).unwrap().unwrap();
    let manifest: Value = serde_json::from_slice(&store.objects().get(&run.manifest).unwrap()).unwrap();
    let learning = &manifest["learning"];
    assert_eq!(learning["learning_rate"], 2e-3);
    assert!((learning["head_learning_rate"].as_f64().unwrap() - 2e-2).abs() < 1e-9);
    assert_eq!(
        (&learning["batch_size"], &learning["ewc_lambda"]),
        (&json!(8), &json!(10.0))
    );
    assert_eq!(
        (&learning["distill_temperature"], &learning["replay_ratio"]),
        (&json!(4.0), &json!(1.0))
    );
    assert_eq!(
        (&manifest["method"]["rank"], &manifest["method"]["alpha"]),
        (&json!(4), &json!(8.0))
    );
    let leftovers = std::fs::read_dir(site.path("state/jobs/contracts")).unwrap();
    let leftovers: Vec<_> = leftovers.map(|entry| entry.unwrap().file_name()).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn what_cannot_be_fitted_is_refused_by_name() {
    let Some(_) = model() else { return };
    let mut site = site();
    site.start();
    let refused = |arguments: &[&str]| {
        let output = site.wengu(arguments);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nothing = refused(&["tune", "contracts"]);
    assert!(nothing.contains("Deliver more labelled case files first"), "{nothing}");
    let unknown = refused(&["tune", "invoices"]);
    assert!(unknown.contains("no domain invoices"), "{unknown}");
    assert!(refused(&["tune", "contracts", "--trials", "1"]).contains("--trials"));
}
