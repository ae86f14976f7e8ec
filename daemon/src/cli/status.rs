use super::Exit;
use super::render::{percent, phase_name, table};
use crate::api::client::Client;
use crate::api::types::{DomainStatus, RunView, Status};
use crate::clock::ago;
use anyhow::Result;
use wengu_store::records::RunState;

pub async fn status(client: &Client, json: bool) -> Result<Exit> {
    let status: Status = client.get("/v1/status", &[]).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    Ok(Exit::Success)
}

fn print(status: &Status) {
    println!(
        "wengu {} (pid {}), up {}",
        status.version,
        status.pid,
        ago(status.started_ms, status.now_ms)
    );
    let mut overview = table([
        "domain",
        "in service",
        "labels",
        "gate accuracy",
        "files",
        "new examples",
        "next",
    ]);
    for d in &status.domains {
        let files: u64 = d.files.values().sum();
        let (version, labels, accuracy) = match &d.serving {
            Some(s) => {
                let since = format!(
                    "{}\n{} {} ago",
                    s.version,
                    s.how.replace('_', " "),
                    ago(s.since_ms, status.now_ms)
                );
                (since, s.labels.to_string(), percent(s.accuracy))
            }
            None => ("none yet".into(), "-".into(), "-".into()),
        };
        overview.add_row([
            d.name.clone(),
            version,
            labels,
            accuracy,
            format!("{files}{}", states(d)),
            d.new_examples.to_string(),
            run_line(d),
        ]);
    }
    println!("{overview}");
    for d in &status.domains {
        if let Some(last) = &d.last_run {
            println!("{}: {}", d.name, last_line(last));
        }
        for problem in &d.problems {
            println!("{}: PROBLEM: {problem}", d.name);
        }
    }
    if let Some(problem) = &status.disk_problem {
        println!("PROBLEM: {problem}");
    }
    if !status.unsigned_plugins.is_empty() {
        println!("plugins that nobody signed: {}", status.unsigned_plugins.join(", "));
    }
    let a = &status.alerts;
    println!(
        "alerts: {} delivered, {} waiting, {} given up",
        a.delivered, a.waiting, a.dead
    );
    if let Some(error) = &a.last_error {
        println!("  last failure: {error}");
    }
}

fn states(d: &DomainStatus) -> String {
    d.files
        .iter()
        .map(|(state, n)| format!("\n{n} {}", state.replace('_', " ")))
        .collect()
}

fn run_line(d: &DomainStatus) -> String {
    match &d.run {
        None => d.next.clone(),
        Some(run) => match &run.progress {
            Some(p) => format!("run {}: {} {}/{}", run.run, phase_name(p.phase), p.step, p.total),
            None => format!("run {} is being prepared", run.run),
        },
    }
}

fn last_line(run: &RunView) -> String {
    match &run.state {
        RunState::Failed { end, message } => format!("run {} failed ({end}): {message}", run.run),
        _ => format!("run {}: {}", run.run, run.decision.as_deref().unwrap_or("no verdict")),
    }
}
