//! Real files of every format, made by other programs (`tests/oracle/make_documents.py`), through the real process.

use std::path::{Path, PathBuf};
use wengu_protocol::reader::{Limits, PartKind};
use wengu_reader_client::{Failure, Found, read};

const READER: &str = env!("CARGO_BIN_EXE_wengu-reader");

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data")
}

fn found(name: &str) -> Result<Found, Failure> {
    let bytes = std::fs::read(samples().join(name)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(read(Path::new(READER), name, &bytes, None, &Limits::default()))
}

/// All parts and refusals, in a form that a person can read.
fn told(name: &str) -> String {
    let found = match found(name) {
        Ok(found) => found,
        Err(failure) => return format!("!! {failure}\n"),
    };
    let mut told = String::new();
    for (part, text) in found.parts {
        let pages = match part.pages.as_slice() {
            [] => String::new(),
            pages => format!(" pages {pages:?}"),
        };
        let kind = match part.kind {
            PartKind::Text => "text".to_owned(),
            other => format!("{other:?}"),
        };
        let member = part.member.unwrap_or_default();
        told.push_str(&format!(
            "== {member} ({kind}, {}){pages}\n{}\n",
            part.encoding,
            text.trim_end()
        ));
    }
    for (member, refusal) in found.refused {
        told.push_str(&format!("!! {member}: {refusal}\n"));
    }
    told
}

#[test]
fn every_sample_gives_its_text() {
    let mut names: Vec<String> = std::fs::read_dir(samples())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".expected"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let expected = std::fs::read_to_string(samples().join(format!("{name}.expected"))).unwrap_or_default();
        let told = told(&name);
        if told != expected {
            wrong.push(format!("{name}\n--- expected\n{expected}\n--- told\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
