//! A version that was trained, written for other programs.

use crate::harness::{QUICK_LEARNING, Site, clauses, model, program};
use std::fs;
use std::path::Path;
use std::process::Command;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_trained_version_is_exported_while_the_daemon_runs_and_a_full_disk_leaves_nothing() {
    if model().is_none() {
        return;
    }
    // Some of the examples say when to stop.
    let mut site =
        Site::new(&QUICK_LEARNING.replace("epochs = 2", "epochs = 2\nvalidation_percent = 20\npatience = 1"));
    site.start();
    site.deliver("a.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 3, 20));
    site.until("the file is pooled", |site| site.files().contains_key("pooled"));
    let (run, _) = site.train();
    let id = run["version"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned();

    let out = site.path("merged");
    let whole = out.to_str().unwrap();
    let before = names(site.dir.path());
    // SIGXFSZ is ignored, so that a write beyond the limit fails as on a full disk.
    let limited = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 20000; exec \"$@\"")
        .args(["sh".as_ref(), program("wengu").as_os_str(), "--config".as_ref()])
        .arg(site.path("wengu.toml"))
        .args(["export", "contracts", "--version", &id, "--merged", whole])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stderr);
    assert!(
        limited.status.code() == Some(1) && said.contains("cannot write"),
        "{said}"
    );
    assert_eq!(names(site.dir.path()), before);

    let done = site.json(&["export", "contracts", "--version", &id, "--merged", whole]);
    assert_eq!(
        (&done["class"], &done["version"]),
        (&"BertModel".into(), &id.as_str().into())
    );
    assert!(done["head"].as_str().unwrap().contains("mean"), "{done}");
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "head",
        "1_Pooling",
    ] {
        assert!(out.join(name).exists(), "{name} is missing: {:?}", names(&out));
    }
    assert!(!out.join("merge.json").exists());
    let base = fs::metadata(model().unwrap().join("model.safetensors")).unwrap().len();
    let written = fs::metadata(out.join("model.safetensors")).unwrap().len();
    assert!(
        written.abs_diff(base) < 20_000,
        "{written} bytes where the base has {base}"
    );
    let again = site.wengu(&["export", "contracts", "--version", &id, "--merged", whole]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));

    let adapter = site.path("adapter");
    site.json(&[
        "export",
        "contracts",
        "--version",
        &id,
        "--adapter",
        adapter.to_str().unwrap(),
    ]);
    assert_eq!(names(&adapter), ["adapter_config.json", "adapter_model.safetensors"]);
    site.stop();
}
