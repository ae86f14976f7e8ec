//! What people tell the gate to guard: items that must not break, slices, rare labels; and a slide that undoes itself.

use crate::harness::{FORGETFUL, QUICK_LEARNING, Site, clauses, model, root};
use serde_json::{Value, json};

/// A gate that lets everything pass that is not shown to be worse, and is hard to convince.
const LENIENT: &str = "mode = \"promote_unless_regressed\"\nfalse_alarms_per_year = 0.000001\nreserve_percent = 0\n";

fn departments(records: Vec<Value>) -> Vec<Value> {
    let with = |(place, mut record): (usize, Value)| {
        record["department"] = json!(["civil", "labour"][place % 2]);
        record
    };
    records.into_iter().enumerate().map(with).collect()
}

#[test]
fn a_broken_item_of_the_checklist_is_a_regression_and_macro_f1_and_fields_are_judged() {
    if model().is_none() {
        return;
    }
    let config = QUICK_LEARNING.replace("epochs = 2", FORGETFUL);
    let guarded =
        "metric = \"macro_f1\"\nchecklist = \"must-not-break\"\nslice_fields = [\"department\"]\nmin_era_items = 5\n";
    let mut site = Site::new(&format!("{config}{LENIENT}{guarded}"));
    std::fs::create_dir(site.path("inbox/must-not-break")).unwrap();
    site.start();
    let right = departments(clauses("1-first-delivery/clauses-a.jsonl", 10, 26));
    let (listed, rest): (Vec<Value>, Vec<Value>) = {
        let doc = |record: &Value| record["doc"].as_str().unwrap().to_owned();
        let mut docs: Vec<String> = right.iter().map(doc).collect();
        docs.sort();
        docs.dedup();
        docs.truncate(12);
        right.into_iter().partition(|record| docs.contains(&doc(record)))
    };
    site.deliver("must-not-break/list.jsonl", &listed);
    site.deliver("first.jsonl", &rest);
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    let files = site.json(&["files"]);
    let counts = |name: &str| {
        let all = files.as_array().unwrap().iter();
        let mut found = all.filter(|file| file["path"].as_str().unwrap().ends_with(name));
        found.next().expect("the file is known")["counts"].clone()
    };
    let (list, first) = (counts("list.jsonl"), counts("first.jsonl"));
    assert_eq!((&list["checklist"], &list["train"]), (&json!(listed.len()), &json!(0)));
    assert!(
        first["checklist"].is_null() && first["train"].as_u64() > Some(50),
        "{first}"
    );

    // The gate is told to believe nearly nothing, so that only the list can refuse it.
    site.deliver(
        "wrong.jsonl",
        &departments(clauses("3-wrong-labels/clauses.jsonl", 10, 26)),
    );
    let (second, code) = site.train();
    assert_eq!((code, &second["decision"]), (4, &json!("regressed")), "{second:#}");
    let why = site.json(&["gate", "explain", "contracts"]);
    let verdict = &why["verdict"];
    let broken = verdict["checklist"]["broken"].as_array().unwrap().len();
    assert!(
        broken > 0 && verdict["checklist"]["items"] == listed.len(),
        "{verdict:#}"
    );
    assert_eq!(verdict["earlier"]["metric"], "macro_f1");
    let slices: Vec<&str> = verdict["slices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["slice"].as_str().unwrap())
        .collect();
    assert!(
        slices.contains(&"department=civil") && slices.contains(&"department=labour"),
        "{slices:?}"
    );
    let human = String::from_utf8(site.wengu(&["gate", "explain", "contracts"]).stdout).unwrap();
    let said = format!(
        "Of {} items that must not break, the challenger breaks {broken}",
        listed.len()
    );
    assert!(human.contains(&said), "{human}");
    assert_eq!(site.json(&["gate", "replay", "contracts", "2"])["same"], true);
    let events = site.json(&["incidents"]);
    assert!(
        events["open"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["firing"] == true),
        "{events:#}"
    );
}

#[test]
fn a_version_that_turns_out_worse_on_new_work_gives_way_to_the_anchor_by_itself() {
    if model().is_none() {
        return;
    }
    let config = QUICK_LEARNING.replace("epochs = 2", FORGETFUL);
    let mut site = Site::new(&format!("{config}{LENIENT}auto_rollback = true\n"));
    site.start();
    let right = clauses("1-first-delivery/clauses-a.jsonl", 10, 26);
    let (first, later) = right.split_at(right.len() * 2 / 3);
    site.deliver("first.jsonl", first);
    let (run, _) = site.train();
    let anchor = run["version"].as_str().expect("a version").to_owned();
    assert_eq!(run["decision"], "promote", "{run:#}");
    site.deliver("wrong.jsonl", &clauses("3-wrong-labels/clauses.jsonl", 10, 26));
    let (run, _) = site.train();
    assert_eq!(run["decision"], "promote", "the gate was told to let it pass: {run:#}");
    let worse = run["version"].clone();
    // New work shows it before it is learned from: the anchor knows it, the version in service does not.
    site.deliver("later.jsonl", later);
    site.train();
    let serving = |site: &Site| site.json(&["status"])["domains"][0]["serving"].clone();
    site.until("the anchor serves again", |site| {
        serving(site)["version"] == anchor.as_str()
    });
    let now = serving(&site);
    assert!(now["version"] != worse && now["how"] == "rolled_back", "{now}");
    // Every verdict since has looked at the first run's items.
    let why = site.json(&["gate", "explain", "contracts", "3"]);
    let wear = &why["wear"][0];
    assert_eq!((&wear["era"], &wear["looks"]), (&json!(1), &json!(2)));
    assert!(wear["points"].as_f64().unwrap() > 1.0, "{wear}");
    let human = String::from_utf8(site.wengu(&["gate", "explain", "contracts", "3"]).stdout).unwrap();
    assert!(human.contains("gate items of run 1 had decided 2 verdicts"), "{human}");
}

#[test]
fn files_unlike_those_that_were_learned_start_an_update_early_and_files_like_them_do_not() {
    if model().is_none() {
        return;
    }
    let config = QUICK_LEARNING.replace("epochs = 2", "epochs = 1");
    let mut site = Site::new(&config);
    site.rewrite("min_new_examples = 20", "min_new_examples = 120");
    site.start();
    let all = clauses("1-first-delivery/clauses-a.jsonl", 10, 26);
    let (first, later) = all.split_at(130);
    site.deliver("first.jsonl", first);
    assert_eq!(site.train().0["decision"], "promote");

    site.deliver("later.jsonl", later);
    let looked = |site: &Site| site.log().matches("inputs_looked_at").count();
    site.until("the new files are looked at", |site| looked(site) == 1);
    let domain = |site: &Site| site.json(&["status"])["domains"][0].clone();
    assert_eq!(
        domain(&site)["problems"],
        json!([]),
        "clauses of other contracts are like those before"
    );
    assert!(domain(&site)["new_examples"].as_u64() < Some(120));

    // Nobody has labelled these: that they are other texts shows all the same.
    let leaflets = std::fs::read(root().join("examples/demo/leaflets/leaflets-1.jsonl")).unwrap();
    site.drop_file("leaflets.jsonl", &leaflets);
    site.until("an update starts", |site| {
        let run = &domain(site)["last_run"];
        [&domain(site)["run"], run]
            .iter()
            .any(|run| run["reason"] == "inputs_shifted")
    });
    assert!(site.log().contains("are distributed unlike those of"), "{}", site.log());
    assert_eq!(site.json(&["incidents"])["open"], json!([]), "nobody is called for it");
}

#[test]
fn feedback_over_the_api_is_a_case_file_like_others() {
    let mut site = Site::new("");
    site.start();
    let give = |text: &str, label: &str, more: &[&str]| {
        let mut arguments = vec!["feedback", "contracts", text, "--label", label];
        arguments.extend(more);
        site.json(&arguments)["path"].as_str().unwrap().to_owned()
    };
    let clause = "Any dispute is settled by the courts of Shanghai. 因本合同引起的争议由上海法院管辖。";
    let path = give(clause, "Wrong Type", &["--case", "A-1"]);
    assert_eq!(
        give(clause, "Governing Law", &["--case", "A-1"]),
        path,
        "the last word counts"
    );
    let other = give("Neither party may assign this Agreement.", "Anti-Assignment", &[]);
    site.until("both are pooled", |site| site.files().get("pooled") == Some(&2));
    let explained = site.json(&["files", "explain", &path]);
    assert_eq!(explained["examples"][0]["label"], "Governing Law", "{explained:#}");
    assert!(
        explained["case_key"].as_str().unwrap().starts_with("feedback/"),
        "{explained:#}"
    );
    assert!(!site.log().contains("Shanghai"), "no log holds the text of a case");
    site.until("their bytes are in the store alone", |_| {
        [&path, &other].iter().all(|path| !std::path::Path::new(path).exists())
    });
    // It is there after a restart, and nothing is read twice.
    site.kill();
    site.start();
    assert_eq!(site.files().get("pooled"), Some(&2));
    // What the disk has changed before it was read is not learned.
    site.stop();
    let damaged = std::path::Path::new(&other).with_file_name("damaged.jsonl");
    let line = "{\"text\":\"Neither party may sign.\",\"label\":\"Governing Law\"}\n";
    std::fs::write(&damaged, format!("blake3 {}\n{line}", "0".repeat(64))).unwrap();
    site.start();
    site.until("it is set aside", |site| site.files().get("quarantined") == Some(&1));
    let explained = site.json(&["files", "explain", damaged.to_str().unwrap()]);
    assert!(
        explained.to_string().contains("does not match its checksum"),
        "{explained:#}"
    );
    for (arguments, said) in [
        (vec!["feedback", "nobody", "x", "--label", "y"], "nobody"),
        (vec!["feedback", "contracts", " ", "--label", "y"], "`text` is empty"),
    ] {
        let output = site.wengu(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}
