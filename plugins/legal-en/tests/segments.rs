//! What stays whole, what is dropped, and that nothing is lost.

#[path = "../../checks/segments.rs"]
mod checks;

use checks::marked;
use proptest::prelude::*;
use wengu_plugin::segments::check_tiling;
use wengu_plugin::{Evaluator, Host, Plugin, Prediction, Segmenter};
use wengu_plugin_legal_en::LegalEn;

fn plugin() -> LegalEn {
    LegalEn::create(&Host::silent(), &serde_json::json!({})).unwrap()
}

#[test]
fn terms_stay_whole_and_furniture_goes() {
    for (text, want) in [
        (
            "as set out in Section 4.2(a) hereof",
            "as set out in <Section 4.2(a)> hereof",
        ),
        (
            "SECTION 12 and Article IV of Exhibit B",
            "<SECTION 12> and <Article IV> of <Exhibit B>",
        ),
        (
            "under 15 U.S.C. § 78j(b) and 17 CFR 240.24b-2",
            "under <15 U.S.C. § 78j(b)> and <17 CFR 240.24b-2>",
        ),
        ("see 123 F.3d 456", "see <123 F.3d 456>"),
        (
            "(the \"Effective Date\") and “Licensed Marks”",
            "(the \"<Effective Date>\") and “<Licensed Marks>”",
        ),
        ("on March 1, 2005 or 3/19/2007", "on <March 1, 2005> or <3/19/2007>"),
        (
            "from 30 June 2001 to the 1st day of September, 2004",
            "from <30 June 2001> to the <1st day of September, 2004>",
        ),
        (
            "pay $1,000,000.50 or US$5 million",
            "pay <$1,000,000.50> or <US$5 million>",
        ),
        ("a force majeure event", "a <force majeure> event"),
        ("the fee Page 3 of 12 is [***] due", "the fee  is  due"),
        ("end.\n - 7 - \nNext", "end.\n\nNext"),
        ("end.\nSource: GLU MOBILE INC, S-1/A, 3/19/2007\nNext", "end.\n\nNext"),
        (
            "根据合同法第十条，本合同自2020年1月1日起生效。",
            "根据合同法第十条，本合同自2020年1月1日起生效。",
        ),
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
    assert_eq!(score("Governing Law", " governing law "), Ok(vec![1.0, 1.0]));
    assert_eq!(score("License Grant", "Non-Transferable License"), Ok(vec![0.0, 0.5]));
    assert_eq!(score("License Grant", "Insurance"), Ok(vec![0.0, 0.0]));
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
        static PLUGIN: std::cell::RefCell<LegalEn> = std::cell::RefCell::new(plugin());
    }
    PLUGIN.with_borrow_mut(|p| p.segment(&Host::silent(), text).unwrap())
}
