//! Many small steps down.

use super::cusum::{Cusum, WARM_UP_RUNS};
use crate::gate::Comparison;
use serde::{Deserialize, Serialize};

/// Level of each comparison with the anchor.
pub const ANCHOR_ALPHA: f64 = 0.01;
/// So many in a row have to be significant: one alone comes once in a hundred nights by chance.
pub const ANCHOR_RUNS: u32 = 3;
/// Standard deviations fallen that make an alarm, and a warning.
const ALARM: f64 = 8.0;
const WARNING: f64 = 6.0;

/// What has been seen over the runs. The default is a fresh start, for a domain's first anchor and for every new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowDrift {
    /// Comparisons in a row, the last included, that found the version worse than the anchor.
    pub worse_in_a_row: u32,
    /// Comparisons in a row, the last included, that did not.
    pub clear_in_a_row: u32,
    /// The difference to the anchor, in points.
    pub cusum: Cusum,
}

/// How loud it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Nothing to tell.
    Quiet,
    /// To be shown, and nobody is called.
    Warning,
    /// An incident.
    Alarm,
}

/// What one run adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowDriftFound {
    /// How loud it is.
    pub signal: Signal,
    /// Why, in plain sentences; empty where it is quiet.
    pub reasons: Vec<String>,
}

impl SlowDrift {
    /// Takes the next version's comparison with the anchor (in the champion's place) on the audit items. An alarm is
    /// three of them in a row that are worse at the level of 1 %, or a CUSUM of their differences above 8; above 6 it is a
    /// warning. A comparison without items changes nothing.
    #[must_use]
    pub fn advance(&self, with_anchor: &Comparison) -> (SlowDrift, SlowDriftFound) {
        let mut next = *self;
        if with_anchor.n > 0 {
            let worse = with_anchor.p_value <= ANCHOR_ALPHA;
            next.worse_in_a_row = if worse {
                self.worse_in_a_row.saturating_add(1)
            } else {
                0
            };
            next.clear_in_a_row = if worse {
                0
            } else {
                self.clear_in_a_row.saturating_add(1)
            };
            next.cusum = self.cusum.advance(with_anchor.difference_points);
        }
        let found = next.found(with_anchor);
        (next, found)
    }

    fn found(&self, with_anchor: &Comparison) -> SlowDriftFound {
        let mut reasons = Vec::new();
        let anchored = self.worse_in_a_row >= ANCHOR_RUNS;
        if anchored {
            reasons.push(format!(
                "The last {} versions were each significantly worse than the anchor (alpha {ANCHOR_ALPHA}); the last by {:.1} \
                 points on {} items.",
                self.worse_in_a_row, -with_anchor.difference_points, with_anchor.n
            ));
        }
        if self.cusum.fallen >= WARNING {
            reasons.push(format!(
                "The difference to the anchor has been falling: the CUSUM stands at {:.1} (warning at {WARNING}, alarm at \
                 {ALARM}) after {} runs.",
                self.cusum.fallen, self.cusum.runs
            ));
        }
        let signal = if anchored || self.cusum.fallen >= ALARM {
            Signal::Alarm
        } else if reasons.is_empty() {
            Signal::Quiet
        } else {
            Signal::Warning
        };
        SlowDriftFound { signal, reasons }
    }

    /// Runs until the CUSUM can tell anything.
    pub fn warm_up_left(&self) -> u64 {
        WARM_UP_RUNS.saturating_sub(self.cusum.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{ItemOutcome, Judged, Level};

    fn comparison(lost: usize) -> Comparison {
        let item = |i: usize| ItemOutcome {
            item: i.to_string(),
            champion_right: true,
            challenger_right: i >= lost,
            ..ItemOutcome::default()
        };
        let items: Vec<ItemOutcome> = (0..500).map(item).collect();
        ItemOutcome::compare(&items, &Level::single(ANCHOR_ALPHA))
    }

    fn signals(lost: &[usize]) -> Vec<Signal> {
        let mut drift = SlowDrift::default();
        let step = |lost: &usize| {
            let (next, found) = drift.advance(&comparison(*lost));
            assert_eq!(found.signal == Signal::Quiet, found.reasons.is_empty());
            drift = next;
            found.signal
        };
        lost.iter().map(step).collect()
    }

    #[test]
    fn three_bad_comparisons_in_a_row_are_an_alarm_and_two_are_not() {
        use Signal::{Alarm, Quiet};
        assert_eq!(
            signals(&[0, 9, 9, 0, 9, 9, 9, 9, 0]),
            [Quiet, Quiet, Quiet, Quiet, Quiet, Quiet, Alarm, Alarm, Quiet]
        );
    }

    #[test]
    fn a_fall_that_no_comparison_sees_warns_and_then_alarms() {
        // Two or no items lost, then always four: each far from significant (mid-p 1/32).
        let lost: Vec<usize> = (0..40).map(|i| if i % 2 == 0 { 2 } else { 0 }).chain([4; 12]).collect();
        let signals = signals(&lost);
        assert!(signals[..40].iter().all(|s| *s == Signal::Quiet));
        let first = |wanted| signals.iter().position(|s| *s == wanted).unwrap();
        assert!(first(Signal::Warning) < first(Signal::Alarm), "{signals:?}");
    }

    #[test]
    fn a_run_without_audit_items_changes_nothing() {
        let (drift, _) = SlowDrift::default().advance(&comparison(9));
        let (after, found) = drift.advance(&ItemOutcome::compare(&[], &Level::single(ANCHOR_ALPHA)));
        assert_eq!((after, found.signal), (drift, Signal::Quiet));
        let text = serde_json::to_string(&drift).unwrap();
        assert_eq!(serde_json::from_str::<SlowDrift>(&text).unwrap(), drift);
        assert_eq!(drift.warm_up_left(), 19);
    }
}
