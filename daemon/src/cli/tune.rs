//! `wengu tune`: asks the daemon, waits, and tells what came of it.

use super::Exit;
use super::args::{TuneAction, TuneArgs};
use super::render::{Progress, count, percent, phase_name, points, table};
use crate::api::client::Client;
use crate::api::types::{DomainRequest, TuneRequest, TuneView};
use crate::learn::tune::{Report, Source};
use anyhow::{Context, Result};
use std::time::Duration;
use wengu_decide::tune::{Key, epochs_in_all};

const POLL: Duration = Duration::from_secs(1);

pub async fn tune(client: &Client, args: TuneArgs, json: bool) -> Result<Exit> {
    let view = match args.action {
        Some(TuneAction::Show { domain }) => show(client, &domain).await?,
        Some(TuneAction::Reset { domain }) => {
            let request = DomainRequest {
                domain,
                to: None,
                rescan: false,
            };
            client.post("/v1/tune/reset", &request).await?
        }
        None => {
            let domain = args.domain.context("name the domain, as in `wengu tune contracts`")?;
            let request = TuneRequest {
                domain,
                trials: args.trials,
                seed: args.seed,
                max_minutes: args.max_minutes,
                dry_run: args.dry_run,
            };
            let view: TuneView = client.post_patiently("/v1/tune", &request).await?;
            match args.no_wait || args.dry_run {
                true => view,
                false => wait(client, view, json).await?,
            }
        }
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        print(&view);
    }
    Ok(match view.state.as_str() {
        "failed" => Exit::RunFailed,
        _ => Exit::Success,
    })
}

async fn show(client: &Client, domain: &str) -> Result<TuneView> {
    client.get("/v1/tune", &[("domain", domain)]).await
}

async fn wait(client: &Client, mut view: TuneView, quiet: bool) -> Result<TuneView> {
    let mut progress = Progress::new(quiet);
    while view.state == "running" {
        let (done, all) = view.report.as_ref().map_or((0, 1), |report| {
            let all: usize = report.rungs.iter().map(|rung| rung.candidates).sum();
            (report.trials.len() as u64, all as u64)
        });
        let what = match (&view.stage, &view.waits) {
            (Some(stage), _) => stage.clone(),
            (None, Some(why)) => format!("waits: {why}"),
            (None, None) => "preparing a trial".into(),
        };
        let phase = view.progress.as_ref().map_or("", |p| phase_name(p.phase));
        progress.show(&what, done, all, phase);
        tokio::time::sleep(POLL).await;
        view = show(client, &view.domain).await?;
    }
    progress.done();
    Ok(view)
}

fn print(view: &TuneView) {
    if let Some(report) = &view.report {
        print_report(report);
    }
    match (view.state.as_str(), &view.message) {
        ("never", _) => println!("Nothing was fitted for domain {}.", view.domain),
        ("planned", _) => println!("Nothing was begun."),
        ("running", _) => println!("Under way; `wengu tune show {}` tells how far.", view.domain),
        ("failed", Some(message)) => println!("It failed, and nothing was changed: {message}"),
        _ => {}
    }
    let mut list = table(["key", "the next update uses", "from"]);
    for setting in &view.settings {
        let source = match setting.source {
            Source::Configuration => "the configuration",
            Source::Tuned => "fitted",
            Source::Version => "the version in service",
            Source::Default => "default",
        };
        list.add_row([setting.key.as_str(), setting.value.as_str(), source]);
    }
    println!("{list}");
}

fn print_report(report: &Report) {
    let n = report.counts;
    println!(
        "First update: {} ({} asked about). Second: {} ({} asked about), {}.",
        count(n.old as u64, "text"),
        n.old_asked,
        count(n.new as u64, "text"),
        n.new_asked,
        count(n.late_labels as u64, "new label"),
    );
    let rungs: Vec<String> = report
        .rungs
        .iter()
        .map(|rung| format!("{} for {}", rung.candidates, count(u64::from(rung.epochs), "epoch")))
        .collect();
    println!(
        "Candidates: {}; {} in all, over both updates of each trial.",
        rungs.join(", then "),
        count(epochs_in_all(&report.rungs), "epoch")
    );
    let searched = report.space.searched();
    let mut list = table(["candidate"]);
    let mut header = vec!["candidate".to_owned()];
    header.extend(searched.iter().map(|key: &Key| key.name().to_owned()));
    header.extend(["epochs", "old", "new", "seconds"].map(String::from));
    list.set_header(header);
    for (number, values) in report.candidates.iter().enumerate() {
        let name = if number == 0 {
            "0 (defaults)".to_owned()
        } else {
            number.to_string()
        };
        let trials = report.trials.iter().filter(|trial| trial.candidate == number);
        let last = trials.max_by_key(|trial| trial.rung);
        let mut row = vec![name];
        row.extend(searched.iter().map(|key| values.shown(*key)));
        row.extend(match last {
            None => ["-", "-", "-", "-"].map(String::from),
            Some(trial) => {
                let of = |share: Option<f64>| share.map_or("failed".into(), percent);
                [
                    report.rungs[trial.rung].epochs.to_string(),
                    of(trial.score.map(|score| score.old)),
                    of(trial.score.map(|score| score.new)),
                    format!("{:.0}", trial.seconds),
                ]
            }
        });
        list.add_row(row);
    }
    println!("{list}");
    let Some(fit) = &report.fit else { return };
    if fit.best == 0 {
        println!("Nothing was better than the defaults, which stay.");
        return;
    }
    let found = format!(
        "Candidate {} is {} better than the defaults (95 % interval {} to {}, p = {:.4})",
        fit.best,
        points(fit.margin),
        points(fit.interval.0),
        points(fit.interval.1),
        fit.p
    );
    match fit.chosen {
        0 => println!(
            "{found}. The best of so many would look so by chance as well (p is not below {:.4}), so the defaults stay.",
            fit.level
        ),
        _ => println!(
            "{found}, more than chance (below {:.4}): later updates use it.",
            fit.level
        ),
    }
}
