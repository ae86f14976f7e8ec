//! Documents of others, dropped into the folder of a daemon that runs.

use crate::harness::{Site, root};
use serde_json::Value;
use std::fs;

fn sample(name: &str) -> Vec<u8> {
    fs::read(root().join("daemon/reader/test-data").join(name)).unwrap()
}

fn explained(site: &Site, name: &str) -> Value {
    site.json(&["files", "explain", &site.path("inbox").join(name).display().to_string()])
}

fn wait_for(site: &Site, files: usize) {
    site.until("every file has a state", |s| {
        let states = s.files();
        states.values().sum::<usize>() == files && !states.contains_key("ingested")
    });
}

#[test]
fn every_kind_of_document_is_taken_or_set_aside_by_name() {
    let mut site = Site::new("");
    site.start();
    let taken = [
        ("english.docx", "Governing law"),
        ("chinese.docx", "合同的效力"),
        ("english.odt", "Governing law"),
        ("chinese.odt", "合同的效力"),
        ("english.pdf", "Governing law"),
        ("chinese.pdf", "合同的效力"),
        ("gbk.pdf", "合同的效力"),
        ("chinese.html", "合同的效力"),
        ("chinese.xml", "合同的效力"),
        ("chinese.rtf", "依法成立的合同"),
        ("english.eml", "From: Ann Lee"),
        ("chinese.eml", "From: 李明"),
        ("tricks.tar.gz", "依法成立的合同"),
    ];
    let set_aside = [
        ("locked.docx", "encrypted: "),
        ("locked.pdf", "encrypted: "),
        ("scanned.pdf", "needs_ocr: "),
        ("brotli.parquet", "unsupported: "),
    ];
    for (name, _) in taken.iter().chain(&set_aside) {
        site.drop_file(&format!("{name}.label"), b"law");
        site.drop_file(name, &sample(name));
    }
    site.drop_file("empty.pdf", b"");
    site.drop_file("labels.parquet", &sample("labels.parquet"));
    site.drop_file("case.zip", &sample("case.zip"));
    wait_for(&site, taken.len() + set_aside.len() + 3);
    for (name, begins) in taken {
        let file = explained(&site, name);
        assert_eq!(file["file"]["state"], "pooled", "{name}: {file}");
        let first = &file["examples"][0];
        assert!(first["text"].as_str().unwrap().starts_with(begins), "{name}: {first}");
        assert_eq!(
            (&first["label"], &first["source"]),
            (&"law".into(), &"gold".into()),
            "{name}"
        );
    }
    for (name, reason) in set_aside {
        let file = explained(&site, name);
        assert_eq!(file["file"]["state"], "quarantined", "{name}");
        assert!(
            file["file"]["explanation"].as_str().unwrap().starts_with(reason),
            "{name}: {file}"
        );
    }
    let empty = explained(&site, "empty.pdf");
    assert!(
        empty["file"]["explanation"]
            .as_str()
            .unwrap()
            .starts_with("the file is empty")
    );
    assert_eq!(explained(&site, "english.pdf")["examples"][0]["place"], "2 pages");

    // Names of classes in place of their numbers, as the table itself says.
    let table = explained(&site, "labels.parquet");
    let labels: Vec<&Value> = table["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["label"])
        .collect();
    assert_eq!(labels, ["有效", "无效"]);

    // An archive is a folder: its own label files count, and what cannot be read is named.
    let archive = explained(&site, "case.zip");
    let examples = archive["examples"].as_array().unwrap();
    let of = |place: &str| {
        examples
            .iter()
            .find(|e| e["place"] == place)
            .unwrap_or_else(|| panic!("{place}: {archive}"))
    };
    assert_eq!(of("a/lease.docx")["label"], "lease");
    assert_eq!(of("合同文本.txt")["label"], Value::Null);
    assert_eq!(of("inner.zip/deep.txt")["text"], "deep");
    let rejected: Vec<&str> = archive["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r[1].as_str().unwrap())
        .collect();
    for (member, verdict) in [
        ("broken.pdf", "malformed"),
        ("link.txt", "unsafe"),
        ("../out.txt", "unsafe"),
        ("empty.txt", "empty"),
    ] {
        let begins = format!("{member}: {verdict}: ");
        assert!(
            rejected.iter().any(|reason| reason.starts_with(&begins)),
            "{begins}: {rejected:?}"
        );
    }
    // One of the archive's documents may be in the gate while another is learned; a mail and its attachment may not.
    let mail = explained(&site, "english.eml");
    let sides: Vec<&Value> = mail["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["side"])
        .collect();
    assert_eq!((sides.len(), sides[0]), (2, sides[1]), "{mail}");
}

#[test]
fn a_program_of_the_operators_reads_pictures() {
    let mut site = Site::new("");
    let ocr = "[reader]\nocr_command = [\"sh\", \"-c\", \"head -c 5; printf ' page one\\\\fpage two\\\\f'\"]\n";
    site.rewrite("[trainer]", &format!("{ocr}[trainer]"));
    site.start();
    site.drop_file("scanned.pdf.label", b"law");
    site.drop_file("scanned.pdf", &sample("scanned.pdf"));
    wait_for(&site, 1);
    let file = explained(&site, "scanned.pdf");
    assert_eq!(file["examples"][0]["text"], "%PDF- page one\npage two", "{file}");
    assert_eq!(file["examples"][0]["place"], "2 pages");
}

#[test]
fn a_folder_of_a_data_set_is_taken_without_its_descriptions() {
    let mut site = Site::new("");
    site.start();
    let folder = site.path("inbox/set");
    fs::create_dir_all(folder.join("data")).unwrap();
    fs::write(
        folder.join("README.md"),
        "---\nconfigs:\n- config_name: default\n---\n# A set\n",
    )
    .unwrap();
    fs::write(
        folder.join("data/train.jsonl"),
        "{\"text\": \"one\", \"label\": 1}\n{\"text\": \"two\", \"label\": 0}\n",
    )
    .unwrap();
    fs::write(folder.join("data/test.csv"), "text,label\nthree,1\n").unwrap();
    fs::write(
        folder.join("tasks.json"),
        r#"[{"data": {"text": "four"}, "annotations": [{"result": [{"value": {"choices": ["neg"]}}]}]}]"#,
    )
    .unwrap();
    // Last, as a slow copy may bring it: the names reach what was read before.
    wait_for(&site, 3);
    let info = r#"{"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}"#;
    fs::write(folder.join("dataset_info.json"), info).unwrap();
    let labels = |site: &Site, name: &str| -> Vec<String> {
        let file = explained(site, name);
        let examples = file["examples"].as_array().cloned().unwrap_or_default();
        examples
            .iter()
            .map(|e| e["label"].as_str().unwrap_or("-").to_owned())
            .collect()
    };
    site.until("the classes have their names", |s| {
        labels(s, "set/data/train.jsonl") == ["pos", "neg"]
    });
    // dataset_info.json stands beside tasks.json and beside the folder of the others.
    site.until("of every file", |s| labels(s, "set/data/test.csv") == ["pos"]);
    assert_eq!(labels(&site, "set/tasks.json"), ["neg"]);
    wait_for(&site, 3);
}
