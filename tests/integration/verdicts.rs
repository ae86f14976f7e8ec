//! Judging with the real model: what is worse is refused, told, explained and undone; what serves is held against an anchor.

use crate::harness::{FORGETFUL, QUICK_LEARNING, Site, clauses, model};
use crate::webhook::{free_port, listen, site_with};
use serde_json::{Value, json};
use std::io::BufRead;

#[test]
fn wrong_labels_are_refused_and_told_good_ones_resolve_it_and_a_rollback_brings_everything_back() {
    if model().is_none() {
        return;
    }
    // Nothing is done at first to keep what is old: what is wrong must have its effect, and the gate must see it.
    let config = QUICK_LEARNING
        .replace("epochs = 2", FORGETFUL)
        .replace("margin_points = 30.0", "margin_points = 40.0");
    let port = free_port();
    let mut site = site_with(port, &format!("{config}[incidents]\nmin_open_s = 0\n"));
    let mut receiver = listen(&site, port, "6");
    site.start();
    let right = clauses("1-first-delivery/clauses-a.jsonl", 10, 26);
    site.deliver("first.jsonl", &right);
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    let version = first["version"].as_str().unwrap().to_string();
    let dir = site.path("state/versions/contracts").join(&version);
    for file in [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "head/head.safetensors",
        "fisher.safetensors",
        "memory/examples.jsonl",
        "memory/logits.safetensors",
        "evaluation.json",
        "lineage.json",
    ] {
        assert!(dir.join(file).exists(), "{file} is missing");
    }
    assert_eq!(
        std::fs::read_link(site.path("state/versions/contracts/current"))
            .unwrap()
            .to_str(),
        Some(&*version)
    );

    let told = site.json(&["report", "contracts"]);
    let accuracy = first["accuracy"][0]["accuracy"]["challenger"].as_f64().unwrap();
    assert_eq!(
        (&told["eras"], &told["matrix"], &told["serving"]),
        (&json!([1]), &json!([[accuracy]]), &json!(version))
    );
    let page = site.path("report.html");
    let written = site.wengu(&["report", "contracts", "--out", page.to_str().unwrap()]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&version) && page.contains("promote"), "{page}");
    assert_eq!(site.wengu(&["report", "nobody"]).status.code(), Some(1));

    // Clauses of the types that it knows, as many as it has seen, each under another type's name.
    site.deliver("wrong.jsonl", &clauses("3-wrong-labels/clauses.jsonl", 10, 26));
    let (second, code) = site.train();
    assert_eq!((code, &second["decision"]), (4, &json!("regressed")), "{second:#}");
    assert_eq!(
        site.json(&["status"])["domains"][0]["serving"]["version"],
        version.as_str()
    );
    assert_eq!(
        site.files(),
        [("held_back".to_string(), 1), ("learned".to_string(), 1)].into()
    );
    assert_eq!(
        site.wengu(&["rollback", "contracts"]).status.code(),
        Some(1),
        "a first version has no parent"
    );

    // Why, in sentences and numbers, and again from what was recorded.
    let why = site.json(&["gate", "explain", "contracts"]);
    assert_eq!(why["verdict"]["decision"], "regressed");
    assert!(why["flips"].as_array().unwrap().len() > 5, "{why:#}");
    let asked_twice = why["asked_twice"].as_u64().unwrap();
    let fresh = why["fresh"].as_array().unwrap();
    assert!(asked_twice > 20 && fresh[1].as_u64().unwrap() > 20, "{why:#}");
    let human = String::from_utf8(site.wengu(&["gate", "explain", "contracts", "2"]).stdout).unwrap();
    for said in [
        "regressed",
        "earlier eras",
        "label=Exclusivity",
        "before it learned from them",
        "anchor: ",
    ] {
        assert!(human.contains(said), "{said}: {human}");
    }
    for run in ["1", "2"] {
        let again = site.json(&["gate", "replay", "contracts", run]);
        assert_eq!(again["same"], true, "{again:#}");
    }
    let open = site.json(&["incidents"]);
    let open = open["open"].as_array().unwrap();
    assert!(open.iter().any(|incident| incident["firing"] == true), "{open:?}");
    let problems = site.json(&["status"])["domains"][0]["problems"].to_string();
    assert!(problems.contains("incident: accuracy"), "{problems}");

    // What was refused cannot be put in service by name either.
    let refused = second["version"].as_str().unwrap();
    let said = site.wengu(&["rollback", "contracts", "--to", refused]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("never promoted"));
    let said = site.wengu(&["promote", "contracts", refused]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("--force"));

    // Then as it should be.
    site.stop();
    site.rewrite(FORGETFUL, "epochs = 4");
    site.start();
    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 2, 24));
    let (third, code) = site.train();
    assert_eq!((code, &third["decision"]), (0, &json!("promote")), "{third:#}");
    assert_eq!(third["parent"], version.as_str());
    assert_eq!(
        site.json(&["incidents"])["open"],
        json!([]),
        "a clean verdict resolves it"
    );
    let back = site.json(&["rollback", "contracts"]);
    assert_eq!((&back["to"], &back["held_back_files"]), (&json!(version), &json!(1)));
    assert_eq!(
        std::fs::read_link(site.path("state/versions/contracts/current"))
            .unwrap()
            .to_str(),
        Some(&*version)
    );
    let explained = site.json(&["versions", "explain", "contracts", third["version"].as_str().unwrap()]);
    for model in ["challenger", "champion"] {
        let scores = &explained["scores"][model];
        let (f1, error) = (
            scores["macro_f1"].as_f64().unwrap(),
            scores["calibration_error"].as_f64().unwrap(),
        );
        assert!((0.01..=1.0).contains(&f1) && (0.0..1.0).contains(&error), "{scores}");
    }
    assert_eq!(explained["version"]["serving"], false);
    assert_eq!(
        explained["labels"].as_array().unwrap().len(),
        12,
        "the label set grew by two"
    );

    // All of it was told, in order.
    let told: Vec<Value> = std::io::BufReader::new(receiver.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert!(receiver.wait().unwrap().success());
    let kinds = |kind: &str| told.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let fired = kinds("wengu.incident.firing");
    let resolved = kinds("wengu.incident.resolved");
    assert_eq!(
        (
            kinds("wengu.gate.regressed").len(),
            kinds("wengu.version.promoted").len()
        ),
        (1, 2),
        "{told:#?}"
    );
    assert_eq!((fired.len(), resolved.len()), (1, 1), "{told:#?}");
    assert_eq!(fired[0]["data"]["fingerprint"], resolved[0]["data"]["fingerprint"]);
    assert_eq!(fired[0]["data"]["metric"], "accuracy");

    // A person may know better than the gate, has to say why, and it is shown.
    let forced = site.json(&[
        "promote",
        "contracts",
        refused,
        "--force",
        "--reason",
        "the labels were right",
    ]);
    assert_eq!(forced["to"], refused);
    let status = site.json(&["status"]);
    assert_eq!(status["domains"][0]["serving"]["how"], "forced");
    let problems = status["domains"][0]["problems"].to_string();
    assert!(
        problems.contains("against the gate: the labels were right"),
        "{problems}"
    );
}

#[test]
fn what_serves_is_held_against_the_anchor_and_asked_before_it_learns() {
    if model().is_none() {
        return;
    }
    let config = QUICK_LEARNING
        .replace(
            "audit_percent = 5",
            "audit_percent = 15\nmode = \"promote_unless_regressed\"",
        )
        .replace("min_items = 10", "min_items = 5")
        .replace("epochs = 2", "epochs = 4");
    let mut site = Site::new(&config);
    site.start();
    let all = clauses("1-first-delivery/clauses-a.jsonl", 10, 26);
    let (first, rest) = all.split_at(all.len() * 2 / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let mut versions = Vec::new();
    for (name, records) in [("1.jsonl", first), ("2.jsonl", second), ("3.jsonl", third)] {
        site.deliver(name, records);
        let (run, code) = site.train();
        assert_eq!((code, &run["decision"]), (0, &json!("promote")), "{run:#}");
        versions.push(run["version"].as_str().unwrap().to_string());
    }
    let why = site.json(&["gate", "explain", "contracts"]);
    let anchor = why["with_anchor"].as_array().expect("an anchor was asked");
    assert_eq!(anchor[0], versions[0].as_str());
    assert!(anchor[1]["n"].as_u64().unwrap() >= 3, "{why:#}");
    let fresh = why["fresh"].as_array().unwrap();
    assert!(fresh[1].as_u64().unwrap() >= 5, "{why:#}");
    let held = &why["anchor"];
    assert_eq!(
        (&held["version"], &held["worse_in_a_row"]),
        (&json!(versions[0]), &json!(0))
    );
    assert_eq!(held["reason"], "the first version that was promoted");
    assert_eq!(site.json(&["gate", "replay", "contracts", "3"])["same"], true);

    let moved = site.wengu(&["gate", "anchor", "contracts", "--reason", " "]);
    assert!(String::from_utf8_lossy(&moved.stderr).contains("a reason must be given"));
    let moved = site.json(&["gate", "anchor", "contracts", "--reason", "reviewed"]);
    assert_eq!(
        (&moved["version"], &moved["fresh_items"]),
        (&json!(versions[2]), &json!(0))
    );

    // Nobody is told while it is silent, and it is shown that it is.
    let silence = [
        "incidents",
        "silence",
        "--domain",
        "contracts",
        "--hours",
        "2",
        "--reason",
        "server move",
    ];
    assert_eq!(site.json(&silence)["silences"][0]["reason"], "server move");
    let listed = String::from_utf8(site.wengu(&["incidents"]).stdout).unwrap();
    assert!(
        listed.contains("no incidents") && listed.contains("domain contracts") && listed.contains("server move"),
        "{listed}"
    );
}
