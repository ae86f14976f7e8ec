//! Fitting hyper-parameters: what is tried, what goes on, what is asked, and what replaces the defaults.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wengu_decide::gate::stats::mcnemar;
use wengu_decide::tune::{
    Asked, ETA, Key, Next, Part, Rung, Space, Text, Values, candidates, epochs_in_all, fit, next, parts, rungs, score,
};

const DEFAULTS: Values = Values {
    learning_rate: 1e-3,
    batch_size: 16,
    rank: Some(8),
    ewc_lambda: 100.0,
    distill_temperature: 2.0,
    replay_ratio: 1.0,
};

#[test]
fn sixteen_candidates_and_four_epochs_are_three_rungs() {
    let rung = |epochs, candidates| Rung { epochs, candidates };
    let found = rungs(16, 4, ETA);
    assert_eq!(found, [rung(1, 16), rung(2, 8), rung(4, 4)]);
    assert_eq!(epochs_in_all(&found), 2 * 48);
    assert_eq!(rungs(16, 1, 2), [rung(1, 16)], "nothing to halve");
    assert_eq!(rungs(3, 100, 2), [rung(50, 3), rung(100, 2)]);
    assert_eq!(rungs(1, 4, 2), [rung(4, 1)]);
}

#[test]
fn what_is_not_searched_is_the_defaults() {
    let space = Space::full().without(Key::LearningRate).without(Key::Rank);
    assert_eq!(
        space.searched(),
        [
            Key::BatchSize,
            Key::EwcLambda,
            Key::DistillTemperature,
            Key::ReplayRatio
        ]
    );
    let all = candidates(&space, &DEFAULTS, 12, 1);
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|c| c.learning_rate == 1e-3 && c.rank == Some(8)));
    let nothing = Key::ALL.into_iter().fold(Space::full(), Space::without);
    assert_eq!(candidates(&nothing, &DEFAULTS, 12, 1), [DEFAULTS]);
    let one = Key::ALL.into_iter().filter(|key| *key != Key::BatchSize);
    let one = one.fold(Space::full(), Space::without);
    assert_eq!(candidates(&one, &DEFAULTS, 12, 1).len(), 3, "8, 16 and 32");
}

/// Runs a search whose trials score as `of` says.
fn search(rungs: &[Rung], n: usize, of: impl Fn(usize, usize) -> Option<f64>) -> BTreeMap<(usize, usize), Option<f64>> {
    let mut scores = BTreeMap::new();
    while let Next::Trial { rung, candidate } = next(rungs, n, &scores) {
        assert!(scores.insert((rung, candidate), of(rung, candidate)).is_none());
    }
    scores
}

fn entrants(scores: &BTreeMap<(usize, usize), Option<f64>>, rung: usize) -> Vec<usize> {
    let of = scores.keys().filter(|(number, _)| *number == rung);
    of.map(|(_, candidate)| *candidate).collect()
}

#[test]
fn the_defaults_go_on_though_they_are_last_and_ties_go_to_the_lower_number() {
    let rungs = rungs(8, 4, 2);
    let scores = search(&rungs, 8, |_, c| Some(if c == 0 { 0.0 } else { 0.5 }));
    assert_eq!(entrants(&scores, 1), [0, 1, 2, 3]);
    assert_eq!(entrants(&scores, 2), [0, 1]);
}

#[test]
fn a_failed_trial_leaves_its_place_to_the_next() {
    let rungs = rungs(8, 4, 2);
    let scores = search(&rungs, 8, |rung, c| match (rung, c) {
        (0, 7) | (1, 6) => None,
        _ => Some(c as f64),
    });
    assert_eq!(entrants(&scores, 1), [0, 4, 5, 6]);
    assert_eq!(entrants(&scores, 2), [0, 5]);
    let scores = search(&rungs, 8, |_, _| None);
    assert_eq!(scores.len(), 8, "where all fail it ends");
}

proptest! {
    #[test]
    fn candidates_begin_with_the_defaults_are_different_and_lie_in_the_space(n in 1usize..40, seed: u64) {
        let space = Space::full();
        let all = candidates(&space, &DEFAULTS, n, seed);
        prop_assert_eq!(&all, &candidates(&space, &DEFAULTS, n, seed));
        prop_assert_eq!(all.len(), n);
        prop_assert_eq!(all[0], DEFAULTS);
        for (i, c) in all.iter().enumerate() {
            prop_assert!(!all[..i].contains(c));
            prop_assert!((1e-5..=5e-3).contains(&c.learning_rate));
            prop_assert!(space.batch_size.contains(&c.batch_size) && space.rank.contains(&c.rank.unwrap()));
            let rate = format!("{:e}", c.learning_rate);
            prop_assert!(rate.split('e').next().unwrap().len() <= 4, "{} has more than three digits", rate);
        }
    }

    #[test]
    fn the_rate_is_tried_in_every_stretch_of_its_orders_of_magnitude(n in 2usize..40, seed: u64) {
        let drawn = candidates(&Space::full(), &DEFAULTS, n + 1, seed);
        let mut rates: Vec<f64> = drawn[1..].iter().map(|c| c.learning_rate).collect();
        rates.sort_by(f64::total_cmp);
        for (i, rate) in rates.iter().enumerate() {
            let place = (rate / 1e-5).ln() / 500f64.ln() * n as f64;
            // Three digits are half a percent, at most.
            let slack = 0.006 / 500f64.ln() * n as f64;
            prop_assert!(place > i as f64 - slack && place < (i + 1) as f64 + slack, "{} is not in part {}", rate, i);
        }
    }

    #[test]
    fn a_search_ends_tries_nothing_twice_and_keeps_the_better(
        n in 1usize..30,
        epochs in 1u32..40,
        worth in proptest::collection::vec(0u32..6, 30),
    ) {
        let rungs = rungs(n, epochs, ETA);
        prop_assert_eq!(rungs.last().unwrap().epochs, epochs);
        prop_assert!(rungs.windows(2).all(|w| w[0].epochs < w[1].epochs && w[0].candidates >= w[1].candidates));
        let scores = search(&rungs, n, |_, c| (worth[c] > 0).then(|| f64::from(worth[c])));
        for (rung, of) in rungs.iter().enumerate() {
            let entered = entrants(&scores, rung);
            prop_assert!(entered.len() <= of.candidates);
            if rung == 0 {
                prop_assert_eq!(entered.len(), n);
                continue;
            }
            let before = entrants(&scores, rung - 1);
            let least = entered.iter().filter(|c| **c != 0).map(|c| worth[*c]).min();
            let left_out = before.iter().filter(|c| !entered.contains(c)).map(|c| worth[*c]).max();
            prop_assert!(entered.iter().all(|c| before.contains(c) && worth[*c] > 0));
            prop_assert!(left_out.unwrap_or(0) <= least.unwrap_or(u32::MAX));
            prop_assert_eq!(entered.contains(&0), before.contains(&0) && worth[0] > 0);
        }
    }

    #[test]
    fn no_case_is_both_learned_and_asked_and_order_does_not_matter(
        labels in 2usize..12,
        texts in proptest::collection::vec((0usize..40, 0usize..12), 60..300),
        seed in 0u64..50,
    ) {
        let names: Vec<(String, String)> = texts.iter().map(|(case, label)| (case.to_string(), (label % labels).to_string())).collect();
        let texts: Vec<Text> = names.iter().map(|(case, label)| Text { case, label }).collect();
        let Ok(found) = parts(&texts, seed) else { return Ok(()) };
        let reversed: Vec<Text> = texts.iter().rev().copied().collect();
        let mut other = parts(&reversed, seed).unwrap();
        other.places.reverse();
        prop_assert_eq!(&found, &other);
        let of = |part: Part, asked: bool| -> Vec<&Text> {
            let placed = texts.iter().zip(&found.places);
            placed.filter(|(_, place)| place.is_some_and(|p| p.part == part && p.asked == asked)).map(|(text, _)| text).collect()
        };
        let cases = |asked| -> BTreeSet<&str> {
            [Part::Old, Part::New].into_iter().flat_map(|part| of(part, asked)).map(|text| text.case).collect()
        };
        prop_assert!(cases(true).is_disjoint(&cases(false)));
        let taught: BTreeSet<&str> = of(Part::Old, false).iter().map(|text| text.label).collect();
        prop_assert!(of(Part::Old, true).iter().all(|text| taught.contains(text.label)));
        let all: BTreeSet<&str> = texts.iter().map(|text| text.label).collect();
        prop_assert_eq!(found.late.len(), if all.len() >= 4 { all.len() / 2 } else { 0 });
        prop_assert!(taught.iter().all(|label| !found.late.contains(*label)), "a late label is new");
    }

    /// Where each text is a case of its own and both parts have as many, the test is the gate's exact McNemar test.
    #[test]
    fn the_test_of_the_margin_is_the_gates(b in 0usize..7, c in 0usize..7, same in 0usize..10, tried in 2usize..20) {
        let n = 2 * (b + c + same).max(1);
        let asked: Vec<Asked> = (0..n)
            .map(|i| Asked { case: i.to_string(), part: if i < n / 2 { Part::Old } else { Part::New } })
            .collect();
        let defaults: Vec<bool> = (0..n).map(|i| i < b || i >= b + c).collect();
        let other: Vec<bool> = (0..n).map(|i| i >= b).collect();
        let found = fit(&asked, &BTreeMap::from([(0, defaults.clone()), (3, other.clone())]), tried, 1).unwrap();
        let margin = score(&asked, &other).unwrap().mean() - score(&asked, &defaults).unwrap().mean();
        if c > b {
            // "Worse" is said of the defaults here: those only the other had right are the losses.
            let expected = mcnemar(c as u64, b as u64).exact_p;
            prop_assert!((found.p - expected).abs() < 1e-9, "{} and {}", found.p, expected);
            prop_assert!((found.margin - margin).abs() < 1e-12);
            prop_assert_eq!(found.best, 3);
            prop_assert_eq!(found.chosen == 3, expected <= 0.05 / (tried - 1) as f64);
        } else {
            prop_assert_eq!((found.best, found.chosen, found.margin), (0, 0, 0.0), "the defaults win a tie");
        }
    }
}

#[test]
fn both_parts_count_the_same_and_texts_of_one_case_are_one_witness() {
    let asked: Vec<Asked> = (0..40)
        .map(|i| Asked {
            case: if i < 30 { "one".into() } else { i.to_string() },
            part: if i < 30 { Part::Old } else { Part::New },
        })
        .collect();
    let defaults = vec![false; 40];
    let better: Vec<bool> = (0..40).map(|i| i < 30).collect();
    let of = score(&asked, &better).unwrap();
    assert_eq!((of.old, of.new, of.mean()), (1.0, 0.0, 0.5));
    let found = fit(&asked, &BTreeMap::from([(0, defaults), (1, better)]), 2, 1).unwrap();
    assert_eq!(
        (found.best, found.chosen),
        (1, 0),
        "thirty texts of one case prove nothing: {found:?}"
    );
    assert_eq!(found.p, 0.5);
    assert!((found.margin - 0.5).abs() < 1e-12);
    assert_eq!(
        score(&asked[..30], &[true; 30]),
        None,
        "without new texts there is no score"
    );
    assert_eq!(fit(&asked, &BTreeMap::from([(1, vec![true; 40])]), 2, 1), None);
}

#[test]
fn little_data_is_refused_by_name() {
    let texts = vec![Text { case: "a", label: "x" }; 100];
    let error = parts(&texts, 1).unwrap_err().to_string();
    assert!(error.contains("Deliver more labelled case files first"), "{error}");
    assert!(parts(&[], 1).is_err());
}
