//! The sweep is held against bugs that were planted: a sweep that cannot fail proves nothing. Each bug leaves what it would
//! leave (a write that was acknowledged and is not there, a file that two runs learned, an event that nobody sent, a
//! champion that is not what was adopted), and the very checker that finds nothing after a kill has to find it.

use crate::found::{self, Found, Outbox};
use crate::job::{self, Job};
use crate::{Tally, trainer};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use wengu_store::records::{CurrentRecord, FileRecord, RunRecord, VersionRecord};
use wengu_store::{Batch, Options, Store};

/// What the sweep says of it; what it counts, by name.
fn counted(expected: &Found, found: &Found) -> Vec<(&'static str, u64)> {
    let mut tally = Tally::default();
    tally.add(expected, found);
    let counts = [
        ("files lost", tally.files_lost),
        ("learned twice", tally.learned_twice),
        ("alerts lost", tally.alerts_lost),
        ("champions unverified", tally.unverified),
        ("other versions", tally.other_versions),
    ];
    let counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    let passed = std::panic::catch_unwind(|| tally.must_be_zero()).is_ok();
    assert_eq!(passed, counts.is_empty(), "{tally:?}");
    counts
}

/// A job that has ended well, and its store while the daemon is down.
struct Planted {
    job: Job,
    sound: Found,
}

impl Planted {
    fn store(&self) -> Store {
        Store::open(&self.job.path("state/store"), Options::default())
            .unwrap()
            .0
    }

    /// Commits a bug, looks, commits what was there before, and looks again.
    fn commit(
        &self,
        bug: impl Fn(&Store, Batch) -> Batch,
        undo: impl Fn(&Store, Batch) -> Batch,
    ) -> Vec<(&'static str, u64)> {
        let put = |change: &dyn Fn(&Store, Batch) -> Batch| {
            let store = self.store();
            store.commit(change(&store, Batch::new("planted"))).unwrap();
        };
        put(&bug);
        let counts = self.look();
        put(&undo);
        assert_eq!(self.look(), [], "what is left after the bug was taken out");
        counts
    }

    fn look(&self) -> Vec<(&'static str, u64)> {
        counted(&self.sound, &job::look(&self.job))
    }
}

#[test]
fn the_sweep_counts_what_a_planted_bug_has_left() {
    if !trainer() {
        return;
    }
    let mut job = Job::new("", "");
    let sound = job::to_the_end(&mut job, &mut || None);
    let planted = Planted { job, sound };
    assert_eq!(planted.look(), [], "nothing is planted yet");
    let store = planted.store();
    let first = |name: &str| {
        let mut files = store.scan::<FileRecord>("contracts/").unwrap().into_iter();
        files.find(|(_, file)| file.path.contains(name)).unwrap()
    };
    let (file, in_second) = (first("/1/0.jsonl"), first("/2/0.jsonl"));
    let run = |n: u64| {
        let key = RunRecord::key("contracts", n);
        (key.clone(), store.get::<RunRecord>(&key).unwrap().unwrap())
    };
    let (runs, current) = (
        [run(1), run(2)],
        store.get::<CurrentRecord>("contracts").unwrap().unwrap(),
    );
    let manifests = runs
        .each_ref()
        .map(|(_, run)| -> Value { serde_json::from_slice(&store.objects().get(&run.manifest).unwrap()).unwrap() });
    let version_key = VersionRecord::key("contracts", &planted.sound.versions[1]);
    let version = store.get::<VersionRecord>(&version_key).unwrap().unwrap();
    let event = store.scan::<Outbox>("").unwrap().remove(0);
    drop(store);

    // A commit that was acknowledged and is not there: a file's record.
    let counts = planted.commit(
        |_, batch| batch.delete::<FileRecord>(&file.0),
        |_, batch| batch.put(&file.0, &file.1).unwrap(),
    );
    assert_eq!(counts, [("files lost", 1)]);
    // One that came too early: the record that the verdict's settling replaced.
    let unsettled = FileRecord {
        state: wengu_store::records::FileState::Ingested,
        ..in_second.1.clone()
    };
    let counts = planted.commit(
        |_, batch| batch.put(&in_second.0, &unsettled).unwrap(),
        |_, batch| batch.put(&in_second.0, &in_second.1).unwrap(),
    );
    assert_eq!(counts, [("files lost", 1)]);
    // A second run that was given what the first had learned.
    let counts = planted.commit(
        |store, batch| {
            let mut manifest = manifests[1].clone();
            let again = manifests[0]["train"][0].clone();
            manifest["train"].as_array_mut().unwrap().push(again);
            let bytes = serde_json::to_vec(&manifest).unwrap();
            let (key, run) = &runs[1];
            let run = RunRecord {
                manifest: store.objects().put_bytes(&bytes).unwrap(),
                ..run.clone()
            };
            batch.put(key, &run).unwrap()
        },
        |_, batch| batch.put(&runs[1].0, &runs[1].1).unwrap(),
    );
    assert_eq!(counts, [("learned twice", 1)]);
    // An event that was recorded, and that its endpoint never got.
    let unsent = Outbox(json!({"id": "never-sent", "type": "wengu.gate.hold"}));
    let counts = planted.commit(
        |_, batch| batch.put("never-sent", &unsent).unwrap(),
        |_, batch| batch.delete::<Outbox>("never-sent"),
    );
    assert_eq!(counts, [("alerts lost", 1)]);
    // A champion of which the journal says nothing more.
    let other = CurrentRecord {
        version: planted.sound.versions[1].clone(),
        ..current.clone()
    };
    let counts = planted.commit(
        |_, batch| batch.put("contracts", &other).unwrap(),
        |_, batch| batch.put("contracts", &current).unwrap(),
    );
    assert_eq!(counts, [("champions unverified", 1), ("other versions", 1)]);
    let counts = planted.commit(
        |_, batch| batch.delete::<VersionRecord>(&version_key),
        |_, batch| batch.put(&version_key, &version).unwrap(),
    );
    assert!(counts.contains(&("other versions", 1)), "{counts:?}");

    // Events that were lost on their way, or told under two ids.
    let arrivals = planted.job.arrivals.clone();
    let told = arrivals.lock().unwrap().clone();
    let id = event.1.0["id"].as_str().unwrap();
    arrivals.lock().unwrap().retain(|(arrived, _)| arrived != id);
    // As recorded, and as what the verdict owed.
    assert_eq!(planted.look(), [("alerts lost", 2)]);
    *arrivals.lock().unwrap() = told.clone();
    let twice = told.iter().find(|(arrived, _)| arrived == id).unwrap().1.clone();
    arrivals.lock().unwrap().push(("another id".into(), twice));
    assert_eq!(planted.look(), [("alerts lost", 1)]);
    *arrivals.lock().unwrap() = told;

    // A write into the champion's files that is not what was adopted, and a link that nobody pointed.
    let link = planted.job.path("state/versions/contracts/current");
    let weights: PathBuf = link.join("adapter/adapter_model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    let overwrite = |bytes: &[u8]| {
        fs::remove_file(&weights).unwrap();
        fs::write(&weights, bytes).unwrap();
    };
    overwrite(&bytes);
    assert_eq!(planted.look(), [("champions unverified", 1)]);
    overwrite(&whole);
    let target = fs::read_link(&link).unwrap();
    fs::remove_file(&link).unwrap();
    assert_eq!(planted.look(), [("champions unverified", 1)]);
    std::os::unix::fs::symlink(target, &link).unwrap();
    assert_eq!(planted.look(), []);
    assert!(found::champion(&planted.job.path("state")).unwrap().is_some());
}

#[test]
fn the_sweep_counts_what_a_daemon_does_whose_renames_are_lost() {
    if !trainer() {
        return;
    }
    // The daemon goes on as always, since it is told that each was done.
    let found = job::run_losing("versions/contracts/current");
    assert_eq!((found.kills, found.unverified), (0, 1), "{found:?}");
    assert_eq!(counted(&found, &found), [("champions unverified", 1)]);
}
