//! The table and the code name the same places.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use wengu_failpoint::POINTS;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match entry.file_name().to_str().unwrap() {
            "target" | "tests" | "failpoint" => {}
            name if name.starts_with('.') => {}
            _ if path.is_dir() => sources(&path, found),
            name if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn every_place_is_in_the_code_once_and_none_is_unknown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for room in ["daemon", "store", "plugin-api"] {
        sources(&root.join(room), &mut files);
    }
    let mut named = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let hits = text
            .match_indices("hit(\"")
            .filter_map(|(at, begin)| text[at + begin.len()..].split('"').next());
        named.extend(hits.map(str::to_string));
    }
    let set: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(set, POINTS.iter().copied().collect());
    assert_eq!((named.len(), set.len()), (POINTS.len(), POINTS.len()), "{named:?}");
}
