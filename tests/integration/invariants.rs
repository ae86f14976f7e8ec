//! What the architecture says is absent, is absent.

use crate::harness::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Package name to the names of all packages it links, itself included (no dev- or build-dependencies).
fn linked() -> BTreeMap<String, BTreeSet<String>> {
    // For this platform alone: what only others link was never downloaded.
    let about = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let about = String::from_utf8(about.stdout).unwrap();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_string();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (text(&p["id"]), text(&p["name"])))
        .collect();
    let mut direct: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let dependencies = node["deps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["dep_kinds"].as_array().unwrap().iter().any(|k| k["kind"].is_null()));
        direct.insert(text(&node["id"]), dependencies.map(|d| text(&d["pkg"])).collect());
    }
    let mut all = BTreeMap::new();
    for member in metadata["workspace_members"].as_array().unwrap() {
        let mut seen = BTreeSet::new();
        let mut todo = vec![text(member)];
        while let Some(id) = todo.pop() {
            if seen.insert(id.clone()) {
                todo.extend(direct[&id].iter().cloned());
            }
        }
        all.insert(
            names[&text(member)].clone(),
            seen.iter().map(|id| names[id].clone()).collect(),
        );
    }
    all
}

/// Members that link a package.
fn who_links(package: &str) -> BTreeSet<String> {
    // What the fuzzer runs is every parser there is; it is a test.
    linked()
        .into_iter()
        .filter(|(name, links)| name != "wengu-fuzz-targets" && links.contains(package))
        .map(|(name, _)| name)
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| n.to_string()).collect()
}

#[test]
fn only_the_trainer_links_libtorch() {
    assert_eq!(who_links("torch-sys"), set(&["wengu-trainer"]));
}

#[test]
fn only_the_plugin_host_and_the_validator_open_libraries() {
    assert_eq!(
        who_links("libloading"),
        set(&["wengu-plugin-check", "wengu-plugin-host", "wengu-plugin-loader"])
    );
}

#[test]
fn only_the_reader_links_parsers_of_documents() {
    for parser in ["lopdf", "html5gum", "quick-xml", "mail-parser", "parquet"] {
        assert_eq!(who_links(parser), set(&["wengu-reader"]), "{parser}");
    }
}

#[test]
fn workers_never_open_the_store() {
    for engine in ["sled", "redb"] {
        assert_eq!(who_links(engine), set(&["wengu", "wengu-store"]));
    }
}

#[test]
fn decisions_know_no_runtime_no_network_and_no_disk() {
    let links = &linked()["wengu-decide"];
    for package in ["tokio", "reqwest", "sled", "notify", "wengu-store", "tempfile"] {
        assert!(!links.contains(package), "wengu-decide links {package}");
    }
    for entry in walk(&root().join("daemon/decide/src")) {
        let text = std::fs::read_to_string(&entry).unwrap();
        for word in [
            "std::fs",
            "Utc::now",
            "Local::now",
            "SystemTime::now",
            "Instant::now",
            "std::env",
        ] {
            assert!(!text.contains(word), "{} uses {word}", entry.display());
        }
    }
}

/// Every file below a folder.
pub fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else {
            files.push(path)
        }
    }
    files
}
