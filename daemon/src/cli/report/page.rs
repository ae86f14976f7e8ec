//! The page itself.

use super::super::render::{percent, points};
use super::curves::curves;
use super::stability::stability;
use crate::api::types::{LearningHistory, UpdateView};
use crate::clock::human;
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use wengu_decide::metrics::StreamScores;

const STYLE: &str = "body{font:15px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
    color:#222}table{border-collapse:collapse;margin:1rem 0}th,td{border:1px solid #ccc;padding:.25rem .6rem;text-align:right}\
    th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}.note{color:#666}";

/// An HTML page that loads nothing from anywhere.
pub fn page(history: &LearningHistory, now_ms: i64) -> Result<String> {
    let curves = curves(history)?;
    let stability = stability(&history.updates)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (history.domain) " \u{2013} wengu" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (history.domain) }
                p {
                    @match &history.serving {
                        Some(version) => { "In service: version " (version) "." },
                        None => "No version is in service yet.",
                    }
                    span.note { " Written " (human(now_ms)) "." }
                }
                @if let Some(scores) = &history.scores { (summary(scores, &history.eras)) }
                @if let Some(curves) = &curves {
                    h2 { "Old and new work" }
                    p.note { "Share of right answers on the items that each delivery held out, after every update that led to the version in service." }
                    (PreEscaped(curves))
                }
                @if !history.eras.is_empty() { (matrix(history)) }
                @if let Some(stability) = &stability {
                    h2 { "Old work while updates were trained" }
                    p.note { "Share of right answers on examples of earlier updates that were never trained on, mean over these updates. How far a line falls below its beginning is the stability gap." }
                    (PreEscaped(stability))
                }
                (updates(&history.updates))
            }
        }
    };
    Ok(page.into_string())
}

/// What the updates did, in words: those scores that there are.
fn summary(scores: &StreamScores, eras: &[u64]) -> Markup {
    let rows: Vec<(&str, Option<String>)> = vec![
        (
            "Mean accuracy over all deliveries now",
            Some(percent(scores.average_accuracy)),
        ),
        (
            "The same, over the life of the domain",
            Some(percent(scores.average_incremental_accuracy)),
        ),
        (
            "Backward transfer: what later updates did to earlier deliveries",
            scores.backward_transfer.map(points),
        ),
        (
            "Forward transfer: how much better than a guess new deliveries were answered before they were learned",
            scores.forward_transfer.map(points),
        ),
        (
            "Forgetting: from each delivery\u{2019}s best to now",
            scores.forgetting.map(|f| points(-f)),
        ),
        (
            "Lowest accuracy that earlier deliveries ever fell to, on average",
            scores.minimum_accuracy.map(percent),
        ),
    ];
    html! {
        table {
            @for (name, value) in rows.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
                tr { td { (name) } td { (value) } }
            }
            @for (era, kept) in eras.iter().zip(&scores.retention_by_era) {
                @if let Some(kept) = kept {
                    tr { td { "Of what run " (era) " learned, still there" } td { (percent(*kept)) } }
                }
            }
        }
    }
}

/// R as a table, each cell as green as it is right.
fn matrix(history: &LearningHistory) -> Markup {
    let shade = |score: f64| format!("background:hsl(140 45% {:.0}%)", 96.0 - 40.0 * score.clamp(0.0, 1.0));
    html! {
        h2 { "After each update, on each delivery\u{2019}s held-out items" }
        table {
            tr { th { "after" } @for era in &history.eras { th { "items of run " (era) } } }
            @for (run, row) in history.eras.iter().zip(&history.matrix) {
                tr {
                    td { "run " (run) }
                    @for score in row {
                        @match score {
                            Some(score) => td style=(shade(*score)) { (percent(*score)) },
                            None => td { "" },
                        }
                    }
                }
            }
        }
    }
}

fn updates(updates: &[UpdateView]) -> Markup {
    let was_seen = updates.iter().any(|update| update.stability.is_some());
    html! {
        h2 { "Updates" }
        @if updates.is_empty() { p { "None has been judged yet." } }
        @else {
            table {
                tr {
                    th { "run" } th { "ended" } th { "gate" } th { "version" } th { "new examples" } th { "remembered" }
                    th { "right before, wrong after" }
                    @if was_seen { th { "stability gap" } }
                }
                @for update in updates {
                    tr {
                        td { (update.run) }
                        td { (update.ended_ms.map(human).unwrap_or_default()) }
                        td { (update.decision) }
                        td { (update.version.as_deref().unwrap_or("-")) }
                        td { (update.train_examples) }
                        td { (update.memory_examples) }
                        td { (update.negative_flip_rate.map_or("-".into(), percent)) }
                        @if was_seen {
                            td { (update.stability.as_ref().map_or("-".into(), |way| points(way.gap).trim_start_matches('+').to_owned())) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::LearningHistory;
    use wengu_decide::metrics::stability as stability_of;

    fn history() -> LearningHistory {
        let matrix = vec![vec![Some(0.9), None], vec![Some(0.8), Some(0.7)]];
        LearningHistory {
            domain: "<contracts> \u{5408}\u{540c}".into(),
            serving: Some("0002-abc".into()),
            updates: vec![UpdateView {
                run: 2,
                version: Some("0002-abc".into()),
                decision: "promote".into(),
                train_examples: 12,
                memory_examples: 5,
                planned_ms: 0,
                ended_ms: Some(1_000),
                accuracy: Vec::new(),
                negative_flip_rate: Some(0.025),
                stability: stability_of(&[(1, 10)], &[9], &[(10, vec![4]), (20, vec![6])], &[8]),
            }],
            scores: StreamScores::of(&matrix, None),
            eras: vec![1, 2],
            matrix,
        }
    }

    #[test]
    fn a_page_tells_the_numbers_and_loads_nothing() {
        let page = page(&history(), 0).unwrap();
        assert_eq!(page.matches("<svg").count(), 2, "accuracy by update, and on the way");
        for expected in [
            "50.0 points",
            "&lt;contracts&gt; \u{5408}\u{540c}",
            "80.0 %",
            "-10.0 points",
            "2.5 %",
            "<svg",
            "88.9 %",
        ] {
            assert!(page.contains(expected), "{expected} is not in the page");
        }
        assert!(!page.contains("<contracts>"), "names are text, not markup");
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_domain_without_updates_has_a_page_too() {
        let none = LearningHistory {
            updates: Vec::new(),
            eras: Vec::new(),
            matrix: Vec::new(),
            scores: None,
            serving: None,
            ..history()
        };
        let page = page(&none, 0).unwrap();
        assert!(page.contains("No version is in service yet.") && page.contains("None has been judged yet."));
    }
}
