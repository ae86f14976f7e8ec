//! What clauses of contracts are called: only when asked for, and how often rightly on articles that were marked.

use serde_json::{Value, json};
use std::path::Path;
use wengu_plugin::{Document, Evaluator, Host, Labeler, Plugin, Prediction};
use wengu_plugin_legal_zh::LegalZh;

fn plugin(config: Value) -> LegalZh {
    LegalZh::create(&Host::silent(), &config).unwrap()
}

fn clauses() -> LegalZh {
    plugin(json!({"labels": "clauses"}))
}

fn labels_of(text: &str) -> Vec<String> {
    let document = Document {
        text,
        metadata: &Value::Null,
        seed: 0,
    };
    let mut plugin = clauses();
    let labels = plugin.labels();
    let votes = plugin.label(&Host::silent(), &document).unwrap();
    votes.iter().map(|v| labels[v.label].clone()).collect()
}

fn marked() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clauses.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Prints a table. The part of the articles with a type whose strongest label is theirs, and the part of all strongest labels
/// that is right; where two labels are as strong there is none.
fn measure(part: &str, rows: &[&Value]) -> (f64, f64) {
    let mut plugin = clauses();
    let (labels, functions) = (plugin.labels(), plugin.functions());
    let mut by_function = vec![(0, 0); functions.len()];
    let (mut typed, mut spoken, mut right) = (0, 0, 0);
    for row in rows {
        let document = Document {
            text: row["text"].as_str().unwrap(),
            metadata: &Value::Null,
            seed: 0,
        };
        let mut sums = vec![0.0; labels.len()];
        for vote in plugin.label(&Host::silent(), &document).unwrap() {
            sums[vote.label] += vote.confidence;
            by_function[vote.function].0 += 1;
            by_function[vote.function].1 += usize::from(row["label"] == *labels[vote.label]);
        }
        typed += usize::from(row["label"] != "无");
        let best = sums.iter().copied().fold(0.0, f64::max);
        let strongest: Vec<usize> = (0..labels.len()).filter(|&l| best > 0.0 && sums[l] == best).collect();
        if let [label] = strongest[..] {
            spoken += 1;
            right += usize::from(row["label"] == *labels[label]);
        }
    }
    println!(
        "{part}: {} articles, {typed} with a type, {spoken} labelled, {right} rightly",
        rows.len()
    );
    for (function, (votes, right)) in functions.iter().zip(by_function) {
        println!("{function:24} {votes:4} {right:4}");
    }
    (right as f64 / typed as f64, right as f64 / spoken as f64)
}

#[test]
fn branches_of_law_stay_the_default() {
    assert_eq!(plugin(json!({})).labels().len(), 7);
    assert_eq!(
        plugin(json!({"labels": "branches"})).functions(),
        plugin(json!({})).functions()
    );
    assert_eq!(clauses().labels().len(), 16);
    let with_spans = plugin(json!({"labels": "clauses", "spans": true}));
    assert_eq!(with_spans.labels().len(), 16 + 5);
    for bad in [
        json!({"labels": "chapters"}),
        json!({"labels": 1}),
        json!({"label": "clauses"}),
    ] {
        assert!(LegalZh::create(&Host::silent(), &bad).is_err(), "{bad}");
    }
}

#[test]
fn clauses_as_contracts_word_them_get_their_type() {
    // Written for this test: they show that each rule can speak, not how often it is right.
    let clauses = [
        (
            "双方对在合作中知悉的对方商业秘密负有保密义务，未经书面同意不得向任何第三方披露。",
            "保密",
        ),
        (
            "乙方离职后二年内不得到与甲方有竞争关系的同类企业任职，甲方按月支付竞业限制补偿金。",
            "竞业限制",
        ),
        ("本项目成果的著作权归甲方所有。", "知识产权"),
        (
            "任何一方违反本合同的，应当向守约方支付合同总额百分之十的违约金。",
            "违约责任",
        ),
        ("乙方在本合同下的赔偿总额以甲方已付的服务费为限。", "责任限制"),
        (
            "因地震、洪水等不可抗力不能履行本合同的，受影响的一方部分或者全部免除责任。",
            "不可抗力",
        ),
        (
            "因本合同发生的争议，双方协商不成的，提交中国国际经济贸易仲裁委员会仲裁。",
            "争议解决",
        ),
        ("本合同的订立、解释和履行均适用中华人民共和国法律。", "法律适用"),
        ("甲方逾期三十日仍未改正的，乙方有权解除本合同。", "解除与终止"),
        (
            "未经甲方书面同意，乙方不得将本合同项下的权利义务转让给第三方。",
            "转让与分包",
        ),
        ("甲方应于每月五日前支付租金。", "付款"),
        ("丙方作为保证人，为乙方的债务提供连带责任担保。", "担保"),
        ("本合同有效期三年，自双方签字之日起计算。", "合同期限"),
        ("一方变更通讯地址的，文件寄至原地址视为送达。", "通知"),
        ("甲方应在到货后七日内完成验收。", "质量与验收"),
        ("货物毁损、灭失的风险自交货时起由买方承担。", "交付与风险"),
    ];
    for (text, label) in clauses {
        assert!(
            labels_of(text).iter().any(|l| l == label),
            "{label}: {text} {:?}",
            labels_of(text)
        );
    }
}

#[test]
fn the_marked_articles_are_labelled() {
    let known = clauses().labels();
    let marked = marked();
    assert_eq!(marked.len(), 320);
    let spelled = |row: &Value| row["label"] == "无" || known.iter().any(|l| row["label"] == **l);
    assert!(marked.iter().all(spelled), "the labels are spelled as in the plugin");
    // Floors are what was measured, less a margin: coverage of articles with a type, and precision over all that get one.
    for (part, floor) in [("tune", (0.8, 0.9)), ("report", (0.4, 0.55))] {
        let rows: Vec<&Value> = marked.iter().filter(|row| row["part"] == part).collect();
        let reached = measure(part, &rows);
        assert!(reached.0 >= floor.0 && reached.1 >= floor.1, "{part}: {reached:?}");
    }
}

#[test]
fn answers_are_scored_among_clause_types() {
    let item = Prediction {
        input: "",
        expected: "违约责任",
        actual: "责任限制",
    };
    assert_eq!(clauses().score(&Host::silent(), &item, 0).unwrap(), [0.0, 0.5]);
    assert!(plugin(json!({})).score(&Host::silent(), &item, 0).is_err());
}

#[test]
fn the_marked_articles_are_those_of_the_set() {
    let Some(data) = std::env::var_os("WENGU_DATA") else {
        println!("skipped: WENGU_DATA names no folder of data sets");
        return;
    };
    let read = |name| std::fs::read_to_string(Path::new(&data).join("zh_civil_code_book").join(name)).unwrap();
    let set: Vec<Value> = [read("train.jsonl"), read("test.jsonl")]
        .iter()
        .flat_map(|text| {
            text.lines()
                .map(|l| serde_json::from_str(l).unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    for row in marked() {
        let same = |a: &Value| a["article"] == row["article"] && a["text"] == row["text"];
        assert!(
            set.iter().any(|a| same(a) && a["label"] == "合同编"),
            "{}",
            row["article"]
        );
    }
}
