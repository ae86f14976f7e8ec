use super::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use wengu_store::Store;

const CHOSEN: &str = "0001-abc";

/// A state with one version in service, and a trainer that is a shell script; `$2` is the specification.
struct Site {
    dir: tempfile::TempDir,
    config: Config,
    /// Open, as by a daemon that runs: its lock is not asked for.
    _store: Store,
}

fn site(script: &str) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let text = format!(
        "state_dir = \"state\"\n[trainer]\ncommand = {}\n[models.base]\npath = \"base\"\n[domains.contracts]\n\
         watch = \"inbox\"\nmodel = \"base\"\n",
        json!(["sh", "-c", script, "trainer"])
    );
    let config = wengu_config::parse(&text, &root.join("wengu.toml")).unwrap();
    fs::create_dir(root.join("base")).unwrap();
    fs::write(root.join("base/tokenizer.json"), "of the base").unwrap();
    fs::write(root.join("base/vocab.txt"), "a\nb").unwrap();
    let manifest = json!({
        "schema": 1, "domain": "contracts", "run": 1, "parent": null, "files": {}, "labels": ["a", "b"], "train": [],
        "gate": [], "audit": [], "dropped": [],
        "base": {"path": root.join("base"), "sha256": {}, "precision": "bf16", "device": "auto"},
        "method": {"name": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": ["query"]},
        "learning": config.domains["contracts"].learning.training, "max_length": 16, "memory_bytes": 0, "seed": 1,
        "memory_seed": 1, "threads": 1, "gate_rules": config.domains["contracts"].gate.rules, "baselines": [],
        "plugins": [], "code_version": "0"
    });
    let layout = Layout::new(&config.state_dir);
    let (store, _) = Store::open(&layout.store(), wengu_store::Options::default()).unwrap();
    let manifest = store.objects().put_bytes(manifest.to_string().as_bytes()).unwrap();
    let version = layout.version("contracts", CHOSEN);
    for (name, text) in [
        ("adapter/adapter_config.json", "{}"),
        ("head/labels.json", "[]"),
        ("tokenizer/tokenizer.json", "own"),
    ] {
        let path = version.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let config_digest = crate::digest::sha256_file(&version.join("adapter/adapter_config.json")).unwrap();
    let lineage = Lineage {
        schema: crate::learn::adopt::LINEAGE_SCHEMA,
        id: CHOSEN.into(),
        domain: "contracts".into(),
        run: 1,
        parent: None,
        manifest,
        labels: vec!["a".into(), "b".into()],
        threshold: None,
        files: BTreeMap::from([("adapter/adapter_config.json".to_owned(), config_digest)]),
    };
    fs::write(version.join("lineage.json"), serde_json::to_vec(&lineage).unwrap()).unwrap();
    durable::swap_symlink(CHOSEN.as_ref(), &layout.current("contracts")).unwrap();
    Site {
        dir,
        config,
        _store: store,
    }
}

/// Writes a model, keeps the specification where the test looks, and answers.
const GOOD: &str = r#"out=$(dirname "$2"); cp "$2" "$out/../spec.json"; echo weights > "$out/model.safetensors";
    echo '{"schema":1,"class":"BertModel","head_apart":"no class has it"}'"#;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_version_in_service_becomes_a_folder_with_its_own_tokenizer() {
    let site = site(GOOD);
    let out = site.dir.path().join("out");
    let done = merged(&site.config, "contracts", None, &out, Some(Precision::Bf16)).unwrap();
    assert_eq!(
        (done.version.as_str(), done.class.as_deref()),
        (CHOSEN, Some("BertModel"))
    );
    assert!(done.head.unwrap().contains("no class has it"));
    assert_eq!(names(&out), ["model.safetensors", "tokenizer.json", "vocab.txt"]);
    assert_eq!(fs::read_to_string(out.join("tokenizer.json")).unwrap(), "own");
    let spec: Merge = serde_json::from_slice(&fs::read(site.dir.path().join("spec.json")).unwrap()).unwrap();
    assert_eq!((spec.version.labels.len(), spec.precision), (2, Some(Precision::Bf16)));
    assert!(spec.version.adapter.is_some() && spec.version.head.is_some());
    // Trained in BF16, merged in F32.
    let computed = (spec.base.precision, spec.base.device);
    assert_eq!(computed, (job::Precision::Fp32, Device::Cpu));
}

#[test]
fn a_folder_that_exists_is_left_alone() {
    let site = site(GOOD);
    let out = site.dir.path().join("out");
    fs::create_dir(&out).unwrap();
    for done in [
        merged(&site.config, "contracts", None, &out, None),
        adapter(&site.config, "contracts", None, &out),
    ] {
        assert!(done.unwrap_err().to_string().contains("exists already"));
    }
    assert!(names(&out).is_empty());
}

#[test]
fn a_trainer_that_fails_or_is_killed_leaves_nothing() {
    for (script, told) in [
        (
            r#"echo half > "$(dirname "$2")/model.safetensors"; echo 'no space left' >&2; exit 17"#,
            "no space left",
        ),
        (
            r#"echo half > "$(dirname "$2")/model.safetensors"; kill -9 $$"#,
            "signal: 9",
        ),
        ("exit 0", "answered"),
    ] {
        let site = site(script);
        let before = names(site.dir.path());
        let refused = merged(&site.config, "contracts", None, &site.dir.path().join("out"), None).unwrap_err();
        assert!(format!("{refused:#}").contains(told), "{refused:#}");
        assert_eq!(names(site.dir.path()), before);
    }
}

#[test]
fn what_a_killed_export_left_is_cleared_by_the_next() {
    let site = site(GOOD);
    let left = site.dir.path().join(".out.partial");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("half"), "").unwrap();
    let out = site.dir.path().join("out");
    merged(&site.config, "contracts", Some(CHOSEN), &out, None).unwrap();
    assert!(!out.join("half").exists() && !left.exists());
}

#[test]
fn an_adapter_is_copied_with_the_tokenizer_that_it_needs() {
    let site = site("exit 1");
    let out = site.dir.path().join("out");
    let done = adapter(&site.config, "contracts", None, &out).unwrap();
    assert_eq!(done.class, None);
    assert_eq!(names(&out), ["adapter_config.json", "tokenizer.json"]);
}

#[test]
fn a_version_that_is_not_there_or_was_changed_is_refused() {
    let site = site(GOOD);
    let out = site.dir.path().join("out");
    let error = |domain, id| adapter(&site.config, domain, id, &out).unwrap_err().to_string();
    assert!(error("contract", None).contains("contracts"));
    assert!(error("contracts", Some("0009-fff")).contains("wengu versions"));
    assert!(error("contracts", Some("../contracts")).contains("has no version"));
    let layout = Layout::new(&site.config.state_dir);
    fs::write(
        layout.version("contracts", CHOSEN).join("adapter/adapter_config.json"),
        "[]",
    )
    .unwrap();
    assert!(error("contracts", None).contains("SHA-256"));
    assert!(!out.exists());
}
