//! What stays whole, what is dropped, and that nothing is lost.

#[path = "../../checks/segments.rs"]
mod checks;

use checks::marked;
use proptest::prelude::*;
use std::sync::{LazyLock, Mutex};
use wengu_plugin::segments::check_tiling;
use wengu_plugin::{Host, Plugin, Segmenter};
use wengu_plugin_medical_zh::MedicalZh;

fn plugin() -> MedicalZh {
    MedicalZh::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

#[test]
fn terms_stay_whole_and_furniture_goes() {
    let mut plugin = plugin();
    for (text, want) in [
        ("心电图示室性早搏二联律", "心电图示<室性早搏二联律>"),
        ("诊断为2型糖尿病，予二甲双胍", "诊断为<2型糖尿病>，予<二甲双胍>"),
        ("今日天气很好", "今日天气很好"),
        ("第 3 页 共 12 页", ""),
    ] {
        assert_eq!(marked(&mut plugin, text), want, "{text}");
    }
    assert!(plugin.terms().contains(&"室性早搏二联律".to_owned()));
}

/// Made once: its word list takes longer to compile than a text to segment.
static PLUGIN: LazyLock<Mutex<MedicalZh>> = LazyLock::new(|| Mutex::new(plugin()));

proptest! {
    #[test]
    fn any_text_is_tiled(text in "([a-zA-Z0-9.%/ ]|[患者否认高血压糖尿病服用，。；①]|👨‍👩‍👧|\n|第 3 页 共 12 页|I49\\.3|0\\.5 ?g){0,40}") {
        let segments = PLUGIN.lock().unwrap().segment(&Host::silent(), &text).unwrap();
        prop_assert!(check_tiling(&text, &segments).is_ok());
    }
}
