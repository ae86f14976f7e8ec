//! Votes on spans: only when asked for, of documents' labels never, and right on judgments that people have marked.

#[path = "../../checks/spans.rs"]
mod checks;

use serde_json::{Value, json};
use wengu_plugin::{Document, Host, Labeler, Plugin};
use wengu_plugin_legal_zh::LegalZh;

const TEXT: &str = "原告张某与被告北京某某科技有限公司于2021年3月5日签订合同，约定甲方支付人民币5000元。依照《民法典》第五百七十七条、\
    （2021）京01民终1234号判决，债务人承担连带清偿责任，已付款项概不退还。";

fn plugin(config: Value) -> LegalZh {
    LegalZh::create(&Host::silent(), &config).unwrap()
}

fn found(plugin: &mut LegalZh) -> Vec<(String, Option<&'static str>)> {
    let document = Document {
        text: TEXT,
        metadata: &Value::Null,
        seed: 0,
    };
    let labels = plugin.labels();
    let votes = plugin.label(&Host::silent(), &document).unwrap();
    let name = |v: wengu_plugin::Vote| (labels[v.label].clone(), v.span.map(|s| &TEXT[s]));
    votes.into_iter().map(name).collect()
}

#[test]
fn spans_are_voted_for_when_asked_for() {
    let documents = found(&mut plugin(json!({})));
    assert!(!documents.is_empty() && documents.iter().all(|(_, span)| span.is_none()));
    assert_eq!(plugin(json!({})).labels().len(), 7);

    let mut with_spans = plugin(json!({"spans": true}));
    assert_eq!(with_spans.labels()[7..], ["citation", "date", "money", "party", "risk"]);
    let all = found(&mut with_spans);
    assert_eq!(
        all[..documents.len()],
        documents,
        "the votes on the document are the same"
    );
    let spans: Vec<_> = all[documents.len()..]
        .iter()
        .map(|(label, span)| (label.as_str(), span.unwrap()))
        .collect();
    let want = [
        ("citation", "《民法典》第五百七十七条"),
        ("citation", "《民法典》"),
        ("citation", "（2021）京01民终1234号"),
        ("date", "2021年3月5日"),
        ("money", "人民币5000元"),
        ("party", "甲方"),
        ("party", "张某"),
        ("party", "北京某某科技有限公司"),
        ("risk", "概不退还"),
        ("risk", "连带清偿责任"),
    ];
    assert_eq!(spans, want);
}

#[test]
fn the_entities_of_the_data_set_are_found() {
    let kinds: [(&str, &[&str], _); 3] = [
        ("party", &["SUSPECT", "VICTIM"], (0.9, 0.45)),
        ("date", &["TIME"], (0.9, 0.85)),
        ("money", &["VALUE", "STOLEN_MONEY", "PROFIT"], (0.95, 0.75)),
    ];
    let mut plugin = plugin(json!({"spans": true}));
    checks::entity_set(&mut plugin, env!("CARGO_MANIFEST_DIR"), "zh_theft_ner", &kinds);
}
