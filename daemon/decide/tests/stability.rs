//! The stability gap on a trace made by hand.

use wengu_decide::metrics::{stability, worst_case_accuracy};

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn each_era_has_its_own_minimum_and_the_gap_is_measured_from_the_parent() {
    // Two eras of 10 and 20 answers: the first is worst at step 10, the second at step 20.
    let eras = [(1, 10), (2, 20)];
    let during = [(10, vec![4, 18]), (20, vec![6, 8]), (30, vec![8, 15])];
    let found = stability(&eras, &[9, 16], &during, &[7, 14]).unwrap();
    close(found.before, f64::midpoint(0.9, 0.8));
    close(found.after, f64::midpoint(0.7, 0.7));
    close(found.minimum, f64::midpoint(0.4, 0.4));
    close(found.gap, 0.85 - 0.4);
    let minima: Vec<f64> = found.eras.iter().map(|era| era.minimum).collect();
    assert_eq!(minima, [0.4, 0.4]);
    assert_eq!((found.eras[1].run, found.eras[1].answers), (2, 20));
    let points = [(0, 0.85), (10, 0.65), (20, 0.5), (30, 0.775)];
    for ((step, found), (expected_step, expected)) in found.points.iter().zip(points) {
        assert_eq!(*step, expected_step);
        close(*found, expected);
    }
    // The mean of the minima is below the least of the means.
    assert!(found.minimum < 0.5);
}

#[test]
fn what_came_out_counts_too_and_the_parent_does_not() {
    let fallen = stability(&[(1, 10)], &[5], &[(5, vec![8])], &[3]).unwrap();
    close(fallen.gap, 0.2);
    let gained = stability(&[(1, 10)], &[5], &[], &[8]).unwrap();
    close(gained.gap, -0.3);
    assert_eq!(gained.points.len(), 1);
}

#[test]
fn there_is_nothing_to_say_of_nothing() {
    assert_eq!(stability(&[], &[], &[], &[]), None);
    assert_eq!(stability(&[(1, 0)], &[0], &[], &[0]), None);
    assert_eq!(stability(&[(1, 10)], &[5], &[(5, vec![])], &[5]), None);
}

#[test]
fn the_worst_case_weighs_the_newest_as_one_of_all() {
    close(worst_case_accuracy(4, 0.8, 0.4), 0.5);
    close(worst_case_accuracy(1, 0.8, 0.0), 0.8);
}
