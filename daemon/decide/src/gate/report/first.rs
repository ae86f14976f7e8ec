//! The decision on a first version, with its reasons.

use super::super::stats::mcnemar;
use super::super::{Comparison, Decision, GateConfig};
use super::words::{p, percent};

pub(in super::super) fn first(config: &GateConfig, floor: f64, comparison: &Comparison) -> (Decision, Vec<String>) {
    let mut reasons = vec![format!(
        "This is the first version: it answers {} of {} items right; always answering the most frequent class would \
         answer {} right.",
        percent(comparison.challenger_accuracy),
        comparison.n,
        percent(comparison.champion_accuracy)
    )];
    if comparison.units() < config.min_items {
        let what = if comparison.files.is_some() {
            "case files"
        } else {
            "items"
        };
        reasons.push(format!(
            "{} {what} are too few to decide by; the gate asks for {}.",
            comparison.units(),
            config.min_items
        ));
    }
    if comparison.challenger_accuracy < floor {
        reasons.push(format!("That is below the floor of {}.", percent(floor)));
    }
    if comparison.c <= comparison.b {
        reasons.push("It is no better than the most frequent class.".into());
    }
    if reasons.len() > 1 {
        return (Decision::Hold, reasons);
    }
    // The roles are swapped here: being better, not worse, is what has to be more than chance.
    let chance = mcnemar(comparison.c, comparison.b).mid_p;
    if chance > 0.05 {
        reasons.push(format!("With so few items this may be chance (p = {}).", p(chance)));
    }
    (Decision::Promote, reasons)
}
