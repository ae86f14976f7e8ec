//! What is there after the job, read from the disk by other means than the daemon's.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use wengu_store::records::{CurrentRecord, FileRecord, RunRecord, VersionRecord};
use wengu_store::{IndexKind, Options, Record, Store};

/// What a job left, and what it should not have left.
#[derive(Debug, Default)]
pub struct Found {
    /// How often the daemon, its trainer or the command line was killed.
    pub kills: u64,
    /// Ids of all versions, in order: they name what was learned, from what, to the last bit.
    pub versions: Vec<String>,
    /// The version in service.
    pub current: String,
    /// Files by name and state.
    pub files: BTreeMap<String, String>,
    /// How often each failpoint was reached.
    pub reached: BTreeMap<String, u64>,
    /// Delivered and unknown, or in no state that the undisturbed job leaves.
    pub files_lost: u64,
    /// Texts that two accepted runs learned, or one run twice.
    pub learned_twice: u64,
    /// Events that were recorded or should have been, and never arrived, or came under two ids.
    pub alerts_lost: u64,
    /// Versions in service whose directory is not what its lineage says.
    pub unverified: u64,
}

/// An event in the outbox, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outbox(pub Value);

impl Record for Outbox {
    const TABLE: &'static str = "outbox";
    const VERSION: u16 = 1;
}

/// Looks at everything that a stopped daemon left in `dir`.
pub fn look(dir: &Path, kills: u64, arrivals: &[(String, Value)], refused: bool) -> Found {
    let state = dir.join("state");
    let store = state.join("store");
    // With the index that the daemon had.
    let index = match store.join("index-redb").exists() {
        true => IndexKind::Redb,
        false => IndexKind::Sled,
    };
    let options = Options {
        index,
        ..Options::default()
    };
    let (store, _) = Store::open(&store, options).unwrap();
    assert_eq!(store.verify().unwrap().problems, []);
    let mut found = Found {
        kills,
        ..Found::default()
    };
    found.reached = reached(&dir.join("reached"));

    for (_, file) in store.scan::<FileRecord>("contracts/").unwrap() {
        let name = Path::new(&file.path).strip_prefix(dir.join("inbox")).unwrap();
        let state = serde_json::to_value(&file.state).unwrap();
        let state = state["name"].as_str().unwrap_or_else(|| panic!("{state}"));
        found.files.insert(name.display().to_string(), state.into());
    }
    for delivery in fs::read_dir(dir.join("inbox")).unwrap().map(Result::unwrap) {
        for file in fs::read_dir(delivery.path()).unwrap().map(Result::unwrap) {
            let path = file.path();
            let name = path.strip_prefix(dir.join("inbox")).unwrap().display().to_string();
            let lost = !matches!(
                found.files.get(&name).map(String::as_str),
                Some("learned" | "held_back")
            );
            found.files_lost += u64::from(lost);
        }
    }

    let versions = store.scan::<VersionRecord>("contracts/").unwrap();
    let promoted: BTreeSet<u64> = versions
        .iter()
        .filter(|(_, v)| v.promoted)
        .map(|(_, v)| v.run)
        .collect();
    found.versions = versions.into_iter().map(|(_, version)| version.id).collect();
    let (mut texts, mut files) = (BTreeSet::new(), BTreeSet::new());
    let runs = store.scan::<RunRecord>("contracts/").unwrap();
    for (_, run) in &runs {
        if !promoted.contains(&run.run) {
            continue;
        }
        let manifest: Value = serde_json::from_slice(&store.objects().get(&run.manifest).unwrap()).unwrap();
        for item in manifest["train"].as_array().unwrap() {
            found.learned_twice += u64::from(!texts.insert(item["text_id"].as_str().unwrap().to_string()));
        }
        for file in manifest["files"].as_object().unwrap().keys() {
            found.learned_twice += u64::from(!files.insert(file.clone()));
        }
    }

    let current = store
        .get::<CurrentRecord>("contracts")
        .unwrap()
        .expect("a version serves");
    found.unverified += u64::from(champion(&state) != Ok(Some(current.version.clone())));
    found.current = current.version;

    let ids: BTreeSet<&str> = arrivals.iter().map(|(id, _)| id.as_str()).collect();
    let recorded = store.scan::<Outbox>("").unwrap();
    let missing = recorded
        .iter()
        .filter(|(_, event)| !ids.contains(event.0["id"].as_str().unwrap()));
    found.alerts_lost += missing.count() as u64;
    // One for each verdict and one for the rollback, each under one id.
    let mut told: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (id, event) in arrivals {
        let what = format!("{} {}", event["type"].as_str().unwrap(), event["data"]["run"]);
        told.entry(what).or_default().insert(id);
    }
    let rolled_back = "wengu.version.rolled_back null".to_string();
    let expected = runs
        .iter()
        .map(|(_, run)| format!("wengu.version.promoted \"{}\"", run.run));
    for what in expected.chain([rolled_back]) {
        found.alerts_lost += u64::from(told.remove(&what).is_none_or(|ids| ids.len() != 1));
    }
    // An update that the disk did not let plan or train is told, and tried again.
    told.retain(|what, _| !(refused && what.starts_with("wengu.training.failed")));
    assert!(told.is_empty(), "told without a reason: {told:?}");
    found
}

/// How often each failpoint was reached, from their log.
pub fn reached(log: &Path) -> BTreeMap<String, u64> {
    let mut reached = BTreeMap::new();
    for name in fs::read_to_string(log).unwrap_or_default().lines() {
        *reached.entry(name.to_string()).or_default() += 1;
    }
    reached
}

/// The version that is served, after its directory was held against its lineage; None before the first.
pub fn champion(state: &Path) -> Result<Option<String>, String> {
    let link = state.join("versions/contracts/current");
    let Ok(target) = fs::read_link(&link) else {
        return Ok(None);
    };
    let dir = state.join("versions/contracts").join(&target);
    let lineage = fs::read(dir.join("lineage.json")).map_err(|e| format!("{}: {e}", dir.display()))?;
    let lineage: Value = serde_json::from_slice(&lineage).map_err(|e| format!("{}: {e}", dir.display()))?;
    let files = lineage["files"].as_object().ok_or("a lineage without files")?;
    for (name, expected) in files {
        let bytes = fs::read(dir.join(name)).map_err(|e| format!("{name}: {e}"))?;
        let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if Some(hex.as_str()) != expected.as_str() {
            return Err(format!("{} of {} is not what was adopted", name, target.display()));
        }
    }
    Ok(Some(target.display().to_string()))
}
