//! Files as people drop them, and what became of each.

use crate::harness::Site;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

#[test]
fn every_file_gets_a_state_that_can_be_explained() {
    let mut site = Site::new("");
    site.start();
    site.drop_file(
        "good.jsonl",
        b"{\"text\": \"one\", \"label\": \"a\"}\n{broken\n{\"text\": \"two\", \"label\": \"b\"}\n",
    );
    site.drop_file(
        "copy.jsonl",
        b"{\"text\": \"one\", \"label\": \"a\"}\n{broken\n{\"text\": \"two\", \"label\": \"b\"}\n",
    );
    site.drop_file(
        "chinese.csv",
        &encoding("text,label\n本合同适用中华人民共和国法律并受其管辖,适用法律\n"),
    );
    site.drop_file("scan.pdf", b"%PDF-1.7 and no more");
    site.drop_file("note.txt", b"a text that nobody has labelled");
    site.drop_file(".hidden.jsonl", b"{\"text\": \"x\", \"label\": \"a\"}\n");
    site.drop_file("upload.part", b"half");
    site.until("five files have a state", |s| {
        let files = s.files();
        files.values().sum::<usize>() == 5 && !files.contains_key("ingested")
    });
    let expected = [("duplicate", 1), ("pooled", 2), ("quarantined", 1), ("unlabelled", 1)];
    assert_eq!(site.files(), expected.map(|(s, n)| (s.to_string(), n)).into());

    let all = site.json(&["files"]);
    let pooled = all.as_array().unwrap().iter().filter(|f| f["state"] == "pooled");
    let paths: Vec<String> = pooled.map(|f| f["path"].as_str().unwrap().to_string()).collect();
    let good = paths.iter().find(|p| p.ends_with(".jsonl")).unwrap();
    let explained = site.json(&["files", "explain", good]);
    assert_eq!(explained["rejected"][0][0], 2, "the broken record is named by its line");
    assert_eq!(explained["examples"].as_array().unwrap().len(), 2);
    let chinese = site.json(&["files", "explain", paths.iter().find(|p| p.ends_with(".csv")).unwrap()]);
    assert_eq!(chinese["examples"][0]["label"], "适用法律");

    // A sidecar that comes later labels the file all the same.
    site.drop_file("note.txt.label", b"a");
    site.until("the note is labelled", |s| s.files().get("pooled") == Some(&3));
}

fn encoding(text: &str) -> Vec<u8> {
    let (bytes, _, lossy) = encoding_rs::GB18030.encode(text);
    assert!(!lossy);
    bytes.into_owned()
}

/// As on shares that Windows machines of before wrote: the bytes of such a name are no text in UTF-8.
#[test]
fn a_name_in_an_old_encoding_is_as_good_as_any() {
    let mut site = Site::new("");
    let at = |name: &str| site.path("inbox").join(OsString::from_vec(encoding(name)));
    let [note, copy] = [at("出院小结与病历.jsonl"), at("出院小结与病历之二.jsonl")];
    let text = "{\"text\": \"one\", \"label\": \"a\"}\n";
    let explained = |site: &Site, name: &str| {
        let path = site.path("inbox").join(name);
        site.json(&["files", "explain", path.to_str().unwrap()])["file"].clone()
    };
    site.start();
    fs::write(&note, text).unwrap();
    site.until("it has been read", |s| s.files().get("pooled") == Some(&1));
    // People see and say the name, and a script may pass its bytes on.
    assert_eq!(explained(&site, "出院小结与病历.jsonl")["state"], "pooled");
    let mut command = site.command(&["files", "explain"]);
    let said = command.arg(&note).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    // The other file is there, so that this is its copy, and no new name of it.
    fs::write(&copy, text).unwrap();
    site.until("the copy has been read", |s| s.files().get("duplicate") == Some(&1));
    assert_eq!(explained(&site, "出院小结与病历.jsonl")["state"], "pooled");
    // What goes while nobody watches is missed.
    site.stop();
    fs::remove_file(&copy).unwrap();
    site.start();
    site.until("its loss was seen", |s| {
        explained(s, "出院小结与病历之二.jsonl")["present"] == false
    });
    assert_eq!(explained(&site, "出院小结与病历.jsonl")["present"], true);
    let named = site.path("inbox").join("出院小结与病历.jsonl");
    site.json(&[
        "forget",
        named.to_str().unwrap(),
        "--reason",
        "r",
        "--yes",
        "--delete-source",
    ]);
    site.until("the file has been deleted", |_| !note.exists());
}

#[test]
fn what_was_set_aside_is_read_again_when_it_is_touched() {
    let mut site = Site::new("");
    site.start();
    site.drop_file("broken.jsonl", b"{\"text\": 7}\n");
    site.drop_file("good.txt", b"a text that nobody has labelled");
    let path = |name: &str| site.path("inbox").join(name);
    let shown = |name: &str| site.json(&["files", "explain", &path(name).display().to_string()])["file"].clone();
    site.until("both have been read", |s| {
        s.files()
            == [("quarantined", 1), ("unlabelled", 1)]
                .map(|(s, n)| (s.to_string(), n))
                .into()
    });
    let before = shown("broken.jsonl");
    let touch = |name: &str| {
        let file = fs::OpenOptions::new().append(true).open(path(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5))
            .unwrap();
    };
    touch("broken.jsonl");
    touch("good.txt");
    site.until("it was read again", |_| {
        let now = shown("broken.jsonl");
        now["revision"].as_u64() > before["revision"].as_u64() && now["state"] == "quarantined"
    });
    assert_eq!(
        shown("broken.jsonl")["explanation"],
        before["explanation"],
        "nothing about it has changed"
    );
    // What is taken is not learned anew for a new date.
    assert_eq!(
        (&shown("good.txt")["state"], &shown("good.txt")["revision"]),
        (&json!("unlabelled"), &json!(1))
    );
}

#[test]
fn renames_and_rewrites_keep_the_case() {
    let mut site = Site::new("");
    site.start();
    site.deliver("case.jsonl", &[json!({"text": "first words", "label": "a"})]);
    let path = |name: &str| site.path("inbox").join(name).display().to_string();
    site.until("the file is pooled", |s| s.files().get("pooled") == Some(&1));
    let first = site.json(&["files", "explain", &path("case.jsonl")]);
    fs::rename(path("case.jsonl"), path("renamed.jsonl")).unwrap();
    site.until("the new name is known", |s| {
        s.json(&["files"])
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["path"] == path("renamed.jsonl"))
    });
    let renamed = site.json(&["files", "explain", &path("renamed.jsonl")]);
    assert_eq!(renamed["case_key"], first["case_key"]);
    assert_eq!(renamed["content"], first["content"]);
    assert_eq!(site.files(), [("pooled".to_string(), 1)].into());
    site.deliver("renamed.jsonl", &[json!({"text": "other words", "label": "a"})]);
    site.until("the second revision is pooled", |s| {
        let file = s.json(&["files", "explain", &path("renamed.jsonl")]);
        file["file"]["revision"] == 2 && file["file"]["state"] == "pooled"
    });
    let rewritten = site.json(&["files", "explain", &path("renamed.jsonl")]);
    assert_eq!(rewritten["case_key"], first["case_key"]);
}

#[test]
fn without_its_index_the_store_loses_nothing() {
    let mut site = Site::new("");
    site.start();
    for i in 0..12 {
        site.deliver(
            &format!("{i}.jsonl"),
            &[json!({"text": format!("text number {i}"), "label": "a", "doc": i})],
        );
    }
    site.until("all are pooled", |s| s.files().get("pooled") == Some(&12));
    let before = site.json(&["files"]);
    site.stop();
    fs::remove_dir_all(site.path("state/store/index")).unwrap();
    site.start();
    site.until("the folder was looked at again", |s| {
        s.json(&["status"])["domains"][0]["intake_busy"] == false
    });
    let strip = |files: &serde_json::Value| -> Vec<(String, String)> {
        let text = |v: &serde_json::Value| v.as_str().unwrap().to_string();
        files
            .as_array()
            .unwrap()
            .iter()
            .map(|f| (text(&f["path"]), text(&f["explanation"])))
            .collect()
    };
    assert_eq!(strip(&site.json(&["files"])), strip(&before));
}

#[test]
fn the_log_at_its_most_talkative_has_nothing_of_the_texts() {
    const MARK: &str = "患者主诉胸痛QX7";
    let mut site = Site::new("");
    site.start_with(&[("WENGU_LOG", "trace")]);
    let record = json!({"text": format!("{MARK} 一"), "label": "a"});
    site.deliver("good.jsonl", std::slice::from_ref(&record));
    site.drop_file(
        "broken.jsonl",
        format!("{record}\n{{\"text\": \"{MARK}\n{{\"text\": 7, \"{MARK}\": 1}}\n").as_bytes(),
    );
    site.drop_file("note.txt", MARK.as_bytes());
    site.drop_file("page.html", format!("<p>{MARK}</p>").as_bytes());
    site.drop_file("table.csv", format!("text,label\n\"{MARK}\n").as_bytes());
    site.until("all have been read", |s| {
        let files = s.files();
        files.values().sum::<usize>() == 5 && !files.contains_key("ingested")
    });
    let shown = site.json(&["files", "explain", &site.path("inbox/good.jsonl").display().to_string()]);
    assert!(
        shown["examples"][0]["text"].as_str().unwrap().contains(MARK),
        "people who ask are shown it"
    );
    site.wengu(&["train", "contracts", "--no-wait"]);
    site.stop();
    let log = fs::read(site.path("daemon.log")).unwrap();
    assert!(
        log.windows(14).any(|window| window == b"daemon_stopped"),
        "there is no log"
    );
    for mark in [MARK.as_bytes(), b"QX7"] {
        assert!(
            !log.windows(mark.len()).any(|window| window == mark),
            "a text stands in the log"
        );
    }
}
