//! With a key nothing that was delivered can be read in the state directory, and all goes on as without one.

use crate::forgetting::{deliver_in_folder, first, labels, marked as marked_for_forgetting};
use crate::harness::{QUICK_LEARNING, Site, clauses, model};
use crate::markers::{MARKERS, assert_nowhere, files, found};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MARK: &str = "标记-4711-患者";
const ENCRYPTION: &str = "[encryption]\nkey_file = \"wengu.key\"\n";

/// Records with a mark and their number at the head of each text.
fn marked(file: &str) -> Vec<Value> {
    let mut records = clauses(file, 10, 26);
    for (number, record) in records.iter_mut().enumerate() {
        let text = format!("{MARK} {number} {}", record["text"].as_str().unwrap());
        record["text"] = text.into();
    }
    records
}

/// Files under the state directory in which any of these stands.
fn holding(site: &Site, words: &[String]) -> Vec<PathBuf> {
    let holds = |bytes: &[u8], word: &String| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    let found = files(&site.path("state")).into_iter();
    let found = found.filter(|(_, bytes)| words.iter().any(|word| holds(bytes, word)));
    found.map(|(path, _)| path).collect()
}

/// The mark, and the beginning of what the texts were without it.
fn words(records: &[Value]) -> Vec<String> {
    let mut words = vec![MARK.to_string()];
    for record in records.iter().step_by(20) {
        let text = record["text"].as_str().unwrap().chars().skip(MARK.chars().count() + 5);
        words.push(text.take(30).collect());
    }
    words
}

fn new_key(site: &Site, name: &str) -> String {
    let made = site.wengu(&["key", "new", name, "--json"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["key"].as_str().unwrap().to_string()
}

fn refused(site: &Site, arguments: &[&str], code: i32, message: &str) {
    let output = site.wengu(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(told.contains(message), "{arguments:?}: {told}");
}

fn first_object(dir: &Path) -> PathBuf {
    let mut shards: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("tmp"))
        .collect();
    shards.sort();
    fs::read_dir(&shards[0]).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn with_a_key_no_text_is_on_the_disk_and_no_other_key_opens_it() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(&format!("{QUICK_LEARNING}{ENCRYPTION}"));
    let id = new_key(&site, "wengu.key");
    site.start();
    let records = marked("1-first-delivery/clauses-a.jsonl");
    site.deliver("first.jsonl", &records);
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    let label = records[0]["label"].as_str().unwrap();
    let said = site.wengu(&["feedback", "contracts", &format!("{MARK} 又一条"), "--label", label]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    site.until("the feedback was read", |site| {
        !site.files().contains_key("ingested") && site.files().values().sum::<usize>() == 2
    });
    assert_eq!(holding(&site, &words(&records)), Vec::<PathBuf>::new());
    let version = first["version"].as_str().unwrap();
    let why = site.json(&["versions", "explain", "contracts", version]);
    assert!(why["memory_examples"].as_u64() > Some(0), "{why:#}");
    let inbox = site.path("inbox/first.jsonl");
    let file = site.json(&["files", "explain", inbox.to_str().unwrap()]);
    assert!(file.to_string().contains(MARK), "{file:#}");
    let environment = fs::read(format!("/proc/{}/environ", site.daemon_pid())).unwrap();
    let key = fs::read_to_string(site.path("wengu.key")).unwrap();
    assert!(!environment.windows(44).any(|part| part == key.trim().as_bytes()));
    site.stop();

    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
    new_key(&site, "other.key");
    site.rewrite("wengu.key", "other.key");
    for arguments in [vec!["run"], vec!["store", "verify"], vec!["store", "rebuild"]] {
        refused(&site, &arguments, 78, &id);
    }
    site.rewrite("key_file = \"other.key\"\n", "");
    refused(&site, &["run"], 78, "no key is given");
    site.rewrite("[encryption]\n", ENCRYPTION);
    let object = first_object(&site.path("state/store/objects"));
    let mut bytes = fs::read(&object).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&object).unwrap();
    fs::write(&object, bytes).unwrap();
    assert_eq!(site.wengu(&["store", "verify"]).status.code(), Some(6));
}

#[test]
fn what_is_there_is_sealed_later_learned_on_and_given_another_key() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(QUICK_LEARNING);
    site.start();
    let records = marked("1-first-delivery/clauses-a.jsonl");
    site.deliver("first.jsonl", &records);
    let (first, code) = site.train();
    assert_eq!((code, &first["decision"]), (0, &json!("promote")), "{first:#}");
    site.stop();
    assert!(
        !holding(&site, &words(&records)).is_empty(),
        "the search finds nothing at all"
    );

    site.rewrite("[trainer]\n", &format!("{ENCRYPTION}[trainer]\n"));
    refused(&site, &["run"], 78, "wengu key new");
    new_key(&site, "wengu.key");
    refused(&site, &["run"], 78, "wengu store encrypt");
    let done = site.json(&["store", "encrypt"]);
    assert_eq!((&done["already"], &done["files"]), (&json!(0), &json!(2)), "{done:#}");
    assert_eq!(holding(&site, &words(&records)), Vec::<PathBuf>::new());

    site.start();
    let more = marked("2-new-clause-types/clauses.jsonl");
    site.deliver("second.jsonl", &more);
    let (second, _) = site.train();
    assert!(second["decision"].is_string(), "{second:#}");
    assert_eq!(holding(&site, &words(&more)), Vec::<PathBuf>::new());
    site.stop();

    let id = new_key(&site, "next.key");
    site.rewrite("wengu.key", "next.key");
    refused(&site, &["store", "encrypt"], 78, "--old-key-file");
    let done = site.json(&["store", "encrypt", "--old-key-file", "wengu.key"]);
    assert_eq!((&done["key"], &done["already"]), (&json!(id), &json!(0)), "{done:#}");
    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
    site.start();
    let version = first["version"].as_str().unwrap();
    let why = site.json(&["versions", "explain", "contracts", version]);
    assert!(why["memory_examples"].as_u64() > Some(0), "{why:#}");
    site.stop();
}

/// Everything that is sealed in the state directory, as it is with the key.
fn unsealed(site: &Site) -> tempfile::TempDir {
    let key = wengu_seal::Key::read(&site.path("wengu.key"), false).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (number, (path, bytes)) in files(&site.path("state")).into_iter().enumerate() {
        if !wengu_seal::is_sealed(&bytes) {
            continue;
        }
        let contexts = [
            "object",
            "version/memory/examples.jsonl",
            "version/evaluation.json",
            "feedback",
        ];
        let mut opened = contexts.iter().map(|context| wengu_seal::open(&key, context, &bytes));
        let opened = opened.find_map(Result::ok);
        let opened = opened.unwrap_or_else(|| panic!("{} does not open", path.display()));
        fs::write(dir.path().join(number.to_string()), opened).unwrap();
    }
    dir
}

#[test]
fn what_is_forgotten_under_a_key_is_nowhere_sealed_or_in_clear_and_its_receipt_verifies() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(&format!("{QUICK_LEARNING}{ENCRYPTION}"));
    new_key(&site, "wengu.key");
    site.start();
    let names = labels();
    let (name, text) = marked_for_forgetting(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let path = deliver_in_folder(&site, &name, &text);
    site.until("the marked file is read", |site| site.files().contains_key("pooled"));
    site.deliver("first.jsonl", &first());
    let (run, code) = site.train();
    assert_eq!((code, &run["decision"]), (0, &json!("promote")), "{run:#}");
    let there = |dir: &Path| -> BTreeSet<usize> { found(dir).into_iter().map(|(n, _)| n).collect() };
    // Texts, cases and what is not read are sealed; names of files are in the journal, and a label may be in the version.
    let in_clear = there(&site.path("state"));
    assert!(in_clear.is_superset(&BTreeSet::from([4, 5])), "{in_clear:?}");
    assert!(in_clear.is_subset(&BTreeSet::from([4, 5, 6])), "{in_clear:?}");
    let sealed = there(unsealed(&site).path());
    let both: BTreeSet<usize> = sealed.union(&in_clear).copied().collect();
    assert_eq!(both, (0..MARKERS).collect(), "the search finds what is there");

    let done = site.json(&[
        "forget",
        path.to_str().unwrap(),
        "--reason",
        "consent withdrawn",
        "--yes",
    ]);
    assert_nowhere(&site);
    let left = found(unsealed(&site).path());
    assert!(left.is_empty(), "sealed: {left:?}");
    let receipt = done["receipt_path"].as_str().unwrap();
    let key = site.json(&["forget", "public-key"]);
    let verified = site.json(&["forget", "verify", receipt, "--key", key.as_str().unwrap()]);
    assert_eq!(verified["id"], done["receipt"]["id"]);
    assert_eq!(verified["versions_made"].as_array().unwrap().len(), 1, "{verified:#}");
    assert_eq!(site.files()["learned"], 1);
    site.stop();
    assert_nowhere(&site);
    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
}
