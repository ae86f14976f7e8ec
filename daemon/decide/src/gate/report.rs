//! The reasons of a verdict, in plain sentences.

mod first;
mod words;

use super::confirm::gate_p;
use super::facts::{Facts, deciding, earlier_regressed};
use super::stats::normal_quantile;
use super::{Comparison, Confirmed, Decision, GateMode, Repeated, Subject, Verdict};
pub(super) use first::first;
use words::{level, list, p, percent, scores};

pub(super) fn no_data(eras: usize) -> String {
    if eras > 1 {
        "There are no items of the earlier eras, so nothing shows whether older knowledge was kept.".into()
    } else {
        "There are no items to judge by: no case file with a label is on the gate's side yet.".into()
    }
}

pub(super) fn noisy(repeated: &Repeated) -> String {
    format!(
        "The champion was asked {} items twice and answered {} of them differently the second time ({}), so a difference to \
         the challenger would mean nothing.",
        repeated.items,
        repeated.differing.len(),
        list(repeated.differing.iter())
    )
}

/// All sentences. `waiting`: what the gate set found suspect is not confirmed yet, by a reserve of so many items.
pub(super) fn reasons(verdict: &Verdict, waiting: Option<u64>) -> Vec<String> {
    let facts = Facts::of(verdict);
    let several = verdict.eras.len() > 1;
    let whole = whole(several);
    let mut reasons = vec![format!("{whole} {}", scores(&verdict.earlier))];
    let newest = verdict.eras.iter().find(|e| e.newest);
    if let Some(era) = newest.filter(|e| e.comparison.n > 0) {
        reasons.push(format!("On the newest era, {}, {}", era.era, scores(&era.comparison)));
    }
    checked(verdict, &mut reasons);
    regressions(verdict, whole, &mut reasons);
    if let Some(confirmation) = &verdict.confirmation {
        reasons.extend(confirmation.tests.iter().map(|test| confirmed(verdict, test, several)));
    }
    if let Some(items) = waiting {
        reasons.push(suspect(verdict, whole, items));
    }
    shortcomings(verdict, &facts, &mut reasons);
    small_parts(verdict, several, &mut reasons);
    if verdict.decision != Decision::Regressed && !facts.too_few && waiting.is_none() {
        noninferiority(verdict, &facts, whole, &mut reasons);
    }
    reasons.push(format!(
        "A drop of {:.1} points would have been noticed nine times in ten.",
        verdict.earlier.mde_points
    ));
    reasons
}

fn whole(several: bool) -> &'static str {
    if several {
        "On the earlier eras together"
    } else {
        "On all items"
    }
}

/// The champion asked twice, and the checklist.
fn checked(verdict: &Verdict, reasons: &mut Vec<String>) {
    if let Some(repeated) = &verdict.repeated {
        let items = repeated.items;
        reasons.push(format!(
            "The champion answered {items} items twice, and the same both times."
        ));
    }
    match &verdict.checklist {
        Some(checklist) if !checklist.broken.is_empty() => reasons.push(format!(
            "Of {} items that must not break, the challenger breaks {}: {}.",
            checklist.items,
            checklist.broken.len(),
            list(checklist.broken.iter())
        )),
        Some(checklist) => {
            let items = checklist.items;
            reasons.push(format!("None of {items} items that must not break was broken."));
        }
        None => {}
    }
}

/// Regressions that the gate set alone shows, where there is one stage.
fn regressions(verdict: &Verdict, whole: &str, reasons: &mut Vec<String>) {
    let Some(levels) = verdict.levels.filter(|levels| levels.reserve.is_none()) else {
        return;
    };
    let alpha = level(levels.gate);
    if earlier_regressed(verdict) {
        let adjusted = p(verdict.earlier_adjusted_p.unwrap_or(1.0));
        reasons.push(format!(
            "{whole} the challenger is significantly worse (adjusted p = {adjusted}, alpha {alpha})."
        ));
    }
    let eras = verdict.eras.iter().filter(|e| e.regressed);
    let eras = eras.map(|e| (&e.era, &e.comparison, e.adjusted_p));
    let slices = verdict.slices.iter().filter(|s| s.regressed);
    let slices = slices.map(|s| (&s.slice, &s.comparison, s.adjusted_p));
    for (name, comparison, adjusted) in eras.chain(slices) {
        reasons.push(format!(
            "On {name} the challenger is significantly worse: {} against {} {} (adjusted p = {}, alpha {alpha}).",
            percent(comparison.challenger_accuracy),
            percent(comparison.champion_accuracy),
            words::unit(comparison.metric),
            p(adjusted.unwrap_or(1.0)),
        ));
    }
}

fn name(subject: &Subject, several: bool) -> &str {
    match subject {
        Subject::Earlier => whole(several).trim_start_matches("On "),
        Subject::Era(name) => name,
        Subject::Slice(key) => key,
    }
}

/// What is suspect, before the reserve was asked.
fn suspect(verdict: &Verdict, whole: &str, items: u64) -> String {
    let first = verdict.levels.map_or(0.0, |levels| levels.gate);
    let suspect = |p: Option<f64>| p.is_some_and(|p| p <= first);
    let mut names = Vec::new();
    if suspect(verdict.earlier_adjusted_p) {
        names.push(whole.trim_start_matches("On ").to_owned());
    }
    names.extend(
        verdict
            .eras
            .iter()
            .filter(|e| suspect(e.adjusted_p))
            .map(|e| e.era.clone()),
    );
    names.extend(
        verdict
            .slices
            .iter()
            .filter(|s| suspect(s.adjusted_p))
            .map(|s| s.slice.clone()),
    );
    format!(
        "The gate set finds the challenger suspect on {} (first level {}); the {items} items of the reserve have to \
         confirm it.",
        list(names.iter()),
        level(first)
    )
}

/// What the reserve said to one suspicion.
fn confirmed(verdict: &Verdict, test: &Confirmed, several: bool) -> String {
    let on = name(&test.subject, several);
    let first = p(gate_p(verdict, &test.subject).unwrap_or(1.0));
    let levels = verdict.levels.expect("a verdict with a reserve has levels");
    let Some(adjusted) = test.adjusted_p else {
        let outcome = if test.regressed {
            "which is significantly worse by itself"
        } else {
            "which is not enough by itself"
        };
        return format!(
            "On {on} the gate set finds the challenger suspect (adjusted p = {first}); the reserve has {} such items, too few \
             to confirm it, so the gate set is held to the level of the whole run ({}), {outcome}.",
            test.comparison.n,
            level(verdict.config.alpha)
        );
    };
    let outcome = if test.regressed {
        "confirms that the challenger is worse"
    } else {
        "does not confirm it"
    };
    format!(
        "On {on} the gate set finds the challenger suspect (adjusted p = {first}, first level {}); the reserve {outcome} \
         (adjusted p = {}, second level {}): there {}",
        level(levels.gate),
        p(adjusted),
        level(levels.reserve.unwrap_or(0.0)),
        scores(&test.comparison)
    )
}

fn shortcomings(verdict: &Verdict, facts: &Facts, reasons: &mut Vec<String>) {
    let (earlier, _) = deciding(verdict);
    if facts.too_few {
        let what = if earlier.files.is_some() { "case files" } else { "items" };
        reasons.push(format!(
            "{} {what} are too few to decide by; the gate asks for {}.",
            earlier.units(),
            verdict.config.min_items
        ));
    }
    if facts.below_floor {
        let (reached, floor) = (
            percent(earlier.challenger_accuracy),
            percent(verdict.config.accuracy_floor),
        );
        reasons.push(format!("The challenger's {reached} are below the floor of {floor}."));
    }
}

/// Eras and slices that are only reported.
fn small_parts(verdict: &Verdict, several: bool, reasons: &mut Vec<String>) {
    let least = verdict.config.min_era_items;
    let small = |name: &str, items: u64| (items < least).then(|| format!("{name} ({items})"));
    let eras: Vec<String> = verdict
        .eras
        .iter()
        .filter_map(|e| small(&e.era, e.comparison.n))
        .collect();
    let slices: Vec<String> = verdict
        .slices
        .iter()
        .filter_map(|s| small(&s.slice, s.comparison.n))
        .collect();
    for (what, names) in [("Eras", if several { eras } else { Vec::new() }), ("Slices", slices)] {
        if !names.is_empty() {
            let names = list(names.iter());
            reasons.push(format!(
                "{what} with fewer than {least} items were not judged alone: {names}."
            ));
        }
    }
}

fn noninferiority(verdict: &Verdict, facts: &Facts, whole: &str, reasons: &mut Vec<String>) {
    let (earlier, newest) = deciding(verdict);
    let margin = verdict.config.margin_points;
    let with = if verdict.confirmation.is_some() {
        ", gate set and reserve,"
    } else {
        ""
    };
    let consequence = if verdict.config.mode == GateMode::RequireNoninferiority {
        ""
    } else {
        "; this gate promotes what has not regressed"
    };
    if facts.earlier_inferior {
        reasons.push(format!(
            "{whole}{with} a drop of {margin} points is not ruled out: it may be up to {:.1} (95 %){}{consequence}.",
            earlier.drop_bound95_points,
            needed(earlier, margin)
        ));
    }
    if let Some(newest) = newest.filter(|_| facts.newest_inferior) {
        reasons.push(format!(
            "On the newest era{with} a drop of {margin} points is not ruled out: it may be up to {:.1} (95 %){consequence}.",
            newest.drop_bound95_points
        ));
    }
    if !facts.inferior() {
        reasons.push(format!("A drop of {margin} points is ruled out (95 %)."));
    }
}

/// About how many items would settle it, if nothing else changed.
fn needed(comparison: &Comparison, margin: f64) -> String {
    let room = (margin + comparison.difference_points) / 100.0;
    let items = (normal_quantile(0.95) / room).powi(2) * comparison.psi;
    let alone = comparison.files.is_none() && comparison.metric == super::Metric::Accuracy;
    if alone && room > 0.0 && items > comparison.n as f64 && items < 1e6 {
        format!("; about {:.0} items would tell", (items / 10.0).ceil() * 10.0)
    } else {
        String::new()
    }
}
