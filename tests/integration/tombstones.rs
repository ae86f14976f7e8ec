//! What was forgotten stays away: from a daemon whose store is restored, and from a folder into which it is put again.

use crate::harness::{QUICK_LEARNING, Site};
use crate::markers::{assert_nowhere, forgotten, found, marker};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A site with a seed of its own.
fn seeded() -> Site {
    Site::new(&QUICK_LEARNING.replace("[domains.contracts.learning]", "[domains.contracts.learning]\nseed = 5"))
}

fn records(cases: &[&str]) -> String {
    let record = |(i, case): (usize, &&str)| {
        json!({"text": format!("{} clause {i}", marker(7)), "label": "Term", "doc": case}).to_string() + "\n"
    };
    cases.iter().enumerate().map(record).collect()
}

#[test]
fn a_receipt_stands_for_itself_and_what_lies_there_is_refused_by_name_and_written_nowhere() {
    let mut site = seeded();
    site.start();
    let text = records(&[&marker(0), &marker(1), &marker(2)]);
    let path = site.path("inbox").join(format!("{}.jsonl", marker(5)));
    site.drop_file(&format!("{}.jsonl", marker(5)), text.as_bytes());
    site.until("it is read", |site| site.files().get("pooled") == Some(&1));
    let path = path.to_str().unwrap();

    // A rehearsal says it and changes nothing.
    let before = site.json(&["audit", "verify"]);
    let told = site.json(&["forget", path, "--dry-run"]);
    assert_eq!(
        told["files"],
        json!([{"path": path, "examples": 3, "other_cases": 0}]),
        "{told:#}"
    );
    assert_eq!(
        (&told["source"], &told["id"], &told["objects"]),
        (&json!([path]), &json!(null), &json!(2))
    );
    assert_eq!(site.files().get("pooled"), Some(&1));
    assert!(!site.path("state/forget").exists());

    let done = site.json(&["forget", path, "--reason", "consent withdrawn", "--yes"]);
    assert_nowhere(&site);
    let receipt = &done["receipt"];
    // What somebody noted before still holds, and the log says how much less it says.
    let noted = format!("{}:{}", before["commits"], before["head"].as_str().unwrap());
    let after = site.json(&["audit", "verify", "--noted", &noted]);
    assert_eq!(
        after["redacted"], receipt["removed"]["commits"],
        "{after:#} {receipt:#}"
    );
    assert_eq!(told["commits"], after["redacted"]);
    for head in [&receipt["journal_before"], &receipt["journal_after"]] {
        let noted = format!("{}:{}", head["seq"], head["hash"].as_str().unwrap());
        site.json(&["audit", "verify", "--noted", &noted]);
    }
    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));

    let key = site.json(&["forget", "public-key"]);
    let written = done["receipt_path"].as_str().unwrap();
    let verify = ["forget", "verify", written, "--key", key.as_str().unwrap()];
    assert_eq!(site.json(&verify)["id"], receipt["id"]);
    let changed = fs::read_to_string(written).unwrap().replace("consent", "content");
    fs::write(written, changed).unwrap();
    assert_eq!(site.wengu(&verify).status.code(), Some(6));

    // The file still lies there, and comes under another name as well.
    site.stop();
    site.start();
    site.drop_file(&format!("{}-again.jsonl", marker(5)), text.as_bytes());
    site.until("both are refused", |site| site.files().get("forgotten") == Some(&2));
    let refused = site.json(&["files", "--state", "forgotten"]);
    assert!(refused.to_string().contains(path), "{refused:#}");
    let explained = site.wengu(&["files", "explain", path]);
    assert!(String::from_utf8_lossy(&explained.stderr).contains("forgotten on purpose"));
    assert_nowhere(&site);
    site.stop();
    assert_nowhere(&site);
}

#[test]
fn a_backup_that_is_restored_loses_again_what_was_forgotten_since() {
    let mut site = seeded();
    site.start();
    site.drop_file(
        &format!("{}.jsonl", marker(5)),
        records(&[&marker(0), &marker(1)]).as_bytes(),
    );
    site.drop_file(
        "stays.jsonl",
        b"{\"text\": \"other words\", \"label\": \"Term\", \"doc\": \"other\"}\n",
    );
    site.until("both are read", |site| site.files().get("pooled") == Some(&2));
    let backup = site.path("backup");
    site.json(&["store", "backup", backup.to_str().unwrap()]);
    let path = site.path("inbox").join(format!("{}.jsonl", marker(5)));
    let path = path.to_str().unwrap();
    assert_eq!(
        site.wengu(&["forget", path, "--yes"]).status.code(),
        Some(1),
        "a reason is needed"
    );
    assert_eq!(
        site.wengu(&["forget", path, "--reason", "r"]).status.code(),
        Some(1),
        "nobody can be asked"
    );
    site.json(&["forget", path, "--reason", "r", "--yes", "--delete-source"]);
    assert!(!Path::new(path).exists());
    assert_nowhere(&site);
    site.stop();
    assert!(!found(&backup).is_empty());
    fs::rename(site.path("state/store"), site.path("old-store")).unwrap();
    site.json(&["store", "restore", backup.to_str().unwrap()]);
    assert!(!found(&site.path("state")).is_empty());
    site.start();
    forgotten(&site);
    site.until("nothing of it is left", |site| found(&site.path("state")).is_empty());
    assert_eq!(site.files(), [("pooled".to_owned(), 1)].into());
    assert_eq!(site.json(&["forget", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(site.json(&["store", "verify"])["problems"], json!([]));
}

#[test]
fn tombstones_and_orders_that_are_damaged_are_named_and_no_daemon_starts_on_them() {
    let mut site = seeded();
    site.start();
    let text = records(&[&marker(0), &marker(1)]);
    let file = format!("{}.jsonl", marker(5));
    site.drop_file(&file, text.as_bytes());
    site.until("it is read", |site| site.files().get("pooled") == Some(&1));
    let path = site.path("inbox").join(&file);
    site.json(&["forget", path.to_str().unwrap(), "--reason", "r", "--yes"]);
    site.stop();
    let refused = |site: &Site, arguments: &[&str], named: &str| {
        let output = site.wengu(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{told}");
        assert!(
            told.contains(named) && told.contains("from a backup of its folder"),
            "{told}"
        );
    };

    // One digit of a mark: as JSON it is whole, and it would recognise nothing.
    let tombstones = site.path("state/forget/tombstones.json");
    let sound = fs::read(&tombstones).unwrap();
    let mark = String::from_utf8(sound.clone()).unwrap().find("\"contents\"").unwrap();
    let digit = mark + sound[mark..].iter().position(|byte| *byte == b'[').unwrap() + 20;
    let mut bad = sound.clone();
    assert!(bad[digit].is_ascii_hexdigit());
    bad[digit] = if bad[digit] == b'0' { b'1' } else { b'0' };
    fs::write(&tombstones, bad).unwrap();
    let named = "forget/tombstones.json does not match its checksum";
    refused(&site, &["run"], named);
    let folder = site.path("state/forget");
    let restore = ["store", "restore", "backup", "--tombstones", folder.to_str().unwrap()];
    refused(&site, &restore, named);
    fs::write(&tombstones, sound).unwrap();

    let orders = site.path("state/forget/orders");
    fs::create_dir_all(&orders).unwrap();
    fs::write(orders.join("00aa.json"), "{\n  \"sha256\": \"00").unwrap();
    refused(&site, &["run"], "orders/00aa.json ends within its checksum");
    fs::remove_file(orders.join("00aa.json")).unwrap();

    // Without the marks nothing would be refused, and that is not kept quiet.
    let aside = site.path("aside.json");
    fs::rename(&tombstones, &aside).unwrap();
    fs::rename(&path, site.path("elsewhere.jsonl")).unwrap();
    site.start();
    let problems = site.json(&["status"])["domains"][0]["problems"].to_string();
    assert!(
        problems.contains("is not refused any more") && problems.contains("tombstones.json"),
        "{problems}"
    );
    site.stop();
    fs::rename(&aside, &tombstones).unwrap();
    fs::rename(site.path("elsewhere.jsonl"), &path).unwrap();

    site.start();
    assert_eq!(site.json(&["status"])["domains"][0]["problems"], json!([]));
    site.until("it is refused", |site| site.files().get("forgotten") == Some(&1));
    assert_nowhere(&site);
}

#[test]
fn a_case_that_was_forgotten_is_refused_in_whatever_file_it_comes() {
    let mut site = seeded();
    site.start();
    site.drop_file("mixed.jsonl", records(&[&marker(0), "other"]).as_bytes());
    site.until("it is read", |site| site.files().get("pooled") == Some(&1));
    let nobody = site.wengu(&["forget", "nobody", "--dry-run"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("nothing of \"nobody\" is known"));
    let mixed = site.wengu(&["forget", &marker(0), "--reason", "r", "--yes"]);
    assert_eq!(mixed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("1 other cases"));
    site.json(&["forget", &marker(0), "--reason", "r", "--yes", "--whole-files"]);
    assert_nowhere(&site);
    // Without the subject it is welcome; with it, whatever its name and its bytes, it is not.
    let file = records(&["other"]).replace(&marker(7), "harmless");
    site.drop_file("mixed.jsonl", file.as_bytes());
    site.until("it is read", |site| site.files().get("pooled") == Some(&1));
    site.drop_file(&format!("{}.jsonl", marker(5)), records(&[&marker(0)]).as_bytes());
    site.until("it is refused", |site| site.files().get("forgotten") == Some(&1));
    forgotten(&site);
    site.until("nothing of it is left", |site| found(&site.path("state")).is_empty());
    assert_eq!(
        site.files(),
        [("forgotten".to_owned(), 1), ("pooled".to_owned(), 1)].into()
    );
}
