//! Numbers and lists as sentences tell them.

use super::super::{Comparison, Metric};

/// So many names are told.
const NAMES_MAX: usize = 20;

pub(super) fn scores(comparison: &Comparison) -> String {
    let (challenger, champion) = (
        percent(comparison.challenger_accuracy),
        percent(comparison.champion_accuracy),
    );
    let compared = match comparison.metric {
        Metric::Accuracy => format!("answers {challenger} right and the champion {champion}"),
        Metric::MeanScore => format!("scores {challenger} and the champion {champion}"),
        Metric::MacroF1 => format!("has a macro-F1 of {challenger} and the champion one of {champion}"),
    };
    let (worse, better) = match comparison.metric {
        Metric::MeanScore => ("worse", "better"),
        _ => ("newly wrong", "newly right"),
    };
    let files = comparison
        .files
        .map(|files| format!(" of {files} case files, taken as wholes"));
    format!(
        "({} items{}) the challenger {compared}: {:+.1} points (95 % interval {:+.1} to {:+.1}; {} {worse}, {} {better}).",
        comparison.n,
        files.unwrap_or_default(),
        comparison.difference_points,
        comparison.interval95_points.0,
        comparison.interval95_points.1,
        comparison.b,
        comparison.c
    )
}

/// What a percentage is of.
pub(super) fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "right",
        Metric::MeanScore => "of the score",
        Metric::MacroF1 => "macro-F1",
    }
}

pub(super) fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let told = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(super) fn p(value: f64) -> String {
    if value < 1e-4 {
        format!("{value:.0e}")
    } else {
        format!("{value:.4}")
    }
}

/// A level that may come of a division, with as many digits as mean something.
pub(super) fn level(value: f64) -> String {
    if value < 1e-3 {
        format!("{value:.1e}")
    } else {
        format!("{value:.4}").trim_end_matches('0').to_owned()
    }
}
