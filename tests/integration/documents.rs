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
fn what_was_set_aside_is_read_again_once_somebody_asks_for_it() {
    let mut site = Site::new("");
    // It has nothing to write until there is such a file.
    let text = site.path("written.txt");
    let ocr = format!("[reader]\nocr_command = [\"cat\", \"{}\"]\n", text.display());
    site.rewrite("[trainer]", &format!("{ocr}[trainer]"));
    site.start();
    // The same page three times, each time made by another program.
    let scan = |maker: &[u8; 6]| {
        let mut scan = sample("scanned.pdf");
        let at = scan.windows(6).position(|window| window == b"Pillow").unwrap();
        scan[at..at + 6].copy_from_slice(maker);
        scan
    };
    let scans = [
        ("asked.pdf", b"Pillow"),
        ("touched.pdf", b"Willow"),
        ("waits.pdf", b"Billow"),
    ];
    for (name, maker) in scans {
        site.drop_file(&format!("{name}.label"), b"law");
        site.drop_file(name, &scan(maker));
    }
    wait_for(&site, 3);
    let state = |name: &str| explained(&site, name)["file"]["state"].clone();
    let reason = |name: &str| {
        let file = explained(&site, name);
        file["file"]["explanation"].as_str().unwrap().to_owned()
    };
    let times = |name: &str, event: &str| {
        let file = explained(&site, name);
        let history = file["history"].as_array().unwrap();
        history.iter().filter(|told| told[1] == event).count()
    };
    let retry = |names: &[&str]| {
        let paths = names.iter().map(|name| format!("inbox/{name}"));
        let output = site.command(&["files", "retry"]).args(paths).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let before = reason("asked.pdf");
    assert!(before.starts_with("needs_ocr: ocr_command left with"), "{before}");

    // What kept it from being read is still there.
    let (code, said) = retry(&["asked.pdf"]);
    assert!(code == Some(0) && said.starts_with("1 file to be read again"), "{said}");
    site.until("it was read again", |_| times("asked.pdf", "file.read") == 2);
    assert_eq!(state("asked.pdf"), "quarantined");
    assert_eq!(reason("asked.pdf"), before);

    fs::write(&text, "page one\u{c}page two\u{c}").unwrap();
    let retried = site.json(&["files", "retry", &site.path("inbox/asked.pdf").display().to_string()]);
    assert_eq!(retried["retried"], 1);
    site.until("it is taken", |_| state("asked.pdf") == "pooled");
    let asked = explained(&site, "asked.pdf");
    assert_eq!(
        (&asked["examples"][0]["text"], &asked["examples"][0]["label"]),
        (&"page one\npage two".into(), &"law".into()),
        "{asked}"
    );
    assert_eq!(asked["file"]["revision"], 1, "it is what was delivered");
    let touched = fs::OpenOptions::new()
        .append(true)
        .open(site.path("inbox/touched.pdf"))
        .unwrap();
    touched
        .set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5))
        .unwrap();
    drop(touched);
    site.until("so is the one that was touched", |_| state("touched.pdf") == "pooled");
    assert_eq!(state("waits.pdf"), "quarantined", "nobody asked for it");

    // What was not set aside is named, and then nothing is tried.
    site.drop_file("copy.pdf", &scan(b"Pillow"));
    wait_for(&site, 4);
    let (code, said) = retry(&["waits.pdf", "asked.pdf", "copy.pdf", "no-such.pdf"]);
    assert_eq!(code, Some(1), "{said}");
    for told in [
        "asked.pdf is pooled, not quarantined",
        "copy.pdf is duplicate, not quarantined: the same bytes as",
        "no watched folder has shown",
        "no file was tried again",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_eq!(
        (state("waits.pdf"), times("waits.pdf", "files.retried")),
        ("quarantined".into(), 0)
    );
    assert_eq!(retry(&[]).0, Some(2), "a path is needed");
    assert_eq!(site.json(&["files", "ls"]), site.json(&["files"]));
    let listed = site.json(&["files", "ls", "--state", "quarantined"]);
    assert_eq!(listed, site.json(&["files", "--state", "quarantined"]));
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");

    // It can still be asked for alone.
    let (code, said) = retry(&["waits.pdf"]);
    assert_eq!(code, Some(0), "{said}");
    site.until("the last one is taken", |_| state("waits.pdf") == "pooled");
    let log = String::from_utf8(site.wengu(&["audit", "export", "--json"]).stdout).unwrap();
    let asked = log
        .lines()
        .filter(|line| line.contains("\"api.asked\"") && line.contains("POST /v1/files/retry"));
    assert_eq!(asked.count(), 4, "{log}");
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
