//! Paired scores against scipy (tests/oracle/paired.py).

use serde::Deserialize;
use wengu_decide::gate::paired;

#[derive(Deserialize)]
struct Golden {
    exact: Vec<Exact>,
    large: Large,
}

#[derive(Deserialize)]
struct Exact {
    name: String,
    differences: Vec<f64>,
    worse_p: f64,
}

#[derive(Deserialize)]
struct Large {
    differences: Vec<f64>,
    worse_p: f64,
    interval: (f64, f64),
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/gate/paired.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn few_items_are_tested_exactly_as_scipy_does() {
    for case in golden().exact {
        let found = paired(&case.differences, 1).unwrap();
        assert!((found.worse_p - case.worse_p).abs() < 1e-12, "{}: {found:?}", case.name);
        let (low, high) = found.interval;
        assert!(
            low <= found.difference + 1e-12 && found.difference <= high + 1e-12,
            "{}: {found:?}",
            case.name
        );
    }
}

#[test]
fn many_items_are_drawn_and_agree_with_scipys_larger_draw() {
    let case = golden().large;
    let found = paired(&case.differences, 1).unwrap();
    // 10,000 draws: a standard error of at most 0.005.
    assert!(
        (found.worse_p - case.worse_p).abs() < 0.02,
        "{found:?} {}",
        case.worse_p
    );
    // The interval's ends, within a twentieth of its width.
    let width = case.interval.1 - case.interval.0;
    assert!((found.interval.0 - case.interval.0).abs() < width / 20.0, "{found:?}");
    assert!((found.interval.1 - case.interval.1).abs() < width / 20.0, "{found:?}");
    assert_eq!(
        paired(&case.differences, 1),
        Some(found),
        "the same seed, the same result"
    );
}

#[test]
fn nothing_can_be_said_of_nothing() {
    assert_eq!(paired(&[], 1), None);
    assert_eq!(paired(&[0.1, f64::NAN], 1), None);
}
