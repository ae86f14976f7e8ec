//! How many old examples go into a step beside the new ones: as few as keep the loss on old examples that are not trained on.

use serde::{Deserialize, Serialize};

/// Old examples for a new one at most.
pub const REPLAY_RATIO_MAX: f64 = 4.0;
/// Old examples for a new one at least.
pub const REPLAY_RATIO_MIN: f64 = 1.0 / 16.0;

/// A doubling has so many parts: the finest move.
const PARTS: i32 = 8;
/// After so many moves in one direction the next is longer.
const SURE: i32 = 2;
/// New examples for an old one, in parts of a doubling: [`REPLAY_RATIO_MAX`] and [`REPLAY_RATIO_MIN`].
const PLACES: std::ops::RangeInclusive<i32> = -2 * PARTS..=4 * PARTS;

/// The largest share of new examples with which the loss on old ones stays within a tolerance of what it was (the feasible mixture
/// ratio of Gu et al. 2024, "CMR scaling law", arXiv 2407.17467), looked for while training goes on.
///
/// The rule is ours: new examples for an old one go up by a factor where there is room and down by it where there is none. The
/// factor begins as 2, and its logarithm is halved whenever the direction changes, down to an eighth (the step sizes of Kesten 1958,
/// "Accelerated stochastic approximation", with a floor). If the loss rises with the share of new examples and does not otherwise
/// depend on time, the first change of direction is at most a step away from the threshold, which is two of the halved ones: two moves lie
/// between a change and the next, and the distance halves in two moves until it is an eighth of a doubling. The loss does depend on
/// time, and that is why there is a floor, and why a third move in one direction, which says that the threshold has moved, doubles the
/// step again, up to the factor 2.
///
/// All is in whole numbers, so that a state that was written down goes on to the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mixing {
    /// Logarithm of new examples for an old one, in parts of a doubling.
    place: i32,
    /// Of the next move, in the same unit.
    step: i32,
    /// Moves in the direction of the last one, without another between; below 0 they went down.
    run: i32,
}

impl Mixing {
    /// Begins with so many old examples for a new one, to an eighth of a doubling and within the bounds.
    pub fn new(replay_ratio: f64) -> Mixing {
        let place = (-replay_ratio.log2() * f64::from(PARTS)).round() as i32;
        Mixing {
            place: place.clamp(*PLACES.start(), *PLACES.end()),
            step: PARTS,
            run: 0,
        }
    }

    /// Old examples for a new one.
    pub fn replay_ratio(&self) -> f64 {
        (-f64::from(self.place) / f64::from(PARTS)).exp2()
    }

    /// Share of new examples in a step.
    pub fn new_share(&self) -> f64 {
        1.0 / (1.0 + self.replay_ratio())
    }

    /// Weights of the terms of new and of old examples, which add up to 2, as they do where the ratio is fixed. At the ratio that it
    /// began with, `first`, both are 1; from there on a term weighs as much more as it has more examples.
    pub fn weights(&self, first: &Mixing) -> [f64; 2] {
        // Of the old for the new.
        let relative = (f64::from(first.place - self.place) / f64::from(PARTS)).exp2();
        [2.0 / (1.0 + relative), 2.0 * relative / (1.0 + relative)]
    }

    /// Moves by the loss on old examples. What is not a number is no room.
    pub fn take(&mut self, old_loss: f64, limit: f64) {
        let direction = if old_loss <= limit { 1 } else { -1 };
        if self.run * direction < 0 {
            (self.run, self.step) = (0, (self.step / 2).max(1));
        } else if self.run.abs() >= SURE {
            self.step = (2 * self.step).min(PARTS);
        }
        self.run += direction;
        let moved = self.place + direction * self.step;
        self.place = moved.clamp(*PLACES.start(), *PLACES.end());
    }
}

/// The loss that old examples may have: by the share `tolerance` more than `reference`, which is what they had before.
pub fn limit(reference: f64, tolerance: f64) -> f64 {
    reference * (1.0 + tolerance)
}
