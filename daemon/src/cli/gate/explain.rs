//! `wengu gate explain`: one verdict in plain sentences, with its numbers and the items that flipped.

use crate::api::client::Client;
use crate::api::types::{AnchorView, GateExplanation};
use crate::cli::Exit;
use crate::cli::args::ExplainGateArgs;
use crate::cli::render::{count, percent, points, print_flips, table};
use crate::clock::human;
use anyhow::Result;
use wengu_decide::gate::{Comparison, Subject, Verdict, Wear};

pub async fn explain(client: &Client, args: &ExplainGateArgs, json: bool) -> Result<Exit> {
    let run = args.run.map(|run| run.to_string());
    let mut query = vec![("domain", args.domain.as_str())];
    query.extend(run.as_deref().map(|run| ("run", run)));
    let found: GateExplanation = client.get("/v1/gate/explain", &query).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print(&found);
    }
    Ok(Exit::Success)
}

fn print(e: &GateExplanation) {
    let made = e.run.version.as_deref().unwrap_or("no version");
    let against = e.run.parent.as_deref().unwrap_or("no version in service");
    println!(
        "run {} of {}: {} ({made} against {against})",
        e.run.run,
        e.run.domain,
        e.run.decision.as_deref().unwrap_or("no verdict")
    );
    for reason in &e.verdict.reasons {
        println!("  - {reason}");
    }
    levels(&e.verdict);
    println!("{}", numbers(&e.verdict));
    if let Some(answers) = e.asked_twice {
        println!(
            "the version in service was asked for {} twice",
            count(answers, "answer")
        );
    }
    if let Some((right, items)) = e.fresh.filter(|(_, items)| *items > 0) {
        println!(
            "before it learned from them, the version in service had {right} of {} right ({})",
            count(items, "new example"),
            percent(right as f64 / items as f64)
        );
    }
    if let Some((anchor, comparison)) = &e.with_anchor {
        println!(
            "against the anchor {anchor}, on {} that decide nothing: {} (p of being worse {:.4})",
            count(comparison.n, "audit item"),
            points(comparison.difference_points / 100.0),
            comparison.p_value
        );
    }
    if let Some(anchor) = &e.anchor {
        held_against(anchor);
    }
    worn(&e.wear);
    print_flips(&e.flips);
}

/// What was looked at more than once, most worn first.
fn worn(wear: &[Wear]) {
    let mut worn: Vec<&Wear> = wear.iter().filter(|wear| wear.looks > 1).collect();
    worn.sort_by(|a, b| b.points.total_cmp(&a.points));
    for wear in worn.into_iter().take(3) {
        println!(
            "wear: the {} of run {} had decided {}; what serves may look up to {:.1} points better on them than it is, for having been chosen by them",
            count(wear.items, "gate item"),
            wear.era,
            count(wear.looks, "verdict"),
            wear.points
        );
    }
}

fn levels(verdict: &Verdict) {
    let Some(levels) = verdict.levels else { return };
    let stages = match levels.reserve {
        Some(reserve) => format!("level {} on the gate set and {reserve:.4} on the reserve", levels.gate),
        None => format!("level {:.4} on the gate set alone", levels.gate),
    };
    println!(
        "  false alarms: {:.4} a run, as {stages}; seed {}",
        verdict.config.alpha,
        verdict.seed.unwrap_or(1)
    );
}

fn held_against(anchor: &AnchorView) {
    println!(
        "anchor: {} since {} ({})",
        anchor.version,
        human(anchor.since_ms),
        anchor.reason
    );
    for reason in &anchor.reasons {
        println!("  - {reason}");
    }
}

fn numbers(verdict: &Verdict) -> comfy_table::Table {
    let mut list = table([
        "items of",
        "items",
        "before",
        "now",
        "difference",
        "95 % interval",
        "adjusted p",
        "",
    ]);
    let mut row = |name: &str, c: &Comparison, adjusted: Option<f64>, note: &str| {
        list.add_row([
            name.to_owned(),
            c.n.to_string(),
            percent(c.champion_accuracy),
            percent(c.challenger_accuracy),
            points(c.difference_points / 100.0),
            format!(
                "{} to {}",
                points(c.interval95_points.0 / 100.0),
                points(c.interval95_points.1 / 100.0)
            ),
            adjusted.map_or("-".into(), |p| format!("{p:.4}")),
            note.to_owned(),
        ]);
    };
    row("earlier eras", &verdict.earlier, verdict.earlier_adjusted_p, "decides");
    for era in &verdict.eras {
        let note = match (era.regressed, era.newest) {
            (true, _) => "regressed",
            (false, true) => "newest",
            (false, false) => "",
        };
        row(&era.era, &era.comparison, era.adjusted_p, note);
    }
    for slice in &verdict.slices {
        let note = match (slice.regressed, slice.judged) {
            (true, _) => "regressed",
            (false, false) => "told only",
            (false, true) => "",
        };
        row(&slice.slice, &slice.comparison, slice.adjusted_p, note);
    }
    for test in verdict.confirmation.iter().flat_map(|confirmation| &confirmation.tests) {
        let name = match &test.subject {
            Subject::Earlier => "earlier eras",
            Subject::Era(name) | Subject::Slice(name) => name,
        };
        let note = if test.regressed { "confirmed" } else { "not confirmed" };
        row(&format!("reserve: {name}"), &test.comparison, test.adjusted_p, note);
    }
    list
}
