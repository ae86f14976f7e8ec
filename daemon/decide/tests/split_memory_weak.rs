//! Split, memory and weak votes: pure functions whose answers must stay the same for ever.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wengu_decide::memory::{Candidate, select};
use wengu_decide::metrics::{Confusion, MetricsError, argmax_rows};
use wengu_decide::near::fingerprint;
use wengu_decide::split::{HeldOut, Side, side};
use wengu_decide::weak::{Vote, aggregate};

/// A changed value here means that learned cases would be used to judge. Never update it.
const SIDES_20_10: &str = "tatttttttttttgtggtgtttttgttattttttttatattt";

fn shares(gate_percent: u32, reserve_percent: u32, audit_percent: u32) -> HeldOut {
    HeldOut {
        gate_percent,
        reserve_percent,
        audit_percent,
    }
}

fn held_out(gate: u32, audit: u32) -> HeldOut {
    shares(gate, 0, audit)
}

#[test]
fn sides_are_the_same_for_ever() {
    let keys = (0..40)
        .map(|i| format!("case-{i}"))
        .chain(["病例-甲".into(), "病例-乙".into()]);
    let sides: String = keys
        .map(|key| match side("legal-en", &key, &held_out(20, 10)) {
            Side::Train => 't',
            Side::Gate => 'g',
            Side::Audit => 'a',
            Side::Reserve => 'r',
            Side::Checklist => 'c',
        })
        .collect();
    assert_eq!(sides, SIDES_20_10);
}

#[test]
fn sides_have_the_shares_asked_for_and_differ_between_domains() {
    let count = |domain: &str, gate, audit, wanted| {
        (0..20_000)
            .filter(|i| side(domain, &i.to_string(), &held_out(gate, audit)) == wanted)
            .count()
    };
    // Four standard deviations of Binomial(20000, .2) and (20000, .1).
    assert!(count("legal", 20, 10, Side::Gate).abs_diff(4000) < 230);
    assert!(count("legal", 20, 10, Side::Audit).abs_diff(2000) < 170);
    let reserved = (0..20_000).filter(|i| side("legal", &i.to_string(), &shares(20, 10, 10)) == Side::Reserve);
    assert!(reserved.count().abs_diff(2000) < 170);
    assert_eq!(count("legal", 0, 0, Side::Train), 20_000);
    assert_eq!(count("legal", 100, 0, Side::Gate), 20_000);
    assert_eq!(count("legal", 0, 100, Side::Audit), 20_000);
    let same = (0..20_000)
        .filter(|i| {
            side("legal", &i.to_string(), &held_out(20, 10)) == side("medical", &i.to_string(), &held_out(20, 10))
        })
        .count();
    // Independent sides agree with probability .2^2 + .1^2 + .7^2 = .54.
    assert!(same.abs_diff(10_800) < 300, "{same}");
    // Where the domain ends and the key begins matters.
    assert!(
        (0..200).any(|i| side("a", &format!("b{i}"), &held_out(50, 0)) != side("ab", &i.to_string(), &held_out(50, 0)))
    );
}

proptest! {
    #[test]
    fn growing_percentages_only_take_cases_out_of_training(
        key in ".{0,20}", before in prop::array::uniform3(0u32..=16), more in prop::array::uniform3(0u32..=9),
    ) {
        let [gate, reserve, audit] = before;
        let grown = shares(gate + more[0], reserve + more[1], audit + more[2]);
        let (before, after) = (side("d", &key, &shares(gate, reserve, audit)), side("d", &key, &grown));
        prop_assert!(before == after || before == Side::Train, "{before:?} became {after:?}");
    }

    #[test]
    fn memory_is_the_same_in_any_order_and_within_the_budget(
        sizes in prop::collection::vec((0usize..4, 1u64..50), 0..80), capacity in 0u64..1500, seed in any::<u64>(),
        cut in 0usize..80,
    ) {
        let all: Vec<Candidate> = sizes
            .iter()
            .enumerate()
            .map(|(i, &(class, bytes))| candidate(format!("{i}"), format!("c{class}"), bytes))
            .collect();
        let cut = cut.min(all.len());
        let kept = select(capacity, &[], &all, seed);
        let mut reversed = all.clone();
        reversed.reverse();
        prop_assert_eq!(&kept, &select(capacity, &reversed[cut..], &reversed[..cut], seed));
        let bytes: u64 = all.iter().filter(|c| kept.contains(&c.id)).map(|c| c.bytes).sum();
        prop_assert!(bytes <= capacity);
        // What is kept stays kept as long as nothing comes.
        let survivors: Vec<Candidate> = all.iter().filter(|c| kept.contains(&c.id)).cloned().collect();
        prop_assert_eq!(&kept, &select(capacity, &survivors, &[], seed));
        prop_assert_eq!(&kept, &select(capacity, &survivors, &survivors, seed));
    }

    #[test]
    fn memory_filled_in_steps_is_memory_filled_at_once(
        classes in prop::collection::vec(0usize..5, 0..120), slots in 1u64..40, seed in any::<u64>(), step in 1usize..30,
    ) {
        let all: Vec<Candidate> = classes
            .iter()
            .enumerate()
            .map(|(i, class)| candidate(format!("{i}"), format!("c{class}"), 7))
            .collect();
        let mut memory: Vec<Candidate> = Vec::new();
        for fresh in all.chunks(step) {
            let kept = select(slots * 7, &memory, fresh, seed);
            memory = memory.iter().chain(fresh).filter(|c| kept.contains(&c.id)).cloned().collect();
        }
        let ids: BTreeSet<String> = memory.into_iter().map(|c| c.id).collect();
        prop_assert_eq!(ids, select(slots * 7, &[], &all, seed).into_iter().collect::<BTreeSet<_>>());
    }

    #[test]
    fn votes_count_the_same_in_any_order(
        votes in prop::collection::vec((0u32..6, 0u32..4, 0.0f64..1.2), 0..12), turn in 0usize..12,
    ) {
        let votes: Vec<Vote> =
            votes.into_iter().map(|(function, label, confidence)| Vote { function, label, confidence }).collect();
        let mut turned = votes.clone();
        turned.rotate_left(turn.min(votes.len()));
        prop_assert_eq!(aggregate(&votes, 3), aggregate(&turned, 3));
        if let Some((label, confidence)) = aggregate(&votes, 3) {
            prop_assert!(label < 3 && confidence > 0.0 && confidence <= 1.0);
        }
    }
}

/// Of no known source, and like no other.
fn candidate(id: String, class: String, bytes: u64) -> Candidate {
    Candidate {
        id,
        class,
        bytes,
        source: String::new(),
        fingerprint: None,
    }
}

fn candidates(counts: &[(&str, usize)], bytes: u64) -> Vec<Candidate> {
    let of = |&(class, n): &(&str, usize)| {
        let class = class.to_string();
        (0..n).map(move |i| candidate(format!("{class}/{i}"), class.clone(), bytes))
    };
    counts.iter().flat_map(of).collect()
}

fn kept_per_class(kept: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for id in kept {
        *counts.entry(id.split('/').next().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn classes_get_the_same_and_small_ones_leave_their_share_to_the_others() {
    let kept = select(
        300 * 10,
        &[],
        &candidates(&[("big", 5000), ("medium", 500), ("small", 20)], 10),
        1,
    );
    assert_eq!(
        kept_per_class(&kept),
        BTreeMap::from([("big", 140), ("medium", 140), ("small", 20)])
    );
}

#[test]
fn one_giant_does_not_push_out_a_class() {
    let mut all = candidates(&[("a", 100), ("b", 100)], 10);
    all.push(candidate("a/giant".into(), "a".into(), 900));
    all.push(candidate("c/giant".into(), "c".into(), 5000));
    for seed in 0..50 {
        let kept = select(1000, &[], &all, seed);
        assert_eq!(kept_per_class(&kept), BTreeMap::from([("a", 50), ("b", 50)]));
    }
    // More classes than there is room for: some of each seed's choice, not none.
    let many: Vec<(String, usize)> = (0..30).map(|i| (format!("k{i}"), 3)).collect();
    let many: Vec<(&str, usize)> = many.iter().map(|(c, n)| (c.as_str(), *n)).collect();
    assert_eq!(select(100, &[], &candidates(&many, 10), 1).len(), 10);
}

#[test]
fn near_duplicates_count_once() {
    let mut all = candidates(&[("a", 30)], 10);
    for (i, candidate) in all.iter_mut().enumerate() {
        // Ten texts, each three times, two bits apart.
        candidate.fingerprint =
            Some(fingerprint(&format!("text number {}", ["one", "two", "six"][i % 3])) ^ (i as u64 / 10));
    }
    for seed in 0..20 {
        let kept = select(1000, &[], &all, seed);
        let of: BTreeSet<usize> = kept.iter().map(|id| id[2..].parse::<usize>().unwrap() % 3).collect();
        assert_eq!((kept.len(), of.len()), (3, 3), "{kept:?}");
    }
}

#[test]
fn one_source_does_not_fill_a_class_while_others_have_something() {
    let mut all = candidates(&[("a", 120)], 10);
    for (i, candidate) in all.iter_mut().enumerate() {
        candidate.source = if i < 100 { "large".into() } else { format!("case {i}") };
    }
    for seed in 0..20 {
        let kept = select(400, &[], &all, seed);
        let large = kept.iter().filter(|id| id[2..].parse::<usize>().unwrap() < 100).count();
        // All of the others, and what is left over for the large one.
        assert_eq!((kept.len(), large), (40, 20));
        let few = select(200, &[], &all, seed);
        let large = few.iter().filter(|id| id[2..].parse::<usize>().unwrap() < 100).count();
        assert!(large <= 5, "{large} of 20 are of one source");
    }
}

#[test]
fn every_example_of_a_class_is_kept_equally_often() {
    // 40 examples, 10 slots, 2000 seeds: each is kept 500 times on average. Chi-square with 39 degrees of freedom is
    // below 72.1 with probability .999; drawing without replacement makes it smaller still by 30/40.
    let all = candidates(&[("a", 40)], 1);
    let mut counts = BTreeMap::<String, f64>::new();
    for seed in 0..2000 {
        for id in select(10, &[], &all, seed) {
            *counts.entry(id).or_default() += 1.0;
        }
    }
    assert_eq!(counts.len(), 40);
    let chi_square: f64 = counts.values().map(|n| (n - 500.0).powi(2) / 500.0).sum::<f64>() / 0.75;
    assert!((15.0..72.1).contains(&chi_square), "{chi_square}");
}

#[test]
fn weak_votes() {
    let vote = |function, label, confidence| Vote {
        function,
        label,
        confidence,
    };
    assert_eq!(aggregate(&[], 3), None);
    assert_eq!(aggregate(&[vote(0, 1, 0.6)], 3), Some((1, 0.6)));
    let (label, confidence) = aggregate(&[vote(0, 1, 0.6), vote(1, 1, 0.8)], 3).unwrap();
    assert_eq!(label, 1);
    assert!((confidence - 0.7).abs() < 1e-12);
    let (label, confidence) = aggregate(&[vote(0, 1, 0.9), vote(1, 2, 0.3)], 3).unwrap();
    assert_eq!(label, 1);
    assert!((confidence - 0.45).abs() < 1e-12, "the function that disagrees counts");
    assert_eq!(aggregate(&[vote(0, 1, 0.5), vote(1, 2, 0.5)], 3), None, "a tie");
    assert_eq!(
        aggregate(&[vote(0, 1, 0.3), vote(1, 1, 0.3), vote(2, 2, 0.6)], 3),
        None,
        "a tie after rounding"
    );
    assert_eq!(
        aggregate(&[vote(0, 0, 0.4), vote(1, 1, 0.3), vote(2, 2, 0.3)], 3),
        None,
        "no majority"
    );
    assert_eq!(
        aggregate(&[vote(0, 0, 0.9), vote(0, 1, 0.8)], 3),
        None,
        "a function that contradicts itself"
    );
    assert_eq!(
        aggregate(
            &[vote(0, 3, 0.9), vote(1, 1, f64::NAN), vote(2, 1, -1.0), vote(3, 1, 0.0)],
            3
        ),
        None
    );
}

#[test]
fn a_model_that_answers_with_nan_has_no_answer() {
    assert_eq!(argmax_rows(&[0.1, 0.9, 0.5, 0.5], 2).unwrap(), [1, 0]);
    assert_eq!(
        argmax_rows(&[0.1, f32::NAN], 2),
        Err(MetricsError::NotFinite { item: 0 })
    );
    assert_eq!(
        argmax_rows(&[0.0, 1.0, f32::INFINITY, 1.0], 2),
        Err(MetricsError::NotFinite { item: 1 })
    );
    assert_eq!(
        argmax_rows(&[0.0; 3], 2),
        Err(MetricsError::Shape { values: 3, columns: 2 })
    );
    assert_eq!(argmax_rows(&[], 0), Err(MetricsError::Shape { values: 0, columns: 0 }));
    let error = Confusion::new(2, &[0, 1], &[0, 2]).unwrap_err();
    assert_eq!(
        error,
        MetricsError::UnknownLabel {
            item: 1,
            label: 2,
            labels: 2
        }
    );
    assert!(Confusion::new(2, &[0], &[]).is_err());
    let empty = Confusion::new(2, &[], &[]).unwrap();
    assert_eq!(
        (empty.accuracy(), empty.macro_f1(), empty.majority_accuracy()),
        (None, None, None)
    );
}
