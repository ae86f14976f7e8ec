//! What the configuration may name is what is sent: the golden events are of exactly the known types.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_type_has_a_golden_event_and_no_other() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/alerts");
    let mut types = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let event: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        if let Some(kind) = event["type"].as_str() {
            types.insert(kind.to_string());
        }
    }
    let known: BTreeSet<String> = wengu_protocol::events::TYPES.iter().map(|t| t.to_string()).collect();
    assert_eq!(types, known);
}
