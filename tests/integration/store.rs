//! `wengu store` and `wengu audit`, beside a running daemon and without one.

use crate::harness::{QUICK_LEARNING, Site, clauses, model};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn code(site: &Site, arguments: &[&str]) -> Option<i32> {
    site.wengu(arguments).status.code()
}

fn noted(site: &Site) -> String {
    let head = site.json(&["audit", "verify"]);
    format!("{}:{}", head["commits"], head["head"].as_str().unwrap())
}

#[test]
fn a_journal_that_lost_its_end_is_told_until_the_next_start() {
    let mut site = Site::new("");
    site.start();
    site.drop_file("first.txt", "温故而知新".as_bytes());
    site.until("the first file is known", |site| !site.files().is_empty());
    site.stop();
    let journal = site.path("state/store/journal");
    let segments = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    };
    segments(&journal, &site.path("older"));
    site.start();
    let problems = |site: &Site| site.json(&["status"])["domains"][0]["problems"].clone();
    assert_eq!(problems(&site), Value::Array(vec![]));
    site.drop_file("second.txt", "可以为师矣".as_bytes());
    site.until("the second file is known", |site| {
        site.files().values().sum::<usize>() == 2
    });
    site.stop();
    segments(&site.path("older"), &journal);
    site.start();
    let told = problems(&site).to_string();
    assert!(
        told.contains("acknowledged commits are lost") && told.contains("wengu store restore"),
        "{told}"
    );
    site.until("what is in the folder is known again", |site| {
        site.files().values().sum::<usize>() == 2
    });
    site.stop();
    site.start();
    assert_eq!(problems(&site), Value::Array(vec![]));
}

/// The disk is gone, and all there is is a backup, the configuration and the base model.
#[test]
fn a_backup_is_enough_to_serve_and_to_learn_on() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new(QUICK_LEARNING);
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 16));
    let (run, status) = site.train();
    assert_eq!((status, run["decision"].as_str()), (0, Some("promote")), "{run:#}");
    let version = run["version"].as_str().unwrap();
    let backup = site.path("backup");
    let backup = backup.to_str().unwrap();
    site.json(&["store", "backup", backup]);
    site.stop();
    let lineage = format!("versions/contracts/{version}/lineage.json");
    let sound = fs::read(site.path("state").join(&lineage)).unwrap();
    fs::remove_dir_all(site.path("state")).unwrap();

    let head = Path::new(backup).join(format!("beside/versions/contracts/{version}/head"));
    let name = fs::read_dir(&head).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&name).unwrap();
    fs::write(&name, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(code(&site, &["store", "restore", backup]), Some(6));
    assert!(!site.path("state/store").exists() && !site.path("state").join(&lineage).exists());
    fs::write(&name, &whole).unwrap();
    let restored = site.json(&["store", "restore", backup]);
    assert_eq!(
        restored["beside"],
        serde_json::json!([format!("versions/contracts/{version}")])
    );
    assert_eq!(fs::read(site.path("state").join(&lineage)).unwrap(), sound);
    assert_eq!(site.json(&["store", "verify"])["problems"], serde_json::json!([]));

    site.start();
    let served = fs::read_link(site.path("state/versions/contracts/current")).unwrap();
    assert_eq!(served, Path::new(version));
    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 3, 20));
    let (run, status) = site.train();
    assert_eq!((status, &run["run"]), (0, &2.into()), "{run:#}");
}

#[test]
fn the_store_is_verified_saved_and_brought_back() {
    let mut site = Site::new("");
    assert_eq!(code(&site, &["store", "verify"]), Some(1), "there is none yet");
    assert!(!site.path("state/store").exists(), "looking makes none");
    site.start();
    site.drop_file("case.txt", "温故而知新".as_bytes());
    site.until("the file is known", |site| !site.files().is_empty());

    // Beside the daemon.
    let verified = site.json(&["store", "verify"]);
    assert_eq!(
        (verified["by"].as_str(), &verified["problems"]),
        (Some("daemon"), &Value::Array(vec![]))
    );
    let (online, offline) = (site.path("online"), site.path("offline"));
    let (online, offline) = (online.to_str().unwrap(), offline.to_str().unwrap());
    // The log goes on behind a backup: that it was asked for, and what came of it.
    let noted = noted(&site);
    assert_eq!(site.json(&["store", "backup", online])["by"], "daemon");
    assert_eq!(
        code(&site, &["store", "backup", online]),
        Some(1),
        "nothing is overwritten"
    );
    for command in ["rebuild", "compact"] {
        assert_eq!(code(&site, &["store", command]), Some(75), "{command}");
    }
    let exported = String::from_utf8(site.wengu(&["audit", "export", "--json"]).stdout).unwrap();
    let last: Value = serde_json::from_str(exported.lines().last().unwrap()).unwrap();
    assert!(last["seq"].as_u64() >= Some(2) && last["hash"].is_string(), "{last}");
    let later = ["audit", "export", "--json", "--since", "2999-01-01T00:00:00Z"];
    assert_eq!(site.wengu(&later).stdout, b"");
    // A second daemon on the same state.
    let second = site.wengu(&["run"]);
    assert_eq!(second.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by process"));
    site.stop();

    // Without it.
    assert_eq!(site.json(&["store", "verify"])["by"], "command");
    assert_eq!(site.json(&["store", "backup", offline])["by"], "command");
    for command in ["rebuild", "compact"] {
        site.json(&["store", command]);
    }
    assert_eq!(code(&site, &["store", "restore", online]), Some(1), "there is a store");
    fs::rename(site.path("state/store"), site.path("state/old")).unwrap();
    let segment = site.path("online/journal/00000001.wj");
    let sound = fs::read(&segment).unwrap();
    fs::write(&segment, &sound[..sound.len() - 1]).unwrap();
    let refused = site.wengu(&["store", "restore", online]);
    assert_eq!(refused.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("00000001.wj"));
    assert_eq!(code(&site, &["store", "verify", "--backup", online]), Some(6));
    fs::write(&segment, &sound).unwrap();
    assert_eq!(code(&site, &["store", "verify", "--backup", online]), Some(0));
    site.json(&["store", "restore", online]);
    assert_eq!(code(&site, &["store", "verify"]), Some(0));
    assert_eq!(code(&site, &["audit", "verify", "--noted", &noted]), Some(0));

    // The daemon goes on from it, and over the other engine.
    site.rewrite("[trainer]\n", "[store]\nindex = \"redb\"\n[trainer]\n");
    site.start();
    assert_eq!(site.files().values().sum::<usize>(), 1);
    assert!(site.path("state/store/index-redb").exists() && !site.path("state/store/index").exists());
    site.stop();

    // A flipped byte, and a log with another past.
    let other = format!("1:{}", "0".repeat(64));
    assert_eq!(code(&site, &["audit", "verify", "--noted", &other]), Some(6));
    let segment = site.path("state/store/journal/00000001.wj");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[150] ^= 1;
    fs::write(&segment, bytes).unwrap();
    for command in [["store", "verify"], ["audit", "verify"], ["audit", "export"]] {
        assert_eq!(code(&site, &command), Some(6), "{command:?}");
    }
}
