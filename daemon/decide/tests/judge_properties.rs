//! What holds of every verdict, whatever the answers were.

use proptest::prelude::*;
use wengu_decide::gate::{Decision, Era, Evidence, GateConfig, GateMode, ItemOutcome, Verdict, confirm, judge_stage1};

/// Both answers, the case file, and the slice.
type Answer = (bool, bool, u8, u8);

fn eras(set: &str, answers: &[Vec<Answer>], with_files: bool) -> Vec<Era<ItemOutcome>> {
    let item = |era: usize, i: usize, &(champion_right, challenger_right, file, slice): &Answer| ItemOutcome {
        item: format!("{set}/{era}/{i}"),
        champion_right,
        challenger_right,
        case_file: with_files.then(|| format!("{set}/{era}/{}", file % 8)),
        slices: vec![format!("source={}", slice % 3)],
    };
    let era = |(era, items): (usize, &Vec<Answer>)| Era {
        era: era.to_string(),
        items: items
            .iter()
            .enumerate()
            .map(|(i, answer)| item(era, i, answer))
            .collect(),
    };
    answers.iter().enumerate().map(era).collect()
}

fn answers(items: usize) -> impl Strategy<Value = Vec<Vec<Answer>>> {
    // Mostly right, so that promotion is possible, and worse for the challenger in some cases.
    let answer = move |worse: f64| {
        let answer = (
            prop::bool::weighted(0.9),
            prop::bool::weighted(0.9 - worse),
            any::<u8>(),
            any::<u8>(),
        );
        prop::collection::vec(answer, 0..items)
    };
    prop_oneof![Just(0.0), Just(0.15), Just(0.4)].prop_flat_map(move |worse| prop::collection::vec(answer(worse), 1..4))
}

fn config() -> impl Strategy<Value = GateConfig> {
    let modes = prop_oneof![
        Just(GateMode::RequireNoninferiority),
        Just(GateMode::PromoteUnlessRegressed)
    ];
    (modes, prop_oneof![Just(0.0), Just(0.85)], 1u64..100).prop_map(|(mode, accuracy_floor, min_items)| GateConfig {
        alpha: 0.005,
        margin_points: 8.0,
        min_items,
        min_era_items: 20,
        mode,
        accuracy_floor,
        metric: wengu_decide::gate::Metric::Accuracy,
    })
}

/// What has to be true of a verdict that lets a version serve.
fn promotion_is_earned(verdict: &Verdict) -> Result<(), TestCaseError> {
    let config = &verdict.config;
    let deciding = verdict.confirmation.as_ref().map_or(&verdict.earlier, |c| &c.pooled);
    prop_assert!(deciding.n > 0 && deciding.units() >= config.min_items);
    prop_assert!(deciding.challenger_accuracy >= config.accuracy_floor);
    if config.mode == GateMode::RequireNoninferiority {
        prop_assert!(deciding.drop_bound95_points < config.margin_points);
    }
    prop_assert!(verdict.eras.iter().all(|era| !era.regressed));
    prop_assert!(verdict.slices.iter().all(|slice| !slice.regressed));
    let tests = verdict.confirmation.iter().flat_map(|c| &c.tests);
    prop_assert!(
        tests
            .into_iter()
            .all(|test| !test.regressed && test.adjusted_p.is_some())
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_promotion_is_earned_and_every_verdict_says_why(
        config in config(),
        gate in answers(150),
        reserve in answers(300),
        reserve_items in prop_oneof![Just(0u64), Just(2000)],
        with_files in any::<bool>(),
    ) {
        let gate = eras("gate", &gate, with_files);
        let mut reserve = eras("reserve", &reserve, with_files);
        reserve.truncate(gate.len());
        let evidence = Evidence { reserve_items, ..Evidence::gate(&gate) };
        let first = judge_stage1(&config, &evidence);
        prop_assert!(!first.verdict.reasons.is_empty());
        if first.needs_reserve {
            prop_assert_eq!(first.verdict.decision, Decision::Hold, "nothing passes before it was confirmed");
        } else if first.verdict.decision == Decision::Promote {
            promotion_is_earned(&first.verdict)?;
        }
        let last = confirm(&first, &gate, &reserve);
        prop_assert!(!last.reasons.is_empty());
        if last.decision == Decision::Promote {
            promotion_is_earned(&last)?;
        }
        // JSON has no NaN and no infinity: what is written can be read.
        let text = serde_json::to_string(&last).unwrap();
        prop_assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap().reasons, last.reasons);
    }

    #[test]
    fn the_order_of_items_and_of_files_decides_nothing(gate in answers(120), turn in 0usize..100) {
        let config = GateConfig {
            alpha: 0.005,
            margin_points: 8.0,
            min_items: 20,
            min_era_items: 20,
            mode: GateMode::RequireNoninferiority,
            accuracy_floor: 0.0,
            metric: wengu_decide::gate::Metric::Accuracy,
        };
        let gate = eras("gate", &gate, false);
        let mut turned = gate.clone();
        for era in &mut turned {
            let by = turn % era.items.len().max(1);
            era.items.rotate_left(by);
        }
        let (mut one, mut other) =
            (judge_stage1(&config, &Evidence::gate(&gate)).verdict, judge_stage1(&config, &Evidence::gate(&turned)).verdict);
        // The record of what was compared is in order.
        (one.items_blake3, other.items_blake3) = (None, None);
        prop_assert_eq!(one, other);
    }
}
