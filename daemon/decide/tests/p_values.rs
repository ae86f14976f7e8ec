//! Every p-value of the gate and of drift against scipy and statsmodels (tests/oracle/p_values.py).

use serde::Deserialize;
use wengu_decide::drift::{Live, mmd};
use wengu_decide::gate::stats::{mcnemar, normal_tail, two_proportions, wilson_interval};
use wengu_decide::gate::{ItemLabels, ItemOutcome, Judged, Level, holm, paired};

#[derive(Deserialize)]
struct Golden {
    mcnemar: Vec<(u64, u64, f64, f64)>,
    two_proportions: Vec<(u64, u64, u64, u64, f64)>,
    sign_flip: Vec<(Vec<f64>, f64)>,
    files: Vec<(Vec<i64>, f64, f64)>,
    e_value: Vec<(u64, u64, f64)>,
    holm: Vec<(Vec<f64>, Vec<f64>)>,
    wilson: Vec<(u64, u64, f64, f64, f64)>,
    tail: Vec<(f64, f64)>,
    macro_f1: Vec<Answers>,
    mmd: Vec<Embeddings>,
}

/// Right labels, both versions' answers, the difference, and its p.
type Answers = (Vec<u32>, Vec<u32>, Vec<u32>, f64, f64);

/// Dimensions, both sets, the estimate, and its p.
type Embeddings = (usize, Vec<f32>, Vec<f32>, f64, f64);

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/gate/p_values.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Equal to 1e-9 of the value, however small it is.
#[track_caller]
fn assert_same(got: f64, want: f64, what: &dyn std::fmt::Debug) {
    assert!(
        (got - want).abs() <= 1e-9 * want.abs(),
        "{what:?}: got {got:e}, want {want:e}"
    );
}

#[test]
fn tables_of_right_and_wrong() {
    let golden = golden();
    assert_eq!(golden.mcnemar.len(), 1000);
    for case in golden.mcnemar {
        let got = mcnemar(case.0, case.1);
        assert_same(got.mid_p, case.2, &case);
        assert_same(got.exact_p, case.3, &case);
    }
}

#[test]
fn proportions_intervals_and_tails() {
    let golden = golden();
    assert_eq!(
        (golden.two_proportions.len(), golden.wilson.len(), golden.tail.len()),
        (1000, 1000, 1000)
    );
    for case in golden.two_proportions {
        assert_same(two_proportions((case.0, case.1), (case.2, case.3)), case.4, &case);
    }
    for case in golden.wilson {
        let (low, high) = wilson_interval(case.0, case.1, case.2);
        // Of nothing, the lower end is 0 up to rounding.
        assert!((low - case.3).abs() < 1e-12 + 1e-9 * case.3, "{case:?}: {low}");
        assert_same(high, case.4, &case);
    }
    for case in golden.tail {
        assert_same(normal_tail(case.0), case.1, &case);
    }
}

#[test]
fn signs_of_items_and_of_whole_files() {
    let golden = golden();
    assert_eq!((golden.sign_flip.len(), golden.files.len()), (1000, 1000));
    for case in golden.sign_flip {
        assert_same(paired(&case.0, 1).unwrap().worse_p, case.1, &case);
    }
    for case in golden.files {
        let compared = ItemOutcome::compare(&in_files(&case.0), &Level::single(0.01));
        assert_eq!(compared.files, Some(case.0.len() as u64));
        assert_same(compared.p_value, case.1, &case);
        assert_same(compared.exact_p, case.2, &case);
    }
}

/// Files whose items became so many more right, or wrong; each with one item more that stayed right and one that stayed
/// wrong.
fn in_files(changes: &[i64]) -> Vec<ItemOutcome> {
    let item = |file: usize, i: u64, champion_right, challenger_right| ItemOutcome {
        item: format!("{file}/{i}"),
        champion_right,
        challenger_right,
        case_file: Some(file.to_string()),
        slices: Vec::new(),
    };
    let of_file = |(file, change): (usize, &i64)| {
        let same = [true, false].map(|right| item(file, u64::from(right), right, right));
        let changed = (0..change.unsigned_abs()).map(move |i| item(file, i + 2, *change < 0, *change > 0));
        same.into_iter().chain(changed).collect::<Vec<_>>()
    };
    changes.iter().enumerate().flat_map(of_file).collect()
}

#[test]
fn e_values() {
    let golden = golden();
    assert_eq!(golden.e_value.len(), 1000);
    for case in golden.e_value {
        let live = Live {
            b: case.0,
            c: case.1,
            ..Live::default()
        };
        assert!(
            (live.ln_e() - case.2).abs() <= 1e-9 * case.2.abs().max(1.0),
            "{case:?}: {}",
            live.ln_e()
        );
    }
}

#[test]
fn families() {
    let golden = golden();
    assert_eq!(golden.holm.len(), 1000);
    for case in golden.holm {
        for (got, want) in holm(&case.0).into_iter().zip(&case.1) {
            assert_same(got, *want, &case);
        }
    }
}

#[test]
fn swapped_answers_come_near_all_swaps() {
    for (expected, champion, challenger, observed, p) in golden().macro_f1 {
        let item = |i: usize| ItemLabels {
            item: i.to_string(),
            expected: expected[i],
            champion: champion[i],
            challenger: challenger[i],
            ..ItemLabels::default()
        };
        let items: Vec<ItemLabels> = (0..expected.len()).map(item).collect();
        let compared = ItemLabels::compare(&items, &Level::single(0.01));
        assert_same(compared.difference_points, 100.0 * observed, &expected);
        // 10,000 swaps: a standard error of at most 0.005.
        assert!((compared.p_value - p).abs() < 0.02, "{} {p}", compared.p_value);
    }
}

#[test]
fn discrepancies_of_embeddings() {
    for (dimensions, reference, current, squared, p) in golden().mmd {
        let found = mmd(dimensions, &reference, &current, 1).unwrap();
        assert!((found.squared - squared).abs() < 1e-9, "{found:?} {squared}");
        // 1,000 permutations here and 5,000 there: a standard error of at most 0.018.
        assert!((found.p_value - p).abs() < 0.06, "{found:?} {p}");
        assert_eq!(
            mmd(dimensions, &reference, &current, 1),
            Some(found),
            "the same seed, the same result"
        );
    }
}

#[test]
fn embeddings_that_cannot_be_compared_are_not() {
    let fine = [0.0, 1.0, 2.0, 3.0];
    assert!(mmd(2, &fine, &fine, 1).is_some());
    assert_eq!(mmd(2, &fine, &fine[..2], 1), None, "one embedding");
    assert_eq!(mmd(3, &fine, &fine, 1), None, "no whole embeddings");
    assert_eq!(mmd(0, &fine, &fine, 1), None);
    assert_eq!(mmd(2, &fine, &[0.0, f32::NAN, 1.0, 2.0], 1), None);
    // All the same: no distance, and nothing unlike.
    let same = [1.0f32; 20];
    assert_eq!(mmd(2, &same, &same, 1).unwrap().p_value, 1.0);
    // More than are used.
    let many: Vec<f32> = (0..1000).map(|i| (i % 17) as f32).collect();
    let found = mmd(2, &many, &many, 1).unwrap();
    assert_eq!((found.reference, found.current), (200, 200));
}
