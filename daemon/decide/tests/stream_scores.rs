//! Scores of a stream on a matrix made by hand.

use wengu_decide::metrics::{StreamScores, chance_score, negative_flip_rate};
use wengu_protocol::job::Task;

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

/// Four updates; scores above the diagonal are of eras that were asked in advance.
fn matrix() -> Vec<Vec<Option<f64>>> {
    [
        [0.90, 0.30, 0.20, 0.10],
        [0.70, 0.80, 0.40, 0.10],
        [0.80, 0.60, 0.90, 0.30],
        [0.75, 0.85, 0.60, 0.70],
    ]
    .map(|row| row.map(Some).to_vec())
    .to_vec()
}

#[test]
fn every_score_is_what_its_definition_gives() {
    let scores = StreamScores::of(&matrix(), Some(&[0.1, 0.1, 0.1, 0.1])).unwrap();
    close(scores.average_accuracy, (0.75 + 0.85 + 0.60 + 0.70) / 4.0);
    let rows = [0.9, (0.7 + 0.8) / 2.0, (0.8 + 0.6 + 0.9) / 3.0, 2.9 / 4.0];
    close(scores.average_incremental_accuracy, rows.iter().sum::<f64>() / 4.0);
    close(scores.backward_transfer.unwrap(), (-0.15 + 0.05 - 0.30) / 3.0);
    close(scores.forward_transfer.unwrap(), (0.2 + 0.3 + 0.2) / 3.0);
    // The best before the last update, not the first: 0.90, 0.80, 0.90.
    for (found, expected) in scores.forgetting_by_era.iter().zip([0.15, -0.05, 0.30]) {
        close(*found, expected);
    }
    close(scores.forgetting.unwrap(), (0.15 - 0.05 + 0.30) / 3.0);
    let retention: Vec<f64> = scores.retention_by_era.iter().map(|r| r.unwrap()).collect();
    for (found, expected) in retention.iter().zip([0.75 / 0.9, 0.85 / 0.8, 0.6 / 0.9]) {
        close(*found, expected);
    }
    close(scores.minimum_accuracy.unwrap(), (0.70 + 0.60 + 0.60) / 3.0);
}

#[test]
fn forgetting_counts_from_the_best_and_not_from_the_first() {
    let matrix = vec![
        vec![Some(0.5), None, None],
        vec![Some(0.9), Some(0.6), None],
        vec![Some(0.6), Some(0.6), Some(0.6)],
    ];
    let scores = StreamScores::of(&matrix, None).unwrap();
    close(scores.forgetting_by_era[0], 0.3);
    close(scores.backward_transfer.unwrap(), 0.05);
    assert_eq!(scores.forward_transfer, None);
}

#[test]
fn one_update_has_nothing_to_forget_and_holes_have_no_scores() {
    let scores = StreamScores::of(&[vec![Some(0.5)]], None).unwrap();
    assert_eq!(
        (scores.backward_transfer, scores.forgetting, scores.minimum_accuracy),
        (None, None, None)
    );
    assert_eq!(StreamScores::of(&[], None), None);
    assert_eq!(StreamScores::of(&[vec![Some(0.5)], vec![None, Some(0.4)]], None), None);
    let never_learned = StreamScores::of(&[vec![Some(0.0)], vec![Some(0.0), Some(0.4)]], None).unwrap();
    assert_eq!(never_learned.retention_by_era, [None]);
}

#[test]
fn forward_transfer_is_what_the_model_before_knew_beside_guessing() {
    let asked = matrix();
    let known = |row: usize| {
        (0..4)
            .map(|era| asked[row][era].filter(|_| era <= row))
            .collect::<Vec<_>>()
    };
    let told: Vec<_> = (0..4).map(known).collect();
    let scores =
        StreamScores::with_answers_in_advance(&told, &[None, Some(0.3), Some(0.4), Some(0.3)], &[0.5, 0.25, 0.2, 0.1]);
    let scores = scores.unwrap();
    close(scores.forward_transfer.unwrap(), (0.05 + 0.2 + 0.2) / 3.0);
    // Nothing else looks above the diagonal.
    let plain = StreamScores::of(&told, None).unwrap();
    assert_eq!(scores.forgetting_by_era, plain.forgetting_by_era);
    assert_eq!(plain.forward_transfer, None);
    let unasked = StreamScores::with_answers_in_advance(&told, &[None, None, Some(0.4), Some(0.3)], &[0.5; 4]);
    assert_eq!(unasked.unwrap().forward_transfer, None);
    for (task, labels, chance) in [
        (Task::SequenceClassification, 4, 0.25),
        (Task::SequenceClassification, 0, 1.0),
        (Task::TokenClassification, 4, 0.0),
        (Task::CausalLm, 0, 0.0),
    ] {
        close(chance_score(task, labels), chance);
    }
}

#[test]
fn negative_flips_are_right_answers_that_became_wrong() {
    let before = [true, true, false, false, true];
    let after = [true, false, true, false, false];
    assert_eq!(negative_flip_rate(&before, &after), Some(0.4));
    assert_eq!(negative_flip_rate(&[], &[]), None);
}
