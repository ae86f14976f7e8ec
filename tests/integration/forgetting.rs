//! Forgetting on purpose: nothing of it is in any file of the state directory, what comes again is refused, and what is
//! trained again is what a daemon makes that never saw it.

use crate::harness::{QUICK_LEARNING, Site, clauses, model};
use crate::markers::{MARKERS, assert_nowhere, files, forgotten, found, marker};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// A marked delivery of twelve records: texts, cases, a label, a field that is not read, the name of the file.
pub fn marked(labels: &[&str]) -> (String, String) {
    let records = (0..12).map(|i| {
        let label = if i < 3 {
            marker(6)
        } else {
            labels[i % labels.len()].to_owned()
        };
        let text = format!(
            "The supplier {} shall keep the terms of clause {i} secret for ever.",
            marker(7 + i)
        );
        json!({"text": text, "label": label, "doc": format!("{}-{i}", marker(i % 4)), "note": marker(19)}).to_string()
            + "\n"
    });
    (format!("{}/{}.jsonl", marker(4), marker(5)), records.collect())
}

/// Puts a file into a folder of the inbox that appears with it.
pub fn deliver_in_folder(site: &Site, name: &str, text: &str) -> PathBuf {
    let path = Path::new(name);
    let outside = site.path("outgoing-folder");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join(path.file_name().unwrap()), text).unwrap();
    let folder = site.path("inbox").join(path.parent().unwrap());
    fs::rename(&outside, folder).unwrap();
    site.path("inbox").join(path)
}

pub fn first() -> Vec<Value> {
    clauses("1-first-delivery/clauses-a.jsonl", 5, 24)
}

fn second() -> Vec<Value> {
    clauses("2-new-clause-types/clauses.jsonl", 3, 24)
}

pub fn labels() -> Vec<String> {
    let mut labels: Vec<String> = first()
        .iter()
        .map(|r| r["label"].as_str().unwrap().to_owned())
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

/// What training makes of a version: everything but its name, its judgement and its lineage.
type Trained = BTreeMap<String, Vec<u8>>;

fn trained(site: &Site, version: &str) -> Trained {
    let dir = site.path("state/versions/contracts").join(version);
    let made = files(&dir).into_iter().map(|(path, bytes)| {
        let name = path.strip_prefix(&dir).unwrap().display().to_string();
        (name, bytes)
    });
    made.filter(|(name, _)| !["evaluation.json", "lineage.json"].contains(&name.as_str()))
        .collect()
}

fn train(site: &Site) -> String {
    let (run, code) = site.train();
    assert_eq!((code, &run["decision"]), (0, &json!("promote")), "{run:#}");
    run["version"].as_str().unwrap().to_owned()
}

/// Both versions of a daemon that never saw anything else.
fn never_saw() -> &'static [Trained; 2] {
    static VERSIONS: OnceLock<[Trained; 2]> = OnceLock::new();
    VERSIONS.get_or_init(|| {
        let mut site = Site::new(QUICK_LEARNING);
        site.start();
        [first(), second()].map(|records| {
            site.deliver(&format!("{}.jsonl", records.len()), &records);
            let version = train(&site);
            trained(&site, &version)
        })
    })
}

fn assert_same(made: &Trained, expected: &Trained) {
    assert!(
        expected.contains_key("adapter/adapter_model.safetensors"),
        "{:?}",
        expected.keys()
    );
    assert!(expected.contains_key("fisher.safetensors") && expected.contains_key("memory/examples.jsonl"));
    assert_eq!(made.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(
            made[name] == *bytes,
            "{name} is not what a daemon makes that never saw it"
        );
    }
}

#[test]
fn what_a_first_version_learned_is_nowhere_and_the_versions_made_again_are_those_that_never_saw_it() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(QUICK_LEARNING);
    site.start();
    let names = labels();
    let (name, text) = marked(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let path = deliver_in_folder(&site, &name, &text);
    site.until("the marked file is read", |site| site.files().contains_key("pooled"));
    site.deliver("first.jsonl", &first());
    let old = [train(&site), {
        site.deliver("second.jsonl", &second());
        train(&site)
    }];
    let there: BTreeSet<usize> = found(&site.path("state")).into_iter().map(|(n, _)| n).collect();
    assert_eq!(there, (0..MARKERS).collect(), "the search finds what is there");

    // A rehearsal says it and changes nothing.
    let commits = |site: &Site| {
        let lines = String::from_utf8(site.wengu(&["audit", "export"]).stdout).unwrap();
        // That somebody asks is recorded, and may be; new files are looked at by the way.
        let by_the_way = ["api.", "inputs."];
        lines
            .lines()
            .filter(|line| !by_the_way.iter().any(|kind| line.contains(kind)))
            .count()
    };
    let committed = commits(&site);
    let path = path.to_str().unwrap();
    let told = site.json(&["forget", path, "--dry-run"]);
    assert_eq!(told["again"], json!(["contracts/1", "contracts/2"]), "{told:#}");
    assert_eq!(told["versions"].as_array().unwrap().len(), 2, "{told:#}");
    assert_eq!((&told["source"], &told["id"]), (&json!([path]), &Value::Null));
    assert_eq!(commits(&site), committed);
    assert!(!site.path("state/forget").exists());

    let done = site.json(&["forget", path, "--reason", "consent withdrawn", "--yes"]);
    assert_nowhere(&site);
    let receipt = &done["receipt"];
    let made: Vec<&str> = receipt["versions_made"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect();
    assert_eq!(made.len(), 2, "{done:#}\n{}", site.log());
    for (made, expected) in made.iter().zip(never_saw()) {
        assert_same(&trained(&site, made.strip_prefix("contracts/").unwrap()), expected);
    }
    for id in old {
        assert!(!site.path("state/versions/contracts").join(id).exists());
    }
    let serving = &site.json(&["status"])["domains"][0]["serving"];
    assert_eq!(format!("contracts/{}", serving["version"].as_str().unwrap()), made[1]);
    assert_eq!(site.files()["learned"], 2);

    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
}

#[test]
fn killed_again_and_again_a_forgetting_comes_to_the_same_end() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(&format!("{QUICK_LEARNING}[store]\nindex = \"redb\"\n"));
    site.start();
    site.deliver("first.jsonl", &first());
    let clean = train(&site);
    let names = labels();
    let case = marker(0);
    let records = (0..12).map(|i| {
        let text = format!("The buyer {} may end the agreement in year {i}.", marker(7 + i));
        json!({"text": text, "label": names[i % names.len()], "doc": case, "note": marker(19)}).to_string() + "\n"
    });
    let text: String = records.collect();
    deliver_in_folder(&site, &format!("{}/{}.jsonl", marker(4), marker(5)), &text);
    site.until("the marked file is read", |site| site.files().contains_key("pooled"));
    site.deliver("second.jsonl", &second());
    let tainted = train(&site);
    assert!(!found(&site.path("state")).is_empty());

    let asked = [
        "forget",
        &case,
        "--reason",
        "consent withdrawn",
        "--yes",
        "--now",
        "--no-wait",
    ];
    let id = site.json(&asked)["id"].as_str().unwrap().to_owned();
    for millis in [0, 30, 80, 150, 300, 600, 1200, 2500, 5000] {
        std::thread::sleep(Duration::from_millis(millis));
        site.kill();
        site.start();
    }
    let done = forgotten(&site);
    assert_eq!(done["id"], id.as_str());
    site.until("the receipt is written", |site| {
        !site.json(&["forget", "show", &id])["receipt"].is_null()
            && !site.path("state/forget/orders").join(format!("{id}.json")).exists()
    });
    assert_nowhere(&site);
    let receipt = &site.json(&["forget", "show", &id])["receipt"];
    assert_eq!(
        receipt["versions_deleted"],
        json!([format!("contracts/{tainted}")]),
        "{receipt:#}"
    );
    let made = receipt["versions_made"][0]
        .as_str()
        .unwrap()
        .strip_prefix("contracts/")
        .unwrap()
        .to_owned();
    assert_same(&trained(&site, &made), &never_saw()[1]);
    assert_same(&trained(&site, &clean), &never_saw()[0]);
    assert_eq!(
        site.json(&["status"])["domains"][0]["serving"]["version"],
        made.as_str()
    );
    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
    assert!(site.json(&["audit", "verify"])["redacted"].as_u64().unwrap() > 0);

    // What lies beside the store is checked with it, by the daemon and without one.
    let damaged = [
        (format!("forget/receipts/{id}.json"), format!("receipt {id}")),
        ("forget/tombstones.json".into(), "tombstones.json".into()),
        (
            format!("versions/contracts/{clean}/head/head.safetensors"),
            format!("version {clean} of contracts"),
        ),
    ];
    for (name, told) in damaged {
        let path = site.path("state").join(name);
        let sound = std::fs::read(&path).unwrap();
        let mut bad = sound.clone();
        let last = bad.len() - 4;
        bad[last] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let output = site.wengu(&["store", "verify"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains(&told), "{told}: {said}");
        std::fs::write(&path, sound).unwrap();
    }
    site.stop();
    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
}
