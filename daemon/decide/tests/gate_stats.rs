//! The gate's statistics and the metrics against scipy and scikit-learn (tests/oracle/mcnemar.py).

use serde::Deserialize;
use std::collections::BTreeMap;
use wengu_decide::gate::stats::{mcnemar, minimum_detectable_points, normal_quantile, tango_interval};
use wengu_decide::metrics::Confusion;

#[derive(Deserialize)]
struct Golden {
    p_values: Vec<PValues>,
    intervals: Vec<Interval>,
    quantiles: Vec<Quantile>,
    power: Vec<Power>,
    classification: Vec<Classification>,
}

#[derive(Deserialize)]
struct PValues {
    b: u64,
    c: u64,
    mid_p: f64,
    exact_p: f64,
}

#[derive(Deserialize)]
struct Interval {
    b: u64,
    c: u64,
    n: u64,
    level: f64,
    lower: f64,
    upper: f64,
}

#[derive(Deserialize)]
struct Quantile {
    p: f64,
    z: f64,
}

#[derive(Deserialize)]
struct Power {
    n: u64,
    psi: f64,
    drop: f64,
    alpha: f64,
    power: f64,
}

#[derive(Deserialize)]
struct Classification {
    labels: usize,
    expected: Vec<u32>,
    predicted: Vec<u32>,
    accuracy: f64,
    macro_f1: f64,
    recall: BTreeMap<String, f64>,
    confusion: Vec<Vec<u64>>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/gate/mcnemar.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_relative(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!(
        (got - want).abs() <= tolerance * want.abs(),
        "{what}: got {got:e}, scipy has {want:e}"
    );
}

#[test]
fn p_values_are_scipys() {
    let golden = golden();
    assert!(golden.p_values.len() > 20);
    for case in golden.p_values {
        let got = mcnemar(case.b, case.c);
        let what = format!("b {} c {}", case.b, case.c);
        assert_relative(&what, got.mid_p, case.mid_p, 1e-10);
        assert_relative(&what, got.exact_p, case.exact_p, 1e-10);
    }
}

#[test]
fn p_values_of_a_pair_and_its_mirror_add_up() {
    for m in 0..60 {
        for b in 0..=m {
            let sum = mcnemar(b, m - b).mid_p + mcnemar(m - b, b).mid_p;
            assert!((sum - 1.0).abs() < 1e-12, "b {b} of {m}: {sum}");
        }
    }
}

#[test]
fn intervals_follow_from_the_definition() {
    for case in golden().intervals {
        let z = normal_quantile(1.0 - (1.0 - case.level) / 2.0);
        let (low, high) = tango_interval(case.b, case.c, case.n, z);
        let what = format!("b {} c {} n {} level {}", case.b, case.c, case.n, case.level);
        assert!((low - case.lower).abs() < 1e-7, "{what}: {low} and {}", case.lower);
        assert!((high - case.upper).abs() < 1e-7, "{what}: {high} and {}", case.upper);
    }
}

#[test]
fn quantiles_are_scipys() {
    for case in golden().quantiles {
        assert!(
            (normal_quantile(case.p) - case.z).abs() <= 1e-13 * case.z.abs().max(1e-3),
            "{}",
            case.p
        );
    }
}

#[test]
fn power_by_enumeration_with_our_p_values_is_scipys() {
    for case in golden().power {
        let wrong = (case.psi + case.drop) / (2.0 * case.psi);
        let ln_factorials = ln_factorials(case.n);
        let mut power = 0.0;
        for m in 0..=case.n {
            let weight = pmf(&ln_factorials, case.n, m, case.psi);
            if weight < 1e-16 {
                continue;
            }
            for b in (0..=m).rev().take_while(|&b| mcnemar(b, m - b).mid_p <= case.alpha) {
                power += weight * pmf(&ln_factorials, m, b, wrong);
            }
        }
        assert!(
            (power - case.power).abs() < 1e-9,
            "n {} psi {}: {power} and {}",
            case.n,
            case.psi,
            case.power
        );
    }
}

fn ln_factorials(n: u64) -> Vec<f64> {
    let mut table = vec![0.0];
    for i in 1..=n {
        table.push(table[i as usize - 1] + (i as f64).ln());
    }
    table
}

fn pmf(ln_factorials: &[f64], n: u64, k: u64, p: f64) -> f64 {
    let choose = ln_factorials[n as usize] - ln_factorials[k as usize] - ln_factorials[(n - k) as usize];
    (choose + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()).exp()
}

#[test]
fn the_detectable_drop_is_the_published_one_and_never_zero() {
    // Table of the planning page: n, psi, drop in points at alpha .01 and 90 % power.
    for (n, psi, want) in [(200, 0.10, 8.1), (500, 0.10, 5.1), (1000, 0.10, 3.6), (2000, 0.10, 2.6)] {
        let got = minimum_detectable_points(n, psi, 0.01);
        assert!((got - want).abs() < 0.06, "n {n}: {got}");
    }
    // 6 newly wrong items of 6 have mid-p 2^-7 <= .01; 5 do not.
    assert_eq!(minimum_detectable_points(100, 0.0, 0.01), 6.0);
    assert!(mcnemar(6, 0).mid_p <= 0.01 && mcnemar(5, 0).mid_p > 0.01);
    assert_eq!(minimum_detectable_points(0, 0.0, 0.01), 100.0);
}

#[test]
fn metrics_are_scikit_learns() {
    for case in golden().classification {
        let confusion = Confusion::new(case.labels, &case.expected, &case.predicted).unwrap();
        assert!((confusion.accuracy().unwrap() - case.accuracy).abs() < 1e-12);
        assert!((confusion.macro_f1().unwrap() - case.macro_f1).abs() < 1e-12);
        for class in 0..case.labels {
            let want = case.recall.get(&class.to_string()).copied();
            match (confusion.recall(class), want) {
                (Some(got), Some(want)) => assert!((got - want).abs() < 1e-12),
                (got, want) => assert_eq!(got, want, "class {class}"),
            }
            for predicted in 0..case.labels {
                assert_eq!(confusion.count(class, predicted), case.confusion[class][predicted]);
            }
        }
    }
}
