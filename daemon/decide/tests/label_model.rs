//! The label model against crowd-kit and Snorkel on real votes (`tests/oracle/label_model.py`), and on votes whose truth
//! is known.

use serde_json::Value;
use wengu_decide::label_model::{VoteMatrix, analyse, dawid_skene, fit};
use wengu_decide::weak::Vote;

fn vote(function: usize, label: usize, confidence: f64) -> Vote {
    Vote {
        function: function as u32,
        label: label as u32,
        confidence,
    }
}

struct Golden {
    value: Value,
    matrix: VoteMatrix,
    items: Vec<Vec<Vote>>,
}

fn golden() -> Golden {
    let path = format!(
        "{}/../../tests/golden/label_model/votes.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let number = |v: &Value| v.as_u64().unwrap() as usize;
    let votes = |item: &Value| -> Vec<Vote> {
        let votes = item["votes"].as_array().unwrap().iter();
        votes
            .map(|v| vote(number(&v[0]), number(&v[1]), v[2].as_f64().unwrap()))
            .collect()
    };
    let items: Vec<Vec<Vote>> = value["items"].as_array().unwrap().iter().map(votes).collect();
    let size = |key: &str| value[key].as_array().unwrap().len();
    let matrix = VoteMatrix::new(size("labels"), size("functions"), &items);
    Golden { value, matrix, items }
}

#[test]
fn dawid_skene_is_crowd_kits() {
    let g = golden();
    let posteriors = dawid_skene(&g.matrix, g.value["iterations"].as_u64().unwrap() as usize);
    for row in g.value["dawid_skene"].as_array().unwrap() {
        let item = row[0].as_u64().unwrap() as usize;
        for (label, expected) in row[1].as_array().unwrap().iter().enumerate() {
            let (actual, expected) = (posteriors[item][label], expected.as_f64().unwrap());
            assert!(
                (actual - expected).abs() < 1e-6,
                "item {item}, label {label}: {actual}, {expected}"
            );
        }
    }
}

#[test]
fn the_analysis_is_snorkels() {
    let g = golden();
    for (function, (actual, expected)) in analyse(&g.matrix)
        .iter()
        .zip(g.value["analysis"].as_array().unwrap())
        .enumerate()
    {
        for (actual, expected) in [actual.coverage, actual.overlap, actual.conflict]
            .iter()
            .zip(expected.as_array().unwrap())
        {
            assert!(
                (actual - expected.as_f64().unwrap()).abs() < 1e-9,
                "function {function}"
            );
        }
    }
}

#[test]
fn on_real_votes_it_is_no_worse_than_the_majority_and_than_snorkel() {
    let g = golden();
    let fitted = fit(&g.matrix);
    let (mut right, mut voted) = (0.0, 0.0);
    for ((item, probabilities), votes) in g.value["items"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&fitted.probabilities)
        .zip(&g.items)
    {
        let Some(p) = probabilities else {
            continue;
        };
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9 && !votes.is_empty());
        let best = (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]));
        voted += 1.0;
        right += f64::from(u8::from(best.map(|b| b as u64) == item["gold"].as_u64()));
    }
    let accuracy = right / voted;
    eprintln!(
        "accuracy of {voted} items with votes: {accuracy:.4}; {}",
        g.value["accuracy_of_voted"]
    );
    for other in ["majority", "snorkel", "dawid_skene"] {
        let reference = g.value["accuracy_of_voted"][other].as_f64().unwrap();
        assert!(accuracy >= reference, "{other}: {reference}, this: {accuracy}");
    }
}

/// Draws with a fixed linear congruential generator: no item of the test depends on chance.
struct Draws(u64);
impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Items with truths, and functions of these accuracies that all claim 0.7 and speak on 60 % of the items.
fn drawn(accuracies: &[f64], items: usize, labels: usize) -> (Vec<usize>, Vec<Vec<Vote>>) {
    let mut draws = Draws(7);
    let mut truths = Vec::new();
    let mut votes = Vec::new();
    for _ in 0..items {
        let truth = (draws.next() * labels as f64) as usize;
        let mut item = Vec::new();
        for (function, accuracy) in accuracies.iter().enumerate() {
            if draws.next() < 0.6 {
                let wrong = (truth + 1 + (draws.next() * (labels - 1) as f64) as usize) % labels;
                let label = if draws.next() < *accuracy { truth } else { wrong };
                item.push(vote(function, label, 0.7));
            }
        }
        truths.push(truth);
        votes.push(item);
    }
    (truths, votes)
}

#[test]
fn accuracies_are_found_without_gold_labels() {
    let known = [0.95, 0.85, 0.7, 0.55, 0.4];
    let (_, votes) = drawn(&known, 4000, 4);
    let fitted = fit(&VoteMatrix::new(4, known.len(), &votes));
    for (found, known) in fitted.accuracies.iter().zip(known) {
        assert!((found - known).abs() < 0.05, "{found} for {known}");
    }
    assert!(
        fitted.weights.iter().all(|w| *w > 0.7),
        "independent: {:?}",
        fitted.weights
    );
}

#[test]
fn ten_copies_of_a_function_count_as_one() {
    let (truths, votes) = drawn(&[0.85, 0.85, 0.85, 0.55], 2000, 3);
    let mut copied = votes.clone();
    for item in &mut copied {
        let original: Vec<Vote> = item.iter().filter(|v| v.function == 3).copied().collect();
        for copy in 4..13 {
            item.extend(original.iter().map(|v| vote(copy, v.label as usize, 0.7)));
        }
    }
    let right = |p: &Vec<f64>, truth: usize| p.iter().all(|other| *other <= p[truth]);
    let hits = |probabilities: &[Option<Vec<f64>>]| {
        let pairs = probabilities.iter().zip(&truths);
        pairs
            .filter(|(p, truth)| p.as_ref().is_some_and(|p| right(p, **truth)))
            .count() as f64
    };
    let fitted = fit(&VoteMatrix::new(3, 13, &copied));
    let copies: f64 = fitted.weights[3..].iter().sum();
    assert!((0.9..1.3).contains(&copies), "{:?}", fitted.weights);
    let alone = hits(&fit(&VoteMatrix::new(3, 4, &votes)).probabilities);
    let with_copies = hits(&fitted.probabilities);
    // Where each copy counts in full, they carry nearly every item that they vote on.
    let outvoted = hits(&majority(&copied));
    assert!(
        with_copies > 0.97 * alone && outvoted < 0.9 * alone,
        "{alone} without copies, {with_copies} with, {outvoted} by majority"
    );
}

fn majority(items: &[Vec<Vote>]) -> Vec<Option<Vec<f64>>> {
    let shares = |item: &Vec<Vote>| {
        let mut shares = vec![0.0; 3];
        item.iter().for_each(|v| shares[v.label as usize] += 1.0);
        (!item.is_empty()).then_some(shares)
    };
    items.iter().map(shares).collect()
}

#[test]
fn few_votes_make_nothing_certain() {
    let one = fit(&VoteMatrix::new(5, 1, &[vec![vote(0, 2, 0.8)], vec![]]));
    let p = one.probabilities[0].as_ref().unwrap();
    assert!((0.7..0.95).contains(&p[2]), "{p:?}");
    assert_eq!(one.probabilities[1], None);
    let two = fit(&VoteMatrix::new(2, 2, &[vec![vote(0, 0, 0.8), vote(1, 1, 0.8)]]));
    assert!((two.probabilities[0].as_ref().unwrap()[0] - 0.5).abs() < 1e-9, "a tie");
    let empty = fit(&VoteMatrix::new(2, 3, &[]));
    assert!(empty.probabilities.is_empty() && empty.accuracies == [0.5; 3]);
    // What is no vote: another label or function, a confidence out of range, two things at once.
    let bad = vec![
        vote(0, 9, 0.5),
        vote(9, 0, 0.5),
        vote(1, 0, 0.0),
        vote(2, 0, 0.5),
        vote(2, 1, 0.5),
    ];
    assert_eq!(fit(&VoteMatrix::new(2, 3, &[bad])).probabilities, [None]);
}
