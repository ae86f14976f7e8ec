//! How often the labelling functions speak, and how often they are right.

#[path = "../../checks/labelling.rs"]
mod checks;
#[path = "../../checks/spans.rs"]
mod spans;

use wengu_plugin::{Host, Plugin};
use wengu_plugin_medical_en::MedicalEn;

fn plugin() -> MedicalEn {
    MedicalEn::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

#[test]
fn the_sample_is_labelled() {
    checks::sample(&mut plugin(), env!("CARGO_MANIFEST_DIR"), (0.70, 0.90));
}

#[test]
fn the_test_part_of_the_data_set_is_labelled() {
    checks::data_set(&mut plugin(), env!("CARGO_MANIFEST_DIR"), "medquad_qtype", (0.76, 0.92));
}

#[test]
fn marked_entities_are_found() {
    let with_spans = || MedicalEn::create(&Host::silent(), &serde_json::json!({"spans": true})).unwrap();
    let disease: &[(&str, &[&str], (f64, f64))] = &[("disease", &["Disease"], (0.3, 0.6))];
    spans::entity_set(&mut with_spans(), env!("CARGO_MANIFEST_DIR"), "ncbi_disease", disease);
    let both: &[(&str, &[&str], (f64, f64))] = &[
        ("disease", &["Disease"], (0.3, 0.6)),
        ("drug", &["Chemical"], (0.2, 0.6)),
    ];
    spans::entity_set(&mut with_spans(), env!("CARGO_MANIFEST_DIR"), "bc5cdr", both);
}
