//! What stays whole, what is dropped, and that nothing is lost.

#[path = "../../checks/segments.rs"]
mod checks;

use checks::marked;
use proptest::prelude::*;
use wengu_plugin::segments::check_tiling;
use wengu_plugin::{Evaluator, Host, Plugin, Prediction, Segmenter};
use wengu_plugin_medical_en::MedicalEn;

fn plugin() -> MedicalEn {
    MedicalEn::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

#[test]
fn terms_stay_whole_and_furniture_goes() {
    for (text, want) in [
        ("take imatinib 500 mg daily", "take <imatinib> <500 mg> daily"),
        ("2.5 mL/kg of Heparin in April", "<2.5 mL/kg> of <Heparin> in April"),
        ("coded E11.65 or C50.9", "coded <E11.65> or <C50.9>"),
        (
            "mutations in BRCA1 and the CFTR gene at 17q21.31",
            "mutations in <BRCA1> and the <CFTR> gene at <17q21.31>",
        ),
        (
            "an autosomal recessive disorder, type 2",
            "an <autosomal recessive> disorder, <type 2>",
        ),
        ("is rare (Smith et al., 2001) in adults [3, 4]", "is rare  in adults "),
        ("see https://example.org/a PMID: 123", "see  "),
        ("高血压患者每日服用5片阿司匹林。", "高血压患者每日服用5片阿司匹林。"),
        ("", ""),
    ] {
        assert_eq!(marked(&mut plugin(), text), want);
    }
}

#[test]
fn terms_are_lower_case_and_without_repeats() {
    let terms = plugin().terms();
    let mut sorted = terms.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted, terms, "sorted, so that repeats and changes are easy to see");
    assert!(terms.iter().all(|t| t.chars().all(|c| c.is_ascii_lowercase())));
}

#[test]
fn answers_are_scored() {
    let score = |expected, actual| {
        let item = Prediction {
            input: "",
            expected,
            actual,
        };
        plugin().score(&Host::silent(), &item, 0).map_err(|e| e.message)
    };
    assert_eq!(score("causes", "Causes"), Ok(vec![1.0, 1.0]));
    assert_eq!(score("causes", "genetic changes"), Ok(vec![0.0, 0.5]));
    assert_eq!(score("causes", "outlook"), Ok(vec![0.0, 0.0]));
    assert!(score("no such label", "x").unwrap_err().contains("is none of the"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_tiled(text in "(\\PC|[\n\t]|合同|第[一二三]条|Section 4|Page 3 of 12|BRCA1|500 mg|\\[\\*\\*\\*\\]|\"Term\"|, 2001\\)|Smith et al\\.){0,60}") {
        let segments = plugin_once(&text);
        prop_assert_eq!(check_tiling(&text, &segments), Ok(()));
    }
}

/// Compiling the patterns once, not for every case.
fn plugin_once(text: &str) -> Vec<wengu_plugin::Segment> {
    thread_local! {
        static PLUGIN: std::cell::RefCell<MedicalEn> = std::cell::RefCell::new(plugin());
    }
    PLUGIN.with_borrow_mut(|p| p.segment(&Host::silent(), text).unwrap())
}
