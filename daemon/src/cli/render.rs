//! What tables and bars look like. Widths are those of the terminal cells, so that Chinese lines up.

use super::Exit;
use crate::api::types::Flip;
use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use wengu_protocol::job::Phase;
use wengu_store::records::EraAccuracy;

/// A table with a header.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

/// `84.2 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `-2.1 points`, of a difference of shares.
pub fn points(difference: f64) -> String {
    format!("{:+.1} points", difference * 100.0)
}

/// Prints a value for machines, or what it says for people.
pub fn say(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<Exit> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(value)?),
        false => println!("{}", text()),
    }
    Ok(Exit::Success)
}

/// `1 file`, `2 files`.
pub fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Models that may stand in a table of accuracies, in order, with their names for people.
const MODELS: [(&str, &str); 4] = [
    ("challenger", "new version"),
    ("champion", "in service before"),
    ("head_only", "untouched base + head"),
    ("plain", "plain fine-tuning"),
];

/// Items whose answer became right or wrong; nothing where there is none.
pub fn print_flips(flips: &[Flip]) {
    if flips.is_empty() {
        return;
    }
    let mut list = table(["item", "run", "right answer", "in service before", "new version"]);
    for f in flips {
        list.add_row([
            f.text_id[..12].to_string(),
            f.era.to_string(),
            f.label.clone(),
            f.champion.clone(),
            f.challenger.clone(),
        ]);
    }
    println!("items whose answer became right or wrong:\n{list}");
}

/// Accuracy per era, a column for each model that was measured.
pub fn accuracy_table(what: &str, eras: &[EraAccuracy], own_run: u64) -> Table {
    let measured: BTreeSet<&str> = eras
        .iter()
        .flat_map(|e| e.accuracy.keys().map(String::as_str))
        .collect();
    let models: Vec<_> = MODELS.iter().filter(|(key, _)| measured.contains(key)).collect();
    let mut table = table([what, "items"]);
    let mut header = vec![what.to_string(), "items".to_string()];
    header.extend(models.iter().map(|(_, name)| name.to_string()));
    table.set_header(header);
    for era in eras {
        let name = if era.era == own_run {
            "this delivery"
        } else {
            "an earlier delivery"
        };
        let mut row = vec![format!("run {} ({name})", era.era), era.items.to_string()];
        row.extend(
            models
                .iter()
                .map(|(key, _)| era.accuracy.get(*key).map_or("-".into(), |a| percent(*a))),
        );
        table.add_row(row);
    }
    if eras.len() > 1 {
        let items: u64 = eras.iter().map(|e| e.items).sum();
        let mut row = vec!["all".to_string(), items.to_string()];
        row.extend(models.iter().map(|(key, _)| {
            let sum: Option<f64> = eras
                .iter()
                .map(|e| e.accuracy.get(*key).map(|a| a * e.items as f64))
                .sum();
            sum.map_or("-".into(), |s| percent(s / items as f64))
        }));
        table.add_row(row);
    }
    table
}

/// The name of a phase, for people.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "loading",
        Phase::PredictChampion => "version in service answers",
        Phase::Teach => "version in service teaches",
        Phase::Validate => "answering validation sets",
        Phase::Train => "training",
        Phase::PredictChallenger => "new version answers",
        Phase::Fisher => "measuring what must stay (Fisher)",
        Phase::Candidates => "choosing what to remember",
        Phase::Statistics => "measuring the classes",
        Phase::Write => "writing",
    }
}

/// A progress bar on a terminal, lines elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    /// Nothing is shown where `quiet`.
    pub fn new(quiet: bool) -> Progress {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(1);
            let style = ProgressStyle::with_template("  {msg:<44} {bar:30} {pos}/{len} {prefix}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress {
            bar,
            last: if quiet { "\0quiet".into() } else { String::new() },
        }
    }

    /// Shows a step.
    pub fn show(&mut self, what: &str, step: u64, total: u64, extra: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total.max(1));
                bar.set_position(step);
                bar.set_message(what.to_string());
                bar.set_prefix(extra.to_string());
            }
            None if self.last != "\0quiet" && self.last != what => {
                eprintln!("  {what}");
                self.last = what.to_string();
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
