//! How often the labelling functions speak, and how often they are right.

#[path = "../../checks/labelling.rs"]
#[allow(dead_code, reason = "there is no sample that may be shipped")]
mod checks;
#[path = "../../checks/spans.rs"]
mod spans;

use wengu_plugin::{Document, Host, Labeler, Plugin};
use wengu_plugin_medical_zh::MedicalZh;

fn plugin(config: serde_json::Value) -> MedicalZh {
    MedicalZh::create(&Host::silent(), &config).unwrap()
}

#[test]
fn criteria_of_our_own_are_labelled() {
    // Written for this test: the public set is for research only.
    let mut plugin = plugin(serde_json::json!({}));
    let labels = plugin.labels();
    for (text, label) in [
        ("年龄在18至65岁之间；", "Age"),
        ("患者已签署知情同意书。", "Consent"),
        ("妊娠期或哺乳期妇女", "Pregnancy-related Activity"),
        ("对试验药物成分过敏者", "Allergy Intolerance"),
        ("近三个月内参加过其他临床试验者", "Enrollment in other studies"),
        ("研究者认为不适合参加本试验者", "Researcher Decision"),
        ("预计生存期大于6个月", "Life Expectancy"),
        ("患有严重的心脏疾病", "Disease"),
        ("经病理学确诊的患者", "Diagnostic"),
    ] {
        let document = Document {
            text,
            metadata: &serde_json::Value::Null,
            seed: 0,
        };
        let votes = plugin.label(&Host::silent(), &document).unwrap();
        assert!(votes.iter().any(|v| labels[v.label] == label), "{text}: {votes:?}");
    }
}

#[test]
fn a_denied_disease_is_not_affirmed() {
    let mut plugin = plugin(serde_json::json!({"spans": true}));
    let labels = plugin.labels();
    let text = "患者否认高血压病史，疑似肺炎，有2型糖尿病，服用二甲双胍 0.5g。";
    let document = Document {
        text,
        metadata: &serde_json::Value::Null,
        seed: 0,
    };
    let votes = plugin.label(&Host::silent(), &document).unwrap();
    let spans: Vec<(&str, &str)> = votes
        .iter()
        .filter_map(|v| Some((&text[v.span.clone()?], labels[v.label].as_str())))
        .collect();
    for wanted in [
        ("高血压病", "disease-negated"),
        ("肺炎", "disease-uncertain"),
        ("2型糖尿病", "disease"),
        ("二甲双胍", "drug"),
    ] {
        assert!(spans.contains(&wanted), "{wanted:?} is not in {spans:?}");
    }
}

#[test]
fn the_test_part_of_the_data_set_is_labelled() {
    checks::data_set(
        &mut plugin(serde_json::json!({})),
        env!("CARGO_MANIFEST_DIR"),
        "cmedtc",
        FLOOR,
    );
}

#[test]
fn marked_entities_are_found() {
    let kinds: &[(&str, &[&str], (f64, f64))] = &[
        ("disease", &["disease", "symptom"], (0.4, 0.85)),
        ("drug", &["drug"], (0.2, 0.75)),
    ];
    spans::entity_set(
        &mut plugin(serde_json::json!({"spans": true})),
        env!("CARGO_MANIFEST_DIR"),
        "cmedqaner",
        kinds,
    );
}

/// What was measured, less a margin.
const FLOOR: (f64, f64) = (0.47, 0.84);
