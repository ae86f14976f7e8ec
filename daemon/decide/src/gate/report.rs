//! The reasons of a verdict, in plain sentences.

use super::stats::normal_quantile;
use super::{Comparison, Decision, GateConfig, GateMode, Verdict};

/// What the tests have shown.
pub(super) struct Facts {
    pub earlier_regressed: bool,
    pub too_few: bool,
    pub earlier_inferior: bool,
    pub newest_inferior: bool,
}

pub(super) fn no_data(eras: usize) -> String {
    if eras > 1 {
        "There are no items of the earlier eras, so nothing shows whether older knowledge was kept.".into()
    } else {
        "There are no items to judge by: no case file with a label is on the gate's side yet.".into()
    }
}

pub(super) fn reasons(verdict: &Verdict, facts: &Facts) -> Vec<String> {
    let config = &verdict.config;
    let several = verdict.eras.len() > 1;
    let whole = if several {
        "On the earlier eras together"
    } else {
        "On all items"
    };
    let mut reasons = vec![format!("{whole} {}", scores(&verdict.earlier))];
    let newest = verdict.eras.iter().find(|e| e.newest);
    if let Some(era) = newest.filter(|e| e.comparison.n > 0) {
        reasons.push(format!("On the newest era, {}, {}", era.era, scores(&era.comparison)));
    }
    if facts.earlier_regressed {
        reasons.push(format!(
            "{whole} the challenger is significantly worse (adjusted p = {}, alpha {}).",
            p(verdict.earlier_adjusted_p.unwrap_or(1.0)),
            config.alpha
        ));
    }
    for era in verdict.eras.iter().filter(|e| e.regressed) {
        reasons.push(format!(
            "On {} the challenger is significantly worse: {} against {} right (adjusted p = {}, alpha {}).",
            era.era,
            percent(era.comparison.challenger_accuracy),
            percent(era.comparison.champion_accuracy),
            p(era.adjusted_p.unwrap_or(1.0)),
            config.alpha
        ));
    }
    if facts.too_few {
        reasons.push(format!(
            "{} items are too few to decide by; the gate asks for {}.",
            verdict.earlier.n, config.min_items
        ));
    }
    let unjudged: Vec<String> = verdict
        .eras
        .iter()
        .filter(|e| e.comparison.n < config.min_era_items)
        .map(|e| format!("{} ({})", e.era, e.comparison.n))
        .collect();
    if several && !unjudged.is_empty() {
        reasons.push(format!(
            "Eras with fewer than {} items were not judged alone: {}.",
            config.min_era_items,
            unjudged.join(", ")
        ));
    }
    if verdict.decision != Decision::Regressed && !facts.too_few {
        noninferiority(verdict, facts, whole, &mut reasons);
    }
    reasons.push(format!(
        "A drop of {:.1} points would have been noticed nine times in ten.",
        verdict.earlier.mde_points
    ));
    reasons
}

fn noninferiority(verdict: &Verdict, facts: &Facts, whole: &str, reasons: &mut Vec<String>) {
    let margin = verdict.config.margin_points;
    let required = verdict.config.mode == GateMode::RequireNoninferiority;
    let consequence = if required {
        ""
    } else {
        "; this gate promotes what has not regressed"
    };
    if facts.earlier_inferior {
        reasons.push(format!(
            "{whole} a drop of {margin} points is not ruled out: it may be up to {:.1} (95 %){}{consequence}.",
            verdict.earlier.drop_bound95_points,
            needed(&verdict.earlier, margin)
        ));
    }
    if facts.newest_inferior {
        let newest = verdict
            .eras
            .iter()
            .find(|e| e.newest)
            .expect("a newest era was found inferior");
        reasons.push(format!(
            "On the newest era a drop of {margin} points is not ruled out: it may be up to {:.1} (95 %){consequence}.",
            newest.comparison.drop_bound95_points
        ));
    }
    if !facts.earlier_inferior && !facts.newest_inferior {
        reasons.push(format!("A drop of {margin} points is ruled out (95 %)."));
    }
}

/// About how many items would settle it, if nothing else changed.
fn needed(comparison: &Comparison, margin: f64) -> String {
    let room = (margin + comparison.difference_points) / 100.0;
    let items = (normal_quantile(0.95) / room).powi(2) * comparison.psi;
    if room > 0.0 && items > comparison.n as f64 && items < 1e6 {
        format!("; about {:.0} items would tell", (items / 10.0).ceil() * 10.0)
    } else {
        String::new()
    }
}

pub(super) fn first(config: &GateConfig, floor: f64, comparison: &Comparison) -> (Decision, Vec<String>) {
    let mut reasons = vec![format!(
        "This is the first version: it answers {} of {} items right; always answering the most frequent class would \
         answer {} right.",
        percent(comparison.challenger_accuracy),
        comparison.n,
        percent(comparison.champion_accuracy)
    )];
    if comparison.n < config.min_items {
        reasons.push(format!(
            "{} items are too few to decide by; the gate asks for {}.",
            comparison.n, config.min_items
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
    let chance = super::stats::mcnemar(comparison.c, comparison.b).mid_p;
    if chance > 0.05 {
        reasons.push(format!("With so few items this may be chance (p = {}).", p(chance)));
    }
    (Decision::Promote, reasons)
}

fn scores(comparison: &Comparison) -> String {
    format!(
        "({} items) the challenger answers {} right and the champion {}: {:+.1} points (95 % interval {:+.1} to {:+.1}; \
         {} newly wrong, {} newly right).",
        comparison.n,
        percent(comparison.challenger_accuracy),
        percent(comparison.champion_accuracy),
        comparison.difference_points,
        comparison.interval95_points.0,
        comparison.interval95_points.1,
        comparison.b,
        comparison.c
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn p(value: f64) -> String {
    if value < 1e-4 {
        format!("{value:.0e}")
    } else {
        format!("{value:.4}")
    }
}
