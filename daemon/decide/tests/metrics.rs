//! The metrics against their reference implementations, on real predictions (`tests/oracle/metrics.py`).

use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use wengu_decide::gate::{ItemLabelSets, label_sets_worse_p};
use wengu_decide::metrics::{
    Bleu, BleuTokenizer, Confusion, LabelSetScores, SpanScores, Tag, exact_match, expected_calibration_error, rouge_l,
    spans,
};

fn golden(name: &str) -> Value {
    let path = format!("{}/../../tests/golden/metrics/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

#[test]
fn sets_of_labels_are_counted_as_scikit_learn_does() {
    let g = golden("label_sets");
    let sets = |key: &str| -> Vec<BTreeSet<String>> { serde_json::from_value(g[key].clone()).unwrap() };
    let mut scores = LabelSetScores::default();
    for (expected, answered) in sets("expected").iter().zip(&sets("answered")) {
        scores.add(expected, answered);
    }
    near(scores.subset_accuracy().unwrap(), &g["subset_accuracy"], "exact sets");
    near(scores.micro_f1().unwrap(), &g["micro_f1"], "micro F1");
    near(scores.macro_f1().unwrap(), &g["macro_f1"], "macro F1");
    let labels = g["labels"].as_object().unwrap();
    assert_eq!(labels.len(), scores.labels().len());
    for (label, reference) in labels {
        let counts = scores.labels()[label];
        near(counts.precision().unwrap_or(0.0), &reference["precision"], label);
        near(counts.recall().unwrap_or(0.0), &reference["recall"], label);
        near(counts.f1().unwrap(), &reference["f1"], label);
        assert_eq!(Some(counts.expected), reference["support"].as_u64(), "{label}");
    }
}

#[test]
fn chances_of_a_worse_f1_come_near_those_over_all_swaps() {
    for case in golden("label_sets")["randomisation"].as_array().unwrap() {
        let sets = |key: &str| -> Vec<BTreeSet<String>> { serde_json::from_value(case[key].clone()).unwrap() };
        let files: Vec<Option<String>> = serde_json::from_value(case["files"].clone()).unwrap();
        let (expected, champion, challenger) = (sets("expected"), sets("champion"), sets("challenger"));
        let item = |i: usize| ItemLabelSets {
            expected: expected[i].clone(),
            champion: champion[i].clone(),
            challenger: challenger[i].clone(),
            case_file: files[i].clone(),
        };
        let items: Vec<ItemLabelSets> = (0..expected.len()).map(item).collect();
        let (macro_p, micro_p) = label_sets_worse_p(&items);
        // 10,000 swaps: a standard error of at most 0.005.
        for (found, key) in [(macro_p, "macro_p"), (micro_p, "micro_p")] {
            let wanted = case[key].as_f64().unwrap();
            assert!((found - wanted).abs() < 0.02, "{key}: {found}, over all swaps {wanted}");
        }
    }
    assert_eq!(label_sets_worse_p(&[]), (1.0, 1.0));
}

fn near(actual: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (actual - expected).abs() < 1e-6,
        "{what}: {actual}, the reference says {expected}"
    );
}

#[test]
fn classes_are_counted_as_scikit_learn_and_torchmetrics_do() {
    let g = golden("classes");
    let labels = |key: &str| numbers(&g[key]).iter().map(|n| *n as u32).collect::<Vec<_>>();
    let (expected, predicted) = (labels("expected"), labels("predicted"));
    let confusion = Confusion::new(g["labels"].as_u64().unwrap() as usize, &expected, &predicted).unwrap();
    near(confusion.accuracy().unwrap(), &g["accuracy"], "accuracy");
    near(confusion.micro_f1().unwrap(), &g["micro_f1"], "micro F1");
    near(confusion.macro_f1().unwrap(), &g["macro_f1"], "macro F1");
    for (class, recall) in g["recalls"].as_object().unwrap() {
        near(confusion.recall(class.parse().unwrap()).unwrap(), recall, class);
    }
    let right: Vec<bool> = expected.iter().zip(&predicted).map(|(e, p)| e == p).collect();
    let confidences = numbers(&g["confidences"]);
    for (bins, key) in [(15, "ece_15"), (10, "ece_10")] {
        let ece = expected_calibration_error(&confidences, &right, bins).unwrap().unwrap();
        near(ece, &g[key], key);
    }
    let edges = &g["edges"];
    let right: Vec<bool> = edges["right"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b.as_bool().unwrap())
        .collect();
    let ece = expected_calibration_error(&numbers(&edges["confidences"]), &right, 10).unwrap();
    near(ece.unwrap(), &edges["ece_10"], "the bins' ends");
    assert_eq!(expected_calibration_error(&[], &[], 10), Ok(None));
    assert!(expected_calibration_error(&[f64::NAN], &[true], 10).is_err());
    assert!(expected_calibration_error(&[0.5], &[], 10).is_err());
}

#[test]
fn spans_are_counted_as_seqeval_does() {
    let g = golden("spans");
    let tags = |v: &Value| -> Vec<Tag> {
        let texts = v.as_array().unwrap().iter().map(|t| t.as_str().unwrap());
        texts.map(|t| t.parse().unwrap()).collect()
    };
    let mut scores = SpanScores::default();
    let (expected, predicted) = (g["expected"].as_array().unwrap(), g["predicted"].as_array().unwrap());
    for (e, p) in expected.iter().zip(predicted) {
        scores.add(&tags(e), &tags(p));
    }
    near(scores.micro_f1().unwrap(), &g["micro_f1"], "micro F1");
    near(scores.macro_f1().unwrap(), &g["macro_f1"], "macro F1");
    for (kind, f1) in g["types"].as_object().unwrap() {
        near(scores.f1(kind).unwrap(), f1, kind);
    }
    assert_eq!(SpanScores::default().micro_f1(), None);
    assert!(["", "B", "B-", "X-Y", "o"].iter().all(|t| t.parse::<Tag>().is_err()));
}

#[test]
fn texts_are_compared_as_sacrebleu_and_rouge_score_do() {
    for (name, tokenizer) in [("english", BleuTokenizer::V13a), ("chinese", BleuTokenizer::Zh)] {
        let g = golden(name);
        let mut corpus = Bleu::corpus(tokenizer);
        for item in g["items"].as_array().unwrap() {
            let (expected, actual) = (item["expected"].as_str().unwrap(), item["actual"].as_str().unwrap());
            corpus.add(expected, actual);
            let mut sentence = Bleu::sentence(tokenizer);
            sentence.add(expected, actual);
            near(sentence.score(), &item["bleu"], actual);
            assert_eq!(sentence.signature(), g["sentence_signature"].as_str().unwrap());
            let rouge = rouge_l(expected, actual);
            let wanted = &item["rouge_l"];
            near(rouge.precision, &wanted[0], actual);
            near(rouge.recall, &wanted[1], actual);
            near(rouge.f1, &wanted[2], actual);
        }
        near(corpus.score(), &g["corpus_bleu"], name);
        assert_eq!(corpus.signature(), g["signature"].as_str().unwrap());
    }
    assert_eq!(Bleu::corpus(BleuTokenizer::Zh).score(), 0.0);
    assert_eq!(rouge_l("", "").f1, 0.0);
    assert!(exact_match(" 不可抗力\n", "不可抗力") && exact_match("a  b", "a b"));
    assert!(!exact_match("a b", "ab") && !exact_match("A", "a"));
}

fn tag() -> impl Strategy<Value = Tag> {
    prop_oneof![
        Just(Tag::Outside),
        "[XY]".prop_map(Tag::Begin),
        "[XY]".prop_map(Tag::Inside)
    ]
}

proptest! {
    #[test]
    fn scores_are_bounded_and_full_for_what_is_equal(expected in "\\PC{0,40}", actual in "\\PC{0,40}") {
        for tokenizer in [BleuTokenizer::V13a, BleuTokenizer::Zh] {
            let mut bleu = Bleu::sentence(tokenizer);
            bleu.add(&expected, &actual);
            prop_assert!((0.0..=100.0 + 1e-9).contains(&bleu.score()));
            let mut same = Bleu::sentence(tokenizer);
            same.add(&actual, &actual);
            prop_assert!(same.score() == 0.0 || (same.score() - 100.0).abs() < 1e-9);
        }
        prop_assert!((0.0..=1.0).contains(&rouge_l(&expected, &actual).f1));
        prop_assert!(exact_match(&actual, &actual));
    }

    #[test]
    fn spans_are_in_order_and_cover_all_but_outside(tags in prop::collection::vec(tag(), 0..30)) {
        let found = spans(&tags);
        prop_assert!(found.windows(2).all(|w| w[0].1.end <= w[1].1.start));
        let covered: usize = found.iter().map(|(_, r)| r.len()).sum();
        prop_assert_eq!(covered, tags.iter().filter(|t| **t != Tag::Outside).count());
        let mut scores = SpanScores::default();
        scores.add(&tags, &tags);
        prop_assert!(scores.micro_f1().is_none_or(|f1| f1 == 1.0));
    }
}
