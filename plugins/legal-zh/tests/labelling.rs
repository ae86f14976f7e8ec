//! How often the labelling functions speak, and how often they are right.

#[path = "../../checks/labelling.rs"]
mod checks;

use wengu_plugin::{Host, Plugin};
use wengu_plugin_legal_zh::LegalZh;

fn plugin() -> LegalZh {
    LegalZh::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

#[test]
fn the_sample_is_labelled() {
    checks::sample(&mut plugin(), env!("CARGO_MANIFEST_DIR"), (0.68, 0.9));
}

#[test]
fn the_test_part_of_the_data_set_is_labelled() {
    checks::data_set(
        &mut plugin(),
        env!("CARGO_MANIFEST_DIR"),
        "zh_statute_branch",
        (0.75, 0.9),
    );
}
