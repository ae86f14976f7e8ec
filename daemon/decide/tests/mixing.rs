//! The share of new examples: its bounds, its moves, and where it comes to rest.

use proptest::prelude::*;
use wengu_decide::mixing::{Mixing, REPLAY_RATIO_MAX, REPLAY_RATIO_MIN, limit};

#[test]
fn it_begins_as_configured_and_goes_up_and_down_by_a_factor_that_shrinks_at_each_change() {
    let mut mixing = Mixing::new(1.0);
    assert_eq!((mixing.replay_ratio(), mixing.new_share()), (1.0, 0.5));
    let ratios: Vec<f64> = [true, true, false, false, true, false, false, true, false]
        .map(|room| {
            mixing.take(if room { 1.0 } else { 1.2 }, 1.1);
            -8.0 * mixing.replay_ratio().log2()
        })
        .to_vec();
    // Parts of a doubling: steps of 8, 8, 4, 4, 2, 1, 1, 1, 1.
    let expected = [8.0, 16.0, 12.0, 8.0, 10.0, 9.0, 8.0, 9.0, 8.0];
    for (found, expected) in ratios.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{ratios:?}");
    }
}

#[test]
fn a_third_move_in_one_direction_is_longer_again() {
    let mut mixing = Mixing::new(1.0);
    let places: Vec<f64> = [true, false, true, false, false, false, false, false, true]
        .map(|room| {
            mixing.take(if room { 1.0 } else { 1.2 }, 1.1);
            -8.0 * mixing.replay_ratio().log2()
        })
        .to_vec();
    // Parts of a doubling: steps of 8, 4, 2, 1, 1, then 2, 4, 8, and half of that.
    let expected = [8.0, 4.0, 6.0, 5.0, 4.0, 2.0, -2.0, -10.0, -6.0];
    for (found, expected) in places.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{places:?}");
    }
}

#[test]
fn the_weights_of_the_terms_are_those_of_today_at_the_first_ratio() {
    for ratio in [0.3, 1.0, 2.0, 100.0] {
        let first = Mixing::new(ratio);
        assert_eq!(first.weights(&first), [1.0, 1.0]);
    }
    let (first, mut mixing) = (Mixing::new(1.0), Mixing::new(1.0));
    mixing.take(0.0, 1.0);
    // Half as many old examples: each example weighs as much as before beside the others.
    let [new, old] = mixing.weights(&first);
    assert!((new + old - 2.0).abs() < 1e-12 && (old / new - 0.5).abs() < 1e-12);
}

#[test]
fn a_loss_that_is_no_number_is_no_room() {
    let mut mixing = Mixing::new(1.0);
    mixing.take(f64::NAN, limit(1.0, 0.1));
    assert!(mixing.new_share() < 0.5);
    assert!((limit(0.4, 0.05) - 0.42).abs() < 1e-15);
}

proptest! {
    #[test]
    fn bounds_are_kept_whatever_the_losses(first in 0.0f64..20.0, losses in proptest::collection::vec(0.0f64..2.0, 0..60)) {
        let mut mixing = Mixing::new(first);
        for loss in losses {
            prop_assert!((REPLAY_RATIO_MIN..=REPLAY_RATIO_MAX).contains(&mixing.replay_ratio()));
            mixing.take(loss, 1.0);
        }
        prop_assert!((REPLAY_RATIO_MIN..=REPLAY_RATIO_MAX).contains(&mixing.replay_ratio()));
    }

    #[test]
    fn new_examples_get_fewer_after_a_violation_and_more_where_there_is_room(
        first in 0.1f64..3.0, losses in proptest::collection::vec(0.0f64..2.0, 1..60),
    ) {
        let mut mixing = Mixing::new(first);
        for loss in losses {
            let before = mixing;
            mixing.take(loss, 1.0);
            let (share, was) = (mixing.new_share(), before.new_share());
            if loss <= 1.0 {
                prop_assert!(share > was || mixing.replay_ratio() == REPLAY_RATIO_MIN);
            } else {
                prop_assert!(share < was || mixing.replay_ratio() == REPLAY_RATIO_MAX);
            }
        }
    }

    /// The loss rises with the share of new examples and crosses the limit at some share.
    #[test]
    fn it_comes_to_rest_beside_the_largest_share_that_the_limit_allows(first in 0.0625f64..4.0, threshold in -1.9f64..3.9) {
        let mut mixing = Mixing::new(first);
        let doublings = |mixing: &Mixing| -mixing.replay_ratio().log2();
        for moves in 0..40 {
            // One step is at most 2^-n doublings once 8 + 2n moves have been made: 6 whole doublings are the range.
            let step = 0.5f64.powi((moves - 8) / 2).max(0.125);
            if moves >= 8 {
                prop_assert!((doublings(&mixing) - threshold).abs() <= 2.0 * step + 1e-9, "{} of {threshold} after {moves}", doublings(&mixing));
            }
            mixing.take(doublings(&mixing), threshold);
        }
    }

    #[test]
    fn a_state_that_was_written_down_goes_on_to_the_same_bits(
        first in 0.0f64..20.0, losses in proptest::collection::vec(0.0f64..2.0, 0..30), later in 0.0f64..2.0,
    ) {
        let mut mixing = Mixing::new(first);
        for loss in losses {
            mixing.take(loss, 1.0);
        }
        let text = serde_json::to_string(&mixing).unwrap();
        let mut read: Mixing = serde_json::from_str(&text).unwrap();
        mixing.take(later, 1.0);
        read.take(later, 1.0);
        prop_assert_eq!(mixing.replay_ratio().to_bits(), read.replay_ratio().to_bits());
    }
}
